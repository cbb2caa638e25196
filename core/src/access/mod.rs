//! Who may come in, and what they may do and see then.
//!
//! `event` is what is stored of tokens and of what their bearers read; `rights` is the one table of rights, and the scope of
//! tickets that follows from it.

mod event;
mod rights;

pub use event::{AccessEvent, ReadRecorded, Role, TokenIssued, TokenRevoked, issue, record_read};
pub use rights::{Action, Resource, Rights, Scope};
