//! The desk as a view.

use std::sync::Arc;

use docket_core::{
    desk::{Desk, DeskEvent},
    event::{Commit, DatedEvent, Event},
    ids::Position,
};
use imbl::Vector;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};

use crate::projection::Projection;

/// The desk, kept together with the events that made it: a snapshot holds those, and folds them again.
#[derive(Debug, Clone, Default)]
pub struct DeskView {
    /// Shared with older views, as the desk's maps are: a change copies neither.
    history: Vector<(Position, DatedEvent)>,
    desk: Arc<Desk>,
}

impl DeskView {
    /// The present desk with every version of its policies and calendars.
    pub const fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// Position of the commit that the desk is as it is since.
    pub fn version(&self) -> Position {
        self.history.last().map_or(Position::START, |(position, _)| *position)
    }

    /// True when the commit changes a calendar in which people are told of deadlines.
    pub(crate) fn told_otherwise_by(&self, commit: &Commit) -> bool {
        commit.events.iter().any(|event| {
            if let Event::Desk(event) = &event.event
                && let DeskEvent::CalendarDefined(e) = &**event
            {
                self.desk.tells_in(&e.calendar.key)
            } else {
                false
            }
        })
    }

    fn add(&mut self, position: Position, event: &DatedEvent) {
        if let Event::Desk(desk_event) = &event.event {
            Arc::make_mut(&mut self.desk).evolve(desk_event, position);
            self.history.push_back((position, event.clone()));
        }
    }
}

impl Projection for DeskView {
    fn apply(&mut self, commit: &Commit) {
        for event in &commit.events {
            self.add(commit.position, event);
        }
    }
}

// By field name, as in the log: definitions leave out what is not set, which a snapshot's positional form cannot.
impl Serialize for DeskView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = rmp_serde::to_vec_named(&self.history).map_err(S::Error::custom)?;
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for DeskView {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = Vec<(Position, DatedEvent)>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the desk's events")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                rmp_serde::from_slice(bytes).map_err(E::custom)
            }
        }
        let mut view = Self::default();
        for (position, event) in deserializer.deserialize_bytes(Bytes).map_err(D::Error::custom)? {
            view.add(position, &event);
        }
        Ok(view)
    }
}
