//! Why a deadline is when it is: what happened to a clock and by which event, and each stretch of working time that it
//! counted. The stretches add up to the target; a test holds them to that.

use std::fmt;

use serde::Serialize;

use super::{
    Clocks,
    clock::{Clock, Pin},
    state::ClockState,
};
use crate::{
    calendar::{Span, Target},
    desk::Desk,
    event::EventAddress,
    ids::{PolicyKey, TrackKey},
    ticket::{SlaApplied, SlaMetric, TicketEvent},
    time::Timestamp,
};

/// An event of a ticket with its place in the log.
#[derive(Debug, Clone)]
pub struct StreamEvent {
    /// Its place.
    pub address: EventAddress,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub event: TicketEvent,
}

/// What may happen to a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// It started.
    Activated,
    /// It got a policy or another target.
    Aimed,
    /// It stands from now on.
    Paused,
    /// It counts again.
    Resumed,
    /// A warning was recorded.
    Warned,
    /// Its deadline passed.
    Breached,
    /// A step of its escalation was taken.
    Escalated,
    /// What it waited for happened.
    Fulfilled,
    /// What it waited for cannot happen any more, or is not measured any more.
    Cancelled,
}

impl Moment {
    /// Name as it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Activated => "activated",
            Self::Aimed => "aimed",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Warned => "warned",
            Self::Breached => "breached",
            Self::Escalated => "escalated",
            Self::Fulfilled => "fulfilled",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Something that happened to a clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClockMoment {
    /// The track.
    pub track: TrackKey,
    /// The metric.
    pub metric: SlaMetric,
    /// Which clock of the metric, from 1.
    pub instance: u32,
    /// The policy then.
    pub policy: PolicyKey,
    /// The target then.
    pub target: Target,
    /// What happened.
    pub moment: Moment,
    /// When.
    pub at: Timestamp,
    /// The deadline after it.
    pub due_at: Option<Timestamp>,
    /// The event that led to it; none for a deadline that passed and that no timer has recorded.
    pub event: Option<EventAddress>,
    /// Stored type of that event.
    pub event_type: Option<&'static str>,
}

/// How a stretch of working time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stretch {
    /// It was counted towards the target.
    Counted,
    /// It would be counted if the clock went on until the deadline.
    Expected,
    /// It was counted after the target was used up.
    Overrun,
}

impl Stretch {
    /// Name as it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Expected => "expected",
            Self::Overrun => "overrun",
        }
    }
}

/// A stretch of working time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Interval {
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
    /// How it counts.
    pub stretch: Stretch,
}

impl Interval {
    /// Its length in milliseconds; none where an early log's instants fall behind each other.
    pub fn millis(&self) -> i64 {
        self.to.millis_since(self.from).max(0)
    }
}

/// The derivation of a clock's deadline.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The clock.
    pub clock: Clock,
    /// How its policy was chosen: policy and calendar versions, zone data, reason.
    pub applied: SlaApplied,
    /// Place of the event that applied it.
    pub applied_by: EventAddress,
    /// What happened to the clock, in order.
    pub moments: Vec<ClockMoment>,
    /// Stretches of working time: counted and expected ones add up to the target when there is a deadline.
    pub intervals: Vec<Interval>,
    /// When the deadline passed while the clock was active.
    pub breached_at: Option<Timestamp>,
}

/// What is known of a clock beside itself.
struct Trace {
    clock: Clock,
    pin: Pin,
    applied: (EventAddress, SlaApplied),
    moments: Vec<ClockMoment>,
}

impl Trace {
    fn is_of(&self, clock: &Clock) -> bool {
        (clock.instance, clock.metric) == (self.clock.instance, self.clock.metric) && clock.track == self.clock.track
    }

    fn note(&mut self, moment: Moment, at: Timestamp, by: &StreamEvent) {
        let Clock { track, metric, instance, policy, target, due_at, .. } = &self.clock;
        self.moments.push(ClockMoment {
            track: track.clone(),
            metric: *metric,
            instance: *instance,
            policy: policy.clone(),
            target: *target,
            moment,
            at,
            due_at: *due_at,
            event: Some(by.address),
            event_type: Some(crate::event::EventFamily::type_version(&by.event).0),
        });
    }

