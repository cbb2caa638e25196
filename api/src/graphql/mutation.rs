//! What can be changed. Every mutation takes one `input` (and the `id` of what it changes) and gives one payload; what the
//! rules refuse comes back as `userErrors`, and then nothing has changed.

use std::{future::Future, sync::Arc};

use async_graphql::{Context, Error, ID, InputObject, Object, SimpleObject};
use docket_core::{
    access::Role,
    ids::{AgentKey, CategoryKey, CustomerId, FieldKey, MessageId, QueueKey, StatusKey, TeamKey, TicketId, TokenId},
    personal::Personal,
    rejection::Rejection,
    ticket::{
        self as core, Escalate, FieldValue, LogCall, Message, Note, Opening, StatusCategory, StatusWish, TicketCommand,
    },
};
use ulid::Ulid;

use super::{
    Session,
    desk::{Channel, Customer, Priority},
    error::{UserError, UserErrorCode, split},
    query::{RoleName, ticket_by_id},
    relay::{global_id, local_id},
    scalars::{BigInt, DateTime},
    sla::SlaEffect,
    ticket::Ticket,
};
use crate::{
    desk_file,
    engine::{Applied, Done, EngineError, NewCustomer, Request},
};

/// Declares the payload of a mutation of a ticket.
macro_rules! ticket_payloads {
    ($($name:ident $what:literal,)*) => {$(
        #[doc = concat!("Answer to ", $what, ".")]
        #[derive(SimpleObject)]
        pub struct $name {
            /// The ticket as it is then; null when the mutation was refused.
            pub ticket: Option<Ticket>,
            /// Position of what was stored: read with it as minimum to see the change.
            pub position: Option<BigInt>,
            /// Why nothing was done.
            pub user_errors: Vec<UserError>,
            /// What the input gave.
            pub client_mutation_id: Option<String>,
        }

        impl From<Outcome> for $name {
            fn from(outcome: Outcome) -> Self {
                let Outcome { ticket, position, user_errors, client_mutation_id } = outcome;
                Self { ticket, position, user_errors, client_mutation_id }
            }
        }
    )*};
}

/// What came of a mutation of a ticket.
pub struct Outcome {
    ticket: Option<Ticket>,
    position: Option<BigInt>,
    user_errors: Vec<UserError>,
    client_mutation_id: Option<String>,
}

ticket_payloads! {
    TicketOpenPayload "`ticketOpen`",
    TicketReceivePayload "`ticketReceive`",
    TicketReplyPayload "`ticketReply`",
    TicketAddNotePayload "`ticketAddNote`",
    TicketLogCallPayload "`ticketLogCall`",
    TicketAssignPayload "`ticketAssign`",
    TicketTransferPayload "`ticketTransfer`",
    TicketSetStatusPayload "`ticketSetStatus`",
    TicketResolvePayload "`ticketResolve`",
    TicketClosePayload "`ticketClose`",
    TicketReopenPayload "`ticketReopen`",
    TicketUpdatePayload "`ticketUpdate`",
    TicketTagPayload "`ticketTag`",
    TicketSetFieldPayload "`ticketSetField`",
    TicketEscalatePayload "`ticketEscalate`",
    TicketFollowPayload "`ticketFollow`",
}

/// A new ticket.
#[derive(InputObject)]
pub struct TicketOpenInput {
    /// What it is about, in a line of at most 500 bytes.
    subject: String,
    /// The first message, in the customer's words.
    body: Option<String>,
    /// How it came in; `API` when absent.
    channel: Option<Channel>,
    /// Id of the queue; the desk's default when absent.
    queue: Option<ID>,
    /// Its priority; `NORMAL` when absent.
    priority: Option<Priority>,
    /// Id of its category.
    category: Option<ID>,
    /// Id of the customer who asks. Customers ask for themselves and leave it out.
    requester: Option<ID>,
    /// The same value by the same token is carried out once, for ever.
    client_mutation_id: Option<String>,
}

/// A text for a ticket's conversation.
#[derive(InputObject)]
pub struct TicketReceiveInput {
    /// The text, at most 1 MiB.
    body: String,
    /// How it came in; `API` when absent.
    channel: Option<Channel>,
    /// Id of the customer who writes; the requester when absent. Customers write for themselves.
    from: Option<ID>,
    /// The same value by the same token is carried out once, for ever.
    client_mutation_id: Option<String>,
}

