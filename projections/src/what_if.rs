//! What service levels would have come to under other policies or calendars: the log folded once more, with some
//! definitions taken for granted from its beginning, and counted beside what was. Nothing is written.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use docket_core::{
    desk::{CalendarDefinition, Desk, DeskEvent, PolicyDefinition},
    event::{Commit, Event},
    ids::{PolicyKey, QueueKey, StreamId, TicketId, TrackKey},
    personal::Personal,
    sla::{Clocks, Ending, policies_to_apply},
    ticket::{Priority, SlaMetric, SlaReason, Ticket, TicketEvent},
    time::Timestamp,
};
use serde::Serialize;

use crate::{
    report::{ReportPeriod, active_at, ended_in},
    views::Views,
};

/// A fold of the log under policies and calendars that are supposed.
#[derive(Debug)]
pub struct WhatIf {
    policies: BTreeSet<String>,
    calendars: BTreeSet<String>,
    /// Tracks whose choice of policies is made anew; on the others what was chosen stays.
    tracks: BTreeSet<TrackKey>,
    desk: Desk,
    tickets: HashMap<TicketId, Ticket>,
}

impl WhatIf {
    /// Supposes these definitions in place of every version of the same keys; `present` says which policies use the
    /// calendars.
    pub fn new(policies: &[PolicyDefinition], calendars: &[CalendarDefinition], present: &Desk) -> Self {
        let calendar_keys: BTreeSet<String> = calendars.iter().map(|calendar| calendar.key.to_string()).collect();
        let uses_one = |policy: &&PolicyDefinition| {
            policy.calendar.as_ref().is_some_and(|key| calendar_keys.contains(key.as_str()))
        };
        let present = present.policies.values().map(|part| &part.definition);
        let tracks = policies.iter().chain(present.filter(uses_one)).map(|policy| policy.track.clone()).collect();
        let mut desk = Desk::default();
        desk.suppose(policies, calendars);
        Self {
            policies: policies.iter().map(|policy| policy.key.to_string()).collect(),
            calendars: calendar_keys,
            tracks,
            desk,
            tickets: HashMap::new(),
        }
    }

    fn is_supposed(&self, event: &DeskEvent) -> bool {
        if let DeskEvent::PolicyDefined(e) = event {
            self.policies.contains(e.policy.key.as_str())
        } else if let DeskEvent::PolicyRetired(e) = event {
            self.policies.contains(e.key.as_str())
        } else if let DeskEvent::CalendarDefined(e) = event {
            self.calendars.contains(e.calendar.key.as_str())
        } else if let DeskEvent::CalendarRetired(e) = event {
            self.calendars.contains(e.key.as_str())
        } else {
            false
        }
    }

    fn fold(&mut self, id: TicketId, event: &TicketEvent, at: Timestamp) {
        if let TicketEvent::SlaApplied(e) = event
            && self.tracks.contains(&e.track)
        {
            return;
        }
        let reason = SlaReason::of(event);
        if reason.is_none() && !Clocks::concerned_by(event) {
            return;
        }
        let Some(mut ticket) = Ticket::evolve(self.tickets.remove(&id), event, at, &self.desk) else { return };
        // Only what clocks and the choice of policies look at is kept.
        ticket.subject = Personal::new(String::new());
        if let Some(reason) = reason {
            let subject = ticket.subject_of_policies();
            let chosen = policies_to_apply(&self.desk, subject, &ticket.clocks, at, reason);
            for choice in chosen.into_iter().filter(|choice| self.tracks.contains(&choice.track)) {
                ticket.clocks.evolve(&TicketEvent::from(choice), at, &self.desk);
            }
        }
        self.tickets.insert(id, ticket);
    }

    /// Service levels as they were beside those that would have been. Views and fold stand at the same position.
    pub fn compare(&self, views: &Views, period: ReportPeriod) -> Comparison {
        let mut groups = BTreeMap::new();
        let tickets = views.tickets();
        for row in tickets.rows() {
            count(&mut groups, &row.clocks, period, |group| &mut group.official);
        }
        for ticket in self.tickets.values() {
            count(&mut groups, &ticket.clocks, period, |group| &mut group.supposed);
        }
        Comparison { groups: groups.into_values().collect() }
    }
}

