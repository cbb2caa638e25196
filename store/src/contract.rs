//! The contract that every [`EventLog`] keeps, as tests. Each takes a fresh, empty log.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "these are tests")]

use std::sync::Arc;

use docket_core::{
    event::{Actor, Cause, CauseKind, DatedEvent},
    ids::{CommitId, CorrelationId, Position, StreamId, TicketId},
    ticket::{TagAdded, TicketEvent},
    time::Timestamp,
};

use crate::log::{Append, AppendError, EventLog, Expected, Follower, Guard, MAX_GUARDS, Page, ReadError};

/// Makes a test of every part of the contract. `$log` is an expression for a function that gives a fresh log and whatever
/// must live as long.
#[macro_export]
macro_rules! contract_suite {
    ($log:expr) => {
        $crate::contract_suite!(@ $log;
            positions_are_contiguous_and_commits_read_back
            of_racing_appends_exactly_one_wins
            a_stream_is_created_once
            a_commit_id_is_stored_once
            guards_hold_with_the_streams_own_expectation_or_nothing_is_stored
            two_streams_cannot_be_merged_into_each_other
            an_address_is_taken_once
            guards_are_bounded
            what_is_found_can_be_read
            limits_hold_before_anything_is_written
            a_page_is_bounded_by_bytes_and_never_empty
            a_follower_sees_each_commit_once_and_in_order
            a_follower_ahead_of_the_log_is_told_so
        );

        #[test]
        fn a_batch_is_judged_in_order() {
            let (log, _keep) = $log();
            $crate::contract::a_batch_is_judged_in_order(&*log);
        }
    };
    (@ $log:expr; $($name:ident)*) => {$(
        #[tokio::test]
        async fn $name() {
            let (log, _keep) = $log();
            $crate::contract::$name(log).await;
        }
    )*};
}

/// A ticket's stream.
pub fn stream(n: u32) -> StreamId {
    StreamId::Ticket(TicketId::derived(Timestamp::from_millis(0), &["contract", &n.to_string()]))
}

/// A commit of one small event; the same `n` gives the same commit id.
pub fn append(n: u32, stream: StreamId, expected: Expected) -> Append {
    tagged(n, stream, expected, &[format!("tag {n}")])
}

fn tagged(n: u32, stream: StreamId, expected: Expected, tags: &[String]) -> Append {
    let at = Timestamp::from_millis(1_700_000_000_000);
    let event = |tag: &String| DatedEvent::new(at, TicketEvent::from(TagAdded { tag: tag.clone() }));
    Append {
        id: CommitId::derived(at, &["contract", &n.to_string()]),
        stream,
        expected,
        guards: Vec::new(),
        events: tags.iter().map(event).collect(),
        recorded_at: at,
        actor: Actor::System,
        cause: Cause::of(CauseKind::Request),
        correlation: CorrelationId::derived(at, &["contract"]),
        token: None,
        request: None,
    }
}

/// Positions are contiguous from 1, and everything is read back as it was written.
pub async fn positions_are_contiguous_and_commits_read_back(log: Arc<dyn EventLog>) {
    assert_eq!(log.head().position, Position::START);
    let tags: Vec<String> = (0..5).map(|n| format!("t{n}")).collect();
    let mut previous = Position::START;
    for n in 1..=20 {
        let wanted = tagged(n, stream(1), Expected::At(previous), &tags);
        let wanted = if n == 1 { Append { expected: Expected::NoStream, ..wanted } } else { wanted };
        let position = log.append(wanted.clone()).await.unwrap();
        assert_eq!(position, Position::new(u64::from(n)));
        let commit = log.read_stream(stream(1), previous).unwrap().pop().unwrap();
        assert_eq!((commit.position, commit.previous, commit.id), (position, previous, wanted.id));
        assert_eq!(commit.events, wanted.events);
        previous = position;
    }
    assert_eq!(log.head().position, Position::new(20));
    let all = log.read_all(Position::START, 100).unwrap();
    assert_eq!(all.len(), 20);
    assert_eq!(log.read_all(Position::new(17), 2).unwrap(), all[17..19]);
    let scanned: Vec<_> = log.scan(Position::new(5)).unwrap().map(Result::unwrap).collect();
    assert_eq!(scanned, all[5..]);
}

