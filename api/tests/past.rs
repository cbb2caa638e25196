//! Queries as of an older position, over HTTP: what was answered then is answered again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use serde_json::{Value, json};
use support::shop::Shop;

/// The past of a desk in one answer: lists, counts, a timeline, a ticket by its id.
const EVERYTHING: &str = "query ($id: ID!) {
    serverStatus { position }
    ticket(id: $id) { subject version status { key } tags timeline(first: 100) { nodes { __typename position } } }
    tickets(first: 50) { totalCount nodes { number subject status { key } } }
    report { totals { created { tickets } resolved { tickets } } }
    log(last: 3) { nodes { position } } }";

async fn asked(shop: &Shop, token: &str, query: &str, id: &str, position: Option<&str>) -> (u16, Value) {
    let request = reqwest::Client::new().post(shop.server.url("/graphql")).bearer_auth(token);
    let request = request.header("accept", "application/graphql-response+json");
    let request = match position {
        Some(position) => request.header("docket-at-position", position),
        None => request,
    };
    let answer = request.json(&json!({ "query": query, "variables": { "id": id } })).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_query_at_an_older_position_is_answered_as_it_was_then() {
    let shop = Shop::open().await;
    let id = shop.ticket("The first words").await;
    let mut then = Vec::new();
    for n in 0..8 {
        let act = match n % 4 {
            0 => format!("ticketUpdate(id: \"{id}\", input: {{ subject: \"Words {n}\" }})"),
            1 => format!("ticketTag(id: \"{id}\", input: {{ add: [\"t{n}\"] }})"),
            2 => "ticketOpen(input: { subject: \"Another\" })".to_owned(),
            _ => format!("ticketReply(id: \"{id}\", input: {{ body: \"Answer {n}\" }})"),
        };
        let done = shop.server.data(&shop.agent, &format!("mutation {{ it: {act} {{ position }} }}"), json!({})).await;
        let position = done["it"]["position"].as_str().unwrap().to_owned();
        let (_, answer) = asked(&shop, &shop.admin, EVERYTHING, &id, None).await;
        assert_eq!((&answer["errors"], &answer["data"]["serverStatus"]["position"]), (&Value::Null, &json!(position)));
        then.push((position, answer));
    }
    for (position, answer) in &then {
        let (status, again) = asked(&shop, &shop.auditor, EVERYTHING, &id, Some(position)).await;
        assert_eq!((status, &again), (200, answer), "at {position}");
    }
    // Before the ticket was, it is not there.
    let (_, before) = asked(&shop, &shop.auditor, EVERYTHING, &id, Some("1")).await;
    assert_eq!(before["data"]["ticket"], Value::Null);
    assert_eq!(before["data"]["tickets"]["totalCount"], 0);
}

#[tokio::test]
async fn a_moment_that_never_was_or_is_not_yours_is_refused_with_what_to_do() {
    let shop = Shop::open().await;
    let id = shop.ticket("Mine").await;
    let query = "query ($id: ID!) { ticket(id: $id) { subject } }";
    for (token, query, position, status, words) in [
        (&shop.admin, query, "1000000", 400, "the log has the positions 1 to "),
        (&shop.admin, query, "0", 400, "ask for one of them"),
        (&shop.admin, query, "yesterday", 400, "must be a position, such as 1024"),
        (&shop.customer, query, "1", 403, "it needs the right to"),
        (&shop.agent, query, "1", 403, "it needs the right to"),
        (
            &shop.admin,
            "mutation ($id: ID!) { ticketTag(id: $id, input: { add: [\"x\"] }) { position } }",
            "1",
            400,
            "the past is not changed",
        ),
    ] {
        let (found, answer) = asked(&shop, token, query, &id, Some(position)).await;
        let message = answer["errors"][0]["message"].as_str().unwrap();
        assert!(found == status && message.contains(words), "{position}: {found} {answer}");
    }
}
