//! Service levels at the front door: desk files, derivations, what-if, policies applied anew, and timers by the thousand.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use docket_api::{
    clock::{Clock, ManualClock},
    engine::{Engine, Principal, Request},
};
use docket_core::{
    desk::DeskConfig,
    event::Event,
    ids::{Position, StreamId},
    ticket::{Channel, Opening, TicketCommand, TicketEvent},
    time::Timestamp,
};
use docket_projections::{LiveViews, Projection, Views};
use docket_store::{ContentStore, EventLog, MemoryLog};
use serde_json::json;
use support::Docket;

const STARTER: &str = r#"
name = "Levels"

[[status]]
key = "new"
name = "New"
category = "new"

[[status]]
key = "open"
name = "Open"
category = "open"

[[status]]
key = "waiting"
name = "Waiting"
category = "waiting"

[[status]]
key = "resolved"
name = "Resolved"
category = "resolved"

[[status]]
key = "closed"
name = "Closed"
category = "closed"

[[queue]]
key = "inbox"
name = "Inbox"
default = true

[[agent]]
key = "ann"
name = "Ann"

[[calendar]]
key = "office"
name = "Office"
zone = "Europe/London"
yearly = ["12-25", "easter+1"]
exceptions = [{ date = "2026-12-24", hours = ["09:00-12:00"] }]
icalendar = "days.ics"

[calendar.hours]
monday = ["00:00-24:00"]
tuesday = ["00:00-24:00"]
wednesday = ["00:00-24:00"]
thursday = ["00:00-24:00"]
friday = ["00:00-24:00"]
saturday = ["00:00-24:00"]
sunday = ["00:00-24:00"]

[[policy]]
key = "standard"
name = "Standard"
calendar = "office"
pause = ["waiting"]
resolution = { default = "TARGET" }
"#;

const FEED: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Day of the founders\r\n\
    DTSTART;VALUE=DATE:20300301\r\nRRULE:FREQ=YEARLY;COUNT=2\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

fn desk(docket: &Docket, target: &str) -> String {
    docket.write("days.ics", FEED);
    docket.write("desk.toml", &STARTER.replace("TARGET", target)).to_str().unwrap().to_owned()
}

#[test]
fn the_example_that_shows_everything_can_be_applied() {
    let docket = Docket::new();
    let example = support::root().join("examples/desks/service-levels.toml");
    docket.ok(&["apply", example.to_str().unwrap()]);
    let printed = docket.ok(&["desk"]);
    for part in ["2030-06-12", "eod+5", "last monday of may", "working_time = true", "valid_until"] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
}

#[test]
fn a_desk_file_takes_holidays_from_a_feed_beside_it_and_the_log_keeps_the_dates() {
    let docket = Docket::new();
    let file = desk(&docket, "8h");
    docket.ok(&["apply", &file]);
    let printed = docket.ok(&["desk"]);
    for part in ["2030-03-01", "2031-03-01", "easter+1", "2026-12-24"] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
    // What it prints is the desk: applying it changes nothing.
    let again = docket.write("again.toml", &printed);
    assert!(docket.ok(&["apply", again.to_str().unwrap()]).contains("the desk is as the file says"));
    let bad = FEED.replace("RRULE:FREQ=YEARLY;COUNT=2", "RRULE:FREQ=DAILY");
    docket.write("days.ics", &bad);
    let error = docket.fails(&["apply", &file]);
    assert!(error.contains("calendar office: icalendar: event \"Day of the founders\""), "{error}");
}

const OPEN: &str = "mutation($s: String!) { ticketOpen(input: { subject: $s, body: \"Help\" }) { ticket { id } userErrors { message } } }";

