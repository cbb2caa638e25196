//! The people: agents and customers, and the teams that agents form.

use std::sync::Arc;

use async_graphql::{Context, Enum, Error, ID, InputObject, Object, SimpleObject};
use docket_core::{
    desk::{self, LeavingKind},
    ids::{AgentKey, CustomerId, QueueKey, TeamKey},
};
use docket_projections::Views;

use super::{
    Session,
    asked::Asked,
    desk::{Queue, desk_page},
    error::UserError,
    relay::{Paging, connection, global_id, page_size},
    scalars::BigInt,
};
use crate::engine::{Action, NewCustomer, Resource};

// Doors: the only ways to these objects, whatever edge leads to them. `node` uses them too, so what it refuses nobody reaches
// by another way.

impl Team {
    /// The team, when the session may see it.
    pub fn seen(session: &Session, key: &TeamKey) -> Option<Self> {
        let there = session.views.desk().desk().teams.contains_key(key);
        let seen = there && session.can(Action::Read, Resource::Figures);
        seen.then(|| Self { views: Arc::clone(&session.views), key: key.clone() })
    }
}

impl Agent {
    /// The agent, when the session may see who works at the desk.
    pub fn seen(session: &Session, key: &AgentKey) -> Option<Self> {
        let there = session.views.desk().desk().agents.contains_key(key);
        let seen = there && session.can(Action::Read, Resource::Figures);
        seen.then(|| Self { views: Arc::clone(&session.views), key: key.clone() })
    }
}

impl Customer {
    /// The customer, when the session may see who that is.
    pub fn seen(session: &Session, id: CustomerId) -> Option<Self> {
        let there = session.views.people().customer(&id).is_some();
        let seen = there && session.can(Action::Read, Resource::Customer(id));
        seen.then(|| Self { views: Arc::clone(&session.views), id })
    }
}

/// A team of agents.
#[derive(Debug, Clone)]
pub struct Team {
    views: Arc<Views>,
    key: TeamKey,
}

/// A team of agents.
#[Object]
impl Team {
    /// Global id.
    pub async fn id(&self) -> ID {
        global_id("team", &self.key)
    }

    /// Its key in desk files.
    async fn key(&self) -> &str {
        self.key.as_str()
    }

    /// What people read.
    async fn name(&self) -> String {
        let team = self.views.desk().desk().teams.get(&self.key);
        team.map_or_else(|| self.key.to_string(), |team| team.definition.name.clone())
    }

    /// It takes no more tickets. It is listed for as long as it is responsible for unfinished ones.
    async fn retired(&self) -> bool {
        self.views.desk().desk().teams.get(&self.key).is_none_or(|team| team.retired)
    }
}

/// Somebody who works on tickets.
#[derive(Debug, Clone)]
pub struct Agent {
    views: Arc<Views>,
    key: AgentKey,
}

/// What an agent may do with the tickets of a queue; each includes those before it.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "desk::QueueRight")]
pub enum QueueRight {
    /// Nothing: to the agent they are not there.
    None,
    /// Read them, with what is internal.
    Read,
    /// Work on them.
    Work,
}

/// A queue, and what an agent may do with its tickets.
#[derive(SimpleObject, Debug, Clone)]
pub struct AgentQueue {
    /// The queue.
    pub queue: Queue,
    /// What the agent may do.
    pub right: QueueRight,
}

/// Somebody who works on tickets.
#[Object]
impl Agent {
    /// Global id.
    pub async fn id(&self) -> ID {
        global_id("agent", &self.key)
    }

    /// The agent's key in desk files.
    async fn key(&self) -> &str {
        self.key.as_str()
    }

    /// What people read.
    async fn name(&self) -> String {
        self.display_name()
    }

    /// The teams that the agent belongs to.
    async fn teams(&self, context: &Context<'_>) -> Result<Vec<Team>, Error> {
        let session = Session::of(context)?.at(&self.views);
        let agent = self.views.desk().desk().agents.get(&self.key);
        let keys = agent.map_or(&[][..], |agent| &agent.definition.teams);
        Ok(keys.iter().filter_map(|key| Team::seen(&session, key)).collect())
    }

    /// What the agent may do with the tickets of each queue, and nothing with those of queues that are left out; null for an
    /// agent who works in every queue.
    async fn queues(&self, context: &Context<'_>) -> Result<Option<Vec<AgentQueue>>, Error> {
        let session = Session::of(context)?.at(&self.views);
        let agent = self.views.desk().desk().agents.get(&self.key);
        let queues = agent.and_then(|agent| agent.definition.queues.as_ref());
        let of_queue = |(key, right): (&QueueKey, &desk::QueueRight)| {
            Some(AgentQueue { queue: Queue::seen(&session, key)?, right: (*right).into() })
        };
        Ok(queues.map(|queues| queues.iter().filter_map(of_queue).collect()))
    }

    /// Has left. Listed for as long as unfinished tickets are assigned to the agent.
    async fn retired(&self) -> bool {
        self.views.desk().desk().agents.get(&self.key).is_none_or(|agent| agent.retired)
    }
}

