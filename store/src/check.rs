//! What verification finds, and the walk over one journal that verification, repair, backup and restore share.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

use docket_core::{
    event::{Actor, CauseKind, Commit, Event},
    ids::{Position, StreamId},
    personal::Body,
};
use serde::{Deserialize, Serialize};

use crate::{
    codec::{Block, BlockHash, IndexedCommit},
    index::Index,
    log::ReadError,
    volume::{BlockWalk, VolumePath, read_journal},
};

/// A part of a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A volume's journal: the truth.
    Journal,
    /// A volume's sled database: the second copy.
    Database,
    /// A volume's seal.
    Seal,
    /// A stored text.
    Content,
    /// What this user may do with a file or a directory.
    Rights,
}

/// What can be done about something that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// The other copy may have it: `docket repair` looks.
    Repair,
    /// Only a backup can have it.
    Backup,
    /// Nothing is wrong with it: the program that wrote it reads it.
    NewerDocket,
    /// Journal and database say the same along the chain, so neither can heal the other: it was written so, by a program with
    /// a fault or by somebody who forged it. What is right stands only in a backup that was made before, as a whole.
    Restore,
    /// The bytes may be sound: this user is not allowed to use them. The problem says what to do.
    Rights,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub part: Part,
    /// Number of the volume.
    pub volume: Option<u64>,
    /// The position that it is about, where it is about one.
    pub position: Option<Position>,
    /// What was found, and what should be there.
    pub problem: String,
    /// What can be done.
    pub remedy: Remedy,
}

impl Finding {
    pub(crate) fn journal(volume: u64, error: &ReadError) -> Self {
        Self::unreadable(Part::Journal, volume, error)
    }

    pub(crate) fn unreadable(part: Part, volume: u64, error: &ReadError) -> Self {
        let (remedy, part) = match error {
            error if error.is_newer() => (Remedy::NewerDocket, part),
            error if error.is_forbidden() => (Remedy::Rights, Part::Rights),
            _ => (Remedy::Repair, part),
        };
        Self { remedy, position: error.place().1, ..Self::of(part, volume, error.to_string()) }
    }

    /// What stands in journal and database alike and is wrong all the same.
    fn written_so(volume: u64, position: Position, reason: String) -> Self {
        let error = ReadError::Corrupt { volume, position, reason };
        let position = Some(position).filter(|position| !position.is_start());
        Self { remedy: Remedy::Restore, position, ..Self::of(Part::Journal, volume, error.to_string()) }
    }

    pub(crate) fn of(part: Part, volume: u64, problem: impl Into<String>) -> Self {
        Self { part, volume: Some(volume), position: None, problem: problem.into(), remedy: Remedy::Repair }
    }
}

/// Keeps a long reading under a speed, so that a server beside it does not suffer.
#[derive(Debug)]
pub struct Throttle {
    bytes_per_second: Option<u64>,
    since: Instant,
    read: u64,
}

impl Throttle {
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second, since: Instant::now(), read: 0 }
    }

    /// Told of what was read; sleeps when that was too fast.
    pub fn read(&mut self, bytes: u64) {
        self.read += bytes;
        let Some(rate) = self.bytes_per_second else { return };
        let due = Duration::from_secs_f64(self.read as f64 / rate.max(1) as f64);
        let ahead = due.saturating_sub(self.since.elapsed());
        // Shorter pauses are made up for later.
        if ahead > Duration::from_millis(5) {
            std::thread::sleep(ahead);
        }
    }
}

/// What a newer program wrote and this one does not know, by name, with how often it stands there. It is sound, and read past.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unknown {
    /// Events of unknown types, and those of known types with an unknown payload: `Type@version`.
    pub events: BTreeMap<String, u64>,
    /// Commits of streams of unknown kinds.
    pub streams: BTreeMap<String, u64>,
    /// Commits by actors of unknown kinds.
    pub actors: BTreeMap<String, u64>,
    /// Commits of unknown causes.
    pub causes: BTreeMap<String, u64>,
}

