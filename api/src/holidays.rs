//! Holidays out of iCalendar (RFC 5545): every whole day of every event, with what recurs written out.
//!
//! The log stores dates, not feeds: a deadline can be derived again without the feed, and a feed that changes is applied
//! again as a new version of the calendar.

use std::collections::{BTreeMap, BTreeSet};

use icalendar::parser::{Component, Property, read_calendar, unfold};
use jiff::{Span, civil::Date, tz::TimeZoneDatabase};
use rrule::RRuleSet;

/// Dates that one calendar may take from a feed: its definition has to fit into one event.
const MAX_DATES: usize = 4_000;
/// What recurs without an end is written out up to this day.
const HORIZON: &str = "21000101T000000Z";
/// A recurrence is written out up to so many times.
const MAX_RECURRENCES: u16 = 2_000;
/// A holiday longer than this is a mistake.
const MAX_DAYS: i64 = 366;

/// The dates of a feed's events, `YYYY-MM-DD`, in order.
///
/// # Errors
/// When the text is no iCalendar, an event covers a part of a day, names a zone that is not known or not the calendar's, or
/// recurs too often. The message names the event.
pub fn dates(text: &str, zone: &str) -> Result<Vec<String>, String> {
    let unfolded = unfold(text);
    let calendar = read_calendar(&unfolded)
        .map_err(|_| "it cannot be read as iCalendar: a text from BEGIN:VCALENDAR to END:VCALENDAR".to_owned())?;
    let events: Vec<_> = calendar.components.iter().filter(|component| component.name == "VEVENT").collect();
    if events.is_empty() {
        return Err("it has no VEVENT: nothing in it is a holiday".into());
    }
    // An instance that was moved replaces the one that its rule gives.
    let mut moved: BTreeMap<&str, Vec<Date>> = BTreeMap::new();
    for event in &events {
        if let (Some(uid), Some(instance)) = (value(event, "UID"), event.find_prop("RECURRENCE-ID")) {
            moved.entry(uid).or_default().push(date(instance, zone).map_err(|problem| named(event, &problem))?);
        }
    }
    let mut dates = BTreeSet::new();
    for event in events.iter().filter(|event| value(event, "STATUS") != Some("CANCELLED")) {
        let is_instance = event.find_prop("RECURRENCE-ID").is_some();
        let moved = value(event, "UID").filter(|_| !is_instance).and_then(|uid| moved.get(uid));
        let of_event = days(event, moved.map_or(&[], Vec::as_slice), zone).map_err(|problem| named(event, &problem))?;
        dates.extend(of_event);
        if dates.len() > MAX_DATES {
            return Err(format!("it has more than {MAX_DATES} days: leave out what is long past"));
        }
    }
    Ok(dates.iter().map(ToString::to_string).collect())
}

fn named(event: &Component<'_>, problem: &str) -> String {
    let name = value(event, "SUMMARY").or_else(|| value(event, "UID")).unwrap_or("without a name");
    let name: String = name.chars().take(80).collect();
    format!("event {name:?}: {problem}")
}

fn value<'a>(event: &'a Component<'_>, name: &str) -> Option<&'a str> {
    event.find_prop(name).map(|property| property.val.as_str())
}

/// Every day of an event.
fn days(event: &Component<'_>, moved: &[Date], zone: &str) -> Result<BTreeSet<Date>, String> {
    let start = date(event.find_prop("DTSTART").ok_or("it has no DTSTART")?, zone)?;
    let length = match (event.find_prop("DTEND"), value(event, "DURATION")) {
        (Some(end), _) => {
            let days = i64::from(start.until(date(end, zone)?).map_err(|error| error.to_string())?.get_days());
            if days < 0 {
                return Err("it ends before it starts".into());
            }
            // Some programs write the same day as start and end.
            days.max(1)
        }
        (None, Some(duration)) => duration
            .strip_prefix('P')
            .and_then(|rest| match rest.split_at_checked(rest.len().saturating_sub(1))? {
                (days, "D") => days.parse::<i64>().ok(),
                (weeks, "W") => weeks.parse::<i64>().ok().map(|weeks| weeks.saturating_mul(7)),
                _ => None,
            })
            .filter(|days| *days > 0)
            .ok_or_else(|| format!("its DURATION {duration:?} is not of whole days, like P1D"))?,
        (None, None) => 1,
    };
    if length > MAX_DAYS {
        return Err(format!("it lasts {length} days; a holiday has at most {MAX_DAYS}"));
    }
    let mut days = BTreeSet::new();
    for first in starts(event, start, moved, zone)? {
        for offset in 0..length {
            days.insert(first.checked_add(Span::new().days(offset)).map_err(|error| error.to_string())?);
        }
    }
    Ok(days)
}

