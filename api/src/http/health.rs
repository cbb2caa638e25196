//! Health, the only thing that is answered without a token.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use docket_store::DataDir;
use serde_json::json;

use super::App;

/// The process runs. Never touches the store.
pub async fn live() -> &'static str {
    "alive\n"
}

/// How much space is left on the disk of a data directory.
#[derive(Debug)]
pub struct Space {
    data: DataDir,
    warn_below: u64,
}

impl Space {
    /// Warns when fewer bytes than this are free.
    pub fn new(data: DataDir, warn_below: u64) -> Self {
        Self { data, warn_below }
    }

    /// What is to be said of it, when space is short or cannot be told.
    pub fn warning(&self) -> Option<String> {
        match self.data.free_bytes() {
            Ok(free) if free < self.warn_below => {
                Some(format!("the disk has {} MiB left: free some space", free / (1024 * 1024)))
            }
            Ok(_) => None,
            Err(error) => Some(format!("it cannot be told how much space the disk has left: {error}")),
        }
    }
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
        "warning": app.space.as_deref().and_then(Space::warning),
        "head": head.to_string(),
        "views": views.position().to_string(),
    });
    (status, Json(body)).into_response()
}
