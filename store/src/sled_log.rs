//! The log on disk: volumes of a journal and a sled database.

use std::{
    collections::{HashMap, VecDeque},
    fs::TryLockError,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use docket_core::{
    event::Commit,
    ids::{CommitId, Position, StreamId},
};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    codec::{Block, BlockHash, EncodedAppend},
    data_dir::{DataDir, DataDirError},
    database::{Database, rebuild_database},
    files,
    held::{DataLock, Held},
    index::Index,
    journal::{JOURNAL_FORMAT, JournalHeader, JournalWriter},
    log::{Append, AppendError, BoxFuture, Commits, EventLog, Head, Page, ReadError},
    scan::LogScan,
    seal::{Seal, prove_database, write_seal},
    volume::{BlockWalk, CleanStop, LiveVolume, SealedVolume, VolumePath, commit_of, read_journal},
    writer::{Submission, Writer},
};

/// What may be set.
#[derive(Debug, Clone, Copy)]
pub struct SledLogOptions {
    /// A volume is sealed once its journal has so many bytes.
    pub volume_bytes: u64,
    /// Appends that may wait for the writer; further ones wait for a place.
    pub queue: usize,
    /// Bytes that stay free on the disk: appends are refused before it is full, so that the log can still be closed, opened
    /// and repaired. They are taken again as soon as there is space.
    pub reserve_bytes: u64,
}

impl Default for SledLogOptions {
    fn default() -> Self {
        Self { volume_bytes: 256 * 1024 * 1024, queue: 4096, reserve_bytes: 64 * 1024 * 1024 }
    }
}

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// What is in it cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file of the log cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What opening found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OpenReport {
    /// Volumes of the log.
    pub volumes: u64,
    /// Bytes of an interrupted write that were cut off the newest journal. Nothing in them was ever acknowledged.
    pub torn_bytes: u64,
    /// The newest volume's database was made anew from its journal, because the last stop was not a clean one.
    pub database_rebuilt: bool,
    /// Volumes that were sealed now, because an interruption had kept them from it or their database could not be read.
    pub sealed: Vec<u64>,
    /// Why the log was opened only to be read: its databases could not be made.
    pub read_only: Option<String>,
}

/// One of the log's volumes.
#[derive(Debug, Clone)]
pub enum Volume {
    Live(Arc<LiveVolume>),
    Sealed(Arc<SealedVolume>),
}

impl Volume {
    fn first(&self) -> Position {
        match self {
            Self::Live(volume) => volume.first,
            Self::Sealed(volume) => volume.seal.first,
        }
    }
}

/// Sealed databases kept open at most.
const OPEN_SEALED: usize = 4;
/// How often an idle log looks whether its files are where they were.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Latest commits kept at most, for followers that keep up; and their bytes, as encoded.
const RECENT_COMMITS: usize = 4096;
const RECENT_BYTES: usize = 8 * 1024 * 1024;

/// What the writer and the readers share.
pub struct Shared {
    pub data: DataDir,
    /// Ascending by position.
    volumes: RwLock<Vec<Volume>>,
    recent: RwLock<Recent>,
    opened: Mutex<OpenedSealed>,
    pub head: watch::Sender<Head>,
    poison: OnceLock<String>,
    lock: DataLock,
    /// The newest volume's journal.
    journal: RwLock<Option<Arc<Held>>>,
    /// A database gave something that it should not: the next start makes the newest one again from its journal.
    suspect: AtomicBool,
    reserve_bytes: u64,
}

/// The latest commits without a gap, each with its encoded length.
#[derive(Default)]
struct Recent {
    commits: VecDeque<(Arc<Commit>, usize)>,
    bytes: usize,
}

impl Recent {
    fn add(&mut self, commits: Vec<(Arc<Commit>, usize)>) {
        self.bytes += commits.iter().map(|(_, bytes)| bytes).sum::<usize>();
        self.commits.extend(commits);
        while self.commits.len() > RECENT_COMMITS || self.bytes > RECENT_BYTES {
            let Some((_, bytes)) = self.commits.pop_front() else { break };
            self.bytes -= bytes;
        }
    }

    /// The commits from a position on, when it is among them.
    fn from(&self, position: Position) -> Option<impl Iterator<Item = &(Arc<Commit>, usize)>> {
        let (oldest, _) = self.commits.front()?;
        let skip = usize::try_from(position.get().checked_sub(oldest.position.get())?).ok()?;
        Some(self.commits.iter().skip(skip))
    }
}

#[derive(Default)]
struct OpenedSealed {
    latest: VecDeque<Arc<Database>>,
    all: HashMap<u64, Weak<Database>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub fn poisoned(&self) -> Option<&str> {
        self.poison.get().map(String::as_str)
    }

    /// Nothing is acknowledged from now on.
    pub fn poison(&self, reason: String) {
        tracing::error!(reason, "the log takes no more writes");
        let _ = self.poison.set(reason);
    }

    /// True once a database could not be read.
    pub fn suspect(&self) -> bool {
        self.suspect.load(Ordering::Relaxed)
    }

    fn volumes(&self) -> Vec<Volume> {
        self.volumes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The volume that takes blocks from now on.
    pub fn push_volume(&self, live: &Arc<LiveVolume>, journal: &JournalWriter) {
        self.volumes.write().unwrap_or_else(PoisonError::into_inner).push(Volume::Live(Arc::clone(live)));
        *self.journal.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(journal.held()));
    }

    /// Whether directory and lock are still what their paths name: else somebody else may have the right to write, or what
    /// is written goes where nobody will look for it.
    ///
    /// # Errors
    /// What became of them, in words.
    pub fn still_there(&self) -> Result<(), String> {
        self.lock.still_there()
    }

    /// Looks now and then whether everything is where it was: an idle log notices it too.
    fn watch(&self, stop: &std::sync::mpsc::Receiver<()>) {
        use std::sync::mpsc::RecvTimeoutError;
        while stop.recv_timeout(WATCH_EVERY) == Err(RecvTimeoutError::Timeout) && self.poisoned().is_none() {
            let journal = self.journal.read().unwrap_or_else(PoisonError::into_inner).clone();
            let there = journal.map_or(Ok(()), |journal| journal.still_there().map(drop));
            if let Err(reason) = self.still_there().and(there) {
                self.poison(reason);
            }
        }
    }

