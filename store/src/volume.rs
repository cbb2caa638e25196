//! A volume: a journal and a sled database that hold the same run of blocks.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use docket_core::ids::{CommitId, Position, StreamId};
use serde::{Deserialize, Serialize};

use crate::{
    codec::{Block, BlockHash, BlockHead},
    files,
    filter::NameFilter,
    index::Index,
    journal::{JournalReader, Next, frame, unframe},
    log::ReadError,
};

/// Format of seals that this program writes; it reads all up to it.
const SEAL_FORMAT: u32 = 1;
/// Tree of blocks: position of the first commit (8 bytes, big-endian) → the block's frame.
const BLOCKS: &str = "blocks";
/// Tree of a sealed volume: stream (17 bytes) and position (8) → nothing.
const STREAMS: &str = "streams";
/// Tree of a sealed volume: commit id (16 bytes) → position (8).
const COMMITS: &str = "commits";
/// What sled may cache of one volume.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// How often and with which pause a database is tried whose lock is not given back yet: five seconds in all.
const LOCK_ATTEMPTS: u32 = 250;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// Written by a clean stop: the newest volume is complete up to here. Removed at the next opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanStop {
    pub position: Position,
    pub hash: BlockHash,
    pub journal_bytes: u64,
}

impl CleanStop {
    /// Reads the mark of a volume; `None` when there is none, or none that can be read.
    pub fn read(path: &VolumePath) -> Option<Self> {
        let bytes = fs::read(path.clean()).ok()?;
        rmp_serde::from_slice(unframe(&bytes).ok()?).ok()
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
        let payload = match self.reader.next_frame() {
            Ok(Next::Frame(payload)) => payload,
            Ok(Next::End) => return Ok(None),
            Ok(Next::Torn { bytes }) => {
                self.torn_bytes = bytes;
                return Ok(None);
            }
            Err((offset, reason)) => {
                return Err(corrupt(self.next, format!("byte {offset} of the journal: {reason}")));
            }
        };
        let head = BlockHead::decode(&payload).map_err(|reason| corrupt(self.next, reason))?;
        if head.format > crate::codec::BLOCK_FORMAT {
            return Err(ReadError::NewerFormat {
                path: self.reader.path().to_owned(),
                found: head.format,
                supported: crate::codec::BLOCK_FORMAT,
            });
        }
        if head.first != self.next || head.previous_block != self.hash || head.count == 0 {
            return Err(corrupt(self.next, "the block does not continue the chain".into()));
        }
        let hash = BlockHash::of(&payload);
        let (first, last) = (head.first, head.last());
        self.hash = hash;
        self.next = last.next();
        Ok(Some(JournalBlock { payload, hash, first, last }))
    }
}

/// The database of a volume.
#[derive(Debug)]
pub struct Database {
    volume: u64,
    db: sled::Db,
    blocks: sled::Tree,
}

