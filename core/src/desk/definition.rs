//! What the parts of a desk are, but for calendars and policies. The same form is stored in events and written in desk
//! files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    calendar::Span,
    ids::{AgentKey, CalendarKey, CategoryKey, FieldKey, QueueKey, StatusKey, TeamKey},
    ticket::StatusCategory,
};

pub(super) fn is_false(value: &bool) -> bool {
    !*value
}

/// A status and what it means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusDefinition {
    /// Its key.
    pub key: StatusKey,
    /// What agents read.
    pub name: String,
    /// What customers read; the same as `name` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_name: Option<String>,
    /// What it means.
    pub category: StatusCategory,
    /// The status that stands for its category when none is named.
    #[serde(default, skip_serializing_if = "is_false")]
    pub default: bool,
}

/// A queue that tickets wait in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueDefinition {
    /// Its key.
    pub key: QueueKey,
    /// What people read.
    pub name: String,
    /// The team that works on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamKey>,
    /// An assigned ticket returns to the queue when its assignee does nothing for so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_after: Option<Span>,
    /// The calendar in which that time is counted; round the clock when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_calendar: Option<CalendarKey>,
    /// Tickets for which nobody named a queue wait here.
    #[serde(default, skip_serializing_if = "is_false")]
    pub default: bool,
}

/// A team of agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamDefinition {
    /// Its key.
    pub key: TeamKey,
    /// What people read.
    pub name: String,
}

/// Somebody who works on tickets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentDefinition {
    /// The agent's key.
    pub key: AgentKey,
    /// What people read.
    pub name: String,
    /// The teams that the agent belongs to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<TeamKey>,
    /// What the agent may do with the tickets of each queue, and nothing with those of queues that are left out. Without it
    /// the agent works on the tickets of every queue, also of those that come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<BTreeMap<QueueKey, QueueRight>>,
}

/// What an agent may do with the tickets of a queue; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueRight {
    /// Nothing: to the agent they are not there.
    None,
    /// Read them, with what is internal.
    Read,
    /// Work on them.
    Work,
}

impl QueueRight {
    /// Name as it is written and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Work => "work",
        }
    }
}

impl AgentDefinition {
    /// What the agent may do with the tickets of a queue.
    pub fn right_in(&self, queue: &QueueKey) -> QueueRight {
        match &self.queues {
            None => QueueRight::Work,
            Some(queues) => queues.get(queue).copied().unwrap_or(QueueRight::None),
        }
    }
}

/// What tickets are about, as a tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryDefinition {
    /// Its key.
    pub key: CategoryKey,
    /// What people read.
    pub name: String,
    /// The category above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<CategoryKey>,
}

/// Types of custom fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Free text of at most 4,000 bytes.
    Text,
    /// A whole number.
    Integer,
    /// Yes or no.
    Boolean,
    /// A calendar date.
    Date,
    /// An instant.
    Instant,
    /// One of the options.
    Choice,
    /// Any of the options.
    Choices,
}

/// A custom field. Its type is never changed; a field of another type is another field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldDefinition {
    /// Its key.
    pub key: FieldKey,
    /// What people read.
    pub name: String,
    /// Type of its values.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// What may be chosen, for `choice` and `choices`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}
