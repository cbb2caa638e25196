//! Backups: the journals and stored texts of a data directory, copied while a server writes.
//!
//! A backup grows with its log: what is sealed is copied once, of the newest journal only what is new. The chain is checked
//! while copying, so damage is never copied over something sound. `backup.json` says up to where the backup is complete; it is
//! written last, so an interrupted backup is the one before.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use docket_core::{ids::Position, time::Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    check::{Throttle, stored_texts, walk_volume},
    codec::{Block, BlockHash, BlockHead, brief},
    content::{ContentFile, ContentStore},
    data_dir::{DataDir, DataDirError},
    database::rebuild_database,
    files,
    journal::{frame, sound_frames},
    leftovers::{self, Leftover, LeftoverKind, Making},
    log::{Head, ReadError},
    seal::{Seal, prove_database, write_seal},
    sled_log::{OpenError, new_volume},
    volume::{BlockWalk, CleanStop, VolumePath},
};

/// Format of backups that this program writes; it reads all up to it.
const BACKUP_FORMAT: u32 = 1;
const MANIFEST: &str = "backup.json";

/// Why a backup cannot be made, read or restored. Nothing was changed, unless a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The target holds something else.
    #[error(
        "{path} is not empty and is no backup (it holds {found}): nothing in it was touched. Name an empty or a new directory"
    )]
    NotEmpty {
        /// The target.
        path: PathBuf,
        /// What was found in it, in words.
        found: String,
    },
    /// No backup is there.
    #[error("{0} is no backup: it has no backup.json. Name the directory that `docket backup` wrote to")]
    NotABackup(PathBuf),
    /// It is that of another desk.
    #[error("{path} is the backup of another desk (log {found}; this one is {expected}): name another directory")]
    AnotherLog {
        /// The backup.
        path: PathBuf,
        /// Its log.
        found: String,
        /// The log that was to be backed up.
        expected: String,
    },
    /// It was made by a newer program.
    #[error("{path} has format {found}, this program knows up to {supported}: use a newer docket")]
    NewerFormat {
        /// The backup.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this program knows.
        supported: u32,
    },
    /// The backup has what the log has not.
    #[error(
        "the backup {path} has another history than the log, or a longer one (it stands at position {position}): the log was \
         restored from an older backup or has lost something. Keep this backup, and back up to a new directory"
    )]
    Diverged {
        /// The backup.
        path: PathBuf,
        /// Where it stands.
        position: Position,
    },
    /// The backup is damaged or not complete.
    #[error(
        "the backup {path} is damaged: {reason}. Nothing was changed; use another backup, or back up to a new directory"
    )]
    Damaged {
        /// The backup.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// It holds what a newer program wrote. Nothing was changed.
    #[error("the backup {path} cannot be read by this program: {source}")]
    Newer {
        /// The backup.
        path: PathBuf,
        /// What was met.
        #[source]
        source: ReadError,
    },
    /// Somebody else writes to it.
    #[error("another backup to {0} is going on: wait for it")]
    Busy(PathBuf),
    /// Somebody else restores to the same place.
    #[error("another restore to {target} is going on, in {making}: nothing was touched. Wait for it, or stop it first")]
    Restoring {
        /// Where the restored directory is to be.
        target: PathBuf,
        /// Where the other one makes it.
        making: PathBuf,
    },
    /// The log cannot be read.
    #[error("the log cannot be backed up: {0}")]
    Log(#[from] ReadError),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The restored log cannot be made.
    #[error(transparent)]
    Open(#[from] OpenError),
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

/// Up to where a backup is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format of the backup.
    pub format: u32,
    /// Id of the log.
    pub log_id: String,
    /// When it was completed.
    pub taken_at: Timestamp,
    /// Position of its last commit.
    pub head_position: Position,
    /// Hash of its last block: it stands for the whole log up to there.
    pub head_hash: BlockHash,
    /// Commits in it.
    pub commits: u64,
    /// Its volumes, in order.
    pub volumes: Vec<BackedVolume>,
    /// Stored texts in it.
    pub texts: u64,
    /// Stored texts that events name and that were damaged or missing when it was made: it is complete but for them.
    #[serde(default)]
    pub missing_texts: BTreeSet<String>,
}

/// A volume of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedVolume {
    /// Number of the volume.
    pub number: u64,
    /// Bytes of its journal that belong to the backup.
    pub bytes: u64,
    /// Position of its last commit.
    pub last: Position,
    /// Hash of its last block.
    pub hash: BlockHash,
    /// True when it takes nothing more.
    pub sealed: bool,
}

/// What a backup did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupReport {
    /// What is in the backup now.
    pub manifest: Manifest,
    /// Bytes that were copied this time.
    pub copied_bytes: u64,
    /// Stored texts that were copied this time.
    pub copied_texts: u64,
    /// Volumes that were there already.
    pub kept_volumes: u64,
}

