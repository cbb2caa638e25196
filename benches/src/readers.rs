//! What many subscribers cost: those that wait for something to happen, and those that never read.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::json;

use crate::{
    figure::{Figure, nanos},
    http::{Binary, SHOP, Server},
};

/// Subscribers that wait and read.
const IDLE: usize = 1_000;
/// Subscribers that have the whole log to read, and do not.
const DEAF: usize = 250;
/// Tickets whose first message is long.
const TICKETS: usize = 3_000;
/// Bytes of such a message: just short enough to stand in its event.
const TEXT: usize = 15_000;
const PAGE: &str = "{ tickets(first: 25, filter: { statusCategories: [NEW, OPEN] }, orderBy: { field: DUE_AT }) {
    totalCount nodes { id number subject priority dueAt status { name } queue { name } } } }";
const MIB: f64 = 1024.0 * 1024.0;

/// Measures every program with a fresh data folder: memory above rest, and how long others wait.
pub fn readers(dir: &Path, binaries: &[Binary], seconds: Duration) -> anyhow::Result<Vec<Figure>> {
    ensure!(!binaries.is_empty(), "say what to measure: --binary NAME=PATH");
    let mut figures = Vec::new();
    for (n, binary) in binaries.iter().enumerate() {
        let server = Server::start(&dir.join(n.to_string()), binary, SHOP)?;
        let text = "It has not come. ".repeat(TEXT / 17);
        let opened = (0..TICKETS).map(|n| {
            format!("ticketOpen(input: {{ subject: \"Long {n}\", body: {}, queue: \"queue_orders\" }})", json!(text))
        });
        let tickets = server.mutations(opened.collect())?;
        let ticket = tickets.first().context("a ticket")?;
        let server = server.again(binary)?;
        // What it needs to answer is there before it rests.
        waits(&server, Duration::from_millis(500))?;
        let name = |what: &str| format!("{what}, {}", binary.name());
        let rest = resident(&server)?;
        let calm = waits(&server, seconds)?;
        let p99 = |figure: &Figure| figure.p99_us.unwrap_or_default();
        let calm = Figure::rate(&name("pages beside nobody"), calm.len() as f64 / seconds.as_secs_f64(), "requests/s")
            .timed(calm);
        let idle = (0..IDLE)
            .map(|_| {
                subscribe(
                    &server,
                    server.token(),
                    &format!("subscription {{ ticketUpdated(id: \"{ticket}\") {{ position }} }}"),
                )
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        std::thread::sleep(Duration::from_secs(1));
        let waiting = resident(&server)?;
        let everything = "subscription { logAppended(after: \"0\") { position commit { events { data } } } }";
        let deaf =
            (0..DEAF).map(|_| subscribe(&server, server.token(), everything)).collect::<anyhow::Result<Vec<_>>>()?;
        let beside = waits(&server, seconds)?;
        let with_all = resident(&server)?;
        let rate = beside.len() as f64 / seconds.as_secs_f64();
        let beside = Figure::rate(&name("pages beside all of them"), rate, "requests/s").timed(beside);
        let times = p99(&beside) / p99(&calm);
        figures.push(Figure::rate(&name("resident at rest"), rest / MIB, "MiB"));
        figures.push(Figure::rate(&name("1,000 idle subscribers, more"), (waiting - rest) / MIB, "MiB"));
        figures.push(Figure::rate(&name("and 250 that never read, more"), (with_all - rest) / MIB, "MiB"));
        figures.push(calm);
        figures.push(beside.noted(format!("p99 {times:.2} × beside nobody")));
        drop((idle, deaf));
    }
    Ok(figures)
}

/// How long a client waits for pages, one after the other.
fn waits(server: &Server, time: Duration) -> anyhow::Result<Vec<u64>> {
    let mut connection = server.connect()?;
    let body = json!({ "query": PAGE }).to_string();
    let (started, mut taken) = (Instant::now(), Vec::new());
    while started.elapsed() < time {
        let asked = Instant::now();
        let answer = connection.ask(&body)?;
        taken.push(nanos(asked));
        ensure!(answer.starts_with(b"{\"data\""), "{}", String::from_utf8_lossy(answer));
        // A client that looks at what it got, so that the processors are not all its own.
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(taken)
}

/// A socket with one subscription.
pub fn subscribe(server: &Server, token: &str, query: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(server.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(
        b"GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
          sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: graphql-transport-ws\r\n\r\n",
    )?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    ensure!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    say(&mut stream, &json!({ "type": "connection_init", "payload": { "token": token } }).to_string())?;
    // Its acknowledgement: two bytes of the frame's head, and less than 126 of text.
    let mut frame = [0; 2];
    stream.read_exact(&mut frame)?;
    let mut text = vec![0; usize::from(frame[1])];
    stream.read_exact(&mut text)?;
    ensure!(text.windows(14).any(|part| part == b"connection_ack"), "{}", String::from_utf8_lossy(&text));
    say(&mut stream, &json!({ "id": "1", "type": "subscribe", "payload": { "query": query } }).to_string())?;
    Ok(stream)
}

/// A text in a frame of a client, masked with nothing.
fn say(stream: &mut TcpStream, text: &str) -> anyhow::Result<()> {
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend_from_slice(&u16::try_from(text.len())?.to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    Ok(stream.write_all(&frame)?)
}

/// Resident memory in bytes.
fn resident(server: &Server) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("its memory")?;
    let kib: f64 = line.split_whitespace().nth(1).context("its memory")?.parse()?;
    Ok(kib * 1024.0)
}
