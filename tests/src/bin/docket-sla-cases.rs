//! Random questions about business time and Docket's answers to them, one JSON object a line, for an independent program to
//! check: `tests/oracle/workclock_check.py`.
//!
//! A case is a calendar, a start, a target and pauses; the answers are the working time up to an instant, and the deadline
//! with and without the pauses. Instants are milliseconds since 1970.
#![allow(clippy::print_stdout, reason = "its answers go to standard output")]

use std::io::{ErrorKind, Write};

use anyhow::Context;
use docket_core::{
    calendar::{Calendar, tzdb_version},
    desk::{Desk, DeskConfig, Span, Target},
    event::Actor,
    ids::Position,
    ticket::{self, Channel, Opening, StatusCategory, StatusWish, Ticket, TicketCommand, decide},
    time::Timestamp,
};
use fastrand::Rng;
use serde_json::json;

/// Zones with awkward rules among the usual ones: changes of half an hour, of a quarter, around Ramadan, at midnight.
const ZONES: [&str; 12] = [
    "Africa/Casablanca",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/London",
    "Pacific/Apia",
    "Pacific/Chatham",
];
/// Cases for each calendar.
const EACH: usize = 100;
const MINUTE: i64 = 60_000;
const DAY: i64 = 1_440 * MINUTE;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let cases: usize = args.next().context("say how many cases")?.parse()?;
    let seed: u64 = args.next().map_or(Ok(1), |seed| seed.parse())?;
    let mut rng = Rng::with_seed(seed);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let (from, to) = (Timestamp::parse("2000-01-01T00:00:00Z")?, Timestamp::parse("2040-01-01T00:00:00Z")?);
    let mut left = cases;
    while left > 0 {
        let config = desk(ZONES[rng.usize(..ZONES.len())], &mut rng)?;
        let definition = &config.calendars[0];
        let calendar = Calendar::try_new(definition)?;
        let shown = json!({
            "zone": definition.zone,
            "week": definition.hours.days().map(|day| day.iter().map(ToString::to_string).collect::<Vec<_>>()),
            "holidays": definition.holidays,
        });
        for _ in 0..EACH.min(left) {
            let start = Timestamp::from_millis(rng.i64(from.millis()..to.millis()) / 1000 * 1000);
            let until = start.plus_millis(rng.i64(0..60 * DAY) / 1000 * 1000);
            let target = Span::from_millis(rng.i64(1..400 * 60) * MINUTE);
            let mut pauses = Vec::new();
            let mut at = start;
            for _ in 0..rng.usize(0..4) {
                let stop = at.plus_millis(rng.i64(1..3 * DAY) / 1000 * 1000);
                at = stop.plus_millis(rng.i64(0..5 * DAY) / 1000 * 1000);
                pauses.push((stop, at));
            }
            let case = json!({
                "tzdb": tzdb_version(),
                "calendar": shown,
                "start": start.millis(),
                "until": until.millis(),
                "target": target.millis(),
                "pauses": pauses.iter().map(|(stop, go)| [stop.millis(), go.millis()]).collect::<Vec<_>>(),
                "elapsed": calendar.elapsed_millis(start, until),
                "due": calendar.due(start, target).map(Timestamp::millis),
                "due_with_pauses": due_of_a_ticket(&config, start, target, &pauses)?.map(Timestamp::millis),
            });
            if let Err(error) = writeln!(out, "{case}") {
                // Whoever checks has seen enough and said why.
                return if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error.into()) };
            }
        }
        left -= EACH.min(left);
    }
    out.flush()?;
    Ok(())
}

/// A desk with one policy, and a calendar of this zone with random hours. Nights have no holidays: whether a night that
/// begins before a holiday is worked is a matter of words, and the other program has others.
fn desk(zone: &str, rng: &mut Rng) -> anyhow::Result<DeskConfig> {
    let mut config = DeskConfig::starter();
    let nights = rng.u8(..5) == 0;
    let text = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
    let days: Vec<Vec<String>> = (0..7)
        .map(|_| {
            if rng.u8(..4) == 0 {
                return vec![];
            }
            if nights {
                let (open, close) = (rng.i64(18 * 60..24 * 60), rng.i64(1..8 * 60));
                return vec![format!("{}-{}", text(open), text(close))];
            }
            let mut ends: Vec<i64> = (0..2 * rng.usize(1..4)).map(|_| rng.i64(0..=1_440)).collect();
            ends.sort_unstable();
            ends.dedup();
            ends.chunks_exact(2).map(|pair| format!("{}-{}", text(pair[0]), text(pair[1]))).collect()
        })
        .collect();
    let mut week = serde_json::Map::new();
    for (name, hours) in ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"].iter().zip(days)
    {
        week.insert((*name).to_owned(), json!(hours));
    }
    if week.values().all(|hours| hours == &json!([])) {
        week.insert("monday".into(), json!(["09:00-17:00"]));
    }
    let holidays: Vec<String> = if nights {
        vec![]
    } else {
        (0..rng.usize(..40))
            .map(|_| format!("{}-{:02}-{:02}", rng.u16(2000..2041), rng.u8(1..13), rng.u8(1..29)))
            .collect()
    };
    config.calendars = vec![serde_json::from_value(
        json!({"key": "c", "name": "C", "zone": zone, "holidays": holidays, "hours": week}),
    )?];
    config.policies = vec![serde_json::from_value(
        json!({"key": "p", "name": "P", "calendar": "c", "pause": ["waiting"], "resolution": {"default": "1h"}}),
    )?];
    config.number_policies();
    Ok(config)
}

/// The deadline of a ticket that lives through the pauses, by the fold of its events.
fn due_of_a_ticket(
    config: &DeskConfig,
    start: Timestamp,
    target: Span,
    pauses: &[(Timestamp, Timestamp)],
) -> anyhow::Result<Option<Timestamp>> {
    let mut config = config.clone();
    config.policies[0].resolution.default = Some(Target::Working(target));
    let mut desk = Desk::default();
    for (change, position) in config.changes_from(&Desk::default()).into_iter().zip(1..) {
        desk.evolve(&change.event, Position::new(position));
    }
    let status = |category| TicketCommand::SetStatus(StatusWish::Category(category));
    let opening = TicketCommand::Open(Opening::new(Channel::Web, "case"));
    let mut commands = vec![(start, opening)];
    for &(stop, go) in pauses {
        commands.push((stop, status(StatusCategory::Waiting)));
        commands.push((go, status(StatusCategory::Open)));
    }
    let mut state = None;
    for (at, command) in commands {
        let context =
            ticket::Context { at, now: at, actor: &Actor::System, desk: &desk, directory: &ticket::Everything };
        for event in decide(state.as_ref(), &command, &context)? {
            state = Ticket::evolve(state, &event, at, &desk);
        }
    }
    let ticket = state.context("the ticket is open")?;
    Ok(ticket.clocks.clocks.first().context("it has a clock")?.due_at)
}
