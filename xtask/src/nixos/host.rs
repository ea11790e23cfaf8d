//! A machine of a scenario: what the module makes of it, on Debian.

use super::programs::put_store_files;
use crate::cache::Cache;
use crate::machine::Machine;
use crate::nix_check::{Configuration, Nix, UNITS, write};
use crate::process;
use anyhow::Result;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// Where another configuration of the machine is kept.
const OTHERS: &str = "opt/configurations";

/// Units that scenarios kill. Where the kernel's cgroups are of version 1, systemd in a container is not told that the last process of
/// a unit is gone, and waits for as long as one may take to stop.
const KILLED: [&str; 2] = ["postgresql.service", "pg-lakebase-storage.service"];
const NOT_TOLD: &str = "[Service]\nTimeoutStopSec=3s\n";

/// A machine's configuration.
pub struct Node<'a> {
    pub scenario: &'a str,
    pub name: &'a str,
    /// Names and addresses of all machines of the scenario.
    pub hosts: &'a [(String, String)],
    /// A configuration that it may be switched to.
    pub specialisation: Option<&'a str>,
}

impl Node<'_> {
    /// The machine's name among all that there are.
    pub fn machine(&self) -> String {
        machine_name(self.scenario, self.name)
    }

    /// Lays and boots the machine over these trees, the uppermost first.
    pub fn boot(&self, cache: &Cache, nix: &Nix, trees: &[&Path]) -> Result<Machine> {
        let root = Machine::lay(cache, &self.machine(), trees)?;
        let configuration = self.evaluate(nix, None)?;
        put(&configuration, &root)?;
        for user in configuration.users()? {
            let mut useradd = Command::new("chroot");
            useradd.arg(&root).args(["sh", "-c"]);
            useradd.arg(format!(
                "id -u {user} >/dev/null 2>&1 || useradd --system --user-group {user}"
            ));
            process::output(&mut useradd)?;
        }
        let enabled = configuration.enabled()?;
        let mut systemctl = Command::new("systemctl");
        systemctl
            .arg("--quiet")
            .arg("--root")
            .arg(&root)
            .arg("enable")
            .args(&enabled);
        if !enabled.is_empty() {
            process::output(&mut systemctl)?;
        }
        for unit in KILLED {
            let place = format!("{}{unit}.d/host.conf", UNITS.trim_start_matches('/'));
            write(&root.join(place), NOT_TOLD, 0o644)?;
        }
        let mut hosts = "127.0.0.1 localhost\n".to_owned();
        for (name, address) in self.hosts {
            writeln!(hosts, "{address} {name}")?;
        }
        write(&root.join("etc/hosts"), &hosts, 0o644)?;
        write(
            &root.join("etc/hostname"),
            &format!("{}\n", self.name),
            0o644,
        )?;
        if let Some(name) = self.specialisation {
            let other = self.evaluate(nix, Some(name))?;
            put(&other, &root.join(OTHERS).join(name))?;
            let script = format!(
                "#!/bin/sh\nset -e\ncp -a \"/{OTHERS}/$1/.\" /\nsystemctl daemon-reload\n\
                 systemctl restart pg-lakebase-storage.service postgresql.service pg-lakebase-setup.service\n"
            );
            write(
                &root.join("usr/local/bin/switch-configuration"),
                &script,
                0o755,
            )?;
        }
        Machine::boot(cache, &self.machine())
    }

    fn evaluate(&self, nix: &Nix, specialisation: Option<&str>) -> Result<Configuration> {
        let specialisation =
            specialisation.map_or_else(|| "null".to_owned(), |name| format!("\"{name}\""));
        let arguments = format!(
            "specialisation = {specialisation}; configuration = (import ./xtask/nix-check/scenarios.nix).{}.nodes.{};",
            self.scenario, self.name
        );
        Configuration::evaluate(nix, &arguments)
    }
}

pub fn machine_name(scenario: &str, node: &str) -> String {
    format!("lakebase-{scenario}-{node}")
}

/// Writes what a configuration has below `root`.
fn put(configuration: &Configuration, root: &Path) -> Result<()> {
    for (_, text) in configuration.scripts()? {
        put_store_files(text, root)?;
    }
    configuration.write(root, &root.join("etc/pg-lakebase-test/scripts"))
}
