//! Turns another help desk's history into events: a CSV file in which every row is a snapshot of a ticket after an update,
//! compared with the row of the same ticket before it.
//!
//! Nothing is added twice: every row has a commit id made from its content. Positions are predicted, because the importer
//! is the only writer; a whole batch is submitted at once and shares its syncs.

mod instants;
mod mapping;
mod names;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use docket_core::{
    desk::{
        AgentDefined, AgentDefinition, CategoryDefined, CategoryDefinition, Desk, DeskConfig, DeskEvent, FieldDefined,
        FieldDefinition, FieldType, QueueDefined, QueueDefinition, StatusDefined, StatusDefinition, TeamDefined,
        TeamDefinition,
    },
    event::{Actor, Cause, CauseKind, DatedEvent, Event},
    ids::{
        AgentKey, CategoryKey, CommitId, CorrelationId, CustomerId, FieldKey, Position, QueueKey, StatusKey, StreamId,
        TeamKey, TicketId,
    },
    personal::Personal,
    sla::{Clocks, Pin, Subject, policies_to_apply},
    ticket::{
        AgentAssigned, AgentUnassigned, CategoryChanged, Channel, ExternalReference, FieldChanged, FieldValue,
        Priority, PriorityChanged, RequesterChanged, SlaReason, StatusCategory, StatusRef, TeamAssigned,
        TeamUnassigned, TicketEvent, TicketOpened, status_event,
    },
    time::Timestamp,
};
use docket_projections::Views;
use docket_store::{Append, AppendError, EventLog, Expected, ReadError};
use instants::Instants;
pub use mapping::{Mapping, MappingError};
use names::key_for_name;
use serde::Serialize;
use sha2::{Digest, Sha256};
use ulid::Ulid;

/// Commits submitted at once.
const BATCH: usize = 1024;
/// Longest cell that is taken, in bytes.
const MAX_CELL: usize = 4_000;
/// A subject that would be longer is shortened, which is counted.
const MAX_SUBJECT_CHARS: usize = 120;
/// Bad rows that are listed; the others are only counted.
const LISTED: usize = 1_000;

/// Why an import stopped. Running it again goes on where it stopped.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The mapping does not fit.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// A file cannot be read.
    #[error("cannot read {path} to its end; what was read before is imported")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log cannot be written.
    #[error("the import stopped and can be run again to go on")]
    Append(#[from] AppendError),
    /// The log gave a commit another place than the only writer expects.
    #[error("another process writes to the log: a commit was expected at {expected} and came to stand at {actual}")]
    Moved {
        /// The place predicted.
        expected: Position,
        /// The place given.
        actual: Position,
    },
}

/// A row that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadRow {
    /// The file.
    pub file: String,
    /// Line in the file, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// What an import found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Nothing was written.
    pub dry_run: bool,
    /// Rows read, the bad ones among them.
    pub rows: u64,
    /// Tickets seen.
    pub tickets: u64,
    /// Commits added.
    pub commits: u64,
    /// Events added.
    pub events: u64,
    /// Rows that were imported before.
    pub known_rows: u64,
    /// Rows that change nothing that the mapping knows.
    pub unchanged_rows: u64,
    /// Rows that were left out.
    pub bad_row_count: u64,
    /// The first of them.
    pub bad_rows: Vec<BadRow>,
    /// Values that the mapping does not list, by column and value, with their counts. They were kept.
    pub unknown_values: BTreeMap<String, BTreeMap<String, u64>>,
    /// Subjects that were too long and were shortened.
    pub shortened_subjects: u64,
    /// Parts of the desk that were made, by kind.
    pub made: BTreeMap<&'static str, u64>,
}

/// How far an import is.
#[derive(Debug, Clone, Copy)]
pub struct ImportProgress {
    /// Bytes read of all files, as they are on disk.
    pub bytes: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Rows read.
    pub rows: u64,
}

