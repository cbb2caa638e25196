//! Logs whose checksums and chain are right, and whose commits name the wrong ones before them or have an id twice.

use std::fs;

use docket_core::ids::{Position, StreamId};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::{
    EventLog, Finding, Part, ReadError, Remedy, VerifyOptions, VerifyState,
    codec::BlockHash,
    contract::stream,
    future_tests::{LOG, Tree, block, commit, data, open, repaired, verified},
    journal::{JOURNAL_FORMAT, JournalHeader, frame},
    verify, verify_from,
    volume::VolumePath,
};

/// The journals of these volumes, block by block, with right checksums and a right chain across them; as killed processes
/// leave them.
fn directory(volumes: &[Vec<Vec<Tree>>]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut previous = BlockHash::genesis(&LOG.to_string());
    let mut first = Position::new(1);
    for (blocks, number) in volumes.iter().zip(1..) {
        let path = VolumePath::new(&data(dir.path()).log(), number);
        fs::create_dir_all(&path.dir).unwrap();
        let (format, log) = (JOURNAL_FORMAT, LOG.to_string());
        let header = JournalHeader { format, log, volume: number, first, previous_block: previous };
        let mut bytes = frame(&rmp_serde::to_vec_named(&header).unwrap());
        for commits in blocks {
            first = Position::new(first.get() + commits.len() as u64);
            let payload = block(commits.clone(), previous).bytes();
            previous = BlockHash::of(&payload);
            bytes.extend_from_slice(&frame(&payload));
        }
        fs::write(path.journal(), bytes).unwrap();
    }
    dir
}

/// The same, opened and closed once: databases, seals and the mark of a clean stop are there.
fn closed(volumes: &[Vec<Vec<Tree>>]) -> TempDir {
    let dir = directory(volumes);
    drop(open(dir.path()).unwrap());
    dir
}

/// Two volumes: streams 1 and 2 by turns in the first, 1 and 3 in the second.
fn sound() -> Vec<Vec<Vec<Tree>>> {
    vec![
        vec![
            vec![commit(1, stream(1), 0), commit(2, stream(2), 0)],
            vec![commit(3, stream(1), 1), commit(4, stream(2), 2), commit(5, stream(1), 3)],
        ],
        vec![vec![commit(6, stream(3), 0)], vec![commit(7, stream(1), 5), commit(8, stream(3), 6)]],
    ]
}

/// The sound volumes, of which the commit at this position was changed.
fn changed(position: u64, change: impl FnOnce(&mut Tree)) -> Vec<Vec<Vec<Tree>>> {
    let mut volumes = sound();
    let commits = volumes.iter_mut().flatten().flatten();
    change(commits.into_iter().nth(position as usize - 1).unwrap());
    volumes
}

fn linked(position: u64, previous: u64) -> Vec<Vec<Vec<Tree>>> {
    changed(position, |commit| *commit.at("previous") = Tree::Uint(previous))
}

fn one(findings: &[Finding]) -> &Finding {
    assert_eq!(findings.len(), 1, "{findings:?}");
    &findings[0]
}

#[test]
fn every_wrong_link_of_a_stream_is_named_with_its_place_and_what_belongs_there() {
    assert!(verified(closed(&sound()).path()).ok());
    for (position, previous, volume, words) in [
        (3, 3, 1, "names itself as the one before it in its stream, and that is position 1"),
        (3, 4, 1, "names position 4, which comes after it, as the one before it in its stream, and that is position 1"),
        (5, 2, 1, "names position 2 as the one before it in its stream, and that is position 3"),
        (5, 1, 1, "names position 1 as the one before it in its stream, and that is position 3"),
        (4, 0, 1, "names none as the one before it in its stream, and that is position 2"),
        (2, 1, 1, "names position 1 as the one before it in its stream, and there is none"),
        (1, 1, 1, "names itself as the one before it in its stream, and there is none"),
        (7, 3, 2, "names position 3 as the one before it in its stream, and that is position 5"),
        (7, 0, 2, "names none as the one before it in its stream, and that is position 5"),
        (8, u64::MAX, 2, "names position 18446744073709551615, which comes after it, as the one before"),
    ] {
        let volumes = linked(position, previous);
        // As it was written, and when databases and seals were made of it.
        for dir in [directory(&volumes), closed(&volumes)] {
            let report = verified(dir.path());
            let found = one(&report.findings);
            assert!(!report.ok() && report.damaged());
            assert_eq!((found.part, found.remedy), (Part::Journal, Remedy::Restore), "{found:?}");
            assert_eq!((found.volume, found.position), (Some(volume), Some(Position::new(position))));
            let place = format!("volume {volume} is damaged at position {position}: the commit of ticket:");
            assert!(found.problem.starts_with(&place) && found.problem.contains(words), "{}", found.problem);
            // Everything else was looked at all the same.
            assert_eq!((report.commits, report.head_position), (8, Position::new(8)));
        }
    }
}

