//! The stored bytes of every event, as they were first released: they decode for ever, and what they say is written as it was.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::collections::BTreeSet;

use docket_core::{
    access::AccessEvent,
    customer::CustomerEvent,
    desk::DeskEvent,
    event::{DatedEvent, Event, EventFamily, EventOutline},
    request::RequestEvent,
    ticket::TicketEvent,
};

/// Each line holds the bytes of an event, hexadecimal, and the event as JSON.
const GOLDEN: &str = include_str!("golden/events.txt");

#[test]
fn the_bytes_of_every_event_decode_for_ever_and_are_written_as_ever() {
    let mut types = BTreeSet::new();
    for line in GOLDEN.lines() {
        let (bytes, json) = line.split_once(' ').unwrap();
        let bytes = hex::decode(bytes).unwrap();
        let event: DatedEvent = rmp_serde::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {json}"));
        assert!(!matches!(event.event, Event::Unknown { .. }), "{json}");
        assert_eq!(serde_json::from_str::<DatedEvent>(json).unwrap(), event);
        assert_eq!(serde_json::to_string(&event).unwrap(), json);
        assert_eq!(hex::encode(rmp_serde::to_vec_named(&event).unwrap()), hex::encode(&bytes), "{json}");
        let outline: EventOutline<'_> = rmp_serde::from_slice(&bytes).unwrap();
        let (type_name, version) = (event.event.type_name(), event.event.version());
        assert_eq!(
            (outline.occurred_at, &*outline.type_name, outline.version),
            (event.occurred_at, type_name, version)
        );
        types.insert((type_name.to_owned(), version));
    }
    let families =
        [TicketEvent::TYPES, CustomerEvent::TYPES, DeskEvent::TYPES, AccessEvent::TYPES, RequestEvent::TYPES];
    let all: BTreeSet<_> = families.concat().into_iter().map(|(name, version)| (name.to_owned(), version)).collect();
    assert_eq!(all.difference(&types).collect::<Vec<_>>(), Vec::<&(String, u16)>::new(), "without golden bytes");
}
