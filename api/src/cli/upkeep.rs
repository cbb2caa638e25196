//! `docket verify`, `repair`, `backup` and `restore`: what an operator does for the data directory.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, bail};
use clap::Args;
use docket_core::ids::Position;
use docket_projections::snapshot;
use docket_store::{
    Backup, DataDir, Finding, Leftover, LeftoverKind, LogScan, Manifest, Part, Remedy, RepairOptions, Restored,
    VerifyOptions, VerifyReport, VerifyState, backup as back_up, open_for_repair, repair as repair_data, verify_from,
};
use serde_json::json;

use super::{
    Global,
    open::{bar, refuse_lost_log},
    print, print_json,
};
use crate::clock::{Clock, SystemClock};

/// MiB a second that a verification reads beside a running server unless told otherwise.
const BESIDE_A_SERVER: u64 = 64;

/// Arguments of `docket verify`.
#[derive(Args)]
pub struct VerifyArgs {
    /// Only the journals, seals and stored texts: do not compare the databases
    #[arg(long)]
    quick: bool,
    /// Read at most so many MiB a second; 64 when a server is running, else as fast as the disk allows
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// Note in this file what is done, volume by volume, and go on from there the next time
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Where databases are copied to be looked at, one at a time; the system's temporary directory when absent
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

/// Verifies everything that is stored.
pub fn verify(global: &Global, args: &VerifyArgs) -> anyhow::Result<()> {
    let data = DataDir::open(&global.data)?;
    let serving = data.in_use();
    let rate = args.rate.or(serving.then_some(BESIDE_A_SERVER));
    let options = VerifyOptions {
        databases: !args.quick,
        bytes_per_second: rate.map(|mib| mib * 1024 * 1024),
        scratch: args.scratch.clone().unwrap_or_else(std::env::temp_dir),
        in_use: serving,
    };
    let state = args.state.as_deref().map(read_state).transpose()?.flatten();
    let resumed = state.as_ref().map(|state| state.volumes).filter(|volumes| *volumes > 0);
    let started = Instant::now();
    let spinner = bar(0, "verifying");
    let mut unsaved = None;
    let progress = |position: Position| {
        if position.get() % 1024 < 64 {
            spinner.set_message(format!("verifying: at position {position}"));
        }
    };
    let (mut report, _) = verify_from(&data, &options, state, progress, |state| match &args.state {
        Some(path) => match write_state(path, state) {
            Ok(()) => true,
            Err(error) => {
                unsaved = Some(error);
                false
            }
        },
        None => true,
    })?;
    spinner.finish_and_clear();
    if let Some(error) = unsaved {
        return Err(error);
    }
    if report.ok()
        && let Err(lost) = refuse_lost_log(&data, report.head_position)
    {
        let problem = lost.to_string();
        report.findings.push(Finding {
            part: Part::Journal,
            volume: None,
            position: None,
            problem,
            remedy: Remedy::Backup,
        });
    }
    if let (true, Some(path)) = (report.ok(), &args.state) {
        // All of it is done; the next verification begins anew.
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            Ok(()) | Err(_) => {}
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    if global.json {
        let mut value = serde_json::to_value(&report)?;
        if let Some(members) = value.as_object_mut() {
            members.insert("ok".into(), json!(report.ok()));
            members.insert("seconds".into(), json!(seconds));
        }
        print_json(&value)?;
    } else {
        tell_verified(&report, resumed, seconds)?;
    }
    match report.findings.first() {
        None => Ok(()),
        Some(first) => bail!("{}{}", first.problem, what_to_do(first)),
    }
}

fn what_to_do(finding: &Finding) -> &'static str {
    match finding.remedy {
        Remedy::Repair => ". Stop the server and run `docket repair --dry-run`, then `docket repair`",
        // The problem says it, and there is nothing to be repaired.
        Remedy::NewerDocket | Remedy::Rights => "",
        Remedy::Restore => {
            ". Journal and database agree on it, so there is nothing to repair it from, and nothing was changed: `docket \
             restore` a backup that was made before to a new directory, keep this one, and report it"
        }
        Remedy::Backup => ". Only a backup can have it: see `docket repair --backup DIR`, or `docket restore`",
    }
}

fn tell_verified(report: &VerifyReport, resumed: Option<u64>, seconds: f64) -> anyhow::Result<()> {
    print(format!("log       {}", report.log_id))?;
    let resumed = resumed.map(|volumes| format!(" ({volumes} of them checked earlier)")).unwrap_or_default();
    print(format!("volumes   {}{resumed}", report.volumes))?;
    print(format!("commits   {}", report.commits))?;
    print(format!("events    {} ({} of unknown types or forms)", report.events, report.unknown_events))?;
    for (what, name, count) in report.unknown.names() {
        print(format!("unknown   {what} {name} ({count}): written by a newer docket, sound, and not understood here"))?;
    }
    print(format!("databases {} the same as their journals", report.databases))?;
    print(format!("texts     {} stored ones sound", report.texts))?;
    print(format!("head      {} {}", report.head_position, report.head_hash))?;
    if report.torn_bytes > 0 {
        let bytes = report.torn_bytes;
        print(format!("torn      {bytes} bytes of an interrupted write at the end; nothing in them was acknowledged"))?;
    }
    for unchecked in &report.unchecked {
        print(format!("not seen  {unchecked}"))?;
    }
    for read_only in &report.read_only {
        print(format!("read only {read_only}"))?;
    }
    for leftover in &report.leftovers {
        print(format!("left over {leftover}"))?;
    }
    for finding in &report.findings {
        let label = match finding.remedy {
            Remedy::NewerDocket => "NEWER   ",
            Remedy::Rights => "RIGHTS  ",
            Remedy::Repair | Remedy::Backup | Remedy::Restore => "DAMAGE  ",
        };
        print(format!("{label}  {}", finding.problem))?;
    }
    print(format!("seconds   {seconds:.2}"))?;
    let verdict = match (report.ok(), report.damaged(), report.forbidden()) {
        (true, _, _) => "ok",
        (false, true, _) => "DAMAGED",
        (false, false, true) => "RIGHTS ARE MISSING",
        (false, false, false) => "WRITTEN BY A NEWER DOCKET",
    };
    print(format!("verdict   {verdict}"))
}

fn read_state(path: &Path) -> anyhow::Result<Option<VerifyState>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let state = serde_json::from_str(&text)
        .with_context(|| format!("{} is no state of a verification: remove it to begin anew", path.display()))?;
    Ok(Some(state))
}

