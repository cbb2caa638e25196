//! A shop with a customer and tokens for everybody.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use super::{Docket, PATIENCE, Server, root};

pub const SHOP: &str = "examples/desks/small-shop.toml";

/// A shop with a customer and tokens for everybody.
pub struct Shop {
    pub docket: Docket,
    pub server: Server,
    pub admin: String,
    pub agent: String,
    pub auditor: String,
    pub customer: String,
    pub customer_id: String,
}

impl Shop {
    pub async fn open() -> Self {
        let docket = Docket::new();
        docket.ok(&["apply", root().join(SHOP).to_str().unwrap()]);
        Self::in_docket(docket).await
    }

    /// The same for a desk that was applied, which has an agent `ann`.
    pub async fn in_docket(docket: Docket) -> Self {
        let admin = docket.token(&["--role", "administrator"]);
        let agent = docket.token(&["--role", "agent", "--agent", "ann"]);
        let auditor = docket.token(&["--role", "auditor"]);
        let server = docket.serve();
        let register = "mutation { customerRegister(input: { name: \"Carl\", email: \"carl@example.org\" }) { customer { id } userErrors { message } } }";
        let made = server.data(&admin, register, json!({})).await;
        let customer_id = made["customerRegister"]["customer"]["id"].as_str().unwrap().to_owned();
        let create =
            "mutation ($id: ID!) { tokenCreate(input: { role: CUSTOMER, customer: $id, label: \"Carl\" }) { secret } }";
        let made = server.data(&admin, create, json!({ "id": customer_id })).await;
        let customer = made["tokenCreate"]["secret"].as_str().unwrap().to_owned();
        Self { docket, server, admin, agent, auditor, customer, customer_id }
    }

    /// Opens a ticket as the customer and gives its id.
    pub async fn ticket(&self, subject: &str) -> String {
        let open = "mutation ($s: String!) { ticketOpen(input: { subject: $s, body: \"Please help\", channel: WEB }) { ticket { id } userErrors { message } } }";
        let made = self.server.data(&self.customer, open, json!({ "s": subject })).await;
        made["ticketOpen"]["ticket"]["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
    }
}

pub type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// A socket that introduced itself.
pub async fn socket(server: &Server, token: &str) -> Socket {
    identified_socket(server, token).await.0
}

/// The same, with the id of the request that opened it.
pub async fn identified_socket(server: &Server, token: &str) -> (Socket, String) {
    let mut request = format!("ws://{}/ws", server.address).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
    let (mut socket, answer) = tokio_tungstenite::connect_async(request).await.unwrap();
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let init = json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {token}") } });
    socket.send(Message::text(init.to_string())).await.unwrap();
    (socket, id)
}

/// The next message.
pub async fn next(socket: &mut Socket) -> Value {
    let read = async {
        loop {
            match socket.next().await.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(text.as_str()).unwrap(),
                Message::Close(frame) => return json!({ "closed": frame.map(|frame| u16::from(frame.code)) }),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap()
}
