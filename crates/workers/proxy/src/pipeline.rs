//! `proxy.pipeline`: a light copy of the clip, and of that a poster and a sheet of thumbnails, side by side.
//! The clip is read where it lies; the pictures are made of the copy, which is small and stands upright.
//! What was found and made is kept: another attempt goes on where this one was, on another machine with what is not in scratch.

use std::path::PathBuf;
use std::sync::Arc;

use sapari_runtime::pipeline::{Pipeline, Skip, StepContext, spec};
use sapari_runtime::prelude::*;
use sapari_services::{
    ClipCall, Media, MediaError, MediaSource, Probe, ProcessError, ProxyJob, Scratch, Sprite,
    StorageError, Subject, WebPlan,
};
use sapari_tasks::{MakeProxy, ProxyManifest, Thumbnails};
use serde::{Deserialize, Serialize};

/// What the steps work with, for one run.
pub(crate) struct Tools {
    pub(crate) media: Media,
    pub(crate) scratch: Arc<Scratch>,
}

type Cx = StepContext<MakeProxy, Tools>;

/// A file in the scratch directory, by its name there: the directory may be another one in the next attempt.
type Name = String;

/// The light copy, and what it is.
#[derive(Serialize, Deserialize)]
struct Copy {
    file: Name,
    probe: Probe,
    remuxed: bool,
}

pub(crate) fn proxy() -> Pipeline<MakeProxy, Tools, ProxyManifest> {
    let mut p = Pipeline::builder("proxy");
    // 2: what is kept is names of files in scratch.
    p.version(2);
    let look = spec("probe_clip").attempts(3).timeout(minutes(2));
    let probed = p.step(look, (), probe_clip);
    p.keep(probed);
    let encode = spec("encode_proxy")
        .attempts(2)
        .timeout(minutes(110))
        .weight(10);
    let copy = p.step(encode, (probed,), encode_proxy);
    p.keep_while(copy, |cx: &Cx, copy: &Copy| is_there(cx, &copy.file));
    let poster = spec("make_poster").attempts(2).timeout(minutes(5));
    let poster = p.step(poster, (copy,), make_poster);
    p.keep_while(poster, is_there);
    let sheet = spec("make_thumbnails").attempts(2).timeout(minutes(20));
    let sheet = p.step(sheet, (copy,), make_thumbnails);
    p.keep_while(sheet, is_there);
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

/// Holds as long as the file is there.
fn is_there(cx: &Cx, name: &Name) -> bool {
    cx.deps().scratch.has(name)
}

fn path(cx: &Cx, name: &str) -> TaskResult<PathBuf> {
    Ok(cx.deps().scratch.path(name)?)
}

async fn probe_clip(cx: Cx) -> TaskResult<Probe> {
    let found = cx.deps().media.probe(call(&cx), &cx.task().clip_key).await;
    found.permanent_when(MediaError::is_permanent)
}

async fn encode_proxy(cx: Cx, probe: Arc<Probe>) -> TaskResult<Copy> {
    let name = "proxy.mp4";
    let (file, source) = (path(&cx, name)?, clip(&cx).await?);
    let ffmpeg = &cx.deps().media.ffmpeg;
    let plan = WebPlan::of(&probe);
    let make = |plan| {
        let job = ProxyJob {
            source: &source,
            probe: &probe,
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
    let copy = ffmpeg.probe(call(&cx), &MediaSource::File(file)).await;
    Ok(Copy {
        file: name.to_owned(),
        probe: copy.permanent_when(MediaError::is_permanent)?,
        remuxed,
    })
}

/// Where the clip is read.
async fn clip(cx: &Cx) -> TaskResult<MediaSource> {
    let source = cx.deps().media.source(call(cx), &cx.task().clip_key).await;
    source.permanent_when(StorageError::is_permanent)
}

async fn make_poster(cx: Cx, copy: Arc<Copy>) -> TaskResult<Name> {
    pictures_of(&copy)?;
    let name = "poster.jpg";
    let (to, at) = (path(&cx, name)?, copy.probe.duration / 10);
    let source = MediaSource::File(path(&cx, &copy.file)?);
    let made = cx
        .deps()
        .media
        .ffmpeg
        .make_poster(call(&cx), &source, at, &to)
        .await;
    made.permanent_when(MediaError::is_permanent)?;
    Ok(name.to_owned())
}

async fn make_thumbnails(cx: Cx, copy: Arc<Copy>) -> TaskResult<Name> {
    let sprite = pictures_of(&copy)?;
    let name = "thumbnails.jpg";
    let to = path(&cx, name)?;
    let source = MediaSource::File(path(&cx, &copy.file)?);
    let made = cx
        .deps()
        .media
        .ffmpeg
        .make_sprite(call(&cx), &source, &sprite, &to)
        .await;
    made.permanent_when(MediaError::is_permanent)?;
    Ok(name.to_owned())
}

/// How a sheet of them is laid out, if there are any.
fn pictures_of(copy: &Copy) -> TaskResult<Sprite> {
    match &copy.probe.video {
        Some(video) => Ok(Sprite::of(video, copy.probe.duration)),
        None => Err(Skip::because("the clip has no pictures").into()),
    }
}

async fn store_proxy(
    cx: Cx,
    copy: Arc<Copy>,
    poster: Option<Arc<Name>>,
    sheet: Option<Arc<Name>>,
) -> TaskResult<ProxyManifest> {
    let task = cx.task();
    let thumbnails = match sheet {
        Some(name) => Some(thumbnails(store(&cx, &name).await?.0, &pictures_of(&copy)?)),
        None => None,
    };
    let poster_key = match poster {
        Some(name) => Some(store(&cx, &name).await?.0),
        None => None,
    };
    // Last: who sees the proxy may count on the pictures.
    let (key, bytes) = store(&cx, &copy.file).await?;
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

/// Under the name that it has in scratch.
async fn store(cx: &Cx, name: &str) -> TaskResult<(String, u64)> {
    let (key, subject) = (cx.task().key(name), Subject::clip(cx.task().clip_file_uuid));
    let file = path(cx, name)?;
    let stored = cx.deps().media.storage.put_file(subject, &key, &file).await;
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
