//! A lively desk for somebody who has no data: weeks of history, made from a seed, and traffic that goes on.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use docket_core::{
    access::Role,
    desk::{Desk, DeskConfig},
    event::{Actor, Cause, CauseKind, DatedEvent, Event},
    ids::{
        AgentKey, CategoryKey, CommitId, CorrelationId, CustomerId, Key, MessageId, Position, QueueKey, StatusKey,
        StreamId, TeamKey, TicketId,
    },
    personal::{Body, Personal},
    ticket::{
        CallOutcome, Channel, Context as Judging, Escalate, Everything, LogCall, Message, Note, Opening, Priority,
        StatusCategory, StatusWish, Ticket, TicketCommand, decide,
    },
    time::Timestamp,
};
use docket_projections::{Direction, Order, PageRequest, Projection, TicketFilter, TicketRow, Views, Within};
use docket_store::{Append, EventLog, Expected};
use fastrand::Rng;

use crate::{
    clock::Clock,
    engine::{Engine, EngineError, Principal, Request},
};

/// The desk of the demonstration is the shop of the examples.
const DESK: &str = include_str!("../../examples/desks/small-shop.toml");
/// Tickets of the history.
const TICKETS: usize = 1_200;
/// The history reaches so far back.
const WEEKS: i64 = 4;
const MINUTE: i64 = 60_000;
const DAY: i64 = 86_400_000;
/// Commits submitted at once.
const BATCH: usize = 1024;

/// Names, and what they write about: queue, category, subject, message, answer.
const CUSTOMERS: &[&str] = &[
    "Olivia Clarke",
    "Noah Fischer",
    "Zofia Wiśniewska",
    "Иван Георгиев",
    "Camille Laurent",
    "Lucía Romero",
    "Олена Шевчук",
    "Mateo Ríos",
    "Hannah Weber",
    "Jakub Zieliński",
    "Мария Димитрова",
    "Louis Bernard",
    "Sofía Navarro",
    "Андрій Бондар",
    "Emma Hughes",
    "Paul Schneider",
    "Kasia Mazur",
    "Петър Стоянов",
    "Chloé Petit",
    "Diego Vargas",
    "Ірина Мельник",
    "James Walker",
    "Lea Hoffmann",
    "Tomasz Król",
    "Елена Николова",
    "Hugo Moreau",
    "Valeria Cruz",
    "Тарас Гнатюк",
];

struct Topic {
    queue: &'static str,
    category: &'static str,
    subject: &'static str,
    message: &'static str,
    answer: &'static str,
}

const fn topic(
    queue: &'static str,
    category: &'static str,
    subject: &'static str,
    message: &'static str,
    answer: &'static str,
) -> Topic {
    Topic { queue, category, subject, message, answer }
}

const TOPICS: &[Topic] = &[
    topic(
        "orders",
        "delivery-late",
        "Where is my parcel?",
        "I ordered ten days ago and nothing has come yet.",
        "Your parcel left us on Monday; here is the tracking number.",
    ),
    topic(
        "orders",
        "return",
        "Wrong size",
        "The jacket is too small. How do I send it back?",
        "A return label is on its way to you by e-mail.",
    ),
    topic(
        "billing",
        "payment",
        "Charged twice",
        "My card shows two payments for one order.",
        "One of them is only a reservation and expires by itself within three days.",
    ),
    topic(
        "technical",
        "defect",
        "The lamp does not switch on",
        "I have tried two bulbs and another socket.",
        "Please hold the switch for five seconds; if it stays dark, we exchange it.",
    ),
    topic(
        "orders",
        "delivery-late",
        "Paket kommt nicht an",
        "Laut Sendungsverfolgung liegt mein Paket seit einer Woche im Depot.",
        "Wir haben beim Zusteller nachgefragt und melden uns morgen.",
    ),
    topic(
        "billing",
        "payment",
        "Rechnung fehlt",
        "Bitte senden Sie mir die Rechnung zu meiner Bestellung.",
        "Die Rechnung finden Sie im Anhang.",
    ),
    topic(
        "technical",
        "question",
        "Jak zaktualizować oprogramowanie?",
        "Urządzenie prosi o aktualizację, ale przycisk nie działa.",
        "Proszę przytrzymać przycisk przez dziesięć sekund i spróbować ponownie.",
    ),
    topic(
        "orders",
        "return",
        "Zwrot zamówienia",
        "Chciałabym zwrócić dwa produkty z zamówienia.",
        "Wysłaliśmy etykietę zwrotną na podany adres.",
    ),
    topic(
        "billing",
        "payment",
        "Двойно плащане",
        "Платих два пъти за една и съща поръчка.",
        "Върнахме второто плащане; ще го видите до три дни.",
    ),
    topic(
        "technical",
        "defect",
        "Машината не тръгва",
        "След почистване машината не се включва.",
        "Моля, проверете дали резервоарът е на мястото си.",
    ),
    topic(
        "orders",
        "question",
        "Délai de livraison",
        "Quand ma commande sera-t-elle livrée ?",
        "Elle arrivera demain dans la matinée.",
    ),
    topic(
        "technical",
        "defect",
        "Pantalla rota",
        "La pantalla llegó con una grieta en la esquina.",
        "Lo sentimos; le enviamos un aparato nuevo hoy mismo.",
    ),
    topic(
        "orders",
        "delivery-late",
        "Де моє замовлення?",
        "Минуло два тижні, а посилки немає.",
        "Посилка вже у вашому відділенні.",
    ),
    topic(
        "billing",
        "question",
        "VAT number on the invoice",
        "We need our VAT number on last month's invoice.",
        "Here is the corrected invoice.",
    ),
];

