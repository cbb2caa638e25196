//! Figures of a past period are the same for ever, whatever happens to its tickets later: over random histories in the order
//! of time, and in one that a person can follow.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use docket_core::{
    desk::{DeskConfig, DeskEvent},
    event::{Actor, Cause, CauseKind, Commit, DatedEvent, Event},
    ids::{AgentKey, CommitId, CorrelationId, MessageId, Position, QueueKey, StreamId, TicketId},
    personal::Body,
    ticket::{
        Channel, Context, Everything, Message, Opening, Priority, StatusCategory, StatusWish, Ticket, TicketCommand,
        decide,
    },
    time::Timestamp,
};
use docket_projections::{Projection, ReportPeriod, Tally, Views, WhatIf};
use proptest::prelude::*;

const DESK: &str = r#"
name = "Test"
status = [
    { key = "new", name = "New", category = "new" },
    { key = "open", name = "Open", category = "open" },
    { key = "waiting", name = "Waiting", category = "waiting" },
    { key = "resolved", name = "Resolved", category = "resolved" },
    { key = "closed", name = "Closed", category = "closed" },
]
queue = [{ key = "inbox", name = "Inbox", default = true }, { key = "vip", name = "VIP" }]
agent = [{ key = "ann", name = "Ann" }]

[[policy]]
key = "vip"
name = "VIP"
when = { queues = ["vip"] }
pause = ["waiting"]
reopen = "resume"
first_response = { default = "2h" }
next_response = { default = "1h" }
resolution = { default = "4h", urgent = "1h" }
escalations = [{ metric = "resolution", after = "1h", level = 1, raise_priority = "urgent" }]

[[policy]]
key = "inbox"
name = "Inbox"
when = { queues = ["inbox"], priorities = ["normal", "high", "urgent"] }
pause = ["waiting"]
reopen = "continue"
resolution = { default = "24h", high = "8h" }

[[policy]]
key = "internal"
name = "Internal"
track = "ola"
reopen = "restart"
resolution = { low = "4h", normal = "12h" }
pick_up = { default = "1h" }
"#;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// Views and tickets that follow commits made here.
struct Desk {
    views: Views,
    commits: Vec<Commit>,
    tickets: Vec<(TicketId, Ticket)>,
}

impl Desk {
    fn new() -> Self {
        let mut config: DeskConfig = toml::from_str(DESK).unwrap();
        config.number_policies();
        let mut desk = Self { views: Views::default(), commits: vec![], tickets: vec![] };
        let none = docket_core::desk::Desk::default();
        assert_eq!(config.problems(&none), []);
        let events: Vec<DeskEvent> = config.changes_from(&none).into_iter().map(|change| change.event).collect();
        for event in events {
            desk.commit(StreamId::Desk, at("2024-12-01T00:00:00Z"), vec![Event::Desk(Box::new(event))]);
        }
        desk
    }

    fn commit(&mut self, stream: StreamId, at: Timestamp, events: Vec<Event>) {
        let position = self.commits.len() as u64 + 1;
        let text = position.to_string();
        let commit = Commit {
            position: Position::new(position),
            previous: Position::START,
            id: CommitId::derived(at, &[&text]),
            stream,
            recorded_at: at,
            actor: Actor::System,
            cause: Cause::of(CauseKind::Import),
            correlation: CorrelationId::derived(at, &[&text]),
            token: None,
            request: None,
            events: events.into_iter().map(|event| DatedEvent { event, occurred_at: at }).collect(),
        };
        self.views.apply(&commit);
        self.commits.push(commit);
    }

    /// Does something to a ticket; what the rules refuse is left undone.
    fn act(&mut self, ticket: usize, at: Timestamp, command: &TicketCommand) {
        let id = TicketId::derived(Timestamp::from_millis(0), &[&ticket.to_string()]);
        let place = self.tickets.iter().position(|(other, _)| *other == id);
        let mut state = place.map(|place| self.tickets.swap_remove(place).1);
        let desk = self.views.desk().desk();
        let context = Context { at, now: at, actor: &Actor::System, desk, directory: &Everything };
        let events = decide(state.as_ref(), command, &context).unwrap_or_default();
        for event in &events {
            state = Ticket::evolve(state, event, at, desk);
        }
        if !events.is_empty() {
            self.commit(StreamId::Ticket(id), at, events.into_iter().map(Event::Ticket).collect());
        }
        self.tickets.extend(state.map(|state| (id, state)));
        self.tickets.sort_by_key(|(id, _)| *id);
    }

