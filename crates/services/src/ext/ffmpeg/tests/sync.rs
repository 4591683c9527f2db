//! Whether sound and picture are still together after cutting: not the lengths, the contents.

use super::*;
use crate::cuts::Segment;

/// A frame at 25 per second: closer, a picture cannot be.
const FRAME: f64 = 0.04;

/// Black and quiet, with a white flash and a tone in the first 0.2 s of each second; the sound
/// stream begins late, as those of many cameras do.
async fn flashes(to: &Path) {
    let picture = "color=black:s=64x64:r=25:d=12,drawbox=c=white:t=fill:enable='lt(mod(t,1),0.2)'";
    let sound = "sine=f=1000:d=11.5,volume='lt(mod(t+0.5,1),0.2)':eval=frame";
    let late = ["-itsoffset", "0.5", "-f", "lavfi", "-i", sound];
    make(&[&["-f", "lavfi", "-i", picture][..], &late].concat(), to).await;
}

/// The seconds at which `filter` notes `key`.
async fn moments(file: &Path, option: &str, filter: &str, key: &str) -> Vec<f64> {
    let mut found = Vec::new();
    ChildProcess::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-loglevel", "error", "-i"])
        .arg(file)
        .args([option, filter, "-f", "null", "-"])
        .run(&CancellationToken::new(), |line| {
            let value = line
                .strip_prefix(key)
                .and_then(|rest| rest.strip_prefix('='));
            found.extend(value.map(|value| value.parse::<f64>().unwrap()));
        })
        .await
        .unwrap();
    found
}

#[tokio::test]
async fn flash_and_tone_stay_together() {
    let (ffmpeg, scratch, cancel) = (ffmpeg().await, scratch(), CancellationToken::new());
    let (from, to) = (
        scratch.path("flashes.mp4").unwrap(),
        scratch.path("cut.mp4").unwrap(),
    );
    flashes(&from).await;
    let source = MediaSource::File(from);
    let probe = ffmpeg.probe(call(&cancel), &source).await.unwrap();
    // Odd times, so that every join falls between frames; each piece holds one flash and the
    // last three.
    let keep = [(0, 613), (1777, 2457), (3891, 4333), (5659, 8519)].map(|(from, to)| Segment {
        from: Duration::from_millis(from),
        to: Duration::from_millis(to),
    });
    let job = CutJob {
        source: &source,
        probe: &probe,
        keep: &keep,
        to: &to,
        look: Look::default(),
    };
    ffmpeg
        .render_cuts(call(&cancel), job, |_| {})
        .await
        .unwrap();

    let flashes = moments(
        &to,
        "-vf",
        "blackdetect=d=0.1:pix_th=0.5,metadata=mode=print:file=-",
        "lavfi.black_end",
    )
    .await;
    let tones = moments(
        &to,
        "-af",
        "silencedetect=n=-30dB:d=0.1,ametadata=mode=print:file=-",
        "lavfi.silence_end",
    )
    .await;
    // The tone of the first second is missing in the source, its flash has no black before it.
    assert_eq!(flashes.len(), 5, "{flashes:?}");
    assert_eq!(tones.len(), 5, "{tones:?}");
    for (flash, tone) in flashes.iter().zip(&tones) {
        assert!((flash - tone).abs() < FRAME, "{flashes:?} {tones:?}");
    }
}
