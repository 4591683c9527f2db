//! `sapari workers`, `queues`, `task`, `cancel`, `pause` and `resume` as whoever is woken uses them. What workers would say of
//! themselves is put into the ledger by hand, so that each state is there when it is looked at.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sapari_runtime::broker::conformance::{parcel, settled_depth};
use sapari_runtime::broker::{Broker, Destination, Room};
use sapari_runtime::error::TaskError;
use sapari_runtime::ledger::{Busy, Ledger, Progress, Run, WorkerReport};
use sapari_runtime::message::MessageId;
use sapari_runtime::outcome::DeadReason;
use sapari_runtime::result::{Record, Results};
use sapari_tasks::Role;
use serde_json::{Value, json, value::to_raw_value};

use super::support::{Ended, PATIENCE, Space};

const NOBODY: &str = "no worker has reported lately";

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_shown_with_what_they_run() {
    let space = Space::new();
    let ledger = space.results().await.ledger();
    let empty = sapari(&space, &["workers"]).await;
    assert!(empty.stdout.is_empty(), "{empty:?}");
    assert!(empty.stderr.concat().contains(NOBODY), "{empty:?}");

    let mut render = report("render-1", "render");
    render.running = vec![busy(&MessageId::new())];
    let mut silent = report("analysis-1", "analysis");
    silent.seen_at -= 600.0;
    put(&ledger, &[&render, &silent]).await;
    let shown = sapari(&space, &["workers"]).await;
    let [head, first, second] = shown.stdout.as_slice() else {
        panic!("a head and two workers: {shown:?}")
    };
    assert!(
        head.starts_with("worker ") && head.ends_with("runs"),
        "{head}"
    );
    let words: Vec<&str> = first.split_whitespace().collect();
    assert_eq!(words[..3], ["analysis-1", "analysis", "box:7"]);
    assert!(first.contains("running, silent for 10m"), "{first}");
    let runs = format!("render_export {} attempt 2, for 2m", render.running[0].id);
    assert!(second.contains(" 1/4 "), "{second}");
    assert!(second.ends_with(&runs), "{second}");

    let shown = sapari(&space, &["workers", "--role", "render", "--json"]).await;
    let shown = json(&shown);
    assert_eq!(
        (&shown["worker"], &shown["silent"]),
        (&json!("render-1"), &json!(false))
    );
    assert_eq!(shown["running"][0]["task"], "render_export");
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_are_shown_whether_or_not_they_were_ever_declared() {
    let space = Space::new();
    let ledger = space.results().await.ledger();
    let broker = space.broker().await;
    let shown = sapari(&space, &["queues"]).await;
    assert_eq!(shown.stdout.len(), 1 + Role::ALL.len(), "{shown:?}");
    let first: Vec<&str> = shown.stdout[1].split_whitespace().take(2).collect();
    assert_eq!(first, ["analysis", "-"], "{shown:?}");
    let looked = broker.depth(Role::Render.queue()).await;
    assert!(looked.is_err(), "looking declares nothing: {looked:?}");

    for priority in ["3", "0", "0"] {
        kick(&space, &["--priority", priority]).await;
    }
    put(&ledger, &[&report("r", "render")]).await;
    set_aside(&*broker, &ledger, 3).await;
    let waits = |depth: &sapari_runtime::broker::Depth| depth.ready == [2, 0, 0, 1];
    settled_depth(&*broker, Role::Render.queue(), waits).await;
    let shown = sapari(&space, &["queues", "--role", "render"]).await;
    let rows: Vec<Vec<&str>> = shown
        .stdout
        .iter()
        .map(|row| row.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 5, "a head and four levels: {shown:?}");
    let [role, level, ready, over_limit, consumers, oldest, rest @ ..] = rows[1].as_slice() else {
        panic!("cells were expected: {shown:?}")
    };
    assert_eq!(
        [role, level, ready, over_limit, consumers],
        [&"render", &"3", &"1", &"1", &"0"]
    );
    assert!(
        oldest.ends_with('s'),
        "the head's age in seconds: {shown:?}"
    );
    assert_eq!(rest, ["0", "no", "1", "12.5", "5"], "{shown:?}");
    assert_eq!(rows[2], ["render", "2", "0", "0", "0", "-"], "{shown:?}");

    settled_depth(&*broker, Role::Render.queue(), waits).await;
    let seen = json(&sapari(&space, &["queues", "--role", "render", "--json"]).await);
    let lowest = &seen["levels"][3];
    assert_eq!((&lowest["level"], &lowest["ready"]), (&json!(0), &json!(2)));
    let age = lowest["oldest_seconds"].as_f64().expect("an age");
    assert!((0.0..120.0).contains(&age), "{age}");
    settled_depth(&*broker, Role::Render.queue(), waits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_followed_from_the_queue_to_its_end() {
    let space = Space::new();
    let results = space.results().await;
    let ledger = results.ledger();
    let id = kick(&space, &[]).await;
    let seen = sapari(&space, &["task", &id]).await;
    assert!(seen.stdout.concat().contains("it waits"), "{seen:?}");

    let id: MessageId = id.parse().expect("an id");
    let mut worker = report("render-1", "render");
    worker.running = vec![busy(&id)];
    let run = begin(&ledger, &id).await;
    put(&ledger, &[&worker]).await;
    let progress = Progress::started(0.25, json!({"part": "two"}));
    let progress = [(id.clone(), progress, PATIENCE)];
    ledger.set_progress(&progress).await.expect("kept");
    let seen = sapari(&space, &["task", id.as_str()]).await;
    let said = seen.stdout.join("\n");
    for word in ["running on render-1 for 2m, attempt 2", "25 %", "two"] {
        assert!(said.contains(word), "{word:?} is missing: {seen:?}");
    }

    let secret = "what-it-returned";
    let output = to_raw_value(secret).expect("JSON");
    save(
        &*results,
        &id,
        Record::done(output, PATIENCE).of_kick(Some(&run.kick)),
    )
    .await;
    ledger.sign_off("render-1").await.expect("signed off");
    let seen = sapari(&space, &["task", id.as_str()]).await;
    let said = seen.stdout.join("\n");
    assert!(said.contains("state  done"), "{seen:?}");
    assert!(!said.contains("25 %"), "it is over: {seen:?}");
    let quiet = sapari(&space, &["task", id.as_str(), "--json"]).await;
    assert!(!format!("{seen:?}{quiet:?}").contains(secret), "{seen:?}");
    let shown = sapari(&space, &["task", id.as_str(), "--json", "--output"]).await;
    let shown = json(&shown);
    assert_eq!(
        (&shown["state"], &shown["result"]["output"]),
        (&json!("done"), &json!(secret))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_is_asked_for_and_waited_for() {
    let space = Space::new();
    let results = space.results().await;
    let ledger = results.ledger();
    let id = kick(&space, &[]).await;
    let asked = sapari(&space, &["cancel", &id]).await;
    assert_eq!(asked.only_line(), unmet(&id));
    let cancels = ledger.cancels(0).await.expect("answers");
    assert!(cancels.iter().any(|cancel| cancel.id.as_str() == id));
    let seen = sapari(&space, &["task", &id]).await;
    let said = seen.stdout.join("\n");
    assert!(said.contains("not carried out yet"), "{seen:?}");

    // No worker is there to carry it out.
    let waited = space.sapari(&["cancel", &id, "--wait", "200ms"]);
    let waited = waited.ended().await;
    waited.assert_sentence(1, &format!("not ended within 200ms: {id}"));

    let waiting = space.sapari(&["cancel", &id, "--wait", "60s"]);
    waiting
        .stdout
        .until("the request", |line| line.contains("cancel requested"))
        .await;
    let id: MessageId = id.parse().expect("an id");
    save(&*results, &id, cancelled()).await;
    let ended = waiting.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout[1], format!("{id}  cancelled"));
    let late = sapari(&space, &["cancel", id.as_str(), "--wait", "60s"]).await;
    assert_eq!(late.only_line(), format!("{id}  had ended before"));
    ledger.cancelled(&id).await.expect("forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_cancels_wait_together_and_say_which_are_late() {
    let space = Space::new();
    let results = space.results().await;
    let ended: MessageId = kick(&space, &[]).await.parse().expect("an id");
    let (first, second) = (kick(&space, &[]).await, kick(&space, &[]).await);
    begin(&results.ledger(), &second.parse().expect("an id")).await;
    save(&*results, &ended, cancelled()).await;
    let cancel = ["cancel", &first, ended.as_str(), &second, "--wait", "200ms"];
    let late = space.sapari(&cancel).ended().await;
    let expected = [
        unmet(&first),
        format!("{ended}  had ended before"),
        format!("{second}  cancel requested"),
    ];
    assert_eq!(late.stdout, expected, "{late:?}");
    late.assert_sentence(1, &format!("{first}, {second}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_paused_and_resumed() {
    let space = Space::new();
    let ledger = space.results().await.ledger();
    let none = sapari(&space, &["pause", "render"]).await;
    assert!(none.only_line().starts_with("render is paused; no worker"));
    let again = sapari(&space, &["pause", "render"]).await;
    assert!(again.only_line().starts_with("render was paused before"));
    let paused = ledger.paused().await.expect("answers");
    assert_eq!(paused.into_iter().collect::<Vec<_>>(), ["render"]);
    let shown = json(&sapari(&space, &["queues", "--role", "render", "--json"]).await);
    assert_eq!(shown["paused"], json!(true));
    let asked = space.sapari(&["ping", "render"]).ended().await;
    asked.assert_sentence(1, "sapari resume render");

    let reports = ["a", "b", "c"].map(|name| report(name, "render"));
    let other = report("d", "analysis");
    let [one, two, mut silent] = reports;
    silent.seen_at -= 600.0;
    put(&ledger, &[&one, &two, &silent, &other]).await;
    let resumed = sapari(&space, &["resume", "render"]).await;
    assert_eq!(resumed.only_line(), "render is resumed; 2 workers are told");
    let again = sapari(&space, &["resume", "render"]).await;
    assert_eq!(again.only_line(), "render was not paused");
    assert!(ledger.paused().await.expect("answers").is_empty());
}

/// Runs a command that does what it was asked for.
async fn sapari(space: &Space, words: &[&str]) -> Ended {
    let ended = space.sapari(words).ended().await;
    assert_eq!(ended.code, Some(0), "{words:?}: {ended:?}");
    ended
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(ended.only_line()).expect("JSON")
}

/// Kicks a message that no worker takes, and returns its id.
async fn kick(space: &Space, options: &[&str]) -> String {
    let line = [&["kick", "ping", "--role", "render"], options].concat();
    sapari(space, &line).await.only_line().to_owned()
}

/// Puts a message into a room of this level, and says so.
async fn set_aside(broker: &dyn Broker, ledger: &Arc<dyn Ledger>, level: u8) {
    let queue = Role::Render.queue();
    let room = Room::of(queue, queue.level_numbered(level), "any gate");
    let mut parcel = parcel(queue, level, Duration::ZERO);
    parcel.to = Destination::Aside(room);
    broker.publish(parcel).await.expect("stored");
    let filled = ledger.fill_rooms(queue, &[room].into()).await;
    filled.expect("the ledger answers");
    let gone = async {
        while broker
            .count_aside(&[room].into())
            .await
            .expect("answers")
            .is_empty()
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("counted");
}

/// What is said of a message that waits, as of one that was never kicked.
fn unmet(id: &str) -> String {
    format!(
        "{id}  cancel requested; nothing is known of it: it ends when a worker meets it, if it was ever kicked"
    )
}

async fn begin(ledger: &Arc<dyn Ledger>, id: &MessageId) -> Run {
    let run = Run {
        id: id.clone(),
        kick: "kick".to_owned(),
        is_new: false,
        hop: 0,
        token: "token".to_owned(),
        worker: "render-1".to_owned(),
        task: "ping".to_owned(),
    };
    ledger.begin(&run, PATIENCE, None).await.expect("claimed");
    run
}

async fn save(results: &dyn Results, id: &MessageId, record: Record) {
    results.save(id, &record, PATIENCE).await.expect("saved");
}

fn cancelled() -> Record {
    let error = TaskError::permanent("cancelled");
    let mut record = Record::dead(DeadReason::Permanent, &error, Duration::ZERO);
    if let Err(failure) = &mut record.outcome {
        failure.reason = Some("cancelled".to_owned());
    }
    record
}

/// Puts reports into the ledger; they are forgotten by themselves.
async fn put(ledger: &Arc<dyn Ledger>, reports: &[&WorkerReport]) {
    for report in reports {
        ledger.report(report, PATIENCE).await.expect("reported");
    }
}

fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_secs_f64()
}

fn report(worker: &str, queue: &str) -> WorkerReport {
    WorkerReport {
        worker: worker.to_owned(),
        queue: queue.to_owned(),
        host: "box".to_owned(),
        pid: 7,
        version: "0.1.0".to_owned(),
        started_at: now() - 3600.0,
        seen_at: now(),
        slots: 4,
        in_use: 1,
        state: "running".to_owned(),
        settled: 90,
        failed: 5,
        per_minute: 12.5,
        running: Vec::new(),
    }
}

fn busy(id: &MessageId) -> Busy {
    Busy {
        id: id.clone(),
        task: "render_export".to_owned(),
        attempt: 2,
        since: now() - 130.0,
        stuck: false,
    }
}
