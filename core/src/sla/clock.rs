//! One measurement: the time it may take, the time it has taken, and the instant at which the one reaches the other.

use serde::{Deserialize, Serialize};

use super::state::{ClockState, History};
use crate::{
    calendar::{Calendar, Span, Target, Window},
    desk::{Desk, PolicyDefinition},
    ids::{CalendarKey, PolicyKey, Position, TrackKey},
    ticket::{SlaApplied, SlaMetric},
    time::Timestamp,
};

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

impl From<&SlaApplied> for Pin {
    fn from(applied: &SlaApplied) -> Self {
        Self {
            track: applied.track.clone(),
            policy: applied.policy.clone(),
            policy_version: applied.policy_version,
            calendar: applied.calendar.clone(),
            calendar_version: applied.calendar_version,
        }
    }
}

impl Pin {
    /// True when it pins just what the event applies.
    pub fn is_of(&self, applied: &SlaApplied) -> bool {
        *self == Self::from(applied)
    }

    pub(super) fn policy<'a>(&self, desk: &'a Desk) -> Option<&'a PolicyDefinition> {
        desk.policy_version(self.policy.as_ref()?, self.policy_version).map(AsRef::as_ref)
    }

    pub(super) fn hours<'a>(&self, desk: &'a Desk) -> WorkingTime<'a> {
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
pub(super) enum WorkingTime<'a> {
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

    /// The working time that a target comes to; `None` when its end is out of reach.
    pub(super) fn allowed(self, from: Timestamp, target: Target) -> Option<Span> {
        match (self, target) {
            (_, Target::Working(span)) => Some(span),
            (Self::Calendar(calendar), target) => calendar.allowed(from, target),
            // A policy with such a target has a calendar: it is refused otherwise.
            (Self::Always | Self::Never, Target::BusinessDays(_) | Target::EndOfDay(_)) => None,
        }
    }

    /// The stretches of working time between two instants.
    pub(super) fn stretches(self, from: Timestamp, to: Timestamp) -> Vec<Window> {
        match self {
            Self::Never => vec![],
            Self::Always if from < to => vec![Window { open: from, close: to }],
            Self::Always => vec![],
            Self::Calendar(calendar) => calendar
                .windows(from)
                .take_while(|window| window.open < to)
                .map(|window| Window { open: window.open.max(from), close: window.close.min(to) })
                .filter(|window| window.open < window.close)
                .collect(),
        }
    }
}

/// One measurement of one metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The track.
    pub track: TrackKey,
    /// The policy that it is, or was last, measured by.
    pub policy: PolicyKey,
    /// What it measures.
    pub metric: SlaMetric,
    /// Number among the clocks of the same track and metric, from 1.
    pub instance: u32,
    /// How long it may take.
    pub target: Target,
    /// The working time that the target comes to; none when its end is out of reach.
    pub allowed: Option<Span>,
    /// When it started.
    pub activated_at: Timestamp,
    /// What it does.
    pub state: ClockState,
    /// The stretches of plain time that it has counted and finished.
    pub runs: Vec<(Timestamp, Timestamp)>,
    /// The deadline: while running, the instant at which the target will be used up; while standing, only when it was
    /// used up before.
    pub due_at: Option<Timestamp>,
    /// What is on record of its deadlines; none, for most clocks, when nothing is. Boxed, as there are millions of clocks.
    marks: Option<Box<Marks>>,
    /// What it was earlier, as far as the rest does not say so; none for most clocks.
    pub(super) history: Option<Box<History>>,
}

/// What is on record of a clock's deadlines.
///
/// Each mark belongs to the deadline that it was for. It holds for that one and for every earlier one; a later deadline is
/// told of anew. No mark gives way to one for an earlier deadline: two policies whose steps hand a ticket to and fro come
/// to an end, because what was told for the later of their deadlines was told for both.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Marks {
    warned: Option<Timestamp>,
    breached: Option<Timestamp>,
    step: Option<Step>,
}

/// The last step of an escalation that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Step {
    due_at: Timestamp,
    level: u8,
    taken_at: Timestamp,
}

impl Clock {
    /// True while it runs or stands.
    pub const fn is_active(&self) -> bool {
        matches!(self.state, ClockState::Running(_) | ClockState::Paused(_))
    }

    /// When it ended, when it did.
    pub const fn ended_at(&self) -> Option<Timestamp> {
        match self.state {
            ClockState::Fulfilled(at) | ClockState::Cancelled(at) => Some(at),
            ClockState::Running(_) | ClockState::Paused(_) => None,
        }
    }

    /// True when it was fulfilled in time, false when too late, `None` when it was not fulfilled.
    pub fn met(&self) -> Option<bool> {
        match self.state {
            ClockState::Fulfilled(at) => Some(self.due_at.is_none_or(|due| at <= due)),
            ClockState::Running(_) | ClockState::Paused(_) | ClockState::Cancelled(_) => None,
        }
    }

