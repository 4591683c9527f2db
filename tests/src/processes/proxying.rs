//! The proxy role as a process, on footage of every kind: each becomes a proxy that browsers play, or is dead with one sentence.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sapari_tasks::{MakeProxy, ProxyManifest};
use serde_json::json;
use uuid::Uuid;

use super::support::footage::{PICTURE, SOUND, cut_off, damaged, look, made, written};
use super::support::{Ended, INTERVIEW, Space};

const H264: [&str; 4] = ["-c:v", "libx264", "-preset", "ultrafast"];

async fn proxy(space: &Space, clip: &Path) -> Ended {
    let clip_file_uuid = Uuid::new_v4();
    let name = clip.file_name().expect("a name").to_string_lossy();
    let task = MakeProxy {
        project_uuid: Uuid::new_v4(),
        clip_file_uuid,
        clip_key: format!("clips/{clip_file_uuid}/{name}"),
    };
    space.store(&task.clip_key, clip);
    let line = [
        "kick",
        "make_proxy",
        "--args",
        &json!(task).to_string(),
        "--wait",
        "120s",
    ];
    space.sapari(&line).ended().await
}

#[track_caller]
fn manifest(ended: &Ended) -> ProxyManifest {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let output = ended.stdout.last().expect("an output");
    serde_json::from_str(output).expect("JSON")
}

/// What is expected of one proxy.
struct Expected {
    clip: PathBuf,
    size: Option<(u32, u32)>,
    has_sound: bool,
    seconds: f64,
    remuxed: bool,
}

impl Expected {
    /// The size of the test picture, with sound, and taken as it is.
    fn of(clip: PathBuf, seconds: f64) -> Self {
        Self {
            clip,
            size: Some((640, 360)),
            has_sound: true,
            seconds,
            remuxed: true,
        }
    }

    fn size(self, size: Option<(u32, u32)>) -> Self {
        Self { size, ..self }
    }

    fn silent(self) -> Self {
        Self {
            has_sound: false,
            ..self
        }
    }

    fn encoded(self) -> Self {
        Self {
            remuxed: false,
            ..self
        }
    }

    async fn check(&self, space: &Space) {
        let Self {
            clip,
            size,
            has_sound,
            seconds,
            remuxed,
        } = self;
        let made = manifest(&proxy(space, clip).await);
        // Pictures of uneven footage come up to 0.2 s apart.
        let file = look(&space.object(&made.key));
        let name = clip.display();
        assert_eq!(
            (made.size, made.remuxed),
            (*size, *remuxed),
            "{name}: {made:?}"
        );
        let video = size.map(|(width, height)| {
            (
                "h264".to_owned(),
                "yuv420p".to_owned(),
                width.into(),
                height.into(),
            )
        });
        assert_eq!(file.video, video, "{name}");
        assert_eq!(file.audio, has_sound.then(|| "aac".to_owned()), "{name}");
        assert!((file.seconds - seconds).abs() < 0.2, "{name}: {file:?}");
        assert!(
            file.apart < 0.25 && file.is_upright && file.is_streamable,
            "{name}: {file:?}"
        );
        assert_eq!(
            made.poster_key.is_some(),
            size.is_some(),
            "{name}: {made:?}"
        );
        if let (Some(size), Some(poster), Some(sheet)) = (size, &made.poster_key, &made.thumbnails)
        {
            let poster = look(&space.object(poster)).video.expect("a picture");
            assert_eq!(
                (poster.2, poster.3),
                (size.0.into(), size.1.into()),
                "{name}"
            );
            let found = look(&space.object(&sheet.key)).video.expect("a picture");
            let (width, rows) = (
                sheet.columns * sheet.tile_width,
                sheet.tiles.div_ceil(sheet.columns),
            );
            let expected = (i64::from(width), i64::from(rows * sheet.tile_height));
            assert_eq!((found.2, found.3), expected, "{name}: {sheet:?}");
        }
    }
}

const YUV: [&str; 2] = ["-pix_fmt", "yuv420p"];

fn with_sound() -> Vec<&'static str> {
    [PICTURE, SOUND].concat()
}

/// Ten bits, turned, huge.
fn to_be_encoded(dir: &Path) -> Vec<Expected> {
    let large = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=1920x1080:rate=25:duration=2",
    ];
    let ten_bits = ["-pix_fmt", "yuv420p10le", "-c:a", "libmp3lame"];
    let ten_bits = made(dir, "ten-bits.mkv", &[&large, &SOUND, &H264, &ten_bits]);
    let upright = made(dir, "upright.mp4", &[&with_sound(), &H264, &YUV]);
    let upright = upright.display().to_string();
    let turned = ["-i", &upright, "-c", "copy", "-metadata:s:v", "rotate=90"];
    let turned = made(dir, "turned.mp4", &[&turned]);
    let huge = [
        "-f",
        "lavfi",
        "-i",
        "color=size=7680x4320:rate=5:duration=1",
    ];
    let huge = made(dir, "huge.mp4", &[&huge, &H264, &YUV]);
    vec![
        Expected::of(ten_bits, 2.0)
            .size(Some((1280, 720)))
            .encoded(),
        Expected::of(turned, 2.0).size(Some((360, 640))).encoded(),
        Expected::of(huge, 1.0)
            .size(Some((1280, 720)))
            .silent()
            .encoded(),
    ]
}

