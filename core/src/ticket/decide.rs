//! What a command leads to. Judges and changes nothing; "already so" is an empty list of events.

use std::collections::BTreeSet;

use super::{
    command::{Message, Opening, StatusWish, TicketCommand, TimerCommand},
    event::{
        AgentAssigned, AgentUnassigned, CallLogged, CategoryChanged, Closed, Escalated, EscalationStep, FieldChanged,
        FollowerAdded, FollowerRemoved, MessageReceived, MessageSent, NoteAdded, PriorityChanged, QueueChanged,
        Reopened, RequesterChanged, Resolved, ReturnedToQueue, SlaBreached, SlaWarned, StatusChanged, SubjectChanged,
        TagAdded, TagRemoved, TeamAssigned, TeamUnassigned, TicketEvent, TicketOpened,
    },
    reference::{Directory, check_references},
    state::Ticket,
    words::{FieldValue, PickUp, SlaMetric, SlaReason, StatusCategory, StatusRef},
};
use crate::{
    desk::{Desk, FieldType},
    event::Actor,
    ids::{AgentKey, FieldKey, QueueKey, TrackKey},
    personal::{Body, Personal},
    rejection::{Rejection, check_text},
    sla::{Clocks, Subject, policies_to_apply},
    time::Timestamp,
};

/// What a decision may look at besides the ticket.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// When it happens. For imports and late mail that is before now.
    pub at: Timestamp,
    /// When it is decided.
    pub now: Timestamp,
    /// Who asks.
    pub actor: &'a Actor,
    /// The desk.
    pub desk: &'a Desk,
    /// What is no part of the desk: customers, stored texts.
    pub directory: &'a dyn Directory,
}

const MAX_SUBJECT: u64 = 500;
const MAX_TAG: u64 = 64;
const MAX_TAGS: usize = 100;
const MAX_FOLLOWERS: usize = 100;
const MAX_FIELD_TEXT: u64 = 4_000;
const MAX_REASON: u64 = 1_000;

