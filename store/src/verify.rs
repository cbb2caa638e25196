//! Verifies a data directory: the chain of the journals, the seals, the databases against the journals, the stored texts.
//!
//! It changes nothing and takes no lock, so it works beside a running server. sled writes into a directory when it opens it,
//! so databases are copied to a scratch directory and looked at there.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use docket_core::ids::Position;
use serde::{Deserialize, Serialize};

use crate::{
    check::{Finding, History, Part, Remedy, Throttle, Unknown, Walked, walk_volume},
    codec::BlockHash,
    content::{ContentError, ContentFile, ContentStore},
    data_dir::{DataDir, DataDirError},
    database::Database,
    files,
    index::Index,
    leftovers::{self, Leftover, LeftoverKind},
    log::{Head, ReadError},
    rights::{Depth, lost_rights},
    seal::{Seal, seal_is},
    volume::{BlockWalk, CleanStop, VolumePath},
};

/// How to verify.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// Compare the databases with the journals too. Needs space for one of them in the scratch directory.
    pub databases: bool,
    /// Read at most so many bytes a second.
    pub bytes_per_second: Option<u64>,
    /// Where copies of databases are made, one at a time; each is removed again.
    pub scratch: PathBuf,
    /// Somebody writes to the directory: the newest database is not looked at.
    pub in_use: bool,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { databases: true, bytes_per_second: None, scratch: std::env::temp_dir(), in_use: false }
    }
}

/// Where a verification stands, between volumes: enough to go on later instead of beginning again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyState {
    /// Id of the log.
    pub log_id: String,
    /// Volumes that are done, from the first.
    pub volumes: u64,
    /// Position of the last commit in them.
    pub position: Position,
    /// Hash of their last block.
    pub hash: BlockHash,
    /// Commits in them.
    pub commits: u64,
    /// Events in them.
    pub events: u64,
    /// Events of unknown types or forms in them.
    pub unknown_events: u64,
    /// What they hold that this program does not know.
    #[serde(default)]
    pub unknown: Unknown,
    /// Databases that were compared.
    pub databases: u64,
    /// Stored texts that their events name.
    pub texts: BTreeSet<String>,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Id of the log.
    pub log_id: String,
    /// Volumes.
    pub volumes: u64,
    /// Commits that are sound and in the chain.
    pub commits: u64,
    /// Events in them.
    pub events: u64,
    /// Events of types or forms that this program does not know. They are sound, and not understood.
    pub unknown_events: u64,
    /// All that this program does not know, by name.
    pub unknown: Unknown,
    /// Position of the last sound commit.
    pub head_position: Position,
    /// Hash of the last sound block. Whoever has noted it elsewhere can tell later that nothing before it has changed.
    pub head_hash: BlockHash,
    /// Bytes of an interrupted write at the very end; nothing in them was ever acknowledged.
    pub torn_bytes: u64,
    /// Databases that were compared with their journals.
    pub databases: u64,
    /// Stored texts that were read and have the hash of their name.
    pub texts: u64,
    /// What was not looked at, and why.
    pub unchecked: Vec<String>,
    /// What this user can read and not write, and need not: the directory is another's.
    pub read_only: Vec<String>,
    /// What restores that were killed have left beside the directory, and what is to be done with each.
    pub leftovers: Vec<String>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl VerifyReport {
    /// True when nothing bad was found, and nothing that only a newer program can read.
    pub const fn ok(&self) -> bool {
        self.findings.is_empty()
    }

    /// True when something is not as it was written. What only a newer program can read is no damage, nor is what this user
    /// may not read.
    pub fn damaged(&self) -> bool {
        self.findings.iter().any(|finding| !matches!(finding.remedy, Remedy::NewerDocket | Remedy::Rights))
    }

    /// True when something could not be used because this user may not.
    pub fn forbidden(&self) -> bool {
        self.findings.iter().any(|finding| finding.remedy == Remedy::Rights)
    }
}

/// Verifies everything. `progress` is told the position every so often.
///
/// # Errors
/// When the directory cannot be read at all; damage is part of the report.
pub fn verify(
    data: &DataDir,
    options: &VerifyOptions,
    progress: impl FnMut(Position),
) -> Result<VerifyReport, ReadError> {
    verify_from(data, options, None, progress, |_| true).map(|(report, _)| report)
}

