//! Measures Docket beside what it is compared with, in one run on one disk. See README.md.
#![allow(clippy::print_stdout, clippy::cast_precision_loss, reason = "it prints figures")]

mod history;

use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Parser;
use docket_core::{
    ids::{Position, QueueKey},
    ticket::StatusCategory,
};
use docket_projections::{Direction, Order, PageRequest, Projection, TicketFilter, Views, rebuild};
use docket_store::{DataDir, EventLog, Expected, LogScan, SledLog, SledLogOptions};
use serde_json::json;
use ulid::Ulid;

/// Measures appends, rebuilds and pages.
#[derive(Parser)]
struct Args {
    /// Where the data is written: a directory on the disk to be measured
    #[arg(long, default_value = "target/bench-data")]
    dir: PathBuf,
    /// Seconds for each measurement of appends
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Tickets of the history that is rebuilt and paged
    #[arg(long, default_value_t = 100_000)]
    tickets: u32,
    /// Print the figures as JSON too
    #[arg(long)]
    json: bool,
}

/// One measurement.
struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    note: String,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    std::fs::create_dir_all(&args.dir)?;
    let scratch = tempfile::tempdir_in(&args.dir)?;
    let budget = Duration::from_secs_f64(args.seconds);
    let mut figures = Vec::new();
    let raw = raw_appends(&scratch.path().join("raw"), budget)?;
    let raw_p50 = raw.p50_us.context("raw")?;
    figures.push(raw);
    for writers in [1_usize, 8, 64, 256] {
        let mut figure = appends(&scratch.path().join(format!("log-{writers}")), writers, budget)?;
        if writers == 1 {
            figure.note = format!("{:.2} × raw", figure.p50_us.context("lone")? / raw_p50);
        }
        figures.push(figure);
    }
    figures.push(deep_queue(&scratch.path().join("deep"), budget)?);
    figures.extend(rebuild_and_page(&scratch.path().join("history"), args.tickets)?);
    println!("{:<44} {:>12} {:<10} {:>9} {:>9}  note", "", "", "", "p50 µs", "p99 µs");
    let micros = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |v| format!("{v:.0}"));
    for f in &figures {
        let (p50, p99) = (micros(f.p50_us), micros(f.p99_us));
        println!("{:<44} {:>12.0} {:<10} {p50:>9} {p99:>9}  {}", f.what, f.value, f.unit, f.note);
    }
    if args.json {
        let all: Vec<_> = figures
            .iter()
            .map(|f| json!({ "what": f.what, "value": f.value, "unit": f.unit, "p50_us": f.p50_us, "p99_us": f.p99_us, "note": f.note }))
            .collect();
        println!("{}", serde_json::to_string_pretty(&all)?);
    }
    Ok(())
}

fn percentiles(mut nanos: Vec<u64>) -> (Option<f64>, Option<f64>) {
    nanos.sort_unstable();
    let at = |share: f64| {
        let rank = (share * nanos.len() as f64).ceil() as usize;
        nanos.get(rank.saturating_sub(1)).map(|n| *n as f64 / 1_000.0)
    };
    (at(0.5), at(0.99))
}

fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// What the disk can do: 512 bytes and an fdatasync, one after the other.
fn raw_appends(path: &Path, budget: Duration) -> anyhow::Result<Figure> {
    let mut file = OpenOptions::new().create_new(true).append(true).open(path)?;
    let (started, mut taken) = (Instant::now(), Vec::new());
    while started.elapsed() < budget {
        let one = Instant::now();
        file.write_all(&[7; 512])?;
        file.sync_data()?;
        taken.push(nanos(one));
    }
    let rate = taken.len() as f64 / started.elapsed().as_secs_f64();
    let (p50_us, p99_us) = percentiles(taken);
    Ok(Figure {
        what: "raw append of 512 bytes + fdatasync".into(),
        value: rate,
        unit: "/s",
        p50_us,
        p99_us,
        note: String::new(),
    })
}

fn open(dir: &Path) -> anyhow::Result<(DataDir, Arc<SledLog>)> {
    let data = DataDir::open_or_create(dir, Ulid::generate())?;
    let log = Arc::new(SledLog::open(data.clone(), SledLogOptions::default())?);
    Ok((data, log))
}

