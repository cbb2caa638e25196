//! Customers, and the tokens by which people come in.

use docket_core::{
    access::{AccessEvent, Role},
    customer::CustomerEvent,
    event::{Commit, Event},
    ids::{CustomerId, Position, StreamId, TokenId},
    personal::Personal,
    ticket::ExternalReference,
    time::Timestamp,
};
use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::projection::Projection;

/// A customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CustomerRow {
    /// The id.
    pub id: CustomerId,
    /// Name, as people read it.
    pub name: Personal<String>,
    /// E-mail address, when known.
    pub email: Option<Personal<String>>,
    /// The customer's name in another system.
    pub external: Option<ExternalReference>,
}

/// A token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenRow {
    /// The id.
    pub id: TokenId,
    /// What it gives.
    pub role: Role,
    /// What it is for.
    pub label: String,
    /// When it ends; never when absent.
    pub expires_at: Option<Timestamp>,
    /// It was taken back.
    pub revoked: bool,
    /// Position of the commit that made it: the token of an agent who has left does not come back with the agent.
    pub issued: Position,
}

impl TokenRow {
    /// True when it is neither taken back nor ended at an instant.
    pub fn holds(&self, at: Timestamp) -> bool {
        !self.revoked && self.expires_at.is_none_or(|end| at < end)
    }
}

/// Customers and tokens.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PeopleView {
    /// Position of the latest commit about tokens: what is decided about all of them is decided on this version.
    access: Position,
    customers: OrdMap<CustomerId, CustomerRow>,
    /// By the SHA-256 of the secret.
    tokens: OrdMap<String, TokenRow>,
    secrets: OrdMap<TokenId, String>,
}

impl PeopleView {
    /// Position of the latest commit about tokens.
    pub const fn access_version(&self) -> Position {
        self.access
    }

    /// A customer.
    pub fn customer(&self, id: &CustomerId) -> Option<&CustomerRow> {
        self.customers.get(id)
    }

    /// All customers, by id.
    pub fn customers(&self) -> impl DoubleEndedIterator<Item = &CustomerRow> {
        self.customers.values()
    }

    /// The token whose secret has this SHA-256, when it holds at this instant.
    pub fn valid_token(&self, secret_sha256: &str, now: Timestamp) -> Option<&TokenRow> {
        let token = self.tokens.get(secret_sha256)?;
        token.holds(now).then_some(token)
    }

    /// A token by its id.
    pub fn token(&self, id: &TokenId) -> Option<&TokenRow> {
        self.tokens.get(self.secrets.get(id)?)
    }

    /// All tokens, by id.
    pub fn tokens(&self) -> impl Iterator<Item = &TokenRow> {
        self.secrets.values().filter_map(|secret| self.tokens.get(secret))
    }
}

impl Projection for PeopleView {
    fn apply(&mut self, commit: &Commit) {
        if commit.stream == StreamId::Access {
            self.access = commit.position;
        }
        for event in &commit.events {
            match (&event.event, commit.stream) {
                (Event::Customer(CustomerEvent::CustomerRegistered(e)), StreamId::Customer(id)) => {
                    let row =
                        CustomerRow { id, name: e.name.clone(), email: e.email.clone(), external: e.external.clone() };
                    self.customers.insert(id, row);
                }
                (Event::Access(AccessEvent::TokenIssued(e)), _) => {
                    let row = TokenRow {
                        id: e.token,
                        role: e.role.clone(),
                        label: e.label.clone(),
                        expires_at: e.expires_at,
                        revoked: false,
                        issued: commit.position,
                    };
                    self.secrets.insert(e.token, e.secret_sha256.clone());
                    self.tokens.insert(e.secret_sha256.clone(), row);
                }
                (Event::Access(AccessEvent::TokenRevoked(e)), _) => {
                    let token = self.secrets.get(&e.token).and_then(|secret| self.tokens.get_mut(secret));
                    if let Some(token) = token {
                        token.revoked = true;
                    }
                }
                // What was read is in the log, for whoever asks who did.
                (Event::Access(AccessEvent::ReadRecorded(_)), _)
                | (
                    Event::Customer(_) | Event::Ticket(_) | Event::Desk(_) | Event::Request(_) | Event::Unknown { .. },
                    _,
                ) => {}
            }
        }
    }
}
