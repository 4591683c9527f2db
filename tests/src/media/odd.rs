//! Files of unusual kinds that are rendered all the same.

use super::shop::{Shop, assert_seconds, probe};
use sapari_tasks::{AudioFormat, ImageFormat};

const KEEP: [(f64, f64); 2] = [(0.5, 2.0), (3.0, 5.5)];
const KEPT: f64 = 4.0;

#[tokio::test]
async fn of_a_variable_frame_rate() {
    let shop = Shop::new();
    let clip = shop.of_a_variable_frame_rate();
    assert_ne!(
        probe(&clip, "v:0", "avg_frame_rate"),
        probe(&clip, "v:0", "r_frame_rate")
    );
    let (export, file) = shop.render(&clip, &KEEP).await.expect("rendered");
    assert!((export.seconds - KEPT).abs() < 0.1, "{export:?}");
    assert_seconds(&file, KEPT);
}

/// It is cut where it is to be cut, not where the next picture is, and it is not taken for one that is cut off.
#[tokio::test]
async fn of_pictures_that_are_shown_for_long() {
    let shop = Shop::new();
    for (file, seconds) in [
        (shop.of_a_picture_that_stays(), 12.0),
        (shop.of_slides(), 20.0),
    ] {
        let (proxy, _) = shop.clip(&file).proxy().await.expect("made a proxy of");
        assert!((proxy.seconds - seconds).abs() < 0.1, "{proxy:?}");
        let keep = [(0.5, 2.0), (3.0, 5.5), (10.7, 11.8)];
        let (export, file) = shop.render(&file, &keep).await.expect("rendered");
        let length: f64 = probe(&file, "v:0", "duration").parse().expect("a length");
        assert!(
            (export.seconds - length).abs() < 0.01,
            "{export:?}: {length}"
        );
        assert!((length - 5.1).abs() < 0.1, "{length}");
    }
}

#[tokio::test]
async fn stored_lying_on_its_side() {
    let shop = Shop::new();
    let clip = shop.turned();
    let (_, file) = shop.render(&clip, &KEEP).await.expect("rendered");
    assert_eq!(probe(&file, "v:0", "width,height"), "180,320", "upright");
    assert_seconds(&file, KEPT);
}

#[tokio::test]
async fn of_ten_bits() {
    let shop = Shop::new();
    let clip = shop.of_ten_bits();
    assert_eq!(probe(&clip, "v:0", "pix_fmt"), "yuv420p10le");
    let (_, file) = shop.render(&clip, &KEEP).await.expect("rendered");
    assert_eq!(
        probe(&file, "v:0", "pix_fmt"),
        "yuv420p",
        "plays everywhere"
    );
    assert_seconds(&file, KEPT);
}

#[tokio::test]
async fn of_sound_alone() {
    let shop = Shop::new();
    let clip = shop.sound_alone_in("mp3");
    let (_, file) = shop.render(&clip, &KEEP).await.expect("rendered");
    let length: f64 = probe(&file, "a:0", "duration").parse().expect("a length");
    assert!((length - KEPT).abs() <= 0.1, "{length}");
}

#[tokio::test]
async fn of_pictures_alone() {
    let shop = Shop::new();
    let clip = shop.pictures_alone();
    let (_, file) = shop.render(&clip, &KEEP).await.expect("rendered");
    let length: f64 = probe(&file, "v:0", "duration").parse().expect("a length");
    assert!((length - KEPT).abs() <= 0.1, "{length}");
}

#[tokio::test]
async fn shorter_than_anybody_would_record() {
    let shop = Shop::new();
    let pictures = "-f lavfi -i testsrc2=s=320x180:r=25:d=0.1";
    let one = shop.make("one.mp4", &format!("{pictures} -frames:v 1"));
    let short = shop.make("short.mp4", &format!("{pictures} -f lavfi -i sine=d=0.1"));
    for (file, seconds) in [(one, 0.04), (short, 0.12)] {
        let clip = shop.clip(&file);
        let (proxy, stored) = clip.proxy().await.expect("made a proxy of");
        assert!((proxy.seconds - seconds).abs() < 0.03, "{proxy:?}");
        assert!(proxy.thumbnails.is_some_and(|sheet| sheet.tiles == 1));
        assert_eq!(probe(&stored, "v:0", "width,height"), "320,180");
        let (found, _) = clip.artifacts().await.expect("taken apart");
        assert_eq!(found.waveform_key.is_some(), seconds > 0.1);
        let (export, _) = shop
            .render(&file, &[(0.0, seconds)])
            .await
            .expect("rendered");
        assert!((export.seconds - seconds).abs() < 0.03, "{export:?}");
    }
}

