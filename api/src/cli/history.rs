//! `docket replay`, `report` and `rebuild`: they read the journals and need no lock.

use std::{io::Write, time::Instant};

use anyhow::{Context, bail};
use clap::Args;
use docket_core::{
    event::{Commit, Event},
    ids::{Position, StreamId},
    time::Timestamp,
};
use docket_projections::{DurationStats, Report, ReportPeriod, Views, rebuild as rebuild_views, snapshot};
use docket_store::{DataDir, LogScan};
use serde_json::json;

use super::{
    Global, instant,
    open::{bar, checked_snapshot, fold, refuse_lost_log, views_read_only},
    plain::plain,
    print, print_json,
};
use crate::clock::{Clock, SystemClock};

/// Arguments of `docket replay`.
#[derive(Args)]
pub struct ReplayArgs {
    /// Only this ticket: its number, its id, or its name in another system
    #[arg(long, value_name = "NUMBER|ID|REFERENCE")]
    ticket: Option<String>,
    /// Start at this position
    #[arg(long, value_name = "POSITION")]
    from: Option<u64>,
    /// End at this position
    #[arg(long, value_name = "POSITION")]
    to: Option<u64>,
}

/// Prints the log.
pub fn replay(global: &Global, args: &ReplayArgs) -> anyhow::Result<()> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from > to
    {
        bail!("the range ends before it starts: --to must not be smaller than --from");
    }
    let data = DataDir::open(&global.data)?;
    let stream = match &args.ticket {
        None => None,
        Some(name) => {
            let views = views_read_only(&data)?;
            let row = views.find_ticket(name).with_context(|| format!("there is no ticket {name:?}"))?;
            Some(StreamId::Ticket(row.id))
        }
    };
    let after = Position::new(args.from.unwrap_or(1).saturating_sub(1));
    let to = args.to.map_or(u64::MAX, |to| to);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for commit in LogScan::new(&data, after)? {
        let commit = commit?;
        if commit.position.get() > to {
            break;
        }
        if stream.is_some_and(|stream| stream != commit.stream) {
            continue;
        }
        if global.json {
            write_json(&mut out, &commit)?;
        } else {
            write_readable(&mut out, &commit)?;
        }
    }
    out.flush()?;
    Ok(())
}

/// One JSON object a line, for each event.
fn write_json(out: &mut impl Write, commit: &Commit) -> anyhow::Result<()> {
    for (index, event) in commit.events.iter().enumerate() {
        let mut line = json!({
            "position": commit.position,
            "index": index,
            "stream": commit.stream,
            "commit": commit.id,
            "recorded_at": commit.recorded_at.to_string(),
            "occurred_at": event.occurred_at.to_string(),
            "actor": commit.actor,
            "cause": commit.cause,
            "correlation": commit.correlation,
        });
        let stored = serde_json::to_value(event)?;
        for name in ["type", "version", "data"] {
            if let (Some(value), Some(line)) = (stored.get(name), line.as_object_mut()) {
                line.insert(name.to_owned(), value.clone());
            }
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn write_readable(out: &mut impl Write, commit: &Commit) -> anyhow::Result<()> {
    for event in &commit.events {
        let data = serde_json::to_value(event)?;
        let data = data.get("data").map(brief).unwrap_or_default();
        let name = match &event.event {
            Event::Unknown { type_name, version } => format!("{type_name}@{version} (unknown)"),
            known @ (Event::Ticket(_) | Event::Customer(_) | Event::Desk(_) | Event::Access(_) | Event::Request(_)) => {
                known.type_name().to_owned()
            }
        };
        let line = format!(
            "{:>8}  {}  {:<18} {data}  [{}; {}]",
            commit.position, event.occurred_at, name, commit.actor, commit.stream
        );
        // An event is one line, whatever is written in it.
        writeln!(out, "{}", plain(&line))?;
    }
    Ok(())
}

/// `name=value` for what has a value.
fn brief(data: &serde_json::Value) -> String {
    let Some(members) = data.as_object() else { return data.to_string() };
    let parts = members.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name}={text:?}"),
        None => format!("{name}={value}"),
    });
    parts.collect::<Vec<_>>().join(" ")
}

/// Arguments of `docket report`.
#[derive(Args)]
pub struct ReportArgs {
    /// Start of the period, RFC 3339
    #[arg(long, value_parser = instant)]
    from: Option<Timestamp>,
    /// End of the period, not part of it
    #[arg(long, value_parser = instant)]
    to: Option<Timestamp>,
    /// Count the backlog at this instant; may be given several times; now when absent
    #[arg(long, value_parser = instant)]
    at: Vec<Timestamp>,
}

/// Prints a report.
pub fn report(global: &Global, args: &ReportArgs) -> anyhow::Result<()> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from >= to
    {
        bail!("the period ends before it starts: --to must be later than --from");
    }
    let views = views_read_only(&DataDir::open(&global.data)?)?;
    let at = if args.at.is_empty() { vec![SystemClock.now()] } else { args.at.clone() };
    let report = views.report(ReportPeriod { from: args.from, to: args.to }, &at);
    if global.json {
        return print_json(&report_json(&views, &report)?);
    }
    tell(&report)
}

/// The report with its position, and instants as RFC 3339.
fn report_json(views: &Views, report: &Report) -> anyhow::Result<serde_json::Value> {
    let mut value = serde_json::to_value(report)?;
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    if let Some(members) = value.as_object_mut() {
        members.insert("position".into(), json!(views.position()));
        members.insert("from".into(), json!(text(report.from)));
        members.insert("to".into(), json!(text(report.to)));
        let backlog: Vec<_> = report
            .backlog
            .iter()
            .map(|b| json!({ "at": b.at.to_string(), "tickets": b.tickets, "unresolved": b.unresolved }))
            .collect();
        members.insert("backlog".into(), json!(backlog));
    }
    Ok(value)
}

