//! A disk as a power cut leaves it, built from what the shim recorded.
//!
//! The model promises no more than POSIX does: a file's bytes and length are on disk once a sync of the file, begun after the
//! write, has ended; a name is in its directory once a sync of the directory has ended. Everything else may be there, be
//! there in part, or not at all. Names of one directory become durable in order, as every journaling file system does it.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use fastrand::Rng;

/// One call.
#[derive(Debug, Clone)]
struct Op {
    kind: u8,
    x: u64,
    y: u64,
    a: Range<usize>,
    b: Range<usize>,
}

/// What a process did to the disk, in order.
#[derive(Debug)]
pub struct Trace {
    bytes: Vec<u8>,
    ops: Vec<Op>,
}

impl Trace {
    /// Reads what the shim wrote. A record that a kill cut off is left out.
    pub fn read(path: &Path) -> Self {
        const HEAD: usize = 28;
        let bytes = fs::read(path).unwrap();
        let (mut ops, mut at) = (Vec::new(), 0);
        while let Some(head) = bytes.get(at..at + HEAD) {
            let word = |from: usize| u32::from_be_bytes(head[from..from + 4].try_into().unwrap()) as usize;
            let long = |from: usize| u64::from_be_bytes(head[from..from + 8].try_into().unwrap());
            let a = at + HEAD..at + HEAD + word(4);
            let b = a.end..a.end + word(8);
            if b.end > bytes.len() {
                break;
            }
            at = b.end;
            ops.push(Op { kind: head[0], x: long(12), y: long(20), a, b });
        }
        Self { bytes, ops }
    }

    /// Calls recorded.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// True when nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// What was written to standard output before a call: whole lines.
    pub fn output(&self, before: usize) -> String {
        let acks = self.ops[..before].iter().filter(|op| op.kind == b'A');
        let text: Vec<u8> = acks.flat_map(|op| self.bytes[op.a.clone()].iter().copied()).collect();
        let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        String::from_utf8(text[..end].to_vec()).unwrap()
    }

    /// Number, kind and subject of the call that was made to fail.
    pub fn failed(&self) -> Option<String> {
        let op = self.ops.iter().find(|op| op.kind == b'F')?;
        Some(format!("call {} ({} {})", op.x, self.text(&op.a), self.text(&op.b)))
    }

    fn text(&self, range: &Range<usize>) -> &str {
        std::str::from_utf8(&self.bytes[range.clone()]).unwrap()
    }
}

type ObjectId = usize;

#[derive(Debug, Clone)]
enum Change {
    /// Bytes at an offset: a range of the trace.
    Write(u64, Range<usize>),
    Truncate(u64),
    Add(String, ObjectId),
    Remove(String),
    Rename(String, String),
}

/// A file or directory: what of it is on disk, and what was done since.
#[derive(Debug, Default)]
struct Object {
    is_dir: bool,
    bytes: Vec<u8>,
    entries: BTreeMap<String, ObjectId>,
    pending: Vec<(usize, Change)>,
}

/// How much of what was not synced a cut leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// Nothing.
    Nothing,
    /// Anything: each file and directory by chance.
    Anything,
}

/// A disk on which a trace is played.
#[derive(Debug)]
pub struct Disk {
    objects: Vec<Object>,
    by_inode: HashMap<u64, ObjectId>,
    names: HashMap<PathBuf, ObjectId>,
    begun: HashMap<u64, usize>,
    played: usize,
}

impl Disk {
    /// A disk on which everything below `root` is durable.
    pub fn of(root: &Path) -> Self {
        let mut disk = Self {
            objects: Vec::new(),
            by_inode: HashMap::new(),
            names: HashMap::new(),
            begun: HashMap::new(),
            played: 0,
        };
        disk.load(root);
        disk
    }

