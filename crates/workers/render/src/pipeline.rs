//! `render.pipeline` and `preview.pipeline`: look at the clip, fetch it, measure it, cut it, store what came of it.
//! What was found, fetched and rendered is kept: another attempt goes on where this one was, on another machine with what is not
//! in scratch.

use std::sync::Arc;

use sapari_runtime::pipeline::{Pipeline, StepContext, spec};
use sapari_runtime::prelude::*;
use sapari_services::{Media, Probe, Scratch, Segment};
use sapari_tasks::{EditList, RenderExport, RenderPreview};
use serde::{Deserialize, Serialize};

use crate::order::Order;
use crate::steps::{
    Stored, apply_cuts, download_clips, is_there, measure_loudness, probe_clips, upload_export,
};

/// What the steps work with, for one run.
pub(crate) struct Tools {
    pub(crate) media: Media,
    pub(crate) scratch: Arc<Scratch>,
    pub(crate) order: Order,
}

pub(crate) type Cx<In> = StepContext<In, Tools>;

/// The clip as it was found, what is to be kept of it, and what is to be done to that.
#[derive(Serialize, Deserialize)]
pub(crate) struct Probed {
    pub(crate) edits: EditList,
    pub(crate) probe: Probe,
}

/// The video that was made, by its name in scratch, and how long it is.
#[derive(Serialize, Deserialize)]
pub(crate) struct Video {
    pub(crate) file: String,
    pub(crate) seconds: f64,
}

impl Probed {
    /// What the edit list says, unchecked.
    pub(crate) fn listed(&self) -> Vec<Segment> {
        let bounds = self.edits.keep.iter().map(|kept| kept.bounds());
        bounds.map(|(from, to)| Segment { from, to }).collect()
    }
}

pub(crate) fn render() -> Pipeline<RenderExport, Tools, Stored> {
    cutting("render")
}

pub(crate) fn preview() -> Pipeline<RenderPreview, Tools, Stored> {
    cutting("preview")
}

fn cutting<In: Task>(name: &'static str) -> Pipeline<In, Tools, Stored> {
    let mut p = Pipeline::builder(name);
    p.version(3);
    let probed = p.step(
        spec("probe_clips").attempts(2).timeout(minutes(2)),
        (),
        probe_clips,
    );
    p.keep(probed);
    let clip = p.step(
        spec("download_clips")
            .weight(10)
            .attempts(3)
            .timeout(minutes(10)),
        (probed,),
        download_clips,
    );
    p.keep_while(clip, is_there);
    let loudness = p.step(
        spec("measure_loudness")
            .weight(5)
            .attempts(2)
            .timeout(minutes(10)),
        (probed, clip),
        measure_loudness,
    );
    p.keep(loudness);
    let video = p.step(
        spec("apply_cuts").weight(80).timeout(minutes(25)),
        (probed, clip, loudness.optional()),
        apply_cuts,
    );
    p.keep_while(video, |cx, video: &Video| is_there(cx, &video.file));
    let stored = p.step(
        spec("upload_export")
            .weight(8)
            .attempts(3)
            .timeout(minutes(10)),
        (probed, video),
        upload_export,
    );
    p.output(stored)
}
