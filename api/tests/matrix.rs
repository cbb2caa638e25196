//! Every operation of the schema, every edge and every route, as every role, on tickets that are one's own, of the same queue,
//! of a queue that is only read, of another one, and not there: allowed as the table says, and nothing leaks.
//!
//! An operation or route without a line here fails the test.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

use docket_api::clock::{Clock, SystemClock};
use futures_util::SinkExt;
use serde_json::{Value, json};
use support::{
    Docket,
    schema::{Types, halves, named},
    shop::{Shop, next, socket},
};
use tokio_tungstenite::tungstenite::Message;

const DESK: &str = r#"
name = "Desk"
[[status]]
key = "new"
name = "New"
category = "new"
[[status]]
key = "open"
name = "Open"
category = "open"
[[status]]
key = "resolved"
name = "Resolved"
category = "resolved"
[[status]]
key = "closed"
name = "Closed"
category = "closed"
[[team]]
key = "first"
name = "First"
[[team]]
key = "second"
name = "Second"
[[agent]]
key = "ann"
name = "Ann"
teams = ["first"]
[[agent]]
key = "sam"
name = "Sam"
[[agent]]
key = "bob"
name = "Bob"
queues = { orders = "work", billing = "read" }
[[agent]]
key = "sue"
name = "Sue"
queues = {}
[[queue]]
key = "orders"
name = "Orders"
team = "first"
default = true
[[queue]]
key = "billing"
name = "Billing"
[[queue]]
key = "complaints"
name = "Complaints"
[[category]]
key = "parcels"
name = "Parcels"
[[category]]
key = "lost"
name = "Lost"
parent = "parcels"
[[field]]
key = "order"
name = "Order"
type = "text"
[[calendar]]
key = "office"
name = "Office"
zone = "Europe/London"
holidays = ["2026-01-01"]
[calendar.hours]
monday = ["09:00-17:00"]
[[policy]]
key = "promise"
name = "Promise"
resolution = { default = "40000h" }
"#;

/// Tickets by how they stand to whoever asks: the customer's own and somebody else's in a queue where agents of some queues work,
/// one in a queue that they read, one in a queue that is not theirs.
const TICKETS: [(&str, &str); 4] =
    [("OWN", "orders"), ("SAME", "orders"), ("READ", "billing"), ("OTHER", "complaints")];

/// A role, and what the table of rights gives it: for each of the tickets the letters of read, internal, ask, note and work.
struct Bearer {
    name: &'static str,
    on: [&'static str; 4],
    /// May see the desk's people and policies.
    people: bool,
    /// Sees the tickets of every queue.
    whole: bool,
    /// May read log and tokens.
    records: bool,
    /// Administers.
    administers: bool,
    /// Registers customers.
    registers: bool,
    /// Has a token that holds.
    comes_in: bool,
    /// Is an agent, whatever kind.
    is_agent: bool,
}

const fn bearer(name: &'static str, on: [&'static str; 4]) -> Bearer {
    Bearer {
        name,
        on,
        people: true,
        whole: false,
        records: false,
        administers: false,
        registers: false,
        comes_in: true,
        is_agent: false,
    }
}

const NOBODY: Bearer = Bearer { people: false, comes_in: false, ..bearer("", [""; 4]) };

fn bearers() -> Vec<Bearer> {
    let all = ["rianw"; 4];
    vec![
        Bearer { whole: true, records: true, administers: true, registers: true, ..bearer("administrator", all) },
        Bearer { whole: true, registers: true, is_agent: true, ..bearer("supervisor", all) },
        Bearer { whole: true, registers: true, is_agent: true, ..bearer("agent of all queues", all) },
        Bearer { registers: true, is_agent: true, ..bearer("agent", ["rianw", "rianw", "ri", ""]) },
        Bearer { is_agent: true, ..bearer("light agent", ["rin", "rin", "ri", ""]) },
        Bearer { people: false, ..bearer("customer", ["ra", "", "", ""]) },
        Bearer { people: false, ..bearer("customer manager", ["ra", "", "", ""]) },
        Bearer { whole: true, records: true, ..bearer("auditor", ["ri"; 4]) },
        Bearer { whole: true, registers: true, ..bearer("service", all) },
        Bearer { name: "revoked", ..NOBODY },
        Bearer { name: "ended", ..NOBODY },
        Bearer { name: "left", ..NOBODY },
        Bearer { name: "none", ..NOBODY },
    ]
}