    /// Why appends are refused for want of space, when they are.
    pub fn no_space(&self) -> Option<AppendError> {
        if self.reserve_bytes == 0 {
            return None;
        }
        let free = self.data.free_bytes().ok()?;
        (free < self.reserve_bytes).then_some(AppendError::NoSpace { free, reserve: self.reserve_bytes })
    }

    /// Seals a full volume: completes its database, proves it against the journal, writes the seal. Readers go on, for a
    /// moment from the journal.
    pub fn seal(&self, live: &Arc<LiveVolume>) -> Result<(), ReadError> {
        let index = live.index.read().unwrap_or_else(PoisonError::into_inner);
        let complete = live.with_database(|database| {
            database.put_index(&index)?;
            database.sync(&live.path)
        });
        if let Some(Err(error)) = complete {
            tracing::warn!(%error, volume = live.path.number, "the database is made again from the journal");
        }
        drop(live.database.write().unwrap_or_else(PoisonError::into_inner).take());
        let mut walk = BlockWalk::open(&live.path)?;
        while walk.next_block()?.is_some() {}
        whole(&live.path, &walk)?;
        prove_database(&live.path, &index)?;
        let (seal, filters) = write_seal(&live.path, &walk, &index)?;
        drop(index);
        let sealed = Volume::Sealed(Arc::new(SealedVolume::new(live.path.clone(), seal, filters)));
        let mut volumes = self.volumes.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = volumes.iter_mut().find(|volume| volume.first() == live.first) {
            *place = sealed;
        }
        Ok(())
    }

    fn sealed_database(&self, volume: &SealedVolume) -> Result<Arc<Database>, ReadError> {
        let mut opened = lock(&self.opened);
        if let Some(database) = opened.all.get(&volume.path.number).and_then(Weak::upgrade) {
            return Ok(database);
        }
        let database = Arc::new(Database::open(&volume.path)?);
        opened.all.insert(volume.path.number, Arc::downgrade(&database));
        opened.latest.push_back(Arc::clone(&database));
        if opened.latest.len() > OPEN_SEALED {
            opened.latest.pop_front();
        }
        Ok(database)
    }

    /// Asks the database of a sealed volume. When it cannot answer, the volume is read from its journal from now on: that is
    /// slower, and right.
    fn ask<T>(
        &self,
        sealed: &SealedVolume,
        database: impl FnOnce(&Database) -> Result<T, ReadError>,
        live: impl FnOnce(&LiveVolume) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let error = match self.sealed_database(sealed).and_then(|opened| database(&opened)) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let path = &sealed.path;
        tracing::error!(%error, volume = path.number, "a database cannot be read; the volume is read from its journal, and the next start makes the database again");
        let (index, walk) = read_journal(path, |_| Ok(()))?;
        if walk.reached() != (sealed.seal.last, sealed.seal.hash) {
            return Err(error);
        }
        // Only a word to the next start: without it the volume is found out again.
        let _ = std::fs::write(path.suspect(), b"");
        let volume = Arc::new(live_volume(path.clone(), sealed.seal.first, None, index));
        let mut volumes = self.volumes.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = volumes.iter_mut().find(|volume| volume.first() == sealed.seal.first) {
            *place = Volume::Live(Arc::clone(&volume));
        }
        drop(volumes);
        live(&volume)
    }

    /// Position of the stream's latest commit in the whole log.
    pub fn latest(&self, stream: &StreamId) -> Result<Position, ReadError> {
        let live = |live: &LiveVolume| live.with_index(|index| index.latest(stream));
        for volume in self.volumes().iter().rev() {
            let latest = match volume {
                Volume::Live(volume) => live(volume),
                Volume::Sealed(sealed) if sealed.may_hold_stream(stream)? => {
                    self.ask(sealed, |database| database.latest(stream), |volume| Ok(live(volume)))?
                }
                Volume::Sealed(_) => None,
            };
            if let Some(latest) = latest {
                return Ok(latest);
            }
        }
        Ok(Position::START)
    }

