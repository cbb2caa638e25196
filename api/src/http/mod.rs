//! HTTP: GraphQL at `/graphql`, subscriptions at `/ws`, the console at `/graphiql`, health at `/livez` and `/readyz`.

mod budget;
mod document;
mod door;
mod graphiql;
mod graphql;
mod health;
mod shape;
mod ws;

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{any, get},
};
use budget::Budgets;
use document::Documents;
use door::Place;
pub use door::{Door, raise_descriptors, within_descriptors};
pub use health::Space;
use tokio::net::TcpListener;
use tracing::Instrument;
use ulid::Ulid;

use crate::{
    engine::{Engine, Principal},
    graphql::{DocketSchema, Session, schema},
};

/// Longest request body and longest message of a socket in bytes: the longest text fits also when JSON writes each of its
/// bytes as `\u00XX`, with room for the rest of the request.
pub const MAX_BODY: usize = 7 * 1024 * 1024;
const _: () = assert!(6 * docket_core::personal::Body::MAX < MAX_BODY);
/// A request is given up after so long.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What the handlers share.
#[derive(Clone)]
pub struct App {
    engine: Arc<Engine>,
    schema: DocketSchema,
    documents: Arc<Documents>,
    budgets: Arc<Budgets>,
    door: Door,
    /// The disk, when the log is on one.
    space: Option<Arc<Space>>,
}

impl App {
    /// The handlers over an engine. With `space` the answer to `/readyz` warns when the disk fills up.
    pub fn new(engine: Arc<Engine>, space: Option<Arc<Space>>, door: Door) -> Self {
        let (documents, budgets) = (Arc::new(Documents::new()), Arc::new(Budgets::new(door.connections)));
        Self { engine, schema: schema(), documents, budgets, door, space }
    }

    fn session(&self, principal: Principal) -> Session {
        Session::new(principal, self.engine.views(), Arc::clone(&self.engine))
    }

    /// The bearer of the request's token: in the `Authorization` header, or for clients that cannot set one in the
    /// parameter `access_token` (RFC 6750, section 2.3). Whoever shows one that holds keeps their place at the door.
    fn authenticate(&self, request: &Parts) -> Option<Principal> {
        let query = request.uri.query();
        let from_header = request.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let from_header = from_header.and_then(bearer);
        let from_query = || query?.split('&').find_map(|pair| pair.strip_prefix("access_token="));
        let principal = self.engine.authenticate(from_header.or_else(from_query)?)?;
        if let Some(place) = request.extensions.get::<Arc<Place>>() {
            place.is_known();
        }
        Some(principal)
    }
}

/// The token of `Bearer …`.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// All routes.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/graphiql") }))
        .route("/graphql", any(graphql::handle))
        .route("/ws", any(ws::upgrade))
        .route("/graphiql", get(graphiql::page))
        .route("/graphiql/{file}", get(graphiql::file))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found: GraphQL is at /graphql, the console at /graphiql\n") })
        .layer(middleware::from_fn_with_state(app.clone(), frame))
        .with_state(app)
}

/// What every answer has: a request id, also in the log, and headers that keep browsers from guessing and storing.
async fn frame(State(_): State<App>, request: Request<Body>, next: Next) -> Response {
    let id = Ulid::generate().to_string();
    // The query string may hold a token and stays out of the log.
    let span = tracing::info_span!("request", id, method = %request.method(), path = request.uri().path());
    let mut response = next.run(request).instrument(span).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", id);
    }
    response
}

/// Serves until `stop` is there: then no new connections, and those in flight have a while to finish.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    engine: Arc<Engine>,
    space: Option<Arc<Space>>,
    door: Door,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = router(App::new(Arc::clone(&engine), space, door));
    // Subscriptions end by it; plain requests finish by themselves.
    door::serve(listener, router, door, stop, move || engine.stop()).await
}

/// An answer in plain text.
fn plain(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
