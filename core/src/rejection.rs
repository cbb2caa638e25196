//! A rule says no. Nothing is wrong with Docket or its disk; somebody asked for what cannot be.

use crate::{ids::InvalidName, ticket::StatusCategory};

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The thing that the command is about is not there.
    #[error("{what} {key:?} does not exist")]
    NotFound {
        /// Kind of thing, for example `queue`.
        what: &'static str,
        /// The input that named it.
        input: &'static str,
        /// What was asked for.
        key: String,
    },
    /// It exists, but was retired and cannot be chosen any more.
    #[error("{what} {key:?} is retired and cannot be chosen any more")]
    Retired {
        /// Kind of thing.
        what: &'static str,
        /// The input that named it.
        input: &'static str,
        /// What was asked for.
        key: String,
    },
    /// It is there already.
    #[error("{what} {key:?} exists already")]
    Taken {
        /// Kind of thing.
        what: &'static str,
        /// What was to be made.
        key: String,
    },
    /// The ticket's status does not allow it.
    #[error("not possible while the ticket is {status}: {hint}")]
    NotAllowedInStatus {
        /// The present category.
        status: StatusCategory,
        /// What to do instead.
        hint: &'static str,
    },
    /// A text is empty.
    #[error("{field} must not be blank")]
    Blank {
        /// The input.
        field: &'static str,
    },
    /// A text is too long.
    #[error("{field} has {actual} bytes, at most {limit} are allowed")]
    TooLong {
        /// The input.
        field: &'static str,
        /// Bytes allowed.
        limit: u64,
        /// Bytes given.
        actual: u64,
    },
    /// A value has the wrong form.
    #[error("{field}: {reason}")]
    Invalid {
        /// The input.
        field: &'static str,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A count would go over its limit.
    #[error("a ticket has at most {limit} {what}")]
    Limit {
        /// What is counted.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
    },
}

impl Rejection {
    /// There is no such thing; the input that named it has the name of its kind.
    pub fn not_found(what: &'static str, key: impl Into<String>) -> Self {
        Self::NotFound { what, input: what, key: key.into() }
    }

    /// The input that the refusal is about, when it is about one.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::NotFound { input, .. } | Self::Retired { input, .. } => Some(input),
            Self::Taken { what, .. } => Some(what),
            Self::Blank { field } | Self::TooLong { field, .. } | Self::Invalid { field, .. } => Some(field),
            Self::NotAllowedInStatus { .. } | Self::Limit { .. } => None,
        }
    }

    /// A name that has the wrong form.
    pub fn invalid_name(field: &'static str, error: &InvalidName) -> Self {
        Self::Invalid { field, reason: error.to_string() }
    }
}

/// Checks the length of a text that must not be blank.
pub(crate) fn check_text(field: &'static str, text: &str, limit: u64) -> Result<(), Rejection> {
    if text.trim().is_empty() {
        return Err(Rejection::Blank { field });
    }
    let actual = text.len() as u64;
    if actual > limit { Err(Rejection::TooLong { field, limit, actual }) } else { Ok(()) }
}
