//! Which policies a ticket falls under once it has changed, and their present versions when somebody asks for them.

use super::{
    event::TicketEvent,
    reference::Reference,
    rule::{Context, Right, Rule, in_any_status},
    state::Ticket,
    words::{SlaReason, StatusCategory},
};
use crate::{rejection::Rejection, sla::policies_to_apply};

/// Apply the present versions of the policies and calendars, unless it is done.
pub(super) struct ReapplyPolicies;

impl Rule for ReapplyPolicies {
    const COMMUTES: bool = true;
    const RIGHT: Right = Right::Work;
    // Of what is finished it makes nothing.
    const ALLOWED_IN: fn(StatusCategory) -> bool = in_any_status;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        vec![]
    }

    fn decide(&self, ticket: &Ticket, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        // Closed history never moves.
        if ticket.status.category.is_done() {
            return Ok(vec![]);
        }
        Ok(with_policies(ticket, vec![], SlaReason::Reapplied, context))
    }
}

/// The events, and the policies that the ticket falls under after them where they are others than before.
pub(super) fn with_policies(
    ticket: &Ticket,
    mut events: Vec<TicketEvent>,
    reason: SlaReason,
    context: &Context<'_>,
) -> Vec<TicketEvent> {
    let mut after = Some(ticket.clone());
    for event in &events {
        after = Ticket::evolve(after, event, context.at, context.desk);
    }
    if let Some(after) = after {
        let policies = policies_to_apply(context.desk, after.subject_of_policies(), &after.clocks, context.at, reason);
        events.extend(policies.into_iter().map(TicketEvent::from));
    }
    events
}
