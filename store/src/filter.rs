//! A Bloom filter over names, stored in seals: it says for certain that a volume does not hold a stream or a commit id.
//!
//! Ten bits a name and seven probes give less than one false "maybe" in a hundred. The probes come from the name's
//! SHA-256, so the filter means the same on every machine and for ever.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const BITS_PER_NAME: u64 = 10;
const PROBES: usize = 7;

/// Says "certainly not" or "maybe".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameFilter {
    /// Sixty-four bits each.
    words: Vec<u64>,
}

impl NameFilter {
    /// A filter over these names.
    pub fn new<'a>(names: impl ExactSizeIterator<Item = &'a [u8]>) -> Self {
        let bits = (names.len() as u64).max(1) * BITS_PER_NAME;
        let mut filter = Self { words: vec![0; bits.div_ceil(64) as usize] };
        for name in names {
            for bit in filter.probes(name) {
                filter.words[(bit / 64) as usize] |= 1 << (bit % 64);
            }
        }
        filter
    }

    /// False when the name is certainly not among those of the filter.
    pub fn may_hold(&self, name: &[u8]) -> bool {
        !self.words.is_empty()
            && self.probes(name).into_iter().all(|bit| self.words[(bit / 64) as usize] & (1 << (bit % 64)) != 0)
    }

    /// Double hashing over the first two eight-byte words of the digest.
    fn probes(&self, name: &[u8]) -> [u64; PROBES] {
        let digest = Sha256::digest(name);
        let word = |at: usize| digest[at..at + 8].iter().fold(0_u64, |word, &byte| word << 8 | u64::from(byte));
        let (first, step) = (word(0), word(8) | 1);
        let bits = self.words.len() as u64 * 64;
        std::array::from_fn(|i| first.wrapping_add(step.wrapping_mul(i as u64)) % bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_few_others() {
        let names: Vec<[u8; 8]> = (0..10_000_u64).map(u64::to_be_bytes).collect();
        let filter = NameFilter::new(names.iter().map(<[u8; 8]>::as_slice));
        assert!(names.iter().all(|name| filter.may_hold(name)));
        let false_maybes = (10_000..20_000_u64).filter(|n| filter.may_hold(&n.to_be_bytes())).count();
        assert!(false_maybes < 200, "{false_maybes} of 10000");
    }
}
