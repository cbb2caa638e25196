//! What is hidden from customers is hidden by every way: edges, filters, orders, arguments, counts and times.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::{
    Docket,
    schema::{Types, halves, named, note_types},
    shop::{Shop, next, socket},
};

/// A shop with secrets: what may never reach a customer.
struct Secrets {
    shop: Shop,
    own: String,
    other: String,
    words: Vec<&'static str>,
}

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
default = true
[[status]]
key = "zz-legal-checks"
name = "ZZ Legal checks the claim"
customer_name = "In progress"
category = "open"
[[status]]
key = "zz-boss-checks"
name = "ZZ The boss checks"
customer_name = "In progress"
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
key = "zz-crisis-team"
name = "ZZ Crisis team"
[[agent]]
key = "ann"
name = "Ann"
[[agent]]
key = "zz-investigator"
name = "ZZ Investigator"
teams = ["zz-crisis-team"]
[[queue]]
key = "orders"
name = "Orders"
team = "zz-crisis-team"
return_after = "7m"
default = true
[[queue]]
key = "billing"
name = "Billing"
[[field]]
key = "satisfaction"
name = "Satisfaction"
type = "text"
[[policy]]
key = "zz-secret-promise"
name = "ZZ Secret promise"
resolution = { default = "3h" }
"#;

impl Secrets {
    async fn open() -> Self {
        let docket = Docket::new();
        let desk = docket.write("desk.toml", DESK);
        docket.ok(&["apply", desk.to_str().unwrap()]);
        let shop = Shop::in_docket(docket).await;
        let own = shop.ticket("Mine").await;
        let register = "mutation { customerRegister(input: { name: \"ZZ Otto Other\", email: \"zz-otto@example.org\" }) { customer { id } } }";
        let made = shop.server.data(&shop.admin, register, json!({})).await;
        let otto = made["customerRegister"]["customer"]["id"].as_str().unwrap().to_owned();
        let open = "mutation ($o: ID!) { ticketOpen(input: { subject: \"ZZ Other matter\", body: \"ZZ other words\", requester: $o }) { ticket { id } } }";
        let made = shop.server.data(&shop.admin, open, json!({ "o": otto })).await;
        let other = made["ticketOpen"]["ticket"]["id"].as_str().unwrap().to_owned();
        let secrets = Self {
            shop,
            own,
            other,
            words: vec!["ZZ", "zz-", "SlaEntry", "NoteEntry", "AssignmentEntry", "EscalationEntry"],
        };
        // Otto writes on the customer's ticket too: the words are in the conversation, who wrote them is not told.
        let receive = "mutation ($t: ID!, $o: ID!) { ticketReply(id: $t, input: { body: \"me too\", from: $o }) { position userErrors { code } } }";
        secrets.shop.server.data(&secrets.shop.admin, receive, json!({ "t": secrets.own, "o": otto })).await;
        secrets
    }

    async fn ask(&self, query: &str, variables: Value) -> Value {
        self.shop.server.ask(&self.shop.customer, query, variables).await
    }

    /// Everything that is internal, done to the customer's ticket.
    async fn work_in_secret(&self) {
        for call in [
            "ticketAddNote(id: $t, input: { body: \"ZZ he lies\" })",
            "ticketTag(id: $t, input: { add: [\"zz-fraud\"] })",
            "ticketAssign(id: $t, input: { agent: \"agent_zz-investigator\", team: \"team_zz-crisis-team\" })",
            "ticketEscalate(id: $t, input: { reason: \"ZZ urgent\" })",
            "ticketSetField(id: $t, input: { field: \"satisfaction\", text: \"ZZ awful\" })",
            "ticketFollow(id: $t, input: { agent: \"agent_zz-investigator\" })",
        ] {
            let query = format!("mutation ($t: ID!) {{ x: {call} {{ position userErrors {{ message }} }} }}");
            let done = self.shop.server.data(&self.shop.admin, &query, json!({ "t": self.own })).await;
            assert_eq!(done["x"]["userErrors"], json!([]), "{call}");
        }
    }

