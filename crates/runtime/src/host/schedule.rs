//! The one main of every scheduler process: settings, telemetry, servers, the scheduler and its ticker, signals, exit code. Any number
//! of them may run; which one leads is for them to settle.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use clap::parser::ValueSource;
use sapari_telemetry as telemetry;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::args::{self, EXPLAIN, RESULT_URL, STATE_FILE};
use super::exit::{Exit, Failure};
use super::serve::{self, AT_ONCE, FLUSH_DEADLINE, Health, Places};
use super::{Process, connect_broker, connect_results, gauges, signals, usage};
use crate::error::BoxError;
use crate::ledger::Schedules;
use crate::result::Results;
use crate::result::memory::MemoryResults;
use crate::schedule::{Clock, Entry, FindQueue, Scheduler, StateFile, Timetable};
use crate::vitals::Vitals;

/// How many runs of an entry `--explain` tells.
const RUNS_TOLD: usize = 3;

/// Wakes the scheduler now and then, for as long as it runs. An error ends the process: it is the ticker's own, and no server's.
pub type Ticker = fn(Arc<Notify>) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// A scheduler process that has not started.
struct Program {
    app: &'static str,
    role: &'static str,
    timetable: fn() -> Timetable,
    find: FindQueue,
    ticker: Ticker,
}

/// The main of a scheduler: its timetable, the queues that entries added at run time may use, and what wakes it.
#[must_use]
pub fn schedule<P: Process>(
    process: P,
    timetable: fn() -> Timetable,
    find: FindQueue,
    ticker: Ticker,
) -> ExitCode {
    let program = Program {
        app: P::APP,
        role: process.name(),
        timetable,
        find,
        ticker,
    };
    let command = args::for_scheduler(P::APP, program.service()).about(process.about());
    match command.try_get_matches() {
        Ok(matches) => match run(&program, &matches) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.say(),
        },
        Err(mistake) => usage(&mistake),
    }
}

impl Program {
    fn service(&self) -> String {
        format!("{}-{}", self.app, self.role)
    }
}

fn run(program: &Program, matches: &ArgMatches) -> Result<(), Failure> {
    let places = Places::of(matches)?;
    let service = program.service();
    let mut settings = serve::telemetry_settings(program.app, &service, matches)?;
    let entries = (program.timetable)().entries();
    let entries = entries.map_err(|error| Exit::Software.because(&error))?;
    if matches.get_flag(EXPLAIN) {
        let text = explain(&service, &entries, Clock::system().now());
        let printed = std::io::stdout().write_all(text.as_bytes());
        return printed.map_err(|error| Exit::Software.because(&error));
    }
    let book = state_file(matches)?;
    let health = Health::open(matches, &mut settings)?;
    let guard = telemetry::init(settings).map_err(|error| Exit::Software.because(&error))?;
    let runtime = serve::async_runtime()?;
    let vitals = Vitals::new();
    runtime.spawn(vitals.clone().keep_ticking());
    gauges::observe_scheduler(vitals.clone());
    health.serve(&vitals, &guard)?;
    let served = runtime.block_on(until_ended(program, &places, book, &vitals));
    vitals.draining();
    runtime.shutdown_timeout(AT_ONCE);
    guard.shutdown(FLUSH_DEADLINE);
    served
}

/// The file that stands for Redis, if one is named. A result store beside it is a contradiction only when both are typed: the
/// environment is often shared with the workers.
fn state_file(matches: &ArgMatches) -> Result<Option<Arc<dyn Schedules>>, Failure> {
    let Some(path) = matches.get_one::<PathBuf>(STATE_FILE) else {
        return Ok(None);
    };
    let is_typed = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
    if is_typed(STATE_FILE) && is_typed(RESULT_URL) {
        return Err(Exit::Usage
            .with("--state-file stands in for a result store: leave out --result-url, or it"));
    }
    let file = StateFile::open(path).map_err(|error| Exit::Usage.because(&error))?;
    Ok(Some(Arc::new(file)))
}

