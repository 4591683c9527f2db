//! The asset-edit role's own worker on the embedded broker: a second attempt edits nothing again that the first one had made, and
//! stores nothing again that it had stored. Between the two the asset is taken away.

use std::path::Path;

use sapari_runtime::testing::Harness;
use sapari_tasks::{AudioFormat, ExtractAudio, ImageFormat, NormalizeImage, TrimAsset};
use sapari_telemetry::testing::Collector;
use sapari_telemetry::tree::TreeStyle;
use uuid::Uuid;

use sapari_runtime::prelude::*;

use super::again::Blocked;
use super::shop::Shop;
use crate::meddling::{BeforeSecond, FailsOnce, last_attempt};

const TO: &str = "made/result";

/// What a second attempt did when the first one could not store what it had made.
async fn after_a_full_storage<T: Task>(shop: &Shop, asset: &Path, task: T) -> Vec<String> {
    let (asset, blocked) = (asset.to_owned(), Blocked::bucket(shop, "made"));
    let way = blocked.path();
    let cleared = move || {
        std::fs::remove_file(&asset).expect("the asset");
        std::fs::remove_file(&way).expect("what is in the way");
    };
    let worker = sapari_asset_edit::worker(shop.media()).with(BeforeSecond(cleared));
    attempted_twice(shop, worker, task).await
}

/// What a second attempt did when all was done, and nobody was told.
async fn after_all_was_done<T: Task>(shop: &Shop, asset: &Path, task: T) -> Vec<String> {
    let asset = asset.to_owned();
    let removed = move || std::fs::remove_file(&asset).expect("the asset");
    let worker = sapari_asset_edit::worker(shop.media())
        .with(BeforeSecond(removed))
        .with(FailsOnce);
    attempted_twice(shop, worker, task).await
}

async fn attempted_twice<S: Send + Sync + 'static, T: Task>(
    shop: &Shop,
    worker: Worker<S>,
    task: T,
) -> Vec<String> {
    let (collector, _default) = Collector::scoped();
    let (tasks, running) = Harness::new(worker).start();
    let handle = tasks.kick(task).await.expect("kicked");
    handle.output().await.expect("done in the end");
    running.stop().await;
    assert!(shop.object(TO).exists(), "it is stored");
    let left = std::fs::read_dir(shop.path("scratch")).expect("a directory");
    assert_eq!(left.count(), 0, "the message has come to its end");
    let tree = collector.tree(&TreeStyle::for_tests(&["taskiq.attempt", "step.outcome"]));
    assert!(tree.contains("taskiq.attempt=2"), "{tree}");
    last_attempt(&tree).into_iter().map(str::to_owned).collect()
}

fn trim(shop: &Shop) -> (std::path::PathBuf, TrimAsset) {
    let asset_key = shop.put(&shop.usual());
    let asset = shop.object(&asset_key);
    let task = TrimAsset {
        asset_file_uuid: Uuid::new_v4(),
        asset_key,
        to_key: TO.to_owned(),
        from_us: 1_000_000,
        to_us: 2_000_000,
    };
    (asset, task)
}

fn sound(shop: &Shop) -> (std::path::PathBuf, ExtractAudio) {
    let asset_key = shop.put(&shop.sound_alone_in("flac"));
    let asset = shop.object(&asset_key);
    let task = ExtractAudio {
        asset_file_uuid: Uuid::new_v4(),
        asset_key,
        to_key: TO.to_owned(),
        format: AudioFormat::Wav,
    };
    (asset, task)
}

fn image(shop: &Shop) -> (std::path::PathBuf, NormalizeImage) {
    let picture = shop.make("a.png", "-f lavfi -i testsrc=s=128x64 -frames:v 1");
    let asset_key = shop.put(&picture);
    let asset = shop.object(&asset_key);
    let task = NormalizeImage {
        asset_file_uuid: Uuid::new_v4(),
        asset_key,
        to_key: TO.to_owned(),
        max_side: 64,
        format: ImageFormat::Png,
    };
    (asset, task)
}

#[tokio::test]
async fn a_trim_is_made_once() {
    let shop = Shop::new();
    let (asset, task) = trim(&shop);
    let expected = [
        "trim.pipeline",
        "step.probe_asset  step.outcome=resumed",
        "step.trim_asset  step.outcome=resumed",
        "step.store_recording  step.outcome=done",
        "ext.storage.put_file [client]",
    ];
    assert_eq!(after_a_full_storage(&shop, &asset, task).await, expected);
}

#[tokio::test]
async fn a_sound_is_extracted_once() {
    let shop = Shop::new();
    let (asset, task) = sound(&shop);
    let expected = [
        "sound.pipeline",
        "step.probe_asset  step.outcome=resumed",
        "step.extract_audio  step.outcome=resumed",
        "step.store_audio  step.outcome=done",
        "ext.storage.put_file [client]",
    ];
    assert_eq!(after_a_full_storage(&shop, &asset, task).await, expected);
}

#[tokio::test]
async fn a_picture_is_fetched_and_normalized_once() {
    let shop = Shop::new();
    let (asset, task) = image(&shop);
    let expected = [
        "image.pipeline",
        "step.download_asset  step.outcome=resumed",
        "step.normalize_image  step.outcome=resumed",
        "step.store_image  step.outcome=done",
        "ext.storage.put_file [client]",
    ];
    assert_eq!(after_a_full_storage(&shop, &asset, task).await, expected);
}

#[tokio::test]
async fn what_was_stored_is_neither_edited_nor_stored_again() {
    let shop = Shop::new();
    let (asset, task) = trim(&shop);
    let trimmed = after_all_was_done(&shop, &asset, task).await;
    let (asset, task) = sound(&shop);
    let extracted = after_all_was_done(&shop, &asset, task).await;
    let (asset, task) = image(&shop);
    let normalized = after_all_was_done(&shop, &asset, task).await;
    // Of what was made, the file went with the first attempt.
    let expected = |pipeline: &str, [first, edit, store]: [&str; 3], found: &str| {
        [
            format!("{pipeline}.pipeline"),
            format!("step.{first}  step.outcome={found}"),
            format!("step.{edit}  step.outcome=skipped"),
            format!("step.{store}  step.outcome=resumed"),
        ]
    };
    let steps = ["probe_asset", "trim_asset", "store_recording"];
    assert_eq!(trimmed, expected("trim", steps, "resumed"));
    let steps = ["probe_asset", "extract_audio", "store_audio"];
    assert_eq!(extracted, expected("sound", steps, "resumed"));
    let steps = ["download_asset", "normalize_image", "store_image"];
    assert_eq!(normalized, expected("image", steps, "skipped"));
}
