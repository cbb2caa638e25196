//! The event log and the content store. `FORMAT.md` describes every byte.
//!
//! [`EventLog`] is the contract. [`SledLog`] keeps it on disk as a journal and a sled database, volume by volume; [`MemoryLog`]
//! in memory. [`LogScan`] and [`verify()`] read the journals of a data directory without a lock, beside a running server.
//!
//! # Invariants
//! - Nothing is acknowledged or shown before its journal frame is on disk (`fdatasync` returned).
//! - No method changes or removes a commit.
//! - After a failed write or sync nothing is acknowledged any more until the log is opened again.

mod backup;
mod check;
mod codec;
mod content;
mod data_dir;
mod database;
mod expect;
mod files;
mod filter;
mod held;
mod index;
mod journal;
mod leftovers;
mod log;
mod memory;
mod pages;
mod pieces;
mod quiet;
mod repair;
mod rights;
mod scan;
mod seal;
mod sled_log;
mod verify;
mod volume;
mod writer;

#[cfg(test)]
mod future_tests;
#[cfg(test)]
mod history_tests;

#[cfg(any(test, feature = "contract"))]
pub mod contract;
#[cfg(any(test, feature = "fuzz"))]
#[allow(clippy::panic, clippy::missing_panics_doc, reason = "a panic is how a fuzzer is told")]
pub mod fuzz;

pub use backup::{BackedVolume, Backup, BackupError, BackupReport, Manifest, Restored, backup};
pub use check::{Finding, Part, Remedy, Unknown};
pub use codec::{BlockHash, MAX_COMMIT_BYTES, MAX_EVENT_BYTES};
pub use content::{ContentError, ContentFile, ContentStore};
pub use data_dir::{DataDir, DataDirError};
pub use held::DataLock;
pub use leftovers::{Leftover, LeftoverKind, of_restores as leftovers_of_restores};
pub use log::{
    Append, AppendError, BoxFuture, Commits, EventLog, Expected, Follower, Guard, Head, MAX_GUARDS, Page, ReadError,
};
pub use memory::MemoryLog;
pub use quiet::log_panics_of_sled;
pub use repair::{RepairOptions, RepairReport, open_for_repair, repair};
pub use rights::{Depth, LostRight, lost_rights};
pub use scan::LogScan;
pub use sled_log::{OpenError, OpenReport, SledLog, SledLogOptions};
pub use verify::{VerifyOptions, VerifyReport, VerifyState, verify, verify_from};
