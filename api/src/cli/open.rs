//! Opening a data directory: to write, or only to read beside a running server.

use std::{io::IsTerminal, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Args;
use docket_core::{event::Commit, ids::Position};
use docket_projections::{LiveViews, Progress, Projection, Views, rebuild, snapshot};
use docket_store::{ContentStore, DataDir, EventLog, LogScan, ReadError, SledLog, SledLogOptions};
use indicatif::{ProgressBar, ProgressStyle};
use ulid::Ulid;

use crate::{clock::Clock, engine::Engine};

/// How a command writes the log.
#[derive(Args, Clone, Copy)]
pub struct Writing {
    /// Begin another volume of the log once the journal of the newest has so many MiB; those that are there stay as they are
    #[arg(long, value_name = "MIB", default_value_t = 256, env = "DOCKET_VOLUME_MIB")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=MOST_VOLUME_MIB))]
    volume_mib: u64,
}

/// A volume's index is in memory until it is sealed, and a repair holds its journal there.
const MOST_VOLUME_MIB: u64 = 4096;

impl Writing {
    /// The options of the log.
    pub fn options(self) -> SledLogOptions {
        SledLogOptions { volume_bytes: self.volume_mib * 1024 * 1024, ..SledLogOptions::default() }
    }
}

/// A data directory opened to write.
pub struct Opened {
    pub data: DataDir,
    pub log: Arc<SledLog>,
    pub views: Views,
}

impl Opened {
    /// Opens it, or makes it where nothing is; the views come from a snapshot and the log.
    pub fn writable(dir: &Path) -> anyhow::Result<Self> {
        Self::writable_with(dir, SledLogOptions::default())
    }

    /// The same with other options.
    pub fn writable_with(dir: &Path, options: SledLogOptions) -> anyhow::Result<Self> {
        let data = DataDir::open_or_create(dir, Ulid::generate())?;
        if LogScan::new(&data, Position::START)?.next().is_none() {
            // Before a new log is begun where an old one was.
            refuse_lost_log(&data, Position::START)?;
        }
        // Reading a snapshot takes as long as opening the log.
        let (log, newest) = std::thread::scope(|scope| {
            let newest = scope.spawn(|| snapshot::newest(&data.snapshots(), data.log_id()));
            (SledLog::open(data.clone(), options), newest.join().ok().flatten())
        });
        let log = Arc::new(log?);
        let report = log.report();
        if report.torn_bytes > 0 {
            tracing::warn!(
                bytes = report.torn_bytes,
                "an interrupted write was cut off; nothing in it was acknowledged"
            );
        }
        if report.database_rebuilt {
            tracing::info!("the last stop was not clean: the newest volume's database was made again from its journal");
        }
        if !report.sealed.is_empty() {
            tracing::info!(volumes = ?report.sealed, "volumes were sealed whose sealing had been interrupted or whose database could not be read");
        }
        if let Some(reason) = &report.read_only {
            tracing::error!(reason, "the log can be read and takes no writes: mend the cause and start again");
        }
        refuse_lost_log(&data, log.head().position)?;
        let start = match newest {
            Some(views) if snapshot::fits(&views, &*log)? => views,
            Some(_) | None => snapshot::load(&data.snapshots(), data.log_id(), &*log)?.unwrap_or_default(),
        };
        let (after, end) = (start.position(), log.head().position);
        let views = fold(start, log.scan(after)?, end)?;
        Ok(Self { data, log, views })
    }

    /// An engine over it, whose views follow the log on a thread of their own until the log is closed.
    /// Takes the views: to keep those of the start would keep alive all that changes later.
    pub fn engine(&mut self, clock: Arc<dyn Clock>) -> anyhow::Result<Arc<Engine>> {
        let live = LiveViews::new(std::mem::take(&mut self.views));
        let log: Arc<dyn EventLog> = Arc::<SledLog>::clone(&self.log);
        let engine = Engine::new(Arc::clone(&log), Arc::clone(&live), ContentStore::new(&self.data.content()), clock);
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        std::thread::Builder::new().name("docket-views".into()).spawn(move || {
            // The error is told where the views are asked: they say that they stopped, and why.
            let _ = runtime.block_on(live.follow(log));
        })?;
        Ok(engine)
    }

    /// Leaves a snapshot of views for the next start. Without one the next start only takes longer. There is none of a log
    /// that takes nothing more: its directory may not be its own by now.
    pub fn save(&self, views: &Views) {
        if self.log.failure().is_some() {
            return;
        }
        if let Err(error) = snapshot::write(&self.data.snapshots(), self.data.log_id(), views) {
            tracing::warn!(%error, "no snapshot was written: the next start will take longer");
        }
    }
}

/// The views of a data directory as its journals have it now, without a lock.
pub fn views_read_only(data: &DataDir) -> anyhow::Result<Views> {
    let start = checked_snapshot(data)?.unwrap_or_default();
    let scan = LogScan::new(data, start.position())?;
    let end = start.position();
    let views = fold(start, scan, end)?;
    refuse_lost_log(data, views.position())?;
    Ok(views)
}

/// Stops when a snapshot shows that the log once was longer.
pub fn refuse_lost_log(data: &DataDir, head: Position) -> anyhow::Result<()> {
    if let Some(position) = snapshot::ahead_of(&data.snapshots(), data.log_id(), head) {
        let snapshots = data.snapshots();
        anyhow::bail!(
            "a part of the log is missing: it ends at position {head}, and a snapshot of it was made at {position}. Bring the \
             missing volumes back; to go on without them, remove {}",
            snapshots.display()
        );
    }
    Ok(())
}

/// The newest snapshot, when the journal bears it out.
pub fn checked_snapshot(data: &DataDir) -> anyhow::Result<Option<Views>> {
    let Some(views) = snapshot::newest(&data.snapshots(), data.log_id()) else { return Ok(None) };
    let Some(before) = views.position().get().checked_sub(1) else { return Ok(None) };
    // The commit at its position is read again, to be compared.
    let commit = LogScan::new(data, Position::new(before))?.next().transpose()?;
    let same = commit.is_some_and(|commit| (commit.position, Some(commit.id)) == (views.position(), views.commit()));
    Ok(same.then_some(views))
}

/// Folds commits into views, with a bar for long work on a terminal.
pub fn fold<I>(start: Views, commits: I, end: Position) -> anyhow::Result<Views>
where
    I: Iterator<Item = Result<Arc<Commit>, ReadError>> + Send,
{
    // Little is quicker folded than shown.
    const LONG: u64 = 50_000;
    let left = end.get().saturating_sub(start.position().get());
    if left < LONG {
        let mut views = start;
        for commit in commits {
            views.apply(&*commit?);
        }
        return Ok(views);
    }
    let bar = bar(end.get(), "building views");
    let show = |progress: Progress| {
        bar.set_position(progress.position.get());
        true
    };
    let views = rebuild(start, commits, end, show)?.context("the rebuild was cancelled")?;
    bar.finish_and_clear();
    Ok(views)
}

/// A progress bar on a terminal; nothing elsewhere.
pub fn bar(length: u64, what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent}% {per_sec} ETA {eta}") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
