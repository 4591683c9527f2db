//! `analysis.pipeline`: the clip's sound, its silences, and the edit list that follows from them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sapari_runtime::pipeline::{Pipeline, StepContext, spec};
use sapari_runtime::prelude::*;
use sapari_services::{
    ClipCall, CutSettings, Media, MediaError, Scratch, Silence, SilenceSettings, StorageError,
    Subject, keep_segments, total,
};
use sapari_tasks::{Analysis, AnalyzeProject, EditList, Kept};

/// What the steps work with, for one run.
pub(crate) struct Tools {
    pub(crate) media: Media,
    pub(crate) scratch: Scratch,
}

type Cx = StepContext<AnalyzeProject, Tools>;

/// The clip's sound as a file, and how long the clip is.
struct Audio {
    wav: PathBuf,
    duration: Duration,
}

pub(crate) fn analysis() -> Pipeline<AnalyzeProject, Tools, Analysis> {
    let mut p = Pipeline::builder("analysis");
    let audio = p.step(
        spec("load_audio").attempts(2).timeout(minutes(10)),
        (),
        load_audio,
    );
    let quiet = p.step(
        spec("detect_silences").attempts(2).timeout(minutes(10)),
        (audio,),
        detect_silences,
    );
    let edits = p.step(
        spec("create_edits").attempts(3).timeout(minutes(1)),
        (audio, quiet),
        create_edits,
    );
    p.output(edits)
}

fn call(cx: &Cx) -> ClipCall<'_> {
    ClipCall {
        clip_file_uuid: cx.task().clip_file_uuid,
        cancel: cx.stop(),
    }
}

async fn load_audio(cx: Cx) -> TaskResult<Audio> {
    let Tools {
        media: Media {
            ffmpeg, storage, ..
        },
        scratch,
    } = cx.deps();
    let (clip, key) = (cx.task().clip_file_uuid, &cx.task().clip_key);
    let source = storage
        .media_source(Subject::clip(clip), key)
        .await
        .permanent_when(StorageError::is_permanent)?;
    let probe = ffmpeg
        .probe(call(&cx), &source)
        .await
        .permanent_when(MediaError::is_permanent)?;
    let wav = scratch.path("audio.wav")?;
    let extracted = ffmpeg
        .extract_audio(call(&cx), &source, &probe, &wav, |_| {})
        .await;
    extracted.permanent_when(MediaError::is_permanent)?;
    Ok(Audio {
        wav,
        duration: probe.duration,
    })
}

async fn detect_silences(cx: Cx, audio: Arc<Audio>) -> TaskResult<Vec<Silence>> {
    let found = cx
        .deps()
        .media
        .ffmpeg
        .detect_silences(call(&cx), &audio.wav, SilenceSettings::default())
        .await;
    found.permanent_when(MediaError::is_permanent)
}

async fn create_edits(
    cx: Cx,
    audio: Arc<Audio>,
    silences: Arc<Vec<Silence>>,
) -> TaskResult<Analysis> {
    let keep = keep_segments(audio.duration, &silences, CutSettings::default());
    let task = cx.task();
    let edits = EditList::new(
        task.project_uuid,
        (task.clip_file_uuid, &task.clip_key),
        keep.iter()
            .map(|segment| Kept::between(segment.from, segment.to))
            .collect(),
    );
    let edits_key = EditList::key(task.project_uuid);
    let bytes = serde_json::to_vec(&edits).permanent()?;
    let stored = cx
        .deps()
        .media
        .storage
        .put_bytes(Subject::project(task.project_uuid), &edits_key, bytes)
        .await;
    stored.permanent_when(StorageError::is_permanent)?;
    Ok(Analysis {
        edits_key,
        source_seconds: audio.duration.as_secs_f64(),
        kept_seconds: total(&keep).as_secs_f64(),
        silences: silences.len(),
        render_task_id: None,
    })
}
