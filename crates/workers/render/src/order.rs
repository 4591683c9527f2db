//! What is to be rendered, of which project, to where, and how: the same for an export and for a preview of one.
//! Plain values; what cannot be done is said before anything is fetched.

use sapari_runtime::prelude::*;
use sapari_services::{Codec, Cue, Gain, Look, Muted, Probe, Segment, Subject, captions};
use sapari_tasks::{
    CaptionsAs, EditList, ExportSettings, MutedAs, RenderExport, RenderPreview, VideoCodec,
};
use uuid::Uuid;

/// How many pixels the shorter side of a preview has at most.
const PREVIEW_SIDE: u32 = 360;
/// What can be asked for without a sound that is noise or nothing.
const LOUDNESS_LUFS: std::ops::RangeInclusive<i8> = -36..=-6;

/// What is to be rendered, and how.
pub(crate) struct Order {
    pub(crate) project_uuid: Uuid,
    /// For whom the result is stored, and where.
    pub(crate) subject: Subject,
    pub(crate) key: String,
    pub(crate) captions_key: Option<String>,
    pub(crate) settings: ExportSettings,
    pub(crate) codec: Codec,
    pub(crate) short_side: Option<u32>,
}

impl Order {
    pub(crate) fn export(task: &RenderExport) -> TaskResult<Self> {
        Self {
            project_uuid: task.project_uuid,
            subject: Subject::export(task.export_uuid),
            key: task.key(),
            captions_key: task.captions_key(),
            codec: match task.settings.codec {
                VideoCodec::H264 => Codec::H264,
                VideoCodec::H265 => Codec::H265,
                VideoCodec::Av1 => Codec::Av1,
            },
            short_side: task.settings.resolution.short_side(),
            settings: task.settings.clone(),
        }
        .checked()
    }

    pub(crate) fn preview(task: &RenderPreview) -> TaskResult<Self> {
        Self {
            project_uuid: task.project_uuid,
            subject: Subject::project(task.project_uuid),
            key: task.key(),
            captions_key: None,
            codec: Codec::Draft,
            short_side: Some(PREVIEW_SIDE),
            settings: task.settings.clone(),
        }
        .checked()
    }

    fn checked(self) -> TaskResult<Self> {
        match self.settings.loudness_lufs {
            Some(lufs) if !LOUDNESS_LUFS.contains(&lufs) => Err(TaskError::permanent(format!(
                "a loudness of {lufs} LUFS is asked for: give {} to {}",
                LOUDNESS_LUFS.start(),
                LOUDNESS_LUFS.end()
            ))),
            _ => Ok(self),
        }
    }

    pub(crate) fn look<'a>(
        &self,
        mutes: &'a [Segment],
        gain: Option<Gain>,
        subtitles: Option<&'a str>,
    ) -> Look<'a> {
        Look {
            mutes,
            muted: match self.settings.muted {
                MutedAs::Silence => Muted::Silence,
                MutedAs::Bleep => Muted::Bleep,
            },
            gain,
            subtitles,
            short_side: self.short_side,
            codec: self.codec,
        }
    }

    /// The captions to burn in, as a file; none if there is nothing to be seen of them.
    pub(crate) fn burnt(&self, cues: &[Cue], probe: &Probe) -> Option<String> {
        let video = probe.video.as_ref()?;
        let is_asked_for = self.settings.captions == CaptionsAs::Burnt && !cues.is_empty();
        let size = self.look(&[], None, None).size(video);
        is_asked_for.then(|| captions::ass(cues, size))
    }

    /// The captions to lie beside the video, as a file: one without any if there are none.
    pub(crate) fn beside(&self, cues: &[Cue]) -> Option<(&str, String)> {
        let text = match self.settings.captions {
            CaptionsAs::Vtt => captions::vtt(cues),
            _ => captions::srt(cues),
        };
        Some((self.captions_key.as_deref()?, text))
    }
}

/// What the edit list mutes.
pub(crate) fn mutes(edits: &EditList) -> Vec<Segment> {
    let bounds = edits.mutes.iter().map(|muted| muted.bounds());
    bounds.map(|(from, to)| Segment { from, to }).collect()
}

/// The edit list's captions, as what is kept has them.
pub(crate) fn cues(edits: &EditList, keep: &[Segment]) -> Vec<Cue> {
    let cues: Vec<Cue> = edits
        .captions
        .iter()
        .map(|caption| {
            let (from, to) = caption.bounds();
            let text = caption.text.clone();
            Cue { from, to, text }
        })
        .collect();
    captions::cut(&cues, keep)
}
