//! What yt-dlp is given and what bounds it, shown by programs in its place.
//!
//! It deliberately has no yt-dlp: sites change. What the real one says is sorted in `words`.

use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::ext::http::FetchLimits;
use crate::process::Exit;
use crate::scratch::{Scratch, executable};

const PAGE: &str = "http://pages.example/watch?v=1";
/// Long enough for a loaded machine; reached only when a test fails.
const BOUND: Duration = Duration::from_secs(60);

/// What a download comes to when this script is yt-dlp.
async fn downloaded(scratch: &Scratch, script: &str, limits: FetchLimits) -> PageError {
    let ytdlp = Ytdlp::at(executable(scratch, "yt-dlp", script));
    let http = Http::new(Default::default(), limits);
    let cancel = CancellationToken::new();
    let call = ClipCall {
        clip_file_uuid: Uuid::now_v7(),
        cancel: &cancel,
    };
    let to = scratch.path("clip.mp4").unwrap();
    let job = FetchJob { url: PAGE, to: &to };
    let work = timeout(BOUND, ytdlp.download(&http, call, job, |_| {}));
    work.await.unwrap().unwrap_err()
}

#[tokio::test]
async fn its_memory_and_its_files_are_limited() {
    let scratch = Scratch::new(&std::env::temp_dir(), "ytdlp-limits").unwrap();
    let script = "#!/bin/sh\necho \"ERROR: memory $(ulimit -d) KiB, files $(ulimit -f) blocks\" >&2\nexit 1\n";
    let limits = FetchLimits {
        max_bytes: 3 << 20,
        ..FetchLimits::default()
    };
    let error = downloaded(&scratch, script, limits).await;
    // Blocks of 512 bytes.
    let expected = "yt-dlp got no film from pages.example: memory 2097152 KiB, files 6144 blocks";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn its_time_is_limited_and_nothing_of_it_is_left() {
    let scratch = Scratch::new(&std::env::temp_dir(), "ytdlp-time").unwrap();
    // It neither ends when it is asked to, nor alone.
    let script = "#!/bin/sh\ntrap '' TERM\nsleep 600 &\necho $$ $! > \"$HOME/pids\"\nwait\n";
    let limits = FetchLimits {
        max_time: Duration::from_secs(2),
        ..FetchLimits::default()
    };
    let error = downloaded(&scratch, script, limits).await;
    let PageError::Fetch(FetchError::TooSlow { host, limit }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!((&**host, limit.as_secs()), ("pages.example", 2));
    let pids = std::fs::read_to_string(scratch.path("pids").unwrap()).unwrap();
    assert_eq!(pids.split_whitespace().count(), 2, "both ran: {pids}");
    let alive = |pid: &str| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        status.is_ok_and(|status| !status.contains(") Z "))
    };
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    let gone = async {
        while pids.split_whitespace().any(alive) {
            looks.tick().await;
        }
    };
    timeout(BOUND, gone).await.expect("they are killed");
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_when_it_is_asked_for_its_version_does_not_hang_the_start() {
    let scratch = Scratch::new(&std::env::temp_dir(), "ytdlp-version").unwrap();
    let hangs = executable(&scratch, "hangs", "#!/bin/sh\nexec sleep 600\n");
    let error = Ytdlp::at(hangs).check().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`hangs` did not end within 30s: it was stopped"
    );
}

#[tokio::test]
async fn its_version_is_asked_for_within_the_same_memory() {
    let scratch = Scratch::new(&std::env::temp_dir(), "ytdlp-memory").unwrap();
    let script = "#!/bin/sh\necho \"memory $(ulimit -d) KiB\" >&2\nexit 7\n";
    let ytdlp = Ytdlp::at(executable(&scratch, "tells", script));
    let error = ytdlp.check().await.unwrap_err();
    assert!(matches!(
        &error,
        ProcessError::Failed {
            exit: Exit::Code(7),
            ..
        }
    ));
    assert!(error.to_string().ends_with("memory 2097152 KiB"), "{error}");
}

#[test]
fn progress_is_a_fraction_where_the_whole_is_known() {
    assert_eq!(fraction("PROGRESS:512:1024"), Some(0.5));
    assert_eq!(fraction("PROGRESS:2048:1024"), Some(1.0));
    for line in [
        "PROGRESS:512:NA",
        "PROGRESS:1:0",
        "[download] 50%",
        "FILE:/a",
    ] {
        assert_eq!(fraction(line), None, "{line}");
    }
}

#[tokio::test]
async fn an_address_is_never_an_option() {
    let http = Http::new(Default::default(), Default::default());
    let gate = http.gate().await.unwrap();
    let options = options(&http, &gate, Path::new("/tmp/100%"));
    assert!(options.iter().all(|option| option != "--"), "it ends them");
    let output = options.last().unwrap();
    assert_eq!(output, "--output=/tmp/100%%/page.%(ext)s");
    let proxy = format!("--proxy={}", gate.url());
    assert!(options.contains(&proxy.into()));
}
