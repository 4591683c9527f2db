//! The figures of a scheduler: what it fired and how late, what it missed, what an earlier run stood against. Tasks here are names
//! that nobody runs, one for each figure, because figures are told by task.

use nix::sys::signal::Signal;
use sapari_runtime::ledger::Ledger;
use sapari_runtime::schedule::{Known, Tick, WrittenEntry};
use sapari_tasks::{Role, find_queue};

use super::gallery::{Gallery, Shots, now};
use crate::processes::support::{Page, Space, within};

/// How often the entry is due whose ticks are missed, and how many of them had passed, at least.
const PERIOD: i64 = 600;
const PASSED: i64 = 5;

/// An entry that was last fired a while ago; returns when.
async fn add_late(ledger: &dyn Ledger) -> i64 {
    let json = r#"{"task":"late","queue":"render","every":"10m"}"#;
    ledger.add_entry("late", json).await.expect("answers");
    let entry = WrittenEntry::read("late", json).expect("readable");
    let entry = entry.entry("late", find_queue).expect("it makes sense");
    let last = (now() / 1000 / PERIOD - PASSED) * PERIOD;
    let known = Known {
        last: Tick::at(last),
        of: entry.when().fingerprint(),
        waits: false,
    };
    let lead = ledger.take_lead("a test", std::time::Duration::from_secs(1));
    let lead = lead.await.expect("answers");
    let settled = [("late".to_owned(), known)];
    let settling = ledger.settle_ticks(lead, &settled).await;
    assert!(settling.expect("answers"));
    ledger.give_up_lead(lead).await.expect("answers");
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fired_late_missed_and_overlapped_is_counted() {
    let space = Space::new().with("SAPARI_LOG_FORMAT", "json");
    let broker = space.broker().await;
    let queue = Role::Render.queue();
    broker.declare(queue).await.expect("declared");
    let gallery = Gallery::open(&broker, queue).await;
    let ledger = space.results().await.ledger();
    let last = add_late(&*ledger).await;
    for (id, entry) in [
        (
            "on-time",
            r#"{"task":"on-time","queue":"render","every":"1s"}"#,
        ),
        (
            "held",
            r#"{"task":"held","queue":"render","every":"1s","overlap":"skip"}"#,
        ),
    ] {
        ledger.add_entry(id, entry).await.expect("answers");
    }
    let scheduler = space.start("sapari-scheduler", &[]);
    let of = |shots: &Shots| shots.keys().filter(|(it, _)| it == "on-time").count() as f64;
    within("four ticks", gallery.until(|shots| of(shots) >= 4.0)).await;

    let health = scheduler.health().await;
    let before = of(&gallery.shots());
    health
        .until_metric(&counter("fires_total", "on-time"), before)
        .await;
    let page = health.get("/metrics").await;
    let told = |what: &str, task: &str| page.metric(&counter(what, task)).unwrap_or(0.0);
    // What was fired since is on its way.
    let fires = told("fires_total", "on-time");
    within("those", gallery.until(|shots| of(shots) >= fires)).await;
    assert!(fires >= before, "{fires} told, {before} seen before");
    each_is_late_by_little(&page, fires);

    // Nobody runs it, so that its first run goes on for ever.
    assert_eq!(told("fires_total", "held"), 1.0, "{}", page.body);
    let overlapped = told("overlapped_total", "held");
    assert!(
        (1.0..=fires).contains(&overlapped),
        "{overlapped} of {fires}"
    );

    // The youngest of them may have been late only.
    let passed = (now() / 1000 - last) / PERIOD;
    let (late, missed) = (told("fires_total", "late"), told("missed_total", "late"));
    assert!(late <= (passed - PASSED + 1) as f64, "{late} of {passed}");
    assert!(
        ((PASSED as f64)..=(passed as f64)).contains(&(missed + late)),
        "{missed} and {late}"
    );
    assert_eq!(told("missed_total", "on-time"), 0.0);
    assert_eq!(told("overlapped_total", "on-time"), 0.0);
    scheduler.signal(Signal::SIGTERM);
    assert_eq!(scheduler.ended().await.code, Some(0));
    broker.close().await;
}

fn counter(what: &str, task: &str) -> String {
    format!(r#"taskiq_schedule_{what}{{task="{task}"}}"#)
}

/// Each firing is one measurement, and none of them is an invention.
fn each_is_late_by_little(page: &Page, fires: f64) {
    let lag = |what: &str| page.metric(&counter(&format!("lag_seconds_{what}"), "on-time"));
    assert_eq!(lag("count"), Some(fires), "{}", page.body);
    let mean = lag("sum").expect("a sum") / fires;
    assert!(mean > 0.0 && mean < 2.5, "{mean} s");
}
