//! What is said on a ticket: messages of customers and agents, notes and calls.

use super::{
    event::{CallLogged, MessageReceived, MessageSent, NoteAdded, TicketEvent},
    pick_up::pick_up_after_act,
    reference::{Reference, named, stored_text},
    rule::{Context, Right, Rule, default_status, in_any_status, until_closed},
    state::Ticket,
    status::{status_after_customer, status_event, with_those_who_are_here},
    words::{CallOutcome, Channel, StatusCategory},
};
use crate::{
    ids::{AgentKey, CustomerId, MessageId},
    personal::Body,
    rejection::{Rejection, check_text},
};

/// A text in the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// The way it goes.
    pub channel: Channel,
    /// The text.
    pub body: Body,
}

/// An internal note.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// Its id.
    pub id: MessageId,
    /// The text.
    pub body: Body,
}

/// A telephone call.
#[derive(Debug, Clone, PartialEq)]
pub struct LogCall {
    /// Its id.
    pub id: MessageId,
    /// Who called.
    pub from: Option<CustomerId>,
    /// Whether somebody spoke.
    pub outcome: CallOutcome,
    /// Length in seconds.
    pub duration_s: u32,
    /// Who spoke for the desk.
    pub agent: Option<AgentKey>,
    /// What was said.
    pub summary: Option<Body>,
}

/// A customer writes.
pub(super) struct Receive<'a> {
    pub(super) message: &'a Message,
    pub(super) from: Option<CustomerId>,
}

impl Rule for Receive<'_> {
    const COMMUTES: bool = true;
    const RIGHT: Right = Right::Ask;
    const ALLOWED_IN: fn(StatusCategory) -> bool = in_any_status;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        named([self.from.map(|id| Reference::Customer(id, "from")), stored_text(Some(&self.message.body))])
    }

    fn decide(&self, ticket: &Ticket, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        let Message { id, channel, body } = self.message;
        check_body("body", body)?;
        let received = MessageReceived { message: *id, channel: *channel, from: self.from, body: body.clone() };
        let mut events = vec![received.into()];
        events.extend(status_after_customer(ticket, None, context)?);
        Ok(with_those_who_are_here(ticket, events, context))
    }
}

/// An agent writes to the customer.
pub(super) struct Send<'a> {
    pub(super) message: &'a Message,
    pub(super) agent: Option<&'a AgentKey>,
}

impl Rule for Send<'_> {
    const COMMUTES: bool = false;
    const RIGHT: Right = Right::Work;
    const ALLOWED_IN: fn(StatusCategory) -> bool = until_closed;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        named([self.agent.map(Reference::Agent), stored_text(Some(&self.message.body))])
    }

    fn decide(&self, ticket: &Ticket, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        let Message { id, channel, body } = self.message;
        check_body("body", body)?;
        let pick_up = pick_up_after_act(ticket, self.agent, context);
        let sent =
            MessageSent { message: *id, channel: *channel, agent: self.agent.cloned(), body: body.clone(), pick_up };
        let mut events = vec![sent.into()];
        if ticket.status.category == StatusCategory::New {
            // Somebody has looked at it.
            let open = default_status(StatusCategory::Open, context.desk)?;
            events.push(status_event(ticket.status.clone(), open, pick_up));
        }
        Ok(events)
    }
}

/// An agent notes something internal.
pub(super) struct AddNote<'a> {
    pub(super) note: &'a Note,
    pub(super) agent: Option<&'a AgentKey>,
}

impl Rule for AddNote<'_> {
    const COMMUTES: bool = true;
    const RIGHT: Right = Right::Note;
    const ALLOWED_IN: fn(StatusCategory) -> bool = in_any_status;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        named([self.agent.map(Reference::Agent), stored_text(Some(&self.note.body))])
    }

    fn decide(&self, ticket: &Ticket, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        let Note { id, body } = self.note;
        check_body("body", body)?;
        let pick_up = pick_up_after_act(ticket, self.agent, context);
        Ok(vec![NoteAdded { message: *id, agent: self.agent.cloned(), body: body.clone(), pick_up }.into()])
    }
}

impl Rule for LogCall {
    const COMMUTES: bool = true;
    const RIGHT: Right = Right::Work;
    const ALLOWED_IN: fn(StatusCategory) -> bool = in_any_status;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        named([
            self.from.map(|id| Reference::Customer(id, "from")),
            self.agent.as_ref().map(Reference::Agent),
            stored_text(self.summary.as_ref()),
        ])
    }

    fn decide(&self, ticket: &Ticket, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        if let Some(summary) = &self.summary {
            check_body("summary", summary)?;
        }
        let spoke = self.agent.as_ref();
        let logged = CallLogged {
            message: self.id,
            from: self.from,
            outcome: self.outcome,
            duration_s: self.duration_s,
            agent: self.agent.clone(),
            summary: self.summary.clone(),
            pick_up: pick_up_after_act(ticket, spoke, context),
        };
        let mut events = vec![logged.into()];
        events.extend(status_after_customer(ticket, spoke, context)?);
        Ok(with_those_who_are_here(ticket, events, context))
    }
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

#[cfg(test)]
mod tests {
    use crate::{
        personal::Body,
        rejection::Rejection,
        ticket::{
            StatusCategory, TicketCommand, TicketEvent,
            tests::{customer_writes, given_a_ticket, message, reply, status},
        },
    };

    #[test]
    fn blank_and_endless_texts_are_refused() {
        let send = |text: &str| TicketCommand::Send { message: message(text), agent: None };
        given_a_ticket()
            .when(1, send("  \n"))
            .then_refused(|r| matches!(r, Rejection::Blank { field: "body" }))
            .when(1, send(&"x".repeat(Body::MAX_INLINE + 1)))
            .then_refused(|r| matches!(r, Rejection::TooLong { field: "body", .. }));
    }

    #[test]
    fn the_first_answer_opens_a_new_ticket() {
        given_a_ticket().when(5, reply()).then_it_is(|ticket| ticket.status.category == StatusCategory::Open);
    }

    #[test]
    fn whatever_a_customer_writes_is_taken_and_opens_the_ticket_again() {
        for done in [StatusCategory::Waiting, StatusCategory::Resolved, StatusCategory::Closed] {
            let story = given_a_ticket().when(1, status(done)).when(2, customer_writes()).and_it_happened();
            let Ok(events) = &story.answer else { unreachable!() };
            assert!(matches!(events[0], TicketEvent::MessageReceived(_)));
            let reopens = matches!(events[1], TicketEvent::Reopened(_));
            assert_eq!(reopens, done.is_done(), "{done}");
            story.then_it_is(|ticket| ticket.status.category == StatusCategory::Open);
        }
    }
}