/// What a restore made, and what it met of earlier ones.
#[derive(Debug)]
pub struct Restored {
    /// The data directory.
    pub data: DataDir,
    /// What restores that were killed had left beside it; it was removed.
    pub removed: Vec<PathBuf>,
    /// What has the name of such a leftover and holds something else; it was left alone.
    pub left: Vec<Leftover>,
}

/// A backup on disk.
#[derive(Debug, Clone)]
pub struct Backup {
    dir: PathBuf,
    manifest: Manifest,
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> BackupError {
    move |source| BackupError::Io { path: path.to_owned(), source }
}

impl Backup {
    /// Opens a backup.
    ///
    /// # Errors
    /// When none is there, or it cannot be read.
    pub fn open(dir: &Path) -> Result<Self, BackupError> {
        let path = dir.join(MANIFEST);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::NotABackup(dir.to_owned()));
            }
            Err(source) => return Err(BackupError::Io { path, source }),
        };
        let damaged = |reason: String| BackupError::Damaged { path: dir.to_owned(), reason };
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let Versioned { format } =
            serde_json::from_str(&text).map_err(|error| damaged(format!("{MANIFEST}: {}", brief(error))))?;
        if format > BACKUP_FORMAT {
            return Err(BackupError::NewerFormat { path: dir.to_owned(), found: format, supported: BACKUP_FORMAT });
        }
        let manifest: Manifest =
            serde_json::from_str(&text).map_err(|error| damaged(format!("{MANIFEST}: {}", brief(error))))?;
        Ok(Self { dir: dir.to_owned(), manifest })
    }

    /// Opens the backup of a log, to read blocks and texts from it.
    pub(crate) fn open_for(dir: &Path, log_id: &str) -> Result<Self, ReadError> {
        let other = |error: BackupError| ReadError::Io { path: dir.to_owned(), source: io::Error::other(error) };
        let backup = Self::open(dir).map_err(other)?;
        if backup.manifest.log_id != log_id {
            return Err(other(BackupError::AnotherLog {
                path: dir.to_owned(),
                found: backup.manifest.log_id,
                expected: log_id.to_owned(),
            }));
        }
        Ok(backup)
    }

    /// Up to where it is complete.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where a volume ends that took nothing more when it was backed up.
    pub(crate) fn end_of(&self, number: u64) -> Option<Head> {
        let volume = self.manifest.volumes.iter().find(|volume| volume.number == number && volume.sealed)?;
        Some(Head { position: volume.last, hash: volume.hash })
    }

    pub(crate) fn texts(&self) -> ContentStore {
        ContentStore::new(&self.dir.join("content"))
    }

    fn volume(&self, number: u64) -> VolumePath {
        VolumePath::new(&self.dir.join("log"), number)
    }

    /// The sound blocks of a volume, by first position and the hash before.
    pub(crate) fn blocks(&self, number: u64) -> Result<HashMap<(Position, BlockHash), Vec<u8>>, ReadError> {
        let path = self.volume(number);
        let bytes = match fs::read(path.journal()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
            Err(error) => return Err(path.io(error)),
        };
        let heads = sound_frames(&bytes).filter_map(|payload| Some((BlockHead::decode(payload).ok()?, payload)));
        Ok(heads.map(|(head, payload)| ((head.first, head.previous_block), payload.to_vec())).collect())
    }

    /// Walks the chain of the whole backup and reads every text that it names.
    ///
    /// # Errors
    /// When anything is not as the manifest says.
    pub fn verify(&self, bytes_per_second: Option<u64>, progress: impl FnMut(Position)) -> Result<(), BackupError> {
        self.walk(&mut Throttle::new(bytes_per_second), progress, |_, _| Ok(()))
    }

    /// Walks every block that belongs to the backup, hands it over, and checks it all against the manifest.
    fn walk(
        &self,
        throttle: &mut Throttle,
        mut progress: impl FnMut(Position),
        mut each: impl FnMut(&BackedVolume, BackedPart<'_>) -> Result<(), BackupError>,
    ) -> Result<(), BackupError> {
        let damaged = |reason: String| BackupError::Damaged { path: self.dir.clone(), reason };
        let unreadable = |error: ReadError| {
            if error.is_newer() {
                BackupError::Newer { path: self.dir.clone(), source: error }
            } else {
                damaged(error.to_string())
            }
        };
        let mut at = Head { position: Position::START, hash: BlockHash::genesis(&self.manifest.log_id) };
        let (mut commits, mut named) = (0, BTreeSet::new());
        for (volume, number) in self.manifest.volumes.iter().zip(1..) {
            let path = self.volume(volume.number);
            let mut walk = BlockWalk::open(&path).map_err(unreadable)?;
            let starts = walk.start() == (at.position.next(), at.hash);
            if volume.number != number || !starts || walk.log_id() != self.manifest.log_id {
                return Err(damaged(format!("volume {number} does not continue the chain of the one before")));
            }
            each(volume, BackedPart::Start(&path))?;
            while walk.bytes() < volume.bytes {
                let block = walk.next_block().map_err(unreadable)?;
                let block = block.ok_or_else(|| {
                    damaged(format!("the journal of volume {number} is cut off after position {}", walk.reached().0))
                })?;
                let decoded = Block::decode(&block.payload)
                    .map_err(|why| unreadable(why.at(number, block.first, &path.journal())))?;
                throttle.read(block.payload.len() as u64);
                commits += decoded.commits.len() as u64;
                for commit in &decoded.commits {
                    named.extend(stored_texts(commit).map(str::to_owned));
                }
                each(volume, BackedPart::Block(&block.payload))?;
                progress(block.last);
            }
            let (position, hash) = walk.reached();
            if (walk.bytes(), position, hash) != (volume.bytes, volume.last, volume.hash) {
                return Err(damaged(format!("volume {number} ends elsewhere than {MANIFEST} says")));
            }
            at = Head { position, hash };
        }
        let says = (self.manifest.head_position, self.manifest.head_hash, self.manifest.commits);
        if (at.position, at.hash, commits) != says {
            return Err(damaged(format!("it ends at position {} and {MANIFEST} says {}", at.position, says.0)));
        }
        let texts = self.texts();
        for name in named.into_iter().filter(|name| !self.manifest.missing_texts.contains(name)) {
            let bytes = texts.get(&name).map_err(|error| damaged(error.to_string()))?;
            throttle.read(bytes.len() as u64);
        }
        Ok(())
    }

    /// Makes a data directory of the backup where nothing is: checked while it is copied, and named last, so an interrupted
    /// restore leaves nothing that could be taken for a desk. What earlier restores to the same target left when they were
    /// killed is removed first, and told.
    ///
    /// # Errors
    /// When something is in the way, another restore to the target is going on, or the backup is damaged. The target is not
    /// touched then.
    pub fn restore(&self, target: &Path, progress: impl FnMut(Position)) -> Result<Restored, BackupError> {
        let there = match fs::read_dir(target) {
            Ok(mut entries) => Some(entries.next().transpose().map_err(io_at(target))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(BackupError::Io { path: target.to_owned(), source }),
        };
        if let Some(Some(entry)) = &there {
            let found = format!("{:?}", entry.file_name());
            return Err(BackupError::NotEmpty { path: target.to_owned(), found });
        }
        let parent = leftovers::parent(target);
        files::create_dir(&parent).map_err(io_at(&parent))?;
        let (mut removed, mut left) = (Vec::new(), Vec::new());
        for leftover in leftovers::of_restores(target).map_err(io_at(&parent))? {
            let path = leftover.path.clone();
            match leftover.kind {
                LeftoverKind::InUse => return Err(BackupError::Restoring { target: target.to_owned(), making: path }),
                LeftoverKind::Foreign(_) => left.push(leftover),
                LeftoverKind::Dead => match leftovers::remove(&path).map_err(io_at(&path))? {
                    true => removed.push(path),
                    false => return Err(BackupError::Restoring { target: target.to_owned(), making: path }),
                },
            }
        }
        let making = Making::begin(target)?;
        let made = self.restore_into(making.path(), progress).and_then(|()| {
            if there.is_some() {
                fs::remove_dir(target).map_err(io_at(target))?;
            }
            fs::rename(making.path(), target).and_then(|()| files::sync_dir(&parent)).map_err(io_at(target))
        });
        if let Err(error) = made {
            let path = making.path();
            if let Err(leftover) = files::remove_dir(path) {
                tracing::warn!(%leftover, path = %path.display(), "what a failed restore left could not be removed");
            }
            return Err(error);
        }
        Ok(Restored { data: DataDir::open(target)?, removed, left })
    }

    fn restore_into(&self, making: &Path, progress: impl FnMut(Position)) -> Result<(), BackupError> {
        let log = making.join("log");
        files::create_dir(making).map_err(io_at(making))?;
        files::create_dir(&log).map_err(io_at(&log))?;
        let mut journal: Option<io::BufWriter<File>> = None;
        self.walk(&mut Throttle::new(None), progress, |volume, part| {
            let path = VolumePath::new(&log, volume.number);
            let io = io_at(&path.dir);
            match part {
                BackedPart::Start(from) => {
                    finish(journal.take()).map_err(&io)?;
                    files::create_dir(&path.dir).map_err(&io)?;
                    let mut out = io::BufWriter::new(File::create_new(path.journal()).map_err(&io)?);
                    let header = BlockWalk::open(from)?.header_frame()?;
                    out.write_all(&header).map_err(&io)?;
                    journal = Some(out);
                }
                BackedPart::Block(payload) => {
                    if let Some(out) = &mut journal {
                        out.write_all(&frame(payload)).map_err(&io)?;
                    }
                }
            }
            Ok(())
        })?;
        finish(journal.take()).map_err(io_at(&log))?;
        let from = self.texts();
        let to = ContentStore::new(&making.join("content"));
        for file in from.files().map_err(io_at(&self.dir))? {
            if let ContentFile::Text { name, .. } = file {
                let damaged = |error: crate::content::ContentError| BackupError::Damaged {
                    path: self.dir.clone(),
                    reason: error.to_string(),
                };
                match from.get(&name) {
                    Ok(bytes) => _ = to.put(&bytes).map_err(damaged)?,
                    // Those that events name were checked above.
                    Err(error) => tracing::warn!(%error, "a text that no event names is left out"),
                }
            }
        }
        let newest = self.manifest.volumes.len() as u64;
        for volume in &self.manifest.volumes {
            let path = VolumePath::new(&log, volume.number);
            if volume.number < newest || volume.sealed {
                let walked = walk_volume(&path, &mut Throttle::new(None), &mut |_| {}, None)?;
                prove_database(&path, &walked.index)?;
                write_seal(&path, &walked.walk, &walked.index)?;
            } else {
                rebuild_database(&path)?.sync(&path)?;
                // So that a journal that is cut short later is no torn tail.
                let clean = CleanStop { position: volume.last, hash: volume.hash, journal_bytes: volume.bytes };
                clean.write(&path)?;
            }
            files::sync_dir(&path.dir).map_err(io_at(&path.dir))?;
        }
        if let Some(last) = self.manifest.volumes.last().filter(|last| last.sealed) {
            // It was filled while the backup went on: what comes next begins another volume.
            let before = Head { position: last.last, hash: last.hash };
            drop(new_volume(&DataDir::assumed(making, &self.manifest.log_id), newest + 1, before)?);
        }
        files::sync_dir(&log).map_err(io_at(&log))?;
        DataDir::write_marker(making, &self.manifest.log_id)?;
        Ok(())
    }
}

/// What a walk over a backup meets.
enum BackedPart<'a> {
    Start(&'a VolumePath),
    Block(&'a [u8]),
}

fn finish(journal: Option<io::BufWriter<File>>) -> io::Result<()> {
    match journal {
        Some(journal) => journal.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all(),
        None => Ok(()),
    }
}

/// Copies what is new in a data directory into a backup, which is made where nothing is. Takes no lock of the data directory.
///
/// # Errors
/// When the target is something else, or the log or a file cannot be read or written. The backup is then the one before.
pub fn backup(
    data: &DataDir,
    dir: &Path,
    now: Timestamp,
    bytes_per_second: Option<u64>,
    mut progress: impl FnMut(Position),
) -> Result<BackupReport, BackupError> {
    // Looked at before anything is made, so that nobody else's directory is touched; and once more with the lock, as another
    // backup may have been completed in between.
    begun(dir, data.log_id())?;
    files::create_dir(dir).map_err(io_at(dir))?;
    let lock =
        OpenOptions::new().write(true).create(true).truncate(false).open(dir.join("lock")).map_err(io_at(dir))?;
    lock.try_lock().map_err(|error| match error {
        fs::TryLockError::WouldBlock => BackupError::Busy(dir.to_owned()),
        fs::TryLockError::Error(source) => BackupError::Io { path: dir.to_owned(), source },
    })?;
    let before = begun(dir, data.log_id())?;
    let of = dir.join("of");
    if before.is_none() {
        files::write_atomically(&of, data.log_id().as_bytes()).map_err(io_at(&of))?;
    }
    let throttle = Throttle::new(bytes_per_second);
    let mut copy = Copying { dir, before, throttle, copied_bytes: 0, kept_volumes: 0, named: BTreeSet::new() };
    let manifest = copy.volumes(data, &mut progress)?;
    // After the journals: a text is stored before the event that names it.
    let copied_texts = copy.texts(data)?;
    let kept = ContentStore::new(&dir.join("content"));
    let earlier = copy.before.as_ref().map(|before| before.missing_texts.clone()).unwrap_or_default();
    let named = std::mem::take(&mut copy.named);
    let missing_texts = named.into_iter().chain(earlier).filter(|name| kept.get(name).is_err()).collect();
    let texts = kept.files().map_err(io_at(dir))?;
    let texts = texts.iter().filter(|file| matches!(file, ContentFile::Text { .. })).count() as u64;
    let manifest = Manifest { taken_at: now, texts, missing_texts, ..manifest };
    let text = serde_json::to_string_pretty(&manifest)
        .map_err(|error| BackupError::Damaged { path: dir.to_owned(), reason: error.to_string() })?;
    let path = dir.join(MANIFEST);
    files::write_atomically(&path, text.as_bytes()).map_err(io_at(&path))?;
    let Copying { copied_bytes, kept_volumes, .. } = copy;
    Ok(BackupReport { manifest, copied_bytes, copied_texts, kept_volumes })
}

/// What a backup of this log finds in its directory: the mark of the one before; `None` where nothing is, or only what a
/// first backup of this log leaves that was interrupted at any point before its mark. Changes nothing.
fn begun(dir: &Path, log_id: &str) -> Result<Option<Manifest>, BackupError> {
    let another = |found: String| BackupError::AnotherLog { path: dir.to_owned(), found, expected: log_id.to_owned() };
    match Backup::open(dir) {
        Ok(backup) if backup.manifest.log_id == log_id => return Ok(Some(backup.manifest)),
        Ok(backup) => return Err(another(backup.manifest.log_id)),
        Err(BackupError::NotABackup(_)) => {}
        Err(error) => return Err(error),
    }
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(io_at(dir))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(BackupError::Io { path: dir.to_owned(), source }),
    };
    // Written whole and synced before it gets its name; empty, all the same, on a file system that keeps names before bytes.
    let of = match fs::read_to_string(dir.join("of")) {
        Ok(of) => Some(of),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(BackupError::Io { path: dir.join("of"), source }),
    };
    if let Some(of) = &of
        && of != log_id
        && of.parse::<ulid::Ulid>().is_ok()
    {
        return Err(another(of.clone()));
    }
    let ours = of.as_deref() == Some(log_id);
    for path in entries {
        let what = fs::symlink_metadata(&path).map_err(io_at(&path))?;
        let own = match path.file_name().and_then(|name| name.to_str()) {
            // Nothing is ever written to it.
            Some("lock") => what.is_file() && what.len() == 0,
            Some("of") => what.is_file() && of.as_deref().is_some_and(|of| log_id.starts_with(of)),
            // Small, whatever part of it was written.
            Some("of.tmp") => what.is_file() && what.len() <= log_id.len() as u64,
            Some("backup.json.tmp") => what.is_file() && ours,
            Some("log" | "content") => what.is_dir() && ours,
            Some(_) | None => false,
        };
        if !own {
            let found = format!("{:?}", path.file_name().unwrap_or_default());
            return Err(BackupError::NotEmpty { path: dir.to_owned(), found });
        }
    }
    Ok(None)
}

struct Copying<'a> {
    dir: &'a Path,
    before: Option<Manifest>,
    throttle: Throttle,
    copied_bytes: u64,
    kept_volumes: u64,
    /// Texts that the copied blocks speak of.
    named: BTreeSet<String>,
}

