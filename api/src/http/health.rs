//! Health, the only thing that is answered without a token.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use docket_store::{DataDir, Depth, LostRight, lost_rights};
use serde_json::json;

use super::App;

/// The process runs. Never touches the store.
pub async fn live() -> &'static str {
    "alive\n"
}

/// How long it is taken for granted what this process may do with the data directory.
const RIGHTS_FOR: Duration = Duration::from_secs(2);

/// How much space is left on the disk of a data directory, and what this process may do with it.
#[derive(Debug)]
pub struct Space {
    data: DataDir,
    warn_below: u64,
    rights: Mutex<Option<(Instant, Arc<[LostRight]>)>>,
}

impl Space {
    /// Warns when fewer bytes than this are free.
    pub fn new(data: DataDir, warn_below: u64) -> Self {
        Self { data, warn_below, rights: Mutex::default() }
    }

    /// What this process may not do with the data directory and has to; looked up every two seconds at most.
    pub fn lost_rights(&self) -> Arc<[LostRight]> {
        let mut kept = self.rights.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((at, rights)) if at.elapsed() < RIGHTS_FOR => Arc::clone(rights),
            Some(_) | None => {
                let rights: Arc<[LostRight]> = lost_rights(&self.data, Depth::Directories).into();
                *kept = Some((Instant::now(), Arc::clone(&rights)));
                rights
            }
        }
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

/// What somebody has to look at, though the server works.
fn warning(space: Option<String>, rights: Option<String>, set_aside: &[u32]) -> Option<String> {
    let aside = match set_aside.len() {
        0 => None,
        1 => Some("1 ticket is".to_owned()),
        count => Some(format!("{count} tickets are")),
    };
    let aside =
        aside.map(|count| format!("{count} set aside: see serverStatus {{ setAside {{ number reason since }} }}"));
    let both: Vec<String> = space.into_iter().chain(rights).chain(aside).collect();
    (!both.is_empty()).then(|| both.join("; "))
}

/// The first of the lost rights that keep the server from its work, or of those that do not, and how many more there are.
fn first_lost(rights: &[LostRight], stops: bool) -> Option<String> {
    let mut lost = rights.iter().filter(|right| right.stops == stops);
    let first = lost.next()?;
    Some(match lost.count() {
        0 => first.to_string(),
        more => format!("{first} (and {more} more: see `docket verify --quick`)"),
    })
}

/// The server can do its work: the log takes writes, and the views follow it. Tickets that were set aside are told, and keep
/// it from nothing else.
pub async fn ready(State(app): State<App>) -> Response {
    let log = app.engine.log();
    let (views, live) = (app.engine.views(), app.engine.live_views());
    let head = log.head().position;
    let lag = head.get().saturating_sub(views.position().get());
    // The disk is asked beside the runtime's threads.
    let space = app.space.clone();
    let asked = tokio::task::spawn_blocking(move || space.map(|space| (space.warning(), space.lost_rights()))).await;
    let (space, rights) = asked.ok().flatten().map_or_else(Default::default, |(space, rights)| (space, Some(rights)));
    let rights = rights.as_deref().unwrap_or_default();
    let reason = log.read_only().or_else(|| live.stopped()).or_else(|| first_lost(rights, true)).or_else(|| {
        // A commit reaches the views within milliseconds; this is no moment but a backlog.
        (lag > 100_000).then(|| format!("the views are {lag} commits behind"))
    });
    let status = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let set_aside: Vec<u32> = app.engine.set_aside().iter().map(|aside| aside.number).collect();
    let body = json!({
        "ready": reason.is_none(),
        "reason": reason,
        "warning": warning(space, first_lost(rights, false), &set_aside),
        "set_aside": set_aside,
        "head": head.to_string(),
        "views": views.position().to_string(),
    });
    (status, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_tells_of_space_and_of_tickets_that_were_set_aside() {
        assert_eq!(warning(None, None, &[]), None);
        assert_eq!(warning(Some("no space".into()), None, &[]).unwrap(), "no space");
        let one = warning(None, None, &[7]).unwrap();
        assert!(one.starts_with("1 ticket is set aside: see serverStatus { setAside {"), "{one}");
        let both = warning(Some("no space".into()), None, &[7, 9]).unwrap();
        assert!(both.starts_with("no space; 2 tickets are set aside: "), "{both}");
    }
}
