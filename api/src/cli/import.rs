//! `docket import`.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use docket_projections::Views;
use docket_store::{DataDir, DataDirError, EventLog, MemoryLog};

use super::{
    Global,
    open::{Opened, Writing, bar, fold},
    plain::plain,
    print, print_json,
};
use crate::{
    clock::{Clock, SystemClock},
    import::{ImportReport, Mapping, import as run},
};

/// Arguments of `docket import`.
#[derive(Args)]
pub struct ImportArgs {
    /// The mapping file (TOML): which column is what
    #[arg(long)]
    mapping: PathBuf,
    /// CSV files, also packed as .csv.gz
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Read and compare, write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    writing: Writing,
}

/// Bad rows shown on a terminal; `--json` has more.
const SHOWN: usize = 20;

/// Imports files.
pub fn import(global: &Global, args: &ImportArgs) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&args.mapping)
        .with_context(|| format!("cannot read the mapping {}", args.mapping.display()))?;
    let mapping = Mapping::parse(&text)?;
    for input in &args.inputs {
        std::fs::File::open(input).with_context(|| format!("cannot read {}", input.display()))?;
    }
    if args.dry_run && matches!(DataDir::open(&global.data), Err(DataDirError::Missing(_))) {
        let (log, views) = (MemoryLog::new(), Views::default());
        let report = run(&log, &views, &mapping, &args.inputs, SystemClock.now(), true, |_| {})?;
        return finish(global, &report);
    }
    let opened = Opened::writable_with(&global.data, args.writing.options())?;
    let mut shown = None;
    let report =
        run(&*opened.log, &opened.views, &mapping, &args.inputs, SystemClock.now(), args.dry_run, |progress| {
            let bar = shown.get_or_insert_with(|| bar(progress.total_bytes, "importing"));
            bar.set_position(progress.bytes);
        });
    if let Some(bar) = shown {
        bar.finish_and_clear();
    }
    // Whatever came of it, what is durable is durable; the next command starts from a snapshot of it.
    let (start, end) = (opened.views.position(), opened.log.head().position);
    if end > start {
        let views: Views = fold(opened.views.clone(), opened.log.scan(start)?, end)?;
        opened.save(&views);
    }
    opened.log.close();
    finish(global, &report?)
}

fn finish(global: &Global, report: &ImportReport) -> anyhow::Result<()> {
    if global.json {
        print_json(report)?;
    } else {
        tell(report)?;
    }
    if report.bad_row_count > 0 {
        bail!("{} rows were left out; everything else was taken", report.bad_row_count);
    }
    Ok(())
}

fn tell(report: &ImportReport) -> anyhow::Result<()> {
    print(format!(
        "{} rows of {} tickets: {} commits with {} events {}; {} rows were known, {} changed nothing",
        report.rows,
        report.tickets,
        report.commits,
        report.events,
        if report.dry_run { "would be added (--dry-run)" } else { "added" },
        report.known_rows,
        report.unchanged_rows
    ))?;
    let made: Vec<String> = report.made.iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
    if !made.is_empty() {
        print(format!("made: {}", made.join(", ")))?;
    }
    if report.shortened_subjects > 0 {
        print(format!("{} subjects were too long and were shortened", report.shortened_subjects))?;
    }
    for (column, values) in &report.unknown_values {
        let values: Vec<String> = values.iter().map(|(value, count)| format!("{value:?} ({count})")).collect();
        print(format!("not in the mapping, kept as they are: {column} {}", values.join(", ")))?;
    }
    for bad in report.bad_rows.iter().take(SHOWN) {
        print(format!("{}, line {}: {}", bad.file, bad.line, plain(&bad.reason)))?;
    }
    let more = report.bad_row_count.saturating_sub(SHOWN as u64);
    if more > 0 {
        print(format!("… and {more} more rows; --json lists them"))?;
    }
    Ok(())
}
