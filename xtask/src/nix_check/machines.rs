//! What the module makes of machines: no assertion fails, and systemd has nothing to say of the units.

use super::configuration::{Configuration, UNITS, write};
use super::nix::Nix;
use crate::cache::remove_tree;
use crate::process;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Programs that units name, which are looked for by `systemd-analyze verify`.
const PROGRAMS: [&str; 6] = [
    "postgres",
    "pg-lakebase-storage",
    "minio",
    "azurite-blob",
    "gcs-emulator",
    "node",
];
/// Units that may not do more than PostgreSQL's.
const CONFINED: [&str; 2] = ["pg-lakebase-storage.service", "pg-lakebase-setup.service"];
const POSTGRESQL: &str = "postgresql.service";

/// Goes through the machine of the module's default, those of all scenarios, and one that is switched.
pub fn check(nix: &Nix) -> Result<usize> {
    let mut machines = vec![(
        "the default".to_owned(),
        "{ services.pg-lakebase.enable = true; }".to_owned(),
        "null",
    )];
    let scenarios = "builtins.mapAttrs (_: s: builtins.attrNames s.nodes) (import ./xtask/nix-check/scenarios.nix)";
    let scenarios = nix.evaluate(&["--expr", scenarios])?;
    for (scenario, nodes) in scenarios.as_object().context("no scenarios")? {
        for node in nodes
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            let configuration =
                format!("(import ./xtask/nix-check/scenarios.nix).{scenario}.nodes.{node}");
            machines.push((format!("{scenario}, {node}"), configuration.clone(), "null"));
            if scenario == "basics" {
                machines.push((
                    format!("{scenario}, {node}, changed"),
                    configuration,
                    "\"changed\"",
                ));
            }
        }
    }
    for (name, configuration, specialisation) in &machines {
        check_one(nix, configuration, specialisation).with_context(|| format!("machine {name}"))?;
    }
    Ok(machines.len())
}

fn check_one(nix: &Nix, configuration: &str, specialisation: &str) -> Result<()> {
    let dir = nix.dir().join("machine");
    remove_tree(&dir)?;
    let programs = dir.join("programs/bin");
    for program in PROGRAMS {
        write(&programs.join(program), "#!/bin/sh\n", 0o755)?;
    }
    let (programs, scripts) = (dir.join("programs"), dir.join("scripts"));
    let arguments = format!(
        "configuration = {configuration}; specialisation = {specialisation}; postgresql = \"{}\"; other = \"{}\"; scripts = \"{}\";",
        programs.display(),
        programs.display(),
        scripts.display()
    );
    let machine = Configuration::evaluate(nix, &arguments)?;
    machine.write(&dir, &scripts)?;
    for (name, _) in machine.scripts()? {
        process::output(Command::new("bash").arg("-n").arg(scripts.join(name)))?;
    }
    let units = dir.join(UNITS.trim_start_matches('/'));
    // A machine that only reads tables has none of ours.
    if units.exists() {
        verify(&units)?;
        confined(&units)?;
    }
    Ok(())
}

/// systemd reads all units without a word.
fn verify(units: &Path) -> Result<()> {
    let mut command = analyze(units);
    command.args(["verify", "--man=no"]);
    for entry in fs::read_dir(units).with_context(|| format!("cannot read {}", units.display()))? {
        command.arg(entry?.path());
    }
    let output = command.output().context("cannot run systemd-analyze")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(
        output.status.success() && said.is_empty(),
        "systemd says: {said}"
    );
    Ok(())
}

/// Our units may do no more than PostgreSQL's.
fn confined(units: &Path) -> Result<()> {
    let bound = exposure(units, POSTGRESQL)?;
    for unit in CONFINED {
        if units.join(unit).exists() {
            let exposure = exposure(units, unit)?;
            ensure!(
                exposure <= bound,
                "{unit} is exposed by {exposure}, PostgreSQL by {bound}"
            );
        }
    }
    Ok(())
}

/// Tenths of what systemd tells of a unit: 0 for one that may do nothing, 100 for one that may do all.
fn exposure(units: &Path, unit: &str) -> Result<u32> {
    let mut command = analyze(units);
    let said = process::output(command.args(["security", "--offline=true", "--no-pager", unit]))?;
    let told = said
        .lines()
        .find_map(|line| line.split_once("Overall exposure level for "));
    let number = told.and_then(|(_, rest)| rest.split_once(": "));
    let number = number.and_then(|(_, rest)| rest.split_whitespace().next());
    let Some(tenths) = number.and_then(|number| number.replace('.', "").parse().ok()) else {
        bail!("systemd-analyze tells no exposure of {unit}: {said}");
    };
    Ok(tenths)
}

fn analyze(units: &Path) -> Command {
    let mut command = Command::new("systemd-analyze");
    command.env("SYSTEMD_UNIT_PATH", format!("{}:", units.display()));
    command
}
