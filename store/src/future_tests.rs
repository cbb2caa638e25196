//! Logs as a newer program might write them: real journals with right checksums and a right chain, around commits that were
//! changed by hand.

use std::{collections::BTreeMap, fs, path::Path};

use docket_core::{
    event::{Actor, CauseKind, Commit, Event},
    ids::{CommitId, Position, StreamId},
    ticket::TicketEvent,
    time::Timestamp,
};
use proptest::prelude::*;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor},
    ser::SerializeMap,
};
use tempfile::TempDir;
use ulid::Ulid;

use crate::{
    Append, AppendError, Backup, BackupError, DataDir, EventLog, Expected, LogScan, OpenError, ReadError, Remedy,
    RepairOptions, SledLog, SledLogOptions, Unknown, VerifyOptions, VerifyReport, backup,
    codec::{Block, BlockBuilder, BlockHash, EncodedAppend, Unreadable},
    contract::{append, stream},
    fuzz,
    journal::{JOURNAL_FORMAT, JournalHeader, frame, sound_frames},
    repair, verify,
    volume::VolumePath,
};

/// Any MessagePack, to be changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    Nil,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Tree>),
    Map(Vec<(Tree, Tree)>),
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nil => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Uint(value) => serializer.serialize_u64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Bytes(value) => serializer.serialize_bytes(value),
            Self::List(values) => serializer.collect_seq(values),
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                entries.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TreeVisitor;
        impl<'de> Visitor<'de> for TreeVisitor {
            type Value = Tree;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("anything")
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Nil)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
                Ok(Tree::Int(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
                Ok(Tree::Uint(value))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
                Ok(Tree::Float(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
                Ok(Tree::Text(value.to_owned()))
            }
            fn visit_bytes<E>(self, value: &[u8]) -> Result<Tree, E> {
                Ok(Tree::Bytes(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(Tree::List(values))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Tree::Map(entries))
            }
        }
        deserializer.deserialize_any(TreeVisitor)
    }
}

impl Tree {
    fn of(value: &impl Serialize) -> Self {
        rmp_serde::from_slice(&rmp_serde::to_vec_named(value).unwrap()).unwrap()
    }

    fn json(value: serde_json::Value) -> Self {
        Self::of(&value)
    }

    pub fn bytes(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(self).unwrap()
    }

    /// The value at this path of names and numbers; made when it is not there.
    pub fn at(&mut self, path: &str) -> &mut Self {
        path.split('.').fold(self, |tree, name| match tree {
            Self::List(values) => &mut values[name.parse::<usize>().unwrap()],
            Self::Map(entries) => {
                let key = Self::Text(name.to_owned());
                let place = entries.iter().position(|(k, _)| *k == key).unwrap_or_else(|| {
                    entries.push((key, Self::Nil));
                    entries.len() - 1
                });
                &mut entries[place].1
            }
            Self::Nil
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Uint(_)
            | Self::Float(_)
            | Self::Text(_)
            | Self::Bytes(_) => {
                panic!("nothing is in {tree:?}")
            }
        })
    }

    pub fn with(mut self, path: &str, value: serde_json::Value) -> Self {
        *self.at(path) = Self::json(value);
        self
    }

    /// Every text in it but the names of a payload's fields, also as the name of a map's entry: there an enum may stand.
    fn texts<'a>(&'a mut self, found: &mut Vec<&'a mut Self>) {
        match self {
            Self::Text(_) => found.push(self),
            Self::List(values) => values.iter_mut().for_each(|value| value.texts(found)),
            Self::Map(entries) => entries.iter_mut().for_each(|(key, value)| {
                key.texts(found);
                value.texts(found);
            }),
            Self::Nil | Self::Bool(_) | Self::Int(_) | Self::Uint(_) | Self::Float(_) | Self::Bytes(_) => {}
        }
    }
}

