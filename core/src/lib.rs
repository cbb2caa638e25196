//! The ticketing rules, and nothing else.
//!
//! Read in this order: [`ids`] and [`time`] (the words), [`event`] (what is stored), [`ticket`] (the main decider),
//! [`desk`] (the configuration), [`calendar`] and [`sla`] (deadlines).
//!
//! No file imports one that imports it, by whatever way round (`tests/circles.rs`): stored data and words lie below the
//! rules, and what only gathers them on top.
//!
//! # Invariant
//! Nothing here reads a clock, a file, or a random number: callers pass them in, so a replay always gives the same
//! tickets on every machine. The time-zone database is compiled in for the same reason.

pub mod access;
pub mod calendar;
pub mod customer;
pub mod desk;
pub mod event;
pub mod ids;
pub mod personal;
pub mod rejection;
pub mod request;
pub mod sla;
mod text;
pub mod ticket;
pub mod time;
