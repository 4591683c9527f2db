//! The handlers of the asset-edit role.

use sapari_runtime::pipeline::Pipeline;
use sapari_runtime::prelude::*;
use sapari_services::{Media, StorageError};
use sapari_tasks::{ExtractAudio, NormalizeImage, StoredImage, StoredRecording, TrimAsset};

use crate::edit::Edit;
use crate::pipeline::{Tools, image, sound, trim};

/// The label of its scratch directories.
pub(crate) const SCRATCH: &str = "asset-edit";

/// What a picture's longer side may be asked to have.
const SIDES: std::ops::RangeInclusive<u32> = 16..=8192;

/// Keeps one stretch of a video or a sound, exact to the frame.
#[task]
pub async fn trim_asset(
    args: TrimAsset,
    cx: TaskContext,
    State(media): State<Media>,
) -> TaskResult<StoredRecording> {
    let edit = Edit::of(args.asset_file_uuid, (&args.asset_key, &args.to_key))?;
    run(trim(), &cx, (media, edit), args).await
}

/// Makes a sound file of what is heard in an asset.
#[task]
pub async fn extract_audio(
    args: ExtractAudio,
    cx: TaskContext,
    State(media): State<Media>,
) -> TaskResult<StoredRecording> {
    let edit = Edit::of(args.asset_file_uuid, (&args.asset_key, &args.to_key))?;
    run(sound(), &cx, (media, edit), args).await
}

/// Makes of a picture one that every browser shows alike.
#[task]
pub async fn normalize_image(
    args: NormalizeImage,
    cx: TaskContext,
    State(media): State<Media>,
) -> TaskResult<StoredImage> {
    if !SIDES.contains(&args.max_side) {
        let (least, most) = (SIDES.start(), SIDES.end());
        let reason = format!(
            "a longer side of {} is asked for: give {least} to {most}",
            args.max_side
        );
        return Err(TaskError::permanent(reason));
    }
    let edit = Edit::of(args.asset_file_uuid, (&args.asset_key, &args.to_key))?;
    run(image(), &cx, (media, edit), args).await
}

/// In the message's scratch directory. A key that nothing can be stored under is refused before.
async fn run<In: Task, Out: Clone + Send + Sync + 'static>(
    pipeline: Pipeline<In, Tools, Out>,
    cx: &TaskContext,
    (media, edit): (Media, Edit),
    args: In,
) -> TaskResult<Out> {
    let fits = media.storage.check_key(&edit.to);
    fits.permanent_when(StorageError::is_permanent)?;
    let (message, again) = ((SCRATCH, cx.id().as_str()), |error: Option<&_>| {
        cx.comes_again(error)
    });
    let tools = |scratch| Tools {
        scratch,
        media: media.clone(),
        edit,
    };
    let work = |scratch| pipeline.run(cx, tools(scratch), args);
    media.in_scratch_of(message, again, work).await
}

#[cfg(test)]
mod tests {
    use sapari_runtime::error::ErrorKind;
    use sapari_runtime::pipeline::Alone;
    use sapari_services::{Ffmpeg, Storage};
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_key_that_cannot_be_stored_under_is_refused_before_the_asset_is_read() {
        for to_key in ["", "/made.mp4", "../made.mp4", "made//it.mp4"] {
            let storage = Storage::open("memory://").expect("memory");
            let media = Media::new(Ffmpeg::in_path(), storage, std::env::temp_dir());
            let task = TrimAsset {
                asset_file_uuid: Uuid::nil(),
                asset_key: "assets/none.mp4".to_owned(),
                to_key: to_key.to_owned(),
                from_us: 0,
                to_us: 1,
            };
            let edit = Edit::of(task.asset_file_uuid, (&task.asset_key, to_key)).expect("two keys");
            let message = Alone::new();
            let done = run(trim(), &message.cx::<TrimAsset>(), (media, edit), task).await;
            let error = done.expect_err(to_key);
            assert_eq!(error.kind(), ErrorKind::Permanent);
            let said = error.sentence();
            assert!(said.contains("is not a storage key"), "{to_key}: {said}");
        }
    }
}
