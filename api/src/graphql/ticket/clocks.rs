//! The SLA clocks of a ticket, and what comes due.

use async_graphql::{Context, Enum, Error, Object, SimpleObject};
use docket_core::{
    sla::{Clock, ClockState},
    ticket::TimerCommand,
    time::Timestamp,
};

use super::Ticket;
use crate::{
    engine::{Action, Resource},
    graphql::{
        Session,
        relay::{Paging, page_size},
        scalars::{DateTime, Duration},
        words::SlaMetric,
    },
};

/// What an SLA clock does.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlaClockState {
    /// It counts.
    Running,
    /// It stands.
    Paused,
    /// What it waited for happened.
    Fulfilled,
    /// What it waited for cannot happen any more.
    Cancelled,
}

/// One measurement of one metric.
#[derive(SimpleObject, Debug, Clone)]
pub struct SlaClock {
    /// The track.
    pub track: String,
    /// The policy that it is, or was last, measured by.
    pub policy: String,
    /// What it measures.
    pub metric: SlaMetric,
    /// Number among the clocks of the same metric, from 1.
    pub instance: i32,
    /// How long it may take, as the policy says it: `8h`, `3bd` or `eod`.
    pub target: String,
    /// The working time that this comes to; null when its end is out of reach.
    pub allowed: Option<Duration>,
    /// When it started.
    pub activated_at: DateTime,
    /// What it does.
    pub state: SlaClockState,
    /// Since when it does so.
    pub state_since: DateTime,
    /// The deadline; null while it stands with time left.
    pub due_at: Option<DateTime>,
    /// Fulfilled in time; null while it is not fulfilled.
    pub met: Option<bool>,
    /// That the deadline passed is on record. It belongs to the deadline: a clock that gets a later one begins anew.
    pub breached: bool,
    /// When the deadline passed while it was active, whether or not that is on record yet.
    pub breached_at: Option<DateTime>,
    /// Level of the last step of the escalation for its deadline; 0 for none.
    pub level: i32,
}

impl SlaClock {
    /// The clock as it stands at an instant.
    pub fn of(clock: &Clock, now: Timestamp) -> Self {
        let (state, since) = match clock.state {
            ClockState::Running(at) => (SlaClockState::Running, at),
            ClockState::Paused(at) => (SlaClockState::Paused, at),
            ClockState::Fulfilled(at) => (SlaClockState::Fulfilled, at),
            ClockState::Cancelled(at) => (SlaClockState::Cancelled, at),
        };
        Self {
            track: clock.track.to_string(),
            policy: clock.policy.to_string(),
            metric: clock.metric.into(),
            instance: i32::try_from(clock.instance).unwrap_or(i32::MAX),
            target: clock.target.to_string(),
            allowed: clock.allowed.map(|allowed| Duration { millis: allowed.millis() }),
            activated_at: clock.activated_at.into(),
            state,
            state_since: since.into(),
            due_at: clock.due_at.map(DateTime),
            met: clock.met(),
            breached: clock.breached(),
            breached_at: clock.breached_at(now).map(DateTime),
            level: i32::from(clock.level()),
        }
    }
}

/// What a timer will do.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerKind {
    /// Say that a deadline comes near.
    SlaWarning,
    /// Say that a deadline passed.
    SlaBreach,
    /// Raise the ticket to a higher level.
    Escalation,
    /// Take the ticket from an assignee who does not pick it up.
    ReturnToQueue,
}

/// Something that comes due.
#[derive(SimpleObject, Debug, Clone)]
pub struct Timer {
    /// When.
    pub at: DateTime,
    /// What happens then.
    pub kind: TimerKind,
    /// The ticket.
    pub ticket: Ticket,
    /// The track, for service levels.
    pub track: Option<String>,
    /// The metric, for service levels.
    pub metric: Option<SlaMetric>,
    /// The deadline that it belongs to.
    pub due_at: DateTime,
}

/// What comes due.
#[derive(Default)]
pub struct TimerQueries;

#[Object]
impl TimerQueries {
    /// What comes due before an instant, earliest first; of at most 100 tickets that you may see.
    #[graphql(complexity = "page_size(first, None) * child_complexity")]
    async fn timers(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The instant.")] due_before: DateTime,
        #[graphql(desc = "Of so many tickets; 20 when absent, at most 100.")] first: Option<i32>,
    ) -> Result<Option<Vec<Timer>>, Error> {
        let session = Session::of(context)?;
        session.need(Action::Read, Resource::Figures)?;
        let limit = Paging::new(first, None, None, None)?.limit;
        let due = session.views.due(&session.within(), due_before.0.plus_millis(-1), limit);
        let timers = due.into_iter().filter_map(|entry| {
            let (kind, track, metric, due_at) = match entry.command {
                TimerCommand::Warn { track, metric, due_at } => {
                    (TimerKind::SlaWarning, Some(track), Some(metric), due_at)
                }
                TimerCommand::Breach { track, metric, due_at } => {
                    (TimerKind::SlaBreach, Some(track), Some(metric), due_at)
                }
                TimerCommand::Escalate { track, metric, due_at, .. } => {
                    (TimerKind::Escalation, Some(track), Some(metric), due_at)
                }
                TimerCommand::ReturnToQueue { due_at } => (TimerKind::ReturnToQueue, None, None, due_at),
            };
            Some(Timer {
                at: entry.at.into(),
                kind,
                ticket: Ticket::seen(session, entry.ticket)?,
                track: track.map(|track| track.to_string()),
                metric: metric.map(SlaMetric::from),
                due_at: due_at.into(),
            })
        });
        Ok(Some(timers.collect()))
    }
}
