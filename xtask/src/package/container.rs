//! An image of the form that the OCI specifies: Debian 13 with its PostgreSQL 17 below, what the packages have above.

use super::build::VERSION;
use crate::cache::{Cache, remove_tree};
use crate::checkout;
use crate::guardian::Guardian;
use crate::installation::MAJOR;
use crate::machine::{self, Machine};
use crate::process;
use crate::progress::note;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The image's, with the version behind it.
const NAME: &str = "pg-lakebase";
const CONTAINER: &str = "lakebase-container";
/// What runs first, where it is in the checkout and in the image.
const ENTRY: &str = "pkgs/container-entry.sh";
const ENTRY_PROGRAM: &str = "usr/local/bin/pg-lakebase-entry";
/// Of the server in the image.
const UID: u32 = 999;
const PASSWORD: &str = "it's a $ecret";
/// Where the cluster is.
const VOLUME: &str = "/var/lib/postgresql";
const DATABASE: &str = "postgres";
/// How soon a new container answers.
const FIRST_ANSWER: Duration = Duration::from_secs(20);

/// Makes the image of these packages, an archive.
pub fn build(cache: &Cache, packages: &[PathBuf]) -> Result<PathBuf> {
    let base = machine::container_base(cache)?;
    let dir = cache.root().join("debian/container");
    remove_tree(&dir)?;
    let layer = dir.join("layer");
    let entry = layer.join(ENTRY_PROGRAM);
    fs::create_dir_all(entry.parent().unwrap_or(&layer))
        .with_context(|| format!("cannot create {}", layer.display()))?;
    for package in packages {
        process::output(Command::new("dpkg-deb").arg("-x").arg(package).arg(&layer))?;
    }
    // Units are of no use there, and a directory would take the place of the link that `/lib` is.
    remove_tree(&layer.join("lib"))?;
    let source = checkout::root().join(ENTRY);
    let script =
        fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
    fs::write(&entry, format!("#!/bin/bash\nset -euo pipefail\n{script}"))
        .and_then(|()| fs::set_permissions(&entry, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", entry.display()))?;
    // Where a machine boots, that makes it.
    let sockets = layer.join("run/postgresql");
    let (uid, gid) = postgres_of(&base)?;
    fs::create_dir_all(&sockets)
        .and_then(|()| chown(&sockets, Some(uid), Some(gid)))
        .with_context(|| format!("cannot create {}", sockets.display()))?;
    let above = dir.join("layer.tar");
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "--sort=name", "-cf"]);
    process::output(tar.arg(&above).arg("-C").arg(&layer).arg("."))?;

    let layout = dir.join("image");
    let image = format!("{}:{NAME}:{VERSION}", layout.display());
    let log = cache.log("package-container");
    let umoci = |arguments: &[&str]| {
        let mut command = Command::new("umoci");
        command.args(arguments);
        command
    };
    process::run_logged(
        "Beginning an image",
        &log,
        umoci(&["init", "--layout"]).arg(&layout),
    )?;
    process::output(&mut umoci(&["new", "--image", &image]))?;
    for tar in [&base, &above] {
        let title = format!("Adding {} to the image", tar.display());
        let mut add = umoci(&["raw", "add-layer", "--image", &image]);
        process::run_logged(&title, &log, add.arg(tar))?;
    }
    let path = format!("/usr/lib/postgresql/{MAJOR}/bin:/usr/local/bin:/usr/bin:/bin");
    let mut config = umoci(&["config", "--image", &image]);
    for (option, value) in [
        ("user", "postgres"),
        ("workingdir", VOLUME),
        ("env", &format!("PATH={path}")),
        ("env", "PGDATA=/var/lib/postgresql/data"),
        ("entrypoint", "pg-lakebase-entry"),
        ("volume", VOLUME),
        ("exposedports", "5432/tcp"),
        ("stopsignal", "SIGINT"),
        ("label", "org.opencontainers.image.title=pg-lakebase"),
        (
            "label",
            &format!("org.opencontainers.image.version={VERSION}"),
        ),
        ("label", "org.opencontainers.image.licenses=Apache-2.0"),
    ] {
        config.arg(format!("--config.{option}={value}"));
    }
    process::output(&mut config)?;
    let archive = dir.join(format!("pg-lakebase-{VERSION}.oci.tar"));
    let mut tar = Command::new("tar");
    process::output(tar.arg("-cf").arg(&archive).arg("-C").arg(&layout).arg("."))?;
    Ok(archive)
}

