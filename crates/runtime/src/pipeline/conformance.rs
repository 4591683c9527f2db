//! What every depot promises, as one suite. Behind the feature `testing`. Checkpoints are part of the ledger, and so of its suite.

use super::depot::Depot;
use crate::message::MessageId;

/// Runs the whole suite.
///
/// # Panics
/// When a promise is broken.
pub async fn depot(depot: &dyn Depot) {
    let (one, other) = (MessageId::new(), awkward());
    assert_eq!(get(depot, &one, "cut").await, None);
    depot.clear(&one).await.expect("nothing is cleared gladly");
    for (id, step, output) in [
        (&one, "cut", &b"first"[..]),
        (&one, "cut", b"second"),
        (&one, "cut/1", b"of an item"),
        (&other, "cut", b""),
    ] {
        let put = depot.put(id, step, output.to_vec()).await;
        put.expect("kept");
        assert_eq!(get(depot, id, step).await.as_deref(), Some(output));
    }
    assert_eq!(get(depot, &one, "store").await, None);
    depot.clear(&one).await.expect("cleared");
    for step in ["cut", "cut/1"] {
        assert_eq!(get(depot, &one, step).await, None);
    }
    assert_eq!(get(depot, &other, "cut").await.as_deref(), Some(&b""[..]));
    depot.clear(&other).await.expect("cleared");
}

/// Callers choose ids: one that would lead out of a directory.
fn awkward() -> MessageId {
    let id = format!("../../{}", MessageId::new());
    id.parse().expect("printable")
}

async fn get(depot: &dyn Depot, id: &MessageId, step: &str) -> Option<Vec<u8>> {
    depot.get(id, step).await.expect("answers")
}
