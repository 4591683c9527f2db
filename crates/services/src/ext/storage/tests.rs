//! The same behaviour from a directory and from memory; a bucket as far as it goes offline.

use object_store::aws::AmazonS3Builder;
use url::Url;
use uuid::Uuid;

use super::*;
use crate::scratch::Scratch;

fn subject() -> Subject {
    Subject::project(Uuid::now_v7())
}

fn scratch() -> Scratch {
    Scratch::new(&std::env::temp_dir(), "storage-test").unwrap()
}

fn in_dir(scratch: &Scratch) -> Storage {
    let dir = scratch.path("objects").unwrap();
    Storage::open(Url::from_file_path(dir).unwrap().as_str()).unwrap()
}

fn bucket() -> Storage {
    let settings = AmazonS3Builder::new()
        .with_region("eu-central-1")
        .with_access_key_id("AKIDEXAMPLE")
        .with_secret_access_key("s3cret");
    Storage::bucket(&Url::parse("s3://bucket/some/prefix/").unwrap(), settings).unwrap()
}

async fn behaves(storage: &Storage, scratch: &Scratch) {
    let key = "projects/1/a b.bin";
    assert!(!storage.exists(subject(), key).await.unwrap());
    let missing = storage.get_bytes(subject(), key, 10).await.unwrap_err();
    assert!(matches!(&missing, StorageError::NotFound { key: k } if k == key));
    assert!(missing.is_permanent());

    storage
        .put_bytes(subject(), key, b"first".to_vec())
        .await
        .unwrap();
    storage
        .put_bytes(subject(), key, b"second".to_vec())
        .await
        .unwrap();
    assert!(storage.exists(subject(), key).await.unwrap());
    assert_eq!(storage.size(subject(), key).await.unwrap(), 6);
    assert_eq!(
        storage.get_bytes(subject(), key, 6).await.unwrap(),
        b"second"
    );
    let large = storage.get_bytes(subject(), key, 5).await.unwrap_err();
    assert!(matches!(
        large,
        StorageError::TooLarge {
            size: 6,
            limit: 5,
            ..
        }
    ));

    for size in [0, 1, transfer::PART, 2 * transfer::PART + 5] {
        round_trip(storage, scratch, size).await;
    }
}

async fn round_trip(storage: &Storage, scratch: &Scratch, size: usize) {
    let (from, to) = (scratch.path("from").unwrap(), scratch.path("to").unwrap());
    let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
    std::fs::write(&from, &bytes).unwrap();
    let key = format!("files/{size}");
    assert_eq!(
        storage.put_file(subject(), &key, &from).await.unwrap(),
        size as u64
    );
    assert_eq!(
        storage.get_file(subject(), &key, &to).await.unwrap(),
        size as u64
    );
    assert!(
        std::fs::read(&to).unwrap() == bytes,
        "{size} bytes came back changed"
    );
    assert!(!scratch.path("to.unfinished").unwrap().exists());
}

#[tokio::test]
async fn a_directory_behaves() {
    let scratch = scratch();
    behaves(&in_dir(&scratch), &scratch).await;
}

#[tokio::test]
async fn memory_behaves() {
    let scratch = scratch();
    behaves(&Storage::open("memory://").unwrap(), &scratch).await;
}

#[tokio::test]
async fn a_missing_object_leaves_no_file() {
    let scratch = scratch();
    let to = scratch.path("to").unwrap();
    let error = in_dir(&scratch)
        .get_file(subject(), "nope", &to)
        .await
        .unwrap_err();
    assert!(matches!(error, StorageError::NotFound { .. }));
    assert!(!to.exists() && !scratch.path("to.unfinished").unwrap().exists());
}

#[tokio::test]
async fn a_missing_file_is_not_a_missing_object() {
    let scratch = scratch();
    let from = scratch.path("nope").unwrap();
    let error = in_dir(&scratch)
        .put_file(subject(), "a", &from)
        .await
        .unwrap_err();
    assert!(matches!(error, StorageError::Io { .. }) && !error.is_permanent());
}