/// An answer to the customer.
#[derive(InputObject)]
pub struct TicketReplyInput {
    /// The text, at most 1 MiB.
    body: String,
    /// How it goes out; the channel of the opening when absent.
    channel: Option<Channel>,
    /// The ticket's version that the author saw: the answer is refused when something else happened since.
    expected_version: Option<BigInt>,
    /// The same value by the same token is carried out once, for ever.
    client_mutation_id: Option<String>,
}

/// An internal note.
#[derive(InputObject)]
pub struct TicketAddNoteInput {
    /// The text, at most 1 MiB.
    body: String,
    /// The same value by the same token is carried out once, for ever.
    client_mutation_id: Option<String>,
}

/// A telephone call.
#[derive(InputObject)]
pub struct TicketLogCallInput {
    /// Somebody spoke; otherwise it was missed.
    answered: bool,
    /// Length in seconds.
    #[graphql(default = 0)]
    duration_s: i32,
    /// Id of the customer who called; the requester when absent.
    from: Option<ID>,
    /// What was said, in short.
    summary: Option<String>,
    /// The same value by the same token is carried out once, for ever.
    client_mutation_id: Option<String>,
}

/// Who is to be responsible. What is left out stays; null takes away.
#[derive(InputObject)]
pub struct TicketAssignInput {
    /// Id of the agent.
    agent: async_graphql::MaybeUndefined<ID>,
    /// Id of the team.
    team: async_graphql::MaybeUndefined<ID>,
    /// The ticket's version that the caller saw.
    expected_version: Option<BigInt>,
    /// The same value by the same token is carried out once, for ever.
    client_mutation_id: Option<String>,
}

/// Another queue.
#[derive(InputObject)]
pub struct TicketTransferInput {
    /// Id of the queue.
    queue: ID,
    /// The ticket's version that the caller saw.
    expected_version: Option<BigInt>,
    /// The same value by the same token is carried out once, for ever.
    client_mutation_id: Option<String>,
}

/// Another status.
#[derive(InputObject)]
pub struct TicketSetStatusInput {
    /// Key of the status.
    status: String,
    /// The ticket's version that the caller saw.
    expected_version: Option<BigInt>,
    /// The same value by the same token is carried out once, for ever.
    client_mutation_id: Option<String>,
}

macro_rules! bare_inputs {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(InputObject)]
        pub struct $name {
            /// The ticket's version that the caller saw.
            expected_version: Option<BigInt>,
            /// The same value by the same token is carried out once, for ever.
            client_mutation_id: Option<String>,
        }
    )*};
}

bare_inputs! {
    /// The ticket is solved.
    TicketResolveInput,
    /// The ticket is done with.
    TicketCloseInput,
    /// The ticket is to be worked on again.
    TicketReopenInput,
}

/// Other attributes. What is left out stays; null empties where it can.
#[derive(InputObject)]
pub struct TicketUpdateInput {
    /// What it is about, in a line.
    subject: Option<String>,
    /// Its priority.
    priority: Option<Priority>,
    /// Id of its category.
    category: async_graphql::MaybeUndefined<ID>,
    /// Id of the customer who asked.
    requester: async_graphql::MaybeUndefined<ID>,
    /// The ticket's version that the caller saw.
    expected_version: Option<BigInt>,
    /// The same value by the same token is carried out once, for ever.
    client_mutation_id: Option<String>,
}

/// Tags to put on and take off.
#[derive(InputObject)]
pub struct TicketTagInput {
    /// Tags to put on.
    #[graphql(default)]
    add: Vec<String>,
    /// Tags to take off.
    #[graphql(default)]
    remove: Vec<String>,
    /// The same value by the same token is carried out once, for ever.
    client_mutation_id: Option<String>,
}

/// A value for a custom field: give the one part that fits the field's type, or none to empty it.
#[derive(InputObject)]
pub struct TicketSetFieldInput {
    /// Key of the field.
    field: String,
    /// For text.
    text: Option<String>,
    /// For whole numbers.
    integer: Option<BigInt>,
    /// For yes or no.
    boolean: Option<bool>,
    /// For dates, `YYYY-MM-DD`.
    date: Option<String>,
    /// For instants.
    instant: Option<DateTime>,
    /// For one of the options.
    choice: Option<String>,
    /// For several of the options.
    choices: Option<Vec<String>>,
    /// The ticket's version that the caller saw.
    expected_version: Option<BigInt>,
    /// The same value by the same token is carried out once, for ever.
    client_mutation_id: Option<String>,
}

