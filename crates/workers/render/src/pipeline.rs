//! `render.pipeline`: look at the clip, fetch it, cut it, store the export.
//! The clip is looked at where it lies, so that a broken one is refused before gigabytes are fetched.

use std::path::PathBuf;
use std::sync::Arc;

use sapari_runtime::pipeline::{Pipeline, StepContext, spec};
use sapari_runtime::prelude::*;
use sapari_services::{
    ClipCall, CutJob, Media, MediaError, MediaSource, Probe, Scratch, Segment, StorageError,
    Subject, total,
};
use sapari_tasks::{EditList, ExportManifest, RenderExport};

/// The most that an edit list may have: a cut every second of a day is less.
const MAX_EDIT_LIST_BYTES: u64 = 16 * 1024 * 1024;

/// What the steps work with, for one run.
pub(crate) struct Tools {
    pub(crate) media: Media,
    pub(crate) scratch: Scratch,
}

type Cx = StepContext<RenderExport, Tools>;

/// The clip as it was found, and what is to be kept of it.
struct Probed {
    edits: EditList,
    keep: Vec<Segment>,
    probe: Probe,
}

pub(crate) fn render() -> Pipeline<RenderExport, Tools, ExportManifest> {
    let mut p = Pipeline::builder("render");
    let probed = p.step(
        spec("probe_clips").attempts(2).timeout(minutes(2)),
        (),
        probe_clips,
    );
    let clip = p.step(
        spec("download_clips").attempts(3).timeout(minutes(10)),
        (probed,),
        download_clips,
    );
    let video = p.step(
        spec("apply_cuts").timeout(minutes(25)),
        (probed, clip),
        apply_cuts,
    );
    let export = p.step(
        spec("upload_export").attempts(3).timeout(minutes(10)),
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
    let keep = edits
        .keep
        .iter()
        .map(|kept| kept.bounds())
        .map(|(from, to)| Segment { from, to })
        .collect();
    Ok(Probed { edits, keep, probe })
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

async fn download_clips(cx: Cx, probed: Arc<Probed>) -> TaskResult<PathBuf> {
    let Probed { edits, .. } = &*probed;
    // Under its own name: an error speaks of the file that somebody uploaded.
    let name = edits.clip_key.rsplit('/').next().unwrap_or_default();
    let to = cx.deps().scratch.path(&format!("clip-{name}"))?;
    let fetched = cx
        .deps()
        .media
        .storage
        .get_file(Subject::clip(edits.clip_file_uuid), &edits.clip_key, &to)
        .await;
    fetched.permanent_when(StorageError::is_permanent)?;
    Ok(to)
}

async fn apply_cuts(cx: Cx, probed: Arc<Probed>, clip: Arc<PathBuf>) -> TaskResult<PathBuf> {
    let to = cx.deps().scratch.path("export.mp4")?;
    let source = MediaSource::File(clip.to_path_buf());
    let job = CutJob {
        source: &source,
        probe: &probed.probe,
        keep: &probed.keep,
        to: &to,
    };
    let mut quarters = Quarters::default();
    let rendered = cx
        .deps()
        .media
        .ffmpeg
        .render_cuts(call(&cx, &probed.edits), job, |fraction| {
            quarters.report(fraction)
        })
        .await;
    rendered.permanent_when(MediaError::is_permanent)?;
    Ok(to)
}

async fn upload_export(
    cx: Cx,
    probed: Arc<Probed>,
    video: Arc<PathBuf>,
) -> TaskResult<ExportManifest> {
    let export_uuid = cx.task().export_uuid;
    let key = cx.task().key();
    let bytes = cx
        .deps()
        .media
        .storage
        .put_file(Subject::export(export_uuid), &key, &video)
        .await;
    let bytes = bytes.permanent_when(StorageError::is_permanent)?;
    let seconds = total(&probed.keep).as_secs_f64();
    Ok(ExportManifest {
        export_uuid,
        key,
        bytes,
        seconds,
        segments: probed.keep.len(),
    })
}

/// Says each quarter of a render once: a person sees that it moves, a log is not flooded.
#[derive(Default)]
struct Quarters(u8);

impl Quarters {
    fn report(&mut self, fraction: f64) {
        while self.0 < 4 && fraction >= f64::from(self.0 + 1) / 4.0 {
            self.0 += 1;
            tracing::info!(percent = u32::from(self.0) * 25, "rendering");
        }
    }
}
