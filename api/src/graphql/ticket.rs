//! Tickets in GraphQL.

use std::sync::Arc;

use async_graphql::{Context, Enum, Error, ID, InputObject, Object, SimpleObject};
use docket_core::{
    event::Event,
    ids::{AgentKey, CategoryKey, CustomerId, FieldKey, QueueKey, StatusKey, TeamKey, TicketId},
    personal::Personal,
    sla::{Clock, ClockState},
    ticket::{self, TicketEvent},
    time::Timestamp,
};
use docket_projections::{Direction, Order, PageRequest, TicketFilter as CoreFilter, TicketRow, Views};

use super::{
    Session,
    desk::{Agent, Category, Channel, Customer, Priority, Queue, SlaMetric, Status, StatusCategory, Team},
    error::{bad_input, code, coded, internal, top_level},
    relay::{Paging, Slice, connection, global_id, local_id},
    scalars::{BigInt, DateTime, Duration},
    sla::SlaExplanation,
    timeline::{TimelineConnection, entries},
};
use crate::engine::{Action, Resource, explanations, latest};

/// A ticket. What is internal to the desk is null or empty for customers.
#[derive(Debug, Clone)]
pub struct Ticket {
    views: Arc<Views>,
    number: u32,
}

connection!(TicketConnection, TicketEdge, Ticket, "tickets");

/// A ticket's name in another system.
#[derive(SimpleObject, Debug, Clone)]
pub struct ExternalReference {
    /// The other system.
    pub source: String,
    /// The name there.
    pub key: String,
}

/// The value of a custom field.
#[derive(SimpleObject, Debug, Clone)]
pub struct FieldValue {
    /// Key of the field.
    pub field: String,
    /// Its value as text.
    pub value: String,
}

/// What an SLA clock does.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlaClockState {
    /// It counts.
    Running,
    /// It stands.
    Paused,
    /// What it waited for happened.
    Fulfilled,
    /// What it waited for cannot happen any more.
    Cancelled,
}

/// One measurement of one metric.
#[derive(SimpleObject, Debug, Clone)]
pub struct SlaClock {
    /// The track.
    pub track: String,
    /// The policy that it is, or was last, measured by.
    pub policy: String,
    /// What it measures.
    pub metric: SlaMetric,
    /// Number among the clocks of the same metric, from 1.
    pub instance: i32,
    /// How long it may take, as the policy says it: `8h`, `3bd` or `eod`.
    pub target: String,
    /// The working time that this comes to; null when its end is out of reach.
    pub allowed: Option<Duration>,
    /// When it started.
    pub activated_at: DateTime,
    /// What it does.
    pub state: SlaClockState,
    /// Since when it does so.
    pub state_since: DateTime,
    /// The deadline; null while it stands with time left.
    pub due_at: Option<DateTime>,
    /// Fulfilled in time; null while it is not fulfilled.
    pub met: Option<bool>,
    /// That the deadline passed is on record. It belongs to the deadline: a clock that gets a later one begins anew.
    pub breached: bool,
    /// When the deadline passed while it was active, whether or not that is on record yet.
    pub breached_at: Option<DateTime>,
    /// Level of the last step of the escalation for its deadline; 0 for none.
    pub level: i32,
}

impl SlaClock {
    fn of(clock: &Clock, now: Timestamp) -> Self {
        let (state, since) = match clock.state {
            ClockState::Running(at) => (SlaClockState::Running, at),
            ClockState::Paused(at) => (SlaClockState::Paused, at),
            ClockState::Fulfilled(at) => (SlaClockState::Fulfilled, at),
            ClockState::Cancelled(at) => (SlaClockState::Cancelled, at),
        };
        Self {
            track: clock.track.to_string(),
            policy: clock.policy.to_string(),
            metric: clock.metric.into(),
            instance: i32::try_from(clock.instance).unwrap_or(i32::MAX),
            target: clock.target.to_string(),
            allowed: clock.allowed.map(|allowed| Duration { millis: allowed.millis() }),
            activated_at: clock.activated_at.into(),
            state,
            state_since: since.into(),
            due_at: clock.due_at.map(DateTime),
            met: clock.met(),
            breached: clock.breached(),
            breached_at: clock.breached_at(now).map(DateTime),
            level: i32::from(clock.level()),
        }
    }
}

