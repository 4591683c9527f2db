//! Whether sound and picture are still together after cutting: not the lengths, the contents.

use super::*;

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

/// AVI tells no times of its own, and some of these frames are stored before others that are shown first. Some are
/// left out. Copied, they would be shown in the order they are stored in.
#[tokio::test]
async fn frames_that_an_avi_stores_in_another_order() {
    let (ffmpeg, scratch, cancel) = (ffmpeg().await, scratch(), CancellationToken::new());
    let path = |name| scratch.path(name).unwrap();
    let (from, proxy, to) = (path("from.avi"), path("proxy.mp4"), path("cut.mp4"));
    let picture = "color=black:s=64x64:r=25:d=8,drawbox=c=white:t=fill:enable='lt(mod(t,1),0.2)',\
                   select='not(between(mod(n,100),30,40))'";
    let sound = "sine=f=1000:d=8,volume='lt(mod(t,1),0.2)':eval=frame";
    let input = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound];
    let codecs = [
        "-vsync",
        "vfr",
        "-c:v",
        "libx264",
        "-bf",
        "3",
        "-c:a",
        "pcm_s16le",
    ];
    make(&[&input[..], &codecs].concat(), &from).await;
    let source = MediaSource::File(from);
    let probe = ffmpeg.probe(call(&cancel), &source).await.unwrap();
    let job = ProxyJob {
        source: &source,
        probe: &probe,
        plan: WebPlan::of(&probe),
        to: &proxy,
    };
    assert_eq!(
        (job.plan.video, job.plan.audio),
        (Stream::Encode, Stream::Encode)
    );
    ffmpeg.make_proxy(call(&cancel), job, |_| {}).await.unwrap();
    assert_frames(&proxy, 178, 8.0).await;
    assert_together(&proxy, 7).await;
    let keep = [(0, 3500), (5500, 8000)].map(stretch);
    cut(&source, &keep, &to).await.unwrap();
    assert_together(&to, 5).await;
}

/// Fails unless there are so many frames, each shown after the one before, over so many seconds.
async fn assert_frames(file: &Path, count: usize, seconds: f64) {
    let run = ChildProcess::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0"])
        .args(["-show_entries", "frame=pts_time", "-of", "csv=p=0"])
        .arg(file);
    let out = run
        .collect(&CancellationToken::new(), 100_000)
        .await
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let times: Vec<f64> = text
        .split([',', '\n'])
        .filter_map(|time| time.trim().parse().ok())
        .collect();
    assert_eq!(times.len(), count);
    assert!(times.is_sorted_by(|one, next| one < next), "{times:?}");
    let (pictures, sound) = stream_seconds(file).await;
    assert!((pictures - seconds).abs() < FRAME && (sound - seconds).abs() < 0.1);
}

/// Fails unless each of these flashes has its tone.
async fn assert_together(file: &Path, count: usize) {
    let (flashes, tones) = (flashes_in(file).await, tones_in(file).await);
    assert_eq!(
        (flashes.len(), tones.len()),
        (count, count),
        "{flashes:?} {tones:?}"
    );
    for (flash, tone) in flashes.iter().zip(&tones) {
        assert!((flash - tone).abs() < FRAME, "{flashes:?} {tones:?}");
    }
}

async fn flashes_in(file: &Path) -> Vec<f64> {
    let filter = "blackdetect=d=0.1:pix_th=0.5,metadata=mode=print:file=-";
    moments(file, "-vf", filter, "lavfi.black_end").await
}

async fn tones_in(file: &Path) -> Vec<f64> {
    let filter = "silencedetect=n=-30dB:d=0.1,ametadata=mode=print:file=-";
    moments(file, "-af", filter, "lavfi.silence_end").await
}

#[tokio::test]
async fn flash_and_tone_stay_together() {
    let scratch = scratch();
    let path = |name| scratch.path(name).unwrap();
    let (from, to) = (path("flashes.mp4"), path("cut.mp4"));
    flashes(&from).await;
    // Odd times, so that every join falls between frames; each piece holds one flash and the
    // last three.
    let keep = [(0, 613), (1777, 2457), (3891, 4333), (5659, 8519)].map(stretch);
    cut(&MediaSource::File(from), &keep, &to).await.unwrap();

    // The tone of the first second is missing in the source, its flash has no black before it.
    assert_together(&to, 5).await;
}
