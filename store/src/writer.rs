//! The one thread that writes. It takes whatever appends are waiting, judges them, and makes them durable together.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use docket_core::{
    event::Commit,
    ids::{CommitId, Position, StreamId},
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    codec::{BlockBuilder, BlockHash, EncodedAppend},
    expect::checked,
    journal::{JournalWriter, frame},
    log::{AppendError, Head, ReadError},
    sled_log::{Shared, mark_clean, new_volume},
    volume::LiveVolume,
};

/// An append on its way to the writer.
pub struct Submission {
    pub encoded: EncodedAppend,
    pub answer: oneshot::Sender<Result<Position, AppendError>>,
}

/// Appends that become durable together, at most. More would only make the first ones wait.
const GROUP_APPENDS: usize = 2048;
const GROUP_BYTES: usize = 1024 * 1024;
/// Streams of a group's guards that are looked through one by one.
const GUARDED_NEAR: usize = 4;
/// Streams whose place is kept for guards, at most.
const GUARDED: usize = 1024;
/// sled puts values beyond a quarter of a segment (128 KiB) into files of their own, so blocks stay below; a larger commit
/// is a block by itself. Leaves of several blocks become such files all the same: they are synced with the rest.
const BLOCK_BYTES: usize = 96 * 1024;

/// How long it is taken for granted that directory and lock are where they were; the journal is looked at for every group. All
/// three would cost a lone writer a twentieth.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub struct Writer {
    shared: Arc<Shared>,
    journal: JournalWriter,
    live: Arc<LiveVolume>,
    volume_bytes: u64,
    sealing: Vec<JoinHandle<()>>,
    looked: Instant,
    /// Where the streams stand that guards named lately. One that ended volumes ago would otherwise be looked up in seals for
    /// every append; nobody else writes, so what is known stays true.
    guarded: HashMap<StreamId, Position>,
}

/// A group on its way to the disk.
struct Group {
    head: Head,
    frames: Vec<u8>,
    blocks: Vec<(Position, Vec<u8>)>,
    open: BlockBuilder,
    /// Each with its encoded length.
    commits: Vec<(Commit, usize)>,
    latest: HashMap<StreamId, Position>,
    /// Where the first streams stand that its guards name: most commits are guarded by the same one, the desk.
    guarded: Vec<(StreamId, Position)>,
    ids: HashMap<CommitId, Position>,
    waiting: Vec<(oneshot::Sender<Result<Position, AppendError>>, Position)>,
}

impl Writer {
    pub fn new(shared: Arc<Shared>, journal: JournalWriter, live: Arc<LiveVolume>, volume_bytes: u64) -> Self {
        Self {
            shared,
            journal,
            live,
            volume_bytes,
            sealing: Vec::new(),
            looked: Instant::now(),
            guarded: HashMap::new(),
        }
    }

    /// Runs until every sender is gone and everything submitted is answered.
    pub fn run(mut self, mut submissions: mpsc::Receiver<Submission>) {
        while let Some(first) = submissions.blocking_recv() {
            let mut bytes = first.encoded.max_bytes();
            let mut taken = vec![first];
            // Whatever waits already comes along; nobody is waited for.
            while taken.len() < GROUP_APPENDS && bytes < GROUP_BYTES {
                let Ok(next) = submissions.try_recv() else { break };
                bytes += next.encoded.max_bytes();
                taken.push(next);
            }
            self.write_group(taken);
        }
        for sealing in self.sealing.drain(..) {
            let _ = sealing.join();
        }
        if self.shared.poisoned().is_none() && !self.shared.suspect() {
            let head = *self.shared.head.borrow();
            let marked = self
                .still_there()
                .and_then(|()| mark_clean(&self.live, head, self.journal.bytes()).map_err(|error| error.to_string()));
            if let Err(reason) = marked {
                tracing::warn!(reason, "the next start will rebuild the newest volume's database");
            }
        }
    }

    fn write_group(&mut self, taken: Vec<Submission>) {
        if let Some(reason) = self.shared.poisoned() {
            let poisoned = AppendError::Poisoned { reason: reason.to_owned() };
            for submission in taken {
                let _ = submission.answer.send(Err(poisoned.clone()));
            }
            return;
        }
        if let Some(no_space) = self.shared.no_space() {
            for submission in taken {
                let _ = submission.answer.send(Err(no_space.clone()));
            }
            return;
        }
        let head = *self.shared.head.borrow();
        let mut group = Group {
            head,
            frames: Vec::new(),
            blocks: Vec::new(),
            open: BlockBuilder::new(head.position.next(), head.position.next()),
            commits: Vec::new(),
            latest: HashMap::new(),
            guarded: Vec::new(),
            ids: HashMap::new(),
            waiting: Vec::new(),
        };
        for Submission { encoded, answer } in taken {
            match self.judge(&mut group, encoded) {
                Ok(position) if position <= head.position => _ = answer.send(Ok(position)),
                Ok(position) => group.waiting.push((answer, position)),
                Err(error) => _ = answer.send(Err(error)),
            }
        }
        group.finish_block();
        if group.commits.is_empty() {
            return;
        }
        match self.make_durable(&mut group) {
            Ok(()) => {
                for (answer, position) in group.waiting {
                    let _ = answer.send(Ok(position));
                }
                if self.journal.bytes() >= self.volume_bytes {
                    self.roll();
                }
            }
            Err(reason) => {
                self.shared.poison(reason.clone());
                for (answer, _) in group.waiting {
                    let _ = answer.send(Err(AppendError::Poisoned { reason: reason.clone() }));
                }
            }
        }
    }

