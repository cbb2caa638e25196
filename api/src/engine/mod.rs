//! The command path: principal → authorise → load → decide → append → durable → views → answer.

mod access;
mod error;
mod service_levels;
mod timers;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub use access::{Action, Principal, Resource, can, new_secret, secret_sha256};
use docket_core::{
    access::{AccessEvent, Role, TokenRevoked},
    desk::{Change, DeskConfig, DeskProblem},
    event::{Actor, Cause, CauseKind, DatedEvent, Event},
    ids::{CommitId, CorrelationId, CustomerId, Position, StreamId, TicketId, TokenId},
    personal::Body,
    rejection::Rejection,
    ticket::{Context, ExternalReference, Opening, Ticket, TicketCommand, TicketEvent, decide},
    time::Timestamp,
};
use docket_projections::{LiveViews, Reapplication, Views};
use docket_store::{Append, ContentStore, EventLog, Expected, Follower, ReadError};
pub use error::EngineError;
pub use service_levels::{explanations, supposed};
use tokio::sync::watch;
use ulid::Ulid;

use crate::clock::Clock;

/// How long a command waits for its own commit to reach the views.
const VIEW_WAIT: Duration = Duration::from_secs(10);
/// A command that commutes is decided again after conflicts for so long. Every round somebody gets through, so this is
/// reached only by a ticket that hundreds write to at once.
const RETRY_FOR: Duration = Duration::from_secs(5);
/// Commands of timers and of policies applied anew that wait for the disk together: enough to share its syncs, and few
/// beside what clients send.
const TOGETHER: usize = 64;
/// Folded tickets kept at most.
const CACHED_TICKETS: usize = 4096;

/// The engine. Cheap to share.
pub struct Engine {
    log: Arc<dyn EventLog>,
    views: Arc<LiveViews>,
    content: ContentStore,
    clock: Arc<dyn Clock>,
    tickets: Mutex<HashMap<TicketId, Loaded>>,
    /// One question of the kind "what if" at a time: each reads the whole log.
    what_if: Arc<tokio::sync::Semaphore>,
    stopping: watch::Sender<bool>,
}

/// A folded ticket and the version that it was folded to.
#[derive(Debug, Clone)]
struct Loaded {
    version: Position,
    ticket: Option<Arc<Ticket>>,
}

/// How a command is to be carried out.
#[derive(Debug, Clone)]
pub struct Request {
    /// The ticket's version that the caller saw. A command with one is never decided again on another.
    pub expected: Option<Position>,
    /// The same key of the same principal is carried out once, for ever.
    pub idempotency_key: Option<String>,
    /// When it happened, when not now.
    pub occurred_at: Option<Timestamp>,
    /// Why.
    pub cause: Cause,
}

impl Default for Request {
    fn default() -> Self {
        Self { expected: None, idempotency_key: None, occurred_at: None, cause: Cause::of(CauseKind::Request) }
    }
}

/// A command was carried out.
#[derive(Debug, Clone)]
pub struct Done {
    /// The ticket.
    pub ticket: TicketId,
    /// Position of the commit, or of the ticket's latest one when nothing was to be done.
    pub position: Position,
    /// Views that show it.
    pub views: Arc<Views>,
}

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

/// A desk file that cannot be, or what applying it did.
#[derive(Debug)]
pub enum Applied {
    /// It has problems; nothing was changed.
    Problems(Vec<DeskProblem>),
    /// It was compared, and unless it was a dry run, applied.
    Changes {
        /// The differences.
        changes: Vec<Change>,
        /// Position of what was stored, else of the views.
        position: Position,
        /// What it would do to open tickets to apply policies anew after it.
        effect: Reapplication,
    },
}

impl Engine {
    /// An engine over a log and a set of views that somebody lets follow it ([`LiveViews::follow`]).
    pub fn new(
        log: Arc<dyn EventLog>,
        views: Arc<LiveViews>,
        content: ContentStore,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let (tickets, stopping) = (Mutex::default(), watch::Sender::new(false));
        let what_if = Arc::new(tokio::sync::Semaphore::new(1));
        Arc::new(Self { log, views, content, clock, tickets, what_if, stopping })
    }

    /// The log.
    pub fn log(&self) -> &Arc<dyn EventLog> {
        &self.log
    }

    /// The views as they move.
    pub fn live_views(&self) -> &Arc<LiveViews> {
        &self.views
    }

    /// The views of this moment.
    pub fn views(&self) -> Arc<Views> {
        self.views.now()
    }

