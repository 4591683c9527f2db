//! `--explain`: what a worker would do, told without any server.

use super::support::Space;

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
        ];
        for words in expected {
            assert!(text.contains(&words), "{words:?} is not in\n{text}");
        }
        assert!(ended.stderr.is_empty(), "{ended:?}");
    }
}
