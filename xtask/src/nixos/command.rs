//! The command itself.

use super::host::{Node, machine_name};
use super::programs;
use crate::cache::Cache;
use crate::checkout;
use crate::guardian::Guardian;
use crate::machine::{self, Machine};
use crate::nix_check::{self, Nix};
use crate::process;
use crate::progress::{format_elapsed, note};
use crate::setup;
use crate::tally::Tally;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// What is evaluated of `vm-tests`: for each scenario its machines, those with the server among them, and its steps.
const SCENARIOS: &str = "builtins.mapAttrs (_: s: { nodes = builtins.attrNames s.nodes; inherit (s) testScript; }) \
                         (import ./xtask/nix-check/scenarios.nix)";
/// The machine that reads tables and has no server.
const READER: &str = "reader";
/// The scenario whose machine is switched, and to what.
const SWITCHED: (&str, &str) = ("basics", "changed");

#[derive(clap::Args)]
pub struct Args {
    /// Only these scenarios
    scenarios: Vec<String>,
}

pub fn run(args: &Args) -> Result<()> {
    if let Some(reason) = missing() {
        bail!("{reason}");
    }
    let cache = Cache::open()?;
    let tally = run_some(&cache, &args.scenarios)?;
    println!("{tally}");
    if !tally.failures.is_empty() {
        bail!("failed: {}", tally.failures.join(", "));
    }
    Ok(())
}

/// Why scenarios cannot be run on this machine, if that is so.
pub fn missing() -> Option<&'static str> {
    machine::missing().or_else(nix_check::missing)
}

/// Runs all scenarios and counts.
pub fn run_all(cache: &Cache) -> Result<Tally> {
    run_some(cache, &[])
}

fn run_some(cache: &Cache, only: &[String]) -> Result<Tally> {
    let _lock = cache.lock("nixos")?;
    let mut packages = setup::for_machines();
    packages.extend(setup::for_nix());
    setup::ensure_packages(&packages)?;
    let nix = Nix::of_checkout(cache)?;
    let scenarios = nix.evaluate(&["--expr", SCENARIOS])?;
    let scenarios = scenarios.as_object().context("no scenarios")?;
    if let Some(unknown) = only.iter().find(|name| !scenarios.contains_key(*name)) {
        let all: Vec<&str> = scenarios.keys().map(String::as_str).collect();
        bail!("there is no scenario {unknown}, but {}", all.join(", "));
    }
    let debian = machine::debian(cache)?;
    let servers = programs::of_servers(cache, &debian)?;
    let readers = programs::of_readers(cache)?;
    let mut tally = Tally::default();
    for (name, scenario) in scenarios {
        if !only.is_empty() && !only.contains(name) {
            continue;
        }
        let begun = Instant::now();
        let trees = |node: &str| match node {
            READER => vec![readers.as_path(), debian.as_path()],
            _ => vec![servers.as_path(), debian.as_path()],
        };
        match go_through(cache, &nix, name, scenario, &trees) {
            Ok(()) => {
                note(format!(
                    "{name}: passed ({})",
                    format_elapsed(begun.elapsed())
                ));
                tally += Tally::passed();
            }
            Err(error) => {
                note(format!("{name}: {error:#}"));
                tally += Tally::failed(name.clone());
            }
        }
    }
    Ok(tally)
}

/// Boots the machines of a scenario and has the driver go through its steps.
fn go_through<'a>(
    cache: &Cache,
    nix: &Nix,
    name: &str,
    scenario: &Value,
    trees: &dyn Fn(&str) -> Vec<&'a Path>,
) -> Result<()> {
    let nodes = scenario
        .get("nodes")
        .and_then(Value::as_array)
        .context("no machines")?;
    let nodes: Vec<&str> = nodes.iter().filter_map(Value::as_str).collect();
    let directories = nodes
        .iter()
        .map(|node| Machine::directory(cache, &machine_name(name, node)));
    let _guardian = Guardian::over(directories)?;
    let hosts: Vec<(String, String)> = match &nodes[..] {
        [one] => vec![((*one).to_owned(), "127.0.0.1".to_owned())],
        many => (many.iter().zip(1..))
            .map(|(node, number)| ((*node).to_owned(), format!("192.168.77.{number}")))
            .collect(),
    };
    let mut machines = Vec::new();
    for &node in &nodes {
        let node = Node {
            scenario: name,
            name: node,
            hosts: &hosts,
            specialisation: (name == SWITCHED.0).then_some(SWITCHED.1),
        };
        machines.push(node.boot(cache, nix, &trees(node.name))?);
    }
    connect(&machines, &hosts)?;
    let gone_through = drive(cache, name, scenario, &nodes, &machines);
    for (machine, node) in machines.into_iter().zip(&nodes) {
        match &gone_through {
            Ok(()) => machine.stop()?,
            Err(_) => {
                let journal = machine
                    .sh("systemctl --failed --no-pager; journalctl --boot --no-pager --lines 60");
                note(format!("{node}:\n{}", journal.unwrap_or_default()));
                // What it has written can be looked at.
                machine.kill()?;
            }
        }
    }
    gone_through
}

/// Lets two machines reach each other.
fn connect(machines: &[Machine], hosts: &[(String, String)]) -> Result<()> {
    let [first, second] = machines else {
        ensure!(machines.len() == 1, "more than two machines");
        return Ok(());
    };
    let mut ip = Command::new("ip");
    ip.args([
        "link",
        "add",
        "lan",
        "netns",
        &first.leader().to_string(),
        "type",
        "veth",
    ]);
    ip.args(["peer", "name", "lan", "netns", &second.leader().to_string()]);
    process::output(&mut ip)?;
    for (machine, (_, address)) in machines.iter().zip(hosts) {
        for arguments in [
            &["addr", "add", &format!("{address}/24"), "dev", "lan"][..],
            &["link", "set", "lan", "up"],
        ] {
            let mut ip = Command::new("nsenter");
            ip.arg(format!("--target={}", machine.leader()))
                .args(["--net", "ip"]);
            process::output(ip.args(arguments))?;
        }
    }
    Ok(())
}

fn drive(
    cache: &Cache,
    name: &str,
    scenario: &Value,
    nodes: &[&str],
    machines: &[Machine],
) -> Result<()> {
    let steps = scenario
        .get("testScript")
        .and_then(Value::as_str)
        .context("no steps")?;
    let script: PathBuf = cache.root().join("machines").join(format!("{name}.py"));
    fs::write(&script, steps).with_context(|| format!("cannot write {}", script.display()))?;
    let leaders: serde_json::Map<String, Value> = (nodes.iter().zip(machines))
        .map(|(node, machine)| ((*node).to_owned(), json!(machine.leader())))
        .collect();
    let mut driver = Command::new("python3");
    driver.arg(checkout::root().join("xtask/nixos/driver.py"));
    driver.arg(Value::Object(leaders).to_string()).arg(&script);
    // Where the guardian ends what is left.
    if let Some(node) = nodes.first() {
        driver.current_dir(Machine::directory(cache, &machine_name(name, node)).join("data"));
    }
    let output = driver
        .stdin(Stdio::null())
        .output()
        .context("cannot run Python")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.trim());
    Ok(())
}
