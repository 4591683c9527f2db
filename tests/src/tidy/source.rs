//! The tree's Rust files as text, with what a rule may want of them.

use std::path::{Path, PathBuf};

/// A file under the root.
pub(super) struct Source {
    /// Its path from the root, with slashes.
    pub(super) path: String,
    /// Its text.
    pub(super) text: String,
}

impl Source {
    /// Numbered lines that are neither blank nor comments, up to the file's own tests.
    pub(super) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self
            .text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line));
        let before_tests = lines.take_while(|(_, line)| *line != "mod tests {");
        before_tests
            .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with("//"))
    }
}

/// Where the workspace lies.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests lies in the root")
        .to_path_buf()
}

/// Every Rust file of the workspace.
pub(super) fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    for top in ["crates", "tests"] {
        collect(&root().join(top), &mut files);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The files that end up in binaries: no tests, no test support.
pub(super) fn production() -> Vec<Source> {
    let test_file = |path: &str| {
        path.starts_with("tests/")
            || path.contains("/tests/")
            || path.ends_with("/tests.rs")
            || path.contains("conformance")
            || path.ends_with("testing.rs")
    };
    sources()
        .into_iter()
        .filter(|file| !test_file(&file.path))
        .collect()
}

fn collect(directory: &Path, files: &mut Vec<Source>) {
    for entry in std::fs::read_dir(directory).expect("readable").flatten() {
        let path = entry.path();
        // What is built in there is not written by us.
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            let name = path
                .strip_prefix(root())
                .expect("under the root")
                .to_string_lossy()
                .into_owned();
            files.push(Source { path: name, text });
        }
    }
}
