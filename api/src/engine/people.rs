//! Customers and tokens: who there is, and who may come in.

use std::sync::{Arc, PoisonError};

use docket_core::{
    access::{AccessEvent, Role, TokenRevoked},
    event::Event,
    ids::{CustomerId, Position, StreamId, TokenId},
    rejection::Rejection,
    ticket::ExternalReference,
    time::Timestamp,
};
use docket_projections::{TokenRow, Views};
use docket_store::Expected;
use ulid::Ulid;

use super::{
    Acting, Action, Engine, EngineError, IdempotencyKey, Principal, RETRY_FOR, Resource, VIEW_WAIT, must, new_secret,
    secret_sha256,
};

/// A customer to be registered.
#[derive(Debug, Clone, Default)]
pub struct NewCustomer {
    /// Name, as people read it.
    pub name: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Name in another system.
    pub external: Option<ExternalReference>,
}

/// A token that was made.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Its id.
    pub id: TokenId,
    /// What its bearer sends. It is shown once: none when a request is repeated.
    pub secret: Option<String>,
    /// Position of what was stored.
    pub position: Position,
}

impl Engine {
    /// Who bears a token, when it holds: neither revoked nor ended, and of nobody who has left.
    pub fn authenticate(&self, secret: &str) -> Option<Principal> {
        let views = self.views();
        let token = views.people().valid_token(&secret_sha256(secret), self.now())?;
        let (role, label) = (token.role.clone(), token.label.clone());
        let here = is_here(&role, token.issued, &views);
        if here {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            used.insert(token.id, self.now());
        }
        here.then_some(Principal { role, label, token: Some(token.id) })
    }

