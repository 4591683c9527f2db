//! How much memory a worker's process takes, as the kernel counts it. The bench's own code is in it, and little else.

use std::time::Duration;

use tokio::time::sleep;

use crate::Failure;
use crate::load::{Room, Running, fill};
use crate::ours::{client, servers};
use crate::sample::Sample;

/// How long a worker stands idle before it is looked at.
const IDLE: Duration = Duration::from_secs(1);

pub(crate) async fn idle(sample: Sample) -> Result<Vec<f64>, Failure> {
    let servers = servers(sample).await?;
    let running = Running::start(&servers, Room::of(16), 1);
    sleep(IDLE).await;
    let resident = kib("VmRSS:")?;
    running.stop(&servers).await?;
    Ok(vec![resident])
}

/// What kicked the messages has gone before: it ran in another process.
pub(crate) async fn busy(sample: Sample) -> Result<Vec<f64>, Failure> {
    let servers = servers(sample).await?;
    fill(&client(&servers), sample).await?;
    let running = Running::start(&servers, Room::of(200), sample.count);
    running.meter.rate().await;
    let most = kib("VmHWM:")?;
    running.stop(&servers).await?;
    Ok(vec![most])
}

fn kib(line: &str) -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let value = status.lines().find_map(|each| each.strip_prefix(line));
    let number = value.and_then(|value| value.split_whitespace().next());
    Ok(number.ok_or("no such line")?.parse()?)
}
