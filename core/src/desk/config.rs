//! A desk file, what is wrong with it, and how it differs from the present desk.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use super::{
    Defined, Desk, Parts,
    definition::{
        AgentDefinition, CategoryDefinition, FieldDefinition, FieldType, QueueDefinition, StatusDefinition,
        TeamDefinition,
    },
    event::{
        AgentDefined, AgentRetired, CalendarDefined, CalendarRetired, CategoryDefined, CategoryRetired, DeskEvent,
        DeskNamed, FieldDefined, FieldRetired, PolicyDefined, PolicyRetired, QueueDefined, QueueRetired, StatusDefined,
        StatusRetired, TeamDefined, TeamRetired,
    },
    policy::{Escalation, PolicyDefinition},
};
use crate::{
    calendar::{Calendar, CalendarDefinition, Target},
    ids::{AgentKey, CategoryKey, Key, QueueKey, StatusKey, TeamKey},
    ticket::{SlaMetric, StatusCategory},
    time::Timestamp,
};

/// A whole desk as a desk file gives it. A kind of part that the file does not mention is left as it is; of a kind that it
/// mentions, what it leaves out is retired. An empty list mentions its kind: none of these.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct DeskConfig {
    /// Display name of the desk.
    pub name: String,
    /// Statuses; the categories new, open, resolved and closed need one each.
    #[serde(rename = "status", skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<StatusDefinition>,
    /// Queues; at least one.
    #[serde(rename = "queue", skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<QueueDefinition>,
    /// Teams.
    #[serde(rename = "team", skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<TeamDefinition>,
    /// Agents.
    #[serde(rename = "agent", skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AgentDefinition>,
    /// Categories.
    #[serde(rename = "category", skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<CategoryDefinition>,
    /// Custom fields.
    #[serde(rename = "field", skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldDefinition>,
    /// Calendars.
    #[serde(rename = "calendar", skip_serializing_if = "Vec::is_empty")]
    pub calendars: Vec<CalendarDefinition>,
    /// SLA policies, in the order in which they are tried.
    #[serde(rename = "policy", skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyDefinition>,
    /// Where unfinished tickets go of parts that leave.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<Leaving>,
    /// Kinds that the file mentions with nothing in them.
    #[serde(skip)]
    pub emptied: BTreeSet<&'static str>,
}

/// A desk file as it is written: what it does not mention is told from what it empties.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Option<String>,
    status: Option<Vec<StatusDefinition>>,
    queue: Option<Vec<QueueDefinition>>,
    team: Option<Vec<TeamDefinition>>,
    agent: Option<Vec<AgentDefinition>>,
    category: Option<Vec<CategoryDefinition>>,
    field: Option<Vec<FieldDefinition>>,
    calendar: Option<Vec<CalendarDefinition>>,
    policy: Option<Vec<PolicyDefinition>>,
    leaving: Option<Vec<Leaving>>,
}

impl From<Written> for DeskConfig {
    fn from(written: Written) -> Self {
        let mut emptied = BTreeSet::new();
        macro_rules! taken {
            ($kind:ident) => {{
                if written.$kind.as_ref().is_some_and(|list| list.is_empty()) {
                    emptied.insert(stringify!($kind));
                }
                written.$kind.unwrap_or_default()
            }};
        }
        Self {
            name: taken!(name),
            statuses: taken!(status),
            queues: taken!(queue),
            teams: taken!(team),
            agents: taken!(agent),
            categories: taken!(category),
            fields: taken!(field),
            calendars: taken!(calendar),
            policies: taken!(policy),
            leaving: written.leaving.unwrap_or_default(),
            emptied,
        }
    }
}

/// Kinds of parts that tickets hang on and that may leave a desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeavingKind {
    /// A queue: its tickets are transferred.
    Queue,
    /// An agent: the tickets are assigned to another one, or to nobody.
    Agent,
    /// A team: another one becomes responsible, or none.
    Team,
    /// A category: the tickets get another one, or none.
    Category,
    /// A status: the tickets are brought to another one.
    Status,
}

impl LeavingKind {
    /// Name as it is written and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Agent => "agent",
            Self::Team => "team",
            Self::Category => "category",
            Self::Status => "status",
        }
    }
}

