// One change to a request that makes most of them wrong. Each gets the syntax tree and changes it in its place.
import { Kind, TypeInfo, getNamedType, isAbstractType, isCompositeType, isInputType, isLeafType, isRequiredArgument, parseType, visit, visitWithTypeInfo } from 'graphql';
import { argument, defined, directive, enumeration, field, fragment, inline, named, selectionSet, spread, text, truth, variable, whole } from './generate.mjs';

const name = (value) => ({ kind: Kind.NAME, value });
const ODD_VALUES = [
  text('lamp'), text('2026-13-45T00:00:00Z'), text('-1'), whole(5), whole(3000000000), whole(-1), { kind: Kind.FLOAT, value: '1.5' }, truth(true), enumeration('HIGH'),
  enumeration('NO_SUCH_VALUE'), { kind: Kind.NULL }, { kind: Kind.LIST, values: [] }, { kind: Kind.LIST, values: [{ kind: Kind.NULL }] }, { kind: Kind.LIST, values: [text('x'), whole(1)] },
  { kind: Kind.OBJECT, fields: [] }, { kind: Kind.OBJECT, fields: [{ kind: Kind.OBJECT_FIELD, name: name('nope'), value: whole(1) }] }, enumeration('high'),
];
const ODD_JSON = [null, 'lamp', '', 'HIGH', 'NO_SUCH_VALUE', 5, -1, 1.5, 3000000000, true, [], [null], ['x', 1], {}, { nope: 1 }, '2026-13-45T00:00:00Z', '1850-01-01T00:00:00Z', '-1', '18446744073709551616'];

/** The places of a request: selection sets and fields with their types, arguments, values. */
function placesOf(schema, document) {
  const places = { sets: [], fields: [], args: [], values: [], objects: [], fragments: [], inlines: [], operations: [], definitions: [] };
  const info = new TypeInfo(schema);
  visit(document, visitWithTypeInfo(info, {
    enter(node, key, parent) {
      switch (node.kind) {
        case Kind.SELECTION_SET:
          places.sets.push({ node, type: info.getParentType() });
          break;
        case Kind.FIELD:
          places.fields.push({ node, type: info.getType(), parent: info.getParentType(), siblings: parent, definition: info.getFieldDef() });
          break;
        case Kind.ARGUMENT:
          places.args.push({ node, siblings: parent, definition: info.getArgument() });
          places.values.push({ holder: node, type: info.getInputType() });
          break;
        case Kind.OBJECT_FIELD:
          places.values.push({ holder: node, type: info.getInputType() });
          break;
        case Kind.OBJECT:
          places.objects.push({ node, type: info.getInputType() });
          break;
        case Kind.FRAGMENT_DEFINITION:
          places.fragments.push(node);
          break;
        case Kind.INLINE_FRAGMENT:
          places.inlines.push({ node, parent: info.getParentType() });
          break;
        case Kind.OPERATION_DEFINITION:
          places.operations.push(node);
          break;
        case Kind.VARIABLE_DEFINITION:
          places.definitions.push({ node, siblings: parent });
          break;
        default:
      }
    },
  }));
  return places;
}

const keyOf = (node) => (node.alias ?? node.name).value;
const copy = (node) => structuredClone(node);

