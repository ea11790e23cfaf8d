//! Running Nix on a copy of the checkout.

use crate::cache::{Cache, remove_tree};
use crate::checkout;
use crate::process;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A copy of what the checkout has, without what was built there: Nix copies all that it finds.
pub struct Nix {
    dir: PathBuf,
}

impl Nix {
    pub fn of_checkout(cache: &Cache) -> Result<Self> {
        let dir = cache.build("nix-check");
        remove_tree(&dir)?;
        let mut git = Command::new("git");
        git.current_dir(checkout::root());
        git.args(["ls-files", "--cached", "--others", "--exclude-standard"]);
        let files = process::output(&mut git)?;
        for file in files.lines() {
            let (from, to) = (checkout::root().join(file), dir.join(file));
            // One that was removed and not committed yet is listed as well.
            if from.exists() {
                fs::create_dir_all(to.parent().unwrap_or(&dir))
                    .and_then(|()| fs::copy(&from, &to))
                    .with_context(|| format!("cannot copy {file}"))?;
            }
        }
        Ok(Self { dir })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The Nix files of the project.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut directories = vec![self.dir.clone()];
        while let Some(directory) = directories.pop() {
            let entries = fs::read_dir(&directory)
                .with_context(|| format!("cannot read {}", directory.display()))?;
            for entry in entries.flatten() {
                let path = entry.path();
                if path.is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|extension| extension == "nix") {
                    found.push(path);
                }
            }
        }
        ensure!(!found.is_empty(), "there is no Nix file");
        found.sort();
        Ok(found)
    }

    /// A program of Nix's, in the copy.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.dir);
        // Without a daemon, and as root too: nothing is built.
        command.env("NIX_CONFIG", "build-users-group =");
        command
    }

    /// The value of a file or an expression.
    pub fn evaluate(&self, what: &[&str]) -> Result<Value> {
        let mut command = self.command("nix-instantiate");
        command.args(["--eval", "--strict", "--json", "--readonly-mode"]);
        let text = process::output(command.args(what))?;
        serde_json::from_str(&text).with_context(|| format!("{what:?} gives no JSON"))
    }

    /// The flake, with the stand-in for nixpkgs.
    pub fn flake(&self, command: &[&str]) -> Result<String> {
        let mut nix = self.command("nix");
        nix.args(["--extra-experimental-features", "nix-command"]);
        nix.args(["--extra-experimental-features", "flakes"]);
        nix.arg("flake").args(command);
        nix.args(["--no-write-lock-file", "--override-input", "nixpkgs"]);
        nix.arg(format!("path:{}/xtask/nix-check", self.dir.display()));
        process::output(nix.arg(format!("path:{}", self.dir.display())))
    }
}
