//! Heals whichever copy is wrong from the other one, and keeps what it replaces.
//!
//! A journal is put together again from every block that can be found in it, in the database and in a backup; the chain
//! tells which bytes are right, and nothing is replaced unless the whole volume comes out sound. Databases and seals are made
//! again from the journal. What was there before is kept in `damaged/`.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use docket_core::ids::Position;
use serde::Serialize;

use crate::{
    backup::Backup,
    check::{Finding, History, Part, Remedy, Throttle, walk_volume},
    codec::{Block, BlockHash, BlockHead},
    content::{ContentFile, ContentStore},
    data_dir::{DataDir, DataDirError},
    database::{Database, rebuild_database},
    files,
    held::DataLock,
    journal::{JOURNAL_FORMAT, JournalHeader, frame, sound_frames},
    log::{Head, ReadError},
    seal::{Seal, prove_database, seal_is, write_seal},
    verify::{Difference, NotCompared, Scratch, compare, copy_database, has_more, volumes_and_loss},
    volume::{BlockWalk, CleanStop, VolumePath},
};

/// What a repair did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepairReport {
    /// What was mended, in words.
    pub mended: Vec<String>,
    /// What could not be mended, and what it would take.
    pub remaining: Vec<Finding>,
    /// Where what was replaced is kept, when anything was.
    pub kept: Option<PathBuf>,
}

/// How to repair.
#[derive(Debug, Clone, Default)]
pub struct RepairOptions {
    /// Take what neither copy has from this backup.
    pub backup: Option<PathBuf>,
    /// Change nothing, only say what would be done.
    pub dry_run: bool,
    /// Where copies of databases are looked at.
    pub scratch: Option<PathBuf>,
}

/// Opens a data directory that is to be repaired. Its marker is written anew when it is damaged: the first journal says which
/// log it is. The second value says what was wrong with it.
///
/// # Errors
/// When it is no data directory, or the marker is damaged and the first journal does not say what belongs there.
pub fn open_for_repair(root: &Path, dry_run: bool) -> Result<(DataDir, Option<String>), DataDirError> {
    let first = VolumePath::new(&root.join("log"), 1);
    let first_journal = BlockWalk::open(&first);
    let unknown = match &first_journal {
        Ok(_) => "it does not begin a log".to_owned(),
        Err(error) => error.to_string(),
    };
    let log_id = first_journal.ok().and_then(|walk| {
        let start = (Position::new(1), BlockHash::genesis(walk.log_id()));
        (walk.start() == start).then(|| walk.log_id().to_owned())
    });
    let opened = DataDir::open(root);
    let problem = match (&opened, &log_id) {
        (Ok(data), Some(log_id)) if data.log_id() != log_id => format!("it named the log {}", data.log_id()),
        // Nobody is sent to the repair that this is.
        (Err(DataDirError::DamagedMarker(path) | DataDirError::Marker { path, .. }), None) => {
            return Err(DataDirError::NoHelp { path: path.clone(), reason: unknown });
        }
        (Ok(_), _) | (Err(_), None) | (Err(DataDirError::NewerFormat { .. }), Some(_)) => {
            return opened.map(|data| (data, None));
        }
        (Err(error), Some(_)) => error.to_string(),
    };
    let Some(log_id) = log_id else { return opened.map(|data| (data, None)) };
    let problem = format!("docket.json was written anew from the first journal ({problem})");
    let marker = root.join("docket.json");
    if dry_run {
        return opened.map(|data| (data, Some(problem)));
    }
    // Nobody may be at work here.
    let _lock = DataDir::assumed(root, &log_id).lock()?;
    if marker.exists() {
        let kept = root.join("damaged");
        let io = |source| DataDirError::Io { path: marker.clone(), source };
        files::create_dir(&kept).map_err(io)?;
        files::keep_aside(&marker, &free_place(&kept, "docket.json")).map_err(io)?;
    }
    DataDir::write_marker(root, &log_id)?;
    Ok((DataDir::open(root)?, Some(problem)))
}