/** Every change: gives `false` when the request has no place for it. */
const changes = {
  unknownField: ({ places, random }) => {
    const { node } = random.pick(places.fields);
    node.name = name(random.pick(['nope', 'subjects', '__nope', '__type', '__schema']));
  },
  unknownArgument: ({ places, random }) => {
    const { node } = random.pick(places.fields);
    node.arguments.push(argument('nope', whole(1)));
  },
  unknownDirectiveArgument: ({ places, random }) => {
    const { node } = random.pick(places.fields);
    node.directives.push(directive('include', argument('if', truth(true)), argument('unless', truth(true))));
  },
  unknownType: ({ places, random }) => {
    const some = [...places.fragments, ...places.inlines.map((one) => one.node).filter((one) => one.typeCondition), ...places.definitions.map((one) => one.node)];
    if (some.length === 0) return places.sets.length > 0 && void random.pick(places.sets).node.selections.push(inline('Nope', [field('id')]));
    const node = random.pick(some);
    if (node.kind === Kind.VARIABLE_DEFINITION) node.type = parseType(random.pick(['Nope', '[Nope!]', 'Nope!']));
    else node.typeCondition = named('Nope');
  },
  oddTypeCondition: ({ places, random, schema }) => {
    const other = random.pick(Object.keys(schema.getTypeMap()));
    random.pick(places.sets).node.selections.push(inline(other, [field('__typename')]));
  },
  oddFragmentType: ({ places, random, schema }) => {
    if (places.fragments.length === 0) return false;
    random.pick(places.fragments).typeCondition = named(random.pick(Object.keys(schema.getTypeMap())));
  },
  unknownFragment: ({ places, random }) => void random.pick(places.sets).node.selections.push(spread('Nope')),
  unknownDirective: ({ places, random }) => {
    const holder = random.pick([...places.fields.map((one) => one.node), ...places.operations, ...places.fragments, ...places.inlines.map((one) => one.node), ...places.definitions.map((one) => one.node)]);
    holder.directives.push(directive(random.pick(['nope', 'nope', 'deprecated', 'specifiedBy', 'oneOf'])));
  },
  misplacedDirective: ({ places, random }) => {
    const holder = random.pick([...places.operations, ...places.fragments, ...places.definitions.map((one) => one.node)]);
    holder.directives.push(directive(random.pick(['skip', 'include']), argument('if', truth(false))));
  },
  repeatedDirective: ({ places, random }) => {
    const holder = random.pick([...places.fields, ...places.inlines]).node;
    for (let n = 0; n < 2; n += 1) holder.directives.push(directive('include', argument('if', truth(true))));
  },
  oddDirective: ({ places, random }) => {
    const args = random.pick([[], [argument('if', text('yes'))], [argument('if', { kind: Kind.NULL })], [argument('if', whole(1))], [argument('if', enumeration('TRUE'))], [argument('when', truth(true))], [argument('if', variable('undefinedFlag'))], [argument('if', { kind: Kind.LIST, values: [truth(true)] })]]);
    random.pick([...places.fields, ...places.inlines]).node.directives.push(directive(random.pick(['skip', 'include']), ...args));
  },
  directiveVariableOfWrongType: ({ places, random, request }) => {
    random.pick(places.fields).node.directives.push(directive('skip', argument('if', variable('odd'))));
    const [type, value, json] = random.pick([['Boolean', undefined, false], ['String!', undefined, 'x'], ['[Boolean!]!', undefined, [false]], ['Int', whole(1), 1], ['Boolean', truth(false), undefined]]);
    for (const one of places.operations) one.variableDefinitions.push(defined('odd', type, value));
    request.variables = { ...request.variables, odd: json };
  },
  unknownVariable: ({ places, random }) => {
    if (places.values.length === 0) return false;
    const { holder } = random.pick(places.values);
    const unknown = variable('undefinedValue');
    holder.value = holder.value.kind === Kind.LIST && random.chance(0.5) ? { ...holder.value, values: [...holder.value.values, unknown] } : unknown;
  },
  unusedVariable: ({ places, random, request }) => {
    random.pick(places.operations).variableDefinitions.push(defined('unused', random.pick(['Int', 'String', '[ID!]', 'TicketFilter', 'DateTime'])));
    if (random.chance(0.3)) request.variables = { ...request.variables, unused: null };
  },
  unusedFragment: ({ document, random }) => void document.definitions.push(random.pick([fragment('Unused', 'Ticket', [field('id')]), fragment('Unused', 'Node', [field('id')]), fragment('Unused', 'Ticket', [field('nope')])])),
  missingArgument: ({ places, random }) => {
    const required = places.args.filter((one) => one.definition && isRequiredArgument(one.definition));
    if (required.length === 0) return false;
    const { node, siblings } = random.pick(required);
    siblings.splice(siblings.indexOf(node), 1);
  },
  missingInputField: ({ places, random }) => {
    const filled = places.objects.filter((one) => one.node.fields.length > 0);
    if (filled.length === 0) return false;
    const { node } = random.pick(filled);
    node.fields.splice(random.below(node.fields.length), 1);
  },
  unknownInputField: ({ places, random }) => {
    if (places.objects.length === 0) return false;
    random.pick(places.objects).node.fields.push({ kind: Kind.OBJECT_FIELD, name: name('nope'), value: whole(1) });
  },
  oddValue: ({ places, random }) => {
    if (places.values.length === 0) return false;
    const { holder } = random.pick(places.values);
    const odd = copy(random.pick(ODD_VALUES));
    holder.value = holder.value.kind === Kind.LIST && random.chance(0.5) ? { kind: Kind.LIST, values: [...holder.value.values, odd] } : odd;
  },
  oddDefault: ({ places, random }) => {
    if (places.definitions.length === 0) return false;
    random.pick(places.definitions).node.defaultValue = copy(random.pick(ODD_VALUES));
  },
  clashingFields: ({ places, random }) => {
    const pairs = places.fields.filter((one) => one.siblings.filter((other) => other.kind === Kind.FIELD).length > 1);
    if (pairs.length === 0) return false;
    const { node, siblings } = random.pick(pairs);
    const other = random.pick(siblings.filter((one) => one.kind === Kind.FIELD && one !== node));
    other.alias = name(keyOf(node));
  },
  clashingArguments: ({ places, random }) => {
    const some = places.fields.filter((one) => one.definition?.args.length > 0);
    if (some.length === 0) return false;
    const { node, siblings, definition } = random.pick(some);
    const twin = copy(node);
    if (twin.arguments.length > 0 && random.chance(0.6)) twin.arguments.splice(random.below(twin.arguments.length), 1);
    else {
      const left = definition.args.filter((one) => !twin.arguments.some((given) => given.name.value === one.name) && String(getNamedType(one.type)) === 'Int');
      if (left.length === 0) twin.arguments.reverse();
      else twin.arguments.push(argument(left[0].name, whole(2)));
    }
    siblings.push(random.chance(0.3) ? inline(undefined, [twin]) : twin);
  },
  clashingBelow: ({ places, random }) => {
    const some = places.fields.filter((one) => one.node.selectionSet && one.type && !isAbstractType(getNamedType(one.type)));
    if (some.length === 0) return false;
    const { node, siblings, type } = random.pick(some);
    const leaves = Object.values(getNamedType(type).getFields()).filter((one) => isLeafType(getNamedType(one.type)) && one.args.length === 0);
    if (leaves.length < 2) return false;
    const [one, two] = random.some(leaves, 2);
    node.selectionSet.selections.push(field(one.name, { alias: name('clash') }));
    const twin = { ...copy(node), directives: [], selectionSet: selectionSet([field(two.name, { alias: name('clash') })]) };
    siblings.push(random.chance(0.5) ? inline(undefined, [twin]) : twin);
  },
  clashingShapes: ({ places, random, schema }) => {
    const abstract = places.sets.filter((one) => one.type && isAbstractType(one.type));
    if (abstract.length === 0) return false;
    const { node, type } = random.pick(abstract);
    const possible = random.some(schema.getPossibleTypes(type), 2);
    if (possible.length < 2) return false;
    // Fields without required arguments, whatever their types: lists, objects, scalars, with null and without.
    const picks = possible.map((one) => random.pick(Object.values(one.getFields()).filter((of) => !of.args.some(isRequiredArgument))));
    const selections = picks.map((of) => field(of.name, {
      alias: name('shape'),
      ...(isCompositeType(getNamedType(of.type)) ? { selectionSet: selectionSet([field('__typename'), ...(random.chance(0.5) ? [field(Object.values(getNamedType(of.type).getFields?.() ?? {}).find((leaf) => isLeafType(getNamedType(leaf.type)))?.name ?? '__typename', { alias: name('deep') })] : [])]) } : {}),
    }));
    possible.forEach((one, n) => node.selections.push(inline(one.name, [selections[n]])));
  },
  clashingInFragments: ({ places, random, document }) => {
    const some = places.sets.filter((one) => one.type && !isAbstractType(one.type) && one.type.getFields);
    if (some.length === 0) return false;
    const { node, type } = random.pick(some);
    const leaves = Object.values(type.getFields()).filter((one) => isLeafType(getNamedType(one.type)) && one.args.length === 0);
    if (leaves.length < 2) return false;
    const [one, two] = random.some(leaves, 2);
    document.definitions.push(fragment('Left', type.name, [field(one.name, { alias: name('clash') })]));
    document.definitions.push(fragment('Right', type.name, [random.chance(0.5) ? inline(undefined, [field(two.name, { alias: name('clash') })]) : field(two.name, { alias: name('clash') })]));
    node.selections.push(spread('Left'), spread('Right'));
  },
  circle: ({ places, random, document }) => {
    const { node, type } = random.pick(places.sets);
    if (!type) return false;
    const length = 1 + random.below(3);
    for (let n = 0; n < length; n += 1) document.definitions.push(fragment(`Circle${n}`, type.name, [field('__typename'), spread(`Circle${(n + 1) % length}`)]));
    if (random.chance(0.8)) node.selections.push(spread('Circle0'));
  },
  circleThroughFields: ({ document, places, random }) => {
    document.definitions.push(fragment('Tree', 'Category', [field('id'), field('parent', { selectionSet: selectionSet([spread('Tree')]) })]));
    if (random.chance(0.7)) random.pick(places.operations).selectionSet.selections.push(field('categories', { arguments: [argument('first', whole(1))], alias: name('trees'), selectionSet: selectionSet([field('nodes', { selectionSet: selectionSet([spread('Tree')]) })]) }));
  },
  leafWithSelection: ({ places, random }) => {
    const leaves = places.fields.filter((one) => !one.node.selectionSet);
    if (leaves.length === 0) return false;
    random.pick(leaves).node.selectionSet = selectionSet([field(random.pick(['id', '__typename']))]);
  },
  compositeWithoutSelection: ({ places, random }) => {
    const some = places.fields.filter((one) => one.node.selectionSet);
    if (some.length === 0) return false;
    delete random.pick(some).node.selectionSet;
  },
  twoOperationsOfOneName: ({ document, places, random }) => {
    const one = random.pick(places.operations);
    one.name = name(one.name?.value ?? 'Op0');
    document.definitions.push({ ...copy(one), operation: 'query', variableDefinitions: [], selectionSet: selectionSet([field('__typename')]) });
  },
  twoFragmentsOfOneName: ({ document, places, random }) => {
    if (places.fragments.length === 0) return false;
    document.definitions.push(copy(random.pick(places.fragments)));
  },
  twoVariablesOfOneName: ({ places, random }) => {
    if (places.definitions.length === 0) return false;
    const { node, siblings } = random.pick(places.definitions);
    siblings.push(copy(node));
  },
  twoArgumentsOfOneName: ({ places, random }) => {
    if (places.args.length === 0) return false;
    const { node, siblings } = random.pick(places.args);
    siblings.push(copy(node));
  },
  twoInputFieldsOfOneName: ({ places, random }) => {
    const filled = places.objects.filter((one) => one.node.fields.length > 0);
    if (filled.length === 0) return false;
    const { node } = random.pick(filled);
    node.fields.push(copy(random.pick(node.fields)));
  },
  variableOfOtherType: ({ places, random, schema }) => {
    if (places.definitions.length === 0) return false;
    const { node } = random.pick(places.definitions);
    const inputs = Object.values(schema.getTypeMap()).filter((one) => isInputType(one) && !one.name.startsWith('__'));
    const bare = (type) => (type.kind === Kind.NON_NULL_TYPE ? type.type : type);
    node.type = random.pick([
      () => parseType(random.pick(inputs).name),
      () => bare(node.type),
      () => ({ kind: Kind.NON_NULL_TYPE, type: bare(node.type) }),
      () => ({ kind: Kind.LIST_TYPE, type: node.type }),
      () => ({ kind: Kind.NON_NULL_TYPE, type: { kind: Kind.LIST_TYPE, type: node.type } }),
      () => (bare(node.type).kind === Kind.LIST_TYPE ? bare(node.type).type : node.type),
      () => named(random.pick(['Ticket', 'Node', 'TimelineEntry', 'Query'])),
    ])();
  },
  variableInDefault: ({ places, random }) => {
    if (places.definitions.length === 0) return false;
    random.pick(places.definitions).node.defaultValue = variable(random.pick(places.definitions).node.variable.name.value);
  },
  severalAnonymous: ({ document, places, random, request }) => {
    if (random.chance(0.5)) delete random.pick(places.operations).name;
    document.definitions.push({ kind: Kind.OPERATION_DEFINITION, operation: 'query', ...(random.chance(0.5) ? { name: name('Other') } : {}), variableDefinitions: [], directives: [], selectionSet: selectionSet([field('__typename')]) });
    if (random.chance(0.3)) request.operationName = 'Other';
  },
  subscriptionBeside: ({ document, places, random, request }) => {
    const update = (alias) => field('queueUpdated', { ...(alias ? { alias: name(alias) } : {}), arguments: [argument('id', text('queue_orders'))], selectionSet: selectionSet([field('position')]) });
    const log = field('logAppended', { selectionSet: selectionSet([field('position')]) });
    const roots = random.pick([[update(), log], [update('one'), update('two')], [field('__typename')], [update()], [log, field('__typename')], [inline('Subscription', [update(), log])], [spread('Roots')], [update(), copy(update())], [{ ...update(), directives: [directive('skip', argument('if', truth(true)))] }]]);
    if (roots[0].kind === Kind.FRAGMENT_SPREAD) document.definitions.push(fragment('Roots', 'Subscription', [update(), log]));
    const main = random.pick(places.operations);
    main.name ??= name('Op0');
    request.operationName = main.name.value;
    document.definitions.push({ kind: Kind.OPERATION_DEFINITION, operation: 'subscription', name: name('Watch'), variableDefinitions: [], directives: [], selectionSet: selectionSet(roots) });
  },
  typeDefinition: ({ document, random }) => void document.definitions.push(random.pick([
    { kind: Kind.OBJECT_TYPE_DEFINITION, name: name('Extra'), fields: [{ kind: Kind.FIELD_DEFINITION, name: name('id'), type: named('ID') }] },
    { kind: Kind.SCALAR_TYPE_DEFINITION, name: name('Extra') },
    { kind: Kind.OBJECT_TYPE_EXTENSION, name: name('Ticket'), fields: [{ kind: Kind.FIELD_DEFINITION, name: name('extra'), type: named('ID') }] },
  ])),
  oddOperationName: ({ random, request }) => {
    request.operationName = random.pick(['Nope', '', 'op0', undefined, null]);
  },
  missingVariable: ({ random, request }) => {
    const keys = Object.keys(request.variables ?? {});
    if (keys.length === 0) return false;
    delete request.variables[random.pick(keys)];
  },
  oddVariable: ({ random, request }) => {
    const keys = Object.keys(request.variables ?? {}).filter((key) => !key.startsWith('flag'));
    if (keys.length === 0) return false;
    const key = random.pick(keys);
    const value = request.variables[key];
    const odd = random.pick(ODD_JSON);
    if (Array.isArray(value) && random.chance(0.5)) value.push(odd);
    else if (value && typeof value === 'object' && random.chance(0.7)) value[random.pick([...Object.keys(value), 'nope'])] = odd;
    else request.variables[key] = odd;
  },
  noVariables: ({ random, request }) => {
    request.variables = random.pick([undefined, null, {}, [], 'x', 5, true]);
  },
};

