//! Tickets that need more than the usual: levels of escalation, and what service levels had to say.

use async_graphql::{Context, Enum, Error, ID, InputObject, Object, SimpleObject};
use docket_core::{
    ids::TicketId,
    rejection::Rejection,
    ticket::{self as core, Escalate, LowerEscalation, TicketCommand},
};

use super::act::{Act, ticket_mutation};
use crate::{
    engine::EngineError,
    graphql::{
        Session,
        asked::Asked,
        desk::Policy,
        people::Agent,
        scalars::DateTime,
        timeline::{Entry, TimelineEntry, entry_fields},
        words::{SlaMetric, SlaReason},
    },
};

/// A higher level.
#[derive(InputObject)]
pub struct EscalateAct {
    /// The level, from 1 to 255; one above the present when absent.
    level: Option<i32>,
    /// Why, in at most 1,000 bytes.
    reason: String,
}

impl Act for EscalateAct {
    async fn commands(self, _: &Asked<'_>, _: TicketId) -> Result<Vec<TicketCommand>, EngineError> {
        let level = self.level.map(u8::try_from).transpose();
        let level =
            level.map_err(|_| Rejection::Invalid { field: "level", reason: "levels go from 1 to 255".into() })?;
        Ok(vec![TicketCommand::Escalate(Escalate { level, reason: self.reason })])
    }
}

/// A lower level.
#[derive(InputObject)]
pub struct LowerEscalationAct {
    /// The level, below the present one; 0 for none.
    #[graphql(default = 0)]
    level: i32,
    /// Why, in at most 1,000 bytes.
    reason: String,
}

impl Act for LowerEscalationAct {
    async fn commands(self, _: &Asked<'_>, _: TicketId) -> Result<Vec<TicketCommand>, EngineError> {
        let invalid = |_| Rejection::Invalid { field: "level", reason: "levels go from 0 to 255".into() };
        let level = u8::try_from(self.level).map_err(invalid)?;
        Ok(vec![TicketCommand::LowerEscalation(LowerEscalation { level, reason: self.reason })])
    }
}

ticket_mutation! {
    /// A lower level for a ticket.
    "ticketLowerEscalation": TicketLowerEscalationInput(LowerEscalationAct) -> TicketLowerEscalationPayload
}
ticket_mutation! {
    /// A higher level for a ticket.
    "ticketEscalate": TicketEscalateInput(EscalateAct) -> TicketEscalatePayload
}

/// Tickets rise and come down again.
#[derive(Default)]
pub struct EscalationMutations;

#[Object]
impl EscalationMutations {
    /// Raises a ticket to a higher level.
    async fn ticket_escalate(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Which level, and why.")] input: TicketEscalateInput,
    ) -> Result<Option<TicketEscalatePayload>, Error> {
        input.run(context, &id).await
    }

    /// Lowers a ticket to a lower level, or to none: what made it rise is over.
    async fn ticket_lower_escalation(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Which level, and why.")] input: TicketLowerEscalationInput,
    ) -> Result<Option<TicketLowerEscalationPayload>, Error> {
        input.run(context, &id).await
    }
}

/// The ticket was raised to a higher level, or lowered again.
#[derive(SimpleObject, Debug, Clone)]
pub struct EscalationEntry {
    #[graphql(flatten)]
    pub entry: Entry,
    /// The new level of escalation.
    level: i32,
    /// The level before, of a ticket that was lowered; null of one that was raised.
    previous_level: Option<i32>,
    /// Why the ticket was raised or lowered.
    explanation: String,
    /// The metric whose deadline led to it; null when somebody did it.
    metric: Option<SlaMetric>,
    /// The deadline that led to it; null when somebody did it.
    due_at: Option<DateTime>,
    /// Agents to be told.
    notify: Vec<Agent>,
}
entry_fields!(EscalationEntry);

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
    #[graphql(flatten)]
    pub entry: Entry,
    /// What the service level had to say.
    kind: SlaEventKind,
    /// The track that it is about.
    track: String,
    /// The policy that was chosen; null when none is any more, and for warnings and breaches.
    policy: Option<Policy>,
    /// The metric of a warning or breach.
    metric: Option<SlaMetric>,
    /// The deadline of a warning or breach.
    due_at: Option<DateTime>,
    /// What made Docket choose a policy; null for warnings and breaches.
    reason: Option<SlaReason>,
    /// The conditions of the policy that the ticket met, for example `queue vip`.
    matched: Vec<String>,
}
entry_fields!(SlaEntry);

/// The entry of an escalation.
pub fn escalated(session: &Session, entry: Entry, event: &core::Escalated) -> TimelineEntry {
    EscalationEntry {
        entry,
        level: i32::from(event.level),
        previous_level: None,
        explanation: event.reason.clone(),
        metric: event.step.as_ref().map(|step| step.metric.into()),
        due_at: event.step.as_ref().map(|step| step.due_at.into()),
        notify: event.notify.iter().filter_map(|key| Agent::seen(session, key)).collect(),
    }
    .into()
}

/// The entry of a ticket that was lowered.
pub fn lowered(entry: Entry, event: &core::EscalationLowered) -> TimelineEntry {
    EscalationEntry {
        entry,
        level: i32::from(event.level),
        previous_level: Some(i32::from(event.from)),
        explanation: event.reason.clone(),
        metric: None,
        due_at: None,
        notify: vec![],
    }
    .into()
}

/// The entry of a policy that was chosen.
pub fn applied(session: &Session, entry: Entry, event: &core::SlaApplied) -> TimelineEntry {
    SlaEntry {
        entry,
        kind: SlaEventKind::Applied,
        track: event.track.to_string(),
        policy: event.policy.as_ref().and_then(|key| Policy::seen(session, key)),
        metric: None,
        due_at: None,
        reason: Some(event.reason.into()),
        matched: event.matched.clone(),
    }
    .into()
}

/// The entry of a warning.
pub fn warned(entry: Entry, event: &core::SlaWarned) -> TimelineEntry {
    deadline(entry, SlaEventKind::Warned, event.track.to_string(), event.metric, event.due_at)
}

/// The entry of a breach.
pub fn breached(entry: Entry, event: &core::SlaBreached) -> TimelineEntry {
    deadline(entry, SlaEventKind::Breached, event.track.to_string(), event.metric, event.due_at)
}

fn deadline(
    entry: Entry,
    kind: SlaEventKind,
    track: String,
    metric: core::SlaMetric,
    due_at: docket_core::time::Timestamp,
) -> TimelineEntry {
    SlaEntry {
        entry,
        kind,
        track,
        policy: None,
        metric: Some(metric.into()),
        due_at: Some(due_at.into()),
        reason: None,
        matched: vec![],
    }
    .into()
}
