//! The command path: principal → authorise → load → decide → append → durable → views → answer.
//!
//! `access` says who may do what, `keys` what an idempotency key is bound to, `commands` how a ticket is worked on, `desk` and
//! `people` how the desk, customers and tokens are changed, `reads` how the log is read without holding up anybody,
//! `service_levels` what many tickets need at once, `reactors` what acts by itself, `presence` what is true for moments only.

mod access;
mod commands;
mod desk;
mod error;
mod keys;
mod people;
mod presence;
mod reactors;
mod reads;
mod service_levels;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

pub use access::{Principal, Reader, must, new_secret, readers, secret_sha256};
pub use commands::Done;
pub use desk::{Applied, NotMoved, compare_desk};
pub use docket_core::access::{Action, Resource};
use docket_core::{
    event::{Actor, Cause, CauseKind},
    ids::{Position, StreamId, TicketId, TokenId},
    ticket::Ticket,
    time::Timestamp,
};
use docket_projections::{LiveViews, Scopes, Views, Within};
use docket_store::{ContentStore, EventLog, Follower, Page, ReadError};
pub use error::{EngineError, chain};
pub use keys::IdempotencyKey;
pub use people::{Issued, NewCustomer, is_here};
pub use presence::Looker;
pub use reactors::{ReactorStatus, SetAside};
pub use reads::{History, Stop};
pub use service_levels::{Reapplied, explanations, latest, supposed};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::clock::Clock;

/// How long a command waits for its own commit to reach the views.
const VIEW_WAIT: Duration = Duration::from_secs(10);
/// A command that commutes is decided again after conflicts for so long. Every round somebody gets through, so this is
/// reached only by a ticket that hundreds write to at once.
const RETRY_FOR: Duration = Duration::from_secs(5);
/// Commands of timers and of policies applied anew that wait for the disk together: enough to share its syncs, and few
/// beside what clients send.
const TOGETHER: usize = 64;
/// Folded tickets kept at most.
const CACHED_TICKETS: usize = 4096;

/// The engine. Cheap to share.
pub struct Engine {
    log: Arc<dyn EventLog>,
    views: Arc<LiveViews>,
    content: ContentStore,
    clock: Arc<dyn Clock>,
    tickets: Mutex<HashMap<TicketId, Loaded>>,
    /// When each token last let somebody in: lost with the engine on purpose.
    used: Mutex<HashMap<TokenId, Timestamp>>,
    /// Who is looking at what: lost with the engine on purpose.
    presence: Mutex<presence::Presence>,
    /// Tickets of scopes that were asked for last.
    scopes: Scopes,
    /// Tickets that nothing can be done with for now.
    aside: Mutex<reactors::Aside>,
    /// Histories that were read last.
    histories: Mutex<reads::Histories>,
    /// Reads that may wait for the disk, so many at once.
    reads: Arc<Semaphore>,
    /// Questions that keep a core busy, so many at once.
    turns: Arc<Semaphore>,
    /// Answers to subscribers that are made, so many at once.
    subscribers: Arc<Semaphore>,
    stopping: watch::Sender<bool>,
}

/// Reads of the log and of stored texts at once. More would only make the disk seek.
const READS: usize = 16;
/// Expensive questions at once: reports, "what if", reads of the whole log.
const TURNS: usize = 2;
/// Answers to subscribers that are made at once. Hundreds may have the whole log to read: whoever asks something else waits
/// for these few, not for all of them.
const SUBSCRIBERS: usize = 2;

/// The right to read and answer for one subscriber; given back when dropped.
#[derive(Debug)]
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

/// A folded ticket and the version that it was folded to.
#[derive(Debug, Clone)]
struct Loaded {
    version: Position,
    ticket: Option<Arc<Ticket>>,
    /// The latest instant in its stream.
    latest: Timestamp,
}

impl Default for Loaded {
    /// Of a ticket that is not there yet.
    fn default() -> Self {
        Self { version: Position::START, ticket: None, latest: Timestamp::MIN }
    }
}