    fn let_pass_until(&mut self, now: Timestamp) {
        loop {
            let desk = self.views.desk().desk();
            let due = self.tickets.iter().enumerate().flat_map(|(place, (_, ticket))| {
                ticket.clocks.timers(desk).into_iter().map(move |(at, timer)| (at, place, timer))
            });
            let Some((at, place, timer)) = due.filter(|(at, ..)| *at <= now).min() else { return };
            let (id, ticket) = self.tickets[place].clone();
            let desk = self.views.desk().desk();
            let context = Context { at, now, actor: &Actor::System, desk, directory: &Everything };
            let events = decide(Some(&ticket), &TicketCommand::Timer(timer), &context).unwrap();
            let state = events.iter().try_fold(ticket, |state, event| Ticket::evolve(Some(state), event, at, desk));
            self.tickets[place].1 = state.unwrap();
            self.commit(StreamId::Ticket(id), at, events.into_iter().map(Event::Ticket).collect());
        }
    }

    fn open(&mut self, ticket: usize, at: Timestamp, priority: Priority) {
        self.act(ticket, at, &TicketCommand::Open(Opening { priority, ..Opening::new(Channel::Web, "Help") }));
    }

    fn report(&self, period: ReportPeriod, backlog_at: Timestamp) -> String {
        serde_json::to_string(&self.views.report(period, &[backlog_at])).unwrap()
    }

    /// What ended in a period, by policy, queue and priority of then; and no count may be another under the same policies.
    fn compared(&self, period: ReportPeriod) -> Vec<String> {
        let desk = self.views.desk().desk();
        let policies: Vec<_> = desk.policies.values().map(|part| part.definition.clone()).collect();
        let mut what_if = WhatIf::new(&policies, &[], desk);
        self.commits.iter().for_each(|commit| what_if.apply(commit));
        let comparison = what_if.compare(&self.views, period);
        assert!(comparison.is_identical(), "{comparison:#?}");
        let groups = comparison.groups.iter().map(|group| {
            let Tally { met, missed, cancelled, cancelled_late, .. } = group.official;
            let ended = [met, missed, cancelled, cancelled_late];
            (ended, format!("{ended:?} of {} {} {} {}", group.metric, group.policy, group.queue, group.priority))
        });
        groups.filter(|(ended, _)| ended.iter().sum::<u64>() > 0).map(|(_, text)| text).collect()
    }

    fn sla(&self, period: ReportPeriod, backlog_at: &[Timestamp], policy: &str) -> Vec<[u64; 5]> {
        let report = self.views.report(period, backlog_at);
        let of_policy = report.sla.iter().filter(|sla| sla.policy.as_str() == policy);
        of_policy.map(|sla| [sla.met, sla.missed, sla.active, sla.overdue, sla.cancelled]).collect()
    }
}

fn month(number: u32) -> ReportPeriod {
    let start = |month: u32| Some(at(&format!("2025-{month:02}-01T00:00:00Z")));
    ReportPeriod { from: start(number), to: start(number + 1) }
}

fn status(category: StatusCategory) -> TicketCommand {
    TicketCommand::SetStatus(StatusWish::Category(category))
}

