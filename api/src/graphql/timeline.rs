//! A ticket's history as one interface. What each kind of entry has stands with its capability, in `ticket/`.

use std::sync::Arc;

use async_graphql::{ID, Interface, SimpleObject, Union};
use docket_core::{
    event::{self, Commit, Event},
    ticket::TicketEvent,
};

use super::{
    Session,
    people::{Agent, Customer},
    relay::{connection, global_id},
    scalars::{BigInt, DateTime},
    ticket::{
        assignment::{self, AssignmentEntry, QueueEntry},
        conversation::{self, CallEntry, MessageEntry, NoteEntry},
        details::{self, ChangeEntry},
        escalation::{self, EscalationEntry, SlaEntry},
        opening::{self, OpeningEntry},
        status::{self, StatusEntry},
    },
};
use crate::engine::{Action, Resource};

/// Somebody who configures the desk, known by the label of the token.
#[derive(SimpleObject, Debug, Clone)]
pub struct Administrator {
    /// Label of the administrator's token; `local` for the command line.
    pub name: String,
}

/// Docket itself, a program, an auditor, an import, or somebody who is not shown to you.
#[derive(SimpleObject, Debug, Clone)]
pub struct System {
    /// What people read: `Docket`, the label of a token, `import of …`, `the desk`, `another customer`.
    pub name: String,
}

/// Who did something.
#[derive(Union, Debug, Clone)]
pub enum Actor {
    /// An agent of the desk.
    Agent(Agent),
    /// A customer.
    Customer(Customer),
    /// An administrator.
    Administrator(Administrator),
    /// Docket itself, an import, or somebody who is not shown to you.
    System(System),
}

impl Actor {
    /// The name that people read.
    pub fn name(&self) -> String {
        match self {
            Self::Agent(agent) => agent.display_name(),
            Self::Customer(customer) => customer.display_name(),
            Self::Administrator(administrator) => administrator.name.clone(),
            Self::System(system) => system.name.clone(),
        }
    }

    /// Whoever did it, as the session may know it.
    pub fn of(session: &Session, actor: &event::Actor) -> Self {
        // Who sees the thing at all was decided before; here it is about what is internal.
        let internal = session.can(Action::ReadInternal, Resource::Figures);
        let system = |name: &str| Self::System(System { name: name.to_owned() });
        match actor {
            event::Actor::Customer(id) => match Customer::seen(session, *id) {
                Some(customer) => Self::Customer(customer),
                None if internal => system(&actor.to_string()),
                None => system("another customer"),
            },
            _ if !internal => system("the desk"),
            event::Actor::Agent(key) => match Agent::seen(session, key) {
                Some(agent) => Self::Agent(agent),
                None => system(&actor.to_string()),
            },
            event::Actor::Administrator(label) => Self::Administrator(Administrator { name: label.clone() }),
            event::Actor::System => system("Docket"),
            event::Actor::Auditor(label) | event::Actor::Service(label) => system(label),
            event::Actor::Imported(source) => system(&format!("import of {source}")),
            event::Actor::Unknown(name) => system(name),
        }
    }
}

/// What all entries have.
#[derive(SimpleObject, Debug, Clone)]
pub struct Entry {
    /// Global id of the entry.
    pub id: ID,
    /// Position of the entry's commit in the log.
    pub position: BigInt,
    /// When it happened.
    pub occurred_at: DateTime,
    /// When Docket learned of it.
    pub recorded_at: DateTime,
    /// Who did it.
    pub actor: Actor,
}

/// Gives a kind of entry what the interface asks of it.
macro_rules! entry_fields {
    ($name:ident) => {
        #[allow(clippy::unused_async, reason = "fields of an interface are asynchronous")]
        impl $name {
            pub async fn id(&self, _: &async_graphql::Context<'_>) -> async_graphql::Result<async_graphql::ID> {
                Ok(self.entry.id.clone())
            }

            pub async fn position(
                &self,
                _: &async_graphql::Context<'_>,
            ) -> async_graphql::Result<crate::graphql::scalars::BigInt> {
                Ok(self.entry.position)
            }

            pub async fn occurred_at(
                &self,
                _: &async_graphql::Context<'_>,
            ) -> async_graphql::Result<crate::graphql::scalars::DateTime> {
                Ok(self.entry.occurred_at)
            }

            pub async fn recorded_at(
                &self,
                _: &async_graphql::Context<'_>,
            ) -> async_graphql::Result<crate::graphql::scalars::DateTime> {
                Ok(self.entry.recorded_at)
            }

            pub async fn actor(
                &self,
                _: &async_graphql::Context<'_>,
            ) -> async_graphql::Result<crate::graphql::timeline::Actor> {
                Ok(self.entry.actor.clone())
            }
        }
    };
}
pub(super) use entry_fields;

/// Something that happened to a ticket. Fields of one name have one type in all kinds, so one query may ask for all of them.
#[allow(clippy::duplicated_attributes, reason = "the fields of an interface are written so")]
#[derive(Interface, Debug, Clone)]
#[graphql(
    field(name = "id", ty = "ID", desc = "Global id of the entry."),
    field(name = "position", ty = "BigInt", desc = "Position of the entry's commit in the log."),
    field(name = "occurred_at", ty = "DateTime", desc = "When it happened."),
    field(name = "recorded_at", ty = "DateTime", desc = "When Docket learned of it."),
    field(name = "actor", ty = "Actor", desc = "Who did it.")
)]
pub enum TimelineEntry {
    /// The opening.
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
    Queue(QueueEntry),
    /// A change of status.
    Status(StatusEntry),
    /// An escalation.
    Escalation(EscalationEntry),
    /// A service level.
    Sla(SlaEntry),
    /// Any other change.
    Change(ChangeEntry),
}

