//! A ticket's history as one union.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Enum, Error, ID, SimpleObject, Union};
use docket_core::{
    event::{Actor, Commit, Event},
    ids::{AgentKey, CustomerId, QueueKey, TeamKey},
    personal::Body,
    ticket::{self, TicketEvent},
};

use super::{
    Session,
    desk::{Agent, Channel, Customer, Queue, SlaMetric, Status, Team},
    error::top_level,
    relay::{connection, global_id},
    scalars::{BigInt, DateTime},
};
use crate::engine::{Action, Resource};

/// What all entries have.
#[derive(SimpleObject, Debug, Clone)]
pub struct Entry {
    /// Global id of the entry.
    pub id: ID,
    /// Position of its commit in the log.
    pub position: BigInt,
    /// When it happened.
    pub occurred_at: DateTime,
    /// When Docket learned of it.
    pub recorded_at: DateTime,
    /// Who did it, for people.
    pub actor: String,
}

/// The ticket was opened.
#[derive(SimpleObject, Debug, Clone)]
pub struct OpeningEntry {
    /// When and by whom.
    pub entry: Entry,
    /// How it came in.
    pub channel: Channel,
    /// What it was about.
    pub subject: String,
}

/// Which way a message went.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageDirection {
    /// From the customer to the desk.
    Inbound,
    /// From the desk to the customer.
    Outbound,
}

/// A message between the customer and the desk.
#[derive(SimpleObject, Debug, Clone)]
#[graphql(complex)]
pub struct MessageEntry {
    /// When and by whom.
    pub entry: Entry,
    /// Which way it went.
    pub direction: MessageDirection,
    /// How it went.
    pub channel: Channel,
    /// The customer who wrote it. Customers see nobody but themselves.
    pub customer: Option<Customer>,
    /// The agent who wrote it. Null for customers, who read the name.
    pub agent: Option<Agent>,
    /// Name of whoever wrote it, as people read it; null when it is not known, or not for you.
    pub author_name: Option<String>,
    #[graphql(skip)]
    body: Body,
}

#[ComplexObject]
impl MessageEntry {
    /// The text.
    async fn body(&self, context: &Context<'_>) -> Result<String, Error> {
        text(context, &self.body).await
    }
}

/// An internal note.
#[derive(SimpleObject, Debug, Clone)]
#[graphql(complex)]
pub struct NoteEntry {
    /// When and by whom.
    pub entry: Entry,
    /// The agent who wrote it.
    pub agent: Option<Agent>,
    #[graphql(skip)]
    body: Body,
}

#[ComplexObject]
impl NoteEntry {
    /// The text.
    async fn body(&self, context: &Context<'_>) -> Result<String, Error> {
        text(context, &self.body).await
    }
}

async fn text(context: &Context<'_>, body: &Body) -> Result<String, Error> {
    Session::of(context)?.engine.text(body).await.map_err(|error| top_level(&error))
}

/// A telephone call.
#[derive(SimpleObject, Debug, Clone)]
#[graphql(complex)]
pub struct CallEntry {
    /// When and by whom.
    pub entry: Entry,
    /// Somebody spoke; otherwise it was missed.
    pub answered: bool,
    /// Length in seconds.
    pub duration_s: i32,
    /// Who called. Customers see nobody but themselves.
    pub customer: Option<Customer>,
    /// Who spoke for the desk. Null for customers.
    pub agent: Option<Agent>,
    #[graphql(skip)]
    body: Option<Body>,
}

#[ComplexObject]
impl CallEntry {
    /// What was said, in short.
    async fn summary(&self, context: &Context<'_>) -> Result<Option<String>, Error> {
        match &self.body {
            Some(body) => text(context, body).await.map(Some),
            None => Ok(None),
        }
    }
}

/// Somebody else is responsible.
#[derive(SimpleObject, Debug, Clone)]
pub struct AssignmentEntry {
    /// When and by whom.
    pub entry: Entry,
    /// The agent now, when the agent changed.
    pub agent: Option<Agent>,
    /// The agent before.
    pub previous_agent: Option<Agent>,
    /// The team now, when the team changed.
    pub team: Option<Team>,
    /// The team before.
    pub previous_team: Option<Team>,
    /// It was not picked up in time and went back to its queue.
    pub returned_to_queue: bool,
}

