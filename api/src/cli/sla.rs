//! `docket explain` and `docket whatif`: they read the journals and need no lock.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use docket_core::{
    desk::DeskConfig,
    ids::{Position, StreamId},
    sla::Explanation,
    time::Timestamp,
};
use docket_projections::{Comparison, Compliance, ReportPeriod, Tally};
use docket_store::{DataDir, LogScan};
use serde_json::json;

use super::{Global, desk, instant, open::views_read_only, print, print_json};
use crate::{
    clock::{Clock, SystemClock},
    engine::{explanations, latest, supposed},
};

/// Arguments of `docket explain`.
#[derive(Args)]
pub struct ExplainArgs {
    /// The ticket: its number, its id, or its name in another system
    ticket: String,
    /// As seen at this instant; now when absent
    #[arg(long, value_parser = instant)]
    at: Option<Timestamp>,
}

/// Prints the derivation of every SLA clock of a ticket.
pub fn explain(global: &Global, args: &ExplainArgs) -> anyhow::Result<()> {
    let data = DataDir::open(&global.data)?;
    let views = views_read_only(&data)?;
    let row = views.find_ticket(&args.ticket).with_context(|| format!("there is no ticket {:?}", args.ticket))?;
    let stream = StreamId::Ticket(row.id);
    let mut commits = Vec::new();
    for commit in LogScan::new(&data, Position::START)? {
        let commit = commit?;
        if commit.position > views.position() {
            break;
        }
        if commit.stream == stream {
            commits.push(commit);
        }
    }
    if let Some(at) = args.at
        && at < row.opened_at
    {
        bail!("the ticket was opened at {}, after --at", row.opened_at);
    }
    let explained = explanations(&commits, &views, args.at.unwrap_or_else(|| latest(&commits, SystemClock.now())));
    if global.json {
        return print_json(&explained.iter().map(explanation_json).collect::<Vec<_>>());
    }
    if explained.is_empty() {
        return print("no service level is measured for this ticket");
    }
    for explanation in explained {
        print(explanation)?;
    }
    Ok(())
}

fn explanation_json(explanation: &Explanation) -> serde_json::Value {
    let Explanation { clock, applied, applied_by, moments, intervals, breached_at } = explanation;
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    json!({
        "track": clock.track,
        "metric": clock.metric,
        "instance": clock.instance,
        "policy": clock.policy,
        "policy_version": applied.policy_version,
        "calendar": applied.calendar,
        "calendar_version": applied.calendar.as_ref().map(|_| applied.calendar_version),
        "tzdb": applied.tzdb,
        "reason": applied.reason,
        "matched": applied.matched,
        "applied_by": applied_by,
        "target": clock.target,
        "allowed_ms": clock.allowed.map(|allowed| allowed.millis()),
        "state": clock.state.name(),
        "due_at": text(clock.due_at),
        "breached_at": text(*breached_at),
        "met": clock.met(),
        "moments": moments.iter().map(|moment| json!({
            "moment": moment.moment,
            "at": moment.at.to_string(),
            "due_at": text(moment.due_at),
            "policy": moment.policy,
            "target": moment.target,
            "event": moment.event,
            "event_type": moment.event_type,
        })).collect::<Vec<_>>(),
        "intervals": intervals.iter().map(|interval| json!({
            "from": interval.from.to_string(),
            "to": interval.to.to_string(),
            "ms": interval.millis(),
            "stretch": interval.stretch,
        })).collect::<Vec<_>>(),
    })
}

/// Arguments of `docket whatif`.
#[derive(Args)]
pub struct WhatIfArgs {
    /// A desk file whose policies are supposed; its calendars too, when it has some
    #[arg(long, value_name = "FILE", required_unless_present = "calendar")]
    policy: Option<PathBuf>,
    /// A desk file whose calendars are supposed
    #[arg(long, value_name = "FILE")]
    calendar: Option<PathBuf>,
    /// Only clocks that ended at or after this instant
    #[arg(long, value_parser = instant)]
    from: Option<Timestamp>,
    /// Only clocks that ended before this instant
    #[arg(long, value_parser = instant)]
    to: Option<Timestamp>,
}

/// Prints what service levels would have come to, beside what they did.
pub fn what_if(global: &Global, args: &WhatIfArgs) -> anyhow::Result<()> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from >= to
    {
        bail!("the period ends before it starts: --to must be later than --from");
    }
    let mut config = DeskConfig::default();
    if let Some(file) = &args.policy {
        let file = desk::read(file)?;
        (config.policies, config.calendars) = (file.policies, file.calendars);
    }
    if let Some(file) = &args.calendar {
        let calendars = desk::read(file)?.calendars;
        config.calendars.retain(|old| calendars.iter().all(|new| new.key != old.key));
        config.calendars.extend(calendars);
    }
    let data = DataDir::open(&global.data)?;
    let views = views_read_only(&data)?;
    let mut what_if = supposed(&views, config).map_err(|problem| anyhow::anyhow!(problem))?;
    for commit in LogScan::new(&data, Position::START)? {
        let commit = commit?;
        if commit.position > views.position() {
            break;
        }
        what_if.apply(&commit);
    }
    let comparison = what_if.compare(&views, ReportPeriod { from: args.from, to: args.to });
    if global.json {
        return print_json(&json!({
            "position": views.position(),
            "identical": comparison.is_identical(),
            "groups": comparison.groups,
        }));
    }
    print_table(&comparison, "all", |_| String::new())?;
    print_table(&comparison, "policy", |group| group.policy.to_string())?;
    print_table(&comparison, "queue", |group| group.queue.to_string())?;
    print_table(&comparison, "priority", |group| group.priority.to_string())?;
    print(if comparison.is_identical() { "no count would have been otherwise" } else { "nothing was written" })
}

fn print_table(comparison: &Comparison, by: &str, key: impl Fn(&Compliance) -> String) -> anyhow::Result<()> {
    print(format!("by {by:<45} {:>34} {:>34}", "as it was: met, missed", "supposed: met, missed"))?;
    for ((track, metric, key), (official, supposed)) in
        comparison.sums(|group| (group.track.clone(), group.metric, key(group)))
    {
        let name = format!("{track} {metric} {key}");
        print(format!("  {:<46} {:>34} {:>34}", name.trim_end(), told(&official), told(&supposed)))?;
    }
    Ok(())
}

fn told(tally: &Tally) -> String {
    let share = tally.compliance().map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0));
    format!("{}, {} ({share})", tally.met, tally.missed)
}
