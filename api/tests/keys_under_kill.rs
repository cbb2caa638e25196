//! Keys while the server is killed: 16 clients send the same keys with payloads of their own, and repeat whatever was not
//! answered, while the server is killed with SIGKILL at random moments and started again. Afterwards the log is held against
//! every answer that was given.
//!
//! It prints its seed and its figures. `DOCKET_TORTURE=long` makes it a minute long; `DOCKET_SEED=N` repeats the random choices.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::{Docket, PATIENCE, Server, root, shop::SHOP};
use tokio::sync::watch;

const CLIENTS: u64 = 16;
/// Tickets that everybody writes on.
const TICKETS: usize = 5;
/// Fewer kills than this show nothing.
const FEWEST_KILLS: usize = 3;
/// A text of so many bytes is kept beside the log.
const LONG: usize = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Open,
    Reply,
    Note,
    Register,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Open, Self::Reply, Self::Note, Self::Register];

    fn query(self) -> &'static str {
        match self {
            Self::Open => {
                "mutation ($k: String!, $text: String!) { it: ticketOpen(input: { subject: $text, body: $text, \
                 clientMutationId: $k }) { position thing: ticket { id } userErrors { code firstPosition } } }"
            }
            Self::Reply => {
                "mutation ($k: String!, $id: ID!, $text: String!) { it: ticketReply(id: $id, input: { body: $text, \
                 clientMutationId: $k }) { position thing: ticket { id } userErrors { code firstPosition } } }"
            }
            Self::Note => {
                "mutation ($k: String!, $id: ID!, $text: String!) { it: ticketAddNote(id: $id, input: { body: $text, \
                 clientMutationId: $k }) { position thing: ticket { id } userErrors { code firstPosition } } }"
            }
            Self::Register => {
                "mutation ($k: String!, $text: String!) { it: customerRegister(input: { name: $text, \
                 clientMutationId: $k }) { position thing: customer { id } userErrors { code firstPosition } } }"
            }
        }
    }

    /// The events that show the text in the log.
    fn events(self) -> BTreeSet<&'static str> {
        match self {
            Self::Open => BTreeSet::from(["TicketOpened", "MessageReceived"]),
            Self::Reply => BTreeSet::from(["MessageSent"]),
            Self::Note => BTreeSet::from(["NoteAdded"]),
            Self::Register => BTreeSet::from(["CustomerRegistered"]),
        }
    }
}

/// What a client asks with a key. No text is asked with two keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    kind: Kind,
    /// Index of the ticket that it is about, if it is about one of the shared ones.
    ticket: Option<usize>,
    text: String,
}