/// A commit with one tag, to be changed; the same `n` gives the same commit id.
pub fn commit(n: u32, of: StreamId, previous: u64) -> Tree {
    // A stream of an unknown kind would not be written.
    let encoded = EncodedAppend::try_new(append(n, stream(0), Expected::Any)).unwrap();
    let commit = encoded.into_commit(Position::new(u64::from(n)), Position::new(previous));
    Tree::of(&Commit { stream: of, ..commit })
}

/// A commit of one event.
fn with_event(tree: Tree, type_name: &str, data: serde_json::Value) -> Tree {
    tree.with("events.0.type", type_name.into()).with("events.0.data", data)
}

/// A block as it is written, and what a newer program makes of it.
pub fn block(commits: Vec<Tree>, previous: BlockHash) -> Tree {
    let Tree::Uint(first) = *commits[0].clone().at("position") else { panic!("a commit without a position") };
    let empty = BlockBuilder::new(Position::new(first), Position::new(first)).finish(previous);
    let mut block: Tree = rmp_serde::from_slice(&empty).unwrap();
    *block.at("count") = Tree::Uint(commits.len() as u64);
    *block.at("commits") = Tree::List(commits);
    block
}

pub const LOG: Ulid = Ulid::from_parts(1, 1);

/// A journal of these blocks: a header, frames, checksums, the chain, all in order.
fn journal(blocks: &[Vec<Tree>], change: impl Fn(usize, Tree) -> Tree) -> Vec<u8> {
    let mut previous = BlockHash::genesis(&LOG.to_string());
    let header = JournalHeader {
        format: JOURNAL_FORMAT,
        log: LOG.to_string(),
        volume: 1,
        first: Position::new(1),
        previous_block: previous,
    };
    let mut bytes = frame(&rmp_serde::to_vec_named(&header).unwrap());
    for (number, commits) in blocks.iter().enumerate() {
        let payload = change(number, block(commits.clone(), previous)).bytes();
        previous = BlockHash::of(&payload);
        bytes.extend_from_slice(&frame(&payload));
    }
    bytes
}

pub fn data(dir: &Path) -> DataDir {
    DataDir::open_or_create(&dir.join("data"), LOG).unwrap()
}

/// A data directory with this journal, as a killed process leaves it.
fn directory(journal: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let volume = VolumePath::new(&data(dir.path()).log(), 1);
    fs::create_dir_all(&volume.dir).unwrap();
    fs::write(volume.journal(), journal).unwrap();
    dir
}

const TINY: SledLogOptions = SledLogOptions { volume_bytes: 2_000, queue: 8, reserve_bytes: 0 };

pub fn open(dir: &Path) -> Result<SledLog, ReadError> {
    SledLog::open(data(dir), TINY).map_err(|error| match error {
        OpenError::Read(error) => error,
        other @ (OpenError::DataDir(_) | OpenError::Write { .. }) => panic!("{other}"),
    })
}

pub fn verified(dir: &Path) -> VerifyReport {
    verify(&data(dir), &VerifyOptions::default(), |_| {}).unwrap()
}

pub fn repaired(data: &DataDir) -> crate::RepairReport {
    repair(data, &data.lock().unwrap(), &RepairOptions::default()).unwrap()
}

/// Every file below a directory with its bytes, but the lock.
fn everything(dir: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(everything(&path));
        } else if !path.ends_with("lock") {
            let bytes = fs::read(&path).unwrap();
            all.insert(path, bytes);
        }
    }
    all
}

/// Streams of kinds that are not there yet.
fn organisation() -> StreamId {
    "organisation:01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap()
}

fn macros() -> StreamId {
    "macros".parse().unwrap()
}

