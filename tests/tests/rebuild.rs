//! A rebuilt view equals the live one, byte for byte, over random histories made through the engine.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::{collections::BTreeSet, num::NonZeroU64, sync::Arc, time::Duration};

use docket_api::{
    clock::{Clock, ManualClock},
    engine::{Engine, NewCustomer, Principal, Request},
};
use docket_core::{
    access::{Role, Scope},
    desk::DeskConfig,
    ids::{AgentKey, Key, MessageId, Position, QueueKey, TicketId},
    personal::{Body, Personal},
    ticket::{Channel, Message, Opening, Priority, StatusCategory, StatusWish, TicketCommand},
    time::Timestamp,
};
use docket_projections::{
    Direction, LiveViews, Order, PageRequest, Projection, ReportPeriod, Spacing, TicketFilter, TicketRow, Views,
    Within, rebuild, snapshot,
};
use docket_store::{ContentStore, DataDir, EventLog, MemoryLog, SledLog, SledLogOptions};
use proptest::prelude::*;

const SHOP: &str = include_str!("../../examples/desks/small-shop.toml");

/// What happens next in a random history.
#[derive(Debug, Clone)]
enum Act {
    Open(usize, Priority),
    Write(usize),
    Answer(usize),
    Assign(usize, &'static str),
    Move(usize, &'static str),
    Status(usize, StatusCategory),
    Priority(usize, Priority),
    Tag(usize, bool),
    Wait(u64),
}

fn any_act() -> impl Strategy<Value = Act> {
    let ticket = 0..12_usize;
    let queue = || prop::sample::select(vec!["orders", "billing", "technical"]);
    let priority = || prop::sample::select(Priority::ALL.to_vec());
    prop_oneof![
        3 => (0..3_usize, priority()).prop_map(|(queue, priority)| Act::Open(queue, priority)),
        2 => ticket.clone().prop_map(Act::Write),
        2 => ticket.clone().prop_map(Act::Answer),
        2 => (ticket.clone(), prop::sample::select(vec!["ann", "boris", "ewa"])).prop_map(|(t, a)| Act::Assign(t, a)),
        1 => (ticket.clone(), queue()).prop_map(|(t, q)| Act::Move(t, q)),
        3 => (ticket.clone(), prop::sample::select(StatusCategory::ALL.to_vec())).prop_map(|(t, s)| Act::Status(t, s)),
        1 => (ticket.clone(), priority()).prop_map(|(t, p)| Act::Priority(t, p)),
        1 => (ticket, any::<bool>()).prop_map(|(t, on)| Act::Tag(t, on)),
        2 => (1..4_000_u64).prop_map(Act::Wait),
    ]
}

/// A working engine whose time is moved by hand.
struct Stage {
    engine: Arc<Engine>,
    clock: Arc<ManualClock>,
    tickets: Vec<TicketId>,
    principal: Principal,
}

impl Stage {
    async fn new(log: Arc<dyn EventLog>) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::parse("2026-03-27T08:00:00Z").unwrap()));
        // A ring so small that positions lie on its moments, between them and before them.
        let spacing = Spacing { commits: NonZeroU64::new(3).unwrap(), moments: 4 };
        let live = LiveViews::with_moments(Views::default(), spacing);
        tokio::spawn(Arc::clone(&live).follow(Arc::clone(&log)));
        let time: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let engine = Engine::new(log, live, ContentStore::new(std::path::Path::new("unused")), time);
        let desk: DeskConfig = toml::from_str(SHOP).unwrap();
        engine.apply_desk(&Principal::local(), desk, false, None).await.unwrap();
        Self { engine, clock, tickets: vec![], principal: Principal::local() }
    }

    async fn act(&mut self, n: usize, act: &Act) {
        let message = |text: &str| Message {
            id: MessageId::derived(self.clock.now(), &[text, &n.to_string()]),
            channel: Channel::Email,
            body: Body::inline(text),
        };
        let (ticket, command) = match act {
            Act::Wait(minutes) => {
                self.clock.advance(Duration::from_secs(minutes * 60));
                while self.engine.act_on_due().await.unwrap() > 0 {}
                return;
            }
            Act::Open(queue, priority) => {
                let queue = ["orders", "billing", "technical"][*queue];
                let opening = TicketCommand::Open(Opening {
                    channel: Channel::Email,
                    subject: Personal::from("A subject"),
                    queue: Some(QueueKey::try_new(queue).unwrap()),
                    priority: *priority,
                    category: None,
                    requester: None,
                    external: None,
                    by_agent: false,
                });
                let first = vec![TicketCommand::Receive { message: message("hello"), from: None }];
                let done = self.engine.open(&self.principal, opening, first, Request::default()).await.unwrap();
                self.tickets.push(done.ticket);
                return;
            }
            Act::Write(t) => (t, TicketCommand::Receive { message: message("again"), from: None }),
            Act::Answer(t) => (t, TicketCommand::Send { message: message("answer"), agent: None }),
            Act::Assign(t, agent) => (t, TicketCommand::AssignAgent(Some(AgentKey::from(Key::from_name(agent))))),
            Act::Move(t, queue) => (t, TicketCommand::Transfer(QueueKey::try_new(queue).unwrap())),
            Act::Status(t, category) => (t, TicketCommand::SetStatus(StatusWish::Category(*category))),
            Act::Priority(t, priority) => (t, TicketCommand::SetPriority(*priority)),
            Act::Tag(t, true) => (t, TicketCommand::AddTag("x".into())),
            Act::Tag(t, false) => (t, TicketCommand::RemoveTag("x".into())),
        };
        if let Some(id) = self.tickets.get(*ticket) {
            // What the rules refuse leaves no trace, and that is what is checked.
            let _ = self.engine.work(&self.principal, *id, vec![command], Request::default()).await;
        }
    }
}

