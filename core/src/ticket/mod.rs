//! A ticket: what is stored of it, what it is, and what may be done to it.
//!
//! Each capability has a file here with its commands and their rules, and one of the same name in `event` with what is
//! stored of it. `words` lies below all of them; `rule` is what every command says of itself; `command`, `decide` and
//! `event` only gather; `state` is the fold.

mod assignment;
mod command;
mod conversation;
mod decide;
mod details;
mod escalation;
mod event;
mod opening;
mod pick_up;
mod policies;
mod reference;
mod rule;
mod state;
mod status;
mod timer;
pub(crate) mod words;

pub use command::TicketCommand;
pub use conversation::{LogCall, Message, Note};
pub use decide::decide;
pub use escalation::{Escalate, LowerEscalation};
pub use event::{
    AgentAssigned, AgentUnassigned, CallLogged, CategoryChanged, Closed, Escalated, EscalationLowered, EscalationStep,
    FieldChanged, FollowerAdded, FollowerRemoved, MessageReceived, MessageSent, NoteAdded, PriorityChanged,
    QueueChanged, Reopened, RequesterChanged, Resolved, ReturnedToQueue, SlaApplied, SlaBreached, SlaWarned,
    StatusChanged, SubjectChanged, TagAdded, TagRemoved, TeamAssigned, TeamUnassigned, TicketEvent, TicketOpened,
};
pub use opening::Opening;
pub use reference::{Directory, Everything, Standing};
pub use rule::{Context, Right};
pub use state::Ticket;
pub use status::{StatusWish, status_event};
pub use words::{
    CallOutcome, Channel, ExternalReference, FieldValue, PickUp, Priority, SlaMetric, SlaReason, StatusCategory,
    StatusRef, TimerCommand,
};

#[cfg(test)]
mod tests;
