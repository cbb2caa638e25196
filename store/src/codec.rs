//! Bytes of commits and blocks. MessagePack by field name, so that any MessagePack tool reads them.

use std::{fmt, path::Path, sync::Arc};

use docket_core::{
    event::{Actor, Cause, CauseKind, Commit, DatedEvent, Event, EventOutline},
    ids::{CommitId, CorrelationId, Position, StreamId, TokenId},
    request::Fingerprint,
    time::Timestamp,
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use sha2::{Digest, Sha256};

use crate::{
    log::{Append, AppendError, MAX_GUARDS, ReadError},
    pieces,
};

/// Longest encoded event in bytes.
pub const MAX_EVENT_BYTES: usize = 64 * 1024;
/// Longest encoded commit in bytes.
pub const MAX_COMMIT_BYTES: usize = 256 * 1024;
/// Format of blocks that this program writes; it reads all up to it.
pub const BLOCK_FORMAT: u32 = 2;

/// SHA-256 of a block's bytes. It covers the hash of the block before, so it stands for the whole log up to the block.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockHash([u8; 32]);

impl BlockHash {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// What stands for the block before the first one: it binds the chain to the log's id.
    pub fn genesis(log_id: &str) -> Self {
        Self::of(format!("docket log {log_id}").as_bytes())
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A hash read back from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockHash({self})")
    }
}

impl Serialize for BlockHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_bytes(&self.0) }
    }
}

impl<'de> Deserialize<'de> for BlockHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = BlockHash;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a SHA-256 hash")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<BlockHash, E> {
                bytes.try_into().map(BlockHash).map_err(|_| E::invalid_length(bytes.len(), &self))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<BlockHash, E> {
                let bytes = hex::decode(text).map_err(E::custom)?;
                self.visit_bytes(&bytes)
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Bytes)
        } else {
            deserializer.deserialize_bytes(Bytes)
        }
    }
}

/// A commit but for its place, which the writer knows: the encoding happens on the caller's thread.
#[derive(Debug)]
pub struct EncodedAppend {
    pub append: Append,
    /// Fields of the whole commit.
    fields: u8,
    /// The map entries after `position` and `previous`.
    tail: Vec<u8>,
}

/// The fields of a commit after its place and before its events, in the order in which they are stored.
#[derive(Serialize)]
struct CommitTail<'a> {
    id: CommitId,
    stream: StreamId,
    recorded_at: Timestamp,
    actor: &'a Actor,
    cause: &'a Cause,
    correlation: CorrelationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<TokenId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Fingerprint>,
}
/// `position`, `previous` and `events`, which a commit has besides its tail.
const OTHER_FIELDS: u8 = 3;
/// The first byte of a MessagePack map of at most fifteen entries, less their number.
const SMALL_MAP: u8 = 0x80;
/// What `position` and `previous` add to the tail at most.
const PLACE_BYTES: usize = 1 + 9 + 9 + 9 + 9;

impl EncodedAppend {
    pub fn try_new(append: Append) -> Result<Self, AppendError> {
        if append.events.is_empty() {
            return Err(AppendError::Empty);
        }
        if append.guards.len() > MAX_GUARDS {
            return Err(AppendError::TooManyGuards { guards: append.guards.len(), limit: MAX_GUARDS });
        }
        known(&append)?;
        let encode = |error: rmp_serde::encode::Error| AppendError::Encode(error.to_string());
        let mut tail = rmp_serde::to_vec_named(&CommitTail {
            id: append.id,
            stream: append.stream,
            recorded_at: append.recorded_at,
            actor: &append.actor,
            cause: &append.cause,
            correlation: append.correlation,
            token: append.token,
            request: append.request,
        })
        .map_err(encode)?;
        // The header of so small a map is one byte; the entries become part of the commit's own map.
        let fields = (tail.remove(0) & !SMALL_MAP) + OTHER_FIELDS;
        rmp_serde::encode::write_named(&mut tail, "events").map_err(encode)?;
        write_array_len(&mut tail, append.events.len())?;
        for (index, event) in append.events.iter().enumerate() {
            let before = tail.len();
            rmp_serde::encode::write_named(&mut tail, event).map_err(encode)?;
            let bytes = tail.len() - before;
            if bytes > MAX_EVENT_BYTES {
                let type_name = event.event.type_name().to_owned();
                return Err(AppendError::EventTooLarge { index, type_name, bytes, limit: MAX_EVENT_BYTES });
            }
        }
        let bytes = tail.len() + PLACE_BYTES;
        if bytes > MAX_COMMIT_BYTES {
            return Err(AppendError::CommitTooLarge { bytes, limit: MAX_COMMIT_BYTES });
        }
        Ok(Self { append, fields, tail })
    }

