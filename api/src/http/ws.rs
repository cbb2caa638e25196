//! GraphQL over WebSocket: the protocol `graphql-transport-ws` of the package graphql-ws (PROTOCOL.md).

use std::{borrow::Cow, collections::HashMap, sync::Arc, time::Duration};

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
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{Instant, MissedTickBehavior, timeout},
};
use tracing::Instrument;

use super::{
    App, MAX_BODY, bearer,
    budget::{Over, Paid, SocketBudget},
    document::Unfit,
    door::Place,
    graphql::{Payload, add_codes, is_request_error, log, unrecorded},
    plain,
};
use crate::{engine::Principal, graphql::error::code};

const PROTOCOL: &str = "graphql-transport-ws";
/// The client has so long to introduce itself.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// The client is asked for a sign of life so often.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A client that does not take a message for so long is told and cut off; it resumes from its last position.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that is cut off may still take the word why.
const FAREWELL: Duration = Duration::from_secs(1);
/// Bytes of a socket's buffers for frames: there are many sockets, and most of them wait.
const FRAME_BUFFER: usize = 4 * 1024;

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
    let (parts, _) = request.into_parts();
    let principal = app.authenticate(&parts);
    let place = parts.extensions.get::<Arc<Place>>().cloned();
    // What the socket's operations log stands under the id that the answer to this request carries.
    let span = tracing::Span::current();
    upgrade
        .protocols([PROTOCOL])
        .read_buffer_size(FRAME_BUFFER)
        .write_buffer_size(FRAME_BUFFER)
        .max_message_size(MAX_BODY)
        .max_frame_size(MAX_BODY)
        .on_upgrade(move |socket| Connection::new(app, principal, place).run(socket).instrument(span))
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

/// A message to the client.
#[derive(Serialize)]
struct ToClient<'a, T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<T>,
}

fn message<T: Serialize>(id: Option<&str>, kind: &'static str, payload: Option<T>) -> Result<String, Close> {
    serde_json::to_string(&ToClient { id, kind, payload }).map_err(|error| {
        tracing::error!(%error, kind, "a message to a socket cannot be written");
        close(1011, "something went wrong here")
    })
}

/// From an operation to its socket: a message as it goes out, paid for until it has.
struct FromOperation {
    id: String,
    /// Nothing of this operation follows.
    last: bool,
    text: Result<String, Close>,
    paid: Option<Paid>,
}

/// Why a socket is closed.
struct Close {
    code: u16,
    /// At most 123 bytes: a frame that closes a socket has no room for more.
    reason: Cow<'static, str>,
}

const fn close(code: u16, reason: &'static str) -> Close {
    Close { code, reason: Cow::Borrowed(reason) }
}

struct Connection {
    app: App,
    principal: Option<Principal>,
    /// What it may have at once, once it is known whose it is.
    budget: Option<Arc<SocketBudget>>,
    place: Option<Arc<Place>>,
    operations: HashMap<String, AbortHandle>,
    sender: mpsc::UnboundedSender<FromOperation>,
    /// Bounded by the budget.
    receiver: mpsc::UnboundedReceiver<FromOperation>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.operations.values().for_each(AbortHandle::abort);
    }
}

/// Once the place at the door is needed for somebody else.
async fn needed(place: Option<&Place>) {
    match place {
        Some(place) => place.is_needed().await,
        None => std::future::pending().await,
    }
}

impl Connection {
    fn new(app: App, principal: Option<Principal>, place: Option<Arc<Place>>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { app, principal, budget: None, place, operations: HashMap::new(), sender, receiver }
    }

