//! The edit list: what analysis stores and render reads. Times are whole microseconds, because seconds as floats drift.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What is kept of a project's clip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditList {
    /// The project.
    pub project_uuid: Uuid,
    /// The clip's id.
    pub clip_file_uuid: Uuid,
    /// Where the clip lies in storage.
    pub clip_key: String,
    /// What is kept, in order.
    pub keep: Vec<Kept>,
}

/// A stretch of the clip that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Where it begins, in microseconds.
    pub from_us: u64,
    /// Where it ends, in microseconds.
    pub to_us: u64,
}

impl EditList {
    /// Where a project's edit list lies in storage.
    #[must_use]
    pub fn key(project_uuid: Uuid) -> String {
        format!("projects/{project_uuid}/edits.json")
    }
}

impl Kept {
    /// A stretch between two times.
    #[must_use]
    pub fn between(from: Duration, to: Duration) -> Self {
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self {
            from_us: us(from),
            to_us: us(to),
        }
    }

    /// Where it begins and ends.
    #[must_use]
    pub fn bounds(self) -> (Duration, Duration) {
        (
            Duration::from_micros(self.from_us),
            Duration::from_micros(self.to_us),
        )
    }
}