/// Where the unfinished tickets of a part go that the file leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaving {
    /// What it is.
    pub kind: LeavingKind,
    /// Its key.
    pub key: Key,
    /// Key of the part of the same kind that takes its tickets; for an agent, a team or a category, nothing leaves them
    /// without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub move_to: Option<Key>,
}

/// Something in a desk file that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeskProblem {
    /// Where, for example `policy gold`.
    pub place: String,
    /// What is wrong and what to do.
    pub problem: String,
}

impl fmt::Display for DeskProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl Change {
    /// The differences that these events made, seen on the desk before them: what a stored commit of the desk did.
    pub fn of_events<'a>(before: &Desk, events: impl IntoIterator<Item = &'a DeskEvent>) -> Vec<Self> {
        fn verb<K: Ord, T>(parts: &Parts<K, T>, key: &K) -> &'static str {
            if parts.get(key).is_some_and(|part| !part.retired) { "change" } else { "add" }
        }
        let change = |event: &DeskEvent| {
            let (verb, kind, key) = match event {
                DeskEvent::DeskNamed(_) => ("change", "desk", String::new()),
                DeskEvent::QueueDefined(e) => (verb(&before.queues, &e.queue.key), "queue", e.queue.key.to_string()),
                DeskEvent::QueueRetired(e) => ("retire", "queue", e.key.to_string()),
                DeskEvent::TeamDefined(e) => (verb(&before.teams, &e.team.key), "team", e.team.key.to_string()),
                DeskEvent::TeamRetired(e) => ("retire", "team", e.key.to_string()),
                DeskEvent::AgentDefined(e) => (verb(&before.agents, &e.agent.key), "agent", e.agent.key.to_string()),
                DeskEvent::AgentRetired(e) => ("retire", "agent", e.key.to_string()),
                DeskEvent::StatusDefined(e) => {
                    (verb(&before.statuses, &e.status.key), "status", e.status.key.to_string())
                }
                DeskEvent::StatusRetired(e) => ("retire", "status", e.key.to_string()),
                DeskEvent::CategoryDefined(e) => {
                    (verb(&before.categories, &e.category.key), "category", e.category.key.to_string())
                }
                DeskEvent::CategoryRetired(e) => ("retire", "category", e.key.to_string()),
                DeskEvent::FieldDefined(e) => (verb(&before.fields, &e.field.key), "field", e.field.key.to_string()),
                DeskEvent::FieldRetired(e) => ("retire", "field", e.key.to_string()),
                DeskEvent::CalendarDefined(e) => {
                    (verb(&before.calendars, &e.calendar.key), "calendar", e.calendar.key.to_string())
                }
                DeskEvent::CalendarRetired(e) => ("retire", "calendar", e.key.to_string()),
                DeskEvent::PolicyDefined(e) => {
                    (verb(&before.policies, &e.policy.key), "policy", e.policy.key.to_string())
                }
                DeskEvent::PolicyRetired(e) => ("retire", "policy", e.key.to_string()),
            };
            Self { verb, kind, key, event: event.clone() }
        };
        events.into_iter().map(change).collect()
    }
}

/// One difference between a desk file and the present desk.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// `add`, `change` or `retire`.
    pub verb: &'static str,
    /// Kind of part, for example `queue`.
    pub kind: &'static str,
    /// Key of the part; empty for the desk itself.
    pub key: String,
    /// The event that makes it so.
    #[serde(skip)]
    pub event: DeskEvent,
}

impl DeskConfig {
    /// Takes over, for every kind that the file does not mention, what the present desk has.
    pub fn fill_from(&mut self, present: &Desk) {
        let present = present.to_config();
        macro_rules! fill {
            ($($list:ident $kind:ident),*) => {$(
                if self.$list.is_empty() && !self.emptied.contains(stringify!($kind)) {
                    self.$list = present.$list;
                }
            )*};
        }
        fill!(name name, statuses status, queues queue, teams team, agents agent, categories category, fields field);
        fill!(calendars calendar, policies policy);
    }

