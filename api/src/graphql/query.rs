//! What can be asked.

use std::{collections::BTreeMap, sync::Arc};

use async_graphql::{Context, Enum, Error, ID, Interface, Object, SimpleObject};
use docket_core::{
    access::Role,
    desk::{Defined, LeavingKind},
    ids::{AgentKey, CategoryKey, CommitId, CustomerId, Position, QueueKey, TeamKey, TicketId},
    ticket::{ExternalReference, TimerCommand},
};
use docket_projections::ReportPeriod;

use super::{
    Session,
    desk::{
        Agent, AgentConnection, Category, CategoryConnection, Customer, CustomerConnection, Desk, Queue,
        QueueConnection, SlaMetric, Team, TeamConnection,
    },
    error::{bad_input, top_level},
    log::{self, Commit, CommitConnection},
    relay::{MAX_PAGE, Paging, Slice, local_id},
    report::Report,
    scalars::{BigInt, DateTime},
    sla::SlaComparison,
    ticket::{self, Ticket, TicketConnection, TicketFilter, TicketOrder, page_size},
};
use crate::{
    desk_file,
    engine::{Action, EngineError, Resource, Stop},
};

/// Anything that has a global id.
#[derive(Interface, Debug, Clone)]
#[graphql(field(name = "id", ty = "ID", desc = "Global id."))]
pub enum Node {
    /// A ticket.
    Ticket(Ticket),
    /// A queue.
    Queue(Queue),
    /// A team.
    Team(Team),
    /// An agent.
    Agent(Agent),
    /// A customer.
    Customer(Customer),
    /// A category.
    Category(Category),
    /// A commit of the log.
    Commit(Commit),
}

/// What the bearer of a token is.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleName {
    /// Configures the desk, makes tokens, and may do everything that an agent may.
    Administrator,
    /// Works on tickets.
    Agent,
    /// Sees and writes to the own tickets.
    Customer,
    /// Reads everything, changes nothing.
    Auditor,
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

/// What a timer will do.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerKind {
    /// Say that a deadline comes near.
    SlaWarning,
    /// Say that a deadline passed.
    SlaBreach,
    /// Raise the ticket to a higher level.
    Escalation,
    /// Take the ticket from an assignee who does not pick it up.
    ReturnToQueue,
}

/// Something that comes due.
#[derive(SimpleObject, Debug, Clone)]
pub struct Timer {
    /// When.
    pub at: DateTime,
    /// What happens then.
    pub kind: TimerKind,
    /// The ticket.
    pub ticket: Ticket,
    /// The track, for service levels.
    pub track: Option<String>,
    /// The metric, for service levels.
    pub metric: Option<SlaMetric>,
    /// The deadline that it belongs to.
    pub due_at: DateTime,
}

/// How the server stands.
#[derive(SimpleObject, Debug, Clone)]
pub struct ServerStatus {
    /// Version of the program.
    pub version: &'static str,
    /// The moment that this answer sees.
    pub position: BigInt,
    /// Events folded into it.
    pub events: BigInt,
    /// The present instant by the server's clock.
    pub now: DateTime,
    /// The log takes writes.
    pub writable: bool,
    /// Tickets that timers and runs over many tickets left alone because nothing can be done with them for now. Empty for
    /// customers.
    pub set_aside: Vec<SetAside>,
}

/// A ticket that was set aside: others go on.
#[derive(SimpleObject, Debug, Clone)]
pub struct SetAside {
    /// The ticket's number.
    pub number: i32,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: DateTime,
}

impl From<&crate::engine::SetAside> for SetAside {
    fn from(aside: &crate::engine::SetAside) -> Self {
        Self {
            number: i32::try_from(aside.number).unwrap_or(i32::MAX),
            reason: aside.reason.clone(),
            since: aside.since.into(),
        }
    }
}

/// The queries.
pub struct Query;

#[Object]
impl Query {
    /// Whoever asks.
    async fn viewer(&self, context: &Context<'_>) -> Result<Viewer, Error> {
        let session = Session::of(context)?;
        let role = match &session.principal.role {
            Role::Administrator => RoleName::Administrator,
            Role::Agent(_) => RoleName::Agent,
            Role::Customer(_) => RoleName::Customer,
            Role::Auditor => RoleName::Auditor,
        };
        Ok(Viewer {
            role,
            label: session.principal.label.clone(),
            agent: session.principal.agent().and_then(|key| Agent::seen(session, key)),
            customer: session.principal.customer().and_then(|id| Customer::seen(session, id)),
        })
    }

