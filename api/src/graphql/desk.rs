//! The desk in GraphQL: queues, teams, agents, customers, statuses and the rest of the configuration.

use std::sync::Arc;

use async_graphql::{Context, Enum, Error, ID, Object, SimpleObject};
use docket_core::{
    desk::{self, FieldType},
    ids::{AgentKey, CategoryKey, CustomerId, Position, QueueKey, StatusKey, TeamKey},
    ticket,
};
use docket_projections::Views;

use super::{
    Session,
    relay::{connection, global_id},
    scalars::{BigInt, DateTime, Duration},
};
use crate::engine::{Action, Resource};

macro_rules! mirror {
    ($(#[$doc:meta])* $name:ident = $core:ty { $($(#[$variant_doc:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl From<$core> for $name {
            fn from(value: $core) -> Self {
                match value { $(<$core>::$variant => Self::$variant,)* }
            }
        }

        impl From<$name> for $core {
            fn from(value: $name) -> Self {
                match value { $($name::$variant => Self::$variant,)* }
            }
        }
    };
}

mirror! {
    /// How soon a ticket wants to be handled.
    Priority = ticket::Priority {
        /// Can wait.
        Low,
        /// The usual.
        Normal,
        /// Before the usual.
        High,
        /// At once.
        Urgent,
    }
}
mirror! {
    /// The way by which customers and agents speak.
    Channel = ticket::Channel {
        /// E-mail.
        Email,
        /// A web form or portal.
        Web,
        /// Live chat.
        Chat,
        /// Telephone.
        Phone,
        /// A social network or messenger.
        Social,
        /// Another program.
        Api,
    }
}
mirror! {
    /// What a status means, whatever the desk calls it.
    StatusCategory = ticket::StatusCategory {
        /// Nobody has looked at it yet.
        New,
        /// Being worked on.
        Open,
        /// Waiting for somebody outside the desk.
        Waiting,
        /// Put off on purpose.
        Postponed,
        /// A solution was proposed and not yet accepted.
        SolutionProposed,
        /// Solved; a further message reopens it.
        Resolved,
        /// Done with.
        Closed,
    }
}
mirror! {
    /// What an SLA policy measures.
    SlaMetric = ticket::SlaMetric {
        /// From the opening to the first public answer of an agent.
        FirstResponse,
        /// Once answered: from a customer's first unanswered message to the next public answer.
        NextResponse,
        /// From one public answer of an agent to the next, until the ticket is done.
        PeriodicUpdate,
        /// From the opening to the first assignment to an agent.
        PickUp,
        /// While one team is responsible: what teams promise each other.
        TeamHandling,
        /// From the opening to the resolution.
        Resolution,
    }
}

/// A status of the desk.
#[derive(SimpleObject, Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its key. Of a status that has a name for customers, customers read the name of its category instead.
    pub key: String,
    /// What you read: customers may have another name for it than agents.
    pub name: String,
    /// What it means.
    pub category: StatusCategory,
}

impl Status {
    /// The status as this principal reads it.
    pub fn of(session: &Session, key: &StatusKey, category: ticket::StatusCategory) -> Self {
        let desk = session.views.desk().desk();
        let (key, name) = if session.is_customer() {
            desk.status_for_customers(key, category)
        } else {
            let status = desk.statuses.get(key);
            (key.as_str(), status.map_or(key.as_str(), |status| status.definition.name.as_str()))
        };
        Self { key: key.to_owned(), name: name.to_owned(), category: category.into() }
    }
}

// Doors: the only ways to these objects, whatever edge leads to them. `node` uses them too, so what it refuses nobody reaches
// by another way.

impl Queue {
    /// The queue, when the session may see it.
    pub fn seen(session: &Session, key: &QueueKey) -> Option<Self> {
        let there = session.views.desk().desk().queues.contains_key(key);
        let seen = there && session.can(Action::Read, Resource::Desk);
        seen.then(|| Self { views: Arc::clone(&session.views), key: key.clone() })
    }
}

impl Team {
    /// The team, when the session may see it.
    pub fn seen(session: &Session, key: &TeamKey) -> Option<Self> {
        let there = session.views.desk().desk().teams.contains_key(key);
        let seen = there && session.can(Action::Read, Resource::Figures);
        seen.then(|| Self { views: Arc::clone(&session.views), key: key.clone() })
    }
}

