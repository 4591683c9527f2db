//! `sapari-download`: the process of the download role.

use std::process::ExitCode;

fn main() -> ExitCode {
    sapari_runtime::host::main(sapari_tasks::Role::Download, sapari_download::worker)
}
