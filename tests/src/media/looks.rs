//! What an export's settings come to, from the kick to the files in storage. How it sounds and looks is measured where it is made,
//! in `sapari-services`.

use std::time::Duration;

use sapari_tasks::{Caption, CaptionsAs, ExportSettings, Muted, MutedAs, Resolution, VideoCodec};

use super::shop::{Shop, assert_seconds, probe};

#[tokio::test]
async fn all_settings_at_once() {
    let shop = Shop::new();
    let clip = shop.usual();
    let at = Duration::from_millis;
    let mut edits = shop.edits(&clip, &[(1.0, 2.0), (3.0, 5.0)]);
    edits.mutes.push(Muted::between(at(1200), at(1400)));
    // Over the cut, within what is cut, and after it.
    for (from, to, text) in [
        (1500, 3500, "over <it>"),
        (2100, 2900, "gone"),
        (4000, 4500, "after"),
    ] {
        edits
            .captions
            .push(Caption::between(at(from), at(to), text));
    }
    let settings = ExportSettings {
        muted: MutedAs::Bleep,
        loudness_lufs: Some(-20),
        captions: CaptionsAs::Vtt,
        resolution: Resolution::P480,
        codec: VideoCodec::H265,
    };
    let (export, file) = shop.export(&edits, settings).await.expect("rendered");
    assert_eq!(
        probe(&file, "v:0", "codec_name,width,height"),
        "hevc,320,180"
    );
    assert_seconds(&file, 3.0);
    let captions = shop.text(export.captions_key.as_deref().expect("a file"));
    let expected = "WEBVTT\n\n00:00:00.500 --> 00:00:01.500\nover &lt;it&gt;\n\n\
                    00:00:02.000 --> 00:00:02.500\nafter\n\n";
    assert_eq!(captions, expected);
}

#[tokio::test]
async fn a_preview_is_small() {
    let shop = Shop::new();
    let large = "-f lavfi -i testsrc2=s=1280x720:r=25:d=3 -f lavfi -i sine=d=3 -preset ultrafast";
    let clip = shop.make("large.mp4", large);
    let edits = shop.edits(&clip, &[(0.0, 1.0), (2.0, 3.0)]);
    let (preview, file) = shop.preview(&edits).await.expect("rendered");
    assert_eq!(preview.key, format!("previews/{}.mp4", edits.project_uuid));
    assert_eq!(
        probe(&file, "v:0", "codec_name,width,height"),
        "h264,640,360"
    );
    assert_seconds(&file, 2.0);
}

#[tokio::test]
async fn a_loudness_that_nobody_could_hear_is_refused() {
    let shop = Shop::new();
    let edits = shop.edits(&shop.usual(), &[(0.0, 1.0)]);
    let settings = ExportSettings {
        loudness_lufs: Some(0),
        ..ExportSettings::default()
    };
    let sentence = shop.export(&edits, settings).await.expect_err("rendered");
    assert_eq!(
        sentence,
        "a loudness of 0 LUFS is asked for: give -36 to -6"
    );
}

#[tokio::test]
async fn without_sound_there_is_nothing_to_make_louder() {
    let shop = Shop::new();
    let clip = shop.make(
        "silent.mp4",
        "-f lavfi -i testsrc2=s=320x180:r=25:d=2 -preset ultrafast",
    );
    let settings = ExportSettings {
        loudness_lufs: Some(-14),
        ..ExportSettings::default()
    };
    let (export, _) = shop
        .export(&shop.edits(&clip, &[(0.0, 1.0)]), settings)
        .await
        .expect("rendered");
    assert_eq!(export.segments, 1);
}
