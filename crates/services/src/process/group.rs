//! A process group that does not outlive its owner.
//!
//! It deliberately does not follow a process that leaves its group (`setsid`): only a cgroup can.

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// The group a child leads. Dropped before the child was reaped, it kills every member at once.
pub(super) struct Group {
    leader: Pid,
    reaped: bool,
}

impl Group {
    /// `leader` must be an unreaped child that leads its own group.
    pub(super) fn led_by(leader: Pid) -> Self {
        Self {
            leader,
            reaped: false,
        }
    }

    pub(super) fn leader(&self) -> Pid {
        self.leader
    }

    /// After the leader was reaped the kernel may give its number to a stranger: from here on
    /// nothing is ever sent to it.
    pub(super) fn leader_was_reaped(&mut self) {
        self.reaped = true;
    }

    pub(super) fn send(&self, signal: Signal) {
        if self.reaped {
            return;
        }
        // ESRCH cannot hurt: an unreaped leader keeps the number ours, so nobody is left to get it.
        if let Err(error) = killpg(self.leader, signal) {
            tracing::debug!(%error, %signal, group = self.leader.as_raw(), "signal not sent");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.send(Signal::SIGKILL);
    }
}

/// Resolves when `leader` has exited, and leaves it unreaped, so that its group can still be
/// signalled safely.
pub(super) async fn exited(leader: Pid) -> std::io::Result<()> {
    let wait = move || {
        loop {
            match waitid(Id::Pid(leader), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
                Ok(_) => return Ok(()),
            }
        }
    };
    // The caller comes here with both pipes closed, so the thread is held only for a moment.
    tokio::task::spawn_blocking(wait)
        .await
        .map_err(std::io::Error::other)?
}
