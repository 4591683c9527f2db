//! From the servers that a command line names to connections. What makes no sense is refused before anything is connected.

use std::sync::Arc;
use std::time::Duration;

use sapari_runtime::broker::memory::MemoryBroker;
use sapari_runtime::broker::{self, Broker};
use sapari_runtime::client::Tasks;
use sapari_runtime::duration::seconds;
use sapari_runtime::host::{DEFAULT_BROKER_URL, Exit, Failure, connect_broker, connect_results};
use sapari_runtime::queue::Queue;
use sapari_runtime::result::{self, Results};
use sapari_tasks::Role;

use crate::args::{Servers, Store};
use crate::console;

/// How long a person waits for a server that does not answer.
const CONNECT_DEADLINE: Duration = seconds(5);

/// Refuses URLs and names that make no sense.
pub(crate) fn check(servers: &Servers, queue: Queue) -> Result<(), Failure> {
    let (broker, namespace) = (&servers.broker_url, &servers.store.namespace);
    broker::url::describe(broker, namespace, queue).map_err(|error| Exit::Usage.because(&error))?;
    result::url::check(&servers.store.result_url).map_err(|error| Exit::Usage.because(&error))?;
    refuse_memory(broker, "a real broker")
}

/// The same for a command that looks into the result store and its ledger.
pub(crate) fn check_store(store: &Store) -> Result<(), Failure> {
    // The broker's rules for names hold for the ledger, too: it is another part of the same namespace.
    broker::url::describe(DEFAULT_BROKER_URL, &store.namespace, Role::ALL[0].queue())
        .map_err(|error| Exit::Usage.because(&error))?;
    result::url::check(&store.result_url).map_err(|error| Exit::Usage.because(&error))?;
    refuse_memory(&store.result_url, "the result store of the workers")
}

fn refuse_memory(url: &str, needed: &str) -> Result<(), Failure> {
    if url.starts_with("memory:") {
        return Err(Exit::Usage.with(format!(
            "memory:// lives and ends within one process; `sapari demo` uses it, other commands need {needed}"
        )));
    }
    Ok(())
}

/// Connects and makes sure that the queue is there, so that the message can wait for a worker that has never run.
pub(crate) async fn connect(servers: &Servers, queue: Queue) -> Result<Arc<dyn Broker>, Failure> {
    let broker = connect_to_look(servers).await?;
    broker
        .declare(queue)
        .await
        .map_err(|error| Exit::Unavailable.because(&error))?;
    Ok(broker)
}

/// Connects, and declares nothing.
pub(crate) async fn connect_to_look(servers: &Servers) -> Result<Arc<dyn Broker>, Failure> {
    connect_broker(
        &servers.broker_url,
        &servers.store.namespace,
        console::SERVICE,
        CONNECT_DEADLINE,
    )
    .await
}

impl Store {
    /// The result store, with the ledger beside it.
    pub(crate) async fn results(&self) -> Result<Arc<dyn Results>, Failure> {
        connect_results(&self.result_url, &self.namespace, CONNECT_DEADLINE).await
    }

    /// A client that asks about messages and kicks none: it needs no broker to be there.
    pub(crate) async fn asking(&self) -> Result<Tasks, Failure> {
        let results = self.results().await?;
        Ok(Tasks::new(Arc::new(MemoryBroker::new()), results))
    }
}
