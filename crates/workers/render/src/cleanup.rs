//! Deletes what has lain in storage for longer than it is kept: exports, previews, and outputs of steps whose message nobody settled.
//! It touches only what is called as one of these is.

use std::time::{Duration, SystemTime};

use sapari_runtime::prelude::*;
use sapari_services::{CHECKPOINTS, Media, Storage, StorageError, Subject};
use sapari_tasks::{CleanedUp, CleanupExpiredExports};
use uuid::Uuid;

/// How old an output of a step is that is of no use any more: what leads to it in the ledger goes three days after the last attempt,
/// and what is still retried after a week makes it again.
const OUTPUTS_KEPT: Duration = Duration::from_hours(7 * 24);

/// What one run deletes at most, of each: it holds a list of them.
const MOST: usize = 10_000;

/// Deletes expired exports and previews, and leaves all others.
#[task]
pub async fn cleanup_expired_exports(
    args: CleanupExpiredExports,
    cx: TaskContext,
    State(media): State<Media>,
) -> TaskResult<CleanedUp> {
    if args.keep_days == 0 {
        let reason = "keep_days is 0, which would delete what is being rendered: give 1 or more";
        return Err(TaskError::permanent(reason));
    }
    let kept = Duration::from_hours(24) * args.keep_days;
    let (exports, outputs) = (written_before(kept), written_before(OUTPUTS_KEPT));
    let places = [
        ("exports", exports),
        ("previews", exports),
        (CHECKPOINTS, outputs),
    ];
    clean(&media.storage, &places, MOST, &cx).await
}

fn written_before(kept: Duration) -> SystemTime {
    // Before there were clocks, nothing was written.
    let before = SystemTime::now().checked_sub(kept);
    before.unwrap_or(SystemTime::UNIX_EPOCH)
}

async fn clean(
    storage: &Storage,
    places: &[(&str, SystemTime)],
    most: usize,
    cx: &TaskContext,
) -> TaskResult<CleanedUp> {
    let mut cleaned = CleanedUp {
        deleted: 0,
        bytes: 0,
        is_more: false,
    };
    for (prefix, before) in places {
        let old = storage.written_before(prefix, *before, most).await;
        let old = old.permanent_when(StorageError::is_permanent)?;
        cleaned.is_more |= old.is_more;
        for object in old.found {
            let Some(ours) = Ours::of(prefix, &object.key) else {
                continue;
            };
            if cx.stop().is_cancelled() {
                cleaned.is_more = true;
                return Ok(cleaned);
            }
            let deleted = match ours {
                Ours::Made(subject) => storage.delete(subject, &object.key).await,
                Ours::Output => storage.forget_output(&object.key).await,
            };
            deleted.permanent_when(StorageError::is_permanent)?;
            cleaned.deleted += 1;
            cleaned.bytes += object.bytes;
        }
    }
    Ok(cleaned)
}

/// What an object is, if it is called as ours are.
enum Ours {
    /// An export or a preview, and for whom it was made.
    Made(Subject),
    /// Of a step of a pipeline.
    Output,
}

