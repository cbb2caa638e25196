//! Sets of ticket numbers as compressed bitmaps, shared between copies in chunks of 65,536 numbers: a change copies one
//! chunk (8 KiB at most), not the set.

use std::sync::Arc;

use roaring::{MultiOps, RoaringBitmap};
use serde::{Deserialize, Serialize};

/// A set of ticket numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TicketSet {
    /// By the upper 16 bits of the number; each holds whole numbers.
    chunks: Vec<Arc<RoaringBitmap>>,
}

impl TicketSet {
    /// Adds a number.
    pub fn insert(&mut self, number: u32) {
        let chunk = chunk_of(number);
        if self.chunks.len() <= chunk {
            self.chunks.resize_with(chunk + 1, Arc::default);
        }
        if let Some(chunk) = self.chunks.get_mut(chunk) {
            Arc::make_mut(chunk).insert(number);
        }
    }

    /// Takes a number out.
    pub fn remove(&mut self, number: u32) {
        if let Some(chunk) = self.chunks.get_mut(chunk_of(number)) {
            Arc::make_mut(chunk).remove(number);
        }
        // The same members always give the same bytes.
        while self.chunks.last().is_some_and(|chunk| chunk.is_empty()) {
            self.chunks.pop();
        }
    }

    /// True when the number is in it.
    pub fn contains(&self, number: u32) -> bool {
        self.chunks.get(chunk_of(number)).is_some_and(|chunk| chunk.contains(number))
    }

    /// How many numbers it has.
    pub fn len(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }

    /// True when it is the very same set, not only one with the same members: that is known without looking at them.
    pub fn is_same(&self, other: &Self) -> bool {
        self.chunks.len() == other.chunks.len() && self.chunks.iter().zip(&other.chunks).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// True when it has none.
    pub fn is_empty(&self) -> bool {
        self.chunks.iter().all(|chunk| chunk.is_empty())
    }

    /// How many numbers are in both.
    pub fn intersection_len(&self, other: &Self) -> u64 {
        self.chunks.iter().zip(&other.chunks).map(|(a, b)| a.intersection_len(b)).sum()
    }

    /// The numbers that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let chunks = self.chunks.iter().zip(&other.chunks).map(|(a, b)| Arc::new(a.as_ref() & b.as_ref()));
        Self { chunks: chunks.collect() }
    }

    /// The numbers that are in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let (long, short) = if self.chunks.len() >= other.chunks.len() { (self, other) } else { (other, self) };
        let mut chunks = long.chunks.clone();
        for (into, from) in chunks.iter_mut().zip(&short.chunks) {
            *Arc::make_mut(into) |= from.as_ref();
        }
        Self { chunks }
    }

    /// The numbers that are in any of several, put together at once: that costs a pass for each, not for each so far.
    #[must_use]
    pub fn union_of<'a>(sets: impl IntoIterator<Item = &'a Self>) -> Self {
        let sets: Vec<&Self> = sets.into_iter().collect();
        if let [one] = sets[..] {
            return one.clone();
        }
        let chunks = sets.iter().map(|set| set.chunks.len()).max().unwrap_or(0);
        let union = |at| Arc::new(sets.iter().filter_map(|set| set.chunks.get(at)).map(AsRef::as_ref).union());
        Self { chunks: (0..chunks).map(union).collect() }
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// The numbers above one, ascending.
    pub fn iter_after(&self, number: u32) -> impl Iterator<Item = u32> + '_ {
        self.chunks[chunk_of(number).min(self.chunks.len())..]
            .iter()
            .flat_map(move |chunk| chunk.range((std::ops::Bound::Excluded(number), std::ops::Bound::Unbounded)))
    }

    /// The numbers below one, descending.
    pub fn iter_before(&self, number: u32) -> impl Iterator<Item = u32> + '_ {
        let end = (chunk_of(number) + 1).min(self.chunks.len());
        self.chunks[..end].iter().rev().flat_map(move |chunk| chunk.range(..number).rev())
    }
}

const fn chunk_of(number: u32) -> usize {
    (number >> 16) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(numbers: &BTreeSet<u32>) -> TicketSet {
        let mut set = TicketSet::default();
        numbers.iter().for_each(|number| set.insert(*number));
        set
    }

    proptest! {
        #[test]
        fn a_ticket_set_is_a_set(a in prop::collection::btree_set(0..300_000_u32, 0..60), b in prop::collection::btree_set(0..300_000_u32, 0..60), at in 0..300_000_u32) {
            let (x, y) = (set(&a), set(&b));
            prop_assert!(x.iter().eq(a.iter().copied()));
            prop_assert!(x.intersection(&y).iter().eq(a.intersection(&b).copied()));
            prop_assert_eq!(x.intersection_len(&y), a.intersection(&b).count() as u64);
            prop_assert!(x.union(&y).iter().eq(a.union(&b).copied()));
            prop_assert_eq!(TicketSet::union_of([&x, &y, &x]), x.union(&y));
            prop_assert!(x.iter_after(at).eq(a.iter().copied().filter(|n| *n > at)));
            prop_assert!(x.iter_before(at).eq(a.iter().rev().copied().filter(|n| *n < at)));
            let mut emptied = x.union(&y);
            b.iter().for_each(|n| emptied.remove(*n));
            let left: BTreeSet<u32> = a.difference(&b).copied().collect();
            prop_assert_eq!(emptied.len(), left.len() as u64);
            prop_assert_eq!(emptied, set(&left));
        }
    }
}
