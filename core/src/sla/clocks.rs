//! The fold of a ticket's events into clocks.
//!
//! What a ticket waits for does not depend on policies: it is kept beside the clocks, so that a policy that comes late
//! measures from when the wait began, with the pauses that there were.

use serde::{Deserialize, Serialize};

use super::{
    clock::{Clock, Pin, WorkingTime},
    state::ClockState,
};
use crate::{
    desk::{AgentOpened, Desk, PolicyDefinition, ReopenRule},
    ids::{QueueKey, TrackKey},
    ticket::{CallOutcome, Priority, SlaApplied, SlaMetric, StatusRef, TicketEvent},
    time::Timestamp,
};

/// What the conversation waits for. There are two of them: one to which only messages and calls are answers, and one to
/// which notes are too.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Conversation {
    answered: bool,
    /// When the customer wrote what is not answered yet.
    next_since: Option<Timestamp>,
    /// The last answer.
    update_since: Option<Timestamp>,
}

/// What a ticket was until it changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    until: Timestamp,
    queue: QueueKey,
    priority: Priority,
}

/// All clocks of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Clocks {
    /// The pinned policies, one a track.
    pub pins: Vec<Pin>,
    /// Every clock that was ever started.
    pub clocks: Vec<Clock>,
    opened_at: Timestamp,
    by_agent: bool,
    priority: Priority,
    queue: Option<QueueKey>,
    assigned: bool,
    picked_up: bool,
    team_since: Option<Timestamp>,
    reopened_at: Option<Timestamp>,
    /// Where it was before, since a clock of it first ended.
    places: Vec<Place>,
    /// Every status and since when.
    statuses: Vec<(Timestamp, StatusRef)>,
    spoken: Conversation,
    noted: Conversation,
}

