//! The journal: a file of frames. The first frame of a file is its header, every other one holds a block.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, BufReader, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use docket_core::ids::Position;
use serde::{Deserialize, Serialize};

use crate::{
    codec::{BlockHash, Unreadable},
    files,
    held::Held,
    log::ReadError,
    pieces,
};

/// Format of journals that this program writes; it reads all up to it.
pub const JOURNAL_FORMAT: u32 = 1;
/// Every frame starts with it.
const MAGIC: [u8; 4] = *b"DKT\x01";
/// Magic, length and checksum.
pub const FRAME_HEADER: usize = 12;
/// Longest payload of a frame; a longer length is damage.
const MAX_PAYLOAD: usize = 4 * 1024 * 1024;
/// More than one group commit writes, and nothing is written after one that failed.
const UNPROVEN: u64 = 4 * 1024 * 1024;

/// The header of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHeader {
    pub format: u32,
    /// Id of the log that the volume belongs to.
    pub log: String,
    /// Number of the volume, from 1.
    pub volume: u64,
    /// Position of its first commit.
    pub first: Position,
    /// Hash of the last block of the volume before.
    pub previous_block: BlockHash,
}

/// A frame around these bytes: magic, length, CRC-32C over length and payload (all big-endian), payload.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(FRAME_HEADER + payload.len());
    push_frame(&mut out, payload);
    out
}

/// Appends a frame around these bytes.
pub fn push_frame(out: &mut Vec<u8>, payload: &[u8]) {
    let length = (payload.len() as u32).to_be_bytes();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&length);
    out.extend_from_slice(&checksum(length, payload).to_be_bytes());
    out.extend_from_slice(payload);
}

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), payload)
}

/// The payload of a frame that stands at the start of these bytes, whole and sound.
pub fn unframe(bytes: &[u8]) -> Result<&[u8], String> {
    let header: &[u8; FRAME_HEADER] =
        bytes.first_chunk().ok_or_else(|| format!("{} bytes are too few for a frame", bytes.len()))?;
    let (length, expected) = parse_header(header)?;
    let payload = bytes
        .get(FRAME_HEADER..FRAME_HEADER + length)
        .ok_or_else(|| format!("a frame of {length} bytes is cut off"))?;
    check_payload(payload, expected)?;
    Ok(payload)
}

fn parse_header(header: &[u8; FRAME_HEADER]) -> Result<(usize, u32), String> {
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if header[..4] != MAGIC {
        return Err("no frame starts here".into());
    }
    let length = word(4) as usize;
    if length > MAX_PAYLOAD {
        return Err(format!("a frame of {length} bytes is longer than any"));
    }
    Ok((length, word(8)))
}

fn check_payload(payload: &[u8], expected: u32) -> Result<(), String> {
    let actual = checksum((payload.len() as u32).to_be_bytes(), payload);
    if actual == expected { Ok(()) } else { Err("the checksum does not match".into()) }
}

/// The payload of the frame at this offset.
pub fn read_frame_at(file: &File, offset: u64) -> io::Result<Result<Vec<u8>, String>> {
    let mut header = [0; FRAME_HEADER];
    file.read_exact_at(&mut header, offset)?;
    let (length, expected) = match parse_header(&header) {
        Ok(parsed) => parsed,
        Err(reason) => return Ok(Err(reason)),
    };
    let mut payload = vec![0; length];
    file.read_exact_at(&mut payload, offset + FRAME_HEADER as u64)?;
    Ok(check_payload(&payload, expected).map(|()| payload))
}

/// Every sound frame's payload in these bytes, also behind damage.
pub fn sound_frames(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(found) = bytes.get(at..).and_then(|rest| memmem(rest, &MAGIC)) {
            at += found;
            match unframe(&bytes[at..]) {
                Ok(payload) => {
                    at += FRAME_HEADER + payload.len();
                    return Some(payload);
                }
                Err(_) => at += 1,
            }
        }
        None
    })
}

