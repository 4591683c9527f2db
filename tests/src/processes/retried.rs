//! One order, two roles, and a retry: what the OTLP receiver got is one tree, and the attempts are siblings in it.

use sapari_tasks::AnalyzeProject;
use sapari_telemetry::SpanRecord;
use sapari_telemetry::tree::{self, TreeStyle};
use serde_json::json;
use uuid::Uuid;

use super::support::footage::{PICTURE, SOUND, made};
use super::support::{Receiver, Space};

const SHOWN: &[&str] = &[
    "taskiq.attempt",
    "taskiq.outcome",
    "step.attempt",
    "step.outcome",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_in_another_process_is_a_sibling_in_the_same_tree() {
    let receiver = Receiver::start().await;
    let space = Space::new().with("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
    let clip_file_uuid = Uuid::new_v4();
    let order = AnalyzeProject {
        project_uuid: Uuid::new_v4(),
        clip_file_uuid,
        clip_key: format!("clips/{clip_file_uuid}/short.mp4"),
        export_uuid: Some(Uuid::new_v4()),
    };
    // Two seconds: what is waited for is that it is tried again, and no encoder beside those of other tests.
    let clip = made(&space.path("tmp"), "short.mp4", &[&PICTURE, &SOUND]);
    space.store(&order.clip_key, &clip);
    // A file where a directory is to be: the upload fails until it is gone.
    let in_the_way = space.object("exports");
    std::fs::write(&in_the_way, "").expect("writable");
    let render = space
        .start("sapari-worker", &["--role", "render"])
        .ready()
        .await;
    let _analysis = space.start("sapari-analysis", &[]).ready().await;

    let args = json!(order).to_string();
    let kick = ["kick", "analyze_project", "--args", &args, "--wait", "120s"];
    let ended = space.sapari(&kick).ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    render.stderr.message("failed: will be tried again").await;
    std::fs::remove_file(&in_the_way).expect("it is there");

    let is_done = |span: &super::support::Span| {
        span.name == "taskiq.render_export" && span.attributes["taskiq.outcome"] == "done"
    };
    let done = receiver.until("a render that is done", |spans| spans.iter().any(is_done));
    let records: Vec<SpanRecord> = done.await.into_iter().map(|span| span.record).collect();
    let tree = tree::render(&records, &TreeStyle::for_tests(SHOWN));

    assert_eq!(without_sentences(&tree), TREE);
}

/// The kind of each failure, without its sentence: paths of this test stand in it.
fn without_sentences(tree: &str) -> String {
    let shorter = |line: &str| match line.split_once("✗ StorageError") {
        Some((before, _)) => format!("{before}✗ StorageError\n"),
        None => format!("{line}\n"),
    };
    tree.lines().map(shorter).collect()
}

/// The README shows a part of it.
pub(crate) const TREE: &str = "\
trace <id 1> sapari-cli
publish analyze_project [producer]
└─ taskiq.analyze_project [consumer] @sapari-analysis  taskiq.attempt=1 taskiq.outcome=done
   ├─ analysis.pipeline
   │  ├─ step.load_audio  step.attempt=1 step.outcome=done
   │  │  ├─ ext.storage.media_source [client]
   │  │  ├─ ext.ffmpeg.probe [client]
   │  │  └─ ext.ffmpeg.extract_audio [client]
   │  ├─ step.detect_silences  step.attempt=1 step.outcome=done
   │  │  └─ ext.ffmpeg.detect_silences [client]
   │  ├─ step.transcribe  step.attempt=1 step.outcome=skipped
   │  ├─ step.detect_false_starts  step.attempt=0 step.outcome=skipped
   │  ├─ step.split_transcript  step.attempt=0 step.outcome=skipped
   │  ├─ step.improve_transcript  step.attempt=0 step.outcome=skipped
   │  ├─ step.censor_profanity  step.attempt=0 step.outcome=skipped
   │  ├─ step.validate_edits  step.attempt=1 step.outcome=done
   │  ├─ step.create_edits  step.attempt=1 step.outcome=done
   │  └─ step.update_project  step.attempt=1 step.outcome=done
   │     └─ ext.storage.put_bytes [client]
   └─ publish render_export [producer]
      ├─ taskiq.render_export [consumer] @sapari-render  taskiq.attempt=1 taskiq.outcome=retry  ✗ StorageError
      │  └─ render.pipeline  ✗ StorageError
      │     ├─ step.probe_clips  step.attempt=1 step.outcome=done
      │     │  ├─ ext.storage.get_bytes [client]
      │     │  ├─ ext.storage.media_source [client]
      │     │  └─ ext.ffmpeg.probe [client]
      │     ├─ step.download_clips  step.attempt=1 step.outcome=done
      │     │  └─ ext.storage.get_file [client]
      │     ├─ step.measure_loudness  step.attempt=1 step.outcome=skipped
      │     ├─ step.apply_cuts  step.attempt=1 step.outcome=done
      │     │  └─ ext.ffmpeg.render [client]
      │     ├─ step.upload_export  step.attempt=1 step.outcome=failed  ✗ StorageError
      │     │  └─ ext.storage.put_file [client]  ✗ StorageError
      │     ├─ step.upload_export  step.attempt=2 step.outcome=failed  ✗ StorageError
      │     │  └─ ext.storage.put_file [client]  ✗ StorageError
      │     └─ step.upload_export  step.attempt=3 step.outcome=failed  ✗ StorageError
      │        └─ ext.storage.put_file [client]  ✗ StorageError
      └─ taskiq.render_export [consumer] @sapari-render  taskiq.attempt=2 taskiq.outcome=done
         └─ render.pipeline
            ├─ step.probe_clips  step.attempt=0 step.outcome=resumed
            ├─ step.download_clips  step.attempt=0 step.outcome=resumed
            ├─ step.measure_loudness  step.attempt=1 step.outcome=skipped
            ├─ step.apply_cuts  step.attempt=0 step.outcome=resumed
            └─ step.upload_export  step.attempt=1 step.outcome=done
               └─ ext.storage.put_file [client]
";
