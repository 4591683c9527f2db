//! Schedulers of one namespace, of which the leading one can be killed. Entries are added before they start, as an operator would.

use std::sync::Arc;

use nix::sys::signal::Signal;
use sapari_runtime::ledger::Ledger;
use serde_json::json;

use crate::processes::support::{Process, Space, within};

/// How many entries are added side by side.
const SIDE_BY_SIDE: usize = 64;

/// Schedulers that run.
pub(super) struct Fleet {
    pub(super) ledger: Arc<dyn Ledger>,
    running: Vec<Process>,
}

impl Fleet {
    pub(super) async fn start(space: &Space, many: usize) -> Self {
        let ledger = space.results().await.ledger();
        let start = |_| space.start("sapari-scheduler", &[]);
        Self {
            ledger,
            running: (0..many).map(start).collect(),
        }
    }

    /// The process that leads, once one does.
    pub(super) async fn leader(&self) -> i32 {
        let mut looks = tokio::time::interval(std::time::Duration::from_millis(20));
        within("a leader among those that run", async {
            loop {
                looks.tick().await;
                let leader = self.ledger.leader().await.expect("the ledger answers");
                let pid = leader.and_then(|leader| pid_in(&leader.who));
                if let Some(pid) = pid.filter(|pid| self.place(*pid).is_some()) {
                    return pid;
                }
            }
        })
        .await
    }

    /// Kills the leader where it stands, and starts another scheduler in its place.
    pub(super) async fn kill_the_leader(&mut self, space: &Space) {
        let pid = self.leader().await;
        let place = self.place(pid).expect("it runs");
        let leader = self.running.swap_remove(place);
        leader.signal(Signal::SIGKILL);
        leader.ended().await;
        self.running.push(space.start("sapari-scheduler", &[]));
    }

    /// Ends all of them in order.
    pub(super) async fn stop(self) {
        for scheduler in self.running {
            scheduler.signal(Signal::SIGTERM);
            assert_eq!(scheduler.ended().await.code, Some(0));
        }
    }

    fn place(&self, pid: i32) -> Option<usize> {
        self.running.iter().position(|it| it.pid().as_raw() == pid)
    }
}

/// `scheduler@host:4711-5f3c`
fn pid_in(who: &str) -> Option<i32> {
    let (_, rest) = who.rsplit_once(':')?;
    rest.split_once('-')?.0.parse().ok()
}

/// Adds so many entries of `ping` on the render queue; when each is due, its number says.
pub(super) async fn add_entries(
    ledger: &dyn Ledger,
    many: usize,
    when: impl Fn(usize) -> (&'static str, String),
) {
    let numbers: Vec<usize> = (0..many).collect();
    for some in numbers.chunks(SIDE_BY_SIDE) {
        let adding = some.iter().map(|number| {
            let (key, value) = when(*number);
            let entry = json!({ "task": "ping", "queue": "render", key: value }).to_string();
            async move { ledger.add_entry(&format!("drill-{number}"), &entry).await }
        });
        for added in futures_util::future::join_all(adding).await {
            added.expect("the ledger answers");
        }
    }
}