/// How a command is to be carried out.
#[derive(Debug, Clone)]
pub struct Request {
    /// The ticket's version that the caller saw. A command with one is never decided again on another.
    pub expected: Option<Position>,
    /// The same key of the same principal is carried out once, for ever.
    pub idempotency_key: Option<IdempotencyKey>,
    /// When it happened, when not now. An instant before the ticket's latest one becomes that one: instants of a stream
    /// never fall behind.
    pub occurred_at: Option<Timestamp>,
    /// Why.
    pub cause: Cause,
}

impl Default for Request {
    fn default() -> Self {
        Self { expected: None, idempotency_key: None, occurred_at: None, cause: Cause::of(CauseKind::Request) }
    }
}

impl Engine {
    /// An engine over a log and a set of views that somebody lets follow it ([`LiveViews::follow`]).
    pub fn new(
        log: Arc<dyn EventLog>,
        views: Arc<LiveViews>,
        content: ContentStore,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            log,
            views,
            content,
            clock,
            tickets: Mutex::default(),
            used: Mutex::default(),
            presence: Mutex::default(),
            scopes: Scopes::default(),
            aside: Mutex::default(),
            histories: Mutex::default(),
            reads: Arc::new(Semaphore::new(READS)),
            turns: Arc::new(Semaphore::new(TURNS)),
            subscribers: Arc::new(Semaphore::new(SUBSCRIBERS)),
            stopping: watch::Sender::new(false),
        })
    }

    /// Waits for a subscriber's turn: in the order in which they ask.
    pub async fn subscribers_turn(&self) -> Turn {
        // It is never closed; without it nobody would be kept waiting.
        Turn { _permit: Arc::clone(&self.subscribers).acquire_owned().await.ok() }
    }

    /// The log.
    pub fn log(&self) -> &Arc<dyn EventLog> {
        &self.log
    }

    /// The views as they move.
    pub fn live_views(&self) -> &Arc<LiveViews> {
        &self.views
    }

    /// The views of this moment.
    pub fn views(&self) -> Arc<Views> {
        self.views.now()
    }

    /// The tickets that a principal sees at the moment of these views.
    pub fn within(&self, principal: &Principal, views: &Views) -> Within {
        self.scopes.within(views.tickets(), &principal.rights(views).scope())
    }

    /// The present instant.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets timers and subscriptions end.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Changes to true when the engine is to stop.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Follows the log from after a position, in small pages: there may be many who do.
    ///
    /// # Errors
    /// When the log has not come to it.
    pub fn follow(&self, after: Position) -> Result<Follower, ReadError> {
        Follower::new(Arc::clone(&self.log), after, Page::SMALL)
    }

    /// The views once they show a position.
    ///
    /// # Errors
    /// When they do not reach it in time.
    pub async fn views_at(&self, position: Position, wait: Duration) -> Result<Arc<Views>, EngineError> {
        match tokio::time::timeout(wait, self.views.at_least(position)).await {
            Ok(views) => Ok(views?),
            Err(_) => {
                let reached = self.views().position();
                Err(docket_projections::ViewError::Behind { reached, wanted: position }.into())
            }
        }
    }
}

/// Who acts, as it is stored with what they do.
#[derive(Debug, Clone)]
struct Acting {
    actor: Actor,
    token: Option<TokenId>,
    /// Whose rights decide; nobody's for Docket itself, which does what is due.
    bearer: Option<Principal>,
    /// What idempotency keys are kept apart by: two principals may use the same key.
    key_space: String,
}

impl Acting {
    /// Docket itself: timers.
    fn system() -> Self {
        Self { actor: Actor::System, token: None, bearer: None, key_space: "timer".into() }
    }
}

impl From<&Principal> for Acting {
    fn from(principal: &Principal) -> Self {
        let key_space = match &principal.token {
            Some(token) => token.to_string(),
            None => principal.label.clone(),
        };
        Self { actor: principal.actor(), token: principal.token, bearer: Some(principal.clone()), key_space }
    }
}

/// What the log has of a request: new, or by an earlier one with the same key.
#[derive(Debug, Clone)]
struct Stored {
    /// What it was about.
    stream: StreamId,
    /// Where it stands.
    position: Position,
    /// The commit of the earlier request that this one repeats.
    earlier: Option<Arc<docket_core::event::Commit>>,
}