    /// Takes the clock as it is after an event.
    fn take(&mut self, clock: &Clock, by: &StreamEvent) {
        let before = std::mem::replace(&mut self.clock, clock.clone());
        let active = |state: ClockState| matches!(state, ClockState::Running(_) | ClockState::Paused(_));
        match (before.state, clock.state) {
            (ClockState::Running(_), ClockState::Paused(at)) => self.note(Moment::Paused, at, by),
            (ClockState::Paused(_), ClockState::Running(at)) => self.note(Moment::Resumed, at, by),
            (old, ClockState::Fulfilled(at)) if old != clock.state => self.note(Moment::Fulfilled, at, by),
            (old, ClockState::Cancelled(at)) if old != clock.state => self.note(Moment::Cancelled, at, by),
            (old, new) if !active(old) && active(new) => {
                self.note(Moment::Resumed, by.at, by);
                if let ClockState::Paused(at) = new {
                    self.note(Moment::Paused, at, by);
                }
            }
            _ => {}
        }
        if (&before.policy, before.target, before.allowed) != (&clock.policy, clock.target, clock.allowed) {
            self.note(Moment::Aimed, by.at, by);
        }
        let is_here = |track: &TrackKey, metric: SlaMetric, instance: u32| {
            (metric, instance) == (clock.metric, clock.instance) && *track == clock.track
        };
        if let TicketEvent::SlaWarned(e) = &by.event
            && is_here(&e.track, e.metric, e.instance)
        {
            self.note(Moment::Warned, by.at, by);
        } else if let TicketEvent::SlaBreached(e) = &by.event
            && is_here(&e.track, e.metric, e.instance)
        {
            self.note(Moment::Breached, e.due_at, by);
        } else if let TicketEvent::Escalated(e) = &by.event
            && let Some(step) = &e.step
            && is_here(&step.track, step.metric, step.instance)
        {
            self.note(Moment::Escalated, by.at, by);
        }
    }
}

fn traces(events: &[StreamEvent], desk: &Desk, now: Timestamp) -> Vec<Trace> {
    let mut clocks = Clocks::default();
    let mut applied: Vec<(EventAddress, SlaApplied)> = Vec::new();
    let mut traces: Vec<Trace> = Vec::new();
    for event in events {
        clocks.evolve(&event.event, event.at, desk);
        if let TicketEvent::SlaApplied(choice) = &event.event {
            applied.retain(|(_, other)| other.track != choice.track);
            applied.push((event.address, choice.clone()));
        }
        // A clock that never was, because another policy came in the same instant.
        traces.retain(|trace| clocks.clocks.iter().any(|clock| trace.is_of(clock)));
        for clock in &clocks.clocks {
            let pin = clocks.pins.iter().find(|pin| pin.track == clock.track);
            let choice = applied.iter().find(|(_, choice)| choice.track == clock.track);
            let (Some(pin), Some(choice)) = (pin, choice) else { continue };
            if let Some(trace) = traces.iter_mut().find(|trace| trace.is_of(clock)) {
                if clock.is_active() {
                    (trace.pin, trace.applied) = (pin.clone(), choice.clone());
                }
                trace.take(clock, event);
            } else {
                let mut trace =
                    Trace { clock: clock.clone(), pin: pin.clone(), applied: choice.clone(), moments: Vec::new() };
                trace.note(Moment::Activated, clock.activated_at, event);
                if let ClockState::Paused(at) = clock.state {
                    trace.note(Moment::Paused, at, event);
                }
                traces.push(trace);
            }
        }
    }
    for trace in &mut traces {
        if let Some(at) = trace.clock.breached_at(now)
            && !trace.clock.breached()
        {
            let Clock { track, metric, instance, policy, target, due_at, .. } = &trace.clock;
            trace.moments.push(ClockMoment {
                track: track.clone(),
                metric: *metric,
                instance: *instance,
                policy: policy.clone(),
                target: *target,
                moment: Moment::Breached,
                at,
                due_at: *due_at,
                event: None,
                event_type: None,
            });
        }
        trace.moments.sort_by_key(|moment| moment.at);
    }
    traces
}

/// Everything that happened to a ticket's clocks, in order of the instants.
pub fn moments(events: &[StreamEvent], desk: &Desk, now: Timestamp) -> Vec<ClockMoment> {
    let mut moments: Vec<_> = traces(events, desk, now).into_iter().flat_map(|trace| trace.moments).collect();
    moments.sort_by_key(|moment| moment.at);
    moments
}

/// The derivation of every clock of a ticket from its events, as seen at `now`.
pub fn explain(events: &[StreamEvent], desk: &Desk, now: Timestamp) -> Vec<Explanation> {
    let explained = traces(events, desk, now).into_iter().map(|trace| {
        let intervals = intervals(&trace.clock, &trace.pin, desk, now);
        let (applied_by, applied) = trace.applied;
        let breached_at = trace.clock.breached_at(now);
        Explanation { clock: trace.clock, applied, applied_by, moments: trace.moments, intervals, breached_at }
    });
    explained.collect()
}

