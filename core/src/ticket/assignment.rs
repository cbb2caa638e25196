//! Who has a ticket, where it waits, and who follows it.

use super::{
    event::{
        AgentAssigned, AgentUnassigned, FollowerAdded, FollowerRemoved, QueueChanged, TeamAssigned, TeamUnassigned,
        TicketEvent,
    },
    pick_up::{pick_up_from_now, pick_up_in},
    policies::with_policies,
    reference::{Reference, named},
    rule::{Context, Right, Rule, in_any_status, until_closed},
    state::Ticket,
    words::{PickUp, SlaReason, StatusCategory},
};
use crate::{
    desk::QueueRight,
    event::Actor,
    ids::{AgentKey, QueueKey, TeamKey},
    rejection::Rejection,
};

const MAX_FOLLOWERS: usize = 100;

/// Give the ticket to an agent, or to nobody.
pub(super) struct AssignAgent<'a>(pub(super) Option<&'a AgentKey>);

impl Rule for AssignAgent<'_> {
    const COMMUTES: bool = false;
    const RIGHT: Right = Right::Work;
    const ALLOWED_IN: fn(StatusCategory) -> bool = until_closed;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        named([self.0.map(Reference::Agent)])
    }

    fn decide(&self, ticket: &Ticket, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        let Some(agent) = self.0 else {
            return Ok(ticket.agent.iter().map(|from| AgentUnassigned { from: from.clone() }.into()).collect());
        };
        if ticket.agent.as_ref() == Some(agent) {
            return Ok(vec![]);
        }
        if context.desk.right_in(agent, &ticket.queue) < QueueRight::Work {
            let reason = format!(
                "{agent} does not work on the tickets of queue {}: assign it to somebody who does, or transfer it first",
                ticket.queue
            );
            return Err(Rejection::Invalid { field: "agent", reason });
        }
        // Who takes a ticket has picked it up.
        let taken = matches!(context.actor, Actor::Agent(own) if own == agent);
        let pick_up = if taken { None } else { pick_up_from_now(&ticket.queue, ticket.status.category, context) };
        let (pick_up_by, pick_up_later) = match pick_up {
            Some(PickUp::By(at)) => (Some(at), false),
            Some(PickUp::Later) => (None, true),
            None => (None, false),
        };
        let (agent, from) = (agent.clone(), ticket.agent.clone());
        Ok(vec![AgentAssigned { agent, from, pick_up_by, pick_up_later, taken }.into()])
    }
}

/// Make a team responsible, or none.
pub(super) struct AssignTeam<'a>(pub(super) Option<&'a TeamKey>);

impl Rule for AssignTeam<'_> {
    const COMMUTES: bool = false;
    const RIGHT: Right = Right::Work;
    const ALLOWED_IN: fn(StatusCategory) -> bool = until_closed;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        named([self.0.map(Reference::Team)])
    }

    fn decide(&self, ticket: &Ticket, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        let Some(team) = self.0 else {
            let events: Vec<_> = ticket.team.iter().map(|from| TeamUnassigned { from: from.clone() }.into()).collect();
            return Ok(with_policies(ticket, events, SlaReason::TeamChanged, context));
        };
        if ticket.team.as_ref() == Some(team) {
            return Ok(vec![]);
        }
        let event = TeamAssigned { team: team.clone(), from: ticket.team.clone() }.into();
        Ok(with_policies(ticket, vec![event], SlaReason::TeamChanged, context))
    }
}

/// Move it to another queue.
pub(super) struct Transfer<'a>(pub(super) &'a QueueKey);

impl Rule for Transfer<'_> {
    const COMMUTES: bool = false;
    const RIGHT: Right = Right::Work;
    const ALLOWED_IN: fn(StatusCategory) -> bool = until_closed;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        vec![Reference::Queue(self.0)]
    }

    fn decide(&self, ticket: &Ticket, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        if ticket.queue == *self.0 {
            return Ok(vec![]);
        }
        // Whoever does not work there could not even see it: it waits in its new queue for somebody who does.
        let stays = |agent: &&AgentKey| context.desk.right_in(agent, self.0) == QueueRight::Work;
        let left_by = ticket.agent.as_ref().filter(|agent| !stays(agent));
        let pick_up = match left_by {
            None => pick_up_in(ticket, self.0, ticket.status.category, context),
            Some(_) => None,
        };
        let moved = QueueChanged { to: self.0.clone(), from: ticket.queue.clone(), pick_up }.into();
        let left = left_by.map(|from| AgentUnassigned { from: from.clone() }.into());
        Ok(with_policies(ticket, std::iter::once(moved).chain(left).collect(), SlaReason::QueueChanged, context))
    }
}

/// Let an agent follow it.
pub(super) struct Follow<'a>(pub(super) &'a AgentKey);

impl Rule for Follow<'_> {
    const COMMUTES: bool = true;
    const RIGHT: Right = Right::Work;
    const ALLOWED_IN: fn(StatusCategory) -> bool = in_any_status;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        vec![Reference::Agent(self.0)]
    }

    fn decide(&self, ticket: &Ticket, _: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        if ticket.followers.contains(self.0) {
            return Ok(vec![]);
        }
        if ticket.followers.len() >= MAX_FOLLOWERS {
            return Err(Rejection::Limit { what: "followers", limit: MAX_FOLLOWERS as u64 });
        }
        Ok(vec![FollowerAdded { agent: self.0.clone() }.into()])
    }
}

/// Let an agent not follow it any more.
pub(super) struct Unfollow<'a>(pub(super) &'a AgentKey);

impl Rule for Unfollow<'_> {
    const COMMUTES: bool = true;
    const RIGHT: Right = Right::Work;
    const ALLOWED_IN: fn(StatusCategory) -> bool = in_any_status;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        vec![]
    }

    fn decide(&self, ticket: &Ticket, _: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        let follows = ticket.followers.contains(self.0);
        Ok(follows.then(|| FollowerRemoved { agent: self.0.clone() }.into()).into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        desk::AgentRetired,
        event::Actor,
        ids::Position,
        rejection::Rejection,
        ticket::{
            TicketCommand,
            tests::{agent, assign, given_a_ticket},
        },
    };

    #[test]
    fn what_was_retired_cannot_be_chosen_and_can_be_let_go_of() {
        let mut story = given_a_ticket().when_by(&Actor::System, 1, assign("bob"));
        let retired = AgentRetired { key: agent("bob") };
        story.desk.evolve(&retired.into(), Position::new(100));
        let story = story.when(2, TicketCommand::AssignAgent(None)).and_it_happened();
        story.when(3, assign("bob")).then_refused(|r| matches!(r, Rejection::Retired { what: "agent", .. }));
    }
}
