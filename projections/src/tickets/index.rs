//! What rows are found by: a bitmap for each value of each attribute, and sets in the orders that pages are asked for in.

use docket_core::ticket::TicketEvent;
use imbl::Vector;
use serde::{Deserialize, Serialize};

use super::{TicketsView, change::Standing};
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
        TicketSet::union_of(names.filter_map(|name| self.get(name)))
    }
}

impl TicketsView {
    /// Moves a ticket in every index from what it was found by to what it is.
    pub(super) fn reindex(&mut self, number: u32, before: Option<&Standing>, after: &Standing) {
        self.by_status.moved(number, before.map(|b| b.status), Some(after.status));
        let category = |standing: &Standing| standing.status_category as u32;
        self.by_status_category.moved(number, before.map(category), Some(category(after)));
        self.by_priority.moved(number, before.map(|b| b.priority as u32), Some(after.priority as u32));
        self.by_channel.moved(number, before.map(|b| b.channel as u32), Some(after.channel as u32));
        self.by_queue.moved(number, before.map(|b| b.queue), Some(after.queue));
        self.by_team.moved(number, before.and_then(|b| b.team), after.team);
        self.by_category.moved(number, before.and_then(|b| b.category), after.category);
        let agent = before.and_then(|b| b.agent);
        if agent != after.agent {
            self.by_agent.moved(number, agent, after.agent);
            match after.agent {
                Some(_) => self.unassigned.remove(number),
                None => self.unassigned.insert(number),
            }
        }
        let requester = before.and_then(|b| b.requester);
        if requester != after.requester {
            if let Some(set) = requester.and_then(|customer| self.by_requester.get_mut(&customer)) {
                set.remove(number);
            }
            if let Some(customer) = after.requester {
                self.by_requester.entry(customer).or_default().insert(number);
            }
        }
        let due_at = before.and_then(|b| b.due_at);
        if due_at != after.due_at {
            match due_at {
                Some(due) => _ = self.by_due.remove(&(due, number)),
                None => self.without_due.remove(number),
            }
            match after.due_at {
                Some(due) => _ = self.by_due.insert((due, number)),
                None => self.without_due.insert(number),
            }
        }
        let version = before.map(|b| b.version);
        if version != Some(after.version) {
            if let Some(version) = version {
                self.by_activity.remove(&(version, number));
            }
            self.by_activity.insert((after.version, number));
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
