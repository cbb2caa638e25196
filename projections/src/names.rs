//! Small numbers for names, given in the order of first appearance, so that rows stay small and a rebuild gives the same.

use std::fmt;

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};

/// A name's number and back.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound(serialize = "K: Serialize + Ord + Clone", deserialize = "K: Deserialize<'de> + Ord + Clone"))]
pub struct Names<K> {
    names: Vector<K>,
    numbers: OrdMap<K, u32>,
}

impl<K> Default for Names<K> {
    fn default() -> Self {
        Self { names: Vector::default(), numbers: OrdMap::default() }
    }
}

impl<K: fmt::Debug> fmt::Debug for Names<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names.iter()).finish()
    }
}

impl<K: Ord + Clone> Names<K> {
    /// The number of a name, a new one when it has none.
    pub fn number(&mut self, name: &K) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push_back(name.clone());
        self.numbers.insert(name.clone(), number);
        number
    }

    /// The number of a name that was seen.
    pub fn find(&self, name: &K) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// The name of a number.
    pub fn name(&self, number: u32) -> Option<&K> {
        self.names.get(number as usize)
    }

    /// All names by number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &K)> {
        (0..).zip(self.names.iter())
    }
}
