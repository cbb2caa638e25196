//! Reports in GraphQL.

use async_graphql::SimpleObject;
use docket_projections as views;

use super::{
    scalars::{DateTime, Duration},
    words::SlaMetric,
};

/// A report. The definitions of its figures stand in the documentation of `docket report`.
#[derive(SimpleObject, Debug, Clone)]
pub struct Report {
    /// Start of the period; null for the beginning.
    pub from: Option<DateTime>,
    /// End of the period, not part of it; null for the end.
    pub to: Option<DateTime>,
    /// The figures of all tickets.
    pub totals: ReportTotals,
    /// Broken down by queue, team, agent, priority, category and channel, each as it was at the time of what is counted.
    pub breakdowns: Vec<ReportBreakdown>,
    /// Tickets that were not closed at the instants asked for.
    pub backlog: Vec<ReportBacklog>,
    /// Service levels, by policy and metric, as they were at the end of the period: nothing that happens later changes them.
    pub sla: Vec<ReportSla>,
}

/// A report broken down by one attribute.
#[derive(SimpleObject, Debug, Clone)]
pub struct ReportBreakdown {
    /// The attribute.
    pub by: String,
    /// Its values.
    pub groups: Vec<ReportGroup>,
}

/// The part of a report that belongs to one value of an attribute.
#[derive(SimpleObject, Debug, Clone)]
pub struct ReportGroup {
    /// The value; null for tickets that had none.
    pub key: Option<String>,
    /// What is counted.
    pub totals: ReportTotals,
}

/// Counts and durations.
#[derive(SimpleObject, Debug, Clone)]
pub struct ReportTotals {
    /// Openings.
    pub created: ReportCount,
    /// Resolutions.
    pub resolved: ReportCount,
    /// Closings.
    pub closed: ReportCount,
    /// Reopenings.
    pub reopened: ReportCount,
    /// From the opening to the first answer.
    pub first_response: ReportDurations,
    /// From the opening to the first resolution.
    pub first_resolution: ReportDurations,
    /// From the opening to the last resolution.
    pub last_resolution: ReportDurations,
    /// From the opening to the last resolution, less the time in waiting statuses.
    pub last_resolution_less_waiting: ReportDurations,
    /// From the opening to the last closing.
    pub closing: ReportDurations,
}

/// How often, and on how many tickets.
#[derive(SimpleObject, Debug, Clone)]
pub struct ReportCount {
    /// Occurrences.
    pub events: i32,
    /// Tickets, each once.
    pub tickets: i32,
}

/// Durations, to the millisecond; null of none.
#[derive(SimpleObject, Debug, Clone)]
pub struct ReportDurations {
    /// How many.
    pub n: i32,
    /// Arithmetic mean.
    pub mean: Option<Duration>,
    /// Median: the mean of the middle two when the count is even.
    pub median: Option<Duration>,
    /// Ninetieth percentile by nearest rank.
    pub p90: Option<Duration>,
    /// The shortest one.
    pub min: Option<Duration>,
    /// The longest one.
    pub max: Option<Duration>,
}

/// The backlog at an instant.
#[derive(SimpleObject, Debug, Clone)]
pub struct ReportBacklog {
    /// The instant.
    pub at: DateTime,
    /// Tickets opened and not closed.
    pub tickets: i32,
    /// Tickets that were neither closed nor resolved.
    pub unresolved: i32,
}

/// How a service level was kept.
#[derive(SimpleObject, Debug, Clone)]
pub struct ReportSla {
    /// The track.
    pub track: String,
    /// The policy.
    pub policy: String,
    /// The metric.
    pub metric: SlaMetric,
    /// Clocks fulfilled in time, within the period; of the ends of one clock the last that no reopening within it undid.
    pub met: i32,
    /// Clocks fulfilled too late, within the period.
    pub missed: i32,
    /// Clocks that started in the period and ran or stood at the latest of the backlog's instants.
    pub active: i32,
    /// Active clocks past the deadline that they had then.
    pub overdue: i32,
    /// Clocks that were cancelled within the period.
    pub cancelled: i32,
    /// Cancelled clocks that were past their deadline when they were cancelled.
    pub cancelled_late: i32,
    /// met / (met + missed); null when both are 0.
    pub compliance: Option<f64>,
}

/// A count as GraphQL has it.
pub(super) fn int(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

impl From<views::Totals> for ReportTotals {
    fn from(totals: views::Totals) -> Self {
        Self {
            created: totals.created.into(),
            resolved: totals.resolved.into(),
            closed: totals.closed.into(),
            reopened: totals.reopened.into(),
            first_response: totals.first_response.into(),
            first_resolution: totals.first_resolution.into(),
            last_resolution: totals.last_resolution.into(),
            last_resolution_less_waiting: totals.last_resolution_less_waiting.into(),
            closing: totals.closing.into(),
        }
    }
}

impl From<views::Count> for ReportCount {
    fn from(count: views::Count) -> Self {
        Self { events: int(count.events), tickets: int(count.tickets) }
    }
}

fn length(seconds: Option<f64>) -> Option<Duration> {
    // Times are kept in milliseconds, and a float holds those of 285,000 years exactly.
    #[allow(clippy::cast_possible_truncation, reason = "it is rounded, and far from the ends of i64")]
    seconds.map(|seconds| Duration { millis: (seconds * 1_000.0).round() as i64 })
}

impl From<views::DurationStats> for ReportDurations {
    fn from(stats: views::DurationStats) -> Self {
        Self {
            n: int(stats.n),
            mean: length(stats.mean_s),
            median: length(stats.median_s),
            p90: length(stats.p90_s),
            min: length(stats.min_s),
            max: length(stats.max_s),
        }
    }
}

impl From<views::Report> for Report {
    fn from(report: views::Report) -> Self {
        let group = |group: views::GroupReport| ReportGroup { key: group.key, totals: group.totals.into() };
        Self {
            from: report.from.map(DateTime),
            to: report.to.map(DateTime),
            totals: report.totals.into(),
            breakdowns: report
                .groups
                .into_iter()
                .map(|by| ReportBreakdown { by: by.by.to_owned(), groups: by.groups.into_iter().map(group).collect() })
                .collect(),
            backlog: report
                .backlog
                .into_iter()
                .map(|b| ReportBacklog { at: b.at.into(), tickets: int(b.tickets), unresolved: int(b.unresolved) })
                .collect(),
            sla: report
                .sla
                .into_iter()
                .map(|sla| ReportSla {
                    track: sla.track.to_string(),
                    policy: sla.policy.to_string(),
                    metric: sla.metric.into(),
                    met: int(sla.met),
                    missed: int(sla.missed),
                    active: int(sla.active),
                    overdue: int(sla.overdue),
                    cancelled: int(sla.cancelled),
                    cancelled_late: int(sla.cancelled_late),
                    compliance: (sla.met + sla.missed > 0).then(|| sla.met as f64 / (sla.met + sla.missed) as f64),
                })
                .collect(),
        }
    }
}
