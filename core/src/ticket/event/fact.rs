//! What every event of a ticket has to say of itself. It is declared beside the event, so that no list elsewhere has to be
//! kept: an event that does not say it does not compile.

use crate::{personal::Body, ticket::words::SlaReason};

/// What folds and readers ask of any event.
pub(super) trait Fact {
    /// True for what customers may see on their own tickets: what is said to them and by them, and how the ticket stands.
    /// What the desk does among itself is internal.
    const PUBLIC: bool;

    /// Why policies are chosen anew after it; none when the choice does not look at what it changed.
    const POLICIES: Option<SlaReason>;

    /// The text that it carries or names, when it does.
    fn body(&self) -> Option<&Body>;
}

/// Declares the facts of events, one in a line. Nothing has a default: who leaves something out is asked for it.
macro_rules! facts {
    ($($name:ident { public: $public:literal, body: |$event:pat_param| $body:expr, policies: $policies:expr })*) => {$(
        impl $crate::ticket::event::fact::Fact for $name {
            const PUBLIC: bool = $public;
            const POLICIES: Option<$crate::ticket::words::SlaReason> = $policies;

            fn body(&self) -> Option<&$crate::personal::Body> {
                let $event = self;
                $body
            }
        }
    )*};
}
pub(super) use facts;
