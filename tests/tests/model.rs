//! Random histories against the simplest log that there can be: a list.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

use std::{collections::HashMap, fs, path::Path, sync::Arc};

use docket_core::{
    event::Commit,
    ids::{CommitId, Position, StreamId},
};
use docket_store::{
    AppendError, DataDir, EventLog, Expected, Follower, Page, SledLog, SledLogOptions,
    contract::{append, stream},
};
use docket_tests::{figure, rounds};
use proptest::{collection::vec, prelude::*};
use tempfile::TempDir;
use ulid::Ulid;

/// What is done to both.
#[derive(Debug, Clone)]
enum Step {
    /// Append to a stream, believing that much: nothing, what is true, something old, that it is new.
    Append { stream: u32, belief: Belief },
    /// Append many at once.
    Many { from: u32, count: u32 },
    /// Send an earlier commit again.
    Again { pick: prop::sample::Index },
    /// Read a stream after a position.
    ReadStream { stream: u32, after: prop::sample::Index },
    /// Read the log after a position.
    ReadAll { after: prop::sample::Index, limit: usize },
    /// Let the follower come as far as it can.
    Follow,
    /// Follow anew from somewhere.
    FollowFrom { after: prop::sample::Index },
    /// Close and open.
    Reopen,
    /// What a kill at this moment leaves is opened instead.
    Crash,
}

#[derive(Debug, Clone, Copy)]
enum Belief {
    Any,
    True,
    Old,
    New,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let belief = prop_oneof![
        3 => Just(Belief::Any),
        3 => Just(Belief::True),
        1 => Just(Belief::Old),
        1 => Just(Belief::New)
    ];
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        8 => (0..6_u32, belief).prop_map(|(stream, belief)| Step::Append { stream, belief }),
        3 => (0..6_u32, 1..60_u32).prop_map(|(from, count)| Step::Many { from, count }),
        2 => index().prop_map(|pick| Step::Again { pick }),
        3 => (0..7_u32, index()).prop_map(|(stream, after)| Step::ReadStream { stream, after }),
        2 => (index(), 0..80_usize).prop_map(|(after, limit)| Step::ReadAll { after, limit }),
        2 => Just(Step::Follow),
        1 => index().prop_map(|after| Step::FollowFrom { after }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ];
    vec(step, 1..60)
}

struct Both {
    dir: TempDir,
    log: Option<Arc<SledLog>>,
    follower: Option<Follower>,
    followed: u64,
    /// The model: the commit at position n is element n - 1.
    list: Vec<(CommitId, StreamId, Position)>,
    latest: HashMap<StreamId, Position>,
    next: u32,
}

fn open(dir: &Path) -> Arc<SledLog> {
    let data = DataDir::open_or_create(&dir.join("data"), Ulid::from_parts(3, 3)).unwrap();
    // A volume is full after some twenty commits.
    let options = SledLogOptions { volume_bytes: 6_000, queue: 8, reserve_bytes: 0 };
    Arc::new(SledLog::open(data, options).unwrap())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else if let Err(error) = fs::copy(entry.path(), target) {
            // sled and sealing may put a file aside while we look.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        }
    }
}