/// Of N racing appends with the same expectation exactly one wins; the others learn the actual version.
pub async fn of_racing_appends_exactly_one_wins(log: Arc<dyn EventLog>) {
    for round in 0..20 {
        let base = round * 100;
        let first = log.append(append(base, stream(round), Expected::NoStream)).await.unwrap();
        let racing = (1..=16).map(|n| log.append(append(base + n, stream(round), Expected::At(first))));
        let answers = futures(racing).await;
        let won: Vec<Position> = answers.iter().filter_map(|answer| answer.as_ref().ok().copied()).collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        for answer in answers.iter().filter(|answer| answer.is_err()) {
            assert!(matches!(answer, Err(AppendError::Conflict { actual, .. }) if *actual == won[0]), "{answer:?}");
        }
    }
}

/// Nobody can create a stream that is there.
pub async fn a_stream_is_created_once(log: Arc<dyn EventLog>) {
    let racing = (0..16).map(|n| log.append(append(n, stream(1), Expected::NoStream)));
    assert_eq!(futures(racing).await.iter().filter(|answer| answer.is_ok()).count(), 1);
    let error = log.append(append(99, stream(2), Expected::At(Position::new(1)))).await.unwrap_err();
    assert!(matches!(error, AppendError::Conflict { actual: Position::START, .. }), "{error}");
}

/// The same commit id is stored once; later submissions get the first answer, even when racing.
pub async fn a_commit_id_is_stored_once(log: Arc<dyn EventLog>) {
    let first = log.append(append(1, stream(1), Expected::NoStream)).await.unwrap();
    log.append(append(2, stream(1), Expected::At(first))).await.unwrap();
    let again = log.append(append(1, stream(1), Expected::NoStream)).await.unwrap();
    assert_eq!(again, first);
    let racing = (0..16).map(|_| log.append(append(3, stream(2), Expected::NoStream)));
    let answers = futures(racing).await;
    assert!(answers.iter().all(|answer| *answer == Ok(Position::new(3))), "{answers:?}");
    assert_eq!(log.head().position, Position::new(3));
    assert_eq!(log.find(append(3, stream(2), Expected::Any).id).unwrap(), Some(Position::new(3)));
    assert_eq!(log.find(append(4, stream(2), Expected::Any).id).unwrap(), None);
}

