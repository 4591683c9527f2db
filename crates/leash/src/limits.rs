//! What a program on the leash may use at most, as arguments of the leash and as limits of the kernel.
//!
//! A limit of time is not among them: whoever starts a program waits for it, and can let go of it.

use std::ffi::OsString;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

const MEMORY: &str = "--memory";
const FILE: &str = "--file";

/// The most that each process on the leash may use. Nothing is limited unless it is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory of its own; files that are mapped do not count.
    pub memory: Option<u64>,
    /// Bytes of any file that it writes.
    pub file: Option<u64>,
}

impl Limits {
    pub(crate) fn args(self) -> Vec<OsString> {
        let one = |name: &str, bytes: Option<u64>| {
            let bytes = bytes.map(|bytes| bytes.to_string());
            bytes.map(|bytes| [name.into(), bytes.into()])
        };
        let both = [one(MEMORY, self.memory), one(FILE, self.file)];
        both.into_iter().flatten().flatten().collect()
    }

    /// Reads up to `--`.
    pub(crate) fn parse(args: &mut impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut limits = Self::default();
        loop {
            let name = args.next().ok_or("its arguments lack `--`")?;
            let place = match name.to_str() {
                Some("--") => return Ok(limits),
                Some(MEMORY) => &mut limits.memory,
                Some(FILE) => &mut limits.file,
                _ => return Err(format!("it knows no {}", name.display())),
            };
            let bytes = args.next().and_then(|bytes| bytes.to_str()?.parse().ok());
            *place =
                Some(bytes.ok_or_else(|| format!("{} is no number of bytes", name.display()))?);
        }
    }

    /// For this process and for all that it starts.
    pub(crate) fn apply(self) -> nix::Result<()> {
        let limited = [
            (Resource::RLIMIT_DATA, self.memory),
            (Resource::RLIMIT_FSIZE, self.file),
            // What crashes on somebody's footage leaves no copy of it.
            (Resource::RLIMIT_CORE, Some(0)),
        ];
        for (resource, bytes) in limited {
            if let Some(bytes) = bytes {
                // What is limited already cannot be raised again.
                let bytes = bytes.min(getrlimit(resource)?.1);
                setrlimit(resource, bytes, bytes)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<(Limits, usize), String> {
        let mut args = args.iter().map(OsString::from);
        let limits = Limits::parse(&mut args)?;
        Ok((limits, args.count()))
    }

    #[test]
    fn limits_are_read_as_they_are_written() {
        for limits in [
            Limits::default(),
            Limits {
                memory: Some(7),
                file: None,
            },
            Limits {
                memory: Some(u64::MAX),
                file: Some(0),
            },
        ] {
            let mut args = limits.args();
            args.extend(["--".into(), "--memory".into(), "x".into()]);
            let mut args = args.into_iter();
            assert_eq!(Limits::parse(&mut args), Ok(limits));
            assert_eq!(args.count(), 2, "what follows is the program's");
        }
    }

    #[test]
    fn other_arguments_are_refused() {
        for args in [
            &["ffmpeg"][..],
            &[],
            &["--memory", "--"],
            &["--memory", "-1", "--"],
            &["--memory"],
        ] {
            assert!(parse(args).is_err(), "{args:?}");
        }
    }
}
