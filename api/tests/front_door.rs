//! The real binary over real HTTP: what its users do, and what they do wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use futures_util::SinkExt;
use serde_json::{Value, json};
use support::{
    Docket, PATIENCE, root,
    shop::{SHOP, Shop, next, socket},
};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_customer_asks_an_agent_answers_and_both_see_what_they_may() {
    let shop = Shop::open().await;
    let id = shop.ticket("Where is my parcel?").await;
    let (server, vars) = (&shop.server, json!({ "id": id }));
    let note =
        "mutation ($id: ID!) { ticketAddNote(id: $id, input: { body: \"He is a VIP\" }) { userErrors { code } } }";
    server.data(&shop.agent, note, vars.clone()).await;
    let reply = "mutation ($id: ID!) { ticketReply(id: $id, input: { body: \"It left on Monday\" }) { ticket { status { name } firstResponseAt } userErrors { code } } }";
    let answered = server.data(&shop.agent, reply, vars.clone()).await;
    assert_eq!(answered["ticketReply"]["ticket"]["status"]["name"], "In progress");
    let timeline = "query ($id: ID!) { ticket(id: $id) { number subject agent { key } slaClocks { metric } timeline { nodes { __typename ... on MessageEntry { body direction } ... on NoteEntry { body } } } } }";
    let seen = server.data(&shop.customer, timeline, vars.clone()).await;
    let kinds = |seen: &Value| -> Vec<String> {
        let nodes = seen["ticket"]["timeline"]["nodes"].as_array().unwrap();
        nodes.iter().map(|node| node["__typename"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(&seen), ["OpeningEntry", "MessageEntry", "MessageEntry", "StatusEntry"]);
    assert!(!seen.to_string().contains("VIP"));
    assert_eq!(seen["ticket"]["slaClocks"], json!([]));
    let seen = server.data(&shop.agent, timeline, vars).await;
    assert!(kinds(&seen).contains(&"NoteEntry".to_owned()) && seen.to_string().contains("VIP"));
    assert_eq!(seen["ticket"]["slaClocks"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn without_a_token_nothing_but_health_is_answered() {
    let shop = Shop::open().await;
    let client = reqwest::Client::new();
    for (path, status) in
        [("/livez", 200), ("/readyz", 200), ("/graphql?query={__typename}", 401), ("/graphiql", 200), ("/nothing", 404)]
    {
        assert_eq!(client.get(shop.server.url(path)).send().await.unwrap().status(), status, "{path}");
    }
    for token in ["", "dkt_0000", &shop.admin[..20]] {
        let answer = shop.server.ask(token, "{ viewer { role } }", json!({})).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
        assert!(answer.get("data").is_none());
    }
    let mut socket = socket(&shop.server, "dkt_wrong").await;
    assert_eq!(next(&mut socket).await, json!({ "closed": 4403 }));
}

#[tokio::test]
async fn every_role_gets_what_it_may_and_nothing_else() {
    let shop = Shop::open().await;
    let own = shop.ticket("Mine").await;
    let open = "mutation { ticketOpen(input: { subject: \"Somebody else's\", body: \"x\" }) { ticket { id } } }";
    let made = shop.server.data(&shop.admin, open, json!({})).await;
    let other = made["ticketOpen"]["ticket"]["id"].as_str().unwrap().to_owned();
    let customer = shop.customer_id.clone();
    // What is asked, and whether administrator, agent, customer and auditor get it.
    let cases = [
        (format!("{{ ticket(id: \"{own}\") {{ id }} }}"), [true, true, true, true]),
        (format!("{{ ticket(id: \"{other}\") {{ id }} }}"), [true, true, false, true]),
        (format!("{{ node(id: \"{other}\") {{ id }} }}"), [true, true, false, true]),
        (format!("{{ node(id: \"{customer}\") {{ id }} }}"), [true, true, true, true]),
        ("{ ticketByNumber(number: 2) { id } }".into(), [true, true, false, true]),
        ("{ queues { totalCount } }".into(), [true, true, true, true]),
        ("{ queue(id: \"queue_orders\") { counters { total } } }".into(), [true, true, false, true]),
        ("{ customers { totalCount } }".into(), [true, true, false, true]),
        ("{ agents { totalCount } }".into(), [true, true, false, true]),
        ("{ teams { totalCount } }".into(), [true, true, false, true]),
        ("{ report { totals { created { events } } } }".into(), [true, true, false, true]),
        ("{ timers(dueBefore: \"2100-01-01T00:00:00Z\") { at } }".into(), [true, true, false, true]),
        ("{ log { totalCount } }".into(), [true, false, false, true]),
        (
            format!("mutation {{ ticketAddNote(id: \"{own}\", input: {{ body: \"n\" }}) {{ ticket {{ id }} }} }}"),
            [true, true, false, false],
        ),
        (
            format!(
                "mutation {{ ticketReply(id: \"{own}\", input: {{ body: \"r\", direction: OUTBOUND }}) {{ ticket {{ id }} }} }}"
            ),
            [true, true, false, false],
        ),
        (
            format!("mutation {{ ticketReply(id: \"{own}\", input: {{ body: \"m\" }}) {{ ticket {{ id }} }} }}"),
            [true, true, true, false],
        ),
        (
            format!("mutation {{ ticketReply(id: \"{other}\", input: {{ body: \"m\" }}) {{ ticket {{ id }} }} }}"),
            [true, true, false, false],
        ),
        (
            format!("mutation {{ ticketResolve(id: \"{own}\", input: {{}}) {{ ticket {{ id }} }} }}"),
            [true, true, false, false],
        ),
        (
            "mutation { tokenCreate(input: { role: AUDITOR, label: \"x\" }) { secret } }".into(),
            [true, false, false, false],
        ),
        (
            "mutation { customerRegister(input: { name: \"D\" }) { customer { id } } }".into(),
            [true, true, false, false],
        ),
        ("mutation { deskApply(input: { toml: \"\" }) { position } }".into(), [true, false, false, false]),
    ];
    let tokens = [&shop.admin, &shop.agent, &shop.customer, &shop.auditor];
    for (query, allowed) in cases {
        for (token, allowed) in tokens.iter().zip(allowed) {
            let answer = shop.server.ask(token, &query, json!({})).await;
            let root = answer["data"].as_object().and_then(|data| data.values().next());
            // A refusal is null, a payload without anything in it, or an error; never data beside an error.
            let got = root.is_some_and(|value| match value.as_object() {
                Some(payload) => payload.values().any(|part| !part.is_null()),
                None => !value.is_null(),
            });
            assert_eq!(got, allowed, "{query}: {answer}");
            assert!(!(got && answer.get("errors").is_some()), "{answer}");
        }
    }
    // Counts and cursors tell a customer nothing of others' tickets.
    let tickets = shop.server.data(&shop.customer, "{ tickets { totalCount nodes { id } } }", json!({})).await;
    assert_eq!(tickets["tickets"]["totalCount"], 1);
}

#[tokio::test]
async fn refusals_are_data_with_a_code_and_a_path_and_change_nothing() {
    let shop = Shop::open().await;
    let id = shop.ticket("Refusals").await;
    let long = "x".repeat(501);
    let cases = [
        (format!("ticketOpen(input: {{ subject: \"{long}\" }})"), "TOO_LONG", json!(["input", "subject"])),
        ("ticketOpen(input: { subject: \" \" })".into(), "BLANK", json!(["input", "subject"])),
        ("ticketOpen(input: { subject: \"s\", queue: \"queue_moon\" })".into(), "NOT_FOUND", json!(["input", "queue"])),
        (
            "ticketOpen(input: { subject: \"s\", requester: \"customer_01ACNN6T80KBJ1RZ4J8VXS52GV\" })".into(),
            "NOT_FOUND",
            json!(["input", "requester"]),
        ),
        ("ticketReply(id: \"nonsense\", input: { body: \"b\" })".into(), "NOT_FOUND", json!(["id"])),
        (format!("ticketReply(id: \"{id}\", input: {{ body: \"\" }})"), "BLANK", json!(["input", "body"])),
        (
            format!("ticketSetStatus(id: \"{id}\", input: {{ status: \"asleep\" }})"),
            "NOT_FOUND",
            json!(["input", "status"]),
        ),
        (
            format!("ticketSetStatus(id: \"{id}\", input: {{ status: \"NOT A KEY\" }})"),
            "NOT_FOUND",
            json!(["input", "status"]),
        ),
        (
            format!("ticketAssign(id: \"{id}\", input: {{ agent: \"agent_nobody\" }})"),
            "NOT_FOUND",
            json!(["input", "agent"]),
        ),
        (
            format!("ticketSetField(id: \"{id}\", input: {{ field: \"satisfaction\", choice: \"divine\" }})"),
            "INVALID",
            json!(["input", "choice"]),
        ),
        (
            format!("ticketReply(id: \"{id}\", input: {{ body: \"b\", expectedVersion: \"1\" }})"),
            "CONFLICT",
            json!(["input", "expectedVersion"]),
        ),
        (
            format!("ticketEscalate(id: \"{id}\", input: {{ level: 900, reason: \"r\" }})"),
            "INVALID",
            json!(["input", "level"]),
        ),
    ];
    let position = "{ serverStatus { position } }";
    let before = shop.server.data(&shop.admin, position, json!({})).await;
    for (call, code, path) in cases {
        let query =
            format!("mutation {{ {call} {{ ticket {{ id }} userErrors {{ code path message currentVersion }} }} }}");
        let data = shop.server.data(&shop.admin, &query, json!({})).await;
        let payload = data.as_object().unwrap().values().next().unwrap();
        assert_eq!(payload["ticket"], Value::Null, "{call}");
        let error = &payload["userErrors"][0];
        assert_eq!((&error["code"], &error["path"]), (&json!(code), &path), "{call}: {error}");
        assert_eq!(error["currentVersion"].is_string(), code == "CONFLICT");
    }
    assert_eq!(shop.server.data(&shop.admin, position, json!({})).await, before);
}

#[tokio::test]
async fn a_mutation_sent_twice_is_carried_out_once() {
    let shop = Shop::open().await;
    let open = "mutation { ticketOpen(input: { subject: \"Once\", clientMutationId: \"m-1\" }) { ticket { id number } position clientMutationId } }";
    let one = shop.server.data(&shop.agent, open, json!({})).await;
    let two = shop.server.data(&shop.agent, open, json!({})).await;
    assert_eq!(one, two);
    // The same key of somebody else is another one.
    let other = shop.server.data(&shop.admin, open, json!({})).await;
    assert_ne!(one["ticketOpen"]["ticket"]["id"], other["ticketOpen"]["ticket"]["id"]);
}

#[tokio::test]
async fn a_subscription_shows_what_happens_and_resumes_from_a_position() {
    let shop = Shop::open().await;
    let id = shop.ticket("Watch me").await;
    let mut watching = socket(&shop.server, &shop.customer).await;
    assert_eq!(next(&mut watching).await["type"], "connection_ack");
    let query = format!("subscription {{ ticketUpdated(id: \"{id}\") {{ position entries {{ __typename }} }} }}");
    let subscribe = json!({ "id": "1", "type": "subscribe", "payload": { "query": query } });
    watching.send(Message::text(subscribe.to_string())).await.unwrap();
    let mut counting = socket(&shop.server, &shop.agent).await;
    assert_eq!(next(&mut counting).await["type"], "connection_ack");
    let query = "subscription { queueUpdated(id: \"queue_orders\") { counters { unfinished } } }";
    let subscribe = json!({ "id": "1", "type": "subscribe", "payload": { "query": query } });
    counting.send(Message::text(subscribe.to_string())).await.unwrap();
    let first = next(&mut counting).await;
    assert_eq!(first["payload"]["data"]["queueUpdated"]["counters"]["unfinished"], 1, "{first}");
    // A ping answered means that the subscription before it was taken.
    watching.send(Message::text(json!({ "type": "ping" }).to_string())).await.unwrap();
    assert_eq!(next(&mut watching).await["type"], "pong");

    let vars = json!({ "id": id });
    let note = "mutation ($id: ID!) { ticketAddNote(id: $id, input: { body: \"secret\" }) { position } }";
    shop.server.data(&shop.agent, note, vars.clone()).await;
    let resolve = "mutation ($id: ID!) { ticketResolve(id: $id, input: {}) { position } }";
    let resolved = shop.server.data(&shop.agent, resolve, vars).await;
    let position = resolved["ticketResolve"]["position"].as_str().unwrap();
    // The note is not for the customer's eyes: the first that comes is the resolution.
    let update = next(&mut watching).await;
    assert_eq!(update["payload"]["data"]["ticketUpdated"]["position"], position, "{update}");
    assert_eq!(update["payload"]["data"]["ticketUpdated"]["entries"], json!([{ "__typename": "StatusEntry" }]));
    let update = next(&mut counting).await;
    assert_eq!(update["payload"]["data"]["queueUpdated"]["counters"]["unfinished"], 0, "{update}");

    let mut auditing = socket(&shop.server, &shop.auditor).await;
    assert_eq!(next(&mut auditing).await["type"], "connection_ack");
    let query = "subscription { logAppended(after: \"0\") { position } }";
    let subscribe = json!({ "id": "1", "type": "subscribe", "payload": { "query": query } });
    auditing.send(Message::text(subscribe.to_string())).await.unwrap();
    for expected in 1..=position.parse::<u64>().unwrap() {
        let update = next(&mut auditing).await;
        assert_eq!(update["payload"]["data"]["logAppended"]["position"], expected.to_string());
    }
}

#[tokio::test]
async fn every_example_of_the_console_is_answered_without_errors() {
    let shop = Shop::open().await;
    let ticket = shop.ticket("For the examples").await;
    let script = std::fs::read_to_string(root().join("api/assets/graphiql/docket.js")).unwrap();
    let examples = script.lines().filter_map(|line| {
        let (title, query) = line.strip_prefix("  ['")?.strip_suffix("'],")?.split_once("', '")?;
        Some((title.to_owned(), query.replace("\\n", "\n")))
    });
    let mut seen = 0;
    for (title, query) in examples {
        let id = if query.contains("queueUpdated") { "queue_orders" } else { ticket.as_str() };
        let variables = json!({ "id": id, "agent": "agent_ann", "until": "2100-01-01T00:00:00Z" });
        if query.contains("subscription ") {
            let mut watching = socket(&shop.server, &shop.admin).await;
            assert_eq!(next(&mut watching).await["type"], "connection_ack");
            let payload = json!({ "query": query, "variables": variables });
            let subscribe = json!({ "id": "1", "type": "subscribe", "payload": payload });
            watching.send(Message::text(subscribe.to_string())).await.unwrap();
            assert_eq!(next(&mut watching).await["type"], "next", "{title}");
        } else {
            let data = shop.server.data(&shop.admin, &query, variables).await;
            assert!(!data.to_string().contains("\"code\""), "{title}: {data}");
        }
        seen += 1;
    }
    assert_eq!(seen, 10);
}

#[tokio::test]
async fn a_revoked_token_ends_queries_and_sockets() {
    let shop = Shop::open().await;
    let create = "mutation { tokenCreate(input: { role: AUDITOR, label: \"short\" }) { tokenId secret } }";
    let made = shop.server.data(&shop.admin, create, json!({})).await;
    let secret = made["tokenCreate"]["secret"].as_str().unwrap();
    let mut socket = socket(&shop.server, secret).await;
    assert_eq!(next(&mut socket).await["type"], "connection_ack");
    let query = "subscription { logAppended { position } }";
    let subscribe = json!({ "id": "1", "type": "subscribe", "payload": { "query": query } });
    socket.send(Message::text(subscribe.to_string())).await.unwrap();
    socket.send(Message::text(json!({ "type": "ping" }).to_string())).await.unwrap();
    assert_eq!(next(&mut socket).await["type"], "pong");
    let revoke = "mutation ($id: ID!) { tokenRevoke(id: $id, input: {}) { userErrors { code } } }";
    shop.server.data(&shop.admin, revoke, json!({ "id": made["tokenCreate"]["tokenId"] })).await;
    let end = next(&mut socket).await;
    assert_eq!(end["payload"]["errors"][0]["extensions"]["code"], "FORBIDDEN", "{end}");
    let answer = shop.server.ask(secret, "{ viewer { role } }", json!({})).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_read_with_a_minimum_position_sees_the_write_always() {
    let shop = Shop::open().await;
    let client = reqwest::Client::new();
    for n in 0..50 {
        let open = format!("mutation {{ ticketOpen(input: {{ subject: \"{n}\" }}) {{ position ticket {{ id }} }} }}");
        let made = shop.server.data(&shop.agent, &open, json!({})).await;
        let position = made["ticketOpen"]["position"].as_str().unwrap();
        let request = client.post(shop.server.url("/graphql")).bearer_auth(&shop.agent);
        let request = request.header("docket-min-position", position);
        let answer = request.json(&json!({ "query": "{ tickets { totalCount } }" })).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["data"]["tickets"]["totalCount"], n + 1);
    }
}

#[tokio::test]
async fn wrong_http_is_refused_with_the_right_status() {
    let shop = Shop::open().await;
    let client = reqwest::Client::new();
    let url = shop.server.url("/graphql");
    let post = |kind: &str, body: String| {
        client.post(&url).bearer_auth(&shop.agent).header("content-type", kind).body(body).send()
    };
    let query = || json!({ "query": "{ __typename }" }).to_string();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        assert_eq!(post(kind, query()).await.unwrap().status(), 415, "{kind}");
    }
    assert_eq!(post("application/json", "{".into()).await.unwrap().status(), 400);
    assert_eq!(post("application/json", "[]".into()).await.unwrap().status(), 400);
    assert_eq!(post("application/json", "x".repeat(7 * 1024 * 1024 + 1)).await.unwrap().status(), 413);
    let mutation = format!("{url}?query=mutation{{ticketOpen(input:{{subject:\"x\"}}){{position}}}}");
    let answer = client.get(mutation).bearer_auth(&shop.agent).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()), (405, "POST"));
    let html = client.post(&url).bearer_auth(&shop.agent).header("accept", "text/html").json(&json!({}));
    assert_eq!(html.send().await.unwrap().status(), 406);
    let answer = client.post(&url).bearer_auth(&shop.agent).json(&json!({ "query": "{ __typename }" }));
    let answer = answer.send().await.unwrap();
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(answer.headers()["x-request-id"].len(), 26);
    for (query, code) in [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query a { __typename } query b { __typename }", "OPERATION_RESOLUTION_FAILURE"),
        ("{ tickets(first: 101) { totalCount } }", "BAD_USER_INPUT"),
        ("{ tickets(first: -1) { totalCount } }", "BAD_USER_INPUT"),
        ("{ tickets(after: \"%%\") { totalCount } }", "BAD_USER_INPUT"),
        ("{ tickets(first: 100) { nodes { timeline(first: 100) { nodes { __typename } } } } }", "QUERY_TOO_COMPLEX"),
    ] {
        let answer = shop.server.ask(&shop.agent, query, json!({})).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{query}: {answer}");
    }
}

#[tokio::test]
async fn long_texts_are_kept_whole_and_too_long_ones_are_refused() {
    let shop = Shop::open().await;
    let id = shop.ticket("Long").await;
    let reply =
        "mutation ($id: ID!, $b: String!) { ticketReply(id: $id, input: { body: $b }) { userErrors { code } } }";
    let long = "Łódź ".repeat(20_000);
    let answer = shop.server.data(&shop.agent, reply, json!({ "id": id, "b": long })).await;
    assert_eq!(answer["ticketReply"]["userErrors"], json!([]));
    let read = "query ($id: ID!) { ticket(id: $id) { timeline { nodes { ... on MessageEntry { body direction } } } } }";
    let seen = shop.server.data(&shop.customer, read, json!({ "id": id })).await;
    assert!(seen["ticket"]["timeline"]["nodes"].as_array().unwrap().iter().any(|node| node["body"] == long.as_str()));
}

#[tokio::test]
async fn a_server_that_is_asked_to_stop_stops_cleanly_and_everything_is_there_afterwards() {
    let shop = Shop::open().await;
    shop.ticket("Before the stop").await;
    let Shop { docket, server, agent, .. } = shop;
    assert_eq!(server.terminate().code(), Some(0));
    assert!(docket.ok(&["verify"]).contains("verdict   ok"));
    assert_eq!(docket.ok_json(&["rebuild"])["identical"], true);
    let server = docket.serve();
    let tickets = server.data(&agent, "{ tickets { totalCount } }", json!({})).await;
    assert_eq!(tickets["tickets"]["totalCount"], 1);
}

#[tokio::test]
async fn a_directory_that_a_server_holds_is_not_written_by_others_and_read_by_all() {
    let shop = Shop::open().await;
    let error = shop.docket.fails(&["token", "create", "--role", "auditor"]);
    assert!(error.contains("in use by process"), "{error}");
    assert!(shop.docket.fails(&["serve", "--listen", "127.0.0.1:0"]).contains("in use by process"));
    assert!(shop.docket.ok(&["verify"]).contains("verdict   ok"));
    assert!(shop.docket.ok(&["replay"]).contains("StatusDefined"));
    assert!(shop.docket.ok(&["report"]).contains("created"));
}

#[test]
fn wrong_directories_files_and_arguments_are_refused_in_one_line() {
    let docket = Docket::new();
    assert!(docket.fails(&["report"]).contains("is not there"));
    std::fs::create_dir(docket.data()).unwrap();
    docket.write("data/thesis.txt", "precious");
    assert!(docket.fails(&["verify"]).contains("not a docket data directory"));
    assert!(docket.fails(&["token", "create", "--role", "auditor"]).contains("not a docket data directory"));
    assert_eq!(std::fs::read_dir(docket.data()).unwrap().count(), 1);
    let docket = Docket::new();
    let broken = docket.write("desk.toml", "name = \"x\"\n[[queue]]\nkey = \"Bad Key\"\nname = \"n\"\n");
    assert!(docket.fails(&["apply", broken.to_str().unwrap()]).contains("line 3"));
    let empty = docket.write("empty.toml", "name = \"x\"\n");
    let output = docket.run(&["apply", empty.to_str().unwrap()]);
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("no status has the category new"));
    docket.token(&["--role", "auditor"]);
    assert!(docket.fails(&["replay", "--ticket", "INC1"]).contains("there is no ticket"));
    assert!(
        docket
            .fails(&["report", "--from", "2026-02-01T00:00:00Z", "--to", "2026-01-01T00:00:00Z"])
            .contains("--to must be later")
    );
}

#[test]
fn a_bad_row_is_reported_with_its_line_and_the_rest_goes_on() {
    let docket = Docket::new();
    let mapping = docket.write(
        "mapping.toml",
        "source = \"x\"\n[time]\nformat = \"%Y-%m-%d %H:%M\"\n[ticket]\nkey = \"id\"\nsubject = \"{title}\"\n[event]\nat = \"at\"\n[status]\ncolumn = \"state\"\nunknown = \"open\"\n[status.values]\nNew = { key = \"new\", category = \"new\" }\nDone = { key = \"closed\", category = \"closed\" }\n",
    );
    let rows = "id,at,state,title\nA,2026-01-01 10:00,New,One\nB,yesterday,New,Two\n,2026-01-01 10:00,New,None\nA,2026-01-02 10:00,Done,One\nC,2026-01-02 10:00,Odd,Three,Four\nD,2026-01-03 10:00,Strange,Four\n";
    let csv = docket.write("rows.csv", rows);
    let args = ["import", "--json", "--mapping", mapping.to_str().unwrap(), csv.to_str().unwrap()];
    let output = docket.run(&args);
    assert!(!output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let lines: Vec<u64> =
        report["bad_rows"].as_array().unwrap().iter().map(|row| row["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [3, 4, 6], "{report}");
    assert_eq!((&report["tickets"], &report["unknown_values"]["state"]["Strange"]), (&json!(2), &json!(1)));
    let report = docket.ok_json(&["report"]);
    assert_eq!(
        (&report["totals"]["created"]["tickets"], &report["totals"]["closed"]["tickets"]),
        (&json!(2), &json!(1))
    );
    let wide = docket.write("wide.csv", "id,at,state,title,surprise\nA,2026-01-01 10:00,New,One,x\n");
    let error = docket.fails(&["import", "--mapping", mapping.to_str().unwrap(), wide.to_str().unwrap()]);
    assert!(error.contains("says nothing of surprise"), "{error}");
    // A file that is cut off: what was whole is taken, and the end is told.
    let whole = docket.write("whole.csv", "id,at,state,title\nE,2026-01-04 10:00,New,Five\n");
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packer, &std::fs::read(whole).unwrap()).unwrap();
    let packed = packer.finish().unwrap();
    std::fs::write(docket.path("cut.csv.gz"), &packed[..packed.len() - 9]).unwrap();
    let cut = docket.path("cut.csv.gz");
    assert!(
        docket.fails(&["import", "--mapping", mapping.to_str().unwrap(), cut.to_str().unwrap()]).contains("cut.csv.gz")
    );
    assert!(docket.ok(&["verify"]).contains("verdict   ok"));
}

#[test]
fn what_only_looks_or_is_refused_makes_no_directory() {
    let docket = Docket::new();
    let shop = root().join(SHOP);
    assert!(docket.ok(&["apply", shop.to_str().unwrap(), "--dry-run"]).contains("add queue orders"));
    docket.fails(&["token", "revoke", "01JD8Z6D5M3Q0T8Z7V9W2X4Y6A"]);
    let mapping = root().join("examples/mappings/servicenow-incidents.toml");
    docket.fails(&["import", "--mapping", mapping.to_str().unwrap(), "nowhere.csv"]);
    docket.fails(&["token", "create", "--role", "administrator", "--agent", "ann"]);
    assert!(!docket.data().exists());
}

#[test]
fn a_log_that_lost_a_part_is_told_by_whatever_looks_at_it() {
    let docket = Docket::new();
    docket.ok(&["apply", root().join(SHOP).to_str().unwrap()]);
    docket.token(&["--role", "auditor"]);
    let journal = docket.data().join("log/00000001/journal");
    let whole = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, &whole[..whole.len() - 7]).unwrap();
    let refused = |hint: &str| {
        for args in [&["verify"][..], &["report"], &["rebuild"], &["token", "create", "--role", "auditor"]] {
            let error = docket.fails(args);
            assert!(error.contains(hint), "{args:?}: {error}");
            assert!(
                error.contains("`docket rep") || error.contains("`docket rest"),
                "{args:?} says nothing to do: {error}"
            );
        }
    };
    refused("the last stop was clean at position 2");
    std::fs::remove_file(&journal).unwrap();
    refused("its journal is missing");
    // Nothing is left of the log but a snapshot that knows better.
    std::fs::remove_dir_all(docket.data().join("log")).unwrap();
    refused("log is missing, and ");
    std::fs::create_dir(docket.data().join("log")).unwrap();
    refused("log is empty, and ");
}

#[test]
fn the_demonstration_never_writes_into_somebody_elses_log() {
    let docket = Docket::new();
    docket.ok(&["apply", root().join(SHOP).to_str().unwrap()]);
    let error = docket.fails(&["serve", "--demo", "--listen", "127.0.0.1:0"]);
    assert!(error.contains("cannot be taken back"), "{error}");
    assert!(docket.ok(&["verify"]).contains("commits   1\n"));
}

#[test]
fn a_desk_is_applied_printed_and_applied_again_without_a_change() {
    let docket = Docket::new();
    let shop = root().join(SHOP);
    let dry = docket.ok(&["apply", shop.to_str().unwrap(), "--dry-run"]);
    assert!(dry.contains("add queue orders") && dry.contains("nothing was written"), "{dry}");
    docket.ok(&["apply", shop.to_str().unwrap()]);
    let printed = docket.write("printed.toml", &docket.ok(&["desk"]));
    assert!(docket.ok(&["apply", printed.to_str().unwrap()]).contains("the desk is as the file says"));
    // A kind that the file does not mention stays; of one that it mentions, what is left out is retired.
    let queues = docket.write("queues.toml", "[[queue]]\nkey = \"orders\"\nname = \"Orders\"\n");
    let changed = docket.run(&["apply", queues.to_str().unwrap()]);
    // The policy for technical help names a queue that would be gone.
    assert!(String::from_utf8(changed.stdout).unwrap().contains("policy technical"));
}

#[tokio::test]
async fn the_demonstration_is_alive_and_everybody_has_a_token() {
    let docket = Docket::new();
    let server = docket.serve_with(&["--demo"]);
    assert_eq!(server.tokens.len(), 4);
    let ask = "{ serverStatus { position } queues { nodes { name counters { total unfinished } } } tickets { totalCount } report { totals { resolved { events } } } }";
    let first = server.data(&server.tokens[0], ask, json!({})).await;
    assert!(first["tickets"]["totalCount"].as_u64().unwrap() >= 1_200);
    assert_eq!(first["queues"]["nodes"].as_array().unwrap().len(), 3);
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let now = server.data(&server.tokens[0], ask, json!({})).await;
        if now["serverStatus"] != first["serverStatus"] {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "nothing moves");
        tokio::task::yield_now().await;
    }
}
