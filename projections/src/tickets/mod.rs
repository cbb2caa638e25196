//! Tickets as rows addressed by number, with a bitmap for everything that can be filtered by and an index for every order.

mod change;
mod counters;
mod filter;
mod index;
mod page;
mod row;
mod within;

use std::sync::Arc;

use docket_core::{
    desk::{Desk, LeavingKind},
    ids::{AgentKey, CategoryKey, CustomerId, Position, QueueKey, StatusKey, TeamKey, TicketId},
    sla::Clocks,
    ticket::{ExternalReference, StatusCategory, TicketEvent},
    time::Timestamp,
};
use imbl::{OrdMap, OrdSet, Vector};
use serde::{Deserialize, Serialize};

use crate::{names::Names, set::TicketSet, timers::timers_of};

use change::Standing;
use index::SetIndex;
use row::Numbered;

pub(crate) use change::{Change, OfChanges};
pub use counters::QueueCounters;
pub use filter::TicketFilter;
pub use page::{Cursor, Direction, InvalidCursor, Order, Page, PageRequest};
pub use row::TicketRow;
pub use within::{Scopes, Within};

/// All tickets.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TicketsView {
    /// Ticket n is element n - 1.
    rows: Vector<TicketRow>,
    by_id: OrdMap<TicketId, u32>,
    by_external: OrdMap<ExternalReference, u32>,
    /// Queues that tickets were ever in.
    pub queues: Names<QueueKey>,
    /// Teams that tickets were ever given to.
    pub teams: Names<TeamKey>,
    /// Agents that tickets were ever given to.
    pub agents: Names<AgentKey>,
    /// Statuses that tickets ever had.
    pub statuses: Names<StatusKey>,
    /// Categories that tickets ever had.
    pub categories: Names<CategoryKey>,
    /// Tags that tickets ever had.
    pub tags: Names<String>,
    all: TicketSet,
    by_status: SetIndex,
    by_status_category: SetIndex,
    by_priority: SetIndex,
    by_channel: SetIndex,
    by_queue: SetIndex,
    by_agent: SetIndex,
    unassigned: TicketSet,
    by_team: SetIndex,
    by_category: SetIndex,
    by_tag: SetIndex,
    by_requester: OrdMap<CustomerId, TicketSet>,
    by_due: OrdSet<(Timestamp, u32)>,
    without_due: TicketSet,
    by_activity: OrdSet<(Position, u32)>,
}

/// A ticket whose earliest timer moved though nothing happened to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retimed {
    pub(crate) number: u32,
    pub(crate) from: Option<Timestamp>,
    pub(crate) to: Option<Timestamp>,
}

impl TicketsView {
    /// A ticket by its number.
    pub fn by_number(&self, number: u32) -> Option<&TicketRow> {
        self.rows.get(number.checked_sub(1)? as usize)
    }

    /// A ticket by its id.
    pub fn by_id(&self, id: &TicketId) -> Option<&TicketRow> {
        self.by_number(*self.by_id.get(id)?)
    }

    /// A ticket by its name in another system.
    pub fn by_external(&self, reference: &ExternalReference) -> Option<&TicketRow> {
        self.by_number(*self.by_external.get(reference)?)
    }

    /// Tickets whose name in any other system is this one.
    pub fn by_external_key<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a TicketRow> {
        self.by_external.iter().filter(move |(r, _)| r.key == key).filter_map(|(_, n)| self.by_number(*n))
    }

    /// All tickets in the order of their numbers.
    pub fn rows(&self) -> impl Iterator<Item = &TicketRow> {
        self.rows.iter()
    }

