//! What hangs on the parts of a desk that leave: unfinished tickets, tokens, followers. Counted before it happens, and the
//! tickets found that are to be moved.

use docket_core::{
    access::Role,
    desk::{AgentDefinition, Change, DeskEvent, LeavingKind, QueueRight},
    ids::TicketId,
};
use serde::Serialize;

use crate::{
    set::TicketSet,
    tickets::{TicketRow, Within},
    views::Views,
};

/// What hangs on a part that leaves, or on the queues that an agent loses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Departure {
    /// Kind of part, for example `queue`.
    pub kind: &'static str,
    /// Its key.
    pub key: String,
    /// Unfinished tickets that name it: waiting in the queue, assigned to the agent, measured by the policy.
    pub tickets: u64,
    /// Tokens that hold no longer: those of an agent.
    pub tokens: u64,
    /// Unfinished tickets that the agent follows.
    pub followed: u64,
}

impl Departure {
    /// True when something hangs on it.
    pub const fn matters(&self) -> bool {
        self.tickets > 0 || self.tokens > 0 || self.followed > 0
    }
}

impl std::fmt::Display for Departure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            (self.tickets, "unfinished ticket", "unfinished tickets"),
            (self.followed, "ticket followed", "tickets followed"),
            (self.tokens, "token ends", "tokens end"),
        ];
        let said = parts.iter().filter(|(n, ..)| *n > 0).map(|(n, one, many)| {
            let words = if *n == 1 { one } else { many };
            format!("{n} {words}")
        });
        write!(f, "{}", said.collect::<Vec<_>>().join(", "))
    }
}

impl Views {
    /// What hangs on the parts that these changes retire, one for each such part, and on the queues that they take from agents.
    pub fn departures(&self, changes: &[Change]) -> Vec<Departure> {
        let departure = |change: &Change| {
            if change.verb == "retire" {
                Some(self.departure(change.kind, &change.key))
            } else if let DeskEvent::AgentDefined(defined) = &change.event {
                Some(self.shut_out(&defined.agent)).filter(Departure::matters)
            } else {
                None
            }
        };
        changes.iter().filter_map(departure).collect()
    }

    /// What an agent has or follows in queues that the agent does not work in, or see, by a new definition.
    fn shut_out(&self, agent: &AgentDefinition) -> Departure {
        let right = |row: &TicketRow| {
            self.tickets().queues.name(row.queue).map_or(QueueRight::None, |queue| agent.right_in(queue))
        };
        let held = self.held_by(LeavingKind::Agent, agent.key.as_str());
        let held = held.iter().filter_map(|number| self.tickets().by_number(number));
        let number = self.tickets().agents.find(&agent.key);
        let follows = |row: &&TicketRow| number.is_some_and(|number| row.followers.contains(&number));
        let everywhere = agent.queues.is_none();
        let unseen = || self.tickets().unfinished().filter(follows).filter(|row| right(row) < QueueRight::Read);
        Departure {
            kind: "agent",
            key: agent.key.to_string(),
            tickets: held.filter(|row| right(row) < QueueRight::Work).count() as u64,
            tokens: 0,
            followed: if everywhere { 0 } else { unseen().count() as u64 },
        }
    }

    fn departure(&self, kind: &'static str, key: &str) -> Departure {
        let tickets = match kind {
            "queue" => self.held_by(LeavingKind::Queue, key).len(),
            "agent" => self.held_by(LeavingKind::Agent, key).len(),
            "team" => self.held_by(LeavingKind::Team, key).len(),
            "category" => self.held_by(LeavingKind::Category, key).len(),
            "status" => self.held_by(LeavingKind::Status, key).len(),
            "policy" => self
                .tickets()
                .unfinished()
                .filter(|row| row.clocks.pins.iter().any(|pin| pin.policy.as_ref().is_some_and(|p| p.as_str() == key)))
                .count() as u64,
            // Fields and calendars: what was filled or measured stays as it is.
            _ => 0,
        };
        let (mut tokens, mut followed) = (0, 0);
        if kind == "agent" {
            let own = |role: &Role| role.agent().is_some_and(|agent| agent.as_str() == key);
            tokens = self.people().tokens().filter(|token| !token.revoked && own(&token.role)).count() as u64;
            if let Ok(agent) = key.parse()
                && let Some(number) = self.tickets().agents.find(&agent)
            {
                followed = self.tickets().unfinished().filter(|row| row.followers.contains(&number)).count() as u64;
            }
        }
        Departure { kind, key: key.to_owned(), tickets, tokens, followed }
    }

    /// The unfinished tickets that name a part.
    fn held_by(&self, kind: LeavingKind, key: &str) -> TicketSet {
        self.tickets().unfinished_of(kind, key)
    }

    /// True when unfinished tickets of a scope name a part.
    pub fn holds_unfinished(&self, within: &Within, kind: LeavingKind, key: &str) -> bool {
        !within.of(self.held_by(kind, key)).is_empty()
    }

    /// The unfinished tickets that name a part, by id, in the order of their numbers.
    pub fn tickets_of(&self, kind: LeavingKind, key: &str) -> Vec<TicketId> {
        let held = self.held_by(kind, key);
        held.iter().filter_map(|number| self.tickets().by_number(number)).map(|row| row.id).collect()
    }
}
