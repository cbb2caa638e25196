//! The desk: queues, teams, agents, statuses, categories, fields, calendars and SLA policies.
//!
//! `definition` says what each part is (the same form in the log and in a desk file), `event` what is stored,
//! `config` compares a desk file with the present desk. This file holds the fold.

mod config;
mod definition;
mod event;

use std::{collections::BTreeMap, sync::Arc};

pub use config::{Change, DeskConfig, DeskProblem};
pub use definition::{
    AgentDefinition, CalendarDefinition, CategoryDefinition, Escalation, FieldDefinition, FieldType, Hours,
    InvalidHours, InvalidSpan, PolicyDefinition, PolicyFilter, QueueDefinition, ReopenRule, Span, StatusDefinition,
    Target, Targets, TeamDefinition, WeekHours,
};
pub use event::{
    AgentDefined, AgentRetired, CalendarDefined, CalendarRetired, CategoryDefined, CategoryRetired, DeskEvent,
    DeskNamed, FieldDefined, FieldRetired, PolicyDefined, PolicyRetired, QueueDefined, QueueRetired, StatusDefined,
    StatusRetired, TeamDefined, TeamRetired,
};

use crate::{
    calendar::Calendar,
    ids::{AgentKey, CalendarKey, CategoryKey, FieldKey, PolicyKey, Position, QueueKey, StatusKey, TeamKey, TrackKey},
    ticket::{StatusCategory, StatusRef},
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
}

/// The present desk and every version of its policies and calendars.
#[derive(Debug, Clone, Default)]
pub struct Desk {
    /// Display name of the desk.
    pub name: String,
    /// Queues by key.
    pub queues: BTreeMap<QueueKey, Defined<QueueDefinition>>,
    /// Teams by key.
    pub teams: BTreeMap<TeamKey, Defined<TeamDefinition>>,
    /// Agents by key.
    pub agents: BTreeMap<AgentKey, Defined<AgentDefinition>>,
    /// Statuses by key.
    pub statuses: BTreeMap<StatusKey, Defined<StatusDefinition>>,
    /// Categories by key.
    pub categories: BTreeMap<CategoryKey, Defined<CategoryDefinition>>,
    /// Custom fields by key.
    pub fields: BTreeMap<FieldKey, Defined<FieldDefinition>>,
    /// Calendars by key: the newest version of each.
    pub calendars: BTreeMap<CalendarKey, Defined<CalendarDefinition>>,
    /// Policies by key: the newest version of each.
    pub policies: BTreeMap<PolicyKey, Defined<PolicyDefinition>>,
    policy_versions: BTreeMap<(PolicyKey, Position), Arc<PolicyDefinition>>,
    calendar_versions: BTreeMap<(CalendarKey, Position), Arc<Calendar>>,
}

macro_rules! define {
    ($map:expr, $definition:expr, $position:expr) => {
        $map.insert(
            $definition.key.clone(),
            Defined { definition: $definition.clone(), since: $position, retired: false },
        )
    };
}

fn retire<K: Ord, T>(map: &mut BTreeMap<K, Defined<T>>, key: &K) {
    if let Some(part) = map.get_mut(key) {
        part.retired = true;
    }
}