/** Changes to the text of a document. */
const textChanges = [
  (source, random) => source.slice(0, random.below(source.length)),
  (source, random) => splice(source, random.below(source.length), 1, ''),
  (source, random) => splice(source, random.below(source.length), 0, random.pick(['{', '}', '(', ')', '!', '$', '@', '"', '...', '|', '&', '[', ']', ':', '=', '?', '%', '\\', '\u0000', '\u00a0', '\ufeff', '#', 'ü', '.', '-', '0'])),
  (source, random) => source.replace(/\b\d+\b/, random.pick(['01', '1.', '1.e2', '1e', '-', '.5', '0x1F', '1a', '-0', '1_000', '+1', '00', '2e3', '1.0'])),
  (source, random) => source.replace(/"[^"\\\n]*"/, random.pick(['"\\q"', '"\\u12"', '"\\uD800"', '"\\uD83D\\uDE80"', '"\\u{1F680}"', '"\\u{}"', '"\\u{110000}"', '"a\nb"', '"\t"', '"""', '"""a"""', '"""\\""""""', '"""\n  a\n   b\n"""', '"\\/\\b\\f\\n\\r\\t\\""', "'x'", '""', '"\u0007"'])),
  (source, random) => source.replace(/\{[^{}]*\}/, random.pick(['{}', '{ }', '{ , }', '{ ... }', '{ ...on }', '{ a: }', '{ __typename, }', '{ ... @include(if: true) { __typename } }', '{ a: b: __typename }'])),
  (source, random) => source.replace(/\([^()]*\)/, random.pick(['()', '( )', '(,)', '(id)', '(id:)', '(: 1)', '($x: Int)', '(id: 1,,)'])),
  (source) => source.replace(/fragment \w+/, 'fragment on'),
  (source, random) => source.replace(/^\s*(query|mutation|subscription)/m, random.pick(['Query', 'fetch', 'query query', 'query 1', 'query on', 'query fragment', ''])),
  (source, random) => source.replace(/\b(true|false|null)\b/, random.pick(['True', 'NULL', 'nil', '"true"'])),
];

function splice(source, at, remove, insert) {
  return source.slice(0, at) + insert + source.slice(at + remove);
}

/** Makes one change to a request; gives its name. */
export function change(schema, request, random) {
  for (;;) {
    const key = random.pick(Object.keys(changes));
    const places = placesOf(schema, request.document);
    if (changes[key]({ schema, request, document: request.document, places, random }) !== false) return key;
  }
}

/** Makes one change to a document's text. */
export function changeText(source, random) {
  return random.pick(textChanges)(source, random);
}
