//! What every ledger promises, as one suite. Behind the feature `testing`.

mod gates;

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use gates::{
    places_are_counted_and_come_back, rates_count_the_starts_of_a_time,
    rooms_are_remembered_until_they_are_empty,
};

use super::{Cancel, Ledger, Progress, Reserved, Run, Sighting, Standing, WorkerReport};
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
    a_run_is_claimed_once(ledger).await;
    a_claim_that_runs_out_counts_as_a_death(ledger).await;
    a_renewed_claim_lives_on(ledger).await;
    what_was_sent_on_or_released_may_begin_again(ledger).await;
    cancels_are_told(ledger).await;
    unique_keys_have_one_holder(ledger).await;
    the_last_one_may_take_a_key(ledger).await;
    places_are_counted_and_come_back(ledger).await;
    rates_count_the_starts_of_a_time(ledger).await;
    rooms_are_remembered_until_they_are_empty(ledger).await;
    workers_are_listed_while_they_report(ledger).await;
    queues_are_paused_and_resumed(ledger).await;
    progress_is_kept(ledger).await;
}

fn run(id: &MessageId, token: &str) -> Run {
    Run {
        id: id.clone(),
        kick: "k\n1".to_owned(),
        hop: 0,
        token: token.to_owned(),
        worker: "w@host:1".to_owned(),
    }
}

fn unique(word: &str) -> String {
    format!("{word}-{}", Uuid::new_v4())
}

async fn begin(ledger: &dyn Ledger, run: &Run, lease: Duration) -> Standing {
    ledger.begin(run, lease).await.expect("the ledger answers")
}

async fn a_run_is_claimed_once(ledger: &dyn Ledger) {
    let id = MessageId::new();
    let first = run(&id, "a");
    assert_eq!(
        begin(ledger, &first, LONG).await,
        Standing::Granted { starts: 1 }
    );
    assert_eq!(
        begin(ledger, &first, LONG).await,
        Standing::Granted { starts: 1 },
        "asking again changes nothing"
    );
    let Standing::Held { remaining, worker } = begin(ledger, &run(&id, "b"), LONG).await else {
        panic!("the first one runs")
    };
    assert!(
        remaining > Duration::ZERO && remaining <= LONG,
        "{remaining:?}"
    );
    assert_eq!(worker, "w@host:1");
    let other_kick = Run {
        kick: "other".to_owned(),
        ..run(&id, "c")
    };
    let standing = begin(ledger, &other_kick, LONG).await;
    assert!(
        matches!(standing, Standing::Held { .. }),
        "one id runs once at a time"
    );
    let sighting = ledger.sighting(&id).await.expect("answers");
    let worker = "w@host:1".to_owned();
    assert_eq!(sighting, Some(Sighting::Running { worker, starts: 1 }));
    assert_eq!(
        ledger.sighting(&MessageId::new()).await.expect("answers"),
        None
    );
}

async fn a_claim_that_runs_out_counts_as_a_death(ledger: &dyn Ledger) {
    let id = MessageId::new();
    for starts in 1..=3 {
        let next = run(&id, &starts.to_string());
        assert_eq!(
            begun_in_time(ledger, &next).await,
            Standing::Granted { starts }
        );
    }
    let other = Run {
        kick: "other".to_owned(),
        ..run(&id, "o")
    };
    assert_eq!(
        begun_in_time(ledger, &other).await,
        Standing::Granted { starts: 1 }
    );
}

/// Begins as soon as the claim before has run out.
async fn begun_in_time(ledger: &dyn Ledger, run: &Run) -> Standing {
    let trying = async {
        loop {
            match begin(ledger, run, SHORT).await {
                Standing::Held { remaining, .. } => tokio::time::sleep(remaining).await,
                other => return other,
            }
        }
    };
    timeout(PATIENCE, trying).await.expect("a lease runs out")
}

async fn a_renewed_claim_lives_on(ledger: &dyn Ledger) {
    let (id, lost) = (MessageId::new(), MessageId::new());
    begin(ledger, &run(&id, "a"), SHORT).await;
    let runs = [run(&id, "a"), run(&lost, "l")];
    ledger.renew(&runs, LONG).await.expect("answers");
    for id in [id, lost] {
        let standing = begin(ledger, &run(&id, "b"), LONG).await;
        let Standing::Held { remaining, .. } = standing else {
            panic!("{standing:?}")
        };
        assert!(remaining > SHORT, "{remaining:?}");
        let theirs = [run(&id, "z")];
        ledger.renew(&theirs, LONG).await.expect("answers");
        assert!(
            matches!(
                begin(ledger, &run(&id, "z"), LONG).await,
                Standing::Held { .. }
            ),
            "a stranger renews nothing"
        );
    }
    ledger.renew(&[], LONG).await.expect("nothing to do");
}

async fn what_was_sent_on_or_released_may_begin_again(ledger: &dyn Ledger) {
    let id = MessageId::new();
    let first = run(&id, "a");
    begin(ledger, &first, LONG).await;
    ledger
        .release(&run(&id, "stranger"))
        .await
        .expect("answers");
    assert!(matches!(
        begin(ledger, &run(&id, "b"), LONG).await,
        Standing::Held { .. }
    ));
    ledger.release(&first).await.expect("answers");
    let again = run(&id, "b");
    assert_eq!(
        begin(ledger, &again, LONG).await,
        Standing::Granted { starts: 1 }
    );

    ledger.sent_on(&again, 1).await.expect("answers");
    assert_eq!(
        begin(ledger, &run(&id, "c"), LONG).await,
        Standing::Superseded
    );
    assert_eq!(
        ledger.sighting(&id).await.expect("answers"),
        Some(Sighting::SentOn { hop: 1 })
    );
    let next = Run {
        hop: 1,
        ..run(&id, "d")
    };
    assert_eq!(
        begin(ledger, &next, LONG).await,
        Standing::Granted { starts: 1 }
    );
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
