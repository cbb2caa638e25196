//! What describes a ticket: priority, category, subject, requester, tags and custom fields.

use super::{
    event::{
        CategoryChanged, FieldChanged, PriorityChanged, RequesterChanged, SubjectChanged, TagAdded, TagRemoved,
        TicketEvent,
    },
    policies::with_policies,
    reference::{Reference, named},
    rule::{Context, Right, Rule, in_any_status, until_closed},
    state::Ticket,
    words::{FieldValue, Priority, SlaReason, StatusCategory},
};
use crate::{
    desk::FieldType,
    ids::{CategoryKey, CustomerId, FieldKey},
    personal::Personal,
    rejection::{Rejection, check_text},
};

pub(super) const MAX_SUBJECT: u64 = 500;
const MAX_TAG: u64 = 64;
const MAX_TAGS: usize = 100;
const MAX_FIELD_TEXT: u64 = 4_000;

/// Change the priority.
pub(super) struct SetPriority(pub(super) Priority);

impl Rule for SetPriority {
    const COMMUTES: bool = false;
    const RIGHT: Right = Right::Work;
    const ALLOWED_IN: fn(StatusCategory) -> bool = until_closed;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        vec![]
    }

    fn decide(&self, ticket: &Ticket, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        if ticket.priority == self.0 {
            return Ok(vec![]);
        }
        let event = PriorityChanged { to: self.0, from: ticket.priority }.into();
        Ok(with_policies(ticket, vec![event], SlaReason::PriorityChanged, context))
    }
}

/// Change the category.
pub(super) struct SetCategory<'a>(pub(super) Option<&'a CategoryKey>);

impl Rule for SetCategory<'_> {
    const COMMUTES: bool = false;
    const RIGHT: Right = Right::Work;
    const ALLOWED_IN: fn(StatusCategory) -> bool = until_closed;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        named([self.0.map(Reference::Category)])
    }

    fn decide(&self, ticket: &Ticket, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        if ticket.category.as_ref() == self.0 {
            return Ok(vec![]);
        }
        let event = CategoryChanged { to: self.0.cloned(), from: ticket.category.clone() }.into();
        Ok(with_policies(ticket, vec![event], SlaReason::CategoryChanged, context))
    }
}

/// Change the subject.
pub(super) struct SetSubject<'a>(pub(super) &'a Personal<String>);

impl Rule for SetSubject<'_> {
    const COMMUTES: bool = false;
    const RIGHT: Right = Right::Work;
    const ALLOWED_IN: fn(StatusCategory) -> bool = in_any_status;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        vec![]
    }

    fn decide(&self, ticket: &Ticket, _: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        check_text("subject", self.0.reveal(), MAX_SUBJECT)?;
        if ticket.subject == *self.0 {
            return Ok(vec![]);
        }
        Ok(vec![SubjectChanged { to: self.0.clone(), from: ticket.subject.clone() }.into()])
    }
}

/// Change who asked.
pub(super) struct SetRequester(pub(super) Option<CustomerId>);

impl Rule for SetRequester {
    const COMMUTES: bool = false;
    const RIGHT: Right = Right::Work;
    const ALLOWED_IN: fn(StatusCategory) -> bool = in_any_status;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        named([self.0.map(|id| Reference::Customer(id, "requester"))])
    }

    fn decide(&self, ticket: &Ticket, _: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        if ticket.requester == self.0 {
            return Ok(vec![]);
        }
        Ok(vec![RequesterChanged { to: self.0, from: ticket.requester }.into()])
    }
}

/// Put a tag on.
pub(super) struct AddTag<'a>(pub(super) &'a String);

impl Rule for AddTag<'_> {
    const COMMUTES: bool = true;
    const RIGHT: Right = Right::Work;
    const ALLOWED_IN: fn(StatusCategory) -> bool = in_any_status;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        vec![]
    }

    fn decide(&self, ticket: &Ticket, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        let tag = self.0;
        check_tag(tag)?;
        if ticket.tags.contains(tag) {
            return Ok(vec![]);
        }
        if ticket.tags.len() >= MAX_TAGS {
            return Err(Rejection::Limit { what: "tags", limit: MAX_TAGS as u64 });
        }
        Ok(with_policies(ticket, vec![TagAdded { tag: tag.clone() }.into()], SlaReason::TagsChanged, context))
    }
}

/// Take a tag off.
pub(super) struct RemoveTag<'a>(pub(super) &'a String);

