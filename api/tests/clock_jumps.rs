//! The clock is set, forwards and back: instants within a stream never fall behind, nothing lasts less than nothing, and what
//! time causes is caused once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "these are tests")]

mod support;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use docket_api::{
    clock::{Clock, ManualClock},
    engine::{Engine, Principal, Request, explanations, latest, supposed},
    import::{Mapping, import},
};
use docket_core::{
    access::Role,
    desk::DeskConfig,
    event::{DatedEvent, Event},
    ids::{AgentKey, MessageId, Position, QueueKey, StreamId, TicketId},
    personal::Body,
    sla::Stretch,
    ticket::{Channel, Message, Note, Opening, Priority, StatusCategory, StatusWish, TicketCommand, TicketEvent},
    time::Timestamp,
};
use docket_projections::{LiveViews, ReportPeriod, Views};
use docket_store::{Append, ContentStore, EventLog, Expected, MemoryLog};
use serde_json::{Value, json};
use support::{Docket, PATIENCE, Server, root, shop::SHOP};
use ulid::Ulid;

const NOON: &str = "2026-03-02T12:00:00Z";
const HOUR: i64 = 3_600_000;

/// A desk with two queues, one of which takes tickets back, two agents, and a policy with this target of resolutions.
fn config(resolution: &str) -> DeskConfig {
    let mut config = DeskConfig::starter();
    config.queues = serde_json::from_value(json!([
        { "key": "inbox", "name": "Inbox", "default": true },
        { "key": "hot", "name": "Hot", "return_after": "45m" }
    ]))
    .unwrap();
    config.agents =
        serde_json::from_value(json!([{ "key": "ann", "name": "Ann" }, { "key": "bob", "name": "Bob" }])).unwrap();
    config.policies = serde_json::from_value(json!([{
        "key": "p", "name": "P", "warn_before": "10m", "pause": ["waiting"],
        "first_response": { "default": "1h" }, "next_response": { "default": "2h" }, "pick_up": { "default": "3h" },
        "resolution": { "default": resolution, "urgent": "2h" },
        "escalations": [{ "metric": "resolution", "after": "30m", "level": 1, "raise_priority": "high" },
            { "metric": "resolution", "after": "24h", "level": 2, "assign_agent": "bob" }]
    }]))
    .unwrap();
    config
}

struct Stage {
    clock: Arc<ManualClock>,
    log: Arc<MemoryLog>,
    engine: Arc<Engine>,
}

impl Stage {
    async fn new() -> Self {
        let stage = Self::over(Arc::default());
        stage.engine.apply_desk(&Principal::local(), config("4h"), false, None).await.unwrap();
        stage
    }

    /// An engine over a log that may hold something.
    fn over(log: Arc<MemoryLog>) -> Self {
        let live = LiveViews::new(Views::default());
        let shared: Arc<dyn EventLog> = Arc::<MemoryLog>::clone(&log);
        tokio::spawn(Arc::clone(&live).follow(Arc::clone(&shared)));
        let clock = Arc::new(ManualClock::new(Timestamp::parse(NOON).unwrap()));
        let time: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let engine = Engine::new(shared, live, ContentStore::new(Path::new("unused")), time);
        Self { clock, log, engine }
    }

    async fn open(&self) -> TicketId {
        let opening = TicketCommand::Open(Opening::new(Channel::Email, "Where is it?"));
        self.engine.open(&Principal::local(), opening, vec![], Request::default()).await.unwrap().ticket
    }

    async fn work(&self, id: TicketId, command: TicketCommand) {
        // What a rule refuses in this state is no matter here.
        let _ = self.engine.work(&Principal::local(), id, vec![command], Request::default()).await;
    }

    /// Lets the timers do all that there is to do.
    async fn timers(&self) {
        while self.engine.act_on_due().await.unwrap() > 0 {}
    }

