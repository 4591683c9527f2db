//! The invariants of ARCHITECTURE.md that a program can check by reading the tree.
//! What the compiler or clippy already holds (unsafe, missing docs, function length) is not repeated here.

mod floors;
mod misuse;
mod readme;
mod source;
mod telemetry_page;

use source::{Source, production, sources};

/// What is wrong, a line each; nothing is wrong when it is empty.
#[track_caller]
#[allow(clippy::needless_pass_by_value)] // Nobody has a use for it afterwards.
fn none(wrong: Vec<String>, rule: &str) {
    assert!(wrong.is_empty(), "{rule}:\n  {}", wrong.join("\n  "));
}

/// Lines of production code that match, outside the places where they may stand.
fn found(
    files: &[Source],
    matches: impl Fn(&str) -> bool,
    allowed: impl Fn(&str) -> bool,
) -> Vec<String> {
    let of_file = |file: &Source| {
        let lines = file.code_lines().filter(|(_, line)| matches(line));
        lines
            .map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim()))
            .collect::<Vec<_>>()
    };
    files
        .iter()
        .filter(|file| !allowed(&file.path))
        .flat_map(of_file)
        .collect()
}

#[test]
fn the_tree_is_read_at_all() {
    let files = sources();
    assert!(files.len() > 60, "only {} files", files.len());
    assert!(
        files
            .iter()
            .any(|file| file.path == "crates/runtime/src/worker/settle.rs")
    );
}

#[test]
fn every_file_says_what_it_is() {
    let silent = sources()
        .into_iter()
        .filter(|file| !file.text.starts_with("//!"))
        .map(|file| file.path);
    none(
        silent.collect(),
        "a file opens with `//!`: what it is, and what it deliberately is not",
    );
}

#[test]
fn no_file_holds_more_than_one_idea() {
    let long = sources().into_iter().filter_map(|file| {
        let lines = file.code_lines().count();
        (lines > 400).then(|| format!("{} has {lines} lines of code", file.path))
    });
    none(long.collect(), "split a file of over 400 lines by meaning");
}

#[test]
fn the_runtime_knows_no_sapari_name() {
    let words = [
        "sapari",
        "analyze_project",
        "render_export",
        "project_uuid",
        "export_uuid",
        "ffmpeg",
        "asset",
    ];
    let ours = [
        "sapari_runtime",
        "sapari_telemetry",
        "sapari_macros",
        "sapari_leash",
    ];
    let named = |line: &str| {
        let line = ours
            .iter()
            .fold(line.to_lowercase(), |line, name| line.replace(name, ""));
        words.iter().any(|word| line.contains(word))
    };
    let runtime: Vec<Source> = sources()
        .into_iter()
        .filter(|file| file.path.starts_with("crates/runtime/"))
        .collect();
    none(
        found(&runtime, named, |_| false),
        "the runtime knows no name of the product",
    );
}

#[test]
fn only_settle_settles() {
    let settles = |line: &str| line.contains(".ack()") || line.contains(".hand_back()");
    let allowed = |path: &str| {
        path == "crates/runtime/src/worker/settle.rs"
            || path.starts_with("crates/runtime/src/broker/")
    };
    none(
        found(&production(), settles, allowed),
        "only worker/settle acks or hands back",
    );
}

#[test]
fn middleware_decides_and_does_not_do() {
    let does = |line: &str| line.contains(".publish(") || line.contains("Receipt");
    let elsewhere = |path: &str| {
        !path.starts_with("crates/runtime/src/middleware/") || path.ends_with("middleware/mod.rs")
    };
    none(
        found(&production(), does, elsewhere),
        "a middleware neither publishes nor settles",
    );
}

#[test]
fn each_client_crate_has_one_home() {
    let homes = [
        ("lapin::", "crates/runtime/src/broker/rabbitmq/"),
        ("redis::", "crates/runtime/src/result/redis/"),
        ("opentelemetry", "crates/telemetry/src/"),
        ("object_store::", "crates/services/src/ext/storage"),
    ];
    for (client, home) in homes {
        let uses = |line: &str| {
            line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
                .any(|word| word.starts_with(client))
        };
        // The bench measures the runtime against the bare client.
        let strays = found(&production(), uses, |path| {
            path.starts_with(home)
                || path.starts_with("crates/bench/")
                || (client == "redis::" && path.starts_with("crates/runtime/src/ledger/redis/"))
        });
        none(strays, &format!("only {home} speaks to {client}"));
    }
}

#[test]
fn spans_come_from_the_taxonomy() {
    let raw = |line: &str| {
        [
            "info_span!",
            "debug_span!",
            "trace_span!",
            "warn_span!",
            "error_span!",
            " span!(",
            "#[instrument",
        ]
        .iter()
        .any(|word| line.contains(word))
    };
    none(
        found(&production(), raw, |path| {
            path.starts_with("crates/telemetry/")
        }),
        "spans come from the taxonomy",
    );
}

#[test]
fn nothing_is_unbounded() {
    let unbounded = |line: &str| line.contains("unbounded_channel") || line.contains("unbounded(");
    none(
        found(&production(), unbounded, |_| false),
        "channels are bounded",
    );
}