fn folded(log: &dyn EventLog) -> Views {
    let mut views = Views::default();
    for commit in log.scan(Position::START).unwrap() {
        views.apply(&commit.unwrap());
    }
    views
}

#[track_caller]
fn same(a: &Views, b: &Views) {
    assert!(a.to_bytes().unwrap() == b.to_bytes().unwrap(), "views at {} and {} differ", a.position(), b.position());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn a_rebuilt_view_equals_the_live_one_over_random_histories(acts in prop::collection::vec(any_act(), 1..60), cut in any::<prop::sample::Index>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new());
            let mut stage = Stage::new(Arc::clone(&log)).await;
            for (n, act) in acts.iter().enumerate() {
                stage.act(n, act).await;
            }
            let live = stage.engine.views_at(log.head().position, Duration::from_secs(30)).await.unwrap();
            // From the beginning, in one go.
            same(&live, &folded(&*log));
            // By the machinery that serves, in chunks, beside another thread.
            let end = log.head().position;
            let rebuilt = rebuild(Views::default(), log.scan(Position::START).unwrap(), end, |_| true).unwrap().unwrap();
            same(&live, &rebuilt);
            // Interrupted anywhere: saved, read back, and gone on with.
            let all = log.read_all(Position::START, usize::MAX).unwrap();
            let mut half = Views::default();
            all[..cut.index(all.len())].iter().for_each(|commit| half.apply(commit));
            let dir = tempfile::tempdir().unwrap();
            snapshot::write(dir.path(), "log", &half).unwrap();
            let mut again = snapshot::load(dir.path(), "log", &*log).unwrap().unwrap();
            same(&half, &again);
            log.read_all(again.position(), usize::MAX).unwrap().iter().for_each(|commit| again.apply(commit));
            same(&live, &again);
            check_pages(&live);
            check_scopes(&live);
            // Any position of the past.
            let mut then = Views::default();
            for commit in &all {
                then.apply(commit);
                same(&then, &stage.engine.views_of(&stage.principal, commit.position).await.unwrap());
            }
            prop_assert!(stage.engine.views_of(&stage.principal, Position::START).await.is_err());
            prop_assert!(stage.engine.views_of(&stage.principal, end.next()).await.is_err());
            // A rebuilt set takes the place of the serving one in one step.
            stage.engine.live_views().replace(rebuilt).await.unwrap();
            same(&live, &stage.engine.views());
            Ok(())
        })?;
    }
}