/// A higher level.
#[derive(InputObject)]
pub struct TicketEscalateInput {
    /// The level; one above the present when absent.
    level: Option<i32>,
    /// Why.
    reason: String,
    /// The same value by the same token is carried out once, for ever.
    client_mutation_id: Option<String>,
}

/// Who follows a ticket, or does so no more.
#[derive(InputObject)]
pub struct TicketFollowInput {
    /// Id of the agent; oneself when absent.
    agent: Option<ID>,
    /// False to end it.
    #[graphql(default = true)]
    follow: bool,
    /// The same value by the same token is carried out once, for ever.
    client_mutation_id: Option<String>,
}

/// Policies to be applied anew.
#[derive(InputObject)]
pub struct SlaReapplyInput {
    /// Only say what it would do.
    #[graphql(default)]
    dry_run: bool,
    /// Given back as it is. Applying anew twice changes nothing more.
    client_mutation_id: Option<String>,
}

/// Answer to `slaReapply`.
#[derive(SimpleObject)]
pub struct SlaReapplyPayload {
    /// What it did, or would do.
    pub effect: Option<SlaEffect>,
    /// Position of the last thing that was stored.
    pub position: Option<BigInt>,
    /// Why nothing was done.
    pub user_errors: Vec<UserError>,
    /// What the input gave.
    pub client_mutation_id: Option<String>,
}

/// A new customer.
#[derive(InputObject)]
pub struct CustomerRegisterInput {
    /// Name, as people read it.
    name: String,
    /// E-mail address.
    email: Option<String>,
    /// The same value by the same token is carried out once, for ever.
    client_mutation_id: Option<String>,
}

/// Answer to `customerRegister`.
#[derive(SimpleObject)]
pub struct CustomerRegisterPayload {
    /// The customer; null when it was refused.
    pub customer: Option<Customer>,
    /// Position of what was stored.
    pub position: Option<BigInt>,
    /// Why nothing was done.
    pub user_errors: Vec<UserError>,
    /// What the input gave.
    pub client_mutation_id: Option<String>,
}

/// A new token.
#[derive(InputObject)]
pub struct TokenCreateInput {
    /// What its bearer is.
    role: RoleName,
    /// Id of the agent, for the role `AGENT`.
    agent: Option<ID>,
    /// Id of the customer, for the role `CUSTOMER`.
    customer: Option<ID>,
    /// What it is for.
    label: String,
    /// When it ends; never when absent.
    expires_at: Option<DateTime>,
    /// Given back as it is. A token is made at every call: its secret could not be shown a second time.
    client_mutation_id: Option<String>,
}

/// Answer to `tokenCreate`.
#[derive(SimpleObject)]
pub struct TokenCreatePayload {
    /// Id of the token, by which it is revoked.
    pub token_id: Option<ID>,
    /// What to send as `Authorization: Bearer …`. It is shown this once.
    pub secret: Option<String>,
    /// Why nothing was done.
    pub user_errors: Vec<UserError>,
    /// What the input gave.
    pub client_mutation_id: Option<String>,
}

/// A token is to be taken back.
#[derive(InputObject)]
pub struct TokenRevokeInput {
    /// Given back as it is.
    client_mutation_id: Option<String>,
}

/// Answer to `tokenRevoke`.
#[derive(SimpleObject)]
pub struct TokenRevokePayload {
    /// Id of the token that holds no longer.
    pub token_id: Option<ID>,
    /// Why nothing was done.
    pub user_errors: Vec<UserError>,
    /// What the input gave.
    pub client_mutation_id: Option<String>,
}

/// A desk file.
#[derive(InputObject)]
pub struct DeskApplyInput {
    /// The file's text, TOML as `docket desk` prints it.
    toml: String,
    /// Only compare.
    #[graphql(default)]
    dry_run: bool,
    /// Given back as it is. Applying the same file again changes nothing.
    client_mutation_id: Option<String>,
}

/// Answer to `deskApply`.
#[derive(SimpleObject)]
pub struct DeskApplyPayload {
    /// The differences, in words such as `change queue billing`.
    pub changes: Vec<String>,
    /// What `slaReapply` would do to open tickets after it; null when the file was refused.
    pub sla_effect: Option<SlaEffect>,
    /// Position of what was stored.
    pub position: Option<BigInt>,
    /// Why nothing was done.
    pub user_errors: Vec<UserError>,
    /// What the input gave.
    pub client_mutation_id: Option<String>,
}

