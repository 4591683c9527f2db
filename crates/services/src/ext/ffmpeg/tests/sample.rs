//! The whole way of the sample: sound, silences, cuts, render; with the measured numbers.

use super::*;
use crate::cuts::{CutSettings, Segment, Silence, keep_segments, total};

/// Measured with the default settings (-35 dB), in milliseconds. The table of the sample's README
/// has 3543-6143, 10668-13868, 16941-18841, 21990-22340 and 24071-26471: speech fades before its
/// nominal end.
const MEASURED: [(u64, u64); 5] = [
    (3151, 6148),
    (10_272, 13_870),
    (16_547, 18_845),
    (21_601, 22_387),
    (23_677, 26_475),
];
/// What other versions of the resampler may move.
const TOLERANCE_MS: u64 = 30;

async fn silences(ffmpeg: &Ffmpeg, scratch: &Scratch, probe: &Probe) -> Vec<Silence> {
    let cancel = CancellationToken::new();
    let wav = scratch.path("sound.wav").unwrap();
    let mut told = Vec::new();
    let source = interview();
    let extracted = ffmpeg.extract_audio(call(&cancel), &source, probe, &wav, |f| told.push(f));
    extracted.await.unwrap();
    assert_eq!(told.last(), Some(&1.0));
    let settings = SilenceSettings::default();
    ffmpeg
        .detect_silences(call(&cancel), &wav, settings)
        .await
        .unwrap()
}

fn near(measured: Duration, expected_ms: u64) -> bool {
    measured.abs_diff(Duration::from_millis(expected_ms)) <= Duration::from_millis(TOLERANCE_MS)
}

#[tokio::test]
async fn the_sound_is_what_speech_recognition_wants() {
    let (ffmpeg, scratch, cancel) = (ffmpeg().await, scratch(), CancellationToken::new());
    let probe = ffmpeg.probe(call(&cancel), &interview()).await.unwrap();
    let wav = scratch.path("-sound.wav").unwrap();
    ffmpeg
        .extract_audio(call(&cancel), &interview(), &probe, &wav, |_| {})
        .await
        .unwrap();
    let wav = ffmpeg
        .probe(call(&cancel), &MediaSource::File(wav))
        .await
        .unwrap();
    let audio = wav.audio.unwrap();
    assert_eq!(
        (wav.format.as_str(), audio.sample_rate, audio.channels),
        ("wav", 16_000, 1)
    );
    assert!(near(wav.duration, 26_475), "{:?}", wav.duration);
}

#[tokio::test]
async fn compressed_speech_is_small_and_keeps_its_times() {
    let (ffmpeg, scratch, cancel) = (ffmpeg().await, scratch(), CancellationToken::new());
    let probe = ffmpeg.probe(call(&cancel), &interview()).await.unwrap();
    let found = silences(&ffmpeg, &scratch, &probe).await;
    let (wav, ogg) = (
        scratch.path("sound.wav").unwrap(),
        scratch.path("sound.ogg").unwrap(),
    );
    let compressed = ffmpeg.compress_speech(call(&cancel), &wav, &ogg).await;
    compressed.unwrap();
    let bytes = |path: &Path| std::fs::metadata(path).unwrap().len();
    assert!(bytes(&ogg) * 5 < bytes(&wav), "{} bytes", bytes(&ogg));
    let settings = SilenceSettings::default();
    let same = ffmpeg
        .detect_silences(call(&cancel), &ogg, settings)
        .await
        .unwrap();
    assert_eq!(same.len(), found.len(), "{same:?}");
    let limit = Duration::from_millis(100);
    for (same, found) in same.iter().zip(&found) {
        let moved = same
            .from
            .abs_diff(found.from)
            .max(same.to.abs_diff(found.to));
        assert!(moved <= limit, "{same:?} was {found:?}");
    }
}

#[tokio::test]
async fn the_silences_of_the_sample() {
    let (ffmpeg, scratch, cancel) = (ffmpeg().await, scratch(), CancellationToken::new());
    let probe = ffmpeg.probe(call(&cancel), &interview()).await.unwrap();
    let found = silences(&ffmpeg, &scratch, &probe).await;
    assert_eq!(found.len(), MEASURED.len(), "{found:?}");
    for (silence, (from, to)) in found.iter().zip(MEASURED) {
        assert!(
            near(silence.from, from) && near(silence.to, to),
            "{silence:?}"
        );
    }
}

