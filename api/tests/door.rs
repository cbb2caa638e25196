//! Nobody stays at the door for ever: limits of time and number for whoever connects, over the real binary.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "these are tests")]

mod support;

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use support::{Docket, PATIENCE, Server};

/// Of what is to end within a second or two this is far away, and near of what takes the program's ordinary limits.
const SOON: Duration = Duration::from_secs(15);
const SHORT: [&str; 4] = ["--head-timeout", "1", "--body-timeout", "1"];

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn send(server: &Server, text: &str) -> TcpStream {
    let mut stream = connect(server);
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

/// All that comes until the server closes the connection.
fn to_the_end(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection stays: {error}"),
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn post(token: &str, body: &str, length: usize) -> String {
    format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// One query on a connection of its own; true when it is answered.
fn is_answered(server: &Server, token: &str) -> bool {
    let body = json!({ "query": "{ desk { name } }" }).to_string();
    let asked = TcpStream::connect(&server.address).and_then(|mut stream| {
        stream.set_read_timeout(Some(SOON))?;
        stream.write_all(post(token, &body, body.len()).as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line)
    });
    asked.is_ok_and(|line| line.starts_with("HTTP/1.1 200"))
}

/// Half of a body, of which the server has begun to read; `None` when it is not let in.
fn half_of_a_body(server: &Server, token: &str) -> Option<TcpStream> {
    let asked = post(token, "", 5_000).replacen("host: x", "host: x\r\nexpect: 100-continue", 1);
    let mut stream = send(server, &asked);
    // The server says so once it waits for the body.
    let mut word = [0; 25];
    stream.read_exact(&mut word).ok().filter(|()| &word == b"HTTP/1.1 100 Continue\r\n\r\n")?;
    stream.write_all(b"{\"query\": \"mutation {").ok()?;
    Some(stream)
}

/// Opens a socket and says no more than what is given.
fn socket(server: &Server, first: Option<&Value>) -> TcpStream {
    let mut stream = send(
        server,
        "GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: graphql-transport-ws\r\n\r\n",
    );
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    if let Some(first) = first {
        say(&mut stream, first);
    }
    stream
}

/// Sends a message in a frame of a client, masked with nothing.
fn say(stream: &mut TcpStream, message: &Value) {
    let text = message.to_string();
    let mut frame = vec![0x81];
    match u8::try_from(text.len()).ok().filter(|length| *length < 126) {
        Some(length) => frame.push(0x80 | length),
        None => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    stream.write_all(&frame).unwrap();
}

/// The next frame: its kind and what it holds.
fn hear(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let mut length = u64::from(head[1]);
    if length == 126 {
        let mut long = [0; 2];
        stream.read_exact(&mut long).unwrap();
        length = u64::from(u16::from_be_bytes(long));
    } else if length == 127 {
        let mut long = [0; 8];
        stream.read_exact(&mut long).unwrap();
        length = u64::from_be_bytes(long);
    }
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut payload).unwrap();
    (head[0] & 0x0f, payload)
}

fn init(token: &str) -> Value {
    json!({ "type": "connection_init", "payload": { "token": token } })
}

fn subscribe(id: &str, query: &str) -> Value {
    json!({ "id": id, "type": "subscribe", "payload": { "query": query } })
}

fn desk() -> (Docket, String) {
    let docket = Docket::new();
    docket.ok(&["apply", support::root().join("examples/desks/small-shop.toml").to_str().unwrap()]);
    let token = docket.token(&["--role", "administrator"]);
    (docket, token)
}

#[test]
fn whoever_says_nothing_or_half_of_a_head_or_nothing_more_goes_after_the_limit() {
    let (docket, token) = desk();
    let server = docket.serve_with(&SHORT);
    let body = json!({ "query": "{ desk { name } }" }).to_string();
    let begun = Instant::now();
    let silent = connect(&server);
    let half = send(&server, "POST /graphql HTTP/1.1\r\nhost: x\r\nauthor");
    let idle = send(&server, &post(&token, &body, body.len()));
    assert_eq!(to_the_end(silent), "");
    let half = to_the_end(half);
    assert!(half.is_empty() || half.starts_with("HTTP/1.1 408"), "{half}");
    assert!(to_the_end(idle).starts_with("HTTP/1.1 200"), "what was asked is answered before");
    assert!(begun.elapsed() < SOON);
    // A head that comes letter by letter is not there in time either.
    let (mut slow, begun) = (connect(&server), Instant::now());
    while slow.write_all(b"G").is_ok() {
        assert!(begun.elapsed() < SOON, "letters are taken for ever");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn half_of_a_body_is_answered_with_408_and_nothing_is_done() {
    let (docket, token) = desk();
    let server = docket.serve_with(&SHORT);
    let half = to_the_end(send(&server, &post(&token, "{\"query\": \"mutation {", 5_000)));
    assert!(half.starts_with("HTTP/1.1 408"), "{half}");
    assert!(half.contains("\"TIMEOUT\"") && half.contains("nothing was done"), "{half}");
    // Without a token nobody is waited for.
    let stranger = to_the_end(send(&server, &post("dkt_none", "{\"query\":", 5_000)));
    assert!(stranger.starts_with("HTTP/1.1 401"), "{stranger}");
}

#[test]
fn two_thousand_half_requests_are_gone_after_the_limit_and_others_are_served_meanwhile() {
    const HALVES: usize = 2_000;
    let (docket, token) = desk();
    let server = docket.serve_with(&SHORT);
    let begun = Instant::now();
    let halves: Vec<_> = (0..HALVES).map(|_| send(&server, "GET /graphql?query=")).collect();
    assert!(is_answered(&server, &token));
    let ended: Vec<_> = halves.into_iter().map(to_the_end).collect();
    assert_eq!(ended.len(), HALVES);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert!(is_answered(&server, &token));
}

#[test]
fn a_stop_does_not_wait_for_half_requests_nor_for_silent_connections_and_sockets() {
    let (docket, token) = desk();
    let server = docket.serve();
    let _half: Vec<_> = (0..50).map(|_| send(&server, "GET /graphql?query=")).collect();
    let _silent = connect(&server);
    let body = json!({ "query": "{ desk { name } }" }).to_string();
    let _idle = send(&server, &post(&token, &body, body.len()));
    let _stranger = socket(&server, None);
    let mut known = socket(&server, Some(&init(&token)));
    assert!(String::from_utf8(hear(&mut known).1).unwrap().contains("connection_ack"));
    assert!(is_answered(&server, &token));
    let begun = Instant::now();
    assert!(server.terminate().success());
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let (kind, farewell) = hear(&mut known);
    assert_eq!((kind, u16::from_be_bytes([farewell[0], farewell[1]])), (8, 1001));
}

#[test]
fn a_stop_does_not_wait_for_half_of_a_body_and_says_that_nothing_was_done() {
    let (docket, token) = desk();
    let server = docket.serve();
    let halves: Vec<_> = (0..20).map(|_| half_of_a_body(&server, &token).unwrap()).collect();
    let begun = Instant::now();
    assert!(server.terminate().success());
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    for half in halves {
        let answer = to_the_end(half);
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("nothing was done"), "{answer}");
    }
}

#[test]
fn an_answer_that_is_on_its_way_at_a_stop_arrives_whole() {
    let (docket, token) = desk();
    let server = docket.serve();
    // Its text is far more than the system holds for a client that has not read yet.
    let text = "It has not come. ".repeat(60_000);
    let open = format!(
        "mutation {{ ticketOpen(input: {{ subject: \"Long\", body: {}, queue: \"queue_orders\" }}) {{ ticket {{ id }} }} }}",
        json!(text)
    );
    let open = json!({ "query": open }).to_string();
    let opened = post(&token, &open, open.len()).replacen("host: x", "host: x\r\nconnection: close", 1);
    let opened = to_the_end(send(&server, &opened));
    let opened: Value = serde_json::from_str(opened.split_once("\r\n\r\n").unwrap().1).unwrap();
    let id = opened["data"]["ticketOpen"]["ticket"]["id"].as_str().unwrap();
    let field = |n: usize| {
        format!(
            "m{n}: node(id: \"{id}\") {{ ... on Ticket {{ timeline(first: 5) {{ nodes {{ ... on MessageEntry {{ body }} }} }} }} }}"
        )
    };
    let all = json!({ "query": format!("{{ {} }}", (0..8).map(field).collect::<Vec<_>>().join(" ")) }).to_string();
    let mut asked = send(&server, &post(&token, &all, all.len()));
    // It has begun to answer.
    asked.read_exact(&mut [0; 12]).unwrap();
    server.ask_to_stop();
    let begun = Instant::now();
    while TcpStream::connect(&server.address).is_ok() {
        assert!(begun.elapsed() < SOON, "it lets others in for ever");
        std::thread::sleep(Duration::from_millis(20));
    }
    let answer = to_the_end(asked);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert!(body.len() > 8 * text.len(), "{length}");
    assert_eq!(body.len().to_string(), length);
    assert!(server.ended().success());
}

#[test]
fn half_bodies_of_one_token_do_not_keep_out_others() {
    let (docket, token) = desk();
    let other = docket.token(&["--role", "auditor"]);
    let server = docket.serve_with(&["--max-connections", "40"]);
    let halves: Vec<_> = (0..60).map(|_| half_of_a_body(&server, &other)).collect();
    for _ in 0..20 {
        assert!(is_answered(&server, &token));
    }
    drop(halves);
}

#[test]
fn sockets_of_one_token_leave_room_for_others_and_are_told_their_limit() {
    let (docket, token) = desk();
    let other = docket.token(&["--role", "auditor"]);
    let server = docket.serve_with(&["--max-connections", "40"]);
    let (mut kept, mut refused) = (Vec::new(), 0);
    for _ in 0..40 {
        let mut socket = socket(&server, Some(&init(&other)));
        let (kind, word) = hear(&mut socket);
        if kind == 8 {
            refused += 1;
            assert_eq!(u16::from_be_bytes([word[0], word[1]]), 1013);
            let reason = String::from_utf8_lossy(&word[2..]);
            assert!(reason.contains("20 sockets") && reason.contains("close some"), "{reason}");
        } else {
            assert!(String::from_utf8(word).unwrap().contains("connection_ack"));
            kept.push(socket);
        }
    }
    assert_eq!((kept.len(), refused), (20, 20));
    assert!(is_answered(&server, &token));
    let mut known = socket(&server, Some(&init(&token)));
    assert!(String::from_utf8(hear(&mut known).1).unwrap().contains("connection_ack"));
    // Those that are there stay, and one that goes makes room.
    say(&mut kept[0], &json!({ "type": "ping" }));
    assert!(String::from_utf8(hear(&mut kept[0]).1).unwrap().contains("pong"));
    kept.truncate(10);
    let begun = Instant::now();
    while hear(&mut socket(&server, Some(&init(&other)))).0 == 8 {
        assert!(begun.elapsed() < SOON, "the place of a socket that is closed is not given back");
    }
}

#[test]
fn somebody_with_a_token_gets_in_where_all_places_are_taken_and_sockets_of_the_known_stay() {
    let (docket, token) = desk();
    let server = docket.serve_with(&["--max-connections", "40"]);
    let mut known = socket(&server, Some(&init(&token)));
    assert!(String::from_utf8(hear(&mut known).1).unwrap().contains("connection_ack"));
    let halves: Vec<_> = (0..200).map(|_| send(&server, "GET /graphql?query=")).collect();
    let strangers: Vec<_> = (0..30).map(|_| socket(&server, None)).collect();
    for _ in 0..20 {
        assert!(is_answered(&server, &token));
    }
    say(&mut known, &json!({ "type": "ping" }));
    assert!(String::from_utf8(hear(&mut known).1).unwrap().contains("pong"), "whoever has a token keeps the socket");
    drop((halves, strangers));
}

#[test]
fn with_few_descriptors_somebody_with_a_token_gets_in_and_the_log_takes_writes() {
    let (docket, token) = desk();
    // The shell lowers the limit for good, so that the server cannot raise it.
    let serve = docket.command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 100 && exec \"$@\"", "sh"]).arg(serve.get_program()).args(serve.get_args());
    let mut child = limited.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines.next().unwrap().unwrap().rsplit_once("http://").unwrap().1.to_owned();
    std::thread::spawn(move || lines.for_each(drop));
    let server = Server { child, address, tokens: vec![] };
    let halves: Vec<_> = (0..300).map(|_| send(&server, "GET /graphql?query=")).collect();
    let open = json!({ "query": "mutation { ticketOpen(input: { subject: \"Let me in\", queue: \"queue_orders\" }) {
        ticket { id } userErrors { message } } }" })
    .to_string();
    for _ in 0..10 {
        assert!(is_answered(&server, &token));
        let answer = to_the_end({
            let text = post(&token, &open, open.len()).replacen("host: x", "host: x\r\nconnection: close", 1);
            send(&server, &text)
        });
        assert!(answer.contains("\"userErrors\":[]"), "{answer}");
    }
    drop(halves);
}

#[test]
fn a_socket_has_so_many_operations_and_says_which_limit_it_was() {
    let (docket, token) = desk();
    let server = docket.serve();
    let mut socket = socket(&server, Some(&init(&token)));
    hear(&mut socket);
    for n in 0..=50 {
        say(&mut socket, &subscribe(&n.to_string(), "subscription { logAppended { position } }"));
    }
    let refused: Value = serde_json::from_slice(&hear(&mut socket).1).unwrap();
    assert_eq!((&refused["id"], &refused["type"]), (&json!("50"), &json!("error")), "{refused}");
    let message = refused["payload"][0]["message"].as_str().unwrap();
    assert!(message.contains("at most 50 operations"), "{message}");
    say(&mut socket, &json!({ "id": "7", "type": "complete" }));
    say(&mut socket, &subscribe("again", "{ desk { name } }"));
    assert!(String::from_utf8(hear(&mut socket).1).unwrap().contains("\"next\""));
}

/// Resident memory of a process in KiB.
fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Sockets that a process has open.
fn sockets(server: &Server) -> usize {
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.child.id())).unwrap();
    let links = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

#[test]
fn whoever_does_not_read_costs_little_is_told_and_cut_off_and_others_go_on() {
    const DEAF: usize = 60;
    const COMMITS: usize = 1_600;
    const REPEATED: usize = 900;
    const FILLING: usize = 16;
    let (docket, token) = desk();
    let server = docket.serve();
    // Long texts: more than what the kernel holds for whoever does not read.
    let text = "It has not come. ".repeat(REPEATED);
    let field = |n: usize| {
        let input = json!(text);
        format!(
            "m{n}: ticketOpen(input: {{ subject: \"Long {n}\", body: {input}, queue: \"queue_orders\" }}) {{ position }}"
        )
    };
    let body =
        json!({ "query": format!("mutation {{ {} }}", (0..20).map(field).collect::<Vec<_>>().join(" ")) }).to_string();
    let fill = || {
        for _ in 0..COMMITS / 20 / FILLING {
            let mut stream = send(&server, &post(&token, &body, body.len()));
            let mut line = [0; 12];
            stream.read_exact(&mut line).unwrap();
            assert_eq!(&line, b"HTTP/1.1 200");
        }
    };
    std::thread::scope(|scope| (0..FILLING).for_each(|_| _ = scope.spawn(fill)));
    let (before, connections) = (resident(&server), sockets(&server));
    let everything = "subscription { logAppended(after: \"0\") { position commit { events { data } } } }";
    let mut deaf: Vec<_> = (0..DEAF)
        .map(|_| {
            let mut socket = socket(&server, Some(&init(&token)));
            say(&mut socket, &subscribe("all", everything));
            socket
        })
        .collect();
    // One who reads gets everything beside them.
    let mut reader = socket(&server, Some(&init(&token)));
    hear(&mut reader);
    say(&mut reader, &subscribe("all", everything));
    let mut commits = 0;
    while commits < COMMITS {
        let (kind, message) = hear(&mut reader);
        assert_eq!(kind, 1);
        commits += usize::from(message.windows(6).any(|part| part == b"\"next\""));
    }
    let grown = resident(&server).saturating_sub(before);
    println!("{DEAF} who do not read: {} KiB each", grown / DEAF as u64);
    assert!(grown < 100 * 1024, "{grown} KiB more for {DEAF} who do not read");
    drop(reader);
    let begun = Instant::now();
    while sockets(&server) > connections {
        assert!(begun.elapsed() < PATIENCE, "whoever does not read is kept");
        std::thread::sleep(Duration::from_millis(50));
    }
    // They are cut off: what they read in the end is what was on its way, and then no more.
    let all = u64::try_from(COMMITS * text.len()).unwrap();
    for socket in &mut deaf {
        let (mut part, mut bytes) = (vec![0; 64 * 1024], 0);
        loop {
            match socket.read(&mut part) {
                Ok(0) => break,
                Ok(length) => bytes += length as u64,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("whoever does not read is kept: {error}"),
            }
        }
        assert!(bytes < all, "whoever did not read has got everything");
    }
    assert!(is_answered(&server, &token));
}
