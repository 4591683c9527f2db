//! The health port of a worker process: ready only while it really takes messages, answering until its end, on loopback.

use std::net::{IpAddr, Ipv4Addr, TcpListener};

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::{Connection, ConnectionProperties};
use nix::sys::signal::Signal;
use sapari_runtime::ping::Ping;
use sapari_tasks::Role;
use tokio::net::TcpStream;

use super::stopping::Waiting;
use super::support::{Page, Process, Space, broker_url, json, within};
use crate::conformance::{server, through};
use crate::proxy::Proxy;

/// A broker's queue that another connection has taken for itself: nobody else may consume or declare it. It goes with it.
struct Taken(Connection);

impl Taken {
    /// Deletes the queue, and has it under its own name before anybody else: the worker declares it again at once, so it may
    /// take several tries.
    async fn away_from(queue: &str) -> Self {
        let connection = Connection::connect(&broker_url(), ConnectionProperties::default()).await;
        let connection = connection.expect("RabbitMQ is up: scripts/services up starts it");
        within("the queue", async {
            while !take(&connection, queue).await {}
        })
        .await;
        Self(connection)
    }

    async fn give_back(self) {
        let closed = self.0.close(200, "given back".into()).await;
        closed.expect("the connection lives");
    }
}

async fn take(connection: &Connection, queue: &str) -> bool {
    // A channel per try: a refusal closes it.
    let channel = connection.create_channel().await.expect("a channel");
    let exclusive = QueueDeclareOptions {
        exclusive: true,
        ..Default::default()
    };
    let deleted = channel.queue_delete(queue.into(), QueueDeleteOptions::default());
    // Both are on their way before either is answered.
    let declared = channel.queue_declare(queue.into(), exclusive, Default::default());
    let (_, declared) = tokio::join!(deleted, declared);
    declared.is_ok()
}

