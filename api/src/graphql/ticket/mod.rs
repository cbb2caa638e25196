//! Tickets in GraphQL: the object itself, and a room for each thing that can be done to one. A room has its acts, its
//! mutations and its entries of the timeline.

pub mod act;
pub mod assignment;
mod clocks;
pub mod conversation;
pub mod details;
pub mod escalation;
mod filter;
mod find;
pub mod opening;
pub mod presence;
pub mod status;

use std::sync::Arc;

use async_graphql::{Context, Error, ID, Object, SimpleObject};
use docket_core::{
    event::Event,
    ids::{FieldKey, TicketId},
    personal::Personal,
    ticket::{self, TicketEvent},
};
use docket_projections::{TicketRow, Views};

use self::{clocks::SlaClock, presence::TicketLooker};
pub use self::{clocks::TimerQueries, find::TicketQueries};
use super::{
    Session,
    desk::{Category, Queue, Status},
    error::{internal, top_level},
    people::{Agent, Customer, Team},
    relay::{Paging, connection, global_id, page_size},
    scalars::{BigInt, DateTime},
    sla::SlaExplanation,
    timeline::{TimelineConnection, entries},
    words::{Channel, Priority},
};
use crate::engine::{Action, explanations, latest};

/// A ticket. What is internal to the desk is null or empty for customers.
#[derive(Debug, Clone)]
pub struct Ticket {
    views: Arc<Views>,
    number: u32,
}

connection!(TicketConnection, TicketEdge, Ticket, "tickets");

/// A ticket's name in another system.
#[derive(SimpleObject, Debug, Clone)]
pub struct ExternalReference {
    /// The other system.
    pub source: String,
    /// The name there.
    pub key: String,
}

/// The value of a custom field.
#[derive(SimpleObject, Debug, Clone)]
pub struct FieldValue {
    /// Key of the field.
    pub field: String,
    /// Its value as text.
    pub value: String,
}

/// A ticket: what somebody asked the desk, and all that came of it. What is internal to the desk is null or empty for
/// customers.
#[Object]
impl Ticket {
    /// Global id.
    pub async fn id(&self) -> Result<ID, Error> {
        Ok(global_id("ticket", self.row()?.id))
    }

    /// Its number: consecutive, the same on every replica and in every rebuild.
    async fn number(&self) -> i32 {
        i32::try_from(self.number).unwrap_or(i32::MAX)
    }

    /// What it is about, in a line.
    async fn subject(&self) -> Result<String, Error> {
        Ok(self.row()?.subject.reveal().clone())
    }

    /// Its status.
    async fn status(&self, context: &Context<'_>) -> Result<Status, Error> {
        let row = self.row()?;
        let key = self.views.tickets().statuses.name(row.status).ok_or_else(internal)?;
        Ok(Status::of(&Session::of(context)?.at(&self.views), key, row.status_category))
    }

    /// Its priority.
    async fn priority(&self) -> Result<Priority, Error> {
        Ok(self.row()?.priority.into())
    }

    /// How it came in.
    async fn channel(&self) -> Result<Channel, Error> {
        Ok(self.row()?.channel.into())
    }

    /// The queue that it waits in.
    async fn queue(&self, context: &Context<'_>) -> Result<Queue, Error> {
        let key = self.views.tickets().queues.name(self.row()?.queue).ok_or_else(internal)?;
        Queue::seen(&Session::of(context)?.at(&self.views), key).ok_or_else(internal)
    }

    /// Who works on it. Null for customers.
    async fn agent(&self, context: &Context<'_>) -> Result<Option<Agent>, Error> {
        let key = self.row()?.agent.and_then(|agent| self.views.tickets().agents.name(agent));
        Ok(key.and_then(|key| Agent::seen(&Session::of(context).ok()?.at(&self.views), key)))
    }

    /// The team that is responsible. Null for customers.
    async fn team(&self, context: &Context<'_>) -> Result<Option<Team>, Error> {
        let key = self.row()?.team.and_then(|team| self.views.tickets().teams.name(team));
        Ok(key.and_then(|key| Team::seen(&Session::of(context).ok()?.at(&self.views), key)))
    }

