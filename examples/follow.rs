//! Follows a desk's log from a position and reacts: here it says to whom a survey would go. It reads the journals, so it
//! needs no lock and runs beside a server; its checkpoint is written after it has reacted, so nothing is left out.
//!
//! Run it with `cargo run -p docket-examples --bin follow -- ./docket-demo checkpoint.txt`, as often as you like.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{fs, path::PathBuf};

use anyhow::Context;
use docket_core::{event::Event, ids::Position, ticket::TicketEvent};
use docket_store::{DataDir, LogScan};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let dir = args.next().context("name the data directory")?;
    let checkpoint = args.next().context("name a file for the checkpoint")?;

    let mut after = match fs::read_to_string(&checkpoint) {
        Ok(text) => Position::new(text.trim().parse().context("the checkpoint is not a position")?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Position::START,
        Err(error) => return Err(error).context("cannot read the checkpoint"),
    };
    let mut reactions = 0;
    for commit in LogScan::new(&DataDir::open(&dir)?, after)? {
        let commit = commit?;
        for event in &commit.events {
            if let Event::Ticket(TicketEvent::Resolved(_)) = &event.event {
                println!("position {}: send a survey about {}", commit.position, commit.stream);
                reactions += 1;
            }
        }
        after = commit.position;
        // At most this commit is seen again after a crash: a reaction must bear being repeated.
        let temporary = checkpoint.with_extension("tmp");
        fs::write(&temporary, after.to_string())?;
        fs::rename(&temporary, &checkpoint)?;
    }
    println!("{reactions} reactions, checkpoint at position {after}");
    Ok(())
}
