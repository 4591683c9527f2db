//! A task of the timetable from the clock to what it does: expired exports are deleted from storage, and all others stay.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::processes::support::{Receiver, Space, Span, until};

const DAY: Duration = Duration::from_hours(24);
/// As long as exports are kept by default, in days.
const KEPT: u32 = 30;

fn put(space: &Space, key: &str, days_old: u32) -> PathBuf {
    let path = space.object(key);
    std::fs::create_dir_all(path.parent().expect("a key has a parent")).expect("writable");
    std::fs::write(&path, "an export").expect("writable");
    let file = File::options().write(true).open(&path).expect("there");
    let written = SystemTime::now() - DAY * days_old;
    file.set_modified(written).expect("a file of ours");
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_exports_are_deleted_by_the_clock_and_others_stay() {
    let receiver = Receiver::start().await;
    let space = Space::new()
        .with("SAPARI_LOG_FORMAT", "json")
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
    let key = |prefix: &str| format!("{prefix}/{}.mp4", uuid::Uuid::new_v4());
    let old = ["exports", "previews"].map(|prefix| put(&space, &key(prefix), KEPT + 1));
    let stay = [
        put(&space, &key("exports"), KEPT - 1),
        put(&space, &key("clips"), KEPT + 1),
        put(&space, "exports/handmade.mp4", KEPT + 1),
    ];
    let ledger = space.results().await.ledger();
    let entry = r#"{"task":"cleanup_expired_exports","queue":"render","cron":"* * * * * *"}"#;
    ledger.add_entry("sweep", entry).await.expect("answers");
    let _worker = space.start("sapari-render", &[]).ready().await;
    let _scheduler = space.start("sapari-scheduler", &[]);
    until("the end of what has expired", || {
        old.iter().all(|path| !path.exists())
    })
    .await;
    // Whatever deleted them, another run has come to its end after that.
    let seen = receiver
        .spans(&[])
        .await
        .iter()
        .filter(|span| is_run(span))
        .count();
    let more = |spans: &[Span]| spans.iter().filter(|span| is_run(span)).count() > seen + 1;
    let spans = receiver.until("a run of it", more).await;
    for run in spans.iter().filter(|span| is_run(span)) {
        let attribute = |name: &str| run.attributes.get(name).map(String::as_str);
        assert_eq!(attribute("taskiq.outcome"), Some("done"), "{run:?}");
        assert_eq!(attribute("task_type"), Some("cron"));
        assert_eq!(run.resource["service.name"], "sapari-render");
    }
    for path in stay {
        assert!(path.is_file(), "{} is nobody's to delete", path.display());
    }
}

fn is_run(span: &Span) -> bool {
    let of_ours = span.attributes.get("schedule.id").map(String::as_str) == Some("sweep");
    span.name == "taskiq.cleanup_expired_exports" && of_ours
}