    /// Its category.
    async fn category(&self, context: &Context<'_>) -> Result<Option<Category>, Error> {
        let key = self.row()?.category.and_then(|category| self.views.tickets().categories.name(category));
        Ok(key.and_then(|key| Category::seen(&Session::of(context).ok()?.at(&self.views), key)))
    }

    /// Who asked.
    async fn requester(&self, context: &Context<'_>) -> Result<Option<Customer>, Error> {
        let session = Session::of(context)?.at(&self.views);
        Ok(self.row()?.requester.and_then(|id| Customer::seen(&session, id)))
    }

    /// Its name in another system.
    async fn external_reference(&self) -> Result<Option<ExternalReference>, Error> {
        let reference = self.row()?.external.as_deref();
        Ok(reference.map(|r| ExternalReference { source: r.source.clone(), key: r.key.clone() }))
    }

    /// Its tags. Empty for customers.
    async fn tags(&self, context: &Context<'_>) -> Result<Vec<String>, Error> {
        if !self.internal(context)? {
            return Ok(vec![]);
        }
        let row = self.row()?;
        Ok(row.tags.iter().filter_map(|tag| self.views.tickets().tags.name(*tag)).cloned().collect())
    }

    /// Its custom fields. Empty for customers.
    async fn fields(&self, context: &Context<'_>) -> Result<Vec<FieldValue>, Error> {
        if !self.internal(context)? {
            return Ok(vec![]);
        }
        let (row, session) = (self.row()?, Session::of(context)?.at(&self.views));
        // What the engine keeps of the ticket is of this moment, unless something has happened to it since.
        if let Some((version, Some(kept))) = session.engine.kept(row.id)
            && version == row.version
        {
            let fields = kept.fields.iter();
            let value = |(field, value): (&FieldKey, &Personal<ticket::FieldValue>)| FieldValue {
                field: field.to_string(),
                value: value.reveal().to_string(),
            };
            return Ok(fields.map(value).collect());
        }
        let history = session.history(row.id).await?;
        let mut fields = std::collections::BTreeMap::new();
        for commit in history.iter() {
            for event in &commit.events {
                if let Event::Ticket(TicketEvent::FieldChanged(e)) = &event.event {
                    match &e.to {
                        Some(value) => fields.insert(e.field.to_string(), value.reveal().to_string()),
                        None => fields.remove(e.field.as_str()),
                    };
                }
            }
        }
        Ok(fields.into_iter().map(|(field, value)| FieldValue { field, value }).collect())
    }

    /// Level of escalation, 0 for none. 0 for customers.
    async fn escalation_level(&self, context: &Context<'_>) -> Result<i32, Error> {
        Ok(if self.internal(context)? { i32::from(self.row()?.escalation_level) } else { 0 })
    }

    /// When it was opened.
    async fn opened_at(&self) -> Result<DateTime, Error> {
        Ok(self.row()?.opened_at.into())
    }

    /// When something last happened to it; for customers, something that they may see.
    async fn updated_at(&self, context: &Context<'_>) -> Result<DateTime, Error> {
        let row = self.row()?;
        Ok(if self.internal(context)? { row.updated_at.into() } else { row.public_at.into() })
    }

    /// When an agent first answered.
    async fn first_response_at(&self) -> Result<Option<DateTime>, Error> {
        Ok(self.row()?.first_response_at.map(DateTime))
    }

    /// When it was last resolved.
    async fn resolved_at(&self) -> Result<Option<DateTime>, Error> {
        Ok(self.row()?.resolved_at.map(DateTime))
    }

    /// When it was closed, while it is closed.
    async fn closed_at(&self) -> Result<Option<DateTime>, Error> {
        Ok(self.row()?.closed_at.map(DateTime))
    }

    /// How often it was reopened.
    async fn reopenings(&self) -> Result<i32, Error> {
        Ok(i32::try_from(self.row()?.reopenings).unwrap_or(i32::MAX))
    }

    /// The earliest deadline that counts. Null for customers.
    async fn due_at(&self, context: &Context<'_>) -> Result<Option<DateTime>, Error> {
        Ok(if self.internal(context)? { self.row()?.due_at.map(DateTime) } else { None })
    }