/// What a newer program may have written, one novelty after the other.
fn novelties() -> Vec<Vec<Tree>> {
    let opened = serde_json::json!({
        "channel": "whatsapp", "subject": "Hello", "status": { "key": "new", "category": "new" }, "priority": "high",
        "queue": "billing", "requester": null, "category": null, "external": null, "by_agent": false,
    });
    let issued = serde_json::json!({
        "token": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "secret_sha256": "", "role": { "supervisor": { "of": ["first"] } },
        "label": "x", "expires_at": null,
    });
    let sealed = serde_json::json!({
        "message": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "channel": "email", "from": null, "body": { "sealed": { "key": 7 } },
    });
    let two = commit(12, stream(2), 8);
    let Tree::List(events) = two.clone().at("events").clone() else { panic!("events") };
    let known = events[0].clone();
    let unknown = known.clone().with("data", serde_json::json!(["a", "list"]));
    let mut mixed = two;
    *mixed.at("events") = Tree::List(vec![known.clone(), unknown, known]);
    vec![
        vec![commit(1, stream(1), 0), commit(2, organisation(), 0)],
        vec![
            commit(3, stream(1), 1).with("cause.kind", "automation".into()),
            commit(4, stream(1), 3).with("actor", serde_json::json!({ "robot": { "id": 7, "name": "R2" } })),
            with_event(commit(5, stream(1), 4), "Merged", serde_json::json!({ "into": 17 })),
            commit(6, macros(), 0).with("actor", "scheduler".into()),
        ],
        vec![
            with_event(commit(7, stream(3), 0), "TicketOpened", opened),
            with_event(commit(8, stream(2), 0), "MessageReceived", sealed),
            with_event(commit(9, StreamId::Access, 0), "TokenIssued", issued),
        ],
        vec![
            commit(10, organisation(), 2)
                .with("signature", serde_json::json!({ "by": "key", "of": [1, 2, 3] }))
                .with("events.0.origin", "elsewhere".into())
                .with("events.0.data.colour", "red".into()),
            // The payload stands before the type.
            commit(11, stream(1), 5).with(
                "events",
                serde_json::json!([{ "data": { "tag": "x" }, "type": "TagAdded", "version": 2, "at": 1 }]),
            ),
            mixed,
        ],
    ]
}

fn write_novelties(blocks: &[Vec<Tree>]) -> Vec<u8> {
    journal(blocks, |_, block| block.with("note", serde_json::json!({ "of": "a newer program" })))
}

fn named(event: &Event) -> String {
    match event {
        Event::Unknown { type_name, version } => format!("{type_name}@{version}?"),
        Event::Ticket(_) | Event::Customer(_) | Event::Desk(_) | Event::Access(_) | Event::Request(_) => {
            event.type_name().to_owned()
        }
    }
}

