//! Desk files: TOML, with holidays from iCalendar feeds written out.

use std::path::Path;

use docket_core::desk::DeskConfig;
use toml::{Table, Value};

use crate::{holidays, toml_error::one_line};

/// Largest feed that is read.
const MAX_FEED_BYTES: u64 = 4 << 20;

/// Reads a desk file. A calendar may have `icalendar`: the text of a feed, or the path of one, relative to `dir`; its days
/// join the calendar's holidays. Without `dir` only texts are taken.
///
/// # Errors
/// In one line, with the place.
pub fn parse(text: &str, dir: Option<&Path>) -> Result<DeskConfig, String> {
    let mut table: Table = toml::from_str(text).map_err(|error| one_line(text, &error))?;
    let mut fed = false;
    for calendar in table.get_mut("calendar").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(calendar) = calendar.as_table_mut() else { continue };
        let Some(feed) = calendar.remove("icalendar") else { continue };
        fed = true;
        let key = calendar.get("key").and_then(Value::as_str).unwrap_or_default().to_owned();
        let place = |problem: &str| format!("calendar {key}: icalendar: {problem}");
        let feed = feed.as_str().ok_or_else(|| place("give the text of a feed, or the path of a file"))?;
        let zone = calendar.get("zone").and_then(Value::as_str).unwrap_or_default().to_owned();
        let feed = read(feed, dir).map_err(|problem| place(&problem))?;
        let dates = holidays::dates(&feed, &zone).map_err(|problem| place(&problem))?;
        let holidays = calendar.entry("holidays").or_insert_with(|| Value::Array(vec![]));
        let holidays = holidays.as_array_mut().ok_or_else(|| place("holidays must be a list"))?;
        for date in dates.into_iter().map(Value::String) {
            if !holidays.contains(&date) {
                holidays.push(date);
            }
        }
    }
    if fed {
        // The text has changed, so the place is a path instead of a line.
        table.try_into().map_err(|error: toml::de::Error| {
            let told = error.to_string();
            match told.trim().split_once("\nin `") {
                Some((problem, place)) => format!("{}: {}", place.trim_end_matches('`'), problem.replace('\n', "; ")),
                None => told.trim().replace('\n', "; "),
            }
        })
    } else {
        // From the text, so that an error names its line.
        toml::from_str(text).map_err(|error| one_line(text, &error))
    }
}

fn read(feed: &str, dir: Option<&Path>) -> Result<String, String> {
    if feed.trim_start().starts_with("BEGIN:VCALENDAR") {
        return Ok(feed.trim_start().replace("\r\n", "\n").replace('\n', "\r\n"));
    }
    if feed.trim().is_empty() || feed.contains('\n') {
        return Err("it is no iCalendar text, which starts with BEGIN:VCALENDAR, nor the path of a file".into());
    }
    if feed.contains("://") {
        return Err("feeds are not fetched: save it to a file and give its path".into());
    }
    let dir = dir.ok_or("it must be the text of a feed, which starts with BEGIN:VCALENDAR")?;
    let path = dir.join(feed);
    let told = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    if std::fs::metadata(&path).map_err(told)?.len() > MAX_FEED_BYTES {
        return Err(format!("{} has more than {MAX_FEED_BYTES} bytes", path.display()));
    }
    std::fs::read_to_string(&path).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEED: &str = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nBEGIN:VEVENT\nUID:1\nDTSTART;VALUE=DATE:20261225\nEND:VEVENT\nEND:VCALENDAR\n";

    fn desk(icalendar: &str) -> String {
        format!(
            "name = \"d\"\n[[calendar]]\nkey = \"office\"\nname = \"Office\"\nzone = \"Europe/London\"\nholidays = [\"2026-01-01\"]\n\
             icalendar = '''{icalendar}'''\n[calendar.hours]\nmonday = [\"09:00-17:00\"]\n"
        )
    }

    #[test]
    fn the_days_of_a_feed_join_the_holidays_whether_it_is_a_text_or_a_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("days.ics"), FEED.replace('\n', "\r\n")).unwrap();
        for (feed, dir) in [(FEED, None), ("days.ics", Some(dir.path()))] {
            let desk = parse(&desk(feed), dir).unwrap();
            assert_eq!(desk.calendars[0].holidays, ["2026-01-01", "2026-12-25"]);
        }
    }

    #[test]
    fn a_feed_that_cannot_be_read_names_its_calendar() {
        let error = parse(&desk("missing.ics"), Some(Path::new("/"))).unwrap_err();
        assert!(error.contains("calendar office: icalendar: cannot read /missing.ics"), "{error}");
        for (feed, word) in [
            ("hello\nworld", "no iCalendar text"),
            ("", "no iCalendar text"),
            ("https://example.com/a.ics", "not fetched"),
        ] {
            let error = parse(&desk(feed), Some(Path::new("/"))).unwrap_err();
            assert!(error.contains(word) && error.lines().count() == 1, "{error}");
        }
        let wrong = desk(FEED).replace("\"09:00-17:00\"", "\"nine to five\"");
        let error = parse(&wrong, None).unwrap_err();
        assert!(error.contains("calendar") && error.contains("nine to five") && error.lines().count() == 1, "{error}");
        let error = parse(&desk("days.ics"), None).unwrap_err();
        assert!(error.contains("BEGIN:VCALENDAR"), "{error}");
        let error = parse(&desk(&FEED.replace("20261225", "2026")), None).unwrap_err();
        assert!(error.contains("calendar office") && error.contains("not a date"), "{error}");
    }

    #[test]
    fn a_desk_file_without_a_feed_tells_the_line_of_an_error() {
        let error = parse("name = \"d\"\nqueues = 1\n", None).unwrap_err();
        assert!(error.contains("line 2"), "{error}");
    }
}
