//! What a restore makes beside its target until it is whole, and what one leaves there that was killed.
//!
//! A restore to `NAME` makes its directory as `.NAME.restoring-PID` and holds a `flock` on it meanwhile, which the kernel gives
//! back when the process dies. So a directory of that name whose lock nobody holds is a dead one's. A process id alone says
//! nothing: it may have been given anew, or belong to another container.

use std::{
    ffi::OsString,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{backup::BackupError, files};

/// Something beside a target that has the name of what a restore makes there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The directory.
    pub path: PathBuf,
    /// What is to be thought of it.
    pub kind: LeftoverKind,
}

/// What is to be thought of a directory that has the name of what a restore makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftoverKind {
    /// The restore that made it was killed: nobody holds its lock, and it holds nothing but what a restore makes.
    Dead,
    /// A restore is at work in it.
    InUse,
    /// It holds something that no restore makes, here in words: it is left alone.
    Foreign(String),
}

/// The directory in which a target is, or will be.
pub fn parent(target: &Path) -> PathBuf {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// `.NAME.restoring-`: what stands before the process id.
fn prefix(target: &Path) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(target.file_name().unwrap_or("desk".as_ref()));
    prefix.push(".restoring-");
    prefix
}

/// What restores to this target have made beside it that is still there: dead, at work, or somebody else's under such a name.
/// Changes nothing.
///
/// # Errors
/// When the directory around the target cannot be read. One that is not there holds nothing.
pub fn of_restores(target: &Path) -> io::Result<Vec<Leftover>> {
    let (parent, prefix) = (parent(target), prefix(target));
    let entries = match fs::read_dir(&parent) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let id = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes());
        if id.is_some_and(|id| !id.is_empty() && id.iter().all(u8::is_ascii_digit)) {
            let path = parent.join(name);
            // It may be given its name, or be removed, while we look.
            match judge(&path) {
                Ok(kind) => found.push(Leftover { path, kind }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => found.push(Leftover { path, kind: LeftoverKind::Foreign(error.to_string()) }),
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

fn judge(path: &Path) -> io::Result<LeftoverKind> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return Ok(LeftoverKind::Foreign("it is no directory".into()));
    }
    let dir = File::open(path)?;
    // Shared: two who look do not take each other for a restore.
    match dir.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Ok(LeftoverKind::InUse),
        Err(TryLockError::Error(error)) => Err(error),
        Ok(()) => Ok(match strange(path)? {
            Some(strange) => LeftoverKind::Foreign(format!("it holds {}", strange.display())),
            None => LeftoverKind::Dead,
        }),
    }
}