/// What somebody must have.
#[derive(Clone, Copy)]
enum Need {
    /// A token.
    Token,
    /// To read the ticket: otherwise it is not there.
    Read,
    /// To do this with the ticket, by its letter.
    Do(char),
    /// To answer: as the customer with the letter of asking, else with that of work.
    Answer,
    /// To read what is counted of the ticket's queue.
    Counters,
    /// To be an agent who reads the ticket.
    Look,
    /// To see the desk's people.
    People,
    /// To see the tickets of every queue.
    Whole,
    /// To read log and tokens.
    Records,
    /// To administer.
    Administer,
    /// To register customers.
    Register,
}

/// Every operation with what it needs. `TICKET`, `NUMBER`, `KEY`, `QUEUE` and `REQUESTER` stand for those of each ticket in turn. What
/// would change a ticket names a version that it has not: whoever may is told of the conflict, and nothing changes.
const QUERIES: &[(&str, &str, Need)] = &[
    ("accessAt", "accessAt(ticket: \"TICKET\", at: \"NOW\") { readsInternal }", Need::Records),
    ("agents", "agents { totalCount }", Need::People),
    ("categories", "categories { totalCount }", Need::Token),
    ("customers", "customers { totalCount }", Need::People),
    ("desk", "desk { name }", Need::Token),
    ("log", "log(first: 1) { nodes { position } }", Need::Records),
    ("node", "node(id: \"TICKET\") { id }", Need::Read),
    ("nodes", "nodes(ids: [\"TICKET\"]) { id }", Need::Read),
    ("queue", "queue(id: \"queue_QUEUE\") { key }", Need::Token),
    ("queues", "queues { totalCount }", Need::Token),
    ("report", "report { totals { created { tickets } } }", Need::People),
    ("serverStatus", "serverStatus { version }", Need::Token),
    (
        "slaWhatIf",
        r#"slaWhatIf(toml: "[[policy]]\nkey = \"promise\"\nname = \"P\"\nresolution = { default = \"2h\" }") { identical }"#,
        Need::Whole,
    ),
    ("teams", "teams { totalCount }", Need::People),
    ("ticket", "ticket(id: \"TICKET\") { id subject }", Need::Read),
    ("ticketByNumber", "ticketByNumber(number: NUMBER) { id }", Need::Read),
    ("ticketByReference", "ticketByReference(source: \"elsewhere\", key: \"KEY\") { id }", Need::Read),
    ("tickets", "tickets { totalCount }", Need::Token),
    ("timers", "timers(dueBefore: \"2100-01-01T00:00:00Z\") { at }", Need::People),
    ("tokens", "tokens { totalCount }", Need::Records),
    ("viewer", "viewer { role }", Need::Token),
];

const MUTATIONS: &[(&str, &str, Need)] = &[
    ("customerRegister", "customerRegister(input: { name: \"\" })", Need::Register),
    ("deskApply", "deskApply(input: { toml: \"name = \\\"x\\\"\", dryRun: true })", Need::Administer),
    ("slaReapply", "slaReapply(input: { dryRun: true })", Need::Administer),
    ("ticketAddNote", "ticketAddNote(id: \"TICKET\", input: { body: \"x\", VERSION })", Need::Do('n')),
    ("ticketAssign", "ticketAssign(id: \"TICKET\", input: { agent: \"ann\", VERSION })", Need::Do('w')),
    ("ticketClose", "ticketClose(id: \"TICKET\", input: { VERSION })", Need::Do('w')),
    ("ticketEscalate", "ticketEscalate(id: \"TICKET\", input: { reason: \"x\", VERSION })", Need::Do('w')),
    ("ticketFollow", "ticketFollow(id: \"TICKET\", input: { agent: \"ann\", VERSION })", Need::Do('w')),
    ("ticketLogCall", "ticketLogCall(id: \"TICKET\", input: { answered: true, VERSION })", Need::Do('w')),
    ("ticketLook", "ticketLook(id: \"TICKET\", input: { })", Need::Look),
    (
        "ticketLowerEscalation",
        "ticketLowerEscalation(id: \"TICKET\", input: { reason: \"x\", VERSION })",
        Need::Do('w'),
    ),
    (
        "ticketOpen",
        "ticketOpen(input: { subject: \"x\", queue: \"QUEUE\", category: \"no-such\", REQUESTER })",
        Need::Do('a'),
    ),
    ("ticketReopen", "ticketReopen(id: \"TICKET\", input: { VERSION })", Need::Do('w')),
    ("ticketReply", "ticketReply(id: \"TICKET\", input: { body: \"x\", VERSION })", Need::Answer),
    ("ticketResolve", "ticketResolve(id: \"TICKET\", input: { VERSION })", Need::Do('w')),
    (
        "ticketSetField",
        "ticketSetField(id: \"TICKET\", input: { field: \"order\", text: \"x\", VERSION })",
        Need::Do('w'),
    ),
    ("ticketSetStatus", "ticketSetStatus(id: \"TICKET\", input: { category: OPEN, VERSION })", Need::Do('w')),
    ("ticketTag", "ticketTag(id: \"TICKET\", input: { add: [\"x\"], VERSION })", Need::Do('w')),
    ("ticketTransfer", "ticketTransfer(id: \"TICKET\", input: { queue: \"billing\", VERSION })", Need::Do('w')),
    ("ticketUpdate", "ticketUpdate(id: \"TICKET\", input: { subject: \"x\", VERSION })", Need::Do('w')),
    ("ticketWork", "ticketWork(id: \"TICKET\", input: { acts: [{ reply: { body: \"x\" } }], VERSION })", Need::Answer),
    (
        "ticketWork",
        "ticketWork(id: \"TICKET\", input: { acts: [{ addNote: { body: \"x\" } }], VERSION })",
        Need::Do('n'),
    ),
    ("tokenCreate", "tokenCreate(input: { role: AUDITOR, label: \"\" })", Need::Administer),
    ("tokenRevoke", "tokenRevoke(id: \"token_01ARZ3NDEKTSV4RRFFQ69G5FAV\", input: {})", Need::Administer),
];