/// The events that the command leads to.
///
/// # Errors
/// When a rule says no; nothing has changed then.
pub fn decide(
    state: Option<&Ticket>,
    command: &TicketCommand,
    context: &Context<'_>,
) -> Result<Vec<TicketEvent>, Rejection> {
    check_references(command, context)?;
    let Some(ticket) = state else {
        return if let TicketCommand::Open(opening) = command {
            open(opening, context)
        } else {
            Err(Rejection::not_found("ticket", ""))
        };
    };
    allowed_in(ticket.status.category, command)?;
    match command {
        TicketCommand::Open(_) => Err(Rejection::Taken { what: "ticket", key: String::new() }),
        TicketCommand::Receive { message, from } => {
            check_body("body", &message.body)?;
            let mut events = vec![received(message, *from)];
            events.extend(status_after_customer(ticket, None, context)?);
            Ok(with_those_who_are_here(ticket, events, context))
        }
        TicketCommand::Send { message, agent } => {
            check_body("body", &message.body)?;
            let pick_up = pick_up_after_act(ticket, agent.as_ref(), context);
            let mut events: Vec<TicketEvent> = vec![
                MessageSent {
                    message: message.id,
                    channel: message.channel,
                    agent: agent.clone(),
                    body: message.body.clone(),
                    pick_up,
                }
                .into(),
            ];
            if ticket.status.category == StatusCategory::New {
                // Somebody has looked at it.
                let open = default_status(StatusCategory::Open, context.desk)?;
                events.push(status_event(ticket.status.clone(), open, pick_up));
            }
            Ok(events)
        }
        TicketCommand::AddNote { note, agent } => {
            check_body("body", &note.body)?;
            let pick_up = pick_up_after_act(ticket, agent.as_ref(), context);
            Ok(vec![NoteAdded { message: note.id, agent: agent.clone(), body: note.body.clone(), pick_up }.into()])
        }
        TicketCommand::LogCall(call) => {
            if let Some(summary) = &call.summary {
                check_body("summary", summary)?;
            }
            let mut events: Vec<TicketEvent> = vec![
                CallLogged {
                    message: call.id,
                    from: call.from,
                    outcome: call.outcome,
                    duration_s: call.duration_s,
                    agent: call.agent.clone(),
                    summary: call.summary.clone(),
                    pick_up: pick_up_after_act(ticket, call.agent.as_ref(), context),
                }
                .into(),
            ];
            events.extend(status_after_customer(ticket, call.agent.as_ref(), context)?);
            Ok(with_those_who_are_here(ticket, events, context))
        }
        TicketCommand::AssignAgent(None) => {
            Ok(ticket.agent.iter().map(|from| AgentUnassigned { from: from.clone() }.into()).collect())
        }
        TicketCommand::AssignAgent(Some(agent)) => Ok(assign(ticket, agent, context)),
        TicketCommand::AssignTeam(None) => {
            let events: Vec<_> = ticket.team.iter().map(|from| TeamUnassigned { from: from.clone() }.into()).collect();
            Ok(with_policies(ticket, events, SlaReason::TeamChanged, context))
        }
        TicketCommand::AssignTeam(Some(team)) => {
            if ticket.team.as_ref() == Some(team) {
                return Ok(vec![]);
            }
            let event = TeamAssigned { team: team.clone(), from: ticket.team.clone() }.into();
            Ok(with_policies(ticket, vec![event], SlaReason::TeamChanged, context))
        }
        TicketCommand::Transfer(to) => {
            if ticket.queue == *to {
                return Ok(vec![]);
            }
            let pick_up = pick_up_in(ticket, to, ticket.status.category, context);
            let event = QueueChanged { to: to.clone(), from: ticket.queue.clone(), pick_up }.into();
            Ok(with_policies(ticket, vec![event], SlaReason::QueueChanged, context))
        }
        TicketCommand::SetStatus(wish) => {
            let events = set_status(ticket, wish, context)?;
            Ok(with_those_who_are_here(ticket, events, context))
        }
        TicketCommand::SetPriority(to) => {
            if ticket.priority == *to {
                return Ok(vec![]);
            }
            let event = PriorityChanged { to: *to, from: ticket.priority }.into();
            Ok(with_policies(ticket, vec![event], SlaReason::PriorityChanged, context))
        }
        TicketCommand::SetCategory(to) => {
            if ticket.category == *to {
                return Ok(vec![]);
            }
            let event = CategoryChanged { to: to.clone(), from: ticket.category.clone() }.into();
            Ok(with_policies(ticket, vec![event], SlaReason::CategoryChanged, context))
        }
        TicketCommand::SetSubject(to) => {
            check_text("subject", to.reveal(), MAX_SUBJECT)?;
            if ticket.subject == *to {
                return Ok(vec![]);
            }
            Ok(vec![SubjectChanged { to: to.clone(), from: ticket.subject.clone() }.into()])
        }
        TicketCommand::SetRequester(to) => {
            if ticket.requester == *to {
                return Ok(vec![]);
            }
            Ok(vec![RequesterChanged { to: *to, from: ticket.requester }.into()])
        }
        TicketCommand::AddTag(tag) => {
            check_tag(tag)?;
            if ticket.tags.contains(tag) {
                return Ok(vec![]);
            }
            if ticket.tags.len() >= MAX_TAGS {
                return Err(Rejection::Limit { what: "tags", limit: MAX_TAGS as u64 });
            }
            Ok(with_policies(ticket, vec![TagAdded { tag: tag.clone() }.into()], SlaReason::TagsChanged, context))
        }
        TicketCommand::RemoveTag(tag) => {
            if !ticket.tags.contains(tag) {
                return Ok(vec![]);
            }
            Ok(with_policies(ticket, vec![TagRemoved { tag: tag.clone() }.into()], SlaReason::TagsChanged, context))
        }
        TicketCommand::Follow(agent) => {
            if ticket.followers.contains(agent) {
                return Ok(vec![]);
            }
            if ticket.followers.len() >= MAX_FOLLOWERS {
                return Err(Rejection::Limit { what: "followers", limit: MAX_FOLLOWERS as u64 });
            }
            Ok(vec![FollowerAdded { agent: agent.clone() }.into()])
        }
        TicketCommand::Unfollow(agent) => {
            let follows = ticket.followers.contains(agent);
            Ok(follows.then(|| FollowerRemoved { agent: agent.clone() }.into()).into_iter().collect())
        }
        TicketCommand::ReapplyPolicies => {
            // Closed history never moves.
            if ticket.status.category.is_done() {
                return Ok(vec![]);
            }
            Ok(with_policies(ticket, vec![], SlaReason::Reapplied, context))
        }
        TicketCommand::SetField { field, value } => set_field(ticket, field, value.as_ref(), context.desk),
        TicketCommand::Escalate(wish) => {
            check_text("reason", &wish.reason, MAX_REASON)?;
            let level = wish.level.unwrap_or_else(|| ticket.escalation_level.saturating_add(1));
            if level == 0 || level < ticket.escalation_level {
                let reason = format!("it is at level {} already and can only rise", ticket.escalation_level);
                return Err(Rejection::Invalid { field: "level", reason });
            }
            if level == ticket.escalation_level {
                return Ok(vec![]);
            }
            Ok(vec![Escalated { level, reason: wish.reason.clone(), step: None, notify: vec![] }.into()])
        }
        TicketCommand::Timer(timer) => Ok(due(ticket, timer, context)),
    }
}

