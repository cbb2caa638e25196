//! Tickets as rows addressed by number, with a bitmap for everything that can be filtered by and an index for every order.

mod page;

use std::sync::Arc;

use docket_core::{
    desk::{Desk, LeavingKind},
    ids::{AgentKey, CategoryKey, CustomerId, Position, QueueKey, StatusKey, TeamKey, TicketId},
    personal::Personal,
    sla::Clocks,
    ticket::{CallOutcome, Channel, ExternalReference, PickUp, Priority, StatusCategory, StatusRef, TicketEvent},
    time::Timestamp,
};
use imbl::{OrdMap, OrdSet, Vector};
use serde::{Deserialize, Serialize};

use crate::{names::Names, set::TicketSet, timers::timers_of};

pub use page::{Cursor, Direction, InvalidCursor, Order, Page, PageRequest, TicketFilter};

/// A ticket in the view. Names are numbers of [`TicketsView`]'s tables; bodies are not here but in the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TicketRow {
    /// Count of tickets opened up to and including it.
    pub number: u32,
    /// Its id.
    pub id: TicketId,
    /// Position of its latest commit.
    pub version: Position,
    /// What it is about, in a line.
    pub subject: Personal<String>,
    /// Its status.
    pub status: u32,
    /// What its status means.
    pub status_category: StatusCategory,
    /// Its priority.
    pub priority: Priority,
    /// How it came in.
    pub channel: Channel,
    /// Its queue.
    pub queue: u32,
    /// Who works on it.
    pub agent: Option<u32>,
    /// The team that is responsible.
    pub team: Option<u32>,
    /// Its category.
    pub category: Option<u32>,
    /// Who asked.
    pub requester: Option<CustomerId>,
    /// Its name in another system.
    pub external: Option<Box<ExternalReference>>,
    /// Its tags.
    pub tags: Vec<u32>,
    /// Agents who follow it.
    pub followers: Vec<u32>,
    /// Level of escalation, 0 for none.
    pub escalation_level: u8,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When something last happened to it.
    pub updated_at: Timestamp,
    /// Position of the latest commit that customers may see something of.
    pub public_version: Position,
    /// When that happened.
    pub public_at: Timestamp,
    /// When it was first answered.
    pub first_response_at: Option<Timestamp>,
    /// When it was first resolved.
    pub first_resolved_at: Option<Timestamp>,
    /// When it was last resolved.
    pub resolved_at: Option<Timestamp>,
    /// When it was last closed, while it is closed.
    pub closed_at: Option<Timestamp>,
    /// How often it was reopened.
    pub reopenings: u32,
    /// Time that it spent in waiting statuses and that is over.
    pub waited_ms: i64,
    /// Since when it has been waiting.
    pub waiting_since: Option<Timestamp>,
    /// `waited_ms` as it stood at the last resolution.
    pub waited_until_resolved_ms: i64,
    /// The earliest deadline that counts.
    pub due_at: Option<Timestamp>,
    /// When it returns to its queue unless the assignee acts.
    pub pick_up_by: Option<Timestamp>,
    /// The earliest timer.
    pub(crate) next_timer: Option<Timestamp>,
    /// Its SLA clocks.
    pub clocks: Arc<Clocks>,
}

/// One bitmap for each number of a table of names.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct SetIndex(Vector<TicketSet>);

impl SetIndex {
    fn moved(&mut self, number: u32, from: Option<u32>, to: Option<u32>) {
        if from == to {
            return;
        }
        if let Some(set) = from.and_then(|from| self.0.get_mut(from as usize)) {
            set.remove(number);
        }
        if let Some(to) = to {
            while self.0.len() <= to as usize {
                self.0.push_back(TicketSet::default());
            }
            if let Some(set) = self.0.get_mut(to as usize) {
                set.insert(number);
            }
        }
    }

    fn get(&self, name: u32) -> Option<&TicketSet> {
        self.0.get(name as usize)
    }

    fn union_of(&self, names: impl Iterator<Item = u32>) -> TicketSet {
        names.filter_map(|name| self.get(name)).fold(TicketSet::default(), |all, set| all.union(set))
    }
}

