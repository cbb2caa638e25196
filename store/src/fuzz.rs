//! What a fuzzer feeds: every decoder that meets bytes from a disk. Each must come back, whatever the bytes, and what it takes
//! for sound must stay the same when it is written and read again.

use docket_core::{event::DatedEvent, ids::Position};

use crate::{
    codec::{Block, BlockHead, IndexedCommit},
    filter::{LINE, Probe},
    journal::{frame, sound_frames, unframe},
    pages,
};

/// Frames, on their own and within other bytes.
pub fn frames(bytes: &[u8]) {
    if let Ok(payload) = unframe(bytes) {
        assert_eq!(frame(payload), bytes[..frame(payload).len()]);
    }
    let within: usize = sound_frames(bytes).map(<[u8]>::len).sum();
    assert!(within <= bytes.len());
    let _ = pages::look_up::<16>(bytes, &[7; 16]);
    let framed = frame(bytes);
    assert_eq!(unframe(&framed), Ok(bytes));
    let _ = pages::look_up::<17>(&framed, &[7; 17]);
    if let Some(line) = bytes.first_chunk::<LINE>() {
        let _ = Probe::new(bytes).may_be_in(line);
    }
}

/// Blocks, whole, their heads, and single commits out of them.
pub fn block(bytes: &[u8]) {
    let head = BlockHead::decode(bytes);
    // Whoever reads less must take the same blocks for sound.
    let indexed = IndexedCommit::of_block(bytes);
    let block = Block::decode(bytes);
    match (&block, &indexed) {
        (Ok(block), Ok(indexed)) => assert!(
            block.commits.iter().zip(indexed).all(|(commit, indexed)| { IndexedCommit::of(commit) == *indexed })
        ),
        (Err(one), Err(other)) => assert_eq!(one, other),
        // Fields that are named by numbers are read by serde and by nobody who looks for a name.
        (Err(why), Ok(_)) => assert!(why.is_newer(), "{why:?}"),
        (Ok(_), Err(why)) => panic!("a block that its index takes for unreadable: {why:?}"),
    }
    if let Ok(block) = block {
        let head = head.unwrap_or_else(|error| panic!("a block without a head: {error:?}"));
        assert_eq!((head.first, head.last()), (block.first, block.last()));
        for commit in &block.commits {
            assert_eq!(Block::decode_commit(bytes, commit.position).as_ref(), Ok(&**commit));
        }
        assert!(Block::decode_commit(bytes, block.last().next()).is_err());
    }
    let _ = Block::decode_commit(bytes, Position::new(1));
}

/// Single events.
pub fn event(bytes: &[u8]) {
    let Ok(event) = rmp_serde::from_slice::<DatedEvent>(bytes) else { return };
    // An unknown type is kept by name only.
    if matches!(event.event, docket_core::event::Event::Unknown { .. }) {
        return;
    }
    let written = rmp_serde::to_vec_named(&event).unwrap_or_else(|error| panic!("read, and not written: {error}"));
    let again: DatedEvent =
        rmp_serde::from_slice(&written).unwrap_or_else(|error| panic!("written, and not read: {error}"));
    assert_eq!(again, event);
}
