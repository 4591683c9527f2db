//! `sapari-asset-edit`: the process of the asset-edit role.

use std::process::ExitCode;

fn main() -> ExitCode {
    sapari_runtime::host::main(sapari_tasks::Role::AssetEdit, sapari_asset_edit::worker)
}
