//! Rights as they are lived with: taken away while somebody watches, written down when auditors read, and never so that nobody is
//! left who could give them back.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use futures_util::SinkExt;
use serde_json::{Value, json};
use support::{
    Docket,
    shop::{Shop, Socket, next, socket},
};
use tokio_tungstenite::tungstenite::Message;

/// The small shop whose Bob has these rights, and whose queue `returns` may be gone.
async fn shop(queues: &str) -> (Shop, String) {
    let docket = Docket::new();
    let desk = docket.write("desk.toml", &desk(queues, true));
    docket.ok(&["apply", desk.to_str().unwrap()]);
    let bob = docket.token(&["--role", "agent", "--agent", "bob"]);
    (Shop::in_docket(docket).await, bob)
}

fn desk(queues: &str, with_returns: bool) -> String {
    let returns = if with_returns { "[[queue]]\nkey = \"returns\"\nname = \"Returns\"\n" } else { "" };
    format!(
        "name = \"Desk\"\n\
         [[status]]\nkey = \"new\"\nname = \"New\"\ncategory = \"new\"\n\
         [[status]]\nkey = \"open\"\nname = \"Open\"\ncategory = \"open\"\n\
         [[status]]\nkey = \"resolved\"\nname = \"Resolved\"\ncategory = \"resolved\"\n\
         [[status]]\nkey = \"closed\"\nname = \"Closed\"\ncategory = \"closed\"\n\
         [[agent]]\nkey = \"ann\"\nname = \"Ann\"\n\
         [[agent]]\nkey = \"bob\"\nname = \"Bob\"\n{queues}\n\
         [[queue]]\nkey = \"orders\"\nname = \"Orders\"\ndefault = true\n\
         [[queue]]\nkey = \"billing\"\nname = \"Billing\"\n{returns}"
    )
}

/// Applies a desk through GraphQL, and gives what it said.
async fn apply(shop: &Shop, toml: &str) -> Value {
    let apply = "mutation ($toml: String!) { deskApply(input: { toml: $toml }) { changes userErrors { message } } }";
    shop.server.data(&shop.admin, apply, json!({ "toml": toml })).await["deskApply"].clone()
}

async fn watch(shop: &Shop, token: &str, document: &str) -> Socket {
    let mut socket = socket(&shop.server, token).await;
    assert_eq!(next(&mut socket).await["type"], "connection_ack");
    let subscribe = json!({ "id": "1", "type": "subscribe", "payload": { "query": document } });
    socket.send(Message::text(subscribe.to_string())).await.unwrap();
    socket.send(Message::text(json!({ "type": "ping" }).to_string())).await.unwrap();
    socket
}

/// What a subscription says next, past what answers to a ping.
async fn said(socket: &mut Socket) -> Value {
    loop {
        let word = next(socket).await;
        if word["type"] != "pong" {
            return word;
        }
    }
}

#[tokio::test]
async fn whoever_loses_a_queue_while_watching_is_told_and_sees_no_more_of_it() {
    let (shop, bob) = shop("queues = { orders = \"work\" }").await;
    let id = shop.ticket("Mine").await;
    let mut ticket =
        watch(&shop, &bob, &format!("subscription {{ ticketUpdated(id: \"{id}\") {{ entries {{ __typename }} }} }}"))
            .await;
    let mut queue =
        watch(&shop, &bob, "subscription { queueUpdated(id: \"queue_orders\") { counters { total } } }").await;
    assert_eq!(said(&mut queue).await["payload"]["data"]["queueUpdated"]["counters"]["total"], 1);
    let note = "mutation ($id: ID!) { ticketAddNote(id: $id, input: { body: \"x\" }) { position } }";
    shop.server.data(&shop.admin, note, json!({ "id": id })).await;
    assert_eq!(said(&mut ticket).await["payload"]["data"]["ticketUpdated"]["entries"][0]["__typename"], "NoteEntry");
    let assign = "mutation ($id: ID!) { ticketAssign(id: $id, input: { agent: \"bob\" }) { position } }";
    shop.server.data(&shop.admin, assign, json!({ "id": id })).await;
    assert_eq!(
        said(&mut ticket).await["payload"]["data"]["ticketUpdated"]["entries"][0]["__typename"],
        "AssignmentEntry"
    );
    // What he has there is told to whoever takes it from him.
    let applied = apply(&shop, &desk("queues = { billing = \"work\" }", true)).await;
    assert_eq!(
        (&applied["userErrors"], &applied["changes"]),
        (&json!([]), &json!(["change agent bob: 1 unfinished ticket"]))
    );
    // The queue's subscription ends with the change itself, the ticket's with what would be shown next.
    let ended = loop {
        let word = said(&mut queue).await;
        // One ticket less was unassigned before.
        if word["payload"]["errors"].is_array() {
            break word;
        }
        assert_eq!(word["payload"]["data"]["queueUpdated"]["counters"]["total"], 1, "{word}");
    };
    assert_eq!(ended["payload"]["errors"][0]["extensions"]["code"], "FORBIDDEN", "{ended}");
    shop.server.data(&shop.admin, note, json!({ "id": id })).await;
    let ended = said(&mut ticket).await;
    assert_eq!(ended["payload"]["errors"][0]["extensions"]["code"], "FORBIDDEN", "{ended}");
    assert_eq!(said(&mut ticket).await["type"], "complete");
}