    pub fn find(&self, id: &CommitId) -> Result<Option<Position>, ReadError> {
        let live = |live: &LiveVolume| live.with_index(|index| index.find(id));
        for volume in self.volumes().iter().rev() {
            let found = match volume {
                Volume::Live(volume) => live(volume),
                Volume::Sealed(sealed) if sealed.may_hold_commit(id)? => {
                    self.ask(sealed, |database| database.find(id), |volume| Ok(live(volume)))?
                }
                Volume::Sealed(_) => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Number of the volume that holds a position; 0 when none does.
    fn volume_of(&self, position: Position) -> u64 {
        let volumes = self.volumes.read().unwrap_or_else(PoisonError::into_inner);
        volumes.partition_point(|volume| volume.first() <= position) as u64
    }

    /// The bytes of the block that holds a durable position, and the volume that they are from.
    fn payload(&self, position: Position) -> Result<(VolumePath, Vec<u8>), ReadError> {
        let volumes = self.volumes();
        let at = volumes.partition_point(|volume| volume.first() <= position);
        match at.checked_sub(1).and_then(|at| volumes.get(at)) {
            Some(Volume::Live(live)) => {
                let payload = match live.payload(position) {
                    None => live.payload_from_journal(position),
                    Some(Err(error)) => {
                        tracing::error!(%error, "the journal is read instead; the next start makes the database again");
                        self.suspect.store(true, Ordering::Relaxed);
                        live.payload_from_journal(position)
                    }
                    Some(Ok(payload)) => Ok(payload),
                };
                Ok((live.path.clone(), payload?))
            }
            Some(Volume::Sealed(sealed)) => {
                let from_journal = |live: &LiveVolume| live.payload_from_journal(position);
                let payload = self.ask(sealed, |database| database.payload(position), from_journal)?;
                Ok((sealed.path.clone(), payload))
            }
            None => Err(ReadError::Corrupt { volume: 0, position, reason: "no volume holds the position".into() }),
        }
    }

    /// The block that holds a durable position, and its length.
    fn block(&self, position: Position) -> Result<(Block, usize), ReadError> {
        let (volume, payload) = self.payload(position)?;
        let block = Block::decode(&payload).map_err(|why| why.at(volume.number, position, &volume.journal()))?;
        Ok((block, payload.len()))
    }

    /// The commit at a durable position.
    fn commit(&self, position: Position) -> Result<Arc<Commit>, ReadError> {
        {
            let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
            if let Some((commit, _)) = recent.from(position).and_then(|mut commits| commits.next()) {
                return Ok(Arc::clone(commit));
            }
        }
        let (volume, payload) = self.payload(position)?;
        commit_of(&volume, &payload, position).map(Arc::new)
    }

    /// Walks a stream back from its latest commit to a position, and hands over what is durable of it.
    fn walk_back(
        &self,
        stream: StreamId,
        after: Position,
        head: Position,
        mut each: impl FnMut(Arc<Commit>),
    ) -> Result<(), ReadError> {
        // Every commit names the one before it in its stream, so none can be missing unnoticed.
        let mut next = self.latest(&stream)?;
        while next > after {
            let commit = self.commit(next)?;
            if commit.stream != stream || commit.previous >= next {
                let (own, previous) = (commit.stream, commit.previous);
                let reason = if own == stream {
                    format!("the commit of {stream} names {previous} as the one before it, which is not before it")
                } else {
                    format!("{stream} leads to this commit, which is one of {own}")
                };
                return Err(ReadError::Corrupt { volume: self.volume_of(next), position: next, reason });
            }
            next = commit.previous;
            // The writer knows it already; nobody else does yet.
            if commit.position <= head {
                each(commit);
            }
        }
        Ok(())
    }

    /// Shows commits to readers, each with its encoded length: they are durable and in the database.
    pub fn publish(&self, commits: Vec<(Arc<Commit>, usize)>, head: Head) {
        self.recent.write().unwrap_or_else(PoisonError::into_inner).add(commits);
        self.head.send_replace(head);
    }
}

/// An event log on disk.
pub struct SledLog {
    shared: Arc<Shared>,
    queue: Mutex<Option<mpsc::Sender<Submission>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Ends the watching thread when it is dropped.
    watching: Mutex<Option<(std::sync::mpsc::Sender<()>, JoinHandle<()>)>>,
    report: OpenReport,
}

impl SledLog {
    /// Opens the log of a data directory, or makes it. Takes the directory's lock.
    ///
    /// # Errors
    /// When the directory is in use or cannot be read or written, or the log is damaged elsewhere than at its very end.
    pub fn open(data: DataDir, options: SledLogOptions) -> Result<Self, OpenError> {
        let right = data.lock()?;
        let dir = data.log();
        let write = |source| OpenError::Write { path: dir.clone(), source };
        let mut paths = data.volumes()?;
        files::sync_dir(&dir).map_err(write)?;
        let mut report = OpenReport::default();
        let genesis = Head { position: Position::START, hash: BlockHash::genesis(data.log_id()) };
        discard_unborn(&dir, &mut paths).map_err(write)?;
        let mut volumes = Vec::new();
        let mut head = genesis;
        let newest = paths.pop();
        for (path, number) in paths.iter().zip(1..) {
            let (volume, end) = open_older(path, number, data.log_id(), head, &mut report)?;
            volumes.push(volume);
            head = end;
        }
        let (journal, live) = match newest {
            Some(path) => {
                let number = volumes.len() as u64 + 1;
                let (journal, live, end) = open_newest(path, number, data.log_id(), head, &mut report)?;
                head = end;
                (journal, live)
            }
            None => new_volume(&data, 1, head)?,
        };
        let live = Arc::new(live);
        report.volumes = volumes.len() as u64 + 1;
        let shared = Arc::new(Shared {
            data,
            lock: right,
            journal: RwLock::default(),
            volumes: RwLock::new(volumes),
            recent: RwLock::default(),
            opened: Mutex::default(),
            head: watch::Sender::new(head),
            poison: OnceLock::new(),
            suspect: AtomicBool::new(false),
            reserve_bytes: options.reserve_bytes,
        });
        shared.push_volume(&live, &journal);
        if let Some(reason) = &report.read_only {
            shared.poison(reason.clone());
        }
        let (queue, submissions) = mpsc::channel(options.queue);
        let writer = Writer::new(Arc::clone(&shared), journal, live, options.volume_bytes);
        let thread = std::thread::Builder::new()
            .name("docket-log".into())
            .spawn(move || writer.run(submissions))
            .map_err(write)?;
        let (stop, stopped) = std::sync::mpsc::channel();
        let watched = Arc::clone(&shared);
        let watching = std::thread::Builder::new()
            .name("docket-log-watch".into())
            .spawn(move || watched.watch(&stopped))
            .map_err(write)?;
        Ok(Self {
            shared,
            queue: Mutex::new(Some(queue)),
            writer: Mutex::new(Some(thread)),
            watching: Mutex::new(Some((stop, watching))),
            report,
        })
    }

    /// What opening found and did.
    pub const fn report(&self) -> &OpenReport {
        &self.report
    }

    /// The data directory.
    pub fn data(&self) -> &DataDir {
        &self.shared.data
    }

    /// The write or sync that failed, after which nothing is taken any more.
    pub fn failure(&self) -> Option<String> {
        self.shared.poisoned().map(str::to_owned)
    }

    /// Answers what is waiting, makes the database complete, and stops. Later appends get [`AppendError::Closed`].
    pub fn close(&self) {
        drop(lock(&self.queue).take());
        if let Some(thread) = lock(&self.writer).take()
            && thread.join().is_err()
        {
            self.shared.poison("the writer broke off".into());
        }
        if let Some((stop, thread)) = lock(&self.watching).take() {
            drop(stop);
            // It only looks: whatever became of it changes nothing.
            let _ = thread.join();
        }
    }

    fn sender(&self) -> Option<mpsc::Sender<Submission>> {
        lock(&self.queue).clone()
    }

    fn refused(&self) -> AppendError {
        match self.shared.poisoned() {
            Some(reason) => AppendError::Poisoned { reason: reason.to_owned() },
            None => AppendError::Closed,
        }
    }
}

impl Drop for SledLog {
    fn drop(&mut self) {
        self.close();
    }
}

impl EventLog for SledLog {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Position, AppendError>> {
        Box::pin(async move {
            let encoded = EncodedAppend::try_new(append)?;
            let sender = self.sender().ok_or_else(|| self.refused())?;
            let (answer, answered) = oneshot::channel();
            sender.send(Submission { encoded, answer }).await.map_err(|_| self.refused())?;
            drop(sender);
            answered.await.unwrap_or_else(|_| Err(self.refused()))
        })
    }

    fn append_all(&self, appends: Vec<Append>) -> Vec<Result<Position, AppendError>> {
        let sender = self.sender();
        let submit = |append| {
            let encoded = EncodedAppend::try_new(append)?;
            let (answer, answered) = oneshot::channel();
            let sender = sender.as_ref().ok_or_else(|| self.refused())?;
            sender.blocking_send(Submission { encoded, answer }).map_err(|_| self.refused())?;
            Ok(answered)
        };
        let waiting: Vec<Result<oneshot::Receiver<_>, AppendError>> = appends.into_iter().map(submit).collect();
        waiting.into_iter().map(|answered| answered?.blocking_recv().unwrap_or_else(|_| Err(self.refused()))).collect()
    }

    fn head(&self) -> Head {
        *self.shared.head.borrow()
    }

    fn watch_head(&self) -> watch::Receiver<Head> {
        self.shared.head.subscribe()
    }

    fn read_page(&self, after: Position, page: Page) -> Result<Vec<Arc<Commit>>, ReadError> {
        let head = self.head().position;
        if after >= head || page.commits == 0 {
            return Ok(Vec::new());
        }
        let mut next = after.next();
        {
            let recent = self.shared.recent.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(commits) = recent.from(next) {
                return Ok(page.fill(commits.cloned()));
            }
        }
        let (mut commits, mut left) = (Vec::new(), page);
        while next <= head && left.commits > 0 {
            let (block, length) = self.shared.block(next)?;
            // Commits of a block weigh about the same; what they weigh together is known.
            let each = length.div_ceil(block.commits.len().max(1));
            let wanted = block.commits.iter().filter(|commit| commit.position >= next && commit.position <= head);
            let wanted = wanted.map(|commit| (Arc::clone(commit), each));
            let last = block.last().min(head);
            let taken = match commits.is_empty() {
                true => left.fill(wanted),
                false if each > left.bytes => break,
                false => left.fill(wanted),
            };
            left.commits -= taken.len();
            left.bytes = left.bytes.saturating_sub(taken.len().saturating_mul(each));
            let reached = taken.last().map(|commit| commit.position);
            commits.extend(taken);
            if reached != Some(last) {
                break;
            }
            next = last.next();
        }
        Ok(commits)
    }

    fn read_stream(&self, stream: StreamId, after: Position) -> Result<Vec<Arc<Commit>>, ReadError> {
        let mut commits = Vec::new();
        self.shared.walk_back(stream, after, self.head().position, |commit| commits.push(commit))?;
        commits.reverse();
        Ok(commits)
    }

    fn stream_positions(&self, stream: StreamId, after: Position) -> Result<Vec<Position>, ReadError> {
        let mut positions = Vec::new();
        self.shared.walk_back(stream, after, self.head().position, |commit| positions.push(commit.position))?;
        positions.reverse();
        Ok(positions)
    }

    fn read_last(&self, stream: StreamId) -> Result<Option<Arc<Commit>>, ReadError> {
        let head = self.head().position;
        let mut next = self.shared.latest(&stream)?;
        while next > head {
            // The writer knows it already; nobody else does yet.
            next = self.shared.commit(next)?.previous;
        }
        if next.is_start() { Ok(None) } else { self.shared.commit(next).map(Some) }
    }

    fn find(&self, id: CommitId) -> Result<Option<Position>, ReadError> {
        // The index knows a commit a moment before it is published; nobody else does yet.
        let head = self.head().position;
        Ok(self.shared.find(&id)?.filter(|position| *position <= head))
    }

    fn scan(&self, after: Position) -> Result<Commits<'_>, ReadError> {
        let head = self.head().position;
        let scan = LogScan::new(&self.shared.data, after)?;
        Ok(Box::new(scan.take_while(move |commit| commit.as_ref().map_or(true, |c| c.position <= head))))
    }

    fn read_only(&self) -> Option<String> {
        let poisoned = self.shared.poisoned().map(str::to_owned);
        poisoned.or_else(|| self.shared.no_space().map(|error| error.to_string()))
    }
}

/// An older journal ends with a whole frame: what followed it was written after its last sync.
fn whole(path: &VolumePath, walk: &BlockWalk) -> Result<(), ReadError> {
    if walk.torn_bytes == 0 {
        return Ok(());
    }
    let reason = "the journal ends in the middle of a frame, and is not the newest".into();
    Err(ReadError::Corrupt { volume: path.number, position: walk.reached().0.next(), reason })
}

/// An interruption while the newest volume was being made leaves a directory whose journal has no whole header. Nothing was
/// ever written to it.
fn discard_unborn(dir: &std::path::Path, paths: &mut Vec<VolumePath>) -> std::io::Result<()> {
    let Some(newest) = paths.last() else { return Ok(()) };
    if newest.is_unborn()? {
        tracing::warn!(volume = newest.number, "a volume whose making was interrupted is made again");
        files::remove_dir(&newest.dir)?;
        files::sync_dir(dir)?;
        paths.pop();
    }
    Ok(())
}

/// Opens a volume that is not the newest: by its seal; without one its sealing was interrupted, and is done now.
fn open_older(
    path: &VolumePath,
    number: u64,
    log_id: &str,
    before: Head,
    report: &mut OpenReport,
) -> Result<(Volume, Head), OpenError> {
    let corrupt = |reason: String| {
        OpenError::Read(ReadError::Corrupt { volume: number, position: before.position.next(), reason })
    };
    if path.number != number {
        return Err(corrupt(format!("volume {number} is missing")));
    }
    let sealed = if path.suspect().exists() { None } else { Seal::read(path)? };
    if let Some((seal, filters)) = sealed {
        if seal.first != before.position.next() || seal.previous_block != before.hash {
            return Err(corrupt("the volume does not continue the chain of the one before".into()));
        }
        let length = std::fs::metadata(path.journal()).map_err(|source| path.io(source))?.len();
        if length != seal.journal_bytes {
            return Err(corrupt(format!("its journal has {length} bytes, its seal says {}", seal.journal_bytes)));
        }
        let end = Head { position: seal.last, hash: seal.hash };
        return Ok((Volume::Sealed(Arc::new(SealedVolume::new(path.clone(), seal, filters))), end));
    }
    let (index, walk) = read_journal(path, |_| Ok(()))?;
    continues(path, &walk, log_id, before)?;
    whole(path, &walk)?;
    let (position, hash) = walk.reached();
    let end = Head { position, hash };
    match prove_database(path, &index).and_then(|()| write_seal(path, &walk, &index)) {
        Ok((seal, filters)) => {
            files::remove_file(&path.suspect()).map_err(|source| path.io(source))?;
            report.sealed.push(number);
            Ok((Volume::Sealed(Arc::new(SealedVolume::new(path.clone(), seal, filters))), end))
        }
        Err(error) => {
            report.read_only = Some(format!("sealing volume {number} failed: {error}"));
            Ok((Volume::Live(Arc::new(live_volume(path.clone(), before.position.next(), None, index))), end))
        }
    }
}

fn continues(path: &VolumePath, walk: &BlockWalk, log_id: &str, before: Head) -> Result<(), ReadError> {
    let corrupt = |reason: &str| ReadError::Corrupt {
        volume: path.number,
        position: before.position.next(),
        reason: reason.into(),
    };
    if walk.log_id() != log_id {
        return Err(corrupt("the volume belongs to another log"));
    }
    if walk.start() != (before.position.next(), before.hash) {
        return Err(corrupt("the volume does not continue the chain of the one before"));
    }
    Ok(())
}

fn live_volume(path: VolumePath, first: Position, database: Option<Database>, index: Index) -> LiveVolume {
    LiveVolume { first, database: RwLock::new(database), index: RwLock::new(index), path }
}

fn open_newest(
    path: VolumePath,
    number: u64,
    log_id: &str,
    before: Head,
    report: &mut OpenReport,
) -> Result<(JournalWriter, LiveVolume, Head), OpenError> {
    let write = |source| OpenError::Write { path: path.dir.clone(), source };
    if path.number != number {
        let reason = format!("volume {number} is missing");
        return Err(OpenError::Read(ReadError::Corrupt { volume: number, position: before.position.next(), reason }));
    }
    let clean = CleanStop::read(&path)?;
    // It opens while the journal is read: to be used again after a clean stop, to be asked after another one.
    let opening = if path.sled().exists() { Database::begin(&path).ok() } else { None };
    let read = read_journal(&path, |_| Ok(()));
    // Whatever comes of it, nobody is left at work in the directory.
    let found = opening.and_then(|opening| opening.wait().ok());
    let (index, walk) = read?;
    continues(&path, &walk, log_id, before)?;
    let (position, hash) = walk.reached();
    if let Some(clean) = &clean
        && (clean.position > position || walk.torn_bytes > 0)
    {
        return Err(OpenError::Read(clean.missing(path.number, position)));
    }
    if let Some(clean) = &clean
        && clean.position == position
        && clean.hash != hash
    {
        return Err(OpenError::Read(clean.differs(path.number)));
    }
    if clean.is_none() && found.as_ref().is_some_and(|database| database.continuing(position.next(), hash).is_some()) {
        // The database is told of a block after its sync only.
        let reason = "the journal ends before a block that the database still has: it held it once".into();
        return Err(OpenError::Read(ReadError::Corrupt { volume: number, position: position.next(), reason }));
    }
    report.torn_bytes = walk.torn_bytes;
    let reusable =
        clean.is_some_and(|clean| (clean.position, clean.hash, clean.journal_bytes) == (position, hash, walk.bytes()));
    let journal = JournalWriter::open(&path.journal(), walk.bytes(), !reusable).map_err(|error| taken(&path, error))?;
    let reused =
        found.filter(|database| reusable && (position == before.position || database.ends_with(position, hash)));
    let database = match reused {
        Some(database) => Some(database),
        None => {
            report.database_rebuilt = position > before.position;
            match rebuild_database(&path) {
                Ok(database) => Some(database),
                Err(error) => {
                    // The journal is whole: what is there can be read, and whoever needs it at night can.
                    report.read_only = Some(format!("making the database of volume {number} failed: {error}"));
                    None
                }
            }
        }
    };
    if report.read_only.is_none() {
        files::remove_file(&path.clean()).map_err(write)?;
        files::sync_dir(&path.dir).map_err(write)?;
    }
    Ok((journal, live_volume(path, before.position.next(), database, index), Head { position, hash }))
}

fn taken(path: &VolumePath, error: TryLockError) -> OpenError {
    match error {
        TryLockError::WouldBlock => DataDirError::Shared { path: path.journal() }.into(),
        TryLockError::Error(source) => OpenError::Write { path: path.journal(), source },
    }
}

/// Makes the volume after `before`, durable before it takes anything.
pub fn new_volume(data: &DataDir, number: u64, before: Head) -> Result<(JournalWriter, LiveVolume), OpenError> {
    let path = VolumePath::new(&data.log(), number);
    let write = |source| OpenError::Write { path: path.dir.clone(), source };
    // Not the directories above it: where they are gone, the log is.
    match std::fs::create_dir(&path.dir) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(write(error)),
        Ok(()) | Err(_) => files::sync_dir(&data.log()).map_err(write)?,
    }
    files::remove_dir(&path.sled()).map_err(write)?;
    let header = JournalHeader {
        format: JOURNAL_FORMAT,
        log: data.log_id().to_owned(),
        volume: number,
        first: before.position.next(),
        previous_block: before.hash,
    };
    let journal = JournalWriter::create(&path.journal(), &header).map_err(|error| taken(&path, error))?;
    let database = Database::open(&path)?;
    Ok((journal, live_volume(path, before.position.next(), Some(database), Index::default())))
}

/// Leaves the mark of a clean stop: the database is complete and on disk.
pub fn mark_clean(live: &LiveVolume, head: Head, journal_bytes: u64) -> Result<(), ReadError> {
    match live.with_database(|database| database.sync(&live.path)) {
        Some(synced) => synced?,
        None => return Ok(()),
    }
    CleanStop { position: head.position, hash: head.hash, journal_bytes }.write(&live.path)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use tempfile::TempDir;
    use ulid::Ulid;

    use super::*;
    use crate::{
        contract::{append, stream},
        journal::frame,
        log::Expected,
        scan::LogScan,
        verify::verify,
    };

    const TINY: SledLogOptions = SledLogOptions { volume_bytes: 20_000, queue: 64, reserve_bytes: 0 };

    fn check(dir: &Path) -> Result<crate::VerifyReport, ReadError> {
        verify(&data(dir), &crate::VerifyOptions::default(), |_| {})
    }

    fn data(dir: &Path) -> DataDir {
        DataDir::open_or_create(&dir.join("data"), Ulid::from_parts(1, 1)).unwrap()
    }

    fn open(dir: &Path) -> SledLog {
        SledLog::open(data(dir), TINY).unwrap()
    }

    fn fill(log: &SledLog, numbers: std::ops::Range<u32>) {
        let appends = numbers.map(|n| append(n, stream(n % 7), Expected::Any)).collect();
        assert!(log.append_all(appends).iter().all(Result::is_ok));
    }

    /// Leaves the directory as a killed process would: no clean stop.
    fn kill(log: SledLog, dir: &Path) {
        drop(log);
        for volume in VolumePath::list(&data(dir).log()).unwrap() {
            files::remove_file(&volume.clean()).unwrap();
        }
    }

    fn newest(dir: &Path) -> VolumePath {
        VolumePath::list(&data(dir).log()).unwrap().pop().unwrap()
    }

    mod in_one_volume {
        use super::*;
        fn fresh() -> (Arc<dyn EventLog>, TempDir) {
            let dir = tempfile::tempdir().unwrap();
            (Arc::new(SledLog::open(data(dir.path()), SledLogOptions::default()).unwrap()), dir)
        }
        crate::contract_suite!(fresh);
    }

    mod in_many_volumes {
        use super::*;
        fn fresh() -> (Arc<dyn EventLog>, TempDir) {
            let dir = tempfile::tempdir().unwrap();
            (Arc::new(open(dir.path())), dir)
        }
        crate::contract_suite!(fresh);
    }

    #[test]
    fn a_log_of_many_volumes_is_the_same_after_a_clean_stop_and_after_a_kill() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        for from in (0..1_010).step_by(10) {
            fill(&log, from..from + 10);
        }
        let head = log.head();
        let all = log.read_all(Position::START, 2_000).unwrap();
        let one = log.read_stream(stream(3), Position::START).unwrap();
        drop(log);
        let log = open(dir.path());
        assert!(log.report().volumes > 3, "{:?}", log.report());
        assert!(!log.report().database_rebuilt);
        assert_eq!(log.head(), head);
        assert_eq!(log.read_all(Position::START, 2_000).unwrap(), all);
        assert_eq!(log.read_stream(stream(3), Position::START).unwrap(), one);
        assert_eq!(log.append_all(vec![append(17, stream(3), Expected::Any)]), [Ok(Position::new(18))]);
        kill(log, dir.path());
        // Where the last volume begins depends on how the commits were grouped; an empty one has nothing to make again.
        let blocks = fs::metadata(newest(dir.path()).journal()).unwrap().len() > 400;
        let log = open(dir.path());
        assert_eq!(log.report().database_rebuilt, blocks);
        assert_eq!(log.head(), head);
        assert_eq!(log.read_stream(stream(3), Position::START).unwrap(), one);
        drop(log);
        let report = check(dir.path()).unwrap();
        assert!(report.ok(), "{report:?}");
        assert_eq!((report.commits, report.head_hash), (1_010, head.hash));
    }

