//! What sockets may have at once: places at the door, operations, and bytes that wait to be read.
//!
//! A socket of somebody known keeps its place. So a principal has no more of them than there would be places left without
//! sockets: one has half of all places at most, two have a third each, and there is always room for somebody else.
//!
//! Three budgets apply together: that of a socket, that of whoever it belongs to, and that of all. An operation asks for
//! room before it makes its next message and pays for it until the socket has written it, so that whoever does not read
//! costs what fits into a socket, however much there would be to say.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use docket_core::{event::Actor, ids::TokenId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::engine::Principal;

/// Operations of all sockets at once.
const OPERATIONS: usize = 10_000;
/// Operations of one principal at once, over all sockets.
const PRINCIPAL_OPERATIONS: usize = 2_000;
/// Operations of one socket at once.
const SOCKET_OPERATIONS: usize = 50;
/// Bytes that wait in all sockets.
const BYTES: usize = 64 * 1024 * 1024;
/// Bytes that wait in the sockets of one principal.
const PRINCIPAL_BYTES: usize = 16 * 1024 * 1024;
/// Bytes that wait in one socket; a longer message waits alone.
const SOCKET_BYTES: usize = 32 * 1024;
/// Principals that are kept before those without a socket are let go.
const KEPT: usize = 1024;

/// What is over: in words for whoever asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Over {
    /// The socket's own limit.
    Socket,
    /// That of the principal.
    Principal,
    /// That of the server.
    All,
    /// So many sockets of the principal leave no room for one more.
    Sockets(usize),
}

impl std::fmt::Display for Over {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket => write!(f, "a socket has at most {SOCKET_OPERATIONS} operations at once: complete some"),
            Self::Principal => {
                write!(f, "you have at most {PRINCIPAL_OPERATIONS} operations at once, over all sockets: complete some")
            }
            Self::All => {
                write!(f, "the server has at most {OPERATIONS} operations of sockets at once: try again later")
            }
            Self::Sockets(own) => {
                write!(f, "you have {own} sockets, more would leave too little room for others: close some")
            }
        }
    }
}

#[derive(Debug)]
struct Share {
    sockets: AtomicUsize,
    operations: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

impl Share {
    fn new(operations: usize, bytes: usize) -> Self {
        Self {
            sockets: AtomicUsize::new(0),
            operations: Arc::new(Semaphore::new(operations)),
            bytes: Arc::new(Semaphore::new(bytes)),
        }
    }
}

/// The budgets of all.
#[derive(Debug)]
pub struct Budgets {
    /// Connections that there may be at once.
    places: usize,
    all: Arc<Share>,
    principals: Mutex<HashMap<Whose, Weak<Share>>>,
}

/// Whose a budget is. An agent or a customer has one, whatever the number of tokens. Administrators, auditors and services have
/// no name but the label of a token, which several may have: each of their tokens has one.
type Whose = (Actor, Option<TokenId>);

fn whose(principal: &Principal) -> Whose {
    let has_a_name = principal.agent().is_some() || principal.customer().is_some();
    (principal.actor(), principal.token.filter(|_| !has_a_name))
}

impl Budgets {
    /// For so many connections at once.
    pub fn new(places: usize) -> Self {
        Self { places, all: Arc::new(Share::new(OPERATIONS, BYTES)), principals: Mutex::default() }
    }

