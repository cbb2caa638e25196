//! Long bodies, by the hash of their bytes. A body is durable before the event that names it.

use std::{
    fs, io,
    path::{Path, PathBuf},
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
    #[error("cannot use {path}")]
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
}

impl ContentStore {
    /// The store in this directory; made when the first body comes.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
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
        if path.try_exists().map_err(io)? {
            return Ok(name);
        }
        if let Some(dir) = path.parent() {
            files::create_dir(&self.dir).map_err(io)?;
            files::create_dir(dir).map_err(io)?;
        }
        files::write_atomically(&path, bytes).map_err(io)?;
        Ok(name)
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

    /// `ab/cdef...`, so that no directory grows too large. The name is checked: it never leads elsewhere.
    fn path(&self, name: &str) -> Result<PathBuf, ContentError> {
        let sound = name.len() == 64 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !sound {
            return Err(ContentError::Name(name.chars().take(80).collect()));
        }
        Ok(self.dir.join(&name[..2]).join(&name[2..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
