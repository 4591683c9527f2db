//! `render.pipeline`: look at the clip, fetch it, cut it, store the export.
//! The clip is looked at where it lies, so that a broken one is refused before gigabytes are fetched. What was found, fetched and
//! rendered is kept: another attempt goes on where this one was, on another machine with what is not in scratch.

use std::sync::Arc;

use sapari_runtime::pipeline::{Pipeline, StepContext, spec};
use sapari_runtime::prelude::*;
use sapari_services::{
    ClipCall, CutJob, Media, MediaError, MediaSource, Probe, Scratch, Segment, StorageError,
    Subject, total,
};
use sapari_tasks::{EditList, ExportManifest, RenderExport};
use serde::{Deserialize, Serialize};

/// The most that an edit list may have: a cut every second of a day is less.
const MAX_EDIT_LIST_BYTES: u64 = 16 * 1024 * 1024;

/// What the steps work with, for one run.
pub(crate) struct Tools {
    pub(crate) media: Media,
    pub(crate) scratch: Arc<Scratch>,
}

type Cx = StepContext<RenderExport, Tools>;

/// The clip as it was found, and what is to be kept of it.
#[derive(Serialize, Deserialize)]
struct Probed {
    edits: EditList,
    probe: Probe,
}

impl Probed {
    fn keep(&self) -> Vec<Segment> {
        let bounds = self.edits.keep.iter().map(|kept| kept.bounds());
        bounds.map(|(from, to)| Segment { from, to }).collect()
    }
}

/// A file in the scratch directory, by its name there: the directory may be another one in the next attempt.
type Name = String;

/// Holds as long as the file is there.
fn is_there(cx: &Cx, name: &Name) -> bool {
    cx.deps().scratch.path(name).is_ok_and(|path| path.exists())
}

pub(crate) fn render() -> Pipeline<RenderExport, Tools, ExportManifest> {
    let mut p = Pipeline::builder("render");
    let probed = p.step(
        spec("probe_clips").attempts(2).timeout(minutes(2)),
        (),
        probe_clips,
    );
    p.keep(probed);
    let clip = p.step(
        spec("download_clips")
            .weight(10)
            .attempts(3)
            .timeout(minutes(10)),
        (probed,),
        download_clips,
    );
    p.keep_while(clip, is_there);
    let video = p.step(
        spec("apply_cuts").weight(80).timeout(minutes(25)),
        (probed, clip),
        apply_cuts,
    );
    p.keep_while(video, is_there);
    let export = p.step(
        spec("upload_export")
            .weight(8)
            .attempts(3)
            .timeout(minutes(10)),
        (probed, video),
        upload_export,
    );
    p.output(export)
}

fn call<'a>(cx: &'a Cx, edits: &EditList) -> ClipCall<'a> {
    ClipCall {
        clip_file_uuid: edits.clip_file_uuid,
        cancel: cx.stop(),
    }
}

async fn probe_clips(cx: Cx) -> TaskResult<Probed> {
    let edits = load_edits(&cx).await?;
    let source = cx
        .deps()
        .media
        .storage
        .media_source(Subject::clip(edits.clip_file_uuid), &edits.clip_key)
        .await;
    let source = source.permanent_when(StorageError::is_permanent)?;
    let probe = cx
        .deps()
        .media
        .ffmpeg
        .probe(call(&cx, &edits), &source)
        .await
        .permanent_when(MediaError::is_permanent)?;
    Ok(Probed { edits, probe })
}

async fn load_edits(cx: &Cx) -> TaskResult<EditList> {
    let project = cx.task().project_uuid;
    let bytes = cx
        .deps()
        .media
        .storage
        .get_bytes(
            Subject::project(project),
            &EditList::key(project),
            MAX_EDIT_LIST_BYTES,
        )
        .await;
    let bytes = bytes.permanent_when(StorageError::is_permanent)?;
    serde_json::from_slice(&bytes).permanent()
}

async fn download_clips(cx: Cx, probed: Arc<Probed>) -> TaskResult<Name> {
    let Probed { edits, .. } = &*probed;
    // Under its own name: an error speaks of the file that somebody uploaded.
    let name = edits.clip_key.rsplit('/').next().unwrap_or_default();
    let name = format!("clip-{name}");
    let to = cx.deps().scratch.path(&name)?;
    let fetched = cx
        .deps()
        .media
        .storage
        .get_file(Subject::clip(edits.clip_file_uuid), &edits.clip_key, &to)
        .await;
    fetched.permanent_when(StorageError::is_permanent)?;
    Ok(name)
}

async fn apply_cuts(cx: Cx, probed: Arc<Probed>, clip: Arc<Name>) -> TaskResult<Name> {
    let name = "export.mp4";
    let to = cx.deps().scratch.path(name)?;
    let source = MediaSource::File(cx.deps().scratch.path(&clip)?);
    let keep = probed.keep();
    let job = CutJob {
        source: &source,
        probe: &probed.probe,
        keep: &keep,
        to: &to,
    };
    let rendered = cx
        .deps()
        .media
        .ffmpeg
        .render_cuts(call(&cx, &probed.edits), job, |fraction| {
            cx.progress(fraction);
        })
        .await;
    rendered.permanent_when(MediaError::is_permanent)?;
    Ok(name.to_owned())
}

async fn upload_export(
    cx: Cx,
    probed: Arc<Probed>,
    video: Arc<Name>,
) -> TaskResult<ExportManifest> {
    let export_uuid = cx.task().export_uuid;
    let key = cx.task().key();
    let video = cx.deps().scratch.path(&video)?;
    let bytes = cx
        .deps()
        .media
        .storage
        .put_file(Subject::export(export_uuid), &key, &video)
        .await;
    let bytes = bytes.permanent_when(StorageError::is_permanent)?;
    let seconds = total(&probed.keep()).as_secs_f64();
    Ok(ExportManifest {
        export_uuid,
        key,
        bytes,
        seconds,
        segments: probed.edits.keep.len(),
    })
}