const SUBSCRIPTIONS: &[(&str, &str, Need)] = &[
    ("logAppended", "logAppended(after: \"0\") { position }", Need::Records),
    ("queueUpdated", "queueUpdated(id: \"queue_QUEUE\") { counters { total } }", Need::Counters),
    ("ticketUpdated", "ticketUpdated(id: \"TICKET\", after: \"0\") { ticket { subject } }", Need::Read),
];

/// Every route, what it answers to whoever comes in, and to whoever does not.
const ROUTES: &[(&str, u16, u16)] = &[
    ("/", 307, 307),
    ("/graphql", 200, 401),
    // The token of a socket comes with its first message.
    ("/ws", 400, 400),
    ("/graphiql", 200, 200),
    ("/graphiql/{file}", 404, 404),
    ("/livez", 200, 200),
    ("/readyz", 200, 200),
];

/// A ticket as it is asked for.
#[derive(Clone, PartialEq, Eq)]
struct Target {
    ticket: String,
    number: String,
    key: String,
    queue: &'static str,
    requester: String,
}

impl Target {
    fn in_document(&self, document: &str, now: &str) -> String {
        let requester =
            if self.requester.is_empty() { String::new() } else { format!("requester: \"{}\"", self.requester) };
        document
            .replace("TICKET", &self.ticket)
            .replace("NUMBER", &self.number)
            .replace("KEY", &self.key)
            .replace("QUEUE", self.queue)
            .replace("REQUESTER", &requester)
            .replace("VERSION", "expectedVersion: \"1\"")
            .replace("NOW", now)
    }
}

struct Stage {
    shop: Shop,
    /// A token for each of the bearers.
    tokens: BTreeMap<&'static str, String>,
    /// Those of the tickets, and last one that is not there.
    targets: Vec<Target>,
    now: String,
}

/// Tickets that have a name in another system come from there.
const MAPPING: &str = r#"
source = "elsewhere"
[time]
format = "%d/%m/%Y %H:%M"
zone = "UTC"
[ticket]
key = "id"
opened_at = "opened"
subject = "{id}"
queue = "Orders"
[event]
at = "at"
[status]
column = "state"
unknown = "open"
[status.values]
New = { key = "new", category = "new" }
"#;

