//! yt-dlp as a child process: the film on a page for people.
//!
//! Every call runs in its `ext.ytdlp.download` span with the clip it is for. It deliberately gives
//! yt-dlp no way to the network but a gate that asks the address rule, no configuration, no
//! plugins, no cookies and no cache of the user, and takes one film of a page, never a list.

#[cfg(test)]
mod tests;
mod words;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sapari_telemetry::{Traced, ext_span};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::ffmpeg::ClipCall;
use super::http::{FetchError, FetchJob, Gate, Http};
use crate::process::{ChildProcess, ProcessError, VERSION_MEMORY, VERSION_WITHIN};

pub use words::PageError;
use words::sorted;

/// What yt-dlp itself needs is far less; merging is ffmpeg's work, a process of its own.
const MEMORY: u64 = 2 << 30;
const MAX_VERSION: usize = 4 * 1024;
/// Before numbers, and before the path of the finished file.
const PROGRESS: &str = "PROGRESS:";
const FILE: &str = "FILE:";

/// An installed yt-dlp. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ytdlp {
    tool: Arc<Tool>,
}

#[derive(Debug)]
struct Tool {
    program: PathBuf,
    version: OnceCell<String>,
}

impl Ytdlp {
    /// This program: a path, or a name that `PATH` has. Nothing is looked for yet: see
    /// [`Ytdlp::check`].
    #[must_use]
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self {
            tool: Arc::new(Tool {
                program: program.into(),
                version: OnceCell::new(),
            }),
        }
    }

    /// Runs it once, the first time, and gives its version. Makes no span: it is meant for the
    /// start of a process.
    ///
    /// # Errors
    ///
    /// [`ProcessError`] if it is missing or does not run.
    pub async fn check(&self) -> Result<&str, ProcessError> {
        let version = async {
            let run = ChildProcess::new(&self.tool.program).arg("--version");
            let run = run.memory(VERSION_MEMORY).within(VERSION_WITHIN);
            let said = run.collect(&CancellationToken::new(), MAX_VERSION).await?;
            Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
        };
        let version = self
            .tool
            .version
            .get_or_try_init(|| Box::pin(version))
            .await;
        version.map(String::as_str)
    }

    /// Downloads the film on the page `job.url` to `job.to`, from where and within what `http`
    /// may. `progress` gets the fraction done of each stream of it.
    ///
    /// # Cancel safety
    ///
    /// `job.to` appears only when it is whole. What a dropped future leaves beside it, the next
    /// call goes on with.
    ///
    /// # Errors
    ///
    /// See [`PageError`].
    pub async fn download(
        &self,
        http: &Http,
        call: ClipCall<'_>,
        job: FetchJob<'_>,
        progress: impl FnMut(f64) + Send,
    ) -> Result<(), PageError> {
        let host = Http::host(job.url)?;
        let span = ext_span!(ytdlp.download {
            clip_file_uuid = %call.clip_file_uuid,
            server.address = %host
        });
        let limit = http.limits().max_time;
        let work = self.downloaded(http, call, job, &host, progress);
        let work = async {
            let late = |_| FetchError::TooSlow {
                host: host.clone(),
                limit,
            };
            timeout(limit, work).await.map_err(late)?
        };
        Box::pin(work).traced(span).await
    }

    async fn downloaded(
        &self,
        http: &Http,
        call: ClipCall<'_>,
        job: FetchJob<'_>,
        host: &str,
        mut progress: impl FnMut(f64) + Send,
    ) -> Result<(), PageError> {
        let gate = http.gate().await.map_err(io("open a gate for", job.to))?;
        let dir = job.to.parent().unwrap_or(Path::new("."));
        let limit = http.limits().max_bytes;
        let mut file = None;
        let run = ChildProcess::new(&self.tool.program)
            .args(options(http, &gate, dir))
            .args(["--", job.url])
            .environment(environment(dir))
            .memory(MEMORY)
            .file_size(limit)
            .run(call.cancel, |line| {
                if let Some(path) = line.strip_prefix(FILE) {
                    file = Some(PathBuf::from(path));
                } else if let Some(fraction) = fraction(line) {
                    progress(fraction);
                }
            });
        if let Err(error) = run.await {
            // What the gate refused explains what yt-dlp says of it.
            return Err(match gate.refused() {
                Some(refused) => refused.into(),
                None => sorted(host, limit, error),
            });
        }
        match file.filter(|file| file.parent() == Some(dir) && file.is_file()) {
            Some(file) => tokio::fs::rename(&file, job.to)
                .await
                .map_err(io("rename the download to", job.to)),
            // It ends well, without a file, for what is over its limit.
            None => Err(FetchError::TooLarge {
                host: host.to_owned(),
                limit,
            }
            .into()),
        }
    }
}

fn options(http: &Http, gate: &Gate, dir: &Path) -> Vec<OsString> {
    let limits = http.limits();
    let (stall, most) = (limits.stall.as_secs().max(1), limits.max_bytes);
    let mut options: Vec<OsString> = [
        "--ignore-config",
        "--no-plugin-dirs",
        "--no-cache-dir",
        "--no-warnings",
        "--no-mtime",
        // One film, of at most 1080p.
        "--no-playlist",
        "--playlist-items",
        "1",
        "--format",
        "bv*[height<=1080]+ba/b[height<=1080]/b",
        "--merge-output-format",
        "mp4",
        // Not ffmpeg, which would not ask the gate.
        "--downloader",
        "native",
        "--retries",
        "2",
        "--fragment-retries",
        "2",
        "--no-simulate",
        "--progress",
        "--newline",
    ]
    .map(OsString::from)
    .into();
    let progress = "%(progress.downloaded_bytes)s:%(progress.total_bytes)s";
    options.extend(
        [
            format!("--proxy={}", gate.url()),
            format!("--socket-timeout={stall}"),
            format!("--max-filesize={most}"),
            format!("--progress-template=download:{PROGRESS}{progress}"),
            format!("--print=after_move:{FILE}%(filepath)s"),
        ]
        .map(OsString::from),
    );
    let mut output = OsString::from("--output=");
    // Percent signs begin fields of its own.
    output.push(dir.to_string_lossy().replace('%', "%%"));
    output.push("/page.%(ext)s");
    options.push(output);
    options
}

/// Nothing of the worker's own: its variables hold passwords.
fn environment(dir: &Path) -> [(&'static str, OsString); 4] {
    let dir = || dir.as_os_str().to_owned();
    [
        ("PATH", std::env::var_os("PATH").unwrap_or_default()),
        ("HOME", dir()),
        ("TMPDIR", dir()),
        ("LC_ALL", "C.UTF-8".into()),
    ]
}

/// How much of a stream is there, if the line tells.
fn fraction(line: &str) -> Option<f64> {
    let (done, whole) = line.strip_prefix(PROGRESS)?.split_once(':')?;
    let (done, whole): (f64, f64) = (done.parse().ok()?, whole.parse().ok()?);
    (whole > 0.0).then(|| (done / whole).clamp(0.0, 1.0))
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> PageError {
    move |source| {
        PageError::Fetch(FetchError::Io {
            doing,
            path: path.to_owned(),
            source,
        })
    }
}
