//! The real binary in a directory of its own.
#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "these are tests")]

pub mod schema;
pub mod shop;

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest that anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A file of real input beside the checkout. `None`, with a printed word, where it is absent.
pub fn real_data(name: &str) -> Option<PathBuf> {
    let path = root().join("../shared/data").join(name);
    if path.is_file() {
        Some(path)
    } else {
        println!("skipped: {name} is not beside the checkout");
        None
    }
}

/// A data directory and the program that works on it.
pub struct Docket {
    dir: TempDir,
    /// What the program is started by, when it is to be another user's.
    before: &'static [&'static str],
}

impl Docket {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), before: &[] }
    }

    /// From now on the program is a user's whom permissions bind, and who owns the data directory when he is to: whoever runs
    /// the tests, or nobody when that is root. False, with a printed word, where that cannot be.
    pub fn without_privileges(&mut self, owns: bool) -> bool {
        const NOBODY: &[&str] = &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        let is_root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
        if !is_root {
            if !owns {
                println!("skipped: only root can make it somebody else's");
            }
            return owns;
        }
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(self.dir.path(), readable).unwrap();
        let run = |args: &[&str]| Command::new(args[0]).args(&args[1..]).stdout(Stdio::null()).status();
        let can =
            run(&[NOBODY, &[env!("CARGO_BIN_EXE_docket"), "--version"]].concat()).is_ok_and(|done| done.success());
        if !can {
            println!("skipped: nobody else can run the program here");
            return false;
        }
        if owns {
            assert!(run(&["chown", "-R", "65534:65534", self.dir.path().to_str().unwrap()]).unwrap().success());
        }
        self.before = NOBODY;
        true
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_docket");
        let mut command = match self.before {
            [] => Command::new(program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.args(args).arg("--data").arg(self.data()).stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must succeed, and gives what it printed.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docket {args:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    pub fn ok_json(&self, args: &[&str]) -> Value {
        let mut args = args.to_vec();
        args.push("--json");
        serde_json::from_str(&self.ok(&args)).unwrap()
    }

    /// Runs a command that must fail with one line, and gives the line.
    #[track_caller]
    pub fn fails(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(!output.status.success(), "docket {args:?} succeeded");
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
        assert!(!error.contains("panicked"), "{error}");
        error
    }

    /// A token made on the command line.
    pub fn token(&self, args: &[&str]) -> String {
        let all: Vec<&str> = ["token", "create"].iter().chain(args).copied().collect();
        self.ok(&all).trim().to_owned()
    }

    /// Starts the server on a free port and waits until it answers.
    pub fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    pub fn serve_with(&self, args: &[&str]) -> Server {
        self.serve_logging(args, Stdio::null())
    }

    /// The same, with its log going there.
    pub fn serve_logging(&self, args: &[&str], log: Stdio) -> Server {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(args).stderr(log);
        self.serve_by(command)
    }

    /// Starts the server by this command and waits until it answers; its log goes where the command says.
    pub fn serve_by(&self, mut command: Command) -> Server {
        command.env("RUST_BACKTRACE", "1").stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let address = first.rsplit_once("http://").unwrap().1.to_owned();
        let mut tokens = Vec::new();
        for line in lines.by_ref() {
            let line = line.unwrap();
            if let Some(token) = line.split_whitespace().last().filter(|word| word.starts_with("dkt_")) {
                tokens.push(token.to_owned());
            }
            if line.starts_with("Stop it") {
                break;
            }
        }
        // Whatever else it prints must not stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Server { child, address, tokens }
    }
}

/// A running server; killed when dropped.
pub struct Server {
    pub child: Child,
    pub address: String,
    /// Tokens that it printed.
    pub tokens: Vec<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends a document and gives the whole answer.
    pub async fn ask(&self, token: &str, query: &str, variables: Value) -> Value {
        let answer = reqwest::Client::new()
            .post(self.url("/graphql"))
            .bearer_auth(token)
            .header("accept", "application/graphql-response+json")
            .json(&json!({ "query": query, "variables": variables }))
            .send()
            .await
            .unwrap();
        answer.json().await.unwrap()
    }

    /// Sends a document that must be answered without errors, and gives its data.
    #[track_caller]
    pub fn data(&self, token: &str, query: &str, variables: Value) -> impl Future<Output = Value> {
        let (answer, query) = (self.ask(token, query, variables), query);
        async move {
            let mut answer = answer.await;
            assert!(answer.get("errors").is_none(), "{query}: {answer}");
            answer["data"].take()
        }
    }

    /// Asks it to stop as an operator does, and gives how it ended.
    pub fn terminate(self) -> ExitStatus {
        self.ask_to_stop();
        self.ended()
    }

    /// Asks it to stop as an operator does. Asked once more it would stop at once.
    pub fn ask_to_stop(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Waits until it has ended, and gives how.
    pub fn ended(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not stop");
            std::thread::yield_now();
        }
    }
}
