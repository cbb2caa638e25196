//! Which policy a ticket falls under.

use std::collections::BTreeSet;

use super::Clocks;
use crate::{
    calendar::tzdb_version,
    desk::{Desk, PolicyDefinition, PolicyFilter},
    ids::{CategoryKey, Position, QueueKey, TeamKey, TrackKey},
    ticket::{Channel, Priority, SlaApplied, SlaReason},
    time::Timestamp,
};

/// What the choice of a policy looks at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The ticket's queue.
    pub queue: &'a QueueKey,
    /// Its priority.
    pub priority: Priority,
    /// Its category.
    pub category: Option<&'a CategoryKey>,
    /// The channel of its opening.
    pub channel: Channel,
    /// The team that is responsible.
    pub team: Option<&'a TeamKey>,
    /// Its tags.
    pub tags: &'a BTreeSet<String>,
    /// An agent opened it on somebody's behalf.
    pub by_agent: bool,
}

impl Subject<'_> {
    /// The conditions of the filter that the ticket meets, in words; `None` when it does not meet one of them.
    fn meets(&self, filter: &PolicyFilter) -> Option<Vec<String>> {
        let mut met = Vec::new();
        let mut condition = |given: bool, word: Option<String>| match (given, word) {
            (false, _) => true,
            (true, Some(word)) => {
                met.push(word);
                true
            }
            (true, None) => false,
        };
        let all = condition(
            !filter.queues.is_empty(),
            filter.queues.contains(self.queue).then(|| format!("queue {}", self.queue)),
        ) && condition(
            !filter.priorities.is_empty(),
            filter.priorities.contains(&self.priority).then(|| format!("priority {}", self.priority)),
        ) && condition(
            !filter.categories.is_empty(),
            self.category.filter(|c| filter.categories.contains(c)).map(|c| format!("category {c}")),
        ) && condition(
            !filter.channels.is_empty(),
            filter.channels.contains(&self.channel).then(|| format!("channel {}", self.channel)),
        ) && condition(
            !filter.teams.is_empty(),
            self.team.filter(|team| filter.teams.contains(team)).map(|team| format!("team {team}")),
        ) && condition(
            !filter.tags.is_empty(),
            filter.tags.iter().find(|tag| self.tags.contains(*tag)).map(|tag| format!("tag {tag}")),
        ) && condition(
            filter.by_agent.is_some(),
            (filter.by_agent == Some(self.by_agent))
                .then(|| if self.by_agent { "opened by an agent" } else { "not opened by an agent" }.to_owned()),
        );
        all.then_some(met)
    }
}

/// The policy of the track that a ticket falls under at an instant: the first, in the desk's order, that is valid and
/// whose conditions it meets; else the track's default. With its version and the conditions that were met, in words.
pub fn choose_policy<'a>(
    desk: &'a Desk,
    track: &TrackKey,
    ticket: Subject<'_>,
    at: Timestamp,
) -> Option<(Position, &'a PolicyDefinition, Vec<String>)> {
    desk.policies
        .keys()
        .filter_map(|key| desk.policy_at(key, at))
        .filter(|(_, policy)| policy.track == *track)
        .filter_map(|(version, policy)| Some((version, policy.as_ref(), ticket.meets(&policy.when)?)))
        .min_by_key(|(_, policy, _)| (policy.default, policy.order, &policy.key))
}

/// The policies to apply to a ticket, one a track, where they differ from those that `clocks` has pinned.
///
/// A policy that is pinned already stays with its pinned version: an edited policy reaches a ticket only when the choice
/// leads to another policy, or when the reason is [`SlaReason::Reapplied`].
pub fn policies_to_apply(
    desk: &Desk,
    ticket: Subject<'_>,
    clocks: &Clocks,
    at: Timestamp,
    reason: SlaReason,
) -> Vec<SlaApplied> {
    let mut applied = Vec::new();
    for track in &desk.tracks() {
        let pin = clocks.pins.iter().find(|pin| pin.track == *track);
        let pinned = pin.and_then(|pin| pin.policy.as_ref());
        let chosen = choose_policy(desk, track, ticket, at);
        let same_policy = chosen.as_ref().map(|(_, policy, _)| &policy.key) == pinned;
        if same_policy && (reason != SlaReason::Reapplied || pinned.is_none()) {
            continue;
        }
        let calendar = chosen.as_ref().and_then(|(_, policy, _)| policy.calendar.clone());
        let next = SlaApplied {
            policy_version: chosen.as_ref().map_or(Position::START, |(version, ..)| *version),
            policy: chosen.as_ref().map(|(_, policy, _)| policy.key.clone()),
            calendar_version: calendar.as_ref().and_then(|key| desk.calendar_at(key, at)).unwrap_or(Position::START),
            calendar,
            tzdb: tzdb_version().to_owned(),
            track: track.clone(),
            reason,
            matched: chosen.map(|(_, _, met)| met).unwrap_or_default(),
        };
        if !pin.is_some_and(|pin| pin.is_of(&next)) {
            applied.push(next);
        }
    }
    applied
}