#[tokio::test]
async fn a_ticket_that_is_transferred_leaves_whoever_does_not_work_there() {
    let (shop, bob) = shop("queues = { orders = \"work\", returns = \"read\" }").await;
    let id = shop.ticket("Mine").await;
    let assign = "mutation ($id: ID!, $a: ID!) { it: ticketAssign(id: $id, input: { agent: $a }) { userErrors { code message path } } }";
    let transfer = "mutation ($id: ID!, $q: ID!) { it: ticketTransfer(id: $id, input: { queue: $q }) {
        ticket { id agent { key } queue { key } } position userErrors { message } } }";
    assert_eq!(
        shop.server.data(&shop.admin, assign, json!({ "id": id, "a": "bob" })).await["it"]["userErrors"],
        json!([])
    );
    // To a queue that he reads: it is shown, and nobody's.
    let moved = shop.server.data(&bob, transfer, json!({ "id": id, "q": "returns" })).await;
    assert_eq!(moved["it"]["ticket"]["queue"]["key"], "returns", "{moved}");
    assert_eq!(moved["it"]["ticket"]["agent"], Value::Null, "{moved}");
    let refused = shop.server.data(&shop.admin, assign, json!({ "id": id, "a": "bob" })).await;
    let refusal = &refused["it"]["userErrors"][0];
    assert_eq!(refusal["path"], json!(["input", "agent"]), "{refused}");
    assert!(
        refusal["message"].as_str().unwrap().contains("bob does not work on the tickets of queue returns"),
        "{refused}"
    );
    // To a queue that he does not see: done, and gone from him.
    shop.server.data(&shop.admin, transfer, json!({ "id": id, "q": "orders" })).await;
    let gone = shop.server.data(&bob, transfer, json!({ "id": id, "q": "billing" })).await;
    assert!(gone["it"]["ticket"].is_null() && gone["it"]["position"].is_string(), "{gone}");
    // Nor does he open tickets where he does not work.
    let open = "mutation ($q: ID!) { ticketOpen(input: { subject: \"x\", queue: $q }) { ticket { id } userErrors { message } } }";
    let refused = shop.server.ask(&bob, open, json!({ "q": "billing" })).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN", "{refused}");
    let opened = shop.server.data(&bob, open, json!({ "q": "orders" })).await;
    assert!(opened["ticketOpen"]["ticket"]["id"].is_string(), "{opened}");
}

