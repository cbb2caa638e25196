//! What a command leads to. Judges and changes nothing; "already so" is an empty list of events.
//!
//! The rules themselves are in the files of the capabilities, the order in which they are asked in `rule`.

use super::{command::TicketCommand, event::TicketEvent, rule::Context, state::Ticket};
use crate::rejection::Rejection;

/// The events that the command leads to.
///
/// # Errors
/// When a rule says no; nothing has changed then.
pub fn decide(
    state: Option<&Ticket>,
    command: &TicketCommand,
    context: &Context<'_>,
) -> Result<Vec<TicketEvent>, Rejection> {
    command.judge(state, context)
}
