//! A ticket is raised to a higher level, by somebody or by a step of its policy, and lowered again by somebody.

use super::{
    assignment::{AssignAgent, AssignTeam, Follow, Transfer},
    details::SetPriority,
    event::{Escalated, EscalationLowered, EscalationStep, TicketEvent},
    reference::Reference,
    rule::{Context, Right, Rule, judge, until_done},
    state::Ticket,
    words::StatusCategory,
};
use crate::{
    ids::AgentKey,
    rejection::{Rejection, check_text},
};

const MAX_REASON: u64 = 1_000;

/// Raise the ticket to a level.
#[derive(Debug, Clone, PartialEq)]
pub struct Escalate {
    /// The level; one above the present when absent.
    pub level: Option<u8>,
    /// Why.
    pub reason: String,
}

impl Rule for Escalate {
    const COMMUTES: bool = false;
    const RIGHT: Right = Right::Work;
    const ALLOWED_IN: fn(StatusCategory) -> bool = until_done;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        vec![]
    }

    fn decide(&self, ticket: &Ticket, _: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        check_text("reason", &self.reason, MAX_REASON)?;
        let level = self.level.unwrap_or_else(|| ticket.escalation_level.saturating_add(1));
        if level == 0 || level < ticket.escalation_level {
            let reason = format!("it is at level {} already and can only rise", ticket.escalation_level);
            return Err(Rejection::Invalid { field: "level", reason });
        }
        if level == ticket.escalation_level {
            return Ok(vec![]);
        }
        Ok(vec![Escalated { level, reason: self.reason.clone(), step: None, notify: vec![] }.into()])
    }
}

/// Lower the ticket to a level: what made it rise is over.
#[derive(Debug, Clone, PartialEq)]
pub struct LowerEscalation {
    /// The level; 0 for none.
    pub level: u8,
    /// Why.
    pub reason: String,
}

impl Rule for LowerEscalation {
    const COMMUTES: bool = false;
    const RIGHT: Right = Right::Work;
    const ALLOWED_IN: fn(StatusCategory) -> bool = until_done;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        vec![]
    }

    fn decide(&self, ticket: &Ticket, _: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        check_text("reason", &self.reason, MAX_REASON)?;
        let from = ticket.escalation_level;
        if self.level > from {
            let reason = format!("it is at level {from} and would rise: escalate it instead");
            return Err(Rejection::Invalid { field: "level", reason });
        }
        if self.level == from {
            return Ok(vec![]);
        }
        Ok(vec![EscalationLowered { level: self.level, from, reason: self.reason.clone() }.into()])
    }
}

/// A step of a policy's escalation: the ticket rises, and what the step says is done. What cannot be done, because
/// somebody has left or a queue is gone, is said in the reason; the rest is done all the same.
pub(super) fn take_step(ticket: &Ticket, step: EscalationStep, context: &Context<'_>) -> Vec<TicketEvent> {
    let policy = ticket.clocks.pinned_policy(&step.track, context.desk);
    let wish = policy.and_then(|policy| {
        policy.escalations.iter().find(|wish| wish.metric == step.metric && wish.level == step.level)
    });
    let Some(wish) = wish else { return vec![] };
    let reason = format!("{} of {} is due at {}", step.metric, step.track, step.due_at);
    let mut deeds = Deeds { state: ticket.clone(), events: Vec::new(), reason, context };
    if let Some(to) = wish.raise_priority.filter(|to| *to > ticket.priority) {
        deeds.take(&SetPriority(to));
    }
    if let Some(queue) = &wish.move_to {
        deeds.take(&Transfer(queue));
    }
    if let Some(team) = &wish.assign_team {
        deeds.take(&AssignTeam(Some(team)));
    }
    if let Some(agent) = &wish.assign_agent {
        deeds.take(&AssignAgent(Some(agent)));
    }
    for agent in &wish.follow {
        deeds.take(&Follow(agent));
    }
    let Deeds { events, mut reason, .. } = deeds;
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

/// What a step has done so far: each deed is judged on the ticket as the ones before left it.
struct Deeds<'a> {
    state: Ticket,
    events: Vec<TicketEvent>,
    /// Why the ticket rises, and what could not be done.
    reason: String,
    context: &'a Context<'a>,
}

impl Deeds<'_> {
    fn take(&mut self, rule: &impl Rule) {
        let Context { at, desk, .. } = *self.context;
        match judge(rule, Some(&self.state), self.context) {
            Ok(done) => {
                for event in done {
                    if let Some(after) = Ticket::evolve(Some(self.state.clone()), &event, at, desk) {
                        self.state = after;
                    }
                    self.events.push(event);
                }
            }
            Err(rejection) => {
                self.reason.push_str("; not done: ");
                self.reason.push_str(&rejection.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        rejection::Rejection,
        ticket::{Escalate, LowerEscalation, StatusCategory, StatusWish, TicketCommand, tests::given_a_ticket},
    };

    #[test]
    fn escalation_only_rises() {
        let to = |level| TicketCommand::Escalate(Escalate { level, reason: "The boss calls".into() });
        given_a_ticket()
            .when(1, to(None))
            .then_it_is(|ticket| ticket.escalation_level == 1)
            .when(2, to(Some(3)))
            .then_it_is(|ticket| ticket.escalation_level == 3)
            .when(3, to(Some(2)))
            .then_refused(|r| matches!(r, Rejection::Invalid { field: "level", .. }));
    }

    #[test]
    fn what_rose_is_lowered_again_and_lowering_never_raises() {
        let to =
            |level| TicketCommand::LowerEscalation(LowerEscalation { level, reason: "The boss is content".into() });
        let raised = TicketCommand::Escalate(Escalate { level: Some(3), reason: "The boss calls".into() });
        given_a_ticket()
            .when(1, raised)
            .when(2, to(1))
            .then_it_is(|ticket| ticket.escalation_level == 1)
            .when(3, to(0))
            .then_it_is(|ticket| ticket.escalation_level == 0)
            .when(4, to(2))
            .then_refused(|r| matches!(r, Rejection::Invalid { field: "level", .. }))
            .when(5, TicketCommand::SetStatus(StatusWish::Category(StatusCategory::Resolved)))
            .when(6, to(0))
            .then_refused(|r| matches!(r, Rejection::NotAllowedInStatus { .. }));
    }
}