/// Verifies from where an earlier verification stopped. `done` is told after each volume, and stops the work by answering
/// false; the second value says whether everything was looked at. The journals of the volumes that are done are read once
/// more, for what later commits are held against; their databases, seals and texts are not.
///
/// # Errors
/// When the directory cannot be read at all, or the state is that of another log.
pub fn verify_from(
    data: &DataDir,
    options: &VerifyOptions,
    state: Option<VerifyState>,
    mut progress: impl FnMut(Position),
    mut done: impl FnMut(&VerifyState) -> bool,
) -> Result<(VerifyReport, bool), ReadError> {
    let (volumes, lost) = volumes_and_loss(data)?;
    let mut state = match state {
        Some(state) => resumed(data, &volumes, state)?,
        None => VerifyState {
            log_id: data.log_id().to_owned(),
            volumes: 0,
            position: Position::START,
            hash: BlockHash::genesis(data.log_id()),
            commits: 0,
            events: 0,
            unknown_events: 0,
            unknown: Unknown::default(),
            databases: 0,
            texts: BTreeSet::new(),
        },
    };
    let mut report = VerifyReport {
        log_id: data.log_id().to_owned(),
        volumes: volumes.len() as u64,
        commits: 0,
        events: 0,
        unknown_events: 0,
        unknown: Unknown::default(),
        head_position: Position::START,
        head_hash: state.hash,
        torn_bytes: 0,
        databases: 0,
        texts: 0,
        unchecked: Vec::new(),
        read_only: Vec::new(),
        leftovers: leftovers_beside(data)?,
        findings: Vec::new(),
    };
    let mut throttle = Throttle::new(options.bytes_per_second);
    let (rights, read_only) = rights_of(data);
    report.read_only = read_only;
    let mut whole = true;
    let mut history = History::default();
    let skip = usize::try_from(state.volumes).unwrap_or(usize::MAX).min(volumes.len());
    let (mut position, mut hash) = (Position::START, BlockHash::genesis(data.log_id()));
    for path in &volumes[..skip] {
        let starts = BlockWalk::open(path).map(|walk| walk.start());
        match starts.and_then(|starts| Ok((starts, history.add_volume(path, &mut throttle, &mut progress)?))) {
            Ok((starts, reached)) if starts == (position.next(), hash) => (position, hash) = reached,
            Ok(_) => break,
            Err(error) => {
                report.findings.push(Finding::journal(path.number, &error));
                break;
            }
        }
    }
    if report.ok() && (position, hash) != (state.position, state.hash) {
        return Err(not_its_state(&state));
    }
    report.findings.extend(history.wrong_links());
    for (at, path) in volumes.iter().enumerate().skip(skip) {
        let number = at as u64 + 1;
        let newest = at + 1 == volumes.len();
        if path.number != number {
            let problem = format!("the volume is missing: the next one is {}", path.number);
            report.findings.push(Finding { remedy: Remedy::Backup, ..Finding::of(Part::Journal, number, problem) });
            break;
        }
        // The newest volume may be in the making while we read.
        if newest && path.is_unborn().unwrap_or(false) {
            break;
        }
        let before = Head { position: state.position, hash: state.hash };
        let check = VolumeCheck { data, options, path, newest, before };
        match check.run(&mut report, &mut throttle, &mut progress, &mut history) {
            Some(walked) => {
                let (position, hash) = walked.walk.reached();
                (state.position, state.hash) = (position, hash);
                state.commits += walked.commits;
                state.events += walked.events;
                state.unknown_events += walked.unknown.events.values().sum::<u64>();
                state.unknown.merge(walked.unknown);
                state.texts.extend(walked.texts);
            }
            // What comes after is checked from where it says that it begins.
            None => match volumes.get(at + 1).and_then(|next| BlockWalk::open(next).ok()) {
                Some(next) => {
                    let (first, hash) = next.start();
                    (state.position, state.hash) = (Position::new(first.get().saturating_sub(1)), hash);
                }
                None => break,
            },
        }
        state.databases += std::mem::take(&mut report.databases);
        if !newest && report.ok() {
            state.volumes = number;
            if !done(&state) {
                whole = false;
                break;
            }
        }
    }
    report.databases += state.databases;
    (report.commits, report.events, report.unknown_events) = (state.commits, state.events, state.unknown_events);
    report.unknown.clone_from(&state.unknown);
    (report.head_position, report.head_hash) = (state.position, state.hash);
    report.findings.extend(lost);
    if whole {
        report.findings.extend(history.end(&volumes, &mut throttle)?);
        check_texts(data, &state.texts, &mut report, &mut throttle);
    }
    // They explain what else could not be used.
    report.findings.splice(0..0, rights);
    Ok((report, whole))
}

