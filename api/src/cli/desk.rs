//! `docket apply` and `docket desk`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use clap::Args;
use docket_core::desk::DeskConfig;
use docket_projections::Views;
use docket_store::{DataDir, DataDirError};
use serde_json::json;

use super::{
    Global,
    open::{Opened, views_read_only},
    print as line, print_json,
};
use crate::{
    clock::SystemClock,
    engine::{Applied, Principal},
    toml_error::one_line,
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
fn read(file: &PathBuf) -> anyhow::Result<DeskConfig> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    toml::from_str(&text).map_err(|error| anyhow::anyhow!("{}, {}", file.display(), one_line(&text, &error)))
}

/// Makes the desk as a file says.
pub fn apply(global: &Global, args: &ApplyArgs) -> anyhow::Result<()> {
    let config = read(&args.file)?;
    let applied = if args.dry_run { compare(&global.data, config)? } else { write(&global.data, config)? };
    match applied {
        Applied::Problems(problems) => {
            for problem in &problems {
                line(problem)?;
            }
            bail!("{} has {} problems; nothing was changed", args.file.display(), problems.len())
        }
        Applied::Changes(changes, position) => {
            if global.json {
                return print_json(&json!({
                    "dry_run": args.dry_run,
                    "changes": changes,
                    "position": position,
                }));
            }
            for change in &changes {
                line(format!("{} {} {}", change.verb, change.kind, change.key).trim_end())?;
            }
            line(match (changes.len(), args.dry_run) {
                (0, _) => "the desk is as the file says".to_owned(),
                (n, true) => format!("{n} changes; nothing was written (--dry-run)"),
                (n, false) => format!("{n} changes, written at position {position}"),
            })
        }
    }
}

/// What would change: reads alone, also beside a server, and where nothing is yet.
fn compare(dir: &Path, mut config: DeskConfig) -> anyhow::Result<Applied> {
    let views = match DataDir::open(dir) {
        Err(DataDirError::Missing(_)) => Views::default(),
        data => views_read_only(&data?)?,
    };
    let desk = views.desk().desk();
    config.number_policies();
    config.fill_from(desk);
    let problems = config.problems(desk);
    Ok(if problems.is_empty() {
        Applied::Changes(config.changes_from(desk), views.position())
    } else {
        Applied::Problems(problems)
    })
}

fn write(dir: &Path, config: DeskConfig) -> anyhow::Result<Applied> {
    if let Applied::Problems(problems) = compare(dir, config.clone())? {
        return Ok(Applied::Problems(problems));
    }
    let mut opened = Opened::writable(dir)?;
    let engine = opened.engine(Arc::new(SystemClock))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let applied = runtime.block_on(engine.apply_desk(&Principal::local(), config, false));
    opened.save(&engine.views());
    opened.log.close();
    Ok(applied?)
}

/// Prints the present desk of the data directory.
pub fn print(global: &Global) -> anyhow::Result<()> {
    let views = views_read_only(&DataDir::open(&global.data)?)?;
    let config = views.desk().desk().to_config();
    if global.json { print_json(&config) } else { line(toml::to_string_pretty(&config)?.trim_end()) }
}
