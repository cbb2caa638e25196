//! Service levels in GraphQL: derivations, what a change of policies does, and what others would have come to.

use async_graphql::{Context, Error, InputObject, Object, SimpleObject};
use docket_core::sla;
use docket_projections as views;

use super::{
    Session,
    asked::Asked,
    error::{UserError, bad_input, top_level},
    report::{ReportDurations, int},
    scalars::{BigInt, DateTime, Duration},
    words::{Priority, SlaMetric, SlaReason},
};
use crate::{
    desk_file,
    engine::{Action, Resource},
};

/// Something that happened to an SLA clock.
#[derive(SimpleObject, Debug, Clone)]
pub struct SlaMoment {
    /// `activated`, `aimed`, `paused`, `resumed`, `warned`, `breached`, `escalated`, `fulfilled` or `cancelled`.
    pub moment: String,
    /// When.
    pub at: DateTime,
    /// The deadline after it; null while the clock stands.
    pub due_at: Option<DateTime>,
    /// The policy then.
    pub policy: String,
    /// The target then, as the policy says it.
    pub target: String,
    /// Position of the commit that led to it; null for a deadline that passed and that no timer has recorded.
    pub position: Option<BigInt>,
    /// Number of the event within the commit.
    pub index: Option<i32>,
    /// Stored type of the event.
    pub event_type: Option<String>,
}

/// A stretch of working time.
#[derive(SimpleObject, Debug, Clone)]
pub struct SlaInterval {
    /// Its first instant.
    pub from: DateTime,
    /// The first instant after it.
    pub to: DateTime,
    /// Its length.
    pub length: Duration,
    /// `counted` towards the target, `expected` until the deadline, or `overrun` after the target was used up.
    pub stretch: String,
}

/// Why a deadline is when it is.
#[derive(SimpleObject, Debug, Clone)]
pub struct SlaExplanation {
    /// The track.
    pub track: String,
    /// What is measured.
    pub metric: SlaMetric,
    /// Number among the clocks of the same metric, from 1.
    pub instance: i32,
    /// The policy.
    pub policy: String,
    /// Position of the commit that defined the policy's version.
    pub policy_version: BigInt,
    /// The calendar; null counts round the clock.
    pub calendar: Option<String>,
    /// Position of the commit that defined the calendar's version; null without a calendar.
    pub calendar_version: Option<BigInt>,
    /// Version of the time-zone database when the policy was applied.
    pub tzdb: String,
    /// What made Docket choose the policy.
    pub reason: SlaReason,
    /// The conditions of the policy that the ticket met.
    pub matched: Vec<String>,
    /// How long it may take, as the policy says it.
    pub target: String,
    /// The working time that this comes to.
    pub allowed: Option<Duration>,
    /// What happened, in order.
    pub moments: Vec<SlaMoment>,
    /// Stretches of working time: counted and expected ones add up to `allowed` when there is a deadline.
    pub intervals: Vec<SlaInterval>,
    /// The deadline.
    pub due_at: Option<DateTime>,
    /// When it passed while the clock was active.
    pub breached_at: Option<DateTime>,
    /// The whole explanation in words.
    pub text: String,
}

impl From<sla::Explanation> for SlaExplanation {
    fn from(explanation: sla::Explanation) -> Self {
        let text = explanation.to_string();
        let sla::Explanation { clock, applied, moments, intervals, breached_at, .. } = explanation;
        Self {
            track: clock.track.to_string(),
            metric: clock.metric.into(),
            instance: i32::try_from(clock.instance).unwrap_or(i32::MAX),
            policy: clock.policy.to_string(),
            policy_version: applied.policy_version.into(),
            calendar_version: applied.calendar.as_ref().map(|_| applied.calendar_version.into()),
            calendar: applied.calendar.map(|calendar| calendar.to_string()),
            tzdb: applied.tzdb,
            reason: applied.reason.into(),
            matched: applied.matched,
            target: clock.target.to_string(),
            allowed: clock.allowed.map(|allowed| Duration { millis: allowed.millis() }),
            moments: moments.into_iter().map(SlaMoment::from).collect(),
            intervals: intervals.into_iter().map(Into::into).collect(),
            due_at: clock.due_at.map(DateTime),
            breached_at: breached_at.map(DateTime),
            text,
        }
    }
}