    /// What the log holds, and what every view and report shows of it; gives the kinds of what time caused.
    fn check(&self) -> HashSet<&'static str> {
        self.check_views();
        self.check_log()
    }

    /// Nothing falls behind, and nothing is told twice; gives the kinds of what was told.
    fn check_log(&self) -> HashSet<&'static str> {
        let commits = self.log.read_all(Position::START, usize::MAX).unwrap();
        let mut instants: HashMap<StreamId, Timestamp> = HashMap::new();
        let mut told = HashSet::new();
        for commit in &commits {
            for event in &commit.events {
                let before = instants.insert(commit.stream, event.occurred_at).unwrap_or(Timestamp::MIN);
                assert!(before <= event.occurred_at, "{} falls behind at {}", commit.stream, commit.position);
                let Event::Ticket(event) = &event.event else { continue };
                let once = if let TicketEvent::SlaWarned(told) = event {
                    Some(("warned", Some(told.metric), told.instance, told.due_at, 0))
                } else if let TicketEvent::SlaBreached(told) = event {
                    Some(("breached", Some(told.metric), told.instance, told.due_at, 0))
                } else if let TicketEvent::Escalated(told) = event {
                    let step = told.step.as_ref();
                    step.map(|step| ("step", Some(step.metric), step.instance, step.due_at, step.level))
                } else if let TicketEvent::ReturnedToQueue(told) = event {
                    Some(("returned", None, 0, told.due_at, 0))
                } else {
                    None
                };
                if let Some(once) = once {
                    assert!(told.insert((commit.stream, once)), "{once:?} twice, at {}", commit.position);
                }
            }
        }
        told.into_iter().map(|(_, (kind, ..))| kind).collect()
    }

    /// Nothing lasts less than nothing, whatever the log holds.
    fn check_views(&self) {
        let (views, now, whole) = (self.engine.views(), self.engine.now(), ReportPeriod::default());
        let commits = self.log.read_all(Position::START, usize::MAX).unwrap();
        let periods = [whole, ReportPeriod { to: Some(now), ..whole }, ReportPeriod { from: Some(now), ..whole }];
        for report in periods.map(|period| views.report(period, &[now, latest(&commits, now)])) {
            not_negative(&serde_json::to_value(&report).unwrap());
        }
        not_negative(
            &serde_json::to_value(views.queue_counters(&QueueKey::try_new("inbox").unwrap(), now).by_category).unwrap(),
        );
        let mut supposed = supposed(&views, config("30m")).unwrap();
        commits.iter().for_each(|commit| supposed.apply(commit));
        not_negative(&serde_json::to_value(supposed.compare(&views, whole).groups).unwrap());
        for row in views.tickets().rows() {
            let history = self.log.read_stream(StreamId::Ticket(row.id), Position::START).unwrap();
            let explained = explanations(&history, &views, latest(&history, self.engine.now()));
            assert_eq!(explained.is_empty(), row.clocks.clocks.is_empty(), "ticket {}", row.number);
            for explanation in explained {
                assert!(explanation.intervals.iter().all(|interval| interval.from <= interval.to), "{explanation}");
                let overran = explanation.intervals.iter().any(|interval| interval.stretch == Stretch::Overrun);
                assert!(!(overran && explanation.clock.met() == Some(true)), "met, and over time: {explanation}");
            }
        }
    }
}

/// No number in it is below nothing.
fn not_negative(value: &Value) {
    match value {
        Value::Number(number) => assert!(number.as_f64().unwrap() >= 0.0, "{number}"),
        Value::Array(all) => all.iter().for_each(not_negative),
        Value::Object(all) => all.iter().for_each(|(name, value)| {
            // Instants may lie before 1970; durations and counts may not.
            if name != "at" && name != "from" && name != "to" {
                not_negative(value);
            }
        }),
        // Lengths of time in ISO 8601.
        Value::String(text) => assert!(!text.starts_with("-P"), "{text}"),
        Value::Null | Value::Bool(_) => {}
    }
}

fn message(text: &str) -> Message {
    Message { id: MessageId::new(Ulid::generate()), channel: Channel::Email, body: Body::inline(text) }
}