/// Repairs a data directory. Needs its lock: nobody else writes meanwhile.
///
/// # Errors
/// When the directory or the backup cannot be read, or a file cannot be written. What was mended before stays mended.
pub fn repair(data: &DataDir, _lock: &DataLock, options: &RepairOptions) -> Result<RepairReport, ReadError> {
    let backup = options.backup.as_deref().map(|dir| Backup::open_for(dir, data.log_id())).transpose()?;
    let dir = data.log();
    let (volumes, lost) = volumes_and_loss(data)?;
    let mut repair = Repair {
        data,
        backup,
        dry_run: options.dry_run,
        scratch: options.scratch.clone().unwrap_or_else(std::env::temp_dir),
        kept: data.root().join("damaged"),
        volumes_lost: false,
        report: RepairReport { mended: Vec::new(), remaining: Vec::new(), kept: None },
        history: History::default(),
    };
    let mut before = Head { position: Position::START, hash: BlockHash::genesis(data.log_id()) };
    let mut last = volumes.last().map_or(0, |newest| newest.number);
    if let Some(lost) = lost {
        // A backup may have what is known to be gone.
        let backed = repair.backup.as_ref().map_or(0, |backup| backup.manifest().volumes.len() as u64);
        if backed > last {
            last = backed;
            repair.volumes_lost = true;
        } else {
            repair.report.remaining.push(lost);
        }
    }
    for number in 1..=last {
        let path = VolumePath::new(&dir, number);
        let next = (number < last).then(|| VolumePath::new(&dir, number + 1));
        if next.is_none() && path.dir.exists() && path.is_unborn().unwrap_or(false) {
            break;
        }
        match repair.volume(&path, next.as_ref(), before) {
            Ok(Some(end)) => before = end,
            Ok(None) => break,
            // Whoever wrote it repairs it: to take it for damage would destroy it.
            Err(error) if error.is_newer() => {
                repair.report.remaining.push(Finding::journal(number, &error));
                return Ok(repair.report);
            }
            Err(error) => return Err(error),
        }
    }
    if repair.volumes_lost {
        repair.end_unknown(&VolumePath::new(&dir, last), before.position);
    }
    repair.texts()?;
    let wrong = repair.history.end(&volumes, &mut Throttle::new(None))?;
    repair.report.remaining.extend(wrong);
    Ok(repair.report)
}

struct Repair<'a> {
    data: &'a DataDir,
    backup: Option<Backup>,
    dry_run: bool,
    scratch: PathBuf,
    kept: PathBuf,
    /// The newest volumes are gone, and come from the backup.
    volumes_lost: bool,
    report: RepairReport,
    /// What the mended volumes say of streams and commit ids: a chain that is right does not make them so.
    history: History,
}

