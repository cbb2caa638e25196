//! Working on tickets: all commands of a request in one commit, or none.

use std::sync::{Arc, PoisonError};

use docket_core::{
    event::{Cause, CauseKind, Commit, DatedEvent, Event},
    ids::{CommitId, CorrelationId, CustomerId, Position, StreamId, TicketId},
    rejection::Rejection,
    ticket::{Context, Directory, Opening, Right, Standing, Ticket, TicketCommand, TimerCommand, decide},
    time::Timestamp,
};
use docket_projections::Views;
use docket_store::{Append, AppendError, ContentStore, Expected, Guard};
use ulid::Ulid;

use super::{
    Acting, Action, CACHED_TICKETS, Engine, EngineError, IdempotencyKey, Loaded, Principal, RETRY_FOR, Request,
    Resource, Stored, VIEW_WAIT,
    keys::{answer_of, commit_at, commit_id},
    must,
};

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

/// What decisions look up besides the desk.
#[derive(Debug)]
struct Present<'a> {
    views: &'a Views,
    content: &'a ContentStore,
}

impl Directory for Present<'_> {
    fn customer(&self, id: CustomerId) -> Standing {
        if self.views.people().customer(&id).is_some() { Standing::Present } else { Standing::Missing }
    }

    fn content(&self, sha256: &str) -> Standing {
        if self.content.contains(sha256) { Standing::Present } else { Standing::Missing }
    }
}

/// Judges the rights to all commands of a request, by the ticket and the desk that the decision sees: the append is refused if
/// either has moved since, so that nobody acts by a right that was taken away.
fn permitted(
    acting: &Acting,
    id: TicketId,
    commands: &[TicketCommand],
    views: &Views,
    ticket: Option<&Ticket>,
) -> Result<(), EngineError> {
    let Some(bearer) = &acting.bearer else { return Ok(()) };
    let resource = match (ticket, commands.first()) {
        (Some(ticket), _) => Resource::Ticket { requester: ticket.requester, queue: &ticket.queue },
        (None, Some(TicketCommand::Open(Opening { requester, queue, .. }))) => {
            let queue = queue.as_ref().or_else(|| views.desk().desk().default_queue());
            let queue = queue.ok_or_else(|| Rejection::not_found("queue", "default"))?;
            Resource::Ticket { requester: *requester, queue }
        }
        (None, _) => return Err(Rejection::not_found("ticket", id.to_string()).into()),
    };
    let opens = ticket.is_none();
    if !opens && !bearer.rights(views).can(Action::Read, resource) {
        // It was theirs when they looked.
        return Err(Rejection::not_found("ticket", id.to_string()).into());
    }
    commands.iter().try_for_each(|command| {
        let action = match command.right() {
            Right::Ask => Action::Ask,
            Right::Note => Action::Note,
            Right::Work => Action::Work,
        };
        must(bearer, views, action, resource)
    })
}

