//! What time causes: one task sleeps until the earliest due instant and then issues commands, whose decisions check that
//! the thing is still due. Late is fine, twice is harmless.

use std::{sync::Arc, time::Duration};

use docket_core::{
    event::{Actor, Cause, CauseKind},
    ids::Position,
    ticket::TicketCommand,
};
use docket_projections::TimerEntry;

use super::{Engine, EngineError, Request};

/// Tickets whose timers are taken at once.
const BATCH: usize = 256;
/// Pause after a failure, so that a broken disk is not asked without end.
const PAUSE: Duration = Duration::from_secs(5);

impl Engine {
    /// Acts on what comes due until the engine stops.
    pub async fn run_timers(self: Arc<Self>) {
        let mut stopping = self.stopping();
        let mut moved = self.live_views().watch();
        loop {
            if *stopping.borrow_and_update() {
                return;
            }
            moved.borrow_and_update();
            match self.act_on_due().await {
                // There may be more.
                Ok(acted) if acted > 0 => continue,
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "timers could not act; trying again shortly");
                    tokio::select! {
                        _ = stopping.changed() => {}
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                    continue;
                }
            }
            let next = self.views().timers().next_at();
            let due = async {
                match next {
                    // Due, and nothing came of it: the views and the decision do not agree. Never turn that into a spin.
                    Some(at) if at <= self.now() => tokio::time::sleep(PAUSE).await,
                    Some(at) => self.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = stopping.changed() => {}
                changed = moved.changed() => if changed.is_err() { return },
                () = due => {}
            }
        }
    }

    /// Acts on everything that is due now, in the order of the due instants; says how many commands led to something.
    ///
    /// # Errors
    /// When nothing can be stored.
    pub async fn act_on_due(&self) -> Result<usize, EngineError> {
        let due = self.views().due(self.now(), BATCH);
        let mut acted = 0;
        let mut last = Position::START;
        for TimerEntry { ticket, command, .. } in due {
            let before = self.views().tickets().by_id(&ticket).map(|row| row.version);
            let request = Request { cause: Cause::of(CauseKind::Timer), ..Request::default() };
            let command = vec![TicketCommand::Timer(command)];
            match self.execute(&Actor::System, "timer", ticket, command, request).await {
                Ok(done) => {
                    acted += usize::from(Some(done.position) != before);
                    last = last.max(done.position);
                }
                Err(EngineError::Rejected(rejection)) => {
                    tracing::warn!(%ticket, %rejection, "a timer was refused");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(acted)
    }
}
