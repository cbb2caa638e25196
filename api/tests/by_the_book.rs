//! GraphQL as its specification has it, and the manners of HTTP around it: over the real binary, with the words that clients
//! send. That verdicts and answers agree with graphql-js in general is checked over random documents; here stands why.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use std::{
    process::{Child, Stdio},
    time::Instant,
};

use futures_util::SinkExt;
use serde_json::{Value, json};
use support::{
    Docket, PATIENCE, Server, root,
    shop::{identified_socket, next},
};
use tokio_tungstenite::tungstenite::Message;

/// Longest request in bytes, as the documentation says.
const MAX_REQUEST: usize = 7 * 1024 * 1024;
/// Longest text in bytes.
const MAX_TEXT: usize = 1024 * 1024;

/// A desk, tokens of an administrator and a customer, and one open ticket.
struct Desk {
    _docket: Docket,
    server: Server,
    admin: String,
    customer: String,
    ticket: String,
}

impl Desk {
    async fn open() -> Self {
        let docket = Docket::new();
        docket.ok(&["apply", root().join("examples/desks/small-shop.toml").to_str().unwrap()]);
        let admin = docket.token(&["--role", "administrator"]);
        let server = docket.serve();
        let register = "mutation { customerRegister(input: { name: \"Carl\" }) { customer { id } } }";
        let made = server.data(&admin, register, json!({})).await;
        let customer = made["customerRegister"]["customer"]["id"].clone();
        let create =
            "mutation ($id: ID!) { tokenCreate(input: { role: CUSTOMER, customer: $id, label: \"Carl\" }) { secret } }";
        let made = server.data(&admin, create, json!({ "id": customer })).await;
        let customer = made["tokenCreate"]["secret"].as_str().unwrap().to_owned();
        let open = "mutation { ticketOpen(input: { subject: \"Where is it?\", body: \"Help\", channel: WEB }) { ticket { id } } }";
        let made = server.data(&customer, open, json!({})).await;
        let ticket = made["ticketOpen"]["ticket"]["id"].as_str().unwrap().to_owned();
        Self { _docket: docket, server, admin, customer, ticket }
    }

    /// Asks as the administrator and gives status, headers and the text of the answer.
    async fn post(&self, body: String) -> (u16, reqwest::header::HeaderMap, String) {
        let answer = reqwest::Client::new()
            .post(self.server.url("/graphql"))
            .bearer_auth(&self.admin)
            .header("accept", "application/graphql-response+json")
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        (status, headers, answer.text().await.unwrap())
    }

    async fn ask(&self, query: &str, variables: Value) -> (u16, String) {
        let (status, _, text) = self.post(json!({ "query": query, "variables": variables }).to_string()).await;
        (status, text)
    }

    /// Refused before anything ran: 400, no data, this code. Gives the message.
    #[track_caller]
    fn refused(&self, query: &str, variables: Value, code: &str) -> impl Future<Output = String> {
        let answer = self.ask(query, variables);
        async move {
            let (status, text) = answer.await;
            let answer: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(status, 400, "{query}: {text}");
            assert!(answer.get("data").is_none(), "{query}: {text}");
            assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{query}: {text}");
            answer["errors"][0]["message"].as_str().unwrap().to_owned()
        }
    }

    async fn position(&self) -> Value {
        self.server.data(&self.admin, "{ serverStatus { position } }", json!({})).await
    }
}

