//! The disk is full. Needs the right to mount a small file system in memory; says so where there is none.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use docket_tests::{
    figure, rounds, seed,
    victim::{Acknowledged, Outcome, finish},
};
use fastrand::Rng;

use crate::{check, victim};

/// A file system in memory.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(kib: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "docket-test"])
            .arg(dir.path())
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(dir));
        }
        figure("skipped: no right to mount a file system here");
        None
    }

    fn resize(&self, kib: u64) {
        let status =
            Command::new("mount").args(["-o", &format!("remount,size={kib}k")]).arg(self.0.path()).status().unwrap();
        assert!(status.success());
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_loses_nothing_and_a_start_after_it_goes_on() {
    let (seed, points) = (seed(), rounds(6, 200));
    let mut rng = Rng::with_seed(seed);
    let (mut commits, mut read_while_full, mut kept_free) = (0, 0, 0);
    for _ in 0..points {
        let kib = rng.u64(1_200..12_000);
        let Some(disk) = Small::mount(kib) else { return };
        let reserve = if rng.bool() { 600 * 1024 } else { 0 };
        let more = [("reserve", reserve), ("extras", rng.u64(0..2)), ("volume", rng.u64(60..600) * 1024)];
        let load = |first: u64, appends: u64| {
            let mut command = victim("load", disk.path(), seed, &more);
            command.arg(format!("first={first}")).arg(format!("appends={appends}"));
            let output = finish(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(matches!(output.status.code(), Some(0 | 3)), "{errors}");
            String::from_utf8(output.stdout).unwrap()
        };
        let mut acknowledged = Acknowledged::default();
        // Until it is full.
        let output = load(0, 100_000);
        assert!(output.lines().last().is_some_and(|line| line.starts_with("END")), "{:?}", output.lines().last());
        kept_free += usize::from(output.contains("kept free"));
        acknowledged.read(&output);
        // A start while it is full: everything can be read, or the start is refused with a word; nothing is lost.
        let mut readable = acknowledged.clone();
        readable.backup = 0;
        match check(disk.path(), seed, &readable, &[more[2]]) {
            Outcome::Ok(_) | Outcome::Empty => read_while_full += 1,
            Outcome::Refused(reason) => assert!(reason.contains("space"), "{reason}"),
        }
        acknowledged.read(&load(1_000_000, 50));
        // There is space again.
        disk.resize(kib + 40_000);
        acknowledged.read(&load(2_000_000, 200));
        let outcome = check(disk.path(), seed, &acknowledged, &[more[2], ("write", u64::MAX / 2)]);
        assert!(matches!(outcome, Outcome::Ok(_)), "seed {seed}: {outcome:?}");
        commits += acknowledged.commits.len();
    }
    figure(format!(
        "seed {seed}: {points} full disks ({kept_free} stopped at the reserve), everything read while full {read_while_full} \
         times, {commits} commits acknowledged, 0 lost"
    ));
}
