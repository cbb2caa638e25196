//! GraphQL over the engine. Resolvers translate and delegate; no rule of the business stands here.
//!
//! Conventions: Relay connections and global ids; one `input` and one payload a mutation; refusals as `userErrors`, other
//! errors at the top level with a code ([`error::code`]); positions as strings.

mod desk;
pub mod error;
mod log;
mod mutation;
mod query;
mod relay;
mod report;
mod scalars;
mod sla;
mod subscription;
mod ticket;
mod timeline;

use std::sync::Arc;

use async_graphql::{Context, Error, SDLExportOptions, Schema};
use docket_projections::Views;

use crate::engine::{Action, Engine, Principal, Resource, can};

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
}

impl Session {
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
        .finish()
}

/// The schema in its own language, sorted: committed as `schema.graphql`.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().sorted_fields().sorted_arguments().sorted_enum_items().include_specified_by();
    schema().sdl_with_options(options)
}
