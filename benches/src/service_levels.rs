//! Deadlines a second, and a day's worth of them passing at once while somebody works.

use std::{
    hint::black_box,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use docket_api::{
    clock::{Clock, ManualClock},
    engine::{Engine, Principal, Request},
};
use docket_core::{
    calendar::Calendar,
    desk::{Desk, DeskConfig, Span},
    event::{Actor, DatedEvent},
    ids::{Position, StreamId, TicketId},
    ticket::{Channel, Context as Judging, Everything, Opening, TicketCommand, decide},
    time::Timestamp,
};
use docket_projections::{LiveViews, Views, rebuild};
use docket_store::{ContentStore, EventLog, Expected, LogScan};

use crate::{
    appends::open,
    figure::{Figure, nanos},
    growth::resident_mb,
    history::{append, submit, ticket},
};

/// A working week of forty hours, and a target of two of them.
const DESK: &str = r#"{
    "calendar": [{"key": "office", "name": "Office", "zone": "Europe/Berlin",
        "yearly": ["12-25", "12-26", "01-01", "easter-2", "easter+1"],
        "hours": {"monday": ["09:00-17:00"], "tuesday": ["09:00-17:00"], "wednesday": ["09:00-17:00"],
                  "thursday": ["09:00-17:00"], "friday": ["09:00-17:00"]}}],
    "policy": [{"key": "standard", "name": "Standard", "calendar": "office", "pause": ["waiting"],
        "resolution": {"default": "80h"}}]
}"#;
const DAY_MS: i64 = 86_400_000;
/// Tickets are opened evenly over so many days, so that a ninth of the deadlines lies in one day.
const OPENED_DAYS: i64 = 9;
/// The day before those of the second day of openings.
const REST_DAYS: i64 = 14;

fn config() -> anyhow::Result<DeskConfig> {
    let mut config: DeskConfig = serde_json::from_str(DESK)?;
    let starter = DeskConfig::starter();
    (config.name, config.statuses, config.queues) = (starter.name, starter.statuses, starter.queues);
    config.number_policies();
    Ok(config)
}

/// Deadlines of eight and eighty working hours from random instants of forty years.
pub fn deadlines(budget: Duration) -> anyhow::Result<Figure> {
    let calendar = Calendar::try_new(&config()?.calendars[0])?;
    let mut rng = fastrand::Rng::with_seed(3);
    let (from, to) = (Timestamp::parse("2000-01-01T00:00:00Z")?, Timestamp::parse("2040-01-01T00:00:00Z")?);
    let (started, mut reckoned) = (Instant::now(), 0_u64);
    while started.elapsed() < budget {
        for hours in [8, 80] {
            for _ in 0..500 {
                let at = Timestamp::from_millis(rng.i64(from.millis()..to.millis()));
                black_box(calendar.due(at, Span::minutes(hours * 60)).context("within ten years")?);
            }
            reckoned += 500;
        }
    }
    let rate = reckoned as f64 / started.elapsed().as_secs_f64();
    Ok(Figure::rate("deadlines reckoned", rate, "1/s").noted("8 h and 80 h of working time, one thread"))
}

