//! How long something may take, in the words of whoever promises it.

use std::{fmt, str::FromStr};

use super::definition::Span;
use crate::text::serde_as_text;

/// How long a metric may take.
///
/// All three forms become one amount of working time when the clock starts, so that pauses give back what they took
/// whatever the form: a target in days and a pause of ten minutes are of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// So much working time, written `8h` or `1h30m`.
    Working(Span),
    /// The same time of day so many working days later, written `3bd`.
    BusinessDays(u16),
    /// The end of the working day, written `eod`, or of a later one, written `eod+2`.
    EndOfDay(u16),
}

impl Target {
    /// Most working days: ten years.
    pub const MAX_DAYS: u16 = 3660;

    /// True when it cannot be counted without a calendar.
    pub const fn needs_calendar(self) -> bool {
        matches!(self, Self::BusinessDays(_) | Self::EndOfDay(_))
    }
}

/// A text is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a target: write working time like 8h or 1h30m, working days like 3bd, or the end of the working day \
     like eod or eod+1; at most ten years"
)]
pub struct InvalidTarget(String);

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Working(span) => span.fmt(f),
            Self::BusinessDays(days) => write!(f, "{days}bd"),
            Self::EndOfDay(0) => f.write_str("eod"),
            Self::EndOfDay(days) => write!(f, "eod+{days}"),
        }
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;
    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let days = |text: &str| text.parse().ok().filter(|days| *days <= Self::MAX_DAYS);
        let read = || {
            if text == "eod" {
                return Some(Self::EndOfDay(0));
            }
            if let Some(after) = text.strip_prefix("eod+") {
                return days(after).map(Self::EndOfDay);
            }
            if let Some(count) = text.strip_suffix("bd") {
                return days(count).map(Self::BusinessDays);
            }
            text.parse().ok().map(Self::Working)
        };
        read().ok_or_else(|| InvalidTarget(text.chars().take(40).collect()))
    }
}

serde_as_text!(Target);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_back_from_its_text_and_a_century_is_refused() {
        for text in ["8h", "1h30m", "3bd", "eod", "eod+2"] {
            assert_eq!(text.parse::<Target>().map(|target| target.to_string()), Ok(text.to_owned()), "{text}");
        }
        for text in ["", "8", "bd", "4000bd", "eod-1", "eod+", "900000h"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