    /// Gives an append its place in the group, or the place that it has already.
    fn judge(&mut self, group: &mut Group, encoded: EncodedAppend) -> Result<Position, AppendError> {
        let unreadable = |error: ReadError| AppendError::Read(error.to_string());
        let append = &encoded.append;
        if let Some(position) = group.ids.get(&append.id) {
            return Ok(*position);
        }
        if let Some(position) = self.shared.find(&append.id).map_err(unreadable)? {
            return Ok(position);
        }
        let (shared, guarded) = (&self.shared, &mut self.guarded);
        let own = append.stream;
        let actual = checked(append, |stream| {
            if *stream != own
                && let Some((_, position)) = group.guarded.iter().find(|(guarded, _)| guarded == stream)
            {
                return Ok(*position);
            }
            let known = group.latest.get(stream).or_else(|| guarded.get(stream)).copied();
            let position = match known {
                Some(position) => position,
                None => shared.latest(stream).map_err(unreadable)?,
            };
            if *stream != own {
                if known.is_none() {
                    if guarded.len() >= GUARDED {
                        guarded.clear();
                    }
                    guarded.insert(*stream, position);
                }
                if group.guarded.len() < GUARDED_NEAR {
                    group.guarded.push((*stream, position));
                }
            }
            Ok(position)
        })?;
        if !group.open.is_empty() && group.open.bytes() + encoded.max_bytes() > BLOCK_BYTES {
            group.finish_block();
        }
        let position = group.commits.last().map_or(group.head.position, |(commit, _)| commit.position).next();
        // The head of a group moves with its blocks; commits of the open block come after it.
        group.ids.insert(append.id, position);
        group.latest.insert(own, position);
        if let Some(guarded) = group.guarded.iter_mut().find(|(guarded, _)| *guarded == own) {
            guarded.1 = position;
        }
        group.open.push(&encoded, position, actual);
        let bytes = encoded.max_bytes();
        group.commits.push((encoded.into_commit(position, actual), bytes));
        Ok(position)
    }

    /// What was just written is where the next start looks for it, and nobody else can have got the right to write.
    fn still_there(&self) -> Result<(), String> {
        self.journal.still_there().and_then(|()| self.shared.still_there())
    }

    /// Journal, sync, a look at where all this went, database, then the readers: in this order.
    fn make_durable(&mut self, group: &mut Group) -> Result<(), String> {
        let written_at = self.journal.bytes();
        self.journal
            .append_durably(&group.frames)
            .map_err(|error| format!("writing the journal of volume {} failed: {error}", self.live.path.number))?;
        self.journal.still_there()?;
        if self.looked.elapsed() >= LOOK_EVERY {
            self.shared.still_there()?;
            self.looked = Instant::now();
        }
        let stored = self
            .live
            .with_database(|database| group.blocks.iter().try_for_each(|(first, frame)| database.put(*first, frame)));
        match stored {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(error.to_string()),
            None => return Err("the newest volume has no database".into()),
        }
        let commits: Vec<_> = group.commits.drain(..).map(|(commit, bytes)| (Arc::new(commit), bytes)).collect();
        {
            let mut index = self.live.index.write().unwrap_or_else(PoisonError::into_inner);
            let mut offset = written_at;
            for (first, frame) in &group.blocks {
                index.add_block(*first, offset);
                offset += frame.len() as u64;
            }
            for (commit, _) in &commits {
                index.add(commit);
            }
        }
        for (stream, position) in &mut self.guarded {
            *position = group.latest.get(stream).copied().unwrap_or(*position);
        }
        self.shared.publish(commits, group.head);
        Ok(())
    }

    /// Starts the next volume and seals the full one beside it.
    fn roll(&mut self) {
        let head = *self.shared.head.borrow();
        let full = Arc::clone(&self.live);
        let there = self.still_there();
        let made = there.and_then(|()| {
            let number = full.path.number + 1;
            let made = new_volume(&self.shared.data, number, head);
            let made = made.map_err(|error| format!("making volume {number} failed: {error}"))?;
            // It may have been made in a directory that was put in the place of ours.
            self.still_there().map(|()| made)
        });
        match made {
            Ok((journal, live)) => {
                self.journal = journal;
                self.live = Arc::new(live);
                self.shared.push_volume(&self.live, &self.journal);
            }
            Err(reason) => {
                self.shared.poison(reason);
                return;
            }
        }
        self.sealing.retain(|sealing| !sealing.is_finished());
        let shared = Arc::clone(&self.shared);
        let seal = move || {
            if let Err(error) = shared.seal(&full) {
                shared.poison(format!("sealing volume {} failed: {error}", full.path.number));
            }
        };
        match std::thread::Builder::new().name("docket-seal".into()).spawn(seal) {
            Ok(thread) => self.sealing.push(thread),
            Err(error) => self.shared.poison(format!("no thread to seal a volume: {error}")),
        }
    }
}

impl Group {
    fn finish_block(&mut self) {
        let last = self.commits.last().map_or(self.head.position, |(commit, _)| commit.position);
        let next = BlockBuilder::new(self.open.group(), last.next());
        let full = std::mem::replace(&mut self.open, next);
        if full.is_empty() {
            return;
        }
        let payload = full.finish(self.head.hash);
        let first = self.head.position.next();
        self.head = Head { position: last, hash: BlockHash::of(&payload) };
        let frame = frame(&payload);
        self.frames.extend_from_slice(&frame);
        self.blocks.push((first, frame));
    }
}
