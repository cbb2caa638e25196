//! `docket apply`, `docket desk` and `docket reapply`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use clap::Args;
use docket_core::desk::DeskConfig;
use docket_projections::{Reapplication, Views};
use docket_store::{DataDir, DataDirError};
use serde_json::json;

use super::{
    Global,
    open::{Opened, views_read_only},
    print as line, print_json, print_raw,
};
use crate::{
    clock::{Clock, SystemClock},
    desk_file,
    engine::{Applied, Principal, Reapplied, compare_desk},
};

/// Arguments of `docket apply`.
#[derive(Args)]
pub struct ApplyArgs {
    /// The desk file (TOML)
    file: PathBuf,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
}

/// Reads a desk file.
pub fn read(file: &Path) -> anyhow::Result<DeskConfig> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    desk_file::parse(&text, Some(file.parent().unwrap_or(Path::new("."))))
        .map_err(|problem| anyhow::anyhow!("{}, {problem}", file.display()))
}

/// Makes the desk as a file says.
pub fn apply(global: &Global, args: &ApplyArgs) -> anyhow::Result<()> {
    let config = read(&args.file)?;
    let applied = if args.dry_run { compare(&global.data, config)? } else { write(&global.data, config)? };
    match applied {
        Applied::Problems(problems) => {
            if global.json {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                print_json(&json!({ "dry_run": args.dry_run, "problems": problems }))?;
            } else {
                for problem in &problems {
                    line(problem)?;
                }
            }
            bail!("{} has problems ({}); nothing was changed", args.file.display(), problems.len())
        }
        Applied::Changes { changes, departures, moved, not_moved, position, effect } => {
            if global.json {
                return print_json(&json!({
                    "dry_run": args.dry_run,
                    "changes": changes,
                    "departures": departures,
                    "moved": moved,
                    "not_moved": not_moved,
                    "position": position,
                    "reapplying_would": effect.as_deref().map(effect_json).transpose()?,
                }));
            }
            for change in &changes {
                line(format!("{} {} {}", change.verb, change.kind, change.key).trim_end())?;
                let hangs = departures.iter().find(|d| d.kind == change.kind && d.key == change.key);
                if let Some(departure) = hangs.filter(|departure| departure.matters()) {
                    let then = if change.verb == "retire" {
                        "`leaving` in the file says where tickets go"
                    } else {
                        "in queues that the agent loses: assign them to somebody who works there"
                    };
                    line(format!("    {departure}; {then}"))?;
                }
            }
            for ticket in &not_moved {
                line(format!("ticket {} could not be moved and is as it was: {}", ticket.number, ticket.why))?;
            }
            if moved > 0 {
                line(format!("{moved} tickets {} moved", if args.dry_run { "would be" } else { "were" }))?;
            }
            line(match (changes.len(), args.dry_run) {
                (0, _) => "the desk is as the file says".to_owned(),
                (n, true) => format!("{n} changes; nothing was written (--dry-run)"),
                (n, false) => format!("{n} changes, written at position {position}"),
            })?;
            let Some(effect) = effect.filter(|effect| !effect.tickets.is_empty()) else { return Ok(()) };
            line(format!(
                "open tickets keep what they were promised; `docket reapply` would move them: {}",
                told(&effect)
            ))
        }
    }
}

/// Arguments of `docket reapply`.
#[derive(Args)]
pub struct ReapplyArgs {
    /// Only show what it would do
    #[arg(long)]
    dry_run: bool,
}

/// Applies the present versions of policies and calendars to open tickets.
pub fn reapply(global: &Global, args: &ReapplyArgs) -> anyhow::Result<()> {
    let Reapplied { effect, set_aside, position } = if args.dry_run {
        let views = views_read_only(&DataDir::open(&global.data)?)?;
        let effect = Some(views.reapplication(views.desk().desk(), SystemClock.now()));
        Reapplied { effect, set_aside: vec![], position: views.position() }
    } else {
        DataDir::open(&global.data)?;
        let mut opened = Opened::writable(&global.data)?;
        let engine = opened.engine(Arc::new(SystemClock))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let done = runtime.block_on(engine.reapply_policies(&Principal::local(), false, None));
        opened.save(&engine.views());
        opened.log.close();
        done?
    };
    if global.json {
        return print_json(&json!({
            "dry_run": args.dry_run,
            "effect": effect.as_ref().map(effect_json).transpose()?,
            "set_aside": set_aside,
            "position": position,
        }));
    }
    for number in &set_aside {
        line(format!("ticket {number} could not be worked on and is as it was; the log of the program says why"))?;
    }
    let told = effect.as_ref().map(told).unwrap_or_default();
    line(format!("{told}{}", if args.dry_run { "; nothing was written (--dry-run)" } else { "" }))
}

/// What applying anew does, in words.
fn told(effect: &Reapplication) -> String {
    let Reapplication { open, tickets, earlier, later, unmoved, shift, newly_overdue, no_longer_overdue } = effect;
    if tickets.is_empty() {
        return format!("all {open} open tickets have the present policies");
    }
    let by = match (shift.min_s, shift.median_s, shift.max_s) {
        (Some(min), Some(median), Some(max)) => {
            format!(" by {} to {}, half of them by {} or less", hours(min), hours(max), hours(median))
        }
        _ => String::new(),
    };
    format!(
        "{} of {open} open tickets: {earlier} due earlier, {later} later, {unmoved} at the same instant{by}; {newly_overdue} \
         become overdue, {no_longer_overdue} cease to be",
        tickets.len()
    )
}

fn hours(seconds: f64) -> String {
    // Far below 2^63.
    docket_core::desk::Span::from_millis((seconds * 1000.0) as i64).to_string()
}

fn effect_json(effect: &Reapplication) -> anyhow::Result<serde_json::Value> {
    let mut value = serde_json::to_value(effect)?;
    value["affected"] = json!(effect.tickets.len());
    Ok(value)
}

/// What would change: reads alone, also beside a server, and where nothing is yet.
fn compare(dir: &Path, config: DeskConfig) -> anyhow::Result<Applied> {
    let views = match DataDir::open(dir) {
        Err(DataDirError::Missing(_)) => Views::default(),
        data => views_read_only(&data?)?,
    };
    Ok(compare_desk(&views, config, SystemClock.now()))
}

fn write(dir: &Path, config: DeskConfig) -> anyhow::Result<Applied> {
    if let Applied::Problems(problems) = compare(dir, config.clone())? {
        return Ok(Applied::Problems(problems));
    }
    let mut opened = Opened::writable(dir)?;
    let engine = opened.engine(Arc::new(SystemClock))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let applied = runtime.block_on(engine.apply_desk(&Principal::local(), config, false, None));
    opened.save(&engine.views());
    opened.log.close();
    Ok(applied?)
}

/// Prints the present desk of the data directory.
pub fn print(global: &Global) -> anyhow::Result<()> {
    let views = views_read_only(&DataDir::open(&global.data)?)?;
    let config = views.desk().desk().to_config();
    if global.json { print_json(&config) } else { print_raw(toml::to_string_pretty(&config)?.trim_end()) }
}
