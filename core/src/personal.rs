//! Text that identifies a person, kept in a type of its own so that it can later be sealed in one place.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A value that identifies a person or was written by one. Stored as it is today; it never appears in `Debug` output,
/// so that it does not reach the logs by accident.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Personal<T>(T);

impl<T> Personal<T> {
    /// Marks the value as personal.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for someone who has the right to see it.
    pub const fn reveal(&self) -> &T {
        &self.0
    }

    /// The value itself.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Personal(..)")
    }
}

impl From<&str> for Personal<String> {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// The text of a message, note or call: short ones stand in the event, long ones in the content store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// The text itself, at most [`Body::MAX_INLINE`] bytes.
    Inline(Personal<String>),
    /// SHA-256 (hexadecimal) and length in bytes of a text in the content store.
    Stored {
        /// SHA-256 of the UTF-8 text, hexadecimal: its name in the content store.
        sha256: String,
        /// Length of the text in bytes.
        bytes: u64,
    },
}

impl Body {
    /// Longest text that stands in an event, in bytes.
    pub const MAX_INLINE: usize = 16 * 1024;
    /// Longest text at all, in bytes.
    pub const MAX: usize = 1024 * 1024;

    /// A short text. Longer ones belong in the content store; `decide` refuses them here.
    pub fn inline(text: &str) -> Self {
        Self::Inline(text.into())
    }

    /// Length of the text in bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Inline(text) => text.reveal().len() as u64,
            Self::Stored { bytes, .. } => *bytes,
        }
    }
}
