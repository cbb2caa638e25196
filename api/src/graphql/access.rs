//! Who may come in, and who asks: tokens and the viewer.

use async_graphql::{Context, Enum, Error, ID, InputObject, Object, SimpleObject};
use docket_core::{
    access::Role,
    ids::{AgentKey, CustomerId, TicketId, TokenId},
    rejection::Rejection,
};

use super::{
    Session,
    asked::{Asked, key_of, short},
    error::{UserError, top_level},
    people::{Agent, Customer},
    relay::{Paging, connection, global_id, local_id, page_size},
    scalars::{BigInt, DateTime},
};
use crate::engine::{Action, Principal, Resource};

/// What the bearer of a token is.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleName {
    /// Configures the desk, makes tokens, and may do everything that an agent may.
    Administrator,
    /// An agent who leads: works on the tickets of every queue and sees all figures.
    Supervisor,
    /// Works on the tickets of the agent's queues.
    Agent,
    /// Reads the tickets of the agent's queues and adds notes.
    LightAgent,
    /// Sees and writes to the own tickets.
    Customer,
    /// A customer who also sees the tickets of the own organisation; the own ones alone while there is none.
    CustomerManager,
    /// Reads everything, changes nothing; what is read is on record.
    Auditor,
    /// A program that works on the tickets of every queue in its own name.
    Service,
}

/// Whoever asks.
#[derive(SimpleObject, Debug, Clone)]
pub struct Viewer {
    /// What they are.
    pub role: RoleName,
    /// What their token is called.
    pub label: String,
    /// The agent, when it is one.
    pub agent: Option<Agent>,
    /// The customer, when it is one.
    pub customer: Option<Customer>,
}

/// A new token.
#[derive(InputObject)]
pub struct TokenCreateInput {
    /// What its bearer is.
    role: RoleName,
    /// Id of the agent, for the roles `SUPERVISOR`, `AGENT` and `LIGHT_AGENT`.
    agent: Option<ID>,
    /// Id of the customer, for the roles `CUSTOMER` and `CUSTOMER_MANAGER`.
    customer: Option<ID>,
    /// What it is for.
    label: String,
    /// When it ends; never when absent.
    expires_at: Option<DateTime>,
    /// An idempotency key of at most 256 bytes: the same value by the same token is carried out once, for ever. A repetition names the token and shows no secret: if the
    /// first answer was lost, revoke the token and make another one.
    client_mutation_id: Option<String>,
}

/// Answer to `tokenCreate`.
#[derive(SimpleObject)]
pub struct TokenCreatePayload {
    /// Id of the token, by which it is revoked.
    pub token_id: Option<ID>,
    /// What to send as `Authorization: Bearer …`. It is shown this once: null when a request is repeated.
    pub secret: Option<String>,
    /// Position of what was stored.
    pub position: Option<BigInt>,
    /// Why nothing was done.
    pub user_errors: Vec<UserError>,
    /// What the input gave.
    pub client_mutation_id: Option<String>,
}

/// A token is to be taken back.
#[derive(InputObject)]
pub struct TokenRevokeInput {
    /// An idempotency key of at most 256 bytes: the same value by the same token is carried out once, for ever.
    client_mutation_id: Option<String>,
}

/// Answer to `tokenRevoke`.
#[derive(SimpleObject)]
pub struct TokenRevokePayload {
    /// Id of the token that holds no longer.
    pub token_id: Option<ID>,
    /// Position of what was stored, or of the moment at which it held no longer already.
    pub position: Option<BigInt>,
    /// Why nothing was done.
    pub user_errors: Vec<UserError>,
    /// What the input gave.
    pub client_mutation_id: Option<String>,
}

/// A token, by which somebody comes in. Its secret is never shown again.
#[derive(SimpleObject, Debug, Clone)]
pub struct Token {
    /// Global id, by which the token is revoked.
    #[graphql(owned)]
    pub id: ID,
    /// What the bearer of the token is.
    pub role: RoleName,
    /// The agent, of a token with a role of agents.
    pub agent: Option<Agent>,
    /// The customer, of a token with a role of customers.
    pub customer: Option<Customer>,
    /// What the token is for.
    pub label: String,
    /// When the token ends; null for never.
    pub expires_at: Option<DateTime>,
    /// The token was taken back.
    pub revoked: bool,
    /// The token lets somebody in now: it is neither revoked nor ended, and of nobody who has left.
    pub valid: bool,
    /// Position of the commit that made the token.
    pub position: BigInt,
    /// When somebody last came in with the token since this server started; null when nobody did.
    pub last_used_at: Option<DateTime>,
}

