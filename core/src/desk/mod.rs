//! The desk: queues, teams, agents, statuses, categories, fields, calendars and SLA policies.
//!
//! `definition` and `policy` say what each part is, `calendar` does for calendars (the same form in the log and in a desk
//! file); `event` is what is stored, `config` compares a desk file with the present desk. This file holds the fold.

mod config;
mod definition;
mod event;
mod policy;

use std::sync::Arc;

use imbl::OrdMap;

pub use config::{Change, DeskConfig, DeskProblem, Leaving, LeavingKind};
pub use definition::{
    AgentDefinition, CategoryDefinition, FieldDefinition, FieldType, QueueDefinition, QueueRight, StatusDefinition,
    TeamDefinition,
};
pub use event::{
    AgentDefined, AgentRetired, CalendarDefined, CalendarRetired, CategoryDefined, CategoryRetired, DeskEvent,
    DeskNamed, FieldDefined, FieldRetired, PolicyDefined, PolicyRetired, QueueDefined, QueueRetired, StatusDefined,
    StatusRetired, TeamDefined, TeamRetired,
};
pub(crate) use policy::names_status;
pub use policy::{AgentOpened, Escalation, EscalationFilter, PolicyDefinition, PolicyFilter, ReopenRule, Targets};

pub use crate::calendar::{
    CalendarDefinition, ExceptionalDay, Hours, InvalidHours, InvalidSpan, InvalidTarget, InvalidYearlyRule, Span,
    Target, WeekHours, YearlyRule,
};

use crate::{
    calendar::Calendar,
    ids::{AgentKey, CalendarKey, CategoryKey, FieldKey, PolicyKey, Position, QueueKey, StatusKey, TeamKey, TrackKey},
    ticket::{StatusCategory, StatusRef, TicketEvent},
    time::Timestamp,
};

/// A part of the desk, with the position from which it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Defined<T> {
    /// What it is.
    pub definition: T,
    /// Position of the commit that defined it like this.
    pub since: Position,
    /// Retired parts stay readable in history and cannot be chosen any more.
    pub retired: bool,
    /// Position of the commit that last retired it, also when it was defined again since.
    pub left: Option<Position>,
}

/// The parts of one kind by key. A copy shares them, so that a change of the desk costs what it changes.
pub type Parts<K, T> = OrdMap<K, Defined<T>>;

/// The present desk and every version of its policies and calendars.
#[derive(Debug, Clone, Default)]
pub struct Desk {
    /// Display name of the desk.
    pub name: String,
    /// Queues by key.
    pub queues: Parts<QueueKey, QueueDefinition>,
    /// Teams by key.
    pub teams: Parts<TeamKey, TeamDefinition>,
    /// Agents by key.
    pub agents: Parts<AgentKey, AgentDefinition>,
    /// Statuses by key.
    pub statuses: Parts<StatusKey, StatusDefinition>,
    /// Categories by key.
    pub categories: Parts<CategoryKey, CategoryDefinition>,
    /// Custom fields by key.
    pub fields: Parts<FieldKey, FieldDefinition>,
    /// Calendars by key: the newest version of each.
    pub calendars: Parts<CalendarKey, CalendarDefinition>,
    /// Policies by key: the newest version of each.
    pub policies: Parts<PolicyKey, PolicyDefinition>,
    policy_versions: OrdMap<PolicyKey, OrdMap<Position, Arc<PolicyDefinition>>>,
    calendar_versions: OrdMap<CalendarKey, OrdMap<Position, CalendarVersion>>,
}

#[derive(Debug, Clone)]
struct CalendarVersion {
    valid_from: Option<Timestamp>,
    /// None when this program cannot make sense of it (a zone that its database no longer has): its clocks are never due,
    /// instead of wrongly due. `apply` refuses such a definition.
    calendar: Option<Arc<Calendar>>,
}

macro_rules! define {
    ($map:expr, $definition:expr, $position:expr) => {
        $map.insert(
            $definition.key.clone(),
            Defined {
                definition: $definition.clone(),
                since: $position,
                retired: false,
                left: $map.get(&$definition.key).and_then(|before| before.left),
            },
        )
    };
}

