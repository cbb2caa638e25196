//! What can be changed. Every mutation takes one `input` (and the `id` of what it changes) and gives one payload; what the
//! rules refuse comes back as `userErrors`, and then nothing has changed.

use async_graphql::{Context, Error, ID, InputObject, Object, SimpleObject};
use docket_core::{
    access::Role,
    desk::Change,
    ids::{AgentKey, CategoryKey, CustomerId, FieldKey, MessageId, QueueKey, StatusKey, TeamKey, TicketId, TokenId},
    personal::Personal,
    rejection::Rejection,
    ticket::{self as core, Escalate, FieldValue, LogCall, Note, Opening, StatusCategory, StatusWish, TicketCommand},
};
use ulid::Ulid;

use super::{
    Session,
    asked::{Asked, Outcome},
    desk::{Channel, Customer, Priority},
    error::{UserError, UserErrorCode, top_level},
    query::RoleName,
    relay::{global_id, local_id},
    scalars::{BigInt, DateTime},
    sla::SlaEffect,
    ticket::Ticket,
};
use crate::{
    desk_file,
    engine::{Action, Applied, EngineError, NewCustomer, Resource},
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
    /// Only say what it would do; a key is not bound to it.
    #[graphql(default)]
    dry_run: bool,
    /// The same value by the same token is carried out once, for ever: a repetition finishes what was interrupted, unless the
    /// desk has changed since, and its `effect` is null.
    client_mutation_id: Option<String>,
}

/// Answer to `slaReapply`.
#[derive(SimpleObject)]
pub struct SlaReapplyPayload {
    /// What it did, or would do; null when it was refused, and when a request is repeated.
    pub effect: Option<SlaEffect>,
    /// Numbers of tickets that could not be worked on and are as they were.
    pub set_aside: Vec<i32>,
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
    /// The same value by the same token is carried out once, for ever. A repetition names the token and shows no secret: if the
    /// first answer was lost, revoke the token and make another one.
    client_mutation_id: Option<String>,
}

/// Answer to `tokenCreate`.
#[derive(SimpleObject)]
pub struct TokenCreatePayload {
    /// Id of the token, by which it is revoked.
    pub token_id: Option<ID>,
    /// What to send as `Authorization: Bearer …`. It is shown this once: null when a request is repeated.
    pub secret: Option<String>,
    /// Position of what was stored.
    pub position: Option<BigInt>,
    /// Why nothing was done.
    pub user_errors: Vec<UserError>,
    /// What the input gave.
    pub client_mutation_id: Option<String>,
}

/// A token is to be taken back.
#[derive(InputObject)]
pub struct TokenRevokeInput {
    /// The same value by the same token is carried out once, for ever.
    client_mutation_id: Option<String>,
}

/// Answer to `tokenRevoke`.
#[derive(SimpleObject)]
pub struct TokenRevokePayload {
    /// Id of the token that holds no longer.
    pub token_id: Option<ID>,
    /// Position of what was stored, or of the moment at which it held no longer already.
    pub position: Option<BigInt>,
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
    /// Only compare; a key is not bound to it.
    #[graphql(default)]
    dry_run: bool,
    /// The same value by the same token is carried out once, for ever: a repetition is told what the first one changed, and
    /// its `slaEffect` is null.
    client_mutation_id: Option<String>,
}

/// Answer to `deskApply`.
#[derive(SimpleObject)]
pub struct DeskApplyPayload {
    /// The differences, in words such as `change queue billing`, or `retire queue old: 3 unfinished tickets`.
    pub changes: Vec<String>,
    /// What hangs on the parts that leave, one for each of them.
    pub departures: Vec<Departure>,
    /// Unfinished tickets that were moved, or with `dryRun` would be, as the file's `leaving` says.
    pub moved: i32,
    /// Those that could not be moved and are as they were.
    pub not_moved: Vec<NotMoved>,
    /// What `slaReapply` would do to open tickets after it; null when the file was refused or the request is a repeated one.
    pub sla_effect: Option<SlaEffect>,
    /// Position of what was stored.
    pub position: Option<BigInt>,
    /// Why nothing was done.
    pub user_errors: Vec<UserError>,
    /// What the input gave.
    pub client_mutation_id: Option<String>,
}

impl DeskApplyPayload {
    fn refused(user_errors: Vec<UserError>, client_mutation_id: Option<String>) -> Self {
        Self {
            changes: vec![],
            departures: vec![],
            moved: 0,
            not_moved: vec![],
            sla_effect: None,
            position: None,
            user_errors,
            client_mutation_id,
        }
    }
}