    async fn set_status(&self, key: &str) {
        let set = "mutation ($t: ID!, $k: ID!) { ticketSetStatus(id: $t, input: { status: $k }) { position userErrors { message } } }";
        let done = self.shop.server.data(&self.shop.admin, set, json!({ "t": self.own, "k": key })).await;
        assert_eq!(done["ticketSetStatus"]["userErrors"], json!([]));
    }

    #[track_caller]
    fn assert_tells_nothing(&self, answer: &Value, asked: &str) {
        let text = answer.to_string();
        for word in &self.words {
            assert!(!text.contains(word), "{word} in the answer to {asked}: {text}");
        }
    }
}

/// Values for required arguments of root fields, and for the ids of things that are the customer's own.
fn argument(secrets: &Secrets, field: &str, name: &str) -> String {
    match (field, name) {
        ("node" | "ticket", "id") => format!("\"{}\"", secrets.own),
        ("queue", "id") => "\"queue_orders\"".into(),
        ("nodes", "ids") => format!(
            "[\"{}\", \"{}\", \"{}\", \"agent_zz-investigator\", \"team_zz-crisis-team\"]",
            secrets.own, secrets.other, secrets.shop.customer_id
        ),
        ("ticketByNumber", "number") => "1".into(),
        ("ticketByReference", _) => "\"x\"".into(),
        ("timers", "dueBefore") => "\"2100-01-01T00:00:00Z\"".into(),
        ("slaWhatIf", "toml") => "\"\"".into(),
        ("accessAt", "ticket") => format!("\"{}\"", secrets.own),
        ("accessAt", "at") => "\"2026-01-01T00:00:00Z\"".into(),
        other => panic!("say what to give for {other:?}"),
    }
}

#[tokio::test]
async fn no_path_of_the_schema_leads_a_customer_to_somebody_else_or_to_what_is_internal() {
    let secrets = Secrets::open().await;
    secrets.set_status("zz-legal-checks").await;
    secrets.work_in_secret().await;
    let types = Types::read();
    let (mut paths, mut seen) = (0, BTreeSet::new());
    for (name, ty, arguments) in &types.fields["Query"] {
        let required = arguments.iter().filter(|(_, ty)| !ty.nullable);
        let required: Vec<String> = required
            .map(|(argument_name, _)| format!("{argument_name}: {}", argument(&secrets, name, argument_name)))
            .collect();
        let arguments = if required.is_empty() { String::new() } else { format!("({})", required.join(", ")) };
        let mut below = vec![types.selection(named(ty), &mut BTreeSet::new(), 5)];
        if named(ty) == "Node" {
            below = types.members["Node"]
                .iter()
                .map(|m| format!("... on {m} {{ {} }}", types.selection(m, &mut BTreeSet::new(), 4)))
                .collect();
        }
        for below in below {
            // A whole selection may be over the limits of one document; then its parts are asked one by one.
            let mut questions = vec![below];
            while let Some(below) = questions.pop() {
                let query = if below.is_empty() {
                    format!("{{ {name}{arguments} }}")
                } else {
                    format!("{{ {name}{arguments} {{ {below} }} }}")
                };
                let answer = secrets.ask(&query, json!({})).await;
                if answer["errors"][0]["extensions"]["code"] == "QUERY_TOO_COMPLEX" {
                    questions.extend(halves(&below));
                    continue;
                }
                paths +=
                    below.split_whitespace().filter(|word| word.chars().next().is_some_and(char::is_lowercase)).count();
                secrets.assert_tells_nothing(&answer, &query);
                note_types(&answer, &mut seen);
            }
        }
    }
    assert!(paths > 300, "only {paths} fields were asked");
    for expected in ["Ticket", "MessageEntry", "StatusEntry", "Queue", "Customer", "Desk"] {
        assert!(seen.contains(expected), "{expected} was never reached: {seen:?}");
    }
    for hidden in ["Agent", "Team", "Commit", "Policy", "NoteEntry", "SlaEntry"] {
        assert!(!seen.contains(hidden), "{hidden} was reached");
    }
}