fn retire<K: Ord + Clone, T: Clone>(map: &mut Parts<K, T>, key: &K, position: Position) {
    if let Some(part) = map.get_mut(key) {
        part.retired = true;
        part.left = Some(position);
    }
}

impl Desk {
    /// The fold: changes and never judges.
    pub fn evolve(&mut self, event: &DeskEvent, position: Position) {
        match event {
            DeskEvent::DeskNamed(e) => self.name.clone_from(&e.name),
            DeskEvent::QueueDefined(e) => _ = define!(self.queues, e.queue, position),
            DeskEvent::QueueRetired(e) => retire(&mut self.queues, &e.key, position),
            DeskEvent::TeamDefined(e) => _ = define!(self.teams, e.team, position),
            DeskEvent::TeamRetired(e) => retire(&mut self.teams, &e.key, position),
            DeskEvent::AgentDefined(e) => _ = define!(self.agents, e.agent, position),
            DeskEvent::AgentRetired(e) => retire(&mut self.agents, &e.key, position),
            DeskEvent::StatusDefined(e) => _ = define!(self.statuses, e.status, position),
            DeskEvent::StatusRetired(e) => retire(&mut self.statuses, &e.key, position),
            DeskEvent::CategoryDefined(e) => _ = define!(self.categories, e.category, position),
            DeskEvent::CategoryRetired(e) => retire(&mut self.categories, &e.key, position),
            DeskEvent::FieldDefined(e) => _ = define!(self.fields, e.field, position),
            DeskEvent::FieldRetired(e) => retire(&mut self.fields, &e.key, position),
            DeskEvent::CalendarDefined(e) => {
                define!(self.calendars, e.calendar, position);
                let (valid_from, calendar) = (e.calendar.valid_from, Calendar::try_new(&e.calendar).ok().map(Arc::new));
                let versions = self.calendar_versions.entry(e.calendar.key.clone()).or_default();
                versions.insert(position, CalendarVersion { valid_from, calendar });
            }
            DeskEvent::CalendarRetired(e) => retire(&mut self.calendars, &e.key, position),
            DeskEvent::PolicyDefined(e) => {
                define!(self.policies, e.policy, position);
                let versions = self.policy_versions.entry(e.policy.key.clone()).or_default();
                versions.insert(position, Arc::new(e.policy.clone()));
            }
            DeskEvent::PolicyRetired(e) => retire(&mut self.policies, &e.key, position),
        }
    }

    /// The policy as the commit at `version` defined it.
    pub fn policy_version(&self, key: &PolicyKey, version: Position) -> Option<&Arc<PolicyDefinition>> {
        self.policy_versions.get(key)?.get(&version)
    }

    /// The calendar as the commit at `version` defined it.
    pub fn calendar_version(&self, key: &CalendarKey, version: Position) -> Option<&Arc<Calendar>> {
        self.calendar_versions.get(key)?.get(&version)?.calendar.as_ref()
    }

    /// Takes policies and calendars for granted from the beginning on, in place of every version of the same keys: for
    /// questions of the kind "what if".
    pub fn suppose(&mut self, policies: &[PolicyDefinition], calendars: &[CalendarDefinition]) {
        for calendar in calendars {
            self.calendar_versions.remove(&calendar.key);
            self.evolve(&CalendarDefined { calendar: calendar.clone() }.into(), Position::START);
        }
        for policy in policies {
            self.policy_versions.remove(&policy.key);
            self.evolve(&PolicyDefined { policy: policy.clone() }.into(), Position::START);
        }
    }

    /// The version of a policy that is chosen at an instant: the newest one that is valid from then or before. `None` when
    /// there is none, when it has ended, or when the policy is retired.
    pub fn policy_at(&self, key: &PolicyKey, at: Timestamp) -> Option<(Position, &Arc<PolicyDefinition>)> {
        if self.policies.get(key)?.retired {
            return None;
        }
        let mut newest_first = self.policy_versions.get(key)?.iter().rev();
        let (version, policy) = newest_first.find(|(_, policy)| policy.valid_from.is_none_or(|from| from <= at))?;
        policy.valid_until.is_none_or(|until| at < until).then_some((*version, policy))
    }

