//! Service levels of many tickets at once: policies applied anew, and questions of the kind "what if".

use std::{collections::BTreeMap, sync::Arc};

use docket_core::{
    desk::DeskConfig,
    event::{Cause, CauseKind, Commit, Event, EventAddress},
    ids::Position,
    rejection::Rejection,
    sla::{Explanation, StreamEvent, explain},
    ticket::TicketCommand,
    time::Timestamp,
};
use docket_projections::{Comparison, Reapplication, ReportPeriod, Views, WhatIf};
use futures_util::{StreamExt, stream};

use super::{Action, Engine, EngineError, Principal, Request, Resource, TOGETHER, can};

/// Commits read at once.
const CHUNK: usize = 1024;

impl Engine {
    /// Applies the present versions of policies and calendars to every open ticket, each in a commit of its own, and says
    /// what that does. Done tickets never move. An interrupted run is run again.
    ///
    /// # Errors
    /// When the principal may not, or nothing can be stored.
    pub async fn reapply_policies(
        &self,
        principal: &Principal,
        dry_run: bool,
    ) -> Result<(Reapplication, Position), EngineError> {
        if !can(principal, Action::Administer, Resource::Desk) {
            return Err(EngineError::Forbidden);
        }
        let (views, now) = (self.views(), self.now());
        let effect = tokio::task::spawn_blocking(move || {
            let effect = views.reapplication(views.desk().desk(), now);
            (effect, views.position())
        });
        let (effect, mut position) = effect.await.map_err(|error| EngineError::Internal(error.to_string()))?;
        if dry_run {
            return Ok((effect, position));
        }
        let actor = principal.actor();
        let reapply = |ticket| {
            let request = Request { cause: Cause::of(CauseKind::Request), ..Request::default() };
            self.execute(&actor, "reapply", ticket, vec![TicketCommand::ReapplyPolicies], request)
        };
        let mut commands = stream::iter(effect.tickets.iter().copied().map(reapply)).buffered(TOGETHER);
        while let Some(done) = commands.next().await {
            position = position.max(done?.position);
        }
        drop(commands);
        Ok((effect, position))
    }

    /// What service levels would have come to under the policies and calendars of a desk file. Nothing is written.
    ///
    /// # Errors
    /// When the principal may not, the file has problems, another such question is being answered, or the log cannot be
    /// read.
    pub async fn what_if(
        self: &Arc<Self>,
        principal: &Principal,
        config: DeskConfig,
        period: ReportPeriod,
    ) -> Result<Comparison, EngineError> {
        if !can(principal, Action::Read, Resource::Figures) {
            return Err(EngineError::Forbidden);
        }
        // Given to the work itself, which goes on when whoever asked has gone.
        let Ok(turn) = Arc::clone(&self.what_if).try_acquire_owned() else {
            return Err(EngineError::Unavailable("another question of this kind is being answered: ask again".into()));
        };
        let (engine, views) = (Arc::clone(self), self.views());
        let answer = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let mut what_if = supposed(&views, config)
                .map_err(|problem| EngineError::from(Rejection::Invalid { field: "toml", reason: problem }))?;
            let mut after = Position::START;
            while after < views.position() {
                let commits = engine.log.read_all(after, CHUNK)?;
                let Some(last) = commits.last() else { break };
                after = last.position;
                for commit in commits.iter().filter(|commit| commit.position <= views.position()) {
                    what_if.apply(commit);
                }
            }
            Ok(what_if.compare(&views, period))
        });
        answer.await.map_err(|error| EngineError::Internal(error.to_string()))?
    }
}

/// The fold for the policies and calendars of a desk file, checked together with the desk that is there.
///
/// # Errors
/// When the file has neither, or they cannot be.
pub fn supposed(views: &Views, mut config: DeskConfig) -> Result<WhatIf, String> {
    let desk = views.desk().desk();
    if config.policies.is_empty() && config.calendars.is_empty() {
        return Err("there is neither a policy nor a calendar to suppose: nothing would be otherwise".into());
    }
    let present: BTreeMap<_, _> =
        desk.to_config().policies.into_iter().map(|policy| (policy.key, policy.order)).collect();
    config.number_policies();
    if !present.keys().all(|key| config.policies.iter().any(|policy| policy.key == *key)) {
        // The file is about some of them: those keep their places, and new ones come after all.
        let last = present.values().max().copied().unwrap_or(0);
        for policy in &mut config.policies {
            policy.order = present.get(&policy.key).copied().unwrap_or(last + policy.order);
        }
    }
    let (policies, calendars) = (config.policies.clone(), config.calendars.clone());
    // Policies may use calendars that the file leaves as they are, and the other way round.
    let mut whole = desk.to_config();
    replace(&mut whole.policies, &policies, |policy| policy.key.clone());
    replace(&mut whole.calendars, &calendars, |calendar| calendar.key.clone());
    let problems: Vec<String> = whole.problems(desk).iter().map(ToString::to_string).collect();
    if problems.is_empty() { Ok(WhatIf::new(&policies, &calendars, desk)) } else { Err(problems.join("; ")) }
}

fn replace<T: Clone, K: PartialEq>(all: &mut Vec<T>, new: &[T], key: impl Fn(&T) -> K) {
    all.retain(|old| new.iter().all(|new| key(new) != key(old)));
    all.extend_from_slice(new);
}

/// The derivation of every clock of a ticket, from its commits, as seen at `now`: what happened later is left out.
pub fn explanations(commits: &[Arc<Commit>], views: &Views, now: Timestamp) -> Vec<Explanation> {
    let events = commits.iter().flat_map(|commit| {
        (0..).zip(&commit.events).filter_map(|(index, event)| match &event.event {
            Event::Ticket(ticket) if event.occurred_at <= now => Some(StreamEvent {
                address: EventAddress { position: commit.position, index },
                at: event.occurred_at,
                event: ticket.clone(),
            }),
            Event::Ticket(_) | Event::Customer(_) | Event::Desk(_) | Event::Access(_) | Event::Unknown { .. } => None,
        })
    });
    explain(&events.collect::<Vec<_>>(), views.desk().desk(), now)
}
