// Random documents of a schema, most of them valid, as syntax trees of graphql-js.
import {
  GraphQLNonNull, Kind, SchemaMetaFieldDef, TypeMetaFieldDef, getNamedType, getNullableType, isAbstractType, isCompositeType, isEnumType, isInputObjectType,
  isLeafType, isListType, isNonNullType, isRequiredArgument, isRequiredInputField, parseType, visit,
} from 'graphql';

const name = (value) => ({ kind: Kind.NAME, value });
export const variable = (value) => ({ kind: Kind.VARIABLE, name: name(value) });
export const argument = (key, value) => ({ kind: Kind.ARGUMENT, name: name(key), value });
export const text = (value) => ({ kind: Kind.STRING, value });
export const whole = (value) => ({ kind: Kind.INT, value: String(value) });
export const enumeration = (value) => ({ kind: Kind.ENUM, value });
export const truth = (value) => ({ kind: Kind.BOOLEAN, value });
export const directive = (key, ...args) => ({ kind: Kind.DIRECTIVE, name: name(key), arguments: args });
export const field = (key, rest = {}) => ({ kind: Kind.FIELD, name: name(key), arguments: [], directives: [], ...rest });
export const selectionSet = (selections) => ({ kind: Kind.SELECTION_SET, selections });
export const named = (value) => ({ kind: Kind.NAMED_TYPE, name: name(value) });
export const inline = (type, selections) => ({
  kind: Kind.INLINE_FRAGMENT,
  ...(type ? { typeCondition: named(type) } : {}),
  directives: [],
  selectionSet: selectionSet(selections),
});
export const spread = (key) => ({ kind: Kind.FRAGMENT_SPREAD, name: name(key), directives: [] });
export const fragment = (key, type, selections) => ({
  kind: Kind.FRAGMENT_DEFINITION,
  name: name(key),
  typeCondition: named(type),
  directives: [],
  selectionSet: selectionSet(selections),
});
export const defined = (key, type, value) => ({
  kind: Kind.VARIABLE_DEFINITION,
  variable: variable(key),
  type: typeof type === 'string' ? parseType(type) : type,
  ...(value ? { defaultValue: value } : {}),
  directives: [],
});

const WORDS = ['lamp', 'vip', 'Printer on fire', '', 'naïve 🚲', 'two\nlines', 'say "no" \\ now', 'refund', '\u2028 odd \t', 'a'.repeat(90), '{ "x": 1 }'];
const INSTANTS = ['2026-11-22T09:00:00Z', '2026-01-01T00:00:00+02:00', '2027-02-28T23:59:59.999Z', '2024-02-29T12:00:00-05:30', '1999-12-31T23:59:59Z'];
const POSITIONS = ['1', '7', '0', '1024', 3, 12, '18446744073709551615'];
/** Whose ids an argument or input field takes. */
const IDS = {
  queue: 'queues', queues: 'queues', team: 'teams', teams: 'teams', agent: 'agents', agents: 'agents', category: 'categories',
  categories: 'categories', requester: 'customers', customer: 'customers', from: 'customers',
};

export class Generator {
  constructor(schema, pool, random) {
    this.schema = schema;
    this.pool = pool;
    this.random = random;
    this.variables = new Map();
    this.fragments = new Map();
    this.fieldsLeft = 60;
    this.aliases = 0;
  }

  /** A request: a document, variables, the name of an operation. */
  request() {
    const { random } = this;
    const count = random.chance(0.8) ? 1 : 2 + random.below(2);
    const operations = [];
    for (let n = 0; n < count; n += 1) {
      const what = random.chance(0.84) ? 'query' : random.chance(0.9) ? 'mutation' : 'subscription';
      operations.push(this.operation(what, count > 1 || random.chance(0.5) ? `Op${n}` : undefined));
    }
    const definitions = [...operations, ...this.fragments.values()];
    if (random.chance(0.3)) definitions.reverse();
    const document = { kind: Kind.DOCUMENT, definitions };
    for (const operation of operations) this.define(document, operation);
    const chosen = random.pick(operations);
    const values = {};
    for (const { variable: { name: { value: key } } } of chosen.variableDefinitions) {
      const { json } = this.variables.get(key);
      if (json !== undefined) values[key] = json;
    }
    if (random.chance(0.05)) values.unheardOf = 1;
    return {
      document,
      variables: Object.keys(values).length > 0 || random.chance(0.5) ? values : random.pick([undefined, null]),
      operationName: count > 1 || (chosen.name && random.chance(0.3)) ? chosen.name.value : random.pick([undefined, null]),
    };
  }