fn write_state(path: &Path, state: &VerifyState) -> anyhow::Result<()> {
    let text = serde_json::to_string(state)?;
    let mut making = path.as_os_str().to_owned();
    making.push(".tmp");
    fs::write(&making, text)
        .and_then(|()| fs::rename(&making, path))
        .with_context(|| format!("cannot write {}: name another file with --state", path.display()))
}

/// Arguments of `docket repair`.
#[derive(Args)]
pub struct RepairArgs {
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Take what neither copy has from this backup
    #[arg(long, value_name = "DIR")]
    backup: Option<PathBuf>,
    /// Where databases are copied to be looked at, one at a time; the system's temporary directory when absent
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

/// Heals whichever copy is wrong from the other one.
pub fn repair(global: &Global, args: &RepairArgs) -> anyhow::Result<()> {
    let (data, marker) = open_for_repair(&global.data, args.dry_run)?;
    let lock = data.lock()?;
    let options = RepairOptions { backup: args.backup.clone(), dry_run: args.dry_run, scratch: args.scratch.clone() };
    let spinner = bar(0, "repairing");
    let mut report = repair_data(&data, &lock, &options)?;
    spinner.finish_and_clear();
    report.mended.splice(0..0, marker);
    if global.json {
        print_json(&report)?;
    } else {
        for mended in &report.mended {
            print(format!("{}  {mended}", if args.dry_run { "would do" } else { "done    " }))?;
        }
        for remaining in &report.remaining {
            print(format!("LEFT      {}", remaining.problem))?;
        }
        match (&report.kept, report.mended.is_empty() && report.remaining.is_empty()) {
            (_, true) => print("Nothing is wrong: nothing was done.")?,
            (Some(kept), false) => print(format!("What was replaced is kept in {}", kept.display()))?,
            (None, false) => {}
        }
    }
    match report.remaining.first() {
        None => Ok(()),
        Some(first) => bail!("{}{}", first.problem, what_to_do(first)),
    }
}

/// Arguments of `docket backup`.
#[derive(Args)]
pub struct BackupArgs {
    /// The backup: a new or empty directory, or the backup of this desk, which is brought up to date
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Do not back up: check that everything in the backup is sound and complete
    #[arg(long)]
    verify: bool,
    /// Read at most so many MiB a second
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
}

/// Backs up, or verifies a backup.
pub fn backup(global: &Global, args: &BackupArgs) -> anyhow::Result<()> {
    let rate = args.rate.map(|mib| mib * 1024 * 1024);
    let started = Instant::now();
    if args.verify {
        let backup = Backup::open(&args.dir)?;
        let manifest = backup.manifest();
        let shown = bar(manifest.head_position.get(), "verifying");
        backup.verify(rate, |position| shown.set_position(position.get()))?;
        shown.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        return tell_backup(global, manifest, json!({ "ok": true, "seconds": seconds }), "ok");
    }
    let data = DataDir::open(&global.data)?;
    let inside = |dir: &Path| dir.ancestors().any(|above| same_directory(above, data.root()));
    if inside(&args.dir) {
        bail!(
            "a backup inside the data directory would be lost with it: name a directory elsewhere, best on another disk"
        );
    }
    refuse_lost_log(&data, last_position(&data)?)?;
    let shown = bar(0, "backing up");
    let report = back_up(&data, &args.dir, SystemClock.now(), rate, |position| {
        if position.get() % 1024 < 64 {
            shown.set_message(format!("backing up: at position {position}"));
        }
    })?;
    shown.finish_and_clear();
    let done = format!(
        "{} bytes and {} stored texts copied, {} volumes were there",
        report.copied_bytes, report.copied_texts, report.kept_volumes
    );
    let more = json!({
        "copied_bytes": report.copied_bytes,
        "copied_texts": report.copied_texts,
        "kept_volumes": report.kept_volumes,
        "seconds": started.elapsed().as_secs_f64(),
    });
    tell_backup(global, &report.manifest, more, &done)?;
    if let Some(missing) = report.manifest.missing_texts.first() {
        let count = report.manifest.missing_texts.len();
        bail!(
            "the backup is complete but for {count} stored texts that are damaged or missing here, the first is {missing}. \
             See `docket verify`"
        );
    }
    Ok(())
}

fn same_directory(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// Position of the newest commit by the newest snapshot: a log that is shorter has lost something.
fn last_position(data: &DataDir) -> anyhow::Result<Position> {
    let after = snapshot::newest(&data.snapshots(), data.log_id()).map(|views| views.position()).unwrap_or_default();
    let before = Position::new(after.get().saturating_sub(1));
    Ok(match LogScan::new(data, before)?.next().transpose()? {
        Some(commit) => commit.position,
        None => before,
    })
}

fn tell_backup(global: &Global, manifest: &Manifest, more: serde_json::Value, done: &str) -> anyhow::Result<()> {
    if global.json {
        let mut value = serde_json::to_value(manifest)?;
        if let (Some(members), Some(more)) = (value.as_object_mut(), more.as_object()) {
            members.extend(more.clone());
            members.insert("taken_at".into(), json!(manifest.taken_at.to_string()));
        }
        return print_json(&value);
    }
    print(format!("log       {}", manifest.log_id))?;
    print(format!("taken     {}", manifest.taken_at))?;
    print(format!("volumes   {}", manifest.volumes.len()))?;
    print(format!("commits   {}", manifest.commits))?;
    print(format!("texts     {}", manifest.texts))?;
    print(format!("head      {} {}", manifest.head_position, manifest.head_hash))?;
    print(format!("verdict   {done}"))
}

/// Arguments of `docket restore`.
#[derive(Args)]
pub struct RestoreArgs {
    /// The backup to restore
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
}

/// Makes a data directory of a backup.
pub fn restore(global: &Global, args: &RestoreArgs) -> anyhow::Result<()> {
    let backup = Backup::open(&args.backup)?;
    let manifest = backup.manifest();
    let shown = bar(manifest.head_position.get(), "restoring");
    let started = Instant::now();
    let Restored { data, removed, left } =
        backup.restore(&global.data, |position| shown.set_position(position.get()))?;
    shown.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    if !global.json {
        for path in &removed {
            print(format!("removed   {}, which a restore had left that was killed", path.display()))?;
        }
        for Leftover { path, kind } in &left {
            let LeftoverKind::Foreign(why) = kind else { continue };
            let path = path.display();
            print(format!("left      {path} has the name of what a restore makes, and is something else: {why}"))?;
        }
    }
    let left: Vec<_> = left.into_iter().map(|leftover| leftover.path).collect();
    let done = format!(
        "restored to {}. Whoever follows the log and noted a later position than {} is told so and starts again from there",
        data.root().display(),
        manifest.head_position
    );
    tell_backup(
        global,
        manifest,
        json!({ "restored_to": data.root(), "removed": removed, "left_alone": left, "seconds": seconds }),
        &done,
    )
}
