//! Embeds the engine in a Rust program: makes a desk, opens a ticket, answers it, and reads it back.
//!
//! Run it with `cargo run -p docket-examples --bin embed -- some-directory`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{path::PathBuf, sync::Arc};

use anyhow::Context;
use docket_api::{
    clock::SystemClock,
    engine::{Engine, IdempotencyKey, NewCustomer, Principal, Request},
};
use docket_core::{
    desk::DeskConfig,
    ids::MessageId,
    personal::Personal,
    ticket::{Channel, Message, Opening, Priority, StatusCategory, StatusWish, TicketCommand},
};
use docket_projections::{LiveViews, Projection, Views};
use docket_store::{ContentStore, DataDir, EventLog, SledLog, SledLogOptions};
use ulid::Ulid;

/// What the customer is told.
const ANSWER: &str = "It sings in B flat now.";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir: PathBuf = std::env::args_os().nth(1).context("name a directory for the data")?.into();

    // The log, and views that are folded from it and follow it.
    let data = DataDir::open_or_create(&dir, Ulid::generate())?;
    let log = Arc::new(SledLog::open(data.clone(), SledLogOptions::default())?);
    let mut views = Views::default();
    for commit in log.scan(views.position())? {
        views.apply(&*commit?);
    }
    let live = LiveViews::new(views);
    let shared: Arc<dyn EventLog> = Arc::<SledLog>::clone(&log);
    tokio::spawn(Arc::clone(&live).follow(Arc::clone(&shared)));
    let engine = Engine::new(shared, live, ContentStore::new(&data.content()), Arc::new(SystemClock));
    // Deadlines act by themselves for as long as this runs.
    tokio::spawn(Arc::clone(&engine).run_reactors());

    let me = Principal::local();
    if engine.views().desk().desk().statuses.is_empty() {
        engine.apply_desk(&me, DeskConfig::starter(), false, None).await?;
    }
    let customer = NewCustomer { name: "Carl Customer".into(), ..NewCustomer::default() };
    let (customer, ..) = engine.register_customer(&me, customer, None).await?;

    // A ticket with its first message: one commit, stored all or not at all.
    let opening = TicketCommand::Open(Opening {
        channel: Channel::Email,
        subject: Personal::from("The kettle whistles out of tune"),
        queue: None,
        priority: Priority::High,
        category: None,
        requester: Some(customer),
        external: None,
        by_agent: false,
    });
    let question = message(&engine, "Could you have a look?").await?;
    let question = TicketCommand::Receive { message: question, from: Some(customer) };
    let opened = engine.open(&me, opening, vec![question], Request::default()).await?;

    // The answer arrives once, however often this request is repeated; it is refused if somebody else was faster.
    let answer = TicketCommand::Send { message: message(&engine, ANSWER).await?, agent: None };
    let resolve = TicketCommand::SetStatus(StatusWish::Category(StatusCategory::Resolved));
    let request = Request {
        expected: Some(opened.position),
        idempotency_key: Some(IdempotencyKey::try_new(&format!("answer to {}", opened.ticket), "answer", ANSWER)?),
        ..Request::default()
    };
    let done = engine.work(&me, opened.ticket, vec![answer, resolve], request).await?;

    // The answer came with views that show it: one moment, for as long as they are held.
    let row = done.views.tickets().by_id(&opened.ticket).context("the ticket")?;
    println!("ticket #{} is {} at position {}", row.number, row.status_category, done.position);
    for commit in engine.history(&me, opened.ticket, &done.views).await?.iter() {
        for event in &commit.events {
            println!("  {} {} by {}", event.occurred_at, event.event.type_name(), commit.actor);
        }
    }

    engine.stop();
    log.close();
    Ok(())
}

async fn message(engine: &Engine, text: &str) -> anyhow::Result<Message> {
    let body = engine.body(text.to_owned()).await?;
    Ok(Message { id: MessageId::new(Ulid::generate()), channel: Channel::Email, body })
}
