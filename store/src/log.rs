//! The contract of an event log, the same for every implementation.

use std::{fmt, future::Future, path::PathBuf, pin::Pin, sync::Arc};

use docket_core::{
    event::{Actor, Cause, Commit, DatedEvent},
    ids::{CommitId, CorrelationId, Position, StreamId, TokenId},
    request::Fingerprint,
    time::Timestamp,
};
use tokio::sync::watch;

use crate::{codec::BlockHash, data_dir::DataDirError};

/// A future on the heap, so that the trait can be used as an object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Commits one by one, in order, as they are read.
pub type Commits<'a> = Box<dyn Iterator<Item = Result<Arc<Commit>, ReadError>> + Send + 'a>;

/// What the caller believes about the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It has no commit yet.
    NoStream,
    /// Its latest commit stands at this position.
    At(Position),
    /// The caller does not care.
    Any,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStream => f.write_str("no stream"),
            Self::At(position) => write!(f, "position {position}"),
            Self::Any => f.write_str("anything"),
        }
    }
}

/// A further stream that must stand where the decision saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// The stream.
    pub stream: StreamId,
    /// Where it must stand.
    pub expected: Expected,
}

/// Guards of one append at most: each is a look into the index by the one thread that writes.
pub const MAX_GUARDS: usize = 64;

/// Events of one stream, to be stored all or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// Chosen by the caller. The same id is stored once, for ever: submitting it again gives the first answer.
    pub id: CommitId,
    /// The stream.
    pub stream: StreamId,
    /// What the caller believes about it.
    pub expected: Expected,
    /// What the caller believes about other streams: checked by the writer together with `expected`, and stored nowhere. What
    /// touches two streams is one event with a guard. At most [`MAX_GUARDS`].
    pub guards: Vec<Guard>,
    /// At least one event.
    pub events: Vec<DatedEvent>,
    /// When Docket learned of it.
    pub recorded_at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// Why.
    pub cause: Cause,
    /// Shared by everything that one request led to.
    pub correlation: CorrelationId,
    /// The token by which whoever did it came in.
    pub token: Option<TokenId>,
    /// What was asked, for a request with an idempotency key. The log keeps it; whoever meets the commit id again compares it.
    pub request: Option<Fingerprint>,
}

/// Why an append was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Somebody appended first, to the stream itself or to one that a guard names. Load that stream again and decide again.
    #[error("{stream} stands at position {actual}, the caller expected {expected}")]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// What the caller expected.
        expected: Expected,
        /// Position of its latest commit; [`Position::START`] when it has none.
        actual: Position,
    },
    /// More guards than one append may have.
    #[error(
        "{guards} guards, at most {limit} are allowed: a decision that looks at so many streams is several decisions"
    )]
    TooManyGuards {
        /// How many it has.
        guards: usize,
        /// The limit.
        limit: usize,
    },
    /// A commit holds at least one event.
    #[error("a commit needs at least one event")]
    Empty,
    /// What this program does not know itself cannot be written: an event, a kind of stream, actor or cause.
    #[error("{what} is unknown to this program and cannot be written")]
    Unknown {
        /// What it is, for example `an event of the type Merged`.
        what: String,
    },
    /// One event is over its limit.
    #[error("event {index} ({type_name}) has {bytes} bytes, at most {limit} are allowed")]
    EventTooLarge {
        /// Number of the event within the commit, from 0.
        index: usize,
        /// Its type.
        type_name: String,
        /// Its encoded length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The commit is over its limit.
    #[error("the commit has {bytes} bytes, at most {limit} are allowed")]
    CommitTooLarge {
        /// Its encoded length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// An event could not be encoded.
    #[error("the event could not be encoded: {0}")]
    Encode(String),
    /// A write or sync failed earlier. Whether commits that were waiting then are stored is known only after the log is
    /// opened again; nothing is acknowledged until that.
    #[error("the log takes no more writes: {reason}. Mend the cause and start again")]
    Poisoned {
        /// What failed.
        reason: String,
    },
    /// The disk is nearly full. Nothing was written; appends are taken again once there is space.
    #[error("the disk has {free} bytes left, {reserve} are kept free: free some space")]
    NoSpace {
        /// Bytes that are free.
        free: u64,
        /// Bytes that are to stay free.
        reserve: u64,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// The stream's present state could not be read.
    #[error("the log could not be read: {0}")]
    Read(String),
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes are not those that were written. They are never served.
    #[error("{} is damaged{}: {reason}", volume_word(*volume), at_word(*position))]
    Corrupt {
        /// Number of the volume; 0 when it is none of them alone.
        volume: u64,
        /// The first position that cannot be read; [`Position::START`] for what stands beside the commits.
        position: Position,
        /// What was found.
        reason: String,
    },
    /// The log was written by a newer program.
    #[error("{path} has format {found}, this program reads up to {supported}: use a newer docket")]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this program reads.
        supported: u32,
    },
    /// What is there is whole, and of a form that this program does not know: a newer one wrote it.
    #[error("volume {volume}{} was written by a newer docket ({what}): use that one", newer_word(*position))]
    Newer {
        /// Number of the volume.
        volume: u64,
        /// The first position that cannot be read; [`Position::START`] for what stands beside the commits.
        position: Position,
        /// What was found.
        what: String,
    },
    /// A follower stands where the log has not come to.
    #[error(
        "position {after} is ahead of the log, which ends at {head}: it is a position of another log, or this one was restored \
         from an older backup. Follow again from an earlier position"
    )]
    Ahead {
        /// Where the follower stands.
        after: Position,
        /// Where the log ends.
        head: Position,
    },
    /// The log, or a part of it, is not where it was.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// A file could not be read, or one that reading needs could not be written.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database could not be read.
    #[error("cannot read the database of volume {volume}: {reason}")]
    Database {
        /// Number of the volume.
        volume: u64,
        /// Why.
        reason: String,
    },
}

