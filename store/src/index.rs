//! Where the commits of a volume stand: the latest of each stream, each commit id, and each block in the journal.
//!
//! A commit names the commit before it in its stream, so the latest one leads to all of them.

use std::collections::HashMap;

use docket_core::{
    event::Commit,
    ids::{CommitId, Position, StreamId},
};

/// The index of the open volume. Rebuilt from its journal when it is opened; written into its database when it is sealed.
#[derive(Debug, Default)]
pub struct Index {
    latest: HashMap<StreamId, Position>,
    commits: HashMap<CommitId, Position>,
    /// First position of each block and the offset of its frame in the journal, ascending.
    blocks: Vec<(Position, u64)>,
}

impl Index {
    pub fn add(&mut self, commit: &Commit) {
        self.insert(commit.id, commit.stream, commit.position);
    }

    pub fn insert(&mut self, id: CommitId, stream: StreamId, position: Position) {
        self.latest.insert(stream, position);
        self.commits.insert(id, position);
    }

    pub fn add_block(&mut self, first: Position, offset: u64) {
        self.blocks.push((first, offset));
    }

    /// Position of the stream's latest commit in this volume.
    pub fn latest(&self, stream: &StreamId) -> Option<Position> {
        self.latest.get(stream).copied()
    }

    pub fn find(&self, id: &CommitId) -> Option<Position> {
        self.commits.get(id).copied()
    }

    /// Offset of the frame of the block that holds a position.
    pub fn offset(&self, position: Position) -> Option<u64> {
        let at = self.blocks.partition_point(|(first, _)| *first <= position);
        self.blocks.get(at.checked_sub(1)?).map(|(_, offset)| *offset)
    }

    pub const fn streams(&self) -> &HashMap<StreamId, Position> {
        &self.latest
    }

    pub const fn commits(&self) -> &HashMap<CommitId, Position> {
        &self.commits
    }
}