#[tokio::test]
async fn an_edited_policy_is_previewed_kept_from_open_tickets_and_applied_by_command() {
    let docket = Docket::new();
    docket.ok(&["apply", &desk(&docket, "8h")]);
    let token = docket.token(&["--role", "administrator"]);
    let agent = docket.token(&["--role", "agent", "--agent", "ann"]);
    let server = docket.serve();
    let mut ids = Vec::new();
    for n in 0..3 {
        let opened = server.data(&token, OPEN, json!({ "s": format!("Ticket {n}") })).await;
        ids.push(opened["ticketOpen"]["ticket"]["id"].as_str().unwrap().to_owned());
    }
    let close = "mutation($id: ID!) { ticketResolve(id: $id, input: {}) { userErrors { message } } }";
    server.data(&token, close, json!({ "id": ids[2] })).await;
    let toml = STARTER.replace("TARGET", "4h").replace("icalendar = \"days.ics\"\n", "");
    let apply = "mutation($toml: String!, $dry: Boolean!) { deskApply(input: { toml: $toml, dryRun: $dry }) {
        changes userErrors { message } slaEffect { open affected earlier later unmoved shift { n } newlyOverdue } } }";
    let clocks = "query($id: ID!) { node(id: $id) { ... on Ticket { slaClocks { target dueAt policy metric } } } }";
    let preview = server.data(&token, apply, json!({ "toml": toml, "dry": true })).await;
    let effect = &preview["deskApply"]["slaEffect"];
    assert_eq!(
        (&effect["open"], &effect["affected"], &effect["earlier"]),
        (&json!(2), &json!(2), &json!(2)),
        "{preview}"
    );
    server.data(&token, apply, json!({ "toml": toml, "dry": false })).await;
    let kept = server.data(&token, clocks, json!({ "id": ids[0] })).await;
    assert_eq!(kept["node"]["slaClocks"][0]["target"], "8h");
    // What the change would have come to, had it held from the beginning.
    let what_if = "query($toml: String!) { slaWhatIf(toml: $toml) { identical groups { policy queue priority metric
        official { met missed active } supposed { met missed active compliance } } } }";
    let policies = toml.split_once("[[calendar]]").unwrap().1;
    let supposed = server.data(&token, what_if, json!({ "toml": format!("[[calendar]]{policies}") })).await;
    let group = &supposed["slaWhatIf"]["groups"][0];
    assert_eq!((&group["official"]["met"], &group["supposed"]["met"]), (&json!(1), &json!(1)), "{supposed}");
    let refused = server.ask(&token, what_if, json!({ "toml": "[[policy]]\nkey = \"x\"\nname = \"X\"\n" })).await;
    assert!(refused["errors"][0]["message"].as_str().unwrap().contains("no target"), "{refused}");
    // Anew: dry, then for good, then there is nothing left.
    let reapply = "mutation($dry: Boolean!) { slaReapply(input: { dryRun: $dry }) { effect { affected earlier } userErrors { message } } }";
    for (dry, affected) in [(true, 2), (false, 2), (false, 0)] {
        let done = server.data(&token, reapply, json!({ "dry": dry })).await;
        assert_eq!(done["slaReapply"]["effect"]["affected"], affected, "{done}");
    }
    let moved = server.data(&token, clocks, json!({ "id": ids[0] })).await;
    assert_eq!(moved["node"]["slaClocks"][0]["target"], "4h");
    let done = server.data(&token, clocks, json!({ "id": ids[2] })).await;
    assert_eq!(done["node"]["slaClocks"][0]["target"], "8h", "what is done never moves");
    let refused = server.ask(&agent, reapply, json!({ "dry": false })).await;
    assert!(refused.to_string().contains("FORBIDDEN"), "{refused}");
}

