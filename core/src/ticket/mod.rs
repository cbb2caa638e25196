//! A ticket: what is stored of it, what it is, and what may be done to it.

mod command;
mod decide;
mod event;
mod reference;
mod state;

pub use command::{Escalate, LogCall, Message, Note, Opening, StatusWish, TicketCommand, TimerCommand};
pub use decide::{Context, decide, status_event};
pub use event::{
    AgentAssigned, AgentUnassigned, CallLogged, CallOutcome, CategoryChanged, Channel, Closed, Escalated,
    EscalationStep, ExternalReference, FieldChanged, FieldValue, FollowerAdded, FollowerRemoved, MessageReceived,
    MessageSent, NoteAdded, PickUp, Priority, PriorityChanged, QueueChanged, Reopened, RequesterChanged, Resolved,
    ReturnedToQueue, SlaApplied, SlaBreached, SlaMetric, SlaReason, SlaWarned, StatusCategory, StatusChanged,
    StatusRef, SubjectChanged, TagAdded, TagRemoved, TeamAssigned, TeamUnassigned, TicketEvent, TicketOpened,
};
pub use reference::{Directory, Everything, Reference, Standing, check_references};
pub use state::Ticket;

#[cfg(test)]
mod tests;