/// Guards are checked with the append's own expectation: all hold, or nothing is stored and the first that does not is named.
pub async fn guards_hold_with_the_streams_own_expectation_or_nothing_is_stored(log: Arc<dyn EventLog>) {
    let one = log.append(append(1, stream(1), Expected::NoStream)).await.unwrap();
    let two = log.append(append(2, stream(2), Expected::NoStream)).await.unwrap();
    let guarded = |n, expected, guards: &[(u32, Expected)]| {
        let guard = |(on, expected): &(u32, Expected)| Guard { stream: stream(*on), expected: *expected };
        Append { guards: guards.iter().map(guard).collect(), ..append(n, stream(1), expected) }
    };
    let refused = [
        // The stream's own expectation is looked at first.
        (guarded(3, Expected::At(two), &[(2, Expected::NoStream)]), 1, one),
        (guarded(4, Expected::At(one), &[(2, Expected::NoStream)]), 2, two),
        (guarded(5, Expected::At(one), &[(2, Expected::At(one))]), 2, two),
        (guarded(6, Expected::Any, &[(2, Expected::At(two)), (3, Expected::At(two))]), 3, Position::START),
        (guarded(7, Expected::Any, &[(3, Expected::NoStream), (1, Expected::NoStream)]), 1, one),
    ];
    for (wanted, on, stands) in refused {
        let id = wanted.id;
        let error = log.append(wanted).await.unwrap_err();
        let named =
            matches!(error, AppendError::Conflict { stream: s, actual, .. } if s == stream(on) && actual == stands);
        assert!(named, "{error}");
        assert_eq!(log.find(id).unwrap(), None);
    }
    assert_eq!(log.head().position, two);
    let all = [(2, Expected::At(two)), (1, Expected::At(one)), (3, Expected::NoStream), (4, Expected::Any)];
    let wanted = guarded(8, Expected::At(one), &all);
    let stored = log.append(wanted.clone()).await.unwrap();
    let commit = log.read_stream(stream(1), one).unwrap().pop().unwrap();
    assert_eq!((commit.position, commit.events.clone()), (stored, wanted.events.clone()));
    // Guards are no part of what is stored, and the first answer stands when they do not hold any more.
    assert!(log.read_stream(stream(3), Position::START).unwrap().is_empty());
    assert_eq!(log.append(wanted).await.unwrap(), stored);
    // What was looked up for a guard moves on with its stream.
    let moved = log.append(append(9, stream(2), Expected::At(two))).await.unwrap();
    let error = log.append(guarded(10, Expected::At(stored), &[(2, Expected::At(two))])).await.unwrap_err();
    assert!(matches!(error, AppendError::Conflict { actual, .. } if actual == moved), "{error}");
    log.append(guarded(11, Expected::At(stored), &[(2, Expected::At(moved))])).await.unwrap();
}

/// Two tickets that are merged into each other at once, by sixteen clients: each merges one and looks at the other, and one of
/// them wins.
pub async fn two_streams_cannot_be_merged_into_each_other(log: Arc<dyn EventLog>) {
    for round in 0..25 {
        let (base, pair) = (round * 100, [stream(2 * round), stream(2 * round + 1)]);
        let mut seen = Vec::new();
        for (n, stream) in (0_u32..).zip(pair) {
            seen.push(log.append(append(base + n, stream, Expected::NoStream)).await.unwrap());
        }
        let merges = (0..16_u32).map(|client| {
            let (source, target) = if client % 2 == 0 { (0, 1) } else { (1, 0) };
            let guards = vec![Guard { stream: pair[target], expected: Expected::At(seen[target]) }];
            let merge = Append { guards, ..append(base + 10 + client, pair[source], Expected::At(seen[source])) };
            let log = Arc::clone(&log);
            tokio::task::spawn_blocking(move || log.append_all(vec![merge]).pop().unwrap())
        });
        let mut won = 0;
        for merge in merges.collect::<Vec<_>>() {
            won += u32::from(merge.await.unwrap().is_ok());
        }
        assert_eq!(won, 1, "round {round}");
        let commits = |stream| log.read_stream(stream, Position::START).unwrap().len();
        assert_eq!(commits(pair[0]) + commits(pair[1]), 3, "round {round}");
    }
}

/// An address has a stream of its own, whose first commit says whose it is; a guard holds on to that customer. Of sixteen who
/// take it at once one has it, and nobody takes it for a customer who has changed meanwhile.
pub async fn an_address_is_taken_once(log: Arc<dyn EventLog>) {
    for round in 0..25 {
        let base = round * 100;
        let address = stream(base);
        let mut customers = Vec::new();
        for n in 1..=16 {
            customers.push((
                stream(base + n),
                log.append(append(base + n, stream(base + n), Expected::NoStream)).await.unwrap(),
            ));
        }
        // Half of them have been changed since they were looked at.
        for (n, (customer, seen)) in (50..).zip(customers.iter().step_by(2)) {
            log.append(append(base + n, *customer, Expected::At(*seen))).await.unwrap();
        }
        let taken = (0_u32..).zip(&customers).map(|(n, (customer, seen))| {
            let guards = vec![Guard { stream: *customer, expected: Expected::At(*seen) }];
            let take = Append { guards, ..append(base + 70 + n, address, Expected::NoStream) };
            let log = Arc::clone(&log);
            tokio::task::spawn_blocking(move || log.append_all(vec![take]).pop().unwrap())
        });
        let mut won = Vec::new();
        for (n, take) in taken.collect::<Vec<_>>().into_iter().enumerate() {
            if take.await.unwrap().is_ok() {
                won.push(n);
            }
        }
        assert!(matches!(won[..], [one] if one % 2 == 1), "round {round}: {won:?}");
        assert_eq!(log.read_stream(address, Position::START).unwrap().len(), 1);
    }
}

