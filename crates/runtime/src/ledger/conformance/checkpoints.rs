//! Cases about checkpoints: kept by message and step, replaced, forgotten, and gone after their time.

use std::collections::BTreeMap;

use tokio::time::timeout;

use super::{LONG, PATIENCE, SHORT, unique};
use crate::ledger::{LastRun, Ledger};
use crate::message::MessageId;

pub(super) async fn exercise(ledger: &dyn Ledger) {
    steps_are_kept_until_they_are_forgotten(ledger).await;
    steps_are_kept_for_their_time(ledger).await;
    the_last_run_is_known(ledger).await;
}

async fn kept(ledger: &dyn Ledger, id: &MessageId) -> BTreeMap<String, Vec<u8>> {
    ledger.kept_steps(id, LONG).await.expect("answers")
}

async fn steps_are_kept_until_they_are_forgotten(ledger: &dyn Ledger) {
    let (id, other) = (MessageId::new(), MessageId::new());
    assert!(kept(ledger, &id).await.is_empty());
    let any_bytes = &b"\x00\xff\n{}"[..];
    for (id, step, bytes) in [
        (&id, "p/cut", &b"first"[..]),
        (&id, "p/cut", any_bytes),
        (&id, "p/cut/1", b""),
        (&other, "p/cut", b"other"),
    ] {
        let done = ledger.keep_step(id, step, bytes, LONG).await;
        done.expect("answers");
    }
    let expected = [("p/cut", any_bytes), ("p/cut/1", b"")];
    let expected = expected.map(|(step, bytes)| (step.to_owned(), bytes.to_vec()));
    assert_eq!(kept(ledger, &id).await, BTreeMap::from(expected));
    for _ in 0..2 {
        ledger.forget_steps(&id).await.expect("answers");
        assert!(kept(ledger, &id).await.is_empty());
    }
    assert_eq!(kept(ledger, &other).await.len(), 1);
    ledger.forget_steps(&other).await.expect("answers");
}

async fn steps_are_kept_for_their_time(ledger: &dyn Ledger) {
    let (short, long) = (MessageId::new(), MessageId::new());
    for id in [&short, &long] {
        ledger
            .keep_step(id, "a", b"1", SHORT)
            .await
            .expect("answers");
    }
    // A later step, or a look, makes the time of all of them anew.
    ledger
        .keep_step(&long, "b", b"2", LONG)
        .await
        .expect("answers");
    let gone = async {
        // A look makes it anew, too: looked at for as long as it had, and not at all in between.
        while !ledger
            .kept_steps(&short, SHORT)
            .await
            .expect("answers")
            .is_empty()
        {
            tokio::time::sleep(SHORT * 2).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("its time runs out");
    assert_eq!(kept(ledger, &long).await.len(), 2);
    ledger.forget_steps(&long).await.expect("answers");
}

async fn the_last_run_is_known(ledger: &dyn Ledger) {
    let pipeline = unique("pipeline");
    assert_eq!(ledger.last_run(&pipeline).await.expect("answers"), None);
    let run = |seconds| LastRun {
        at: 1e9,
        seconds,
        critical_path: vec!["a".to_owned(), "b".to_owned()],
        steps: BTreeMap::from([("a".to_owned(), 0.5), ("b".to_owned(), seconds)]),
    };
    for seconds in [1.0, 2.5] {
        let kept = ledger.keep_last_run(&pipeline, &run(seconds), LONG).await;
        kept.expect("answers");
    }
    let last = ledger.last_run(&pipeline).await.expect("answers");
    assert_eq!(last, Some(run(2.5)));
}
