//! The optimistic check, the same for every log: the stream of an append and the streams that its guards name must stand where
//! the caller saw them.

use docket_core::ids::{Position, StreamId};

use crate::log::{Append, AppendError, Expected};

/// Where the stream of an append stands, when everything stands as the caller believes. `latest` says where a stream stands,
/// [`Position::START`] for one without a commit.
///
/// The stream itself is looked at first: when it and a guard have both moved, the caller is told of the stream.
///
/// # Errors
/// [`AppendError::Conflict`] with the first one that has moved; those of `latest`.
pub fn checked(
    append: &Append,
    mut latest: impl FnMut(&StreamId) -> Result<Position, AppendError>,
) -> Result<Position, AppendError> {
    let actual = latest(&append.stream)?;
    stands(append.stream, append.expected, actual)?;
    for guard in &append.guards {
        stands(guard.stream, guard.expected, latest(&guard.stream)?)?;
    }
    Ok(actual)
}

fn stands(stream: StreamId, expected: Expected, actual: Position) -> Result<(), AppendError> {
    let holds = match expected {
        Expected::NoStream => actual.is_start(),
        Expected::At(position) => actual == position,
        Expected::Any => true,
    };
    if holds { Ok(()) } else { Err(AppendError::Conflict { stream, expected, actual }) }
}
