//! An act: one thing that somebody does to a ticket. Each capability declares its acts; here is what they share: one mutation
//! for each, and `ticketWork` for several in one commit.

use async_graphql::{Context, Error, ID, InputObject, Object, OneofObject};
use docket_core::{ids::TicketId, rejection::Rejection, ticket::TicketCommand};

use super::{
    Ticket,
    assignment::{AssignAct, FollowAct, TransferAct},
    conversation::{CallAct, NoteAct, ReplyAct},
    details::{SetFieldAct, TagAct, UpdateAct},
    escalation::{EscalateAct, LowerEscalationAct},
    status::SetStatusAct,
};
use crate::{
    engine::EngineError,
    graphql::{
        Session,
        asked::{Asked, Outcome, short},
        relay::local_id,
    },
};

/// What somebody does to a ticket.
pub trait Act {
    /// The commands that it comes to. Long texts are stored before.
    ///
    /// # Errors
    /// When the input names what is not there, or may not be asked.
    async fn commands(self, asked: &Asked<'_>, ticket: TicketId) -> Result<Vec<TicketCommand>, EngineError>;
}

/// Where each of the commands comes from, in the path of a refusal after `input`: `acts`, `1`, `reply`. Empty for one act.
type Places = Vec<Vec<String>>;

/// What a mutation does to one ticket: an act, or several.
pub trait Work {
    /// The commands that it comes to, of which it says where they come from when there are several.
    ///
    /// # Errors
    /// As [`Act::commands`].
    async fn steps(
        self,
        asked: &Asked<'_>,
        ticket: TicketId,
        places: &mut Places,
    ) -> Result<Vec<TicketCommand>, EngineError>;
}

impl<A: Act> Work for A {
    async fn steps(
        self,
        asked: &Asked<'_>,
        ticket: TicketId,
        _: &mut Places,
    ) -> Result<Vec<TicketCommand>, EngineError> {
        self.commands(asked, ticket).await
    }
}

/// Declares the input and the payload of a mutation of one act, and how the act is taken out of the input.
macro_rules! ticket_mutation {
    ($(#[$doc:meta])* $mutation:literal: $input:ident($act:ty) -> $payload:ident) => {
        $(#[$doc])*
        #[derive(async_graphql::InputObject)]
        pub struct $input {
            #[graphql(flatten)]
            act: $act,
            /// The ticket's version that the caller saw: with it, the mutation is refused as a CONFLICT when anything has
            /// happened to the ticket since.
            expected_version: Option<crate::graphql::scalars::BigInt>,
            /// An idempotency key of at most 256 bytes: the same value by the same token is carried out once, for ever.
            client_mutation_id: Option<String>,
        }

        crate::graphql::ticket::act::ticket_payload!($mutation: $payload);

        impl $input {
            /// Carries the act out.
            async fn run(
                self,
                context: &async_graphql::Context<'_>,
                id: &async_graphql::ID,
            ) -> Result<Option<$payload>, async_graphql::Error> {
                let outcome = crate::graphql::ticket::act::run(context, id, self.act, self.expected_version).await?;
                Ok(Some(outcome.into()))
            }
        }
    };
}
pub(super) use ticket_mutation;

/// Declares the payload of a mutation of one ticket.
macro_rules! ticket_payload {
    ($mutation:literal: $payload:ident) => {
        #[doc = concat!("Answer to `", $mutation, "`.")]
        #[derive(async_graphql::SimpleObject)]
        pub struct $payload {
            /// The ticket as it is after the mutation; null when the mutation was refused.
            pub ticket: Option<crate::graphql::ticket::Ticket>,
            /// Position of the commit that was stored, or of the ticket's latest one when nothing had to be done: read with
            /// it as the minimum to see the change.
            pub position: Option<crate::graphql::scalars::BigInt>,
            /// Why nothing was done; empty on success.
            pub user_errors: Vec<crate::graphql::error::UserError>,
            /// The `clientMutationId` of the input.
            pub client_mutation_id: Option<String>,
        }

        impl From<crate::graphql::asked::Outcome> for $payload {
            fn from(outcome: crate::graphql::asked::Outcome) -> Self {
                let crate::graphql::asked::Outcome { ticket, position, user_errors, client_mutation_id } = outcome;
                Self { ticket, position, user_errors, client_mutation_id }
            }
        }
    };
}
pub(super) use ticket_payload;

/// Does one thing or several to a ticket of the session.
pub async fn run(
    context: &Context<'_>,
    id: &ID,
    work: impl Work,
    expected: Option<crate::graphql::scalars::BigInt>,
) -> Result<Outcome, Error> {
    let asked = Asked::of(context)?;
    let mut places = Places::new();
    let worked = async {
        let ticket = ticket_id(asked.session, id)?;
        let commands = work.steps(&asked, ticket, &mut places).await?;
        asked.run(ticket, commands, expected).await
    };
    let worked = worked.await;
    let refused_at = match &worked {
        Err(EngineError::Rejected { command, .. }) => places.get(*command).map(Vec::as_slice),
        _ => None,
    };
    asked.outcome_within(worked, refused_at.unwrap_or_default()).await
}

/// The ticket of a global id, when the session may see it.
pub fn ticket_id(session: &Session, id: &ID) -> Result<TicketId, EngineError> {
    let known = local_id::<TicketId>("ticket", id).filter(|id| Ticket::seen(session, *id).is_some());
    known.ok_or_else(|| Rejection::not_found("ticket", short(id)).into())
}

/// Acts of one `ticketWork` at most.
const MAX_ACTS: usize = 20;

/// One act on a ticket: exactly one member is given.
#[derive(OneofObject)]
pub enum TicketAct {
    /// Write to the conversation, as `ticketReply`.
    Reply(ReplyAct),
    /// Add an internal note, as `ticketAddNote`.
    AddNote(NoteAct),
    /// Put a telephone call on record, as `ticketLogCall`.
    LogCall(CallAct),
    /// Make somebody responsible, as `ticketAssign`.
    Assign(AssignAct),
    /// Move to another queue, as `ticketTransfer`.
    Transfer(TransferAct),
    /// Bring to a status, as `ticketSetStatus`.
    SetStatus(SetStatusAct),
    /// Change attributes, as `ticketUpdate`.
    Update(UpdateAct),
    /// Put tags on and take tags off, as `ticketTag`.
    Tag(TagAct),
    /// Fill or empty a custom field, as `ticketSetField`.
    SetField(SetFieldAct),
    /// Raise to a higher level, as `ticketEscalate`.
    Escalate(EscalateAct),
    /// Lower again, as `ticketLowerEscalation`.
    LowerEscalation(LowerEscalationAct),
    /// Follow or follow no more, as `ticketFollow`.
    Follow(FollowAct),
}

impl TicketAct {
    /// The member that is given.
    const fn name(&self) -> &'static str {
        match self {
            Self::Reply(_) => "reply",
            Self::AddNote(_) => "addNote",
            Self::LogCall(_) => "logCall",
            Self::Assign(_) => "assign",
            Self::Transfer(_) => "transfer",
            Self::SetStatus(_) => "setStatus",
            Self::Update(_) => "update",
            Self::Tag(_) => "tag",
            Self::SetField(_) => "setField",
            Self::Escalate(_) => "escalate",
            Self::LowerEscalation(_) => "lowerEscalation",
            Self::Follow(_) => "follow",
        }
    }
}

impl Act for TicketAct {
    async fn commands(self, asked: &Asked<'_>, ticket: TicketId) -> Result<Vec<TicketCommand>, EngineError> {
        match self {
            Self::Reply(act) => act.commands(asked, ticket).await,
            Self::AddNote(act) => act.commands(asked, ticket).await,
            Self::LogCall(act) => act.commands(asked, ticket).await,
            Self::Assign(act) => act.commands(asked, ticket).await,
            Self::Transfer(act) => act.commands(asked, ticket).await,
            Self::SetStatus(act) => act.commands(asked, ticket).await,
            Self::Update(act) => act.commands(asked, ticket).await,
            Self::Tag(act) => act.commands(asked, ticket).await,
            Self::SetField(act) => act.commands(asked, ticket).await,
            Self::Escalate(act) => act.commands(asked, ticket).await,
            Self::LowerEscalation(act) => act.commands(asked, ticket).await,
            Self::Follow(act) => act.commands(asked, ticket).await,
        }
    }
}

/// Several acts on one ticket, all or nothing.
#[derive(InputObject)]
pub struct Acts {
    /// The acts, in the order in which they are judged; at least one, at most 20.
    acts: Vec<TicketAct>,
}

impl Work for Acts {
    async fn steps(
        self,
        asked: &Asked<'_>,
        ticket: TicketId,
        places: &mut Places,
    ) -> Result<Vec<TicketCommand>, EngineError> {
        if self.acts.is_empty() {
            return Err(Rejection::Blank { field: "acts" }.into());
        }
        if self.acts.len() > MAX_ACTS {
            return Err(Rejection::Limit { what: "acts", limit: MAX_ACTS as u64 }.into());
        }
        let mut commands = Vec::with_capacity(self.acts.len());
        for (n, act) in self.acts.into_iter().enumerate() {
            let place = vec!["acts".to_owned(), n.to_string(), act.name().to_owned()];
            // An act that is refused before it comes to commands is refused at its first one.
            places.push(place.clone());
            let made = act.commands(asked, ticket).await;
            commands.extend(made.map_err(|error| error.after(commands.len()))?);
            places.resize(commands.len(), place);
        }
        Ok(commands)
    }
}

ticket_mutation! {
    /// Several acts on one ticket, all or nothing.
    "ticketWork": TicketWorkInput(Acts) -> TicketWorkPayload
}

/// Several acts in one commit.
#[derive(Default)]
pub struct WorkMutations;

#[Object]
impl WorkMutations {
    /// Does several things to one ticket in one commit, such as replying and resolving: either all of them are done, or
    /// none is.
    async fn ticket_work(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "The acts, in order.")] input: TicketWorkInput,
    ) -> Result<Option<TicketWorkPayload>, Error> {
        input.run(context, &id).await
    }
}