fn open(opening: &Opening, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
    let desk = context.desk;
    check_text("subject", opening.subject.reveal(), MAX_SUBJECT)?;
    if context.at > context.now.plus_millis(86_400_000) {
        let reason = format!("{} lies in the future", context.at);
        return Err(Rejection::Invalid { field: "occurredAt", reason });
    }
    let queue = match &opening.queue {
        Some(queue) => queue.clone(),
        None => default_queue(desk)?,
    };
    let opened = TicketOpened {
        channel: opening.channel,
        subject: opening.subject.clone(),
        status: default_status(StatusCategory::New, desk)?,
        priority: opening.priority,
        queue,
        requester: opening.requester,
        category: opening.category.clone(),
        external: opening.external.clone(),
        by_agent: opening.by_agent,
    };
    let subject = Subject {
        queue: &opened.queue,
        priority: opened.priority,
        category: opened.category.as_ref(),
        channel: opened.channel,
        team: None,
        tags: &BTreeSet::new(),
        by_agent: opened.by_agent,
    };
    let policies = policies_to_apply(desk, subject, &Clocks::default(), context.at, SlaReason::Opened);
    Ok(std::iter::once(opened.into()).chain(policies.into_iter().map(TicketEvent::from)).collect())
}

/// The events, and the policies that the ticket falls under after them where they are others than before.
fn with_policies(
    ticket: &Ticket,
    mut events: Vec<TicketEvent>,
    reason: SlaReason,
    context: &Context<'_>,
) -> Vec<TicketEvent> {
    let mut after = Some(ticket.clone());
    for event in &events {
        after = Ticket::evolve(after, event, context.at, context.desk);
    }
    if let Some(after) = after {
        let policies = policies_to_apply(context.desk, after.subject_of_policies(), &after.clocks, context.at, reason);
        events.extend(policies.into_iter().map(TicketEvent::from));
    }
    events
}

fn default_queue(desk: &Desk) -> Result<QueueKey, Rejection> {
    let live = || desk.queues.values().filter(|queue| !queue.retired);
    live()
        .find(|queue| queue.definition.default)
        .or_else(|| live().next())
        .map(|queue| queue.definition.key.clone())
        .ok_or_else(|| Rejection::not_found("queue", "default"))
}

