//! How many messages RabbitMQ's consumer holds, seen from outside: by what is left ready on the broker.

use sapari_runtime::broker::Depth;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn many_are_held_while_they_are_short_and_few_once_one_is_long() {
    let broker = rabbit(&broker_url()).await;
    let queue = fresh_queue(1);
    let mut consumer = broker.consume(queue, 2).await.expect("consuming");
    consumer.may_hold(600);
    let publish = async |count: usize| {
        let parcels = (0..count).map(|_| broker.publish(parcel(queue, 0, Duration::ZERO)));
        for published in futures_util::future::join_all(parcels).await {
            published.expect("stored");
        }
    };
    publish(1000).await;
    for _ in 0..1000 {
        ack(next(&mut *consumer).await).await.expect("it lives");
    }
    publish(50).await;
    settled_depth(&broker, queue, |depth| depth.ready == [0]).await;

    let long = next(&mut *consumer).await;
    tokio::select! {
        () = consumer.hand_back_what_waits() => unreachable!("it never returns"),
        _ = settled_depth(&broker, queue, |depth| depth.ready[0] >= 47) => {}
    }
    // The long one takes up no place: it came to a consumer that is cancelled, and that older brokers count until it is acked.
    let few = |depth: &Depth| depth.ready == [47] && (1..=2).contains(&depth.consumers[0]);
    settled_depth(&broker, queue, few).await;
    for _ in 0..49 {
        ack(next(&mut *consumer).await).await.expect("it lives");
    }
    ack(long).await.expect("still its own");
    drop(consumer);
    let empty = |depth: &Depth| depth.ready == [0] && depth.consumers == [0];
    settled_depth(&broker, queue, empty).await;
}