#[tokio::test]
async fn a_deadline_is_explained_and_an_agent_follows_a_ticket() {
    let docket = Docket::new();
    docket.ok(&["apply", &desk(&docket, "8h")]);
    let token = docket.token(&["--role", "administrator"]);
    let agent = docket.token(&["--role", "agent", "--agent", "ann"]);
    let server = docket.serve();
    let opened = server.data(&token, OPEN, json!({ "s": "Explain me" })).await;
    let id = opened["ticketOpen"]["ticket"]["id"].as_str().unwrap().to_owned();
    let follow = "mutation($id: ID!, $follow: Boolean!) { ticketFollow(id: $id, input: { follow: $follow }) {
        ticket { followers { name } } userErrors { message } } }";
    let followed = server.data(&agent, follow, json!({ "id": id, "follow": true })).await;
    assert_eq!(followed["ticketFollow"]["ticket"]["followers"][0]["name"], "Ann", "{followed}");
    let ended = server.data(&agent, follow, json!({ "id": id, "follow": false })).await;
    assert_eq!(ended["ticketFollow"]["ticket"]["followers"], json!([]));
    let nobody = server.data(&token, follow, json!({ "id": id, "follow": true })).await;
    assert!(nobody["ticketFollow"]["userErrors"][0]["message"].as_str().unwrap().contains("name the agent"));
    let explain =
        "query($id: ID!) { node(id: $id) { ... on Ticket { slaExplanations { policy calendar tzdb reason target allowed
        dueAt text moments { moment eventType } intervals { length stretch } } } } }";
    let explained = server.data(&token, explain, json!({ "id": id })).await;
    let explanation = &explained["node"]["slaExplanations"][0];
    assert_eq!((&explanation["policy"], &explanation["reason"]), (&json!("standard"), &json!("OPENED")), "{explained}");
    assert_eq!(explanation["moments"][0], json!({ "moment": "activated", "eventType": "SlaApplied" }));
    assert!(explanation["text"].as_str().unwrap().contains("zone data 20"));
    assert!(server.terminate().success());
    // The same on the command line, without a server.
    let told = docket.ok(&["explain", "1"]);
    assert!(told.contains("resolution 1 of sla") && told.contains("8h of working time"), "{told}");
    let as_json = docket.ok_json(&["explain", "1"]);
    assert_eq!(as_json[0]["target"], "8h");
    assert!(docket.fails(&["explain", "77"]).contains("there is no ticket"));
    let identical =
        docket.ok_json(&["whatif", "--policy", docket.write("same.toml", &docket.ok(&["desk"])).to_str().unwrap()]);
    assert_eq!(identical["identical"], true);
    let group = &identical["groups"][0];
    assert_eq!((&group["official"]["active"], &group["supposed"]["active"]), (&json!(1), &json!(1)), "{identical}");
    assert_eq!(docket.run(&["whatif"]).status.code(), Some(2), "say what is supposed");
    let nothing = docket.write("nothing.toml", "name = \"nothing\"\n");
    assert!(
        docket.fails(&["whatif", "--policy", nothing.to_str().unwrap()]).contains("neither a policy nor a calendar")
    );
    assert!(docket.ok(&["reapply"]).contains("all 1 open tickets have the present policies"));
}

/// When what happened to a ticket.
type History = Vec<(Timestamp, String)>;

/// An engine in memory whose time is moved by hand.
struct Moved {
    clock: Arc<ManualClock>,
    log: Arc<dyn EventLog>,
    engine: Arc<Engine>,
}