#[tokio::test]
async fn nothing_that_is_hidden_can_be_asked_out_by_filters_orders_or_arguments() {
    let secrets = Secrets::open().await;
    secrets.set_status("zz-legal-checks").await;
    secrets.work_in_secret().await;
    let types = Types::read();
    let own = secrets.shop.customer_id.clone();
    // For each member of a filter two values: one that fits what is hidden, and one that does not. Members that ask about what
    // a customer sees have none.
    let hidden: &[(&str, Value, Value)] = &[
        ("statuses", json!(["zz-legal-checks"]), json!(["no-such-status"])),
        ("agents", json!(["agent_zz-investigator"]), json!(["agent_nobody"])),
        ("unassigned", json!(true), json!(false)),
        ("teams", json!(["team_zz-crisis-team"]), json!(["team_none"])),
        ("tags", json!(["zz-fraud"]), json!(["none"])),
        ("dueBefore", json!("2100-01-01T00:00:00Z"), json!("2000-01-01T00:00:00Z")),
        ("requester", json!("customer_01ARZ3NDEKTSV4RRFFQ69G5FAV"), json!("customer_01ARZ3NDEKTSV4RRFFQ69G5FAW")),
    ];
    let open = ["statusCategories", "priorities", "channels", "queues", "categories", "openedFrom", "openedBefore"];
    let query = "query ($f: TicketFilter, $o: TicketOrder) { tickets(filter: $f, orderBy: $o, first: 5) { totalCount edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage } } }";
    for member in &types.inputs["TicketFilter"] {
        let Some((_, fits, does_not)) = hidden.iter().find(|(name, ..)| name == member) else {
            assert!(open.contains(&member.as_str()), "say whether {member} asks about something hidden");
            continue;
        };
        let one = secrets.ask(query, json!({ "f": { member: fits } })).await;
        let two = secrets.ask(query, json!({ "f": { member: does_not } })).await;
        assert_eq!(one, two, "{member} tells what is hidden");
    }
    for order in &types.enums["TicketOrderField"] {
        let ask = async || secrets.ask(query, json!({ "o": { "field": order } })).await;
        let before = ask().await;
        secrets.work_in_secret_again().await;
        assert_eq!(ask().await, before, "the order {order} shows that something internal happened");
        if order == "DUE_AT" {
            assert_eq!(before["errors"][0]["extensions"]["code"], "FORBIDDEN", "{before}");
        } else {
            assert_eq!(before["data"]["tickets"]["totalCount"], 1, "{before}");
        }
    }
    // Not yours and not there look the same, by whatever name.
    let ulid = &own["customer_".len()..];
    let unknown = format!("{}{}", &ulid[..25], if ulid.ends_with('0') { "1" } else { "0" });
    let pairs = [
        ("{ node(id: $x) { id } }", json!(secrets.other), json!(format!("ticket_{unknown}"))),
        ("{ ticket(id: $x) { id } }", json!(secrets.other), json!(format!("ticket_{unknown}"))),
        ("{ node(id: $x) { id } }", json!("agent_zz-investigator"), json!("agent_nobody")),
        ("{ node(id: $x) { id } }", json!("team_zz-crisis-team"), json!("team_none")),
        ("{ nodes(ids: [$x]) { id } }", json!(secrets.other), json!(format!("ticket_{unknown}"))),
    ];
    for (body, there, not_there) in pairs {
        let query = format!("query ($x: ID!) {body}");
        let one = secrets.ask(&query, json!({ "x": there })).await;
        let two = secrets.ask(&query, json!({ "x": not_there })).await;
        assert_eq!(one, two, "{query} {there}");
    }
    let by_number = "query ($n: Int!) { ticketByNumber(number: $n) { id } }";
    assert_eq!(secrets.ask(by_number, json!({ "n": 2 })).await, secrets.ask(by_number, json!({ "n": 99 })).await);
    for call in [
        "ticketReply(id: $x, input: {body: \"b\"})",
        "ticketClose(id: $x, input: {})",
        "ticketTransfer(id: $x, input: {queue: \"queue_billing\"})",
    ] {
        let query = format!("mutation ($x: ID!) {{ {call} {{ ticket {{ id }} userErrors {{ code path }} }} }}");
        let one = secrets.ask(&query, json!({ "x": secrets.other })).await;
        let two = secrets.ask(&query, json!({ "x": format!("ticket_{unknown}") })).await;
        assert_eq!(one, two, "{call}");
        assert_eq!(one["data"].as_object().unwrap().values().next().unwrap()["userErrors"][0]["code"], "NOT_FOUND");
    }
}