    /// Encoded length at most.
    pub fn max_bytes(&self) -> usize {
        self.tail.len() + PLACE_BYTES
    }

    /// The commit at its place.
    pub fn into_commit(self, position: Position, previous: Position) -> Commit {
        let Append {
            id,
            stream,
            expected: _,
            guards: _,
            events,
            recorded_at,
            actor,
            cause,
            correlation,
            token,
            request,
        } = self.append;
        Commit { position, previous, id, stream, recorded_at, actor, cause, correlation, token, request, events }
    }
}

/// What a newer program brought in is read past; only that program writes it.
fn known(append: &Append) -> Result<(), AppendError> {
    let unknown = |what: String| Err(AppendError::Unknown { what });
    if let StreamId::Unknown(stream) = append.stream {
        return unknown(format!("the stream {stream}"));
    }
    if let Actor::Unknown(kind) = &append.actor {
        return unknown(format!("an actor of the kind {kind}"));
    }
    if let CauseKind::Unknown(kind) = append.cause.kind {
        return unknown(format!("the cause {}", kind.as_str()));
    }
    for event in &append.events {
        if let Event::Unknown { type_name, .. } = &event.event {
            return unknown(format!("an event of the type {type_name}"));
        }
    }
    Ok(())
}

fn write_array_len(out: &mut Vec<u8>, len: usize) -> Result<(), AppendError> {
    let len = u32::try_from(len).map_err(|_| AppendError::Encode("too many events".into()))?;
    // Writing into memory does not fail.
    rmp::encode::write_array_len(out, len).map(drop).map_err(|error| AppendError::Encode(error.to_string()))
}

/// Puts commits together into the bytes of a block.
pub struct BlockBuilder {
    group: Position,
    first: Position,
    count: u32,
    commits: Vec<u8>,
}

impl BlockBuilder {
    /// A block that begins at `first` in the group commit that begins at `group`.
    pub const fn new(group: Position, first: Position) -> Self {
        Self { group, first, count: 0, commits: Vec::new() }
    }

    pub const fn group(&self) -> Position {
        self.group
    }

    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn bytes(&self) -> usize {
        self.commits.len()
    }

    pub fn push(&mut self, encoded: &EncodedAppend, position: Position, previous: Position) {
        let out = &mut self.commits;
        out.push(SMALL_MAP | encoded.fields);
        for (name, value) in [("position", position), ("previous", previous)] {
            write_name(out, name);
            write_u64(out, value.get());
        }
        out.extend_from_slice(&encoded.tail);
        self.count += 1;
    }

    pub fn finish(self, previous_block: BlockHash) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.commits.len() + 128);
        out.push(0x86);
        write_name(&mut out, "format");
        write_u64(&mut out, u64::from(BLOCK_FORMAT));
        write_name(&mut out, "group");
        write_u64(&mut out, self.group.get());
        write_name(&mut out, "first");
        write_u64(&mut out, self.first.get());
        write_name(&mut out, "count");
        write_u64(&mut out, u64::from(self.count));
        write_name(&mut out, "previous_block");
        out.extend_from_slice(&[0xc4, 32]);
        out.extend_from_slice(previous_block.as_bytes());
        write_name(&mut out, "commits");
        out.push(0xdd);
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(&self.commits);
        out
    }
}

