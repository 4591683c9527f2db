//! The shipped scheduler with a state file: no Redis, its own timetable, killed and started again.

use std::path::Path;

use nix::sys::signal::Signal;
use sapari_runtime::ledger::Schedules as _;
use sapari_runtime::schedule::{Known, StateFile, Tick, WrittenEntry};
use sapari_tasks::{Role, find_queue};

use super::gallery::{Gallery, Shots, now};
use crate::processes::support::{Space, json, within};

/// Due each second, and nobody asks what was missed.
const OFTEN: &str = r#"{"task":"ping","queue":"render","every":"1s"}"#;
/// Due rarely, and one run stands for all that were missed.
const SELDOM: &str = r#"{"task":"ping","queue":"render","every":"1h","missed":"run-once"}"#;

/// A file as a program of one's own leaves it: two added entries, one of them last fired hours ago.
async fn prepare(path: &Path) {
    let file = StateFile::open(path).expect("a new file");
    file.add_entry("often", OFTEN).await.expect("written");
    file.add_entry("seldom", SELDOM).await.expect("written");
    let entry = WrittenEntry::read("seldom", SELDOM).expect("readable");
    let entry = entry.entry("seldom", find_queue).expect("it makes sense");
    let known = Known {
        last: Tick::at(now() / 1000 - 3 * 3600),
        of: entry.when().fingerprint(),
        waits: false,
    };
    let lead = file.take_lead("before", std::time::Duration::ZERO).await;
    let settled = [("seldom".to_owned(), known)];
    let settling = file.settle_ticks(lead.expect("written"), &settled);
    assert!(settling.await.expect("written"));
}

fn of<'a>(shots: &'a Shots, entry: &'a str) -> impl Iterator<Item = i64> + 'a {
    let of_entry = shots.keys().filter(move |(id, _)| id == entry);
    of_entry.map(|(_, tick)| *tick)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_scheduler_with_a_state_file_goes_on_where_it_was() {
    let space = Space::new()
        .with("SAPARI_LOG_FORMAT", "json")
        // As the workers beside it have it; nobody is there.
        .with("SAPARI_RESULT_URL", "redis://127.0.0.1:1");
    let broker = space.broker().await;
    let queue = Role::Render.queue();
    broker.declare(queue).await.expect("declared");
    let gallery = Gallery::open(&broker, queue).await;
    let path = space.path("schedule.json");
    prepare(&path).await;
    let args = ["--state-file", path.to_str().expect("a plain path")];

    let first = space.start("sapari-scheduler", &args);
    let warned = first
        .stderr
        .until("the warning", |line| json(line)["level"] == "WARN");
    let warned = json(warned.await.last().expect("a line"));
    let asked = "rescue_stuck_tasks, cleanup_expired_exports, prune_results";
    assert_eq!(warned["fields"]["entries"], asked, "{warned}");
    let ticks = |many: usize| gallery.until(move |shots| of(shots, "often").count() >= many);
    within("its ticks", ticks(3)).await;
    let second = space.start("sapari-scheduler", &args).ended().await;
    second.assert_sentence(64, "is used by another scheduler");
    let both = [&args[..], &["--result-url", "redis://127.0.0.1:1"]].concat();
    let both = space.start("sapari-scheduler", &both).ended().await;
    both.assert_sentence(64, "leave out --result-url");

    first.signal(Signal::SIGKILL);
    first.ended().await;
    let seen = gallery.shots().values().map(Vec::len).sum::<usize>();
    let second = space.start("sapari-scheduler", &args);
    within("more ticks", ticks(seen + 3)).await;
    second.signal(Signal::SIGTERM);
    let ended = second.ended().await;
    assert_eq!(ended.code, Some(0));
    let warnings = ended
        .stderr
        .iter()
        .filter(|line| json(line)["level"] == "WARN");
    assert_eq!(warnings.count(), 1, "{:?}", ended.stderr);

    let shots = gallery.shots();
    assert!(shots.values().all(|times| times.len() == 1), "{shots:?}");
    let often: Vec<i64> = of(&shots, "often").collect();
    let whole: Vec<i64> = (often[0]..often[0] + often.len() as i64).collect();
    assert_eq!(often, whole, "none is missing");
    // The hour may just have struck.
    let missed = of(&shots, "seldom").filter(|tick| *tick < often[0]);
    assert_eq!(missed.count(), 1, "one for all that were missed: {shots:?}");
    broker.close().await;
}
