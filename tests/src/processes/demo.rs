//! `sapari demo`: a video in, its cut version and the trace of the work out, without any server.

use super::support::{INTERVIEW, Space, film};

const PATHS: [&str; 15] = [
    "demo.cut > publish download_media > taskiq.download_media > download.pipeline",
    "step.fetch_media > ext.http.fetch",
    "taskiq.download_media > publish process_clip_artifacts > taskiq.process_clip_artifacts",
    "step.draw_waveform",
    "taskiq.process_clip_artifacts > publish make_proxy > taskiq.make_proxy > proxy.pipeline",
    "taskiq.process_clip_artifacts > publish analyze_project > taskiq.analyze_project",
    "taskiq.analyze_project > analysis.pipeline > step.load_audio > ext.ffmpeg.extract_audio",
    "analysis.pipeline > step.detect_silences > ext.ffmpeg.detect_silences",
    "analysis.pipeline > step.create_edits",
    "taskiq.analyze_project > publish render_export > taskiq.render_export > render.pipeline",
    "render.pipeline > step.apply_cuts > ext.ffmpeg.render",
    "render.pipeline > step.upload_export",
    "demo.cut > publish normalize_image > taskiq.normalize_image",
    "demo.cut > publish send_email > taskiq.send_email > ext.smtp.send",
    "scheduler.fire > publish rescue_stuck_tasks > taskiq.rescue_stuck_tasks",
];

#[tokio::test]
async fn demo_cuts_the_sample_and_prints_what_was_done() {
    let space = Space::offline();
    let output = space.path("cut.mp4");
    let to = output.display().to_string();
    let demo = ["demo", INTERVIEW, "--output", &to];
    let ended = space.sapari(&demo).ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    film(&output).assert_cut_interview();

    let traces = ended
        .stdout
        .iter()
        .filter(|line| line.starts_with("trace "));
    // What the clock kicks is a trace of its own.
    assert_eq!(traces.count(), 2, "{:#?}", ended.stdout);
    let paths = paths(&ended.stdout);
    for path in PATHS {
        let there = paths.iter().any(|it| it.contains(path));
        assert!(there, "{path} is not in {:#?}", ended.stdout);
    }
    let summary = ended.stdout.last().expect("a last line");
    assert!(summary.contains(&to), "{summary}");
    for (beside, begins) in [
        ("cut.proxy.mp4", &b"\0\0\0"[..]),
        ("cut.waveform.json", b"{"),
        ("cut.jpg", b"\xff\xd8"),
        ("cut.eml", b"From: "),
    ] {
        let found = std::fs::read(space.path(beside)).expect(beside);
        assert!(found.starts_with(begins), "{beside}");
        assert!(
            ended.stdout.iter().any(|line| line.contains(beside)),
            "{beside} is not named"
        );
    }
    assert_eq!(space.files("tmp"), [""; 0], "scratch files are left");
}

/// The path from its root to each span of a printed tree, `a > b > c`.
fn paths(lines: &[String]) -> Vec<String> {
    let mut path: Vec<&str> = Vec::new();
    let mut paths = Vec::new();
    for line in lines {
        let name = line.trim_start_matches(['│', '├', '└', '─', ' ']);
        // Each level is three characters wide.
        let depth = (line.chars().count() - name.chars().count()) / 3;
        path.truncate(depth);
        path.push(name.split("  ").next().unwrap_or_default());
        paths.push(path.join(" > "));
    }
    paths
}

#[tokio::test]
async fn demo_says_in_one_sentence_why_there_is_nothing_to_cut() {
    let space = Space::offline();
    let file = |name: &str, text: &str| {
        let path = space.path(name);
        std::fs::write(&path, text).expect("writable");
        path
    };
    let inputs = [
        file("notes.txt", "milk, bread, a new microphone\n"),
        file("empty.mp4", ""),
        space.path("missing.mp4"),
        space.path("tmp"),
    ];
    for input in inputs {
        let output = space.path("never.mp4");
        let (from, to) = (input.display().to_string(), output.display().to_string());
        let ended = space
            .sapari(&["demo", &from, "--output", &to])
            .ended()
            .await;
        assert!(!matches!(ended.code, Some(0) | None), "{from}: {ended:?}");
        let errors = ended
            .stderr
            .iter()
            .filter(|line| line.starts_with("error:"));
        assert_eq!(errors.count(), 1, "{from}: {ended:?}");
        assert!(!output.exists(), "{from}");
    }
}

#[tokio::test]
async fn demo_overwrites_neither_its_source_nor_what_is_no_file() {
    let space = Space::offline();
    let source = space.path("mine.mp4");
    std::fs::copy(INTERVIEW, &source).expect("copied");
    let before = std::fs::read(&source).expect("readable");
    let targets = [
        source.clone(),
        space.path("tmp"),
        space.path("nowhere/out.mp4"),
    ];
    for target in targets {
        let (from, to) = (source.display().to_string(), target.display().to_string());
        let ended = space
            .sapari(&["demo", &from, "--output", &to])
            .ended()
            .await;
        ended.assert_sentence(64, &to);
    }
    assert!(
        before == std::fs::read(&source).expect("readable"),
        "the source changed"
    );
}
