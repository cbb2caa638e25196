//! A ticket: what is stored of it, what it is, and what may be done to it.

mod command;
mod decide;
mod event;
mod reference;
mod state;
pub(crate) mod words;

pub use command::{Escalate, LogCall, Message, Note, Opening, StatusWish, TicketCommand, TimerCommand};
pub use decide::{Context, decide, status_event};
pub use event::{
    AgentAssigned, AgentUnassigned, CallLogged, CategoryChanged, Closed, Escalated, EscalationStep, FieldChanged,
    FollowerAdded, FollowerRemoved, MessageReceived, MessageSent, NoteAdded, PriorityChanged, QueueChanged, Reopened,
    RequesterChanged, Resolved, ReturnedToQueue, SlaApplied, SlaBreached, SlaWarned, StatusChanged, SubjectChanged,
    TagAdded, TagRemoved, TeamAssigned, TeamUnassigned, TicketEvent, TicketOpened,
};
pub use reference::{Directory, Everything, Reference, Standing, check_references};
pub use state::Ticket;
pub use words::{
    CallOutcome, Channel, ExternalReference, FieldValue, PickUp, Priority, SlaMetric, SlaReason, StatusCategory,
    StatusRef,
};

#[cfg(test)]
mod tests;
