//! Seals: what is known of a full volume without opening its database.
//!
//! The file is a frame with the head ([`Seal`]), then the lines of two filters: over the streams and over the commit ids.
//! The head is read when the log is opened; of the filters one line at a time, when a name is asked for.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::FileExt,
};

use docket_core::ids::{CommitId, Position, StreamId};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::{
    codec::{BlockHash, Unreadable},
    database::{Database, rebuild_database, stream_key},
    files,
    filter::{self, LINE, Probe},
    index::Index,
    journal::{FRAME_HEADER, frame, unframe},
    log::ReadError,
    volume::{BlockWalk, VolumePath},
};

/// Format of seals that this program writes. A seal of an older one is made again from the journal.
const SEAL_FORMAT: u32 = 2;
/// A head is shorter.
const HEAD_MAX: usize = 4096;

/// The head of a seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Least and greatest id of its streams, by the stream key's tag: ids carry the time, so most names need no filter.
    pub streams: BTreeMap<u8, (Ulid, Ulid)>,
    /// Least and greatest of its commit ids.
    pub commits: (Ulid, Ulid),
    /// Lines of the filter over streams.
    pub stream_lines: u64,
    /// Lines of the filter over commit ids.
    pub commit_lines: u64,
}

/// The bytes of a volume's seal, and its head: the same journal always gives the same.
pub fn seal_bytes(volume: u64, walk: &BlockWalk, index: &Index) -> Result<(Seal, Vec<u8>), ReadError> {
    let mut names: Vec<_> = index.streams().keys().map(stream_key).collect();
    names.sort_unstable();
    let mut ids: Vec<_> = index.commits().keys().map(|id| id.ulid()).collect();
    ids.sort_unstable();
    let id_bytes: Vec<_> = ids.iter().map(Ulid::to_bytes).collect();
    let mut ranges: BTreeMap<u8, (Ulid, Ulid)> = BTreeMap::new();
    for name in &names {
        let id = ulid_of(name);
        let (_, greatest) = ranges.entry(name[0]).or_insert((id, id));
        *greatest = id;
    }
    let streams = filter::build(names.iter().map(<[u8; 17]>::as_slice));
    let commits = filter::build(id_bytes.iter().map(<[u8; 16]>::as_slice));
    let (first, previous_block) = walk.start();
    let (last, hash) = walk.reached();
    let seal = Seal {
        format: SEAL_FORMAT,
        volume,
        first,
        last,
        previous_block,
        hash,
        journal_bytes: walk.bytes(),
        streams: ranges,
        commits: (ids.first().copied().unwrap_or(Ulid::nil()), ids.last().copied().unwrap_or(Ulid::nil())),
        stream_lines: (streams.len() / LINE) as u64,
        commit_lines: (commits.len() / LINE) as u64,
    };
    let payload = rmp_serde::to_vec_named(&seal)
        .map_err(|error| ReadError::Database { volume, reason: format!("its seal: {error}") })?;
    let mut bytes = frame(&payload);
    bytes.extend_from_slice(&streams);
    bytes.extend_from_slice(&commits);
    Ok((seal, bytes))
}

fn ulid_of(name: &[u8; 17]) -> Ulid {
    let mut id = [0; 16];
    id.copy_from_slice(&name[1..]);
    Ulid::from_bytes(id)
}

impl Seal {
    /// Reads the seal of a volume; `None` when it has none, or one of an older format.
    pub fn read(path: &VolumePath) -> Result<Option<(Self, SealFilters)>, ReadError> {
        let corrupt = |reason: String| ReadError::Corrupt {
            volume: path.number,
            position: Position::START,
            reason: format!("the seal: {reason}"),
        };
        let file = match File::open(path.seal()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(path.io(error)),
        };
        let mut start = Vec::new();
        (&file).take(HEAD_MAX as u64).read_to_end(&mut start).map_err(|source| path.io(source))?;
        let payload = unframe(&start).map_err(corrupt)?;
        let unknown = |error: rmp_serde::decode::Error| match Unreadable::of(payload, "a seal", &error) {
            Unreadable::Damaged(reason) => corrupt(reason),
            newer @ (Unreadable::NewerFormat(_) | Unreadable::Newer { .. }) => {
                newer.at(path.number, Position::START, &path.seal())
            }
        };
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let Versioned { format } = rmp_serde::from_slice(payload).map_err(unknown)?;
        if format > SEAL_FORMAT {
            return Err(ReadError::NewerFormat { path: path.seal(), found: format, supported: SEAL_FORMAT });
        }
        if format < SEAL_FORMAT {
            return Ok(None);
        }
        let seal: Self = rmp_serde::from_slice(payload).map_err(unknown)?;
        if seal.volume != path.number {
            return Err(corrupt(format!("it is that of volume {}", seal.volume)));
        }
        let lines = (FRAME_HEADER + payload.len()) as u64;
        let length = file.metadata().map_err(|source| path.io(source))?.len();
        if length != lines + (seal.stream_lines + seal.commit_lines) * LINE as u64
            || seal.stream_lines.min(seal.commit_lines) == 0
        {
            return Err(corrupt(format!("it has {length} bytes, which is not the length that it says")));
        }
        Ok(Some((seal, SealFilters { file, lines })))
    }