    async fn run(mut self, socket: WebSocket) {
        let (mut sink, mut stream) = socket.split();
        let init_by = Instant::now() + INIT_TIMEOUT;
        let mut ping = tokio::time::interval(PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ping.reset();
        let mut stopping = self.app.engine.stopping();
        let place = self.place.clone();
        let end = loop {
            // What was paid for is given back once the message has gone out.
            let mut paid = None;
            let out = tokio::select! {
                message = stream.next() => match message {
                    Some(Ok(Message::Text(text))) => self.receive(text.as_str()),
                    Some(Ok(Message::Binary(_))) => Err(close(4400, "messages are text")),
                    Some(Ok(Message::Close(_))) | Some(Err(_)) | None => return,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
                },
                Some(message) = self.receiver.recv() => self.forward(message, &mut paid),
                () = tokio::time::sleep_until(init_by), if self.budget.is_none() => {
                    Err(close(4408, "Connection initialisation timeout"))
                }
                _ = ping.tick() => self.check().and_then(|()| message(None, "ping", None::<()>).map(Some)),
                () = needed(place.as_deref()) => Err(close(1013, "all places are taken: come again with a token")),
                _ = stopping.wait_for(|stopping| *stopping) => Err(close(1001, "the server stops")),
            };
            match out {
                Ok(None) => {}
                Ok(Some(message)) => {
                    let sent = tokio::select! {
                        sent = timeout(SEND_TIMEOUT, sink.send(Message::Text(message.into()))) => sent,
                        _ = stopping.wait_for(|stopping| *stopping) => break close(1001, "the server stops"),
                    };
                    match sent {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return,
                        Err(_) => {
                            tracing::info!("a subscriber that reads too slowly was cut off");
                            break close(1008, "you read too slowly: resume from your last position");
                        }
                    }
                }
                Err(end) => break end,
            }
        };
        let frame = CloseFrame { code: end.code, reason: end.reason.as_ref().into() };
        // Whoever takes nothing does not hear it either.
        let _ = timeout(FAREWELL, sink.send(Message::Close(Some(frame)))).await;
    }

    /// The token may have been taken back since the socket was opened.
    fn check(&self) -> Result<(), Close> {
        match &self.principal {
            Some(principal) if self.budget.is_some() && !self.app.engine.still_valid(principal) => {
                Err(close(4403, "Forbidden"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn receive(&mut self, text: &str) -> Result<Option<String>, Close> {
        let received: FromClient =
            serde_json::from_str(text).map_err(|_| close(4400, "not a message of graphql-transport-ws"))?;
        match received {
            FromClient::ConnectionInit { .. } if self.budget.is_some() => {
                Err(close(4429, "Too many initialisation requests"))
            }
            FromClient::ConnectionInit { payload } => {
                let token =
                    ["authorization", "Authorization", "token"].iter().find_map(|name| payload.get(name)?.as_str());
                if let Some(token) = token {
                    self.principal = self.app.engine.authenticate(bearer(token).unwrap_or(token));
                }
                let Some(principal) = &self.principal else { return Err(close(4403, "Forbidden")) };
                let budget = self.app.budgets.socket(principal);
                self.budget = Some(budget.map_err(|over| Close { code: 1013, reason: over.to_string().into() })?);
                if let Some(place) = &self.place {
                    place.is_socket();
                }
                message(None, "connection_ack", None::<()>).map(Some)
            }
            FromClient::Ping { payload } => message(None, "pong", payload).map(Some),
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

    fn subscribe(&mut self, id: String, payload: Payload) -> Result<Option<String>, Close> {
        let (Some(principal), Some(budget)) = (&self.principal, &self.budget) else {
            return Err(close(4401, "Unauthorized"));
        };
        self.check()?;
        if self.operations.contains_key(&id) {
            return Err(close(4409, "Subscriber for this id already exists"));
        }
        let failed = |errors: Vec<ServerError>| {
            log(&errors);
            message(Some(&id), "error", Some(errors)).map(Some)
        };
        let operation = match budget.operation() {
            Ok(operation) => operation,
            Err(over) => {
                let code = if over == Over::All { code::UNAVAILABLE } else { code::QUERY_TOO_COMPLEX };
                return failed(Unfit::new(code, over.to_string()).into_errors());
            }
        };
        let recorded = principal.recorded().map(|token| (token, payload.asked()));
        let fit = match payload.prepare(&self.app.documents) {
            Ok(fit) => fit,
            Err(unfit) => return failed(unfit.into_errors()),
        };
        let recorded = recorded.filter(|_| fit.kind != OperationType::Mutation);
        let mut session = self.app.session(principal.clone());
        let (schema, sender, name) = (self.app.schema.clone(), self.sender.clone(), id.clone());
        let (answer, budget) = (fit.shape, Arc::clone(budget));
        let work = async move {
            let _operation = operation;
            if let Some((token, asked)) = recorded {
                match session.engine.record_read(&session.principal, token, asked).await {
                    Ok(views) => session.views = views,
                    Err(error) => {
                        let errors = vec![unrecorded(&error)];
                        log(&errors);
                        let text = message(Some(&name), "error", Some(errors));
                        let (paid, id) = (budget.bytes(0).await, name);
                        // Nobody listens once the socket is closed.
                        _ = sender.send(FromOperation { id, last: true, text, paid });
                        return;
                    }
                }
            }
            let request = fit.request.data(session);
            let mut responses = match fit.kind {
                OperationType::Mutation => {
                    // It goes on by itself when its client goes away: it is never left half-answered.
                    let work = tokio::spawn(async move { schema.execute(request).await }.in_current_span());
                    let Ok(response) = work.await else { return };
                    futures_util::stream::once(async move { response }).boxed()
                }
                OperationType::Query | OperationType::Subscription => schema.execute_stream(request),
            };
            let send = async |text: Result<String, Close>, last: bool| {
                let length = text.as_ref().map_or(0, String::len);
                let paid = budget.bytes(length).await;
                sender.send(FromOperation { id: name.clone(), last, text, paid }).is_ok() && !last
            };
            loop {
                budget.room().await;
                let Some(mut response) = responses.next().await else { break };
                answer.complete(&mut response);
                add_codes(&mut response);
                log(&response.errors);
                let last = is_request_error(&response);
                let text = if last {
                    message(Some(&name), "error", Some(&response.errors))
                } else {
                    message(Some(&name), "next", Some(&response))
                };
                drop(response);
                if !send(text, last).await {
                    return;
                }
            }
            send(message(Some(&name), "complete", None::<()>), true).await;
        };
        let task = tokio::spawn(work.in_current_span());
        self.operations.insert(id, task.abort_handle());
        Ok(None)
    }

    /// What an operation says goes out, unless the client has completed it.
    fn forward(&mut self, from: FromOperation, paid: &mut Option<Paid>) -> Result<Option<String>, Close> {
        let FromOperation { id, last, text, paid: held } = from;
        let goes_on = if last { self.operations.remove(&id).is_some() } else { self.operations.contains_key(&id) };
        *paid = held;
        if goes_on { text.map(Some) } else { Ok(None) }
    }
}
