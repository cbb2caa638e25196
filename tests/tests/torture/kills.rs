//! The process is killed at any moment.

use std::{
    io::Read,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use docket_tests::{
    figure, rounds, seed,
    victim::{Acknowledged, Outcome},
};
use fastrand::Rng;

use crate::{check, victim};

/// Kills on one log before a new one is begun: each check reads all of it.
const ON_ONE_LOG: usize = 20;

#[test]
fn whatever_was_acknowledged_before_a_kill_is_there_after_it() {
    let (seed, kills) = (seed(), rounds(8, 500));
    let mut rng = Rng::with_seed(seed);
    let (mut commits, mut done) = (0, 0);
    while done < kills {
        let root = tempfile::tempdir().unwrap();
        let mut acknowledged = Acknowledged::default();
        for round in 0..ON_ONE_LOG.min(kills - done) {
            let more = [("first", round as u64 * 10_000_000), ("extras", 1), ("volume", 256 * 1024)];
            let mut child = victim("load", root.path(), seed, &more).stdout(Stdio::piped()).spawn().unwrap();
            let mut out = child.stdout.take().unwrap();
            let reader = std::thread::spawn(move || {
                let mut text = String::new();
                out.read_to_string(&mut text).unwrap();
                text
            });
            // Any moment from before the log is open to well into the load.
            std::thread::sleep(Duration::from_millis(rng.u64(1..150)));
            let killed = Command::new("kill").args(["-KILL", &child.id().to_string()]).status().unwrap();
            assert!(killed.success() && !child.wait().unwrap().success(), "it ended before it was killed");
            acknowledged.read(&reader.join().unwrap());
            done += 1;
            if round % 4 == 3 || done == kills {
                let outcome = check(root.path(), seed, &acknowledged, &[("write", u64::MAX / 2 + round as u64)]);
                assert!(matches!(outcome, Outcome::Ok(_) | Outcome::Empty), "{outcome:?}");
            }
        }
        let outcome = check(root.path(), seed, &acknowledged, &[]);
        assert!(matches!(outcome, Outcome::Ok(_) | Outcome::Empty), "{outcome:?}");
        commits += acknowledged.commits.len();
    }
    figure(format!("seed {seed}: {done} kills, {commits} commits acknowledged, 0 lost"));
}

/// Volumes that are full and have no seal: their sealing was interrupted.
fn unsealed(data: &Path) -> usize {
    let Ok(volumes) = std::fs::read_dir(data.join("log")) else { return 0 };
    let unsealed = volumes.map(|entry| entry.unwrap().path()).filter(|volume| !volume.join("seal").exists()).count();
    unsealed.saturating_sub(1)
}

#[test]
fn a_start_after_a_kill_during_sealing_takes_writes_on_a_busy_machine_too() {
    // Volumes that are full after a few commits: one is always being sealed.
    const VOLUME: (&str, u64) = ("volume", 24 * 1024);
    let (seed, wanted) = (seed(), rounds(6, 300));
    let mut rng = Rng::with_seed(seed);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        // Whatever comes of it, the busy ones end.
        let _stopping = Stopping(&stop);
        let (mut during, mut kills, mut commits) = (0, 0, 0);
        while during < wanted {
            let root = tempfile::tempdir().unwrap();
            let mut child = victim("load", root.path(), seed, &[VOLUME]).stdout(Stdio::piped()).spawn().unwrap();
            let mut out = child.stdout.take().unwrap();
            let reader = std::thread::spawn(move || {
                let mut text = String::new();
                out.read_to_string(&mut text).unwrap();
                text
            });
            std::thread::sleep(Duration::from_millis(rng.u64(40..400)));
            child.kill().unwrap();
            child.wait().unwrap();
            let mut acknowledged = Acknowledged::default();
            acknowledged.read(&reader.join().unwrap());
            kills += 1;
            let interrupted = unsealed(&root.path().join("data"));
            let outcome = check(root.path(), seed, &acknowledged, &[VOLUME, ("write", u64::MAX / 2)]);
            assert!(matches!(outcome, Outcome::Ok(_) | Outcome::Empty), "{interrupted} unsealed: {outcome:?}");
            assert_eq!(unsealed(&root.path().join("data")), 0);
            during += usize::from(interrupted > 0);
            commits += acknowledged.commits.len();
        }
        figure(format!(
            "seed {seed}: {during} starts after kills during sealing ({kills} kills) beside two busy loops: all take writes, \
             {commits} commits acknowledged, 0 lost"
        ));
    });
}

struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
