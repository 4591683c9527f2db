//! How what is kept looks and sounds: measured on what came out.

use super::*;
use crate::captions::{self, Cue};
use crate::cuts::{CutSettings, Segment, keep_segments};

fn segment(from_ms: u64, to_ms: u64) -> Segment {
    Segment {
        from: Duration::from_millis(from_ms),
        to: Duration::from_millis(to_ms),
    }
}

/// A source with what is kept of it.
struct Film {
    ffmpeg: Ffmpeg,
    scratch: Scratch,
    source: MediaSource,
    probe: Probe,
    keep: Vec<Segment>,
}

impl Film {
    async fn of(source: MediaSource, keep: Vec<Segment>) -> Self {
        let (ffmpeg, cancel) = (ffmpeg().await, CancellationToken::new());
        let probe = ffmpeg.probe(call(&cancel), &source).await.unwrap();
        Self {
            ffmpeg,
            scratch: scratch(),
            source,
            probe,
            keep,
        }
    }

    /// Ten seconds of a tone of 300 Hz, and of grey.
    async fn tone(keep: Vec<Segment>) -> Self {
        let place = scratch();
        let path = place.path("tone.mp4").unwrap();
        let picture = "color=gray:s=320x180:r=25:d=10";
        let sound = "sine=f=300:r=48000:d=10,aformat=channel_layouts=stereo";
        make(
            &["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound],
            &path,
        )
        .await;
        let film = Self::of(MediaSource::File(path), keep).await;
        Self {
            scratch: place,
            ..film
        }
    }

    async fn rendered(&self, look: Look<'_>) -> PathBuf {
        let (cancel, to) = (
            CancellationToken::new(),
            self.scratch.path("out.mp4").unwrap(),
        );
        let job = CutJob {
            source: &self.source,
            probe: &self.probe,
            keep: &self.keep,
            to: &to,
            look,
        };
        self.ffmpeg
            .render_cuts(call(&cancel), job, |_| {})
            .await
            .unwrap();
        to
    }

    async fn loudness(&self, source: &MediaSource, keep: &[Segment]) -> Loudness {
        let cancel = CancellationToken::new();
        let probe = self.ffmpeg.probe(call(&cancel), source).await.unwrap();
        let job = CutJob {
            source,
            probe: &probe,
            keep,
            to: &self.scratch.path("measured").unwrap(),
            look: Look::default(),
        };
        let measured = self.ffmpeg.measure_loudness(call(&cancel), job).await;
        measured.unwrap().expect("there is sound")
    }
}

/// How strong the sound of a stretch is, in decibels of full scale, after `filter`.
async fn level(file: &Path, stretch: Segment, filter: &str) -> f64 {
    let (from, to) = (filter::seconds(stretch.from), filter::seconds(stretch.to));
    let filter = format!("atrim=start={from}:end={to},{filter}volumedetect");
    let said = ChildProcess::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-i"])
        .arg(file)
        .args(["-vn", "-af", &filter, "-f", "null", "-"])
        .run(&CancellationToken::new(), |_| {})
        .await
        .unwrap();
    let value = said.split("mean_volume: ").nth(1).expect(&said);
    value.split(' ').next().unwrap().parse().unwrap()
}

/// The brightest of the lower half of the pictures at a moment, 0 to 255.
async fn brightest(file: &Path, at: &str) -> u32 {
    let filter =
        "crop=iw:ih/2:0:ih/2,signalstats,metadata=mode=print:key=lavfi.signalstats.YMAX:file=-";
    let mut found = 0;
    ChildProcess::new("ffmpeg")
        .args([
            "-hide_banner",
            "-nostdin",
            "-loglevel",
            "error",
            "-ss",
            at,
            "-i",
        ])
        .arg(file)
        .args(["-frames:v", "1", "-vf", filter, "-f", "null", "-"])
        .run(&CancellationToken::new(), |line| {
            let value = line.strip_prefix("lavfi.signalstats.YMAX=");
            found = value.map_or(found, |value| value.parse().unwrap());
        })
        .await
        .unwrap();
    found
}

/// Codec, width and height.
async fn pictures(file: &Path) -> String {
    let run = ChildProcess::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries"])
        .args(["stream=codec_name,width,height", "-of", "csv=p=0"])
        .arg(file);
    let out = run.collect(&CancellationToken::new(), 1000).await.unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn what_is_kept_is_as_loud_as_it_was() {
    let MediaSource::File(sample) = interview() else {
        unreachable!("the sample is a file");
    };
    let silences = [
        (3151, 6148),
        (10_272, 13_870),
        (16_547, 18_845),
        (23_677, 26_475),
    ];
    let silences = silences.map(|(from, to)| crate::cuts::Silence {
        from: Duration::from_millis(from),
        to: Duration::from_millis(to),
    });
    let keep = keep_segments(
        Duration::from_millis(26_480),
        &silences,
        CutSettings::default(),
    );
    let film = Film::of(interview(), keep).await;
    let out = film.rendered(Look::default()).await;
    let mut at = Duration::ZERO;
    for kept in &film.keep {
        let there = Segment {
            from: at,
            to: at + kept.length(),
        };
        at = there.to;
        let (was, is) = (
            level(&sample, *kept, "").await,
            level(&out, there, "").await,
        );
        assert!((was - is).abs() <= 1.0, "{kept:?}: {was} dB became {is} dB");
    }
}

#[tokio::test]
async fn loudness_is_brought_to_what_was_asked() {
    let film = Film::of(interview(), vec![segment(0, 3200), segment(6000, 10_500)]).await;
    let before = film.loudness(&film.source, &film.keep).await;
    for target in [-14.0, -30.0] {
        let gain = before.gain_to(target);
        let out = film
            .rendered(Look {
                gain,
                ..Look::default()
            })
            .await;
        let after = film
            .loudness(&MediaSource::File(out), &[segment(0, 7600)])
            .await;
        let off = (after.integrated - target).abs();
        assert!(off <= 1.0, "{before:?} became {after:?}, not {target}");
        assert!(after.peak <= 0.0, "{after:?}");
    }
}

#[tokio::test]
async fn a_mute_is_silent_and_its_surroundings_are_not() {
    let mutes = [
        segment(2000, 2500),
        segment(7990, 8010),
        segment(20_000, 21_000),
    ];
    // The first mute begins 1.0 s into the output, the second lies in what is cut.
    let film = Film::tone(vec![segment(1000, 5000), segment(8500, 10_000)]).await;
    let out = film
        .rendered(Look {
            mutes: &mutes,
            ..Look::default()
        })
        .await;
    // AAC smears edges by a frame of 21 ms.
    let (before, within, after) = (segment(500, 970), segment(1030, 1470), segment(1530, 2000));
    assert!(level(&out, within, "").await < -60.0);
    for beside in [before, after] {
        assert!(level(&out, beside, "").await > -25.0);
    }
}

#[tokio::test]
async fn a_bleep_is_a_tone_in_place_of_what_was_said() {
    let mutes = [segment(2000, 2500)];
    let film = Film::tone(vec![segment(0, 4000)]).await;
    let look = Look {
        mutes: &mutes,
        muted: Muted::Bleep,
        ..Look::default()
    };
    let out = film.rendered(look).await;
    let (said, tone) = (
        "bandpass=f=300:width_type=h:w=60,",
        "bandpass=f=1000:width_type=h:w=60,",
    );
    let (within, beside) = (segment(2050, 2450), segment(2550, 3000));
    assert!(level(&out, within, tone).await > -30.0);
    assert!(level(&out, within, said).await < -40.0);
    assert!(level(&out, beside, tone).await < -40.0);
    assert!(level(&out, beside, said).await > -30.0);
    let (video, audio) = stream_seconds(&out).await;
    assert!(
        (video - 4.0).abs() < 0.1 && (audio - 4.0).abs() < 0.1,
        "{video} {audio}"
    );
}

#[tokio::test]
async fn captions_are_burnt_in_whatever_they_say() {
    let tone = Film::tone(vec![segment(1000, 3000), segment(5000, 9000)]).await;
    let film = Film {
        // A directory whose name means something in a filter graph.
        scratch: Scratch::new(tone.scratch.dir(), "a'b,c;[d]=:e").unwrap(),
        ffmpeg: tone.ffmpeg.clone(),
        source: tone.source.clone(),
        probe: tone.probe.clone(),
        keep: tone.keep.clone(),
    };
    let hostile = "it's {\\b1}50% ',movie=/etc/passwd[x];[x]drawtext=\\: \\N\nWWWWWW";
    let cues = [Cue {
        from: Duration::from_secs(6),
        to: Duration::from_secs(7),
        text: hostile.to_owned(),
    }];
    let cues = captions::cut(&cues, &film.keep);
    let size = Look::default().size(film.probe.video.as_ref().unwrap());
    let name = "captions.ass";
    std::fs::write(film.scratch.path(name).unwrap(), captions::ass(&cues, size)).unwrap();
    let out = film
        .rendered(Look {
            subtitles: Some(name),
            ..Look::default()
        })
        .await;
    // 6 s stands at 3 s, after 2 s of the first segment.
    for (at, is_there) in [
        ("1.0", false),
        ("2.8", false),
        ("3.5", true),
        ("4.5", false),
    ] {
        let brightest = brightest(&out, at).await;
        assert_eq!(brightest > 200, is_there, "{brightest} at {at} s");
    }
}

#[tokio::test]
async fn sizes_and_codecs() {
    let film = Film::tone(vec![segment(0, 400)]).await;
    let table = [
        (None, Codec::H264, "h264,320,180"),
        (Some(90), Codec::H264, "h264,160,90"),
        (Some(720), Codec::H265, "hevc,320,180"),
        (Some(101), Codec::Av1, "av1,180,100"),
        (Some(120), Codec::Draft, "h264,212,120"),
    ];
    for (short_side, codec, expected) in table {
        let look = Look {
            short_side,
            codec,
            ..Look::default()
        };
        let out = film.rendered(look).await;
        assert_eq!(pictures(&out).await, expected, "{codec:?}");
    }
}