    /// The present instant.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets timers and subscriptions end.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Changes to true when the engine is to stop.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Follows the log from after a position.
    ///
    /// # Errors
    /// When the log has not come to it.
    pub fn follow(&self, after: Position) -> Result<Follower, ReadError> {
        Follower::new(Arc::clone(&self.log), after)
    }

    /// The views once they show a position.
    ///
    /// # Errors
    /// When they do not reach it in time.
    pub async fn views_at(&self, position: Position, wait: Duration) -> Result<Arc<Views>, EngineError> {
        match tokio::time::timeout(wait, self.views.at_least(position)).await {
            Ok(views) => Ok(views?),
            Err(_) => {
                let reached = self.views().position();
                Err(docket_projections::ViewError::Behind { reached, wanted: position }.into())
            }
        }
    }

    /// Who bears a token, when it holds.
    pub fn authenticate(&self, secret: &str) -> Option<Principal> {
        let views = self.views();
        let token = views.people().valid_token(&secret_sha256(secret), self.now())?;
        Some(Principal { role: token.role.clone(), label: token.label.clone(), token: Some(token.id) })
    }

    /// True when the principal's token holds still.
    pub fn still_valid(&self, principal: &Principal) -> bool {
        let Some(id) = &principal.token else { return true };
        let views = self.views();
        views
            .people()
            .token(id)
            .is_some_and(|token| !token.revoked && token.expires_at.is_none_or(|end| self.now() < end))
    }

    /// A text for a message: long ones are stored first, so that the event never names what is not there.
    ///
    /// # Errors
    /// When it is blank, over the limit, or cannot be stored.
    pub async fn body(&self, text: String) -> Result<Body, EngineError> {
        if text.trim().is_empty() {
            return Err(Rejection::Blank { field: "body" }.into());
        }
        if text.len() > Body::MAX {
            let (limit, actual) = (Body::MAX as u64, text.len() as u64);
            return Err(Rejection::TooLong { field: "body", limit, actual }.into());
        }
        if text.len() <= Body::MAX_INLINE {
            return Ok(Body::inline(&text));
        }
        let (content, bytes) = (self.content.clone(), text.len() as u64);
        let stored = tokio::task::spawn_blocking(move || content.put(text.as_bytes())).await;
        let sha256 = stored.map_err(|error| EngineError::Internal(error.to_string()))??;
        Ok(Body::Stored { sha256, bytes })
    }

    /// The text of a message.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was stored.
    pub async fn text(&self, body: &Body) -> Result<String, EngineError> {
        match body {
            Body::Inline(text) => Ok(text.reveal().clone()),
            Body::Stored { sha256, .. } => {
                let (content, name) = (self.content.clone(), sha256.clone());
                let read = tokio::task::spawn_blocking(move || content.get(&name)).await;
                let bytes = read.map_err(|error| EngineError::Internal(error.to_string()))??;
                String::from_utf8(bytes).map_err(|error| EngineError::Internal(error.to_string()))
            }
        }
    }

    /// Opens a ticket; `commands` follow in the same commit.
    ///
    /// # Errors
    /// When it is refused or cannot be stored.
    pub async fn open(
        &self,
        principal: &Principal,
        opening: TicketCommand,
        commands: Vec<TicketCommand>,
        request: Request,
    ) -> Result<Done, EngineError> {
        let TicketCommand::Open(Opening { requester, .. }) = opening else {
            return Err(EngineError::Internal("a ticket starts with its opening".into()));
        };
        if !can(principal, Action::Ask, Resource::Ticket { requester }) {
            return Err(EngineError::Forbidden);
        }
        let views = self.views();
        if let Some(customer) = requester
            && views.people().customer(&customer).is_none()
        {
            return Err(Rejection::NotFound { what: "requester", key: customer.to_string() }.into());
        }
        // A repeated request opens the same ticket.
        let id = match &request.idempotency_key {
            Some(key) => TicketId::derived(Timestamp::from_millis(0), &[&principal_key(principal), key]),
            None => TicketId::new(Ulid::generate()),
        };
        let all = std::iter::once(opening).chain(commands).collect();
        self.execute(&principal.actor(), &principal_key(principal), id, all, request).await
    }

