//! `sapari-fault-worker`: the process of the faults role, with the flags of every other worker.

use std::process::ExitCode;

fn main() -> ExitCode {
    sapari_runtime::host::main(sapari_fault_worker::Faults, sapari_fault_worker::worker)
}