impl Secrets {
    async fn work_in_secret_again(&self) {
        let note = "mutation ($t: ID!) { ticketAddNote(id: $t, input: { body: \"ZZ again\" }) { position } }";
        self.shop.server.data(&self.shop.admin, note, json!({ "t": self.own })).await;
    }
}

#[tokio::test]
async fn what_the_desk_does_among_itself_leaves_no_trace_in_what_a_customer_sees() {
    let secrets = Secrets::open().await;
    secrets.set_status("zz-legal-checks").await;
    let types = Types::read();
    let everything = types.selection("Ticket", &mut BTreeSet::new(), 3);
    let query = format!("query ($t: ID!) {{ ticket(id: $t) {{ {everything} }} }}");
    let mut watching = socket(&secrets.shop.server, &secrets.shop.customer).await;
    assert_eq!(next(&mut watching).await["type"], "connection_ack");
    let subscription =
        format!("subscription {{ ticketUpdated(id: \"{}\") {{ entries {{ __typename }} }} }}", secrets.own);
    let subscribe = json!({ "id": "1", "type": "subscribe", "payload": { "query": subscription } });
    let message = tokio_tungstenite::tungstenite::Message::text(subscribe.to_string());
    futures_util::SinkExt::send(&mut watching, message).await.unwrap();
    let ping = tokio_tungstenite::tungstenite::Message::text(json!({ "type": "ping" }).to_string());
    futures_util::SinkExt::send(&mut watching, ping).await.unwrap();
    assert_eq!(next(&mut watching).await["type"], "pong");
    let before = secrets.ask(&query, json!({ "t": secrets.own })).await;
    assert_eq!(before["data"]["ticket"]["subject"], "Mine", "{before}");
    secrets.work_in_secret().await;
    // From one status of the desk's own to another that customers know by the same name.
    secrets.set_status("zz-boss-checks").await;
    assert_eq!(secrets.ask(&query, json!({ "t": secrets.own })).await, before);
    // The first thing that the subscription shows is what is said to the customer.
    let reply = "mutation ($t: ID!) { ticketReply(id: $t, input: { body: \"Soon\" }) { position } }";
    secrets.shop.server.data(&secrets.shop.agent, reply, json!({ "t": secrets.own })).await;
    let update = next(&mut watching).await;
    assert_eq!(
        update["payload"]["data"]["ticketUpdated"]["entries"],
        json!([{ "__typename": "MessageEntry" }]),
        "{update}"
    );
    let author = "query ($t: ID!) { ticket(id: $t) { timeline(last: 1) { nodes { ... on MessageEntry { authorName agent { key } } } } } }";
    let seen = secrets.ask(author, json!({ "t": secrets.own })).await;
    assert_eq!(seen["data"]["ticket"]["timeline"]["nodes"], json!([{ "authorName": "Ann", "agent": null }]));
}
