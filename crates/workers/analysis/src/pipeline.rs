//! `analysis.pipeline`: the clip's sound, its silences, what is said in it, and the edit list that follows. Each step starts when its own
//! inputs are there: silences are looked for while words are still being heard.
//!
//! Without a model the steps that need it are skipped; when a transcript cannot be improved, it is used as it was heard. What
//! cost money is kept for the next attempt. What the steps decide stands in files of its own, without I/O.

mod media;
mod models;

use std::sync::Arc;

use sapari_runtime::pipeline::{OnError, Pipeline, StepContext, spec};
use sapari_runtime::prelude::*;
use sapari_services::{ClipCall, Scratch, StorageError, Subject};
use sapari_tasks::{Analysis, AnalyzeProject, Caption, EditList, Kept, Muted};

use crate::deps::Listener;
use crate::edits::{Edits, Quiet, captions, validated};
use crate::false_starts::{FalseStart, false_starts};
use crate::improve::{Change, improved};
use crate::profanity::{Censored, censored};
use crate::words::{Stretch, Transcript};

/// What the steps work with, for one run.
pub(crate) struct Tools {
    pub(crate) listener: Listener,
    pub(crate) scratch: Scratch,
}

type Cx = StepContext<AnalyzeProject, Tools>;

/// The edit list, and what it was made of in figures.
struct Created {
    edits: EditList,
    analysis: Analysis,
}

pub(crate) fn analysis(budget: Option<u64>) -> Pipeline<AnalyzeProject, Tools, Analysis> {
    let mut p = Pipeline::builder("analysis");
    // 2: words are heard, improved and censored.
    p.version(2);
    if let Some(budget) = budget {
        p.budget(budget);
    }
    let audio = p.step(
        spec("load_audio").attempts(2).timeout(minutes(10)),
        (),
        media::load_audio,
    );
    let quiet = spec("detect_silences").attempts(2).timeout(minutes(10));
    let quiet = p.step(quiet, (audio,), media::detect_silences);
    p.keep(quiet);
    let heard = spec("transcribe")
        .attempts(4)
        .timeout(minutes(40))
        .weight(4);
    let heard = p.step(heard, (audio,), models::transcribe);
    p.keep(heard);
    let starts = p.step("detect_false_starts", (heard,), detect_false_starts);
    let passages = p.step("split_transcript", (heard,), models::split_transcript);
    let better = spec("improve_transcript")
        .attempts(3)
        .timeout(minutes(5))
        .weight(2);
    let better = better.on_error(OnError::Continue);
    let better = p.for_each(better, passages, (), models::improve_passage);
    p.keep_each(better);
    let clean = p.step(
        "censor_profanity",
        (heard, better.optional()),
        censor_profanity,
    );
    let valid = (quiet, starts.optional(), clean.optional());
    let valid = p.step("validate_edits", valid, validate_edits);
    let created = p.step(
        "create_edits",
        (quiet, starts.optional(), valid),
        create_edits,
    );
    let stored = spec("update_project").attempts(3).timeout(minutes(1));
    let stored = p.step(stored, (created,), update_project);
    p.output(stored)
}

fn call(cx: &Cx) -> ClipCall<'_> {
    ClipCall {
        clip_file_uuid: cx.task().clip_file_uuid,
        cancel: cx.stop(),
    }
}

async fn detect_false_starts(_: Cx, heard: Arc<Transcript>) -> TaskResult<Vec<FalseStart>> {
    Ok(false_starts(&heard.words))
}

async fn censor_profanity(
    _: Cx,
    heard: Arc<Transcript>,
    better: Option<Arc<Vec<Vec<Change>>>>,
) -> TaskResult<Censored> {
    let read = match better {
        Some(changes) => improved(&heard.words, &changes.concat()),
        None => heard.words.clone(),
    };
    Ok(censored(&read, &heard.words))
}

async fn validate_edits(
    _: Cx,
    quiet: Arc<Quiet>,
    starts: Option<Arc<Vec<FalseStart>>>,
    clean: Option<Arc<Censored>>,
) -> TaskResult<Edits> {
    let starts = starts.as_deref().map_or(&[][..], Vec::as_slice);
    Ok(validated(&quiet, starts, clean.as_deref()))
}

async fn create_edits(
    cx: Cx,
    quiet: Arc<Quiet>,
    starts: Option<Arc<Vec<FalseStart>>>,
    valid: Arc<Edits>,
) -> TaskResult<Created> {
    let task = cx.task();
    let bounds = |at: &Stretch| (at.from(), at.to());
    let mut edits = EditList::new(
        task.project_uuid,
        (task.clip_file_uuid, &task.clip_key),
        valid
            .keep
            .iter()
            .map(bounds)
            .map(|(from, to)| Kept::between(from, to))
            .collect(),
    );
    edits.mutes = valid
        .mutes
        .iter()
        .map(bounds)
        .map(|(from, to)| Muted::between(from, to))
        .collect();
    let caption =
        |line: crate::words::Word| Caption::between(line.at.from(), line.at.to(), line.text);
    let starts = starts.as_deref().map_or(&[][..], Vec::as_slice);
    let lines = captions(&valid.words, starts);
    edits.captions = lines.into_iter().map(caption).collect();
    let analysis = Analysis {
        edits_key: EditList::key(task.project_uuid),
        source_seconds: seconds_of(quiet.length_us),
        kept_seconds: seconds_of(valid.keep.iter().map(|it| it.to_us - it.from_us).sum()),
        silences: quiet.silences.len(),
        false_starts: starts.len(),
        mutes: edits.mutes.len(),
        captions: edits.captions.len(),
        spent_microcents: 0,
        failures: cx.failures(),
        render_task_id: None,
    };
    Ok(Created { edits, analysis })
}

#[allow(clippy::cast_precision_loss)] // Centuries are still exact.
fn seconds_of(us: u64) -> f64 {
    us as f64 / 1e6
}

async fn update_project(cx: Cx, created: Arc<Created>) -> TaskResult<Analysis> {
    let Created { edits, analysis } = &*created;
    let bytes = serde_json::to_vec(edits).permanent()?;
    let storage = &cx.deps().listener.media.storage;
    let project = Subject::project(cx.task().project_uuid);
    let stored = storage.put_bytes(project, &analysis.edits_key, bytes).await;
    stored.permanent_when(StorageError::is_permanent)?;
    Ok(analysis.clone())
}