fn intervals(clock: &Clock, pin: &Pin, desk: &Desk, now: Timestamp) -> Vec<Interval> {
    let hours = pin.hours(desk);
    let mut left = clock.allowed.map_or(i64::MAX, Span::millis);
    let mut intervals = Vec::new();
    let mut count = |from: Timestamp, to: Timestamp, stretch: Stretch| {
        for window in hours.stretches(from, to) {
            let length = window.close.millis_since(window.open);
            let counted = length.min(left);
            let end = window.open.plus_millis(counted);
            if counted > 0 {
                intervals.push(Interval { from: window.open, to: end, stretch });
            }
            if counted < length {
                intervals.push(Interval { from: end, to: window.close, stretch: Stretch::Overrun });
            }
            left -= counted;
        }
    };
    for &(from, to) in &clock.runs {
        count(from, to, Stretch::Counted);
    }
    // Not before it started: an early log, or an import, may date an end before that, and what is expected begins there.
    let mut reached = clock.runs.iter().map(|(_, to)| *to).fold(clock.activated_at, Timestamp::max);
    if let ClockState::Running(since) = clock.state {
        reached = now.max(since);
        count(since, reached, Stretch::Counted);
    }
    if let Some(due_at) = clock.due_at {
        count(reached, due_at, Stretch::Expected);
    }
    intervals
}

/// A length of time as `8h30m` or `1m27.999s`.
fn length(millis: i64) -> String {
    let whole = Span::from_millis(millis - millis % 1000).to_string();
    match millis % 1000 {
        0 => whole,
        rest => match whole.strip_suffix('s') {
            Some(seconds) => format!("{seconds}.{rest:03}s"),
            None => format!("{whole}0.{rest:03}s"),
        },
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clock, applied, applied_by, .. } = self;
        writeln!(f, "{} {} of {}: {}", clock.metric, clock.instance, clock.track, clock.state.name())?;
        write!(f, "  policy    {} version {}", clock.policy, applied.policy_version)?;
        write!(f, ", applied by event {}.{} ({}", applied_by.position, applied_by.index, applied.reason)?;
        match applied.matched.join(", ") {
            matched if matched.is_empty() => writeln!(f, "; it is for every ticket)")?,
            matched => writeln!(f, "; {matched})")?,
        }
        match &applied.calendar {
            Some(key) => {
                writeln!(f, "  calendar  {key} version {}, zone data {}", applied.calendar_version, applied.tzdb)?;
            }
            None => writeln!(f, "  calendar  none: round the clock")?,
        }
        match clock.allowed {
            Some(allowed) => {
                writeln!(f, "  target    {}, which is {} of working time", clock.target, length(allowed.millis()))?;
            }
            None => writeln!(f, "  target    {}, out of reach", clock.target)?,
        }
        for moment in &self.moments {
            write!(f, "  {}  {:<9}", moment.at, moment.moment.name())?;
            match (moment.event_type, moment.event) {
                (Some(name), Some(event)) => write!(f, " by {name} ({}.{})", event.position, event.index)?,
                _ => write!(f, " by no event: the deadline passed")?,
            }
            if matches!(moment.moment, Moment::Activated | Moment::Aimed) {
                write!(f, ", {} of {}", moment.target, moment.policy)?;
            }
            match moment.due_at {
                Some(due) => writeln!(f, ", due {due}")?,
                None => writeln!(f, ", no deadline")?,
            }
        }
        self.write_intervals(f)?;
        match (clock.due_at, clock.state) {
            (Some(due), _) => write!(f, "  due       {due}")?,
            (None, ClockState::Paused(_)) => write!(f, "  due       not while it stands")?,
            (None, ClockState::Running(_)) => write!(f, "  due       not within ten years")?,
            (None, ClockState::Fulfilled(_) | ClockState::Cancelled(_)) => {
                write!(f, "  due       it ended while it stood")?;
            }
        }
        match (clock.met(), self.breached_at) {
            (Some(true), _) => writeln!(f, ", met"),
            (Some(false), _) => writeln!(f, ", missed"),
            (None, Some(_)) => writeln!(f, ", passed"),
            (None, None) => writeln!(f),
        }
    }
}

impl Explanation {
    /// A line for each stretch up to the deadline, and one for all that came after.
    fn write_intervals(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (overrun, counted): (Vec<&Interval>, Vec<&Interval>) =
            self.intervals.iter().partition(|interval| interval.stretch == Stretch::Overrun);
        let mut used = 0;
        for interval in counted {
            used += interval.millis();
            let (word, taken) = (interval.stretch.name(), length(interval.millis()));
            writeln!(f, "  {} – {}  {word:<8} {taken:>12}  = {}", interval.from, interval.to, length(used))?;
        }
        if let (Some(first), Some(last)) = (overrun.first(), overrun.last()) {
            let taken = length(overrun.iter().map(|interval| interval.millis()).sum());
            writeln!(f, "  {} – {}  overrun  {taken:>12}  in {} stretches", first.from, last.to, overrun.len())?;
        }
        Ok(())
    }
}
