//! The policies that measure a ticket, and what was told of their deadlines.

use super::fact::facts;
use crate::{
    event::family::event_payloads,
    ids::{CalendarKey, PolicyKey, Position, TrackKey},
    ticket::words::{SlaMetric, SlaReason},
    time::Timestamp,
};

event_payloads! {
    /// A policy was chosen, and with it the version that stays pinned.
    SlaApplied = 1 {
        /// Policies of one track compete; this is the one that won.
        track: TrackKey,
        /// The policy; none when no policy of the track matches any more.
        policy: Option<PolicyKey>,
        /// Position of the commit that defined the policy's pinned version.
        policy_version: Position,
        /// The calendar; none counts round the clock.
        calendar: Option<CalendarKey>,
        /// Position of the commit that defined the calendar's pinned version.
        calendar_version: Position,
        /// Version of the time-zone database.
        tzdb: String,
        /// What made Docket choose.
        #[serde(default)]
        reason: SlaReason,
        /// The policy's conditions that the ticket met, for example `queue vip`; none for a policy that is for every
        /// ticket.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        matched: Vec<String>,
    }
    /// A deadline came near.
    SlaWarned = 1 {
        /// The track.
        track: TrackKey,
        /// The metric.
        metric: SlaMetric,
        /// Which clock of the metric, from 1: a reopening may start a further one.
        instance: u32,
        /// The deadline.
        due_at: Timestamp,
        /// When Docket saw it.
        detected_at: Timestamp,
    }
    /// A deadline passed.
    SlaBreached = 1 {
        /// The track.
        track: TrackKey,
        /// The metric.
        metric: SlaMetric,
        /// Which clock of the metric, from 1: a reopening may start a further one.
        instance: u32,
        /// The deadline: the instant of the breach.
        due_at: Timestamp,
        /// When Docket saw it.
        detected_at: Timestamp,
    }
}

facts! {
    SlaApplied { public: false, body: |_| None, policies: None }
    SlaWarned { public: false, body: |_| None, policies: None }
    SlaBreached { public: false, body: |_| None, policies: None }
}
