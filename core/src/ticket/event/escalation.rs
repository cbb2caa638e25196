//! A ticket is raised to a higher level, by somebody or by a step of its policy.

use serde::{Deserialize, Serialize};

use super::fact::facts;
use crate::{
    event::family::event_payloads,
    ids::{AgentKey, TrackKey},
    ticket::words::SlaMetric,
    time::Timestamp,
};

/// The step of a policy's escalation that an event comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscalationStep {
    /// The track.
    pub track: TrackKey,
    /// The metric.
    pub metric: SlaMetric,
    /// Which clock of the metric, from 1.
    pub instance: u32,
    /// The step's level.
    pub level: u8,
    /// The deadline that it belongs to.
    pub due_at: Timestamp,
    /// When it was to be taken.
    pub step_at: Timestamp,
    /// When Docket saw it.
    pub detected_at: Timestamp,
}

event_payloads! {
    /// It was raised to a higher level.
    Escalated = 1 {
        /// The level now, from 1.
        level: u8,
        /// Why.
        reason: String,
        /// The step of a policy that did it; none when somebody did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<EscalationStep>,
        /// Agents to be told.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notify: Vec<AgentKey>,
    }
}

event_payloads! {
    /// It was lowered: what made it rise is over.
    EscalationLowered = 1 {
        /// The level now; 0 for none.
        level: u8,
        /// The level before.
        from: u8,
        /// Why.
        reason: String,
    }
}

facts! {
    Escalated { public: false, body: |_| None, policies: None }
    EscalationLowered { public: false, body: |_| None, policies: None }
}
