//! Who has a ticket, where it waits, and who follows it.

use super::fact::facts;
use crate::{
    event::family::event_payloads,
    ids::{AgentKey, QueueKey, TeamKey},
    ticket::words::{PickUp, SlaReason},
    time::Timestamp,
};

fn is_false(value: &bool) -> bool {
    !*value
}

event_payloads! {
    /// An agent took the ticket or was given it.
    AgentAssigned = 1 {
        /// The new assignee.
        agent: AgentKey,
        /// The one before.
        from: Option<AgentKey>,
        /// When the ticket returns to its queue unless the assignee has acted on it.
        pick_up_by: Option<Timestamp>,
        /// The time to act on it starts later: it is somebody else's turn now.
        #[serde(default, skip_serializing_if = "is_false")]
        pick_up_later: bool,
        /// The agent took it, which is a pick-up by itself.
        #[serde(default, skip_serializing_if = "is_false")]
        taken: bool,
    }
    /// Nobody has the ticket any more.
    AgentUnassigned = 1 {
        /// Who had it.
        from: AgentKey,
    }
    /// A team is responsible.
    TeamAssigned = 1 {
        /// The new team.
        team: TeamKey,
        /// The one before.
        from: Option<TeamKey>,
    }
    /// No team is responsible any more.
    TeamUnassigned = 1 {
        /// Which one was.
        from: TeamKey,
    }
    /// It waits in another queue.
    QueueChanged = 1 {
        /// The new queue.
        to: QueueKey,
        /// The one before.
        from: QueueKey,
        /// What the assignee is still held to after it; none when it was the assignee's act, or nobody is held to anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pick_up: Option<PickUp>,
    }
    /// It was not picked up in time and lost its assignee.
    ReturnedToQueue = 1 {
        /// The queue that it waits in.
        queue: QueueKey,
        /// Who did not pick it up.
        from: AgentKey,
        /// When the time to pick it up ended.
        due_at: Timestamp,
        /// When Docket saw it.
        detected_at: Timestamp,
    }
    /// An agent follows the ticket.
    FollowerAdded = 1 {
        /// Who.
        agent: AgentKey,
    }
    /// An agent does not follow the ticket any more.
    FollowerRemoved = 1 {
        /// Who.
        agent: AgentKey,
    }
}

facts! {
    AgentAssigned { public: false, body: |_| None, policies: None }
    AgentUnassigned { public: false, body: |_| None, policies: None }
    TeamAssigned { public: false, body: |_| None, policies: Some(SlaReason::TeamChanged) }
    TeamUnassigned { public: false, body: |_| None, policies: Some(SlaReason::TeamChanged) }
    QueueChanged { public: false, body: |_| None, policies: Some(SlaReason::QueueChanged) }
    ReturnedToQueue { public: false, body: |_| None, policies: None }
    FollowerAdded { public: false, body: |_| None, policies: None }
    FollowerRemoved { public: false, body: |_| None, policies: None }
}

impl AgentAssigned {
    /// What the assignee is held to.
    pub const fn pick_up(&self) -> Option<PickUp> {
        match self.pick_up_by {
            Some(at) => Some(PickUp::By(at)),
            None if self.pick_up_later => Some(PickUp::Later),
            None => None,
        }
    }
}