fn volume_word(volume: u64) -> String {
    if volume == 0 { "the log".to_owned() } else { format!("volume {volume}") }
}

/// No commit stands at position 0: there it is a header, a seal or a mark that is meant, and the reason names it.
fn at_word(position: Position) -> String {
    if position.is_start() { String::new() } else { format!(" at position {position}") }
}

fn newer_word(position: Position) -> String {
    if position.is_start() { String::new() } else { format!(", position {position}") }
}

impl ReadError {
    /// The volume and the position that it speaks of.
    pub(crate) fn place(&self) -> (Option<u64>, Option<Position>) {
        match self {
            Self::Corrupt { volume, position, .. } | Self::Newer { volume, position, .. } => {
                (Some(*volume).filter(|volume| *volume > 0), Some(*position).filter(|position| !position.is_start()))
            }
            Self::Database { volume, .. } => (Some(*volume), None),
            Self::NewerFormat { .. } | Self::Ahead { .. } | Self::DataDir(_) | Self::Io { .. } => (None, None),
        }
    }

    /// True when the system does not let this user do it.
    pub(crate) fn is_forbidden(&self) -> bool {
        matches!(self, Self::Io { source, .. } | Self::DataDir(DataDirError::Io { source, .. })
            if source.kind() == std::io::ErrorKind::PermissionDenied)
    }

    /// True when nothing is wrong but the age of this program.
    pub const fn is_newer(&self) -> bool {
        matches!(self, Self::NewerFormat { .. } | Self::Newer { .. } | Self::DataDir(DataDirError::NewerFormat { .. }))
    }
}

/// The end of what is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Position of the latest durable commit.
    pub position: Position,
    /// Hash of the latest durable block: it stands for the whole log up to it.
    pub hash: BlockHash,
}

impl Head {
    /// Whether somebody who stands at a position can go on from there.
    ///
    /// # Errors
    /// When the log has not come to it: the position is another log's, or the log was restored from an older backup.
    pub fn has(&self, after: Position) -> Result<(), ReadError> {
        if after > self.position { Err(ReadError::Ahead { after, head: self.position }) } else { Ok(()) }
    }
}

/// How much one answer may hold.
///
/// Commits differ in size by a factor of a thousand, so a number of them bounds nothing: whoever answers many at once
/// reckons with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Commits at most.
    pub commits: usize,
    /// No further commit once they have so many bytes, as encoded; the first one comes whatever it has.
    pub bytes: usize,
}

impl Page {
    /// For one of many readers that may be slow.
    pub const SMALL: Self = Self { commits: 256, bytes: 32 * 1024 };
    /// For one reader that does nothing else.
    pub const LARGE: Self = Self { commits: 1024, bytes: 4 * 1024 * 1024 };

    /// Takes commits, each with its bytes, as long as there is room.
    pub(crate) fn fill(self, commits: impl Iterator<Item = (Arc<Commit>, usize)>) -> Vec<Arc<Commit>> {
        let (mut taken, mut bytes) = (Vec::new(), 0_usize);
        for (commit, length) in commits.take(self.commits) {
            bytes = bytes.saturating_add(length);
            if bytes > self.bytes && !taken.is_empty() {
                break;
            }
            taken.push(commit);
        }
        taken
    }
}