fn counts(names: &[(&str, u64)]) -> BTreeMap<String, u64> {
    names.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn what_is_unknown() -> Unknown {
    Unknown {
        events: counts(&[("MessageReceived@1", 1), ("Merged@1", 1), ("TagAdded@1", 1), ("TagAdded@2", 1)])
            .into_iter()
            .chain(counts(&[("TicketOpened@1", 1), ("TokenIssued@1", 1)]))
            .collect(),
        streams: counts(&[("macros", 1), ("organisation", 2)]),
        actors: counts(&[("robot", 1), ("scheduler", 1)]),
        causes: counts(&[("automation", 1)]),
    }
}

/// Everything can be read in every way, and says what it is.
fn is_read(log: &dyn EventLog) -> Vec<std::sync::Arc<Commit>> {
    let all = log.read_all(Position::START, 12).unwrap();
    let names: Vec<Vec<String>> =
        all.iter().map(|commit| commit.events.iter().map(|dated| named(&dated.event)).collect()).collect();
    let tag = || vec!["TagAdded".to_owned()];
    let one = |name: &str| vec![name.to_owned()];
    let mixed = vec!["TagAdded".to_owned(), "TagAdded@1?".to_owned(), "TagAdded".to_owned()];
    let expected = vec![
        tag(),
        tag(),
        tag(),
        tag(),
        one("Merged@1?"),
        tag(),
        one("TicketOpened@1?"),
        one("MessageReceived@1?"),
        one("TokenIssued@1?"),
        tag(),
        one("TagAdded@2?"),
        mixed,
    ];
    assert_eq!(names, expected);
    assert_eq!(all[3].actor, Actor::Unknown("robot".into()));
    assert_eq!(all[5].actor, Actor::Unknown("scheduler".into()));
    assert!(matches!(&all[2].cause.kind, CauseKind::Unknown(kind) if kind.as_str() == "automation"));
    for commit in &all {
        assert_eq!(log.find(commit.id).unwrap(), Some(commit.position));
    }
    for (of, positions) in [
        (organisation(), vec![2, 10]),
        (macros(), vec![6]),
        (stream(1), vec![1, 3, 4, 5, 11]),
        (stream(2), vec![8, 12]),
        (stream(3), vec![7]),
        (StreamId::Access, vec![9]),
        (StreamId::Requests, vec![]),
        ("organisation:01BX5ZZKBKACTAV9WEVGEMMVRZ".parse().unwrap(), vec![]),
    ] {
        let commits = log.read_stream(of, Position::START).unwrap();
        let read: Vec<u64> = commits.iter().map(|commit| commit.position.get()).collect();
        assert_eq!(read, positions, "{of}");
        assert!(commits.iter().all(|commit| all.contains(commit)));
    }
    let scanned: Vec<_> = log.scan(Position::START).unwrap().take(12).map(Result::unwrap).collect();
    assert_eq!(scanned, all);
    all
}

#[test]
fn what_a_newer_program_wrote_is_read_past_in_every_state_of_the_log() {
    let dir = directory(&write_novelties(&novelties()));
    let dir = dir.path();
    let report = verified(dir);
    assert!(report.ok(), "{report:?}");
    assert_eq!((&report.unknown, report.unknown_events, report.commits), (&what_is_unknown(), 6, 12));
    // After an unclean stop, then after a clean one.
    let log = open(dir).unwrap();
    assert!(log.report().database_rebuilt);
    let all = is_read(&log);
    drop(log);
    let log = open(dir).unwrap();
    assert!(!log.report().database_rebuilt);
    assert_eq!(is_read(&log), all);
    assert_eq!(verified(dir).unknown, what_is_unknown());
    // What is not known is not written, and what is known goes on.
    for refused in [
        Append { stream: organisation(), ..append(100, stream(9), Expected::Any) },
        Append { actor: all[3].actor.clone(), ..append(100, stream(9), Expected::Any) },
        Append { cause: all[2].cause.clone(), ..append(100, stream(9), Expected::Any) },
        Append { events: all[6].events.clone(), ..append(100, stream(9), Expected::Any) },
    ] {
        assert!(matches!(log.append_all(vec![refused]).pop(), Some(Err(AppendError::Unknown { .. }))));
    }
    // The volume is full: it is sealed, and so are those after it.
    for n in 101..130 {
        log.append_all(vec![append(n, stream(1), Expected::Any)]).pop().unwrap().unwrap();
    }
    assert_eq!(is_read_again(&log), all);
    drop(log);
    let log = open(dir).unwrap();
    assert!(log.report().volumes > 2, "{:?}", log.report());
    assert_eq!(is_read_again(&log), all);
    drop(log);
    let report = verified(dir);
    assert!(report.ok() && report.databases == report.volumes, "{report:?}");
    assert_eq!(report.unknown, what_is_unknown());
    let before = everything(&data(dir).log());
    let report = repaired(&data(dir));
    assert_eq!((report.mended, report.remaining), (vec![], vec![]));
    assert_eq!(everything(&data(dir).log()), before);
    // A backup has it, and what is restored from it.
    let kept = dir.join("backup");
    backup(&data(dir), &kept, Timestamp::from_millis(0), None, |_| {}).unwrap();
    let kept = Backup::open(&kept).unwrap();
    kept.verify(None, |_| {}).unwrap();
    let restored = kept.restore(&dir.join("restored"), |_| {}).unwrap().data;
    assert!(verify(&restored, &VerifyOptions::default(), |_| {}).unwrap().ok());
    assert_eq!(is_read_again(&SledLog::open(restored, TINY).unwrap()), all);
}

/// The same once more is behind it.
fn is_read_again(log: &SledLog) -> Vec<std::sync::Arc<Commit>> {
    let commits = log.read_stream(stream(1), Position::new(12)).unwrap();
    assert_eq!(commits.len(), 29);
    let all = log.read_all(Position::START, 12).unwrap();
    for of in [organisation(), macros(), stream(2), stream(3), StreamId::Access] {
        let read = log.read_stream(of, Position::START).unwrap();
        assert!(!read.is_empty() && read.iter().all(|commit| commit.stream == of && all.contains(commit)));
    }
    for commit in &all {
        assert_eq!(log.find(commit.id).unwrap(), Some(commit.position));
    }
    assert_eq!(log.scan(Position::START).unwrap().map(Result::unwrap).count(), 41);
    all
}

#[test]
fn a_stream_of_any_kind_has_the_same_key_in_every_version() {
    let key = |text: &str| hex::encode(crate::database::stream_key(&text.parse().unwrap()));
    let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let ulid = hex::encode(Ulid::from_string(id).unwrap().to_bytes());
    assert_eq!(key("desk"), format!("01{}", "00".repeat(16)));
    assert_eq!(key("access"), format!("02{}", "00".repeat(16)));
    assert_eq!(key(&format!("ticket:{id}")), format!("03{ulid}"));
    assert_eq!(key(&format!("customer:{id}")), format!("04{ulid}"));
    assert_eq!(key("requests"), format!("05{}", "00".repeat(16)));
    // A program that knows these kinds has to find what this one filed: 255, and SHA-256 of the name.
    assert_eq!(key("macros"), "ff59c62df130d2da3fd7a278ef96d42228");
    assert_eq!(key(&format!("organisation:{id}")), "ff05a68fd1471cb3f4e26d5026fb18fd02");
}

/// Told by name by everybody, and left as it is by everybody.
fn is_newer(dir: &TempDir, at: u64, words: &str) {
    let path = dir.path();
    let before = everything(&data(path).log());
    let told = |error: &ReadError| {
        let text = error.to_string();
        assert!(error.is_newer() && text.contains(words) && !text.contains("damaged"), "{text}");
        if let ReadError::Newer { volume, position, .. } = error {
            assert_eq!((*volume, position.get()), (1, at), "{text}");
        }
    };
    told(&open(path).map(drop).unwrap_err());
    let scan = LogScan::new(&data(path), Position::START).and_then(|mut scan| scan.try_for_each(|c| c.map(drop)));
    told(&scan.unwrap_err());
    let report = verified(path);
    assert!(!report.ok() && !report.damaged(), "{report:?}");
    assert!(report.findings.iter().all(|finding| finding.remedy == Remedy::NewerDocket), "{report:?}");
    let report = repaired(&data(path));
    assert_eq!((report.mended, report.kept, report.remaining.len()), (vec![], None, 1));
    assert_eq!(report.remaining[0].remedy, Remedy::NewerDocket);
    assert!(report.remaining[0].problem.contains(words), "{:?}", report.remaining);
    let sled = |path: &Path| path.components().any(|part| part.as_os_str() == "sled");
    let after = everything(&data(path).log());
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)), "something was changed");
    assert!(after.keys().all(|path| before.contains_key(path) || sled(path)), "something was added");
}

