//! What may be asked of a ticket.

use super::words::{CallOutcome, Channel, ExternalReference, FieldValue, Priority, SlaMetric, StatusCategory};
use crate::{
    ids::{AgentKey, CategoryKey, CustomerId, FieldKey, MessageId, QueueKey, StatusKey, TeamKey, TrackKey},
    personal::{Body, Personal},
    time::Timestamp,
};

/// Open a ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct Opening {
    /// How it came in.
    pub channel: Channel,
    /// What it is about, in a line.
    pub subject: Personal<String>,
    /// The queue; the desk's default when absent.
    pub queue: Option<QueueKey>,
    /// The priority.
    pub priority: Priority,
    /// The category.
    pub category: Option<CategoryKey>,
    /// Who asks.
    pub requester: Option<CustomerId>,
    /// Its name in another system.
    pub external: Option<ExternalReference>,
    /// True when an agent opens it on somebody's behalf.
    pub by_agent: bool,
}

impl Opening {
    /// A ticket of the usual priority in the default queue, of nobody in particular.
    pub fn new(channel: Channel, subject: impl Into<String>) -> Self {
        Self {
            channel,
            subject: Personal::new(subject.into()),
            queue: None,
            priority: Priority::default(),
            category: None,
            requester: None,
            external: None,
            by_agent: false,
        }
    }
}

/// A text in the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// The way it goes.
    pub channel: Channel,
    /// The text.
    pub body: Body,
}

/// An internal note.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// Its id.
    pub id: MessageId,
    /// The text.
    pub body: Body,
}

/// A telephone call.
#[derive(Debug, Clone, PartialEq)]
pub struct LogCall {
    /// Its id.
    pub id: MessageId,
    /// Who called.
    pub from: Option<CustomerId>,
    /// Whether somebody spoke.
    pub outcome: CallOutcome,
    /// Length in seconds.
    pub duration_s: u32,
    /// Who spoke for the desk.
    pub agent: Option<AgentKey>,
    /// What was said.
    pub summary: Option<Body>,
}

/// Raise the ticket to a level.
#[derive(Debug, Clone, PartialEq)]
pub struct Escalate {
    /// The level; one above the present when absent.
    pub level: Option<u8>,
    /// Why.
    pub reason: String,
}

/// The status to bring a ticket to.
#[derive(Debug, Clone, PartialEq)]
pub enum StatusWish {
    /// This one.
    Key(StatusKey),
    /// The desk's default of this category.
    Category(StatusCategory),
}

/// A wish. `decide` says what it leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum TicketCommand {
    /// Open the ticket.
    Open(Opening),
    /// A customer writes.
    Receive {
        /// The text.
        message: Message,
        /// Who writes.
        from: Option<CustomerId>,
    },
    /// An agent writes to the customer.
    Send {
        /// The text.
        message: Message,
        /// Who writes.
        agent: Option<AgentKey>,
    },
    /// An agent notes something internal.
    AddNote {
        /// The text.
        note: Note,
        /// Who writes.
        agent: Option<AgentKey>,
    },
    /// Put a call on record.
    LogCall(LogCall),
    /// Give the ticket to an agent, or to nobody.
    AssignAgent(Option<AgentKey>),
    /// Make a team responsible, or none.
    AssignTeam(Option<TeamKey>),
    /// Move it to another queue.
    Transfer(QueueKey),
    /// Change the status, also to and from finished ones.
    SetStatus(StatusWish),
    /// Change the priority.
    SetPriority(Priority),
    /// Change the category.
    SetCategory(Option<CategoryKey>),
    /// Change the subject.
    SetSubject(Personal<String>),
    /// Change who asked.
    SetRequester(Option<CustomerId>),
    /// Put a tag on.
    AddTag(String),
    /// Take a tag off.
    RemoveTag(String),
    /// Fill or empty a custom field.
    SetField {
        /// The field.
        field: FieldKey,
        /// The value; none empties it.
        value: Option<FieldValue>,
    },
    /// Let an agent follow it.
    Follow(AgentKey),
    /// Let an agent not follow it any more.
    Unfollow(AgentKey),
    /// Raise it to a higher level.
    Escalate(Escalate),
    /// Apply the present versions of the policies and calendars, unless it is done.
    ReapplyPolicies,
    /// Something came due.
    Timer(TimerCommand),
}

impl TicketCommand {
    /// True when the command means the same whatever else happened to the ticket meanwhile, so that it may be decided
    /// again after a conflict. A reply, a status or an assignment was meant for what its author saw.
    pub const fn commutes(&self) -> bool {
        match self {
            Self::Receive { .. }
            | Self::AddNote { .. }
            | Self::LogCall(_)
            | Self::AddTag(_)
            | Self::RemoveTag(_)
            | Self::Follow(_)
            | Self::Unfollow(_)
            | Self::ReapplyPolicies
            | Self::Timer(_) => true,
            Self::Open(_)
            | Self::Send { .. }
            | Self::AssignAgent(_)
            | Self::AssignTeam(_)
            | Self::Transfer(_)
            | Self::SetStatus(_)
            | Self::SetPriority(_)
            | Self::SetCategory(_)
            | Self::SetSubject(_)
            | Self::SetRequester(_)
            | Self::SetField { .. }
            | Self::Escalate(_) => false,
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
