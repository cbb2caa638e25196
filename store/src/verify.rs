//! Walks the chain of a whole log and compares it with the seals. Reads the journals alone: no lock, no sled, no server.

use docket_core::{event::Event, ids::Position};
use serde::Serialize;

use crate::{
    codec::BlockHash,
    data_dir::DataDir,
    log::ReadError,
    scan::LogScan,
    volume::{Seal, VolumePath},
};

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Id of the log.
    pub log_id: String,
    /// Volumes.
    pub volumes: u64,
    /// Commits that are sound and in the chain.
    pub commits: u64,
    /// Events in them.
    pub events: u64,
    /// Events of types that this program does not know. They are sound, and not understood.
    pub unknown_events: u64,
    /// Position of the last sound commit.
    pub head_position: Position,
    /// Hash of the last sound block. Whoever has noted it elsewhere can tell later that nothing before it has changed.
    pub head_hash: BlockHash,
    /// Bytes of an interrupted write at the very end; nothing in them was ever acknowledged.
    pub torn_bytes: u64,
    /// The first bad place, when there is one.
    pub damage: Option<String>,
}

impl VerifyReport {
    /// True when nothing bad was found.
    pub const fn ok(&self) -> bool {
        self.damage.is_none()
    }
}

/// Verifies the log of a data directory. `progress` is told the position every so often.
///
/// # Errors
/// When the directory cannot be read at all; damage is part of the report.
pub fn verify(data: &DataDir, mut progress: impl FnMut(Position)) -> Result<VerifyReport, ReadError> {
    let dir = data.log();
    let volumes = VolumePath::list(&dir)
        .or_else(|source| if source.kind() == std::io::ErrorKind::NotFound { Ok(Vec::new()) } else { Err(source) });
    let volumes = volumes.map_err(|source| ReadError::Io { path: dir, source })?;
    let mut report = VerifyReport {
        log_id: data.log_id().to_owned(),
        volumes: volumes.len() as u64,
        commits: 0,
        events: 0,
        unknown_events: 0,
        head_position: Position::START,
        head_hash: BlockHash::genesis(data.log_id()),
        torn_bytes: 0,
        damage: None,
    };
    let mut scan = LogScan::new(data, Position::START)?;
    for commit in scan.by_ref() {
        match commit {
            Ok(commit) => {
                report.commits += 1;
                report.events += commit.events.len() as u64;
                let unknown = commit.events.iter().filter(|e| matches!(e.event, Event::Unknown { .. })).count();
                report.unknown_events += unknown as u64;
                if commit.position.get() % 16_384 == 0 {
                    progress(commit.position);
                }
            }
            Err(error) => {
                report.damage = Some(error.to_string());
                break;
            }
        }
    }
    (report.head_position, report.head_hash) = (scan.reached().position, scan.reached().hash);
    report.torn_bytes = scan.torn_bytes();
    if report.damage.is_none() {
        report.damage = check_seals(&volumes).err().map(|error| error.to_string());
    }
    Ok(report)
}

/// Every seal says of its journal what the journal says of itself.
fn check_seals(volumes: &[VolumePath]) -> Result<(), ReadError> {
    for (path, next) in volumes.iter().zip(volumes.iter().skip(1).map(Some).chain([None])) {
        let Some(seal) = Seal::read(path)? else { continue };
        let length = std::fs::metadata(path.journal()).map_err(|source| path.io(source))?.len();
        let continues = match next.map(Seal::read).transpose()?.flatten() {
            Some(next) => next.first == seal.last.next() && next.previous_block == seal.hash,
            None => true,
        };
        if seal.journal_bytes != length || !continues {
            return Err(ReadError::Corrupt {
                volume: path.number,
                position: seal.first,
                reason: "the seal does not fit the journal".into(),
            });
        }
    }
    Ok(())
}
