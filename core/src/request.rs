//! What is kept of requests that carry an idempotency key: a fingerprint of what was asked, and the answers to those that
//! led to no other commit.
//!
//! A key names a commit (its id is derived from the key and whoever sent it), and the commit carries the fingerprint. The
//! same key with the same request is answered with what that commit did; with another request it is refused, and never
//! answered with somebody else's success.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};

use crate::{
    event::family::event_family,
    ids::{Position, StreamId},
    text::Text,
};

/// Stands for one request: the operation and its input. 128 bits of SHA-256, so two requests never have the same one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint of an operation and its input in a canonical form: the same wish must always give the same text.
    pub fn of(operation: &str, canonical_input: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [operation, canonical_input] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hash.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?.0;
        let wrong = || D::Error::custom("a fingerprint is 32 hexadecimal digits");
        if text.len() != 32 {
            return Err(wrong());
        }
        let mut bytes = [0; 16];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

event_family! {
    /// What keyed requests led to that is no event of anything else.
    RequestEvent {
        /// A keyed request was answered and nothing had to be done: it was so already. Its key holds all the same, so that a
        /// late repetition does not undo what others did since.
        RequestAnswered = 1 {
            /// What it was about.
            stream: StreamId,
            /// The stream's version that the answer was given on.
            version: Position,
        }
        /// Somebody asked, with a key, to apply all policies anew. The tickets' commits have ids of their own, derived from
        /// this one's.
        ReapplicationBegun = 1 {
            /// Version of the desk whose policies are applied.
            desk_version: Position,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_depends_on_operation_input_and_where_one_ends() {
        let one = Fingerprint::of("ticketReply", "{\"body\":\"x\"}");
        assert_eq!(one, Fingerprint::of("ticketReply", "{\"body\":\"x\"}"));
        assert_ne!(one, Fingerprint::of("ticketReply", "{\"body\":\"y\"}"));
        assert_ne!(one, Fingerprint::of("ticketAddNote", "{\"body\":\"x\"}"));
        assert_ne!(Fingerprint::of("ab", "c"), Fingerprint::of("a", "bc"));
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<Fingerprint>(&text).unwrap(), one);
        assert!(serde_json::from_str::<Fingerprint>("\"00\"").is_err());
    }
}