const NOTES: &[&str] = &[
    "Spoke with the warehouse: it is packed.",
    "Third contact about this order; be generous.",
    "Supplier has no stock before Friday.",
    "Customer is right, our mistake.",
];

/// Who does something in the history.
type Step = (Timestamp, usize, Actor, Vec<TicketCommand>);

/// Makes the desk and its history where nothing is yet, and gives the views of all of it.
///
/// # Errors
/// When the log cannot be written.
pub fn fill(log: &Arc<docket_store::SledLog>, mut views: Views, seed: u64, clock: &dyn Clock) -> anyhow::Result<Views> {
    if let Some(first) = log.read_all(Position::START, 1)?.first() {
        // What is written into a log is there for ever.
        anyhow::ensure!(
            first.cause.kind == CauseKind::Demo,
            "this is no directory of the demonstration, and made-up traffic cannot be taken back: name an empty one with --data"
        );
        return Ok(views);
    }
    let now = clock.now();
    let mut rng = Rng::with_seed(seed);
    let mut writer = Writer { log: &**log, views: &mut views, batch: Vec::new(), seed, made: 0, now };
    let mut config: DeskConfig = toml::from_str(DESK).context("the desk of the demonstration")?;
    config.number_policies();
    let events = config.changes_from(&Desk::default()).into_iter().map(|change| Event::from(change.event));
    let start = now.plus_millis(-WEEKS * 7 * DAY);
    let events = events.map(|event| DatedEvent { occurred_at: start, event }).collect();
    writer.push(StreamId::Desk, Position::START, start, Actor::System, events)?;
    writer.flush()?;

    let customers: Vec<CustomerId> = (0..CUSTOMERS.len())
        .map(|n| CustomerId::derived(start, &["demo", &seed.to_string(), &n.to_string()]))
        .collect();
    for (id, name) in customers.iter().zip(CUSTOMERS) {
        let email = format!("customer{}@example.org", id.to_string().to_lowercase());
        let event = docket_core::customer::register(name, Some(&email), None)?;
        let events = vec![DatedEvent::new(start, event)];
        writer.push(StreamId::Customer(*id), Position::START, start, Actor::System, events)?;
    }

    let mut steps: Vec<Step> = Vec::new();
    for number in 0..TICKETS {
        // More of them lately.
        let age = (rng.f64() * rng.f64().mul_add(0.5, 0.5)).clamp(0.001, 1.0);
        let opened = now.plus_millis(-((WEEKS * 7 * DAY) as f64 * age) as i64);
        life(&mut rng, number, opened, now, &customers, &mut steps);
    }
    steps.sort_by_key(|(at, number, ..)| (*at, *number));
    let desk = Arc::clone(writer.views.desk().desk());
    let mut tickets: Vec<(Position, Option<Ticket>)> = vec![(Position::START, None); TICKETS];
    for (at, number, actor, commands) in steps {
        let Some((position, state)) = tickets.get_mut(number) else { continue };
        let context = Judging { at, now: at, actor: &actor, desk: &desk, directory: &Everything };
        let mut events = Vec::new();
        for command in &commands {
            // What the rules refuse does not happen; a made-up history need not be flawless.
            for event in decide(state.as_ref(), command, &context).unwrap_or_default() {
                *state = Ticket::evolve(state.take(), &event, at, &desk);
                events.push(DatedEvent::new(at, event));
            }
        }
        if !events.is_empty() {
            let id = TicketId::derived(start, &["demo", &seed.to_string(), "ticket", &number.to_string()]);
            *position = writer.push(StreamId::Ticket(id), *position, at, actor, events)?;
        }
    }
    writer.flush()?;
    Ok(views)
}