impl Agent {
    /// The agent, when the session may see who works at the desk.
    pub fn seen(session: &Session, key: &AgentKey) -> Option<Self> {
        let there = session.views.desk().desk().agents.contains_key(key);
        let seen = there && session.can(Action::Read, Resource::Figures);
        seen.then(|| Self { views: Arc::clone(&session.views), key: key.clone() })
    }
}

impl Customer {
    /// The customer, when the session may see who that is.
    pub fn seen(session: &Session, id: CustomerId) -> Option<Self> {
        let there = session.views.people().customer(&id).is_some();
        let seen = there && session.can(Action::Read, Resource::Customer(id));
        seen.then(|| Self { views: Arc::clone(&session.views), id })
    }
}

impl Category {
    /// The category, when the session may see it.
    pub fn seen(session: &Session, key: &CategoryKey) -> Option<Self> {
        let there = session.views.desk().desk().categories.contains_key(key);
        let seen = there && session.can(Action::Read, Resource::Desk);
        seen.then(|| Self { views: Arc::clone(&session.views), key: key.clone() })
    }
}

/// A queue that tickets wait in.
#[derive(Debug, Clone)]
pub struct Queue {
    views: Arc<Views>,
    key: QueueKey,
}

#[Object]
impl Queue {
    /// Global id.
    pub async fn id(&self) -> ID {
        global_id("queue", &self.key)
    }

    /// Its key in desk files.
    async fn key(&self) -> &str {
        self.key.as_str()
    }

    /// What people read.
    async fn name(&self) -> String {
        self.definition().map_or_else(|| self.key.to_string(), |queue| queue.name.clone())
    }

    /// The team that works on it. Null for customers.
    async fn team(&self, context: &Context<'_>) -> Result<Option<Team>, Error> {
        let session = Session::of(context)?.at(&self.views);
        let key = self.definition().and_then(|queue| queue.team.as_ref());
        Ok(key.and_then(|key| Team::seen(&session, key)))
    }

    /// An assigned ticket returns to the queue when its assignee does nothing for so long. Null for customers.
    async fn return_after(&self, context: &Context<'_>) -> Result<Option<Duration>, Error> {
        let session = Session::of(context)?;
        let definition = self.definition().filter(|_| session.can(Action::Read, Resource::Figures));
        Ok(definition.and_then(|queue| queue.return_after).map(|span| Duration { millis: span.millis() }))
    }

    /// It takes no more tickets. It is listed for as long as it holds unfinished ones.
    async fn retired(&self) -> bool {
        self.views.desk().desk().queues.get(&self.key).is_none_or(|queue| queue.retired)
    }

    /// What it holds now. Null for customers.
    async fn counters(&self, context: &Context<'_>) -> Result<Option<QueueCounters>, Error> {
        let session = Session::of(context)?;
        if !session.can(Action::Read, Resource::Figures) {
            return Ok(None);
        }
        Ok(Some(QueueCounters::of(&self.views, &self.key, session.engine.now())))
    }
}

impl Queue {
    fn definition(&self) -> Option<&desk::QueueDefinition> {
        self.views.desk().desk().queues.get(&self.key).map(|queue| &queue.definition)
    }
}

/// What a queue holds. Every counter is that of one moment.
#[derive(SimpleObject, Debug, Clone, PartialEq, Eq)]
pub struct QueueCounters {
    /// Tickets in all.
    pub total: i32,
    /// Neither resolved nor closed.
    pub unfinished: i32,
    /// Unfinished without an assignee.
    pub unassigned: i32,
    /// Past a deadline.
    pub overdue: i32,
    /// By the category of their status.
    pub by_category: Vec<CategoryCount>,
    /// When the oldest unfinished one was opened.
    pub oldest_unfinished_at: Option<DateTime>,
}

/// Tickets whose status has a category.
#[derive(SimpleObject, Debug, Clone, PartialEq, Eq)]
pub struct CategoryCount {
    /// The category.
    pub category: StatusCategory,
    /// How many.
    pub count: i32,
}

