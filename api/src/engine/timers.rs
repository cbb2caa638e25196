//! What time causes: one task sleeps until the earliest due instant and then issues commands, whose decisions check that
//! the thing is still due. Late is fine, twice is harmless, and a ticket that cannot be acted on is set aside.

use std::{sync::Arc, time::Duration};

use docket_core::{
    event::{Cause, CauseKind},
    ticket::TicketCommand,
    time::Timestamp,
};
use docket_projections::TimerEntry;
use futures_util::{StreamExt, stream};

use super::{Acting, Engine, EngineError, Request, TOGETHER};

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
            // What is due and led to nothing was set aside: what comes next is later, or a ticket's second try.
            let next = self.next_due();
            let due = async {
                match next {
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

    /// When there is next something to do.
    fn next_due(&self) -> Option<Timestamp> {
        let next = self.views().next_timer(|row| !self.is_aside(&row.id, row.version));
        [next, self.again_at()].into_iter().flatten().min()
    }

    /// Acts on what is due now, the earliest timer of each ticket, in the order of their instants; says how many commands led
    /// to something. What is due of the same tickets after that is found by the next call: a step that was taken may have
    /// moved it. A ticket that cannot be acted on, or of which nothing comes, is set aside and holds up no other.
    ///
    /// # Errors
    /// When nothing can be stored.
    pub async fn act_on_due(&self) -> Result<usize, EngineError> {
        let (views, acting) = (self.views(), Acting::system());
        let due = views.first_due(self.now(), BATCH, |row| !self.is_aside(&row.id, row.version));
        let tickets: Vec<_> = due.iter().map(|entry| entry.ticket).collect();
        self.preload(&tickets).await?;
        // Begun in order, so that they stand in the log in order; several share a sync.
        let act = |entry: TimerEntry| {
            let acting = &acting;
            async move {
                let TimerEntry { at, ticket, command, .. } = entry;
                let before = self.views().tickets().by_id(&ticket).map(|row| row.version);
                // It happened when it was due, however late it is seen.
                let cause = Cause::of(CauseKind::Timer);
                let request = Request { cause, occurred_at: Some(at), ..Request::default() };
                let command = TicketCommand::Timer(command);
                (ticket, before, self.execute(acting, ticket, vec![command], request, None).await)
            }
        };
        let mut commands = stream::iter(due.into_iter().map(act)).buffered(TOGETHER);
        let mut acted = 0;
        while let Some((ticket, before, done)) = commands.next().await {
            let Some(done) = self.or_aside(ticket, done)? else { continue };
            if Some(done.position) != before {
                acted += 1;
            } else if done.views.tickets().by_id(&ticket).map(|row| row.version) == before {
                // The views and the decision do not agree, and will not until something happens to the ticket.
                self.put_aside(ticket, "a timer is due, and nothing came of it".into());
            }
        }
        Ok(acted)
    }
}
