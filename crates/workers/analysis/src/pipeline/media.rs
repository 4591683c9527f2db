//! The steps that look at the clip: its sound as a file, and where nothing is to be heard in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sapari_runtime::prelude::*;
use sapari_services::{Clip, MediaError, Silence, SilenceSettings};

use super::{Cx, call};
use crate::edits::Quiet;
use crate::words::Stretch;

/// The clip's sound as a file, and how long the clip is.
pub(super) struct Audio {
    pub(super) wav: PathBuf,
    pub(super) duration: Duration,
}

pub(super) async fn load_audio(cx: Cx) -> TaskResult<Audio> {
    let media = &cx.deps().listener.media;
    let found = media.look_at(call(&cx), &cx.task().clip_key).await;
    let Clip { source, probe } = found.permanent_when(MediaError::is_permanent)?;
    let wav = cx.deps().scratch.path("audio.wav")?;
    let extracted = media
        .ffmpeg
        .extract_audio(call(&cx), &source, &probe, &wav, |done| cx.progress(done))
        .await;
    extracted.permanent_when(MediaError::is_permanent)?;
    Ok(Audio {
        wav,
        duration: probe.duration,
    })
}

pub(super) async fn detect_silences(cx: Cx, audio: Arc<Audio>) -> TaskResult<Quiet> {
    let ffmpeg = &cx.deps().listener.media.ffmpeg;
    let found = ffmpeg
        .detect_silences(call(&cx), &audio.wav, SilenceSettings::default())
        .await;
    let found = found.permanent_when(MediaError::is_permanent)?;
    let stretch = |it: &Silence| Stretch::between(it.from, it.to);
    Ok(Quiet {
        length_us: Stretch::between(Duration::ZERO, audio.duration).to_us,
        silences: found.iter().map(stretch).collect(),
    })
}
