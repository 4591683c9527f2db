//! How far a pipeline is, from how far its steps are and what each weighs; and telling it: to the task's own progress, and to
//! whoever listens to the pipeline.

use std::sync::{Mutex, PoisonError};

use serde_json::json;

use super::context::Shared;
use super::work::Listener;

/// Something that happened to a step, for whoever listens: see [`Builder::on_event`](super::Builder::on_event).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepEvent {
    /// The step.
    pub step: &'static str,
    /// `running`, or once it has ended the word of its [`StepOutcome`](super::StepOutcome).
    pub state: &'static str,
    /// How far the step is, in 0..=1.
    pub step_fraction: f64,
    /// How far the pipeline is, in 0..=1.
    pub fraction: f64,
}

/// How far each step is, and who is told.
pub(super) struct Track<In, Deps> {
    pipeline: &'static str,
    steps: Vec<Weighed>,
    // A std mutex: held for one sum over a few steps, never across an await.
    fractions: Mutex<Vec<f64>>,
    listener: Option<Listener<In, Deps>>,
}

/// A step's id and weight.
pub(super) struct Weighed {
    pub(super) id: &'static str,
    pub(super) weight: u32,
}

impl<In, Deps> Track<In, Deps> {
    pub(super) fn new(
        pipeline: &'static str,
        steps: Vec<Weighed>,
        listener: Option<Listener<In, Deps>>,
    ) -> Self {
        Self {
            pipeline,
            fractions: Mutex::new(vec![0.0; steps.len()]),
            steps,
            listener,
        }
    }

    /// The step goes on, and is so far.
    pub(super) fn moved(&self, shared: &Shared<In, Deps>, step: usize, fraction: f64) {
        self.tell(shared, step, "running", fraction);
    }

    /// The step has ended: nothing more will come of it.
    pub(super) fn ended(&self, shared: &Shared<In, Deps>, step: usize, state: &'static str) {
        self.tell(shared, step, state, 1.0);
    }

    fn tell(&self, shared: &Shared<In, Deps>, step: usize, state: &'static str, fraction: f64) {
        let fraction = if fraction.is_nan() { 0.0 } else { fraction };
        let event = StepEvent {
            step: self.steps[step].id,
            state,
            step_fraction: fraction.clamp(0.0, 1.0),
            fraction: self.so_far(step, fraction.clamp(0.0, 1.0)),
        };
        let detail = json!({
            "pipeline": self.pipeline,
            "step": event.step,
            "state": event.state,
            "step_fraction": event.step_fraction,
        });
        shared.cx.note_progress(event.fraction, detail);
        if let Some(listener) = &self.listener {
            listener(&shared.task, &shared.deps, &event);
        }
    }

    /// How far all of it is, with this step so far.
    fn so_far(&self, step: usize, fraction: f64) -> f64 {
        let mut fractions = self
            .fractions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        fractions[step] = fraction;
        let weights = self.steps.iter().map(|step| f64::from(step.weight));
        let all: f64 = weights.clone().sum();
        let done = weights.zip(fractions.iter());
        let done: f64 = done.map(|(weight, fraction)| weight * fraction).sum();
        if all > 0.0 { done / all } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_is_as_far_as_its_steps_by_their_weights() {
        let weighed = |(id, weight)| Weighed { id, weight };
        let steps = [("probe", 1), ("cut", 8), ("note", 0), ("store", 1)];
        let track = Track::<(), ()>::new("p", steps.map(weighed).into(), None);
        let told = [(0, 1.0), (1, 0.5), (2, 1.0), (1, 1.0), (3, 1.0)];
        let expected = [0.1, 0.5, 0.5, 0.9, 1.0];
        for ((step, fraction), expected) in told.into_iter().zip(expected) {
            let so_far = track.so_far(step, fraction);
            assert!((so_far - expected).abs() < 1e-9, "{so_far}");
        }
    }
}
