//! A data directory: its marker, the right to write to it, and where things are in it.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ulid::Ulid;

use crate::{
    codec::brief,
    files,
    held::{self, DataLock},
    volume::VolumePath,
};

/// Format of data directories that this program makes; it opens all up to it.
const DATA_FORMAT: u32 = 1;
const MARKER: &str = "docket.json";
const LOG: &str = "log";

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
    /// The marker is not what was written, and nothing else says what it was.
    #[error(
        "{path} is damaged, and the first journal does not say what belongs there ({reason}): nothing was touched. Bring the \
         marker or the first volume back from a backup, or restore a backup to a new directory with `docket restore`"
    )]
    NoHelp {
        /// The marker.
        path: PathBuf,
        /// Why the first journal does not say it.
        reason: String,
    },
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
    #[error("{path} is in use by {holder}: nothing was touched. Stop it first, or ask it through GraphQL")]
    Locked {
        /// The directory.
        path: PathBuf,
        /// `process` with its id, or `another process`.
        holder: String,
    },
    /// Another process writes to files that are also in this directory, under other names.
    #[error(
        "{path} is in use by another process, through another directory: the two share their files, as hard-linked copies do. \
         Nothing was touched. Stop that process, or make a copy with files of its own: `docket backup`, then `docket restore`"
    )]
    Shared {
        /// The file that it uses.
        path: PathBuf,
    },
    /// The log of the directory is gone, or its newest volumes are.
    #[error("{path} is {found}, and {beside}: something is gone. Nothing was touched. {next}")]
    LostLog {
        /// What is not there.
        path: PathBuf,
        /// `missing` or `empty`.
        found: &'static str,
        /// What shows that there was one.
        beside: String,
        /// What to do.
        next: String,
    },
    /// A file operation failed.
    #[error("cannot use {path}: {source}")]
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
            Err(error) => {
                return Err(match newer_format(&text) {
                    // A newer form of it: what can be read of it is its format.
                    Some(found) => DataDirError::NewerFormat { path: root.to_owned(), found, supported: DATA_FORMAT },
                    None => DataDirError::Marker { path, reason: brief(error) },
                });
            }
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
                let io = |path: &Path| {
                    let path = path.to_owned();
                    move |source| DataDirError::Io { path, source }
                };
                files::create_dir(root).map_err(io(root))?;
                // Before the marker: whoever finds the marker and no log knows that it is gone.
                let log = root.join(LOG);
                files::create_dir(&log).map_err(io(&log))?;
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

    /// Takes the right to write: nobody else has it then, by whatever name they reach the directory or its files.
    ///
    /// # Errors
    /// When another process has it. Nothing was touched then.
    pub fn lock(&self) -> Result<DataLock, DataDirError> {
        DataLock::take(self)
    }

    /// True while another process, or another part of this one, has the right to write. Changes nothing.
    pub fn in_use(&self) -> bool {
        held::by_another(&self.root) || held::by_another(&self.lock_file())
    }

    /// The file whose lock goes with the right to write.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// The volumes of the log, by number: none where nothing was ever written.
    ///
    /// # Errors
    /// When the log is gone, its newest volumes are, or the directory cannot be read.
    pub(crate) fn volumes(&self) -> Result<Vec<VolumePath>, DataDirError> {
        let dir = self.log();
        let lost = |found, beside, next: String| DataDirError::LostLog { path: dir.clone(), found, beside, next };
        let restore = "Bring it back, or make the desk anew with `docket restore`";
        loop {
            let volumes = match VolumePath::list(&dir) {
                Ok(volumes) => volumes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let next = format!("{restore}; if this desk never took anything, make that directory again");
                    return Err(lost("missing", format!("{MARKER} is there"), next));
                }
                Err(source) => return Err(DataDirError::Io { path: dir, source }),
            };
            let Some(newest) = volumes.last() else {
                return match self.traces().map_err(|source| DataDirError::Io { path: self.root.clone(), source })? {
                    None => Ok(volumes),
                    Some(trace) => {
                        let next = format!("{restore}; to begin a new log here, remove {}", trace.display());
                        Err(lost("empty", format!("{} is not", trace.display()), next))
                    }
                };
            };
            // A volume is sealed once the next one is on disk; a server may have made it while we looked.
            if newest.seal().exists() {
                let again = VolumePath::list(&dir).map_err(|source| DataDirError::Io { path: dir.clone(), source })?;
                if again.len() > volumes.len() {
                    continue;
                }
                let seal = newest.seal();
                let missing = VolumePath::new(&dir, newest.number + 1);
                return Err(DataDirError::LostLog {
                    path: missing.dir,
                    found: "missing",
                    beside: format!("{} is there", seal.display()),
                    next: format!(
                        "Bring it back, or run `docket repair --backup DIR`; to go on without what it held, remove {} and {}",
                        seal.display(),
                        self.snapshots().display()
                    ),
                });
            }
            return Ok(volumes);
        }
    }

    /// Something that only a log that took commits leaves beside itself.
    fn traces(&self) -> io::Result<Option<PathBuf>> {
        for dir in [self.snapshots(), self.content(), self.root.join("damaged")] {
            match fs::read_dir(&dir).map(|mut entries| entries.next().is_some()) {
                Ok(true) => return Ok(Some(dir)),
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
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

    /// True when this user owns the directory, by its marker.
    pub fn is_own(&self) -> bool {
        fs::metadata(self.root.join(MARKER)).is_ok_and(|marker| marker.uid() == rustix::process::geteuid().as_raw())
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of the volumes.
    pub fn log(&self) -> PathBuf {
        self.root.join(LOG)
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

/// The format of a marker that is of no form known here, when it says that it is newer.
fn newer_format(text: &str) -> Option<u32> {
    #[derive(Deserialize)]
    struct Versioned {
        format: u32,
    }
    let Versioned { format } = serde_json::from_str(text).ok()?;
    (format > DATA_FORMAT).then_some(format)
}

/// Empty but for what an interrupted making of a data directory leaves.
fn is_empty(dir: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let begun = entry.file_name() == LOG && fs::read_dir(entry.path()).is_ok_and(|mut log| log.next().is_none());
        if !begun && entry.file_name() != format!("{MARKER}.tmp").as_str() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        fs::create_dir(dir.path().join("log")).unwrap();
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
}
