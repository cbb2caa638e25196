//! What happened, counted: facts with the attributes that their tickets had then, so that credit goes to whoever held the
//! ticket at the time, and no later change rewrites a past month.
//!
//! # Definitions
//! - A *period* is half-open, `[from, to)`, over the instants at which things happened.
//! - *Events* count every occurrence, *tickets* each ticket once.
//! - *First resolution* is measured from the opening to the first resolution; *last resolution* to the last one within the
//!   period, in the order of the log; *less waiting* takes off the time in statuses of the category waiting.
//! - *Closing* is measured to the last closing within the period that no reopening within the period undid.
//! - The *median* is the mean of the middle two when the count is even; *p90* is the nearest rank: element number
//!   `ceil(0.9 n)` of the sorted list, counted from 1.
//! - The *backlog* at an instant are the tickets that were opened at or before it and not closed then.
//! - Clocks of service levels are *met*, *missed* or *cancelled* in the period in which they ended, under the policy and the
//!   deadline that they had then. Only what happened before the end of the period counts: of the ends of one clock the last
//!   within the period that no reopening within the period undid, as with resolutions and closings. A clock that is met in
//!   January, reopened in February and met again is met in January and met in February; over both it is one clock, met once.
//! - Clocks are *active* or *overdue* as of the latest of the backlog's instants: those that started in the period, were
//!   known then, and had not ended then, with the deadline that they had then. Without an instant it is all that is known,
//!   and none is overdue.
//! - What is *learned late* joins the period in which it happened: imported rows, and the steps of an escalation that a server
//!   which had stood still takes after it is started again. Nothing that happens later changes a past period.
//! - *Compliance* of a service level is met / (met + missed); clocks that are active or were cancelled are neither.

use std::collections::{BTreeMap, HashMap};

use docket_core::{
    ids::{PolicyKey, TrackKey},
    sla::{Clock, ClockAt, Ending},
    ticket::{Channel, Priority, SlaMetric, TicketEvent},
    time::Timestamp,
};
use imbl::Vector;
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

use crate::tickets::{Change, OfChanges, TicketRow, TicketsView, Within};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FactKind {
    /// A ticket was opened.
    Created,
    /// It was resolved.
    Resolved,
    /// It was closed.
    Closed,
    /// It was reopened.
    Reopened,
    /// It was answered for the first time.
    FirstResponse,
}

/// Something that is counted, with what the ticket was then.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Fact {
    at: Timestamp,
    /// Time that the ticket had spent waiting until then.
    waited_ms: i64,
    number: u32,
    kind: FactKind,
    priority: Priority,
    channel: Channel,
    queue: u32,
    team: Option<u32>,
    agent: Option<u32>,
    category: Option<u32>,
}

/// Every fact in the order of the log.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReportView {
    facts: Vector<Fact>,
}

impl OfChanges for ReportView {
    fn take(&mut self, change: &Change<'_>) {
        let row = change.after;
        let answered_before = change.before.is_some_and(|before| before.first_response_at.is_some());
        let kind = match change.event {
            TicketEvent::TicketOpened(_) => FactKind::Created,
            TicketEvent::Resolved(_) => FactKind::Resolved,
            TicketEvent::Closed(_) => FactKind::Closed,
            TicketEvent::Reopened(_) => FactKind::Reopened,
            TicketEvent::MessageSent(_) | TicketEvent::CallLogged(_)
                if !answered_before && row.first_response_at.is_some() =>
            {
                FactKind::FirstResponse
            }
            TicketEvent::MessageSent(_)
            | TicketEvent::CallLogged(_)
            | TicketEvent::MessageReceived(_)
            | TicketEvent::NoteAdded(_)
            | TicketEvent::AgentAssigned(_)
            | TicketEvent::AgentUnassigned(_)
            | TicketEvent::TeamAssigned(_)
            | TicketEvent::TeamUnassigned(_)
            | TicketEvent::QueueChanged(_)
            | TicketEvent::ReturnedToQueue(_)
            | TicketEvent::StatusChanged(_)
            | TicketEvent::PriorityChanged(_)
            | TicketEvent::CategoryChanged(_)
            | TicketEvent::SubjectChanged(_)
            | TicketEvent::RequesterChanged(_)
            | TicketEvent::TagAdded(_)
            | TicketEvent::TagRemoved(_)
            | TicketEvent::FieldChanged(_)
            | TicketEvent::FollowerAdded(_)
            | TicketEvent::FollowerRemoved(_)
            | TicketEvent::Escalated(_)
            | TicketEvent::EscalationLowered(_)
            | TicketEvent::SlaApplied(_)
            | TicketEvent::SlaWarned(_)
            | TicketEvent::SlaBreached(_) => return,
        };
        self.facts.push_back(Fact {
            at: change.at,
            waited_ms: row.waited_ms,
            number: row.number,
            kind,
            priority: row.priority,
            channel: row.channel,
            queue: row.queue,
            team: row.team,
            agent: row.agent,
            category: row.category,
        });
    }
}

