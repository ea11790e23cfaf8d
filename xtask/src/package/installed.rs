//! The packages on a machine of Debian 13: installed, used as their README.Debian says, upgraded and removed.

use super::build::{Built, Use, VERSION};
use crate::cache::Cache;
use crate::checkout;
use crate::guardian::Guardian;
use crate::machine::{self, Machine};
use crate::progress::note;
use crate::stores;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const NAME: &str = "lakebase-packages";
/// One that comes after every version that there is.
const NEXT: &str = "999.0.0";
/// How soon a machine that is booted answers a query over an Iceberg table.
const FIRST_ANSWER: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_secs(10);
const README: &str = "debian/postgresql-17-pg-lakebase.README.Debian";
const DATABASE: &str = "postgres";
const SUM: &str = "SELECT count(*), sum(id) FROM t";
const ROWS: &str = "1000|500500";

/// Goes through all of it; fails at the first thing that is not as it should be.
pub fn check(cache: &Cache, built: &Built, packages: &[PathBuf]) -> Result<()> {
    lint(packages)?;
    let next = built.as_version(cache, NEXT)?.pack(cache, Use::Trial)?;
    let minio = stores::minio_program(cache)?;
    let readme = Readme::read()?;

    let _guardian = Guardian::over([Machine::directory(cache, NAME)])?;
    let debian = machine::debian(cache)?;
    let booted = Instant::now();
    Machine::lay(cache, NAME, &[&debian])?;
    let machine = Machine::boot(cache, NAME)?;
    note(format!(
        "the machine is up ({:.1} s)",
        booted.elapsed().as_secs_f64()
    ));
    let tried = (|| {
        install(&machine, packages)?;
        set_up(&machine, &readme)?;
        machine.sql(
            DATABASE,
            "CREATE TABLE t USING iceberg AS SELECT generate_series(1, 1000) AS id",
        )?;
        same("the rows", &machine.sql(DATABASE, SUM)?, ROWS)?;
        let took = booted.elapsed();
        note(format!(
            "a query is answered {:.1} s after the machine was booted",
            took.as_secs_f64()
        ));
        ensure!(took < FIRST_ANSWER, "the first answer took {took:?}");
        object_store(&machine, &readme, &minio)?;
        upgrade(&machine, packages, &next)?;
        remove(&machine)
    })();
    match tried {
        Ok(()) => machine.stop(),
        Err(error) => {
            let journal = machine.sh("journalctl --no-pager --lines 40; tail -n 30 /var/log/postgresql/* 2>/dev/null || true");
            note(journal.unwrap_or_default());
            Err(error)
        }
    }
}

/// lintian has nothing to say.
fn lint(packages: &[PathBuf]) -> Result<()> {
    let mut command = Command::new("lintian");
    command.args([
        "--allow-root",
        "--fail-on",
        "error,warning",
        "--no-tag-display-limit",
    ]);
    let output = command
        .args(packages)
        .output()
        .context("cannot run lintian")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "lintian: {said}");
    Ok(())
}

fn install(machine: &Machine, packages: &[PathBuf]) -> Result<()> {
    apt_install(machine, packages, "")?;
    // What there is to see of it without any setting.
    let version = machine.sh("pg-lakebase-storage --version")?;
    same(
        "the service's version",
        version.trim(),
        &format!("pg-lakebase-storage {VERSION}"),
    )?;
    machine.sh("test -s /usr/share/man/man8/pg-lakebase-storage.8.gz")?;
    let said = machine.fails("systemctl is-enabled pg-lakebase-storage")?;
    same("what is said of the unit", said.trim(), "")
}

/// Installs package files; all that they depend on is there.
fn apt_install(machine: &Machine, packages: &[PathBuf], options: &str) -> Result<String> {
    let dir = machine.root().join("root/packages");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let mut files = String::new();
    for package in packages {
        let name = package.file_name().context("a package without a name")?;
        fs::copy(package, dir.join(name))
            .with_context(|| format!("cannot copy {}", package.display()))?;
        files.push_str(&format!(" /root/packages/{}", name.to_string_lossy()));
    }
    machine.sh(&format!(
        "apt-get install --yes --quiet --no-install-recommends {options}{files}"
    ))
}

