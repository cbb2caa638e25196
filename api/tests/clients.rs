//! What client programs rely on in the schema: kinds of entries that never clash, ids for everything that a desk defines,
//! descriptions that stand alone, and answers that say what to do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use std::collections::BTreeMap;

use apollo_compiler::{Schema, schema::ExtendedType};
use serde_json::{Value, json};
use support::shop::Shop;

fn schema() -> Schema {
    Schema::parse(include_str!("../../schema.graphql"), "schema.graphql").unwrap()
}

async fn work(shop: &Shop, token: &str, id: &str, acts: &str) -> Value {
    let query = format!(
        "mutation {{ x: ticketWork(id: \"{id}\", input: {{ acts: {acts} }}) {{
            ticket {{ version status {{ category }} }} position userErrors {{ code path message }} }} }}"
    );
    shop.server.data(token, &query, json!({})).await["x"].clone()
}

#[test]
fn fields_of_one_name_have_one_type_in_all_kinds_of_entries() {
    let (schema, mut types) = (schema(), BTreeMap::<String, (String, String)>::new());
    let mut kinds = 0;
    for (name, ty) in &schema.types {
        let ExtendedType::Object(object) = ty else { continue };
        if !object.implements_interfaces.iter().any(|interface| interface.name == "TimelineEntry") {
            continue;
        }
        kinds += 1;
        for (field, definition) in &object.fields {
            let this = (definition.ty.to_string(), name.to_string());
            let first = types.entry(field.to_string()).or_insert_with(|| this.clone());
            assert_eq!(first.0, this.0, "{field} of {} and of {}", first.1, this.1);
        }
    }
    assert_eq!(kinds, 10);
}

