//! What makes no sense is refused before anything is connected; what cannot be reached is said with another code, and no
//! password is ever repeated.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use super::support::{Ended, Space, broker_url, result_url};

const PASSWORD: &str = "s3cret-of-nobody";

/// A port that listens and that nobody must come to.
struct Watched(TcpListener);

impl Watched {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        Self(listener)
    }

    fn place(&self) -> String {
        self.0.local_addr().expect("bound").to_string()
    }

    /// Who came would stand in the socket's queue.
    #[track_caller]
    fn assert_nobody_came(&self) {
        assert!(self.0.accept().is_err(), "somebody connected");
    }
}

/// A space whose servers are the watched port.
fn watched(port: &Watched) -> Space {
    Space::offline()
        .with("SAPARI_BROKER_URL", &format!("amqp://{}", port.place()))
        .with("SAPARI_RESULT_URL", &format!("redis://{}", port.place()))
}

/// A port on which nobody listens.
fn dead_port() -> String {
    // Bound and let go: nothing takes it again within the moment of a test.
    Watched::new().place()
}

async fn assert_refused(space: &Space, binary: &str, args: &[&str]) {
    let ended = space.start(binary, args).ended().await;
    assert_eq!(ended.code, Some(64), "{binary} {args:?}: {ended:?}");
    assert!(ended.stdout.is_empty(), "{binary} {args:?}: {ended:?}");
    let said = ended.stderr.iter().any(|line| line.starts_with("error: "));
    assert!(said, "{binary} {args:?}: {ended:?}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_anything_is_connected() {
    let port = Watched::new();
    let space = watched(&port);
    let web = format!("http://{}", port.place());
    let kick = ["kick", "render_export"];
    let commands = [
        vec!["ping", "nobody"],
        vec!["workers", "--result-url", &web],
        vec!["workers", "--result-url", "memory://"],
        vec!["workers", "--namespace", "no good name"],
        vec!["queues", "--broker-url", &web],
        vec!["queues", "--role", "nobody"],
        vec!["task", "a b"],
        vec!["cancel"],
        vec!["cancel", "id", "--result-url", &web],
        vec!["pause", "nobody"],
        vec!["dead", "drop", "render"],
        vec!["dead", "drop", "render", "--limit", "1"],
        vec!["dead", "replay", "render"],
        vec!["kick", "ping", "--role", "nobody"],
        vec!["kick", "no_such_task"],
        vec!["kick", "ping"],
        [&kick[..], &["--args", "{"]].concat(),
        [&kick[..], &["--broker-url", &web]].concat(),
        [&kick[..], &["--broker-url", "memory://"]].concat(),
        [&kick[..], &["--wait", "1s", "--result-url", &web]].concat(),
        [&kick[..], &["--namespace", "no good name"]].concat(),
    ];
    for args in commands {
        assert_refused(&space, "sapari", &args).await;
    }
    port.assert_nobody_came();
}

#[tokio::test]
async fn a_worker_refuses_bad_settings_before_anything_is_connected() {
    let port = Watched::new();
    let space = watched(&port);
    let web = format!("http://{}", port.place());
    let workers = [
        ("sapari-render", vec!["--broker-url", &web]),
        ("sapari-render", vec!["--result-url", &web]),
        ("sapari-render", vec!["--storage-url", &web]),
        ("sapari-render", vec!["--namespace", "no good name"]),
        ("sapari-render", vec!["--slots", "0"]),
        ("sapari-render", vec!["--drain-grace", "soon"]),
        ("sapari-render", vec!["--health-addr", "9100"]),
        ("sapari-worker", vec![]),
        ("sapari-worker", vec!["--role", "nobody"]),
    ];
    for (binary, args) in workers {
        assert_refused(&space, binary, &args).await;
    }
    let space = space.with("SAPARI_LOG_FORMAT", "xml");
    assert_refused(&space, "sapari-render", &[]).await;
    port.assert_nobody_came();
}

/// A space whose `PATH` has these programs and no others.
fn with_programs(space: Space, programs: &[&str]) -> Space {
    let dir = space.path(&format!("bin-{}", programs.join("-")));
    std::fs::create_dir(&dir).expect("writable");
    let path = std::env::var_os("PATH").unwrap_or_default();
    for program in programs {
        let mut places = std::env::split_paths(&path).map(|dir| dir.join(program));
        let place = places.find(|place| place.is_file()).expect("installed");
        std::os::unix::fs::symlink(place, dir.join(program)).expect("writable");
    }
    space.with("PATH", &dir.display().to_string())
}

#[tokio::test]
async fn a_missing_ffmpeg_or_ffprobe_is_69_before_anything_is_connected() {
    let port = Watched::new();
    for (programs, missing) in [
        (&[][..], "`ffmpeg` was not found: install it"),
        (&["ffprobe"], "`ffmpeg` was not found: install it"),
        (&["ffmpeg"], "`ffprobe` was not found: install it"),
    ] {
        let space = with_programs(watched(&port), programs);
        for role in ["analysis", "asset-edit", "download", "proxy", "render"] {
            let ended = space.start(&format!("sapari-{role}"), &[]).ended().await;
            assert_unavailable(&ended);
            let said = ended.stderr.join("\n");
            assert!(said.contains(missing), "{role} with {programs:?}: {said}");
        }
    }
    port.assert_nobody_came();
}

#[tokio::test]
async fn the_versions_of_both_are_logged_at_the_start() {
    let port = Watched::new();
    let space = watched(&port);
    let dir = space.path("bin");
    std::fs::create_dir(&dir).expect("writable");
    let versions = [("ffmpeg", "7.1-of-one"), ("ffprobe", "7.2-of-another")];
    for (program, version) in versions {
        let script = format!("#!/bin/sh\necho \"{program} version {version} Copyright\"\n");
        let path = dir.join(program);
        std::fs::write(&path, script).expect("writable");
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("ours");
    }
    let space = space.with("PATH", &dir.display().to_string());
    let worker = space.start("sapari-render", &["--boot-deadline", "1s"]);
    let found = worker.stderr.message("ffmpeg found").await;
    for (program, version) in versions {
        assert_eq!(found["fields"][program], version, "{found}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_69() {
    let dead = dead_port();
    let (broker, results) = (format!("amqp://{dead}"), format!("redis://{dead}"));
    let space = Space::new();
    let kick = ["kick", "ping", "--role", "render", "--wait", "1s"];
    let no_broker = [&kick[..], &["--broker-url", &broker]].concat();
    let no_results = [&kick[..], &["--result-url", &results]].concat();
    // Both wait for a server that may still be starting: at once, not one after the other.
    let (no_broker, no_results) = tokio::join!(
        space.sapari(&no_broker).ended(),
        space.sapari(&no_results).ended()
    );
    for ended in [no_broker, no_results] {
        assert_unavailable(&ended);
        let said = ended.stderr.join("\n");
        assert!(said.contains(&dead), "it says which: {ended:?}");
        assert!(ended.stdout.is_empty(), "nothing was kicked: {ended:?}");
    }
}

#[tokio::test]
async fn a_refused_password_is_69_and_is_not_repeated() {
    let space = Space::new();
    let broker = with_password(&broker_url(), "guest");
    let results = with_password(&result_url(), "");
    let kick = ["kick", "ping", "--role", "render", "--wait", "1s"];
    let lines = [
        ("sapari", [&kick[..], &["--broker-url", &broker]].concat()),
        ("sapari", [&kick[..], &["--result-url", &results]].concat()),
        ("sapari-render", vec!["--broker-url", &broker]),
        ("sapari-render", vec!["--result-url", &results]),
    ];
    for (binary, args) in lines {
        let ended = space.start(binary, &args).ended().await;
        assert_unavailable(&ended);
        let said = format!("{ended:?}");
        assert!(!said.contains(PASSWORD), "{binary}: {said}");
    }
}

#[track_caller]
fn assert_unavailable(ended: &Ended) {
    assert_eq!(ended.code, Some(69), "{ended:?}");
    let errors = ended
        .stderr
        .iter()
        .filter(|line| line.starts_with("error: "));
    assert_eq!(errors.count(), 1, "one sentence: {ended:?}");
}

/// The same server, with a password that it does not know.
fn with_password(url: &str, user: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a scheme");
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let path = &rest[authority.len()..];
    format!("{scheme}://{user}:{PASSWORD}@{host}{path}")
}
