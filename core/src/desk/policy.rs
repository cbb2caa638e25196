//! What a desk promises: targets, the tickets that they are for, and what follows around deadlines.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::definition::is_false;
use crate::{
    calendar::{Span, Target},
    ids::{AgentKey, CalendarKey, CategoryKey, Key, PolicyKey, QueueKey, TeamKey, TrackKey},
    ticket::{Channel, Priority, SlaMetric, StatusRef},
    time::Timestamp,
};

/// What a reopening does to a clock that a resolution had stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReopenRule {
    /// The clock goes on as if it had never stopped: the time while it was resolved counts.
    Continue,
    /// The clock goes on with what was left: the time while it was resolved does not count.
    #[default]
    Resume,
    /// A new clock with the whole target starts; the old one keeps its result.
    Restart,
}

/// What an opening by an agent, on somebody's behalf, means for the first response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentOpened {
    /// Nothing: the customer waits for an answer as ever.
    #[default]
    Waits,
    /// The agent has spoken with the customer: the first response is not measured, and the customer's next message
    /// starts a next response.
    Answered,
}

/// Targets by priority; `default` holds for those not named. Without either, the metric is not measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Targets {
    /// For every priority that is not named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Target>,
    /// For urgent tickets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub urgent: Option<Target>,
    /// For tickets of high priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<Target>,
    /// For tickets of normal priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normal: Option<Target>,
    /// For tickets of low priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<Target>,
}

impl Targets {
    /// The target of tickets with this priority.
    pub fn of(&self, priority: Priority) -> Option<Target> {
        match priority {
            Priority::Low => self.low,
            Priority::Normal => self.normal,
            Priority::High => self.high,
            Priority::Urgent => self.urgent,
        }
        .or(self.default)
    }

    /// Every target that is set.
    pub fn iter(&self) -> impl Iterator<Item = Target> {
        [self.default, self.urgent, self.high, self.normal, self.low].into_iter().flatten()
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A list of a condition: an empty one would hold for no ticket, and somebody who empties a list hardly means that.
fn not_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let list = Vec::deserialize(deserializer)?;
    if list.is_empty() {
        return Err(D::Error::custom("the list of a condition is empty: give a value, or leave the condition out"));
    }
    Ok(list)
}

/// Which tickets a policy is for: every condition that is given must hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyFilter {
    /// In one of these queues.
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<QueueKey>,
    /// Of one of these priorities.
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Vec::is_empty")]
    pub priorities: Vec<Priority>,
    /// In one of these categories.
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<CategoryKey>,
    /// Opened by one of these channels.
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
    /// With one of these teams responsible.
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<TeamKey>,
    /// With one of these tags.
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Opened by an agent on somebody's behalf, or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_agent: Option<bool>,
}

impl PolicyFilter {
    /// True when it is for every ticket.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// When a step of an escalation applies: every condition that is given must hold. A step whose conditions do not hold
/// waits until they do.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EscalationFilter {
    /// Of one of these priorities.
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Vec::is_empty")]
    pub priorities: Vec<Priority>,
    /// In one of these queues.
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<QueueKey>,
    /// In one of these statuses, by key or by the name of their category.
    #[serde(deserialize_with = "not_empty", skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<Key>,
    /// With an assignee, or without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned: Option<bool>,
}

