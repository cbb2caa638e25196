//! Who may do what: one function decides for queries, mutations and subscriptions alike.

use std::sync::Arc;

use docket_core::{
    access::Role,
    event::Actor,
    ids::{AgentKey, CustomerId, Position, TicketId, TokenId},
    rejection::Rejection,
    time::Timestamp,
};
use docket_projections::{TokenRow, Views, as_of};
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
            Role::Administrator | Role::Auditor => Actor::Administrator(self.label.clone()),
            Role::Agent(agent) => Actor::Agent(agent.clone()),
            Role::Customer(customer) => Actor::Customer(*customer),
        }
    }

    /// The agent, when it is one.
    pub const fn agent(&self) -> Option<&AgentKey> {
        match &self.role {
            Role::Agent(agent) => Some(agent),
            Role::Administrator | Role::Customer(_) | Role::Auditor => None,
        }
    }

    /// The customer, when it is one.
    pub const fn customer(&self) -> Option<CustomerId> {
        match &self.role {
            Role::Customer(customer) => Some(*customer),
            Role::Administrator | Role::Agent(_) | Role::Auditor => None,
        }
    }
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// See it.
    Read,
    /// See what is meant for the desk alone: notes, assignments, SLA clocks.
    ReadInternal,
    /// Write to the desk as the customer, or open a ticket for oneself.
    Ask,
    /// Work on it: answer, note, assign, change.
    Work,
    /// Configure the desk, make and revoke tokens.
    Administer,
}

/// What it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// A ticket of this requester.
    Ticket {
        /// Who asked.
        requester: Option<CustomerId>,
    },
    /// This customer.
    Customer(CustomerId),
    /// The parts of the desk that everybody may see: its name, queues, statuses, categories, fields.
    Desk,
    /// Counters of queues, timers, reports.
    Figures,
    /// The raw event log.
    Log,
    /// Tokens.
    Tokens,
}

/// True when the principal may do it.
pub fn can(principal: &Principal, action: Action, resource: Resource) -> bool {
    match (&principal.role, action) {
        (Role::Administrator, _) => true,
        (Role::Auditor, Action::Read | Action::ReadInternal) => true,
        (Role::Auditor, Action::Ask | Action::Work | Action::Administer) => false,
        (Role::Agent(_), Action::Administer) => false,
        // Agents work from tickets; the log also holds the history of tokens and of the configuration.
        (Role::Agent(_), Action::Read | Action::ReadInternal | Action::Ask | Action::Work) => match resource {
            Resource::Ticket { .. } | Resource::Customer(_) | Resource::Desk | Resource::Figures => true,
            Resource::Log | Resource::Tokens => false,
        },
        (Role::Customer(_), Action::ReadInternal | Action::Work | Action::Administer) => false,
        (Role::Customer(own), Action::Read | Action::Ask) => match resource {
            Resource::Ticket { requester } => requester == Some(*own),
            Resource::Customer(customer) => customer == *own,
            Resource::Desk => true,
            Resource::Figures | Resource::Log | Resource::Tokens => false,
        },
    }
}

/// Refuses what the principal may not do, and says which right is missing.
///
/// # Errors
/// [`EngineError::Forbidden`] when the principal may not do it.
pub fn must(principal: &Principal, action: Action, resource: Resource) -> Result<(), EngineError> {
    if can(principal, action, resource) {
        return Ok(());
    }
    let verb = match action {
        Action::Read => "read",
        Action::ReadInternal => "read what is internal of",
        Action::Ask => "write as the customer to",
        Action::Work => "work on",
        Action::Administer => "administer",
    };
    let thing = match resource {
        Resource::Ticket { .. } => "this ticket",
        Resource::Customer(_) => "this customer",
        Resource::Desk => "the desk",
        Resource::Figures => "the desk's people, timers and figures",
        Resource::Log => "the log",
        Resource::Tokens => "tokens",
    };
    Err(EngineError::Forbidden { needs: format!("{verb} {thing}, which {} does not have", role_name(&principal.role)) })
}

/// The role of a principal, in words.
const fn role_name(role: &Role) -> &'static str {
    match role {
        Role::Administrator => "an administrator's token",
        Role::Agent(_) => "an agent's token",
        Role::Customer(_) => "a customer's token",
        Role::Auditor => "an auditor's token",
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
    let requester = then.tickets().by_id(&ticket).ok_or_else(absent)?.requester;
    let of_token = |token: &TokenRow| {
        let bearer = Principal { role: token.role.clone(), label: token.label.clone(), token: Some(token.id) };
        let may = |action| can(&bearer, action, Resource::Ticket { requester });
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
        must(principal, Action::Read, Resource::Tokens)?;
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

    fn principal(role: Role) -> Principal {
        Principal { role, label: "test".into(), token: None }
    }

    #[test]
    fn the_table_of_rights_is_this_one() {
        let own = CustomerId::new(ulid::Ulid::from_parts(1, 1));
        let other = CustomerId::new(ulid::Ulid::from_parts(2, 2));
        let agent = principal(Role::Agent(AgentKey::try_new("ann").unwrap()));
        let roles = [principal(Role::Administrator), agent, principal(Role::Customer(own)), principal(Role::Auditor)];
        let actions = [Action::Read, Action::ReadInternal, Action::Ask, Action::Work, Action::Administer];
        let resources = [
            ("own ticket", Resource::Ticket { requester: Some(own) }),
            ("other's ticket", Resource::Ticket { requester: Some(other) }),
            ("nobody's ticket", Resource::Ticket { requester: None }),
            ("own self", Resource::Customer(own)),
            ("other customer", Resource::Customer(other)),
            ("desk", Resource::Desk),
            ("figures", Resource::Figures),
            ("log", Resource::Log),
            ("tokens", Resource::Tokens),
        ];
        // One letter for each action that is allowed, for administrator, agent, customer and auditor.
        let expected = [
            ["riawA", "riaw", "ra", "ri"],
            ["riawA", "riaw", "", "ri"],
            ["riawA", "riaw", "", "ri"],
            ["riawA", "riaw", "ra", "ri"],
            ["riawA", "riaw", "", "ri"],
            ["riawA", "riaw", "ra", "ri"],
            ["riawA", "riaw", "", "ri"],
            ["riawA", "", "", "ri"],
            ["riawA", "", "", "ri"],
        ];
        for ((name, resource), row) in resources.into_iter().zip(expected) {
            for (role, expected) in roles.iter().zip(row) {
                let allowed: String = actions
                    .iter()
                    .zip("riawA".chars())
                    .filter(|(action, _)| can(role, **action, resource))
                    .map(|(_, letter)| letter)
                    .collect();
                assert_eq!(allowed, expected, "{name} for {:?}", role.role);
            }
        }
    }

    #[test]
    fn secrets_differ_and_are_stored_as_hashes() {
        let (one, stored) = new_secret().unwrap();
        let (two, _) = new_secret().unwrap();
        assert_ne!(one, two);
        assert_eq!(secret_sha256(&one), stored);
        assert!(!stored.contains(&one[4..20]));
    }
}
