//! The N-th call to the disk fails.

use std::path::Path;

use docket_tests::{
    disk::{Disk, Leaves, Trace},
    figure, rounds, seed,
    shim::Faults,
    victim::{Acknowledged, Outcome},
};
use fastrand::Rng;

use crate::{check, library, traced, victim};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
/// Small volumes, so that sealing, snapshots and backups are among the calls.
const VOLUME: (&str, u64) = ("volume", 24 * 1024);

/// Runs a load whose N-th call fails; the trace, and what was acknowledged.
fn load(root: &Path, trace: &Path, seed: u64, fail: (u64, i32, &'static str)) -> (Trace, Acknowledged) {
    let more = [("appends", 120), ("extras", 1), ("writers", 4), VOLUME];
    let faults = Faults { fail: Some(fail), ..Faults::default() };
    let output = traced(victim("load", root, seed, &more), root, trace, &faults).expect("the shim is there");
    // It may refuse to open, or end early; it must not panic.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", String::from_utf8_lossy(&output.stderr));
    let trace = Trace::read(trace);
    let mut acknowledged = Acknowledged::default();
    acknowledged.read(&trace.output(trace.len()));
    (trace, acknowledged)
}

#[test]
fn a_call_that_fails_costs_nothing_that_was_acknowledged() {
    if library().is_none() {
        return;
    }
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    // In the short form only some calls, each form of failure in turn.
    let step = rounds(90, 1);
    let (mut failures, mut stopped, mut commits) = (0, 0, 0);
    for (errno, how) in [(EIO, "once"), (ENOSPC, "short"), (ENOSPC, "full")] {
        let mut call = if step == 1 { 1 } else { rng.usize(1..=step) };
        loop {
            let (root, traces) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let mut disk = Disk::of(root.path());
            let (trace, acknowledged) =
                load(root.path(), &traces.path().join("trace"), seed, (call as u64, errno, how));
            let Some(failed) = trace.failed() else { break };
            let told = |outcome: Outcome, form: &str| {
                assert!(!matches!(outcome, Outcome::Refused(_)), "seed {seed}, {how}, {failed}, {form}: {outcome:?}");
            };
            // A sync that failed may have left nothing of what it was to sync: the power goes too.
            disk.play(&trace, trace.len());
            let left = tempfile::tempdir().unwrap();
            disk.cut(&trace, Leaves::Nothing, &mut rng, left.path());
            told(check(left.path(), seed, &acknowledged, &[VOLUME]), "then a power cut");
            // And the process is simply started again.
            told(check(root.path(), seed, &acknowledged, &[VOLUME, ("write", u64::MAX / 2)]), "then a start");
            failures += 1;
            stopped += usize::from(acknowledged.commits.len() < 60);
            commits += acknowledged.commits.len();
            call += step;
        }
    }
    figure(format!(
        "seed {seed}: {failures} failing calls ({stopped} stopped the load early), {commits} commits acknowledged, 0 lost"
    ));
}