/// The volumes that are there, and what is known to be gone.
pub fn volumes_and_loss(data: &DataDir) -> Result<(Vec<VolumePath>, Option<Finding>), ReadError> {
    match data.volumes() {
        Ok(volumes) => Ok((volumes, None)),
        Err(lost @ DataDirError::LostLog { .. }) => {
            let problem = lost.to_string();
            let (part, remedy) = (Part::Journal, Remedy::Backup);
            let finding = Finding { part, volume: None, position: None, problem, remedy };
            Ok((VolumePath::list(&data.log()).unwrap_or_default(), Some(finding)))
        }
        Err(error) => Err(error.into()),
    }
}

/// What restores to this directory have left beside it, in words.
fn leftovers_beside(data: &DataDir) -> Result<Vec<String>, ReadError> {
    // Only the directory's own name says how they are called.
    let root =
        fs::canonicalize(data.root()).map_err(|source| ReadError::Io { path: data.root().to_owned(), source })?;
    // Who may not list the directory around it sees none.
    let found = leftovers::of_restores(&root).unwrap_or_default();
    Ok(found
        .into_iter()
        .map(|Leftover { path, kind }| match kind {
            LeftoverKind::Dead => {
                let path = path.display();
                format!("{path} was left by a restore that was killed. Nothing reads it: remove it with `rm -r {path}`")
            }
            LeftoverKind::InUse => format!("{} is being made by a restore that is going on", path.display()),
            LeftoverKind::Foreign(why) => {
                format!("{} has the name of what a restore makes, and is something else ({why})", path.display())
            }
        })
        .collect())
}

/// The state, when it is this log's and what it speaks of is still so.
fn resumed(data: &DataDir, volumes: &[VolumePath], state: VerifyState) -> Result<VerifyState, ReadError> {
    let last = usize::try_from(state.volumes).ok().and_then(|done| volumes.get(done.checked_sub(1)?));
    let seal = last.map(Seal::head).transpose()?.flatten();
    let same = state.log_id == data.log_id()
        && (state.volumes == 0 || seal.is_some_and(|seal| (seal.last, seal.hash) == (state.position, state.hash)));
    if same { Ok(state) } else { Err(not_its_state(&state)) }
}

fn not_its_state(state: &VerifyState) -> ReadError {
    ReadError::Corrupt {
        volume: state.volumes,
        position: state.position,
        reason: "the state that was to be resumed is not of this log: begin again without it".into(),
    }
}

/// Rights that are told one by one.
const RIGHTS_TOLD: usize = 20;

/// The rights that this user lacks: what is wrong, and what somebody who only looks need not have. Whoever does not own the
/// directory may be an auditor, who has no business writing to it.
fn rights_of(data: &DataDir) -> (Vec<Finding>, Vec<String>) {
    let owns = data.is_own();
    let (wrong, look_only): (Vec<_>, Vec<_>) =
        lost_rights(data, Depth::Files).into_iter().partition(|right| owns || right.to_read);
    let finding =
        |problem: String| Finding { part: Part::Rights, volume: None, position: None, problem, remedy: Remedy::Rights };
    let more = wrong.len().saturating_sub(RIGHTS_TOLD);
    let mut findings: Vec<_> = wrong.iter().take(RIGHTS_TOLD).map(|right| finding(right.to_string())).collect();
    if more > 0 {
        findings.push(finding(format!(
            "this user cannot use {more} further files and directories of {}",
            data.root().display()
        )));
    }
    let read_only = match look_only.first() {
        None => Vec::new(),
        Some(first) => vec![format!(
            "this user does not own the directory and cannot write to {} of its parts: enough to verify, not to serve. \
             The first: {first}",
            look_only.len()
        )],
    };
    (findings, read_only)
}