#[Object]
impl Ticket {
    /// Global id.
    pub async fn id(&self) -> Result<ID, Error> {
        Ok(global_id("ticket", self.row()?.id))
    }

    /// Its number: consecutive, the same on every replica and in every rebuild.
    async fn number(&self) -> i32 {
        i32::try_from(self.number).unwrap_or(i32::MAX)
    }

    /// What it is about, in a line.
    async fn subject(&self) -> Result<String, Error> {
        Ok(self.row()?.subject.reveal().clone())
    }

    /// Its status.
    async fn status(&self, context: &Context<'_>) -> Result<Status, Error> {
        let row = self.row()?;
        let key = self.views.tickets().statuses.name(row.status).ok_or_else(internal)?;
        Ok(Status::of(&Session::of(context)?.at(&self.views), key, row.status_category))
    }

    /// Its priority.
    async fn priority(&self) -> Result<Priority, Error> {
        Ok(self.row()?.priority.into())
    }

    /// How it came in.
    async fn channel(&self) -> Result<Channel, Error> {
        Ok(self.row()?.channel.into())
    }

    /// The queue that it waits in.
    async fn queue(&self, context: &Context<'_>) -> Result<Queue, Error> {
        let key = self.views.tickets().queues.name(self.row()?.queue).ok_or_else(internal)?;
        Queue::seen(&Session::of(context)?.at(&self.views), key).ok_or_else(internal)
    }

    /// Who works on it. Null for customers.
    async fn agent(&self, context: &Context<'_>) -> Result<Option<Agent>, Error> {
        let key = self.row()?.agent.and_then(|agent| self.views.tickets().agents.name(agent));
        Ok(key.and_then(|key| Agent::seen(&Session::of(context).ok()?.at(&self.views), key)))
    }

    /// The team that is responsible. Null for customers.
    async fn team(&self, context: &Context<'_>) -> Result<Option<Team>, Error> {
        let key = self.row()?.team.and_then(|team| self.views.tickets().teams.name(team));
        Ok(key.and_then(|key| Team::seen(&Session::of(context).ok()?.at(&self.views), key)))
    }

    /// Its category.
    async fn category(&self, context: &Context<'_>) -> Result<Option<Category>, Error> {
        let key = self.row()?.category.and_then(|category| self.views.tickets().categories.name(category));
        Ok(key.and_then(|key| Category::seen(&Session::of(context).ok()?.at(&self.views), key)))
    }

    /// Who asked.
    async fn requester(&self, context: &Context<'_>) -> Result<Option<Customer>, Error> {
        let session = Session::of(context)?.at(&self.views);
        Ok(self.row()?.requester.and_then(|id| Customer::seen(&session, id)))
    }

    /// Its name in another system.
    async fn external_reference(&self) -> Result<Option<ExternalReference>, Error> {
        let reference = self.row()?.external.as_deref();
        Ok(reference.map(|r| ExternalReference { source: r.source.clone(), key: r.key.clone() }))
    }

    /// Its tags. Empty for customers.
    async fn tags(&self, context: &Context<'_>) -> Result<Vec<String>, Error> {
        if !self.internal(context)? {
            return Ok(vec![]);
        }
        let row = self.row()?;
        Ok(row.tags.iter().filter_map(|tag| self.views.tickets().tags.name(*tag)).cloned().collect())
    }

