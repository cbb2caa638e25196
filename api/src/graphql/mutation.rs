//! What can be changed. Every mutation takes one `input` (and the `id` of what it changes) and gives one payload; what the
//! rules refuse comes back as `userErrors`, and then nothing has changed. Each capability brings its own.

use async_graphql::MergedObject;

use super::{
    access::AccessMutations,
    desk::DeskMutations,
    people::PeopleMutations,
    sla::SlaMutations,
    ticket::{
        act::WorkMutations, assignment::AssignmentMutations, conversation::ConversationMutations,
        details::DetailsMutations, escalation::EscalationMutations, opening::OpeningMutations,
        presence::PresenceMutations, status::StatusMutations,
    },
};

/// What can be changed. Every mutation takes one `input` and gives one payload; what the rules refuse comes back as its
/// `userErrors`, and then nothing has changed.
#[derive(MergedObject, Default)]
pub struct Mutation(TicketMutations, AccessMutations, DeskMutations, PeopleMutations, SlaMutations);

/// What can be done to tickets.
#[derive(MergedObject, Default)]
pub struct TicketMutations(
    OpeningMutations,
    ConversationMutations,
    AssignmentMutations,
    StatusMutations,
    DetailsMutations,
    EscalationMutations,
    WorkMutations,
    PresenceMutations,
);