/// Submits commits in batches; positions are predicted, because nobody else writes.
struct Writer<'a> {
    log: &'a dyn EventLog,
    views: &'a mut Views,
    batch: Vec<Append>,
    seed: u64,
    made: u64,
    now: Timestamp,
}

impl Writer<'_> {
    fn push(
        &mut self,
        stream: StreamId,
        previous: Position,
        at: Timestamp,
        actor: Actor,
        events: Vec<DatedEvent>,
    ) -> anyhow::Result<Position> {
        self.made += 1;
        let id = CommitId::derived(at, &["demo", &self.seed.to_string(), &self.made.to_string()]);
        self.batch.push(Append {
            id,
            stream,
            expected: if previous.is_start() { Expected::NoStream } else { Expected::At(previous) },
            guards: Vec::new(),
            events,
            recorded_at: self.now,
            actor,
            cause: Cause::of(CauseKind::Demo),
            correlation: CorrelationId::new(id.ulid()),
            token: None,
            request: None,
        });
        if self.batch.len() >= BATCH {
            self.flush()?;
        }
        Ok(Position::new(self.made))
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        for answer in self.log.append_all(std::mem::take(&mut self.batch)) {
            answer?;
        }
        for commit in self.log.scan(self.views.position())? {
            self.views.apply(&*commit?);
        }
        Ok(())
    }
}

fn any<'a, T>(rng: &mut Rng, all: &'a [T]) -> &'a T {
    &all[rng.usize(..all.len())]
}

fn queue(key: &str) -> QueueKey {
    QueueKey::from(Key::from_name(key))
}

fn agents_of(queue: &str) -> &'static [&'static str] {
    if queue == "technical" { &["celia", "dmytro", "ewa"] } else { &["ann", "boris", "celia"] }
}

fn agent_key(name: &str) -> AgentKey {
    AgentKey::from(Key::from_name(name))
}

fn message(rng: &mut Rng, channel: Channel, text: &str) -> Message {
    let id = MessageId::new(ulid::Ulid::from_parts(rng.u64(..) >> 16, rng.u128(..)));
    Message { id, channel, body: Body::inline(text) }
}

