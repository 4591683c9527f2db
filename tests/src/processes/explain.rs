//! `--explain`: what a worker would do, told without any server; how its pipelines went, by the result store.

use sapari_runtime::host::connect_results;
use sapari_runtime::ledger::LastRun;
use sapari_tasks::Role;

use super::support::{PATIENCE, Space, result_url};

/// Nothing listens on the port for discarding; and whoever tried would wait half a minute for a server to come up.
const NOBODY: &str = "127.0.0.1:9";

/// Each role with its levels, one of its tasks, and its first pipeline.
const ROLES: [(Role, u8, &str, Option<&str>); 6] = [
    (Role::Analysis, 4, "analyze_project", Some("analysis")),
    (Role::Render, 4, "render_export", Some("render")),
    (Role::AssetEdit, 4, "trim_asset", None),
    (Role::Download, 1, "download_media", Some("download")),
    (Role::Proxy, 1, "make_proxy", Some("proxy")),
    (Role::Email, 1, "send_email", None),
];

/// What a binary explains without any server.
async fn explained(space: &Space, binary: &str, args: &[&str]) -> String {
    let ended = space.start(binary, args).ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.is_empty(), "{ended:?}");
    ended.stdout.join("\n")
}

#[tokio::test]
async fn every_role_tells_tasks_middleware_and_topology_without_a_server() {
    let space = Space::offline()
        .with("SAPARI_BROKER_URL", &format!("amqp://{NOBODY}"))
        .with("SAPARI_RESULT_URL", &format!("redis://{NOBODY}"))
        .with("SAPARI_NAMESPACE", "staging");
    assert_eq!(ROLES.len(), Role::ALL.len());
    for (role, levels, task, pipeline) in ROLES {
        let text = explained(&space, &format!("sapari-{role}"), &["--explain"]).await;
        let by_any = ["--role", role.as_str(), "--explain"];
        assert_eq!(text, explained(&space, "sapari-worker", &by_any).await);
        let mut expected = vec![
            format!("role {role}, service.name sapari-{role}, "),
            format!("\n  {task} "),
            "\n  ping ".to_owned(),
            "trace > metrics > retry > deadline > panic > handler".to_owned(),
            "exchange staging ".to_owned(),
            format!("queue staging.{role}.dead "),
        ];
        let queue = |level: u8| format!("queue staging.{role}.{level} ");
        expected.extend((0..levels).map(queue));
        expected
            .extend(pipeline.map(|name| format!("pipeline {name}\n  the last run is not known")));
        for words in expected {
            assert!(text.contains(&words), "{words:?} is not in\n{text}");
        }
        assert!(!text.contains(&queue(levels)), "{levels} levels: {text}");
        assert_eq!(text.contains("\npipeline "), pipeline.is_some(), "{text}");
    }
}

#[tokio::test]
async fn explain_draws_the_pipelines_and_how_their_last_run_went() {
    let space = Space::new();
    let results = connect_results(&result_url(), space.namespace(), PATIENCE).await;
    let results = results.unwrap_or_else(|failure| panic!("{}", failure.message));
    let path = ["load_audio", "detect_silences"];
    let last = LastRun {
        at: 1e9,
        seconds: 12.5,
        critical_path: path.map(str::to_owned).to_vec(),
        steps: path.map(|step| (step.to_owned(), 6.25)).into(),
    };
    let ledger = results.ledger();
    let kept = ledger.keep_last_run("analysis", &last, PATIENCE);
    kept.await.expect("Redis is up");
    let known = "  the last run took 12.5 s: load_audio 6.2 s > detect_silences 6.2 s";
    let unknown = "  the last run is not known";
    for (role, pipeline, expected) in [
        ("analysis", "pipeline analysis", known),
        ("render", "pipeline render", unknown),
    ] {
        let args = ["--role", role, "--explain", "--result-url", &result_url()];
        let ended = space.start("sapari-worker", &args).ended().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let text = ended.stdout.join("\n");
        for words in [pipeline, expected, "  flowchart LR", "  digraph "] {
            assert!(text.contains(words), "{words:?} is not in\n{text}");
        }
    }
}
