// Walks an answer along its document by graphql-js's own reading of both, and names what does not fit.
import {
  SchemaMetaFieldDef, TypeMetaFieldDef, TypeNameMetaFieldDef,
  isAbstractType, isEnumType, isLeafType, isListType, isNonNullType, isObjectType,
} from 'graphql';
import { collectFields, collectSubfields } from 'graphql/execution/collectFields.js';
import { getArgumentValues } from 'graphql/execution/values.js';
import { isGiven } from './scalars.mjs';

/** Errors of an answer that Docket gives at most; of more, some are left out. */
const MOST_ERRORS = 10;

class Misfit extends Error {
  constructor(kind, path, detail) {
    super(detail);
    this.kind = kind;
    this.path = path;
  }
}

function fieldOf(schema, type, name) {
  if (name === TypeNameMetaFieldDef.name) return TypeNameMetaFieldDef;
  if (type === schema.getQueryType()) {
    for (const field of [SchemaMetaFieldDef, TypeMetaFieldDef]) if (field.name === name) return field;
  }
  return type.getFields()[name];
}

/** What is wrong with the answer to a valid document: `{ kind, detail }`, or `null` when nothing is. */
export function misfit(schema, verdict, answer, text) {
  try {
    new Walk(schema, verdict).check(answer, text);
    return null;
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
    return { kind: error.kind, detail: `at ${['data', ...error.path].join('.')}: ${error.message}` };
  }
}

class Walk {
  constructor(schema, { document, operation, variables }) {
    this.schema = schema;
    this.variables = variables;
    this.operation = operation;
    this.root = schema.getRootType(operation.operation);
    this.fragments = Object.create(null);
    for (const one of document.definitions) if (one.kind === 'FragmentDefinition') this.fragments[one.name.value] = one;
  }

  rootFields() {
    return collectFields(this.schema, this.fragments, this.variables, this.root, this.operation.selectionSet);
  }

  subfields(type, nodes) {
    return collectSubfields(this.schema, this.fragments, this.variables, type, nodes);
  }

  check(answer, text) {
    this.members(answer, text);
    const errors = answer.errors ?? [];
    if (answer.data === null) {
      if (errors.length === 0) throw new Misfit('data is null without an error', [], '');
    } else {
      this.object(this.root, this.rootFields(), answer.data, []);
    }
    this.errors(answer.data, errors);
  }

  members(answer, text) {
    for (const key of Object.keys(answer)) {
      if (!['data', 'errors', 'extensions'].includes(key)) throw new Misfit('an answer has an unknown member', [], key);
    }
    if ('errors' in answer && !(Array.isArray(answer.errors) && answer.errors.length > 0)) {
      throw new Misfit('errors are no list, or an empty one', [], JSON.stringify(answer.errors));
    }
    // `JSON.parse` takes the last of two members of one name without a word.
    let written = 0;
    for (const [, colon] of text.matchAll(/"(?:[^"\\]|\\.)*"(:)?/g)) if (colon) written += 1;
    let read = 0;
    JSON.parse(text, function (key, value) {
      if (!Array.isArray(this) && !(key === '' && this[''] === value && Object.keys(this).length === 1)) read += 1;
      return value;
    });
    if (written !== read) throw new Misfit('an object of the answer has two members of one name', [], `${written} written, ${read} different`);
  }

