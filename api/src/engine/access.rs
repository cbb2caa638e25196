//! Who comes in, and what they are told when they may not: the table of rights itself is `docket_core::access`, and queries,
//! mutations and subscriptions alike ask it through [`Principal::rights`].

use std::sync::Arc;

use docket_core::{
    access::{Action, Resource, Rights, Role},
    event::Actor,
    ids::{AgentKey, CustomerId, Position, TicketId, TokenId},
    rejection::Rejection,
    time::Timestamp,
};
use docket_projections::{TicketRow, TokenRow, Views, as_of};
use sha2::{Digest, Sha256};

use super::{Engine, EngineError, people::holds};

/// Somebody who came in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// What they are.
    pub role: Role,
    /// What their token is called.
    pub label: String,
    /// Their token; none for the command line and embedding programs.
    pub token: Option<TokenId>,
}

impl Principal {
    /// Whoever can write to the data directory: the command line, or a program that embeds the engine.
    pub fn local() -> Self {
        Self { role: Role::Administrator, label: "local".into(), token: None }
    }

    /// How this principal appears in events.
    pub fn actor(&self) -> Actor {
        match &self.role {
            Role::Administrator => Actor::Administrator(self.label.clone()),
            Role::Auditor => Actor::Auditor(self.label.clone()),
            Role::Service => Actor::Service(self.label.clone()),
            Role::Supervisor(agent) | Role::Agent(agent) | Role::LightAgent(agent) => Actor::Agent(agent.clone()),
            Role::Customer(customer) | Role::CustomerManager(customer) => Actor::Customer(*customer),
        }
    }

    /// The token whose every read is put on record: an auditor's, which shows everything.
    pub const fn recorded(&self) -> Option<TokenId> {
        match self.role {
            Role::Auditor => self.token,
            Role::Administrator
            | Role::Supervisor(_)
            | Role::Agent(_)
            | Role::LightAgent(_)
            | Role::Customer(_)
            | Role::CustomerManager(_)
            | Role::Service => None,
        }
    }

    /// What the principal may do at the moment of these views.
    pub fn rights<'a>(&'a self, views: &'a Views) -> Rights<'a> {
        Rights::of(&self.role, views.desk().desk())
    }

    /// True when the principal may do this with a ticket at the moment of these views.
    pub fn may(&self, views: &Views, action: Action, row: &TicketRow) -> bool {
        views.tickets().resource(row).is_some_and(|ticket| self.rights(views).can(action, ticket))
    }

    /// The agent, when it is one.
    pub const fn agent(&self) -> Option<&AgentKey> {
        self.role.agent()
    }

    /// The customer, when it is one.
    pub const fn customer(&self) -> Option<CustomerId> {
        self.role.customer()
    }
}

/// Refuses what the principal may not do by the desk of these views, and says which right is missing.
///
/// # Errors
/// [`EngineError::Forbidden`] when the principal may not do it.
pub fn must(principal: &Principal, views: &Views, action: Action, resource: Resource<'_>) -> Result<(), EngineError> {
    if principal.rights(views).can(action, resource) {
        return Ok(());
    }
    let verb = match action {
        Action::Read => "read",
        Action::ReadInternal => "read what is internal of",
        Action::Ask => "write as the customer to",
        Action::Note => "add notes to",
        Action::Work => "work on",
        Action::Administer => "administer",
    };
    let thing = match resource {
        Resource::Ticket { .. } => "this ticket",
        Resource::Counters(_) => "the tickets of this queue",
        Resource::AllTickets => "the tickets of every queue",
        Resource::Customer(_) => "this customer",
        Resource::Desk => "the desk",
        Resource::Figures => "the desk's people, timers and figures",
        Resource::Log => "the log",
        Resource::Tokens => "tokens",
    };
    // An agent's rights are of two kinds: what the token gives, and what the desk says of each queue.
    let of_queue = match (&principal.role, resource) {
        (
            Role::Agent(_) | Role::LightAgent(_),
            Resource::Ticket { .. } | Resource::Counters(_) | Resource::AllTickets,
        ) => " for an agent of these queues",
        _ => "",
    };
    let needs = format!("{verb} {thing}, which {}{of_queue} does not have", token_of(&principal.role));
    Err(EngineError::Forbidden { needs })
}