impl Repair<'_> {
    /// Mends a volume; where it ends, or `None` when its journal cannot be mended.
    fn volume(
        &mut self,
        path: &VolumePath,
        next: Option<&VolumePath>,
        before: Head,
    ) -> Result<Option<Head>, ReadError> {
        let number = path.number;
        let end = end_of(path, next)?.or_else(|| self.backup.as_ref()?.end_of(number));
        let walked = walk_volume(path, &mut Throttle::new(None), &mut |_| {}, None);
        let sound = match &walked {
            Ok(walked) => {
                let reached = walked.walk.reached();
                let fits = walked.walk.log_id() == self.data.log_id()
                    && walked.walk.start() == (before.position.next(), before.hash)
                    && end.is_none_or(|end| (end.position, end.hash) == reached);
                let cut = match next {
                    Some(_) => walked.walk.torn_bytes > 0,
                    None => end.is_none() && self.database_has_more(path, reached),
                };
                fits && !cut
            }
            Err(error) if error.is_newer() => return walked.map(|_| None),
            Err(_) => false,
        };
        if !sound && !self.journal(path, end, before)? {
            return Ok(None);
        }
        if self.dry_run && !sound {
            // The rest is judged by a journal that is not there yet.
            return Ok(end);
        }
        let walked = match walked {
            Ok(walked) if sound => walked,
            Ok(_) | Err(_) => walk_volume(path, &mut Throttle::new(None), &mut |_| {}, None)?,
        };
        let (position, hash) = walked.walk.reached();
        let clean = next.is_none() && end.is_some();
        // A newest volume that was not closed cleanly gets its database from the next start in any case.
        if next.is_some() || clean {
            let database = if path.sled().exists() {
                match compare(path, &walked.index, next.is_some(), &self.scratch, &mut Throttle::new(None)) {
                    Ok(Some(Difference::Unreadable(error))) if error.is_newer() => return Err(error),
                    Ok(difference) => difference.map(|difference| difference.to_string()),
                    Err(not_compared) => self.not_looked_at(number, not_compared),
                }
            } else {
                Some("the database is missing".to_owned())
            };
            if let Some(problem) = database {
                self.mend(
                    format!("volume {number}: the database was made again from the journal ({problem})"),
                    |repair| {
                        repair.keep(&path.sled(), &format!("{number:08}-sled"), true)?;
                        if next.is_some() {
                            prove_database(path, &walked.index)
                        } else {
                            rebuild_database(path)?.sync(path)
                        }
                    },
                )?;
            }
        }
        if next.is_some() {
            let problem = match Seal::read(path) {
                Ok(None) => Some("it was missing".to_owned()),
                Ok(Some(_)) if seal_is(path, &walked.walk, &walked.index)? => None,
                Ok(Some(_)) => Some("it was not the one that the journal gives".to_owned()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(problem) = problem {
                self.mend(
                    format!("volume {number}: the seal was made again from the journal ({problem})"),
                    |repair| {
                        repair.keep(&path.seal(), &format!("{number:08}-seal"), false)?;
                        write_seal(path, &walked.walk, &walked.index).map(drop)
                    },
                )?;
            }
        } else if path.clean().exists() && !clean {
            self.mend(format!("volume {number}: a clean mark that cannot be read was put aside"), |repair| {
                repair.keep(&path.clean(), &format!("{number:08}-clean"), true)
            })?;
        }
        self.history.add_volume(path, &mut Throttle::new(None), &mut |_| {})?;
        Ok(Some(Head { position, hash }))
    }

    fn mend(&mut self, what: String, work: impl FnOnce(&mut Self) -> Result<(), ReadError>) -> Result<(), ReadError> {
        if !self.dry_run {
            work(self)?;
        }
        tracing::warn!("{what}");
        self.report.mended.push(what);
        Ok(())
    }

    /// Keeps a file or directory in `damaged/`; moves it there when `away`.
    fn keep(&mut self, path: &Path, name: &str, away: bool) -> Result<(), ReadError> {
        if !path.exists() {
            return Ok(());
        }
        let io = |source| ReadError::Io { path: path.to_owned(), source };
        files::create_dir(&self.kept).map_err(io)?;
        let target = free_place(&self.kept, name);
        if away {
            fs::rename(path, target).map_err(io)?;
            files::sync_dir(&self.kept).map_err(io)?;
            path.parent().map_or(Ok(()), files::sync_dir).map_err(io)?;
        } else {
            files::keep_aside(path, &target).map_err(io)?;
        }
        self.report.kept = Some(self.kept.clone());
        Ok(())
    }

    fn database_has_more(&mut self, path: &VolumePath, reached: (Position, BlockHash)) -> bool {
        path.sled().exists()
            && match has_more(path, reached, &self.scratch, &mut Throttle::new(None)) {
                Ok(more) => more,
                Err(not_compared) => self.not_looked_at::<()>(path.number, not_compared).is_some(),
            }
    }

    /// A copy of a volume's database, opened, when it can be.
    fn copied_database(&mut self, path: &VolumePath) -> Option<(Database, Scratch)> {
        if !path.sled().exists() {
            return None;
        }
        match copy_database(path, &self.scratch, &mut Throttle::new(None)) {
            Ok(copy) => Some((Database::open_at(copy.path(), path.number).ok()?, copy)),
            Err(not_compared) => self.not_looked_at(path.number, not_compared),
        }
    }

    /// Notes that a database could not be looked at.
    fn not_looked_at<T>(&mut self, volume: u64, NotCompared(why): NotCompared) -> Option<T> {
        self.report.remaining.push(Finding::of(Part::Database, volume, format!("volume {volume}: {why}")));
        None
    }

    /// Puts a volume's journal together again; true when it is (or would be) whole.
    fn journal(&mut self, path: &VolumePath, end: Option<Head>, before: Head) -> Result<bool, ReadError> {
        let number = path.number;
        let bytes = match fs::read(path.journal()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(path.io(error)),
        };
        let mut found = HashMap::new();
        for payload in sound_frames(&bytes) {
            // The header is no block; it is made anew.
            if rmp_serde::from_slice::<JournalHeader>(payload).is_ok() {
                continue;
            }
            // Wherever in the journal it stands: whoever wrote it mends the rest as well.
            if let Err(why) = Block::decode(payload)
                && why.is_newer()
            {
                return Err(why.at(number, before.position.next(), &path.journal()));
            }
            if let Ok(head) = BlockHead::decode(payload) {
                found.entry((head.first, head.previous_block)).or_insert_with(|| payload.to_vec());
            }
        }
        let database = self.copied_database(path);
        let from_backup = match &self.backup {
            Some(backup) => backup.blocks(number)?,
            None => HashMap::new(),
        };
        let header = JournalHeader {
            format: JOURNAL_FORMAT,
            log: self.data.log_id().to_owned(),
            volume: number,
            first: before.position.next(),
            previous_block: before.hash,
        };
        let header = rmp_serde::to_vec_named(&header)
            .map_err(|error| ReadError::Database { volume: number, reason: error.to_string() })?;
        let mut whole = frame(&header);
        // Where no end is known, the last sound block of the journal itself has to be in the chain: another history that a
        // backup holds would lead elsewhere.
        let least = found.keys().map(|(first, _)| *first).max();
        let mut met_least = least.is_none();
        let (mut at, mut healed) = (before, [0_u64; 2]);
        while end.is_none_or(|end| at.position < end.position) {
            let key = (at.position.next(), at.hash);
            let in_journal = found.get(&key).filter(|payload| Block::is_sound(payload)).cloned();
            let in_database = || database.as_ref().and_then(|(database, _)| database.continuing(key.0, key.1));
            met_least |= in_journal.is_some() && Some(key.0) == least;
            let payload = match in_journal {
                Some(payload) => payload,
                None => match in_database().inspect(|_| healed[0] += 1) {
                    Some(payload) => payload,
                    None => match from_backup.get(&key).filter(|payload| Block::is_sound(payload)) {
                        Some(payload) => {
                            healed[1] += 1;
                            payload.clone()
                        }
                        None => break,
                    },
                },
            };
            if let Err(why) = Block::decode(&payload)
                && why.is_newer()
            {
                return Err(why.at(number, key.0, &path.journal()));
            }
            let Ok(head) = BlockHead::decode(&payload) else { break };
            at = Head { position: head.last(), hash: BlockHash::of(&payload) };
            whole.extend_from_slice(&frame(&payload));
        }
        let reached = match end {
            Some(end) => (end.position, end.hash) == (at.position, at.hash),
            None => met_least && at.position > before.position,
        };
        if !reached {
            let position = at.position.next();
            let reason = "neither copy has the block here".to_owned();
            let error = ReadError::Corrupt { volume: number, position, reason };
            self.report.remaining.push(Finding { remedy: Remedy::Backup, ..Finding::journal(number, &error) });
            return Ok(false);
        }
        let [blocks, backed] = healed;
        let what = format!(
            "volume {number}: the journal was put together again up to position {}, with {blocks} blocks of the database and \
             {backed} of the backup",
            at.position
        );
        self.mend(what, |repair| {
            files::create_dir(&path.dir).map_err(|source| path.io(source))?;
            repair.keep(&path.journal(), &format!("{number:08}-journal"), false)?;
            files::write_atomically(&path.journal(), &whole).map_err(|source| path.io(source))
        })?;
        if end.is_none() && bytes.len() < whole.len() && !self.volumes_lost {
            self.end_unknown(path, at.position);
        }
        Ok(true)
    }

    /// Says that the log may have gone on. sled holds back what it was told last, and a backup ends where it was taken.
    fn end_unknown(&mut self, path: &VolumePath, reached: Position) {
        let number = path.number;
        let problem = format!(
            "volume {number}: the log had lost its end, and nothing says where that was. Commits after position {reached} may \
             have been acknowledged and be gone. Should the lost journal turn up, put it at {} before anything is written to \
             the log, and repair again; should a backup that goes further, name it with --backup",
            path.journal().display()
        );
        let remedy = Remedy::Backup;
        let position = Some(reached.next());
        self.report.remaining.push(Finding { part: Part::Journal, volume: Some(number), position, problem, remedy });
    }

    /// Stored texts that are damaged or missing come back from the backup.
    fn texts(&mut self) -> Result<(), ReadError> {
        let content = ContentStore::new(&self.data.content());
        let io = |source| ReadError::Io { path: self.data.content(), source };
        let listed = content.files().map_err(io)?;
        let mut bad: Vec<String> = Vec::new();
        for file in listed {
            if let ContentFile::Text { name, .. } = file
                && content.get(&name).is_err()
            {
                bad.push(name);
            }
        }
        for name in named_texts(self.data)? {
            if matches!(content.get(&name), Err(crate::content::ContentError::Missing(_))) {
                bad.push(name);
            }
        }
        for name in bad {
            let saved = self.backup.as_ref().and_then(|backup| backup.texts().get(&name).ok());
            match saved {
                Some(bytes) => self.mend(format!("the stored text {name} was taken from the backup"), |repair| {
                    let path = repair.data.content().join(&name[..2]).join(&name[2..]);
                    repair.keep(&path, &name, true)?;
                    content
                        .put(&bytes)
                        .map(drop)
                        .map_err(|error| ReadError::Io { path, source: io::Error::other(error) })
                })?,
                None => {
                    let problem = format!("the stored text {name} is damaged or missing");
                    let (part, remedy) = (Part::Content, Remedy::Backup);
                    self.report.remaining.push(Finding { part, volume: None, position: None, problem, remedy });
                }
            }
        }
        Ok(())
    }
}

/// A path in `dir` that is not taken: the name with a number.
fn free_place(dir: &Path, name: &str) -> PathBuf {
    let mut n = 1;
    loop {
        let place = dir.join(format!("{name}-{n}"));
        if !place.exists() {
            return place;
        }
        n += 1;
    }
}

/// Names of stored texts that sound volumes speak of.
fn named_texts(data: &DataDir) -> Result<Vec<String>, ReadError> {
    let (volumes, _) = volumes_and_loss(data)?;
    let mut names = Vec::new();
    for path in volumes {
        if let Ok(walked) = walk_volume(&path, &mut Throttle::new(None), &mut |_| {}, None) {
            names.extend(walked.texts);
        }
    }
    Ok(names)
}

/// Where a volume must end, by what stands outside of its journal.
///
/// # Errors
/// When that is of a newer program. What is damaged says nothing.
fn end_of(path: &VolumePath, next: Option<&VolumePath>) -> Result<Option<Head>, ReadError> {
    let Some(next) = next else {
        return Ok(CleanStop::read(path)?.map(|clean| Head { position: clean.position, hash: clean.hash }));
    };
    match Seal::head(path) {
        Ok(Some(seal)) => return Ok(Some(Head { position: seal.last, hash: seal.hash })),
        Err(error) if error.is_newer() => return Err(error),
        Ok(None) | Err(_) => {}
    }
    let (first, hash) = match BlockWalk::open(next) {
        Ok(next) => next.start(),
        Err(error) if error.is_newer() => return Err(error),
        Err(_) => return Ok(None),
    };
    Ok(first.get().checked_sub(1).map(|last| Head { position: Position::new(last), hash }))
}
