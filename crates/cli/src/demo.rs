//! `sapari demo`: two roles in one process, on the embedded broker and results, from a video to its cut version and its trace.
//! A scheduler beside them fires one task by the clock. The same workers as in production, registered by the same functions; only the
//! servers are embedded.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sapari_runtime::broker::memory::MemoryBroker;
use sapari_runtime::client::Tasks;
use sapari_runtime::duration::seconds;
use sapari_runtime::host::{Exit, Failure, until_signalled_twice};
use sapari_runtime::message::MessageId;
use sapari_runtime::result::memory::MemoryResults;
use sapari_runtime::schedule::{Entry, Scheduler, Tick, Timetable, When};
use sapari_runtime::task::Task as _;
use sapari_runtime::worker::{Plan, Servers, WorkerError};
use sapari_services::{Ffmpeg, Media, Scratch, Storage, Subject};
use sapari_tasks::{
    Analysis, AnalyzeProject, ExportManifest, RenderExport, RescueStuckTasks, Role, find_queue,
};
use sapari_telemetry::{LogFormat, Outputs, Traced, service_span};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::args::Demo;
use crate::console;

/// How long the task that the clock kicked may take once the video is cut: it was due before.
const PATIENCE: Duration = seconds(30);

/// What a person sees besides the result: how far the render is, and what needs attention.
const PROGRESS: &str = "warn,sapari_render=info,sapari_runtime=off";

pub(crate) fn run(arguments: &Demo) -> Result<(), Failure> {
    let video = Video::at(&arguments.video, arguments.output.as_deref())?;
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
    let cut = crate::block_on(cut(&video));
    // The tree comes first, then the one line that says what was done.
    guard.shutdown(console::FLUSH_DEADLINE);
    let (analysis, export) = cut?;
    console::line(video.summary(&analysis, &export, begun.elapsed()))
}

/// The video to cut, and where the cut version goes.
struct Video {
    path: PathBuf,
    name: String,
    output: PathBuf,
}

impl Video {
    fn at(path: &Path, output: Option<&Path>) -> Result<Self, Failure> {
        let no_file = |why: &str| Exit::Usage.with(format!("{}: {why}", path.display()));
        let found = std::fs::File::open(path).and_then(|file| file.metadata());
        let found = found.map_err(|error| no_file(&format!("cannot be read: {error}")))?;
        if !found.is_file() {
            return Err(no_file("is not a file; give a video"));
        }
        let name = path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned();
        let stem = path
            .file_stem()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned();
        let output = output.map_or_else(
            || PathBuf::from(format!("{stem}-cut.mp4")),
            Path::to_path_buf,
        );
        check_output(path, &output)?;
        Ok(Self {
            path: path.to_path_buf(),
            name,
            output,
        })
    }

    /// A storage key that keeps as much of the name as every store takes.
    fn key(&self, clip: Uuid) -> String {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
                c
            } else {
                '_'
            }
        };
        let name: String = self.name.chars().map(plain).collect();
        format!("clips/{clip}/{}", name.trim_start_matches('.'))
    }

    fn summary(&self, analysis: &Analysis, export: &ExportManifest, took: Duration) -> String {
        format!(
            "{}: {:.2} s became {:.2} s in {} segments; written to {} ({:.1} MB) in {:.1} s",
            self.name,
            analysis.source_seconds,
            export.seconds,
            export.segments,
            self.output.display(),
            mega_bytes(export.bytes),
            took.as_secs_f64(),
        )
    }
}

/// Before the work rather than after it: the output must not be the source, and must be a place for a file.
fn check_output(source: &Path, output: &Path) -> Result<(), Failure> {
    let bad = |why: &str| Exit::Usage.with(format!("{}: {why}", output.display()));
    let parent = output
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if !parent.unwrap_or(Path::new(".")).is_dir() {
        return Err(bad("its directory does not exist; make it first"));
    }
    let Ok(there) = std::fs::metadata(output) else {
        return Ok(());
    };
    if !there.is_file() {
        return Err(bad("is there, and no file; give another --output"));
    }
    match (source.canonicalize(), output.canonicalize()) {
        (Ok(source), Ok(output)) if source == output => {
            Err(bad("is the video itself; give another --output"))
        }
        _ => Ok(()),
    }
}

