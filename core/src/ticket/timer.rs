//! What came due is looked at again: late is fine, twice is harmless.

use super::{
    escalation::take_step,
    event::{EscalationStep, SlaBreached, SlaWarned, TicketEvent},
    pick_up::return_to_queue,
    reference::Reference,
    rule::{Context, Right, Rule, in_any_status},
    state::Ticket,
    words::{SlaMetric, StatusCategory, TimerCommand},
};
use crate::{ids::TrackKey, rejection::Rejection, time::Timestamp};

impl Rule for TimerCommand {
    const COMMUTES: bool = true;
    const RIGHT: Right = Right::Work;
    // Of what is finished it makes nothing.
    const ALLOWED_IN: fn(StatusCategory) -> bool = in_any_status;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        vec![]
    }

    /// Nothing, when the thing is not due any more or was done already.
    fn decide(&self, ticket: &Ticket, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        let detected_at = context.now;
        let instance =
            |track: &TrackKey, metric: SlaMetric| ticket.clocks.active(track, metric).map_or(1, |clock| clock.instance);
        Ok(match self {
            Self::ReturnToQueue { due_at } => return_to_queue(ticket, *due_at, context).into_iter().collect(),
            Self::Warn { track, metric, due_at } => {
                let event = |_| {
                    let (instance, track) = (instance(track, *metric), track.clone());
                    SlaWarned { track, metric: *metric, instance, due_at: *due_at, detected_at }.into()
                };
                still_due(self, ticket, context).map(event).into_iter().collect()
            }
            Self::Breach { track, metric, due_at } => {
                let event = |_| {
                    let (instance, track) = (instance(track, *metric), track.clone());
                    SlaBreached { track, metric: *metric, instance, due_at: *due_at, detected_at }.into()
                };
                still_due(self, ticket, context).map(event).into_iter().collect()
            }
            Self::Escalate { track, metric, due_at, level } => {
                let step = |step_at| {
                    let (metric, level, due_at) = (*metric, *level, *due_at);
                    let (instance, track) = (instance(track, metric), track.clone());
                    EscalationStep { track, metric, instance, level, due_at, step_at, detected_at }
                };
                still_due(self, ticket, context).map_or_else(Vec::new, |at| take_step(ticket, step(at), context))
            }
        })
    }
}

/// When a timer of the ticket's clocks came due, if it still is.
fn still_due(timer: &TimerCommand, ticket: &Ticket, context: &Context<'_>) -> Option<Timestamp> {
    let timers = ticket.clocks.timers(context.desk);
    timers.into_iter().find(|(at, wanted)| *at <= context.now && wanted == timer).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use crate::ticket::{
        SlaMetric, StatusCategory, TicketCommand, TicketEvent, TimerCommand,
        tests::{at, given_a_ticket, status, track},
    };

    #[test]
    fn a_breach_and_an_escalation_are_written_once_and_keep_due_and_detected_apart() {
        let breach = || {
            let (track, metric, due_at) = (track(), SlaMetric::Resolution, at(480));
            TicketCommand::Timer(TimerCommand::Breach { track, metric, due_at })
        };
        let escalate = || {
            let (track, metric, due_at) = (track(), SlaMetric::Resolution, at(480));
            TicketCommand::Timer(TimerCommand::Escalate { track, metric, due_at, level: 1 })
        };
        given_a_ticket().when(479, breach()).then_nothing_happens();
        let story = given_a_ticket().when(700, breach());
        let Ok([TicketEvent::SlaBreached(event)]) = story.answer.as_deref() else { panic!("{:?}", story.answer) };
        assert_eq!((event.due_at, event.detected_at), (at(480), at(700)));
        story
            .when(701, breach())
            .then_nothing_happens()
            .when(702, escalate())
            .then_it_is(|ticket| ticket.escalation_level == 1)
            .when(703, escalate())
            .then_nothing_happens();
        // What was resolved meanwhile is not breached any more.
        given_a_ticket().when(400, status(StatusCategory::Resolved)).when(700, breach()).then_nothing_happens();
    }
}