/// Somebody who writes to the desk.
#[derive(Debug, Clone)]
pub struct Customer {
    views: Arc<Views>,
    id: CustomerId,
}

impl Agent {
    /// What people read.
    pub fn display_name(&self) -> String {
        let agent = self.views.desk().desk().agents.get(&self.key);
        agent.map_or_else(|| self.key.to_string(), |agent| agent.definition.name.clone())
    }
}

impl Customer {
    /// What people read.
    pub fn display_name(&self) -> String {
        self.views.people().customer(&self.id).map(|row| row.name.reveal().clone()).unwrap_or_default()
    }
}

/// Somebody who writes to the desk.
#[Object]
impl Customer {
    /// Global id.
    pub async fn id(&self) -> ID {
        global_id("customer", self.id)
    }

    /// Name, as people read it.
    async fn name(&self) -> String {
        self.display_name()
    }

    /// E-mail address, when known.
    async fn email(&self) -> Option<String> {
        self.views.people().customer(&self.id)?.email.as_ref().map(|email| email.reveal().clone())
    }
}

connection!(TeamConnection, TeamEdge, Team, "teams");
connection!(AgentConnection, AgentEdge, Agent, "agents");
connection!(CustomerConnection, CustomerEdge, Customer, "customers");

/// A new customer.
#[derive(InputObject)]
pub struct CustomerRegisterInput {
    /// Name, as people read it.
    name: String,
    /// E-mail address.
    email: Option<String>,
    /// An idempotency key of at most 256 bytes: the same value by the same token is carried out once, for ever.
    client_mutation_id: Option<String>,
}

/// Answer to `customerRegister`.
#[derive(SimpleObject)]
pub struct CustomerRegisterPayload {
    /// The customer; null when it was refused.
    pub customer: Option<Customer>,
    /// Position of what was stored.
    pub position: Option<BigInt>,
    /// Why nothing was done.
    pub user_errors: Vec<UserError>,
    /// What the input gave.
    pub client_mutation_id: Option<String>,
}

/// Lists of people.
#[derive(Default)]
pub struct PeopleQueries;

#[Object]
impl PeopleQueries {
    /// The teams of the desk, and those that were retired and are still responsible for unfinished tickets.
    #[graphql(complexity = "page_size(first, last) * child_complexity")]
    async fn teams(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "So many from the start; 20 when absent, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end; at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<Option<TeamConnection>, Error> {
        let session = Session::of(context)?;
        session.need(Action::Read, Resource::Figures)?;
        let paging = Paging::new(first, after, last, before)?;
        let parts = &session.views.desk().desk().teams;
        let within = session.within();
        let held = |key: &str| session.views.holds_unfinished(&within, LeavingKind::Team, key);
        let page = desk_page(parts, &paging, held, |key| Team::seen(session, key))?;
        Ok(Some(page.into()))
    }

    /// The agents of the desk, and those who have left and still have unfinished tickets.
    #[graphql(complexity = "page_size(first, last) * child_complexity")]
    async fn agents(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "So many from the start; 20 when absent, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end; at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<Option<AgentConnection>, Error> {
        let session = Session::of(context)?;
        session.need(Action::Read, Resource::Figures)?;
        let paging = Paging::new(first, after, last, before)?;
        let parts = &session.views.desk().desk().agents;
        let within = session.within();
        let held = |key: &str| session.views.holds_unfinished(&within, LeavingKind::Agent, key);
        let page = desk_page(parts, &paging, held, |key| Agent::seen(session, key))?;
        Ok(Some(page.into()))
    }

    /// The customers of the desk.
    #[graphql(complexity = "page_size(first, last) * child_complexity")]
    async fn customers(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "So many from the start; 20 when absent, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end; at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<Option<CustomerConnection>, Error> {
        let session = Session::of(context)?;
        session.need(Action::Read, Resource::Figures)?;
        let all = session.views.people().customers();
        let list = all.filter_map(|row| Some((row.id.to_string(), Customer::seen(session, row.id)?)));
        Ok(Some(Paging::new(first, after, last, before)?.of_list(list.collect())?.into()))
    }
}

/// Customers become known.
#[derive(Default)]
pub struct PeopleMutations;

#[Object]
impl PeopleMutations {
    /// Registers a customer.
    async fn customer_register(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The customer.")] input: CustomerRegisterInput,
    ) -> Result<Option<CustomerRegisterPayload>, Error> {
        let asked = Asked::of(context)?;
        let customer = NewCustomer { name: input.name, email: input.email, external: None };
        let done =
            async { asked.session.engine.register_customer(&asked.session.principal, customer, asked.key()?).await };
        let (user_errors, done) = asked.answer(done.await)?.parts();
        let (mut customer, mut position) = (None, None);
        if let Some((id, views, at)) = done {
            let then = Session { views, ..asked.session.clone() };
            (customer, position) = (Customer::seen(&then, id), Some(at.into()));
        }
        Ok(Some(CustomerRegisterPayload {
            customer,
            position,
            user_errors,
            client_mutation_id: asked.client_mutation_id,
        }))
    }
}