impl Unknown {
    fn count(&mut self, commit: &Commit) {
        let add = |names: &mut BTreeMap<String, u64>, name: String| *names.entry(name).or_default() += 1;
        if let StreamId::Unknown(stream) = commit.stream {
            add(&mut self.streams, stream.kind().to_owned());
        }
        if let Actor::Unknown(kind) = &commit.actor {
            add(&mut self.actors, kind.clone());
        }
        if let CauseKind::Unknown(kind) = commit.cause.kind {
            add(&mut self.causes, kind.as_str().to_owned());
        }
        for dated in &commit.events {
            if let Event::Unknown { type_name, version } = &dated.event {
                add(&mut self.events, format!("{type_name}@{version}"));
            }
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        let Self { events, streams, actors, causes } = other;
        for (all, more) in [
            (&mut self.events, events),
            (&mut self.streams, streams),
            (&mut self.actors, actors),
            (&mut self.causes, causes),
        ] {
            more.into_iter().for_each(|(name, count)| *all.entry(name).or_default() += count);
        }
    }

    /// Each name with what it is the name of, and how often it was met.
    pub fn names(&self) -> impl Iterator<Item = (&'static str, &str, u64)> {
        let parts =
            [("event", &self.events), ("stream", &self.streams), ("actor", &self.actors), ("cause", &self.causes)];
        parts.into_iter().flat_map(|(what, names)| names.iter().map(move |(name, count)| (what, name.as_str(), *count)))
    }
}

/// What a walk over a volume's journal gives.
#[derive(Debug)]
pub struct Walked {
    pub index: Index,
    pub walk: BlockWalk,
    pub commits: u64,
    pub events: u64,
    pub unknown: Unknown,
    /// Names of stored texts that its events speak of.
    pub texts: BTreeSet<String>,
}

/// What the volumes up to here say of streams and commit ids: every further commit is held against it, as readers rely on it. A
/// stream is read backwards along `previous`, and an id leads to one commit.
///
/// In memory: 16 bytes a commit (twice that while the list grows) and about 40 bytes a stream.
#[derive(Debug, Default)]
pub struct History {
    latest: HashMap<StreamId, Position>,
    ids: Vec<u128>,
    reached: Position,
    /// Runs of positions that could not be read, first and last: what stands there may be what a later commit names.
    gaps: Vec<(Position, Position)>,
    wrong: Vec<Finding>,
    /// Further wrong links, which are only counted.
    more: u64,
}

impl History {
    /// Wrong links that are told one by one.
    const TOLD: usize = 20;

    /// Holds the next commit against those before. Commits come in order; what is left out is taken for unreadable.
    pub fn add(&mut self, volume: u64, commit: IndexedCommit) {
        let IndexedCommit { position, previous, id, stream } = commit;
        if position > self.reached.next() {
            self.gaps.push((self.reached.next(), Position::new(position.get() - 1)));
        }
        self.reached = position;
        self.ids.push(u128::from_be_bytes(id.ulid().to_bytes()));
        let latest = self.latest.insert(stream, position).unwrap_or_default();
        let unread =
            |named: Position| named > latest && self.gaps.iter().any(|(first, last)| (*first..=*last).contains(&named));
        // Behind a gap nobody can say that a stream had nothing in it; that it had something is said by the commit.
        if previous == latest || unread(previous) {
            return;
        }
        if self.wrong.len() >= Self::TOLD {
            self.more += 1;
            return;
        }
        let named = match previous {
            named if named == position => "itself".to_owned(),
            named if named.is_start() => "none".to_owned(),
            named if named > position => format!("position {named}, which comes after it,"),
            named => format!("position {named}"),
        };
        let right = if latest.is_start() { "there is none".to_owned() } else { format!("that is position {latest}") };
        let reason = format!("the commit of {stream} names {named} as the one before it in its stream, and {right}");
        self.wrong.push(Finding::written_so(volume, position, reason));
    }

    /// Adds the commits of a volume's journal, and does nothing else with it; where it ends.
    pub fn add_volume(
        &mut self,
        path: &VolumePath,
        throttle: &mut Throttle,
        progress: &mut dyn FnMut(Position),
    ) -> Result<(Position, BlockHash), ReadError> {
        let mut walk = BlockWalk::open(path)?;
        while let Some(block) = walk.next_block()? {
            throttle.read(block.payload.len() as u64);
            let commits = IndexedCommit::of_block(&block.payload)
                .map_err(|why| why.at(path.number, block.first, &path.journal()))?;
            commits.into_iter().for_each(|commit| self.add(path.number, commit));
            progress(block.last);
        }
        Ok(walk.reached())
    }

