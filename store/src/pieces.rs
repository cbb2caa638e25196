//! Takes MessagePack apart without asking what it means: where a value of an unknown form begins and ends, others can be read
//! around it.

use serde::{Deserialize, de::IgnoredAny};

/// The bytes of the next value, which are taken from the front; `None` when no whole value stands there.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let before = *rest;
    IgnoredAny::deserialize(&mut rmp_serde::Deserializer::new(&mut *rest)).ok()?;
    Some(&before[..before.len() - rest.len()])
}

/// True when the bytes are one whole map and nothing else.
pub fn is_map(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    rmp::decode::read_map_len(&mut rest).is_ok() && {
        let mut rest = bytes;
        take(&mut rest).is_some() && rest.is_empty()
    }
}

/// The value of this name in a map.
pub fn entry<'a>(map: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut rest = map;
    for _ in 0..rmp::decode::read_map_len(&mut rest).ok()? {
        let (key, value) = (take(&mut rest)?, take(&mut rest)?);
        if rmp_serde::from_slice::<&str>(key).is_ok_and(|key| key == name) {
            return Some(value);
        }
    }
    None
}

/// The elements of an array.
pub fn elements(array: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = array;
    let length = rmp::decode::read_array_len(&mut rest).ok()?;
    (0..length).map(|_| take(&mut rest)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_and_cut_out_whatever_stands_around_it() {
        let bytes = rmp_serde::to_vec_named(&serde_json::json!({
            "before": { "deep": [1, "two", null, -3.5] }, "wanted": [1, { "a": [] }, "x"], "after": true
        }))
        .unwrap();
        assert!(is_map(&bytes) && !is_map(&bytes[..bytes.len() - 1]) && !is_map(&[&bytes[..], &[0xc0]].concat()));
        let wanted = entry(&bytes, "wanted").unwrap();
        assert!(!is_map(wanted) && entry(&bytes, "absent").is_none());
        let parts = elements(wanted).unwrap();
        assert_eq!(parts, [&[1][..], &[0x81, 0xa1, b'a', 0x90], &[0xa1, b'x']]);
        assert!(elements(&bytes).is_none() && elements(&wanted[..wanted.len() - 1]).is_none());
    }

    #[test]
    fn a_length_that_is_not_there_costs_nothing() {
        // An array of four thousand million elements, and a map of as many.
        assert!(elements(&[0xdd, 0xff, 0xff, 0xff, 0xff, 1]).is_none());
        assert!(
            !is_map(&[0xdf, 0xff, 0xff, 0xff, 0xff, 1]) && entry(&[0xdf, 0xff, 0xff, 0xff, 0xff, 1], "a").is_none()
        );
    }
}