/// Two commits that everybody can read and one that was changed.
fn last_changed(change: impl Fn(Tree) -> Tree) -> TempDir {
    let blocks = [vec![commit(1, stream(1), 0)], vec![commit(2, stream(2), 0), change(commit(3, stream(1), 1))]];
    directory(&journal(&blocks, |_, block| block))
}

#[test]
fn a_commit_of_a_new_form_is_told_by_name_and_left_alone() {
    let changes: [(&str, serde_json::Value); 8] = [
        ("id", serde_json::json!({ "uuid": "x" })),
        ("stream", "Organisation/7".into()),
        ("stream", serde_json::json!(["ticket", 7])),
        ("recorded_at", "2030-01-01T00:00:00Z".into()),
        ("cause", serde_json::json!({ "why": "because" })),
        ("actor", serde_json::json!(["robot"])),
        ("events.0.at", serde_json::json!({ "tai": 7 })),
        ("events.0.version", 70_000.into()),
    ];
    for (path, value) in changes {
        let dir = last_changed(|commit| commit.with(path, value.clone()));
        is_newer(&dir, 3, "was written by a newer docket (a commit of an unknown form");
        // What stands before it is read, and nothing is copied that cannot be vouched for.
        let readable = LogScan::new(&data(dir.path()), Position::START).unwrap().map_while(Result::ok).count();
        assert_eq!(readable, 1);
        let backed = backup(&data(dir.path()), &dir.path().join("backup"), Timestamp::from_millis(0), None, |_| {});
        assert!(matches!(backed, Err(BackupError::Log(ReadError::Newer { .. }))), "{backed:?}");
    }
}

