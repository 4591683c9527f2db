//! `sapari demo`: all six roles in one process, on the embedded broker and results, from a link to the cut video, its proxy, its waveform, a
//! picture and a mail, and the trace of it all. A scheduler beside them fires one task by the clock. Only the servers are embedded.

mod embedded;
mod footage;
mod video;

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, SystemTime};

use sapari_runtime::duration::seconds;
use sapari_runtime::handle::Handle;
use sapari_runtime::host::{Exit, Failure, until_signalled_twice};
use sapari_runtime::message::MessageId;
use sapari_runtime::schedule::{Entry, Tick, Timetable, When};
use sapari_runtime::task::Task;
use sapari_services::{Ffmpeg, Media, Scratch, Storage, Subject};
use sapari_tasks::{
    Analysis, ClipArtifacts, DownloadMedia, EmailTemplate, ExportManifest, ImageFormat,
    NormalizeImage, ProcessClipArtifacts, ProxyManifest, RescueStuckTasks, SendEmail, SentEmail,
};
use sapari_telemetry::{LogFormat, Outputs, Traced, service_span};
use tokio::time::Instant;
use uuid::Uuid;

use crate::args::Demo;
use crate::console;
use embedded::Embedded;
use footage::Footage;
use video::{Beside, Video};

/// How long the task that the clock kicked may take once the video is cut: it was due before.
const PATIENCE: Duration = seconds(30);
/// The longer side of the picture, in pixels.
const PICTURE_SIDE: u32 = 640;

/// What a person sees besides the result: how far the render is, and what needs attention.
const PROGRESS: &str = "warn,sapari_render=info,sapari_runtime=off";

pub(crate) fn run(arguments: &Demo) -> Result<(), Failure> {
    let video = Video::of(arguments)?;
    let mut settings = console::settings(PROGRESS)?;
    settings.console = true;
    settings.log_format = LogFormat::Human;
    settings.colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let outputs = Outputs {
        console: Some(Box::new(std::io::stdout())),
        ..Outputs::default()
    };
    let guard = console::telemetry_with(settings, outputs)?;
    let begun = Instant::now();
    let made = crate::block_on(cut(&video));
    // The tree comes first, then the lines that say what was done.
    guard.shutdown(console::FLUSH_DEADLINE);
    summary(&video, &made?, begun.elapsed())
        .iter()
        .try_for_each(console::line)
}

/// What the tasks came to.
struct Made {
    clip: ClipArtifacts,
    proxy: ProxyManifest,
    analysis: Analysis,
    export: ExportManifest,
}

#[allow(clippy::cast_precision_loss)] // A size for people to read.
fn summary(video: &Video, made: &Made, took: Duration) -> [String; 2] {
    let Made {
        analysis, export, ..
    } = made;
    let beside = Beside::ALL.iter().map(|kind| video.beside(*kind));
    let beside: Vec<String> = beside
        .filter(|path| path.exists())
        .map(|path| path.display().to_string())
        .collect();
    [
        format!("beside it: {}", beside.join(", ")),
        format!(
            "{}: {:.2} s became {:.2} s in {} segments; written to {} ({:.1} MB) in {:.1} s",
            video.name,
            analysis.source_seconds,
            export.seconds,
            export.segments,
            video.output.display(),
            export.bytes as f64 / 1e6,
            took.as_secs_f64(),
        ),
    ]
}

async fn cut(video: &Video) -> Result<Made, Failure> {
    let ffmpeg = Ffmpeg::in_path();
    ffmpeg
        .check()
        .await
        .map_err(|error| Exit::Unavailable.because(&error))?;
    let place = Scratch::new(&std::env::temp_dir(), "sapari-demo")
        .map_err(|error| Exit::Unavailable.because(&error))?;
    let storage = format!("file://{}/storage", place.dir().display());
    let storage = Storage::open(&storage).map_err(|error| Exit::Unavailable.because(&error))?;
    let media = Media::new(ffmpeg, storage, place.dir().join("scratch"));

    let embedded = Embedded::start(&media, &place.dir().join("mail"))?;
    let shutdown = embedded.shutdown.clone();
    tokio::select! {
        worked = work_and_stop(video, &media, embedded) => worked,
        _ = until_signalled_twice(shutdown) => Err(Exit::Ended.with("ended by a second signal")),
    }
}

async fn work_and_stop(video: &Video, media: &Media, embedded: Embedded) -> Result<Made, Failure> {
    let (timetable, check) = by_the_clock()?;
    let scheduler = embedded.scheduler(timetable)?;
    let work = async {
        let made = through_the_queues(video, media, &embedded).await?;
        // What the clock kicked is part of what is shown.
        let checked = embedded.tasks.handle::<RescueStuckTasks>(check).output();
        checked
            .within(PATIENCE)
            .await
            .map_err(|error| Exit::Failed.because(&error))?;
        Ok(made)
    };
    let worked = tokio::select! {
        worked = Box::pin(work) => worked,
        () = Box::pin(scheduler.run(embedded.shutdown.clone())) => Err(Exit::Ended.with("interrupted")),
        () = embedded.shutdown.cancelled() => Err(Exit::Ended.with("interrupted")),
    };
    embedded.stop().await;
    worked
}

/// One entry, due now, and the id of the message that it makes.
fn by_the_clock() -> Result<(Timetable, MessageId), Failure> {
    let now = Tick::before(SystemTime::now());
    let entry = Entry::new(
        RescueStuckTasks::NAME,
        When::at(now),
        RescueStuckTasks::default(),
    );
    let entry = entry.map_err(|error| Exit::Software.because(&error))?;
    let id = entry.message_id(now);
    Ok((Timetable::in_utc().entry(entry), id))
}