    fn load(&mut self, path: &Path) -> ObjectId {
        use std::os::unix::fs::MetadataExt;
        let meta = fs::metadata(path).unwrap();
        let id = self.objects.len();
        self.objects.push(Object { is_dir: meta.is_dir(), ..Object::default() });
        self.by_inode.insert(meta.ino(), id);
        self.names.insert(path.to_owned(), id);
        if meta.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                let entry = entry.unwrap();
                let child = self.load(&entry.path());
                self.objects[id].entries.insert(entry.file_name().into_string().unwrap(), child);
            }
        } else {
            self.objects[id].bytes = fs::read(path).unwrap();
        }
        id
    }

    /// Plays the trace up to a call.
    pub fn play(&mut self, trace: &Trace, until: usize) {
        for at in self.played..until {
            self.step(trace, at);
        }
        self.played = self.played.max(until);
    }

    fn new_object(&mut self, inode: u64, path: &str, is_dir: bool, at: usize) {
        let id = self.objects.len();
        self.objects.push(Object { is_dir, ..Object::default() });
        self.by_inode.insert(inode, id);
        self.names.insert(path.into(), id);
        let (parent, name) = split(path);
        self.change(&parent, at, Change::Add(name, id));
    }

    fn change(&mut self, dir: &Path, at: usize, change: Change) {
        let id = self.names[dir];
        self.objects[id].pending.push((at, change));
    }

    fn step(&mut self, trace: &Trace, at: usize) {
        let op = &trace.ops[at];
        let (a, b) = (&op.a, &op.b);
        match op.kind {
            b'C' => self.new_object(op.x, trace.text(a), false, at),
            b'M' => self.new_object(op.x, trace.text(a), true, at),
            b'W' | b'T' => {
                let change = if op.kind == b'W' { Change::Write(op.y, a.clone()) } else { Change::Truncate(op.y) };
                if let Some(id) = self.by_inode.get(&op.x) {
                    self.objects[*id].pending.push((at, change));
                }
            }
            b's' => _ = self.begun.insert(op.y, at),
            b'S' => {
                let begun = self.begun.remove(&op.y).unwrap_or(0);
                if let Some(id) = self.by_inode.get(&op.x) {
                    let object = &mut self.objects[*id];
                    let later = object.pending.partition_point(|(at, _)| *at < begun);
                    let done: Vec<_> = object.pending.drain(..later).collect();
                    for (_, change) in done {
                        apply(object, trace, &change);
                    }
                }
            }
            b'R' => {
                let ((from_dir, from), (to_dir, to)) = (split(trace.text(a)), split(trace.text(b)));
                let (from_path, to_path) = (from_dir.join(&from), to_dir.join(&to));
                let moved: Vec<_> = self.names.keys().filter(|name| name.starts_with(&from_path)).cloned().collect();
                if from_dir == to_dir {
                    self.change(&from_dir, at, Change::Rename(from, to));
                } else {
                    let id = self.names[&from_path];
                    self.change(&to_dir, at, Change::Add(to, id));
                    self.change(&from_dir, at, Change::Remove(from));
                }
                for name in moved {
                    let id = self.names.remove(&name).unwrap();
                    let below = name.strip_prefix(&from_path).unwrap();
                    let name = if below.as_os_str().is_empty() { to_path.clone() } else { to_path.join(below) };
                    self.names.insert(name, id);
                }
            }
            b'L' => {
                let (dir, name) = split(trace.text(b));
                let id = self.names[Path::new(trace.text(a))];
                self.change(&dir, at, Change::Add(name, id));
                self.names.insert(trace.text(b).into(), id);
            }
            b'U' => {
                let (dir, name) = split(trace.text(a));
                self.names.remove(Path::new(trace.text(a)));
                self.change(&dir, at, Change::Remove(name));
            }
            b'A' | b'F' => {}
            other => panic!("the shim wrote a record of type {other}"),
        }
    }

    /// Writes the disk that a cut now leaves into an empty directory, which stands for the root.
    pub fn cut(&self, trace: &Trace, leaves: Leaves, rng: &mut Rng, target: &Path) {
        self.write(0, trace, leaves, rng, target);
    }

    fn write(&self, id: ObjectId, trace: &Trace, leaves: Leaves, rng: &mut Rng, target: &Path) {
        let object = &self.objects[id];
        let mut left = Object { is_dir: object.is_dir, entries: object.entries.clone(), ..Object::default() };
        left.bytes.clone_from(&object.bytes);
        let kept = match leaves {
            Leaves::Nothing => 0,
            Leaves::Anything => rng.usize(0..=object.pending.len()),
        };
        if object.is_dir {
            object.pending[..kept].iter().for_each(|(_, change)| apply(&mut left, trace, change));
            fs::create_dir_all(target).unwrap();
            for (name, child) in &left.entries {
                self.write(*child, trace, leaves, rng, &target.join(name));
            }
            return;
        }
        if leaves == Leaves::Anything {
            match rng.u8(0..4) {
                0 => {}
                1 => object.pending.iter().for_each(|(_, change)| apply(&mut left, trace, change)),
                2 => {
                    object.pending[..kept].iter().for_each(|(_, change)| apply(&mut left, trace, change));
                    // The next one in part.
                    if let Some((_, Change::Write(offset, bytes))) = object.pending.get(kept) {
                        let part = bytes.start..bytes.start + rng.usize(0..=bytes.len());
                        apply(&mut left, trace, &Change::Write(*offset, part));
                    }
                }
                _ => object.pending.iter().for_each(|(_, change)| match change {
                    Change::Write(offset, bytes) => {
                        // Any sectors of it, in any order.
                        for at in (0..bytes.len()).step_by(512) {
                            if rng.bool() {
                                let part = bytes.start + at..bytes.end.min(bytes.start + at + 512);
                                apply(&mut left, trace, &Change::Write(offset + at as u64, part));
                            }
                        }
                    }
                    other @ (Change::Truncate(_) | Change::Add(..) | Change::Remove(_) | Change::Rename(..)) => {
                        if rng.bool() {
                            apply(&mut left, trace, other);
                        }
                    }
                }),
            }
        }
        fs::write(target, &left.bytes).unwrap();
    }
}

fn apply(object: &mut Object, trace: &Trace, change: &Change) {
    match change {
        Change::Write(offset, bytes) => {
            let (offset, length) = (usize::try_from(*offset).unwrap(), bytes.len());
            if length == 0 {
                return;
            }
            if object.bytes.len() < offset + length {
                object.bytes.resize(offset + length, 0);
            }
            object.bytes[offset..offset + length].copy_from_slice(&trace.bytes[bytes.clone()]);
        }
        Change::Truncate(length) => object.bytes.resize(usize::try_from(*length).unwrap(), 0),
        Change::Add(name, id) => _ = object.entries.insert(name.clone(), *id),
        Change::Remove(name) => _ = object.entries.remove(name),
        Change::Rename(from, to) => {
            if let Some(id) = object.entries.remove(from) {
                object.entries.insert(to.clone(), id);
            }
        }
    }
}

fn split(path: &str) -> (PathBuf, String) {
    let path = Path::new(path);
    (path.parent().unwrap().to_owned(), path.file_name().unwrap().to_str().unwrap().to_owned())
}
