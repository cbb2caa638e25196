//! What the victim does: a mixed load with many writers, and the check of everything that it finds afterwards.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::{BufWriter, Write},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use docket_core::{
    event::{Actor, Cause, CauseKind, Commit, DatedEvent, Event},
    ids::{CommitId, CorrelationId, Position, StreamId, TicketId},
    ticket::{TagAdded, TicketEvent},
    time::Timestamp,
};
use docket_projections::{Projection, Views, snapshot};
use docket_store::{
    Append, AppendError, Backup, ContentFile, ContentStore, DataDir, DataDirError, EventLog, Expected, SledLog,
    SledLogOptions, backup,
};
use fastrand::Rng;
use ulid::Ulid;

/// How the load is to be.
#[derive(Debug, Clone)]
pub struct Load {
    /// What everything is made from.
    pub seed: u64,
    /// Number of the first commit: numbers are never used twice on one log.
    pub first: u64,
    /// Commits to store; without end when absent.
    pub appends: Option<u64>,
    /// Writers at once.
    pub writers: u64,
    /// A volume is sealed once its journal has so many bytes.
    pub volume_bytes: u64,
    /// Also store texts, write snapshots and back up to `ROOT/backup`.
    pub extras: bool,
    /// Bytes to keep free on the disk.
    pub reserve_bytes: u64,
}

const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn options(volume_bytes: u64, reserve_bytes: u64) -> SledLogOptions {
    SledLogOptions { volume_bytes, queue: 256, reserve_bytes }
}

/// The text of commit `n`: what is read back is compared with it.
pub fn text(seed: u64, n: u64) -> String {
    let mut rng = Rng::with_seed(seed ^ n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let length = match rng.u8(..) {
        0..=1 => rng.usize(4_000..30_000),
        _ => rng.usize(10..400),
    };
    let mut text = format!("{n}:");
    text.extend(std::iter::repeat_with(|| rng.alphanumeric()).take(length));
    text
}

fn commit_id(seed: u64, n: u64) -> CommitId {
    CommitId::derived(AT, &["torture", &seed.to_string(), &n.to_string()])
}

fn stream(seed: u64, n: u64) -> StreamId {
    let stream = Rng::with_seed(seed.wrapping_add(n)).u64(0..60);
    StreamId::Ticket(TicketId::derived(AT, &["torture", &stream.to_string()]))
}

/// The append of commit `n`.
pub fn append(seed: u64, n: u64, expected: Expected) -> Append {
    Append {
        id: commit_id(seed, n),
        stream: stream(seed, n),
        expected,
        guards: Vec::new(),
        events: vec![DatedEvent::new(AT, TicketEvent::from(TagAdded { tag: text(seed, n) }))],
        recorded_at: AT,
        actor: Actor::System,
        cause: Cause::of(CauseKind::Request),
        correlation: CorrelationId::derived(AT, &["torture"]),
        token: None,
        request: None,
    }
}

/// One write, so that an acknowledgement is there or not.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that is gone is the end of the test.
    let _ = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
}

/// Opens the log below `root` and loads it. Every acknowledgement is a line: `A n position` for a commit, `T name` for a text,
/// `B position` for a backup. Ends when nothing more is to be stored, or with `END reason` once the log takes nothing more.
pub fn run(root: &Path, load: &Load) -> Result<(), String> {
    let data = DataDir::open_or_create(&root.join("data"), Ulid::from_parts(1, 1)).map_err(|e| format!("{e:?}"))?;
    let log =
        SledLog::open(data.clone(), options(load.volume_bytes, load.reserve_bytes)).map_err(|e| format!("{e:?}"))?;
    let log = Arc::new(log);
    say("OPEN");
    let next = AtomicU64::new(load.first);
    let stored = Mutex::new(Vec::<(u64, Position)>::new());
    let end = load.appends.map_or(u64::MAX, |appends| load.first + appends);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().map_err(|e| e.to_string())?;
    let written = AtomicBool::new(false);
    let ended = std::thread::scope(|scope| {
        if load.extras {
            scope.spawn(|| extras(root, &data, &log, load.seed, &written));
        }
        let writers = (0..load.writers).map(|writer| write(&log, load, writer, &next, end, &stored));
        let ended = runtime.block_on(futures_util::future::join_all(writers));
        log.close();
        written.store(true, Ordering::Relaxed);
        ended
    });
    match ended.into_iter().find_map(Result::err) {
        Some(reason) => say(&format!("END {reason}")),
        None => say("DONE"),
    }
    Ok(())
}

