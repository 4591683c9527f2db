//! Outputs of steps that are too large for the ledger: they lie in the storage of the worker while their message is under way, and
//! nobody asks storage for those that are small.

use std::path::Path;
use std::sync::Arc;

use sapari_runtime::handler::Handler;
use sapari_runtime::pipeline::{Pipeline, StepContext};
use sapari_services::{CHECKPOINTS, Scratch, Storage};
use tokio::time::sleep;

use super::*;

/// Hears so many bytes, and then fails so often.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Hear {
    bytes: usize,
    failures: u32,
}

impl Task for Hear {
    const NAME: &'static str = "hear";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT.attempts(2);
    type Output = usize;
}

type Cx = StepContext<Hear, u32>;

/// More than the ledger takes.
const LARGE: usize = 300_000;

async fn listen(cx: Cx) -> TaskResult<String> {
    Ok("x".repeat(cx.task().bytes))
}

async fn count(cx: Cx, heard: Arc<String>) -> TaskResult<usize> {
    match *cx.deps() > cx.task().failures {
        true => Ok(heard.len()),
        false => Err("cannot count").retry_after(minutes(1)),
    }
}

#[task]
async fn hear(args: Hear, cx: TaskContext) -> TaskResult<usize> {
    let mut p = Pipeline::builder("desk");
    let heard = p.step("listen", (), listen);
    p.keep(heard);
    let counted = p.step("count", (heard,), count);
    let attempt = cx.attempt();
    p.output(counted).run(&cx, attempt, args).await
}

/// The sizes of all that lies in the depot, by its files.
fn held(root: &Path) -> Vec<u64> {
    let Ok(messages) = std::fs::read_dir(root.join(CHECKPOINTS)) else {
        return Vec::new();
    };
    let files = messages.map(|dir| std::fs::read_dir(dir.expect("listed").path()));
    let files = files.flat_map(|files| files.expect("a directory for each message"));
    files
        .map(|file| file.expect("listed").metadata().expect("there").len())
        .collect()
}

/// A worker whose storage is a directory, as those of the roles are.
fn worker<H: Handler<(), Task = Hear>>(root: &Scratch) -> Worker<()> {
    let storage = Storage::open(&format!("file://{}", root.dir().display())).expect("a directory");
    Worker::new(QUEUE, ()).task::<H>().depot(storage)
}

fn place() -> Scratch {
    Scratch::new(&std::env::temp_dir(), "depot").expect("made")
}

/// The tree of a task, and what lay in storage half a minute after its first attempt.
async fn run<H: Handler<(), Task = Hear>>(args: Hear) -> (String, Vec<u64>, Scratch) {
    let (root, mut meanwhile) = (place(), Vec::new());
    let worker = worker::<H>(&root);
    let tree = tree(worker, async |tasks, _| {
        let handle = tasks.kick(args).await.expect("kicked");
        sleep(seconds(30)).await;
        meanwhile = held(root.dir());
        assert_eq!(handle.output().await.expect("counted"), args.bytes);
    })
    .await;
    (tree, meanwhile, root)
}

/// No directory either.
fn assert_nothing_is_left(root: &Scratch) {
    let left = std::fs::read_dir(root.dir().join(CHECKPOINTS)).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_large_lies_in_storage_until_its_message_has_ended() {
    let args = Hear {
        bytes: LARGE,
        failures: 1,
    };
    let (tree, meanwhile, root) = run::<hear>(args).await;
    // JSON, so with its quotes.
    assert_eq!(meanwhile, [LARGE as u64 + 2]);
    assert_nothing_is_left(&root);
    assert_tree(
        &tree,
        r#"
publish hear [producer]
├─ taskiq.hear [consumer]  taskiq.attempt=1 taskiq.outcome=retry  ✗ Error: step `count` failed: cannot count
│  └─ desk.pipeline  pipeline.outcome=failed pipeline.critical_path=listen,count pipeline.failed_steps=count  ✗ Error: step `count` failed: cannot count
│     ├─ step.listen  step.depends_on= step.attempt=1 step.outcome=done
│     ├─ step.count  step.depends_on=listen step.attempt=1 step.outcome=failed  ✗ Error: cannot count
│     └─ ext.storage.put_output [client]
└─ taskiq.hear [consumer]  taskiq.attempt=2 taskiq.outcome=done
   ├─ desk.pipeline  pipeline.outcome=done pipeline.critical_path=count
   │  ├─ ext.storage.get_output [client]
   │  ├─ step.listen  step.depends_on= step.attempt=0 step.outcome=resumed
   │  └─ step.count  step.depends_on=listen step.attempt=1 step.outcome=done
   └─ ext.storage.clear_outputs [client]
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_done_at_once_leaves_nothing_in_storage() {
    let args = Hear {
        bytes: LARGE,
        failures: 0,
    };
    let (tree, _, root) = run::<hear>(args).await;
    assert_nothing_is_left(&root);
    for call in ["put_output", "clear_outputs"] {
        assert!(tree.contains(&format!("ext.storage.{call}")), "{tree}");
    }
}

#[tokio::test(start_paused = true)]
async fn storage_is_not_asked_for_what_is_small() {
    let args = Hear {
        bytes: 100,
        failures: 1,
    };
    let (tree, meanwhile, root) = run::<hear>(args).await;
    assert_eq!(meanwhile, [0_u64; 0]);
    assert_nothing_is_left(&root);
    assert!(tree.contains("step.outcome=resumed"), "{tree}");
    assert!(!tree.contains("ext.storage"), "{tree}");
}

mod forgetful {
    use super::*;

    /// Begins as the other does, and does not look the next time.
    #[task]
    pub(super) async fn hear(args: Hear, cx: TaskContext) -> TaskResult<usize> {
        match cx.attempt() {
            1 => super::hear::run(args, cx, &()).await,
            _ => Ok(args.bytes),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_attempt_left_in_storage_is_cleared_by_one_that_did_not_look_for_it() {
    let args = Hear {
        bytes: LARGE,
        failures: 1,
    };
    let (tree, meanwhile, root) = run::<forgetful::hear>(args).await;
    assert_eq!(meanwhile.len(), 1);
    assert_nothing_is_left(&root);
    assert!(!tree.contains("step.outcome=resumed"), "{tree}");
    assert_eq!(tree.matches("ext.storage.clear_outputs").count(), 1);
}