#[tokio::test]
async fn the_sample_is_cut_in_sync() {
    let (ffmpeg, scratch, cancel) = (ffmpeg().await, scratch(), CancellationToken::new());
    let probe = ffmpeg.probe(call(&cancel), &interview()).await.unwrap();
    let found = silences(&ffmpeg, &scratch, &probe).await;
    let keep = keep_segments(probe.duration, &found, CutSettings::default());
    assert_eq!(
        keep.len(),
        4,
        "four pauses are cut, the last with the end: {keep:?}"
    );
    let breath = |s: &Segment| s.from < Duration::from_secs(21) && s.to > Duration::from_secs(23);
    assert!(
        keep.iter().any(breath),
        "the breath at 21.99 stays: {keep:?}"
    );
    assert!(near(total(&keep), 16_535), "{:?}", total(&keep));

    let to = scratch.path("cut.mp4").unwrap();
    let mut told = Vec::new();
    let source = interview();
    let job = CutJob {
        source: &source,
        probe: &probe,
        keep: &keep,
        to: &to,
        look: Look::default(),
    };
    ffmpeg
        .render_cuts(call(&cancel), job, |f| told.push(f))
        .await
        .unwrap();
    assert!(told.is_sorted() && told.last() == Some(&1.0), "{told:?}");
    assert_eq!(
        std::fs::read_dir(scratch.dir()).unwrap().count(),
        2,
        "only sound.wav and cut.mp4"
    );

    let (video, audio) = stream_seconds(&to).await;
    assert!(
        (video - audio).abs() < 0.1,
        "video {video} s, audio {audio} s"
    );
    assert!(
        (video - total(&keep).as_secs_f64()).abs() < 0.1,
        "video {video} s"
    );
    let rendered = ffmpeg
        .probe(call(&cancel), &MediaSource::File(to))
        .await
        .unwrap();
    assert!(rendered.video.is_some() && rendered.audio.is_some());
}

#[tokio::test]
async fn many_cuts_stay_in_sync_and_go_through_a_file() {
    let (ffmpeg, scratch, cancel) = (ffmpeg().await, scratch(), CancellationToken::new());
    let probe = ffmpeg.probe(call(&cancel), &interview()).await.unwrap();
    let slice = |n: u64| stretch((n * 120 + 7, n * 120 + 87));
    let keep: Vec<_> = (0..200).map(slice).collect();
    assert!(filter::graph(&probe, &keep, &Look::default()).text.len() > render::MAX_GRAPH_ARG);
    let to = scratch.path("many.mp4").unwrap();
    cut(&interview(), &keep, &to).await.unwrap();
    let (video, audio) = stream_seconds(&to).await;
    assert!(
        (video - 16.0).abs() < 0.1 && (audio - 16.0).abs() < 0.1,
        "{video} {audio}"
    );
    assert_eq!(
        std::fs::read_dir(scratch.dir()).unwrap().count(),
        1,
        "the graph's file is gone"
    );
}

#[tokio::test]
async fn one_kind_of_stream_is_enough() {
    let (ffmpeg, scratch, cancel) = (ffmpeg().await, scratch(), CancellationToken::new());
    let inputs: [(&str, &[&str]); 2] = [
        (
            "silent.mp4",
            &[
                "-f",
                "lavfi",
                "-i",
                "testsrc=d=4:s=65x43",
                "-pix_fmt",
                "yuv444p",
            ],
        ),
        ("blind.wav", &["-f", "lavfi", "-i", "sine=d=4"]),
    ];
    for (name, args) in inputs {
        let path = scratch.path(name).unwrap();
        make(args, &path).await;
        let keep = [(0, 1000), (2000, 3000)].map(stretch);
        let to = scratch.path("out.mp4").unwrap();
        cut(&MediaSource::File(path), &keep, &to).await.unwrap();
        let out = ffmpeg
            .probe(call(&cancel), &MediaSource::File(to))
            .await
            .unwrap();
        assert!(
            (out.duration.as_secs_f64() - 2.0).abs() < 0.1,
            "{name}: {out:?}"
        );
    }
}

#[tokio::test]
async fn nothing_to_keep_is_refused() {
    let scratch = scratch();
    let to = scratch.path("out.mp4").unwrap();
    for keep in [
        &[][..],
        &[(3000, 4000), (1000, 2000)],
        &[(1000, 3000), (2000, 4000)],
    ] {
        let keep: Vec<_> = keep.iter().copied().map(stretch).collect();
        let error = cut(&interview(), &keep, &to).await.unwrap_err();
        assert!(matches!(error, MediaError::Unsupported { .. }), "{error}");
    }
    assert!(!to.exists());
}