#[tokio::test]
async fn rights_name_queues_that_there_are_or_were() {
    let (shop, bob) = shop("queues = { orders = \"work\", returns = \"work\" }").await;
    let refused = apply(&shop, &desk("queues = { moon = \"read\" }", true)).await;
    let told = refused["userErrors"][0]["message"].as_str().unwrap();
    assert!(told.contains("agent bob") && told.contains("queue \"moon\" is not in the file"), "{told}");
    let refused = apply(&shop, &desk("queues = { orders = \"everything\" }", true)).await;
    assert!(refused["userErrors"][0]["message"].as_str().unwrap().contains("none"), "{refused}");
    // What is left in a queue that was retired is still read by whoever read it.
    let open = "mutation { ticketOpen(input: { subject: \"Old\", queue: \"returns\" }) { ticket { id } } }";
    let opened = shop.server.data(&shop.admin, open, json!({})).await;
    let id = opened["ticketOpen"]["ticket"]["id"].as_str().unwrap().to_owned();
    let close = "mutation ($id: ID!) { ticketClose(id: $id, input: {}) { position } }";
    shop.server.data(&shop.admin, close, json!({ "id": id })).await;
    let gone = desk("queues = { orders = \"work\", returns = \"work\" }", false);
    assert_eq!(apply(&shop, &gone).await["userErrors"], json!([]));
    let subject = "query ($id: ID!) { ticket(id: $id) { subject queue { key retired } } viewer { agent { queues { queue { key } right } } } }";
    let read = shop.server.data(&bob, subject, json!({ "id": id })).await;
    assert_eq!(read["ticket"], json!({ "subject": "Old", "queue": { "key": "returns", "retired": true } }));
    let expected = [("orders", "WORK"), ("returns", "WORK")];
    let expected = expected.map(|(queue, right)| json!({ "queue": { "key": queue }, "right": right }));
    assert_eq!(read["viewer"]["agent"]["queues"], json!(expected));
    let ann = shop.server.data(&shop.agent, "{ viewer { agent { queues { right } } } }", json!({})).await;
    assert_eq!(ann["viewer"]["agent"]["queues"], Value::Null, "she works in all of them");
}

/// What was read by tokens of auditors, oldest first.
fn reads(docket: &Docket) -> Vec<Value> {
    let lines = docket.ok(&["replay", "--json"]);
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["type"] == "ReadRecorded").collect()
}

#[tokio::test]
async fn what_an_auditor_reads_is_on_record_before_it_is_answered() {
    let shop = Shop::open().await;
    let id = shop.ticket("Mine").await;
    assert_eq!(reads(&shop.docket), Vec::<Value>::new(), "what others read is not");
    let query = "query Look($id: ID!) { ticket(id: $id) { subject } serverStatus { position } }";
    let seen = shop.server.data(&shop.auditor, query, json!({ "id": id })).await;
    assert_eq!(seen["ticket"]["subject"], "Mine");
    let read = reads(&shop.docket);
    assert_eq!(read.len(), 1);
    let asked: Value = serde_json::from_str(read[0]["data"]["asked"].as_str().unwrap()).unwrap();
    assert_eq!(asked, json!({ "query": query, "variables": { "id": id } }));
    assert_eq!(read[0]["actor"], json!({ "auditor": "made on the command line" }));
    // The answer is of a moment that shows it.
    assert_eq!(seen["serverStatus"]["position"].as_str(), Some(read[0]["position"].to_string().trim_matches('"')));
    // By GET and by a subscription too; not what is refused before it is executed, and not what changes nothing.
    let url = shop.server.url("/graphql?query={viewer{role}}");
    reqwest::Client::new().get(url).bearer_auth(&shop.auditor).send().await.unwrap();
    let mut watching = watch(&shop, &shop.auditor, "subscription { logAppended(after: \"0\") { position } }").await;
    assert_eq!(said(&mut watching).await["payload"]["data"]["logAppended"]["position"], "1");
    shop.server.ask(&shop.auditor, "{ nothing }", json!({})).await;
    let refused = shop.server.ask(&shop.auditor, "mutation { slaReapply(input: {}) { position } }", json!({})).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN");
    let read = reads(&shop.docket);
    assert_eq!(read.len(), 3);
    assert!(read[1]["data"]["asked"].as_str().unwrap().contains("{viewer{role}}"));
    assert!(read[2]["data"]["asked"].as_str().unwrap().contains("logAppended"));
    // What is too long to be on record is not read.
    let long = format!("{{ viewer {{ role }} }} # {}", "x".repeat(33 * 1024));
    let refused = shop.server.ask(&shop.auditor, &long, json!({})).await;
    let told = refused["errors"][0]["message"].as_str().unwrap();
    assert!(refused["data"].is_null() && told.contains("query has") && told.contains("at most 32768"), "{refused}");
    assert!(shop.docket.ok(&["verify"]).contains("verdict   ok"));
}

