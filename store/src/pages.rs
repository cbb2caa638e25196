//! The index of a sealed volume: sorted entries of a name and a position, in pages that prove what they do not hold.
//!
//! A page is kept under its lower bound. Its payload is lower bound, upper bound (the next page's lower bound; `ff…` in the
//! last one), then the entries; around it is a frame with its checksum. So a name that is in no entry of the page whose
//! bounds enclose it is in no entry at all, and a page that is lost or damaged is found out instead of looking like a
//! volume that does not hold the name.

use docket_core::ids::Position;

use crate::journal::{frame, unframe};

/// Entries of a page: it stays small beside what sled puts into one leaf.
const ENTRIES: usize = 64;

/// The pages of these entries, whose names are sorted and of one length: key and value for the database.
pub fn build<const N: usize>(entries: &[([u8; N], Position)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pages = Vec::with_capacity(entries.len().div_ceil(ENTRIES).max(1));
    let mut lower = [0; N];
    let mut chunks = entries.chunks(ENTRIES).peekable();
    // A volume without entries still proves that it has none.
    let mut chunk = chunks.next().unwrap_or_default();
    loop {
        let upper = chunks.peek().and_then(|next| next.first()).map_or([0xff; N], |(name, _)| *name);
        let mut payload = Vec::with_capacity(2 * N + chunk.len() * (N + 8));
        payload.extend_from_slice(&lower);
        payload.extend_from_slice(&upper);
        for (name, position) in chunk {
            payload.extend_from_slice(name);
            payload.extend_from_slice(&position.get().to_be_bytes());
        }
        pages.push((lower.to_vec(), frame(&payload)));
        lower = upper;
        chunk = match chunks.next() {
            Some(next) => next,
            None => return pages,
        };
    }
}

/// Looks a name up in the page that was found for it.
///
/// # Errors
/// When the page is damaged or is not the one that encloses the name.
pub fn look_up<const N: usize>(page: &[u8], wanted: &[u8; N]) -> Result<Option<Position>, String> {
    let payload = unframe(page)?;
    let (lower, rest) = payload.split_first_chunk::<N>().ok_or("a page of its index is too short")?;
    let (upper, entries) = rest.split_first_chunk::<N>().ok_or("a page of its index is too short")?;
    // No name is all ones: ULIDs end long before.
    if wanted < lower || wanted >= upper {
        return Err("a page of its index is missing".into());
    }
    if entries.len() % (N + 8) != 0 {
        return Err("a page of its index is cut off".into());
    }
    let found = entries.chunks_exact(N + 8).find(|entry| entry[..N] == wanted[..]);
    Ok(found.and_then(|entry| entry[N..].try_into().ok()).map(u64::from_be_bytes).map(Position::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(n: u64) -> Vec<([u8; 8], Position)> {
        (0..n).map(|n| ((n * 2 + 1).to_be_bytes(), Position::new(n + 1))).collect()
    }

    fn find(pages: &[(Vec<u8>, Vec<u8>)], name: u64) -> Result<Option<Position>, String> {
        let name = name.to_be_bytes();
        let (_, page) = pages.iter().rev().find(|(lower, _)| lower[..] <= name[..]).ok_or("none")?;
        look_up(page, &name)
    }

    #[test]
    fn what_is_in_the_index_is_found_and_what_is_not_is_proven_absent() {
        for n in [0, 1, 63, 64, 65, 200] {
            let pages = build(&entries(n));
            for (name, position) in entries(n) {
                assert_eq!(find(&pages, u64::from_be_bytes(name)), Ok(Some(position)));
                assert_eq!(find(&pages, u64::from_be_bytes(name) - 1), Ok(None));
            }
            assert_eq!(find(&pages, 1_000_000), Ok(None));
        }
    }

    #[test]
    fn a_lost_page_does_not_look_like_a_missing_name() {
        let mut pages = build(&entries(200));
        pages.remove(1);
        assert!(find(&pages, 64 * 2 + 1).is_err());
        pages.remove(0);
        assert!(find(&pages, 3).is_err());
    }
}
