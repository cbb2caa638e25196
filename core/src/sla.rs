//! Service levels: which policy a ticket falls under, and clocks that say when something is due and whether it was met.
//!
//! Clocks are a fold of the ticket's events with the policy and calendar versions that were pinned by `SlaApplied`. Nothing
//! here is stored as an event except what time caused and somebody acted upon: `SlaWarned`, `SlaBreached`, `Escalated`.

use serde::{Deserialize, Serialize};

use crate::{
    calendar::{Calendar, tzdb_version},
    desk::{Desk, PolicyDefinition, ReopenRule, Span},
    ids::{CalendarKey, CategoryKey, PolicyKey, Position, QueueKey, TrackKey},
    ticket::{CallOutcome, Channel, Priority, SlaApplied, SlaMetric, StatusRef, TicketEvent, TimerCommand},
    time::Timestamp,
};

/// What the choice of a policy looks at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The ticket's queue.
    pub queue: &'a QueueKey,
    /// Its priority.
    pub priority: Priority,
    /// Its category.
    pub category: Option<&'a CategoryKey>,
    /// The channel of its opening.
    pub channel: Channel,
}

/// The first policy of the track, in the desk's order, whose filter matches.
pub fn choose_policy<'a>(desk: &'a Desk, track: &TrackKey, ticket: Subject<'_>) -> Option<&'a PolicyDefinition> {
    let matches = |policy: &PolicyDefinition| {
        let when = &policy.when;
        (when.queues.is_empty() || when.queues.contains(ticket.queue))
            && (when.priorities.is_empty() || when.priorities.contains(&ticket.priority))
            && (when.categories.is_empty() || ticket.category.is_some_and(|c| when.categories.contains(c)))
            && (when.channels.is_empty() || when.channels.contains(&ticket.channel))
    };
    desk.policies
        .values()
        .filter(|part| !part.retired && part.definition.track == *track && matches(&part.definition))
        .map(|part| &part.definition)
        .min_by_key(|policy| (policy.order, &policy.key))
}

/// The policies to apply to a ticket, one a track, where they differ from those that `clocks` has pinned.
///
/// A policy that is pinned already stays with its pinned version: an edited policy reaches a ticket only when the choice
/// leads to another policy.
pub fn policies_to_apply(desk: &Desk, ticket: Subject<'_>, clocks: &Clocks) -> Vec<SlaApplied> {
    let mut applied = Vec::new();
    for track in desk.tracks() {
        let pinned = clocks.pins.iter().find(|pin| pin.track == track).and_then(|pin| pin.policy.as_ref());
        let chosen = choose_policy(desk, &track, ticket);
        if chosen.map(|policy| &policy.key) == pinned {
            continue;
        }
        let version_of_calendar = |key: &CalendarKey| desk.calendars.get(key).map(|part| part.since);
        let calendar = chosen.and_then(|policy| policy.calendar.clone());
        applied.push(SlaApplied {
            policy_version: chosen
                .and_then(|policy| desk.policies.get(&policy.key))
                .map_or(Position::START, |part| part.since),
            policy: chosen.map(|policy| policy.key.clone()),
            calendar_version: calendar.as_ref().and_then(version_of_calendar).unwrap_or(Position::START),
            calendar,
            tzdb: tzdb_version().to_owned(),
            track,
        });
    }
    applied
}

/// A policy pinned for a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The track.
    pub track: TrackKey,
    /// The policy; none when none matches any more.
    pub policy: Option<PolicyKey>,
    /// Its version.
    pub policy_version: Position,
    /// Its calendar; none counts round the clock.
    pub calendar: Option<CalendarKey>,
    /// The calendar's version.
    pub calendar_version: Position,
}

impl Pin {
    fn policy<'a>(&self, desk: &'a Desk) -> Option<&'a PolicyDefinition> {
        desk.policy_version(self.policy.as_ref()?, self.policy_version).map(AsRef::as_ref)
    }

    fn hours<'a>(&self, desk: &'a Desk) -> WorkingTime<'a> {
        match &self.calendar {
            None => WorkingTime::Always,
            Some(key) => match desk.calendar_version(key, self.calendar_version) {
                Some(calendar) => WorkingTime::Calendar(calendar),
                None => WorkingTime::Never,
            },
        }
    }
}

/// The time that a clock counts.
#[derive(Clone, Copy)]
enum WorkingTime<'a> {
    Always,
    Calendar(&'a Calendar),
    /// The pinned calendar cannot be read by this program: nothing is ever due.
    Never,
}

