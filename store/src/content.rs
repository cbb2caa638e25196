//! Long bodies, by the hash of their bytes. A body is durable before the event that names it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest, Sha256};

use crate::files;

/// Why a body cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The name is no SHA-256.
    #[error("{0:?} is not the name of a stored text")]
    Name(String),
    /// Nothing has this name.
    #[error("the stored text {0} is missing")]
    Missing(String),
    /// The bytes are not those that were stored.
    #[error("the stored text {0} is damaged: its bytes do not have the hash of its name")]
    Corrupt(String),
    /// A file operation failed.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A directory of bodies.
#[derive(Debug, Clone)]
pub struct ContentStore {
    dir: PathBuf,
    /// Held while a body is written, by the first digit of its name: two who store the same body at once would write to one
    /// temporary file. Nobody else writes here: that takes the lock of the data directory.
    writing: Arc<[Mutex<()>; 16]>,
}

impl ContentStore {
    /// The store in this directory; made when the first body comes.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), writing: Arc::default() }
    }

    /// Stores the bytes and gives their name: the hexadecimal SHA-256. Durable when it returns; storing the same again
    /// changes nothing.
    ///
    /// # Errors
    /// When a file operation fails; nothing is half-written then.
    pub fn put(&self, bytes: &[u8]) -> Result<String, ContentError> {
        let name = hex::encode(Sha256::digest(bytes));
        let path = self.path(&name)?;
        let io = |source| ContentError::Io { path: path.clone(), source };
        let digit = name.chars().next().and_then(|digit| digit.to_digit(16)).unwrap_or_default();
        let _alone = self.writing[digit as usize & 15].lock().unwrap_or_else(PoisonError::into_inner);
        if path.try_exists().map_err(io)? {
            if self.get(&name).is_ok() {
                // Whoever stored it may have been interrupted before its entry was on disk.
                path.parent().map_or(Ok(()), files::sync_dir).map_err(io)?;
                return Ok(name);
            }
            // Whoever stores it again mends it.
            tracing::warn!(path = %path.display(), "a damaged text is stored anew");
        }
        if let Some(dir) = path.parent() {
            files::create_dir(&self.dir).map_err(io)?;
            files::create_dir(dir).map_err(io)?;
        }
        files::write_atomically(&path, bytes).map_err(io)?;
        Ok(name)
    }

    /// True when something is stored under this name; whether it is whole is seen when it is read.
    pub fn contains(&self, name: &str) -> bool {
        self.path(name).is_ok_and(|path| path.exists())
    }

    /// The bytes of this name, checked against it.
    ///
    /// # Errors
    /// When they are missing or damaged.
    pub fn get(&self, name: &str) -> Result<Vec<u8>, ContentError> {
        let path = self.path(name)?;
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ContentError::Missing(name.to_owned()));
            }
            Err(source) => return Err(ContentError::Io { path, source }),
        };
        if hex::encode(Sha256::digest(&bytes)) == name {
            Ok(bytes)
        } else {
            Err(ContentError::Corrupt(name.to_owned()))
        }
    }

    /// Everything in the store, sorted by path.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn files(&self) -> io::Result<Vec<ContentFile>> {
        let mut found = Vec::new();
        for dir in list(&self.dir)? {
            if !dir.is_dir() {
                found.push(ContentFile::Other(dir));
                continue;
            }
            for path in list(&dir)? {
                let part = |path: &Path| path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
                let name = part(&dir) + &part(&path);
                // The temporary name of a body that was stored meanwhile.
                let Some(length) = files::unless_vanished(fs::metadata(&path))?.map(|file| file.len()) else {
                    continue;
                };
                found.push(match self.path(&name) {
                    Ok(expected) if expected == path => ContentFile::Text { name, bytes: length },
                    Ok(_) | Err(_) => ContentFile::Other(path),
                });
            }
        }
        Ok(found)
    }

    /// `ab/cdef...`, so that no directory grows too large. The name is checked: it never leads elsewhere.
    fn path(&self, name: &str) -> Result<PathBuf, ContentError> {
        let sound = name.len() == 64 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !sound {
            return Err(ContentError::Name(name.chars().take(80).collect()));
        }
        Ok(self.dir.join(&name[..2]).join(&name[2..]))
    }
}

/// A file of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentFile {
    /// A text, by its name.
    Text {
        /// The hexadecimal SHA-256 that it should have.
        name: String,
        /// Its length.
        bytes: u64,
    },
    /// Something else, such as what an interruption left.
    Other(PathBuf),
}

fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_who_store_the_same_body_at_once_all_have_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = ContentStore::new(dir.path());
        for round in 0..40 {
            let body = format!("{round} a long text ").repeat(4_000);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        let name = store.put(body.as_bytes()).unwrap();
                        assert_eq!(store.get(&name).unwrap(), body.as_bytes());
                    });
                }
            });
        }
    }

    #[test]
    fn a_body_is_read_back_by_its_hash_and_a_damaged_one_is_not_served() {
        let dir = tempfile::tempdir().unwrap();
        let store = ContentStore::new(dir.path());
        let name = store.put("a long text".as_bytes()).unwrap();
        assert_eq!(store.put("a long text".as_bytes()).unwrap(), name);
        assert_eq!(store.get(&name).unwrap(), b"a long text");
        fs::write(dir.path().join(&name[..2]).join(&name[2..]), "another text").unwrap();
        assert!(matches!(store.get(&name), Err(ContentError::Corrupt(_))));
    }

    #[test]
    fn a_name_that_is_no_hash_leads_nowhere() {
        let store = ContentStore::new(Path::new("/nowhere"));
        assert!(matches!(store.get("../../etc/passwd"), Err(ContentError::Name(_))));
    }
}