#[test]
fn everything_in_the_schema_has_a_description_that_stands_alone() {
    // Tools print fields in alphabetical order, so nothing may lean on what stood before it.
    const LEANING: [&str; 4] = ["The same", "Of these", "Of them", "That deadline"];
    let schema = schema();
    let mut missing = Vec::new();
    let mut look = |what: String, description: Option<&str>| {
        let good = description.is_some_and(|text| !LEANING.iter().any(|word| text.trim().starts_with(word)));
        if !good {
            missing.push(what);
        }
    };
    assert!(schema.schema_definition.description.as_ref().is_some_and(|text| text.contains("Read-your-writes")));
    for (name, ty) in schema.types.iter().filter(|(_, ty)| !ty.is_built_in()) {
        look(name.to_string(), ty.description().map(|text| text.as_str()));
        match ty {
            ExtendedType::Object(object) => {
                for (field, definition) in &object.fields {
                    look(format!("{name}.{field}"), definition.description.as_deref());
                    for argument in &definition.arguments {
                        look(format!("{name}.{field}({})", argument.name), argument.description.as_deref());
                    }
                }
            }
            ExtendedType::Interface(interface) => {
                for (field, definition) in &interface.fields {
                    look(format!("{name}.{field}"), definition.description.as_deref());
                }
            }
            ExtendedType::InputObject(input) => {
                for (field, definition) in &input.fields {
                    look(format!("{name}.{field}"), definition.description.as_deref());
                }
            }
            ExtendedType::Enum(values) => {
                for (value, definition) in &values.values {
                    look(format!("{name}.{value}"), definition.description.as_deref());
                }
            }
            ExtendedType::Scalar(_) | ExtendedType::Union(_) => {}
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_connection_may_be_null_and_every_length_of_time_is_a_duration() {
    for (name, ty) in &schema().types {
        let ExtendedType::Object(object) = ty else { continue };
        for (field, definition) in &object.fields {
            let of = definition.ty.inner_named_type();
            if of.ends_with("Connection") {
                assert!(!definition.ty.is_non_null(), "{name}.{field}");
            }
            assert!(!field.ends_with('S') || field.len() < 2 || of == "Duration", "{name}.{field} counts seconds");
        }
    }
}

#[tokio::test]
async fn one_query_asks_for_all_kinds_of_entries_and_each_is_found_again_by_its_id() {
    let shop = Shop::open().await;
    let id = shop.ticket("Entries").await;
    let acts = "[{assign: {agent: \"ann\"}}, {reply: {body: \"Hello\"}}, {addNote: {body: \"Hm\"}},
        {logCall: {answered: true, duration: \"PT1M30S\"}}, {transfer: {queue: \"queue_billing\"}}, {tag: {add: [\"t\"]}},
        {escalate: {reason: \"r\"}}, {lowerEscalation: {reason: \"calm\"}}, {setStatus: {category: RESOLVED}}]";
    let done = work(&shop, &shop.admin, &id, acts).await;
    assert_eq!(done["userErrors"], json!([]), "{done}");
    let query = "query ($id: ID!) { ticket(id: $id) { timeline(first: 100) { nodes {
        __typename id occurredAt recordedAt position
        actor { __typename ... on Agent { name } ... on Customer { name } ... on Administrator { name } ... on System { name } }
        ... on MessageEntry { body direction channel agent { key } customer { id } }
        ... on NoteEntry { body agent { key } }
        ... on CallEntry { duration summary agent { key } customer { id } }
        ... on AssignmentEntry { agent { key } previousAgent { key } team { key } previousTeam { key } }
        ... on QueueEntry { queue { key } previousQueue { key } }
        ... on StatusEntry { status { id key } previousStatus { id key } reopened }
        ... on EscalationEntry { level previousLevel explanation metric dueAt notify { key } }
        ... on SlaEntry { kind track policy { id key } metric dueAt reason matched }
        ... on ChangeEntry { attribute value previousValue }
        ... on OpeningEntry { channel subject } } } } }";
    let told = shop.server.data(&shop.admin, query, json!({ "id": id })).await;
    let nodes = told["ticket"]["timeline"]["nodes"].as_array().unwrap();
    let kinds: Vec<&str> = nodes.iter().map(|node| node["__typename"].as_str().unwrap()).collect();
    for kind in ["Opening", "Message", "Note", "Call", "Assignment", "Queue", "Status", "Escalation", "Sla", "Change"] {
        assert!(kinds.contains(&format!("{kind}Entry").as_str()), "{kind}: {kinds:?}");
    }
    let levels: Vec<(&Value, &Value)> = nodes
        .iter()
        .filter(|node| node["__typename"] == "EscalationEntry")
        .map(|node| (&node["previousLevel"], &node["level"]))
        .collect();
    assert_eq!(levels, [(&Value::Null, &json!(1)), (&json!(1), &json!(0))]);
    for node in nodes {
        let query = "query ($id: ID!) { node(id: $id) { __typename id ... on TimelineEntry { position } } }";
        let found = shop.server.data(&shop.admin, query, json!({ "id": node["id"] })).await;
        assert_eq!(found["node"]["__typename"], node["__typename"]);
        assert_eq!((&found["node"]["id"], &found["node"]["position"]), (&node["id"], &node["position"]));
    }
    // What is internal is no more there by its id than in the timeline.
    let note = nodes.iter().find(|node| node["__typename"] == "NoteEntry").unwrap();
    let hidden = "query ($id: ID!) { node(id: $id) { id } }";
    let seen = shop.server.data(&shop.customer, hidden, json!({ "id": note["id"] })).await;
    assert_eq!(seen["node"], Value::Null);
    for nothing in
        ["entry_", "entry_0.0", "entry_1.0", "entry_999999.0", "entry_x", "status_", "desk_other", "policy_x"]
    {
        let found = shop.server.data(&shop.admin, hidden, json!({ "id": nothing })).await;
        assert_eq!(found["node"], Value::Null, "{nothing}");
    }
}

#[tokio::test]
async fn several_acts_are_one_commit_or_none() {
    let shop = Shop::open().await;
    let id = shop.ticket("Work").await;
    let done = work(&shop, &shop.agent, &id, "[{reply: {body: \"Done.\"}}, {setStatus: {category: RESOLVED}}]").await;
    assert_eq!(done["userErrors"], json!([]));
    assert_eq!(done["ticket"]["status"]["category"], "RESOLVED");
    assert_eq!(done["ticket"]["version"], done["position"]);
    let log = shop.server.data(&shop.admin, "{ log(last: 1) { nodes { events { typeName } } } }", json!({})).await;
    let types: Vec<&str> =
        log["log"]["nodes"][0]["events"].as_array().unwrap().iter().map(|e| e["typeName"].as_str().unwrap()).collect();
    assert!(types.contains(&"MessageSent") && types.contains(&"Resolved"), "{types:?}");
    for (acts, code) in [
        ("[{addNote: {body: \"n\"}}, {transfer: {queue: \"queue_moon\"}}]", "NOT_FOUND"),
        ("[{addNote: {body: \"n\"}}, {addNote: {body: \" \"}}]", "BLANK"),
        ("[]", "BLANK"),
    ] {
        let refused = work(&shop, &shop.agent, &id, acts).await;
        assert_eq!(refused["userErrors"][0]["code"], code, "{refused}");
        assert_eq!(refused["userErrors"][0]["path"][0], "input");
        assert_eq!(refused["position"], Value::Null);
    }
    // A refusal names the act that it is about, whether it was found when the act was read or when it was judged.
    for (acts, path) in [
        (
            "[{tag: {add: [\"x\", \"y\"]}}, {reply: {body: \"b\"}}, {transfer: {queue: \"queue_none\"}}]",
            "acts 2 transfer queue",
        ),
        ("[{tag: {add: [\"x\", \"y\"]}}, {reply: {body: \" \"}}]", "acts 1 reply body"),
        ("[{tag: {add: [\"z\"]}}, {escalate: {reason: \"r\"}}]", "acts 1 escalate"),
        ("[{tag: {add: [\" \"]}}]", "acts 0 tag add"),
        ("[]", "acts"),
    ] {
        let refused = work(&shop, &shop.agent, &id, acts).await;
        let found: Vec<_> =
            refused["userErrors"][0]["path"].as_array().expect(acts).iter().flat_map(Value::as_str).collect();
        assert_eq!(found.join(" ").trim_start_matches("input "), path, "{refused}");
    }
    let long = "k".repeat(300);
    let query = format!(
        "mutation {{ x: ticketWork(id: \"{id}\", input: {{ acts: [{{tag: {{add: [\"t\"]}}}}], clientMutationId: \"{long}\" }}) {{
            userErrors {{ path }} }} }}"
    );
    let refused = shop.server.data(&shop.agent, &query, json!({})).await;
    assert_eq!(refused["x"]["userErrors"], json!([{ "path": ["input", "clientMutationId"] }]));
    let many = format!("[{}]", vec!["{addNote: {body: \"n\"}}"; 21].join(","));
    assert_eq!(work(&shop, &shop.agent, &id, &many).await["userErrors"][0]["code"], "LIMIT");
    let after = shop.server.data(&shop.admin, "{ log(last: 1) { nodes { position } } }", json!({})).await;
    assert_eq!(after["log"]["nodes"][0]["position"], done["position"], "nothing was stored since");
    // A customer may write, and nothing else with it.
    let query = format!(
        "mutation {{ ticketWork(id: \"{id}\", input: {{ acts: [{{reply: {{body: \"b\"}}}}, {{tag: {{add: [\"x\"]}}}}] }}) {{
            position }} }}"
    );
    let refused = shop.server.ask(&shop.customer, &query, json!({})).await;
    let error = &refused["errors"][0];
    assert!(
        matches!(error["extensions"]["code"].as_str(), Some("FORBIDDEN"))
            || refused["data"]["ticketWork"]["position"].is_null(),
        "{refused}"
    );
}

