//! Everything that can happen to a ticket, as it is stored.
//!
//! Events carry what a fold needs, so that folding needs no desk: a status comes with its category, a change with the
//! value before it.
//!
//! What is stored of a capability is in its own file below, with what each event says of itself (`fact`). This file only
//! gathers them into one enum.

mod assignment;
mod conversation;
mod details;
mod escalation;
mod fact;
mod opening;
mod service;
mod status;

pub use assignment::{
    AgentAssigned, AgentUnassigned, FollowerAdded, FollowerRemoved, QueueChanged, ReturnedToQueue, TeamAssigned,
    TeamUnassigned,
};
pub use conversation::{CallLogged, MessageReceived, MessageSent, NoteAdded};
pub use details::{
    CategoryChanged, FieldChanged, PriorityChanged, RequesterChanged, SubjectChanged, TagAdded, TagRemoved,
};
pub use escalation::{Escalated, EscalationLowered, EscalationStep};
pub use opening::TicketOpened;
pub use service::{SlaApplied, SlaBreached, SlaWarned};
pub use status::{Closed, Reopened, Resolved, StatusChanged};

use super::words::SlaReason;
use crate::{event::family::event_enum, personal::Body};

/// Gathers the events, and passes on what each of them says of itself.
macro_rules! ticket_events {
    ($($name:ident,)*) => {
        event_enum! {
            /// Everything that can happen to a ticket.
            TicketEvent { $($name,)* }
        }

        impl TicketEvent {
            /// True for events that customers may see on their own tickets: what is said to them and by them, and how the
            /// ticket stands. What the desk does among itself is internal.
            pub const fn is_public(&self) -> bool {
                match self { $(Self::$name(_) => <$name as fact::Fact>::PUBLIC,)* }
            }

            /// The text that the event carries or names, when it does.
            pub fn body(&self) -> Option<&Body> {
                match self { $(Self::$name(event) => fact::Fact::body(event),)* }
            }
        }

        impl SlaReason {
            /// Why policies are chosen anew after this event; none when the choice does not look at what it changed.
            pub const fn of(event: &TicketEvent) -> Option<Self> {
                match event { $(TicketEvent::$name(_) => <$name as fact::Fact>::POLICIES,)* }
            }
        }
    };
}

ticket_events! {
    TicketOpened,
    MessageReceived,
    MessageSent,
    NoteAdded,
    CallLogged,
    AgentAssigned,
    AgentUnassigned,
    TeamAssigned,
    TeamUnassigned,
    QueueChanged,
    ReturnedToQueue,
    StatusChanged,
    Resolved,
    Closed,
    Reopened,
    PriorityChanged,
    CategoryChanged,
    SubjectChanged,
    RequesterChanged,
    TagAdded,
    TagRemoved,
    FieldChanged,
    Escalated,
    EscalationLowered,
    FollowerAdded,
    FollowerRemoved,
    SlaApplied,
    SlaWarned,
    SlaBreached,
}
