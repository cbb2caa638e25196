//! What the tests in `tests/` share. The torture tests run a process of their own, the victim (`src/bin/docket-victim.rs`),
//! whose work is in [`workload`]; [`shim`] stands between it and the disk, and [`disk`] builds the disk that a power cut
//! would have left.
//!
//! Every torture test prints its seed and its figure. `DOCKET_TORTURE=long` makes them long; `DOCKET_SEED=N` repeats one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

pub mod disk;
pub mod shim;
pub mod victim;
pub mod workload;

use std::io::Write;

/// The seed of a test: given, or new each time.
pub fn seed() -> u64 {
    match std::env::var("DOCKET_SEED") {
        Ok(text) => text.parse().expect("DOCKET_SEED is a number"),
        Err(_) => fastrand::u64(..),
    }
}

/// How often something is done: seldom in the test run, often when the long form is asked for.
pub fn rounds(short: usize, long: usize) -> usize {
    if std::env::var("DOCKET_TORTURE").is_ok_and(|form| form == "long") { long } else { short }
}

/// Says what a torture test did: also when it passes, and its output is caught.
pub fn figure(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "torture: {line}");
}