#[tokio::test]
async fn both_sides_write_with_one_mutation() {
    let shop = Shop::open().await;
    let open = "mutation { ticketOpen(input: { subject: \"Mine\", body: \"b\" }) { ticket { id } } }";
    let mine = shop.server.data(&shop.customer, open, json!({})).await;
    let id = mine["ticketOpen"]["ticket"]["id"].as_str().unwrap().to_owned();
    let reply =
        "mutation ($id: ID!, $d: MessageDirection) { ticketReply(id: $id, input: { body: \"w\", direction: $d }) {
        userErrors { code } } }";
    for (token, direction) in [
        (&shop.customer, Value::Null),
        (&shop.agent, Value::Null),
        (&shop.agent, json!("INBOUND")),
        (&shop.customer, json!("INBOUND")),
    ] {
        let done = shop.server.data(token, reply, json!({ "id": id, "d": direction })).await;
        assert_eq!(done["ticketReply"]["userErrors"], json!([]));
    }
    let refused = shop.server.ask(&shop.customer, reply, json!({ "id": id, "d": "OUTBOUND" })).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN");
    assert!(refused["errors"][0]["message"].as_str().unwrap().contains("right to"), "{refused}");
    let query =
        "query ($id: ID!) { ticket(id: $id) { timeline(first: 50) { nodes { ... on MessageEntry { direction } } } } }";
    let told = shop.server.data(&shop.customer, query, json!({ "id": id })).await;
    let nodes = told["ticket"]["timeline"]["nodes"].as_array().unwrap();
    let directions: Vec<&str> = nodes.iter().filter_map(|node| node["direction"].as_str()).collect();
    assert_eq!(directions, ["INBOUND", "INBOUND", "OUTBOUND", "INBOUND", "INBOUND"]);
}