fn default_status(category: StatusCategory, desk: &Desk) -> Result<StatusRef, Rejection> {
    desk.default_status(category).ok_or_else(|| Rejection::not_found("status", format!("of category {category}")))
}

fn received(message: &Message, from: Option<crate::ids::CustomerId>) -> TicketEvent {
    MessageReceived { message: message.id, channel: message.channel, from, body: message.body.clone() }.into()
}

/// Somebody outside spoke: a finished ticket is open again, a waiting one waits no longer. Nothing a customer says is lost
/// because of a status. It is no act of the assignee's, but for an assignee who spoke on the telephone: who has not picked
/// the ticket up is still held to it.
fn status_after_customer(
    ticket: &Ticket,
    spoke: Option<&AgentKey>,
    context: &Context<'_>,
) -> Result<Option<TicketEvent>, Rejection> {
    Ok(match ticket.status.category {
        StatusCategory::New | StatusCategory::Open => None,
        StatusCategory::Waiting
        | StatusCategory::Postponed
        | StatusCategory::SolutionProposed
        | StatusCategory::Resolved
        | StatusCategory::Closed => {
            let open = default_status(StatusCategory::Open, context.desk)?;
            let picked_up = spoke.is_some() && spoke == ticket.agent.as_ref();
            let pick_up = if picked_up { None } else { pick_up_in(ticket, &ticket.queue, open.category, context) };
            Some(status_event(ticket.status.clone(), open, pick_up))
        }
    })
}

/// The events, and when they reopen the ticket, what has left meanwhile: a ticket that is worked on again is neither with
/// somebody who is gone nor in a queue that takes no more.
fn with_those_who_are_here(ticket: &Ticket, mut events: Vec<TicketEvent>, context: &Context<'_>) -> Vec<TicketEvent> {
    if !events.iter().any(|event| matches!(event, TicketEvent::Reopened(_))) {
        return events;
    }
    let desk = context.desk;
    let gone = |agent: &&AgentKey| desk.agents.get(*agent).is_none_or(|agent| agent.retired);
    if let Some(from) = ticket.agent.as_ref().filter(gone) {
        events.push(AgentUnassigned { from: from.clone() }.into());
    }
    let retired = desk.queues.get(&ticket.queue).is_none_or(|queue| queue.retired);
    if retired && let Ok(to) = default_queue(desk) {
        let pick_up = pick_up_in(ticket, &to, StatusCategory::Open, context);
        events.push(QueueChanged { to, from: ticket.queue.clone(), pick_up }.into());
        return with_policies(ticket, events, SlaReason::QueueChanged, context);
    }
    events
}

fn set_status(ticket: &Ticket, wish: &StatusWish, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
    let desk = context.desk;
    let to = match wish {
        StatusWish::Category(category) => {
            if ticket.status.category == *category {
                return Ok(vec![]);
            }
            default_status(*category, desk)?
        }
        StatusWish::Key(key) => desk.status(key).ok_or_else(|| Rejection::not_found("status", key.as_str()))?,
    };
    if ticket.status == to {
        return Ok(vec![]);
    }
    let pick_up = if acts_as_assignee(ticket, None, context) {
        None
    } else {
        pick_up_in(ticket, &ticket.queue, to.category, context)
    };
    Ok(vec![status_event(ticket.status.clone(), to, pick_up)])
}

/// The event of a change of status: it depends on what the two statuses mean. `pick_up` is what the assignee is held to
/// after it; on a finished ticket nothing runs, and whoever has not picked it up is held to it again once it is reopened.
pub fn status_event(from: StatusRef, to: StatusRef, pick_up: Option<PickUp>) -> TicketEvent {
    match (from.category, to.category) {
        // Another name for the same: nothing was resolved or closed again.
        (a, b) if a == b => StatusChanged { to, from, pick_up }.into(),
        (_, StatusCategory::Resolved) => Resolved { to, from, pick_up }.into(),
        (_, StatusCategory::Closed) => Closed { to, from, pick_up }.into(),
        (StatusCategory::Resolved | StatusCategory::Closed, _) => Reopened { to, from, pick_up }.into(),
        _ => StatusChanged { to, from, pick_up }.into(),
    }
}

