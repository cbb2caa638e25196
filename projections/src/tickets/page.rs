//! Orders of tickets, and pages that hold although tickets come and go.

use std::{cell::Cell, cmp::Ordering, fmt, ops::Bound, str::FromStr};

use docket_core::{ids::Position, ticket::Priority, time::Timestamp};

use super::{TicketFilter, TicketRow, TicketsView, Within};
use crate::set::TicketSet;

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

impl Order {
    const ALL: [Self; 5] = [Self::Number, Self::Priority, Self::DueAt, Self::Activity, Self::PublicActivity];
}

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
        let code = part()?;
        let order = Order::ALL.into_iter().find(|order| (*order as u8).to_string() == code).ok_or(InvalidCursor)?;
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
    /// Of all that match, some come after the last one of the page.
    pub has_next: bool,
    /// Of all that match, some come before the first one of the page.
    pub has_previous: bool,
}

/// A key and a number: where a ticket is in an order, or a cursor's was.
type Place = (i64, u32);

/// A set of so few is sorted in a tenth of a millisecond. An index of all tickets is walked for it only when that promises to be
/// less, and given up when it turns out to be more.
const SMALL: u64 = 2_000;
/// A walk for a small set is given up after so many times the entries that sorting would look at.
const GIVE_UP: u64 = 2;

/// The key of a ticket without a deadline: it comes after all that have one.
const NEVER: i64 = i64::MAX;

impl TicketsView {
    /// One page of the tickets of a scope that match. A cursor is a place in the order, whether or not its ticket is still there.
    pub fn page(&self, within: &Within, filter: &TicketFilter, request: &PageRequest) -> Page {
        self.page_of(&self.select(within, filter), request, SMALL)
    }

    fn page_of(&self, set: &TicketSet, request: &PageRequest, small: u64) -> Page {
        let order = request.order;
        let place = |cursor: Option<Cursor>| {
            cursor.filter(|cursor| cursor.order == order).map(|cursor| (cursor.key, cursor.number))
        };
        let (after, before) = (place(request.after), place(request.before));
        // A page from the end is one from the start in the other direction.
        let backward = request.backward;
        let (start, stop) = if backward { (before, after) } else { (after, before) };
        let way = Way { order, descending: (request.direction == Direction::Descending) != backward };
        let found = match self.found_by_index(set, way, start, stop, request.limit, small) {
            Some(found) => found,
            None => self.found_by_sorting(set, way, start, stop, request.limit),
        };
        let Found { mut places, behind, ahead } = found;
        if backward {
            places.reverse();
        }
        let cursor = |(key, number)| (number, Cursor { order, key, number });
        Page {
            tickets: places.into_iter().map(cursor).collect(),
            total: set.len(),
            has_next: if backward { behind } else { ahead },
            has_previous: if backward { ahead } else { behind },
        }
    }

    fn found_by_sorting(
        &self,
        set: &TicketSet,
        way: Way,
        start: Option<Place>,
        stop: Option<Place>,
        limit: usize,
    ) -> Found {
        let place = |number| Some((self.key(way.order, self.by_number(number)?), number));
        let mut places: Vec<Place> = set.iter().filter_map(place).collect();
        places.sort_unstable_by(|a, b| way.cmp(*a, *b));
        let first = start.map_or(0, |start| places.partition_point(|place| way.cmp(*place, start).is_le()));
        let end = stop.map_or(places.len(), |stop| places.partition_point(|place| way.cmp(*place, stop).is_lt()));
        let end = end.clamp(first, first.saturating_add(limit));
        let (behind, ahead) = (first > 0, end < places.len());
        places.truncate(end);
        Found { places: places.split_off(first), behind, ahead }
    }

