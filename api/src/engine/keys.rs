//! Idempotency keys: a request with a key is carried out once, for ever, and answered again with what that did.
//!
//! The commit that a keyed request leads to has an id derived from the key and whoever sent it, and carries a fingerprint of
//! what was asked. So a key is found again through the log itself: there is no table of keys, nothing expires, and a backup
//! has them all. The rules:
//!
//! - The same key with the same request is answered with the first answer, whether or not it changed anything then.
//! - The same key with another request (another payload, ticket or mutation) is refused and told the first one's position.
//! - What cannot be shown twice is not: a repeated `tokenCreate` names the token and shows no secret.
//! - Many commits of one request (`slaReapply`, tickets moved by `deskApply`) have ids derived from the first one's; a
//!   repetition finishes what was interrupted and repeats nothing.

use std::sync::Arc;

use docket_core::{
    event::{Commit, Event},
    ids::{CommitId, Position, StreamId},
    rejection::Rejection,
    request::{Fingerprint, RequestAnswered, RequestEvent},
    time::Timestamp,
};
use docket_store::Expected;
use ulid::Ulid;

use super::{Acting, Engine, EngineError, Principal, Stored};

/// A key, and what was asked with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    text: String,
    fingerprint: Fingerprint,
}

impl IdempotencyKey {
    /// Longest key in bytes.
    pub const MAX_LEN: usize = 256;

    /// A key for an operation with this input. The input's text must be canonical, for ever: whoever sends the same again
    /// gives the same text. Other words for the same wish may give another one and are refused, which is safe.
    ///
    /// # Errors
    /// When the key is blank or longer than [`Self::MAX_LEN`].
    pub fn try_new(text: &str, operation: &str, canonical_input: &str) -> Result<Self, Rejection> {
        const FIELD: &str = "clientMutationId";
        if text.trim().is_empty() {
            let reason =
                "an empty key cannot tell one request from another: leave it out, or give each request its own";
            return Err(Rejection::Invalid { field: FIELD, reason: reason.into() });
        }
        if text.len() > Self::MAX_LEN {
            let (limit, actual) = (Self::MAX_LEN as u64, text.len() as u64);
            return Err(Rejection::TooLong { field: FIELD, limit, actual });
        }
        Ok(Self { text: text.to_owned(), fingerprint: Fingerprint::of(operation, canonical_input) })
    }

    /// What was asked.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// The id of a request's commit: by its key, or a new one.
pub(super) fn commit_id(acting: &Acting, key: Option<&IdempotencyKey>) -> CommitId {
    match key {
        Some(key) => CommitId::derived(Timestamp::from_millis(0), &[&acting.key_space, &key.text]),
        None => CommitId::new(Ulid::generate()),
    }
}

/// The id of a further commit of the same request, about this thing.
pub(super) fn further_id(first: CommitId, about: &str) -> CommitId {
    CommitId::derived(Timestamp::from_millis(0), &[&first.to_string(), about])
}

/// What a commit answered: its own stream and position, or those of an answer that changed nothing.
pub(super) fn answer_of(commit: &Commit) -> (StreamId, Position) {
    for event in &commit.events {
        if let Event::Request(RequestEvent::RequestAnswered(answered)) = &event.event {
            return (answered.stream, answered.version);
        }
    }
    (commit.stream, commit.position)
}

impl Engine {
    /// The commit of an earlier request with this key; `None` when the key is new, or there is none.
    ///
    /// # Errors
    /// When the key was used for another request.
    pub(super) async fn first_answer(
        &self,
        acting: &Acting,
        key: Option<&IdempotencyKey>,
    ) -> Result<Option<Arc<Commit>>, EngineError> {
        let Some(key) = key else { return Ok(None) };
        let (id, log) = (commit_id(acting, Some(key)), Arc::clone(&self.log));
        let found = self.beside(move || match log.find(id)? {
            Some(position) => commit_at(&*log, position).map(Some),
            None => Ok(None),
        });
        match found.await? {
            None => Ok(None),
            Some(commit) if commit.request == Some(key.fingerprint) => Ok(Some(commit)),
            Some(commit) => Err(EngineError::KeyReused { position: answer_of(&commit).1 }),
        }
    }

    /// Looks at a key before anything is done for its request.
    ///
    /// # Errors
    /// When it was used for another one.
    pub async fn check_key(&self, principal: &Principal, key: Option<&IdempotencyKey>) -> Result<(), EngineError> {
        self.first_answer(&principal.into(), key).await.map(drop)
    }

    /// Keeps the answer to a keyed request that changed nothing, so that its key holds too.
    pub(super) async fn keep_answer(
        &self,
        acting: &Acting,
        key: Option<&IdempotencyKey>,
        stream: StreamId,
        version: Position,
    ) -> Result<Stored, EngineError> {
        if key.is_none() {
            return Ok(Stored::new_at(stream, version));
        }
        let event = RequestEvent::from(RequestAnswered { stream, version });
        let stored = self.append(acting, key, StreamId::Requests, Expected::Any, vec![event.into()]).await?;
        // The answer is about the stream, whichever of two equal requests kept it.
        Ok(if stored.earlier.is_some() { stored } else { Stored::new_at(stream, version) })
    }
}

/// The commit at a position that the log has.
pub(super) fn commit_at(log: &dyn docket_store::EventLog, position: Position) -> Result<Arc<Commit>, EngineError> {
    let commits = log.read_all(Position::new(position.get().saturating_sub(1)), 1)?;
    let commit = commits.into_iter().next().filter(|commit| commit.position == position);
    commit.ok_or_else(|| EngineError::Internal(format!("the log has no commit at {position}, and said it had")))
}
