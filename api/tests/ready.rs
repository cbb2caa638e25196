//! What `/readyz` says of tickets that were set aside.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use docket_api::{
    clock::{Clock, ManualClock},
    engine::{Engine, Principal, Request},
    http,
};
use docket_core::{
    desk::DeskConfig,
    event::Commit,
    ids::{CommitId, Position, StreamId},
    ticket::{Channel, Opening, TicketCommand},
    time::Timestamp,
};
use docket_projections::{LiveViews, Views};
use docket_store::{Append, AppendError, BoxFuture, Commits, ContentStore, EventLog, Head, MemoryLog, Page, ReadError};
use serde_json::{Value, json};
use tokio::sync::watch;

/// A log that can be damaged: no ticket of it can be read alone then.
#[derive(Default)]
struct Damageable {
    log: MemoryLog,
    damaged: AtomicBool,
}

impl EventLog for Damageable {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Position, AppendError>> {
        self.log.append(append)
    }
    fn append_all(&self, appends: Vec<Append>) -> Vec<Result<Position, AppendError>> {
        self.log.append_all(appends)
    }
    fn head(&self) -> Head {
        self.log.head()
    }
    fn watch_head(&self) -> watch::Receiver<Head> {
        self.log.watch_head()
    }
    fn read_page(&self, after: Position, page: Page) -> Result<Vec<Arc<Commit>>, ReadError> {
        self.log.read_page(after, page)
    }
    fn read_stream(&self, stream: StreamId, after: Position) -> Result<Vec<Arc<Commit>>, ReadError> {
        if self.damaged.load(Ordering::SeqCst) && matches!(stream, StreamId::Ticket(_)) {
            return Err(ReadError::Database { volume: 1, reason: "it is damaged".into() });
        }
        self.log.read_stream(stream, after)
    }
    fn find(&self, id: CommitId) -> Result<Option<Position>, ReadError> {
        self.log.find(id)
    }
    fn scan(&self, after: Position) -> Result<Commits<'_>, ReadError> {
        self.log.scan(after)
    }
    fn read_only(&self) -> Option<String> {
        None
    }
}

/// An engine over a log that has seen nothing of it yet, at this time.
fn engine(log: &Arc<Damageable>, now: Timestamp) -> (Arc<Engine>, Arc<ManualClock>) {
    let live = LiveViews::new(Views::default());
    let log: Arc<dyn EventLog> = Arc::<Damageable>::clone(log);
    tokio::spawn(Arc::clone(&live).follow(Arc::clone(&log)));
    let clock = Arc::new(ManualClock::new(now));
    let time: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    (Engine::new(log, live, ContentStore::new(Path::new("unused")), time), clock)
}

async fn ready(address: std::net::SocketAddr) -> Value {
    let answer = reqwest::get(format!("http://{address}/readyz")).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

#[tokio::test]
async fn a_server_with_tickets_that_were_set_aside_is_ready_and_says_which() {
    let (log, now) = (Arc::new(Damageable::default()), Timestamp::parse("2026-03-02T09:00:00Z").unwrap());
    let (writer, _) = engine(&log, now);
    let mut config = DeskConfig::starter();
    let policies = json!([{ "key": "p", "name": "P", "resolution": { "default": "1h" } }]);
    config.policies = serde_json::from_value(policies).unwrap();
    writer.apply_desk(&Principal::local(), config, false, None).await.unwrap();
    for subject in ["One", "Two"] {
        let opening = TicketCommand::Open(Opening::new(Channel::Email, subject));
        writer.open(&Principal::local(), opening, vec![], Request::default()).await.unwrap();
    }

    let (reader, clock) = engine(&log, now);
    reader.views_at(log.head().position, Duration::from_secs(10)).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(http::serve(listener, Arc::clone(&reader), None, http::Door::default(), std::future::pending()));
    let before = ready(address).await;
    assert_eq!((&before["set_aside"], &before["warning"]), (&json!([]), &Value::Null), "{before}");

    // Both breach, and neither can be read.
    log.damaged.store(true, Ordering::SeqCst);
    clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(reader.act_on_due().await.unwrap(), 0);
    let after = ready(address).await;
    assert_eq!((&after["ready"], &after["reason"]), (&json!(true), &Value::Null), "{after}");
    assert_eq!(after["set_aside"], json!([1, 2]), "{after}");
    let warning = after["warning"].as_str().unwrap();
    assert!(warning.starts_with("2 tickets are set aside"), "{warning}");
    assert!(warning.contains("serverStatus { setAside { number reason since } }"), "{warning}");

    // Mended, they are tried again after a while.
    log.damaged.store(false, Ordering::SeqCst);
    clock.advance(Duration::from_secs(301));
    assert_eq!(reader.act_on_due().await.unwrap(), 2);
    assert_eq!(ready(address).await["set_aside"], json!([]));
}
