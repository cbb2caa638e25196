//! The size of volumes, over the real binary.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use std::{fmt::Write, fs};

use serde_json::json;
use support::{Docket, root};

const MIB: u64 = 1024 * 1024;
/// A commit and the blocks of one group at most.
const ABOVE: u64 = MIB / 4;

/// Bytes of the journals, volume by volume.
fn journals(docket: &Docket) -> Vec<u64> {
    let mut volumes: Vec<_> =
        fs::read_dir(docket.data().join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    volumes.sort();
    volumes.iter().map(|volume| fs::metadata(volume.join("journal")).unwrap().len()).collect()
}

#[tokio::test]
async fn a_server_begins_another_volume_at_the_size_that_was_said() {
    let docket = Docket::new();
    docket.ok(&["apply", root().join("examples/desks/small-shop.toml").to_str().unwrap()]);
    let admin = docket.token(&["--role", "administrator"]);
    let server = docket.serve_with(&["--volume-mib", "1"]);
    let open = "mutation ($b: String) { ticketOpen(input: { subject: \"Long\", body: $b }) { userErrors { code } } }";
    // Below the size from which texts are stored on their own.
    for n in 0..150 {
        let answer = server.data(&admin, open, json!({ "b": format!("{n}{}", " text".repeat(3_000)) })).await;
        assert_eq!(answer["ticketOpen"]["userErrors"], json!([]));
    }
    assert_eq!(server.terminate().code(), Some(0));
    let sizes = journals(&docket);
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    assert!(sizes[..2].iter().all(|size| (MIB..MIB + ABOVE).contains(size)) && sizes[2] < MIB, "{sizes:?}");
    let verified = docket.ok_json(&["verify"]);
    assert_eq!((&verified["ok"], &verified["volumes"], &verified["databases"]), (&json!(true), &json!(3), &json!(3)));
    // Without the option the newest one goes on, and the others stay as they are.
    let server = docket.serve();
    for n in 0..80 {
        server.data(&admin, open, json!({ "b": format!("{n}{}", " text".repeat(3_000)) })).await;
    }
    assert_eq!(server.terminate().code(), Some(0));
    let later = journals(&docket);
    assert_eq!((later.len(), &later[..2]), (3, &sizes[..2]));
    assert!(later[2] > MIB + ABOVE, "{later:?}");
}

#[test]
fn an_import_begins_another_volume_at_the_size_that_the_environment_says() {
    let docket = Docket::new();
    let mapping = docket.write(
        "mapping.toml",
        "source = \"x\"\n[time]\nformat = \"%Y-%m-%d %H:%M\"\n[ticket]\nkey = \"id\"\nsubject = \"{title}\"\n[event]\nat = \"at\"\n[status]\ncolumn = \"state\"\nunknown = \"open\"\n[status.values]\nNew = { key = \"new\", category = \"new\" }\n",
    );
    let mut rows = "id,at,state,title\n".to_owned();
    for n in 0..4_000 {
        writeln!(rows, "T{n},2026-01-01 10:00,New,{}", "long ".repeat(40)).unwrap();
    }
    let csv = docket.write("rows.csv", &rows);
    let mut command = docket.command(&["import", "--mapping", mapping.to_str().unwrap(), csv.to_str().unwrap()]);
    let output = command.env("DOCKET_VOLUME_MIB", "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sizes = journals(&docket);
    assert!(sizes.len() >= 2 && sizes[0] >= MIB, "{sizes:?}");
    assert_eq!(docket.ok_json(&["verify"])["ok"], true);
}

#[test]
fn a_size_that_cannot_be_is_refused_with_what_can() {
    let docket = Docket::new();
    for size in ["0", "4097", "-1", "1.5", "much"] {
        for command in [&["serve"][..], &["import", "--mapping", "m.toml", "rows.csv"]] {
            let option = format!("--volume-mib={size}");
            let output = docket.run(&[command, &[&option]].concat());
            assert_eq!(output.status.code(), Some(2));
            let error = String::from_utf8(output.stderr).unwrap();
            assert!(error.contains(size) && error.contains("--volume-mib <MIB>"), "{error}");
        }
    }
    let output = docket.command(&["serve"]).env("DOCKET_VOLUME_MIB", "0").output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("0 is not in 1..=4096"), "{error}");
    assert!(!docket.data().exists());
}