    /// When it returns to its queue unless the assignee acts. Null for customers.
    async fn pick_up_by(&self, context: &Context<'_>) -> Result<Option<DateTime>, Error> {
        Ok(if self.internal(context)? { self.row()?.pick_up_by.map(DateTime) } else { None })
    }

    /// Its SLA clocks. Empty for customers.
    async fn sla_clocks(&self, context: &Context<'_>) -> Result<Vec<SlaClock>, Error> {
        let row = self.row()?;
        Ok(if self.internal(context)? {
            // A clock that was set back is behind what stands in the ticket.
            let now = Session::of(context)?.engine.now().max(row.updated_at);
            row.clocks.clocks.iter().map(|clock| SlaClock::of(clock, now)).collect()
        } else {
            vec![]
        })
    }

    /// Why each of its deadlines is when it is: the derivation of every SLA clock. Empty for customers.
    #[graphql(complexity = "50 + child_complexity")]
    async fn sla_explanations(&self, context: &Context<'_>) -> Result<Vec<SlaExplanation>, Error> {
        if !self.internal(context)? {
            return Ok(vec![]);
        }
        let session = Session::of(context)?.at(&self.views);
        let (history, now) = (session.history(self.row()?.id).await?, session.engine.now());
        let views = Arc::clone(&self.views);
        let explained = session.engine.beside(move || Ok(explanations(&history, &views, latest(&history, now)))).await;
        Ok(explained.map_err(|error| top_level(&error))?.into_iter().map(SlaExplanation::from).collect())
    }

    /// Agents who follow it. Empty for customers.
    async fn followers(&self, context: &Context<'_>) -> Result<Vec<Agent>, Error> {
        if !self.internal(context)? {
            return Ok(vec![]);
        }
        let session = Session::of(context)?.at(&self.views);
        let keys = self.row()?.followers.iter().filter_map(|agent| self.views.tickets().agents.name(*agent));
        Ok(keys.filter_map(|key| Agent::seen(&session, key)).collect())
    }

    /// Agents who are looking at it now, the first one first: `ticketLook` says so. Empty for customers.
    async fn lookers(&self, context: &Context<'_>) -> Result<Vec<TicketLooker>, Error> {
        if !self.internal(context)? {
            return Ok(vec![]);
        }
        let session = Session::of(context)?.at(&self.views);
        let lookers = session.engine.lookers(&self.row()?.id);
        Ok(lookers.iter().filter_map(|looker| TicketLooker::seen(&session, looker)).collect())
    }

    /// Position of its latest commit: pass it as `expectedVersion`. For customers, of the latest one that they may see
    /// something of.
    async fn version(&self, context: &Context<'_>) -> Result<BigInt, Error> {
        let row = self.row()?;
        Ok(if self.internal(context)? { row.version.into() } else { row.public_version.into() })
    }

    /// Everything that happened to it and that you may see, oldest first.
    #[graphql(complexity = "page_size(first, last) * child_complexity")]
    async fn timeline(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "So many from the start; at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "So many from the end; at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<Option<TimelineConnection>, Error> {
        let paging = Paging::new(first, after, last, before)?;
        let session = Session::of(context)?.at(&self.views);
        let history = session.history(self.row()?.id).await?;
        Ok(Some(paging.of_list(entries(&session, &history).into_iter().collect())?.into()))
    }
}

impl Ticket {
    /// The ticket, when the session may see it: the only way to one, whatever edge leads to it.
    pub fn seen(session: &Session, id: TicketId) -> Option<Self> {
        let row = session.views.tickets().by_id(&id).filter(|row| session.may(Action::Read, row))?;
        Some(Self { views: Arc::clone(&session.views), number: row.number })
    }

    fn row(&self) -> Result<&TicketRow, Error> {
        self.views.tickets().by_number(self.number).ok_or_else(internal)
    }

    fn internal(&self, context: &Context<'_>) -> Result<bool, Error> {
        Ok(Session::of(context)?.at(&self.views).may(Action::ReadInternal, self.row()?))
    }
}