impl Clocks {
    /// The earliest deadline that still counts.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.clocks.iter().filter(|clock| clock.is_active()).filter_map(|clock| clock.due_at).min()
    }

    /// The clock of a metric that runs or stands.
    pub fn active(&self, track: &TrackKey, metric: SlaMetric) -> Option<&Clock> {
        self.clocks.iter().find(|c| c.is_active() && c.metric == metric && c.track == *track)
    }

    /// The policy pinned for a track.
    pub fn pinned_policy<'a>(&self, track: &TrackKey, desk: &'a Desk) -> Option<&'a PolicyDefinition> {
        self.pins.iter().find(|pin| pin.track == *track)?.policy(desk)
    }

    /// True when an agent opened the ticket on somebody's behalf.
    pub const fn by_agent(&self) -> bool {
        self.by_agent
    }

    /// Queue and priority of the ticket when a clock of it ended and all of that instant had happened; the present ones
    /// without an instant.
    pub fn place_at(&self, ended_at: Option<Timestamp>) -> Option<(&QueueKey, Priority)> {
        let place = ended_at.and_then(|at| self.places.iter().find(|place| at < place.until));
        match place {
            Some(place) => Some((&place.queue, place.priority)),
            None => Some((self.queue.as_ref()?, self.priority)),
        }
    }

    pub(super) const fn priority(&self) -> Priority {
        self.priority
    }

    pub(super) const fn queue(&self) -> Option<&QueueKey> {
        self.queue.as_ref()
    }

    pub(super) const fn assigned(&self) -> bool {
        self.assigned
    }

    pub(super) fn status(&self) -> Option<&StatusRef> {
        self.statuses.last().map(|(_, status)| status)
    }

    fn is_done(&self) -> bool {
        self.status().is_some_and(|status| status.category.is_done())
    }

    fn conversation(&self, policy: &PolicyDefinition) -> &Conversation {
        if policy.notes_count { &self.noted } else { &self.spoken }
    }

    /// True for events by which clocks move; all others leave them as they are.
    pub const fn concerned_by(event: &TicketEvent) -> bool {
        match event {
            TicketEvent::TicketOpened(_)
            | TicketEvent::MessageReceived(_)
            | TicketEvent::MessageSent(_)
            | TicketEvent::NoteAdded(_)
            | TicketEvent::CallLogged(_)
            | TicketEvent::AgentAssigned(_)
            | TicketEvent::AgentUnassigned(_)
            | TicketEvent::ReturnedToQueue(_)
            | TicketEvent::TeamAssigned(_)
            | TicketEvent::TeamUnassigned(_)
            | TicketEvent::QueueChanged(_)
            | TicketEvent::StatusChanged(_)
            | TicketEvent::Resolved(_)
            | TicketEvent::Closed(_)
            | TicketEvent::Reopened(_)
            | TicketEvent::PriorityChanged(_)
            | TicketEvent::Escalated(_)
            | TicketEvent::SlaApplied(_)
            | TicketEvent::SlaWarned(_)
            | TicketEvent::SlaBreached(_) => true,
            TicketEvent::EscalationLowered(_)
            | TicketEvent::CategoryChanged(_)
            | TicketEvent::SubjectChanged(_)
            | TicketEvent::RequesterChanged(_)
            | TicketEvent::TagAdded(_)
            | TicketEvent::TagRemoved(_)
            | TicketEvent::FollowerAdded(_)
            | TicketEvent::FollowerRemoved(_)
            | TicketEvent::FieldChanged(_) => false,
        }
    }

    /// The fold.
    pub fn evolve(&mut self, event: &TicketEvent, at: Timestamp, desk: &Desk) {
        match event {
            TicketEvent::TicketOpened(e) => {
                self.opened_at = at;
                self.by_agent = e.by_agent;
                self.priority = e.priority;
                self.queue = Some(e.queue.clone());
                push_one(&mut self.statuses, (at, e.status.clone()));
            }
            TicketEvent::SlaApplied(e) => self.apply_policy(e, at, desk),
            TicketEvent::MessageReceived(_) => self.ask(at, desk),
            TicketEvent::MessageSent(_) => self.answer(at, true, desk),
            TicketEvent::NoteAdded(e) => {
                if e.agent.is_some() {
                    self.answer(at, false, desk);
                }
            }
            TicketEvent::CallLogged(e) => match (e.outcome, &e.agent) {
                (CallOutcome::Answered, Some(_)) => self.answer(at, true, desk),
                (CallOutcome::Answered | CallOutcome::Missed, _) => self.ask(at, desk),
            },
            TicketEvent::AgentAssigned(_) => {
                self.assigned = true;
                if !self.picked_up {
                    self.picked_up = true;
                    self.fulfil(&[SlaMetric::PickUp], at, desk, |_| true);
                }
            }
            TicketEvent::AgentUnassigned(_) | TicketEvent::ReturnedToQueue(_) => self.assigned = false,
            TicketEvent::TeamAssigned(_) => {
                self.fulfil(&[SlaMetric::TeamHandling], at, desk, |_| true);
                self.team_since = Some(at);
                self.start_missing(at, desk);
            }
            TicketEvent::TeamUnassigned(_) => {
                self.fulfil(&[SlaMetric::TeamHandling], at, desk, |_| true);
                self.team_since = None;
            }
            TicketEvent::QueueChanged(e) => {
                self.leave_place(at);
                self.queue = Some(e.to.clone());
            }
            TicketEvent::PriorityChanged(e) => {
                self.leave_place(at);
                self.priority = e.to;
                self.retarget(at, desk, |_| true);
            }
            TicketEvent::StatusChanged(e) => self.enter(&e.to, at, desk),
            TicketEvent::Resolved(e) => self.finish(&e.to, at, true, desk),
            TicketEvent::Closed(e) => self.finish(&e.to, at, false, desk),
            TicketEvent::Reopened(e) => self.reopen(&e.to, at, desk),
            TicketEvent::SlaWarned(e) => {
                self.mark(&e.track, e.metric, e.instance, |clock| clock.mark_warned(e.due_at));
            }
            TicketEvent::SlaBreached(e) => {
                self.mark(&e.track, e.metric, e.instance, |clock| clock.mark_breached(e.due_at));
            }
            TicketEvent::Escalated(e) => {
                if let Some(step) = &e.step {
                    self.mark(&step.track, step.metric, step.instance, |clock| {
                        clock.mark_step(step.due_at, step.level, at);
                    });
                }
            }
            TicketEvent::EscalationLowered(_)
            | TicketEvent::CategoryChanged(_)
            | TicketEvent::SubjectChanged(_)
            | TicketEvent::RequesterChanged(_)
            | TicketEvent::TagAdded(_)
            | TicketEvent::TagRemoved(_)
            | TicketEvent::FollowerAdded(_)
            | TicketEvent::FollowerRemoved(_)
            | TicketEvent::FieldChanged(_) => {}
        }
    }

    /// Remembers queue and priority before they change. Only what has ended asks for them: a ticket that is sorted while
    /// all its clocks go on remembers nothing.
    fn leave_place(&mut self, at: Timestamp) {
        if let Some(queue) = &self.queue
            && self.clocks.iter().any(|clock| clock.was_ever_over())
        {
            let place = Place { until: at, queue: queue.clone(), priority: self.priority };
            push_one(&mut self.places, place);
        }
    }

    fn mark(&mut self, track: &TrackKey, metric: SlaMetric, instance: u32, change: impl Fn(&mut Clock)) {
        self.clocks
            .iter_mut()
            .filter(|c| c.instance == instance && c.metric == metric && c.track == *track)
            .for_each(change);
    }

    fn apply_policy(&mut self, applied: &SlaApplied, at: Timestamp, desk: &Desk) {
        let pin = Pin::from(applied);
        match self.pins.iter_mut().find(|p| p.track == pin.track) {
            Some(old) => *old = pin,
            None => push_one(&mut self.pins, pin),
        }
        self.retarget(at, desk, |track| *track == applied.track);
    }

    /// Brings active clocks in line with the pinned policies and the present priority: targets change, clocks without one
    /// are cancelled, and a metric that gets its first target starts when its wait began. What was paused stays paused;
    /// from now on the pinned policy says when a clock stands.
    fn retarget(&mut self, at: Timestamp, desk: &Desk, tracks: impl Fn(&TrackKey) -> bool) {
        let status = self.status().cloned();
        let (pins, priority) = (&self.pins, self.priority);
        self.clocks.retain_mut(|clock| {
            let pin = pins.iter().find(|pin| pin.track == clock.track && tracks(&pin.track));
            let Some(pin) = pin.filter(|_| clock.is_active()) else { return true };
            let (policy, hours) = (pin.policy(desk), pin.hours(desk));
            let Some((policy, target)) = policy.zip(policy.and_then(|p| p.targets(clock.metric).of(priority))) else {
                // The deadline that it had stays to be seen: the calendar pinned now is not the one that it was counted in.
                clock.stop(at, ClockState::Cancelled(at));
                // What another policy began in the same instant, and this one does not measure, never was.
                return clock.activated_at != at;
            };
            let stands = status.as_ref().is_some_and(|status| policy.pauses(clock.metric, status));
            clock.change(at, |clock| {
                match (clock.state, stands) {
                    (ClockState::Running(_), true) => clock.stop(at, ClockState::Paused(at)),
                    (ClockState::Paused(_), false) => clock.state = ClockState::Running(at),
                    (
                        ClockState::Running(_)
                        | ClockState::Paused(_)
                        | ClockState::Fulfilled(_)
                        | ClockState::Cancelled(_),
                        _,
                    ) => {}
                }
                clock.aim(policy, target, hours);
            });
            true
        });
        self.start_missing(at, desk);
    }

    /// Since when the ticket waits for what a metric measures; `None` when it does not.
    fn waits_since(&self, metric: SlaMetric, policy: &PolicyDefinition) -> Option<Timestamp> {
        if self.is_done() {
            return None;
        }
        let conversation = self.conversation(policy);
        let answered_by_opening = self.by_agent && policy.agent_opened == AgentOpened::Answered;
        match metric {
            SlaMetric::FirstResponse => (!conversation.answered && !answered_by_opening).then_some(self.opened_at),
            SlaMetric::NextResponse => conversation.next_since.filter(|_| conversation.answered || answered_by_opening),
            SlaMetric::PeriodicUpdate => conversation.update_since,
            SlaMetric::PickUp => (!self.picked_up).then_some(self.opened_at),
            SlaMetric::TeamHandling => self.team_since,
            SlaMetric::Resolution => Some(self.reopened_at.unwrap_or(self.opened_at)),
        }
    }

    /// Starts a clock for every wait that a pinned policy measures and no clock counts.
    fn start_missing(&mut self, at: Timestamp, desk: &Desk) {
        let mut started = Vec::new();
        for pin in &self.pins {
            let Some(policy) = pin.policy(desk) else { continue };
            for metric in SlaMetric::ALL {
                let Some(target) = policy.targets(metric).of(self.priority) else { continue };
                let of_metric = || self.clocks.iter().filter(|c| c.metric == metric && c.track == pin.track);
                if of_metric().any(Clock::is_active) {
                    continue;
                }
                if let Some(since) = self.waits_since(metric, policy) {
                    let instance = of_metric().map(|clock| clock.instance).max().unwrap_or(0) + 1;
                    let (state, runs) = self.counted_since(since, at, metric, policy);
                    let track = pin.track.clone();
                    let (known, counted) = ((since, at), (state, runs));
                    let hours = pin.hours(desk);
                    started.push(Clock::start(track, policy, metric, instance, target, known, counted, hours));
                }
            }
        }
        // Room for just these: a list that grows by itself keeps room for four, and there are millions of tickets.
        self.clocks.reserve_exact(started.len());
        self.clocks.extend(started);
    }

    /// What a clock of this policy would have counted from an instant up to now.
    fn counted_since(
        &self,
        since: Timestamp,
        at: Timestamp,
        metric: SlaMetric,
        policy: &PolicyDefinition,
    ) -> (ClockState, Vec<(Timestamp, Timestamp)>) {
        let (mut state, mut runs) = (ClockState::Running(since), Vec::new());
        for (entered, status) in self.statuses.iter().filter(|(entered, _)| *entered <= at) {
            let entered = (*entered).max(since);
            match (state, policy.pauses(metric, status)) {
                (ClockState::Running(from), true) => {
                    if from < entered {
                        runs.push((from, entered));
                    }
                    state = ClockState::Paused(entered);
                }
                (ClockState::Paused(_), false) => state = ClockState::Running(entered),
                (
                    ClockState::Running(_)
                    | ClockState::Paused(_)
                    | ClockState::Fulfilled(_)
                    | ClockState::Cancelled(_),
                    _,
                ) => {}
            }
        }
        (state, runs)
    }

    /// The customer spoke.
    fn ask(&mut self, at: Timestamp, desk: &Desk) {
        let mut waits = false;
        for conversation in [&mut self.spoken, &mut self.noted] {
            if (conversation.answered || self.by_agent) && conversation.next_since.is_none() {
                conversation.next_since = Some(at);
                waits = true;
            }
        }
        if waits {
            self.start_missing(at, desk);
        }
    }

    /// An agent spoke: to the customer, or in a note.
    fn answer(&mut self, at: Timestamp, publicly: bool, desk: &Desk) {
        let done = self.is_done();
        for conversation in [Some(&mut self.noted), publicly.then_some(&mut self.spoken)].into_iter().flatten() {
            conversation.answered = true;
            conversation.next_since = None;
            conversation.update_since = (!done).then_some(at);
        }
        let given = [SlaMetric::FirstResponse, SlaMetric::NextResponse, SlaMetric::PeriodicUpdate];
        self.fulfil(&given, at, desk, |policy| publicly || policy.notes_count);
        self.start_missing(at, desk);
    }

    /// What the active clocks of these metrics waited for has happened.
    fn fulfil(&mut self, metrics: &[SlaMetric], at: Timestamp, desk: &Desk, by: impl Fn(&PolicyDefinition) -> bool) {
        self.each_active(desk, |clock, policy, hours| {
            if metrics.contains(&clock.metric) && by(policy) {
                clock.stop(at, ClockState::Fulfilled(at));
                clock.reckon(hours);
            }
        });
    }

    fn enter(&mut self, status: &StatusRef, at: Timestamp, desk: &Desk) {
        push_one(&mut self.statuses, (at, status.clone()));
        self.each_active(desk, |clock, policy, hours| {
            match (clock.state, policy.pauses(clock.metric, status)) {
                (ClockState::Running(_), true) => clock.stop(at, ClockState::Paused(at)),
                (ClockState::Paused(_), false) => clock.state = ClockState::Running(at),
                (
                    ClockState::Running(_)
                    | ClockState::Paused(_)
                    | ClockState::Fulfilled(_)
                    | ClockState::Cancelled(_),
                    _,
                ) => return,
            }
            clock.reckon(hours);
        });
    }

    /// The ticket was resolved or closed: no clock goes on. A resolution fulfils what waited for it; an answer that never
    /// came, and a resolution skipped by closing, are cancelled.
    fn finish(&mut self, status: &StatusRef, at: Timestamp, resolved: bool, desk: &Desk) {
        push_one(&mut self.statuses, (at, status.clone()));
        for conversation in [&mut self.spoken, &mut self.noted] {
            conversation.next_since = None;
            conversation.update_since = None;
        }
        for pin in &self.pins {
            let hours = pin.hours(desk);
            let goes_on = pin.policy(desk).is_some_and(|policy| policy.reopen == ReopenRule::Continue);
            for clock in self.clocks.iter_mut().filter(|clock| clock.track == pin.track) {
                let fulfils = resolved && matches!(clock.metric, SlaMetric::Resolution | SlaMetric::TeamHandling);
                if clock.is_active() {
                    let state = if fulfils { ClockState::Fulfilled(at) } else { ClockState::Cancelled(at) };
                    clock.stop(at, state);
                    clock.reckon(hours);
                } else if let (ClockState::Fulfilled(_), true, true, SlaMetric::Resolution) =
                    (clock.state, fulfils, goes_on, clock.metric)
                {
                    // Resolved again, straight from closed: the last resolution is the one that counts.
                    clock.change(at, |clock| {
                        clock.runs.extend(clock.ended_at().map(|ended| (ended, at)));
                        clock.state = ClockState::Fulfilled(at);
                        clock.reckon(hours);
                    });
                }
            }
        }
    }

    fn reopen(&mut self, status: &StatusRef, at: Timestamp, desk: &Desk) {
        push_one(&mut self.statuses, (at, status.clone()));
        self.reopened_at = Some(at);
        // Done on the finished ticket, too: an answer, a pick-up, another team.
        let (spoken, noted, picked_up) = (self.spoken.answered, self.noted.answered, self.picked_up);
        let team_since = self.team_since;
        self.team_since = team_since.map(|_| at);
        for conversation in [&mut self.spoken, &mut self.noted] {
            conversation.update_since = conversation.answered.then_some(at);
        }
        for pin in &self.pins {
            let Some(policy) = pin.policy(desk) else { continue };
            let hours = pin.hours(desk);
            for metric in SlaMetric::ALL {
                let rule = match metric {
                    // An answer that was given stays given, and so does a pick-up; one that never came is still owed.
                    SlaMetric::FirstResponse | SlaMetric::PickUp => ReopenRule::Resume,
                    SlaMetric::Resolution | SlaMetric::TeamHandling => policy.reopen,
                    // Waits that begin anew.
                    SlaMetric::NextResponse | SlaMetric::PeriodicUpdate => continue,
                };
                let newest = self.clocks.iter_mut().rfind(|c| c.metric == metric && c.track == pin.track);
                let Some(clock) = newest.filter(|clock| !clock.is_active()) else { continue };
                let fulfilled = matches!(clock.state, ClockState::Fulfilled(_));
                let over = match metric {
                    SlaMetric::FirstResponse => fulfilled || if policy.notes_count { noted } else { spoken },
                    SlaMetric::PickUp => fulfilled || picked_up,
                    // What one team has used is not another one's: that one's clock is a new one.
                    SlaMetric::TeamHandling => {
                        team_since.is_none_or(|since| clock.ended_at().is_some_and(|ended| since > ended))
                    }
                    SlaMetric::Resolution | SlaMetric::NextResponse | SlaMetric::PeriodicUpdate => false,
                };
                let Some(target) = policy.targets(metric).of(self.priority).filter(|_| !over) else { continue };
                let since = match rule {
                    // From its end on, not from its last run: it may have stood when it ended.
                    ReopenRule::Continue => clock.ended_at().unwrap_or(at),
                    ReopenRule::Resume => at,
                    // The clock that is missing then is a new one.
                    ReopenRule::Restart => continue,
                };
                clock.change(at, |clock| {
                    clock.state = ClockState::Running(since);
                    if policy.pauses(metric, status) {
                        clock.stop(at, ClockState::Paused(at));
                    }
                    clock.aim(policy, target, hours);
                });
            }
        }
        self.start_missing(at, desk);
    }

    fn each_active(&mut self, desk: &Desk, change: impl Fn(&mut Clock, &PolicyDefinition, WorkingTime<'_>)) {
        for pin in &self.pins {
            let Some(policy) = pin.policy(desk) else { continue };
            let hours = pin.hours(desk);
            for clock in self.clocks.iter_mut().filter(|c| c.is_active() && c.track == pin.track) {
                change(clock, policy, hours);
            }
        }
    }
}

/// Appends without keeping room for more, as there are millions of these short lists.
fn push_one<T>(list: &mut Vec<T>, item: T) {
    list.reserve_exact(1);
    list.push(item);
}