impl Both {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        let (list, latest) = (Vec::new(), HashMap::new());
        let mut both = Self { dir, log: Some(log), follower: None, followed: 0, list, latest, next: 0 };
        both.follow_from(0);
        both
    }

    fn log(&self) -> &Arc<SledLog> {
        self.log.as_ref().unwrap()
    }

    fn head(&self) -> u64 {
        self.list.len() as u64
    }

    fn any_position(&self, index: &prop::sample::Index) -> u64 {
        index.index(self.list.len() + 1) as u64
    }

    fn follow_from(&mut self, after: u64) {
        let log: Arc<dyn EventLog> = Arc::<SledLog>::clone(self.log());
        (self.follower, self.followed) = (Some(Follower::new(log, Position::new(after), Page::SMALL).unwrap()), after);
    }

    fn follow(&mut self) {
        let mut follower = self.follower.take().unwrap();
        while let Some(commits) = follower.ready().unwrap() {
            for commit in commits {
                self.followed += 1;
                self.is(&commit, self.followed);
            }
        }
        assert_eq!(self.followed, self.head());
        self.follower = Some(follower);
    }

    fn is(&self, commit: &Commit, position: u64) {
        let (id, stream, previous) = self.list[position as usize - 1];
        let found = (commit.position, commit.id, commit.stream, commit.previous);
        assert_eq!(found, (Position::new(position), id, stream, previous));
    }

    fn stored(&mut self, id: CommitId, stream: StreamId) -> Position {
        let position = Position::new(self.head() + 1);
        let previous = self.latest.insert(stream, position).unwrap_or_default();
        self.list.push((id, stream, previous));
        position
    }

    fn append(&mut self, n: u32, belief: Belief) {
        let (stream, actual) = (stream(n), self.latest.get(&stream(n)).copied());
        let expected = match (belief, actual) {
            (Belief::Any, _) => Expected::Any,
            (Belief::New, _) | (Belief::True | Belief::Old, None) => Expected::NoStream,
            (Belief::True, Some(actual)) => Expected::At(actual),
            (Belief::Old, Some(actual)) => Expected::At(Position::new(actual.get() + 1)),
        };
        let wins = match expected {
            Expected::Any => true,
            Expected::NoStream => actual.is_none(),
            Expected::At(position) => actual == Some(position),
        };
        self.next += 1;
        let append = append(self.next, stream, expected);
        let id = append.id;
        let answer = self.log().append_all(vec![append]).pop().unwrap();
        if wins {
            assert_eq!(answer, Ok(self.stored(id, stream)));
        } else {
            let actual = actual.unwrap_or_default();
            assert_eq!(answer, Err(AppendError::Conflict { stream, expected, actual }));
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append { stream, belief } => self.append(*stream, *belief),
            Step::Many { from, count } => {
                let appends: Vec<_> =
                    (0..*count).map(|n| append(self.next + n + 1, stream((from + n) % 6), Expected::Any)).collect();
                self.next += count;
                let expected: Vec<_> = appends.iter().map(|a| (a.id, a.stream)).collect();
                let answers = self.log().append_all(appends);
                for ((id, stream), answer) in expected.into_iter().zip(answers) {
                    assert_eq!(answer, Ok(self.stored(id, stream)));
                }
            }
            Step::Again { pick } => {
                if self.list.is_empty() {
                    return;
                }
                let at = pick.index(self.list.len());
                let (id, stream, _) = self.list[at];
                let position = Position::new(at as u64 + 1);
                // Whatever it believes: it is stored.
                let again = docket_store::Append { id, ..append(0, stream, Expected::NoStream) };
                assert_eq!(self.log().append_all(vec![again]), [Ok(position)]);
                assert_eq!(self.log().find(id).unwrap(), Some(position));
            }
            Step::ReadStream { stream: n, after } => {
                let (stream, after) = (stream(*n), self.any_position(after));
                let commits = self.log().read_stream(stream, Position::new(after)).unwrap();
                let expected = (after + 1..=self.head()).filter(|p| self.list[*p as usize - 1].1 == stream);
                assert!(commits.iter().map(|commit| commit.position.get()).eq(expected));
                commits.iter().for_each(|commit| self.is(commit, commit.position.get()));
            }
            Step::ReadAll { after, limit } => {
                let after = self.any_position(after);
                let commits = self.log().read_all(Position::new(after), *limit).unwrap();
                assert_eq!(commits.len() as u64, (self.head() - after).min(*limit as u64));
                for (commit, position) in commits.iter().zip(after + 1..) {
                    self.is(commit, position);
                }
            }
            Step::Follow => self.follow(),
            Step::FollowFrom { after } => {
                let after = self.any_position(after);
                self.follow_from(after);
            }
            Step::Reopen => {
                self.follower = None;
                self.log().close();
                self.log = None;
                self.log = Some(open(self.dir.path()));
                assert_eq!(self.log().report().torn_bytes, 0);
                self.follow_from(self.followed);
            }
            Step::Crash => {
                let left = tempfile::tempdir().unwrap();
                copy(self.dir.path(), left.path());
                self.follower = None;
                self.log = None;
                self.dir = left;
                self.log = Some(open(self.dir.path()));
                self.follow_from(self.followed);
            }
        }
        assert_eq!(self.log().head().position.get(), self.head());
    }
}

#[test]
fn a_log_is_a_list() {
    let cases = rounds(24, 2_000);
    let config = ProptestConfig { cases: cases as u32, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let mut steps_done = 0;
    let done = std::cell::RefCell::new(&mut steps_done);
    let outcome = runner.run(&steps(), |steps| {
        let mut both = Both::new();
        for step in &steps {
            both.step(step);
            **done.borrow_mut() += 1;
        }
        both.follow();
        let all = both.log().scan(Position::START).unwrap().map(Result::unwrap).collect::<Vec<_>>();
        assert_eq!(all.len() as u64, both.head());
        all.iter().for_each(|commit| both.is(commit, commit.position.get()));
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    figure(format!("{cases} random histories, {steps_done} steps, no difference from the model"));
}
