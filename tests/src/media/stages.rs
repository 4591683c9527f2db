//! A clip's way through the roles, handler by handler: fetched from the web, taken apart, listened to.

use std::path::{Path, PathBuf};

use sapari_analysis::{Listener, analyze_project};
use sapari_download::{Sources, download_media, process_clip_artifacts};
use sapari_proxy::make_proxy;
use sapari_runtime::error::TaskResult;
use sapari_runtime::handler::State;
use sapari_runtime::pipeline::Alone;
use sapari_services::{AddressRule, FetchLimits, Http};
use sapari_tasks::{
    Analysis, AnalyzeProject, ClipArtifacts, DownloadMedia, Downloaded, EditList, MakeProxy,
    ProcessClipArtifacts, ProxyManifest, Role,
};
use uuid::Uuid;

use super::shop::{Fate, Shop, fate};
use crate::web::{Answer, Web};

/// One clip of one project.
pub(super) struct ClipOf<'a> {
    shop: &'a Shop,
    project_uuid: Uuid,
    clip_file_uuid: Uuid,
    pub(super) key: String,
}

impl Shop {
    /// A clip that lies in storage.
    pub(super) fn clip(&self, file: &Path) -> ClipOf<'_> {
        let clip = self.clip_to_come(file);
        let to = self.object(&clip.key);
        std::fs::create_dir_all(to.parent().expect("a parent")).expect("writable");
        std::fs::copy(file, to).expect("copied");
        clip
    }

    /// A clip of which only the key is known.
    pub(super) fn clip_to_come(&self, file: &Path) -> ClipOf<'_> {
        let clip_file_uuid = Uuid::new_v4();
        let name = file.file_name().expect("a name").to_string_lossy();
        ClipOf {
            shop: self,
            project_uuid: Uuid::new_v4(),
            clip_file_uuid,
            key: format!("clips/{clip_file_uuid}/{name}"),
        }
    }

    /// What the download role works with: this machine's loopback is allowed.
    pub(super) fn sources(&self) -> Sources {
        let here = "127.0.0.1".parse().expect("a network");
        Sources {
            media: self.media(),
            http: Http::new(AddressRule::public().and([here]), FetchLimits::default()),
            ytdlp: None,
        }
    }
}

/// A message whose task may kick what follows it.
pub(super) fn message() -> Alone {
    let followers = [Role::Download, Role::Proxy, Role::Analysis];
    Alone::new().with_queues(followers.map(Role::queue))
}

impl ClipOf<'_> {
    /// Fetches the file into storage from a server that calls every file the same.
    pub(super) async fn download(&self, file: &Path) -> Fate<Downloaded> {
        let bytes = std::fs::read(file).expect("readable");
        let web = Web::serving(&[("/clip", Answer::File("video/mp4", bytes))]).await;
        let done = self.download_as(&message(), web.url("/clip")).await;
        fate(done, self.shop.object(&self.key))
    }

    pub(super) async fn artifacts(&self) -> Fate<ClipArtifacts> {
        let to = self.shop.object(&self.taking_apart().key("audio.wav"));
        fate(self.artifacts_as(&message()).await, to)
    }

    pub(super) async fn proxy(&self) -> Fate<ProxyManifest> {
        let to = self.shop.object(&self.lightening().key("proxy.mp4"));
        fate(self.proxy_as(&message()).await, to)
    }

    /// An attempt at this message.
    pub(super) async fn download_as(&self, message: &Alone, url: String) -> TaskResult<Downloaded> {
        let task = DownloadMedia {
            project_uuid: self.project_uuid,
            clip_file_uuid: self.clip_file_uuid,
            url,
            clip_key: self.key.clone(),
            export_uuid: None,
        };
        download_media(
            task,
            message.cx::<DownloadMedia>(),
            State(self.shop.sources()),
        )
        .await
    }

    /// An attempt at this message.
    pub(super) async fn artifacts_as(&self, message: &Alone) -> TaskResult<ClipArtifacts> {
        let (task, cx) = (self.taking_apart(), message.cx::<ProcessClipArtifacts>());
        process_clip_artifacts(task, cx, State(self.shop.sources())).await
    }

    /// An attempt at this message.
    pub(super) async fn proxy_as(&self, message: &Alone) -> TaskResult<ProxyManifest> {
        let (task, cx) = (self.lightening(), message.cx::<MakeProxy>());
        make_proxy(task, cx, State(self.shop.media())).await
    }

    fn taking_apart(&self) -> ProcessClipArtifacts {
        ProcessClipArtifacts {
            project_uuid: self.project_uuid,
            clip_file_uuid: self.clip_file_uuid,
            clip_key: self.key.clone(),
            export_uuid: None,
        }
    }

    fn lightening(&self) -> MakeProxy {
        MakeProxy {
            project_uuid: self.project_uuid,
            clip_file_uuid: self.clip_file_uuid,
            clip_key: self.key.clone(),
        }
    }

    /// Without models: silences alone are cut. The file is the edit list.
    pub(super) async fn analyse(&self) -> Fate<Analysis> {
        let task = AnalyzeProject {
            project_uuid: self.project_uuid,
            clip_file_uuid: self.clip_file_uuid,
            clip_key: self.key.clone(),
            export_uuid: None,
        };
        let to = self.shop.object(&EditList::key(self.project_uuid));
        let cx = message().cx::<AnalyzeProject>();
        let listener = Listener::new(self.shop.media());
        fate(analyze_project(task, cx, State(listener)).await, to)
    }

    /// Where an object of the clip lies.
    pub(super) fn object(&self, key: &str) -> PathBuf {
        self.shop.object(key)
    }
}

/// The edit list that analysis stored.
pub(super) fn edits(stored: &Path) -> EditList {
    let bytes = std::fs::read(stored).expect("readable");
    serde_json::from_slice(&bytes).expect("an edit list")
}