impl ReportView {
    /// The report of a period over the tickets of a scope, with the backlog at some instants.
    ///
    /// It looks at every fact and every clock, so `stop` is asked now and then: once it says true, what was counted so far
    /// comes back, which is no report.
    pub fn report(
        &self,
        within: &Within,
        period: ReportPeriod,
        backlog_at: &[Timestamp],
        tickets: &TicketsView,
        stop: &dyn Fn() -> bool,
    ) -> Report {
        let facts = || watched(self.facts.iter(), stop).filter(|fact| within.holds(fact.number));
        let mut whole = Tally::default();
        let mut groups: [BTreeMap<Option<u32>, Tally>; Dimension::ALL.len()] = Default::default();
        let mut last_resolved: HashMap<u32, &Fact> = HashMap::new();
        let mut last_closed: HashMap<u32, &Fact> = HashMap::new();
        for fact in facts().filter(|fact| period.holds(fact.at)) {
            whole.count(fact);
            for (dimension, groups) in Dimension::ALL.iter().zip(&mut groups) {
                groups.entry(dimension.of(fact)).or_default().count(fact);
            }
            match fact.kind {
                FactKind::Resolved => _ = last_resolved.insert(fact.number, fact),
                FactKind::Closed => _ = last_closed.insert(fact.number, fact),
                FactKind::Reopened => _ = last_closed.remove(&fact.number),
                FactKind::Created | FactKind::FirstResponse => {}
            }
        }
        let opened_at = |number: u32| tickets.by_number(number).map(|row| row.opened_at);
        let mut measure = |fact: &Fact, add: &dyn Fn(&mut Tally)| {
            add(&mut whole);
            for (dimension, groups) in Dimension::ALL.iter().zip(&mut groups) {
                add(groups.entry(dimension.of(fact)).or_default());
            }
        };
        for fact in facts().filter(|fact| period.holds(fact.at)) {
            let Some(row) = tickets.by_number(fact.number) else { continue };
            let taken = taken(row.opened_at, fact);
            if fact.kind == FactKind::FirstResponse {
                measure(fact, &|tally| tally.first_response_ms.push(taken));
            } else if fact.kind == FactKind::Resolved && row.first_resolved_at == Some(fact.at) {
                // Two resolutions in one instant are one first resolution.
                measure(fact, &|tally| {
                    if tally.first_resolved.insert(fact.number) {
                        tally.first_resolution_ms.push(taken);
                    }
                });
            }
        }
        for fact in last_resolved.values() {
            let Some(opened_at) = opened_at(fact.number) else { continue };
            let taken = taken(opened_at, fact);
            measure(fact, &|tally| {
                tally.last_resolution_ms.push(taken);
                tally.last_resolution_less_waiting_ms.push((taken - fact.waited_ms).max(0));
            });
        }
        for fact in last_closed.values() {
            let Some(opened_at) = opened_at(fact.number) else { continue };
            let taken = taken(opened_at, fact);
            measure(fact, &|tally| tally.closing_ms.push(taken));
        }
        let groups = Dimension::ALL.iter().zip(groups).map(|(dimension, groups)| GroupedReport {
            by: dimension.name(),
            groups: groups
                .into_iter()
                .map(|(value, tally)| GroupReport { key: dimension.key(value, tickets), totals: tally.totals() })
                .collect(),
        });
        Report {
            from: period.from,
            to: period.to,
            totals: whole.totals(),
            groups: groups.collect(),
            backlog: backlog_at.iter().map(|at| backlog(*at, facts())).collect(),
            sla: sla(
                period,
                backlog_at.iter().max().copied(),
                watched(tickets.rows(), stop).filter(|row| within.holds(row.number)),
            ),
        }
    }
}

