//! Tickets as rows addressed by number, with a bitmap for everything that can be filtered by and an index for every order.

use std::{collections::BTreeSet, fmt, ops::Bound, str::FromStr, sync::Arc};

use docket_core::{
    desk::Desk,
    ids::{AgentKey, CategoryKey, CustomerId, Position, QueueKey, StatusKey, TeamKey, TicketId},
    personal::Personal,
    sla::Clocks,
    ticket::{Channel, ExternalReference, Priority, StatusCategory, StatusRef, TicketEvent},
    time::Timestamp,
};
use imbl::{OrdMap, OrdSet, Vector};
use serde::{Deserialize, Serialize};

use crate::{names::Names, set::TicketSet, timers::timers_of};

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
    /// Level of escalation, 0 for none.
    pub escalation_level: u8,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When something last happened to it.
    pub updated_at: Timestamp,
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
        if concerns_clocks(event) {
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
            escalation_level: 0,
            opened_at: at,
            updated_at: at,
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

    /// The tickets that match.
    pub fn select(&self, filter: &TicketFilter) -> TicketSet {
        let mut selected: Option<TicketSet> = None;
        let mut narrow = |set: TicketSet| {
            selected = Some(match &selected {
                None => set,
                Some(so_far) => so_far.intersection(&set),
            });
        };
        macro_rules! by {
            ($wanted:expr, $index:ident, $number:expr) => {
                if let Some(wanted) = &$wanted {
                    narrow(self.$index.union_of(wanted.iter().filter_map($number)));
                }
            };
        }
        by!(filter.statuses, by_status, |s| self.statuses.find(s));
        by!(filter.status_categories, by_status_category, |c| Some(*c as u32));
        by!(filter.priorities, by_priority, |p| Some(*p as u32));
        by!(filter.channels, by_channel, |c| Some(*c as u32));
        by!(filter.queues, by_queue, |q| self.queues.find(q));
        by!(filter.agents, by_agent, |a| self.agents.find(a));
        by!(filter.teams, by_team, |t| self.teams.find(t));
        by!(filter.categories, by_category, |c| self.categories.find(c));
        if let Some(unassigned) = filter.unassigned {
            if unassigned {
                narrow(self.unassigned.clone());
            } else {
                narrow(self.by_agent.union_of(0..u32::try_from(self.by_agent.0.len()).unwrap_or(u32::MAX)));
            }
        }
        for tag in filter.tags.iter().flatten() {
            let set = self.tags.find(tag).and_then(|tag| self.by_tag.get(tag));
            narrow(set.cloned().unwrap_or_default());
        }
        if let Some(requester) = &filter.requester {
            narrow(self.by_requester.get(requester).cloned().unwrap_or_default());
        }
        if let Some(before) = filter.due_before {
            let mut due = TicketSet::default();
            self.by_due.range(..(before, 0)).for_each(|(_, number)| due.insert(*number));
            narrow(due);
        }
        let selected = selected.unwrap_or_else(|| self.all.clone());
        if filter.opened_from.is_none() && filter.opened_before.is_none() {
            return selected;
        }
        let mut opened = TicketSet::default();
        for row in selected.iter().filter_map(|number| self.by_number(number)) {
            if filter.opened_from.is_none_or(|from| row.opened_at >= from)
                && filter.opened_before.is_none_or(|before| row.opened_at < before)
            {
                opened.insert(row.number);
            }
        }
        opened
    }

    /// One page of the tickets that match.
    pub fn page(&self, filter: &TicketFilter, request: &PageRequest) -> Page {
        let set = self.select(filter);
        let descending = request.direction == Direction::Descending;
        // A page from the end is one from the start in the other direction.
        let backward = request.backward;
        let start = if backward { request.before } else { request.after };
        let stop = if backward { request.after } else { request.before };
        let mut found = self.walk(&set, request.order, descending != backward, start, request.limit + 1);
        if let Some(stop) = stop {
            let cut = found.iter().position(|place| *place == (stop.key, stop.number));
            found.truncate(cut.unwrap_or(found.len()));
        }
        let more = found.len() > request.limit;
        found.truncate(request.limit);
        if backward {
            found.reverse();
        }
        let cursor = |(key, number)| (number, Cursor { order: request.order, key, number });
        Page {
            tickets: found.into_iter().map(cursor).collect(),
            total: set.len(),
            has_next: if backward { request.before.is_some() } else { more },
            has_previous: if backward { more } else { request.after.is_some() },
        }
    }

    /// The first members of a set in an order, after a place.
    fn walk(
        &self,
        set: &TicketSet,
        order: Order,
        descending: bool,
        after: Option<Cursor>,
        limit: usize,
    ) -> Vec<(i64, u32)> {
        /// Below it, sorting the set is cheaper than walking an index of all tickets past those that are not in it.
        const SMALL: u64 = 2_000;
        let after = after.filter(|cursor| cursor.order == order).map(|cursor| (cursor.key, cursor.number));
        if order == Order::Number {
            let number = after.map(|(_, number)| number);
            let place = |number| (i64::from(number), number);
            return match descending {
                false => set.iter_after(number.unwrap_or(0)).take(limit).map(place).collect(),
                true => set.iter_before(number.unwrap_or(u32::MAX)).take(limit).map(place).collect(),
            };
        }
        let beyond = |place: &(i64, u32)| match after {
            None => true,
            Some(after) if descending => self.rank(order, *place) < self.rank(order, after),
            Some(after) => self.rank(order, *place) > self.rank(order, after),
        };
        if set.len() <= SMALL {
            let mut places: Vec<(i64, u32)> = set
                .iter()
                .filter_map(|number| Some((self.key(order, self.by_number(number)?), number)))
                .filter(beyond)
                .collect();
            places.sort_unstable_by_key(|place| self.rank(order, *place));
            if descending {
                places.reverse();
            }
            places.truncate(limit);
            return places;
        }
        self.walk_index(set, order, descending, after).filter(beyond).take(limit).collect()
    }

    fn walk_index<'a>(
        &'a self,
        set: &'a TicketSet,
        order: Order,
        descending: bool,
        after: Option<(i64, u32)>,
    ) -> Box<dyn Iterator<Item = (i64, u32)> + 'a> {
        match order {
            Order::Number => Box::new(set.iter().map(|number| (i64::from(number), number))),
            Order::Priority => {
                let mut levels = Priority::ALL.to_vec();
                if descending {
                    levels.reverse();
                }
                Box::new(levels.into_iter().flat_map(move |level| {
                    let members: TicketSet = match self.by_priority.get(level as u32) {
                        Some(of_level) => set.intersection(of_level),
                        None => TicketSet::default(),
                    };
                    // Within a priority the oldest comes first when the most urgent does.
                    let mut numbers: Vec<u32> = members.iter().collect();
                    if !descending {
                        numbers.reverse();
                    }
                    numbers.into_iter().map(move |number| (level as i64, number))
                }))
            }
            Order::DueAt => {
                let due = |(at, number): &(Timestamp, u32)| (at.millis(), *number);
                let undated = || {
                    let members = set.intersection(&self.without_due);
                    let mut numbers: Vec<u32> = members.iter().collect();
                    if descending {
                        numbers.reverse();
                    }
                    numbers.into_iter().map(|number| (NEVER, number))
                };
                let range = match after {
                    Some((key, number)) if key != NEVER => Some((Timestamp::from_millis(key), number)),
                    Some(_) | None => None,
                };
                let past = after.is_some_and(|(key, _)| key == NEVER);
                if descending {
                    let upper = range.map_or(Bound::Unbounded, Bound::Excluded);
                    let dated = self.by_due.range((Bound::Unbounded, upper)).rev().map(due);
                    let dated = dated.filter(|(_, number)| set.contains(*number));
                    let first = if range.is_none() { Some(undated()) } else { None };
                    Box::new(first.into_iter().flatten().chain(dated))
                } else {
                    let lower = range.map_or(Bound::Unbounded, Bound::Excluded);
                    let dated = self.by_due.range((lower, Bound::Unbounded)).map(due);
                    let dated = dated.filter(|(_, number)| set.contains(*number));
                    let first = if past { None } else { Some(dated) };
                    Box::new(first.into_iter().flatten().chain(undated()))
                }
            }
            Order::Activity => {
                let place = |(version, number): &(Position, u32)| (version.get().cast_signed(), *number);
                let from = after.map(|(key, number)| (Position::new(key.cast_unsigned()), number));
                let members = |place: &(i64, u32)| set.contains(place.1);
                if descending {
                    let upper = from.map_or(Bound::Unbounded, Bound::Excluded);
                    Box::new(self.by_activity.range((Bound::Unbounded, upper)).rev().map(place).filter(members))
                } else {
                    let lower = from.map_or(Bound::Unbounded, Bound::Excluded);
                    Box::new(self.by_activity.range((lower, Bound::Unbounded)).map(place).filter(members))
                }
            }
        }
    }

    fn key(&self, order: Order, row: &TicketRow) -> i64 {
        match order {
            Order::Number => i64::from(row.number),
            Order::Priority => row.priority as i64,
            Order::DueAt => row.due_at.map_or(NEVER, Timestamp::millis),
            Order::Activity => row.version.get().cast_signed(),
        }
    }

    /// What places are compared by: the key, then the number, the older ticket first when the more urgent is.
    fn rank(&self, order: Order, (key, number): (i64, u32)) -> (i64, i64) {
        let number = i64::from(number);
        match order {
            Order::Priority => (key, -number),
            Order::Number | Order::DueAt | Order::Activity => (key, number),
        }
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

/// The key of a ticket without a deadline: it comes after all that have one.
const NEVER: i64 = i64::MAX;

/// The numbers of the names in an event, given out before its row is touched.
#[derive(Default)]
struct Numbered {
    status: u32,
    queue: u32,
    agent: Option<u32>,
    team: Option<u32>,
    category: Option<u32>,
    tag: Option<u32>,
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

/// True for events by which clocks move; all others leave them as they are.
fn concerns_clocks(event: &TicketEvent) -> bool {
    match event {
        TicketEvent::TicketOpened(_)
        | TicketEvent::MessageSent(_)
        | TicketEvent::CallLogged(_)
        | TicketEvent::StatusChanged(_)
        | TicketEvent::Resolved(_)
        | TicketEvent::Closed(_)
        | TicketEvent::Reopened(_)
        | TicketEvent::PriorityChanged(_)
        | TicketEvent::Escalated(_)
        | TicketEvent::SlaApplied(_)
        | TicketEvent::SlaWarned(_)
        | TicketEvent::SlaBreached(_) => true,
        TicketEvent::MessageReceived(_)
        | TicketEvent::NoteAdded(_)
        | TicketEvent::AgentAssigned(_)
        | TicketEvent::AgentUnassigned(_)
        | TicketEvent::TeamAssigned(_)
        | TicketEvent::TeamUnassigned(_)
        | TicketEvent::QueueChanged(_)
        | TicketEvent::ReturnedToQueue(_)
        | TicketEvent::CategoryChanged(_)
        | TicketEvent::SubjectChanged(_)
        | TicketEvent::RequesterChanged(_)
        | TicketEvent::TagAdded(_)
        | TicketEvent::TagRemoved(_)
        | TicketEvent::FieldChanged(_) => false,
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
            TicketEvent::MessageSent(_) => {
                self.pick_up_by = None;
                self.first_response_at.get_or_insert(at);
            }
            TicketEvent::NoteAdded(_) => self.pick_up_by = None,
            TicketEvent::CallLogged(e) => {
                if e.agent.is_some() {
                    self.pick_up_by = None;
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
            TicketEvent::QueueChanged(_) => {
                self.queue = names.queue;
                self.pick_up_by = None;
            }
            TicketEvent::StatusChanged(e) => self.enter(&e.to, at, names),
            TicketEvent::Resolved(e) => {
                self.enter(&e.to, at, names);
                self.first_resolved_at.get_or_insert(at);
                self.resolved_at = Some(at);
                self.closed_at = None;
                self.waited_until_resolved_ms = self.waited_ms;
            }
            TicketEvent::Closed(e) => {
                self.enter(&e.to, at, names);
                self.closed_at = Some(at);
            }
            TicketEvent::Reopened(e) => {
                self.enter(&e.to, at, names);
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
            TicketEvent::Escalated(e) => self.escalation_level = e.level,
        }
    }

    fn enter(&mut self, status: &StatusRef, at: Timestamp, names: &Numbered) {
        self.status = names.status;
        self.status_category = status.category;
        self.pick_up_by = None;
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

/// Which tickets are wanted: every part that is set must hold; a list holds when the ticket has one of its values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TicketFilter {
    /// Statuses.
    pub statuses: Option<Vec<StatusKey>>,
    /// Categories of statuses.
    pub status_categories: Option<Vec<StatusCategory>>,
    /// Priorities.
    pub priorities: Option<Vec<Priority>>,
    /// Channels of the opening.
    pub channels: Option<Vec<Channel>>,
    /// Queues.
    pub queues: Option<Vec<QueueKey>>,
    /// Assignees.
    pub agents: Option<Vec<AgentKey>>,
    /// Has no assignee, or has one.
    pub unassigned: Option<bool>,
    /// Teams.
    pub teams: Option<Vec<TeamKey>>,
    /// Categories.
    pub categories: Option<Vec<CategoryKey>>,
    /// Tags; a ticket must have all of them.
    pub tags: Option<BTreeSet<String>>,
    /// Who asked.
    pub requester: Option<CustomerId>,
    /// The earliest deadline lies before this instant.
    pub due_before: Option<Timestamp>,
    /// Opened at or after this instant.
    pub opened_from: Option<Timestamp>,
    /// Opened before this instant.
    pub opened_before: Option<Timestamp>,
}

/// By what tickets are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Order {
    /// Their numbers.
    #[default]
    Number,
    /// Priority; within one the older ticket first when the more urgent is.
    Priority,
    /// The earliest deadline; those without come last.
    DueAt,
    /// When something last happened to them, as the log has it.
    Activity,
}

/// Which end comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// The smallest.
    #[default]
    Ascending,
    /// The largest.
    Descending,
}

/// A place in an order. It holds although tickets come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    order: Order,
    key: i64,
    number: u32,
}

/// A text is no cursor of these tickets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor: pass one back as it was given out, with the same order")]
pub struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = format!("1:{}:{}:{}", self.order as u8, self.key, self.number);
        f.write_str(&hex::encode(plain))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;
    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let plain = hex::decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(InvalidCursor)?;
        let mut parts = plain.split(':');
        let mut part = || parts.next().ok_or(InvalidCursor);
        if part()? != "1" {
            return Err(InvalidCursor);
        }
        let order = match part()? {
            "0" => Order::Number,
            "1" => Order::Priority,
            "2" => Order::DueAt,
            "3" => Order::Activity,
            _ => return Err(InvalidCursor),
        };
        let key = part()?.parse().map_err(|_| InvalidCursor)?;
        let number = part()?.parse().map_err(|_| InvalidCursor)?;
        if parts.next().is_some() || key < 0 && order != Order::DueAt {
            return Err(InvalidCursor);
        }
        Ok(Self { order, key, number })
    }
}

impl Cursor {
    /// The order that it is a place in.
    pub const fn order(&self) -> Order {
        self.order
    }
}

/// Which page is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageRequest {
    /// By what.
    pub order: Order,
    /// Which end first.
    pub direction: Direction,
    /// How many at most.
    pub limit: usize,
    /// Only what comes after it.
    pub after: Option<Cursor>,
    /// Only what comes before it.
    pub before: Option<Cursor>,
    /// The last ones instead of the first.
    pub backward: bool,
}

/// A page of tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Numbers, with their places.
    pub tickets: Vec<(u32, Cursor)>,
    /// How many match in all.
    pub total: u64,
    /// More come after.
    pub has_next: bool,
    /// More come before.
    pub has_previous: bool,
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
