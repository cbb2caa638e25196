//! What an event did to a ticket: the one thing that every view of tickets is fed with.
//!
//! A view that follows tickets implements [`OfChanges`] and is named in `Views::apply`; it never looks the ticket up again
//! and never reads an event's effect a second time.

use docket_core::{
    ids::{CustomerId, Position},
    ticket::{Channel, Priority, StatusCategory, TicketEvent},
    time::Timestamp,
};

use super::TicketRow;

/// How a ticket stands, as far as views tell tickets apart: small enough to be kept from before an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) version: Position,
    pub(crate) status: u32,
    pub(crate) status_category: StatusCategory,
    pub(crate) priority: Priority,
    pub(crate) channel: Channel,
    pub(crate) queue: u32,
    pub(crate) agent: Option<u32>,
    pub(crate) team: Option<u32>,
    pub(crate) category: Option<u32>,
    pub(crate) requester: Option<CustomerId>,
    pub(crate) due_at: Option<Timestamp>,
    pub(crate) next_timer: Option<Timestamp>,
    pub(crate) first_response_at: Option<Timestamp>,
}

impl Standing {
    pub(crate) const fn of(row: &TicketRow) -> Self {
        Self {
            version: row.version,
            status: row.status,
            status_category: row.status_category,
            priority: row.priority,
            channel: row.channel,
            queue: row.queue,
            agent: row.agent,
            team: row.team,
            category: row.category,
            requester: row.requester,
            due_at: row.due_at,
            next_timer: row.next_timer,
            first_response_at: row.first_response_at,
        }
    }
}

/// An event, how its ticket stood before it and what the ticket is after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) event: &'a TicketEvent,
    /// When it happened.
    pub(crate) at: Timestamp,
    /// `None` for a ticket that the event opened.
    pub(crate) before: Option<Standing>,
    pub(crate) after: &'a TicketRow,
}

/// A view of tickets, folded from their changes.
pub(crate) trait OfChanges {
    /// Folds one change.
    fn take(&mut self, change: &Change<'_>);
}

#[cfg(test)]
pub(super) mod tests {
    use docket_core::{
        desk::Desk,
        ids::{QueueKey, StatusKey, TicketId},
        personal::Personal,
        ticket::{PriorityChanged, StatusRef, TicketOpened},
    };

    use super::{super::TicketsView, *};

    const AT: Timestamp = Timestamp::from_millis(0);

    /// A ticket like any other.
    pub(in crate::tickets) fn opened() -> TicketEvent {
        TicketEvent::from(TicketOpened {
            channel: Channel::Web,
            subject: Personal::new("Help".into()),
            queue: QueueKey::try_new("inbox").unwrap(),
            status: StatusRef { key: StatusKey::try_new("new").unwrap(), category: StatusCategory::New },
            priority: Priority::Normal,
            category: None,
            requester: None,
            external: None,
            by_agent: false,
        })
    }

    fn raised() -> TicketEvent {
        TicketEvent::from(PriorityChanged { from: Priority::Normal, to: Priority::Urgent })
    }

    #[test]
    fn an_opening_has_nothing_before_it_and_a_later_event_what_the_ticket_was() {
        let (mut view, desk) = (TicketsView::default(), Desk::default());
        let id = TicketId::derived(AT, &["1"]);
        let opened = opened();
        let change = view.apply(id, &opened, AT, Position::new(1), &desk).unwrap();
        assert_eq!((change.before, change.after.number), (None, 1));
        let as_opened = Standing::of(change.after);

        let raised = raised();
        let change = view.apply(id, &raised, AT, Position::new(2), &desk).unwrap();
        assert_eq!(change.before, Some(as_opened));
        assert_eq!((change.after.priority, change.after.version), (Priority::Urgent, Position::new(2)));
    }

    #[test]
    fn an_event_of_a_ticket_that_was_never_opened_is_no_change() {
        let mut view = TicketsView::default();
        let nobody = TicketId::derived(AT, &["nobody"]);
        assert!(view.apply(nobody, &raised(), AT, Position::new(1), &Desk::default()).is_none());
    }
}
