//! Cases about the baton: one holder at a time, stubs that outlive their holder, queues that are not there.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::support::{ack, consume, declared, fresh_queue, next, parcel, settled_depth, within};
use crate::broker::{Baton, Broker};

/// How long between two tries to get it: no broker tells when it is free.
const ASK_AGAIN: Duration = Duration::from_millis(20);

async fn take(baton: &mut dyn Baton) -> bool {
    within("an answer", baton.take()).await.expect("it answers")
}

async fn get(baton: &mut dyn Baton) {
    let getting = async {
        while !baton.take().await.expect("it answers") {
            tokio::time::sleep(ASK_AGAIN).await;
        }
    };
    within("the baton", getting).await;
}

/// One of two processes holds it; the other gets it once it is let go, or its holder is gone; stubs tell what was published.
///
/// # Panics
/// When it is not so.
pub async fn a_baton_has_one_holder_and_keeps_stubs(one: &dyn Broker, other: &dyn Broker) {
    let queue = declared(one, 2).await;
    let (mut first, mut second) = (one.baton(), other.baton());
    get(&mut *first).await;
    within("to forget", first.forget_stubs())
        .await
        .expect("held");
    assert!(!take(&mut *second).await && !second.is_held());
    assert!(take(&mut *first).await, "it is held already");
    let mut ids = HashSet::new();
    for level in [0, 1, 1] {
        let parcel = parcel(queue, level, Duration::ZERO);
        ids.insert(parcel.id.clone());
        within("a confirm", first.publish(parcel))
            .await
            .expect("it takes it");
    }
    settled_depth(one, queue, |depth| depth.ready == [1, 2]).await;
    drop(first);
    get(&mut *second).await;
    for _ in 0..2 {
        let stubs = within("the stubs", second.stubs()).await.expect("held");
        assert_eq!(stubs, ids, "reading takes nothing away");
    }
    let mut consumer = consume(other, queue, 10).await;
    for _ in 0..3 {
        let delivery = next(&mut *consumer).await;
        assert_eq!(delivery.headers.get("BCC"), None);
        ack(delivery).await.expect("settled");
    }
    let stubs = within("the stubs", second.stubs()).await.expect("held");
    assert_eq!(stubs, ids, "they stay when the messages are gone");
    within("to forget", second.forget_stubs())
        .await
        .expect("held");
    let stubs = within("the stubs", second.stubs()).await.expect("held");
    assert!(stubs.is_empty(), "{stubs:?}");
    within("to let go", second.let_go()).await;
    assert!(!second.is_held());
    get(&mut *one.baton()).await;
}

/// Whoever published to a queue that is not there is told when they ask.
///
/// # Panics
/// When they are not.
pub async fn a_queue_that_is_not_there_is_missing(broker: &dyn Broker) {
    let (here, gone) = (declared(broker, 2).await, fresh_queue(1));
    let mut baton = broker.baton();
    get(&mut *baton).await;
    let missing = within("an answer", baton.missing(&BTreeSet::from([here, gone]))).await;
    assert_eq!(missing.expect("held"), BTreeSet::from([gone]));
}