    /// How many tickets there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Folds one event and says what it did, to whatever else follows tickets. `None` for an event of a ticket that was
    /// never opened.
    pub(crate) fn apply<'a>(
        &'a mut self,
        id: TicketId,
        event: &'a TicketEvent,
        at: Timestamp,
        position: Position,
        desk: &Desk,
    ) -> Option<Change<'a>> {
        let opens = matches!(event, TicketEvent::TicketOpened(_)) && !self.by_id.contains_key(&id);
        let (number, before) = if opens {
            (self.open(id, event, at, position)?, None)
        } else {
            let number = *self.by_id.get(&id)?;
            (number, Some(Standing::of(self.by_number(number)?)))
        };
        let names = Numbered::of(self, event);
        let row = self.rows.get_mut(number.checked_sub(1)? as usize)?;
        row.take(event, at, &names);
        row.version = position;
        row.updated_at = row.updated_at.max(at);
        if desk.shows_customers(event) {
            row.public_version = position;
            row.public_at = row.public_at.max(at);
        }
        if Clocks::concerned_by(event) {
            Arc::make_mut(&mut row.clocks).evolve(event, at, desk);
            row.due_at = row.clocks.next_due();
        }
        row.next_timer = timers_of(row, desk).first().map(|timer| timer.at);
        let standing = Standing::of(row);
        self.reindex(number, before.as_ref(), &standing);
        self.retag(number, event, names.tag);
        Some(Change { event, at, before, after: self.by_number(number)? })
    }

    fn open(&mut self, id: TicketId, event: &TicketEvent, at: Timestamp, position: Position) -> Option<u32> {
        let TicketEvent::TicketOpened(e) = event else { return None };
        let number = u32::try_from(self.rows.len()).ok()?.checked_add(1)?;
        let row = TicketRow {
            number,
            id,
            version: position,
            subject: e.subject.clone(),
            status: self.statuses.number(&e.status.key),
            status_category: e.status.category,
            priority: e.priority,
            channel: e.channel,
            queue: self.queues.number(&e.queue),
            agent: None,
            team: None,
            category: e.category.as_ref().map(|category| self.categories.number(category)),
            requester: e.requester,
            external: e.external.clone().map(Box::new),
            tags: Vec::new(),
            followers: Vec::new(),
            escalation_level: 0,
            opened_at: at,
            updated_at: at,
            public_version: position,
            public_at: at,
            first_response_at: None,
            first_resolved_at: None,
            resolved_at: None,
            closed_at: None,
            reopenings: 0,
            waited_ms: 0,
            waiting_since: (e.status.category == StatusCategory::Waiting).then_some(at),
            waited_until_resolved_ms: 0,
            due_at: None,
            pick_up_by: None,
            next_timer: None,
            clocks: Arc::default(),
        };
        self.by_id.insert(id, number);
        if let Some(external) = &e.external {
            self.by_external.insert(external.clone(), number);
        }
        self.rows.push_back(row);
        self.all.insert(number);
        self.unassigned.insert(number);
        self.without_due.insert(number);
        Some(number)
    }

    /// The unfinished tickets that name a part of the desk.
    pub(crate) fn unfinished_of(&self, kind: LeavingKind, key: &str) -> TicketSet {
        fn set<'a, K: std::str::FromStr + Ord + Clone>(
            names: &Names<K>,
            index: &'a SetIndex,
            key: &str,
        ) -> Option<&'a TicketSet> {
            index.get(names.find(&key.parse().ok()?)?)
        }
        let named = match kind {
            LeavingKind::Queue => set(&self.queues, &self.by_queue, key),
            LeavingKind::Agent => set(&self.agents, &self.by_agent, key),
            LeavingKind::Team => set(&self.teams, &self.by_team, key),
            LeavingKind::Category => set(&self.categories, &self.by_category, key),
            LeavingKind::Status => set(&self.statuses, &self.by_status, key),
        };
        let open = StatusCategory::ALL.into_iter().filter(|category| !category.is_done());
        let unfinished = self.by_status_category.union_of(open.map(|category| category as u32));
        named.map_or_else(TicketSet::default, |named| named.intersection(&unfinished))
    }

    /// Tickets that are neither resolved nor closed, in the order of their numbers.
    pub fn unfinished(&self) -> impl Iterator<Item = &TicketRow> {
        let done = [StatusCategory::Resolved as u32, StatusCategory::Closed as u32];
        let done = self.by_status_category.union_of(done.into_iter());
        self.rows.iter().filter(move |row| !done.contains(row.number))
    }

    /// Reckons the timers of tickets anew: a calendar in which people are told of deadlines has changed.
    pub(crate) fn retime(&mut self, numbers: impl Iterator<Item = u32>, desk: &Desk) -> Vec<Retimed> {
        let retimed = numbers.filter_map(|number| {
            let row = self.rows.get_mut(number.checked_sub(1)? as usize)?;
            let from = row.next_timer;
            row.next_timer = timers_of(row, desk).first().map(|timer| timer.at);
            (from != row.next_timer).then_some(Retimed { number, from, to: row.next_timer })
        });
        retimed.collect()
    }
}
