//! What the pipeline engine costs a step: steps that do next to nothing, run by the engine and as bare futures of the same shape,
//! in turns in one process.

use std::sync::Arc;

use futures_util::future::join_all;
use sapari_runtime::pipeline::{Alone, Pipeline, StepContext};
use sapari_runtime::prelude::*;
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::Failure;
use crate::load::Noop;

/// Steps between the first and the last of them, side by side.
const MIDDLE: usize = 8;
const STEPS: usize = MIDDLE + 2;
/// How often the two take turns.
const TURNS: usize = 20;

type Cx = StepContext<Noop, ()>;

/// The least that a step does: it lets others go first.
async fn work(given: u64) -> u64 {
    yield_now().await;
    given + 1
}

async fn first(_cx: Cx) -> TaskResult<u64> {
    Ok(work(0).await)
}

async fn middle(_cx: Cx, given: Arc<u64>) -> TaskResult<u64> {
    Ok(work(*given).await)
}

async fn last(_cx: Cx, one: Arc<u64>, other: Arc<u64>) -> TaskResult<u64> {
    Ok(work(*one + *other).await)
}

fn pipeline(kept: bool) -> Pipeline<Noop, (), u64> {
    const IDS: [&str; MIDDLE] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut p = Pipeline::builder("bench");
    let top = p.step("first", (), first);
    let sides = IDS.map(|id| p.step(id, (top,), middle));
    let end = p.step("last", (sides[0], sides[MIDDLE - 1]), last);
    if kept {
        sides
            .into_iter()
            .chain([top, end])
            .for_each(|step| p.keep(step));
    }
    p.output(end)
}

async fn bare() -> u64 {
    let top = work(0).await;
    let sides = join_all((0..MIDDLE).map(|_| Box::pin(work(top)))).await;
    work(sides[0] + sides[MIDDLE - 1]).await
}

/// Microseconds a step: bare, and by the engine, the least of all turns; the rest of a turn is the machine's.
pub(crate) async fn overhead(runs: usize, kept: bool) -> Result<Vec<f64>, Failure> {
    let (pipeline, message) = (pipeline(kept), Alone::new());
    let (mut plain, mut ours) = (f64::INFINITY, f64::INFINITY);
    let runs = (runs / TURNS).max(1);
    for _ in 0..TURNS {
        let began = Instant::now();
        for _ in 0..runs {
            expect(bare().await)?;
        }
        plain = plain.min(micros_a_step(began, runs));
        let began = Instant::now();
        for _ in 0..runs {
            let done = pipeline.run(&message.cx::<Noop>(), (), Noop::new()).await;
            expect(done.map_err(|error| error.sentence())?)?;
            if kept {
                message.end().await;
            }
        }
        ours = ours.min(micros_a_step(began, runs));
    }
    Ok(vec![plain, ours])
}

fn expect(sum: u64) -> Result<(), Failure> {
    match sum {
        5 => Ok(()),
        other => Err(format!("the steps came to {other}").into()),
    }
}

fn micros_a_step(began: Instant, runs: usize) -> f64 {
    began.elapsed().as_secs_f64() * 1e6 / (runs * STEPS) as f64
}
