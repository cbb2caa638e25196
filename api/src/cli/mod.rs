//! The command line. One-line errors that say what to do; exit code 0 only on success.
#![allow(clippy::print_stdout, reason = "a command line answers on standard output")]

mod access;
mod desk;
mod history;
mod import;
mod open;
mod plain;
mod serve;
mod sla;
mod token;
mod upkeep;

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use docket_store::{OpenError, ReadError};
use serde::Serialize;

/// Ticketing for support desks: every message, assignment and status is an immutable event; queues, SLA timers and reports
/// are projections of the log.
#[derive(Parser)]
#[command(name = "docket", version, max_term_width = 110, after_help = "Try it: docket serve --demo")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

/// What every command takes.
#[derive(Args, Clone)]
pub struct Global {
    /// Directory that holds the desk
    #[arg(long, global = true, value_name = "DIR", default_value = "./docket-data", env = "DOCKET_DATA")]
    data: PathBuf,
    /// Answer in JSON, for programs
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Serve GraphQL over HTTP
    #[command(after_help = "Example: docket serve --listen 127.0.0.1:8080\n         docket serve --demo")]
    Serve(serve::ServeArgs),
    /// Make the desk as a desk file says
    #[command(
        after_help = "Example: docket apply examples/desks/small-shop.toml --dry-run\n\nA kind of part that the file does not mention (teams, say) is left as it is; of a kind that it mentions, what it leaves\nout is retired; an empty list (policy = []) means none of these. Nothing is deleted: history stays readable. What hangs on a\npart that leaves is said before it happens; to move its unfinished tickets, say so in the file:\n    [[leaving]]\n    kind = \"queue\"        # or agent, team, category, status\n    key = \"old\"\n    move_to = \"billing\"   # left out, an agent's, team's or category's tickets have none\n\nexamples/desks/service-levels.toml shows everything that calendars\nand SLA policies can say."
    )]
    Apply(desk::ApplyArgs),
    /// Print the present desk as a desk file
    #[command(after_help = "Example: docket desk > desk.toml")]
    Desk,
    /// Apply the present versions of SLA policies and calendars to open tickets
    #[command(
        after_help = "Example: docket reapply --dry-run\n\nAn edited policy is for new tickets; open ones keep the version that they were promised until this command. Done ones\nnever move. Stop the server first, or use the mutation slaReapply."
    )]
    Reapply(desk::ReapplyArgs),
    /// Turn another help desk's CSV history into events
    #[command(
        after_help = "Example: docket import --mapping examples/mappings/servicenow-incidents.toml incidents.csv.gz\nImporting again adds nothing; an interrupted import is run again."
    )]
    Import(import::ImportArgs),
    /// Print the event log, in order
    #[command(
        after_help = "Example: docket replay --ticket INC0000047\n         docket replay --from 100 --to 200 --json"
    )]
    Replay(history::ReplayArgs),
    /// Count what happened
    #[command(
        after_help = "Example: docket report --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z --json\n\nPeriods are half-open over the instants at which things happened. Resolution times run from the opening; the last one in\nthe period counts. The median is the mean of the middle two when the count is even, p90 is the nearest rank. The backlog\nat an instant are the tickets opened and not closed then. Groups are credited as the ticket was at the time. Service levels\ncount clocks by how they had ended by the end of the period, with the policy and deadline of then; active and overdue\nare as of the latest --at, and not missed yet. What happens later changes no figure of a past period."
    )]
    Report(history::ReportArgs),
    /// Tell who could read a ticket at an instant
    #[command(
        after_help = "Example: docket access INC0000047 --at 2026-11-26T09:00:00Z\n\nThe bearers of tokens that held then, and whether they could read notes. Derived from the log as it stood at that instant:\nwhat was imported is there since its import.\nWhoever could read the data directory itself is known to the machine alone."
    )]
    Access(access::AccessArgs),
    /// Derive every deadline of a ticket: versions, pauses, and each stretch of working time
    #[command(after_help = "Example: docket explain 42\n         docket explain INC0000047 --json")]
    Explain(sla::ExplainArgs),
    /// Count what service levels would have come to under other policies or calendars
    #[command(
        name = "whatif",
        after_help = "Example: docket desk > desk.toml   (edit its policies)\n         docket whatif --policy desk.toml --from 2026-07-01T00:00:00Z --to 2026-10-01T00:00:00Z\n\nThe whole log is folded once more with these in place of every version of the same keys, and counted beside what was. A\nclock belongs to the period in which it ended; one that has not, in which it started. Nothing is written or sent."
    )]
    WhatIf(sla::WhatIfArgs),
    /// Check everything that is stored; exit code 0 only when all of it is sound
    #[command(
        after_help = "Example: docket verify\n         docket verify --state verify.state --rate 20\n\nWalks the hash chain of the journals, compares seals and databases with them and stored texts with their names. Changes\nnothing and takes no lock, so it works beside a running server."
    )]
    Verify(upkeep::VerifyArgs),
    /// Heal whichever copy is damaged from the other one
    #[command(
        after_help = "Example: docket repair --dry-run\n         docket repair --backup /mnt/backup\n\nThe hash chain tells which bytes are right. What is replaced is kept in DIR/damaged; nothing is replaced by something\nthat is not proven. Stop the server first."
    )]
    Repair(upkeep::RepairArgs),
    /// Copy what is new into a backup, also beside a running server
    #[command(
        after_help = "Example: docket backup /mnt/backup\n         docket backup /mnt/backup --verify\n\nA volume that takes nothing more is copied once. An interrupted backup is the one before; run it again."
    )]
    Backup(upkeep::BackupArgs),
    /// Make the data directory of a backup
    #[command(
        after_help = "Example: docket restore /mnt/backup --data ./docket-data\n\nThe data directory must be new or empty. The backup is checked while it is copied; nothing is left when it is damaged."
    )]
    Restore(upkeep::RestoreArgs),
    /// Build all views from the log anew and compare them with the snapshot's
    #[command(after_help = "Example: docket rebuild --json")]
    Rebuild,
    /// Make, list and take back access tokens
    #[command(subcommand, after_help = "Example: docket token create --role administrator --label \"my laptop\"")]
    Token(token::TokenCommand),
    /// Print the GraphQL schema
    #[command(after_help = "Example: docket schema > schema.graphql")]
    Schema,
}