    /// A desk that can work: the usual statuses and one queue. Somebody who has no desk file starts with it.
    pub fn starter() -> Self {
        let status = |key: &str, name: &str, category| StatusDefinition {
            key: Key::from_name(key).into(),
            name: name.into(),
            customer_name: None,
            category,
            default: true,
        };
        Self {
            name: "Help desk".into(),
            statuses: vec![
                status("new", "New", StatusCategory::New),
                status("open", "Open", StatusCategory::Open),
                status("waiting", "Waiting", StatusCategory::Waiting),
                status("postponed", "Postponed", StatusCategory::Postponed),
                status("proposed", "Solution proposed", StatusCategory::SolutionProposed),
                status("resolved", "Resolved", StatusCategory::Resolved),
                status("closed", "Closed", StatusCategory::Closed),
            ],
            queues: vec![QueueDefinition {
                key: Key::from_name("inbox").into(),
                name: "Inbox".into(),
                team: None,
                return_after: None,
                return_calendar: None,
                default: true,
            }],
            ..Self::default()
        }
    }

    /// Numbers the policies as they stand in the file, so that their order is part of what is compared and stored.
    pub fn number_policies(&mut self) {
        for (order, policy) in (1..).zip(&mut self.policies) {
            policy.order = order;
        }
    }

    /// Everything that is wrong with it, also in view of what the present desk has.
    pub fn problems(&self, present: &Desk) -> Vec<DeskProblem> {
        let mut check = Check { problems: Vec::new() };
        let known = Known {
            queues: check.keys("queue", self.queues.iter().map(|q| (q.key.as_str(), &q.name))),
            teams: check.keys("team", self.teams.iter().map(|t| (t.key.as_str(), &t.name))),
            agents: check.keys("agent", self.agents.iter().map(|a| (a.key.as_str(), &a.name))),
            statuses: check.keys("status", self.statuses.iter().map(|s| (s.key.as_str(), &s.name))),
            categories: check.keys("category", self.categories.iter().map(|c| (c.key.as_str(), &c.name))),
            calendars: check.keys("calendar", self.calendars.iter().map(|c| (c.key.as_str(), &c.name))),
        };
        check.keys("field", self.fields.iter().map(|f| (f.key.as_str(), &f.name)));
        check.keys("policy", self.policies.iter().map(|p| (p.key.as_str(), &p.name)));

        for needed in [StatusCategory::New, StatusCategory::Open, StatusCategory::Resolved, StatusCategory::Closed] {
            if !self.statuses.iter().any(|s| s.category == needed) {
                check.say("status", format!("no status has the category {needed}: add one"));
            }
        }
        for category in StatusCategory::ALL {
            if self.statuses.iter().filter(|s| s.category == category && s.default).count() > 1 {
                check.say("status", format!("several statuses are the default of {category}: keep one"));
            }
        }
        if self.queues.is_empty() {
            check.say("queue", "a desk needs at least one queue".into());
        }
        if self.queues.iter().filter(|q| q.default).count() > 1 {
            check.say("queue", "several queues are the default: keep one".into());
        }
        for queue in &self.queues {
            let place = format!("queue {}", queue.key);
            check.known(&place, "team", queue.team.as_ref().map(|t| t.as_str()), &known.teams);
            check.known(&place, "calendar", queue.return_calendar.as_ref().map(|c| c.as_str()), &known.calendars);
            if queue.return_after.is_some_and(|span| span.millis() <= 0) {
                check.say(&place, "return_after must be longer than nothing".into());
            }
        }
        for agent in &self.agents {
            let place = format!("agent {}", agent.key);
            for team in &agent.teams {
                check.known(&place, "team", Some(team.as_str()), &known.teams);
            }
            // A queue that was retired still holds its finished tickets, and somebody may go on reading them.
            for queue in agent.queues.iter().flat_map(BTreeMap::keys).filter(|q| !present.queues.contains_key(*q)) {
                check.known(&place, "queue", Some(queue.as_str()), &known.queues);
            }
        }
        self.check_categories(&mut check, &known.categories);
        for field in &self.fields {
            let place = format!("field {}", field.key);
            let chooses = matches!(field.field_type, FieldType::Choice | FieldType::Choices);
            if chooses == field.options.is_empty() {
                check.say(&place, "options belong to the types choice and choices, and they need some".into());
            }
            if let Some(before) = present.fields.get(&field.key)
                && before.definition.field_type != field.field_type
            {
                check.say(&place, "the type of a field never changes: give the new field another key".into());
            }
        }
        for calendar in &self.calendars {
            if let Err(problem) = Calendar::try_new(calendar) {
                check.say(&format!("calendar {}", calendar.key), problem.to_string());
            }
        }
        for policy in &self.policies {
            check_policy(&mut check, policy, &known);
            let calendar = self.calendars.iter().find(|calendar| Some(&calendar.key) == policy.calendar.as_ref());
            if let Some(Ok(calendar)) = calendar.map(Calendar::try_new) {
                check_reach(&mut check, policy, &calendar);
            }
        }
        let mut defaults = BTreeSet::new();
        for policy in self.policies.iter().filter(|policy| policy.default) {
            if !defaults.insert(&policy.track) {
                check.say(&format!("policy {}", policy.key), format!("track {} has another default", policy.track));
            }
        }
        check_circles(&mut check, &self.policies, &self.queues);
        if self.emptied.contains("name") || self.name.len() > 200 || self.name.trim().is_empty() != self.name.is_empty()
        {
            check.say("desk", "the name must have 1 to 200 bytes; leave it out to keep the present one".into());
        }
        self.check_leaving(&mut check, &known, present);
        check.problems
    }

