//! A private RabbitMQ. Starting it costs five seconds of both cores, so there is one for all tests, which lease it in turn.

use std::process::Stdio;

use nix::sys::signal::Signal;
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard};

use super::server::{Server, root};

/// Ends with the process: a static is never dropped, but its stdin closes.
static BROKER: Mutex<Option<Broker>> = Mutex::const_new(None);

/// The private RabbitMQ, for one test at a time.
pub(crate) struct Lease(MutexGuard<'static, Option<Broker>>);

struct Broker {
    server: Server,
    blocked: bool,
}

/// Waits for its turn, and gets a RabbitMQ that runs and takes messages.
pub(crate) async fn broker() -> Lease {
    let mut lease = Lease(BROKER.lock().await);
    let broker = lease.0.get_or_insert_with(Broker::new);
    if !broker.server.is_up() {
        broker.server.start().await;
    }
    if broker.blocked {
        lease.take_publishes().await;
    }
    lease
}

impl Broker {
    /// A message that is not acked for three seconds takes its channel along; the broker looks every second. The rest is as it is deployed.
    fn new() -> Self {
        let server = Server::new("broker");
        let advanced = "[{rabbit, [{channel_tick_interval, 1000}, {dead_letter_worker_publisher_confirm_timeout, 30000}]}].\n";
        std::fs::write(server.dir().join("advanced.config"), advanced).expect("writable");
        let conf = server.dir().join("conf.d");
        std::fs::create_dir(&conf).expect("writable");
        std::fs::write(conf.join("tests.conf"), "consumer_timeout = 3000\n").expect("writable");
        Self {
            server,
            blocked: false,
        }
    }
}

impl Lease {
    fn broker(&mut self) -> &mut Broker {
        self.0.as_mut().expect("made when it was leased")
    }

    pub(crate) fn place(&self) -> String {
        let broker = self.0.as_ref().expect("made when it was leased");
        format!("127.0.0.1:{}", broker.server.port())
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://{}", self.place())
    }

    /// Starts it again, on the same port with the same data.
    pub(crate) async fn start(&mut self) {
        self.broker().server.start().await;
        self.broker().blocked = false;
    }

    /// Asks it to end.
    pub(crate) async fn stop(&mut self) {
        self.broker().server.end(Signal::SIGTERM).await;
    }

    /// Makes it write down which queues there are: it does so with a delay of three seconds, and a kill loses a younger queue.
    pub(crate) async fn remember_queues(&mut self) {
        let write = "[ok = dets:sync(Table) || Table <- dets:all()], catch mnesia:sync_log().";
        self.control(&["eval", write]).await;
    }

    /// kill -9. Queues that were declared just now may be gone: see [`Self::remember_queues`].
    pub(crate) async fn kill(&mut self) {
        self.broker().server.end(Signal::SIGKILL).await;
    }

    /// Raises the memory alarm: whoever publishes is blocked.
    pub(crate) async fn block_publishes(&mut self) {
        self.broker().blocked = true;
        self.control(&["set_vm_memory_high_watermark", "0"]).await;
    }

    /// Clears the alarm.
    pub(crate) async fn take_publishes(&mut self) {
        self.control(&["set_vm_memory_high_watermark", "0.4"]).await;
        self.broker().blocked = false;
    }

    async fn control(&mut self, args: &[&str]) {
        let mut command = Command::new(root().join("scripts/services"));
        command.arg("control").arg(self.broker().server.dir());
        command.args(args).stdin(Stdio::null()).kill_on_drop(true);
        let done = command.output().await.expect("scripts/services runs");
        assert!(done.status.success(), "{done:?}");
    }
}
