//! Makes a set of views from the whole log.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use docket_core::{event::Commit, ids::Position};
use docket_store::ReadError;

use crate::{projection::Projection, views::Views};

/// How far a rebuild is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Position reached.
    pub position: Position,
    /// Position of the end when it started.
    pub end: Position,
    /// Events folded.
    pub events: u64,
    /// Time since it started.
    pub elapsed: Duration,
}

impl Progress {
    /// Time that the rest will take at the rate so far.
    pub fn eta(&self) -> Option<Duration> {
        let done = self.position.get();
        let left = self.end.get().saturating_sub(done);
        (done > 0).then(|| self.elapsed.mul_f64(left as f64 / done as f64))
    }
}

/// Commits handed from the reading to the folding thread at once.
const CHUNK: usize = 1024;

/// Folds commits into views that start as `views`. Reading and decoding run beside the folding. `progress` is called every
/// so often; answering `false` cancels.
///
/// # Errors
/// When the log cannot be read. A cancelled rebuild gives `Ok(None)`.
pub fn rebuild<I>(
    mut views: Views,
    commits: I,
    end: Position,
    mut progress: impl FnMut(Progress) -> bool,
) -> Result<Option<Views>, ReadError>
where
    I: Iterator<Item = Result<Arc<Commit>, ReadError>> + Send,
{
    let started = Instant::now();
    std::thread::scope(|scope| {
        let (sender, chunks) = mpsc::sync_channel::<Result<Vec<Arc<Commit>>, ReadError>>(8);
        scope.spawn(move || {
            let mut chunk = Vec::with_capacity(CHUNK);
            for commit in commits {
                match commit {
                    Ok(commit) => chunk.push(commit),
                    Err(error) => {
                        let _ = sender.send(Ok(std::mem::take(&mut chunk)));
                        let _ = sender.send(Err(error));
                        return;
                    }
                }
                if chunk.len() == CHUNK
                    && sender.send(Ok(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK)))).is_err()
                {
                    return;
                }
            }
            let _ = sender.send(Ok(chunk));
        });
        for chunk in chunks {
            for commit in &chunk? {
                views.apply(commit);
            }
            let now = Progress { position: views.position(), end, events: views.events(), elapsed: started.elapsed() };
            if !progress(now) {
                return Ok(None);
            }
        }
        Ok(Some(views))
    })
}
