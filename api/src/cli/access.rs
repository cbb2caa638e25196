//! `docket access`: who could read a ticket. It reads the journals and needs no lock.

use anyhow::{Context, bail};
use clap::Args;
use docket_core::{ids::Position, time::Timestamp};
use docket_projections::as_of;
use docket_store::{DataDir, LogScan};
use serde_json::json;

use super::{Global, instant, open::views_read_only, plain::plain, print, print_json, token::bearer};
use crate::{
    clock::{Clock, SystemClock},
    engine::readers,
};

/// Arguments of `docket access`.
#[derive(Args)]
pub struct AccessArgs {
    /// The ticket: its number, its id, or its name in another system
    ticket: String,
    /// At this instant; now when absent
    #[arg(long, value_parser = instant)]
    at: Option<Timestamp>,
}

/// Prints who could read a ticket.
pub fn access(global: &Global, args: &AccessArgs) -> anyhow::Result<()> {
    let data = DataDir::open(&global.data)?;
    let now = SystemClock.now();
    let at = args.at.unwrap_or(now);
    if at > now {
        bail!("--at lies ahead: nobody knows who may read then");
    }
    let row = views_read_only(&data)?.find_ticket(&args.ticket).map(|row| (row.id, row.number));
    let (ticket, number) = row.with_context(|| format!("there is no ticket {:?}", args.ticket))?;
    let commits = || {
        let commits = LogScan::new(&data, Position::START)?;
        anyhow::Ok(commits.map(|commit| Ok(commit?)))
    };
    let readers = readers(&as_of(commits, at)?, ticket, at)?;
    if global.json {
        let list: Vec<_> = readers
            .iter()
            .map(|reader| {
                json!({ "token": reader.token.id.to_string(), "role": reader.token.role, "label": reader.token.label,
                    "reads_internal": reader.internal })
            })
            .collect();
        return print_json(&json!({ "ticket": number, "at": at.to_string(), "readers": list }));
    }
    if readers.is_empty() {
        return print(format!("nobody had a token that could read ticket {number} at {at}"));
    }
    for reader in readers {
        let notes = if reader.internal { "with notes" } else { "without notes" };
        let (who, label) = (bearer(&reader.token.role), plain(&reader.token.label));
        print(format!("{}  {who:<36} {notes:<14} {label}", reader.token.id))?;
    }
    Ok(())
}