    /// Its custom fields. Empty for customers.
    async fn fields(&self, context: &Context<'_>) -> Result<Vec<FieldValue>, Error> {
        if !self.internal(context)? {
            return Ok(vec![]);
        }
        let (row, session) = (self.row()?, Session::of(context)?.at(&self.views));
        // What the engine keeps of the ticket is of this moment, unless something has happened to it since.
        if let Some((version, Some(kept))) = session.engine.kept(row.id)
            && version == row.version
        {
            let fields = kept.fields.iter();
            let value = |(field, value): (&FieldKey, &Personal<ticket::FieldValue>)| FieldValue {
                field: field.to_string(),
                value: value.reveal().to_string(),
            };
            return Ok(fields.map(value).collect());
        }
        let history = session.history(row.id).await?;
        let mut fields = std::collections::BTreeMap::new();
        for commit in history.iter() {
            for event in &commit.events {
                if let Event::Ticket(TicketEvent::FieldChanged(e)) = &event.event {
                    match &e.to {
                        Some(value) => fields.insert(e.field.to_string(), value.reveal().to_string()),
                        None => fields.remove(e.field.as_str()),
                    };
                }
            }
        }
        Ok(fields.into_iter().map(|(field, value)| FieldValue { field, value }).collect())
    }

    /// Level of escalation, 0 for none. 0 for customers.
    async fn escalation_level(&self, context: &Context<'_>) -> Result<i32, Error> {
        Ok(if self.internal(context)? { i32::from(self.row()?.escalation_level) } else { 0 })
    }

    /// When it was opened.
    async fn opened_at(&self) -> Result<DateTime, Error> {
        Ok(self.row()?.opened_at.into())
    }

    /// When something last happened to it; for customers, something that they may see.
    async fn updated_at(&self, context: &Context<'_>) -> Result<DateTime, Error> {
        let row = self.row()?;
        Ok(if self.internal(context)? { row.updated_at.into() } else { row.public_at.into() })
    }

    /// When an agent first answered.
    async fn first_response_at(&self) -> Result<Option<DateTime>, Error> {
        Ok(self.row()?.first_response_at.map(DateTime))
    }

    /// When it was last resolved.
    async fn resolved_at(&self) -> Result<Option<DateTime>, Error> {
        Ok(self.row()?.resolved_at.map(DateTime))
    }

    /// When it was closed, while it is closed.
    async fn closed_at(&self) -> Result<Option<DateTime>, Error> {
        Ok(self.row()?.closed_at.map(DateTime))
    }

    /// How often it was reopened.
    async fn reopenings(&self) -> Result<i32, Error> {
        Ok(i32::try_from(self.row()?.reopenings).unwrap_or(i32::MAX))
    }

    /// The earliest deadline that counts. Null for customers.
    async fn due_at(&self, context: &Context<'_>) -> Result<Option<DateTime>, Error> {
        Ok(if self.internal(context)? { self.row()?.due_at.map(DateTime) } else { None })
    }

    /// When it returns to its queue unless the assignee acts. Null for customers.
    async fn pick_up_by(&self, context: &Context<'_>) -> Result<Option<DateTime>, Error> {
        Ok(if self.internal(context)? { self.row()?.pick_up_by.map(DateTime) } else { None })
    }

    /// Its SLA clocks. Empty for customers.
    async fn sla_clocks(&self, context: &Context<'_>) -> Result<Vec<SlaClock>, Error> {
        let row = self.row()?;
        Ok(if self.internal(context)? {
            // A clock that was set back is behind what stands in the ticket.
            let now = Session::of(context)?.engine.now().max(row.updated_at);
            row.clocks.clocks.iter().map(|clock| SlaClock::of(clock, now)).collect()
        } else {
            vec![]
        })
    }