    fn check_leaving(&self, check: &mut Check, known: &Known, present: &Desk) {
        let mut seen = BTreeSet::new();
        for Leaving { kind, key, move_to } in &self.leaving {
            let place = format!("leaving {} {key}", kind.name());
            let (stays, was) = match kind {
                LeavingKind::Queue => (&known.queues, present.queues.contains_key(&QueueKey::from(key.clone()))),
                LeavingKind::Agent => (&known.agents, present.agents.contains_key(&AgentKey::from(key.clone()))),
                LeavingKind::Team => (&known.teams, present.teams.contains_key(&TeamKey::from(key.clone()))),
                LeavingKind::Category => {
                    (&known.categories, present.categories.contains_key(&CategoryKey::from(key.clone())))
                }
                LeavingKind::Status => (&known.statuses, present.statuses.contains_key(&StatusKey::from(key.clone()))),
            };
            if !seen.insert((kind, key)) {
                check.say(&place, "it stands twice".into());
            }
            if stays.contains(key.as_str()) {
                check.say(&place, format!("it stays: leave the {} out of the file to let it go", kind.name()));
            } else if !was {
                check.say(&place, format!("the desk has never had such a {}", kind.name()));
            }
            match move_to {
                Some(to) => check.known(&place, "move_to", Some(to.as_str()), stays),
                None if matches!(kind, LeavingKind::Queue | LeavingKind::Status) => {
                    check.say(&place, format!("a ticket always has a {}: say which one as move_to", kind.name()));
                }
                None => {}
            }
        }
    }

    fn check_categories(&self, check: &mut Check, categories: &BTreeSet<String>) {
        let parents: BTreeMap<&str, &str> =
            self.categories.iter().filter_map(|c| Some((c.key.as_str(), c.parent.as_ref()?.as_str()))).collect();
        for category in &self.categories {
            let place = format!("category {}", category.key);
            check.known(&place, "parent", category.parent.as_ref().map(|p| p.as_str()), categories);
            let mut above = category.key.as_str();
            for _ in 0..=parents.len() {
                match parents.get(above) {
                    Some(parent) if *parent == category.key.as_str() => {
                        check.say(&place, "it is above itself: break the circle of parents".into());
                        break;
                    }
                    Some(parent) => above = parent,
                    None => break,
                }
            }
        }
    }

