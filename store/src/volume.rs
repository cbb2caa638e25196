//! A volume: a journal and a sled database that hold the same run of blocks.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use docket_core::{
    event::Commit,
    ids::{CommitId, Position, StreamId},
};
use serde::{Deserialize, Serialize};

use crate::{
    codec::{Block, BlockHash, BlockHead, IndexedCommit, Unreadable},
    database::Database,
    files,
    index::Index,
    journal::{JournalReader, Next, frame, read_frame_at, sound_frames, unframe},
    log::ReadError,
    seal::{Seal, SealFilters},
};

/// Written by a clean stop: the newest volume is complete up to here. Removed at the next opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanStop {
    pub position: Position,
    pub hash: BlockHash,
    pub journal_bytes: u64,
}

impl CleanStop {
    /// Reads the mark of a volume; `None` when there is none, or a damaged one: then the stop was not clean.
    ///
    /// # Errors
    /// When a newer program wrote the mark.
    pub fn read(path: &VolumePath) -> Result<Option<Self>, ReadError> {
        let Ok(bytes) = fs::read(path.clean()) else { return Ok(None) };
        let Ok(payload) = unframe(&bytes) else { return Ok(None) };
        match rmp_serde::from_slice(payload) {
            Ok(clean) => Ok(Some(clean)),
            Err(error) => match Unreadable::of(payload, "a mark of a clean stop", &error) {
                Unreadable::Damaged(_) => Ok(None),
                newer @ (Unreadable::NewerFormat(_) | Unreadable::Newer { .. }) => {
                    Err(newer.at(path.number, Position::START, &path.clean()))
                }
            },
        }
    }

    /// Writes the mark.
    pub fn write(&self, path: &VolumePath) -> Result<(), ReadError> {
        let payload = rmp_serde::to_vec_named(self)
            .map_err(|error| ReadError::Database { volume: path.number, reason: error.to_string() })?;
        files::write_atomically(&path.clean(), &frame(&payload)).map_err(|source| path.io(source))
    }

    /// The error of a journal that has another block where the clean stop noted this one: it was written anew.
    pub fn differs(&self, volume: u64) -> ReadError {
        ReadError::Corrupt {
            volume,
            position: self.position,
            reason: format!("its hash is not {}, which the last clean stop noted", self.hash),
        }
    }

    /// The error of a journal that ends before a clean stop: that is no interrupted write.
    pub fn missing(&self, volume: u64, reached: Position) -> ReadError {
        ReadError::Corrupt {
            volume,
            position: reached.next(),
            reason: format!("the last stop was clean at position {}, and the journal ends before it", self.position),
        }
    }
}

/// Where the files of a volume are.
#[derive(Debug, Clone)]
pub struct VolumePath {
    pub number: u64,
    pub dir: PathBuf,
}

impl VolumePath {
    pub fn new(log_dir: &Path, number: u64) -> Self {
        Self { number, dir: log_dir.join(format!("{number:08}")) }
    }

    /// The volumes of a log, by number. Anything else in the directory is left alone.
    pub fn list(log_dir: &Path) -> io::Result<Vec<Self>> {
        let mut volumes = Vec::new();
        for entry in fs::read_dir(log_dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name.to_str().filter(|name| name.len() == 8).and_then(|name| name.parse().ok());
            if let Some(number) = number {
                volumes.push(Self { number, dir: entry.path() });
            }
        }
        volumes.sort_by_key(|volume| volume.number);
        Ok(volumes)
    }

