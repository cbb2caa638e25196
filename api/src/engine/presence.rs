//! Who is looking at a ticket: state that is no event. It lives beside the log, in memory, and is lost on purpose: a program says
//! so again and again for as long as it is so.
//!
//! What belongs here is true for moments only and of use to nobody later. Whatever somebody could ask about tomorrow is an event.

use std::{
    collections::{BTreeMap, HashMap},
    sync::PoisonError,
};

use docket_core::{
    ids::{AgentKey, TicketId},
    rejection::Rejection,
    time::Timestamp,
};

use super::{Action, Engine, EngineError, Principal};

/// Whoever says nothing for so long looks no longer.
const GONE_AFTER_MS: i64 = 60_000;
/// Tickets that one agent looks at, at most: those longest not heard of are forgotten.
const MOST_OF_ONE: usize = 50;

/// An agent who looks at a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looker {
    /// Who.
    pub agent: AgentKey,
    /// Since when, without a break.
    pub since: Timestamp,
    /// Is writing an answer.
    pub writing: bool,
}

/// How somebody looks.
#[derive(Debug, Clone, Copy)]
struct Look {
    since: Timestamp,
    heard_at: Timestamp,
    writing: bool,
}

impl Look {
    /// A clock that was set back does not keep anybody for longer.
    const fn holds(&self, now: Timestamp) -> bool {
        let silent = now.millis_since(self.heard_at);
        0 <= silent && silent < GONE_AFTER_MS
    }
}

/// Who looks at what, by agent: their number bounds it, whatever the number of tickets.
#[derive(Debug, Default)]
pub(super) struct Presence(HashMap<AgentKey, BTreeMap<TicketId, Look>>);

impl Presence {
    fn note(&mut self, agent: &AgentKey, ticket: TicketId, writing: bool, now: Timestamp) {
        let looks = self.0.entry(agent.clone()).or_default();
        looks.retain(|_, look| look.holds(now));
        let since = looks.get(&ticket).map_or(now, |look| look.since);
        looks.insert(ticket, Look { since, heard_at: now, writing });
        if looks.len() > MOST_OF_ONE
            && let Some(oldest) = looks.iter().min_by_key(|(_, look)| look.heard_at).map(|(ticket, _)| *ticket)
        {
            looks.remove(&oldest);
        }
    }

    fn forget(&mut self, agent: &AgentKey, ticket: &TicketId) {
        if let Some(looks) = self.0.get_mut(agent) {
            looks.remove(ticket);
            if looks.is_empty() {
                self.0.remove(agent);
            }
        }
    }

    fn of(&self, ticket: &TicketId, now: Timestamp) -> Vec<Looker> {
        let look = |(agent, looks): (&AgentKey, &BTreeMap<TicketId, Look>)| {
            let look = looks.get(ticket).filter(|look| look.holds(now))?;
            Some(Looker { agent: agent.clone(), since: look.since, writing: look.writing })
        };
        let mut lookers: Vec<Looker> = self.0.iter().filter_map(look).collect();
        lookers.sort_by(|a, b| (a.since, &a.agent).cmp(&(b.since, &b.agent)));
        lookers
    }
}

impl Engine {
    /// An agent looks at a ticket, and perhaps writes an answer; `None` looks no longer. It holds for a minute: say it again before.
    ///
    /// # Errors
    /// When there is no such ticket for the principal, or the principal is no agent.
    pub fn look(&self, principal: &Principal, ticket: TicketId, writing: Option<bool>) -> Result<(), EngineError> {
        let views = self.views();
        let row = views.tickets().by_id(&ticket).filter(|row| principal.may(&views, Action::Read, row));
        row.ok_or_else(|| Rejection::not_found("ticket", ticket.to_string()))?;
        let agent = principal.agent().ok_or_else(|| EngineError::Forbidden {
            needs: "say who looks at a ticket, which only tokens of agents have".into(),
        })?;
        let mut presence = self.presence.lock().unwrap_or_else(PoisonError::into_inner);
        match writing {
            Some(writing) => presence.note(agent, ticket, writing, self.now()),
            None => presence.forget(agent, &ticket),
        }
        Ok(())
    }

    /// Who looks at a ticket now, the first one first.
    pub fn lookers(&self, ticket: &TicketId) -> Vec<Looker> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner).of(ticket, self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(key: &str) -> AgentKey {
        AgentKey::try_new(key).unwrap()
    }

    fn ticket(n: usize) -> TicketId {
        TicketId::derived(Timestamp::from_millis(0), &[&n.to_string()])
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn who_looks_is_told_until_a_minute_of_silence_or_a_goodbye() {
        let mut presence = Presence::default();
        presence.note(&agent("ann"), ticket(1), false, at(0));
        presence.note(&agent("bob"), ticket(1), true, at(10));
        presence.note(&agent("ann"), ticket(1), true, at(50));
        let told: Vec<_> = presence.of(&ticket(1), at(69)).into_iter().map(|l| (l.agent, l.since, l.writing)).collect();
        assert_eq!(told, [(agent("ann"), at(0), true), (agent("bob"), at(10), true)]);
        assert_eq!(presence.of(&ticket(1), at(70)).len(), 1, "bob was silent");
        assert_eq!(presence.of(&ticket(2), at(70)), []);
        presence.forget(&agent("ann"), &ticket(1));
        assert_eq!(presence.of(&ticket(1), at(70)), []);
        // Whoever comes back looks anew.
        presence.note(&agent("bob"), ticket(1), false, at(80));
        assert_eq!(presence.of(&ticket(1), at(81))[0].since, at(80));
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_and_one_agent_fills_no_memory() {
        let mut presence = Presence::default();
        presence.note(&agent("ann"), ticket(1), false, at(1_000_000));
        assert_eq!(presence.of(&ticket(1), at(0)), []);
        for n in 0..1_000 {
            presence.note(&agent("ann"), ticket(n), false, at(0));
        }
        assert_eq!(presence.0[&agent("ann")].len(), MOST_OF_ONE);
    }
}
