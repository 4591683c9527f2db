//! The steps of both pipelines. The clip is looked at where it lies, so that a broken one, or an edit list that does not fit it, is
//! refused before gigabytes are fetched.

use std::sync::Arc;

use sapari_runtime::pipeline::Skip;
use sapari_runtime::prelude::*;
use sapari_services::{
    Clip, ClipCall, CutJob, Gain, Look, Loudness, MediaError, MediaSource, Segment, StorageError,
    Subject, cuts,
};
use sapari_tasks::EditList;

use crate::order::{cues, mutes};
use crate::pipeline::{Cx, Probed, Video};

/// The most that an edit list may have: a cut every second of a day is less.
const MAX_EDIT_LIST_BYTES: u64 = 16 * 1024 * 1024;
/// The most of a clip's name that stands in that of its file: file systems take 255 bytes.
const MAX_NAME_CHARS: usize = 50;

/// A file in the scratch directory, by its name there: the directory may be another one in the next attempt.
type Name = String;

/// What was stored.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) segments: usize,
}

/// Holds as long as the file is there.
pub(crate) fn is_there<In: Task>(cx: &Cx<In>, name: &Name) -> bool {
    cx.deps().scratch.has(name)
}

fn call<'a, In: Task>(cx: &'a Cx<In>, edits: &EditList) -> ClipCall<'a> {
    ClipCall {
        clip_file_uuid: edits.clip_file_uuid,
        cancel: cx.stop(),
    }
}

pub(crate) async fn probe_clips<In: Task>(cx: Cx<In>) -> TaskResult<Probed> {
    let edits = load_edits(&cx).await?;
    let found = cx
        .deps()
        .media
        .look_at(call(&cx, &edits), &edits.clip_key)
        .await;
    let Clip { probe, .. } = found.permanent_when(MediaError::is_permanent)?;
    let probed = Probed { edits, probe };
    kept(&probed)?;
    Ok(probed)
}

/// What is kept, if it can be kept of this clip.
fn kept(probed: &Probed) -> TaskResult<Vec<Segment>> {
    cuts::checked(&probed.listed(), probed.probe.duration).permanent()
}

async fn load_edits<In: Task>(cx: &Cx<In>) -> TaskResult<EditList> {
    let project = cx.deps().order.project_uuid;
    let (subject, key) = (Subject::project(project), EditList::key(project));
    let storage = &cx.deps().media.storage;
    let bytes = storage.get_bytes(subject, &key, MAX_EDIT_LIST_BYTES).await;
    let bytes = bytes.permanent_when(StorageError::is_permanent)?;
    EditList::read(project, &bytes).permanent()
}

pub(crate) async fn download_clips<In: Task>(cx: Cx<In>, probed: Arc<Probed>) -> TaskResult<Name> {
    let Probed { edits, .. } = &*probed;
    let name = local_name(&edits.clip_key);
    let to = cx.deps().scratch.path(&name)?;
    let storage = &cx.deps().media.storage;
    let fetched = storage
        .get_file(Subject::clip(edits.clip_file_uuid), &edits.clip_key, &to)
        .await;
    fetched.permanent_when(StorageError::is_permanent)?;
    Ok(name)
}

/// Under its own name: an error speaks of the file that somebody uploaded.
fn local_name(key: &str) -> Name {
    let name = key.rsplit('/').next().unwrap_or_default();
    let skipped = name.chars().count().saturating_sub(MAX_NAME_CHARS);
    let end: String = name.chars().skip(skipped).collect();
    format!("clip-{end}")
}

pub(crate) async fn measure_loudness<In: Task>(
    cx: Cx<In>,
    probed: Arc<Probed>,
    clip: Arc<Name>,
) -> TaskResult<Loudness> {
    if cx.deps().order.settings.loudness_lufs.is_none() {
        return Err(Skip::because("no loudness is asked for").into());
    }
    let (keep, mutes) = (kept(&probed)?, mutes(&probed.edits));
    let source = MediaSource::File(cx.deps().scratch.path(&clip)?);
    let job = CutJob {
        source: &source,
        probe: &probed.probe,
        keep: &keep,
        to: &cx.deps().scratch.path("loudness")?,
        look: cx.deps().order.look(&mutes, None, None),
    };
    let ffmpeg = &cx.deps().media.ffmpeg;
    let measured = ffmpeg.measure_loudness(call(&cx, &probed.edits), job).await;
    let measured = measured.permanent_when(MediaError::is_permanent)?;
    measured.ok_or_else(|| Skip::because("the clip has no sound").into())
}

pub(crate) async fn apply_cuts<In: Task>(
    cx: Cx<In>,
    probed: Arc<Probed>,
    clip: Arc<Name>,
    loudness: Option<Arc<Loudness>>,
) -> TaskResult<Video> {
    let name = "export.mp4";
    let scratch = &cx.deps().scratch;
    let (keep, mutes) = (kept(&probed)?, mutes(&probed.edits));
    let source = MediaSource::File(scratch.path(&clip)?);
    let subtitles = write_subtitles(&cx, &probed, &keep).await?;
    let job = CutJob {
        source: &source,
        probe: &probed.probe,
        keep: &keep,
        to: &scratch.path(name)?,
        look: look(&cx, &mutes, loudness.as_deref(), subtitles),
    };
    let ffmpeg = &cx.deps().media.ffmpeg;
    let rendered = ffmpeg
        .render_cuts(call(&cx, &probed.edits), job, |fraction| {
            cx.progress(fraction);
        })
        .await;
    let length = rendered.permanent_when(MediaError::is_permanent)?;
    Ok(Video {
        file: name.to_owned(),
        seconds: length.as_secs_f64(),
    })
}

fn look<'a, In: Task>(
    cx: &Cx<In>,
    mutes: &'a [Segment],
    loudness: Option<&Loudness>,
    subtitles: Option<&'a str>,
) -> Look<'a> {
    let order = &cx.deps().order;
    let gain = |lufs: i8| -> Option<Gain> { loudness?.gain_to(lufs.into()) };
    order.look(
        mutes,
        order.settings.loudness_lufs.and_then(gain),
        subtitles,
    )
}

/// What is to be burnt in, as a file beside the video.
async fn write_subtitles<In: Task>(
    cx: &Cx<In>,
    probed: &Probed,
    keep: &[Segment],
) -> TaskResult<Option<&'static str>> {
    let name = "captions.ass";
    let cues = cues(&probed.edits, keep);
    let Some(text) = cx.deps().order.burnt(&cues, &probed.probe) else {
        return Ok(None);
    };
    tokio::fs::write(cx.deps().scratch.path(name)?, text).await?;
    Ok(Some(name))
}

pub(crate) async fn upload_export<In: Task>(
    cx: Cx<In>,
    probed: Arc<Probed>,
    video: Arc<Video>,
) -> TaskResult<Stored> {
    let keep = kept(&probed)?;
    let (order, storage) = (&cx.deps().order, &cx.deps().media.storage);
    if let Some((key, text)) = order.beside(&cues(&probed.edits, &keep)) {
        let stored = storage
            .put_bytes(order.subject, key, text.into_bytes())
            .await;
        stored.permanent_when(StorageError::is_permanent)?;
    }
    let file = cx.deps().scratch.path(&video.file)?;
    let bytes = storage.put_file(order.subject, &order.key, &file).await;
    Ok(Stored {
        bytes: bytes.permanent_when(StorageError::is_permanent)?,
        seconds: video.seconds,
        segments: keep.len(),
    })
}