#[tokio::test]
async fn what_a_desk_defines_has_an_id_and_unknown_names_are_errors() {
    let shop = Shop::open().await;
    let query = "{ desk { id statuses { id key } policies { id key } calendars { id key } fields { id key } }
        queues { nodes { id key } } categories { nodes { id key } } agents { nodes { id key } } teams { nodes { id key } } }";
    let told = shop.server.data(&shop.admin, query, json!({})).await;
    let mut found = 0;
    let lists = ["statuses", "policies", "calendars", "fields"].map(|name| &told["desk"][name]);
    let pages = ["queues", "categories", "agents", "teams"].map(|name| &told[name]["nodes"]);
    for part in lists.into_iter().chain(pages).flat_map(|list| list.as_array().unwrap()) {
        let node = "query ($id: ID!) { node(id: $id) { id } }";
        let node = shop.server.data(&shop.admin, node, json!({ "id": part["id"] })).await;
        assert_eq!(node["node"]["id"], part["id"]);
        found += 1;
    }
    assert!(found > 10, "{found}");
    // Ids and keys name the same thing, and what is not there is no empty page.
    let count = "query ($f: TicketFilter) { tickets(filter: $f) { totalCount } }";
    shop.ticket("One").await;
    for (filter, id, key) in [("statuses", "status_new", "new"), ("queues", "queue_orders", "orders")] {
        let by_id = shop.server.data(&shop.admin, count, json!({ "f": { filter: [id] } })).await;
        let by_key = shop.server.data(&shop.admin, count, json!({ "f": { filter: [key] } })).await;
        assert_eq!(by_id, by_key);
        assert!(by_id["tickets"]["totalCount"].as_i64().unwrap() > 0, "{filter}: {by_id}");
    }
    for filter in [
        json!({ "statuses": ["asleep"] }),
        json!({ "queues": ["queue_moon"] }),
        json!({ "agents": ["agent_nobody"] }),
        json!({ "teams": ["team_none"] }),
        json!({ "categories": ["category_none"] }),
        json!({ "requester": "customer_01ACNN6T80KBJ1RZ4J8VXS52GV" }),
    ] {
        let refused = shop.server.ask(&shop.admin, count, json!({ "f": filter })).await;
        let error = &refused["errors"][0];
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{filter}: {refused}");
        assert!(error["message"].as_str().unwrap().contains("there is no"), "{refused}");
    }
}