#[test]
fn two_commits_of_one_id_are_named_with_both_places() {
    for (position, like, volume, words) in [
        (4, 2, 1, "which is that of the commit at position 2 in volume 1 already"),
        (8, 3, 2, "which is that of the commit at position 3 in volume 1 already"),
    ] {
        let mut other = sound().into_iter().flatten().flatten().nth(like - 1).unwrap();
        let id = other.at("id").clone();
        let dir = closed(&changed(position, |commit| *commit.at("id") = id));
        let report = verified(dir.path());
        let found = one(&report.findings);
        assert_eq!((found.volume, found.position), (Some(volume), Some(Position::new(position))));
        assert_eq!(found.remedy, Remedy::Restore);
        let place = format!("volume {volume} is damaged at position {position}: the commit has the id ");
        assert!(found.problem.starts_with(&place) && found.problem.contains(words), "{}", found.problem);
    }
}

#[test]
fn a_log_that_was_written_wrong_is_not_called_mended() {
    for dir in [closed(&linked(3, 3)), directory(&linked(7, 3))] {
        let before = fs::read(VolumePath::new(&data(dir.path()).log(), 1).journal()).unwrap();
        let report = repaired(&data(dir.path()));
        assert_eq!(one(&report.remaining).remedy, Remedy::Restore, "{report:?}");
        assert_eq!(fs::read(VolumePath::new(&data(dir.path()).log(), 1).journal()).unwrap(), before);
    }
    assert!(repaired(&data(closed(&sound()).path())).remaining.is_empty());
}

#[test]
fn a_verification_that_goes_on_later_holds_commits_against_the_volumes_that_are_done() {
    let part = |dir: &TempDir, state: Option<VerifyState>, enough: bool| {
        let mut kept = None;
        let (report, whole) = verify_from(
            &data(dir.path()),
            &VerifyOptions::default(),
            state,
            |_| {},
            |state| {
                kept = Some(state.clone());
                !enough
            },
        )
        .unwrap();
        (report, whole, kept)
    };
    let mut twice = sound().into_iter().flatten().flatten().nth(1).unwrap();
    let id = twice.at("id").clone();
    for (volumes, wrong) in
        [(sound(), None), (linked(7, 3), Some(7)), (changed(8, |commit| *commit.at("id") = id), Some(8))]
    {
        let dir = closed(&volumes);
        let (first, whole, state) = part(&dir, None, true);
        assert!(first.ok() && !whole);
        let state = state.unwrap();
        assert_eq!(state.volumes, 1);
        let (rest, whole, _) = part(&dir, Some(state), false);
        assert!(whole);
        let found: Vec<_> = rest.findings.iter().map(|found| found.position.unwrap().get()).collect();
        assert_eq!(found, wrong.into_iter().collect::<Vec<_>>(), "{rest:?}");
    }
}

#[test]
fn what_stands_in_a_volume_that_cannot_be_read_makes_no_later_commit_wrong() {
    let dir = closed(&sound());
    let path = VolumePath::new(&data(dir.path()).log(), 1);
    let mut bytes = fs::read(path.journal()).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    fs::write(path.journal(), bytes).unwrap();
    let report = verify(&data(dir.path()), &VerifyOptions::default(), |_| {}).unwrap();
    assert_eq!(one(&report.findings).remedy, Remedy::Repair, "{report:?}");
    // That the second volume names something that it cannot name is still seen.
    let dir = closed(&linked(8, 3));
    let path = VolumePath::new(&data(dir.path()).log(), 1);
    let mut bytes = fs::read(path.journal()).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    fs::write(path.journal(), bytes).unwrap();
    let report = verify(&data(dir.path()), &VerifyOptions::default(), |_| {}).unwrap();
    let remedies: Vec<_> = report.findings.iter().map(|found| found.remedy).collect();
    assert_eq!(remedies, [Remedy::Repair, Remedy::Restore], "{report:?}");
}

