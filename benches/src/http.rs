//! Requests over HTTP to servers of one or several versions, in turns. The client writes and reads HTTP/1.1 by itself on
//! blocking threads, because it shares the processors with the server and must take little of them.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    str::FromStr,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::figure::{Figure, nanos};

/// Connections, each with one request in flight.
const CONNECTIONS: usize = 64;
/// Tickets with long histories, and with custom fields.
const LONG_TICKETS: usize = 50;
/// Messages and notes of a long ticket, besides its first one.
const LONG: usize = 60;
/// Tickets with custom fields: the whole category `question`.
const FIELD_TICKETS: usize = 200;
/// Mutations in one request while the folder is filled; the server takes 20.
const TOGETHER: usize = 20;
/// A tick of `/proc/PID/stat`: Linux gives hundredths of a second whatever its own clock is.
const TICK_US: f64 = 10_000.0;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

pub const SHOP: &str = include_str!("../../examples/desks/small-shop.toml");
const BODY: &str = "The parcel has not come. It was promised for Monday, and nobody answers the telephone. Could you please find \
    out where it is, and whether I can still change the address? I am not at home from Thursday on.";

const OPEN: &str = "mutation ($subject: String!, $body: String, $queue: ID, $priority: Priority) {
    ticketOpen(input: { subject: $subject, body: $body, queue: $queue, priority: $priority }) {
        ticket { id number dueAt } position userErrors { code message } } }";
const PAGE: &str = "{ tickets(first: 25, filter: { statusCategories: [NEW, OPEN] }, orderBy: { field: DUE_AT }) {
    totalCount pageInfo { hasNextPage endCursor }
    nodes { id number subject priority dueAt updatedAt status { name } queue { name } agent { name } requester { name } } } }";
const HISTORY: &str =
    "query ($id: ID!) { ticket(id: $id) { id number subject dueAt status { name category } queue { name }
    timeline(first: 50) { pageInfo { hasNextPage endCursor } nodes { __typename
        ... on MessageEntry { body direction channel id occurredAt actor { __typename } }
        ... on NoteEntry { body id occurredAt actor { __typename } }
        ... on OpeningEntry { subject channel id occurredAt actor { __typename } } } } } }";
const FIELDS: &str = "{ tickets(first: 100, filter: { categories: [\"category_question\"] }) {
    nodes { id number fields { field value } } } }";

/// A program to be measured and its name in the table.
#[derive(Debug, Clone)]
pub struct Binary {
    name: String,
    path: PathBuf,
}