impl QueueCounters {
    /// The counters of a queue.
    pub fn of(views: &Views, key: &QueueKey, now: docket_core::time::Timestamp) -> Self {
        let counters = views.queue_counters(key, now);
        let count = |count: u64| i32::try_from(count).unwrap_or(i32::MAX);
        Self {
            total: count(counters.total),
            unfinished: count(counters.unfinished),
            unassigned: count(counters.unassigned),
            overdue: count(counters.overdue),
            by_category: ticket::StatusCategory::ALL
                .into_iter()
                .zip(counters.by_category)
                .map(|(category, n)| CategoryCount { category: category.into(), count: count(n) })
                .collect(),
            oldest_unfinished_at: counters.oldest_unfinished_at.map(DateTime),
        }
    }
}

/// A team of agents.
#[derive(Debug, Clone)]
pub struct Team {
    views: Arc<Views>,
    key: TeamKey,
}

#[Object]
impl Team {
    /// Global id.
    pub async fn id(&self) -> ID {
        global_id("team", &self.key)
    }

    /// Its key in desk files.
    async fn key(&self) -> &str {
        self.key.as_str()
    }

    /// What people read.
    async fn name(&self) -> String {
        let team = self.views.desk().desk().teams.get(&self.key);
        team.map_or_else(|| self.key.to_string(), |team| team.definition.name.clone())
    }

    /// It takes no more tickets. It is listed for as long as it is responsible for unfinished ones.
    async fn retired(&self) -> bool {
        self.views.desk().desk().teams.get(&self.key).is_none_or(|team| team.retired)
    }
}

/// Somebody who works on tickets.
#[derive(Debug, Clone)]
pub struct Agent {
    views: Arc<Views>,
    key: AgentKey,
}

#[Object]
impl Agent {
    /// Global id.
    pub async fn id(&self) -> ID {
        global_id("agent", &self.key)
    }

    /// The agent's key in desk files.
    async fn key(&self) -> &str {
        self.key.as_str()
    }

    /// What people read.
    async fn name(&self) -> String {
        let agent = self.views.desk().desk().agents.get(&self.key);
        agent.map_or_else(|| self.key.to_string(), |agent| agent.definition.name.clone())
    }

    /// The teams that the agent belongs to.
    async fn teams(&self, context: &Context<'_>) -> Result<Vec<Team>, Error> {
        let session = Session::of(context)?.at(&self.views);
        let agent = self.views.desk().desk().agents.get(&self.key);
        let keys = agent.map_or(&[][..], |agent| &agent.definition.teams);
        Ok(keys.iter().filter_map(|key| Team::seen(&session, key)).collect())
    }

    /// Has left. Listed for as long as unfinished tickets are assigned to the agent.
    async fn retired(&self) -> bool {
        self.views.desk().desk().agents.get(&self.key).is_none_or(|agent| agent.retired)
    }
}

/// Somebody who writes to the desk.
#[derive(Debug, Clone)]
pub struct Customer {
    views: Arc<Views>,
    id: CustomerId,
}

#[Object]
impl Customer {
    /// Global id.
    pub async fn id(&self) -> ID {
        global_id("customer", self.id)
    }

    /// Name, as people read it.
    async fn name(&self) -> String {
        self.views.people().customer(&self.id).map(|row| row.name.reveal().clone()).unwrap_or_default()
    }

    /// E-mail address, when known.
    async fn email(&self) -> Option<String> {
        self.views.people().customer(&self.id)?.email.as_ref().map(|email| email.reveal().clone())
    }
}

/// What tickets are about.
#[derive(Debug, Clone)]
pub struct Category {
    views: Arc<Views>,
    key: CategoryKey,
}

#[Object]
impl Category {
    /// Global id.
    pub async fn id(&self) -> ID {
        global_id("category", &self.key)
    }

    /// Its key in desk files.
    async fn key(&self) -> &str {
        self.key.as_str()
    }

    /// What people read.
    async fn name(&self) -> String {
        let category = self.views.desk().desk().categories.get(&self.key);
        category.map_or_else(|| self.key.to_string(), |category| category.definition.name.clone())
    }