    /// Works on a ticket: all commands in one commit, or none.
    ///
    /// # Errors
    /// When one is refused, or it cannot be stored.
    pub async fn work(
        &self,
        principal: &Principal,
        id: TicketId,
        commands: Vec<TicketCommand>,
        request: Request,
    ) -> Result<Done, EngineError> {
        let views = self.views();
        let not_found = || EngineError::from(Rejection::NotFound { what: "ticket", key: id.to_string() });
        let row = views.tickets().by_id(&id).ok_or_else(not_found)?;
        let resource = Resource::Ticket { requester: row.requester };
        if !can(principal, Action::Read, resource) {
            // Not yours and not there are the same to you.
            return Err(not_found());
        }
        for command in &commands {
            let asks = matches!(command, TicketCommand::Receive { .. });
            let action = if asks { Action::Ask } else { Action::Work };
            if !can(principal, action, resource) {
                return Err(EngineError::Forbidden);
            }
            if let TicketCommand::SetRequester(Some(customer)) = command
                && views.people().customer(customer).is_none()
            {
                return Err(Rejection::NotFound { what: "requester", key: customer.to_string() }.into());
            }
        }
        self.execute(&principal.actor(), &principal_key(principal), id, commands, request).await
    }

    /// Load, decide, append; again after a conflict when every command means the same whatever else happened.
    async fn execute(
        &self,
        actor: &Actor,
        principal_key: &str,
        id: TicketId,
        commands: Vec<TicketCommand>,
        request: Request,
    ) -> Result<Done, EngineError> {
        let commit = match &request.idempotency_key {
            Some(key) => {
                let commit = CommitId::derived(Timestamp::from_millis(0), &[principal_key, key]);
                if let Some(position) = self.log.find(commit)? {
                    return self.done(id, position).await;
                }
                commit
            }
            None => CommitId::new(Ulid::generate()),
        };
        let commutes = request.expected.is_none() && commands.iter().all(TicketCommand::commutes);
        let give_up_at = tokio::time::Instant::now() + RETRY_FOR;
        loop {
            let views = self.views();
            let desk = views.desk().desk();
            let loaded = self.load(id, &views)?;
            if let Some(expected) = request.expected
                && expected != loaded.version
            {
                return Err(EngineError::Conflict { stream: StreamId::Ticket(id), actual: loaded.version });
            }
            let now = self.now();
            let at = request.occurred_at.unwrap_or(now);
            let context = Context { at, now, actor, desk };
            let mut state = loaded.ticket.as_deref().cloned();
            let mut events = Vec::new();
            for command in &commands {
                for event in decide(state.as_ref(), command, &context)? {
                    state = Ticket::evolve(state, &event, at, desk);
                    events.push(DatedEvent::new(at, event));
                }
            }
            if events.is_empty() {
                return self.done(id, loaded.version).await;
            }
            let expected = if loaded.version.is_start() { Expected::NoStream } else { Expected::At(loaded.version) };
            let append = Append {
                id: commit,
                stream: StreamId::Ticket(id),
                expected,
                events,
                recorded_at: now,
                actor: actor.clone(),
                cause: request.cause.clone(),
                correlation: CorrelationId::new(commit.ulid()),
            };
            match self.log.append(append).await {
                Ok(position) => {
                    self.remember(id, Loaded { version: position, ticket: state.map(Arc::new) });
                    return self.done(id, position).await;
                }
                // What is kept of the ticket is behind; loading reads what came since.
                Err(docket_store::AppendError::Conflict { .. })
                    if commutes && tokio::time::Instant::now() < give_up_at => {}
                Err(error) => {
                    self.forget(&id);
                    return Err(error.into());
                }
            }
        }
    }

    async fn done(&self, ticket: TicketId, position: Position) -> Result<Done, EngineError> {
        let views = self.views_at(position, VIEW_WAIT).await?;
        Ok(Done { ticket, position, views })
    }

    /// The ticket as its stream makes it. Blocks for a moment when it is not kept: the stream is read from the database.
    fn load(&self, id: TicketId, views: &Views) -> Result<Loaded, EngineError> {
        let kept = self.cache().get(&id).cloned();
        let mut loaded = kept.unwrap_or(Loaded { version: Position::START, ticket: None });
        let commits = self.log.read_stream(StreamId::Ticket(id), loaded.version)?;
        if commits.is_empty() {
            return Ok(loaded);
        }
        let mut state = loaded.ticket.as_deref().cloned();
        for commit in &commits {
            for event in &commit.events {
                match &event.event {
                    Event::Ticket(ticket_event) => {
                        state = Ticket::evolve(state, ticket_event, event.occurred_at, views.desk().desk());
                    }
                    Event::Unknown { type_name, version } => {
                        // Deciding without knowing what happened would be guessing.
                        let what = format!("ticket {id} holds an event of the unknown type {type_name} {version}");
                        return Err(EngineError::Unavailable(format!("{what}: use a newer docket")));
                    }
                    Event::Customer(_) | Event::Desk(_) | Event::Access(_) => {}
                }
            }
            loaded.version = commit.position;
        }
        loaded.ticket = state.map(Arc::new);
        self.remember(id, loaded.clone());
        Ok(loaded)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, HashMap<TicketId, Loaded>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, id: TicketId, loaded: Loaded) {
        let mut cache = self.cache();
        if cache.len() >= CACHED_TICKETS {
            // Any will do: what is needed again is read again.
            let some: Vec<TicketId> = cache.keys().take(CACHED_TICKETS / 4).copied().collect();
            some.iter().for_each(|id| _ = cache.remove(id));
        }
        cache.insert(id, loaded);
    }

