//! Keeps a set of views up to date with a log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use docket_core::ids::Position;
use docket_store::{EventLog, Follower, Page, ReadError};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    moments::{Moments, Spacing},
    projection::Projection,
    views::Views,
};

/// Why views cannot be had as wished.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The views have not reached the position yet. Nothing is wrong with what was written.
    #[error("the views stand at position {reached} and have not reached {wanted} yet: ask again")]
    Behind {
        /// Where they stand.
        reached: Position,
        /// What was asked for.
        wanted: Position,
    },
    /// They stopped; what they show is old.
    #[error("the views stopped at position {reached}: {reason}")]
    Stopped {
        /// Where they stand.
        reached: Position,
        /// Why.
        reason: String,
    },
}

/// A set of views that follows a log.
pub struct LiveViews {
    current: ArcSwap<Views>,
    moments: Mutex<Moments>,
    position: watch::Sender<Position>,
    stopped: Mutex<Option<String>>,
    replacements: mpsc::Sender<Replacement>,
    incoming: Mutex<Option<mpsc::Receiver<Replacement>>>,
}

struct Replacement {
    views: Views,
    done: oneshot::Sender<()>,
}

impl LiveViews {
    /// Starts from these views.
    pub fn new(views: Views) -> Arc<Self> {
        Self::with_moments(views, Spacing::default())
    }

    /// As [`LiveViews::new`], with a ring of older moments of this size.
    pub fn with_moments(views: Views, spacing: Spacing) -> Arc<Self> {
        let (replacements, incoming) = mpsc::channel(1);
        Arc::new(Self {
            position: watch::Sender::new(views.position()),
            current: ArcSwap::from_pointee(views),
            moments: Mutex::new(Moments::new(spacing)),
            stopped: Mutex::default(),
            replacements,
            incoming: Mutex::new(Some(incoming)),
        })
    }

    /// The views of this moment. They do not change any more: a query that holds on to them sees one moment.
    pub fn now(&self) -> Arc<Views> {
        self.current.load_full()
    }

    /// The newest views at hand that are not after a position: from them it is reached by folding the fewest commits. `None`
    /// when the position lies before all of them.
    pub fn before(&self, position: Position) -> Option<Arc<Views>> {
        let now = self.now();
        if now.position() <= position { Some(now) } else { self.moments().before(position) }
    }

    fn moments(&self) -> MutexGuard<'_, Moments> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The position as it moves.
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.position.subscribe()
    }

    /// Why they stopped, when they did.
    pub fn stopped(&self) -> Option<String> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The views once they have reached a position. The caller bounds the waiting.
    ///
    /// # Errors
    /// When they stopped before it.
    pub async fn at_least(&self, wanted: Position) -> Result<Arc<Views>, ViewError> {
        let mut position = self.position.subscribe();
        let reached = |position: &Position| *position >= wanted || self.stopped().is_some();
        let arrived = position.wait_for(reached).await.map(|position| *position);
        let views = self.now();
        match arrived {
            Ok(position) if position >= wanted => Ok(views),
            Ok(_) | Err(_) => Err(ViewError::Stopped {
                reached: views.position(),
                reason: self.stopped().unwrap_or_else(|| "the server is stopping".into()),
            }),
        }
    }

    /// Puts a rebuilt set in the place of this one in one step, after it has caught up.
    ///
    /// # Errors
    /// When the views have stopped.
    pub async fn replace(&self, views: Views) -> Result<(), ViewError> {
        let (done, replaced) = oneshot::channel();
        let stopped = || ViewError::Stopped {
            reached: self.now().position(),
            reason: self.stopped().unwrap_or_else(|| "the server is stopping".into()),
        };
        self.replacements.send(Replacement { views, done }).await.map_err(|_| stopped())?;
        replaced.await.map_err(|_| stopped())
    }

    /// The views go no further; whoever asks or waits is told.
    fn stop(&self, error: ReadError) -> ReadError {
        tracing::error!(%error, position = %self.now().position(), "the views stopped");
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        self.position.send_modify(|_| {});
        error
    }

    /// Follows the log until it is closed. Runs once for a set.
    ///
    /// # Errors
    /// When the log cannot be read; the views stay where they are, and say so.
    pub async fn follow(self: Arc<Self>, log: Arc<dyn EventLog>) -> Result<(), ReadError> {
        let incoming = self.incoming.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut incoming) = incoming else { return Ok(()) };
        let mut views = Views::clone(&self.now());
        let mut follower =
            Follower::new(Arc::clone(&log), views.position(), Page::LARGE).map_err(|error| self.stop(error))?;
        loop {
            tokio::select! {
                commits = follower.next() => match commits {
                    Ok(Some(commits)) => {
                        for commit in &commits {
                            views.apply(commit);
                        }
                    }
                    Ok(None) => return Ok(()),
                    Err(error) => return Err(self.stop(error)),
                },
                Some(replacement) = incoming.recv() => {
                    let mut fresh = replacement.views;
                    // It was built beside us and may be behind or, for a moment, ahead.
                    while fresh.position() < views.position() {
                        for commit in log.read_page(fresh.position(), Page::LARGE).map_err(|error| self.stop(error))? {
                            fresh.apply(&commit);
                        }
                    }
                    if log.watch_head().wait_for(|head| head.position >= fresh.position()).await.is_err() {
                        return Ok(());
                    }
                    follower = Follower::new(Arc::clone(&log), fresh.position(), Page::LARGE).map_err(|error| self.stop(error))?;
                    views = fresh;
                    self.moments().clear();
                    let _ = replacement.done.send(());
                }
            }
            let now = Arc::new(views.clone());
            self.moments().pass(&now);
            self.current.store(now);
            self.position.send_replace(views.position());
        }
    }
}