  operation(what, key) {
    const type = this.schema.getRootType(what);
    const many = what === 'query' ? 1 + this.random.below(3) : what === 'mutation' ? 1 + this.random.below(2) : 1;
    const selections = [];
    for (let n = 0; n < many; n += 1) selections.push(this.field(type, this.rootField(type, what), 5));
    if (what !== 'subscription' && this.random.chance(0.25)) selections.push(...this.extras(type, 3));
    if (what !== 'subscription' && this.random.chance(0.1)) selections.push(field('__typename'));
    return {
      kind: Kind.OPERATION_DEFINITION,
      operation: what,
      ...(key ? { name: name(key) } : {}),
      variableDefinitions: [],
      directives: [],
      selectionSet: selectionSet(selections),
    };
  }

  rootField(type, what) {
    const { random } = this;
    if (what === 'query' && random.chance(0.08)) return random.pick([SchemaMetaFieldDef, TypeMetaFieldDef]);
    // What leads to interfaces, unions and deep answers comes more often.
    if (what === 'query' && random.chance(0.4)) return type.getFields()[random.pick(['node', 'nodes', 'ticket', 'tickets', 'ticketByNumber', 'log'])];
    return random.pick(Object.values(type.getFields()));
  }

  /** The definitions of all variables that an operation uses, in fragments too. */
  define(document, operation) {
    const fragments = new Map(document.definitions.filter((one) => one.kind === Kind.FRAGMENT_DEFINITION).map((one) => [one.name.value, one]));
    const [used, seen] = [new Set(), new Set()];
    const look = (node) =>
      visit(node, {
        Variable: (one) => void used.add(one.name.value),
        FragmentSpread: (one) => {
          if (seen.has(one.name.value)) return;
          seen.add(one.name.value);
          if (fragments.has(one.name.value)) look(fragments.get(one.name.value));
        },
      });
    look(operation);
    operation.variableDefinitions = [...used].map((key) => this.variables.get(key).definition);
  }

  selections(type, depth) {
    const { random } = this;
    if (isAbstractType(type)) return this.abstract(type, depth);
    const fields = fieldsOf(type);
    const [leaves, deeper] = [[], []];
    for (const one of fields) (isLeafType(getNamedType(one.type)) ? leaves : deeper).push(one);
    const list = random.some(leaves, random.below(4)).map((one) => this.field(type, one, depth - 1));
    if (depth > 0 && this.fieldsLeft > 0) {
      for (const one of random.some(deeper, random.below(3))) list.push(this.field(type, one, depth - 1));
    }
    if (random.chance(0.1)) list.push(field('__typename'));
    if (depth > 0 && random.chance(0.25)) list.push(...this.extras(type, depth - 1));
    if (list.length === 0) list.push(leaves.length > 0 && random.chance(0.7) ? this.field(type, random.pick(leaves), 0) : field('__typename'));
    return random.some(list, list.length);
  }

  abstract(type, depth) {
    const { random } = this;
    const list = random.chance(0.85) ? [field('__typename', random.chance(0.1) ? { alias: name('kind_') } : {})] : [];
    if (type.getFields && random.chance(0.5)) list.push(field('id'));
    for (const possible of random.some(this.schema.getPossibleTypes(type), 1 + random.below(3))) {
      list.push(this.wrapped(possible, depth - 1));
    }
    if (random.chance(0.15)) list.push(inline(random.pick([type.name, undefined]), this.selections(type, 0)));
    return list;
  }

  /** A fragment of the type, inline or named. */
  wrapped(type, depth) {
    const { random } = this;
    const selections = this.selections(type, Math.max(depth, 0));
    let made;
    if (random.chance(0.6)) {
      made = inline(type.name, selections);
    } else {
      const key = `F${this.fragments.size}`;
      this.fragments.set(key, fragment(key, type.name, selections));
      made = spread(key);
    }
    made.directives = this.directives();
    return made;
  }

  /** Selections on top: fragments of the type, of its interface, without a type, spread once more, or the same field again. */
  extras(type, depth) {
    const { random } = this;
    const interfaces = type.getInterfaces?.() ?? [];
    const choice = random.below(5);
    if (choice === 0 && interfaces.length > 0) return [inline(random.pick(interfaces).name, [field('id')])];
    if (choice === 1) return [inline(undefined, this.selections(type, Math.max(depth, 0)))];
    if (choice === 2) {
      const fitting = [...this.fragments.values()].filter((one) => one.typeCondition.name.value === type.name);
      if (fitting.length > 0) return [spread(random.pick(fitting).name.value)];
    }
    if (choice === 3) {
      const leaves = fieldsOf(type).filter((one) => isLeafType(getNamedType(one.type)) && one.args.length === 0);
      if (leaves.length > 0) {
        const twice = random.pick(leaves).name;
        return [field(twice), field(twice, { directives: this.directives() })];
      }
    }
    return [this.wrapped(type, depth)];
  }

