//! The desk: queues, categories, statuses, custom fields, calendars and SLA policies.

mod apply;

use std::sync::Arc;

use async_graphql::{Context, Error, ID, Object, SimpleObject};
use docket_core::{
    desk::{self, LeavingKind, Parts},
    ids::{CalendarKey, CategoryKey, FieldKey, PolicyKey, Position, QueueKey, StatusKey},
    ticket,
};
use docket_projections::Views;

pub use self::apply::DeskMutations;
use super::{
    Session,
    people::Team,
    relay::{Paging, Slice, connection, global_id, local_id, page_size},
    scalars::{BigInt, DateTime, Duration},
    words::{CustomFieldType, Priority, SlaMetric, StatusCategory},
};
use crate::engine::{Action, Resource};

/// A status of the desk.
#[derive(SimpleObject, Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Global id.
    #[graphql(owned)]
    pub id: ID,
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
        Self { id: global_id("status", key), key: key.to_owned(), name: name.to_owned(), category: category.into() }
    }

    /// The status of a key as this principal reads it, when the desk has or had one that reads so.
    pub fn seen(session: &Session, key: &str) -> Option<Self> {
        let parts = session.views.desk().desk().statuses.values();
        let mut read = parts.map(|part| Self::of(session, &part.definition.key, part.definition.category));
        read.find(|status| status.key == key && session.can(Action::Read, Resource::Desk))
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

/// A queue that tickets wait in.
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

    /// What it holds now. Null for customers, and for agents who may not read its tickets.
    async fn counters(&self, context: &Context<'_>) -> Result<Option<QueueCounters>, Error> {
        let session = Session::of(context)?.at(&self.views);
        if !session.can(Action::Read, Resource::Counters(&self.key)) {
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

/// What tickets are about.
#[derive(Debug, Clone)]
pub struct Category {
    views: Arc<Views>,
    key: CategoryKey,
}

/// What tickets are about.
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
connection!(CategoryConnection, CategoryEdge, Category, "categories");

/// The configuration of the desk.
#[derive(Debug, Clone)]
pub struct Desk {
    pub views: Arc<Views>,
}

impl Desk {
    /// The desk, when the session may see it.
    pub fn seen(session: &Session) -> Option<Self> {
        session.can(Action::Read, Resource::Desk).then(|| Self { views: Arc::clone(&session.views) })
    }

    /// There is one desk.
    pub fn global_id(&self) -> ID {
        ID("desk_desk".to_owned())
    }
}

/// The desk: its configuration, as desk files write it.
#[Object]
impl Desk {
    /// Global id: there is one desk.
    pub async fn id(&self) -> ID {
        self.global_id()
    }

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

/// A custom field.
#[derive(SimpleObject, Debug, Clone)]
pub struct FieldDefinition {
    /// Global id.
    #[graphql(owned)]
    pub id: ID,
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
            id: global_id("field", &field.key),
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
    /// Global id.
    #[graphql(owned)]
    pub id: ID,
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

impl FieldDefinition {
    /// The field, when the session may see it.
    pub fn seen(session: &Session, key: &FieldKey) -> Option<Self> {
        let part = session.views.desk().desk().fields.get(key);
        part.filter(|_| session.can(Action::Read, Resource::Desk)).map(|part| Self::from(&part.definition))
    }
}

impl Calendar {
    /// The calendar, when the session may see it.
    pub fn seen(session: &Session, key: &CalendarKey) -> Option<Self> {
        let part = session.views.desk().desk().calendars.get(key);
        part.filter(|_| session.can(Action::Read, Resource::Desk)).map(|part| Self::of(&part.definition, part.since))
    }

    fn of(calendar: &desk::CalendarDefinition, since: Position) -> Self {
        const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
        let days = DAYS.iter().zip(calendar.hours.days());
        Self {
            id: global_id("calendar", &calendar.key),
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
    /// Global id.
    #[graphql(owned)]
    pub id: ID,
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
    /// The target as a duration; null for working days, which are of different lengths.
    pub duration: Option<Duration>,
}

impl Policy {
    /// The policy, when the session may see it.
    pub fn seen(session: &Session, key: &PolicyKey) -> Option<Self> {
        let part = session.views.desk().desk().policies.get(key);
        part.filter(|_| session.can(Action::Read, Resource::Figures)).map(|part| Self::of(&part.definition, part.since))
    }

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
            id: global_id("policy", &policy.key),
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

/// What the desk is made of.
#[derive(Default)]
pub struct DeskQueries;

#[Object]
impl DeskQueries {
    /// A queue by its id.
    async fn queue(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the queue.")] id: ID,
    ) -> Result<Option<Queue>, Error> {
        let session = Session::of(context)?;
        Ok(local_id::<QueueKey>("queue", &id).and_then(|key| Queue::seen(session, &key)))
    }

    /// The queues of the desk, and those that were retired and still hold unfinished tickets that you may see.
    #[graphql(complexity = "page_size(first, last) * child_complexity")]
    async fn queues(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "So many from the start; 20 when absent, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end; at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<Option<QueueConnection>, Error> {
        let session = Session::of(context)?;
        session.need(Action::Read, Resource::Desk)?;
        let paging = Paging::new(first, after, last, before)?;
        let parts = &session.views.desk().desk().queues;
        let within = session.within();
        let held = |key: &str| session.views.holds_unfinished(&within, LeavingKind::Queue, key);
        let page = desk_page(parts, &paging, held, |key| Queue::seen(session, key))?;
        Ok(Some(page.into()))
    }

    /// What tickets are about: the categories of the desk, and those that were retired and unfinished tickets that you may see
    /// still have.
    #[graphql(complexity = "page_size(first, last) * child_complexity")]
    async fn categories(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "So many from the start; 20 when absent, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end; at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<Option<CategoryConnection>, Error> {
        let session = Session::of(context)?;
        session.need(Action::Read, Resource::Desk)?;
        let paging = Paging::new(first, after, last, before)?;
        let parts = &session.views.desk().desk().categories;
        let within = session.within();
        let held = |key: &str| session.views.holds_unfinished(&within, LeavingKind::Category, key);
        let page = desk_page(parts, &paging, held, |key| Category::seen(session, key))?;
        Ok(Some(page.into()))
    }

    /// The configuration of the desk.
    async fn desk(&self, context: &Context<'_>) -> Result<Option<Desk>, Error> {
        let session = Session::of(context)?;
        session.need(Action::Read, Resource::Desk)?;
        Ok(Desk::seen(session))
    }
}

/// A page of the parts of the desk, by key: what is retired is shown until nothing hangs on it.
pub fn desk_page<K: ToString + Ord, T, N>(
    parts: &Parts<K, T>,
    paging: &Paging,
    held: impl Fn(&str) -> bool,
    node: impl Fn(&K) -> Option<N>,
) -> Result<Slice<N>, Error> {
    let shown = parts.iter().filter(|(key, part)| !part.retired || held(&key.to_string()));
    paging.of_list(shown.filter_map(|(key, _)| Some((key.to_string(), node(key)?))).collect())
}