    /// The category above.
    async fn parent(&self, context: &Context<'_>) -> Result<Option<Category>, Error> {
        let session = Session::of(context)?.at(&self.views);
        let category = self.views.desk().desk().categories.get(&self.key);
        let parent = category.and_then(|category| category.definition.parent.as_ref());
        Ok(parent.and_then(|key| Self::seen(&session, key)))
    }

    /// It cannot be chosen any more. It is listed for as long as unfinished tickets have it.
    async fn retired(&self) -> bool {
        self.views.desk().desk().categories.get(&self.key).is_none_or(|category| category.retired)
    }
}

connection!(QueueConnection, QueueEdge, Queue, "queues");
connection!(TeamConnection, TeamEdge, Team, "teams");
connection!(AgentConnection, AgentEdge, Agent, "agents");
connection!(CustomerConnection, CustomerEdge, Customer, "customers");
connection!(CategoryConnection, CategoryEdge, Category, "categories");

/// The configuration of the desk.
#[derive(Debug, Clone)]
pub struct Desk {
    pub views: Arc<Views>,
}

#[Object]
impl Desk {
    /// Its display name.
    async fn name(&self) -> &str {
        &self.views.desk().desk().name
    }

    /// Its statuses, in the usual order of a ticket's life.
    async fn statuses(&self, context: &Context<'_>) -> Result<Vec<Status>, Error> {
        let session = Session::of(context)?;
        let desk = self.views.desk().desk();
        let mut live: Vec<_> = desk.statuses.values().filter(|status| !status.retired).collect();
        live.sort_by_key(|status| (status.definition.category, !status.definition.default));
        let mut statuses: Vec<Status> = Vec::with_capacity(live.len());
        for status in live.iter().map(|s| Status::of(session, &s.definition.key, s.definition.category)) {
            // Several of the desk's own may be one to customers.
            if !statuses.contains(&status) {
                statuses.push(status);
            }
        }
        Ok(statuses)
    }

    /// Its custom fields.
    async fn fields(&self) -> Vec<FieldDefinition> {
        let live = self.views.desk().desk().fields.values().filter(|field| !field.retired);
        live.map(|field| FieldDefinition::from(&field.definition)).collect()
    }

    /// Its calendars.
    async fn calendars(&self) -> Vec<Calendar> {
        let live = self.views.desk().desk().calendars.values().filter(|calendar| !calendar.retired);
        live.map(|calendar| Calendar::of(&calendar.definition, calendar.since)).collect()
    }

    /// Its SLA policies, in the order in which they are tried. Empty for customers: what is promised to them is told by the
    /// desk, and the rest is among its people.
    async fn policies(&self, context: &Context<'_>) -> Result<Vec<Policy>, Error> {
        if !Session::of(context)?.can(Action::Read, Resource::Figures) {
            return Ok(vec![]);
        }
        let mut live: Vec<_> = self.views.desk().desk().policies.values().filter(|p| !p.retired).collect();
        live.sort_by_key(|policy| (policy.definition.order, policy.definition.key.clone()));
        Ok(live.into_iter().map(|policy| Policy::of(&policy.definition, policy.since)).collect())
    }
}

mirror! {
    /// Type of a custom field's values.
    CustomFieldType = FieldType {
        /// Free text.
        Text,
        /// A whole number.
        Integer,
        /// Yes or no.
        Boolean,
        /// A calendar date.
        Date,
        /// An instant.
        Instant,
        /// One of the options.
        Choice,
        /// Any of the options.
        Choices,
    }
}

/// A custom field.
#[derive(SimpleObject, Debug, Clone)]
pub struct FieldDefinition {
    /// Its key.
    pub key: String,
    /// What people read.
    pub name: String,
    /// Type of its values.
    pub field_type: CustomFieldType,
    /// What may be chosen.
    pub options: Vec<String>,
}

impl From<&desk::FieldDefinition> for FieldDefinition {
    fn from(field: &desk::FieldDefinition) -> Self {
        Self {
            key: field.key.to_string(),
            name: field.name.clone(),
            field_type: field.field_type.into(),
            options: field.options.clone(),
        }
    }
}