impl Ours {
    fn of(prefix: &str, key: &str) -> Option<Self> {
        let name = key.strip_prefix(prefix)?.strip_prefix('/')?;
        if prefix == CHECKPOINTS {
            return Storage::is_output(key).then_some(Self::Output);
        }
        let (uuid, extension) = name.split_once('.')?;
        let known = matches!(extension, "mp4" | "srt" | "vtt");
        let uuid = known.then(|| Uuid::try_parse(uuid).ok())??;
        Some(Self::Made(match prefix {
            "exports" => Subject::export(uuid),
            _ => Subject::project(uuid),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use sapari_runtime::error::ErrorKind;
    use sapari_runtime::pipeline::Alone;
    use sapari_services::{Ffmpeg, Scratch};

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn put(root: &Path, key: &str, days_old: u32) {
        let path = root.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, b"four").unwrap();
        let written = SystemTime::now() - DAY * days_old;
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(written)
            .unwrap();
    }

    #[tokio::test]
    async fn what_is_expired_goes_and_all_else_stays() {
        let root = Scratch::new(&std::env::temp_dir(), "cleanup").unwrap();
        let storage = Storage::open(&format!("file://{}", root.dir().display())).unwrap();
        let [a, b, c] = [Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3)];
        let old = [
            format!("exports/{a}.mp4"),
            format!("exports/{a}.srt"),
            format!("previews/{b}.mp4"),
        ];
        let (hash, step) = ("a1".repeat(32), "b2".repeat(32));
        let old_output = format!("checkpoints/{hash}/{step}");
        let others = [
            (format!("checkpoints/{step}/{hash}"), 6),
            (format!("checkpoints/{hash}/notes"), 90),
            (format!("exports/{c}.mp4"), 6),
            ("exports/readme.mp4".to_owned(), 90),
            (format!("exports/{a}.mp4.bak"), 90),
            (format!("exports/deeper/{a}.mp4"), 90),
            (format!("clips/{a}.mp4"), 90),
        ];
        let old = old.into_iter().chain([old_output]).collect::<Vec<_>>();
        old.iter().for_each(|key| put(root.dir(), key, 8));
        others
            .iter()
            .for_each(|(key, days)| put(root.dir(), key, *days));
        let alone = Alone::new();
        let cx = alone.cx::<CleanupExpiredExports>();
        let media = Media::new(Ffmpeg::in_path(), storage, root.dir().to_owned());
        let args = CleanupExpiredExports { keep_days: 7 };
        let cleaned = cleanup_expired_exports(args, cx, State(media)).await;
        let expected = CleanedUp {
            deleted: 4,
            bytes: 16,
            is_more: false,
        };
        assert_eq!(cleaned.unwrap(), expected);
        assert!(old.iter().all(|key| !root.dir().join(key).exists()));
        assert!(others.iter().all(|(key, _)| root.dir().join(key).exists()));
    }

    #[tokio::test]
    async fn nothing_is_deleted_on_the_day_that_it_is_written() {
        let root = Scratch::new(&std::env::temp_dir(), "cleanup-days").unwrap();
        let storage = Storage::open(&format!("file://{}", root.dir().display())).unwrap();
        let key = format!("exports/{}.mp4", Uuid::from_u128(1));
        put(root.dir(), &key, 1);
        let alone = Alone::new();
        let clean = async |keep_days| {
            let ffmpeg = Ffmpeg::in_path();
            let media = Media::new(ffmpeg, storage.clone(), root.dir().to_owned());
            let cx = alone.cx::<CleanupExpiredExports>();
            cleanup_expired_exports(CleanupExpiredExports { keep_days }, cx, State(media)).await
        };
        let refused = clean(0).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Permanent);
        assert!(refused.sentence().contains("give 1 or more"));
        assert_eq!(clean(2).await.unwrap().deleted, 0);
        assert!(root.dir().join(&key).exists());
        assert_eq!(clean(1).await.unwrap().deleted, 1);
        assert!(!root.dir().join(&key).exists());
    }

    #[tokio::test]
    async fn what_is_too_much_for_one_run_is_left_to_the_next() {
        let root = Scratch::new(&std::env::temp_dir(), "cleanup-most").unwrap();
        let storage = Storage::open(&format!("file://{}", root.dir().display())).unwrap();
        for number in 0..5 {
            put(
                root.dir(),
                &format!("exports/{}.mp4", Uuid::from_u128(number)),
                8,
            );
        }
        let alone = Alone::new();
        let cx = alone.cx::<CleanupExpiredExports>();
        for (deleted, is_more) in [(2, true), (2, true), (1, false), (0, false)] {
            let places = [("exports", SystemTime::now() - DAY)];
            let cleaned = clean(&storage, &places, 2, &cx).await.unwrap();
            assert_eq!((cleaned.deleted, cleaned.is_more), (deleted, is_more));
        }
    }
}