/// It waits in another queue.
#[derive(SimpleObject, Debug, Clone)]
pub struct QueueEntry {
    /// When and by whom.
    pub entry: Entry,
    /// The queue now.
    pub to: Queue,
    /// The queue before.
    pub from: Queue,
}

/// The status changed.
#[derive(SimpleObject, Debug, Clone)]
pub struct StatusEntry {
    /// When and by whom.
    pub entry: Entry,
    /// The status now.
    pub to: Status,
    /// The status before.
    pub from: Status,
    /// It was resolved or closed before and is not any more.
    pub reopened: bool,
}

/// It was raised to a higher level.
#[derive(SimpleObject, Debug, Clone)]
pub struct EscalationEntry {
    /// When and by whom.
    pub entry: Entry,
    /// The level now.
    pub level: i32,
    /// Why.
    pub reason: String,
    /// The metric whose deadline led to it; null when somebody did it.
    pub metric: Option<SlaMetric>,
    /// That deadline.
    pub due_at: Option<DateTime>,
    /// Keys of agents to be told.
    pub notify: Vec<String>,
}

/// What a service level had to say.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlaEventKind {
    /// A policy was chosen.
    Applied,
    /// A deadline came near.
    Warned,
    /// A deadline passed.
    Breached,
}

/// Something about a service level.
#[derive(SimpleObject, Debug, Clone)]
pub struct SlaEntry {
    /// When and by whom.
    pub entry: Entry,
    /// What.
    pub kind: SlaEventKind,
    /// The track.
    pub track: String,
    /// The policy that was chosen.
    pub policy: Option<String>,
    /// The metric of a warning or breach.
    pub metric: Option<SlaMetric>,
    /// The deadline of a warning or breach.
    pub due_at: Option<DateTime>,
    /// What made Docket choose a policy, for example `queue_changed`.
    pub reason: Option<String>,
    /// The conditions of the policy that the ticket met, for example `queue vip`.
    pub matched: Vec<String>,
}

/// Another attribute changed: priority, category, subject, requester, a tag or a custom field.
#[derive(SimpleObject, Debug, Clone)]
pub struct ChangeEntry {
    /// When and by whom.
    pub entry: Entry,
    /// The attribute, for example `priority` or `field:location`.
    pub attribute: String,
    /// The value now.
    pub to: Option<String>,
    /// The value before.
    pub from: Option<String>,
}

/// Something that happened to a ticket.
#[derive(Union, Debug, Clone)]
pub enum TimelineEntry {
    /// The opening.
    Opening(OpeningEntry),
    /// A message.
    Message(MessageEntry),
    /// A note.
    Note(NoteEntry),
    /// A call.
    Call(CallEntry),
    /// An assignment.
    Assignment(AssignmentEntry),
    /// A transfer.
    Queue(QueueEntry),
    /// A change of status.
    Status(StatusEntry),
    /// An escalation.
    Escalation(EscalationEntry),
    /// A service level.
    Sla(SlaEntry),
    /// Any other change.
    Change(ChangeEntry),
}

connection!(TimelineConnection, TimelineEdge, TimelineEntry, "entries of a timeline");

/// The entries of these commits that the session may see, with the keys of their places.
pub fn entries(session: &Session, commits: &[Arc<Commit>]) -> Vec<(String, TimelineEntry)> {
    // Who sees the ticket at all was decided before; here it is about what is internal.
    let internal = session.can(Action::ReadInternal, Resource::Figures);
    let dated = commits
        .iter()
        .flat_map(|commit| (0_usize..).zip(&commit.events).map(move |(index, event)| (commit, index, event)));
    dated
        .filter_map(|(commit, index, event)| {
            let Event::Ticket(ticket_event) = &event.event else { return None };
            if !internal && !session.views.desk().desk().shows_customers(ticket_event) {
                return None;
            }
            let actor = match &commit.actor {
                actor if internal || *actor == session.principal.actor() => actor.to_string(),
                Actor::Customer(_) => "another customer".to_owned(),
                Actor::System | Actor::Administrator(_) | Actor::Agent(_) | Actor::Imported(_) | Actor::Unknown(_) => {
                    "the desk".to_owned()
                }
            };
            let head = Entry {
                id: global_id("entry", format!("{}.{index}", commit.position)),
                position: commit.position.into(),
                occurred_at: event.occurred_at.into(),
                recorded_at: commit.recorded_at.into(),
                actor,
            };
            Some((format!("{:020}.{index:05}", commit.position.get()), entry(session, head, ticket_event)?))
        })
        .collect()
}

