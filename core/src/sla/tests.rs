//! The cases that other help desks get wrong (E1 to E20), each a test, and what a clock promises in general.

use super::*;
use crate::{
    calendar::Calendar,
    desk::{Desk, DeskConfig, Span},
    event::{Actor, EventAddress},
    ids::{AgentKey, MessageId, Position, QueueKey, TeamKey, TrackKey},
    personal::Body,
    ticket::{
        Channel, Context, Message, Note, Opening, Priority, SlaMetric, SlaReason, StatusCategory, StatusWish, Ticket,
        TicketCommand, TicketEvent, decide,
    },
    time::Timestamp,
};

const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// A desk with the usual statuses, two queues, two teams, three agents, and these calendars and policies.
fn config(parts: &str) -> DeskConfig {
    let text = format!(
        r#"{{
        "name": "test",
        "status": [
            {{"key": "new", "name": "New", "category": "new"}},
            {{"key": "open", "name": "Open", "category": "open"}},
            {{"key": "waiting", "name": "Waiting", "category": "waiting"}},
            {{"key": "resolved", "name": "Resolved", "category": "resolved"}},
            {{"key": "closed", "name": "Closed", "category": "closed"}}
        ],
        "queue": [{{"key": "inbox", "name": "Inbox", "default": true}}, {{"key": "vip", "name": "VIP"}}],
        "team": [{{"key": "front", "name": "Front"}}, {{"key": "back", "name": "Back"}}],
        "agent": [
            {{"key": "ann", "name": "Ann"}}, {{"key": "bob", "name": "Bob"}}, {{"key": "eve", "name": "Eve"}}
        ],
        "calendar": [
            {{"key": "office", "name": "Office", "zone": "Europe/Berlin", "hours": {{
                "monday": ["09:00-17:00"], "tuesday": ["09:00-17:00"], "wednesday": ["09:00-17:00"],
                "thursday": ["09:00-17:00"], "friday": ["09:00-17:00"]}}}},
            {{"key": "always", "name": "Always", "zone": "Europe/Berlin", "hours": {{
                "monday": ["00:00-24:00"], "tuesday": ["00:00-24:00"], "wednesday": ["00:00-24:00"],
                "thursday": ["00:00-24:00"], "friday": ["00:00-24:00"], "saturday": ["00:00-24:00"],
                "sunday": ["00:00-24:00"]}}}}
        ],
        {parts}
    }}"#
    );
    let mut config: DeskConfig = serde_json::from_str(&text).unwrap();
    config.number_policies();
    config
}