/// True when the assignee acts: by the token, or named as the author of what is put on record.
fn acts_as_assignee(ticket: &Ticket, author: Option<&AgentKey>, context: &Context<'_>) -> bool {
    let Some(assignee) = &ticket.agent else { return false };
    author == Some(assignee) || matches!(context.actor, Actor::Agent(own) if own == assignee)
}

/// What the assignee is held to after somebody wrote, noted or spoke: an act of the assignee's is the pick-up, anybody
/// else's leaves things as they are.
fn pick_up_after_act(ticket: &Ticket, author: Option<&AgentKey>, context: &Context<'_>) -> Option<PickUp> {
    if acts_as_assignee(ticket, author, context) || ticket.agent.is_none() || ticket.picked_up {
        return None;
    }
    ticket.pick_up.or(Some(PickUp::Later))
}

/// What an assignee who has not picked the ticket up is held to in a queue and a status: the time that runs already; a new
/// one when the queue is another, or when it becomes the desk's turn; none yet while it is somebody else's.
fn pick_up_in(ticket: &Ticket, queue: &QueueKey, category: StatusCategory, context: &Context<'_>) -> Option<PickUp> {
    if ticket.agent.is_none() || ticket.picked_up {
        return None;
    }
    match ticket.pick_up {
        Some(PickUp::By(at)) if ticket.queue == *queue && category.is_desks_turn() => Some(PickUp::By(at)),
        Some(_) | None => pick_up_from_now(queue, category, context).or(Some(PickUp::Later)),
    }
}

/// What somebody who is given a ticket now is held to.
fn pick_up_from_now(queue: &QueueKey, category: StatusCategory, context: &Context<'_>) -> Option<PickUp> {
    let desk = context.desk;
    let queue = &desk.queues.get(queue)?.definition;
    let span = queue.return_after?;
    if category.is_done() {
        return None;
    }
    if !category.is_desks_turn() {
        return Some(PickUp::Later);
    }
    match &queue.return_calendar {
        None => Some(PickUp::By(context.at.plus_millis(span.millis()))),
        Some(calendar) => desk.open_hours_at(calendar, context.at)?.due(context.at, span).map(PickUp::By),
    }
}

/// Which commands pass on a ticket of this status. A closed ticket takes what adds to its record (messages, calls, notes)
/// or describes it (subject, requester, tags, fields, followers), and a status that opens it again; what steers work
/// (answers, assignment, queue, priority, category) needs it open. Escalating needs one that is not finished.
fn allowed_in(status: StatusCategory, command: &TicketCommand) -> Result<(), Rejection> {
    let passes = match command {
        TicketCommand::Receive { .. }
        | TicketCommand::AddNote { .. }
        | TicketCommand::LogCall(_)
        | TicketCommand::SetStatus(_)
        | TicketCommand::SetSubject(_)
        | TicketCommand::SetRequester(_)
        | TicketCommand::AddTag(_)
        | TicketCommand::RemoveTag(_)
        | TicketCommand::SetField { .. }
        | TicketCommand::Follow(_)
        | TicketCommand::Unfollow(_)
        // Judged by their own rules: of what is finished they make nothing.
        | TicketCommand::Open(_)
        | TicketCommand::ReapplyPolicies
        | TicketCommand::Timer(_) => true,
        TicketCommand::Send { .. }
        | TicketCommand::AssignAgent(_)
        | TicketCommand::AssignTeam(_)
        | TicketCommand::Transfer(_)
        | TicketCommand::SetPriority(_)
        | TicketCommand::SetCategory(_) => status != StatusCategory::Closed,
        TicketCommand::Escalate(_) => !status.is_done(),
    };
    if passes { Ok(()) } else { Err(Rejection::NotAllowedInStatus { status, hint: "reopen it first" }) }
}

