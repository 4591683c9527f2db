//! Deadlines of the message as a whole, and handlers that block.

use sapari_runtime::broker::Broker;
use sapari_runtime::ledger::Busy;

use super::closed::ClosedResults;
use super::*;

#[tokio::test(start_paused = true)]
async fn what_comes_too_late_is_dead_as_expired_and_never_runs() {
    let (house, board) = (House::new(), Board::default());
    let late = house
        .tasks()
        .kick(short(1))
        .expires(Duration::ZERO)
        .await
        .expect("kicked");
    let in_time = house
        .tasks()
        .kick(short(2))
        .expires(minutes(1))
        .await
        .expect("kicked");
    let at_work = house.employ(worker(&board));
    assert_eq!(in_time.output().await.expect("in time"), 2);
    let record = late.into_any().record().await.expect("a record");
    assert_eq!(failure(record).reason.as_deref(), Some("expired"));
    at_work.drained().await;
    let letters = house.broker.dead_letters(QUEUE, 9).await.expect("readable");
    assert_eq!(letters[0].reason(), Some("expired"));
    assert_eq!(board.started(), [2]);
    // Run again, it has no deadline any more: an operator asked for it.
    let replayed = letters[0].replay(QUEUE).expect("a message");
    let message = sapari_runtime::message::Message::decode(&replayed.body).expect("a message");
    assert_eq!(message.labels.text("expires_at"), None);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_gets_no_more_time_than_the_message_has() {
    let (house, board) = (House::new(), Board::default());
    let _at_work = house.employ(worker(&board));
    let begun = tokio::time::Instant::now();
    let handle = house
        .tasks()
        .kick(long(1))
        .expires(seconds(20))
        .await
        .expect("kicked");
    let record = handle.into_any().record().await.expect("a record");
    let took = begun.elapsed();
    assert!(took >= seconds(19) && took < seconds(21), "{took:?}");
    assert_eq!(failure(record).reason.as_deref(), Some("expired"));
}

/// Blocks its thread, which nothing can end.
#[derive(Debug, Serialize, Deserialize)]
struct Block {}

impl Task for Block {
    const NAME: &'static str = "block";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT
        .timeout(Duration::from_millis(50))
        .abort_after(Duration::from_millis(50));
    type Output = ();
}

#[task]
async fn block(_args: Block, State(gate): State<Gate>) -> TaskResult<()> {
    // Until the test lets it go.
    let _ = gate.0.lock().map(drop);
    Ok(())
}

#[derive(Clone, FromRef)]
struct Blocking {
    board: Board,
    gate: Gate,
}

#[derive(Clone, Default)]
struct Gate(Arc<std::sync::Mutex<()>>);

/// A gate that blocks whoever comes.
struct Shut {
    open: std::sync::mpsc::Sender<()>,
    holding: std::thread::JoinHandle<()>,
}

impl Gate {
    /// Shuts it before this returns. A thread of its own holds it: a lock does not go from one thread to another.
    fn shut(&self) -> Shut {
        let (gate, barrier) = (self.0.clone(), Arc::new(std::sync::Barrier::new(2)));
        let (open, opened) = std::sync::mpsc::channel::<()>();
        let held = Arc::clone(&barrier);
        let holding = std::thread::spawn(move || {
            let _held = gate.lock().expect("free");
            held.wait();
            // An error means that the test has ended.
            let _ = opened.recv();
        });
        barrier.wait();
        Shut { open, holding }
    }
}

impl Shut {
    fn open(self) {
        drop(self.open);
        self.holding.join().expect("no panic");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn handler_ignores_its_timeout() {
    let (house, state) = (
        House::new(),
        Blocking {
            board: Board::default(),
            gate: Gate::default(),
        },
    );
    let shut = state.gate.shut();
    let worker = Worker::new(QUEUE, state.clone())
        .task::<block>()
        .task::<work>()
        .slots(1);
    let at_work = house.employ(worker);
    let stuck = house.tasks().kick(Block {}).await.expect("kicked");
    let next = house.tasks().kick(short(2)).await.expect("kicked");
    let output = next.output().within(seconds(20)).await;
    assert_eq!(output.expect("the slot is given to another"), 2);
    let running = |report: &sapari_runtime::ledger::WorkerReport| {
        report
            .running
            .iter()
            .any(|busy| busy.stuck && busy.task == "block")
    };
    let seen = async {
        while !house
            .tasks()
            .ledger()
            .workers()
            .await
            .expect("answers")
            .iter()
            .any(running)
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(seconds(20), seen)
        .await
        .expect("the registry says that it is stuck");
    shut.open();
    let ended = stuck.into_any().record().within(seconds(20)).await;
    assert!(ended.is_ok(), "it ends after all, once: {ended:?}");
    let again = house.tasks().kick(short(3)).await.expect("kicked");
    assert_eq!(again.output().within(seconds(20)).await.expect("runs"), 3);
    at_work.drained().await;
    assert_eq!(state.board.most(), 1);
}

/// Ends at once, and would be stuck as soon as `block` would.
#[derive(Debug, Serialize, Deserialize)]
struct Quick {}

impl Task for Quick {
    const NAME: &'static str = "quick";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Block::POLICY;
    type Output = ();
}

#[task]
async fn quick(_args: Quick, State(board): State<Board>) -> TaskResult<()> {
    let _here = board.enter(0);
    Ok(())
}

/// The watch has its own thread and a clock that nobody pauses: a handler that began later and is stuck says when it has looked.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_handler_that_has_ended_is_not_stuck_however_long_its_result_waits() {
    let house = House::new();
    let results = ClosedResults::around(&house.results);
    let state = Blocking {
        board: Board::default(),
        gate: Gate::default(),
    };
    let shut = state.gate.shut();
    let servers = results.in_place_of(house.servers());
    let worker = Worker::new(QUEUE, state.clone())
        .task::<quick>()
        .task::<block>()
        .slots(2);
    let shutdown = CancellationToken::new();
    let working = tokio::spawn(worker.lease(seconds(1)).run(servers, shutdown.clone()));
    let quick = house.tasks().kick(Quick {}).await.expect("kicked");
    state.board.until_started(1).await;
    let blocked = house.tasks().kick(Block {}).await.expect("kicked");
    let ledger = house.tasks().ledger();
    let found = async {
        loop {
            let reports = ledger.workers().await.expect("answers");
            let running: Vec<Busy> = reports.into_iter().flat_map(|it| it.running).collect();
            if running
                .iter()
                .any(|busy| busy.stuck && busy.id == *blocked.id())
            {
                return running;
            }
            tokio::task::yield_now().await;
        }
    };
    let running = tokio::time::timeout(seconds(20), found)
        .await
        .expect("found stuck");
    let settling = running.iter().find(|busy| busy.id == *quick.id());
    assert_eq!(settling.map(|busy| busy.stuck), Some(false), "{running:?}");
    results.open();
    shut.open();
    quick.output().within(seconds(20)).await.expect("saved");
    shutdown.cancel();
    working.await.expect("no panic").expect("ends well");
}