/// The mutations.
pub struct Mutation;

#[Object]
impl Mutation {
    /// Opens a ticket.
    async fn ticket_open(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The ticket.")] input: TicketOpenInput,
    ) -> Result<Option<TicketOpenPayload>, Error> {
        let session = Session::of(context)?;
        let id = input.client_mutation_id.clone();
        let work = async {
            let requester = match session.principal.customer() {
                Some(own) => match key_of::<CustomerId>("customer", "requester", input.requester.as_ref())? {
                    Some(other) if other != own => return Err(EngineError::Forbidden),
                    Some(_) | None => Some(own),
                },
                None => key_of("customer", "requester", input.requester.as_ref())?,
            };
            let channel = input.channel.map_or(core::Channel::Api, Into::into);
            let by_agent = session.principal.customer().is_none() && input.body.is_none();
            let opening = TicketCommand::Open(Opening {
                channel,
                subject: Personal::new(input.subject),
                queue: key_of::<QueueKey>("queue", "queue", input.queue.as_ref())?,
                priority: input.priority.map(Into::into).unwrap_or_default(),
                category: key_of::<CategoryKey>("category", "category", input.category.as_ref())?,
                requester,
                external: None,
                by_agent,
            });
            let mut first = Vec::new();
            if let Some(text) = input.body {
                let message = message(session, channel, text).await?;
                first.push(TicketCommand::Receive { message, from: requester });
            }
            let request = request(&id, None);
            session.engine.open(&session.principal, opening, first, request).await
        };
        Ok(Some(outcome(session, work, id.clone()).await?.into()))
    }

