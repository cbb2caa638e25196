//! What describes a ticket: subject, priority, category, requester, tags and custom fields.

use async_graphql::{Context, Error, ID, InputObject, MaybeUndefined, Object, SimpleObject};
use docket_core::{
    ids::{CategoryKey, CustomerId, FieldKey, TicketId},
    personal::Personal,
    rejection::Rejection,
    ticket::{FieldValue, TicketCommand},
};

use super::act::{Act, ticket_mutation};
use crate::{
    engine::EngineError,
    graphql::{
        asked::{Asked, key_of},
        scalars::{BigInt, DateTime},
        timeline::{Entry, TimelineEntry, entry_fields},
        words::Priority,
    },
};

/// Other attributes. What is left out stays; null empties where it can.
#[derive(InputObject)]
pub struct UpdateAct {
    /// What the ticket is about, in a line of at most 500 bytes.
    subject: Option<String>,
    /// The new priority.
    priority: Option<Priority>,
    /// Id or key of the category.
    category: MaybeUndefined<ID>,
    /// Id of the customer who asked.
    requester: MaybeUndefined<ID>,
}

impl Act for UpdateAct {
    async fn commands(self, _: &Asked<'_>, _: TicketId) -> Result<Vec<TicketCommand>, EngineError> {
        let mut commands = Vec::new();
        commands.extend(self.subject.map(|subject| TicketCommand::SetSubject(Personal::new(subject))));
        commands.extend(self.priority.map(|priority| TicketCommand::SetPriority(priority.into())));
        if !self.category.is_undefined() {
            let category = key_of::<CategoryKey>("category", "category", self.category.value())?;
            commands.push(TicketCommand::SetCategory(category));
        }
        if !self.requester.is_undefined() {
            let requester = key_of::<CustomerId>("customer", "requester", self.requester.value())?;
            commands.push(TicketCommand::SetRequester(requester));
        }
        Ok(commands)
    }
}

/// Tags to put on and take off.
#[derive(InputObject)]
pub struct TagAct {
    /// Tags to put on, each of at most 64 bytes; a ticket has at most 100.
    #[graphql(default)]
    add: Vec<String>,
    /// Tags to take off.
    #[graphql(default)]
    remove: Vec<String>,
}

impl Act for TagAct {
    async fn commands(self, _: &Asked<'_>, _: TicketId) -> Result<Vec<TicketCommand>, EngineError> {
        let add = self.add.into_iter().map(TicketCommand::AddTag);
        Ok(add.chain(self.remove.into_iter().map(TicketCommand::RemoveTag)).collect())
    }
}

/// A value for a custom field: give the one member that fits the field's type, or none to empty it.
#[derive(InputObject)]
pub struct SetFieldAct {
    /// Id or key of the field.
    field: ID,
    /// For text of at most 4,000 bytes.
    text: Option<String>,
    /// For whole numbers.
    integer: Option<BigInt>,
    /// For yes or no.
    boolean: Option<bool>,
    /// For dates, `YYYY-MM-DD`.
    date: Option<String>,
    /// For instants.
    instant: Option<DateTime>,
    /// For one of the options.
    choice: Option<String>,
    /// For several of the options.
    choices: Option<Vec<String>>,
}

impl Act for SetFieldAct {
    async fn commands(self, _: &Asked<'_>, _: TicketId) -> Result<Vec<TicketCommand>, EngineError> {
        let field = key_of::<FieldKey>("field", "field", Some(&self.field))?;
        let value = self.value()?;
        Ok(field.into_iter().map(|field| TicketCommand::SetField { field, value: value.clone() }).collect())
    }
}

impl SetFieldAct {
    fn value(self) -> Result<Option<FieldValue>, Rejection> {
        let too_large = |_| Rejection::Invalid { field: "integer", reason: "the number is too large".into() };
        let integer = self.integer.map(|BigInt(number)| i64::try_from(number).map_err(too_large)).transpose()?;
        let given = [
            self.text.map(FieldValue::Text),
            integer.map(FieldValue::Integer),
            self.boolean.map(FieldValue::Boolean),
            self.date.map(FieldValue::Date),
            self.instant.map(|at| FieldValue::Instant(at.0)),
            self.choice.map(FieldValue::Choice),
            self.choices.map(FieldValue::Choices),
        ];
        let mut values = given.into_iter().flatten();
        let value = values.next();
        if values.next().is_some() {
            let reason = "give one value, in the part that fits the field's type".into();
            return Err(Rejection::Invalid { field: "value", reason });
        }
        Ok(value)
    }
}

ticket_mutation! {
    /// Other attributes for a ticket. What is left out stays; null empties where it can.
    "ticketUpdate": TicketUpdateInput(UpdateAct) -> TicketUpdatePayload
}
ticket_mutation! {
    /// Tags to put on a ticket and to take off it.
    "ticketTag": TicketTagInput(TagAct) -> TicketTagPayload
}
ticket_mutation! {
    /// A value for a custom field of a ticket: give the one member that fits the field's type, or none to empty it.
    "ticketSetField": TicketSetFieldInput(SetFieldAct) -> TicketSetFieldPayload
}

/// Tickets are described.
#[derive(Default)]
pub struct DetailsMutations;

#[Object]
impl DetailsMutations {
    /// Changes subject, priority, category or requester of a ticket, all or nothing.
    async fn ticket_update(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "What is to change.")] input: TicketUpdateInput,
    ) -> Result<Option<TicketUpdatePayload>, Error> {
        input.run(context, &id).await
    }

    /// Puts tags on a ticket and takes tags off it, all or nothing.
    async fn ticket_tag(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "Which tags.")] input: TicketTagInput,
    ) -> Result<Option<TicketTagPayload>, Error> {
        input.run(context, &id).await
    }

    /// Fills or empties a custom field of a ticket.
    async fn ticket_set_field(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of the ticket.")] id: ID,
        #[graphql(desc = "The field and its value.")] input: TicketSetFieldInput,
    ) -> Result<Option<TicketSetFieldPayload>, Error> {
        input.run(context, &id).await
    }
}

/// Another attribute changed: priority, category, subject, requester, a tag, a follower or a custom field.
#[derive(SimpleObject, Debug, Clone)]
pub struct ChangeEntry {
    #[graphql(flatten)]
    pub entry: Entry,
    /// The attribute that changed, for example `priority` or `field:location`.
    attribute: String,
    /// The new value; null when there is none any more.
    value: Option<String>,
    /// The value before; null when there was none.
    previous_value: Option<String>,
}
entry_fields!(ChangeEntry);

/// The entry of a change of an attribute.
pub fn changed<T: ToString>(entry: Entry, attribute: &str, to: Option<T>, from: Option<T>) -> TimelineEntry {
    let (value, previous_value) = (to.map(|value| value.to_string()), from.map(|value| value.to_string()));
    ChangeEntry { entry, attribute: attribute.to_owned(), value, previous_value }.into()
}
