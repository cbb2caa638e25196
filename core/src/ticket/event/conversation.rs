//! What is said on a ticket: messages, notes and calls.

use super::fact::facts;
use crate::{
    event::family::event_payloads,
    ids::{AgentKey, CustomerId, MessageId},
    personal::Body,
    ticket::words::{CallOutcome, Channel, PickUp},
};

event_payloads! {
    /// A customer wrote.
    MessageReceived = 1 {
        /// Its id.
        message: MessageId,
        /// How it came.
        channel: Channel,
        /// Who wrote.
        from: Option<CustomerId>,
        /// The text.
        body: Body,
    }
    /// An agent wrote to the customer.
    MessageSent = 1 {
        /// Its id.
        message: MessageId,
        /// How it goes out.
        channel: Channel,
        /// Who wrote; none when it was imported without an author.
        agent: Option<AgentKey>,
        /// The text.
        body: Body,
        /// What the assignee is still held to after it; none when it was the assignee's act, or nobody is held to anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pick_up: Option<PickUp>,
    }
    /// An agent noted something that customers never see.
    NoteAdded = 1 {
        /// Its id.
        message: MessageId,
        /// Who wrote.
        agent: Option<AgentKey>,
        /// The text.
        body: Body,
        /// What the assignee is still held to after it; none when it was the assignee's act, or nobody is held to anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pick_up: Option<PickUp>,
    }
    /// A customer called.
    CallLogged = 1 {
        /// Its id.
        message: MessageId,
        /// Who called.
        from: Option<CustomerId>,
        /// Whether somebody spoke.
        outcome: CallOutcome,
        /// Length of the conversation in seconds.
        duration_s: u32,
        /// Who spoke for the desk.
        agent: Option<AgentKey>,
        /// What was said, in short.
        summary: Option<Body>,
        /// What the assignee is still held to after it; none when it was the assignee's act, or nobody is held to anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pick_up: Option<PickUp>,
    }
}

facts! {
    MessageReceived { public: true, body: |event| Some(&event.body), policies: None }
    MessageSent { public: true, body: |event| Some(&event.body), policies: None }
    NoteAdded { public: false, body: |event| Some(&event.body), policies: None }
    CallLogged { public: true, body: |event| event.summary.as_ref(), policies: None }
}
