//! The rules of tickets, as given / when / then.
//!
//! What belongs here concerns several capabilities, or the form of the stories that all their tests tell. What concerns one
//! is tested at the end of its file.

use super::*;
use crate::{
    desk::{Desk, DeskConfig},
    event::Actor,
    ids::{AgentKey, CustomerId, MessageId, QueueKey, TrackKey},
    personal::{Body, Personal},
    rejection::Rejection,
    sla::ClockState,
    time::Timestamp,
};

/// A desk with a calendar, a policy of each kind, and a queue that wants its tickets back.
const DESK: &str = r#"{
    "name": "test",
    "status": [
        {"key": "new", "name": "New", "category": "new"},
        {"key": "open", "name": "Open", "category": "open"},
        {"key": "waiting", "name": "Waiting", "category": "waiting"},
        {"key": "resolved", "name": "Resolved", "category": "resolved"},
        {"key": "closed", "name": "Closed", "category": "closed"}
    ],
    "queue": [
        {"key": "inbox", "name": "Inbox", "default": true, "return_after": "20m"},
        {"key": "vip", "name": "VIP"}
    ],
    "team": [{"key": "front", "name": "Front"}],
    "agent": [{"key": "ann", "name": "Ann"}, {"key": "bob", "name": "Bob"}],
    "field": [
        {"key": "size", "name": "Size", "type": "choice", "options": ["S", "M"]},
        {"key": "count", "name": "Count", "type": "integer"}
    ],
    "policy": [
        {"key": "vip", "name": "VIP", "when": {"queues": ["vip"]}, "resolution": {"default": "1h"}},
        {"key": "standard", "name": "Standard", "pause": ["waiting"], "warn_before": "30m",
         "first_response": {"default": "1h"}, "resolution": {"default": "8h", "urgent": "2h"},
         "escalations": [{"metric": "resolution", "after": "1h", "level": 1}]}
    ]
}"#;

const MINUTE: i64 = 60_000;

pub(super) fn at(minutes: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + minutes * MINUTE)
}

fn desk() -> Desk {
    let mut config: DeskConfig = serde_json::from_str(DESK).unwrap();
    config.number_policies();
    assert_eq!(config.problems(&Desk::default()), []);
    let mut desk = Desk::default();
    for (change, position) in config.changes_from(&Desk::default()).into_iter().zip(1..) {
        desk.evolve(&change.event, crate::ids::Position::new(position));
    }
    desk
}

/// A ticket to which something happens.
pub(super) struct Story {
    pub(super) desk: Desk,
    pub(super) ticket: Option<Ticket>,
    pub(super) answer: Result<Vec<TicketEvent>, Rejection>,
}

pub(super) fn given_nothing() -> Story {
    Story { desk: desk(), ticket: None, answer: Ok(vec![]) }
}

/// An open ticket of the default queue, opened at minute 0.
pub(super) fn given_a_ticket() -> Story {
    given_nothing().when(0, open("inbox", Priority::Normal)).and_it_happened()
}

impl Story {
    #[track_caller]
    pub(super) fn when(self, minute: i64, command: TicketCommand) -> Self {
        self.when_by(&Actor::Agent(agent("ann")), minute, command)
    }

    #[track_caller]
    pub(super) fn when_by(mut self, actor: &Actor, minute: i64, command: TicketCommand) -> Self {
        let context = Context { at: at(minute), now: at(minute), actor, desk: &self.desk, directory: &Everything };
        self.answer = decide(self.ticket.as_ref(), &command, &context);
        if let Ok(events) = &self.answer {
            for event in events {
                self.ticket = Ticket::evolve(self.ticket, event, at(minute), &self.desk);
            }
        }
        self
    }

    #[track_caller]
    pub(super) fn and_it_happened(self) -> Self {
        assert!(matches!(&self.answer, Ok(events) if !events.is_empty()), "{:?}", self.answer);
        self
    }

    #[track_caller]
    pub(super) fn then_nothing_happens(self) -> Self {
        assert_eq!(self.answer, Ok(vec![]));
        self
    }

