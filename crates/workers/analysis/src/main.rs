//! `sapari-analysis`: the process of the analysis role.

use std::process::ExitCode;

fn main() -> ExitCode {
    sapari_runtime::host::main(sapari_tasks::Role::Analysis, sapari_analysis::worker)
}
