//! Enums that mirror those of the domain.

use async_graphql::Enum;
use docket_core::{desk::FieldType, ticket};

macro_rules! mirror {
    ($(#[$doc:meta])* $name:ident = $core:ty { $($(#[$variant_doc:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl From<$core> for $name {
            fn from(value: $core) -> Self {
                match value { $(<$core>::$variant => Self::$variant,)* }
            }
        }

        impl From<$name> for $core {
            fn from(value: $name) -> Self {
                match value { $($name::$variant => Self::$variant,)* }
            }
        }
    };
}

mirror! {
    /// How soon a ticket wants to be handled.
    Priority = ticket::Priority {
        /// Can wait.
        Low,
        /// The usual.
        Normal,
        /// Before the usual.
        High,
        /// At once.
        Urgent,
    }
}
mirror! {
    /// The way by which customers and agents speak.
    Channel = ticket::Channel {
        /// E-mail.
        Email,
        /// A web form or portal.
        Web,
        /// Live chat.
        Chat,
        /// Telephone.
        Phone,
        /// A social network or messenger.
        Social,
        /// Another program.
        Api,
    }
}
mirror! {
    /// What a status means, whatever the desk calls it.
    StatusCategory = ticket::StatusCategory {
        /// Nobody has looked at it yet.
        New,
        /// Being worked on.
        Open,
        /// Waiting for somebody outside the desk.
        Waiting,
        /// Put off on purpose.
        Postponed,
        /// A solution was proposed and not yet accepted.
        SolutionProposed,
        /// Solved; a further message reopens it.
        Resolved,
        /// Done with.
        Closed,
    }
}
mirror! {
    /// What an SLA policy measures.
    SlaMetric = ticket::SlaMetric {
        /// From the opening to the first public answer of an agent.
        FirstResponse,
        /// Once answered: from a customer's first unanswered message to the next public answer.
        NextResponse,
        /// From one public answer of an agent to the next, until the ticket is done.
        PeriodicUpdate,
        /// From the opening to the first assignment to an agent.
        PickUp,
        /// While one team is responsible: what teams promise each other.
        TeamHandling,
        /// From the opening to the resolution.
        Resolution,
    }
}

mirror! {
    /// Type of a custom field's values.
    CustomFieldType = FieldType {
        /// Free text.
        Text,
        /// A whole number.
        Integer,
        /// Yes or no.
        Boolean,
        /// A calendar date.
        Date,
        /// An instant.
        Instant,
        /// One of the options.
        Choice,
        /// Any of the options.
        Choices,
    }
}
mirror! {
    /// What made Docket choose an SLA policy.
    SlaReason = ticket::SlaReason {
        /// The event is of a version before reasons were recorded.
        Unrecorded,
        /// The ticket was opened.
        Opened,
        /// The ticket went to another queue.
        QueueChanged,
        /// The ticket's priority changed.
        PriorityChanged,
        /// The ticket's category changed.
        CategoryChanged,
        /// Another team became responsible.
        TeamChanged,
        /// A tag was put on or taken off.
        TagsChanged,
        /// Somebody let the present policies be applied anew.
        Reapplied,
    }
}
