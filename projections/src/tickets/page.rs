//! Finding tickets: filters, orders, and pages that hold although tickets come and go.

use std::{collections::BTreeSet, fmt, ops::Bound, str::FromStr};

use docket_core::{
    ids::{AgentKey, CategoryKey, CustomerId, Position, QueueKey, StatusKey, TeamKey},
    ticket::{Channel, Priority, StatusCategory},
    time::Timestamp,
};

use super::{TicketRow, TicketsView};
use crate::set::TicketSet;

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

impl TicketFilter {
    /// True when answering it looks at tickets one by one instead of at sets of them.
    pub const fn walks_rows(&self) -> bool {
        self.due_before.is_some() || self.opened_from.is_some() || self.opened_before.is_some()
    }
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
    /// When something last happened to them that customers may see. Without an index: it is for few tickets at a time.
    PublicActivity,
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
            "4" => Order::PublicActivity,
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

/// The key of a ticket without a deadline: it comes after all that have one.
const NEVER: i64 = i64::MAX;

impl TicketsView {
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
        if set.len() <= SMALL || order == Order::PublicActivity {
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
            Order::Number | Order::PublicActivity => Box::new(set.iter().map(|number| (i64::from(number), number))),
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
            Order::PublicActivity => row.public_version.get().cast_signed(),
        }
    }

    /// What places are compared by: the key, then the number, the older ticket first when the more urgent is.
    fn rank(&self, order: Order, (key, number): (i64, u32)) -> (i64, i64) {
        let number = i64::from(number);
        match order {
            Order::Priority => (key, -number),
            Order::Number | Order::DueAt | Order::Activity | Order::PublicActivity => (key, number),
        }
    }
}
