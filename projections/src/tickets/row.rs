//! A ticket's row, and its fold.

use std::sync::Arc;

use docket_core::{
    ids::{CustomerId, Position, TicketId},
    personal::Personal,
    sla::Clocks,
    ticket::{CallOutcome, Channel, ExternalReference, PickUp, Priority, StatusCategory, StatusRef, TicketEvent},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

use super::TicketsView;

/// A ticket in the view. Names are numbers of [`TicketsView`]'s tables; bodies are not here but in the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TicketRow {
    /// Count of tickets opened up to and including it.
    pub number: u32,
    /// Its id.
    pub id: TicketId,
    /// Position of its latest commit.
    pub version: Position,
    /// What it is about, in a line.
    pub subject: Personal<String>,
    /// Its status.
    pub status: u32,
    /// What its status means.
    pub status_category: StatusCategory,
    /// Its priority.
    pub priority: Priority,
    /// How it came in.
    pub channel: Channel,
    /// Its queue.
    pub queue: u32,
    /// Who works on it.
    pub agent: Option<u32>,
    /// The team that is responsible.
    pub team: Option<u32>,
    /// Its category.
    pub category: Option<u32>,
    /// Who asked.
    pub requester: Option<CustomerId>,
    /// Its name in another system.
    pub external: Option<Box<ExternalReference>>,
    /// Its tags.
    pub tags: Vec<u32>,
    /// Agents who follow it.
    pub followers: Vec<u32>,
    /// Level of escalation, 0 for none.
    pub escalation_level: u8,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When something last happened to it.
    pub updated_at: Timestamp,
    /// Position of the latest commit that customers may see something of.
    pub public_version: Position,
    /// When that happened.
    pub public_at: Timestamp,
    /// When it was first answered.
    pub first_response_at: Option<Timestamp>,
    /// When it was first resolved.
    pub first_resolved_at: Option<Timestamp>,
    /// When it was last resolved.
    pub resolved_at: Option<Timestamp>,
    /// When it was last closed, while it is closed.
    pub closed_at: Option<Timestamp>,
    /// How often it was reopened.
    pub reopenings: u32,
    /// Time that it spent in waiting statuses and that is over.
    pub waited_ms: i64,
    /// Since when it has been waiting.
    pub waiting_since: Option<Timestamp>,
    /// `waited_ms` as it stood at the last resolution.
    pub waited_until_resolved_ms: i64,
    /// The earliest deadline that counts.
    pub due_at: Option<Timestamp>,
    /// When it returns to its queue unless the assignee acts.
    pub pick_up_by: Option<Timestamp>,
    /// The earliest timer.
    pub(crate) next_timer: Option<Timestamp>,
    /// Its SLA clocks.
    pub clocks: Arc<Clocks>,
}

/// The numbers of the names in an event, given out before its row is touched.
#[derive(Default)]
pub(super) struct Numbered {
    status: u32,
    queue: u32,
    agent: Option<u32>,
    team: Option<u32>,
    category: Option<u32>,
    pub(super) tag: Option<u32>,
    follower: Option<u32>,
}

impl Numbered {
    /// Gives numbers to the names that the event brings in.
    pub(super) fn of(view: &mut TicketsView, event: &TicketEvent) -> Self {
        let mut numbered = Self::default();
        if let Some(status) = status_after(event) {
            numbered.status = view.statuses.number(&status.key);
        }
        if let TicketEvent::QueueChanged(e) = event {
            numbered.queue = view.queues.number(&e.to);
        } else if let TicketEvent::AgentAssigned(e) = event {
            numbered.agent = Some(view.agents.number(&e.agent));
        } else if let TicketEvent::TeamAssigned(e) = event {
            numbered.team = Some(view.teams.number(&e.team));
        } else if let TicketEvent::CategoryChanged(e) = event {
            numbered.category = e.to.as_ref().map(|category| view.categories.number(category));
        } else if let TicketEvent::TagAdded(e) = event {
            numbered.tag = Some(view.tags.number(&e.tag));
        } else if let TicketEvent::TagRemoved(e) = event {
            numbered.tag = Some(view.tags.number(&e.tag));
        } else if let TicketEvent::FollowerAdded(e) = event {
            numbered.follower = Some(view.agents.number(&e.agent));
        } else if let TicketEvent::FollowerRemoved(e) = event {
            numbered.follower = Some(view.agents.number(&e.agent));
        }
        numbered
    }
}

