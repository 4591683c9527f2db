//! The download role as a process: a link goes in, a clip lies in storage; or it is dead with one sentence.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use sapari_runtime::broker::conformance::settled_depth;
use sapari_runtime::client::Tasks;
use sapari_runtime::task::Task;
use sapari_tasks::{AnalyzeProject, Downloaded, MakeProxy, ProcessClipArtifacts, Role};
use serde_json::{Value, json};
use uuid::Uuid;

use super::support::{Ended, INTERVIEW, PATIENCE, Space};
use crate::web::{Answer, Web};

/// As an operator does who has a media server of their own; what is not said stays refused.
fn allowing() -> Space {
    Space::new()
        .with("SAPARI_FETCH_ALLOW", "127.0.0.1")
        .with("SAPARI_FETCH_MAX_MIB", "2")
        .with("SAPARI_FETCH_STALL", "1s")
        .with("SAPARI_YT_DLP", "off")
}

fn interview() -> Vec<u8> {
    std::fs::read(INTERVIEW).expect("the sample")
}

async fn download(space: &Space, url: &str) -> Ended {
    let clip = Uuid::new_v4();
    download_as(space, url, clip, &format!("clips/{clip}/interview.mp4")).await
}

async fn download_as(space: &Space, url: &str, clip: Uuid, key: &str) -> Ended {
    let args = json!({
        "project_uuid": Uuid::new_v4(),
        "clip_file_uuid": clip,
        "url": url,
        "clip_key": key,
    });
    let line = [
        "kick",
        "download_media",
        "--args",
        &args.to_string(),
        "--wait",
        "90s",
    ];
    space.sapari(&line).ended().await
}

async fn output<T: Task>(tasks: &Tasks, id: &str) -> T::Output {
    let handle = tasks.handle::<T>(id.parse().expect("an id"));
    handle.output().within(PATIENCE).await.expect("an output")
}

