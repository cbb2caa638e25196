//! An acknowledged event is never lost and never altered, whatever happens to process, power, disk space or a byte on disk.
//!
//! Every test runs the victim, does something to it or its disk, and lets a second process look at what is left.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod bits;
mod calls;
mod full_disk;
mod interrupted;
mod kills;
mod moved;
mod power;
mod strays;

use std::{
    path::Path,
    process::{Command, Stdio},
};

use docket_tests::{
    shim::{Faults, shimmed},
    victim::{self, Acknowledged, Outcome},
};

fn victim(subcommand: &str, root: &Path, seed: u64, more: &[(&str, u64)]) -> Command {
    let mut command = victim::command(env!("CARGO_BIN_EXE_docket-victim"), subcommand, root, seed);
    command.args(more.iter().map(|(name, value)| format!("{name}={value}")));
    command
}

/// Runs a load to its end and reads what it acknowledged.
fn load(root: &Path, seed: u64, more: &[(&str, u64)]) -> Acknowledged {
    let output = victim::finish(victim("load", root, seed, more).stdout(Stdio::piped()).stderr(Stdio::piped()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut acknowledged = Acknowledged::default();
    acknowledged.read(&String::from_utf8(output.stdout).unwrap());
    acknowledged
}

fn check(root: &Path, seed: u64, acknowledged: &Acknowledged, more: &[(&str, u64)]) -> Outcome {
    victim::check(victim("check", root, seed, more), acknowledged)
}

fn library() -> Option<&'static Path> {
    docket_tests::shim::library(env!("CARGO_TARGET_TMPDIR"))
}

/// Runs a victim behind the shim, to its end.
fn traced(mut command: Command, root: &Path, trace: &Path, faults: &Faults) -> Option<std::process::Output> {
    shimmed(&mut command, library()?, root, trace, faults);
    Some(victim::finish(command.stdout(Stdio::piped()).stderr(Stdio::piped())))
}