/// A ticket's life as steps of somebody at some time.
fn life(
    rng: &mut Rng,
    number: usize,
    opened: Timestamp,
    now: Timestamp,
    customers: &[CustomerId],
    steps: &mut Vec<Step>,
) {
    let topic = any(rng, TOPICS);
    let customer = *any(rng, customers);
    let agent = agent_key(any::<&str>(rng, agents_of(topic.queue)));
    let (by_customer, by_agent) = (Actor::Customer(customer), Actor::Agent(agent.clone()));
    let channel = *any(rng, &Channel::ALL);
    let mut at = opened;
    let mut add = |at: Timestamp, actor: &Actor, commands: Vec<TicketCommand>| {
        if at < now {
            steps.push((at, number, actor.clone(), commands));
        }
    };
    let mut first = vec![opening(rng, topic, channel, customer)];
    first.push(if channel == Channel::Phone {
        TicketCommand::LogCall(LogCall {
            id: message(rng, channel, "").id,
            from: Some(customer),
            outcome: if rng.bool() { CallOutcome::Missed } else { CallOutcome::Answered },
            duration_s: rng.u32(20..600),
            agent: None,
            summary: Some(Body::inline(topic.message)),
        })
    } else {
        TicketCommand::Receive { message: message(rng, channel, topic.message), from: Some(customer) }
    });
    add(at, &by_customer, first);
    at = at.plus_millis(rng.i64(2..240) * MINUTE);
    let team = TeamKey::from(Key::from_name(if topic.queue == "technical" { "workshop" } else { "front" }));
    add(at, &by_agent, vec![TicketCommand::AssignTeam(Some(team)), TicketCommand::AssignAgent(Some(agent.clone()))]);
    if rng.f32() < 0.1 {
        return;
    }
    at = at.plus_millis(rng.i64(1..18) * MINUTE);
    let answer = TicketCommand::Send { message: message(rng, channel, topic.answer), agent: Some(agent.clone()) };
    let wait = TicketCommand::SetStatus(StatusWish::Category(StatusCategory::Waiting));
    let waits = rng.f32() < 0.4;
    add(at, &by_agent, if waits { vec![answer, wait] } else { vec![answer] });
    if rng.f32() < 0.3 {
        at = at.plus_millis(rng.i64(5..300) * MINUTE);
        let note = Note { id: message(rng, channel, "").id, body: Body::inline(any::<&str>(rng, NOTES)) };
        add(at, &by_agent, vec![TicketCommand::AddNote { note, agent: Some(agent.clone()) }]);
    }
    if waits {
        at = at.plus_millis(rng.i64(30..2_000) * MINUTE);
        let thanks = message(rng, channel, "Thank you, I have done what you asked for.");
        add(at, &by_customer, vec![TicketCommand::Receive { message: thanks, from: Some(customer) }]);
    }
    if rng.f32() < 0.08 {
        at = at.plus_millis(rng.i64(5..100) * MINUTE);
        let escalate = Escalate { level: None, reason: "The customer asks for somebody in charge.".into() };
        add(at, &by_agent, vec![TicketCommand::Escalate(escalate)]);
    }
    if rng.f32() < 0.06 {
        return;
    }
    at = at.plus_millis(rng.i64(30..2_500) * MINUTE);
    add(at, &by_agent, vec![TicketCommand::SetStatus(StatusWish::Category(StatusCategory::Resolved))]);
    if rng.f32() < 0.07 {
        at = at.plus_millis(rng.i64(60..3_000) * MINUTE);
        let again = message(rng, channel, "It happens again.");
        add(at, &by_customer, vec![TicketCommand::Receive { message: again, from: Some(customer) }]);
        at = at.plus_millis(rng.i64(60..2_000) * MINUTE);
        add(at, &by_agent, vec![TicketCommand::SetStatus(StatusWish::Category(StatusCategory::Resolved))]);
    }
    at = at.plus_millis(5 * DAY);
    add(at, &Actor::System, vec![TicketCommand::SetStatus(StatusWish::Category(StatusCategory::Closed))]);
}

fn opening(rng: &mut Rng, topic: &Topic, channel: Channel, customer: CustomerId) -> TicketCommand {
    let priority = match rng.u8(..100) {
        0..=5 => Priority::Urgent,
        6..=20 => Priority::High,
        21..=85 => Priority::Normal,
        _ => Priority::Low,
    };
    TicketCommand::Open(Opening {
        channel,
        subject: Personal::from(topic.subject),
        queue: Some(queue(topic.queue)),
        priority,
        category: Some(CategoryKey::from(Key::from_name(topic.category))),
        requester: Some(customer),
        external: None,
        by_agent: false,
    })
}

/// Fresh tokens for everybody a visitor may want to be; those of earlier starts are taken back.
///
/// # Errors
/// When they cannot be stored.
pub async fn tokens(engine: &Arc<Engine>) -> Result<Vec<(&'static str, String)>, EngineError> {
    let local = Principal::local();
    let views = engine.views();
    for token in views.people().tokens().filter(|token| token.label.starts_with("demo ") && !token.revoked) {
        engine.revoke_token(&local, token.id, None).await?;
    }
    let mut roles = vec![
        ("administrator", Role::Administrator),
        ("agent ann", Role::Agent(agent_key("ann"))),
        ("auditor", Role::Auditor),
    ];
    roles.extend(views.people().customers().next().map(|customer| ("customer", Role::Customer(customer.id))));
    let mut tokens = Vec::new();
    for (name, role) in roles {
        let issued = engine.issue_token(&local, role, &format!("demo {name}"), None, None).await?;
        let secret = issued.secret.unwrap_or_default();
        tokens.push((name, secret));
    }
    Ok(tokens)
}

/// Goes on as the history has been going, through the ordinary command path.
pub async fn traffic(engine: Arc<Engine>, seed: u64) {
    let mut rng = Rng::with_seed(seed ^ 0x7261_6666_6963);
    loop {
        tokio::time::sleep(Duration::from_millis(rng.u64(400..2_500))).await;
        if let Err(error) = act(&engine, &mut rng).await {
            // Somebody who tries the demonstration was faster, or did what makes it pointless.
            if !matches!(error, EngineError::Rejected { .. } | EngineError::Conflict { .. }) {
                tracing::warn!(%error, "the demonstration's traffic stopped");
                return;
            }
        }
    }
}