/// A cluster of Debian's, and what the README says of it.
fn set_up(machine: &Machine, readme: &Readme) -> Result<()> {
    machine.sh("pg_createcluster 17 main --start")?;
    readme.follow(machine, "shared_preload_libraries")?;
    readme.follow(machine, "CREATE EXTENSION")?;
    same(
        "the extension's version",
        &machine.sql(
            DATABASE,
            "SELECT extversion FROM pg_extension WHERE extname = 'pg_iceberg_am'",
        )?,
        VERSION,
    )
}

/// A tablespace in a MinIO on the machine: by the service that the server runs, then by that of the unit.
fn object_store(machine: &Machine, readme: &Readme, minio: &Path) -> Result<()> {
    let program = machine.root().join("usr/local/bin/minio");
    fs::copy(minio, &program).with_context(|| format!("cannot copy {}", minio.display()))?;
    machine.sh(
        "mkdir -p /srv/minio/lake /var/lib/lake
         chown postgres: /var/lib/lake
         systemd-run --quiet --unit=minio --setenv=MINIO_ROOT_USER=lake --setenv=MINIO_ROOT_PASSWORD=lake-secret \
             minio server /srv/minio --address 127.0.0.1:9000
         install -o postgres -m 600 /dev/null /etc/postgresql/lake-credentials
         printf '[lake]\\naccess_key_id = lake\\nsecret_access_key = lake-secret\\n' > /etc/postgresql/lake-credentials
         pg_conftool 17 main set pg_lakebase.credentials_file /etc/postgresql/lake-credentials
         systemctl reload postgresql@17-main",
    )?;
    let create = "CREATE TABLESPACE lake LOCATION '/var/lib/lake' WITH (protocol = 's3', bucket = 'lake', \
                  endpoint = 'http://127.0.0.1:9000', allow_http = true, credentials = 'lake')";
    let started = Instant::now();
    while let Err(error) = machine.sql(DATABASE, create) {
        // MinIO takes a moment.
        if started.elapsed() > SOON {
            return Err(error);
        }
    }
    machine.sql(
        DATABASE,
        "CREATE TABLE there USING iceberg TABLESPACE lake AS SELECT generate_series(1, 1000) AS id",
    )?;
    let sum = SUM.replace("FROM t", "FROM there");
    same("rows in the store", &machine.sql(DATABASE, &sum)?, ROWS)?;
    let status = "SELECT status FROM lakebase.storage_service";
    same(
        "the server's service",
        &machine.sql(DATABASE, status)?,
        "running",
    )?;

    machine.sh("cat /etc/postgresql/lake-credentials > /etc/pg-lakebase/credentials; rm /etc/postgresql/lake-credentials")?;
    machine.sh("pg_conftool 17 main remove pg_lakebase.credentials_file")?;
    readme.follow(machine, "storage_socket")?;
    same(
        "the unit's service",
        &machine.sql(DATABASE, status)?,
        "external",
    )?;
    same("rows in the store", &machine.sql(DATABASE, &sum)?, ROWS)?;
    machine.sql(DATABASE, "INSERT INTO there VALUES (0)")?;
    machine.sql(DATABASE, "SELECT lakebase.publish('there')")?;
    let owner = machine.sh("ps -o user= -C pg-lakebase-storage | sort -u")?;
    same("who runs the service", owner.trim(), "pg-lakebase")?;
    machine.fails("runuser -u postgres -- cat /etc/pg-lakebase/credentials")?;
    // Others than the server may not even connect.
    let connect = "runuser -u nobody -- perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(\"/run/pg-lakebase/storage.sock\") or exit 1'";
    machine.fails(connect)?;
    // A service that is killed comes back, and its clients find it.
    machine.sh("systemctl kill --signal=KILL pg-lakebase-storage")?;
    machine.sql(DATABASE, "INSERT INTO there VALUES (0)")?;
    machine.sql(DATABASE, "SELECT lakebase.publish('there')")?;
    machine.sh("systemctl reload pg-lakebase-storage")?;
    let exposure =
        machine.sh("systemd-analyze security --no-pager pg-lakebase-storage | tail -n 1")?;
    note(exposure.trim());
    Ok(())
}

