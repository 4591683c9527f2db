//! One order, two roles, and a retry: what the OTLP receiver got is one tree, and the attempts are siblings in it.

use sapari_tasks::AnalyzeProject;
use sapari_telemetry::SpanRecord;
use sapari_telemetry::tree::{self, TreeStyle};
use serde_json::json;
use uuid::Uuid;

use super::support::{INTERVIEW, Receiver, Space};

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
        clip_key: format!("clips/{clip_file_uuid}/interview.mp4"),
        export_uuid: Some(Uuid::new_v4()),
    };
    space.store(&order.clip_key, INTERVIEW.as_ref());
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
    println!("{tree}");
    let in_the_way = in_the_way.display().to_string();
    assert_eq!(tree.replace(&in_the_way, "exports"), TREE, "{tree}");
}

const TREE: &str = "";
