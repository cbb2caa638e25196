//! HTTP: GraphQL at `/graphql`, subscriptions at `/ws`, the console at `/graphiql`, health at `/livez` and `/readyz`.

mod document;
mod graphiql;
mod graphql;
mod health;
mod shape;
mod ws;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{any, get},
};
use document::Documents;
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
/// After the signal to stop, requests in flight have so long to finish.
const DRAIN: Duration = Duration::from_secs(10);

/// What the handlers share.
#[derive(Clone)]
pub struct App {
    engine: Arc<Engine>,
    schema: DocketSchema,
    documents: Arc<Documents>,
    /// The disk, when the log is on one.
    space: Option<Arc<Space>>,
}

impl App {
    /// The handlers over an engine. With `space` the answer to `/readyz` warns when the disk fills up.
    pub fn new(engine: Arc<Engine>, space: Option<Arc<Space>>) -> Self {
        Self { engine, schema: schema(), documents: Arc::new(Documents::new()), space }
    }

    fn session(&self, principal: Principal) -> Session {
        Session::new(principal, self.engine.views(), Arc::clone(&self.engine))
    }

    /// The bearer of the request's token: in the `Authorization` header, or for clients that cannot set one in the
    /// parameter `access_token` (RFC 6750, section 2.3).
    fn authenticate(&self, headers: &HeaderMap, query: Option<&str>) -> Option<Principal> {
        let from_header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let from_header = from_header.and_then(bearer);
        let from_query = || query?.split('&').find_map(|pair| pair.strip_prefix("access_token="));
        self.engine.authenticate(from_header.or_else(from_query)?)
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
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = router(App::new(Arc::clone(&engine), space));
    let (stopped, mut stopping) = tokio::sync::watch::channel(false);
    let graceful = async move {
        stop.await;
        // Subscriptions end by it; plain requests finish by themselves.
        engine.stop();
        stopped.send_replace(true);
    };
    let server = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>());
    let serving = server.with_graceful_shutdown(graceful).into_future();
    let overdue = async {
        let _ = stopping.wait_for(|stopped| *stopped).await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving => served,
        () = overdue => {
            tracing::warn!("some connections were cut: they did not finish in time");
            Ok(())
        }
    }
}

/// An answer in plain text.
fn plain(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