    fn forget(&self, id: &TicketId) {
        self.cache().remove(id);
    }

    /// Registers a customer.
    ///
    /// # Errors
    /// When it is refused or cannot be stored.
    pub async fn register_customer(
        &self,
        principal: &Principal,
        customer: NewCustomer,
        idempotency_key: Option<&str>,
    ) -> Result<(CustomerId, Arc<Views>, Position), EngineError> {
        if !can(principal, Action::Work, Resource::Desk) {
            return Err(EngineError::Forbidden);
        }
        let event = docket_core::customer::register(&customer.name, customer.email.as_deref(), customer.external)?;
        let (id, commit) = match idempotency_key {
            Some(key) => {
                let parts = [&*principal_key(principal), key];
                let start = Timestamp::from_millis(0);
                (CustomerId::derived(start, &parts), CommitId::derived(start, &parts))
            }
            None => (CustomerId::new(Ulid::generate()), CommitId::new(Ulid::generate())),
        };
        let stream = StreamId::Customer(id);
        let position = self.append(principal, commit, stream, Expected::NoStream, vec![event.into()]).await?;
        Ok((id, self.views_at(position, VIEW_WAIT).await?, position))
    }

    /// Makes a token and gives its secret, which is shown this once.
    ///
    /// # Errors
    /// When it is refused or cannot be stored.
    pub async fn issue_token(
        &self,
        principal: &Principal,
        role: Role,
        label: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<(TokenId, String, Position), EngineError> {
        if !can(principal, Action::Administer, Resource::Tokens) {
            return Err(EngineError::Forbidden);
        }
        let views = self.views();
        match &role {
            Role::Agent(agent) => {
                if views.desk().desk().agents.get(agent).is_none_or(|agent| agent.retired) {
                    return Err(Rejection::NotFound { what: "agent", key: agent.to_string() }.into());
                }
            }
            Role::Customer(customer) => {
                if views.people().customer(customer).is_none() {
                    return Err(Rejection::NotFound { what: "customer", key: customer.to_string() }.into());
                }
            }
            Role::Administrator | Role::Auditor => {}
        }
        let (secret, stored) = new_secret().map_err(|error| EngineError::Internal(error.to_string()))?;
        let id = TokenId::new(Ulid::generate());
        let event = docket_core::access::issue(id, stored, role, label, expires_at, self.now())?;
        let commit = CommitId::new(Ulid::generate());
        let position = self.append(principal, commit, StreamId::Access, Expected::Any, vec![event.into()]).await?;
        self.views_at(position, VIEW_WAIT).await?;
        Ok((id, secret, position))
    }

    /// Takes a token back. Taking it back again changes nothing.
    ///
    /// # Errors
    /// When there is none of this id, or it cannot be stored.
    pub async fn revoke_token(&self, principal: &Principal, id: TokenId) -> Result<Position, EngineError> {
        if !can(principal, Action::Administer, Resource::Tokens) {
            return Err(EngineError::Forbidden);
        }
        let views = self.views();
        let token = views.people().token(&id);
        let token = token.ok_or_else(|| Rejection::NotFound { what: "token", key: id.to_string() })?;
        if token.revoked {
            return Ok(views.position());
        }
        let event = AccessEvent::from(TokenRevoked { token: id });
        let commit = CommitId::new(Ulid::generate());
        let position = self.append(principal, commit, StreamId::Access, Expected::Any, vec![event.into()]).await?;
        self.views_at(position, VIEW_WAIT).await?;
        Ok(position)
    }

    /// Compares a desk file with the present desk and, unless it is a dry run, makes the desk so: one commit.
    ///
    /// # Errors
    /// When it cannot be stored, or somebody changed the desk meanwhile.
    pub async fn apply_desk(
        &self,
        principal: &Principal,
        mut config: DeskConfig,
        dry_run: bool,
    ) -> Result<Applied, EngineError> {
        if !can(principal, Action::Administer, Resource::Desk) {
            return Err(EngineError::Forbidden);
        }
        let version = self.log.read_stream(StreamId::Desk, Position::START)?.last().map(|commit| commit.position);
        let views = self.views_at(version.unwrap_or_default(), VIEW_WAIT).await?;
        let desk = views.desk().desk();
        config.number_policies();
        config.fill_from(desk);
        let problems = config.problems(desk);
        if !problems.is_empty() {
            return Ok(Applied::Problems(problems));
        }
        let changes = config.changes_from(desk);
        // It looks at every open ticket.
        let (all, supposed, now) = (Arc::clone(&views), changes.clone(), self.now());
        let effect = tokio::task::spawn_blocking(move || all.effect_of(&supposed, now)).await;
        let effect = effect.map_err(|error| EngineError::Internal(error.to_string()))?;
        if dry_run || changes.is_empty() {
            return Ok(Applied::Changes { changes, position: views.position(), effect });
        }
        let events = changes.iter().map(|change| change.event.clone().into()).collect();
        let expected = version.map_or(Expected::NoStream, Expected::At);
        let commit = CommitId::new(Ulid::generate());
        let position = self.append(principal, commit, StreamId::Desk, expected, events).await?;
        self.views_at(position, VIEW_WAIT).await?;
        Ok(Applied::Changes { changes, position, effect })
    }

    async fn append(
        &self,
        principal: &Principal,
        id: CommitId,
        stream: StreamId,
        expected: Expected,
        events: Vec<Event>,
    ) -> Result<Position, EngineError> {
        let now = self.now();
        let append = Append {
            id,
            stream,
            expected,
            events: events.into_iter().map(|event| DatedEvent { occurred_at: now, event }).collect(),
            recorded_at: now,
            actor: principal.actor(),
            cause: Cause::of(CauseKind::Request),
            correlation: CorrelationId::new(id.ulid()),
        };
        Ok(self.log.append(append).await?)
    }

    /// The history of a ticket, as this principal may see it: customers see neither notes nor what is internal.
    ///
    /// # Errors
    /// When there is no such ticket for the principal, or the log cannot be read.
    pub fn history(
        &self,
        principal: &Principal,
        id: TicketId,
        views: &Views,
    ) -> Result<Vec<Arc<docket_core::event::Commit>>, EngineError> {
        let not_found = || EngineError::from(Rejection::NotFound { what: "ticket", key: id.to_string() });
        let row = views.tickets().by_id(&id).ok_or_else(not_found)?;
        if !can(principal, Action::Read, Resource::Ticket { requester: row.requester }) {
            return Err(not_found());
        }
        let mut commits = self.log.read_stream(StreamId::Ticket(id), Position::START)?;
        // One query sees one moment.
        commits.retain(|commit| commit.position <= views.position());
        Ok(commits)
    }
}

/// What idempotency keys are kept apart by: two principals may use the same key.
fn principal_key(principal: &Principal) -> String {
    match &principal.token {
        Some(token) => token.to_string(),
        None => principal.label.clone(),
    }
}

/// True for events that customers may see.
pub fn is_public(event: &TicketEvent) -> bool {
    match event {
        TicketEvent::TicketOpened(_)
        | TicketEvent::MessageReceived(_)
        | TicketEvent::MessageSent(_)
        | TicketEvent::CallLogged(_)
        | TicketEvent::StatusChanged(_)
        | TicketEvent::Resolved(_)
        | TicketEvent::Closed(_)
        | TicketEvent::Reopened(_)
        | TicketEvent::SubjectChanged(_) => true,
        TicketEvent::NoteAdded(_)
        | TicketEvent::AgentAssigned(_)
        | TicketEvent::AgentUnassigned(_)
        | TicketEvent::TeamAssigned(_)
        | TicketEvent::TeamUnassigned(_)
        | TicketEvent::QueueChanged(_)
        | TicketEvent::ReturnedToQueue(_)
        | TicketEvent::PriorityChanged(_)
        | TicketEvent::CategoryChanged(_)
        | TicketEvent::RequesterChanged(_)
        | TicketEvent::TagAdded(_)
        | TicketEvent::TagRemoved(_)
        | TicketEvent::FieldChanged(_)
        | TicketEvent::FollowerAdded(_)
        | TicketEvent::FollowerRemoved(_)
        | TicketEvent::Escalated(_)
        | TicketEvent::SlaApplied(_)
        | TicketEvent::SlaWarned(_)
        | TicketEvent::SlaBreached(_) => false,
    }
}