impl WorkingTime<'_> {
    fn elapsed_millis(self, from: Timestamp, to: Timestamp) -> i64 {
        match self {
            Self::Always => to.millis_since(from).max(0),
            Self::Calendar(calendar) => calendar.elapsed_millis(from, to),
            Self::Never => 0,
        }
    }

    fn due(self, from: Timestamp, target: Span) -> Option<Timestamp> {
        match self {
            Self::Always => Some(from.plus_millis(target.millis())),
            Self::Calendar(calendar) => calendar.due(from, target),
            Self::Never => None,
        }
    }
}

/// What a clock does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockState {
    /// It counts since this instant.
    Running(Timestamp),
    /// It stands.
    Paused(Timestamp),
    /// What it waited for happened.
    Fulfilled(Timestamp),
    /// What it waited for cannot happen any more, for example an answer to a closed ticket.
    Cancelled(Timestamp),
}

/// One measurement of one metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The track.
    pub track: TrackKey,
    /// What it measures.
    pub metric: SlaMetric,
    /// Number among the clocks of the same metric, from 1.
    pub instance: u32,
    /// How long it may take.
    pub target: Span,
    /// When it started.
    pub activated_at: Timestamp,
    /// What it does.
    pub state: ClockState,
    /// The stretches of plain time that it has counted and finished.
    pub runs: Vec<(Timestamp, Timestamp)>,
    /// The deadline: while running, the instant at which the target will be used up; while standing, only when it was
    /// used up before.
    pub due_at: Option<Timestamp>,
    /// A warning is on record.
    pub warned: bool,
    /// The breach is on record.
    pub breached: bool,
}

impl Clock {
    /// True while it runs or stands.
    pub const fn is_active(&self) -> bool {
        matches!(self.state, ClockState::Running(_) | ClockState::Paused(_))
    }

    /// True when it was fulfilled in time, false when too late, `None` when it was not fulfilled.
    pub fn met(&self) -> Option<bool> {
        match self.state {
            ClockState::Fulfilled(at) => Some(self.due_at.is_none_or(|due| at <= due)),
            ClockState::Running(_) | ClockState::Paused(_) | ClockState::Cancelled(_) => None,
        }
    }

    fn stop(&mut self, at: Timestamp, state: ClockState) {
        if let ClockState::Running(since) = self.state {
            self.runs.push((since, at));
        }
        self.state = state;
    }

    /// Working time used up by the finished runs and, up to `now`, the present one.
    fn reckon(&mut self, hours: WorkingTime<'_>) {
        let mut left = self.target.millis();
        for &(from, to) in &self.runs {
            let used = hours.elapsed_millis(from, to);
            if used >= left {
                self.due_at = hours.due(from, Span::from_millis(left));
                return;
            }
            left -= used;
        }
        match self.state {
            ClockState::Running(since) => self.due_at = hours.due(since, Span::from_millis(left)),
            // The target was not used up before the clock stood still.
            ClockState::Paused(_) => self.due_at = None,
            // The last deadline stays to be seen.
            ClockState::Fulfilled(_) | ClockState::Cancelled(_) => {}
        }
    }
}

