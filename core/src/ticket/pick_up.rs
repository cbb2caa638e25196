//! What an assignee is held to until the first act: to pick the ticket up in time, or it returns to its queue.

use super::{
    event::{ReturnedToQueue, TicketEvent},
    rule::Context,
    state::Ticket,
    words::{PickUp, StatusCategory},
};
use crate::{
    event::Actor,
    ids::{AgentKey, QueueKey},
    time::Timestamp,
};

/// True when the assignee acts: by the token, or named as the author of what is put on record.
pub(super) fn acts_as_assignee(ticket: &Ticket, author: Option<&AgentKey>, context: &Context<'_>) -> bool {
    let Some(assignee) = &ticket.agent else { return false };
    author == Some(assignee) || matches!(context.actor, Actor::Agent(own) if own == assignee)
}

/// What the assignee is held to after somebody wrote, noted or spoke: an act of the assignee's is the pick-up, anybody
/// else's leaves things as they are.
pub(super) fn pick_up_after_act(ticket: &Ticket, author: Option<&AgentKey>, context: &Context<'_>) -> Option<PickUp> {
    if acts_as_assignee(ticket, author, context) || ticket.agent.is_none() || ticket.picked_up {
        return None;
    }
    ticket.pick_up.or(Some(PickUp::Later))
}

/// What an assignee who has not picked the ticket up is held to in a queue and a status: the time that runs already; a new
/// one when the queue is another, or when it becomes the desk's turn; none yet while it is somebody else's.
pub(super) fn pick_up_in(
    ticket: &Ticket,
    queue: &QueueKey,
    category: StatusCategory,
    context: &Context<'_>,
) -> Option<PickUp> {
    if ticket.agent.is_none() || ticket.picked_up {
        return None;
    }
    match ticket.pick_up {
        Some(PickUp::By(at)) if ticket.queue == *queue && category.is_desks_turn() => Some(PickUp::By(at)),
        Some(_) | None => pick_up_from_now(queue, category, context).or(Some(PickUp::Later)),
    }
}

/// What somebody who is given a ticket now is held to.
pub(super) fn pick_up_from_now(queue: &QueueKey, category: StatusCategory, context: &Context<'_>) -> Option<PickUp> {
    let desk = context.desk;
    let queue = &desk.queues.get(queue)?.definition;
    let span = queue.return_after?;
    if category.is_done() {
        return None;
    }
    if !category.is_desks_turn() {
        return Some(PickUp::Later);
    }
    match &queue.return_calendar {
        None => Some(PickUp::By(context.at.plus_millis(span.millis()))),
        Some(calendar) => desk.open_hours_at(calendar, context.at)?.due(context.at, span).map(PickUp::By),
    }
}

/// The return to the queue, when the time to pick the ticket up ended at this instant and nobody acted.
pub(super) fn return_to_queue(ticket: &Ticket, due_at: Timestamp, context: &Context<'_>) -> Option<TicketEvent> {
    let agent = ticket.agent.as_ref()?;
    let due = ticket.pick_up == Some(PickUp::By(due_at)) && due_at <= context.now;
    let (queue, from, detected_at) = (ticket.queue.clone(), agent.clone(), context.now);
    due.then(|| ReturnedToQueue { queue, from, due_at, detected_at }.into())
}

#[cfg(test)]
mod tests {
    use crate::{
        event::Actor,
        ids::{AgentKey, MessageId},
        personal::Body,
        ticket::{
            CallOutcome, LogCall, Note, PickUp, StatusCategory, Ticket, TicketCommand, TicketEvent, TimerCommand,
            tests::{agent, assign, at, bob, customer_writes, given_a_ticket, reply, status},
        },
    };

    fn by_bob(minute: i64) -> impl Fn(&Ticket) -> bool {
        move |ticket: &Ticket| ticket.pick_up == Some(PickUp::By(at(minute)))
    }

    #[test]
    fn a_ticket_that_is_not_picked_up_returns_to_its_queue() {
        let give_back = || TicketCommand::Timer(TimerCommand::ReturnToQueue { due_at: at(21) });
        let assigned = || given_a_ticket().when_by(&Actor::System, 1, assign("bob"));
        assigned().then_it_is(|ticket| ticket.pick_up == Some(PickUp::By(at(21))));
        assigned().when(20, give_back()).then_nothing_happens();
        let story = assigned().when(25, give_back()).then_it_is(|ticket| ticket.agent.is_none());
        let Ok([TicketEvent::ReturnedToQueue(event)]) = story.answer.as_deref() else { panic!("{:?}", story.answer) };
        assert_eq!((event.due_at, event.detected_at), (at(21), at(25)));
        story.when(26, give_back()).then_nothing_happens();
        let note = Note { id: MessageId::derived(at(0), &["n"]), body: Body::inline("On it") };
        let note = TicketCommand::AddNote { note, agent: Some(agent("bob")) };
        assigned().when(10, note).when(25, give_back()).then_nothing_happens();
        // Who takes a ticket has picked it up.
        given_a_ticket().when_by(&Actor::Agent(agent("bob")), 1, assign("bob")).then_it_is(|t| t.pick_up.is_none());
    }

