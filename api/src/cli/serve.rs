//! `docket serve`.

use std::{
    io::IsTerminal,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use docket_core::{access::Role, desk::DeskConfig};
use docket_store::SledLogOptions;
use rustix::io::Errno;
use serde_json::json;
use tokio::net::TcpListener;

use super::{
    Global,
    open::{Opened, Writing},
    print,
};
use crate::{
    clock::SystemClock,
    demo,
    engine::{Engine, Principal},
    http::{self, Door, Space},
};

/// Arguments of `docket serve`.
#[derive(Args)]
pub struct ServeArgs {
    /// Address to listen on: an IP address and a port
    #[arg(long, default_value = "127.0.0.1:8080", value_parser = address)]
    listen: SocketAddr,
    /// A lively desk of its own, in ./docket-demo unless --data says otherwise
    #[arg(long)]
    demo: bool,
    /// With --demo: what its history is made from
    #[arg(long, default_value_t = 1, requires = "demo")]
    seed: u64,
    /// Take no more writes when fewer MiB than this are free on the disk; reads go on
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    reserve: u64,
    #[command(flatten)]
    writing: Writing,
    /// Warn, in the log and in /readyz, when fewer MiB than this are free
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    warn_below: u64,
    /// Seconds in which a request's head has to be there, after the connection was opened or the answer before
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    head_timeout: u64,
    /// Seconds in which a request's body has to be there, after its head
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    body_timeout: u64,
    /// Connections at once, sockets among them; fewer when the limit of open files is lower
    #[arg(long, value_name = "COUNT", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: u32,
    /// What to log, for example `info` or `docket_store=debug`
    #[arg(long, default_value = "info", env = "DOCKET_LOG")]
    log: String,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080".to_owned())
}

const MIB: u64 = 1024 * 1024;
/// How often the server looks how much space is left.
const SPACE_EVERY: Duration = Duration::from_secs(15);
/// How often the server looks whether a new snapshot is worth writing.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(300);
/// Commits since the last snapshot that make one worth writing.
const SNAPSHOT_COMMITS: u64 = 10_000;

/// Serves until a signal comes.
pub fn serve(global: &Global, args: &ServeArgs) -> anyhow::Result<()> {
    start_logging(&args.log, global.json)?;
    http::raise_descriptors();
    let dir = if args.demo && global.data == Path::new("./docket-data") {
        PathBuf::from("./docket-demo")
    } else {
        global.data.clone()
    };
    let options = SledLogOptions { reserve_bytes: args.reserve.saturating_mul(MIB), ..args.writing.options() };
    let mut opened = Opened::writable_with(&dir, options)?;
    if args.demo {
        opened.views = demo::fill(&opened.log, opened.views, args.seed, &SystemClock)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let views = runtime.block_on(run(&mut opened, args, global.json))?;
    opened.save(&views);
    opened.log.close();
    match opened.log.failure() {
        None => Ok(()),
        Some(reason) => anyhow::bail!("the log took no more writes: {reason}"),
    }
}

async fn run(opened: &mut Opened, args: &ServeArgs, as_json: bool) -> anyhow::Result<docket_projections::Views> {
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        let next = match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::ADDRINUSE) => "Stop the program that listens there, or name another address with --listen",
            Some(Errno::ACCESS) => "Name a port above 1023 with --listen",
            Some(Errno::MFILE | Errno::NFILE) => "Raise the limit of open files with `ulimit -n`",
            Some(_) | None => "Name another address with --listen",
        };
        anyhow::anyhow!("cannot listen on {}: {error}. {next}", args.listen)
    })?;
    let address = listener.local_addr()?;
    let engine = opened.engine(Arc::new(SystemClock))?;
    if engine.views().desk().desk().statuses.is_empty() {
        engine.apply_desk(&Principal::local(), DeskConfig::starter(), false, None).await?;
    }
    // Whoever reads that it serves may ask it to stop at once: from here on that is a stop, and no death by a signal.
    let asked_to_stop = signal()?;
    greet(&engine, address, args.demo, as_json).await?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "listening beyond this machine, without encryption: put a TLS proxy before it");
    }
    let timers = tokio::spawn(Arc::clone(&engine).run_reactors());
    let snapshots =
        tokio::spawn(keep_snapshots(Arc::clone(&engine), opened.data.snapshots(), opened.data.log_id().to_owned()));
    let traffic = args.demo.then(|| tokio::spawn(demo::traffic(Arc::clone(&engine), args.seed)));
    tracing::info!(%address, position = %engine.views().position(), "serving");
    let space = Arc::new(Space::new(opened.data.clone(), args.warn_below.saturating_mul(MIB)));
    let watching = tokio::spawn(watch_space(Arc::clone(&space)));
    let door = Door {
        head: Duration::from_secs(args.head_timeout),
        body: Duration::from_secs(args.body_timeout),
        connections: http::within_descriptors(usize::try_from(args.max_connections).unwrap_or(usize::MAX)),
    };
    let served = http::serve(listener, Arc::clone(&engine), Some(space), door, asked_to_stop).await;
    engine.stop();
    snapshots.abort();
    watching.abort();
    if let Some(traffic) = traffic {
        traffic.abort();
    }
    let _ = timers.await;
    served?;
    // What was acknowledged last is in the views before the last snapshot is taken.
    let head = engine.log().head().position;
    let views = match engine.views_at(head, Duration::from_secs(5)).await {
        Ok(views) => views,
        Err(_) => engine.views(),
    };
    tracing::info!(position = %views.position(), "stopped");
    Ok(docket_projections::Views::clone(&views))
}

