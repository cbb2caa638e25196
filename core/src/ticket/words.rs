//! The words that events, commands, deadlines and the desk have in common: small data, most of it with stored names.
//!
//! What belongs here says what something is and imports nothing but ids and instants: it lies below events and the desk, so
//! that both can use it. What happens to a ticket is in `event`, what may be asked of it in `command`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{StatusKey, TrackKey},
    time::Timestamp,
};

/// Shows and reads a word by its stored name.
macro_rules! named {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.into_iter().find(|one| one.name() == text).ok_or_else(|| {
                    let all: Vec<_> = Self::ALL.iter().map(|one| one.name()).collect();
                    format!("{text:?} is none of {}", all.join(", "))
                })
            }
        }
    )*};
}

named!(Channel, Priority, StatusCategory, SlaMetric, SlaReason);

/// The way by which customers and agents speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// E-mail.
    Email,
    /// A web form or portal.
    Web,
    /// Live chat.
    Chat,
    /// Telephone.
    Phone,
    /// A social network or messenger.
    Social,
    /// Another program.
    Api,
}

impl Channel {
    /// Every channel, in the order of the enum.
    pub const ALL: [Self; 6] = [Self::Email, Self::Web, Self::Chat, Self::Phone, Self::Social, Self::Api];

    /// Name as it is stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Web => "web",
            Self::Chat => "chat",
            Self::Phone => "phone",
            Self::Social => "social",
            Self::Api => "api",
        }
    }
}

/// How soon a ticket wants to be handled. Ordered: `Low < Urgent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Can wait.
    Low,
    /// The usual.
    #[default]
    Normal,
    /// Before the usual.
    High,
    /// At once.
    Urgent,
}

impl Priority {
    /// Every priority, lowest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Urgent];

    /// Name as it is stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }
}

/// What a status means, whatever the desk calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusCategory {
    /// Nobody has looked at it yet.
    New,
    /// Being worked on.
    Open,
    /// Waiting for somebody outside the desk.
    Waiting,
    /// Put off on purpose.
    Postponed,
    /// A solution was proposed and not yet accepted.
    SolutionProposed,
    /// Solved; a further message reopens it.
    Resolved,
    /// Done with.
    Closed,
}

impl StatusCategory {
    /// Every category, in the usual order of a ticket's life.
    pub const ALL: [Self; 7] =
        [Self::New, Self::Open, Self::Waiting, Self::Postponed, Self::SolutionProposed, Self::Resolved, Self::Closed];

    /// Name as it is stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Open => "open",
            Self::Waiting => "waiting",
            Self::Postponed => "postponed",
            Self::SolutionProposed => "solution_proposed",
            Self::Resolved => "resolved",
            Self::Closed => "closed",
        }
    }

    /// True for resolved and closed.
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Resolved | Self::Closed)
    }

    /// True while it is the desk that has to act: neither the customer or somebody else is waited for, nor is it finished.
    pub const fn is_desks_turn(self) -> bool {
        matches!(self, Self::New | Self::Open)
    }
}

/// A status of the desk and the category it had when the event was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StatusRef {
    /// The status.
    pub key: StatusKey,
    /// What it meant then.
    pub category: StatusCategory,
}

/// What a ticket is called in another system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExternalReference {
    /// The other system, for example `servicenow`.
    pub source: String,
    /// The ticket's name there, for example `INC0000047`.
    pub key: String,
}

/// How a telephone call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// Somebody spoke.
    Answered,
    /// Nobody picked up.
    Missed,
}

/// The value of a custom field. The desk says which type a field has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldValue {
    /// Free text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Boolean(bool),
    /// A calendar date, `YYYY-MM-DD`.
    Date(String),
    /// An instant.
    Instant(Timestamp),
    /// One of the field's options.
    Choice(String),
    /// Several of the field's options.
    Choices(Vec<String>),
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Date(text) | Self::Choice(text) => f.write_str(text),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Boolean(yes) => write!(f, "{yes}"),
            Self::Instant(at) => write!(f, "{at}"),
            Self::Choices(all) => f.write_str(&all.join(", ")),
        }
    }
}

