//! A mutation as it was asked: who asks, the idempotency key bound to what is asked, and how refusals become data. Every
//! mutation goes through it, so a key holds for all of them alike.

use std::{fmt::Write, future::Future, sync::Arc};

use async_graphql::{
    Context, Error, ID, Name, Value,
    indexmap::IndexMap,
    registry::{MetaInputValue, MetaType},
};
use docket_core::{
    event::{DatedEvent, Event},
    ids::{MessageId, Position, StreamId, TicketId},
    personal::Body,
    rejection::Rejection,
    ticket::{Channel, Message, TicketCommand},
};
use ulid::Ulid;

use super::{
    Session,
    error::{UserError, split},
    relay::local_id,
    scalars::BigInt,
    ticket::Ticket,
    timeline::Actor,
};
use crate::engine::{Action, Done, EngineError, IdempotencyKey, Request, Resource};

/// A mutation as it was asked.
pub struct Asked<'a> {
    /// Who asks.
    pub session: &'a Session,
    /// What the input gave.
    pub client_mutation_id: Option<String>,
    context: &'a Context<'a>,
    key: Result<Option<IdempotencyKey>, Rejection>,
}

/// What came of a mutation of a ticket.
pub struct Outcome {
    pub ticket: Option<Ticket>,
    pub position: Option<BigInt>,
    pub user_errors: Vec<UserError>,
    pub client_mutation_id: Option<String>,
}

/// An answer, or the refusal.
pub struct Answer<T>(Result<T, UserError>);

impl<T> Answer<T> {
    /// The refusals for the payload, and the answer when there is none.
    pub fn parts(self) -> (Vec<UserError>, Option<T>) {
        match self.0 {
            Ok(answer) => (vec![], Some(answer)),
            Err(refusal) => (vec![refusal], None),
        }
    }
}

impl<'a> Asked<'a> {
    /// The mutation of a resolver.
    pub fn of(context: &'a Context<'a>) -> Result<Self, Error> {
        let session = Session::of(context)?;
        let field = context.field();
        let arguments = field.arguments().map_err(|error| Error::new(error.message))?;
        let given = arguments.iter().find_map(|(name, value)| {
            let members = if let Value::Object(members) = value { Some(members) } else { None };
            members.filter(|_| name == "input")?.get("clientMutationId")
        });
        let client_mutation_id = if let Some(Value::String(text)) = given { Some(text.clone()) } else { None };
        let key = match &client_mutation_id {
            None => Ok(None),
            Some(text) => {
                let mut canonical = String::new();
                let defaults = defaults(context);
                for (name, value) in sorted(arguments.iter().map(|(name, value)| (name.as_str(), value))) {
                    // Writing into memory does not fail.
                    let _ = write!(canonical, "{name}=");
                    if let Value::Object(members) = value {
                        write_members(&mut canonical, members, &defaults);
                    } else {
                        write_canonical(&mut canonical, value);
                    }
                }
                // The name under which customers' messages went before both sides wrote with one mutation: keys hold for
                // ever, so a repetition by the new name is still the same request.
                let customers_message = field.name() == "ticketReply" && session.is_customer();
                let operation = if customers_message { "ticketReceive" } else { field.name() };
                IdempotencyKey::try_new(text, operation, &canonical).map(Some)
            }
        };
        Ok(Self { session, client_mutation_id, context, key })
    }

    /// The key, bound to what is asked.
    pub fn key(&self) -> Result<Option<IdempotencyKey>, EngineError> {
        Ok(self.key.clone()?)
    }

    /// How the commands are to be carried out.
    pub fn request(&self, expected: Option<BigInt>) -> Result<Request, EngineError> {
        Ok(Request { expected: expected.map(Into::into), idempotency_key: self.key()?, ..Request::default() })
    }

    /// Works on a ticket.
    pub async fn run(
        &self,
        ticket: TicketId,
        commands: Vec<TicketCommand>,
        expected: Option<BigInt>,
    ) -> Result<Done, EngineError> {
        let Session { engine, principal, .. } = self.session;
        engine.work(principal, ticket, commands, self.request(expected)?).await
    }

    /// A text for what is asked. The key is looked at first, so that a refused request leaves no text behind.
    pub async fn body(&self, field: &'static str, text: String) -> Result<Body, EngineError> {
        let Session { engine, principal, .. } = self.session;
        if text.len() > Body::MAX_INLINE {
            engine.check_key(principal, self.key()?.as_ref()).await?;
        }
        engine.body_of(field, text).await
    }

    /// A message for what is asked.
    pub async fn message(&self, channel: Channel, text: String) -> Result<Message, EngineError> {
        Ok(Message { id: MessageId::new(Ulid::generate()), channel, body: self.body("body", text).await? })
    }

    /// What came of it, or the refusal as data, with a line in the log of the program; other errors go to the top level.
    pub fn answer<T>(&self, done: Result<T, EngineError>) -> Result<Answer<T>, Error> {
        self.answer_within(done, &[])
    }