/// A frame rate that changes, a single frame, nothing but sound.
fn uneven_and_one_sided(dir: &Path) -> Vec<Expected> {
    let uneven = ["-vf", "select='lt(t,1)+not(mod(n,5))'", "-vsync", "vfr"];
    let other = ["-pix_fmt", "yuv444p"];
    let copied = made(dir, "uneven.mp4", &[&with_sound(), &uneven, &H264, &YUV]);
    let encoded = made(dir, "uneven.mkv", &[&with_sound(), &uneven, &H264, &other]);
    let silent = made(dir, "silent.mp4", &[&PICTURE, &H264, &YUV]);
    let one = made(
        dir,
        "one.mp4",
        &[&PICTURE, &H264, &YUV, &["-frames:v", "1"]],
    );
    vec![
        Expected::of(copied, 2.0),
        Expected::of(encoded, 2.0).encoded(),
        Expected::of(silent, 2.0).silent(),
        Expected::of(one, 0.04).silent(),
        Expected::of(made(dir, "sound.m4a", &[&SOUND]), 2.0).size(None),
        Expected::of(made(dir, "sound.wav", &[&SOUND]), 2.0)
            .size(None)
            .encoded(),
    ]
}

/// Fine, under a wrong name, with bytes turned over.
fn to_be_taken_as_it_is(dir: &Path) -> Vec<Expected> {
    let aac = ["-c:a", "aac"];
    let matroska = made(dir, "a.mkv", &[&with_sound(), &H264, &YUV, &aac]);
    let mislabelled = std::fs::read(matroska).expect("readable");
    vec![
        Expected::of(INTERVIEW.into(), 26.48),
        Expected::of(written(dir, "mkv.mp4", &mislabelled), 2.0),
        Expected::of(damaged(dir, "damaged.mp4"), 26.48),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn footage_of_every_kind_becomes_a_proxy() {
    let space = Space::new();
    let _worker = space.start("sapari-proxy", &[]).ready().await;
    let dir = space.path("tmp");
    for kind in [to_be_encoded, uneven_and_one_sided, to_be_taken_as_it_is] {
        for expected in kind(&dir) {
            expected.check(&space).await;
        }
    }
    assert_eq!(space.files("scratch"), [""; 0], "scratch files are left");
}

/// The real ffmpeg, for which nothing can be taken as it is.
const COPIES_NOTHING: &str = r#"#!/bin/sh
case " $* " in *" copy "*) echo "[mp4 @ 0x1] it does not fit as it is" >&2; exit 1 ;; esac
PATH=${PATH#*:}
export PATH
exec ffmpeg "$@"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_as_it_is_is_encoded() {
    let space = Space::new();
    let dir = space.path("bin");
    std::fs::create_dir(&dir).expect("writable");
    let program = written(&dir, "ffmpeg", COPIES_NOTHING.as_bytes());
    std::fs::set_permissions(program, Permissions::from_mode(0o755)).expect("ours");
    let path = std::env::var("PATH").expect("there is one");
    let space = space.with("PATH", &format!("{}:{path}", dir.display()));
    let _worker = space.start("sapari-proxy", &[]).ready().await;
    let fine = made(&space.path("tmp"), "a.mp4", &[&with_sound(), &H264, &YUV]);
    Expected::of(fine, 2.0).encoded().check(&space).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_footage_is_dead_with_one_sentence() {
    let space = Space::new();
    let _worker = space.start("sapari-proxy", &[]).ready().await;
    let dir = space.path("tmp");
    let both = [&PICTURE[..], &SOUND[..]].concat();
    let late_head = made(&dir, "late.mp4", &[&both, &H264]);
    let early_head = made(
        &dir,
        "early.mp4",
        &[&both, &H264, &["-movflags", "+faststart"]],
    );
    let picture = made(&dir, "a.png", &[&PICTURE, &["-frames:v", "1"]]);
    let picture = std::fs::read(picture).expect("readable");
    let noise: Vec<u8> = (0..100_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let table = [
        (written(&dir, "empty.mp4", b""), "it is empty"),
        (
            written(&dir, "notes.mp4", b"milk, bread\n"),
            "is not a video that ffmpeg can read",
        ),
        (
            written(&dir, "noise.mp4", &noise),
            "is not a video that ffmpeg can read",
        ),
        (
            written(&dir, "picture.mp4", &picture),
            "is not a video that ffmpeg can read",
        ),
        (
            cut_off(&late_head, "half-late.mp4", 0.5),
            "is not a video that ffmpeg can read",
        ),
        (
            cut_off(&early_head, "half-early.mp4", 0.5),
            "it is damaged or cut off",
        ),
    ];
    for (clip, words) in table {
        proxy(&space, &clip).await.assert_sentence(1, words);
    }
    let stored = space.files("storage");
    assert!(
        stored.iter().all(|key| key.starts_with("clips/")),
        "{stored:?}"
    );
}