    /// None when sorting is cheaper or the order has no index.
    fn found_by_index(
        &self,
        set: &TicketSet,
        way: Way,
        start: Option<Place>,
        stop: Option<Place>,
        limit: usize,
        small: u64,
    ) -> Option<Found> {
        // Other indexes hold nothing but members.
        let passes_others = matches!(way.order, Order::DueAt | Order::Activity);
        let budget = if passes_others && set.len() <= small {
            // As many are passed for one that is wanted as there are tickets for one of the set, if they lie evenly.
            let expected = (limit as u64).saturating_add(1).saturating_mul(self.all.len()) / set.len().max(1);
            if expected > set.len() {
                return None;
            }
            set.len() * GIVE_UP
        } else {
            u64::MAX
        };
        let looked = Looked { at: Cell::new(0), budget };
        let mut places: Vec<Place> = self.walk(set, way, start, limit.saturating_add(1), &looked)?.collect();
        let within = stop.map_or(places.len(), |stop| places.partition_point(|place| way.cmp(*place, stop).is_lt()));
        let end = within.min(limit);
        // Whatever was found beyond the end is ahead; when nothing was, the walk came to the end of the set.
        let ahead = end < places.len();
        places.truncate(end);
        let behind = start.is_some_and(|start| {
            // Most often the cursor's own ticket is where it was.
            let is_there = |number| self.by_number(number).is_some_and(|row| self.key(way.order, row) == start.0);
            (set.contains(start.1) && is_there(start.1))
                || self.walk(set, way.back(), Some(start), 1, &looked).is_some_and(|mut walk| walk.next().is_some())
        });
        if looked.too_much() {
            return None;
        }
        Some(Found { places, behind, ahead })
    }

    /// The members of a set after a place, in an order; not many more than so many are taken out of the index. None when the
    /// order has no index.
    fn walk<'a>(
        &'a self,
        set: &'a TicketSet,
        way: Way,
        after: Option<Place>,
        limit: usize,
        looked: &'a Looked,
    ) -> Option<Box<dyn Iterator<Item = Place> + 'a>> {
        let Way { order, descending } = way;
        let beyond = move |place: &Place| after.is_none_or(|after| way.cmp(*place, after).is_gt());
        let index: Box<dyn Iterator<Item = Place> + 'a> = match order {
            Order::PublicActivity => return None,
            Order::Number => {
                let place = |number| (i64::from(number), number);
                if descending {
                    Box::new(set.iter_before(after.map_or(u32::MAX, |(_, number)| number)).map(place))
                } else {
                    Box::new(set.iter_after(after.map_or(0, |(_, number)| number)).map(place))
                }
            }
            Order::Priority => {
                let mut levels = Priority::ALL.to_vec();
                if descending {
                    levels.reverse();
                }
                Box::new(levels.into_iter().flat_map(move |level| {
                    let members = self.by_priority.get(level as u32).map(|of_level| set.intersection(of_level));
                    // Within a priority the oldest comes first when the most urgent does.
                    let after = after.filter(|(key, _)| *key == level as i64).map(|(_, number)| number);
                    let number = members.map(|members| numbers(&members, !descending, after, limit));
                    number.into_iter().flatten().map(move |number| (level as i64, number))
                }))
            }
            Order::DueAt => {
                let members =
                    move |(at, number): &(Timestamp, u32)| set.contains(*number).then_some((at.millis(), *number));
                let undated = move || {
                    let after = after.filter(|(key, _)| *key == NEVER).map(|(_, number)| number);
                    let members = set.intersection(&self.without_due);
                    numbers(&members, descending, after, limit).into_iter().map(|number| (NEVER, number))
                };
                let dated = after.filter(|(key, _)| *key != NEVER);
                let dated = dated.map(|(key, number)| (Timestamp::from_millis(key), number));
                let undated_passed = after.is_some() && dated.is_none();
                if descending {
                    let upper = dated.map_or(Bound::Unbounded, Bound::Excluded);
                    let walk = self.by_due.range((Bound::Unbounded, upper)).rev();
                    let walk = walk.take_while(|_| looked.one_more()).filter_map(members);
                    let first = dated.is_none().then(undated);
                    Box::new(first.into_iter().flatten().chain(walk))
                } else {
                    let lower = dated.map_or(Bound::Unbounded, Bound::Excluded);
                    let walk = (!undated_passed).then(|| self.by_due.range((lower, Bound::Unbounded)));
                    let walk = walk.into_iter().flatten().take_while(|_| looked.one_more()).filter_map(members);
                    // Looked for only when the dated ones are at their end.
                    Box::new(walk.chain(std::iter::once_with(undated).flatten()))
                }
            }
            Order::Activity => {
                let members = move |(version, number): &(Position, u32)| {
                    set.contains(*number).then_some((version.get().cast_signed(), *number))
                };
                let from = after.map(|(key, number)| (Position::new(key.cast_unsigned()), number));
                if descending {
                    let upper = from.map_or(Bound::Unbounded, Bound::Excluded);
                    let walk = self.by_activity.range((Bound::Unbounded, upper)).rev();
                    Box::new(walk.take_while(|_| looked.one_more()).filter_map(members))
                } else {
                    let lower = from.map_or(Bound::Unbounded, Bound::Excluded);
                    let walk = self.by_activity.range((lower, Bound::Unbounded));
                    Box::new(walk.take_while(|_| looked.one_more()).filter_map(members))
                }
            }
        };
        Some(Box::new(index.filter(beyond).take(limit)))
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
}

