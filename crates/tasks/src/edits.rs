//! The edit list: what analysis stores and render reads. Times are whole microseconds, because seconds as floats drift.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What is kept of a project's clip, and what is done to that. All times are those of the clip as it was uploaded: whoever cuts
/// moves them.
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
    /// Where nothing is to be heard of the clip's own sound.
    #[serde(default)]
    pub mutes: Vec<Muted>,
    /// What is said, in order, as people are to read it.
    #[serde(default)]
    pub captions: Vec<Caption>,
}

/// A stretch of the clip that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Where it begins, in microseconds.
    pub from_us: u64,
    /// Where it ends, in microseconds.
    pub to_us: u64,
}

/// A stretch of the clip whose sound is not to be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Muted {
    /// Where it begins, in microseconds.
    pub from_us: u64,
    /// Where it ends, in microseconds.
    pub to_us: u64,
}

/// A line of text for a stretch of the clip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caption {
    /// Where it appears, in microseconds.
    pub from_us: u64,
    /// Where it goes, in microseconds.
    pub to_us: u64,
    /// What stands there: plain text, whatever characters it has.
    pub text: String,
}

impl EditList {
    /// What to keep of a clip, with nothing muted and no captions.
    #[must_use]
    pub fn new(project_uuid: Uuid, clip: (Uuid, &str), keep: Vec<Kept>) -> Self {
        let (clip_file_uuid, clip_key) = clip;
        Self {
            project_uuid,
            clip_file_uuid,
            clip_key: clip_key.to_owned(),
            keep,
            mutes: Vec::new(),
            captions: Vec::new(),
        }
    }

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
        Self {
            from_us: micros(from),
            to_us: micros(to),
        }
    }

    /// Where it begins and ends.
    #[must_use]
    pub fn bounds(self) -> (Duration, Duration) {
        durations(self.from_us, self.to_us)
    }
}

impl Muted {
    /// A stretch between two times.
    #[must_use]
    pub fn between(from: Duration, to: Duration) -> Self {
        Self {
            from_us: micros(from),
            to_us: micros(to),
        }
    }

    /// Where it begins and ends.
    #[must_use]
    pub fn bounds(self) -> (Duration, Duration) {
        durations(self.from_us, self.to_us)
    }
}

impl Caption {
    /// A text between two times.
    #[must_use]
    pub fn between(from: Duration, to: Duration, text: impl Into<String>) -> Self {
        Self {
            from_us: micros(from),
            to_us: micros(to),
            text: text.into(),
        }
    }

    /// Where it appears and goes.
    #[must_use]
    pub fn bounds(&self) -> (Duration, Duration) {
        durations(self.from_us, self.to_us)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn durations(from_us: u64, to_us: u64) -> (Duration, Duration) {
    (Duration::from_micros(from_us), Duration::from_micros(to_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_only_keeps_is_still_read() {
        let old = r#"{
            "project_uuid": "018f2a3e-0000-7000-8000-000000000001",
            "clip_file_uuid": "018f2a3e-0000-7000-8000-000000000002",
            "clip_key": "clips/a.mp4",
            "keep": [{"from_us": 0, "to_us": 1500000}]
        }"#;
        let list: EditList = serde_json::from_str(old).unwrap();
        assert!(list.mutes.is_empty() && list.captions.is_empty());
        assert_eq!(list.keep[0].bounds().1, Duration::from_millis(1500));
    }

    #[test]
    fn times_survive_the_way_through_json() {
        let at = Duration::from_micros;
        let mut list = EditList::new(Uuid::nil(), (Uuid::nil(), "a.mp4"), Vec::new());
        list.mutes.push(Muted::between(at(7), at(9)));
        list.captions
            .push(Caption::between(at(1), at(3), "he said: 'no' {\\b1}"));
        let read: EditList = serde_json::from_str(&serde_json::to_string(&list).unwrap()).unwrap();
        assert_eq!(read, list);
        assert_eq!(read.mutes[0].bounds(), (at(7), at(9)));
        assert_eq!(read.captions[0].bounds(), (at(1), at(3)));
    }
}
