//! The desk: comparing a desk file with what is there, making it so in one commit, and letting go of what leaves.

use std::{collections::BTreeMap, sync::Arc};

use docket_core::{
    desk::{Change, Desk, DeskConfig, DeskEvent, DeskProblem, Leaving, LeavingKind},
    event::{Cause, CauseKind, Commit, Event, EventAddress},
    ids::{AgentKey, CategoryKey, Key, Position, QueueKey, StatusKey, StreamId, TeamKey, TicketId},
    ticket::{StatusWish, TicketCommand},
    time::Timestamp,
};
use docket_projections::{Departure, Reapplication, Views};
use docket_store::Expected;
use futures_util::{StreamExt, stream};

use super::{
    Acting, Action, Engine, EngineError, IdempotencyKey, Principal, Request, Resource, TOGETHER, VIEW_WAIT,
    keys::{commit_id, further_id},
    must,
};

/// A desk file that cannot be, or what applying it did.
#[derive(Debug)]
pub enum Applied {
    /// It has problems; nothing was changed.
    Problems(Vec<DeskProblem>),
    /// It was compared, and unless it was a dry run, applied.
    Changes {
        /// The differences.
        changes: Vec<Change>,
        /// What hangs on the parts that leave.
        departures: Vec<Departure>,
        /// Unfinished tickets that were, or would be, moved as the file says.
        moved: u64,
        /// Those that could not be moved and are as they were.
        not_moved: Vec<NotMoved>,
        /// Position of what was stored, else of the views.
        position: Position,
        /// What it would do to open tickets to apply policies anew after it; none when a request is repeated, as the answer
        /// was about the moment of the first one.
        effect: Option<Box<Reapplication>>,
    },
}

/// A ticket that stayed where it is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct NotMoved {
    /// Its number.
    pub number: u32,
    /// Why.
    pub why: String,
}

/// A ticket that others work on meanwhile is decided anew so often.
const CONFLICTS: u32 = 5;

impl Engine {
    /// Compares a desk file with the present desk and, unless it is a dry run, makes the desk so: one commit. Tickets that
    /// the file moves follow, each in a commit of its own; a run that was interrupted is run again.
    ///
    /// A dry run stores nothing, so a key is not bound to it.
    ///
    /// # Errors
    /// When it cannot be stored, or somebody changed the desk meanwhile.
    pub async fn apply_desk(
        &self,
        principal: &Principal,
        config: DeskConfig,
        dry_run: bool,
        key: Option<IdempotencyKey>,
    ) -> Result<Applied, EngineError> {
        must(principal, &self.views(), Action::Administer, Resource::Desk)?;
        let (acting, key) = (Acting::from(principal), key.filter(|_| !dry_run));
        if let Some(earlier) = self.first_answer(&acting, key.as_ref()).await? {
            return self.applied_before(&acting, &config, key, &earlier).await;
        }
        let history = self.desk_history().await?;
        let version = history.last().map(|commit| commit.position);
        let views = self.views_at(version.unwrap_or_default(), VIEW_WAIT).await?;
        // It looks at every open ticket.
        let (all, now, leaving) = (Arc::clone(&views), self.now(), config.leaving.clone());
        let compared = self.in_turn(move |_| Ok(compare_desk(&all, config, now))).await?;
        let (changes, departures, effect) = match compared {
            Applied::Changes { changes, departures, effect, .. } if !dry_run => (changes, departures, effect),
            compared @ (Applied::Problems(_) | Applied::Changes { .. }) => return Ok(compared),
        };
        let to_move = moves(&leaving, &views);
        let stored = if changes.is_empty() {
            self.keep_answer(&acting, key.as_ref(), StreamId::Desk, views.position()).await?
        } else {
            let events = changes.iter().map(|change| change.event.clone().into()).collect();
            let expected = version.map_or(Expected::NoStream, Expected::At);
            self.append(&acting, key.as_ref(), StreamId::Desk, expected, events).await?
        };
        self.views_at(stored.position, VIEW_WAIT).await?;
        let (moved, not_moved, last) = self.move_tickets(&acting, to_move, key, stored.position).await?;
        Ok(Applied::Changes { changes, departures, moved, not_moved, position: last, effect })
    }

    /// The answer to a repeated request: what its commit changed. Tickets that an interruption left are moved.
    async fn applied_before(
        &self,
        acting: &Acting,
        config: &DeskConfig,
        key: Option<IdempotencyKey>,
        earlier: &Arc<Commit>,
    ) -> Result<Applied, EngineError> {
        let mut before = Desk::default();
        for commit in self.desk_history().await?.iter().take_while(|commit| commit.position < earlier.position) {
            desk_events(commit).for_each(|event| before.evolve(event, commit.position));
        }
        let changes = Change::of_events(&before, desk_events(earlier));
        let views = self.views_at(earlier.position, VIEW_WAIT).await?;
        let (moved, not_moved, _) =
            self.move_tickets(acting, moves(&config.leaving, &views), key, earlier.position).await?;
        let position = super::Stored::earlier(Arc::clone(earlier)).position;
        Ok(Applied::Changes { changes, departures: vec![], moved, not_moved, position, effect: None })
    }