#[test]
fn a_thousand_wrong_links_are_counted_and_twenty_of_them_told() {
    let commits = (1..=1_000).map(|n| commit(n, stream(1), u64::from(n))).collect();
    let report = verified(directory(&[vec![commits]]).path());
    assert_eq!(report.findings.len(), 21);
    let last = &report.findings[20].problem;
    assert!(last.contains("980 further commits"), "{last}");
}

#[test]
fn whoever_reads_along_a_wrong_link_is_told_the_volume_and_the_position() {
    let dir = closed(&linked(7, 7));
    let log = open(dir.path()).unwrap();
    let error = log.read_stream(stream(1), Position::START).unwrap_err();
    assert!(matches!(error, ReadError::Corrupt { volume: 2, position, .. } if position.get() == 7), "{error}");
    assert!(error.to_string().contains("names 7 as the one before it"), "{error}");
    let dir = closed(&linked(7, 4));
    let log = open(dir.path()).unwrap();
    let error = log.read_stream(stream(1), Position::START).unwrap_err().to_string();
    assert!(error.starts_with("volume 1 is damaged at position 4: ticket:"), "{error}");
}

#[test]
fn an_error_never_speaks_of_a_volume_or_a_position_that_cannot_be() {
    let error = |volume, position| {
        let (position, reason) = (Position::new(position), "why".to_owned());
        ReadError::Corrupt { volume, position, reason }.to_string()
    };
    assert_eq!(error(3, 10), "volume 3 is damaged at position 10: why");
    assert_eq!(error(3, 0), "volume 3 is damaged: why");
    assert_eq!(error(0, 10), "the log is damaged at position 10: why");
    let newer = ReadError::Newer { volume: 1, position: Position::START, what: "a seal".into() };
    assert_eq!(newer.to_string(), "volume 1 was written by a newer docket (a seal): use that one");
}

#[test]
fn what_a_decoder_repeats_of_stored_bytes_is_cut() {
    let dir = directory(&[vec![vec![commit(1, stream(1), 0).with("recorded_at", serde_json::json!(1.0e300))]]]);
    let told = verified(dir.path()).findings[0].problem.clone();
    assert!(told.contains("floating point") && told.len() < 400, "{told}");
    let dir = directory(&[vec![vec![commit(1, stream(1), 0).with("id", "x".repeat(5_000).into())]]]);
    let told = verified(dir.path()).findings[0].problem.clone();
    assert!(told.len() < 400, "{told}");
}

/// A random log: the stream of each commit, cut into blocks and volumes.
fn log() -> impl Strategy<Value = (Vec<u32>, Vec<usize>)> {
    (prop::collection::vec(0_u32..5, 4..40), prop::collection::vec(1_usize..6, 1..12))
}

fn build(streams: &[u32], cuts: &[usize]) -> Vec<Vec<Vec<Tree>>> {
    let mut latest = std::collections::HashMap::new();
    let commits = streams.iter().zip(1_u32..).map(|(of, n)| {
        let of: StreamId = stream(*of);
        let previous = latest.insert(of, u64::from(n)).unwrap_or(0);
        commit(n, of, previous)
    });
    let mut commits = commits.peekable();
    let (mut volumes, mut cuts) = (Vec::new(), cuts.iter().cycle());
    while commits.peek().is_some() {
        let blocks = (0..*cuts.next().unwrap()).filter_map(|_| {
            let block: Vec<_> = commits.by_ref().take(*cuts.next().unwrap()).collect();
            (!block.is_empty()).then_some(block)
        });
        volumes.push(blocks.collect());
    }
    volumes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_sound_log_has_no_finding_and_one_changed_link_is_the_only_one(
        (streams, cuts) in log(),
        place in any::<prop::sample::Index>(),
        other in 0_u64..50,
    ) {
        let quick = VerifyOptions { databases: false, ..VerifyOptions::default() };
        let mut volumes = build(&streams, &cuts);
        let dir = directory(&volumes);
        let whole = verify(&data(dir.path()), &quick, |_| {}).unwrap();
        prop_assert!(whole.ok(), "{:?}", whole.findings);
        let at = place.index(streams.len());
        let commit = volumes.iter_mut().flatten().flatten().nth(at).unwrap();
        prop_assume!(*commit.at("previous") != Tree::Uint(other) && *commit.at("previous") != Tree::Int(other as i64));
        *commit.at("previous") = Tree::Uint(other);
        let dir = directory(&volumes);
        let report = verify(&data(dir.path()), &quick, |_| {}).unwrap();
        prop_assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
        prop_assert_eq!(report.findings[0].position, Some(Position::new(at as u64 + 1)));
    }
}
