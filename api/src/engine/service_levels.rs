//! Service levels of many tickets at once: policies applied anew, and questions of the kind "what if".

use std::{collections::BTreeMap, sync::Arc};

use docket_core::{
    desk::DeskConfig,
    event::{Commit, Event, EventAddress},
    ids::{Position, StreamId, TicketId},
    rejection::Rejection,
    request::{ReapplicationBegun, RequestEvent},
    sla::{Explanation, StreamEvent, explain},
    ticket::TicketCommand,
    time::Timestamp,
};
use docket_projections::{Comparison, Reapplication, ReportPeriod, Views, WhatIf};
use docket_store::{Expected, Page};
use futures_util::{StreamExt, stream};

use super::{
    Acting, Action, Engine, EngineError, IdempotencyKey, Principal, Request, Resource, TOGETHER,
    keys::{commit_id, further_id},
    must,
};

/// Policies were applied anew.
#[derive(Debug)]
pub struct Reapplied {
    /// What it did, or would do; none when a request is repeated, as the answer was about the moment of the first one.
    pub effect: Option<Reapplication>,
    /// Numbers of tickets that could not be worked on and were left as they are.
    pub set_aside: Vec<u32>,
    /// Position of the last thing that was stored.
    pub position: Position,
}

impl Engine {
    /// Applies the present versions of policies and calendars to every open ticket, each in a commit of its own, and says
    /// what that does. Done tickets never move. An interrupted run is run again: with the same key it finishes what was
    /// begun, unless the desk has changed since, and repeats nothing.
    ///
    /// # Errors
    /// When the principal may not, or nothing can be stored.
    pub async fn reapply_policies(
        &self,
        principal: &Principal,
        dry_run: bool,
        key: Option<IdempotencyKey>,
    ) -> Result<Reapplied, EngineError> {
        must(principal, &self.views(), Action::Administer, Resource::Desk)?;
        let (acting, key) = (Acting::from(principal), key.filter(|_| !dry_run));
        let earlier = self.first_answer(&acting, key.as_ref()).await?;
        let (views, now) = (self.views(), self.now());
        let of_now = Arc::clone(&views);
        let effect = self.in_turn(move |_| Ok(of_now.reapplication(of_now.desk().desk(), now))).await?;
        if dry_run {
            return Ok(Reapplied { effect: Some(effect), set_aside: vec![], position: views.position() });
        }
        let desk_version = views.desk().version();
        let mut position = views.position();
        let repeated = earlier.is_some();
        if let Some(earlier) = earlier {
            position = earlier.position;
            if begun_with(&earlier) != Some(desk_version) {
                return Ok(Reapplied { effect: None, set_aside: vec![], position });
            }
        } else if key.is_some() {
            let event = RequestEvent::from(ReapplicationBegun { desk_version });
            let begun =
                self.append(&acting, key.as_ref(), StreamId::Requests, Expected::Any, vec![event.into()]).await?;
            position = begun.position;
        }
        let first = commit_id(&acting, key.as_ref());
        let reapply = |ticket: TicketId| {
            let further = key.as_ref().map(|_| further_id(first, &ticket.to_string()));
            let request = Request { idempotency_key: key.clone(), ..Request::default() };
            let (acting, commands) = (&acting, vec![TicketCommand::ReapplyPolicies]);
            async move { (ticket, self.execute(acting, ticket, commands, request, further).await) }
        };
        let mut commands = stream::iter(effect.tickets.iter().copied().map(reapply)).buffered(TOGETHER);
        let mut aside = Vec::new();
        while let Some((ticket, done)) = commands.next().await {
            match self.or_aside(ticket, done)? {
                Some(done) => position = position.max(done.position),
                None => aside.extend(views.tickets().by_id(&ticket).map(|row| row.number)),
            }
        }
        drop(commands);
        Ok(Reapplied { effect: Some(effect).filter(|_| !repeated), set_aside: aside, position })
    }

    /// What service levels would have come to under the policies and calendars of a desk file. Nothing is written.
    ///
    /// # Errors
    /// When the principal may not, the file has problems, all turns for such questions are taken, or the log cannot be read.
    pub async fn what_if(
        self: &Arc<Self>,
        principal: &Principal,
        config: DeskConfig,
        period: ReportPeriod,
    ) -> Result<Comparison, EngineError> {
        must(principal, &self.views(), Action::Read, Resource::AllTickets)?;
        let (engine, views) = (Arc::clone(self), self.views());
        self.in_turn(move |stop| {
            let mut what_if = supposed(&views, config)
                .map_err(|problem| EngineError::from(Rejection::Invalid { field: "toml", reason: problem }))?;
            let mut after = Position::START;
            while after < views.position() {
                if stop.is_wanted() {
                    return Err(EngineError::unwanted());
                }
                let commits = engine.log.read_page(after, Page::LARGE)?;
                let Some(last) = commits.last() else { break };
                after = last.position;
                for commit in commits.iter().filter(|commit| commit.position <= views.position()) {
                    what_if.apply(commit);
                }
            }
            Ok(what_if.compare(&views, period))
        })
        .await
    }
}

/// The version of the desk that a run was begun with.
fn begun_with(commit: &Commit) -> Option<Position> {
    commit.events.iter().find_map(|event| match &event.event {
        Event::Request(RequestEvent::ReapplicationBegun(begun)) => Some(begun.desk_version),
        Event::Request(RequestEvent::RequestAnswered(_))
        | Event::Ticket(_)
        | Event::Customer(_)
        | Event::Desk(_)
        | Event::Access(_)
        | Event::Unknown { .. } => None,
    })
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

/// The present, or the latest instant of these commits where the clock was set back behind it: the moment at which all that
/// happened can be seen.
pub fn latest(commits: &[Arc<Commit>], now: Timestamp) -> Timestamp {
    commits.iter().flat_map(|commit| &commit.events).map(|event| event.occurred_at).fold(now, Timestamp::max)
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
            Event::Ticket(_)
            | Event::Customer(_)
            | Event::Desk(_)
            | Event::Access(_)
            | Event::Request(_)
            | Event::Unknown { .. } => None,
        })
    });
    explain(&events.collect::<Vec<_>>(), views.desk().desk(), now)
}