  object(type, fields, value, path) {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) {
      throw new Misfit('something else where an object belongs', path, `${type.name} expected, ${JSON.stringify(value)?.slice(0, 80)} found`);
    }
    const [expected, found] = [[...fields.keys()], Object.keys(value)];
    const missing = expected.filter((key) => !(key in value));
    if (missing.length > 0) throw new Misfit('a selected field is missing', path, `${type.name} lacks ${missing.join(', ')}`);
    const extra = found.filter((key) => !fields.has(key));
    if (extra.length > 0) throw new Misfit('a field is there that was not selected', path, `${type.name} has ${extra.join(', ')}`);
    if (expected.join() !== found.join()) {
      throw new Misfit('fields are in another order than in the document', path, `${found.join(', ')} instead of ${expected.join(', ')}`);
    }
    for (const [key, nodes] of fields) {
      const field = fieldOf(this.schema, type, nodes[0].name.value);
      const at = [...path, key];
      if (field === TypeNameMetaFieldDef) {
        if (value[key] !== type.name) throw new Misfit('__typename is another', at, `${value[key]} instead of ${type.name}`);
        continue;
      }
      try {
        getArgumentValues(field, nodes[0], this.variables);
      } catch (error) {
        if (value[key] !== null) throw new Misfit('a field was executed whose arguments are wrong', at, error.message);
      }
      this.value(field.type, nodes, value[key], at, `${type.name}.${field.name}`);
    }
  }

  value(type, nodes, value, path, name) {
    if (isNonNullType(type)) {
      if (value === null) throw new Misfit('null where none may be', path, `${name} is ${type}`);
      return this.value(type.ofType, nodes, value, path, name);
    }
    if (value === null) return undefined;
    if (isListType(type)) {
      if (!Array.isArray(value)) throw new Misfit('no list where one belongs', path, `${name} is ${type}`);
      return value.forEach((one, index) => this.value(type.ofType, nodes, one, [...path, index], name));
    }
    if (isLeafType(type)) {
      const fits = isEnumType(type) ? typeof value === 'string' && type.getValue(value) != null : isGiven(type.name, value);
      if (!fits) throw new Misfit(`a value that ${type} does not have`, path, `${name}: ${JSON.stringify(value)?.slice(0, 80)}`);
      return undefined;
    }
    if (isObjectType(type)) return this.object(type, this.subfields(type, nodes), value, path);
    // The answer names its type only when the document asked; otherwise one of the possible types must fit.
    let nearest;
    for (const possible of this.schema.getPossibleTypes(type)) {
      try {
        return this.object(possible, this.subfields(possible, nodes), value, path);
      } catch (error) {
        if (!(error instanceof Misfit)) throw error;
        if (!nearest || error.kind !== '__typename is another' || error.path.length > path.length + 1) {
          if (!nearest || nearest.kind === '__typename is another') nearest = error;
        }
      }
    }
    throw nearest;
  }

  /** Every error's path leads to a null; one of those that lead to it stops there for a reason. */
  errors(data, errors) {
    const nulls = new Map();
    for (const error of errors) {
      if (typeof error.message !== 'string') throw new Misfit('an error has no message', [], JSON.stringify(error));
      if (error.path === undefined) throw new Misfit('an error of an executed operation has no path', [], JSON.stringify(error));
      let value = data;
      let length = 0;
      while (value !== null && length < error.path.length) {
        const step = error.path[length];
        const there = typeof value === 'object' && step in value && Array.isArray(value) === (typeof step === 'number');
        if (!there) throw new Misfit("an error's path leads nowhere", error.path.slice(0, length + 1), error.message);
        value = value[step];
        length += 1;
      }
      if (value !== null) throw new Misfit("an error's path does not lead to a null", error.path, error.message);
      const key = JSON.stringify(error.path.slice(0, length));
      nulls.set(key, (nulls.get(key) ?? false) || !this.couldStopBelow(error.path, length));
    }
    if (errors.length >= MOST_ERRORS) return;
    for (const [key, explained] of nulls) {
      if (!explained) throw new Misfit('a null is higher than any error brings it', JSON.parse(key), '');
    }
  }

  /** True when the path crosses a place that may be null deeper than its first `length` steps. */
  couldStopBelow(path, length) {
    let [fields, type, nodes] = [this.rootFields(), null, null];
    let parents = [this.root];
    for (const [index, step] of path.entries()) {
      if (typeof step === 'number') {
        type = type && (isNonNullType(type) ? type.ofType : type);
        if (!isListType(type)) throw new Misfit("an error's path leads nowhere", path.slice(0, index + 1), `${type} has no elements`);
        type = type.ofType;
      } else {
        let found;
        for (const parent of parents) {
          fields = parent === this.root && index === 0 ? fields : this.subfields(parent, nodes);
          if (fields.has(step)) {
            found = { nodes: fields.get(step), field: fieldOf(this.schema, parent, fields.get(step)[0].name.value) };
            break;
          }
        }
        if (!found) throw new Misfit("an error's path leads nowhere", path.slice(0, index + 1), 'the document does not select it');
        nodes = found.nodes;
        type = found.field.type;
      }
      if (index >= length && !isNonNullType(type)) return true;
      let named = type;
      while (named.ofType) named = named.ofType;
      parents = isAbstractType(named) ? this.schema.getPossibleTypes(named) : isObjectType(named) ? [named] : [];
    }
    return false;
  }
}