fn assign(ticket: &Ticket, agent: &AgentKey, context: &Context<'_>) -> Vec<TicketEvent> {
    if ticket.agent.as_ref() == Some(agent) {
        return vec![];
    }
    // Who takes a ticket has picked it up.
    let taken = matches!(context.actor, Actor::Agent(own) if own == agent);
    let pick_up = if taken { None } else { pick_up_from_now(&ticket.queue, ticket.status.category, context) };
    let (pick_up_by, pick_up_later) = match pick_up {
        Some(PickUp::By(at)) => (Some(at), false),
        Some(PickUp::Later) => (None, true),
        None => (None, false),
    };
    let assigned = AgentAssigned { agent: agent.clone(), from: ticket.agent.clone(), pick_up_by, pick_up_later, taken };
    vec![assigned.into()]
}

fn set_field(
    ticket: &Ticket,
    field: &FieldKey,
    value: Option<&FieldValue>,
    desk: &Desk,
) -> Result<Vec<TicketEvent>, Rejection> {
    let definition = desk.fields.get(field).map(|field| &field.definition);
    let definition = definition.ok_or_else(|| Rejection::not_found("field", field.as_str()))?;
    if let Some(value) = value {
        check_field(definition.field_type, &definition.options, value)?;
    }
    let from = ticket.fields.get(field);
    if from.map(Personal::reveal) == value {
        return Ok(vec![]);
    }
    let to = value.cloned().map(Personal::new);
    Ok(vec![FieldChanged { field: field.clone(), to, from: from.cloned() }.into()])
}

fn check_field(field_type: FieldType, options: &[String], value: &FieldValue) -> Result<(), Rejection> {
    let invalid = |reason: String| Err(Rejection::Invalid { field: "value", reason });
    let known = |choice: &String| options.contains(choice);
    match (field_type, value) {
        (FieldType::Text, FieldValue::Text(text)) => check_text("value", text, MAX_FIELD_TEXT),
        (FieldType::Integer, FieldValue::Integer(_))
        | (FieldType::Boolean, FieldValue::Boolean(_))
        | (FieldType::Instant, FieldValue::Instant(_)) => Ok(()),
        (FieldType::Date, FieldValue::Date(date)) => match date.parse::<jiff::civil::Date>() {
            Ok(_) => Ok(()),
            Err(_) => invalid(format!("{date:?} is not a date: write it like 2026-11-22")),
        },
        (FieldType::Choice, FieldValue::Choice(choice)) if known(choice) => Ok(()),
        (FieldType::Choices, FieldValue::Choices(choices)) if choices.iter().all(known) => Ok(()),
        (FieldType::Choice | FieldType::Choices, FieldValue::Choice(_) | FieldValue::Choices(_)) => {
            invalid(format!("choose among {}", options.join(", ")))
        }
        (field_type, _) => invalid(format!("the field takes values of the type {field_type:?}").to_lowercase()),
    }
}

fn check_tag(tag: &str) -> Result<(), Rejection> {
    check_text("tag", tag, MAX_TAG)?;
    if tag.chars().any(|c| c.is_control() || c == ',') || tag.trim() != tag {
        let reason = "a tag has no commas, control characters or blanks at its ends".into();
        return Err(Rejection::Invalid { field: "tag", reason });
    }
    Ok(())
}

fn check_body(field: &'static str, body: &Body) -> Result<(), Rejection> {
    match body {
        Body::Inline(text) => check_text(field, text.reveal(), Body::MAX_INLINE as u64),
        Body::Stored { bytes, .. } if *bytes > Body::MAX as u64 => {
            Err(Rejection::TooLong { field, limit: Body::MAX as u64, actual: *bytes })
        }
        Body::Stored { .. } => Ok(()),
    }
}

