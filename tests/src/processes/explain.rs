//! `--explain`: what a worker would do, told without any server; how its pipelines went, by the result store.

use std::collections::BTreeMap;

use sapari_tasks::{AnalyzeProject, Role};
use serde_json::json;
use uuid::Uuid;

use super::support::{INTERVIEW, Space};

/// Nothing listens on the port for discarding; and whoever tried would wait half a minute for a server to come up.
const NOBODY: &str = "127.0.0.1:9";

/// Each role with its levels, one of its tasks, and its pipelines.
const ROLES: [(Role, u8, &str, &[&str]); 6] = [
    (Role::Analysis, 4, "analyze_project", &["analysis"]),
    (Role::Render, 4, "render_export", &["render", "preview"]),
    (
        Role::AssetEdit,
        4,
        "trim_asset",
        &["trim", "sound", "image"],
    ),
    (
        Role::Download,
        1,
        "download_media",
        &["download", "artifacts"],
    ),
    (Role::Proxy, 1, "make_proxy", &["proxy"]),
    (Role::Email, 1, "send_email", &["email"]),
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
    for (role, levels, task, pipelines) in ROLES {
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
        let pipeline = |name: &&str| format!("\npipeline {name}\n  no whole run is known");
        expected.extend(pipelines.iter().map(pipeline));
        for words in expected {
            assert!(text.contains(&words), "{words:?} is not in\n{text}");
        }
        assert!(!text.contains(&queue(levels)), "{levels} levels: {text}");
        let graphs = text.matches("\npipeline ").count();
        assert_eq!(graphs, pipelines.len(), "{text}");
    }
}

/// The steps of an analysis without models that wait for each other; what needs a model is skipped.
const PATH: [&str; 5] = [
    "load_audio",
    "detect_silences",
    "validate_edits",
    "create_edits",
    "update_project",
];

#[tokio::test(flavor = "multi_thread")]
async fn explain_draws_the_pipelines_and_how_their_last_whole_run_went() {
    let space = Space::new();
    let explained = async |role: &str| {
        let args = ["--role", role, "--explain"];
        explained(&space, "sapari-worker", &args).await
    };
    for role in ["analysis", "render"] {
        let text = explained(role).await;
        let parts = ["  no whole run is known: ", "  flowchart LR", "  digraph "];
        for words in parts {
            assert!(text.contains(words), "{words:?} is not in\n{text}");
        }
        for thick in ["==>", "penwidth"] {
            assert!(!text.contains(thick), "{thick:?} is in\n{text}");
        }
    }

    analyze(&space).await;
    let text = explained("analysis").await;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let last = lines
        .iter()
        .find_map(|line| line.strip_prefix("  the last whole run, at 2"))
        .unwrap_or_else(|| panic!("no last run in {lines:#?}"));
    let steps = last
        .split_once("Z, took ")
        .and_then(|(_, took)| took.split_once(": "));
    let (_, steps) = steps.expect("when, how long, and which steps");
    let steps: Vec<&str> = steps
        .split(" > ")
        .filter_map(|step| step.split(' ').next())
        .collect();
    assert_eq!(steps, PATH);
    assert_path_is_thick(&lines);
    let text = explained("render").await;
    assert!(text.contains("  no whole run is known: "), "{text}");
}

/// Has a worker analyse the interview.
async fn analyze(space: &Space) {
    let clip_file_uuid = Uuid::new_v4();
    let order = AnalyzeProject {
        project_uuid: Uuid::new_v4(),
        clip_file_uuid,
        clip_key: format!("clips/{clip_file_uuid}/interview.mp4"),
        export_uuid: None,
    };
    space.store(&order.clip_key, INTERVIEW.as_ref());
    let _worker = space.start("sapari-analysis", &[]).ready().await;
    let args = json!(order).to_string();
    let line = ["kick", "analyze_project", "--args", &args, "--wait", "120s"];
    let ended = space.sapari(&line).ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// In both drawings the steps of the path and the arrows between them are thick, and no others.
#[track_caller]
fn assert_path_is_thick(lines: &[String]) {
    let arrows: Vec<(&str, &str)> = PATH.windows(2).map(|pair| (pair[0], pair[1])).collect();
    // `s0["load_audio<br/>1.2 s"]`, and later `s0 ==> s1`.
    let boxes: BTreeMap<&str, &str> = lines
        .iter()
        .filter_map(|line| line.trim().split_once("[\""))
        .filter(|(node, _)| node.starts_with('s'))
        .filter_map(|(node, label)| Some((node, label.split(['<', '"']).next()?)))
        .collect();
    let thick: Vec<(&str, &str)> = lines
        .iter()
        .filter_map(|line| line.trim().split_once(" ==> "))
        .map(|(from, to)| (boxes[from], boxes[to]))
        .collect();
    assert_eq!(thick, arrows, "{lines:#?}");
    let thick: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.trim().strip_suffix("[penwidth=3]"))
        .collect();
    let expected: Vec<String> = arrows
        .iter()
        .map(|(from, to)| format!("\"{from}\" -> \"{to}\" "))
        .collect();
    assert_eq!(thick, expected, "{lines:#?}");
    let thick = lines.iter().filter(|line| line.ends_with(", penwidth=3]"));
    assert_eq!(thick.count(), PATH.len(), "{lines:#?}");
}
