//! What applying the present versions of the policies anew would do to open tickets, before it is done.

use std::collections::BTreeSet;

use docket_core::{
    desk::Desk,
    ids::TicketId,
    sla::{Clocks, Subject, policies_to_apply},
    ticket::{SlaReason, TicketEvent},
    time::Timestamp,
};
use serde::Serialize;

use crate::{report::DurationStats, tickets::TicketRow, views::Views};

/// The effect on open tickets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reapplication {
    /// Open tickets in all.
    pub open: u64,
    /// Of these, the ones that would get another policy, or another version of a policy or calendar.
    #[serde(skip)]
    pub tickets: Vec<TicketId>,
    /// Tickets whose earliest deadline would come earlier, or begin to be.
    pub earlier: u64,
    /// Tickets whose earliest deadline would come later, or cease to be.
    pub later: u64,
    /// Tickets whose earliest deadline would stay where it is.
    pub unmoved: u64,
    /// How far deadlines would move, whichever way: of those that move, and are there before and after.
    pub shift: DurationStats,
    /// Tickets that would be overdue at once and are not now.
    pub newly_overdue: u64,
    /// Tickets that are overdue now and would not be.
    pub no_longer_overdue: u64,
}

impl Views {
    /// What applying a desk's policies anew would do to open tickets; for a desk that is not yet, too.
    pub fn reapplication(&self, desk: &Desk, now: Timestamp) -> Reapplication {
        let mut effect = Reapplication {
            open: 0,
            tickets: vec![],
            earlier: 0,
            later: 0,
            unmoved: 0,
            shift: DurationStats::of(vec![]),
            newly_overdue: 0,
            no_longer_overdue: 0,
        };
        let mut shifts = Vec::new();
        for row in self.tickets().unfinished() {
            effect.open += 1;
            let Some(after) = self.reapplied(row, desk, now) else { continue };
            let (before, after) = (row.due_at, after.next_due());
            effect.tickets.push(row.id);
            // No deadline is the latest of all.
            let end = |due: Option<Timestamp>| due.unwrap_or(Timestamp::MAX);
            match end(after).cmp(&end(before)) {
                std::cmp::Ordering::Less => effect.earlier += 1,
                std::cmp::Ordering::Equal => effect.unmoved += 1,
                std::cmp::Ordering::Greater => effect.later += 1,
            }
            if let (Some(before), Some(after)) = (before, after)
                && before != after
            {
                shifts.push(after.millis_since(before).abs());
            }
            let overdue = |due: Option<Timestamp>| due.is_some_and(|due| due < now);
            effect.newly_overdue += u64::from(overdue(after) && !overdue(before));
            effect.no_longer_overdue += u64::from(overdue(before) && !overdue(after));
        }
        effect.shift = DurationStats::of(shifts);
        effect
    }

    /// The clocks of a ticket if the desk's policies were applied anew; `None` when nothing would change.
    fn reapplied(&self, row: &TicketRow, desk: &Desk, now: Timestamp) -> Option<Clocks> {
        let tickets = self.tickets();
        let tags: BTreeSet<String> = row.tags.iter().filter_map(|tag| tickets.tags.name(*tag)).cloned().collect();
        let subject = Subject {
            queue: tickets.queues.name(row.queue)?,
            priority: row.priority,
            category: row.category.and_then(|category| tickets.categories.name(category)),
            channel: row.channel,
            team: row.team.and_then(|team| tickets.teams.name(team)),
            tags: &tags,
            by_agent: row.clocks.by_agent(),
        };
        let applied = policies_to_apply(desk, subject, &row.clocks, now, SlaReason::Reapplied);
        if applied.is_empty() {
            return None;
        }
        let mut clocks = Clocks::clone(&row.clocks);
        for event in applied {
            clocks.evolve(&TicketEvent::from(event), now, desk);
        }
        Some(clocks)
    }
}
