//! What every ledger promises of run claims.

use std::time::Duration;

use tokio::time::timeout;

use super::{LONG, PATIENCE, SHORT};
use crate::ledger::{Ledger, Run, Sighting, Standing};
use crate::message::MessageId;

pub(super) async fn exercise(ledger: &dyn Ledger) {
    a_run_is_claimed_once(ledger).await;
    a_claim_that_runs_out_counts_as_a_death(ledger).await;
    a_start_that_is_held_back_claims_nothing(ledger).await;
    a_renewed_claim_lives_on(ledger).await;
    what_was_sent_on_or_released_may_begin_again(ledger).await;
    what_is_new_is_no_copy_of_an_earlier_kick(ledger).await;
}

async fn what_is_new_is_no_copy_of_an_earlier_kick(ledger: &dyn Ledger) {
    let id = MessageId::new();
    let first = run(&id, "a");
    begin(ledger, &first, LONG).await;
    let new = |token: &str| Run {
        is_new: true,
        ..run(&id, token)
    };
    let held = begin(ledger, &new("b"), LONG).await;
    assert!(matches!(held, Standing::Held { .. }), "one at a time");
    ledger.sent_on(&first, 1).await.expect("answers");
    let copy = begin(ledger, &run(&id, "c"), LONG).await;
    assert_eq!(copy, Standing::Superseded);
    let granted = Standing::Granted { starts: 1 };
    assert_eq!(begin(ledger, &new("d"), SHORT).await, granted);
    assert_eq!(
        begun_in_time(ledger, &new("e")).await,
        granted,
        "its own first start"
    );
}

fn run(id: &MessageId, token: &str) -> Run {
    Run {
        id: id.clone(),
        kick: "k\n1".to_owned(),
        is_new: false,
        hop: 0,
        token: token.to_owned(),
        worker: "w@host:1".to_owned(),
    }
}

async fn begin(ledger: &dyn Ledger, run: &Run, lease: Duration) -> Standing {
    let standing = ledger.begin(run, lease, None).await;
    standing.expect("the ledger answers")
}

async fn a_run_is_claimed_once(ledger: &dyn Ledger) {
    let id = MessageId::new();
    let first = run(&id, "a");
    assert_eq!(
        begin(ledger, &first, LONG).await,
        Standing::Granted { starts: 1 }
    );
    assert_eq!(
        begin(ledger, &first, LONG).await,
        Standing::Granted { starts: 1 },
        "asking again changes nothing"
    );
    let Standing::Held { remaining, worker } = begin(ledger, &run(&id, "b"), LONG).await else {
        panic!("the first one runs")
    };
    assert!(
        remaining > Duration::ZERO && remaining <= LONG,
        "{remaining:?}"
    );
    assert_eq!(worker, "w@host:1");
    let other_kick = Run {
        kick: "other".to_owned(),
        ..run(&id, "c")
    };
    let standing = begin(ledger, &other_kick, LONG).await;
    assert!(
        matches!(standing, Standing::Held { .. }),
        "one id runs once at a time"
    );
    let sighting = ledger.sighting(&id).await.expect("answers");
    let worker = "w@host:1".to_owned();
    assert_eq!(sighting, Some(Sighting::Running { worker, starts: 1 }));
    assert_eq!(
        ledger.sighting(&MessageId::new()).await.expect("answers"),
        None
    );
}

async fn a_claim_that_runs_out_counts_as_a_death(ledger: &dyn Ledger) {
    let id = MessageId::new();
    for starts in 1..=3 {
        let next = run(&id, &starts.to_string());
        assert_eq!(
            begun_in_time(ledger, &next).await,
            Standing::Granted { starts }
        );
    }
    let other = Run {
        kick: "other".to_owned(),
        ..run(&id, "o")
    };
    assert_eq!(
        begun_in_time(ledger, &other).await,
        Standing::Granted { starts: 1 }
    );
}

async fn a_start_that_is_held_back_claims_nothing(ledger: &dyn Ledger) {
    let id = MessageId::new();
    begin(ledger, &run(&id, "a"), SHORT).await;
    tokio::time::sleep(SHORT * 2).await;
    for token in ["b", "c"] {
        let standing = ledger.begin(&run(&id, token), LONG, Some(2)).await;
        assert_eq!(standing.expect("answers"), Standing::HeldBack);
    }
    let sighting = ledger.sighting(&id).await.expect("answers");
    assert!(
        matches!(sighting, Some(Sighting::Abandoned { starts: 1, .. })),
        "{sighting:?}"
    );
    let standing = ledger.begin(&run(&id, "d"), LONG, Some(3)).await;
    assert_eq!(
        standing.expect("answers"),
        Standing::Granted { starts: 2 },
        "another start is not meant"
    );
}

/// Begins as soon as the claim before has run out.
async fn begun_in_time(ledger: &dyn Ledger, run: &Run) -> Standing {
    let trying = async {
        loop {
            match begin(ledger, run, SHORT).await {
                Standing::Held { remaining, .. } => tokio::time::sleep(remaining).await,
                other => return other,
            }
        }
    };
    timeout(PATIENCE, trying).await.expect("a lease runs out")
}

async fn a_renewed_claim_lives_on(ledger: &dyn Ledger) {
    let (id, lost) = (MessageId::new(), MessageId::new());
    begin(ledger, &run(&id, "a"), SHORT).await;
    let runs = [run(&id, "a"), run(&lost, "l")];
    ledger.renew(&runs, LONG).await.expect("answers");
    for id in [id, lost] {
        let standing = begin(ledger, &run(&id, "b"), LONG).await;
        let Standing::Held { remaining, .. } = standing else {
            panic!("{standing:?}")
        };
        assert!(remaining > SHORT, "{remaining:?}");
        let theirs = [run(&id, "z")];
        ledger.renew(&theirs, LONG).await.expect("answers");
        assert!(
            matches!(
                begin(ledger, &run(&id, "z"), LONG).await,
                Standing::Held { .. }
            ),
            "a stranger renews nothing"
        );
    }
    ledger.renew(&[], LONG).await.expect("nothing to do");
}

async fn what_was_sent_on_or_released_may_begin_again(ledger: &dyn Ledger) {
    let id = MessageId::new();
    let first = run(&id, "a");
    begin(ledger, &first, LONG).await;
    ledger
        .release(&run(&id, "stranger"))
        .await
        .expect("answers");
    assert!(matches!(
        begin(ledger, &run(&id, "b"), LONG).await,
        Standing::Held { .. }
    ));
    ledger.release(&first).await.expect("answers");
    let again = run(&id, "b");
    assert_eq!(
        begin(ledger, &again, LONG).await,
        Standing::Granted { starts: 1 }
    );

    ledger.sent_on(&again, 1).await.expect("answers");
    assert_eq!(
        begin(ledger, &run(&id, "c"), LONG).await,
        Standing::Superseded
    );
    assert_eq!(
        ledger.sighting(&id).await.expect("answers"),
        Some(Sighting::SentOn { hop: 1 })
    );
    let next = Run {
        is_new: false,
        hop: 1,
        ..run(&id, "d")
    };
    assert_eq!(
        begin(ledger, &next, LONG).await,
        Standing::Granted { starts: 1 }
    );
}
