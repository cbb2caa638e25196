//! What describes a ticket: priority, category, subject, requester, tags and custom fields.

use super::fact::facts;
use crate::{
    event::family::event_payloads,
    ids::{CategoryKey, CustomerId, FieldKey},
    personal::Personal,
    ticket::words::{FieldValue, Priority, SlaReason},
};

event_payloads! {
    /// The priority changed.
    PriorityChanged = 1 {
        /// The priority now.
        to: Priority,
        /// The priority before.
        from: Priority,
    }
    /// The category changed.
    CategoryChanged = 1 {
        /// The category now.
        to: Option<CategoryKey>,
        /// The category before.
        from: Option<CategoryKey>,
    }
    /// The subject changed.
    SubjectChanged = 1 {
        /// The subject now.
        to: Personal<String>,
        /// The subject before.
        from: Personal<String>,
    }
    /// Somebody else is the one who asked.
    RequesterChanged = 1 {
        /// The requester now.
        to: Option<CustomerId>,
        /// The requester before.
        from: Option<CustomerId>,
    }
    /// A tag was put on.
    TagAdded = 1 {
        /// The tag.
        tag: String,
    }
    /// A tag was taken off.
    TagRemoved = 1 {
        /// The tag.
        tag: String,
    }
    /// A custom field got another value.
    FieldChanged = 1 {
        /// The field.
        field: FieldKey,
        /// The value now; none when it was emptied.
        to: Option<Personal<FieldValue>>,
        /// The value before.
        from: Option<Personal<FieldValue>>,
    }
}

facts! {
    PriorityChanged { public: false, body: |_| None, policies: Some(SlaReason::PriorityChanged) }
    CategoryChanged { public: false, body: |_| None, policies: Some(SlaReason::CategoryChanged) }
    SubjectChanged { public: true, body: |_| None, policies: None }
    RequesterChanged { public: false, body: |_| None, policies: None }
    TagAdded { public: false, body: |_| None, policies: Some(SlaReason::TagsChanged) }
    TagRemoved { public: false, body: |_| None, policies: Some(SlaReason::TagsChanged) }
    FieldChanged { public: false, body: |_| None, policies: None }
}