/// Many running clocks; then a day passes at once, and a tag is put on a ticket again and again meanwhile.
pub fn timers(dir: &Path, clocks: u32) -> anyhow::Result<Vec<Figure>> {
    let (data, log) = open(dir)?;
    let log: Arc<dyn EventLog> = log;
    // Tuesday after the holidays, in a fortnight without one.
    let start = Timestamp::parse("2026-01-06T00:00:00Z")?;
    let mut desk = Desk::default();
    let changes = config()?.changes_from(&desk);
    changes.iter().for_each(|change| desk.evolve(&change.event, Position::new(1)));
    let events = changes.into_iter().map(|change| DatedEvent::new(start, change.event)).collect();
    let mut batch = vec![append(StreamId::Desk, Expected::NoStream, start, events)];
    for n in 0..clocks {
        let at = start.plus_millis(OPENED_DAYS * DAY_MS * i64::from(n) / i64::from(clocks));
        let opening = TicketCommand::Open(Opening::new(Channel::Email, "Where is my parcel?"));
        let context = Judging { at, now: at, actor: &Actor::System, desk: &desk, directory: &Everything };
        let events = decide(None, &opening, &context)?;
        let events = events.into_iter().map(|event| DatedEvent::new(at, event)).collect();
        batch.push(append(ticket(n), Expected::NoStream, at, events));
        if batch.len() >= 2_048 {
            submit(&*log, &mut batch)?;
        }
    }
    submit(&*log, &mut batch)?;
    let before_mb = resident_mb()?;
    let end = log.head().position;
    let views = rebuild(Views::default(), LogScan::new(&data, Position::START)?, end, |_| true)?.context("rebuilt")?;
    ensure!(views.timers().len() == clocks as usize, "every clock runs");
    let memory = Figure::rate("memory of running clocks", resident_mb()? - before_mb, "MB")
        .noted(format!("{clocks} tickets with one clock each, all views"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let figures =
        runtime.block_on(advance(log, views, &data.content(), start.plus_millis(REST_DAYS * DAY_MS), clocks))?;
    Ok(std::iter::once(memory).chain(figures).collect())
}

async fn advance(
    log: Arc<dyn EventLog>,
    views: Views,
    content: &Path,
    now: Timestamp,
    clocks: u32,
) -> anyhow::Result<Vec<Figure>> {
    let live = LiveViews::new(views);
    tokio::spawn(Arc::clone(&live).follow(Arc::clone(&log)));
    let clock = Arc::new(ManualClock::new(now));
    let time: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let engine = Engine::new(log, live, ContentStore::new(content), time);
    while engine.act_on_due().await? > 0 {}
    let mut rng = fastrand::Rng::with_seed(5);
    let mut tag = async |wanted: &str| -> anyhow::Result<u64> {
        let StreamId::Ticket(id) = ticket(rng.u32(..clocks)) else { anyhow::bail!("a ticket's stream") };
        put_on(&engine, id, wanted).await
    };
    let mut idle = Vec::new();
    for n in 0..2_000 {
        idle.push(tag(&format!("idle-{n}")).await?);
    }
    clock.set(now.plus_millis(DAY_MS));
    let passed = |engine: &Engine| {
        let until = engine.now();
        engine.views().timers().next_at().is_none_or(|next| next > until)
    };
    let before = engine.views().events();
    let timers = tokio::spawn(Arc::clone(&engine).run_reactors());
    let (started, mut meanwhile) = (Instant::now(), Vec::new());
    while !passed(&engine) {
        meanwhile.push(tag(&format!("busy-{}", meanwhile.len())).await?);
    }
    let seconds = started.elapsed().as_secs_f64();
    engine.stop();
    timers.await?;
    let breaches = engine.views().events() - before - meanwhile.len() as u64;
    let count = meanwhile.len();
    Ok(vec![
        Figure::rate("deadlines that passed in a day", breaches as f64 / seconds, "1/s")
            .noted(format!("{breaches} breaches recorded in {seconds:.1} s, each its own durable commit")),
        Figure::rate("mutations while nothing is due", 1e9 / mean(&idle), "1/s").timed(idle),
        Figure::rate("mutations while they pass", count as f64 / seconds, "1/s").timed(meanwhile),
    ])
}

async fn put_on(engine: &Engine, id: TicketId, tag: &str) -> anyhow::Result<u64> {
    let started = Instant::now();
    engine.work(&Principal::local(), id, vec![TicketCommand::AddTag(tag.to_owned())], Request::default()).await?;
    Ok(nanos(started))
}

fn mean(nanos: &[u64]) -> f64 {
    nanos.iter().sum::<u64>() as f64 / nanos.len().max(1) as f64
}