/// Imports files. `views` are those of the log's head; `now` is when Docket learns of it all.
///
/// # Errors
/// When a file, the mapping or the log stops it. Bad rows do not; they are in the report.
pub fn import(
    log: &dyn EventLog,
    views: &Views,
    mapping: &Mapping,
    files: &[PathBuf],
    now: Timestamp,
    dry_run: bool,
    mut progress: impl FnMut(ImportProgress),
) -> Result<ImportReport, ImportError> {
    let mut importer = Importer::new(log, views, mapping, now, dry_run)?;
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| ImportError::File { path, source }
    };
    let mut total_bytes = 0;
    for path in files {
        total_bytes += std::fs::metadata(path).map_err(io(path))?.len();
    }
    let bytes = Arc::new(AtomicU64::new(0));
    for path in files {
        let name = path.display().to_string();
        let mut reader = open(path, &bytes, mapping.delimiter).map_err(io(path))?;
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => return Err(ImportError::File { path: path.clone(), source: error.into() }),
        };
        let columns: Vec<&str> = header.iter().map(str::trim).collect();
        mapping.check_columns(&name, &columns)?;
        importer.use_columns(&columns);
        let mut record = csv::StringRecord::new();
        loop {
            let line = reader.position().line();
            match reader.read_record(&mut record) {
                Ok(false) => break,
                Ok(true) => {
                    importer.report.rows += 1;
                    if let Err(reason) = importer.row(&record)? {
                        importer.bad_row(&name, record.position().map_or(line, csv::Position::line), reason);
                    }
                }
                #[allow(
                    clippy::wildcard_enum_match_arm,
                    reason = "the csv crate may get more kinds; all others end the file"
                )]
                Err(error) => match error.kind() {
                    // The row is bad, the file goes on behind it.
                    csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                        importer.report.rows += 1;
                        let reason = format!("it has {len} cells, the header has {expected_len}");
                        importer.bad_row(&name, line, reason);
                    }
                    csv::ErrorKind::Utf8 { .. } => {
                        importer.report.rows += 1;
                        importer.bad_row(&name, line, "it is not UTF-8".into());
                    }
                    _ => {
                        // What was read is kept; the rest of the file cannot be.
                        importer.flush()?;
                        return Err(ImportError::File { path: path.clone(), source: error.into() });
                    }
                },
            }
            if importer.report.rows % 512 == 0 {
                let bytes = bytes.load(Ordering::Relaxed);
                progress(ImportProgress { bytes, total_bytes, rows: importer.report.rows });
            }
        }
    }
    importer.flush()?;
    progress(ImportProgress { bytes: total_bytes, total_bytes, rows: importer.report.rows });
    Ok(importer.report)
}

fn open(path: &Path, bytes: &Arc<AtomicU64>, delimiter: char) -> io::Result<csv::Reader<Box<dyn Read>>> {
    struct Counting(File, Arc<AtomicU64>);
    impl Read for Counting {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = self.0.read(buffer)?;
            self.1.fetch_add(read as u64, Ordering::Relaxed);
            Ok(read)
        }
    }
    let file = BufReader::with_capacity(1 << 16, Counting(File::open(path)?, Arc::clone(bytes)));
    let packed = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    let plain: Box<dyn Read> =
        if packed { Box::new(flate2::bufread::MultiGzDecoder::new(file)) } else { Box::new(file) };
    let delimiter = u8::try_from(delimiter).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, "the mapping's delimiter must be an ASCII character")
    })?;
    Ok(csv::ReaderBuilder::new().delimiter(delimiter).from_reader(plain))
}

/// What is known of a ticket from its rows so far.
struct Seen {
    id: TicketId,
    /// Its latest commit.
    position: Position,
    /// The latest commit was there before this import.
    resumed: bool,
    /// Somebody else has written to it: its further rows are left out.
    foreign: bool,
    /// Tracked cells of the row before.
    cells: Vec<Option<Box<str>>>,
    /// When its latest row happened.
    at: Timestamp,
    /// Contents of its rows, to tell equal rows apart.
    contents: Vec<[u8; 8]>,
    state: State,
}