    /// Why each of its deadlines is when it is: the derivation of every SLA clock. Empty for customers.
    #[graphql(complexity = "50 + child_complexity")]
    async fn sla_explanations(&self, context: &Context<'_>) -> Result<Vec<SlaExplanation>, Error> {
        if !self.internal(context)? {
            return Ok(vec![]);
        }
        let session = Session::of(context)?.at(&self.views);
        let (history, now) = (session.history(self.row()?.id).await?, session.engine.now());
        let views = Arc::clone(&self.views);
        let explained = session.engine.beside(move || Ok(explanations(&history, &views, latest(&history, now)))).await;
        Ok(explained.map_err(|error| top_level(&error))?.into_iter().map(SlaExplanation::from).collect())
    }

    /// Agents who follow it. Empty for customers.
    async fn followers(&self, context: &Context<'_>) -> Result<Vec<Agent>, Error> {
        if !self.internal(context)? {
            return Ok(vec![]);
        }
        let session = Session::of(context)?.at(&self.views);
        let keys = self.row()?.followers.iter().filter_map(|agent| self.views.tickets().agents.name(*agent));
        Ok(keys.filter_map(|key| Agent::seen(&session, key)).collect())
    }

    /// Position of its latest commit: pass it as `expectedVersion`. For customers, of the latest one that they may see
    /// something of.
    async fn version(&self, context: &Context<'_>) -> Result<BigInt, Error> {
        let row = self.row()?;
        Ok(if self.internal(context)? { row.version.into() } else { row.public_version.into() })
    }

    /// Everything that happened to it and that you may see, oldest first.
    #[graphql(complexity = "page_size(first, last) * child_complexity")]
    async fn timeline(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "So many from the start; at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end; at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<TimelineConnection, Error> {
        let paging = Paging::new(first, after, last, before)?;
        let session = Session::of(context)?.at(&self.views);
        let history = session.history(self.row()?.id).await?;
        Ok(paging.of_list(entries(&session, &history).into_iter().collect())?.into())
    }
}

/// What a page counts for in the complexity of an operation.
pub fn page_size(first: Option<i32>, last: Option<i32>) -> usize {
    let wanted = first.or(last).and_then(|count| usize::try_from(count).ok());
    wanted.unwrap_or(super::relay::DEFAULT_PAGE).clamp(1, super::relay::MAX_PAGE)
}

impl Ticket {
    /// The ticket, when the session may see it: the only way to one, whatever edge leads to it.
    pub fn seen(session: &Session, id: TicketId) -> Option<Self> {
        let row = session.views.tickets().by_id(&id)?;
        let resource = Resource::Ticket { requester: row.requester };
        session.can(Action::Read, resource).then(|| Self { views: Arc::clone(&session.views), number: row.number })
    }

    fn row(&self) -> Result<&TicketRow, Error> {
        self.views.tickets().by_number(self.number).ok_or_else(internal)
    }

    fn internal(&self, context: &Context<'_>) -> Result<bool, Error> {
        let resource = Resource::Ticket { requester: self.row()?.requester };
        Ok(Session::of(context)?.can(Action::ReadInternal, resource))
    }
}

/// Which tickets: every part that is given must hold; a list holds when the ticket has one of its values. Customers cannot
/// ask by what is hidden from them: `statuses`, `agents`, `unassigned`, `teams`, `tags`, `dueBefore`.
#[derive(InputObject, Debug, Clone, Default)]
pub struct TicketFilter {
    /// Keys of statuses.
    statuses: Option<Vec<String>>,
    /// Categories of statuses.
    status_categories: Option<Vec<StatusCategory>>,
    /// Priorities.
    priorities: Option<Vec<Priority>>,
    /// Channels of the opening.
    channels: Option<Vec<Channel>>,
    /// Ids of queues.
    queues: Option<Vec<ID>>,
    /// Ids of assignees.
    agents: Option<Vec<ID>>,
    /// True for tickets without an assignee, false for those with one.
    unassigned: Option<bool>,
    /// Ids of teams.
    teams: Option<Vec<ID>>,
    /// Ids of categories.
    categories: Option<Vec<ID>>,
    /// Tags; a ticket must have all of them.
    tags: Option<Vec<String>>,
    /// Id of the customer who asked.
    requester: Option<ID>,
    /// The earliest deadline lies before this instant.
    due_before: Option<DateTime>,
    /// Opened at or after this instant.
    opened_from: Option<DateTime>,
    /// Opened before this instant.
    opened_before: Option<DateTime>,
}

