//! The steps of the three pipelines. Where a recording lies is found out by each step that reads it: what a bucket's address is signed
//! with runs out, and is not to be kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sapari_runtime::prelude::*;
use sapari_services::{
    AssetCall, CutJob, Look, MediaError, MediaSource, PictureFormat, PictureJob, Probe, Segment,
    SoundFormat, StorageError,
};
use sapari_tasks::{
    AudioFormat, ExtractAudio, ImageFormat, NormalizeImage, StoredImage, StoredRecording, TrimAsset,
};
use serde::{Deserialize, Serialize};

use crate::edit::stretch;
use crate::pipeline::Cx;

/// What an edit makes, by its name in scratch.
const MADE: &str = "made";

/// A file in the scratch directory, by its name there: the directory may be another one in the next attempt.
type Name = String;

/// A recording that was made, and how long it is.
#[derive(Serialize, Deserialize)]
pub(crate) struct Recording {
    pub(crate) file: Name,
    seconds: f64,
}

impl Recording {
    fn made(length: Duration) -> Self {
        Self {
            file: MADE.to_owned(),
            seconds: length.as_secs_f64(),
        }
    }
}

/// A picture that was made, and its size in pixels.
#[derive(Serialize, Deserialize)]
pub(crate) struct Picture {
    pub(crate) file: Name,
    width: u32,
    height: u32,
}

/// Holds as long as the file is there.
pub(crate) fn is_there<In: Task>(cx: &Cx<In>, name: &Name) -> bool {
    cx.deps().scratch.has(name)
}

fn call<In: Task>(cx: &Cx<In>) -> AssetCall<'_> {
    AssetCall {
        asset_file_uuid: cx.deps().edit.asset_file_uuid,
        cancel: cx.stop(),
    }
}

fn path<In: Task>(cx: &Cx<In>, name: &str) -> TaskResult<PathBuf> {
    Ok(cx.deps().scratch.path(name)?)
}

/// Where the asset is read.
async fn asset<In: Task>(cx: &Cx<In>) -> TaskResult<MediaSource> {
    let (storage, edit) = (&cx.deps().media.storage, &cx.deps().edit);
    let source = storage.media_source(edit.subject(), &edit.from).await;
    source.permanent_when(StorageError::is_permanent)
}

/// What a recording is.
pub(crate) async fn probe_asset<In: Task>(cx: Cx<In>) -> TaskResult<Probe> {
    let source = asset(&cx).await?;
    let ffmpeg = &cx.deps().media.ffmpeg;
    let probe = ffmpeg.probe_asset(call(&cx), &source).await;
    probe.permanent_when(MediaError::is_permanent)
}

/// The same, of one that has the stretch that is asked for.
pub(crate) async fn probe_stretch(cx: Cx<TrimAsset>) -> TaskResult<Probe> {
    let probe = probe_asset(cx.clone()).await?;
    kept(&cx, &probe)?;
    Ok(probe)
}

/// What is kept, if the asset has it.
fn kept(cx: &Cx<TrimAsset>, probe: &Probe) -> TaskResult<Segment> {
    let TrimAsset { from_us, to_us, .. } = cx.task();
    stretch(*from_us, *to_us, probe.duration)
}

pub(crate) async fn trim_asset(cx: Cx<TrimAsset>, probe: Arc<Probe>) -> TaskResult<Recording> {
    let (source, keep) = (asset(&cx).await?, [kept(&cx, &probe)?]);
    let job = CutJob {
        source: &source,
        probe: &probe,
        keep: &keep,
        to: &path(&cx, MADE)?,
        look: Look::default(),
    };
    let ffmpeg = &cx.deps().media.ffmpeg;
    let trimmed = ffmpeg.trim_asset(call(&cx), job, |fraction| cx.progress(fraction));
    let length = trimmed.await.permanent_when(MediaError::is_permanent)?;
    Ok(Recording::made(length))
}

pub(crate) async fn extract_audio(
    cx: Cx<ExtractAudio>,
    probe: Arc<Probe>,
) -> TaskResult<Recording> {
    let source = asset(&cx).await?;
    let format = match cx.task().format {
        AudioFormat::M4a => SoundFormat::M4a,
        AudioFormat::Mp3 => SoundFormat::Mp3,
        AudioFormat::Wav => SoundFormat::Wav,
    };
    let (to, ffmpeg) = (path(&cx, MADE)?, &cx.deps().media.ffmpeg);
    let told = |fraction| cx.progress(fraction);
    let extracted = ffmpeg.extract_sound(call(&cx), (&source, &probe), (format, &to), told);
    let length = extracted.await.permanent_when(MediaError::is_permanent)?;
    Ok(Recording::made(length))
}

/// The asset as a file.
pub(crate) async fn download_asset(cx: Cx<NormalizeImage>) -> TaskResult<Name> {
    let name = "asset";
    let (storage, edit) = (&cx.deps().media.storage, &cx.deps().edit);
    let to = path(&cx, name)?;
    let fetched = storage.get_file(edit.subject(), &edit.from, &to).await;
    fetched.permanent_when(StorageError::is_permanent)?;
    Ok(name.to_owned())
}

pub(crate) async fn normalize_image(
    cx: Cx<NormalizeImage>,
    asset: Arc<Name>,
) -> TaskResult<Picture> {
    let job = PictureJob {
        file: &path(&cx, &asset)?,
        to: &path(&cx, MADE)?,
        max_side: cx.task().max_side,
        format: match cx.task().format {
            ImageFormat::Jpeg => PictureFormat::Jpeg,
            ImageFormat::Png => PictureFormat::Png,
        },
    };
    let ffmpeg = &cx.deps().media.ffmpeg;
    let normalized = ffmpeg.normalize_image(call(&cx), job).await;
    let (width, height) = normalized.permanent_when(MediaError::is_permanent)?;
    Ok(Picture {
        file: MADE.to_owned(),
        width,
        height,
    })
}

pub(crate) async fn store_recording<In: Task>(
    cx: Cx<In>,
    made: Arc<Recording>,
) -> TaskResult<StoredRecording> {
    Ok(StoredRecording {
        bytes: store(&cx, &made.file).await?,
        key: cx.deps().edit.to.clone(),
        seconds: made.seconds,
    })
}

pub(crate) async fn store_image(
    cx: Cx<NormalizeImage>,
    picture: Arc<Picture>,
) -> TaskResult<StoredImage> {
    Ok(StoredImage {
        bytes: store(&cx, &picture.file).await?,
        key: cx.deps().edit.to.clone(),
        width: picture.width,
        height: picture.height,
    })
}

/// Stores what was made, and tells its size.
async fn store<In: Task>(cx: &Cx<In>, made: &Name) -> TaskResult<u64> {
    let (storage, edit) = (&cx.deps().media.storage, &cx.deps().edit);
    let made = path(cx, made)?;
    let stored = storage.put_file(edit.subject(), &edit.to, &made).await;
    stored.permanent_when(StorageError::is_permanent)
}
