//! All views at one position.

use docket_core::{
    desk::{Change, Desk},
    event::{Commit, Event},
    ids::{CommitId, Position, StreamId},
    ticket::ExternalReference,
    time::Timestamp,
};
use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    desk::DeskView,
    people::PeopleView,
    projection::Projection,
    reapply::Reapplication,
    report::{Report, ReportPeriod, ReportView},
    tickets::{OfChanges, QueueCounters, TicketRow, TicketsView, Within},
    timers::{TimerEntry, TimersView},
};

/// All views at one position. A copy costs a few pointers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Views {
    position: Position,
    /// The commit at `position`: a snapshot of another log is known by it.
    commit: Option<CommitId>,
    desk: DeskView,
    tickets: TicketsView,
    timers: TimersView,
    report: ReportView,
    people: PeopleView,
    /// Commits and events folded.
    commits: u64,
    events: u64,
    /// Events of types that this program does not know, by type.
    unknown: OrdMap<String, u64>,
}

impl Views {
    /// Position of the last commit folded.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The last commit folded.
    pub const fn commit(&self) -> Option<CommitId> {
        self.commit
    }

    /// The desk.
    pub const fn desk(&self) -> &DeskView {
        &self.desk
    }

    /// The tickets.
    pub const fn tickets(&self) -> &TicketsView {
        &self.tickets
    }

    /// The timers.
    pub const fn timers(&self) -> &TimersView {
        &self.timers
    }

    /// Customers and tokens.
    pub const fn people(&self) -> &PeopleView {
        &self.people
    }

    /// How many events were folded.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Events of types that this program does not know, by type, with their counts.
    pub fn unknown_events(&self) -> impl Iterator<Item = (&str, u64)> {
        self.unknown.iter().map(|(name, count)| (name.as_str(), *count))
    }

    /// A report over all tickets.
    pub fn report(&self, period: ReportPeriod, backlog_at: &[Timestamp]) -> Report {
        self.report.report(&Within::EVERYTHING, period, backlog_at, &self.tickets, &|| false)
    }

    /// A report over the tickets of a scope, for somebody who may go away: `None` once `stop` says true, which is asked now and then.
    pub fn report_until(
        &self,
        within: &Within,
        period: ReportPeriod,
        backlog_at: &[Timestamp],
        stop: &dyn Fn() -> bool,
    ) -> Option<Report> {
        let report = self.report.report(within, period, backlog_at, &self.tickets, stop);
        // What was cut short is none.
        (!stop()).then_some(report)
    }

    /// The earliest timer of each of at most so many tickets that have one at or before an instant, of those that are
    /// wanted.
    pub fn first_due(&self, until: Timestamp, tickets: usize, wanted: impl Fn(&TicketRow) -> bool) -> Vec<TimerEntry> {
        self.timers.first_due(until, tickets, &self.tickets, self.desk.desk(), wanted)
    }

    /// When the first timer comes due of the tickets that are wanted.
    pub fn next_timer(&self, wanted: impl Fn(&TicketRow) -> bool) -> Option<Timestamp> {
        self.timers.next_of(&self.tickets, wanted)
    }

    /// What is due at or before an instant, of at most so many tickets of a scope.
    pub fn due(&self, within: &Within, until: Timestamp, tickets: usize) -> Vec<TimerEntry> {
        self.timers.due(until, tickets, &self.tickets, self.desk.desk(), |row| within.holds(row.number))
    }

    /// What changes of the desk would do to open tickets if policies were applied anew after them.
    pub fn effect_of(&self, changes: &[Change], now: Timestamp) -> Reapplication {
        let mut desk = Desk::clone(self.desk.desk());
        for change in changes {
            desk.evolve(&change.event, self.position.next());
        }
        self.reapplication(&desk, now)
    }

    /// What a queue holds.
    pub fn queue_counters(&self, queue: &docket_core::ids::QueueKey, now: Timestamp) -> QueueCounters {
        self.tickets.queue_counters(queue, now)
    }

    /// A ticket by whatever a person calls it: its number, its id, or its name in another system.
    pub fn find_ticket(&self, name: &str) -> Option<&TicketRow> {
        if let Ok(number) = name.trim_start_matches('#').parse()
            && let Some(row) = self.tickets.by_number(number)
        {
            return Some(row);
        }
        if let Ok(id) = name.parse() {
            return self.tickets.by_id(&id);
        }
        if let Some((source, key)) = name.split_once(':') {
            let reference = ExternalReference { source: source.to_owned(), key: key.to_owned() };
            if let Some(row) = self.tickets.by_external(&reference) {
                return Some(row);
            }
        }
        let number = self.tickets.by_external_key(name).next().map(|row| row.number)?;
        self.tickets.by_number(number)
    }

    /// The same views always give the same bytes: a rebuilt set is compared with the live one by them.
    ///
    /// # Errors
    /// Never for views that were made by folding.
    pub fn to_bytes(&self) -> Result<Vec<u8>, rmp_serde::encode::Error> {
        rmp_serde::to_vec(self)
    }

    /// SHA-256 of [`Views::to_bytes`], hexadecimal.
    ///
    /// # Errors
    /// As [`Views::to_bytes`].
    pub fn fingerprint(&self) -> Result<String, rmp_serde::encode::Error> {
        self.to_bytes().map(|bytes| hex::encode(Sha256::digest(bytes)))
    }
}

impl Projection for Views {
    fn apply(&mut self, commit: &Commit) {
        self.desk.apply(commit);
        self.people.apply(commit);
        if self.desk.told_otherwise_by(commit) {
            for moved in self.tickets.retime(self.timers.numbers().into_iter(), self.desk.desk()) {
                self.timers.moved(moved.number, moved.from, moved.to);
            }
        }
        for event in &commit.events {
            match (&event.event, commit.stream) {
                (Event::Ticket(ticket_event), StreamId::Ticket(id)) => {
                    let at = event.occurred_at;
                    let change = self.tickets.apply(id, ticket_event, at, commit.position, self.desk.desk());
                    let Some(change) = change else { continue };
                    self.timers.take(&change);
                    self.report.take(&change);
                }
                (Event::Unknown { type_name, .. }, _) => {
                    *self.unknown.entry(type_name.clone()).or_insert(0) += 1;
                }
                (Event::Ticket(_) | Event::Customer(_) | Event::Desk(_) | Event::Access(_) | Event::Request(_), _) => {}
            }
        }
        self.position = commit.position;
        self.commit = Some(commit.id);
        self.commits += 1;
        self.events += commit.events.len() as u64;
    }
}
