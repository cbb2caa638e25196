//! Which tickets are wanted, and the set of them.

use std::collections::BTreeSet;

use docket_core::{
    ids::{AgentKey, CategoryKey, CustomerId, QueueKey, StatusKey, TeamKey},
    ticket::{Channel, Priority, StatusCategory},
    time::Timestamp,
};

use super::{TicketsView, Within};
use crate::set::TicketSet;

/// Which tickets are wanted: every part that is set must hold; a list holds when the ticket has one of its values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TicketFilter {
    /// Statuses.
    pub statuses: Option<Vec<StatusKey>>,
    /// Categories of statuses.
    pub status_categories: Option<Vec<StatusCategory>>,
    /// Priorities.
    pub priorities: Option<Vec<Priority>>,
    /// Channels of the opening.
    pub channels: Option<Vec<Channel>>,
    /// Queues.
    pub queues: Option<Vec<QueueKey>>,
    /// Assignees.
    pub agents: Option<Vec<AgentKey>>,
    /// Has no assignee, or has one.
    pub unassigned: Option<bool>,
    /// Teams.
    pub teams: Option<Vec<TeamKey>>,
    /// Categories.
    pub categories: Option<Vec<CategoryKey>>,
    /// Tags; a ticket must have all of them.
    pub tags: Option<BTreeSet<String>>,
    /// Who asked.
    pub requester: Option<CustomerId>,
    /// The earliest deadline lies before this instant.
    pub due_before: Option<Timestamp>,
    /// Opened at or after this instant.
    pub opened_from: Option<Timestamp>,
    /// Opened before this instant.
    pub opened_before: Option<Timestamp>,
}

impl TicketFilter {
    /// True when answering it looks at tickets one by one instead of at sets of them.
    pub const fn walks_rows(&self) -> bool {
        self.due_before.is_some() || self.opened_from.is_some() || self.opened_before.is_some()
    }
}

impl TicketsView {
    /// Those tickets within a scope that match.
    pub fn select(&self, within: &Within, filter: &TicketFilter) -> TicketSet {
        let mut selected: Option<TicketSet> = None;
        let mut narrow = |set: TicketSet| {
            selected = Some(match &selected {
                None => set,
                Some(so_far) => so_far.intersection(&set),
            });
        };
        macro_rules! by {
            ($wanted:expr, $index:ident, $number:expr) => {
                if let Some(wanted) = &$wanted {
                    narrow(self.$index.union_of(wanted.iter().filter_map($number)));
                }
            };
        }
        by!(filter.statuses, by_status, |s| self.statuses.find(s));
        by!(filter.status_categories, by_status_category, |c| Some(*c as u32));
        by!(filter.priorities, by_priority, |p| Some(*p as u32));
        by!(filter.channels, by_channel, |c| Some(*c as u32));
        by!(filter.queues, by_queue, |q| self.queues.find(q));
        by!(filter.agents, by_agent, |a| self.agents.find(a));
        by!(filter.teams, by_team, |t| self.teams.find(t));
        by!(filter.categories, by_category, |c| self.categories.find(c));
        if let Some(unassigned) = filter.unassigned {
            if unassigned {
                narrow(self.unassigned.clone());
            } else {
                narrow(self.by_agent.union_of(0..u32::try_from(self.by_agent.0.len()).unwrap_or(u32::MAX)));
            }
        }
        for tag in filter.tags.iter().flatten() {
            let set = self.tags.find(tag).and_then(|tag| self.by_tag.get(tag));
            narrow(set.cloned().unwrap_or_default());
        }
        if let Some(requester) = &filter.requester {
            narrow(self.by_requester.get(requester).cloned().unwrap_or_default());
        }
        if let Some(before) = filter.due_before {
            let mut due = TicketSet::default();
            self.by_due.range(..(before, 0)).for_each(|(_, number)| due.insert(*number));
            narrow(due);
        }
        // Whatever is asked for, neither counts nor cursors tell of what lies outside of the scope.
        let selected = match selected {
            Some(selected) => within.of(selected),
            None => within.set().unwrap_or(&self.all).clone(),
        };
        if filter.opened_from.is_none() && filter.opened_before.is_none() {
            return selected;
        }
        let mut opened = TicketSet::default();
        for row in selected.iter().filter_map(|number| self.by_number(number)) {
            if filter.opened_from.is_none_or(|from| row.opened_at >= from)
                && filter.opened_before.is_none_or(|before| row.opened_at < before)
            {
                opened.insert(row.number);
            }
        }
        opened
    }
}
