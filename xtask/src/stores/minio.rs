//! MinIO, a server of S3's protocol, built from its Go module.

use super::server::Server;
use crate::cache::Cache;
use crate::process;
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const MODULE: &str = "github.com/minio/minio";
/// Of its last release.
const VERSION: &str = "v0.0.0-20260212201848-7aac2a2c5b7c";
pub const BUCKET: &str = "lakebase";
pub const ACCESS_KEY_ID: &str = "lakebase";
pub const SECRET_ACCESS_KEY: &str = "lakebase-secret";

pub fn start(cache: &Cache, server: &Server) -> Result<()> {
    let program = install(cache)?;
    // A directory of its data is a bucket.
    let bucket = server.data().join(BUCKET);
    fs::create_dir_all(&bucket)
        .with_context(|| format!("cannot create directory {}", bucket.display()))?;
    server.start(|port| {
        let mut command = Command::new(program);
        command
            .arg("server")
            .arg(server.data())
            .args(["--address", &format!("127.0.0.1:{port}")])
            .args(["--console-address", "127.0.0.1:0"])
            .env("MINIO_ROOT_USER", ACCESS_KEY_ID)
            .env("MINIO_ROOT_PASSWORD", SECRET_ACCESS_KEY)
            .env("MINIO_BROWSER", "off")
            .env("MINIO_UPDATE", "off");
        command
    })
}

/// The program, installed where it is not there.
pub fn install(cache: &Cache) -> Result<PathBuf> {
    let _lock = cache.lock("minio")?;
    let dir = cache.root().join("stores").join(format!("minio-{VERSION}"));
    let program = dir.join("minio");
    if !program.exists() {
        let mut command = Command::new("go");
        command
            .arg("install")
            .arg(format!("{MODULE}@{VERSION}"))
            .env("GOBIN", &dir);
        process::run_logged("Building MinIO", &cache.log("minio"), &mut command)?;
    }
    Ok(program)
}