    /// The budget of a new socket of this principal: tokens of the same agent or customer share it.
    ///
    /// # Errors
    /// [`Over::Sockets`] when the principal has as many as there are places left without sockets.
    pub fn socket(&self, principal: &Principal) -> Result<Arc<SocketBudget>, Over> {
        let mut principals = self.principals.lock().unwrap_or_else(PoisonError::into_inner);
        if principals.len() >= KEPT {
            principals.retain(|_, share| share.strong_count() > 0);
        }
        let whose = whose(principal);
        let share = principals.get(&whose).and_then(Weak::upgrade).unwrap_or_else(|| {
            let share = Arc::new(Share::new(PRINCIPAL_OPERATIONS, PRINCIPAL_BYTES));
            principals.insert(whose, Arc::downgrade(&share));
            share
        });
        // Sockets come one by one, under the lock; those that go meanwhile only make more room.
        let own = share.sockets.load(Ordering::Relaxed);
        if own >= self.places.saturating_sub(self.all.sockets.load(Ordering::Relaxed)) {
            return Err(Over::Sockets(own));
        }
        for share in [&share, &self.all] {
            share.sockets.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Arc::new(SocketBudget {
            own: Share::new(SOCKET_OPERATIONS, SOCKET_BYTES),
            principal: share,
            all: Arc::clone(&self.all),
        }))
    }
}

/// What one socket may have.
#[derive(Debug)]
pub struct SocketBudget {
    own: Share,
    principal: Arc<Share>,
    all: Arc<Share>,
}

impl Drop for SocketBudget {
    fn drop(&mut self) {
        for share in [&self.principal, &self.all] {
            share.sockets.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A part of a budget; given back when dropped.
#[derive(Debug)]
pub struct Paid {
    _permits: [OwnedSemaphorePermit; 3],
}

impl SocketBudget {
    /// The right to one more operation.
    ///
    /// # Errors
    /// When one of the budgets is used up.
    pub fn operation(&self) -> Result<Paid, Over> {
        let one = |share: &Share, over| Arc::clone(&share.operations).try_acquire_owned().map_err(|_| over);
        let permits =
            [one(&self.own, Over::Socket)?, one(&self.principal, Over::Principal)?, one(&self.all, Over::All)?];
        Ok(Paid { _permits: permits })
    }

    /// Waits until the socket can take something: nothing is made before that only to wait.
    pub async fn room(&self) {
        // None of the semaphores is ever closed.
        let _ = self.own.bytes.acquire().await;
    }

    /// Pays for a message; `None` never happens while the server lives.
    pub async fn bytes(&self, length: usize) -> Option<Paid> {
        let pay = async |share: &Share, most: usize| {
            let length = u32::try_from(length.min(most)).unwrap_or(u32::MAX);
            Arc::clone(&share.bytes).acquire_many_owned(length).await.ok()
        };
        // Always in this order, and given back by the sockets alone: nobody waits for each other.
        let permits = [
            pay(&self.own, SOCKET_BYTES).await?,
            pay(&self.principal, PRINCIPAL_BYTES).await?,
            pay(&self.all, BYTES).await?,
        ];
        Some(Paid { _permits: permits })
    }
}

#[cfg(test)]
mod tests {
    use docket_core::{access::Role, ids::AgentKey};
    use futures_util::FutureExt;
    use ulid::Ulid;

    use super::*;

    fn admin(label: &str) -> Principal {
        Principal { role: Role::Administrator, label: label.into(), token: None }
    }

    #[test]
    fn a_socket_a_principal_and_all_have_so_many_operations_at_once() {
        let budgets = Budgets::new(4096);
        let fill = |label: &str, operations: usize| -> Vec<_> {
            (0..operations.div_ceil(SOCKET_OPERATIONS))
                .flat_map(|_| {
                    let socket = budgets.socket(&admin(label)).unwrap();
                    (0..SOCKET_OPERATIONS).map(move |_| socket.operation()).collect::<Vec<_>>()
                })
                .collect()
        };
        let socket = budgets.socket(&admin("one")).unwrap();
        let held: Vec<_> = (0..SOCKET_OPERATIONS).map(|_| socket.operation().unwrap()).collect();
        assert_eq!(socket.operation().map(drop), Err(Over::Socket));
        let more = fill("one", PRINCIPAL_OPERATIONS - SOCKET_OPERATIONS);
        assert!(more.iter().all(Result::is_ok));
        assert_eq!(budgets.socket(&admin("one")).unwrap().operation().map(drop), Err(Over::Principal));
        let others: Vec<_> = (0..4).flat_map(|n| fill(&format!("other {n}"), PRINCIPAL_OPERATIONS)).collect();
        assert!(others.iter().all(Result::is_ok));
        assert_eq!(budgets.socket(&admin("late")).unwrap().operation().map(drop), Err(Over::All));
        drop((held, more, others));
        assert!(budgets.socket(&admin("late")).unwrap().operation().is_ok());
    }

    #[test]
    fn sockets_of_one_principal_leave_places_for_others() {
        let budgets = Budgets::new(12);
        let fill = |label: &str| -> Vec<_> {
            std::iter::from_fn(|| budgets.socket(&admin(label)).ok()).take(budgets.places).collect()
        };
        let one = fill("one");
        assert_eq!(one.len(), 6);
        let refused = budgets.socket(&admin("one")).map(drop);
        assert_eq!(refused, Err(Over::Sockets(6)));
        // A frame that closes a socket has 123 bytes for its reason.
        assert!(Over::Sockets(usize::MAX).to_string().len() <= 123);
        let other = fill("other");
        assert_eq!(other.len(), 3);
        assert_eq!((fill("one").len(), fill("third").len()), (0, 2));
        drop(one);
        assert!(!fill("other").is_empty());
    }

    #[test]
    fn tokens_of_one_agent_share_a_budget_and_those_of_administrators_and_auditors_do_not() {
        let (ann, bob): (AgentKey, AgentKey) = ("ann".parse().unwrap(), "bob".parse().unwrap());
        // Everybody has the label that the command line gives when none is said.
        let token = |role| Principal {
            role,
            label: "made on the command line".into(),
            token: Some(TokenId::new(Ulid::generate())),
        };
        let shared = |one, other| whose(&token(one)) == whose(&token(other));
        assert!(shared(Role::Agent(ann.clone()), Role::Agent(ann.clone())));
        assert!(!shared(Role::Agent(ann), Role::Agent(bob)));
        assert!(!shared(Role::Administrator, Role::Auditor));
        assert!(!shared(Role::Auditor, Role::Auditor));
    }

    #[test]
    fn what_waits_in_a_socket_is_bounded_and_a_long_message_waits_alone() {
        let budgets = Budgets::new(4096);
        let socket = budgets.socket(&admin("one")).unwrap();
        let first = socket.bytes(SOCKET_BYTES - 10).now_or_never().flatten().unwrap();
        assert!(socket.room().now_or_never().is_some());
        assert!(socket.bytes(11).now_or_never().is_none());
        drop(first);
        let long = socket.bytes(100 * SOCKET_BYTES).now_or_never().flatten().unwrap();
        assert!(socket.room().now_or_never().is_none());
        // Other sockets have room.
        assert!(budgets.socket(&admin("one")).unwrap().bytes(100).now_or_never().flatten().is_some());
        drop(long);
        assert!(socket.room().now_or_never().is_some());
    }
}
