//! Schedules in a file, for one scheduler without a Redis: where its ticks are settled, and what was added, outlive it. That only one
//! uses the file is the baton's doing, as long as they share a broker. Each write replaces the file whole, so a crash leaves the old one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::planner::Known;
use super::when::Tick;
use crate::error::BoxError;
use crate::ledger::{Leader, LedgerError, Schedules, Written};

/// What stands in the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    leads: u64,
    version: u64,
    /// By entry: the last settled tick, and of which times it is.
    settled: BTreeMap<String, (i64, u64)>,
    added: BTreeMap<String, String>,
    paused: BTreeSet<String>,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the state file {path} cannot be used; give another one, or move it away to begin anew")]
pub struct BadStateFile {
    path: String,
    #[source]
    source: BoxError,
}

/// Schedules in a file.
pub struct StateFile {
    path: PathBuf,
    // A std mutex: held for a few map operations and a small write, never across an await.
    state: Arc<Mutex<Book>>,
}

#[derive(Default)]
struct Book {
    state: State,
    /// Shown while the process lives; neither needs to outlive it.
    leader: Option<Leader>,
    posted: BTreeMap<String, String>,
}

impl StateFile {
    /// Reads the file, or begins one that is not there yet.
    ///
    /// # Errors
    /// [`BadStateFile`]: it cannot be read or written, or is none of ours.
    pub fn open(path: &Path) -> Result<Self, BadStateFile> {
        let bad = |source: BoxError| BadStateFile {
            path: path.display().to_string(),
            source,
        };
        let state = match std::fs::read(path) {
            Ok(json) => serde_json::from_slice(&json).map_err(|error| bad(error.into()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => State::default(),
            Err(error) => return Err(bad(error.into())),
        };
        // Whether it can be written is found out now, and not at the first tick.
        replace(path, &state).map_err(|error| bad(error.into()))?;
        let book = Book {
            state,
            ..Book::default()
        };
        Ok(Self {
            path: path.to_owned(),
            state: Arc::new(Mutex::new(book)),
        })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes it in memory and in the file: both or neither.
    async fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T, LedgerError> {
        let mut changed = self.book().state.clone();
        let answer = change(&mut changed);
        let (path, state) = (self.path.clone(), changed.clone());
        let written = tokio::task::spawn_blocking(move || replace(&path, &state)).await;
        let unreachable = |source: BoxError| LedgerError {
            place: self.path.display().to_string(),
            source,
        };
        written
            .map_err(|error| unreachable(error.into()))?
            .map_err(|error| unreachable(error.into()))?;
        self.book().state = changed;
        Ok(answer)
    }
}

fn replace(path: &Path, state: &State) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = std::fs::File::create(&beside)?;
    serde_json::to_writer(&mut file, state)?;
    file.flush()?;
    file.sync_data()?;
    std::fs::rename(beside, path)
}

#[async_trait]
impl Schedules for StateFile {
    async fn take_lead(&self, who: &str, lease: Duration) -> Result<u64, LedgerError> {
        let number = self.write(|state| {
            state.leads += 1;
            state.leads
        });
        let number = number.await?;
        let who = who.to_owned();
        self.book().leader = Some(Leader {
            who,
            number,
            left: lease,
        });
        Ok(number)
    }

    async fn keep_lead(
        &self,
        _who: &str,
        number: u64,
        _lease: Duration,
    ) -> Result<Option<u64>, LedgerError> {
        let state = &self.book().state;
        Ok((state.leads == number).then_some(state.version))
    }

    async fn give_up_lead(&self, _number: u64) -> Result<(), LedgerError> {
        self.book().leader = None;
        Ok(())
    }

    async fn leader(&self) -> Result<Option<Leader>, LedgerError> {
        Ok(self.book().leader.clone())
    }

    async fn settle_ticks(
        &self,
        number: u64,
        settled: &[(String, Known)],
    ) -> Result<bool, LedgerError> {
        if self.book().state.leads != number {
            return Ok(false);
        }
        let stored = |(id, known): &(String, Known)| (id.clone(), (known.last.seconds(), known.of));
        let stored: Vec<_> = settled.iter().map(stored).collect();
        self.write(|state| state.settled.extend(stored)).await?;
        Ok(true)
    }

    async fn settled_ticks(&self) -> Result<BTreeMap<String, Known>, LedgerError> {
        let known = |(id, (last, of)): (&String, &(i64, u64))| {
            let (last, of) = (Tick::at(*last), *of);
            (id.clone(), Known { last, of })
        };
        Ok(self.book().state.settled.iter().map(known).collect())
    }

    async fn add_entry(&self, id: &str, entry: &str) -> Result<(), LedgerError> {
        let added = self.write(|state| {
            state.added.insert(id.to_owned(), entry.to_owned());
            state.version += 1;
        });
        added.await
    }

    async fn remove_entry(&self, id: &str) -> Result<bool, LedgerError> {
        let removed = self.write(|state| {
            let was_there = state.added.remove(id).is_some();
            if was_there {
                state.settled.remove(id);
                state.paused.remove(id);
                state.version += 1;
            }
            was_there
        });
        removed.await
    }

    async fn pause_entry(&self, id: &str, paused: bool) -> Result<(), LedgerError> {
        let set = self.write(|state| {
            match paused {
                true => state.paused.insert(id.to_owned()),
                false => state.paused.remove(id),
            };
            state.version += 1;
        });
        set.await
    }

    async fn post_timetable(&self, entries: &[(String, String)]) -> Result<(), LedgerError> {
        self.book().posted = entries.iter().cloned().collect();
        Ok(())
    }

    async fn written(&self) -> Result<Written, LedgerError> {
        let book = self.book();
        Ok(Written {
            added: book.state.added.clone(),
            posted: book.posted.clone(),
            paused: book.state.paused.clone(),
            version: book.state.version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> PathBuf {
        std::env::temp_dir().join(format!("schedule-{}.json", uuid::Uuid::new_v4()))
    }

    fn known(last: i64) -> Known {
        Known {
            last: Tick::at(last),
            of: u64::MAX,
        }
    }

    #[tokio::test]
    async fn what_is_settled_and_added_outlives_the_process() {
        let path = place();
        let lease = Duration::from_secs(5);
        let before = StateFile::open(&path).expect("a new file");
        let number = before.take_lead("a", lease).await.expect("written");
        let ticks = [("e".to_owned(), known(7))];
        assert!(before.settle_ticks(number, &ticks).await.expect("written"));
        before.add_entry("x", "{}").await.expect("written");
        before.pause_entry("e", true).await.expect("written");
        drop(before);
        let after = StateFile::open(&path).expect("the same file");
        let settled = after.settled_ticks().await.expect("read");
        assert_eq!(settled.get("e"), Some(&known(7)));
        let written = after.written().await.expect("read");
        assert!(written.added.contains_key("x") && written.paused.contains("e"));
        assert!(after.take_lead("b", lease).await.expect("written") > number);
        assert!(
            !after.settle_ticks(number, &ticks).await.expect("read"),
            "an old lead"
        );
        assert!(after.remove_entry("x").await.expect("written"));
        std::fs::remove_file(path).expect("tidied up");
    }

    #[test]
    fn a_file_that_is_none_of_ours_is_not_overwritten() {
        let path = place();
        std::fs::write(&path, "my diary").expect("written");
        let error = StateFile::open(&path).err().expect("refused");
        assert!(error.to_string().contains("cannot be used"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "my diary");
        std::fs::remove_file(path).expect("tidied up");
    }
}
