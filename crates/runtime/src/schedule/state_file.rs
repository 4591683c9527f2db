//! Schedules in a file, for one scheduler without a Redis: where its ticks are settled, and what was added, outlive it. A lock on a file
//! beside it, which ends with the process however that ends, sees to it that only one uses it. Each write replaces the file whole, so
//! that a crash leaves the old one. It does not tell others that somebody leads: who has the file is the one.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    leads: u64,
    version: u64,
    /// By entry: the last settled tick, and of which times it is.
    settled: BTreeMap<String, (i64, u64)>,
    /// Of which of these a tick waits for an earlier run.
    #[serde(default)]
    waiting: BTreeSet<String>,
    added: BTreeMap<String, String>,
    paused: BTreeSet<String>,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadStateFile {
    /// It cannot be read or written, or is none of ours.
    #[error(
        "the state file {path} cannot be used; give another one, or move it away to begin anew"
    )]
    Unusable {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// Another process has it.
    #[error(
        "the state file {path} is used by another scheduler: end that one first, or give this one a file of its own"
    )]
    InUse {
        /// Which.
        path: String,
    },
}

/// Schedules in a file.
pub struct StateFile {
    path: PathBuf,
    // A std mutex: held for a few map operations, never across an await or a write.
    book: Arc<Mutex<Book>>,
    /// Held from the look at the state to the end of its write: of two changes, the second sees the first.
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct Book {
    state: State,
    /// Shown while the process lives; neither needs to outlive it.
    leader: Option<Leader>,
    posted: BTreeMap<String, String>,
    /// Held as long as anything may be written.
    _lock: File,
}

impl State {
    /// Takes an entry away if it is there and written so. Whether it was. What is known of one of the timetable that has its id stays.
    fn remove(&mut self, id: &str, is_posted: bool, so: impl Fn(&str) -> bool) -> bool {
        let was_there = self.added.get(id).is_some_and(|written| so(written));
        if was_there {
            self.added.remove(id);
            self.version += 1;
        }
        if was_there && !is_posted {
            self.settled.remove(id);
            self.waiting.remove(id);
            self.paused.remove(id);
        }
        was_there
    }
}

impl StateFile {
    /// Reads the file, or begins one that is not there yet.
    ///
    /// # Errors
    /// [`BadStateFile`]: another process uses it, it cannot be read or written, or is none of ours.
    pub fn open(path: &Path) -> Result<Self, BadStateFile> {
        // Not under the name of a link to it: that would have another lock, and the first write would take the link's place.
        let path = &followed(path);
        let place = || path.display().to_string();
        let bad = |source: BoxError| BadStateFile::Unusable {
            path: place(),
            source,
        };
        let lock = private().open(beside(path, ".lock"));
        let lock = lock.map_err(|error| bad(error.into()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BadStateFile::InUse { path: place() }),
            Err(TryLockError::Error(error)) => return Err(bad(error.into())),
        }
        let state = read(path).map_err(bad)?.unwrap_or_default();
        // Whether it can be written is found out now, and not at the first tick.
        replace(path, &state).map_err(|error| bad(error.into()))?;
        let book = Book {
            state,
            leader: None,
            posted: BTreeMap::new(),
            _lock: lock,
        };
        Ok(Self {
            path: path.to_owned(),
            book: Arc::new(Mutex::new(book)),
            turn: Arc::default(),
        })
    }

    fn is_posted(&self, id: &str) -> bool {
        self.book().posted.contains_key(id)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        looked_at(&self.book)
    }

    /// Changes it in memory and in the file: both or neither.
    async fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T, LedgerError> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let before = self.book().state.clone();
        let mut changed = before.clone();
        let answer = change(&mut changed);
        if changed == before {
            return Ok(answer);
        }
        let (path, book) = (self.path.clone(), Arc::clone(&self.book));
        // It goes on to its end when nobody waits for it any more, and so does its turn.
        let writing = tokio::task::spawn_blocking(move || {
            replace(&path, &changed)?;
            looked_at(&book).state = changed;
            drop(turn);
            Ok(())
        });
        self.answered(writing.await)?;
        Ok(answer)
    }

