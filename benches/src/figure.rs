//! A measurement, and how it is shown.

use std::{path::Path, time::Instant};

use serde::Serialize;

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    pub what: String,
    pub value: f64,
    pub unit: &'static str,
    pub p50_us: Option<f64>,
    pub p99_us: Option<f64>,
    pub bytes_per_event: Option<f64>,
    pub note: String,
}

impl Figure {
    pub fn rate(what: &str, value: f64, unit: &'static str) -> Self {
        let (what, note) = (what.to_owned(), String::new());
        Self { what, value, unit, p50_us: None, p99_us: None, bytes_per_event: None, note }
    }

    /// With the percentiles of single durations in nanoseconds.
    pub fn timed(mut self, taken: Vec<u64>) -> Self {
        (self.p50_us, self.p99_us) = percentiles(taken);
        self
    }

    /// With what lies on disk afterwards.
    pub fn stored(mut self, bytes: u64, events: u64) -> Self {
        self.bytes_per_event = Some(bytes as f64 / events.max(1) as f64);
        self
    }

    pub fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

pub fn percentiles(mut nanos: Vec<u64>) -> (Option<f64>, Option<f64>) {
    nanos.sort_unstable();
    let at = |share: f64| {
        let rank = (share * nanos.len() as f64).ceil() as usize;
        nanos.get(rank.saturating_sub(1)).map(|n| *n as f64 / 1_000.0)
    };
    (at(0.5), at(0.99))
}

/// Nanoseconds since.
pub fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Bytes of all files below a directory.
pub fn on_disk(dir: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { on_disk(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

/// The table as text.
pub fn table(figures: &[Figure]) -> String {
    let cell = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |v| format!("{v:.0}"));
    let mut text = format!("{:<52} {:>12} {:<10} {:>9} {:>9} {:>8}  note\n", "", "", "", "p50 µs", "p99 µs", "B/event");
    for f in figures {
        let (p50, p99, bytes) = (cell(f.p50_us), cell(f.p99_us), cell(f.bytes_per_event));
        let value = if f.value < 100.0 { format!("{:.2}", f.value) } else { format!("{:.0}", f.value) };
        text += &format!("{:<52} {value:>12} {:<10} {p50:>9} {p99:>9} {bytes:>8}  {}\n", f.what, f.unit, f.note);
    }
    text
}