impl EscalationFilter {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A step of an escalation: raise the ticket to a level some time before or after a deadline, and act.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escalation {
    /// The metric whose deadline counts.
    pub metric: SlaMetric,
    /// Time from the deadline; negative is before it.
    pub after: Span,
    /// Count that time in the policy's calendar instead of plainly.
    #[serde(default, skip_serializing_if = "is_false")]
    pub working_time: bool,
    /// The level, from 1. A step is taken once for each clock, and none before those of lower levels that are due.
    pub level: u8,
    /// When it applies.
    #[serde(default, skip_serializing_if = "EscalationFilter::is_empty")]
    pub when: EscalationFilter,
    /// Raise the priority to this one, unless it is as high already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raise_priority: Option<Priority>,
    /// Give the ticket to this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assign_agent: Option<AgentKey>,
    /// Make this team responsible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assign_team: Option<TeamKey>,
    /// Move it to this queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub move_to: Option<QueueKey>,
    /// Let these agents follow the ticket.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub follow: Vec<AgentKey>,
    /// Tell these agents; the event names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<AgentKey>,
}

fn default_track() -> TrackKey {
    TrackKey::from(Key::from_name("sla"))
}

fn default_pausing() -> Vec<SlaMetric> {
    vec![SlaMetric::Resolution, SlaMetric::PeriodicUpdate, SlaMetric::TeamHandling]
}

fn is_default_pausing(metrics: &[SlaMetric]) -> bool {
    *metrics == *default_pausing()
}

/// What a desk promises.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDefinition {
    /// Its key.
    pub key: PolicyKey,
    /// What people read.
    pub name: String,
    /// Policies of one track compete for a ticket and the first that matches wins; tracks are measured side by side, for
    /// example what customers were promised and what teams promise each other.
    #[serde(default = "default_track")]
    pub track: TrackKey,
    /// Place among the policies, smallest first. A desk file numbers them as they stand.
    #[serde(default)]
    pub order: u32,
    /// For every ticket of the track that no other policy matches, wherever it stands in the order.
    #[serde(default, skip_serializing_if = "is_false")]
    pub default: bool,
    /// From when this version is chosen; before it the version before. From its definition on when absent.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::time::rfc3339")]
    pub valid_from: Option<Timestamp>,
    /// From when it is not chosen any more.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::time::rfc3339")]
    pub valid_until: Option<Timestamp>,
    /// The calendar in which time is counted; round the clock when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<CalendarKey>,
    /// Statuses, by key or by the name of their category, in which clocks stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pause: Vec<Key>,
    /// The metrics whose clocks stand then.
    #[serde(default = "default_pausing", skip_serializing_if = "is_default_pausing")]
    pub pause_metrics: Vec<SlaMetric>,
    /// What a reopening does.
    #[serde(default)]
    pub reopen: ReopenRule,
    /// What an opening by an agent means.
    #[serde(default)]
    pub agent_opened: AgentOpened,
    /// An agent's note answers as a message does.
    #[serde(default, skip_serializing_if = "is_false")]
    pub notes_count: bool,
    /// Warn so long (plain time) before a deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_before: Option<Span>,
    /// Warnings and steps of escalations wait until this calendar is open. Breaches are facts and wait for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_calendar: Option<CalendarKey>,
    /// Which tickets it is for.
    #[serde(default, skip_serializing_if = "PolicyFilter::is_empty")]
    pub when: PolicyFilter,
    /// From the opening to the first public answer of an agent.
    #[serde(default)]
    pub first_response: Targets,
    /// From the opening to the resolution.
    #[serde(default)]
    pub resolution: Targets,
    /// From a customer's message, once the ticket was answered, to the next public answer.
    #[serde(default, skip_serializing_if = "Targets::is_empty")]
    pub next_response: Targets,
    /// Between public answers of agents.
    #[serde(default, skip_serializing_if = "Targets::is_empty")]
    pub periodic_update: Targets,
    /// From the opening to the first assignment to an agent.
    #[serde(default, skip_serializing_if = "Targets::is_empty")]
    pub pick_up: Targets,
    /// While one team is responsible: from its assignment to the next team's, or the resolution.
    #[serde(default, skip_serializing_if = "Targets::is_empty")]
    pub team_handling: Targets,
    /// What follows around deadlines, in the order of the levels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalations: Vec<Escalation>,
}

impl PolicyDefinition {
    /// The targets of a metric.
    pub const fn targets(&self, metric: SlaMetric) -> &Targets {
        match metric {
            SlaMetric::FirstResponse => &self.first_response,
            SlaMetric::NextResponse => &self.next_response,
            SlaMetric::PeriodicUpdate => &self.periodic_update,
            SlaMetric::PickUp => &self.pick_up,
            SlaMetric::TeamHandling => &self.team_handling,
            SlaMetric::Resolution => &self.resolution,
        }
    }

    /// True when the clock of this metric stands in this status.
    pub fn pauses(&self, metric: SlaMetric, status: &StatusRef) -> bool {
        self.pause_metrics.contains(&metric) && names_status(&self.pause, status)
    }
}

/// True when one of the keys is the status or the name of its category.
pub(crate) fn names_status(keys: &[Key], status: &StatusRef) -> bool {
    keys.iter().any(|key| key.as_str() == status.key.as_str() || key.as_str() == status.category.name())
}
