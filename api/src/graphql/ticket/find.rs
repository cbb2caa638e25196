//! The ways to tickets: one by its id, number or name elsewhere, and pages of many.

use std::sync::Arc;

use async_graphql::{Context, Error, ID, Object};
use docket_core::{ids::TicketId, ticket::ExternalReference};
use docket_projections::{Direction, Order, PageRequest};

use super::{
    Ticket, TicketConnection,
    filter::{OrderDirection, TicketFilter, TicketOrder, TicketOrderField},
};
use crate::graphql::{
    Session,
    error::{bad_input, code, coded, top_level},
    relay::{Paging, Slice, local_id, page_size},
};

/// Reads the tickets of a page together when their fields are asked for: one wait instead of one for each.
async fn read_ahead(context: &Context<'_>, session: &Session, page: &TicketConnection) -> Result<(), Error> {
    let asked = context.look_ahead();
    let wanted = |node: async_graphql::Lookahead<'_>| node.field("fields").exists();
    if session.is_customer() || !(wanted(asked.field("nodes")) || wanted(asked.field("edges").field("node"))) {
        return Ok(());
    }
    let ids: Vec<TicketId> = page.nodes.iter().filter_map(|ticket| Some(ticket.row().ok()?.id)).collect();
    session.engine.preload(&ids).await.map_err(|error| top_level(&error))
}

/// A page of the tickets that the session may see.
async fn page(
    session: &Session,
    filter: Option<&TicketFilter>,
    order: Option<TicketOrder>,
    paging: &Paging,
) -> Result<TicketConnection, Error> {
    let customer = session.principal.customer();
    if customer.is_some() {
        let hidden =
            |what: &str| coded(code::FORBIDDEN, format!("customers cannot ask by {what}: it is the desk's own"));
        if let Some(part) = filter.and_then(TicketFilter::hidden_from_customers) {
            return Err(hidden(part));
        }
        if order.is_some_and(|order| order.field == TicketOrderField::DueAt) {
            return Err(hidden("DUE_AT"));
        }
    }
    let filter = filter.map(|filter| filter.to_core(session)).transpose()?.unwrap_or_default();
    let within = session.within();
    let order_by = order.map_or(Order::Number, |order| match order.field {
        TicketOrderField::Number => Order::Number,
        TicketOrderField::Priority => Order::Priority,
        TicketOrderField::DueAt => Order::DueAt,
        TicketOrderField::Activity if customer.is_some() => Order::PublicActivity,
        TicketOrderField::Activity => Order::Activity,
    });
    let direction = match order.map(|order| order.direction) {
        None | Some(OrderDirection::Asc) => Direction::Ascending,
        Some(OrderDirection::Desc) => Direction::Descending,
    };
    let cursor = |text: &Option<String>| -> Result<Option<docket_projections::Cursor>, Error> {
        let Some(text) = text else { return Ok(None) };
        let cursor: docket_projections::Cursor = text.parse().map_err(|error| bad_input(format!("{error}")))?;
        if cursor.order() != order_by {
            return Err(bad_input("the cursor belongs to another order"));
        }
        Ok(Some(cursor))
    };
    let request = PageRequest {
        order: order_by,
        direction,
        limit: paging.limit,
        after: cursor(&paging.after)?,
        before: cursor(&paging.before)?,
        backward: paging.backward,
    };
    let page = if filter.walks_rows() && session.views.tickets().len() > MANY {
        let views = Arc::clone(&session.views);
        let page = session.engine.beside(move || Ok(views.tickets().page(&within, &filter, &request))).await;
        page.map_err(|error| top_level(&error))?
    } else {
        session.views.tickets().page(&within, &filter, &request)
    };
    let ticket = |number| Ticket { views: Arc::clone(&session.views), number };
    let slice = Slice {
        elements: page.tickets.into_iter().map(|(number, c)| (c.to_string(), ticket(number))).collect(),
        total: usize::try_from(page.total).unwrap_or(usize::MAX),
        has_next: page.has_next,
        has_previous: page.has_previous,
    };
    Ok(slice.into())
}

/// Beyond so many tickets, a filter that looks at each of them is asked on a thread beside.
const MANY: usize = 20_000;

/// Tickets are found.
#[derive(Default)]
pub struct TicketQueries;

#[Object]
impl TicketQueries {
    /// A ticket by its id; null when there is none, or none for you.
    async fn ticket(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
    ) -> Result<Option<Ticket>, Error> {
        let session = Session::of(context)?;
        Ok(local_id::<TicketId>("ticket", &id).and_then(|id| Ticket::seen(session, id)))
    }

    /// A ticket by its number; null when there is none, or none for you.
    async fn ticket_by_number(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Number of the ticket.")] number: i32,
    ) -> Result<Option<Ticket>, Error> {
        let session = Session::of(context)?;
        let row = u32::try_from(number).ok().and_then(|number| session.views.tickets().by_number(number));
        Ok(row.and_then(|row| Ticket::seen(session, row.id)))
    }

    /// A ticket by its name in another system; null when there is none, or none for you.
    async fn ticket_by_reference(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The other system, for example `servicenow`.")] source: String,
        #[graphql(desc = "The name there, for example `INC0000047`.")] key: String,
    ) -> Result<Option<Ticket>, Error> {
        let session = Session::of(context)?;
        let row = session.views.tickets().by_external(&ExternalReference { source, key });
        Ok(row.and_then(|row| Ticket::seen(session, row.id)))
    }

    /// Tickets that you may see.
    #[graphql(complexity = "page_size(first, last) * child_complexity")]
    #[allow(clippy::too_many_arguments, reason = "they are the arguments of the field")]
    async fn tickets(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which ones; all when absent.")] filter: Option<TicketFilter>,
        #[graphql(desc = "By what they are ordered; by number when absent.")] order_by: Option<TicketOrder>,
        #[graphql(desc = "So many from the start; 20 when absent, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end; at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<Option<TicketConnection>, Error> {
        let paging = Paging::new(first, after, last, before)?;
        let session = Session::of(context)?;
        let found = page(session, filter.as_ref(), order_by, &paging).await?;
        read_ahead(context, session, &found).await?;
        Ok(Some(found))
    }
}
