//! What time causes. What is due is a view of the log, so there is no cursor to lose: whatever was acted on is due no longer.

use docket_core::{event::CauseKind, ticket::TicketCommand, time::Timestamp};
use docket_projections::{TicketRow, Views};

use super::{Item, Reactor};

/// The timers of tickets: warnings, breaches, steps of escalations, returns to the queue.
pub(super) struct Timers;

impl Reactor for Timers {
    fn name(&self) -> &'static str {
        "timers"
    }

    fn cause(&self) -> CauseKind {
        CauseKind::Timer
    }

    fn due(&self, views: &Views, until: Timestamp, most: usize, wanted: &dyn Fn(&TicketRow) -> bool) -> Vec<Item> {
        let entries = views.first_due(until, most, wanted).into_iter();
        let items = entries.filter_map(|entry| {
            let seen = views.tickets().by_number(entry.number)?.version;
            // It happened when it was due, however late it is seen.
            Some(Item { ticket: entry.ticket, seen, at: entry.at, command: TicketCommand::Timer(entry.command) })
        });
        items.collect()
    }

    fn next_at(&self, views: &Views, wanted: &dyn Fn(&TicketRow) -> bool) -> Option<Timestamp> {
        views.next_timer(wanted)
    }
}
