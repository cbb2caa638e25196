//! A GraphQL client: opens a ticket, watches it by subscription, and answers it.
//!
//! Run it with `cargo run -p docket-examples --bin watch -- 127.0.0.1:8080 TOKEN`, with a token that `docket serve --demo`
//! printed for an agent or administrator.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().context("name the server's address, such as 127.0.0.1:8080")?;
    let token = args.next().context("name a token")?;

    let open = r#"mutation { ticketOpen(input: { subject: "Watched from the outside", body: "Hello?", channel: API }) {
        ticket { id number } position userErrors { message }
    } }"#;
    let opened = ask(&address, &token, open, json!({})).await?;
    let payload = &opened["ticketOpen"];
    let id = payload["ticket"]["id"].as_str().with_context(|| format!("refused: {}", payload["userErrors"]))?;
    println!("opened #{}", payload["ticket"]["number"]);

    // The sub-protocol and the token in the first message.
    let mut request = format!("ws://{address}/ws").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse()?);
    let (mut socket, _) = connect_async(request).await?;
    let init = json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {token}") } });
    socket.send(Message::text(init.to_string())).await?;
    // `after` is a position: what happened since then comes first, so nothing is missed however late we are.
    let query = "subscription ($id: ID!, $after: BigInt) {
        ticketUpdated(id: $id, after: $after) { position ticket { status { name } } entries { __typename } }
    }";
    let variables = json!({ "id": id, "after": payload["position"] });
    let subscribe = json!({ "id": "1", "type": "subscribe", "payload": { "query": query, "variables": variables } });
    socket.send(Message::text(subscribe.to_string())).await?;

    let reply =
        r#"mutation ($id: ID!) { ticketReply(id: $id, input: { body: "We hear you." }) { userErrors { message } } }"#;
    ask(&address, &token, reply, json!({ "id": id })).await?;

    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        let message: Value = serde_json::from_str(text.as_str())?;
        match message["type"].as_str() {
            Some("next") => {
                println!("saw {}", message["payload"]["data"]["ticketUpdated"]);
                return Ok(());
            }
            Some("error" | "complete") => bail!("the subscription ended: {message}"),
            _ => {}
        }
    }
    bail!("the server closed the connection")
}

async fn ask(address: &str, token: &str, query: &str, variables: Value) -> anyhow::Result<Value> {
    let request = reqwest::Client::new().post(format!("http://{address}/graphql")).bearer_auth(token);
    let answer = request.json(&json!({ "query": query, "variables": variables })).send().await?;
    let mut answer: Value = answer.json().await?;
    if let Some(errors) = answer.get("errors") {
        bail!("{errors}");
    }
    Ok(answer["data"].take())
}
