//! Names of things: positions in the log, streams, tickets, and the keys a desk chooses for its own parts.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};
use ulid::Ulid;

use crate::{text::Text, time::Timestamp};

/// Place of a commit in the whole log. The first commit is 1; places have no gaps and are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(u64);

impl Position {
    /// Before the first commit: where a reader stands that has seen nothing.
    pub const START: Self = Self(0);

    /// The position with this number; 0 is [`Position::START`].
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number itself.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The next place.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// True for [`Position::START`].
    pub const fn is_start(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text is not the name it was given as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// A key has a length of 1 to 64 bytes.
    #[error("a key has 1 to 64 characters, this one has {0}")]
    KeyLength(usize),
    /// A key is made of lower-case letters, digits, `-`, `_` and `.`, and starts with a letter or digit.
    #[error("{0:?} is not a key: use lower-case letters, digits, '-', '_' and '.', and start with a letter or a digit")]
    KeyCharacters(String),
    /// An id is a ULID: 26 characters of Crockford's base 32.
    #[error("{0:?} is not an id: an id is a ULID of 26 characters")]
    Ulid(String),
    /// A stream is written `kind` or `kind:ULID`.
    #[error("{0:?} is not a stream: expected a kind such as desk, or a kind and an id such as ticket:ULID")]
    Stream(String),
}

/// The short name that a desk's administrator chooses for a part of the desk, for example `billing`.
///
/// It never changes, while the display name beside it may.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// Longest key, in bytes.
    pub const MAX_LEN: usize = 64;

    /// Checks the text and makes it a key.
    ///
    /// # Errors
    /// When it is empty, longer than 64 bytes, or has other characters than `a-z 0-9 - _ .`.
    pub fn try_new(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(InvalidName::KeyLength(text.len()));
        }
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        if !good(bytes[0]) || !bytes.iter().all(|&b| good(b) || matches!(b, b'-' | b'_' | b'.')) {
            return Err(InvalidName::KeyCharacters(text.chars().take(80).collect()));
        }
        Ok(Self(text.into()))
    }

    /// A key made from any display name: `Group 70` becomes `group-70`. Names without a single usable character, and
    /// those whose key would lose too much, get a key from their hash.
    pub fn from_name(name: &str) -> Self {
        let mut slug = String::with_capacity(name.len());
        for c in name.chars() {
            if c.is_ascii_alphanumeric() {
                slug.push(c.to_ascii_lowercase());
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
        }
        let slug = slug.trim_end_matches('-');
        if slug.is_empty() || slug.len() > 48 {
            return Self::from_hash(name);
        }
        Self(slug.into())
    }

    /// A key for a name whose plain [`Key::from_name`] is already used by another name.
    pub fn from_hash(name: &str) -> Self {
        let digest = Sha256::digest(name.as_bytes());
        let mut text = String::from("x-");
        for byte in &digest[..8] {
            text.push_str(&format!("{byte:02x}"));
        }
        Self(text.into())
    }

    /// The text of the key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Key {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::try_new(text)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?.0;
        Self::try_new(&text).map_err(D::Error::custom)
    }
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Key);

        impl $name {
            /// Checks the text and makes it a key.
            ///
            /// # Errors
            /// As [`Key::try_new`].
            pub fn try_new(text: &str) -> Result<Self, InvalidName> {
                Key::try_new(text).map(Self)
            }

            /// The text of the key.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl From<Key> for $name {
            fn from(key: Key) -> Self {
                Self(key)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::try_new(text)
            }
        }
    )*};
}

keys! {
    /// Key of a queue.
    QueueKey,
    /// Key of a team.
    TeamKey,
    /// Key of an agent.
    AgentKey,
    /// Key of a status.
    StatusKey,
    /// Key of a category.
    CategoryKey,
    /// Key of a custom field.
    FieldKey,
    /// Key of a business calendar.
    CalendarKey,
    /// Key of an SLA policy.
    PolicyKey,
    /// Key of a track: policies of one track compete for a ticket, those of different tracks do not.
    TrackKey,
}

