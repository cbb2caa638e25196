//! The tickets of a scope as a set: what every list, count and report is cut to before it counts.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use docket_core::{
    access::{Resource, Scope},
    ids::QueueKey,
};

use super::{TicketRow, TicketsView};
use crate::set::TicketSet;

/// Scopes of queues that are kept at most: a desk has few agents with the same queues, and fewer with other ones.
const KEPT: usize = 256;

/// The tickets that somebody sees at one moment.
#[derive(Debug, Clone)]
pub struct Within(Option<TicketSet>);

impl Within {
    /// All of them.
    pub const EVERYTHING: Self = Self(None);

    /// True when a ticket is one of them.
    pub fn holds(&self, number: u32) -> bool {
        self.0.as_ref().is_none_or(|set| set.contains(number))
    }

    /// Those of a set that are among them.
    pub(crate) fn of(&self, set: TicketSet) -> TicketSet {
        match &self.0 {
            None => set,
            Some(within) => within.intersection(&set),
        }
    }

    /// The set itself; none for all tickets.
    pub(crate) const fn set(&self) -> Option<&TicketSet> {
        self.0.as_ref()
    }
}

impl TicketsView {
    /// What a ticket is to the table of rights.
    pub fn resource(&self, row: &TicketRow) -> Option<Resource<'_>> {
        Some(Resource::Ticket { requester: row.requester, queue: self.queues.name(row.queue)? })
    }

    /// The tickets of a scope.
    pub fn within(&self, scope: &Scope) -> Within {
        Within(match scope {
            Scope::Everything => None,
            Scope::Queues(queues) => Some(TicketSet::union_of(self.sets_of(queues))),
            Scope::Requester(own) => Some(self.by_requester.get(own).cloned().unwrap_or_default()),
        })
    }

    fn sets_of<'a>(&'a self, queues: &'a BTreeSet<QueueKey>) -> impl Iterator<Item = &'a TicketSet> {
        queues.iter().filter_map(|queue| self.by_queue.get(self.queues.find(queue)?))
    }
}

/// Scopes of queues that were asked for last. Putting one together costs as much as a count itself, and it changes only when a
/// ticket comes into one of its queues or leaves it: what did not change is known by its address, and not put together again.
#[derive(Debug, Default)]
pub struct Scopes(Mutex<HashMap<BTreeSet<QueueKey>, Kept>>);

/// What a scope was put together from, and what came of it.
#[derive(Debug)]
struct Kept {
    parts: Vec<TicketSet>,
    union: TicketSet,
}

impl Scopes {
    /// The tickets of a scope in these views, as [`TicketsView::within`] gives them.
    pub fn within(&self, tickets: &TicketsView, scope: &Scope) -> Within {
        let Scope::Queues(queues) = scope else { return tickets.within(scope) };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let parts: Vec<TicketSet> = tickets.sets_of(queues).cloned().collect();
        if let Some(kept) = all.get(queues)
            && kept.parts.len() == parts.len()
            && kept.parts.iter().zip(&parts).all(|(then, now)| then.is_same(now))
        {
            return Within(Some(kept.union.clone()));
        }
        if all.len() >= KEPT {
            all.clear();
        }
        let union = TicketSet::union_of(&parts);
        all.insert(queues.clone(), Kept { parts, union: union.clone() });
        Within(Some(union))
    }
}

#[cfg(test)]
mod tests {
    use docket_core::{
        desk::Desk,
        ids::{Position, TicketId},
        ticket::{QueueChanged, TicketEvent},
        time::Timestamp,
    };

    use super::{super::change::tests::opened, *};

    #[test]
    fn what_is_kept_of_a_scope_follows_the_tickets_that_come_and_go() {
        let queue = |key: &str| QueueKey::try_new(key).unwrap();
        let scope = |keys: &[&str]| Scope::Queues(keys.iter().map(|key| queue(key)).collect());
        let asked = [scope(&[]), scope(&["inbox"]), scope(&["other"]), scope(&["inbox", "other"]), Scope::Everything];
        let (mut view, scopes, at) = (TicketsView::default(), Scopes::default(), Timestamp::from_millis(0));
        let ticket = |n: u64| TicketId::derived(at, &[&n.to_string()]);
        for n in 0..200_u64 {
            let (id, event) = match n % 4 {
                3 => {
                    let moved = QueueChanged { to: queue("other"), from: queue("inbox"), pick_up: None };
                    (ticket(n - 1), TicketEvent::from(moved))
                }
                _ => (ticket(n), opened()),
            };
            view.apply(id, &event, at, Position::new(n + 1), &Desk::default()).unwrap();
            for scope in &asked {
                let (kept, fresh) = (scopes.within(&view, scope), view.within(scope));
                assert_eq!(kept.0, fresh.0, "{scope:?} after {n}");
            }
        }
        assert!(view.within(&asked[2]).set().is_some_and(|other| other.len() == 50));
    }
}
