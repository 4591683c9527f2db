//! What the edits have in common: an asset, and the key that what is made of it is stored under. And what can be kept of a recording.
//! What cannot be asked for is said before anything is read. Plain values, no I/O.

use std::time::Duration;

use sapari_runtime::prelude::*;
use sapari_services::{Segment, Subject};
use sapari_tasks::EditList;
use uuid::Uuid;

/// A list ends a little after its asset does when somebody measured otherwise: that much is let pass.
const BEYOND: Duration = Duration::from_millis(500);

/// One edit of one asset.
pub(crate) struct Edit {
    pub(crate) asset_file_uuid: Uuid,
    /// Where the asset lies, and where the result is to lie.
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Edit {
    pub(crate) fn of(asset_file_uuid: Uuid, (from, to): (&str, &str)) -> TaskResult<Self> {
        if from == to {
            // Another attempt would edit what this one made.
            let reason = "the result would replace its own source: give another to_key";
            return Err(TaskError::permanent(reason));
        }
        if EditList::has_key(to) {
            let reason = "the result would replace a project's edit list: give another to_key";
            return Err(TaskError::permanent(reason));
        }
        Ok(Self {
            asset_file_uuid,
            from: from.to_owned(),
            to: to.to_owned(),
        })
    }

    pub(crate) fn subject(&self) -> Subject {
        Subject::asset(self.asset_file_uuid)
    }
}

/// The stretch that is to be kept of an asset this long.
pub(crate) fn stretch(from_us: u64, to_us: u64, duration: Duration) -> TaskResult<Segment> {
    let (from, to) = (Duration::from_micros(from_us), Duration::from_micros(to_us));
    if from >= to || from >= duration || to > duration + BEYOND {
        let [from, to, duration] = [from, to, duration].map(|time| time.as_secs_f64());
        return Err(TaskError::permanent(format!(
            "{from:.3} s to {to:.3} s is no stretch of an asset that is {duration:.3} s long"
        )));
    }
    Ok(Segment {
        from,
        to: to.min(duration),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_replaces_neither_its_source_nor_an_edit_list() {
        let edit = |to| Edit::of(Uuid::nil(), ("assets/a.mp4", to));
        let list = EditList::key(Uuid::nil());
        for (to, words) in [("assets/a.mp4", "own source"), (&list, "edit list")] {
            let error = edit(to).err().expect("refused").to_string();
            assert!(error.contains(words), "{error}");
        }
        assert!(edit("assets/b.mp4").is_ok());
    }

    #[test]
    fn a_stretch_lies_within_the_asset() {
        let duration = Duration::from_secs(10);
        for (from, to, expected) in [
            (0, 10_000_000, Some(10_000_000)),
            (1, 10_400_000, Some(10_000_000)),
            (0, 10_600_000, None),
            (5, 5, None),
            (6, 5, None),
            (10_000_000, 10_100_000, None),
        ] {
            let kept = stretch(from, to, duration).ok();
            let expected = expected.map(|to| Segment {
                from: Duration::from_micros(from),
                to: Duration::from_micros(to),
            });
            assert_eq!(kept, expected, "{from} to {to}");
        }
    }
}