impl Copying<'_> {
    fn volumes(&mut self, data: &DataDir, progress: &mut dyn FnMut(Position)) -> Result<Manifest, BackupError> {
        let sources = data.volumes()?;
        let target = self.dir.join("log");
        files::create_dir(&target).map_err(io_at(&target))?;
        let mut at = Head { position: Position::START, hash: BlockHash::genesis(data.log_id()) };
        let mut volumes = Vec::new();
        let mut commits = 0;
        let newest = sources.len();
        for (path, number) in sources.iter().zip(1..) {
            let number: u64 = number;
            if number as usize == newest && path.is_unborn().unwrap_or(false) {
                break;
            }
            if path.number != number {
                let reason = format!("volume {number} is missing");
                return Err(ReadError::Corrupt { volume: number, position: at.position.next(), reason }.into());
            }
            let known = self.before.as_ref().and_then(|before| before.volumes.get(volumes.len())).cloned();
            let volume = self.volume(path, &VolumePath::new(&target, number), at, data.log_id(), known, progress)?;
            if volume.last == at.position {
                // A volume that holds nothing yet may not outlive a power cut.
                break;
            }
            commits += volume.last.get() - at.position.get();
            at = Head { position: volume.last, hash: volume.hash };
            volumes.push(volume);
        }
        let behind = |before: &Manifest| before.head_position > at.position || before.volumes.len() > volumes.len();
        if let Some(before) = self.before.as_ref().filter(|before| behind(before)) {
            return Err(BackupError::Diverged { path: self.dir.to_owned(), position: before.head_position });
        }
        Ok(Manifest {
            format: BACKUP_FORMAT,
            log_id: data.log_id().to_owned(),
            taken_at: Timestamp::from_millis(0),
            head_position: at.position,
            head_hash: at.hash,
            commits,
            volumes,
            texts: 0,
            missing_texts: BTreeSet::new(),
        })
    }

    /// Copies what is new of a volume.
    fn volume(
        &mut self,
        from: &VolumePath,
        to: &VolumePath,
        at: Head,
        log_id: &str,
        known: Option<BackedVolume>,
        progress: &mut dyn FnMut(Position),
    ) -> Result<BackedVolume, BackupError> {
        let diverged = |position| BackupError::Diverged { path: self.dir.to_owned(), position };
        let seal = Seal::head(from)?;
        if let (Some(seal), Some(known)) = (&seal, &known)
            && known.sealed
        {
            let there = fs::metadata(to.journal()).is_ok_and(|file| file.len() == known.bytes);
            if (seal.last, seal.hash) != (known.last, known.hash) {
                return Err(diverged(known.last));
            }
            if there {
                self.kept_volumes += 1;
                return Ok(known.clone());
            }
        }
        let mut walk = BlockWalk::open(from)?;
        if walk.log_id() != log_id || walk.start() != (at.position.next(), at.hash) {
            let reason = "the volume does not continue the chain of the one before".into();
            return Err(ReadError::Corrupt { volume: from.number, position: at.position.next(), reason }.into());
        }
        let io = io_at(&to.dir);
        files::create_dir(&to.dir).map_err(&io)?;
        let have = match &known {
            Some(known) if fs::metadata(to.journal()).is_ok_and(|file| file.len() >= known.bytes) => known.bytes,
            Some(_) | None => 0,
        };
        let mut out = OpenOptions::new().write(true).create(true).truncate(false).open(to.journal()).map_err(&io)?;
        // What an interrupted backup wrote behind is written again.
        out.set_len(have).map_err(&io)?;
        out.seek(SeekFrom::Start(have)).map_err(&io)?;
        let mut out = io::BufWriter::with_capacity(1 << 20, out);
        let mut write = |bytes: &[u8], copied: &mut u64| {
            *copied += bytes.len() as u64;
            out.write_all(bytes)
        };
        if have == 0 {
            write(&walk.header_frame()?, &mut self.copied_bytes).map_err(&io)?;
        }
        let mut met = have == 0 || known.as_ref().is_some_and(|known| walk.bytes() == known.bytes);
        // What is read now may not be on the source's disk yet; a backup must never be ahead of its log.
        let source = File::open(from.journal()).map_err(io_at(&from.dir))?;
        let length = source.metadata().map_err(io_at(&from.dir))?.len();
        source.sync_data().map_err(io_at(&from.dir))?;
        let (mut end, mut last, mut hash) = (walk.bytes(), walk.reached().0, walk.reached().1);
        while end < length {
            let Some(block) = walk.next_block()? else { break };
            // Written after the sync.
            if walk.bytes() > length {
                break;
            }
            self.throttle.read(block.payload.len() as u64);
            if block.offset >= have {
                write(&frame(&block.payload), &mut self.copied_bytes).map_err(&io)?;
                let decoded =
                    Block::decode(&block.payload).map_err(|why| why.at(from.number, block.first, &from.journal()))?;
                for commit in &decoded.commits {
                    self.named.extend(stored_texts(commit).map(str::to_owned));
                }
            }
            (end, last, hash) = (walk.bytes(), block.last, block.hash);
            if let Some(known) = &known
                && end == known.bytes
            {
                met = (last, hash) == (known.last, known.hash);
            }
            progress(last);
        }
        if !met {
            return Err(diverged(known.map_or(at.position, |known| known.last)));
        }
        finish(Some(out)).map_err(&io)?;
        files::sync_dir(&to.dir).map_err(&io)?;
        let sealed = seal.is_some_and(|seal| (seal.last, seal.hash) == (last, hash));
        Ok(BackedVolume { number: from.number, bytes: end, last, hash, sealed })
    }

    /// Copies the texts that the backup does not have.
    fn texts(&mut self, data: &DataDir) -> Result<u64, BackupError> {
        let (from, to) = (ContentStore::new(&data.content()), ContentStore::new(&self.dir.join("content")));
        let mut copied = 0;
        let content = data.content();
        for file in from.files().map_err(io_at(&content))? {
            let ContentFile::Text { name, bytes } = file else { continue };
            if to.get(&name).is_ok() {
                continue;
            }
            self.throttle.read(bytes);
            let failed = |error: crate::content::ContentError| BackupError::Io {
                path: content.clone(),
                source: io::Error::other(error),
            };
            match from.get(&name) {
                Ok(text) => _ = to.put(&text).map_err(failed)?,
                // Damage is not copied; verification names it.
                Err(error) => {
                    tracing::warn!(%error, "a stored text is not in the backup");
                    continue;
                }
            }
            copied += 1;
            self.copied_bytes += bytes;
        }
        Ok(copied)
    }
}
