//! `download.pipeline`: a clip from the web into a file, a look at what it is, and the file into storage.
//! What is no recording is refused before it is stored. What has come is kept for another attempt on this machine: a whole file, or
//! the first part of one, which is then gone on with.

use std::sync::Arc;
use std::time::Duration;

use sapari_runtime::pipeline::{Pipeline, StepContext, spec};
use sapari_runtime::prelude::*;
use sapari_services::{
    ClipCall, FetchError, FetchJob, MediaError, MediaSource, PageError, Scratch, StorageError,
    Subject,
};
use sapari_tasks::{DownloadMedia, Downloaded, EditList};

use crate::Sources;

/// What the steps work with, for one run.
pub(crate) struct Tools {
    pub(crate) sources: Sources,
    pub(crate) scratch: Arc<Scratch>,
}

/// A file in the scratch directory, by its name there: the directory may be another one in the next attempt.
type Name = String;

type Cx = StepContext<DownloadMedia, Tools>;

/// A server that asks for more is not waited for.
const LONGEST_PAUSE: Duration = minutes(15);

pub(crate) fn download() -> Pipeline<DownloadMedia, Tools, Downloaded> {
    let mut p = Pipeline::builder("download");
    // 2: the file and its length are kept.
    p.version(2);
    // Each attempt goes on where the one before broke off. How long one may take is a setting.
    let fetch = spec("fetch_media").attempts(4).timeout(hours(3)).weight(8);
    let clip = p.step(fetch, (), fetch_media);
    p.keep_while(clip, |cx: &Cx, name: &Name| cx.deps().scratch.has(name));
    let look = spec("probe_media").attempts(2).timeout(minutes(2));
    let length = p.step(look, (clip,), probe_media);
    p.keep(length);
    let store = spec("store_media").attempts(3).timeout(minutes(30));
    let stored = p.step(store, (clip, length), store_media);
    p.keep(stored);
    p.output(stored)
}

fn call(cx: &Cx) -> ClipCall<'_> {
    ClipCall {
        clip_file_uuid: cx.task().clip_file_uuid,
        cancel: cx.stop(),
    }
}

async fn fetch_media(cx: Cx) -> TaskResult<Name> {
    let DownloadMedia { url, clip_key, .. } = cx.task();
    let storage = &cx.deps().sources.media.storage;
    let fits = storage.check_key(clip_key);
    fits.permanent_when(StorageError::is_permanent)?;
    if EditList::has_key(clip_key) {
        let reason = "the clip would replace a project's edit list: give another clip_key";
        return Err(TaskError::permanent(reason));
    }
    // Under its own name: an error speaks of the file that somebody will see.
    let name = format!("clip-{}", clip_key.rsplit('/').next().unwrap_or_default());
    let to = cx.deps().scratch.path(&name).permanent()?;
    let job = FetchJob { url, to: &to };
    let Sources { http, ytdlp, .. } = &cx.deps().sources;
    let fetched = http.fetch(call(&cx), job, |fraction| cx.progress(fraction));
    match (fetched.await, ytdlp) {
        (Ok(_), _) => Ok(name),
        (Err(FetchError::Page { .. }), Some(ytdlp)) => {
            let told = |fraction| cx.progress(fraction);
            let found = ytdlp.download(http, call(&cx), job, told).await;
            found.permanent_when(PageError::is_permanent)?;
            Ok(name)
        }
        (Err(error), _) => Err(classified(error)),
    }
}

/// Whether and when trying again helps, as the server says.
fn classified(error: FetchError) -> TaskError {
    let pause = error.retry_after().map(|pause| pause.min(LONGEST_PAUSE));
    let failed = Err::<(), _>(error);
    let failed = match (&failed, pause) {
        (Err(error), Some(pause)) if !error.is_permanent() => failed.retry_after(pause),
        _ => failed.permanent_when(FetchError::is_permanent),
    };
    failed.expect_err("made of an error")
}

async fn probe_media(cx: Cx, clip: Arc<Name>) -> TaskResult<Duration> {
    let source = MediaSource::File(cx.deps().scratch.path(&clip)?);
    let ffmpeg = &cx.deps().sources.media.ffmpeg;
    let probe = ffmpeg.probe(call(&cx), &source).await;
    let probe = probe.permanent_when(MediaError::is_permanent)?;
    Ok(probe.duration)
}

async fn store_media(cx: Cx, clip: Arc<Name>, length: Arc<Duration>) -> TaskResult<Downloaded> {
    let (task, storage) = (cx.task(), &cx.deps().sources.media.storage);
    let clip = cx.deps().scratch.path(&clip)?;
    let subject = Subject::clip(task.clip_file_uuid);
    let bytes = storage.put_file(subject, &task.clip_key, &clip).await;
    Ok(Downloaded {
        clip_key: task.clip_key.clone(),
        bytes: bytes.permanent_when(StorageError::is_permanent)?,
        seconds: length.as_secs_f64(),
        artifacts_task_id: None,
    })
}
