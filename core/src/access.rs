//! Who may come in: tokens, and the roles that they give.

use serde::{Deserialize, Serialize};

use crate::{
    event::family::event_family,
    ids::{AgentKey, CustomerId, TokenId},
    rejection::{Rejection, check_text},
    time::Timestamp,
};

/// What the bearer of a token is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Configures the desk, makes tokens, and may do everything that an agent may.
    Administrator,
    /// Works on tickets.
    Agent(AgentKey),
    /// Sees and writes to the own tickets, never internal notes.
    Customer(CustomerId),
    /// Reads everything, changes nothing.
    Auditor,
}

event_family! {
    /// Everything that can happen to tokens. The secret itself is never stored.
    AccessEvent {
        /// A token was made.
        TokenIssued = 1 {
            /// Its id.
            token: TokenId,
            /// SHA-256 of the secret, hexadecimal.
            secret_sha256: String,
            /// What it gives.
            role: Role,
            /// What it is for, in the words of who made it.
            label: String,
            /// When it ends; never when absent.
            expires_at: Option<Timestamp>,
        }
        /// A token was taken back.
        TokenRevoked = 1 {
            /// Which one.
            token: TokenId,
        }
    }
}

/// Judges the making of a token.
///
/// # Errors
/// When the label is blank or longer than 100 bytes, or the end is not in the future.
pub fn issue(
    token: TokenId,
    secret_sha256: String,
    role: Role,
    label: &str,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<AccessEvent, Rejection> {
    check_text("label", label, 100)?;
    if expires_at.is_some_and(|end| end <= now) {
        return Err(Rejection::Invalid { field: "expiresAt", reason: "the end must lie in the future".into() });
    }
    Ok(TokenIssued { token, secret_sha256, role, label: label.to_owned(), expires_at }.into())
}