/// The token of a role, in words.
const fn token_of(role: &Role) -> &'static str {
    match role {
        Role::Administrator => "an administrator's token",
        Role::Supervisor(_) => "a supervisor's token",
        Role::Agent(_) => "an agent's token",
        Role::LightAgent(_) => "a light agent's token",
        Role::Customer(_) => "a customer's token",
        Role::CustomerManager(_) => "a customer manager's token",
        Role::Auditor => "an auditor's token",
        Role::Service => "a service's token",
    }
}

/// The secret of a new token, `dkt_` and 64 hexadecimal digits of randomness, and what is stored of it.
///
/// # Errors
/// When the machine gives no randomness.
pub fn new_secret() -> Result<(String, String), getrandom::Error> {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random)?;
    let secret = format!("dkt_{}", hex::encode(random));
    let stored = secret_sha256(&secret);
    Ok((secret, stored))
}

/// What is stored of a secret. It has 256 bits of randomness, so a plain hash withstands guessing.
pub fn secret_sha256(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// Somebody who may read a ticket: whoever bears a token.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The token.
    pub token: TokenRow,
    /// What is internal too: notes.
    pub internal: bool,
}

/// Whoever could read a ticket at an instant, by the views of then, in the order of the tokens' ids. Whoever could read the
/// data directory itself is known to the machine alone.
///
/// # Errors
/// When the ticket was not there yet.
pub fn readers(then: &Views, ticket: TicketId, at: Timestamp) -> Result<Vec<Reader>, Rejection> {
    let absent =
        || Rejection::Invalid { field: "at", reason: "the ticket was not there yet: ask for a later instant".into() };
    let row = then.tickets().by_id(&ticket).ok_or_else(absent)?;
    let of_token = |token: &TokenRow| {
        let bearer = Principal { role: token.role.clone(), label: token.label.clone(), token: Some(token.id) };
        let may = |action| bearer.may(then, action, row);
        may(Action::Read).then(|| Reader { token: token.clone(), internal: may(Action::ReadInternal) })
    };
    Ok(then.people().tokens().filter(|token| holds(token, then, at)).filter_map(of_token).collect())
}

impl Engine {
    /// Whoever could read a ticket at an instant.
    ///
    /// # Errors
    /// When the principal may not know, the instant lies ahead or before the ticket, all turns are taken, or the log cannot be
    /// read.
    pub async fn access_at(
        &self,
        principal: &Principal,
        ticket: TicketId,
        at: Timestamp,
    ) -> Result<Vec<Reader>, EngineError> {
        must(principal, &self.views(), Action::Read, Resource::Tokens)?;
        if at > self.now() {
            let reason = "the instant has not come: nobody knows who may read then".into();
            return Err(Rejection::Invalid { field: "at", reason }.into());
        }
        let log = Arc::clone(self.log());
        self.in_turn(move |stop| {
            let commits = || {
                let commits = log.scan(Position::START)?;
                let wanted = |commit| if stop.is_wanted() { Err(EngineError::unwanted()) } else { Ok(commit) };
                Ok::<_, EngineError>(commits.map(move |commit| wanted(commit?)))
            };
            Ok(readers(&as_of(commits, at)?, ticket, at)?)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_are_stored_as_hashes() {
        let (one, stored) = new_secret().unwrap();
        let (two, _) = new_secret().unwrap();
        assert_ne!(one, two);
        assert_eq!(secret_sha256(&one), stored);
        assert!(!stored.contains(&one[4..20]));
    }
}