/// How many entries of an index were looked at, and how many may be.
struct Looked {
    at: Cell<u64>,
    budget: u64,
}

impl Looked {
    fn one_more(&self) -> bool {
        self.at.set(self.at.get() + 1);
        !self.too_much()
    }

    fn too_much(&self) -> bool {
        self.at.get() > self.budget
    }
}

/// An order and which end of it comes first.
#[derive(Clone, Copy)]
struct Way {
    order: Order,
    descending: bool,
}

impl Way {
    const fn back(self) -> Self {
        Self { order: self.order, descending: !self.descending }
    }

    /// Which of two places comes first.
    fn cmp(self, a: Place, b: Place) -> Ordering {
        let ascending = rank(self.order, a).cmp(&rank(self.order, b));
        if self.descending { ascending.reverse() } else { ascending }
    }
}

/// What places are compared by: the key, then the number; the older ticket first when the more urgent is.
fn rank(order: Order, (key, number): Place) -> (i64, i64) {
    let number = i64::from(number);
    (key, if order == Order::Priority { -number } else { number })
}

/// Places in the direction of a walk, and whether any of the set come before or after them.
struct Found {
    places: Vec<Place>,
    behind: bool,
    ahead: bool,
}

/// Numbers of a set from one end, after one of them.
fn numbers(set: &TicketSet, descending: bool, after: Option<u32>, limit: usize) -> Vec<u32> {
    if descending {
        set.iter_before(after.unwrap_or(u32::MAX)).take(limit).collect()
    } else {
        set.iter_after(after.unwrap_or(0)).take(limit).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use docket_core::ids::TicketId;
    use proptest::prelude::*;

    use super::{
        super::{Standing, change::tests::opened},
        *,
    };

    /// Priority, deadline and last change of a ticket.
    type Attributes = (Priority, Option<i64>, u64);

    fn attributes() -> impl Strategy<Value = Attributes> {
        (prop::sample::select(Priority::ALL.to_vec()), prop::option::of(0..6_i64), 1..20_u64)
    }

    fn view(rows: &[Attributes]) -> TicketsView {
        let mut view = TicketsView::default();
        for (number, attributes) in (1..).zip(rows) {
            let at = Timestamp::from_millis(0);
            let opened = opened();
            let id = TicketId::derived(at, &[&number.to_string()]);
            assert_eq!(view.open(id, &opened, at, Position::new(1)), Some(number));
            let standing = Standing::of(view.by_number(number).unwrap());
            view.reindex(number, None, &standing);
            change(&mut view, number, *attributes);
        }
        view
    }

    fn change(view: &mut TicketsView, number: u32, (priority, due, version): Attributes) {
        let row = view.rows.get_mut(number as usize - 1).unwrap();
        let before = Standing::of(row);
        (row.priority, row.due_at) = (priority, due.map(Timestamp::from_millis));
        row.version = Position::new(version);
        let after = Standing::of(row);
        view.reindex(number, Some(&before), &after);
    }

    /// Everything in the order that is asked for, cut where the cursors are; both ends are looked at.
    fn plainly(view: &TicketsView, set: &TicketSet, request: &PageRequest) -> Page {
        let order = request.order;
        let mut all: Vec<Place> =
            set.iter().map(|number| (view.key(order, view.by_number(number).unwrap()), number)).collect();
        all.sort_by_key(|place| rank(order, *place));
        let descending = request.direction == Direction::Descending;
        if descending {
            all.reverse();
        }
        let comes_after = |place: Place, cursor: Cursor| {
            let (a, b) = (rank(order, place), rank(order, (cursor.key, cursor.number)));
            if descending { a < b } else { a > b }
        };
        let comes_before = |place: Place, cursor: Cursor| {
            let (a, b) = (rank(order, place), rank(order, (cursor.key, cursor.number)));
            if descending { a > b } else { a < b }
        };
        let wanted: Vec<Place> = all
            .iter()
            .copied()
            .filter(|place| request.after.is_none_or(|cursor| comes_after(*place, cursor)))
            .filter(|place| request.before.is_none_or(|cursor| comes_before(*place, cursor)))
            .collect();
        let taken = wanted.len().min(request.limit);
        let page = if request.backward { &wanted[wanted.len() - taken..] } else { &wanted[..taken] };
        let (has_previous, has_next) = match (page.first(), page.last()) {
            (Some(first), Some(last)) => (all.first() != Some(first), all.last() != Some(last)),
            // An empty page stands where its first ticket would.
            _ => match if request.backward { request.before } else { request.after } {
                None => (request.backward && !all.is_empty(), !request.backward && !all.is_empty()),
                Some(at) if request.backward => (
                    all.iter().any(|place| comes_before(*place, at)),
                    all.iter().any(|place| !comes_before(*place, at)),
                ),
                Some(at) => {
                    (all.iter().any(|place| !comes_after(*place, at)), all.iter().any(|place| comes_after(*place, at)))
                }
            },
        };
        let cursor = |(key, number): &Place| (*number, Cursor { order, key: *key, number: *number });
        Page { tickets: page.iter().map(cursor).collect(), total: set.len(), has_next, has_previous }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn a_page_is_what_lies_between_two_places_wherever_their_tickets_went(
            rows in prop::collection::vec(attributes(), 1..25),
            moves in prop::collection::vec((any::<prop::sample::Index>(), attributes()), 0..8),
            members in prop::collection::vec(any::<bool>(), 25),
            order in prop::sample::select(Order::ALL.to_vec()),
            descending: bool,
            backward: bool,
            cursors in prop::array::uniform2(prop::option::of(any::<prop::sample::Index>())),
            limit in 0..12_usize,
        ) {
            let mut view = view(&rows);
            // Cursors are given out; then their tickets move, or are no more among those that match.
            let [after, before] = cursors.map(|cursor| cursor.map(|index| {
                let number = u32::try_from(index.index(rows.len())).unwrap() + 1;
                Cursor { order, key: view.key(order, view.by_number(number).unwrap()), number }
            }));
            for (index, attributes) in moves {
                change(&mut view, u32::try_from(index.index(rows.len())).unwrap() + 1, attributes);
            }
            let mut set = TicketSet::default();
            for (number, _) in (1..).zip(&rows).zip(&members).filter(|(_, member)| **member).map(|(row, _)| row) {
                set.insert(number);
            }
            let direction = if descending { Direction::Descending } else { Direction::Ascending };
            let request = PageRequest { order, direction, limit, after, before, backward };
            let expected = plainly(&view, &set, &request);
            prop_assert_eq!(view.page_of(&set, &request, u64::MAX), expected.clone(), "by sorting");
            prop_assert_eq!(view.page_of(&set, &request, 0), expected, "by an index");
        }

        #[test]
        fn pages_in_a_row_are_the_whole_whichever_way(
            rows in prop::collection::vec(attributes(), 0..25),
            order in prop::sample::select(Order::ALL.to_vec()),
            descending: bool,
            backward: bool,
            limit in 1..6_usize,
            small in prop::sample::select(vec![0, u64::MAX]),
        ) {
            let view = view(&rows);
            let direction = if descending { Direction::Descending } else { Direction::Ascending };
            let mut request = PageRequest { order, direction, limit, backward, ..PageRequest::default() };
            let mut seen = Vec::new();
            loop {
                let page = view.page_of(&view.all, &request, small);
                let numbers = page.tickets.iter().map(|(number, _)| *number);
                if backward {
                    seen.splice(0..0, numbers);
                    request.before = page.tickets.first().map(|(_, cursor)| cursor.to_string().parse().unwrap());
                } else {
                    seen.extend(numbers);
                    request.after = page.tickets.last().map(|(_, cursor)| cursor.to_string().parse().unwrap());
                }
                if !(if backward { page.has_previous } else { page.has_next }) {
                    break;
                }
                prop_assert_eq!(page.tickets.len(), limit);
            }
            let all = PageRequest { limit: rows.len(), after: None, before: None, backward: false, ..request };
            let whole: Vec<u32> = plainly(&view, &view.all, &all).tickets.iter().map(|(number, _)| *number).collect();
            prop_assert_eq!(&seen, &whole);
            prop_assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), rows.len());
        }
    }
}
