//! A data directory that a newer program wrote to, in the hands of this one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::json;
use sha2::{Digest, Sha256};
use support::Docket;

/// CRC-32C of a frame's length and payload.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 })
    })
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

/// Writes the journal as it would be if some texts in its blocks were others of the same length: with right checksums and a
/// right chain. Gives how many there were.
fn rewrite(docket: &Docket, changes: &[(&str, &str)]) -> usize {
    let path = docket.data().join("log/00000001/journal");
    let bytes = fs::read(&path).unwrap();
    let (mut rest, mut out, mut made) = (&bytes[..], Vec::new(), 0);
    let mut previous: Option<[u8; 32]> = None;
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[4..8].try_into().unwrap()) as usize;
        let mut payload = rest[12..12 + length].to_vec();
        if out.is_empty() {
            // The header.
        } else {
            for (old, new) in changes {
                assert_eq!(old.len(), new.len());
                let mut from = 0;
                while let Some(at) = find(&payload[from..], old.as_bytes()) {
                    payload[from + at..from + at + old.len()].copy_from_slice(new.as_bytes());
                    from += at + old.len();
                    made += 1;
                }
            }
            if let Some(previous) = previous {
                let at = find(&payload, b"previous_block").unwrap() + "previous_block".len() + 2;
                payload[at..at + 32].copy_from_slice(&previous);
            }
            previous = Some(Sha256::digest(&payload).into());
        }
        let framed = [&rest[4..8], &payload[..]].concat();
        out.extend_from_slice(&rest[..8]);
        out.extend_from_slice(&checksum(&framed).to_be_bytes());
        out.extend_from_slice(&payload);
        rest = &rest[12 + length..];
    }
    fs::write(path, out).unwrap();
    // As after a kill: what the last stop noted is of the journal before.
    fs::remove_file(docket.data().join("log/00000001/clean")).unwrap();
    fs::remove_dir_all(docket.data().join("log/00000001/sled")).unwrap();
    made
}

/// A small desk with an administrator's and an agent's token.
fn desk() -> Docket {
    let docket = Docket::new();
    let desk = support::root().join("examples/desks/small-shop.toml");
    docket.ok(&["apply", desk.to_str().unwrap()]);
    docket.token(&["--role", "administrator"]);
    docket
}

/// Every file of the log with its bytes, but those of sled, which a start makes again.
fn everything(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("sled") {
                all.extend(everything(&path));
            }
        } else {
            all.insert(path.to_str().unwrap().to_owned(), fs::read(&path).unwrap());
        }
    }
    all
}

#[tokio::test]
async fn what_is_not_known_is_counted_by_name_and_keeps_nobody_from_working() {
    let docket = desk();
    // An actor and a role that came later.
    let made = rewrite(&docket, &[("administrator", "administratri")]);
    assert!(made > 0);
    let verified = docket.ok_json(&["verify"]);
    assert_eq!((&verified["ok"], &verified["findings"]), (&json!(true), &json!([])));
    let unknown = &verified["unknown"];
    assert_eq!(unknown["actors"]["administratri"], 2, "{unknown}");
    assert_eq!(unknown["events"], json!({ "TokenIssued@1": 1 }));
    assert_eq!(verified["unknown_events"], 1);
    let told = docket.ok(&["verify"]);
    assert!(told.contains("unknown   event TokenIssued@1 (1)") && told.contains("verdict   ok"), "{told}");
    assert!(docket.ok(&["repair"]).contains("Nothing is wrong"));
    let printed = docket.ok(&["replay"]);
    assert!(printed.contains("TokenIssued@1 (unknown)") && printed.contains("unknown kind administratri"), "{printed}");
    let lines = docket.ok(&["replay", "--json"]);
    assert!(lines.contains("\"actor\":\"administratri\"") && lines.contains("\"type\":\"TokenIssued\""), "{lines}");
    let backup = docket.path("backup");
    docket.ok(&["backup", backup.to_str().unwrap()]);
    assert_eq!(docket.ok_json(&["backup", backup.to_str().unwrap(), "--verify"])["ok"], true);
    let server = docket.serve();
    assert_eq!(reqwest::get(server.url("/readyz")).await.unwrap().status(), 200);
    assert_eq!(server.terminate().code(), Some(0));
    assert_eq!(docket.ok_json(&["verify"])["unknown"], *unknown);
}

