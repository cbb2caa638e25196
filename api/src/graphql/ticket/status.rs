//! How far a ticket has come: its status.

use async_graphql::{Context, Error, ID, InputObject, Object, SimpleObject};
use docket_core::{
    ids::{StatusKey, TicketId},
    rejection::Rejection,
    ticket::{self as core, StatusWish, TicketCommand},
};

use super::act::{self, Act, ticket_mutation, ticket_payload};
use crate::{
    engine::EngineError,
    graphql::{
        Session,
        asked::{Asked, key_of},
        desk::Status,
        scalars::BigInt,
        timeline::{Entry, TimelineEntry, entry_fields},
        words::StatusCategory,
    },
};

/// The status to bring a ticket to: give `status` or `category`.
#[derive(InputObject)]
pub struct SetStatusAct {
    /// Id or key of the status.
    status: Option<ID>,
    /// The desk's default status of this category; nothing is done when the ticket's status is of it already.
    category: Option<StatusCategory>,
}

impl Act for SetStatusAct {
    async fn commands(self, _: &Asked<'_>, _: TicketId) -> Result<Vec<TicketCommand>, EngineError> {
        let key = key_of::<StatusKey>("status", "status", self.status.as_ref())?;
        let wish = match (key, self.category) {
            (Some(key), None) => StatusWish::Key(key),
            (None, Some(category)) => StatusWish::Category(category.into()),
            (Some(_), Some(_)) | (None, None) => {
                let reason = "give either a status or a category".into();
                return Err(Rejection::Invalid { field: "status", reason }.into());
            }
        };
        Ok(vec![TicketCommand::SetStatus(wish)])
    }
}

ticket_mutation! {
    /// Another status for a ticket: give `status` or `category`.
    "ticketSetStatus": TicketSetStatusInput(SetStatusAct) -> TicketSetStatusPayload
}

/// Declares the input and payload of a mutation that says by its name to which category a ticket is brought.
macro_rules! short_ways {
    ($($(#[$doc:meta])* $mutation:literal: $input:ident($category:ident) -> $payload:ident;)*) => {$(
        $(#[$doc])*
        #[derive(InputObject)]
        pub struct $input {
            /// The ticket's version that the caller saw: with it, the mutation is refused as a CONFLICT when anything has
            /// happened to the ticket since.
            expected_version: Option<BigInt>,
            /// An idempotency key of at most 256 bytes: the same value by the same token is carried out once, for ever.
            client_mutation_id: Option<String>,
        }

        ticket_payload!($mutation: $payload);

        impl $input {
            async fn run(self, context: &Context<'_>, id: &ID) -> Result<Option<$payload>, Error> {
                let act = SetStatusAct { status: None, category: Some(StatusCategory::$category) };
                Ok(Some(act::run(context, id, act, self.expected_version).await?.into()))
            }
        }
    )*};
}

short_ways! {
    /// The ticket is solved.
    "ticketResolve": TicketResolveInput(Resolved) -> TicketResolvePayload;
    /// The ticket is done with.
    "ticketClose": TicketCloseInput(Closed) -> TicketClosePayload;
    /// The ticket is to be worked on again.
    "ticketReopen": TicketReopenInput(Open) -> TicketReopenPayload;
}

/// Tickets go on and end.
#[derive(Default)]
pub struct StatusMutations;

#[Object]
impl StatusMutations {
    /// Brings a ticket to a status of the desk.
    async fn ticket_set_status(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Which status.")] input: TicketSetStatusInput,
    ) -> Result<Option<TicketSetStatusPayload>, Error> {
        input.run(context, &id).await
    }

    /// Resolves a ticket: the desk's default status of the category RESOLVED.
    async fn ticket_resolve(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Nothing but what every mutation takes.")] input: TicketResolveInput,
    ) -> Result<Option<TicketResolvePayload>, Error> {
        input.run(context, &id).await
    }

    /// Closes a ticket: the desk's default status of the category CLOSED.
    async fn ticket_close(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Nothing but what every mutation takes.")] input: TicketCloseInput,
    ) -> Result<Option<TicketClosePayload>, Error> {
        input.run(context, &id).await
    }

    /// Opens a resolved or closed ticket again: the desk's default status of the category OPEN.
    async fn ticket_reopen(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Nothing but what every mutation takes.")] input: TicketReopenInput,
    ) -> Result<Option<TicketReopenPayload>, Error> {
        input.run(context, &id).await
    }
}

/// The status changed.
#[derive(SimpleObject, Debug, Clone)]
pub struct StatusEntry {
    #[graphql(flatten)]
    pub entry: Entry,
    /// The new status.
    status: Status,
    /// The status before.
    previous_status: Status,
    /// The ticket was resolved or closed before and is not any more.
    reopened: bool,
}
entry_fields!(StatusEntry);

/// The entry of a change of status.
pub fn changed(
    session: &Session,
    entry: Entry,
    to: &core::StatusRef,
    from: &core::StatusRef,
    reopened: bool,
) -> TimelineEntry {
    let status = |status: &core::StatusRef| Status::of(session, &status.key, status.category);
    StatusEntry { entry, status: status(to), previous_status: status(from), reopened }.into()
}
