//! What is kept of a finished step, as bytes: its output, and the fingerprint of all that it was made from. Pure: where the bytes
//! lie is the [`Shelf`](super::shelf::Shelf)'s business.
//!
//! A step's fingerprint is made of the kick, the pipeline with its version, the task's args, the step with its version, and of each of its
//! inputs. An input that was kept counts with its bytes. One that was not kept, or only for as long as a check holds (a file), counts
//! with its own fingerprint: made again from the same things, it is the same to those who take it.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::usage::Spent;
use super::work::Value;
use crate::hash::stable;

/// How an output becomes bytes, and bytes an output.
#[derive(Clone, Copy)]
pub(super) struct Codec {
    pub(super) encode: fn(&Value) -> serde_json::Result<Vec<u8>>,
    pub(super) decode: fn(&[u8]) -> serde_json::Result<Value>,
}

impl Codec {
    pub(super) fn of<T: Serialize + DeserializeOwned + Send + Sync + 'static>() -> Self {
        Self {
            encode: |value| serde_json::to_vec(&*super::inputs::downcast::<T>(value)),
            decode: |bytes| {
                let value: T = serde_json::from_slice(bytes)?;
                Ok(std::sync::Arc::new(value))
            },
        }
    }
}

/// What a step's output was made from, or is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    /// Of bytes as they are.
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        Self(stable(bytes))
    }

    /// Of a run: what all of its steps have in common.
    pub(super) fn of_run(kick: &str, pipeline: (&str, u32), args: &[u8]) -> Self {
        let (name, version) = pipeline;
        let mut text = format!("{kick}\n{name}\n{version}\n").into_bytes();
        text.extend_from_slice(args);
        Self::of_bytes(&text)
    }

    /// Of a step of that run; an input that is missing counts too.
    pub(super) fn of_step(
        self,
        step: (&str, u32),
        inputs: impl Iterator<Item = Option<Self>>,
    ) -> Self {
        let (id, version) = step;
        let mut text = format!("{}\n{id}\n{version}", self.0);
        for input in inputs {
            // Writing to a string does not fail.
            let _ = match input {
                Some(Self(input)) => write!(text, "\n{input}"),
                None => write!(text, "\n-"),
            };
        }
        Self::of_bytes(text.as_bytes())
    }

    /// Of the work on one item of a step's list.
    pub(super) fn of_item(self, index: usize) -> Self {
        Self::of_bytes(format!("{}\n#{index}", self.0).as_bytes())
    }
}

/// What is kept of a finished step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Checkpoint {
    pub(super) head: Head,
    /// The step's output. None where it lies elsewhere, and of what no step came to.
    pub(super) output: Option<Vec<u8>>,
}

/// What stands beside the output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) fingerprint: Fingerprint,
    /// How long it took.
    pub(super) took: Duration,
    /// What it spent.
    pub(super) spent: Spent,
    /// What the whole run had spent by then, the attempts before it included.
    pub(super) total: Spent,
    /// The output lies in the depot.
    pub(super) in_depot: bool,
}

impl Checkpoint {
    /// A line of JSON, then the output as it is.
    pub(super) fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(&self.head)?;
        bytes.push(b'\n');
        bytes.extend_from_slice(self.output.as_deref().unwrap_or_default());
        Ok(bytes)
    }

    /// The inverse; nothing where the bytes are of another version.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let line = bytes.iter().position(|byte| *byte == b'\n')?;
        let head: Head = serde_json::from_slice(&bytes[..line]).ok()?;
        let output = &bytes[line + 1..];
        let output = (!head.in_depot && !output.is_empty()).then(|| output.to_vec());
        Some(Self { head, output })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Fingerprint {
        Fingerprint::of_run("kick", ("render", 1), b"{}")
    }

    #[test]
    fn whatever_a_step_is_made_from_changes_its_fingerprint() {
        let of = |run: Fingerprint, step, inputs: &[Option<Fingerprint>]| {
            run.of_step(step, inputs.iter().copied())
        };
        let input = Some(Fingerprint::of_bytes(b"1"));
        let all = [
            of(run(), ("cut", 0), &[input]),
            of(run(), ("cut", 0), &[None]),
            of(run(), ("cut", 0), &[]),
            of(run(), ("cut", 0), &[input, input]),
            of(run(), ("cut", 1), &[input]),
            of(run(), ("store", 0), &[input]),
            of(
                Fingerprint::of_run("later", ("render", 1), b"{}"),
                ("cut", 0),
                &[input],
            ),
            of(
                Fingerprint::of_run("kick", ("render", 2), b"{}"),
                ("cut", 0),
                &[input],
            ),
            of(
                Fingerprint::of_run("kick", ("render", 1), b"[]"),
                ("cut", 0),
                &[input],
            ),
            of(run(), ("cut", 0), &[input]).of_item(0),
            of(run(), ("cut", 0), &[input]).of_item(1),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one), "{index}");
        }
        assert_eq!(all[0], of(run(), ("cut", 0), &[input]));
    }

    #[test]
    fn what_is_kept_reads_as_it_was_meant() {
        let head = Head {
            fingerprint: run(),
            took: Duration::from_millis(1500),
            spent: Spent::default(),
            total: Spent::default(),
            in_depot: false,
        };
        let kept = Checkpoint {
            head,
            output: Some(b"\"two\nlines\"".to_vec()),
        };
        let bytes = kept.encode().expect("JSON");
        assert_eq!(Checkpoint::decode(&bytes), Some(kept));
        for broken in [&b""[..], b"{}", b"{}\n1", b"not JSON\n1"] {
            assert_eq!(Checkpoint::decode(broken), None);
        }
    }
}
