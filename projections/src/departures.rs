//! What hangs on the parts of a desk that leave: unfinished tickets, tokens, followers. Counted before it happens, and the
//! tickets found that are to be moved.

use docket_core::{
    access::{Role, Scope},
    desk::{Change, LeavingKind},
    ids::TicketId,
};
use serde::Serialize;

use crate::{set::TicketSet, views::Views};

/// What hangs on a part that leaves.
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
    /// What hangs on the parts that these changes retire, one for each such part.
    pub fn departures(&self, changes: &[Change]) -> Vec<Departure> {
        let retired = changes.iter().filter(|change| change.verb == "retire");
        retired.map(|change| self.departure(change.kind, &change.key)).collect()
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
    pub fn holds_unfinished(&self, scope: &Scope, kind: LeavingKind, key: &str) -> bool {
        let held = self.held_by(kind, key);
        self.tickets().within(scope).map_or(!held.is_empty(), |within| within.intersection_len(&held) > 0)
    }

    /// The unfinished tickets that name a part, by id, in the order of their numbers.
    pub fn tickets_of(&self, kind: LeavingKind, key: &str) -> Vec<TicketId> {
        let held = self.held_by(kind, key);
        held.iter().filter_map(|number| self.tickets().by_number(number)).map(|row| row.id).collect()
    }
}
