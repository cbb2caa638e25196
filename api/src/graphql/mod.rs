//! GraphQL over the engine. Resolvers translate and delegate; no rule of the business stands here.
//!
//! Conventions: Relay connections and global ids; one `input` and one payload a mutation; refusals as `userErrors`, other
//! errors at the top level with a code ([`error::code`]); positions as strings.

mod asked;
mod desk;
pub mod error;
mod log;
mod mutation;
mod query;
mod relay;
mod report;
pub(crate) mod scalars;
mod sla;
mod subscription;
mod ticket;
mod timeline;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_graphql::{Context, Error, SDLExportOptions, Schema, ValidationMode};
use docket_core::ids::{Position, TicketId};
use docket_projections::Views;
use tokio::sync::OnceCell;

use crate::engine::{Action, Engine, History, Principal, Resource, can};

/// The schema.
pub type DocketSchema = Schema<query::Query, mutation::Mutation, subscription::Subscription>;

/// Fields may be nested so deep. Introspection by the usual clients needs 15.
const MAX_DEPTH: usize = 17;
/// Complexity of one operation: a field counts 1, a connection as many times its selection as the page has elements.
const MAX_COMPLEXITY: usize = 10_000;

/// Whom a request is from, and the moment that it sees.
#[derive(Clone)]
pub struct Session {
    /// Who asks.
    pub principal: Arc<Principal>,
    /// What the whole query sees.
    pub views: Arc<Views>,
    /// The engine.
    pub engine: Arc<Engine>,
    /// Histories that the request has read: the log is asked once for each ticket, however many fields and aliases ask.
    histories: Arc<Histories>,
}

/// The histories of tickets that a request has read, each at the moment that it was read for.
#[derive(Default)]
struct Histories(Mutex<HashMap<TicketId, AtMoment>>);

/// A history and the moment that it is, or is being, read for.
type AtMoment = (Position, Arc<OnceCell<History>>);

/// Histories that are kept at most: those of a page of tickets. A subscription goes on for long.
const MAX_HISTORIES: usize = 200;

impl Session {
    /// A request of this principal that sees this moment.
    pub fn new(principal: Principal, views: Arc<Views>, engine: Arc<Engine>) -> Self {
        Self { principal: Arc::new(principal), views, engine, histories: Arc::default() }
    }

    /// The same at another moment.
    pub fn at(&self, views: &Arc<Views>) -> Self {
        Self { views: Arc::clone(views), ..self.clone() }
    }

    /// The history of a ticket at the session's moment.
    pub async fn history(&self, ticket: TicketId) -> Result<History, Error> {
        let moment = self.views.position();
        let cell = {
            let mut kept = self.histories.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= MAX_HISTORIES {
                kept.clear();
            }
            let (at, cell) = kept.entry(ticket).or_insert_with(|| (moment, Arc::default()));
            if *at != moment {
                (*at, *cell) = (moment, Arc::default());
            }
            Arc::clone(cell)
        };
        let read = async { self.engine.history(&self.principal, ticket, &self.views).await };
        cell.get_or_try_init(|| read).await.cloned().map_err(|error| error::top_level(&error))
    }

    /// True when what is internal to the desk is hidden from the principal.
    pub fn is_customer(&self) -> bool {
        self.principal.customer().is_some()
    }

    /// The session of a resolver.
    pub fn of<'a>(context: &Context<'a>) -> Result<&'a Self, Error> {
        context.data::<Self>().map_err(|_| error::internal())
    }

    /// True when the principal may do it.
    pub fn can(&self, action: Action, resource: Resource) -> bool {
        can(&self.principal, action, resource)
    }

    /// FORBIDDEN unless the principal may do it.
    pub fn need(&self, action: Action, resource: Resource) -> Result<(), Error> {
        if self.can(action, resource) { Ok(()) } else { Err(error::top_level(&crate::engine::EngineError::Forbidden)) }
    }
}

/// Builds the schema.
pub fn schema() -> DocketSchema {
    Schema::build(query::Query, mutation::Mutation, subscription::Subscription)
        .limit_depth(MAX_DEPTH)
        .limit_complexity(MAX_COMPLEXITY)
        // Documents are validated before they get here (`http::document`); the limits hold in this mode too.
        .validation_mode(ValidationMode::Fast)
        .finish()
}

/// The schema in its own language, sorted: committed as `schema.graphql`.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().sorted_fields().sorted_arguments().sorted_enum_items().include_specified_by();
    schema().sdl_with_options(options)
}