struct VolumeCheck<'a> {
    data: &'a DataDir,
    options: &'a VerifyOptions,
    path: &'a VolumePath,
    newest: bool,
    before: Head,
}

impl VolumeCheck<'_> {
    /// Checks a volume; the walk over its journal when that is sound.
    fn run(
        &self,
        report: &mut VerifyReport,
        throttle: &mut Throttle,
        progress: &mut dyn FnMut(Position),
        history: &mut History,
    ) -> Option<Walked> {
        let number = self.path.number;
        // Commits of somebody else's volume say nothing about this log's.
        let fits = BlockWalk::open(self.path).is_ok_and(|walk| {
            (walk.log_id(), walk.start()) == (self.data.log_id(), (self.before.position.next(), self.before.hash))
        });
        // Noted before the journal is read: a server may write to it meanwhile.
        let clean = if self.newest { CleanStop::read(self.path) } else { Ok(None) };
        let read = clean
            .and_then(|clean| Ok((clean, walk_volume(self.path, throttle, progress, fits.then_some(&mut *history))?)));
        report.findings.extend(history.wrong_links());
        let (clean, walked) = match read {
            Ok(read) => read,
            Err(error) => {
                report.findings.push(Finding::journal(number, &error));
                return None;
            }
        };
        let (position, hash) = walked.walk.reached();
        let first = self.before.position.next();
        let corrupt = |position, reason: &str| ReadError::Corrupt { volume: number, position, reason: reason.into() };
        let problem = if walked.walk.log_id() != self.data.log_id() {
            Some(corrupt(first, "the volume belongs to another log"))
        } else if walked.walk.start() != (first, self.before.hash) {
            Some(corrupt(first, "the volume does not continue the chain of the one before"))
        } else if walked.walk.torn_bytes > 0 && !self.newest {
            Some(corrupt(position.next(), "a journal that is not the newest ends in the middle of a frame"))
        } else if let Some(clean) = clean {
            if clean.position > position {
                Some(clean.missing(number, position))
            } else if clean.position == position && clean.hash != hash {
                Some(clean.differs(number))
            } else {
                None
            }
        } else {
            None
        };
        if let Some(problem) = problem {
            report.findings.push(Finding::journal(number, &problem));
            return None;
        }
        report.torn_bytes = walked.walk.torn_bytes;
        let sealed = !self.newest && self.check_seal(&walked, report);
        if self.options.databases {
            self.check_database(&walked, sealed, clean.is_some(), report, throttle);
        }
        Some(walked)
    }

    /// True when the volume is sealed.
    fn check_seal(&self, walked: &Walked, report: &mut VerifyReport) -> bool {
        match Seal::read(self.path) {
            Ok(None) => {
                let number = self.path.number;
                report.unchecked.push(format!("volume {number} has no seal yet: it is made at the next start"));
                false
            }
            Ok(Some(_)) => {
                match seal_is(self.path, &walked.walk, &walked.index) {
                    Ok(true) => {}
                    Ok(false) => {
                        let problem = "the seal is not the one that the journal gives";
                        report.findings.push(Finding::of(Part::Seal, self.path.number, problem));
                    }
                    Err(error) => report.findings.push(Finding::unreadable(Part::Seal, self.path.number, &error)),
                }
                true
            }
            Err(error) => {
                report.findings.push(Finding::unreadable(Part::Seal, self.path.number, &error));
                true
            }
        }
    }

    fn check_database(
        &self,
        walked: &Walked,
        sealed: bool,
        clean: bool,
        report: &mut VerifyReport,
        throttle: &mut Throttle,
    ) {
        let number = self.path.number;
        if !sealed && !clean {
            if self.newest && !self.options.in_use && self.path.sled().exists() {
                match has_more(self.path, walked.walk.reached(), &self.options.scratch, throttle) {
                    Ok(false) => {}
                    Ok(true) => {
                        let position = walked.walk.reached().0.next();
                        let reason = "the journal ends before a block that the database still has".into();
                        let error = ReadError::Corrupt { volume: number, position, reason };
                        report.findings.push(Finding::journal(number, &error));
                        return;
                    }
                    Err(NotCompared(why)) => {
                        report.unchecked.push(format!("the database of volume {number}: {why}"));
                        return;
                    }
                }
            }
            let why =
                if self.newest { "the last stop was not a clean one, or somebody writes" } else { "it is not sealed" };
            report
                .unchecked
                .push(format!("the database of volume {number}: {why}; the next start makes it from the journal"));
            return;
        }
        if !self.path.sled().exists() {
            report.findings.push(Finding::of(Part::Database, number, "the database is missing"));
            return;
        }
        match compare(self.path, &walked.index, sealed, &self.options.scratch, throttle) {
            Ok(None) => report.databases += 1,
            Ok(Some(Difference::Other(problem))) => report.findings.push(Finding::of(Part::Database, number, problem)),
            Ok(Some(Difference::Unreadable(error))) => {
                report.findings.push(Finding::unreadable(Part::Database, number, &error));
            }
            Err(NotCompared(why)) => report.unchecked.push(format!("the database of volume {number}: {why}")),
        }
    }
}