impl Rule for RemoveTag<'_> {
    const COMMUTES: bool = true;
    const RIGHT: Right = Right::Work;
    const ALLOWED_IN: fn(StatusCategory) -> bool = in_any_status;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        vec![]
    }

    fn decide(&self, ticket: &Ticket, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        let tag = self.0;
        if !ticket.tags.contains(tag) {
            return Ok(vec![]);
        }
        Ok(with_policies(ticket, vec![TagRemoved { tag: tag.clone() }.into()], SlaReason::TagsChanged, context))
    }
}

fn check_tag(tag: &str) -> Result<(), Rejection> {
    check_text("tag", tag, MAX_TAG)?;
    if tag.chars().any(|c| c.is_control() || c == ',') || tag.trim() != tag {
        let reason = "a tag has no commas, control characters or blanks at its ends".into();
        return Err(Rejection::Invalid { field: "tag", reason });
    }
    Ok(())
}

/// Fill or empty a custom field.
pub(super) struct SetField<'a> {
    pub(super) field: &'a FieldKey,
    pub(super) value: Option<&'a FieldValue>,
}

impl Rule for SetField<'_> {
    const COMMUTES: bool = false;
    const RIGHT: Right = Right::Work;
    const ALLOWED_IN: fn(StatusCategory) -> bool = in_any_status;

    fn refers_to(&self) -> Vec<Reference<'_>> {
        // Emptied it may be although it was retired.
        named([self.value.map(|_| Reference::Field(self.field))])
    }

    fn decide(&self, ticket: &Ticket, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        let Self { field, value } = *self;
        let definition = context.desk.fields.get(field).map(|field| &field.definition);
        let definition = definition.ok_or_else(|| Rejection::not_found("field", field.as_str()))?;
        if let Some(value) = value {
            check_field(definition.field_type, &definition.options, value)?;
        }
        let from = ticket.fields.get(field);
        if from.map(Personal::reveal) == value {
            return Ok(vec![]);
        }
        let to = value.cloned().map(Personal::new);
        Ok(vec![FieldChanged { field: field.clone(), to, from: from.cloned() }.into()])
    }
}

fn check_field(field_type: FieldType, options: &[String], value: &FieldValue) -> Result<(), Rejection> {
    let invalid = |reason: String| Err(Rejection::Invalid { field: "value", reason });
    let known = |choice: &String| options.contains(choice);
    match (field_type, value) {
        (FieldType::Text, FieldValue::Text(text)) => check_text("value", text, MAX_FIELD_TEXT),
        (FieldType::Integer, FieldValue::Integer(_))
        | (FieldType::Boolean, FieldValue::Boolean(_))
        | (FieldType::Instant, FieldValue::Instant(_)) => Ok(()),
        (FieldType::Date, FieldValue::Date(date)) => match date.parse::<jiff::civil::Date>() {
            Ok(_) => Ok(()),
            Err(_) => invalid(format!("{date:?} is not a date: write it like 2026-11-22")),
        },
        (FieldType::Choice, FieldValue::Choice(choice)) if known(choice) => Ok(()),
        (FieldType::Choices, FieldValue::Choices(choices)) if choices.iter().all(known) => Ok(()),
        (FieldType::Choice | FieldType::Choices, FieldValue::Choice(_) | FieldValue::Choices(_)) => {
            invalid(format!("choose among {}", options.join(", ")))
        }
        (field_type, _) => invalid(format!("the field takes values of the type {field_type:?}").to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        ids::FieldKey,
        rejection::Rejection,
        ticket::{FieldValue, TicketCommand, tests::given_a_ticket},
    };

    #[test]
    fn a_custom_field_takes_only_values_of_its_type() {
        let set = |field: &str, value| TicketCommand::SetField { field: FieldKey::try_new(field).unwrap(), value };
        let invalid = |r: &Rejection| matches!(r, Rejection::Invalid { field: "value", .. });
        given_a_ticket()
            .when(1, set("size", Some(FieldValue::Choice("M".into()))))
            .and_it_happened()
            .when(2, set("size", Some(FieldValue::Choice("XXL".into()))))
            .then_refused(invalid)
            .when(2, set("count", Some(FieldValue::Text("three".into()))))
            .then_refused(invalid)
            .when(2, set("colour", None))
            .then_refused(|r| matches!(r, Rejection::NotFound { what: "field", .. }))
            .when(3, set("size", None))
            .then_it_is(|ticket| ticket.fields.is_empty());
    }
}