#[tokio::test]
async fn tokens_are_listed_with_their_last_use_and_no_secret() {
    let shop = Shop::open().await;
    shop.server.data(&shop.agent, "{ viewer { role } }", json!({})).await;
    let query = "{ tokens(first: 100) { totalCount nodes { id role label valid revoked lastUsedAt agent { key } customer { id } } } }";
    let told = shop.server.data(&shop.admin, query, json!({})).await;
    let nodes = told["tokens"]["nodes"].as_array().unwrap();
    let of = |role: &str| nodes.iter().find(|node| node["role"] == role).unwrap();
    assert!(of("AGENT")["lastUsedAt"].is_string() && of("AGENT")["agent"]["key"].is_string(), "{told}");
    assert!(of("ADMINISTRATOR")["lastUsedAt"].is_string());
    assert_eq!(of("AUDITOR")["lastUsedAt"], Value::Null);
    assert!(!told.to_string().contains("dkt_"));
    let revoke = "mutation ($id: ID!) { tokenRevoke(id: $id, input: {}) { tokenId } }";
    shop.server.data(&shop.admin, revoke, json!({ "id": of("AUDITOR")["id"] })).await;
    let told = shop.server.data(&shop.admin, query, json!({})).await;
    let auditor = told["tokens"]["nodes"].as_array().unwrap().iter().find(|node| node["role"] == "AUDITOR").unwrap();
    assert_eq!((&auditor["valid"], &auditor["revoked"]), (&json!(false), &json!(true)));
    for token in [&shop.agent, &shop.customer] {
        let refused = shop.server.ask(token, query, json!({})).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN");
        let message = refused["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("right to read tokens"), "{message}");
    }
}

#[tokio::test]
async fn a_conflict_names_the_ticket_and_who_changed_what() {
    let shop = Shop::open().await;
    let id = shop.ticket("Conflict").await;
    let version = shop
        .server
        .data(&shop.admin, "query ($id: ID!) { ticket(id: $id) { number version } }", json!({ "id": id }))
        .await;
    let (number, version) = (&version["ticket"]["number"], &version["ticket"]["version"]);
    work(&shop, &shop.agent, &id, "[{tag: {add: [\"x\"]}}]").await;
    let late = "mutation ($id: ID!, $v: BigInt) { ticketReply(id: $id, input: { body: \"b\", expectedVersion: $v }) {
        userErrors { code message currentVersion } } }";
    let told = shop.server.data(&shop.admin, late, json!({ "id": id, "v": version })).await;
    let error = &told["ticketReply"]["userErrors"][0];
    let message = error["message"].as_str().unwrap();
    assert_eq!(error["code"], "CONFLICT");
    assert!(message.starts_with(&format!("ticket {number} was changed meanwhile: ")), "{message}");
    assert!(message.contains("TagAdded"), "{message}");
}

#[tokio::test]
async fn a_name_that_was_removed_is_answered_with_its_successor() {
    let shop = Shop::open().await;
    for (query, successor) in [
        ("mutation { ticketReceive(id: \"x\", input: { body: \"b\" }) { position } }", "ticketReply"),
        ("{ ticket(id: \"x\") { timeline { nodes { ... on NoteEntry { entry { id } } } } } }", "on the entry itself"),
        ("{ ticket(id: \"x\") { timeline { nodes { ... on StatusEntry { to { key } } } } } }", "`status`"),
        ("{ ticket(id: \"x\") { timeline { nodes { ... on QueueEntry { from { key } } } } } }", "`previousQueue`"),
        ("{ ticket(id: \"x\") { timeline { nodes { ... on CallEntry { durationS } } } } }", "`duration`"),
        ("{ report { totals { closing { medianS } } } }", "`median`"),
        ("mutation { ticketLogCall(id: \"x\", input: { answered: true, durationS: 3 }) { position } }", "`duration`"),
        ("mutation ($i: TicketReceiveInput!) { ticketReply(id: \"x\", input: $i) { position } }", "TicketReplyInput"),
    ] {
        let refused = shop.server.ask(&shop.admin, query, json!({})).await;
        let errors = refused["errors"].to_string();
        assert!(errors.contains("GRAPHQL_VALIDATION_FAILED") && errors.contains(successor), "{query}: {errors}");
    }
}

#[tokio::test]
async fn an_operation_that_costs_too_much_is_told_by_how_much_and_others_are_told_when_they_ask() {
    let shop = Shop::open().await;
    let dear = "{ tickets(first: 100) { nodes { timeline(first: 100) { nodes { id occurredAt } } } } }";
    let refused = shop.server.ask(&shop.admin, dear, json!({})).await;
    let error = &refused["errors"][0];
    assert_eq!(error["extensions"]["code"], "QUERY_TOO_COMPLEX");
    let (cost, limit) = (error["extensions"]["cost"].as_i64().unwrap(), error["extensions"]["limit"].as_i64().unwrap());
    assert!(cost > limit && limit == 10_000, "{refused}");
    assert!(error["message"].as_str().unwrap().contains(&(cost - limit).to_string()), "{refused}");
    let request = json!({ "query": "{ viewer { role label } }", "extensions": { "cost": true } });
    let client = reqwest::Client::new();
    let sent = client.post(shop.server.url("/graphql")).bearer_auth(&shop.admin).json(&request).send().await.unwrap();
    let told: Value = sent.json().await.unwrap();
    assert_eq!(told["extensions"]["cost"], json!({ "requested": 3, "limit": 10_000 }), "{told}");
}
