//! Health, the only thing that is answered without a token.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::App;

/// The process runs. Never touches the store.
pub async fn live() -> &'static str {
    "alive\n"
}

/// The server can do its work: the log takes writes, and the views follow it.
pub async fn ready(State(app): State<App>) -> Response {
    let log = app.engine.log();
    let (views, live) = (app.engine.views(), app.engine.live_views());
    let head = log.head().position;
    let lag = head.get().saturating_sub(views.position().get());
    let reason = log.read_only().or_else(|| live.stopped()).or_else(|| {
        // A commit reaches the views within milliseconds; this is no moment but a backlog.
        (lag > 100_000).then(|| format!("the views are {lag} commits behind"))
    });
    let status = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": reason.is_none(),
        "reason": reason,
        "head": head.to_string(),
        "views": views.position().to_string(),
    });
    (status, Json(body)).into_response()
}
