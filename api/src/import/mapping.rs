//! A mapping: which column of a history is what. Every column is either used or ignored by name, so that nothing is left
//! out by mistake.

use std::collections::{BTreeMap, BTreeSet};

use docket_core::{
    ids::{FieldKey, Key, StatusKey},
    ticket::{Channel, Priority, StatusCategory},
};
use serde::Deserialize;

use super::instants::{Instants, TimeFormat};
use crate::toml_error::one_line;

/// A mapping file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Name of the other system, part of every ticket's external reference.
    pub source: String,
    /// Cells that mean "no value", besides empty ones.
    #[serde(default)]
    pub missing: BTreeSet<String>,
    /// Separator of cells.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// How instants are written.
    pub time: TimeFormat,
    /// What a ticket is.
    pub ticket: TicketColumns,
    /// What a row is.
    pub event: EventColumns,
    /// Its status.
    pub status: StatusColumn,
    /// Its priority.
    pub priority: Option<Values<Priority>>,
    /// Its category, by display name; categories that the desk does not have are made.
    pub category: Option<Column>,
    /// Its team, by display name; teams that the desk does not have are made.
    pub team: Option<Column>,
    /// Its assignee, by display name; agents that the desk does not have are made.
    pub agent: Option<Column>,
    /// Columns that become custom text fields, with the keys of the fields.
    #[serde(default)]
    pub fields: BTreeMap<String, FieldKey>,
    /// Columns that are left out on purpose.
    #[serde(default)]
    pub ignore: BTreeSet<String>,
}

const fn comma() -> char {
    ','
}

/// A column.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name in the header.
    pub column: String,
}

/// What a ticket is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketColumns {
    /// The column with the ticket's name in the other system.
    pub key: String,
    /// The column with the instant of its opening; the instant of its first row when absent.
    pub opened_at: Option<String>,
    /// Its subject, with columns in braces, for example `{category}: {symptom}`.
    pub subject: String,
    /// The column with the name of who asked; customers that are not known are registered.
    pub requester: Option<String>,
    /// How it came in.
    pub channel: Option<Values<Channel>>,
    /// Display name of the queue that all tickets go to; made when the desk does not have it.
    pub queue: Option<String>,
    /// Tickets were opened by agents on somebody's behalf.
    #[serde(default)]
    pub by_agent: bool,
}

/// What a row is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventColumns {
    /// The column with the instant of the row.
    pub at: String,
    /// The column with who made it.
    pub actor: Option<String>,
}

/// A column whose values have meanings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Values<T> {
    /// Its name in the header.
    pub column: String,
    /// Meanings of its values.
    pub values: BTreeMap<String, T>,
    /// Meaning of values that are not listed; they are kept in a custom field and reported.
    pub default: T,
}

/// The column of the status.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusColumn {
    /// Its name in the header.
    pub column: String,
    /// Statuses by its values; those that the desk does not have are made.
    pub values: BTreeMap<String, MappedStatus>,
    /// Category of values that are not listed: each becomes a status of its own, and is reported.
    pub unknown: StatusCategory,
}

/// A status.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappedStatus {
    /// Key of the status.
    pub key: StatusKey,
    /// What it means.
    pub category: StatusCategory,
}

/// What is wrong with a mapping.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// It is not such a file.
    #[error("the mapping cannot be understood, {0}")]
    Toml(String),
    /// Its zone is not known.
    #[error("the mapping's time zone {0:?} is not known: use an IANA name such as Europe/London")]
    Zone(String),
    /// A format of its instants reads nothing.
    #[error("the mapping's time format {format:?} cannot be used: {problem}")]
    Time {
        /// The format.
        format: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Its subject has an open brace.
    #[error("the mapping's subject {0:?} has a brace that is not closed")]
    Subject(String),
    /// The file has other columns than the mapping.
    #[error("{file}: {problem}")]
    Columns {
        /// The file.
        file: String,
        /// What does not fit.
        problem: String,
    },
}

impl Mapping {
    /// Reads a mapping file.
    ///
    /// # Errors
    /// When it is not one.
    pub fn parse(text: &str) -> Result<Self, MappingError> {
        let mapping: Self = toml::from_str(text).map_err(|error| MappingError::Toml(one_line(text, &error)))?;
        mapping.instants()?;
        mapping.subject_columns()?;
        Ok(mapping)
    }

    /// How its instants are read.
    ///
    /// # Errors
    /// When the zone is not known, or a format cannot be read back.
    pub fn instants(&self) -> Result<Instants, MappingError> {
        Instants::new(&self.time)
    }

    /// The columns in the subject's braces.
    fn subject_columns(&self) -> Result<Vec<&str>, MappingError> {
        let mut columns = Vec::new();
        let mut rest = self.ticket.subject.as_str();
        while let Some((_, after)) = rest.split_once('{') {
            let (column, after) =
                after.split_once('}').ok_or_else(|| MappingError::Subject(self.ticket.subject.clone()))?;
            columns.push(column);
            rest = after;
        }
        Ok(columns)
    }

    /// The columns whose change between two rows of a ticket is an event.
    pub fn tracked(&self) -> Vec<&str> {
        let optional = [&self.category, &self.team, &self.agent];
        let mut tracked = vec![self.status.column.as_str()];
        tracked.extend(self.priority.iter().map(|values| values.column.as_str()));
        tracked.extend(optional.into_iter().flatten().map(|column| column.column.as_str()));
        tracked.extend(self.ticket.requester.as_deref());
        tracked.extend(self.fields.keys().map(String::as_str));
        tracked
    }

    /// The columns whose cells are taken as they are, so that limits hold for them. What is ignored can hold anything, and a subject
    /// is shortened.
    pub fn taken(&self) -> BTreeSet<&str> {
        let mut taken: BTreeSet<&str> = self.tracked().into_iter().collect();
        taken.extend([self.ticket.key.as_str(), self.event.at.as_str()]);
        taken.extend(self.ticket.opened_at.as_deref());
        taken.extend(self.event.actor.as_deref());
        taken.extend(self.ticket.channel.as_ref().map(|values| values.column.as_str()));
        taken
    }

    /// Compares the mapping with the columns of a file.
    ///
    /// # Errors
    /// When a column of the mapping is not in the file, or one of the file is neither used nor ignored.
    pub fn check_columns(&self, file: &str, header: &[&str]) -> Result<(), MappingError> {
        let problem = |problem: String| MappingError::Columns { file: file.to_owned(), problem };
        let mut used = self.taken();
        used.extend(self.subject_columns()?);
        let present: BTreeSet<&str> = header.iter().copied().collect();
        if present.len() != header.len() {
            return Err(problem("two columns have the same name".into()));
        }
        let absent: Vec<_> = used.difference(&present).copied().collect();
        if !absent.is_empty() {
            return Err(problem(format!("the file has no column {}", absent.join(", "))));
        }
        let open: Vec<_> =
            present.iter().filter(|c| !used.contains(*c) && !self.ignore.contains(**c)).copied().collect();
        if !open.is_empty() {
            let open = open.join(", ");
            return Err(problem(format!(
                "the mapping says nothing of {open}: use the columns, or name them in ignore"
            )));
        }
        Ok(())
    }

    /// The cell's value; none when it means "no value".
    pub fn present<'a>(&self, cell: &'a str) -> Option<&'a str> {
        let cell = cell.trim();
        (!cell.is_empty() && !self.missing.contains(cell)).then_some(cell)
    }

    /// The field in which unknown values of a column are kept.
    pub fn field_for_unknown(column: &str) -> FieldKey {
        FieldKey::from(Key::from_name(&format!("imported {column}")))
    }
}
