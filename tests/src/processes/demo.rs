//! `sapari demo`: a video in, its cut version and the trace of the work out, without any server.

use std::path::Path;

use super::support::footage::{PICTURE, SOUND, look, made};
use super::support::{Ended, INTERVIEW, Receiver, Space, Span, film};

const README: &str = include_str!("../../../README.md");

const PATHS: [&str; 18] = [
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
    "demo.cut > publish normalize_image > taskiq.normalize_image > image.pipeline",
    "image.pipeline > step.normalize_image > ext.ffmpeg.normalize_image",
    "image.pipeline > step.store_image",
    "demo.cut > publish send_email > taskiq.send_email > email.pipeline",
    "email.pipeline > step.send > ext.smtp.send",
    "scheduler.fire > publish rescue_stuck_tasks > taskiq.rescue_stuck_tasks",
];

/// What the ids of steps begin with that the README names beside a pipeline.
const STEPS: [&str; 15] = [
    "fetch_",
    "probe_",
    "store_",
    "extract_",
    "draw_",
    "encode_",
    "make_",
    "load_",
    "detect_",
    "download_",
    "apply_",
    "upload_",
    "normalize_",
    "compose",
    "send",
];

#[tokio::test(flavor = "multi_thread")]
async fn demo_cuts_the_sample_and_prints_what_was_done() {
    let receiver = Receiver::start().await;
    let space = Space::offline().with("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
    let output = space.path("cut.mp4");
    let ended = demo(&space, INTERVIEW.as_ref(), &output).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    film(&output).assert_cut_interview();

    let traces = ended
        .stdout
        .iter()
        .filter(|line| line.starts_with("trace "));
    // What the clock kicks is a trace of its own.
    assert_eq!(traces.count(), 2, "{:#?}", ended.stdout);
    let there = paths(&ended.stdout);
    for path in PATHS {
        let there = there.iter().any(|it| it.contains(path));
        assert!(there, "{path} is not in {:#?}", ended.stdout);
    }
    assert_as_in_the_readme(&there);
    let summary = ended.stdout.last().expect("a last line");
    assert!(summary.contains(&output.display().to_string()), "{summary}");
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

    let spans = receiver.spans(&["demo.cut"]).await;
    assert_side_by_side(&spans, ["taskiq.make_proxy", "taskiq.analyze_project"]);
    let render = only(&spans, "taskiq.render_export");
    let link = format!(
        "\nhttps://sapari.example/exports/{}\r\n",
        render.attributes["export_uuid"]
    );
    let mail = std::fs::read_to_string(space.path("cut.eml")).expect("text");
    assert!(mail.contains(&link), "{link} is not in {mail}");
}

async fn demo(space: &Space, video: &Path, output: &Path) -> Ended {
    let (from, to) = (video.display().to_string(), output.display().to_string());
    let demo = space.sapari(&["demo", &from, "--output", &to]);
    demo.ended().await
}

#[track_caller]
fn only<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut named = spans.iter().filter(|span| span.name == name);
    match (named.next(), named.next()) {
        (Some(span), None) => span,
        _ => panic!("one {name} was expected"),
    }
}

/// Fails unless each was under way before the other had ended.
#[track_caller]
fn assert_side_by_side(spans: &[Span], names: [&str; 2]) {
    let [one, other] = names.map(|name| &only(spans, name).record);
    for (first, second) in [(one, other), (other, one)] {
        let end = first.start + first.duration;
        assert!(
            second.start < end,
            "{} waited for {}",
            second.name,
            first.name
        );
    }
}