    #[test]
    fn only_the_assignee_picks_a_ticket_up() {
        let assigned = || given_a_ticket().when_by(&Actor::System, 1, assign("bob"));
        let note = |author: &str| {
            let note = Note { id: MessageId::derived(at(0), &["n"]), body: Body::inline("Hm") };
            TicketCommand::AddNote { note, agent: Some(agent(author)) }
        };
        assigned().when(5, customer_writes()).then_it_is(by_bob(21));
        assigned().when(5, reply()).then_it_is(by_bob(21));
        assigned().when(5, note("ann")).then_it_is(by_bob(21));
        assigned().when(5, status(StatusCategory::Open)).then_it_is(by_bob(21));
        assigned().when_by(&bob(), 5, note("bob")).then_it_is(|ticket| ticket.pick_up.is_none() && ticket.picked_up);
        assigned().when_by(&bob(), 5, status(StatusCategory::Open)).then_it_is(|ticket| ticket.pick_up.is_none());
        assigned().when(5, status(StatusCategory::Resolved)).then_it_is(|ticket| ticket.pick_up == Some(PickUp::Later));
        // What bob picked up stays so, whoever acts after it.
        let picked_up = assigned().when_by(&bob(), 5, note("bob"));
        picked_up
            .when(6, reply())
            .when(7, status(StatusCategory::Waiting))
            .then_it_is(|ticket| ticket.pick_up.is_none());
    }

    #[test]
    fn the_time_to_pick_up_runs_while_it_is_the_desks_turn() {
        let waiting =
            given_a_ticket().when(1, status(StatusCategory::Waiting)).when_by(&Actor::System, 2, assign("bob"));
        let waiting = waiting.then_it_is(|ticket| ticket.pick_up == Some(PickUp::Later));
        let written = waiting.when(100, customer_writes()).then_it_is(by_bob(120));
        // Somebody else puts it off: the time stands, and begins anew when it is the desk's turn again.
        let put_off = written.when(105, status(StatusCategory::Waiting));
        let put_off = put_off.then_it_is(|ticket| ticket.pick_up == Some(PickUp::Later));
        put_off.when(110, status(StatusCategory::Open)).then_it_is(by_bob(130));
    }

    #[test]
    fn a_transfer_keeps_the_assignee_and_sets_the_time_of_the_target_queue() {
        let to = |queue: &str| TicketCommand::Transfer(queue.parse().unwrap());
        let assigned = || given_a_ticket().when_by(&Actor::System, 1, assign("bob"));
        // The queue vip wants nothing back, inbox within twenty minutes.
        let moved = assigned()
            .when(5, to("vip"))
            .then_it_is(|ticket| ticket.agent == Some(agent("bob")) && ticket.pick_up == Some(PickUp::Later));
        moved.when(30, to("inbox")).then_it_is(by_bob(50));
        let picked_up = assigned().when_by(&bob(), 3, reply()).when(5, to("vip")).when(6, to("inbox"));
        picked_up.then_it_is(|ticket| ticket.pick_up.is_none());
    }

    #[test]
    fn somebody_elses_end_of_a_ticket_is_no_pick_up_and_the_assignees_call_is_one() {
        let assigned = || given_a_ticket().when_by(&Actor::System, 1, assign("bob"));
        for end in [StatusCategory::Resolved, StatusCategory::Closed] {
            let ended = assigned().when(5, status(end)).then_it_is(|ticket| ticket.pick_up == Some(PickUp::Later));
            ended.when(50, customer_writes()).then_it_is(by_bob(70));
            let by_himself = assigned().when_by(&bob(), 5, status(end)).when(50, customer_writes());
            by_himself.then_it_is(|ticket| ticket.pick_up.is_none());
        }
        let call = |agent: Option<AgentKey>| {
            TicketCommand::LogCall(LogCall {
                id: MessageId::derived(at(0), &["c"]),
                from: None,
                outcome: if agent.is_some() { CallOutcome::Answered } else { CallOutcome::Missed },
                duration_s: 60,
                agent,
                summary: None,
            })
        };
        for category in [StatusCategory::Waiting, StatusCategory::Resolved] {
            let waiting = || assigned().when(5, status(category));
            waiting().when_by(&bob(), 10, call(Some(agent("bob")))).then_it_is(|ticket| ticket.picked_up);
            waiting().when(10, call(Some(agent("ann")))).then_it_is(by_bob(30));
            waiting().when(10, call(None)).then_it_is(by_bob(30));
        }
    }
}