impl TimelineEntry {
    /// The entry's global id.
    pub const fn global_id(&self) -> &ID {
        let entry = match self {
            Self::Opening(e) => &e.entry,
            Self::Message(e) => &e.entry,
            Self::Note(e) => &e.entry,
            Self::Call(e) => &e.entry,
            Self::Assignment(e) => &e.entry,
            Self::Queue(e) => &e.entry,
            Self::Status(e) => &e.entry,
            Self::Escalation(e) => &e.entry,
            Self::Sla(e) => &e.entry,
            Self::Change(e) => &e.entry,
        };
        &entry.id
    }
}

connection!(TimelineConnection, TimelineEdge, TimelineEntry, "entries of a timeline");

/// The entries of these commits that the session may see, with the keys of their places.
pub fn entries(session: &Session, commits: &[Arc<Commit>]) -> Vec<(String, TimelineEntry)> {
    // Who sees the ticket at all was decided before; here it is about what is internal.
    let internal = session.can(Action::ReadInternal, Resource::Figures);
    let dated = commits
        .iter()
        .flat_map(|commit| (0_usize..).zip(&commit.events).map(move |(index, event)| (commit, index, event)));
    dated
        .filter_map(|(commit, index, event)| {
            let Event::Ticket(ticket_event) = &event.event else { return None };
            if !internal && !session.views.desk().desk().shows_customers(ticket_event) {
                return None;
            }
            let head = Entry {
                id: global_id("entry", format!("{}.{index}", commit.position)),
                position: commit.position.into(),
                occurred_at: event.occurred_at.into(),
                recorded_at: commit.recorded_at.into(),
                actor: Actor::of(session, &commit.actor),
            };
            Some((format!("{:020}.{index:05}", commit.position.get()), entry(session, head, ticket_event)?))
        })
        .collect()
}

/// Which capability tells of an event. Objects are reached by their doors, so an entry shows nobody more than `node` does.
fn entry(session: &Session, entry: Entry, event: &TicketEvent) -> Option<TimelineEntry> {
    Some(match event {
        TicketEvent::TicketOpened(e) => opening::opened(entry, e),
        TicketEvent::MessageReceived(e) => conversation::received(session, entry, e),
        TicketEvent::MessageSent(e) => conversation::sent(session, entry, e),
        TicketEvent::NoteAdded(e) => conversation::noted(session, entry, e),
        TicketEvent::CallLogged(e) => conversation::called(session, entry, e),
        TicketEvent::AgentAssigned(e) => assignment::agent(session, entry, Some(&e.agent), e.from.as_ref(), false),
        TicketEvent::AgentUnassigned(e) => assignment::agent(session, entry, None, Some(&e.from), false),
        TicketEvent::ReturnedToQueue(e) => assignment::agent(session, entry, None, Some(&e.from), true),
        TicketEvent::TeamAssigned(e) => assignment::team(session, entry, Some(&e.team), e.from.as_ref()),
        TicketEvent::TeamUnassigned(e) => assignment::team(session, entry, None, Some(&e.from)),
        TicketEvent::QueueChanged(e) => return assignment::transferred(session, entry, e),
        TicketEvent::StatusChanged(e) => status::changed(session, entry, &e.to, &e.from, false),
        TicketEvent::Resolved(e) => status::changed(session, entry, &e.to, &e.from, false),
        TicketEvent::Closed(e) => status::changed(session, entry, &e.to, &e.from, false),
        TicketEvent::Reopened(e) => status::changed(session, entry, &e.to, &e.from, true),
        TicketEvent::PriorityChanged(e) => details::changed(entry, "priority", Some(e.to), Some(e.from)),
        TicketEvent::CategoryChanged(e) => details::changed(entry, "category", e.to.as_ref(), e.from.as_ref()),
        TicketEvent::SubjectChanged(e) => {
            details::changed(entry, "subject", Some(e.to.reveal()), Some(e.from.reveal()))
        }
        TicketEvent::RequesterChanged(e) => {
            let id = |id: Option<_>| id.map(|id: docket_core::ids::CustomerId| global_id("customer", id).to_string());
            details::changed(entry, "requester", id(e.to), id(e.from))
        }
        TicketEvent::FollowerAdded(e) => details::changed(entry, "follower", Some(&e.agent), None),
        TicketEvent::FollowerRemoved(e) => details::changed(entry, "follower", None, Some(&e.agent)),
        TicketEvent::TagAdded(e) => details::changed(entry, "tag", Some(&e.tag), None),
        TicketEvent::TagRemoved(e) => details::changed(entry, "tag", None, Some(&e.tag)),
        TicketEvent::FieldChanged(e) => {
            let (to, from) = (e.to.as_ref().map(|v| v.reveal()), e.from.as_ref().map(|v| v.reveal()));
            details::changed(entry, &format!("field:{}", e.field), to, from)
        }
        TicketEvent::Escalated(e) => escalation::escalated(session, entry, e),
        TicketEvent::EscalationLowered(e) => escalation::lowered(entry, e),
        TicketEvent::SlaApplied(e) => escalation::applied(session, entry, e),
        TicketEvent::SlaWarned(e) => escalation::warned(entry, e),
        TicketEvent::SlaBreached(e) => escalation::breached(entry, e),
    })
}
