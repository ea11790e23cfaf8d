//! Azurite, the emulator of Azure Blob Storage, from its npm package.

use super::server::Server;
use crate::cache::Cache;
use crate::checkout;
use crate::process;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;

const VERSION: &str = "3.35.0";
pub const ACCOUNT: &str = "devstoreaccount1";
pub const CONTAINER: &str = "lakebase";
/// The key that every emulator has for the account.
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

pub fn start(cache: &Cache, server: &Server) -> Result<()> {
    let program = install(cache)?;
    server.start(|port| {
        let mut command = Command::new("node");
        command
            .arg(program)
            .arg("--location")
            .arg(server.data())
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
            .args(["--skipApiVersionCheck", "--disableTelemetry", "--silent"]);
        command
    })?;
    let url = server.url().context("Azurite has stopped")?;
    process::output(
        Command::new("node")
            .arg(checkout::root().join("xtask/stores/make_container.js"))
            .args([&url, ACCOUNT, KEY, CONTAINER]),
    )
    .context("cannot make the container")?;
    Ok(())
}

/// Its script, installed where it is not there.
pub fn install(cache: &Cache) -> Result<PathBuf> {
    let _lock = cache.lock("azurite")?;
    let dir = cache
        .root()
        .join("stores")
        .join(format!("azurite-{VERSION}"));
    let program = dir.join("node_modules/azurite/dist/src/blob/main.js");
    if !program.exists() {
        let mut command = Command::new("npm");
        command
            .args(["install", "--no-fund", "--no-audit", "--prefix"])
            .arg(&dir)
            .arg(format!("azurite@{VERSION}"));
        process::run_logged("Installing Azurite", &cache.log("azurite"), &mut command)?;
    }
    Ok(program)
}
