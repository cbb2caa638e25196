//! Explains a deadline: a ticket that is paused, resolved, reopened and raised in priority, over the weekend on which the
//! clocks of Berlin change, with time moved by hand.
//!
//! Run it with `cargo run -p docket-examples --bin explain`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{path::Path, sync::Arc};

use docket_api::{
    clock::ManualClock,
    engine::{Done, Engine, Principal, Request, explanations},
};
use docket_core::{
    desk::DeskConfig,
    ticket::{Channel, Opening, Priority, StatusCategory, StatusWish, TicketCommand},
    time::Timestamp,
};
use docket_projections::{LiveViews, Views};
use docket_store::{ContentStore, EventLog, MemoryLog};

const CALENDAR_AND_POLICY: &str = r#"{
    "name": "Example",
    "calendar": [{
        "key": "office", "name": "Office in Berlin", "zone": "Europe/Berlin",
        "yearly": ["easter-2", "easter+1"],
        "hours": {
            "monday": ["09:00-12:00", "13:00-17:00"], "tuesday": ["09:00-12:00", "13:00-17:00"],
            "wednesday": ["09:00-12:00", "13:00-17:00"], "thursday": ["09:00-12:00", "13:00-17:00"],
            "friday": ["09:00-15:00"]
        }
    }],
    "policy": [{
        "key": "standard", "name": "Standard", "calendar": "office", "pause": ["waiting"], "reopen": "resume",
        "resolution": {"default": "3bd", "high": "14h"}
    }]
}"#;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new());
    let live = LiveViews::new(Views::default());
    tokio::spawn(Arc::clone(&live).follow(Arc::clone(&log)));
    let clock = Arc::new(ManualClock::new(Timestamp::parse("2026-03-01T00:00:00Z")?));
    let time: Arc<dyn docket_api::clock::Clock> = Arc::<ManualClock>::clone(&clock);
    // Nothing in this example is long enough to be stored beside the log.
    let engine = Engine::new(log, live, ContentStore::new(Path::new("unused")), time);
    let me = Principal::local();
    engine.apply_desk(&me, DeskConfig::starter(), false, None).await?;
    engine.apply_desk(&me, serde_json::from_str(CALENDAR_AND_POLICY)?, false, None).await?;

    clock.set(Timestamp::parse("2026-03-26T13:30:00Z")?);
    let opening = TicketCommand::Open(Opening::new(Channel::Email, "The parcel never came"));
    let Done { ticket, .. } = engine.open(&me, opening, vec![], Request::default()).await?;
    let status = |category| TicketCommand::SetStatus(StatusWish::Category(category));
    for (at, command) in [
        ("2026-03-27T08:30:00Z", status(StatusCategory::Waiting)),
        ("2026-03-27T11:00:00Z", status(StatusCategory::Open)),
        ("2026-03-27T13:00:00Z", status(StatusCategory::Resolved)),
        ("2026-03-30T09:00:00Z", status(StatusCategory::Open)),
        ("2026-03-30T14:00:00Z", TicketCommand::SetPriority(Priority::High)),
    ] {
        clock.set(Timestamp::parse(at)?);
        engine.work(&me, ticket, vec![command], Request::default()).await?;
    }

    let views = engine.views();
    let history = engine.history(&me, ticket, &views).await?;
    for explanation in explanations(&history, &views, Timestamp::parse("2026-03-30T14:30:00Z")?) {
        print!("{explanation}");
    }
    Ok(())
}