/// The days on which an event starts: its own, and those of its recurrence.
fn starts(event: &Component<'_>, start: Date, moved: &[Date], zone: &str) -> Result<BTreeSet<Date>, String> {
    let mut starts = BTreeSet::from([start]);
    let rules = event.properties.iter().filter(|property| property.name == "RRULE");
    for rule in rules {
        starts.extend(recurrences(start, rule.val.as_str())?);
    }
    for property in &event.properties {
        match property.name.as_str() {
            "RDATE" => starts.extend(date_list(property, zone)?),
            "EXRULE" => return Err("EXRULE is not supported: write the exceptions as EXDATE".into()),
            _ => {}
        }
    }
    for property in event.properties.iter().filter(|property| property.name == "EXDATE") {
        for date in date_list(property, zone)? {
            starts.remove(&date);
        }
    }
    moved.iter().for_each(|date| _ = starts.remove(date));
    Ok(starts)
}

fn recurrences(start: Date, rule: &str) -> Result<Vec<Date>, String> {
    let compact = start.strftime("%Y%m%d").to_string();
    // The days are reckoned at midnight UTC, in which every day has one; an end given as a date means that whole day.
    let parts: Vec<String> = rule
        .split(';')
        .map(|part| match part.strip_prefix("UNTIL=") {
            Some(until) => format!("UNTIL={}T235959Z", until.get(..8).unwrap_or(until)),
            None => part.to_owned(),
        })
        .collect();
    if parts.iter().any(|part| ["FREQ=HOURLY", "FREQ=MINUTELY", "FREQ=SECONDLY"].contains(&part.as_str())) {
        return Err("it recurs within a day: only whole days can be holidays".into());
    }
    let text = format!("DTSTART:{compact}T000000Z\nRRULE:{}", parts.join(";"));
    let set: RRuleSet = text.parse().map_err(|error| format!("its RRULE {rule:?} cannot be read: {error}"))?;
    let horizon = format!("DTSTART:{HORIZON}\nRRULE:FREQ=DAILY;COUNT=1");
    let horizon: RRuleSet = horizon.parse().map_err(|error| format!("the horizon cannot be read: {error}"))?;
    let all = set.before(*horizon.get_dt_start()).all(MAX_RECURRENCES);
    if all.limited {
        return Err(format!(
            "its RRULE {rule:?} gives more than {MAX_RECURRENCES} days: a weekly day off belongs into the hours of the week"
        ));
    }
    all.dates
        .iter()
        .map(|at| at.format("%Y-%m-%d").to_string().parse().map_err(|_| "a date is out of range".into()))
        .collect()
}

fn date_list(property: &Property<'_>, zone: &str) -> Result<Vec<Date>, String> {
    property.val.as_str().split(',').map(|text| date_of(property, text, zone)).collect()
}

fn date(property: &Property<'_>, zone: &str) -> Result<Date, String> {
    date_of(property, property.val.as_str(), zone)
}