impl Moved {
    async fn new(policies: &str, now: &str) -> Self {
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new());
        let live = LiveViews::new(Views::default());
        tokio::spawn(Arc::clone(&live).follow(Arc::clone(&log)));
        let clock = Arc::new(ManualClock::new(Timestamp::parse(now).unwrap()));
        let time: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let engine = Engine::new(Arc::clone(&log), live, ContentStore::new(Path::new("unused")), time);
        let mut config = DeskConfig::starter();
        config.policies = serde_json::from_str(policies).unwrap();
        engine.apply_desk(&Principal::local(), config, false, None).await.unwrap();
        Self { clock, log, engine }
    }

    async fn open(&self, count: usize, apart: Duration) {
        for n in 0..count {
            let opening = TicketCommand::Open(Opening::new(Channel::Email, format!("Ticket {n}")));
            self.engine.open(&Principal::local(), opening, vec![], Request::default()).await.unwrap();
            self.clock.advance(apart);
        }
    }

    async fn act(&self) {
        while self.engine.act_on_due().await.unwrap() > 0 {}
    }

    /// What timers wrote for each ticket by its subject, without when it was seen; and every breach in the order of the log.
    fn written(&self) -> (HashMap<String, History>, Vec<Timestamp>) {
        let mut names = HashMap::new();
        let mut written: HashMap<String, History> = HashMap::new();
        let mut breaches = Vec::new();
        for commit in self.log.read_all(Position::START, usize::MAX).unwrap() {
            let StreamId::Ticket(id) = commit.stream else { continue };
            for event in &commit.events {
                let Event::Ticket(ticket_event) = &event.event else { continue };
                if let TicketEvent::TicketOpened(e) = ticket_event {
                    names.insert(id, e.subject.reveal().clone());
                } else if let TicketEvent::SlaBreached(e) = ticket_event {
                    breaches.push(e.due_at);
                }
                let kind = event.event.type_name().to_owned();
                written.entry(names[&id].clone()).or_default().push((event.occurred_at, kind));
            }
        }
        (written, breaches)
    }
}

const CHAIN: &str = r#"[{"key": "p", "name": "P", "warn_before": "30m", "resolution": {"default": "8h", "urgent": "4h"},
    "escalations": [
        {"metric": "resolution", "after": "-1h", "level": 1},
        {"metric": "resolution", "after": "1h", "level": 2, "raise_priority": "urgent"},
        {"metric": "resolution", "after": "2h", "level": 3}]}]"#;

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_of_a_day_timers_write_what_they_would_have_written_and_in_order() {
    const TICKETS: usize = 300;
    let start = "2026-01-05T09:00:00Z";
    let steadily = Moved::new(CHAIN, start).await;
    steadily.open(TICKETS, Duration::from_secs(60)).await;
    for _ in 0..36 {
        steadily.clock.advance(Duration::from_secs(20 * 60));
        steadily.act().await;
    }
    let stopped = Moved::new(CHAIN, start).await;
    stopped.open(TICKETS, Duration::from_secs(60)).await;
    stopped.clock.advance(Duration::from_secs(24 * 3600));
    stopped.act().await;
    let ((steady, _), (late, breaches)) = (steadily.written(), stopped.written());
    assert_eq!(late.len(), TICKETS);
    assert_eq!(steady, late);
    assert_eq!(breaches.len(), TICKETS);
    assert!(breaches.is_sorted(), "deadlines stand in the log in their order");
    // What the views have is what a rebuild has.
    let mut rebuilt = Views::default();
    for commit in stopped.log.read_all(Position::START, usize::MAX).unwrap() {
        rebuilt.apply(&commit);
    }
    assert_eq!(rebuilt.to_bytes().unwrap(), stopped.engine.views().to_bytes().unwrap());
    assert!(stopped.engine.views().timers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_goes_back_neither_spins_nor_repeats() {
    let moved = Moved::new(CHAIN, "2026-01-05T09:00:00Z").await;
    moved.open(3, Duration::from_secs(1)).await;
    moved.clock.advance(Duration::from_secs(10 * 3600));
    moved.act().await;
    let before = moved.log.head().position;
    moved.clock.set(Timestamp::parse("2026-01-01T00:00:00Z").unwrap());
    moved.act().await;
    assert_eq!(moved.log.head().position, before);
    moved.clock.set(Timestamp::parse("2026-01-05T20:00:00Z").unwrap());
    moved.act().await;
    let (written, _) = moved.written();
    for events in written.values() {
        assert_eq!(events.iter().filter(|(_, kind)| kind == "SlaBreached").count(), 1);
        assert_eq!(events.iter().filter(|(_, kind)| kind == "Escalated").count(), 3);
    }
}