macro_rules! ulids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ulid);

        impl $name {
            /// The id with this value.
            pub const fn new(value: Ulid) -> Self {
                Self(value)
            }

            /// An id that depends on nothing but its arguments, for input that may be read twice.
            pub fn derived(at: Timestamp, parts: &[&str]) -> Self {
                Self(derived_ulid(at, stringify!($name), parts))
            }

            /// The value.
            pub const fn ulid(self) -> Ulid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Ulid::from_string(text)
                    .map(Self)
                    .map_err(|_| InvalidName::Ulid(text.chars().take(40).collect()))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Text::deserialize(deserializer)?.0;
                text.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

ulids! {
    /// Id of a ticket. People use its number; programs use this.
    TicketId,
    /// Id of a customer.
    CustomerId,
    /// Id of a message, note or call within a conversation.
    MessageId,
    /// Id of a commit, chosen by whoever submits it: the same id is stored once, for ever.
    CommitId,
    /// Id shared by everything that one request from outside led to.
    CorrelationId,
    /// Id of an access token (not the secret itself).
    TokenId,
}

/// Time first, so that ids sort by age; then 80 bits of SHA-256 over the kind and the length-prefixed parts.
fn derived_ulid(at: Timestamp, kind: &str, parts: &[&str]) -> Ulid {
    let mut hash = Sha256::new();
    for part in std::iter::once(&kind).chain(parts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let mut random = [0_u8; 16];
    random[6..].copy_from_slice(&digest[..10]);
    let millis = u64::try_from(at.millis()).unwrap_or(0);
    Ulid::from_parts(millis, u128::from_be_bytes(random))
}

/// The history of one thing. Optimistic checks and order inside a decision are per stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamId {
    /// The configuration of the whole desk. One stream, so that one `apply` is one commit.
    Desk,
    /// Who may come in: tokens issued and revoked.
    Access,
    /// One ticket.
    Ticket(TicketId),
    /// One customer.
    Customer(CustomerId),
    /// Keyed requests that led to no commit of another stream: answers that changed nothing.
    Requests,
    /// What the bearer of one auditor's token read.
    Reads(TokenId),
    /// A stream of a kind that a newer program brought in. It is read past and never written.
    Unknown(UnknownStream),
}

/// The name of a kind of something that this program does not know: at most fourteen lower-case letters or `_`, as every
/// version names its kinds, so that what a newer program wrote is told from damage.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindName {
    /// The name, filled up with zeroes.
    bytes: [u8; Self::MAX],
}

impl KindName {
    /// Longest name in bytes. With it a stream's id is no larger than that of a ticket's stream (and there are millions).
    pub const MAX: usize = 14;

    /// The name of a kind; `None` when the text is none.
    pub fn parse(text: &str) -> Option<Self> {
        let sound = !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let mut bytes = [0; Self::MAX];
        bytes.get_mut(..text.len()).filter(|_| sound)?.copy_from_slice(text.as_bytes());
        Some(Self { bytes })
    }

    /// The text of the name.
    pub fn as_str(&self) -> &str {
        let len = self.bytes.iter().position(|b| *b == 0).unwrap_or(Self::MAX);
        // Nothing but ASCII letters gets in.
        std::str::from_utf8(&self.bytes[..len]).unwrap_or_default()
    }
}

impl fmt::Debug for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The name of a stream whose kind this program does not know: `kind` or `kind:ULID`, as streams of every version are
/// written, so that a newer log is told from a damaged one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnknownStream {
    id: Ulid,
    kind: KindName,
    /// One of several of its kind; `id` means nothing otherwise.
    is_one_of_many: bool,
}

impl UnknownStream {
    fn parse(text: &str) -> Option<Self> {
        let (kind, id, is_one_of_many) = match text.split_once(':') {
            None => (text, Ulid::default(), false),
            Some((kind, id)) => (kind, Ulid::from_string(id).ok()?, true),
        };
        Some(Self { id, kind: KindName::parse(kind)?, is_one_of_many })
    }

    /// The kind.
    pub fn kind(&self) -> &str {
        self.kind.as_str()
    }

    /// Which one of its kind, when there are several.
    pub const fn id(&self) -> Option<Ulid> {
        if self.is_one_of_many { Some(self.id) } else { None }
    }
}