#[tokio::test]
async fn every_method_checks_its_key() {
    let storage = Storage::open("memory://").unwrap();
    let file = std::path::Path::new("unused");
    let (s, key) = (subject(), "../up");
    let errors = [
        storage.put_bytes(s, key, Vec::new()).await.unwrap_err(),
        storage.put_file(s, key, file).await.unwrap_err(),
        storage.get_bytes(s, key, 1).await.unwrap_err(),
        storage.get_file(s, key, file).await.unwrap_err(),
        storage.size(s, key).await.unwrap_err(),
        storage.exists(s, key).await.unwrap_err(),
        storage.media_source(s, key).await.unwrap_err(),
    ];
    assert!(
        errors
            .iter()
            .all(|e| matches!(e, StorageError::BadKey { .. }))
    );
}

#[tokio::test]
async fn media_is_read_where_it_lies() {
    let scratch = scratch();
    let storage = in_dir(&scratch);
    let missing = storage
        .media_source(subject(), "a/b.mp4")
        .await
        .unwrap_err();
    assert!(matches!(missing, StorageError::NotFound { .. }));
    storage
        .put_bytes(subject(), "a/b 100%.mp4", b"x".to_vec())
        .await
        .unwrap();
    let source = storage
        .media_source(subject(), "a/b 100%.mp4")
        .await
        .unwrap();
    let MediaSource::File(path) = source else {
        panic!("not a file");
    };
    assert_eq!(std::fs::read(path).unwrap(), b"x");
}

#[tokio::test]
async fn memory_has_no_media_source() {
    let storage = Storage::open("memory://").unwrap();
    let error = storage.media_source(subject(), "a").await.unwrap_err();
    assert!(matches!(error, StorageError::NoMediaSource { .. }) && error.is_permanent());
}

#[tokio::test]
async fn a_presigned_url_is_bounded_and_stays_secret() {
    let source = bucket().media_source(subject(), "clip.mp4").await.unwrap();
    let MediaSource::Url(url) = &source else {
        panic!("not a URL");
    };
    assert!(
        url.contains("bucket") && url.contains("/some/prefix/clip.mp4?"),
        "{url}"
    );
    assert!(
        url.contains("X-Amz-Expires=7200") && !url.contains("s3cret"),
        "{url}"
    );
    let shown = format!("{source:?}");
    assert!(
        !shown.contains("X-Amz") && !shown.contains("AKID"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_bucket_out_of_reach_is_transient_and_tells_no_secret() {
    // Bound and let go: nothing listens there now.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let settings = AmazonS3Builder::new()
        .with_endpoint(format!("http://127.0.0.1:{port}"))
        .with_allow_http(true)
        .with_access_key_id("AKIDEXAMPLE")
        .with_secret_access_key("s3cret");
    let storage = Storage::bucket(&Url::parse("s3://bucket").unwrap(), settings).unwrap();
    let error = storage.size(subject(), "clip.mp4").await.unwrap_err();
    assert!(!error.is_permanent());
    let shown = format!("{error} {error:?} {storage:?}");
    assert!(
        !shown.contains("s3cret") && !shown.contains("AKID"),
        "{shown}"
    );
}

#[test]
fn unusable_urls_are_told_without_their_secrets() {
    let urls = [
        "",
        "plain",
        "ftp://h/a",
        "file://host/dir",
        "s3:///prefix",
        "s3://bucket/a/../%00",
        "s3://key:s3cret@bucket/p",
        "s3://bucket?token=s3cret",
        "s3://bu cket:s3cret/",
    ];
    for url in urls {
        let error = Storage::open(url).unwrap_err();
        assert!(error.is_permanent(), "{url}");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{url}");
    }
}

#[test]
fn every_call_may_move_between_threads() {
    fn movable<T: Send>(_: T) {}
    let storage = Storage::open("memory://").unwrap();
    let file = std::path::Path::new("unused");
    movable(storage.put_bytes(subject(), "a", Vec::new()));
    movable(storage.put_file(subject(), "a", file));
    movable(storage.get_bytes(subject(), "a", 1));
    movable(storage.get_file(subject(), "a", file));
    movable(storage.exists(subject(), "a"));
    movable(storage.media_source(subject(), "a"));
}
