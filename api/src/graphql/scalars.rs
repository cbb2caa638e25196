//! Scalars of our own, after scalars.graphql.org.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use docket_core::{ids::Position, time::Timestamp};

/// An instant in RFC 3339. Answers are in UTC with exactly three fraction digits, such as `2026-11-22T09:00:00.000Z`; input
/// may have any offset and lies between the years 1900 and 2200.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateTime(pub Timestamp);

/// An instant in RFC 3339. Answers are in UTC with exactly three fraction digits, such as `2026-11-22T09:00:00.000Z`; input
/// may have any offset and lies between the years 1900 and 2200.
#[Scalar(specified_by_url = "https://scalars.graphql.org/andimarek/date-time")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        Timestamp::parse(text).map(Self).map_err(InputValueError::custom)
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

impl From<Timestamp> for DateTime {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

/// A whole number that may be larger than `Int` can hold, as a string of digits. Positions of the log are such numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BigInt(pub u64);

/// A whole number that may be larger than `Int` can hold, as a string of digits. Positions of the log are such numbers.
#[Scalar]
impl ScalarType for BigInt {
    fn parse(value: Value) -> InputValueResult<Self> {
        let wrong = || InputValueError::custom("a BigInt is a string of decimal digits, such as \"1024\"");
        if let Value::String(text) = &value {
            return text.parse().map(Self).map_err(|_| wrong());
        }
        let Value::Number(number) = &value else { return Err(InputValueError::expected_type(value)) };
        number.as_u64().map(Self).ok_or_else(wrong)
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

impl From<Position> for BigInt {
    fn from(position: Position) -> Self {
        Self(position.get())
    }
}

impl From<BigInt> for Position {
    fn from(number: BigInt) -> Self {
        Self::new(number.0)
    }
}

/// A length of time in ISO 8601, such as `PT1H30M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duration {
    /// Its length in milliseconds.
    pub millis: i64,
}

/// A length of time in ISO 8601, such as `PT1H30M`.
#[Scalar(specified_by_url = "https://www.iso.org/iso-8601-date-and-time-format.html")]
impl ScalarType for Duration {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        let span: jiff::SignedDuration = text.parse().map_err(InputValueError::custom)?;
        let millis = i64::try_from(span.as_millis()).map_err(InputValueError::custom)?;
        Ok(Self { millis })
    }

    fn to_value(&self) -> Value {
        Value::String(jiff::SignedDuration::from_millis(self.millis).to_string())
    }
}
