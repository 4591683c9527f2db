//! The floors of the house: a crate depends on lower floors only. Read from `cargo metadata`, so nobody can forget to say it.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// What stands on which floor. `sapari-tests` and its worker stand beside the house.
fn floor(package: &str) -> Option<u8> {
    match package {
        "sapari-leash" | "sapari-macros" | "sapari-telemetry" => Some(0),
        "sapari-runtime" => Some(1),
        "sapari-tasks" => Some(2),
        "sapari-services" => Some(3),
        "sapari-analysis" | "sapari-download" | "sapari-email" | "sapari-render" => Some(4),
        "sapari-asset-edit" | "sapari-proxy" | "sapari-scheduler" => Some(4),
        // They host the roles: the only processes that use others.
        "sapari-worker" | "sapari-cli" => Some(5),
        // Measures the runtime from outside, with tasks of its own.
        "sapari-bench" => Some(5),
        _ => None,
    }
}

/// Each package of the workspace and what it depends on within it, tests left out.
fn edges() -> BTreeMap<String, Vec<String>> {
    let metadata = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| (text(&package["name"]), local_dependencies(package)))
        .collect()
}

fn local_dependencies(package: &Value) -> Vec<String> {
    let dependencies = package["dependencies"].as_array().expect("dependencies");
    let used = dependencies
        .iter()
        .filter(|dependency| dependency["kind"].is_null() && dependency["path"].is_string());
    used.map(|dependency| text(&dependency["name"])).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_crate_uses_only_lower_floors() {
    let mut wrong = Vec::new();
    for (package, uses) in edges() {
        if ["sapari-tests", "sapari-fault-worker"].contains(&package.as_str()) {
            continue;
        }
        let own = floor(&package)
            .unwrap_or_else(|| panic!("{package} stands on no floor: give it one here"));
        let not_lower = uses
            .iter()
            .filter(|used| floor(used).is_none_or(|floor| floor >= own));
        wrong.extend(not_lower.map(|used| format!("{package} uses {used}")));
    }
    super::none(wrong, "a crate uses lower floors only");
}

#[test]
fn services_never_see_a_broker() {
    let services: Vec<_> = super::sources()
        .into_iter()
        .filter(|file| file.path.starts_with("crates/services/"))
        .collect();
    let brokers =
        |line: &str| line.contains("sapari_runtime::") && !line.contains("sapari_runtime::host::");
    // The depot is a seam of the runtime that storage fills: two names, and no way to a message.
    let seam = ["message::MessageId;", "pipeline::Depot;"];
    let is_seam = |line: &str| seam.iter().any(|name| line.ends_with(name));
    super::none(
        super::found(&services, |line| brokers(line) && !is_seam(line), |_| false),
        "services know the runtime's settings, and nothing else of it",
    );
    // Storage's, and the one that clears scratch beside it.
    let depot = |path: &str| {
        let path = path.strip_prefix("crates/services/src/");
        matches!(path, Some("ext/storage/depot.rs" | "media/depot.rs"))
    };
    super::none(
        super::found(&services, |line| brokers(line) && is_seam(line), depot),
        "only depots know that a message comes to an end",
    );
}
