//! Small files that are written whole or not at all, and directories whose entries are on disk.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Makes the entries of a directory durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Creates a directory, and those above it that are missing, and makes the new entries durable.
pub fn create_dir(dir: &Path) -> io::Result<()> {
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if dir.is_dir() {
        // Whoever made it may have been interrupted before its entry was on disk.
        return sync_dir(parent);
    }
    if !parent.is_dir() {
        create_dir(parent)?;
    }
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        other => other?,
    }
    sync_dir(parent)
}

/// Writes a file under a temporary name, syncs it, and gives it its name: a reader finds the old file or the new one.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(&temporary, path)) {
        // A full disk needs the place; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    match path.parent() {
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// What an operation on something that was listed a moment ago gives; `None` when it has vanished since. Whoever lists a
/// directory in which somebody else works has to reckon with that.
pub fn unless_vanished<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same error, with the path that it is about: an operation on a whole tree says where it failed.
fn at(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Syncs every file below a directory, and the directories. Files that vanish meanwhile need no sync: sled removes some on
/// threads of its own.
///
/// # Errors
/// When the directory is not there, or a sync fails.
pub fn sync_tree(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let entry = entry.map_err(at(dir))?;
        let path = entry.path();
        let Some(kind) = unless_vanished(entry.file_type()).map_err(at(&path))? else { continue };
        if kind.is_dir() {
            unless_vanished(sync_tree(&path))?;
        } else if let Some(file) = unless_vanished(File::open(&path)).map_err(at(&path))? {
            file.sync_all().map_err(at(&path))?;
        }
    }
    sync_dir(dir).map_err(at(dir))
}

/// Gives a file a second name in another directory of the same file system; copies it where that cannot be.
pub fn keep_aside(from: &Path, to: &Path) -> io::Result<()> {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to)?;
        File::open(to)?.sync_all()?;
    }
    match to.parent() {
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// Copies what is below a directory into another one, which is there. `copied` is told of the bytes. Gives false when
/// something vanished meanwhile: the copy may then be of no moment at which the original was whole.
pub fn copy_tree(from: &Path, to: &Path, copied: &mut dyn FnMut(u64)) -> io::Result<bool> {
    let mut whole = true;
    for entry in fs::read_dir(from).map_err(at(from))? {
        let entry = entry.map_err(at(from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let Some(kind) = unless_vanished(entry.file_type()).map_err(at(&path))? else {
            whole = false;
            continue;
        };
        if kind.is_dir() {
            fs::create_dir(&target).map_err(at(&target))?;
            whole &= unless_vanished(copy_tree(&path, &target, copied))?.unwrap_or(false);
        } else {
            let bytes = unless_vanished(File::open(&path)).map_err(at(&path))?.map(|mut file| {
                let mut out = File::create(&target).map_err(at(&target))?;
                io::copy(&mut file, &mut out).map_err(at(&target))
            });
            match bytes.transpose()? {
                Some(bytes) => copied(bytes),
                None => whole = false,
            }
        }
    }
    Ok(whole)
}

/// Removes a file; one that is not there is fine.
pub fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a directory with all in it; one that is not there is fine.
pub fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Makes and removes files in a directory until it is told to stop, as sled does on threads of its own.
    fn restless(dir: &Path, stop: &AtomicBool) {
        let mut n = 0_u32;
        while !stop.load(Ordering::Relaxed) {
            n += 1;
            let (file, blobs) = (dir.join(format!("snap.{n}")), dir.join(format!("blobs-{n}")));
            fs::write(&file, "x").unwrap();
            fs::create_dir(&blobs).unwrap();
            fs::remove_dir(blobs).unwrap();
            fs::remove_file(file).unwrap();
        }
    }

    #[test]
    fn a_tree_in_which_names_vanish_is_synced_and_copied_all_the_same() {
        let (dir, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(dir.path().join("stays"), "here").unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| restless(dir.path(), &stop));
            let tried = (0..2_000).try_for_each(|n| {
                sync_tree(dir.path())?;
                let to = target.path().join(n.to_string());
                fs::create_dir(&to)?;
                copy_tree(dir.path(), &to, &mut |_| {})?;
                assert_eq!(fs::read(to.join("stays"))?, b"here");
                fs::remove_dir_all(to)
            });
            stop.store(true, Ordering::Relaxed);
            tried.unwrap();
        });
    }

    #[test]
    fn a_tree_that_is_not_there_is_an_error_with_its_name_and_the_word_of_the_system() {
        let error = sync_tree(Path::new("/nowhere/at/all")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().starts_with("/nowhere/at/all: No such file"), "{error}");
    }
}