fn backlog<'a>(at: Timestamp, facts: impl Iterator<Item = &'a Fact>) -> Backlog {
    let mut opened = RoaringBitmap::new();
    let mut resolved = RoaringBitmap::new();
    let mut closed = RoaringBitmap::new();
    for fact in facts.filter(|fact| fact.at <= at) {
        match fact.kind {
            FactKind::Created => _ = opened.insert(fact.number),
            FactKind::Resolved => {
                resolved.insert(fact.number);
                closed.remove(fact.number);
            }
            FactKind::Closed => _ = closed.insert(fact.number),
            FactKind::Reopened => {
                resolved.remove(fact.number);
                closed.remove(fact.number);
            }
            FactKind::FirstResponse => {}
        }
    }
    let not_closed = opened - closed;
    Backlog { at, tickets: not_closed.len(), unresolved: (not_closed - resolved).len() }
}

/// A stretch of time, half-open; without an end on a side that is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportPeriod {
    /// First instant.
    pub from: Option<Timestamp>,
    /// First instant after it.
    pub to: Option<Timestamp>,
}

impl ReportPeriod {
    pub(crate) fn holds(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at < to)
    }

    /// Its last instant: instants are whole milliseconds.
    pub(crate) fn last(&self) -> Option<Timestamp> {
        self.to.map(|to| to.plus_millis(-1))
    }
}

/// By what a report is broken down. The value is the one at the time of each fact.
#[derive(Clone, Copy)]
enum Dimension {
    Queue,
    Team,
    Agent,
    Priority,
    Category,
    Channel,
}

impl Dimension {
    const ALL: [Self; 6] = [Self::Queue, Self::Team, Self::Agent, Self::Priority, Self::Category, Self::Channel];

    const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Team => "team",
            Self::Agent => "agent",
            Self::Priority => "priority",
            Self::Category => "category",
            Self::Channel => "channel",
        }
    }

    const fn of(self, fact: &Fact) -> Option<u32> {
        match self {
            Self::Queue => Some(fact.queue),
            Self::Team => fact.team,
            Self::Agent => fact.agent,
            Self::Priority => Some(fact.priority as u32),
            Self::Category => fact.category,
            Self::Channel => Some(fact.channel as u32),
        }
    }

    fn key(self, value: Option<u32>, tickets: &TicketsView) -> Option<String> {
        let value = value?;
        match self {
            Self::Queue => tickets.queues.name(value).map(ToString::to_string),
            Self::Team => tickets.teams.name(value).map(ToString::to_string),
            Self::Agent => tickets.agents.name(value).map(ToString::to_string),
            Self::Priority => Priority::ALL.get(value as usize).map(ToString::to_string),
            Self::Category => tickets.categories.name(value).map(ToString::to_string),
            Self::Channel => Channel::ALL.get(value as usize).map(ToString::to_string),
        }
    }
}

#[derive(Default)]
struct Tally {
    events: [u64; 4],
    tickets: [RoaringBitmap; 4],
    first_resolved: RoaringBitmap,
    first_response_ms: Vec<i64>,
    first_resolution_ms: Vec<i64>,
    last_resolution_ms: Vec<i64>,
    last_resolution_less_waiting_ms: Vec<i64>,
    closing_ms: Vec<i64>,
}

impl Tally {
    fn count(&mut self, fact: &Fact) {
        let at = match fact.kind {
            FactKind::Created => 0,
            FactKind::Resolved => 1,
            FactKind::Closed => 2,
            FactKind::Reopened => 3,
            FactKind::FirstResponse => return,
        };
        self.events[at] += 1;
        self.tickets[at].insert(fact.number);
    }

