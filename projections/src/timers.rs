//! What comes due, earliest first.

use docket_core::{desk::Desk, ids::TicketId, ticket::TimerCommand, time::Timestamp};
use imbl::OrdSet;
use serde::{Deserialize, Serialize};

use crate::tickets::{Change, OfChanges, TicketRow, TicketsView};

/// Something that comes due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerEntry {
    /// When.
    pub at: Timestamp,
    /// The ticket's number.
    pub number: u32,
    /// The ticket.
    pub ticket: TicketId,
    /// What is to be done then.
    pub command: TimerCommand,
}

/// For each ticket with timers the instant of its earliest one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TimersView {
    earliest: OrdSet<(Timestamp, u32)>,
}

impl OfChanges for TimersView {
    fn take(&mut self, change: &Change<'_>) {
        self.moved(change.after.number, change.before.and_then(|before| before.next_timer), change.after.next_timer);
    }
}

impl TimersView {
    /// Notes that a ticket's earliest timer moved.
    pub(crate) fn moved(&mut self, number: u32, from: Option<Timestamp>, to: Option<Timestamp>) {
        if from == to {
            return;
        }
        if let Some(from) = from {
            self.earliest.remove(&(from, number));
        }
        if let Some(to) = to {
            self.earliest.insert((to, number));
        }
    }

    /// When the next timer comes due.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.earliest.get_min().map(|(at, _)| *at)
    }

    /// Tickets that have timers.
    pub fn len(&self) -> usize {
        self.earliest.len()
    }

    /// True when no ticket has a timer.
    pub fn is_empty(&self) -> bool {
        self.earliest.is_empty()
    }

    /// Numbers of the tickets that have timers.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.earliest.iter().map(|(_, number)| *number).collect()
    }

    /// When the first timer comes due of the tickets that are wanted.
    pub(crate) fn next_of(&self, rows: &TicketsView, wanted: impl Fn(&TicketRow) -> bool) -> Option<Timestamp> {
        let mut earliest = self.earliest.iter();
        earliest.find(|(_, number)| rows.by_number(*number).is_some_and(&wanted)).map(|(at, _)| *at)
    }

    /// All timers that are due at or before an instant, of the first `tickets` tickets that are wanted and have one, in order
    /// of their instants.
    pub fn due(
        &self,
        until: Timestamp,
        tickets: usize,
        rows: &TicketsView,
        desk: &Desk,
        wanted: impl Fn(&TicketRow) -> bool,
    ) -> Vec<TimerEntry> {
        let mut entries: Vec<TimerEntry> = self.of_first(until, tickets, rows, desk, wanted).flatten().collect();
        entries.sort();
        entries
    }

    /// Of each of these tickets only the earliest: acting on it may move the others. Only of tickets that are wanted.
    pub fn first_due(
        &self,
        until: Timestamp,
        tickets: usize,
        rows: &TicketsView,
        desk: &Desk,
        wanted: impl Fn(&TicketRow) -> bool,
    ) -> Vec<TimerEntry> {
        let of_tickets = self.of_first(until, tickets, rows, desk, wanted);
        let mut entries: Vec<TimerEntry> = of_tickets.filter_map(|of_ticket| of_ticket.into_iter().next()).collect();
        entries.sort();
        entries
    }

    fn of_first(
        &self,
        until: Timestamp,
        tickets: usize,
        rows: &TicketsView,
        desk: &Desk,
        wanted: impl Fn(&TicketRow) -> bool,
    ) -> impl Iterator<Item = Vec<TimerEntry>> {
        self.earliest
            .iter()
            .take_while(move |(at, _)| *at <= until)
            .filter_map(|(_, number)| rows.by_number(*number))
            .filter(move |row| wanted(row))
            .take(tickets)
            .map(move |row| timers_of(row, desk).into_iter().take_while(|entry| entry.at <= until).collect())
    }
}

/// The timers of a ticket, earliest first.
pub fn timers_of(row: &TicketRow, desk: &Desk) -> Vec<TimerEntry> {
    let entry = |(at, command)| TimerEntry { at, number: row.number, ticket: row.id, command };
    let pick_up = row.pick_up_by.map(|due_at| (due_at, TimerCommand::ReturnToQueue { due_at }));
    let mut entries: Vec<TimerEntry> = row.clocks.timers(desk).into_iter().chain(pick_up).map(entry).collect();
    entries.sort();
    entries
}