#[tokio::test]
async fn a_missing_variable_stops_every_mutation_of_the_document() {
    let desk = Desk::open().await;
    let before = desk.position().await;
    let two = "mutation ($id: ID!, $agent: ID!) {
        one: ticketAddNote(id: $id, input: { body: \"a note\" }) { position }
        two: ticketAssign(id: $id, input: { agent: $agent }) { position }
    }";
    let message = desk.refused(two, json!({ "id": desk.ticket }), "BAD_USER_INPUT").await;
    assert!(message.contains("$agent") && message.contains("ID!"), "{message}");
    let message = desk.refused(two, json!({ "id": desk.ticket, "agent": null }), "BAD_USER_INPUT").await;
    assert!(message.contains("$agent"), "{message}");
    assert_eq!(desk.position().await, before, "something was stored");
}

#[tokio::test]
async fn a_malformed_value_of_a_scalar_of_ours_stops_every_mutation_of_the_document() {
    let desk = Desk::open().await;
    let before = desk.position().await;
    let two = "mutation ($id: ID!, $at: DateTime!, $seen: BigInt) {
        one: ticketReply(id: $id, input: { body: \"an answer\", expectedVersion: $seen }) { position }
        two: tokenCreate(input: { role: AUDITOR, label: \"x\", expiresAt: $at }) { secret }
    }";
    for (at, seen) in [(json!("yesterday"), json!("1")), (json!("2026-11-26T09:00:00Z"), json!("many"))] {
        let variables = json!({ "id": desk.ticket, "at": at, "seen": seen });
        let message = desk.refused(two, variables, "BAD_USER_INPUT").await;
        assert!(message.contains("$at") || message.contains("$seen"), "{message}");
    }
    let literal = "{ timers(dueBefore: \"tomorrow\") { metric } }";
    desk.refused(literal, json!({}), "GRAPHQL_VALIDATION_FAILED").await;
    assert_eq!(desk.position().await, before, "something was stored");
}

#[tokio::test]
async fn fields_that_cannot_be_merged_are_refused() {
    let desk = Desk::open().await;
    for query in [
        "{ desk { name name: statuses { key } } }",
        "{ tickets(first: 1) { totalCount } tickets(first: 2) { totalCount } }",
        "query ($id: ID!) { ticket(id: $id) { timeline { nodes { ... on MessageEntry { x: body } ... on CallEntry { x: answered } } } } }",
    ] {
        desk.refused(query, json!({ "id": desk.ticket }), "GRAPHQL_VALIDATION_FAILED").await;
    }
}

#[tokio::test]
async fn a_mutation_that_stands_there_twice_runs_once() {
    let desk = Desk::open().await;
    let twice = "mutation ($id: ID!) {
        ticketAddNote(id: $id, input: { body: \"once\" }) { position }
        ...More
    }
    fragment More on Mutation { ticketAddNote(id: $id, input: { body: \"once\" }) { ticket { id } userErrors { code } } }";
    let done = desk.server.data(&desk.admin, twice, json!({ "id": desk.ticket })).await;
    assert_eq!(done["ticketAddNote"]["ticket"]["id"], desk.ticket, "{done}");
    assert!(done["ticketAddNote"]["position"].is_string(), "{done}");
    let notes = "query ($id: ID!) { ticket(id: $id) { timeline { nodes { ... on NoteEntry { body } } } } }";
    let seen = desk.server.data(&desk.admin, notes, json!({ "id": desk.ticket })).await;
    assert_eq!(seen.to_string().matches("\"once\"").count(), 1, "{seen}");
}

#[tokio::test]
async fn a_variable_that_is_not_given_leaves_its_field_out_and_null_empties_it() {
    let desk = Desk::open().await;
    let assign = "mutation ($id: ID!, $agent: ID, $team: ID) {
        ticketAssign(id: $id, input: { agent: $agent, team: $team }) { ticket { agent { key } team { key } } userErrors { message } }
    }";
    let assigned = async |mut variables: Value| {
        variables["id"] = json!(desk.ticket);
        let done = desk.server.data(&desk.admin, assign, variables).await;
        done["ticketAssign"]["ticket"].clone()
    };
    let both = assigned(json!({ "agent": "agent_ann", "team": "team_front" })).await;
    assert_eq!(both, json!({ "agent": { "key": "ann" }, "team": { "key": "front" } }));
    let one = assigned(json!({ "agent": null })).await;
    assert_eq!(one, json!({ "agent": null, "team": { "key": "front" } }));
    // Defaults of variables count too, also in conditions.
    let skipped = "query ($no: Boolean! = false) { desk { name @include(if: $no) } }";
    assert_eq!(desk.ask(skipped, json!({})).await.1, r#"{"data":{"desk":{}}}"#);
    assert!(desk.ask(skipped, json!({ "no": true })).await.1.contains("\"name\""));
}

#[tokio::test]
async fn an_enum_is_a_name_in_the_document_and_a_string_among_the_variables() {
    let desk = Desk::open().await;
    let open = |channel: &str| {
        format!("ticketOpen(input: {{ subject: \"x\", body: \"x\", channel: {channel} }}) {{ userErrors {{ code }} }}")
    };
    let quoted = format!("mutation {{ {} }}", open("\"WEB\""));
    desk.refused(&quoted, json!({}), "GRAPHQL_VALIDATION_FAILED").await;
    let named = format!("mutation {{ {} }}", open("WEB"));
    desk.server.data(&desk.customer, &named, json!({})).await;
    let variable = format!("mutation ($channel: Channel!) {{ {} }}", open("$channel"));
    desk.server.data(&desk.customer, &variable, json!({ "channel": "WEB" })).await;
    let message = desk.refused(&variable, json!({ "channel": "PIGEON" }), "BAD_USER_INPUT").await;
    assert!(message.contains("$channel") && message.contains("EMAIL"), "{message}");
}

#[tokio::test]
async fn a_field_that_fails_is_null_in_its_place() {
    let desk = Desk::open().await;
    let (status, text) =
        desk.ask("{ a: __typename tickets(first: 101) { totalCount } z: __typename }", json!({})).await;
    assert_eq!(status, 200);
    assert!(text.contains(r#""data":{"a":"Query","tickets":null,"z":"Query"}"#), "{text}");
}

#[tokio::test]
async fn an_error_of_introspection_says_which_field_it_is_about() {
    let desk = Desk::open().await;
    let query = "query ($n: String = \"Desk\") { type: __type(name: $n) { name } __typename }";
    let (status, text) = desk.ask(query, json!({ "n": null })).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &answer["errors"][0]["path"]), (200, &json!(["type"])), "{text}");
    assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{text}");
}

#[tokio::test]
async fn an_object_that_no_fragment_is_for_is_an_object_without_fields() {
    let desk = Desk::open().await;
    let (_, text) =
        desk.ask("query ($id: ID!) { node(id: $id) { ... on Customer { name } } }", json!({ "id": desk.ticket })).await;
    assert_eq!(text, r#"{"data":{"node":{}}}"#);
    let timeline =
        "query ($id: ID!) { ticket(id: $id) { timeline(first: 2) { nodes { ... on OpeningEntry { __typename } } } } }";
    let (_, text) = desk.ask(timeline, json!({ "id": desk.ticket })).await;
    assert_eq!(text, r#"{"data":{"ticket":{"timeline":{"nodes":[{"__typename":"OpeningEntry"},{}]}}}}"#);
}

#[tokio::test]
async fn fields_come_in_the_order_of_the_document() {
    let desk = Desk::open().await;
    let query = "query ($id: ID!) {
        z: __typename
        ticket(id: $id) { subject ...Rest id }
        desk { name }
        a: __typename
        ticket(id: $id) { number }
    }
    fragment Rest on Ticket { timeline(first: 1) { totalCount } channel }";
    let (_, text) = desk.ask(query, json!({ "id": desk.ticket })).await;
    let keys = ["z", "ticket", "subject", "timeline", "totalCount", "channel", "id", "number", "desk", "name", "a"];
    let places: Vec<_> =
        keys.iter().map(|key| text.find(&format!("\"{key}\":")).unwrap_or_else(|| panic!("{text}"))).collect();
    assert!(places.is_sorted(), "{text}");
}

#[tokio::test]
async fn methods_that_do_not_fit_are_answered_with_those_that_do() {
    let desk = Desk::open().await;
    let client = reqwest::Client::new();
    let url = desk.server.url("/graphql");
    let answer = client.put(&url).bearer_auth(&desk.admin).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()), (405, "GET, POST"));
    let mutation = format!("{url}?query=mutation{{ticketOpen(input:{{subject:\"x\",body:\"x\"}}){{position}}}}");
    let answer = client.get(mutation).bearer_auth(&desk.admin).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()), (405, "POST"));
}

#[tokio::test]
async fn the_longest_request_is_answered_and_one_byte_more_is_refused_with_the_limit() {
    let desk = Desk::open().await;
    let padded = |length: usize| {
        let request = json!({ "query": "{ __typename }" }).to_string();
        format!("{request}{}", " ".repeat(length - request.len()))
    };
    assert_eq!(desk.post(padded(MAX_REQUEST)).await.0, 200);
    let (status, _, text) = desk.post(padded(MAX_REQUEST + 1)).await;
    assert_eq!(status, 413);
    assert!(text.contains(&MAX_REQUEST.to_string()) && text.contains("PAYLOAD_TOO_LARGE"), "{text}");
}

#[tokio::test]
async fn the_longest_text_is_taken_however_json_writes_it() {
    let desk = Desk::open().await;
    let reply = "mutation ($id: ID!, $text: String!) { ticketAddNote(id: $id, input: { body: $text }) { position userErrors { code } } }";
    let request = |length: usize| {
        let variables = json!({ "id": desk.ticket, "text": "TEXT" }).to_string();
        let variables = variables.replace("TEXT", &"\\u0061".repeat(length));
        format!("{{\"query\":{},\"variables\":{variables}}}", json!(reply))
    };
    let (status, _, text) = desk.post(request(MAX_TEXT)).await;
    assert!(status == 200 && text.contains("\"userErrors\":[]"), "{text}");
    let (status, _, text) = desk.post(request(MAX_TEXT + 1)).await;
    assert!(status == 200 && text.contains("TOO_LONG"), "{text}");
    // The same text as a literal, and through a socket.
    let literal = reply
        .replace("($id: ID!, $text: String!)", "($id: ID!)")
        .replace("$text", &json!("a".repeat(MAX_TEXT)).to_string());
    let (_, text) = desk.ask(&literal, json!({ "id": desk.ticket })).await;
    assert!(text.contains("\"userErrors\":[]"), "{text}");
    let mut socket = identified_socket(&desk.server, &desk.admin).await.0;
    assert_eq!(next(&mut socket).await["type"], "connection_ack");
    let subscribe = format!("{{\"id\":\"1\",\"type\":\"subscribe\",\"payload\":{}}}", request(MAX_TEXT));
    socket.send(Message::text(subscribe)).await.unwrap();
    assert_eq!(next(&mut socket).await["payload"]["data"]["ticketAddNote"]["userErrors"], json!([]));
}

#[tokio::test]
async fn a_document_that_is_itself_too_long_is_refused() {
    let desk = Desk::open().await;
    let many = format!("{{ {} }}", " __typename,".repeat(30_000));
    desk.refused(&many, json!({}), "QUERY_TOO_COMPLEX").await;
}

#[tokio::test]
async fn a_socket_gets_what_the_specification_says_too() {
    let desk = Desk::open().await;
    let mut socket = identified_socket(&desk.server, &desk.admin).await.0;
    assert_eq!(next(&mut socket).await["type"], "connection_ack");
    // The root field in a fragment, the entries in an order of their own, and one that no fragment is for.
    let query = "subscription ($id: ID!) { ...S } fragment S on Subscription { ticketUpdated(id: $id) { entries { ... on CallEntry { answered } } position } }";
    let subscribe =
        json!({ "id": "1", "type": "subscribe", "payload": { "query": query, "variables": { "id": desk.ticket } } });
    socket.send(Message::text(subscribe.to_string())).await.unwrap();
    socket.send(Message::text(json!({ "type": "ping" }).to_string())).await.unwrap();
    assert_eq!(next(&mut socket).await["type"], "pong");
    let note = "mutation ($id: ID!) { ticketAddNote(id: $id, input: { body: \"x\" }) { position } }";
    desk.server.data(&desk.admin, note, json!({ "id": desk.ticket })).await;
    let update = next(&mut socket).await;
    assert_eq!(update["payload"]["data"]["ticketUpdated"]["entries"], json!([{}]), "{update}");
    let wrong = json!({ "id": "2", "type": "subscribe", "payload": { "query": query } });
    socket.send(Message::text(wrong.to_string())).await.unwrap();
    let refused = next(&mut socket).await;
    assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("2")), "{refused}");
    assert_eq!(refused["payload"][0]["extensions"]["code"], "BAD_USER_INPUT", "{refused}");
}

/// A server whose log goes into a file.
struct Logged {
    docket: Docket,
    server: Server,
}

impl Logged {
    fn start() -> Self {
        let docket = Docket::new();
        let token = docket.token(&["--role", "administrator"]);
        let log = std::fs::File::create(docket.path("log")).unwrap();
        let address = docket.path("address");
        let mut command = docket.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.stdout(std::fs::File::create(&address).unwrap()).stderr(Stdio::from(log));
        let child: Child = command.spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let found = loop {
            let printed = std::fs::read_to_string(&address).unwrap();
            if let Some((_, rest)) = printed.split_once("http://")
                && let Some((found, _)) = rest.split_once('\n')
            {
                break found.trim().to_owned();
            }
            assert!(Instant::now() < deadline, "the server does not start");
            std::thread::yield_now();
        };
        Self { docket, server: Server { child, address: found, tokens: vec![token] } }
    }

    /// The lines with an id; waited for, since the log is written beside the answer.
    fn lines(&self, id: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = std::fs::read_to_string(self.docket.path("log")).unwrap();
            let lines: Vec<&str> = log.lines().filter(|line| line.contains(id)).collect();
            if !lines.is_empty() {
                return lines.join("\n");
            }
            assert!(Instant::now() < deadline, "no line has the id {id}: {log}");
            std::thread::yield_now();
        }
    }
}

#[tokio::test]
async fn what_failed_or_was_refused_stands_in_the_log_under_the_id_that_the_client_got() {
    let logged = Logged::start();
    let token = &logged.server.tokens[0];
    let secret = "a text of a customer";
    let variable =
        json!({ "query": "query ($n: Int!) { tickets(first: $n) { totalCount } }", "variables": { "n": secret } });
    let cases = [
        (token.as_str(), json!({ "query": "{ nothing }" }), "GRAPHQL_VALIDATION_FAILED"),
        (token, variable, "BAD_USER_INPUT"),
        (token, json!({ "query": "{ tickets(first: 101) { totalCount } }" }), "BAD_USER_INPUT"),
        ("dkt_wrong", json!({ "query": "{ desk { name } }" }), "UNAUTHENTICATED"),
    ];
    for (token, request, code) in cases {
        let client = reqwest::Client::new();
        let answer = client.post(logged.server.url("/graphql")).bearer_auth(token).json(&request).send().await.unwrap();
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        let lines = logged.lines(&id);
        assert!(lines.contains(code), "{request}: {lines}");
        assert_eq!(lines.lines().count(), 1, "{lines}");
        assert!(!lines.contains(secret) && !lines.contains(token), "{lines}");
    }
    let (mut socket, id) = identified_socket(&logged.server, token).await;
    assert_eq!(next(&mut socket).await["type"], "connection_ack");
    let wrong = json!({ "id": "1", "type": "subscribe", "payload": { "query": "subscription { nothing }" } });
    socket.send(Message::text(wrong.to_string())).await.unwrap();
    assert_eq!(next(&mut socket).await["type"], "error");
    assert!(logged.lines(&id).contains("GRAPHQL_VALIDATION_FAILED"));
}
