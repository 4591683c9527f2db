//! Cases about schedules: one lead at a time and what it may write, and entries with their versions. The ledger's schedules are
//! one whole, so these cases are the only ones that touch them.

use std::collections::BTreeMap;

use tokio::time::timeout;

use super::{LONG, PATIENCE, SHORT, unique};
use crate::ledger::Ledger;
use crate::schedule::{Known, Tick};

pub(super) async fn exercise(ledger: &dyn Ledger) {
    a_lead_is_numbered_and_ends(ledger).await;
    only_the_last_lead_settles_ticks(ledger).await;
    entries_are_added_paused_and_removed(ledger).await;
    the_timetable_is_posted_whole(ledger).await;
}

fn known(last: i64) -> Known {
    Known {
        last: Tick::at(last),
        of: 7,
        waits: false,
    }
}

async fn a_lead_is_numbered_and_ends(ledger: &dyn Ledger) {
    let first = ledger.take_lead("a", LONG).await.expect("answers");
    let leads = async |who: &str, number| {
        let leader = ledger.leader().await.expect("answers");
        let leader = leader.expect("somebody leads");
        assert_eq!((leader.who.as_str(), leader.number), (who, number));
        leader.left
    };
    let left = leads("a", first).await;
    assert!(left <= LONG && left > LONG / 2, "{left:?}");
    let second = ledger.take_lead("b", LONG).await.expect("answers");
    assert!(second > first, "{second} after {first}");
    let kept = ledger.keep_lead("a", first, LONG).await.expect("answers");
    assert_eq!(kept, None, "b has taken it");
    ledger.give_up_lead(first).await.expect("answers");
    leads("b", second).await;
    let kept = ledger.keep_lead("b", second, SHORT).await.expect("answers");
    assert!(kept.is_some());
    let left = ledger.leader().await.expect("answers").map(|it| it.left);
    assert!(left.is_none_or(|left| left <= SHORT), "{left:?}");
    let ending = async {
        while ledger.leader().await.expect("answers").is_some() {
            tokio::time::sleep(SHORT).await;
        }
    };
    timeout(PATIENCE, ending).await.expect("a lease ends");
    // Nobody has taken it meanwhile.
    let kept = ledger.keep_lead("b", second, LONG).await.expect("answers");
    assert!(kept.is_some());
    ledger.give_up_lead(second).await.expect("answers");
    assert_eq!(ledger.leader().await.expect("answers"), None);
}

async fn only_the_last_lead_settles_ticks(ledger: &dyn Ledger) {
    let (a, b) = (unique("entry"), unique("entry"));
    let old = ledger.take_lead("a", LONG).await.expect("answers");
    let ours = async || {
        let all = ledger.settled_ticks().await.expect("answers");
        let of = |id: &String| all.get(id).map(|known| known.last.seconds());
        (of(&a), of(&b))
    };
    let both = [(a.clone(), known(10)), (b.clone(), known(-20))];
    assert!(ledger.settle_ticks(old, &both).await.expect("answers"));
    assert_eq!(ours().await, (Some(10), Some(-20)));
    let new = ledger.take_lead("b", LONG).await.expect("answers");
    let late = [(a.clone(), known(99))];
    assert!(!ledger.settle_ticks(old, &late).await.expect("answers"));
    assert_eq!(ours().await, (Some(10), Some(-20)), "refused whole");
    let next = [(a.clone(), known(11))];
    for waits in [true, false] {
        let of_a = next.clone().map(|(id, it)| (id, Known { waits, ..it }));
        assert!(ledger.settle_ticks(new, &of_a).await.expect("answers"));
        let all = ledger.settled_ticks().await.expect("answers");
        assert_eq!(all.get(&a).map(|it| it.waits), Some(waits));
    }
    assert!(ledger.settle_ticks(new, &[]).await.expect("answers"));
    assert_eq!(ours().await, (Some(11), Some(-20)));
    ledger.give_up_lead(new).await.expect("answers");
}

async fn entries_are_added_paused_and_removed(ledger: &dyn Ledger) {
    let (id, other) = (unique("entry"), unique("entry"));
    let number = ledger.take_lead("a", LONG).await.expect("answers");
    let mut before = ledger.written().await.expect("answers").version;
    let mut newer = async |what: &str| {
        let written = ledger.written().await.expect("answers");
        assert!(written.version > before, "{what}");
        before = written.version;
        let told = ledger.keep_lead("a", number, LONG).await.expect("answers");
        assert_eq!(told, Some(before), "a leader hears of it");
        written
    };
    for text in ["one", "two é \n {}"] {
        ledger.add_entry(&id, text).await.expect("answers");
        let written = newer("added").await;
        assert_eq!(written.added.get(&id).map(String::as_str), Some(text));
    }
    ledger.pause_entry(&id, true).await.expect("answers");
    ledger.pause_entry(&other, true).await.expect("answers");
    let paused = newer("paused").await.paused;
    assert!(paused.contains(&id) && paused.contains(&other));
    ledger.pause_entry(&other, false).await.expect("answers");
    assert!(!newer("resumed").await.paused.contains(&other));
    let settled = [(id.clone(), known(1))];
    ledger
        .settle_ticks(number, &settled)
        .await
        .expect("answers");
    assert!(ledger.remove_entry(&id).await.expect("answers"));
    let written = newer("removed").await;
    assert!(!written.added.contains_key(&id) && !written.paused.contains(&id));
    let ticks = ledger.settled_ticks().await.expect("answers");
    assert!(!ticks.contains_key(&id), "nothing is known of it any more");
    assert!(!ledger.remove_entry(&id).await.expect("answers"));
    ledger.add_entry(&id, "three").await.expect("answers");
    for (meant, removed) in [("an older one", false), ("three", true), ("three", false)] {
        let answer = ledger.remove_entry_as(&id, meant).await;
        assert_eq!(answer.expect("answers"), removed, "{meant}");
    }
    // Of the two that have its id, the timetable's keeps what is known of it.
    let posted = [(id.clone(), "posted".to_owned())];
    ledger.post_timetable(&posted).await.expect("answers");
    ledger.add_entry(&id, "four").await.expect("answers");
    ledger.pause_entry(&id, true).await.expect("answers");
    let settling = ledger.settle_ticks(number, &settled).await;
    assert!(settling.expect("answers"));
    assert!(ledger.remove_entry(&id).await.expect("answers"));
    let written = ledger.written().await.expect("answers");
    assert!(!written.added.contains_key(&id) && written.paused.contains(&id));
    let ticks = ledger.settled_ticks().await.expect("answers");
    assert_eq!(ticks.get(&id), Some(&known(1)));
    ledger.post_timetable(&[]).await.expect("answers");
    ledger.give_up_lead(number).await.expect("answers");
}

async fn the_timetable_is_posted_whole(ledger: &dyn Ledger) {
    let post = |ids: &[&str]| {
        let entry = |id: &&str| ((*id).to_owned(), format!("entry {id}"));
        ids.iter().map(entry).collect::<Vec<_>>()
    };
    for ids in [&["a", "b"][..], &["b", "c"], &[]] {
        let posted = post(ids);
        ledger.post_timetable(&posted).await.expect("answers");
        let written = ledger.written().await.expect("answers");
        assert_eq!(
            written.posted,
            posted.into_iter().collect::<BTreeMap<_, _>>()
        );
    }
}
