//! Where one test lives: its namespace on the broker, its directory, and the environment that its processes get.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sapari_runtime::broker::Broker;
use sapari_runtime::client::Tasks;
use sapari_runtime::host::{
    DEFAULT_BROKER_URL, DEFAULT_RESULT_URL, connect_broker, connect_results,
};
use sapari_runtime::result::Results;
use sapari_services::Scratch;

use super::namespace::Namespace;
use super::{PATIENCE, Process};

pub(crate) fn broker_url() -> String {
    variable("SAPARI_BROKER_URL").unwrap_or_else(|| DEFAULT_BROKER_URL.to_owned())
}

/// The broker's host and port.
pub(crate) fn broker_place() -> String {
    let url = broker_url();
    let after = url.rsplit_once('@').map_or(&*url, |(_, after)| after);
    let after = after.trim_start_matches("amqp://");
    after
        .split(['/', '?'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

pub(crate) fn result_url() -> String {
    variable("SAPARI_RESULT_URL").unwrap_or_else(|| DEFAULT_RESULT_URL.to_owned())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Everything that the processes of one test share.
pub(crate) struct Space {
    env: Vec<(String, String)>,
    // Dropped in this order, after the processes, which a test starts later than its space.
    namespace: Option<Namespace>,
    directory: Scratch,
}

impl Space {
    /// With both servers.
    pub(crate) fn new() -> Self {
        let namespace = Namespace::new();
        let space = Self::offline()
            .with("SAPARI_BROKER_URL", &broker_url())
            .with("SAPARI_RESULT_URL", &result_url())
            .with("SAPARI_NAMESPACE", namespace.name());
        Self {
            namespace: Some(namespace),
            ..space
        }
    }

    /// With no server: nothing is to be declared, and so nothing is cleaned up.
    pub(crate) fn offline() -> Self {
        let directory = Scratch::new(&std::env::temp_dir(), "sapari-processes").expect("writable");
        let place = |name: &str| directory.dir().join(name).display().to_string();
        std::fs::create_dir(directory.dir().join("tmp")).expect("writable");
        let env = [
            ("PATH", variable("PATH").unwrap_or_default()),
            ("HOME", place("home")),
            ("TMPDIR", place("tmp")),
            ("SAPARI_STORAGE_URL", format!("file://{}", place("storage"))),
            ("SAPARI_SCRATCH_DIR", place("scratch")),
        ];
        Self {
            env: env.map(|(key, value)| (key.to_owned(), value)).to_vec(),
            namespace: None,
            directory,
        }
    }

    /// The same with one more variable; the later one wins.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What its names on the broker start with.
    pub(crate) fn namespace(&self) -> &str {
        self.namespace.as_ref().expect("a test with servers").name()
    }

    /// Starts a binary.
    pub(crate) fn start(&self, name: &str, args: &[&str]) -> Process {
        Process::start(name, args, &self.env)
    }

    /// Starts `sapari`.
    pub(crate) fn sapari(&self, args: &[&str]) -> Process {
        self.start("sapari", args)
    }

    /// A file or directory of this test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.dir().join(name)
    }

    /// Puts a file into storage.
    pub(crate) fn store(&self, key: &str, file: &Path) {
        let to = self.object(key);
        std::fs::create_dir_all(to.parent().expect("a key has a parent")).expect("writable");
        std::fs::copy(file, to).expect("copied");
    }

    /// Where an object of the storage lies.
    pub(crate) fn object(&self, key: &str) -> PathBuf {
        self.path("storage").join(key)
    }

    /// Every file under a directory of this test, relative to it.
    pub(crate) fn files(&self, directory: &str) -> Vec<String> {
        let root = self.path(directory);
        let mut files = Vec::new();
        collect(&root, &mut files);
        let relative = |path: PathBuf| path.strip_prefix(&root).map(|it| it.display().to_string());
        let mut names: Vec<String> = files.into_iter().flat_map(relative).collect();
        names.sort();
        names
    }

    /// The broker, as a client of this test's namespace.
    pub(crate) async fn broker(&self) -> Arc<dyn Broker> {
        let namespace = self.namespace.as_ref().expect("a test with servers");
        let opened = connect_broker(&broker_url(), namespace.name(), "tests", PATIENCE).await;
        opened
            .unwrap_or_else(|failure| panic!("{}; scripts/services up starts it", failure.message))
    }

    /// A client that kicks.
    pub(crate) async fn tasks(&self, broker: &Arc<dyn Broker>) -> Tasks {
        Tasks::new(Arc::clone(broker), self.results().await)
    }

    /// The result store, with this test's ledger beside it.
    pub(crate) async fn results(&self) -> Arc<dyn Results> {
        let namespace = self.namespace.as_ref().expect("a test with servers");
        let opened = connect_results(&result_url(), namespace.name(), PATIENCE).await;
        opened
            .unwrap_or_else(|failure| panic!("{}; scripts/services up starts it", failure.message))
    }
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    // A directory that was never made has no files.
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}
