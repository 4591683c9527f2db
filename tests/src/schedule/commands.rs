//! `sapari schedule` as an operator uses it, beside a scheduler that runs; and what a fired task leaves in the trace.

use sapari_tasks::Role;
use serde_json::Value;

use super::gallery::Gallery;
use crate::processes::support::{Ended, Receiver, Space, Span, json, within};

async fn schedule(space: &Space, args: &[&str]) -> Ended {
    let all: Vec<&str> = ["schedule"].iter().chain(args).copied().collect();
    space.sapari(&all).ended().await
}

/// The entry as `list --json` tells it.
async fn listed(space: &Space, id: &str) -> Option<Value> {
    let list = schedule(space, &["list", "--json"]).await;
    assert_eq!(list.code, Some(0), "{list:?}");
    let lines = list.stdout.iter().map(|line| json(line));
    lines.into_iter().find(|entry| entry["entry"] == id)
}

#[tokio::test]
async fn what_replaces_a_paused_entry_is_paused() {
    let space = Space::new();
    let add = [
        "add", "often", "--task", "ping", "--role", "render", "--every", "1h",
    ];
    schedule(&space, &add).await;
    schedule(&space, &["pause", "often"]).await;
    let replaced = schedule(&space, &add).await;
    let expected = "often is replaced, and paused; `sapari schedule resume often` lets it go on";
    assert_eq!(replaced.only_line(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_added_listed_paused_run_and_removed() {
    let space = Space::new().with("SAPARI_LOG_FORMAT", "json");
    let broker = space.broker().await;
    let gallery = Gallery::open(&broker, Role::Render.queue()).await;
    let _scheduler = space.start("sapari-scheduler", &[]);
    let add = [
        "add", "often", "--task", "ping", "--role", "render", "--every", "1s",
    ];
    let added = schedule(&space, &add).await;
    assert!(
        added.only_line().starts_with("often is added; next at "),
        "{added:?}"
    );
    within("its first tick", gallery.until(|shots| !shots.is_empty())).await;
    let entry = listed(&space, "often").await.expect("listed");
    assert_eq!(
        (&entry["of"], &entry["state"]),
        (&"added".into(), &"on".into())
    );
    let own = listed(&space, "prune_results")
        .await
        .expect("the timetable's");
    assert_eq!(own["of"], "timetable");

    let next = schedule(&space, &["next", "often", "--count", "3"]).await;
    assert_eq!(next.stdout.len(), 3, "{next:?}");
    let paused = schedule(&space, &["pause", "often"]).await;
    assert!(
        paused.only_line().starts_with("often is paused"),
        "{paused:?}"
    );
    let entry = listed(&space, "often").await.expect("listed");
    assert_eq!(
        (&entry["state"], &entry["next"]),
        (&"paused".into(), &Value::Null)
    );
    let kicked = schedule(&space, &["run-now", "often"]).await;
    let id = kicked.only_line().to_owned();
    assert!(id.starts_with("cron:often:now-"), "{id}");
    // Paused or not: what is asked for by hand is done.
    within(
        "what was kicked",
        gallery.until_by_hand(|ids| ids == [id.clone()]),
    )
    .await;
    let before = gallery.shots().len();
    let resumed = schedule(&space, &["resume", "often"]).await;
    assert_eq!(resumed.only_line(), "often is resumed");
    let again = schedule(&space, &["resume", "often"]).await;
    assert_eq!(again.only_line(), "often was not paused");
    let entry = listed(&space, "often").await.expect("listed");
    assert_eq!(entry["state"], "on");
    assert_ne!(entry["next"], Value::Null);
    within(
        "ticks again",
        gallery.until(|shots| shots.len() > before + 1),
    )
    .await;
    assert_eq!(gallery.by_hand().len(), 1, "once");
    let removed = schedule(&space, &["remove", "often"]).await;
    assert_eq!(removed.only_line(), "often is removed");
    assert_eq!(listed(&space, "often").await, None);
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_said_in_one_sentence() {
    let space = Space::new();
    let ledger = space.results().await.ledger();
    let posted = [(
        "prune_results".to_owned(),
        r#"{"every":"1h","task":"prune_results","queue":"analysis"}"#.to_owned(),
    )];
    ledger.post_timetable(&posted).await.expect("answers");
    for (line, code, words) in [
        (
            &[
                "add",
                "x",
                "--task",
                "ping",
                "--role",
                "render",
                "--at",
                "2020-01-31T08:00:00Z",
            ][..],
            64,
            "its time has passed",
        ),
        (&["remove", "often"][..], 64, "there is no entry often"),
        (
            &["remove", "prune_results"],
            64,
            "an entry of the timetable",
        ),
        (&["pause", "often"], 64, "there is no entry often"),
        (&["run-now", "often"], 64, "there is no entry often"),
        (
            &["add", "x", "--task", "nothing", "--every", "1s"],
            64,
            "there is no task",
        ),
        (
            &[
                "add", "x", "--task", "ping", "--role", "render", "--cron", "nonsense",
            ],
            64,
            "no cron pattern",
        ),
        (
            &[
                "add",
                "prune_results",
                "--task",
                "prune_results",
                "--every",
                "1s",
            ],
            64,
            "another id",
        ),
    ] {
        schedule(&space, line).await.assert_sentence(code, words);
    }
}

/// Before anything is connected.
#[tokio::test]
async fn an_entry_that_could_never_run_is_refused() {
    let space = Space::offline();
    let every_hour = |task| ["add", "x", "--every", "1h", "--task", task];
    let no_args = schedule(&space, &every_hour("render_export")).await;
    no_args.assert_sentence(64, "missing field `export_uuid`");
    let mistyped = [
        "--args",
        r#"{"project_uuid": "018f2a3e-0000-7000-8000-000000000001", "settings": {"codek": 1}}"#,
    ];
    let mistyped = [&every_hour("render_preview")[..], &mistyped].concat();
    let refused = schedule(&space, &mistyped).await;
    refused.assert_sentence(64, "`settings`: unknown field `codek`");
    let no_time = [&every_hour("prune_results")[..], &["--expires", "0s"]].concat();
    let refused = schedule(&space, &no_time).await;
    refused.assert_sentence(64, "expires is more than 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tick_fires_is_one_trace_from_the_scheduler_to_the_task() {
    let receiver = Receiver::start().await;
    let space = Space::new()
        .with("SAPARI_LOG_FORMAT", "json")
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
    let _scheduler = space.start("sapari-scheduler", &[]);
    let _worker = space.start("sapari-analysis", &[]).ready().await;
    let add = [
        "add",
        "check",
        "--task",
        "rescue_stuck_tasks",
        "--cron",
        "* * * * * *",
    ];
    let added = schedule(&space, &add).await;
    assert_eq!(added.code, Some(0), "{added:?}");
    let of_check =
        |span: &Span| span.attributes.get("schedule.id").map(String::as_str) == Some("check");
    let is_run = |span: &Span| span.name == "taskiq.rescue_stuck_tasks" && of_check(span);
    // A trace is whole once all three are there; the scheduler and the worker send theirs when they please.
    let whole = |spans: &[Span]| chain(spans, is_run).is_some();
    let spans = receiver.until("a run, and what it came from", whole).await;
    let [task, publish, fire] = chain(&spans, is_run).expect("it was just there");
    let of_task = |name: &str| task.attributes.get(name).map(String::as_str);
    assert_eq!(of_task("task_type"), Some("cron"));
    assert_eq!(of_task("schedule.cron"), Some("* * * * * *"));
    assert_eq!(of_task("taskiq.outcome"), Some("done"));
    for both in ["schedule.scheduled_time", "schedule.lag_ms"] {
        assert_eq!(
            of_task(both),
            fire.attributes.get(both).map(String::as_str),
            "{both}"
        );
        assert!(of_task(both).is_some(), "{both}");
    }
    assert_eq!(publish.name, "publish rescue_stuck_tasks");
    assert_eq!(
        (fire.name.as_str(), fire.parent.as_str()),
        ("scheduler.fire", "")
    );
    assert_eq!((&task.trace, &publish.trace), (&fire.trace, &fire.trace));
    assert_eq!(fire.resource["service.name"], "sapari-scheduler");
}

/// The first such span, its parent and that one's parent.
fn chain(spans: &[Span], wanted: impl Fn(&Span) -> bool) -> Option<[&Span; 3]> {
    let by_id = |id: &str| spans.iter().find(|span| span.id == id);
    let mut found = spans.iter().filter(|span| wanted(span));
    found.find_map(|task| {
        let publish = by_id(&task.parent)?;
        Some([task, publish, by_id(&publish.parent)?])
    })
}