impl Binary {
    fn command(&self, data: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(words).arg("--data").arg(data).stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs a command to its end, and gives what it printed.
    fn run(&self, data: &Path, words: &[&str]) -> anyhow::Result<String> {
        let output = self.command(data, words).output().with_context(|| self.path.display().to_string())?;
        ensure!(output.status.success(), "{} {words:?}: {}", self.name, output.status);
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// What it is called in the table.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for Binary {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, path) = text.split_once('=').context("write NAME=PATH")?;
        Ok(Self { name: name.to_owned(), path: path.into() })
    }
}

/// Measures every program with a fresh data folder of so many tickets, `rounds` times in turns, each time for so long.
pub fn http(
    dir: &Path,
    binaries: &[Binary],
    tickets: usize,
    rounds: usize,
    seconds: Duration,
) -> anyhow::Result<Vec<Figure>> {
    ensure!(!binaries.is_empty(), "say what to measure: --binary NAME=PATH");
    let mut servers = Vec::new();
    for (n, binary) in binaries.iter().enumerate() {
        let server = Server::start(&dir.join(n.to_string()), binary, SHOP)?;
        let work = server.fill(tickets)?;
        servers.push((binary, server, work));
    }
    let mut sums: Vec<Vec<Sum>> =
        servers.iter().map(|(_, _, work)| work.iter().map(|_| Sum::default()).collect()).collect();
    let kinds = sums.first().map_or(0, Vec::len);
    for round in 0..=rounds {
        for kind in 0..kinds {
            // Every other round the other one begins.
            let mut order: Vec<usize> = (0..servers.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for n in order {
                let (_, server, work) = &servers[n];
                // The first round warms up.
                let time = if round == 0 { seconds.min(Duration::from_millis(500)) } else { seconds };
                let measured = server.measure(&server.token, &work[kind], time)?;
                if round > 0 {
                    sums[n][kind].add(measured);
                }
            }
        }
    }
    let mut figures = Vec::new();
    for kind in 0..kinds {
        let first = sums[0][kind].rate();
        for (n, (binary, _, work)) in servers.iter().enumerate() {
            let sum = &mut sums[n][kind];
            let mut note = format!("server {:.0} µs CPU a request, client {:.0}", sum.server_us(), sum.client_us());
            if n > 0 {
                note += &format!("; {:.2} × {}", sum.rate() / first, servers[0].0.name);
            }
            let what = format!("{}, {}", work[kind].what, binary.name);
            let figure = Figure::rate(&what, sum.rate(), "requests/s").timed(std::mem::take(&mut sum.taken));
            figures.push(figure.noted(note));
        }
    }
    Ok(figures)
}

/// Requests of one kind.
pub struct Work {
    pub what: &'static str,
    /// Bodies that are sent in turns.
    pub bodies: Vec<String>,
    /// What every answer has.
    pub answer: &'static str,
}

/// What several rounds came to.
#[derive(Default)]
pub struct Sum {
    pub taken: Vec<u64>,
    seconds: f64,
    server_us: f64,
    client_us: f64,
    requests: usize,
}

impl Sum {
    pub fn add(&mut self, other: Self) {
        self.taken.extend(other.taken);
        self.seconds += other.seconds;
        self.server_us += other.server_us;
        self.client_us += other.client_us;
        self.requests += other.requests;
    }

    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    pub fn server_us(&self) -> f64 {
        self.server_us / self.requests as f64
    }

    fn client_us(&self) -> f64 {
        self.client_us / self.requests as f64
    }
}

/// A program that serves a data folder of its own; ended when dropped.
pub struct Server {
    child: Child,
    address: String,
    token: String,
    data: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Serves a fresh data folder with this desk.
    pub fn start(dir: &Path, binary: &Binary, desk: &str) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let (file, data) = (dir.join("desk.toml"), dir.join("data"));
        std::fs::write(&file, desk)?;
        binary.run(&data, &["apply", file.to_str().context("a path in UTF-8")?])?;
        let token = binary.run(&data, &["token", "create", "--role", "administrator"])?;
        Self::serve(binary, data, token)
    }

    /// The same folder, served by a new process, and tokens of these roles too.
    pub fn with_tokens<const N: usize>(
        self,
        binary: &Binary,
        roles: [&[&str]; N],
    ) -> anyhow::Result<(Self, [String; N])> {
        let (data, token) = (self.data.clone(), self.token.clone());
        drop(self);
        let mut tokens = [const { String::new() }; N];
        for (made, role) in tokens.iter_mut().zip(roles) {
            *made = binary.run(&data, &[&["token", "create"], role].concat())?;
        }
        Ok((Self::serve(binary, data, token)?, tokens))
    }

    /// The same folder, served by a new process: one that has not just filled it.
    pub fn again(self, binary: &Binary) -> anyhow::Result<Self> {
        let (data, token) = (self.data.clone(), self.token.clone());
        drop(self);
        Self::serve(binary, data, token)
    }

    fn serve(binary: &Binary, data: PathBuf, token: String) -> anyhow::Result<Self> {
        let mut command = binary.command(&data, &["serve", "--listen", "127.0.0.1:0", "--log", "warn"]);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let line = lines.next().context("its first line")??;
        std::thread::spawn(move || lines.for_each(drop));
        let address = line.rsplit_once("http://").context("its address")?.1.to_owned();
        Ok(Self { child, address, token, data })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    /// Of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn connect(&self) -> anyhow::Result<Connection> {
        self.connect_as(&self.token)
    }

    fn connect_as(&self, token: &str) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head = format!(
            "POST /graphql HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             accept: application/graphql-response+json\r\ncontent-length: ",
            self.address, token
        );
        Ok(Connection { stream, head, kept: Vec::new() })
    }

