//! The flake's outputs.

use super::nix::Nix;
use anyhow::{Context, Result, ensure};
use serde_json::Value;

const SYSTEMS: [&str; 2] = ["x86_64-linux", "aarch64-linux"];
/// What each system has to have; `vm-` stands before the name of a scenario.
const OUTPUTS: [(&str, &[&str]); 4] = [
    (
        "packages",
        &[
            "default",
            "pg-lakebase",
            "pg-iceberg-am",
            "pg-lakebase-storage",
            "cargo-pgrx_0_18_1",
            "quickstart",
            "container",
        ],
    ),
    ("apps", &["default", "quickstart"]),
    ("devShells", &["default"]),
    (
        "checks",
        &[
            "pg-lakebase",
            "pg-iceberg-am",
            "pg-lakebase-storage",
            "container",
            "lints",
            "unit-tests",
            "regression",
            "isolation",
            "nix-format",
            "vm-basics",
            "vm-minio",
            "vm-azurite",
            "vm-gcs",
            "vm-standby",
            "vm-crash",
            "vm-backup",
            "vm-engines",
        ],
    ),
];
/// What there is once.
const OTHERS: [(&str, &str); 3] = [
    ("nixosModules", "default"),
    ("nixosModules", "pg-lakebase"),
    ("overlays", "default"),
];

/// Evaluates all outputs, and fails unless those that users and the documentation name are among them.
pub fn check(nix: &Nix) -> Result<()> {
    nix.flake(&["check", "--no-build"])?;
    let shown = nix.flake(&["show", "--json"])?;
    let shown: Value = serde_json::from_str(&shown).context("flake show gives no JSON")?;
    let there = |path: &[&str]| {
        let mut value = Some(&shown);
        for name in path {
            value = value.and_then(|value| value.get(name));
        }
        ensure!(value.is_some(), "the flake has no {}", path.join("."));
        Ok(())
    };
    for system in SYSTEMS {
        for (kind, names) in OUTPUTS {
            names
                .iter()
                .try_for_each(|name| there(&[kind, system, name]))?;
        }
        there(&["formatter", system])?;
    }
    OTHERS
        .iter()
        .try_for_each(|&(kind, name)| there(&[kind, name]))
}
