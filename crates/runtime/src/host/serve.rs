//! One worker process from its matched arguments to its exit code.

use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;
use sapari_telemetry as telemetry;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::args::{
    self, AGING, BOOT_DEADLINE, BROKER_URL, DRAIN_GRACE, EXPLAIN, HEALTH_ADDR, LEASE, NAMESPACE,
    READ_AHEAD, RESULT_URL, SERVICE_NAME, SLOTS, UNKNOWN_WAIT,
};
use super::exit::{Exit, Failure};
use super::explain::LastRuns;
use super::health::{HealthAddr, Pages, Port};
use super::{Loaded, Program, connect_broker, connect_results, explain, gauges, signals};
use crate::duration::seconds;
use crate::queue::Queue;
use crate::vitals::Vitals;
use crate::worker::{Plan, Servers, WorkerError};
use crate::{broker, result};

/// The least threads of the runtime.
const LEAST_THREADS: usize = 4;
/// How long the runtime may take to drop what runs.
pub(super) const AT_ONCE: Duration = seconds(1);
/// How long the result store may take to say how pipelines went, for `--explain`.
const A_LOOK: Duration = Duration::from_millis(500);
/// How long telemetry may take to be flushed.
pub(super) const FLUSH_DEADLINE: Duration = seconds(5);

pub(super) fn main(program: &Program, matches: &ArgMatches) -> ExitCode {
    match run(program, matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.say(),
    }
}

fn run(program: &Program, matches: &ArgMatches) -> Result<(), Failure> {
    let places = Places::of(matches)?;
    let mut telemetry_settings = telemetry_settings(program.app, &program.service(), matches)?;
    let settings = args::settings(program, matches);
    let loaded = (program.load)(&settings).map_err(|error| Exit::Usage.because(&error))?;
    let Loaded { plan, check } = loaded;
    let plan = configure(plan, matches).parenting(telemetry_settings.parenting);
    plan.check()
        .map_err(|error| Exit::Software.because(&error))?;
    let topology = places.topology(plan.queue())?;
    if matches.get_flag(EXPLAIN) {
        let last_runs = places.last_runs(&plan);
        return explain::print(program, &plan, &topology, &last_runs);
    }
    let health = Health::open(matches, &mut telemetry_settings)?;
    let guard =
        telemetry::init(telemetry_settings).map_err(|error| Exit::Software.because(&error))?;
    let runtime = async_runtime()?;
    let vitals = Vitals::new();
    runtime.spawn(vitals.clone().keep_ticking());
    gauges::observe(plan.queue(), vitals.clone());
    health.serve(&vitals, &guard)?;
    let plan = plan.vitals(vitals.clone());
    let served = runtime.block_on(async {
        check
            .await
            .map_err(|error| Exit::Unavailable.because(error.as_ref()))?;
        until_drained_or_ended(program, plan, &places).await
    });
    // However it came to its end.
    vitals.draining();
    // Drops what still runs, and with it the child processes.
    runtime.shutdown_timeout(AT_ONCE);
    if !guard.shutdown(FLUSH_DEADLINE) {
        tracing::warn!(
            "the last spans and metrics could not all be sent: what this process did at its end may be missing there"
        );
    }
    served
}

pub(super) fn async_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    // A handler that blocks takes a thread with it: on a small machine, others must be left to go on.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.max(LEAST_THREADS))
        .enable_all()
        .build();
    runtime.map_err(|error| Exit::Software.because(&error))
}

/// The health port, taken but not answered yet; nothing when it is off.
pub(super) struct Health(Option<Port>);

impl Health {
    pub(super) fn open(
        matches: &ArgMatches,
        telemetry: &mut telemetry::Settings,
    ) -> Result<Self, Failure> {
        let addr = matches.get_one::<HealthAddr>(HEALTH_ADDR).copied();
        let port = Port::take(addr.unwrap_or(HealthAddr::Off))?;
        // What nobody can scrape is not counted for it.
        telemetry.scraped = port.is_some();
        Ok(Self(port))
    }

    pub(super) fn serve(self, vitals: &Vitals, guard: &telemetry::Guard) -> Result<(), Failure> {
        let pages = Pages {
            vitals: vitals.clone(),
            scraper: guard.scraper(),
        };
        self.0.map_or(Ok(()), |port| port.serve(pages))
    }
}

/// Checked before anything is connected.
pub(super) struct Places {
    pub(super) namespace: String,
    pub(super) broker: String,
    pub(super) results: String,
    pub(super) boot_deadline: Duration,
}

impl Places {
    pub(super) fn of(matches: &ArgMatches) -> Result<Self, Failure> {
        let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
        let places = Self {
            namespace: text(NAMESPACE),
            broker: text(BROKER_URL),
            results: text(RESULT_URL),
            boot_deadline: *matches
                .get_one(BOOT_DEADLINE)
                .expect("the flag has a default"),
        };
        broker::url::check(&places.broker).map_err(|error| Exit::Usage.because(&error))?;
        result::url::check(&places.results).map_err(|error| Exit::Usage.because(&error))?;
        Ok(places)
    }

