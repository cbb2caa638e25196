//! The clock: real, or moved by hand. The only place that asks the machine for the time.

use std::{future::Future, pin::Pin, time::Duration};

use docket_core::time::Timestamp;
use tokio::sync::watch;

/// Tells the time and waits for it.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// Waits until an instant, or until the clock is set back: what was to be waited for may come in another order then, so
    /// that whoever waits is to look again. Returns at once when the instant has passed.
    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock that everybody else is to ask")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        /// The clock may be set while we sleep, which no timer of the system notices: look at it again from time to time.
        const LONGEST_SLEEP: Duration = Duration::from_secs(1);
        Box::pin(async move {
            let mut seen = self.now();
            loop {
                let now = self.now();
                let Ok(left) = u64::try_from(at.millis_since(now)) else { return };
                if left == 0 || now < seen {
                    return;
                }
                seen = now;
                tokio::time::sleep(Duration::from_millis(left).min(LONGEST_SLEEP)).await;
            }
        })
    }
}

/// A clock that stands until it is moved.
#[derive(Debug)]
pub struct ManualClock {
    now: watch::Sender<Timestamp>,
}

impl ManualClock {
    /// A clock that shows this instant.
    pub fn new(now: Timestamp) -> Self {
        Self { now: watch::Sender::new(now) }
    }

    /// Moves it to an instant, also backwards.
    pub fn set(&self, now: Timestamp) {
        self.now.send_replace(now);
    }

    /// Moves it on.
    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.now.send_modify(|now| *now = now.plus_millis(millis));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut now = self.now.subscribe();
        Box::pin(async move {
            let mut seen = *now.borrow_and_update();
            // The sender lives as long as `self`.
            let _ = now.wait_for(|now| *now >= at || *now < std::mem::replace(&mut seen, *now)).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn whoever_waits_looks_again_when_the_clock_is_set_back_and_not_before() {
        let noon = Timestamp::from_millis(43_200_000);
        let clock = ManualClock::new(noon);
        let mut wait = clock.sleep_until(noon.plus_millis(3_600_000));
        assert!((&mut wait).now_or_never().is_none());
        clock.set(noon.plus_millis(1_800_000));
        assert!((&mut wait).now_or_never().is_none());
        // Still after the instant at which the wait began, and yet back.
        clock.set(noon.plus_millis(600_000));
        assert!((&mut wait).now_or_never().is_some());
    }
}
