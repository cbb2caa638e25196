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
pub const ONE_GUARD: &[Guard] = &[Guard { stream: StreamId::Desk, expected: Expected::NoStream }];

fn with(guards: &[Guard]) -> &'static str {
    if guards.is_empty() { "" } else { ", a guard each" }
}

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
pub fn appends(dir: &Path, writers: usize, guards: &'static [Guard], budget: Duration) -> anyhow::Result<Figure> {
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
                        let append =
                            Append { guards: guards.to_vec(), ..history::message(stream, expected, writer, n) };
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
    let figure = Figure::rate(
        &format!("Docket, {writers} waiting writers{}", with(guards)),
        commits as f64 / seconds,
        "commits/s",
    );
    Ok(figure.timed(taken).stored(on_disk(data.root())?, commits as u64))
}

/// Durable commits when they come faster than the disk.
pub fn deep_queue(dir: &Path, guards: &[Guard], budget: Duration) -> anyhow::Result<Figure> {
    let (data, log) = open(dir)?;
    let (started, mut commits) = (Instant::now(), 0_u64);
    let mut batch = 0_usize;
    while started.elapsed() < budget {
        let appends = (0..4_096).map(|n| {
            let stream = history::ticket(u32::try_from(batch * 4_096 + n).unwrap_or(u32::MAX));
            Append { guards: guards.to_vec(), ..history::message(stream, Expected::NoStream, batch, n) }
        });
        for answer in log.append_all(appends.collect()) {
            answer?;
            commits += 1;
        }
        batch += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    log.close();
    let figure = Figure::rate(&format!("Docket, deep queue{}", with(guards)), commits as f64 / seconds, "commits/s");
    Ok(figure.stored(on_disk(data.root())?, commits))
}
