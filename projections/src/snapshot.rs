//! Snapshots of the views: they save time at the next start and may be deleted at any time.
//!
//! A file is `DKTVIEWS`, the fingerprint of the code that made it (16 hexadecimal characters), the length of the log's id
//! and the id, SHA-256 of the rest, and the views in MessagePack. One that is damaged, of other code, or of another log is
//! ignored.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use docket_core::ids::Position;
use docket_store::{EventLog, ReadError};
use sha2::{Digest, Sha256};

use crate::views::Views;

const MAGIC: &[u8; 8] = b"DKTVIEWS";
/// Fingerprint of the code of `core` and `projections`.
const FINGERPRINT: &str = env!("DOCKET_VIEWS_FINGERPRINT");
/// Snapshots that are kept; older ones are removed.
const KEEP: usize = 2;

fn file_name(position: Position) -> String {
    format!("{:020}.views", position.get())
}

/// Writes a snapshot and removes all but the newest ones.
///
/// # Errors
/// When a file operation fails; a half-written file is left under a name that is never read.
pub fn write(dir: &Path, log_id: &str, views: &Views) -> io::Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let payload = views.to_bytes().map_err(io::Error::other)?;
    let path = dir.join(file_name(views.position()));
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(MAGIC)?;
    file.write_all(FINGERPRINT.as_bytes())?;
    file.write_all(&[u8::try_from(log_id.len()).unwrap_or(u8::MAX)])?;
    file.write_all(log_id.as_bytes())?;
    file.write_all(&Sha256::digest(&payload))?;
    file.write_all(&payload)?;
    file.sync_all()?;
    fs::rename(&temporary, &path)?;
    for old in list(dir)?.into_iter().skip(KEEP) {
        fs::remove_file(old)?;
    }
    Ok(path)
}

/// The newest snapshot that this program made of this log and that the log still bears out; `None` when there is none.
///
/// # Errors
/// When the log cannot be read. Trouble with the snapshots themselves is only told to the log of the program.
pub fn load(dir: &Path, log_id: &str, log: &dyn EventLog) -> Result<Option<Views>, ReadError> {
    for path in list(dir).unwrap_or_default() {
        match read(&path, log_id) {
            Ok(views) if fits(&views, log)? => return Ok(Some(views)),
            Ok(views) => {
                tracing::warn!(path = %path.display(), position = %views.position(), "a snapshot of another log is ignored");
            }
            Err(reason) => tracing::info!(path = %path.display(), reason, "a snapshot is ignored"),
        }
    }
    Ok(None)
}

/// The newest snapshot that this program made of this log, for a reader that has no log at hand yet: [`fits`] checks it.
pub fn newest(dir: &Path, log_id: &str) -> Option<Views> {
    list(dir).unwrap_or_default().iter().find_map(|path| read(path, log_id).ok())
}

/// The position of a snapshot of this very log that lies beyond its head: a part of the log is missing. Snapshots of other
/// code count too; their position is in their name and their log in their head.
pub fn ahead_of(dir: &Path, log_id: &str, head: Position) -> Option<Position> {
    let newest = list(dir).unwrap_or_default().into_iter().find(|path| {
        let mut start = Vec::new();
        let read = File::open(path).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut start));
        read.is_ok() && start.starts_with(MAGIC) && log_id_of(&start) == Some(log_id.as_bytes())
    })?;
    let position = Position::new(newest.file_stem()?.to_str()?.parse().ok()?);
    (position > head).then_some(position)
}

/// Magic, fingerprint, and a log id with its length.
const HEAD_BYTES: u64 = 8 + 16 + 1 + 255;

fn log_id_of(file: &[u8]) -> Option<&[u8]> {
    let (length, rest) = file.get(MAGIC.len() + FINGERPRINT.len()..)?.split_first()?;
    rest.get(..usize::from(*length))
}

/// True when the log holds, at the views' position, the commit that they folded last.
///
/// # Errors
/// When the log cannot be read.
pub fn fits(views: &Views, log: &dyn EventLog) -> Result<bool, ReadError> {
    match views.commit() {
        None => Ok(views.position().is_start()),
        Some(commit) => Ok(log.find(commit)? == Some(views.position())),
    }
}

/// Newest first.
fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "views"))
        .collect();
    paths.sort();
    paths.reverse();
    Ok(paths)
}

fn read(path: &Path, log_id: &str) -> Result<Views, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let rest = bytes.strip_prefix(MAGIC).ok_or("it is no snapshot")?;
    let rest = rest.strip_prefix(FINGERPRINT.as_bytes()).ok_or("it was made by another version")?;
    let (length, rest) = rest.split_first().ok_or("it is cut off")?;
    let id = rest.get(..usize::from(*length)).ok_or("it is cut off")?;
    if id != log_id.as_bytes() {
        return Err("it belongs to another log".into());
    }
    let (digest, payload) = rest[usize::from(*length)..].split_first_chunk::<32>().ok_or("it is cut off")?;
    if Sha256::digest(payload)[..] != digest[..] {
        return Err("it is damaged".into());
    }
    rmp_serde::from_slice(payload).map_err(|error| error.to_string())
}
