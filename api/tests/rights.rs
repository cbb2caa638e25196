//! A data directory of which a part may no longer be read or written.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use support::{Docket, PATIENCE, Server, root};

const OPEN: &str =
    "mutation ($b: String) { ticketOpen(input: { subject: \"Long\", body: $b }) { userErrors { code } } }";

/// A desk with a stored text and a snapshot, which the user of the program owns when he is to.
async fn desk(owns: bool) -> Option<Docket> {
    let mut docket = Docket::new();
    docket.ok(&["apply", root().join("examples/desks/small-shop.toml").to_str().unwrap()]);
    let admin = docket.token(&["--role", "administrator"]);
    let server = docket.serve();
    server.data(&admin, OPEN, json!({ "b": "long ".repeat(10_000) })).await;
    assert_eq!(server.terminate().code(), Some(0));
    docket.without_privileges(owns).then_some(docket)
}

fn first_in(dir: &Path) -> PathBuf {
    fs::read_dir(dir).unwrap().next().unwrap().unwrap().path()
}

/// Gives a path other rights, and takes them back in the end.
struct Mode<'a>(&'a Path, fs::Permissions);

impl<'a> Mode<'a> {
    fn set(path: &'a Path, mode: u32) -> Self {
        let before = fs::metadata(path).unwrap().permissions();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        Self(path, before)
    }
}

impl Drop for Mode<'_> {
    fn drop(&mut self) {
        fs::set_permissions(self.0, self.1.clone()).unwrap();
    }
}

#[tokio::test]
async fn verify_names_every_right_that_is_lost_with_the_systems_word_and_the_next_command() {
    let Some(docket) = desk(true).await else { return };
    let data = docket.data();
    let part = first_in(&data.join("content"));
    let text = first_in(&part);
    for args in [&["verify"][..], &["verify", "--quick"]] {
        assert!(docket.ok(args).contains("verdict   ok"));
        for (path, mode, what) in [
            (data.clone(), 0o500, "cannot write to"),
            (data.join("log"), 0o500, "cannot write to"),
            (data.join("log/00000001"), 0o500, "cannot write to"),
            (data.join("log/00000001/journal"), 0o000, "cannot read"),
            (data.join("log/00000001/journal"), 0o400, "cannot write to"),
            (data.join("log/00000001/clean"), 0o000, "cannot read"),
            (data.join("log/00000001/sled"), 0o000, "cannot read"),
            (data.join("log/00000001/sled/db"), 0o400, "cannot write to"),
            (data.join("content"), 0o500, "cannot write to"),
            (data.join("content"), 0o000, "cannot read"),
            (part.clone(), 0o500, "cannot write to"),
            (part.clone(), 0o000, "cannot read"),
            (text.clone(), 0o000, "cannot read"),
            (data.join("snapshots"), 0o500, "cannot write to"),
        ] {
            let mode = Mode::set(&path, mode);
            let output = docket.run(args);
            drop(mode);
            let (out, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
            assert_eq!(output.status.code(), Some(1), "{args:?} {}: {out}{error}", path.display());
            let path = path.display();
            assert!(error.contains(&format!("this user {what} {path}: Permission denied")), "{error}");
            assert!(error.contains("Run `chmod u+rw") && error.contains(&format!("{path}`")), "{error}");
            assert!(!error.contains("docket repair") && !error.contains("backup"), "{error}");
            assert!(out.contains("RIGHTS  ") && out.contains("verdict   RIGHTS ARE MISSING"), "{out}");
        }
    }
    assert!(docket.ok(&["verify"]).contains("verdict   ok"));
}

#[tokio::test]
async fn somebody_who_only_looks_needs_no_right_to_write() {
    let Some(docket) = desk(false).await else { return };
    let told = docket.ok(&["verify"]);
    assert!(told.contains("verdict   ok") && told.contains("read only this user does not own the directory"), "{told}");
    assert!(told.contains("run `chown -R 65534 "), "{told}");
    let content = docket.data().join("content");
    let _mode = Mode::set(&content, 0o700);
    let error = docket.fails(&["verify"]);
    assert!(error.contains(&format!("this user cannot read {}: Permission denied", content.display())), "{error}");
    assert!(error.contains("It belongs to the user 0 and has the mode 700"), "{error}");
}

async fn ready(server: &Server) -> (u16, Value) {
    let answer = reqwest::get(server.url("/readyz")).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Asks until the answer is so: what the server may do is looked up every few seconds.
async fn until(server: &Server, so: impl Fn(u16, &Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let (status, answer) = ready(server).await;
        if so(status, &answer) {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{status} {answer}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn readiness_knows_of_rights_that_are_lost_while_the_server_runs() {
    let Some(docket) = desk(true).await else { return };
    let data = docket.data();
    let server = docket.serve();
    assert_eq!(ready(&server).await.0, 200);
    for path in [data.join("log"), data.join("content")] {
        let mode = Mode::set(&path, 0o500);
        let answer = until(&server, |status, _| status == 503).await;
        let reason = answer["reason"].as_str().unwrap();
        let told = format!("this user cannot write to {}: Permission denied", path.display());
        assert!(reason.starts_with(&told) && reason.contains("Run `chmod u+rwx "), "{answer}");
        drop(mode);
        until(&server, |status, answer| status == 200 && answer["warning"].is_null()).await;
    }
    // A part of what is kept: everything else goes on.
    for path in [first_in(&data.join("content")), data.join("snapshots")] {
        let mode = Mode::set(&path, 0o500);
        let answer = until(&server, |_, answer| !answer["warning"].is_null()).await;
        assert_eq!(answer["ready"], true, "{answer}");
        assert!(answer["warning"].as_str().unwrap().contains(path.to_str().unwrap()), "{answer}");
        drop(mode);
        until(&server, |_, answer| answer["warning"].is_null()).await;
    }
    assert_eq!(server.terminate().code(), Some(0));
}
