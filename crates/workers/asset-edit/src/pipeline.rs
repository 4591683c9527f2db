//! `trim.pipeline`, `sound.pipeline` and `image.pipeline`: look at the asset, or fetch it; edit it; store what came of it.
//! A recording is read where it lies, a picture is small and is fetched. What was found, made and stored is kept: another attempt goes
//! on where this one was, on another machine with what is not in scratch.

use std::sync::Arc;

use sapari_runtime::pipeline::{Pipeline, StepContext, spec};
use sapari_runtime::prelude::*;
use sapari_services::{Media, Scratch};
use sapari_tasks::{ExtractAudio, NormalizeImage, StoredImage, StoredRecording, TrimAsset};

use crate::edit::Edit;
use crate::steps::{
    Picture, Recording, download_asset, extract_audio, is_there, normalize_image, probe_asset,
    probe_stretch, store_image, store_recording, trim_asset,
};

/// What the steps work with, for one run.
pub(crate) struct Tools {
    pub(crate) media: Media,
    pub(crate) scratch: Arc<Scratch>,
    pub(crate) edit: Edit,
}

pub(crate) type Cx<In> = StepContext<In, Tools>;

pub(crate) fn trim() -> Pipeline<TrimAsset, Tools, StoredRecording> {
    let mut p = Pipeline::builder("trim");
    p.version(2);
    let look = spec("probe_asset").attempts(2).timeout(minutes(2));
    let probed = p.step(look, (), probe_stretch);
    p.keep(probed);
    let edit = spec("trim_asset").timeout(minutes(15)).weight(10);
    let made = p.step(edit, (probed,), trim_asset);
    p.keep_while(made, |cx, made: &Recording| is_there(cx, &made.file));
    let store = spec("store_recording").attempts(3).timeout(minutes(10));
    let stored = p.step(store, (made,), store_recording);
    p.keep(stored);
    p.output(stored)
}

pub(crate) fn sound() -> Pipeline<ExtractAudio, Tools, StoredRecording> {
    let mut p = Pipeline::builder("sound");
    p.version(2);
    let look = spec("probe_asset").attempts(2).timeout(minutes(2));
    let probed = p.step(look, (), probe_asset);
    p.keep(probed);
    let extract = spec("extract_audio").timeout(minutes(15)).weight(10);
    let audio = p.step(extract, (probed,), extract_audio);
    p.keep_while(audio, |cx, audio: &Recording| is_there(cx, &audio.file));
    let store = spec("store_audio").attempts(3).timeout(minutes(10));
    let stored = p.step(store, (audio,), store_recording);
    p.keep(stored);
    p.output(stored)
}

pub(crate) fn image() -> Pipeline<NormalizeImage, Tools, StoredImage> {
    let mut p = Pipeline::builder("image");
    p.version(1);
    let fetch = spec("download_asset").attempts(3).timeout(minutes(2));
    let asset = p.step(fetch, (), download_asset);
    p.keep_while(asset, is_there);
    let normalize = spec("normalize_image").timeout(minutes(2)).weight(2);
    let picture = p.step(normalize, (asset,), normalize_image);
    p.keep_while(picture, |cx, picture: &Picture| is_there(cx, &picture.file));
    let store = spec("store_image").attempts(3).timeout(minutes(2));
    let stored = p.step(store, (picture,), store_image);
    p.keep(stored);
    p.output(stored)
}

#[cfg(test)]
mod tests {
    use sapari_runtime::pipeline::Graph;
    use sapari_services::{Ffmpeg, Storage};

    use super::*;

    /// Each step with what it needs.
    fn steps(graph: &Graph) -> Vec<(&'static str, Vec<&'static str>)> {
        let step = graph.steps.iter().map(|step| (step.id, step.needs.clone()));
        step.collect()
    }

    #[test]
    fn each_edit_is_looked_at_or_fetched_made_and_stored() {
        let recording = |edit, store| {
            vec![
                ("probe_asset", vec![]),
                (edit, vec!["probe_asset"]),
                (store, vec![edit]),
            ]
        };
        let picture = vec![
            ("download_asset", vec![]),
            ("normalize_image", vec!["download_asset"]),
            ("store_image", vec!["normalize_image"]),
        ];
        let table = [
            (
                trim().describe(),
                ("trim", 2),
                recording("trim_asset", "store_recording"),
            ),
            (
                sound().describe(),
                ("sound", 2),
                recording("extract_audio", "store_audio"),
            ),
            (image().describe(), ("image", 1), picture),
        ];
        for (graph, (name, version), expected) in table {
            assert_eq!((graph.name, graph.version), (name, version));
            assert_eq!(steps(&graph), expected, "{name}");
            assert_eq!(Some(graph.output), expected.last().map(|(id, _)| *id));
            assert!(graph.steps.iter().all(|step| step.kept), "{name}");
        }
    }

    /// What a step may take is what the task may take: one that ends before would fail what was done in time until now.
    #[test]
    fn no_edit_has_less_time_than_its_task() {
        let media = Media::new(
            Ffmpeg::in_path(),
            Storage::open("memory://").expect("memory"),
            std::env::temp_dir(),
        );
        let plan = crate::worker(media).into_plan();
        let edits = ["trim_asset", "extract_audio", "normalize_image"];
        assert_eq!(plan.pipelines().len(), edits.len());
        for (graph, edit) in plan.pipelines().iter().zip(edits) {
            let step = graph.steps.iter().find(|step| step.id == edit);
            let task = plan.tasks().into_iter().find(|task| task.name == edit);
            let (step, task) = (step.expect("a step"), task.expect("a task"));
            assert!(step.timeout >= task.timeout, "{edit}");
        }
    }
}