    #[track_caller]
    pub(super) fn then_refused(self, check: impl Fn(&Rejection) -> bool) -> Self {
        assert!(matches!(&self.answer, Err(rejection) if check(rejection)), "{:?}", self.answer);
        self
    }

    #[track_caller]
    pub(super) fn then_it_is(self, check: impl Fn(&Ticket) -> bool) -> Self {
        let ticket = self.ticket.as_ref().unwrap();
        assert!(check(ticket), "{ticket:#?}");
        self
    }

    #[track_caller]
    pub(super) fn clock(&self, metric: SlaMetric) -> &crate::sla::Clock {
        let ticket = self.ticket.as_ref().unwrap();
        ticket.clocks.clocks.iter().rfind(|clock| clock.metric == metric).unwrap()
    }
}

pub(super) fn agent(key: &str) -> AgentKey {
    AgentKey::try_new(key).unwrap()
}

pub(super) fn track() -> TrackKey {
    TrackKey::try_new("sla").unwrap()
}

pub(super) fn open(queue: &str, priority: Priority) -> TicketCommand {
    TicketCommand::Open(Opening {
        channel: Channel::Web,
        subject: Personal::from("The printer is on fire"),
        queue: Some(QueueKey::try_new(queue).unwrap()),
        priority,
        category: None,
        requester: Some(CustomerId::derived(at(0), &["carl"])),
        external: None,
        by_agent: false,
    })
}

pub(super) fn message(text: &str) -> Message {
    Message { id: MessageId::derived(at(0), &[text]), channel: Channel::Web, body: Body::inline(text) }
}

pub(super) fn reply() -> TicketCommand {
    TicketCommand::Send { message: message("Water is on its way"), agent: Some(agent("ann")) }
}

pub(super) fn customer_writes() -> TicketCommand {
    TicketCommand::Receive { message: message("It still burns"), from: None }
}

pub(super) fn status(category: StatusCategory) -> TicketCommand {
    TicketCommand::SetStatus(StatusWish::Category(category))
}

pub(super) fn assign(key: &str) -> TicketCommand {
    TicketCommand::AssignAgent(Some(agent(key)))
}

#[test]
fn nothing_can_be_done_to_a_ticket_that_does_not_exist() {
    given_nothing().when(0, reply()).then_refused(|r| matches!(r, Rejection::NotFound { what: "ticket", .. }));
}

#[test]
fn a_closed_ticket_takes_no_agent_no_answer_and_no_transfer() {
    let closed = || given_a_ticket().when(1, status(StatusCategory::Closed));
    for command in [assign("ann"), reply(), TicketCommand::Transfer(QueueKey::try_new("vip").unwrap())] {
        closed()
            .when(2, command)
            .then_refused(|r| matches!(r, Rejection::NotAllowedInStatus { status: StatusCategory::Closed, .. }));
    }
}

#[test]
fn what_customers_may_ask_is_to_open_a_ticket_and_to_write() {
    for command in [open("inbox", Priority::Normal), customer_writes()] {
        assert!(command.asks(), "{command:?}");
    }
    let timer = TicketCommand::Timer(TimerCommand::ReturnToQueue { due_at: at(1) });
    let escalate = TicketCommand::Escalate(Escalate { level: None, reason: "x".into() });
    let work = [reply(), status(StatusCategory::Open), assign("ann"), escalate, TicketCommand::ReapplyPolicies, timer];
    for command in work {
        assert_eq!(command.right(), Right::Work, "{command:?}");
    }
}

#[test]
fn what_is_so_already_is_no_event() {
    given_a_ticket()
        .when(1, assign("ann"))
        .when(2, assign("ann"))
        .then_nothing_happens()
        .when(3, TicketCommand::SetPriority(Priority::Normal))
        .then_nothing_happens()
        .when(4, status(StatusCategory::New))
        .then_nothing_happens()
        .when(5, TicketCommand::RemoveTag("never-there".into()))
        .then_nothing_happens();
}