async fn until_ended(
    program: &Program,
    places: &Places,
    book: Option<Arc<dyn Schedules>>,
    vitals: &Vitals,
) -> Result<(), Failure> {
    let shutdown = CancellationToken::new();
    tokio::select! {
        served = schedule_until(program, places, book, vitals, shutdown.clone()) => served,
        ended = signals::until_signalled_twice(shutdown) => Err(match ended {
            Ok(()) => Exit::Ended.with("ended by a second signal; what was not settled is looked up by the next scheduler"),
            Err(error) => Exit::Software.because(&error),
        }),
    }
}

async fn schedule_until(
    program: &Program,
    places: &Places,
    book: Option<Arc<dyn Schedules>>,
    vitals: &Vitals,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let connecting = async {
        let (url, deadline) = (&places.broker, places.boot_deadline);
        let broker = connect_broker(url, &places.namespace, &program.service(), deadline).await?;
        let results: Arc<dyn Results> = match &book {
            // Nobody waits for a scheduler's kicks, and what it must remember stands in the file.
            Some(_) => Arc::new(MemoryResults::new()),
            None => connect_results(&places.results, &places.namespace, deadline).await?,
        };
        Ok::<_, Failure>((broker, results))
    };
    let (broker, results) = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        connected = connecting => connected?,
    };
    let scheduler = Scheduler::new((program.timetable)(), program.find, broker.clone(), results)
        .map_err(|error| Exit::Software.because(&error))?
        .vitals(vitals.clone());
    let scheduler = match book {
        Some(book) => scheduler.book(book).without_ledger(),
        None => scheduler,
    };
    let ticking = (program.ticker)(scheduler.wake());
    let ended = tokio::select! {
        () = scheduler.run(shutdown) => Ok(()),
        stopped = ticking => Err(match stopped {
            Ok(()) => Exit::Software.with("the ticker has ended by itself"),
            Err(error) => Exit::Software.because(error.as_ref()),
        }),
    };
    broker.close().await;
    ended
}

fn explain(service: &str, entries: &[Entry], now: i64) -> String {
    let mut text = format!("service.name {service}, {} entries\n", entries.len());
    for entry in entries {
        let (id, when, task, queue) = (entry.id(), entry.when(), entry.task(), entry.queue());
        let (missed, overlap) = entry.policies();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "\n{id}\n  {when}  {task} on {queue}, missed {missed}, overlap {overlap}{}",
            later(entry)
        );
        for firing in entry.firings(now).take(RUNS_TOLD) {
            let _ = writeln!(text, "  {firing}");
        }
    }
    text
}

/// What jitter makes of an entry's ticks.
fn later(entry: &Entry) -> String {
    match entry.offset() {
        Duration::ZERO => String::new(),
        offset => format!(", {:.3} s after its ticks", offset.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duration::minutes;
    use crate::ping::Ping;

    #[test]
    fn it_tells_each_entry_and_its_next_runs() {
        let entries = Timetable::in_utc()
            .cron("0 0 3 * * *", Ping {})
            .tz("Europe/Lisbon")
            .every(minutes(20), Ping {})
            .named("often")
            .jitter(minutes(1))
            .entries()
            .expect("good");
        let told = explain("demo-scheduler", &entries, 1_792_886_400_000);
        let expected = "service.name demo-scheduler, 2 entries

ping
  0 0 3 * * * Europe/Lisbon  ping on ping, missed skip, overlap allow
  2026-10-25T03:00:00Z
  2026-10-26T03:00:00Z
  2026-10-27T03:00:00Z

often
  every 1200s  ping on ping, missed skip, overlap allow, 27.543 s after its ticks
  2026-10-25T00:00:27.543Z
  2026-10-25T00:20:27.543Z
  2026-10-25T00:40:27.543Z
";
        assert_eq!(told, expected);
    }
}