    fn totals(self) -> Totals {
        let [created, resolved, closed, reopened] =
            [0, 1, 2, 3].map(|at: usize| Count { events: self.events[at], tickets: self.tickets[at].len() });
        Totals {
            created,
            resolved,
            closed,
            reopened,
            first_response: DurationStats::of(self.first_response_ms),
            first_resolution: DurationStats::of(self.first_resolution_ms),
            last_resolution: DurationStats::of(self.last_resolution_ms),
            last_resolution_less_waiting: DurationStats::of(self.last_resolution_less_waiting_ms),
            closing: DurationStats::of(self.closing_ms),
        }
    }
}

/// From the opening to a fact. An import may date a fact before the opening; it took no time then.
fn taken(opened_at: Timestamp, fact: &Fact) -> i64 {
    fact.at.millis_since(opened_at).max(0)
}

/// The elements until somebody says stop, which is asked now and then: to ask for each would cost more than they do.
fn watched<'a, T>(all: impl Iterator<Item = T> + 'a, stop: &'a dyn Fn() -> bool) -> impl Iterator<Item = T> + 'a {
    all.enumerate().take_while(move |(n, _)| n % 4096 != 0 || !stop()).map(|(_, one)| one)
}

fn sla<'a>(
    period: ReportPeriod,
    now: Option<Timestamp>,
    tickets: impl Iterator<Item = &'a TicketRow>,
) -> Vec<SlaReport> {
    let mut by_policy: BTreeMap<(TrackKey, PolicyKey, SlaMetric), SlaReport> = BTreeMap::new();
    let mut report_of = |clock: &Clock, policy: &PolicyKey, count: &dyn Fn(&mut SlaReport)| {
        let key = (clock.track.clone(), policy.clone(), clock.metric);
        count(by_policy.entry(key).or_insert_with(|| SlaReport {
            track: clock.track.clone(),
            policy: policy.clone(),
            metric: clock.metric,
            met: 0,
            missed: 0,
            active: 0,
            overdue: 0,
            cancelled: 0,
            cancelled_late: 0,
        }));
    };
    for clock in tickets.flat_map(|row| &row.clocks.clocks) {
        if let Some((policy, ending, _)) = ended_in(period, clock) {
            report_of(clock, policy, &|report| match ending {
                Ending::Met => report.met += 1,
                Ending::Missed => report.missed += 1,
                Ending::Cancelled => report.cancelled += 1,
                Ending::CancelledLate => {
                    report.cancelled += 1;
                    report.cancelled_late += 1;
                }
            });
        }
        if let Some(active) = active_at(now, period, clock) {
            report_of(clock, active.policy, &|report| {
                report.active += 1;
                report.overdue += u64::from(now.is_some_and(|now| active.is_overdue(now)));
            });
        }
    }
    by_policy.into_values().collect()
}

/// How a clock had ended within a period by the end of the period, under which policy, and when.
pub(crate) fn ended_in(period: ReportPeriod, clock: &Clock) -> Option<(&PolicyKey, Ending, Timestamp)> {
    let then = clock.at(period.last())?;
    let (ending, at) = then.ended?;
    period.holds(at).then_some((then.policy, ending, at))
}

/// A clock that started in a period and was active at an instant, as it was then; as it is without one.
pub(crate) fn active_at(instant: Option<Timestamp>, period: ReportPeriod, clock: &Clock) -> Option<ClockAt<'_>> {
    clock.at(instant).filter(|then| then.ended.is_none() && period.holds(clock.activated_at))
}

/// A report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Start of the period; none for the beginning.
    pub from: Option<Timestamp>,
    /// End of the period; none for the end.
    pub to: Option<Timestamp>,
    /// Of all tickets.
    pub totals: Totals,
    /// Broken down.
    pub groups: Vec<GroupedReport>,
    /// Tickets that were not closed at some instants.
    pub backlog: Vec<Backlog>,
    /// Service levels, by policy and metric.
    pub sla: Vec<SlaReport>,
}

/// A report broken down by one attribute.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupedReport {
    /// The attribute.
    pub by: &'static str,
    /// Its values.
    pub groups: Vec<GroupReport>,
}

