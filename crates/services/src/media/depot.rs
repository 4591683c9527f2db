//! The depot of a role that works in scratch directories: storage, and with the end of a message also what was left for another attempt at it
//! on this machine. What lies on another machine is found by its age.

use std::path::PathBuf;

use async_trait::async_trait;
use sapari_runtime::message::MessageId;
use sapari_runtime::pipeline::Depot;

use crate::{Scratch, Storage};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// As [`Media::depot`](super::Media::depot) makes it.
#[derive(Debug, Clone)]
pub struct MediaDepot {
    pub(super) storage: Storage,
    pub(super) scratch_root: PathBuf,
    pub(super) labels: &'static [&'static str],
}

#[async_trait]
impl Depot for MediaDepot {
    async fn put(&self, id: &MessageId, step: &str, output: Vec<u8>) -> Result<(), BoxError> {
        self.storage.put(id, step, output).await
    }

    async fn get(&self, id: &MessageId, step: &str) -> Result<Option<Vec<u8>>, BoxError> {
        self.storage.get(id, step).await
    }

    async fn clear(&self, id: &MessageId) -> Result<(), BoxError> {
        let (root, labels, of) = (self.scratch_root.clone(), self.labels, id.clone());
        // Removing gigabytes takes a while; whoever waits for the storage does not wait for that.
        tokio::task::spawn_blocking(move || Scratch::forget(&root, labels, of.as_str()));
        self.storage.clear(id).await
    }
}

#[cfg(test)]
mod tests {
    use sapari_runtime::pipeline::conformance;

    use super::super::Media;
    use crate::{Ffmpeg, Scratch, Storage};

    #[tokio::test]
    async fn it_keeps_every_promise_of_a_depot() {
        let root = Scratch::new(&std::env::temp_dir(), "media-depot").unwrap();
        let storage = Storage::open("memory://").unwrap();
        let media = Media::new(Ffmpeg::in_path(), storage, root.dir().to_owned());
        conformance::depot(&media.depot(&["render"])).await;
    }
}
