//! A Bloom filter over names, stored in seals: it says for certain that a volume does not hold a stream or a commit id.
//!
//! It is a row of lines of 64 bytes. A name belongs to one line, so a look-up is one small read and needs no memory; a line
//! is 60 bytes of bits and their CRC-32C, so a damaged one is no answer. Sixteen bits a name and eight probes give about one
//! false "maybe" in a thousand. The probes come from the name's SHA-256, so the filter means the same on every machine and
//! for ever.

use sha2::{Digest, Sha256};

/// Bytes of a line.
pub const LINE: usize = 64;
const BITS: usize = LINE - 4;
const BITS_PER_NAME: u64 = 16;
const PROBES: usize = 8;

/// Where a name is to be found.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    place: u64,
    bits: [u16; PROBES],
}

impl Probe {
    pub fn new(name: &[u8]) -> Self {
        let digest = Sha256::digest(name);
        let place = digest[..8].iter().fold(0_u64, |word, &byte| word << 8 | u64::from(byte));
        let bits =
            std::array::from_fn(|i| u16::from_be_bytes([digest[8 + 2 * i], digest[9 + 2 * i]]) % (BITS * 8) as u16);
        Self { place, bits }
    }

    /// Number of the name's line among so many.
    pub const fn line(&self, lines: u64) -> u64 {
        self.place % lines
    }

    /// False when the name is certainly not among those of its line.
    ///
    /// # Errors
    /// When the line is damaged.
    pub fn may_be_in(&self, line: &[u8; LINE]) -> Result<bool, String> {
        if crc32c::crc32c(&line[..BITS]).to_be_bytes() != line[BITS..] {
            return Err("a line of the filter is damaged".into());
        }
        Ok(self.bits.iter().all(|bit| line[usize::from(bit / 8)] & (1 << (bit % 8)) != 0))
    }
}

/// A filter over these names, as the bytes of its lines: at least one.
pub fn build<'a>(names: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
    let lines = (names.len() as u64 * BITS_PER_NAME).div_ceil(BITS as u64 * 8).max(1);
    let mut bytes = vec![0; lines as usize * LINE];
    for name in names {
        let probe = Probe::new(name);
        let start = probe.line(lines) as usize * LINE;
        for bit in probe.bits {
            bytes[start + usize::from(bit / 8)] |= 1 << (bit % 8);
        }
    }
    for line in bytes.chunks_exact_mut(LINE) {
        let sum = crc32c::crc32c(&line[..BITS]).to_be_bytes();
        line[BITS..].copy_from_slice(&sum);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(filter: &[u8], name: &[u8]) -> Result<bool, String> {
        let probe = Probe::new(name);
        let start = probe.line((filter.len() / LINE) as u64) as usize * LINE;
        probe.may_be_in(filter[start..start + LINE].try_into().unwrap())
    }

    #[test]
    fn every_name_is_found_and_few_others() {
        let names: Vec<[u8; 8]> = (0..10_000_u64).map(u64::to_be_bytes).collect();
        let filter = build(names.iter().map(<[u8; 8]>::as_slice));
        assert!(names.iter().all(|name| holds(&filter, name).unwrap()));
        let false_maybes = (10_000..110_000_u64).filter(|n| holds(&filter, &n.to_be_bytes()).unwrap()).count();
        assert!(false_maybes < 300, "{false_maybes} of 100000");
    }

    #[test]
    fn a_filter_over_nothing_holds_nothing() {
        let filter = build(std::iter::empty::<&[u8]>());
        assert_eq!(holds(&filter, b"name"), Ok(false));
    }

    #[test]
    fn a_damaged_line_is_no_answer() {
        let mut filter = build([b"name".as_slice()].into_iter());
        for byte in 0..filter.len() {
            filter[byte] ^= 4;
            assert!(holds(&filter, b"name").is_err());
            filter[byte] ^= 4;
        }
    }
}