    /// The changes that turn the present desk into this one, in the order in which they are made.
    pub fn changes_from(&self, present: &Desk) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.name != present.name {
            let event = DeskNamed { name: self.name.clone() }.into();
            changes.push(Change { verb: "change", kind: "desk", key: String::new(), event });
        }
        macro_rules! compare {
            ($kind:literal, $wanted:expr, $present:expr, $field:ident, $defined:ident, $retired:ident) => {
                let wanted_keys: BTreeSet<_> = $wanted.iter().map(|part| &part.key).collect();
                for part in &$wanted {
                    let verb = match $present.get(&part.key) {
                        Some(Defined { definition, retired: false, .. }) if definition == part => continue,
                        Some(Defined { retired: false, .. }) => "change",
                        Some(_) | None => "add",
                    };
                    let event = $defined { $field: part.clone() }.into();
                    changes.push(Change { verb, kind: $kind, key: part.key.to_string(), event });
                }
                for (key, part) in &$present {
                    if !part.retired && !wanted_keys.contains(key) {
                        let event = $retired { key: key.clone() }.into();
                        changes.push(Change { verb: "retire", kind: $kind, key: key.to_string(), event });
                    }
                }
            };
        }
        compare!("status", self.statuses, present.statuses, status, StatusDefined, StatusRetired);
        compare!("calendar", self.calendars, present.calendars, calendar, CalendarDefined, CalendarRetired);
        compare!("team", self.teams, present.teams, team, TeamDefined, TeamRetired);
        compare!("agent", self.agents, present.agents, agent, AgentDefined, AgentRetired);
        compare!("queue", self.queues, present.queues, queue, QueueDefined, QueueRetired);
        compare!("category", self.categories, present.categories, category, CategoryDefined, CategoryRetired);
        compare!("field", self.fields, present.fields, field, FieldDefined, FieldRetired);
        compare!("policy", self.policies, present.policies, policy, PolicyDefined, PolicyRetired);
        changes
    }
}

/// The keys that a desk file defines, by kind.
struct Known {
    queues: BTreeSet<String>,
    teams: BTreeSet<String>,
    agents: BTreeSet<String>,
    statuses: BTreeSet<String>,
    categories: BTreeSet<String>,
    calendars: BTreeSet<String>,
}

fn check_policy(check: &mut Check, policy: &PolicyDefinition, known: &Known) {
    let place = format!("policy {}", policy.key);
    check.known(&place, "calendar", policy.calendar.as_ref().map(|c| c.as_str()), &known.calendars);
    check.known(&place, "notify_calendar", policy.notify_calendar.as_ref().map(|c| c.as_str()), &known.calendars);
    check.statuses(&place, "pause", &policy.pause, known);
    for queue in &policy.when.queues {
        check.known(&place, "when.queues", Some(queue.as_str()), &known.queues);
    }
    for category in &policy.when.categories {
        check.known(&place, "when.categories", Some(category.as_str()), &known.categories);
    }
    for team in &policy.when.teams {
        check.known(&place, "when.teams", Some(team.as_str()), &known.teams);
    }
    for metric in SlaMetric::ALL {
        for target in policy.targets(metric).iter() {
            if matches!(target, Target::Working(span) if span.millis() <= 0) || target == Target::BusinessDays(0) {
                check.say(&place, format!("a target of {metric} must be longer than nothing"));
            }
            if target.needs_calendar() && policy.calendar.is_none() {
                check.say(
                    &place,
                    format!("the target {target} of {metric} counts working days: give the policy a calendar"),
                );
            }
        }
    }
    if SlaMetric::ALL.iter().all(|&metric| policy.targets(metric).iter().next().is_none()) {
        check.say(&place, "it has no target: set first_response, resolution or another metric".into());
    }
    if policy.warn_before.is_some_and(|span| span.millis() <= 0) {
        check.say(&place, "warn_before must be longer than nothing".into());
    }
    if let (Some(from), Some(until)) = (policy.valid_from, policy.valid_until)
        && from >= until
    {
        check.say(&place, "it is never valid: valid_until must be later than valid_from".into());
    }
    if policy.default && !policy.when.is_empty() {
        check.say(&place, "the default of a track is for every ticket: leave out its conditions".into());
    }
    if policy.default && (policy.valid_from.is_some() || policy.valid_until.is_some()) {
        check.say(&place, "the default of a track holds always: leave out valid_from and valid_until".into());
    }
    for pair in policy.escalations.windows(2) {
        if pair[1].level <= pair[0].level {
            check.say(&place, "escalations stand in the order of their levels, each level once".into());
        }
    }
    for step in &policy.escalations {
        check_step(check, &place, step, policy, known);
    }
}

