//! What an operator does: verify, repair, back up, restore; and a server on a disk that fills up.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use std::{fs, path::Path};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::{Docket, Server, root};

const OPEN: &str = "mutation ($s: String!, $b: String) { ticketOpen(input: { subject: $s, body: $b }) { ticket { id } userErrors { code } } }";

/// A shop with an administrator.
fn shop() -> (Docket, String) {
    let docket = Docket::new();
    docket.ok(&["apply", root().join("examples/desks/small-shop.toml").to_str().unwrap()]);
    let admin = docket.token(&["--role", "administrator"]);
    (docket, admin)
}

async fn open_tickets(server: &Server, token: &str, count: usize) {
    for n in 0..count {
        // Every third text is a stored one.
        let body = if n % 3 == 0 { format!("{n} ").repeat(10_000) } else { format!("Please help, {n}") };
        let answer = server.data(token, OPEN, json!({ "s": format!("Ticket {n}"), "b": body })).await;
        assert_eq!(answer["ticketOpen"]["userErrors"], json!([]));
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Every file below a directory with its bytes.
fn everything(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(everything(&path));
        } else {
            all.push((text(&path).to_owned(), fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

#[tokio::test]
async fn a_desk_that_was_backed_up_while_it_served_is_restored_with_the_same_head_and_reports() {
    let (docket, admin) = shop();
    let server = docket.serve();
    let backup = docket.path("backup");
    let back_up = || docket.ok_json(&["backup", text(&backup)]);
    open_tickets(&server, &admin, 9).await;
    let first = back_up();
    assert_eq!((&first["commits"], &first["copied_texts"]), (&json!(11), &json!(3)), "{first}");
    open_tickets(&server, &admin, 4).await;
    let second = back_up();
    assert_eq!(second["commits"], 15);
    // Ticket 0 and 3 have the texts of before; only what is new was copied.
    assert_eq!(second["copied_texts"], 0);
    assert!(second["copied_bytes"].as_u64().unwrap() < first["copied_bytes"].as_u64().unwrap());
    assert_eq!(back_up()["copied_bytes"], 0);
    assert_eq!(docket.ok_json(&["backup", text(&backup), "--verify"])["ok"], true);
    assert_eq!(server.terminate().code(), Some(0));
    let (head, report) =
        (docket.ok_json(&["verify"])["head_hash"].clone(), docket.ok_json(&["report", "--at", "2026-01-01T00:00:00Z"]));
    fs::remove_dir_all(docket.data()).unwrap();
    assert!(docket.ok(&["restore", text(&backup)]).contains("restored to"));
    let verified = docket.ok_json(&["verify"]);
    assert_eq!((&verified["ok"], &verified["head_hash"], &verified["texts"]), (&json!(true), &head, &json!(3)));
    assert_eq!(docket.ok_json(&["report", "--at", "2026-01-01T00:00:00Z"]), report);
    // It goes on, and so does its backup.
    let server = docket.serve();
    open_tickets(&server, &admin, 1).await;
    assert_eq!(back_up()["commits"], 16);
}

#[tokio::test]
async fn whoever_noted_a_later_position_than_a_restored_log_has_is_told_so() {
    let (docket, admin) = shop();
    let server = docket.serve();
    let answer = reqwest::Client::new()
        .post(server.url("/graphql"))
        .bearer_auth(&admin)
        .header("docket-min-position", "5000")
        .json(&json!({ "query": "{ tickets { totalCount } }" }))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
    let answer: Value = answer.json().await.unwrap();
    let message = answer["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("ahead of the log") && message.contains("restored"), "{message}");
}

#[test]
fn backups_and_restores_that_would_harm_something_are_refused_and_nothing_is_touched() {
    let ((docket, _), (other, _)) = (shop(), shop());
    let (backup, full) = (docket.path("backup"), docket.path("full"));
    fs::create_dir(&full).unwrap();
    fs::write(full.join("thesis.txt"), "precious").unwrap();
    docket.ok(&["backup", text(&backup)]);
    let (kept, desk, before) = (everything(&backup), everything(&docket.data()), everything(&full));
    let newer = docket.path("newer");
    fs::create_dir(&newer).unwrap();
    fs::write(newer.join("backup.json"), r#"{"format": 9}"#).unwrap();
    for (docket, args, hint) in [
        (&docket, vec!["backup", text(&full)], "is not empty and is no backup"),
        (&other, vec!["backup", text(&backup)], "is the backup of another desk"),
        (&docket, vec!["backup", text(&newer)], "use a newer docket"),
        (&docket, vec!["backup", text(&full), "--verify"], "is no backup"),
        (&docket, vec!["restore", text(&backup)], "is not empty"),
        (&docket, vec!["restore", text(&full)], "is no backup"),
        (&docket, vec!["restore", text(&docket.path("nowhere"))], "is no backup"),
    ] {
        let error = docket.fails(&args);
        assert!(error.contains(hint), "{args:?}: {error}");
    }
    let inside = docket.data().join("backup");
    assert!(docket.fails(&["backup", text(&inside)]).contains("would be lost with it"));
    assert_eq!((everything(&backup), everything(&docket.data()), everything(&full)), (kept, desk, before));
    // A backup that is cut short anywhere gives nothing.
    let journal = backup.join("log/00000001/journal");
    let whole = fs::read(&journal).unwrap();
    for end in [0, 30, whole.len() / 2, whole.len() - 1] {
        fs::write(&journal, &whole[..end]).unwrap();
        assert!(docket.fails(&["backup", text(&backup), "--verify"]).contains("is damaged"));
        let fresh = Docket::new();
        assert!(fresh.fails(&["restore", text(&backup)]).contains("is damaged"));
        assert!(!fresh.data().exists());
    }
}

#[test]
fn a_damaged_journal_is_named_and_healed_from_the_database_and_the_damaged_one_is_kept() {
    let (docket, _) = shop();
    let journal = docket.data().join("log/00000001/journal");
    let whole = fs::read(&journal).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&journal, &damaged).unwrap();
    let told = docket.fails(&["verify"]);
    assert!(told.contains("volume 1 is damaged at position 1") && told.contains("docket repair"), "{told}");
    assert!(docket.fails(&["serve", "--listen", "127.0.0.1:0"]).contains("is damaged at position 1"));
    assert!(docket.ok(&["repair", "--dry-run"]).contains("would do  volume 1: the journal was put together again"));
    assert_eq!(fs::read(&journal).unwrap(), damaged);
    assert!(docket.ok(&["repair"]).contains("1 blocks of the database"));
    assert_eq!(fs::read(&journal).unwrap(), whole);
    assert_eq!(fs::read(docket.data().join("damaged/00000001-journal-1")).unwrap(), damaged);
    assert_eq!(docket.ok_json(&["verify"])["ok"], true);
    assert!(docket.ok(&["repair"]).contains("Nothing is wrong"));
}

#[test]
fn a_lost_text_comes_back_from_a_backup_only() {
    let (docket, _) = shop();
    let content = docket.data().join("content/ab");
    // A text that no event names: what counts is that its bytes have its name.
    let name = "cd".repeat(31);
    fs::create_dir_all(&content).unwrap();
    fs::write(content.join(&name), "something else").unwrap();
    assert!(docket.fails(&["verify"]).contains("docket repair --backup"));
    assert!(docket.fails(&["repair"]).contains("Only a backup can have it"));
}

#[test]
fn a_directory_of_a_newer_program_is_not_repaired() {
    let (docket, _) = shop();
    let marker = docket.data().join("docket.json");
    let whole = fs::read_to_string(&marker).unwrap();
    let mut newer: Value = serde_json::from_str(&whole).unwrap();
    newer["format"] = json!(7);
    // Only the digit: that is a flipped bit, and healed.
    fs::write(&marker, newer.to_string()).unwrap();
    assert!(docket.fails(&["verify"]).contains("docket repair"));
    assert!(docket.ok(&["repair"]).contains("docket.json was written anew"));
    assert_eq!(fs::read_to_string(&marker).unwrap(), whole);
    // With the check that a newer program writes.
    let check = Sha256::digest(format!("docket.json 7 {}", newer["log_id"].as_str().unwrap()));
    newer["check"] = json!(hex::encode(&check[..8]));
    fs::write(&marker, newer.to_string()).unwrap();
    assert!(docket.fails(&["repair"]).contains("use a newer docket"));
    assert_eq!(fs::read_to_string(&marker).unwrap(), newer.to_string());
}

#[tokio::test]
async fn a_backup_that_lacks_a_damaged_text_says_so_and_can_be_restored() {
    let (docket, admin) = shop();
    let server = docket.serve();
    open_tickets(&server, &admin, 4).await;
    assert_eq!(server.terminate().code(), Some(0));
    let (text_path, bytes) = everything(&docket.data().join("content")).remove(0);
    fs::write(&text_path, "something else").unwrap();
    let backup = docket.path("backup");
    assert!(docket.fails(&["backup", text(&backup)]).contains("complete but for 1 stored texts"));
    assert_eq!(docket.ok_json(&["backup", text(&backup), "--verify"])["ok"], true);
    let fresh = Docket::new();
    fresh.ok(&["restore", text(&backup)]);
    assert_eq!(fresh.ok_json(&["report"])["totals"]["created"]["events"], 4);
    // Once the text is back, the next backup has it.
    fs::write(&text_path, bytes).unwrap();
    assert_eq!(docket.ok_json(&["backup", text(&backup)])["missing_texts"], json!([]));
}

#[tokio::test]
async fn below_the_reserve_nothing_is_written_and_everything_is_read() {
    let (docket, admin) = shop();
    let server = docket.serve_with(&["--reserve", "900000000000"]);
    let refused = server.ask(&admin, OPEN, json!({ "s": "No space" })).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{refused}");
    let read = server.data(&admin, "{ tickets { totalCount } queues { nodes { name } } }", json!({})).await;
    assert_eq!(read["tickets"]["totalCount"], 0);
    let ready = reqwest::get(server.url("/readyz")).await.unwrap();
    assert_eq!(ready.status(), 503);
    let ready: Value = ready.json().await.unwrap();
    assert!(ready["reason"].as_str().unwrap().contains("free some space"), "{ready}");
    assert_eq!(server.terminate().code(), Some(0));
    // With the usual one it goes on.
    let server = docket.serve_with(&["--warn-below", "900000000000"]);
    open_tickets(&server, &admin, 1).await;
    let ready: Value = reqwest::get(server.url("/readyz")).await.unwrap().json().await.unwrap();
    assert_eq!(ready["ready"], true);
    assert!(ready["warning"].as_str().unwrap().contains("MiB left"), "{ready}");
}

#[tokio::test]
async fn where_sled_panics_and_is_not_needed_there_is_one_line_in_the_log_and_no_backtrace() {
    let (docket, admin) = shop();
    let server = docket.serve();
    for n in 0..90 {
        let body = format!("{n}{}", " text".repeat(3_000));
        server.data(&admin, OPEN, json!({ "s": "Long", "b": body })).await;
    }
    assert_eq!(server.terminate().code(), Some(0));
    let volume = docket.data().join("log/00000001");
    let clean = fs::read(volume.join("clean")).unwrap();
    // A segment twice: sled panics when it opens that.
    const SEGMENT: usize = 512 * 1024;
    let mut database = fs::read(volume.join("sled/db")).unwrap();
    assert!(database.len() >= 2 * SEGMENT, "{}", database.len());
    database.copy_within(SEGMENT..2 * SEGMENT, 0);
    fs::write(volume.join("sled/db"), &database).unwrap();
    let verify = || docket.command(&["verify"]).env("RUST_BACKTRACE", "1").output().unwrap();
    let told = verify();
    let error = String::from_utf8(told.stderr).unwrap();
    assert!(!told.status.success() && error.contains("sled gave up while opening it (") && error.lines().count() == 1);
    // After a kill the database counts for nothing.
    fs::remove_file(volume.join("clean")).unwrap();
    let told = verify();
    let out = String::from_utf8(told.stdout).unwrap();
    assert!(told.status.success() && out.contains("verdict   ok"), "{out}");
    assert_eq!(String::from_utf8(told.stderr).unwrap(), "");
    // A server says it once, in its log.
    fs::write(volume.join("clean"), clean).unwrap();
    let log = docket.path("program.log");
    let server = docket.serve_logging(&[], fs::File::create(&log).unwrap().into());
    assert_eq!(server.terminate().code(), Some(0));
    let log = fs::read_to_string(log).unwrap();
    assert_eq!(log.matches("sled gave up").count(), 1, "{log}");
    assert!(log.contains("pagecache/") && !log.contains("panicked") && !log.contains("backtrace"), "{log}");
    assert_eq!(docket.ok_json(&["verify"])["ok"], true);
}

#[test]
fn whoever_asks_a_server_to_stop_as_soon_as_it_greets_sees_it_stop_and_not_die() {
    let docket = Docket::new();
    for _ in 0..20 {
        assert_eq!(docket.serve().terminate().code(), Some(0));
    }
}

#[tokio::test]
async fn what_a_killed_restore_left_is_named_by_verify_and_removed_by_the_next_restore() {
    let (docket, _) = shop();
    let (backup, leftover) = (docket.path("backup"), docket.path(".data.restoring-4711"));
    docket.ok(&["backup", text(&backup)]);
    fs::create_dir_all(leftover.join("log/00000001")).unwrap();
    fs::write(leftover.join("log/00000001/journal"), "half").unwrap();
    let told = docket.ok(&["verify"]);
    assert!(told.contains("left over ") && told.contains(&format!("`rm -r {}`", leftover.display())), "{told}");
    assert!(docket.ok_json(&["verify"])["leftovers"][0].as_str().unwrap().contains("restore that was killed"));
    fs::remove_dir_all(docket.data()).unwrap();
    let somebodys = docket.path(".data.restoring-4712");
    fs::create_dir(&somebodys).unwrap();
    fs::write(somebodys.join("thesis.txt"), "precious").unwrap();
    let told = docket.ok(&["restore", text(&backup)]);
    assert!(told.contains(&format!("removed   {}", leftover.display())), "{told}");
    assert!(told.contains(&format!("left      {}", somebodys.display())) && told.contains("thesis.txt"), "{told}");
    assert!(!leftover.exists() && somebodys.join("thesis.txt").exists());
}

#[test]
fn a_first_backup_that_was_interrupted_before_its_mark_begins_again() {
    let (docket, _) = shop();
    let log_id = docket.ok_json(&["verify"])["log_id"].as_str().unwrap().to_owned();
    let half = &log_id[..9];
    let left: [(&str, &[(&str, &str)]); 7] = [
        ("lock", &[("lock", "")]),
        ("empty-tmp", &[("lock", ""), ("of.tmp", "")]),
        ("torn-tmp", &[("lock", ""), ("of.tmp", half)]),
        ("empty-of", &[("lock", ""), ("of", "")]),
        ("of", &[("lock", ""), ("of", &log_id)]),
        ("journal", &[("lock", ""), ("of", &log_id), ("log/00000001/journal", "half")]),
        ("mark", &[("lock", ""), ("of", &log_id), ("log/00000001/journal", "half"), ("backup.json.tmp", "{")]),
    ];
    for (name, files) in left {
        let backup = docket.path(name);
        for (file, bytes) in files {
            fs::create_dir_all(backup.join(file).parent().unwrap()).unwrap();
            fs::write(backup.join(file), bytes).unwrap();
        }
        docket.ok(&["backup", text(&backup)]);
        assert_eq!(docket.ok_json(&["backup", text(&backup), "--verify"])["ok"], true, "{name}");
    }
    // Somebody else's, whatever it is called.
    let other = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let foreign: [(&str, &str, &str, &str); 7] = [
        ("f1", "lock", "written", "is no backup (it holds \"lock\")"),
        ("f2", "of", "precious", "is no backup (it holds \"of\")"),
        ("f3", "of", other, "is the backup of another desk"),
        ("f4", "of.tmp", "a text that is longer than any name of a log", "it holds \"of.tmp\""),
        ("f5", "log/00000001/journal", "precious", "it holds \"log\""),
        ("f6", "backup.json.tmp", "precious", "it holds \"backup.json.tmp\""),
        ("f7", "content/readme", "precious", "it holds \"content\""),
    ];
    for (name, file, bytes, why) in foreign {
        let backup = docket.path(name);
        fs::create_dir_all(backup.join(file).parent().unwrap()).unwrap();
        fs::write(backup.join(file), bytes).unwrap();
        let before = everything(&backup);
        let told = docket.fails(&["backup", text(&backup)]);
        assert!(told.contains(why), "{name}: {told}");
        assert_eq!(everything(&backup), before, "{name}");
    }
}

#[tokio::test]
async fn no_text_of_a_customer_acts_on_the_terminal_of_whoever_reads_the_log() {
    let (docket, admin) = shop();
    let server = docket.serve();
    let subject = "a\u{202e}b\u{1b}[31mc\u{2066}d\u{9b}e\u{200f}";
    server.data(&admin, OPEN, json!({ "s": subject, "b": subject })).await;
    assert_eq!(server.terminate().code(), Some(0));
    docket.token(&["--role", "auditor", "--label", "x\u{202e}y\u{1b}[1m"]);
    let acts = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2066}\u{200f}".contains(c);
    for args in [&["replay"][..], &["token", "list"], &["report"], &["explain", "1"]] {
        let output = docket.run(args);
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(!out.contains(acts), "{args:?}: {out:?}");
    }
    let error = docket.fails(&["replay", "--ticket", subject]);
    assert!(!error.contains(acts), "{error:?}");
    // Programs get what is stored.
    let lines = docket.ok(&["replay", "--json"]);
    let stored = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert!(stored.into_iter().any(|event| event["data"]["subject"] == subject));
}