/// A business calendar.
#[derive(SimpleObject, Debug, Clone)]
pub struct Calendar {
    /// Its key.
    pub key: String,
    /// What people read.
    pub name: String,
    /// IANA name of its time zone.
    pub zone: String,
    /// Days without work, `YYYY-MM-DD`.
    pub holidays: Vec<String>,
    /// Days without work that come back every year, such as `12-25` or `last monday of may`.
    pub yearly: Vec<String>,
    /// Days with hours of their own, such as `2026-12-24 09:00-12:00`.
    pub exceptions: Vec<String>,
    /// From when this version is chosen; null for its definition.
    pub valid_from: Option<DateTime>,
    /// Intervals of the week, such as `Monday 09:00-17:30`.
    pub hours: Vec<String>,
    /// Position of the commit that defined this version.
    pub version: BigInt,
}

impl Calendar {
    fn of(calendar: &desk::CalendarDefinition, since: Position) -> Self {
        const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
        let days = DAYS.iter().zip(calendar.hours.days());
        Self {
            key: calendar.key.to_string(),
            name: calendar.name.clone(),
            zone: calendar.zone.clone(),
            holidays: calendar.holidays.clone(),
            yearly: calendar.yearly.iter().map(ToString::to_string).collect(),
            exceptions: calendar
                .exceptions
                .iter()
                .flat_map(|day| day.hours.iter().map(move |hours| format!("{} {hours}", day.date)))
                .collect(),
            valid_from: calendar.valid_from.map(DateTime),
            hours: days.flat_map(|(day, hours)| hours.iter().map(move |h| format!("{day} {h}"))).collect(),
            version: since.into(),
        }
    }
}

/// An SLA policy.
#[derive(SimpleObject, Debug, Clone)]
pub struct Policy {
    /// Its key.
    pub key: String,
    /// What people read.
    pub name: String,
    /// Policies of one track compete; tracks are measured side by side.
    pub track: String,
    /// Key of its calendar; null counts round the clock.
    pub calendar: Option<String>,
    /// True when it is for every ticket that no other policy of the track matches.
    pub default: bool,
    /// From when this version is chosen; null for its definition.
    pub valid_from: Option<DateTime>,
    /// From when it is not chosen any more; null for never.
    pub valid_until: Option<DateTime>,
    /// Statuses, by key or category, in which clocks stand.
    pub pause: Vec<String>,
    /// The metrics whose clocks stand then.
    pub pause_metrics: Vec<SlaMetric>,
    /// What it promises.
    pub targets: Vec<PolicyTarget>,
    /// Position of the commit that defined this version.
    pub version: BigInt,
}

/// A promise of a policy.
#[derive(SimpleObject, Debug, Clone)]
pub struct PolicyTarget {
    /// What is measured.
    pub metric: SlaMetric,
    /// For tickets of this priority.
    pub priority: Priority,
    /// How long it may take: working time such as `8h`, working days such as `3bd`, or the end of a working day such as
    /// `eod+1`.
    pub target: String,
    /// The same as a duration; null for working days, which are of different lengths.
    pub duration: Option<Duration>,
}

impl Policy {
    fn of(policy: &desk::PolicyDefinition, since: Position) -> Self {
        let targets = ticket::SlaMetric::ALL.into_iter().flat_map(|metric| {
            ticket::Priority::ALL.into_iter().filter_map(move |priority| {
                let target = policy.targets(metric).of(priority)?;
                Some(PolicyTarget {
                    metric: metric.into(),
                    priority: priority.into(),
                    target: target.to_string(),
                    duration: match target {
                        desk::Target::Working(span) => Some(Duration { millis: span.millis() }),
                        desk::Target::BusinessDays(_) | desk::Target::EndOfDay(_) => None,
                    },
                })
            })
        });
        Self {
            key: policy.key.to_string(),
            name: policy.name.clone(),
            track: policy.track.to_string(),
            calendar: policy.calendar.as_ref().map(ToString::to_string),
            default: policy.default,
            valid_from: policy.valid_from.map(DateTime),
            valid_until: policy.valid_until.map(DateTime),
            pause: policy.pause.iter().map(ToString::to_string).collect(),
            pause_metrics: policy.pause_metrics.iter().map(|metric| (*metric).into()).collect(),
            targets: targets.collect(),
            version: since.into(),
        }
    }
}