#[tokio::test]
async fn when_nothing_can_be_stored_an_auditor_reads_nothing_and_the_desk_goes_on() {
    let docket = Docket::new();
    docket.ok(&["apply", support::root().join(support::shop::SHOP).to_str().unwrap()]);
    let (admin, auditor) = (docket.token(&["--role", "administrator"]), docket.token(&["--role", "auditor"]));
    // No disk has so much to spare.
    let server = docket.serve_with(&["--reserve", "1000000000"]);
    assert_eq!(server.data(&admin, "{ desk { name } }", json!({})).await["desk"]["name"], "Small shop");
    let body = json!({ "query": "{ desk { name } }" }).to_string();
    let request = reqwest::Client::new().post(server.url("/graphql")).bearer_auth(&auditor);
    let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    let answer: Value = answer.json().await.unwrap();
    let told = answer["errors"][0]["message"].as_str().unwrap();
    assert!(told.starts_with("what an auditor reads is put on record first, and this could not be"), "{told}");
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAVAILABLE");
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let shop = Shop::open().await;
    let of = "{ tokens { nodes { id role } } }";
    let tokens = shop.server.data(&shop.admin, of, json!({})).await;
    let own = tokens["tokens"]["nodes"].as_array().unwrap().iter().find(|token| token["role"] == "ADMINISTRATOR");
    let own = own.unwrap()["id"].as_str().unwrap().to_owned();
    let revoke = "mutation ($id: ID!) { tokenRevoke(id: $id, input: {}) { tokenId userErrors { code message path } } }";
    let refused = shop.server.data(&shop.admin, revoke, json!({ "id": own })).await;
    let refusal = &refused["tokenRevoke"]["userErrors"][0];
    assert_eq!(refusal["path"], json!(["id"]), "{refused}");
    assert!(refusal["message"].as_str().unwrap().contains("make another one first"), "{refused}");
    let create = "mutation { tokenCreate(input: { role: ADMINISTRATOR, label: \"second\" }) { secret } }";
    let made = shop.server.data(&shop.admin, create, json!({})).await;
    let second = made["tokenCreate"]["secret"].as_str().unwrap();
    let done = shop.server.data(second, revoke, json!({ "id": own })).await;
    assert_eq!(done["tokenRevoke"]["tokenId"], own, "{done}");
    assert!(shop.server.terminate().success());
    // The command line is under the same rule.
    let list = shop.docket.ok_json(&["token", "list"]);
    let is_second = |token: &&Value| token["label"] == "second";
    let id = list.as_array().unwrap().iter().find(is_second).unwrap()["id"].as_str().unwrap();
    assert!(shop.docket.fails(&["token", "revoke", id]).contains("make another one first"));
}

#[tokio::test]
async fn who_looks_at_a_ticket_is_shown_to_the_desk_and_ends_with_the_server() {
    let shop = Shop::open().await;
    let id = shop.ticket("Mine").await;
    let before = shop.server.data(&shop.admin, "{ serverStatus { position } }", json!({})).await;
    let look =
        "mutation ($id: ID!, $l: Boolean!, $w: Boolean!) { ticketLook(id: $id, input: { looking: $l, writing: $w }) {
        ticket { lookers { agent { key } writing } } userErrors { message } } }";
    let looked = shop.server.data(&shop.agent, look, json!({ "id": id, "l": true, "w": true })).await;
    let expected = json!([{ "agent": { "key": "ann" }, "writing": true }]);
    assert_eq!(looked["ticketLook"]["ticket"]["lookers"], expected, "{looked}");
    let lookers = "query ($id: ID!) { ticket(id: $id) { lookers { agent { key } writing } } }";
    assert_eq!(shop.server.data(&shop.admin, lookers, json!({ "id": id })).await["ticket"]["lookers"], expected);
    assert_eq!(shop.server.data(&shop.customer, lookers, json!({ "id": id })).await["ticket"]["lookers"], json!([]));
    for token in [&shop.admin, &shop.customer, &shop.auditor] {
        let refused = shop.server.ask(token, look, json!({ "id": id, "l": true, "w": false })).await;
        let told = refused["errors"][0]["message"].as_str().unwrap();
        assert!(told.contains("which only tokens of agents have"), "{refused}");
    }
    let gone = shop.server.data(&shop.agent, look, json!({ "id": id, "l": false, "w": false })).await;
    assert_eq!(gone["ticketLook"]["ticket"]["lookers"], json!([]));
    // Nothing of it is in the log.
    let after = shop.server.data(&shop.admin, "{ serverStatus { position } }", json!({})).await;
    assert_eq!(after, before);
}