impl From<sla::ClockMoment> for SlaMoment {
    fn from(moment: sla::ClockMoment) -> Self {
        Self {
            moment: moment.moment.name().to_owned(),
            at: moment.at.into(),
            due_at: moment.due_at.map(DateTime),
            policy: moment.policy.to_string(),
            target: moment.target.to_string(),
            position: moment.event.map(|event| event.position.into()),
            index: moment.event.map(|event| i32::try_from(event.index).unwrap_or(i32::MAX)),
            event_type: moment.event_type.map(str::to_owned),
        }
    }
}

impl From<sla::Interval> for SlaInterval {
    fn from(interval: sla::Interval) -> Self {
        Self {
            from: interval.from.into(),
            to: interval.to.into(),
            length: Duration { millis: interval.millis() },
            stretch: interval.stretch.name().to_owned(),
        }
    }
}

/// What applying policies anew does to open tickets.
#[derive(SimpleObject, Debug, Clone)]
pub struct SlaEffect {
    /// Open tickets in all.
    pub open: i32,
    /// Open tickets that get another policy, or another version of a policy or calendar.
    pub affected: i32,
    /// Tickets whose earliest deadline comes earlier, or begins to be.
    pub earlier: i32,
    /// Tickets whose earliest deadline comes later, or ceases to be.
    pub later: i32,
    /// Affected tickets whose earliest deadline stays.
    pub unmoved: i32,
    /// How far deadlines move, whichever way.
    pub shift: ReportDurations,
    /// Tickets that become overdue at once.
    pub newly_overdue: i32,
    /// Tickets that cease to be overdue.
    pub no_longer_overdue: i32,
}

impl From<&views::Reapplication> for SlaEffect {
    fn from(effect: &views::Reapplication) -> Self {
        Self {
            open: int(effect.open),
            affected: int(effect.tickets.len() as u64),
            earlier: int(effect.earlier),
            later: int(effect.later),
            unmoved: int(effect.unmoved),
            shift: effect.shift.into(),
            newly_overdue: int(effect.newly_overdue),
            no_longer_overdue: int(effect.no_longer_overdue),
        }
    }
}

/// Clocks by how they ended.
#[derive(SimpleObject, Debug, Clone)]
pub struct SlaTally {
    /// Fulfilled in time.
    pub met: i32,
    /// Fulfilled too late.
    pub missed: i32,
    /// Started within the period, and running or standing at its end.
    pub active: i32,
    /// Cancelled.
    pub cancelled: i32,
    /// Cancelled clocks that were past their deadline then.
    pub cancelled_late: i32,
    /// met / (met + missed); null of none.
    pub compliance: Option<f64>,
}

impl From<views::Tally> for SlaTally {
    fn from(tally: views::Tally) -> Self {
        Self {
            met: int(tally.met),
            missed: int(tally.missed),
            active: int(tally.active),
            cancelled: int(tally.cancelled),
            cancelled_late: int(tally.cancelled_late),
            compliance: tally.compliance(),
        }
    }
}

/// A group of clocks as they were, and as they would have been.
#[derive(SimpleObject, Debug, Clone)]
pub struct SlaComparisonGroup {
    /// The track.
    pub track: String,
    /// What is measured.
    pub metric: SlaMetric,
    /// The policy by which it was, or would have been, measured.
    pub policy: String,
    /// Key of the ticket's queue when the clock ended; of its present one while the clock is active.
    pub queue: String,
    /// The ticket's priority when the clock ended; its present one while the clock is active.
    pub priority: Priority,
    /// What was.
    pub official: SlaTally,
    /// What would have been.
    pub supposed: SlaTally,
}

/// Service levels as they were beside those that would have been.
#[derive(SimpleObject, Debug, Clone)]
pub struct SlaComparison {
    /// True when no count would have been otherwise; deadlines that have not passed may be.
    pub identical: bool,
    /// By track, metric, policy, queue and priority.
    pub groups: Vec<SlaComparisonGroup>,
}

