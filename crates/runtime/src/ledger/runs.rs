//! Run claims: which message is being run, by whom, until when; and which has gone on or come to its end.
//! Values and the seam only. What a standing means for a delivery is decided in `worker`.

use std::time::Duration;

use async_trait::async_trait;

use super::LedgerError;
use crate::message::MessageId;

/// How long what is known of a run outlives it: long enough for every copy that a broker may still bring.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(7 * 86_400);

/// How long it is told of a run that nobody has taken up again.
pub const TOLD_FOR: Duration = Duration::from_secs(86_400);

/// One attempt to run a message, as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The message.
    pub id: MessageId,
    /// Which kick of that id.
    pub kick: String,
    /// Known to be no copy of anything delivered before, although its kick has no name of its own: what is remembered of an
    /// earlier kick that looks the same does not count for it.
    pub is_new: bool,
    /// How often the runtime has sent the message on before: a retry or a snooze is one hop later.
    pub hop: u32,
    /// Unique to this attempt: only its holder renews or ends it.
    pub token: String,
    /// Whose it is, for people.
    pub worker: String,
    /// Which task, for people.
    pub task: String,
}

/// A run whose worker renews its claim no more, and that nobody has taken up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBehind {
    /// The message.
    pub id: MessageId,
    /// Which task.
    pub task: String,
    /// Whose it was.
    pub worker: String,
    /// How long ago its claim ended.
    pub ended: Duration,
}

/// What the ledger says when a run is to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is this run's now. `starts` counts those of this kick that did not end properly, this one included.
    Granted {
        /// 1 unless a worker died in it before.
        starts: u32,
    },
    /// Another run of this message is alive.
    Held {
        /// How long its claim lasts unless it is renewed.
        remaining: Duration,
        /// Whose it is.
        worker: String,
    },
    /// It would be the start that was held back, and nothing was claimed: a worker that dies now takes nothing from it.
    HeldBack,
    /// The message has gone on: a later copy of it waits or runs.
    Superseded,
    /// This kick has come to its end, and its record is stored.
    Finished,
}

/// What is known of a message's runs, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// It runs now.
    Running {
        /// Whose run it is.
        worker: String,
        /// Starts of it that did not end properly, this one included.
        starts: u32,
    },
    /// Its worker has not renewed the claim: it died, or is cut off.
    Abandoned {
        /// Whose run it was.
        worker: String,
        /// Starts of it that did not end properly.
        starts: u32,
    },
    /// It was sent on, and waits for its next attempt.
    SentOn {
        /// How often so far.
        hop: u32,
    },
    /// It came to its end.
    Finished,
    /// It came to its end, and its record was taken away for it to run anew: it waits, unless it runs already.
    Replayed,
}

/// Who runs what.
#[async_trait]
pub trait Runs {
    /// Claims the message for one attempt, for as long as `lease`. Asking again with the same token changes nothing.
    /// `hold_back` is the number of a start that is not to be made now.
    ///
    /// # Errors
    /// [`LedgerError`]: nobody knows whether it was claimed.
    async fn begin(
        &self,
        run: &Run,
        lease: Duration,
        hold_back: Option<u32>,
    ) -> Result<Standing, LedgerError>;

    /// Renews the claims of these runs; a claim that was lost with the ledger is made again.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn renew(&self, runs: &[Run], lease: Duration) -> Result<(), LedgerError>;

    /// The run ended properly and its message was sent on as hop `to`: copies with fewer hops are not run.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn sent_on(&self, run: &Run, to: u32) -> Result<(), LedgerError>;

    /// The run ended properly without an end of its message: it was handed back, and counts as nothing.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn release(&self, run: &Run) -> Result<(), LedgerError>;

    /// The runs whose claims ended so long ago, or longer, and that nobody has begun again, sent on or brought to an end since. Those
    /// of more than [`TOLD_FOR`] ago are not told any more.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn left_behind(&self, ago: Duration) -> Result<Vec<LeftBehind>, LedgerError>;

    /// What is known of the message's runs.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn sighting(&self, id: &MessageId) -> Result<Option<Sighting>, LedgerError>;
}
