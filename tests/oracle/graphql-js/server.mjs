// A docket of its own: a data folder that is thrown away, a desk, tokens, and a few tickets.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const DESK = fileURLToPath(new URL('../../../examples/desks/small-shop.toml', import.meta.url));

export class Server {
  constructor(program) {
    this.program = program;
    this.folder = mkdtempSync(join(tmpdir(), 'docket-judge-'));
    this.agent = new Agent({ keepAlive: true });
    process.on('exit', () => this.end());
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130));
  }

  command(...words) {
    return execFileSync(this.program, [...words, '--data', join(this.folder, 'data')], { encoding: 'utf8' });
  }

  schema() {
    return execFileSync(this.program, ['schema'], { encoding: 'utf8' });
  }

  async start() {
    this.command('apply', DESK);
    this.administrator = this.command('token', 'create', '--role', 'administrator').trim();
    const words = ['serve', '--listen', '127.0.0.1:0', '--log', 'warn', '--data', join(this.folder, 'data')];
    this.child = spawn(this.program, words, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.said = '';
    this.child.stderr.on('data', (bytes) => (this.said = (this.said + bytes).slice(-4000)));
    this.port = await new Promise((resolve, reject) => {
      let line = '';
      this.child.stdout.on('data', (bytes) => {
        line += bytes;
        const found = /http:\/\/127\.0\.0\.1:(\d+)/.exec(line);
        if (found) resolve(Number(found[1]));
      });
      this.child.on('exit', (code) => reject(new Error(`the server ended with ${code}: ${this.said}`)));
    });
  }

  end() {
    this.child?.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Sends a request's body; gives the status and the answer's text. */
  ask(token, body) {
    const bytes = Buffer.from(JSON.stringify(body));
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'content-length': bytes.length,
      accept: 'application/graphql-response+json',
    };
    return new Promise((resolve, reject) => {
      const sent = request({ port: this.port, host: '127.0.0.1', path: '/graphql', method: 'POST', headers, agent: this.agent });
      sent.on('error', reject);
      sent.on('response', (response) => {
        const parts = [];
        response.on('data', (part) => parts.push(part));
        response.on('end', () => resolve({ status: response.statusCode, text: Buffer.concat(parts).toString() }));
      });
      sent.end(bytes);
    });
  }

  async data(token, query, variables) {
    const { text } = await this.ask(token, { query, variables });
    const answer = JSON.parse(text);
    if (answer.errors) throw new Error(`${query}: ${text}`);
    return answer.data;
  }

  /** Opens a few tickets on which most kinds of things happened; gives the ids and names that documents may ask for. */
  async fill() {
    const ask = (query, variables) => this.data(this.administrator, query, variables);
    const desk = await ask(`{
      queues { nodes { id } } teams { nodes { id } } agents { nodes { id } } categories { nodes { id } }
      desk { statuses { key } fields { key } }
    }`);
    const pool = { toml: readFileSync(DESK, 'utf8'), customers: [], tickets: [] };
    for (const kind of ['queues', 'teams', 'agents', 'categories']) pool[kind] = desk[kind].nodes.map((node) => node.id);
    pool.statuses = desk.desk.statuses.map((status) => status.key);
    pool.fields = desk.desk.fields.map((field) => field.key);
    for (const name of ['Ada', 'Björn', 'Chloé 🚲']) {
      const document = 'mutation ($name: String!) { customerRegister(input: { name: $name, email: "a@example.org" }) { customer { id } } }';
      pool.customers.push((await ask(document, { name })).customerRegister.customer.id);
    }
    const made = await ask(
      'mutation ($id: ID!) { tokenCreate(input: { role: CUSTOMER, customer: $id, label: "judge" }) { secret } }',
      { id: pool.customers[0] },
    );
    this.customer = made.tokenCreate.secret;
    for (let n = 0; n < 8; n += 1) {
      const opened = await ask(
        `mutation ($q: ID, $r: ID, $c: ID, $s: String!) {
          ticketOpen(input: { subject: $s, body: "It does not turn on.", queue: $q, requester: $r, category: $c, priority: HIGH }) { ticket { id } }
        }`,
        { s: `Lamp ${n}`, q: pool.queues[n % 3], r: pool.customers[n % 3], c: pool.categories[n % 6] },
      );
      const id = opened.ticketOpen.ticket.id;
      pool.tickets.push(id);
      const steps = [
        'ticketAddNote(id: $id, input: { body: "A known fault." }) { position }',
        'ticketTag(id: $id, input: { add: ["vip", "lamp"] }) { position }',
        'ticketSetField(id: $id, input: { field: "order-number", text: "A-17" }) { position }',
        `ticketAssign(id: $id, input: { agent: "${pool.agents[n % 5]}" }) { position }`,
        'ticketEscalate(id: $id, input: { reason: "It waits too long" }) { position }',
        'ticketLogCall(id: $id, input: { answered: true, durationS: 90, summary: "Told" }) { position }',
        `ticketTransfer(id: $id, input: { queue: "${pool.queues[(n + 1) % 3]}" }) { position }`,
        'ticketResolve(id: $id, input: {}) { position }',
        'ticketReceive(id: $id, input: { body: "Still dark." }) { position }',
      ];
      for (const step of steps.slice(0, 2 + n)) await ask(`mutation ($id: ID!) { ${step} }`, { id });
    }
    const paged = await ask('{ tickets(first: 3) { edges { cursor } } queues(first: 2) { edges { cursor } } log(first: 3) { edges { cursor } } }');
    pool.cursors = ['tickets', 'queues', 'log'].flatMap((list) => paged[list].edges.map((edge) => edge.cursor));
    return pool;
  }
}
