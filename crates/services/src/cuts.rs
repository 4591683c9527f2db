//! Which parts of a recording to keep, given its silences.
//!
//! Pure arithmetic on exact durations. It deliberately knows neither frames nor ffmpeg: whoever
//! renders snaps the times to its own grid.

#[cfg(test)]
mod tests;

use std::time::Duration;

/// A stretch without sound, from the start of the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// Where it begins.
    pub from: Duration,
    /// Where it ends.
    pub to: Duration,
}

/// A stretch to keep, from the start of the recording; `from` is before `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins.
    pub from: Duration,
    /// Where it ends.
    pub to: Duration,
}

impl Segment {
    /// How long it is.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

/// How long all `segments` are together.
#[must_use]
pub fn total(segments: &[Segment]) -> Duration {
    segments.iter().map(Segment::length).sum()
}

/// Where a moment of a recording stands once only `keep` is left of it, which is ordered and does
/// not overlap. A moment that is cut stands where the cut is.
#[must_use]
pub fn after_cuts(time: Duration, keep: &[Segment]) -> Duration {
    let before = keep.iter().map(|segment| Segment {
        from: segment.from.min(time),
        to: segment.to.min(time),
    });
    before.map(|segment| segment.length()).sum()
}

/// A list ends a little after its clip does when somebody measured otherwise: that much is let pass.
const BEYOND: Duration = Duration::from_millis(500);

/// Why a list of what to keep is no such list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CutFault {
    /// Nothing is kept.
    #[error("the edit list keeps nothing of the clip: there is nothing to render")]
    Nothing,
    /// A segment ends before it begins.
    #[error("the edit list has a segment that begins at {:.3} s and ends before, at {:.3} s", .0.from.as_secs_f64(), .0.to.as_secs_f64())]
    Backwards(Segment),
    /// Two segments share a stretch, or come in the wrong order.
    #[error("the edit list keeps what comes at {:.3} s after what ends at {:.3} s: its segments overlap or are out of order", .1.from.as_secs_f64(), .0.to.as_secs_f64())]
    Overlap(Segment, Segment),
    /// A segment is not within the clip.
    #[error("the edit list keeps {:.3} s to {:.3} s of a clip that is {:.3} s long", .0.from.as_secs_f64(), .0.to.as_secs_f64(), .1.as_secs_f64())]
    Outside(Segment, Duration),
}

/// The segments to keep of a recording of `duration`, without empty ones, if they are a list that can be rendered.
///
/// # Errors
///
/// See [`CutFault`]: no retry heals it.
pub fn checked(keep: &[Segment], duration: Duration) -> Result<Vec<Segment>, CutFault> {
    if let Some(backwards) = keep.iter().find(|segment| segment.to < segment.from) {
        return Err(CutFault::Backwards(*backwards));
    }
    if let Some(pair) = keep.windows(2).find(|pair| pair[1].from < pair[0].to) {
        return Err(CutFault::Overlap(pair[0], pair[1]));
    }
    let end = duration + BEYOND;
    let outside = |segment: &&Segment| segment.from > duration || segment.to > end;
    if let Some(segment) = keep.iter().find(outside) {
        return Err(CutFault::Outside(*segment, duration));
    }
    let within = keep.iter().map(|segment| Segment {
        from: segment.from,
        to: segment.to.min(duration),
    });
    let kept: Vec<Segment> = within.filter(|segment| segment.from < segment.to).collect();
    if kept.is_empty() {
        return Err(CutFault::Nothing);
    }
    Ok(kept)
}

/// How silences become cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutSettings {
    /// How much of a silence is left where it meets speech, at either side. At the very start
    /// and end of the recording there is no speech to protect, and nothing is left.
    pub padding: Duration,
    /// A shorter silence is a breath and stays.
    pub min_silence: Duration,
    /// A shorter sound between two silences that are cut (a click, a chair) goes with them.
    pub min_keep: Duration,
}

impl Default for CutSettings {
    /// Chosen on the sample interview: its longest breath measures 0.79 s, its shortest pause
    /// 2.3 s, and speech fades into a pause over up to 0.4 s.
    fn default() -> Self {
        Self {
            padding: Duration::from_millis(250),
            min_silence: Duration::from_secs(1),
            min_keep: Duration::from_millis(200),
        }
    }
}

/// The segments of a recording of `duration` that are left when its `silences` are cut.
///
/// They are ordered, do not touch, and lie inside the recording. The silences may come in any
/// order, overlap, or run past the end. Without any there is one segment; if all is silent, none.
#[must_use]
pub fn keep_segments(
    duration: Duration,
    silences: &[Silence],
    settings: CutSettings,
) -> Vec<Segment> {
    let mut cuts = merged(duration, silences);
    cuts.retain(|cut| cut.to - cut.from >= settings.min_silence);
    let cuts = without_crumbs(duration, &cuts, settings.min_keep);
    between(
        duration,
        cuts.iter()
            .filter_map(|cut| padded(duration, *cut, settings.padding)),
    )
}

/// The silences in order, inside the recording, with those that overlap or touch made one.
fn merged(duration: Duration, silences: &[Silence]) -> Vec<Silence> {
    let mut sorted = silences.to_vec();
    sorted.sort_unstable_by_key(|silence| silence.from);
    let mut out: Vec<Silence> = Vec::with_capacity(sorted.len());
    for Silence { from, to } in sorted {
        let to = to.min(duration);
        match out.last_mut() {
            Some(last) if from <= last.to => last.to = last.to.max(to),
            _ if from < to => out.push(Silence { from, to }),
            _ => {}
        }
    }
    out
}

/// Joins cuts, and cuts with the edges, across sounds shorter than `min_keep`.
fn without_crumbs(duration: Duration, cuts: &[Silence], min_keep: Duration) -> Vec<Silence> {
    let mut out: Vec<Silence> = Vec::with_capacity(cuts.len());
    for cut in cuts {
        match out.last_mut() {
            Some(last) if cut.from - last.to < min_keep => last.to = cut.to,
            None if cut.from < min_keep => out.push(Silence {
                from: Duration::ZERO,
                to: cut.to,
            }),
            _ => out.push(*cut),
        }
    }
    if let Some(last) = out.last_mut()
        && duration - last.to < min_keep
    {
        last.to = duration;
    }
    out
}

/// What is really cut of a silence: nothing, if the padding fills it.
fn padded(duration: Duration, cut: Silence, padding: Duration) -> Option<Silence> {
    let from = match cut.from {
        Duration::ZERO => Duration::ZERO,
        from => from.saturating_add(padding),
    };
    let to = if cut.to == duration {
        duration
    } else {
        cut.to.saturating_sub(padding)
    };
    (from < to).then_some(Silence { from, to })
}

/// What lies between ordered cuts.
fn between(duration: Duration, cuts: impl Iterator<Item = Silence>) -> Vec<Segment> {
    let mut kept = Vec::new();
    let mut from = Duration::ZERO;
    for cut in cuts {
        if from < cut.from {
            kept.push(Segment { from, to: cut.from });
        }
        from = cut.to;
    }
    if from < duration {
        kept.push(Segment { from, to: duration });
    }
    kept
}