    /// How the server stands.
    async fn server_status(&self, context: &Context<'_>) -> Result<ServerStatus, Error> {
        let session = Session::of(context)?;
        Ok(ServerStatus {
            version: env!("CARGO_PKG_VERSION"),
            position: session.views.position().into(),
            events: BigInt(session.views.events()),
            now: session.engine.now().into(),
            writable: session.engine.log().read_only().is_none(),
            set_aside: if session.can(Action::Read, Resource::Figures) {
                session.engine.set_aside().iter().map(SetAside::from).collect()
            } else {
                vec![]
            },
        })
    }

    /// The thing with this global id; null when there is none, or none for you.
    async fn node(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "A global id.")] id: ID,
    ) -> Result<Option<Node>, Error> {
        find(Session::of(context)?, &id).await
    }

    /// The things with these global ids, in their order; null where there is none. At most 100.
    #[graphql(complexity = "ids.len().clamp(1, 100) * child_complexity")]
    async fn nodes(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Global ids.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>, Error> {
        if ids.len() > MAX_PAGE {
            return Err(bad_input(format!("ask for at most {MAX_PAGE} ids at once")));
        }
        let session = Session::of(context)?;
        let mut found = Vec::with_capacity(ids.len());
        for id in &ids {
            found.push(find(session, id).await?);
        }
        Ok(found)
    }

    /// A ticket by its id; null when there is none, or none for you.
    async fn ticket(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
    ) -> Result<Option<Ticket>, Error> {
        let session = Session::of(context)?;
        Ok(local_id::<TicketId>("ticket", &id).and_then(|id| Ticket::seen(session, id)))
    }

    /// A ticket by its number; null when there is none, or none for you.
    async fn ticket_by_number(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Number of the ticket.")] number: i32,
    ) -> Result<Option<Ticket>, Error> {
        let session = Session::of(context)?;
        let row = u32::try_from(number).ok().and_then(|number| session.views.tickets().by_number(number));
        Ok(row.and_then(|row| Ticket::seen(session, row.id)))
    }

    /// A ticket by its name in another system; null when there is none, or none for you.
    async fn ticket_by_reference(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The other system, for example `servicenow`.")] source: String,
        #[graphql(desc = "The name there, for example `INC0000047`.")] key: String,
    ) -> Result<Option<Ticket>, Error> {
        let session = Session::of(context)?;
        let row = session.views.tickets().by_external(&ExternalReference { source, key });
        Ok(row.and_then(|row| Ticket::seen(session, row.id)))
    }

    /// Tickets that you may see.
    #[graphql(complexity = "page_size(first, last) * child_complexity")]
    #[allow(clippy::too_many_arguments, reason = "they are the arguments of the field")]
    async fn tickets(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which ones; all when absent.")] filter: Option<TicketFilter>,
        #[graphql(desc = "By what they are ordered; by number when absent.")] order_by: Option<TicketOrder>,
        #[graphql(desc = "So many from the start; 20 when absent, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end; at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<Option<TicketConnection>, Error> {
        let paging = Paging::new(first, after, last, before)?;
        let session = Session::of(context)?;
        let page = ticket::page(session, filter.as_ref(), order_by, &paging).await?;
        ticket::read_ahead(context, session, &page).await?;
        Ok(Some(page))
    }

    /// A queue by its id.
    async fn queue(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the queue.")] id: ID,
    ) -> Result<Option<Queue>, Error> {
        Ok(match find(Session::of(context)?, &id).await? {
            Some(Node::Queue(queue)) => Some(queue),
            _ => None,
        })
    }

    /// The queues of the desk, and those that were retired and still hold unfinished tickets.
    #[graphql(complexity = "page_size(first, last) * child_complexity")]
    async fn queues(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "So many from the start; 20 when absent, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end; at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<Option<QueueConnection>, Error> {
        let session = Session::of(context)?;
        session.need(Action::Read, Resource::Desk)?;
        let paging = Paging::new(first, after, last, before)?;
        let parts = &session.views.desk().desk().queues;
        let held = |key: &str| session.views.holds_unfinished(LeavingKind::Queue, key);
        let page = desk_page(parts, &paging, held, |key| Queue::seen(session, key))?;
        Ok(Some(page.into()))
    }

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
        let held = |key: &str| session.views.holds_unfinished(LeavingKind::Team, key);
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
        let held = |key: &str| session.views.holds_unfinished(LeavingKind::Agent, key);
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

    /// What tickets are about: the categories of the desk, and those that were retired and unfinished tickets still have.
    #[graphql(complexity = "page_size(first, last) * child_complexity")]
    async fn categories(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "So many from the start; 20 when absent, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end; at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<Option<CategoryConnection>, Error> {
        let session = Session::of(context)?;
        session.need(Action::Read, Resource::Desk)?;
        let paging = Paging::new(first, after, last, before)?;
        let parts = &session.views.desk().desk().categories;
        let held = |key: &str| session.views.holds_unfinished(LeavingKind::Category, key);
        let page = desk_page(parts, &paging, held, |key| Category::seen(session, key))?;
        Ok(Some(page.into()))
    }

    /// The configuration of the desk.
    async fn desk(&self, context: &Context<'_>) -> Result<Option<Desk>, Error> {
        let session = Session::of(context)?;
        session.need(Action::Read, Resource::Desk)?;
        Ok(Some(Desk { views: Arc::clone(&session.views) }))
    }

    /// What comes due before an instant, earliest first; of at most 100 tickets.
    #[graphql(complexity = "page_size(first, None) * child_complexity")]
    async fn timers(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The instant.")] due_before: DateTime,
        #[graphql(desc = "Of so many tickets; 20 when absent, at most 100.")] first: Option<i32>,
    ) -> Result<Option<Vec<Timer>>, Error> {
        let session = Session::of(context)?;
        session.need(Action::Read, Resource::Figures)?;
        let limit = Paging::new(first, None, None, None)?.limit;
        let due = session.views.due(due_before.0.plus_millis(-1), limit);
        let timers = due.into_iter().filter_map(|entry| {
            let (kind, track, metric, due_at) = match entry.command {
                TimerCommand::Warn { track, metric, due_at } => {
                    (TimerKind::SlaWarning, Some(track), Some(metric), due_at)
                }
                TimerCommand::Breach { track, metric, due_at } => {
                    (TimerKind::SlaBreach, Some(track), Some(metric), due_at)
                }
                TimerCommand::Escalate { track, metric, due_at, .. } => {
                    (TimerKind::Escalation, Some(track), Some(metric), due_at)
                }
                TimerCommand::ReturnToQueue { due_at } => (TimerKind::ReturnToQueue, None, None, due_at),
            };
            Some(Timer {
                at: entry.at.into(),
                kind,
                ticket: Ticket::seen(session, entry.ticket)?,
                track: track.map(|track| track.to_string()),
                metric: metric.map(SlaMetric::from),
                due_at: due_at.into(),
            })
        });
        Ok(Some(timers.collect()))
    }

    /// What service levels would have come to under other policies or calendars: the whole log is folded once more with those
    /// of the file in place of every version of the same keys. Nothing is written. Few such questions are answered at once: UNAVAILABLE
    /// with `retryAfterS` says when to come back.
    #[graphql(complexity = "2000 + child_complexity")]
    async fn sla_what_if(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Policies and calendars, TOML as in a desk file.")] toml: String,
        #[graphql(desc = "Only clocks that ended at or after this instant.")] from: Option<DateTime>,
        #[graphql(desc = "Only clocks that ended before this instant.")] to: Option<DateTime>,
    ) -> Result<Option<SlaComparison>, Error> {
        let session = Session::of(context)?;
        session.need(Action::Read, Resource::Figures)?;
        if let (Some(from), Some(to)) = (&from, &to)
            && from.0 >= to.0
        {
            return Err(bad_input("the period ends before it starts: to must be later than from"));
        }
        let parsed = session.engine.beside(move || Ok(desk_file::parse(&toml, None))).await;
        let config = parsed.map_err(|error| top_level(&error))?.map_err(|problem| bad_input(&problem))?;
        let period = ReportPeriod { from: from.map(|from| from.0), to: to.map(|to| to.0) };
        let compared = session.engine.what_if(&session.principal, config, period).await;
        Ok(Some(compared.map_err(|error| top_level(&error))?.into()))
    }

    /// What happened in a period, `[from, to)`, counted.
    #[graphql(complexity = "500 + child_complexity")]
    async fn report(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Start of the period; the beginning when absent.")] from: Option<DateTime>,
        #[graphql(desc = "End of the period, not part of it; the end when absent.")] to: Option<DateTime>,
        #[graphql(desc = "Instants at which the backlog is counted; now when absent, at most 100.")] backlog_at: Option<
            Vec<DateTime>,
        >,
    ) -> Result<Option<Report>, Error> {
        let session = Session::of(context)?;
        session.need(Action::Read, Resource::Figures)?;
        if let (Some(from), Some(to)) = (&from, &to)
            && from.0 >= to.0
        {
            return Err(bad_input("the period ends before it starts: to must be later than from"));
        }
        let instants: Vec<_> = match backlog_at {
            None => vec![session.engine.now()],
            Some(instants) if instants.len() > MAX_PAGE => {
                return Err(bad_input(format!("ask for at most {MAX_PAGE} instants at once")));
            }
            Some(instants) => instants.into_iter().map(|at| at.0).collect(),
        };
        let period = ReportPeriod { from: from.map(|at| at.0), to: to.map(|at| at.0) };
        let views = Arc::clone(&session.views);
        let work = move |stop: &Stop| {
            views.report_until(period, &instants, &|| stop.is_wanted()).ok_or_else(EngineError::unwanted)
        };
        let report = session.engine.in_turn(work).await;
        Ok(Some(report.map_err(|error| top_level(&error))?.into()))
    }

    /// The raw event log; cursors are positions. For administrators and auditors.
    #[graphql(complexity = "page_size(first, last) * child_complexity")]
    async fn log(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "So many from the start; 20 when absent, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this position.")] after: Option<String>,
        #[graphql(desc = "So many from the end; at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this position.")] before: Option<String>,
    ) -> Result<Option<CommitConnection>, Error> {
        let session = Session::of(context)?;
        session.need(Action::Read, Resource::Log)?;
        log::page(session, &Paging::new(first, after, last, before)?).await.map(Some)
    }
}

