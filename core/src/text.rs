//! Things that are stored as text: how they are read without a copy.
//!
//! What belongs here is about the form only; what the text means is in the file of the thing.

use std::borrow::Cow;

use serde::Deserialize;

/// What is written as text and read as something else. The text is borrowed where the format allows it: a bare `Cow` always
/// makes a copy, and a log has dozens of such texts in each commit.
#[derive(Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Stores what can be shown and parsed as its text.
macro_rules! serde_as_text {
    ($($name:ident),*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <$crate::text::Text<'_> as serde::Deserialize>::deserialize(deserializer)?.0;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
pub(crate) use serde_as_text;
