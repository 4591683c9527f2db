//! The runtime, as its users use it: `kick`, `kick_all`, a worker.

use sapari_runtime::prelude::*;
use sapari_runtime::worker::Servers;
use tokio::time::Instant;

use crate::load::{Noop, Room, Running, fill};
use crate::place;
use crate::sample::Sample;
use crate::{Failure, plain};

pub(crate) async fn servers(sample: Sample) -> Result<Servers, Failure> {
    Ok(Servers {
        broker: place::broker().await?,
        results: place::results(sample.store).await?,
    })
}

pub(crate) fn client(servers: &Servers) -> Tasks {
    Tasks::new(servers.broker.clone(), servers.results.clone())
}

pub(crate) async fn kick(sample: Sample) -> Result<Vec<f64>, Failure> {
    let servers = servers(sample).await?;
    let tasks = client(&servers);
    tasks.kick(Noop::new()).await?;
    let begun = Instant::now();
    for _ in 0..sample.count {
        tasks.kick(Noop::new()).await?;
    }
    Ok(vec![plain::rate(sample.count, begun)])
}

pub(crate) async fn kick_all(sample: Sample) -> Result<Vec<f64>, Failure> {
    let servers = servers(sample).await?;
    let tasks = client(&servers);
    tasks.kick(Noop::new()).await?;
    let noops = Noop::many(sample.count);
    let begun = Instant::now();
    tasks.kick_all(noops).await?;
    Ok(vec![plain::rate(sample.count, begun)])
}

pub(crate) async fn drain(sample: Sample, room: Room) -> Result<Vec<f64>, Failure> {
    let servers = servers(sample).await?;
    fill(&client(&servers), sample).await?;
    let running = Running::start(&servers, room, sample.count);
    let rate = running.meter.rate().await;
    running.stop(&servers).await?;
    Ok(vec![rate])
}

/// From the kick to the handler's start, each once the one before has long ended.
pub(crate) async fn latency(sample: Sample) -> Result<Vec<f64>, Failure> {
    let servers = servers(sample).await?;
    let tasks = client(&servers);
    let mut running = Running::start(&servers, Room::of(16), 0);
    let mut micros = Vec::new();
    for _ in 0..sample.count {
        let begun = Instant::now();
        tasks.kick(Noop::new()).await?;
        let started = running.starts.recv().await.ok_or("the worker is gone")?;
        micros.push(started.duration_since(begun).as_secs_f64() * 1e6);
        plain::pause().await;
    }
    running.stop(&servers).await?;
    Ok(micros)
}