/// A MessagePack string of at most 31 bytes.
fn write_name(out: &mut Vec<u8>, name: &str) {
    out.push(0xa0 | name.len() as u8);
    out.extend_from_slice(name.as_bytes());
}

/// The shortest MessagePack form, as every encoder writes it.
fn write_u64(out: &mut Vec<u8>, value: u64) {
    // Writing into memory does not fail.
    let _ = rmp::encode::write_uint(out, value);
}

/// Why bytes cannot be read whose checksum is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// They say that they are of a newer format.
    NewerFormat(u32),
    /// Sound MessagePack of a form that this program does not know: a newer one wrote it.
    Newer {
        /// The commit that cannot be read, when it is one.
        position: Option<Position>,
        /// What was found.
        what: String,
    },
    /// No program of any version writes this.
    Damaged(String),
}

impl Unreadable {
    /// What a reader says who met it at this place.
    pub fn at(self, volume: u64, position: Position, path: &Path) -> ReadError {
        match self {
            Self::NewerFormat(found) => {
                ReadError::NewerFormat { path: path.to_owned(), found, supported: BLOCK_FORMAT }
            }
            Self::Newer { position: exact, what } => {
                ReadError::Newer { volume, position: exact.unwrap_or(position), what }
            }
            Self::Damaged(reason) => ReadError::Corrupt { volume, position, reason },
        }
    }

    /// True when a newer program can read it.
    pub const fn is_newer(&self) -> bool {
        matches!(self, Self::NewerFormat(_) | Self::Newer { .. })
    }

    /// What bytes are that were to be a map of `name` and could not be read so.
    pub fn of(bytes: &[u8], name: &str, error: &rmp_serde::decode::Error) -> Self {
        let error = brief(error);
        if pieces::is_map(bytes) {
            Self::Newer { position: None, what: format!("{name} of an unknown form: {error}") }
        } else {
            Self::Damaged(format!("not {name}: {error}"))
        }
    }

    /// The same for a block, whose format counts before its form.
    fn of_block(bytes: &[u8], error: &rmp_serde::decode::Error) -> Self {
        let format = pieces::entry(bytes, "format").and_then(|format| rmp_serde::from_slice(format).ok());
        match format {
            Some(format) if format > BLOCK_FORMAT && pieces::is_map(bytes) => Self::NewerFormat(format),
            Some(_) | None => Self::of(bytes, "a block", error),
        }
    }
}

/// The words of a decoder on one line, cut: they may repeat what was met, a text of any length or a number with all of its 300
/// digits.
pub fn brief(error: impl fmt::Display) -> String {
    const MOST: usize = 160;
    let words = error.to_string().replace('\n', " ");
    match words.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

/// Positions begin at 1 and can be counted up to the block's end: bytes from elsewhere may say anything.
fn in_range(first: Position, count: u32) -> Result<(), Unreadable> {
    let end = first.get().checked_add(u64::from(count));
    if first.is_start() || end.is_none() {
        return Err(Unreadable::Damaged(format!("{count} commits from position {first} cannot be")));
    }
    Ok(())
}

/// What stands before a block's commits: enough to walk the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockHead {
    pub format: u32,
    /// Since format 2.
    group: Option<Position>,
    pub first: Position,
    pub count: u32,
    pub previous_block: BlockHash,
}

/// The fields of a block.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum BlockField {
    Format,
    Group,
    First,
    Count,
    PreviousBlock,
    Commits,
    #[serde(other)]
    Other,
}

/// Reads the fields before the commits and looks no further: the deserializer may complain of what is left.
struct HeadVisitor<'a>(&'a mut Option<BlockHead>);

