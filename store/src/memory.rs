//! An event log in memory, for tests and embedding. It keeps the whole contract but for durability.

use std::sync::{Arc, PoisonError, RwLock};

use docket_core::{
    event::Commit,
    ids::{CommitId, Position, StreamId},
};
use tokio::sync::watch;

use crate::{
    codec::{BlockBuilder, BlockHash, EncodedAppend},
    expect::checked,
    index::Index,
    log::{Append, AppendError, BoxFuture, Commits, EventLog, Head, Page, ReadError},
};

/// An event log in memory.
pub struct MemoryLog {
    inner: RwLock<Inner>,
    head: watch::Sender<Head>,
}

#[derive(Default)]
struct Inner {
    /// Each with its encoded length.
    commits: Vec<(Arc<Commit>, usize)>,
    index: Index,
}

impl Default for MemoryLog {
    fn default() -> Self {
        let head = Head { position: Position::START, hash: BlockHash::genesis("memory") };
        Self { inner: RwLock::default(), head: watch::Sender::new(head) }
    }
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    fn store(&self, append: Append) -> Result<Position, AppendError> {
        let encoded = EncodedAppend::try_new(append)?;
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let append = &encoded.append;
        if let Some(position) = inner.index.find(&append.id) {
            return Ok(position);
        }
        let latest = |stream: &StreamId| Ok(inner.index.latest(stream).unwrap_or(Position::START));
        let actual = checked(append, latest)?;
        let head = *self.head.borrow();
        let position = head.position.next();
        let mut block = BlockBuilder::new(position, position);
        block.push(&encoded, position, actual);
        let hash = BlockHash::of(&block.finish(head.hash));
        let bytes = encoded.max_bytes();
        let commit = Arc::new(encoded.into_commit(position, actual));
        inner.index.add(&commit);
        inner.commits.push((commit, bytes));
        self.head.send_replace(Head { position, hash });
        Ok(position)
    }

    fn read<T>(&self, read: impl FnOnce(&Inner) -> T) -> T {
        read(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl EventLog for MemoryLog {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Position, AppendError>> {
        Box::pin(async move { self.store(append) })
    }

    fn append_all(&self, appends: Vec<Append>) -> Vec<Result<Position, AppendError>> {
        appends.into_iter().map(|append| self.store(append)).collect()
    }

    fn head(&self) -> Head {
        *self.head.borrow()
    }

    fn watch_head(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    fn read_page(&self, after: Position, page: Page) -> Result<Vec<Arc<Commit>>, ReadError> {
        let start = usize::try_from(after.get()).unwrap_or(usize::MAX);
        Ok(self.read(|inner| page.fill(inner.commits.iter().skip(start).cloned())))
    }

    fn read_stream(&self, stream: StreamId, after: Position) -> Result<Vec<Arc<Commit>>, ReadError> {
        Ok(self.read(|inner| {
            let at = |position: Position| {
                inner.commits.get(usize::try_from(position.get().checked_sub(1)?).ok()?).map(|(commit, _)| commit)
            };
            let mut commits = Vec::new();
            let mut next = inner.index.latest(&stream).unwrap_or_default();
            while let Some(commit) = at(next).filter(|commit| commit.position > after) {
                commits.push(Arc::clone(commit));
                next = commit.previous;
            }
            commits.reverse();
            commits
        }))
    }

    fn read_last(&self, stream: StreamId) -> Result<Option<Arc<Commit>>, ReadError> {
        let last = self.read(|inner| inner.index.latest(&stream));
        Ok(last
            .map(|at| self.read_all(Position::new(at.get() - 1), 1))
            .transpose()?
            .and_then(|mut commits| commits.pop()))
    }

    fn find(&self, id: CommitId) -> Result<Option<Position>, ReadError> {
        Ok(self.read(|inner| inner.index.find(&id)))
    }

    fn scan(&self, after: Position) -> Result<Commits<'_>, ReadError> {
        Ok(Box::new(self.read_all(after, usize::MAX)?.into_iter().map(Ok)))
    }

    fn read_only(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (Arc<dyn EventLog>, ()) {
        (Arc::new(MemoryLog::new()), ())
    }

    crate::contract_suite!(fresh);
}
