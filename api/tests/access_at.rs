//! Who could read this on that day: made histories of tokens, agents and requesters against a reckoning by hand.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use docket_api::{
    clock::{Clock, ManualClock},
    engine::{Applied, Engine, NewCustomer, Principal, Request},
};
use docket_core::{
    access::Role,
    desk::{AgentDefinition, DeskConfig, QueueDefinition},
    ids::{AgentKey, CustomerId, QueueKey, TicketId, TokenId},
    ticket::{Channel, Opening, TicketCommand},
    time::Timestamp,
};
use docket_projections::{LiveViews, Views};
use docket_store::{ContentStore, EventLog, MemoryLog};
use serde_json::{Value, json};
use support::shop::Shop;

const AGENTS: [&str; 3] = ["ann", "bob", "eve"];
const QUEUES: [&str; 3] = ["inbox", "billing", "complaints"];

/// What an agent may do in each queue; none for everything.
type Rights = Option<BTreeMap<&'static str, &'static str>>;

/// A token as somebody with pencil and paper keeps it.
struct Noted {
    role: Role,
    ends: Option<Timestamp>,
}

struct Stage {
    engine: Arc<Engine>,
    clock: Arc<ManualClock>,
    ticket: TicketId,
    customers: Vec<CustomerId>,
    requester: Option<CustomerId>,
    tokens: BTreeMap<TokenId, Noted>,
    here: BTreeMap<&'static str, Rights>,
    /// Where the ticket waits.
    queue: &'static str,
}

impl Stage {
    async fn new() -> Self {
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new());
        let live = LiveViews::new(Views::default());
        tokio::spawn(Arc::clone(&live).follow(Arc::clone(&log)));
        let clock = Arc::new(ManualClock::new(Timestamp::parse("2026-03-02T09:00:00Z").unwrap()));
        let time: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let engine = Engine::new(log, live, ContentStore::new(Path::new("unused")), time);
        let mut stage = Self {
            engine,
            clock,
            ticket: TicketId::derived(Timestamp::MIN, &[]),
            customers: vec![],
            requester: None,
            tokens: BTreeMap::new(),
            here: BTreeMap::new(),
            queue: QUEUES[0],
        };
        stage.staff(AGENTS.map(|agent| (agent, None)).into()).await;
        for name in ["Carl", "Dora"] {
            let customer = NewCustomer { name: name.into(), ..NewCustomer::default() };
            stage.customers.push(stage.engine.register_customer(&Principal::local(), customer, None).await.unwrap().0);
        }
        stage.clock.advance(Duration::from_secs(60));
        let opening = TicketCommand::Open(Opening::new(Channel::Email, "Who reads this?"));
        let done = stage.engine.open(&Principal::local(), opening, vec![], Request::default()).await.unwrap();
        stage.ticket = done.ticket;
        stage
    }

    /// The desk has these agents with these rights; the tokens of those who leave hold no longer, also when they come back.
    async fn staff(&mut self, agents: BTreeMap<&'static str, Rights>) {
        let mut config = DeskConfig::starter();
        let first = config.queues[0].clone();
        config.queues.extend(QUEUES[1..].iter().map(|key| QueueDefinition {
            key: QueueKey::try_new(key).unwrap(),
            name: (*key).into(),
            default: false,
            ..first.clone()
        }));
        let define = |(key, queues): (&&str, &Rights)| -> AgentDefinition {
            let mut agent = json!({ "key": key, "name": key.to_uppercase() });
            if let Some(queues) = queues {
                agent["queues"] = json!(queues);
            }
            serde_json::from_value(agent).unwrap()
        };
        config.agents = agents.iter().map(define).collect();
        let applied = self.engine.apply_desk(&Principal::local(), config, false, None).await.unwrap();
        assert!(matches!(applied, Applied::Changes { .. }), "{applied:?}");
        let left = |role: &Role| role.agent().is_some_and(|agent| !agents.contains_key(agent.as_str()));
        self.tokens.retain(|_, token| !left(&token.role));
        self.here = agents;
    }

    /// The last administrator's token that holds is not taken back.
    fn is_last_administrator(&self, id: &TokenId) -> bool {
        let now = self.clock.now();
        let holds = |token: &Noted| token.role == Role::Administrator && token.ends.is_none_or(|ends| now < ends);
        holds(&self.tokens[id]) && self.tokens.values().filter(|token| holds(token)).count() == 1
    }

    async fn act(&mut self, random: &mut fastrand::Rng) {
        let me = Principal::local();
        match random.u8(..10) {
            0..=3 => {
                let agent = random.choice(self.here.keys()).map(|key| AgentKey::try_new(key).unwrap());
                let customer = self.customers[random.usize(..2)];
                let role = match (random.u8(..8), agent) {
                    (0, _) => Role::Administrator,
                    (1, _) => Role::Auditor,
                    (2, _) => Role::Service,
                    (3, _) => Role::CustomerManager(customer),
                    (4, Some(agent)) => Role::Agent(agent),
                    (5, Some(agent)) => Role::LightAgent(agent),
                    (6, Some(agent)) => Role::Supervisor(agent),
                    _ => Role::Customer(customer),
                };
                let ends = random.bool().then(|| self.clock.now().plus_millis(random.i64(1..200_000)));
                let issued = self.engine.issue_token(&me, role.clone(), "t", ends, None).await.unwrap();
                self.tokens.insert(issued.id, Noted { role, ends });
            }
            4 => {
                if let Some(id) = self.tokens.keys().copied().nth(random.usize(..self.tokens.len().max(1))) {
                    let last = self.is_last_administrator(&id);
                    let revoked = self.engine.revoke_token(&me, id, None).await;
                    assert_eq!(revoked.is_err(), last, "{revoked:?}");
                    self.tokens.retain(|token, _| last || *token != id);
                }
            }
            5 => {
                let mut rights = || match random.u8(..6) {
                    0 | 1 => None,
                    2 => Some(BTreeMap::new()),
                    _ => Some(QUEUES.map(|queue| (queue, ["none", "read", "work"][random.usize(..3)])).into()),
                };
                let agents = AGENTS.map(|agent| (agent, rights()));
                let stays = |_: &_| random.u8(..3) > 0;
                let agents: BTreeMap<&'static str, Rights> = agents.into_iter().filter(stays).collect();
                if agents != self.here {
                    self.staff(agents).await;
                }
            }
            6 | 7 => {
                self.queue = QUEUES[random.usize(..3)];
                let transfer = vec![TicketCommand::Transfer(QueueKey::try_new(self.queue).unwrap())];
                self.engine.work(&me, self.ticket, transfer, Request::default()).await.unwrap();
            }
            _ => {
                self.requester = Some(self.customers[random.usize(..2)]).filter(|_| random.u8(..4) > 0);
                let set = vec![TicketCommand::SetRequester(self.requester)];
                self.engine.work(&me, self.ticket, set, Request::default()).await.unwrap();
            }
        }
    }

    /// Who may read the ticket and its notes now, by the notes of pencil and paper.
    fn by_hand(&self) -> BTreeMap<TokenId, bool> {
        let now = self.clock.now();
        let holding = self.tokens.iter().filter(|(_, token)| token.ends.is_none_or(|ends| now < ends));
        let in_queue = |agent: &AgentKey| match &self.here[agent.as_str()] {
            None => true,
            Some(rights) => rights.get(self.queue).is_some_and(|right| *right != "none"),
        };
        let reading = holding.filter_map(|(id, token)| match &token.role {
            Role::Administrator | Role::Auditor | Role::Supervisor(_) | Role::Service => Some((*id, true)),
            Role::Agent(agent) | Role::LightAgent(agent) => in_queue(agent).then_some((*id, true)),
            Role::Customer(customer) | Role::CustomerManager(customer) => {
                (Some(*customer) == self.requester).then_some((*id, false))
            }
        });
        reading.collect()
    }
}

