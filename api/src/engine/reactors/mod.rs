//! Reactors: what acts by itself because of what the log says. A reactor only says what there is to do; here it is done, by
//! commands like anybody's, whose decisions check that it is still to be done.
//!
//! - What is left to do is read from the views, which are folds of the log: nothing else remembers how far a reactor came, so
//!   nothing is forgotten or done twice when the process dies.
//! - The id of a commit is derived from the reactor, the version of the ticket that it saw, and the ticket: an attempt whose
//!   outcome is unknown can be made again, and the log answers with the first.
//! - A ticket that cannot be acted on is set aside ([`SetAside`]) and holds up no other; another reactor has its own task.
//! - A replay or a rebuild folds views and never comes here. How far behind a reactor is, is told ([`ReactorStatus`]).

mod aside;
mod timers;

use std::{sync::Arc, time::Duration};

use docket_core::{
    event::{Cause, CauseKind},
    ids::{CommitId, Position, TicketId},
    ticket::TicketCommand,
    time::Timestamp,
};
use docket_projections::{TicketRow, Views};
use futures_util::{StreamExt, future, stream};

use super::{Acting, Engine, EngineError, Request, TOGETHER};

pub(super) use aside::Aside;
pub use aside::SetAside;

/// Items that are taken at once.
const BATCH: usize = 1024;
/// Pause after a failure, so that a broken disk is not asked without end.
const PAUSE: Duration = Duration::from_secs(5);

/// Every reactor.
const REACTORS: [&dyn Reactor; 1] = [&timers::Timers];

/// Something that acts by itself.
trait Reactor: Sync {
    /// Its name, which is part of the ids of its commits and therefore never changes.
    fn name(&self) -> &'static str;

    /// What its commits say they were caused by.
    fn cause(&self) -> CauseKind;

    /// What is to be done at an instant, of at most so many tickets that are wanted: one item of a ticket, the earliest, for
    /// doing it may change the others; in the order of their instants.
    fn due(&self, views: &Views, until: Timestamp, most: usize, wanted: &dyn Fn(&TicketRow) -> bool) -> Vec<Item>;

    /// When there is next something to do of the tickets that are wanted, if nothing happens until then.
    fn next_at(&self, views: &Views, wanted: &dyn Fn(&TicketRow) -> bool) -> Option<Timestamp>;
}

/// One thing to do.
struct Item {
    ticket: TicketId,
    /// The ticket's version when it was seen.
    seen: Position,
    /// When it happens.
    at: Timestamp,
    command: TicketCommand,
}

impl Item {
    fn commit_id(&self, reactor: &str) -> CommitId {
        let parts = ["reactor", reactor, &self.seen.to_string(), &self.ticket.to_string()];
        CommitId::derived(Timestamp::from_millis(0), &parts)
    }
}

/// How a reactor stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactorStatus {
    /// Its name, for example `timers`.
    pub name: &'static str,
    /// When it has next something to do: an instant that is past while it is behind. Tickets that are set aside do not count.
    pub next_at: Option<Timestamp>,
    /// How far it is behind, in milliseconds: 0 when nothing is due.
    pub behind_ms: u64,
}

impl Engine {
    /// Lets all reactors act until the engine stops.
    pub async fn run_reactors(self: Arc<Self>) {
        future::join_all(REACTORS.map(|reactor| self.run_reactor(reactor))).await;
    }

    /// Lets every reactor do once what is due now; says how many commands led to something. What is due of the same tickets
    /// after that is found by the next call.
    ///
    /// # Errors
    /// When nothing can be stored.
    pub async fn act_on_due(&self) -> Result<usize, EngineError> {
        let mut acted = 0;
        for reactor in REACTORS {
            acted += self.react(reactor).await?;
        }
        Ok(acted)
    }

    /// How the reactors stand.
    pub fn reactors(&self) -> Vec<ReactorStatus> {
        let (views, now) = (self.views(), self.now());
        let status = |reactor: &dyn Reactor| {
            let next_at = reactor.next_at(&views, &|row| !self.is_aside(&row.id, row.version));
            let behind = next_at.map_or(0, |at| now.millis_since(at));
            ReactorStatus { name: reactor.name(), next_at, behind_ms: u64::try_from(behind).unwrap_or(0) }
        };
        REACTORS.into_iter().map(status).collect()
    }

    async fn run_reactor(&self, reactor: &dyn Reactor) {
        let mut stopping = self.stopping();
        let mut moved = self.live_views().watch();
        loop {
            if *stopping.borrow_and_update() {
                return;
            }
            moved.borrow_and_update();
            match self.react(reactor).await {
                // There may be more.
                Ok(acted) if acted > 0 => continue,
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(reactor = reactor.name(), %error, "a reactor could not act; trying again shortly");
                    tokio::select! {
                        _ = stopping.changed() => {}
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                    continue;
                }
            }
            // What is due and led to nothing was set aside: what comes next is later, or a ticket's second try.
            let next = reactor.next_at(&self.views(), &|row| !self.is_aside(&row.id, row.version));
            let next = [next, self.again_at()].into_iter().flatten().min();
            let due = async {
                match next {
                    Some(at) => self.clock.sleep_until(at).await,
                    None => future::pending().await,
                }
            };
            tokio::select! {
                _ = stopping.changed() => {}
                changed = moved.changed() => if changed.is_err() { return },
                () = due => {}
            }
        }
    }

    /// Does what is due. Late is fine, twice is harmless. A ticket that cannot be acted on, or of which nothing comes, is set
    /// aside and holds up no other.
    async fn react(&self, reactor: &dyn Reactor) -> Result<usize, EngineError> {
        let (views, acting) = (self.views(), Acting::system());
        let due = reactor.due(&views, self.now(), BATCH, &|row| !self.is_aside(&row.id, row.version));
        let tickets: Vec<_> = due.iter().map(|item| item.ticket).collect();
        self.preload(&tickets).await?;
        // Begun in order, so that they stand in the log in order; several share a sync.
        let act = |item: Item| {
            let acting = &acting;
            async move {
                let (ticket, before) = (item.ticket, item.seen);
                let commit = item.commit_id(reactor.name());
                let cause = Cause::of(reactor.cause());
                let request = Request { cause, occurred_at: Some(item.at), ..Request::default() };
                (ticket, before, self.execute(acting, ticket, vec![item.command], request, Some(commit)).await)
            }
        };
        let mut commands = stream::iter(due.into_iter().map(act)).buffered(TOGETHER);
        let mut acted = 0;
        while let Some((ticket, before, done)) = commands.next().await {
            let Some(done) = self.or_aside(ticket, done)? else { continue };
            if done.position != before {
                acted += 1;
            } else if done.views.tickets().by_id(&ticket).is_some_and(|row| row.version == before) {
                // The views and the decision do not agree, and will not until something happens to the ticket.
                self.put_aside(ticket, "it is due, and nothing came of it".into());
            }
        }
        Ok(acted)
    }
}
