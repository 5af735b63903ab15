//! Positions: how far a client has got in the order of messages, as it keeps it over a lost connection.
//!
//! A position is the place between two messages: [`Position::sequence`] messages of its epoch lie before
//! it. The epoch is drawn by each life of the server, so no position of another life is mistaken for one of
//! this. To clients the text is opaque.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A place in the order of messages, written as `EPOCH.SEQUENCE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which life of the order.
    pub epoch: u64,
    /// How many messages lie before this place.
    pub sequence: u64,
}

/// A text that is no position of this kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position")]
pub struct NotAPosition;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{}", self.epoch, self.sequence)
    }
}

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let (epoch, sequence) = text.split_once('.').ok_or(NotAPosition)?;
        let position = Self {
            epoch: u64::from_str_radix(epoch, 16).map_err(|_| NotAPosition)?,
            sequence: sequence.parse().map_err(|_| NotAPosition)?,
        };
        // One place has one text: no signs, no other zeros, no capitals.
        Some(position)
            .filter(|position| position.to_string() == text)
            .ok_or(NotAPosition)
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_else() {
        for (epoch, sequence) in [(0, 0), (1, u64::MAX), (u64::MAX, 10)] {
            let position = Position { epoch, sequence };
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        for text in [
            "",
            ".",
            "1",
            "1.1",
            "+000000000000001.1",
            "0000000000000001.+1",
            "0000000000000001.01",
            "000000000000000A.1",
            "0000000000000001.1 ",
            "0000000000000001.1.1",
            "0000000000000001.18446744073709551616",
        ] {
            assert_eq!(text.parse::<Position>(), Err(NotAPosition), "{text:?}");
        }
    }
}
