//! Desk files: what they leave out, empty, and let go of.

use super::*;

fn read(json: &str) -> DeskConfig {
    let mut config: DeskConfig = serde_json::from_str(json).unwrap();
    config.number_policies();
    config
}

fn present() -> Desk {
    let mut config = DeskConfig::starter();
    let more = read(
        r#"{"queue": [{"key": "inbox", "name": "Inbox", "default": true}, {"key": "old", "name": "Old"}],
            "agent": [{"key": "ann", "name": "Ann"}, {"key": "bob", "name": "Bob"}],
            "policy": [{"key": "p", "name": "P", "resolution": {"default": "1h"}}]}"#,
    );
    (config.queues, config.agents, config.policies) = (more.queues, more.agents, more.policies);
    let mut desk = Desk::default();
    config.changes_from(&desk.clone()).iter().for_each(|change| desk.evolve(&change.event, Position::new(1)));
    desk
}

/// What a file comes to on the present desk: its changes in words, or what is wrong with it.
fn applied(json: &str) -> Result<Vec<String>, String> {
    let (mut config, desk) = (read(json), present());
    config.fill_from(&desk);
    let problems: Vec<String> = config.problems(&desk).iter().map(ToString::to_string).collect();
    if !problems.is_empty() {
        return Err(problems.join("; "));
    }
    let words = |change: Change| format!("{} {} {}", change.verb, change.kind, change.key);
    Ok(config.changes_from(&desk).into_iter().map(words).collect())
}

#[test]
fn a_kind_that_is_not_mentioned_stays_and_an_empty_list_means_none() {
    assert_eq!(applied("{}"), Ok(vec![]));
    assert_eq!(applied(r#"{"policy": []}"#), Ok(vec!["retire policy p".into()]));
    assert_eq!(applied(r#"{"agent": []}"#), Ok(vec!["retire agent ann".into(), "retire agent bob".into()]));
    for (json, word) in [
        (r#"{"queue": []}"#, "at least one queue"),
        (r#"{"status": []}"#, "no status has the category new"),
        (r#"{"name": ""}"#, "the name must have 1 to 200 bytes"),
    ] {
        let refused = applied(json).unwrap_err();
        assert!(refused.contains(word), "{json}: {refused}");
    }
}

#[test]
fn what_leaves_is_left_out_of_the_file_and_goes_to_something_in_it() {
    let without = r#""queue": [{"key": "inbox", "name": "Inbox", "default": true}]"#;
    let leaving = |entry: &str| applied(&format!("{{{without}, \"leaving\": [{entry}]}}"));
    assert_eq!(leaving(r#"{"kind": "queue", "key": "old", "move_to": "inbox"}"#), Ok(vec!["retire queue old".into()]));
    for (entry, word) in [
        (r#"{"kind": "queue", "key": "inbox", "move_to": "inbox"}"#, "it stays"),
        (r#"{"kind": "queue", "key": "never", "move_to": "inbox"}"#, "has never had such a queue"),
        (r#"{"kind": "queue", "key": "old", "move_to": "nowhere"}"#, "move_to \"nowhere\" is not in the file"),
        (r#"{"kind": "queue", "key": "old"}"#, "say which one as move_to"),
        (
            r#"{"kind": "queue", "key": "old", "move_to": "inbox"}, {"kind": "queue", "key": "old", "move_to": "inbox"}"#,
            "it stands twice",
        ),
    ] {
        let refused = leaving(entry).unwrap_err();
        assert!(refused.contains(word), "{entry}: {refused}");
    }
    assert!(serde_json::from_str::<DeskConfig>(r#"{"leaving": [{"kind": "moon", "key": "x"}]}"#).is_err());
}

#[test]
fn a_stored_commit_is_told_in_the_same_words_as_the_file_that_made_it() {
    let (mut config, desk) =
        (read(r#"{"name": "D", "agent": [{"key": "ann", "name": "Anna"}, {"key": "cy", "name": "Cy"}]}"#), present());
    config.fill_from(&desk);
    let changes = config.changes_from(&desk);
    let events: Vec<DeskEvent> = changes.iter().map(|change| change.event.clone()).collect();
    assert_eq!(Change::of_events(&desk, &events), changes);
}

#[test]
fn a_copy_shares_what_a_change_does_not_touch() {
    let before = {
        let mut desk = Desk::default();
        for event in DeskConfig::starter().changes_from(&desk) {
            desk.evolve(&event.event, Position::new(1));
        }
        desk
    };
    let mut after = before.clone();
    after.evolve(&QueueRetired { key: QueueKey::try_new("inbox").unwrap() }.into(), Position::new(2));
    assert!(!after.queues.ptr_eq(&before.queues));
    assert!(after.statuses.ptr_eq(&before.statuses), "a change of a queue costs what a queue costs");
    assert!(!before.queues[&QueueKey::try_new("inbox").unwrap()].retired, "the older desk stays as it was");
}
