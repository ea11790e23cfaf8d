//! The emulator of Google Cloud Storage in `xtask/stores/gcs`: fake-gcs-server, with the XML API before it.

use super::server::Server;
use crate::cache::Cache;
use crate::checkout;
use crate::process;
use anyhow::Result;
use std::path::PathBuf;
use std::process::Command;

pub const BUCKET: &str = "lakebase";

pub fn start(cache: &Cache, server: &Server) -> Result<()> {
    if server.url().is_some() {
        return Ok(());
    }
    let program = build(cache)?;
    server.start(|port| {
        let mut command = Command::new(program);
        command
            .args(["--port", &port.to_string()])
            .arg("--data")
            .arg(server.data())
            .args(["--bucket", BUCKET]);
        command
    })
}

/// The program. Go knows by itself what there is to do.
pub fn build(cache: &Cache) -> Result<PathBuf> {
    let _lock = cache.lock("gcs")?;
    let program = cache.root().join("stores").join("gcs-emulator");
    let mut command = Command::new("go");
    command
        .current_dir(checkout::root().join("xtask/stores/gcs"))
        .args(["build", "-o"])
        .arg(&program)
        .arg(".");
    process::run_logged(
        "Building the emulator of GCS",
        &cache.log("gcs"),
        &mut command,
    )?;
    Ok(program)
}