/// The lock of a directory, by its open file; `None` when somebody else has it.
fn locked(path: &Path) -> io::Result<Option<File>> {
    let dir = File::open(path)?;
    match dir.try_lock() {
        Ok(()) => Ok(Some(dir)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Removes what a dead restore left; false when it is not that any more.
pub fn remove(path: &Path) -> io::Result<bool> {
    let Some(_lock) = locked(path)? else { return Ok(false) };
    if strange(path)?.is_some() {
        return Ok(false);
    }
    files::remove_dir(path)?;
    Ok(true)
}

/// The first thing below a directory that no restore makes.
fn strange(making: &Path) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(making)? {
        let path = entry?.path();
        let is_dir = fs::symlink_metadata(&path)?.is_dir();
        let strange = match (name_of(&path), is_dir) {
            ("docket.json" | "docket.json.tmp", false) => None,
            ("log", true) => strange_in_log(&path)?,
            ("content", true) => strange_in_content(&path)?,
            _ => Some(path),
        };
        if strange.is_some() {
            return Ok(strange);
        }
    }
    Ok(None)
}

fn strange_in_log(log: &Path) -> io::Result<Option<PathBuf>> {
    for volume in fs::read_dir(log)? {
        let volume = volume?.path();
        let name = name_of(&volume);
        let is_volume = name.len() == 8 && name.bytes().all(|digit| digit.is_ascii_digit());
        if !is_volume || !fs::symlink_metadata(&volume)?.is_dir() {
            return Ok(Some(volume));
        }
        for entry in fs::read_dir(&volume)? {
            let path = entry?.path();
            match (name_of(&path), fs::symlink_metadata(&path)?.is_dir()) {
                // What is in it, sled alone knows.
                ("sled", true) | ("journal" | "seal" | "seal.tmp" | "clean" | "clean.tmp", false) => {}
                _ => return Ok(Some(path)),
            }
        }
    }
    Ok(None)
}

fn strange_in_content(content: &Path) -> io::Result<Option<PathBuf>> {
    let hexadecimal = |name: &str| name.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    for dir in fs::read_dir(content)? {
        let dir = dir?.path();
        let name = name_of(&dir);
        if name.len() != 2 || !hexadecimal(name) || !fs::symlink_metadata(&dir)?.is_dir() {
            return Ok(Some(dir));
        }
        for text in fs::read_dir(&dir)? {
            let text = text?.path();
            let name = name_of(&text);
            let name = name.strip_suffix(".tmp").unwrap_or(name);
            if name.len() != 62 || !hexadecimal(name) || !fs::symlink_metadata(&text)?.is_file() {
                return Ok(Some(text));
            }
        }
    }
    Ok(None)
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// The directory that a restore makes, with its lock.
#[derive(Debug)]
pub struct Making {
    path: PathBuf,
    /// Absent where the file system has no locks on directories: there nobody takes such a directory for a dead one's.
    _lock: Option<File>,
}

impl Making {
    /// Makes the directory and takes its lock.
    pub fn begin(target: &Path) -> Result<Self, BackupError> {
        let mut name = prefix(target);
        name.push(std::process::id().to_string());
        let path = parent(target).join(name);
        let io = |source| BackupError::Io { path: path.clone(), source };
        loop {
            match fs::create_dir(&path) {
                Ok(()) => {}
                // The dead ones were removed: one with our process id is of another container, and alive.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(BackupError::Restoring { target: target.to_owned(), making: path });
                }
                Err(source) => return Err(io(source)),
            }
            let lock = match Self::take(&path) {
                Ok(Some(lock)) => Some(lock),
                // Whoever looked between the two took it for a dead one's, and removed it: it is made once more.
                Ok(None) => continue,
                Err(error) => {
                    tracing::warn!(%error, path = %path.display(), "the file system has no locks on directories: if this restore is killed, remove what it leaves by hand");
                    None
                }
            };
            files::sync_dir(&parent(target)).map_err(io)?;
            return Ok(Self { path, _lock: lock });
        }
    }

    /// The lock of a directory that was just made; `None` when the directory is gone.
    fn take(path: &Path) -> io::Result<Option<File>> {
        loop {
            match locked(path) {
                Ok(Some(lock)) if same(&lock, path)? => return Ok(Some(lock)),
                Ok(Some(_)) => return Ok(None),
                // Somebody looks at it, for a moment.
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// True when the open directory still stands under its path.
fn same(open: &File, path: &Path) -> io::Result<bool> {
    let open = open.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;
    use crate::{
        Backup, DataDir, EventLog, Expected, SledLog, SledLogOptions, backup,
        contract::{append, stream},
    };
    use docket_core::time::Timestamp;

    const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    /// A log of a few commits, and its backup.
    fn backed_up(dir: &Path) -> (DataDir, Backup) {
        let data = DataDir::open_or_create(&dir.join("data"), Ulid::from_parts(1, 1)).unwrap();
        let log = SledLog::open(data.clone(), SledLogOptions::default()).unwrap();
        log.append_all((0..3).map(|n| append(n, stream(n), Expected::Any)).collect());
        log.close();
        drop(log);
        backup(&data, &dir.join("backup"), AT, None, |_| {}).unwrap();
        (data, Backup::open(&dir.join("backup")).unwrap())
    }

    /// What a restore makes, in the middle of its work.
    fn half_made(path: &Path) {
        fs::create_dir_all(path.join("log/00000001/sled/blobs")).unwrap();
        fs::create_dir_all(path.join("content/ab")).unwrap();
        fs::write(path.join("log/00000001/journal"), "half").unwrap();
        fs::write(path.join("log/00000001/seal.tmp"), "").unwrap();
        fs::write(path.join("content/ab").join("c".repeat(62) + ".tmp"), "").unwrap();
    }

    #[test]
    fn what_a_killed_restore_left_is_removed_by_the_next_one_and_told() {
        let dir = tempfile::tempdir().unwrap();
        let (_, backup) = backed_up(dir.path());
        let target = dir.path().join("desk");
        // Our own process id too: in a container every restore may have the same.
        let own = format!(".desk.restoring-{}", std::process::id());
        for name in [".desk.restoring-7", &own] {
            half_made(&dir.path().join(name));
        }
        let restored = backup.restore(&target, |_| {}).unwrap();
        assert_eq!(restored.data.root(), target);
        assert_eq!(restored.removed.len(), 2, "{restored:?}");
        assert!(restored.left.is_empty());
        assert_eq!(of_restores(&target).unwrap(), []);
        assert!(!dir.path().join(".desk.restoring-7").exists());
    }

    #[test]
    fn a_restore_that_is_at_work_is_not_disturbed() {
        let dir = tempfile::tempdir().unwrap();
        let (_, backup) = backed_up(dir.path());
        let (target, making) = (dir.path().join("desk"), dir.path().join(".desk.restoring-7"));
        half_made(&making);
        let at_work = File::open(&making).unwrap();
        at_work.try_lock().unwrap();
        assert_eq!(of_restores(&target).unwrap()[0].kind, LeftoverKind::InUse);
        let refused = backup.restore(&target, |_| {}).unwrap_err();
        assert!(matches!(&refused, BackupError::Restoring { making: found, .. } if *found == making), "{refused}");
        assert!(making.join("log/00000001/journal").exists() && !target.exists());
        assert!(!remove(&making).unwrap());
        drop(at_work);
        assert_eq!(backup.restore(&target, |_| {}).unwrap().removed, [making]);
    }

    #[test]
    fn nobody_elses_directory_is_removed_whatever_its_name_is() {
        let dir = tempfile::tempdir().unwrap();
        let (_, backup) = backed_up(dir.path());
        let target = dir.path().join("desk");
        // Of other forms: not even looked at.
        for name in [
            ".desk.restoring-",
            ".desk.restoring-7x",
            ".desk2.restoring-7",
            "desk.restoring-7",
            ".desk.restoring-7.old",
        ] {
            half_made(&dir.path().join(name));
        }
        // Of that form, with something that no restore makes, at every depth.
        let strange = [
            ("1", "thesis.txt"),
            ("2", "log/notes"),
            ("3", "log/00000001/core"),
            ("4", "content/readme"),
            ("5", "content/ab/short"),
            ("6", "snapshots/00000000000000000001.views"),
        ];
        for (id, file) in strange {
            let path = dir.path().join(format!(".desk.restoring-{id}"));
            half_made(&path);
            fs::create_dir_all(path.join(file).parent().unwrap()).unwrap();
            fs::write(path.join(file), "precious").unwrap();
        }
        // A link to somebody's directory.
        std::os::unix::fs::symlink(dir.path().join("data"), dir.path().join(".desk.restoring-8")).unwrap();
        let before: Vec<_> = list(dir.path());
        let restored = backup.restore(&target, |_| {}).unwrap();
        assert!(restored.removed.is_empty(), "{restored:?}");
        assert_eq!(restored.left.len(), strange.len() + 1);
        let mut after = list(dir.path());
        after.retain(|name| name != "desk");
        assert_eq!(after, before);
        for (id, file) in strange {
            assert!(dir.path().join(format!(".desk.restoring-{id}")).join(file).exists());
        }
    }

    fn list(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_restore_whose_directory_is_taken_for_a_dead_ones_in_the_first_moment_makes_it_again() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("desk");
        let (working, stopped) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            // Dropped at the end, also of a failure.
            let _working = working;
            // Somebody who removes whatever looks dead, all the time.
            let target = &target;
            scope.spawn(move || {
                while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                    for leftover in of_restores(target).unwrap() {
                        if leftover.kind == LeftoverKind::Dead {
                            let _ = remove(&leftover.path);
                        }
                    }
                }
            });
            for _ in 0..500 {
                let making = Making::begin(target).unwrap();
                fs::create_dir(making.path().join("log")).unwrap();
                std::thread::yield_now();
                assert!(making.path().join("log").exists(), "a restore at work lost its directory");
                files::remove_dir(making.path()).unwrap();
            }
        });
    }
}