/// Why a database could not be looked at, which says nothing about it.
pub struct NotCompared(pub String);

/// How often a copy is begun again of a database in which something vanished meanwhile.
const COPIES: u32 = 10;

/// A copy of a volume's database to be looked at: sled writes where it opens.
pub fn copy_database(path: &VolumePath, scratch: &Path, throttle: &mut Throttle) -> Result<Scratch, NotCompared> {
    for _ in 0..COPIES {
        let copied = Scratch::new(scratch).and_then(|copy| {
            let whole = files::copy_tree(&path.sled(), copy.path(), &mut |bytes| throttle.read(bytes))?;
            Ok((copy, whole))
        });
        match copied {
            Ok((copy, true)) => return Ok(copy),
            Ok((_, false)) => {}
            Err(error) => {
                return Err(NotCompared(format!(
                    "no copy to look at could be made in {}: {error}; name another with --scratch",
                    scratch.display()
                )));
            }
        }
    }
    Err(NotCompared("somebody is at work in it, so no whole copy could be made to look at".into()))
}

/// True when the database holds a block that continues where its journal ends: the journal has lost it. One that does not
/// open, as after a power cut, says nothing. Looks at a copy.
pub fn has_more(
    path: &VolumePath,
    (position, hash): (Position, BlockHash),
    scratch: &Path,
    throttle: &mut Throttle,
) -> Result<bool, NotCompared> {
    let copy = copy_database(path, scratch, throttle)?;
    let database = Database::open_at(copy.path(), path.number);
    Ok(database.is_ok_and(|database| database.continuing(position.next(), hash).is_some()))
}

/// How a database differs from its journal.
pub enum Difference {
    /// In this, in words.
    Other(String),
    /// It cannot be read to its end.
    Unreadable(ReadError),
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Other(what) => f.write_str(what),
            Self::Unreadable(error) => f.write_str(&error.to_string()),
        }
    }
}

/// The first difference between a database and its journal. Looks at a copy.
pub fn compare(
    path: &VolumePath,
    index: &Index,
    sealed: bool,
    scratch: &Path,
    throttle: &mut Throttle,
) -> Result<Option<Difference>, NotCompared> {
    let copy = copy_database(path, scratch, throttle)?;
    let mut looked = || -> Result<Option<String>, ReadError> {
        let database = Database::open_at(copy.path(), path.number)?;
        if let Some(difference) = database.difference(path, |bytes| throttle.read(bytes))? {
            return Ok(Some(difference));
        }
        Ok((sealed && !database.has_index(index)?).then(|| "its index is not the one of the journal".to_owned()))
    };
    Ok(looked().map_or_else(|error| Some(Difference::Unreadable(error)), |found| found.map(Difference::Other)))
}

/// A directory that is removed again.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(dir: &Path) -> io::Result<Self> {
        for n in 0..1000 {
            let path = dir.join(format!("docket-verify-{}-{n}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Scratch {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = files::remove_dir(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "a scratch copy could not be removed");
        }
    }
}

