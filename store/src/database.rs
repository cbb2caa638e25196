//! The sled database of a volume: its blocks for point reads, and once it is sealed, its index.
//!
//! sled panics on some damage and hangs on some other, so whatever asks it is guarded. What it answers is checked: blocks and
//! index pages are frames with checksums, and know where they belong.

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use docket_core::ids::{CommitId, Position, StreamId};
use sha2::{Digest, Sha256};

use crate::{
    codec::{Block, BlockHash, BlockHead, Unreadable, brief},
    files,
    index::Index,
    journal::{frame, unframe},
    log::ReadError,
    pages,
    quiet::guarded,
    volume::{BlockWalk, VolumePath},
};

/// Tree of blocks: position of the first commit (8 bytes, big-endian) → the block's frame.
const BLOCKS: &str = "blocks";
/// Tree of a sealed volume: pages of stream (17 bytes) → position of its latest commit in the volume.
const STREAMS: &str = "streams";
/// Tree of a sealed volume: pages of commit id (16 bytes) → position.
const COMMITS: &str = "commits";
/// What sled may cache of one volume.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// How often and with which pause a database is tried whose lock is not given back yet: five seconds in all.
const LOCK_ATTEMPTS: u32 = 250;
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// A sound database of a volume opens in seconds; a damaged one may never.
const OPEN_LIMIT: Duration = Duration::from_secs(60);

/// A database that is being opened.
#[derive(Debug)]
pub struct Opening {
    volume: u64,
    dir: PathBuf,
    opened: mpsc::Receiver<Result<(sled::Db, sled::Tree), String>>,
}

impl Opening {
    /// The database, once it is open.
    pub fn wait(self) -> Result<Database, ReadError> {
        let Self { volume, dir, .. } = self;
        let failed = |reason: String| ReadError::Database { volume, reason };
        match self.opened.recv_timeout(OPEN_LIMIT) {
            Ok(Ok((db, blocks))) => Ok(Database { volume, dir, sled: Some(Sled { db, blocks }) }),
            Ok(Err(reason)) => Err(failed(reason)),
            Err(_) => Err(failed(format!("sled did not open it within {} seconds", OPEN_LIMIT.as_secs()))),
        }
    }
}

/// The database of a volume.
#[derive(Debug)]
pub struct Database {
    volume: u64,
    dir: PathBuf,
    /// Taken away when it is closed.
    sled: Option<Sled>,
}

#[derive(Debug)]
struct Sled {
    db: sled::Db,
    blocks: sled::Tree,
}

impl Drop for Database {
    /// sled writes when it is closed, and panics when that fails, as on a full disk. What it could not write is in the journal.
    fn drop(&mut self) {
        let closing = self.sled.take();
        if !self.dir.exists() {
            // It was moved away with the log, and sled would make the directories anew where they were.
            std::mem::forget(closing);
            return;
        }
        if let Err(reason) = guarded(|| drop(closing)) {
            tracing::warn!(
                volume = self.volume,
                reason,
                "sled gave up while closing the database: it is made again when it is needed"
            );
        }
    }
}

impl Database {
    /// Opens the database of a volume, or makes an empty one.
    pub fn open(path: &VolumePath) -> Result<Self, ReadError> {
        Self::open_at(&path.sled(), path.number)
    }

    /// Opens the database of a volume that is, or was copied, elsewhere.
    pub fn open_at(dir: &Path, volume: u64) -> Result<Self, ReadError> {
        Self::begin_at(dir, volume)?.wait()
    }

    /// Begins to open the database of a volume: sled reads much of it, and there is other work to do meanwhile.
    pub fn begin(path: &VolumePath) -> Result<Opening, ReadError> {
        Self::begin_at(&path.sled(), path.number)
    }