impl Engine {
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
        if !matches!(opening, TicketCommand::Open(_)) {
            return Err(EngineError::Internal("a ticket starts with its opening".into()));
        }
        let all = std::iter::once(opening).chain(commands).collect();
        // A repeated request finds the ticket of the first one through its commit.
        self.execute(&principal.into(), TicketId::new(Ulid::generate()), all, request, None).await
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
        let not_found = || EngineError::from(Rejection::not_found("ticket", id.to_string()));
        let row = views.tickets().by_id(&id).ok_or_else(not_found)?;
        if !principal.may(&views, Action::Read, row) {
            // Not yours and not there are the same to you, and take the same time.
            return Err(not_found());
        }
        self.execute(&principal.into(), id, commands, request, None).await
    }

    /// Load, decide, append; again after a conflict when every command means the same whatever else happened. `commit` is an id
    /// that was derived: of a further commit of a keyed request, or of a reactor's item; otherwise the key says it.
    pub(super) async fn execute(
        &self,
        acting: &Acting,
        ticket: TicketId,
        commands: Vec<TicketCommand>,
        request: Request,
        commit: Option<CommitId>,
    ) -> Result<Done, EngineError> {
        let (stream, key) = (StreamId::Ticket(ticket), request.idempotency_key.as_ref());
        if commit.is_none()
            && let Some(earlier) = self.first_answer(acting, key).await?
        {
            return self.done(Stored::earlier(earlier)).await;
        }
        let id = commit.unwrap_or_else(|| commit_id(acting, key));
        let commutes = request.expected.is_none() && commands.iter().all(TicketCommand::commutes);
        let give_up_at = tokio::time::Instant::now() + RETRY_FOR;
        let (mut at_least, mut wanted) = (Position::START, request.expected);
        loop {
            let (views, loaded) = self.load(ticket, at_least).await?;
            permitted(acting, ticket, &commands, &views, loaded.ticket.as_deref())?;
            if let Some(expected) = wanted
                && expected != loaded.version
            {
                return Err(EngineError::Conflict { stream, actual: loaded.version });
            }
            // Instants of a stream never fall behind. Where the clock was set back, time stands still until it has caught
            // up; what the clock said is kept beside them.
            let recorded_at = self.now();
            let now = recorded_at.max(loaded.latest);
            if let Some(due) = passed_deadline(&commands, &loaded, &views, now) {
                // What has come due is on record before anything ends its clock, and is no reason to refuse whoever saw the
                // ticket before it.
                let said = self.say_due(ticket, due).await?;
                if said > loaded.version {
                    at_least = said;
                    wanted = wanted.map(|_| said);
                    continue;
                }
            }
            let at = request.occurred_at.map_or(now, |at| at.max(loaded.latest));
            let (state, events) = self.decided(acting, &commands, &views, &loaded, at, now)?;
            if events.is_empty() {
                let stored = self.keep_answer(acting, key.filter(|_| commit.is_none()), stream, loaded.version).await?;
                return self.done(stored).await;
            }
            let correlation = CorrelationId::new(Ulid::generate());
            let append = Append {
                id,
                stream,
                expected: standing_at(loaded.version),
                guards: vec![Guard { stream: StreamId::Desk, expected: standing_at(views.desk().version()) }],
                events,
                recorded_at,
                actor: acting.actor.clone(),
                cause: request.cause.clone(),
                correlation,
                token: acting.token,
                request: key.map(IdempotencyKey::fingerprint),
            };
            match self.log.append(append).await {
                Ok(position) => {
                    let stored = self.settled(key, stream, position, correlation).await?;
                    if stored.earlier.is_none() {
                        self.remember(ticket, Loaded { version: position, ticket: state.map(Arc::new), latest: at });
                    }
                    return self.done(stored).await;
                }
                // The desk was changed since it was looked at: what the command names may have been retired. Nobody asked for
                // this desk or that one, so it is decided again whatever the command is.
                Err(AppendError::Conflict { stream: StreamId::Desk, actual, .. })
                    if tokio::time::Instant::now() < give_up_at =>
                {
                    self.views_at(actual, VIEW_WAIT).await?;
                }
                // What is kept of the ticket is behind; loading reads what came since.
                Err(AppendError::Conflict { actual, .. }) if commutes && tokio::time::Instant::now() < give_up_at => {
                    at_least = actual;
                }
                Err(error) => {
                    self.forget(&ticket);
                    return Err(error.into());
                }
            }
        }
    }

    /// Writes down what has come due, as the timer would; gives the ticket's version after it.
    async fn say_due(
        &self,
        ticket: TicketId,
        (due_at, command): (Timestamp, TimerCommand),
    ) -> Result<Position, EngineError> {
        let cause = Cause::of(CauseKind::Timer);
        let request = Request { cause, occurred_at: Some(due_at), ..Request::default() };
        let timer = vec![TicketCommand::Timer(command)];
        // A timer's own decision looks for no other one.
        let said = Box::pin(self.execute(&Acting::system(), ticket, timer, request, None)).await?;
        Ok(said.position)
    }

    /// What the commands lead to, and the ticket after it.
    fn decided(
        &self,
        acting: &Acting,
        commands: &[TicketCommand],
        views: &Views,
        loaded: &Loaded,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<(Option<Ticket>, Vec<DatedEvent>), EngineError> {
        let desk = views.desk().desk();
        let directory = Present { views, content: &self.content };
        let context = Context { at, now, actor: &acting.actor, desk, directory: &directory };
        let mut state = loaded.ticket.as_deref().cloned();
        let mut events = Vec::new();
        for (n, command) in commands.iter().enumerate() {
            let refused = |rejection| EngineError::Rejected { rejection, command: n };
            for event in decide(state.as_ref(), command, &context).map_err(refused)? {
                state = Ticket::evolve(state, &event, at, desk);
                events.push(DatedEvent::new(at, event));
            }
        }
        Ok((state, events))
    }

    async fn done(&self, stored: Stored) -> Result<Done, EngineError> {
        let StreamId::Ticket(ticket) = stored.stream else {
            return Err(EngineError::Internal(format!("{} answers a command of a ticket", stored.stream)));
        };
        let views = self.views_at(stored.position, VIEW_WAIT).await?;
        Ok(Done { ticket, position: stored.position, views })
    }

    /// What the log made of an append that it answered with this position: ours, or that of an equal request which was
    /// faster.
    ///
    /// # Errors
    /// When the key was used for another request meanwhile.
    pub(super) async fn settled(
        &self,
        key: Option<&IdempotencyKey>,
        stream: StreamId,
        position: Position,
        correlation: CorrelationId,
    ) -> Result<Stored, EngineError> {
        let Some(key) = key else { return Ok(Stored::new_at(stream, position)) };
        let log = Arc::clone(&self.log);
        let commit = self.beside(move || commit_at(&*log, position)).await?;
        if commit.correlation == correlation {
            Ok(Stored::new_at(stream, position))
        } else if commit.request == Some(key.fingerprint()) {
            Ok(Stored::earlier(commit))
        } else {
            Err(EngineError::KeyReused { position: answer_of(&commit).1 })
        }
    }

    /// The ticket as its stream makes it, at least at a version, and views that know every desk that it was folded with. The
    /// log is read only when what is kept may be behind.
    pub(super) async fn load(&self, id: TicketId, at_least: Position) -> Result<(Arc<Views>, Loaded), EngineError> {
        let views = self.views();
        let shown = views.tickets().by_id(&id).map_or(Position::START, |row| row.version);
        let kept = self.cache().get(&id).cloned().unwrap_or_default();
        if kept.version >= shown.max(at_least) {
            // It may be ahead of the views of this moment; its desk must not be. Most often it is not, and then nothing is
            // waited for: commands that are begun in order stand in the log in order.
            let known = views.position() >= kept.version;
            let views = if known { views } else { self.views_at(kept.version, VIEW_WAIT).await? };
            return Ok((views, kept));
        }
        let (log, after) = (Arc::clone(&self.log), kept.version);
        let commits = self.beside(move || Ok(log.read_stream(StreamId::Ticket(id), after)?)).await;
        let commits = commits.map_err(|error| {
            if let EngineError::Read(error) = &error {
                EngineError::Ticket { ticket: id, reason: super::error::chain(error) }
            } else {
                error
            }
        })?;
        self.folded(id, kept, &commits).await
    }

    /// What is kept of a ticket, brought forward by its later commits.
    async fn folded(
        &self,
        id: TicketId,
        kept: Loaded,
        commits: &[Arc<Commit>],
    ) -> Result<(Arc<Views>, Loaded), EngineError> {
        let version = commits.last().map_or(kept.version, |commit| commit.position);
        // Policies and calendars are pinned by the position that defined them, so views that have come as far as the
        // commits know all that they name; older ones would leave clocks out.
        let views = self.views_at(version, VIEW_WAIT).await?;
        let state = kept.ticket.as_deref().cloned();
        let ticket = fold(state, commits, &views).map_err(|reason| EngineError::Ticket { ticket: id, reason })?;
        let latest = commits.iter().flat_map(|commit| &commit.events).map(|event| event.occurred_at);
        let latest = latest.fold(kept.latest, Timestamp::max);
        let loaded = Loaded { version, ticket: ticket.map(Arc::new), latest };
        self.remember(id, loaded.clone());
        Ok((views, loaded))
    }

    /// Keeps these tickets, read together: commands that follow find them without waiting, and so stand in the log in the
    /// order in which they are begun, and whoever asks for what is in them waits once. What cannot be read here is told to
    /// whoever works on it.
    ///
    /// # Errors
    /// When the views do not come as far as the log.
    pub async fn preload(&self, tickets: &[TicketId]) -> Result<(), EngineError> {
        let views = self.views();
        let behind = |id: &TicketId| {
            let shown = views.tickets().by_id(id).map_or(Position::START, |row| row.version);
            let kept = self.cache().get(id).cloned().unwrap_or_default();
            (kept.version < shown).then_some((*id, kept))
        };
        let behind: Vec<(TicketId, Loaded)> = tickets.iter().filter_map(behind).collect();
        if behind.is_empty() {
            return Ok(());
        }
        let log = Arc::clone(&self.log);
        let read = self.beside(move || {
            let read = |(id, kept): (TicketId, Loaded)| {
                let commits = log.read_stream(StreamId::Ticket(id), kept.version).ok()?;
                Some((id, kept, commits))
            };
            Ok(behind.into_iter().filter_map(read).collect::<Vec<_>>())
        });
        for (id, kept, commits) in read.await? {
            match self.folded(id, kept, &commits).await {
                Ok(_) | Err(EngineError::Ticket { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What is kept of a ticket, and the version that it was folded to.
    pub fn kept(&self, id: TicketId) -> Option<(Position, Option<Arc<Ticket>>)> {
        self.cache().get(&id).map(|loaded| (loaded.version, loaded.ticket.clone()))
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<TicketId, Loaded>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, id: TicketId, loaded: Loaded) {
        let mut cache = self.cache();
        if cache.get(&id).is_some_and(|kept| kept.version > loaded.version) {
            return;
        }
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

    /// Appends events of now, for requests that are not about a ticket; not before what stands in the stream.
    pub(super) async fn append(
        &self,
        acting: &Acting,
        key: Option<&IdempotencyKey>,
        stream: StreamId,
        expected: Expected,
        events: Vec<Event>,
    ) -> Result<Stored, EngineError> {
        let correlation = CorrelationId::new(Ulid::generate());
        let give_up_at = tokio::time::Instant::now() + RETRY_FOR;
        loop {
            let log = Arc::clone(&self.log);
            let last = self.beside(move || Ok(log.read_last(stream)?)).await?;
            let recorded_at = self.now();
            let instants = last.iter().flat_map(|commit| &commit.events).map(|event| event.occurred_at);
            let at = instants.fold(recorded_at, Timestamp::max);
            // Whoever does not care what stands there cares that nothing later does.
            let as_seen = match (expected, &last) {
                (Expected::Any, Some(last)) => Expected::At(last.position),
                (Expected::Any, None) => Expected::NoStream,
                (Expected::At(_) | Expected::NoStream, _) => expected,
            };
            let append = Append {
                id: commit_id(acting, key),
                stream,
                expected: as_seen,
                guards: Vec::new(),
                events: events.iter().map(|event| DatedEvent { occurred_at: at, event: event.clone() }).collect(),
                recorded_at,
                actor: acting.actor.clone(),
                cause: Cause::of(CauseKind::Request),
                correlation,
                token: acting.token,
                request: key.map(IdempotencyKey::fingerprint),
            };
            match self.log.append(append).await {
                Ok(position) => return self.settled(key, stream, position, correlation).await,
                Err(AppendError::Conflict { .. })
                    if expected == Expected::Any && tokio::time::Instant::now() < give_up_at => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Stored {
    /// By this request.
    pub(super) const fn new_at(stream: StreamId, position: Position) -> Self {
        Self { stream, position, earlier: None }
    }

    /// By an earlier one.
    pub(super) fn earlier(commit: Arc<Commit>) -> Self {
        let (stream, position) = answer_of(&commit);
        Self { stream, position, earlier: Some(commit) }
    }
}

/// The belief that a stream's latest commit is this one.
fn standing_at(version: Position) -> Expected {
    if version.is_start() { Expected::NoStream } else { Expected::At(version) }
}

/// What is to be said first of deadlines that have passed and are not on record, when somebody else than a timer is about to
/// act: the earliest warning or breach.
fn passed_deadline(
    commands: &[TicketCommand],
    loaded: &Loaded,
    views: &Views,
    now: Timestamp,
) -> Option<(Timestamp, TimerCommand)> {
    let clocks = &loaded.ticket.as_ref()?.clocks;
    if clocks.next_due().is_none_or(|due| due >= now) || matches!(commands, [TicketCommand::Timer(_)]) {
        return None;
    }
    let timers = clocks.timers(views.desk().desk()).into_iter();
    // A warning that comes after its breach would not be one: whoever is faster than the timers says both.
    let said = |timer: &TimerCommand| matches!(timer, TimerCommand::Warn { .. } | TimerCommand::Breach { .. });
    timers.filter(|(at, timer)| *at < now && said(timer)).min()
}

/// The fold of a ticket's commits; why they cannot be folded, when they hold what this program does not know: deciding
/// without knowing what happened would be guessing.
fn fold(mut state: Option<Ticket>, commits: &[Arc<Commit>], views: &Views) -> Result<Option<Ticket>, String> {
    for commit in commits {
        for event in &commit.events {
            match &event.event {
                Event::Ticket(ticket_event) => {
                    state = Ticket::evolve(state, ticket_event, event.occurred_at, views.desk().desk());
                }
                Event::Unknown { type_name, version } => {
                    return Err(format!(
                        "it holds an event of the unknown type {type_name} {version}: use a newer docket"
                    ));
                }
                Event::Customer(_) | Event::Desk(_) | Event::Access(_) | Event::Request(_) => {}
            }
        }
    }
    Ok(state)
}