fn memmem(bytes: &[u8], wanted: &[u8; 4]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Appends frames to a journal, which is locked meanwhile. A failed write or sync is final: the caller stops.
#[derive(Debug)]
pub struct JournalWriter {
    held: Arc<Held>,
    bytes: u64,
}

impl JournalWriter {
    /// Makes a new journal with its header, durable together with its directory entry.
    ///
    /// # Errors
    /// `WouldBlock` when somebody else has locked it already.
    pub fn create(path: &Path, header: &JournalHeader) -> Result<Self, TryLockError> {
        let payload = rmp_serde::to_vec_named(header).map_err(|error| TryLockError::Error(io::Error::other(error)))?;
        let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(TryLockError::Error)?;
        let held = Held::take(path, file)?;
        let bytes = frame(&payload);
        let write = || {
            held.file().write_all_at(&bytes, 0)?;
            held.file().sync_all()?;
            path.parent().map_or(Ok(()), files::sync_dir)
        };
        write().map_err(TryLockError::Error)?;
        Ok(Self { held: Arc::new(held), bytes: bytes.len() as u64 })
    }

    /// Opens a journal to append after `bytes`; anything behind is cut off.
    ///
    /// `unproven` says that its end may not be on disk: the process before was interrupted between write and sync, or its
    /// sync failed, after which the kernel may believe pages written that are not. What is read there now is about to be
    /// shown and built upon, so the end is written once more, as it is, and synced.
    ///
    /// # Errors
    /// `WouldBlock` when somebody else has it: nothing was touched then.
    pub fn open(path: &Path, bytes: u64, unproven: bool) -> Result<Self, TryLockError> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(TryLockError::Error)?;
        let held = Held::take(path, file)?;
        let prepare = |file: &File| {
            let longer = file.metadata()?.len() != bytes;
            if longer {
                file.set_len(bytes)?;
            }
            if unproven {
                let from = bytes.saturating_sub(UNPROVEN);
                let mut end = vec![0; (bytes - from) as usize];
                file.read_exact_at(&mut end, from)?;
                file.write_all_at(&end, from)?;
            }
            if longer || unproven { file.sync_all() } else { Ok(()) }
        };
        prepare(held.file()).map_err(TryLockError::Error)?;
        Ok(Self { held: Arc::new(held), bytes })
    }

    /// Writes frames and makes them durable.
    pub fn append_durably(&mut self, frames: &[u8]) -> io::Result<()> {
        self.as_long_as(self.held.file().metadata()?.len()).map_err(io::Error::other)?;
        self.held.file().write_all_at(frames, self.bytes)?;
        self.held.file().sync_data()?;
        self.bytes += frames.len() as u64;
        Ok(())
    }

    /// Whether its path still leads to it, and nobody else has changed its length.
    ///
    /// # Errors
    /// What became of it, in words.
    pub fn still_there(&self) -> Result<(), String> {
        self.as_long_as(self.held.still_there()?.len())
    }

    fn as_long_as(&self, length: u64) -> Result<(), String> {
        if length == self.bytes {
            return Ok(());
        }
        let written = self.bytes;
        Err(format!("it has {length} bytes where {written} were written: somebody else changed it while it was in use"))
    }

    /// The file, locked.
    pub const fn held(&self) -> &Arc<Held> {
        &self.held
    }

    /// Length of the file.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// What the next frame of a journal is.
#[derive(Debug)]
pub enum Next {
    /// A sound frame.
    Frame(Vec<u8>),
    /// The end of the file, at a frame's end.
    End,
    /// No sound frame: a write that was cut off or is going on, or damage. What stands behind tells which.
    Unsound {
        /// What was found.
        reason: String,
        /// All bytes from here to the end of the file.
        rest: Vec<u8>,
    },
}

/// Reads a journal from its start.
#[derive(Debug)]
pub struct JournalReader {
    path: PathBuf,
    file: BufReader<File>,
    pub header: JournalHeader,
    /// End of the last sound frame.
    offset: u64,
}

impl JournalReader {
    /// Opens a journal and reads its header.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let io = |source| ReadError::Io { path: path.to_owned(), source };
        let file = BufReader::with_capacity(1 << 20, File::open(path).map_err(io)?);
        let placeholder = JournalHeader {
            format: 0,
            log: String::new(),
            volume: 0,
            first: Position::START,
            previous_block: BlockHash::from_bytes([0; 32]),
        };
        let mut reader = Self { path: path.to_owned(), file, header: placeholder, offset: 0 };
        let corrupt = |reason: String| ReadError::Corrupt {
            volume: volume_number(path).unwrap_or(0),
            position: Position::START,
            reason: format!("the journal's header: {reason}"),
        };
        let payload = match reader.next_frame().map_err(io)? {
            Next::Frame(payload) => payload,
            Next::End => return Err(corrupt("the file is empty".into())),
            Next::Unsound { reason, .. } => return Err(corrupt(reason)),
        };
        // The format first: a newer header may have another form.
        let format = pieces::entry(&payload, "format").and_then(|format| rmp_serde::from_slice(format).ok());
        if let Some(found) = format
            && found > JOURNAL_FORMAT
        {
            return Err(ReadError::NewerFormat { path: path.to_owned(), found, supported: JOURNAL_FORMAT });
        }
        let volume = volume_number(path).unwrap_or(0);
        reader.header = rmp_serde::from_slice(&payload).map_err(|error| {
            Unreadable::of(&payload, "a journal's header", &error).at(volume, Position::START, path)
        })?;
        Ok(reader)
    }

    /// End of the last sound frame, in bytes from the start of the file.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next frame's payload.
    pub fn next_frame(&mut self) -> io::Result<Next> {
        let mut header = [0; FRAME_HEADER];
        let read = read_up_to(&mut self.file, &mut header)?;
        if read == 0 {
            return Ok(Next::End);
        }
        let mut rest = header[..read].to_vec();
        // Where the file ended, a writer may go on meanwhile: what it adds is another reading's.
        let mut ended = read < FRAME_HEADER;
        let parsed = if ended { Err("a frame's header is cut off".to_owned()) } else { parse_header(&header) };
        let reason = match parsed {
            Err(reason) => reason,
            Ok((length, expected)) => {
                let mut payload = vec![0; length];
                let read = read_up_to(&mut self.file, &mut payload)?;
                ended = read < length;
                let checked = if ended {
                    Err(format!("a frame of {length} bytes is cut off"))
                } else {
                    check_payload(&payload, expected)
                };
                match checked {
                    Ok(()) => {
                        self.offset += (FRAME_HEADER + length) as u64;
                        return Ok(Next::Frame(payload));
                    }
                    Err(reason) => {
                        rest.extend_from_slice(&payload[..read]);
                        reason
                    }
                }
            }
        };
        if !ended {
            self.file.read_to_end(&mut rest)?;
        }
        Ok(Next::Unsound { reason, rest })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn read_up_to(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The number of the volume that a journal's path names.
pub fn volume_number(journal: &Path) -> Option<u64> {
    journal.parent()?.file_name()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(frames: &[&[u8]]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let header = JournalHeader {
            format: JOURNAL_FORMAT,
            log: "log".into(),
            volume: 1,
            first: Position::new(1),
            previous_block: BlockHash::genesis("log"),
        };
        let mut writer = JournalWriter::create(&path, &header).unwrap();
        for payload in frames {
            writer.append_durably(&frame(payload)).unwrap();
        }
        (dir, path)
    }

    fn flip(path: &Path, offset: usize) {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[offset] ^= 0x10;
        std::fs::write(path, bytes).unwrap();
    }

    #[test]
    fn frames_are_read_back() {
        let (_dir, path) = journal(&[b"one", b"two"]);
        let mut reader = JournalReader::open(&path).unwrap();
        assert!(matches!(reader.next_frame(), Ok(Next::Frame(p)) if p == b"one"));
        assert!(matches!(reader.next_frame(), Ok(Next::Frame(p)) if p == b"two"));
        assert!(matches!(reader.next_frame(), Ok(Next::End)));
    }

    #[test]
    fn a_frame_cut_off_anywhere_is_unsound_and_what_stood_before_is_read() {
        let (_dir, path) = journal(&[b"one", b"two"]);
        let whole = std::fs::read(&path).unwrap();
        let last = whole.len() - FRAME_HEADER - 3;
        for end in last + 1..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            let mut reader = JournalReader::open(&path).unwrap();
            assert!(matches!(reader.next_frame(), Ok(Next::Frame(_))));
            let Ok(Next::Unsound { rest, .. }) = reader.next_frame() else { panic!("cut at {end}") };
            assert_eq!((rest.len(), reader.offset()), (end - last, last as u64));
        }
    }

    #[test]
    fn behind_a_damaged_frame_the_sound_ones_are_found() {
        let (_dir, path) = journal(&[b"one", b"two"]);
        let length = std::fs::metadata(&path).unwrap().len() as usize;
        for offset in length - 2 * (FRAME_HEADER + 3)..length - (FRAME_HEADER + 3) {
            flip(&path, offset);
            let mut reader = JournalReader::open(&path).unwrap();
            let Ok(Next::Unsound { rest, .. }) = reader.next_frame() else { panic!("bit at {offset}") };
            assert_eq!(sound_frames(&rest).collect::<Vec<_>>(), [b"two"]);
            flip(&path, offset);
        }
    }

    #[test]
    fn an_end_that_is_not_proven_is_written_once_more_and_stays_what_it_is() {
        let (_dir, path) = journal(&[b"one", b"two"]);
        let before = std::fs::read(&path).unwrap();
        let mut writer = JournalWriter::open(&path, before.len() as u64, true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), before);
        writer.append_durably(&frame(b"three")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [before, frame(b"three")].concat());
    }

    #[test]
    fn a_journal_of_a_newer_format_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let header = JournalHeader {
            format: 99,
            log: "log".into(),
            volume: 1,
            first: Position::new(1),
            previous_block: BlockHash::genesis("log"),
        };
        JournalWriter::create(&path, &header).unwrap();
        assert!(matches!(JournalReader::open(&path), Err(ReadError::NewerFormat { found: 99, .. })));
    }
}