/// Something that may be asked of a ticket.
fn any_command(rng: &mut fastrand::Rng) -> TicketCommand {
    let agent = [None, AgentKey::try_new("ann").ok(), AgentKey::try_new("bob").ok()][rng.usize(..3)].clone();
    match rng.u8(0..11) {
        0 | 1 => reply(),
        2 => TicketCommand::Receive { message: message("Any news?"), from: None },
        3 => TicketCommand::AddTag(format!("t{}", rng.u8(..))),
        4 => TicketCommand::SetPriority(Priority::ALL[rng.usize(..Priority::ALL.len())]),
        5 => TicketCommand::Transfer(QueueKey::try_new(["inbox", "hot"][rng.usize(..2)]).unwrap()),
        6 | 7 => TicketCommand::AssignAgent(agent),
        8 => {
            let Message { id, body, .. } = message("Looked at");
            TicketCommand::AddNote { note: Note { id, body }, agent }
        }
        _ => {
            let to = StatusCategory::ALL[rng.usize(..StatusCategory::ALL.len())];
            TicketCommand::SetStatus(StatusWish::Category(to))
        }
    }
}

fn reply() -> TicketCommand {
    TicketCommand::Send { message: message("It is on its way."), agent: None }
}

#[tokio::test]
async fn a_ticket_that_is_answered_and_resolved_after_the_clock_was_set_back_took_no_negative_time() {
    let stage = Stage::new().await;
    let noon = stage.engine.now();
    let id = stage.open().await;
    stage.clock.set(noon.plus_millis(-2 * HOUR));
    stage.work(id, reply()).await;
    stage.work(id, TicketCommand::SetStatus(StatusWish::Category(StatusCategory::Resolved))).await;
    stage.timers().await;
    stage.check();
    let history = stage.log.read_stream(StreamId::Ticket(id), Position::START).unwrap();
    assert!(history.len() >= 3);
    assert!(history.iter().flat_map(|commit| &commit.events).all(|event| event.occurred_at == noon));
    // What the clock said is kept beside it.
    assert_eq!(history.last().unwrap().recorded_at, noon.plus_millis(-2 * HOUR));
    let explained = explanations(&history, &stage.engine.views(), latest(&history, stage.engine.now()));
    assert!(!explained.is_empty(), "the clocks are told of without an instant");
}

#[tokio::test]
async fn instants_of_the_desk_and_of_tokens_do_not_fall_behind_either() {
    let stage = Stage::new().await;
    let noon = stage.engine.now();
    for hours in [0, -5, 3, -1] {
        stage.clock.set(noon.plus_millis(hours * HOUR));
        let issued = (0..8).map(|n| {
            let engine = Arc::clone(&stage.engine);
            async move { engine.issue_token(&Principal::local(), Role::Auditor, &format!("{n}"), None, None).await }
        });
        assert!(futures_util::future::join_all(issued).await.into_iter().all(|issued| issued.is_ok()));
    }
    stage.check();
    assert_eq!(stage.log.stream_positions(StreamId::Access, Position::START).unwrap().len(), 32);
}

#[tokio::test]
async fn whatever_is_done_under_whatever_clock_nothing_falls_behind_nothing_is_negative_and_nothing_is_told_twice() {
    let mut caused = HashSet::new();
    for seed in 0..60_u64 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let stage = Stage::new().await;
        let mut ids = vec![stage.open().await];
        for _ in 0..40 {
            let id = ids[rng.usize(..ids.len())];
            match rng.u8(0..14) {
                0 => ids.push(stage.open().await),
                1..=6 => stage.work(id, any_command(&mut rng)).await,
                7 => {
                    let resolution = ["1h", "4h", "12h"][rng.usize(..3)];
                    stage.engine.apply_desk(&Principal::local(), config(resolution), false, None).await.unwrap();
                    stage.engine.reapply_policies(&Principal::local(), false, None).await.unwrap();
                }
                8 | 9 => stage.timers().await,
                10 => stage.clock.set(stage.engine.now().plus_millis(-(rng.i64(0..48 * HOUR)))),
                11 => stage.clock.set(stage.engine.now().plus_millis(rng.i64(0..400 * 24 * HOUR))),
                _ => stage.clock.advance(Duration::from_secs(rng.u64(0..7_200))),
            }
        }
        stage.timers().await;
        caused.extend(stage.check());
    }
    // All of it was tried.
    assert_eq!(caused, HashSet::from(["warned", "breached", "step", "returned"]));
}

