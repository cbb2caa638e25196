//! From errors to what clients see: refusals as data, everything else as a top-level error with a code of a closed set.

use async_graphql::{Enum, Error, ErrorExtensions, SimpleObject};
use docket_core::rejection::Rejection;

use super::scalars::BigInt;
use crate::engine::EngineError;

/// Codes of top-level errors, in `extensions.code`. The transport adds those of HTTP.
pub mod code {
    /// A request that is no GraphQL request.
    pub const BAD_REQUEST: &str = "BAD_REQUEST";
    /// The document is no GraphQL.
    pub const PARSE_FAILED: &str = "GRAPHQL_PARSE_FAILED";
    /// The document does not fit the schema.
    pub const VALIDATION_FAILED: &str = "GRAPHQL_VALIDATION_FAILED";
    /// The document has no operation of the name asked for.
    pub const OPERATION_RESOLUTION_FAILURE: &str = "OPERATION_RESOLUTION_FAILURE";
    /// An argument cannot be used.
    pub const BAD_USER_INPUT: &str = "BAD_USER_INPUT";
    /// The document asks for more than one request may.
    pub const QUERY_TOO_COMPLEX: &str = "QUERY_TOO_COMPLEX";
    /// No token, or one that does not hold.
    pub const UNAUTHENTICATED: &str = "UNAUTHENTICATED";
    /// The token does not give the right.
    pub const FORBIDDEN: &str = "FORBIDDEN";
    /// It took too long.
    pub const TIMEOUT: &str = "TIMEOUT";
    /// Not now.
    pub const UNAVAILABLE: &str = "UNAVAILABLE";
    /// Docket's fault; the detail is in its log under the request's id.
    pub const INTERNAL_SERVER_ERROR: &str = "INTERNAL_SERVER_ERROR";
}

/// What kind of refusal it is.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserErrorCode {
    /// A text is empty.
    Blank,
    /// A text is too long.
    TooLong,
    /// A value has the wrong form.
    Invalid,
    /// It exists already.
    Taken,
    /// It does not exist, or you may not know of it.
    NotFound,
    /// It exists and was retired.
    Retired,
    /// The ticket's status does not allow it.
    NotAllowedInStatus,
    /// Somebody changed it meanwhile; `currentVersion` says to what.
    Conflict,
    /// A count would go over its limit.
    Limit,
    /// The `clientMutationId` was used before, for another request; `firstPosition` says where that one's commit is.
    IdempotencyKeyReused,
}

/// Why a mutation did nothing, and what the caller can mend.
#[derive(SimpleObject, Debug, Clone, PartialEq, Eq)]
pub struct UserError {
    /// For people: what is wrong and what to do.
    pub message: String,
    /// For programs.
    pub code: UserErrorCode,
    /// The input that it is about, from the mutation's arguments inwards; empty when it is about none.
    pub path: Vec<String>,
    /// The version that the thing has now, with the code CONFLICT.
    pub current_version: Option<BigInt>,
    /// Position of the first request's commit, with the code IDEMPOTENCY_KEY_REUSED.
    pub first_position: Option<BigInt>,
}

impl UserError {
    /// A refusal that is about no input.
    pub const fn new(code: UserErrorCode, message: String) -> Self {
        Self { message, code, path: vec![], current_version: None, first_position: None }
    }

    /// The refusal as data.
    pub fn of(rejection: &Rejection) -> Self {
        let code = match rejection {
            Rejection::NotFound { .. } => UserErrorCode::NotFound,
            Rejection::Retired { .. } => UserErrorCode::Retired,
            Rejection::Taken { .. } => UserErrorCode::Taken,
            Rejection::NotAllowedInStatus { .. } => UserErrorCode::NotAllowedInStatus,
            Rejection::Blank { .. } => UserErrorCode::Blank,
            Rejection::TooLong { .. } => UserErrorCode::TooLong,
            Rejection::Invalid { .. } => UserErrorCode::Invalid,
            Rejection::Limit { .. } => UserErrorCode::Limit,
        };
        let path = match rejection.field() {
            Some("ticket" | "id") => vec!["id".to_owned()],
            Some(field) => vec!["input".to_owned(), field.to_owned()],
            None => vec![],
        };
        Self { path, ..Self::new(code, rejection.to_string()) }
    }
}

/// A refusal, or an error for the top level.
pub fn split(error: EngineError) -> Result<UserError, Error> {
    match error {
        EngineError::Rejected { rejection, .. } => Ok(UserError::of(&rejection)),
        EngineError::Conflict { actual, .. } => Ok(UserError {
            path: vec!["input".into(), "expectedVersion".into()],
            current_version: Some(actual.into()),
            ..UserError::new(UserErrorCode::Conflict, error.to_string())
        }),
        EngineError::KeyReused { position } => Ok(UserError {
            path: vec!["input".into(), "clientMutationId".into()],
            first_position: Some(position.into()),
            ..UserError::new(UserErrorCode::IdempotencyKeyReused, error.to_string())
        }),
        other @ (EngineError::Forbidden { .. }
        | EngineError::Ticket { .. }
        | EngineError::Busy { .. }
        | EngineError::Unavailable(_)
        | EngineError::Views(_)
        | EngineError::Read(_)
        | EngineError::Content(_)
        | EngineError::Internal(_)) => Err(top_level(&other)),
    }
}

/// The error for the top level.
pub fn top_level(error: &EngineError) -> Error {
    match error {
        EngineError::Rejected { rejection, .. } => coded(code::BAD_USER_INPUT, rejection.to_string()),
        EngineError::Forbidden { .. } => coded(code::FORBIDDEN, error.to_string()),
        EngineError::Conflict { .. } | EngineError::KeyReused { .. } => coded(code::BAD_USER_INPUT, error.to_string()),
        EngineError::Busy { retry_after_s } => coded(code::UNAVAILABLE, error.to_string())
            .extend_with(|_, extensions| extensions.set("retryAfterS", *retry_after_s)),
        EngineError::Ticket { .. } => {
            tracing::error!(%error, "a ticket cannot be read");
            coded(code::UNAVAILABLE, error.to_string())
        }
        EngineError::Unavailable(_) => coded(code::UNAVAILABLE, error.to_string()),
        EngineError::Content(docket_store::ContentError::Io { source, .. }) => {
            tracing::error!(%source, "a long text could not be stored or read");
            coded(code::UNAVAILABLE, format!("a long text could not be stored or read now: {source}"))
        }
        EngineError::Views(_) => coded(code::TIMEOUT, error.to_string()),
        EngineError::Read(_) | EngineError::Content(_) | EngineError::Internal(_) => {
            tracing::error!(error = crate::engine::chain(error), "a request failed");
            internal()
        }
    }
}

/// What a client sees of a fault of ours.
pub fn internal() -> Error {
    coded(
        code::INTERNAL_SERVER_ERROR,
        "something went wrong here; the server's log says what, under the request's id".into(),
    )
}

/// An error with a code.
pub fn coded(code: &'static str, message: String) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code))
}

/// An argument that cannot be used.
pub fn bad_input(message: impl Into<String>) -> Error {
    coded(code::BAD_USER_INPUT, message.into())
}
