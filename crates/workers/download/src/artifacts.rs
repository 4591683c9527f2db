//! `artifacts.pipeline`: what a clip is, its sound as a file, and the waveform of that.
//! It encodes no pictures: that is the proxy role's work, on machines made for it.
//! What was found, extracted and stored is kept for another attempt.

use std::fs::File;
use std::sync::Arc;

use sapari_runtime::pipeline::{Pipeline, Skip, StepContext, spec};
use sapari_runtime::prelude::*;
use sapari_services::{
    ClipCall, Media, MediaError, Probe, Scratch, StorageError, Subject, Waveform,
};
use sapari_tasks::{ClipArtifacts, ProcessClipArtifacts};

/// What the steps work with, for one run.
pub(crate) struct Tools {
    pub(crate) media: Media,
    pub(crate) scratch: Arc<Scratch>,
}

/// A file in the scratch directory, by its name there: the directory may be another one in the next attempt.
type Name = String;

type Cx = StepContext<ProcessClipArtifacts, Tools>;

pub(crate) fn artifacts() -> Pipeline<ProcessClipArtifacts, Tools, ClipArtifacts> {
    let mut p = Pipeline::builder("artifacts");
    // 2: the probe and the sound are kept.
    p.version(2);
    let look = spec("probe_clip").attempts(3).timeout(minutes(2));
    let probed = p.step(look, (), probe_clip);
    p.keep(probed);
    let extract = spec("extract_audio")
        .attempts(2)
        .timeout(minutes(30))
        .weight(4);
    let audio = p.step(extract, (probed,), extract_audio);
    p.keep_while(audio, |cx: &Cx, name: &Name| cx.deps().scratch.has(name));
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

fn subject(cx: &Cx) -> Subject {
    Subject::clip(cx.task().clip_file_uuid)
}

async fn probe_clip(cx: Cx) -> TaskResult<Probe> {
    let found = cx.deps().media.probe(call(&cx), &cx.task().clip_key).await;
    found.permanent_when(MediaError::is_permanent)
}

async fn extract_audio(cx: Cx, probe: Arc<Probe>) -> TaskResult<Name> {
    if probe.audio.is_none() {
        return Err(Skip::because("the clip has no sound").into());
    }
    let media = &cx.deps().media;
    let source = media.source(call(&cx), &cx.task().clip_key).await;
    let source = source.permanent_when(StorageError::is_permanent)?;
    let name = "audio.wav";
    let to = cx.deps().scratch.path(name)?;
    let told = |fraction| cx.progress(fraction);
    let extracted = media
        .ffmpeg
        .extract_audio(call(&cx), &source, &probe, &to, told)
        .await;
    extracted.permanent_when(MediaError::is_permanent)?;
    Ok(name.to_owned())
}

async fn store_audio(cx: Cx, audio: Arc<Name>) -> TaskResult<String> {
    let (key, file) = (cx.task().key(&audio), cx.deps().scratch.path(&audio)?);
    let storage = &cx.deps().media.storage;
    let stored = storage.put_file(subject(&cx), &key, &file).await;
    stored.permanent_when(StorageError::is_permanent)?;
    Ok(key)
}

async fn draw_waveform(cx: Cx, audio: Arc<Name>) -> TaskResult<String> {
    let file = cx.deps().scratch.path(&audio)?;
    // It reads every sample.
    let draw = move || {
        serde_json::to_vec(&Waveform::of_wav(File::open(file)?)?).map_err(std::io::Error::from)
    };
    let json = tokio::task::spawn_blocking(draw).await??;
    let key = cx.task().key("waveform.json");
    let storage = &cx.deps().media.storage;
    let stored = storage.put_bytes(subject(&cx), &key, json).await;
    stored.permanent_when(StorageError::is_permanent)?;
    Ok(key)
}

async fn describe_clip(
    cx: Cx,
    probe: Arc<Probe>,
    audio_key: Option<Arc<String>>,
    waveform_key: Option<Arc<String>>,
) -> TaskResult<ClipArtifacts> {
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