/// A target that its calendar does not hold within ten years would never be due.
fn check_reach(check: &mut Check, policy: &PolicyDefinition, calendar: &Calendar) {
    // Any instant does: a calendar's weeks are alike.
    let from = Timestamp::from_millis(1_767_225_600_000);
    for metric in SlaMetric::ALL {
        for target in policy.targets(metric).iter() {
            if calendar.allowed(from, target).and_then(|allowed| calendar.due(from, allowed)).is_none() {
                let problem =
                    format!("the target {target} of {metric} is not reached in its calendar within ten years");
                check.say(&format!("policy {}", policy.key), problem);
            }
        }
    }
}

fn check_step(check: &mut Check, place: &str, step: &Escalation, policy: &PolicyDefinition, known: &Known) {
    let place = format!("{place}, escalation to level {}", step.level);
    if step.level == 0 {
        check.say(&place, "levels of escalation start at 1".into());
    }
    if policy.targets(step.metric).iter().next().is_none() {
        check.say(&place, format!("it belongs to {}, which has no target", step.metric));
    }
    for queue in step.when.queues.iter().chain(&step.move_to) {
        check.known(&place, "queue", Some(queue.as_str()), &known.queues);
    }
    check.statuses(&place, "when.statuses", &step.when.statuses, known);
    check.known(&place, "assign_team", step.assign_team.as_ref().map(|t| t.as_str()), &known.teams);
    for agent in step.follow.iter().chain(&step.notify).chain(&step.assign_agent) {
        check.known(&place, "agent", Some(agent.as_str()), &known.agents);
    }
}

/// Policies may hand a ticket from queue to queue by their escalations, and must not hand it round in a circle.
fn check_circles(check: &mut Check, policies: &[PolicyDefinition], queues: &[QueueDefinition]) {
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for policy in policies {
        for to in policy.escalations.iter().filter_map(|step| step.move_to.as_ref()) {
            // A policy without a condition on queues takes tickets from every one.
            let from_any = queues.iter().map(|queue| &queue.key).filter(|_| policy.when.queues.is_empty());
            for from in policy.when.queues.iter().chain(from_any).filter(|from| *from != to) {
                edges.entry(from.as_str()).or_default().insert(to.as_str());
            }
        }
    }
    for start in edges.keys() {
        let (mut seen, mut open) = (BTreeSet::new(), vec![*start]);
        while let Some(queue) = open.pop() {
            for next in edges.get(queue).into_iter().flatten() {
                if next == start {
                    let problem =
                        format!("escalations move tickets from queue {start} round to it again: break the circle");
                    check.say("policy", problem);
                    return;
                }
                if seen.insert(*next) {
                    open.push(next);
                }
            }
        }
    }
}

struct Check {
    problems: Vec<DeskProblem>,
}

impl Check {
    fn say(&mut self, place: &str, problem: String) {
        self.problems.push(DeskProblem { place: place.to_owned(), problem });
    }

    fn keys<'a>(&mut self, kind: &str, parts: impl Iterator<Item = (&'a str, &'a String)>) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        for (key, name) in parts {
            let place = format!("{kind} {key}");
            if !seen.insert(key.to_owned()) {
                self.say(&place, "the key stands twice".into());
            }
            if name.trim().is_empty() || name.len() > 200 {
                self.say(&place, "the name must have 1 to 200 bytes".into());
            }
        }
        seen
    }

    /// Statuses, by key or by the name of their category.
    fn statuses(&mut self, place: &str, what: &str, keys: &[Key], known: &Known) {
        for key in keys.iter().filter(|key| StatusCategory::ALL.iter().all(|c| c.name() != key.as_str())) {
            self.known(place, what, Some(key.as_str()), &known.statuses);
        }
    }

    fn known(&mut self, place: &str, what: &str, key: Option<&str>, known: &BTreeSet<String>) {
        if let Some(key) = key
            && !known.contains(key)
        {
            self.say(place, format!("{what} {key:?} is not in the file"));
        }
    }
}

impl Desk {
    /// The present desk in the form of a desk file. Retired parts are left out.
    pub fn to_config(&self) -> DeskConfig {
        fn live<K: Ord, T: Clone>(map: &Parts<K, T>) -> Vec<T> {
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
            ..DeskConfig::default()
        }
    }
}
