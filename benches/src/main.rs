//! Measures Docket beside what it is compared with, in one run on one disk. See README.md.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::cast_precision_loss, reason = "it prints figures")]

mod appends;
mod figure;
mod growth;
mod history;
mod http;
#[cfg(feature = "peers")]
mod peers;
mod readers;
mod scopes;
mod service_levels;
mod views;

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Parser;
use figure::Figure;

/// The server's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures appends beside peers, the growth of a log, rebuilds and pages.
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
    /// Grow a log up to so many events, measured at 10,000 and every tenfold of it; 10 million take about 12 GB of disk
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Running SLA clocks; a million take about 1.5 GB of memory
    #[arg(long, default_value_t = 100_000)]
    clocks: u32,
    /// Only these parts: appends, growth, views, sla, http, readers, scopes
    #[arg(long, value_delimiter = ',', default_values = ["appends", "growth", "views", "sla"])]
    only: Vec<String>,
    /// For http, readers and scopes, as NAME=PATH: a server's program; given several times, they are measured in turns
    #[arg(long)]
    binary: Vec<http::Binary>,
    /// For http and scopes: tickets of each server's data folder
    #[arg(long, default_value_t = 20_000)]
    http_tickets: usize,
    /// For http and scopes: turns, each of `--seconds` for every kind of request
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Print the figures as JSON too
    #[arg(long)]
    json: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    std::fs::create_dir_all(&args.dir)?;
    let scratch = tempfile::tempdir_in(&args.dir)?;
    let wanted = |part: &str| args.only.iter().any(|only| only == part);
    let mut figures = Vec::new();
    if wanted("appends") {
        figures.extend(appends_and_peers(scratch.path(), Duration::from_secs_f64(args.seconds))?);
    }
    if wanted("growth") {
        let sizes = (4..).map(|exponent| 10_u64.pow(exponent)).take_while(|size| *size <= args.events);
        figures.extend(growth::growth(&scratch.path().join("growth"), &sizes.collect::<Vec<_>>())?);
    }
    if wanted("views") {
        figures.extend(views::rebuild_and_page(&scratch.path().join("history"), args.tickets)?);
    }
    if wanted("sla") {
        figures.push(service_levels::deadlines(Duration::from_secs_f64(args.seconds))?);
        figures.extend(service_levels::timers(&scratch.path().join("sla"), args.clocks)?);
    }
    if wanted("http") {
        let seconds = Duration::from_secs_f64(args.seconds);
        figures.extend(http::http(
            &scratch.path().join("http"),
            &args.binary,
            args.http_tickets,
            args.rounds,
            seconds,
        )?);
    }
    if wanted("readers") {
        let seconds = Duration::from_secs_f64(args.seconds);
        figures.extend(readers::readers(&scratch.path().join("readers"), &args.binary, seconds)?);
    }
    if wanted("scopes") {
        let (dir, seconds) = (scratch.path().join("scopes"), Duration::from_secs_f64(args.seconds));
        figures.extend(scopes::scopes(&dir, &args.binary, args.http_tickets, args.rounds, seconds)?);
    }
    print!("{}", figure::table(&figures));
    if args.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    }
    Ok(())
}

fn appends_and_peers(scratch: &std::path::Path, budget: Duration) -> anyhow::Result<Vec<Figure>> {
    let raw = appends::raw_appends(&scratch.join("raw"), budget)?;
    let raw_p50 = raw.p50_us.context("raw")?;
    let mut figures = vec![raw];
    for writers in [1_usize, 8, 64, 256] {
        let mut figure = appends::appends(&scratch.join(format!("log-{writers}")), writers, budget)?;
        if writers == 1 {
            figure.note = format!("{:.2} × raw", figure.p50_us.context("lone")? / raw_p50);
        }
        figures.push(figure);
    }
    figures.push(appends::deep_queue(&scratch.join("deep"), budget)?);
    figures.extend(appends::guard_price(&scratch.join("guards"), budget * 2)?);
    #[cfg(feature = "peers")]
    {
        figures.extend(peers::postgresql(&scratch.join("postgresql"), budget)?);
        figures.push(peers::sqlite(&scratch.join("sqlite"), budget)?);
        figures.extend(peers::umadb(&scratch.join("umadb"), budget)?);
        let rate = |what: &str| figures.iter().find(|figure| figure.what.starts_with(what)).map(|figure| figure.value);
        let docket = rate("Docket, 64").context("measured above")?;
        let ratios: Vec<Figure> = ["PostgreSQL, 64", "UmaDB's engine in process, 64"]
            .into_iter()
            .filter_map(|peer| Some((peer, rate(peer)?)))
            .map(|(peer, value)| Figure::rate(&format!("Docket with 64 writers : {peer}"), docket / value, "×"))
            .collect();
        figures.extend(ratios);
    }
    Ok(figures)
}