impl Stage {
    async fn open() -> Self {
        let docket = Docket::new();
        let desk = docket.write("desk.toml", &(DESK.to_owned() + "[[agent]]\nkey = \"lee\"\nname = \"Lee\"\n"));
        docket.ok(&["apply", desk.to_str().unwrap()]);
        let left = docket.token(&["--role", "agent", "--agent", "lee"]);
        let desk = docket.write("desk.toml", DESK);
        docket.ok(&["apply", desk.to_str().unwrap()]);
        let mut tokens = BTreeMap::from([("left", left), ("none", String::new())]);
        for (name, args) in [
            ("supervisor", &["--role", "supervisor", "--agent", "sue"][..]),
            ("agent", &["--role", "agent", "--agent", "bob"]),
            ("light agent", &["--role", "light-agent", "--agent", "bob"]),
            ("service", &["--role", "service", "--label", "robot"]),
            ("revoked", &["--role", "agent", "--agent", "ann"]),
        ] {
            tokens.insert(name, docket.token(args));
        }
        let ends = SystemClock.now().plus_millis(1_500).to_string();
        tokens.insert("ended", docket.token(&["--role", "administrator", "--expires", &ends]));
        let rows = TICKETS.map(|(word, _)| format!("ZZ-{word},1/6/2026 08:00,2/6/2026 09:00,New\n")).concat();
        let (csv, mapping) =
            (docket.write("log.csv", &format!("id,opened,at,state\n{rows}")), docket.write("map.toml", MAPPING));
        docket.ok(&["import", "--mapping", mapping.to_str().unwrap(), csv.to_str().unwrap()]);
        let shop = Shop::in_docket(docket).await;
        tokens.insert("administrator", shop.admin.clone());
        tokens.insert("agent of all queues", shop.agent.clone());
        tokens.insert("customer", shop.customer.clone());
        tokens.insert("auditor", shop.auditor.clone());
        let create = "mutation ($id: ID!) { tokenCreate(input: { role: CUSTOMER_MANAGER, customer: $id, label: \"m\" }) { secret } }";
        let made = shop.server.data(&shop.admin, create, json!({ "id": shop.customer_id })).await;
        tokens.insert("customer manager", made["tokenCreate"]["secret"].as_str().unwrap().to_owned());
        let mut stage = Self { shop, tokens, targets: vec![], now: String::new() };
        stage.revoke("revoked").await;
        stage.fill().await;
        // Time ends a token, and nothing else does.
        while !stage.shop.server.ask(&stage.tokens["ended"], "{ __typename }", json!({})).await["data"].is_null() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        stage
    }

    async fn admin(&self, document: &str) -> Value {
        self.shop.server.data(&self.shop.admin, document, json!({})).await
    }

    async fn revoke(&self, name: &str) {
        let token = &self.tokens[name];
        let viewer = self.shop.server.data(token, "{ viewer { label } }", json!({})).await;
        assert!(viewer["viewer"]["label"].is_string());
        let all = self.admin("{ tokens(first: 100) { nodes { id role lastUsedAt agent { key } } } }").await;
        let used =
            |node: &&Value| node["agent"]["key"] == "ann" && node["role"] == "AGENT" && !node["lastUsedAt"].is_null();
        let id =
            all["tokens"]["nodes"].as_array().unwrap().iter().find(used).unwrap()["id"].as_str().unwrap().to_owned();
        let done = self.admin(&format!("mutation {{ tokenRevoke(id: \"{id}\", input: {{}}) {{ position }} }}")).await;
        assert!(done["tokenRevoke"]["position"].is_string(), "{done}");
    }

    /// Tickets with words of their own in everything that is said in them.
    async fn fill(&mut self) {
        let register = "mutation { customerRegister(input: { name: \"ZZ-DORA\", email: \"zz-dora@example.org\" }) { customer { id } } }";
        let dora = self.admin(register).await["customerRegister"]["customer"]["id"].as_str().unwrap().to_owned();
        for (word, queue) in TICKETS {
            let requester = if word == "OWN" { self.shop.customer_id.clone() } else { dora.clone() };
            let found = format!("{{ ticketByReference(source: \"elsewhere\", key: \"ZZ-{word}\") {{ id number }} }}");
            let made = self.admin(&found).await["ticketByReference"].clone();
            let (ticket, number) = (made["id"].as_str().unwrap().to_owned(), made["number"].to_string());
            // What an agent writes has an author; a timeline shows twenty entries at once, and these come first.
            let acts = format!(
                "[{{ addNote: {{ body: \"ZN-{word}\" }} }}, {{ reply: {{ body: \"ZZ-{word} answer\" }} }}, \
                 {{ logCall: {{ answered: true, from: \"{requester}\", summary: \"ZZ-{word} call\" }} }}]"
            );
            let write =
                format!("mutation {{ ticketWork(id: \"{ticket}\", input: {{ acts: {acts} }}) {{ position }} }}");
            assert!(
                self.shop.server.data(&self.shop.agent, &write, json!({})).await["ticketWork"]["position"].is_string()
            );
            let acts = [
                format!("update: {{ requester: \"{requester}\", category: \"lost\", priority: HIGH }}"),
                "transfer: { queue: \"complaints\" }".to_owned(),
                format!("transfer: {{ queue: \"{queue}\" }}"),
                format!("tag: {{ add: [\"zn-{}\"] }}", word.to_lowercase()),
                format!("setField: {{ field: \"order\", text: \"ZN-{word}\" }}"),
                "assign: { agent: \"ann\", team: \"first\" }".to_owned(),
                "follow: { agent: \"ann\" }".to_owned(),
                format!("escalate: {{ reason: \"ZN-{word}\" }}"),
                "setStatus: { category: OPEN }".to_owned(),
                "assign: { agent: \"sam\", team: \"second\" }".to_owned(),
            ];
            let acts = acts.map(|act| format!("{{ {act} }}")).join(", ");
            let work = format!(
                "mutation {{ ticketWork(id: \"{ticket}\", input: {{ acts: [{acts}] }}) {{ userErrors {{ message path }} }} }}"
            );
            assert_eq!(self.admin(&work).await["ticketWork"]["userErrors"], json!([]));
            let look = format!(
                "mutation {{ ticketLook(id: \"{ticket}\", input: {{ writing: true }}) {{ userErrors {{ message }} }} }}"
            );
            self.shop.server.data(&self.shop.agent, &look, json!({})).await;
            self.targets.push(Target { ticket, number, key: format!("ZZ-{word}"), queue, requester });
        }
        let own = &self.targets[0].ticket;
        let write = format!("mutation {{ ticketReply(id: \"{own}\", input: {{ body: \"thanks\" }}) {{ position }} }}");
        self.shop.server.data(&self.shop.customer, &write, json!({})).await;
        let unknown = "ticket_01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned();
        let (number, key) = ("999".to_owned(), "ZZ-NONE".to_owned());
        self.targets.push(Target { ticket: unknown, number, key, queue: "no-such", requester: String::new() });
        let now = self.admin("{ serverStatus { now } }").await;
        self.now = now["serverStatus"]["now"].as_str().unwrap().to_owned();
    }

