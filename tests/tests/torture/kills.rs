//! The process is killed at any moment.

use std::{
    io::Read,
    process::{Command, Stdio},
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
