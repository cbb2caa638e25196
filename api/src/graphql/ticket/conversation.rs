//! What is said: messages between the customer and the desk, internal notes, telephone calls.

use async_graphql::{ComplexObject, Context, Enum, Error, ID, InputObject, Object, SimpleObject};
use docket_core::{
    ids::{CustomerId, MessageId, TicketId},
    personal::Body,
    rejection::Rejection,
    ticket::{self as core, LogCall, Note, TicketCommand},
};
use ulid::Ulid;

use super::act::{Act, ticket_mutation};
use crate::{
    engine::EngineError,
    graphql::{
        Session,
        asked::{Asked, key_of},
        error::top_level,
        people::{Agent, Customer},
        scalars::Duration,
        timeline::{Entry, TimelineEntry, entry_fields},
        words::Channel,
    },
};

/// Which way a message went.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageDirection {
    /// From the customer to the desk.
    Inbound,
    /// From the desk to the customer.
    Outbound,
}

/// A text for a ticket's conversation. Customers write as themselves; everybody else writes for the desk, or puts a
/// customer's message on record with `direction: INBOUND`.
#[derive(InputObject)]
pub struct ReplyAct {
    /// The text; at most 1 MiB.
    body: String,
    /// The way by which it goes or came. When absent: for what the desk sends the channel of the opening, for what a customer
    /// wrote `API`.
    channel: Option<Channel>,
    /// Which way the message goes. When absent: INBOUND from customers and with `from`, else OUTBOUND.
    direction: Option<MessageDirection>,
    /// Id of the customer who wrote an inbound message; the ticket's requester when absent. Customers write for themselves.
    from: Option<ID>,
}

impl Act for ReplyAct {
    async fn commands(self, asked: &Asked<'_>, ticket: TicketId) -> Result<Vec<TicketCommand>, EngineError> {
        let session = asked.session;
        let named = key_of::<CustomerId>("customer", "from", self.from.as_ref())?;
        let row = session.views.tickets().by_id(&ticket);
        let own = session.principal.customer();
        let inbound = own.is_some() || named.is_some();
        let direction =
            self.direction.unwrap_or(if inbound { MessageDirection::Inbound } else { MessageDirection::Outbound });
        match direction {
            MessageDirection::Inbound => {
                let from = match (own, named) {
                    (Some(own), Some(named)) if own != named => return Err(another()),
                    (Some(own), _) => Some(own),
                    (None, Some(named)) => Some(named),
                    (None, None) => row.and_then(|row| row.requester),
                };
                let channel = self.channel.map_or(core::Channel::Api, Into::into);
                let message = asked.message(channel, self.body).await?;
                Ok(vec![TicketCommand::Receive { message, from }])
            }
            MessageDirection::Outbound if own.is_some() => {
                Err(EngineError::Forbidden { needs: "write for the desk: leave the direction out".into() })
            }
            MessageDirection::Outbound if named.is_some() => {
                let reason = "it is who wrote an inbound message: leave it out, or say direction INBOUND".into();
                Err(Rejection::Invalid { field: "from", reason }.into())
            }
            MessageDirection::Outbound => {
                let opened_by = row.map_or(core::Channel::Api, |row| row.channel);
                let channel = self.channel.map_or(opened_by, Into::into);
                let message = asked.message(channel, self.body).await?;
                Ok(vec![TicketCommand::Send { message, agent: session.principal.agent().cloned() }])
            }
        }
    }
}

/// Customers write as themselves.
fn another() -> EngineError {
    EngineError::Forbidden { needs: "write for another customer: leave `from` out".into() }
}

/// An internal note.
#[derive(InputObject)]
pub struct NoteAct {
    /// The text; at most 1 MiB.
    body: String,
}

impl Act for NoteAct {
    async fn commands(self, asked: &Asked<'_>, _: TicketId) -> Result<Vec<TicketCommand>, EngineError> {
        let body = asked.body("body", self.body).await?;
        let note = Note { id: MessageId::new(Ulid::generate()), body };
        Ok(vec![TicketCommand::AddNote { note, agent: asked.session.principal.agent().cloned() }])
    }
}

