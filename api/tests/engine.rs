//! The engine with its time moved by hand: races with the desk, tickets that cannot be worked on, and turns.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::{path::Path, sync::Arc, time::Duration};

use docket_api::{
    clock::{Clock, ManualClock},
    engine::{Applied, Engine, EngineError, Principal, Request},
};
use docket_core::{
    access::Role,
    desk::{AgentDefined, AgentDefinition, DeskConfig, DeskEvent, QueueRetired, QueueRight},
    event::{Actor, Cause, CauseKind, DatedEvent, Event},
    ids::{AgentKey, CommitId, CorrelationId, Position, QueueKey, StreamId, TicketId},
    rejection::Rejection,
    ticket::{Channel, Opening, StatusCategory, StatusWish, TagAdded, Ticket, TicketCommand, TicketEvent},
    time::Timestamp,
};
use docket_projections::{LiveViews, Views};
use docket_store::{
    Append, AppendError, BoxFuture, Commits, ContentStore, EventLog, Expected, Head, MemoryLog, Page, ReadError,
};
use tokio::sync::watch;

const NOW: &str = "2026-03-02T09:00:00Z";

/// A log of which one stream cannot be read, and another one holds what only a newer program knows.
#[derive(Default)]
struct Damaged {
    log: MemoryLog,
    stream: std::sync::Mutex<Option<StreamId>>,
    newer: std::sync::Mutex<Option<StreamId>>,
    /// What somebody else stores just before the next commit of a ticket.
    between: std::sync::Mutex<Option<Append>>,
}

impl EventLog for Damaged {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Position, AppendError>> {
        if matches!(append.stream, StreamId::Ticket(_))
            && let Some(between) = self.between.lock().unwrap().take()
        {
            self.log.append_all(vec![between]).remove(0).unwrap();
        }
        self.log.append(append)
    }
    fn append_all(&self, appends: Vec<Append>) -> Vec<Result<Position, AppendError>> {
        self.log.append_all(appends)
    }
    fn head(&self) -> Head {
        self.log.head()
    }
    fn watch_head(&self) -> watch::Receiver<Head> {
        self.log.watch_head()
    }
    fn read_page(&self, after: Position, page: Page) -> Result<Vec<Arc<docket_core::event::Commit>>, ReadError> {
        self.log.read_page(after, page)
    }
    fn read_stream(
        &self,
        stream: StreamId,
        after: Position,
    ) -> Result<Vec<Arc<docket_core::event::Commit>>, ReadError> {
        if *self.stream.lock().unwrap() == Some(stream) {
            return Err(ReadError::Database { volume: 1, reason: "it is damaged".into() });
        }
        let mut commits = self.log.read_stream(stream, after)?;
        if *self.newer.lock().unwrap() == Some(stream) {
            for commit in &mut commits {
                let unknown = Event::Unknown { type_name: "Merged".into(), version: 1 };
                let at = commit.recorded_at;
                Arc::make_mut(commit).events.push(DatedEvent::new(at, unknown));
            }
        }
        Ok(commits)
    }
    fn find(&self, id: CommitId) -> Result<Option<Position>, ReadError> {
        self.log.find(id)
    }
    fn scan(&self, after: Position) -> Result<Commits<'_>, ReadError> {
        self.log.scan(after)
    }
    fn read_only(&self) -> Option<String> {
        None
    }
}

struct Stage {
    clock: Arc<ManualClock>,
    log: Arc<Damaged>,
    engine: Arc<Engine>,
}

fn policies(target: &str) -> DeskConfig {
    let mut config = DeskConfig::starter();
    let policy = format!("[{{\"key\": \"p\", \"name\": \"P\", \"resolution\": {{\"default\": \"{target}\"}}}}]");
    config.policies = serde_json::from_str(&policy).unwrap();
    config
}

impl Stage {
    async fn new() -> Self {
        let log = Arc::<Damaged>::default();
        let stage = Self::over(log);
        stage.engine.apply_desk(&Principal::local(), policies("1h"), false, None).await.unwrap();
        stage
    }