/// As far as events need it.
#[derive(Clone)]
struct State {
    status: StatusRef,
    priority: Priority,
    channel: Channel,
    queue: QueueKey,
    category: Option<CategoryKey>,
    team: Option<TeamKey>,
    agent: Option<AgentKey>,
    requester: Option<CustomerId>,
    fields: BTreeMap<FieldKey, Personal<FieldValue>>,
    clocks: Clocks,
}

struct Importer<'a> {
    log: &'a dyn EventLog,
    mapping: &'a Mapping,
    instants: Instants,
    tracked: Vec<&'a str>,
    /// Columns whose cells have a limit.
    taken: BTreeSet<&'a str>,
    column: HashMap<String, usize>,
    now: Timestamp,
    /// When what it makes of the desk happens: now, and not before what stands in the desk's stream.
    desk_at: Timestamp,
    dry_run: bool,
    desk: Desk,
    desk_version: Position,
    known_customers: HashSet<CustomerId>,
    tickets: HashMap<String, Seen>,
    /// The last position given out, stored or predicted.
    head: Position,
    batch: Vec<Append>,
    batch_start: Position,
    report: ImportReport,
}

/// A row's own fault.
type RowResult<T> = Result<T, String>;

impl<'a> Importer<'a> {
    fn new(
        log: &'a dyn EventLog,
        views: &Views,
        mapping: &'a Mapping,
        now: Timestamp,
        dry_run: bool,
    ) -> Result<Self, ImportError> {
        let desk = log.read_last(StreamId::Desk)?;
        let desk_version = desk.as_ref().map(|commit| commit.position);
        let instants = desk.iter().flat_map(|commit| &commit.events).map(|event| event.occurred_at);
        let head = log.head().position;
        let mut importer = Self {
            log,
            instants: mapping.instants()?,
            tracked: mapping.tracked(),
            taken: mapping.taken(),
            mapping,
            column: HashMap::new(),
            now,
            desk_at: instants.fold(now, Timestamp::max),
            dry_run,
            desk: Desk::clone(views.desk().desk()),
            desk_version: desk_version.unwrap_or_default(),
            known_customers: views.people().customers().map(|customer| customer.id).collect(),
            tickets: HashMap::new(),
            head,
            batch: Vec::new(),
            batch_start: head,
            report: ImportReport { dry_run, ..ImportReport::default() },
        };
        if desk_version.is_none() {
            // Somebody who has no desk yet gets one that can work.
            let events = DeskConfig::starter().changes_from(&importer.desk).into_iter().map(|c| c.event).collect();
            importer.change_desk(events)?;
        }
        Ok(importer)
    }

    fn use_columns(&mut self, header: &[&str]) {
        self.column = header.iter().enumerate().map(|(at, name)| ((*name).to_owned(), at)).collect();
    }

    fn bad_row(&mut self, file: &str, line: u64, reason: String) {
        self.report.bad_row_count += 1;
        if self.report.bad_rows.len() < LISTED {
            self.report.bad_rows.push(BadRow { file: file.to_owned(), line, reason });
        }
    }