    /// What stands in the file counts, where somebody has changed it: a copy that was put back, say.
    async fn read_again(&self) -> Result<(), LedgerError> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let (path, book) = (self.path.clone(), Arc::clone(&self.book));
        let reading = tokio::task::spawn_blocking(move || {
            if let Some(state) = read(&path)? {
                looked_at(&book).state = state;
            }
            drop(turn);
            Ok(())
        });
        self.answered(reading.await)
    }

    fn answered(
        &self,
        done: Result<Result<(), BoxError>, tokio::task::JoinError>,
    ) -> Result<(), LedgerError> {
        let source = match done {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(panicked) => panicked.into(),
        };
        Err(LedgerError::File {
            path: self.path.display().to_string(),
            source,
        })
    }
}

fn looked_at(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

fn beside(path: &Path, ending: &str) -> OsString {
    let mut beside = path.as_os_str().to_owned();
    beside.push(ending);
    beside
}

/// For its owner only: args of tasks stand in it.
fn private() -> OpenOptions {
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(0o600);
    options
}

/// As many links as Linux follows.
const MOST_LINKS: usize = 40;

/// Where a path leads, through links, also when nothing is there yet.
fn followed(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(link) = path.read_link() else {
            break;
        };
        path = path.parent().unwrap_or(Path::new("")).join(link);
    }
    path.canonicalize().unwrap_or(path)
}

/// What stands in the file; nothing when there is none.
fn read(path: &Path) -> Result<Option<State>, BoxError> {
    match std::fs::read(path) {
        Ok(json) => Ok(Some(serde_json::from_slice(&json)?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn replace(path: &Path, state: &State) -> std::io::Result<()> {
    let new = beside(path, ".new");
    // One that a crash has left may be somebody else's to read.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private().create_new(true).open(&new)?;
    file.write_all(&serde_json::to_vec(state)?)?;
    file.sync_all()?;
    std::fs::rename(new, path)?;
    // The new name is as durable as what it names.
    let directory = path.parent().filter(|parent| *parent != Path::new(""));
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

#[async_trait]
impl Schedules for StateFile {
    async fn take_lead(&self, who: &str, lease: Duration) -> Result<u64, LedgerError> {
        self.read_again().await?;
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
        let settling = self.write(|state| {
            let mine = state.leads == number;
            for (id, known) in settled.iter().filter(|_| mine) {
                let stored = (known.last.seconds(), known.of);
                state.settled.insert(id.clone(), stored);
                match known.waits {
                    true => state.waiting.insert(id.clone()),
                    false => state.waiting.remove(id),
                };
            }
            mine
        });
        settling.await
    }

    async fn settled_ticks(&self) -> Result<BTreeMap<String, Known>, LedgerError> {
        let State {
            settled, waiting, ..
        } = &self.book().state;
        let known = |(id, (last, of)): (&String, &(i64, u64))| {
            let (last, of, waits) = (Tick::at(*last), *of, waiting.contains(id));
            (id.clone(), Known { last, of, waits })
        };
        Ok(settled.iter().map(known).collect())
    }

    async fn add_entry(&self, id: &str, entry: &str) -> Result<(), LedgerError> {
        let added = self.write(|state| {
            state.added.insert(id.to_owned(), entry.to_owned());
            state.version += 1;
        });
        added.await
    }

    async fn remove_entry(&self, id: &str) -> Result<bool, LedgerError> {
        let is_posted = self.is_posted(id);
        self.write(|state| state.remove(id, is_posted, |_| true))
            .await
    }

    async fn remove_entry_as(&self, id: &str, entry: &str) -> Result<bool, LedgerError> {
        let is_posted = self.is_posted(id);
        self.write(|state| state.remove(id, is_posted, |written| written == entry))
            .await
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