    /// As [`Asked::answer`]; a refusal arose in this part of the input, from `input` inwards.
    fn answer_within<T>(&self, done: Result<T, EngineError>, place: &[String]) -> Result<Answer<T>, Error> {
        match done {
            Ok(done) => Ok(Answer(Ok(done))),
            Err(error) => {
                let mut refusal = split(error)?;
                refusal.path = self.real_path(std::mem::take(&mut refusal.path), place);
                let mutation = self.context.field().name();
                tracing::info!(mutation, code = ?refusal.code, path = refusal.path.join("."), "refused");
                Ok(Answer(Err(refusal)))
            }
        }
    }

    /// The payload of a mutation of a ticket: the ticket as it is then, or the refusal.
    pub async fn outcome(&self, work: impl Future<Output = Result<Done, EngineError>>) -> Result<Outcome, Error> {
        self.outcome_within(work.await, &[]).await
    }

    /// As [`Asked::outcome`]; a refusal arose in this part of the input, from `input` inwards.
    pub async fn outcome_within(&self, worked: Result<Done, EngineError>, place: &[String]) -> Result<Outcome, Error> {
        let client_mutation_id = self.client_mutation_id.clone();
        let told = match &worked {
            Err(EngineError::Conflict { stream: StreamId::Ticket(ticket), actual }) => {
                conflict(self.session, *ticket, *actual).await
            }
            _ => None,
        };
        let (mut user_errors, done) = self.answer_within(worked, place)?.parts();
        if let (Some(refusal), Some(told)) = (user_errors.first_mut(), told) {
            refusal.message = told;
        }
        Ok(match done {
            Some(done) => {
                let then = Session { views: Arc::clone(&done.views), ..self.session.clone() };
                let ticket = Ticket::seen(&then, done.ticket);
                Outcome { ticket, position: Some(done.position.into()), user_errors, client_mutation_id }
            }
            None => Outcome { ticket: None, position: None, user_errors, client_mutation_id },
        })
    }

    /// A path that exists among the mutation's arguments: rules know their own words, such as `tag`, clients those of the
    /// schema, such as `add`.
    fn real_path(&self, path: Vec<String>, place: &[String]) -> Vec<String> {
        let mut real = vec!["input".to_owned()];
        real.extend_from_slice(place);
        let (input, member) = match path.as_slice() {
            [] if !place.is_empty() => return real,
            [input, member] => (input, member),
            _ => return path,
        };
        if input != "input" {
            return path;
        }
        if members(self.context, place).is_some_and(|known| known.contains_key(member)) {
            real.push(member.clone());
            return real;
        }
        // What the input has beside its parts, such as a key.
        if input_fields(self.context).is_some_and(|known| known.contains_key(member)) {
            return path;
        }
        // What was given stands for what the rule means: one of the values of a field, one of two lists of tags.
        let meant: &[&str] = match member.as_str() {
            "value" => &["text", "integer", "boolean", "date", "instant", "choice", "choices"],
            "tag" => &["add", "remove"],
            "body" => &["summary"],
            _ => &[],
        };
        let given = self.given(place);
        let meant = meant.iter().find(|name| given.iter().any(|given| given == *name));
        real.extend(meant.map(|name| (*name).to_owned()));
        real
    }

    /// Names of the members that were given in this part of the input.
    fn given(&self, place: &[String]) -> Vec<String> {
        let arguments = self.context.field().arguments().unwrap_or_default();
        let input = arguments.into_iter().find(|(name, _)| name == "input");
        let part = place.iter().fold(input.map(|(_, input)| input), |part, step| {
            let part = part?;
            if let Value::Object(mut members) = part {
                members.swap_remove(step.as_str())
            } else if let Value::List(mut items) = part {
                step.parse().ok().filter(|at| *at < items.len()).map(|at| items.swap_remove(at))
            } else {
                None
            }
        });
        if let Some(Value::Object(members)) = part { members.keys().map(ToString::to_string).collect() } else { vec![] }
    }
}

/// Who changed a ticket meanwhile, and what of it, as far as the session may know.
async fn conflict(session: &Session, ticket: TicketId, version: Position) -> Option<String> {
    let now = Session { views: session.engine.views(), ..session.clone() };
    let number = now.views.tickets().by_id(&ticket)?.number;
    let log = Arc::clone(session.engine.log());
    let before = Position::new(version.get().checked_sub(1)?);
    let commit = session.engine.beside(move || Ok(log.read_all(before, 1)?)).await.ok()?.pop()?;
    let internal = session.can(Action::ReadInternal, Resource::Figures);
    let shown = |event: &&DatedEvent| match &event.event {
        Event::Ticket(event) => internal || now.views.desk().desk().shows_customers(event),
        Event::Customer(_) | Event::Desk(_) | Event::Access(_) | Event::Request(_) | Event::Unknown { .. } => false,
    };
    let what: Vec<&str> = commit.events.iter().filter(shown).map(|event| event.event.type_name()).collect();
    let (who, at) = (Actor::of(&now, &commit.actor).name(), commit.recorded_at);
    let what = if what.is_empty() { "something internal".to_owned() } else { what.join(", ") };
    Some(format!(
        "ticket {number} was changed meanwhile: {who} did {what} at {at}, and it stands at position {version}. Read it \
         again and decide again"
    ))
}

