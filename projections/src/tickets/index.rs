//! What rows are found by: a bitmap for each value of each attribute, and sets in the orders that pages are asked for in.

use docket_core::{
    ids::{CustomerId, Position},
    ticket::TicketEvent,
    time::Timestamp,
};
use imbl::Vector;
use serde::{Deserialize, Serialize};

use super::{TicketRow, TicketsView};
use crate::set::TicketSet;

/// One bitmap for each number of a table of names.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct SetIndex(pub(super) Vector<TicketSet>);

impl SetIndex {
    pub(super) fn moved(&mut self, number: u32, from: Option<u32>, to: Option<u32>) {
        if from == to {
            return;
        }
        if let Some(set) = from.and_then(|from| self.0.get_mut(from as usize)) {
            set.remove(number);
        }
        if let Some(to) = to {
            while self.0.len() <= to as usize {
                self.0.push_back(TicketSet::default());
            }
            if let Some(set) = self.0.get_mut(to as usize) {
                set.insert(number);
            }
        }
    }

    pub(super) fn get(&self, name: u32) -> Option<&TicketSet> {
        self.0.get(name as usize)
    }

    pub(super) fn union_of(&self, names: impl Iterator<Item = u32>) -> TicketSet {
        names.filter_map(|name| self.get(name)).fold(TicketSet::default(), |all, set| all.union(set))
    }
}

/// What a row is found by.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Keys {
    status: Option<u32>,
    status_category: Option<u32>,
    priority: Option<u32>,
    channel: Option<u32>,
    queue: Option<u32>,
    agent: Option<u32>,
    team: Option<u32>,
    category: Option<u32>,
    requester: Option<CustomerId>,
    due_at: Option<Timestamp>,
    version: Option<Position>,
}

impl Keys {
    /// Those of a ticket that is not there yet.
    pub(super) const NONE: Self = Self {
        status: None,
        status_category: None,
        priority: None,
        channel: None,
        queue: None,
        agent: None,
        team: None,
        category: None,
        requester: None,
        due_at: None,
        version: None,
    };

    pub(super) fn of(row: &TicketRow) -> Self {
        Self {
            status: Some(row.status),
            status_category: Some(row.status_category as u32),
            priority: Some(row.priority as u32),
            channel: Some(row.channel as u32),
            queue: Some(row.queue),
            agent: row.agent,
            team: row.team,
            category: row.category,
            requester: row.requester,
            due_at: row.due_at,
            version: Some(row.version),
        }
    }
}

impl TicketsView {
    /// Moves a ticket in every index from what it was found by to what it is.
    pub(super) fn reindex(&mut self, number: u32, before: &Keys, after: &Keys) {
        self.by_status.moved(number, before.status, after.status);
        self.by_status_category.moved(number, before.status_category, after.status_category);
        self.by_priority.moved(number, before.priority, after.priority);
        self.by_channel.moved(number, before.channel, after.channel);
        self.by_queue.moved(number, before.queue, after.queue);
        self.by_team.moved(number, before.team, after.team);
        self.by_category.moved(number, before.category, after.category);
        if before.agent != after.agent {
            self.by_agent.moved(number, before.agent, after.agent);
            match after.agent {
                Some(_) => self.unassigned.remove(number),
                None => self.unassigned.insert(number),
            }
        }
        if before.requester != after.requester {
            if let Some(set) = before.requester.and_then(|customer| self.by_requester.get_mut(&customer)) {
                set.remove(number);
            }
            if let Some(customer) = after.requester {
                self.by_requester.entry(customer).or_default().insert(number);
            }
        }
        if before.due_at != after.due_at {
            match before.due_at {
                Some(due) => _ = self.by_due.remove(&(due, number)),
                None => self.without_due.remove(number),
            }
            match after.due_at {
                Some(due) => _ = self.by_due.insert((due, number)),
                None => self.without_due.insert(number),
            }
        }
        if before.version != after.version {
            if let Some(version) = before.version {
                self.by_activity.remove(&(version, number));
            }
            if let Some(version) = after.version {
                self.by_activity.insert((version, number));
            }
        }
    }

    /// Moves a ticket in the index of tags, of which a ticket has several.
    pub(super) fn retag(&mut self, number: u32, event: &TicketEvent, tag: Option<u32>) {
        if let TicketEvent::TagAdded(_) = event {
            self.by_tag.moved(number, None, tag);
        } else if let TicketEvent::TagRemoved(_) = event {
            self.by_tag.moved(number, tag, None);
        }
    }
}