/// Runs the command line.
pub fn main() -> ExitCode {
    docket_store::log_panics_of_sled();
    let cli = Cli::parse();
    let global = &cli.global;
    let done = match cli.command {
        Command::Serve(args) => serve::serve(global, &args),
        Command::Apply(args) => desk::apply(global, &args),
        Command::Desk => desk::print(global),
        Command::Reapply(args) => desk::reapply(global, &args),
        Command::Access(args) => access::access(global, &args),
        Command::Explain(args) => sla::explain(global, &args),
        Command::WhatIf(args) => sla::what_if(global, &args),
        Command::Import(args) => import::import(global, &args),
        Command::Replay(args) => history::replay(global, &args),
        Command::Report(args) => history::report(global, &args),
        Command::Verify(args) => upkeep::verify(global, &args),
        Command::Repair(args) => upkeep::repair(global, &args),
        Command::Backup(args) => upkeep::backup(global, &args),
        Command::Restore(args) => upkeep::restore(global, &args),
        Command::Rebuild => history::rebuild(global),
        Command::Token(command) => token::run(global, &command),
        Command::Schema => print_raw(crate::graphql::sdl().trim_end()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let mut line = crate::engine::chain(error.as_ref());
            if is_damage(&error) {
                line.push_str(
                    ". Nothing was changed: `docket verify` names every bad place, `docket repair --dry-run` says what can be mended",
                );
            }
            let _ = writeln!(std::io::stderr(), "docket: {}", plain::lines(&line));
            ExitCode::FAILURE
        }
    }
}

/// The log is not as it was written.
fn is_damage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let read = cause.downcast_ref::<ReadError>().or(match cause.downcast_ref::<OpenError>() {
            Some(OpenError::Read(error)) => Some(error),
            Some(OpenError::DataDir(_) | OpenError::Write { .. }) | None => None,
        });
        matches!(read, Some(ReadError::Corrupt { .. }))
    })
}

/// `docket replay | head` ends the reader first; that is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// A line on standard output, for people.
fn print(text: impl std::fmt::Display) -> anyhow::Result<()> {
    print_raw(plain::lines(&text.to_string()))
}

/// The same for programs: as it is.
fn print_raw(text: impl std::fmt::Display) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(())
}

fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print_raw(serde_json::to_string_pretty(value)?)
}

/// An instant given on the command line.
fn instant(text: &str) -> Result<docket_core::time::Timestamp, String> {
    docket_core::time::Timestamp::parse(text).map_err(|error| error.to_string())
}
