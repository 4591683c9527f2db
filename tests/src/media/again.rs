//! The second attempt at a message whose first one could not store what it had made: what it had fetched, found and made is used.
//! Each time something is taken away between the two that the first one had needed.

use std::path::PathBuf;

use sapari_runtime::error::{ErrorKind, TaskResult};

use super::shop::{Shop, probe};
use super::stages::message;
use crate::web::{Answer, Web};

/// A file where a directory of storage is to be: nothing can be stored under it.
pub(super) struct Blocked(PathBuf);

impl Blocked {
    pub(super) fn bucket(shop: &Shop, name: &str) -> Self {
        let path = shop.object(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("writable");
        std::fs::write(&path, b"in the way").expect("writable");
        Self(path)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.clone()
    }

    fn free(self) {
        std::fs::remove_file(self.0).expect("a file");
    }
}

/// It failed in a way that another attempt may heal, and left its scratch directory to that.
#[track_caller]
fn assert_comes_again<T: std::fmt::Debug>(shop: &Shop, done: TaskResult<T>, files: &[&str]) {
    let error = done.expect_err("stored");
    assert_eq!(error.kind(), ErrorKind::Retryable, "{error:?}");
    let left = left(shop);
    assert!(
        files.iter().all(|file| left.contains(&(*file).to_owned())),
        "{left:?}"
    );
}

/// The files in the scratch directories.
fn left(shop: &Shop) -> Vec<String> {
    let read = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten();
    let dirs = read(shop.path("scratch"));
    let files = dirs.flat_map(|dir| read(dir.path()));
    files
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .collect()
}

#[tokio::test]
async fn a_clip_is_fetched_once() {
    let shop = Shop::new();
    let file = shop.usual();
    let film = std::fs::read(&file).expect("readable");
    let web = Web::serving(&[("/clip", Answer::File("video/mp4", film.clone()))]).await;
    let (clip, message) = (shop.clip_to_come(&file), message());
    let blocked = Blocked::bucket(&shop, "clips");
    let first = clip.download_as(&message, web.url("/clip")).await;
    assert_comes_again(&shop, first, &["clip-usual.mp4"]);
    blocked.free();
    let url = web.url("/clip");
    let second = clip.download_as(&message, url).await.expect("stored");
    assert_eq!(web.ranges(), [""], "one request");
    assert!((second.seconds - 6.0).abs() < 0.1, "{second:?}");
    assert!(std::fs::read(clip.object(&clip.key)).expect("stored") == film);
    assert_eq!(left(&shop), [""; 0]);
}

#[tokio::test]
async fn the_sound_of_a_clip_is_extracted_once() {
    let shop = Shop::new();
    let (clip, message) = (shop.clip(&shop.usual()), message());
    let blocked = Blocked::bucket(&shop, "artifacts");
    let first = clip.artifacts_as(&message).await;
    assert_comes_again(&shop, first, &["audio.wav"]);
    blocked.free();
    std::fs::remove_file(clip.object(&clip.key)).expect("the clip");
    let second = clip.artifacts_as(&message).await.expect("stored");
    assert!(second.waveform_key.is_some(), "{second:?}");
    let audio = clip.object(&second.audio_key.expect("it has sound"));
    assert_eq!(probe(&audio, "a:0", "sample_rate,channels"), "16000,1");
    assert_eq!(left(&shop), [""; 0]);
}

#[tokio::test]
async fn a_proxy_is_encoded_once() {
    let shop = Shop::new();
    let (clip, message) = (shop.clip(&shop.of_ten_bits()), message());
    let blocked = Blocked::bucket(&shop, "proxies");
    let first = clip.proxy_as(&message).await;
    assert_comes_again(&shop, first, &["proxy.mp4", "poster.jpg", "thumbnails.jpg"]);
    blocked.free();
    std::fs::remove_file(clip.object(&clip.key)).expect("the clip");
    let second = clip.proxy_as(&message).await.expect("stored");
    assert!(!second.remuxed && second.thumbnails.is_some(), "{second:?}");
    let size = probe(&clip.object(&second.key), "v:0", "width,height,pix_fmt");
    assert_eq!(size, "320,180,yuv420p");
    assert_eq!(left(&shop), [""; 0]);
}

/// What was made of it is of no use to anybody: nothing is left.
#[tokio::test]
async fn nothing_is_left_of_what_is_refused() {
    let shop = Shop::new();
    let clip = shop.clip(&shop.cut_off(&shop.usual(), 60));
    clip.proxy().await.expect_err("made a proxy of");
    clip.artifacts().await.expect_err("taken apart");
    let scratch = std::fs::read_dir(shop.path("scratch")).expect("a directory");
    assert_eq!(scratch.count(), 0, "an empty directory is left, too");
}