async fn write(
    log: &Arc<SledLog>,
    load: &Load,
    writer: u64,
    next: &AtomicU64,
    end: u64,
    stored: &Mutex<Vec<(u64, Position)>>,
) -> Result<(), String> {
    let mut rng = Rng::with_seed(load.seed ^ load.first ^ writer);
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= end {
            return Ok(());
        }
        let expected = match rng.u8(0..10) {
            0..=5 => Expected::Any,
            // What the stream has now; somebody else may be faster.
            _ => match log.read_stream(stream(load.seed, n), Position::START) {
                Ok(commits) => commits.last().map_or(Expected::NoStream, |last| Expected::At(last.position)),
                Err(error) => return Err(format!("a stream could not be read: {error}")),
            },
        };
        match log.append(append(load.seed, n, expected)).await {
            Ok(position) => {
                say(&format!("A {n} {position}"));
                let mut stored = stored.lock().unwrap();
                stored.push((n, position));
            }
            Err(AppendError::Conflict { .. }) => {}
            Err(error) => return Err(error.to_string()),
        }
        if rng.u8(0..10) == 0 {
            let again = stored.lock().unwrap().get(rng.usize(0..50)).copied();
            if let Some((n, position)) = again {
                match log.append(append(load.seed, n, Expected::NoStream)).await {
                    Ok(same) if same == position => {}
                    Ok(other) => return Err(format!("WRONG commit {n} at {position} was stored again at {other}")),
                    Err(AppendError::Conflict { .. }) => return Err(format!("WRONG commit {n} is not known any more")),
                    Err(error) => return Err(error.to_string()),
                }
            }
        }
    }
}

