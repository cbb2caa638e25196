// Random documents, two verdicts on each, and the answers' shapes: see README.md.
import { buildSchema, print, stripIgnoredCharacters, visit } from 'graphql';
import { Generator } from './generate.mjs';
import { change, changeText } from './mutate.mjs';
import { Random } from './random.mjs';
import { teach } from './scalars.mjs';
import { Server } from './server.mjs';
import { misfit } from './shape.mjs';
import { judge, kindOf } from './verdict.mjs';

const words = process.argv.slice(2);
const flag = words.indexOf('--only');
const only = flag < 0 ? undefined : Number(words.splice(flag, 2)[1]);
const [program, count = '10000', seed = String(Math.floor(Math.random() * 1e9))] = words;

/** So many requests are in flight. */
const TOGETHER = 8;
/** So many requests may be spent on making one example smaller. */
const SHRINKING = 400;

const server = new Server(program);
const schema = buildSchema(server.schema());
teach(schema);

/** The request with this number: what is sent, and the change that was made to it. */
function make(pool, number) {
  const random = new Random(Number(seed), number);
  const wrong = random.chance(0.5);
  let request;
  for (let tries = 0; tries < 10; tries += 1) {
    request = new Generator(schema, pool, random).request();
    if (judge(schema, bodyOf(request, print(request.document))).valid) break;
  }
  const changes = [];
  if (!wrong) return { body: bodyOf(request, dress(print(request.document), random)), changes };
  if (random.chance(0.12)) {
    return { body: bodyOf(request, changeText(print(request.document), random)), changes: ['text'] };
  }
  changes.push(change(schema, request, random));
  return { body: bodyOf(request, dress(print(request.document), random)), changes };
}

function bodyOf(request, query) {
  const { variables, operationName } = request;
  // What comes out is what the server reads: members without a value are left out.
  return JSON.parse(JSON.stringify({ query, variables, operationName }));
}

/** The same document in other clothes. */
function dress(source, random) {
  switch (random.below(6)) {
    case 0:
      return stripIgnoredCharacters(source);
    case 1:
      return `\ufeff# a comment, "quoted\n${source.replace(/ \{\n/g, ',{ # and another }\r\n,,')}`;
    default:
      return source;
  }
}

/** Asks the server and compares: `beyond`, or what disagrees, or nothing. */
async function compare(body, customer) {
  const verdict = judge(schema, body);
  const { status, text } = await server.ask(customer ? server.customer : server.administrator, body);
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    return { verdict, kind: `no JSON, status ${status}`, said: text.slice(0, 200) };
  }
  const executed = 'data' in answer;
  const first = answer.errors?.[0];
  const said = executed ? `executed (${status})` : `refused (${status}) ${first?.extensions?.code}: ${first?.message}`;
  if (first?.extensions?.code === 'QUERY_TOO_COMPLEX') return { verdict, beyond: true };
  if (executed !== (status === 200) || (!executed && status !== 400)) return { verdict, said, kind: `status ${status} ${executed ? 'with' : 'without'} data` };
  // Over HTTP a subscription is refused whatever it is.
  const wanted = verdict.valid && verdict.operation.operation !== 'subscription';
  if (executed && !wanted) return { verdict, said, kind: verdict.valid ? 'a subscription was executed' : `executed, but is wrong by ${verdict.kind}` };
  if (!executed && wanted) return { verdict, said, kind: `refused, but is right: ${first?.extensions?.code} ${kindOf(first?.message ?? '')}` };
  if (!executed) return { verdict };
  const wrong = misfit(schema, verdict, answer, text);
  if (!wrong) return { verdict, shape: true };
  return { verdict, shape: true, said: `${said}, ${wrong.detail}\n    answer: ${text.slice(0, 600)}`, kind: `shape: ${wrong.kind}` };
}

/** The lists of a document from which something can be taken out, by the way from its root. */
function removals(document) {
  const all = [];
  visit(document, {
    enter(node, _key, _parent, path) {
      for (const key of ['definitions', 'selections', 'arguments', 'directives', 'variableDefinitions', 'fields', 'values']) {
        const least = key === 'definitions' || key === 'selections' ? 1 : 0;
        if (node[key]?.length > least) node[key].forEach((_one, index) => all.push([...path, key, index]));
      }
    },
  });
  return all;
}

