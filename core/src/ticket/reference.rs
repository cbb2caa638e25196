//! What commands refer to, and the one place where that is looked up: queues, teams, agents, customers, categories, fields,
//! statuses and stored texts.
//!
//! A command declares its references beside its meaning (`Rule::refers_to`); [`check_references`] is asked before any rule is.
//! What can be named is one of three: it is there, it was retired (history may name it, nobody
//! can choose it any more), or it never was.

use std::fmt;

use crate::{
    desk::{Defined, Desk},
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
pub(super) enum Reference<'a> {
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

/// The text, when it is one of the content store.
pub(super) fn stored_text(body: Option<&Body>) -> Option<Reference<'_>> {
    match body? {
        Body::Stored { sha256, .. } => Some(Reference::Content(sha256)),
        Body::Inline(_) => None,
    }
}

/// Those of the references that there are.
pub(super) fn named<'a>(references: impl IntoIterator<Item = Option<Reference<'a>>>) -> Vec<Reference<'a>> {
    references.into_iter().flatten().collect()
}

/// Looks up everything that a command names.
///
/// # Errors
/// For the first thing that is not there or was retired, with the input that named it.
pub(super) fn check_references(
    references: Vec<Reference<'_>>,
    desk: &Desk,
    directory: &dyn Directory,
) -> Result<(), Rejection> {
    references.into_iter().try_for_each(|reference| check(reference, desk, directory))
}

fn check(reference: Reference<'_>, desk: &Desk, directory: &dyn Directory) -> Result<(), Rejection> {
    fn part<T>(part: Option<&Defined<T>>) -> Standing {
        match part {
            None => Standing::Missing,
            Some(part) if part.retired => Standing::Retired,
            Some(_) => Standing::Present,
        }
    }
    let (what, input, key, standing) = match reference {
        Reference::Queue(key) => ("queue", "queue", key.to_string(), part(desk.queues.get(key))),
        Reference::Team(key) => ("team", "team", key.to_string(), part(desk.teams.get(key))),
        Reference::Agent(key) => ("agent", "agent", key.to_string(), part(desk.agents.get(key))),
        Reference::Category(key) => ("category", "category", key.to_string(), part(desk.categories.get(key))),
        Reference::Field(key) => ("field", "field", key.to_string(), part(desk.fields.get(key))),
        Reference::Status(key) => ("status", "status", key.to_string(), part(desk.statuses.get(key))),
        Reference::Customer(id, input) => ("customer", input, id.to_string(), directory.customer(id)),
        Reference::Content(name) => ("stored text", "body", name.to_owned(), directory.content(name)),
    };
    match standing {
        Standing::Present => Ok(()),
        Standing::Retired => Err(Rejection::Retired { what, input, key }),
        Standing::Missing => Err(Rejection::NotFound { what, input, key }),
    }
}