    /// The seal of a volume without its filters.
    pub fn head(path: &VolumePath) -> Result<Option<Self>, ReadError> {
        Ok(Self::read(path)?.map(|(seal, _)| seal))
    }
}

/// The filters of a seal, read line by line.
#[derive(Debug)]
pub struct SealFilters {
    file: File,
    /// Where the first line starts.
    lines: u64,
}

impl SealFilters {
    fn ask(&self, name: &[u8], before: u64, lines: u64) -> io::Result<Result<bool, String>> {
        let probe = Probe::new(name);
        let mut line = [0; LINE];
        self.file.read_exact_at(&mut line, self.lines + (before + probe.line(lines)) * LINE as u64)?;
        Ok(probe.may_be_in(&line))
    }

    pub fn may_hold_stream(&self, seal: &Seal, stream: &StreamId) -> io::Result<Result<bool, String>> {
        let name = stream_key(stream);
        match seal.streams.get(&name[0]) {
            Some((least, greatest)) if (*least..=*greatest).contains(&ulid_of(&name)) => {
                self.ask(&name, 0, seal.stream_lines)
            }
            Some(_) | None => Ok(Ok(false)),
        }
    }

    pub fn may_hold_commit(&self, seal: &Seal, id: &CommitId) -> io::Result<Result<bool, String>> {
        let id = id.ulid();
        if (seal.commits.0..=seal.commits.1).contains(&id) {
            self.ask(&id.to_bytes(), seal.stream_lines, seal.commit_lines)
        } else {
            Ok(Ok(false))
        }
    }
}

/// Closes the database of a full volume, opens it again and compares it with the journal; makes it anew when it differs.
/// The index is in it already, or is put there. It is on disk when this returns.
pub fn prove_database(path: &VolumePath, index: &Index) -> Result<(), ReadError> {
    let sound = || -> Result<bool, ReadError> {
        let database = Database::open(path)?;
        Ok(database.difference(path, |_| {})?.is_none() && database.has_index(index)?)
    };
    // sled writes when it opens and when it closes, so what was proven is synced afterwards.
    let sync = || files::sync_tree(&path.sled()).map_err(|source| path.io(source));
    if path.sled().exists() && sound().unwrap_or(false) {
        return sync();
    }
    let database = rebuild_database(path)?;
    database.put_index(index)?;
    database.flush()?;
    drop(database);
    if sound()? {
        return sync();
    }
    Err(ReadError::Database {
        volume: path.number,
        reason: "it differs from the journal right after it was built from it".into(),
    })
}

/// Writes the seal of a volume whose database is complete. An interruption before leaves a volume without a seal, which is
/// sealed at the next opening.
pub fn write_seal(path: &VolumePath, walk: &BlockWalk, index: &Index) -> Result<(Seal, SealFilters), ReadError> {
    let (_, bytes) = seal_bytes(path.number, walk, index)?;
    files::write_atomically(&path.seal(), &bytes).map_err(|source| path.io(source))?;
    Seal::read(path)?.ok_or_else(|| path.io(io::ErrorKind::NotFound.into()))
}

/// True when the seal's bytes are those that the journal gives.
pub fn seal_is(path: &VolumePath, walk: &BlockWalk, index: &Index) -> Result<bool, ReadError> {
    let (_, expected) = seal_bytes(path.number, walk, index)?;
    Ok(fs::read(path.seal()).map_err(|source| path.io(source))? == expected)
}