/// The date that a property names: a date, or midnight in the calendar's zone.
fn date_of(property: &Property<'_>, text: &str, zone: &str) -> Result<Date, String> {
    let parameter = |name: &str| {
        property.params.iter().find(|parameter| parameter.key == name).and_then(|parameter| parameter.val.as_ref())
    };
    if let Some(named) = parameter("TZID") {
        let named = named.as_str().trim_matches('"');
        if TimeZoneDatabase::bundled().get(named).is_err() {
            return Err(format!("its time zone {named:?} is not known: use an IANA name such as Europe/London"));
        }
        if !named.eq_ignore_ascii_case(zone) {
            return Err(format!("its time zone is {named}, that of the calendar {zone}: give whole days (VALUE=DATE)"));
        }
    }
    let (day, time) = text.split_once('T').map_or((text, None), |(day, time)| (day, Some(time)));
    if time.is_some_and(|time| time != "000000") {
        let name = property.name.as_str();
        return Err(format!(
            "its {name} {text:?} lies within a day: only whole days can be holidays; write a short day as an exception"
        ));
    }
    let digits = day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit());
    let part = |range: std::ops::Range<usize>| day.get(range).filter(|_| digits).and_then(|part| part.parse().ok());
    let date = part(0..4).zip(part(4..6)).zip(part(6..8)).and_then(|((year, month), day): ((i16, i16), i16)| {
        Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
    });
    date.ok_or_else(|| format!("{text:?} is not a date like 20261225"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(events: &str) -> Result<Vec<String>, String> {
        let events = events.replace('\n', "\r\n");
        dates(
            &format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:test\r\n{events}\r\nEND:VCALENDAR\r\n"),
            "Europe/London",
        )
    }

    fn event(lines: &str) -> Result<Vec<String>, String> {
        feed(&format!("BEGIN:VEVENT\nUID:1\nSUMMARY:Day off\n{lines}\nEND:VEVENT"))
    }

    #[test]
    fn every_whole_day_of_an_event_is_a_holiday() {
        assert_eq!(event("DTSTART;VALUE=DATE:20261225").unwrap(), ["2026-12-25"]);
        let two = ["2026-12-25", "2026-12-26"];
        assert_eq!(event("DTSTART;VALUE=DATE:20261225\nDTEND;VALUE=DATE:20261227").unwrap(), two);
        assert_eq!(event("DTSTART;VALUE=DATE:20261225\nDURATION:P2D").unwrap(), two);
        let midnight = "DTSTART;TZID=Europe/London:20261225T000000\nDTEND;TZID=Europe/London:20261227T000000";
        assert_eq!(event(midnight).unwrap(), two);
    }

    #[test]
    fn what_recurs_is_written_out_with_its_exceptions_and_moved_instances() {
        let yearly = event("DTSTART;VALUE=DATE:20261225\nRRULE:FREQ=YEARLY;COUNT=3").unwrap();
        assert_eq!(yearly, ["2026-12-25", "2027-12-25", "2028-12-25"]);
        let until =
            event("DTSTART;VALUE=DATE:20260525\nRRULE:FREQ=YEARLY;BYMONTH=5;BYDAY=-1MO;UNTIL=20280529").unwrap();
        assert_eq!(until, ["2026-05-25", "2027-05-31", "2028-05-29"]);
        let but = "DTSTART;VALUE=DATE:20261225\nRRULE:FREQ=YEARLY;COUNT=3\nEXDATE;VALUE=DATE:20271225\nRDATE;VALUE=DATE:20300101";
        assert_eq!(event(but).unwrap(), ["2026-12-25", "2028-12-25", "2030-01-01"]);
        let moved = feed(
            "BEGIN:VEVENT\nUID:1\nDTSTART;VALUE=DATE:20261226\nRRULE:FREQ=YEARLY;COUNT=2\nEND:VEVENT\n\
             BEGIN:VEVENT\nUID:1\nRECURRENCE-ID;VALUE=DATE:20261226\nDTSTART;VALUE=DATE:20261228\nEND:VEVENT\n\
             BEGIN:VEVENT\nUID:2\nSTATUS:CANCELLED\nDTSTART;VALUE=DATE:20260101\nEND:VEVENT",
        );
        assert_eq!(moved.unwrap(), ["2026-12-28", "2027-12-26"]);
    }

    #[test]
    fn a_recurrence_without_an_end_is_finite_or_refused() {
        let yearly = event("DTSTART;VALUE=DATE:20261225\nRRULE:FREQ=YEARLY").unwrap();
        assert_eq!((yearly.len(), yearly.last().unwrap().as_str()), (74, "2099-12-25"));
        let daily = event("DTSTART;VALUE=DATE:20261225\nRRULE:FREQ=DAILY").unwrap_err();
        assert!(daily.contains("Day off") && daily.contains("hours of the week"), "{daily}");
        assert!(event("DTSTART;VALUE=DATE:20261225\nRRULE:FREQ=SECONDLY").unwrap_err().contains("within a day"));
        // A rule that never holds ends, too.
        let never = event("DTSTART;VALUE=DATE:20260131\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31");
        assert!(never.is_err() || never.unwrap() == ["2026-01-31"]);
    }

    #[test]
    fn what_is_no_whole_day_of_the_calendar_is_refused_by_name() {
        for (lines, word) in [
            ("DTSTART;TZID=Mars/Base:20261225T000000", "not known"),
            ("DTSTART;TZID=Asia/Tokyo:20261225T000000", "that of the calendar"),
            ("DTSTART:20261225T120000Z", "within a day"),
            ("DTSTART;VALUE=DATE:2026-12-25", "not a date"),
            ("DTSTART;VALUE=DATE:20261301", "not a date"),
            ("DTSTART;VALUE=DATE:20261225\nDURATION:PT4H", "whole days"),
            ("DTSTART;VALUE=DATE:20261225\nDTEND;VALUE=DATE:20261224", "ends before"),
            ("DTSTART;VALUE=DATE:20260101\nDTEND;VALUE=DATE:20280101", "at most"),
            ("DTSTART;VALUE=DATE:20261225\nRRULE:FREQ=SOMETIMES", "cannot be read"),
            ("DESCRIPTION:nothing", "no DTSTART"),
        ] {
            let error = event(lines).unwrap_err();
            assert!(error.contains(word) && error.contains("Day off"), "{lines}: {error}");
        }
        assert!(feed("").unwrap_err().contains("no VEVENT"));
        assert!(dates("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", "Europe/London").unwrap_err().contains("END:VCALENDAR"));
        assert!(dates("holidays: none", "Europe/London").unwrap_err().contains("BEGIN:VCALENDAR"));
    }
}