#[tokio::test]
async fn who_could_read_a_ticket_on_a_day_is_told_as_it_was() {
    let mut asked = 0;
    for seed in 0..10 {
        let (mut stage, mut random) = (Stage::new().await, fastrand::Rng::with_seed(seed));
        let mut noted = vec![(stage.clock.now(), stage.by_hand())];
        for _ in 0..40 {
            stage.clock.advance(Duration::from_millis(random.u64(1..20_000)));
            stage.act(&mut random).await;
            noted.push((stage.clock.now(), stage.by_hand()));
            if random.bool() {
                // Between two events, too: a token may end without one.
                stage.clock.advance(Duration::from_millis(random.u64(1..20_000)));
                noted.push((stage.clock.now(), stage.by_hand()));
            }
        }
        for (at, expected) in noted {
            let found = stage.engine.access_at(&Principal::local(), stage.ticket, at).await.unwrap();
            let found: BTreeMap<_, _> = found.into_iter().map(|reader| (reader.token.id, reader.internal)).collect();
            assert_eq!(found, expected, "seed {seed} at {at}");
            asked += 1;
        }
        let before = Timestamp::parse("2026-03-02T09:00:30Z").unwrap();
        assert!(stage.engine.access_at(&Principal::local(), stage.ticket, before).await.is_err());
        let ahead = stage.clock.now().plus_millis(1);
        assert!(stage.engine.access_at(&Principal::local(), stage.ticket, ahead).await.is_err());
    }
    assert!(asked > 400);
}

#[tokio::test]
async fn the_command_line_and_graphql_tell_the_same() {
    let shop = Shop::open().await;
    let id = shop.ticket("Mine").await;
    let query = "query ($id: ID!) { serverStatus { now } ticket(id: $id) { openedAt } }";
    let opened = shop.server.data(&shop.admin, query, json!({ "id": id })).await["ticket"]["openedAt"].clone();
    let query = "query ($id: ID!, $at: DateTime!) { accessAt(ticket: $id, at: $at) {
        readsInternal token { role customer { id } } } }";
    let told = shop.server.data(&shop.auditor, query, json!({ "id": id, "at": opened })).await;
    let roles: BTreeMap<&str, bool> = told["accessAt"].as_array().unwrap().iter().map(role_and_notes).collect();
    let expected = [("ADMINISTRATOR", true), ("AGENT", true), ("AUDITOR", true), ("CUSTOMER", false)];
    assert_eq!(roles, BTreeMap::from(expected));
    let told = shop.docket.ok_json(&["access", "1", "--at", opened.as_str().unwrap()]);
    assert_eq!((told["ticket"].as_u64(), told["readers"].as_array().unwrap().len()), (Some(1), 4), "{told}");
    assert!(shop.docket.ok(&["access", "1"]).contains("without notes"));
    assert!(shop.docket.fails(&["access", "1", "--at", "2100-01-01T00:00:00Z"]).contains("nobody knows"));
    assert!(shop.docket.fails(&["access", "1", "--at", "2001-01-01T00:00:00Z"]).contains("not there yet"));
    let refused = shop.server.ask(&shop.agent, query, json!({ "id": id, "at": opened })).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN", "{refused}");
}

fn role_and_notes(reader: &Value) -> (&str, bool) {
    (reader["token"]["role"].as_str().unwrap(), reader["readsInternal"].as_bool().unwrap())
}
