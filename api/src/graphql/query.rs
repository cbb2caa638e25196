//! What can be asked about the server and all of its log; each capability brings its own queries besides.

use std::sync::Arc;

use async_graphql::{Context, Error, ID, Interface, MergedObject, Object, SimpleObject};
use docket_core::ids::{
    AgentKey, CalendarKey, CategoryKey, CommitId, CustomerId, FieldKey, PolicyKey, Position, QueueKey, StreamId,
    TeamKey, TicketId, TokenId,
};
use docket_projections::ReportPeriod;

use super::{
    Session,
    access::{AccessQueries, Token},
    desk::{Calendar, Category, Desk, DeskQueries, FieldDefinition, Policy, Queue, Status},
    error::{bad_input, top_level},
    log::{self, Commit, CommitConnection},
    people::{Agent, Customer, PeopleQueries, Team},
    relay::{MAX_PAGE, Paging, global_id, local_id, page_size},
    report::Report,
    scalars::{BigInt, DateTime, Duration},
    sla::SlaQueries,
    ticket::{
        Ticket, TicketQueries, TimerQueries,
        assignment::{AssignmentEntry, QueueEntry},
        conversation::{CallEntry, MessageEntry, NoteEntry},
        details::ChangeEntry,
        escalation::{EscalationEntry, SlaEntry},
        opening::OpeningEntry,
        status::StatusEntry,
    },
    timeline::{self, TimelineEntry},
};
use crate::engine::{Action, EngineError, Resource, Stop};

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
    /// A status.
    Status(Status),
    /// An SLA policy.
    Policy(Policy),
    /// A calendar.
    Calendar(Calendar),
    /// A custom field.
    Field(FieldDefinition),
    /// The desk.
    Desk(Desk),
    /// A token.
    Token(Token),
    /// A commit of the log.
    Commit(Commit),
    /// An entry of a timeline.
    Entry(TimelineEntry),
    // What implements an interface implements those that the interface does: the schema must say so of each kind.
    /// An opening.
    Opening(OpeningEntry),
    /// A message.
    Message(MessageEntry),
    /// A note.
    Note(NoteEntry),
    /// A call.
    Call(CallEntry),
    /// An assignment.
    Assignment(AssignmentEntry),
    /// A transfer.
    Transfer(QueueEntry),
    /// A change of status.
    StatusChange(StatusEntry),
    /// An escalation.
    Escalation(EscalationEntry),
    /// A service level's word.
    Sla(SlaEntry),
    /// Any other change.
    Change(ChangeEntry),
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
    /// Tickets that timers and runs over many tickets left alone because nothing can be done with them for now, of those that
    /// you may see. Empty for customers.
    pub set_aside: Vec<SetAside>,
    /// What acts by itself because of what the log says, with how far it is behind. Empty for customers, and for agents of
    /// some queues only.
    pub reactors: Vec<Reactor>,
}

/// Something that acts by itself because of what the log says: timers.
#[derive(SimpleObject, Debug, Clone)]
pub struct Reactor {
    /// Its name, for example `timers`.
    pub name: &'static str,
    /// When it has next something to do; an instant that is past while it is behind. Tickets that are set aside do not count.
    pub next_at: Option<DateTime>,
    /// How far it is behind; `PT0S` when nothing is due.
    pub behind: Duration,
}

