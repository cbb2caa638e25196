//! What verification finds, and the walk over one journal that verification, repair, backup and restore share.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use docket_core::{
    event::{Actor, CauseKind, Commit, Event},
    ids::{Position, StreamId},
    personal::Body,
};
use serde::{Deserialize, Serialize};

use crate::{
    codec::Block,
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
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub part: Part,
    /// Number of the volume.
    pub volume: Option<u64>,
    /// What was found.
    pub problem: String,
    /// What can be done.
    pub remedy: Remedy,
}

impl Finding {
    pub(crate) fn journal(volume: u64, error: &ReadError) -> Self {
        Self::unreadable(Part::Journal, volume, error)
    }

    pub(crate) fn unreadable(part: Part, volume: u64, error: &ReadError) -> Self {
        let remedy = if error.is_newer() { Remedy::NewerDocket } else { Remedy::Repair };
        Self { remedy, ..Self::of(part, volume, error.to_string()) }
    }

    pub(crate) fn of(part: Part, volume: u64, problem: impl Into<String>) -> Self {
        Self { part, volume: Some(volume), problem: problem.into(), remedy: Remedy::Repair }
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

/// Reads and checks every block of a volume's journal.
pub fn walk_volume(
    path: &VolumePath,
    throttle: &mut Throttle,
    progress: &mut dyn FnMut(Position),
) -> Result<Walked, ReadError> {
    let (mut commits, mut events, mut unknown, mut texts) = (0, 0, Unknown::default(), BTreeSet::new());
    let (index, walk) = read_journal(path, |raw| {
        throttle.read(raw.payload.len() as u64);
        let block = Block::decode(&raw.payload).map_err(|why| why.at(path.number, raw.first, &path.journal()))?;
        commits += block.commits.len() as u64;
        for commit in &block.commits {
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
