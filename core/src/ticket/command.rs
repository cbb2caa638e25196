//! What may be asked of a ticket: one enum over the commands of all capabilities.
//!
//! This file only gathers commands and hands each to its rule. What a command leads to and what it needs is in the file of
//! its capability.

use super::{
    assignment::{AssignAgent, AssignTeam, Follow, Transfer, Unfollow},
    conversation::{AddNote, LogCall, Message, Note, Receive, Send},
    details::{AddTag, RemoveTag, SetCategory, SetField, SetPriority, SetRequester, SetSubject},
    escalation::{Escalate, LowerEscalation},
    event::TicketEvent,
    opening::Opening,
    policies::ReapplyPolicies,
    rule::{Context, Right, Rule, judge},
    state::Ticket,
    status::StatusWish,
    words::{FieldValue, Priority, TimerCommand},
};
use crate::{
    ids::{AgentKey, CategoryKey, CustomerId, FieldKey, QueueKey, TeamKey},
    personal::Personal,
    rejection::Rejection,
};

/// A wish. `decide` says what it leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum TicketCommand {
    /// Open the ticket.
    Open(Opening),
    /// A customer writes.
    Receive {
        /// The text.
        message: Message,
        /// Who writes.
        from: Option<CustomerId>,
    },
    /// An agent writes to the customer.
    Send {
        /// The text.
        message: Message,
        /// Who writes.
        agent: Option<AgentKey>,
    },
    /// An agent notes something internal.
    AddNote {
        /// The text.
        note: Note,
        /// Who writes.
        agent: Option<AgentKey>,
    },
    /// Put a call on record.
    LogCall(LogCall),
    /// Give the ticket to an agent, or to nobody.
    AssignAgent(Option<AgentKey>),
    /// Make a team responsible, or none.
    AssignTeam(Option<TeamKey>),
    /// Move it to another queue.
    Transfer(QueueKey),
    /// Change the status, also to and from finished ones.
    SetStatus(StatusWish),
    /// Change the priority.
    SetPriority(Priority),
    /// Change the category.
    SetCategory(Option<CategoryKey>),
    /// Change the subject.
    SetSubject(Personal<String>),
    /// Change who asked.
    SetRequester(Option<CustomerId>),
    /// Put a tag on.
    AddTag(String),
    /// Take a tag off.
    RemoveTag(String),
    /// Fill or empty a custom field.
    SetField {
        /// The field.
        field: FieldKey,
        /// The value; none empties it.
        value: Option<FieldValue>,
    },
    /// Let an agent follow it.
    Follow(AgentKey),
    /// Let an agent not follow it any more.
    Unfollow(AgentKey),
    /// Raise it to a higher level.
    Escalate(Escalate),
    /// Lower it again.
    LowerEscalation(LowerEscalation),
    /// Apply the present versions of the policies and calendars, unless it is done.
    ReapplyPolicies,
    /// Something came due.
    Timer(TimerCommand),
}

/// Hands the rule of a command to an expression: the one list of commands and their rules.
macro_rules! with_rule {
    ($command:expr, $rule:ident => $then:expr) => {
        with_rule!(@match $command, $rule, $then, {
            Open(opening) => opening,
            Receive { message, from } => &Receive { message, from: *from },
            Send { message, agent } => &Send { message, agent: agent.as_ref() },
            AddNote { note, agent } => &AddNote { note, agent: agent.as_ref() },
            LogCall(call) => call,
            AssignAgent(agent) => &AssignAgent(agent.as_ref()),
            AssignTeam(team) => &AssignTeam(team.as_ref()),
            Transfer(queue) => &Transfer(queue),
            SetStatus(wish) => wish,
            SetPriority(priority) => &SetPriority(*priority),
            SetCategory(category) => &SetCategory(category.as_ref()),
            SetSubject(subject) => &SetSubject(subject),
            SetRequester(customer) => &SetRequester(*customer),
            AddTag(tag) => &AddTag(tag),
            RemoveTag(tag) => &RemoveTag(tag),
            SetField { field, value } => &SetField { field, value: value.as_ref() },
            Follow(agent) => &Follow(agent),
            Unfollow(agent) => &Unfollow(agent),
            Escalate(wish) => wish,
            LowerEscalation(wish) => wish,
            ReapplyPolicies => &ReapplyPolicies,
            Timer(timer) => timer,
        })
    };
    (@match $command:expr, $rule:ident, $then:expr, {
        $($variant:ident $(($field:ident))? $({ $($part:ident),* })? => $made:expr,)*
    }) => {
        match $command {$(
            TicketCommand::$variant $(($field))? $({ $($part),* })? => {
                let $rule = $made;
                $then
            }
        )*}
    };
}

impl TicketCommand {
    /// True when the command means the same whatever else happened to the ticket meanwhile, so that it may be decided
    /// again after a conflict. A reply, a status or an assignment was meant for what its author saw.
    pub const fn commutes(&self) -> bool {
        const fn commutes<R: Rule>(_: &R) -> bool {
            R::COMMUTES
        }
        with_rule!(self, rule => commutes(rule))
    }

    /// What somebody must be allowed to, to give it.
    pub const fn right(&self) -> Right {
        const fn right<R: Rule>(_: &R) -> Right {
            R::RIGHT
        }
        with_rule!(self, rule => right(rule))
    }

    /// True for what customers may do on their own tickets; everything else is work.
    pub const fn asks(&self) -> bool {
        matches!(self.right(), Right::Ask)
    }

    /// What its rule makes of it.
    pub(super) fn judge(&self, state: Option<&Ticket>, context: &Context<'_>) -> Result<Vec<TicketEvent>, Rejection> {
        with_rule!(self, rule => judge(rule, state, context))
    }
}
