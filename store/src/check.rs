//! What verification finds, and the walk over one journal that verification, repair, backup and restore share.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use docket_core::{
    event::{Commit, Event},
    ids::Position,
    personal::Body,
};
use serde::Serialize;

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
        Self { part: Part::Journal, volume: Some(volume), problem: error.to_string(), remedy: Remedy::Repair }
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

/// What a walk over a volume's journal gives.
#[derive(Debug)]
pub struct Walked {
    pub index: Index,
    pub walk: BlockWalk,
    pub commits: u64,
    pub events: u64,
    pub unknown_events: u64,
    /// Names of stored texts that its events speak of.
    pub texts: BTreeSet<String>,
}

/// Reads and checks every block of a volume's journal.
pub fn walk_volume(
    path: &VolumePath,
    throttle: &mut Throttle,
    progress: &mut dyn FnMut(Position),
) -> Result<Walked, ReadError> {
    let (mut commits, mut events, mut unknown_events, mut texts) = (0, 0, 0, BTreeSet::new());
    let (index, walk) = read_journal(path, |raw| {
        throttle.read(raw.payload.len() as u64);
        let block = Block::decode(&raw.payload).map_err(|reason| ReadError::Corrupt {
            volume: path.number,
            position: raw.first,
            reason,
        })?;
        commits += block.commits.len() as u64;
        for commit in &block.commits {
            events += commit.events.len() as u64;
            unknown_events += commit.events.iter().filter(|e| matches!(e.event, Event::Unknown { .. })).count() as u64;
            texts.extend(stored_texts(commit).map(str::to_owned));
        }
        progress(block.last());
        Ok(())
    })?;
    Ok(Walked { index, walk, commits, events, unknown_events, texts })
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
