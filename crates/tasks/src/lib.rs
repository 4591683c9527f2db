//! The catalogue: every role and every task declaration. Declarations only, no bodies and no I/O, so that whoever kicks a task
//! need not link what runs it.

mod analysis;
mod asset_edit;
mod download;
mod edits;
mod email;
mod proxy;
mod render;
mod role;
mod upkeep;

pub use analysis::{Analysis, AnalyzeProject};
pub use asset_edit::{
    AudioFormat, ExtractAudio, ImageFormat, NormalizeImage, StoredImage, StoredRecording, TrimAsset,
};
pub use download::{ClipArtifacts, DownloadMedia, Downloaded, ProcessClipArtifacts};
pub use edits::{Caption, EditList, EditListFault, Kept, Muted};
pub use email::{EmailTemplate, SendEmail, SentEmail};
pub use proxy::{MakeProxy, ProxyManifest, Thumbnails};
pub use render::{
    BucketUse, CaptionsAs, CleanedUp, CleanupExpiredExports, ExportManifest, ExportSettings,
    MutedAs, Preview, ReconcileStorage, RenderExport, RenderPreview, Resolution, StorageUse,
    VideoCodec,
};
pub use role::Role;
pub use upkeep::{PruneResults, RescueStuckTasks, Rescued};

use sapari_runtime::message::{Args, ArgsError};
use sapari_runtime::ping::Ping;
use sapari_runtime::queue::{Priority, Queue};
use sapari_runtime::task::Task;

/// What somebody who only has a task's name needs to kick it.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    /// Its wire name.
    pub name: &'static str,
    /// Where it waits.
    pub queue: Queue,
    /// The priority of a kick that names none.
    pub priority: Priority,
    fit: fn(&Args) -> Result<(), ArgsError>,
}

impl Declared {
    fn of<T: Task>() -> Self {
        Self {
            name: T::NAME,
            queue: T::QUEUE,
            priority: T::POLICY.default_priority(),
            fit: |args| args.decode::<T>().map(drop),
        }
    }

    /// Whether a worker of this version could read these args. What they mean is for the task to say.
    ///
    /// # Errors
    /// [`ArgsError`]: what is missing, given twice, too many, or of the wrong type; it quotes no value.
    pub fn check(&self, args: &Args) -> Result<(), ArgsError> {
        (self.fit)(args)
    }
}

/// Every task with a queue of its own, by name. `ping` has none: every role answers it.
#[must_use]
pub fn catalogue() -> Vec<Declared> {
    vec![
        Declared::of::<AnalyzeProject>(),
        Declared::of::<DownloadMedia>(),
        Declared::of::<ProcessClipArtifacts>(),
        Declared::of::<MakeProxy>(),
        Declared::of::<PruneResults>(),
        Declared::of::<RescueStuckTasks>(),
        Declared::of::<RenderExport>(),
        Declared::of::<RenderPreview>(),
        Declared::of::<CleanupExpiredExports>(),
        Declared::of::<ReconcileStorage>(),
        Declared::of::<TrimAsset>(),
        Declared::of::<ExtractAudio>(),
        Declared::of::<NormalizeImage>(),
        Declared::of::<SendEmail>(),
    ]
}

/// The declaration of a task by its wire name.
#[must_use]
pub fn find(name: &str) -> Option<Declared> {
    catalogue().into_iter().find(|task| task.name == name)
}

/// A role's queue by its name: where entries that are added to the schedule at run time may go.
#[must_use]
pub fn find_queue(name: &str) -> Option<Queue> {
    name.parse().ok().map(Role::queue)
}

/// Whether a name is that of the task which every role answers.
#[must_use]
pub fn is_ping(name: &str) -> bool {
    name == Ping::NAME
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_waits_on_the_queue_of_a_role() {
        for task in catalogue() {
            assert!(
                Role::ALL.iter().any(|role| role.queue() == task.queue),
                "{} waits nowhere",
                task.name
            );
        }
    }

    #[test]
    fn tasks_are_found_by_name() {
        assert_eq!(
            find("render_export").map(|task| task.queue),
            Some(Role::Render.queue())
        );
        assert!(find("nothing").is_none());
    }
}
