//! What a scope costs: the same questions by an agent who works in every queue, and by one who works in three of fifty, in turns.

use std::{
    io::Read,
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::json;

use crate::{
    figure::{Figure, nanos},
    http::{Binary, Server, Sum, Work},
    readers::subscribe,
};

const QUEUES: usize = 50;
/// Entries of the ticket that is followed from its beginning.
const ENTRIES: usize = 200;
/// Turns that are taken at subscriptions for each of the requests' rounds.
const FOLLOWED: usize = 20;

/// `FILTER` stands for what a filter begins with: nothing, or the same three queues.
const PAGE: &str = "{ tickets(first: 25, filter: { FILTER }, orderBy: { field: ACTIVITY, direction: DESC }) {
    pageInfo { hasNextPage endCursor }
    nodes { id number subject priority dueAt updatedAt status { name } queue { name } agent { name } } } }";
const OPEN: &str =
    "{ tickets(first: 25, filter: { FILTER statusCategories: [NEW, OPEN] }, orderBy: { field: DUE_AT }) {
    totalCount nodes { id number subject dueAt } } }";
const COUNT: &str = "{ tickets(first: 1, filter: { FILTER priorities: [HIGH, URGENT] }) { totalCount } }";

fn desk() -> String {
    let mut desk = "name = \"Many queues\"\n".to_owned();
    for category in ["new", "open", "resolved", "closed"] {
        desk += &format!("[[status]]\nkey = \"{category}\"\nname = \"{category}\"\ncategory = \"{category}\"\n");
    }
    for n in 0..QUEUES {
        desk += &format!("[[queue]]\nkey = \"q{n}\"\nname = \"Queue {n}\"\n");
    }
    desk += "[[policy]]\nkey = \"p\"\nname = \"P\"\nresolution = { default = \"2000h\" }\n";
    desk + "[[agent]]\nkey = \"all\"\nname = \"All\"\n\
            [[agent]]\nkey = \"three\"\nname = \"Three\"\nqueues = { q3 = \"work\", q17 = \"work\", q41 = \"read\" }\n"
}

/// Measures one program with a fresh data folder of so many tickets, `rounds` times in turns, each time for so long.
pub fn scopes(
    dir: &Path,
    binaries: &[Binary],
    tickets: usize,
    rounds: usize,
    seconds: Duration,
) -> anyhow::Result<Vec<Figure>> {
    let binary = binaries.first().context("say what to measure: --binary NAME=PATH")?;
    let roles: [&[&str]; 2] = [&["--role", "agent", "--agent", "all"], &["--role", "agent", "--agent", "three"]];
    let (server, [all, three]) = Server::start(dir, binary, &desk())?.with_tokens(binary, roles)?;
    let tokens = [("every queue", all), ("three of fifty", three)];
    let opened = (0..tickets).map(|n| {
        let (queue, priority) = (n % QUEUES, ["LOW", "NORMAL", "HIGH", "URGENT"][n / QUEUES % 4]);
        format!("ticketOpen(input: {{ subject: \"Ticket {n}\", queue: \"q{queue}\", priority: {priority} }})")
    });
    let ids = server.mutations(opened.collect())?;
    let followed = ids.get(3).context("a ticket in the fourth queue")?;
    let note = |n| format!("ticketAddNote(id: \"{followed}\", input: {{ body: \"Note {n}\" }})");
    server.mutations((0..ENTRIES).map(note).collect())?;
    let mut figures = Vec::new();
    for (what, query, answer) in [
        ("page of 25 by activity", PAGE, "\"hasNextPage\":true"),
        ("page of 25 open tickets by due time", OPEN, "\"totalCount\""),
        ("count of urgent and high", COUNT, "\"totalCount\""),
    ] {
        let work = |filter: &str| {
            let bodies = vec![json!({ "query": query.replace("FILTER", filter) }).to_string()];
            Work { what, bodies, answer }
        };
        // What a scope hides costs as much as what somebody who sees it all does not want.
        let [(all, of_all), (three, of_three)] = &tokens;
        let asked = [
            (*all, of_all, work("")),
            (*three, of_three, work("")),
            ("every queue, filtered to three", of_all, work("queues: [\"q3\", \"q17\", \"q41\"]")),
        ];
        let mut sums: [Sum; 3] = Default::default();
        for round in 0..=rounds {
            // Every round another one begins.
            for n in (0..3).map(|n| (n + round) % 3) {
                let measured = server.measure(asked[n].1, &asked[n].2, seconds)?;
                if round > 0 {
                    sums[n].add(measured);
                }
            }
        }
        let first = sums[0].rate();
        for (sum, (name, ..)) in sums.iter_mut().zip(&asked) {
            let note =
                format!("server {:.0} µs CPU a request; {:.2} × every queue", sum.server_us(), sum.rate() / first);
            let figure = Figure::rate(&format!("{what}, {name}"), sum.rate(), "requests/s");
            figures.push(figure.timed(std::mem::take(&mut sum.taken)).noted(note));
        }
    }
    let query = format!(
        "subscription {{ ticketUpdated(id: \"{followed}\", after: \"0\") {{ position ticket {{ number }} }} }}"
    );
    let mut taken = [Vec::new(), Vec::new()];
    for round in 0..=rounds * FOLLOWED {
        for n in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            let started = Instant::now();
            let mut socket = subscribe(&server, &tokens[n].1, &query)?;
            let mut seen = 0;
            // The opening and the notes.
            while seen < ENTRIES + 1 {
                seen += usize::from(frame(&mut socket)?.contains("\"next\""));
            }
            if round > 0 {
                taken[n].push(nanos(started));
            }
        }
    }
    let rate = |taken: &[u64]| ((ENTRIES + 1) * taken.len()) as f64 / (taken.iter().sum::<u64>() as f64 / 1e9);
    let first = rate(&taken[0]);
    for (taken, (name, _)) in taken.into_iter().zip(&tokens) {
        let figure = Figure::rate(&format!("a ticket followed from its beginning, {name}"), rate(&taken), "entries/s");
        let note = format!("{:.2} × every queue", rate(&taken) / first);
        figures.push(figure.timed(taken).noted(note));
    }
    Ok(figures)
}

/// The text of the next frame of a server.
fn frame(socket: &mut TcpStream) -> anyhow::Result<String> {
    let mut head = [0; 2];
    socket.read_exact(&mut head)?;
    let length = match head[1] {
        126 => {
            let mut length = [0; 2];
            socket.read_exact(&mut length)?;
            usize::from(u16::from_be_bytes(length))
        }
        127 => {
            let mut length = [0; 8];
            socket.read_exact(&mut length)?;
            usize::try_from(u64::from_be_bytes(length))?
        }
        length => usize::from(length),
    };
    let mut text = vec![0; length];
    socket.read_exact(&mut text)?;
    ensure!(head[0] == 0x81, "a frame that is no text: {head:?} {}", String::from_utf8_lossy(&text));
    Ok(String::from_utf8(text)?)
}