    /// When somebody last came in with a token since the engine started. It is no event: whoever reads would fill the log.
    pub fn last_used(&self, token: TokenId) -> Option<Timestamp> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).get(&token).copied()
    }

    /// True when the principal's token holds still.
    pub fn still_valid(&self, principal: &Principal) -> bool {
        let views = self.views();
        let holds = |id: &TokenId| views.people().token(id).is_some_and(|token| holds(token, &views, self.now()));
        principal.token.as_ref().is_none_or(holds)
    }

    /// Registers a customer.
    ///
    /// # Errors
    /// When it is refused or cannot be stored.
    pub async fn register_customer(
        &self,
        principal: &Principal,
        customer: NewCustomer,
        key: Option<IdempotencyKey>,
    ) -> Result<(CustomerId, Arc<Views>, Position), EngineError> {
        must(principal, &self.views(), Action::Work, Resource::Desk)?;
        let (acting, key) = (Acting::from(principal), key.as_ref());
        let stored = match self.first_answer(&acting, key).await? {
            Some(earlier) => super::Stored::earlier(earlier),
            None => {
                let NewCustomer { name, email, external } = customer;
                let event = docket_core::customer::register(&name, email.as_deref(), external)?;
                let stream = StreamId::Customer(CustomerId::new(Ulid::generate()));
                self.append(&acting, key, stream, Expected::NoStream, vec![event.into()]).await?
            }
        };
        let StreamId::Customer(id) = stored.stream else {
            return Err(EngineError::Internal(format!("{} answers the registration of a customer", stored.stream)));
        };
        Ok((id, self.views_at(stored.position, VIEW_WAIT).await?, stored.position))
    }

    /// Makes a token and gives its secret, which is shown this once: with a key that was used before, the token is named and
    /// its secret is not. Whoever lost the answer revokes it and makes another one.
    ///
    /// # Errors
    /// When it is refused or cannot be stored.
    pub async fn issue_token(
        &self,
        principal: &Principal,
        role: Role,
        label: &str,
        expires_at: Option<Timestamp>,
        key: Option<IdempotencyKey>,
    ) -> Result<Issued, EngineError> {
        must(principal, &self.views(), Action::Administer, Resource::Tokens)?;
        let (acting, key) = (Acting::from(principal), key.as_ref());
        if let Some(earlier) = self.first_answer(&acting, key).await? {
            return repeated(&earlier);
        }
        let views = self.views();
        if let Some(agent) = role.agent() {
            let part = views.desk().desk().agents.get(agent);
            let part = part.ok_or_else(|| Rejection::not_found("agent", agent.as_str()))?;
            if part.retired {
                return Err(Rejection::Retired { what: "agent", input: "agent", key: agent.to_string() }.into());
            }
        }
        if let Some(customer) = role.customer()
            && views.people().customer(&customer).is_none()
        {
            return Err(Rejection::not_found("customer", customer.to_string()).into());
        }
        let (secret, stored) = new_secret().map_err(|error| EngineError::Internal(error.to_string()))?;
        let id = TokenId::new(Ulid::generate());
        let event = docket_core::access::issue(id, stored, role, label, expires_at, self.now())?;
        let stored = self.append(&acting, key, StreamId::Access, Expected::Any, vec![event.into()]).await?;
        if let Some(earlier) = &stored.earlier {
            return repeated(earlier);
        }
        self.views_at(stored.position, VIEW_WAIT).await?;
        Ok(Issued { id, secret: Some(secret), position: stored.position })
    }

    /// Takes a token back. Taking it back again changes nothing.
    ///
    /// # Errors
    /// When there is none of this id, or it cannot be stored.
    pub async fn revoke_token(
        &self,
        principal: &Principal,
        id: TokenId,
        key: Option<IdempotencyKey>,
    ) -> Result<Position, EngineError> {
        must(principal, &self.views(), Action::Administer, Resource::Tokens)?;
        let (acting, key) = (Acting::from(principal), key.as_ref());
        if let Some(earlier) = self.first_answer(&acting, key).await? {
            return Ok(super::Stored::earlier(earlier).position);
        }
        let give_up_at = tokio::time::Instant::now() + RETRY_FOR;
        let mut views = self.views();
        let stored = loop {
            let token = views.people().token(&id);
            let token = token.ok_or_else(|| Rejection::NotFound { what: "token", input: "id", key: id.to_string() })?;
            if token.revoked {
                break self.keep_answer(&acting, key, StreamId::Access, views.position()).await?;
            }
            self.somebody_administers_without(token, &views)?;
            let event = AccessEvent::from(TokenRevoked { token: id });
            // Two administrators' tokens that are taken back at once would each leave the other.
            let expected = Expected::At(views.people().access_version());
            match self.append(&acting, key, StreamId::Access, expected, vec![event.into()]).await {
                Err(EngineError::Conflict { actual, .. }) if tokio::time::Instant::now() < give_up_at => {
                    views = self.views_at(actual, VIEW_WAIT).await?;
                }
                stored => break stored?,
            }
        };
        self.views_at(stored.position, VIEW_WAIT).await?;
        Ok(stored.position)
    }

    /// A desk that nobody can administer is locked for good to whoever has no shell on its machine.
    fn somebody_administers_without(&self, token: &TokenRow, views: &Views) -> Result<(), Rejection> {
        let now = self.now();
        let administers = |token: &TokenRow| token.role == Role::Administrator && token.holds(now);
        let others = || views.people().tokens().any(|other| other.id != token.id && administers(other));
        if !administers(token) || others() {
            return Ok(());
        }
        let reason = "it is the last administrator's token that holds: make another one first, then take this one back";
        Err(Rejection::Invalid { field: "id", reason: reason.into() })
    }

    /// Puts on record what somebody is about to read by a token whose reads are recorded ([`Principal::recorded`]). Whoever
    /// cannot be recorded reads nothing. The views that show it come after it, so that whoever reads the log finds it there.
    ///
    /// # Errors
    /// When it is over the limit, or cannot be stored.
    pub async fn record_read(
        &self,
        principal: &Principal,
        token: TokenId,
        asked: String,
    ) -> Result<Arc<Views>, EngineError> {
        let event = docket_core::access::record_read(token, asked)?;
        let acting = Acting::from(principal);
        let stored = self.append(&acting, None, StreamId::Reads(token), Expected::Any, vec![event.into()]).await?;
        self.views_at(stored.position, VIEW_WAIT).await
    }
}

/// True when a token lets somebody in: neither taken back nor ended, and of nobody who has left.
pub(super) fn holds(token: &TokenRow, views: &Views, at: Timestamp) -> bool {
    token.holds(at) && is_here(&token.role, token.issued, views)
}

/// An agent who has left does not come in any more, whatever tokens there are; one who comes back needs a new one.
pub fn is_here(role: &Role, issued: Position, views: &Views) -> bool {
    role.agent().is_none_or(|agent| {
        let agent = views.desk().desk().agents.get(agent);
        agent.is_some_and(|agent| !agent.retired && agent.left.is_none_or(|left| left < issued))
    })
}

fn repeated(commit: &docket_core::event::Commit) -> Result<Issued, EngineError> {
    let issued = commit.events.iter().find_map(|event| match &event.event {
        Event::Access(AccessEvent::TokenIssued(issued)) => Some(issued.token),
        Event::Access(AccessEvent::TokenRevoked(_) | AccessEvent::ReadRecorded(_))
        | Event::Ticket(_)
        | Event::Customer(_)
        | Event::Desk(_)
        | Event::Request(_)
        | Event::Unknown { .. } => None,
    });
    let id = issued.ok_or_else(|| EngineError::Internal("no token answers the making of one".into()))?;
    Ok(Issued { id, secret: None, position: commit.position })
}