    pub(super) fn warn_of_memory(&self) {
        for url in [&self.broker, &self.results] {
            if url.starts_with("memory:") {
                tracing::warn!(
                    "memory:// lives in this process alone: nobody else kicks or reads there"
                );
            }
        }
    }

    /// How the last whole run of each pipeline went, if the result store says so at once.
    fn last_runs(&self, plan: &Plan) -> LastRuns {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let looked = runtime
            .map(|runtime| runtime.block_on(async { timeout(A_LOOK, self.look(plan)).await }));
        looked.ok().and_then(Result::ok).unwrap_or_default()
    }

    async fn look(&self, plan: &Plan) -> LastRuns {
        let mut found = LastRuns::new();
        if plan.pipelines().is_empty() || self.results.starts_with("memory:") {
            return found;
        }
        if let Ok(results) = connect_results(&self.results, &self.namespace, A_LOOK).await {
            let ledger = results.ledger();
            for graph in plan.pipelines() {
                if let Ok(Some(last)) = ledger.last_run(graph.name).await {
                    found.insert(graph.name, last);
                }
            }
        }
        found
    }

    /// What will stand on the broker; a name that cannot stand there is found here.
    fn topology(&self, queue: Queue) -> Result<Vec<String>, Failure> {
        broker::url::describe(&self.broker, &self.namespace, queue)
            .map_err(|error| Exit::Usage.because(&error))
    }
}

pub(super) fn telemetry_settings(
    app: &'static str,
    service: &str,
    matches: &ArgMatches,
) -> Result<telemetry::Settings, Failure> {
    let prefix = app.to_uppercase();
    let defaults = telemetry::Defaults {
        prefix: &prefix,
        role: service,
        service_name: matches.get_one::<String>(SERVICE_NAME).map(String::as_str),
        namespace: Some(app),
        version: Some(env!("CARGO_PKG_VERSION")),
        terminal: false,
        kind: telemetry::switches::ProcessKind::Worker,
    };
    telemetry::Settings::from_env(&defaults).map_err(|error| Exit::Usage.because(&error))
}

fn configure(plan: Plan, matches: &ArgMatches) -> Plan {
    let plan = match matches.get_one::<u16>(SLOTS) {
        Some(slots) => plan.slots(*slots),
        None => plan,
    };
    let plan = match matches.get_one::<u16>(READ_AHEAD) {
        Some(messages) => plan.read_ahead(*messages),
        None => plan,
    };
    let set = |plan, name, set: fn(Plan, Duration) -> Plan| match matches.get_one::<Duration>(name)
    {
        Some(value) => set(plan, *value),
        None => plan,
    };
    let plan = set(plan, DRAIN_GRACE, Plan::drain_grace);
    let plan = set(plan, UNKNOWN_WAIT, Plan::unknown_wait);
    let plan = set(plan, AGING, Plan::aging);
    set(plan, LEASE, Plan::lease)
}

async fn until_drained_or_ended(
    program: &Program,
    plan: Plan,
    places: &Places,
) -> Result<(), Failure> {
    let shutdown = CancellationToken::new();
    tokio::select! {
        served = serve(program, plan, places, shutdown.clone()) => served,
        ended = signals::until_signalled_twice(shutdown) => Err(match ended {
            Ok(()) => Exit::Ended.with("ended by a second signal; what was not finished is delivered again"),
            Err(error) => Exit::Software.because(&error),
        }),
    }
}

async fn serve(
    program: &Program,
    plan: Plan,
    places: &Places,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let Some(servers) = connect(program, places, &shutdown).await? else {
        return Ok(());
    };
    let broker = servers.broker.clone();
    let ended = plan.run(servers, shutdown).await;
    broker.close().await;
    ended.map_err(|error| exit_of(&error))
}

/// The servers, or nothing when a signal came first.
async fn connect(
    program: &Program,
    places: &Places,
    shutdown: &CancellationToken,
) -> Result<Option<Servers>, Failure> {
    let connecting = async {
        let broker = connect_broker(
            &places.broker,
            &places.namespace,
            &program.service(),
            places.boot_deadline,
        )
        .await?;
        let results =
            connect_results(&places.results, &places.namespace, places.boot_deadline).await?;
        places.warn_of_memory();
        Ok(Some(Servers { broker, results }))
    };
    tokio::select! {
        () = shutdown.cancelled() => Ok(None),
        connected = connecting => connected,
    }
}

fn exit_of(error: &WorkerError) -> Failure {
    match error {
        WorkerError::Start(_) => Exit::Software.because(error),
        WorkerError::Broker(_) | WorkerError::ConsumerGone(_) => Exit::Unavailable.because(error),
    }
}
