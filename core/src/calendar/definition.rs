//! When a desk works: spans, hours of a day and of a week, days that recur every year, and calendars made of them. The same
//! form is stored in events and written in desk files.

use std::{fmt, str::FromStr};

use jiff::civil::{Date, Weekday};
use serde::{Deserialize, Serialize};

use crate::{ids::CalendarKey, text::serde_as_text, time::Timestamp};

/// A length of working or plain time, written like `8h`, `1h30m` or `45s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(i64);

impl Span {
    /// Longest span: ten years of 366 days.
    pub const MAX_MILLIS: i64 = 3660 * 86_400_000;

    /// So many milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// So many minutes.
    pub const fn minutes(minutes: i64) -> Self {
        Self(minutes * 60_000)
    }

    /// The length in milliseconds.
    pub const fn millis(self) -> i64 {
        self.0
    }
}

/// A text is no span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a length of time: write hours, minutes and seconds like 8h, 1h30m or 45s, at most ten years")]
pub struct InvalidSpan(String);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, seconds) = (if self.0 < 0 { "-" } else { "" }, self.0.abs() / 1000);
        let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        f.write_str(sign)?;
        match (h, m, s) {
            (0, 0, s) => write!(f, "{s}s"),
            (h, m, s) => {
                for (value, unit) in [(h, 'h'), (m, 'm'), (s, 's')] {
                    if value != 0 {
                        write!(f, "{value}{unit}")?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl FromStr for Span {
    type Err = InvalidSpan;
    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let invalid = || InvalidSpan(text.chars().take(40).collect());
        let (sign, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text),
        };
        let mut seconds: i64 = 0;
        let mut units = "hms";
        if rest.is_empty() {
            return Err(invalid());
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let value: i64 = rest[..digits].parse().map_err(|_| invalid())?;
            let unit = rest[digits..].chars().next().ok_or_else(invalid)?;
            // Each unit once, the larger before the smaller.
            let at = units.find(unit).ok_or_else(invalid)?;
            units = &units[at + 1..];
            let factor = match unit {
                'h' => 3600,
                'm' => 60,
                _ => 1,
            };
            seconds = value
                .checked_mul(factor)
                .and_then(|v| seconds.checked_add(v))
                .filter(|s| *s <= Self::MAX_MILLIS / 1000)
                .ok_or_else(invalid)?;
            rest = &rest[digits + unit.len_utf8()..];
        }
        Ok(Self(sign * seconds * 1000))
    }
}

/// Opening hours of a day: half-open, `09:00-17:30`. `24:00` is the end of the day; an end at or before the start lies on
/// the next day, and the whole interval belongs to the day on which it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hours {
    /// Minutes from midnight, 0 to 1439.
    pub open_min: u16,
    /// Minutes from midnight, 0 to 1440.
    pub close_min: u16,
}

impl Hours {
    /// Minutes from the day's midnight to the end, which may lie on the next day.
    pub const fn end_min(self) -> u16 {
        if self.close_min <= self.open_min { self.close_min + 1440 } else { self.close_min }
    }
}

/// A text is no interval of a day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an interval of a day: write it like 09:00-17:30 or 22:00-06:00; the last end is 24:00")]
pub struct InvalidHours(String);

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (o, c) = (self.open_min, self.close_min);
        write!(f, "{:02}:{:02}-{:02}:{:02}", o / 60, o % 60, c / 60, c % 60)
    }
}

impl FromStr for Hours {
    type Err = InvalidHours;
    fn from_str(text: &str) -> Result<Self, InvalidHours> {
        let minute = |time: &str| -> Option<u16> {
            let (h, m) = time.trim().split_once(':')?;
            let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            if !digits(h) || !digits(m) {
                return None;
            }
            let (h, m): (u16, u16) = (h.parse().ok()?, m.parse().ok()?);
            (m < 60 && h * 60 + m <= 1440).then_some(h * 60 + m)
        };
        let read = || {
            let (open, close) = text.split_once('-')?;
            let hours = Self { open_min: minute(open)?, close_min: minute(close)? };
            (hours.open_min < 1440 && hours.open_min != hours.close_min).then_some(hours)
        };
        read().ok_or_else(|| InvalidHours(text.chars().take(40).collect()))
    }
}

serde_as_text!(Span, Hours, YearlyRule);