/// All tickets.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TicketsView {
    /// Ticket n is element n - 1.
    rows: Vector<TicketRow>,
    by_id: OrdMap<TicketId, u32>,
    by_external: OrdMap<ExternalReference, u32>,
    /// Queues that tickets were ever in.
    pub queues: Names<QueueKey>,
    /// Teams that tickets were ever given to.
    pub teams: Names<TeamKey>,
    /// Agents that tickets were ever given to.
    pub agents: Names<AgentKey>,
    /// Statuses that tickets ever had.
    pub statuses: Names<StatusKey>,
    /// Categories that tickets ever had.
    pub categories: Names<CategoryKey>,
    /// Tags that tickets ever had.
    pub tags: Names<String>,
    all: TicketSet,
    by_status: SetIndex,
    by_status_category: SetIndex,
    by_priority: SetIndex,
    by_channel: SetIndex,
    by_queue: SetIndex,
    by_agent: SetIndex,
    unassigned: TicketSet,
    by_team: SetIndex,
    by_category: SetIndex,
    by_tag: SetIndex,
    by_requester: OrdMap<CustomerId, TicketSet>,
    by_due: OrdSet<(Timestamp, u32)>,
    without_due: TicketSet,
    by_activity: OrdSet<(Position, u32)>,
}

/// What a row is found by.
#[derive(Clone, Copy, PartialEq)]
struct Keys {
    status: Option<u32>,
    status_category: Option<u32>,
    priority: Option<u32>,
    channel: Option<u32>,
    queue: Option<u32>,
    agent: Option<u32>,
    team: Option<u32>,
    category: Option<u32>,
    requester: Option<CustomerId>,
    due_at: Option<Timestamp>,
    version: Option<Position>,
}

impl Keys {
    const NONE: Self = Self {
        status: None,
        status_category: None,
        priority: None,
        channel: None,
        queue: None,
        agent: None,
        team: None,
        category: None,
        requester: None,
        due_at: None,
        version: None,
    };

    fn of(row: &TicketRow) -> Self {
        Self {
            status: Some(row.status),
            status_category: Some(row.status_category as u32),
            priority: Some(row.priority as u32),
            channel: Some(row.channel as u32),
            queue: Some(row.queue),
            agent: row.agent,
            team: row.team,
            category: row.category,
            requester: row.requester,
            due_at: row.due_at,
            version: Some(row.version),
        }
    }
}

/// How a ticket's timers moved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moved {
    pub number: u32,
    pub timer_from: Option<Timestamp>,
    pub timer_to: Option<Timestamp>,
}

impl TicketsView {
    /// A ticket by its number.
    pub fn by_number(&self, number: u32) -> Option<&TicketRow> {
        self.rows.get(number.checked_sub(1)? as usize)
    }

    /// A ticket by its id.
    pub fn by_id(&self, id: &TicketId) -> Option<&TicketRow> {
        self.by_number(*self.by_id.get(id)?)
    }

    /// A ticket by its name in another system.
    pub fn by_external(&self, reference: &ExternalReference) -> Option<&TicketRow> {
        self.by_number(*self.by_external.get(reference)?)
    }

    /// Tickets whose name in any other system is this one.
    pub fn by_external_key<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a TicketRow> {
        self.by_external.iter().filter(move |(r, _)| r.key == key).filter_map(|(_, n)| self.by_number(*n))
    }

    /// All tickets in the order of their numbers.
    pub fn rows(&self) -> impl Iterator<Item = &TicketRow> {
        self.rows.iter()
    }

    /// How many tickets there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Folds one event.
    pub(crate) fn apply(
        &mut self,
        id: TicketId,
        event: &TicketEvent,
        at: Timestamp,
        position: Position,
        desk: &Desk,
    ) -> Option<Moved> {
        let opens = matches!(event, TicketEvent::TicketOpened(_)) && !self.by_id.contains_key(&id);
        let (number, before) = if opens {
            (self.open(id, event, at, position)?, Keys::NONE)
        } else {
            let number = *self.by_id.get(&id)?;
            (number, Keys::of(self.by_number(number)?))
        };
        let names = Numbered::of(self, event);
        let row = self.rows.get_mut(number.checked_sub(1)? as usize)?;
        let timer_from = row.next_timer;
        row.take(event, at, &names);
        row.version = position;
        row.updated_at = row.updated_at.max(at);
        if desk.shows_customers(event) {
            row.public_version = position;
            row.public_at = row.public_at.max(at);
        }
        if Clocks::concerned_by(event) {
            Arc::make_mut(&mut row.clocks).evolve(event, at, desk);
            row.due_at = row.clocks.next_due();
        }
        row.next_timer = timers_of(row, desk).first().map(|timer| timer.at);
        let timer_to = row.next_timer;
        let after = Keys::of(row);
        self.reindex(number, &before, &after);
        self.retag(number, event, names.tag);
        Some(Moved { number, timer_from, timer_to })
    }

