//! What is stored of tokens, of the roles that they give, and of what auditors read.

use serde::{Deserialize, Serialize};

use crate::{
    event::family::event_family,
    ids::{AgentKey, CustomerId, TokenId},
    personal::Personal,
    rejection::{Rejection, check_text},
    time::Timestamp,
};

/// What the bearer of a token is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Configures the desk, makes tokens, and may do everything that an agent may.
    Administrator,
    /// An agent who leads: works on the tickets of every queue and sees all figures.
    Supervisor(AgentKey),
    /// Works on the tickets of the agent's queues.
    Agent(AgentKey),
    /// Reads the tickets of the agent's queues and adds notes, for whoever helps agents and answers no customers.
    LightAgent(AgentKey),
    /// Sees and writes to the own tickets, never internal notes.
    Customer(CustomerId),
    /// A customer who also sees the tickets of the own organisation; the own ones alone while there is none.
    CustomerManager(CustomerId),
    /// Reads everything, changes nothing; what is read is on record.
    Auditor,
    /// A program that works on the tickets of every queue in its own name.
    Service,
}

impl Role {
    /// The agent whose role it is.
    pub const fn agent(&self) -> Option<&AgentKey> {
        match self {
            Self::Supervisor(agent) | Self::Agent(agent) | Self::LightAgent(agent) => Some(agent),
            Self::Administrator | Self::Customer(_) | Self::CustomerManager(_) | Self::Auditor | Self::Service => None,
        }
    }

    /// The customer whose role it is.
    pub const fn customer(&self) -> Option<CustomerId> {
        match self {
            Self::Customer(customer) | Self::CustomerManager(customer) => Some(*customer),
            Self::Administrator
            | Self::Supervisor(_)
            | Self::Agent(_)
            | Self::LightAgent(_)
            | Self::Auditor
            | Self::Service => None,
        }
    }

    /// Its name, as people write it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Supervisor(_) => "supervisor",
            Self::Agent(_) => "agent",
            Self::LightAgent(_) => "light-agent",
            Self::Customer(_) => "customer",
            Self::CustomerManager(_) => "customer-manager",
            Self::Auditor => "auditor",
            Self::Service => "service",
        }
    }
}

event_family! {
    /// Everything that can happen to tokens, and what was read with them. The secret itself is never stored.
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
        /// The bearer of an auditor's token read something: written before it is answered.
        ReadRecorded = 1 {
            /// The token.
            token: TokenId,
            /// What was asked: the GraphQL document, the operation's name and the variables, as JSON.
            asked: Personal<String>,
        }
    }
}

/// Judges a read that is to be put on record.
///
/// # Errors
/// When it is over the limit: what is not on record is not answered.
pub fn record_read(token: TokenId, asked: String) -> Result<AccessEvent, Rejection> {
    check_text("query", &asked, ReadRecorded::MAX)?;
    Ok(ReadRecorded { token, asked: Personal::new(asked) }.into())
}

impl ReadRecorded {
    /// Longest request in bytes that is put on record.
    pub const MAX: u64 = 32 * 1024;
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
