//! A ticket comes to be.

use super::fact::facts;
use crate::{
    event::family::event_payloads,
    ids::{CategoryKey, CustomerId, QueueKey},
    personal::Personal,
    ticket::words::{Channel, ExternalReference, Priority, SlaReason, StatusRef},
};

event_payloads! {
    /// A ticket came to be. Its number is the count of tickets opened up to and including it.
    TicketOpened = 1 {
        /// How it came in.
        channel: Channel,
        /// What it is about, in a line.
        subject: Personal<String>,
        /// Status at the opening.
        status: StatusRef,
        /// Priority at the opening.
        priority: Priority,
        /// The queue that it waits in.
        queue: QueueKey,
        /// Who asked.
        requester: Option<CustomerId>,
        /// Its category, when known.
        category: Option<CategoryKey>,
        /// Its name in another system.
        external: Option<ExternalReference>,
        /// True when an agent opened it on somebody's behalf.
        by_agent: bool,
    }
}

facts! {
    TicketOpened { public: true, body: |_| None, policies: Some(SlaReason::Opened) }
}