  directives() {
    const { random } = this;
    const list = [];
    for (const key of random.some(['skip', 'include'], 2)) {
      if (!random.chance(0.07)) continue;
      const value = random.chance(0.5) ? truth(random.chance(0.5)) : variable(this.flag());
      list.push(directive(key, argument('if', value)));
    }
    return list;
  }

  /** A Boolean variable that has a value in any case. */
  flag() {
    const { random } = this;
    const key = `flag${random.below(3)}`;
    if (!this.variables.has(key)) {
      const [type, value, json] = random.pick([
        ['Boolean!', undefined, random.chance(0.5)],
        ['Boolean!', truth(false), random.pick([undefined, true])],
        ['Boolean', truth(true), random.pick([undefined, false])],
      ]);
      this.variables.set(key, { definition: defined(key, type, value), json });
    }
    return key;
  }

  field(parent, definition, depth) {
    const { random } = this;
    this.fieldsLeft -= 1;
    const type = getNamedType(definition.type);
    const node = field(definition.name, { arguments: this.arguments(parent, definition), directives: this.directives() });
    // Where arguments differ, the same name would clash.
    if (this.aliases < 40 && (node.arguments.length > 0 ? random.chance(0.6) : random.chance(0.1))) {
      node.alias = name(random.chance(0.1) ? `__typenames${this.aliases}` : `a${this.aliases}`);
      this.aliases += 1;
    }
    if (isCompositeType(type)) node.selectionSet = selectionSet(this.selections(type, Math.max(depth, 0)));
    return node;
  }

  arguments(parent, definition) {
    const { random } = this;
    const args = [];
    const paged = definition.args.some((one) => one.name === 'first');
    // graphql-js takes arguments here that no published specification has.
    if (parent.name === '__Schema') return args;
    const page = paged && random.chance(0.95) ? random.pick(definition.args.some((one) => one.name === 'last') ? ['first', 'first', 'last'] : ['first']) : null;
    for (const one of definition.args) {
      const pages = one.name === 'first' || one.name === 'last';
      if (pages ? one.name !== page : !isRequiredArgument(one) && !random.chance(0.3)) continue;
      args.push(argument(one.name, this.value(one.type, one, `${parent.name}.${definition.name}.${one.name}`)));
    }
    return random.some(args, args.length);
  }

  /** A value for an argument or an input field: a literal or a variable. */
  value(type, position, path) {
    const { random } = this;
    if (random.chance(0.3)) return variable(this.variableFor(type, position, path));
    return this.literal(type, path);
  }

  variableFor(type, position, path) {
    const { random } = this;
    const key = `v${this.variables.size}`;
    // The place is held while the value is made.
    this.variables.set(key, null);
    const nullable = getNullableType(type);
    if (path.startsWith('__')) type = new GraphQLNonNull(nullable);
    let [declared, value, json] = [String(type), undefined, undefined];
    if (!isNonNullType(type) && random.chance(0.3)) declared = `${type}!`;
    if (isNonNullType(type) && random.chance(0.2)) {
      declared = String(nullable);
      if (position.defaultValue === undefined || random.chance(0.5)) value = this.constant(nullable, path);
    } else if (random.chance(0.3)) {
      value = this.constant(isNonNullType(type) || declared.endsWith('!') ? nullable : type, path);
    }
    const mayMiss = value !== undefined || !declared.endsWith('!');
    if (!mayMiss || random.chance(0.7)) json = this.json(declared.endsWith('!') ? nullable : type, path, declared.endsWith('!'));
    this.variables.set(key, { definition: defined(key, declared, value), json });
    return key;
  }

  literal(type, path) {
    const { random } = this;
    if (!isNonNullType(type) && !path.startsWith('__') && random.chance(0.04)) return { kind: Kind.NULL };
    const nullable = getNullableType(type);
    if (isListType(nullable)) {
      if (random.chance(0.15)) return this.value(nullable.ofType, {}, path);
      const values = [];
      for (let n = random.below(4); n > 0; n -= 1) values.push(this.value(nullable.ofType, {}, path));
      return { kind: Kind.LIST, values };
    }
    if (isInputObjectType(nullable)) return this.objectLiteral(nullable, path, (one) => this.value(one.type, one, `${nullable.name}.${one.name}`));
    return leafLiteral(this.leaf(nullable, path), nullable);
  }