#[test]
fn a_block_a_header_a_mark_and_a_seal_of_new_forms_are_told_by_name_and_left_alone() {
    let blocks = [vec![commit(1, stream(1), 0)], vec![commit(2, stream(2), 0)]];
    let changed = |path: &'static str, value: serde_json::Value| {
        directory(&journal(
            &blocks,
            move |number, block| {
                if number == 1 { block.with(path, value.clone()) } else { block }
            },
        ))
    };
    is_newer(&changed("commits", serde_json::json!({ "packed": 1 })), 2, "a block of an unknown form");
    is_newer(&changed("previous_block", serde_json::json!({ "blake3": 1 })), 2, "a block of an unknown form");
    is_newer(&changed("format", 3.into()), 2, "has format 3, this program reads up to 2: use a newer docket");
    // A newer format is one before anything else about it is looked at.
    let other = Tree::json(serde_json::json!({ "format": 9, "batch": [1, 2] })).bytes();
    let mut bytes = journal(&blocks, |_, block| block);
    bytes.extend_from_slice(&frame(&other));
    is_newer(&directory(&bytes), 3, "has format 9");
    // Behind a frame that is not whole it is no interrupted write of ours.
    let torn = bytes.len() - frame(&other).len() - 3;
    bytes[torn] ^= 1;
    is_newer(&directory(&bytes), 3, "has format 9");
    let header = Tree::json(serde_json::json!({ "format": 4, "log": { "uuid": 7 } })).bytes();
    is_newer(&directory(&frame(&header)), 0, "has format 4");
    let header = Tree::json(serde_json::json!({ "format": 1, "log": { "uuid": 7 } })).bytes();
    is_newer(&directory(&frame(&header)), 0, "a journal's header of an unknown form");
    let dir = directory(&journal(&blocks, |_, block| block));
    let volume = VolumePath::new(&data(dir.path()).log(), 1);
    drop(open(dir.path()).unwrap());
    fs::write(volume.clean(), frame(&Tree::json(serde_json::json!({ "at": 2 })).bytes())).unwrap();
    is_newer(&dir, 0, "a mark of a clean stop of an unknown form");
    fs::write(volume.clean(), "a damaged one").unwrap();
    let log = open(dir.path()).unwrap();
    for n in 3..40 {
        log.append_all(vec![append(n, stream(n), Expected::Any)]).pop().unwrap().unwrap();
    }
    drop(log);
    for (seal, words) in [
        (serde_json::json!({ "format": 2, "new": true }), "a seal of an unknown form"),
        (serde_json::json!({ "format": 7 }), "has format 7"),
    ] {
        fs::write(volume.seal(), frame(&Tree::json(seal).bytes())).unwrap();
        is_newer(&dir, 0, words);
    }
}