/// A telephone call.
#[derive(InputObject)]
pub struct CallAct {
    /// Somebody spoke; otherwise the call was missed.
    answered: bool,
    /// Length of the conversation, in whole seconds.
    #[graphql(default_with = "Duration { millis: 0 }")]
    duration: Duration,
    /// Id of the customer who called; the requester when absent.
    from: Option<ID>,
    /// What was said, in short; at most 1 MiB.
    summary: Option<String>,
}

impl Act for CallAct {
    async fn commands(self, asked: &Asked<'_>, ticket: TicketId) -> Result<Vec<TicketCommand>, EngineError> {
        let session = asked.session;
        let requester = session.views.tickets().by_id(&ticket).and_then(|row| row.requester);
        let millis = self.duration.millis;
        let duration_s = u32::try_from(millis / 1_000).ok().filter(|_| millis % 1_000 == 0).ok_or_else(|| {
            let reason = "a call lasts whole seconds, from none to 136 years".into();
            Rejection::Invalid { field: "duration", reason }
        })?;
        let summary = match self.summary {
            Some(text) => Some(asked.body("summary", text).await?),
            None => None,
        };
        Ok(vec![TicketCommand::LogCall(LogCall {
            id: MessageId::new(Ulid::generate()),
            from: key_of("customer", "from", self.from.as_ref())?.or(requester),
            outcome: if self.answered { core::CallOutcome::Answered } else { core::CallOutcome::Missed },
            duration_s,
            agent: session.principal.agent().filter(|_| self.answered).cloned(),
            summary,
        })])
    }
}

ticket_mutation! {
    /// A text for a ticket's conversation.
    "ticketReply": TicketReplyInput(ReplyAct) -> TicketReplyPayload
}
ticket_mutation! {
    /// An internal note for a ticket.
    "ticketAddNote": TicketAddNoteInput(NoteAct) -> TicketAddNotePayload
}
ticket_mutation! {
    /// A telephone call about a ticket.
    "ticketLogCall": TicketLogCallInput(CallAct) -> TicketLogCallPayload
}

/// Things are said.
#[derive(Default)]
pub struct ConversationMutations;

#[Object]
impl ConversationMutations {
    /// Writes to a ticket's conversation, whoever writes: customers to the desk, the desk to the customer. A message of the
    /// customer's opens a resolved, closed or waiting ticket again.
    async fn ticket_reply(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "The message.")] input: TicketReplyInput,
    ) -> Result<Option<TicketReplyPayload>, Error> {
        input.run(context, &id).await
    }

    /// Adds a note that customers never see.
    async fn ticket_add_note(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "The note.")] input: TicketAddNoteInput,
    ) -> Result<Option<TicketAddNotePayload>, Error> {
        input.run(context, &id).await
    }

    /// Puts a telephone call on record. It opens a resolved, closed or waiting ticket again.
    async fn ticket_log_call(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "The call.")] input: TicketLogCallInput,
    ) -> Result<Option<TicketLogCallPayload>, Error> {
        input.run(context, &id).await
    }
}

/// A message between the customer and the desk.
#[derive(SimpleObject, Debug, Clone)]
#[graphql(complex)]
pub struct MessageEntry {
    #[graphql(flatten)]
    pub entry: Entry,
    /// Which way the message went.
    direction: MessageDirection,
    /// The way by which the message went.
    channel: Channel,
    /// The customer who wrote an inbound message. Customers see nobody but themselves.
    customer: Option<Customer>,
    /// The agent who wrote an outbound message. Null for customers, who read the name.
    agent: Option<Agent>,
    /// Name of whoever wrote the message, as people read it; null when it is not known, or not for you.
    author_name: Option<String>,
    #[graphql(skip)]
    text: Body,
}
entry_fields!(MessageEntry);

