//! Which tickets are asked for, and in which order.

use async_graphql::{Enum, Error, ID, InputObject};
use docket_core::{
    desk::Desk,
    ids::{AgentKey, CategoryKey, CustomerId, QueueKey, StatusKey, TeamKey},
};
use docket_projections::TicketFilter as CoreFilter;

use crate::graphql::{
    Session,
    asked::short,
    error::bad_input,
    people::Customer,
    relay::local_id,
    scalars::DateTime,
    words::{Channel, Priority, StatusCategory},
};

/// Which tickets: every member that is given must hold, and what it names must be there; a list holds when the ticket has one of its values. Customers cannot
/// ask by what is hidden from them: `statuses`, `agents`, `unassigned`, `teams`, `tags`, `dueBefore`.
#[derive(InputObject, Debug, Clone, Default)]
pub struct TicketFilter {
    /// Ids or keys of statuses.
    statuses: Option<Vec<ID>>,
    /// Categories of statuses.
    status_categories: Option<Vec<StatusCategory>>,
    /// Priorities.
    priorities: Option<Vec<Priority>>,
    /// Channels of the opening.
    channels: Option<Vec<Channel>>,
    /// Ids or keys of queues.
    queues: Option<Vec<ID>>,
    /// Ids or keys of assignees.
    agents: Option<Vec<ID>>,
    /// True for tickets without an assignee, false for those with one.
    unassigned: Option<bool>,
    /// Ids or keys of teams.
    teams: Option<Vec<ID>>,
    /// Ids or keys of categories.
    categories: Option<Vec<ID>>,
    /// Tags; a ticket must have all of them.
    tags: Option<Vec<String>>,
    /// Id of the customer who asked.
    requester: Option<ID>,
    /// The earliest deadline of the ticket lies before this instant.
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
    pub field: TicketOrderField,
    /// Which end first.
    #[graphql(default_with = "OrderDirection::Asc")]
    pub direction: OrderDirection,
}

impl TicketFilter {
    /// The first part that asks about what is hidden from customers: what one may not see cannot be filtered by, or its values
    /// could be asked out one by one.
    pub const fn hidden_from_customers(&self) -> Option<&'static str> {
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

    /// The filter in the words of the views.
    ///
    /// # Errors
    /// When it names what is not there, or not for the session: an empty page would look like an answer.
    pub fn to_core(&self, session: &Session) -> Result<CoreFilter, Error> {
        let desk = session.views.desk().desk();
        let requester = match &self.requester {
            None => None,
            Some(id) => {
                let customer = local_id::<CustomerId>("customer", id).or_else(|| id.parse().ok());
                let seen = customer.filter(|id| Customer::seen(session, *id).is_some());
                Some(seen.ok_or_else(|| unknown("requester", "customer", id))?)
            }
        };
        Ok(CoreFilter {
            statuses: named(desk, "statuses", "status", self.statuses.as_deref(), |d, k: &StatusKey| {
                d.statuses.contains_key(k)
            })?,
            status_categories: self.status_categories.as_ref().map(|all| all.iter().map(|c| (*c).into()).collect()),
            priorities: self.priorities.as_ref().map(|all| all.iter().map(|p| (*p).into()).collect()),
            channels: self.channels.as_ref().map(|all| all.iter().map(|c| (*c).into()).collect()),
            queues: named(desk, "queues", "queue", self.queues.as_deref(), |d, k: &QueueKey| d.queues.contains_key(k))?,
            agents: named(desk, "agents", "agent", self.agents.as_deref(), |d, k: &AgentKey| d.agents.contains_key(k))?,
            unassigned: self.unassigned,
            teams: named(desk, "teams", "team", self.teams.as_deref(), |d, k: &TeamKey| d.teams.contains_key(k))?,
            categories: named(desk, "categories", "category", self.categories.as_deref(), |d, k: &CategoryKey| {
                d.categories.contains_key(k)
            })?,
            tags: self.tags.as_ref().map(|tags| tags.iter().cloned().collect()),
            requester,
            due_before: self.due_before.map(|at| at.0),
            opened_from: self.opened_from.map(|at| at.0),
            opened_before: self.opened_before.map(|at| at.0),
        })
    }
}

/// The keys that a member of the filter names by id or key, each of which the desk must have or have had.
fn named<K: std::str::FromStr>(
    desk: &Desk,
    member: &str,
    kind: &str,
    ids: Option<&[ID]>,
    there: impl Fn(&Desk, &K) -> bool,
) -> Result<Option<Vec<K>>, Error> {
    let key = |id: &ID| {
        let key = local_id::<K>(kind, id).or_else(|| id.parse().ok());
        key.filter(|key| there(desk, key)).ok_or_else(|| unknown(member, kind, id))
    };
    ids.map(|ids| ids.iter().map(key).collect()).transpose()
}

fn unknown(member: &str, kind: &str, id: &ID) -> Error {
    // Customers are told by their ids alone; what others a desk has is nobody's guess.
    let name = if kind == "customer" { "with this id".to_owned() } else { format!("{:?}", short(id)) };
    bad_input(format!("filter.{member}: there is no {kind} {name}; give its id or key"))
}