/// Durable commits of one event by so many writers, each waiting for its answer.
fn appends(dir: &Path, writers: usize, budget: Duration) -> anyhow::Result<Figure> {
    let (data, log) = open(dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let started = Instant::now();
    let taken = runtime.block_on(async {
        let tasks: Vec<_> = (0..writers)
            .map(|writer| {
                let log = Arc::clone(&log);
                tokio::spawn(async move {
                    let (mut taken, mut n) = (Vec::new(), 0);
                    let stream = history::ticket(u32::try_from(writer).unwrap_or(u32::MAX));
                    let mut expected = Expected::NoStream;
                    while started.elapsed() < budget {
                        let one = Instant::now();
                        let append = history::message(stream, expected, writer, n);
                        expected = Expected::At(log.append(append).await?);
                        taken.push(nanos(one));
                        n += 1;
                    }
                    anyhow::Ok(taken)
                })
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await??);
        }
        anyhow::Ok(all)
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let commits = taken.len();
    ensure!(log.head().position.get() == commits as u64, "every acknowledged commit is there, once");
    log.close();
    let bytes = std::fs::metadata(data.log().join("00000001/journal"))?.len();
    let (p50_us, p99_us) = percentiles(taken);
    Ok(Figure {
        what: format!("durable appends, {writers} waiting writers"),
        value: commits as f64 / seconds,
        unit: "commits/s",
        p50_us,
        p99_us,
        note: format!("{} bytes of journal a commit", bytes / (commits as u64).max(1)),
    })
}

/// Durable commits when they come faster than the disk.
fn deep_queue(dir: &Path, budget: Duration) -> anyhow::Result<Figure> {
    let (_, log) = open(dir)?;
    let (started, mut commits) = (Instant::now(), 0_u64);
    let mut batch = 0_usize;
    while started.elapsed() < budget {
        let appends = (0..4_096).map(|n| {
            let stream = history::ticket(u32::try_from(batch * 4_096 + n).unwrap_or(u32::MAX));
            history::message(stream, Expected::NoStream, batch, n)
        });
        for answer in log.append_all(appends.collect()) {
            answer?;
            commits += 1;
        }
        batch += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    log.close();
    Ok(Figure {
        what: "durable appends, deep queue".into(),
        value: commits as f64 / seconds,
        unit: "commits/s",
        p50_us: None,
        p99_us: None,
        note: "one event a commit".into(),
    })
}

fn rebuild_and_page(dir: &Path, tickets: u32) -> anyhow::Result<Vec<Figure>> {
    let (data, log) = open(dir)?;
    let commits = history::fill(&*log, tickets)?;
    log.close();
    let mut figures = Vec::new();
    let started = Instant::now();
    let scanned = LogScan::new(&data, Position::START)?.try_fold(0_u64, |n, commit| commit.map(|_| n + 1))?;
    ensure!(scanned == commits, "the scan sees every commit");
    let scan_s = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let scan = LogScan::new(&data, Position::START)?;
    let views = rebuild(Views::default(), scan, Position::new(commits), |_| true)?.context("rebuilt")?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(views.tickets().len() == tickets as usize, "every ticket is there");
    let events = views.events() as f64;
    let plain = |what: &str, value: f64, unit, note: String| Figure {
        what: what.into(),
        value,
        unit,
        p50_us: None,
        p99_us: None,
        note,
    };
    figures.push(plain("whole log read and decoded", events / scan_s, "events/s", format!("{commits} commits")));
    figures.push(plain(
        "rebuild of all views",
        events / seconds,
        "events/s",
        format!("{tickets} tickets, {seconds:.1} s"),
    ));
    let started = Instant::now();
    let bytes = views.to_bytes()?.len();
    figures.push(plain(
        "snapshot encoded",
        bytes as f64 / 1e6,
        "MB",
        format!("{:.2} s", started.elapsed().as_secs_f64()),
    ));
    // The folded views once more, to see that what is paged is what was rebuilt.
    let mut again = Views::default();
    for commit in LogScan::new(&data, Position::START)?.take(1_000) {
        again.apply(&*commit?);
    }
    ensure!(again.position() == Position::new(1_000.min(commits)), "the log is read in order");
    for (name, order) in [("due time", Order::DueAt), ("activity", Order::Activity), ("priority", Order::Priority)] {
        let filter = TicketFilter {
            queues: Some(vec![QueueKey::try_new("orders")?]),
            status_categories: Some(vec![StatusCategory::New, StatusCategory::Open]),
            ..TicketFilter::default()
        };
        let request = PageRequest { order, direction: Direction::Ascending, limit: 50, ..PageRequest::default() };
        let (mut taken, mut total) = (Vec::new(), 0);
        for _ in 0..500 {
            let one = Instant::now();
            let page = views.tickets().page(&filter, &request);
            taken.push(nanos(one));
            ensure!(page.tickets.len() == 50, "a page of 50 of {}", page.total);
            total = page.total;
        }
        let (p50_us, p99_us) = percentiles(taken);
        figures.push(Figure {
            what: format!("page of 50 from a queue, by {name}"),
            value: total as f64,
            unit: "matching",
            p50_us,
            p99_us,
            note: format!("of {tickets} tickets, with the total count"),
        });
    }
    Ok(figures)
}
