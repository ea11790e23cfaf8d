//! What goes wrong only across restarts, each case in the same order every time: heap tables beside the Iceberg
//! ones tell what is right.

mod frozen;
mod prepared;
mod unlogged;

use super::primary::Primary;
use super::standby::{self, Standby, Upstream};
use crate::cache::Cache;
use crate::installation::Installation;
use crate::progress::note;
use anyhow::{Result, bail};

type Case = fn(&mut Server) -> Result<()>;

/// Named for the failures that they prevent.
const CASES: [(&str, Case); 9] = [
    (
        "directories of dropped tables go after a crash",
        prepared::dropped_directories_go_after_a_crash,
    ),
    (
        "prepared transactions are committed and rolled back after a crash",
        prepared::outcomes_after_a_crash,
    ),
    (
        "prepared transactions are committed and rolled back after promotion",
        prepared::outcome_after_promotion,
    ),
    (
        "files of crashed transactions are known without waiting",
        prepared::files_of_crashed_transactions_are_known,
    ),
    (
        "inline commits of an unlogged table do not outlive a crash",
        unlogged::inline_commits_do_not_outlive_a_crash,
    ),
    (
        "what was prepared before a crash does not come back in an unlogged table",
        unlogged::prepared_inline_commits_do_not_outlive_a_crash,
    ),
    (
        "an unlogged table is whole after a clean restart",
        unlogged::whole_after_a_clean_restart,
    ),
    (
        "unlogged tables of a promoted standby are empty",
        unlogged::empty_after_promotion,
    ),
    (
        "writers of frozen rows are not looked up",
        frozen::writers_are_not_looked_up,
    ),
];

/// The server of all cases.
pub struct Server {
    primary: Primary,
    cache: Cache,
    installation: Installation,
    library: String,
}

/// Runs all cases on one server.
pub fn run(cache: &Cache, installation: &Installation, library: &str) -> Result<()> {
    let [dir, ..] = super::primary::directories(cache);
    let mut server = Server {
        primary: Primary::create(&dir, installation, library)?,
        cache: Cache::open()?,
        installation: installation.clone(),
        library: library.to_owned(),
    };
    let mut failed = Vec::new();
    for (name, case) in CASES {
        note(format!("case: {name}"));
        if let Err(error) = case(&mut server).and_then(|()| server.primary.log.check()) {
            note(format!("failed: {error:#}"));
            failed.push(name);
            server.primary.cluster.stop()?;
            server.primary.start()?;
        }
    }
    if !failed.is_empty() {
        bail!("cases failed: {}", failed.join("; "));
    }
    server.primary.cluster.stop().map(drop)
}

impl Server {
    fn execute(&self, sql: &str) -> Result<()> {
        self.primary.execute_alone(sql)
    }

    /// Statements in one session, each on its own.
    fn script(&self, statements: &[&str]) -> Result<()> {
        crate::psql::script(&self.primary.connection, |script| {
            statements
                .iter()
                .try_for_each(|statement| writeln!(script, "{statement};"))
        })
    }

    fn query(&self, sql: &str) -> Result<String> {
        self.primary.query(sql)
    }

    fn expect(&self, sql: &str, expected: &str) -> Result<()> {
        expect(sql, &self.query(sql)?, expected)
    }

    fn crash(&mut self) -> Result<()> {
        self.primary.stop_immediately()?;
        self.primary.start()
    }

    /// Publishers leave alone, for a minute, what has been given a metadata file.
    fn hold_publishers_off(&self) -> Result<()> {
        self.execute("ALTER SYSTEM SET pg_iceberg_am.publish_interval = '60s'")?;
        self.execute("SELECT pg_reload_conf()")
    }

    fn let_publishers_work(&self) -> Result<()> {
        self.execute("ALTER SYSTEM RESET pg_iceberg_am.publish_interval")?;
        self.execute("SELECT pg_reload_conf()")
    }

    /// Makes a standby, promotes it once it has everything, and lets `check` look at it.
    fn promote_standby(&self, check: impl FnOnce(&Standby) -> Result<()>) -> Result<()> {
        let [_, dir, ..] = super::primary::directories(&self.cache);
        let upstream = Upstream {
            cluster: &self.primary.cluster,
            connection: &self.primary.connection,
            tablespace: None,
        };
        let standby = Standby::create(
            &dir,
            upstream,
            standby::SLOT,
            &self.installation,
            &self.library,
        )?;
        let target = standby::flushed(&self.primary.connection)?;
        standby::wait_replayed(&standby.cluster, &standby.connection, &target)?;
        crate::psql::execute(&standby.connection, "SELECT pg_promote(true, 60)")?;
        standby::wait_writable(&standby.connection)?;
        let checked = check(&standby);
        standby.cluster.stop()?;
        checked?;
        self.execute(&format!(
            "SELECT pg_drop_replication_slot('{}')",
            standby::SLOT
        ))
    }
}

fn expect(sql: &str, found: &str, expected: &str) -> Result<()> {
    if found != expected {
        bail!("{sql} gave {found:?}, expected {expected:?}");
    }
    Ok(())
}