#[tokio::test]
async fn what_an_early_log_with_instants_that_fall_behind_says_lasted_less_than_nothing_lasted_nothing() {
    let written = Stage::new().await;
    let id = written.open().await;
    for to in [StatusCategory::Waiting, StatusCategory::Open, StatusCategory::Resolved, StatusCategory::Open] {
        written.work(id, reply()).await;
        written.work(id, TicketCommand::SetStatus(StatusWish::Category(to))).await;
    }
    written.work(id, TicketCommand::SetStatus(StatusWish::Category(StatusCategory::Closed))).await;
    // The same as a version wrote it that took the clock's word: every commit of the ticket an hour before the last one.
    let noon = written.engine.now();
    let early = Stage::over(Arc::default());
    let mut fallen = 0;
    for commit in written.log.read_all(Position::START, usize::MAX).unwrap() {
        let is_ticket = matches!(commit.stream, StreamId::Ticket(_));
        let at = noon.plus_millis(-fallen * HOUR);
        fallen += i64::from(is_ticket);
        let events = commit.events.iter().map(|event| DatedEvent { occurred_at: at, event: event.event.clone() });
        let append = Append {
            id: commit.id,
            stream: commit.stream,
            expected: Expected::Any,
            guards: Vec::new(),
            events: events.collect(),
            recorded_at: at,
            actor: commit.actor.clone(),
            cause: commit.cause.clone(),
            correlation: commit.correlation,
            token: commit.token,
            request: commit.request,
        };
        early.log.append(append).await.unwrap();
    }
    assert!(fallen >= 8, "{fallen} commits");
    early.engine.views_at(early.log.head().position, PATIENCE).await.unwrap();
    for hours in [0, -4, -24, 24] {
        early.clock.set(noon.plus_millis(hours * HOUR));
        early.check_views();
    }
    let report = early.engine.views().report(ReportPeriod::default(), &[noon]).totals;
    assert_eq!((report.first_response.n, report.first_response.max_s), (1, Some(0.0)));
    assert_eq!((report.last_resolution.n, report.last_resolution.max_s), (1, Some(0.0)));
    // What happens to it now comes after all that is there, not only after what was written last.
    early.clock.set(noon.plus_millis(-24 * HOUR));
    early.work(id, TicketCommand::AddTag("late".into())).await;
    let last = early.log.read_last(StreamId::Ticket(id)).unwrap().unwrap();
    assert_eq!((last.events[0].occurred_at, last.recorded_at), (noon, noon.plus_millis(-24 * HOUR)));
    early.check_views();
}

#[tokio::test]
async fn what_an_import_makes_of_the_desk_does_not_fall_behind_either() {
    const MAPPING: &str = r#"
        source = "old"
        [time]
        format = "%Y-%m-%d %H:%M"
        zone = "UTC"
        [ticket]
        key = "ticket"
        subject = "{ticket}"
        [event]
        at = "at"
        [status]
        column = "status"
        values = {}
        unknown = "open"
    "#;
    let stage = Stage::new().await;
    let noon = stage.engine.now();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tickets.csv");
    std::fs::write(&file, "ticket,at,status\nT1,2020-02-03 04:05,Pending\n").unwrap();
    stage.clock.set(noon.plus_millis(-2 * HOUR));
    let (mapping, views) = (Mapping::parse(MAPPING).unwrap(), stage.engine.views());
    let report = import(&*stage.log, &views, &mapping, &[file], stage.engine.now(), false, |_| {}).unwrap();
    assert_eq!((report.tickets, report.bad_row_count), (1, 0));
    stage.engine.views_at(stage.log.head().position, PATIENCE).await.unwrap();
    stage.check();
    let made = stage.log.read_last(StreamId::Desk).unwrap().unwrap();
    assert_eq!((made.events[0].occurred_at, made.recorded_at), (noon, noon.plus_millis(-2 * HOUR)));
    // What is imported keeps the instants that it had.
    let ticket = stage.engine.views().tickets().by_number(1).unwrap().clone();
    assert_eq!(ticket.opened_at, Timestamp::parse("2020-02-03T04:05:00Z").unwrap());
}

