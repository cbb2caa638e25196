//! Everything that can happen to a ticket, as it is stored.
//!
//! Events carry what a fold needs, so that folding needs no desk: a status comes with its category, a change with the
//! value before it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    event::event_family,
    ids::{
        AgentKey, CalendarKey, CategoryKey, CustomerId, FieldKey, MessageId, PolicyKey, Position, QueueKey, StatusKey,
        TeamKey, TrackKey,
    },
    personal::{Body, Personal},
    time::Timestamp,
};

fn is_false(value: &bool) -> bool {
    !*value
}

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
named!(Channel, Priority, StatusCategory);

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

impl SlaReason {
    /// Why policies are chosen anew after this event; none when the choice does not look at what it changed.
    pub const fn of(event: &TicketEvent) -> Option<Self> {
        match event {
            TicketEvent::TicketOpened(_) => Some(Self::Opened),
            TicketEvent::QueueChanged(_) => Some(Self::QueueChanged),
            TicketEvent::PriorityChanged(_) => Some(Self::PriorityChanged),
            TicketEvent::CategoryChanged(_) => Some(Self::CategoryChanged),
            TicketEvent::TeamAssigned(_) | TicketEvent::TeamUnassigned(_) => Some(Self::TeamChanged),
            TicketEvent::TagAdded(_) | TicketEvent::TagRemoved(_) => Some(Self::TagsChanged),
            TicketEvent::MessageReceived(_)
            | TicketEvent::MessageSent(_)
            | TicketEvent::NoteAdded(_)
            | TicketEvent::CallLogged(_)
            | TicketEvent::AgentAssigned(_)
            | TicketEvent::AgentUnassigned(_)
            | TicketEvent::ReturnedToQueue(_)
            | TicketEvent::StatusChanged(_)
            | TicketEvent::Resolved(_)
            | TicketEvent::Closed(_)
            | TicketEvent::Reopened(_)
            | TicketEvent::SubjectChanged(_)
            | TicketEvent::RequesterChanged(_)
            | TicketEvent::FieldChanged(_)
            | TicketEvent::Escalated(_)
            | TicketEvent::FollowerAdded(_)
            | TicketEvent::FollowerRemoved(_)
            | TicketEvent::SlaApplied(_)
            | TicketEvent::SlaWarned(_)
            | TicketEvent::SlaBreached(_) => None,
        }
    }
}

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

named!(SlaMetric, SlaReason);

