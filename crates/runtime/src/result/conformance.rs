//! What every [`Results`] must do, as cases to run against one. Needs the trait, and a way to see who waits; knows no server.
//! A case panics when the store does not keep its promise; it works on ids of its own.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{join, join_all};
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::memory::MemoryResults;
use super::redis::RedisResults;
use super::{MAX_RESULT_BYTES, Meant, Record, ResultError, Results};
use crate::ledger::Sighting;
use crate::message::{KickMoment, MessageId, new_kick, new_kick_again};

/// The most that one step of a case may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two looks at something that nobody tells about.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Longer than any case.
const LONG: Duration = Duration::from_secs(600);

/// A store of which one can see who waits.
pub trait Observed: Results {
    /// How many waits for this id are sure to notice the next save.
    fn waiting_for(&self, id: &MessageId) -> usize;
}

impl Observed for MemoryResults {
    fn waiting_for(&self, id: &MessageId) -> usize {
        self.waiting(id)
    }
}

impl Observed for RedisResults {
    fn waiting_for(&self, id: &MessageId) -> usize {
        self.waiting(id)
    }
}

/// Runs every case, one after the other.
///
/// # Panics
/// When a promise is broken.
pub async fn exercise(results: &impl Observed) {
    results.ping().await.expect("the store answers");
    what_is_saved_is_loaded(results).await;
    a_later_record_replaces_it(results).await;
    a_forgotten_record_is_gone(results).await;
    what_is_too_large_is_refused(results).await;
    a_result_expires(results).await;
    waiting_for_what_is_there_returns_at_once(results).await;
    a_wait_is_woken_by_a_save(results).await;
    fifty_wait_for_one(results).await;
    two_hundred_are_waited_for_at_once(results).await;
    a_cancelled_wait_leaves_the_others_alone(results).await;
    a_wait_begins_again_after_a_cancelled_one(results).await;
    what_an_earlier_kick_left_is_not_waited_for(results).await;
}

/// A record whose output is the number.
///
/// # Panics
/// Never: a number is JSON.
#[must_use]
pub fn record(output: u32) -> Record {
    let output = RawValue::from_string(output.to_string()).expect("a number is JSON");
    Record::done(output, Duration::from_millis(1500))
}

/// The number in a record.
///
/// # Panics
/// When the record is another one.
#[must_use]
pub fn output(record: &Record) -> u32 {
    record
        .outcome
        .as_ref()
        .expect("a success")
        .get()
        .parse()
        .expect("a number")
}

/// Returns when so many wait for the id.
///
/// # Panics
/// When they do not in time.
pub async fn observed(results: &impl Observed, id: &MessageId, waiting: usize) {
    within("the waiters", async {
        while results.waiting_for(id) != waiting {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    })
    .await;
}

async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event)
        .await
        .unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}

async fn save(results: &impl Observed, id: &MessageId, output: u32) {
    save_of(results, id, output, None).await;
}

async fn save_of(results: &impl Observed, id: &MessageId, output: u32, kick: Option<String>) {
    let record = Record {
        kick,
        ..record(output)
    };
    results.save(id, &record, LONG).await.expect("saved");
}

/// What was saved is loaded, and nothing else is there.
///
/// # Panics
/// When the promise is broken.
pub async fn what_is_saved_is_loaded(results: &impl Observed) {
    let id = MessageId::new();
    assert!(results.load(&id).await.expect("reachable").is_none());
    save(results, &id, 7).await;
    let loaded = results.load(&id).await.expect("reachable").expect("there");
    assert_eq!(
        (output(&loaded), loaded.execution_time),
        (7, Duration::from_millis(1500))
    );
}

/// A later record replaces an earlier one.
///
/// # Panics
/// When the promise is broken.
pub async fn a_later_record_replaces_it(results: &impl Observed) {
    let id = MessageId::new();
    save(results, &id, 1).await;
    save(results, &id, 2).await;
    assert_eq!(
        output(&results.load(&id).await.expect("reachable").expect("there")),
        2
    );
}

/// A forgotten record is gone, and forgetting what is not there is no error.
///
/// # Panics
/// When the promise is broken.
pub async fn a_forgotten_record_is_gone(results: &impl Observed) {
    let id = MessageId::new();
    results.forget(&id).await.expect("reachable");
    save(results, &id, 1).await;
    results.forget(&id).await.expect("reachable");
    assert!(results.load(&id).await.expect("reachable").is_none());
    let sighting = || async { results.ledger().sighting(&id).await.expect("reachable") };
    assert_eq!(sighting().await, None, "of which kick it was is not known");

    let output = RawValue::from_string("1".to_owned()).expect("JSON");
    let record = Record::done(output, Duration::ZERO).of_kick(Some("k"));
    let saved = || results.save(&id, &record, Duration::from_secs(60));
    saved().await.expect("reachable");
    assert_eq!(sighting().await, Some(Sighting::Finished));
    results.forget(&id).await.expect("reachable");
    assert_eq!(sighting().await, Some(Sighting::Replayed));
    saved().await.expect("reachable");
    assert_eq!(sighting().await, Some(Sighting::Finished));
}