/// A thousand guards are refused before anything is looked up.
pub async fn guards_are_bounded(log: Arc<dyn EventLog>) {
    let guarded = |n: u32, guards: usize| {
        let guards = vec![Guard { stream: stream(9), expected: Expected::NoStream }; guards];
        Append { guards, ..append(n, stream(1), Expected::Any) }
    };
    let error = log.append(guarded(1, 1000)).await.unwrap_err();
    assert_eq!(error, AppendError::TooManyGuards { guards: 1000, limit: MAX_GUARDS });
    assert_eq!(log.head().position, Position::START);
    log.append(guarded(2, MAX_GUARDS)).await.unwrap();
}

/// A commit that is found by its id can be read, also while it is being stored: whoever meets its own id again reads it.
pub async fn what_is_found_can_be_read(log: Arc<dyn EventLog>) {
    const COMMITS: u32 = 2_000;
    let looking = Arc::clone(&log);
    let looker = std::thread::spawn(move || {
        for n in 0..COMMITS {
            let id = append(n, stream(n % 7), Expected::Any).id;
            let position = loop {
                match looking.find(id).unwrap() {
                    Some(position) => break position,
                    None => std::hint::spin_loop(),
                }
            };
            let read = looking.read_all(Position::new(position.get() - 1), 1).unwrap();
            assert_eq!(read.first().map(|commit| commit.id), Some(id), "commit {n} was found at {position}");
        }
    });
    for n in 0..COMMITS {
        log.append(append(n, stream(n % 7), Expected::Any)).await.unwrap();
    }
    looker.join().unwrap();
}

/// Limits hold before anything is written.
pub async fn limits_hold_before_anything_is_written(log: Arc<dyn EventLog>) {
    let with = |tags: &[String]| tagged(1, stream(1), Expected::NoStream, tags);
    let long = "x".repeat(70_000);
    let error = log.append(with(&[long])).await.unwrap_err();
    assert!(matches!(error, AppendError::EventTooLarge { index: 0, limit: 65_536, .. }), "{error}");
    let many = vec!["x".repeat(60_000); 5];
    let error = log.append(with(&many)).await.unwrap_err();
    assert!(matches!(error, AppendError::CommitTooLarge { limit: 262_144, .. }), "{error}");
    assert_eq!(log.append(with(&[])).await, Err(AppendError::Empty));
    assert_eq!(log.head().position, Position::START);
    // The largest that fits is stored and read back.
    let large = vec!["x".repeat(60_000); 4];
    let position = log.append(with(&large)).await.unwrap();
    assert_eq!(log.read_all(Position::START, 10).unwrap()[0].events.len(), 4);
    assert_eq!(position, Position::new(1));
}

