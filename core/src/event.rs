//! What is stored: events, and the commits that carry them.
//!
//! A stored event is a map of `at`, `type`, `version` and `data`, by field name. An additive change of a payload uses
//! serde defaults; any other gets a new version of its type and an upcaster in [`EventFamily::read_data`]. Every version
//! ever released decodes for ever.
//!
//! What belongs here is common to all events; how they are declared is in `family`, and each kind beside what it is about.

pub(crate) mod family;

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, IgnoredAny, MapAccess, Visitor},
    ser::SerializeMap,
};

pub use family::EventFamily;

use crate::{
    access::AccessEvent,
    customer::CustomerEvent,
    desk::DeskEvent,
    ids::{AgentKey, CommitId, CorrelationId, CustomerId, KindName, Position, StreamId, TokenId},
    request::{Fingerprint, RequestEvent},
    text::Text,
    ticket::TicketEvent,
    time::Timestamp,
};

/// A fact in the past tense about one stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Of a ticket.
    Ticket(TicketEvent),
    /// Of a customer.
    Customer(CustomerEvent),
    /// Of the desk's configuration.
    Desk(Box<DeskEvent>),
    /// Of the tokens.
    Access(AccessEvent),
    /// Of keyed requests that changed nothing else.
    Request(RequestEvent),
    /// Of a type, version or form that this program does not know. The write model refuses a stream that holds one; views
    /// count and name it.
    Unknown {
        /// Its stored type.
        type_name: String,
        /// Its stored version.
        version: u16,
    },
}

impl Event {
    /// Stored name of the type.
    pub fn type_name(&self) -> &str {
        match self {
            Self::Ticket(event) => event.type_version().0,
            Self::Customer(event) => event.type_version().0,
            Self::Desk(event) => event.type_version().0,
            Self::Access(event) => event.type_version().0,
            Self::Request(event) => event.type_version().0,
            Self::Unknown { type_name, .. } => type_name,
        }
    }

    /// Stored version of the type.
    pub fn version(&self) -> u16 {
        match self {
            Self::Ticket(event) => event.type_version().1,
            Self::Customer(event) => event.type_version().1,
            Self::Desk(event) => event.type_version().1,
            Self::Access(event) => event.type_version().1,
            Self::Request(event) => event.type_version().1,
            Self::Unknown { version, .. } => *version,
        }
    }
}

macro_rules! into_event {
    ($($variant:ident($family:ty)),*) => {$(
        impl From<$family> for Event {
            fn from(event: $family) -> Self {
                Self::$variant(event)
            }
        }
    )*};
}
into_event!(Ticket(TicketEvent), Customer(CustomerEvent), Access(AccessEvent), Request(RequestEvent));

impl From<DeskEvent> for Event {
    fn from(event: DeskEvent) -> Self {
        Self::Desk(Box::new(event))
    }
}

/// An event and the instant at which it happened.
#[derive(Debug, Clone, PartialEq)]
pub struct DatedEvent {
    /// When it happened in the world. Imports and late mail are recorded long after.
    pub occurred_at: Timestamp,
    /// What happened.
    pub event: Event,
}

impl DatedEvent {
    /// The event at this instant.
    pub fn new(occurred_at: Timestamp, event: impl Into<Event>) -> Self {
        Self { occurred_at, event: event.into() }
    }
}

impl Serialize for DatedEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // `type` and `version` stand before `data`: a reader chooses the payload's form by them.
        let known = !matches!(self.event, Event::Unknown { .. });
        let mut map = serializer.serialize_map(Some(if known { 4 } else { 3 }))?;
        map.serialize_entry("at", &self.occurred_at)?;
        map.serialize_entry("type", self.event.type_name())?;
        map.serialize_entry("version", &self.event.version())?;
        match &self.event {
            Event::Ticket(event) => event.write_data(&mut map)?,
            Event::Customer(event) => event.write_data(&mut map)?,
            Event::Desk(event) => event.write_data(&mut map)?,
            Event::Access(event) => event.write_data(&mut map)?,
            Event::Request(event) => event.write_data(&mut map)?,
            Event::Unknown { .. } => {}
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for DatedEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EventVisitor(PhantomData))
    }
}