    fn open(&mut self, id: TicketId, event: &TicketEvent, at: Timestamp, position: Position) -> Option<u32> {
        let TicketEvent::TicketOpened(e) = event else { return None };
        let number = u32::try_from(self.rows.len()).ok()?.checked_add(1)?;
        let row = TicketRow {
            number,
            id,
            version: position,
            subject: e.subject.clone(),
            status: self.statuses.number(&e.status.key),
            status_category: e.status.category,
            priority: e.priority,
            channel: e.channel,
            queue: self.queues.number(&e.queue),
            agent: None,
            team: None,
            category: e.category.as_ref().map(|category| self.categories.number(category)),
            requester: e.requester,
            external: e.external.clone().map(Box::new),
            tags: Vec::new(),
            followers: Vec::new(),
            escalation_level: 0,
            opened_at: at,
            updated_at: at,
            public_version: position,
            public_at: at,
            first_response_at: None,
            first_resolved_at: None,
            resolved_at: None,
            closed_at: None,
            reopenings: 0,
            waited_ms: 0,
            waiting_since: (e.status.category == StatusCategory::Waiting).then_some(at),
            waited_until_resolved_ms: 0,
            due_at: None,
            pick_up_by: None,
            next_timer: None,
            clocks: Arc::default(),
        };
        self.by_id.insert(id, number);
        if let Some(external) = &e.external {
            self.by_external.insert(external.clone(), number);
        }
        self.rows.push_back(row);
        self.all.insert(number);
        self.unassigned.insert(number);
        self.without_due.insert(number);
        Some(number)
    }

    fn reindex(&mut self, number: u32, before: &Keys, after: &Keys) {
        self.by_status.moved(number, before.status, after.status);
        self.by_status_category.moved(number, before.status_category, after.status_category);
        self.by_priority.moved(number, before.priority, after.priority);
        self.by_channel.moved(number, before.channel, after.channel);
        self.by_queue.moved(number, before.queue, after.queue);
        self.by_team.moved(number, before.team, after.team);
        self.by_category.moved(number, before.category, after.category);
        if before.agent != after.agent {
            self.by_agent.moved(number, before.agent, after.agent);
            match after.agent {
                Some(_) => self.unassigned.remove(number),
                None => self.unassigned.insert(number),
            }
        }
        if before.requester != after.requester {
            if let Some(set) = before.requester.and_then(|customer| self.by_requester.get_mut(&customer)) {
                set.remove(number);
            }
            if let Some(customer) = after.requester {
                self.by_requester.entry(customer).or_default().insert(number);
            }
        }
        if before.due_at != after.due_at {
            match before.due_at {
                Some(due) => _ = self.by_due.remove(&(due, number)),
                None => self.without_due.remove(number),
            }
            match after.due_at {
                Some(due) => _ = self.by_due.insert((due, number)),
                None => self.without_due.insert(number),
            }
        }
        if before.version != after.version {
            if let Some(version) = before.version {
                self.by_activity.remove(&(version, number));
            }
            if let Some(version) = after.version {
                self.by_activity.insert((version, number));
            }
        }
    }

    fn retag(&mut self, number: u32, event: &TicketEvent, tag: Option<u32>) {
        if let TicketEvent::TagAdded(_) = event {
            self.by_tag.moved(number, None, tag);
        } else if let TicketEvent::TagRemoved(_) = event {
            self.by_tag.moved(number, tag, None);
        }
    }