#[tokio::test]
async fn damaged_in_the_middle() {
    let shop = Shop::new();
    let clip = shop.damaged();
    let (_, file) = shop.render(&clip, &KEEP).await.expect("rendered");
    assert_seconds(&file, KEPT);
}

#[tokio::test]
async fn called_what_it_is_not() {
    let shop = Shop::new();
    let clip = shop.called_a_picture();
    let (_, file) = shop.render(&clip, &KEEP).await.expect("rendered");
    assert_seconds(&file, KEPT);
    let picture = shop.path("picture.mp4");
    let png = shop.make("a.png", "-f lavfi -i testsrc=s=128x64 -frames:v 1");
    std::fs::rename(png, &picture).expect("renamed");
    let (image, file) = shop
        .image(&picture, ImageFormat::Jpeg)
        .await
        .expect("normalized");
    assert_eq!((image.width, image.height), (64, 32));
    assert_eq!(
        probe(&file, "v:0", "codec_name,width,height"),
        "mjpeg,64,32"
    );
}

#[tokio::test]
async fn sounds_in_every_format() {
    let shop = Shop::new();
    let clip = shop.usual();
    for (format, codec) in [
        (AudioFormat::M4a, "aac"),
        (AudioFormat::Mp3, "mp3"),
        (AudioFormat::Wav, "pcm_s16le"),
    ] {
        let (sound, file) = shop.sound(&clip, format).await.expect("extracted");
        assert_eq!(probe(&file, "a:0", "codec_name"), codec);
        let length: f64 = probe(&file, "a:0", "duration").parse().expect("a length");
        assert!((length - 6.0).abs() <= 0.1 && sound.bytes > 0, "{length}");
    }
}

/// What is said of a file is what it is, and not what its source was.
#[tokio::test]
async fn sound_that_ends_before_the_pictures_is_as_long_as_it_is() {
    let shop = Shop::new();
    let clip = shop.of_sound_that_ends_early("mp4");
    let (sound, file) = shop
        .sound(&clip, AudioFormat::Wav)
        .await
        .expect("extracted");
    let length: f64 = probe(&file, "a:0", "duration").parse().expect("a length");
    assert!(
        (length - 4.0).abs() <= 0.1 && (sound.seconds - length).abs() < 0.05,
        "{sound:?}"
    );
}

#[tokio::test]
async fn pictures_are_turned_upright_and_tell_nothing() {
    let shop = Shop::new();
    let plain = shop.make("plain.jpg", "-f lavfi -i testsrc=s=128x64 -frames:v 1");
    let bytes = std::fs::read(plain).expect("readable");
    // Orientation 6: to be turned by a quarter. Beside it, what a camera would rather not tell.
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x02".to_vec();
    exif.extend(b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\x01\x31\0\x02\0\0\0\x04GPS\0\0\0\0\0");
    let length = u16::try_from(exif.len() + 2).expect("short").to_be_bytes();
    let turned = [&bytes[..2], b"\xff\xe1", &length, &exif, &bytes[2..]].concat();
    let path = shop.path("turned.jpg");
    std::fs::write(&path, turned).expect("written");
    for (format, codec) in [(ImageFormat::Jpeg, "mjpeg"), (ImageFormat::Png, "png")] {
        let (image, file) = shop.image(&path, format).await.expect("normalized");
        assert_eq!((image.width, image.height), (32, 64));
        assert_eq!(
            probe(&file, "v:0", "codec_name,width,height"),
            format!("{codec},32,64")
        );
        let made = std::fs::read(file).expect("readable");
        assert!(!made.windows(3).any(|part| part == b"GPS"), "{codec}");
    }
}

#[tokio::test]
async fn pictures_of_every_format_that_is_taken() {
    let shop = Shop::new();
    for (name, encoder) in [
        ("lossy.webp", "-c:v libwebp"),
        ("exact.webp", "-c:v libwebp -lossless 1"),
        ("still.gif", "-c:v gif"),
        ("exact.png", "-c:v png"),
    ] {
        let args = format!("-f lavfi -i testsrc=s=200x100 -frames:v 1 {encoder}");
        let picture = shop.make(name, &args);
        let (image, _) = shop.image(&picture, ImageFormat::Png).await.expect(name);
        assert_eq!((image.width, image.height), (64, 32), "{name}");
    }
}