    /// The instant at which its deadline passed while it was active, as seen at `now`: a fact, whether or not a timer has
    /// recorded it.
    pub fn breached_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.due_at.filter(|due| self.breached() || *due < self.ended_at().unwrap_or(now))
    }

    /// A warning of its present deadline is on record.
    pub fn warned(&self) -> bool {
        self.told(self.marks.as_ref().and_then(|marks| marks.warned))
    }

    /// That its present deadline passed is on record, and no earlier end of the clock that became known later belies it.
    pub fn breached(&self) -> bool {
        self.told(self.marks.as_ref().and_then(|marks| marks.breached))
            && self.ended_at().is_none_or(|ended| self.due_at.is_some_and(|due| due < ended))
    }

    /// Level of the last step of the escalation for its present deadline; 0 for none.
    pub fn level(&self) -> u8 {
        self.step().map_or(0, |step| step.level)
    }

    /// Before it nobody is told of the present deadline: it was not known, or a step that comes earlier had to be taken.
    pub(super) fn tells_from(&self) -> Timestamp {
        let known = self.known_since();
        self.step().map_or(known, |step| known.max(step.taken_at))
    }

    /// When the present deadline became the deadline.
    fn known_since(&self) -> Timestamp {
        let moved = self.history.as_ref().and_then(|history| history.last_change());
        let known = moved.map_or(self.activated_at, |moved| moved.max(self.activated_at));
        match (self.state, self.due_at) {
            // A pause moved it, unless it had passed before.
            (ClockState::Running(since), Some(due)) if since <= due => known.max(since),
            _ => known,
        }
    }

    fn step(&self) -> Option<&Step> {
        let step = self.marks.as_ref()?.step.as_ref()?;
        self.told(Some(step.due_at)).then_some(step)
    }

    /// True when what was told of a deadline holds for the present one.
    fn told(&self, of: Option<Timestamp>) -> bool {
        self.due_at.zip(of).is_some_and(|(due, told)| due <= told)
    }

    /// A warning of a deadline was given.
    pub(super) fn mark_warned(&mut self, due_at: Timestamp) {
        let marks = self.marks.get_or_insert_default();
        marks.warned = marks.warned.max(Some(due_at));
    }

    /// The breach of a deadline was recorded.
    pub(super) fn mark_breached(&mut self, due_at: Timestamp) {
        let marks = self.marks.get_or_insert_default();
        marks.breached = marks.breached.max(Some(due_at));
    }

    /// A step of the escalation for a deadline was taken.
    pub(super) fn mark_step(&mut self, due_at: Timestamp, level: u8, taken_at: Timestamp) {
        let marks = self.marks.get_or_insert_default();
        let due_at = marks.step.map_or(due_at, |step| step.due_at.max(due_at));
        marks.step = Some(Step { due_at, level, taken_at });
    }

    /// A clock that waits since an instant, and of which nobody knew before `known_at`.
    #[expect(clippy::too_many_arguments, reason = "a clock has that many parts, and is made in one place")]
    pub(super) fn start(
        track: TrackKey,
        policy: &PolicyDefinition,
        metric: SlaMetric,
        instance: u32,
        target: Target,
        (since, known_at): (Timestamp, Timestamp),
        (state, runs): (ClockState, Vec<(Timestamp, Timestamp)>),
        hours: WorkingTime<'_>,
    ) -> Self {
        let mut clock = Self {
            track,
            policy: policy.key.clone(),
            metric,
            instance,
            target,
            allowed: hours.allowed(since, target),
            activated_at: since,
            state,
            runs,
            due_at: None,
            marks: None,
            history: None,
        };
        clock.reckon(hours);
        clock.was_absent_until(known_at);
        clock
    }

    /// Ends the present run, if there is one, and puts the clock into another state.
    pub(super) fn stop(&mut self, at: Timestamp, state: ClockState) {
        if let ClockState::Running(since) = self.state {
            self.runs.push((since, at));
        }
        self.state = state;
    }

    /// Gives it the target of a policy, and the deadline that follows.
    pub(super) fn aim(&mut self, policy: &PolicyDefinition, target: Target, hours: WorkingTime<'_>) {
        if self.policy != policy.key {
            self.policy = policy.key.clone();
        }
        self.target = target;
        self.allowed = hours.allowed(self.activated_at, target);
        self.reckon(hours);
    }

    /// The deadline that follows from the target, the finished runs and the present one.
    pub(super) fn reckon(&mut self, hours: WorkingTime<'_>) {
        let reached = self.allowed.and_then(|allowed| self.reaches(allowed, hours));
        // The last deadline of a clock that ended stays to be seen.
        if self.is_active() || reached.is_some() {
            self.due_at = reached;
        }
    }

    /// The instant at which so much working time is used up, if the clock goes on as it does now.
    pub(super) fn reaches(&self, amount: Span, hours: WorkingTime<'_>) -> Option<Timestamp> {
        let mut left = amount.millis();
        for &(from, to) in &self.runs {
            let used = hours.elapsed_millis(from, to);
            // Who stops a clock in the instant of its deadline is in time, as who answers then is. When the day's last
            // minute used it up, the deadline has passed in the evening although no more time was counted.
            if used >= left
                && let Some(due) = hours.due(from, Span::from_millis(left))
                && due < to
            {
                return Some(due);
            }
            left = (left - used).max(0);
        }
        match self.state {
            ClockState::Running(since) => hours.due(since, Span::from_millis(left)),
            ClockState::Paused(_) | ClockState::Fulfilled(_) | ClockState::Cancelled(_) => None,
        }
    }
}
