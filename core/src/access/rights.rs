//! What a role may do at a moment of the desk: one table for queries, commands and subscriptions alike, and the scope of
//! tickets that lists and counts are cut to.

use std::collections::{BTreeMap, BTreeSet};

use super::event::Role;
use crate::{
    desk::{Desk, QueueRight},
    ids::{CustomerId, QueueKey},
};

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// See it.
    Read,
    /// See what is meant for the desk alone: notes, assignments, SLA clocks.
    ReadInternal,
    /// Write to the desk as the customer, or open a ticket for oneself.
    Ask,
    /// Add an internal note.
    Note,
    /// Work on it: answer, assign, change.
    Work,
    /// Configure the desk, make and revoke tokens.
    Administer,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 6] = [Self::Read, Self::ReadInternal, Self::Ask, Self::Note, Self::Work, Self::Administer];

    const fn reads(self) -> bool {
        matches!(self, Self::Read | Self::ReadInternal)
    }
}

/// What it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// A ticket of this requester in this queue.
    Ticket {
        /// Who asked.
        requester: Option<CustomerId>,
        /// Where it waits.
        queue: &'a QueueKey,
    },
    /// What is counted of a queue.
    Counters(&'a QueueKey),
    /// All tickets at once: what is reckoned over the whole log, and what acts on all of them by itself.
    AllTickets,
    /// This customer.
    Customer(CustomerId),
    /// The parts of the desk that everybody may see: its name, queues, statuses, categories, fields.
    Desk,
    /// The desk's people and policies, and what is due and reported of the tickets in scope.
    Figures,
    /// The raw event log.
    Log,
    /// Tokens.
    Tokens,
}

/// Which tickets somebody sees. Lists, counts and reports are cut to it before anything is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Everything,
    /// Those that are in one of these queues now.
    Queues(BTreeSet<QueueKey>),
    /// Those of this requester.
    Requester(CustomerId),
}

impl Scope {
    /// True when a ticket of this requester in this queue belongs to it.
    pub fn covers(&self, requester: Option<CustomerId>, queue: &QueueKey) -> bool {
        match self {
            Self::Everything => true,
            Self::Queues(queues) => queues.contains(queue),
            Self::Requester(own) => requester == Some(*own),
        }
    }
}

/// What a role may do at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Rights<'a> {
    role: &'a Role,
    /// What the agent may do in each queue.
    queues: InQueues<'a>,
}

/// In which queues an agent may do something.
#[derive(Debug, Clone, Copy)]
enum InQueues<'a> {
    /// In all of them, and work there.
    All,
    /// In these.
    These(&'a BTreeMap<QueueKey, QueueRight>),
    /// In none: the desk never had such an agent.
    None,
}

impl<'a> Rights<'a> {
    /// What a role may do with this desk.
    pub fn of(role: &'a Role, desk: &'a Desk) -> Self {
        let queues = match role {
            Role::Agent(agent) | Role::LightAgent(agent) => match desk.agents.get(agent) {
                None => InQueues::None,
                Some(agent) => agent.definition.queues.as_ref().map_or(InQueues::All, InQueues::These),
            },
            Role::Administrator
            | Role::Supervisor(_)
            | Role::Customer(_)
            | Role::CustomerManager(_)
            | Role::Auditor
            | Role::Service => InQueues::All,
        };
        Self { role, queues }
    }

    /// True when it may be done.
    pub fn can(&self, action: Action, resource: Resource<'_>) -> bool {
        match self.role {
            Role::Administrator => true,
            Role::Auditor => action.reads(),
            // Whoever works with tickets needs neither the log nor tokens: they hold what no queue does.
            Role::Supervisor(_) | Role::Service => {
                action != Action::Administer && !matches!(resource, Resource::Log | Resource::Tokens)
            }
            Role::Agent(_) => action != Action::Administer && self.reaches(action, resource),
            Role::LightAgent(_) => match resource {
                Resource::Ticket { .. } => (action.reads() || action == Action::Note) && self.reaches(action, resource),
                Resource::Counters(_)
                | Resource::AllTickets
                | Resource::Customer(_)
                | Resource::Desk
                | Resource::Figures
                | Resource::Log
                | Resource::Tokens => action.reads() && self.reaches(action, resource),
            },
            Role::Customer(own) | Role::CustomerManager(own) => {
                matches!(action, Action::Read | Action::Ask)
                    && match resource {
                        Resource::Ticket { requester, .. } => requester == Some(*own),
                        Resource::Customer(customer) => customer == *own,
                        Resource::Desk => true,
                        Resource::Counters(_)
                        | Resource::AllTickets
                        | Resource::Figures
                        | Resource::Log
                        | Resource::Tokens => false,
                    }
            }
        }
    }

    /// Which tickets the role sees.
    pub fn scope(&self) -> Scope {
        match (self.role.customer(), self.queues) {
            (Some(own), _) => Scope::Requester(own),
            (None, InQueues::All) => Scope::Everything,
            (None, InQueues::None) => Scope::Queues(BTreeSet::new()),
            (None, InQueues::These(queues)) => {
                let seen = queues.iter().filter(|(_, right)| **right >= QueueRight::Read);
                Scope::Queues(seen.map(|(queue, _)| queue.clone()).collect())
            }
        }
    }