#[test]
fn clocks_run_pause_and_are_met_or_missed() {
    let story = given_a_ticket();
    assert_eq!(story.clock(SlaMetric::FirstResponse).due_at, Some(at(60)));
    assert_eq!(story.clock(SlaMetric::Resolution).due_at, Some(at(480)));
    let story = story.when(30, reply());
    assert_eq!(story.clock(SlaMetric::FirstResponse).met(), Some(true));
    let story = story.when(60, status(StatusCategory::Waiting));
    assert_eq!(story.clock(SlaMetric::Resolution).due_at, None);
    let story = story.when(160, customer_writes());
    assert_eq!(story.clock(SlaMetric::Resolution).due_at, Some(at(580)));
    let in_time = story.when(580, status(StatusCategory::Resolved));
    assert_eq!(in_time.clock(SlaMetric::Resolution).met(), Some(true));
    let late = given_a_ticket().when(481, status(StatusCategory::Resolved));
    assert_eq!(late.clock(SlaMetric::Resolution).met(), Some(false));
}

#[test]
fn several_pauses_in_one_minute_are_exact() {
    let mut story = given_a_ticket().when(1, reply());
    for _ in 0..5 {
        story = story.when(10, status(StatusCategory::Waiting)).when(10, status(StatusCategory::Open));
    }
    assert_eq!(story.clock(SlaMetric::Resolution).due_at, Some(at(480)));
}

#[test]
fn a_priority_changes_the_target_and_a_queue_the_policy() {
    let story = given_a_ticket().when(10, TicketCommand::SetPriority(Priority::Urgent));
    assert_eq!(story.clock(SlaMetric::Resolution).due_at, Some(at(120)));
    let story = story.when(20, TicketCommand::Transfer(QueueKey::try_new("vip").unwrap()));
    let Ok(events) = &story.answer else { panic!() };
    assert!(matches!(&events[1], TicketEvent::SlaApplied(e) if e.policy.as_ref().unwrap().as_str() == "vip"));
    assert_eq!(story.clock(SlaMetric::Resolution).due_at, Some(at(60)));
    assert!(matches!(story.clock(SlaMetric::FirstResponse).state, ClockState::Cancelled(_)));
}

#[test]
fn resolving_stops_every_clock_and_reopening_resumes_with_what_was_left() {
    let story = given_a_ticket().when(100, status(StatusCategory::Resolved));
    assert!(matches!(story.clock(SlaMetric::FirstResponse).state, ClockState::Cancelled(_)));
    let story = story.when(1_100, status(StatusCategory::Open));
    assert_eq!(story.clock(SlaMetric::Resolution).due_at, Some(at(1_480)));
    assert!(story.clock(SlaMetric::FirstResponse).is_active());
}

mod random {
    use proptest::prelude::*;

    use super::*;

    fn any_command() -> impl Strategy<Value = TicketCommand> {
        let category = prop::sample::select(StatusCategory::ALL.to_vec());
        prop_oneof![
            Just(reply()),
            Just(customer_writes()),
            category.prop_map(status),
            prop::sample::select(Priority::ALL.to_vec()).prop_map(TicketCommand::SetPriority),
            prop::sample::select(vec!["ann", "bob"]).prop_map(assign),
            Just(TicketCommand::AssignAgent(None)),
            prop::sample::select(vec!["inbox", "vip"])
                .prop_map(|queue| TicketCommand::Transfer(QueueKey::try_new(queue).unwrap())),
            "[a-c]".prop_map(TicketCommand::AddTag),
            "[a-c]".prop_map(TicketCommand::RemoveTag),
        ]
    }

