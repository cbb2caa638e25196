//! How a ticket stands: its status, what changes it, and what follows when a finished ticket is worked on again.

use super::{
    event::{AgentUnassigned, Closed, QueueChanged, Reopened, Resolved, StatusChanged, TicketEvent},
    pick_up::{acts_as_assignee, pick_up_in},
    policies::with_policies,
    reference::Reference,
    rule::{Context, Right, Rule, default_queue, default_status, in_any_status},
    state::Ticket,
    words::{PickUp, SlaReason, StatusCategory, StatusRef},
};
use crate::{
    ids::{AgentKey, StatusKey},
    rejection::Rejection,
};

/// The status to bring a ticket to, also to and from finished ones.
#[derive(Debug, Clone, PartialEq)]
pub enum StatusWish {
    /// This one.
    Key(StatusKey),
    /// The desk's default of this category.
    Category(StatusCategory),
}

impl Rule for StatusWish {
    const COMMUTES: bool = false;
    const RIGHT: Right = Right::Work;
    const ALLOWED_IN: fn(StatusCategory) -> bool = in_any_status;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        match self {
            Self::Key(key) => vec![Reference::Status(key)],
            Self::Category(_) => vec![],
        }
    }

    fn decide(&self, ticket: &Ticket, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        let desk = context.desk;
        let to = match self {
            Self::Category(category) if ticket.status.category == *category => return Ok(vec![]),
            Self::Category(category) => default_status(*category, desk)?,
            Self::Key(key) => desk.status(key).ok_or_else(|| Rejection::not_found("status", key.as_str()))?,
        };
        if ticket.status == to {
            return Ok(vec![]);
        }
        let pick_up = if acts_as_assignee(ticket, None, context) {
            None
        } else {
            pick_up_in(ticket, &ticket.queue, to.category, context)
        };
        let events = vec![status_event(ticket.status.clone(), to, pick_up)];
        Ok(with_those_who_are_here(ticket, events, context))
    }
}

/// The event of a change of status: it depends on what the two statuses mean. `pick_up` is what the assignee is held to
/// after it; on a finished ticket nothing runs, and whoever has not picked it up is held to it again once it is reopened.
pub fn status_event(from: StatusRef, to: StatusRef, pick_up: Option<PickUp>) -> TicketEvent {
    match (from.category, to.category) {
        // Another name for the same: nothing was resolved or closed again.
        (a, b) if a == b => StatusChanged { to, from, pick_up }.into(),
        (_, StatusCategory::Resolved) => Resolved { to, from, pick_up }.into(),
        (_, StatusCategory::Closed) => Closed { to, from, pick_up }.into(),
        (StatusCategory::Resolved | StatusCategory::Closed, _) => Reopened { to, from, pick_up }.into(),
        _ => StatusChanged { to, from, pick_up }.into(),
    }
}

/// Somebody outside spoke: a finished ticket is open again, a waiting one waits no longer. Nothing a customer says is lost
/// because of a status. It is no act of the assignee's, but for an assignee who spoke on the telephone: who has not picked
/// the ticket up is still held to it.
pub(super) fn status_after_customer(
    ticket: &Ticket,
    spoke: Option<&AgentKey>,
    context: &Context<'_>,
) -> Result<Option<TicketEvent>, Rejection> {
    Ok(match ticket.status.category {
        StatusCategory::New | StatusCategory::Open => None,
        StatusCategory::Waiting
        | StatusCategory::Postponed
        | StatusCategory::SolutionProposed
        | StatusCategory::Resolved
        | StatusCategory::Closed => {
            let open = default_status(StatusCategory::Open, context.desk)?;
            let picked_up = spoke.is_some() && spoke == ticket.agent.as_ref();
            let pick_up = if picked_up { None } else { pick_up_in(ticket, &ticket.queue, open.category, context) };
            Some(status_event(ticket.status.clone(), open, pick_up))
        }
    })
}

/// The events, and when they reopen the ticket, what has left meanwhile: a ticket that is worked on again is neither with
/// somebody who is gone nor in a queue that takes no more.
pub(super) fn with_those_who_are_here(
    ticket: &Ticket,
    mut events: Vec<TicketEvent>,
    context: &Context<'_>,
) -> Vec<TicketEvent> {
    if !events.iter().any(|event| matches!(event, TicketEvent::Reopened(_))) {
        return events;
    }
    let desk = context.desk;
    let gone = |agent: &&AgentKey| desk.agents.get(*agent).is_none_or(|agent| agent.retired);
    if let Some(from) = ticket.agent.as_ref().filter(gone) {
        events.push(AgentUnassigned { from: from.clone() }.into());
    }
    let retired = desk.queues.get(&ticket.queue).is_none_or(|queue| queue.retired);
    if retired && let Ok(to) = default_queue(desk) {
        let pick_up = pick_up_in(ticket, &to, StatusCategory::Open, context);
        events.push(QueueChanged { to, from: ticket.queue.clone(), pick_up }.into());
        return with_policies(ticket, events, SlaReason::QueueChanged, context);
    }
    events
}

#[cfg(test)]
mod tests {
    use crate::{
        desk::{AgentRetired, QueueRetired},
        ids::{Position, QueueKey, StatusKey},
        rejection::Rejection,
        ticket::{
            SlaReason, StatusCategory, StatusWish, TicketCommand, TicketEvent,
            tests::{agent, assign, bob, customer_writes, given_a_ticket, status},
        },
    };

    #[test]
    fn resolving_closing_and_reopening_are_told_apart() {
        let story = given_a_ticket().when(1, status(StatusCategory::Resolved));
        assert!(matches!(story.answer.as_deref(), Ok([TicketEvent::Resolved(_)])));
        let story = story.when(2, status(StatusCategory::Closed));
        assert!(matches!(story.answer.as_deref(), Ok([TicketEvent::Closed(_)])));
        let story = story.when(3, status(StatusCategory::Waiting));
        assert!(matches!(story.answer.as_deref(), Ok([TicketEvent::Reopened(_)])));
        let story = story.when(4, status(StatusCategory::Open));
        assert!(matches!(story.answer.as_deref(), Ok([TicketEvent::StatusChanged(_)])));
    }

    #[test]
    fn an_unknown_status_is_refused() {
        let unknown = TicketCommand::SetStatus(StatusWish::Key(StatusKey::try_new("asleep").unwrap()));
        given_a_ticket().when(1, unknown).then_refused(|r| matches!(r, Rejection::NotFound { what: "status", .. }));
    }

    #[test]
    fn a_ticket_that_is_reopened_is_with_nobody_who_has_left_and_in_no_queue_that_is_retired() {
        let mut story = given_a_ticket()
            .when_by(&bob(), 1, assign("bob"))
            .when(2, TicketCommand::Transfer("vip".parse().unwrap()))
            .when(3, status(StatusCategory::Resolved));
        story.desk.evolve(&AgentRetired { key: agent("bob") }.into(), Position::new(100));
        let vip: QueueKey = "vip".parse().unwrap();
        story.desk.evolve(&QueueRetired { key: vip }.into(), Position::new(100));
        let story = story.when(10, customer_writes());
        let story = story.then_it_is(|ticket| ticket.agent.is_none() && ticket.queue.as_str() == "inbox");
        let Ok(events) = &story.answer else { panic!("{:?}", story.answer) };
        assert!(
            events
                .iter()
                .any(|event| matches!(event, TicketEvent::SlaApplied(e) if e.reason == SlaReason::QueueChanged))
        );
    }
}
