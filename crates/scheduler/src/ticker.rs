//! tokio-cron-scheduler as the ticker: a job that wakes the planner once a second. It decides nothing. It polls twice a second, keeps
//! one UTC offset across daylight saving, and may fire a tick twice or lose it, none of which a wake-up can do any harm by.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sapari_runtime::error::BoxError;
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler};

/// How often it wakes.
const EVERY: Duration = Duration::from_secs(1);

/// Wakes, for as long as it is polled.
#[must_use]
pub fn ticker(wake: Arc<Notify>) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>> {
    Box::pin(async move {
        let scheduler = JobScheduler::new().await?;
        let job = Job::new_repeated(EVERY, move |_, _| wake.notify_one())?;
        scheduler.add(job).await?;
        scheduler.start().await?;
        std::future::pending().await
    })
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn it_wakes_again_and_again() {
        let wake = Arc::new(Notify::new());
        let waking = async {
            for _ in 0..2 {
                wake.notified().await;
            }
        };
        tokio::select! {
            woken = timeout(Duration::from_secs(30), waking) => woken.expect("in time"),
            ended = ticker(Arc::clone(&wake)) => ended.expect("it ticks"),
        }
    }
}