/// What an event of any form says of itself: when it happened, and its type and version. Its payload is read past.
#[derive(Debug, Clone, PartialEq)]
pub struct EventOutline<'a> {
    /// When it happened in the world.
    pub occurred_at: Timestamp,
    /// Its stored type.
    pub type_name: Cow<'a, str>,
    /// Its stored version.
    pub version: u16,
}

impl<'de> Deserialize<'de> for EventOutline<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EventVisitor(PhantomData))
    }
}

impl From<EventOutline<'_>> for DatedEvent {
    fn from(outline: EventOutline<'_>) -> Self {
        let EventOutline { occurred_at, type_name, version } = outline;
        Self { occurred_at, event: Event::Unknown { type_name: type_name.into_owned(), version } }
    }
}

/// What is made of a stored event: all of it, or its outline.
trait EventForm<'de>: Sized {
    /// Reads the payload, or past it.
    fn payload<A: MapAccess<'de>>(
        type_name: Option<&Text<'de>>,
        version: Option<u16>,
        map: &mut A,
    ) -> Result<Option<Event>, A::Error>;

    /// Puts it together; without an event when no payload was met.
    fn new(at: Timestamp, type_name: Text<'de>, version: u16, event: Option<Event>) -> Self;
}

impl<'de> EventForm<'de> for DatedEvent {
    fn payload<A: MapAccess<'de>>(
        type_name: Option<&Text<'de>>,
        version: Option<u16>,
        map: &mut A,
    ) -> Result<Option<Event>, A::Error> {
        let (Some(name), Some(version)) = (type_name, version) else {
            return Err(de::Error::custom("type and version stand before data"));
        };
        read_event(&name.0, version, map).map(Some)
    }

    fn new(at: Timestamp, type_name: Text<'de>, version: u16, event: Option<Event>) -> Self {
        let unknown = || Event::Unknown { type_name: type_name.0.into_owned(), version };
        Self { occurred_at: at, event: event.unwrap_or_else(unknown) }
    }
}

impl<'de> EventForm<'de> for EventOutline<'de> {
    fn payload<A: MapAccess<'de>>(
        _type_name: Option<&Text<'de>>,
        _version: Option<u16>,
        map: &mut A,
    ) -> Result<Option<Event>, A::Error> {
        map.next_value::<IgnoredAny>().map(|_| None)
    }

    fn new(at: Timestamp, type_name: Text<'de>, version: u16, _event: Option<Event>) -> Self {
        Self { occurred_at: at, type_name: type_name.0, version }
    }
}

/// One visitor for both, so that what has the form of an event has its outline too.
struct EventVisitor<F>(PhantomData<F>);

impl<'de, F: EventForm<'de>> Visitor<'de> for EventVisitor<F> {
    type Value = F;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event with at, type, version and data")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<F, A::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "lowercase")]
        enum Field {
            At,
            Type,
            Version,
            Data,
            #[serde(other)]
            Other,
        }

        let mut at = None;
        let mut type_name: Option<Text<'de>> = None;
        let mut version = None;
        let mut event = None;
        while let Some(field) = map.next_key()? {
            match field {
                Field::At => at = Some(map.next_value()?),
                Field::Type => type_name = Some(map.next_value()?),
                Field::Version => version = Some(map.next_value()?),
                Field::Data => event = F::payload(type_name.as_ref(), version, &mut map)?,
                Field::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(F::new(
            at.ok_or_else(|| de::Error::missing_field("at"))?,
            type_name.ok_or_else(|| de::Error::missing_field("type"))?,
            version.ok_or_else(|| de::Error::missing_field("version"))?,
            event,
        ))
    }
}