async fn render(space: &Space) -> Process {
    space.start("sapari-render", &[]).ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_ready_counts_what_it_does_and_listens_on_loopback_only() {
    let space = Space::new();
    let worker = render(&space).await;
    let health = worker.health().await;
    assert_eq!(health.ip(), IpAddr::from(Ipv4Addr::LOCALHOST));
    // Every 127.0.0.0/8 is this machine: a port that is open to all would answer there, too.
    let elsewhere = health.at(Ipv4Addr::new(127, 0, 0, 2).into());
    assert!(TcpStream::connect(elsewhere).await.is_err(), "open to all");

    health.until_ready().await;
    assert_eq!(health.get("/livez").await.status, 200);
    let broker = space.broker().await;
    let tasks = space.tasks(&broker).await;
    let kicked = tasks.kick(Ping {}).on(Role::Render.queue()).await;
    kicked.expect("kicked").output().await.expect("answered");
    let done = r#"taskiq_tasks_total{outcome="done",task="ping"}"#;
    health.until_metric(done, 1.0).await;

    let page = health.get("/metrics").await;
    page.body.lines().for_each(assert_well_formed);
    let gauges = [
        (done, 1.0),
        (
            r#"taskiq_task_duration_seconds_count{outcome="done",task="ping"}"#,
            1.0,
        ),
        (r#"taskiq_ready{queue="render"}"#, 1.0),
        (r#"taskiq_draining{queue="render"}"#, 0.0),
        (r#"taskiq_handlers_stuck{queue="render"}"#, 0.0),
        (r#"taskiq_slots_in_use{queue="render"}"#, 0.0),
        (r#"taskiq_consumers{level="0",queue="render"}"#, 1.0),
        (r#"taskiq_consumers{level="3",queue="render"}"#, 1.0),
        (
            r#"taskiq_consumer_losses_total{level="3",queue="render"}"#,
            0.0,
        ),
        ("taskiq_reconnects_total", 0.0),
    ];
    for (series, value) in gauges {
        assert_eq!(page.metric(series), Some(value), "{series}:\n{}", page.body);
    }
    let slots = page.metric(r#"taskiq_slots{queue="render"}"#);
    assert!(slots.is_some_and(|slots| slots >= 1.0), "{slots:?}");
}

/// A comment, or `name{labels} number`.
#[track_caller]
fn assert_well_formed(line: &str) {
    if line.starts_with("# HELP ") || line.starts_with("# TYPE ") {
        return;
    }
    let (series, value) = line.rsplit_once(' ').expect("a series and a value");
    assert!(value.parse::<f64>().is_ok(), "{line}");
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
    assert!(name.chars().all(letters) && labels.ends_with('}'), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_not_ready_while_one_level_has_no_consumer() {
    let space = Space::new();
    let worker = render(&space).await;
    let health = worker.health().await;
    health.until_ready().await;
    let taken = Taken::away_from(&format!("{}.render.3", space.namespace())).await;
    let checks = health.until_failed("consumer").await;
    let said = checks["consumer"].as_str().expect("a sentence");
    assert!(
        said.starts_with("level 3 of render has had no consumer for "),
        "{said}"
    );
    assert!(!said.contains(';'), "the other levels are consumed: {said}");
    assert_eq!(
        health.get("/livez").await.status,
        200,
        "a restart would not help"
    );
    let consumers = r#"taskiq_consumers{level="3",queue="render"}"#;
    assert_eq!(health.get("/metrics").await.metric(consumers), Some(0.0));

    taken.give_back().await;
    health.until_ready().await;
    health.until_metric(consumers, 1.0).await;
    let losses = r#"taskiq_consumer_losses_total{level="3",queue="render"}"#;
    health.until_metric(losses, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_not_ready_while_the_broker_is_away() {
    let proxy = Proxy::before(&server(&broker_url())).await;
    let space = Space::new().with("SAPARI_BROKER_URL", &through(&broker_url(), proxy.port()));
    let worker = render(&space).await;
    let health = worker.health().await;
    health.until_ready().await;
    proxy.refuse();
    health.until_failed("broker").await;
    let no_level = |page: &Page| {
        let body = json(&page.body);
        let said = body["checks"]["consumer"].as_str().unwrap_or_default();
        said.matches("has had no consumer").count() == 4
    };
    health.until("/readyz", no_level).await;
    proxy.resume();
    health.until_ready().await;
    // The one that publishes and the one that consumes.
    health.until_metric("taskiq_reconnects_total", 2.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_answers_while_it_drains_and_says_so() {
    let waiting = Waiting::kicked().await;
    let (worker, _) = waiting.worker_at_work(&["--drain-grace", "10m"]).await;
    let health = worker.health().await;
    health.until_ready().await;
    let in_use = r#"taskiq_slots_in_use{queue="render"}"#;
    assert_eq!(health.get("/metrics").await.metric(in_use), Some(1.0));
    worker.signal(Signal::SIGTERM);
    let checks = health.until_failed("phase").await;
    let said = checks["phase"].as_str().expect("a sentence");
    assert!(said.starts_with("draining"), "{said}");
    assert_eq!(
        health.get("/livez").await.status,
        200,
        "it is not to be killed"
    );
    let page = health.get("/metrics").await;
    assert_eq!(page.metric(r#"taskiq_draining{queue="render"}"#), Some(1.0));
    assert_eq!(page.metric(in_use), Some(1.0), "what runs goes on");
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.ended().await.code, Some(130));
    assert!(
        health.try_get("/livez").await.is_none(),
        "it ends with its process"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_port_a_worker_still_works() {
    let space = Space::new();
    let worker = space.start("sapari-render", &["--health-addr", "off"]);
    let ready = |line: &str| json(line)["message"] == "ready";
    let log = worker.stderr.until("ready", ready).await;
    let named = log.iter().any(|line| json(line)["message"] == "health");
    assert!(!named, "{log:?}");
    let ended = space.sapari(&["ping", "render"]).ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_69_with_a_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = taken.local_addr().expect("bound").to_string();
    let space = Space::offline();
    let ended = space
        .start("sapari-render", &["--health-addr", &addr])
        .ended()
        .await;
    ended.assert_sentence(69, &format!("cannot listen on {addr} for health"));
    let space = space.with("SAPARI_HEALTH_ADDR", &addr);
    let ended = space.start("sapari-render", &[]).ended().await;
    ended.assert_sentence(69, "--health-addr");
}
