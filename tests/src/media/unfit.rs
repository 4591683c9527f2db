//! What is refused for good, each with a sentence that says why.

use std::path::Path;

use sapari_tasks::{AudioFormat, ImageFormat};

use super::shop::Shop;

const WHOLE: [(f64, f64); 1] = [(0.0, 6.0)];

/// Whatever is to be done with it, the reason is said.
async fn assert_refused(shop: &Shop, file: &Path, words: &str) {
    let clip = shop.clip(file);
    let edits = shop.edits(file, &WHOLE);
    let sentences = [
        clip.artifacts().await.expect_err("taken apart"),
        clip.proxy().await.expect_err("made a proxy of"),
        clip.analyse().await.expect_err("analysed"),
        shop.render(file, &WHOLE).await.expect_err("rendered"),
        shop.preview(&edits).await.expect_err("shown"),
        shop.trim(file, (0, 6000)).await.expect_err("trimmed"),
        shop.sound(file, AudioFormat::M4a)
            .await
            .expect_err("extracted"),
    ];
    for sentence in sentences {
        assert!(sentence.contains(words), "{words:?} is missing: {sentence}");
    }
}

/// As [`assert_refused`], and it does not even come into storage.
async fn assert_no_recording(shop: &Shop, file: &Path, words: &str) {
    assert_refused(shop, file, words).await;
    let clip = shop.clip_to_come(file);
    let sentence = clip.download(file).await.expect_err("fetched");
    assert!(sentence.contains(words), "{words:?} is missing: {sentence}");
}

