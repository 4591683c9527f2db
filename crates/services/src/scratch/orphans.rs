//! The child processes of an attempt that was killed with SIGKILL: nobody was there to end them.
//!
//! It deliberately knows them only by what they work on: whoever has locked a message's directory
//! is the only one who may, so a process that names the directory in its arguments is left over.
//! Where there is no `/proc`, none is found.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

/// Ends every process that names a file of `dir` in its arguments.
pub(super) fn end(dir: &Path) {
    for pid in at_work_in(dir) {
        match kill(pid, Signal::SIGKILL) {
            Ok(()) => tracing::info!(
                pid = pid.as_raw(),
                "ended what a killed process left behind"
            ),
            Err(error) => {
                tracing::debug!(%error, pid = pid.as_raw(), "left-over process not ended")
            }
        }
    }
}

fn at_work_in(dir: &Path) -> Vec<Pid> {
    let mut inside = dir.as_os_str().as_bytes().to_vec();
    inside.push(b'/');
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let names_it = |pid: &Pid| {
        let args = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        args.windows(inside.len()).any(|part| part == inside)
    };
    pids.map(Pid::from_raw)
        .filter(|pid| *pid != getpid() && names_it(pid))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use super::super::Scratch;
    use super::*;

    #[test]
    fn only_who_works_in_the_directory_is_ended() {
        let root = Scratch::new(&std::env::temp_dir(), "orphans").unwrap();
        let reader = |name: &str| {
            let path = root.path(name).unwrap();
            std::fs::write(&path, b"").unwrap();
            // Waits for more, which never comes.
            Command::new("tail")
                .arg("-f")
                .arg(path)
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        };
        let elsewhere = Scratch::new(root.dir(), "other").unwrap();
        let mut ours = reader("growing");
        end(elsewhere.dir());
        assert_eq!(
            at_work_in(root.dir()),
            [Pid::from_raw(ours.id().cast_signed())]
        );
        end(root.dir());
        assert_eq!(ours.wait().unwrap().signal(), Some(9));
    }
}