    /// The unfinished tickets that name a part of the desk.
    pub(crate) fn unfinished_of(&self, kind: LeavingKind, key: &str) -> TicketSet {
        fn set<'a, K: std::str::FromStr + Ord + Clone>(
            names: &Names<K>,
            index: &'a SetIndex,
            key: &str,
        ) -> Option<&'a TicketSet> {
            index.get(names.find(&key.parse().ok()?)?)
        }
        let named = match kind {
            LeavingKind::Queue => set(&self.queues, &self.by_queue, key),
            LeavingKind::Agent => set(&self.agents, &self.by_agent, key),
            LeavingKind::Team => set(&self.teams, &self.by_team, key),
            LeavingKind::Category => set(&self.categories, &self.by_category, key),
            LeavingKind::Status => set(&self.statuses, &self.by_status, key),
        };
        let open = StatusCategory::ALL.into_iter().filter(|category| !category.is_done());
        let unfinished = self.by_status_category.union_of(open.map(|category| category as u32));
        named.map_or_else(TicketSet::default, |named| named.intersection(&unfinished))
    }

    /// Tickets that are neither resolved nor closed, in the order of their numbers.
    pub fn unfinished(&self) -> impl Iterator<Item = &TicketRow> {
        let done = [StatusCategory::Resolved as u32, StatusCategory::Closed as u32];
        let done = self.by_status_category.union_of(done.into_iter());
        self.rows.iter().filter(move |row| !done.contains(row.number))
    }

    /// Reckons the timers of tickets anew: a calendar in which people are told of deadlines has changed.
    pub(crate) fn retime(&mut self, numbers: impl Iterator<Item = u32>, desk: &Desk) -> Vec<Moved> {
        let retimed = numbers.filter_map(|number| {
            let row = self.rows.get_mut(number.checked_sub(1)? as usize)?;
            let timer_from = row.next_timer;
            row.next_timer = timers_of(row, desk).first().map(|timer| timer.at);
            (timer_from != row.next_timer).then_some(Moved { number, timer_from, timer_to: row.next_timer })
        });
        retimed.collect()
    }

    /// What a queue holds at an instant.
    pub fn queue_counters(&self, queue: &QueueKey, now: Timestamp) -> QueueCounters {
        let empty = TicketSet::default();
        let set = self.queues.find(queue).and_then(|queue| self.by_queue.get(queue)).unwrap_or(&empty);
        let count = |index: &SetIndex, name: u32| index.get(name).map_or(0, |other| set.intersection_len(other));
        let by_category = StatusCategory::ALL.map(|category| count(&self.by_status_category, category as u32));
        let done: TicketSet = self
            .by_status_category
            .union_of([StatusCategory::Resolved as u32, StatusCategory::Closed as u32].into_iter());
        let unassigned_done = self.unassigned.intersection(&done).intersection_len(set);
        let overdue = self.by_due.range(..(now, 0)).filter(|(_, number)| set.contains(*number)).count() as u64;
        let oldest = set
            .iter()
            .filter(|number| !done.contains(*number))
            .find_map(|number| self.by_number(number))
            .map(|row| row.opened_at);
        QueueCounters {
            total: set.len(),
            by_category,
            unfinished: set.len() - set.intersection_len(&done),
            unassigned: set.intersection_len(&self.unassigned) - unassigned_done,
            overdue,
            oldest_unfinished_at: oldest,
        }
    }
}

/// The numbers of the names in an event, given out before its row is touched.
#[derive(Default)]
struct Numbered {
    status: u32,
    queue: u32,
    agent: Option<u32>,
    team: Option<u32>,
    category: Option<u32>,
    tag: Option<u32>,
    follower: Option<u32>,
}

impl Numbered {
    fn of(view: &mut TicketsView, event: &TicketEvent) -> Self {
        let mut numbered = Self::default();
        if let Some(status) = status_after(event) {
            numbered.status = view.statuses.number(&status.key);
        }
        if let TicketEvent::QueueChanged(e) = event {
            numbered.queue = view.queues.number(&e.to);
        } else if let TicketEvent::AgentAssigned(e) = event {
            numbered.agent = Some(view.agents.number(&e.agent));
        } else if let TicketEvent::TeamAssigned(e) = event {
            numbered.team = Some(view.teams.number(&e.team));
        } else if let TicketEvent::CategoryChanged(e) = event {
            numbered.category = e.to.as_ref().map(|category| view.categories.number(category));
        } else if let TicketEvent::TagAdded(e) = event {
            numbered.tag = Some(view.tags.number(&e.tag));
        } else if let TicketEvent::TagRemoved(e) = event {
            numbered.tag = Some(view.tags.number(&e.tag));
        } else if let TicketEvent::FollowerAdded(e) = event {
            numbered.follower = Some(view.agents.number(&e.agent));
        } else if let TicketEvent::FollowerRemoved(e) = event {
            numbered.follower = Some(view.agents.number(&e.agent));
        }
        numbered
    }
}

fn status_after(event: &TicketEvent) -> Option<&StatusRef> {
    if let TicketEvent::StatusChanged(e) = event {
        Some(&e.to)
    } else if let TicketEvent::Resolved(e) = event {
        Some(&e.to)
    } else if let TicketEvent::Closed(e) = event {
        Some(&e.to)
    } else if let TicketEvent::Reopened(e) = event {
        Some(&e.to)
    } else {
        None
    }
}

