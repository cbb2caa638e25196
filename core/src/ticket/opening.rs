//! A ticket is opened.

use std::collections::BTreeSet;

use super::{
    details::MAX_SUBJECT,
    event::{TicketEvent, TicketOpened},
    reference::{Reference, named},
    rule::{Context, Right, Rule, default_queue, default_status, in_any_status},
    state::Ticket,
    words::{Channel, ExternalReference, Priority, SlaReason, StatusCategory},
};
use crate::{
    ids::{CategoryKey, CustomerId, QueueKey},
    personal::Personal,
    rejection::{Rejection, check_text},
    sla::{Clocks, Subject, policies_to_apply},
};

/// Open a ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct Opening {
    /// How it came in.
    pub channel: Channel,
    /// What it is about, in a line.
    pub subject: Personal<String>,
    /// The queue; the desk's default when absent.
    pub queue: Option<QueueKey>,
    /// The priority.
    pub priority: Priority,
    /// The category.
    pub category: Option<CategoryKey>,
    /// Who asks.
    pub requester: Option<CustomerId>,
    /// Its name in another system.
    pub external: Option<ExternalReference>,
    /// True when an agent opens it on somebody's behalf.
    pub by_agent: bool,
}

impl Opening {
    /// A ticket of the usual priority in the default queue, of nobody in particular.
    pub fn new(channel: Channel, subject: impl Into<String>) -> Self {
        Self {
            channel,
            subject: Personal::new(subject.into()),
            queue: None,
            priority: Priority::default(),
            category: None,
            requester: None,
            external: None,
            by_agent: false,
        }
    }
}

impl Rule for Opening {
    const COMMUTES: bool = false;
    const RIGHT: Right = Right::Ask;
    // What exists already is refused for that, not for its status.
    const ALLOWED_IN: fn(StatusCategory) -> bool = in_any_status;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        named([
            self.queue.as_ref().map(Reference::Queue),
            self.category.as_ref().map(Reference::Category),
            self.requester.map(|id| Reference::Customer(id, "requester")),
        ])
    }

    fn decide(&self, _: &Ticket, _: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        Err(Rejection::Taken { what: "ticket", key: String::new() })
    }

    fn decide_without_ticket(&self, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        let desk = context.desk;
        check_text("subject", self.subject.reveal(), MAX_SUBJECT)?;
        if context.at > context.now.plus_millis(86_400_000) {
            let reason = format!("{} lies in the future", context.at);
            return Err(Rejection::Invalid { field: "occurredAt", reason });
        }
        let queue = match &self.queue {
            Some(queue) => queue.clone(),
            None => default_queue(desk)?,
        };
        let opened = TicketOpened {
            channel: self.channel,
            subject: self.subject.clone(),
            status: default_status(StatusCategory::New, desk)?,
            priority: self.priority,
            queue,
            requester: self.requester,
            category: self.category.clone(),
            external: self.external.clone(),
            by_agent: self.by_agent,
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
}

#[cfg(test)]
mod tests {
    use crate::{
        rejection::Rejection,
        ticket::{
            Priority, StatusCategory,
            tests::{given_nothing, open},
        },
    };

    #[test]
    fn a_ticket_is_opened_once_in_the_status_new_with_its_policies() {
        given_nothing()
            .when(0, open("inbox", Priority::Normal))
            .then_it_is(|ticket| ticket.status.category == StatusCategory::New && ticket.clocks.pins.len() == 1)
            .when(1, open("inbox", Priority::Normal))
            .then_refused(|r| matches!(r, Rejection::Taken { .. }));
    }

    #[test]
    fn a_ticket_for_a_queue_that_does_not_exist_is_refused() {
        given_nothing()
            .when(0, open("moon", Priority::Normal))
            .then_refused(|r| matches!(r, Rejection::NotFound { what: "queue", .. }));
    }
}