/// Somebody who could read a ticket.
#[derive(SimpleObject, Debug, Clone)]
pub struct TicketReader {
    /// The token, as it is now.
    pub token: Option<Token>,
    /// What is internal could be read too, such as notes.
    pub reads_internal: bool,
}

connection!(TokenConnection, TokenEdge, Token, "tokens");

impl Token {
    /// The token, when the session may see tokens.
    pub fn seen(session: &Session, id: TokenId) -> Option<Self> {
        let row = session.views.people().token(&id).filter(|_| session.can(Action::Read, Resource::Tokens))?;
        let agent = row.role.agent().and_then(|key| Agent::seen(session, key));
        let customer = row.role.customer().and_then(|id| Customer::seen(session, id));
        let bearer = Principal { role: row.role.clone(), label: row.label.clone(), token: Some(id) };
        Some(Self {
            id: global_id("token", id),
            role: RoleName::of(&row.role),
            agent,
            customer,
            label: row.label.clone(),
            expires_at: row.expires_at.map(DateTime),
            revoked: row.revoked,
            valid: session.engine.still_valid(&bearer),
            position: row.issued.into(),
            last_used_at: session.engine.last_used(id).map(DateTime),
        })
    }
}

impl RoleName {
    const fn of(role: &Role) -> Self {
        match role {
            Role::Administrator => Self::Administrator,
            Role::Supervisor(_) => Self::Supervisor,
            Role::Agent(_) => Self::Agent,
            Role::LightAgent(_) => Self::LightAgent,
            Role::Customer(_) => Self::Customer,
            Role::CustomerManager(_) => Self::CustomerManager,
            Role::Auditor => Self::Auditor,
            Role::Service => Self::Service,
        }
    }

    /// The role, of the agent or the customer whom it needs. What is given and not used would be taken for granted.
    fn role(self, agent: Option<AgentKey>, customer: Option<CustomerId>) -> Result<Role, Rejection> {
        let unused = |field, roles| {
            let reason = format!("it goes with the roles {roles} alone: leave it out");
            Rejection::Invalid { field, reason }
        };
        let (of_agents, of_customers) = ("SUPERVISOR, AGENT and LIGHT_AGENT", "CUSTOMER and CUSTOMER_MANAGER");
        match self {
            Self::Supervisor | Self::Agent | Self::LightAgent if customer.is_some() => {
                return Err(unused("customer", of_customers));
            }
            Self::Customer | Self::CustomerManager if agent.is_some() => return Err(unused("agent", of_agents)),
            Self::Administrator | Self::Auditor | Self::Service => match (&agent, &customer) {
                (Some(_), _) => return Err(unused("agent", of_agents)),
                (None, Some(_)) => return Err(unused("customer", of_customers)),
                (None, None) => {}
            },
            Self::Supervisor | Self::Agent | Self::LightAgent | Self::Customer | Self::CustomerManager => {}
        }
        let agent = || agent.ok_or(Rejection::Blank { field: "agent" });
        let customer = || customer.ok_or(Rejection::Blank { field: "customer" });
        Ok(match self {
            Self::Administrator => Role::Administrator,
            Self::Supervisor => Role::Supervisor(agent()?),
            Self::Agent => Role::Agent(agent()?),
            Self::LightAgent => Role::LightAgent(agent()?),
            Self::Customer => Role::Customer(customer()?),
            Self::CustomerManager => Role::CustomerManager(customer()?),
            Self::Auditor => Role::Auditor,
            Self::Service => Role::Service,
        })
    }
}

/// Who asks.
#[derive(Default)]
pub struct AccessQueries;