    /// The version of a calendar that is chosen at an instant: the newest one that is valid from then or before, else the
    /// oldest.
    pub fn calendar_at(&self, key: &CalendarKey, at: Timestamp) -> Option<Position> {
        let versions = self.calendar_versions.get(key)?;
        let valid = |(_, version): &(&Position, &CalendarVersion)| version.valid_from.is_none_or(|from| from <= at);
        let (version, _) = versions.iter().rev().find(valid).or_else(|| versions.iter().next())?;
        Some(*version)
    }

    /// True when some version of a policy tells people of deadlines in this calendar.
    pub fn tells_in(&self, calendar: &CalendarKey) -> bool {
        self.policy_versions
            .values()
            .flat_map(OrdMap::values)
            .any(|policy| policy.notify_calendar.as_ref() == Some(calendar))
    }

    /// The calendar that is chosen at an instant.
    pub fn open_hours_at(&self, key: &CalendarKey, at: Timestamp) -> Option<&Arc<Calendar>> {
        self.calendar_version(key, self.calendar_at(key, at)?)
    }

    /// A status that may be chosen, as events carry it.
    pub fn status(&self, key: &StatusKey) -> Option<StatusRef> {
        let status = self.statuses.get(key).filter(|s| !s.retired)?;
        Some(StatusRef { key: key.clone(), category: status.definition.category })
    }

    /// What customers know a status by: a status with a name for customers hides its key, as the desk's own word, behind that
    /// of its category.
    pub fn status_for_customers<'a>(&'a self, key: &'a StatusKey, category: StatusCategory) -> (&'a str, &'a str) {
        match self.statuses.get(key).map(|status| &status.definition) {
            None => (key.as_str(), key.as_str()),
            Some(StatusDefinition { customer_name: Some(name), .. }) => (category.name(), name),
            Some(StatusDefinition { customer_name: None, name, .. }) => (key.as_str(), name),
        }
    }

    /// True when customers may see the event on their own tickets, and see something by it: two statuses may be one to them.
    pub fn shows_customers<'a>(&'a self, event: &'a TicketEvent) -> bool {
        let face = |status: &'a StatusRef| (self.status_for_customers(&status.key, status.category), status.category);
        if let TicketEvent::StatusChanged(e) = event { face(&e.to) != face(&e.from) } else { event.is_public() }
    }

    /// The status that stands for a category when none was named: the one marked as default, else the first by key.
    pub fn default_status(&self, category: StatusCategory) -> Option<StatusRef> {
        let of_category = || self.statuses.values().filter(|s| !s.retired && s.definition.category == category);
        let status = of_category().find(|s| s.definition.default).or_else(|| of_category().next())?;
        Some(StatusRef { key: status.definition.key.clone(), category })
    }

    /// The queue that a ticket waits in when nobody named one: the one marked as default, else the first by key.
    pub fn default_queue(&self) -> Option<&QueueKey> {
        let live = || self.queues.values().filter(|queue| !queue.retired);
        let queue = live().find(|queue| queue.definition.default).or_else(|| live().next())?;
        Some(&queue.definition.key)
    }

    /// What an agent may do with the tickets of a queue: nothing for whoever the desk never had.
    pub fn right_in(&self, agent: &AgentKey, queue: &QueueKey) -> QueueRight {
        self.agents.get(agent).map_or(QueueRight::None, |agent| agent.definition.right_in(queue))
    }

    /// The tracks that have, or ever had, a policy, in the order of their names.
    pub fn tracks(&self) -> Vec<TrackKey> {
        // Those of older versions too: a ticket may still be measured by one.
        let versions = self.policy_versions.values().flat_map(OrdMap::values);
        let mut tracks: Vec<_> = versions.map(|policy| policy.track.clone()).collect();
        tracks.sort();
        tracks.dedup();
        tracks
    }
}

#[cfg(test)]
mod tests;
