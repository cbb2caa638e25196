//! What can be watched. Every event carries its position; given back as `after`, it resumes there: each commit once, in
//! order, nothing left out.

use std::{collections::VecDeque, sync::Arc};

use async_graphql::{Context, Error, ID, SimpleObject, Subscription as Subscriptions};
use docket_core::ids::{Position, QueueKey, StreamId, TicketId};
use docket_store::{EventLog, Follower, ReadError};
use futures_util::Stream;

use super::{
    Session,
    desk::{Queue, QueueCounters},
    error::{bad_input, code, coded, internal},
    log::Commit,
    relay::local_id,
    scalars::BigInt,
    ticket::Ticket,
    timeline::{TimelineEntry, entries},
};
use crate::engine::{Action, Resource, Turn};

/// A commit, and the turn in which the answer about it is made.
type Next = (Arc<docket_core::event::Commit>, Turn);

/// Something happened to a ticket.
#[derive(SimpleObject)]
pub struct TicketUpdate {
    /// Position of the commit: resume after it.
    pub position: BigInt,
    /// The ticket, as it is now.
    pub ticket: Ticket,
    /// What happened, as far as you may see it; never empty.
    pub entries: Vec<TimelineEntry>,
    /// Held until the answer is made.
    #[graphql(skip)]
    _turn: Turn,
}

/// A queue's counters changed.
#[derive(SimpleObject)]
pub struct QueueUpdate {
    /// The moment of the counters.
    pub position: BigInt,
    /// The queue.
    pub queue: Queue,
    /// What it holds.
    pub counters: QueueCounters,
}

/// A commit was stored.
#[derive(SimpleObject)]
pub struct LogUpdate {
    /// Its position: resume after it.
    pub position: BigInt,
    /// The commit.
    pub commit: Commit,
    /// Held until the answer is made.
    #[graphql(skip)]
    _turn: Turn,
}

/// The subscriptions.
pub struct Subscription;

#[Subscriptions]
/// What can be watched. Positions make a subscription go on where another ended: nothing is left out, and nothing told twice.
impl Subscription {
    /// What happens to a ticket, from after a position; from now on when there is none.
    async fn ticket_updated(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Start after this position.")] after: Option<BigInt>,
    ) -> Result<impl Stream<Item = Result<TicketUpdate, Error>> + use<>, Error> {
        let session = Session::of(context)?.clone();
        let unknown = || bad_input("there is no ticket with this id");
        let ticket = local_id::<TicketId>("ticket", &id).ok_or_else(unknown)?;
        Ticket::seen(&session, ticket).ok_or_else(unknown)?;
        let feed = TicketFeed::new(&session, ticket, after)?;
        Ok(futures_util::stream::unfold(feed, move |mut feed| async move {
            loop {
                let (commit, turn) = match feed.next().await? {
                    Ok(next) => next,
                    Err(error) => return Some((Err(error), feed.finish())),
                };
                let now = feed.session.clone();
                // The right may be gone since the last event.
                let Some(ticket) = Ticket::seen(&now, ticket) else {
                    return Some((Err(forbidden()), feed.finish()));
                };
                let entries: Vec<_> =
                    entries(&now, std::slice::from_ref(&commit)).into_iter().map(|(_, entry)| entry).collect();
                if !entries.is_empty() {
                    let position = commit.position.into();
                    return Some((Ok(TicketUpdate { position, ticket, entries, _turn: turn }), feed));
                }
            }
        }))
    }