/// What a scope shows is what all shows less what it does not cover, in pages, counts, timers and reports.
fn check_scopes(views: &Views) {
    let tickets = views.tickets();
    let queues: Vec<QueueKey> = tickets.queues.iter().map(|(_, queue)| queue.clone()).collect();
    let none = Scope::Queues(BTreeSet::new());
    let of_queues = queues.iter().map(|queue| Scope::Queues(BTreeSet::from([queue.clone()])));
    let own = tickets.rows().filter_map(|row| row.requester).map(Scope::Requester);
    for scope in [none, Scope::Queues(queues.iter().cloned().collect())].into_iter().chain(of_queues).chain(own) {
        let covered = |number: &u32| {
            tickets.by_number(*number).is_some_and(|row| {
                let queue = tickets.queues.name(row.queue).unwrap();
                scope.covers(row.requester, queue)
            })
        };
        for order in [Order::Number, Order::Priority, Order::DueAt, Order::Activity] {
            let request = PageRequest { order, limit: 1_000, ..PageRequest::default() };
            let of = |scope: &Scope| tickets.page(&tickets.within(scope), &TicketFilter::default(), &request);
            let numbers = |page: &docket_projections::Page| page.tickets.iter().map(|(n, _)| *n).collect::<Vec<_>>();
            let (all, seen) = (of(&Scope::Everything), of(&scope));
            let expected: Vec<u32> = numbers(&all).into_iter().filter(covered).collect();
            assert_eq!(numbers(&seen), expected, "{scope:?} {order:?}");
            assert_eq!(seen.total, expected.len() as u64);
        }
        let far = Timestamp::from_millis(i64::MAX / 4);
        let due = |scope: &Scope| views.due(&tickets.within(scope), far, usize::MAX);
        let expected: Vec<_> = due(&Scope::Everything).into_iter().filter(|entry| covered(&entry.number)).collect();
        assert_eq!(due(&scope), expected, "{scope:?}");
        let report = views.report_until(&tickets.within(&scope), ReportPeriod::default(), &[far], &|| false).unwrap();
        let count = tickets.rows().filter(|row| covered(&row.number)).count() as u64;
        assert_eq!(report.totals.created.tickets, count, "{scope:?}");
        let open = |row: &&TicketRow| covered(&row.number) && row.closed_at.is_none();
        assert_eq!(report.backlog[0].tickets, tickets.rows().filter(open).count() as u64, "{scope:?}");
        let clocks = |row: &TicketRow| row.clocks.clocks.len() as u64;
        let measured: u64 =
            report.sla.iter().map(|level| level.met + level.missed + level.active + level.cancelled).sum();
        let theirs: u64 = tickets.rows().filter(|row| covered(&row.number)).map(clocks).sum();
        assert_eq!(measured, theirs, "{scope:?}");
    }
}

/// Every order, walked forwards and backwards by pages of three, gives each ticket once, and equals sorting.
fn check_pages(views: &Views) {
    for order in [Order::Number, Order::Priority, Order::DueAt, Order::Activity] {
        for direction in [Direction::Ascending, Direction::Descending] {
            let filter = TicketFilter::default();
            let whole = PageRequest { order, direction, limit: 1_000, ..PageRequest::default() };
            let expected = views.tickets().page(&Within::EVERYTHING, &filter, &whole);
            assert_eq!(expected.tickets.len(), views.tickets().len());
            let (mut forward, mut after) = (Vec::new(), None);
            loop {
                let page =
                    views.tickets().page(&Within::EVERYTHING, &filter, &PageRequest { limit: 3, after, ..whole });
                forward.extend(page.tickets.iter().copied());
                after = page.tickets.last().map(|(_, cursor)| *cursor);
                if !page.has_next {
                    break;
                }
            }
            assert_eq!(forward, expected.tickets, "{order:?} {direction:?}");
            let (mut backward, mut before) = (Vec::new(), None);
            loop {
                let request = PageRequest { limit: 3, before, backward: true, ..whole };
                let page = views.tickets().page(&Within::EVERYTHING, &filter, &request);
                backward.splice(0..0, page.tickets.iter().copied());
                before = page.tickets.first().map(|(_, cursor)| *cursor);
                if !page.has_previous {
                    break;
                }
            }
            assert_eq!(backward, expected.tickets, "{order:?} {direction:?} backwards");
        }
    }
}