    async fn desk_history(&self) -> Result<Vec<Arc<Commit>>, EngineError> {
        let log = Arc::clone(&self.log);
        self.beside(move || Ok(log.read_stream(StreamId::Desk, Position::START)?)).await
    }

    /// Moves tickets as commands like any other. A ticket that changed meanwhile is decided anew; what a rule refuses, or cannot
    /// be read, stays where it is and is told.
    async fn move_tickets(
        &self,
        acting: &Acting,
        moves: Vec<(TicketId, Vec<TicketCommand>)>,
        key: Option<IdempotencyKey>,
        because: Position,
    ) -> Result<(u64, Vec<NotMoved>, Position), EngineError> {
        let cause = Cause { kind: CauseKind::Request, event: Some(EventAddress { position: because, index: 0 }) };
        let first = commit_id(acting, key.as_ref());
        let one = |(ticket, commands): (TicketId, Vec<TicketCommand>)| {
            let further = key.as_ref().map(|_| further_id(first, &ticket.to_string()));
            let request = Request { cause: cause.clone(), idempotency_key: key.clone(), ..Request::default() };
            async move {
                let mut tries = 0;
                loop {
                    let done = self.execute(acting, ticket, commands.clone(), request.clone(), further).await;
                    tries += 1;
                    if tries == CONFLICTS || !matches!(done, Err(EngineError::Conflict { .. })) {
                        return (ticket, done);
                    }
                }
            }
        };
        let mut commands = stream::iter(moves.into_iter().map(one)).buffered(TOGETHER);
        let (mut moved, mut not_moved, mut position) = (0, Vec::new(), because);
        while let Some((ticket, done)) = commands.next().await {
            let why = match done {
                Ok(done) => {
                    moved += 1;
                    position = position.max(done.position);
                    continue;
                }
                // About this ticket alone, which is sound: its timers go on.
                Err(error @ (EngineError::Rejected { .. } | EngineError::Conflict { .. })) => error.to_string(),
                Err(error) => {
                    let why = super::chain(&error);
                    self.or_aside::<super::Done>(ticket, Err(error))?;
                    why
                }
            };
            let number = self.views().tickets().by_id(&ticket).map_or(0, |row| row.number);
            tracing::warn!(number, why, "a ticket was not moved");
            not_moved.push(NotMoved { number, why });
        }
        Ok((moved, not_moved, position))
    }
}

/// What a desk file would do to the desk of these views: a dry run, for which nothing but the views is needed.
pub fn compare_desk(views: &Views, mut config: DeskConfig, now: Timestamp) -> Applied {
    let desk = views.desk().desk();
    config.number_policies();
    config.fill_from(desk);
    let problems = config.problems(desk);
    if !problems.is_empty() {
        return Applied::Problems(problems);
    }
    let changes = config.changes_from(desk);
    Applied::Changes {
        departures: views.departures(&changes),
        moved: moves(&config.leaving, views).len() as u64,
        not_moved: vec![],
        position: views.position(),
        effect: Some(Box::new(views.effect_of(&changes, now))),
        changes,
    }
}

fn desk_events(commit: &Commit) -> impl Iterator<Item = &DeskEvent> {
    commit.events.iter().filter_map(|event| match &event.event {
        Event::Desk(event) => Some(&**event),
        Event::Ticket(_) | Event::Customer(_) | Event::Access(_) | Event::Request(_) | Event::Unknown { .. } => None,
    })
}

/// The unfinished tickets of parts that leave, each with the commands that move it: several parts may meet in one ticket,
/// which is moved once.
fn moves(leaving: &[Leaving], views: &Views) -> Vec<(TicketId, Vec<TicketCommand>)> {
    let mut moves: BTreeMap<TicketId, Vec<TicketCommand>> = BTreeMap::new();
    for Leaving { kind, key, move_to } in leaving {
        let Some(command) = moving(*kind, move_to.clone()) else { continue };
        for ticket in views.tickets_of(*kind, key.as_str()) {
            moves.entry(ticket).or_default().push(command.clone());
        }
    }
    for commands in moves.values_mut() {
        // A status may finish the ticket, after which nothing else could be moved.
        commands.sort_by_key(|command| matches!(command, TicketCommand::SetStatus(_)));
    }
    moves.into_iter().collect()
}

fn moving(kind: LeavingKind, to: Option<Key>) -> Option<TicketCommand> {
    Some(match kind {
        LeavingKind::Queue => TicketCommand::Transfer(QueueKey::from(to?)),
        LeavingKind::Status => TicketCommand::SetStatus(StatusWish::Key(StatusKey::from(to?))),
        LeavingKind::Agent => TicketCommand::AssignAgent(to.map(AgentKey::from)),
        LeavingKind::Team => TicketCommand::AssignTeam(to.map(TeamKey::from)),
        LeavingKind::Category => TicketCommand::SetCategory(to.map(CategoryKey::from)),
    })
}