impl<'de> Visitor<'de> for HeadVisitor<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a block")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut format, mut group, mut first, mut count, mut previous_block) = (None, None, None, None, None);
        while let Some(field) = map.next_key()? {
            match field {
                BlockField::Format => format = Some(map.next_value()?),
                BlockField::Group => group = Some(map.next_value()?),
                BlockField::First => first = Some(map.next_value()?),
                BlockField::Count => count = Some(map.next_value()?),
                BlockField::PreviousBlock => previous_block = Some(map.next_value()?),
                BlockField::Commits => break,
                BlockField::Other => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        let missing = A::Error::missing_field;
        *self.0 = Some(BlockHead {
            format: format.ok_or_else(|| missing("format"))?,
            group,
            first: first.ok_or_else(|| missing("first"))?,
            count: count.ok_or_else(|| missing("count"))?,
            previous_block: previous_block.ok_or_else(|| missing("previous_block"))?,
        });
        Ok(())
    }
}

/// A commit of which everything is read but the payloads of its events. What has this form can be read; what has not is a
/// newer program's.
#[derive(Deserialize)]
struct Outline<E> {
    position: Position,
    previous: Position,
    id: CommitId,
    stream: StreamId,
    recorded_at: Timestamp,
    actor: Actor,
    cause: Cause,
    correlation: CorrelationId,
    #[serde(default)]
    token: Option<TokenId>,
    #[serde(default)]
    request: Option<Fingerprint>,
    events: E,
}

/// How many events stand there, when each of them has an outline.
struct Outlined(usize);

impl<'de> Deserialize<'de> for Outlined {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counting;
        impl<'de> Visitor<'de> for Counting {
            type Value = Outlined;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("events")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Outlined, A::Error> {
                let mut count = 0;
                while seq.next_element::<EventOutline<'de>>()?.is_some() {
                    count += 1;
                }
                Ok(Outlined(count))
            }
        }
        deserializer.deserialize_seq(Counting)
    }
}

/// A block whose commits are read no further than an index needs.
#[derive(Deserialize)]
struct Outlines {
    commits: Vec<Outline<Outlined>>,
}

/// What an index has to know of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedCommit {
    pub position: Position,
    /// Position of the commit before it in its stream.
    pub previous: Position,
    pub id: CommitId,
    pub stream: StreamId,
}

impl IndexedCommit {
    /// Those of a block, checked as [`Block::decode`] does.
    pub fn of_block(bytes: &[u8]) -> Result<Vec<Self>, Unreadable> {
        let head = BlockHead::decode(bytes)?;
        let Ok(Outlines { commits }) = rmp_serde::from_slice(bytes) else {
            // Whoever reads the commits whole says why.
            let block = Block::decode(bytes)?;
            return Ok(block.commits.iter().map(|commit| Self::of(commit)).collect());
        };
        check_count(&head, commits.len())?;
        for (commit, expected) in commits.iter().zip(head.first.get()..) {
            check_place(commit.position, commit.events.0, Position::new(expected))?;
        }
        Ok(commits
            .iter()
            .map(|Outline { position, previous, id, stream, .. }| Self {
                position: *position,
                previous: *previous,
                id: *id,
                stream: *stream,
            })
            .collect())
    }

    /// That of a commit.
    pub const fn of(commit: &Commit) -> Self {
        Self { position: commit.position, previous: commit.previous, id: commit.id, stream: commit.stream }
    }
}

/// A block holds as many commits as it says, and at least one.
fn check_count(head: &BlockHead, commits: usize) -> Result<(), Unreadable> {
    if commits as u64 != u64::from(head.count) || commits == 0 {
        return Err(Unreadable::Damaged(format!("it says {} commits and holds {commits}", head.count)));
    }
    Ok(())
}

/// A commit stands where it belongs, and holds something.
fn check_place(position: Position, events: usize, expected: Position) -> Result<(), Unreadable> {
    if position != expected {
        let reason =
            format!("the commit that stands here says that it is the one at position {position}, not {expected}");
        return Err(Unreadable::Damaged(reason));
    }
    if events == 0 {
        return Err(Unreadable::Damaged(format!("commit {position} holds no event")));
    }
    Ok(())
}

/// The bytes of each commit of a block.
fn commits_of(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    pieces::elements(pieces::entry(bytes, "commits")?)
}

