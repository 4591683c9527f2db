//! What every fault test stands on: a namespace, a notebook, workers whose tasks write into it, and a client that kicks them.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Connection, ConnectionProperties};
use nix::sys::signal::Signal;
use sapari_fault_worker::{Nap, Note, NoteBook, PAIRS, QUEUE};
use sapari_runtime::broker::conformance::settled_depth;
use sapari_runtime::broker::rabbitmq::{RabbitBroker, RabbitConfig};
use sapari_runtime::broker::{Broker, Room};
use sapari_runtime::client::Tasks;
use sapari_runtime::host::connect_results;
use sapari_runtime::message::MessageId;

use crate::processes::support::{PATIENCE, Process, Space, broker_url, result_url, until};

/// On a private broker one namespace is enough, because its tests have it in turn.
const NAMESPACE: &str = "faults";

/// Where one test lives.
pub(super) struct Ground {
    space: Space,
    broker: String,
    results: String,
    namespace: String,
    notes: NoteBook,
}

/// Kicks, and looks at queues.
pub(super) struct Client {
    pub(super) tasks: Tasks,
    pub(super) broker: Arc<dyn Broker>,
}

impl Ground {
    /// On the servers that all tests share.
    pub(super) fn shared() -> Self {
        let space = Space::new();
        let namespace = space.namespace().to_owned();
        Self::of(space, broker_url(), namespace)
    }

    /// On a private broker, without what the last test left there.
    pub(super) async fn on(broker: &str) -> Self {
        clean(broker).await.expect("the broker answers");
        let space = Space::offline().with("SAPARI_NAMESPACE", NAMESPACE);
        Self::of(space, broker.to_owned(), NAMESPACE.to_owned())
    }

    fn of(space: Space, broker: String, namespace: String) -> Self {
        let notes = NoteBook::at(space.path("notes"));
        let space = space
            .with("SAPARI_NOTES_FILE", &notes.file().display().to_string())
            .with("SAPARI_BROKER_URL", &broker)
            .with("SAPARI_RESULT_URL", &result_url());
        Self {
            space,
            broker,
            results: result_url(),
            namespace,
            notes,
        }
    }

    /// With results in another store.
    pub(super) fn results(mut self, url: &str) -> Self {
        self.results = url.to_owned();
        self.with("SAPARI_RESULT_URL", url)
    }

    /// With one more variable for the workers.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.space = self.space.with(name, value);
        self
    }

    /// With workers that reach the broker under another URL than the client does.
    pub(super) fn through(self, url: &str) -> Self {
        self.with("SAPARI_BROKER_URL", url)
    }

    /// Its name on the broker.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Starts a worker.
    pub(super) fn start(&self, args: &[&str]) -> Process {
        self.space.start("sapari-fault-worker", args)
    }

    /// Starts `sapari`.
    pub(super) fn sapari(&self, args: &[&str]) -> Process {
        self.space.sapari(args)
    }

    /// A worker that takes messages.
    pub(super) async fn worker(&self) -> Process {
        self.start(&[]).ready().await
    }

    pub(super) async fn client(&self) -> Client {
        self.client_with(PATIENCE).await
    }

    /// A client whose kicks wait no longer than this.
    pub(super) async fn client_with(&self, publish_timeout: Duration) -> Client {
        let config = RabbitConfig {
            publish_timeout,
            ..RabbitConfig::new(&self.broker, &self.namespace, "tests")
        };
        let broker = RabbitBroker::connect(config).await.expect("it is up");
        let broker: Arc<dyn Broker> = Arc::new(broker);
        broker.declare(QUEUE).await.expect("declared");
        let results = connect_results(&self.results, &self.namespace, PATIENCE).await;
        let results = results.unwrap_or_else(|failure| panic!("{}", failure.message));
        let tasks = Tasks::new(Arc::clone(&broker), results);
        Client { tasks, broker }
    }

    /// Every line of the notebook.
    pub(super) fn notes(&self) -> Vec<Note> {
        self.notes.read()
    }

    /// How often these have begun.
    pub(super) fn runs(&self, ids: &[MessageId]) -> usize {
        let asked = |note: &Note| ids.iter().any(|id| id.as_str() == note.id);
        let begun = |note: &&Note| note.moment == "begun" && asked(note);
        self.notes().iter().filter(begun).count()
    }

    /// Waits until these have begun so often, all in all.
    pub(super) async fn begun(&self, ids: &[MessageId], runs: usize) {
        let what = format!("{runs} runs");
        until(&what, || self.runs(ids) >= runs).await;
    }
}

/// How often another worker may have to take what came after the last one had stopped.
const MOST_SHIFTS: usize = 10;

impl Ground {
    /// Lets the worker end. A copy that was put off while its message ran may come after that: then another worker takes it.
    pub(super) async fn settled(&self, client: &Client, worker: Process) {
        drained(worker).await;
        for _ in 0..MOST_SHIFTS {
            let depth = client.broker.depth(QUEUE).await.expect("declared");
            if depth.ready == [0; 4] {
                return client.all_settled().await;
            }
            let next = self.worker().await;
            // What waits may be in its hands and not looked at yet: one that comes behind it shows that it was.
            let behind = client.tasks.kick(Nap { millis: 0 }).await.expect("kicked");
            behind.output().within(PATIENCE).await.expect("done");
            settled_depth(&*client.broker, QUEUE, |depth| depth.ready == [0; 4]).await;
            drained(next).await;
        }
        panic!("{MOST_SHIFTS} workers could not settle what there was");
    }
}

/// Lets a worker end what it has begun: its result may be there before its ack.
pub(super) async fn drained(worker: Process) {
    worker.signal(Signal::SIGTERM);
    let ended = worker.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

impl Client {
    /// Waits until nothing waits and nobody consumes: what was not acked would be ready again.
    pub(super) async fn all_settled(&self) {
        let empty = settled_depth(&*self.broker, QUEUE, |depth| {
            depth.ready == [0; 4] && depth.consumers == [0; 4]
        });
        assert_eq!(empty.await.dead, 0, "nothing died");
    }
}

async fn clean(broker: &str) -> lapin::Result<()> {
    let connection = Connection::connect(broker, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let rooms = QUEUE.every_level().map(|level| {
        let room = Room::of(QUEUE, level, PAIRS);
        format!("{level}.room-{}", room.number())
    });
    let parts = ["0", "1", "2", "3", "dead"].map(str::to_owned);
    for part in parts.into_iter().chain(rooms) {
        let name = format!("{NAMESPACE}.{}.{part}", QUEUE.name());
        let gone = channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default());
        gone.await?;
    }
    let gone = channel.exchange_delete(NAMESPACE.into(), ExchangeDeleteOptions::default());
    gone.await?;
    connection.close(200, "cleaned up".into()).await
}
