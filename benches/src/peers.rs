//! Peers on the same disk: PostgreSQL and SQLite with an event table, a unique (stream, version) and one commit an append;
//! UmaDB's engine in process. All of them with durable commits.

use std::{
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use umadb_core::{
    mvcc::{Mvcc, StorageOptions},
    writer_thread_blocking::writer_thread_blocking,
    writer_thread_request::WriterThreadRequest,
};
use umadb_dcb::{DcbAppendCondition, DcbEvent, DcbQuery, DcbQueryItem};

use crate::figure::{Figure, nanos, on_disk};

/// What an event of Docket's benchmark takes in its journal, about: the peers store as much.
const EVENT: [u8; 300] = [b'x'; 300];
const KIND: &str = "MessageReceived";

/// Writers on threads of their own, each with what `connect` gives it, until the time is over.
fn race<W: Send>(
    writers: usize,
    budget: Duration,
    connect: impl Fn(usize) -> anyhow::Result<W> + Sync,
    append: impl Fn(&mut W, usize, i64) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<(Vec<u64>, f64)> {
    let connections: Vec<W> = (0..writers).map(&connect).collect::<anyhow::Result<_>>()?;
    let started = Instant::now();
    let taken = std::thread::scope(|scope| {
        let threads: Vec<_> = connections
            .into_iter()
            .enumerate()
            .map(|(writer, mut connection)| {
                let append = &append;
                scope.spawn(move || {
                    let mut taken = Vec::new();
                    for version in 1.. {
                        if started.elapsed() >= budget {
                            break;
                        }
                        let one = Instant::now();
                        append(&mut connection, writer, version)?;
                        taken.push(nanos(one));
                    }
                    anyhow::Ok(taken)
                })
            })
            .collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| anyhow::anyhow!("a writer broke off"))??);
        }
        anyhow::Ok(all)
    })?;
    Ok((taken, started.elapsed().as_secs_f64()))
}