    /// An engine that has seen nothing yet of this log.
    fn over(log: Arc<Damaged>) -> Self {
        let live = LiveViews::new(Views::default());
        let shared: Arc<dyn EventLog> = Arc::<Damaged>::clone(&log);
        tokio::spawn(Arc::clone(&live).follow(Arc::clone(&shared)));
        let clock = Arc::new(ManualClock::new(Timestamp::parse(NOW).unwrap()));
        let time: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let engine = Engine::new(shared, live, ContentStore::new(Path::new("unused")), time);
        Self { clock, log, engine }
    }

    async fn open(&self, subject: &str) -> TicketId {
        let opening = TicketCommand::Open(Opening::new(Channel::Email, subject));
        self.engine.open(&Principal::local(), opening, vec![], Request::default()).await.unwrap().ticket
    }

    async fn tag(&self, id: TicketId, tag: &str) -> Result<Position, EngineError> {
        let tag = TicketCommand::AddTag(tag.to_owned());
        let done = self.engine.work(&Principal::local(), id, vec![tag], Request::default()).await;
        done.map(|done| done.position)
    }

    fn breaches(&self) -> usize {
        let commits = self.log.read_all(Position::START, usize::MAX).unwrap();
        let events = commits.iter().flat_map(|commit| &commit.events);
        events.filter(|event| matches!(event.event, Event::Ticket(TicketEvent::SlaBreached(_)))).count()
    }
}

#[tokio::test]
async fn one_bad_ticket_harms_one_ticket() {
    let stage = Stage::new().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(stage.open(&format!("Ticket {n}")).await);
        stage.clock.advance(Duration::from_secs(1));
    }
    // Another engine over the same log has folded none of them yet; the first one cannot be read.
    *stage.log.stream.lock().unwrap() = Some(StreamId::Ticket(ids[0]));
    let other = Stage::over(Arc::clone(&stage.log));
    other.engine.views_at(stage.log.head().position, Duration::from_secs(10)).await.unwrap();
    other.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(other.engine.act_on_due().await.unwrap(), 4);
    assert_eq!(stage.breaches(), 4, "the later ones are not held up");
    let aside = other.engine.set_aside();
    assert_eq!(aside.iter().map(|aside| aside.number).collect::<Vec<_>>(), [1]);
    assert!(aside[0].reason.contains("it is damaged"), "{aside:?}");
    // It is left alone, neither tried at every commit nor forgotten.
    assert_eq!(other.engine.act_on_due().await.unwrap(), 0);
    assert_eq!(other.engine.set_aside(), aside);
    // Runs over many tickets go on too.
    other.engine.apply_desk(&Principal::local(), policies("4h"), false, None).await.unwrap();
    let reapplied = other.engine.reapply_policies(&Principal::local(), false, None).await.unwrap();
    assert_eq!(reapplied.set_aside, [1]);
    // Mended, it is tried again after a while.
    *stage.log.stream.lock().unwrap() = None;
    other.clock.advance(Duration::from_secs(301));
    assert_eq!(other.engine.act_on_due().await.unwrap(), 1);
    assert_eq!(other.engine.set_aside(), []);
    assert_eq!(stage.breaches(), 5);
}

#[tokio::test]
async fn a_ticket_that_was_set_aside_far_ahead_is_tried_when_it_is_due_once_the_clock_is_right_again() {
    let stage = Stage::new().await;
    let id = stage.open("Ticket").await;
    *stage.log.stream.lock().unwrap() = Some(StreamId::Ticket(id));
    let other = Stage::over(Arc::clone(&stage.log));
    other.engine.views_at(stage.log.head().position, Duration::from_secs(10)).await.unwrap();
    other.clock.advance(Duration::from_secs(400 * 86_400));
    assert_eq!(other.engine.act_on_due().await.unwrap(), 0);
    assert_eq!(other.engine.set_aside().len(), 1);
    // The clock is set right and the ticket mended: it does not wait for four hundred days.
    *stage.log.stream.lock().unwrap() = None;
    other.clock.set(Timestamp::parse(NOW).unwrap().plus_millis(2 * 3_600_000));
    assert_eq!(other.engine.act_on_due().await.unwrap(), 1);
    assert_eq!((stage.breaches(), other.engine.set_aside()), (1, vec![]));
}