fn read_event<'de, A: MapAccess<'de>>(type_name: &str, version: u16, map: &mut A) -> Result<Event, A::Error> {
    if let Some(event) = TicketEvent::read_data(type_name, version, map)? {
        return Ok(event.into());
    }
    if let Some(event) = CustomerEvent::read_data(type_name, version, map)? {
        return Ok(event.into());
    }
    if let Some(event) = DeskEvent::read_data(type_name, version, map)? {
        return Ok(event.into());
    }
    if let Some(event) = AccessEvent::read_data(type_name, version, map)? {
        return Ok(event.into());
    }
    if let Some(event) = RequestEvent::read_data(type_name, version, map)? {
        return Ok(event.into());
    }
    map.next_value::<IgnoredAny>()?;
    Ok(Event::Unknown { type_name: type_name.to_owned(), version })
}

/// An event's place: its commit and its number within it, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventAddress {
    /// The commit.
    pub position: Position,
    /// The event's number within the commit, from 0.
    pub index: u32,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Docket itself: a timer or a rule.
    System,
    /// An administrator, by the label of the token or as `local` for the command line.
    Administrator(String),
    /// An agent.
    Agent(AgentKey),
    /// A customer.
    Customer(CustomerId),
    /// Somebody in the system that a history was imported from, by the name used there.
    Imported(String),
    /// An auditor, by the label of the token: what was read is on record.
    Auditor(String),
    /// A program, by the label of its token.
    Service(String),
    /// Somebody of a kind that a newer program brought in, by the name of the kind. Never written to a log.
    #[serde(untagged)]
    Unknown(String),
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ActorVisitor;

        impl<'de> Visitor<'de> for ActorVisitor {
            type Value = Actor;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a kind of actor, or a map of one and its name")
            }

            fn visit_str<E: de::Error>(self, kind: &str) -> Result<Actor, E> {
                Ok(if kind == "system" { Actor::System } else { Actor::Unknown(kind.to_owned()) })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Actor, A::Error> {
                let kind: Text<'de> = map.next_key()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
                let actor = match &*kind.0 {
                    "administrator" => Actor::Administrator(map.next_value()?),
                    "agent" => Actor::Agent(map.next_value()?),
                    "customer" => Actor::Customer(map.next_value()?),
                    "imported" => Actor::Imported(map.next_value()?),
                    "auditor" => Actor::Auditor(map.next_value()?),
                    "service" => Actor::Service(map.next_value()?),
                    other => {
                        map.next_value::<IgnoredAny>()?;
                        Actor::Unknown(other.to_owned())
                    }
                };
                match map.next_key::<IgnoredAny>()? {
                    None => Ok(actor),
                    Some(_) => Err(de::Error::custom("an actor has one kind")),
                }
            }
        }

        deserializer.deserialize_any(ActorVisitor)
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("docket"),
            Self::Administrator(name) => write!(f, "administrator {name}"),
            Self::Agent(key) => write!(f, "agent {key}"),
            Self::Customer(id) => write!(f, "customer {id}"),
            Self::Imported(name) => write!(f, "imported {name}"),
            Self::Auditor(name) => write!(f, "auditor {name}"),
            Self::Service(name) => write!(f, "service {name}"),
            Self::Unknown(kind) => write!(f, "somebody of the unknown kind {kind}"),
        }
    }
}

/// Why a commit came to be.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cause {
    /// The kind of trigger.
    pub kind: CauseKind,
    /// The event that led to it, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventAddress>,
}

impl Cause {
    /// A cause without an event before it.
    pub const fn of(kind: CauseKind) -> Self {
        Self { kind, event: None }
    }
}

/// Kinds of triggers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CauseKind {
    /// A request from outside: GraphQL or the command line.
    Request,
    /// Something came due.
    Timer,
    /// A history read from another system.
    Import,
    /// The built-in demonstration.
    Demo,
    /// Something that a newer program brought in, by its name. Never written to a log.
    Unknown(KindName),
}

impl CauseKind {
    /// Name as it is stored and shown.
    pub fn name(&self) -> &str {
        match self {
            Self::Request => "request",
            Self::Timer => "timer",
            Self::Import => "import",
            Self::Demo => "demo",
            Self::Unknown(name) => name.as_str(),
        }
    }
}

