//! What ran, when, where: a line in a shared file for each beginning and each end of a run. Appended in one write, so that
//! neither other processes nor a kill in the middle tears a line.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use sapari_runtime::prelude::*;

/// The file that the tasks write and the tests read.
#[derive(Debug, Clone)]
pub struct NoteBook {
    file: PathBuf,
}

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// `begun` or `ended`.
    pub moment: String,
    /// Microseconds since 1970.
    pub at_us: u128,
    /// The message.
    pub id: String,
    /// The process.
    pub pid: u32,
    /// The attempt, 1 the first.
    pub attempt: u32,
    /// The level that it came from.
    pub level: u8,
}

impl NoteBook {
    /// The book in this file, which need not exist yet.
    #[must_use]
    pub fn at(file: PathBuf) -> Self {
        Self { file }
    }

    fn write(&self, moment: &str, job: &Job) -> std::io::Result<()> {
        let line = Note {
            moment: moment.to_owned(),
            at_us: now_us(),
            id: job.message.id.to_string(),
            pid: std::process::id(),
            attempt: job.attempt,
            level: job.level.number(),
        };
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.file)?;
        file.write_all(line.to_line().as_bytes())
    }

    /// Every line so far. A line that is being written is not there yet.
    ///
    /// # Panics
    /// When there is a line that is none.
    #[must_use]
    pub fn read(&self) -> Vec<Note> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(Note::from_line).collect()
    }

    /// Where it is.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }
}

/// Innermost: what the other layers do to an attempt is done to it here.
#[async_trait]
impl Middleware for NoteBook {
    fn name(&self) -> &'static str {
        "notes"
    }

    async fn run(&self, job: &Job, next: Next<'_>) -> Outcome {
        if let Err(error) = self.write("begun", job) {
            return Outcome::Failed(error.into());
        }
        let outcome = next.run(job).await;
        match self.write("ended", job) {
            Ok(()) => outcome,
            Err(error) => Outcome::Failed(error.into()),
        }
    }
}

impl Note {
    fn to_line(&self) -> String {
        let Self {
            moment,
            at_us,
            id,
            pid,
            attempt,
            level,
        } = self;
        format!("{moment} {at_us} {id} {pid} {attempt} {level}\n")
    }

    fn from_line(line: &str) -> Self {
        let mut words = line.split(' ');
        let mut word = || words.next().expect("six words");
        Self {
            moment: word().to_owned(),
            at_us: word().parse().expect("microseconds"),
            id: word().to_owned(),
            pid: word().parse().expect("a process id"),
            attempt: word().parse().expect("an attempt"),
            level: word().parse().expect("a level"),
        }
    }
}

/// Microseconds since 1970, as notes have them.
#[must_use]
pub fn now_us() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros())
}
