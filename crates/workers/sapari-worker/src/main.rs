//! `sapari-worker --role ROLE`: any role in one binary, for images and hosts that carry only one. The process of a role is the
//! same as its own binary's: same queue, same `service.name`.

use std::process::ExitCode;

use sapari_runtime::host::{Program, main_of_any};
use sapari_tasks::Role;

fn main() -> ExitCode {
    main_of_any(&[
        Program::new(Role::Analysis, sapari_analysis::worker),
        Program::new(Role::Download, sapari_download::worker),
        Program::new(Role::Proxy, sapari_proxy::worker),
        Program::new(Role::Render, sapari_render::worker),
        Program::new(Role::Email, sapari_email::worker),
        Program::new(Role::AssetEdit, sapari_asset_edit::worker),
    ])
}