/// A page holds as many commits as fit into its bytes, and one that is longer by itself.
pub async fn a_page_is_bounded_by_bytes_and_never_empty(log: Arc<dyn EventLog>) {
    let long = "x".repeat(20_000);
    for n in 0..12 {
        let tags = if n == 6 { vec![long.clone(); 3] } else { vec![long.clone()] };
        log.append(tagged(n, stream(n % 3), Expected::Any, &tags)).await.unwrap();
    }
    let all = log.read_all(Position::START, 100).unwrap();
    let mut pages = Vec::new();
    let mut after = Position::START;
    loop {
        let page = log.read_page(after, Page { commits: 100, bytes: 45_000 }).unwrap();
        let Some(last) = page.last() else { break };
        after = last.position;
        pages.push(page);
    }
    assert_eq!(pages.concat(), all);
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2, 1, 2, 2, 1]);
    let none = log.read_page(Position::START, Page { commits: 100, bytes: 0 }).unwrap();
    assert_eq!(none, all[..1], "the first one always comes");
    assert_eq!(log.read_page(Position::START, Page { commits: 0, bytes: 1_000 }).unwrap(), []);
    assert_eq!(log.read_last(stream(99)).unwrap(), None);
    for n in 0..3 {
        let positions = |after| log.stream_positions(stream(n), after).unwrap();
        let read = |after| log.read_stream(stream(n), after).unwrap();
        assert_eq!(log.read_last(stream(n)).unwrap(), read(Position::START).pop());
        let expected: Vec<_> = read(Position::START).iter().map(|commit| commit.position).collect();
        assert_eq!(positions(Position::START), expected);
        assert_eq!(positions(expected[1]), expected[2..]);
    }
}

/// Many commits at once are judged in order, each on its own.
pub fn a_batch_is_judged_in_order(log: &dyn EventLog) {
    let batch = vec![
        append(1, stream(1), Expected::NoStream),
        append(2, stream(1), Expected::At(Position::new(1))),
        append(3, stream(1), Expected::At(Position::new(1))),
        append(4, stream(2), Expected::NoStream),
        append(1, stream(1), Expected::NoStream),
    ];
    let answers = log.append_all(batch);
    assert_eq!(answers[0], Ok(Position::new(1)));
    assert_eq!(answers[1], Ok(Position::new(2)));
    assert!(matches!(&answers[2], Err(AppendError::Conflict { actual, .. }) if *actual == Position::new(2)));
    assert_eq!(answers[3], Ok(Position::new(3)));
    assert_eq!(answers[4], Ok(Position::new(1)));
}

/// A follower sees each commit once and in order, also when it starts late and writers are busy.
pub async fn a_follower_sees_each_commit_once_and_in_order(log: Arc<dyn EventLog>) {
    const COMMITS: u32 = 6_000;
    const THERE: u32 = 1_000;
    let there = (0..THERE).map(|n| log.append(append(n, stream(n % 97), Expected::Any)));
    assert!(futures(there).await.into_iter().all(|stored| stored.is_ok()));
    let writers = (0..4_u32).map(|writer| {
        let log = Arc::clone(&log);
        async move {
            for n in (THERE + writer..COMMITS).step_by(4) {
                log.append(append(n, stream(n % 97), Expected::Any)).await.unwrap();
            }
        }
    });
    let follow = |after: u64| {
        let log = Arc::clone(&log);
        async move {
            let mut follower = Follower::new(log, Position::new(after), Page::LARGE).unwrap();
            let mut next = after + 1;
            while next <= u64::from(COMMITS) {
                for commit in follower.next().await.unwrap().unwrap() {
                    assert_eq!(commit.position.get(), next);
                    next += 1;
                }
            }
        }
    };
    tokio::join!(futures(writers), follow(0), follow(u64::from(THERE)));
    // A late one falls back to reading.
    follow(0).await;
}

/// All futures at once on this task.
async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = all.map(|future| Some(Box::pin(future))).collect();
    let mut done: Vec<Option<F::Output>> = pending.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (slot, result) in pending.iter_mut().zip(&mut done) {
            if let Some(future) = slot
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                *result = Some(output);
                *slot = None;
            }
        }
        if pending.iter().all(Option::is_none) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// A checkpoint that the log has not come to is another log's, or a restored one's.
pub async fn a_follower_ahead_of_the_log_is_told_so(log: Arc<dyn EventLog>) {
    log.append(append(1, stream(1), Expected::NoStream)).await.unwrap();
    assert!(Follower::new(Arc::clone(&log), Position::new(1), Page::SMALL).is_ok());
    let refused = Follower::new(log, Position::new(2), Page::SMALL).err();
    assert!(matches!(refused, Some(ReadError::Ahead { after, head }) if (after.get(), head.get()) == (2, 1)));
}