/// Reads a commit, of whose events some may be of a form that this program does not know: they are kept by name.
fn read_commit(bytes: &[u8], expected: Position) -> Result<Commit, Unreadable> {
    if let Ok(commit) = rmp_serde::from_slice::<Commit>(bytes) {
        return check_place(commit.position, commit.events.len(), expected).map(|()| commit);
    }
    let outline: Outline<Vec<EventOutline<'_>>> = match rmp_serde::from_slice(bytes) {
        Ok(outline) => outline,
        Err(error) => {
            // Whatever else is new about it, its place is not.
            let position = pieces::entry(bytes, "position").and_then(|bytes| rmp_serde::from_slice(bytes).ok());
            check_place(position.unwrap_or(expected), 1, expected)?;
            return Err(match Unreadable::of(bytes, "a commit", &error) {
                Unreadable::Newer { what, .. } => Unreadable::Newer { position: Some(expected), what },
                other @ (Unreadable::NewerFormat(_) | Unreadable::Damaged(_)) => other,
            });
        }
    };
    check_place(outline.position, outline.events.len(), expected)?;
    let pieces = pieces::entry(bytes, "events").and_then(pieces::elements);
    let pieces = pieces.filter(|pieces| pieces.len() == outline.events.len());
    let Outline { position, previous, id, stream, recorded_at, actor, cause, correlation, token, request, .. } =
        outline;
    let events = match pieces {
        Some(pieces) => {
            let read = |(bytes, outline): (&[u8], EventOutline<'_>)| {
                rmp_serde::from_slice::<DatedEvent>(bytes).unwrap_or_else(|_| outline.into())
            };
            pieces.into_iter().zip(outline.events).map(read).collect()
        }
        None => outline.events.into_iter().map(DatedEvent::from).collect(),
    };
    Ok(Commit { position, previous, id, stream, recorded_at, actor, cause, correlation, token, request, events })
}

/// A block as it is read back.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Block {
    pub format: u32,
    pub first: Position,
    pub count: u32,
    pub previous_block: BlockHash,
    pub commits: Vec<Arc<Commit>>,
}

impl Block {
    /// Reads and checks a block: its count, and that its positions have no gaps.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        // The head on its own first: whoever walks the chain by heads must meet the same blocks.
        let head = BlockHead::decode(bytes)?;
        let block: Self = match rmp_serde::from_slice(bytes) {
            Ok(block) => block,
            Err(error) => return Self::decode_piecewise(bytes, head, &error),
        };
        check_count(&head, block.commits.len())?;
        for (expected, commit) in (block.first.get()..).zip(&block.commits) {
            check_place(commit.position, commit.events.len(), Position::new(expected))?;
        }
        Ok(block)
    }

    /// Reads a block in which something is of a form that this program does not know: event by event, so that the rest of it
    /// is read as ever. Takes twice as long.
    fn decode_piecewise(bytes: &[u8], head: BlockHead, error: &rmp_serde::decode::Error) -> Result<Self, Unreadable> {
        let commits = commits_of(bytes).ok_or_else(|| Unreadable::of_block(bytes, error))?;
        check_count(&head, commits.len())?;
        let read = |(bytes, position): (&[u8], u64)| read_commit(bytes, Position::new(position)).map(Arc::new);
        let commits = commits.into_iter().zip(head.first.get()..).map(read).collect::<Result<_, _>>()?;
        let BlockHead { format, first, count, previous_block, .. } = head;
        Ok(Self { format, first, count, previous_block, commits })
    }

    /// True for a block that this program or a newer one can read.
    pub fn is_sound(bytes: &[u8]) -> bool {
        Self::decode(bytes).map_or_else(|why| why.is_newer(), |_| true)
    }

    /// Position of its last commit.
    pub fn last(&self) -> Position {
        Position::new(self.first.get() + u64::from(self.count) - 1)
    }

    /// Reads one commit out of a block's bytes and passes over the others: a stream's history is spread over many blocks.
    pub fn decode_commit(bytes: &[u8], position: Position) -> Result<Commit, Unreadable> {
        let head = BlockHead::decode(bytes)?;
        let offset = position.get().checked_sub(head.first.get()).filter(|offset| *offset < u64::from(head.count));
        let offset = offset
            .ok_or_else(|| Unreadable::Damaged(format!("it starts at {} and does not hold {position}", head.first)))?;
        let mut reader = rmp_serde::Deserializer::from_read_ref(bytes);
        let mut picked = None;
        let ended = PickCommit { offset, picked: &mut picked }.deserialize(&mut reader);
        let fewer = || Unreadable::Damaged(format!("it says {} commits and holds fewer", head.count));
        let commit = match (picked, ended) {
            (Some(commit), _) => commit,
            (None, Ok(())) => return Err(fewer()),
            (None, Err(error)) => {
                let commits = commits_of(bytes).ok_or_else(|| Unreadable::of_block(bytes, &error))?;
                let commit = usize::try_from(offset).ok().and_then(|offset| commits.get(offset));
                return read_commit(commit.ok_or_else(fewer)?, position);
            }
        };
        check_place(commit.position, commit.events.len(), position).map(|()| commit)
    }
}

