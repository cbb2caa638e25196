//! What can go wrong with a command or query.

use docket_core::{
    ids::{Position, StreamId},
    rejection::Rejection,
};
use docket_projections::ViewError;
use docket_store::{AppendError, ContentError, ReadError};

/// Why the engine did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A rule says no.
    #[error("{rejection}")]
    Rejected {
        /// What it says.
        rejection: Rejection,
        /// Which of the commands of one commit it refused, counted from 0.
        command: usize,
    },
    /// The principal may not do it.
    #[error("you may not do this: it needs the right to {needs}")]
    Forbidden {
        /// The right that is missing, in words.
        needs: String,
    },
    /// Somebody was faster, or the caller's version is old.
    #[error("{stream} was changed meanwhile: it stands at position {actual}. Read it again and decide again")]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// Its version now.
        actual: Position,
    },
    /// The idempotency key was used before, for something else.
    #[error(
        "this clientMutationId was used before for another request, whose commit is at position {position}: nothing was done. \
         Use a new one for a new request"
    )]
    KeyReused {
        /// Position of the first request's commit.
        position: Position,
    },
    /// A ticket cannot be read or folded. Others can.
    #[error("ticket {ticket} cannot be worked on: {reason}")]
    Ticket {
        /// Which one.
        ticket: docket_core::ids::TicketId,
        /// Why.
        reason: String,
    },
    /// All turns for expensive questions are taken.
    #[error("too many questions of this kind are being answered: ask again in {retry_after_s} seconds")]
    Busy {
        /// When to come back.
        retry_after_s: u32,
    },
    /// The log takes no writes now.
    #[error("nothing can be stored now: {0}")]
    Unavailable(String),
    /// The write is done; the views that the answer needs are not there yet.
    #[error(transparent)]
    Views(#[from] ViewError),
    /// The log could not be read.
    #[error("the log could not be read")]
    Read(#[from] ReadError),
    /// A long text could not be stored or read.
    #[error("a stored text could not be used")]
    Content(#[from] ContentError),
    /// Something that is a mistake of this program.
    #[error("{0}")]
    Internal(String),
}

impl From<Rejection> for EngineError {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected { rejection, command: 0 }
    }
}

impl EngineError {
    /// The same, with so many commands before those that it counts from.
    pub fn after(self, commands: usize) -> Self {
        if let Self::Rejected { rejection, command } = self {
            Self::Rejected { rejection, command: commands + command }
        } else {
            self
        }
    }

    /// Work was given up because nobody waits for it any more.
    pub fn unwanted() -> Self {
        Self::Unavailable("nobody waits for the answer any more".into())
    }
}

impl From<AppendError> for EngineError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Conflict { stream, actual, .. } => Self::Conflict { stream, actual },
            AppendError::EventTooLarge { bytes, limit, .. } | AppendError::CommitTooLarge { bytes, limit } => {
                Rejection::TooLong { field: "input", limit: limit as u64, actual: bytes as u64 }.into()
            }
            AppendError::Poisoned { .. } | AppendError::NoSpace { .. } | AppendError::Closed | AppendError::Read(_) => {
                Self::Unavailable(error.to_string())
            }
            AppendError::Empty
            | AppendError::Unknown { .. }
            | AppendError::Encode(_)
            | AppendError::TooManyGuards { .. } => Self::Internal(error.to_string()),
        }
    }
}

/// An error and what led to it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let word = cause.to_string();
        // Many an error says itself what caused it.
        if !told.contains(&word) {
            told.push_str(": ");
            told.push_str(&word);
        }
        source = cause.source();
    }
    told
}