    proptest! {
        #[test]
        fn any_history_folds_and_deciding_twice_gives_the_same(commands in prop::collection::vec((0..5_000_i64, any_command()), 0..40)) {
            let mut story = given_a_ticket();
            for (minute, command) in commands {
                let context = Context { at: at(minute), now: at(minute), actor: &Actor::System, desk: &story.desk, directory: &Everything };
                let once = decide(story.ticket.as_ref(), &command, &context);
                prop_assert_eq!(&once, &decide(story.ticket.as_ref(), &command, &context));
                story = story.when_by(&Actor::System, minute, command);
                let ticket = story.ticket.as_ref().unwrap();
                // A finished ticket has no running clock; a clock that is fulfilled knows whether it was in time.
                for clock in &ticket.clocks.clocks {
                    prop_assert!(!(ticket.status.category.is_done() && clock.is_active()));
                    prop_assert_eq!(clock.met().is_some(), matches!(clock.state, ClockState::Fulfilled(_)));
                }
            }
        }

        #[test]
        fn evolve_takes_any_events_in_any_order_without_panic(commands in prop::collection::vec((0..5_000_i64, any_command()), 1..20), skip in 0..10_usize) {
            // Events of a real history, with some at the start missing: the fold must not judge.
            let mut story = given_a_ticket();
            let mut events = Vec::new();
            for (minute, command) in commands {
                story = story.when_by(&Actor::System, minute, command);
                events.extend(story.answer.iter().flatten().cloned().map(|event| (minute, event)));
            }
            let start = given_a_ticket().ticket;
            let desk = desk();
            events.into_iter().skip(skip).rev().fold(start, |state, (minute, event)| Ticket::evolve(state, &event, at(minute), &desk));
        }
    }
}

/// A directory in which nobody and nothing is known.
#[derive(Debug)]
struct Nothing;

impl Directory for Nothing {
    fn customer(&self, _: CustomerId) -> Standing {
        Standing::Missing
    }

    fn content(&self, _: &str) -> Standing {
        Standing::Retired
    }
}

#[test]
fn whatever_a_command_names_is_looked_up_whoever_names_it() {
    let customer = CustomerId::derived(at(0), &["nobody"]);
    let stored = Body::Stored { sha256: "0".repeat(64), bytes: 20_000 };
    let text = |body: Body| Message { id: MessageId::derived(at(0), &["m"]), channel: Channel::Web, body };
    let note = |body: Body| Note { id: MessageId::derived(at(0), &["m"]), body };
    let call = |from, summary| LogCall {
        id: MessageId::derived(at(0), &["c"]),
        from,
        outcome: CallOutcome::Missed,
        duration_s: 0,
        agent: None,
        summary,
    };
    let short = || Body::inline("x");
    let missing = [
        (TicketCommand::Receive { message: text(short()), from: Some(customer) }, "from"),
        (TicketCommand::LogCall(call(Some(customer), None)), "from"),
        (TicketCommand::SetRequester(Some(customer)), "requester"),
        (TicketCommand::Send { message: text(short()), agent: Some(agent("nobody")) }, "agent"),
        (TicketCommand::AddNote { note: note(short()), agent: Some(agent("nobody")) }, "agent"),
        (assign("nobody"), "agent"),
        (TicketCommand::Follow(agent("nobody")), "agent"),
        (TicketCommand::AssignTeam(Some("nobody".parse().unwrap())), "team"),
        (TicketCommand::Transfer("nowhere".parse().unwrap()), "queue"),
        (TicketCommand::SetCategory(Some("nothing".parse().unwrap())), "category"),
        (TicketCommand::SetStatus(StatusWish::Key("nowhere".parse().unwrap())), "status"),
        (TicketCommand::SetField { field: "nothing".parse().unwrap(), value: None }, "field"),
    ];
    let story = given_a_ticket();
    let context = Context { at: at(1), now: at(1), actor: &Actor::System, desk: &story.desk, directory: &Nothing };
    for (command, input) in missing {
        let refused = decide(story.ticket.as_ref(), &command, &context);
        assert!(
            matches!(&refused, Err(Rejection::NotFound { input: named, .. }) if *named == input),
            "{command:?}: {refused:?}"
        );
    }
    for command in [
        TicketCommand::Receive { message: text(stored.clone()), from: None },
        TicketCommand::Send { message: text(stored.clone()), agent: None },
        TicketCommand::AddNote { note: note(stored.clone()), agent: None },
        TicketCommand::LogCall(call(None, Some(stored))),
    ] {
        let refused = decide(story.ticket.as_ref(), &command, &context);
        assert!(matches!(&refused, Err(Rejection::Retired { what: "stored text", .. })), "{command:?}: {refused:?}");
    }
    let mut opening = Opening::new(Channel::Web, "x");
    opening.requester = Some(customer);
    let refused = decide(None, &TicketCommand::Open(opening), &context);
    assert!(matches!(&refused, Err(Rejection::NotFound { input: "requester", .. })), "{refused:?}");
}