#[test]
fn what_cannot_be_read_is_told_by_name_and_never_to_be_repaired() {
    let docket = desk();
    assert_eq!(rewrite(&docket, &[("correlation", "corelations")]), 2);
    let before = everything(&docket.data().join("log"));
    let backup = docket.path("backup");
    for args in [
        &["verify"][..],
        &["repair"],
        &["repair", "--dry-run"],
        &["backup", backup.to_str().unwrap()],
        &["replay"],
        &["report"],
        &["rebuild"],
        &["serve", "--listen", "127.0.0.1:0"],
    ] {
        let told = docket.fails(args);
        // Whoever begins at a snapshot meets the second one first.
        assert!(told.contains("volume 1, position "), "{args:?}: {told}");
        assert!(told.contains(" was written by a newer docket (a commit of an unknown form"), "{args:?}: {told}");
        assert!(!told.contains("docket repair") && !told.contains("damage"), "{args:?}: {told}");
    }
    assert_eq!(everything(&docket.data().join("log")), before);
    let output = docket.run(&["verify"]);
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("NEWER     volume 1, position 1") && !printed.contains("DAMAGE"), "{printed}");
    assert!(printed.contains("verdict   WRITTEN BY A NEWER DOCKET"), "{printed}");
    let output = docket.run(&["verify", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&value["ok"], &value["findings"][0]["remedy"]), (&json!(false), &json!("newer_docket")));
}

/// A frame around these bytes.
fn framed(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let sum = checksum(&[&length, payload].concat()).to_be_bytes();
    [&b"DKT\x01"[..], &length, &sum, payload].concat()
}

/// `{"format": 9, "new": true}` in MessagePack.
const NEWER: &[u8] = b"\x82\xa6format\x09\xa3new\xc3";

#[test]
fn no_newer_format_of_anything_is_told_to_be_repaired() {
    let kept = desk();
    kept.ok(&["backup", kept.path("backup").to_str().unwrap()]);
    let cases = [
        ("data/docket.json", br#"{"format": 9, "log": {"id": 7}}"#.to_vec()),
        ("data/docket.json", br#"{"format": 9, "log_id": 7, "check": true}"#.to_vec()),
        ("data/log/00000001/journal", framed(NEWER)),
        ("data/log/00000001/clean", framed(NEWER)),
        ("backup/backup.json", br#"{"format": 9, "of": "everything"}"#.to_vec()),
        ("backup/log/00000001/journal", framed(NEWER)),
    ];
    let (backup, target) = (kept.path("backup"), kept.path("target"));
    for (file, bytes) in cases {
        let path = kept.path(file);
        let before = fs::read(&path).unwrap();
        fs::write(&path, &bytes).unwrap();
        let data = [
            &["verify"][..],
            &["verify", "--quick"],
            &["repair"],
            &["repair", "--dry-run"],
            &["serve", "--listen", "127.0.0.1:0"],
            &["token", "create", "--role", "auditor"],
            &["backup", target.to_str().unwrap()],
        ];
        let backups = [&["backup", backup.to_str().unwrap(), "--verify"][..], &["restore", target.to_str().unwrap()]];
        // The mark of a clean stop says nothing of the journal, which is what a backup copies.
        let (commands, less) = match file.split_once('/').unwrap().0 {
            "data" => (&data[..], usize::from(file.ends_with("clean"))),
            _ => (&backups[..], 1),
        };
        for args in &commands[..commands.len() - less] {
            let told = kept.fails(args);
            assert!(told.contains("newer docket"), "{file} {args:?}: {told}");
            assert!(!told.contains("docket repair") && !told.contains("damage"), "{file} {args:?}: {told}");
            assert_eq!(fs::read(&path).unwrap(), bytes, "{file} {args:?}");
        }
        fs::write(&path, before).unwrap();
        let _ = fs::remove_dir_all(&target);
    }
    // A snapshot of another program is passed over.
    let snapshots = kept.data().join("snapshots");
    let newest = fs::read_dir(&snapshots).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    let mut snapshot = fs::read(&newest).unwrap();
    snapshot[8..24].copy_from_slice(b"ffffffffffffffff");
    fs::write(&newest, snapshot).unwrap();
    assert_eq!(kept.ok_json(&["verify"])["ok"], true);
    kept.token(&["--role", "auditor"]);
}

#[test]
fn a_damaged_marker_that_the_repair_cannot_help_is_not_sent_to_the_repair() {
    let docket = desk();
    fs::write(docket.data().join("docket.json"), "{").unwrap();
    fs::write(docket.data().join("log/00000001/journal"), "nothing").unwrap();
    for args in [&["repair"][..], &["repair", "--dry-run"]] {
        let told = docket.fails(args);
        assert!(told.contains("nothing was touched") && told.contains("docket restore"), "{told}");
        assert!(!told.contains("docket repair"), "{told}");
    }
}
