// GraphiQL with a token and worked examples for the first ten tasks, one a tab, named by its operation. Uses nothing but the
// public API. A test sends every example: each stands on one line.
'use strict';

const EXAMPLES = [
  ['1 Who am I', 'query WhoAmI {\n  viewer { role label agent { name } customer { name } }\n  serverStatus { version position now }\n}'],
  ['2 Queues', '# What waits where.\nquery Queues {\n  queues(first: 20) {\n    nodes { id name counters { unfinished unassigned overdue oldestUnfinishedAt } }\n  }\n}'],
  ['3 Most urgent', '# The open tickets that are due first.\nquery MostUrgent {\n  tickets(filter: { statusCategories: [NEW, OPEN] }, orderBy: { field: DUE_AT }, first: 10) {\n    totalCount\n    nodes { id number subject priority dueAt queue { name } agent { name } }\n    pageInfo { hasNextPage endCursor }\n  }\n}'],
  ['4 One ticket', '# A ticket with its whole history.\nquery OneTicket {\n  ticketByNumber(number: 1) {\n    id number subject status { name category } version\n    slaClocks { track metric state dueAt met }\n    timeline(first: 50) {\n      nodes {\n        __typename occurredAt\n        actor { ... on Agent { name } ... on Customer { name } ... on Administrator { name } ... on System { name } }\n        ... on OpeningEntry { subject }\n        ... on MessageEntry { direction body }\n        ... on NoteEntry { body }\n        ... on StatusEntry { status { name } previousStatus { name } reopened }\n        ... on AssignmentEntry { agent { name } team { name } returnedToQueue }\n        ... on SlaEntry { kind metric dueAt }\n      }\n    }\n  }\n}'],
  ['5 Open a ticket', 'mutation OpenATicket {\n  ticketOpen(input: { subject: "The printer is on fire", body: "Please hurry.", channel: WEB, priority: URGENT, clientMutationId: "try-1" }) {\n    ticket { id number status { name } dueAt }\n    position\n    userErrors { code message path }\n  }\n}'],
  ['6 Answer', '# Put the id of a ticket in the variables. expectedVersion stops an answer to what you have not read.\nmutation Answer($id: ID!) {\n  ticketReply(id: $id, input: { body: "Help is on its way." }) {\n    ticket { number status { name } firstResponseAt version }\n    userErrors { code message path currentVersion }\n  }\n}'],
  ['7 Answer and resolve', '# Several acts in one commit: all of them, or none.\nmutation AnswerAndResolve($id: ID!, $agent: ID!) {\n  ticketWork(id: $id, input: { acts: [{ assign: { agent: $agent } }, { reply: { body: "Done." } }, { setStatus: { category: RESOLVED } }] }) {\n    ticket { agent { name } status { name } resolvedAt }\n    position\n    userErrors { code message path }\n  }\n}'],
  ['8 Due soon', '# Everything that comes due until then.\nquery DueSoon($until: DateTime!) {\n  timers(dueBefore: $until, first: 20) { at kind metric ticket { number subject } }\n}'],
  ['9 Report', 'query Report {\n  report {\n    totals { created { tickets } resolved { events tickets } reopened { events tickets } lastResolution { n mean median p90 } }\n    sla { policy metric met missed compliance }\n    backlog { at tickets unresolved }\n  }\n}'],
  ['10 Watch', '# Put the id of a queue in the variables, run it, and open a ticket in another tab.\nsubscription Watch($id: ID!) {\n  queueUpdated(id: $id) { position counters { unfinished unassigned overdue } }\n}'],
];

const KEY = 'docket-token';
const input = document.getElementById('token');
const who = document.getElementById('who');
// A token put behind # never reaches the server or its log.
const handed = new URLSearchParams(location.hash.slice(1)).get('token');
if (handed) { sessionStorage.setItem(KEY, handed); history.replaceState(null, '', location.pathname); }
const token = () => sessionStorage.getItem(KEY) ?? '';
input.value = token();

async function fetcher(request) {
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json', authorization: `Bearer ${token()}` },
    body: JSON.stringify(request),
  });
  return response.json();
}

async function introduce() {
  who.textContent = '';
  if (!token()) { who.textContent = 'no token yet'; return; }
  const answer = await fetcher({ query: '{ viewer { role label } }' });
  who.textContent = answer.data ? `${answer.data.viewer.role.toLowerCase()} “${answer.data.viewer.label}”` : answer.errors[0].message;
}

let root;
function show() {
  const wsClient = graphqlWs.createClient({
    url: `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`,
    connectionParams: () => ({ authorization: `Bearer ${token()}` }),
  });
  const graphiqlFetcher = GraphiQL.createFetcher({ url: '/graphql', fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${token()}` } }), wsClient });
  root?.unmount();
  root = ReactDOM.createRoot(document.getElementById('graphiql'));
  root.render(React.createElement(GraphiQL, {
    fetcher: graphiqlFetcher,
    shouldPersistHeaders: false,
    defaultTabs: EXAMPLES.map(([title, query]) => ({ title, query: `# ${title}\n${query}\n` })),
  }));
}

document.getElementById('token-bar').addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, input.value.trim());
  introduce();
  show();
});
introduce();
show();