/// The own id or key in what the input gave: a global id, or for parts of the desk the plain key.
///
/// # Errors
/// When it is neither.
pub fn key_of<T: std::str::FromStr>(
    kind: &str,
    field: &'static str,
    id: Option<&ID>,
) -> Result<Option<T>, EngineError> {
    let Some(id) = id else { return Ok(None) };
    let key = local_id(kind, id).or_else(|| id.parse().ok());
    key.map(Some).ok_or_else(|| Rejection::not_found(field, short(id)).into())
}

/// What is repeated of an id in a refusal.
pub fn short(id: &ID) -> String {
    id.chars().take(80).collect()
}

fn sorted<'v>(members: impl Iterator<Item = (&'v str, &'v Value)>) -> Vec<(&'v str, &'v Value)> {
    let mut members: Vec<_> = members.collect();
    members.sort_by_key(|(name, _)| *name);
    members
}

/// The same input always gives the same text: members sorted by name, the key itself left out.
fn write_canonical(out: &mut String, value: &Value) {
    match value {
        Value::Object(members) => write_members(out, members, &[]),
        Value::List(items) => {
            out.push('[');
            for item in items {
                write_canonical(out, item);
                out.push(',');
            }
            out.push(']');
        }
        // An enum is a name in a document and a text among variables, a number of our own may be either, and both mean the
        // same. The form is stored for ever, so it is that of JSON.
        Value::Enum(name) => write_text(out, name.as_str()),
        Value::String(text) => write_text(out, text),
        Value::Number(number) => write_text(out, &number.to_string()),
        Value::Null | Value::Boolean(_) | Value::Binary(_) => _ = write!(out, "{value}"),
    }
}

/// A member that says what its default says is left out: to write it out is to ask for the same.
fn write_members(out: &mut String, members: &IndexMap<Name, Value>, defaults: &[(String, String)]) {
    out.push('{');
    for (name, value) in sorted(members.iter().map(|(name, value)| (name.as_str(), value))) {
        let mut text = String::new();
        write_canonical(&mut text, value);
        let is_default = |(member, default): &(String, String)| {
            member == name && text.trim_matches('"') == default.trim_matches('"')
        };
        if name != "clientMutationId" && !defaults.iter().any(is_default) {
            let _ = write!(out, "{name}:{text},");
        }
    }
    out.push('}');
}

/// The members of `input` that have a default in the schema, with it.
fn defaults(context: &Context<'_>) -> Vec<(String, String)> {
    let default = |(name, field): (&String, &MetaInputValue)| Some((name.clone(), field.default_value.clone()?));
    input_fields(context).map_or_else(Vec::new, |fields| fields.iter().filter_map(default).collect())
}

/// The members that a part of a mutation's `input` has in the schema: each step is a member, or the place in a list.
fn members<'c>(context: &'c Context<'_>, place: &[String]) -> Option<&'c IndexMap<String, MetaInputValue>> {
    let types = &context.schema_env.registry.types;
    let mut steps = place.iter().filter(|step| step.parse::<usize>().is_err());
    steps.try_fold(input_fields(context)?, |members, step| {
        let ty = members.get(step)?.ty.trim_matches(['[', ']', '!']);
        if let MetaType::InputObject { input_fields, .. } = types.get(ty)? { Some(input_fields) } else { None }
    })
}

/// The members that a mutation's `input` has in the schema.
fn input_fields<'c>(context: &'c Context<'_>) -> Option<&'c IndexMap<String, MetaInputValue>> {
    let registry = &context.schema_env.registry;
    let mutation = registry.types.get(registry.mutation_type.as_ref()?)?;
    let input = mutation.field_by_name(context.field().name())?.args.get("input")?;
    if let MetaType::InputObject { input_fields, .. } = registry.types.get(input.ty.trim_end_matches('!'))? {
        Some(input_fields)
    } else {
        None
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(json: serde_json::Value) -> String {
        let mut out = String::new();
        write_canonical(&mut out, &Value::from_json(json).unwrap());
        out
    }

    #[test]
    fn the_order_of_members_and_the_key_itself_do_not_matter_and_everything_else_does() {
        use serde_json::json;
        let one = canonical(json!({"body": "x", "tags": ["a", "b"], "clientMutationId": "1"}));
        assert_eq!(one, canonical(json!({"clientMutationId": "2", "tags": ["a", "b"], "body": "x"})));
        assert_eq!(one, r#"{body:"x",tags:["a","b",],}"#, "it is stored for ever");
        assert_eq!(canonical(json!({"version": 24})), canonical(json!({"version": "24"})));
        for other in [
            json!({"body": "y", "tags": ["a", "b"]}),
            json!({"body": "x", "tags": ["b", "a"]}),
            json!({"body": "x", "tags": ["a,b"]}),
            json!({"body": "x", "tags": ["a", "b"], "agent": null}),
            json!({"body": "x,tags:[\"a\",\"b\",],"}),
        ] {
            assert_ne!(one, canonical(other.clone()), "{other}");
        }
    }
}
