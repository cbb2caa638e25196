//! A backup or a restore is killed at its N-th call to the disk, for every N, and is simply run again.

use std::{fs, os::unix::process::ExitStatusExt, path::Path, process::Stdio};

use docket_store::{DataDir, VerifyOptions, verify};
use docket_tests::{figure, rounds, seed, shim::Faults, victim};

use crate::{library, load, traced, victim as command};

const VOLUME: (&str, u64) = ("volume", 24 * 1024);
const SIGKILL: i32 = 9;

/// Runs a victim that is killed at its N-th call below the root; false once it needs no more calls than that.
fn killed(root: &Path, subcommand: &str, call: usize, how: &'static str) -> bool {
    let faults = Faults { fail: Some((call as u64, 0, how)), ..Faults::default() };
    let trace = tempfile::tempdir().unwrap();
    let output = traced(command(subcommand, root, 7, &[]), root, &trace.path().join("trace"), &faults)
        .expect("the shim is there");
    match (output.status.code(), output.status.signal()) {
        (Some(0), None) => false,
        (None, Some(SIGKILL)) => true,
        ended => panic!("{subcommand} ended with {ended:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// Runs a victim that must come to its end.
fn again(root: &Path, subcommand: &str, after: &str) -> String {
    let mut command = command(subcommand, root, 7, &[]);
    let output = victim::finish(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{after}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Two volumes and some texts.
fn desk() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    load(root.path(), seed(), &[("appends", 100), ("extras", 1), VOLUME]);
    match fs::remove_dir_all(root.path().join("backup")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        Ok(()) | Err(_) => root,
    }
}

#[test]
fn a_first_backup_that_was_killed_at_any_call_is_simply_run_again() {
    if library().is_none() {
        return;
    }
    let root = desk();
    let backup = root.path().join("backup");
    let mut kills = 0;
    for how in ["kill", "torn"] {
        let mut call = 1;
        while killed(root.path(), "backup", call, how) {
            let left = if backup.exists() { names(&backup) } else { Vec::new() };
            again(root.path(), "backup", &format!("{how} at call {call}, which left {left:?}"));
            fs::remove_dir_all(&backup).unwrap();
            (call, kills) = (call + 1, kills + 1);
        }
        assert!(call > 20, "it made only {call} calls");
        fs::remove_dir_all(&backup).unwrap();
    }
    // One kill after the other on what the one before left: it gets on.
    let mut call = 1;
    while killed(root.path(), "backup", call, "kill") {
        (call, kills) = (call + 1, kills + 1);
    }
    again(root.path(), "backup", "many kills on one directory");
    figure(format!("{kills} first backups killed at each of their calls, 0 refused afterwards"));
}

#[test]
fn a_restore_that_was_killed_at_any_call_is_simply_run_again_and_nothing_is_left_of_it() {
    if library().is_none() {
        return;
    }
    let root = desk();
    again(root.path(), "backup", "nothing");
    let place = root.path().join("restored");
    let data = place.join("data");
    let step = rounds(7, 1);
    let (mut call, mut kills, mut removed) = (1, 0, 0);
    while killed(root.path(), "restore", call, if call % 2 == 0 { "kill" } else { "torn" }) {
        let after = format!("killed at call {call}");
        if data.exists() {
            // The last calls are made when it has its name.
            assert_eq!(names(&place), ["data"], "{after}");
        } else {
            removed += again(root.path(), "restore", &after).matches("REMOVED").count();
        }
        assert_eq!(names(&place), ["data"], "{after}");
        let report = verify(&DataDir::open(&data).unwrap(), &VerifyOptions::default(), |_| {}).unwrap();
        assert!(report.ok() && report.leftovers.is_empty(), "{after}: {report:?}");
        fs::remove_dir_all(&place).unwrap();
        (call, kills) = (call + step, kills + 1);
    }
    assert!(removed > 5, "only {removed} leftovers were met");
    figure(format!("{kills} restores killed, {removed} leftovers removed by the next one, 0 left"));
}
