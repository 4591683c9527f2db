//! What bounds the programs themselves: their memory, their time when they are asked for their version, and what they may
//! write.
//!
//! It deliberately does not fill gigabytes: a program that prints its limits shows that it has them.

use std::path::PathBuf;

use super::*;
use crate::scratch::executable;

/// What ffprobe would say of the sample, as far as it matters here.
fn recording() -> Probe {
    Probe {
        duration: Duration::from_secs(26),
        video: None,
        audio: Some(AudioStream {
            index: 1,
            sample_rate: 48_000,
            channels: 1,
        }),
        format: String::new(),
        encoding: Encoding::default(),
    }
}

/// A program that fails with its limits in KiB on its lips.
fn tells_its_limits(scratch: &Scratch) -> PathBuf {
    executable(
        scratch,
        "tells",
        "#!/bin/sh\necho \"memory $(ulimit -d) KiB\" >&2\nexit 7\n",
    )
}

#[tokio::test]
async fn ffmpeg_and_ffprobe_have_a_limit_of_memory() {
    let (scratch, cancel) = (scratch(), CancellationToken::new());
    let program = tells_its_limits(&scratch);
    let tools = Ffmpeg::at(&program, &program);
    let probed = tools.probe(call(&cancel), &interview()).await;
    let to = scratch.path("a.wav").unwrap();
    let made = tools
        .extract_audio(call(&cancel), &interview(), &recording(), &to, |_| {})
        .await;
    let versions = tools.check().await.map(drop);
    let table = [
        (probed.map(drop), 2 << 20),
        (made, 12 << 20),
        (versions, 2 << 20),
    ];
    for (ended, kib) in table {
        let expected = format!("`tells` failed with exit code 7: memory {kib} KiB");
        assert_eq!(ended.unwrap_err().to_string(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_hangs_when_it_is_asked_for_its_version_does_not_hang_the_start() {
    let scratch = scratch();
    let hangs = executable(&scratch, "hangs", "#!/bin/sh\nexec sleep 600\n");
    let error = Ffmpeg::at(&hangs, &hangs).check().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`hangs` did not end within 30s: it was stopped"
    );
}

/// The real ffmpeg, which is not let write more than so many blocks of 512 bytes.
#[tokio::test]
async fn a_disk_that_is_full_is_said_in_the_error() {
    let (scratch, cancel) = (scratch(), CancellationToken::new());
    let script = "#!/bin/sh\nulimit -f 200\ntrap '' XFSZ\nexec ffmpeg \"$@\"\n";
    let tools = Ffmpeg::at(executable(&scratch, "ffmpeg", script), "ffprobe");
    let probe = tools.probe(call(&cancel), &interview()).await.unwrap();
    let to = scratch.path("a.wav").unwrap();
    let error = tools
        .extract_audio(call(&cancel), &interview(), &probe, &to, |_| {})
        .await
        .unwrap_err();
    let said = error.to_string();
    assert!(
        said.starts_with("`ffmpeg` failed with exit code "),
        "{said}"
    );
    assert!(
        said.contains("File too large; "),
        "more than one line: {said}"
    );
    assert!(!said.contains("Conversion failed"), "{said}");
    assert!(!error.is_permanent(), "there may be room later");
    assert!(!to.exists() && !scratch.path("a.wav.unfinished").unwrap().exists());
}
