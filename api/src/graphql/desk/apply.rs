//! A desk file is compared with the desk, and the desk made so.

use async_graphql::{Context, Error, InputObject, Object, SimpleObject};
use docket_core::desk::Change;

use crate::{
    desk_file,
    engine::{Action, Applied, Resource},
    graphql::{
        asked::Asked,
        error::{UserError, UserErrorCode, top_level},
        scalars::BigInt,
        sla::SlaEffect,
    },
};

/// A desk file.
#[derive(InputObject)]
pub struct DeskApplyInput {
    /// The file's text, TOML as `docket desk` prints it.
    toml: String,
    /// Only compare; a key is not bound to it.
    #[graphql(default)]
    dry_run: bool,
    /// An idempotency key of at most 256 bytes: the same value by the same token is carried out once, for ever: a repetition is told what the first one changed, and
    /// its `slaEffect` is null.
    client_mutation_id: Option<String>,
}

/// Answer to `deskApply`.
#[derive(SimpleObject)]
pub struct DeskApplyPayload {
    /// The differences, in words such as `change queue billing`, or `retire queue old: 3 unfinished tickets`.
    pub changes: Vec<String>,
    /// What hangs on the parts that leave, one for each of them, and on the queues that agents lose.
    pub departures: Vec<Departure>,
    /// Unfinished tickets that were moved, or with `dryRun` would be, as the file's `leaving` says.
    pub moved: i32,
    /// Those that could not be moved and are as they were.
    pub not_moved: Vec<NotMoved>,
    /// What `slaReapply` would do to open tickets after it; null when the file was refused or the request is a repeated one.
    pub sla_effect: Option<SlaEffect>,
    /// Position of what was stored.
    pub position: Option<BigInt>,
    /// Why nothing was done.
    pub user_errors: Vec<UserError>,
    /// What the input gave.
    pub client_mutation_id: Option<String>,
}

impl DeskApplyPayload {
    fn refused(user_errors: Vec<UserError>, client_mutation_id: Option<String>) -> Self {
        Self {
            changes: vec![],
            departures: vec![],
            moved: 0,
            not_moved: vec![],
            sla_effect: None,
            position: None,
            user_errors,
            client_mutation_id,
        }
    }
}

/// What hangs on a part of the desk that leaves, or on the queues that an agent loses.
#[derive(SimpleObject, Debug, Clone)]
pub struct Departure {
    /// Kind of part, for example `queue`.
    pub kind: String,
    /// Its key.
    pub key: String,
    /// Unfinished tickets that name it: they wait in the queue, are assigned to the agent, are measured by the policy. They
    /// stay as they are unless the file's `leaving` moves them. Of an agent who loses queues: those that the agent has there.
    pub tickets: i32,
    /// Tokens of the agent, which hold no longer.
    pub tokens: i32,
    /// Unfinished tickets that the agent follows.
    pub followed: i32,
}

impl From<docket_projections::Departure> for Departure {
    fn from(departure: docket_projections::Departure) -> Self {
        let count = |n: u64| i32::try_from(n).unwrap_or(i32::MAX);
        Self {
            kind: departure.kind.to_owned(),
            tickets: count(departure.tickets),
            tokens: count(departure.tokens),
            followed: count(departure.followed),
            key: departure.key,
        }
    }
}

/// A ticket that stayed where it is.
#[derive(SimpleObject, Debug, Clone)]
pub struct NotMoved {
    /// Its number.
    pub number: i32,
    /// Why.
    pub why: String,
}

impl From<crate::engine::NotMoved> for NotMoved {
    fn from(ticket: crate::engine::NotMoved) -> Self {
        Self { number: i32::try_from(ticket.number).unwrap_or(i32::MAX), why: ticket.why }
    }
}

/// A change in words, with what hangs on it.
fn told(change: &Change, departures: &[docket_projections::Departure]) -> String {
    let words = format!("{} {} {}", change.verb, change.kind, change.key).trim_end().to_owned();
    let hangs = departures.iter().find(|d| d.kind == change.kind && d.key == change.key);
    match hangs.filter(|departure| departure.matters()) {
        Some(departure) => format!("{words}: {departure}"),
        None => words,
    }
}

/// The desk changes.
#[derive(Default)]
pub struct DeskMutations;

#[Object]
impl DeskMutations {
    /// Compares a desk file with the present desk and makes the desk so, in one commit. For administrators.
    async fn desk_apply(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The desk file.")] input: DeskApplyInput,
    ) -> Result<Option<DeskApplyPayload>, Error> {
        let asked = Asked::of(context)?;
        // Whoever may not configure the desk is not told what is wrong with a file either.
        asked.session.need(Action::Administer, Resource::Desk)?;
        let invalid = |message: String| UserError {
            path: vec!["input".into(), "toml".into()],
            ..UserError::new(UserErrorCode::Invalid, message)
        };
        let (engine, toml) = (&asked.session.engine, input.toml);
        // A file may be long, and a feed in it has to be written out.
        let parsed =
            engine.beside(move || Ok(desk_file::parse(&toml, None))).await.map_err(|error| top_level(&error))?;
        let config = match parsed {
            Ok(config) => config,
            Err(problem) => {
                let problem = invalid(problem);
                return Ok(Some(DeskApplyPayload::refused(vec![problem], asked.client_mutation_id)));
            }
        };
        let done =
            async { engine.apply_desk(&asked.session.principal, config, input.dry_run, asked.key()?).await }.await;
        Ok(Some(match asked.answer(done)?.parts() {
            (_, Some(Applied::Problems(problems))) => {
                let problems = problems.iter().map(|problem| invalid(problem.to_string())).collect();
                DeskApplyPayload::refused(problems, asked.client_mutation_id)
            }
            (user_errors, Some(Applied::Changes { changes, departures, moved, not_moved, position, effect })) => {
                DeskApplyPayload {
                    changes: changes.iter().map(|change| told(change, &departures)).collect(),
                    departures: departures.into_iter().map(Departure::from).collect(),
                    moved: i32::try_from(moved).unwrap_or(i32::MAX),
                    not_moved: not_moved.into_iter().map(NotMoved::from).collect(),
                    sla_effect: effect.as_deref().map(Into::into),
                    position: Some(position.into()),
                    user_errors,
                    client_mutation_id: asked.client_mutation_id,
                }
            }
            (user_errors, None) => DeskApplyPayload::refused(user_errors, asked.client_mutation_id),
        }))
    }
}
