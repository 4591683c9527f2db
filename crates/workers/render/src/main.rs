//! `sapari-render`: the process of the render role.

use std::process::ExitCode;

fn main() -> ExitCode {
    sapari_runtime::host::main(sapari_tasks::Role::Render, sapari_render::worker)
}