impl Desk {
    /// The fold: changes and never judges.
    pub fn evolve(&mut self, event: &DeskEvent, position: Position) {
        match event {
            DeskEvent::DeskNamed(e) => self.name.clone_from(&e.name),
            DeskEvent::QueueDefined(e) => _ = define!(self.queues, e.queue, position),
            DeskEvent::QueueRetired(e) => retire(&mut self.queues, &e.key),
            DeskEvent::TeamDefined(e) => _ = define!(self.teams, e.team, position),
            DeskEvent::TeamRetired(e) => retire(&mut self.teams, &e.key),
            DeskEvent::AgentDefined(e) => _ = define!(self.agents, e.agent, position),
            DeskEvent::AgentRetired(e) => retire(&mut self.agents, &e.key),
            DeskEvent::StatusDefined(e) => _ = define!(self.statuses, e.status, position),
            DeskEvent::StatusRetired(e) => retire(&mut self.statuses, &e.key),
            DeskEvent::CategoryDefined(e) => _ = define!(self.categories, e.category, position),
            DeskEvent::CategoryRetired(e) => retire(&mut self.categories, &e.key),
            DeskEvent::FieldDefined(e) => _ = define!(self.fields, e.field, position),
            DeskEvent::FieldRetired(e) => retire(&mut self.fields, &e.key),
            DeskEvent::CalendarDefined(e) => {
                define!(self.calendars, e.calendar, position);
                // A calendar that this program cannot make sense of (a zone that its database no longer has) leaves no
                // version: its clocks are never due, instead of wrongly due. `apply` refuses such a definition.
                if let Ok(calendar) = Calendar::try_new(&e.calendar) {
                    self.calendar_versions.insert((e.calendar.key.clone(), position), Arc::new(calendar));
                }
            }
            DeskEvent::CalendarRetired(e) => retire(&mut self.calendars, &e.key),
            DeskEvent::PolicyDefined(e) => {
                define!(self.policies, e.policy, position);
                self.policy_versions.insert((e.policy.key.clone(), position), Arc::new(e.policy.clone()));
            }
            DeskEvent::PolicyRetired(e) => retire(&mut self.policies, &e.key),
        }
    }

    /// The policy as the commit at `version` defined it.
    pub fn policy_version(&self, key: &PolicyKey, version: Position) -> Option<&Arc<PolicyDefinition>> {
        self.policy_versions.get(&(key.clone(), version))
    }

    /// The calendar as the commit at `version` defined it.
    pub fn calendar_version(&self, key: &CalendarKey, version: Position) -> Option<&Arc<Calendar>> {
        self.calendar_versions.get(&(key.clone(), version))
    }

    /// The present calendar of this key.
    pub fn calendar(&self, key: &CalendarKey) -> Option<&Arc<Calendar>> {
        self.calendar_version(key, self.calendars.get(key)?.since)
    }

    /// A status that may be chosen, as events carry it.
    pub fn status(&self, key: &StatusKey) -> Option<StatusRef> {
        let status = self.statuses.get(key).filter(|s| !s.retired)?;
        Some(StatusRef { key: key.clone(), category: status.definition.category })
    }

    /// The status that stands for a category when none was named: the one marked as default, else the first by key.
    pub fn default_status(&self, category: StatusCategory) -> Option<StatusRef> {
        let of_category = || self.statuses.values().filter(|s| !s.retired && s.definition.category == category);
        let status = of_category().find(|s| s.definition.default).or_else(|| of_category().next())?;
        Some(StatusRef { key: status.definition.key.clone(), category })
    }

    /// The tracks that have a policy, in the order of their names.
    pub fn tracks(&self) -> Vec<TrackKey> {
        let mut tracks: Vec<_> = self.policies.values().map(|p| p.definition.track.clone()).collect();
        tracks.sort();
        tracks.dedup();
        tracks
    }

    /// The present desk in the form of a desk file. Retired parts are left out.
    pub fn to_config(&self) -> DeskConfig {
        fn live<K, T: Clone>(map: &BTreeMap<K, Defined<T>>) -> Vec<T> {
            map.values().filter(|part| !part.retired).map(|part| part.definition.clone()).collect()
        }
        let mut policies = live(&self.policies);
        policies.sort_by(|a, b| (a.order, &a.key).cmp(&(b.order, &b.key)));
        DeskConfig {
            name: self.name.clone(),
            statuses: live(&self.statuses),
            queues: live(&self.queues),
            teams: live(&self.teams),
            agents: live(&self.agents),
            categories: live(&self.categories),
            fields: live(&self.fields),
            calendars: live(&self.calendars),
            policies,
        }
    }
}