#[test]
fn serde_stands_only_on_what_crosses_a_boundary() {
    let derives = |line: &str| {
        line.contains("derive(") && (line.contains("Serialize") || line.contains("Deserialize"))
    };
    let boundaries = [
        "crates/tasks/",
        "crates/runtime/src/message/",
        "crates/runtime/src/result/record.rs",
        "crates/runtime/src/history.rs",
        "crates/runtime/src/ledger/registry.rs",
        "crates/runtime/src/ledger/checkpoints.rs",
        // An entry that is added at run time, and what an upkeep task reports.
        "crates/runtime/src/schedule/written.rs",
        "crates/runtime/src/schedule/state_file.rs",
        "crates/runtime/src/upkeep.rs",
        // What is kept of a step, what it spent, and a failure as it may stand in a task's output.
        "crates/runtime/src/pipeline/checkpoint.rs",
        "crates/runtime/src/pipeline/usage.rs",
        "crates/runtime/src/pipeline/report.rs",
        "crates/runtime/src/ping.rs",
        "crates/bench/src/load.rs",
        // What a role's steps keep for the next attempt, and what a model answers.
        "crates/workers/proxy/src/pipeline.rs",
        "crates/workers/render/src/pipeline.rs",
        "crates/workers/asset-edit/src/steps.rs",
        "crates/workers/analysis/src/words.rs",
        "crates/workers/analysis/src/false_starts.rs",
        "crates/workers/analysis/src/improve.rs",
        "crates/workers/analysis/src/profanity.rs",
        "crates/workers/analysis/src/edits.rs",
        "crates/services/src/ext/ffmpeg/loudness.rs",
    ];
    let reads_json = [
        "crates/services/src/ext/ffmpeg/packets_json.rs",
        "crates/services/src/ext/ffmpeg/probe_json.rs",
        "crates/services/src/ext/openai/answers_json.rs",
        "crates/services/src/waveform.rs",
    ];
    let allowed = |path: &str| {
        boundaries
            .iter()
            .chain(&reads_json)
            .any(|home| path.starts_with(home))
    };
    none(
        found(&production(), derives, allowed),
        "serde derives stand on args, outputs, messages and records",
    );
}

#[test]
fn every_handler_is_registered_and_every_declaration_has_one() {
    let media = sapari_services::Media::new(
        sapari_services::Ffmpeg::in_path(),
        sapari_services::Storage::open("memory://").expect("memory"),
        std::env::temp_dir(),
    );
    let mailer = sapari_services::Mailer::open("file:///nowhere", "a@example.com");
    let post = sapari_email::Post::by(mailer.expect("a directory"));
    let plans = [
        sapari_analysis::worker(sapari_analysis::Listener::new(media.clone())).into_plan(),
        sapari_download::worker(sapari_download::Sources {
            media: media.clone(),
            http: sapari_services::Http::new(Default::default(), Default::default()),
            ytdlp: None,
        })
        .into_plan(),
        sapari_proxy::worker(media.clone()).into_plan(),
        sapari_asset_edit::worker(media.clone()).into_plan(),
        sapari_render::worker(media).into_plan(),
        sapari_email::worker(post).into_plan(),
    ];
    let mut registered: Vec<&str> = plans
        .iter()
        .flat_map(|plan| plan.tasks())
        .map(|task| task.name)
        .filter(|name| *name != "ping")
        .collect();
    let mut declared: Vec<&str> = sapari_tasks::catalogue()
        .iter()
        .map(|task| task.name)
        .collect();
    registered.sort_unstable();
    declared.sort_unstable();
    assert_eq!(registered, declared, "each declaration has one handler");
    for plan in &plans {
        plan.check().expect("the worker is put together well");
    }
    let in_workers: Vec<Source> = sources()
        .into_iter()
        .filter(|file| file.path.starts_with("crates/workers/"))
        .collect();
    let count = |word: &str| {
        in_workers
            .iter()
            .map(|file| {
                file.code_lines()
                    .filter(|(_, line)| line.contains(word))
                    .count()
            })
            .sum::<usize>()
    };
    assert_eq!(
        count("#[task"),
        count(".task::<"),
        "each `#[task]` is registered with its worker"
    );
}

#[test]
fn tests_are_neither_switched_off_nor_wait_by_sleeping() {
    // Under paused time a sleep is the work itself, and costs nothing.
    let paused = ["tests/src/spans/pipelines.rs", "tests/src/spans/onion.rs"];
    let is_paused = |path: &str| paused.contains(&path) || path.starts_with("tests/src/delivery/");
    let idle = |line: &str| {
        line.contains("#[ignore") || line.contains("thread::sleep") || line.contains("time::sleep(")
    };
    let tests: Vec<Source> = sources()
        .into_iter()
        .filter(|file| file.path.starts_with("tests/") && !file.path.ends_with("tidy.rs"))
        .collect();
    none(
        found(&tests, idle, is_paused),
        "a test waits for the event itself",
    );
}

#[test]
fn the_changelog_says_what_is_unreleased() {
    let text = std::fs::read_to_string(source::root().join("CHANGELOG.md")).expect("CHANGELOG.md");
    assert!(text.contains("## Unreleased"));
    let architecture =
        std::fs::read_to_string(source::root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    assert!(
        architecture.lines().count() <= 200,
        "ARCHITECTURE.md has at most 200 lines"
    );
}