/// From the link to the mail, as a web process would ask for it, in one trace.
async fn through_the_queues(
    video: &Video,
    media: &Media,
    embedded: &Embedded,
) -> Result<Made, Failure> {
    let project_uuid = Uuid::now_v7();
    let span = service_span!(demo.cut { project_uuid = %project_uuid } -> seconds);
    let outcome = span.clone();
    let work = async {
        let made = made_of(video, project_uuid, embedded).await?;
        let picture = picture_of(&made, embedded).await?;
        let mail = mail_about(video, project_uuid, &made.export, embedded).await?;
        fetch(video, &media.storage, &made, picture, mail).await?;
        outcome.record("seconds", made.export.seconds);
        Ok(made)
    };
    let worked: Result<Made, DemoFailed> = work.traced(span).await;
    worked.map_err(|trouble| trouble.0)
}

/// Kicks the download, and follows what each task kicks in turn.
async fn made_of(
    video: &Video,
    project_uuid: Uuid,
    embedded: &Embedded,
) -> Result<Made, DemoFailed> {
    let (clip_file_uuid, export_uuid) = (Uuid::now_v7(), Uuid::now_v7());
    let clip_key = video.key(clip_file_uuid);
    let name = clip_key.rsplit('/').next().unwrap_or_default();
    let footage = Footage::serve(&video.path, name).await?;
    let download = DownloadMedia {
        project_uuid,
        clip_file_uuid,
        url: footage.url().to_owned(),
        clip_key,
        export_uuid: Some(export_uuid),
    };
    let downloaded = embedded.tasks.kick(download).await?.output().await?;
    let clip = kicked::<ProcessClipArtifacts>(embedded, downloaded.artifacts_task_id.as_ref());
    let clip = clip?.output().await?;
    let no_sound =
        || DemoFailed(Exit::Failed.with("the video has no sound, so there are no silences to cut"));
    let analysis = clip.analysis_task_id.as_ref().ok_or_else(no_sound)?;
    let proxy = kicked::<sapari_tasks::MakeProxy>(embedded, clip.proxy_task_id.as_ref())?;
    let analysis = kicked::<sapari_tasks::AnalyzeProject>(embedded, Some(analysis))?;
    let analysed = async {
        let analysis = analysis.output().await?;
        let export =
            kicked::<sapari_tasks::RenderExport>(embedded, analysis.render_task_id.as_ref())?;
        Ok((analysis, export.output().await?))
    };
    let proxied = async { Ok::<_, DemoFailed>(proxy.output().await?) };
    let (proxy, (analysis, export)) = tokio::try_join!(proxied, analysed)?;
    Ok(Made {
        clip,
        proxy,
        analysis,
        export,
    })
}

/// The task that another one kicked.
fn kicked<T: Task>(embedded: &Embedded, id: Option<&String>) -> Result<Handle<T>, DemoFailed> {
    let id = id.and_then(|id| id.parse().ok());
    let none = || DemoFailed(Exit::Software.with(format!("nobody kicked {}", T::NAME)));
    Ok(embedded.tasks.handle(id.ok_or_else(none)?))
}

/// A small picture of the video, where it has pictures: its key.
async fn picture_of(made: &Made, embedded: &Embedded) -> Result<Option<String>, DemoFailed> {
    let Some(poster) = made.proxy.poster_key.clone() else {
        return Ok(None);
    };
    let picture = NormalizeImage {
        asset_file_uuid: made.clip.clip_file_uuid,
        asset_key: poster,
        to_key: format!("exports/{}.jpg", made.export.export_uuid),
        max_side: PICTURE_SIDE,
        format: ImageFormat::Jpeg,
    };
    let stored = embedded.tasks.kick(picture).await?.output().await?;
    Ok(Some(stored.key))
}

async fn mail_about(
    video: &Video,
    project_uuid: Uuid,
    export: &ExportManifest,
    embedded: &Embedded,
) -> Result<SentEmail, DemoFailed> {
    let variables = [
        ("project_name", video.name.clone()),
        // Nobody serves it: a demo has no web process.
        (
            "link",
            format!("https://sapari.example/exports/{}", export.export_uuid),
        ),
        ("length", format!("{:.1} s", export.seconds)),
    ];
    let mail = SendEmail {
        to: "you@localhost".to_owned(),
        template: EmailTemplate::ExportReady,
        variables: variables
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        project_uuid: Some(project_uuid),
    };
    Ok(embedded.tasks.kick(mail).await?.output().await?)
}

/// Brings everything out of storage, before it goes.
async fn fetch(
    video: &Video,
    storage: &Storage,
    made: &Made,
    picture: Option<String>,
    mail: SentEmail,
) -> Result<(), DemoFailed> {
    let clip = Subject::clip(made.clip.clip_file_uuid);
    let bring = async |key: Option<&str>, to: &Path| match key {
        Some(key) => storage.get_file(clip, key, to).await.map(drop),
        None => Ok(()),
    };
    bring(Some(&made.proxy.key), &video.beside(Beside::Proxy)).await?;
    bring(
        made.clip.waveform_key.as_deref(),
        &video.beside(Beside::Waveform),
    )
    .await?;
    bring(picture.as_deref(), &video.beside(Beside::Picture)).await?;
    if let Some(file) = mail.file {
        tokio::fs::copy(file, video.beside(Beside::Mail)).await?;
    }
    let export = Subject::export(made.export.export_uuid);
    storage
        .get_file(export, &made.export.key, &video.output)
        .await?;
    Ok(())
}

/// A failure as the span of the demo takes it: with one sentence.
struct DemoFailed(Failure);

impl std::fmt::Display for DemoFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl<E: std::error::Error + 'static> From<E> for DemoFailed {
    fn from(error: E) -> Self {
        Self(Exit::Failed.because(&error))
    }
}
