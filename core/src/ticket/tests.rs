//! The rules of tickets, as given / when / then.

use super::*;
use crate::{
    desk::{Desk, DeskConfig},
    event::Actor,
    ids::{AgentKey, CustomerId, FieldKey, MessageId, QueueKey, StatusKey, TrackKey},
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

fn at(minutes: i64) -> Timestamp {
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
struct Story {
    desk: Desk,
    ticket: Option<Ticket>,
    answer: Result<Vec<TicketEvent>, Rejection>,
}

fn given_nothing() -> Story {
    Story { desk: desk(), ticket: None, answer: Ok(vec![]) }
}

/// An open ticket of the default queue, opened at minute 0.
fn given_a_ticket() -> Story {
    given_nothing().when(0, open("inbox", Priority::Normal)).and_it_happened()
}

impl Story {
    #[track_caller]
    fn when(self, minute: i64, command: TicketCommand) -> Self {
        self.when_by(&Actor::Agent(agent("ann")), minute, command)
    }

    #[track_caller]
    fn when_by(mut self, actor: &Actor, minute: i64, command: TicketCommand) -> Self {
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
    fn and_it_happened(self) -> Self {
        assert!(matches!(&self.answer, Ok(events) if !events.is_empty()), "{:?}", self.answer);
        self
    }

    #[track_caller]
    fn then_nothing_happens(self) -> Self {
        assert_eq!(self.answer, Ok(vec![]));
        self
    }

    #[track_caller]
    fn then_refused(self, check: impl Fn(&Rejection) -> bool) -> Self {
        assert!(matches!(&self.answer, Err(rejection) if check(rejection)), "{:?}", self.answer);
        self
    }

    #[track_caller]
    fn then_it_is(self, check: impl Fn(&Ticket) -> bool) -> Self {
        let ticket = self.ticket.as_ref().unwrap();
        assert!(check(ticket), "{ticket:#?}");
        self
    }

    #[track_caller]
    fn clock(&self, metric: SlaMetric) -> &crate::sla::Clock {
        let ticket = self.ticket.as_ref().unwrap();
        ticket.clocks.clocks.iter().rfind(|clock| clock.metric == metric).unwrap()
    }
}

fn agent(key: &str) -> AgentKey {
    AgentKey::try_new(key).unwrap()
}

fn track() -> TrackKey {
    TrackKey::try_new("sla").unwrap()
}

fn open(queue: &str, priority: Priority) -> TicketCommand {
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

fn message(text: &str) -> Message {
    Message { id: MessageId::derived(at(0), &[text]), channel: Channel::Web, body: Body::inline(text) }
}

fn reply() -> TicketCommand {
    TicketCommand::Send { message: message("Water is on its way"), agent: Some(agent("ann")) }
}

fn customer_writes() -> TicketCommand {
    TicketCommand::Receive { message: message("It still burns"), from: None }
}

fn status(category: StatusCategory) -> TicketCommand {
    TicketCommand::SetStatus(StatusWish::Category(category))
}

fn assign(key: &str) -> TicketCommand {
    TicketCommand::AssignAgent(Some(agent(key)))
}

#[test]
fn a_ticket_is_opened_once_in_the_status_new_with_its_policies() {
    given_nothing()
        .when(0, open("inbox", Priority::Normal))
        .then_it_is(|ticket| ticket.status.category == StatusCategory::New && ticket.clocks.pins.len() == 1)
        .when(1, open("inbox", Priority::Normal))
        .then_refused(|r| matches!(r, Rejection::Taken { .. }));
}

#[test]
fn a_ticket_for_a_queue_that_does_not_exist_is_refused() {
    given_nothing()
        .when(0, open("moon", Priority::Normal))
        .then_refused(|r| matches!(r, Rejection::NotFound { what: "queue", .. }));
}

#[test]
fn nothing_can_be_done_to_a_ticket_that_does_not_exist() {
    given_nothing().when(0, reply()).then_refused(|r| matches!(r, Rejection::NotFound { what: "ticket", .. }));
}

#[test]
fn blank_and_endless_texts_are_refused() {
    let send = |text: &str| TicketCommand::Send { message: message(text), agent: None };
    given_a_ticket()
        .when(1, send("  \n"))
        .then_refused(|r| matches!(r, Rejection::Blank { field: "body" }))
        .when(1, send(&"x".repeat(Body::MAX_INLINE + 1)))
        .then_refused(|r| matches!(r, Rejection::TooLong { field: "body", .. }));
}

#[test]
fn the_first_answer_opens_a_new_ticket() {
    given_a_ticket().when(5, reply()).then_it_is(|ticket| ticket.status.category == StatusCategory::Open);
}

#[test]
fn whatever_a_customer_writes_is_taken_and_opens_the_ticket_again() {
    for done in [StatusCategory::Waiting, StatusCategory::Resolved, StatusCategory::Closed] {
        let story = given_a_ticket().when(1, status(done)).when(2, customer_writes()).and_it_happened();
        let Ok(events) = &story.answer else { unreachable!() };
        assert!(matches!(events[0], TicketEvent::MessageReceived(_)));
        let reopens = matches!(events[1], TicketEvent::Reopened(_));
        assert_eq!(reopens, done.is_done(), "{done}");
        story.then_it_is(|ticket| ticket.status.category == StatusCategory::Open);
    }
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
fn resolving_closing_and_reopening_are_told_apart() {
    let story = given_a_ticket().when(1, status(StatusCategory::Resolved));
    assert!(matches!(story.answer.as_deref(), Ok([TicketEvent::Resolved(_)])));
    let story = story.when(2, status(StatusCategory::Closed));
    assert!(matches!(story.answer.as_deref(), Ok([TicketEvent::Closed(_)])));
    let story = story.when(3, status(StatusCategory::Waiting));
    assert!(matches!(story.answer.as_deref(), Ok([TicketEvent::Reopened(_)])));
    let story = story.when(4, status(StatusCategory::Open));
    assert!(matches!(story.answer.as_deref(), Ok([TicketEvent::StatusChanged(_)])));
}

#[test]
fn an_unknown_status_is_refused() {
    let unknown = TicketCommand::SetStatus(StatusWish::Key(StatusKey::try_new("asleep").unwrap()));
    given_a_ticket().when(1, unknown).then_refused(|r| matches!(r, Rejection::NotFound { what: "status", .. }));
}

#[test]
fn a_custom_field_takes_only_values_of_its_type() {
    let set = |field: &str, value| TicketCommand::SetField { field: FieldKey::try_new(field).unwrap(), value };
    let invalid = |r: &Rejection| matches!(r, Rejection::Invalid { field: "value", .. });
    given_a_ticket()
        .when(1, set("size", Some(FieldValue::Choice("M".into()))))
        .and_it_happened()
        .when(2, set("size", Some(FieldValue::Choice("XXL".into()))))
        .then_refused(invalid)
        .when(2, set("count", Some(FieldValue::Text("three".into()))))
        .then_refused(invalid)
        .when(2, set("colour", None))
        .then_refused(|r| matches!(r, Rejection::NotFound { what: "field", .. }))
        .when(3, set("size", None))
        .then_it_is(|ticket| ticket.fields.is_empty());
}

#[test]
fn escalation_only_rises() {
    let to = |level| TicketCommand::Escalate(Escalate { level, reason: "The boss calls".into() });
    given_a_ticket()
        .when(1, to(None))
        .then_it_is(|ticket| ticket.escalation_level == 1)
        .when(2, to(Some(3)))
        .then_it_is(|ticket| ticket.escalation_level == 3)
        .when(3, to(Some(2)))
        .then_refused(|r| matches!(r, Rejection::Invalid { field: "level", .. }));
}

#[test]
fn a_ticket_that_is_not_picked_up_returns_to_its_queue() {
    let give_back = || TicketCommand::Timer(TimerCommand::ReturnToQueue { due_at: at(21) });
    let assigned = || given_a_ticket().when_by(&Actor::System, 1, assign("bob"));
    assigned().then_it_is(|ticket| ticket.pick_up == Some(PickUp::By(at(21))));
    assigned().when(20, give_back()).then_nothing_happens();
    let story = assigned().when(25, give_back()).then_it_is(|ticket| ticket.agent.is_none());
    let Ok([TicketEvent::ReturnedToQueue(event)]) = story.answer.as_deref() else { panic!("{:?}", story.answer) };
    assert_eq!((event.due_at, event.detected_at), (at(21), at(25)));
    story.when(26, give_back()).then_nothing_happens();
    let note = Note { id: MessageId::derived(at(0), &["n"]), body: Body::inline("On it") };
    let note = TicketCommand::AddNote { note, agent: Some(agent("bob")) };
    assigned().when(10, note).when(25, give_back()).then_nothing_happens();
    // Who takes a ticket has picked it up.
    given_a_ticket().when_by(&Actor::Agent(agent("bob")), 1, assign("bob")).then_it_is(|t| t.pick_up.is_none());
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

#[test]
fn a_breach_and_an_escalation_are_written_once_and_keep_due_and_detected_apart() {
    let breach = || {
        let (track, metric, due_at) = (track(), SlaMetric::Resolution, at(480));
        TicketCommand::Timer(TimerCommand::Breach { track, metric, due_at })
    };
    let escalate = || {
        let (track, metric, due_at) = (track(), SlaMetric::Resolution, at(480));
        TicketCommand::Timer(TimerCommand::Escalate { track, metric, due_at, level: 1 })
    };
    given_a_ticket().when(479, breach()).then_nothing_happens();
    let story = given_a_ticket().when(700, breach());
    let Ok([TicketEvent::SlaBreached(event)]) = story.answer.as_deref() else { panic!("{:?}", story.answer) };
    assert_eq!((event.due_at, event.detected_at), (at(480), at(700)));
    story
        .when(701, breach())
        .then_nothing_happens()
        .when(702, escalate())
        .then_it_is(|ticket| ticket.escalation_level == 1)
        .when(703, escalate())
        .then_nothing_happens();
    // What was resolved meanwhile is not breached any more.
    given_a_ticket().when(400, status(StatusCategory::Resolved)).when(700, breach()).then_nothing_happens();
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
fn what_was_retired_cannot_be_chosen_and_can_be_let_go_of() {
    let mut story = given_a_ticket().when_by(&Actor::System, 1, assign("bob"));
    let retired = crate::desk::AgentRetired { key: agent("bob") };
    story.desk.evolve(&retired.into(), crate::ids::Position::new(100));
    let story = story.when(2, TicketCommand::AssignAgent(None)).and_it_happened();
    story.when(3, assign("bob")).then_refused(|r| matches!(r, Rejection::Retired { what: "agent", .. }));
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

fn bob() -> Actor {
    Actor::Agent(agent("bob"))
}

fn by_bob(minute: i64) -> impl Fn(&Ticket) -> bool {
    move |ticket: &Ticket| ticket.pick_up == Some(PickUp::By(at(minute)))
}

#[test]
fn only_the_assignee_picks_a_ticket_up() {
    let assigned = || given_a_ticket().when_by(&Actor::System, 1, assign("bob"));
    let note = |author: &str| {
        let note = Note { id: MessageId::derived(at(0), &["n"]), body: Body::inline("Hm") };
        TicketCommand::AddNote { note, agent: Some(agent(author)) }
    };
    assigned().when(5, customer_writes()).then_it_is(by_bob(21));
    assigned().when(5, reply()).then_it_is(by_bob(21));
    assigned().when(5, note("ann")).then_it_is(by_bob(21));
    assigned().when(5, status(StatusCategory::Open)).then_it_is(by_bob(21));
    assigned().when_by(&bob(), 5, note("bob")).then_it_is(|ticket| ticket.pick_up.is_none() && ticket.picked_up);
    assigned().when_by(&bob(), 5, status(StatusCategory::Open)).then_it_is(|ticket| ticket.pick_up.is_none());
    assigned().when(5, status(StatusCategory::Resolved)).then_it_is(|ticket| ticket.pick_up == Some(PickUp::Later));
    // What bob picked up stays so, whoever acts after it.
    let picked_up = assigned().when_by(&bob(), 5, note("bob"));
    picked_up.when(6, reply()).when(7, status(StatusCategory::Waiting)).then_it_is(|ticket| ticket.pick_up.is_none());
}

#[test]
fn the_time_to_pick_up_runs_while_it_is_the_desks_turn() {
    let waiting = given_a_ticket().when(1, status(StatusCategory::Waiting)).when_by(&Actor::System, 2, assign("bob"));
    let waiting = waiting.then_it_is(|ticket| ticket.pick_up == Some(PickUp::Later));
    let written = waiting.when(100, customer_writes()).then_it_is(by_bob(120));
    // Somebody else puts it off: the time stands, and begins anew when it is the desk's turn again.
    let put_off = written.when(105, status(StatusCategory::Waiting));
    let put_off = put_off.then_it_is(|ticket| ticket.pick_up == Some(PickUp::Later));
    put_off.when(110, status(StatusCategory::Open)).then_it_is(by_bob(130));
}

#[test]
fn a_transfer_keeps_the_assignee_and_sets_the_time_of_the_target_queue() {
    let to = |queue: &str| TicketCommand::Transfer(queue.parse().unwrap());
    let assigned = || given_a_ticket().when_by(&Actor::System, 1, assign("bob"));
    // The queue vip wants nothing back, inbox within twenty minutes.
    let moved = assigned()
        .when(5, to("vip"))
        .then_it_is(|ticket| ticket.agent == Some(agent("bob")) && ticket.pick_up == Some(PickUp::Later));
    moved.when(30, to("inbox")).then_it_is(by_bob(50));
    let picked_up = assigned().when_by(&bob(), 3, reply()).when(5, to("vip")).when(6, to("inbox"));
    picked_up.then_it_is(|ticket| ticket.pick_up.is_none());
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
fn somebody_elses_end_of_a_ticket_is_no_pick_up_and_the_assignees_call_is_one() {
    let assigned = || given_a_ticket().when_by(&Actor::System, 1, assign("bob"));
    for end in [StatusCategory::Resolved, StatusCategory::Closed] {
        let ended = assigned().when(5, status(end)).then_it_is(|ticket| ticket.pick_up == Some(PickUp::Later));
        ended.when(50, customer_writes()).then_it_is(by_bob(70));
        let by_himself = assigned().when_by(&bob(), 5, status(end)).when(50, customer_writes());
        by_himself.then_it_is(|ticket| ticket.pick_up.is_none());
    }
    let call = |agent: Option<AgentKey>| {
        TicketCommand::LogCall(LogCall {
            id: MessageId::derived(at(0), &["c"]),
            from: None,
            outcome: if agent.is_some() { CallOutcome::Answered } else { CallOutcome::Missed },
            duration_s: 60,
            agent,
            summary: None,
        })
    };
    for category in [StatusCategory::Waiting, StatusCategory::Resolved] {
        let waiting = || assigned().when(5, status(category));
        waiting().when_by(&bob(), 10, call(Some(agent("bob")))).then_it_is(|ticket| ticket.picked_up);
        waiting().when(10, call(Some(agent("ann")))).then_it_is(by_bob(30));
        waiting().when(10, call(None)).then_it_is(by_bob(30));
    }
}

#[test]
fn what_was_done_on_a_finished_ticket_is_not_owed_once_it_is_reopened() {
    let resolved = || given_a_ticket().when(10, status(StatusCategory::Resolved));
    let reopened = |story: Story| story.when(100, status(StatusCategory::Open));
    assert!(reopened(resolved()).clock(SlaMetric::FirstResponse).is_active(), "what never came is still owed");
    let answered = reopened(resolved().when(20, reply()));
    assert!(!answered.clock(SlaMetric::FirstResponse).is_active());
}

#[test]
fn a_ticket_that_is_reopened_is_with_nobody_who_has_left_and_in_no_queue_that_is_retired() {
    let mut story = given_a_ticket()
        .when_by(&bob(), 1, assign("bob"))
        .when(2, TicketCommand::Transfer("vip".parse().unwrap()))
        .when(3, status(StatusCategory::Resolved));
    story.desk.evolve(&crate::desk::AgentRetired { key: agent("bob") }.into(), crate::ids::Position::new(100));
    let vip: QueueKey = "vip".parse().unwrap();
    story.desk.evolve(&crate::desk::QueueRetired { key: vip }.into(), crate::ids::Position::new(100));
    let story = story.when(10, customer_writes());
    let story = story.then_it_is(|ticket| ticket.agent.is_none() && ticket.queue.as_str() == "inbox");
    let Ok(events) = &story.answer else { panic!("{:?}", story.answer) };
    assert!(
        events.iter().any(|event| matches!(event, TicketEvent::SlaApplied(e) if e.reason == SlaReason::QueueChanged))
    );
}