fn check_texts(data: &DataDir, named: &BTreeSet<String>, report: &mut VerifyReport, throttle: &mut Throttle) {
    let content = ContentStore::new(&data.content());
    let mut missing: BTreeSet<&str> = named.iter().map(String::as_str).collect();
    let problem = |problem: String| Finding {
        part: Part::Content,
        volume: None,
        position: None,
        problem,
        remedy: Remedy::Backup,
    };
    let listed = match content.files() {
        Ok(listed) => listed,
        Err(source) => {
            let error = ReadError::Io { path: data.content(), source };
            report.findings.push(Finding { volume: None, ..Finding::unreadable(Part::Content, 0, &error) });
            report.unchecked.push(format!("{} stored texts that events name: they cannot be listed", missing.len()));
            return;
        }
    };
    for file in listed {
        match file {
            ContentFile::Text { name, bytes } => {
                throttle.read(bytes);
                missing.remove(name.as_str());
                match content.get(&name) {
                    Ok(_) => report.texts += 1,
                    Err(ContentError::Io { path, source }) => {
                        let error = ReadError::Io { path, source };
                        let remedy = if error.is_forbidden() { Remedy::Rights } else { Remedy::Backup };
                        report.findings.push(Finding { remedy, ..problem(error.to_string()) });
                    }
                    Err(error) => report.findings.push(problem(error.to_string())),
                }
            }
            ContentFile::Other(path) => {
                report.unchecked.push(format!("{} is no stored text; nothing reads it", path.display()));
            }
        }
    }
    report.findings.extend(missing.into_iter().map(|name| problem(format!("the stored text {name} is missing"))));
}

#[cfg(test)]
mod tests {
    use docket_core::ids::StreamId;
    use ulid::Ulid;

    use super::*;
    use crate::{
        EventLog, Expected, SledLog, SledLogOptions,
        contract::{append, stream},
    };

    /// A log of several sealed volumes, closed cleanly.
    fn volumes() -> (tempfile::TempDir, DataDir) {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open_or_create(&dir.path().join("data"), Ulid::from_parts(1, 1)).unwrap();
        let log =
            SledLog::open(data.clone(), SledLogOptions { volume_bytes: 8_000, queue: 8, reserve_bytes: 0 }).unwrap();
        for n in 0..20 {
            let of = |m: u32| -> StreamId { stream(m % 7) };
            log.append_all((n * 10..n * 10 + 10).map(|m| append(m, of(m), Expected::Any)).collect());
        }
        log.close();
        drop(log);
        (dir, data)
    }

    #[test]
    fn a_verification_that_was_stopped_goes_on_and_finds_the_same() {
        let (_dir, data) = volumes();
        let options = VerifyOptions::default();
        let whole = verify(&data, &options, |_| {}).unwrap();
        assert!(whole.ok() && whole.volumes > 3, "{whole:?}");
        assert_eq!((whole.commits, whole.databases), (200, whole.volumes));
        let mut state = None;
        let stop = |at: &VerifyState| {
            state = Some(at.clone());
            at.volumes < 2
        };
        let (part, finished) = verify_from(&data, &options, None, |_| {}, stop).unwrap();
        assert!(!finished && part.commits < 200);
        let (rest, finished) = verify_from(&data, &options, state.clone(), |_| {}, |_| true).unwrap();
        assert!(finished);
        assert_eq!(rest, whole);
        // The state of another log is refused.
        let other = VerifyState { log_id: "another".into(), ..state.unwrap() };
        assert!(verify_from(&data, &options, Some(other), |_| {}, |_| true).is_err());
    }

    #[test]
    fn every_part_that_is_wrong_is_named() {
        let (_dir, data) = volumes();
        let path = VolumePath::new(&data.log(), 2);
        fs::remove_dir_all(path.sled()).unwrap();
        let mut seal = fs::read(path.seal()).unwrap();
        let last = seal.len() - 1;
        seal[last] ^= 1;
        fs::write(path.seal(), seal).unwrap();
        fs::create_dir_all(data.content().join("ab")).unwrap();
        fs::write(data.content().join("ab").join("c".repeat(62)), "other").unwrap();
        let report = verify(&data, &VerifyOptions::default(), |_| {}).unwrap();
        let parts: Vec<_> = report.findings.iter().map(|finding| (finding.part, finding.volume)).collect();
        assert_eq!(parts, [(Part::Seal, Some(2)), (Part::Database, Some(2)), (Part::Content, None)]);
        assert_eq!(report.commits, 200);
    }
}
