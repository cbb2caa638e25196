//! The states of a clock: the one it is in, and those that it was in before. Data only; what is made of them is in `clock` and
//! `history`.

use serde::{Deserialize, Serialize};

use crate::{ids::PolicyKey, time::Timestamp};

/// What a clock does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockState {
    /// It counts since this instant.
    Running(Timestamp),
    /// It stands.
    Paused(Timestamp),
    /// What it waited for happened.
    Fulfilled(Timestamp),
    /// What it waited for cannot happen any more, for example an answer to a closed ticket.
    Cancelled(Timestamp),
}

impl ClockState {
    /// Name as it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running(_) => "running",
            Self::Paused(_) => "paused",
            Self::Fulfilled(_) => "fulfilled",
            Self::Cancelled(_) => "cancelled",
        }
    }
}

/// What a clock was before its deadline was moved, or its end undone. Pauses are not in it: whether the time was used up at
/// an instant follows from the runs, however the clock went on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct History {
    /// In order of their ends.
    pub(super) earlier: Vec<Earlier>,
}

/// What it was until an instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Earlier {
    pub(super) until: Timestamp,
    /// None when there was no such clock: a policy that came later began to measure a wait that was there.
    pub(super) state: Option<ClockState>,
    pub(super) due_at: Option<Timestamp>,
    pub(super) policy: PolicyKey,
}

impl History {
    /// When the clock last became what it is.
    pub(super) fn last_change(&self) -> Option<Timestamp> {
        self.earlier.last().map(|earlier| earlier.until)
    }
}