async fn act(engine: &Engine, rng: &mut Rng) -> Result<(), EngineError> {
    let views = engine.views();
    let request = || Request { cause: Cause::of(CauseKind::Demo), ..Request::default() };
    let customers: Vec<CustomerId> = views.people().customers().map(|customer| customer.id).collect();
    let some = |filter: TicketFilter, order, direction| {
        let page = PageRequest { order, direction, limit: 20, ..PageRequest::default() };
        let found = views.tickets().page(&Within::EVERYTHING, &filter, &page);
        found.tickets.iter().filter_map(|(number, _)| views.tickets().by_number(*number)).cloned().collect::<Vec<_>>()
    };
    let of = |categories: &[StatusCategory], unassigned: Option<bool>| TicketFilter {
        status_categories: Some(categories.to_vec()),
        unassigned,
        ..TicketFilter::default()
    };
    let agent_of = |rng: &mut Rng, row: &TicketRow| {
        let queue = views.tickets().queues.name(row.queue).map_or("orders", |queue| queue.as_str());
        let named = row.agent.and_then(|agent| views.tickets().agents.name(agent)).cloned();
        named.unwrap_or_else(|| agent_key(any::<&str>(rng, agents_of(queue))))
    };
    let principal = |role: Role| Principal { role, label: "demonstration".into(), token: None };
    match rng.u8(..100) {
        0..=24 => {
            let (topic, customer) = (any(rng, TOPICS), *any(rng, &customers));
            let channel = *any(rng, &Channel::ALL);
            let first = TicketCommand::Receive { message: message(rng, channel, topic.message), from: Some(customer) };
            let opening = opening(rng, topic, channel, customer);
            engine.open(&principal(Role::Customer(customer)), opening, vec![first], request()).await?;
        }
        25..=54 => {
            let waiting = of(&[StatusCategory::New, StatusCategory::Open], Some(true));
            let Some(row) = some(waiting, Order::Priority, Direction::Descending).into_iter().next() else {
                return Ok(());
            };
            let agent = agent_of(rng, &row);
            let take = vec![TicketCommand::AssignAgent(Some(agent.clone()))];
            // Sometimes somebody else hands it out, and it is not picked up in time.
            let by = if rng.u8(..4) == 0 { principal(Role::Administrator) } else { principal(Role::Agent(agent)) };
            engine.work(&by, row.id, take, request()).await?;
        }
        55..=79 => {
            let held = of(&[StatusCategory::New, StatusCategory::Open], Some(false));
            let rows = some(held, Order::DueAt, Direction::Ascending);
            if rows.is_empty() {
                return Ok(());
            }
            let row = any(rng, &rows);
            let agent = agent_of(rng, row);
            let text = any(rng, TOPICS).answer;
            let answer = TicketCommand::Send { message: message(rng, row.channel, text), agent: Some(agent.clone()) };
            let next = match rng.u8(..4) {
                0 => TicketCommand::SetStatus(StatusWish::Key(StatusKey::from(Key::from_name("awaiting-customer")))),
                1 | 2 => TicketCommand::SetStatus(StatusWish::Category(StatusCategory::Resolved)),
                _ => TicketCommand::AddTag("follow-up".into()),
            };
            engine.work(&principal(Role::Agent(agent)), row.id, vec![answer, next], request()).await?;
        }
        80..=92 => {
            let quiet = of(&[StatusCategory::Waiting, StatusCategory::Resolved], None);
            let rows = some(quiet, Order::Activity, Direction::Descending);
            if rows.is_empty() {
                return Ok(());
            }
            let row = any(rng, &rows);
            let Some(customer) = row.requester else { return Ok(()) };
            let text = if row.status_category == StatusCategory::Waiting {
                "Here is what you asked for."
            } else {
                "It happens again."
            };
            let wrote = TicketCommand::Receive { message: message(rng, row.channel, text), from: Some(customer) };
            engine.work(&principal(Role::Customer(customer)), row.id, vec![wrote], request()).await?;
        }
        _ => {
            let resolved = of(&[StatusCategory::Resolved], None);
            let Some(row) = some(resolved, Order::Activity, Direction::Ascending).into_iter().next() else {
                return Ok(());
            };
            let close = vec![TicketCommand::SetStatus(StatusWish::Category(StatusCategory::Closed))];
            engine.work(&principal(Role::Administrator), row.id, close, request()).await?;
        }
    }
    Ok(())
}
