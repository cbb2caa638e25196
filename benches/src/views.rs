//! Rebuilding the views, writing and reading their snapshot, and pages from them.

use std::{path::Path, time::Instant};

use anyhow::{Context, ensure};
use docket_core::{
    ids::{Position, QueueKey},
    ticket::StatusCategory,
};
use docket_projections::{Direction, Order, PageRequest, TicketFilter, Views, Within, rebuild, snapshot};
use docket_store::{EventLog, LogScan, SledLog, SledLogOptions};

use crate::{
    appends::open,
    figure::{Figure, nanos},
    growth::resident_mb,
    history,
};

pub fn rebuild_and_page(dir: &Path, tickets: u32) -> anyhow::Result<Vec<Figure>> {
    let (data, log) = open(dir)?;
    let commits = history::fill(&*log, tickets)?;
    log.close();
    drop(log);
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
    figures.push(
        Figure::rate("whole log read and decoded", events / scan_s, "events/s")
            .noted(format!("{commits} commits, {:.0} MB/s", journal_bytes(&data.log())? as f64 / 1e6 / scan_s)),
    );
    figures.push(
        Figure::rate("rebuild of all views", events / seconds, "events/s")
            .noted(format!("{tickets} tickets, {seconds:.1} s")),
    );
    figures.push(Figure::rate("resident with the views", resident_mb()?, "MB").noted("the process, after the rebuild"));
    let started = Instant::now();
    let path = snapshot::write(&data.snapshots(), data.log_id(), &views)?;
    let written = started.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(path)?.len();
    figures.push(Figure::rate("snapshot written", bytes as f64 / 1e6, "MB").noted(format!("in {written:.2} s")));
    // What `docket serve` does before its first answer.
    let started = Instant::now();
    let (log, loaded) = std::thread::scope(|scope| {
        let loaded = scope.spawn(|| snapshot::newest(&data.snapshots(), data.log_id()));
        let log = SledLog::open(data.clone(), SledLogOptions::default());
        (log.map(|log| (started.elapsed().as_secs_f64(), log)), loaded.join().ok().flatten())
    });
    let ((opened, log), loaded) = (log?, loaded.context("the snapshot")?);
    ensure!(snapshot::fits(&loaded, &log)?, "the snapshot is this log's");
    let restart = started.elapsed().as_secs_f64();
    ensure!(loaded.position() == views.position() && log.head().position == views.position(), "the snapshot is whole");
    drop(loaded);
    figures.push(
        Figure::rate("restart to the first answer", restart, "s")
            .noted(format!("{tickets} tickets; the log alone {opened:.2} s")),
    );
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
            let page = views.tickets().page(&Within::EVERYTHING, &filter, &request);
            taken.push(nanos(one));
            ensure!(page.tickets.len() == 50, "a page of 50 of {}", page.total);
            total = page.total;
        }
        let figure = Figure::rate(&format!("page of 50 from a queue, by {name}"), total as f64, "matching");
        figures.push(figure.timed(taken).noted(format!("of {tickets} tickets, with the total count")));
    }
    Ok(figures)
}

fn journal_bytes(log: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for volume in std::fs::read_dir(log)? {
        bytes += std::fs::metadata(volume?.path().join("journal"))?.len();
    }
    Ok(bytes)
}