    /// The answer with whatever the question named taken out: what is left must not tell one ticket from another.
    async fn ask(&self, who: &Bearer, document: &str, target: &Target) -> Value {
        let document = target.in_document(document, &self.now);
        let answer = self.shop.server.ask(&self.tokens[who.name], &document, json!({})).await;
        let plain = target.ticket.trim_start_matches("ticket_");
        let text = answer.to_string().replace(&target.ticket, "TICKET").replace(plain, "TICKET");
        serde_json::from_str(&text.replace(target.queue, "QUEUE")).unwrap()
    }
}

/// How an answer came out.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    /// Something is shown, or would have been done.
    Through,
    /// As if it were not there.
    NotThere,
    /// The right is missing.
    Forbidden,
    /// Nobody knows the token.
    Unknown,
}

fn came(answer: &Value, field: &str) -> Came {
    let code = answer["errors"][0]["extensions"]["code"].as_str();
    let value = &answer["data"][field];
    match code {
        Some("UNAUTHENTICATED") => Came::Unknown,
        Some("FORBIDDEN") => {
            assert!(value.is_null(), "data beside a refusal: {answer}");
            Came::Forbidden
        }
        Some("BAD_USER_INPUT" | "NOT_FOUND") => Came::NotThere,
        Some(code) => panic!("{code}: {answer}"),
        None if *value == Value::Null || *value == json!([null]) => Came::NotThere,
        None => {
            let refusals = value["userErrors"].as_array().into_iter().flatten();
            let hidden = |refusal: &Value| {
                let message = refusal["message"].as_str().unwrap_or_default();
                refusal["code"] == "NOT_FOUND" && message.starts_with("ticket ")
            };
            if refusals.into_iter().any(hidden) { Came::NotThere } else { Came::Through }
        }
    }
}

/// What should come of it.
fn expected(who: &Bearer, need: Need, relation: usize) -> Came {
    if !who.comes_in {
        return Came::Unknown;
    }
    let letters = who.on.get(relation).copied().unwrap_or_default();
    let or_forbidden = |may: bool| if may { Came::Through } else { Came::Forbidden };
    let of_ticket = |may: bool| match (letters.contains('r'), may) {
        (false, _) => Came::NotThere,
        (true, may) => or_forbidden(may),
    };
    match need {
        Need::Token => Came::Through,
        Need::Read => of_ticket(true),
        Need::Do(letter) => of_ticket(letters.contains(letter)),
        Need::Answer => of_ticket(letters.contains(if who.people { 'w' } else { 'a' })),
        Need::Look => of_ticket(who.is_agent),
        Need::Counters if !who.people => Came::Forbidden,
        // There is no such queue.
        Need::Counters if relation == TICKETS.len() => Came::NotThere,
        Need::Counters => or_forbidden(letters.contains('i')),
        Need::People => or_forbidden(who.people),
        Need::Whole => or_forbidden(who.whole),
        Need::Records => or_forbidden(who.records),
        Need::Administer => or_forbidden(who.administers),
        Need::Register => or_forbidden(who.registers),
    }
}

