//! `proxy.pipeline`: a light copy of the clip, and of that a poster and a sheet of thumbnails, side by side.
//! The clip is read where it lies; the pictures are made of the copy, which is small and stands upright.

use std::path::PathBuf;
use std::sync::Arc;

use sapari_runtime::pipeline::{Pipeline, Skip, StepContext, spec};
use sapari_runtime::prelude::*;
use sapari_services::{
    Clip, ClipCall, Media, MediaError, MediaSource, Probe, ProcessError, ProxyJob, Scratch, Sprite,
    StorageError, Subject, WebPlan,
};
use sapari_tasks::{MakeProxy, ProxyManifest, Thumbnails};

/// What the steps work with, for one run.
pub(crate) struct Tools {
    pub(crate) media: Media,
    pub(crate) scratch: Scratch,
}

type Cx = StepContext<MakeProxy, Tools>;

/// The light copy, and what it is.
struct Copy {
    file: PathBuf,
    probe: Probe,
    remuxed: bool,
}

pub(crate) fn proxy() -> Pipeline<MakeProxy, Tools, ProxyManifest> {
    let mut p = Pipeline::builder("proxy");
    let look = spec("probe_clip").attempts(3).timeout(minutes(2));
    let probed = p.step(look, (), probe_clip);
    let encode = spec("encode_proxy")
        .attempts(2)
        .timeout(minutes(110))
        .weight(10);
    let copy = p.step(encode, (probed,), encode_proxy);
    let poster = spec("make_poster").attempts(2).timeout(minutes(5));
    let poster = p.step(poster, (copy,), make_poster);
    let sheet = spec("make_thumbnails").attempts(2).timeout(minutes(20));
    let sheet = p.step(sheet, (copy,), make_thumbnails);
    let store = spec("store_proxy").attempts(3).timeout(minutes(30));
    let pictures = (copy, poster.optional(), sheet.optional());
    let stored = p.step(store, pictures, store_proxy);
    p.keep(stored);
    p.output(stored)
}

fn call(cx: &Cx) -> ClipCall<'_> {
    ClipCall {
        clip_file_uuid: cx.task().clip_file_uuid,
        cancel: cx.stop(),
    }
}

async fn probe_clip(cx: Cx) -> TaskResult<Clip> {
    let found = cx
        .deps()
        .media
        .look_at(call(&cx), &cx.task().clip_key)
        .await;
    found.permanent_when(MediaError::is_permanent)
}

async fn encode_proxy(cx: Cx, probed: Arc<Clip>) -> TaskResult<Copy> {
    let Clip { source, probe } = &*probed;
    let file = cx.deps().scratch.path("proxy.mp4")?;
    let ffmpeg = &cx.deps().media.ffmpeg;
    let plan = WebPlan::of(probe);
    let make = |plan| {
        let job = ProxyJob {
            source,
            probe,
            plan,
            to: &file,
        };
        ffmpeg.make_proxy(call(&cx), job, |fraction| cx.progress(fraction))
    };
    let mut made = make(plan).await;
    let mut remuxed = plan.is_remux();
    // Not every stream that is fine to look at fits into an MP4 as it is; encoding it heals that.
    if matches!(&made, Err(MediaError::Process(ProcessError::Failed { .. })))
        && plan != plan.encoded()
    {
        (made, remuxed) = (make(plan.encoded()).await, false);
    }
    made.permanent_when(MediaError::is_permanent)?;
    let copy = ffmpeg
        .probe(call(&cx), &MediaSource::File(file.clone()))
        .await;
    let probe = copy.permanent_when(MediaError::is_permanent)?;
    Ok(Copy {
        file,
        probe,
        remuxed,
    })
}

async fn make_poster(cx: Cx, copy: Arc<Copy>) -> TaskResult<PathBuf> {
    pictures_of(&copy)?;
    let to = cx.deps().scratch.path("poster.jpg")?;
    let (source, at) = (
        MediaSource::File(copy.file.clone()),
        copy.probe.duration / 10,
    );
    let made = cx
        .deps()
        .media
        .ffmpeg
        .make_poster(call(&cx), &source, at, &to)
        .await;
    made.permanent_when(MediaError::is_permanent)?;
    Ok(to)
}

async fn make_thumbnails(cx: Cx, copy: Arc<Copy>) -> TaskResult<(PathBuf, Sprite)> {
    let sprite = pictures_of(&copy)?;
    let to = cx.deps().scratch.path("thumbnails.jpg")?;
    let source = MediaSource::File(copy.file.clone());
    let made = cx
        .deps()
        .media
        .ffmpeg
        .make_sprite(call(&cx), &source, &sprite, &to)
        .await;
    made.permanent_when(MediaError::is_permanent)?;
    Ok((to, sprite))
}

fn pictures_of(copy: &Copy) -> TaskResult<Sprite> {
    match &copy.probe.video {
        Some(video) => Ok(Sprite::of(video, copy.probe.duration)),
        None => Err(Skip::because("the clip has no pictures").into()),
    }
}

async fn store_proxy(
    cx: Cx,
    copy: Arc<Copy>,
    poster: Option<Arc<PathBuf>>,
    sheet: Option<Arc<(PathBuf, Sprite)>>,
) -> TaskResult<ProxyManifest> {
    let task = cx.task();
    let thumbnails = match sheet.as_deref() {
        Some((file, sprite)) => Some(thumbnails(
            store(&cx, "thumbnails.jpg", file).await?.0,
            sprite,
        )),
        None => None,
    };
    let poster_key = match poster {
        Some(file) => Some(store(&cx, "poster.jpg", &file).await?.0),
        None => None,
    };
    // Last: who sees the proxy may count on the pictures.
    let (key, bytes) = store(&cx, "proxy.mp4", &copy.file).await?;
    Ok(ProxyManifest {
        clip_file_uuid: task.clip_file_uuid,
        key,
        bytes,
        seconds: copy.probe.duration.as_secs_f64(),
        size: copy
            .probe
            .video
            .as_ref()
            .map(|video| (video.width, video.height)),
        remuxed: copy.remuxed,
        poster_key,
        thumbnails,
    })
}

async fn store(cx: &Cx, name: &str, file: &std::path::Path) -> TaskResult<(String, u64)> {
    let (key, subject) = (cx.task().key(name), Subject::clip(cx.task().clip_file_uuid));
    let stored = cx.deps().media.storage.put_file(subject, &key, file).await;
    Ok((key, stored.permanent_when(StorageError::is_permanent)?))
}

fn thumbnails(key: String, sprite: &Sprite) -> Thumbnails {
    Thumbnails {
        key,
        tiles: sprite.tiles,
        columns: sprite.columns,
        tile_width: sprite.tile_width,
        tile_height: sprite.tile_height,
        interval_seconds: sprite.interval.as_secs_f64(),
    }
}
