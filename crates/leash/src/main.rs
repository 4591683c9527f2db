//! `sapari-leash` as a program of its own, for processes whose `main` is not ours: test binaries, above all.

use std::process::ExitCode;

fn main() -> ExitCode {
    sapari_leash::hold(std::env::args_os().skip(1))
}
