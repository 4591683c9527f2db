//! Ten thousand entries in one scheduler: how late they are fired, and what that costs.

use std::time::Duration;

use sapari_tasks::Role;

use super::fleet::{Fleet, add_entries};
use super::gallery::{Gallery, now, on_time, told};
use crate::processes::support::{Space, within};

const ENTRIES: usize = 10_000;
/// How late the 99th of a hundred ticks may be fired, in milliseconds.
const MOST_LAG: i64 = 50;
/// The kernel's unit of processor time.
const TICKS_PER_SECOND: f64 = 100.0;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_entries_are_fired_by_one_scheduler() {
    let long = std::env::var("DRILL_SECONDS").is_ok();
    let seconds = if long { 60 } else { 5 };
    let space = Space::new().with("SAPARI_LOG_FORMAT", "json");
    let broker = space.broker().await;
    broker
        .declare(Role::Render.queue())
        .await
        .expect("declared");
    let ledger = space.results().await.ledger();
    // Spread over the seconds of a minute, as real ones are over the day.
    add_entries(&*ledger, ENTRIES, |number| {
        ("cron", format!("{} * * * * *", number % 60))
    })
    .await;
    let gallery = Gallery::open(&broker, Role::Render.queue()).await;
    let fleet = Fleet::start(&space, 1).await;
    let pid = fleet.leader().await;
    within("the first ticks", gallery.until(|shots| !shots.is_empty())).await;

    let (begun, spent) = (now(), processor_seconds(pid));
    let until = begun + seconds * 1000;
    let over = gallery.until(|shots| shots.keys().any(|(_, tick)| tick * 1000 > until));
    tokio::time::timeout(Duration::from_secs(90), over)
        .await
        .expect("in time");
    let cpu = (processor_seconds(pid) - spent) / ((now() - begun) as f64 / 1000.0);
    let memory = resident_mib(pid);
    fleet.stop().await;

    let shots = gallery.shots();
    let measured = begun / 1000 + 1..=until / 1000;
    let mut lags = Vec::new();
    for ((entry, tick), times) in &shots {
        assert_eq!(times.len(), 1, "{entry} at {tick}");
        if measured.contains(tick) {
            lags.push(times[0] - tick * 1000);
        }
    }
    let seconds = measured.clone().count();
    let least = seconds * (ENTRIES / 60);
    assert!(
        lags.len() >= least,
        "{} of at least {least} ticks",
        lags.len()
    );
    lags.sort_unstable();
    let fired = gallery.fired_after(|tick| measured.contains(&tick));
    println!(
        "schedule drill: {ENTRIES} entries, {} ticks in {seconds} s: fired after {}; in the queue after {}; {:.0} % of a core, {memory} MiB resident",
        lags.len(),
        told(&fired),
        told(&lags),
        cpu * 100.0,
    );
    on_time(&fired, MOST_LAG);
    broker.close().await;
}

fn processor_seconds(pid: i32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let (_, after) = stat.rsplit_once(')').expect("a name in parentheses");
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

fn resident_mib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes
        .and_then(|text| text.parse::<u64>().ok())
        .expect("a number")
        / 1024
}