    /// Fills the folder through GraphQL, so that it is of the version that serves it; gives what is to be measured.
    fn fill(&self, tickets: usize) -> anyhow::Result<Vec<Work>> {
        let open = |n: usize, category: &str| {
            let subject = format!("Where is my parcel {n}?");
            let queue = ["orders", "billing", "technical"][n % 3];
            let priority = ["LOW", "NORMAL", "HIGH", "URGENT"][n % 4];
            format!(
                "ticketOpen(input: {{ subject: {}, body: {}, queue: \"queue_{queue}\", priority: {priority}{category} }})",
                json!(subject),
                json!(BODY)
            )
        };
        let with_fields = FIELD_TICKETS.min(tickets);
        self.mutations((0..tickets - with_fields).map(|n| open(n, "")).collect())?;
        let category = ", category: \"category_question\"";
        let asked = self.mutations((0..with_fields).map(|n| open(n, category)).collect())?;
        let fields = asked.iter().enumerate().flat_map(|(n, id)| {
            let text = [("order-number", format!("text: \"A-{n}\"")), ("refund-cents", format!("integer: \"{n}\"")), {
                ("satisfaction", "choice: \"good\"".to_owned())
            }];
            text.map(|(field, value)| format!("ticketSetField(id: \"{id}\", input: {{ field: \"{field}\", {value} }})"))
        });
        self.mutations(fields.collect())?;
        let long = asked.iter().take(LONG_TICKETS);
        for _ in 0..LONG / TOGETHER {
            // One request has the texts of one ticket: answers that cross another's would be refused.
            let texts = long.clone().flat_map(|id| {
                (0..TOGETHER).map(move |n| {
                    let name = ["ticketReply", "ticketAddNote"][n % 2];
                    format!("{name}(id: \"{id}\", input: {{ body: {} }})", json!(BODY))
                })
            });
            self.mutations(texts.collect())?;
        }
        let body = |query: &str, variables: Value| json!({ "query": query, "variables": variables }).to_string();
        let opened = (0..4).map(|n| {
            let (queue, priority) =
                (["queue_orders", "queue_billing", "queue_technical"][n % 3], ["LOW", "NORMAL"][n % 2]);
            body(OPEN, json!({ "subject": "Where is it?", "body": BODY, "queue": queue, "priority": priority }))
        });
        Ok(vec![
            Work { what: "open a ticket", bodies: opened.collect(), answer: "\"userErrors\":[]" },
            Work {
                what: "page of 25 open tickets by due time",
                bodies: vec![body(PAGE, Value::Null)],
                answer: "\"hasNextPage\":true",
            },
            Work {
                what: "ticket with 50 entries of its history",
                bodies: long.map(|id| body(HISTORY, json!({ "id": id }))).collect(),
                answer: "\"hasNextPage\":true",
            },
            Work {
                what: "custom fields of 100 tickets",
                bodies: vec![body(FIELDS, Value::Null)],
                answer: "refund-cents",
            },
        ])
    }

