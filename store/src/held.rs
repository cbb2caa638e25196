//! The right to write: which files are locked, and whether they are still those that their paths name.
//!
//! The kernel locks a file, not its name. A lock file that is removed locks nothing any more for whoever makes a new one, so
//! what matters is locked itself: the data directory and the open journal. The lock file is locked as well, for versions that
//! know nothing else. A path may lead elsewhere while the file is open, and is compared with it before anything is
//! acknowledged.

use std::{
    fs::{self, File, Metadata, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    data_dir::{DataDir, DataDirError},
    volume::VolumePath,
};

/// How often and with which pause a lock is tried: whoever asks whether a directory is in use has it for a moment.
const ATTEMPTS: u32 = 10;
/// The same for a database: sled gives its lock back a while after it was let go of, and the kernel after a kill.
const DATABASE_ATTEMPTS: u32 = 250;
const PAUSE: Duration = Duration::from_millis(20);

/// An open file that is locked, and the path that led to it.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    file: File,
    /// Device and inode.
    identity: (u64, u64),
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Held {
    /// Locks an open file.
    ///
    /// # Errors
    /// `WouldBlock` when somebody else has it locked.
    pub fn take(path: &Path, file: File) -> Result<Self, TryLockError> {
        for attempt in 1.. {
            match file.try_lock() {
                Err(TryLockError::WouldBlock) if attempt < ATTEMPTS => std::thread::sleep(PAUSE),
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        let identity = identity(&file.metadata().map_err(TryLockError::Error)?);
        Ok(Self { path: path.to_owned(), file, identity })
    }

    /// The file.
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// What its path names now, when that is this file.
    ///
    /// # Errors
    /// What became of it, in words.
    pub fn still_there(&self) -> Result<Metadata, String> {
        let path = self.path.display();
        match fs::metadata(&self.path) {
            Ok(now) if identity(&now) == self.identity => Ok(now),
            Ok(_) => Err(format!("{path} was exchanged while it was in use: it is not what was opened")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(format!("{path} is gone: it was moved or removed while it was in use"))
            }
            Err(error) => Err(format!("{path} cannot be looked at any more: {error}")),
        }
    }
}

impl Drop for Held {
    /// Closing alone would leave the lock to a child process that was being started at that moment: it has a copy of the
    /// file until it becomes another program.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, path = %self.path.display(), "a lock is given back only when its file is closed");
        }
    }
}

/// True while somebody else has this file or directory locked.
pub fn by_another(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    match file.try_lock_shared() {
        Ok(()) => {
            // Closed in a moment anyway.
            let _ = file.unlock();
            false
        }
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => false,
    }
}

/// The same, after giving it some time to be given back.
fn stays_with_another(path: &Path, attempts: u32) -> bool {
    for _ in 0..attempts {
        if !by_another(path) {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
    by_another(path)
}

/// The right to write to a data directory; given back when dropped, also by the kernel when the process dies.
#[derive(Debug)]
pub struct DataLock {
    /// Absent on file systems that lock no directories.
    directory: Option<Held>,
    file: Held,
}

impl DataLock {
    pub(crate) fn take(data: &DataDir) -> Result<Self, DataDirError> {
        let root = data.root();
        let path = data.lock_file();
        let directory = match File::open(root).map_err(TryLockError::Error).and_then(|dir| Held::take(root, dir)) {
            Ok(held) => Some(held),
            Err(TryLockError::WouldBlock) => return Err(locked(data)),
            Err(TryLockError::Error(error)) if locks_no_directories(&error) => None,
            Err(TryLockError::Error(source)) => return Err(DataDirError::Io { path: root.to_owned(), source }),
        };
        let io = |source| DataDirError::Io { path: path.clone(), source };
        let file = loop {
            let file =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
            match Held::take(&path, file) {
                // Somebody may have removed it since it was opened.
                Ok(held) if held.still_there().is_err() => {}
                Ok(held) => break held,
                Err(TryLockError::WouldBlock) => return Err(locked(data)),
                Err(TryLockError::Error(source)) => return Err(io(source)),
            }
        };
        // The same files may be in another directory too, and an early version may hold only them.
        if let Some(newest) = VolumePath::list(&data.log()).ok().and_then(|mut volumes| volumes.pop()) {
            let database = newest.sled().join("db");
            for (path, attempts) in [(newest.journal(), ATTEMPTS), (database, DATABASE_ATTEMPTS)] {
                if stays_with_another(&path, attempts) {
                    return Err(DataDirError::Shared { path });
                }
            }
        }
        let mut text = file.file();
        // Only for whoever is refused; a full disk must not keep anybody from opening.
        let _ = text.set_len(0).and_then(|()| text.rewind()).and_then(|()| write!(text, "{}", std::process::id()));
        Ok(Self { directory, file })
    }

    /// Whether what is locked is still what the paths name.
    ///
    /// # Errors
    /// What became of it, in words.
    pub(crate) fn still_there(&self) -> Result<(), String> {
        self.directory.as_ref().map_or(Ok(()), |held| held.still_there().map(drop))?;
        self.file.still_there().map(drop)
    }
}

/// NFS has no locks for what is not open for writing, and a directory cannot be.
fn locks_no_directories(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::BADF | Errno::INVAL | Errno::NOTSUP | Errno::NOLCK))
}

fn locked(data: &DataDir) -> DataDirError {
    let mut text = String::new();
    // Without it nobody is named.
    let _ = File::open(data.lock_file()).and_then(|mut file| file.read_to_string(&mut text));
    let holder = match text.trim() {
        "" => "another process".to_owned(),
        id => format!("process {id}"),
    };
    DataDirError::Locked { path: data.root().to_owned(), holder }
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;

    fn desk() -> (tempfile::TempDir, DataDir) {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open_or_create(&dir.path().join("d"), Ulid::nil()).unwrap();
        (dir, data)
    }

    fn refused(data: &DataDir) -> bool {
        matches!(data.lock(), Err(DataDirError::Locked { .. } | DataDirError::Shared { .. }))
    }

    #[test]
    fn a_lock_that_is_given_back_is_free_even_while_a_starting_child_has_its_file() {
        let (_dir, data) = desk();
        let lock = data.lock().unwrap();
        assert!(refused(&data));
        let of_the_child = (lock.file.file.try_clone().unwrap(), lock.directory.as_ref().unwrap().file.try_clone());
        drop(lock);
        assert!(data.lock().is_ok());
        drop(of_the_child);
    }

    #[test]
    fn a_second_writer_is_told_who_has_the_lock() {
        let (_dir, data) = desk();
        let lock = data.lock().unwrap();
        let Err(DataDirError::Locked { holder, .. }) = data.lock() else { panic!("two writers") };
        assert_eq!(holder, format!("process {}", std::process::id()));
        assert!(data.in_use());
        drop(lock);
        assert!(!data.in_use() && data.lock().is_ok());
    }

    #[test]
    fn a_lock_file_that_is_removed_or_made_anew_lets_nobody_in_and_its_holder_knows() {
        let (_dir, data) = desk();
        let lock = data.lock().unwrap();
        assert_eq!(lock.still_there(), Ok(()));
        fs::remove_file(data.lock_file()).unwrap();
        assert!(refused(&data) && data.in_use());
        assert!(!data.lock_file().exists(), "whoever is refused makes nothing");
        assert!(lock.still_there().unwrap_err().contains("lock is gone"));
        fs::write(data.lock_file(), "").unwrap();
        assert!(refused(&data));
        assert!(lock.still_there().unwrap_err().contains("lock was exchanged"));
    }

    #[test]
    fn a_directory_is_one_by_whatever_name_it_is_reached() {
        let (dir, data) = desk();
        let lock = data.lock().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(data.root(), &link).unwrap();
        fs::remove_file(data.lock_file()).unwrap();
        assert!(refused(&DataDir::open(&link).unwrap()));
        let moved = dir.path().join("moved");
        fs::rename(data.root(), &moved).unwrap();
        assert!(refused(&DataDir::open(&moved).unwrap()));
        assert!(lock.still_there().unwrap_err().contains("is gone"));
    }

    #[test]
    fn a_lock_that_somebody_has_for_a_moment_is_waited_for() {
        let (_dir, data) = desk();
        let asking = File::open(data.root()).unwrap();
        asking.try_lock_shared().unwrap();
        let freed = std::thread::spawn(move || {
            std::thread::sleep(PAUSE);
            drop(asking);
        });
        assert!(data.lock().is_ok());
        freed.join().unwrap();
    }
}
