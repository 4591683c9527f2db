//! What can be read, and what is said of what cannot.

use super::*;
use crate::cuts::Segment;

async fn refusal(name: &str, bytes: &[u8]) -> MediaError {
    let scratch = scratch();
    let path = scratch.path(name).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let cancel = CancellationToken::new();
    let source = MediaSource::File(path);
    ffmpeg()
        .await
        .probe(call(&cancel), &source)
        .await
        .unwrap_err()
}

#[tokio::test]
async fn the_sample_is_what_its_readme_says() {
    let cancel = CancellationToken::new();
    let probe = ffmpeg()
        .await
        .probe(call(&cancel), &interview())
        .await
        .unwrap();
    assert_eq!(probe.duration, Duration::from_millis(26_480));
    assert_eq!(probe.format, "mov,mp4,m4a,3gp,3g2,mj2");
    let video = probe.video.unwrap();
    assert_eq!((video.width, video.height), (640, 360));
    assert_eq!(video.fps, Some(FrameRate { num: 25, den: 1 }));
    let audio = probe.audio.unwrap();
    assert_eq!((audio.sample_rate, audio.channels), (48_000, 2));
}

#[tokio::test]
async fn a_text_is_not_a_video() {
    let error = refusal("interview.txt", b"These are the notes of the interview.\n").await;
    assert_eq!(
        error.to_string(),
        "interview.txt is not a video that ffmpeg can read: Invalid data found when processing input"
    );
    assert!(error.is_permanent());
}

#[tokio::test]
async fn an_empty_file_is_not_a_video() {
    let error = refusal("interview.mp4", b"").await;
    let said = error.to_string();
    assert_eq!(
        said,
        "interview.mp4 is not a video that ffmpeg can read: it is empty"
    );
    assert!(error.is_permanent());
}

#[tokio::test]
async fn a_video_cut_off_inside_its_header_is_not_a_video() {
    let MediaSource::File(sample) = interview() else {
        unreachable!("the sample is a file");
    };
    let whole = std::fs::read(sample).unwrap();
    let error = refusal("half.mp4", &whole[..1000]).await;
    assert!(
        matches!(error, MediaError::NotMedia { .. }) && error.is_permanent(),
        "{error}"
    );
}

#[tokio::test]
async fn a_playlist_does_not_make_ffmpeg_open_other_files() {
    let playlist =
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n";
    let error = refusal("clip.mp4", playlist).await;
    assert!(matches!(error, MediaError::NotMedia { .. }), "{error}");
    assert!(
        error.to_string().contains("not one of the accepted"),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_file_is_an_io_error() {
    let scratch = scratch();
    let cancel = CancellationToken::new();
    let source = MediaSource::File(scratch.path("gone.mp4").unwrap());
    let error = ffmpeg()
        .await
        .probe(call(&cancel), &source)
        .await
        .unwrap_err();
    assert!(matches!(error, MediaError::Io { .. }) && !error.is_permanent());
    assert!(error.to_string().contains("gone.mp4"), "{error}");
}

#[tokio::test]
async fn a_directory_is_not_a_video() {
    let scratch = scratch();
    let cancel = CancellationToken::new();
    let source = MediaSource::File(scratch.dir().to_owned());
    let error = ffmpeg()
        .await
        .probe(call(&cancel), &source)
        .await
        .unwrap_err();
    assert!(error.to_string().ends_with("it is not a file"), "{error}");
}

#[tokio::test]
async fn a_missing_ffmpeg_says_what_to_do() {
    let missing = Ffmpeg::at("no-ffmpeg-here", "ffprobe");
    let error = missing.check().await.unwrap_err();
    assert!(error.is_permanent());
    assert_eq!(
        error.to_string(),
        "`no-ffmpeg-here` was not found: install it, or give its full path"
    );
}

#[tokio::test]
async fn it_knows_its_version() {
    let ffmpeg = ffmpeg().await;
    let Versions { ffmpeg, ffprobe } = ffmpeg.check().await.unwrap();
    for version in [ffmpeg, ffprobe] {
        assert!(version.contains(|c: char| c.is_ascii_digit()), "{version}");
    }
}

#[tokio::test]
async fn a_silent_film_has_no_sound_to_extract() {
    let scratch = scratch();
    let film = scratch.path("silent.mp4").unwrap();
    make(&["-f", "lavfi", "-i", "testsrc=d=1:s=64x64"], &film).await;
    let (ffmpeg, cancel) = (ffmpeg().await, CancellationToken::new());
    let source = MediaSource::File(film);
    let probe = ffmpeg.probe(call(&cancel), &source).await.unwrap();
    let to = scratch.path("sound.wav").unwrap();
    let error = ffmpeg
        .extract_audio(call(&cancel), &source, &probe, &to, |_| {})
        .await;
    let error = error.unwrap_err();
    assert!(error.is_permanent());
    assert_eq!(
        error.to_string(),
        "silent.mp4 has no sound: give a recording with an audio track"
    );
}

#[tokio::test]
async fn names_that_look_like_options_or_protocols_are_names() {
    let scratch = scratch();
    for name in ["-i", "http:x.mp4", "a'b [c];%d.mp4"] {
        let path = scratch.path(name).unwrap();
        let MediaSource::File(sample) = interview() else {
            unreachable!("the sample is a file");
        };
        std::fs::copy(sample, &path).unwrap();
        let cancel = CancellationToken::new();
        let probed = ffmpeg()
            .await
            .probe(call(&cancel), &MediaSource::File(path))
            .await;
        assert!(probed.is_ok(), "{name}: {probed:?}");
    }
}

#[tokio::test]
async fn a_video_cut_off_in_the_middle_is_not_rendered_short() {
    let MediaSource::File(sample) = interview() else {
        unreachable!("the sample is a file");
    };
    let scratch = scratch();
    let (half, to) = (
        scratch.path("half.mp4").unwrap(),
        scratch.path("out.mp4").unwrap(),
    );
    let whole = std::fs::read(sample).unwrap();
    std::fs::write(&half, &whole[..whole.len() / 2]).unwrap();
    let (ffmpeg, cancel) = (ffmpeg().await, CancellationToken::new());
    let source = MediaSource::File(half);
    let probe = ffmpeg.probe(call(&cancel), &source).await.unwrap();
    let keep = [Segment {
        from: Duration::ZERO,
        to: probe.duration,
    }];
    let error = cut(&source, &keep, &to).await.unwrap_err();
    assert!(
        error.is_permanent() && error.to_string().contains("cut off"),
        "{error}"
    );
    assert!(!to.exists());
}
