//! Somebody moves the files of a log while it is written, or comes in beside it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use docket_tests::{
    figure, rounds, seed,
    victim::{Acknowledged, Outcome},
};
use fastrand::Rng;

use crate::{check, load, victim};

const VOLUME: (&str, u64) = ("volume", 256 * 1024);

/// A load that is going on.
struct Loading {
    child: Child,
    /// All that it says; the second number counts the lines so far.
    reader: JoinHandle<String>,
    lines: &'static AtomicUsize,
}

impl Loading {
    fn begin(root: &Path, seed: u64, first: u64) -> Self {
        let mut child = victim("load", root, seed, &[("first", first), VOLUME]).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let lines: &'static AtomicUsize = Box::leak(Box::default());
        let reader = std::thread::spawn(move || {
            out.lines().fold(String::new(), |mut text, line| {
                lines.fetch_add(1, Ordering::Relaxed);
                text.push_str(&line.unwrap());
                text.push('\n');
                text
            })
        });
        Self { child, reader, lines }
    }

    /// Waits until so many more lines were said.
    fn more(&self, lines: usize) {
        let (until, enough) = (Instant::now() + Duration::from_secs(60), self.lines.load(Ordering::Relaxed) + lines);
        while self.lines.load(Ordering::Relaxed) < enough {
            assert!(Instant::now() < until, "the load says nothing");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Holds it in the middle of whatever it does: it would end once it sees that its lock is gone.
    fn hold(&self) {
        let held = Command::new("kill").args(["-STOP", &self.child.id().to_string()]).status().unwrap();
        assert!(held.success());
    }

    /// Kills it, when it has not ended by itself; what it said.
    fn end(mut self) -> String {
        let _ = self.child.kill();
        self.child.wait().unwrap();
        self.reader.join().unwrap()
    }

    /// Waits until it has ended by itself; what it said.
    fn ended(mut self) -> String {
        let until = Instant::now() + Duration::from_secs(60);
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "the load goes on");
            std::thread::sleep(Duration::from_millis(1));
        }
        self.reader.join().unwrap()
    }
}

fn newest_journal(data: &Path) -> PathBuf {
    let mut volumes: Vec<_> = fs::read_dir(data.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    volumes.sort();
    volumes.pop().unwrap().join("journal")
}

/// A copy of a directory that somebody writes to; its files are the same ones, under further names, when they are linked.
fn copy(from: &Path, to: &Path, linked: bool) {
    // What vanishes meanwhile was temporary.
    let Ok(entries) = fs::read_dir(from) else { return };
    // A thread of sled may have made it anew.
    fs::create_dir_all(to).unwrap();
    for entry in entries.map_while(Result::ok) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => copy(&path, &target, linked),
            Ok(_) if linked => _ = fs::hard_link(path, target),
            Ok(_) => _ = fs::copy(path, target),
            Err(_) => {}
        }
    }
}

/// Moves a directory back. A thread of sled that was at work may have made its own directories anew where they were; a
/// journal, a seal or a mark may nobody have made there.
fn put_back(from: &Path, to: &Path) {
    fn holds_only_sleds(dir: &Path) -> bool {
        let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
        entries.into_iter().all(|entry| {
            let is_dir = entry.file_type().unwrap().is_dir();
            is_dir && (entry.file_name() == "sled" || holds_only_sleds(&entry.path()))
        })
    }
    if to.exists() {
        assert!(holds_only_sleds(to), "something was made in {}", to.display());
        fs::remove_dir_all(to).unwrap();
    }
    fs::rename(from, to).unwrap();
}

