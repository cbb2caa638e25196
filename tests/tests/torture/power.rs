//! The power goes: everything that was not synced may be gone, in any part.

use docket_tests::{
    disk::{Disk, Leaves, Trace},
    figure, rounds, seed,
    shim::Faults,
    victim::{Acknowledged, Outcome},
};
use fastrand::Rng;
use tempfile::TempDir;

use crate::{check, traced, victim};

/// Cuts of one recorded load.
const ON_ONE_LOAD: usize = 12;
/// A volume is full after so many bytes: a load fills several.
const VOLUME: (&str, u64) = ("volume", 100 * 1024);

/// A load that was recorded, from an empty disk on.
struct Recorded {
    seed: u64,
    disk: Disk,
    trace: Trace,
    _root: TempDir,
}

fn record(seed: u64, faults: &Faults) -> Option<Recorded> {
    let (root, traces) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (disk, path) = (Disk::of(root.path()), traces.path().join("trace"));
    let load = victim("load", root.path(), seed, &[("appends", 600), ("extras", 1), VOLUME]);
    let output = traced(load, root.path(), &path, faults)?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(Recorded { seed, disk, trace: Trace::read(&path), _root: root })
}

/// What a cut at a call leaves, in a directory of its own.
fn cut(disk: &mut Disk, trace: &Trace, at: usize, rng: &mut Rng) -> TempDir {
    disk.play(trace, at);
    let left = tempfile::tempdir().unwrap();
    let leaves = if rng.u8(0..4) == 0 { Leaves::Nothing } else { Leaves::Anything };
    disk.cut(trace, leaves, rng, left.path());
    left
}

/// The opening after a cut is itself cut off; what that leaves.
fn cut_again(left: &TempDir, seed: u64, rng: &mut Rng) -> Option<TempDir> {
    let traces = tempfile::tempdir().unwrap();
    let (mut disk, path) = (Disk::of(left.path()), traces.path().join("trace"));
    let opening = victim("check", left.path(), seed, &[VOLUME, ("write", u64::MAX / 2)]);
    let output = traced(opening, left.path(), &path, &Faults::default())?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let trace = Trace::read(&path);
    let at = rng.usize(0..=trace.len());
    Some(cut(&mut disk, &trace, at, rng))
}

#[test]
fn whatever_was_acknowledged_before_a_power_cut_is_there_after_it() {
    let (seed, cuts) = (seed(), rounds(14, 200));
    let mut rng = Rng::with_seed(seed);
    let (mut done, mut in_recovery, mut commits) = (0, 0, 0);
    while done < cuts {
        let Some(mut recorded) = record(rng.u64(..), &Faults::default()) else { return };
        let mut instants: Vec<_> = (0..ON_ONE_LOAD).map(|_| rng.usize(0..=recorded.trace.len())).collect();
        instants.sort_unstable();
        for at in instants {
            let mut left = cut(&mut recorded.disk, &recorded.trace, at, &mut rng);
            let mut acknowledged = Acknowledged::default();
            acknowledged.read(&recorded.trace.output(at));
            done += 1;
            for _ in 0..rng.usize(0..3) {
                left = cut_again(&left, recorded.seed, &mut rng).expect("the shim is there");
                (done, in_recovery) = (done + 1, in_recovery + 1);
            }
            let outcome = check(left.path(), recorded.seed, &acknowledged, &[VOLUME, ("write", u64::MAX / 3)]);
            if let Outcome::Refused(reason) = &outcome {
                panic!(
                    "seed {seed}, cut {done} at call {at} of {}: refused: {reason} ({:?})",
                    recorded.trace.len(),
                    left.keep()
                );
            }
            commits += acknowledged.commits.len();
        }
    }
    figure(format!(
        "seed {seed}: {done} power cuts, {in_recovery} of them in recovery, {commits} commits acknowledged before them, 0 lost"
    ));
}

#[test]
fn a_disk_that_only_says_that_it_synced_is_found_out() {
    // The same test must fail when syncs do nothing: otherwise it would prove nothing.
    let mut rng = Rng::with_seed(seed());
    let Some(mut recorded) = record(rng.u64(..), &Faults { ignore_sync: true, ..Faults::default() }) else { return };
    let end = recorded.trace.len();
    recorded.disk.play(&recorded.trace, end);
    let left = tempfile::tempdir().unwrap();
    recorded.disk.cut(&recorded.trace, Leaves::Nothing, &mut rng, left.path());
    let mut acknowledged = Acknowledged::default();
    acknowledged.read(&recorded.trace.output(end));
    assert!(acknowledged.commits.len() > 100);
    let lost = std::panic::catch_unwind(|| check(left.path(), recorded.seed, &acknowledged, &[VOLUME]));
    assert!(lost.is_err(), "nothing was synced and nothing is lost: {lost:?}");
}
