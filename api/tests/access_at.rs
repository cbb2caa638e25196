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
    desk::{AgentDefinition, DeskConfig},
    ids::{AgentKey, CustomerId, TicketId, TokenId},
    ticket::{Channel, Opening, TicketCommand},
    time::Timestamp,
};
use docket_projections::{LiveViews, Views};
use docket_store::{ContentStore, EventLog, MemoryLog};
use serde_json::{Value, json};
use support::shop::Shop;

const AGENTS: [&str; 3] = ["ann", "bob", "eve"];

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
    here: Vec<&'static str>,
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
            here: vec![],
        };
        stage.staff(&AGENTS).await;
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

    /// The desk has these agents; the tokens of those who leave hold no longer, also when they come back.
    async fn staff(&mut self, agents: &[&'static str]) {
        let mut config = DeskConfig::starter();
        let define = |key: &&str| -> AgentDefinition {
            serde_json::from_value(json!({ "key": key, "name": key.to_uppercase() })).unwrap()
        };
        config.agents = agents.iter().map(define).collect();
        let applied = self.engine.apply_desk(&Principal::local(), config, false, None).await.unwrap();
        assert!(matches!(applied, Applied::Changes { .. }), "{applied:?}");
        let left = |role: &Role| matches!(role, Role::Agent(agent) if !agents.contains(&agent.as_str()));
        self.tokens.retain(|_, token| !left(&token.role));
        self.here = agents.to_vec();
    }

    async fn act(&mut self, random: &mut fastrand::Rng) {
        let me = Principal::local();
        match random.u8(..8) {
            0..=3 => {
                let role = match random.u8(..4) {
                    0 => Role::Administrator,
                    1 => Role::Auditor,
                    2 if !self.here.is_empty() => {
                        Role::Agent(AgentKey::try_new(self.here[random.usize(..self.here.len())]).unwrap())
                    }
                    _ => Role::Customer(self.customers[random.usize(..2)]),
                };
                let ends = random.bool().then(|| self.clock.now().plus_millis(random.i64(1..200_000)));
                let issued = self.engine.issue_token(&me, role.clone(), "t", ends, None).await.unwrap();
                self.tokens.insert(issued.id, Noted { role, ends });
            }
            4 => {
                if let Some(id) = self.tokens.keys().copied().nth(random.usize(..self.tokens.len().max(1))) {
                    self.engine.revoke_token(&me, id, None).await.unwrap();
                    self.tokens.remove(&id);
                }
            }
            5 => {
                let agents: Vec<_> = AGENTS.into_iter().filter(|_| random.u8(..3) > 0).collect();
                self.staff(&agents).await;
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
        let reading = holding.filter_map(|(id, token)| match &token.role {
            Role::Administrator | Role::Auditor | Role::Agent(_) => Some((*id, true)),
            Role::Customer(customer) => (Some(*customer) == self.requester).then_some((*id, false)),
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
