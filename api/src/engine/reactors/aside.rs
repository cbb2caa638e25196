//! Tickets that nothing can be done with for now: whoever works through many tickets sets such a one aside, visibly, and
//! goes on with the others. One bad ticket harms one ticket.

use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
};

use docket_core::{
    ids::{Position, TicketId},
    time::Timestamp,
};

use crate::engine::{Engine, EngineError, chain};

/// A ticket that was set aside is tried again after so long, or as soon as something happens to it.
const AGAIN_AFTER_MS: i64 = 5 * 60 * 1000;

/// A ticket that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Its number; 0 when no view has it.
    pub number: u32,
    /// Its id.
    pub ticket: TicketId,
    /// Why, in words.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// The ticket's version then: another one is reason to try again.
    version: Position,
    /// When it was last tried.
    tried_at: Timestamp,
}

impl SetAside {
    /// When it is tried again.
    const fn again_at(&self) -> Timestamp {
        self.tried_at.plus_millis(AGAIN_AFTER_MS)
    }

    /// True while it is to be left alone. A clock that is behind the last try was set back since, perhaps from far ahead:
    /// the ticket is not to wait until it has come there again.
    fn waits(&self, now: Timestamp) -> bool {
        self.tried_at <= now && now < self.again_at()
    }
}

/// All that were set aside, by ticket.
pub(in crate::engine) type Aside = BTreeMap<TicketId, SetAside>;

impl Engine {
    /// The tickets that are set aside, by number.
    pub fn set_aside(&self) -> Vec<SetAside> {
        let mut all: Vec<SetAside> = self.aside().values().cloned().collect();
        all.sort_by_key(|aside| (aside.number, aside.ticket));
        all
    }

    fn aside(&self) -> MutexGuard<'_, Aside> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True for a ticket that is to be left alone for now.
    pub(super) fn is_aside(&self, ticket: &TicketId, version: Position) -> bool {
        let now = self.now();
        self.aside().get(ticket).is_some_and(|aside| aside.version == version && aside.waits(now))
    }

    /// When the first ticket that was set aside is tried again. Those whose time has come have just been tried, and would be
    /// here with a later one if that had failed: they are forgotten.
    pub(super) fn again_at(&self) -> Option<Timestamp> {
        let now = self.now();
        let mut aside = self.aside();
        aside.retain(|_, aside| aside.waits(now));
        aside.values().map(SetAside::again_at).min()
    }

    /// Sets a ticket aside.
    pub(super) fn put_aside(&self, ticket: TicketId, reason: String) {
        let (views, now) = (self.views(), self.now());
        let row = views.tickets().by_id(&ticket);
        let number = row.map_or(0, |row| row.number);
        tracing::warn!(number, %ticket, reason, "a ticket was set aside");
        let version = row.map_or(Position::START, |row| row.version);
        let mut aside = self.aside();
        let since = aside.get(&ticket).map_or(now, |before| before.since);
        aside.insert(ticket, SetAside { number, ticket, reason, since, version, tried_at: now });
    }

    /// Nothing stands against the ticket any more.
    fn take_back(&self, ticket: &TicketId) {
        self.aside().remove(ticket);
    }

    /// What came of a command among many: `None` when it was about this ticket alone that it failed, which is set aside then.
    ///
    /// # Errors
    /// When the failure concerns all: nothing can be stored, the views have stopped.
    pub(in crate::engine) fn or_aside<T>(
        &self,
        ticket: TicketId,
        done: Result<T, EngineError>,
    ) -> Result<Option<T>, EngineError> {
        match done {
            Ok(done) => {
                self.take_back(&ticket);
                Ok(Some(done))
            }
            Err(
                error @ (EngineError::Rejected { .. }
                | EngineError::Ticket { .. }
                | EngineError::Conflict { .. }
                | EngineError::Internal(_)
                | EngineError::KeyReused { .. }
                | EngineError::Content(_)),
            ) => {
                self.put_aside(ticket, chain(&error));
                Ok(None)
            }
            Err(
                error @ (EngineError::Forbidden { .. }
                | EngineError::Unavailable(_)
                | EngineError::Busy { .. }
                | EngineError::Views(_)
                | EngineError::Read(_)),
            ) => Err(error),
        }
    }
}
