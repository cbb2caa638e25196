//! Who has a ticket: agent, team and queue, and who follows it.

use async_graphql::{Context, Error, ID, InputObject, MaybeUndefined, Object, SimpleObject};
use docket_core::{
    ids::{AgentKey, QueueKey, TeamKey, TicketId},
    rejection::Rejection,
    ticket::{self as core, TicketCommand},
};

use super::act::{Act, ticket_mutation};
use crate::{
    engine::EngineError,
    graphql::{
        Session,
        asked::{Asked, key_of},
        desk::Queue,
        people::{Agent, Team},
        timeline::{Entry, TimelineEntry, entry_fields},
    },
};

/// Who is to be responsible. What is left out stays; null takes away.
#[derive(InputObject)]
pub struct AssignAct {
    /// Id or key of the agent.
    agent: MaybeUndefined<ID>,
    /// Id or key of the team.
    team: MaybeUndefined<ID>,
}

impl Act for AssignAct {
    async fn commands(self, _: &Asked<'_>, _: TicketId) -> Result<Vec<TicketCommand>, EngineError> {
        let mut commands = Vec::new();
        if !self.team.is_undefined() {
            commands.push(TicketCommand::AssignTeam(key_of::<TeamKey>("team", "team", self.team.value())?));
        }
        if !self.agent.is_undefined() {
            commands.push(TicketCommand::AssignAgent(key_of::<AgentKey>("agent", "agent", self.agent.value())?));
        }
        Ok(commands)
    }
}

/// Another queue.
#[derive(InputObject)]
pub struct TransferAct {
    /// Id or key of the queue.
    queue: ID,
}

impl Act for TransferAct {
    async fn commands(self, _: &Asked<'_>, _: TicketId) -> Result<Vec<TicketCommand>, EngineError> {
        let queue = key_of::<QueueKey>("queue", "queue", Some(&self.queue))?;
        Ok(queue.into_iter().map(TicketCommand::Transfer).collect())
    }
}

/// Who follows a ticket, or does so no more.
#[derive(InputObject)]
pub struct FollowAct {
    /// Id or key of the agent; oneself when absent.
    agent: Option<ID>,
    /// False to end it.
    #[graphql(default = true)]
    follow: bool,
}

impl Act for FollowAct {
    async fn commands(self, asked: &Asked<'_>, _: TicketId) -> Result<Vec<TicketCommand>, EngineError> {
        let named = key_of::<AgentKey>("agent", "agent", self.agent.as_ref())?;
        let agent = named.or_else(|| asked.session.principal.agent().cloned()).ok_or(Rejection::Invalid {
            field: "agent",
            reason: "name the agent: this token is not an agent's".into(),
        })?;
        Ok(vec![if self.follow { TicketCommand::Follow(agent) } else { TicketCommand::Unfollow(agent) }])
    }
}

ticket_mutation! {
    /// Who is to be responsible for a ticket. What is left out stays; null takes away.
    "ticketAssign": TicketAssignInput(AssignAct) -> TicketAssignPayload
}
ticket_mutation! {
    /// Another queue for a ticket.
    "ticketTransfer": TicketTransferInput(TransferAct) -> TicketTransferPayload
}
ticket_mutation! {
    /// Who follows a ticket, or does so no more.
    "ticketFollow": TicketFollowInput(FollowAct) -> TicketFollowPayload
}

/// Tickets get to people.
#[derive(Default)]
pub struct AssignmentMutations;

#[Object]
impl AssignmentMutations {
    /// Makes an agent or a team responsible for a ticket, or nobody.
    async fn ticket_assign(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Who.")] input: TicketAssignInput,
    ) -> Result<Option<TicketAssignPayload>, Error> {
        input.run(context, &id).await
    }

    /// Moves a ticket to another queue.
    async fn ticket_transfer(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Where to.")] input: TicketTransferInput,
    ) -> Result<Option<TicketTransferPayload>, Error> {
        input.run(context, &id).await
    }

    /// Lets an agent follow a ticket, or do so no more.
    async fn ticket_follow(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Who.")] input: TicketFollowInput,
    ) -> Result<Option<TicketFollowPayload>, Error> {
        input.run(context, &id).await
    }
}

/// Somebody else is responsible.
#[derive(SimpleObject, Debug, Clone)]
pub struct AssignmentEntry {
    #[graphql(flatten)]
    pub entry: Entry,
    /// The new assignee, when the agent changed; null when nobody has the ticket any more.
    agent: Option<Agent>,
    /// The assignee before, when the agent changed.
    previous_agent: Option<Agent>,
    /// The new team, when the team changed; null when none is responsible any more.
    team: Option<Team>,
    /// The team before, when the team changed.
    previous_team: Option<Team>,
    /// The ticket was not picked up in time and went back to its queue.
    returned_to_queue: bool,
}
entry_fields!(AssignmentEntry);

/// The ticket waits in another queue.
#[derive(SimpleObject, Debug, Clone)]
pub struct QueueEntry {
    #[graphql(flatten)]
    pub entry: Entry,
    /// The new queue.
    queue: Queue,
    /// The queue before.
    previous_queue: Queue,
}
entry_fields!(QueueEntry);

/// The entry of a change of agent.
pub fn agent(
    session: &Session,
    entry: Entry,
    agent: Option<&AgentKey>,
    previous: Option<&AgentKey>,
    returned_to_queue: bool,
) -> TimelineEntry {
    let seen = |key: &AgentKey| Agent::seen(session, key);
    AssignmentEntry {
        entry,
        agent: agent.and_then(seen),
        previous_agent: previous.and_then(seen),
        team: None,
        previous_team: None,
        returned_to_queue,
    }
    .into()
}

/// The entry of a change of team.
pub fn team(session: &Session, entry: Entry, team: Option<&TeamKey>, previous: Option<&TeamKey>) -> TimelineEntry {
    let seen = |key: &TeamKey| Team::seen(session, key);
    AssignmentEntry {
        entry,
        agent: None,
        previous_agent: None,
        team: team.and_then(seen),
        previous_team: previous.and_then(seen),
        returned_to_queue: false,
    }
    .into()
}

/// The entry of a transfer.
pub fn transferred(session: &Session, entry: Entry, event: &core::QueueChanged) -> Option<TimelineEntry> {
    let (queue, previous_queue) = (Queue::seen(session, &event.to)?, Queue::seen(session, &event.from)?);
    Some(QueueEntry { entry, queue, previous_queue }.into())
}