impl Serialize for CauseKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for CauseKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Text::deserialize(deserializer)?.0;
        let known = [Self::Request, Self::Timer, Self::Import, Self::Demo];
        if let Some(kind) = known.into_iter().find(|kind| kind.name() == name) {
            return Ok(kind);
        }
        KindName::parse(&name).map(Self::Unknown).ok_or_else(|| de::Error::custom("a cause of an unknown form"))
    }
}

/// The events that one decision produced, stored all or not at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// Place in the whole log.
    pub position: Position,
    /// Place of the stream's commit before this one; [`Position::START`] for its first. A reader of the stream notices a
    /// hole by it.
    pub previous: Position,
    /// Chosen by whoever submitted it; stored once, for ever.
    pub id: CommitId,
    /// The stream that all its events belong to.
    pub stream: StreamId,
    /// When Docket learned of it.
    pub recorded_at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// Why.
    pub cause: Cause,
    /// Shared by everything that one request from outside led to.
    pub correlation: CorrelationId,
    /// The token by which whoever did it came in; none for the command line, timers and imports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenId>,
    /// What the request asked, when it carried an idempotency key: its id is derived from that key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Fingerprint>,
    /// At least one event.
    pub events: Vec<DatedEvent>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn actors_and_causes_are_read_back_and_those_of_newer_kinds_keep_their_names() {
        let customer = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        for (stored, actor) in [
            (json!("system"), Actor::System),
            (json!({ "administrator": "local" }), Actor::Administrator("local".into())),
            (json!({ "agent": "ann" }), Actor::Agent(AgentKey::try_new("ann").unwrap())),
            (json!({ "customer": customer }), Actor::Customer(customer.parse().unwrap())),
            (json!({ "imported": "INC" }), Actor::Imported("INC".into())),
            (json!({ "auditor": "yearly" }), Actor::Auditor("yearly".into())),
            (json!({ "service": "mail" }), Actor::Service("mail".into())),
            (json!("scheduler"), Actor::Unknown("scheduler".into())),
        ] {
            assert_eq!(serde_json::from_value::<Actor>(stored.clone()).unwrap(), actor);
            assert_eq!(serde_json::to_value(&actor).unwrap(), stored);
            // A snapshot of the views is written by position.
            assert_eq!(rmp_serde::from_slice::<Actor>(&rmp_serde::to_vec(&actor).unwrap()).unwrap(), actor);
        }
        let robot: Actor = serde_json::from_value(json!({ "robot": { "id": [1, 2] } })).unwrap();
        assert_eq!(robot, Actor::Unknown("robot".into()));
        for none in [json!({}), json!(7), json!({ "agent": "ann", "customer": customer }), json!({ "agent": 7 })] {
            assert!(serde_json::from_value::<Actor>(none.clone()).is_err(), "{none}");
        }
        for kind in ["request", "timer", "import", "demo", "automation"] {
            let read: CauseKind = serde_json::from_value(json!(kind)).unwrap();
            assert_eq!((read.name(), matches!(read, CauseKind::Unknown(_))), (kind, kind == "automation"));
            assert_eq!(serde_json::to_value(read).unwrap(), json!(kind));
        }
        assert!(serde_json::from_value::<CauseKind>(json!("Not a kind")).is_err());
    }

    #[test]
    fn an_event_of_any_form_has_an_outline() {
        let outline = |stored: &str| serde_json::from_str::<EventOutline<'_>>(stored).map(DatedEvent::from);
        let unknown = |type_name: &str, version| {
            let event = Event::Unknown { type_name: type_name.into(), version };
            DatedEvent { occurred_at: Timestamp::from_millis(7), event }
        };
        let whatsapp = r#"{"at":7,"type":"MessageReceived","version":1,"data":{"channel":"whatsapp"}}"#;
        assert!(serde_json::from_str::<DatedEvent>(whatsapp).is_err());
        assert_eq!(outline(whatsapp).unwrap(), unknown("MessageReceived", 1));
        let behind = r#"{"data":[1,{"a":null}],"new":true,"version":2,"type":"Merged","at":7}"#;
        assert_eq!(outline(behind).unwrap(), unknown("Merged", 2));
        assert!(outline(r#"{"type":"Merged","version":2}"#).is_err());
    }
}
