//! Global ids and connections, after relay.dev. Ids are a type's prefix and the thing's own id or key.

use std::{collections::BTreeMap, str::FromStr};

use async_graphql::{Error, ID, SimpleObject};

use super::error::bad_input;

/// Elements of a page when nothing is said.
pub const DEFAULT_PAGE: usize = 20;
/// Elements of a page at most.
pub const MAX_PAGE: usize = 100;

/// A global id.
pub fn global_id(kind: &str, key: impl std::fmt::Display) -> ID {
    ID(format!("{kind}_{key}"))
}

/// The own id in a global id of this kind.
pub fn local_id<T: FromStr>(kind: &str, id: &ID) -> Option<T> {
    id.strip_prefix(kind)?.strip_prefix('_')?.parse().ok()
}

/// What a page counts for in the complexity of an operation.
pub fn page_size(first: Option<i32>, last: Option<i32>) -> usize {
    let wanted = first.or(last).and_then(|count| usize::try_from(count).ok());
    wanted.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE)
}

/// Where a page stands among its neighbours.
#[derive(SimpleObject, Debug, Clone, Default)]
pub struct PageInfo {
    /// Something comes after the last element of the page.
    pub has_next_page: bool,
    /// Something comes before the first element of the page.
    pub has_previous_page: bool,
    /// Cursor of the first element.
    pub start_cursor: Option<String>,
    /// Cursor of the last element.
    pub end_cursor: Option<String>,
}

/// The arguments of a connection, checked.
#[derive(Debug, Clone, Default)]
pub struct Paging {
    /// How many at most.
    pub limit: usize,
    /// Only what comes after it.
    pub after: Option<String>,
    /// Only what comes before it.
    pub before: Option<String>,
    /// The last ones instead of the first.
    pub backward: bool,
}

impl Paging {
    /// Checks `first`, `after`, `last` and `before`.
    pub fn new(
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Self, Error> {
        let (name, count) = match (first, last) {
            (Some(_), Some(_)) => return Err(bad_input("give either first or last, not both")),
            (first, None) => ("first", first),
            (None, last) => ("last", last),
        };
        let limit = match count {
            None => DEFAULT_PAGE,
            Some(count) => usize::try_from(count)
                .ok()
                .filter(|count| *count <= MAX_PAGE)
                .ok_or_else(|| bad_input(format!("{name} is {count}, it must be from 0 to {MAX_PAGE}")))?,
        };
        Ok(Self { limit, after, before, backward: last.is_some() })
    }

    /// A page of a list in the order of its keys. A key keeps its place when its element is gone: that holds only for a list
    /// that is sorted by them, so it takes nothing else.
    pub fn of_list<T>(&self, list: BTreeMap<String, T>) -> Result<Slice<T>, Error> {
        let key = |cursor: &Option<String>| match cursor {
            None => Ok(None),
            Some(cursor) => match list_key(cursor) {
                None => Err(bad_input("not a cursor: pass one back as it was given out")),
                key => Ok(key),
            },
        };
        let (after, before) = (key(&self.after)?, key(&self.before)?);
        let total = list.len();
        let up_to = |key: String| list.range(..=key).count();
        let start = after.map_or(0, up_to);
        let end = before.map_or(total, |key| list.range(..key).count());
        // A page between two places that overlap is empty; it stands at the one that it starts from.
        let (start, end) = if self.backward { (start.min(end), end) } else { (start, end.max(start)) };
        let taken = (end - start).min(self.limit);
        let first = if self.backward { end - taken } else { start };
        let page = list.into_iter().skip(first).take(taken);
        Ok(Slice {
            has_previous: first > 0,
            has_next: first + taken < total,
            elements: page.map(|(key, element)| (list_cursor(&key), element)).collect(),
            total,
        })
    }
}

/// A page of a list with the cursors of its elements.
#[derive(Debug)]
pub struct Slice<T> {
    /// Cursors and elements.
    pub elements: Vec<(String, T)>,
    /// Elements of the whole list.
    pub total: usize,
    /// More comes after.
    pub has_next: bool,
    /// More comes before.
    pub has_previous: bool,
}

fn list_cursor(key: &str) -> String {
    hex::encode(format!("1:{key}"))
}

fn list_key(cursor: &str) -> Option<String> {
    let plain = String::from_utf8(hex::decode(cursor).ok()?).ok()?;
    plain.strip_prefix("1:").map(str::to_owned)
}

/// Declares a connection, its edge, and how both are made from a [`Slice`].
macro_rules! connection {
    ($connection:ident, $edge:ident, $node:ty, $what:literal) => {
        #[doc = concat!("A page of ", $what, ".")]
        #[derive(async_graphql::SimpleObject)]
        pub struct $connection {
            /// The elements with their cursors.
            pub edges: Vec<$edge>,
            /// The elements alone.
            pub nodes: Vec<$node>,
            /// Where the page stands.
            pub page_info: crate::graphql::relay::PageInfo,
            /// How many there are in all.
            pub total_count: i32,
        }

        #[doc = concat!("One of ", $what, " with its cursor.")]
        #[derive(async_graphql::SimpleObject)]
        pub struct $edge {
            /// Its place; pass it as `after` or `before`.
            pub cursor: String,
            /// The element.
            pub node: $node,
        }

        impl From<crate::graphql::relay::Slice<$node>> for $connection {
            fn from(slice: crate::graphql::relay::Slice<$node>) -> Self {
                let page_info = crate::graphql::relay::PageInfo {
                    has_next_page: slice.has_next,
                    has_previous_page: slice.has_previous,
                    start_cursor: slice.elements.first().map(|(cursor, _)| cursor.clone()),
                    end_cursor: slice.elements.last().map(|(cursor, _)| cursor.clone()),
                };
                let nodes = slice.elements.iter().map(|(_, node)| node.clone()).collect();
                let edges = slice.elements.into_iter().map(|(cursor, node)| $edge { cursor, node }).collect();
                let total_count = i32::try_from(slice.total).unwrap_or(i32::MAX);
                Self { edges, nodes, page_info, total_count }
            }
        }
    };
}
pub(crate) use connection;

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> BTreeMap<String, u32> {
        (0..10).map(|n| (format!("key-{n}"), n)).collect()
    }

