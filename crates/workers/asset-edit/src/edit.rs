//! What the edits have in common: an asset that is read, a file in scratch that is made of it, and a key that it is stored under.
//! What cannot be asked for is said before anything is read.

use std::path::PathBuf;
use std::time::Duration;

use sapari_runtime::prelude::*;
use sapari_services::{
    AssetCall, Media, MediaError, MediaSource, Probe, Scratch, Segment, StorageError, Subject,
};
use uuid::Uuid;

/// A list ends a little after its asset does when somebody measured otherwise: that much is let pass.
const BEYOND: Duration = Duration::from_millis(500);

/// One edit of one asset.
pub(crate) struct Edit {
    pub(crate) media: Media,
    asset: Uuid,
    from: String,
    to: String,
    scratch: Scratch,
    cx: TaskContext,
}

impl Edit {
    pub(crate) async fn of(
        (media, cx): (Media, TaskContext),
        asset: Uuid,
        (from, to): (&str, &str),
    ) -> TaskResult<Self> {
        if from == to {
            // Another attempt would edit what this one made.
            let reason = "the result would replace its own source: give another to_key";
            return Err(TaskError::permanent(reason));
        }
        Ok(Self {
            scratch: media.scratch("asset-edit").await?,
            media,
            asset,
            from: from.to_owned(),
            to: to.to_owned(),
            cx,
        })
    }

    pub(crate) fn call(&self) -> AssetCall<'_> {
        AssetCall {
            asset_file_uuid: self.asset,
            cancel: self.cx.stop(),
        }
    }

    fn subject(&self) -> Subject {
        Subject::asset(self.asset)
    }

    /// The asset where it lies, and what it is.
    pub(crate) async fn probed(&self) -> TaskResult<(MediaSource, Probe)> {
        let Media {
            ffmpeg, storage, ..
        } = &self.media;
        let source = storage.media_source(self.subject(), &self.from).await;
        let source = source.permanent_when(StorageError::is_permanent)?;
        let probe = ffmpeg.probe_asset(self.call(), &source).await;
        Ok((source, probe.permanent_when(MediaError::is_permanent)?))
    }

    /// The asset as a file.
    pub(crate) async fn fetched(&self) -> TaskResult<PathBuf> {
        let to = self.scratch.path("asset")?;
        let storage = &self.media.storage;
        let fetched = storage.get_file(self.subject(), &self.from, &to).await;
        fetched.permanent_when(StorageError::is_permanent)?;
        Ok(to)
    }

    /// Where what is made of it goes first.
    pub(crate) fn made(&self) -> TaskResult<PathBuf> {
        Ok(self.scratch.path("made")?)
    }

    /// Stores what was made, and tells its size.
    pub(crate) async fn store(&self) -> TaskResult<u64> {
        let made = self.made()?;
        let storage = &self.media.storage;
        let stored = storage.put_file(self.subject(), &self.to, &made).await;
        stored.permanent_when(StorageError::is_permanent)
    }

    pub(crate) fn progress(&self, fraction: f64) {
        self.cx.progress(fraction, ());
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
