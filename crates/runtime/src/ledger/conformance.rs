//! What every ledger promises, as one suite. Behind the feature `testing`.

mod checkpoints;
mod gates;
mod runs;
mod schedules;

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use gates::{
    places_are_counted_and_come_back, rates_count_the_starts_of_a_time,
    rooms_are_remembered_until_they_are_empty,
};

use super::{Cancel, Ledger, Progress, Reserved, WorkerReport};
use crate::message::MessageId;

const LONG: Duration = Duration::from_secs(60);
/// Long enough for a server's answer, short enough to be waited out.
const SHORT: Duration = Duration::from_millis(80);
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the whole suite.
///
/// # Panics
/// When a promise is broken.
pub async fn exercise(ledger: &dyn Ledger) {
    runs::exercise(ledger).await;
    cancels_are_told(ledger).await;
    unique_keys_have_one_holder(ledger).await;
    the_last_one_may_take_a_key(ledger).await;
    places_are_counted_and_come_back(ledger).await;
    rates_count_the_starts_of_a_time(ledger).await;
    rooms_are_remembered_until_they_are_empty(ledger).await;
    workers_are_listed_while_they_report(ledger).await;
    queues_are_paused_and_resumed(ledger).await;
    progress_is_kept(ledger).await;
    checkpoints::exercise(ledger).await;
    schedules::exercise(ledger).await;
}

fn unique(word: &str) -> String {
    format!("{word}-{}", Uuid::new_v4())
}

async fn cancels_are_told(ledger: &dyn Ledger) {
    let cancel = |at| Cancel {
        id: MessageId::new(),
        at,
    };
    let (old, new) = (cancel(1_000), cancel(2_000));
    for cancel in [&old, &new] {
        ledger.cancel(cancel).await.expect("answers");
    }
    let all = ledger.cancels(0).await.expect("answers");
    assert!(all.contains(&old) && all.contains(&new), "{all:?}");
    let young = ledger.cancels(2_000).await.expect("answers");
    assert!(!young.contains(&old) && young.contains(&new), "{young:?}");
    for cancel in [&old, &new] {
        assert!(ledger.is_cancelled(&cancel.id).await.expect("answers"));
        ledger.cancelled(&cancel.id).await.expect("answers");
        assert!(!ledger.is_cancelled(&cancel.id).await.expect("answers"));
    }
    let all = ledger.cancels(0).await.expect("answers");
    assert!(!all.contains(&old) && !all.contains(&new), "{all:?}");

    let mut news = ledger.listen();
    let hearing = async {
        // The first may only say that it listens now.
        news.heard().await;
        news.heard().await;
    };
    let ringing = async {
        // A bell that does not hang yet is not heard: ring until it is.
        loop {
            ledger.cancel(&old).await.expect("answers");
            tokio::time::sleep(SHORT).await;
        }
    };
    tokio::select! {
        told = timeout(PATIENCE, hearing) => told.expect("workers are told"),
        () = ringing => {}
    }
    ledger.cancelled(&old.id).await.expect("answers");
}

async fn unique_keys_have_one_holder(ledger: &dyn Ledger) {
    let (key, a, b) = (unique("key"), MessageId::new(), MessageId::new());
    assert_eq!(ledger.holder(&key).await.expect("answers"), None);
    for _ in 0..2 {
        let mine = ledger.reserve(&key, &a, LONG).await.expect("answers");
        assert_eq!(mine, Reserved::Mine);
    }
    let taken = ledger.reserve(&key, &b, LONG).await.expect("answers");
    assert_eq!(taken, Reserved::Taken(a.clone()));
    ledger.give_up(&key, &b).await.expect("answers");
    assert_eq!(ledger.holder(&key).await.expect("answers"), Some(a.clone()));
    ledger.give_up(&key, &a).await.expect("answers");
    let mine = ledger.reserve(&key, &b, SHORT).await.expect("answers");
    assert_eq!(mine, Reserved::Mine);
    let waiting = async {
        while ledger.reserve(&key, &a, SHORT).await.expect("answers") != Reserved::Mine {
            tokio::time::sleep(SHORT).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("a window ends");
}

async fn the_last_one_may_take_a_key(ledger: &dyn Ledger) {
    let (key, a, b) = (unique("key"), MessageId::new(), MessageId::new());
    assert_eq!(ledger.replace(&key, &a, LONG).await.expect("answers"), None);
    let before = ledger.replace(&key, &b, LONG).await.expect("answers");
    assert_eq!(before, Some(a));
    assert_eq!(ledger.holder(&key).await.expect("answers"), Some(b));
}

fn report(worker: &str) -> WorkerReport {
    WorkerReport {
        worker: worker.to_owned(),
        queue: "render".to_owned(),
        host: "host".to_owned(),
        pid: 7,
        version: "0.1.0".to_owned(),
        started_at: 1.5,
        seen_at: crate::message::unix_seconds(),
        slots: 4,
        in_use: 1,
        state: "running".to_owned(),
        settled: 9,
        failed: 1,
        per_minute: 3.0,
        running: Vec::new(),
    }
}

async fn workers_are_listed_while_they_report(ledger: &dyn Ledger) {
    let names = [unique("worker"), unique("worker")];
    ledger
        .report(&report(&names[0]), LONG)
        .await
        .expect("answers");
    ledger
        .report(&report(&names[1]), SHORT)
        .await
        .expect("answers");
    let listed = async || {
        let workers = ledger.workers().await.expect("answers");
        let ours = workers.into_iter().map(|report| report.worker);
        ours.filter(|name| names.contains(name)).collect::<Vec<_>>()
    };
    let waiting = async {
        while listed().await != [names[0].clone()] {
            tokio::time::sleep(SHORT).await;
        }
    };
    timeout(PATIENCE, waiting)
        .await
        .expect("one that is silent is gone");
    ledger.sign_off(&names[0]).await.expect("answers");
    assert!(listed().await.is_empty());
}

async fn queues_are_paused_and_resumed(ledger: &dyn Ledger) {
    let queue = unique("queue");
    let paused = async || ledger.paused().await.expect("answers").contains(&queue);
    assert!(!paused().await);
    for _ in 0..2 {
        ledger.set_paused(&queue, true).await.expect("answers");
        assert!(paused().await);
    }
    ledger.set_paused(&queue, false).await.expect("answers");
    assert!(!paused().await);
}

async fn progress_is_kept(ledger: &dyn Ledger) {
    let id = MessageId::new();
    assert_eq!(ledger.progress(&id).await.expect("answers"), None);
    let progress = Progress::started(0.4, json!({"frame": 7}));
    let kept = [(id.clone(), progress.clone(), LONG)];
    ledger.set_progress(&kept).await.expect("answers");
    let found = ledger.progress(&id).await.expect("answers").expect("kept");
    assert_eq!(found, progress);
    assert_eq!(
        (found.fraction(), found.state.as_str()),
        (Some(0.4), "STARTED")
    );
}
