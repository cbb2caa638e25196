//! A ring of recent moments: older views that share with the present ones whatever did not change since.
//!
//! A moment keeps what was replaced after it, about 26 kB for each commit to a large desk. So the ring is short: a question about
//! a position within it folds a few commits, one about an older position folds the log.

use std::{borrow::Borrow, collections::VecDeque, num::NonZeroU64, sync::Arc};

use docket_core::{event::Commit, ids::Position, time::Timestamp};

use crate::{projection::Projection, views::Views};

/// How many moments are kept, and how many commits lie between two of them at least.
#[derive(Debug, Clone, Copy)]
pub struct Spacing {
    /// Commits from one moment to the next.
    pub commits: NonZeroU64,
    /// Moments kept at most.
    pub moments: usize,
}

impl Default for Spacing {
    /// The last five hundred commits.
    fn default() -> Self {
        Self { commits: NonZeroU64::MIN.saturating_add(63), moments: 8 }
    }
}

#[derive(Debug)]
pub(crate) struct Moments {
    spacing: Spacing,
    /// The oldest first.
    ring: VecDeque<Arc<Views>>,
}

impl Moments {
    pub(crate) fn new(spacing: Spacing) -> Self {
        Self { spacing, ring: VecDeque::new() }
    }

    /// Takes the views of now, when they are far enough from the last moment.
    pub(crate) fn pass(&mut self, now: &Arc<Views>) {
        let last = self.ring.back().map_or(0, |last| last.position().get());
        if now.position().get().saturating_sub(last) >= self.spacing.commits.get() {
            self.ring.push_back(Arc::clone(now));
            let excess = self.ring.len().saturating_sub(self.spacing.moments);
            self.ring.drain(..excess);
        }
    }

    /// Forgets all: views that were built anew share nothing with them.
    pub(crate) fn clear(&mut self) {
        self.ring.clear();
    }

    /// The newest moment that is not after a position.
    pub(crate) fn before(&self, position: Position) -> Option<Arc<Views>> {
        self.ring.iter().rev().find(|moment| moment.position() <= position).cloned()
    }
}

/// The views as they stood at an instant: with everything up to the last commit that was recorded at or before it, as a log
/// gives its commits from the first one on. Clocks are set back now and then, so it is looked for to the end.
///
/// # Errors
/// Those of the log.
pub fn as_of<C, E, I>(scan: impl Fn() -> Result<I, E>, at: Timestamp) -> Result<Views, E>
where
    C: Borrow<Commit>,
    I: Iterator<Item = Result<C, E>>,
{
    let mut last = Position::START;
    for commit in scan()? {
        let commit = commit?;
        if commit.borrow().recorded_at <= at {
            last = commit.borrow().position;
        }
    }
    let mut views = Views::default();
    for commit in scan()? {
        let commit = commit?;
        if commit.borrow().position > last {
            break;
        }
        views.apply(commit.borrow());
    }
    Ok(views)
}