#[tokio::test]
async fn noise() {
    let shop = Shop::new();
    let noise: Vec<u8> = (0..50_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let file = shop.written("noise.mp4", &noise);
    let words = "noise.mp4 is not a video that ffmpeg can read";
    assert_no_recording(&shop, &file, words).await;
}

#[tokio::test]
async fn nothing() {
    let shop = Shop::new();
    let file = shop.written("empty.mp4", b"");
    let words = "empty.mp4 is not a video that ffmpeg can read: it is empty";
    assert_refused(&shop, &file, words).await;
    let clip = shop.clip_to_come(&file);
    let sentence = clip.download(&file).await.expect_err("fetched");
    let words = "the file from 127.0.0.1 is empty";
    assert!(sentence.ends_with(words), "{sentence}");
}

/// Its head is whole, so that only reading on shows it: it is fetched, and then refused.
#[tokio::test]
async fn cut_off_in_the_middle() {
    let shop = Shop::new();
    let file = shop.cut_off(&shop.usual(), 60);
    let words = "half-usual.mp4 cannot be processed: it is damaged or cut off";
    assert_refused(&shop, &file, words).await;
    let clip = shop.clip_to_come(&file);
    clip.download(&file).await.expect("fetched");
    let sentence = clip.artifacts().await.expect_err("taken apart");
    assert!(sentence.contains(words), "{sentence}");
}

/// Whether its pictures are read or its sound.
#[tokio::test]
async fn cut_off_in_containers_that_say_how_much_there_is() {
    let shop = Shop::new();
    let films = ["mkv", "avi", "flv", "mxf"].map(|container| shop.in_a(container));
    let sounds = ["flac", "caf", "wav"].map(|container| shop.sound_alone_in(container));
    for whole in films.into_iter().chain(sounds) {
        let file = shop.cut_off(&whole, 60);
        let clip = shop.clip(&file);
        let name = file.file_name().expect("a name").to_string_lossy();
        let words = format!("{name} cannot be processed: it is damaged or cut off");
        for sentence in [
            clip.artifacts().await.expect_err("taken apart"),
            clip.proxy().await.expect_err("made a proxy of"),
        ] {
            assert!(sentence.contains(&words), "{sentence}");
        }
    }
}

/// Little of what is asked for is missing, but much of what there should be: it is refused as if all of it were asked for.
#[tokio::test]
async fn a_short_stretch_over_the_place_where_it_is_cut_off() {
    let shop = Shop::new();
    let films = ["mkv", "avi", "flv"].map(|container| shop.in_a(container));
    let others = [shop.usual(), shop.sound_alone_in("wav")];
    for whole in films.into_iter().chain(others) {
        let file = shop.cut_off(&whole, 60);
        for sentence in [
            shop.trim(&file, (2700, 4200)).await.expect_err("trimmed"),
            shop.render(&file, &[(2.7, 4.2)])
                .await
                .expect_err("rendered"),
        ] {
            let words = "cannot be processed: it is damaged or cut off";
            assert!(sentence.contains(words), "{}: {sentence}", file.display());
        }
    }
}

/// A stream does not say how long it is. One that ends where a packet does may have been ended there, and is taken as it is.
#[tokio::test]
async fn a_stream_that_is_cut_off_inside_a_packet() {
    let shop = Shop::new();
    let whole = std::fs::read(shop.in_a("ts")).expect("readable");
    let border = whole.len() * 60 / 100 / 188 * 188;
    let file = shop.written("inside.ts", &whole[..border + 100]);
    let words = "inside.ts cannot be processed: it is damaged or cut off, it ends inside a packet";
    assert_no_recording(&shop, &file, words).await;
    let file = shop.written("border.ts", &whole[..border]);
    let (found, _) = shop.clip(&file).artifacts().await.expect("taken apart");
    assert!((3.0..4.0).contains(&found.seconds), "{found:?}");
}

/// Beside pictures, sound may end early.
#[tokio::test]
async fn sound_that_ends_early_is_whole() {
    let shop = Shop::new();
    for container in ["avi", "flv", "mp4"] {
        let clip = shop.of_sound_that_ends_early(container);
        let (found, _) = shop.clip(&clip).artifacts().await.expect("taken apart");
        assert!((found.seconds - 6.0).abs() < 0.1, "{found:?}");
    }
}

#[tokio::test]
async fn cut_off_before_it_says_what_it_is() {
    let shop = Shop::new();
    let whole = std::fs::read(shop.usual()).expect("readable");
    let file = shop.written("start.mp4", &whole[..200]);
    let words = "start.mp4 is not a video that ffmpeg can read";
    assert_no_recording(&shop, &file, words).await;
}

#[tokio::test]
async fn huge_pictures() {
    let shop = Shop::new();
    let args = "-f lavfi -i color=s=9000x9000:r=1:d=1 -f lavfi -i sine=d=1 -frames:v 1 -c:v mjpeg -pix_fmt yuvj420p";
    let file = shop.make("huge.mp4", args);
    let words = "huge.mp4 cannot be processed: its pictures have 9000 x 9000 pixels";
    assert_no_recording(&shop, &file, words).await;
}

#[tokio::test]
async fn pictures_of_a_shape_that_nothing_encodes() {
    let shop = Shop::new();
    let sound = "-f lavfi -i sine=d=1 -c:v ffv1";
    let make =
        |name: &str, pictures: &str| shop.make(name, &format!("-f lavfi -i {pictures} {sound}"));
    let wide = make("wide.mkv", "testsrc=s=20000x100:r=2:d=1");
    let words = "wide.mkv cannot be processed: its pictures have 20000 x 100 pixels";
    assert_no_recording(&shop, &wide, words).await;
    let thin = make("thin.mkv", "testsrc=s=2x2:r=2:d=1,scale=1:2");
    let words = "thin.mkv cannot be processed: its pictures have 1 x 2 pixels";
    assert_no_recording(&shop, &thin, words).await;
}

#[tokio::test]
async fn a_text_or_a_picture_that_is_called_a_video() {
    let shop = Shop::new();
    let text = b"These are the notes of the interview.\n";
    let file = shop.written("notes.mp4", text);
    assert_no_recording(&shop, &file, "notes.mp4 is not a video").await;
    let png = shop.make("a.png", "-f lavfi -i testsrc=s=128x64 -frames:v 1");
    let file = shop.path("picture.mp4");
    std::fs::rename(png, &file).expect("renamed");
    assert_no_recording(&shop, &file, "picture.mp4 is not a video").await;
    let file = shop.make("moving.gif", "-f lavfi -i testsrc=s=64x64:r=10:d=1");
    assert_no_recording(&shop, &file, "moving.gif is not a video").await;
}

#[tokio::test]
async fn cuts_that_do_not_fit_the_clip() {
    let shop = Shop::new();
    let clip = shop.usual();
    let table: [(&[(f64, f64)], &str); 6] = [
        (&[], "keeps nothing of the clip"),
        (&[(2.0, 2.0)], "keeps nothing of the clip"),
        (
            &[(3.0, 2.0)],
            "begins at 3.000 s and ends before, at 2.000 s",
        ),
        (&[(0.0, 3.0), (2.0, 5.0)], "overlap or are out of order"),
        (&[(4.0, 5.0), (1.0, 2.0)], "overlap or are out of order"),
        (
            &[(1.0, 9.0)],
            "keeps 1.000 s to 9.000 s of a clip that is 6.",
        ),
    ];
    for (keep, words) in table {
        let sentence = shop.render(&clip, keep).await.expect_err("rendered");
        assert!(sentence.contains(words), "{words:?} is missing: {sentence}");
    }
    // Shorter than a frame: there is no picture to show.
    let sentence = shop
        .render(&clip, &[(1.001, 1.002)])
        .await
        .expect_err("rendered");
    assert!(
        sentence.contains("nothing of it is left to keep"),
        "{sentence}"
    );
}

#[tokio::test]
async fn a_trim_outside_the_asset() {
    let shop = Shop::new();
    let clip = shop.usual();
    for stretch in [(0, 9000), (7000, 8000), (3000, 3000), (4000, 2000)] {
        let sentence = shop.trim(&clip, stretch).await.expect_err("trimmed");
        assert!(
            sentence.contains("is no stretch of an asset that is 6."),
            "{sentence}"
        );
    }
}

#[tokio::test]
async fn what_is_no_picture_that_is_taken() {
    let shop = Shop::new();
    let image = "-f lavfi -i testsrc=s=512x512 -frames:v 1";
    let whole = std::fs::read(shop.make("whole.jpg", image)).expect("readable");
    let whole_png = std::fs::read(shop.make("whole.png", image)).expect("readable");
    let mut huge = whole_png.clone();
    huge[16..24].copy_from_slice(&[0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50]);
    let kinds = "it is not a JPEG, PNG, WebP or GIF";
    let table: [(&str, &[u8], &str); 7] = [
        ("empty.jpg", b"", kinds),
        (
            "text.jpg",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            kinds,
        ),
        (
            "start.jpg",
            &whole[..100],
            "it ends before it says how large it is",
        ),
        (
            "half.jpg",
            &whole[..whole.len() / 2],
            "it is damaged or cut off",
        ),
        (
            "half.png",
            &whole_png[..whole_png.len() / 2],
            "it is damaged or cut off",
        ),
        (
            "noise.png",
            &[&whole_png[..60], &[0x55; 400]].concat(),
            "it is damaged or cut off",
        ),
        ("bomb.png", &huge, "it has 50000 x 50000 pixels"),
    ];
    for (name, bytes, words) in table {
        let file = shop.written(name, bytes);
        let sentence = shop.image(&file, ImageFormat::Png).await.expect_err(name);
        assert!(
            sentence.contains(words),
            "{name}: {words:?} is missing: {sentence}"
        );
    }
    let clip = shop.usual();
    let sentence = shop
        .image(&clip, ImageFormat::Png)
        .await
        .expect_err("a video");
    assert!(sentence.contains(kinds), "{sentence}");
}