/// What an SLA policy measures. Each wait is a clock of its own, numbered within its metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlaMetric {
    /// From the opening to the first public answer of an agent.
    FirstResponse,
    /// Once answered: from a customer's first unanswered message to the next public answer.
    NextResponse,
    /// From one public answer of an agent to the next, until the ticket is done.
    PeriodicUpdate,
    /// From the opening to the first assignment to an agent.
    PickUp,
    /// While one team is responsible: from its assignment to the next team's, or to the resolution. What teams promise
    /// each other (an operational level agreement).
    TeamHandling,
    /// From the opening to the resolution.
    Resolution,
}

impl SlaMetric {
    /// Every metric.
    pub const ALL: [Self; 6] = [
        Self::FirstResponse,
        Self::NextResponse,
        Self::PeriodicUpdate,
        Self::PickUp,
        Self::TeamHandling,
        Self::Resolution,
    ];

    /// Name as it is stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FirstResponse => "first_response",
            Self::NextResponse => "next_response",
            Self::PeriodicUpdate => "periodic_update",
            Self::PickUp => "pick_up",
            Self::TeamHandling => "team_handling",
            Self::Resolution => "resolution",
        }
    }
}

/// What an assignee who has not acted on a ticket yet is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PickUp {
    /// To act before this instant, or the ticket returns to its queue.
    By(Timestamp),
    /// To nothing yet: it is somebody else's turn, or the queue sets no time. The time starts when it is the desk's turn in
    /// a queue that sets one.
    Later,
}

impl PickUp {
    /// The instant, when there is one.
    pub const fn by(self) -> Option<Timestamp> {
        match self {
            Self::By(at) => Some(at),
            Self::Later => None,
        }
    }
}

/// What made Docket choose a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlaReason {
    /// The event does not say: it is of a version before reasons were recorded.
    #[default]
    Unrecorded,
    /// The ticket was opened.
    Opened,
    /// It went to another queue.
    QueueChanged,
    /// Its priority changed.
    PriorityChanged,
    /// Its category changed.
    CategoryChanged,
    /// Another team became responsible.
    TeamChanged,
    /// A tag was put on or taken off.
    TagsChanged,
    /// Somebody let the present policies be applied anew.
    Reapplied,
}

impl SlaReason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Unrecorded,
        Self::Opened,
        Self::QueueChanged,
        Self::PriorityChanged,
        Self::CategoryChanged,
        Self::TeamChanged,
        Self::TagsChanged,
        Self::Reapplied,
    ];

    /// Name as it is stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unrecorded => "unrecorded",
            Self::Opened => "opened",
            Self::QueueChanged => "queue_changed",
            Self::PriorityChanged => "priority_changed",
            Self::CategoryChanged => "category_changed",
            Self::TeamChanged => "team_changed",
            Self::TagsChanged => "tags_changed",
            Self::Reapplied => "reapplied",
        }
    }
}

/// What a timer asks. Its decision checks that the thing is still due: late is fine, twice is harmless.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerCommand {
    /// Say that a deadline comes near.
    Warn {
        /// The track.
        track: TrackKey,
        /// The metric.
        metric: SlaMetric,
        /// The deadline as the timer knew it.
        due_at: Timestamp,
    },
    /// Say that a deadline passed.
    Breach {
        /// The track.
        track: TrackKey,
        /// The metric.
        metric: SlaMetric,
        /// The deadline as the timer knew it.
        due_at: Timestamp,
    },
    /// Raise the ticket to a level of its policy.
    Escalate {
        /// The track.
        track: TrackKey,
        /// The metric.
        metric: SlaMetric,
        /// The deadline as the timer knew it.
        due_at: Timestamp,
        /// The level.
        level: u8,
    },
    /// Take the ticket from an assignee who did not pick it up.
    ReturnToQueue {
        /// When the time to pick it up ended, as the timer knew it.
        due_at: Timestamp,
    },
}