#[ComplexObject]
impl MessageEntry {
    /// The text of the message.
    async fn body(&self, context: &Context<'_>) -> Result<String, Error> {
        text(context, &self.text).await
    }
}

/// An internal note.
#[derive(SimpleObject, Debug, Clone)]
#[graphql(complex)]
pub struct NoteEntry {
    #[graphql(flatten)]
    pub entry: Entry,
    /// The agent who wrote the note; null when it was nobody of the desk's agents.
    agent: Option<Agent>,
    #[graphql(skip)]
    text: Body,
}
entry_fields!(NoteEntry);

#[ComplexObject]
impl NoteEntry {
    /// The text of the note.
    async fn body(&self, context: &Context<'_>) -> Result<String, Error> {
        text(context, &self.text).await
    }
}

/// A telephone call.
#[derive(SimpleObject, Debug, Clone)]
#[graphql(complex)]
pub struct CallEntry {
    #[graphql(flatten)]
    pub entry: Entry,
    /// Somebody spoke; otherwise the call was missed.
    answered: bool,
    /// Length of the conversation.
    duration: Duration,
    /// Who called. Customers see nobody but themselves.
    customer: Option<Customer>,
    /// Who spoke for the desk. Null for customers.
    agent: Option<Agent>,
    #[graphql(skip)]
    text: Option<Body>,
}
entry_fields!(CallEntry);

#[ComplexObject]
impl CallEntry {
    /// What was said on the telephone, in short.
    async fn summary(&self, context: &Context<'_>) -> Result<Option<String>, Error> {
        match &self.text {
            Some(body) => text(context, body).await.map(Some),
            None => Ok(None),
        }
    }
}

async fn text(context: &Context<'_>, body: &Body) -> Result<String, Error> {
    Session::of(context)?.engine.text(body).await.map_err(|error| top_level(&error))
}

/// The entry of a customer's message.
pub fn received(session: &Session, entry: Entry, event: &core::MessageReceived) -> TimelineEntry {
    let customer = event.from.and_then(|id| Customer::seen(session, id));
    let row = event.from.filter(|_| customer.is_some()).and_then(|id| session.views.people().customer(&id));
    MessageEntry {
        entry,
        direction: MessageDirection::Inbound,
        channel: event.channel.into(),
        customer,
        agent: None,
        author_name: row.map(|row| row.name.reveal().clone()),
        text: event.body.clone(),
    }
    .into()
}

/// The entry of the desk's message.
pub fn sent(session: &Session, entry: Entry, event: &core::MessageSent) -> TimelineEntry {
    MessageEntry {
        entry,
        direction: MessageDirection::Outbound,
        channel: event.channel.into(),
        customer: None,
        agent: event.agent.as_ref().and_then(|key| Agent::seen(session, key)),
        // Whoever is written to may know by whom, whatever else of the desk is hidden.
        author_name: event.agent.as_ref().map(|key| {
            let agent = session.views.desk().desk().agents.get(key);
            agent.map_or_else(|| key.to_string(), |agent| agent.definition.name.clone())
        }),
        text: event.body.clone(),
    }
    .into()
}

/// The entry of a note.
pub fn noted(session: &Session, entry: Entry, event: &core::NoteAdded) -> TimelineEntry {
    let agent = event.agent.as_ref().and_then(|key| Agent::seen(session, key));
    NoteEntry { entry, agent, text: event.body.clone() }.into()
}

/// The entry of a call.
pub fn called(session: &Session, entry: Entry, event: &core::CallLogged) -> TimelineEntry {
    CallEntry {
        entry,
        answered: event.outcome == core::CallOutcome::Answered,
        duration: Duration { millis: i64::from(event.duration_s) * 1_000 },
        customer: event.from.and_then(|id| Customer::seen(session, id)),
        agent: event.agent.as_ref().and_then(|key| Agent::seen(session, key)),
        text: event.summary.clone(),
    }
    .into()
}