/** A document without one of its parts; when tidied, also without variables and fragments that nothing uses then. */
function without(document, path, tidied) {
  const smaller = structuredClone(document);
  path.slice(0, -1).reduce((node, step) => node[step], smaller).splice(path.at(-1), 1);
  if (!tidied) return print(smaller);
  const used = new Set();
  visit(smaller, {
    VariableDefinition: () => false,
    Variable: (node) => void used.add(`$${node.name.value}`),
    FragmentSpread: (node) => void used.add(node.name.value),
  });
  return print(visit(smaller, {
    VariableDefinition: (node) => (used.has(`$${node.variable.name.value}`) ? undefined : null),
    FragmentDefinition: (node) => (used.has(node.name.value) ? undefined : null),
  }));
}

/** Takes parts out of a request as long as it disagrees in the same way. */
async function shrink(found) {
  let left = SHRINKING;
  const still = async (body) => {
    if (left <= 0 || JSON.stringify(body) === JSON.stringify(found.body)) return false;
    left -= 1;
    const again = await compare(body, found.customer);
    if (again.kind !== found.kind) return false;
    Object.assign(found, { body, said: again.said, verdict: again.verdict });
    return true;
  };
  for (let progress = true; progress && left > 0; ) {
    progress = false;
    const { verdict, body } = found;
    const { variables } = body;
    for (const key of variables && typeof variables === 'object' ? Object.keys(variables) : []) {
      const { [key]: _gone, ...rest } = variables;
      progress ||= await still({ ...body, variables: rest });
    }
    progress ||= await still({ query: body.query, variables: body.variables });
    if (verdict.document === undefined || progress) continue;
    for (const path of removals(verdict.document)) {
      for (const tidied of [true, false]) progress ||= await still({ ...body, query: without(verdict.document, path, tidied) });
      if (progress) break;
    }
  }
}

const sums = { valid: 0, invalid: 0, shapes: 0, beyond: 0, disagreements: 0 };
const kinds = new Map();

function note(number, { body, changes }, customer, result) {
  if (result.beyond) {
    sums.beyond += 1;
    return;
  }
  sums[result.verdict.valid ? 'valid' : 'invalid'] += 1;
  if (result.shape) sums.shapes += 1;
  if (!result.kind) return;
  sums.disagreements += 1;
  const size = JSON.stringify(body).length;
  const before = kinds.get(result.kind);
  if (before) before.times += 1;
  if (!before || size < before.size) kinds.set(result.kind, { ...result, size, number, body, changes, customer, times: before?.times ?? 1 });
}

function show(found) {
  const { verdict, body } = found;
  const rest = Object.entries({ variables: body.variables, operationName: body.operationName }).filter(([, value]) => value !== undefined);
  const lines = [
    `${found.times} × ${found.kind}`,
    `    number ${found.number} (--only ${found.number}, seed ${seed}), as ${found.customer ? 'a customer' : 'an administrator'}, change: ${found.changes.join() || 'none'}`,
    ...body.query.trim().split('\n').map((line) => `    | ${line}`),
    ...rest.map(([key, value]) => `    ${key}: ${JSON.stringify(value)}`),
    `    graphql-js: ${verdict.valid ? 'valid' : `${verdict.stage}: ${verdict.message}`}`,
    `    docket: ${found.said}`,
  ];
  console.log(lines.join('\n'));
}

console.error(`seed ${seed}`);
await server.start();
const pool = await server.fill();
if (only !== undefined) {
  const made = make(pool, only);
  const customer = only % 3 === 0;
  const result = await compare(made.body, customer);
  note(only, made, customer, result);
  if (!result.kind) console.log(`${made.body.query}\n${JSON.stringify(made.body.variables)}\n${result.beyond ? 'beyond limits' : 'no disagreement'}`);
} else {
  let next = 0;
  const work = async () => {
    while (next < Number(count)) {
      const number = next;
      next += 1;
      const made = make(pool, number);
      const customer = number % 3 === 0;
      note(number, made, customer, await compare(made.body, customer));
    }
  };
  await Promise.all(Array.from({ length: TOGETHER }, work));
  for (const found of kinds.values()) await shrink(found);
}
for (const found of [...kinds.values()].sort((one, other) => other.times - one.times)) show(found);
const total = only === undefined ? Number(count) : 1;
console.log(
  `${total} documents: ${sums.valid} valid, ${sums.invalid} invalid, ${sums.shapes} shapes compared, ${sums.beyond} beyond limits; ${sums.disagreements} disagreements`,
);
process.exit(sums.disagreements > 0 ? 1 : 0);
