//! Instants in whole milliseconds.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An instant: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// Held between the years 1900 and 2200, so that arithmetic on it can neither overflow nor leave the range of the
/// time-zone library: results outside are brought to the nearest end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub struct Timestamp(i64);

impl From<i64> for Timestamp {
    fn from(millis: i64) -> Self {
        Self::from_millis(millis)
    }
}

impl From<Timestamp> for i64 {
    fn from(at: Timestamp) -> Self {
        at.0
    }
}

impl Timestamp {
    /// 1900-01-01T00:00:00Z.
    pub const MIN: Self = Self(-2_208_988_800_000);
    /// 2200-01-01T00:00:00Z.
    pub const MAX: Self = Self(7_258_118_400_000);

    /// The instant with this many milliseconds since 1970, brought into the range of the type.
    pub const fn from_millis(millis: i64) -> Self {
        if millis < Self::MIN.0 {
            Self::MIN
        } else if millis > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This instant moved by so many milliseconds.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this instant; negative when it is later.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// Reads RFC 3339, for example `2026-11-22T09:00:00Z` or `2026-11-22T11:00:00+02:00`.
    ///
    /// # Errors
    /// When the text is no such instant, or lies outside the years 1900 to 2200.
    pub fn parse(text: &str) -> Result<Self, InvalidTimestamp> {
        let invalid = || InvalidTimestamp(text.chars().take(60).collect());
        let at: jiff::Timestamp = text.trim().parse().map_err(|_| invalid())?;
        let millis = at.as_millisecond();
        if !(Self::MIN.0..=Self::MAX.0).contains(&millis) {
            return Err(invalid());
        }
        Ok(Self(millis))
    }

    pub(crate) fn to_jiff(self) -> jiff::Timestamp {
        // In range by construction; the fallback is never taken.
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    pub(crate) fn from_jiff(at: jiff::Timestamp) -> Self {
        Self::from_millis(at.as_millisecond())
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with exactly three fraction digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.to_jiff())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An instant that people write: RFC 3339, for `#[serde(with = "...")]` on an `Option<Timestamp>`.
pub(crate) mod rfc3339 {
    use serde::{Deserializer, Serializer, de::Error as _};

    use super::Timestamp;
    use crate::text::Text;

    /// Writes it as text.
    pub(crate) fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => serializer.collect_str(at),
            None => serializer.serialize_none(),
        }
    }

    /// Reads it from text.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        let text: Text<'de> = serde::Deserialize::deserialize(deserializer)?;
        Timestamp::parse(&text.0).map(Some).map_err(D::Error::custom)
    }
}

/// A text is not an instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an instant: write it like 2026-11-22T09:00:00Z, between the years 1900 and 2200")]
pub struct InvalidTimestamp(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_printed_in_utc_with_three_digits() {
        let at = Timestamp::parse("2026-11-22T11:00:00.5+02:00").unwrap();
        assert_eq!(at.to_string(), "2026-11-22T09:00:00.500Z");
        assert_eq!(Timestamp::parse(&at.to_string()), Ok(at));
    }

    #[test]
    fn a_date_without_zone_is_no_instant() {
        assert!(Timestamp::parse("2026-11-22T11:00:00").is_err());
        assert!(Timestamp::parse("9999-01-01T00:00:00Z").is_err());
    }

    #[test]
    fn arithmetic_stops_at_the_ends() {
        assert_eq!(Timestamp::MAX.plus_millis(i64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::from_millis(i64::MIN), Timestamp::MIN);
    }
}
