//! What the module makes of a machine, as `xtask/nix-check/units.nix` tells it.

use super::nix::Nix;
use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Where units are.
pub const UNITS: &str = "/etc/systemd/system/";

pub struct Configuration(Value);

impl Configuration {
    /// Evaluates `units.nix` with these arguments, as Nix writes them; fails where assertions do.
    pub fn evaluate(nix: &Nix, arguments: &str) -> Result<Self> {
        let expression = format!("import ./xtask/nix-check/units.nix {{ {arguments} }}");
        let configuration = nix.evaluate(&["--expr", &expression])?;
        let failed = configuration.get("failed").and_then(Value::as_array);
        ensure!(
            failed.is_some_and(Vec::is_empty),
            "assertions fail: {failed:?}"
        );
        Ok(Self(configuration))
    }

    /// Names and texts of the scripts that units run.
    pub fn scripts(&self) -> Result<Vec<(&str, &str)>> {
        let scripts = self.object("scripts")?.iter();
        scripts
            .map(|(name, text)| Ok((&**name, text.as_str().context("a script without text")?)))
            .collect()
    }

    /// The units that are started with the machine.
    pub fn enabled(&self) -> Result<Vec<&str>> {
        let files = self.object("files")?.iter();
        let units =
            files.filter(|(_, file)| text(file).is_ok_and(|text| text.contains("\nWantedBy=")));
        Ok(units
            .filter_map(|(path, _)| path.strip_prefix(UNITS))
            .collect())
    }

    pub fn users(&self) -> Result<Vec<&str>> {
        let users = self.object("users")?.keys();
        Ok(users.map(String::as_str).collect())
    }

    /// Writes the files below `root`, and the scripts into a directory.
    pub fn write(&self, root: &Path, scripts: &Path) -> Result<()> {
        for (path, file) in self.object("files")? {
            let mode = file.get("mode").and_then(Value::as_str);
            let mode = mode.context("a file without mode")?;
            let mode = u32::from_str_radix(mode, 8).with_context(|| format!("mode {mode}"))?;
            write(&root.join(path.trim_start_matches('/')), text(file)?, mode)?;
        }
        for (name, text) in self.scripts()? {
            write(&scripts.join(name), text, 0o755)?;
        }
        Ok(())
    }

    fn object(&self, name: &str) -> Result<&Map<String, Value>> {
        let object = self.0.get(name).and_then(Value::as_object);
        object.with_context(|| format!("a configuration without {name}"))
    }
}

fn text(file: &Value) -> Result<&str> {
    let text = file.get("text").and_then(Value::as_str);
    text.context("a file without text")
}

/// Writes a file with its permissions, and makes the directories above it.
pub fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let dir = path.parent().context("a file without a directory")?;
    fs::create_dir_all(dir)
        .and_then(|()| fs::write(path, text))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .with_context(|| format!("cannot write {}", path.display()))
}