/// Says where to look and what to try.
async fn greet(engine: &Arc<Engine>, address: SocketAddr, demo: bool, as_json: bool) -> anyhow::Result<()> {
    let views = engine.views();
    let tokens = if demo {
        demo::tokens(engine).await?
    } else if views.people().tokens().next().is_none() {
        let label = "made at the first start";
        let issued = engine.issue_token(&Principal::local(), Role::Administrator, label, None, None).await?;
        let secret = issued.secret.unwrap_or_default();
        vec![("administrator", secret)]
    } else {
        vec![]
    };
    if as_json {
        let tokens: Vec<_> = tokens.iter().map(|(role, token)| json!({ "role": role, "token": token })).collect();
        let address = format!("http://{address}");
        return print(json!({ "address": address, "tickets": views.tickets().len(), "tokens": tokens }));
    }
    print(format!(
        "Docket {} serves {} tickets at http://{address}",
        env!("CARGO_PKG_VERSION"),
        views.tickets().len()
    ))?;
    print(match (tokens.is_empty(), demo) {
        (true, _) => "",
        (false, true) => "\nTokens to try, until the next start of the demonstration:",
        (false, false) => "\nNobody has a token yet. This one is an administrator's and is shown this once:",
    })?;
    for (who, token) in &tokens {
        print(format!("  {who:<14} {token}"))?;
    }
    if let Some((_, token)) = tokens.first() {
        print(format!("\nThe console:   http://{address}/graphiql#token={token}"))?;
        print(format!(
            "A first query: curl -s http://{address}/graphql -H 'authorization: Bearer {token}' -H 'content-type: application/json' \\\n    -d '{{\"query\":\"{{ queues {{ nodes {{ name counters {{ unfinished overdue }} }} }} }}\"}}'"
        ))?;
    }
    print("Stop it with Ctrl-C.\n")
}

/// Says once when space becomes short, and once when there is enough again.
async fn watch_space(space: Arc<Space>) {
    let mut was_short = false;
    loop {
        let warning = space.warning();
        match &warning {
            Some(warning) if !was_short => tracing::warn!("{warning}"),
            None if was_short => tracing::info!("there is enough space again"),
            Some(_) | None => {}
        }
        was_short = warning.is_some();
        tokio::time::sleep(SPACE_EVERY).await;
    }
}

async fn keep_snapshots(engine: Arc<Engine>, dir: PathBuf, log_id: String) {
    let mut saved = engine.views().position();
    loop {
        tokio::time::sleep(SNAPSHOT_EVERY).await;
        let views = engine.views();
        // The directory of a log that takes nothing more may not be its own by now.
        if views.position().get() < saved.get() + SNAPSHOT_COMMITS || engine.log().read_only().is_some() {
            continue;
        }
        saved = views.position();
        let (dir, log_id) = (dir.clone(), log_id.clone());
        // The views that are written do not change any more; the live ones go on meanwhile.
        let written =
            tokio::task::spawn_blocking(move || docket_projections::snapshot::write(&dir, &log_id, &views)).await;
        match written {
            Ok(Ok(path)) => tracing::info!(path = %path.display(), "snapshot written"),
            Ok(Err(error)) => tracing::warn!(%error, "no snapshot was written"),
            Err(error) => tracing::warn!(%error, "no snapshot was written"),
        }
    }
}

/// Ends with the first SIGINT or SIGTERM; a second one ends the process at once.
fn signal() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping; once more to stop at once");
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::process::exit(130);
        });
    })
}

fn start_logging(filter: &str, json: bool) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .with_context(|| format!("{filter:?} is no log filter: try info or docket_store=debug"))?;
    let ansi = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi);
    let started = if json { builder.json().try_init() } else { builder.try_init() };
    started.map_err(|error| anyhow::anyhow!("logging cannot be started: {error}"))
}
