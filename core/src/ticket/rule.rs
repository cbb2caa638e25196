//! What every command says of itself, beside its meaning, and the one way in which all commands are judged.
//!
//! What belongs here holds for any command. What one command needs is in the file of its capability: the trait has no
//! defaults for it, so that a command which leaves something out does not compile.

use super::{
    event::TicketEvent,
    reference::{Directory, Reference, check_references},
    state::Ticket,
    words::{StatusCategory, StatusRef},
};
use crate::{desk::Desk, event::Actor, ids::QueueKey, rejection::Rejection, time::Timestamp};

/// What a decision may look at besides the ticket.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// When it happens. For imports and late mail that is before now.
    pub at: Timestamp,
    /// When it is decided.
    pub now: Timestamp,
    /// Who asks.
    pub actor: &'a Actor,
    /// The desk.
    pub desk: &'a Desk,
    /// What is no part of the desk: customers, stored texts.
    pub directory: &'a dyn Directory,
}

/// What somebody must be allowed to, to give a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To ask for something: what customers do on their own tickets.
    Ask,
    /// To note something that only the desk reads.
    Note,
    /// To work on tickets.
    Work,
}

/// A command as it is judged.
pub(super) trait Rule {
    /// True when the command means the same whatever else happened to the ticket meanwhile, so that it may be decided
    /// again after a conflict. A reply, a status or an assignment was meant for what its author saw.
    const COMMUTES: bool;

    /// The right that it needs.
    const RIGHT: Right;

    /// The statuses in which it passes. A closed ticket takes what adds to its record (messages, calls, notes) or describes
    /// it (subject, requester, tags, fields, followers), and a status that opens it again; what steers work (answers,
    /// assignment, queue, priority, category) needs it open. Escalating needs one that is not finished.
    const ALLOWED_IN: fn(StatusCategory) -> bool;

    /// Everything that it names. What takes something away names nothing: one may always let go of what was retired.
    fn refers_to(&self) -> Vec<Reference<'_>>;

    /// The events that it leads to on a ticket whose status lets it pass, when all that it names is there.
    fn decide(&self, ticket: &Ticket, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection>;

    /// The events that it leads to when there is no ticket yet.
    fn decide_without_ticket(&self, _context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        Err(Rejection::not_found("ticket", ""))
    }
}

/// Passes whatever the status is, or is judged by its own rules there.
pub(super) const fn in_any_status(_: StatusCategory) -> bool {
    true
}

/// Passes until the ticket is closed.
pub(super) const fn until_closed(status: StatusCategory) -> bool {
    !matches!(status, StatusCategory::Closed)
}

/// Passes until the ticket is resolved or closed.
pub(super) const fn until_done(status: StatusCategory) -> bool {
    !status.is_done()
}

/// The events that the command leads to. What it names is looked up before any rule is asked.
pub(super) fn judge<R: Rule>(
    rule: &R,
    state: Option<&Ticket>,
    context: &Context<'_>,
) -> Result<Vec<TicketEvent>, Rejection> {
    check_references(rule.refers_to(), context.desk, context.directory)?;
    let Some(ticket) = state else { return rule.decide_without_ticket(context) };
    let status = ticket.status.category;
    if !(R::ALLOWED_IN)(status) {
        return Err(Rejection::NotAllowedInStatus { status, hint: "reopen it first" });
    }
    rule.decide(ticket, context)
}

/// The queue that a ticket waits in when nobody named one.
pub(super) fn default_queue(desk: &Desk) -> Result<QueueKey, Rejection> {
    desk.default_queue().cloned().ok_or_else(|| Rejection::not_found("queue", "default"))
}

/// The status that stands for a category when nobody named one.
pub(super) fn default_status(category: StatusCategory, desk: &Desk) -> Result<StatusRef, Rejection> {
    desk.default_status(category).ok_or_else(|| Rejection::not_found("status", format!("of category {category}")))
}
