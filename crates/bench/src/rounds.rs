//! The plan: which samples are compared, in which turns, and what is printed. Every sample is a child process.

use std::process::{Command, Stdio};

use tokio::runtime::Builder;

use crate::sample::{Sample, Store, Tracing, What};
use crate::table::{Table, least, median, quantile, whole};
use crate::{Failure, place, report};

/// How much is measured.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    /// Messages of a drain or a pipelined publish.
    many: usize,
    /// Where each waits for the one before.
    few: usize,
}

const FULL: Effort = Effort {
    rounds: 3,
    many: 20_000,
    few: 2_000,
};
/// Shows that all of it works.
const QUICK: Effort = Effort {
    rounds: 1,
    many: 5_000,
    few: 500,
};

/// Publishes in flight of the bare client: as many as `kick_all` has.
const IN_FLIGHT: usize = 256;

/// Messages that a worker of one slot holds ahead of it, where it is told to.
const READ_AHEAD: u16 = 64;

/// Something of the runtime, and what it is compared with.
struct Pair {
    name: String,
    ours: Sample,
    plain: Sample,
}

pub(crate) fn measure_all() -> Result<(), Failure> {
    measure(FULL)
}

pub(crate) fn measure_quickly() -> Result<(), Failure> {
    measure(QUICK)
}

fn measure(effort: Effort) -> Result<(), Failure> {
    let done = rates(effort)
        .and_then(|()| telemetry(effort))
        .and_then(|()| latencies(effort))
        .and_then(|()| steps(effort))
        .and_then(|()| memory(effort));
    let tidied = Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(place::tidy_up());
    done.and(tidied)
}

fn pairs(effort: Effort) -> Vec<Pair> {
    let pair = |name: &str, ours, plain| Pair {
        name: name.to_owned(),
        ours,
        plain,
    };
    let publish = |in_flight, count| Sample::of(What::PlainPublish { in_flight }, count);
    let all = Sample::of(What::KickAll, effort.many);
    let mut pairs = vec![
        pair(
            "kick, one at a time",
            Sample::of(What::Kick, effort.few),
            publish(1, effort.few),
        ),
        pair("kick_all", all, publish(IN_FLIGHT, effort.many)),
        pair(
            "kick_all, tracing on",
            all.tracing(Tracing::On),
            publish(IN_FLIGHT, effort.many),
        ),
    ];
    let of_slots = |slots| What::Drain { slots };
    let ahead = What::DrainAhead {
        messages: READ_AHEAD,
    };
    for (name, what, count) in [
        ("1 slot", of_slots(1), effort.many),
        ("1 slot, fixed read-ahead", ahead, effort.many),
        ("16 slots", of_slots(16), effort.many),
        ("200 slots", of_slots(200), effort.many),
    ] {
        let drain = Sample::of(what, count);
        let plain = Sample::of(What::PlainDrain, effort.many);
        let drains = [
            ("", drain),
            (", tracing sampled", drain.tracing(Tracing::Sampled)),
            (", tracing on", drain.tracing(Tracing::On)),
            (", results in Redis", drain.store(Store::Redis)),
        ];
        pairs.extend(drains.map(|(how, ours)| pair(&format!("drain, {name}{how}"), ours, plain)));
    }
    pairs
}

/// Messages in a second, and the ratio to the bare client's in the same round.
fn rates(effort: Effort) -> Result<(), Failure> {
    let pairs = pairs(effort);
    let mut measured = vec![(Vec::new(), Vec::new()); pairs.len()];
    for round in 1..=effort.rounds {
        for (pair, (ours, plain)) in pairs.iter().zip(&mut measured) {
            report::progress(&format!(
                "round {round} of {}: {}",
                effort.rounds, pair.name
            ));
            plain.extend(run(pair.plain)?);
            ours.extend(run(pair.ours)?);
        }
    }
    let mut table = Table::new(&[
        "messages per second",
        "lapin",
        "runtime",
        "least",
        "ratio",
        "least",
    ]);
    for (pair, (ours, plain)) in pairs.iter().zip(&measured) {
        let ratios: Vec<f64> = ours
            .iter()
            .zip(plain)
            .map(|(ours, plain)| ours / plain)
            .collect();
        table.row([
            pair.name.clone(),
            whole(median(plain)),
            whole(median(ours)),
            whole(least(ours)),
            format!("{:.2}", median(&ratios)),
            format!("{:.2}", least(&ratios)),
        ]);
    }
    report::say(&format!("\n{}", table.text()));
    Ok(())
}

