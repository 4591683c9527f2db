//! The tasks and their handlers. One thing about each is wrong; that it ran is noted around it.

use std::sync::Arc;
use std::time::Duration;

use sapari_runtime::duration::minutes;
use sapari_runtime::pipeline::{Pipeline, StepContext};
use sapari_runtime::prelude::*;
use sapari_runtime::task::{Backoff, Policy};
use tokio::time::{Instant, sleep};

const POLICY: Policy = Policy::DEFAULT
    .timeout(minutes(2))
    .abort_after(Duration::from_secs(1))
    .backoff(Backoff::exponential(
        Duration::from_millis(200),
        Duration::from_millis(400),
    ));

macro_rules! tasks {
    ($($(#[$doc:meta])* $name:literal $task:ident { $($field:ident: $type:ty),* } -> $output:ty, $policy:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Serialize, Deserialize)]
        pub struct $task {
            $(#[doc = "As the task's name says."] pub $field: $type,)*
        }

        impl Task for $task {
            const NAME: &'static str = $name;
            const QUEUE: Queue = crate::QUEUE;
            const POLICY: Policy = $policy;
            type Output = $output;
        }
    )*};
}

tasks! {
    /// Returns its process. The padding is dead weight.
    "jot" Jot { padding: String } -> u32, POLICY;
    /// Sleeps, and wakes up when it is asked to end.
    "nap" Nap { millis: u64 } -> bool, POLICY;
    /// Sleeps, whoever asks it to end.
    "deaf" Deaf { millis: u64 } -> (), POLICY;
    /// Blocks its thread.
    "block" Block { millis: u64 } -> (), POLICY.timeout(Duration::from_secs(1));
    /// Takes its process along, after a while.
    "crash" Crash { millis: u64 } -> (), POLICY;
    /// Fails in its first attempts.
    "flaky" Flaky { failures: u32 } -> u32, POLICY;
    /// Returns that many bytes.
    "bulky" Bulky { bytes: usize } -> String, POLICY;
    /// Panics.
    "bang" Bang {} -> (), POLICY;
    /// Sleeps, two at once at most.
    "pair" Pair { millis: u64 } -> (), POLICY.limit(Limit::at_once(2));
    /// Kicks a nap that is to be the only one, and says which one that is, and whether it was this kick's.
    "ask" Ask { key: String } -> (String, bool), POLICY;
    /// Two steps, of which the first is kept and the second takes its time: the process of each.
    "chain" Chain { millis: u64 } -> (u32, u32), POLICY;
}

/// Nothing is wrong with it.
#[task]
pub(crate) async fn jot(_args: Jot) -> TaskResult<u32> {
    Ok(std::process::id())
}

/// Whether it slept through.
#[task]
pub(crate) async fn nap(args: Nap, cx: TaskContext) -> TaskResult<bool> {
    let slept = tokio::select! {
        () = sleep(Duration::from_millis(args.millis)) => true,
        () = cx.stop().cancelled() => false,
    };
    Ok(slept)
}

/// Does not look at its token.
#[task]
pub(crate) async fn deaf(args: Deaf) -> TaskResult<()> {
    sleep(Duration::from_millis(args.millis)).await;
    Ok(())
}

/// Keeps a thread of the runtime to itself: no await, so nobody can drop it.
#[task]
pub(crate) async fn block(args: Block) -> TaskResult<()> {
    let end = Instant::now() + Duration::from_millis(args.millis);
    // Parked threads may wake up for no reason.
    while Instant::now() < end {
        std::thread::park_timeout(end - Instant::now());
    }
    Ok(())
}

/// As an allocation that fails, or a bug in a C library, would.
#[task]
pub(crate) async fn crash(args: Crash) -> TaskResult<()> {
    sleep(Duration::from_millis(args.millis)).await;
    std::process::abort()
}

/// The attempt that went well.
#[task]
pub(crate) async fn flaky(args: Flaky, cx: TaskContext) -> TaskResult<u32> {
    if cx.attempt() <= args.failures {
        return Err(TaskError::from("fails as it was asked to"));
    }
    Ok(cx.attempt())
}

/// Too much of a good thing.
#[task]
pub(crate) async fn bulky(args: Bulky) -> TaskResult<String> {
    Ok("x".repeat(args.bytes))
}

/// A bug in a handler.
#[task]
pub(crate) async fn bang(_args: Bang) -> TaskResult<()> {
    panic!("bang, as it was asked to")
}

/// What an attempt that died had finished is not done again.
#[task]
pub(crate) async fn chain(args: Chain, cx: TaskContext) -> TaskResult<(u32, u32)> {
    type Cx = StepContext<Chain, ()>;
    async fn first(_cx: Cx) -> TaskResult<u32> {
        Ok(std::process::id())
    }
    async fn second(cx: Cx, first: Arc<u32>) -> TaskResult<(u32, u32)> {
        sleep(Duration::from_millis(cx.task().millis)).await;
        Ok((*first, std::process::id()))
    }
    let mut p = Pipeline::builder("faults");
    let first = p.step("first", (), first);
    p.keep(first);
    let second = p.step("second", (first,), second);
    p.output(second).run(&cx, (), args).await
}

/// Its limit is what matters.
#[task]
pub(crate) async fn pair(args: Pair) -> TaskResult<()> {
    sleep(Duration::from_millis(args.millis)).await;
    Ok(())
}

/// As long as the nap lasts, every worker gets the same answer.
#[task]
pub(crate) async fn ask(args: Ask, cx: TaskContext) -> TaskResult<(String, bool)> {
    let nap = cx.tasks().kick(Nap { millis: 3000 });
    let kicked = nap.unique_for(minutes(1)).by(args.key).await?;
    let is_new = kicked.is_new();
    Ok((kicked.handle().id().to_string(), is_new))
}
