//! What a clock was at an instant: figures of the past are taken from it, so that nothing that happens later changes them.

use super::{
    clock::Clock,
    state::{ClockState, Earlier},
};
use crate::{ids::PolicyKey, time::Timestamp};

/// How a clock ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Fulfilled in time.
    Met,
    /// Fulfilled too late.
    Missed,
    /// Cancelled.
    Cancelled,
    /// Cancelled when its deadline had passed.
    CancelledLate,
}

/// What a clock was at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockAt<'a> {
    /// The policy that it was measured by then.
    pub policy: &'a PolicyKey,
    /// How it had ended, and when; none while it ran or stood.
    pub ended: Option<(Ending, Timestamp)>,
    due_at: Option<Timestamp>,
}

impl ClockAt<'_> {
    /// True when it ran or stood, and its deadline had passed before this instant.
    pub fn is_overdue(&self, at: Timestamp) -> bool {
        self.ended.is_none() && self.due_at.is_some_and(|due| due < at)
    }
}

impl Clock {
    /// What it was when everything up to and including an instant had happened; what it is now without one. None when
    /// nothing was measured then.
    pub fn at(&self, instant: Option<Timestamp>) -> Option<ClockAt<'_>> {
        let earlier = instant.and_then(|instant| {
            let history = self.history.as_ref()?;
            history.earlier.iter().find(|earlier| instant < earlier.until)
        });
        let (state, due_at, policy) = match earlier {
            Some(earlier) => (earlier.state?, earlier.due_at, &earlier.policy),
            None => (self.state, self.due_at, &self.policy),
        };
        if instant.is_some_and(|instant| instant < self.activated_at) {
            return None;
        }
        let late = |ended: Timestamp| due_at.is_some_and(|due| due < ended);
        let ended = match state {
            ClockState::Running(_) | ClockState::Paused(_) => None,
            ClockState::Fulfilled(at) if late(at) => Some((Ending::Missed, at)),
            ClockState::Fulfilled(at) => Some((Ending::Met, at)),
            ClockState::Cancelled(at) if late(at) => Some((Ending::CancelledLate, at)),
            ClockState::Cancelled(at) => Some((Ending::Cancelled, at)),
        };
        let ended = ended.filter(|(_, at)| instant.is_none_or(|instant| *at <= instant));
        Some(ClockAt { policy, ended, due_at })
    }

    /// Makes a change, and remembers what the clock was when that is another end, deadline or policy.
    pub(super) fn change(&mut self, at: Timestamp, change: impl FnOnce(&mut Self)) {
        let (state, due_at, policy) = (self.state, self.due_at, self.policy.clone());
        let had_ended = !self.is_active();
        change(self);
        if had_ended || due_at != self.due_at || policy != self.policy {
            self.remember(Earlier { until: at, state: Some(state), due_at, policy });
        }
    }

    /// True when it has ended, even where that was undone.
    pub(super) fn was_ever_over(&self) -> bool {
        let earlier = self.history.iter().flat_map(|history| &history.earlier).filter_map(|earlier| earlier.state);
        earlier.chain([self.state]).any(|state| matches!(state, ClockState::Fulfilled(_) | ClockState::Cancelled(_)))
    }

    /// Nobody knew of it before this instant.
    pub(super) fn was_absent_until(&mut self, at: Timestamp) {
        self.remember(Earlier { until: at, state: None, due_at: None, policy: self.policy.clone() });
    }

    fn remember(&mut self, earlier: Earlier) {
        let since = self.history.as_ref().and_then(|history| history.last_change()).unwrap_or(self.activated_at);
        // What it was for no time it never was.
        if since < earlier.until {
            let list = &mut self.history.get_or_insert_default().earlier;
            list.reserve_exact(1);
            list.push(earlier);
        }
    }
}
