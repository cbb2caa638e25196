//! When a row happened: instants as another system writes them. Time is checked, not trusted.

use docket_core::time::Timestamp;
use jiff::{
    Zoned,
    civil::date,
    fmt::strtime::{self, BrokenDownTime},
    tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase},
};
use serde::Deserialize;

use super::mapping::MappingError;

/// Instants with an offset, as RFC 3339 has them.
const RFC_3339: &str = "rfc3339";

/// How instants are written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeFormat {
    /// As for strptime, for example `%d/%m/%Y %H:%M`, with `%z`, `%:z` or `%Q` where the text has an offset or a zone and `%s` for
    /// seconds since 1970; `rfc3339` for instants with an offset. Several in a list are tried in their order.
    pub format: Formats,
    /// IANA name of the zone of instants that say none.
    #[serde(default = "utc")]
    pub zone: String,
}

/// One format, or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "a format of instants, or a list of formats")]
pub enum Formats {
    /// The only one.
    One(String),
    /// Tried in their order.
    Several(Vec<String>),
}

impl Formats {
    fn list(&self) -> &[String] {
        match self {
            Self::One(format) => std::slice::from_ref(format),
            Self::Several(formats) => formats,
        }
    }
}

fn utc() -> String {
    "UTC".into()
}

/// Reads instants as a mapping says.
#[derive(Debug, Clone)]
pub struct Instants {
    formats: Vec<String>,
    zone: TimeZone,
}

impl Instants {
    /// Makes sure that every format can be read at all: what never fits would leave out every row.
    ///
    /// # Errors
    /// When the zone is not known, or a format cannot be read back.
    pub fn new(time: &TimeFormat) -> Result<Self, MappingError> {
        let zone = zone(&time.zone).ok_or_else(|| MappingError::Zone(time.zone.clone()))?;
        let sample = date(2026, 1, 2).at(3, 4, 5, 0).to_zoned(zone.clone());
        let sample = sample.map_err(|_| MappingError::Zone(time.zone.clone()))?;
        let formats = time.format.list().to_vec();
        if formats.is_empty() {
            return Err(MappingError::Time { format: String::new(), problem: "there is none in the list".into() });
        }
        let instants = Self { formats, zone };
        for format in instants.formats.iter().filter(|format| *format != RFC_3339) {
            let problem = |problem: String| MappingError::Time { format: format.clone(), problem };
            let written = written(format, &sample).map_err(|error| problem(error.to_string()))?;
            instants.one(format, &written, None).map_err(|error| problem(error.to_string()))?;
        }
        Ok(instants)
    }

    /// The instant that a cell gives. `after` is that of the row before, which tells the hour that comes twice in autumn.
    ///
    /// # Errors
    /// With what is wrong, for people.
    pub fn read(&self, cell: &str, after: Option<Timestamp>) -> Result<Timestamp, String> {
        let cell = cell.trim();
        let mut problem = None;
        for format in &self.formats {
            let read = if format == RFC_3339 {
                Timestamp::parse(cell).map_err(|error| error.to_string())
            } else {
                let instant =
                    self.one(format, cell, after).map_err(|_| format!("{cell:?} is not a time of the form {format}"));
                // Through text, so that the range is checked in one place.
                instant.and_then(|instant| Timestamp::parse(&instant.to_string()).map_err(|error| error.to_string()))
            };
            match read {
                Ok(at) => return Ok(at),
                Err(first) => _ = problem.get_or_insert(first),
            }
        }
        Err(match self.formats.len() {
            1 => problem.unwrap_or_default(),
            _ => format!("{cell:?} is not a time of any of the forms {}", self.formats.join(", ")),
        })
    }

    fn one(&self, format: &str, cell: &str, after: Option<Timestamp>) -> Result<jiff::Timestamp, jiff::Error> {
        let read: BrokenDownTime = strtime::parse(format, cell)?;
        if read.timestamp().is_some() || read.offset().is_some() {
            return read.to_timestamp();
        }
        let zone = match read.iana_time_zone() {
            Some(name) => TimeZoneDatabase::bundled().get(name)?,
            None => self.zone.clone(),
        };
        let civil = zone.to_ambiguous_timestamp(read.to_datetime()?);
        if let AmbiguousOffset::Fold { .. } = civil.offset() {
            let (earlier, later) = (civil.earlier()?, civil.later()?);
            let gone_by = after.is_some_and(|after| earlier.as_millisecond() < after.millis());
            return Ok(if gone_by { later } else { earlier });
        }
        civil.compatible()
    }
}

