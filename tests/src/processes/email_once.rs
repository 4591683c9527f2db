//! A mail that a server has taken is not sent again, although its task failed after that, or its worker was gone before the ack. The
//! role's own worker, on the embedded broker; the mail server is a process of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use sapari_email::Post;
use sapari_runtime::broker::memory::MemoryBroker;
use sapari_runtime::prelude::*;
use sapari_runtime::result::memory::MemoryResults;
use sapari_runtime::testing::Harness;
use sapari_runtime::worker::Servers;
use sapari_services::Mailer;
use sapari_tasks::{EmailTemplate, SendEmail};
use sapari_telemetry::testing::Collector;
use sapari_telemetry::tree::TreeStyle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::email::{Server, mails};
use super::support::{PATIENCE, Space, within};
use crate::meddling::{FailsOnce, Hangs, last_attempt};

const TO: &str = "ada@example.com";

/// What a second attempt does when the first one has sent the mail.
const RESUMED: [&str; 3] = [
    "email.pipeline",
    "step.compose  step.outcome=skipped",
    "step.send  step.outcome=resumed",
];

fn post(server: &Server) -> Post {
    let url = format!("smtp://{}?tls=none", server.place);
    let mailer = Mailer::open(&url, "Sapari <hello@sapari.example>");
    Post::by(mailer.expect("a URL"))
}

fn order() -> SendEmail {
    let variables = [("project_name", "Talk"), ("reason", "the clip was empty")];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    SendEmail {
        to: TO.to_owned(),
        template: EmailTemplate::ExportFailed,
        variables: BTreeMap::from(variables.map(owned)),
        project_uuid: None,
    }
}

fn style() -> TreeStyle {
    TreeStyle::for_tests(&["taskiq.attempt", "step.outcome"])
}

#[tokio::test]
async fn a_mail_whose_task_failed_after_it_is_sent_once() {
    let space = Space::offline();
    let server = Server::start(&space, &[]).await;
    let (collector, default) = Collector::scoped();
    let worker = sapari_email::worker(post(&server)).with(FailsOnce);
    let (tasks, running) = Harness::new(worker).start();
    let handle = tasks.kick(order()).await.expect("kicked");
    let sent = handle.output().await.expect("sent");
    running.stop().await;
    drop(default);
    let tree = collector.tree(&style());
    assert!(tree.contains("taskiq.attempt=2"), "{tree}");
    assert_eq!(last_attempt(&tree), RESUMED, "{tree}");
    let id = &sent.email_id;
    assert_eq!(mails(&server.heard().await), [format!("{TO} <{id}>")]);
}

/// As if its process were gone: it settles nothing any more, and says nothing.
async fn worker_that_dies_after_sending(servers: &Servers, post: Post) {
    let process = tokio::runtime::Runtime::new().expect("threads");
    let sent = Arc::new(Notify::new());
    let worker = sapari_email::worker(post).lease(seconds(1));
    let worker = worker.with(Hangs(Arc::clone(&sent)));
    process.spawn(worker.run(servers.clone(), CancellationToken::new()));
    within("the mail to be sent", sent.notified()).await;
    process.shutdown_background();
}

#[tokio::test]
async fn a_mail_that_is_delivered_again_after_it_was_sent_is_sent_once() {
    let space = Space::offline();
    let server = Server::start(&space, &[]).await;
    let servers = Servers {
        broker: Arc::new(MemoryBroker::with_queues([SendEmail::QUEUE])),
        results: Arc::new(MemoryResults::new()),
    };
    let tasks = Tasks::new(Arc::clone(&servers.broker), Arc::clone(&servers.results));
    let handle = tasks.kick(order()).await.expect("kicked");
    worker_that_dies_after_sending(&servers, post(&server)).await;

    let (collector, default) = Collector::scoped();
    let shutdown = CancellationToken::new();
    let worker = sapari_email::worker(post(&server)).lease(seconds(1));
    let working = tokio::spawn(worker.run(servers, shutdown.clone()));
    let sent = handle.output().within(PATIENCE).await.expect("sent");
    shutdown.cancel();
    working.await.expect("no panic").expect("ends well");
    drop(default);
    let tree = collector.tree(&style());
    // No attempt is counted of a worker that died.
    assert!(tree.contains("taskiq.attempt=1"), "{tree}");
    assert_eq!(last_attempt(&tree), RESUMED, "{tree}");
    let id = &sent.email_id;
    assert_eq!(mails(&server.heard().await), [format!("{TO} <{id}>")]);
}
