//! `sapari-email`: the process of the email role.

use std::process::ExitCode;

fn main() -> ExitCode {
    sapari_runtime::host::main(sapari_tasks::Role::Email, sapari_email::worker)
}
