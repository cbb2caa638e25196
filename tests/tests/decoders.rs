//! Whatever bytes a disk gives back, the decoders come back too. `fuzz/` holds the same targets for a coverage-guided fuzzer;
//! here they are fed with real bytes that were changed at random.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

use docket_core::ids::Position;
use docket_store::{
    DataDir, EventLog, Expected, LogScan, SledLog, SledLogOptions,
    contract::{append, stream},
    fuzz,
};
use docket_tests::{figure, rounds, seed};
use fastrand::Rng;
use ulid::Ulid;

/// Real bytes: a journal, the golden blocks, and events.
fn corpus() -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(&dir.path().join("data"), Ulid::from_parts(1, 1)).unwrap();
    let log = SledLog::open(data.clone(), SledLogOptions { reserve_bytes: 0, ..SledLogOptions::default() }).unwrap();
    for n in 0..12 {
        log.append_all((0..5).map(|m| append(n * 5 + m, stream(m), Expected::Any)).collect());
    }
    let mut corpus: Vec<Vec<u8>> = Vec::new();
    for commit in LogScan::new(&data, Position::START).unwrap() {
        corpus.extend(commit.unwrap().events.iter().map(|event| rmp_serde::to_vec_named(event).unwrap()));
    }
    log.close();
    let journal = std::fs::read(data.log().join("00000001/journal")).unwrap();
    corpus.push(journal[..2_000].to_vec());
    corpus.push(journal);
    for golden in ["block-1.hex", "block-2.hex"] {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../store/tests/golden/");
        let text = std::fs::read_to_string(format!("{path}{golden}")).unwrap();
        let bytes = text.trim().as_bytes().chunks(2);
        corpus.push(bytes.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect());
    }
    corpus
}

fn change(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    let at = |rng: &mut Rng, length: usize| rng.usize(0..=length);
    match rng.u8(0..7) {
        0 if !bytes.is_empty() => {
            let at = rng.usize(..bytes.len());
            bytes[at] ^= 1 << rng.u8(..8);
        }
        1 if !bytes.is_empty() => {
            let at = rng.usize(..bytes.len());
            // Lengths and types of MessagePack at their ends.
            bytes[at] = *rng.choice(&[0x00, 0x7f, 0x80, 0xc0, 0xc4, 0xc6, 0xca, 0xd9, 0xdb, 0xdd, 0xdf, 0xff]).unwrap();
        }
        2 => bytes.truncate(at(rng, bytes.len())),
        3 => {
            let at = at(rng, bytes.len());
            bytes.insert(at, rng.u8(..));
        }
        4 if !bytes.is_empty() => _ = bytes.remove(rng.usize(..bytes.len())),
        5 => {
            let (from, to) = (at(rng, bytes.len()), at(rng, other.len()));
            bytes.truncate(from);
            bytes.extend_from_slice(&other[to..]);
        }
        _ => bytes.extend((0..rng.usize(..40)).map(|_| rng.u8(..))),
    }
}

#[test]
fn no_bytes_make_the_decoders_panic() {
    let (seed, inputs) = (seed(), rounds(30_000, 2_000_000));
    let mut rng = Rng::with_seed(seed);
    let corpus = corpus();
    for bytes in &corpus {
        fuzz::frames(bytes);
        fuzz::block(bytes);
        fuzz::event(bytes);
    }
    for _ in 0..inputs {
        let mut bytes = rng.choice(&corpus).unwrap().clone();
        let other = rng.choice(&corpus).unwrap();
        for _ in 0..rng.usize(1..4) {
            change(&mut bytes, other, &mut rng);
        }
        fuzz::frames(&bytes);
        fuzz::block(&bytes);
        fuzz::event(&bytes);
    }
    figure(format!("seed {seed}: {inputs} changed inputs, no decoder panicked"));
}