/// Texts, snapshots and backups beside the writers, until everything is written.
fn extras(root: &Path, data: &DataDir, log: &Arc<SledLog>, seed: u64, written: &AtomicBool) {
    let content = ContentStore::new(&data.content());
    let mut views = Views::default();
    for round in 0_u64.. {
        while log.head().position.get() < views.position().get() + 40 {
            if written.load(Ordering::Relaxed) || log.failure().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Ok(name) = content.put(text(seed, u64::MAX - views.position().get()).as_bytes()) {
            say(&format!("T {name}"));
        }
        let Ok(commits) = log.read_all(views.position(), usize::MAX) else { return };
        commits.iter().for_each(|commit| views.apply(commit));
        match round % 2 {
            0 => _ = snapshot::write(&data.snapshots(), data.log_id(), &views),
            _ => {
                if let Ok(report) = backup(data, &root.join("backup"), AT, None, |_| {}) {
                    say(&format!("B {}", report.manifest.head_position));
                }
            }
        }
    }
}

/// Backs the log below `root` up to `ROOT/backup`, and checks what came of it.
pub fn back_up(root: &Path) -> Result<(), String> {
    let data = DataDir::open(&root.join("data")).map_err(|error| error.to_string())?;
    let done = backup(&data, &root.join("backup"), AT, None, |_| {}).map_err(|error| error.to_string())?;
    say(&format!("B {}", done.manifest.head_position));
    let backup = Backup::open(&root.join("backup")).map_err(|error| error.to_string())?;
    backup.verify(None, |_| {}).map_err(|error| error.to_string())
}

/// Restores `ROOT/backup` to `ROOT/restored/data`, whose parent holds nothing else then. Says `REMOVED` for each leftover.
pub fn restore(root: &Path) -> Result<(), String> {
    let backup = Backup::open(&root.join("backup")).map_err(|error| error.to_string())?;
    let done = backup.restore(&root.join("restored/data"), |_| {}).map_err(|error| error.to_string())?;
    done.removed.iter().for_each(|path| say(&format!("REMOVED {}", path.display())));
    say("DONE");
    Ok(())
}

/// Why a check did not end well.
#[derive(Debug)]
pub enum Bad {
    /// The log was refused, and said why.
    Refused(String),
    /// Something else than what was written was served, or something is missing that cannot be.
    Wrong(String),
}

/// Opens the log below `root` and compares all that can be read with what was written: `C n position` for each commit,
/// `T name` for each text, `BACKUP position`, `OK position`; `EMPTY` when no desk is there.
pub fn check(root: &Path, seed: u64, volume_bytes: u64, writes: Option<u64>) -> Result<(), Bad> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut say = |line: String| _ = writeln!(out, "{line}");
    let refused = |error: &dyn std::error::Error| {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            text += &format!(": {inner}");
            cause = inner.source();
        }
        Bad::Refused(text)
    };
    let data = match DataDir::open(&root.join("data")) {
        Ok(data) => data,
        Err(DataDirError::Missing(_)) => {
            say("EMPTY".into());
            return Ok(());
        }
        Err(error) => return Err(refused(&error)),
    };
    let log = SledLog::open(data.clone(), options(volume_bytes, 0)).map_err(|error| refused(&error))?;
    if let Some(position) = snapshot::ahead_of(&data.snapshots(), data.log_id(), log.head().position) {
        return Err(Bad::Refused(format!("a snapshot of position {position} is ahead of the log")));
    }
    let mut views =
        snapshot::load(&data.snapshots(), data.log_id(), &log).map_err(|e| refused(&e))?.unwrap_or_default();
    let mut fresh = Views::default();
    let mut streams: BTreeMap<StreamId, Vec<Position>> = BTreeMap::new();
    let mut latest: HashMap<StreamId, Position> = HashMap::new();
    let (mut ids, mut position) = (HashSet::new(), Position::START);
    for commit in log.scan(Position::START).map_err(|e| refused(&e))? {
        let commit = commit.map_err(|e| refused(&e))?;
        let n = look_at(&commit, seed)?;
        position = position.next();
        if commit.position != position || !ids.insert(commit.id) {
            let (at, id) = (commit.position, commit.id);
            return Err(Bad::Wrong(format!(
                "commit {n} stands at {at} where {position} is next, or its id {id} is there twice"
            )));
        }
        let previous = latest.insert(commit.stream, position).unwrap_or_default();
        if previous != commit.previous {
            return Err(Bad::Wrong(format!("commit {n} names {} before it, not {previous}", commit.previous)));
        }
        streams.entry(commit.stream).or_default().push(position);
        if log.find(commit.id).map_err(|e| refused(&e))? != Some(position) {
            return Err(Bad::Wrong(format!("the id of commit {n} does not lead to it")));
        }
        fresh.apply(&commit);
        if position > views.position() {
            views.apply(&commit);
        }
        say(format!("C {n} {position}"));
    }
    if position != log.head().position {
        return Err(Bad::Wrong(format!("the journals end at {position}, the head is {}", log.head().position)));
    }
    for (stream, positions) in &streams {
        let commits = log.read_stream(*stream, Position::START).map_err(|e| refused(&e))?;
        if commits.iter().map(|commit| commit.position).ne(positions.iter().copied()) {
            return Err(Bad::Wrong(format!("{stream} is read with other commits than the log has")));
        }
        for commit in commits {
            look_at(&commit, seed)?;
        }
    }
    if views.fingerprint().ok() != fresh.fingerprint().ok() {
        return Err(Bad::Wrong("the views of the snapshot differ from those of the log".into()));
    }
    let content = ContentStore::new(&data.content());
    for file in content.files().map_err(|e| refused(&e))? {
        if let ContentFile::Text { name, .. } = file {
            content.get(&name).map_err(|e| refused(&e))?;
            say(format!("T {name}"));
        }
    }
    match Backup::open(&root.join("backup")) {
        Err(docket_store::BackupError::NotABackup(_)) => {}
        Err(error) => return Err(refused(&error)),
        Ok(kept) => {
            kept.verify(None, |_| {}).map_err(|e| refused(&e))?;
            say(format!("BACKUP {}", kept.manifest().head_position));
            let report = backup(&data, &root.join("backup"), AT, None, |_| {}).map_err(|e| refused(&e))?;
            if report.manifest.head_hash != log.head().hash {
                return Err(Bad::Wrong("the backup ends elsewhere than the log".into()));
            }
        }
    }
    if let Some(n) = writes {
        // Another number for each state of the log: a check may come again.
        let n = n + position.get();
        match log.append_all(vec![append(seed, n, Expected::Any)]).pop() {
            Some(Ok(written)) if written == position.next() => {}
            other => return Err(Bad::Refused(format!("a further commit was answered with {other:?}"))),
        }
    }
    log.close();
    say(format!("OK {position}"));
    Ok(())
}

/// The number of a commit whose text is what was written.
fn look_at(commit: &Commit, seed: u64) -> Result<u64, Bad> {
    let wrong = |what: &str| Bad::Wrong(format!("position {}: {what}", commit.position));
    let [DatedEvent { event: Event::Ticket(TicketEvent::TagAdded(TagAdded { tag })), .. }] = &commit.events[..] else {
        return Err(wrong("other events than were written"));
    };
    let n = tag.split(':').next().and_then(|n| n.parse().ok()).ok_or_else(|| wrong("another text than was written"))?;
    if *tag != text(seed, n) || commit.id != commit_id(seed, n) || commit.stream != stream(seed, n) {
        return Err(wrong("another commit than was written"));
    }
    Ok(n)
}