/// All clocks of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Clocks {
    /// The pinned policies, one a track.
    pub pins: Vec<Pin>,
    /// Every clock that was ever started.
    pub clocks: Vec<Clock>,
    opened_at: Timestamp,
    priority: Priority,
    status: Option<StatusRef>,
    responded: bool,
    level: u8,
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

    /// What will come due and has not been acted upon.
    pub fn timers(&self, desk: &Desk) -> Vec<(Timestamp, TimerCommand)> {
        let mut timers = Vec::new();
        for clock in self.clocks.iter().filter(|clock| clock.is_active()) {
            let (Some(due_at), Some(policy)) = (clock.due_at, self.pinned_policy(&clock.track, desk)) else {
                continue;
            };
            let (track, metric) = (|| clock.track.clone(), clock.metric);
            if let Some(before) = policy.warn_before
                && !clock.warned
                && !clock.breached
            {
                let at = due_at.plus_millis(-before.millis()).max(clock.activated_at);
                timers.push((at, TimerCommand::Warn { track: track(), metric, due_at }));
            }
            if !clock.breached {
                timers.push((due_at, TimerCommand::Breach { track: track(), metric, due_at }));
            }
            for step in policy.escalations.iter().filter(|s| s.metric == metric && s.level > self.level) {
                let at = due_at.plus_millis(step.after.millis()).max(clock.activated_at);
                timers.push((at, TimerCommand::Escalate { track: track(), metric, due_at, level: step.level }));
            }
        }
        timers
    }

    /// The fold.
    pub fn evolve(&mut self, event: &TicketEvent, at: Timestamp, desk: &Desk) {
        match event {
            TicketEvent::TicketOpened(e) => {
                self.opened_at = at;
                self.priority = e.priority;
                self.status = Some(e.status.clone());
            }
            TicketEvent::SlaApplied(e) => self.apply_policy(e, at, desk),
            TicketEvent::MessageSent(_) => self.respond(at, desk),
            TicketEvent::CallLogged(e) if e.outcome == CallOutcome::Answered && e.agent.is_some() => {
                self.respond(at, desk);
            }
            TicketEvent::PriorityChanged(e) => {
                self.priority = e.to;
                self.retarget(at, desk);
            }
            TicketEvent::StatusChanged(e) => self.enter(&e.to, at, desk),
            TicketEvent::Resolved(e) => {
                self.status = Some(e.to.clone());
                self.finish(at, true, desk);
            }
            TicketEvent::Closed(e) => {
                self.status = Some(e.to.clone());
                self.finish(at, false, desk);
            }
            TicketEvent::Reopened(e) => {
                self.reopen(at, desk);
                self.enter(&e.to, at, desk);
            }
            TicketEvent::SlaWarned(e) => {
                self.mark(&e.track, e.metric, e.instance, |clock| clock.warned = true);
            }
            TicketEvent::SlaBreached(e) => {
                self.mark(&e.track, e.metric, e.instance, |clock| clock.breached = true);
            }
            TicketEvent::Escalated(e) => self.level = e.level,
            TicketEvent::MessageReceived(_)
            | TicketEvent::NoteAdded(_)
            | TicketEvent::CallLogged(_)
            | TicketEvent::AgentAssigned(_)
            | TicketEvent::AgentUnassigned(_)
            | TicketEvent::TeamAssigned(_)
            | TicketEvent::TeamUnassigned(_)
            | TicketEvent::QueueChanged(_)
            | TicketEvent::ReturnedToQueue(_)
            | TicketEvent::CategoryChanged(_)
            | TicketEvent::SubjectChanged(_)
            | TicketEvent::RequesterChanged(_)
            | TicketEvent::TagAdded(_)
            | TicketEvent::TagRemoved(_)
            | TicketEvent::FieldChanged(_) => {}
        }
    }

    fn mark(&mut self, track: &TrackKey, metric: SlaMetric, instance: u32, change: impl Fn(&mut Clock)) {
        self.clocks
            .iter_mut()
            .filter(|c| c.instance == instance && c.metric == metric && c.track == *track)
            .for_each(change);
    }

    fn apply_policy(&mut self, applied: &SlaApplied, at: Timestamp, desk: &Desk) {
        let pin = Pin {
            track: applied.track.clone(),
            policy: applied.policy.clone(),
            policy_version: applied.policy_version,
            calendar: applied.calendar.clone(),
            calendar_version: applied.calendar_version,
        };
        match self.pins.iter_mut().find(|p| p.track == pin.track) {
            Some(old) => *old = pin,
            None => self.pins.push(pin),
        }
        self.retarget(at, desk);
    }

    /// Brings the clocks in line with the pinned policies and the present priority: targets of active clocks change,
    /// clocks without a target are cancelled, and a metric that gets its first target starts at the opening.
    fn retarget(&mut self, at: Timestamp, desk: &Desk) {
        let done = self.status.as_ref().is_some_and(|status| status.category.is_done());
        for pin in &self.pins {
            let hours = pin.hours(desk);
            for metric in SlaMetric::ALL {
                let target = pin.policy(desk).and_then(|p| p.targets(metric).of(self.priority)).map(|t| t.0);
                let mut of_metric =
                    self.clocks.iter_mut().filter(|c| c.metric == metric && c.track == pin.track).peekable();
                let never_started = of_metric.peek().is_none();
                for clock in of_metric.filter(|clock| clock.is_active()) {
                    match target {
                        Some(target) => {
                            clock.target = target;
                            clock.reckon(hours);
                        }
                        None => {
                            clock.stop(at, ClockState::Cancelled(at));
                            clock.reckon(hours);
                        }
                    }
                }
                let over = done || (metric == SlaMetric::FirstResponse && self.responded);
                // A ticket may be opened in a status in which the clock stands.
                let stands = metric == SlaMetric::Resolution
                    && matches!((&self.status, pin.policy(desk)), (Some(s), Some(p)) if p.pauses_in(s));
                let state = if stands { ClockState::Paused } else { ClockState::Running };
                if let Some(target) = target
                    && never_started
                    && !over
                {
                    let mut clock = Clock {
                        track: pin.track.clone(),
                        metric,
                        instance: 1,
                        target,
                        activated_at: self.opened_at,
                        state: state(self.opened_at),
                        runs: Vec::new(),
                        due_at: None,
                        warned: false,
                        breached: false,
                    };
                    clock.reckon(hours);
                    self.clocks.push(clock);
                }
            }
        }
    }

    fn respond(&mut self, at: Timestamp, desk: &Desk) {
        self.responded = true;
        self.each_active(desk, |clock, _, hours| {
            if clock.metric == SlaMetric::FirstResponse {
                clock.stop(at, ClockState::Fulfilled(at));
                clock.reckon(hours);
            }
        });
    }

    fn enter(&mut self, status: &StatusRef, at: Timestamp, desk: &Desk) {
        self.status = Some(status.clone());
        self.each_active(desk, |clock, policy, hours| {
            if clock.metric != SlaMetric::Resolution {
                return;
            }
            match (clock.state, policy.pauses_in(status)) {
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

    /// The ticket was resolved or closed: no clock goes on. A resolution fulfils what waited for it; a first response that
    /// never came, and a resolution skipped by closing, are cancelled.
    fn finish(&mut self, at: Timestamp, resolved: bool, desk: &Desk) {
        for pin in &self.pins {
            let hours = pin.hours(desk);
            let goes_on = pin.policy(desk).is_some_and(|policy| policy.reopen == ReopenRule::Continue);
            for clock in self.clocks.iter_mut().filter(|clock| clock.track == pin.track) {
                let fulfils = resolved && clock.metric == SlaMetric::Resolution;
                if clock.is_active() {
                    let state = if fulfils { ClockState::Fulfilled(at) } else { ClockState::Cancelled(at) };
                    clock.stop(at, state);
                    clock.reckon(hours);
                } else if let (ClockState::Fulfilled(_), true, true) = (clock.state, fulfils, goes_on) {
                    // Resolved again, straight from closed: the last resolution is the one that counts.
                    if let Some((from, _)) = clock.runs.pop() {
                        clock.runs.push((from, at));
                    }
                    clock.state = ClockState::Fulfilled(at);
                    clock.reckon(hours);
                }
            }
        }
    }

    fn reopen(&mut self, at: Timestamp, desk: &Desk) {
        let mut restarted = Vec::new();
        for pin in &self.pins {
            let Some(policy) = pin.policy(desk) else { continue };
            let hours = pin.hours(desk);
            for metric in SlaMetric::ALL {
                let newest = self.clocks.iter_mut().rfind(|c| c.metric == metric && c.track == pin.track);
                let Some(clock) = newest.filter(|clock| !clock.is_active()) else { continue };
                let fulfilled = matches!(clock.state, ClockState::Fulfilled(_));
                let rule = match metric {
                    // An answer that was given stays given; one that never came is still owed.
                    SlaMetric::FirstResponse if fulfilled => continue,
                    SlaMetric::FirstResponse => ReopenRule::Resume,
                    SlaMetric::Resolution => policy.reopen,
                };
                let Some(target) = policy.targets(metric).of(self.priority) else { continue };
                match rule {
                    ReopenRule::Continue => {
                        let since = clock.runs.pop().map_or(at, |(from, _)| from);
                        clock.state = ClockState::Running(since);
                        clock.target = target.0;
                        clock.reckon(hours);
                    }
                    ReopenRule::Resume => {
                        clock.state = ClockState::Running(at);
                        clock.target = target.0;
                        clock.reckon(hours);
                    }
                    ReopenRule::Restart => {
                        let mut clock = Clock {
                            instance: clock.instance + 1,
                            target: target.0,
                            activated_at: at,
                            state: ClockState::Running(at),
                            runs: Vec::new(),
                            due_at: None,
                            warned: false,
                            breached: false,
                            ..clock.clone()
                        };
                        clock.reckon(hours);
                        restarted.push(clock);
                    }
                }
            }
        }
        self.clocks.extend(restarted);
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
