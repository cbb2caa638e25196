//! GraphQL over the engine. Resolvers translate and delegate; no rule of the business stands here.
//!
//! Conventions: Relay connections and global ids; one `input` and one payload a mutation; refusals as `userErrors`, other
//! errors at the top level with a code ([`error::code`]); positions as strings.

mod access;
mod asked;
pub mod cost;
mod desk;
pub mod error;
mod log;
mod mutation;
mod people;
mod query;
mod relay;
mod report;
pub(crate) mod scalars;
mod sla;
mod subscription;
mod ticket;
mod timeline;
mod words;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_graphql::{Context, Error, SDLExportOptions, Schema, SchemaBuilder, ValidationMode};
use docket_core::ids::{Position, TicketId};
use docket_projections::{TicketRow, Views, Within};
use tokio::sync::OnceCell;

use crate::engine::{Action, Engine, History, Principal, Resource, must};

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
    pub fn can(&self, action: Action, resource: Resource<'_>) -> bool {
        self.principal.rights(&self.views).can(action, resource)
    }

    /// True when the principal may do it with a ticket.
    pub fn may(&self, action: Action, row: &TicketRow) -> bool {
        self.principal.may(&self.views, action, row)
    }

    /// The tickets that the principal sees at the session's moment.
    pub fn within(&self) -> Within {
        self.engine.within(&self.principal, &self.views)
    }

    /// FORBIDDEN unless the principal may do it.
    pub fn need(&self, action: Action, resource: Resource<'_>) -> Result<(), Error> {
        must(&self.principal, &self.views, action, resource).map_err(|error| error::top_level(&error))
    }
}

/// Builds the schema.
pub fn schema() -> DocketSchema {
    build().limit_depth(MAX_DEPTH).limit_complexity(MAX_COMPLEXITY).finish()
}

/// The schema without limits.
fn build() -> SchemaBuilder<query::Query, mutation::Mutation, subscription::Subscription> {
    Schema::build(query::Query::default(), mutation::Mutation::default(), subscription::Subscription)
        // Documents are validated before they get here (`http::document`); the limits hold in this mode too.
        .validation_mode(ValidationMode::Fast)
}

/// What a reader of the schema should know before anything else. The library has no place for it.
const DESCRIPTION: &str = r#"A support desk as a log of events and views of it.

Ids: everything with an `id` is a `Node`, and `node(id:)` finds it again. Where an input asks for a part of the desk (queue,
team, agent, category, status, field), its id and its key are the same; unknown names are errors.

Positions: every commit of the log has one, from 1 and without gaps, as `BigInt`, a string of digits. A mutation's payload
has the `position` of what it stored, and a ticket's `version` is the position of its latest commit.

Read-your-writes: a request with the header `docket-min-position` is answered from a moment that shows that position.
Every answer sees one moment, and `serverStatus.position` says which.

The past: a query with the header `docket-at-position` is answered as everything stood at that position, for whoever may
read the whole log. What depends on the clock, such as what is overdue, is reckoned at the present instant.

Tokens: `Authorization: Bearer dkt_…`. What a token may not see is null, empty or not there.

Writing: mutations take one `input`. `clientMutationId` is an idempotency key: the same request with it is carried out once,
for ever. `expectedVersion` refuses what was meant for an older ticket.

Errors: what the rules refuse comes as `userErrors` with a `code` and the `path` of the input, and then nothing has changed.
Everything else is a top-level error with `extensions.code`: BAD_USER_INPUT, FORBIDDEN, UNAUTHENTICATED,
GRAPHQL_VALIDATION_FAILED, GRAPHQL_PARSE_FAILED, QUERY_TOO_COMPLEX, TIMEOUT, UNAVAILABLE, INTERNAL_SERVER_ERROR.

Limits: a page has 20 elements unless `first` or `last` says otherwise, and 100 at most. An operation costs 10,000 at most: a
field counts 1, a connection as many times its selection as the page has elements. A request with the extension
`{"cost": true}` is told its cost in `extensions.cost`.

Nulls: connections, and whatever a right or a failure may take away, can be null; ids, lists and plain facts cannot. Instants
are `DateTime`, lengths of time are `Duration`."#;

/// The schema in its own language, sorted: committed as `schema.graphql`.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().sorted_fields().sorted_arguments().sorted_enum_items().include_specified_by();
    let sdl = schema().sdl_with_options(options);
    let start = sdl.rfind("\nschema {").map_or(sdl.len(), |at| at + 1);
    format!("{}\"\"\"\n{DESCRIPTION}\n\"\"\"\n{}", &sdl[..start], &sdl[start..])
}