/// The numbers of the server's user and group in a layer.
fn postgres_of(layer: &Path) -> Result<(u32, u32)> {
    let mut tar = Command::new("tar");
    let users = process::output(tar.arg("-xOf").arg(layer).arg("./etc/passwd"))?;
    let user = users
        .lines()
        .find_map(|line| line.strip_prefix("postgres:x:"));
    let mut numbers = user
        .unwrap_or_default()
        .split(':')
        .map_while(|number| number.parse().ok());
    let (Some(uid), Some(gid)) = (numbers.next(), numbers.next()) else {
        bail!("{} has no user postgres", layer.display());
    };
    Ok((uid, gid))
}

/// Runs a container of the image, kills it, and runs it again.
pub fn check(cache: &Cache, archive: &Path) -> Result<()> {
    let directory = Machine::directory(cache, CONTAINER);
    let _guardian = Guardian::over([directory.clone()])?;
    machine::clear(&directory)?;
    let layout = directory.join("image");
    fs::create_dir_all(&layout).with_context(|| format!("cannot create {}", layout.display()))?;
    let mut tar = Command::new("tar");
    process::output(tar.arg("-xf").arg(archive).arg("-C").arg(&layout))?;
    let mut unpack = Command::new("umoci");
    unpack.args([
        "unpack",
        "--image",
        &format!("{}:{NAME}:{VERSION}", layout.display()),
    ]);
    process::output(unpack.arg(directory.join("bundle")))?;
    give_volume(&directory)?;

    let is_up = ["pg_isready", "--quiet"];
    let begun = Instant::now();
    let container = Machine::run_bundle(cache, CONTAINER, &is_up)?;
    container.sql(
        DATABASE,
        "CREATE TABLE t USING iceberg AS SELECT generate_series(1, 1000) AS id",
    )?;
    note(format!(
        "a container answers after {:.1} s",
        begun.elapsed().as_secs_f64()
    ));
    ensure!(
        begun.elapsed() < FIRST_ANSWER,
        "the first answer took {:?}",
        begun.elapsed()
    );
    let by_password = format!(
        "PGPASSWORD={} psql --host 127.0.0.1 --username postgres -Atc 'SELECT 1'",
        process::shell_quote(PASSWORD)
    );
    container.sh(&by_password)?;
    container
        .fails("PGPASSWORD=another psql --host 127.0.0.1 --username postgres -c 'SELECT 1'")?;
    let user = container.sh("stat --format %U /proc/1")?;
    ensure!(user.trim() == "postgres", "the server runs as {user}");
    container.kill()?;

    let container = Machine::run_bundle(cache, CONTAINER, &is_up)?;
    let sum = container.sql(DATABASE, "SELECT count(*), sum(id) FROM t")?;
    ensure!(
        sum == "1000|500500",
        "after the container was killed there is {sum}"
    );
    container.kill()?;
    machine::clear(&directory)
}

/// Has the container keep its volume in a directory, as those who run containers do, and not use a terminal.
fn give_volume(directory: &Path) -> Result<()> {
    let path = directory.join("bundle/config.json");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut config: Value = serde_json::from_str(&text).context("the bundle's configuration")?;
    let number = |config: &Value, name: &str| {
        let number = config.pointer(&format!("/process/user/{name}"));
        let number = number.and_then(Value::as_u64);
        number.and_then(|number| u32::try_from(number).ok())
    };
    let (uid, gid) = (number(&config, "uid"), number(&config, "gid"));
    ensure!(uid == Some(UID), "the image runs as {uid:?}");
    let volume = directory.join("volume");
    // Others mount a volume there.
    let data = volume.join("data");
    fs::create_dir_all(&data)
        .and_then(|()| chown(&data, uid, gid))
        .and_then(|()| chown(&volume, uid, gid))
        .with_context(|| format!("cannot create {}", volume.display()))?;
    let mounts = config.pointer_mut("/mounts").and_then(Value::as_array_mut);
    let mounts = mounts.context("the bundle has no mounts")?;
    let volumes = mounts.len();
    mounts.retain(|mount| mount.get("destination") != Some(&json!(VOLUME)));
    ensure!(
        mounts.len() + 1 == volumes,
        "the image has not one volume at {VOLUME}"
    );
    mounts.push(json!({
        "destination": VOLUME, "type": "bind", "source": volume, "options": ["rbind", "rw"],
    }));
    let environment = config
        .pointer_mut("/process/env")
        .and_then(Value::as_array_mut);
    let environment = environment.context("the bundle has no environment")?;
    environment.push(json!(format!("POSTGRES_PASSWORD={PASSWORD}")));
    if let Some(terminal) = config.pointer_mut("/process/terminal") {
        *terminal = json!(false);
    }
    fs::write(&path, config.to_string()).with_context(|| format!("cannot write {}", path.display()))
}