event_family! {
    /// Everything that can happen to a ticket.
    TicketEvent {
        /// A ticket came to be. Its number is the count of tickets opened up to and including it.
        TicketOpened = 1 {
            /// How it came in.
            channel: Channel,
            /// What it is about, in a line.
            subject: Personal<String>,
            /// Status at the opening.
            status: StatusRef,
            /// Priority at the opening.
            priority: Priority,
            /// The queue that it waits in.
            queue: QueueKey,
            /// Who asked.
            requester: Option<CustomerId>,
            /// Its category, when known.
            category: Option<CategoryKey>,
            /// Its name in another system.
            external: Option<ExternalReference>,
            /// True when an agent opened it on somebody's behalf.
            by_agent: bool,
        }
        /// A customer wrote.
        MessageReceived = 1 {
            /// Its id.
            message: MessageId,
            /// How it came.
            channel: Channel,
            /// Who wrote.
            from: Option<CustomerId>,
            /// The text.
            body: Body,
        }
        /// An agent wrote to the customer.
        MessageSent = 1 {
            /// Its id.
            message: MessageId,
            /// How it goes out.
            channel: Channel,
            /// Who wrote; none when it was imported without an author.
            agent: Option<AgentKey>,
            /// The text.
            body: Body,
            /// What the assignee is still held to after it; none when it was the assignee's act, or nobody is held to anything.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pick_up: Option<PickUp>,
        }
        /// An agent noted something that customers never see.
        NoteAdded = 1 {
            /// Its id.
            message: MessageId,
            /// Who wrote.
            agent: Option<AgentKey>,
            /// The text.
            body: Body,
            /// What the assignee is still held to after it; none when it was the assignee's act, or nobody is held to anything.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pick_up: Option<PickUp>,
        }
        /// A customer called.
        CallLogged = 1 {
            /// Its id.
            message: MessageId,
            /// Who called.
            from: Option<CustomerId>,
            /// Whether somebody spoke.
            outcome: CallOutcome,
            /// Length of the conversation in seconds.
            duration_s: u32,
            /// Who spoke for the desk.
            agent: Option<AgentKey>,
            /// What was said, in short.
            summary: Option<Body>,
            /// What the assignee is still held to after it; none when it was the assignee's act, or nobody is held to anything.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pick_up: Option<PickUp>,
        }
        /// An agent took the ticket or was given it.
        AgentAssigned = 1 {
            /// The new assignee.
            agent: AgentKey,
            /// The one before.
            from: Option<AgentKey>,
            /// When the ticket returns to its queue unless the assignee has acted on it.
            pick_up_by: Option<Timestamp>,
            /// The time to act on it starts later: it is somebody else's turn now.
            #[serde(default, skip_serializing_if = "is_false")]
            pick_up_later: bool,
            /// The agent took it, which is a pick-up by itself.
            #[serde(default, skip_serializing_if = "is_false")]
            taken: bool,
        }
        /// Nobody has the ticket any more.
        AgentUnassigned = 1 {
            /// Who had it.
            from: AgentKey,
        }
        /// A team is responsible.
        TeamAssigned = 1 {
            /// The new team.
            team: TeamKey,
            /// The one before.
            from: Option<TeamKey>,
        }
        /// No team is responsible any more.
        TeamUnassigned = 1 {
            /// Which one was.
            from: TeamKey,
        }
        /// It waits in another queue.
        QueueChanged = 1 {
            /// The new queue.
            to: QueueKey,
            /// The one before.
            from: QueueKey,
            /// What the assignee is still held to after it; none when it was the assignee's act, or nobody is held to anything.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pick_up: Option<PickUp>,
        }
        /// It was not picked up in time and lost its assignee.
        ReturnedToQueue = 1 {
            /// The queue that it waits in.
            queue: QueueKey,
            /// Who did not pick it up.
            from: AgentKey,
            /// When the time to pick it up ended.
            due_at: Timestamp,
            /// When Docket saw it.
            detected_at: Timestamp,
        }
        /// The status changed, neither to nor from a finished one.
        StatusChanged = 1 {
            /// The status now.
            to: StatusRef,
            /// The status before.
            from: StatusRef,
            /// What the assignee is still held to after it; none when it was the assignee's act, or nobody is held to anything.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pick_up: Option<PickUp>,
        }
        /// It was solved.
        Resolved = 1 {
            /// The status now.
            to: StatusRef,
            /// The status before.
            from: StatusRef,
            /// What the assignee is still held to should it be reopened; none when it was the assignee's act.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pick_up: Option<PickUp>,
        }
        /// It was closed.
        Closed = 1 {
            /// The status now.
            to: StatusRef,
            /// The status before.
            from: StatusRef,
            /// What the assignee is still held to should it be reopened; none when it was the assignee's act.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pick_up: Option<PickUp>,
        }
        /// It was resolved or closed, and is not any more.
        Reopened = 1 {
            /// The status now.
            to: StatusRef,
            /// The status before.
            from: StatusRef,
            /// What the assignee is still held to after it; none when it was the assignee's act, or nobody is held to anything.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pick_up: Option<PickUp>,
        }
        /// The priority changed.
        PriorityChanged = 1 {
            /// The priority now.
            to: Priority,
            /// The priority before.
            from: Priority,
        }
        /// The category changed.
        CategoryChanged = 1 {
            /// The category now.
            to: Option<CategoryKey>,
            /// The category before.
            from: Option<CategoryKey>,
        }
        /// The subject changed.
        SubjectChanged = 1 {
            /// The subject now.
            to: Personal<String>,
            /// The subject before.
            from: Personal<String>,
        }
        /// Somebody else is the one who asked.
        RequesterChanged = 1 {
            /// The requester now.
            to: Option<CustomerId>,
            /// The requester before.
            from: Option<CustomerId>,
        }
        /// A tag was put on.
        TagAdded = 1 {
            /// The tag.
            tag: String,
        }
        /// A tag was taken off.
        TagRemoved = 1 {
            /// The tag.
            tag: String,
        }
        /// A custom field got another value.
        FieldChanged = 1 {
            /// The field.
            field: FieldKey,
            /// The value now; none when it was emptied.
            to: Option<Personal<FieldValue>>,
            /// The value before.
            from: Option<Personal<FieldValue>>,
        }
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
        /// An agent follows the ticket.
        FollowerAdded = 1 {
            /// Who.
            agent: AgentKey,
        }
        /// An agent does not follow the ticket any more.
        FollowerRemoved = 1 {
            /// Who.
            agent: AgentKey,
        }
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
}

impl AgentAssigned {
    /// What the assignee is held to.
    pub const fn pick_up(&self) -> Option<PickUp> {
        match self.pick_up_by {
            Some(at) => Some(PickUp::By(at)),
            None if self.pick_up_later => Some(PickUp::Later),
            None => None,
        }
    }
}

impl TicketEvent {
    /// True for events that customers may see on their own tickets: what is said to them and by them, and how the ticket
    /// stands. What the desk does among itself is internal.
    pub const fn is_public(&self) -> bool {
        match self {
            Self::TicketOpened(_)
            | Self::MessageReceived(_)
            | Self::MessageSent(_)
            | Self::CallLogged(_)
            | Self::StatusChanged(_)
            | Self::Resolved(_)
            | Self::Closed(_)
            | Self::Reopened(_)
            | Self::SubjectChanged(_) => true,
            Self::NoteAdded(_)
            | Self::AgentAssigned(_)
            | Self::AgentUnassigned(_)
            | Self::TeamAssigned(_)
            | Self::TeamUnassigned(_)
            | Self::QueueChanged(_)
            | Self::ReturnedToQueue(_)
            | Self::PriorityChanged(_)
            | Self::CategoryChanged(_)
            | Self::RequesterChanged(_)
            | Self::TagAdded(_)
            | Self::TagRemoved(_)
            | Self::FieldChanged(_)
            | Self::FollowerAdded(_)
            | Self::FollowerRemoved(_)
            | Self::Escalated(_)
            | Self::SlaApplied(_)
            | Self::SlaWarned(_)
            | Self::SlaBreached(_) => false,
        }
    }

    /// The text that the event carries or names, when it does.
    pub const fn body(&self) -> Option<&Body> {
        match self {
            Self::MessageReceived(event) => Some(&event.body),
            Self::MessageSent(event) => Some(&event.body),
            Self::NoteAdded(event) => Some(&event.body),
            Self::CallLogged(event) => event.summary.as_ref(),
            Self::TicketOpened(_)
            | Self::AgentAssigned(_)
            | Self::AgentUnassigned(_)
            | Self::TeamAssigned(_)
            | Self::TeamUnassigned(_)
            | Self::QueueChanged(_)
            | Self::ReturnedToQueue(_)
            | Self::StatusChanged(_)
            | Self::Resolved(_)
            | Self::Closed(_)
            | Self::Reopened(_)
            | Self::PriorityChanged(_)
            | Self::CategoryChanged(_)
            | Self::SubjectChanged(_)
            | Self::RequesterChanged(_)
            | Self::TagAdded(_)
            | Self::TagRemoved(_)
            | Self::FieldChanged(_)
            | Self::Escalated(_)
            | Self::SlaApplied(_)
            | Self::SlaWarned(_)
            | Self::SlaBreached(_)
            | Self::FollowerAdded(_)
            | Self::FollowerRemoved(_) => None,
        }
    }
}