    fn numbers(slice: &Slice<u32>) -> Vec<u32> {
        slice.elements.iter().map(|(_, n)| *n).collect()
    }

    #[test]
    fn a_list_is_walked_forwards_and_backwards() {
        let first = Paging::new(Some(3), None, None, None).unwrap().of_list(list()).unwrap();
        assert_eq!((numbers(&first), first.has_next, first.has_previous), (vec![0, 1, 2], true, false));
        let after = Some(first.elements[2].0.clone());
        let second = Paging::new(Some(3), after.clone(), None, None).unwrap().of_list(list()).unwrap();
        assert_eq!((numbers(&second), second.has_previous), (vec![3, 4, 5], true));
        let back = Paging::new(None, None, Some(2), after).unwrap().of_list(list()).unwrap();
        assert_eq!((numbers(&back), back.has_next, back.has_previous), (vec![0, 1], true, false));
        let mut list_without = list();
        list_without.remove("key-2");
        let cursor = Some(first.elements[2].0.clone());
        let gone = Paging::new(None, cursor.clone(), Some(20), None).unwrap().of_list(list_without.clone()).unwrap();
        assert_eq!((numbers(&gone), gone.has_previous), ((3..10).collect(), true));
        let gone = Paging::new(Some(20), None, None, cursor.clone()).unwrap().of_list(list_without).unwrap();
        assert_eq!((numbers(&gone), gone.has_next), (vec![0, 1], true));
        // Nothing lies between a place and itself; both sides of it are there.
        let none = Paging::new(Some(20), cursor.clone(), None, cursor).unwrap().of_list(list()).unwrap();
        assert_eq!((numbers(&none), none.has_previous, none.has_next), (vec![], true, true));
        let last = Paging::new(None, None, Some(2), None).unwrap().of_list(list()).unwrap();
        assert_eq!((numbers(&last), last.has_next), (vec![8, 9], false));
    }

    #[test]
    fn a_page_of_nothing_too_much_or_from_nowhere() {
        assert!(Paging::new(Some(0), None, None, None).unwrap().of_list(list()).unwrap().elements.is_empty());
        assert!(Paging::new(Some(-1), None, None, None).is_err());
        assert!(Paging::new(Some(101), None, None, None).is_err());
        assert!(Paging::new(Some(1), None, Some(1), None).is_err());
        assert!(Paging::new(Some(1), Some("%%".into()), None, None).unwrap().of_list(list()).is_err());
    }

    #[test]
    fn a_global_id_is_read_only_by_its_own_kind() {
        let id = global_id("queue", "billing");
        assert_eq!(local_id::<String>("queue", &id).as_deref(), Some("billing"));
        assert_eq!(local_id::<String>("team", &id), None);
    }
}