    /// True when an agent's queues let it be done, whatever the kind of agent.
    fn reaches(&self, action: Action, resource: Resource<'_>) -> bool {
        let right = |queue: &QueueKey| match self.queues {
            InQueues::All => QueueRight::Work,
            InQueues::These(queues) => queues.get(queue).copied().unwrap_or(QueueRight::None),
            InQueues::None => QueueRight::None,
        };
        let needed = if action.reads() { QueueRight::Read } else { QueueRight::Work };
        match resource {
            Resource::Ticket { queue, .. } | Resource::Counters(queue) => right(queue) >= needed,
            Resource::AllTickets => matches!(self.queues, InQueues::All),
            Resource::Customer(_) | Resource::Desk | Resource::Figures => true,
            Resource::Log | Resource::Tokens => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        desk::{AgentDefined, AgentDefinition},
        ids::{AgentKey, Position},
    };

    fn queue(key: &str) -> QueueKey {
        QueueKey::try_new(key).unwrap()
    }

    /// A desk whose agent Ann works in one queue and reads another, and whose agent Bob works in all.
    fn desk() -> Desk {
        let mut desk = Desk::default();
        let queues = [("work", QueueRight::Work), ("read", QueueRight::Read), ("none", QueueRight::None)];
        let of_ann = queues.into_iter().map(|(key, right)| (queue(key), right)).collect();
        for (key, queues) in [("ann", Some(of_ann)), ("bob", None)] {
            let agent =
                AgentDefinition { key: AgentKey::try_new(key).unwrap(), name: key.into(), teams: vec![], queues };
            desk.evolve(&AgentDefined { agent }.into(), Position::new(1));
        }
        desk
    }

    fn customer(n: u64) -> CustomerId {
        CustomerId::new(ulid::Ulid::from_parts(n, 1))
    }

    fn roles() -> Vec<Role> {
        let agent = |key: &str| AgentKey::try_new(key).unwrap();
        vec![
            Role::Administrator,
            Role::Supervisor(agent("ann")),
            Role::Agent(agent("bob")),
            Role::Agent(agent("ann")),
            Role::LightAgent(agent("ann")),
            Role::Agent(agent("nobody")),
            Role::Customer(customer(1)),
            Role::CustomerManager(customer(1)),
            Role::Auditor,
            Role::Service,
        ]
    }

    #[test]
    fn the_table_of_rights_is_this_one() {
        let (work, read, none, other) = (queue("work"), queue("read"), queue("none"), queue("other"));
        let ticket = |owner, queue| Resource::Ticket { requester: owner, queue };
        // One letter for each action that is allowed: read, internal, ask, note, work, administer. One column each for the
        // administrator, the supervisor, an agent of all queues, one with rights by queue, the same as light agent, an agent
        // whom the desk does not know, the customer, the same as manager, the auditor and a service.
        let table: [(&str, Resource<'_>, &str); 13] = [
            ("own in work", ticket(Some(customer(1)), &work), "rianwA rianw rianw rianw rin - ra ra ri rianw"),
            ("other's in work", ticket(Some(customer(2)), &work), "rianwA rianw rianw rianw rin - - - ri rianw"),
            ("nobody's in work", ticket(None, &work), "rianwA rianw rianw rianw rin - - - ri rianw"),
            ("in read", ticket(None, &read), "rianwA rianw rianw ri ri - - - ri rianw"),
            ("in none", ticket(None, &none), "rianwA rianw rianw - - - - - ri rianw"),
            ("in another", ticket(None, &other), "rianwA rianw rianw - - - - - ri rianw"),
            ("counters", Resource::Counters(&read), "rianwA rianw rianw ri ri - - - ri rianw"),
            ("all tickets", Resource::AllTickets, "rianwA rianw rianw - - - - - ri rianw"),
            ("own self", Resource::Customer(customer(1)), "rianwA rianw rianw rianw ri rianw ra ra ri rianw"),
            ("desk", Resource::Desk, "rianwA rianw rianw rianw ri rianw ra ra ri rianw"),
            ("figures", Resource::Figures, "rianwA rianw rianw rianw ri rianw - - ri rianw"),
            ("log", Resource::Log, "rianwA - - - - - - - ri -"),
            ("tokens", Resource::Tokens, "rianwA - - - - - - - ri -"),
        ];
        let desk = desk();
        for (name, resource, expected) in table {
            let allowed = |role: &Role| {
                let rights = Rights::of(role, &desk);
                let allowed =
                    Action::ALL.iter().zip("rianwA".chars()).filter(|(action, _)| rights.can(**action, resource));
                let letters: String = allowed.map(|(_, letter)| letter).collect();
                if letters.is_empty() { "-".to_owned() } else { letters }
            };
            assert_eq!(roles().iter().map(allowed).collect::<Vec<_>>().join(" "), expected, "{name}");
        }
    }

    #[test]
    fn a_scope_covers_just_the_tickets_that_may_be_read() {
        let desk = desk();
        for role in roles() {
            let rights = Rights::of(&role, &desk);
            for key in ["work", "read", "none", "other"] {
                for requester in [None, Some(customer(1)), Some(customer(2))] {
                    let queue = queue(key);
                    let may = rights.can(Action::Read, Resource::Ticket { requester, queue: &queue });
                    assert_eq!(rights.scope().covers(requester, &queue), may, "{role:?} {key} {requester:?}");
                }
            }
        }
    }
}
