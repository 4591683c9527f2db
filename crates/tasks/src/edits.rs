//! The edit list: what analysis stores and render reads. Times are whole microseconds, because seconds as floats drift.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

/// What is kept of a project's clip, and what is done to that. All times are those of the clip as it was uploaded: whoever cuts
/// moves them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Where it begins, in microseconds.
    pub from_us: u64,
    /// Where it ends, in microseconds.
    pub to_us: u64,
}

/// A stretch of the clip whose sound is not to be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Muted {
    /// Where it begins, in microseconds.
    pub from_us: u64,
    /// Where it ends, in microseconds.
    pub to_us: u64,
}

/// A line of text for a stretch of the clip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caption {
    /// Where it appears, in microseconds.
    pub from_us: u64,
    /// Where it goes, in microseconds.
    pub to_us: u64,
    /// What stands there: plain text, whatever characters it has.
    pub text: String,
}

/// Why an edit list cannot be followed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EditListFault {
    /// It is no JSON, or says something that nobody would follow.
    #[error("the edit list {key} cannot be read: {source}")]
    Unreadable {
        /// Where it lies.
        key: String,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// It was put there for another project.
    #[error("the edit list {key} is that of the project {of}: store the one of this project there")]
    OfAnother {
        /// Where it lies.
        key: String,
        /// Whose it is.
        of: Uuid,
    },
    /// A mute or a caption ends before it begins.
    #[error("the edit list has a {what} that begins at {:.3} s and ends before, at {:.3} s", .from.as_secs_f64(), .to.as_secs_f64())]
    Backwards {
        /// Which of the two.
        what: &'static str,
        /// Where it begins.
        from: Duration,
        /// Where it ends.
        to: Duration,
    },
}

impl EditList {
    /// Whether some project's edit list lies there. What tasks make is stored elsewhere: it would take its place.
    #[must_use]
    pub fn has_key(key: &str) -> bool {
        let project = key.strip_prefix("projects/");
        let project = project.and_then(|rest| rest.strip_suffix("/edits.json"));
        project.is_some_and(|project| !project.contains('/'))
    }

    /// The edit list of a project from what is stored under its [key](Self::key). What is kept is checked by whoever knows the clip.
    ///
    /// # Errors
    ///
    /// [`EditListFault`]: no retry heals it. A key that is not known is one of them, because it may be a misspelt one.
    pub fn read(project_uuid: Uuid, stored: &[u8]) -> Result<Self, EditListFault> {
        let key = || Self::key(project_uuid);
        let list: Self = serde_json::from_slice(stored)
            .map_err(|source| EditListFault::Unreadable { key: key(), source })?;
        if list.project_uuid != project_uuid {
            let of = list.project_uuid;
            return Err(EditListFault::OfAnother { key: key(), of });
        }
        let mutes = list.mutes.iter().map(|mute| ("mute", mute.bounds()));
        let captions = list.captions.iter();
        let captions = captions.map(|caption| ("caption", caption.bounds()));
        let backwards = mutes.chain(captions).find(|(_, (from, to))| to < from);
        match backwards {
            Some((what, (from, to))) => Err(EditListFault::Backwards { what, from, to }),
            None => Ok(list),
        }
    }

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
    fn what_nobody_would_follow_is_refused_with_a_sentence() {
        let [ours, other] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let list = |more: &str| {
            format!(
                r#"{{"project_uuid": "{ours}", "clip_file_uuid": "{other}", "clip_key": "clips/a.mp4",
                "keep": [{{"from_us": 0, "to_us": 1500000}}]{more}}}"#
            )
        };
        let table = [
            (
                ours,
                "{".to_owned(),
                "/edits.json cannot be read: EOF while parsing",
            ),
            (
                other,
                list(""),
                "is that of the project 00000000-0000-0000-0000-000000000001",
            ),
            (
                ours,
                list(r#", "mute": []"#),
                "cannot be read: unknown field `mute`, expected one of",
            ),
            (
                ours,
                list(r#", "mutes": [{"from_us": 0, "to_us": 1, "at": 2}]"#),
                "unknown field `at`",
            ),
            (
                ours,
                list(r#", "mutes": [{"from_us": 2000000, "to_us": 1000000}]"#),
                "a mute that begins at 2.000 s and ends before, at 1.000 s",
            ),
            (
                ours,
                list(r#", "captions": [{"from_us": 2, "to_us": 1, "text": ""}]"#),
                "a caption that begins at 0.000 s",
            ),
        ];
        for (project, stored, words) in table {
            let error = EditList::read(project, stored.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
        assert!(EditList::read(ours, list("").as_bytes()).is_ok());
    }

    #[test]
    fn where_edit_lists_lie() {
        assert!(EditList::has_key(&EditList::key(Uuid::from_u128(7))));
        for key in [
            "projects/edits.json",
            "projects/7/a/edits.json",
            "made/edits.json",
        ] {
            assert!(!EditList::has_key(key), "{key}");
        }
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
