//! What comes due of a ticket's clocks.

use super::{Clock, Clocks, clock::WorkingTime};
use crate::{
    calendar::Span,
    desk::{Desk, Escalation, PolicyDefinition, names_status},
    ticket::TimerCommand,
    time::Timestamp,
};

impl Clocks {
    /// What will come due and has not been acted upon.
    pub fn timers(&self, desk: &Desk) -> Vec<(Timestamp, TimerCommand)> {
        let mut timers = Vec::new();
        for pin in &self.pins {
            let Some(policy) = pin.policy(desk) else { continue };
            let hours = pin.hours(desk);
            for clock in self.clocks.iter().filter(|clock| clock.is_active() && clock.track == pin.track) {
                self.timers_of(clock, policy, hours, desk, &mut timers);
            }
        }
        timers
    }

    fn timers_of(
        &self,
        clock: &Clock,
        policy: &PolicyDefinition,
        hours: WorkingTime<'_>,
        desk: &Desk,
        timers: &mut Vec<(Timestamp, TimerCommand)>,
    ) {
        let Some(due_at) = clock.due_at else { return };
        let (track, metric) = (|| clock.track.clone(), clock.metric);
        // Nobody is told of a deadline before it is one, nor while nobody is there to be told.
        let tells_from = clock.tells_from();
        let told = |at: Timestamp| {
            let at = at.max(tells_from);
            let calendar = policy.notify_calendar.as_ref().and_then(|key| desk.open_hours_at(key, at));
            calendar.map_or(Some(at), |calendar| calendar.open_from(at))
        };
        if let Some(before) = policy.warn_before
            && !clock.warned()
            && !clock.breached()
            && let Some(at) = told(due_at.plus_millis(-before.millis()))
            && at < due_at
        {
            timers.push((at, TimerCommand::Warn { track: track(), metric, due_at }));
        }
        if !clock.breached() {
            timers.push((due_at, TimerCommand::Breach { track: track(), metric, due_at }));
        }
        let mut not_before = tells_from;
        for step in policy.escalations.iter().filter(|step| step.metric == metric && step.level > clock.level()) {
            if !self.holds(step) {
                continue;
            }
            let at = if step.working_time {
                let amount = clock.allowed.map(|allowed| allowed.millis().saturating_add(step.after.millis()));
                amount.and_then(|amount| clock.reaches(Span::from_millis(amount.max(0)), hours))
            } else {
                Some(due_at.plus_millis(step.after.millis()))
            };
            let Some(at) = at.and_then(told) else { continue };
            not_before = not_before.max(at);
            timers.push((not_before, TimerCommand::Escalate { track: track(), metric, due_at, level: step.level }));
        }
    }

    fn holds(&self, step: &Escalation) -> bool {
        let when = &step.when;
        (when.priorities.is_empty() || when.priorities.contains(&self.priority()))
            && (when.queues.is_empty() || self.queue().is_some_and(|queue| when.queues.contains(queue)))
            && (when.statuses.is_empty() || self.status().is_some_and(|status| names_status(&when.statuses, status)))
            && when.assigned.is_none_or(|assigned| assigned == self.assigned())
    }
}
