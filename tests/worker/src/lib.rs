//! A role for fault tests only: tasks that note when they ran, and that sleep, block, fail, crash or talk too much on request.
//! No part of the product uses it, and it does nothing of use.

mod notes;
mod tasks;

use std::path::PathBuf;

use sapari_runtime::host::{Dependencies, LoadError, Process, Setting, Settings};
use sapari_runtime::queue::Queue;
use sapari_runtime::worker::Worker;

pub use notes::{Note, NoteBook, now_us};
pub use tasks::{Ask, Bang, Block, Bulky, Chain, Crash, Deaf, Flaky, Jot, Nap, Pair};
use tasks::{ask, bang, block, bulky, chain, crash, deaf, flaky, jot, nap, pair};

/// The role's queue.
pub const QUEUE: Queue = Queue::named("faults").levels(4);

/// How the ledger calls the limit of [`Pair`].
pub const PAIRS: &str = "pair:0";

const NOTES: &str = "notes-file";

/// The role.
#[derive(Debug, Clone, Copy)]
pub struct Faults;

impl Process for Faults {
    const APP: &'static str = "sapari";

    fn name(self) -> &'static str {
        "faults"
    }

    fn about(self) -> &'static str {
        "Runs tasks that behave badly on request, for tests"
    }
}

impl Dependencies for NoteBook {
    const SETTINGS: &'static [Setting] = &[Setting {
        name: NOTES,
        help: "The file to which every run adds its lines",
        default: None,
    }];

    fn load(settings: &Settings) -> Result<Self, LoadError> {
        let file = settings
            .get(NOTES)
            .ok_or_else(|| LoadError::new(NOTES, "it has no default: name a file"))?;
        Ok(Self::at(PathBuf::from(file)))
    }
}

/// The role's worker.
#[must_use]
pub fn worker(notes: NoteBook) -> Worker<NoteBook> {
    let noting = notes.clone();
    Worker::new(QUEUE, notes)
        .with(noting)
        .task::<jot>()
        .task::<nap>()
        .task::<deaf>()
        .task::<block>()
        .task::<crash>()
        .task::<flaky>()
        .task::<bulky>()
        .task::<bang>()
        .task::<pair>()
        .task::<ask>()
        .task::<chain>()
        .slots(8)
}