fn entry(session: &Session, entry: Entry, event: &TicketEvent) -> Option<TimelineEntry> {
    // Objects are reached by their doors, so an entry shows nobody more than `node` does.
    let agent = |key: &AgentKey| Agent::seen(session, key);
    let team = |key: &TeamKey| Team::seen(session, key);
    let queue = |key: &QueueKey| Queue::seen(session, key);
    let customer = |id: &CustomerId| Customer::seen(session, *id);
    let status = |status: &ticket::StatusRef| Status::of(session, &status.key, status.category);
    let change = |entry, attribute: &str, to: Option<String>, from: Option<String>| {
        TimelineEntry::Change(ChangeEntry { entry, attribute: attribute.to_owned(), to, from })
    };
    let moved = |entry, to: &ticket::StatusRef, from: &ticket::StatusRef, reopened| {
        TimelineEntry::Status(StatusEntry { entry, to: status(to), from: status(from), reopened })
    };
    let assignment = |entry| AssignmentEntry {
        entry,
        agent: None,
        previous_agent: None,
        team: None,
        previous_team: None,
        returned_to_queue: false,
    };
    Some(match event {
        TicketEvent::TicketOpened(e) => TimelineEntry::Opening(OpeningEntry {
            entry,
            channel: e.channel.into(),
            subject: e.subject.reveal().clone(),
        }),
        TicketEvent::MessageReceived(e) => TimelineEntry::Message(MessageEntry {
            entry,
            direction: MessageDirection::Inbound,
            channel: e.channel.into(),
            customer: e.from.as_ref().and_then(customer),
            agent: None,
            author_name: e
                .from
                .as_ref()
                .filter(|id| customer(id).is_some())
                .and_then(|id| session.views.people().customer(id).map(|row| row.name.reveal().clone())),
            body: e.body.clone(),
        }),
        TicketEvent::MessageSent(e) => TimelineEntry::Message(MessageEntry {
            entry,
            direction: MessageDirection::Outbound,
            channel: e.channel.into(),
            customer: None,
            agent: e.agent.as_ref().and_then(agent),
            // Whoever is written to may know by whom, whatever else of the desk is hidden.
            author_name: e.agent.as_ref().map(|key| {
                let agent = session.views.desk().desk().agents.get(key);
                agent.map_or_else(|| key.to_string(), |agent| agent.definition.name.clone())
            }),
            body: e.body.clone(),
        }),
        TicketEvent::NoteAdded(e) => {
            TimelineEntry::Note(NoteEntry { entry, agent: e.agent.as_ref().and_then(agent), body: e.body.clone() })
        }
        TicketEvent::CallLogged(e) => TimelineEntry::Call(CallEntry {
            entry,
            answered: e.outcome == ticket::CallOutcome::Answered,
            duration_s: i32::try_from(e.duration_s).unwrap_or(i32::MAX),
            customer: e.from.as_ref().and_then(customer),
            agent: e.agent.as_ref().and_then(agent),
            body: e.summary.clone(),
        }),
        TicketEvent::AgentAssigned(e) => TimelineEntry::Assignment(AssignmentEntry {
            agent: agent(&e.agent),
            previous_agent: e.from.as_ref().and_then(agent),
            ..assignment(entry)
        }),
        TicketEvent::AgentUnassigned(e) => {
            TimelineEntry::Assignment(AssignmentEntry { previous_agent: agent(&e.from), ..assignment(entry) })
        }
        TicketEvent::TeamAssigned(e) => TimelineEntry::Assignment(AssignmentEntry {
            team: team(&e.team),
            previous_team: e.from.as_ref().and_then(team),
            ..assignment(entry)
        }),
        TicketEvent::TeamUnassigned(e) => {
            TimelineEntry::Assignment(AssignmentEntry { previous_team: team(&e.from), ..assignment(entry) })
        }
        TicketEvent::ReturnedToQueue(e) => TimelineEntry::Assignment(AssignmentEntry {
            previous_agent: agent(&e.from),
            returned_to_queue: true,
            ..assignment(entry)
        }),
        TicketEvent::QueueChanged(e) => {
            TimelineEntry::Queue(QueueEntry { entry, to: queue(&e.to)?, from: queue(&e.from)? })
        }
        TicketEvent::StatusChanged(e) => moved(entry, &e.to, &e.from, false),
        TicketEvent::Resolved(e) => moved(entry, &e.to, &e.from, false),
        TicketEvent::Closed(e) => moved(entry, &e.to, &e.from, false),
        TicketEvent::Reopened(e) => moved(entry, &e.to, &e.from, true),
        TicketEvent::PriorityChanged(e) => change(entry, "priority", Some(e.to.to_string()), Some(e.from.to_string())),
        TicketEvent::CategoryChanged(e) => {
            change(entry, "category", e.to.as_ref().map(ToString::to_string), e.from.as_ref().map(ToString::to_string))
        }
        TicketEvent::SubjectChanged(e) => {
            change(entry, "subject", Some(e.to.reveal().clone()), Some(e.from.reveal().clone()))
        }
        TicketEvent::RequesterChanged(e) => change(
            entry,
            "requester",
            e.to.as_ref().map(|id| global_id("customer", id).to_string()),
            e.from.as_ref().map(|id| global_id("customer", id).to_string()),
        ),
        TicketEvent::FollowerAdded(e) => change(entry, "follower", Some(e.agent.to_string()), None),
        TicketEvent::FollowerRemoved(e) => change(entry, "follower", None, Some(e.agent.to_string())),
        TicketEvent::TagAdded(e) => change(entry, "tag", Some(e.tag.clone()), None),
        TicketEvent::TagRemoved(e) => change(entry, "tag", None, Some(e.tag.clone())),
        TicketEvent::FieldChanged(e) => change(
            entry,
            &format!("field:{}", e.field),
            e.to.as_ref().map(|value| value.reveal().to_string()),
            e.from.as_ref().map(|value| value.reveal().to_string()),
        ),
        TicketEvent::Escalated(e) => TimelineEntry::Escalation(EscalationEntry {
            entry,
            level: i32::from(e.level),
            reason: e.reason.clone(),
            metric: e.step.as_ref().map(|step| step.metric.into()),
            due_at: e.step.as_ref().map(|step| step.due_at.into()),
            notify: e.notify.iter().map(ToString::to_string).collect(),
        }),
        TicketEvent::SlaApplied(e) => TimelineEntry::Sla(SlaEntry {
            entry,
            kind: SlaEventKind::Applied,
            track: e.track.to_string(),
            policy: e.policy.as_ref().map(ToString::to_string),
            metric: None,
            due_at: None,
            reason: Some(e.reason.to_string()),
            matched: e.matched.clone(),
        }),
        TicketEvent::SlaWarned(e) => TimelineEntry::Sla(SlaEntry {
            entry,
            kind: SlaEventKind::Warned,
            track: e.track.to_string(),
            policy: None,
            metric: Some(e.metric.into()),
            due_at: Some(e.due_at.into()),
            reason: None,
            matched: vec![],
        }),
        TicketEvent::SlaBreached(e) => TimelineEntry::Sla(SlaEntry {
            entry,
            kind: SlaEventKind::Breached,
            track: e.track.to_string(),
            policy: None,
            metric: Some(e.metric.into()),
            due_at: Some(e.due_at.into()),
            reason: None,
            matched: vec![],
        }),
    })
}