/// Opening hours of a week.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WeekHours {
    /// Monday's intervals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub monday: Vec<Hours>,
    /// Tuesday's intervals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tuesday: Vec<Hours>,
    /// Wednesday's intervals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wednesday: Vec<Hours>,
    /// Thursday's intervals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub thursday: Vec<Hours>,
    /// Friday's intervals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub friday: Vec<Hours>,
    /// Saturday's intervals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub saturday: Vec<Hours>,
    /// Sunday's intervals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sunday: Vec<Hours>,
}

impl WeekHours {
    /// The days, Monday first.
    pub const fn days(&self) -> [&Vec<Hours>; 7] {
        [&self.monday, &self.tuesday, &self.wednesday, &self.thursday, &self.friday, &self.saturday, &self.sunday]
    }
}

/// A day without work that comes back every year, written like one of these:
///
/// - `12-25`: a month and a day; `02-29` comes in leap years only;
/// - `easter`, `easter-2`, `easter+50`: so many days from Easter Sunday of the Gregorian calendar;
/// - `first monday of may`, also with `second`, `third`, `fourth` and `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum YearlyRule {
    /// The same date.
    Date {
        /// From 1.
        month: i8,
        /// From 1.
        day: i8,
    },
    /// So many days after Easter Sunday; negative is before it.
    Easter(i16),
    /// The nth weekday of a month; -1 is the last one.
    Weekday {
        /// 1 to 4, or -1.
        nth: i8,
        /// Which day.
        weekday: Weekday,
        /// From 1.
        month: i8,
    },
}

const NTH: [(&str, i8); 5] = [("first", 1), ("second", 2), ("third", 3), ("fourth", 4), ("last", -1)];
const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];
const MONTHS: [(&str, i8); 12] = [
    ("january", 1),
    ("february", 2),
    ("march", 3),
    ("april", 4),
    ("may", 5),
    ("june", 6),
    ("july", 7),
    ("august", 8),
    ("september", 9),
    ("october", 10),
    ("november", 11),
    ("december", 12),
];

fn named<T: Copy>(names: &[(&str, T)], text: &str) -> Option<T> {
    names.iter().find(|(name, _)| *name == text).map(|(_, value)| *value)
}

fn name_of<T: Copy + PartialEq>(names: &[(&'static str, T)], wanted: T) -> &'static str {
    names.iter().find(|(_, value)| *value == wanted).map_or("", |(name, _)| name)
}

impl YearlyRule {
    /// True when the date is one of the rule's.
    pub fn holds_on(self, date: Date) -> bool {
        match self {
            Self::Date { month, day } => (date.month(), date.day()) == (month, day),
            // Early in January a rule of the year before may reach over, late in December one of the year after.
            Self::Easter(days) => (date.year() - 1..=date.year() + 1).any(|year| {
                easter(year).and_then(|easter| easter.checked_add(jiff::Span::new().days(days)).ok()) == Some(date)
            }),
            Self::Weekday { nth, weekday, month } => {
                date.month() == month
                    && date.weekday() == weekday
                    && date.nth_weekday_of_month(nth, weekday).is_ok_and(|nth| nth == date)
            }
        }
    }
}

/// Easter Sunday of the Gregorian calendar: the anonymous algorithm (Meeus, Astronomical Algorithms, chapter 8).
fn easter(year: i16) -> Option<Date> {
    let y = i32::from(year);
    let (a, b, c) = (y.rem_euclid(19), y.div_euclid(100), y.rem_euclid(100));
    let (d, e) = (b / 4, b % 4);
    let g = (b - (b + 8) / 25 + 1) / 3;
    let h = (19 * a + b - d - g + 15).rem_euclid(30);
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k).rem_euclid(7);
    let m = (a + 11 * h + 22 * l) / 451;
    let n = h + l - 7 * m + 114;
    Date::new(year, i8::try_from(n / 31).ok()?, i8::try_from(n % 31 + 1).ok()?).ok()
}

/// A text is no yearly rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a yearly rule: write it like 12-25, easter+1 or last monday of may")]
pub struct InvalidYearlyRule(String);

impl fmt::Display for YearlyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Date { month, day } => write!(f, "{month:02}-{day:02}"),
            Self::Easter(0) => f.write_str("easter"),
            Self::Easter(days) => write!(f, "easter{days:+}"),
            Self::Weekday { nth, weekday, month } => {
                let (nth, weekday) = (name_of(&NTH, *nth), name_of(&WEEKDAYS, *weekday));
                write!(f, "{nth} {weekday} of {}", name_of(&MONTHS, *month))
            }
        }
    }
}