#[test]
fn what_only_a_newer_program_can_read_is_not_mended_around() {
    // The first block is damaged, the second is a newer program's: only that one can mend the first.
    let blocks = [vec![commit(1, stream(1), 0)], vec![commit(2, stream(2), 0).with("id", 7.into())]];
    let mut bytes = journal(&blocks, |_, block| block);
    let dir = directory(&bytes);
    let middle = bytes.len() / 2;
    let first = sound_frames(&bytes).nth(1).unwrap().as_ptr() as usize - bytes.as_ptr() as usize;
    assert!(first < middle);
    bytes[first + 40] ^= 1;
    let journal = VolumePath::new(&data(dir.path()).log(), 1).journal();
    fs::write(&journal, &bytes).unwrap();
    let report = repaired(&data(dir.path()));
    assert_eq!((report.mended.len(), report.remaining[0].remedy), (0, Remedy::NewerDocket), "{report:?}");
    assert_eq!(fs::read(&journal).unwrap(), bytes);
}

#[test]
fn a_backup_of_a_newer_program_is_told_by_name_and_not_restored() {
    let dir = directory(&journal(&[vec![commit(1, stream(1), 0)]], |_, block| block));
    drop(open(dir.path()).unwrap());
    let kept = dir.path().join("backup");
    backup(&data(dir.path()), &kept, Timestamp::from_millis(0), None, |_| {}).unwrap();
    let newer = journal(&[vec![commit(1, stream(1), 0).with("id", 7.into())]], |_, block| block);
    fs::write(kept.join("log/00000001/journal"), newer).unwrap();
    let kept = Backup::open(&kept).unwrap();
    let target = dir.path().join("restored");
    for error in [kept.verify(None, |_| {}).unwrap_err(), kept.restore(&target, |_| {}).map(drop).unwrap_err()] {
        assert!(matches!(&error, BackupError::Newer { source, .. } if source.is_newer()), "{error}");
    }
    assert!(!target.exists());
}

#[test]
fn what_no_program_writes_is_damage_whatever_its_checksum_says() {
    let genesis = BlockHash::genesis(&LOG.to_string());
    let sound = block(vec![commit(1, stream(1), 0), commit(2, stream(1), 1)], genesis);
    let damaged = [
        sound.clone().with("count", 3.into()),
        sound.clone().with("first", 0.into()),
        sound.clone().with("commits", serde_json::json!([])),
        sound.clone().with("commits.1.position", 7.into()),
        sound.clone().with("commits.1.position", 7.into()).with("commits.1.id", 7.into()),
        sound.clone().with("commits.1.events", serde_json::json!([])),
        sound.clone().with("count", 3.into()).with("commits.0.events.0.data", 7.into()),
    ];
    for tree in &damaged {
        let bytes = tree.bytes();
        assert!(matches!(Block::decode(&bytes), Err(Unreadable::Damaged(_))), "{:?}", Block::decode(&bytes));
        fuzz::block(&bytes);
    }
    let whole = sound.bytes();
    for end in 0..whole.len() {
        assert!(matches!(Block::decode(&whole[..end]), Err(Unreadable::Damaged(_))), "cut at {end}");
    }
    let behind_another = block(vec![commit(2, stream(1), 1).with("id", 7.into())], genesis).bytes();
    let mut bytes = journal(&[vec![commit(1, stream(1), 0)]], |_, block| block);
    bytes.extend_from_slice(&frame(&behind_another));
    let dir = directory(&bytes);
    assert!(matches!(open(dir.path()).map(drop), Err(ReadError::Corrupt { .. })), "the chain is not its own");
}

#[test]
fn a_flipped_bit_in_what_a_newer_program_wrote_is_damage() {
    let whole = write_novelties(&novelties());
    let dir = directory(&whole);
    drop(open(dir.path()).unwrap());
    let journal = VolumePath::new(&data(dir.path()).log(), 1).journal();
    for bit in (0..whole.len() * 8).step_by(37) {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&journal, &bytes).unwrap();
        let scan =
            LogScan::new(&data(dir.path()), Position::START).and_then(|mut scan| scan.try_for_each(|c| c.map(drop)));
        assert!(matches!(scan, Err(ReadError::Corrupt { .. })), "bit {bit}: {scan:?}");
    }
}