/// By what tickets are ordered.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketOrderField {
    /// Their numbers.
    Number,
    /// Priority; within one the older ticket first when the more urgent is.
    Priority,
    /// The earliest deadline; those without come last when ascending. Not for customers.
    DueAt,
    /// When something last happened to them, as the log has it; for customers, something that they may see.
    Activity,
}

/// Which end comes first.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderDirection {
    /// The smallest.
    Asc,
    /// The largest.
    Desc,
}

/// An order of tickets.
#[derive(InputObject, Debug, Clone, Copy)]
pub struct TicketOrder {
    /// By what.
    field: TicketOrderField,
    /// Which end first.
    #[graphql(default_with = "OrderDirection::Asc")]
    direction: OrderDirection,
}

impl TicketFilter {
    /// The first part that asks about what is hidden from customers: what one may not see cannot be filtered by, or its values
    /// could be asked out one by one.
    const fn hidden_from_customers(&self) -> Option<&'static str> {
        let Self {
            statuses,
            status_categories: _,
            priorities: _,
            channels: _,
            queues: _,
            agents,
            unassigned,
            teams,
            categories: _,
            tags,
            requester: _,
            due_before,
            opened_from: _,
            opened_before: _,
        } = self;
        if statuses.is_some() {
            Some("statuses")
        } else if agents.is_some() {
            Some("agents")
        } else if unassigned.is_some() {
            Some("unassigned")
        } else if teams.is_some() {
            Some("teams")
        } else if tags.is_some() {
            Some("tags")
        } else if due_before.is_some() {
            Some("dueBefore")
        } else {
            None
        }
    }

    fn to_core(&self) -> Result<CoreFilter, Error> {
        fn ids<T: std::str::FromStr>(kind: &str, ids: &Option<Vec<ID>>) -> Result<Option<Vec<T>>, Error> {
            let Some(ids) = ids else { return Ok(None) };
            let parsed: Result<Vec<T>, Error> = ids
                .iter()
                .map(|id| {
                    local_id(kind, id).ok_or_else(|| bad_input(format!("{:?} is no id of the kind {kind}", id.0)))
                })
                .collect();
            parsed.map(Some)
        }
        let statuses = match &self.statuses {
            None => None,
            Some(keys) => Some(
                keys.iter()
                    .map(|key| StatusKey::try_new(key).map_err(|error| bad_input(error.to_string())))
                    .collect::<Result<Vec<_>, _>>()?,
            ),
        };
        let requester: Option<Vec<CustomerId>> = ids("customer", &self.requester.clone().map(|id| vec![id]))?;
        Ok(CoreFilter {
            statuses,
            status_categories: self.status_categories.as_ref().map(|all| all.iter().map(|c| (*c).into()).collect()),
            priorities: self.priorities.as_ref().map(|all| all.iter().map(|p| (*p).into()).collect()),
            channels: self.channels.as_ref().map(|all| all.iter().map(|c| (*c).into()).collect()),
            queues: ids::<QueueKey>("queue", &self.queues)?,
            agents: ids::<AgentKey>("agent", &self.agents)?,
            unassigned: self.unassigned,
            teams: ids::<TeamKey>("team", &self.teams)?,
            categories: ids::<CategoryKey>("category", &self.categories)?,
            tags: self.tags.as_ref().map(|tags| tags.iter().cloned().collect()),
            requester: requester.and_then(|all| all.first().copied()),
            due_before: self.due_before.map(|at| at.0),
            opened_from: self.opened_from.map(|at| at.0),
            opened_before: self.opened_before.map(|at| at.0),
        })
    }
}

