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
    a_run_that_nobody_took_up_is_left_behind(ledger).await;
}

async fn a_run_that_nobody_took_up_is_left_behind(ledger: &dyn Ledger) {
    let [left, again, released, sent, renewed] = [(); 5].map(|()| MessageId::new());
    let ours = [&left, &again, &released, &sent, &renewed].map(|id| run(id, "a"));
    for run in &ours {
        begin(ledger, run, SHORT).await;
    }
    ledger.release(&ours[2]).await.expect("answers");
    ledger.sent_on(&ours[3], 1).await.expect("answers");
    ledger.renew(&ours[4..], LONG).await.expect("answers");
    let told = async |ago| {
        let told = ledger.left_behind(ago).await.expect("answers");
        let ours = told
            .into_iter()
            .filter(|it| ours.iter().any(|run| run.id == it.id));
        ours.collect::<Vec<_>>()
    };
    let telling = async {
        while told(Duration::ZERO).await.len() < 2 {
            tokio::time::sleep(SHORT).await;
        }
    };
    timeout(PATIENCE, telling).await.expect("their claims end");
    assert_eq!(told(LONG).await, [], "not for so long");
    let standing = begun_in_time(ledger, &run(&again, "b")).await;
    assert_eq!(standing, Standing::Granted { starts: 2 });
    let token = [run(&again, "b")];
    ledger.renew(&token, LONG).await.expect("answers");
    let only = told(Duration::ZERO).await;
    let [only] = only.as_slice() else {
        panic!("one was taken up, three have ended properly or live: {only:?}")
    };
    assert_eq!((&only.id, only.task.as_str()), (&left, "cut"));
    assert_eq!(only.worker, "w@host:1");
    assert!(only.ended < PATIENCE, "{only:?}");
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
        task: "cut".to_owned(),
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
