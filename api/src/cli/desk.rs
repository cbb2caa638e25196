//! `docket apply` and `docket desk`.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use clap::Args;
use docket_core::desk::DeskConfig;
use docket_store::DataDir;
use serde_json::json;

use super::{
    Global,
    open::{Opened, views_read_only},
    print as line, print_json,
};
use crate::{
    clock::SystemClock,
    engine::{Applied, Principal},
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
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
        anyhow::anyhow!("{}, line {line}: {}", file.display(), error.message())
    })
}

/// Makes the desk as a file says.
pub fn apply(global: &Global, args: &ApplyArgs) -> anyhow::Result<()> {
    let config = read(&args.file)?;
    let opened = Opened::writable(&global.data)?;
    let engine = opened.engine(Arc::new(SystemClock))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let applied = runtime.block_on(engine.apply_desk(&Principal::local(), config, args.dry_run))?;
    opened.save(&engine.views());
    opened.log.close();
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
                line(format!("{} {} {}", change.verb, change.kind, change.key))?;
            }
            line(match (changes.len(), args.dry_run) {
                (0, _) => "the desk is as the file says".to_owned(),
                (n, true) => format!("{n} changes; nothing was written (--dry-run)"),
                (n, false) => format!("{n} changes, written at position {position}"),
            })
        }
    }
}

/// Prints the present desk of the data directory.
pub fn print(global: &Global) -> anyhow::Result<()> {
    let views = views_read_only(&DataDir::open(&global.data)?)?;
    let config = views.desk().desk().to_config();
    if global.json { print_json(&config) } else { line(toml::to_string_pretty(&config)?.trim_end()) }
}