    /// True for a volume whose making was interrupted before its header was whole: nothing was ever written to it. The
    /// database comes after the header, and seal and clean mark after that.
    pub fn is_unborn(&self) -> io::Result<bool> {
        /// A header is shorter.
        const HEADER_MAX: usize = 512;
        let journal = match fs::read(self.journal()) {
            Ok(journal) => journal,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let later = [self.sled(), self.seal(), self.clean()];
        Ok(journal.len() < HEADER_MAX && unframe(&journal).is_err() && !later.iter().any(|path| path.exists()))
    }

    pub fn journal(&self) -> PathBuf {
        self.dir.join("journal")
    }

    pub fn sled(&self) -> PathBuf {
        self.dir.join("sled")
    }

    pub fn seal(&self) -> PathBuf {
        self.dir.join("seal")
    }

    /// Says that the volume's database could not be read: the next start looks, and makes it again from the journal.
    pub fn suspect(&self) -> PathBuf {
        self.dir.join("suspect")
    }

    pub fn clean(&self) -> PathBuf {
        self.dir.join("clean")
    }

    pub fn io(&self, source: io::Error) -> ReadError {
        ReadError::Io { path: self.dir.clone(), source }
    }
}

/// A frame read back from a journal: its bytes, and what stands in its head.
#[derive(Debug)]
pub struct JournalBlock {
    /// Where its frame starts in the journal.
    pub offset: u64,
    pub payload: Vec<u8>,
    pub hash: BlockHash,
    pub first: Position,
    pub last: Position,
}

/// Walks the blocks of one journal along the chain.
#[derive(Debug)]
pub struct BlockWalk {
    reader: JournalReader,
    volume: u64,
    next: Position,
    hash: BlockHash,
    /// Bytes of a frame that was cut off, once the end was reached.
    pub torn_bytes: u64,
}

impl BlockWalk {
    pub fn open(path: &VolumePath) -> Result<Self, ReadError> {
        if !path.journal().exists() {
            return Err(ReadError::Corrupt {
                volume: path.number,
                position: Position::START,
                reason: "its journal is missing".into(),
            });
        }
        let reader = JournalReader::open(&path.journal())?;
        let (next, hash) = (reader.header.first, reader.header.previous_block);
        if next.is_start() {
            let reason = "its journal says that it begins at position 0".into();
            return Err(ReadError::Corrupt { volume: path.number, position: next, reason });
        }
        if reader.header.volume != path.number {
            return Err(ReadError::Corrupt {
                volume: path.number,
                position: next,
                reason: format!("its journal is that of volume {}", reader.header.volume),
            });
        }
        Ok(Self { reader, volume: path.number, next, hash, torn_bytes: 0 })
    }

    /// The id of the log, by the journal's header.
    pub fn log_id(&self) -> &str {
        &self.reader.header.log
    }

    /// Position of the volume's first commit and the hash before it, by the journal's header.
    pub fn start(&self) -> (Position, BlockHash) {
        (self.reader.header.first, self.reader.header.previous_block)
    }

    /// The journal's header as a frame, as it stands there.
    pub fn header_frame(&self) -> Result<Vec<u8>, ReadError> {
        rmp_serde::to_vec_named(&self.reader.header).map(|payload| frame(&payload)).map_err(|error| {
            ReadError::Corrupt {
                volume: self.volume,
                position: Position::START,
                reason: format!("the journal's header: {error}"),
            }
        })
    }

    /// Number of the volume.
    pub const fn volume(&self) -> u64 {
        self.volume
    }

    /// The journal.
    pub fn path(&self) -> &Path {
        self.reader.path()
    }

    /// Where the walk stands: position of the last commit seen and its block's hash.
    pub fn reached(&self) -> (Position, BlockHash) {
        (Position::new(self.next.get() - 1), self.hash)
    }

    /// End of the last sound frame.
    pub fn bytes(&self) -> u64 {
        self.reader.offset()
    }

