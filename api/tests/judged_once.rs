//! Whatever comes in is judged once: keys, references, who has left, tickets that cannot be worked on, and who it was.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use serde_json::{Value, json};
use support::{Docket, PATIENCE, root, shop::Shop};

/// The only payload of a mutation.
async fn payload(shop: &Shop, token: &str, call: &str, selection: &str) -> Value {
    let query = format!("mutation {{ {call} {{ {selection} userErrors {{ code message path firstPosition }} }} }}");
    let mut data = shop.server.data(token, &query, json!({})).await;
    data.as_object_mut().unwrap().values_mut().next().unwrap().take()
}

async fn head(shop: &Shop) -> u64 {
    let data = shop.server.data(&shop.admin, "{ serverStatus { position } }", json!({})).await;
    data["serverStatus"]["position"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_key_is_bound_to_what_was_asked_in_every_mutation() {
    let shop = Shop::open().await;
    let (one, two) = (shop.ticket("One").await, shop.ticket("Two").await);
    let first =
        payload(&shop, &shop.admin, "ticketOpen(input: {subject: \"First\", clientMutationId: \"k\"})", "position")
            .await;
    assert_eq!(first["userErrors"], json!([]));
    let before = head(&shop).await;
    let desk = std::fs::read_to_string(root().join("examples/desks/small-shop.toml")).unwrap();
    let toml = serde_json::to_string(&desk).unwrap();
    let (customer, key) = (&shop.customer_id, "clientMutationId: \"k\"");
    let others = [
        format!("ticketOpen(input: {{subject: \"Another\", {key}}})"),
        format!("ticketOpen(input: {{subject: \"First\", priority: HIGH, {key}}})"),
        format!("ticketReply(id: \"{one}\", input: {{body: \"x\", {key}}})"),
        format!("ticketReply(id: \"{one}\", input: {{body: \"x\", direction: INBOUND, {key}}})"),
        format!("ticketWork(id: \"{one}\", input: {{acts: [{{reply: {{body: \"x\"}}}}], {key}}})"),
        format!("ticketAddNote(id: \"{two}\", input: {{body: \"x\", {key}}})"),
        format!("ticketAddNote(id: \"{two}\", input: {{body: \"{}\", {key}}})", "x".repeat(20_000)),
        format!("ticketLogCall(id: \"{one}\", input: {{answered: false, {key}}})"),
        format!("ticketAssign(id: \"{one}\", input: {{agent: \"agent_ann\", {key}}})"),
        format!("ticketTransfer(id: \"{one}\", input: {{queue: \"queue_billing\", {key}}})"),
        format!("ticketSetStatus(id: \"{one}\", input: {{status: \"open\", {key}}})"),
        format!("ticketResolve(id: \"{one}\", input: {{{key}}})"),
        format!("ticketClose(id: \"{one}\", input: {{{key}}})"),
        format!("ticketReopen(id: \"{one}\", input: {{{key}}})"),
        format!("ticketUpdate(id: \"{one}\", input: {{priority: LOW, {key}}})"),
        format!("ticketTag(id: \"{one}\", input: {{add: [\"x\"], {key}}})"),
        format!("ticketSetField(id: \"{one}\", input: {{field: \"satisfaction\", choice: \"good\", {key}}})"),
        format!("ticketEscalate(id: \"{one}\", input: {{reason: \"x\", {key}}})"),
        format!("ticketLowerEscalation(id: \"{one}\", input: {{reason: \"x\", {key}}})"),
        format!("ticketFollow(id: \"{one}\", input: {{agent: \"agent_ann\", {key}}})"),
        format!("customerRegister(input: {{name: \"Kim\", {key}}})"),
        format!("tokenCreate(input: {{role: CUSTOMER, customer: \"{customer}\", label: \"x\", {key}}})"),
        format!("slaReapply(input: {{{key}}})"),
        format!("deskApply(input: {{toml: {toml}, {key}}})"),
    ];
    for call in &others {
        let refused = payload(&shop, &shop.admin, call, "clientMutationId").await;
        let error = &refused["userErrors"][0];
        assert_eq!(error["code"], "IDEMPOTENCY_KEY_REUSED", "{}: {refused}", &call[..call.len().min(80)]);
        assert_eq!(error["firstPosition"], first["position"], "{refused}");
        assert_eq!(error["path"], json!(["input", "clientMutationId"]));
    }
    let schema = include_str!("../../schema.graphql");
    let mutations = schema.split("type Mutation {").nth(1).unwrap().split("\n}").next().unwrap();
    for name in mutations.lines().filter_map(|line| line.trim().split_once('(').map(|(name, _)| name)) {
        let tried = others.iter().any(|call| call.starts_with(&format!("{name}(")));
        // Of who looks nothing is stored, so there is nothing to be done twice.
        let keyless = name == "ticketLook";
        assert!(tried || keyless || name == "tokenRevoke", "{name} is not tried with a used key");
    }
    // A token has to be there to be revoked.
    let made = payload(&shop, &shop.admin, "tokenCreate(input: {role: AUDITOR, label: \"x\"})", "tokenId").await;
    let revoke = format!("tokenRevoke(id: {}, input: {{{key}}})", made["tokenId"]);
    let refused = payload(&shop, &shop.admin, &revoke, "tokenId").await;
    assert_eq!(
        (&refused["userErrors"][0]["code"], &refused["tokenId"]),
        (&json!("IDEMPOTENCY_KEY_REUSED"), &Value::Null)
    );
    assert_eq!(head(&shop).await, before + 1, "nothing was stored by what was refused");
    // The long text of a refused note is not kept either.
    let texts = std::fs::read_dir(shop.docket.data().join("content")).map_or(0, Iterator::count);
    assert_eq!(texts, 0);
}

#[tokio::test]
async fn the_same_key_with_the_same_request_gives_the_first_answer_of_every_mutation() {
    let shop = Shop::open().await;
    let id = shop.ticket("One").await;
    let desk = std::fs::read_to_string(root().join("examples/desks/small-shop.toml")).unwrap();
    let toml = serde_json::to_string(&desk.replacen("name = \"", "name = \"The new ", 1)).unwrap();
    let calls = [
        (
            format!("ticketReply(id: \"{id}\", input: {{body: \"x\", clientMutationId: \"1\"}})"),
            "position ticket { id }",
        ),
        (
            format!("ticketAddNote(id: \"{id}\", input: {{body: \"x\", clientMutationId: \"2\"}})"),
            "position ticket { id }",
        ),
        ("ticketOpen(input: {subject: \"x\", clientMutationId: \"3\"})".to_owned(), "position ticket { id number }"),
        (
            "customerRegister(input: {name: \"Kim\", clientMutationId: \"4\"})".to_owned(),
            "position customer { id name }",
        ),
        (format!("deskApply(input: {{toml: {toml}, clientMutationId: \"5\"}})"), "position changes"),
    ];
    for (call, selection) in &calls {
        let first = payload(&shop, &shop.admin, call, selection).await;
        assert_eq!(first["userErrors"], json!([]), "{first}");
        let before = head(&shop).await;
        assert_eq!(payload(&shop, &shop.admin, call, selection).await, first);
        assert_eq!(head(&shop).await, before, "{call}");
    }
    // What cannot be shown twice is not.
    let create = "tokenCreate(input: {role: AUDITOR, label: \"x\", clientMutationId: \"6\"})";
    let first = payload(&shop, &shop.admin, create, "tokenId secret position").await;
    let again = payload(&shop, &shop.admin, create, "tokenId secret position").await;
    assert!(first["secret"].is_string() && again["secret"].is_null(), "{first} {again}");
    assert_eq!((&first["tokenId"], &first["position"]), (&again["tokenId"], &again["position"]));
    let revoke = format!("tokenRevoke(id: {}, input: {{clientMutationId: \"7\"}})", first["tokenId"]);
    let one = payload(&shop, &shop.admin, &revoke, "tokenId position").await;
    assert_eq!(payload(&shop, &shop.admin, &revoke, "tokenId position").await, one);
}

#[tokio::test]
async fn a_key_holds_too_when_nothing_had_to_be_done() {
    let shop = Shop::open().await;
    let id = shop.ticket("One").await;
    let set = |status: &str, key: &str| {
        format!("ticketSetStatus(id: \"{id}\", input: {{status: \"{status}\", clientMutationId: \"{key}\"}})")
    };
    let status = async || {
        let query = "query ($id: ID!) { ticket(id: $id) { status { key } version } }";
        shop.server.data(&shop.agent, query, json!({ "id": id })).await["ticket"].take()
    };
    payload(&shop, &shop.agent, &set("open", "a"), "position").await;
    let open = status().await;
    let so_already = payload(&shop, &shop.agent, &set("open", "b"), "position").await;
    assert_eq!(so_already["position"], open["version"], "it stands where the ticket stood");
    assert_eq!(status().await, open, "the ticket's version is its own");
    payload(&shop, &shop.agent, &set("awaiting-customer", "c"), "position").await;
    let again = payload(&shop, &shop.agent, &set("open", "b"), "position").await;
    assert_eq!(again, so_already);
    assert_eq!(status().await["status"]["key"], "awaiting-customer", "a late repetition undoes nothing");
    let other = payload(&shop, &shop.agent, &set("resolved", "b"), "position").await;
    assert_eq!(other["userErrors"][0]["code"], "IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test]
async fn an_empty_or_endless_key_is_refused_and_nothing_is_stored() {
    let shop = Shop::open().await;
    let before = head(&shop).await;
    for (key, code) in [(String::new(), "INVALID"), ("  ".to_owned(), "INVALID"), ("k".repeat(257), "TOO_LONG")] {
        let open = format!("ticketOpen(input: {{subject: \"x\", clientMutationId: \"{key}\"}})");
        let refused = payload(&shop, &shop.admin, &open, "position").await;
        assert_eq!(refused["userErrors"][0]["code"], code, "{refused}");
        assert_eq!(refused["userErrors"][0]["path"], json!(["input", "clientMutationId"]));
    }
    assert_eq!(head(&shop).await, before);
}

#[tokio::test]
async fn equal_requests_at_once_are_one_commit_and_all_get_its_answer() {
    let shop = Shop::open().await;
    let open = "mutation { ticketOpen(input: {subject: \"Once\", body: \"Please\", clientMutationId: \"race\"}) { position ticket { id number } userErrors { code } } }";
    let asked = (0..16).map(|_| shop.server.data(&shop.agent, open, json!({})));
    let answers = futures_util::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let count = shop.server.data(&shop.agent, "{ tickets { totalCount } }", json!({})).await;
    assert_eq!(count["tickets"]["totalCount"], 1);
    // Different requests with one key at once: one is stored, the others are told.
    let asked = (0..16).map(|n| {
        let open = format!("mutation {{ ticketOpen(input: {{subject: \"No {n}\", clientMutationId: \"race-2\"}}) {{ position ticket {{ subject }} userErrors {{ code firstPosition }} }} }}");
        let server = &shop.server;
        let token = &shop.agent;
        async move { (n, server.data(token, &open, json!({})).await["ticketOpen"].take()) }
    });
    let answers = futures_util::future::join_all(asked).await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|(_, answer)| answer["userErrors"] == json!([]));
    assert_eq!((done.len(), refused.len()), (1, 15), "{answers:?}");
    assert_eq!(done[0].1["ticket"]["subject"], format!("No {}", done[0].0));
    for (_, answer) in refused {
        assert_eq!(answer["userErrors"][0]["code"], "IDEMPOTENCY_KEY_REUSED");
        assert_eq!(answer["userErrors"][0]["firstPosition"], done[0].1["position"]);
    }
}

#[tokio::test]
async fn ids_made_for_a_keyed_request_are_of_their_time() {
    let shop = Shop::open().await;
    let open = "ticketOpen(input: {subject: \"x\", clientMutationId: \"k\"})";
    let plain = payload(&shop, &shop.admin, "ticketOpen(input: {subject: \"x\"})", "ticket { id }").await;
    let keyed = payload(&shop, &shop.admin, open, "ticket { id }").await;
    let id = |payload: &Value| payload["ticket"]["id"].as_str().unwrap().to_owned();
    assert!(id(&keyed) > id(&plain), "{keyed} {plain}");
    let log = "{ log(last: 1) { nodes { correlationId token actor { __typename } } } }";
    let log = shop.server.data(&shop.admin, log, json!({})).await;
    let commit = &log["log"]["nodes"][0];
    assert!(commit["correlationId"].as_str().unwrap() > &id(&plain)["ticket_".len()..], "{commit}");
}

#[tokio::test]
async fn customers_who_do_not_exist_neither_write_nor_call_nor_ask() {
    let shop = Shop::open().await;
    let id = shop.ticket("One").await;
    let before = head(&shop).await;
    let nobody = "customer_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    for (call, member) in [
        (format!("ticketReply(id: \"{id}\", input: {{body: \"x\", from: \"{nobody}\"}})"), "from"),
        (format!("ticketLogCall(id: \"{id}\", input: {{answered: false, from: \"{nobody}\"}})"), "from"),
        (format!("ticketUpdate(id: \"{id}\", input: {{requester: \"{nobody}\"}})"), "requester"),
        (format!("ticketOpen(input: {{subject: \"x\", requester: \"{nobody}\"}})"), "requester"),
    ] {
        let refused = payload(&shop, &shop.admin, &call, "position").await;
        let error = &refused["userErrors"][0];
        assert_eq!(
            (&error["code"], &error["path"]),
            (&json!("NOT_FOUND"), &json!(["input", member])),
            "{call}: {refused}"
        );
        assert!(error["message"].as_str().unwrap().contains("customer"), "{error}");
    }
    assert_eq!(head(&shop).await, before);
}

#[tokio::test]
async fn every_path_of_a_refusal_leads_to_an_argument_that_exists() {
    let shop = Shop::open().await;
    let id = shop.ticket("One").await;
    let long = "x".repeat(5_000);
    for (call, path) in [
        (format!("ticketTag(id: \"{id}\", input: {{add: [\" x\"]}})"), json!(["input", "add"])),
        (
            format!("ticketSetField(id: \"{id}\", input: {{field: \"satisfaction\", text: \"x\"}})"),
            json!(["input", "text"]),
        ),
        (format!("ticketSetField(id: \"{id}\", input: {{field: \"nothing\"}})"), json!(["input", "field"])),
        (
            format!("ticketLogCall(id: \"{id}\", input: {{answered: true, summary: \" \"}})"),
            json!(["input", "summary"]),
        ),
        (format!("ticketEscalate(id: \"{id}\", input: {{reason: \"{long}\"}})"), json!(["input", "reason"])),
        (format!("ticketFollow(id: \"{id}\", input: {{agent: \"agent_x\"}})"), json!(["input", "agent"])),
        ("tokenCreate(input: {role: AGENT, label: \"x\"})".to_owned(), json!(["input", "agent"])),
        ("ticketResolve(id: \"ticket_x\", input: {})".to_owned(), json!(["id"])),
        ("tokenRevoke(id: \"token_x\", input: {})".to_owned(), json!(["id"])),
    ] {
        let refused = payload(&shop, &shop.admin, &call, "clientMutationId").await;
        assert_eq!(refused["userErrors"][0]["path"], path, "{call}: {refused}");
    }
}

#[tokio::test]
async fn who_has_left_neither_reads_nor_works_nor_watches() {
    let shop = Shop::open().await;
    let id = shop.ticket("One").await;
    let desk = std::fs::read_to_string(root().join("examples/desks/small-shop.toml")).unwrap();
    let assign = format!("ticketAssign(id: \"{id}\", input: {{agent: \"agent_ann\"}})");
    payload(&shop, &shop.admin, &assign, "position").await;
    let mut watching = support::shop::socket(&shop.server, &shop.agent).await;
    assert_eq!(support::shop::next(&mut watching).await["type"], "connection_ack");
    // Her part of the file goes; the ticket stays with her, visibly, until the file says where it goes.
    let mut table: toml::Table = toml::from_str(&desk).unwrap();
    table["agent"].as_array_mut().unwrap().retain(|agent| agent["key"].as_str() != Some("ann"));
    let without = toml::to_string(&table).unwrap();
    let apply = "mutation ($t: String!, $d: Boolean!) { deskApply(input: {toml: $t, dryRun: $d}) { changes moved departures { kind key tickets tokens } userErrors { message } } }";
    for dry_run in [true, false] {
        let applied = shop.server.data(&shop.admin, apply, json!({ "t": without, "d": dry_run })).await;
        let applied = &applied["deskApply"];
        assert_eq!(
            applied["departures"],
            json!([{ "kind": "agent", "key": "ann", "tickets": 1, "tokens": 1 }]),
            "{applied}"
        );
        assert_eq!(applied["changes"], json!(["retire agent ann: 1 unfinished ticket, 1 token ends"]));
    }
    let answer = shop.server.ask(&shop.agent, "{ tickets { totalCount } }", json!({})).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{answer}");
    let query = "subscription { queueUpdated(id: \"queue_orders\") { counters { total } } }";
    let subscribe = json!({ "id": "1", "type": "subscribe", "payload": { "query": query } });
    futures_util::SinkExt::send(&mut watching, tokio_tungstenite::tungstenite::Message::text(subscribe.to_string()))
        .await
        .unwrap();
    assert_eq!(support::shop::next(&mut watching).await, json!({ "closed": 4403 }));
    let agents = "{ agents { nodes { key retired } } }";
    let listed = shop.server.data(&shop.admin, agents, json!({})).await;
    let ann = listed["agents"]["nodes"].as_array().unwrap().iter().find(|agent| agent["key"] == "ann").cloned();
    assert_eq!(ann.unwrap()["retired"], true);
    // Said in the same file, also later: the ticket goes to somebody who is here.
    let moving = format!("{without}\n[[leaving]]\nkind = \"agent\"\nkey = \"ann\"\nmove_to = \"boris\"\n");
    let applied = shop.server.data(&shop.admin, apply, json!({ "t": moving, "d": false })).await;
    assert_eq!(applied["deskApply"]["moved"], 1, "{applied}");
    let listed = shop.server.data(&shop.admin, agents, json!({})).await;
    assert!(!listed.to_string().contains("\"ann\""), "{listed}");
    let assignee = "query ($id: ID!) { ticket(id: $id) { agent { key } } }";
    let now = shop.server.data(&shop.admin, assignee, json!({ "id": id })).await;
    assert_eq!(now["ticket"]["agent"]["key"], "boris");
}

#[tokio::test]
async fn a_ticket_in_which_several_leaving_parts_meet_is_moved_once_and_wholly() {
    let shop = Shop::open().await;
    let open = "ticketOpen(input: {subject: \"x\", queue: \"queue_billing\", category: \"category_return\"})";
    let id = payload(&shop, &shop.admin, open, "ticket { id }").await["ticket"]["id"].clone();
    let desk = std::fs::read_to_string(root().join("examples/desks/small-shop.toml")).unwrap();
    let mut table: toml::Table = toml::from_str(&desk).unwrap();
    for (kind, key) in [("queue", "billing"), ("category", "return")] {
        table[kind].as_array_mut().unwrap().retain(|part| part["key"].as_str() != Some(key));
    }
    for policy in table["policy"].as_array_mut().unwrap() {
        policy.as_table_mut().unwrap().remove("when");
    }
    let leaving = "[[leaving]]\nkind = \"category\"\nkey = \"return\"\nmove_to = \"payment\"\n[[leaving]]\nkind = \"queue\"\nkey = \"billing\"\nmove_to = \"orders\"\n";
    let file = format!("{}\n{leaving}", toml::to_string(&table).unwrap());
    let apply = "mutation ($t: String!, $d: Boolean!) { deskApply(input: {toml: $t, dryRun: $d, clientMutationId: \"k\"}) { moved userErrors { message } } }";
    for dry_run in [true, false] {
        let applied = shop.server.data(&shop.admin, apply, json!({ "t": file, "d": dry_run })).await;
        assert_eq!(applied["deskApply"], json!({ "moved": 1, "userErrors": [] }));
    }
    let query = "query ($id: ID!) { ticket(id: $id) { queue { key } category { key } } }";
    let now = shop.server.data(&shop.admin, query, json!({ "id": id })).await;
    assert_eq!(now["ticket"], json!({ "queue": { "key": "orders" }, "category": { "key": "payment" } }));
    let status = shop.server.data(&shop.admin, "{ serverStatus { setAside { number } } }", json!({})).await;
    assert_eq!(status["serverStatus"]["setAside"], json!([]));
}

#[tokio::test]
async fn a_part_that_finishes_its_tickets_moves_them_after_all_others_and_what_is_refused_is_told() {
    for order in [["status", "agent"], ["agent", "status"]] {
        let shop = Shop::open().await;
        let id = shop.ticket("One").await;
        let assign = format!("ticketAssign(id: \"{id}\", input: {{agent: \"agent_ewa\"}})");
        payload(&shop, &shop.admin, &assign, "position").await;
        let park = format!("ticketSetStatus(id: \"{id}\", input: {{status: \"postponed\"}})");
        payload(&shop, &shop.admin, &park, "position").await;
        let desk = std::fs::read_to_string(root().join("examples/desks/small-shop.toml")).unwrap();
        let mut table: toml::Table = toml::from_str(&desk).unwrap();
        for (kind, key) in [("agent", "ewa"), ("status", "postponed")] {
            table[kind].as_array_mut().unwrap().retain(|part| part["key"].as_str() != Some(key));
        }
        let mut file = toml::to_string(&table).unwrap();
        for kind in order {
            let (key, to) = if kind == "agent" { ("ewa", "boris") } else { ("postponed", "closed") };
            file.push_str(&format!("\n[[leaving]]\nkind = \"{kind}\"\nkey = \"{key}\"\nmove_to = \"{to}\"\n"));
        }
        let apply = "mutation ($t: String!, $d: Boolean!) { deskApply(input: {toml: $t, dryRun: $d}) { moved notMoved { number why } userErrors { message } } }";
        for dry_run in [true, false] {
            let applied = shop.server.data(&shop.admin, apply, json!({ "t": file, "d": dry_run })).await;
            assert_eq!(applied["deskApply"], json!({ "moved": 1, "notMoved": [], "userErrors": [] }), "{order:?}");
        }
        let query = "query ($id: ID!) { ticket(id: $id) { agent { key } status { key } } }";
        let now = shop.server.data(&shop.admin, query, json!({ "id": id })).await;
        assert_eq!(now["ticket"], json!({ "agent": { "key": "boris" }, "status": { "key": "closed" } }));
    }
}

#[tokio::test]
async fn who_comes_back_needs_a_new_token() {
    let shop = Shop::open().await;
    let desk = std::fs::read_to_string(root().join("examples/desks/small-shop.toml")).unwrap();
    let mut table: toml::Table = toml::from_str(&desk).unwrap();
    table["agent"].as_array_mut().unwrap().retain(|agent| agent["key"].as_str() != Some("ann"));
    let apply = "mutation ($t: String!) { deskApply(input: {toml: $t}) { changes userErrors { message } } }";
    for file in [toml::to_string(&table).unwrap(), desk] {
        let applied = shop.server.data(&shop.admin, apply, json!({ "t": file })).await;
        assert_eq!(applied["deskApply"]["userErrors"], json!([]));
        let answer = shop.server.ask(&shop.agent, "{ viewer { label } }", json!({})).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{answer}");
    }
    let made =
        payload(&shop, &shop.admin, "tokenCreate(input: {role: AGENT, agent: \"agent_ann\", label: \"x\"})", "secret")
            .await;
    let viewer = "{ viewer { agent { key } } }";
    let seen = shop.server.data(made["secret"].as_str().unwrap(), viewer, json!({})).await;
    assert_eq!(seen["viewer"]["agent"]["key"], "ann");
}

#[tokio::test]
async fn a_default_written_out_is_the_same_request() {
    let shop = Shop::open().await;
    let id = shop.ticket("One").await;
    for (call, default) in [
        ("ticketFollow(id: $id, input: {agent: \"agent_ann\", clientMutationId: \"1\"", "follow: true"),
        ("ticketTag(id: $id, input: {add: [\"x\"], clientMutationId: \"2\"", "remove: []"),
        ("ticketLogCall(id: $id, input: {answered: false, clientMutationId: \"3\"", "duration: \"PT0S\""),
    ] {
        let call = call.replace("$id", &format!("\"{id}\""));
        let first = payload(&shop, &shop.admin, &format!("{call}}})"), "position").await;
        let again = payload(&shop, &shop.admin, &format!("{call}, {default}}})"), "position").await;
        assert_eq!((&first["userErrors"], &first), (&json!([]), &again));
    }
}

#[tokio::test]
async fn a_commit_names_the_token_that_acted() {
    let shop = Shop::open().await;
    let made =
        payload(&shop, &shop.admin, "tokenCreate(input: {role: ADMINISTRATOR, label: \"Eve\"})", "tokenId secret")
            .await;
    let (token, secret) = (made["tokenId"].as_str().unwrap(), made["secret"].as_str().unwrap());
    payload(&shop, secret, "ticketOpen(input: {subject: \"x\"})", "position").await;
    let log = shop
        .server
        .data(
            &shop.admin,
            "{ log(last: 1) { nodes { actor { __typename ... on Administrator { name } } token } } }",
            json!({}),
        )
        .await;
    assert_eq!(
        log["log"]["nodes"][0],
        json!({ "actor": { "__typename": "Administrator", "name": "Eve" }, "token": token })
    );
    let replayed = shop.docket.ok(&["replay"]);
    let last = replayed.trim_end().lines().last().unwrap();
    assert!(last.contains("administrator Eve"), "{last}");
}

#[tokio::test]
async fn a_refusal_and_a_failure_leave_a_line_with_the_id_that_the_client_was_given() {
    let docket = Docket::new();
    docket.ok(&["apply", root().join("examples/desks/small-shop.toml").to_str().unwrap()]);
    let admin = docket.token(&["--role", "administrator"]);
    let log = docket.path("log");
    let mut command = docket.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::fs::File::create(&log).unwrap());
    let mut child = command.spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let address = lines.next().unwrap().unwrap().rsplit_once("http://").unwrap().1.to_owned();
    let server = support::Server { child, address, tokens: vec![] };
    let mut ids = Vec::new();
    for (token, query) in [
        (admin.as_str(), "mutation { ticketResolve(id: \"ticket_x\", input: {}) { userErrors { code } } }"),
        (admin.as_str(), "{ nothing }"),
        (admin.as_str(), "{ tickets(first: 1000) { totalCount } }"),
        ("dkt_wrong", "{ viewer { label } }"),
    ] {
        let client = reqwest::Client::new();
        let sent = client.post(server.url("/graphql")).bearer_auth(token).json(&json!({ "query": query })).send().await;
        ids.push(sent.unwrap().headers()["x-request-id"].to_str().unwrap().to_owned());
    }
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let told = std::fs::read_to_string(&log).unwrap();
        if ids.iter().all(|id| told.lines().any(|line| line.contains(id.as_str()))) {
            assert!(!told.contains("dkt_wrong") && !told.contains(&admin), "{told}");
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{ids:?} are not all in {told}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_fields_of_a_page_are_those_of_its_moment_however_often_they_are_asked_for() {
    let shop = Shop::open().await;
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(shop.ticket(&format!("Ticket {n}")).await);
    }
    let page = "{ a: tickets { nodes { fields { field value } again: fields { value } } } b: tickets { edges { node { fields { value } } } } }";
    for value in ["good", "fair", "bad"] {
        for (n, id) in ids.iter().enumerate().filter(|(n, _)| *n != 1) {
            let set = format!("ticketSetField(id: \"{id}\", input: {{field: \"satisfaction\", choice: \"{value}\"}})");
            assert_eq!(payload(&shop, &shop.agent, &set, "position").await["userErrors"], json!([]), "{n}");
        }
        // The second time they come from what is kept.
        for _ in 0..2 {
            let seen = shop.server.data(&shop.agent, page, json!({})).await;
            let expected = |n: usize| if n == 1 { json!([]) } else { json!([{ "value": value }]) };
            for n in 0..3 {
                let node = &seen["a"]["nodes"][n];
                assert_eq!((&node["again"], &seen["b"]["edges"][n]["node"]["fields"]), (&expected(n), &expected(n)));
                assert_eq!(node["fields"].as_array().unwrap().len(), usize::from(n != 1));
            }
        }
    }
    let emptied = format!("ticketSetField(id: \"{}\", input: {{field: \"satisfaction\"}})", ids[0]);
    payload(&shop, &shop.agent, &emptied, "position").await;
    let seen = shop.server.data(&shop.agent, page, json!({})).await;
    assert_eq!(seen["a"]["nodes"][0]["fields"], json!([]));
}