#[tokio::test]
async fn a_token_ends_by_the_clock_also_after_the_clock_was_far_ahead() {
    let stage = Stage::new().await;
    let noon = stage.engine.now();
    let issue = |hours: i64| {
        let (engine, end) = (Arc::clone(&stage.engine), noon.plus_millis(hours * HOUR));
        async move { engine.issue_token(&Principal::local(), Role::Auditor, "t", Some(end), None).await }
    };
    stage.clock.set(noon.plus_millis(400 * 24 * HOUR));
    issue(401 * 24).await.unwrap();
    stage.clock.set(noon);
    // It is made and holds, although what stands in the stream of tokens is later than its end.
    let secret = issue(1).await.unwrap().secret.unwrap();
    assert!(stage.engine.authenticate(&secret).is_some());
    stage.clock.advance(Duration::from_secs(3_600));
    assert!(stage.engine.authenticate(&secret).is_none());
    assert!(issue(1).await.is_err(), "an end that is not in the future is refused");
    stage.check();
}

/// The library that tells a process another time; `None`, with a printed word, where it is not installed.
fn faketime() -> Option<PathBuf> {
    let directories = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let found = directories
        .chain([PathBuf::from("/usr/lib"), PathBuf::from("/usr/local/lib")])
        .map(|dir| dir.join("faketime/libfaketime.so.1"))
        .find(|path| path.is_file());
    if found.is_none() {
        println!("skipped: libfaketime is not installed");
    }
    found
}

/// A server whose wall clock is set by hand, while its monotonic clock runs on as a real machine's does.
struct Jumping {
    docket: Docket,
    server: Server,
    token: String,
    file: PathBuf,
}