    /// Puts a customer's message on a ticket. A resolved, closed or waiting ticket is open again then.
    async fn ticket_receive(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "The message.")] input: TicketReceiveInput,
    ) -> Result<Option<TicketReceivePayload>, Error> {
        let session = Session::of(context)?;
        let mutation_id = input.client_mutation_id;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let named = key_of::<CustomerId>("customer", "from", input.from.as_ref())?;
            let from = match (session.principal.customer(), named) {
                (Some(own), None) => Some(own),
                (Some(own), Some(named)) if own == named => Some(own),
                (Some(_), Some(_)) => return Err(EngineError::Forbidden),
                (None, Some(named)) => Some(named),
                (None, None) => session.views.tickets().by_id(&ticket).and_then(|row| row.requester),
            };
            let channel = input.channel.map_or(core::Channel::Api, Into::into);
            let message = message(session, channel, input.body).await?;
            run(session, ticket, vec![TicketCommand::Receive { message, from }], &mutation_id, None).await
        };
        Ok(Some(outcome(session, work, mutation_id.clone()).await?.into()))
    }

    /// Answers the customer.
    async fn ticket_reply(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "The answer.")] input: TicketReplyInput,
    ) -> Result<Option<TicketReplyPayload>, Error> {
        let session = Session::of(context)?;
        let mutation_id = input.client_mutation_id;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let opened_by = session.views.tickets().by_id(&ticket).map_or(core::Channel::Api, |row| row.channel);
            let channel = input.channel.map_or(opened_by, Into::into);
            let message = message(session, channel, input.body).await?;
            let agent = session.principal.agent().cloned();
            let command = TicketCommand::Send { message, agent };
            run(session, ticket, vec![command], &mutation_id, input.expected_version).await
        };
        Ok(Some(outcome(session, work, mutation_id.clone()).await?.into()))
    }

    /// Adds a note that customers never see.
    async fn ticket_add_note(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "The note.")] input: TicketAddNoteInput,
    ) -> Result<Option<TicketAddNotePayload>, Error> {
        let session = Session::of(context)?;
        let mutation_id = input.client_mutation_id;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let body = session.engine.body(input.body).await?;
            let note = Note { id: MessageId::new(Ulid::generate()), body };
            let command = TicketCommand::AddNote { note, agent: session.principal.agent().cloned() };
            run(session, ticket, vec![command], &mutation_id, None).await
        };
        Ok(Some(outcome(session, work, mutation_id.clone()).await?.into()))
    }

    /// Puts a telephone call on record.
    async fn ticket_log_call(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "The call.")] input: TicketLogCallInput,
    ) -> Result<Option<TicketLogCallPayload>, Error> {
        let session = Session::of(context)?;
        let mutation_id = input.client_mutation_id;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let requester = session.views.tickets().by_id(&ticket).and_then(|row| row.requester);
            let duration_s = u32::try_from(input.duration_s).map_err(|_| Rejection::Invalid {
                field: "durationS",
                reason: "a call cannot be shorter than nothing".into(),
            })?;
            let summary = match input.summary {
                Some(text) => Some(session.engine.body(text).await?),
                None => None,
            };
            let command = TicketCommand::LogCall(LogCall {
                id: MessageId::new(Ulid::generate()),
                from: key_of("customer", "from", input.from.as_ref())?.or(requester),
                outcome: if input.answered { core::CallOutcome::Answered } else { core::CallOutcome::Missed },
                duration_s,
                agent: session.principal.agent().filter(|_| input.answered).cloned(),
                summary,
            });
            run(session, ticket, vec![command], &mutation_id, None).await
        };
        Ok(Some(outcome(session, work, mutation_id.clone()).await?.into()))
    }

    /// Makes somebody responsible, or nobody.
    async fn ticket_assign(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Who.")] input: TicketAssignInput,
    ) -> Result<Option<TicketAssignPayload>, Error> {
        let session = Session::of(context)?;
        let mutation_id = input.client_mutation_id;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let mut commands = Vec::new();
            if !input.team.is_undefined() {
                let team = key_of::<TeamKey>("team", "team", input.team.value())?;
                commands.push(TicketCommand::AssignTeam(team));
            }
            if !input.agent.is_undefined() {
                let agent = key_of::<AgentKey>("agent", "agent", input.agent.value())?;
                commands.push(TicketCommand::AssignAgent(agent));
            }
            run(session, ticket, commands, &mutation_id, input.expected_version).await
        };
        Ok(Some(outcome(session, work, mutation_id.clone()).await?.into()))
    }

    /// Moves a ticket to another queue.
    async fn ticket_transfer(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Where to.")] input: TicketTransferInput,
    ) -> Result<Option<TicketTransferPayload>, Error> {
        let session = Session::of(context)?;
        let mutation_id = input.client_mutation_id;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let queue = key_of::<QueueKey>("queue", "queue", Some(&input.queue))?;
            let commands = queue.into_iter().map(TicketCommand::Transfer).collect();
            run(session, ticket, commands, &mutation_id, input.expected_version).await
        };
        Ok(Some(outcome(session, work, mutation_id.clone()).await?.into()))
    }

    /// Brings a ticket to a status of the desk.
    async fn ticket_set_status(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Which status.")] input: TicketSetStatusInput,
    ) -> Result<Option<TicketSetStatusPayload>, Error> {
        let session = Session::of(context)?;
        let mutation_id = input.client_mutation_id;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let key = StatusKey::try_new(&input.status);
            let key = key.map_err(|error| Rejection::invalid_name("status", &error))?;
            let command = TicketCommand::SetStatus(StatusWish::Key(key));
            run(session, ticket, vec![command], &mutation_id, input.expected_version).await
        };
        Ok(Some(outcome(session, work, mutation_id.clone()).await?.into()))
    }

    /// Resolves a ticket: the desk's default status of the category resolved.
    async fn ticket_resolve(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Nothing but what every mutation takes.")] input: TicketResolveInput,
    ) -> Result<Option<TicketResolvePayload>, Error> {
        let wanted = StatusCategory::Resolved;
        Ok(Some(set_category(context, &id, wanted, input.client_mutation_id, input.expected_version).await?.into()))
    }

    /// Closes a ticket: the desk's default status of the category closed.
    async fn ticket_close(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Nothing but what every mutation takes.")] input: TicketCloseInput,
    ) -> Result<Option<TicketClosePayload>, Error> {
        let wanted = StatusCategory::Closed;
        Ok(Some(set_category(context, &id, wanted, input.client_mutation_id, input.expected_version).await?.into()))
    }

    /// Opens a resolved or closed ticket again: the desk's default status of the category open.
    async fn ticket_reopen(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Nothing but what every mutation takes.")] input: TicketReopenInput,
    ) -> Result<Option<TicketReopenPayload>, Error> {
        let wanted = StatusCategory::Open;
        Ok(Some(set_category(context, &id, wanted, input.client_mutation_id, input.expected_version).await?.into()))
    }

    /// Changes subject, priority, category or requester, all or nothing.
    async fn ticket_update(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "What is to change.")] input: TicketUpdateInput,
    ) -> Result<Option<TicketUpdatePayload>, Error> {
        let session = Session::of(context)?;
        let mutation_id = input.client_mutation_id;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let mut commands = Vec::new();
            if let Some(subject) = input.subject {
                commands.push(TicketCommand::SetSubject(Personal::new(subject)));
            }
            if let Some(priority) = input.priority {
                commands.push(TicketCommand::SetPriority(priority.into()));
            }
            if !input.category.is_undefined() {
                let category = key_of::<CategoryKey>("category", "category", input.category.value())?;
                commands.push(TicketCommand::SetCategory(category));
            }
            if !input.requester.is_undefined() {
                let requester = key_of::<CustomerId>("customer", "requester", input.requester.value())?;
                commands.push(TicketCommand::SetRequester(requester));
            }
            run(session, ticket, commands, &mutation_id, input.expected_version).await
        };
        Ok(Some(outcome(session, work, mutation_id.clone()).await?.into()))
    }

    /// Puts tags on and takes tags off.
    async fn ticket_tag(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Which tags.")] input: TicketTagInput,
    ) -> Result<Option<TicketTagPayload>, Error> {
        let session = Session::of(context)?;
        let mutation_id = input.client_mutation_id;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let add = input.add.into_iter().map(TicketCommand::AddTag);
            let commands = add.chain(input.remove.into_iter().map(TicketCommand::RemoveTag)).collect();
            run(session, ticket, commands, &mutation_id, None).await
        };
        Ok(Some(outcome(session, work, mutation_id.clone()).await?.into()))
    }

    /// Fills or empties a custom field.
    async fn ticket_set_field(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "The field and its value.")] input: TicketSetFieldInput,
    ) -> Result<Option<TicketSetFieldPayload>, Error> {
        let session = Session::of(context)?;
        let mutation_id = input.client_mutation_id.clone();
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let field = FieldKey::try_new(&input.field);
            let field = field.map_err(|error| Rejection::invalid_name("field", &error))?;
            let expected = input.expected_version;
            let command = TicketCommand::SetField { field, value: field_value(input)? };
            run(session, ticket, vec![command], &mutation_id, expected).await
        };
        Ok(Some(outcome(session, work, mutation_id.clone()).await?.into()))
    }

    /// Raises a ticket to a higher level.
    async fn ticket_escalate(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Which level, and why.")] input: TicketEscalateInput,
    ) -> Result<Option<TicketEscalatePayload>, Error> {
        let session = Session::of(context)?;
        let mutation_id = input.client_mutation_id;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let level = input
                .level
                .map(u8::try_from)
                .transpose()
                .map_err(|_| Rejection::Invalid { field: "level", reason: "levels go from 1 to 255".into() })?;
            let command = TicketCommand::Escalate(Escalate { level, reason: input.reason });
            run(session, ticket, vec![command], &mutation_id, None).await
        };
        Ok(Some(outcome(session, work, mutation_id.clone()).await?.into()))
    }

    /// Lets an agent follow a ticket, or do so no more.
    async fn ticket_follow(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Who.")] input: TicketFollowInput,
    ) -> Result<Option<TicketFollowPayload>, Error> {
        let session = Session::of(context)?;
        let mutation_id = input.client_mutation_id;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let agent = match &input.agent {
                Some(agent) => local_id::<AgentKey>("agent", agent)
                    .ok_or_else(|| Rejection::NotFound { what: "agent", key: agent.to_string() })?,
                None => session.principal.agent().cloned().ok_or(Rejection::Invalid {
                    field: "agent",
                    reason: "name the agent: this token is not an agent's".into(),
                })?,
            };
            let command = if input.follow { TicketCommand::Follow(agent) } else { TicketCommand::Unfollow(agent) };
            run(session, ticket, vec![command], &mutation_id, None).await
        };
        Ok(Some(outcome(session, work, mutation_id.clone()).await?.into()))
    }

    /// Applies the present versions of SLA policies and calendars to every open ticket. Done tickets never move. For
    /// administrators.
    async fn sla_reapply(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Whether to do it.")] input: SlaReapplyInput,
    ) -> Result<Option<SlaReapplyPayload>, Error> {
        let session = Session::of(context)?;
        let client_mutation_id = input.client_mutation_id;
        let done = session.engine.reapply_policies(&session.principal, input.dry_run).await;
        Ok(Some(match done {
            Ok((effect, position)) => SlaReapplyPayload {
                effect: Some((&effect).into()),
                position: Some(position.into()),
                user_errors: vec![],
                client_mutation_id,
            },
            Err(error) => {
                SlaReapplyPayload { effect: None, position: None, user_errors: vec![split(error)?], client_mutation_id }
            }
        }))
    }

    /// Registers a customer.
    async fn customer_register(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The customer.")] input: CustomerRegisterInput,
    ) -> Result<Option<CustomerRegisterPayload>, Error> {
        let session = Session::of(context)?;
        let client_mutation_id = input.client_mutation_id;
        let customer = NewCustomer { name: input.name, email: input.email, external: None };
        let done = session.engine.register_customer(&session.principal, customer, client_mutation_id.as_deref()).await;
        Ok(Some(match done {
            Ok((id, views, position)) => CustomerRegisterPayload {
                customer: Some(Customer { views, id }),
                position: Some(position.into()),
                user_errors: vec![],
                client_mutation_id,
            },
            Err(error) => CustomerRegisterPayload {
                customer: None,
                position: None,
                user_errors: vec![split(error)?],
                client_mutation_id,
            },
        }))
    }

    /// Makes a token. For administrators.
    async fn token_create(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The token.")] input: TokenCreateInput,
    ) -> Result<Option<TokenCreatePayload>, Error> {
        let session = Session::of(context)?;
        let client_mutation_id = input.client_mutation_id;
        let done = async {
            let missing = |what| EngineError::from(Rejection::Blank { field: what });
            let role = match input.role {
                RoleName::Administrator => Role::Administrator,
                RoleName::Auditor => Role::Auditor,
                RoleName::Agent => {
                    let agent = key_of::<AgentKey>("agent", "agent", input.agent.as_ref())?;
                    Role::Agent(agent.ok_or_else(|| missing("agent"))?)
                }
                RoleName::Customer => {
                    let customer = key_of::<CustomerId>("customer", "customer", input.customer.as_ref())?;
                    Role::Customer(customer.ok_or_else(|| missing("customer"))?)
                }
            };
            let ends = input.expires_at.map(|at| at.0);
            session.engine.issue_token(&session.principal, role, &input.label, ends).await
        };
        Ok(Some(match done.await {
            Ok((id, secret, _)) => TokenCreatePayload {
                token_id: Some(global_id("token", id)),
                secret: Some(secret),
                user_errors: vec![],
                client_mutation_id,
            },
            Err(error) => TokenCreatePayload {
                token_id: None,
                secret: None,
                user_errors: vec![split(error)?],
                client_mutation_id,
            },
        }))
    }

    /// Takes a token back; it holds no longer from then on. For administrators.
    async fn token_revoke(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the token.")] id: ID,
        #[graphql(desc = "Nothing but what every mutation takes.")] input: TokenRevokeInput,
    ) -> Result<Option<TokenRevokePayload>, Error> {
        let session = Session::of(context)?;
        let client_mutation_id = input.client_mutation_id;
        let done = match local_id::<TokenId>("token", &id) {
            Some(token) => session.engine.revoke_token(&session.principal, token).await,
            None => Err(Rejection::NotFound { what: "token", key: id.to_string() }.into()),
        };
        Ok(Some(match done {
            Ok(_) => TokenRevokePayload { token_id: Some(id), user_errors: vec![], client_mutation_id },
            Err(error) => TokenRevokePayload { token_id: None, user_errors: vec![split(error)?], client_mutation_id },
        }))
    }

    /// Compares a desk file with the present desk and makes the desk so, in one commit. For administrators.
    async fn desk_apply(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The desk file.")] input: DeskApplyInput,
    ) -> Result<Option<DeskApplyPayload>, Error> {
        let session = Session::of(context)?;
        let client_mutation_id = input.client_mutation_id;
        let refused = |user_errors, client_mutation_id| DeskApplyPayload {
            changes: vec![],
            sla_effect: None,
            position: None,
            user_errors,
            client_mutation_id,
        };
        let invalid = |message: String| UserError {
            message,
            code: UserErrorCode::Invalid,
            path: vec!["input".into(), "toml".into()],
            current_version: None,
        };
        let config = match desk_file::parse(&input.toml, None) {
            Ok(config) => config,
            Err(problem) => return Ok(Some(refused(vec![invalid(problem)], client_mutation_id))),
        };
        let applied = session.engine.apply_desk(&session.principal, config, input.dry_run).await;
        Ok(Some(match applied {
            Ok(Applied::Problems(problems)) => {
                refused(problems.iter().map(|problem| invalid(problem.to_string())).collect(), client_mutation_id)
            }
            Ok(Applied::Changes { changes, position, effect }) => DeskApplyPayload {
                changes: changes.iter().map(|c| format!("{} {} {}", c.verb, c.kind, c.key)).collect(),
                sla_effect: Some((&effect).into()),
                position: Some(position.into()),
                user_errors: vec![],
                client_mutation_id,
            },
            Err(error) => refused(vec![split(error)?], client_mutation_id),
        }))
    }
}