/// A block with one event of every type, in commits of two.
fn every_event() -> Tree {
    let events: Vec<Tree> = include_str!("../tests/golden/events.txt")
        .lines()
        .map(|line| rmp_serde::from_slice(&hex::decode(line.split_once(' ').unwrap().0).unwrap()).unwrap())
        .collect();
    let commits = (1..).zip(events.chunks(2)).map(|(n, events)| {
        let mut commit = commit(n, stream(n), 0);
        *commit.at("events") = Tree::List(events.to_vec());
        match n % 4 {
            0 => commit.with("token", CommitId::derived(Timestamp::from_millis(0), &["t"]).to_string().into()),
            1 => commit.with("request", "0123456789abcdef0123456789abcdef".into()),
            2 => commit.with("actor", serde_json::json!({ "agent": "ann" })),
            _ => commit.with("cause.event", serde_json::json!({ "position": 1, "index": 0 })),
        }
    });
    block(commits.collect(), BlockHash::genesis("x"))
}

fn novelty() -> impl Strategy<Value = Tree> {
    prop_oneof![
        4 => "[a-z_]{1,16}".prop_map(Tree::Text),
        2 => "[A-Z][A-Za-z]{1,20}".prop_map(Tree::Text),
        1 => ".{0,12}".prop_map(Tree::Text),
        1 => any::<u64>().prop_map(Tree::Uint),
        1 => Just(Tree::Nil),
        1 => Just(Tree::Map(vec![(Tree::Text("new".into()), Tree::List(vec![Tree::Bool(true), Tree::Int(-1)]))])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn names_that_are_not_known_are_never_damage_and_never_a_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), novelty()), 1..6),
    ) {
        let mut tree = every_event();
        let mut texts = Vec::new();
        tree.texts(&mut texts);
        for (place, new) in changes {
            // A place is changed once.
            let place = place.index(texts.len());
            *texts.swap_remove(place) = new;
        }
        let bytes = tree.bytes();
        fuzz::block(&bytes);
        match Block::decode(&bytes) {
            Ok(block) => prop_assert!(!block.commits.is_empty()),
            Err(why) => prop_assert!(why.is_newer(), "{:?}", why),
        }
    }

    #[test]
    fn an_event_that_is_not_understood_takes_no_other_with_it(
        place in any::<prop::sample::Index>(),
        new in novelty(),
    ) {
        let whole = Block::decode(&every_event().bytes()).unwrap();
        let mut tree = every_event();
        let at = place.index(whole.commits.len());
        *tree.at(&format!("commits.{at}.events.0.data")) = new;
        let block = Block::decode(&tree.bytes()).unwrap();
        for (number, (read, wanted)) in block.commits.iter().zip(&whole.commits).enumerate() {
            if number == at {
                let (one, other) = (&read.events[0], &wanted.events[0]);
                let unknown =
                    Event::Unknown { type_name: other.event.type_name().to_owned(), version: other.event.version() };
                prop_assert_eq!(&one.event, &unknown);
                prop_assert_eq!((one.occurred_at, read.id, &read.actor), (other.occurred_at, wanted.id, &wanted.actor));
                prop_assert_eq!(&read.events[1..], &wanted.events[1..]);
            } else {
                prop_assert_eq!(read, wanted);
            }
        }
    }
}

#[test]
fn every_event_of_the_golden_bytes_is_understood() {
    let block = Block::decode(&every_event().bytes()).unwrap();
    let events = block.commits.iter().flat_map(|commit| &commit.events);
    assert!(events.clone().all(|dated| !matches!(dated.event, Event::Unknown { .. })));
    assert!(events.clone().any(|dated| matches!(dated.event, Event::Ticket(TicketEvent::SlaApplied(_)))));
}