impl fmt::Display for UnknownStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        self.id().map_or(Ok(()), |id| write!(f, ":{id}"))
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Desk => f.write_str("desk"),
            Self::Access => f.write_str("access"),
            Self::Ticket(id) => write!(f, "ticket:{id}"),
            Self::Customer(id) => write!(f, "customer:{id}"),
            Self::Requests => f.write_str("requests"),
            Self::Reads(id) => write!(f, "reads:{id}"),
            Self::Unknown(stream) => stream.fmt(f),
        }
    }
}

impl FromStr for StreamId {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text.split_once(':') {
            None if text == "desk" => Ok(Self::Desk),
            None if text == "access" => Ok(Self::Access),
            None if text == "requests" => Ok(Self::Requests),
            Some(("ticket", id)) => id.parse().map(Self::Ticket),
            Some(("customer", id)) => id.parse().map(Self::Customer),
            Some(("reads", id)) => id.parse().map(Self::Reads),
            Some(_) | None => UnknownStream::parse(text)
                .map(Self::Unknown)
                .ok_or_else(|| InvalidName::Stream(text.chars().take(80).collect())),
        }
    }
}

impl Serialize for StreamId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StreamId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?.0;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_name_becomes_a_readable_key() {
        assert_eq!(Key::from_name("Group 70").as_str(), "group-70");
        assert_eq!(Key::from_name("  Oki-Toki / 2nd line ").as_str(), "oki-toki-2nd-line");
        assert!(Key::try_new(Key::from_name("Поддръжка").as_str()).is_ok());
    }

    #[test]
    fn a_key_with_capitals_or_blanks_is_refused() {
        assert!(matches!(Key::try_new("Billing"), Err(InvalidName::KeyCharacters(_))));
        assert!(matches!(Key::try_new(""), Err(InvalidName::KeyLength(0))));
        assert!(matches!(Key::try_new(&"a".repeat(65)), Err(InvalidName::KeyLength(65))));
    }

    #[test]
    fn a_stream_is_read_back_from_its_text() {
        let id = TicketId::derived(Timestamp::from_millis(1_456_720_800_000), &["source", "INC1"]);
        let reads = StreamId::Reads(TokenId::new(id.ulid()));
        for stream in [StreamId::Desk, StreamId::Access, StreamId::Ticket(id), StreamId::Requests, reads] {
            assert_eq!(stream.to_string().parse::<StreamId>(), Ok(stream));
        }
        assert!("ticket:nonsense".parse::<StreamId>().is_err());
    }

    #[test]
    fn the_name_of_a_stream_stays_small_for_there_are_millions() {
        assert_eq!(size_of::<StreamId>(), 32);
    }

    #[test]
    fn a_stream_of_a_newer_kind_keeps_its_name_and_nonsense_is_none() {
        for text in ["organisation:01ARZ3NDEKTSV4RRFFQ69G5FAV", "macros", "knowledge_base:01ARZ3NDEKTSV4RRFFQ69G5FAV"] {
            let stream: StreamId = text.parse().unwrap();
            assert!(matches!(stream, StreamId::Unknown(_)), "{text}");
            assert_eq!(stream.to_string(), text);
        }
        for text in ["", ":", "Organisation", "organisation:x", "a kind", "a_kind_that_is_too_long", "desk:01"] {
            assert!(text.parse::<StreamId>().is_err(), "{text}");
        }
        let longest: StreamId = "abcdefghijklmn:01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
        let StreamId::Unknown(stream) = longest else { panic!("{longest}") };
        assert_eq!((stream.kind(), stream.id().is_some()), ("abcdefghijklmn", true));
    }

    #[test]
    fn a_derived_id_depends_on_how_its_parts_are_cut() {
        let at = Timestamp::from_millis(0);
        assert_eq!(TicketId::derived(at, &["a", "b"]), TicketId::derived(at, &["a", "b"]));
        assert_ne!(TicketId::derived(at, &["ab", ""]), TicketId::derived(at, &["a", "b"]));
        assert_ne!(TicketId::derived(at, &["a"]).ulid(), CommitId::derived(at, &["a"]).ulid());
    }
}
