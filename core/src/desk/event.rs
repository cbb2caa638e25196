//! What is stored of the desk's configuration.

use super::{
    definition::{
        AgentDefinition, CategoryDefinition, FieldDefinition, QueueDefinition, StatusDefinition, TeamDefinition,
    },
    policy::PolicyDefinition,
};
use crate::{
    calendar::CalendarDefinition,
    event::family::event_family,
    ids::{AgentKey, CalendarKey, CategoryKey, FieldKey, PolicyKey, QueueKey, StatusKey, TeamKey},
};

event_family! {
    /// Everything that can happen to the configuration. A definition holds from its commit on.
    #[allow(clippy::large_enum_variant, reason = "an event of the desk is boxed as a whole, and there are few")]
    DeskEvent {
        /// The desk got a name.
        DeskNamed = 1 {
            /// Its display name.
            name: String,
        }
        /// A queue was defined, or defined anew.
        QueueDefined = 1 {
            /// The queue.
            queue: QueueDefinition,
        }
        /// A queue takes no more tickets.
        QueueRetired = 1 {
            /// Which one.
            key: QueueKey,
        }
        /// A team was defined, or defined anew.
        TeamDefined = 1 {
            /// The team.
            team: TeamDefinition,
        }
        /// A team takes no more tickets.
        TeamRetired = 1 {
            /// Which one.
            key: TeamKey,
        }
        /// An agent was defined, or defined anew.
        AgentDefined = 1 {
            /// The agent.
            agent: AgentDefinition,
        }
        /// An agent left.
        AgentRetired = 1 {
            /// Which one.
            key: AgentKey,
        }
        /// A status was defined, or defined anew.
        StatusDefined = 1 {
            /// The status.
            status: StatusDefinition,
        }
        /// A status cannot be chosen any more.
        StatusRetired = 1 {
            /// Which one.
            key: StatusKey,
        }
        /// A category was defined, or defined anew.
        CategoryDefined = 1 {
            /// The category.
            category: CategoryDefinition,
        }
        /// A category cannot be chosen any more.
        CategoryRetired = 1 {
            /// Which one.
            key: CategoryKey,
        }
        /// A custom field was defined, or defined anew.
        FieldDefined = 1 {
            /// The field.
            field: FieldDefinition,
        }
        /// A custom field cannot be filled any more.
        FieldRetired = 1 {
            /// Which one.
            key: FieldKey,
        }
        /// A new version of a calendar. What was measured with an older one stays.
        CalendarDefined = 1 {
            /// The calendar.
            calendar: CalendarDefinition,
        }
        /// A calendar cannot be chosen any more.
        CalendarRetired = 1 {
            /// Which one.
            key: CalendarKey,
        }
        /// A new version of a policy. Tickets keep the version that was pinned for them.
        PolicyDefined = 1 {
            /// The policy.
            policy: PolicyDefinition,
        }
        /// A policy is not chosen any more.
        PolicyRetired = 1 {
            /// Which one.
            key: PolicyKey,
        }
    }
}