impl From<crate::engine::ReactorStatus> for Reactor {
    fn from(status: crate::engine::ReactorStatus) -> Self {
        Self {
            name: status.name,
            next_at: status.next_at.map(Into::into),
            behind: Duration { millis: i64::try_from(status.behind_ms).unwrap_or(i64::MAX) },
        }
    }
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

/// What can be asked. Answers see one moment of the log: `serverStatus.position` says which.
#[derive(MergedObject, Default)]
pub struct Query(TicketQueries, TimerQueries, DeskQueries, PeopleQueries, AccessQueries, SlaQueries, ServerQueries);

/// What is asked about the server and all of its log.
#[derive(Default)]
pub struct ServerQueries;

#[Object]
impl ServerQueries {
    /// How the server stands.
    async fn server_status(&self, context: &Context<'_>) -> Result<ServerStatus, Error> {
        let session = Session::of(context)?;
        let (views, within) = (&session.views, session.within());
        let in_scope = |aside: &&crate::engine::SetAside| {
            // A ticket that no view has belongs to nobody's queue.
            let row = views.tickets().by_id(&aside.ticket);
            row.map_or_else(|| session.can(Action::Read, Resource::AllTickets), |row| within.holds(row.number))
        };
        let sees_figures = session.can(Action::Read, Resource::Figures);
        Ok(ServerStatus {
            version: env!("CARGO_PKG_VERSION"),
            position: session.views.position().into(),
            events: BigInt(session.views.events()),
            now: session.engine.now().into(),
            writable: session.engine.log().read_only().is_none(),
            set_aside: if sees_figures {
                session.engine.set_aside().iter().filter(in_scope).map(SetAside::from).collect()
            } else {
                vec![]
            },
            reactors: if session.can(Action::Read, Resource::AllTickets) {
                session.engine.reactors().into_iter().map(Reactor::from).collect()
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

    /// What happened in a period, `[from, to)`, to the tickets that you may see, counted. Not for customers.
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
        let (views, within) = (Arc::clone(&session.views), session.within());
        let work = move |stop: &Stop| {
            views.report_until(&within, period, &instants, &|| stop.is_wanted()).ok_or_else(EngineError::unwanted)
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

async fn find(session: &Session, id: &ID) -> Result<Option<Node>, Error> {
    if let Some(place) = id.strip_prefix("entry_") {
        return entry(session, place).await;
    }
    if let Some(id) = local_id::<CommitId>("commit", id) {
        return commit(session, id).await;
    }
    let Some((kind, _)) = id.split_once('_') else { return Ok(None) };
    Ok(match kind {
        "ticket" => local_id::<TicketId>(kind, id).and_then(|id| Ticket::seen(session, id)).map(Node::Ticket),
        "queue" => local_id::<QueueKey>(kind, id).and_then(|key| Queue::seen(session, &key)).map(Node::Queue),
        "team" => local_id::<TeamKey>(kind, id).and_then(|key| Team::seen(session, &key)).map(Node::Team),
        "agent" => local_id::<AgentKey>(kind, id).and_then(|key| Agent::seen(session, &key)).map(Node::Agent),
        "category" => {
            local_id::<CategoryKey>(kind, id).and_then(|key| Category::seen(session, &key)).map(Node::Category)
        }
        "customer" => local_id::<CustomerId>(kind, id).and_then(|id| Customer::seen(session, id)).map(Node::Customer),
        "status" => local_id::<String>(kind, id).and_then(|key| Status::seen(session, &key)).map(Node::Status),
        "policy" => local_id::<PolicyKey>(kind, id).and_then(|key| Policy::seen(session, &key)).map(Node::Policy),
        "calendar" => {
            local_id::<CalendarKey>(kind, id).and_then(|key| Calendar::seen(session, &key)).map(Node::Calendar)
        }
        "field" => local_id::<FieldKey>(kind, id).and_then(|key| FieldDefinition::seen(session, &key)).map(Node::Field),
        "token" => local_id::<TokenId>(kind, id).and_then(|id| Token::seen(session, id)).map(Node::Token),
        "desk" => Desk::seen(session).filter(|desk| desk.global_id() == *id).map(Node::Desk),
        _ => None,
    })
}

/// The commit of an id, when the session may read the log and its moment has it.
async fn commit(session: &Session, id: CommitId) -> Result<Option<Node>, Error> {
    if !session.can(Action::Read, Resource::Log) {
        return Ok(None);
    }
    let (log, moment) = (Arc::clone(session.engine.log()), session.views.position());
    let read = session.engine.beside(move || {
        let Some(position) = log.find(id)?.filter(|position| *position <= moment) else { return Ok(None) };
        Ok(log.read_all(Position::new(position.get() - 1), 1)?.into_iter().next())
    });
    let commit = read.await.map_err(|error| top_level(&error))?;
    Ok(commit.map(|commit| Node::Commit(Commit { commit })))
}

/// The entry at a place, `position.index`, of a timeline that the session may see.
async fn entry(session: &Session, place: &str) -> Result<Option<Node>, Error> {
    let Some(position) = place.split_once('.').and_then(|(position, _)| position.parse::<u64>().ok()) else {
        return Ok(None);
    };
    if position == 0 || position > session.views.position().get() {
        return Ok(None);
    }
    let log = Arc::clone(session.engine.log());
    let read = session.engine.beside(move || Ok(log.read_all(Position::new(position - 1), 1)?)).await;
    let commits = read.map_err(|error| top_level(&error))?;
    let Some(StreamId::Ticket(ticket)) = commits.first().map(|commit| commit.stream) else { return Ok(None) };
    if Ticket::seen(session, ticket).is_none() {
        return Ok(None);
    }
    let wanted = global_id("entry", place);
    let entries = timeline::entries(session, &commits).into_iter().map(|(_, entry)| entry);
    Ok(entries.into_iter().find(|entry| *entry.global_id() == wanted).map(of_its_kind))
}

/// An entry as its own kind: one that stood inside of another interface would not be known by its name.
fn of_its_kind(entry: TimelineEntry) -> Node {
    match entry {
        TimelineEntry::Opening(entry) => Node::Opening(entry),
        TimelineEntry::Message(entry) => Node::Message(entry),
        TimelineEntry::Note(entry) => Node::Note(entry),
        TimelineEntry::Call(entry) => Node::Call(entry),
        TimelineEntry::Assignment(entry) => Node::Assignment(entry),
        TimelineEntry::Queue(entry) => Node::Transfer(entry),
        TimelineEntry::Status(entry) => Node::StatusChange(entry),
        TimelineEntry::Escalation(entry) => Node::Escalation(entry),
        TimelineEntry::Sla(entry) => Node::Sla(entry),
        TimelineEntry::Change(entry) => Node::Change(entry),
    }
}
