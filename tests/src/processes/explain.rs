//! `--explain`: what a worker would do, told without any server; how its pipelines went, by the result store.

use sapari_runtime::host::connect_results;
use sapari_runtime::ledger::LastRun;

use super::support::{PATIENCE, Space, result_url};

/// Nothing listens on the port for discarding; and whoever tried would wait half a minute for a server to come up.
const NOBODY: &str = "127.0.0.1:9";

#[tokio::test]
async fn explain_tells_tasks_middleware_and_topology_without_a_server() {
    let space = Space::offline()
        .with("SAPARI_BROKER_URL", &format!("amqp://{NOBODY}"))
        .with("SAPARI_RESULT_URL", &format!("redis://{NOBODY}"))
        .with("SAPARI_NAMESPACE", "staging");
    let workers = [
        (
            "sapari-render",
            vec!["--explain"],
            "render_export",
            "render",
        ),
        (
            "sapari-worker",
            vec!["--role", "analysis", "--explain"],
            "analyze_project",
            "analysis",
        ),
    ];
    for (binary, args, task, role) in workers {
        let ended = space.start(binary, &args).ended().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let text = ended.stdout.join("\n");
        let expected = [
            format!("service.name sapari-{role}"),
            task.to_owned(),
            "ping".to_owned(),
            "trace > metrics > retry > deadline > panic > handler".to_owned(),
            "exchange staging ".to_owned(),
            format!("queue staging.{role}.3 "),
            format!("queue staging.{role}.dead "),
            format!("pipeline {role}\n  the last run is not known"),
        ];
        for words in expected {
            assert!(text.contains(&words), "{words:?} is not in\n{text}");
        }
        assert!(ended.stderr.is_empty(), "{ended:?}");
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
