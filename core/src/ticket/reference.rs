//! What commands refer to, and the one place where that is looked up: queues, teams, agents, customers, categories, fields,
//! statuses and stored texts.
//!
//! A command declares its references beside its meaning ([`TicketCommand::refers_to`]); [`check_references`] is asked by
//! `decide` before any rule is. What can be named is one of three: it is there, it was retired (history may name it, nobody
//! can choose it any more), or it never was.

use std::fmt;

use super::{
    command::{LogCall, Message, Note, StatusWish, TicketCommand},
    decide::Context,
};
use crate::{
    desk::Defined,
    ids::{AgentKey, CategoryKey, CustomerId, FieldKey, QueueKey, StatusKey, TeamKey},
    personal::Body,
    rejection::Rejection,
};

/// How a thing that somebody names stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is there and can be chosen.
    Present,
    /// It was, and cannot be chosen any more.
    Retired,
    /// There is no such thing.
    Missing,
}

/// What a decision looks up that is no part of the desk. Views implement it; `core` itself reads nothing.
pub trait Directory: fmt::Debug + Sync {
    /// How a customer stands.
    fn customer(&self, id: CustomerId) -> Standing;

    /// How a stored text stands, by its name in the content store.
    fn content(&self, sha256: &str) -> Standing;
}

/// A directory for whoever has looked before, or makes what it names: tests, measurements, readers of histories.
#[derive(Debug, Clone, Copy, Default)]
pub struct Everything;

impl Directory for Everything {
    fn customer(&self, _: CustomerId) -> Standing {
        Standing::Present
    }

    fn content(&self, _: &str) -> Standing {
        Standing::Present
    }
}

/// Something that a command names, and the input that named it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference<'a> {
    /// A queue.
    Queue(&'a QueueKey),
    /// A team.
    Team(&'a TeamKey),
    /// An agent.
    Agent(&'a AgentKey),
    /// A category.
    Category(&'a CategoryKey),
    /// A custom field.
    Field(&'a FieldKey),
    /// A status.
    Status(&'a StatusKey),
    /// A customer, by the input that names one.
    Customer(CustomerId, &'static str),
    /// A text in the content store, by its name there.
    Content(&'a str),
}

fn content(body: Option<&Body>) -> Option<Reference<'_>> {
    match body? {
        Body::Stored { sha256, .. } => Some(Reference::Content(sha256)),
        Body::Inline(_) => None,
    }
}

fn some<'a>(references: impl IntoIterator<Item = Option<Reference<'a>>>) -> Vec<Reference<'a>> {
    references.into_iter().flatten().collect()
}

impl TicketCommand {
    /// Everything that the command names. What takes something away names nothing: one may always let go of what was
    /// retired.
    pub fn refers_to(&self) -> Vec<Reference<'_>> {
        match self {
            Self::Open(opening) => some([
                opening.queue.as_ref().map(Reference::Queue),
                opening.category.as_ref().map(Reference::Category),
                opening.requester.map(|id| Reference::Customer(id, "requester")),
            ]),
            Self::Receive { message: Message { body, .. }, from } => {
                some([from.map(|id| Reference::Customer(id, "from")), content(Some(body))])
            }
            Self::Send { message: Message { body, .. }, agent } => {
                some([agent.as_ref().map(Reference::Agent), content(Some(body))])
            }
            Self::AddNote { note: Note { body, .. }, agent } => {
                some([agent.as_ref().map(Reference::Agent), content(Some(body))])
            }
            Self::LogCall(LogCall { from, agent, summary, .. }) => some([
                from.map(|id| Reference::Customer(id, "from")),
                agent.as_ref().map(Reference::Agent),
                content(summary.as_ref()),
            ]),
            Self::AssignAgent(agent) => some([agent.as_ref().map(Reference::Agent)]),
            Self::AssignTeam(team) => some([team.as_ref().map(Reference::Team)]),
            Self::Transfer(queue) => vec![Reference::Queue(queue)],
            Self::SetStatus(StatusWish::Key(key)) => vec![Reference::Status(key)],
            Self::SetCategory(category) => some([category.as_ref().map(Reference::Category)]),
            Self::SetRequester(customer) => some([customer.map(|id| Reference::Customer(id, "requester"))]),
            Self::SetField { field, value: Some(_) } => vec![Reference::Field(field)],
            Self::Follow(agent) => vec![Reference::Agent(agent)],
            Self::SetStatus(StatusWish::Category(_))
            | Self::SetPriority(_)
            | Self::SetSubject(_)
            | Self::AddTag(_)
            | Self::RemoveTag(_)
            | Self::SetField { value: None, .. }
            | Self::Unfollow(_)
            | Self::Escalate(_)
            | Self::ReapplyPolicies
            | Self::Timer(_) => vec![],
        }
    }
}

/// Looks up everything that a command names.
///
/// # Errors
/// For the first thing that is not there or was retired, with the input that named it.
pub fn check_references(command: &TicketCommand, context: &Context<'_>) -> Result<(), Rejection> {
    command.refers_to().into_iter().try_for_each(|reference| check(reference, context))
}

fn check(reference: Reference<'_>, context: &Context<'_>) -> Result<(), Rejection> {
    fn part<T>(part: Option<&Defined<T>>) -> Standing {
        match part {
            None => Standing::Missing,
            Some(part) if part.retired => Standing::Retired,
            Some(_) => Standing::Present,
        }
    }
    let desk = context.desk;
    let (what, input, key, standing) = match reference {
        Reference::Queue(key) => ("queue", "queue", key.to_string(), part(desk.queues.get(key))),
        Reference::Team(key) => ("team", "team", key.to_string(), part(desk.teams.get(key))),
        Reference::Agent(key) => ("agent", "agent", key.to_string(), part(desk.agents.get(key))),
        Reference::Category(key) => ("category", "category", key.to_string(), part(desk.categories.get(key))),
        Reference::Field(key) => ("field", "field", key.to_string(), part(desk.fields.get(key))),
        Reference::Status(key) => ("status", "status", key.to_string(), part(desk.statuses.get(key))),
        Reference::Customer(id, input) => ("customer", input, id.to_string(), context.directory.customer(id)),
        Reference::Content(name) => ("stored text", "body", name.to_owned(), context.directory.content(name)),
    };
    match standing {
        Standing::Present => Ok(()),
        Standing::Retired => Err(Rejection::Retired { what, input, key }),
        Standing::Missing => Err(Rejection::NotFound { what, input, key }),
    }
}
