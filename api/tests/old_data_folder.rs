//! Data folders that earlier versions left behind: read, checked, served and written to by this one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};
use support::{Docket, Server, root};

const CONVERSATION: &str = "query ($id: ID!) { ticket(id: $id) { status { category } timeline(last: 100) { nodes {
    ... on MessageEntry { body } ... on NoteEntry { body } } } } }";
const RECEIVE: &str = "mutation ($id: ID!, $input: TicketReplyInput!) { ticketReply(id: $id, input: $input) {
    position ticket { id } userErrors { code message } } }";

/// A folder of an earlier version, unpacked, and what that version said about it.
struct Old {
    docket: Docket,
}

impl Old {
    fn unpack(archive: &Path) -> Self {
        let docket = Docket::new();
        let data = docket.data();
        let to = data.parent().unwrap();
        let status = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(to).status().unwrap();
        assert!(status.success(), "{}", archive.display());
        Self { docket }
    }

    fn said(&self, name: &str) -> String {
        fs::read_to_string(self.docket.path("said").join(name)).unwrap()
    }

    fn said_json(&self, name: &str) -> Value {
        serde_json::from_str(&self.said(name)).unwrap()
    }

    fn known(&self) -> Value {
        self.said_json("known.json")
    }
}

/// Every folder that is kept.
fn all() -> Vec<Old> {
    let folders: Vec<_> = fs::read_dir(root().join("tests/golden"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(".tar.gz"))
        .map(|path| Old::unpack(&path))
        .collect();
    assert!(!folders.is_empty());
    folders
}

/// Every field that the earlier version gave is there with the same value; there may be others.
#[track_caller]
fn assert_still_says(now: &Value, then: &Value, place: &str) {
    match (now, then) {
        (Value::Object(now), Value::Object(then)) => {
            for (key, value) in then {
                let place = format!("{place}.{key}");
                let now = now.get(key).unwrap_or_else(|| panic!("{place} is gone"));
                assert_still_says(now, value, &place);
            }
        }
        (Value::Array(now), Value::Array(then)) => {
            assert_eq!(now.len(), then.len(), "{place}");
            for (index, (now, then)) in now.iter().zip(then).enumerate() {
                assert_still_says(now, then, &format!("{place}[{index}]"));
            }
        }
        _ => assert_eq!(now, then, "{place}"),
    }
}

/// The texts of a ticket's messages and notes.
async fn texts(server: &Server, token: &str, ticket: &Value) -> Vec<String> {
    let answer = server.data(token, CONVERSATION, json!({ "id": ticket })).await;
    let nodes = answer["ticket"]["timeline"]["nodes"].as_array().unwrap();
    nodes.iter().filter_map(|node| node["body"].as_str()).map(str::to_owned).collect()
}

#[test]
fn an_old_folder_is_sound_and_tells_the_same_story() {
    for old in all() {
        let known = old.known();
        let (now, then) = (old.docket.ok_json(&["verify"]), old.said_json("verify.json"));
        assert_eq!(now["ok"], true, "{now}");
        for part in ["commits", "events", "findings", "head_hash", "head_position", "log_id", "texts", "unknown_events"]
        {
            assert_eq!(now[part], then[part], "{part}");
        }
        let at = known["at"].as_str().unwrap();
        assert_still_says(&old.docket.ok_json(&["report", "--at", at]), &old.said_json("report.json"), "report");
        let (now, then) = (old.docket.ok(&["replay", "--json"]), old.said("replay.jsonl"));
        assert_eq!(now.lines().count(), then.lines().count());
        for (now, then) in now.lines().zip(then.lines()) {
            let [now, then]: [Value; 2] = [now, then].map(|line| serde_json::from_str(line).unwrap());
            assert_still_says(&now, &then, &format!("event {} of {}", then["index"], then["position"]));
        }
    }
}

#[test]
fn the_views_of_an_old_folder_are_built_and_built_again_the_same() {
    for old in all() {
        let then = old.said_json("rebuild.json");
        let first = old.docket.ok_json(&["rebuild"]);
        assert_eq!((&first["events"], &first["position"]), (&then["events"], &then["position"]));
        let second = old.docket.ok_json(&["rebuild"]);
        assert_eq!((&second["identical"], &second["fingerprint"]), (&json!(true), &first["fingerprint"]));
    }
}

#[test]
fn an_old_folder_without_its_databases_is_healed_from_its_journals() {
    for old in all() {
        for volume in fs::read_dir(old.docket.data().join("log")).unwrap() {
            fs::remove_dir_all(volume.unwrap().path().join("sled")).unwrap();
        }
        old.docket.ok(&["repair"]);
        let (now, then) = (old.docket.ok_json(&["verify"]), old.said_json("verify.json"));
        assert_eq!((&now["ok"], &now["head_hash"]), (&json!(true), &then["head_hash"]), "{now}");
    }
}

#[tokio::test]
async fn an_old_folder_is_served_and_goes_on() {
    for old in all() {
        let known = old.known();
        let (customer, keyed) = (known["customer"].as_str().unwrap(), &known["keyed"]);
        let ticket = &keyed["ticket"];
        let server = old.docket.serve();
        for (role, name) in
            [("administrator", "ADMINISTRATOR"), ("agent", "AGENT"), ("customer", "CUSTOMER"), ("auditor", "AUDITOR")]
        {
            let viewer = server.data(known[role].as_str().unwrap(), "{ viewer { role } }", json!({})).await;
            assert_eq!(viewer["viewer"]["role"], name);
        }
        let refused = server.ask(known["revoked"].as_str().unwrap(), "{ viewer { role } }", json!({})).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");

        // What is read: the conversation with its long text.
        let before = texts(&server, known["agent"].as_str().unwrap(), ticket).await;
        let (body, long) = (keyed["body"].as_str().unwrap(), known["long_text"]["bytes"].as_u64().unwrap());
        assert!(before.iter().any(|text| text == body), "{before:?}");
        assert!(before.iter().any(|text| text.len() as u64 == long));

        // What was carried out under a key is not carried out again. That version did not keep what was asked with it, so
        // nothing tells the same request from another one: it is refused and told where the first one is.
        for body in [body, "Something else entirely"] {
            let again = json!({ "id": ticket, "input": { "body": body, "clientMutationId": keyed["key"] } });
            let again = server.data(customer, RECEIVE, again).await;
            let error = &again["ticketReply"]["userErrors"][0];
            assert_eq!(error["code"], "IDEMPOTENCY_KEY_REUSED", "{again}");
            assert!(error["message"].as_str().unwrap().contains(keyed["position"].as_str().unwrap()), "{error}");
        }
        assert_eq!(texts(&server, known["agent"].as_str().unwrap(), ticket).await, before);

        // What is written comes after it, and is still there after a clean stop.
        let new = json!({ "id": ticket, "input": { "body": "Still silent, years later." } });
        let new = server.data(customer, RECEIVE, new).await;
        assert_eq!(new["ticketReply"]["userErrors"], json!([]));
        let after = texts(&server, known["agent"].as_str().unwrap(), ticket).await;
        assert_eq!(after.len(), before.len() + 1);
        assert_eq!(server.terminate().code(), Some(0));

        let position: u64 = new["ticketReply"]["position"].as_str().unwrap().parse().unwrap();
        let (now, then) = (old.docket.ok_json(&["verify"]), old.said_json("verify.json"));
        assert_eq!(now["ok"], true, "{now}");
        assert!(position > then["head_position"].as_u64().unwrap());
        assert!(now["head_position"].as_u64().unwrap() >= position);
        // The snapshot that the stop left is what the whole log gives.
        assert_eq!(old.docket.ok_json(&["rebuild"])["identical"], true);
        let server = old.docket.serve();
        assert_eq!(texts(&server, known["agent"].as_str().unwrap(), ticket).await, after);
    }
}