/// A PostgreSQL server of our own.
struct Server {
    child: Child,
    dir: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT is its fast shutdown.
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

fn id(what: &str, user: &str) -> Option<u32> {
    let output = Command::new("id").args([what, user]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn program(name: &str) -> Option<PathBuf> {
    let mut places: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    places.sort();
    places.reverse();
    places.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    places.into_iter().map(|place| place.join(name)).find(|path| path.is_file())
}

impl Server {
    /// Makes and starts a server in a directory of its own, which only listens on a socket there. PostgreSQL refuses the
    /// superuser, who takes the account `postgres` or `nobody`.
    fn start(dir: &Path) -> anyhow::Result<Option<Self>> {
        let (Some(initdb), Some(postgres)) = (program("initdb"), program("postgres")) else { return Ok(None) };
        std::fs::create_dir_all(dir)?;
        let dir = std::fs::canonicalize(dir)?;
        let account = if std::fs::metadata("/proc/self")?.uid() == 0 {
            let name = ["postgres", "nobody"].into_iter().find(|name| id("-u", name).is_some());
            name.and_then(|name| Some((id("-u", name)?, id("-g", name)?)))
        } else {
            None
        };
        let as_account = |program: &Path| {
            let mut command = Command::new(program);
            command.current_dir(&dir).stdout(Stdio::null()).stderr(Stdio::null());
            if let Some((user, group)) = account {
                command.uid(user).gid(group);
            }
            command
        };
        if let Some((user, group)) = account {
            chown(&dir, Some(user), Some(group))?;
        }
        let data = dir.join("data");
        let made = as_account(&initdb)
            .arg("-D")
            .arg(&data)
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions"])
            .status()?;
        ensure!(made.success(), "initdb failed");
        let child = as_account(&postgres)
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&dir)
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "fsync=on",
                "-c",
                "synchronous_commit=on",
                "-c",
                "max_connections=100",
            ])
            .spawn()?;
        let server = Self { child, dir };
        for _ in 0..200 {
            if server.connect().is_ok() {
                return Ok(Some(server));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("the PostgreSQL server does not answer")
    }

    fn connect(&self) -> Result<postgres::Client, postgres::Error> {
        let mut config = postgres::Config::new();
        config.host_path(&self.dir).user("postgres").dbname("postgres").connect(postgres::NoTls)
    }
}

/// PostgreSQL with 1, 8 and 64 clients; says when there is none.
pub fn postgresql(dir: &Path, budget: Duration) -> anyhow::Result<Vec<Figure>> {
    let Some(server) = Server::start(dir)? else {
        let missing = Figure::rate("PostgreSQL: not on this machine", 0.0, "commits/s");
        return Ok(vec![missing]);
    };
    let mut figures = Vec::new();
    for clients in [1, 8, 64] {
        let mut admin = server.connect()?;
        admin.batch_execute(
            "drop table if exists events; create table events(pos bigint generated always as identity primary key, \
             stream text not null, version bigint not null, type text not null, data bytea not null, unique(stream, version))",
        )?;
        let connect = |_| {
            let mut client = server.connect()?;
            let insert = client.prepare("insert into events(stream, version, type, data) values($1, $2, $3, $4)")?;
            Ok((client, insert))
        };
        let append = |(client, insert): &mut (postgres::Client, postgres::Statement), writer: usize, version: i64| {
            let stream = format!("ticket:{writer}");
            client.execute(&*insert, &[&stream, &version, &KIND, &&EVENT[..]]).map(drop).context("insert")
        };
        let (taken, seconds) = race(clients, budget, connect, append)?;
        let stored: i64 = admin.query_one("select count(*) from events", &[])?.get(0);
        ensure!(stored as usize == taken.len(), "every acknowledged row is there");
        let bytes: i64 = admin.query_one("select pg_total_relation_size('events')", &[])?.get(0);
        let name = format!("PostgreSQL, {clients} clients");
        let figure = Figure::rate(&name, taken.len() as f64 / seconds, "commits/s").stored(bytes as u64, stored as u64);
        figures.push(figure.timed(taken).noted("without its write-ahead log"));
    }
    Ok(figures)
}

/// SQLite with a write-ahead log and `synchronous = FULL`: one writer, as it has but one.
pub fn sqlite(dir: &Path, budget: Duration) -> anyhow::Result<Figure> {
    std::fs::create_dir_all(dir)?;
    let connection = rusqlite::Connection::open(dir.join("events.db"))?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    ensure!(mode == "wal", "the journal mode is {mode}");
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(
        "create table events(pos integer primary key, stream text not null, version integer not null, type text not null, \
         data blob not null, unique(stream, version))",
    )?;
    let (started, mut taken) = (Instant::now(), Vec::new());
    let mut insert = connection.prepare("insert into events(stream, version, type, data) values(?1, ?2, ?3, ?4)")?;
    for version in 1_i64.. {
        if started.elapsed() >= budget {
            break;
        }
        let one = Instant::now();
        insert.execute(rusqlite::params!["ticket:0", version, KIND, &EVENT[..]])?;
        taken.push(nanos(one));
    }
    let (commits, seconds) = (taken.len() as u64, started.elapsed().as_secs_f64());
    drop(insert);
    connection.pragma_update(None, "wal_checkpoint", "TRUNCATE")?;
    let figure = Figure::rate("SQLite, WAL, synchronous FULL, 1 writer", commits as f64 / seconds, "commits/s");
    Ok(figure.timed(taken).stored(on_disk(dir)?, commits))
}

/// UmaDB's engine in this process, with the writer thread that its server runs: no network, as for Docket.
pub fn umadb(dir: &Path, budget: Duration) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for writers in [1, 8, 64] {
        let dir = dir.join(writers.to_string());
        std::fs::create_dir_all(&dir)?;
        let engine =
            Mvcc::new(false, StorageOptions::default().db_path(&dir)).map_err(|error| anyhow::anyhow!("{error}"))?;
        let engine = Arc::new(engine);
        let (send, receive) = tokio::sync::mpsc::channel(1024);
        let (head, _) = tokio::sync::watch::channel(None);
        // As many in one commit as its server takes.
        let writing = std::thread::spawn({
            let engine = Arc::clone(&engine);
            move || writer_thread_blocking(engine, receive, head, 2048)
        });
        let connect = |_| Ok((send.clone(), None::<u64>));
        type Connection = (tokio::sync::mpsc::Sender<WriterThreadRequest>, Option<u64>);
        let append = |(send, last): &mut Connection, writer: usize, _version: i64| {
            let tag = format!("stream:{writer}");
            let event = DcbEvent::new().event_type(KIND).tags([tag.clone()]).data(EVENT.to_vec());
            let condition =
                DcbAppendCondition::new(DcbQuery::with_items([DcbQueryItem::new().tags([tag])])).after(*last);
            let (response_tx, answer) = tokio::sync::oneshot::channel();
            let request = WriterThreadRequest::Append {
                events: vec![event],
                condition: Some(condition),
                tracking_info: None,
                response_tx,
                cancel: None,
            };
            send.blocking_send(request).map_err(|_| anyhow::anyhow!("its writer ended"))?;
            let position = answer.blocking_recv()?.map_err(|error| anyhow::anyhow!("{error}"))?;
            *last = Some(position);
            Ok(())
        };
        let (taken, seconds) = race(writers, budget, connect, append)?;
        drop(send);
        writing.join().map_err(|_| anyhow::anyhow!("its writer broke off"))?;
        drop(engine);
        let (name, commits) = (format!("UmaDB's engine in process, {writers} writers"), taken.len());
        let figure = Figure::rate(&name, commits as f64 / seconds, "commits/s").timed(taken);
        figures.push(figure.stored(on_disk(&dir)?, commits as u64));
    }
    Ok(figures)
}
