//! Reads a whole log from its journals, without a lock and without sled: an auditor can do so beside a running server.

use std::sync::Arc;

use docket_core::{event::Commit, ids::Position};

use crate::{
    codec::{Block, BlockHash},
    data_dir::DataDir,
    log::{Head, ReadError},
    seal::Seal,
    volume::{BlockWalk, CleanStop, VolumePath},
};

/// Every commit after a position, in order, up to the last whole frame at the time of reading.
#[derive(Debug)]
pub struct LogScan {
    volumes: std::vec::IntoIter<VolumePath>,
    log_id: String,
    walk: Option<BlockWalk>,
    block: std::vec::IntoIter<Arc<Commit>>,
    after: Position,
    reached: Head,
    /// The newest volume was closed cleanly, before the scan began: its journal holds at least so much.
    clean: Option<(u64, CleanStop)>,
    /// Bytes of an interrupted write at the very end.
    torn_bytes: u64,
    failed: bool,
}

impl LogScan {
    /// Starts after a position. Volumes before it are skipped by their seals.
    ///
    /// # Errors
    /// When the log is gone, or its directory or a seal cannot be read.
    pub fn new(data: &DataDir, after: Position) -> Result<Self, ReadError> {
        let mut volumes = data.volumes()?;
        let mut reached = Head { position: Position::START, hash: BlockHash::genesis(data.log_id()) };
        let clean = match volumes.last() {
            Some(newest) => CleanStop::read(newest)?.map(|clean| (newest.number, clean)),
            None => None,
        };
        let mut skipped = 0;
        for volume in &volumes {
            match Seal::head(volume)? {
                Some(seal) if seal.last <= after => reached = Head { position: seal.last, hash: seal.hash },
                Some(_) | None => break,
            }
            skipped += 1;
        }
        volumes.drain(..skipped);
        Ok(Self {
            volumes: volumes.into_iter(),
            log_id: data.log_id().to_owned(),
            walk: None,
            block: Vec::new().into_iter(),
            after,
            reached,
            clean,
            torn_bytes: 0,
            failed: false,
        })
    }

    /// Where the scan stands: after it has ended, the head of the log.
    pub const fn reached(&self) -> Head {
        self.reached
    }

    /// Bytes of an interrupted write behind the last whole frame, or of one that is going on; nothing in them was ever
    /// acknowledged.
    pub const fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// The journals end here; so does the log, unless a clean stop says otherwise.
    fn end<T>(&self) -> Result<Option<T>, ReadError> {
        match &self.clean {
            Some((volume, clean)) if clean.position > self.reached.position => {
                Err(clean.missing(*volume, self.reached.position))
            }
            Some(_) | None => Ok(None),
        }
    }

    fn next_block(&mut self) -> Result<Option<Block>, ReadError> {
        loop {
            let Some(walk) = &mut self.walk else {
                let Some(volume) = self.volumes.next() else { return self.end() };
                // The newest volume may be in the making while we read.
                if self.volumes.len() == 0 && volume.is_unborn().unwrap_or(false) {
                    return self.end();
                }
                let walk = BlockWalk::open(&volume)?;
                if walk.log_id() != self.log_id || walk.start() != (self.reached.position.next(), self.reached.hash) {
                    return Err(ReadError::Corrupt {
                        volume: volume.number,
                        position: self.reached.position.next(),
                        reason: "the volume does not continue the chain of the one before".into(),
                    });
                }
                self.walk = Some(walk);
                continue;
            };
            let Some(block) = walk.next_block()? else {
                if walk.torn_bytes > 0 && self.volumes.len() > 0 {
                    return Err(ReadError::Corrupt {
                        volume: walk.volume(),
                        position: self.reached.position.next(),
                        reason: "a journal that is not the newest ends in the middle of a frame".into(),
                    });
                }
                self.torn_bytes = walk.torn_bytes;
                self.walk = None;
                continue;
            };
            if let Some((volume, clean)) = &self.clean
                && block.last == clean.position
                && block.hash != clean.hash
            {
                return Err(clean.differs(*volume));
            }
            let first = self.reached.position.next();
            self.reached = Head { position: block.last, hash: block.hash };
            if block.last > self.after {
                let decoded = Block::decode(&block.payload);
                return decoded.map(Some).map_err(|why| why.at(walk.volume(), first, walk.path()));
            }
        }
    }
}

impl Iterator for LogScan {
    type Item = Result<Arc<Commit>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            if let Some(commit) = self.block.find(|commit| commit.position > self.after) {
                return Some(Ok(commit));
            }
            match self.next_block() {
                Ok(Some(block)) => self.block = block.commits.into_iter(),
                Ok(None) => return None,
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
