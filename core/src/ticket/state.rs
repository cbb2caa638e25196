//! What a ticket is: the fold of its events.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    event::TicketEvent,
    words::{Channel, ExternalReference, FieldValue, PickUp, Priority, StatusRef},
};
use crate::{
    desk::Desk,
    ids::{AgentKey, CategoryKey, CustomerId, FieldKey, QueueKey, TeamKey},
    personal::Personal,
    sla::{Clocks, Subject},
    time::Timestamp,
};

/// The present state of a ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticket {
    /// What it is about, in a line.
    pub subject: Personal<String>,
    /// How it came in.
    pub channel: Channel,
    /// Its status.
    pub status: StatusRef,
    /// Its priority.
    pub priority: Priority,
    /// The queue that it waits in.
    pub queue: QueueKey,
    /// Who asked.
    pub requester: Option<CustomerId>,
    /// Its category.
    pub category: Option<CategoryKey>,
    /// Who works on it.
    pub agent: Option<AgentKey>,
    /// The team that is responsible.
    pub team: Option<TeamKey>,
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// Agents who follow it.
    pub followers: BTreeSet<AgentKey>,
    /// Its custom fields.
    pub fields: BTreeMap<FieldKey, Personal<FieldValue>>,
    /// Its name in another system.
    pub external: Option<ExternalReference>,
    /// Level of escalation, 0 for none.
    pub escalation_level: u8,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// What the assignee is held to until the first act.
    pub pick_up: Option<PickUp>,
    /// The assignee has acted on it, or took it.
    pub picked_up: bool,
    /// Its SLA clocks.
    pub clocks: Clocks,
}

impl Ticket {
    /// The fold: takes what happened and never judges it. `None` is the ticket before its opening, and a history whose
    /// opening is missing stays `None`.
    #[must_use]
    pub fn evolve(state: Option<Self>, event: &TicketEvent, occurred_at: Timestamp, desk: &Desk) -> Option<Self> {
        let mut ticket = match (state, event) {
            (Some(ticket), _) => ticket,
            (None, TicketEvent::TicketOpened(e)) => Self {
                subject: e.subject.clone(),
                channel: e.channel,
                status: e.status.clone(),
                priority: e.priority,
                queue: e.queue.clone(),
                requester: e.requester,
                category: e.category.clone(),
                agent: None,
                team: None,
                tags: BTreeSet::new(),
                followers: BTreeSet::new(),
                fields: BTreeMap::new(),
                external: e.external.clone(),
                escalation_level: 0,
                opened_at: occurred_at,
                pick_up: None,
                picked_up: false,
                clocks: Clocks::default(),
            },
            (None, _) => return None,
        };
        ticket.clocks.evolve(event, occurred_at, desk);
        ticket.take(event);
        Some(ticket)
    }

    /// What the choice of SLA policies looks at.
    pub fn subject_of_policies(&self) -> Subject<'_> {
        Subject {
            queue: &self.queue,
            priority: self.priority,
            category: self.category.as_ref(),
            channel: self.channel,
            team: self.team.as_ref(),
            tags: &self.tags,
            by_agent: self.clocks.by_agent(),
        }
    }

    fn take(&mut self, event: &TicketEvent) {
        match event {
            TicketEvent::TicketOpened(_)
            | TicketEvent::MessageReceived(_)
            | TicketEvent::SlaApplied(_)
            | TicketEvent::SlaWarned(_)
            | TicketEvent::SlaBreached(_) => {}
            TicketEvent::MessageSent(e) => self.held_to(e.pick_up),
            TicketEvent::NoteAdded(e) => self.held_to(e.pick_up),
            TicketEvent::CallLogged(e) => {
                if e.agent.is_some() {
                    self.held_to(e.pick_up);
                }
            }
            TicketEvent::AgentAssigned(e) => {
                self.agent = Some(e.agent.clone());
                self.pick_up = e.pick_up();
                self.picked_up = e.taken;
            }
            TicketEvent::AgentUnassigned(_) | TicketEvent::ReturnedToQueue(_) => {
                self.agent = None;
                self.pick_up = None;
                self.picked_up = false;
            }
            TicketEvent::TeamAssigned(e) => self.team = Some(e.team.clone()),
            TicketEvent::TeamUnassigned(_) => self.team = None,
            TicketEvent::QueueChanged(e) => {
                self.queue = e.to.clone();
                self.pick_up = e.pick_up;
            }
            TicketEvent::StatusChanged(e) => self.enter(&e.to, e.pick_up),
            TicketEvent::Resolved(e) => self.enter(&e.to, e.pick_up),
            TicketEvent::Closed(e) => self.enter(&e.to, e.pick_up),
            TicketEvent::Reopened(e) => self.enter(&e.to, e.pick_up),
            TicketEvent::PriorityChanged(e) => self.priority = e.to,
            TicketEvent::CategoryChanged(e) => self.category.clone_from(&e.to),
            TicketEvent::SubjectChanged(e) => self.subject = e.to.clone(),
            TicketEvent::RequesterChanged(e) => self.requester = e.to,
            TicketEvent::TagAdded(e) => _ = self.tags.insert(e.tag.clone()),
            TicketEvent::TagRemoved(e) => _ = self.tags.remove(&e.tag),
            TicketEvent::FollowerAdded(e) => _ = self.followers.insert(e.agent.clone()),
            TicketEvent::FollowerRemoved(e) => _ = self.followers.remove(&e.agent),
            TicketEvent::FieldChanged(e) => match &e.to {
                Some(value) => _ = self.fields.insert(e.field.clone(), value.clone()),
                None => _ = self.fields.remove(&e.field),
            },
            TicketEvent::Escalated(e) => self.escalation_level = e.level,
            TicketEvent::EscalationLowered(e) => self.escalation_level = e.level,
        }
    }

    fn enter(&mut self, status: &StatusRef, pick_up: Option<PickUp>) {
        self.status = status.clone();
        self.held_to(pick_up);
    }

    /// Whoever is held to nothing after an act on the ticket has picked it up.
    const fn held_to(&mut self, pick_up: Option<PickUp>) {
        self.picked_up = self.picked_up || self.agent.is_some() && pick_up.is_none();
        self.pick_up = pick_up;
    }
}