/// Reads the tickets of a page together when their fields are asked for: one wait instead of one for each.
pub async fn read_ahead(context: &Context<'_>, session: &Session, page: &TicketConnection) -> Result<(), Error> {
    let asked = context.look_ahead();
    let wanted = |node: async_graphql::Lookahead<'_>| node.field("fields").exists();
    if session.is_customer() || !(wanted(asked.field("nodes")) || wanted(asked.field("edges").field("node"))) {
        return Ok(());
    }
    let ids: Vec<TicketId> = page.nodes.iter().filter_map(|ticket| Some(ticket.row().ok()?.id)).collect();
    session.engine.preload(&ids).await.map_err(|error| top_level(&error))
}

/// A page of the tickets that the session may see.
pub async fn page(
    session: &Session,
    filter: Option<&TicketFilter>,
    order: Option<TicketOrder>,
    paging: &Paging,
) -> Result<TicketConnection, Error> {
    let customer = session.principal.customer();
    if customer.is_some() {
        let hidden =
            |what: &str| coded(code::FORBIDDEN, format!("customers cannot ask by {what}: it is the desk's own"));
        if let Some(part) = filter.and_then(TicketFilter::hidden_from_customers) {
            return Err(hidden(part));
        }
        if order.is_some_and(|order| order.field == TicketOrderField::DueAt) {
            return Err(hidden("DUE_AT"));
        }
    }
    let mut filter = filter.map(TicketFilter::to_core).transpose()?.unwrap_or_default();
    if let Some(customer) = customer {
        // The rule stands in the selection, so that neither counts nor cursors tell of others' tickets.
        if filter.requester.is_some_and(|requester| requester != customer) {
            return Ok(Slice { elements: vec![], total: 0, has_next: false, has_previous: false }.into());
        }
        filter.requester = Some(customer);
    }
    let order_by = order.map_or(Order::Number, |order| match order.field {
        TicketOrderField::Number => Order::Number,
        TicketOrderField::Priority => Order::Priority,
        TicketOrderField::DueAt => Order::DueAt,
        TicketOrderField::Activity if customer.is_some() => Order::PublicActivity,
        TicketOrderField::Activity => Order::Activity,
    });
    let direction = match order.map(|order| order.direction) {
        None | Some(OrderDirection::Asc) => Direction::Ascending,
        Some(OrderDirection::Desc) => Direction::Descending,
    };
    let cursor = |text: &Option<String>| -> Result<Option<docket_projections::Cursor>, Error> {
        let Some(text) = text else { return Ok(None) };
        let cursor: docket_projections::Cursor = text.parse().map_err(|error| bad_input(format!("{error}")))?;
        if cursor.order() != order_by {
            return Err(bad_input("the cursor belongs to another order"));
        }
        Ok(Some(cursor))
    };
    let request = PageRequest {
        order: order_by,
        direction,
        limit: paging.limit,
        after: cursor(&paging.after)?,
        before: cursor(&paging.before)?,
        backward: paging.backward,
    };
    let page = if filter.walks_rows() && session.views.tickets().len() > MANY {
        let views = Arc::clone(&session.views);
        let page = session.engine.beside(move || Ok(views.tickets().page(&filter, &request))).await;
        page.map_err(|error| top_level(&error))?
    } else {
        session.views.tickets().page(&filter, &request)
    };
    let ticket = |number| Ticket { views: Arc::clone(&session.views), number };
    let slice = Slice {
        elements: page.tickets.into_iter().map(|(number, c)| (c.to_string(), ticket(number))).collect(),
        total: usize::try_from(page.total).unwrap_or(usize::MAX),
        has_next: page.has_next,
        has_previous: page.has_previous,
    };
    Ok(slice.into())
}

/// Beyond so many tickets, a filter that looks at each of them is asked on a thread beside.
const MANY: usize = 20_000;