/// What is done, and how it is undone afterwards.
type Move = (&'static str, fn(&Path), fn(&Path));

const MOVES: [Move; 6] = [
    ("the lock is removed", |data| fs::remove_file(data.join("lock")).unwrap(), |_| {}),
    (
        "the lock is made anew",
        |data| {
            fs::write(data.join("other"), "1").unwrap();
            fs::rename(data.join("other"), data.join("lock")).unwrap();
        },
        |_| {},
    ),
    (
        "the journal is moved",
        // A volume in the making has none yet.
        |data| while fs::rename(newest_journal(data), data.with_extension("journal")).is_err() {},
        |data| fs::rename(data.with_extension("journal"), newest_journal(data)).unwrap(),
    ),
    (
        "the log is moved",
        |data| fs::rename(data.join("log"), data.with_extension("log")).unwrap(),
        |data| put_back(&data.with_extension("log"), &data.join("log")),
    ),
    (
        "the directory is moved",
        |data| fs::rename(data, data.with_extension("old")).unwrap(),
        |data| put_back(&data.with_extension("old"), data),
    ),
    (
        "a copy takes the place of the directory",
        |data| {
            fs::rename(data, data.with_extension("old")).unwrap();
            copy(&data.with_extension("old"), data, false);
        },
        |data| {
            fs::remove_dir_all(data).unwrap();
            fs::rename(data.with_extension("old"), data).unwrap();
        },
    ),
];

#[test]
fn a_log_whose_files_are_moved_under_load_stops_and_nothing_acknowledged_is_lost() {
    let (seed, rounds) = (seed(), rounds(6, 120));
    let mut rng = Rng::with_seed(seed);
    let mut commits = 0;
    for round in 0..rounds {
        let (what, fault, undo) = MOVES[round % MOVES.len()];
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        let loading = Loading::begin(root.path(), seed, 0);
        loading.more(rng.usize(2..600));
        fault(&data);
        let said = loading.ended();
        // Whoever reads may meet it before whoever writes.
        assert!(said.lines().last().unwrap().starts_with("END "), "{what}: {said}");
        undo(&data);
        let mut acknowledged = Acknowledged::default();
        acknowledged.read(&said);
        let outcome = check(root.path(), seed, &acknowledged, &[VOLUME, ("write", u64::MAX / 2)]);
        assert!(matches!(outcome, Outcome::Ok(_)), "seed {seed}, round {round}, {what}: {outcome:?}");
        commits += acknowledged.commits.len();
    }
    figure(format!("seed {seed}: files moved {rounds} times under load, {commits} commits acknowledged, 0 lost"));
}

#[test]
fn a_journal_that_is_moved_away_for_ever_is_refused_and_repair_says_what_it_cannot_know() {
    let (seed, rounds) = (seed(), rounds(2, 40));
    let mut rng = Rng::with_seed(seed);
    let (mut done, mut unborn) = (0, 0);
    while done < rounds {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        let loading = Loading::begin(root.path(), seed, 0);
        loading.more(rng.usize(2..600));
        if fs::rename(newest_journal(&data), root.path().join("elsewhere")).is_err() {
            // A volume in the making.
            loading.end();
            continue;
        }
        let mut acknowledged = Acknowledged::default();
        acknowledged.read(&loading.end());
        // Of a volume that had nothing else yet nothing is lost: it is made again.
        let nothing_else = fs::read_dir(newest_journal(&data).parent().unwrap()).unwrap().next().is_none();
        let outcome = check(root.path(), seed, &acknowledged, &[VOLUME]);
        if nothing_else {
            assert!(matches!(outcome, Outcome::Ok(_)), "seed {seed}, round {done}: {outcome:?}");
            unborn += 1;
            continue;
        }
        assert!(matches!(outcome, Outcome::Refused(_)), "seed {seed}, round {done}: {outcome:?}");
        done += 1;
        let (opened, _) = docket_store::open_for_repair(&data, false).unwrap();
        let repaired =
            docket_store::repair(&opened, &opened.lock().unwrap(), &docket_store::RepairOptions::default()).unwrap();
        assert!(!repaired.remaining.is_empty(), "seed {seed}, round {done}: it says that all is well: {repaired:?}");
        fs::rename(root.path().join("elsewhere"), newest_journal(&data)).unwrap();
        let outcome = check(root.path(), seed, &acknowledged, &[VOLUME, ("write", u64::MAX / 2)]);
        assert!(matches!(outcome, Outcome::Ok(_)), "seed {seed}, round {done}: {outcome:?}");
    }
    figure(format!(
        "seed {seed}: {done} journals moved away: all refused, said to be unknown, and whole once back ({unborn} had held nothing)"
    ));
}

#[test]
fn whoever_comes_to_a_log_under_load_by_another_name_is_refused_and_loses_nothing() {
    let (seed, rounds) = (seed(), rounds(2, 40));
    let mut rng = Rng::with_seed(seed);
    let (mut refused, mut commits) = (0, 0);
    for round in 0..rounds {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        let loading = Loading::begin(root.path(), seed, 0);
        loading.more(rng.usize(2..600));
        // A root of its own for each name: the victim looks for `data` in it.
        let names = ["link", "linked", "itself"].map(|name| {
            let other = root.path().join(name);
            fs::create_dir(&other).unwrap();
            other
        });
        std::os::unix::fs::symlink(&data, names[0].join("data")).unwrap();
        copy(&data, &names[1].join("data"), true);
        std::os::unix::fs::symlink(&data, names[2].join("data")).unwrap();
        if round % 2 == 1 {
            // Each of them would make a lock of its own.
            loading.hold();
            fs::remove_file(names[1].join("data/lock")).unwrap();
            fs::remove_file(data.join("lock")).unwrap();
        }
        for name in &names {
            let intruder = victim("check", name, seed, &[VOLUME, ("write", u64::MAX / 2)]).output().unwrap();
            let said = String::from_utf8(intruder.stderr).unwrap();
            assert!(intruder.status.code() == Some(3) && said.contains("in use by"), "{}: {said}", name.display());
            refused += 1;
        }
        let mut acknowledged = Acknowledged::default();
        acknowledged.read(&loading.end());
        let outcome = check(root.path(), seed, &acknowledged, &[VOLUME, ("write", u64::MAX / 2)]);
        assert!(matches!(outcome, Outcome::Ok(_)), "seed {seed}, round {round}: {outcome:?}");
        commits += acknowledged.commits.len();
    }
    figure(format!("seed {seed}: {refused} others refused, {commits} commits acknowledged, 0 lost"));
}

#[test]
fn a_bind_mount_of_a_log_under_load_is_the_same_directory() {
    let root = tempfile::tempdir().unwrap();
    let (data, other) = (root.path().join("data"), root.path().join("other"));
    let seed = seed();
    load(root.path(), seed, &[("appends", 20), VOLUME]);
    fs::create_dir_all(other.join("data")).unwrap();
    let mount = |arguments: &[&Path]| Command::new("mount").arg("--bind").args(arguments).output();
    match mount(&[&data, &other.join("data")]) {
        Ok(output) if output.status.success() => {}
        unable => return figure(format!("skipped: no right to mount here ({unable:?})")),
    }
    let loading = Loading::begin(root.path(), seed, 1_000);
    loading.more(20);
    loading.hold();
    fs::remove_file(data.join("lock")).unwrap();
    let intruder = victim("check", &other, seed, &[VOLUME]).output().unwrap();
    let mut acknowledged = Acknowledged::default();
    acknowledged.read(&loading.end());
    let unmounted = Command::new("umount").arg(other.join("data")).status().unwrap();
    assert!(unmounted.success());
    let said = String::from_utf8(intruder.stderr).unwrap();
    assert!(intruder.status.code() == Some(3) && said.contains("in use by"), "{said}");
    let outcome = check(root.path(), seed, &acknowledged, &[VOLUME]);
    assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
}
