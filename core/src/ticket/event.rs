//! Everything that can happen to a ticket, as it is stored.
//!
//! Events carry what a fold needs, so that folding needs no desk: a status comes with its category, a change with the
//! value before it.

use serde::{Deserialize, Serialize};

use super::words::{
    CallOutcome, Channel, ExternalReference, FieldValue, PickUp, Priority, SlaMetric, SlaReason, StatusRef,
};
use crate::{
    event::family::event_family,
    ids::{
        AgentKey, CalendarKey, CategoryKey, CustomerId, FieldKey, MessageId, PolicyKey, Position, QueueKey, TeamKey,
        TrackKey,
    },
    personal::{Body, Personal},
    time::Timestamp,
};

fn is_false(value: &bool) -> bool {
    !*value
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
