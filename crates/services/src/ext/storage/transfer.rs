//! Moving objects between a store and files or memory, with bounded memory.
//!
//! It deliberately sends one part after the other: uploads share the network with downloads of
//! other tasks anyway, and memory stays at one part.

use std::path::Path as FilePath;

use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{GetResult, MultipartUpload, ObjectStore, ObjectStoreExt};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::StorageError;
use crate::part::PartFile;

/// S3 wants at least 5 MiB and at most 10 000 parts.
pub(super) const PART: usize = 8 * 1024 * 1024;

pub(super) async fn upload(
    store: &dyn ObjectStore,
    key: &str,
    path: &Path,
    from: &FilePath,
) -> Result<u64, StorageError> {
    let opened = File::open(from).await;
    let mut file = opened.map_err(StorageError::io("open", from))?;
    let first = next_part(&mut file, from).await?;
    if first.len() < PART {
        let size = first.len() as u64;
        let put = store.put(path, first.into()).await;
        return put
            .map(|_| size)
            .map_err(|e| StorageError::backend("write", key, e));
    }
    let started = store.put_multipart(path).await;
    let mut upload = started.map_err(|e| StorageError::backend("start writing", key, e))?;
    let sent = send_parts(upload.as_mut(), key, first, &mut file, from).await;
    if sent.is_err()
        && let Err(error) = upload.abort().await
    {
        // The first error is the one to report.
        tracing::debug!(%error, key, "upload not aborted");
    }
    sent
}

async fn send_parts(
    upload: &mut dyn MultipartUpload,
    key: &str,
    first: Vec<u8>,
    file: &mut File,
    from: &FilePath,
) -> Result<u64, StorageError> {
    let failed = |error| StorageError::backend("write", key, error);
    let mut size = 0;
    let mut part = first;
    while !part.is_empty() {
        size += part.len() as u64;
        upload.put_part(part.into()).await.map_err(failed)?;
        part = next_part(file, from).await?;
    }
    upload.complete().await.map_err(failed)?;
    Ok(size)
}

async fn next_part(file: &mut File, from: &FilePath) -> Result<Vec<u8>, StorageError> {
    let mut part = Vec::new();
    let read = file.take(PART as u64).read_to_end(&mut part).await;
    read.map_err(StorageError::io("read", from))?;
    Ok(part)
}

pub(super) async fn read(
    store: &dyn ObjectStore,
    key: &str,
    path: &Path,
    limit: u64,
) -> Result<Vec<u8>, StorageError> {
    let found = get(store, key, path).await?;
    let size = found.meta.size;
    if size > limit {
        return Err(StorageError::TooLarge {
            key: key.to_owned(),
            size,
            limit,
        });
    }
    let bytes = found.bytes().await;
    bytes
        .map(Vec::from)
        .map_err(|e| StorageError::backend("read", key, e))
}

pub(super) async fn download(
    store: &dyn ObjectStore,
    key: &str,
    path: &Path,
    to: &FilePath,
) -> Result<u64, StorageError> {
    let found = get(store, key, path).await?;
    let part = PartFile::of(to);
    let size = write(found, key, part.path()).await?;
    part.commit()
        .await
        .map_err(StorageError::io("rename the finished part file to", to))?;
    Ok(size)
}

async fn write(found: GetResult, key: &str, to: &FilePath) -> Result<u64, StorageError> {
    let expected = found.meta.size;
    let failed = || StorageError::io("write", to);
    let mut file = File::create(to).await.map_err(failed())?;
    let mut chunks = found.into_stream();
    let mut size = 0;
    loop {
        let chunk = chunks.try_next().await;
        let Some(chunk) = chunk.map_err(|e| StorageError::backend("read", key, e))? else {
            break;
        };
        file.write_all(&chunk).await.map_err(failed())?;
        size += chunk.len() as u64;
    }
    // Without it the last write may still be under way, and its error be lost.
    file.flush().await.map_err(failed())?;
    if size == expected {
        return Ok(size);
    }
    let short = format!("got {size} bytes of {expected}");
    Err(failed()(std::io::Error::new(
        std::io::ErrorKind::UnexpectedEof,
        short,
    )))
}

async fn get(store: &dyn ObjectStore, key: &str, path: &Path) -> Result<GetResult, StorageError> {
    let got = store.get(path).await;
    got.map_err(|e| StorageError::backend("read", key, e))
}