    /// A queue's counters: at once, and then whenever they change. For whoever may read the tickets of the queue.
    async fn queue_updated(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the queue.")] id: ID,
    ) -> Result<impl Stream<Item = Result<QueueUpdate, Error>> + use<>, Error> {
        let session = Session::of(context)?.clone();
        session.need(Action::Read, Resource::Figures)?;
        let unknown = || bad_input("there is no queue with this id");
        let key = local_id::<QueueKey>("queue", &id).ok_or_else(unknown)?;
        if !session.views.desk().desk().queues.contains_key(&key) {
            return Err(unknown());
        }
        session.need(Action::Read, Resource::Counters(&key))?;
        let moved = session.engine.live_views().watch();
        let stopping = session.engine.stopping();
        let state = (session, moved, stopping, None::<QueueCounters>, false);
        Ok(futures_util::stream::unfold(state, move |(session, mut moved, mut stopping, shown, ended)| {
            let key = key.clone();
            async move {
                if ended {
                    return None;
                }
                loop {
                    if !session.engine.still_valid(&session.principal) {
                        return Some((Err(forbidden()), (session, moved, stopping, shown, true)));
                    }
                    moved.borrow_and_update();
                    let views = session.engine.views();
                    // The right may be gone since the last event.
                    if !session.at(&views).can(Action::Read, Resource::Counters(&key)) {
                        return Some((Err(forbidden()), (session, moved, stopping, shown, true)));
                    }
                    let counters = QueueCounters::of(&views, &key, session.engine.now());
                    if shown.as_ref() != Some(&counters) {
                        let Some(queue) = Queue::seen(&session.at(&views), &key) else {
                            return Some((Err(forbidden()), (session, moved, stopping, shown, true)));
                        };
                        let update =
                            QueueUpdate { position: views.position().into(), queue, counters: counters.clone() };
                        return Some((Ok(update), (session, moved, stopping, Some(counters), false)));
                    }
                    // What is shown is old once the views have stopped: that is no ordinary end.
                    if let Some(error) = stopped(&session) {
                        return Some((Err(error), (session, moved, stopping, shown, true)));
                    }
                    tokio::select! {
                        changed = moved.changed() => if changed.is_err() {
                            return Some((Err(internal()), (session, moved, stopping, shown, true)));
                        },
                        _ = stopping.changed() => return None,
                    }
                }
            }
        }))
    }

    /// The log, from after a position; from now on when there is none. For administrators and auditors.
    async fn log_appended(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Start after this position; 0 starts at the beginning.")] after: Option<BigInt>,
    ) -> Result<impl Stream<Item = Result<LogUpdate, Error>> + use<>, Error> {
        let session = Session::of(context)?.clone();
        session.need(Action::Read, Resource::Log)?;
        let feed = Feed::new(&session, after)?;
        Ok(futures_util::stream::unfold(feed, |mut feed| async move {
            Some(match feed.next().await? {
                Ok((commit, turn)) => {
                    let position = commit.position.into();
                    (Ok(LogUpdate { position, commit: Commit { commit }, _turn: turn }), feed)
                }
                Err(error) => (Err(error), feed.finish()),
            })
        }))
    }
}

/// Why nothing more can be shown, when the views have stopped.
fn stopped(session: &Session) -> Option<Error> {
    let reason = session.engine.live_views().stopped()?;
    tracing::error!(reason, "a subscription ends: the views have stopped");
    let message = "the server's views have stopped, what they show is old: resume from your last position later";
    Some(coded(code::UNAVAILABLE, message.into()))
}

fn forbidden() -> Error {
    coded(code::FORBIDDEN, "you may not watch this any more".into())
}

/// The commits of the log one by one, each shown once the views show it too, for as long as the token holds.
struct Feed {
    session: Session,
    /// Away while a thread beside reads with it.
    follower: Option<Follower>,
    waiting: VecDeque<Arc<docket_core::event::Commit>>,
    stopping: tokio::sync::watch::Receiver<bool>,
    finished: bool,
}

impl Feed {
    fn new(session: &Session, after: Option<BigInt>) -> Result<Self, Error> {
        let after = after.map_or_else(|| session.engine.views().position(), Position::from);
        Ok(Self {
            follower: Some(session.engine.follow(after).map_err(|error| bad_input(error.to_string()))?),
            stopping: session.engine.stopping(),
            session: session.clone(),
            waiting: VecDeque::new(),
            finished: false,
        })
    }

    /// Nothing follows an error.
    fn finish(mut self) -> Self {
        self.finished = true;
        self
    }

