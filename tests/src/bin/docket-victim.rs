//! The process that the torture tests kill, cut off and starve. `docket-victim load|check|backup|restore ROOT SEED [NAME=VALUE ...]`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "it is a part of tests")]

use std::{path::PathBuf, process::ExitCode};

use docket_tests::workload::{Bad, Load, back_up, check, restore, run};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("docket-victim load|check|backup|restore ROOT SEED [NAME=VALUE ...]");
    let (subcommand, root, seed) = (next(), PathBuf::from(next()), next().parse().expect("a seed is a number"));
    let more: Vec<(String, u64)> = arguments
        .map(|argument| {
            let (name, value) = argument.split_once('=').expect("NAME=VALUE");
            (name.to_owned(), value.parse().expect("a number"))
        })
        .collect();
    let given = |name: &str| more.iter().find(|(given, _)| given == name).map(|(_, value)| *value);
    let volume_bytes = given("volume").unwrap_or(64 * 1024);
    let (code, message) = match subcommand.as_str() {
        "load" => {
            let load = Load {
                seed,
                first: given("first").unwrap_or(0),
                appends: given("appends"),
                writers: given("writers").unwrap_or(8),
                volume_bytes,
                extras: given("extras") == Some(1),
                reserve_bytes: given("reserve").unwrap_or(0),
            };
            match run(&root, &load) {
                Ok(()) => return ExitCode::SUCCESS,
                Err(reason) => (3, reason),
            }
        }
        "check" => match check(&root, seed, volume_bytes, given("write")) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(Bad::Refused(reason)) => (3, reason),
            Err(Bad::Wrong(what)) => (4, what),
        },
        "backup" | "restore" => {
            let done = if subcommand == "backup" { back_up(&root) } else { restore(&root) };
            match done {
                Ok(()) => return ExitCode::SUCCESS,
                Err(reason) => (3, reason),
            }
        }
        other => panic!("{other} is nothing that it does"),
    };
    eprintln!("{}", message.replace('\n', " "));
    ExitCode::from(code)
}
