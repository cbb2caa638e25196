//! What a queue holds, counted.

use docket_core::{ids::QueueKey, ticket::StatusCategory, time::Timestamp};

use super::{TicketsView, index::SetIndex};
use crate::set::TicketSet;

/// What a queue holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueCounters {
    /// Tickets in all.
    pub total: u64,
    /// By the category of their status, in the order of [`StatusCategory::ALL`].
    pub by_category: [u64; 7],
    /// Neither resolved nor closed.
    pub unfinished: u64,
    /// Unfinished without an assignee.
    pub unassigned: u64,
    /// Past a deadline.
    pub overdue: u64,
    /// When the oldest unfinished one was opened.
    pub oldest_unfinished_at: Option<Timestamp>,
}

impl TicketsView {
    /// What a queue holds at an instant.
    pub fn queue_counters(&self, queue: &QueueKey, now: Timestamp) -> QueueCounters {
        let empty = TicketSet::default();
        let set = self.queues.find(queue).and_then(|queue| self.by_queue.get(queue)).unwrap_or(&empty);
        let count = |index: &SetIndex, name: u32| index.get(name).map_or(0, |other| set.intersection_len(other));
        let by_category = StatusCategory::ALL.map(|category| count(&self.by_status_category, category as u32));
        let done: TicketSet = self
            .by_status_category
            .union_of([StatusCategory::Resolved as u32, StatusCategory::Closed as u32].into_iter());
        let unassigned_done = self.unassigned.intersection(&done).intersection_len(set);
        let overdue = self.by_due.range(..(now, 0)).filter(|(_, number)| set.contains(*number)).count() as u64;
        let oldest = set
            .iter()
            .filter(|number| !done.contains(*number))
            .find_map(|number| self.by_number(number))
            .map(|row| row.opened_at);
        QueueCounters {
            total: set.len(),
            by_category,
            unfinished: set.len() - set.intersection_len(&done),
            unassigned: set.intersection_len(&self.unassigned) - unassigned_done,
            overdue,
            oldest_unfinished_at: oldest,
        }
    }
}
