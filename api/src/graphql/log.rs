//! The raw event log in GraphQL, for auditors and administrators.

use std::sync::Arc;

use async_graphql::{Context, Error, ID, Json, Object, SimpleObject};
use docket_core::{event, ids::Position};

use super::{
    Session,
    error::{bad_input, internal, top_level},
    relay::{Paging, Slice, connection, global_id},
    scalars::{BigInt, DateTime},
    timeline::Actor,
};

/// The events that one decision produced, stored all or not at all.
#[derive(Debug, Clone)]
pub struct Commit {
    pub commit: Arc<event::Commit>,
}

connection!(CommitConnection, CommitEdge, Commit, "commits");

/// A fact in the past tense.
#[derive(SimpleObject, Debug, Clone)]
pub struct LogEvent {
    /// Its number within the commit, from 0.
    pub index: i32,
    /// Stored name of its type.
    pub type_name: String,
    /// Stored version of its type.
    pub type_version: i32,
    /// When it happened.
    pub occurred_at: DateTime,
    /// What is stored of it.
    pub data: Json<serde_json::Value>,
}

/// The events that one decision produced, stored all or not at all.
#[Object]
impl Commit {
    /// Global id.
    pub async fn id(&self) -> ID {
        global_id("commit", self.commit.id)
    }

    /// Place in the whole log, from 1 and without gaps.
    async fn position(&self) -> BigInt {
        self.commit.position.into()
    }

    /// Place of the stream's commit before this one; 0 for its first.
    async fn previous(&self) -> BigInt {
        self.commit.previous.into()
    }

    /// The stream that its events belong to, for example `ticket:01ACNN6T8C…`.
    async fn stream(&self) -> String {
        self.commit.stream.to_string()
    }

    /// When Docket learned of it.
    async fn recorded_at(&self) -> DateTime {
        self.commit.recorded_at.into()
    }

    /// Who did it.
    async fn actor(&self, context: &Context<'_>) -> Result<Actor, Error> {
        Ok(Actor::of(Session::of(context)?, &self.commit.actor))
    }

    /// Id of the token by which whoever did it came in; null for the command line, timers and imports.
    async fn token(&self) -> Option<ID> {
        self.commit.token.map(|token| global_id("token", token))
    }

    /// What triggered it: request, timer, import or demo.
    async fn cause(&self) -> String {
        self.commit.cause.kind.name().to_owned()
    }

    /// Shared by everything that one request from outside led to.
    async fn correlation_id(&self) -> String {
        self.commit.correlation.to_string()
    }

    /// Its events, at least one.
    async fn events(&self) -> Result<Vec<LogEvent>, Error> {
        (0..)
            .zip(&self.commit.events)
            .map(|(index, dated)| {
                let mut stored = serde_json::to_value(dated).map_err(|_| internal())?;
                Ok(LogEvent {
                    index,
                    type_name: dated.event.type_name().to_owned(),
                    type_version: i32::from(dated.event.version()),
                    occurred_at: dated.occurred_at.into(),
                    data: Json(stored.get_mut("data").map(serde_json::Value::take).unwrap_or_default()),
                })
            })
            .collect()
    }
}

/// A page of the log up to the moment of the session.
pub async fn page(session: &Session, paging: &Paging) -> Result<CommitConnection, Error> {
    let head = session.views.position().get();
    let place = |cursor: &Option<String>| -> Result<Option<u64>, Error> {
        let Some(cursor) = cursor else { return Ok(None) };
        let position = cursor.parse().map_err(|_| bad_input("not a cursor: pass a position, such as \"1024\""))?;
        Ok(Some(position))
    };
    // Positions have no gaps, so places are found by counting.
    let after = place(&paging.after)?.unwrap_or(0).min(head);
    let before = place(&paging.before)?.map_or(head + 1, |before| before.clamp(1, head + 1));
    // A page between two places that overlap is empty; it stands at the one that it starts from.
    let (after, before) =
        if paging.backward { (after.min(before - 1), before) } else { (after, before.max(after + 1)) };
    let available = before - after - 1;
    let taken = available.min(paging.limit as u64);
    let start = if paging.backward { before - 1 - taken } else { after };
    let limit = usize::try_from(taken).unwrap_or(usize::MAX);
    let log = Arc::clone(session.engine.log());
    let commits = session.engine.beside(move || Ok(log.read_all(Position::new(start), limit)?)).await;
    let commits = commits.map_err(|error| top_level(&error))?;
    let slice = Slice {
        elements: commits.into_iter().map(|commit| (commit.position.to_string(), Commit { commit })).collect(),
        total: usize::try_from(head).unwrap_or(usize::MAX),
        has_next: start + taken < head,
        has_previous: start > 0,
    };
    Ok(slice.into())
}