    /// The next block; `None` at the end.
    pub fn next_block(&mut self) -> Result<Option<JournalBlock>, ReadError> {
        let corrupt = |position, reason| ReadError::Corrupt { volume: self.volume, position, reason };
        let offset = self.reader.offset();
        let next =
            self.reader.next_frame().map_err(|source| ReadError::Io { path: self.reader.path().to_owned(), source })?;
        let payload = match next {
            Next::Frame(payload) => payload,
            Next::End => return Ok(None),
            Next::Unsound { reason, rest } => {
                // A group commit is one write, of which a power cut may leave any parts. A block of a later group was
                // written after the sync of everything before it: then the bytes here were sound once.
                let mut synced = false;
                for payload in sound_frames(&rest[1..]) {
                    match BlockHead::decode(payload) {
                        Ok(head) => synced |= head.group() > self.next,
                        // Only whoever wrote it knows what may be cut off before it.
                        Err(why) if why.is_newer() => return Err(why.at(self.volume, self.next, self.path())),
                        Err(_) => {}
                    }
                }
                if synced {
                    return Err(corrupt(self.next, format!("byte {offset} of the journal: {reason}")));
                }
                self.torn_bytes = rest.len() as u64;
                return Ok(None);
            }
        };
        let head = BlockHead::decode(&payload).map_err(|why| why.at(self.volume, self.next, self.path()))?;
        if head.first != self.next || head.previous_block != self.hash || head.count == 0 {
            return Err(corrupt(self.next, "the block does not continue the chain".into()));
        }
        let hash = BlockHash::of(&payload);
        let (first, last) = (head.first, head.last());
        self.hash = hash;
        self.next = last.next();
        Ok(Some(JournalBlock { offset, payload, hash, first, last }))
    }
}

/// Builds the index of a volume from its journal, and hands every block to `each`.
pub fn read_journal(
    path: &VolumePath,
    mut each: impl FnMut(&JournalBlock) -> Result<(), ReadError>,
) -> Result<(Index, BlockWalk), ReadError> {
    let mut walk = BlockWalk::open(path)?;
    let mut index = Index::default();
    while let Some(block) = walk.next_block()? {
        let commits =
            IndexedCommit::of_block(&block.payload).map_err(|why| why.at(path.number, block.first, &path.journal()))?;
        index.add_block(block.first, block.offset);
        commits.into_iter().for_each(|commit| index.insert(commit.id, commit.stream, commit.position));
        each(&block)?;
    }
    Ok((index, walk))
}

/// A volume whose index is in memory: the newest one, which takes blocks, one that waits to be sealed, or one whose database
/// cannot be read.
#[derive(Debug)]
pub struct LiveVolume {
    pub path: VolumePath,
    pub first: Position,
    /// Absent while the volume is sealed, and when it cannot be made or read; the journal answers then.
    pub database: RwLock<Option<Database>>,
    pub index: RwLock<Index>,
}

impl LiveVolume {
    /// Reads from the database; `None` when there is none at present.
    pub fn with_database<T>(&self, read: impl FnOnce(&Database) -> T) -> Option<T> {
        self.database.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(read)
    }

    pub fn with_index<T>(&self, read: impl FnOnce(&Index) -> T) -> T {
        read(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The payload of the block that holds a position, when the database has it.
    pub fn payload(&self, position: Position) -> Option<Result<Vec<u8>, ReadError>> {
        self.with_database(|database| database.payload(position))
    }

    /// The payload of the block that holds a position, from the journal.
    pub fn payload_from_journal(&self, position: Position) -> Result<Vec<u8>, ReadError> {
        let corrupt = |reason: String| ReadError::Corrupt { volume: self.path.number, position, reason };
        let offset = self.with_index(|index| index.offset(position));
        let offset = offset.ok_or_else(|| corrupt("no block of the volume holds the position".into()))?;
        let journal = File::open(self.path.journal()).map_err(|source| self.path.io(source))?;
        read_frame_at(&journal, offset).map_err(|source| self.path.io(source))?.map_err(corrupt)
    }
}

/// An older volume: its database is opened when it is needed.
#[derive(Debug)]
pub struct SealedVolume {
    pub path: VolumePath,
    pub seal: Seal,
    filters: SealFilters,
}

impl SealedVolume {
    pub fn new(path: VolumePath, seal: Seal, filters: SealFilters) -> Self {
        Self { path, seal, filters }
    }

    /// False when the volume certainly does not hold the stream.
    pub fn may_hold_stream(&self, stream: &StreamId) -> Result<bool, ReadError> {
        self.filters
            .may_hold_stream(&self.seal, stream)
            .map_err(|source| self.path.io(source))?
            .map_err(|r| self.bad(r))
    }

    /// False when the volume certainly does not hold the commit id.
    pub fn may_hold_commit(&self, id: &CommitId) -> Result<bool, ReadError> {
        self.filters.may_hold_commit(&self.seal, id).map_err(|source| self.path.io(source))?.map_err(|r| self.bad(r))
    }

    fn bad(&self, reason: String) -> ReadError {
        let reason = format!("the seal: {reason}");
        ReadError::Corrupt { volume: self.path.number, position: self.seal.first, reason }
    }
}

/// The commit at a position, out of its block's bytes.
pub fn commit_of(path: &VolumePath, payload: &[u8], position: Position) -> Result<Commit, ReadError> {
    Block::decode_commit(payload, position).map_err(|why| why.at(path.number, position, &path.journal()))
}