/// An append-only log of commits.
///
/// Positions are contiguous from 1 and assigned inside the commit, so position order is commit order. Nobody reads what is
/// not durable. Of several appends with the same expectation exactly one wins.
pub trait EventLog: Send + Sync + 'static {
    /// Stores the events. The answer means durable: it survives loss of power.
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Position, AppendError>>;

    /// Submits many commits at once, in order, each judged and stored on its own; waits for all answers. Must not be
    /// called from an async task.
    fn append_all(&self, appends: Vec<Append>) -> Vec<Result<Position, AppendError>>;

    /// The end of what is durable.
    fn head(&self) -> Head;

    /// The head as it moves.
    fn watch_head(&self) -> watch::Receiver<Head>;

    /// Durable commits after a position, in order: a page of them, empty only when there are none.
    ///
    /// # Errors
    /// When they cannot be read.
    fn read_page(&self, after: Position, page: Page) -> Result<Vec<Arc<Commit>>, ReadError>;

    /// At most `limit` durable commits after a position, in order, whatever they weigh.
    ///
    /// # Errors
    /// When they cannot be read.
    fn read_all(&self, after: Position, limit: usize) -> Result<Vec<Arc<Commit>>, ReadError> {
        self.read_page(after, Page { commits: limit, bytes: usize::MAX })
    }

    /// All durable commits of a stream after a position, in order.
    ///
    /// # Errors
    /// When they cannot be read, or the stream has a hole.
    fn read_stream(&self, stream: StreamId, after: Position) -> Result<Vec<Arc<Commit>>, ReadError>;

    /// The positions of [`EventLog::read_stream`]: for whoever reads a long stream piece by piece.
    ///
    /// # Errors
    /// As [`EventLog::read_stream`].
    fn stream_positions(&self, stream: StreamId, after: Position) -> Result<Vec<Position>, ReadError> {
        Ok(self.read_stream(stream, after)?.iter().map(|commit| commit.position).collect())
    }

    /// The latest durable commit of a stream, when it has one.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read_last(&self, stream: StreamId) -> Result<Option<Arc<Commit>>, ReadError> {
        Ok(self.read_stream(stream, Position::START)?.pop())
    }

    /// The position at which a commit id is stored.
    ///
    /// # Errors
    /// When that cannot be read.
    fn find(&self, id: CommitId) -> Result<Option<Position>, ReadError>;

    /// Every durable commit after a position, in order, as a stream that does not hold the log in memory.
    ///
    /// # Errors
    /// When the start cannot be read.
    fn scan(&self, after: Position) -> Result<Commits<'_>, ReadError>;

    /// Why the log takes no writes at present, when it does not: a write failed, or the disk is nearly full.
    fn read_only(&self) -> Option<String>;
}

/// Follows a log: first what is there, then what comes, each commit exactly once and in order.
///
/// It holds a position and nothing else, so a slow follower costs neither memory nor write speed.
pub struct Follower {
    log: Arc<dyn EventLog>,
    head: watch::Receiver<Head>,
    after: Position,
    page: Page,
}

impl Follower {
    /// Follows from after this position, page by page.
    ///
    /// # Errors
    /// When the log has not come to it: the checkpoint is another log's, or the log was restored from an older backup.
    pub fn new(log: Arc<dyn EventLog>, after: Position, page: Page) -> Result<Self, ReadError> {
        let head = log.watch_head();
        head.borrow().has(after)?;
        Ok(Self { log, head, after, page })
    }

    /// The position up to which commits were handed out.
    pub const fn position(&self) -> Position {
        self.after
    }

    /// The next commits, at least one; waits for them. `None` when the log was closed.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<Arc<Commit>>>, ReadError> {
        if self.more().await { self.ready() } else { Ok(None) }
    }

    /// Waits until there are further commits; false when the log was closed. For whoever reads them elsewhere: reading may
    /// wait for the disk.
    pub async fn more(&mut self) -> bool {
        let after = self.after;
        self.head.wait_for(|head| head.position > after).await.is_ok()
    }

    /// The next commits without waiting; `None` when there are none.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn ready(&mut self) -> Result<Option<Vec<Arc<Commit>>>, ReadError> {
        let commits = self.log.read_page(self.after, self.page)?;
        Ok(commits.last().map(|last| last.position).map(|last| {
            self.after = last;
            commits
        }))
    }
}
