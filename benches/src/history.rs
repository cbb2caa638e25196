//! Made-up histories with a fixed seed: messages of about 300 bytes, and tickets with a life.

use anyhow::Context;
use docket_core::{
    desk::{Desk, DeskConfig},
    event::{Actor, Cause, CauseKind, DatedEvent},
    ids::{CommitId, CorrelationId, CustomerId, MessageId, Position, QueueKey, StreamId, TicketId},
    personal::{Body, Personal},
    ticket::{
        Channel, Context as Judging, Everything, Message, MessageReceived, Opening, Priority, StatusCategory,
        StatusWish, Ticket, TicketCommand, TicketEvent, decide,
    },
    time::Timestamp,
};
use docket_store::{Append, EventLog, Expected};
use ulid::Ulid;

const SHOP: &str = include_str!("../../examples/desks/small-shop.toml");
const START: i64 = 1_767_225_600_000;

/// A ticket's stream.
pub fn ticket(n: u32) -> StreamId {
    StreamId::Ticket(TicketId::new(Ulid::from_parts(START.unsigned_abs(), u128::from(n))))
}

/// A commit to be submitted.
pub fn append(stream: StreamId, expected: Expected, at: Timestamp, events: Vec<DatedEvent>) -> Append {
    let id = CommitId::new(Ulid::generate());
    Append {
        id,
        stream,
        expected,
        guards: Vec::new(),
        events,
        recorded_at: at,
        actor: Actor::System,
        cause: Cause::of(CauseKind::Request),
        correlation: CorrelationId::new(id.ulid()),
        token: None,
        request: None,
    }
}

/// A message of some hundred bytes.
pub fn message(stream: StreamId, expected: Expected, writer: usize, n: usize) -> Append {
    let at = Timestamp::from_millis(START);
    let event = MessageReceived {
        message: MessageId::new(Ulid::from_parts(0, (writer as u128) << 32 | n as u128)),
        channel: Channel::Email,
        from: Some(CustomerId::new(Ulid::from_parts(0, 1))),
        body: Body::inline(
            "The parcel has not come. It was promised for Monday. Could you please find out where it is?",
        ),
    };
    append(stream, expected, at, vec![DatedEvent::new(at, TicketEvent::from(event))])
}

/// Writes tickets with a life of five commits on average, and gives the number of commits.
pub fn fill(log: &dyn EventLog, tickets: u32) -> anyhow::Result<u64> {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut config: DeskConfig = desk_config()?;
    config.number_policies();
    let mut desk = Desk::default();
    let changes = config.changes_from(&desk);
    for change in &changes {
        desk.evolve(&change.event, Position::new(1));
    }
    let at = Timestamp::from_millis(START);
    let events = changes.into_iter().map(|change| DatedEvent::new(at, change.event)).collect();
    let mut batch = vec![append(StreamId::Desk, Expected::NoStream, at, events)];
    let mut head = 1_u64;
    for n in 0..tickets {
        let (mut state, mut position): (Option<Ticket>, _) = (None, Expected::NoStream);
        let mut at = Timestamp::from_millis(START + i64::from(n) * 30_000);
        let queue = ["orders", "billing", "technical"][rng.usize(..3)];
        let message = |rng: &mut fastrand::Rng| Message {
            id: MessageId::new(Ulid::from_parts(0, rng.u128(..))),
            channel: Channel::Email,
            body: Body::inline("Where is it?"),
        };
        let mut steps = vec![vec![
            TicketCommand::Open(Opening {
                channel: Channel::Email,
                subject: Personal::from("Where is my parcel?"),
                queue: Some(QueueKey::try_new(queue)?),
                priority: Priority::ALL[rng.usize(..4)],
                category: None,
                requester: Some(CustomerId::new(Ulid::from_parts(0, u128::from(n % 5_000)))),
                external: None,
                by_agent: false,
            }),
            TicketCommand::Receive { message: message(&mut rng), from: None },
        ]];
        if rng.f32() < 0.8 {
            steps.push(vec![TicketCommand::Send { message: message(&mut rng), agent: None }]);
            steps.push(vec![TicketCommand::SetStatus(StatusWish::Category(StatusCategory::Waiting))]);
            steps.push(vec![TicketCommand::Receive { message: message(&mut rng), from: None }]);
        }
        if rng.f32() < 0.7 {
            steps.push(vec![TicketCommand::SetStatus(StatusWish::Category(StatusCategory::Resolved))]);
            steps.push(vec![TicketCommand::SetStatus(StatusWish::Category(StatusCategory::Closed))]);
        }
        for commands in steps {
            let context = Judging { at, now: at, actor: &Actor::System, desk: &desk, directory: &Everything };
            let mut events = Vec::new();
            for command in &commands {
                for event in decide(state.as_ref(), command, &context)? {
                    state = Ticket::evolve(state, &event, at, &desk);
                    events.push(DatedEvent::new(at, event));
                }
            }
            batch.push(append(ticket(n), position, at, events));
            head += 1;
            position = Expected::At(Position::new(head));
            at = at.plus_millis(rng.i64(60_000..7_200_000));
        }
        if batch.len() >= 2_048 {
            submit(log, &mut batch)?;
        }
    }
    submit(log, &mut batch)?;
    Ok(head)
}

fn desk_config() -> anyhow::Result<DeskConfig> {
    toml::from_str(SHOP).context("the example's desk")
}

/// Submits a batch and empties it.
pub fn submit(log: &dyn EventLog, batch: &mut Vec<Append>) -> anyhow::Result<()> {
    for answer in log.append_all(std::mem::take(batch)) {
        answer?;
    }
    Ok(())
}