/// To a version that is higher, and not back.
fn upgrade(machine: &Machine, packages: &[PathBuf], next: &[PathBuf]) -> Result<()> {
    apt_install(machine, next, "")?;
    let unit = machine.sh("systemctl is-active pg-lakebase-storage")?;
    same("the unit after the upgrade", unit.trim(), "active")?;
    machine.sh("systemctl restart postgresql@17-main")?;
    // Before the catalog has been upgraded, tables are there as well.
    same("the rows", &machine.sql(DATABASE, SUM)?, ROWS)?;
    let readme = Readme::read()?;
    readme.follow(machine, "ALTER EXTENSION")?;
    same(
        "the extension's version",
        &machine.sql(
            DATABASE,
            "SELECT extversion FROM pg_extension WHERE extname = 'pg_iceberg_am'",
        )?,
        NEXT,
    )?;
    machine.sql(DATABASE, "INSERT INTO t VALUES (0)")?;
    same("the rows", &machine.sql(DATABASE, SUM)?, "1001|500500")?;
    let back = format!("ALTER EXTENSION pg_iceberg_am UPDATE TO '{VERSION}'");
    let refused = machine
        .sql(DATABASE, &back)
        .err()
        .map(|error| format!("{error:#}"));
    ensure!(
        refused
            .as_ref()
            .is_some_and(|said| said.contains("no update path")),
        "ALTER EXTENSION to a lower version: {refused:?}"
    );
    let refused = apt_install(machine, packages, "").err();
    ensure!(
        refused.is_some(),
        "apt-get has installed packages of a lower version"
    );
    Ok(())
}

/// Nothing of the packages stays.
fn remove(machine: &Machine) -> Result<()> {
    machine.sql(DATABASE, "DROP TABLE there")?;
    machine.sql(DATABASE, "DROP TABLESPACE lake")?;
    machine.sql(DATABASE, "DROP EXTENSION pg_iceberg_am CASCADE")?;
    let prerm = "/var/lib/dpkg/info/postgresql-17-pg-lakebase.prerm remove 2>&1";
    let warning = "The server 17/main still has pg_iceberg_am";
    let said = machine.sh(prerm)?;
    ensure!(said.contains(warning), "prerm of a server's: {said}");
    machine.sh(
        "pg_conftool 17 main set shared_preload_libraries ''; systemctl restart postgresql@17-main",
    )?;
    let said = machine.sh(prerm)?;
    ensure!(said.is_empty(), "prerm of no server's: {said}");
    machine.sh("apt-get remove --yes --quiet postgresql-17-pg-lakebase pg-lakebase-storage")?;
    machine.sh("test -e /etc/pg-lakebase/storage.conf")?;
    machine.sh("dpkg --purge pg-lakebase-storage")?;
    let left = machine.sh("find / -xdev -name '*lakebase*' -not -path '/proc/*' -not -path '/root/*' -not -path '/var/lib/postgresql/*' -not -path '/sys/*'")?;
    same("what is left", left.trim(), "")?;
    same("the server", &machine.sql(DATABASE, "SELECT 1")?, "1")
}

/// The commands of README.Debian, by the blocks that they stand in.
struct Readme(Vec<Vec<String>>);

impl Readme {
    fn read() -> Result<Self> {
        let path = checkout::root().join(README);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self::of(&text))
    }

    fn of(text: &str) -> Self {
        let mut blocks = Vec::new();
        let mut block: Vec<String> = Vec::new();
        for line in text.lines().chain([""]) {
            match line.strip_prefix("    ") {
                Some(command) => block.push(command.to_owned()),
                None if !block.is_empty() => blocks.push(std::mem::take(&mut block)),
                None => {}
            }
        }
        Self(blocks)
    }

    /// Executes the commands of the block that has `word`.
    fn follow(&self, machine: &Machine, word: &str) -> Result<()> {
        let mut found = self
            .0
            .iter()
            .filter(|block| block.iter().any(|line| line.contains(word)));
        let (Some(block), None) = (found.next(), found.next()) else {
            bail!("README.Debian has not one block with {word}");
        };
        for command in block {
            match command.strip_suffix(';') {
                Some(sql) => machine.sql(DATABASE, sql).map(drop)?,
                None => machine.sh(command).map(drop)?,
            }
        }
        Ok(())
    }
}

fn same(what: &str, found: &str, expected: &str) -> Result<()> {
    ensure!(
        found == expected,
        "{what}: {found:?}, where {expected:?} is expected"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_what_is_indented() {
        let readme = Readme::of("Do:\n\n    a b\n    c\n\nand\n    SELECT 1;\n");
        assert_eq!(readme.0, [vec!["a b", "c"], vec!["SELECT 1;"]]);
    }
}