#[allow(clippy::cast_precision_loss)] // A size for people to read.
fn mega_bytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

async fn cut(video: &Video) -> Result<(Analysis, ExportManifest), Failure> {
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

    let embedded = Embedded::start(&media);
    let shutdown = embedded.shutdown.clone();
    tokio::select! {
        worked = work_and_stop(video, &media, embedded) => worked,
        _ = until_signalled_twice(shutdown) => Err(Exit::Ended.with("ended by a second signal")),
    }
}

async fn work_and_stop(
    video: &Video,
    media: &Media,
    embedded: Embedded,
) -> Result<(Analysis, ExportManifest), Failure> {
    let (timetable, check) = by_the_clock()?;
    let scheduler = embedded.scheduler(timetable)?;
    let work = async {
        let worked = through_the_queue(video, media, &embedded.tasks).await?;
        // What the clock kicked is part of what is shown.
        let checked = embedded.tasks.handle::<RescueStuckTasks>(check).output();
        checked
            .within(PATIENCE)
            .await
            .map_err(|error| Exit::Failed.because(&error))?;
        Ok(worked)
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

/// Both roles' workers in this process.
struct Embedded {
    servers: Servers,
    tasks: Tasks,
    shutdown: CancellationToken,
    workers: TaskTracker,
}

impl Embedded {
    fn start(media: &Media) -> Self {
        let broker = MemoryBroker::with_queues(Role::ALL.map(Role::queue));
        let servers = Servers {
            broker: Arc::new(broker),
            results: Arc::new(MemoryResults::new()),
        };
        let (shutdown, workers) = (CancellationToken::new(), TaskTracker::new());
        let plans = [
            sapari_analysis::worker(sapari_analysis::Listener::new(media.clone())).into_plan(),
            sapari_render::worker(media.clone()).into_plan(),
        ];
        for plan in plans {
            workers.spawn(work(
                plan.drain_grace(seconds(0)),
                servers.clone(),
                shutdown.clone(),
            ));
        }
        Self {
            tasks: Tasks::new(servers.broker.clone(), servers.results.clone()),
            servers,
            shutdown,
            workers,
        }
    }

    fn scheduler(&self, timetable: Timetable) -> Result<Scheduler, Failure> {
        let Servers { broker, results } = self.servers.clone();
        let scheduler = Scheduler::new(timetable, find_queue, broker, results);
        scheduler.map_err(|error| Exit::Software.because(&error))
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.workers.close();
        self.workers.wait().await;
    }
}

async fn work(
    plan: Plan,
    servers: Servers,
    shutdown: CancellationToken,
) -> Result<(), WorkerError> {
    plan.run(servers, shutdown).await
}

/// Stores the video, kicks its analysis, and fetches the export that analysis kicks in turn.
async fn through_the_queue(
    video: &Video,
    media: &Media,
    tasks: &Tasks,
) -> Result<(Analysis, ExportManifest), Failure> {
    let (project_uuid, clip, export_uuid) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    let clip_key = video.key(clip);
    let task = AnalyzeProject {
        project_uuid,
        clip_file_uuid: clip,
        clip_key: clip_key.clone(),
        export_uuid: Some(export_uuid),
    };
    let span = service_span!(demo.cut { project_uuid = %project_uuid } -> seconds);
    let outcome = span.clone();
    let work = async {
        media
            .storage
            .put_file(Subject::clip(clip), &clip_key, &video.path)
            .await?;
        let analysis = tasks.kick(task).await?.output().await?;
        let export = render_of(&analysis, tasks)?.output().await?;
        media
            .storage
            .get_file(Subject::export(export_uuid), &export.key, &video.output)
            .await?;
        outcome.record("seconds", export.seconds);
        Ok::<_, DemoFailed>((analysis, export))
    };
    work.traced(span).await.map_err(|trouble| trouble.0)
}

fn render_of(
    analysis: &Analysis,
    tasks: &Tasks,
) -> Result<sapari_runtime::handle::Handle<RenderExport>, DemoFailed> {
    let id = analysis
        .render_task_id
        .as_deref()
        .and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| DemoFailed(Exit::Software.with("the analysis kicked no render")))?;
    Ok(tasks.handle(id))
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