  /** A literal without variables, for a default. */
  constant(type, path) {
    const nullable = getNullableType(type);
    if (!isNonNullType(type) && this.random.chance(0.03)) return { kind: Kind.NULL };
    if (isListType(nullable)) return { kind: Kind.LIST, values: [this.constant(nullable.ofType, path)] };
    if (isInputObjectType(nullable)) return this.objectLiteral(nullable, path, (one) => this.constant(one.type, `${nullable.name}.${one.name}`));
    return leafLiteral(this.leaf(nullable, path), nullable);
  }

  objectLiteral(type, path, make) {
    const fields = [];
    for (const one of Object.values(type.getFields())) {
      if (!isRequiredInputField(one) && !this.random.chance(0.25)) continue;
      fields.push({ kind: Kind.OBJECT_FIELD, name: name(one.name), value: make(one) });
    }
    return { kind: Kind.OBJECT, fields };
  }

  json(type, path, required = false) {
    const { random } = this;
    if (!required && !isNonNullType(type) && random.chance(0.05)) return null;
    const nullable = getNullableType(type);
    if (isListType(nullable)) {
      if (random.chance(0.15)) return this.json(nullable.ofType, path, true);
      const values = [];
      for (let n = random.below(4); n > 0; n -= 1) values.push(this.json(nullable.ofType, path));
      return values;
    }
    if (isInputObjectType(nullable)) {
      const object = {};
      for (const one of Object.values(nullable.getFields())) {
        if (!isRequiredInputField(one) && !random.chance(0.25)) continue;
        object[one.name] = this.json(one.type, `${nullable.name}.${one.name}`);
      }
      return object;
    }
    return this.leaf(nullable, path);
  }

  /** A value of a scalar or an enum as JSON has it. */
  leaf(type, path) {
    const { random, pool } = this;
    const last = path.split('.').at(-1);
    if (isEnumType(type)) return random.pick(type.getValues()).name;
    switch (type.name) {
      case 'Boolean':
        return random.chance(0.5);
      case 'Int':
        return last === 'first' || last === 'last' ? 1 + random.below(4) : random.pick([0, 1, 2, 3, 5, 8, 60, -1, 2147483647, -2147483648]);
      case 'BigInt':
        return random.pick(POSITIONS);
      case 'DateTime':
        return random.pick(INSTANTS);
      case 'ID': {
        if (random.chance(0.04)) return random.pick(['', 'ticket_', 'nothing', 17]);
        if (path === 'Query.queue.id' || path === 'Subscription.queueUpdated.id') return random.pick(pool.queues);
        if (last === 'ids' || path === 'Query.node.id') {
          return random.pick([...pool.tickets, ...pool.queues, ...pool.teams, ...pool.agents, ...pool.customers, ...pool.categories, 'commit_1', 'commit_9']);
        }
        return random.pick(pool[IDS[last]] ?? pool.tickets);
      }
      case 'String': {
        if (last === 'toml') return random.chance(0.5) ? pool.toml : random.pick(['', 'name = "x', '[[policy]]\nkey = "standard"']);
        if (last === 'name' && path.startsWith('Query.__type')) {
          return random.pick([...Object.keys(this.schema.getTypeMap()).filter((one) => !one.startsWith('__')), 'Nothing', '__Type']);
        }
        if (last === 'after' || last === 'before') return random.pick([...pool.cursors, 'zz', '']);
        if (last === 'field' && random.chance(0.8)) return random.pick(pool.fields);
        if (last.startsWith('status') && random.chance(0.8)) return random.pick(pool.statuses);
        return random.pick(WORDS);
      }
      default:
        throw new Error(`no rule says how to make a ${type.name} for ${path}`);
    }
  }
}

/** The fields of a type; of introspection those of the published specifications. */
function fieldsOf(type) {
  const fields = Object.values(type.getFields());
  return type.name === '__Directive' ? fields.filter((one) => !/deprecat/i.test(one.name)) : fields;
}

function leafLiteral(value, type) {
  if (typeof value === 'boolean') return truth(value);
  if (typeof value === 'number') return whole(value);
  if (isEnumType(type)) return enumeration(value);
  return value.includes('\n') && !value.includes('\r') && /\S$/.test(value) ? { ...text(value), block: true } : text(value);
}