/// What a timer finds when it looks again: nothing, when the thing is not due any more or was done already.
fn due(ticket: &Ticket, timer: &TimerCommand, context: &Context<'_>) -> Vec<TicketEvent> {
    let now = context.now;
    if let TimerCommand::ReturnToQueue { due_at } = timer {
        return match &ticket.agent {
            Some(agent) if ticket.pick_up == Some(PickUp::By(*due_at)) && *due_at <= now => vec![
                ReturnedToQueue { queue: ticket.queue.clone(), from: agent.clone(), due_at: *due_at, detected_at: now }
                    .into(),
            ],
            _ => vec![],
        };
    }
    let still_due = ticket.clocks.timers(context.desk).into_iter().find(|(at, wanted)| *at <= now && wanted == timer);
    let Some((step_at, _)) = still_due else { return vec![] };
    let instance =
        |track: &TrackKey, metric: SlaMetric| ticket.clocks.active(track, metric).map_or(1, |clock| clock.instance);
    match timer {
        TimerCommand::Warn { track, metric, due_at } => vec![
            SlaWarned {
                track: track.clone(),
                metric: *metric,
                instance: instance(track, *metric),
                due_at: *due_at,
                detected_at: now,
            }
            .into(),
        ],
        TimerCommand::Breach { track, metric, due_at } => vec![
            SlaBreached {
                track: track.clone(),
                metric: *metric,
                instance: instance(track, *metric),
                due_at: *due_at,
                detected_at: now,
            }
            .into(),
        ],
        TimerCommand::Escalate { track, metric, due_at, level } => {
            let step = EscalationStep {
                track: track.clone(),
                metric: *metric,
                instance: instance(track, *metric),
                level: *level,
                due_at: *due_at,
                step_at,
                detected_at: now,
            };
            escalate(ticket, step, context)
        }
        TimerCommand::ReturnToQueue { .. } => vec![],
    }
}

/// A step of a policy's escalation: the ticket rises, and what the step says is done. What cannot be done, because
/// somebody has left or a queue is gone, is said in the reason; the rest is done all the same.
fn escalate(ticket: &Ticket, step: EscalationStep, context: &Context<'_>) -> Vec<TicketEvent> {
    let policy = ticket.clocks.pinned_policy(&step.track, context.desk);
    let wish = policy.and_then(|policy| {
        policy.escalations.iter().find(|wish| wish.metric == step.metric && wish.level == step.level)
    });
    let Some(wish) = wish else { return vec![] };
    let mut reason = format!("{} of {} is due at {}", step.metric, step.track, step.due_at);
    let mut actions = Vec::new();
    actions.extend(wish.raise_priority.filter(|to| *to > ticket.priority).map(TicketCommand::SetPriority));
    actions.extend(wish.move_to.clone().map(TicketCommand::Transfer));
    actions.extend(wish.assign_team.clone().map(|team| TicketCommand::AssignTeam(Some(team))));
    actions.extend(wish.assign_agent.clone().map(|agent| TicketCommand::AssignAgent(Some(agent))));
    actions.extend(wish.follow.iter().cloned().map(TicketCommand::Follow));
    let (mut state, mut events) = (ticket.clone(), Vec::new());
    for action in actions {
        match decide(Some(&state), &action, context) {
            Ok(done) => {
                for event in done {
                    state = Ticket::evolve(Some(state.clone()), &event, context.at, context.desk).unwrap_or(state);
                    events.push(event);
                }
            }
            Err(rejection) => {
                reason.push_str("; not done: ");
                reason.push_str(&rejection.to_string());
            }
        }
    }
    let here = |agent: &&AgentKey| context.desk.agents.get(*agent).is_some_and(|agent| !agent.retired);
    let (notify, gone): (Vec<&AgentKey>, Vec<&AgentKey>) = wish.notify.iter().partition(here);
    for agent in gone {
        reason.push_str(&format!("; not told: agent {agent:?} has left", agent = agent.as_str()));
    }
    let level = step.level.max(ticket.escalation_level);
    let notify = notify.into_iter().cloned().collect();
    let escalated = Escalated { level, reason, step: Some(step), notify };
    std::iter::once(escalated.into()).chain(events).collect()
}
