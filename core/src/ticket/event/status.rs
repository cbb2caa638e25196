//! How a ticket stands: its status, and the ends and new beginnings of work on it.

use super::fact::facts;
use crate::{
    event::family::event_payloads,
    ticket::words::{PickUp, StatusRef},
};

event_payloads! {
    /// The status changed, neither to nor from a finished one.
    StatusChanged = 1 {
        /// The status now.
        to: StatusRef,
        /// The status before.
        from: StatusRef,
        /// What the assignee is still held to after it; none when it was the assignee's act, or nobody is held to anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pick_up: Option<PickUp>,
    }
    /// It was solved.
    Resolved = 1 {
        /// The status now.
        to: StatusRef,
        /// The status before.
        from: StatusRef,
        /// What the assignee is still held to should it be reopened; none when it was the assignee's act.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pick_up: Option<PickUp>,
    }
    /// It was closed.
    Closed = 1 {
        /// The status now.
        to: StatusRef,
        /// The status before.
        from: StatusRef,
        /// What the assignee is still held to should it be reopened; none when it was the assignee's act.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pick_up: Option<PickUp>,
    }
    /// It was resolved or closed, and is not any more.
    Reopened = 1 {
        /// The status now.
        to: StatusRef,
        /// The status before.
        from: StatusRef,
        /// What the assignee is still held to after it; none when it was the assignee's act, or nobody is held to anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pick_up: Option<PickUp>,
    }
}

facts! {
    StatusChanged { public: true, body: |_| None, policies: None }
    Resolved { public: true, body: |_| None, policies: None }
    Closed { public: true, body: |_| None, policies: None }
    Reopened { public: true, body: |_| None, policies: None }
}