    fn begin_at(dir: &Path, volume: u64) -> Result<Opening, ReadError> {
        let (send, opened) = mpsc::channel();
        // sled would make the directories above it too: where they are gone, the log is.
        match std::fs::create_dir(dir) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(ReadError::Io { path: dir.to_owned(), source: error });
            }
            Ok(()) | Err(_) => {}
        }
        let (opening, dir) = (dir.to_owned(), dir.to_owned());
        // A thread that never comes back is left behind; whoever asked goes on.
        std::thread::Builder::new()
            .name("docket-sled-open".into())
            .spawn(move || _ = send.send(open_sled(&opening)))
            .map_err(|error| ReadError::Database { volume, reason: error.to_string() })?;
        Ok(Opening { volume, dir, opened })
    }

    /// Asks sled. A panic of it is an error here.
    fn ask<T>(&self, question: impl FnOnce(&Sled) -> Result<T, sled::Error>) -> Result<T, ReadError> {
        let failed = |reason: String| ReadError::Database { volume: self.volume, reason };
        let Some(sled) = &self.sled else { return Err(failed("it is closed".into())) };
        match guarded(|| question(sled)) {
            Ok(answer) => answer.map_err(|error| failed(words(&error))),
            Err(reason) => Err(failed(format!("sled gave up while reading or writing it ({reason})"))),
        }
    }

    fn corrupt(&self, position: Position, reason: String) -> ReadError {
        ReadError::Corrupt { volume: self.volume, position, reason: format!("the database: {reason}") }
    }

    fn unreadable(&self, position: Position, why: Unreadable) -> ReadError {
        match why {
            Unreadable::Damaged(reason) => self.corrupt(position, reason),
            newer @ (Unreadable::NewerFormat(_) | Unreadable::Newer { .. }) => {
                newer.at(self.volume, position, Path::new("the database"))
            }
        }
    }

    /// Stores a block's frame.
    pub fn put(&self, first: Position, frame: &[u8]) -> Result<(), ReadError> {
        self.ask(|sled| sled.blocks.insert(first.get().to_be_bytes(), frame)).map(drop)
    }

    /// The payload of the block that holds this position.
    pub fn payload(&self, position: Position) -> Result<Vec<u8>, ReadError> {
        let found = self.ask(|sled| sled.blocks.get_lt(position.next().get().to_be_bytes()))?;
        let (_, frame) = found.ok_or_else(|| self.corrupt(position, "the block is missing".into()))?;
        let payload = unframe(&frame).map_err(|reason| self.corrupt(position, reason))?;
        let head = BlockHead::decode(payload).map_err(|why| self.unreadable(position, why))?;
        if head.first > position || head.last() < position {
            return Err(self.corrupt(position, "the block is missing".into()));
        }
        Ok(payload.to_vec())
    }

    /// The payload of the block that begins at this position, when it is sound and continues the chain after `before`. One that
    /// only a newer program can read is sound.
    pub fn continuing(&self, first: Position, before: BlockHash) -> Option<Vec<u8>> {
        let found = self.ask(|sled| sled.blocks.get(first.get().to_be_bytes())).ok()??;
        let payload = unframe(&found).ok()?;
        let head = BlockHead::decode(payload).ok()?;
        (head.first == first && head.previous_block == before && Block::is_sound(payload)).then(|| payload.to_vec())
    }

    /// The first difference from the journal, when there is one.
    pub fn difference(&self, path: &VolumePath, mut read: impl FnMut(u64)) -> Result<Option<String>, ReadError> {
        let mut walk = BlockWalk::open(path)?;
        let mut stored = self.ask(|sled| Ok(sled.blocks.iter()))?;
        while let Some(block) = walk.next_block()? {
            let same = match self.ask(|_| stored.next().transpose())? {
                Some((key, bytes)) => {
                    read(2 * bytes.len() as u64);
                    key == block.first.get().to_be_bytes() && unframe(&bytes) == Ok(&block.payload[..])
                }
                None => false,
            };
            if !same {
                return Ok(Some(format!("the block at position {} is missing or another", block.first)));
            }
        }
        Ok(self.ask(|_| stored.next().transpose())?.map(|_| "it holds more than the journal".into()))
    }

    /// True when its last block is this one: enough after a clean stop.
    pub fn ends_with(&self, position: Position, hash: BlockHash) -> bool {
        match self.ask(|sled| sled.blocks.last()) {
            Ok(Some((_, bytes))) => unframe(&bytes).is_ok_and(|payload| {
                BlockHash::of(payload) == hash && BlockHead::decode(payload).is_ok_and(|head| head.last() == position)
            }),
            Ok(None) | Err(_) => false,
        }
    }

    /// Writes the index in one sorted run.
    pub fn put_index(&self, index: &Index) -> Result<(), ReadError> {
        for (name, pages) in index_pages(index) {
            self.ask(|sled| {
                let tree = sled.db.open_tree(name)?;
                tree.clear()?;
                pages.into_iter().try_for_each(|(lower, page)| tree.insert(lower, page).map(drop))
            })?;
        }
        Ok(())
    }

    /// True when its index is the one of its journal.
    pub fn has_index(&self, index: &Index) -> Result<bool, ReadError> {
        for (name, pages) in index_pages(index) {
            let stored: Vec<_> = self.ask(|sled| sled.db.open_tree(name)?.iter().collect())?;
            if !stored
                .iter()
                .map(|(lower, page)| (&lower[..], &page[..]))
                .eq(pages.iter().map(|(l, p)| (&l[..], &p[..])))
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn look_up<const N: usize>(&self, tree: &str, name: &[u8; N]) -> Result<Option<Position>, ReadError> {
        let missing = || self.corrupt(Position::START, "its index is missing".into());
        let page = self.ask(|sled| sled.db.open_tree(tree)?.range(..=name.as_slice()).next_back().transpose())?;
        let (_, page) = page.ok_or_else(missing)?;
        pages::look_up(&page, name).map_err(|reason| self.corrupt(Position::START, reason))
    }

    /// Position of the stream's latest commit, by the index of a sealed volume.
    pub fn latest(&self, stream: &StreamId) -> Result<Option<Position>, ReadError> {
        self.look_up(STREAMS, &stream_key(stream))
    }

    /// Position of a commit id, by the index of a sealed volume.
    pub fn find(&self, id: &CommitId) -> Result<Option<Position>, ReadError> {
        self.look_up(COMMITS, &id.ulid().to_bytes())
    }

    /// Writes what sled holds back to its files.
    pub fn flush(&self) -> Result<(), ReadError> {
        self.ask(|sled| sled.db.flush()).map(drop)
    }

    /// Makes all of it durable: sled's own flush does not wait for the disk.
    pub fn sync(&self, path: &VolumePath) -> Result<(), ReadError> {
        self.flush()?;
        files::sync_tree(&path.sled()).map_err(|source| path.io(source))
    }
}

type Pages = Vec<(Vec<u8>, Vec<u8>)>;

fn index_pages(index: &Index) -> [(&'static str, Pages); 2] {
    let mut streams: Vec<_> = index.streams().iter().map(|(stream, at)| (stream_key(stream), *at)).collect();
    streams.sort_unstable();
    let mut commits: Vec<_> = index.commits().iter().map(|(id, at)| (id.ulid().to_bytes(), *at)).collect();
    commits.sort_unstable();
    [(STREAMS, pages::build(&streams)), (COMMITS, pages::build(&commits))]
}

/// What sled says, in words that help whoever reads them.
fn words(error: &sled::Error) -> String {
    match error {
        // sled adds an empty backtrace.
        sled::Error::Corruption { .. } => "sled says that its files are damaged".into(),
        sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_)
        | sled::Error::Io(_) => brief(error),
    }
}

fn open_sled(dir: &Path) -> Result<(sled::Db, sled::Tree), String> {
    // The journal holds what matters, so sled need not sync on its own; sealing and closing sync its files.
    let config =
        sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None).mode(sled::Mode::HighThroughput);
    for attempt in 0..=LOCK_ATTEMPTS {
        let opened = guarded(|| {
            let db = config.open()?;
            let blocks = db.open_tree(BLOCKS)?;
            Ok::<_, sled::Error>((db, blocks))
        });
        match opened {
            Ok(Ok(opened)) => return Ok(opened),
            // The kernel may hold the lock of a process that was killed, or of a database that is being dropped, for
            // a moment longer. Everybody else is kept out by the lock of the data directory.
            Ok(Err(sled::Error::Io(error)))
                if attempt < LOCK_ATTEMPTS && error.to_string().contains("could not acquire lock") =>
            {
                std::thread::sleep(LOCK_PAUSE);
            }
            Ok(Err(error)) => return Err(words(&error)),
            Err(reason) => return Err(format!("sled gave up while opening it ({reason})")),
        }
    }
    Err("its lock is not given back".into())
}

/// Seventeen bytes: a tag and the id; zeros where a stream has none. Kinds that come after these five get no tag: every version
/// names their streams alike, whether it knows them or not, and so gives the same index and the same seal.
pub fn stream_key(stream: &StreamId) -> [u8; 17] {
    let (tag, id) = match stream {
        StreamId::Desk => (1, [0; 16]),
        StreamId::Access => (2, [0; 16]),
        StreamId::Ticket(id) => (3, id.ulid().to_bytes()),
        StreamId::Customer(id) => (4, id.ulid().to_bytes()),
        StreamId::Requests => (5, [0; 16]),
        StreamId::Reads(_) | StreamId::Unknown(_) => {
            let mut id = [0; 16];
            id.copy_from_slice(&Sha256::digest(stream.to_string())[..16]);
            (255, id)
        }
    };
    let mut key = [0; 17];
    key[0] = tag;
    key[1..].copy_from_slice(&id);
    key
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
