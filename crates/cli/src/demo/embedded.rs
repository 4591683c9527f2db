//! All six roles' workers and a scheduler in this process, on the embedded broker and results. The same workers as in production,
//! registered by the same functions, under spans of one process.

use std::path::Path;
use std::sync::Arc;

use sapari_runtime::broker::memory::MemoryBroker;
use sapari_runtime::client::Tasks;
use sapari_runtime::duration::seconds;
use sapari_runtime::host::{Exit, Failure};
use sapari_runtime::result::memory::MemoryResults;
use sapari_runtime::schedule::{Scheduler, Timetable};
use sapari_runtime::worker::{Plan, Servers, WorkerError};
use sapari_services::{AddressRule, FetchLimits, Http, Mailer, Media};
use sapari_tasks::{Role, find_queue};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The workers of all roles, and a client of theirs.
pub(super) struct Embedded {
    servers: Servers,
    pub(super) tasks: Tasks,
    pub(super) shutdown: CancellationToken,
    workers: TaskTracker,
}

impl Embedded {
    /// Starts them. Mails become files in this directory.
    pub(super) fn start(media: &Media, mails: &Path) -> Result<Self, Failure> {
        let broker = MemoryBroker::with_queues(Role::ALL.map(Role::queue));
        let servers = Servers {
            broker: Arc::new(broker),
            results: Arc::new(MemoryResults::new()),
        };
        let (shutdown, workers) = (CancellationToken::new(), TaskTracker::new());
        for plan in plans(media, mails)? {
            workers.spawn(work(
                plan.drain_grace(seconds(0)),
                servers.clone(),
                shutdown.clone(),
            ));
        }
        Ok(Self {
            tasks: Tasks::new(servers.broker.clone(), servers.results.clone()),
            servers,
            shutdown,
            workers,
        })
    }

    pub(super) fn scheduler(&self, timetable: Timetable) -> Result<Scheduler, Failure> {
        let Servers { broker, results } = self.servers.clone();
        let scheduler = Scheduler::new(timetable, find_queue, broker, results);
        scheduler.map_err(|error| Exit::Software.because(&error))
    }

    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        self.workers.close();
        self.workers.wait().await;
    }
}

fn plans(media: &Media, mails: &Path) -> Result<[Plan; 6], Failure> {
    let mails = format!("file://{}", mails.display());
    let mailer = Mailer::open(&mails, "Sapari <demo@localhost>");
    let mailer = mailer.map_err(|error| Exit::Software.because(&error))?;
    // Its own server alone stands on this machine's loopback address.
    let here = "127.0.0.1"
        .parse()
        .map_err(|error| Exit::Software.because(&error))?;
    let sources = sapari_download::Sources {
        media: media.clone(),
        http: Http::new(AddressRule::public().and([here]), FetchLimits::default()),
        // A file, and no page: no further program is needed.
        ytdlp: None,
    };
    let listener = sapari_analysis::Listener::new(media.clone());
    Ok([
        sapari_download::worker(sources).into_plan(),
        sapari_proxy::worker(media.clone()).into_plan(),
        sapari_analysis::worker(listener).into_plan(),
        sapari_render::worker(media.clone()).into_plan(),
        sapari_asset_edit::worker(media.clone()).into_plan(),
        sapari_email::worker(sapari_email::Post::by(mailer)).into_plan(),
    ])
}

async fn work(
    plan: Plan,
    servers: Servers,
    shutdown: CancellationToken,
) -> Result<(), WorkerError> {
    plan.run(servers, shutdown).await
}
