//! What each query is to answer: a file of the query's name in `expected/`. Written anew with `EXPECTED=write`, to be read by
//! a person before it is committed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The names of a directory's files of this kind, without it.
pub(crate) fn names(directory: &Path, kind: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let paths = entries.map(|entry| entry.expect("readable").path());
    paths
        .filter(|path| path.extension().is_some_and(|found| found == kind))
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

pub(crate) struct Expected {
    directory: PathBuf,
    write: bool,
}

impl Expected {
    pub(crate) fn beside(package: &Path) -> Self {
        Self {
            directory: package.join("expected"),
            write: std::env::var("EXPECTED").is_ok_and(|value| value == "write"),
        }
    }

    /// Those of which there is an answer.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        names(&self.directory, "txt")
    }

    /// What is wrong with an answer.
    pub(crate) fn wrong(&self, name: &str, answer: &str) -> Option<String> {
        let file = self.directory.join(format!("{name}.txt"));
        if self.write {
            std::fs::write(&file, format!("{answer}\n")).expect("writable");
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        (expected.trim_end() != answer)
            .then(|| format!("{name}: expected\n{expected}but it answers\n{answer}"))
    }
}