impl Wish {
    /// What this client asks with this key. Now and then several clients ask the same, and now and then one asks for
    /// something else entirely.
    fn of(seed: u64, key: u64, client: u64) -> Self {
        let mut common = fastrand::Rng::with_seed(seed ^ key.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut own = fastrand::Rng::with_seed(common.u64(..) ^ client.wrapping_mul(0xd1b5_4a32_d192_ed03));
        let (kind, ticket, long) = (common.usize(..4), common.usize(..TICKETS), common.u8(..20) == 0);
        let with_others = own.u8(..4) == 0;
        let (kind, ticket) =
            if with_others || own.u8(..8) > 0 { (kind, ticket) } else { (own.usize(..4), own.usize(..TICKETS)) };
        let kind = Kind::ALL[kind];
        let text = if with_others { format!("key {key}, all") } else { format!("key {key}, client {client}") };
        match kind {
            Kind::Open | Kind::Register => Self { kind, ticket: None, text },
            Kind::Reply | Kind::Note => {
                let text = if long { format!("{text} {}", "x".repeat(LONG)) } else { text };
                Self { kind, ticket: Some(ticket), text }
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// It was done, and is at this position; with the id of what it was done to.
    Done { position: u64, thing: String },
    /// The key was used for something else, which is at this position.
    Refused { first: u64 },
}

impl Verdict {
    /// Reads an answer. Nothing else may ever be answered.
    fn read(answer: &Value) -> Self {
        let number = |value: &Value| value.as_str().map(|text| text.parse().unwrap());
        let it = &answer["data"]["it"];
        match it["userErrors"].as_array().map(Vec::as_slice) {
            Some([]) => Self::Done {
                position: number(&it["position"]).unwrap_or_else(|| panic!("done, and nowhere: {answer}")),
                thing: it["thing"]["id"].as_str().unwrap_or_else(|| panic!("done to nothing: {answer}")).to_owned(),
            },
            Some([error]) if error["code"] == "IDEMPOTENCY_KEY_REUSED" => {
                assert_eq!((&it["position"], &it["thing"]), (&Value::Null, &Value::Null), "{answer}");
                let first = number(&error["firstPosition"]);
                Self::Refused { first: first.unwrap_or_else(|| panic!("refused, and no word of the first: {answer}")) }
            }
            _ => panic!("neither done nor refused for its key: {answer}"),
        }
    }
}

/// What all clients share.
struct Stage {
    seed: u64,
    token: String,
    tickets: Vec<String>,
    /// Where the server is, when it is anywhere.
    address: watch::Receiver<Option<String>>,
    over: AtomicBool,
    /// Requests sent, with those that were lost.
    sent: AtomicUsize,
    /// Requests that were sent again, as their connection was lost.
    retried: AtomicUsize,
    /// Requests that were answered and sent again later.
    repeated: AtomicUsize,
}

impl Stage {
    /// Sends a wish until it is answered.
    async fn ask(&self, http: &reqwest::Client, key: u64, wish: &Wish) -> Verdict {
        let mut address = self.address.clone();
        let variables = match wish.ticket {
            Some(ticket) => json!({ "k": format!("key {key}"), "text": wish.text, "id": self.tickets[ticket] }),
            None => json!({ "k": format!("key {key}"), "text": wish.text }),
        };
        let body = json!({ "query": wish.kind.query(), "variables": variables });
        let give_up_at = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < give_up_at, "never answered: {key} {wish:?}");
            let up = tokio::time::timeout(PATIENCE, address.wait_for(Option::is_some)).await.unwrap();
            let url = format!("http://{}/graphql", up.expect("the server stays away").as_deref().unwrap());
            self.sent.fetch_add(1, Ordering::Relaxed);
            let request = http.post(url).bearer_auth(&self.token).header("accept", "application/graphql-response+json");
            let answer = match request.json(&body).send().await {
                Ok(answer) => {
                    let status = answer.status();
                    // An answer that breaks off is none.
                    answer.json::<Value>().await.map(|answer| (status, answer))
                }
                Err(error) => Err(error),
            };
            match answer {
                Ok((status, answer)) => {
                    assert_eq!(status, 200, "{answer}");
                    return Verdict::read(&answer);
                }
                Err(_) => {
                    self.retried.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        }
    }

    /// A client: asks with key after key until it is over, and gives what it was answered, by key.
    async fn client(&self, client: u64) -> Vec<(Wish, Verdict)> {
        let http = reqwest::Client::new();
        let mut random = fastrand::Rng::with_seed(self.seed ^ client);
        let mut answers: Vec<(Wish, Verdict)> = Vec::new();
        while !self.over.load(Ordering::Relaxed) {
            let key = answers.len() as u64;
            let wish = Wish::of(self.seed, key, client);
            let verdict = self.ask(&http, key, &wish).await;
            answers.push((wish, verdict));
            if random.u8(..10) == 0 {
                let again = random.usize(..answers.len());
                let (wish, before) = &answers[again];
                assert_eq!(&self.ask(&http, again as u64, wish).await, before, "an answer changed: {wish:?}");
                self.repeated.fetch_add(1, Ordering::Relaxed);
            }
        }
        answers
    }
}

/// Kills the server again and again and starts it anew, now and then after a start that is killed before it is one. Gives the
/// last server, and how many were killed and how many starts.
fn kill_for(
    length: Duration,
    docket: &Docket,
    mut server: Server,
    told: &watch::Sender<Option<String>>,
    seed: u64,
) -> (Server, usize, usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut kills, mut starts_killed) = (0, 0);
    let ends_at = Instant::now() + length;
    while Instant::now() < ends_at || kills < FEWEST_KILLS {
        told.send_replace(Some(server.address.clone()));
        std::thread::sleep(Duration::from_millis(random.u64(50..1200)));
        server.child.kill().unwrap();
        told.send_replace(None);
        server.child.wait().unwrap();
        kills += 1;
        if random.u8(..3) == 0 {
            let mut command = docket.command(&["serve", "--listen", "127.0.0.1:0"]);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(random.u64(..150)));
            child.kill().unwrap();
            child.wait().unwrap();
            starts_killed += 1;
        }
        server = docket.serve();
    }
    told.send_replace(Some(server.address.clone()));
    (server, kills, starts_killed)
}

/// What the log has of one text: each event that shows it, with its position, type and stream.
type Shown = BTreeMap<String, Vec<(u64, String, String)>>;

/// All texts of the log. Those that are kept beside it are named by their hash.
fn shown(docket: &Docket) -> Shown {
    let mut shown = Shown::new();
    for line in docket.ok(&["replay", "--json"]).lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let data = &event["data"];
        let body = &data["body"];
        let texts = [&data["subject"], &data["name"], &body["inline"], &body["stored"]["sha256"]];
        for text in texts.into_iter().filter_map(Value::as_str) {
            let text_of = |name: &str| event[name].as_str().unwrap().to_owned();
            let place = (event["position"].as_u64().unwrap(), text_of("type"), text_of("stream"));
            shown.entry(text.to_owned()).or_default().push(place);
        }
    }
    shown
}

/// A text as the log has it.
fn in_log(text: &str) -> String {
    if text.len() < LONG { text.to_owned() } else { hex::encode(Sha256::digest(text)) }
}

/// Where in the log a wish is and what it was done to, when it is there: once, whole, and on the right stream.
#[track_caller]
fn place_of(wish: &Wish, shown: &Shown, tickets: &[String]) -> Option<(u64, String)> {
    let found = shown.get(&in_log(&wish.text))?;
    let (position, _, stream) = &found[0];
    let types: BTreeSet<&str> = found.iter().map(|(_, name, _)| name.as_str()).collect();
    assert_eq!(types, wish.kind.events(), "{wish:?} {found:?}");
    assert_eq!(found.len(), types.len(), "in the log more than once: {wish:?} {found:?}");
    assert!(found.iter().all(|(at, _, on)| (at, on) == (position, stream)), "torn apart: {wish:?} {found:?}");
    let thing = stream.replacen(':', "_", 1);
    assert!(wish.ticket.is_none_or(|ticket| tickets[ticket] == thing), "on another ticket: {wish:?} {found:?}");
    Some((*position, thing))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_that_says_done_is_in_the_log_exactly_once_however_the_server_is_killed() {
    let seed = std::env::var("DOCKET_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap());
    let long = std::env::var("DOCKET_TORTURE").is_ok_and(|form| form == "long");
    let length = Duration::from_secs(if long { 60 } else { 6 });
    // Also when it passes, and its output is caught.
    let figure = |line: String| writeln!(std::io::stderr().lock(), "torture: keys under kill, seed {seed}: {line}");
    figure(format!("{} s", length.as_secs())).unwrap();

    let docket = Arc::new(Docket::new());
    docket.ok(&["apply", root().join(SHOP).to_str().unwrap()]);
    let token = docket.token(&["--role", "administrator"]);
    let server = docket.serve();
    let mut tickets = Vec::new();
    for n in 0..TICKETS {
        let open = format!("mutation {{ ticketOpen(input: {{ subject: \"Shared {n}\" }}) {{ ticket {{ id }} }} }}");
        let made = server.data(&token, &open, json!({})).await;
        tickets.push(made["ticketOpen"]["ticket"]["id"].as_str().unwrap().to_owned());
    }

    let (told, address) = watch::channel(None);
    let stage = Arc::new(Stage {
        seed,
        token,
        tickets,
        address,
        over: AtomicBool::new(false),
        sent: AtomicUsize::new(0),
        retried: AtomicUsize::new(0),
        repeated: AtomicUsize::new(0),
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move { stage.client(client).await })
        })
        .collect();
    let killing = tokio::task::spawn_blocking({
        let docket = Arc::clone(&docket);
        // Clients are told that the server stays away when this thread fails.
        move || (kill_for(length, &docket, server, &told, seed), told)
    });
    let ((server, kills, starts_killed), _told) = killing.await.unwrap();
    stage.over.store(true, Ordering::Relaxed);
    let mut by_key: BTreeMap<u64, Vec<(Wish, Verdict)>> = BTreeMap::new();
    for client in clients {
        for (key, answer) in (0..).zip(client.await.unwrap()) {
            by_key.entry(key).or_default().push(answer);
        }
    }
    drop(server);

    assert!(docket.ok(&["verify"]).contains("verdict   ok"));
    let shown = shown(&docket);
    let (mut done, mut refused, mut commits) = (0, 0, BTreeSet::new());
    for (key, answers) in &by_key {
        // Exactly one of the wishes is in the log, in one commit of its own.
        let wishes: BTreeSet<&Wish> = answers.iter().map(|(wish, _)| wish).collect();
        let places = wishes.iter().filter_map(|wish| Some((*wish, place_of(wish, &shown, &stage.tickets)?)));
        let places: Vec<_> = places.collect();
        let [(carried_out, (position, thing))] = &places[..] else {
            panic!("key {key}: not one of {wishes:?} is in the log, but {places:?}");
        };
        assert!(commits.insert(*position), "key {key}: its commit at {position} is that of another key");
        for (wish, verdict) in answers {
            match verdict {
                Verdict::Done { position: at, thing: to } => {
                    assert_eq!((wish, at), (*carried_out, position), "key {key}");
                    assert_eq!(to, thing, "key {key}: the answer names what the log has");
                    done += 1;
                }
                Verdict::Refused { first } => {
                    assert_eq!(first, position, "key {key}: where the first one is");
                    assert_ne!(wish, *carried_out, "key {key}: refused, and carried out");
                    refused += 1;
                }
            }
        }
        assert!(
            answers.iter().any(|(_, verdict)| matches!(verdict, Verdict::Done { .. })),
            "key {key}: done for nobody"
        );
    }
    // What nobody was answered is not in the log either.
    let asked: BTreeSet<String> = by_key.values().flatten().map(|(wish, _)| in_log(&wish.text)).collect();
    let strays: Vec<_> = shown.keys().filter(|text| text.starts_with("key ") && !asked.contains(*text)).collect();
    assert!(strays.is_empty(), "{strays:?}");
    let texts = shown.iter().filter(|(text, _)| asked.contains(*text)).count();
    assert_eq!(texts, by_key.len(), "one text for each key");

    let (sent, retried) = (stage.sent.load(Ordering::Relaxed), stage.retried.load(Ordering::Relaxed));
    let repeated = stage.repeated.load(Ordering::Relaxed);
    figure(format!(
        "{kills} kills, {starts_killed} of starts; {} keys, {sent} requests: {done} done, {refused} refused, \
         {repeated} repeated later with the same answer, {retried} retried",
        by_key.len()
    ))
    .unwrap();
    assert!(kills >= FEWEST_KILLS && retried > 0 && refused > 0 && done > by_key.len(), "nothing was shown");
}