    fn cell<'r>(&self, record: &'r csv::StringRecord, column: &str) -> Option<&'r str> {
        self.mapping.present(record.get(*self.column.get(column)?)?)
    }

    /// Takes a row. The outer error stops the import, the inner one leaves the row out.
    fn row(&mut self, record: &csv::StringRecord) -> Result<RowResult<()>, ImportError> {
        let length = |column: &&&str| record.get(*self.column.get(**column)?).map(str::len);
        if let Some(long) = self.taken.iter().find(|column| length(column).is_some_and(|bytes| bytes > MAX_CELL)) {
            let bytes = length(&long).unwrap_or_default();
            return Ok(Err(format!("its {long} has {bytes} bytes, at most {MAX_CELL} are taken")));
        }
        let mapping = self.mapping;
        let Some(key) = self.cell(record, &mapping.ticket.key).map(str::to_owned) else {
            return Ok(Err(format!("it has no {}", mapping.ticket.key)));
        };
        let Some(at) = self.cell(record, &mapping.event.at) else {
            return Ok(Err(format!("it has no {}", mapping.event.at)));
        };
        let before = self.tickets.get(&key).map(|seen| seen.at);
        let at = match self.instants.read(at, before) {
            Ok(at) if at > self.now => return Ok(Err(format!("its {} {at} lies ahead", mapping.event.at))),
            Ok(at) => at,
            Err(reason) => return Ok(Err(reason)),
        };
        if !self.tickets.contains_key(&key) {
            match self.first_row(record, &key, at)? {
                Ok(seen) => {
                    self.report.tickets += 1;
                    self.tickets.insert(key, seen);
                    return Ok(Ok(()));
                }
                Err(reason) => return Ok(Err(reason)),
            }
        }
        // Taken out for as long as the row is worked on.
        let Some(mut seen) = self.tickets.remove(&key) else { return Ok(Ok(())) };
        let done = self.next_row(record, &key, at, &mut seen);
        self.tickets.insert(key, seen);
        done
    }

    fn first_row(
        &mut self,
        record: &csv::StringRecord,
        key: &str,
        at: Timestamp,
    ) -> Result<RowResult<Seen>, ImportError> {
        let mapping = self.mapping;
        let opened_at = match &mapping.ticket.opened_at {
            None => at,
            Some(column) => match self.cell(record, column).map(|cell| self.instants.read(cell, None)) {
                Some(Ok(opened_at)) => opened_at,
                Some(Err(reason)) => return Ok(Err(reason)),
                None => return Ok(Err(format!("it is the ticket's first row and has no {column}"))),
            },
        };
        let id = TicketId::derived(opened_at, &[&mapping.source, key]);
        let status = match self.desk.default_status(StatusCategory::New) {
            Some(status) => status,
            None => return Ok(Err("the desk has no status of the category new: apply a desk that has".into())),
        };
        let (channel, odd_channel) = self.channel(record);
        let (priority, odd_priority) = self.priority(record);
        let queue = self.queue()?;
        let category = match &mapping.category {
            Some(column) => self.category(self.cell(record, &column.column).map(str::to_owned))?,
            None => None,
        };
        let requester = match &mapping.ticket.requester {
            Some(column) => self.customer(self.cell(record, column).map(str::to_owned), opened_at)?,
            None => None,
        };
        let mut state = State {
            status,
            priority,
            channel,
            queue,
            category,
            team: None,
            agent: None,
            requester,
            fields: BTreeMap::new(),
            clocks: Clocks::default(),
        };
        let opened = TicketOpened {
            channel,
            subject: Personal::new(self.subject(record, key)),
            status: state.status.clone(),
            priority,
            queue: state.queue.clone(),
            requester,
            category: state.category.clone(),
            external: Some(ExternalReference { source: mapping.source.clone(), key: key.to_owned() }),
            by_agent: mapping.ticket.by_agent,
        };
        let mut events = vec![DatedEvent::new(opened_at, TicketEvent::from(opened))];
        self.apply_policies(&mut state, &mut events, opened_at, SlaReason::Opened);
        let odd = [odd_channel, odd_priority];
        for (column, value) in odd.into_iter().flatten() {
            self.set_field(&mut state, &Mapping::field_for_unknown(&column), Some(value), &mut events, at)?;
        }
        let nothing = vec![None; self.tracked.len()];
        let mut seen = Seen {
            id,
            position: Position::START,
            resumed: false,
            foreign: false,
            cells: nothing,
            at,
            contents: Vec::new(),
            state,
        };
        self.changes(record, at, &mut seen, &mut events)?;
        Ok(self.commit(record, key, at, &mut seen, events)?.map(|()| seen))
    }

    fn next_row(
        &mut self,
        record: &csv::StringRecord,
        key: &str,
        at: Timestamp,
        seen: &mut Seen,
    ) -> Result<RowResult<()>, ImportError> {
        if seen.foreign {
            return Ok(Err(format!(
                "ticket {key} was changed here since the last import: its further rows are left out"
            )));
        }
        seen.at = at;
        let mut events = Vec::new();
        self.changes(record, at, seen, &mut events)?;
        if events.is_empty() {
            self.report.unchanged_rows += 1;
            return Ok(Ok(()));
        }
        self.commit(record, key, at, seen, events)
    }

    /// The events that lead from the row before to this one. The status comes last: whoever holds the ticket after the row
    /// is credited with what the row did.
    fn changes(
        &mut self,
        record: &csv::StringRecord,
        at: Timestamp,
        seen: &mut Seen,
        events: &mut Vec<DatedEvent>,
    ) -> Result<(), ImportError> {
        let mapping = self.mapping;
        let cells: Vec<Option<Box<str>>> =
            self.tracked.iter().map(|column| self.cell(record, column).map(Box::from)).collect();
        let before = std::mem::replace(&mut seen.cells, cells);
        let changed = |column: &str, seen: &Seen| {
            let at = self.tracked.iter().position(|tracked| *tracked == column)?;
            let now = seen.cells.get(at)?;
            (before.get(at) != Some(now)).then(|| now.as_deref().map(str::to_owned))
        };
        let requester = mapping.ticket.requester.as_deref().and_then(|column| changed(column, seen));
        let category = mapping.category.as_ref().and_then(|column| changed(&column.column, seen));
        let team = mapping.team.as_ref().and_then(|column| changed(&column.column, seen));
        let agent = mapping.agent.as_ref().and_then(|column| changed(&column.column, seen));
        let priority = mapping.priority.as_ref().and_then(|values| changed(&values.column, seen));
        let status = changed(&mapping.status.column, seen);
        let fields: Vec<_> = mapping
            .fields
            .iter()
            .filter_map(|(column, field)| changed(column, seen).map(|value| (field.clone(), value)))
            .collect();

        let state = &mut seen.state;
        let mut push = |event: TicketEvent| events.push(DatedEvent::new(at, event));
        if let Some(name) = requester {
            let to = self.customer(name, at)?;
            if to != state.requester {
                push(RequesterChanged { to, from: std::mem::replace(&mut state.requester, to) }.into());
            }
        }
        let mut reapply = None;
        if let Some(name) = category {
            let to = self.category(name)?;
            if to != state.category {
                let from = std::mem::replace(&mut state.category, to.clone());
                push(CategoryChanged { to, from }.into());
                reapply = Some(SlaReason::CategoryChanged);
            }
        }
        if let Some(name) = team {
            let to = self.team(name)?;
            match (to, state.team.clone()) {
                (Some(team), from) if Some(&team) != from.as_ref() => {
                    state.team = Some(team.clone());
                    push(TeamAssigned { team, from }.into());
                    reapply = Some(SlaReason::TeamChanged);
                }
                (None, Some(from)) => {
                    state.team = None;
                    push(TeamUnassigned { from }.into());
                    reapply = Some(SlaReason::TeamChanged);
                }
                (Some(_) | None, _) => {}
            }
        }
        if let Some(name) = agent {
            let to = self.agent(name)?;
            match (to, state.agent.clone()) {
                (Some(agent), from) if Some(&agent) != from.as_ref() => {
                    state.agent = Some(agent.clone());
                    // Nobody was held to a time for picking it up then.
                    push(AgentAssigned { agent, from, pick_up_by: None, pick_up_later: false, taken: false }.into());
                }
                (None, Some(from)) => {
                    state.agent = None;
                    push(AgentUnassigned { from }.into());
                }
                (Some(_) | None, _) => {}
            }
        }
        if let Some(value) = priority {
            let (to, odd) = self.priority(record);
            if to != state.priority {
                let from = std::mem::replace(&mut state.priority, to);
                push(PriorityChanged { to, from }.into());
                reapply = Some(SlaReason::PriorityChanged);
            }
            if let (Some((column, _)), Some(value)) = (odd, value) {
                self.set_field(state, &Mapping::field_for_unknown(&column), Some(value), events, at)?;
            }
        }
        for (field, value) in fields {
            self.set_field(state, &field, value, events, at)?;
        }
        if let Some(reason) = reapply {
            self.apply_policies(state, events, at, reason);
        }
        if let Some(Some(value)) = status {
            let to = self.status(&value)?;
            if to != state.status {
                let from = std::mem::replace(&mut state.status, to.clone());
                events.push(DatedEvent::new(at, status_event(from, to, None)));
            }
        }
        Ok(())
    }

    fn apply_policies(&self, state: &mut State, events: &mut Vec<DatedEvent>, at: Timestamp, reason: SlaReason) {
        let subject = Subject {
            queue: &state.queue,
            priority: state.priority,
            category: state.category.as_ref(),
            channel: state.channel,
            team: state.team.as_ref(),
            tags: &BTreeSet::new(),
            by_agent: self.mapping.ticket.by_agent,
        };
        for applied in policies_to_apply(&self.desk, subject, &state.clocks, at, reason) {
            state.clocks.pins.retain(|pin| pin.track != applied.track);
            state.clocks.pins.push(Pin::from(&applied));
            events.push(DatedEvent::new(at, TicketEvent::from(applied)));
        }
    }

    fn set_field(
        &mut self,
        state: &mut State,
        field: &FieldKey,
        value: Option<String>,
        events: &mut Vec<DatedEvent>,
        at: Timestamp,
    ) -> Result<(), ImportError> {
        let to = value.map(|text| Personal::new(FieldValue::Text(text)));
        let from = state.fields.get(field).cloned();
        if to == from {
            return Ok(());
        }
        if !self.desk.fields.contains_key(field) {
            let definition = FieldDefinition {
                key: field.clone(),
                name: field.to_string(),
                field_type: FieldType::Text,
                options: vec![],
            };
            self.make("field", FieldDefined { field: definition }.into())?;
        }
        match &to {
            Some(value) => _ = state.fields.insert(field.clone(), value.clone()),
            None => _ = state.fields.remove(field),
        }
        let event = FieldChanged { field: field.clone(), to, from };
        events.push(DatedEvent::new(at, TicketEvent::from(event)));
        Ok(())
    }

    fn subject(&mut self, record: &csv::StringRecord, key: &str) -> String {
        let mut subject = String::new();
        let mut rest = self.mapping.ticket.subject.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            subject.push_str(before);
            let (column, after) = after.split_once('}').unwrap_or((after, ""));
            subject.push_str(self.cell(record, column).unwrap_or("–"));
            rest = after;
        }
        subject.push_str(rest);
        let whole = subject.trim();
        let subject: String = whole.chars().take(MAX_SUBJECT_CHARS).collect();
        self.report.shortened_subjects += u64::from(subject.len() < whole.len());
        if subject.is_empty() { key.to_owned() } else { subject }
    }

    fn channel(&mut self, record: &csv::StringRecord) -> (Channel, Option<(String, String)>) {
        match &self.mapping.ticket.channel {
            None => (Channel::Api, None),
            Some(values) => self.meaning(record, values),
        }
    }

    fn priority(&mut self, record: &csv::StringRecord) -> (Priority, Option<(String, String)>) {
        match &self.mapping.priority {
            None => (Priority::default(), None),
            Some(values) => self.meaning(record, values),
        }
    }

    /// The meaning of a cell, and the cell itself when the mapping does not list it.
    fn meaning<T: Copy>(
        &mut self,
        record: &csv::StringRecord,
        values: &mapping::Values<T>,
    ) -> (T, Option<(String, String)>) {
        let Some(cell) = self.cell(record, &values.column).map(str::to_owned) else { return (values.default, None) };
        match values.values.get(&cell) {
            Some(meaning) => (*meaning, None),
            None => {
                self.unknown(&values.column, &cell);
                (values.default, Some((values.column.clone(), cell)))
            }
        }
    }

    fn unknown(&mut self, column: &str, value: &str) {
        let of_column = self.report.unknown_values.entry(column.to_owned()).or_default();
        *of_column.entry(value.to_owned()).or_default() += 1;
    }

    fn status(&mut self, value: &str) -> Result<StatusRef, ImportError> {
        let (key, category) = match self.mapping.status.values.get(value) {
            Some(mapped) => (mapped.key.clone(), mapped.category),
            None => {
                self.unknown(&self.mapping.status.column.clone(), value);
                let (key, _) = key_for_name(&self.desk.statuses, value, |s: &StatusDefinition| s.name.as_str());
                (StatusKey::clone(&key), self.mapping.status.unknown)
            }
        };
        if let Some(status) = self.desk.statuses.get(&key) {
            return Ok(StatusRef { key, category: status.definition.category });
        }
        let status = StatusDefinition {
            key: key.clone(),
            name: value.to_owned(),
            customer_name: None,
            category,
            default: false,
        };
        self.make("status", StatusDefined { status }.into())?;
        Ok(StatusRef { key, category })
    }

    fn queue(&mut self) -> Result<QueueKey, ImportError> {
        let Some(name) = self.mapping.ticket.queue.clone() else {
            let live = || self.desk.queues.values().filter(|queue| !queue.retired);
            let chosen = live().find(|queue| queue.definition.default).or_else(|| live().next());
            if let Some(queue) = chosen {
                return Ok(queue.definition.key.clone());
            }
            return self.queue_named("Inbox".to_owned());
        };
        self.queue_named(name)
    }

    fn queue_named(&mut self, name: String) -> Result<QueueKey, ImportError> {
        let (key, there) = key_for_name(&self.desk.queues, &name, |q: &QueueDefinition| q.name.as_str());
        if !there {
            let queue = QueueDefinition {
                key: QueueKey::clone(&key),
                name,
                team: None,
                return_after: None,
                return_calendar: None,
                default: false,
            };
            self.make("queue", QueueDefined { queue }.into())?;
        }
        Ok(key)
    }

    fn category(&mut self, name: Option<String>) -> Result<Option<CategoryKey>, ImportError> {
        let Some(name) = name else { return Ok(None) };
        let (key, there) = key_for_name(&self.desk.categories, &name, |c: &CategoryDefinition| c.name.as_str());
        if !there {
            let category = CategoryDefinition { key: CategoryKey::clone(&key), name, parent: None };
            self.make("category", CategoryDefined { category }.into())?;
        }
        Ok(Some(key))
    }

    fn team(&mut self, name: Option<String>) -> Result<Option<TeamKey>, ImportError> {
        let Some(name) = name else { return Ok(None) };
        let (key, there) = key_for_name(&self.desk.teams, &name, |t: &TeamDefinition| t.name.as_str());
        if !there {
            self.make("team", TeamDefined { team: TeamDefinition { key: TeamKey::clone(&key), name } }.into())?;
        }
        Ok(Some(key))
    }

    fn agent(&mut self, name: Option<String>) -> Result<Option<AgentKey>, ImportError> {
        let Some(name) = name else { return Ok(None) };
        let (key, there) = key_for_name(&self.desk.agents, &name, |a: &AgentDefinition| a.name.as_str());
        if !there {
            let agent = AgentDefinition { key: AgentKey::clone(&key), name, teams: vec![], queues: None };
            self.make("agent", AgentDefined { agent }.into())?;
        }
        Ok(Some(key))
    }

    fn customer(&mut self, name: Option<String>, at: Timestamp) -> Result<Option<CustomerId>, ImportError> {
        let Some(name) = name else { return Ok(None) };
        let source = self.mapping.source.as_str();
        let id = CustomerId::derived(Timestamp::from_millis(0), &[source, &name]);
        if self.known_customers.insert(id) {
            let external = ExternalReference { source: source.to_owned(), key: name.clone() };
            let registered = docket_core::customer::CustomerRegistered {
                name: Personal::new(name),
                email: None,
                external: Some(external),
            };
            let event = DatedEvent::new(at, docket_core::customer::CustomerEvent::from(registered));
            let commit = CommitId::new(id.ulid());
            if self.log.find(commit)?.is_none() {
                *self.report.made.entry("customer").or_default() += 1;
                let actor = Actor::Imported(self.mapping.source.clone());
                self.submit(commit, StreamId::Customer(id), Expected::NoStream, vec![event], actor)?;
            }
        }
        Ok(Some(id))
    }

    fn make(&mut self, kind: &'static str, event: DeskEvent) -> Result<(), ImportError> {
        *self.report.made.entry(kind).or_default() += 1;
        self.change_desk(vec![event])
    }

    fn change_desk(&mut self, events: Vec<DeskEvent>) -> Result<(), ImportError> {
        let version = self.desk_version;
        let expected = if version.is_start() { Expected::NoStream } else { Expected::At(version) };
        let position = self.head.next();
        for event in &events {
            self.desk.evolve(event, position);
        }
        let dated = events.into_iter().map(|event| DatedEvent::new(self.desk_at, Event::from(event))).collect();
        let actor = Actor::Imported(self.mapping.source.clone());
        self.desk_version = position;
        self.submit(CommitId::new(Ulid::generate()), StreamId::Desk, expected, dated, actor)?;
        Ok(())
    }

    /// Stores the events of a row, unless they are there already.
    fn commit(
        &mut self,
        record: &csv::StringRecord,
        key: &str,
        at: Timestamp,
        seen: &mut Seen,
        events: Vec<DatedEvent>,
    ) -> Result<RowResult<()>, ImportError> {
        let mut hash = Sha256::new();
        for cell in record {
            hash.update((cell.len() as u64).to_be_bytes());
            hash.update(cell.as_bytes());
        }
        let digest = hash.finalize();
        let mut content = [0; 8];
        content.copy_from_slice(&digest[..8]);
        let same_before = seen.contents.iter().filter(|other| **other == content).count();
        seen.contents.push(content);
        let parts = [self.mapping.source.as_str(), key, &hex::encode(digest), &same_before.to_string()];
        let commit = CommitId::derived(at, &parts);
        if let Some(position) = self.log.find(commit)? {
            self.report.known_rows += 1;
            seen.position = position;
            seen.resumed = true;
            return Ok(Ok(()));
        }
        let stream = StreamId::Ticket(seen.id);
        if std::mem::take(&mut seen.resumed) && !self.log.read_stream(stream, seen.position)?.is_empty() {
            seen.foreign = true;
            return Ok(Err(format!(
                "ticket {key} was changed here since the last import: its further rows are left out"
            )));
        }
        let expected = if seen.position.is_start() { Expected::NoStream } else { Expected::At(seen.position) };
        let who = self.mapping.event.actor.as_ref().and_then(|column| self.cell(record, column));
        let actor = Actor::Imported(who.unwrap_or(&self.mapping.source).to_owned());
        seen.position = self.submit(commit, stream, expected, events, actor)?;
        Ok(Ok(()))
    }

    fn submit(
        &mut self,
        id: CommitId,
        stream: StreamId,
        expected: Expected,
        events: Vec<DatedEvent>,
        actor: Actor,
    ) -> Result<Position, ImportError> {
        self.report.commits += 1;
        self.report.events += events.len() as u64;
        self.head = self.head.next();
        let position = self.head;
        if !self.dry_run {
            self.batch.push(Append {
                id,
                stream,
                expected,
                guards: Vec::new(),
                events,
                recorded_at: self.now,
                actor,
                cause: Cause::of(CauseKind::Import),
                correlation: CorrelationId::new(id.ulid()),
                token: None,
                request: None,
            });
            if self.batch.len() >= BATCH {
                self.flush()?;
            }
        }
        Ok(position)
    }

    /// Makes the batch durable and compares the places it got with the predicted ones.
    fn flush(&mut self) -> Result<(), ImportError> {
        let answers = self.log.append_all(std::mem::take(&mut self.batch));
        let mut expected = self.batch_start;
        for answer in answers {
            expected = expected.next();
            let actual = answer?;
            if actual != expected {
                return Err(ImportError::Moved { expected, actual });
            }
        }
        self.batch_start = expected;
        Ok(())
    }
}
