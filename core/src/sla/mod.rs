//! Service levels: which policy a ticket falls under, and clocks that say when something is due and whether it was met.
//!
//! Clocks are a fold of the ticket's events with the policy and calendar versions that were pinned by `SlaApplied`. Nothing
//! here is stored as an event except what time caused and somebody acted upon: `SlaWarned`, `SlaBreached`, `Escalated`.
//!
//! `choice` chooses policies, `clock` is one measurement and its arithmetic, `history` what it was at an instant, `state`
//! the states of both, `clocks` the fold over a ticket's events, `timers` what comes due, `explain` the derivation of an instant.

mod choice;
mod clock;
mod clocks;
mod explain;
mod history;
mod state;
mod timers;

pub use choice::{Subject, choose_policy, policies_to_apply};
pub use clock::{Clock, Pin};
pub use clocks::Clocks;
pub use explain::{ClockMoment, Explanation, Interval, Moment, StreamEvent, Stretch, explain, moments};
pub use history::{ClockAt, Ending};
pub use state::ClockState;

#[cfg(test)]
mod tests;
