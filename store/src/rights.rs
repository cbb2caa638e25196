//! What this user may not do with a data directory and would have to.
//!
//! The system is asked (`access`) and nothing is opened or written, so a server can do so every few seconds: 260 directories
//! take less than a millisecond.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

use crate::{data_dir::DataDir, volume::VolumePath};

/// How far it is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The directories, and the newest journal: whether the server can go on.
    Directories,
    /// Every file too.
    Files,
}

/// Something that this user has to be able to use and cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostRight {
    /// The file or directory.
    pub path: PathBuf,
    /// True when it cannot be read; else it cannot be written.
    pub to_read: bool,
    /// True when the server can do none of its work without it; else only a part of what it keeps is out of reach.
    pub stops: bool,
    /// The system's own word.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for LostRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, to_read, stops: _, reason, remedy } = self;
        let what = if *to_read { "read" } else { "write to" };
        write!(f, "this user cannot {what} {}: {reason}. {remedy}", path.display())
    }
}

/// The rights that this user lacks in a data directory, the outermost first; what lies in a directory that cannot be entered is
/// not looked at. What is not there is no lost right.
pub fn lost_rights(data: &DataDir, depth: Depth) -> Vec<LostRight> {
    let mut look = Look { depth, lost: Vec::new() };
    if look.dir(data.root(), true) {
        look.file(&data.root().join("docket.json"), false);
        look.log(&data.log());
        look.content(&data.content());
        look.snapshots(&data.snapshots());
    }
    look.lost
}

struct Look {
    depth: Depth,
    lost: Vec<LostRight>,
}

impl Look {
    fn ask(&mut self, path: &Path, wanted: Access, to_read: bool, stops: bool) -> bool {
        let Err(error) = access(path, wanted) else { return true };
        let error = io::Error::from(error);
        if error.kind() == io::ErrorKind::NotFound {
            return false;
        }
        let remedy = remedy(path, &error, wanted.contains(Access::EXEC_OK));
        self.lost.push(LostRight { path: path.to_owned(), to_read, stops, reason: error.to_string(), remedy });
        false
    }

    /// True when it can be entered.
    fn dir(&mut self, path: &Path, stops: bool) -> bool {
        let entered = self.ask(path, Access::READ_OK | Access::EXEC_OK, true, stops);
        if entered {
            self.ask(path, Access::WRITE_OK | Access::EXEC_OK, false, stops);
        }
        entered
    }

    fn file(&mut self, path: &Path, written: bool) {
        if self.ask(path, Access::READ_OK, true, written) && written {
            self.ask(path, Access::WRITE_OK, false, true);
        }
    }

    fn log(&mut self, log: &Path) {
        if !self.dir(log, true) {
            return;
        }
        let volumes = VolumePath::list(log).unwrap_or_default();
        let newest = volumes.last().map(|volume| volume.number);
        for volume in &volumes {
            let newest = Some(volume.number) == newest;
            if !self.dir(&volume.dir, newest) {
                continue;
            }
            if newest || self.depth == Depth::Files {
                self.file(&volume.journal(), newest);
            }
            if self.depth == Depth::Files {
                self.file(&volume.seal(), false);
                self.file(&volume.clean(), false);
            }
            if self.dir(&volume.sled(), false) && self.depth == Depth::Files {
                for path in entries(&volume.sled()) {
                    // sled opens its files to write whoever asks.
                    if path.is_file() && self.ask(&path, Access::READ_OK, true, false) {
                        self.ask(&path, Access::WRITE_OK, false, false);
                    }
                }
            }
        }
    }

    fn content(&mut self, content: &Path) {
        if !self.dir(content, true) {
            return;
        }
        for dir in entries(content) {
            let named = dir.file_name().is_some_and(|name| name.len() == 2);
            if named && dir.is_dir() && self.dir(&dir, false) && self.depth == Depth::Files {
                entries(&dir).iter().for_each(|text| self.file(text, false));
            }
        }
    }

    fn snapshots(&mut self, snapshots: &Path) {
        if self.dir(snapshots, false) && self.depth == Depth::Files {
            entries(snapshots).iter().for_each(|snapshot| self.file(snapshot, false));
        }
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    // That it can be read was asked before; what vanishes meanwhile needs no rights.
    let entries = fs::read_dir(dir).into_iter().flatten();
    let mut paths: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    paths
}

/// The next command.
fn remedy(path: &Path, error: &io::Error, dir: bool) -> String {
    let name = quoted(path);
    if error.kind() == io::ErrorKind::ReadOnlyFilesystem {
        return format!(
            "The file system is mounted to be read only: see `findmnt -T {name}`, and mount it to be written"
        );
    }
    let me = rustix::process::geteuid().as_raw();
    let mode = if dir { "u+rwx" } else { "u+rw" };
    match fs::metadata(path) {
        Ok(there) if there.uid() == me => format!("Run `chmod {mode} {name}`"),
        Ok(there) => format!(
            "It belongs to the user {} and has the mode {:o}: run `chown -R {me} {name}` as root, or docket as that user",
            there.uid(),
            there.mode() & 0o7777
        ),
        Err(error) => format!("It cannot be looked at ({error}): give this user the directories around it"),
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', "'\\''")) }
}
