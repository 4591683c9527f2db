//! The handlers of the download role.

use sapari_runtime::message::MessageId;
use sapari_runtime::prelude::*;
use sapari_tasks::{
    AnalyzeProject, ClipArtifacts, DownloadMedia, Downloaded, MakeProxy, ProcessClipArtifacts,
};
use uuid::Uuid;

use crate::Sources;
use crate::artifacts::{self, artifacts};
use crate::pipeline::{Tools, download};

const FETCHED: &str = "download";
const ARTIFACTS: &str = "artifacts";
/// The labels of its scratch directories.
pub(crate) const SCRATCH: [&str; 2] = [FETCHED, ARTIFACTS];

/// Fetches one clip into storage, and kicks what makes its artifacts. Running it twice gives the same object under the same key.
#[task]
pub async fn download_media(
    args: DownloadMedia,
    cx: TaskContext,
    State(sources): State<Sources>,
) -> TaskResult<Downloaded> {
    let next = ProcessClipArtifacts {
        project_uuid: args.project_uuid,
        clip_file_uuid: args.clip_file_uuid,
        clip_key: args.clip_key.clone(),
        export_uuid: args.export_uuid,
    };
    let (message, media) = ((FETCHED, cx.id().as_str()), sources.media.clone());
    let (pipeline, again) = (download(), |error: Option<&_>| cx.comes_again(error));
    let work = |scratch| pipeline.run(&cx, Tools { scratch, sources }, args);
    let stored = media.in_scratch_of(message, again, work).await?;
    Ok(Downloaded {
        artifacts_task_id: Some(kick(&cx, next.clip_file_uuid, next).await?),
        ..stored
    })
}

/// Keeps a clip's sound and waveform beside it, and kicks its proxy and its analysis, which then run side by side.
#[task]
pub async fn process_clip_artifacts(
    args: ProcessClipArtifacts,
    cx: TaskContext,
    State(sources): State<Sources>,
) -> TaskResult<ClipArtifacts> {
    let (message, media) = ((ARTIFACTS, cx.id().as_str()), sources.media);
    let (pipeline, again) = (artifacts(), |error: Option<&_>| cx.comes_again(error));
    let tools = |scratch| artifacts::Tools {
        scratch,
        media: media.clone(),
    };
    let work = |scratch| pipeline.run(&cx, tools(scratch), args.clone());
    let found = media.in_scratch_of(message, again, work).await?;
    let clip = args.clip_file_uuid;
    let proxy = MakeProxy {
        project_uuid: args.project_uuid,
        clip_file_uuid: clip,
        clip_key: args.clip_key.clone(),
    };
    let proxy_task_id = Some(kick(&cx, clip, proxy).await?);
    let analysis = AnalyzeProject {
        project_uuid: args.project_uuid,
        clip_file_uuid: clip,
        clip_key: args.clip_key,
        export_uuid: args.export_uuid,
    };
    // Without sound there are no silences to find.
    let analysis_task_id = match found.audio_key {
        Some(_) => Some(kick(&cx, clip, analysis).await?),
        None => None,
    };
    Ok(ClipArtifacts {
        proxy_task_id,
        analysis_task_id,
        ..found
    })
}

/// Under an id made of the clip's and the task's: a second attempt kicks the same work, and has the same result.
async fn kick<T: Task>(cx: &TaskContext, clip: Uuid, task: T) -> TaskResult<String> {
    let id = MessageId::from(Uuid::new_v5(&clip, T::NAME.as_bytes()));
    let handle = cx.tasks().kick(task).id(id).await?;
    Ok(handle.id().to_string())
}