impl Database {
    pub fn open(path: &VolumePath) -> Result<Self, ReadError> {
        let failed = |reason: String| ReadError::Database { volume: path.number, reason };
        // The journal holds what matters, so sled need not sync on its own; sealing and closing sync its files.
        let config = sled::Config::new()
            .path(path.sled())
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .mode(sled::Mode::HighThroughput);
        for attempt in 0..=LOCK_ATTEMPTS {
            // sled panics on some damage instead of reporting it.
            let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let db = config.open()?;
                let blocks = db.open_tree(BLOCKS)?;
                Ok::<_, sled::Error>((db, blocks))
            }));
            match opened {
                Ok(Ok((db, blocks))) => return Ok(Self { volume: path.number, db, blocks }),
                // The kernel may hold the lock of a process that was killed, or of a database that is being dropped, for
                // a moment longer. Everybody else is kept out by the lock of the data directory.
                Ok(Err(sled::Error::Io(error)))
                    if attempt < LOCK_ATTEMPTS && error.to_string().contains("could not acquire lock") =>
                {
                    std::thread::sleep(LOCK_PAUSE);
                }
                Ok(Err(error)) => return Err(failed(error.to_string())),
                Err(_) => return Err(failed("sled gave up while opening it".into())),
            }
        }
        Err(failed("its lock is not given back".into()))
    }

    fn failed(&self, error: &sled::Error) -> ReadError {
        ReadError::Database { volume: self.volume, reason: error.to_string() }
    }

    fn corrupt(&self, position: Position, reason: String) -> ReadError {
        ReadError::Corrupt { volume: self.volume, position, reason: format!("the database: {reason}") }
    }

    /// Stores a block's frame.
    pub fn put(&self, first: Position, frame: &[u8]) -> Result<(), ReadError> {
        self.blocks.insert(first.get().to_be_bytes(), frame).map_err(|error| self.failed(&error))?;
        Ok(())
    }

    /// The payload of the block that holds this position.
    fn payload(&self, position: Position) -> Result<Vec<u8>, ReadError> {
        let found = self.blocks.get_lt(position.next().get().to_be_bytes()).map_err(|error| self.failed(&error))?;
        let (_, frame) = found.ok_or_else(|| self.corrupt(position, "the block is missing".into()))?;
        unframe(&frame).map(<[u8]>::to_vec).map_err(|reason| self.corrupt(position, reason))
    }

    /// The block that holds this position.
    pub fn block(&self, position: Position) -> Result<Block, ReadError> {
        let block = Block::decode(&self.payload(position)?).map_err(|reason| self.corrupt(position, reason))?;
        if block.first > position || block.last() < position {
            return Err(self.corrupt(position, "the block is missing".into()));
        }
        Ok(block)
    }

    /// True when it holds the same bytes as the journal for every block.
    pub fn equals_journal(&self, path: &VolumePath) -> Result<bool, ReadError> {
        let mut walk = BlockWalk::open(path)?;
        let mut stored = self.blocks.iter();
        while let Some(block) = walk.next_block()? {
            match stored.next() {
                Some(Ok((key, bytes)))
                    if key == block.first.get().to_be_bytes() && unframe(&bytes) == Ok(&block.payload[..]) => {}
                _ => return Ok(false),
            }
        }
        Ok(stored.next().is_none())
    }

    /// True when its last block is this one: enough after a clean stop.
    pub fn ends_with(&self, position: Position, hash: BlockHash) -> bool {
        match self.blocks.last() {
            Ok(Some((_, bytes))) => unframe(&bytes).is_ok_and(|payload| {
                BlockHash::of(payload) == hash && BlockHead::decode(payload).is_ok_and(|head| head.last() == position)
            }),
            Ok(None) => false,
            Err(_) => false,
        }
    }

    /// Writes the index in one sorted run.
    fn put_index(&self, index: &Index) -> Result<(), ReadError> {
        let failed = |error: sled::Error| self.failed(&error);
        let streams = self.db.open_tree(STREAMS).map_err(failed)?;
        let mut keys: Vec<[u8; 25]> = index
            .streams()
            .iter()
            .flat_map(|(stream, positions)| positions.iter().map(|position| stream_position_key(stream, *position)))
            .collect();
        keys.sort_unstable();
        for key in keys {
            streams.insert(key, &[]).map_err(failed)?;
        }
        let commits = self.db.open_tree(COMMITS).map_err(failed)?;
        let mut ids: Vec<_> = index.commits().iter().collect();
        ids.sort_unstable();
        for (id, position) in ids {
            commits.insert(id.ulid().to_bytes(), &position.get().to_be_bytes()).map_err(failed)?;
        }
        Ok(())
    }

    /// Positions of a stream, from the index of a sealed volume.
    pub fn positions(&self, stream: &StreamId) -> Result<Vec<Position>, ReadError> {
        let streams = self.db.open_tree(STREAMS).map_err(|error| self.failed(&error))?;
        streams
            .scan_prefix(stream_key(stream))
            .keys()
            .map(|key| {
                let key = key.map_err(|error| self.failed(&error))?;
                read_position(&key[key.len().saturating_sub(8)..])
                    .ok_or_else(|| self.corrupt(Position::START, "a key of its index has no position".into()))
            })
            .collect()
    }

    pub fn find(&self, id: &CommitId) -> Result<Option<Position>, ReadError> {
        let commits = self.db.open_tree(COMMITS).map_err(|error| self.failed(&error))?;
        let found = commits.get(id.ulid().to_bytes()).map_err(|error| self.failed(&error))?;
        Ok(found.and_then(|bytes| read_position(&bytes)))
    }

    fn flush(&self) -> Result<(), ReadError> {
        self.db.flush().map(drop).map_err(|error| self.failed(&error))
    }

    /// Makes all of it durable: sled's own flush does not wait for the disk.
    pub fn sync(&self, path: &VolumePath) -> Result<(), ReadError> {
        self.flush()?;
        files::sync_tree(&path.sled()).map_err(|source| path.io(source))
    }
}

fn read_position(bytes: &[u8]) -> Option<Position> {
    bytes.try_into().ok().map(u64::from_be_bytes).map(Position::new)
}

/// Seventeen bytes: a tag and the id; zeros where a stream has none.
pub fn stream_key(stream: &StreamId) -> [u8; 17] {
    let (tag, id) = match stream {
        StreamId::Desk => (1, [0; 16]),
        StreamId::Access => (2, [0; 16]),
        StreamId::Ticket(id) => (3, id.ulid().to_bytes()),
        StreamId::Customer(id) => (4, id.ulid().to_bytes()),
    };
    let mut key = [0; 17];
    key[0] = tag;
    key[1..].copy_from_slice(&id);
    key
}

fn stream_position_key(stream: &StreamId, position: Position) -> [u8; 25] {
    let mut key = [0; 25];
    key[..17].copy_from_slice(&stream_key(stream));
    key[17..].copy_from_slice(&position.get().to_be_bytes());
    key
}

/// What is known of a sealed volume without opening it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seal {
    pub format: u32,
    pub volume: u64,
    pub first: Position,
    pub last: Position,
    /// Hash of the block before its first one.
    pub previous_block: BlockHash,
    /// Hash of its last block.
    pub hash: BlockHash,
    pub journal_bytes: u64,
    /// Streams that it holds.
    pub streams: NameFilter,
    /// Commit ids that it holds.
    pub commits: NameFilter,
}