#[tokio::test]
async fn a_ticket_that_a_newer_program_wrote_on_is_set_aside_by_name() {
    let stage = Stage::new().await;
    let (id, other_id) = (stage.open("x").await, stage.open("y").await);
    *stage.log.newer.lock().unwrap() = Some(StreamId::Ticket(id));
    // An engine that has folded neither of them yet.
    let other = Stage::over(Arc::clone(&stage.log));
    other.engine.views_at(stage.log.head().position, Duration::from_secs(10)).await.unwrap();
    let refused = other.tag(id, "t").await;
    assert!(
        matches!(&refused, Err(EngineError::Ticket { reason, .. }) if reason.contains("Merged 1: use a newer docket")),
        "{refused:?}"
    );
    other.tag(other_id, "t").await.unwrap();
    other.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(other.engine.act_on_due().await.unwrap(), 1);
    let aside = other.engine.set_aside();
    assert!(matches!(&aside[..], [one] if one.number == 1 && one.reason.contains("Merged 1")), "{aside:?}");
}

#[tokio::test]
async fn a_kept_ticket_equals_the_folded_one_whatever_the_desk_does_meanwhile() {
    let stage = Stage::new().await;
    let mut ids = Vec::new();
    for n in 0..8 {
        ids.push(stage.open(&format!("Ticket {n}")).await);
    }
    // Three engines over one log, each with views that follow at their own pace, work and change the desk at once.
    let stages: Vec<Stage> = (0..3).map(|_| Stage::over(Arc::clone(&stage.log))).collect();
    for other in &stages {
        other.engine.views_at(stage.log.head().position, Duration::from_secs(10)).await.unwrap();
    }
    let work = (0..300_usize).map(|n| {
        let (other, id) = (&stages[n % 3], ids[n * 7 % 8]);
        async move {
            match n % 10 {
                0 => {
                    let config = policies(&format!("{}m", 30 + n));
                    let _ = other.engine.apply_desk(&Principal::local(), config, false, None).await;
                }
                1 => {
                    let category = if n % 20 == 1 { StatusCategory::Resolved } else { StatusCategory::Open };
                    let set = TicketCommand::SetStatus(StatusWish::Category(category));
                    let _ = other.engine.work(&Principal::local(), id, vec![set], Request::default()).await;
                }
                2 => {
                    let again = vec![TicketCommand::ReapplyPolicies];
                    let _ = other.engine.work(&Principal::local(), id, again, Request::default()).await;
                }
                _ => _ = other.tag(id, &format!("t{n}")).await,
            }
        }
    });
    futures_util::StreamExt::collect::<Vec<()>>(futures_util::StreamExt::buffer_unordered(
        futures_util::stream::iter(work),
        16,
    ))
    .await;
    let mut compared = 0;
    for (id, other) in ids.iter().flat_map(|id| stages.iter().map(move |other| (*id, other))) {
        let Some((version, kept)) = other.engine.kept(id) else { continue };
        // Each commit with the desk of its own position.
        let mut views = Views::default();
        let mut state = None;
        for commit in stage.log.read_all(Position::START, usize::MAX).unwrap() {
            docket_projections::Projection::apply(&mut views, &commit);
            if commit.stream == StreamId::Ticket(id) && commit.position <= version {
                for event in &commit.events {
                    if let Event::Ticket(ticket_event) = &event.event {
                        state = Ticket::evolve(state, ticket_event, event.occurred_at, views.desk().desk());
                    }
                }
            }
        }
        assert_eq!(kept.as_deref(), state.as_ref());
        compared += 1;
    }
    assert!(compared >= 8, "{compared}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expensive_questions_share_turns_and_are_given_up_when_nobody_waits() {
    let stage = Stage::new().await;
    let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
    let ended = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let ask = |engine: Arc<Engine>| {
        let (started, ended) = (started.clone(), Arc::clone(&ended));
        tokio::spawn(async move {
            let work = move |stop: &docket_api::engine::Stop| {
                started.send(()).unwrap();
                while !stop.is_wanted() {
                    std::thread::yield_now();
                }
                ended.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                Ok(())
            };
            engine.in_turn(work).await
        })
    };
    let (one, two) = (ask(Arc::clone(&stage.engine)), ask(Arc::clone(&stage.engine)));
    starts.recv().await.unwrap();
    starts.recv().await.unwrap();
    // Both turns are taken: a third one is told when to come back, and the runtime is free all the while.
    let third = ask(Arc::clone(&stage.engine)).await.unwrap();
    assert!(matches!(third, Err(EngineError::Busy { retry_after_s: 1.. })), "{third:?}");
    stage.tag(stage.open("meanwhile").await, "t").await.unwrap();
    // Whoever asked goes away: the work ends and gives its turn back.
    one.abort();
    two.abort();
    let answered = stage.engine.in_turn(|_| Ok(7)).await.unwrap();
    assert_eq!(answered, 7);
    assert!(ended.load(std::sync::atomic::Ordering::SeqCst) >= 1);
}

#[tokio::test]
async fn a_deadline_that_has_passed_is_on_record_before_anything_ends_its_clock() {
    let stage = Stage::new().await;
    let id = stage.open("x").await;
    let version = stage.tag(id, "t").await.unwrap();
    stage.clock.advance(Duration::from_secs(2 * 3600));
    // No timer has run; who resolves it saw the ticket before the deadline was written down.
    let resolve = vec![TicketCommand::SetStatus(StatusWish::Category(StatusCategory::Resolved))];
    let request = Request { expected: Some(version), ..Request::default() };
    stage.engine.work(&Principal::local(), id, resolve, request).await.unwrap();
    assert_eq!(stage.breaches(), 1);
    let last = stage.log.read_all(Position::START, usize::MAX).unwrap();
    let [.., breach, resolved] = &last[..] else { panic!("{last:?}") };
    assert_eq!((&breach.actor, breach.cause.kind), (&Actor::System, CauseKind::Timer));
    assert!(breach.events[0].occurred_at < resolved.events[0].occurred_at);
    assert_eq!(stage.engine.act_on_due().await.unwrap(), 0);
    assert_eq!(stage.breaches(), 1);
}

/// The desk is changed between a decision about a ticket and the storing of it.
fn changed_meanwhile(stage: &Stage, name: &str, change: DeskEvent) {
    let now = stage.clock.now();
    *stage.log.between.lock().unwrap() = Some(Append {
        id: CommitId::derived(now, &[name]),
        stream: StreamId::Desk,
        expected: Expected::Any,
        guards: vec![],
        events: vec![DatedEvent::new(now, Event::Desk(Box::new(change)))],
        recorded_at: now,
        actor: Actor::System,
        cause: Cause::of(CauseKind::Request),
        correlation: CorrelationId::derived(now, &[name]),
        token: None,
        request: None,
    });
}

/// The queue leaves meanwhile.
fn retired_meanwhile(stage: &Stage, queue: &str) {
    let retired = QueueRetired { key: QueueKey::try_new(queue).unwrap() };
    changed_meanwhile(stage, queue, retired.into());
}

#[tokio::test]
async fn nobody_acts_by_a_right_that_is_taken_away_while_it_is_decided() {
    let stage = Stage::new().await;
    let queue = DeskConfig::starter().queues[0].key.clone();
    let ann = |right: Option<QueueRight>| AgentDefinition {
        key: AgentKey::try_new("ann").unwrap(),
        name: "Ann".into(),
        teams: vec![],
        queues: Some(right.map(|right| (queue.clone(), right)).into_iter().collect()),
    };
    let mut config = policies("1h");
    config.agents = vec![ann(Some(QueueRight::Work))];
    let applied = stage.engine.apply_desk(&Principal::local(), config, false, None).await.unwrap();
    assert!(matches!(applied, Applied::Changes { .. }), "{applied:?}");
    let id = stage.open("x").await;
    let me = Principal { role: Role::Agent(AgentKey::try_new("ann").unwrap()), label: "ann".into(), token: None };
    let tag = |tag: &str| vec![TicketCommand::AddTag(tag.into())];
    stage.engine.work(&me, id, tag("mine"), Request::default()).await.unwrap();

    // What is left is to read it.
    let left = AgentDefined { agent: ann(Some(QueueRight::Read)) };
    changed_meanwhile(&stage, "read", left.into());
    let refused = stage.engine.work(&me, id, tag("late"), Request::default()).await.unwrap_err();
    assert!(refused.to_string().contains("work on this ticket"), "{refused}");
    // And not even that: it is not there any more.
    let again = AgentDefined { agent: ann(Some(QueueRight::Work)) };
    changed_meanwhile(&stage, "again", again.into());
    stage.engine.work(&Principal::local(), id, tag("ours"), Request::default()).await.unwrap();
    stage.engine.work(&me, id, tag("back"), Request::default()).await.unwrap();
    changed_meanwhile(&stage, "gone", AgentDefined { agent: ann(None) }.into());
    let refused = stage.engine.work(&me, id, tag("later"), Request::default()).await.unwrap_err();
    let EngineError::Rejected { rejection, .. } = refused else { panic!("{refused}") };
    assert_eq!(rejection, Rejection::not_found("ticket", id.to_string()));
    // Nothing of it is stored.
    let commits = stage.log.read_stream(StreamId::Ticket(id), Position::START).unwrap();
    let tags: Vec<&str> = commits
        .iter()
        .flat_map(|commit| &commit.events)
        .filter_map(|event| match &event.event {
            Event::Ticket(TicketEvent::TagAdded(added)) => Some(added.tag.as_str()),
            Event::Ticket(_)
            | Event::Customer(_)
            | Event::Desk(_)
            | Event::Access(_)
            | Event::Request(_)
            | Event::Unknown { .. } => None,
        })
        .collect();
    assert_eq!(tags, ["mine", "ours", "back"]);
}

#[tokio::test]
async fn of_two_last_administrators_who_are_taken_back_at_once_one_stays() {
    for _ in 0..20 {
        let stage = Stage::new().await;
        let me = Principal::local();
        let mut tokens = Vec::new();
        for _ in 0..2 {
            tokens.push(stage.engine.issue_token(&me, Role::Administrator, "a", None, None).await.unwrap().id);
        }
        let revoke = |id| stage.engine.revoke_token(&me, id, None);
        let (one, two) = tokio::join!(revoke(tokens[0]), revoke(tokens[1]));
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        let refused = one.err().or(two.err()).unwrap().to_string();
        assert!(refused.contains("the last administrator's token that holds: make another one first"), "{refused}");
        let views = stage.engine.views();
        assert_eq!(views.people().tokens().filter(|token| !token.revoked).count(), 1);
    }
}

#[tokio::test]
async fn no_ticket_comes_into_a_queue_that_is_retired_while_it_is_moved() {
    let stage = Stage::new().await;
    let mut config = policies("1h");
    for key in ["second", "third"] {
        let mut queue = config.queues[0].clone();
        (queue.key, queue.name, queue.default) = (QueueKey::try_new(key).unwrap(), key.to_owned(), false);
        config.queues.push(queue);
    }
    let applied = stage.engine.apply_desk(&Principal::local(), config, false, None).await.unwrap();
    assert!(matches!(applied, Applied::Changes { .. }), "{applied:?}");
    let id = stage.open("x").await;
    let transfer = |queue: &str| vec![TicketCommand::Transfer(QueueKey::try_new(queue).unwrap())];
    let me = Principal::local();

    retired_meanwhile(&stage, "second");
    let refused = stage.engine.work(&me, id, transfer("second"), Request::default()).await.unwrap_err();
    let EngineError::Rejected { rejection: Rejection::Retired { .. }, .. } = refused else { panic!("{refused}") };
    let of_ticket = stage.log.read_stream(StreamId::Ticket(id), Position::START).unwrap();
    assert_eq!(of_ticket.len(), 1, "nothing of it is stored");

    // A change of the desk that does not matter to it is no reason to refuse.
    retired_meanwhile(&stage, "third");
    let version = of_ticket[0].position;
    let request = Request { expected: Some(version), ..Request::default() };
    let tag = vec![TicketCommand::AddTag("t".into())];
    let done = stage.engine.work(&me, id, tag, request).await.unwrap();
    assert_eq!(done.position.get(), stage.log.head().position.get());
    assert!(stage.log.between.lock().unwrap().is_none());
}

#[tokio::test]
async fn a_ticket_that_is_kept_is_not_read_again() {
    let stage = Stage::new().await;
    let id = stage.open("x").await;
    *stage.log.stream.lock().unwrap() = Some(StreamId::Ticket(id));
    stage.tag(id, "t").await.unwrap();
    let event = TicketEvent::from(TagAdded { tag: "t".into() });
    let commits = stage.log.read_all(Position::START, usize::MAX).unwrap();
    assert_eq!(commits.last().unwrap().events[0].event, event.into());
}
