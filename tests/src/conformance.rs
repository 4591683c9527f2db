//! The conformance suites against a real RabbitMQ and a real Redis, and what happens when the network cuts in.
//! `SAPARI_BROKER_URL` and `SAPARI_RESULT_URL` say where they are; `scripts/services up` starts them.

mod holding;
mod pruning;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use sapari_runtime::broker::conformance::{
    self as broker_suite, ack, fresh_queue, next, parcel, settled_depth,
};
use sapari_runtime::broker::rabbitmq::{RabbitBroker, RabbitConfig};
use sapari_runtime::broker::{Broker, BrokerError, Lost, PublishError};
use sapari_runtime::ledger::conformance as ledger_suite;
use sapari_runtime::message::MessageId;
use sapari_runtime::result::conformance::{self as result_suite, observed, output, record};
use sapari_runtime::result::redis::{RedisConfig, RedisResults};
use sapari_runtime::result::{ResultError, Results};
use tokio::time::{Instant, timeout};

use crate::proxy::Proxy;

const NAMESPACE: &str = "conformance";
const PATIENCE: Duration = Duration::from_secs(30);

fn broker_url() -> String {
    std::env::var("SAPARI_BROKER_URL").unwrap_or_else(|_| "amqp://127.0.0.1:5672".to_owned())
}

