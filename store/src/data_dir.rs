//! A data directory: its marker, its lock, and where things are in it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ulid::Ulid;

use crate::files;

/// Format of data directories that this program makes; it opens all up to it.
const DATA_FORMAT: u32 = 1;
const MARKER: &str = "docket.json";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Nothing is there.
    #[error("{0} is not there: import something, run `docket serve`, or name another directory with --data")]
    Missing(PathBuf),
    /// Something else is there.
    #[error("{0} is not a docket data directory (it has files but no docket.json): name another one with --data")]
    NotDocket(PathBuf),
    /// The marker cannot be read.
    #[error("{path} is not Docket's ({reason}): name another directory with --data")]
    Marker {
        /// The marker.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The marker is not what was written.
    #[error("{0} is damaged (its check does not fit): run `docket repair`")]
    DamagedMarker(PathBuf),
    /// It was made by a newer program.
    #[error("{path} has format {found}, this program knows up to {supported}: use a newer docket")]
    NewerFormat {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this program knows.
        supported: u32,
    },
    /// Another process writes to it.
    #[error("{path} is in use by process {holder}: stop it first, or ask it through GraphQL")]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Its process id, or `unknown`.
        holder: String,
    },
    /// A file operation failed.
    #[error("cannot use {path}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    format: u32,
    log_id: String,
    /// Tells a damaged file from one of a newer format; files of early versions have none.
    #[serde(default)]
    check: Option<String>,
}

impl Marker {
    fn new(format: u32, log_id: &str) -> Self {
        Self { format, log_id: log_id.to_owned(), check: Some(Self::check(format, log_id)) }
    }

    /// Every format keeps this rule.
    fn check(format: u32, log_id: &str) -> String {
        hex::encode(&Sha256::digest(format!("docket.json {format} {log_id}"))[..8])
    }

    fn is_damaged(&self) -> bool {
        self.check.as_ref().is_some_and(|check| *check != Self::check(self.format, &self.log_id))
    }
}

/// A directory that holds a desk.
#[derive(Debug, Clone)]
pub struct DataDir {
    root: PathBuf,
    log_id: String,
}

/// The right to write to a data directory; given back when dropped, also by the kernel when the process dies.
#[derive(Debug)]
pub struct DataLock {
    file: File,
}

impl Drop for DataLock {
    /// Closing alone would leave the lock to a child process that was being started at that moment: it has a copy of the
    /// file until it becomes another program.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "the lock of the data directory is given back only when its file is closed");
        }
    }
}