    #[test]
    fn a_torn_tail_is_cut_off_and_reported_and_nothing_before_it_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        fill(&log, 0..20);
        let head = log.head();
        kill(log, dir.path());
        let journal = newest(dir.path()).journal();
        let mut bytes = fs::read(&journal).unwrap();
        bytes.extend_from_slice(&frame(b"half a block")[..15]);
        fs::write(&journal, bytes).unwrap();
        let log = open(dir.path());
        assert_eq!((log.head(), log.report().torn_bytes), (head, 15));
        fill(&log, 20..30);
        drop(log);
        assert!(check(dir.path()).unwrap().ok());
    }

    #[test]
    fn a_flipped_byte_in_the_journal_is_found_and_nothing_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        fill(&log, 0..10);
        fill(&log, 10..20);
        drop(log);
        let journal = newest(dir.path()).journal();
        let mut bytes = fs::read(&journal).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&journal, bytes).unwrap();
        assert!(matches!(
            SledLog::open(data(dir.path()), TINY),
            Err(OpenError::Read(ReadError::Corrupt { volume: 1, .. }))
        ));
        assert!(!check(dir.path()).unwrap().ok());
    }

    #[test]
    fn a_journal_cut_short_after_a_clean_stop_is_damage_and_no_torn_tail() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        fill(&log, 0..10);
        drop(log);
        let journal = newest(dir.path()).journal();
        let bytes = fs::read(&journal).unwrap();
        fs::write(&journal, &bytes[..bytes.len() - 5]).unwrap();
        assert!(matches!(SledLog::open(data(dir.path()), TINY), Err(OpenError::Read(ReadError::Corrupt { .. }))));
    }

    #[test]
    fn a_log_that_lost_its_end_or_a_journal_is_neither_verified_nor_opened() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        fill(&log, 0..10);
        fill(&log, 10..20);
        drop(log);
        let journal = newest(dir.path()).journal();
        let bytes = fs::read(&journal).unwrap();
        let refused = || {
            assert!(!check(dir.path()).unwrap().ok());
            let scan = LogScan::new(&data(dir.path()), Position::START);
            assert!(scan.and_then(|mut scan| scan.try_for_each(|commit| commit.map(drop))).is_err());
            assert!(SledLog::open(data(dir.path()), TINY).is_err());
        };
        for end in [bytes.len() - 5, bytes.len() / 2, 200] {
            fs::write(&journal, &bytes[..end]).unwrap();
            refused();
        }
        fs::remove_file(&journal).unwrap();
        refused();
        fs::write(&journal, &bytes).unwrap();
        assert!(check(dir.path()).unwrap().ok());
        assert_eq!(open(dir.path()).head().position, Position::new(20));
    }

    #[test]
    fn a_log_written_anew_with_a_sound_chain_is_told_from_the_one_that_was_closed() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (dir, numbers) in [(&one, 0..10), (&two, 100..110)] {
            let log = open(dir.path());
            fill(&log, numbers);
        }
        // The same length and log id, another history, every checksum and link in order.
        fs::copy(newest(two.path()).journal(), newest(one.path()).journal()).unwrap();
        let report = check(one.path()).unwrap();
        assert!(report.findings.iter().any(|finding| finding.problem.contains("clean stop noted")));
        assert!(SledLog::open(data(one.path()), TINY).is_err());
    }

    #[test]
    fn a_database_that_could_not_be_read_is_made_again_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        fill(&log, 0..10);
        drop(log);
        let log = open(dir.path());
        log.shared.suspect.store(true, Ordering::Relaxed);
        drop(log);
        let log = open(dir.path());
        assert!(log.report().database_rebuilt);
        assert_eq!(log.read_all(Position::START, 100).unwrap().len(), 10);
    }

    #[test]
    fn a_journal_that_ends_before_what_its_database_holds_is_refused_and_healed_from_it() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        fill(&log, 0..10);
        let kept = fs::metadata(newest(dir.path()).journal()).unwrap().len();
        fill(&log, 10..20);
        let head = log.head();
        drop(log);
        // No clean stop, and a cut that tears no frame: only the database knows better.
        let path = newest(dir.path());
        fs::remove_file(path.clean()).unwrap();
        let journal = fs::read(path.journal()).unwrap();
        fs::write(path.journal(), &journal[..usize::try_from(kept).unwrap()]).unwrap();
        assert!(matches!(SledLog::open(data(dir.path()), TINY), Err(OpenError::Read(ReadError::Corrupt { .. }))));
        assert!(!check(dir.path()).unwrap().ok());
        let data = data(dir.path());
        let report = crate::repair(&data, &data.lock().unwrap(), &crate::RepairOptions::default()).unwrap();
        assert_eq!(report.mended.len(), 1);
        // It cannot be told whether the database had been told of everything.
        assert!(report.remaining[0].problem.contains("nothing says where that was"), "{report:?}");
        assert_eq!(fs::read(path.journal()).unwrap(), journal);
        assert_eq!(open(dir.path()).head(), head);
    }

    #[test]
    fn a_lost_database_is_made_again_from_the_journal() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        fill(&log, 0..10);
        let head = log.head();
        drop(log);
        fs::remove_dir_all(newest(dir.path()).sled()).unwrap();
        let log = open(dir.path());
        assert!(log.report().database_rebuilt);
        assert_eq!((log.head(), log.read_all(Position::START, 100).unwrap().len()), (head, 10));
    }

    #[test]
    fn a_volume_whose_sealing_was_interrupted_is_sealed_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        for from in (0..400).step_by(50) {
            fill(&log, from..from + 50);
        }
        let head = log.head();
        drop(log);
        let first = VolumePath::list(&data(dir.path()).log()).unwrap().remove(0);
        fs::remove_file(first.seal()).unwrap();
        let log = open(dir.path());
        assert_eq!(log.report().sealed, [1]);
        assert_eq!(log.head(), head);
        assert!(first.seal().exists());
    }

    #[test]
    fn a_first_start_that_was_interrupted_is_started_again() {
        for half in [0, 7, 40] {
            let dir = tempfile::tempdir().unwrap();
            drop(open(dir.path()));
            let journal = newest(dir.path()).journal();
            let bytes = fs::read(&journal).unwrap();
            fs::write(&journal, &bytes[..half]).unwrap();
            files::remove_file(&newest(dir.path()).clean()).unwrap();
            fs::remove_dir_all(newest(dir.path()).sled()).unwrap();
            let log = open(dir.path());
            fill(&log, 0..3);
            assert_eq!(log.head().position, Position::new(3));
        }
    }

    #[test]
    fn a_volume_of_another_log_is_refused() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        drop(open(one.path()));
        let other = DataDir::open_or_create(&two.path().join("data"), Ulid::from_parts(2, 2)).unwrap();
        drop(SledLog::open(other.clone(), TINY).unwrap());
        fs::copy(newest(one.path()).journal(), VolumePath::new(&other.log(), 1).journal()).unwrap();
        assert!(matches!(SledLog::open(other, TINY), Err(OpenError::Read(ReadError::Corrupt { .. }))));
    }

    fn one(log: &SledLog, n: u32) -> Result<Position, AppendError> {
        log.append_all(vec![append(n, stream(n % 7), Expected::Any)]).remove(0)
    }

    /// A copy of a directory; its files are the same ones, under further names, when they are linked.
    fn copy(from: &Path, to: &Path, linked: bool) {
        fs::create_dir(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &target, linked);
            } else if linked {
                fs::hard_link(entry.path(), target).unwrap();
            } else {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }

    #[test]
    fn a_log_whose_files_are_not_where_they_were_acknowledges_nothing_more() {
        type Fault = (&'static str, fn(&Path));
        let faults: [Fault; 8] = [
            ("lock is gone", |d| fs::remove_file(d.join("lock")).unwrap()),
            ("lock was exchanged", |d| {
                fs::write(d.join("other"), "").unwrap();
                fs::rename(d.join("other"), d.join("lock")).unwrap();
            }),
            ("journal is gone", |d| fs::rename(d.join("log/00000001/journal"), d.join("aside")).unwrap()),
            ("journal was exchanged", |d| {
                fs::copy(d.join("log/00000001/journal"), d.join("aside")).unwrap();
                fs::rename(d.join("aside"), d.join("log/00000001/journal")).unwrap();
            }),
            ("somebody else changed it", |d| fs::write(d.join("log/00000001/journal"), "").unwrap()),
            ("journal is gone", |d| fs::rename(d.join("log"), d.join("log.old")).unwrap()),
            ("is gone", |d| fs::rename(d, d.with_extension("old")).unwrap()),
            ("was exchanged", |d| {
                let old = d.with_extension("old");
                fs::rename(d, &old).unwrap();
                copy(&old, d, false);
            }),
        ];
        for (expected, fault) in faults {
            let dir = tempfile::tempdir().unwrap();
            let log = open(dir.path());
            fill(&log, 0..10);
            let head = log.head();
            fault(log.data().root());
            // A journal is looked at for every group, the rest every few milliseconds.
            let journal = !expected.starts_with("lock");
            let until = std::time::Instant::now() + Duration::from_secs(20);
            let reason = (10..)
                .find_map(|n| match one(&log, n) {
                    Err(AppendError::Poisoned { reason }) => Some(reason),
                    acknowledged => {
                        assert!(!journal && acknowledged.is_ok(), "{expected}: {acknowledged:?}");
                        assert!(std::time::Instant::now() < until, "{expected}: it does not notice");
                        None
                    }
                })
                .unwrap();
            assert!(reason.contains(expected), "{expected}: {reason}");
            assert_eq!(log.read_only(), Some(reason));
            assert!(!journal || log.head() == head);
            drop(log);
            assert!(!dir.path().join("data/log/00000001/clean").exists(), "{expected}: what is there is not ours");
        }
    }

    #[test]
    fn an_idle_log_notices_that_its_directory_was_moved() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        fs::rename(dir.path().join("data"), dir.path().join("elsewhere")).unwrap();
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while log.read_only().is_none() {
            assert!(std::time::Instant::now() < until, "it does not notice");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn nobody_writes_into_a_log_that_is_in_use_by_whatever_name_they_come() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        fill(&log, 0..10);
        let root = dir.path().join("data");
        let there = || {
            let journal = fs::read(root.join("log/00000001/journal")).unwrap();
            (journal, fs::read_dir(root.join("log/00000001/sled")).unwrap().count())
        };
        let before = there();
        let (link, linked) = (dir.path().join("link"), dir.path().join("linked"));
        std::os::unix::fs::symlink(&root, &link).unwrap();
        copy(&root, &linked, true);
        // What was written after the copy was made is in its journal, and its database knows nothing of it.
        fill(&log, 10..20);
        assert!(there().0.len() > before.0.len());
        let before = there();
        for without_lock in [false, true] {
            for other in [&root, &link, &linked] {
                if without_lock && other.join("lock").exists() {
                    fs::remove_file(other.join("lock")).unwrap();
                }
                let data = DataDir::open(other).unwrap();
                let opened = SledLog::open(data, TINY).map(|_| ());
                assert!(
                    matches!(
                        opened,
                        Err(OpenError::DataDir(DataDirError::Locked { .. } | DataDirError::Shared { .. }))
                    ),
                    "{}, without lock {without_lock}: {opened:?}",
                    other.display()
                );
            }
        }
        assert_eq!(there(), before);
        assert_eq!(log.read_all(Position::START, 100).unwrap().len(), 20);
    }

    #[test]
    fn a_copy_that_was_made_while_the_log_was_written_is_a_log_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        fill(&log, 0..10);
        let copied = dir.path().join("copied");
        copy(log.data().root(), &copied, false);
        fill(&log, 10..20);
        let other = SledLog::open(DataDir::open(&copied).unwrap(), TINY).unwrap();
        fill(&other, 30..35);
        assert_eq!((log.head().position, other.head().position), (Position::new(20), Position::new(15)));
    }

    /// A log of several volumes, closed.
    fn volumes(dir: &Path) -> Vec<VolumePath> {
        let log = open(dir);
        (0..600).step_by(50).for_each(|from| fill(&log, from..from + 50));
        drop(log);
        let volumes = VolumePath::list(&data(dir).log()).unwrap();
        assert!(volumes.len() > 2);
        volumes
    }

    #[test]
    fn a_log_that_lost_its_newest_volumes_or_all_of_them_is_refused_and_named_and_nothing_is_begun() {
        type Fault = fn(&Path, &[VolumePath]);
        let faults: [(&str, Fault); 4] = [
            ("is missing, and", |_, volumes| fs::remove_dir_all(&volumes.last().unwrap().dir).unwrap()),
            ("is missing, and", |_, volumes| {
                volumes[1..].iter().for_each(|volume| fs::remove_dir_all(&volume.dir).unwrap());
            }),
            ("log is missing, and docket.json is there", |root, _| fs::remove_dir_all(root.join("log")).unwrap()),
            ("log is empty, and", |root, volumes| {
                fs::create_dir_all(root.join("content/ab")).unwrap();
                volumes.iter().for_each(|volume| fs::remove_dir_all(&volume.dir).unwrap());
            }),
        ];
        for (expected, fault) in faults {
            let dir = tempfile::tempdir().unwrap();
            let all = volumes(dir.path());
            fault(&dir.path().join("data"), &all);
            let left = VolumePath::list(&dir.path().join("data/log")).map(|left| left.len()).ok();
            let refused = SledLog::open(data(dir.path()), TINY).map(drop).unwrap_err().to_string();
            assert!(refused.contains(expected) && refused.contains("Nothing was touched"), "{refused}");
            let scanned = LogScan::new(&data(dir.path()), Position::START).map(drop).unwrap_err().to_string();
            assert_eq!(scanned, refused);
            assert!(check(dir.path()).unwrap().findings.iter().any(|finding| finding.problem == refused));
            let repaired =
                crate::repair(&data(dir.path()), &data(dir.path()).lock().unwrap(), &crate::RepairOptions::default());
            assert!(repaired.unwrap().remaining.iter().any(|finding| finding.problem == refused));
            assert_eq!(VolumePath::list(&dir.path().join("data/log")).map(|left| left.len()).ok(), left);
        }
    }

    #[test]
    fn a_newest_volume_that_is_gone_comes_back_from_a_backup_and_the_end_is_said_to_be_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let all = volumes(dir.path());
        let backed = dir.path().join("backup");
        let now = docket_core::time::Timestamp::from_millis(0);
        let report = crate::backup(&data(dir.path()), &backed, now, None, |_| {}).unwrap();
        all[2..].iter().for_each(|volume| fs::remove_dir_all(&volume.dir).unwrap());
        let data = data(dir.path());
        let options = crate::RepairOptions { backup: Some(backed), ..Default::default() };
        let repaired = crate::repair(&data, &data.lock().unwrap(), &options).unwrap();
        assert!(!repaired.mended.is_empty(), "{repaired:?}");
        let [unknown] = &repaired.remaining[..] else { panic!("{repaired:?}") };
        assert!(unknown.problem.contains("nothing says where that was"), "{unknown:?}");
        assert_eq!(open(dir.path()).head().position, report.manifest.head_position);
    }

    #[test]
    fn a_journal_that_is_gone_is_put_together_again_and_what_cannot_be_known_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        fill(&log, 0..20);
        kill(log, dir.path());
        let path = newest(dir.path());
        fs::rename(path.journal(), dir.path().join("elsewhere")).unwrap();
        assert!(SledLog::open(data(dir.path()), TINY).is_err());
        let data = data(dir.path());
        let options = crate::RepairOptions::default();
        let repaired = crate::repair(&data, &data.lock().unwrap(), &options).unwrap();
        assert_eq!(repaired.mended.len(), 1, "{repaired:?}");
        let [unknown] = &repaired.remaining[..] else { panic!("{repaired:?}") };
        assert!(unknown.problem.contains("may have been acknowledged and be gone"), "{unknown:?}");
        // It turns up again.
        fs::rename(dir.path().join("elsewhere"), path.journal()).unwrap();
        let repaired = crate::repair(&data, &data.lock().unwrap(), &options).unwrap();
        assert_eq!(repaired.remaining, []);
        assert_eq!(open(dir.path()).head().position, Position::new(20));
    }

    #[test]
    fn a_closed_log_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        log.close();
        assert_eq!(log.append_all(vec![append(1, stream(1), Expected::Any)]), [Err(AppendError::Closed)]);
    }
}
