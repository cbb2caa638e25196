//! GraphQL over WebSocket: the protocol `graphql-transport-ws` of the package graphql-ws (PROTOCOL.md).

use std::{collections::HashMap, time::Duration};

use async_graphql::{ServerError, parser::types::OperationType};
use axum::{
    extract::{
        Request, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{Instant, MissedTickBehavior, timeout},
};
use tracing::Instrument;

use super::{
    App, MAX_BODY, bearer,
    document::Unfit,
    graphql::{Payload, add_codes, is_request_error, log},
    plain,
};
use crate::{engine::Principal, graphql::error::code};

const PROTOCOL: &str = "graphql-transport-ws";
/// The client has so long to introduce itself.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// The client is asked for a sign of life so often.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A client that does not take a message for so long is cut off; it resumes from its last position.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Operations of one socket at once.
const MAX_OPERATIONS: usize = 50;
/// Messages that wait for the socket; the operations wait when it is full.
const WAITING: usize = 16;

/// Turns a request into a socket.
pub async fn upgrade(
    State(app): State<App>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    if !same_origin(request.headers()) {
        return plain(StatusCode::FORBIDDEN, "sockets are for pages of this server\n".into());
    }
    let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let offered: Vec<&str> = offered.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(',')).collect();
    if !offered.iter().any(|protocol| protocol.trim() == PROTOCOL) {
        return plain(StatusCode::BAD_REQUEST, format!("speak the sub-protocol {PROTOCOL}\n"));
    }
    let principal = app.authenticate(request.headers(), request.uri().query());
    // What the socket's operations log stands under the id that the answer to this request carries.
    let span = tracing::Span::current();
    upgrade
        .protocols([PROTOCOL])
        .max_message_size(MAX_BODY)
        .max_frame_size(MAX_BODY)
        .on_upgrade(move |socket| Connection::new(app, principal).run(socket).instrument(span))
}

/// A browser says whose page speaks; other clients say nothing.
fn same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let text = |value: &axum::http::HeaderValue| value.to_str().ok().map(str::to_owned);
    let host = headers.get(header::HOST).and_then(text);
    let origin = text(origin);
    match (origin.as_deref().and_then(|origin| origin.split_once("://")), host) {
        (Some((_, origin_host)), Some(host)) => origin_host == host,
        _ => false,
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum FromClient {
    ConnectionInit {
        #[serde(default)]
        payload: Value,
    },
    Ping {
        #[serde(default)]
        payload: Option<Value>,
    },
    Pong {},
    Subscribe {
        id: String,
        payload: Payload,
    },
    Complete {
        id: String,
    },
}

/// From an operation to its socket.
enum FromOperation {
    Next { id: String, payload: Value },
    Failed { id: String, errors: Value },
    Complete { id: String },
}

/// Why a socket is closed.
struct Close {
    code: u16,
    reason: &'static str,
}

const fn close(code: u16, reason: &'static str) -> Close {
    Close { code, reason }
}

struct Connection {
    app: App,
    principal: Option<Principal>,
    acknowledged: bool,
    operations: HashMap<String, AbortHandle>,
    sender: mpsc::Sender<FromOperation>,
    receiver: mpsc::Receiver<FromOperation>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.operations.values().for_each(AbortHandle::abort);
    }
}