fn result_url() -> String {
    std::env::var("SAPARI_RESULT_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned())
}

/// The URL with the proxy's port, and what the proxy stands before.
pub(crate) fn through(url: &str, port: u16) -> String {
    let authority = authority(url);
    let host = authority.rsplit('@').next().expect("at least one part");
    url.replacen(host, &format!("127.0.0.1:{port}"), 1)
}

pub(crate) fn server(url: &str) -> String {
    let authority = authority(url);
    authority
        .rsplit('@')
        .next()
        .expect("at least one part")
        .to_owned()
}

fn authority(url: &str) -> &str {
    let rest = url.split("://").nth(1).expect("a scheme");
    rest.split('/').next().expect("at least one part")
}

fn rabbit_config(url: &str) -> RabbitConfig {
    RabbitConfig::new(url, NAMESPACE, "conformance")
}

async fn rabbit(url: &str) -> RabbitBroker {
    RabbitBroker::connect(rabbit_config(url))
        .await
        .expect("RabbitMQ is up: scripts/services up")
}

async fn redis(url: &str) -> RedisResults {
    RedisResults::connect(RedisConfig::new(url))
        .await
        .expect("Redis is up: scripts/services up")
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_keeps_every_promise_of_a_broker() {
    broker_suite::exercise(async || Arc::new(rabbit(&broker_url()).await) as Arc<dyn Broker>).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_keeps_every_promise_of_a_result_store() {
    result_suite::exercise(&redis(&result_url()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_keeps_every_promise_of_a_ledger() {
    let config = RedisConfig {
        namespace: format!("conformance-{}", uuid::Uuid::new_v4()),
        ..RedisConfig::new(result_url())
    };
    let results = RedisResults::connect(config).await.expect("Redis is up");
    ledger_suite::exercise(&*results.ledger()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_survives_a_cut_and_its_old_delivery_is_lost() {
    let proxy = Proxy::before(&server(&broker_url())).await;
    let broker = rabbit(&through(&broker_url(), proxy.port())).await;
    let queue = fresh_queue(2);
    let mut consumer = broker.consume(queue, 1).await.expect("consuming");
    for round in 0..3 {
        let sent = parcel(queue, 1, Duration::ZERO);
        broker.publish(sent.clone()).await.expect("stored");
        let old = next(&mut *consumer).await;
        proxy.cut();
        let again = next(&mut *consumer).await;
        assert_eq!(
            (&again.body, again.redelivered),
            (&sent.body, true),
            "round {round}"
        );
        assert_eq!(
            ack(old).await,
            Err(Lost),
            "an ack must not reach another channel"
        );
        ack(again).await.expect("the new channel lives");
    }
    settled_depth(&broker, queue, |depth| {
        depth.ready == [0, 0] && depth.consumers == [1, 1]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_channel_had_buffered_is_not_given_out_twice() {
    let proxy = Proxy::before(&server(&broker_url())).await;
    let broker = rabbit(&through(&broker_url(), proxy.port())).await;
    let queue = fresh_queue(1);
    let mut consumer = broker.consume(queue, 10).await.expect("consuming");
    for _ in 0..10 {
        broker
            .publish(parcel(queue, 0, Duration::ZERO))
            .await
            .expect("stored");
    }
    ack(next(&mut *consumer).await)
        .await
        .expect("the channel lives");
    // All that is left stands in the consumer's buffer; the channel that it came on dies.
    settled_depth(&broker, queue, |depth| depth.ready == [0]).await;
    proxy.cut();
    let direct = rabbit(&broker_url()).await;
    settled_depth(&direct, queue, |depth| {
        depth.consumers == [1] && depth.ready == [0]
    })
    .await;
    for _ in 0..9 {
        let delivery = next(&mut *consumer).await;
        assert!(delivery.redelivered);
        ack(delivery)
            .await
            .expect("only deliveries of the living channel are given out");
    }
    drop(consumer);
    settled_depth(&direct, queue, |depth| {
        depth.consumers == [0] && depth.ready == [0]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_waits_out_a_short_cut() {
    let proxy = Proxy::before(&server(&broker_url())).await;
    let broker = Arc::new(rabbit(&through(&broker_url(), proxy.port())).await);
    let queue = fresh_queue(1);
    broker.declare(queue).await.expect("declared");
    broker
        .publish(parcel(queue, 0, Duration::ZERO))
        .await
        .expect("stored");
    proxy.refuse();
    until_down(&broker).await;
    let publishing = tokio::spawn({
        let broker = Arc::clone(&broker);
        async move { broker.publish(parcel(queue, 0, Duration::ZERO)).await }
    });
    assert!(!publishing.is_finished());
    proxy.resume();
    timeout(PATIENCE, publishing)
        .await
        .expect("in time")
        .expect("no panic")
        .expect("stored after the cut");
    settled_depth(&*broker, queue, |depth| depth.ready == [2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_in_flight_at_a_cut_is_published_again_with_its_id() {
    let proxy = Proxy::before(&server(&broker_url())).await;
    let broker = rabbit(&through(&broker_url(), proxy.port())).await;
    let queue = fresh_queue(1);
    broker.declare(queue).await.expect("declared");
    let parcels: Vec<_> = (0..1500)
        .map(|_| parcel(queue, 0, Duration::ZERO))
        .collect();
    let mut missing: BTreeSet<_> = parcels.iter().map(|parcel| parcel.id.clone()).collect();
    let publishing = parcels.into_iter().map(|parcel| broker.publish(parcel));
    let mut publishing = stream::iter(publishing).buffer_unordered(200).enumerate();
    while let Some((number, published)) = publishing.next().await {
        published.unwrap_or_else(|error| panic!("after {number}: {error:?}"));
        // Nearly 200 others are on their way now.
        if number % 400 == 399 {
            proxy.cut();
        }
    }
    drop(publishing);
    let direct = rabbit(&broker_url()).await;
    let mut consumer = direct.consume(queue, 200).await.expect("consuming");
    while !missing.is_empty() {
        let delivery = next(&mut *consumer).await;
        missing.remove(&*delivery.headers.get("task_id").expect("an id"));
        ack(delivery).await.expect("the channel lives");
    }
}

/// The connection is seen to be gone.
async fn until_down(broker: &RabbitBroker) {
    timeout(PATIENCE, async {
        while broker.can_publish() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("a cut is noticed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_without_a_broker_is_a_typed_error_in_time() {
    let proxy = Proxy::before(&server(&broker_url())).await;
    let url = through(&broker_url(), proxy.port());
    let config = RabbitConfig {
        publish_timeout: Duration::from_millis(300),
        ..rabbit_config(&url)
    };
    let broker = RabbitBroker::connect(config).await.expect("RabbitMQ is up");
    let queue = fresh_queue(1);
    broker.declare(queue).await.expect("declared");
    proxy.refuse();
    until_down(&broker).await;
    let before = Instant::now();
    let refused = broker.publish(parcel(queue, 0, Duration::ZERO)).await;
    assert!(
        matches!(refused, Err(PublishError::Disconnected(_))),
        "{refused:?}"
    );
    assert!(before.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_or_vhost_is_refused_at_once_and_not_repeated() {
    let host = server(&broker_url());
    for url in [
        format!("amqp://guest:s3cret@{host}"),
        format!("amqp://{host}/no-such-vhost"),
    ] {
        let before = Instant::now();
        let refused = RabbitBroker::connect(rabbit_config(&url))
            .await
            .expect_err("refused");
        assert!(
            matches!(refused, BrokerError::Refused { .. }),
            "{refused:?}"
        );
        assert!(
            before.elapsed() < Duration::from_secs(10),
            "{:?}",
            before.elapsed()
        );
        assert!(!format!("{refused:?} {refused}").contains("s3cret"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_not_there_are_waited_for_until_the_deadline() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let port = nobody.local_addr().expect("bound").port();
    drop(nobody);
    let boot_deadline = Duration::from_millis(900);
    let config = RabbitConfig {
        boot_deadline,
        ..rabbit_config(&format!("amqp://u:s3cret@127.0.0.1:{port}"))
    };
    let away = RabbitBroker::connect(config)
        .await
        .expect_err("nobody is there");
    assert!(matches!(away, BrokerError::Unreachable { .. }), "{away:?}");
    let config = RedisConfig {
        boot_deadline,
        ..RedisConfig::new(format!("redis://:s3cret@127.0.0.1:{port}"))
    };
    let gone = RedisResults::connect(config)
        .await
        .expect_err("nobody is there");
    assert!(matches!(gone, ResultError::Unreachable { .. }), "{gone:?}");
    assert!(!format!("{away:?} {away} {gone:?} {gone}").contains("s3cret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_comes_up_late_is_waited_for() {
    let proxy = Proxy::before(&server(&broker_url())).await;
    proxy.refuse();
    let url = through(&broker_url(), proxy.port());
    let connecting = tokio::spawn(async move { rabbit(&url).await });
    proxy.resume();
    let broker = timeout(PATIENCE, connecting)
        .await
        .expect("in time")
        .expect("connected");
    assert_eq!(broker.system(), "rabbitmq");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_long_ago_do_not_come_back() {
    let broker = rabbit(&broker_url()).await;
    let queue = fresh_queue(1);
    broker.declare(queue).await.expect("declared");
    for _ in 0..3 {
        let unknown = broker.depth(fresh_queue(1)).await;
        assert!(
            matches!(unknown, Err(BrokerError::NoQueue { .. })),
            "{unknown:?}"
        );
    }
    // Channels are numbered up to 2047, and then from the beginning again.
    for round in 0..4200 {
        broker
            .depth(queue)
            .await
            .unwrap_or_else(|error| panic!("round {round}: {error:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_broker_ends_its_consumers() {
    let broker = rabbit(&broker_url()).await;
    let mut consumer = broker.consume(fresh_queue(2), 1).await.expect("consuming");
    broker.close().await;
    let end = timeout(PATIENCE, consumer.next()).await.expect("in time");
    assert!(end.is_none(), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_survives_a_cut() {
    let proxy = Proxy::before(&server(&result_url())).await;
    let waiting = Arc::new(redis(&through(&result_url(), proxy.port())).await);
    let saving = redis(&result_url()).await;
    for (number, away) in [(1, false), (2, true)] {
        let id = MessageId::new();
        let waiter = tokio::spawn({
            let (waiting, id) = (Arc::clone(&waiting), id.clone());
            async move { waiting.wait(&id).await }
        });
        observed(&*waiting, &id, 1).await;
        // Saved while nobody can be told: only looking after the reconnect finds it.
        proxy.refuse();
        if away {
            saving
                .save(&id, &record(number), PATIENCE)
                .await
                .expect("saved");
            proxy.resume();
        } else {
            proxy.resume();
            saving
                .save(&id, &record(number), PATIENCE)
                .await
                .expect("saved");
        }
        let got = timeout(PATIENCE, waiter)
            .await
            .expect("in time")
            .expect("no panic");
        assert_eq!(output(&got.expect("readable")), number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_put_under_an_id_is_unreadable_not_wrong() {
    let results = redis(&result_url()).await;
    let id = MessageId::new();
    results
        .put_raw(&id, b"\x80\x04pickled", PATIENCE)
        .await
        .expect("stored");
    assert!(matches!(
        results.load(&id).await,
        Err(ResultError::Unreadable { .. })
    ));
    let waited = timeout(PATIENCE, results.wait(&id)).await.expect("in time");
    assert!(matches!(waited, Err(ResultError::Unreadable { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_kept_as_long_as_it_was_asked_for() {
    let prefixed = RedisConfig {
        key_prefix: Some("conformance".into()),
        ..RedisConfig::new(result_url())
    };
    let results = RedisResults::connect(prefixed).await.expect("Redis is up");
    let id = MessageId::new();
    assert_eq!(results.time_left(&id).await.expect("reachable"), None);
    results
        .save(&id, &record(1), Duration::from_secs(60))
        .await
        .expect("saved");
    let left = results
        .time_left(&id)
        .await
        .expect("reachable")
        .expect("kept");
    assert!(
        left > Duration::ZERO && left <= Duration::from_secs(60),
        "{left:?}"
    );
    assert!(
        redis(&result_url())
            .await
            .load(&id)
            .await
            .expect("reachable")
            .is_none(),
        "the prefix keeps keys apart"
    );
}
