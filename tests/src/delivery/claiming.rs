//! Run claims: a copy of a message that runs is not run beside it, one that killed its workers is not run for ever.

use sapari_runtime::broker::{Broker, Headers, Parcel};
use sapari_runtime::ledger::{Run, Sighting, Standing};
use sapari_runtime::message::{Args, Labels, Message, MessageId, Route};
use uuid::Uuid;

use super::*;

fn message(work: &Work) -> Message {
    Message {
        id: MessageId::new(),
        task: Work::NAME.to_owned(),
        labels: Labels::default(),
        args: Args::of(work).expect("JSON"),
    }
}

fn parcel(message: &Message) -> Parcel {
    let level = QUEUE.level(Priority::Normal);
    let route = Route {
        queue: QUEUE,
        level,
        delay: Duration::ZERO,
    };
    Parcel {
        headers: Headers::new(),
        ..Parcel::of(message, route).expect("small")
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_what_runs_waits_and_is_acked_when_that_has_finished() {
    let (house, board) = (House::new(), Board::default());
    let mut message = message(&long(1));
    message.labels.set_text("kick", "the same of both");
    // Two workers: the copy goes to one that does not know by itself that the first one runs it.
    let (first, second) = (house.employ(worker(&board)), house.employ(worker(&board)));
    house
        .broker
        .publish(parcel(&message))
        .await
        .expect("stored");
    board.until_started(1).await;
    house
        .broker
        .publish(parcel(&message))
        .await
        .expect("stored");
    let handle = house.tasks().handle::<Work>(message.id.clone());
    assert_eq!(handle.output().await.expect("it finishes"), 1);
    tokio::time::advance(minutes(1)).await;
    eventually("the copy is gone", async || {
        let depth = house.broker.depth(QUEUE).await.expect("declared");
        depth.ready == [0; 4] && house.broker.is_empty()
    })
    .await;
    assert_eq!(board.runs(), 1, "run once");
    first.drained().await;
    second.drained().await;
}

/// TaskIQ's kicks have no name of their own, and may have the same id and args: each that is no redelivered copy runs.
#[tokio::test(start_paused = true)]
async fn a_second_kick_of_the_same_id_runs_too_although_nothing_tells_them_apart() {
    let (house, board) = (House::new(), Board::default());
    let message = message(&long(1));
    let at_work = [house.employ(worker(&board)), house.employ(worker(&board))];
    let ledger = house.tasks().ledger();
    // Not what the broker has left: what runs is no longer there, and would be handed back by a drain and run once more.
    let has_ended = async || {
        let sighting = ledger.sighting(&message.id).await.expect("answers");
        sighting == Some(Sighting::Finished)
    };
    let kick = async || {
        house
            .broker
            .publish(parcel(&message))
            .await
            .expect("stored")
    };
    kick().await;
    board.until_started(1).await;
    // One comes while the first runs, one when all is over.
    kick().await;
    let handle = house.tasks().handle::<Work>(message.id.clone());
    assert_eq!(handle.output().await.expect("it finishes"), 1);
    board.until_started(2).await;
    eventually("the second has ended", has_ended).await;
    kick().await;
    board.until_started(3).await;
    eventually("the third has ended", has_ended).await;
    for worker in at_work {
        worker.drained().await;
    }
    assert_eq!(board.runs(), 3);
}

/// A worker takes the first message, claims it, and is gone without a word.
async fn start_and_die(house: &House) {
    start_all_and_die(house, 1).await;
}

/// The same with the first `count` messages.
pub(super) async fn start_all_and_die(house: &House, count: u16) {
    let mut consumer = house.broker.consume(QUEUE, count).await.expect("consumes");
    let mut deliveries = Vec::new();
    for _ in 0..count {
        let delivery = consumer.next().await.expect("a delivery");
        claim(house, Message::decode(&delivery.body).expect("a message")).await;
        deliveries.push(delivery);
    }
}

async fn claim(house: &House, message: Message) {
    let run = Run {
        kick: message.kick().expect("ours").to_owned(),
        is_new: false,
        hop: message.hop(),
        id: message.id,
        token: Uuid::new_v4().to_string(),
        worker: "desk@gone".to_owned(),
        task: "ping".to_owned(),
    };
    let ledger = house.tasks().ledger();
    let lease = seconds(9);
    while let Standing::Held { remaining, .. } =
        ledger.begin(&run, lease, None).await.expect("answers")
    {
        tokio::time::sleep(remaining).await;
    }
}

#[tokio::test(start_paused = true)]
async fn worker_killed() {
    let (house, board) = (House::new(), Board::default());
    let handle = house.tasks().kick(short(1)).await.expect("kicked");
    let rescued = house
        .tasks()
        .kick(short(2))
        .priority(Priority::Low)
        .await
        .expect("kicked");
    for _ in 0..3 {
        start_and_die(&house).await;
    }
    let survivor = house.employ(worker(&board));
    let record = handle.into_any().record().await.expect("a record");
    assert_eq!(failure(record).reason.as_deref(), Some("poison"));
    assert_eq!(
        rescued.output().await.expect("what it did not kill is run"),
        2
    );
    survivor.drained().await;
    let letters = house.broker.dead_letters(QUEUE, 9).await.expect("readable");
    assert_eq!((letters.len(), letters[0].reason()), (1, Some("poison")));
    assert!(
        letters[0]
            .error()
            .is_some_and(|error| error.starts_with("3 workers died"))
    );
    assert_eq!(board.started(), [2]);
}

#[tokio::test(start_paused = true)]
async fn two_deaths_are_not_the_end() {
    let (house, board) = (House::new(), Board::default());
    let handle = house.tasks().kick(short(1)).await.expect("kicked");
    for _ in 0..2 {
        start_and_die(&house).await;
    }
    let _survivor = house.employ(worker(&board));
    let begun = tokio::time::Instant::now();
    assert_eq!(handle.output().await.expect("it is run"), 1);
    assert!(
        begun.elapsed() < seconds(11),
        "as soon as the claim has run out: {:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn handing_back_never_counts() {
    let (house, board) = (House::new(), Board::default());
    let handle = house.tasks().kick(long(1)).await.expect("kicked");
    for stop in 1..=6_usize {
        let drained = house.employ(worker(&board).drain_grace(Duration::ZERO));
        board.until_started(stop).await;
        drained.drained().await;
    }
    let _last = house.employ(worker(&board));
    assert_eq!(handle.output().await.expect("it runs to its end"), 1);
    let letters = house.broker.dead_letters(QUEUE, 9).await.expect("readable");
    assert!(letters.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_an_attempt_that_was_sent_on_is_thrown_away() {
    let (house, board) = (House::new(), Board::default());
    let message = message(&long(1));
    let original = parcel(&message);
    // Handed back by a drain of its worker it is the same message; sent on by a snooze it is one hop later.
    let snoozing = house.employ(Worker::new(QUEUE, ()).unknown_wait(minutes(1)));
    house.broker.publish(original).await.expect("stored");
    eventually("it was sent on", async || !house.broker.is_empty()).await;
    snoozing.drained().await;
    let _at_work = house.employ(worker(&board));
    let handle = house.tasks().handle::<Work>(message.id.clone());
    assert_eq!(handle.output().await.expect("it finishes"), 1);
    assert_eq!(board.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_keeps_no_result_is_run_and_leaves_nothing() {
    let (house, board) = (House::new(), Board::default());
    let worker = Worker::new(QUEUE, board.clone()).task::<whisper>();
    let at_work = house.employ(worker);
    let handle = house.tasks().kick(Whisper {}).await.expect("kicked");
    board.until_started(1).await;
    at_work.drained().await;
    let ledger = house.tasks().ledger();
    assert_eq!(ledger.sighting(handle.id()).await.expect("answers"), None);
    use sapari_runtime::result::Results;
    assert!(
        house
            .results
            .load(handle.id())
            .await
            .expect("answers")
            .is_none()
    );
}

/// Nobody waits for it.
#[derive(Debug, Serialize, Deserialize)]
struct Whisper {}

impl Task for Whisper {
    const NAME: &'static str = "whisper";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT.keep_no_result();
    type Output = ();
}

#[task]
async fn whisper(_args: Whisper, State(board): State<Board>) -> TaskResult<()> {
    let _here = board.enter(0);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_long_task_without_a_result_is_claimed_after_a_while() {
    let (house, board) = (House::new(), Board::default());
    let _at_work = house.employ(Worker::new(QUEUE, board.clone()).task::<mumble>());
    let handle = house.tasks().kick(Mumble {}).await.expect("kicked");
    board.until_started(1).await;
    let ledger = house.tasks().ledger();
    eventually("it is claimed", async || {
        ledger
            .sighting(handle.id())
            .await
            .expect("answers")
            .is_some()
    })
    .await;
    eventually("it is forgotten", async || {
        ledger
            .sighting(handle.id())
            .await
            .expect("answers")
            .is_none()
    })
    .await;
    // A consumer beside it finds nothing: it was acked.
    let mut beside = house.broker.consume(QUEUE, 1).await.expect("consumes");
    let found = tokio::time::timeout(minutes(1), beside.next()).await;
    assert!(found.is_err(), "{found:?}");
}

/// Nobody waits for it, and it takes long.
#[derive(Debug, Serialize, Deserialize)]
struct Mumble {}

impl Task for Mumble {
    const NAME: &'static str = "mumble";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT.keep_no_result();
    type Output = ();
}

#[task]
async fn mumble(_args: Mumble, State(board): State<Board>) -> TaskResult<()> {
    let _here = board.enter(0);
    tokio::time::sleep(minutes(2)).await;
    Ok(())
}

/// A client may trace in headers alone; the delay ladder carries what stands in the labels.
#[tokio::test(start_paused = true)]
async fn a_copy_that_is_put_off_stays_in_its_trace() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let (house, board) = (House::new(), Board::default());
    let message = message(&short(1));
    let mut parcel = parcel(&message);
    let traced = ("traceparent".to_owned(), TRACE.to_owned());
    parcel.headers.extend([traced]);
    house.broker.publish(parcel).await.expect("stored");
    let run = Run {
        id: message.id.clone(),
        kick: "another".to_owned(),
        is_new: false,
        hop: 0,
        token: "t".to_owned(),
        worker: "desk@other".to_owned(),
        task: "ping".to_owned(),
    };
    let ledger = house.tasks().ledger();
    ledger.begin(&run, minutes(1), None).await.expect("answers");
    let at_work = house.employ(worker(&board));
    eventually("it is put off", async || {
        let depth = house.broker.depth(QUEUE).await.expect("declared");
        depth.ready == [0; 4] && !house.broker.is_empty()
    })
    .await;
    at_work.drained().await;
    let mut consumer = house.broker.consume(QUEUE, 1).await.expect("consumes");
    let copy = consumer.next().await.expect("after the claim");
    let copy = Message::decode(&copy.body).expect("a message");
    assert_eq!(copy.labels.text("traceparent"), Some(TRACE));
    assert_eq!(board.runs(), 0);
}