impl WhatIf {
    /// Folds the next commit.
    pub fn apply(&mut self, commit: &Commit) {
        for event in &commit.events {
            match (&event.event, commit.stream) {
                (Event::Desk(event), _) if !self.is_supposed(event) => self.desk.evolve(event, commit.position),
                (Event::Ticket(ticket_event), StreamId::Ticket(id)) => self.fold(id, ticket_event, event.occurred_at),
                (
                    Event::Desk(_)
                    | Event::Ticket(_)
                    | Event::Customer(_)
                    | Event::Access(_)
                    | Event::Request(_)
                    | Event::Unknown { .. },
                    _,
                ) => {}
            }
        }
    }
}

/// Both counts of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compliance {
    /// The track.
    pub track: TrackKey,
    /// The metric.
    pub metric: SlaMetric,
    /// The policy by which it was, or would have been, measured.
    pub policy: PolicyKey,
    /// The ticket's queue when the clock ended; its present one while the clock is active.
    pub queue: QueueKey,
    /// The ticket's priority when the clock ended; its present one while the clock is active.
    pub priority: Priority,
    /// What was.
    pub official: Tally,
    /// What would have been.
    pub supposed: Tally,
}

/// Clocks by how they ended within the period, as in [`Report`](crate::Report).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// Fulfilled in time.
    pub met: u64,
    /// Fulfilled too late.
    pub missed: u64,
    /// Started within the period, and running or standing at its end.
    pub active: u64,
    /// Cancelled.
    pub cancelled: u64,
    /// Of these, the ones that were past their deadline then.
    pub cancelled_late: u64,
}

impl Tally {
    /// Counts a clock that ended, or one that is active.
    const fn count(&mut self, ended: Option<Ending>) {
        match ended {
            Some(Ending::Met) => self.met += 1,
            Some(Ending::Missed) => self.missed += 1,
            Some(Ending::Cancelled) => self.cancelled += 1,
            Some(Ending::CancelledLate) => {
                self.cancelled += 1;
                self.cancelled_late += 1;
            }
            None => self.active += 1,
        }
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.met += other.met;
        self.missed += other.missed;
        self.active += other.active;
        self.cancelled += other.cancelled;
        self.cancelled_late += other.cancelled_late;
    }

    /// met / (met + missed); none of none.
    pub fn compliance(&self) -> Option<f64> {
        let of = self.met + self.missed;
        (of > 0).then(|| self.met as f64 / of as f64)
    }
}

/// Service levels as they were beside those that would have been, in the order of track, metric, policy, queue and
/// priority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Every group in which something was counted.
    pub groups: Vec<Compliance>,
}

impl Comparison {
    /// True when no count would have been otherwise; deadlines that have not passed may be.
    pub fn is_identical(&self) -> bool {
        self.groups.iter().all(|group| group.official == group.supposed)
    }

    /// The sums of the groups that share a key.
    pub fn sums<K: Ord>(&self, key: impl Fn(&Compliance) -> K) -> BTreeMap<K, (Tally, Tally)> {
        let mut sums: BTreeMap<K, (Tally, Tally)> = BTreeMap::new();
        for group in &self.groups {
            let (official, supposed) = sums.entry(key(group)).or_default();
            official.add(&group.official);
            supposed.add(&group.supposed);
        }
        sums
    }
}

type Groups = BTreeMap<(TrackKey, SlaMetric, PolicyKey, QueueKey, Priority), Compliance>;

fn count(groups: &mut Groups, clocks: &Clocks, period: ReportPeriod, side: fn(&mut Compliance) -> &mut Tally) {
    for clock in &clocks.clocks {
        let ended = ended_in(period, clock);
        // As of the period's end, so that a past period stays what it was.
        let active = active_at(period.last(), period, clock);
        let counted = ended.map(|(policy, ending, at)| (policy, Some(ending), Some(at)));
        for (policy, ending, at) in counted.into_iter().chain(active.map(|active| (active.policy, None, None))) {
            let Some((queue, priority)) = clocks.place_at(at) else { continue };
            let key = (clock.track.clone(), clock.metric, policy.clone(), queue.clone(), priority);
            let group = groups.entry(key).or_insert_with(|| Compliance {
                track: clock.track.clone(),
                metric: clock.metric,
                policy: policy.clone(),
                queue: queue.clone(),
                priority,
                official: Tally::default(),
                supposed: Tally::default(),
            });
            side(group).count(ending);
        }
    }
}
