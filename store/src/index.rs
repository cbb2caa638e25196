//! Where the commits of a volume stand: by stream and by commit id.

use std::collections::HashMap;

use docket_core::{
    event::Commit,
    ids::{CommitId, Position, StreamId},
};

/// The index of the open volume. Rebuilt from its journal when it is opened; written into its database when it is sealed.
#[derive(Debug, Default)]
pub struct Index {
    streams: HashMap<StreamId, Vec<Position>>,
    commits: HashMap<CommitId, Position>,
}

impl Index {
    pub fn add(&mut self, commit: &Commit) {
        self.insert(commit.id, commit.stream, commit.position);
    }

    pub fn insert(&mut self, id: CommitId, stream: StreamId, position: Position) {
        self.streams.entry(stream).or_default().push(position);
        self.commits.insert(id, position);
    }

    /// Position of the stream's latest commit in this volume.
    pub fn latest(&self, stream: &StreamId) -> Option<Position> {
        self.streams.get(stream)?.last().copied()
    }

    /// Positions of the stream's commits in this volume, ascending.
    pub fn positions(&self, stream: &StreamId) -> &[Position] {
        self.streams.get(stream).map_or(&[], Vec::as_slice)
    }

    pub fn find(&self, id: &CommitId) -> Option<Position> {
        self.commits.get(id).copied()
    }

    pub fn streams(&self) -> &HashMap<StreamId, Vec<Position>> {
        &self.streams
    }

    pub fn commits(&self) -> &HashMap<CommitId, Position> {
        &self.commits
    }
}