    async fn next(&mut self) -> Option<Result<Next, Error>> {
        if self.finished {
            return None;
        }
        let mut turn = None;
        while self.waiting.is_empty() {
            let mut follower = self.follower.take()?;
            tokio::select! {
                more = follower.more() => if !more { return None },
                _ = self.stopping.changed() => return None,
            }
            turn = Some(self.session.engine.subscribers_turn().await);
            let read = self.session.engine.beside(move || {
                let commits = follower.ready()?;
                Ok((follower, commits))
            });
            match read.await {
                Ok((follower, commits)) => {
                    self.follower = Some(follower);
                    self.waiting.extend(commits.into_iter().flatten());
                }
                Err(error) => {
                    tracing::error!(error = crate::engine::chain(&error), "a subscription could not read the log");
                    return Some(Err(internal()));
                }
            }
        }
        let commit = self.waiting.pop_front()?;
        match self.session.engine.live_views().at_least(commit.position).await {
            Ok(views) => self.session.views = views,
            Err(_) => return stopped(&self.session).map(Err),
        }
        if !self.session.engine.still_valid(&self.session.principal) {
            return Some(Err(forbidden()));
        }
        let turn = match turn {
            Some(turn) => turn,
            None => self.session.engine.subscribers_turn().await,
        };
        Some(Ok((commit, turn)))
    }
}

/// The commits of one ticket, each shown once the views show it, for as long as the token holds. It reads the ticket's own
/// stream, and waits for its row to move: what happens to others costs nothing but the look.
struct TicketFeed {
    session: Session,
    ticket: TicketId,
    /// The stream is known up to here.
    after: Position,
    /// Positions of the commits that come next.
    ahead: VecDeque<Position>,
    moved: tokio::sync::watch::Receiver<Position>,
    stopping: tokio::sync::watch::Receiver<bool>,
    finished: bool,
}

impl TicketFeed {
    /// Positions that are kept at most; those behind are asked for again.
    const AHEAD: usize = 1024;

    fn new(session: &Session, ticket: TicketId, after: Option<BigInt>) -> Result<Self, Error> {
        let after = after.map_or_else(|| session.engine.views().position(), Position::from);
        session.engine.log().head().has(after).map_err(|error| bad_input(error.to_string()))?;
        Ok(Self {
            moved: session.engine.live_views().watch(),
            stopping: session.engine.stopping(),
            session: session.clone(),
            ticket,
            after,
            ahead: VecDeque::new(),
            finished: false,
        })
    }

    /// Nothing follows an error.
    fn finish(mut self) -> Self {
        self.finished = true;
        self
    }

    async fn next(&mut self) -> Option<Result<Next, Error>> {
        if self.finished {
            return None;
        }
        loop {
            self.moved.borrow_and_update();
            // Whoever waits holds no old views: they would keep alive all that has changed since.
            self.session.views = self.session.engine.views();
            if let Some(position) = self.ahead.front().copied() {
                if !self.session.engine.still_valid(&self.session.principal) {
                    return Some(Err(forbidden()));
                }
                let turn = self.session.engine.subscribers_turn().await;
                let read = self.read(move |log, _| log.read_all(Position::new(position.get() - 1), 1)).await;
                self.ahead.pop_front();
                let commit = read.and_then(|commits| commits.into_iter().next().ok_or_else(internal));
                return Some(commit.map(|commit| (commit, turn)));
            }
            let version = self.session.views.tickets().by_id(&self.ticket).map(|row| row.version);
            if version.is_some_and(|version| version > self.after) {
                let (after, shown) = (self.after, self.session.views.position());
                let _turn = self.session.engine.subscribers_turn().await;
                match self.read(move |log, stream| log.stream_positions(stream, after)).await {
                    Ok(positions) => {
                        self.ahead.extend(positions.into_iter().take_while(|p| *p <= shown).take(Self::AHEAD));
                        self.after = self.ahead.back().copied().unwrap_or(after);
                    }
                    Err(error) => return Some(Err(error)),
                }
                if !self.ahead.is_empty() {
                    continue;
                }
            }
            if let Some(error) = stopped(&self.session) {
                return Some(Err(error));
            }
            tokio::select! {
                changed = self.moved.changed() => if changed.is_err() { return None },
                _ = self.stopping.changed() => return None,
            }
        }
    }

    /// Reads the log on a thread beside.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn EventLog, StreamId) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Error> {
        let (log, stream) = (Arc::clone(self.session.engine.log()), StreamId::Ticket(self.ticket));
        self.session.engine.beside(move || Ok(read(&*log, stream)?)).await.map_err(|error| {
            tracing::error!(error = crate::engine::chain(&error), "a subscription could not read the log");
            internal()
        })
    }
}
