//! What changes while a log grows: nothing much should.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use docket_core::ids::Position;
use docket_store::{DataDir, EventLog, Expected, Follower, LogScan, Page, SledLog, SledLogOptions};

use crate::{
    appends::open,
    figure::{Figure, nanos, on_disk},
    history,
};

/// Commits of each ticket: they are spread over a thousand tickets that are worked on at once.
const COMMITS_A_TICKET: u64 = 10;
const AT_ONCE: u64 = 1_000;

/// The ticket that commit `n` belongs to, and whether it is the ticket's first.
fn ticket_of(n: u64) -> (u32, bool) {
    let (round, within) = (n / (AT_ONCE * COMMITS_A_TICKET), n % (AT_ONCE * COMMITS_A_TICKET));
    let ticket = round * AT_ONCE + within % AT_ONCE;
    (u32::try_from(ticket).unwrap_or(u32::MAX), within < AT_ONCE)
}

/// Megabytes of memory that the process has.
pub fn resident_mb() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}

/// Grows one log and measures it at each size.
pub fn growth(dir: &Path, sizes: &[u64]) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let (data, mut log) = open(dir)?;
    let mut next = 0;
    for &size in sizes {
        let started = Instant::now();
        let from = next;
        while next < size {
            let until = size.min(next + 4_096);
            let appends = (next..until).map(|n| {
                let (ticket, first) = ticket_of(n);
                let expected = if first { Expected::NoStream } else { Expected::Any };
                history::message(history::ticket(ticket), expected, 1, n as usize)
            });
            for answer in log.append_all(appends.collect()) {
                answer?;
            }
            next = until;
        }
        let rate = (next - from) as f64 / started.elapsed().as_secs_f64().max(1e-9);
        let name = |what: &str| format!("{size:>10} events: {what}");
        figures
            .push(Figure::rate(&name("filled up, deep queue"), rate, "commits/s").stored(on_disk(data.root())?, next));
        figures.push(Figure::rate(&name("resident"), resident_mb()?, "MB"));
        figures.extend(measure(&data, log, &name, &mut next)?);
        // Ten million take minutes; whoever waits sees how far it is.
        eprintln!("measured at {size} events");
        log = Arc::new(SledLog::open(data.clone(), SledLogOptions::default())?);
    }
    log.close();
    let started = Instant::now();
    let scanned = LogScan::new(&data, Position::START)?.try_fold(0_u64, |n, commit| commit.map(|_| n + 1))?;
    ensure!(scanned == next, "the scan sees every commit");
    let seconds = started.elapsed().as_secs_f64();
    let mut journals = 0;
    for volume in std::fs::read_dir(data.log())? {
        journals += std::fs::metadata(volume?.path().join("journal"))?.len();
    }
    let note = format!("{:.0} MB/s, checked along the chain", journals as f64 / 1e6 / seconds);
    figures.push(Figure::rate("whole log read", scanned as f64 / seconds, "events/s").noted(note));
    Ok(figures)
}

fn measure(
    data: &DataDir,
    log: Arc<SledLog>,
    name: &dyn Fn(&str) -> String,
    next: &mut u64,
) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    // Lone appends: half of them to new tickets, half to those that are worked on.
    let mut taken = Vec::new();
    let (start, base) = (*next, u32::try_from(*next / COMMITS_A_TICKET).unwrap_or(u32::MAX));
    for n in 0..2_000_u32 {
        let (ticket, expected) = if n % 2 == 0 {
            (2_000_000_000 + base + n, Expected::NoStream)
        } else {
            (ticket_of(start - 1 - u64::from(n) % AT_ONCE).0, Expected::Any)
        };
        let append = history::message(history::ticket(ticket), expected, 2, n as usize);
        let one = Instant::now();
        runtime.block_on(log.append(append))?;
        taken.push(nanos(one));
        *next += 1;
    }
    figures.push(Figure::rate(&name("lone append"), 2_000.0, "commits").timed(taken));
    let mut rng = fastrand::Rng::with_seed(*next);
    for (what, newest) in [("read of one stream, any", false), ("read of one stream, recent", true)] {
        let tickets = *next / COMMITS_A_TICKET;
        let mut taken = Vec::new();
        for _ in 0..300 {
            let ticket = if newest { rng.u64(tickets.saturating_sub(AT_ONCE)..tickets) } else { rng.u64(..tickets) };
            let stream = history::ticket(u32::try_from(ticket)?);
            let one = Instant::now();
            let commits = log.read_stream(stream, Position::START)?;
            taken.push(nanos(one));
            ensure!(commits.len() <= 3 * COMMITS_A_TICKET as usize, "a ticket's commits");
        }
        figures.push(Figure::rate(&name(what), COMMITS_A_TICKET as f64, "commits").timed(taken));
    }
    let follow: Arc<dyn EventLog> = Arc::<SledLog>::clone(&log);
    let from = next.saturating_sub(200_000);
    let (mut follower, started) = (Follower::new(follow, Position::new(from), Page::LARGE)?, Instant::now());
    let mut followed = 0;
    while let Some(commits) = follower.ready()? {
        followed += commits.len();
    }
    ensure!(followed as u64 == *next - from, "the follower sees every commit");
    figures.push(Figure::rate(
        &name("followed from behind"),
        followed as f64 / started.elapsed().as_secs_f64(),
        "events/s",
    ));
    drop(follower);
    log.close();
    drop(log);
    let open = || -> anyhow::Result<(f64, SledLog)> {
        let started = Instant::now();
        let log = SledLog::open(data.clone(), SledLogOptions::default())?;
        ensure!(log.head().position.get() == *next, "all of it is there");
        Ok((started.elapsed().as_secs_f64() * 1e3, log))
    };
    let (clean_ms, log) = open()?;
    log.close();
    drop(log);
    figures.push(Figure::rate(&name("start after a clean stop"), clean_ms, "ms"));
    // What a kill leaves: no word of a clean stop.
    for volume in std::fs::read_dir(data.log())? {
        match std::fs::remove_file(volume?.path().join("clean")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
    }
    let (unclean_ms, log) = open()?;
    ensure!(log.report().database_rebuilt, "the database is made again");
    figures.push(Figure::rate(&name("start after an unclean stop"), unclean_ms, "ms"));
    // Sealing may be going on beside; the next fill starts from rest.
    std::thread::sleep(Duration::from_millis(100));
    Ok(figures)
}