fn zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok()
}

fn written(format: &str, sample: &Zoned) -> Result<String, jiff::Error> {
    strtime::format(format, sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instants(formats: &[&str], zone: &str) -> Instants {
        let format = Formats::Several(formats.iter().map(|format| (*format).to_owned()).collect());
        Instants::new(&TimeFormat { format, zone: zone.into() }).unwrap()
    }

    fn read(formats: &[&str], zone: &str, cell: &str) -> String {
        instants(formats, zone).read(cell, None).map_or_else(|problem| problem, |at| at.to_string())
    }

    #[test]
    fn instants_are_read_in_their_zone() {
        let day_first = ["%d/%m/%Y %H:%M"];
        assert_eq!(read(&day_first, "UTC", "29/2/2016 04:40"), "2016-02-29T04:40:00.000Z");
        assert_eq!(read(&day_first, "Europe/London", "1/7/2016 09:00"), "2016-07-01T08:00:00.000Z");
        assert!(read(&day_first, "UTC", "30/2/2016 04:40").contains("is not a time of the form %d/%m/%Y %H:%M"));
        assert!(read(&day_first, "UTC", "2016-02-29").contains("is not a time"));
        assert_eq!(read(&["rfc3339"], "UTC", "2016-02-29T04:40:00+01:00"), "2016-02-29T03:40:00.000Z");
    }

    #[test]
    fn an_offset_or_a_zone_in_the_text_counts_whatever_the_zone_of_the_others() {
        let paris = "Europe/Paris";
        assert_eq!(read(&["%F %T %z"], paris, "2024-03-05 09:00:00 -0500"), "2024-03-05T14:00:00.000Z");
        assert_eq!(read(&["%F %T%:z"], paris, "2024-03-05 09:00:00+05:30"), "2024-03-05T03:30:00.000Z");
        assert_eq!(read(&["%F %T %Q"], paris, "2024-03-05 09:00:00 America/New_York"), "2024-03-05T14:00:00.000Z");
        assert_eq!(read(&["%s"], paris, "1709629200"), "2024-03-05T09:00:00.000Z");
        let several = ["%F %T %z", "rfc3339", "%F"];
        assert_eq!(read(&several, paris, "2024-03-05T09:00:00Z"), "2024-03-05T09:00:00.000Z");
        assert_eq!(read(&several, paris, "2024-07-05"), "2024-07-04T22:00:00.000Z");
        assert!(read(&several, paris, "yesterday").contains("any of the forms %F %T %z, rfc3339, %F"));
    }

    #[test]
    fn the_hour_that_comes_twice_is_the_one_after_the_row_before() {
        let berlin = instants(&["%F %H:%M"], "Europe/Berlin");
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let read = |after: Option<&str>| berlin.read("2024-10-27 02:30", after.map(at)).unwrap().to_string();
        assert_eq!(read(None), "2024-10-27T00:30:00.000Z");
        assert_eq!(read(Some("2024-10-27T00:10:00Z")), "2024-10-27T00:30:00.000Z");
        assert_eq!(read(Some("2024-10-27T00:50:00Z")), "2024-10-27T01:30:00.000Z");
        // One that is skipped in spring is read with the offset before it, as everywhere.
        assert_eq!(berlin.read("2024-03-31 02:30", None).unwrap().to_string(), "2024-03-31T01:30:00.000Z");
    }

    #[test]
    fn a_format_that_never_fits_is_refused_with_the_mapping() {
        for format in ["%H:%M", "%Y-%m", "%d/%m/%Y %Z", "%!"] {
            let time = TimeFormat { format: Formats::One(format.into()), zone: "UTC".into() };
            let refused = Instants::new(&time).unwrap_err().to_string();
            assert!(refused.contains(format), "{refused}");
        }
        let none = TimeFormat { format: Formats::Several(vec![]), zone: "UTC".into() };
        assert!(Instants::new(&none).unwrap_err().to_string().contains("there is none in the list"));
    }
}
