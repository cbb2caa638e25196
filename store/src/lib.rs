//! The event log and the content store. `FORMAT.md` describes every byte.
//!
//! [`EventLog`] is the contract. [`SledLog`] keeps it on disk as a journal and a sled database, volume by volume; [`MemoryLog`]
//! in memory. [`LogScan`] and [`verify()`] read the journals of a data directory without a lock, beside a running server.
//!
//! # Invariants
//! - Nothing is acknowledged or shown before its journal frame is on disk (`fdatasync` returned).
//! - No method changes or removes a commit.
//! - After a failed write or sync nothing is acknowledged any more until the log is opened again.

mod codec;
mod content;
mod data_dir;
mod files;
mod filter;
mod index;
mod journal;
mod log;
mod memory;
mod scan;
mod sled_log;
mod verify;
mod volume;
mod writer;

#[cfg(any(test, feature = "contract"))]
pub mod contract;

pub use codec::{BlockHash, MAX_COMMIT_BYTES, MAX_EVENT_BYTES};
pub use content::{ContentError, ContentStore};
pub use data_dir::{DataDir, DataDirError, DataLock};
pub use log::{Append, AppendError, BoxFuture, Commits, EventLog, Expected, Follower, Head, ReadError};
pub use memory::MemoryLog;
pub use scan::LogScan;
pub use sled_log::{OpenError, OpenReport, SledLog, SledLogOptions};
pub use verify::{VerifyReport, verify};
