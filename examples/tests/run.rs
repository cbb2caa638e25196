//! The examples do what they say.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::{path::Path, process::Command, sync::Arc};

use docket_api::{
    clock::SystemClock,
    engine::{Engine, Principal},
    http,
};
use docket_core::{access::Role, desk::DeskConfig};
use docket_projections::{LiveViews, Views};
use docket_store::{ContentStore, EventLog, MemoryLog};

#[track_caller]
fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_program_embeds_the_engine_and_another_follows_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (data, checkpoint) = (path("data"), path("checkpoint"));
    let printed = run(env!("CARGO_BIN_EXE_embed"), &[&data]);
    assert!(printed.contains("ticket #1 is resolved") && printed.contains("MessageSent"), "{printed}");
    let follow = || run(env!("CARGO_BIN_EXE_follow"), &[&data, &checkpoint]);
    assert!(follow().contains("1 reactions"));
    assert!(follow().contains("0 reactions"));
    assert!(run(env!("CARGO_BIN_EXE_embed"), &[&data]).contains("ticket #2 is resolved"));
    assert!(follow().contains("1 reactions"));
    assert!(Path::new(&checkpoint).exists());
}

#[test]
fn a_deadline_is_explained_stretch_by_stretch() {
    let printed = run(env!("CARGO_BIN_EXE_explain"), &[]);
    // Thursday 14:30 in Berlin; a high priority makes three working days fourteen hours, of which two hours thirty on
    // Thursday, thirty minutes and two hours on Friday, and, in summer time, five on Monday and four on Tuesday, to 14:00.
    for part in [
        "policy    standard version",
        "paused    by StatusChanged",
        "resumed   by Reopened",
        "aimed     by PriorityChanged",
        "target    14h, which is 14h of working time",
        "due       2026-03-31T12:00:00.000Z",
    ] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_opens_a_ticket_and_watches_it() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new());
    let live = LiveViews::new(Views::default());
    tokio::spawn(Arc::clone(&live).follow(Arc::clone(&log)));
    let engine = Engine::new(log, live, ContentStore::new(Path::new("unused")), Arc::new(SystemClock));
    let local = Principal::local();
    engine.apply_desk(&local, DeskConfig::starter(), false, None).await.unwrap();
    let issued = engine.issue_token(&local, Role::Administrator, "test", None, None).await.unwrap();
    let token = issued.secret.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(http::serve(listener, engine, None, http::Door::default(), std::future::pending()));
    let watched = tokio::task::spawn_blocking(move || run(env!("CARGO_BIN_EXE_watch"), &[&address, &token]));
    let printed = watched.await.unwrap();
    assert!(printed.contains("opened #1") && printed.contains("MessageEntry"), "{printed}");
}
