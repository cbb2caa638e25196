//! Reading the log and stored texts without holding up whoever else is served: reads that may wait for the disk go to a
//! bounded number of threads beside, and expensive questions share a small number of turns, are given up when nobody waits
//! for them any more, and are refused with a word when all turns are taken.

use std::{
    collections::VecDeque,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use docket_core::{
    event::{Commit, Event},
    ids::{Position, StreamId, TicketId},
    personal::Body,
    rejection::Rejection,
};
use docket_projections::{Projection, Views};

use super::{Action, Engine, EngineError, Principal, Resource, must};

/// An expensive question waits so long for a turn.
const TURN_WAIT: Duration = Duration::from_secs(2);
/// So many commits are folded in milliseconds: no expensive question.
const FEW: u64 = 2_000;
/// Whoever found no turn is told to come back after so many seconds.
const BUSY_S: u32 = 2;

/// Says whether anybody still waits for the answer to an expensive question.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// True once nobody waits any more.
    pub fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Tells the work when whoever waits for it goes away.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// The commits of one ticket up to a version, oldest first.
pub type History = Arc<[Arc<Commit>]>;

/// Histories that were read last: whoever works on a ticket looks at it again and again. A few, and short ones: the log has
/// them all.
#[derive(Debug, Default)]
pub(super) struct Histories(VecDeque<(TicketId, Position, History)>);

impl Histories {
    const MOST: usize = 64;
    const MOST_COMMITS: usize = 200;
    const MOST_TEXT_BYTES: u64 = 256 * 1024;

    /// The history of a ticket at just this version.
    fn get(&self, id: TicketId, version: Position) -> Option<History> {
        let kept = self.0.iter().find(|(kept, at, _)| *kept == id && *at == version);
        kept.map(|(_, _, history)| Arc::clone(history))
    }

    fn keep(&mut self, id: TicketId, version: Position, history: &History) {
        let texts = history.iter().flat_map(|commit| &commit.events).map(|event| match &event.event {
            Event::Ticket(event) => event.body().map_or(0, |body| match body {
                Body::Inline(text) => text.reveal().len() as u64,
                Body::Stored { .. } => 0,
            }),
            Event::Customer(_) | Event::Desk(_) | Event::Access(_) | Event::Request(_) | Event::Unknown { .. } => 0,
        });
        if history.len() > Self::MOST_COMMITS || texts.sum::<u64>() > Self::MOST_TEXT_BYTES {
            return;
        }
        self.0.retain(|(kept, ..)| *kept != id);
        self.0.truncate(Self::MOST - 1);
        self.0.push_front((id, version, Arc::clone(history)));
    }
}

impl Engine {
    /// Does something that may wait for the disk on a thread beside; waits for its turn when many do.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let closed = |_| EngineError::Unavailable("the server is stopping".into());
        let permit = Arc::clone(&self.reads).acquire_owned().await.map_err(closed)?;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(|error| EngineError::Internal(error.to_string()))?
    }

    /// Answers an expensive question on a thread beside. The work looks at [`Stop`] now and then, and ends early when
    /// nobody waits any more.
    ///
    /// # Errors
    /// Those of the work; [`EngineError::Busy`] when no turn comes up in time.
    pub async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Stop) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let turn = tokio::time::timeout(TURN_WAIT, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(EngineError::Busy { retry_after_s: BUSY_S }) };
        let stop = Stop::default();
        let _told = StopOnDrop(stop.clone());
        // The turn belongs to the work, which goes on for a moment when whoever asked has gone.
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(&stop)
        });
        done.await.map_err(|error| EngineError::Internal(error.to_string()))?
    }

    /// The views as they stood at a position: at hand or nearly so for the last five hundred commits, otherwise folded from the
    /// log for this question. For whoever may read the whole log: what was somebody's then may not be now.
    ///
    /// # Errors
    /// When the principal may not, the log has no such position, all turns are taken, or the log cannot be read.
    pub async fn views_of(&self, principal: &Principal, position: Position) -> Result<Arc<Views>, EngineError> {
        must(principal, &self.views(), Action::Read, Resource::Log)?;
        let head = self.log.head().position;
        if position > head || position == Position::START {
            let reason = match head {
                Position::START => "the log is empty".to_owned(),
                _ => format!("the log has the positions 1 to {head}: ask for one of them"),
            };
            return Err(Rejection::Invalid { field: "position", reason }.into());
        }
        if position > self.views().position() {
            self.views_at(position, super::VIEW_WAIT).await?;
        }
        let base = self.views.before(position);
        let commits = position.get() - base.as_ref().map_or(0, |base| base.position().get());
        let log = Arc::clone(&self.log);
        let fold = move |stop: &Stop| match base {
            Some(base) if base.position() == position => Ok(base),
            base => {
                let mut views = base.map_or_else(Views::default, |base| Views::clone(&base));
                for commit in log.scan(views.position())? {
                    let commit = commit?;
                    if commit.position > position {
                        break;
                    }
                    if stop.is_wanted() {
                        return Err(EngineError::unwanted());
                    }
                    views.apply(&commit);
                }
                Ok(Arc::new(views))
            }
        };
        if commits <= FEW { self.beside(move || fold(&Stop::default())).await } else { self.in_turn(fold).await }
    }

    /// The history of a ticket, as this principal may see it at the moment of the views.
    ///
    /// # Errors
    /// When there is no such ticket for the principal, or the log cannot be read.
    pub async fn history(&self, principal: &Principal, id: TicketId, views: &Views) -> Result<History, EngineError> {
        let not_found = || EngineError::from(Rejection::not_found("ticket", id.to_string()));
        let row = views.tickets().by_id(&id).ok_or_else(not_found)?;
        if !principal.may(views, Action::Read, row) {
            return Err(not_found());
        }
        let version = row.version;
        if let Some(kept) = self.histories.lock().unwrap_or_else(PoisonError::into_inner).get(id, version) {
            return Ok(kept);
        }
        let log = Arc::clone(&self.log);
        let read = self.beside(move || {
            let mut commits = log.read_stream(StreamId::Ticket(id), Position::START)?;
            // One query sees one moment.
            commits.retain(|commit| commit.position <= version);
            Ok(History::from(commits))
        });
        let history = read.await?;
        self.histories.lock().unwrap_or_else(PoisonError::into_inner).keep(id, version, &history);
        Ok(history)
    }

    /// A text for a message: long ones are stored first, so that the event never names what is not there.
    ///
    /// # Errors
    /// When it is blank, over the limit, or cannot be stored.
    pub async fn body(&self, text: String) -> Result<Body, EngineError> {
        self.body_of("body", text).await
    }

    /// The same for a text that another input gave.
    ///
    /// # Errors
    /// As [`Engine::body`], naming that input.
    pub async fn body_of(&self, field: &'static str, text: String) -> Result<Body, EngineError> {
        if text.trim().is_empty() {
            return Err(Rejection::Blank { field }.into());
        }
        if text.len() > Body::MAX {
            let (limit, actual) = (Body::MAX as u64, text.len() as u64);
            return Err(Rejection::TooLong { field, limit, actual }.into());
        }
        if text.len() <= Body::MAX_INLINE {
            return Ok(Body::inline(&text));
        }
        let (content, bytes) = (self.content.clone(), text.len() as u64);
        let sha256 = self.beside(move || Ok(content.put(text.as_bytes())?)).await?;
        Ok(Body::Stored { sha256, bytes })
    }

    /// The text of a message.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was stored.
    pub async fn text(&self, body: &Body) -> Result<String, EngineError> {
        match body {
            Body::Inline(text) => Ok(text.reveal().clone()),
            Body::Stored { sha256, .. } => {
                let (content, name) = (self.content.clone(), sha256.clone());
                let bytes = self.beside(move || Ok(content.get(&name)?)).await?;
                String::from_utf8(bytes).map_err(|error| EngineError::Internal(error.to_string()))
            }
        }
    }
}