impl TicketRow {
    fn take(&mut self, event: &TicketEvent, at: Timestamp, names: &Numbered) {
        match event {
            TicketEvent::TicketOpened(_)
            | TicketEvent::MessageReceived(_)
            | TicketEvent::FieldChanged(_)
            | TicketEvent::SlaApplied(_)
            | TicketEvent::SlaWarned(_)
            | TicketEvent::SlaBreached(_) => {}
            TicketEvent::MessageSent(e) => {
                self.pick_up_by = e.pick_up.and_then(PickUp::by);
                self.first_response_at.get_or_insert(at);
            }
            TicketEvent::NoteAdded(e) => self.pick_up_by = e.pick_up.and_then(PickUp::by),
            TicketEvent::CallLogged(e) => {
                if e.agent.is_some() {
                    self.pick_up_by = e.pick_up.and_then(PickUp::by);
                }
                // As the SLA clocks see it: nobody was answered by a call that was missed.
                if e.agent.is_some() && e.outcome == CallOutcome::Answered {
                    self.first_response_at.get_or_insert(at);
                }
            }
            TicketEvent::AgentAssigned(e) => {
                self.agent = names.agent;
                self.pick_up_by = e.pick_up_by;
            }
            TicketEvent::AgentUnassigned(_) | TicketEvent::ReturnedToQueue(_) => {
                self.agent = None;
                self.pick_up_by = None;
            }
            TicketEvent::TeamAssigned(_) => self.team = names.team,
            TicketEvent::TeamUnassigned(_) => self.team = None,
            TicketEvent::QueueChanged(e) => {
                self.queue = names.queue;
                self.pick_up_by = e.pick_up.and_then(PickUp::by);
            }
            TicketEvent::StatusChanged(e) => self.enter(&e.to, e.pick_up, at, names),
            TicketEvent::Resolved(e) => {
                self.enter(&e.to, None, at, names);
                self.first_resolved_at.get_or_insert(at);
                self.resolved_at = Some(at);
                self.closed_at = None;
                self.waited_until_resolved_ms = self.waited_ms;
            }
            TicketEvent::Closed(e) => {
                self.enter(&e.to, None, at, names);
                self.closed_at = Some(at);
            }
            TicketEvent::Reopened(e) => {
                self.enter(&e.to, e.pick_up, at, names);
                self.closed_at = None;
                self.reopenings += 1;
            }
            TicketEvent::PriorityChanged(e) => self.priority = e.to,
            TicketEvent::CategoryChanged(_) => self.category = names.category,
            TicketEvent::SubjectChanged(e) => self.subject = e.to.clone(),
            TicketEvent::RequesterChanged(e) => self.requester = e.to,
            TicketEvent::TagAdded(_) => {
                self.tags.extend(names.tag.filter(|tag| !self.tags.contains(tag)));
            }
            TicketEvent::TagRemoved(_) => self.tags.retain(|tag| Some(*tag) != names.tag),
            TicketEvent::FollowerAdded(_) => {
                self.followers.extend(names.follower.filter(|agent| !self.followers.contains(agent)));
            }
            TicketEvent::FollowerRemoved(_) => self.followers.retain(|agent| Some(*agent) != names.follower),
            TicketEvent::Escalated(e) => self.escalation_level = e.level,
            TicketEvent::EscalationLowered(e) => self.escalation_level = e.level,
        }
    }

    fn enter(&mut self, status: &StatusRef, pick_up: Option<PickUp>, at: Timestamp, names: &Numbered) {
        self.status = names.status;
        self.status_category = status.category;
        self.pick_up_by = pick_up.and_then(PickUp::by);
        let waits = status.category == StatusCategory::Waiting;
        match self.waiting_since {
            Some(since) if !waits => {
                self.waited_ms += at.millis_since(since.max(self.opened_at)).max(0);
                self.waiting_since = None;
            }
            None if waits => self.waiting_since = Some(at),
            Some(_) | None => {}
        }
    }
}

/// What a queue holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueCounters {
    /// Tickets in all.
    pub total: u64,
    /// By the category of their status, in the order of [`StatusCategory::ALL`].
    pub by_category: [u64; 7],
    /// Neither resolved nor closed.
    pub unfinished: u64,
    /// Unfinished without an assignee.
    pub unassigned: u64,
    /// Past a deadline.
    pub overdue: u64,
    /// When the oldest unfinished one was opened.
    pub oldest_unfinished_at: Option<Timestamp>,
}
