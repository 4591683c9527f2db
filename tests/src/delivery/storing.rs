//! Results that take long to store: the slot goes on, the message does not end before its result is there.

use sapari_runtime::broker::Broker;

use super::closed::ClosedResults;
use super::*;

/// More than may wait for the store at once.
const MANY: u32 = 100;
/// So many of them are under way on one slot: see `worker/engine`.
const UNDER_WAY: u32 = 48;

#[tokio::test(start_paused = true)]
async fn a_slot_goes_on_while_results_are_stored_and_no_message_ends_before() {
    let (house, board) = (House::new(), Board::default());
    let store = ClosedResults::around(&house.results);
    let servers = store.in_place_of(house.servers());
    let kicked = house.tasks().kick_all((0..MANY).map(short)).await;
    let shutdown = CancellationToken::new();
    // With this read-ahead, the store is what stops it, not the broker.
    let reading = worker(&board).read_ahead(200);
    let working = tokio::spawn(reading.run(servers, shutdown.clone()));
    tokio::time::sleep(seconds(20)).await;
    assert_eq!(board.runs(), UNDER_WAY, "bounded, and more than a slot");
    assert_eq!(board.most(), 1, "one slot runs one at a time");

    // Asked to end, it waits for them: nothing was acked, and nothing goes back.
    shutdown.cancel();
    tokio::time::sleep(seconds(1)).await;
    assert!(!working.is_finished());
    store.open();
    working.await.expect("no panic").expect("ends well");
    let depth = house.broker.depth(QUEUE).await.expect("declared");
    assert_eq!(depth.ready.iter().sum::<u64>(), u64::from(MANY - UNDER_WAY));

    let at_work = house.employ(worker(&board));
    for handle in kicked.expect("kicked") {
        handle.output().await.expect("done");
    }
    assert_eq!(board.runs(), MANY, "each ran once");
    at_work.drained().await;
}