fn policies(policies: &str) -> DeskConfig {
    config(&format!(r#""policy": [{policies}]"#))
}

/// A ticket, its desk and its history. Every commit gets the next position.
#[derive(Clone)]
struct Story {
    desk: Desk,
    ticket: Option<Ticket>,
    history: Vec<StreamEvent>,
    position: u64,
}

fn given(config: &DeskConfig) -> Story {
    assert_eq!(config.problems(&Desk::default()), []);
    Story { desk: Desk::default(), ticket: None, history: vec![], position: 0 }.and_the_desk_becomes(config)
}

impl Story {
    fn and_the_desk_becomes(mut self, config: &DeskConfig) -> Self {
        for change in config.changes_from(&self.desk) {
            self.position += 1;
            self.desk.evolve(&change.event, Position::new(self.position));
        }
        self
    }

    fn when(self, instant: &str, command: TicketCommand) -> Self {
        let instant = at(instant);
        self.when_at(instant, instant, &command)
    }

    #[track_caller]
    fn when_at(mut self, instant: Timestamp, now: Timestamp, command: &TicketCommand) -> Self {
        let actor = Actor::Agent(AgentKey::try_new("ann").unwrap());
        let context =
            Context { at: instant, now, actor: &actor, desk: &self.desk, directory: &crate::ticket::Everything };
        let events = decide(self.ticket.as_ref(), command, &context).unwrap();
        self.position += 1;
        for (index, event) in (0..).zip(events) {
            self.ticket = Ticket::evolve(self.ticket, &event, instant, &self.desk);
            let address = EventAddress { position: Position::new(self.position), index };
            self.history.push(StreamEvent { address, at: instant, event });
        }
        self
    }

    /// Lets everything come due up to an instant, seen at it: as a server does that was off before.
    fn when_time_passes_to(mut self, now: &str) -> Self {
        let now = at(now);
        loop {
            let timers = self.ticket.as_ref().unwrap().clocks.timers(&self.desk);
            let Some((due, timer)) = timers.into_iter().filter(|(due, _)| *due <= now).min() else { return self };
            let before = self.history.len();
            self = self.when_at(due, now, &TicketCommand::Timer(timer));
            assert!(self.history.len() > before, "a timer that is due leads to something");
        }
    }

    fn clocks(&self) -> &Clocks {
        &self.ticket.as_ref().unwrap().clocks
    }

    /// The newest clock of a metric.
    #[track_caller]
    fn clock(&self, metric: SlaMetric) -> &Clock {
        self.clocks().clocks.iter().rfind(|clock| clock.metric == metric).unwrap()
    }

    fn instances(&self, metric: SlaMetric) -> Vec<&Clock> {
        self.clocks().clocks.iter().filter(|clock| clock.metric == metric).collect()
    }

    #[track_caller]
    fn then_due(self, metric: SlaMetric, instant: &str) -> Self {
        assert_eq!(self.clock(metric).due_at, Some(at(instant)), "{:#?}", self.clock(metric));
        self
    }

    fn happened(&self, name: &str) -> Vec<&StreamEvent> {
        let is = |event: &&StreamEvent| crate::event::EventFamily::type_version(&event.event).0 == name;
        self.history.iter().filter(is).collect()
    }

    /// What explains its clocks; whatever the story, counted and expected stretches add up to the target.
    #[track_caller]
    fn explained(&self, now: &str) -> Vec<Explanation> {
        let explanations = explain(&self.history, &self.desk, at(now));
        for explanation in &explanations {
            let sum = |stretches: &[Stretch]| -> i64 {
                let of = |interval: &&Interval| stretches.contains(&interval.stretch);
                explanation.intervals.iter().filter(of).map(Interval::millis).sum()
            };
            if let (Some(_), Some(allowed)) = (explanation.clock.due_at, explanation.clock.allowed) {
                assert_eq!(sum(&[Stretch::Counted, Stretch::Expected]), allowed.millis(), "{explanation}");
            }
        }
        explanations
    }
}

fn open_in(queue: &str, priority: Priority, by_agent: bool) -> TicketCommand {
    let queue = Some(QueueKey::try_new(queue).unwrap());
    TicketCommand::Open(Opening { queue, priority, by_agent, ..Opening::new(Channel::Email, "Help") })
}

fn open() -> TicketCommand {
    open_in("inbox", Priority::Normal, false)
}

fn message() -> Message {
    let id = MessageId::derived(Timestamp::from_millis(0), &["m"]);
    Message { id, channel: Channel::Email, body: Body::inline("Hello") }
}

fn reply() -> TicketCommand {
    TicketCommand::Send { message: message(), agent: AgentKey::try_new("ann").ok() }
}

fn customer() -> TicketCommand {
    TicketCommand::Receive { message: message(), from: None }
}

fn note() -> TicketCommand {
    let Message { id, body, .. } = message();
    TicketCommand::AddNote { note: Note { id, body }, agent: AgentKey::try_new("ann").ok() }
}

fn status(category: StatusCategory) -> TicketCommand {
    TicketCommand::SetStatus(StatusWish::Category(category))
}

fn assign(agent: &str) -> TicketCommand {
    TicketCommand::AssignAgent(AgentKey::try_new(agent).ok())
}

fn team(team: &str) -> TicketCommand {
    TicketCommand::AssignTeam(TeamKey::try_new(team).ok())
}

use SlaMetric::{FirstResponse, NextResponse, PeriodicUpdate, PickUp, Resolution, TeamHandling};
use StatusCategory::{Closed, Open, Resolved, Waiting};

#[test]
fn an_early_log_whose_instants_fall_behind_is_explained_without_an_overrun_that_never_was() {
    let desk =
        policies(r#"{"key": "p", "name": "P", "first_response": {"default": "1h"}, "resolution": {"default": "4h"}}"#);
    let story = given(&desk)
        .when("2026-03-02T12:00:00Z", open())
        .when("2026-03-02T10:00:00Z", reply())
        .when("2026-03-02T09:00:00Z", status(Resolved));
    let explained = story.explained("2026-03-02T12:00:00Z");
    assert_eq!(explained.len(), 2);
    for explanation in explained {
        assert_eq!(explanation.clock.met(), Some(true), "{explanation}");
        let [only] = &explanation.intervals[..] else { panic!("{explanation}") };
        assert_eq!((only.from, only.stretch), (at("2026-03-02T12:00:00Z"), Stretch::Expected), "{explanation}");
    }
}

#[test]
fn e01_round_the_clock_written_as_24_00_loses_no_minute_at_midnight() {
    let desk = policies(r#"{"key": "p", "name": "P", "calendar": "always", "resolution": {"default": "240h"}}"#);
    given(&desk).when("2026-01-01T00:00:00Z", open()).then_due(Resolution, "2026-01-11T00:00:00Z");
}

#[test]
fn e02_a_span_over_a_clock_change_counts_the_hours_that_the_day_has() {
    let desk = policies(r#"{"key": "p", "name": "P", "calendar": "always", "resolution": {"default": "24h"}}"#);
    // 2026-03-29 has 23 hours in Berlin, 2026-10-25 has 25; a day of 24 hours is 24 hours all the same.
    given(&desk).when("2026-03-28T12:00:00Z", open()).then_due(Resolution, "2026-03-29T12:00:00Z");
    let office = policies(r#"{"key": "p", "name": "P", "calendar": "office", "resolution": {"default": "8h"}}"#);
    // Friday noon in winter time to Monday noon in summer time: the same time of day for the people there.
    given(&office).when("2026-03-27T11:00:00Z", open()).then_due(Resolution, "2026-03-30T10:00:00Z");
    given(&office).when("2026-10-23T10:00:00Z", open()).then_due(Resolution, "2026-10-26T11:00:00Z");
}

#[test]
fn e03_a_calendar_without_working_time_is_refused_and_never_due_is_a_value() {
    let mut desk = policies(r#"{"key": "p", "name": "P", "calendar": "office", "resolution": {"default": "8h"}}"#);
    desk.calendars[0].hours = crate::desk::WeekHours::default();
    let problems = desk.problems(&Desk::default());
    assert!(problems.iter().any(|problem| problem.problem.contains("no working time")), "{problems:?}");
    // A target beyond reach: an hour a week cannot hold ten years of working time.
    let mut desk = policies(r#"{"key": "p", "name": "P", "calendar": "office", "resolution": {"default": "80000h"}}"#);
    desk.calendars[0].hours = serde_json::from_str(r#"{"monday": ["09:00-10:00"]}"#).unwrap();
    let problems = desk.problems(&Desk::default());
    assert!(problems[0].problem.contains("within ten years"), "{problems:?}");
    // A desk that has it all the same, by another calendar than it was checked with, is never due and never loops.
    let story = Story { desk: Desk::default(), ticket: None, history: vec![], position: 0 };
    let story = story.and_the_desk_becomes(&desk).when("2026-01-01T00:00:00Z", open());
    assert_eq!(story.clock(Resolution).due_at, None);
    assert!(story.clocks().timers(&story.desk).is_empty());
}

#[test]
fn e04_the_next_response_is_measured_only_after_the_first() {
    let desk = policies(
        r#"{"key": "p", "name": "P", "first_response": {"default": "4h"}, "next_response": {"default": "1h"}}"#,
    );
    let story = given(&desk).when("2026-01-05T09:00:00Z", open()).when("2026-01-05T09:30:00Z", customer());
    assert!(story.instances(NextResponse).is_empty());
    let story = story.then_due(FirstResponse, "2026-01-05T13:00:00Z").when("2026-01-05T10:00:00Z", reply());
    assert!(story.instances(NextResponse).is_empty(), "the reply answered both messages");
    // From the first unanswered message on, not from the last.
    let story = story.when("2026-01-05T11:00:00Z", customer()).when("2026-01-05T11:20:00Z", customer());
    let story = story.then_due(NextResponse, "2026-01-05T12:00:00Z").when("2026-01-05T11:50:00Z", reply());
    assert_eq!(story.clock(NextResponse).met(), Some(true));
    assert_eq!(story.instances(NextResponse).len(), 1);
}

#[test]
fn e05_thanks_and_a_resolution_leave_no_clock_running() {
    let desk = policies(
        r#"{"key": "p", "name": "P", "first_response": {"default": "4h"}, "next_response": {"default": "1h"},
            "periodic_update": {"default": "2h"}, "pick_up": {"default": "9h"}, "team_handling": {"default": "9h"},
            "resolution": {"default": "8h"}}"#,
    );
    let story = given(&desk)
        .when("2026-01-05T09:00:00Z", open())
        .when("2026-01-05T09:05:00Z", team("front"))
        .when("2026-01-05T09:10:00Z", reply())
        .when("2026-01-05T09:20:00Z", customer())
        .when("2026-01-05T09:30:00Z", status(Resolved));
    assert_eq!(story.clocks().clocks.iter().filter(|clock| clock.is_active()).count(), 0);
    assert_eq!(story.clocks().next_due(), None);
    assert!(story.clocks().timers(&story.desk).is_empty());
    assert!(matches!(story.clock(NextResponse).state, ClockState::Cancelled(_)));
    for metric in [Resolution, TeamHandling] {
        assert_eq!(story.clock(metric).met(), Some(true));
    }
}

#[test]
fn e06_a_reopening_does_what_the_policy_says_and_the_old_instance_is_kept() {
    let after = |rule: &str| {
        let desk =
            policies(&format!(r#"{{"key": "p", "name": "P", "reopen": "{rule}", "resolution": {{"default": "8h"}}}}"#));
        given(&desk)
            .when("2026-01-05T09:00:00Z", open())
            .when("2026-01-05T12:00:00Z", status(Resolved))
            .when("2026-01-06T12:00:00Z", status(Open))
    };
    after("continue").then_due(Resolution, "2026-01-05T17:00:00Z");
    after("resume").then_due(Resolution, "2026-01-06T17:00:00Z");
    let story = after("restart").then_due(Resolution, "2026-01-06T20:00:00Z");
    let [old, new] = story.instances(Resolution)[..] else { panic!() };
    assert_eq!((old.instance, old.met(), old.due_at), (1, Some(true), Some(at("2026-01-05T17:00:00Z"))));
    assert_eq!((new.instance, new.activated_at), (2, at("2026-01-06T12:00:00Z")));
}

#[test]
fn e06_a_clock_that_goes_on_after_a_reopening_keeps_the_pause_in_which_it_was_resolved() {
    let desk = policies(
        r#"{"key": "p", "name": "P", "reopen": "continue", "pause": ["waiting"], "resolution": {"default": "8h"}}"#,
    );
    // One hour, a pause of nine, resolved out of it; the hour until the reopening counts.
    given(&desk)
        .when("2026-01-05T09:00:00Z", open())
        .when("2026-01-05T10:00:00Z", status(Waiting))
        .when("2026-01-05T19:00:00Z", status(Resolved))
        .when("2026-01-05T20:00:00Z", status(Open))
        .then_due(Resolution, "2026-01-06T02:00:00Z");
}

#[test]
fn e07_a_policy_that_changes_while_a_clock_stands_does_not_lose_the_pause() {
    let desk = policies(
        r#"{"key": "vip", "name": "VIP", "when": {"queues": ["vip"]}, "pause": ["waiting"],
            "resolution": {"default": "6h"}},
           {"key": "standard", "name": "Standard", "pause": ["waiting"], "resolution": {"default": "8h"}}"#,
    );
    let to_vip = || TicketCommand::Transfer(QueueKey::try_new("vip").unwrap());
    let story = given(&desk)
        .when("2026-01-05T09:00:00Z", open())
        .when("2026-01-05T10:00:00Z", status(Waiting))
        .when("2026-01-05T15:00:00Z", to_vip())
        .when("2026-01-05T20:00:00Z", status(Open));
    // One hour was used; five of the six are left.
    story.then_due(Resolution, "2026-01-06T01:00:00Z");
    // A policy that begins to measure after the pause knows of it all the same.
    let late = policies(
        r#"{"key": "vip", "name": "VIP", "when": {"queues": ["vip"]}, "pause": ["waiting"],
            "resolution": {"default": "6h"}}"#,
    );
    given(&late)
        .when("2026-01-05T09:00:00Z", open())
        .when("2026-01-05T10:00:00Z", status(Waiting))
        .when("2026-01-05T15:00:00Z", status(Open))
        .when("2026-01-05T16:00:00Z", to_vip())
        .then_due(Resolution, "2026-01-05T20:00:00Z");
    // A policy that does not pause lets the clock go on from its application.
    let strict = policies(
        r#"{"key": "vip", "name": "VIP", "when": {"queues": ["vip"]}, "resolution": {"default": "6h"}},
           {"key": "standard", "name": "Standard", "pause": ["waiting"], "resolution": {"default": "8h"}}"#,
    );
    given(&strict)
        .when("2026-01-05T09:00:00Z", open())
        .when("2026-01-05T10:00:00Z", status(Waiting))
        .when("2026-01-05T15:00:00Z", to_vip())
        .then_due(Resolution, "2026-01-05T20:00:00Z");
}

#[test]
fn e08_a_target_in_days_and_a_pause_in_minutes_are_one_kind_of_time() {
    let desk = policies(
        r#"{"key": "p", "name": "P", "calendar": "office", "pause": ["waiting"], "resolution": {"default": "2bd"}}"#,
    );
    // Thursday 11:00 in Berlin; two working days later is Monday 11:00.
    let story = given(&desk).when("2026-01-08T10:00:00Z", open()).then_due(Resolution, "2026-01-12T10:00:00Z");
    // Paused from Friday 16:30 to Monday 09:10: thirty minutes and ten minutes of working time, given back.
    let story = story.when("2026-01-09T15:30:00Z", status(Waiting)).when("2026-01-12T08:10:00Z", status(Open));
    story.then_due(Resolution, "2026-01-12T10:40:00Z");
    let end = policies(
        r#"{"key": "p", "name": "P", "calendar": "office", "pause": ["waiting"], "resolution": {"default": "eod"}}"#,
    );
    let story = given(&end).when("2026-01-08T10:00:00Z", open()).then_due(Resolution, "2026-01-08T16:00:00Z");
    let story = story.when("2026-01-08T12:00:00Z", status(Waiting)).when("2026-01-08T13:00:00Z", status(Open));
    story.then_due(Resolution, "2026-01-09T09:00:00Z");
}

#[test]
fn e09_an_edited_policy_reaches_open_tickets_only_by_an_explicit_command_and_closed_ones_never() {
    let with = |target: &str| {
        policies(&format!(
            r#"{{"key": "p", "name": "P", "calendar": "office", "resolution": {{"default": "{target}"}}}}"#
        ))
    };
    let story = given(&with("8h")).when("2026-01-05T08:00:00Z", open()).and_the_desk_becomes(&with("4h"));
    let story = story.then_due(Resolution, "2026-01-05T16:00:00Z");
    // Neither does an edited calendar.
    let mut short = with("4h");
    short.calendars[0].holidays.push("2026-01-05".into());
    let story = story.and_the_desk_becomes(&short).then_due(Resolution, "2026-01-05T16:00:00Z");
    let closed = story.clone().when("2026-01-05T09:00:00Z", status(Resolved));
    let story = story.when("2026-01-05T09:00:00Z", TicketCommand::ReapplyPolicies);
    let story = story.then_due(Resolution, "2026-01-06T12:00:00Z");
    let TicketEvent::SlaApplied(applied) = &story.history.last().unwrap().event else { panic!() };
    assert_eq!(applied.reason, SlaReason::Reapplied);
    // Again changes nothing.
    let events = story.history.len();
    let story = story.when("2026-01-05T09:01:00Z", TicketCommand::ReapplyPolicies);
    assert_eq!(story.history.len(), events);
    let before = closed.history.len();
    let closed = closed.when("2026-01-05T10:00:00Z", TicketCommand::ReapplyPolicies);
    assert_eq!(closed.history.len(), before);
    closed.then_due(Resolution, "2026-01-05T16:00:00Z");
    // A retired policy is not chosen any more; what it measures already goes on.
    let retired = policies(r#"{"key": "q", "name": "Q", "resolution": {"default": "1h"}}"#);
    story.and_the_desk_becomes(&retired).then_due(Resolution, "2026-01-06T12:00:00Z");
}

#[test]
fn e09_a_version_holds_from_its_instant_and_until_its_end() {
    let mut desk = policies(
        r#"{"key": "p", "name": "P", "calendar": "office", "resolution": {"default": "8h"}},
           {"key": "rest", "name": "Rest", "default": true, "resolution": {"default": "90h"}}"#,
    );
    let story = given(&desk);
    desk.policies[0].resolution.default = "1h".parse().ok();
    desk.policies[0].valid_from = Some(at("2026-02-01T00:00:00Z"));
    desk.policies[0].valid_until = Some(at("2026-03-01T00:00:00Z"));
    desk.calendars[0].hours.monday = vec!["09:00-12:00".parse().unwrap()];
    desk.calendars[0].valid_from = Some(at("2026-02-01T00:00:00Z"));
    assert_eq!(desk.problems(&story.desk), []);
    let story = story.and_the_desk_becomes(&desk);
    story.clone().when("2026-01-05T08:00:00Z", open()).then_due(Resolution, "2026-01-05T16:00:00Z");
    // 11:30 on a Monday that ends at noon: the other half hour is on Tuesday.
    story.clone().when("2026-02-02T10:30:00Z", open()).then_due(Resolution, "2026-02-03T08:30:00Z");
    let ended = story.when("2026-03-02T08:00:00Z", open());
    assert_eq!(ended.clock(Resolution).policy.as_str(), "rest", "the default takes what nothing else matches");
}

#[test]
fn e10_nothing_that_is_derived_raises_an_event() {
    let desk =
        policies(r#"{"key": "p", "name": "P", "pause": ["waiting"], "resolution": {"default": "8h", "urgent": "2h"}}"#);
    let story = given(&desk)
        .when("2026-01-05T09:00:00Z", open())
        .when("2026-01-05T10:00:00Z", TicketCommand::SetPriority(Priority::Urgent))
        .when("2026-01-05T10:10:00Z", status(Waiting))
        .when("2026-01-05T10:20:00Z", status(Open));
    story.clone().then_due(Resolution, "2026-01-05T11:10:00Z");
    let names: Vec<_> =
        story.history.iter().map(|event| crate::event::EventFamily::type_version(&event.event).0).collect();
    assert_eq!(names, ["TicketOpened", "SlaApplied", "PriorityChanged", "StatusChanged", "StatusChanged"]);
}

#[test]
fn e11_a_late_first_reply_stays_late() {
    let desk = policies(r#"{"key": "p", "name": "P", "first_response": {"default": "1h"}}"#);
    let story = given(&desk)
        .when("2026-01-05T09:00:00Z", open())
        .when_time_passes_to("2026-01-05T10:30:00Z")
        .when("2026-01-05T10:40:00Z", reply());
    let clock = story.clock(FirstResponse);
    assert!(clock.breached() && clock.met() == Some(false));
    // Also where no timer has recorded it.
    let story = given(&desk).when("2026-01-05T09:00:00Z", open()).when("2026-01-05T10:40:00Z", reply());
    let clock = story.clock(FirstResponse);
    assert_eq!(clock.breached_at(at("2027-01-01T00:00:00Z")), Some(at("2026-01-05T10:00:00Z")));
    let moments = moments(&story.history, &story.desk, at("2026-01-06T00:00:00Z"));
    let names: Vec<_> = moments.iter().map(|moment| moment.moment.name()).collect();
    assert_eq!(names, ["activated", "breached", "fulfilled"]);
}

#[test]
fn e12_split_shifts_count_each_of_their_intervals() {
    let mut desk = policies(r#"{"key": "p", "name": "P", "calendar": "office", "resolution": {"default": "8h"}}"#);
    desk.calendars[0].hours.monday = ["08:00-10:00", "12:00-14:00", "16:00-18:00"].map(|h| h.parse().unwrap()).into();
    // Six hours on Monday (Berlin is an hour ahead), two on Tuesday from nine.
    given(&desk).when("2026-01-05T05:00:00Z", open()).then_due(Resolution, "2026-01-06T10:00:00Z");
}

#[test]
fn e13_a_deadline_lies_in_or_at_the_end_of_working_time() {
    let desk = policies(
        r#"{"key": "p", "name": "P", "calendar": "office", "pause": ["waiting"], "resolution": {"default": "8h"}}"#,
    );
    let office = Calendar::try_new(&desk.calendars[0]).unwrap();
    for minutes in 0..3_000 {
        let opened = at("2026-01-08T10:00:00Z");
        let story = given(&desk).when_at(opened, opened, &open());
        let (pause, resume) = (opened.plus_millis(2 * HOUR), opened.plus_millis(2 * HOUR + minutes * 7 * MINUTE));
        let story = story.when_at(pause, pause, &status(Waiting)).when_at(resume, resume, &status(Open));
        let due = story.clock(Resolution).due_at.unwrap();
        let inside = office.windows(due.plus_millis(-1)).next().is_some_and(|w| w.open < due && due <= w.close);
        assert!(inside, "{due} after a pause until {resume}");
    }
}

#[test]
fn e14_many_pauses_in_a_minute_are_exact() {
    let desk = policies(r#"{"key": "p", "name": "P", "pause": ["waiting"], "resolution": {"default": "1h"}}"#);
    let mut story = given(&desk).when("2026-01-05T09:00:00Z", open());
    let start = at("2026-01-05T09:00:00Z");
    for pause in 0..100 {
        let (stop, go) = (start.plus_millis(pause * 500 + 100), start.plus_millis(pause * 500 + 433));
        story = story.when_at(stop, stop, &status(Waiting)).when_at(go, go, &status(Open));
    }
    assert_eq!(story.clock(Resolution).due_at, Some(start.plus_millis(HOUR + 100 * 333)));
    let explained = story.explained("2026-01-05T10:30:00Z");
    assert_eq!(explained[0].moments.iter().filter(|moment| moment.moment == Moment::Paused).count(), 100);
}

#[test]
fn a_clock_that_is_stopped_in_the_instant_of_its_deadline_is_in_time() {
    let desk = policies(
        r#"{"key": "p", "name": "P", "calendar": "office", "pause": ["waiting"], "resolution": {"default": "8h"}}"#,
    );
    let story = given(&desk).when("2026-01-05T08:00:00Z", open()).when("2026-01-05T16:00:00Z", status(Waiting));
    assert_eq!(story.clock(Resolution).due_at, None);
    let resolved = story.clone().when("2026-01-07T12:00:00Z", status(Resolved));
    assert_eq!(resolved.clock(Resolution).met(), Some(true));
    // When it goes on there is nothing left, from the next instant that counts.
    story.when("2026-01-06T05:00:00Z", status(Open)).then_due(Resolution, "2026-01-06T08:00:00Z");
}

#[test]
fn a_clock_that_is_stopped_in_the_evening_after_its_deadline_is_late_though_no_more_time_was_counted() {
    let desk = policies(
        r#"{"key": "p", "name": "P", "calendar": "office", "pause": ["waiting"], "resolution": {"default": "8h"}}"#,
    );
    let story = given(&desk)
        .when("2026-01-05T08:00:00Z", open())
        .when_time_passes_to("2026-01-05T18:00:00Z")
        .when("2026-01-05T18:00:00Z", status(Waiting))
        .then_due(Resolution, "2026-01-05T16:00:00Z")
        .when("2026-01-06T09:00:00Z", status(Open))
        .then_due(Resolution, "2026-01-05T16:00:00Z")
        .when("2026-01-06T10:00:00Z", status(Resolved));
    assert!(story.clock(Resolution).breached());
    assert_eq!(story.clock(Resolution).met(), Some(false));
}

#[test]
fn e15_every_instance_is_kept_under_the_policy_that_measured_it() {
    let desk = policies(
        r#"{"key": "vip", "name": "VIP", "when": {"queues": ["vip"]}, "reopen": "restart", "resolution": {"default": "1h"}},
           {"key": "standard", "name": "Standard", "reopen": "restart", "resolution": {"default": "8h"}}"#,
    );
    let story = given(&desk)
        .when("2026-01-05T09:00:00Z", open())
        .when("2026-01-05T12:00:00Z", status(Resolved))
        .when("2026-01-06T09:00:00Z", status(Open))
        .when("2026-01-06T09:10:00Z", TicketCommand::Transfer(QueueKey::try_new("vip").unwrap()))
        .when("2026-01-06T12:00:00Z", status(Resolved));
    let kept: Vec<_> = story
        .instances(Resolution)
        .iter()
        .map(|clock| (clock.instance, clock.policy.as_str().to_owned(), clock.met()))
        .collect();
    assert_eq!(kept, [(1, "standard".into(), Some(true)), (2, "vip".into(), Some(false))]);
}

#[test]
fn e17_reminders_wait_for_their_own_calendar_and_breaches_do_not() {
    let desk = policies(
        r#"{"key": "p", "name": "P", "warn_before": "1h", "notify_calendar": "office", "resolution": {"default": "12h"},
            "escalations": [{"metric": "resolution", "after": "1h", "level": 1, "notify": ["eve"]}]}"#,
    );
    // Due at nine in the evening of Berlin: no warning after hours, the breach at once, the escalation in the morning.
    let story = given(&desk).when("2026-01-05T08:00:00Z", open()).when_time_passes_to("2026-01-05T23:00:00Z");
    assert_eq!((story.happened("SlaWarned").len(), story.happened("Escalated").len()), (0, 0));
    assert_eq!(story.happened("SlaBreached")[0].at, at("2026-01-05T20:00:00Z"));
    let story = story.when_time_passes_to("2026-01-06T12:00:00Z");
    assert_eq!(story.happened("Escalated")[0].at, at("2026-01-06T08:00:00Z"));
}

const CHAIN: &str = r#"{"key": "p", "name": "P", "warn_before": "30m", "resolution": {"default": "8h", "urgent": "4h"},
    "escalations": [
        {"metric": "resolution", "after": "-1h", "level": 1, "notify": ["ann"], "follow": ["eve"]},
        {"metric": "resolution", "after": "1h", "level": 2, "raise_priority": "urgent", "assign_team": "back"},
        {"metric": "resolution", "after": "2h", "level": 3, "move_to": "vip", "assign_agent": "bob"}
    ]}"#;

#[test]
fn e18_a_stop_of_a_day_ends_in_the_same_events_as_an_uninterrupted_run() {
    let desk = policies(CHAIN);
    let opened = given(&desk).when("2026-01-05T09:00:00Z", open());
    let mut steadily = opened.clone();
    for hour in 9..24 {
        for minute in 0..60 {
            steadily = steadily.when_time_passes_to(&format!("2026-01-05T{hour:02}:{minute:02}:00Z"));
        }
    }
    let late = opened.when_time_passes_to("2026-01-06T23:59:00Z");
    let seen = |story: &Story| -> Vec<_> {
        let detected_at_due = |mut event: StreamEvent| {
            if let TicketEvent::SlaWarned(e) = &mut event.event {
                e.detected_at = event.at;
            } else if let TicketEvent::SlaBreached(e) = &mut event.event {
                e.detected_at = e.due_at;
            } else if let TicketEvent::Escalated(e) = &mut event.event {
                e.step.as_mut().unwrap().detected_at = event.at;
            }
            (event.at, event.event)
        };
        story.history.iter().cloned().map(detected_at_due).collect()
    };
    assert_eq!(seen(&steadily), seen(&late));
    assert_eq!(steadily.ticket, late.ticket);
    // The breach is when it was due; that it was seen a day later stands beside it.
    let TicketEvent::SlaBreached(breach) = &late.happened("SlaBreached")[0].event else { panic!() };
    assert_eq!((breach.due_at, breach.detected_at), (at("2026-01-05T17:00:00Z"), at("2026-01-06T23:59:00Z")));
}

#[test]
fn a_chain_of_escalations_is_climbed_in_order_and_each_step_once_for_each_clock() {
    let story = given(&policies(CHAIN))
        .when("2026-01-05T09:00:00Z", open())
        .when_time_passes_to("2026-01-05T23:00:00Z")
        .when_time_passes_to("2026-01-06T23:00:00Z");
    let steps: Vec<_> = story.happened("Escalated").iter().map(|event| event.at).collect();
    assert_eq!(steps, [at("2026-01-05T16:00:00Z"), at("2026-01-05T18:00:00Z"), at("2026-01-05T18:00:00Z")]);
    // Urgent makes the deadline one of 13:00: what was to follow two hours after it was due long ago, and not before
    // the step that raised the priority.
    let ticket = story.ticket.as_ref().unwrap();
    assert_eq!((ticket.escalation_level, ticket.priority), (3, Priority::Urgent));
    assert_eq!(ticket.team.as_ref().unwrap().as_str(), "back");
    assert_eq!((ticket.queue.as_str(), ticket.agent.as_ref().unwrap().as_str()), ("vip", "bob"));
    assert!(ticket.followers.iter().any(|agent| agent.as_str() == "eve"));
    let TicketEvent::Escalated(first) = &story.happened("Escalated")[0].event else { panic!() };
    assert_eq!(first.notify[0].as_str(), "ann");
    assert_eq!(story.happened("SlaBreached").len(), 1);
}

#[test]
fn a_step_whose_conditions_do_not_hold_waits_until_they_do() {
    let desk = policies(
        r#"{"key": "p", "name": "P", "resolution": {"default": "1h"}, "escalations": [
            {"metric": "resolution", "after": "10m", "level": 1, "when": {"assigned": false}, "assign_agent": "eve"},
            {"metric": "resolution", "after": "20m", "level": 2, "when": {"priorities": ["urgent"]}}]}"#,
    );
    let story = given(&desk)
        .when("2026-01-05T09:00:00Z", open())
        .when("2026-01-05T09:10:00Z", assign("ann"))
        .when_time_passes_to("2026-01-05T12:00:00Z");
    assert!(story.happened("Escalated").is_empty());
    let story = story.when("2026-01-05T12:10:00Z", TicketCommand::AssignAgent(None));
    let story = story.when_time_passes_to("2026-01-05T12:11:00Z");
    assert_eq!(story.happened("Escalated").len(), 1);
    assert_eq!(story.ticket.as_ref().unwrap().agent.as_ref().unwrap().as_str(), "eve");
}

#[test]
fn a_step_in_working_time_is_counted_in_the_calendar() {
    let desk = policies(
        r#"{"key": "p", "name": "P", "calendar": "office", "resolution": {"default": "8h"}, "escalations": [
            {"metric": "resolution", "after": "-4h", "working_time": true, "level": 1},
            {"metric": "resolution", "after": "4h", "working_time": true, "level": 2}]}"#,
    );
    // Friday 13:00 in Berlin; due on Monday 13:00; four working hours around it are Friday 17:00 and Monday 17:00.
    let story = given(&desk).when("2026-01-09T12:00:00Z", open()).when_time_passes_to("2026-01-13T12:00:00Z");
    let steps: Vec<_> = story.happened("Escalated").iter().map(|event| event.at).collect();
    assert_eq!(steps, [at("2026-01-09T16:00:00Z"), at("2026-01-12T16:00:00Z")]);
}

#[test]
fn e19_openings_by_agents_and_notes_count_as_the_policy_says() {
    let with = |options: &str| {
        policies(&format!(
            r#"{{"key": "p", "name": "P", {options} "first_response": {{"default": "1h"}}, "next_response": {{"default": "2h"}}}}"#
        ))
    };
    let by_agent = || open_in("inbox", Priority::Normal, true);
    given(&with("")).when("2026-01-05T09:00:00Z", by_agent()).then_due(FirstResponse, "2026-01-05T10:00:00Z");
    let story = given(&with(r#""agent_opened": "answered","#)).when("2026-01-05T09:00:00Z", by_agent());
    assert!(story.instances(FirstResponse).is_empty());
    story.when("2026-01-05T11:00:00Z", customer()).then_due(NextResponse, "2026-01-05T13:00:00Z");
    let story = given(&with("")).when("2026-01-05T09:00:00Z", open()).when("2026-01-05T09:30:00Z", note());
    assert!(story.clock(FirstResponse).is_active());
    let story = given(&with(r#""notes_count": true,"#))
        .when("2026-01-05T09:00:00Z", open())
        .when("2026-01-05T09:30:00Z", note());
    assert_eq!(story.clock(FirstResponse).met(), Some(true));
    // A filter tells them apart too.
    let apart = policies(
        r#"{"key": "ours", "name": "Ours", "when": {"by_agent": true}, "first_response": {"default": "5h"}},
           {"key": "rest", "name": "Rest", "first_response": {"default": "1h"}}"#,
    );
    given(&apart).when("2026-01-05T09:00:00Z", by_agent()).then_due(FirstResponse, "2026-01-05T14:00:00Z");
    given(&apart).when("2026-01-05T09:00:00Z", open()).then_due(FirstResponse, "2026-01-05T10:00:00Z");
}

#[test]
fn a_periodic_update_starts_anew_with_each_public_answer() {
    let desk = policies(r#"{"key": "p", "name": "P", "pause": ["waiting"], "periodic_update": {"default": "4h"}}"#);
    let story = given(&desk).when("2026-01-05T09:00:00Z", open());
    assert!(story.instances(PeriodicUpdate).is_empty());
    let story = story.when("2026-01-05T10:00:00Z", reply()).then_due(PeriodicUpdate, "2026-01-05T14:00:00Z");
    let story = story.when("2026-01-05T13:00:00Z", reply()).then_due(PeriodicUpdate, "2026-01-05T17:00:00Z");
    let story = story.when("2026-01-05T14:00:00Z", status(Waiting)).when("2026-01-05T15:00:00Z", status(Open));
    let story = story.then_due(PeriodicUpdate, "2026-01-05T18:00:00Z").when("2026-01-05T16:00:00Z", status(Closed));
    assert_eq!(story.instances(PeriodicUpdate).len(), 2);
    let story = story.when("2026-01-06T09:00:00Z", status(Open));
    story.then_due(PeriodicUpdate, "2026-01-06T13:00:00Z");
}

#[test]
fn a_pick_up_ends_with_the_first_assignment_and_team_handling_with_the_next_team() {
    let desk = policies(
        r#"{"key": "sla", "name": "SLA", "pick_up": {"default": "1h"}},
           {"key": "back", "name": "Back office", "track": "ola", "when": {"teams": ["back"]}, "team_handling": {"default": "4h"}},
           {"key": "any", "name": "Any team", "track": "ola", "team_handling": {"default": "2h"}}"#,
    );
    let story = given(&desk).when("2026-01-05T09:00:00Z", open()).then_due(PickUp, "2026-01-05T10:00:00Z");
    let story = story.when("2026-01-05T09:20:00Z", assign("ann")).when("2026-01-05T09:30:00Z", team("front"));
    assert_eq!(story.clock(PickUp).met(), Some(true));
    let story = story.then_due(TeamHandling, "2026-01-05T11:30:00Z").when("2026-01-05T12:00:00Z", team("back"));
    let story = story.then_due(TeamHandling, "2026-01-05T16:00:00Z").when("2026-01-05T15:00:00Z", status(Resolved));
    let kept: Vec<_> = story
        .instances(TeamHandling)
        .iter()
        .map(|clock| (clock.instance, clock.policy.as_str().to_owned(), clock.met()))
        .collect();
    assert_eq!(kept, [(1, "any".into(), Some(false)), (2, "back".into(), Some(true))]);
}

#[test]
fn a_choice_says_why() {
    let desk = policies(
        r#"{"key": "vip", "name": "VIP", "when": {"queues": ["vip"], "priorities": ["high", "urgent"]},
            "resolution": {"default": "1h"}},
           {"key": "hot", "name": "Hot", "when": {"tags": ["outage"]}, "resolution": {"default": "30m"}},
           {"key": "rest", "name": "Rest", "resolution": {"default": "8h"}}"#,
    );
    let story = given(&desk)
        .when("2026-01-05T09:00:00Z", open())
        .when("2026-01-05T09:10:00Z", TicketCommand::AddTag("outage".into()))
        .when("2026-01-05T09:20:00Z", TicketCommand::RemoveTag("outage".into()))
        .when("2026-01-05T09:30:00Z", TicketCommand::Transfer(QueueKey::try_new("vip").unwrap()))
        .when("2026-01-05T09:40:00Z", TicketCommand::SetPriority(Priority::High));
    let choices: Vec<_> = story
        .happened("SlaApplied")
        .iter()
        .map(|event| {
            let TicketEvent::SlaApplied(e) = &event.event else { panic!() };
            (e.policy.as_ref().unwrap().to_string(), e.reason, e.matched.join(", "))
        })
        .collect();
    let choice = |policy: &str, reason, matched: &str| (policy.to_owned(), reason, matched.to_owned());
    assert_eq!(
        choices,
        [
            choice("rest", SlaReason::Opened, ""),
            choice("hot", SlaReason::TagsChanged, "tag outage"),
            choice("rest", SlaReason::TagsChanged, ""),
            choice("vip", SlaReason::PriorityChanged, "queue vip, priority high"),
        ]
    );
    assert_eq!(story.instances(Resolution).len(), 1, "one clock, whatever policy aims it");
}

#[test]
fn an_explanation_names_what_happened_by_which_event_and_its_stretches_add_up() {
    let desk = policies(
        r#"{"key": "p", "name": "P", "calendar": "office", "pause": ["waiting"], "reopen": "resume",
            "resolution": {"default": "16h", "high": "10h"}}"#,
    );
    // Over the end of winter time, with a pause, a resolution, a reopening and another priority.
    let story = given(&desk)
        .when("2026-03-26T12:00:00Z", open())
        .when("2026-03-27T09:00:00Z", status(Waiting))
        .when("2026-03-27T11:00:00Z", status(Open))
        .when("2026-03-27T15:00:00Z", status(Resolved))
        .when("2026-03-30T07:00:00Z", status(Open))
        .when("2026-03-30T08:00:00Z", TicketCommand::SetPriority(Priority::High));
    let explained = story.explained("2026-03-30T08:30:00Z");
    let [explanation] = &explained[..] else { panic!() };
    let moments: Vec<_> = explanation.moments.iter().map(|m| (m.moment.name(), m.event_type.unwrap_or("–"))).collect();
    assert_eq!(
        moments,
        [
            ("activated", "SlaApplied"),
            ("paused", "StatusChanged"),
            ("resumed", "StatusChanged"),
            ("fulfilled", "Resolved"),
            ("resumed", "Reopened"),
            ("aimed", "PriorityChanged"),
            ("breached", "–"),
        ]
    );
    // 13:00–17:00, 09:00–10:00, 12:00–16:00 in Berlin are nine hours; the tenth ends on Monday at ten.
    assert_eq!(explanation.clock.due_at, Some(at("2026-03-30T08:00:00Z")));
    let overrun: i64 =
        explanation.intervals.iter().filter(|i| i.stretch == Stretch::Overrun).map(Interval::millis).sum();
    assert_eq!(overrun, 30 * MINUTE);
    let text = explanation.to_string();
    for part in [
        "calendar  office version",
        "zone data 20",
        "2026-03-27T09:00:00.000Z  paused",
        "due       2026-03-30T08:00:00.000Z",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_desk_file_that_cannot_measure_is_refused_with_a_word_on_what_to_do() {
    let said = |parts: &str, word: &str| {
        let problems = policies(parts).problems(&Desk::default());
        assert!(problems.iter().any(|problem| problem.to_string().contains(word)), "{word}: {problems:?}");
    };
    said(r#"{"key": "p", "name": "P", "resolution": {"default": "0s"}}"#, "longer than nothing");
    said(r#"{"key": "p", "name": "P", "calendar": "office", "resolution": {"default": "0bd"}}"#, "longer than nothing");
    said(r#"{"key": "p", "name": "P", "resolution": {"default": "2bd"}}"#, "give the policy a calendar");
    said(r#"{"key": "p", "name": "P"}"#, "no target");
    said(
        r#"{"key": "p", "name": "P", "default": true, "when": {"queues": ["vip"]}, "resolution": {"default": "1h"}}"#,
        "leave out its conditions",
    );
    said(
        r#"{"key": "p", "name": "P", "default": true, "resolution": {"default": "1h"}},
           {"key": "q", "name": "Q", "default": true, "resolution": {"default": "1h"}}"#,
        "another default",
    );
    said(
        r#"{"key": "p", "name": "P", "valid_from": "2026-02-01T00:00:00Z", "valid_until": "2026-01-01T00:00:00Z",
            "resolution": {"default": "1h"}}"#,
        "never valid",
    );
    said(
        r#"{"key": "p", "name": "P", "resolution": {"default": "1h"},
            "escalations": [{"metric": "first_response", "after": "1h", "level": 1}]}"#,
        "has no target",
    );
    said(
        r#"{"key": "p", "name": "P", "resolution": {"default": "1h"},
            "escalations": [{"metric": "resolution", "after": "1h", "level": 1, "assign_agent": "zoe"}]}"#,
        "not in the file",
    );
    said(
        r#"{"key": "p", "name": "P", "when": {"queues": ["inbox"]}, "resolution": {"default": "1h"},
            "escalations": [{"metric": "resolution", "after": "1h", "level": 1, "move_to": "vip"}]},
           {"key": "q", "name": "Q", "when": {"queues": ["vip"]}, "resolution": {"default": "1h"},
            "escalations": [{"metric": "resolution", "after": "1h", "level": 1, "move_to": "inbox"}]}"#,
        "break the circle",
    );
    said(
        r#"{"key": "p", "name": "P", "when": {"queues": ["inbox"]}, "resolution": {"default": "1h"},
            "escalations": [{"metric": "resolution", "after": "1h", "level": 1, "move_to": "vip"}]},
           {"key": "q", "name": "Q", "default": true, "resolution": {"default": "1h"},
            "escalations": [{"metric": "resolution", "after": "1h", "level": 1, "move_to": "inbox"}]}"#,
        "break the circle",
    );
    assert!(serde_json::from_str::<crate::desk::Targets>(r#"{"default": "900000h"}"#).is_err(), "a century");
    let empty = serde_json::from_str::<crate::desk::PolicyFilter>(r#"{"tags": []}"#).unwrap_err();
    assert!(empty.to_string().contains("the list of a condition is empty"), "{empty}");
}

#[test]
fn a_clock_to_which_nothing_special_happened_keeps_nothing_beside_itself() {
    // There are millions of them.
    assert!(size_of::<Clock>() <= 152, "{}", size_of::<Clock>());
    let desk = policies(r#"{"key": "p", "name": "P", "pause": ["waiting"], "resolution": {"default": "8h"}}"#);
    let story = given(&desk)
        .when("2026-01-05T09:00:00Z", open())
        .when("2026-01-05T10:00:00Z", status(Waiting))
        .when("2026-01-05T11:00:00Z", status(Open))
        .when("2026-01-05T12:00:00Z", status(Resolved));
    assert!(story.clock(Resolution).history.is_none());
}

/// What was told of deadlines since an event: name, instant, and the deadline that it was for.
fn told_since(story: &Story, name: &str) -> Vec<(&'static str, Timestamp, Timestamp)> {
    let since = story.history.iter().position(|event| crate::event::EventFamily::type_version(&event.event).0 == name);
    let told = story.history[since.unwrap()..].iter().filter_map(|event| {
        if let TicketEvent::SlaWarned(e) = &event.event {
            Some(("warned", event.at, e.due_at))
        } else if let TicketEvent::SlaBreached(e) = &event.event {
            Some(("breached", event.at, e.due_at))
        } else if let TicketEvent::Escalated(e) = &event.event {
            e.step.as_ref().map(|step| ("escalated", event.at, step.due_at))
        } else {
            None
        }
    });
    told.collect()
}

#[test]
fn a_breached_clock_that_gets_a_later_deadline_is_silent_until_it_and_told_of_it_anew() {
    let desk = policies(
        r#"{"key": "p", "name": "P", "warn_before": "30m", "resolution": {"default": "8h", "urgent": "2h"},
            "escalations": [{"metric": "resolution", "after": "1h", "level": 1, "notify": ["ann"]}]}"#,
    );
    let story = given(&desk)
        .when("2026-01-05T09:00:00Z", open_in("inbox", Priority::Urgent, false))
        .when_time_passes_to("2026-01-05T12:30:00Z");
    assert!(story.clock(Resolution).breached());
    assert_eq!(story.clock(Resolution).level(), 1);
    let story = story.when("2026-01-05T13:00:00Z", TicketCommand::SetPriority(Priority::Normal));
    let clock = story.clock(Resolution);
    assert_eq!((clock.warned(), clock.breached(), clock.level()), (false, false, 0));
    assert_eq!(clock.breached_at(at("2026-01-05T13:00:00Z")), None);
    let due = at("2026-01-05T17:00:00Z");
    let story = story.when_time_passes_to("2026-01-05T16:29:59Z");
    assert_eq!(told_since(&story, "PriorityChanged"), []);
    let story = story.when_time_passes_to("2026-01-06T00:00:00Z");
    assert_eq!(
        told_since(&story, "PriorityChanged"),
        [
            ("warned", at("2026-01-05T16:30:00Z"), due),
            ("breached", due, due),
            ("escalated", at("2026-01-05T18:00:00Z"), due)
        ]
    );
    // Both breaches are among the moments, each at its own deadline.
    let moments = moments(&story.history, &story.desk, at("2026-01-06T00:00:00Z"));
    let breaches: Vec<_> = moments.iter().filter(|m| m.moment == Moment::Breached).map(|m| m.at).collect();
    assert_eq!(breaches, [at("2026-01-05T11:00:00Z"), due]);
    // Back to the earlier deadline: what was told of the later one was told of it too.
    let events = story.history.len();
    let story = story.when("2026-01-06T01:00:00Z", TicketCommand::SetPriority(Priority::Urgent));
    let story = story.when_time_passes_to("2026-01-07T00:00:00Z");
    assert_eq!(story.history.len(), events + 1);
    assert!(story.clock(Resolution).breached());
}

#[test]
fn a_warning_before_a_pause_is_not_one_of_the_deadline_after_it() {
    let desk = policies(
        r#"{"key": "p", "name": "P", "warn_before": "1h", "pause": ["waiting"], "resolution": {"default": "4h"}}"#,
    );
    let story = given(&desk)
        .when("2026-01-05T09:00:00Z", open())
        .when_time_passes_to("2026-01-05T12:30:00Z")
        .when("2026-01-05T12:30:00Z", status(Waiting))
        .when_time_passes_to("2026-01-05T20:00:00Z");
    assert_eq!(story.happened("SlaWarned").len(), 1);
    assert!(!story.clock(Resolution).warned(), "while it stands there is no deadline to warn of");
    let story = story.when("2026-01-05T20:00:00Z", status(Open)).when_time_passes_to("2026-01-06T00:00:00Z");
    let due = at("2026-01-05T20:30:00Z");
    // Nobody is warned of it before it is one.
    let expected = [("warned", at("2026-01-05T20:00:00Z"), due), ("breached", due, due)];
    assert_eq!(told_since(&story, "StatusChanged"), expected);
    // A pause without working time in it moves nothing.
    let office = policies(
        r#"{"key": "p", "name": "P", "calendar": "office", "warn_before": "1h", "pause": ["waiting"],
            "resolution": {"default": "9h"}}"#,
    );
    let story = given(&office)
        .when("2026-01-05T08:00:00Z", open())
        .when_time_passes_to("2026-01-05T16:30:00Z")
        .when("2026-01-05T17:00:00Z", status(Waiting))
        .when("2026-01-05T19:00:00Z", status(Open))
        .when_time_passes_to("2026-01-06T12:00:00Z");
    assert_eq!((story.happened("SlaWarned").len(), story.happened("SlaBreached").len()), (1, 1));
}

#[test]
fn steps_begin_anew_for_a_later_deadline_and_go_on_for_an_earlier_one() {
    let desk = policies(
        r#"{"key": "p", "name": "P", "resolution": {"default": "8h", "low": "10h", "urgent": "4h"}, "escalations": [
            {"metric": "resolution", "after": "-1h", "level": 1}, {"metric": "resolution", "after": "1h", "level": 2}]}"#,
    );
    let steps = |story: &Story| -> Vec<_> {
        let level = |event: &&StreamEvent| {
            let TicketEvent::Escalated(e) = &event.event else { unreachable!() };
            (event.at, e.step.as_ref().unwrap().level)
        };
        story.happened("Escalated").iter().map(level).collect()
    };
    let story = given(&desk).when("2026-01-05T09:00:00Z", open()).when_time_passes_to("2026-01-05T16:30:00Z");
    let first = (at("2026-01-05T16:00:00Z"), 1);
    assert_eq!(steps(&story), [first]);
    let later = story.clone().when("2026-01-05T16:30:00Z", TicketCommand::SetPriority(Priority::Low));
    let later = later.when_time_passes_to("2026-01-06T09:00:00Z");
    assert_eq!(steps(&later), [first, (at("2026-01-05T18:00:00Z"), 1), (at("2026-01-05T20:00:00Z"), 2)]);
    let earlier = story.when("2026-01-05T16:30:00Z", TicketCommand::SetPriority(Priority::Urgent));
    let earlier = earlier.when_time_passes_to("2026-01-06T09:00:00Z");
    assert_eq!(steps(&earlier), [first, (at("2026-01-05T16:30:00Z"), 2)]);
}

#[test]
fn a_deadline_between_two_that_were_told_of_does_not_pass_in_silence() {
    let desk = policies(
        r#"{"key": "p", "name": "P", "warn_before": "1h", "resolution": {"low": "8h", "normal": "6h", "urgent": "2h"}}"#,
    );
    // Warned of the latest, breached the earliest; the one between is later than what was breached.
    let story = given(&desk)
        .when("2026-01-05T09:00:00Z", open_in("inbox", Priority::Low, false))
        .when_time_passes_to("2026-01-05T16:10:00Z")
        .when("2026-01-05T16:10:00Z", TicketCommand::SetPriority(Priority::Urgent))
        .when_time_passes_to("2026-01-05T16:20:00Z")
        .when("2026-01-05T16:20:00Z", TicketCommand::SetPriority(Priority::Normal))
        .when_time_passes_to("2026-01-05T16:30:00Z");
    let breaches: Vec<_> = story.happened("SlaBreached").iter().map(|event| event.at).collect();
    assert_eq!(breaches, [at("2026-01-05T11:00:00Z"), at("2026-01-05T15:00:00Z")]);
}

#[test]
fn steps_that_hand_a_ticket_to_and_fro_come_to_an_end() {
    let desk = policies(
        r#"{"key": "back", "name": "Back", "when": {"teams": ["back"]}, "resolution": {"default": "3h"}, "escalations": [
                {"metric": "resolution", "after": "0s", "level": 1, "assign_team": "front"},
                {"metric": "resolution", "after": "1h", "level": 2, "assign_team": "front"}]},
           {"key": "front", "name": "Front", "resolution": {"default": "2h"}, "escalations": [
                {"metric": "resolution", "after": "0s", "level": 1, "assign_team": "back"},
                {"metric": "resolution", "after": "1h", "level": 2, "assign_team": "back"}]}"#,
    );
    let story = given(&desk).when("2026-01-05T09:00:00Z", open()).when_time_passes_to("2026-01-09T09:00:00Z");
    assert_eq!(story.happened("Escalated").len(), 3);
}

#[test]
fn a_breach_that_is_on_record_has_an_instant_and_an_answer_in_time_has_no_breach() {
    let desk = policies(r#"{"key": "p", "name": "P", "first_response": {"default": "1h"}}"#);
    let due = "2026-01-05T10:00:00Z";
    let story = given(&desk).when("2026-01-05T09:00:00Z", open()).when_time_passes_to(due);
    let clock = story.clock(FirstResponse);
    assert_eq!((clock.breached(), clock.breached_at(at(due))), (true, Some(at(due))));
    // Mail that was sent in time and became known after the breach was recorded.
    for sent in ["2026-01-05T09:50:00Z", due] {
        let story = story.clone().when_at(at(sent), at("2026-01-05T10:05:00Z"), &reply());
        let clock = story.clock(FirstResponse);
        assert_eq!((clock.met(), clock.breached()), (Some(true), false));
        assert_eq!(clock.breached_at(at("2026-01-06T00:00:00Z")), None);
    }
}

/// How a clock had ended by an instant.
fn ended(story: &Story, metric: SlaMetric, instant: &str) -> Option<(String, Option<Ending>)> {
    let then = story.instances(metric)[0].at(Some(at(instant)))?;
    Some((then.policy.to_string(), then.ended.map(|(ending, _)| ending)))
}

#[test]
fn what_a_clock_was_stays_though_its_end_is_undone_and_another_policy_measures_it() {
    let desk = policies(
        r#"{"key": "vip", "name": "VIP", "when": {"queues": ["vip"]}, "reopen": "continue", "resolution": {"default": "4h"}},
           {"key": "rest", "name": "Rest", "reopen": "continue", "resolution": {"default": "8h"}}"#,
    );
    let story = given(&desk)
        .when("2026-01-05T09:00:00Z", open())
        .when("2026-01-05T12:00:00Z", status(Resolved))
        .when("2026-02-05T12:00:00Z", status(Open))
        .when("2026-02-06T12:00:00Z", TicketCommand::Transfer(QueueKey::try_new("vip").unwrap()))
        .when("2026-02-07T12:00:00Z", status(Resolved))
        .when("2026-02-07T13:00:00Z", status(Closed))
        .when("2026-02-08T12:00:00Z", status(Resolved))
        .when("2026-02-09T12:00:00Z", TicketCommand::SetPriority(Priority::High));
    let then = |instant: &str| ended(&story, Resolution, instant);
    let was = |policy: &str, ending: Option<Ending>| Some((policy.to_owned(), ending));
    assert_eq!(then("2026-01-05T08:59:59Z"), None);
    assert_eq!(then("2026-01-05T11:59:59Z"), was("rest", None));
    assert_eq!(then("2026-01-05T12:00:00Z"), was("rest", Some(Ending::Met)));
    assert_eq!(then("2026-02-05T11:59:59Z"), was("rest", Some(Ending::Met)));
    assert_eq!(then("2026-02-05T12:00:00Z"), was("rest", None));
    assert_eq!(then("2026-02-06T12:00:00Z"), was("vip", None));
    assert_eq!(then("2026-02-07T12:00:00Z"), was("vip", Some(Ending::Missed)));
    let clock = story.clock(Resolution);
    assert_eq!(clock.at(Some(at("2026-02-08T00:00:00Z"))).unwrap().ended.unwrap().1, at("2026-02-07T12:00:00Z"));
    assert_eq!(clock.at(None).unwrap().ended, Some((Ending::Missed, at("2026-02-08T12:00:00Z"))));
    let place = |instant: &str| story.clocks().place_at(Some(at(instant))).map(|(queue, p)| (queue.to_string(), p));
    assert_eq!(place("2026-01-05T12:00:00Z"), Some(("inbox".into(), Priority::Normal)));
    assert_eq!(place("2026-02-08T12:00:00Z"), Some(("vip".into(), Priority::Normal)));
    assert_eq!(story.clocks().place_at(None).unwrap().1, Priority::High);
}

#[test]
fn a_clock_that_a_late_policy_starts_was_not_there_before_it() {
    let desk = policies(
        r#"{"key": "vip", "name": "VIP", "when": {"queues": ["vip"]}, "warn_before": "1h", "resolution": {"default": "4h"},
            "escalations": [{"metric": "resolution", "after": "1h", "level": 1}]}"#,
    );
    let story = given(&desk)
        .when("2026-01-05T09:00:00Z", open())
        .when("2026-02-05T09:00:00Z", TicketCommand::Transfer(QueueKey::try_new("vip").unwrap()))
        .when_time_passes_to("2026-02-05T09:00:00Z");
    assert_eq!(ended(&story, Resolution, "2026-02-05T08:59:59Z"), None);
    let clock = story.clock(Resolution).at(Some(at("2026-02-05T09:00:00Z"))).unwrap();
    assert!(clock.is_overdue(at("2026-02-05T09:00:00Z")));
    // The deadline was in January; nobody could have been told then.
    assert_eq!(story.happened("Escalated")[0].at, at("2026-02-05T09:00:00Z"));
    assert_eq!(story.happened("SlaBreached")[0].at, at("2026-01-05T13:00:00Z"));
}

#[test]
fn a_shorter_target_makes_nobody_overdue_before_it_was_given() {
    let desk = policies(
        r#"{"key": "p", "name": "P", "pause": ["waiting"], "resolution": {"default": "8h", "urgent": "30m"}}"#,
    );
    let story = given(&desk)
        .when("2026-01-05T09:00:00Z", open())
        .when("2026-01-05T10:00:00Z", status(Waiting))
        .when("2026-01-05T15:00:00Z", TicketCommand::SetPriority(Priority::Urgent));
    let overdue = |instant: &str| story.clock(Resolution).at(Some(at(instant))).unwrap().is_overdue(at(instant));
    assert!(!overdue("2026-01-05T14:59:59Z"));
    assert!(overdue("2026-01-05T15:00:00Z"));
}

mod random {
    use proptest::prelude::*;

    use super::*;

    fn any_command() -> impl Strategy<Value = TicketCommand> {
        prop_oneof![
            Just(reply()),
            Just(customer()),
            Just(note()),
            prop::sample::select(vec![Open, Waiting, Resolved, Closed]).prop_map(status),
            prop::sample::select(Priority::ALL.to_vec()).prop_map(TicketCommand::SetPriority),
            prop::sample::select(vec!["inbox", "vip"])
                .prop_map(|queue| TicketCommand::Transfer(QueueKey::try_new(queue).unwrap())),
            prop::sample::select(vec!["front", "back"]).prop_map(team),
            Just(TicketCommand::AssignTeam(None)),
            Just(assign("bob")),
            Just(TicketCommand::ReapplyPolicies),
        ]
    }

    const DESK: &str = r#"
        {"key": "vip", "name": "VIP", "when": {"queues": ["vip"]}, "calendar": "office", "pause": ["waiting"],
         "reopen": "restart", "warn_before": "1h", "next_response": {"default": "2h"}, "resolution": {"default": "1bd"},
         "escalations": [{"metric": "resolution", "after": "-1h", "level": 1, "raise_priority": "high"},
                         {"metric": "resolution", "after": "1h", "level": 2, "assign_agent": "eve"}]},
        {"key": "rest", "name": "Rest", "pause": ["waiting"], "notes_count": true, "first_response": {"default": "1h"},
         "pick_up": {"default": "2h"}, "periodic_update": {"default": "3h"}, "resolution": {"default": "8h", "urgent": "2h"}},
        {"key": "ola", "name": "OLA", "track": "ola", "reopen": "continue", "team_handling": {"default": "3h"},
         "resolution": {"low": "30h"}}"#;

    type Figure = (SlaMetric, TrackKey, u32, String, Option<(Ending, Timestamp)>, bool);

    /// What a report counts of a clock, read off as it is now.
    fn present(clock: &Clock, now: Timestamp) -> Figure {
        let ended = clock.ended_at().map(|at| match (clock.met(), clock.breached_at(now)) {
            (Some(true), _) => (Ending::Met, at),
            (Some(false), _) => (Ending::Missed, at),
            (None, None) => (Ending::Cancelled, at),
            (None, Some(_)) => (Ending::CancelledLate, at),
        });
        let overdue = clock.is_active() && clock.due_at.is_some_and(|due| due < now);
        (clock.metric, clock.track.clone(), clock.instance, clock.policy.to_string(), ended, overdue)
    }

    /// The same, remembered.
    fn past(clock: &Clock, then: Timestamp) -> Option<Figure> {
        let was = clock.at(Some(then))?;
        let policy = was.policy.to_string();
        Some((clock.metric, clock.track.clone(), clock.instance, policy, was.ended, was.is_overdue(then)))
    }

    proptest! {
        #[test]
        fn e20_whatever_happens_the_clocks_keep_their_promises(
            steps in prop::collection::vec((0..900_i64, any_command()), 0..30),
            backwards in prop::collection::vec(prop::bool::weighted(0.1), 30),
        ) {
            let desk = policies(DESK);
            let mut now = at("2026-01-05T09:00:00Z");
            let mut story = given(&desk).when_at(now, now, &open());
            for ((minutes, command), backwards) in steps.into_iter().zip(backwards) {
                now = now.plus_millis(minutes * MINUTE);
                // A clock that goes back, or late mail.
                let instant = if backwards { now.plus_millis(-600 * MINUTE) } else { now };
                let context = Context { at: instant, now, actor: &Actor::System, desk: &story.desk, directory: &crate::ticket::Everything };
                if decide(story.ticket.as_ref(), &command, &context).is_ok() {
                    story = story.when_at(instant, now, &command);
                }
                story = story.when_time_passes_to(&now.to_string());
                let ticket = story.ticket.as_ref().unwrap();
                for clock in &ticket.clocks.clocks {
                    prop_assert!(!(ticket.status.category.is_done() && clock.is_active()));
                    prop_assert_eq!(clock.met().is_some(), matches!(clock.state, ClockState::Fulfilled(_)));
                    let same = |other: &&Clock| {
                        (other.metric, other.instance) == (clock.metric, clock.instance) && other.track == clock.track
                    };
                    prop_assert_eq!(ticket.clocks.clocks.iter().filter(same).count(), 1, "numbers are used once");
                    // No deadline that has passed is left without a word.
                    let unsaid = clock.is_active() && !clock.breached() && clock.due_at.is_some_and(|due| due <= now);
                    prop_assert!(!unsaid, "{:?}", clock);
                    // What is on record has an instant, and a moved deadline takes none of the other's marks.
                    prop_assert!(!clock.breached() || clock.breached_at(now).is_some(), "{:?}", clock);
                }
                for track in ["sla", "ola"].map(|track| TrackKey::try_new(track).unwrap()) {
                    for metric in SlaMetric::ALL {
                        let active = |clock: &&Clock| clock.is_active() && clock.metric == metric && clock.track == track;
                        prop_assert!(ticket.clocks.clocks.iter().filter(active).count() <= 1);
                    }
                }
            }
            // Every step of an escalation was taken once for each deadline of its clock, and every breach recorded once.
            let mut taken = Vec::new();
            for event in story.happened("SlaBreached") {
                let TicketEvent::SlaBreached(e) = &event.event else { unreachable!() };
                taken.push((e.track.clone(), e.metric, e.instance, e.due_at, 0));
            }
            for event in story.happened("Escalated") {
                let TicketEvent::Escalated(e) = &event.event else { unreachable!() };
                let step = e.step.as_ref().unwrap();
                taken.push((step.track.clone(), step.metric, step.instance, step.due_at, step.level));
            }
            let mut once = taken.clone();
            once.sort();
            once.dedup();
            prop_assert_eq!(once.len(), taken.len());
            story.explained(&now.to_string());
            // The same events fold into the same clocks, whoever folds them.
            let mut again = Clocks::default();
            for event in &story.history {
                again.evolve(&event.event, event.at, &story.desk);
            }
            prop_assert_eq!(&again, story.clocks());
        }

        #[test]
        fn what_a_clock_was_at_an_instant_is_what_it_is_said_to_have_been_ever_after(
            steps in prop::collection::vec((1..2_000_i64, any_command()), 1..30),
        ) {
            let (mut now, mut seen, mut places) = (at("2026-01-05T09:00:00Z"), vec![], vec![]);
            let mut story = given(&policies(DESK)).when_at(now, now, &open());
            for (minutes, command) in steps {
                // Everything up to the instant before the command has happened.
                now = now.plus_millis(minutes * MINUTE);
                let then = now.plus_millis(-1);
                story = story.when_time_passes_to(&then.to_string());
                seen.push((then, story.clocks().clocks.iter().map(|clock| present(clock, then)).collect::<Vec<_>>()));
                let context = Context { at: now, now, actor: &Actor::System, desk: &story.desk, directory: &crate::ticket::Everything };
                if decide(story.ticket.as_ref(), &command, &context).is_ok() {
                    story = story.when_at(now, now, &command);
                }
                story = story.when_time_passes_to(&now.to_string());
                let ticket = story.ticket.as_ref().unwrap();
                if ticket.clocks.clocks.iter().any(|clock| clock.ended_at() == Some(now)) {
                    places.push((now, ticket.queue.clone(), ticket.priority));
                }
            }
            for (then, clocks) in seen {
                let said: Vec<_> = story.clocks().clocks.iter().filter_map(|clock| past(clock, then)).collect();
                prop_assert_eq!(said, clocks, "at {}", then);
            }
            for (ended_at, queue, priority) in places {
                prop_assert_eq!(story.clocks().place_at(Some(ended_at)), Some((&queue, priority)));
            }
        }

        #[test]
        fn a_pause_moves_a_deadline_by_the_working_time_in_it(
            opened in 0..20_000_i64, pause in 1..5_000_i64, length in 0..20_000_i64, target in 1..6_000_i64,
        ) {
            let mut desk = policies(r#"{"key": "p", "name": "P", "calendar": "office", "pause": ["waiting"], "resolution": {"default": "1h"}}"#);
            desk.policies[0].resolution.default = Some(crate::desk::Target::Working(Span::minutes(target)));
            let office = Calendar::try_new(&desk.calendars[0]).unwrap();
            let opened = at("2026-03-20T00:00:00Z").plus_millis(opened * MINUTE);
            let story = given(&desk).when_at(opened, opened, &open());
            let before = story.clock(Resolution).due_at.unwrap();
            let from = opened.plus_millis(pause * MINUTE);
            let to = from.plus_millis(length * MINUTE);
            let story = story.when_at(from, from, &status(Waiting)).when_at(to, to, &status(Open));
            let after = story.clock(Resolution).due_at.unwrap();
            // In the instant of the deadline it is stopped in time.
            if from <= before {
                prop_assert_eq!(office.elapsed_millis(before, after), office.elapsed_millis(from, to));
            } else {
                prop_assert_eq!(after, before);
            }
        }
    }
}
