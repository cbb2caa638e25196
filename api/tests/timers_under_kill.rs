//! Reactors while the server is killed: tickets whose timers are long due, a server that begins to act on them and is killed
//! with SIGKILL in the midst of it, again and again. Afterwards each ticket has what one that was never interrupted has.
//!
//! It prints its seed and its figures. `DOCKET_TORTURE=long` kills 200 times; `DOCKET_SEED=N` repeats the random choices.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod support;

use std::{
    collections::BTreeMap,
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use docket_api::{
    clock::{Clock, ManualClock},
    engine::{Engine, Principal, Request},
};
use docket_core::{
    desk::DeskConfig,
    ticket::{Channel, Opening, TicketCommand},
    time::Timestamp,
};
use docket_projections::{LiveViews, Views};
use docket_store::{ContentStore, DataDir, EventLog, SledLog, SledLogOptions};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use support::{Docket, PATIENCE, root, shop::SHOP};

/// When the tickets are opened: all that can come due has come due since.
const LONG_AGO: &str = "2026-01-05T09:00:00Z";
/// More than servers come to before they are killed.
const TICKETS: usize = 1_600;
const MORE_PER_KILL: usize = 40;

/// Opens tickets at one instant of long ago, of which nobody takes care.
async fn open_tickets(log: Arc<dyn EventLog>, content: ContentStore, tickets: usize) {
    let live = LiveViews::new(Views::default());
    tokio::spawn(Arc::clone(&live).follow(Arc::clone(&log)));
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::parse(LONG_AGO).unwrap()));
    let engine = Engine::new(log, live, content, clock);
    let desk: DeskConfig = toml::from_str(&std::fs::read_to_string(root().join(SHOP)).unwrap()).unwrap();
    engine.apply_desk(&Principal::local(), desk, false, None).await.unwrap();
    let open = |n: usize| {
        let engine = Arc::clone(&engine);
        async move {
            let opening = TicketCommand::Open(Opening::new(Channel::Email, format!("Ticket {n}")));
            engine.open(&Principal::local(), opening, vec![], Request::default()).await.unwrap();
        }
    };
    stream::iter((0..tickets).map(open)).buffer_unordered(64).for_each(|()| async {}).await;
}

/// When something was seen differs from server to server; everything else may not.
fn forget_when_seen(data: &mut Value) {
    if let Some(fields) = data.as_object_mut() {
        fields.remove("detected_at");
        fields.values_mut().for_each(forget_when_seen);
    }
}

/// What timers did to each ticket, in order, by stream.
fn done_by_timers(events: impl Iterator<Item = Value>) -> BTreeMap<String, Vec<String>> {
    let mut done = BTreeMap::<String, Vec<String>>::new();
    for event in events {
        let stream = event["stream"].as_str().unwrap();
        if stream.starts_with("ticket") {
            let of_ticket = done.entry(stream.to_owned()).or_default();
            if event["cause"].to_string().to_lowercase().contains("timer") {
                let mut data = event["data"].clone();
                forget_when_seen(&mut data);
                of_ticket.push(format!("{} {data}", event["type"]));
            }
        }
    }
    done
}

fn replayed(docket: &Docket) -> BTreeMap<String, Vec<String>> {
    done_by_timers(docket.ok(&["replay", "--json"]).lines().map(|line| serde_json::from_str(line).unwrap()))
}

/// Bytes in the journal of the only volume.
fn written(docket: &Docket) -> u64 {
    std::fs::metadata(docket.data().join("log/00000001/journal")).unwrap().len()
}

/// A desk in this directory with tickets of long ago.
fn prepare(docket: &Docket, tickets: usize) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let data = DataDir::open_or_create(&docket.data(), ulid::Ulid::generate()).unwrap();
        let log = Arc::new(SledLog::open(data.clone(), SledLogOptions::default()).unwrap());
        open_tickets(log, ContentStore::new(&data.content()), tickets).await;
    });
}

#[test]
fn what_is_due_is_done_exactly_once_however_the_server_is_killed() {
    let seed = std::env::var("DOCKET_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap());
    let kills = if std::env::var("DOCKET_TORTURE").is_ok_and(|form| form == "long") { 200 } else { 12 };
    let figure = |line: String| {
        writeln!(std::io::stderr().lock(), "torture: timers under kill, seed {seed}: {line}").unwrap();
    };
    // One that is never interrupted.
    let whole = Docket::new();
    prepare(&whole, 1);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let settle = |docket: &Docket| {
        let token = docket.token(&["--role", "administrator"]);
        let server = docket.serve();
        let give_up_at = Instant::now() + 4 * PATIENCE;
        let asked = "{ serverStatus { reactors { name behind } setAside { number reason } } }";
        loop {
            let status = runtime.block_on(server.data(&token, asked, json!({})));
            if status["serverStatus"] == json!({ "reactors": [{ "name": "timers", "behind": "PT0S" }], "setAside": [] })
            {
                break;
            }
            assert!(Instant::now() < give_up_at, "{status}");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(server.terminate().success());
    };
    settle(&whole);
    let expected = replayed(&whole).into_values().next().unwrap();
    assert!(expected.len() > 1, "a ticket of which nobody takes care is warned of and breached: {expected:?}");

    let docket = Docket::new();
    let tickets = TICKETS + kills * MORE_PER_KILL;
    prepare(&docket, tickets);
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..kills {
        let before = written(&docket);
        let mut server = docket.serve();
        // Most kills fall amid the work, however long this machine takes to begin it; some before.
        let (begun, waits) = (Instant::now(), random.u8(..8) > 0);
        while waits && written(&docket) == before {
            assert!(begun.elapsed() < PATIENCE, "the server does nothing");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(random.u64(..20)));
        server.child.kill().unwrap();
        server.child.wait().unwrap();
    }
    let done: usize = replayed(&docket).values().map(Vec::len).sum();
    let all = tickets * expected.len();
    figure(format!("{kills} kills; {done} of {all} events of {tickets} tickets before the last one"));
    assert!(done > 0 && done < all, "the kills hit nothing: {done} of {all}");

    settle(&docket);
    let after = replayed(&docket);
    assert_eq!(after.len(), tickets);
    for (ticket, found) in after {
        assert_eq!(found, expected, "{ticket}");
    }
    docket.ok(&["verify"]);
}