async fn set_category(
    context: &Context<'_>,
    id: &ID,
    category: StatusCategory,
    mutation_id: Option<String>,
    expected: Option<BigInt>,
) -> Result<Outcome, Error> {
    let session = Session::of(context)?;
    let work = async {
        let ticket = ticket_id(session, id)?;
        let command = TicketCommand::SetStatus(StatusWish::Category(category));
        run(session, ticket, vec![command], &mutation_id, expected).await
    };
    outcome(session, work, mutation_id.clone()).await
}

fn request(mutation_id: &Option<String>, expected: Option<BigInt>) -> Request {
    Request { expected: expected.map(Into::into), idempotency_key: mutation_id.clone(), ..Request::default() }
}

async fn run(
    session: &Session,
    ticket: TicketId,
    commands: Vec<TicketCommand>,
    mutation_id: &Option<String>,
    expected: Option<BigInt>,
) -> Result<Done, EngineError> {
    session.engine.work(&session.principal, ticket, commands, request(mutation_id, expected)).await
}

/// The payload of a mutation of a ticket: the ticket as it is then, or the refusal.
async fn outcome(
    session: &Session,
    work: impl Future<Output = Result<Done, EngineError>>,
    client_mutation_id: Option<String>,
) -> Result<Outcome, Error> {
    Ok(match work.await {
        Ok(done) => {
            let then = Session { views: Arc::clone(&done.views), ..session.clone() };
            Outcome {
                ticket: ticket_by_id(&then, done.ticket),
                position: Some(done.position.into()),
                user_errors: vec![],
                client_mutation_id,
            }
        }
        Err(error) => Outcome { ticket: None, position: None, user_errors: vec![split(error)?], client_mutation_id },
    })
}

