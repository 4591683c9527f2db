//! Where a worker's pipelines keep what they came to: the ledger, and the depot for what is too large for it. A server that is
//! away fails no task: what cannot be kept is made again.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::checkpoint::{Checkpoint, Head};
use super::depot::Depot;
use crate::duration::{hours, seconds};
use crate::error::BoxError;
use crate::ledger::{LastRun, Ledger};
use crate::message::MessageId;

/// How long what a message's steps came to is kept while nothing is heard of the message: over a weekend.
const KEPT: Duration = hours(72);
/// How long it is known how the last run of a pipeline went.
const LAST_RUN_KEPT: Duration = hours(30 * 24);
/// The least time between two runs of one pipeline that are written down.
const WRITE_DOWN_EVERY: Duration = seconds(10);
/// How long a server may take to keep or to find something. A step that is made again is the worst that comes of it.
const PATIENCE: Duration = seconds(5);
/// What is larger goes to the depot, if there is one.
const LARGE: usize = 256 * 1024;
/// What is larger than this and has no depot to go to is not kept.
const TOO_LARGE: usize = 8 * 1024 * 1024;

/// Where a worker's pipelines keep what they came to.
pub(crate) struct Shelf {
    ledger: Arc<dyn Ledger>,
    depot: Option<Arc<dyn Depot>>,
    /// When a run of each pipeline was last written down.
    // A std mutex: held for one look or one assignment, never across an await.
    written: Mutex<HashMap<&'static str, Instant>>,
}

impl Shelf {
    pub(crate) fn new(ledger: Arc<dyn Ledger>, depot: Option<Arc<dyn Depot>>) -> Self {
        Self {
            ledger,
            depot,
            written: Mutex::default(),
        }
    }

    /// All that is kept of this message's steps; none when that cannot be found out.
    pub(super) async fn load(&self, id: &MessageId) -> Option<BTreeMap<String, Checkpoint>> {
        let kept = match in_time(self.ledger.kept_steps(id, KEPT)).await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(%error, "what earlier attempts left is not known: every step runs");
                return None;
            }
        };
        let mut found = BTreeMap::new();
        for (step, bytes) in kept {
            let Some(mut checkpoint) = Checkpoint::decode(&bytes) else {
                continue;
            };
            if checkpoint.head.in_depot {
                checkpoint.output = self.fetch(id, &step).await;
            }
            found.insert(step, checkpoint);
        }
        Some(found)
    }

    async fn fetch(&self, id: &MessageId, step: &str) -> Option<Vec<u8>> {
        let depot = self.depot.as_ref()?;
        match in_time(depot.get(id, step)).await {
            Ok(output) => output,
            Err(error) => {
                tracing::warn!(%error, step, "a kept output cannot be read: the step runs again");
                None
            }
        }
    }

    /// Keeps what a step came to.
    pub(super) async fn put(&self, id: &MessageId, step: &str, head: Head, output: Vec<u8>) {
        if let Err(error) = self.try_put(id, step, head, output).await {
            tracing::warn!(%error, step, "a step's output is not kept: another attempt would run it again");
        }
    }

    async fn try_put(
        &self,
        id: &MessageId,
        step: &str,
        mut head: Head,
        output: Vec<u8>,
    ) -> Result<(), BoxError> {
        let mut output = Some(output);
        let size = output.as_ref().map_or(0, Vec::len);
        if let Some(depot) = self.depot.as_ref().filter(|_| self.is_for_depot(size)) {
            // First the output, then what leads to it.
            in_time(depot.put(id, step, output.take().unwrap_or_default())).await?;
            head.in_depot = true;
        } else if size > TOO_LARGE {
            return Err(format!(
                "it has {size} bytes and the limit is {TOO_LARGE}; give the worker a depot"
            )
            .into());
        }
        let bytes = Checkpoint { head, output }.encode()?;
        in_time(self.ledger.keep_step(id, step, &bytes, KEPT)).await
    }

    /// Whether an output of this size goes to the depot.
    pub(super) fn is_for_depot(&self, bytes: usize) -> bool {
        self.depot.is_some() && bytes > LARGE
    }

    /// The message has come to its end: nothing of its steps is kept any more.
    pub(crate) async fn clear(&self, id: &MessageId, in_depot: bool) -> bool {
        let depot = async {
            match self.depot.as_ref().filter(|_| in_depot) {
                Some(depot) => depot.clear(id).await,
                None => Ok(()),
            }
        };
        let (forgotten, cleared) =
            tokio::join!(in_time(self.ledger.forget_steps(id)), in_time(depot));
        match forgotten.and(cleared) {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, "kept outputs stay until their time has run out");
                false
            }
        }
    }

    /// Writes down how a whole run went, the first within ten seconds: it is for people, and no work for the store.
    pub(super) async fn tell(&self, pipeline: &'static str, run: impl FnOnce() -> LastRun) {
        if !self.is_due(pipeline) {
            return;
        }
        if let Err(error) =
            in_time(self.ledger.keep_last_run(pipeline, &run(), LAST_RUN_KEPT)).await
        {
            tracing::debug!(%error, pipeline, "how it went is not written down");
        }
    }

    fn is_due(&self, pipeline: &'static str) -> bool {
        let now = Instant::now();
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let before = written.get(pipeline);
        if before.is_some_and(|before| now - *before < WRITE_DOWN_EVERY) {
            return false;
        }
        written.insert(pipeline, now);
        true
    }
}

async fn in_time<T, E: Into<BoxError>>(
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, BoxError> {
    match timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(late) => Err(late.into()),
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf")
            .field("depot", &self.depot)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Results;
    use crate::result::memory::MemoryResults;

    fn run(at: f64) -> LastRun {
        LastRun {
            at,
            seconds: 1.0,
            critical_path: Vec::new(),
            steps: BTreeMap::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_runs_one_in_ten_seconds_is_written_down_for_each_pipeline() {
        let ledger = MemoryResults::new().ledger();
        let shelf = Shelf::new(Arc::clone(&ledger), None);
        for (pause, pipeline, at, known) in [
            (0, "render", 1.0, 1.0),
            (0, "preview", 2.0, 2.0),
            (9, "render", 3.0, 1.0),
            (1, "render", 4.0, 4.0),
        ] {
            tokio::time::advance(seconds(pause)).await;
            shelf.tell(pipeline, || run(at)).await;
            let last = ledger.last_run(pipeline).await.expect("answers");
            assert_eq!(last.expect("written down").at, known, "{at}");
        }
    }
}
