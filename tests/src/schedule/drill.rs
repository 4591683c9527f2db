//! The drill: three schedulers, many entries each second, and the leader is killed again and again. Each tick of each entry arrives
//! exactly once. `make schedule-drill` runs it for a minute; without it, it is a quarter of one.

use std::collections::BTreeSet;
use std::time::Duration;

use sapari_tasks::Role;

use super::fleet::{Fleet, add_entries};
use super::gallery::{Gallery, Shots, now, on_time, told};
use crate::processes::support::{Space, within};

/// How late the 99th of a hundred ticks may be in the queue, outside failovers, in milliseconds.
const MOST_LAG: i64 = 100;

/// How long, how many entries, and how long a leader lives, in seconds.
struct Size {
    seconds: u64,
    entries: usize,
    leader_lives: u64,
}

fn size() -> Size {
    let from_env = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match from_env("DRILL_SECONDS") {
        Some(seconds) => Size {
            seconds,
            entries: 200,
            leader_lives: 10,
        },
        None => Size {
            seconds: 15,
            entries: 50,
            leader_lives: 5,
        },
    }
}

/// From a kill to the next leader's first message, in milliseconds since 1970.
struct Failover {
    killed: i64,
    over: i64,
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tick_is_fired_once_while_leaders_are_killed() {
    let Size {
        seconds,
        entries,
        leader_lives,
    } = size();
    let space = Space::new().with("SAPARI_LOG_FORMAT", "json");
    let broker = space.broker().await;
    broker
        .declare(Role::Render.queue())
        .await
        .expect("declared");
    let ledger = space.results().await.ledger();
    add_entries(&*ledger, entries, |_| ("every", "1s".to_owned())).await;
    let gallery = Gallery::open(&broker, Role::Render.queue()).await;
    let mut fleet = Fleet::start(&space, 3).await;
    within(
        "the first ticks",
        gallery.until(|shots| shots.len() >= entries),
    )
    .await;

    let begun = now();
    let mut failovers = Vec::new();
    let mut kills = tokio::time::interval(Duration::from_secs(leader_lives));
    kills.tick().await;
    while now() - begun < i64::try_from(seconds * 1000).expect("short") {
        kills.tick().await;
        let killed = now();
        fleet.kill_the_leader(&space).await;
        fleet.leader().await;
        let fired_since = |shots: &Shots| shots.keys().any(|(_, tick)| tick * 1000 > killed);
        within("the next leader's first tick", gallery.until(fired_since)).await;
        failovers.push(Failover {
            killed,
            over: now(),
        });
    }
    // All that is due before this second must have come.
    let last = now() / 1000 - 1;
    let all = |shots: &Shots| {
        let of_last = shots.keys().filter(|(_, tick)| *tick == last);
        of_last.count() == entries
    };
    within("the last ticks", gallery.until(all)).await;
    fleet.stop().await;

    let shots = gallery.shots();
    let first = first_whole_second(&shots, entries);
    each_once(&shots, entries, first, last);
    tell(&gallery, &failovers, first, last);
    broker.close().await;
}

/// Entries count from the moment at which the first leader read them: the first second in which all of them were due.
fn first_whole_second(shots: &Shots, entries: usize) -> i64 {
    let seconds: BTreeSet<i64> = shots.keys().map(|(_, tick)| *tick).collect();
    let whole = |second: &&i64| shots.keys().filter(|(_, tick)| tick == *second).count() == entries;
    *seconds.iter().find(whole).expect("a whole second")
}

fn each_once(shots: &Shots, entries: usize, first: i64, last: i64) {
    let mut wrong = Vec::new();
    for number in 0..entries {
        for tick in first..=last {
            let key = (format!("drill-{number}"), tick);
            let times = shots.get(&key).map_or(0, Vec::len);
            if times != 1 {
                wrong.push(format!("{} at {tick}: {times} times", key.0));
            }
        }
    }
    let twice = shots.values().filter(|times| times.len() > 1).count();
    assert!(
        wrong.is_empty() && twice == 0,
        "{} ticks from {first} to {last} were not fired once, {twice} twice: {:?}",
        wrong.len(),
        &wrong[..wrong.len().min(20)]
    );
}

fn tell(gallery: &Gallery, failovers: &[Failover], first: i64, last: i64) {
    let measured = |tick: i64| (first..=last).contains(&tick);
    let failing = |tick: i64| {
        let hit = |it: &Failover| (it.killed - 1000..=it.over).contains(&(tick * 1000));
        failovers.iter().any(hit)
    };
    let (mut usual, mut within) = (Vec::new(), Vec::new());
    for ((_, tick), times) in gallery.shots().iter().filter(|((_, it), _)| measured(*it)) {
        let lag = times[0] - tick * 1000;
        match failing(*tick) {
            true => within.push(lag),
            false => usual.push(lag),
        }
    }
    usual.sort_unstable();
    let fired = gallery.fired_after(|tick| measured(tick) && !failing(tick));
    let most = within.iter().max().copied().unwrap_or(0);
    println!(
        "schedule drill: {} ticks, each once; fired after {}; in the queue after {}; in {} failovers at most {most} ms",
        usual.len() + within.len(),
        told(&fired),
        told(&usual),
        failovers.len(),
    );
    assert!(most < 6_000, "a failover takes less than 6 s");
    on_time(&fired, MOST_LAG);
    on_time(&usual, MOST_LAG);
}