#[Object]
impl AccessQueries {
    /// Whoever asks.
    async fn viewer(&self, context: &Context<'_>) -> Result<Viewer, Error> {
        let session = Session::of(context)?;
        Ok(Viewer {
            role: RoleName::of(&session.principal.role),
            label: session.principal.label.clone(),
            agent: session.principal.agent().and_then(|key| Agent::seen(session, key)),
            customer: session.principal.customer().and_then(|id| Customer::seen(session, id)),
        })
    }

    /// All tokens, those that hold no longer too. For administrators and auditors.
    #[graphql(complexity = "page_size(first, last) * child_complexity")]
    async fn tokens(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "So many from the start; 20 when absent, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end; at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<Option<TokenConnection>, Error> {
        let session = Session::of(context)?;
        session.need(Action::Read, Resource::Tokens)?;
        let all = session.views.people().tokens();
        let list = all.filter_map(|row| Some((row.id.to_string(), Token::seen(session, row.id)?)));
        Ok(Some(Paging::new(first, after, last, before)?.of_list(list.collect())?.into()))
    }

    /// Whoever could read a ticket at an instant: the bearers of tokens that held then, derived from the log. Whoever could
    /// read the data directory is known to the machine alone. For administrators and auditors.
    #[graphql(complexity = "200 + 20 * child_complexity")]
    async fn access_at(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] ticket: ID,
        #[graphql(desc = "The instant: not before the ticket was opened, and not ahead.")] at: DateTime,
    ) -> Result<Option<Vec<TicketReader>>, Error> {
        let session = Session::of(context)?;
        session.need(Action::Read, Resource::Tokens)?;
        let known = local_id::<TicketId>("ticket", &ticket);
        let ticket = known.ok_or_else(|| top_level(&Rejection::not_found("ticket", short(&ticket)).into()))?;
        let readers = session.engine.access_at(&session.principal, ticket, at.0).await;
        let readers = readers.map_err(|error| top_level(&error))?.into_iter();
        let readers = readers.map(|reader| TicketReader {
            token: Token::seen(session, reader.token.id),
            reads_internal: reader.internal,
        });
        Ok(Some(readers.collect()))
    }
}

/// Tokens are made and taken back.
#[derive(Default)]
pub struct AccessMutations;

#[Object]
impl AccessMutations {
    /// Makes a token. For administrators.
    async fn token_create(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The token.")] input: TokenCreateInput,
    ) -> Result<Option<TokenCreatePayload>, Error> {
        let asked = Asked::of(context)?;
        let done = async {
            let agent = key_of::<AgentKey>("agent", "agent", input.agent.as_ref())?;
            let customer = key_of::<CustomerId>("customer", "customer", input.customer.as_ref())?;
            let role = input.role.role(agent, customer)?;
            let (engine, ends) = (&asked.session.engine, input.expires_at.map(|at| at.0));
            engine.issue_token(&asked.session.principal, role, &input.label, ends, asked.key()?).await
        };
        let (user_errors, issued) = asked.answer(done.await)?.parts();
        Ok(Some(TokenCreatePayload {
            token_id: issued.as_ref().map(|issued| global_id("token", issued.id)),
            position: issued.as_ref().map(|issued| issued.position.into()),
            secret: issued.and_then(|issued| issued.secret),
            user_errors,
            client_mutation_id: asked.client_mutation_id,
        }))
    }

    /// Takes a token back; it holds no longer from then on. For administrators.
    async fn token_revoke(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the token.")] id: ID,
        #[graphql(desc = "Nothing but what every mutation takes.")] input: TokenRevokeInput,
    ) -> Result<Option<TokenRevokePayload>, Error> {
        let _ = input;
        let asked = Asked::of(context)?;
        let done = async {
            let token = local_id::<TokenId>("token", &id);
            let unknown = || Rejection::NotFound { what: "token", input: "id", key: short(&id) };
            let token = token.ok_or_else(unknown)?;
            asked.session.engine.revoke_token(&asked.session.principal, token, asked.key()?).await
        };
        let (user_errors, done) = asked.answer(done.await)?.parts();
        Ok(Some(TokenRevokePayload {
            token_id: done.map(|_| id),
            position: done.map(Into::into),
            user_errors,
            client_mutation_id: asked.client_mutation_id,
        }))
    }
}