fn status_after(event: &TicketEvent) -> Option<&StatusRef> {
    if let TicketEvent::StatusChanged(e) = event {
        Some(&e.to)
    } else if let TicketEvent::Resolved(e) = event {
        Some(&e.to)
    } else if let TicketEvent::Closed(e) = event {
        Some(&e.to)
    } else if let TicketEvent::Reopened(e) = event {
        Some(&e.to)
    } else {
        None
    }
}

impl TicketRow {
    /// Takes what happened and never judges it.
    pub(super) fn take(&mut self, event: &TicketEvent, at: Timestamp, names: &Numbered) {
        match event {
            TicketEvent::TicketOpened(_)
            | TicketEvent::MessageReceived(_)
            | TicketEvent::FieldChanged(_)
            | TicketEvent::SlaApplied(_)
            | TicketEvent::SlaWarned(_)
            | TicketEvent::SlaBreached(_) => {}
            TicketEvent::MessageSent(e) => {
                self.pick_up_by = e.pick_up.and_then(PickUp::by);
                self.first_response_at.get_or_insert(at);
            }
            TicketEvent::NoteAdded(e) => self.pick_up_by = e.pick_up.and_then(PickUp::by),
            TicketEvent::CallLogged(e) => {
                if e.agent.is_some() {
                    self.pick_up_by = e.pick_up.and_then(PickUp::by);
                }
                // As the SLA clocks see it: nobody was answered by a call that was missed.
                if e.agent.is_some() && e.outcome == CallOutcome::Answered {
                    self.first_response_at.get_or_insert(at);
                }
            }
            TicketEvent::AgentAssigned(e) => {
                self.agent = names.agent;
                self.pick_up_by = e.pick_up_by;
            }
            TicketEvent::AgentUnassigned(_) | TicketEvent::ReturnedToQueue(_) => {
                self.agent = None;
                self.pick_up_by = None;
            }
            TicketEvent::TeamAssigned(_) => self.team = names.team,
            TicketEvent::TeamUnassigned(_) => self.team = None,
            TicketEvent::QueueChanged(e) => {
                self.queue = names.queue;
                self.pick_up_by = e.pick_up.and_then(PickUp::by);
            }
            TicketEvent::StatusChanged(e) => self.enter(&e.to, e.pick_up, at, names),
            TicketEvent::Resolved(e) => {
                self.enter(&e.to, None, at, names);
                self.first_resolved_at.get_or_insert(at);
                self.resolved_at = Some(at);
                self.closed_at = None;
                self.waited_until_resolved_ms = self.waited_ms;
            }
            TicketEvent::Closed(e) => {
                self.enter(&e.to, None, at, names);
                self.closed_at = Some(at);
            }
            TicketEvent::Reopened(e) => {
                self.enter(&e.to, e.pick_up, at, names);
                self.closed_at = None;
                self.reopenings += 1;
            }
            TicketEvent::PriorityChanged(e) => self.priority = e.to,
            TicketEvent::CategoryChanged(_) => self.category = names.category,
            TicketEvent::SubjectChanged(e) => self.subject = e.to.clone(),
            TicketEvent::RequesterChanged(e) => self.requester = e.to,
            TicketEvent::TagAdded(_) => {
                self.tags.extend(names.tag.filter(|tag| !self.tags.contains(tag)));
            }
            TicketEvent::TagRemoved(_) => self.tags.retain(|tag| Some(*tag) != names.tag),
            TicketEvent::FollowerAdded(_) => {
                self.followers.extend(names.follower.filter(|agent| !self.followers.contains(agent)));
            }
            TicketEvent::FollowerRemoved(_) => self.followers.retain(|agent| Some(*agent) != names.follower),
            TicketEvent::Escalated(e) => self.escalation_level = e.level,
            TicketEvent::EscalationLowered(e) => self.escalation_level = e.level,
        }
    }

    fn enter(&mut self, status: &StatusRef, pick_up: Option<PickUp>, at: Timestamp, names: &Numbered) {
        self.status = names.status;
        self.status_category = status.category;
        self.pick_up_by = pick_up.and_then(PickUp::by);
        let waits = status.category == StatusCategory::Waiting;
        match self.waiting_since {
            Some(since) if !waits => {
                self.waited_ms += at.millis_since(since.max(self.opened_at)).max(0);
                self.waiting_since = None;
            }
            None if waits => self.waiting_since = Some(at),
            Some(_) | None => {}
        }
    }
}
