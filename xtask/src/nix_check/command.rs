//! The command itself.

use super::nix::Nix;
use super::{flake, machines, tools};
use crate::cache::Cache;
use crate::checkout;
use crate::process;
use crate::progress::note;
use crate::setup;
use crate::tally::Tally;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

const OPTIONS_PAGE: &str = "docs/nixos-options.md";
/// nixpkgs' code is as nixpkgs has it.
const NIXPKGS: &str = "xtask/nix-check/nixpkgs-lib";

#[derive(clap::Args)]
pub struct Args {
    /// Write the page of the module's options anew, and format the Nix files
    #[arg(long)]
    write: bool,
}

pub fn run(args: &Args) -> Result<()> {
    if let Some(reason) = missing() {
        bail!("{reason}");
    }
    let cache = Cache::open()?;
    if args.write {
        return write(&cache);
    }
    println!("{}", run_check(&cache)?);
    Ok(())
}

/// Why there is no Nix, if that is so and cannot be changed here.
pub fn missing() -> Option<&'static str> {
    if setup::on_path("nix-instantiate") || rustix::process::geteuid().is_root() {
        return None;
    }
    Some("there is no Nix; Debian has it in the package nix-bin")
}

/// Everything; counts what was checked.
pub fn run_check(cache: &Cache) -> Result<Tally> {
    let _lock = cache.lock("nix-check")?;
    setup::ensure_packages(&setup::for_nix())?;
    let nix = Nix::of_checkout(cache)?;
    let mut tally = Tally::default();
    let mut passed = |what: &str| {
        note(format!("Nix: {what}"));
        tally += Tally::passed();
    };

    let files = nix.files()?;
    process::output(nix.command("nix-instantiate").arg("--parse").args(&files))?;
    passed("every file can be read");
    let own = own(&nix)?;
    let mut formatter = nix.command(&tools::formatter(cache)?.to_string_lossy());
    process::output(formatter.arg("--check").args(&own))
        .context("`cargo xtask nix-check --write` formats the Nix files")?;
    passed("formatting");
    let mut linter = nix.command(&tools::linter(cache)?.to_string_lossy());
    process::output(
        linter
            .args(["--fail", "--no-lambda-pattern-names"])
            .args(&own),
    )?;
    passed("nothing is unused");

    flake::check(&nix)?;
    passed("the flake and its outputs");
    let cases = nix.evaluate(&["xtask/nix-check/cases.nix"])?;
    let wrong = cases.get("wrong").and_then(Value::as_object);
    ensure!(
        wrong.is_some_and(serde_json::Map::is_empty),
        "configurations of the module: {cases}"
    );
    ensure!(
        cases.get("count").and_then(Value::as_u64) > Some(0),
        "no configurations"
    );
    passed("configurations that work, and those that are refused");
    let sources = nix.evaluate(&["xtask/nix-check/sources.nix"])?;
    let all_empty = |lists: &serde_json::Map<String, Value>| {
        !lists.is_empty()
            && lists
                .values()
                .all(|list| list.as_array().is_some_and(Vec::is_empty))
    };
    ensure!(
        sources.as_object().is_some_and(all_empty),
        "the module and the code: {sources}"
    );
    passed("the module knows what the code has");
    let there = fs::read_to_string(nix.dir().join(OPTIONS_PAGE)).unwrap_or_default();
    ensure!(
        there == options_page(&nix)?,
        "{OPTIONS_PAGE} is not what the options say: `cargo xtask nix-check --write` writes it"
    );
    passed("the page of options");
    let machines = machines::check(&nix)?;
    passed(&format!("the units of {machines} machines"));
    Ok(tally)
}

fn write(cache: &Cache) -> Result<()> {
    setup::ensure_packages(&setup::for_nix())?;
    let nix = Nix::of_checkout(cache)?;
    let page = checkout::root().join(OPTIONS_PAGE);
    fs::write(&page, options_page(&nix)?)
        .with_context(|| format!("cannot write {}", page.display()))?;
    for file in own(&nix)? {
        let name = file.strip_prefix(nix.dir())?;
        let mut formatter = nix.command(&tools::formatter(cache)?.to_string_lossy());
        process::output(formatter.current_dir(checkout::root()).arg(name))?;
    }
    Ok(())
}

/// The project's own Nix files.
fn own(nix: &Nix) -> Result<Vec<PathBuf>> {
    let nixpkgs = nix.dir().join(NIXPKGS);
    let files = nix.files()?.into_iter();
    Ok(files.filter(|file| !file.starts_with(&nixpkgs)).collect())
}

fn options_page(nix: &Nix) -> Result<String> {
    let page = "import ./nixos-module/options-page.nix { lib = import ./xtask/nix-check/nixpkgs/lib.nix; }";
    let page = nix.evaluate(&["--expr", page])?;
    page.as_str()
        .map(str::to_owned)
        .context("the page of options is no text")
}