impl Seal {
    fn new(volume: u64, walk: &BlockWalk, index: &Index) -> Self {
        let streams: Vec<_> = index.streams().keys().map(stream_key).collect();
        let commits: Vec<_> = index.commits().keys().map(|id| id.ulid().to_bytes()).collect();
        let (first, previous_block) = walk.start();
        let (last, hash) = walk.reached();
        Self {
            format: SEAL_FORMAT,
            volume,
            first,
            last,
            previous_block,
            hash,
            journal_bytes: walk.bytes(),
            streams: NameFilter::new(streams.iter().map(<[u8; 17]>::as_slice)),
            commits: NameFilter::new(commits.iter().map(<[u8; 16]>::as_slice)),
        }
    }

    /// Reads the seal of a volume; `None` when it has none.
    pub fn read(path: &VolumePath) -> Result<Option<Self>, ReadError> {
        let corrupt = |reason: String| ReadError::Corrupt {
            volume: path.number,
            position: Position::START,
            reason: format!("the seal: {reason}"),
        };
        let bytes = match fs::read(path.seal()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(path.io(error)),
        };
        let seal: Self = unframe(&bytes)
            .and_then(|payload| rmp_serde::from_slice(payload).map_err(|error| error.to_string()))
            .map_err(corrupt)?;
        if seal.format > SEAL_FORMAT {
            return Err(ReadError::NewerFormat { path: path.seal(), found: seal.format, supported: SEAL_FORMAT });
        }
        if seal.volume != path.number {
            return Err(corrupt(format!("it is that of volume {}", seal.volume)));
        }
        Ok(Some(seal))
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
        let decoded = Block::decode(&block.payload).map_err(|reason| ReadError::Corrupt {
            volume: path.number,
            position: block.first,
            reason,
        })?;
        for commit in &decoded.commits {
            index.add(commit);
        }
        each(&block)?;
    }
    Ok((index, walk))
}

/// Makes a volume's database anew from its journal.
pub fn rebuild_database(path: &VolumePath) -> Result<Database, ReadError> {
    files::remove_dir(&path.sled()).map_err(|source| path.io(source))?;
    let database = Database::open(path)?;
    let mut walk = BlockWalk::open(path)?;
    while let Some(block) = walk.next_block()? {
        database.put(block.first, &frame(&block.payload))?;
    }
    Ok(database)
}

/// Seals a volume whose journal is complete: the index goes into the database, which is closed, opened again and compared
/// with the journal; then the seal is written. An interruption leaves a volume without a seal, which is sealed at the next
/// opening.
pub fn seal(path: &VolumePath, database: Option<Database>) -> Result<Seal, ReadError> {
    let (index, walk) = read_journal(path, |_| Ok(()))?;
    let finish = |database: Database| -> Result<bool, ReadError> {
        database.put_index(&index)?;
        database.sync(path)?;
        drop(database);
        files::sync_tree(&path.sled()).map_err(|source| path.io(source))?;
        Database::open(path)?.equals_journal(path)
    };
    let sound = match database {
        Some(database) => finish(database).unwrap_or(false),
        None => false,
    };
    if !sound && !finish(rebuild_database(path)?)? {
        return Err(ReadError::Database {
            volume: path.number,
            reason: "it differs from the journal right after it was built from it".into(),
        });
    }
    let seal = Seal::new(path.number, &walk, &index);
    let payload = rmp_serde::to_vec_named(&seal)
        .map_err(|error| ReadError::Database { volume: path.number, reason: error.to_string() })?;
    files::write_atomically(&path.seal(), &frame(&payload)).map_err(|source| path.io(source))?;
    files::sync_dir(&path.dir).map_err(|source| path.io(source))?;
    Ok(seal)
}

/// The newest volume: it takes blocks.
#[derive(Debug)]
pub struct LiveVolume {
    pub path: VolumePath,
    pub first: Position,
    /// Taken away by sealing, which holds the lock until the sealed volume is in its place.
    pub database: RwLock<Option<Database>>,
    pub index: RwLock<Index>,
}

impl LiveVolume {
    /// Reads from the database; `None` when the volume was sealed meanwhile.
    pub fn with_database<T>(&self, read: impl FnOnce(&Database) -> T) -> Option<T> {
        self.database.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(read)
    }

    pub fn with_index<T>(&self, read: impl FnOnce(&Index) -> T) -> T {
        read(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An older volume: its database is opened when it is needed.
#[derive(Debug)]
pub struct SealedVolume {
    pub path: VolumePath,
    pub seal: Seal,
}

impl SealedVolume {
    pub fn may_hold_stream(&self, stream: &StreamId) -> bool {
        self.seal.streams.may_hold(&stream_key(stream))
    }

    pub fn may_hold_commit(&self, id: &CommitId) -> bool {
        self.seal.commits.may_hold(&id.ulid().to_bytes())
    }
}
