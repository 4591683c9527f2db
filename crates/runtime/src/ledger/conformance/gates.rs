//! Cases about gates: places that are counted, rates, and the rooms of those that wait.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::timeout;

use super::{LONG, PATIENCE, SHORT, unique};
use crate::broker::Room;
use crate::ledger::{Entry, Gate, GateKind, Ledger};
use crate::queue::Queue;

async fn enter(ledger: &dyn Ledger, gates: &[Gate], token: &str, lease: Duration) -> Entry {
    ledger.enter(gates, token, lease).await.expect("answers")
}

pub(super) async fn places_are_counted_and_come_back(ledger: &dyn Ledger) {
    let gate = |most| Gate {
        name: unique("gate"),
        kind: GateKind::AtOnce(most),
    };
    let (two, one) = (gate(2), gate(1));
    let both = [two.clone(), one.clone()];
    assert_eq!(enter(ledger, &both, "a", LONG).await, Entry::Passed);
    assert_eq!(
        enter(ledger, &both, "a", LONG).await,
        Entry::Passed,
        "once more is no more"
    );
    assert!(
        matches!(
            enter(ledger, &both, "b", LONG).await,
            Entry::Wait { gate: 1, .. }
        ),
        "all or none, and the second is closed"
    );
    let two = [two];
    assert_eq!(
        enter(ledger, &two, "b", LONG).await,
        Entry::Passed,
        "nothing was taken"
    );
    assert!(matches!(
        enter(ledger, &two, "c", LONG).await,
        Entry::Wait { .. }
    ));
    ledger.leave(&both, "a").await.expect("answers");
    assert_eq!(enter(ledger, &both, "c", SHORT).await, Entry::Passed);
    ledger
        .stay(&[(one.clone(), "c".to_owned())], LONG)
        .await
        .expect("answers");
    let waiting = async {
        while enter(ledger, &two, "d", LONG).await != Entry::Passed {
            tokio::time::sleep(SHORT).await;
        }
    };
    timeout(PATIENCE, waiting)
        .await
        .expect("the place of a dead worker comes back");
    let one = [one];
    assert!(
        matches!(enter(ledger, &one, "e", LONG).await, Entry::Wait { .. }),
        "it stayed"
    );
}

pub(super) async fn rates_count_the_starts_of_a_time(ledger: &dyn Ledger) {
    let per = Duration::from_secs(1);
    let kind = GateKind::Rate { starts: 4, per };
    let gate = [Gate {
        name: unique("rate"),
        kind,
    }];
    for token in ["a", "b", "c", "d"] {
        assert_eq!(enter(ledger, &gate, token, LONG).await, Entry::Passed);
    }
    let Entry::Wait { after: wait, .. } = enter(ledger, &gate, "e", LONG).await else {
        panic!("the fifth is one too many")
    };
    assert!(wait > Duration::ZERO && wait <= per, "{wait:?}");
    ledger.leave(&gate, "a").await.expect("answers");
    let entry = enter(ledger, &gate, "e", LONG).await;
    assert!(matches!(entry, Entry::Wait { .. }), "a start stays a start");
    for token in ["e", "f", "g", "h"] {
        enter_in_time(ledger, &gate, token).await;
    }
    let entry = enter(ledger, &gate, "i", LONG).await;
    assert!(
        matches!(entry, Entry::Wait { .. }),
        "the next four have started"
    );
}

/// Enters as soon as it may.
async fn enter_in_time(ledger: &dyn Ledger, gates: &[Gate], token: &str) {
    let trying = async {
        while let Entry::Wait { after: wait, .. } = enter(ledger, gates, token, LONG).await {
            tokio::time::sleep(wait).await;
        }
    };
    timeout(PATIENCE, trying)
        .await
        .expect("a rate lets through");
}

pub(super) async fn rooms_are_remembered_until_they_are_empty(ledger: &dyn Ledger) {
    let queue = |word: &str| Queue::named(Box::leak(unique(word).into_boxed_str())).levels(4);
    let (ours, other) = (queue("ours"), queue("other"));
    let room = |queue: Queue, level, gate| Room::of(queue, queue.level_numbered(level), gate);
    let rooms = async || ledger.rooms(ours).await.expect("answers");
    assert!(rooms().await.is_empty());
    let both: BTreeSet<Room> = [room(ours, 0, "a"), room(ours, 3, "a key\n")].into();
    for _ in 0..2 {
        ledger.fill_rooms(ours, &both).await.expect("answers");
        ledger
            .fill_rooms(ours, &BTreeSet::new())
            .await
            .expect("answers");
        assert_eq!(rooms().await, both);
    }
    let theirs = [room(other, 0, "a")].into();
    ledger.fill_rooms(other, &theirs).await.expect("answers");
    let first = *both.first().expect("two");
    ledger.empty_room(first).await.expect("answers");
    ledger.empty_room(first).await.expect("nothing to do");
    assert_eq!(rooms().await, both.into_iter().skip(1).collect());
    assert_eq!(ledger.rooms(other).await.expect("answers"), theirs);
}