fn tell(report: &Report) -> anyhow::Result<()> {
    let totals = &report.totals;
    for (name, count) in [
        ("created", totals.created),
        ("resolved", totals.resolved),
        ("closed", totals.closed),
        ("reopened", totals.reopened),
    ] {
        print(format!("{name:<10} {:>9} events on {:>9} tickets", count.events, count.tickets))?;
    }
    print("")?;
    print(format!("{:<32} {:>8} {:>14} {:>14} {:>14}", "seconds", "n", "mean", "median", "p90"))?;
    for (name, stats) in [
        ("first response", totals.first_response),
        ("first resolution", totals.first_resolution),
        ("last resolution", totals.last_resolution),
        ("last resolution less waiting", totals.last_resolution_less_waiting),
        ("closing", totals.closing),
    ] {
        let DurationStats { n, mean_s, median_s, p90_s, .. } = stats;
        let figure = |figure: Option<f64>| figure.map_or_else(|| "–".to_owned(), |f| format!("{f:.1}"));
        print(format!("{name:<32} {n:>8} {:>14} {:>14} {:>14}", figure(mean_s), figure(median_s), figure(p90_s)))?;
    }
    print("")?;
    for backlog in &report.backlog {
        print(format!("backlog at {}: {} ({} of them unresolved)", backlog.at, backlog.tickets, backlog.unresolved))?;
    }
    for sla in &report.sla {
        let of = sla.met + sla.missed;
        let share = if of == 0 { "–".to_owned() } else { format!("{:.1} %", sla.met as f64 * 100.0 / of as f64) };
        print(format!(
            "SLA {} ({}), {}: {} met, {} missed, {share}; {} active ({} of them overdue), {} cancelled ({} of them late)",
            sla.policy,
            sla.track,
            sla.metric,
            sla.met,
            sla.missed,
            sla.active,
            sla.overdue,
            sla.cancelled,
            sla.cancelled_late
        ))?;
    }
    for by in &report.groups {
        print(format!(
            "\nby {:<29} {:>8} {:>9} {:>9} {:>9} {:>15}",
            by.by, "created", "resolved", "closed", "reopened", "median to last"
        ))?;
        let mut groups: Vec<_> = by.groups.iter().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.totals.resolved.events));
        for group in groups.iter().take(15) {
            let totals = &group.totals;
            let median = totals.last_resolution.median_s.map_or_else(|| "–".to_owned(), |s| format!("{s:.0}"));
            let key = plain(group.key.as_deref().unwrap_or("–"));
            print(format!(
                "  {key:<30} {:>8} {:>9} {:>9} {:>9} {median:>15}",
                totals.created.events, totals.resolved.events, totals.closed.events, totals.reopened.events
            ))?;
        }
        if groups.len() > 15 {
            print(format!("  … and {} more; --json lists them", groups.len() - 15))?;
        }
    }
    Ok(())
}

/// Rebuilds all views and compares them with the snapshot's.
pub fn rebuild(global: &Global) -> anyhow::Result<()> {
    let data = DataDir::open(&global.data)?;
    let kept = checked_snapshot(&data)?;
    let end = kept.as_ref().map(Views::position).unwrap_or_default();
    let shown = bar(end.get(), "rebuilding");
    let started = Instant::now();
    let progress = |progress: docket_projections::Progress| {
        shown.set_position(progress.position.get());
        true
    };
    let fresh = rebuild_views(Views::default(), LogScan::new(&data, Position::START)?, end, progress)?;
    let fresh = fresh.context("the rebuild was cancelled")?;
    refuse_lost_log(&data, fresh.position())?;
    let seconds = started.elapsed().as_secs_f64();
    shown.finish_and_clear();
    let identical = match kept {
        None => None,
        Some(kept) => {
            // What came after the snapshot is folded into it, so that both stand at one position.
            let upto = fresh.position();
            let rest = LogScan::new(&data, kept.position())?;
            let rest = rest.take_while(|commit| commit.as_ref().map_or(true, |commit| commit.position <= upto));
            let end = kept.position();
            Some(fold(kept, rest, end)?.to_bytes()? == fresh.to_bytes()?)
        }
    };
    // A running server writes its own snapshots.
    let saved = match data.lock() {
        Ok(_lock) => snapshot::write(&data.snapshots(), data.log_id(), &fresh).is_ok(),
        Err(_) => false,
    };
    let rate = fresh.events() as f64 / seconds.max(1e-9);
    if global.json {
        print_json(&json!({
            "position": fresh.position(),
            "events": fresh.events(),
            "seconds": seconds,
            "events_per_second": rate.round(),
            "identical": identical,
            "fingerprint": fresh.fingerprint()?,
            "snapshot_written": saved,
        }))?;
    } else {
        print(format!("position    {}", fresh.position()))?;
        print(format!("events      {}", fresh.events()))?;
        print(format!("seconds     {seconds:.3}"))?;
        print(format!("events/s    {rate:.0}"))?;
        print(format!(
            "identical   {}",
            match identical {
                Some(true) => "yes",
                Some(false) => "no",
                None => "there was no snapshot of this version to compare with",
            }
        ))?;
    }
    if identical == Some(false) {
        bail!("the rebuilt views differ from the snapshot's: the snapshot was replaced; please report this");
    }
    Ok(())
}
