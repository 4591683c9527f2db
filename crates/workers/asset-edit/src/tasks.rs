//! The handlers of the asset-edit role.

use sapari_runtime::prelude::*;
use sapari_services::{CutJob, Look, Media, MediaError, PictureFormat, PictureJob, SoundFormat};
use sapari_tasks::{
    AudioFormat, ExtractAudio, ImageFormat, NormalizeImage, StoredImage, StoredRecording, TrimAsset,
};

use crate::edit::{Edit, stretch};

/// What a picture's longer side may be asked to have.
const SIDES: std::ops::RangeInclusive<u32> = 16..=8192;

/// Keeps one stretch of a video or a sound, exact to the frame.
#[task]
pub async fn trim_asset(
    args: TrimAsset,
    cx: TaskContext,
    State(media): State<Media>,
) -> TaskResult<StoredRecording> {
    let keys = (&*args.asset_key, &*args.to_key);
    let edit = Edit::of((media, cx), args.asset_file_uuid, keys).await?;
    let (source, probe) = edit.probed().await?;
    let keep = [stretch(args.from_us, args.to_us, probe.duration)?];
    let job = CutJob {
        source: &source,
        probe: &probe,
        keep: &keep,
        to: &edit.made()?,
        look: Look::default(),
    };
    let ffmpeg = &edit.media.ffmpeg;
    let trimmed = ffmpeg.trim_asset(edit.call(), job, |fraction| edit.progress(fraction));
    trimmed.await.permanent_when(MediaError::is_permanent)?;
    Ok(StoredRecording {
        bytes: edit.store().await?,
        key: args.to_key,
        seconds: keep[0].length().as_secs_f64(),
    })
}

/// Makes a sound file of what is heard in an asset.
#[task]
pub async fn extract_audio(
    args: ExtractAudio,
    cx: TaskContext,
    State(media): State<Media>,
) -> TaskResult<StoredRecording> {
    let keys = (&*args.asset_key, &*args.to_key);
    let edit = Edit::of((media, cx), args.asset_file_uuid, keys).await?;
    let (source, probe) = edit.probed().await?;
    let format = match args.format {
        AudioFormat::M4a => SoundFormat::M4a,
        AudioFormat::Mp3 => SoundFormat::Mp3,
        AudioFormat::Wav => SoundFormat::Wav,
    };
    let made = edit.made()?;
    let ffmpeg = &edit.media.ffmpeg;
    let extracted = ffmpeg.extract_sound(edit.call(), (&source, &probe), (format, &made), |it| {
        edit.progress(it);
    });
    extracted.await.permanent_when(MediaError::is_permanent)?;
    Ok(StoredRecording {
        bytes: edit.store().await?,
        key: args.to_key,
        seconds: probe.duration.as_secs_f64(),
    })
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
    let keys = (&*args.asset_key, &*args.to_key);
    let edit = Edit::of((media, cx), args.asset_file_uuid, keys).await?;
    let job = PictureJob {
        file: &edit.fetched().await?,
        to: &edit.made()?,
        max_side: args.max_side,
        format: match args.format {
            ImageFormat::Jpeg => PictureFormat::Jpeg,
            ImageFormat::Png => PictureFormat::Png,
        },
    };
    let normalized = edit.media.ffmpeg.normalize_image(edit.call(), job).await;
    let (width, height) = normalized.permanent_when(MediaError::is_permanent)?;
    Ok(StoredImage {
        bytes: edit.store().await?,
        key: args.to_key,
        width,
        height,
    })
}