#[tokio::test]
async fn a_stop_of_a_day_ends_in_the_same_events_as_an_uninterrupted_run() {
    let due = |log: &dyn EventLog| -> Vec<String> {
        let commits = log.read_all(Position::START, usize::MAX).unwrap();
        let events = commits.iter().flat_map(|commit| commit.events.iter());
        events
            .filter_map(|event| {
                let stored = serde_json::to_value(event).unwrap();
                // When it was seen differs; that it was due, when, and in which order does not.
                Some(format!("{} {} {}", stored["type"], stored["data"]["metric"], stored["data"]["due_at"].as_i64()?))
            })
            .collect()
    };
    let mut runs = Vec::new();
    for step_minutes in [1, 24 * 60] {
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new());
        let mut stage = Stage::new(Arc::clone(&log)).await;
        for n in 0..5 {
            stage.act(n, &Act::Open(n % 3, Priority::ALL[n % 4])).await;
        }
        for n in 0..(2 * 24 * 60 / step_minutes) {
            stage.act(10 + usize::try_from(n).unwrap(), &Act::Wait(step_minutes)).await;
        }
        let mut seen = due(&*log);
        seen.sort();
        runs.push(seen);
    }
    assert!(runs[0].len() > 10, "{:?}", runs[0]);
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_commands_lose_nothing_and_answer_each_version_once() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(&dir.path().join("data"), ulid::Ulid::generate()).unwrap();
    let log: Arc<dyn EventLog> = Arc::new(SledLog::open(data, SledLogOptions::default()).unwrap());
    let mut stage = Stage::new(Arc::clone(&log)).await;
    stage.act(0, &Act::Open(0, Priority::Normal)).await;
    let id = stage.tickets[0];
    let tag = |n: usize| {
        let engine = Arc::clone(&stage.engine);
        async move {
            let command = vec![TicketCommand::AddTag(format!("tag-{n}"))];
            engine.work(&Principal::local(), id, command, Request::default()).await.is_ok()
        }
    };
    // Tags commute: every one of them arrives.
    let racing: Vec<_> = (0..40).map(|n| tokio::spawn(tag(n))).collect();
    let mut done = 0;
    for task in racing {
        done += usize::from(task.await.unwrap());
    }
    let views = stage.engine.views_at(log.head().position, Duration::from_secs(30)).await.unwrap();
    assert_eq!((views.tickets().by_id(&id).unwrap().tags.len(), done), (40, 40));
    // Answers to one version do not: one goes out.
    let version = views.tickets().by_id(&id).unwrap().version;
    let answers: Vec<_> = (0..10)
        .map(|n| {
            let engine = Arc::clone(&stage.engine);
            let message = Message {
                id: MessageId::derived(Timestamp::from_millis(n), &["a"]),
                channel: Channel::Email,
                body: Body::inline("answer"),
            };
            tokio::spawn(async move {
                let command = vec![TicketCommand::Send { message, agent: None }];
                let request = Request { expected: Some(version), ..Request::default() };
                engine.work(&Principal::local(), id, command, request).await.is_ok()
            })
        })
        .collect();
    let mut sent = 0;
    for answer in answers {
        sent += usize::from(answer.await.unwrap());
    }
    assert_eq!(sent, 1);
    same(&stage.engine.views_at(log.head().position, Duration::from_secs(30)).await.unwrap(), &folded(&*log));
}

#[tokio::test]
async fn customers_and_roles_are_checked_by_the_engine_itself() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new());
    let stage = Stage::new(log).await;
    let nobody = Principal { role: Role::Auditor, label: "auditor".into(), token: None };
    let customer = NewCustomer { name: "Carl".into(), ..NewCustomer::default() };
    assert!(stage.engine.register_customer(&nobody, customer, None).await.is_err());
    assert!(stage.engine.issue_token(&nobody, Role::Auditor, "x", None, None).await.is_err());
}