impl Jumping {
    fn start(library: &Path) -> Self {
        let docket = Docket::new();
        docket.ok(&["apply", root().join(SHOP).to_str().unwrap()]);
        let token = docket.token(&["--role", "administrator"]);
        let file = docket.write("clock", "+0");
        let mut command = docket.command(&["serve", "--listen", "127.0.0.1:0"]);
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", &file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1")
            .stderr(std::process::Stdio::null());
        let server = docket.serve_by(command);
        Self { docket, server, token, file }
    }

    /// Sets the server's wall clock.
    fn set(&self, instant: &str) {
        let wanted = Timestamp::parse(instant).unwrap();
        let offset = wanted.millis_since(docket_api::clock::SystemClock.now()) as f64 / 1_000.0;
        let making = self.docket.write("clock.new", &format!("{offset:+.3}"));
        std::fs::rename(making, &self.file).unwrap();
    }

    async fn open(&self) -> String {
        let open = "mutation { ticketOpen(input: { subject: \"It is down\", body: \"Help\", queue: \"queue_technical\",
            priority: URGENT }) { ticket { id } userErrors { message } } }";
        let made = self.server.data(&self.token, open, json!({})).await;
        made["ticketOpen"]["ticket"]["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
    }

    /// Something happens to a ticket: whoever waits for the views looks at the clock again.
    async fn note(&self, id: &str) {
        let note =
            "mutation ($id: ID!) { ticketAddNote(id: $id, input: { body: \"Looked at\" }) { userErrors { message } } }";
        let made = self.server.data(&self.token, note, json!({ "id": id })).await;
        assert_eq!(made["ticketAddNote"]["userErrors"], json!([]), "{made}");
    }

    /// What clients are told of a ticket that the clock is behind: all its clocks, and nothing negative.
    async fn check_behind(&self, id: &str) {
        let ask = "query ($id: ID!) {
            ticket(id: $id) { updatedAt slaClocks { breachedAt } slaExplanations { breachedAt intervals { length } text } }
            report { totals { firstResponse { min mean } lastResolution { min mean } } backlog { tickets } }
            serverStatus { now }
        }";
        let told = self.server.data(&self.token, ask, json!({ "id": id })).await;
        let ticket = &told["ticket"];
        assert!(told["serverStatus"]["now"].as_str() < ticket["updatedAt"].as_str(), "the clock is behind: {told}");
        for all in [&ticket["slaClocks"], &ticket["slaExplanations"]] {
            let all = all.as_array().unwrap();
            assert_eq!(all.len(), 3, "{told}");
            assert!(all.iter().all(|one| one["breachedAt"].is_string()), "{told}");
        }
        not_negative(&told);
    }

    /// All events as `docket replay` tells them.
    fn events(&self) -> Vec<Value> {
        let lines = self.docket.ok(&["replay", "--json"]);
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Warnings, breaches and steps of all tickets so far.
    fn told(&self) -> usize {
        self.events().iter().filter(|event| told(event).is_some()).count()
    }

    /// Waits until so many were told.
    fn wait(&self, count: usize, what: &str) {
        let begun = Instant::now();
        loop {
            let told = self.told();
            if told == count {
                return;
            }
            assert!(told < count && begun.elapsed() < PATIENCE, "{what}: {told} of {count}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What an event of time tells, as one text; the same never twice.
fn told(event: &Value) -> Option<String> {
    let data = &event["data"];
    let step = if event["type"] == "Escalated" { &data["step"] } else { data };
    let is_one = matches!(event["type"].as_str(), Some("SlaWarned" | "SlaBreached")) || step["step_at"].is_number();
    let name = |part: &str| step[part].to_string();
    is_one.then(|| {
        [event["type"].to_string(), event["stream"].to_string()]
            .into_iter()
            .chain(["track", "metric", "instance", "due_at", "level"].map(name))
            .collect::<Vec<_>>()
            .join(" ")
    })
}

/// Of an urgent technical ticket that nobody answers: a warning and a breach of the first response and of the resolution, two
/// steps, and the breach of the internal agreement.
const TOLD: usize = 7;

#[tokio::test]
async fn a_server_whose_clock_jumps_tells_every_warning_breach_and_step_once_and_nothing_negative() {
    let Some(library) = faketime() else { return };
    let jumping = Jumping::start(&library);
    let mut tickets = 0;
    jumping.set("2026-03-02T09:00:00Z");
    let first = jumping.open().await;
    // Two days back: what happens then does not fall behind, and nothing comes due.
    jumping.set("2026-02-28T09:00:00Z");
    jumping.note(&first).await;
    assert_eq!(jumping.told(), 0);
    // Four hundred days on, back, and on again. Nobody nudges the server: it sleeps, and is to notice.
    jumping.set("2027-04-06T09:00:00Z");
    tickets += 1;
    jumping.wait(TOLD * tickets, "four hundred days on");
    jumping.set("2026-03-02T10:00:00Z");
    jumping.note(&first).await;
    jumping.check_behind(&first).await;
    let second = jumping.open().await;
    jumping.set("2027-04-06T10:00:00Z");
    tickets += 1;
    jumping.wait(TOLD * tickets, "on again");
    // Both changes of the clocks, in the zone of the policy's calendar, and the end of 32 bits.
    for (before, after) in [
        ("2028-03-25T22:00:00Z", "2028-03-30T22:00:00Z"),
        ("2028-10-28T22:00:00Z", "2028-11-02T22:00:00Z"),
        ("2038-01-18T22:00:00Z", "2038-01-23T22:00:00Z"),
    ] {
        jumping.set(before);
        jumping.open().await;
        let within = Timestamp::parse(before).unwrap().plus_millis(9 * HOUR).to_string();
        jumping.set(&within);
        jumping.note(&second).await;
        jumping.set(after);
        tickets += 1;
        jumping.wait(TOLD * tickets, before);
    }
    let Jumping { docket, server, file, .. } = jumping;
    assert!(server.terminate().success());
    drop(file);
    let lines = docket.ok(&["replay", "--json"]);
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut instants: HashMap<String, String> = HashMap::new();
    let mut once = HashSet::new();
    for event in &events {
        let at = event["occurred_at"].as_str().unwrap().to_owned();
        let before = instants.insert(event["stream"].to_string(), at.clone()).unwrap_or_default();
        assert!(before <= at, "{event}");
        if let Some(told) = told(event) {
            assert!(once.insert(told), "twice: {event}");
        }
    }
    assert_eq!(once.len(), TOLD * tickets);
    not_negative(&docket.ok_json(&["report"]));
    for number in 1..=tickets {
        let explained = docket.ok_json(&["explain", &number.to_string()]);
        assert_eq!(explained.as_array().unwrap().len(), 3, "{explained}");
        not_negative(&explained);
    }
    println!("{tickets} tickets, {} warnings, breaches and steps, each once", once.len());
}