/// What telemetry costs a drain, and whether a receiver that is not there costs more: in turns, beside telemetry that is off.
fn telemetry(effort: Effort) -> Result<(), Failure> {
    let off = Sample::of(What::Drain { slots: 200 }, effort.many);
    let kinds = [
        ("sampled", Tracing::Sampled),
        ("on", Tracing::On),
        ("on, nobody receives", Tracing::Dead),
    ];
    let mut measured = kinds.map(|_| (Vec::new(), Vec::new()));
    for round in 1..=effort.rounds {
        for ((name, tracing), (ours, without)) in kinds.iter().zip(&mut measured) {
            report::progress(&format!("round {round}: telemetry {name}"));
            without.extend(run(off)?);
            ours.extend(run(off.tracing(*tracing))?);
        }
    }
    let mut table = Table::new(&["drain, 200 slots: telemetry", "off", "so", "ratio", "least"]);
    for ((name, _), (ours, without)) in kinds.iter().zip(&measured) {
        let pairs = ours.iter().zip(without);
        let ratios: Vec<f64> = pairs.map(|(ours, without)| ours / without).collect();
        table.row([
            (*name).to_owned(),
            whole(median(without)),
            whole(median(ours)),
            format!("{:.2}", median(&ratios)),
            format!("{:.2}", least(&ratios)),
        ]);
    }
    report::say(&format!("\n{}", table.text()));
    Ok(())
}

fn latencies(effort: Effort) -> Result<(), Failure> {
    let count = effort.few / 4;
    let samples = [
        (
            "lapin: publish to delivery",
            Sample::of(What::PlainLatency, count),
        ),
        ("kick to start", Sample::of(What::Latency, count)),
        (
            "kick to start, tracing on",
            Sample::of(What::Latency, count).tracing(Tracing::On),
        ),
    ];
    let mut table = Table::new(&["idle worker, ms", "p50", "p99"]);
    for (name, sample) in samples {
        report::progress(name);
        let micros = run(sample)?;
        let millis = |share| format!("{:.2}", quantile(&micros, share) / 1000.0);
        table.row([name.to_owned(), millis(0.5), millis(0.99)]);
    }
    report::say(&format!("\n{}", table.text()));
    Ok(())
}

/// What the engine may add to a step, in microseconds, where nobody looks at its spans: a span is the tracer's.
const MOST_A_STEP: f64 = 10.0;

/// What the pipeline engine costs a step, beside bare futures of the same shape in the same process.
fn steps(effort: Effort) -> Result<(), Failure> {
    let sample = |kept| Sample::of(What::Steps { kept }, effort.many);
    let samples = [
        ("tracing off", sample(false), MOST_A_STEP),
        (
            "tracing on",
            sample(false).tracing(Tracing::On),
            f64::INFINITY,
        ),
        ("outputs kept in memory", sample(true), f64::INFINITY),
    ];
    let mut table = Table::new(&["pipeline, µs a step", "bare", "engine", "more", "times"]);
    let mut too_much = None;
    for (name, sample, most) in samples {
        report::progress(&format!("steps, {name}"));
        let [bare, engine] = run(sample)?[..] else {
            return Err("two numbers are measured".into());
        };
        if engine - bare > most {
            too_much = Some(engine - bare);
        }
        let micros = |micros: f64| format!("{micros:.2}");
        table.row([
            name.to_owned(),
            micros(bare),
            micros(engine),
            micros(engine - bare),
            format!("{:.1}", engine / bare),
        ]);
    }
    report::say(&format!("\n{}", table.text()));
    match too_much {
        // What is not optimised says nothing.
        Some(micros) if !cfg!(debug_assertions) => Err(format!(
            "a step costs {micros:.1} µs by the engine, and {MOST_A_STEP} at most are promised"
        )
        .into()),
        _ => Ok(()),
    }
}

fn memory(effort: Effort) -> Result<(), Failure> {
    let idle = Sample::of(What::IdleMemory, 0).store(Store::Redis);
    let busy = Sample::of(What::BusyMemory, effort.many).store(Store::Redis);
    let samples = [
        ("idle, 16 slots", idle),
        ("idle, 16 slots, tracing on", idle.tracing(Tracing::On)),
        ("draining, 200 slots", busy),
        ("draining, 200 slots, tracing on", busy.tracing(Tracing::On)),
    ];
    let mut table = Table::new(&["resident memory, MB", "most"]);
    for (name, sample) in samples {
        report::progress(name);
        let kib = run(sample)?;
        table.row([
            name.to_owned(),
            format!("{:.1}", median(&kib) * 1024.0 / 1e6),
        ]);
    }
    report::say(&format!("\n{}", table.text()));
    Ok(())
}

/// Runs a sample in a process of its own.
fn run(sample: Sample) -> Result<Vec<f64>, Failure> {
    let mut child = Command::new(std::env::current_exe()?);
    child.arg("--one").args(sample.words());
    if sample.tracing == Tracing::Sampled {
        child.env("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
        child.env("OTEL_TRACES_SAMPLER_ARG", "0.05");
    }
    let output = child.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("the sample {:?} failed", sample.words()).into());
    }
    Ok(report::read(&String::from_utf8(output.stdout)?)?)
}