    /// The wrong links that were met since the last time.
    pub fn wrong_links(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.wrong)
    }

    /// Ends it: what remains to be told of links, and the ids that more than one commit has, each with its places. The journals
    /// are read once more for those, which a sound log never needs.
    pub fn end(mut self, volumes: &[VolumePath], throttle: &mut Throttle) -> Result<Vec<Finding>, ReadError> {
        let mut findings = self.wrong_links();
        if self.more > 0 {
            let reason = format!("{} further commits name another one as the one before in their stream", self.more);
            findings.push(Finding { volume: None, ..Finding::written_so(0, Position::START, reason) });
        }
        self.ids.sort_unstable();
        let repeated: HashSet<u128> =
            self.ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        if repeated.is_empty() {
            return Ok(findings);
        }
        drop(self.ids);
        let mut first_of: HashMap<u128, (u64, Position)> = HashMap::new();
        let mut told = 0;
        for path in volumes {
            let mut walk = match BlockWalk::open(path) {
                Ok(walk) => walk,
                // That was told where it was checked; so was what ends a walk early.
                Err(_) => continue,
            };
            while let Ok(Some(block)) = walk.next_block() {
                throttle.read(block.payload.len() as u64);
                let Ok(commits) = IndexedCommit::of_block(&block.payload) else { break };
                for commit in commits {
                    let id = u128::from_be_bytes(commit.id.ulid().to_bytes());
                    if !repeated.contains(&id) {
                        continue;
                    }
                    match first_of.get(&id) {
                        None => _ = first_of.insert(id, (path.number, commit.position)),
                        Some((volume, position)) if told < Self::TOLD => {
                            told += 1;
                            let reason = format!(
                                "the commit has the id {}, which is that of the commit at position {position} in volume \
                                 {volume} already: every commit has one of its own",
                                commit.id
                            );
                            findings.push(Finding::written_so(path.number, commit.position, reason));
                        }
                        Some(_) => told += 1,
                    }
                }
            }
        }
        if told > Self::TOLD {
            let reason = format!("{} further commits have the id of another one", told - Self::TOLD);
            findings.push(Finding { volume: None, ..Finding::written_so(0, Position::START, reason) });
        }
        Ok(findings)
    }
}

/// Reads and checks every block of a volume's journal.
pub fn walk_volume(
    path: &VolumePath,
    throttle: &mut Throttle,
    progress: &mut dyn FnMut(Position),
    mut history: Option<&mut History>,
) -> Result<Walked, ReadError> {
    let (mut commits, mut events, mut unknown, mut texts) = (0, 0, Unknown::default(), BTreeSet::new());
    let (index, walk) = read_journal(path, |raw| {
        throttle.read(raw.payload.len() as u64);
        let block = Block::decode(&raw.payload).map_err(|why| why.at(path.number, raw.first, &path.journal()))?;
        commits += block.commits.len() as u64;
        for commit in &block.commits {
            if let Some(history) = history.as_deref_mut() {
                history.add(path.number, IndexedCommit::of(commit));
            }
            events += commit.events.len() as u64;
            unknown.count(commit);
            texts.extend(stored_texts(commit).map(str::to_owned));
        }
        progress(block.last());
        Ok(())
    })?;
    Ok(Walked { index, walk, commits, events, unknown, texts })
}

/// Names of the stored texts that a commit's events speak of.
pub fn stored_texts(commit: &Commit) -> impl Iterator<Item = &str> {
    commit.events.iter().filter_map(|dated| {
        let body = match &dated.event {
            Event::Ticket(event) => event.body(),
            Event::Customer(_) | Event::Desk(_) | Event::Access(_) | Event::Request(_) | Event::Unknown { .. } => None,
        };
        match body {
            Some(Body::Stored { sha256, .. }) => Some(sha256.as_str()),
            Some(Body::Inline(_)) | None => None,
        }
    })
}