/// The part of a report that belongs to one value of an attribute.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupReport {
    /// The value; none for tickets that had none.
    pub key: Option<String>,
    /// What is counted.
    #[serde(flatten)]
    pub totals: Totals,
}

/// Counts and durations.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Totals {
    /// Openings.
    pub created: Count,
    /// Resolutions.
    pub resolved: Count,
    /// Closings.
    pub closed: Count,
    /// Reopenings.
    pub reopened: Count,
    /// From the opening to the first answer.
    pub first_response: DurationStats,
    /// From the opening to the first resolution.
    pub first_resolution: DurationStats,
    /// From the opening to the last resolution.
    pub last_resolution: DurationStats,
    /// The same less the time in waiting statuses.
    pub last_resolution_less_waiting: DurationStats,
    /// From the opening to the last closing.
    pub closing: DurationStats,
}

/// How often, and on how many tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Occurrences.
    pub events: u64,
    /// Tickets, each once.
    pub tickets: u64,
}

/// Durations in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DurationStats {
    /// How many.
    pub n: u64,
    /// Their sum.
    pub sum_s: f64,
    /// Arithmetic mean; none of none.
    pub mean_s: Option<f64>,
    /// Median; none of none.
    pub median_s: Option<f64>,
    /// Ninetieth percentile by nearest rank; none of none.
    pub p90_s: Option<f64>,
    /// The shortest; none of none.
    pub min_s: Option<f64>,
    /// The longest; none of none.
    pub max_s: Option<f64>,
}

impl DurationStats {
    /// The figures of these durations in milliseconds.
    pub fn of(mut millis: Vec<i64>) -> Self {
        millis.sort_unstable();
        let n = millis.len();
        // Exact up to 2^53 ms, which is 285,000 years.
        let seconds = |millis: i64| millis as f64 / 1000.0;
        let sum: i64 = millis.iter().sum();
        let median = match n {
            0 => None,
            _ if n % 2 == 1 => Some(seconds(millis[n / 2])),
            _ => Some(seconds(millis[n / 2 - 1] + millis[n / 2]) / 2.0),
        };
        let rank = (9 * n).div_ceil(10);
        Self {
            n: n as u64,
            sum_s: seconds(sum),
            mean_s: (n > 0).then(|| seconds(sum) / n as f64),
            median_s: median,
            p90_s: rank.checked_sub(1).and_then(|at| millis.get(at)).copied().map(seconds),
            min_s: millis.first().copied().map(seconds),
            max_s: millis.last().copied().map(seconds),
        }
    }
}

/// The backlog at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// The instant.
    pub at: Timestamp,
    /// Tickets opened and not closed.
    pub tickets: u64,
    /// Of these, those that were not resolved either.
    pub unresolved: u64,
}

/// How a service level was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlaReport {
    /// The track.
    pub track: TrackKey,
    /// The policy.
    pub policy: PolicyKey,
    /// The metric.
    pub metric: SlaMetric,
    /// Clocks fulfilled in time, within the period.
    pub met: u64,
    /// Clocks fulfilled too late, within the period.
    pub missed: u64,
    /// Clocks that started in the period and ran or stood at the latest of the backlog's instants.
    pub active: u64,
    /// Of these, the ones past their deadline then.
    pub overdue: u64,
    /// Clocks that were cancelled within the period, for example because the ticket was closed without a resolution.
    pub cancelled: u64,
    /// Of these, the ones that were past their deadline when they were cancelled.
    pub cancelled_late: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_is_the_mean_of_the_middle_and_p90_is_the_nearest_rank() {
        let stats = DurationStats::of((1..=10).map(|s| s * 1000).collect());
        assert_eq!((stats.median_s, stats.p90_s, stats.mean_s), (Some(5.5), Some(9.0), Some(5.5)));
        let stats = DurationStats::of((1..=11).map(|s| s * 1000).collect());
        assert_eq!((stats.median_s, stats.p90_s), (Some(6.0), Some(10.0)));
        assert_eq!(DurationStats::of(vec![]).median_s, None);
        assert_eq!(DurationStats::of(vec![7000]).p90_s, Some(7.0));
    }
}