async fn message(session: &Session, channel: core::Channel, text: String) -> Result<Message, EngineError> {
    Ok(Message { id: MessageId::new(Ulid::generate()), channel, body: session.engine.body(text).await? })
}

fn ticket_id(session: &Session, id: &ID) -> Result<TicketId, EngineError> {
    let known = local_id::<TicketId>("ticket", id).filter(|id| ticket_by_id(session, *id).is_some());
    known.ok_or_else(|| Rejection::NotFound { what: "ticket", key: id.chars().take(80).collect() }.into())
}

/// The own key in a global id that the input gave.
fn key_of<T: std::str::FromStr>(kind: &str, field: &'static str, id: Option<&ID>) -> Result<Option<T>, EngineError> {
    let Some(id) = id else { return Ok(None) };
    let key = local_id(kind, id);
    match key {
        Some(key) => Ok(Some(key)),
        None => Err(Rejection::NotFound { what: field, key: id.chars().take(80).collect() }.into()),
    }
}

fn field_value(input: TicketSetFieldInput) -> Result<Option<FieldValue>, EngineError> {
    let integer = match input.integer {
        Some(BigInt(number)) => Some(
            i64::try_from(number)
                .map_err(|_| Rejection::Invalid { field: "integer", reason: "the number is too large".into() })?,
        ),
        None => None,
    };
    let given = [
        input.text.map(FieldValue::Text),
        integer.map(FieldValue::Integer),
        input.boolean.map(FieldValue::Boolean),
        input.date.map(FieldValue::Date),
        input.instant.map(|at| FieldValue::Instant(at.0)),
        input.choice.map(FieldValue::Choice),
        input.choices.map(FieldValue::Choices),
    ];
    let mut values = given.into_iter().flatten();
    let value = values.next();
    if values.next().is_some() {
        let reason = "give one value, in the part that fits the field's type".into();
        return Err(Rejection::Invalid { field: "value", reason }.into());
    }
    Ok(value)
}