#[track_caller]
fn assert_stored(space: &Space, ended: &Ended) -> Downloaded {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let output = ended.stdout.last().expect("an output");
    let output: Downloaded = serde_json::from_str(output).expect("JSON");
    let stored = std::fs::read(space.object(&output.clip_key)).expect("stored");
    assert!(stored == interview(), "another file: {output:?}");
    assert!((output.seconds - 26.48).abs() < 0.1, "{output:?}");
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_becomes_a_clip_its_artifacts_its_proxy_and_its_analysis() {
    let leads = Answer::Leads("/clip.mp4?part=1".to_owned());
    let film = Answer::File("video/mp4", interview());
    let web = Web::serving(&[("/share", leads), ("/clip.mp4?part=1", film)]).await;
    let space = allowing();
    let roles = ["download", "proxy", "analysis"];
    let start = |role: &str| space.start(&format!("sapari-{role}"), &[]).ready();
    let _workers = futures_util::future::join_all(roles.map(start)).await;
    let broker = space.broker().await;
    let tasks = space.tasks(&broker).await;

    let downloaded = assert_stored(&space, &download(&space, &web.url("/share")).await);
    let id = downloaded.artifacts_task_id.expect("kicked");
    let artifacts = output::<ProcessClipArtifacts>(&tasks, &id).await;
    assert!(artifacts.plays_in_browsers, "{artifacts:?}");
    assert_eq!(artifacts.size, Some((640, 360)));
    let waveform = space.object(&artifacts.waveform_key.expect("it has sound"));
    let waveform: Value =
        serde_json::from_slice(&std::fs::read(waveform).expect("stored")).expect("JSON");
    // Twenty stretches a second; the first word is louder than the first pause.
    let data: Vec<i64> = serde_json::from_value(waveform["data"].clone()).expect("numbers");
    assert_eq!(waveform["length"], data.len() / 2);
    assert!((data.len() / 2).abs_diff(530) < 3, "{}", data.len());
    let loudest = |from: usize, to: usize| data[from * 40..to * 40].iter().max().copied();
    assert!(
        loudest(0, 3) > Some(20) && loudest(4, 6) < Some(3),
        "{data:?}"
    );
    assert!(
        space
            .object(&artifacts.audio_key.expect("it has sound"))
            .exists()
    );

    let proxy = output::<MakeProxy>(&tasks, &artifacts.proxy_task_id.expect("kicked")).await;
    assert!(
        proxy.remuxed && space.object(&proxy.key).exists(),
        "{proxy:?}"
    );
    let analysis =
        output::<AnalyzeProject>(&tasks, &artifacts.analysis_task_id.expect("kicked")).await;
    assert!((analysis.kept_seconds - 16.5).abs() < 0.3, "{analysis:?}");
    let left = space.files("scratch");
    assert_eq!(left, [""; 0], "scratch files are left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stalls_is_asked_again_for_the_rest() {
    let web = Web::serving(&[("/clip.mp4", Answer::Half(interview()))]).await;
    let space = allowing();
    let broker = space.broker().await;
    for role in [Role::Proxy, Role::Analysis] {
        broker.declare(role.queue()).await.expect("declared");
    }
    let _worker = space.start("sapari-download", &[]).ready().await;
    assert_stored(&space, &download(&space, &web.url("/clip.mp4")).await);
    let ranges = web.ranges();
    assert!(ranges.len() == 2 && !ranges[1].is_empty(), "{ranges:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_fetched_is_dead_with_one_sentence() {
    let watched = TcpListener::bind("127.0.0.2:0").expect("a port");
    watched.set_nonblocking(true).expect("a socket");
    let elsewhere = format!("http://{}/clip.mp4", watched.local_addr().expect("bound"));
    let web = Web::serving(&[
        ("/leads", Answer::Leads(elsewhere.clone())),
        ("/large", Answer::File("video/mp4", vec![0; 3 << 20])),
        ("/page", Answer::File("text/html", b"<html>".to_vec())),
        ("/empty", Answer::File("video/mp4", Vec::new())),
        (
            "/notes",
            Answer::File("video/mp4", b"milk, bread\n".repeat(100)),
        ),
    ])
    .await;
    let space = allowing();
    let broker = space.broker().await;
    let _worker = space.start("sapari-download", &[]).ready().await;
    let table = [
        (elsewhere, "127.0.0.2 is a loopback address"),
        (web.url("/leads"), "127.0.0.2 is a loopback address"),
        ("http://169.254.169.254/latest".to_owned(), "link-local"),
        ("file:///etc/passwd".to_owned(), "neither http nor https"),
        (web.url("/large"), "more than the 2097152 bytes"),
        (web.url("/page"), "web page"),
        (web.url("/empty"), "is empty"),
        (web.url("/notes"), "is not a video"),
        (web.url("/missing"), "answered 404"),
    ];
    let many = table.len();
    for (url, words) in table {
        download(&space, &url).await.assert_sentence(1, words);
    }
    assert!(watched.accept().is_err(), "somebody connected");
    let queue = Role::Download.queue();
    settled_depth(&*broker, queue, |depth| depth.dead == many as u64).await;
    let letters = broker.dead_letters(queue, many).await.expect("readable");
    let reasons = letters.iter().map(|letter| letter.reason());
    assert!(
        reasons.into_iter().all(|it| it == Some("permanent")),
        "{letters:#?}"
    );
    assert_eq!(space.files("storage"), [""; 0], "nothing was stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_nothing_can_be_stored_under_is_refused_before_anything_is_fetched() {
    let web = Web::serving(&[("/clip.mp4", Answer::File("video/mp4", interview()))]).await;
    let space = allowing();
    let _worker = space.start("sapari-download", &[]).ready().await;
    let url = web.url("/clip.mp4");
    for key in ["../clip.mp4", "/clip.mp4"] {
        let ended = download_as(&space, &url, Uuid::new_v4(), key).await;
        ended.assert_sentence(1, "key");
    }
    assert_eq!(web.ranges(), [""; 0], "nobody asked for it");
}

#[tokio::test]
async fn bad_settings_are_refused() {
    let space = Space::offline();
    for (flag, value) in [
        ("--fetch-allow", "everything"),
        ("--fetch-max-mib", "0"),
        ("--fetch-stall", "soon"),
    ] {
        let ended = space.start("sapari-download", &[flag, value]).ended().await;
        ended.assert_sentence(64, flag.trim_start_matches('-'));
    }
}

/// What yt-dlp does, as far as the role can see it.
const YT_DLP: &str = r#"#!/usr/bin/env python3
import sys, urllib.error, urllib.parse, urllib.request
if sys.argv[1:] == ["--version"]:
    print("2026.01.02")
    sys.exit()
end = sys.argv.index("--")
[url] = sys.argv[end + 1:]
options = dict(it.split("=", 1) for it in sys.argv[:end] if "=" in it)
proxies = {scheme: options["--proxy"] for scheme in ("http", "https")}
opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies))
try:
    page = opener.open(url).read().decode()
    if "src=" not in page:
        sys.exit("ERROR: Unsupported URL: " + url)
    film = opener.open(urllib.parse.urljoin(url, page.split(chr(34))[1])).read()
except urllib.error.HTTPError as error:
    sys.exit(f"ERROR: [generic] s3cret: Unable to download webpage: {error} (caused by s3cret)")
if len(film) > int(options["--max-filesize"]):
    sys.exit()
path = options["--output"].replace("%(ext)s", "mp4")
open(path, "wb").write(film)
print(f"PROGRESS:{len(film)}:{len(film)}")
print(f"FILE:{path}")
"#;

fn page(film: &str) -> Answer {
    Answer::File(
        "text/html; charset=utf-8",
        format!("<video src=\"{film}\">").into_bytes(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_left_to_yt_dlp_which_goes_where_the_role_may_go() {
    let inside = TcpListener::bind("127.0.0.2:0").expect("a port");
    inside.set_nonblocking(true).expect("a socket");
    let elsewhere = format!("http://{}/clip.mp4", inside.local_addr().expect("bound"));
    let web = Web::serving(&[
        ("/watch?v=1", page("/clip.mp4")),
        ("/clip.mp4", Answer::File("video/mp4", interview())),
        ("/inside", page(&elsewhere)),
        ("/long", page("/large.mp4")),
        ("/large.mp4", Answer::File("video/mp4", vec![0; 3 << 20])),
        ("/gone?token=s3cret", page("/missing.mp4")),
        (
            "/s3cret",
            Answer::File("text/html", b"<p>nothing</p>".to_vec()),
        ),
    ])
    .await;
    let space = allowing();
    let broker = space.broker().await;
    for role in [Role::Proxy, Role::Analysis] {
        broker.declare(role.queue()).await.expect("declared");
    }
    let program = space.path("yt-dlp");
    std::fs::write(&program, YT_DLP).expect("writable");
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("ours");
    let program = program.display().to_string();
    let worker = space
        .start("sapari-download", &["--yt-dlp", &program])
        .ready()
        .await;
    let found = worker.stderr.message("yt-dlp found").await;
    assert_eq!(found["fields"]["version"], "2026.01.02", "{found}");

    assert_stored(&space, &download(&space, &web.url("/watch?v=1")).await);
    let table = [
        ("/inside", "127.0.0.2 is a loopback address"),
        ("/long", "more than the 2097152 bytes"),
        (
            "/gone?token=s3cret",
            "yt-dlp got no film from 127.0.0.1: Unable to download webpage: HTTP Error 404",
        ),
        (
            "/s3cret",
            "yt-dlp got no film from 127.0.0.1: Unsupported URL",
        ),
    ];
    for (path, words) in table {
        let ended = download(&space, &web.url(path)).await;
        ended.assert_sentence(1, words);
        assert!(!ended.stderr[0].contains("s3cret"), "{ended:?}");
    }
    assert!(inside.accept().is_err(), "somebody connected");
}

#[tokio::test]
async fn a_missing_yt_dlp_is_69_with_what_to_do() {
    let space = Space::new();
    let args = ["--yt-dlp", "no-such-yt-dlp"];
    let ended = space.start("sapari-download", &args).ended().await;
    assert_eq!(ended.code, Some(69), "{ended:?}");
    let said = ended.stderr.join("\n");
    assert!(
        said.contains("`no-such-yt-dlp` was not found") && said.contains("--yt-dlp off"),
        "{said}"
    );
}