impl From<views::Comparison> for SlaComparison {
    fn from(comparison: views::Comparison) -> Self {
        let identical = comparison.is_identical();
        let groups = comparison.groups.into_iter().map(|group| SlaComparisonGroup {
            track: group.track.to_string(),
            metric: group.metric.into(),
            policy: group.policy.to_string(),
            queue: group.queue.to_string(),
            priority: group.priority.into(),
            official: group.official.into(),
            supposed: group.supposed.into(),
        });
        Self { identical, groups: groups.collect() }
    }
}

/// Policies to be applied anew.
#[derive(InputObject)]
pub struct SlaReapplyInput {
    /// Only say what it would do; a key is not bound to it.
    #[graphql(default)]
    dry_run: bool,
    /// An idempotency key of at most 256 bytes: the same value by the same token is carried out once, for ever: a repetition finishes what was interrupted, unless the
    /// desk has changed since, and its `effect` is null.
    client_mutation_id: Option<String>,
}

/// Answer to `slaReapply`.
#[derive(SimpleObject)]
pub struct SlaReapplyPayload {
    /// What it did, or would do; null when it was refused, and when a request is repeated.
    pub effect: Option<SlaEffect>,
    /// Numbers of tickets that could not be worked on and are as they were.
    pub set_aside: Vec<i32>,
    /// Position of the last thing that was stored.
    pub position: Option<BigInt>,
    /// Why nothing was done.
    pub user_errors: Vec<UserError>,
    /// What the input gave.
    pub client_mutation_id: Option<String>,
}

/// What service levels would come to.
#[derive(Default)]
pub struct SlaQueries;

#[Object]
impl SlaQueries {
    /// What service levels would have come to under other policies or calendars: the whole log is folded once more with those
    /// of the file in place of every version of the same keys. Nothing is written. Few such questions are answered at once: UNAVAILABLE
    /// with `retryAfterS` says when to come back. For whoever sees the tickets of every queue.
    #[graphql(complexity = "2000 + child_complexity")]
    async fn sla_what_if(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Policies and calendars, TOML as in a desk file.")] toml: String,
        #[graphql(desc = "Only clocks that ended at or after this instant.")] from: Option<DateTime>,
        #[graphql(desc = "Only clocks that ended before this instant.")] to: Option<DateTime>,
    ) -> Result<Option<SlaComparison>, Error> {
        let session = Session::of(context)?;
        session.need(Action::Read, Resource::AllTickets)?;
        if let (Some(from), Some(to)) = (&from, &to)
            && from.0 >= to.0
        {
            return Err(bad_input("the period ends before it starts: to must be later than from"));
        }
        let parsed = session.engine.beside(move || Ok(desk_file::parse(&toml, None))).await;
        let config = parsed.map_err(|error| top_level(&error))?.map_err(|problem| bad_input(&problem))?;
        let period = views::ReportPeriod { from: from.map(|from| from.0), to: to.map(|to| to.0) };
        let compared = session.engine.what_if(&session.principal, config, period).await;
        Ok(Some(compared.map_err(|error| top_level(&error))?.into()))
    }
}

/// Policies are applied anew.
#[derive(Default)]
pub struct SlaMutations;

#[Object]
impl SlaMutations {
    /// Applies the present versions of SLA policies and calendars to every open ticket. Done tickets never move. For
    /// administrators.
    async fn sla_reapply(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Whether to do it.")] input: SlaReapplyInput,
    ) -> Result<Option<SlaReapplyPayload>, Error> {
        let asked = Asked::of(context)?;
        let done = async {
            let (engine, principal) = (&asked.session.engine, &asked.session.principal);
            engine.reapply_policies(principal, input.dry_run, asked.key()?).await
        };
        let answer = asked.answer(done.await)?;
        let (user_errors, done) = answer.parts();
        Ok(Some(SlaReapplyPayload {
            effect: done.as_ref().and_then(|done| done.effect.as_ref()).map(Into::into),
            set_aside: done.iter().flat_map(|done| &done.set_aside).map(|n| i32::try_from(*n).unwrap_or(0)).collect(),
            position: done.map(|done| done.position.into()),
            user_errors,
            client_mutation_id: asked.client_mutation_id,
        }))
    }
}