impl FromStr for YearlyRule {
    type Err = InvalidYearlyRule;
    fn from_str(text: &str) -> Result<Self, InvalidYearlyRule> {
        let lower = text.trim().to_ascii_lowercase();
        let read = || {
            if let Some(days) = lower.strip_prefix("easter") {
                if days.is_empty() {
                    return Some(Self::Easter(0));
                }
                let signed = days.starts_with(['+', '-']);
                return days.parse().ok().filter(|days: &i16| signed && days.abs() <= 366).map(Self::Easter);
            }
            if let [nth, weekday, "of", month] = lower.split_whitespace().collect::<Vec<_>>()[..] {
                let (nth, month) = (named(&NTH, nth)?, named(&MONTHS, month)?);
                return Some(Self::Weekday { nth, weekday: named(&WEEKDAYS, weekday)?, month });
            }
            let (month, day) = lower.split_once('-')?;
            let two = |part: &str| (part.len() == 2).then(|| part.parse::<i8>().ok()).flatten();
            // A leap year has every day that any year has.
            let date = Date::new(2000, two(month)?, two(day)?).ok()?;
            Some(Self::Date { month: date.month(), day: date.day() })
        };
        read().ok_or_else(|| InvalidYearlyRule(text.chars().take(60).collect()))
    }
}

/// A day whose hours are not those of its weekday: a short day, or a Saturday that is worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionalDay {
    /// `YYYY-MM-DD` in the calendar's zone.
    pub date: String,
    /// Its hours; at least one interval. A day without work is a holiday.
    pub hours: Vec<Hours>,
}

/// When a desk works. What holds on a day: its exception, else nothing on a holiday, else the hours of its weekday.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarDefinition {
    /// Its key.
    pub key: CalendarKey,
    /// What people read.
    pub name: String,
    /// IANA name of the time zone, for example `Europe/London`.
    pub zone: String,
    /// From when this version is chosen for a ticket; before it the version before. From its definition on when absent.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::time::rfc3339")]
    pub valid_from: Option<Timestamp>,
    /// Days without work, `YYYY-MM-DD` in the calendar's zone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holidays: Vec<String>,
    /// Days without work that come back every year.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub yearly: Vec<YearlyRule>,
    /// The week.
    pub hours: WeekHours,
    /// Days with hours of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<ExceptionalDay>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_read_back_from_its_text() {
        for text in ["8h", "1h30m", "45s", "0s", "26h1s", "-30m"] {
            assert_eq!(text.parse::<Span>().map(|s| s.to_string()), Ok(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_span_without_unit_or_with_units_out_of_order_is_refused() {
        for text in ["8", "", "-", "30m1h", "1h1h", "3d", "99999999h", "1 h"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn hours_may_end_at_midnight_or_on_the_next_day() {
        assert_eq!("00:00-24:00".parse::<Hours>().map(Hours::end_min), Ok(1440));
        assert_eq!("22:00-06:00".parse::<Hours>().map(Hours::end_min), Ok(1800));
        for text in ["09:00-09:00", "24:00-25:00", "9-17", "09:60-10:00", "0900-1000"] {
            assert!(text.parse::<Hours>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_yearly_rule_is_read_back_from_its_text() {
        for text in
            ["12-25", "02-29", "easter", "easter-2", "easter+50", "last monday of may", "fourth thursday of november"]
        {
            assert_eq!(text.parse::<YearlyRule>().map(|rule| rule.to_string()), Ok(text.to_owned()), "{text}");
        }
        for text in ["", "25.12", "13-01", "02-30", "easter1", "easter+999", "fifth monday of may", "last monday may"] {
            assert!(text.parse::<YearlyRule>().is_err(), "{text}");
        }
    }

    #[test]
    fn movable_feasts_fall_on_the_days_of_the_almanac() {
        let falls = |rule: &str, date: &str| rule.parse::<YearlyRule>().unwrap().holds_on(date.parse().unwrap());
        for date in ["1961-04-02", "2000-04-23", "2016-03-27", "2024-03-31", "2025-04-20", "2026-04-05", "2038-04-25"] {
            assert!(falls("easter", date), "{date}");
        }
        assert!(falls("easter-2", "2016-03-25"));
        assert!(falls("easter+1", "2016-03-28"));
        assert!(falls("last monday of may", "2016-05-30"));
        assert!(!falls("last monday of may", "2016-05-23"));
        assert!(falls("fourth thursday of november", "2016-11-24"));
        assert!(falls("02-29", "2016-02-29"));
    }
}
