//! Starting the victim and reading what it says.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

/// The victim with a subcommand.
pub fn command(binary: &str, subcommand: &str, root: &Path, seed: u64) -> Command {
    let mut command = Command::new(binary);
    command.arg(subcommand).arg(root).arg(seed.to_string()).stdin(Stdio::null()).env_remove("RUST_BACKTRACE");
    command
}

/// What was acknowledged.
#[derive(Debug, Clone, Default)]
pub struct Acknowledged {
    /// Number and position of commits.
    pub commits: HashMap<u64, u64>,
    /// Names of texts.
    pub texts: HashSet<String>,
    /// Position of the latest backup.
    pub backup: u64,
}

impl Acknowledged {
    /// Adds the lines that a loading victim wrote. Panics on what it says of wrong answers.
    pub fn read(&mut self, output: &str) {
        for line in output.lines() {
            let mut words = line.split(' ');
            match (words.next(), words.next(), words.next()) {
                (Some("A"), Some(n), Some(position)) => {
                    self.commits.insert(n.parse().unwrap(), position.parse().unwrap());
                }
                (Some("T"), Some(name), None) => _ = self.texts.insert(name.to_owned()),
                (Some("B"), Some(position), None) => self.backup = position.parse().unwrap(),
                (Some("END"), Some("WRONG"), _) => panic!("{line}"),
                _ => {}
            }
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All is well; the head's position.
    Ok(u64),
    /// No desk is there.
    Empty,
    /// It was refused, with this message.
    Refused(String),
}

/// Longest that a check may take: a hang is a failure.
const LIMIT: Duration = Duration::from_secs(100);

/// Runs a check and compares what it found with what was acknowledged. Panics when something acknowledged is missing,
/// something wrong was served, or the process panicked or hung.
pub fn check(mut command: Command, acknowledged: &Acknowledged) -> Outcome {
    let output = finish(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let (out, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned());
    let last_error = errors.lines().last().unwrap_or_default().to_owned();
    match output.status.code() {
        Some(0) => {}
        Some(3) => return Outcome::Refused(last_error),
        other => panic!("the check ended with {other:?}: {errors}"),
    }
    if out.lines().any(|line| line == "EMPTY") {
        let Acknowledged { commits, texts, .. } = acknowledged;
        assert!(commits.is_empty() && texts.is_empty(), "everything is gone: {} commits", commits.len());
        return Outcome::Empty;
    }
    let mut found = Acknowledged::default();
    let (mut head, mut backed_up) = (None, 0);
    for line in out.lines() {
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("C"), Some(n), Some(position)) => {
                found.commits.insert(n.parse().unwrap(), position.parse().unwrap());
            }
            (Some("T"), Some(name), None) => _ = found.texts.insert(name.to_owned()),
            (Some("BACKUP"), Some(position), None) => backed_up = position.parse().unwrap(),
            (Some("OK"), Some(position), None) => head = Some(position.parse().unwrap()),
            _ => {}
        }
    }
    for (n, position) in &acknowledged.commits {
        assert_eq!(found.commits.get(n), Some(position), "commit {n} was acknowledged at {position}");
    }
    for name in &acknowledged.texts {
        assert!(found.texts.contains(name), "the text {name} was acknowledged");
    }
    assert!(
        backed_up >= acknowledged.backup,
        "a backup of {} was acknowledged, {backed_up} is there",
        acknowledged.backup
    );
    Outcome::Ok(head.expect("a check that ends well says OK"))
}

/// Runs a command to its end, at most for the limit.
pub fn finish(command: &mut Command) -> Output {
    let child = command.spawn().unwrap();
    let (id, begun) = (child.id(), Instant::now());
    let (done, ended) = std::sync::mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        if ended.recv_timeout(LIMIT) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(done);
    guard.join().unwrap();
    assert!(begun.elapsed() < LIMIT, "the victim hung: {}", String::from_utf8_lossy(&output.stderr));
    output
}