#[test]
fn january_stays_what_it_was_when_february_reopens_moves_and_resolves_its_tickets() {
    let mut desk = Desk::new();
    let february = at("2025-02-01T00:00:00Z");
    // Met in January; and one that is overdue at its end.
    desk.open(1, at("2025-01-10T09:00:00Z"), Priority::Normal);
    desk.act(1, at("2025-01-10T12:00:00Z"), &status(StatusCategory::Resolved));
    desk.open(2, at("2025-01-20T09:00:00Z"), Priority::Normal);
    desk.let_pass_until(february);
    assert_eq!(desk.sla(month(1), &[february], "inbox"), [[1, 0, 1, 1, 0]]);
    let (report, compared) = (desk.report(month(1), february), desk.compared(month(1)));
    desk.act(1, at("2025-02-20T09:00:00Z"), &status(StatusCategory::Open));
    assert_eq!(desk.report(month(1), february), report);
    desk.act(1, at("2025-02-25T12:00:00Z"), &status(StatusCategory::Resolved));
    desk.act(2, at("2025-02-05T12:00:00Z"), &TicketCommand::Transfer(QueueKey::try_new("vip").unwrap()));
    desk.let_pass_until(at("2025-02-06T00:00:00Z"));
    desk.act(2, at("2025-02-06T12:00:00Z"), &status(StatusCategory::Resolved));
    desk.act(1, at("2025-02-26T12:00:00Z"), &TicketCommand::SetPriority(Priority::Low));
    assert_eq!(desk.report(month(1), february), report);
    assert_eq!(desk.compared(month(1)), compared);
    // In February it was missed, as the clock went on; over both months it is one clock that was missed.
    let march = at("2025-03-01T00:00:00Z");
    assert_eq!(desk.sla(month(2), &[march], "inbox"), [[0, 1, 0, 0, 0]]);
    assert_eq!(desk.sla(ReportPeriod::default(), &[march], "inbox"), [[0, 1, 0, 0, 0]]);
    // Without an instant active is what is known, and nothing is overdue.
    assert_eq!(desk.sla(month(1), &[], "inbox"), [[1, 0, 0, 0, 0]]);
}

fn any_command() -> impl Strategy<Value = TicketCommand> {
    let message = || Message {
        id: MessageId::derived(Timestamp::from_millis(0), &["m"]),
        channel: Channel::Email,
        body: Body::inline("Hello"),
    };
    prop_oneof![
        2 => prop::sample::select(vec![
            StatusCategory::Open, StatusCategory::Waiting, StatusCategory::Resolved, StatusCategory::Closed
        ]).prop_map(status),
        1 => prop::sample::select(Priority::ALL.to_vec()).prop_map(TicketCommand::SetPriority),
        1 => prop::sample::select(vec!["inbox", "vip"])
            .prop_map(|queue| TicketCommand::Transfer(QueueKey::try_new(queue).unwrap())),
        1 => Just(TicketCommand::Receive { message: message(), from: None }),
        1 => Just(TicketCommand::Send { message: message(), agent: AgentKey::try_new("ann").ok() }),
        1 => Just(TicketCommand::AssignAgent(AgentKey::try_new("ann").ok())),
        1 => Just(TicketCommand::ReapplyPolicies),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_event_changes_a_report_on_a_period_that_is_over(
        steps in prop::collection::vec((0..4_usize, 1..3_000_i64, any_command()), 1..25),
        lengths in prop::collection::vec(1..10_000_i64, 25),
    ) {
        let mut desk = Desk::new();
        let mut now = at("2025-01-01T00:00:00Z");
        for ticket in 0..4 {
            desk.open(ticket, now, Priority::ALL[ticket]);
        }
        let mut seen = Vec::new();
        for ((ticket, minutes, command), length) in steps.into_iter().zip(lengths) {
            now = now.plus_millis(minutes * 60_000);
            let last = now.plus_millis(-1);
            desk.let_pass_until(last);
            for from in [None, Some(now.plus_millis(-length * 60_000))] {
                let period = ReportPeriod { from, to: Some(now) };
                seen.push((period, last, desk.report(period, last), desk.compared(period)));
            }
            desk.act(ticket, now, &command);
        }
        for (period, last, report, compared) in seen {
            prop_assert_eq!(desk.report(period, last), report, "{:?}", period);
            prop_assert_eq!(desk.compared(period), compared, "{:?}", period);
        }
        // And whoever folds the log anew has the same views.
        let mut again = Views::default();
        desk.commits.iter().for_each(|commit| again.apply(commit));
        prop_assert_eq!(again.to_bytes().unwrap(), desk.views.to_bytes().unwrap());
    }
}
