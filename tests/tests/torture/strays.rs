//! What does not belong into a data directory, or is missing from it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use docket_tests::victim::{Acknowledged, Outcome};
use tempfile::TempDir;

use crate::{check, load, victim};

const VOLUME: (&str, u64) = ("volume", 60 * 1024);

fn desk() -> (TempDir, PathBuf, Acknowledged) {
    let root = tempfile::tempdir().unwrap();
    let acknowledged = load(root.path(), 7, &[("appends", 300), ("extras", 1), VOLUME]);
    let data = root.path().join("data");
    (root, data, acknowledged)
}

fn opens(root: &TempDir, acknowledged: &Acknowledged) {
    let outcome = check(root.path(), 7, acknowledged, &[VOLUME, ("write", u64::MAX / 2)]);
    assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
}

fn refused(root: &TempDir, acknowledged: &Acknowledged, why: &str) {
    let outcome = check(root.path(), 7, acknowledged, &[VOLUME]);
    assert!(matches!(&outcome, Outcome::Refused(reason) if reason.contains(why)), "{outcome:?}");
}

fn newest(data: &Path) -> PathBuf {
    let mut volumes: Vec<_> = fs::read_dir(data.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    volumes.sort();
    volumes.pop().unwrap()
}

#[test]
fn stray_files_are_left_alone() {
    let (root, data, acknowledged) = desk();
    let strays = ["log/notes.txt", "log/00000001/core", "content/readme", "snapshots/old.txt", "thesis.txt"];
    for stray in strays {
        fs::write(data.join(stray), "somebody's").unwrap();
    }
    fs::create_dir(data.join("log/lost+found")).unwrap();
    opens(&root, &acknowledged);
    for stray in strays {
        assert_eq!(fs::read_to_string(data.join(stray)).unwrap(), "somebody's");
    }
}

#[test]
fn half_written_snapshots_and_temporary_files_are_passed_over() {
    let (root, data, acknowledged) = desk();
    let snapshots: Vec<_> = fs::read_dir(data.join("snapshots")).unwrap().map(|entry| entry.unwrap().path()).collect();
    for snapshot in &snapshots {
        let bytes = fs::read(snapshot).unwrap();
        fs::write(snapshot, &bytes[..bytes.len() / 2]).unwrap();
    }
    for temporary in ["docket.json.tmp", "snapshots/00000000000000000009.tmp", "log/00000001/seal.tmp"] {
        fs::write(data.join(temporary), [0; 100]).unwrap();
    }
    opens(&root, &acknowledged);
}

#[test]
fn what_sled_leaves_behind_when_it_is_interrupted_does_not_keep_the_log_from_opening() {
    let (root, data, acknowledged) = desk();
    // Of a clean stop: the database is used again, and sled cannot read this. It is made again from the journal.
    fs::write(newest(&data).join("sled/snap.FFFFFFFFFFFFFFFF.generating"), "half").unwrap();
    opens(&root, &acknowledged);
    for empty in ["conf", "db"] {
        fs::write(newest(&data).join("sled").join(empty), "").unwrap();
        opens(&root, &acknowledged);
    }
}

#[test]
fn empty_files_are_refused_or_made_again() {
    let (root, data, acknowledged) = desk();
    let first = data.join("log/00000001");
    for (file, why) in [("journal", "bytes"), ("seal", "seal")] {
        let bytes = fs::read(first.join(file)).unwrap();
        fs::write(first.join(file), "").unwrap();
        refused(&root, &acknowledged, why);
        fs::write(first.join(file), bytes).unwrap();
    }
    let marker = fs::read(data.join("docket.json")).unwrap();
    fs::write(data.join("docket.json"), "").unwrap();
    refused(&root, &acknowledged, "docket.json");
    fs::write(data.join("docket.json"), marker).unwrap();
    fs::remove_file(newest(&data).join("clean")).unwrap();
    fs::write(newest(&data).join("clean"), "").unwrap();
    opens(&root, &acknowledged);
}

#[test]
fn a_second_process_is_refused_and_a_lock_left_behind_is_none() {
    let (root, data, acknowledged) = desk();
    let more = [("first", 1_000_000), VOLUME];
    let mut first = victim("load", root.path(), 7, &more).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(first.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!(line, "OPEN\n");
    let drain = std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()).unwrap());
    let second = victim("check", root.path(), 7, &[VOLUME]).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(second.status.code() == Some(3) && said.contains(&format!("in use by process {}", first.id())), "{said}");
    first.kill().unwrap();
    first.wait().unwrap();
    drain.join().unwrap();
    // The text of the lock still names the dead one.
    assert!(fs::read_to_string(data.join("lock")).unwrap().parse::<u32>().is_ok());
    opens(&root, &acknowledged);
}

#[test]
fn a_directory_of_another_owner_is_refused_by_name() {
    use std::os::unix::fs::PermissionsExt;
    let (root, _, acknowledged) = desk();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let own = victim("check", root.path(), 7, &[VOLUME]);
    let mut other = Command::new("setpriv");
    other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(own.get_program()).args(own.get_args());
    match other.output() {
        Ok(output) if output.status.code() == Some(3) => {
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains("lock") && said.contains("ermission denied"), "{said}");
        }
        unable => docket_tests::figure(format!("skipped: nobody else to be here ({unable:?})")),
    }
    opens(&root, &acknowledged);
}