#[test]
fn what_passes_on_a_closed_ticket_is_this_table() {
    let priority = TicketCommand::SetPriority(Priority::High);
    let note = Note { id: MessageId::derived(at(0), &["n"]), body: Body::inline("x") };
    let call = LogCall {
        id: MessageId::derived(at(0), &["c"]),
        from: None,
        outcome: CallOutcome::Missed,
        duration_s: 0,
        agent: None,
        summary: None,
    };
    let table = [
        ("a customer's message", customer_writes(), true),
        ("a note", TicketCommand::AddNote { note, agent: None }, true),
        ("a call", TicketCommand::LogCall(call), true),
        ("a status", status(StatusCategory::Open), true),
        ("the subject", TicketCommand::SetSubject(Personal::from("Another")), true),
        ("the requester", TicketCommand::SetRequester(None), true),
        ("a tag", TicketCommand::AddTag("late".into()), true),
        ("taking a tag off", TicketCommand::RemoveTag("early".into()), true),
        (
            "a field",
            TicketCommand::SetField { field: "count".parse().unwrap(), value: Some(FieldValue::Integer(1)) },
            true,
        ),
        ("a follower", TicketCommand::Follow(agent("bob")), true),
        ("taking a follower off", TicketCommand::Unfollow(agent("ann")), true),
        ("an answer", reply(), false),
        ("an assignee", assign("bob"), false),
        ("no assignee", TicketCommand::AssignAgent(None), false),
        ("a team", TicketCommand::AssignTeam(Some("front".parse().unwrap())), false),
        ("no team", TicketCommand::AssignTeam(None), false),
        ("another queue", TicketCommand::Transfer("vip".parse().unwrap()), false),
        ("a priority", priority, false),
        ("no category", TicketCommand::SetCategory(None), false),
        ("an escalation", TicketCommand::Escalate(Escalate { level: None, reason: "x".into() }), false),
    ];
    for (what, command, passes) in table {
        let story = given_a_ticket()
            .when(1, TicketCommand::AddTag("early".into()))
            .when(1, TicketCommand::Follow(agent("ann")))
            .when(2, status(StatusCategory::Closed))
            .when(3, command);
        match &story.answer {
            Ok(events) => assert!(passes && !events.is_empty(), "{what}: {events:?}"),
            Err(Rejection::NotAllowedInStatus { status: StatusCategory::Closed, .. }) => assert!(!passes, "{what}"),
            Err(other) => panic!("{what}: {other}"),
        }
    }
}

pub(super) fn bob() -> Actor {
    Actor::Agent(agent("bob"))
}

#[test]
fn events_without_what_was_added_since_are_read_as_before() {
    let old = r#"{"to":{"key":"open","category":"open"},"from":{"key":"new","category":"new"}}"#;
    let event: StatusChanged = serde_json::from_str(old).unwrap();
    assert_eq!(event.pick_up, None);
    assert_eq!(serde_json::to_string(&event).unwrap(), old);
    let old = r#"{"agent":"bob","from":null,"pick_up_by":1700000000000}"#;
    let event: AgentAssigned = serde_json::from_str(old).unwrap();
    assert_eq!((event.pick_up(), event.taken), (Some(PickUp::By(at(0))), false));
    assert_eq!(serde_json::to_string(&event).unwrap(), old);
}

#[test]
fn what_was_done_on_a_finished_ticket_is_not_owed_once_it_is_reopened() {
    let resolved = || given_a_ticket().when(10, status(StatusCategory::Resolved));
    let reopened = |story: Story| story.when(100, status(StatusCategory::Open));
    assert!(reopened(resolved()).clock(SlaMetric::FirstResponse).is_active(), "what never came is still owed");
    let answered = reopened(resolved().when(20, reply()));
    assert!(!answered.clock(SlaMetric::FirstResponse).is_active());
}