/// A page of the parts of the desk, by key: what is retired is shown until nothing hangs on it.
fn desk_page<K: ToString, T, N>(
    parts: &BTreeMap<K, Defined<T>>,
    paging: &Paging,
    held: impl Fn(&str) -> bool,
    node: impl Fn(&K) -> Option<N>,
) -> Result<Slice<N>, Error> {
    let shown = parts.iter().filter(|(key, part)| !part.retired || held(&key.to_string()));
    paging.of_list(shown.filter_map(|(key, _)| Some((key.to_string(), node(key)?))).collect())
}

async fn find(session: &Session, id: &ID) -> Result<Option<Node>, Error> {
    if let Some(id) = local_id::<TicketId>("ticket", id) {
        return Ok(Ticket::seen(session, id).map(Node::Ticket));
    }
    if let Some(key) = local_id::<QueueKey>("queue", id) {
        return Ok(Queue::seen(session, &key).map(Node::Queue));
    }
    if let Some(key) = local_id::<TeamKey>("team", id) {
        return Ok(Team::seen(session, &key).map(Node::Team));
    }
    if let Some(key) = local_id::<AgentKey>("agent", id) {
        return Ok(Agent::seen(session, &key).map(Node::Agent));
    }
    if let Some(key) = local_id::<CategoryKey>("category", id) {
        return Ok(Category::seen(session, &key).map(Node::Category));
    }
    if let Some(id) = local_id::<CustomerId>("customer", id) {
        return Ok(Customer::seen(session, id).map(Node::Customer));
    }
    if let Some(id) = local_id::<CommitId>("commit", id)
        && session.can(Action::Read, Resource::Log)
    {
        let (log, moment) = (Arc::clone(session.engine.log()), session.views.position());
        let read = session.engine.beside(move || {
            let Some(position) = log.find(id)?.filter(|position| *position <= moment) else { return Ok(None) };
            Ok(log.read_all(Position::new(position.get() - 1), 1)?.into_iter().next())
        });
        let commit = read.await.map_err(|error| top_level(&error))?;
        return Ok(commit.map(|commit| Node::Commit(Commit { commit })));
    }
    Ok(None)
}
