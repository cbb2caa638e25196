//! What time causes: one task sleeps until the earliest due instant and then issues commands, whose decisions check that
//! the thing is still due. Late is fine, twice is harmless.

use std::{sync::Arc, time::Duration};

use docket_core::{
    event::{Actor, Cause, CauseKind},
    ticket::TicketCommand,
};
use docket_projections::TimerEntry;
use futures_util::{StreamExt, stream};

use super::{Engine, EngineError, Request, TOGETHER};

/// Tickets whose timers are taken at once.
const BATCH: usize = 1024;
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

    /// Acts on what is due now, the earliest timer of each ticket, in the order of their instants; says how many commands led
    /// to something. What is due of the same tickets after that is found by the next call: a step that was taken may have
    /// moved it.
    ///
    /// # Errors
    /// When nothing can be stored.
    pub async fn act_on_due(&self) -> Result<usize, EngineError> {
        let due = self.views().first_due(self.now(), BATCH);
        // Begun in order, so that they stand in the log in order; several share a sync.
        let mut commands = stream::iter(due.into_iter().map(|entry| self.act_on(entry))).buffered(TOGETHER);
        let mut acted = 0;
        while let Some(done) = commands.next().await {
            acted += usize::from(done?);
        }
        Ok(acted)
    }

    async fn act_on(&self, TimerEntry { at, ticket, command, .. }: TimerEntry) -> Result<bool, EngineError> {
        let before = self.views().tickets().by_id(&ticket).map(|row| row.version);
        // It happened when it was due, however late it is seen.
        let request = Request { cause: Cause::of(CauseKind::Timer), occurred_at: Some(at), ..Request::default() };
        match self.execute(&Actor::System, "timer", ticket, vec![TicketCommand::Timer(command)], request).await {
            Ok(done) => Ok(Some(done.position) != before),
            Err(EngineError::Rejected(rejection)) => {
                tracing::warn!(%ticket, %rejection, "a timer was refused");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}