/// What hangs on a part of the desk that leaves.
#[derive(SimpleObject, Debug, Clone)]
pub struct Departure {
    /// Kind of part, for example `queue`.
    pub kind: String,
    /// Its key.
    pub key: String,
    /// Unfinished tickets that name it: they wait in the queue, are assigned to the agent, are measured by the policy. They
    /// stay as they are unless the file's `leaving` moves them.
    pub tickets: i32,
    /// Tokens of the agent, which hold no longer.
    pub tokens: i32,
    /// Unfinished tickets that the agent follows.
    pub followed: i32,
}

impl From<docket_projections::Departure> for Departure {
    fn from(departure: docket_projections::Departure) -> Self {
        let count = |n: u64| i32::try_from(n).unwrap_or(i32::MAX);
        Self {
            kind: departure.kind.to_owned(),
            tickets: count(departure.tickets),
            tokens: count(departure.tokens),
            followed: count(departure.followed),
            key: departure.key,
        }
    }
}

/// A ticket that stayed where it is.
#[derive(SimpleObject, Debug, Clone)]
pub struct NotMoved {
    /// Its number.
    pub number: i32,
    /// Why.
    pub why: String,
}

impl From<crate::engine::NotMoved> for NotMoved {
    fn from(ticket: crate::engine::NotMoved) -> Self {
        Self { number: i32::try_from(ticket.number).unwrap_or(i32::MAX), why: ticket.why }
    }
}