/// Fails unless the README's tree of the demo is a part of this one, and the steps named beside its pipelines are theirs.
#[track_caller]
fn assert_as_in_the_readme(there: &[String]) {
    let shown = README.split_once("```text\n").expect("a tree").1;
    let shown = shown.split_once("\nbeside it: ").expect("a summary").0;
    let shown: Vec<String> = shown.lines().skip(1).map(str::to_owned).collect();
    let is_there = |path: &str| there.iter().any(|it| it == path);
    let mut seen = 0;
    for (line, path) in shown.iter().zip(paths(&shown)) {
        if path.ends_with("..") {
            continue;
        }
        assert!(is_there(&path), "{path} is only in the README");
        seen += 1;
        if !path.ends_with(".pipeline") {
            continue;
        }
        let steps = line.split([',', '=', ' ']);
        for step in steps.filter(|word| STEPS.iter().any(|verb| word.starts_with(verb))) {
            let path = format!("{path} > step.{step}");
            assert!(is_there(&path), "{path} is only in the README");
            seen += 1;
        }
    }
    assert!(seen > 40, "only {seen} spans are shown");
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

#[tokio::test(flavor = "multi_thread")]
async fn demo_takes_sound_alone_and_ten_bits_that_stand_on_their_side() {
    let space = Space::offline();
    let dir = space.path("footage");
    std::fs::create_dir(&dir).expect("writable");
    let sound = made(&dir, "sound.wav", &[&SOUND]);
    let ten_bits = [
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p10le",
    ];
    let flat = made(&dir, "flat.mp4", &[&PICTURE, &SOUND, &ten_bits]);
    let flat = flat.display().to_string();
    let turned = ["-i", &flat, "-c", "copy", "-metadata:s:v", "rotate=90"];
    let turned = made(&dir, "turned.mp4", &[&turned]);
    let upright = ("h264".to_owned(), "yuv420p".to_owned(), 360, 640);
    for (clip, pictures) in [(sound, None), (turned, Some(upright))] {
        let output = clip.with_extension("cut.mp4");
        let ended = demo(&space, &clip, &output).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let cut = look(&output);
        assert_eq!(cut.video, pictures, "{cut:?}");
        assert_eq!(cut.audio.as_deref(), Some("aac"), "{cut:?}");
        assert!((cut.seconds - 2.0).abs() < 0.1 && cut.is_upright, "{cut:?}");
        let proxy = look(&output.with_extension("proxy.mp4"));
        assert_eq!(proxy.video, pictures, "{proxy:?}");
    }
}

#[tokio::test]
async fn demo_says_that_there_is_no_sound_to_cut_by() {
    let space = Space::offline();
    let silent = made(&space.path("tmp"), "silent.mp4", &[&PICTURE]);
    let output = space.path("cut.mp4");
    let ended = demo(&space, &silent, &output).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = ended.stderr.last().expect("a sentence");
    assert_eq!(
        said,
        "error: the video has no sound, so there are no silences to cut"
    );
    assert!(!output.exists());
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
        let from = input.display();
        let ended = demo(&space, &input, &output).await;
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
    let directory = space.path("films.mp4");
    std::fs::create_dir(&directory).expect("writable");
    let targets = [
        (source.clone(), "is the video itself"),
        (directory, "is there, and no file"),
        (
            space.path("nowhere/out.mp4"),
            "its directory does not exist",
        ),
    ];
    for (target, why) in targets {
        for force in [&[][..], &["--force"]] {
            let (from, to) = (source.display().to_string(), target.display().to_string());
            let line = [&["demo", &from, "--output", &to][..], force].concat();
            let ended = space.sapari(&line).ended().await;
            ended.assert_sentence(64, &format!("{to}: {why}"));
        }
    }
    assert!(
        before == std::fs::read(&source).expect("readable"),
        "the source changed"
    );
}

#[tokio::test]
async fn demo_replaces_what_is_there_only_when_it_is_told_to() {
    let space = Space::offline();
    let output = space.path("cut.mp4");
    for kept in ["cut.mp4", "cut.jpg"] {
        let kept = space.path(kept);
        std::fs::write(&kept, "mine").expect("writable");
        let refused = demo(&space, INTERVIEW.as_ref(), &output).await;
        let words = format!("{}: is there already", kept.display());
        refused.assert_sentence(64, &words);
        assert_eq!(std::fs::read(&kept).expect("readable"), b"mine");
        std::fs::remove_file(&kept).expect("there");
    }
    std::fs::write(&output, "not mine").expect("writable");
    let to = output.display().to_string();
    let forced = ["demo", "--force", "--output", &to, "--", INTERVIEW];
    let ended = space.sapari(&forced).ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    film(&output).assert_cut_interview();
}

#[tokio::test]
async fn demo_does_not_call_an_mp4_something_else() {
    let space = Space::offline();
    for name in ["cut.mkv", "cut", "cut.mp4.webm"] {
        let ended = demo(&space, INTERVIEW.as_ref(), &space.path(name)).await;
        ended.assert_sentence(64, "ends with .mp4");
    }
}
