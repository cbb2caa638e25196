//! A ticket comes to be.

use async_graphql::{Context, Error, ID, InputObject, Object, SimpleObject};
use docket_core::{
    ids::{CategoryKey, CustomerId, QueueKey},
    personal::Personal,
    ticket::{self as core, Opening, TicketCommand},
};

use super::act::ticket_payload;
use crate::{
    engine::EngineError,
    graphql::{
        asked::{Asked, key_of},
        timeline::{Entry, TimelineEntry, entry_fields},
        words::{Channel, Priority},
    },
};

/// A new ticket.
#[derive(InputObject)]
pub struct TicketOpenInput {
    /// What it is about, in a line of at most 500 bytes.
    subject: String,
    /// The first message, in the customer's words; at most 1 MiB.
    body: Option<String>,
    /// How it came in; `API` when absent.
    channel: Option<Channel>,
    /// Id or key of the queue; the desk's default when absent.
    queue: Option<ID>,
    /// Its priority; `NORMAL` when absent.
    priority: Option<Priority>,
    /// Id or key of its category.
    category: Option<ID>,
    /// Id of the customer who asks. Customers ask for themselves and leave it out.
    requester: Option<ID>,
    /// An idempotency key of at most 256 bytes: the same value by the same token is carried out once, for ever.
    client_mutation_id: Option<String>,
}

ticket_payload!("ticketOpen": TicketOpenPayload);

/// Tickets come to be.
#[derive(Default)]
pub struct OpeningMutations;

#[Object]
impl OpeningMutations {
    /// Opens a ticket.
    async fn ticket_open(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The ticket.")] input: TicketOpenInput,
    ) -> Result<Option<TicketOpenPayload>, Error> {
        let asked = Asked::of(context)?;
        let session = asked.session;
        let work = async {
            let requester = match session.principal.customer() {
                Some(own) => match key_of::<CustomerId>("customer", "requester", input.requester.as_ref())? {
                    Some(other) if other != own => {
                        return Err(EngineError::Forbidden {
                            needs: "ask for another customer: leave `requester` out".into(),
                        });
                    }
                    Some(_) | None => Some(own),
                },
                None => key_of("customer", "requester", input.requester.as_ref())?,
            };
            let channel = input.channel.map_or(core::Channel::Api, Into::into);
            let by_agent = session.principal.customer().is_none() && input.body.is_none();
            let opening = TicketCommand::Open(Opening {
                channel,
                subject: Personal::new(input.subject),
                queue: key_of::<QueueKey>("queue", "queue", input.queue.as_ref())?,
                priority: input.priority.map(Into::into).unwrap_or_default(),
                category: key_of::<CategoryKey>("category", "category", input.category.as_ref())?,
                requester,
                external: None,
                by_agent,
            });
            let mut first = Vec::new();
            if let Some(text) = input.body {
                let message = asked.message(channel, text).await?;
                first.push(TicketCommand::Receive { message, from: requester });
            }
            session.engine.open(&session.principal, opening, first, asked.request(None)?).await
        };
        Ok(Some(asked.outcome(work).await?.into()))
    }
}

/// The ticket was opened.
#[derive(SimpleObject, Debug, Clone)]
pub struct OpeningEntry {
    #[graphql(flatten)]
    pub entry: Entry,
    /// The way by which the ticket came in.
    channel: Channel,
    /// What the ticket was about at its opening.
    subject: String,
}
entry_fields!(OpeningEntry);

/// The entry of an opening.
pub fn opened(entry: Entry, event: &core::TicketOpened) -> TimelineEntry {
    OpeningEntry { entry, channel: event.channel.into(), subject: event.subject.reveal().clone() }.into()
}