/// A record over the limit is refused, and leaves nothing behind.
///
/// # Panics
/// When the promise is broken.
pub async fn what_is_too_large_is_refused(results: &impl Observed) {
    let id = MessageId::new();
    let text = format!("\"{}\"", "x".repeat(MAX_RESULT_BYTES));
    let large = Record::done(
        RawValue::from_string(text).expect("text is JSON"),
        Duration::ZERO,
    );
    let refused = results.save(&id, &large, LONG).await;
    assert!(
        matches!(refused, Err(ResultError::TooLarge { .. })),
        "{refused:?}"
    );
    assert!(results.load(&id).await.expect("reachable").is_none());
}

/// A result is gone after its time, a time of nothing included.
///
/// # Panics
/// When the promise is broken.
pub async fn a_result_expires(results: &impl Observed) {
    for ttl in [Duration::ZERO, Duration::from_millis(50)] {
        let id = MessageId::new();
        results.save(&id, &record(1), ttl).await.expect("saved");
        within("the end of its time", async {
            while results.load(&id).await.expect("reachable").is_some() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        })
        .await;
    }
}

/// Who waits for what is there already gets it.
///
/// # Panics
/// When the promise is broken.
pub async fn waiting_for_what_is_there_returns_at_once(results: &impl Observed) {
    let id = MessageId::new();
    save(results, &id, 3).await;
    let got = within("the result", results.wait(&id))
        .await
        .expect("readable");
    assert_eq!(output(&got), 3);
}

/// Who waits is woken when the result is saved, and is then no longer counted.
///
/// # Panics
/// When the promise is broken.
pub async fn a_wait_is_woken_by_a_save(results: &impl Observed) {
    let id = MessageId::new();
    let saving = async {
        observed(results, &id, 1).await;
        save(results, &id, 4).await;
    };
    let (got, ()) = within("the result", join(results.wait(&id), saving)).await;
    assert_eq!(output(&got.expect("readable")), 4);
    observed(results, &id, 0).await;
}

/// Fifty that wait for one result all get it.
///
/// # Panics
/// When the promise is broken.
pub async fn fifty_wait_for_one(results: &impl Observed) {
    let id = MessageId::new();
    let saving = async {
        observed(results, &id, 50).await;
        save(results, &id, 5).await;
    };
    let waiting = join_all((0..50).map(|_| results.wait(&id)));
    let (all, ()) = within("fifty results", join(waiting, saving)).await;
    assert!(
        all.into_iter()
            .all(|got| output(&got.expect("readable")) == 5)
    );
}

/// Two hundred results are waited for at once, and each waiter gets its own.
///
/// # Panics
/// When the promise is broken.
pub async fn two_hundred_are_waited_for_at_once(results: &impl Observed) {
    let ids: Vec<MessageId> = (0..200).map(|_| MessageId::new()).collect();
    let saving = async {
        for (number, id) in (0..).zip(&ids) {
            observed(results, id, 1).await;
            save(results, id, number).await;
        }
    };
    let waiting = join_all(ids.iter().map(|id| results.wait(id)));
    let (all, ()) = within("two hundred results", join(waiting, saving)).await;
    let numbers: Vec<u32> = all
        .into_iter()
        .map(|got| output(&got.expect("readable")))
        .collect();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
}

/// One that stops waiting takes nothing from the others.
///
/// # Panics
/// When the promise is broken.
pub async fn a_cancelled_wait_leaves_the_others_alone(results: &impl Observed) {
    let id = MessageId::new();
    let mut stays = pin!(results.wait(&id));
    {
        let goes = results.wait(&id);
        let counted = observed(results, &id, 2);
        tokio::select! {
            _ = &mut stays => panic!("there is no result yet"),
            _ = goes => panic!("there is no result yet"),
            () = counted => {}
        }
    }
    observed(results, &id, 1).await;
    let (got, ()) = within("the result", join(stays, save(results, &id, 6))).await;
    assert_eq!(output(&got.expect("readable")), 6);
}

/// A wait that follows on a cancelled one for the same id is woken as well.
///
/// # Panics
/// When the promise is broken.
pub async fn a_wait_begins_again_after_a_cancelled_one(results: &impl Observed) {
    let id = MessageId::new();
    for _ in 0..10 {
        tokio::select! {
            _ = results.wait(&id) => panic!("there is no result yet"),
            () = observed(results, &id, 1) => {}
        }
    }
    let saving = async {
        observed(results, &id, 1).await;
        save(results, &id, 8).await;
    };
    let (got, ()) = within("the result", join(results.wait(&id), saving)).await;
    assert_eq!(output(&got.expect("readable")), 8);
}

/// Who waits for one kick is not given the record of an earlier one; that of a later one, or of one that does not say, it is.
///
/// # Panics
/// When the promise is broken.
pub async fn what_an_earlier_kick_left_is_not_waited_for(results: &impl Observed) {
    let (earlier, meant, later) = (new_kick(), new_kick_again(), new_kick_again());
    let waited_for = Meant::From(KickMoment::read(&meant).expect("one of ours"));
    for kick in [Some(meant), Some(later), None] {
        let id = MessageId::new();
        save_of(results, &id, 1, Some(earlier.clone())).await;
        let saving = async {
            observed(results, &id, 1).await;
            save_of(results, &id, 2, kick).await;
        };
        let waiting = join(results.wait_for(&id, waited_for), saving);
        let (got, ()) = within("the result", waiting).await;
        assert_eq!(output(&got.expect("readable")), 2);
    }
}
