//! The id of a message: any short printable text, because callers may choose their own.
//! It is a key of the result store and a header of the broker, so its alphabet is held here, once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest id, in bytes: an AMQP short string.
const MAX_BYTES: usize = 255;

/// The id of a message: 1 to 255 bytes of printable text without spaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageId(String);

/// A text that cannot be an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a task id is 1 to 255 bytes of printable text without spaces")]
pub struct BadId;

impl MessageId {
    /// A new id: a UUID of version 7, so that ids sort by time.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for MessageId {
    fn default() -> Self {
        Self::new()
    }
}

impl TryFrom<String> for MessageId {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        let fits = (1..=MAX_BYTES).contains(&text.len());
        let printable = text.chars().all(|c| !c.is_control() && !c.is_whitespace());
        if fits && printable {
            Ok(Self(text))
        } else {
            Err(BadId)
        }
    }
}

impl FromStr for MessageId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        Self::try_from(text.to_owned())
    }
}

impl From<Uuid> for MessageId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid.to_string())
    }
}

impl From<MessageId> for String {
    fn from(id: MessageId) -> Self {
        id.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_printable_text_is_an_id() {
        let long = "x".repeat(256);
        let table = [
            ("a", true),
            ("order:42/é", true),
            ("", false),
            ("a b", false),
            ("a\n", false),
            (long.as_str(), false),
        ];
        for (text, good) in table {
            assert_eq!(text.parse::<MessageId>().is_ok(), good, "{text:?}");
        }
    }
}