/// Finds the commit with this number, from 0, in a block, and ends with an error then: to read on would only cost time.
struct PickCommit<'a> {
    offset: u64,
    picked: &'a mut Option<Commit>,
}

impl<'de> DeserializeSeed<'de> for PickCommit<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PickCommit<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a block or its commits")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while let Some(field) = map.next_key()? {
            if matches!(field, BlockField::Commits) {
                // What follows is not looked at.
                return map.next_value_seed(self);
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        for _ in 0..self.offset {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        *self.picked = seq.next_element()?;
        Err(A::Error::custom("picked"))
    }
}

impl BlockHead {
    /// The first position of the group commit that the block was written in: everything before it was on disk then.
    pub fn group(&self) -> Position {
        self.group.unwrap_or(self.first)
    }

    /// Reads the head of a block without its commits. One of a newer format is read no further than that.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut head = None;
        let ended = rmp_serde::Deserializer::from_read_ref(bytes).deserialize_map(HeadVisitor(&mut head));
        match (head, ended) {
            (Some(head), _) if head.format > BLOCK_FORMAT => Err(Unreadable::NewerFormat(head.format)),
            (Some(head), _) => in_range(head.first, head.count).map(|()| head),
            (None, Err(error)) => Err(Unreadable::of_block(bytes, &error)),
            (None, Ok(())) => Err(Unreadable::Damaged("not a block".into())),
        }
    }

    /// Position of its last commit.
    pub fn last(&self) -> Position {
        Position::new(self.first.get() + u64::from(self.count).saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use docket_core::{
        event::CauseKind,
        event::DatedEvent,
        ids::AgentKey,
        personal::Body,
        ticket::{Channel, MessageSent, TicketEvent},
    };

    use super::*;
    use crate::log::Expected;

    fn sample() -> EncodedAppend {
        let at = Timestamp::from_millis(1_456_720_800_000);
        let event = TicketEvent::from(MessageSent {
            message: docket_core::ids::MessageId::derived(at, &["golden"]),
            channel: Channel::Email,
            agent: AgentKey::try_new("ann").ok(),
            body: Body::inline("Hello"),
            pick_up: None,
        });
        EncodedAppend::try_new(Append {
            id: CommitId::derived(at, &["golden"]),
            stream: StreamId::Ticket(docket_core::ids::TicketId::derived(at, &["golden"])),
            expected: Expected::Any,
            guards: Vec::new(),
            events: vec![DatedEvent::new(at, event)],
            recorded_at: at,
            actor: Actor::System,
            cause: Cause::of(CauseKind::Request),
            correlation: CorrelationId::derived(at, &["golden"]),
            token: None,
            request: None,
        })
        .unwrap()
    }

    #[test]
    fn a_block_is_sound_only_when_its_head_is() {
        let mut block = BlockBuilder::new(Position::new(1), Position::new(1));
        block.push(&sample(), Position::new(1), Position::START);
        let bytes = block.finish(BlockHash::genesis("x"));
        let group = bytes.windows(6).position(|name| name == b"\xa5group").unwrap() + 6;
        let mut without_group = bytes.clone();
        without_group[group] = 0xc0;
        assert!(Block::decode(&bytes).is_ok());
        assert!(BlockHead::decode(&without_group).is_err() && Block::decode(&without_group).is_err());
    }

    #[test]
    fn a_block_is_read_back_as_it_was_built() {
        let mut block = BlockBuilder::new(Position::new(7), Position::new(7));
        let (one, two) = (sample(), sample());
        block.push(&one, Position::new(7), Position::START);
        block.push(&two, Position::new(8), Position::new(7));
        let previous = BlockHash::genesis("golden");
        let bytes = block.finish(previous);
        let decoded = Block::decode(&bytes).unwrap();
        assert_eq!((decoded.first, decoded.last()), (Position::new(7), Position::new(8)));
        assert_eq!(decoded.previous_block, previous);
        let second = two.into_commit(Position::new(8), Position::new(7));
        assert_eq!(*decoded.commits[1], second);
        assert_eq!(Block::decode_commit(&bytes, Position::new(8)), Ok(second));
        assert!(Block::decode_commit(&bytes, Position::new(6)).is_err());
        assert!(Block::decode_commit(&bytes, Position::new(9)).is_err());
        assert_eq!(BlockHead::decode(&bytes).unwrap().last(), decoded.last());
    }

    #[test]
    fn a_commit_is_the_bytes_that_serde_would_write_by_name() {
        let encoded = sample();
        let mut block = BlockBuilder::new(Position::new(1), Position::new(1));
        block.push(&encoded, Position::new(1), Position::START);
        let commit = encoded.into_commit(Position::new(1), Position::START);
        assert_eq!(block.commits, rmp_serde::to_vec_named(&commit).unwrap());
    }

    #[test]
    fn blocks_of_every_format_are_read() {
        for golden in [include_str!("../tests/golden/block-1.hex"), include_str!("../tests/golden/block-2.hex")] {
            let block = Block::decode(&hex::decode(golden.trim()).unwrap()).unwrap();
            assert_eq!(*block.commits[0], sample().into_commit(Position::new(1), Position::START));
        }
    }

    #[test]
    fn the_bytes_of_a_commit_never_change() {
        let mut block = BlockBuilder::new(Position::new(1), Position::new(1));
        block.push(&sample(), Position::new(1), Position::START);
        let bytes = block.finish(BlockHash::genesis("golden"));
        let golden = include_str!("../tests/golden/block-2.hex");
        assert_eq!(hex::encode(&bytes), golden.trim(), "the format of blocks changed: that needs a new format number");
    }

    #[test]
    fn a_block_with_a_wrong_count_or_a_gap_is_refused() {
        let mut block = BlockBuilder::new(Position::new(1), Position::new(1));
        block.push(&sample(), Position::new(2), Position::START);
        assert!(Block::decode(&block.finish(BlockHash::genesis("x"))).is_err());
        let mut block = BlockBuilder::new(Position::new(1), Position::new(1));
        block.push(&sample(), Position::new(1), Position::START);
        block.count = 2;
        assert!(Block::decode(&block.finish(BlockHash::genesis("x"))).is_err());
    }

    #[test]
    fn positions_that_cannot_be_are_refused() {
        for first in [Position::START, Position::new(u64::MAX)] {
            let mut block = BlockBuilder::new(first, first);
            block.push(&sample(), first, Position::START);
            let bytes = block.finish(BlockHash::genesis("x"));
            assert!(BlockHead::decode(&bytes).is_err() && Block::decode(&bytes).is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_decoders_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = Block::decode(&bytes);
            let _ = BlockHead::decode(&bytes);
            let _ = Block::decode_commit(&bytes, Position::new(1));
            let _ = crate::journal::unframe(&bytes);
        }
    }
}