impl DataDir {
    /// Opens a data directory that is there.
    ///
    /// # Errors
    /// When it is not there, is something else, or is of a newer format.
    pub fn open(root: &Path) -> Result<Self, DataDirError> {
        let path = root.join(MARKER);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(match is_empty(root) {
                    Ok(false) => DataDirError::NotDocket(root.to_owned()),
                    Ok(true) | Err(_) => DataDirError::Missing(root.to_owned()),
                });
            }
            Err(source) => return Err(DataDirError::Io { path, source }),
        };
        let marker: Marker = match serde_json::from_str(&text) {
            Ok(marker) => marker,
            Err(error) => return Err(DataDirError::Marker { path, reason: error.to_string() }),
        };
        if marker.is_damaged() {
            return Err(DataDirError::DamagedMarker(path));
        }
        if marker.format > DATA_FORMAT {
            return Err(DataDirError::NewerFormat {
                path: root.to_owned(),
                found: marker.format,
                supported: DATA_FORMAT,
            });
        }
        Ok(Self { root: root.to_owned(), log_id: marker.log_id })
    }

    /// Opens a data directory, or makes one with this log id where nothing is.
    ///
    /// # Errors
    /// As [`DataDir::open`], and when it cannot be made.
    pub fn open_or_create(root: &Path, log_id: Ulid) -> Result<Self, DataDirError> {
        match Self::open(root) {
            Err(DataDirError::Missing(_)) => {
                files::create_dir(root).map_err(|source| DataDirError::Io { path: root.to_owned(), source })?;
                Self::write_marker(root, &log_id.to_string())?;
                Self::open(root)
            }
            other => other,
        }
    }

    /// A directory whose marker is not read: somebody else knows which log it holds.
    pub(crate) fn assumed(root: &Path, log_id: &str) -> Self {
        Self { root: root.to_owned(), log_id: log_id.to_owned() }
    }

    /// Marks a directory as the data directory of this log.
    pub(crate) fn write_marker(root: &Path, log_id: &str) -> Result<(), DataDirError> {
        let io = |source| DataDirError::Io { path: root.to_owned(), source };
        let marker = Marker::new(DATA_FORMAT, log_id);
        let text = serde_json::to_string_pretty(&marker).map_err(|error| io(error.into()))?;
        files::write_atomically(&root.join(MARKER), text.as_bytes()).map_err(io)
    }

    /// Takes the right to write.
    ///
    /// # Errors
    /// When another process has it.
    pub fn lock(&self) -> Result<DataLock, DataDirError> {
        let path = self.root.join("lock");
        let io = |source| DataDirError::Io { path: path.clone(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let holder = holder.trim();
                let holder = if holder.is_empty() { "unknown" } else { holder };
                return Err(DataDirError::Locked { path: self.root.clone(), holder: holder.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        // Only for the message above; a full disk must not keep anybody from opening.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(DataLock { file })
    }

    /// Id of the log.
    pub fn log_id(&self) -> &str {
        &self.log_id
    }

    /// Bytes that are free on the disk for this process.
    ///
    /// # Errors
    /// When the file system does not say.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let fs = rustix::fs::statvfs(&self.root)?;
        Ok(fs.f_bavail.saturating_mul(fs.f_frsize))
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of the volumes.
    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// The directory of long bodies.
    pub fn content(&self) -> PathBuf {
        self.root.join("content")
    }

    /// The directory of snapshots: all of it may be deleted.
    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }
}

/// Empty but for what an interrupted making of a data directory leaves.
fn is_empty(dir: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        if entry?.file_name() != format!("{MARKER}.tmp").as_str() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_given_back_is_free_even_while_a_starting_child_has_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open_or_create(&dir.path().join("d"), Ulid::nil()).unwrap();
        let lock = data.lock().unwrap();
        assert!(matches!(data.lock(), Err(DataDirError::Locked { .. })));
        let of_the_child = lock.file.try_clone().unwrap();
        drop(lock);
        assert!(data.lock().is_ok());
        drop(of_the_child);
    }

    #[test]
    fn a_directory_of_somebody_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.txt"), "precious").unwrap();
        let error = DataDir::open_or_create(dir.path(), Ulid::nil()).unwrap_err();
        assert!(matches!(error, DataDirError::NotDocket(_)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_making_that_was_interrupted_is_done_again() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("docket.json.tmp"), "").unwrap();
        assert!(DataDir::open_or_create(dir.path(), Ulid::nil()).is_ok());
    }

    #[test]
    fn a_newer_format_is_refused_and_nothing_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let marker = r#"{"format": 7, "log_id": "x"}"#;
        fs::write(dir.path().join(MARKER), marker).unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(DataDirError::NewerFormat { found: 7, .. })));
        assert_eq!(fs::read_to_string(dir.path().join(MARKER)).unwrap(), marker);
    }

    #[test]
    fn a_flipped_bit_in_the_marker_is_damage_and_not_a_newer_format_or_another_log() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("d");
        let log_id = DataDir::open_or_create(&root, Ulid::nil()).unwrap().log_id().to_owned();
        let whole = fs::read(root.join(MARKER)).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(root.join(MARKER), bytes).unwrap();
            match DataDir::open(&root) {
                Ok(data) => assert_eq!(data.log_id(), log_id, "bit {bit}"),
                Err(error) => assert!(!matches!(error, DataDirError::NewerFormat { .. }), "bit {bit}: {error}"),
            }
        }
    }

    #[test]
    fn a_second_writer_is_told_who_has_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open_or_create(&dir.path().join("d"), Ulid::nil()).unwrap();
        let lock = data.lock().unwrap();
        let Err(DataDirError::Locked { holder, .. }) = data.lock() else { panic!("two writers") };
        assert_eq!(holder, std::process::id().to_string());
        drop(lock);
        assert!(data.lock().is_ok());
    }
}
