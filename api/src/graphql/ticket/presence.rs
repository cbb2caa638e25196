//! Who is looking at a ticket now.

use async_graphql::{Context, Error, ID, InputObject, Object, SimpleObject};
use docket_core::{ids::TicketId, rejection::Rejection};

use super::Ticket;
use crate::{
    engine,
    graphql::{
        Session,
        asked::{Asked, short},
        error::UserError,
        people::Agent,
        relay::local_id,
        scalars::DateTime,
    },
};

/// An agent who is looking at a ticket.
#[derive(SimpleObject, Debug, Clone)]
pub struct TicketLooker {
    /// Who.
    pub agent: Agent,
    /// Since when.
    pub since: DateTime,
    /// Is writing an answer.
    pub writing: bool,
}

impl TicketLooker {
    /// The looker, when the session may see who works at the desk.
    pub fn seen(session: &Session, looker: &engine::Looker) -> Option<Self> {
        let agent = Agent::seen(session, &looker.agent)?;
        Some(Self { agent, since: looker.since.into(), writing: looker.writing })
    }
}

/// An agent looks at a ticket.
#[derive(InputObject)]
pub struct TicketLookInput {
    /// False when the agent looks no longer.
    #[graphql(default = true)]
    looking: bool,
    /// The agent is writing an answer.
    #[graphql(default = false)]
    writing: bool,
    /// Comes back with the answer. Nothing is stored, so nothing is done twice by doing it again.
    client_mutation_id: Option<String>,
}

/// Answer to `ticketLook`.
#[derive(SimpleObject)]
pub struct TicketLookPayload {
    /// The ticket; null when it was refused.
    pub ticket: Option<Ticket>,
    /// Why nothing was done.
    pub user_errors: Vec<UserError>,
    /// What the input gave.
    pub client_mutation_id: Option<String>,
}

/// Agents say what they look at.
#[derive(Default)]
pub struct PresenceMutations;

#[Object]
impl PresenceMutations {
    /// Says that you are looking at a ticket, for others who look at it: `lookers` of the ticket. It holds for a minute unless you
    /// say it again, is stored nowhere, and ends with the server. For agents.
    async fn ticket_look(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "How you look.")] input: TicketLookInput,
    ) -> Result<Option<TicketLookPayload>, Error> {
        let asked = Asked::of(context)?;
        let Session { engine, principal, .. } = asked.session;
        let ticket = local_id::<TicketId>("ticket", &id).ok_or_else(|| Rejection::not_found("ticket", short(&id)));
        let looked = ticket.map_err(Into::into).and_then(|ticket| {
            engine.look(principal, ticket, input.looking.then_some(input.writing))?;
            Ok(Ticket::seen(asked.session, ticket))
        });
        let (user_errors, ticket) = asked.answer(looked)?.parts();
        Ok(Some(TicketLookPayload {
            ticket: ticket.flatten(),
            user_errors,
            client_mutation_id: asked.client_mutation_id,
        }))
    }
}
