//! What each part of a desk is. The same form is stored in events and written in desk files.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    ids::{AgentKey, CalendarKey, CategoryKey, FieldKey, Key, PolicyKey, QueueKey, StatusKey, TeamKey, TrackKey},
    ticket::{Channel, Priority, SlaMetric, StatusCategory, StatusRef},
};

fn is_false(value: &bool) -> bool {
    !*value
}

/// A status and what it means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusDefinition {
    /// Its key.
    pub key: StatusKey,
    /// What agents read.
    pub name: String,
    /// What customers read; the same as `name` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_name: Option<String>,
    /// What it means.
    pub category: StatusCategory,
    /// The status that stands for its category when none is named.
    #[serde(default, skip_serializing_if = "is_false")]
    pub default: bool,
}

/// A queue that tickets wait in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueDefinition {
    /// Its key.
    pub key: QueueKey,
    /// What people read.
    pub name: String,
    /// The team that works on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamKey>,
    /// An assigned ticket returns to the queue when its assignee does nothing for so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_after: Option<Span>,
    /// The calendar in which that time is counted; round the clock when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_calendar: Option<CalendarKey>,
    /// Tickets for which nobody named a queue wait here.
    #[serde(default, skip_serializing_if = "is_false")]
    pub default: bool,
}

/// A team of agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamDefinition {
    /// Its key.
    pub key: TeamKey,
    /// What people read.
    pub name: String,
}

/// Somebody who works on tickets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentDefinition {
    /// The agent's key.
    pub key: AgentKey,
    /// What people read.
    pub name: String,
    /// The teams that the agent belongs to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<TeamKey>,
}

/// What tickets are about, as a tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryDefinition {
    /// Its key.
    pub key: CategoryKey,
    /// What people read.
    pub name: String,
    /// The category above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<CategoryKey>,
}

/// Types of custom fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Free text of at most 4,000 characters.
    Text,
    /// A whole number.
    Integer,
    /// Yes or no.
    Boolean,
    /// A calendar date.
    Date,
    /// An instant.
    Instant,
    /// One of the options.
    Choice,
    /// Any of the options.
    Choices,
}

/// A custom field. Its type is never changed; a field of another type is another field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldDefinition {
    /// Its key.
    pub key: FieldKey,
    /// What people read.
    pub name: String,
    /// Type of its values.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// What may be chosen, for `choice` and `choices`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

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

macro_rules! serde_as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = crate::ids::Text::deserialize(deserializer)?.0;
                text.parse().map_err(D::Error::custom)
            }
        }
    )*};
}
serde_as_text!(Span, Hours);

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

/// When a desk works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarDefinition {
    /// Its key.
    pub key: CalendarKey,
    /// What people read.
    pub name: String,
    /// IANA name of the time zone, for example `Europe/London`.
    pub zone: String,
    /// Days without work, `YYYY-MM-DD` in the calendar's zone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holidays: Vec<String>,
    /// The week.
    pub hours: WeekHours,
}

/// What a reopening does to a clock that a resolution had stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReopenRule {
    /// The clock goes on as if it had never stopped: the time while it was resolved counts.
    Continue,
    /// The clock goes on with what was left: the time while it was resolved does not count.
    #[default]
    Resume,
    /// A new clock with the whole target starts; the old one keeps its result.
    Restart,
}

/// A target: how long a metric may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Target(pub Span);

/// Targets by priority; `default` holds for those not named. Without either, the metric is not measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Targets {
    /// For every priority that is not named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Target>,
    /// For urgent tickets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub urgent: Option<Target>,
    /// For tickets of high priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<Target>,
    /// For tickets of normal priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normal: Option<Target>,
    /// For tickets of low priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<Target>,
}

impl Targets {
    /// The target of tickets with this priority.
    pub fn of(&self, priority: Priority) -> Option<Target> {
        match priority {
            Priority::Low => self.low,
            Priority::Normal => self.normal,
            Priority::High => self.high,
            Priority::Urgent => self.urgent,
        }
        .or(self.default)
    }

    /// Every target that is set.
    pub fn iter(&self) -> impl Iterator<Item = Target> {
        [self.default, self.urgent, self.high, self.normal, self.low].into_iter().flatten()
    }
}

/// Which tickets a policy is for: every list that is not empty must hold the ticket's value.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyFilter {
    /// Queues.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<QueueKey>,
    /// Priorities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub priorities: Vec<Priority>,
    /// Categories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<CategoryKey>,
    /// Channels of the opening.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
}

impl PolicyFilter {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Raise the ticket to a level some time before or after a deadline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escalation {
    /// The metric whose deadline counts.
    pub metric: SlaMetric,
    /// Plain time from the deadline; negative is before it.
    pub after: Span,
    /// The level, from 1.
    pub level: u8,
}

fn default_track() -> TrackKey {
    TrackKey::from(Key::from_name("sla"))
}

/// What a desk promises.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDefinition {
    /// Its key.
    pub key: PolicyKey,
    /// What people read.
    pub name: String,
    /// Policies of one track compete for a ticket and the first that matches wins; tracks are measured side by side, for
    /// example what customers were promised and what teams promise each other.
    #[serde(default = "default_track")]
    pub track: TrackKey,
    /// Place among the policies, smallest first. A desk file numbers them as they stand.
    #[serde(default)]
    pub order: u32,
    /// The calendar in which time is counted; round the clock when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<CalendarKey>,
    /// Statuses, by key or by the name of their category, in which the resolution clock stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pause: Vec<Key>,
    /// What a reopening does.
    #[serde(default)]
    pub reopen: ReopenRule,
    /// Warn so long (plain time) before a deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_before: Option<Span>,
    /// Which tickets it is for.
    #[serde(default, skip_serializing_if = "PolicyFilter::is_empty")]
    pub when: PolicyFilter,
    /// How long the first response may take.
    #[serde(default)]
    pub first_response: Targets,
    /// How long the resolution may take.
    #[serde(default)]
    pub resolution: Targets,
    /// What follows around deadlines, in the order of the levels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalations: Vec<Escalation>,
}

impl PolicyDefinition {
    /// The targets of a metric.
    pub const fn targets(&self, metric: SlaMetric) -> &Targets {
        match metric {
            SlaMetric::FirstResponse => &self.first_response,
            SlaMetric::Resolution => &self.resolution,
        }
    }

    /// True when the resolution clock stands in this status.
    pub fn pauses_in(&self, status: &StatusRef) -> bool {
        self.pause.iter().any(|key| key.as_str() == status.key.as_str() || key.as_str() == status.category.name())
    }
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
}
