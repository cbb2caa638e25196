//! The views: read models that can be thrown away and built again from the log.
//!
//! [`Views`] holds them all at one position. It is made of persistent collections: a reader takes a copy for the price of a
//! pointer, and sees one moment for as long as it likes while the views go on. [`LiveViews`] keeps a set up to date with a
//! log; [`rebuild`] makes a second one beside it; [`snapshot`] saves time at the next start and may be deleted.
//!
//! # Invariants
//! - A view is a function of the log: a rebuilt set equals the live one, byte for byte ([`Views::to_bytes`]).
//! - Nothing here acts: replays send, start and change nothing.

mod departures;
mod desk;
mod driver;
mod moments;
mod names;
mod people;
mod projection;
mod reapply;
mod rebuild;
mod report;
mod set;
pub mod snapshot;
mod tickets;
mod timers;
mod views;
mod what_if;

pub use departures::Departure;
pub use desk::DeskView;
pub use driver::{LiveViews, ViewError};
pub use moments::{Spacing, as_of};
pub use names::Names;
pub use people::{CustomerRow, PeopleView, TokenRow};
pub use projection::Projection;
pub use reapply::Reapplication;
pub use rebuild::{Progress, rebuild};
pub use report::{
    Backlog, Count, DurationStats, Fact, FactKind, GroupReport, GroupedReport, Report, ReportPeriod, ReportView,
    SlaReport, Totals,
};
pub use set::TicketSet;
pub use tickets::{
    Cursor, Direction, InvalidCursor, Order, Page, PageRequest, QueueCounters, Scopes, TicketFilter, TicketRow,
    TicketsView, Within,
};
pub use timers::{TimerEntry, TimersView};
pub use views::Views;
pub use what_if::{Comparison, Compliance, Tally, WhatIf};