/// A change in words, with what hangs on it.
fn told(change: &Change, departures: &[docket_projections::Departure]) -> String {
    let words = format!("{} {} {}", change.verb, change.kind, change.key).trim_end().to_owned();
    let hangs = departures.iter().find(|d| change.verb == "retire" && d.kind == change.kind && d.key == change.key);
    match hangs.filter(|departure| departure.matters()) {
        Some(departure) => format!("{words}: {departure}"),
        None => words,
    }
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
        let asked = Asked::of(context)?;
        let session = asked.session;
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
                let message = asked.message(channel, text).await?;
                first.push(TicketCommand::Receive { message, from: requester });
            }
            session.engine.open(&session.principal, opening, first, asked.request(None)?).await
        };
        Ok(Some(asked.outcome(work).await?.into()))
    }

    /// Puts a customer's message on a ticket. A resolved, closed or waiting ticket is open again then.
    async fn ticket_receive(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "The message.")] input: TicketReceiveInput,
    ) -> Result<Option<TicketReceivePayload>, Error> {
        let asked = Asked::of(context)?;
        let session = asked.session;
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
            let message = asked.message(channel, input.body).await?;
            asked.run(ticket, vec![TicketCommand::Receive { message, from }], None).await
        };
        Ok(Some(asked.outcome(work).await?.into()))
    }

    /// Answers the customer.
    async fn ticket_reply(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "The answer.")] input: TicketReplyInput,
    ) -> Result<Option<TicketReplyPayload>, Error> {
        let asked = Asked::of(context)?;
        let session = asked.session;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let opened_by = session.views.tickets().by_id(&ticket).map_or(core::Channel::Api, |row| row.channel);
            let channel = input.channel.map_or(opened_by, Into::into);
            let message = asked.message(channel, input.body).await?;
            let agent = session.principal.agent().cloned();
            let command = TicketCommand::Send { message, agent };
            asked.run(ticket, vec![command], input.expected_version).await
        };
        Ok(Some(asked.outcome(work).await?.into()))
    }

    /// Adds a note that customers never see.
    async fn ticket_add_note(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "The note.")] input: TicketAddNoteInput,
    ) -> Result<Option<TicketAddNotePayload>, Error> {
        let asked = Asked::of(context)?;
        let session = asked.session;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let body = asked.body("body", input.body).await?;
            let note = Note { id: MessageId::new(Ulid::generate()), body };
            let command = TicketCommand::AddNote { note, agent: session.principal.agent().cloned() };
            asked.run(ticket, vec![command], None).await
        };
        Ok(Some(asked.outcome(work).await?.into()))
    }

    /// Puts a telephone call on record.
    async fn ticket_log_call(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "The call.")] input: TicketLogCallInput,
    ) -> Result<Option<TicketLogCallPayload>, Error> {
        let asked = Asked::of(context)?;
        let session = asked.session;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let requester = session.views.tickets().by_id(&ticket).and_then(|row| row.requester);
            let duration_s = u32::try_from(input.duration_s).map_err(|_| Rejection::Invalid {
                field: "durationS",
                reason: "a call cannot be shorter than nothing".into(),
            })?;
            let summary = match input.summary {
                Some(text) => Some(asked.body("summary", text).await?),
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
            asked.run(ticket, vec![command], None).await
        };
        Ok(Some(asked.outcome(work).await?.into()))
    }

    /// Makes somebody responsible, or nobody.
    async fn ticket_assign(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Who.")] input: TicketAssignInput,
    ) -> Result<Option<TicketAssignPayload>, Error> {
        let asked = Asked::of(context)?;
        let session = asked.session;
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
            asked.run(ticket, commands, input.expected_version).await
        };
        Ok(Some(asked.outcome(work).await?.into()))
    }

    /// Moves a ticket to another queue.
    async fn ticket_transfer(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Where to.")] input: TicketTransferInput,
    ) -> Result<Option<TicketTransferPayload>, Error> {
        let asked = Asked::of(context)?;
        let session = asked.session;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let queue = key_of::<QueueKey>("queue", "queue", Some(&input.queue))?;
            let commands = queue.into_iter().map(TicketCommand::Transfer).collect();
            asked.run(ticket, commands, input.expected_version).await
        };
        Ok(Some(asked.outcome(work).await?.into()))
    }

    /// Brings a ticket to a status of the desk.
    async fn ticket_set_status(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Which status.")] input: TicketSetStatusInput,
    ) -> Result<Option<TicketSetStatusPayload>, Error> {
        let asked = Asked::of(context)?;
        let session = asked.session;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let key = StatusKey::try_new(&input.status);
            let key = key.map_err(|error| Rejection::invalid_name("status", &error))?;
            let command = TicketCommand::SetStatus(StatusWish::Key(key));
            asked.run(ticket, vec![command], input.expected_version).await
        };
        Ok(Some(asked.outcome(work).await?.into()))
    }

    /// Resolves a ticket: the desk's default status of the category resolved.
    async fn ticket_resolve(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Nothing but what every mutation takes.")] input: TicketResolveInput,
    ) -> Result<Option<TicketResolvePayload>, Error> {
        let wanted = StatusCategory::Resolved;
        Ok(Some(set_category(context, &id, wanted, input.expected_version).await?.into()))
    }

    /// Closes a ticket: the desk's default status of the category closed.
    async fn ticket_close(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Nothing but what every mutation takes.")] input: TicketCloseInput,
    ) -> Result<Option<TicketClosePayload>, Error> {
        let wanted = StatusCategory::Closed;
        Ok(Some(set_category(context, &id, wanted, input.expected_version).await?.into()))
    }

    /// Opens a resolved or closed ticket again: the desk's default status of the category open.
    async fn ticket_reopen(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Nothing but what every mutation takes.")] input: TicketReopenInput,
    ) -> Result<Option<TicketReopenPayload>, Error> {
        let wanted = StatusCategory::Open;
        Ok(Some(set_category(context, &id, wanted, input.expected_version).await?.into()))
    }

    /// Changes subject, priority, category or requester, all or nothing.
    async fn ticket_update(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "What is to change.")] input: TicketUpdateInput,
    ) -> Result<Option<TicketUpdatePayload>, Error> {
        let asked = Asked::of(context)?;
        let session = asked.session;
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
            asked.run(ticket, commands, input.expected_version).await
        };
        Ok(Some(asked.outcome(work).await?.into()))
    }

    /// Puts tags on and takes tags off.
    async fn ticket_tag(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Which tags.")] input: TicketTagInput,
    ) -> Result<Option<TicketTagPayload>, Error> {
        let asked = Asked::of(context)?;
        let session = asked.session;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let add = input.add.into_iter().map(TicketCommand::AddTag);
            let commands = add.chain(input.remove.into_iter().map(TicketCommand::RemoveTag)).collect();
            asked.run(ticket, commands, None).await
        };
        Ok(Some(asked.outcome(work).await?.into()))
    }

    /// Fills or empties a custom field.
    async fn ticket_set_field(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "The field and its value.")] input: TicketSetFieldInput,
    ) -> Result<Option<TicketSetFieldPayload>, Error> {
        let asked = Asked::of(context)?;
        let session = asked.session;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let field = FieldKey::try_new(&input.field);
            let field = field.map_err(|error| Rejection::invalid_name("field", &error))?;
            let expected = input.expected_version;
            let command = TicketCommand::SetField { field, value: field_value(input)? };
            asked.run(ticket, vec![command], expected).await
        };
        Ok(Some(asked.outcome(work).await?.into()))
    }

    /// Raises a ticket to a higher level.
    async fn ticket_escalate(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Which level, and why.")] input: TicketEscalateInput,
    ) -> Result<Option<TicketEscalatePayload>, Error> {
        let asked = Asked::of(context)?;
        let session = asked.session;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let level = input
                .level
                .map(u8::try_from)
                .transpose()
                .map_err(|_| Rejection::Invalid { field: "level", reason: "levels go from 1 to 255".into() })?;
            let command = TicketCommand::Escalate(Escalate { level, reason: input.reason });
            asked.run(ticket, vec![command], None).await
        };
        Ok(Some(asked.outcome(work).await?.into()))
    }

    /// Lets an agent follow a ticket, or do so no more.
    async fn ticket_follow(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Who.")] input: TicketFollowInput,
    ) -> Result<Option<TicketFollowPayload>, Error> {
        let asked = Asked::of(context)?;
        let session = asked.session;
        let work = async {
            let ticket = ticket_id(session, &id)?;
            let agent = match &input.agent {
                Some(agent) => {
                    local_id::<AgentKey>("agent", agent).ok_or_else(|| Rejection::not_found("agent", short(agent)))?
                }
                None => session.principal.agent().cloned().ok_or(Rejection::Invalid {
                    field: "agent",
                    reason: "name the agent: this token is not an agent's".into(),
                })?,
            };
            let command = if input.follow { TicketCommand::Follow(agent) } else { TicketCommand::Unfollow(agent) };
            asked.run(ticket, vec![command], None).await
        };
        Ok(Some(asked.outcome(work).await?.into()))
    }

    /// Applies the present versions of SLA policies and calendars to every open ticket. Done tickets never move. For
    /// administrators.
    async fn sla_reapply(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Whether to do it.")] input: SlaReapplyInput,
    ) -> Result<Option<SlaReapplyPayload>, Error> {
        let asked = Asked::of(context)?;
        let done = async {
            let (engine, principal) = (&asked.session.engine, &asked.session.principal);
            engine.reapply_policies(principal, input.dry_run, asked.key()?).await
        };
        let answer = asked.answer(done.await)?;
        let (user_errors, done) = answer.parts();
        Ok(Some(SlaReapplyPayload {
            effect: done.as_ref().and_then(|done| done.effect.as_ref()).map(Into::into),
            set_aside: done.iter().flat_map(|done| &done.set_aside).map(|n| i32::try_from(*n).unwrap_or(0)).collect(),
            position: done.map(|done| done.position.into()),
            user_errors,
            client_mutation_id: asked.client_mutation_id,
        }))
    }

    /// Registers a customer.
    async fn customer_register(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The customer.")] input: CustomerRegisterInput,
    ) -> Result<Option<CustomerRegisterPayload>, Error> {
        let asked = Asked::of(context)?;
        let customer = NewCustomer { name: input.name, email: input.email, external: None };
        let done =
            async { asked.session.engine.register_customer(&asked.session.principal, customer, asked.key()?).await };
        let (user_errors, done) = asked.answer(done.await)?.parts();
        let (mut customer, mut position) = (None, None);
        if let Some((id, views, at)) = done {
            let then = Session { views, ..asked.session.clone() };
            (customer, position) = (Customer::seen(&then, id), Some(at.into()));
        }
        Ok(Some(CustomerRegisterPayload {
            customer,
            position,
            user_errors,
            client_mutation_id: asked.client_mutation_id,
        }))
    }

    /// Makes a token. For administrators.
    async fn token_create(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The token.")] input: TokenCreateInput,
    ) -> Result<Option<TokenCreatePayload>, Error> {
        let asked = Asked::of(context)?;
        let done = async {
            let missing = |what| EngineError::from(Rejection::Blank { field: what });
            // What is given and not used would be taken for granted.
            let unused = match input.role {
                RoleName::Agent => input.customer.as_ref().map(|_| ("customer", "CUSTOMER")),
                RoleName::Customer => input.agent.as_ref().map(|_| ("agent", "AGENT")),
                RoleName::Administrator | RoleName::Auditor => {
                    let agent = input.agent.as_ref().map(|_| ("agent", "AGENT"));
                    agent.or(input.customer.as_ref().map(|_| ("customer", "CUSTOMER")))
                }
            };
            if let Some((field, role)) = unused {
                let reason = format!("it goes with the role {role} alone: leave it out");
                return Err(Rejection::Invalid { field, reason }.into());
            }
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
            let (engine, ends) = (&asked.session.engine, input.expires_at.map(|at| at.0));
            engine.issue_token(&asked.session.principal, role, &input.label, ends, asked.key()?).await
        };
        let (user_errors, issued) = asked.answer(done.await)?.parts();
        Ok(Some(TokenCreatePayload {
            token_id: issued.as_ref().map(|issued| global_id("token", issued.id)),
            position: issued.as_ref().map(|issued| issued.position.into()),
            secret: issued.and_then(|issued| issued.secret),
            user_errors,
            client_mutation_id: asked.client_mutation_id,
        }))
    }

    /// Takes a token back; it holds no longer from then on. For administrators.
    async fn token_revoke(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the token.")] id: ID,
        #[graphql(desc = "Nothing but what every mutation takes.")] input: TokenRevokeInput,
    ) -> Result<Option<TokenRevokePayload>, Error> {
        let _ = input;
        let asked = Asked::of(context)?;
        let done = async {
            let token = local_id::<TokenId>("token", &id);
            let unknown = || Rejection::NotFound { what: "token", input: "id", key: short(&id) };
            let token = token.ok_or_else(unknown)?;
            asked.session.engine.revoke_token(&asked.session.principal, token, asked.key()?).await
        };
        let (user_errors, done) = asked.answer(done.await)?.parts();
        Ok(Some(TokenRevokePayload {
            token_id: done.map(|_| id),
            position: done.map(Into::into),
            user_errors,
            client_mutation_id: asked.client_mutation_id,
        }))
    }

    /// Compares a desk file with the present desk and makes the desk so, in one commit. For administrators.
    async fn desk_apply(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The desk file.")] input: DeskApplyInput,
    ) -> Result<Option<DeskApplyPayload>, Error> {
        let asked = Asked::of(context)?;
        // Whoever may not configure the desk is not told what is wrong with a file either.
        asked.session.need(Action::Administer, Resource::Desk)?;
        let invalid = |message: String| UserError {
            path: vec!["input".into(), "toml".into()],
            ..UserError::new(UserErrorCode::Invalid, message)
        };
        let (engine, toml) = (&asked.session.engine, input.toml);
        // A file may be long, and a feed in it has to be written out.
        let parsed =
            engine.beside(move || Ok(desk_file::parse(&toml, None))).await.map_err(|error| top_level(&error))?;
        let config = match parsed {
            Ok(config) => config,
            Err(problem) => {
                let problem = invalid(problem);
                return Ok(Some(DeskApplyPayload::refused(vec![problem], asked.client_mutation_id)));
            }
        };
        let done =
            async { engine.apply_desk(&asked.session.principal, config, input.dry_run, asked.key()?).await }.await;
        Ok(Some(match asked.answer(done)?.parts() {
            (_, Some(Applied::Problems(problems))) => {
                let problems = problems.iter().map(|problem| invalid(problem.to_string())).collect();
                DeskApplyPayload::refused(problems, asked.client_mutation_id)
            }
            (user_errors, Some(Applied::Changes { changes, departures, moved, not_moved, position, effect })) => {
                DeskApplyPayload {
                    changes: changes.iter().map(|change| told(change, &departures)).collect(),
                    departures: departures.into_iter().map(Departure::from).collect(),
                    moved: i32::try_from(moved).unwrap_or(i32::MAX),
                    not_moved: not_moved.into_iter().map(NotMoved::from).collect(),
                    sla_effect: effect.as_deref().map(Into::into),
                    position: Some(position.into()),
                    user_errors,
                    client_mutation_id: asked.client_mutation_id,
                }
            }
            (user_errors, None) => DeskApplyPayload::refused(user_errors, asked.client_mutation_id),
        }))
    }
}

async fn set_category(
    context: &Context<'_>,
    id: &ID,
    category: StatusCategory,
    expected: Option<BigInt>,
) -> Result<Outcome, Error> {
    let asked = Asked::of(context)?;
    let work = async {
        let ticket = ticket_id(asked.session, id)?;
        let command = TicketCommand::SetStatus(StatusWish::Category(category));
        asked.run(ticket, vec![command], expected).await
    };
    asked.outcome(work).await
}

fn ticket_id(session: &Session, id: &ID) -> Result<TicketId, EngineError> {
    let known = local_id::<TicketId>("ticket", id).filter(|id| Ticket::seen(session, *id).is_some());
    known.ok_or_else(|| Rejection::not_found("ticket", short(id)).into())
}

/// The own key in a global id that the input gave.
fn key_of<T: std::str::FromStr>(kind: &str, field: &'static str, id: Option<&ID>) -> Result<Option<T>, EngineError> {
    let Some(id) = id else { return Ok(None) };
    let key = local_id(kind, id);
    match key {
        Some(key) => Ok(Some(key)),
        None => Err(Rejection::not_found(field, short(id)).into()),
    }
}

/// What is repeated of an id in a refusal.
fn short(id: &ID) -> String {
    id.chars().take(80).collect()
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