impl Connection {
    fn new(app: App, principal: Option<Principal>) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self { app, principal, acknowledged: false, operations: HashMap::new(), sender, receiver }
    }

    async fn run(mut self, socket: WebSocket) {
        let (mut sink, mut stream) = socket.split();
        let init_by = Instant::now() + INIT_TIMEOUT;
        let mut ping = tokio::time::interval(PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ping.reset();
        let mut stopping = self.app.engine.stopping();
        let end = loop {
            let out = tokio::select! {
                message = stream.next() => match message {
                    Some(Ok(Message::Text(text))) => self.receive(text.as_str()),
                    Some(Ok(Message::Binary(_))) => Err(close(4400, "messages are text")),
                    Some(Ok(Message::Close(_))) | Some(Err(_)) | None => return,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
                },
                Some(message) = self.receiver.recv() => Ok(self.forward(message)),
                () = tokio::time::sleep_until(init_by), if !self.acknowledged => {
                    Err(close(4408, "Connection initialisation timeout"))
                }
                _ = ping.tick() => self.check().map(|()| Some(json!({ "type": "ping" }))),
                _ = stopping.wait_for(|stopping| *stopping) => Err(close(1001, "the server stops")),
            };
            match out {
                Ok(None) => {}
                Ok(Some(message)) => {
                    let message = Message::Text(message.to_string().into());
                    match timeout(SEND_TIMEOUT, sink.send(message)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return,
                        Err(_) => {
                            tracing::info!("a subscriber that reads too slowly was cut off");
                            return;
                        }
                    }
                }
                Err(end) => break end,
            }
        };
        let frame = CloseFrame { code: end.code, reason: end.reason.into() };
        let _ = timeout(SEND_TIMEOUT, sink.send(Message::Close(Some(frame)))).await;
    }

    /// The token may have been taken back since the socket was opened.
    fn check(&self) -> Result<(), Close> {
        match &self.principal {
            Some(principal) if self.acknowledged && !self.app.engine.still_valid(principal) => {
                Err(close(4403, "Forbidden"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn receive(&mut self, text: &str) -> Result<Option<Value>, Close> {
        let message: FromClient =
            serde_json::from_str(text).map_err(|_| close(4400, "not a message of graphql-transport-ws"))?;
        match message {
            FromClient::ConnectionInit { .. } if self.acknowledged => {
                Err(close(4429, "Too many initialisation requests"))
            }
            FromClient::ConnectionInit { payload } => {
                let token =
                    ["authorization", "Authorization", "token"].iter().find_map(|name| payload.get(name)?.as_str());
                if let Some(token) = token {
                    self.principal = self.app.engine.authenticate(bearer(token).unwrap_or(token));
                }
                if self.principal.is_none() {
                    return Err(close(4403, "Forbidden"));
                }
                self.acknowledged = true;
                Ok(Some(json!({ "type": "connection_ack" })))
            }
            FromClient::Ping { payload } => Ok(Some(match payload {
                Some(payload) => json!({ "type": "pong", "payload": payload }),
                None => json!({ "type": "pong" }),
            })),
            FromClient::Pong {} => Ok(None),
            FromClient::Complete { id } => {
                if let Some(operation) = self.operations.remove(&id) {
                    operation.abort();
                }
                Ok(None)
            }
            FromClient::Subscribe { id, payload } => self.subscribe(id, payload),
        }
    }

    fn subscribe(&mut self, id: String, payload: Payload) -> Result<Option<Value>, Close> {
        if !self.acknowledged {
            return Err(close(4401, "Unauthorized"));
        }
        self.check()?;
        let Some(principal) = &self.principal else { return Err(close(4401, "Unauthorized")) };
        if self.operations.contains_key(&id) {
            return Err(close(4409, "Subscriber for this id already exists"));
        }
        let failed = |errors: Vec<ServerError>| {
            log(&errors);
            Ok(Some(json!({ "id": id, "type": "error", "payload": errors })))
        };
        if self.operations.len() >= MAX_OPERATIONS {
            let message = format!("a socket has at most {MAX_OPERATIONS} operations at once");
            return failed(Unfit::new(code::QUERY_TOO_COMPLEX, message).into_errors());
        }
        let fit = match payload.prepare(&self.app.documents) {
            Ok(fit) => fit,
            Err(unfit) => return failed(unfit.into_errors()),
        };
        let request = fit.request.data(self.app.session(principal.clone()));
        let (schema, sender, name) = (self.app.schema.clone(), self.sender.clone(), id.clone());
        let answer = fit.shape;
        let work = async move {
            let mut responses = match fit.kind {
                OperationType::Mutation => {
                    // It goes on by itself when its client goes away: it is never left half-answered.
                    let work = tokio::spawn(async move { schema.execute(request).await }.in_current_span());
                    let Ok(response) = work.await else { return };
                    futures_util::stream::once(async move { response }).boxed()
                }
                OperationType::Query | OperationType::Subscription => schema.execute_stream(request),
            };
            while let Some(mut response) = responses.next().await {
                answer.complete(&mut response);
                add_codes(&mut response);
                log(&response.errors);
                let message = if is_request_error(&response) {
                    let errors = serde_json::to_value(&response.errors).unwrap_or_default();
                    FromOperation::Failed { id: name.clone(), errors }
                } else {
                    let payload = serde_json::to_value(&response).unwrap_or_default();
                    FromOperation::Next { id: name.clone(), payload }
                };
                let last = matches!(message, FromOperation::Failed { .. });
                if sender.send(message).await.is_err() || last {
                    return;
                }
            }
            let _ = sender.send(FromOperation::Complete { id: name }).await;
        };
        let task = tokio::spawn(work.in_current_span());
        self.operations.insert(id, task.abort_handle());
        Ok(None)
    }

    /// What an operation says goes out, unless the client has completed it.
    fn forward(&mut self, message: FromOperation) -> Option<Value> {
        match message {
            FromOperation::Next { id, payload } if self.operations.contains_key(&id) => {
                Some(json!({ "id": id, "type": "next", "payload": payload }))
            }
            FromOperation::Failed { id, errors } => {
                self.operations.remove(&id)?;
                Some(json!({ "id": id, "type": "error", "payload": errors }))
            }
            FromOperation::Complete { id } => {
                self.operations.remove(&id)?;
                Some(json!({ "id": id, "type": "complete" }))
            }
            FromOperation::Next { .. } => None,
        }
    }
}