    /// Carries out mutations over all connections; gives the ids of their tickets, in order.
    pub fn mutations(&self, all: Vec<String>) -> anyhow::Result<Vec<String>> {
        let chunks: Vec<&[String]> = all.chunks(TOGETHER).collect();
        let next = AtomicUsize::new(0);
        let work = || -> anyhow::Result<Vec<(usize, Vec<String>)>> {
            let mut connection = self.connect()?;
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(chunk) = chunks.get(at) else { return Ok(done) };
                let fields = chunk
                    .iter()
                    .enumerate()
                    .map(|(n, text)| format!("m{n}: {text} {{ ticket {{ id }} userErrors {{ code message }} }}"));
                let query = format!("mutation {{ {} }}", fields.collect::<Vec<_>>().join(" "));
                let answer: Value = serde_json::from_slice(connection.ask(&json!({ "query": query }).to_string())?)?;
                let ids = (0..chunk.len()).map(|n| {
                    let id = answer["data"][format!("m{n}")]["ticket"]["id"].as_str();
                    id.map(str::to_owned).with_context(|| format!("a refusal while the folder was filled: {answer}"))
                });
                done.push((at, ids.collect::<anyhow::Result<_>>()?));
            }
        };
        let mut done = on_threads(work)?.concat();
        done.sort_unstable_by_key(|(at, _)| *at);
        Ok(done.into_iter().flat_map(|(_, ids)| ids).collect())
    }

    /// Requests of one kind by the bearer of a token over all connections for so long.
    pub fn measure(&self, token: &str, work: &Work, time: Duration) -> anyhow::Result<Sum> {
        let next = AtomicUsize::new(0);
        let (server, client) = (cpu_us(&self.child.id().to_string())?, cpu_us("self")?);
        let started = Instant::now();
        let ask = || -> anyhow::Result<Vec<u64>> {
            let mut connection = self.connect_as(token)?;
            let mut taken = Vec::new();
            while started.elapsed() < time {
                let body = &work.bodies[next.fetch_add(1, Ordering::Relaxed) % work.bodies.len()];
                let asked = Instant::now();
                let answer = connection.ask(body)?;
                taken.push(nanos(asked));
                let text = std::str::from_utf8(answer)?;
                ensure!(text.contains(work.answer) && !text.contains("\"errors\":[{"), "{}: {text}", work.what);
            }
            Ok(taken)
        };
        let taken = on_threads(ask)?.concat();
        Ok(Sum {
            seconds: started.elapsed().as_secs_f64(),
            server_us: cpu_us(&self.child.id().to_string())? - server,
            client_us: cpu_us("self")? - client,
            requests: taken.len(),
            taken,
        })
    }
}

/// The same work on as many threads as there are connections.
fn on_threads<T: Send>(work: impl Fn() -> anyhow::Result<T> + Sync) -> anyhow::Result<Vec<T>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(&work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread of the client broke off"))))
            .collect()
    })
}

/// A connection that is kept.
pub struct Connection {
    stream: TcpStream,
    /// Of every request, up to the length of its body.
    head: String,
    kept: Vec<u8>,
}

impl Connection {
    /// Sends a body, and gives that of the answer.
    pub fn ask(&mut self, body: &str) -> anyhow::Result<&[u8]> {
        self.stream.write_all(format!("{}{}\r\n\r\n{body}", self.head, body.len()).as_bytes())?;
        self.kept.clear();
        let (mut start, mut end) = (0, usize::MAX);
        let mut part = [0; 32 * 1024];
        while self.kept.len() < end {
            let length = self.stream.read(&mut part)?;
            ensure!(length > 0, "the server closed the connection");
            self.kept.extend_from_slice(&part[..length]);
            if end == usize::MAX
                && let Some(at) = self.kept.windows(4).position(|four| four == b"\r\n\r\n")
            {
                let head = std::str::from_utf8(&self.kept[..at])?;
                ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    if name.eq_ignore_ascii_case("content-length") { value.trim().parse::<usize>().ok() } else { None }
                });
                let Some(length) = length else { bail!("an answer without its length: {head}") };
                start = at + 4;
                end = start + length;
            }
        }
        Ok(&self.kept[start..end])
    }
}

/// Processor time of a process up to now, in microseconds.
fn cpu_us(process: &str) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // After the program's name, which may hold anything, user and system time are the 12th and 13th.
    let fields: Vec<&str> = text.rsplit_once(')').context("a program's name")?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("times");
    Ok((ticks(11)? + ticks(12)?) * TICK_US)
}