/// The fields of a root type that have no line in a table.
fn forgotten(types: &Types, root: &str, table: &[(&str, &str, Need)]) -> Vec<String> {
    let lines: BTreeSet<&str> = table.iter().map(|(field, ..)| *field).collect();
    types.fields[root]
        .iter()
        .map(|(field, ..)| field)
        .filter(|field| !lines.contains(field.as_str()))
        .cloned()
        .collect()
}

#[tokio::test]
async fn every_operation_does_for_every_role_what_the_table_says_and_tells_nothing_else() {
    let stage = Stage::open().await;
    let types = Types::read();
    for (root, table) in [("Query", QUERIES), ("Mutation", MUTATIONS), ("Subscription", SUBSCRIPTIONS)] {
        assert_eq!(forgotten(&types, root, table), Vec::<String>::new(), "without a line for {root}");
    }
    let (mut cells, mut leaks) = (0, Vec::new());
    for who in bearers() {
        for (field, document, need) in QUERIES.iter().chain(MUTATIONS) {
            let mutates = MUTATIONS.iter().any(|(other, ..)| other == field);
            let document = if mutates {
                format!("mutation {{ {document} {{ userErrors {{ code message path }} }} }}")
            } else {
                format!("{{ {document} }}")
            };
            let mut not_there = None;
            // The one that is not there comes first: whatever else is hidden must look like it.
            for relation in (0..=TICKETS.len()).rev() {
                let target = &stage.targets[relation];
                let answer = stage.ask(&who, &document, target).await;
                let found = came(&answer, field);
                cells += 1;
                let mut wanted = expected(&who, *need, relation);
                if *field == "ticketOpen" && wanted == Came::NotThere {
                    // There is nothing yet that could be hidden; a queue that does not exist is told to whoever may open in all.
                    let anywhere = !who.people || who.on.iter().all(|letters| letters.contains('a'));
                    let unknown_queue = relation == TICKETS.len();
                    wanted = if anywhere && unknown_queue { Came::Through } else { Came::Forbidden };
                }
                if (*field == "queue" || *field == "accessAt") && relation == TICKETS.len() && wanted == Came::Through {
                    wanted = Came::NotThere;
                }
                if found != wanted {
                    leaks.push(format!(
                        "{} {field} on {}: {found:?} instead of {wanted:?}: {answer}",
                        who.name, target.key
                    ));
                }
                if found != Came::Through {
                    let first = not_there.get_or_insert_with(|| answer.clone());
                    let alike = *first == answer || found == Came::Forbidden && wanted == found;
                    if !alike {
                        leaks.push(format!("{} {field} on {}: {answer} is told from {first}", who.name, target.key));
                    }
                }
            }
        }
    }
    writeln!(std::io::stderr().lock(), "matrix of operations: {cells} cells, {} leaks", leaks.len()).unwrap();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

#[tokio::test]
async fn what_is_counted_and_listed_is_what_may_be_read() {
    let stage = Stage::open().await;
    let asked = "{ tickets { totalCount nodes { subject } } queues { nodes { key counters { total } } } }";
    let of_people = "{ report { totals { created { tickets } } backlog { tickets } } \
                     timers(dueBefore: \"2100-01-01T00:00:00Z\") { ticket { subject } } }";
    for who in bearers().into_iter().filter(|who| who.comes_in) {
        let token = &stage.tokens[who.name];
        let seen: Vec<String> =
            (0..TICKETS.len()).filter(|n| who.on[*n].contains('r')).map(|n| format!("ZZ-{}", TICKETS[n].0)).collect();
        let answer = stage.shop.server.data(token, asked, json!({})).await;
        let subjects = |of: &Value| -> BTreeSet<String> {
            of.as_array().unwrap().iter().map(|t| t["subject"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(answer["tickets"]["totalCount"], seen.len(), "{}", who.name);
        assert_eq!(subjects(&answer["tickets"]["nodes"]), seen.iter().cloned().collect(), "{}", who.name);
        for queue in answer["queues"]["nodes"].as_array().unwrap() {
            let of_queue = (0..TICKETS.len()).filter(|n| TICKETS[*n].1 == queue["key"]);
            let internal = of_queue.clone().all(|n| who.on[n].contains('i'));
            let counted = if internal { json!({ "total": of_queue.count() }) } else { Value::Null };
            assert_eq!(queue["counters"], counted, "{}: {queue}", who.name);
        }
        if !who.people {
            continue;
        }
        let answer = stage.shop.server.data(token, of_people, json!({})).await;
        assert_eq!(answer["report"]["totals"]["created"]["tickets"], seen.len(), "{}", who.name);
        assert_eq!(answer["report"]["backlog"][0]["tickets"], seen.len(), "{}", who.name);
        let timers: Vec<Value> =
            answer["timers"].as_array().unwrap().iter().map(|timer| timer["ticket"].clone()).collect();
        assert_eq!(subjects(&json!(timers)), seen.iter().cloned().collect(), "{}", who.name);
    }
}

/// The first thing that a subscription says.
async fn first_word(stage: &Stage, who: &Bearer, document: &str) -> Value {
    let mut socket = socket(&stage.shop.server, &stage.tokens[who.name]).await;
    let greeting = next(&mut socket).await;
    if greeting["type"] != "connection_ack" {
        return json!({ "errors": [{ "extensions": { "code": "UNAUTHENTICATED" } }], "greeting": greeting });
    }
    let subscribe =
        json!({ "id": "1", "type": "subscribe", "payload": { "query": format!("subscription {{ {document} }}") } });
    socket.send(Message::text(subscribe.to_string())).await.unwrap();
    let word = next(&mut socket).await;
    if word["type"] == "error" { json!({ "errors": word["payload"] }) } else { word["payload"].clone() }
}

#[tokio::test]
async fn every_subscription_shows_every_role_what_it_may_read() {
    let stage = Stage::open().await;
    let mut cells = 0;
    for who in bearers() {
        for (field, document, need) in SUBSCRIPTIONS {
            let mut not_there = None;
            for relation in (0..=TICKETS.len()).rev() {
                let target = &stage.targets[relation];
                let answer = first_word(&stage, &who, &target.in_document(document, &stage.now)).await;
                let found = came(&answer, field);
                assert_eq!(found, expected(&who, *need, relation), "{} {field} {}: {answer}", who.name, target.key);
                if found == Came::NotThere {
                    assert_eq!(*not_there.get_or_insert_with(|| answer.clone()), answer, "{} {field}", who.name);
                }
                cells += 1;
            }
        }
    }
    writeln!(std::io::stderr().lock(), "matrix of subscriptions: {cells} cells, 0 leaks").unwrap();
}

#[tokio::test]
async fn every_route_answers_those_who_come_in_and_the_others_as_the_table_says() {
    let routes = include_str!("../src/http/mod.rs").split(".route(\"").skip(1);
    let routes: BTreeSet<&str> = routes.map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(
        routes,
        ROUTES.iter().map(|(route, ..)| *route).collect(),
        "a route without a line, or a line without one"
    );
    let stage = Stage::open().await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let mut cells = 0;
    for who in bearers() {
        for (route, inside, outside) in ROUTES {
            let query = if *route == "/graphql" { "?query={__typename}" } else { "" };
            let url = stage.shop.server.url(&format!("{}{query}", route.replace("{file}", "none.js")));
            let mut request = client.get(url);
            if !stage.tokens[who.name].is_empty() {
                request = request.bearer_auth(&stage.tokens[who.name]);
            }
            let status = request.send().await.unwrap().status().as_u16();
            assert_eq!(status, if who.comes_in { *inside } else { *outside }, "{} {route}", who.name);
            cells += 1;
        }
    }
    writeln!(std::io::stderr().lock(), "matrix of routes: {cells} cells, 0 leaks").unwrap();
}

/// Every edge from an object to others that an answer of this type shows, by type and field.
fn edges_in(types: &Types, of: &str, value: &Value, edges: &mut BTreeSet<(String, String)>) {
    if let Value::Object(members) = value {
        let of = members.get("__typename").and_then(Value::as_str).unwrap_or(of);
        for (field, ty, _) in types.fields.get(of).into_iter().flatten() {
            let Some(below) = members.get(field) else { continue };
            if below.is_object() || below.as_array().is_some_and(|items| items.iter().any(Value::is_object)) {
                edges.insert((of.to_owned(), field.clone()));
                edges_in(types, named(ty), below, edges);
            }
        }
    } else if let Value::Array(items) = value {
        items.iter().for_each(|item| edges_in(types, of, item, edges));
    }
}

#[tokio::test]
async fn no_edge_of_the_schema_leads_anybody_to_what_is_not_theirs() {
    let stage = Stage::open().await;
    let types = Types::read();
    let (mut cells, mut reached) = (0, BTreeSet::new());
    for who in bearers().into_iter().filter(|who| who.comes_in) {
        let mut words: Vec<String> = Vec::new();
        for (n, (word, _)) in TICKETS.iter().enumerate() {
            if !who.on[n].contains('r') {
                words.push(format!("ZZ-{word}"));
            }
            if !who.on[n].contains('i') {
                words.extend([format!("ZN-{word}"), format!("zn-{}", word.to_lowercase())]);
            }
        }
        if !who.people {
            words.extend(["ZZ-DORA", "zz-dora", "agent_ann", "Promise"].map(str::to_owned));
        }
        if !who.records {
            words.extend(["TokenIssued", "TokenEdge", "CommitEdge"].map(str::to_owned));
        }
        words.push(r#""dkt_"#.to_owned());
        let mut edges = BTreeSet::new();
        for (name, ty, arguments) in &types.fields["Query"] {
            let lists = QUERIES.iter().find(|(field, ..)| field == name).unwrap();
            // Without what is selected of it.
            let call = lists.1.find(") {").map_or(lists.1, |end| &lists.1[..=end]);
            let takes = arguments.iter().any(|(_, ty)| !ty.nullable);
            let call = if takes { call } else { name.as_str() };
            let targets = if call.contains("TICKET") || call.contains("NUMBER") || call.contains("QUEUE") {
                &stage.targets[..TICKETS.len()]
            } else {
                &stage.targets[..1]
            };
            let below = if named(ty) == "Node" {
                types.members["Node"]
                    .iter()
                    .filter(|member| *member == "Ticket")
                    .map(|member| format!("... on {member} {{ {} }}", types.selection(member, &mut BTreeSet::new(), 4)))
                    .collect()
            } else {
                vec![types.selection(named(ty), &mut BTreeSet::new(), 5)]
            };
            for target in targets {
                let mut questions: Vec<String> = below.clone();
                while let Some(below) = questions.pop() {
                    let query =
                        if below.is_empty() { format!("{{ {call} }}") } else { format!("{{ {call} {{ {below} }} }}") };
                    let query = target.in_document(&query, &stage.now);
                    let answer = stage.shop.server.ask(&stage.tokens[who.name], &query, json!({})).await;
                    if answer["errors"][0]["extensions"]["code"] == "QUERY_TOO_COMPLEX" {
                        let parts = halves(&below);
                        assert!(!parts.is_empty(), "it cannot be asked in parts: {query}: {answer}");
                        questions.extend(parts);
                        continue;
                    }
                    let text = answer.to_string();
                    for word in &words {
                        assert!(!text.contains(word.as_str()), "{}: {word} in the answer to {query}: {text}", who.name);
                    }
                    edges_in(&types, "Query", &answer["data"], &mut edges);
                }
            }
        }
        cells += edges.len();
        writeln!(std::io::stderr().lock(), "matrix of edges: {} of the {}", edges.len(), who.name).unwrap();
        reached.extend(edges);
    }
    // An edge that nobody's walk reached was not tried.
    let mut below = BTreeSet::from(["Query".to_owned()]);
    let (mut open, mut unreached) = (vec!["Query".to_owned()], Vec::new());
    while let Some(of) = open.pop() {
        for (field, ty, arguments) in types.fields.get(&of).into_iter().flatten() {
            let to = named(ty).to_owned();
            let required = of != "Query" && arguments.iter().any(|(_, ty)| !ty.nullable);
            // An edge from a type to itself leads to nothing that other edges to it do not lead to.
            if required || to == of || !(types.fields.contains_key(&to) || types.members.contains_key(&to)) {
                continue;
            }
            let is_interface = types.members.contains_key(&of);
            if !is_interface && !reached.contains(&(of.clone(), field.clone())) {
                unreached.push(format!("{of}.{field}"));
            }
            for kind in types.members.get(&to).cloned().unwrap_or_default().into_iter().chain([to]) {
                if below.insert(kind.clone()) {
                    open.push(kind);
                }
            }
        }
    }
    unreached.sort();
    writeln!(std::io::stderr().lock(), "matrix of edges: {cells} cells, 0 leaks; not reached: {unreached:?}").unwrap();
    assert!(unreached.iter().all(|edge| UNREACHED.contains(&edge.as_str())), "nobody's walk reached {unreached:?}");
}

/// Edges to things that this desk has none of: nothing of them can leak here.
const UNREACHED: &[&str] = &["EscalationEntry.notify", "ServerStatus.setAside"];
