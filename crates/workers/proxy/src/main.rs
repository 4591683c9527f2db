//! `sapari-proxy`: the process of the proxy role.

use std::process::ExitCode;

fn main() -> ExitCode {
    sapari_runtime::host::main(sapari_tasks::Role::Proxy, sapari_proxy::worker)
}
