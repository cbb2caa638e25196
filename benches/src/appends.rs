//! Durable appends: the disk alone, and Docket with waiting writers and with a deep queue.

use std::{
    fs::OpenOptions,
    io::Write,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use docket_core::ids::StreamId;
use docket_store::{Append, DataDir, EventLog, Expected, Guard, SledLog, SledLogOptions};
use ulid::Ulid;

use crate::{
    figure::{Figure, nanos, on_disk},
    history,
};

/// One further stream that must stand where it was seen, as every command of a ticket names the desk.
const ONE_GUARD: &[Guard] = &[Guard { stream: StreamId::Desk, expected: Expected::NoStream }];

/// What the disk can do: 512 bytes and an fdatasync, one after the other.
pub fn raw_appends(path: &Path, budget: Duration) -> anyhow::Result<Figure> {
    let mut file = OpenOptions::new().create_new(true).append(true).open(path)?;
    let (started, mut taken) = (Instant::now(), Vec::new());
    while started.elapsed() < budget {
        let one = Instant::now();
        file.write_all(&[7; 512])?;
        file.sync_data()?;
        taken.push(nanos(one));
    }
    let rate = taken.len() as f64 / started.elapsed().as_secs_f64();
    Ok(Figure::rate("raw append of 512 bytes + fdatasync", rate, "/s").timed(taken))
}

/// A fresh log.
pub fn open(dir: &Path) -> anyhow::Result<(DataDir, Arc<SledLog>)> {
    let data = DataDir::open_or_create(dir, Ulid::generate())?;
    let log = Arc::new(SledLog::open(data.clone(), SledLogOptions::default())?);
    Ok((data, log))
}

/// Durable commits of one event by so many writers, each waiting for its answer.
pub fn appends(dir: &Path, writers: usize, budget: Duration) -> anyhow::Result<Figure> {
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
                        expected = Expected::At(log.append(history::message(stream, expected, writer, n)).await?);
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
    let figure = Figure::rate(&format!("Docket, {writers} waiting writers"), commits as f64 / seconds, "commits/s");
    Ok(figure.timed(taken).stored(on_disk(data.root())?, commits as u64))
}

/// Durable commits when they come faster than the disk.
pub fn deep_queue(dir: &Path, budget: Duration) -> anyhow::Result<Figure> {
    let (data, log) = open(dir)?;
    let (started, mut commits) = (Instant::now(), 0_u64);
    let mut batch = 0;
    while started.elapsed() < budget {
        commits += submit(&log, &[], batch)?;
        batch += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    log.close();
    let figure = Figure::rate("Docket, deep queue", commits as f64 / seconds, "commits/s");
    Ok(figure.stored(on_disk(data.root())?, commits))
}

/// What a guard costs: batches to one log without and to another one with a guard for each commit, in turns. Both go through the same
/// hours of the machine, so that their medians can be compared.
pub fn guard_price(dir: &Path, budget: Duration) -> anyhow::Result<Vec<Figure>> {
    let (_, plain) = open(&dir.join("plain"))?;
    let (_, guarded) = open(&dir.join("guarded"))?;
    let contenders: [(&SledLog, &[Guard]); 2] = [(&plain, &[]), (&guarded, ONE_GUARD)];
    let mut taken = [Vec::new(), Vec::new()];
    let (started, mut batch) = (Instant::now(), 0);
    while started.elapsed() < budget {
        // Every other time the other one begins.
        for n in if batch % 2 == 0 { [0, 1] } else { [1, 0] } {
            let (log, guards) = contenders[n];
            let one = Instant::now();
            let commits = submit(log, guards, batch)?;
            taken[n].push(nanos(one) / commits);
        }
        batch += 1;
    }
    plain.close();
    guarded.close();
    let batches = taken[0].len();
    let [plain, guarded] = taken.map(|taken| crate::figure::percentiles(taken).0.unwrap_or_default());
    let figure = |what: &str, us: f64| Figure::rate(what, 1e6 / us, "commits/s");
    let note = format!("{:.3} × without, medians of {batches} batches in turns", plain / guarded);
    Ok(vec![
        figure("deep queue, in turns, without guards", plain),
        figure("deep queue, in turns, a guard each", guarded).noted(note),
    ])
}

/// Submits 4,096 commits of as many new tickets, and gives their number once all are durable.
fn submit(log: &SledLog, guards: &[Guard], batch: usize) -> anyhow::Result<u64> {
    let appends = (0..4_096).map(|n| {
        let stream = history::ticket(u32::try_from(batch * 4_096 + n).unwrap_or(u32::MAX));
        Append { guards: guards.to_vec(), ..history::message(stream, Expected::NoStream, batch, n) }
    });
    let mut commits = 0;
    for answer in log.append_all(appends.collect()) {
        answer?;
        commits += 1;
    }
    Ok(commits)
}
