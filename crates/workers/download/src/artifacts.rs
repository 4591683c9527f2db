//! `artifacts.pipeline`: what a clip is, its sound as a file, and the waveform of that.
//! It encodes no pictures: that is the proxy role's work, on machines made for it.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use sapari_runtime::pipeline::{Pipeline, Skip, StepContext, spec};
use sapari_runtime::prelude::*;
use sapari_services::{
    ClipCall, Media, MediaError, MediaSource, Probe, Scratch, StorageError, Subject, Waveform,
};
use sapari_tasks::{ClipArtifacts, ProcessClipArtifacts};

/// What the steps work with, for one run.
pub(crate) struct Tools {
    pub(crate) media: Media,
    pub(crate) scratch: Scratch,
}

type Cx = StepContext<ProcessClipArtifacts, Tools>;

/// The clip where it lies, and what it is.
struct Probed {
    source: MediaSource,
    probe: Probe,
}

pub(crate) fn artifacts() -> Pipeline<ProcessClipArtifacts, Tools, ClipArtifacts> {
    let mut p = Pipeline::builder("artifacts");
    let look = spec("probe_clip").attempts(3).timeout(minutes(2));
    let probed = p.step(look, (), probe_clip);
    let extract = spec("extract_audio")
        .attempts(2)
        .timeout(minutes(30))
        .weight(4);
    let audio = p.step(extract, (probed,), extract_audio);
    let store = spec("store_audio").attempts(3).timeout(minutes(15));
    let audio_key = p.step(store, (audio,), store_audio);
    p.keep(audio_key);
    let draw = spec("draw_waveform").attempts(2).timeout(minutes(10));
    let waveform_key = p.step(draw, (audio,), draw_waveform);
    p.keep(waveform_key);
    let found = p.step(
        "describe_clip",
        (probed, audio_key.optional(), waveform_key.optional()),
        describe_clip,
    );
    p.output(found)
}

fn call(cx: &Cx) -> ClipCall<'_> {
    ClipCall {
        clip_file_uuid: cx.task().clip_file_uuid,
        cancel: cx.stop(),
    }
}

async fn probe_clip(cx: Cx) -> TaskResult<Probed> {
    let Media {
        ffmpeg, storage, ..
    } = &cx.deps().media;
    let subject = Subject::clip(cx.task().clip_file_uuid);
    let source = storage.media_source(subject, &cx.task().clip_key).await;
    let source = source.permanent_when(StorageError::is_permanent)?;
    let probe = ffmpeg.probe(call(&cx), &source).await;
    let probe = probe.permanent_when(MediaError::is_permanent)?;
    Ok(Probed { source, probe })
}

async fn extract_audio(cx: Cx, probed: Arc<Probed>) -> TaskResult<PathBuf> {
    let Probed { source, probe } = &*probed;
    if probe.audio.is_none() {
        return Err(Skip::because("the clip has no sound").into());
    }
    let to = cx.deps().scratch.path("audio.wav")?;
    let ffmpeg = &cx.deps().media.ffmpeg;
    let told = |fraction| cx.progress(fraction);
    let extracted = ffmpeg
        .extract_audio(call(&cx), source, probe, &to, told)
        .await;
    extracted.permanent_when(MediaError::is_permanent)?;
    Ok(to)
}

async fn store_audio(cx: Cx, audio: Arc<PathBuf>) -> TaskResult<String> {
    let (key, subject) = (
        cx.task().key("audio.wav"),
        Subject::clip(cx.task().clip_file_uuid),
    );
    let stored = cx
        .deps()
        .media
        .storage
        .put_file(subject, &key, &audio)
        .await;
    stored.permanent_when(StorageError::is_permanent)?;
    Ok(key)
}

async fn draw_waveform(cx: Cx, audio: Arc<PathBuf>) -> TaskResult<String> {
    // It reads every sample.
    let draw = move || {
        serde_json::to_vec(&Waveform::of_wav(File::open(&*audio)?)?).map_err(std::io::Error::from)
    };
    let json = tokio::task::spawn_blocking(draw).await??;
    let (key, subject) = (
        cx.task().key("waveform.json"),
        Subject::clip(cx.task().clip_file_uuid),
    );
    let stored = cx.deps().media.storage.put_bytes(subject, &key, json).await;
    stored.permanent_when(StorageError::is_permanent)?;
    Ok(key)
}

async fn describe_clip(
    cx: Cx,
    probed: Arc<Probed>,
    audio_key: Option<Arc<String>>,
    waveform_key: Option<Arc<String>>,
) -> TaskResult<ClipArtifacts> {
    let probe = &probed.probe;
    Ok(ClipArtifacts {
        clip_file_uuid: cx.task().clip_file_uuid,
        seconds: probe.duration.as_secs_f64(),
        size: probe
            .video
            .as_ref()
            .map(|video| (video.width, video.height)),
        plays_in_browsers: probe.plays_in_browsers(),
        audio_key: audio_key.map(Arc::unwrap_or_clone),
        waveform_key: waveform_key.map(Arc::unwrap_or_clone),
        proxy_task_id: None,
        analysis_task_id: None,
    })
}
