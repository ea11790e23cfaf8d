//! What goes wrong only across restarts, each case in the same order every time: heap tables beside the Iceberg
//! ones tell what is right.

mod frozen;
mod objects;
mod prepared;
mod unlogged;
mod upkeep;

use super::primary::Primary;
use super::standby::{self, Standby, Upstream};
use crate::cache::Cache;
use crate::cluster::Connection;
use crate::engines::Engines;
use crate::installation::Installation;
use crate::progress::note;
use crate::stores::Lake;
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The directories of Iceberg tables.
const DIRECTORIES: &str = "SELECT count(*) FROM pg_ls_dir('base/' || (SELECT oid FROM pg_database \
     WHERE datname = current_database())) name WHERE name LIKE 'iceberg\\_%'";
/// How many files and directories are of transactions that are known to be over, and of no table.
const ORPHANS: &str =
    "SELECT count(*) FROM lakebase.remove_orphan_files(NULL, interval '1 day', true)";

const WAIT_LIMIT: Duration = Duration::from_secs(30);

type Case = fn(&mut Server) -> Result<()>;

/// Named for the failures that they prevent.
const CASES: [(&str, Case); 17] = [
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
        "unlogged tables rolled back before a crash leave nothing",
        unlogged::rolled_back_before_a_crash,
    ),
    (
        "writers of frozen rows are not looked up",
        frozen::writers_are_not_looked_up,
    ),
    (
        "current metadata outlive a crash after their predecessors were removed",
        upkeep::current_metadata_outlive_a_crash,
    ),
    (
        "files are not removed before what makes them superfluous is durable",
        upkeep::what_makes_files_superfluous_is_not_undone,
    ),
    (
        "files are removed and told of together after a crash",
        upkeep::removal_goes_on_after_a_crash,
    ),
    (
        "queries on a standby are cancelled before their files are removed",
        upkeep::queries_on_a_standby_are_cancelled,
    ),
    (
        "a standby's feedback keeps its files",
        upkeep::a_standbys_feedback_keeps_files,
    ),
    (
        "recovery does not stop before files that it has removed",
        upkeep::recovery_does_not_stop_before_a_removal,
    ),
    (
        "prepared transactions are found by large ids",
        frozen::prepared_transactions_are_found_by_large_ids,
    ),
];

/// The same with tables in an object store.
type ObjectCase = fn(&mut Server, &Lake) -> Result<()>;

const OBJECT_CASES: [(&str, ObjectCase); 4] = [
    (
        "a commit to a store is whole or nothing, whoever dies at whichever step",
        objects::commits,
    ),
    (
        "what is committed and not published outlives the death of its publisher",
        objects::publishers,
    ),
    (
        "objects of a dropped table go, whoever dies meanwhile",
        objects::sweeps,
    ),
    (
        "a store that loses its answers, or is away, loses no rows",
        objects::answers,
    ),
];
const STORE: &str = "crash";

/// Where the store of the cases is, and the proxy before it.
pub fn stores(cache: &Cache) -> [PathBuf; 2] {
    [
        Lake::directory(cache, STORE),
        Lake::proxy_directory(cache, STORE),
    ]
}

/// The server of all cases.
pub struct Server {
    primary: Primary,
    cache: Cache,
    installation: Installation,
    library: String,
    /// Read tables in a store.
    engines: Option<Engines>,
}

/// Runs all cases on one server; with other engines, these read the tables in a store as well.
pub fn run(
    cache: &Cache,
    installation: &Installation,
    library: &str,
    with_engines: bool,
) -> Result<()> {
    let [dir, ..] = super::primary::directories(cache);
    let mut server = Server {
        primary: Primary::create(&dir, installation, library)?,
        cache: Cache::open()?,
        installation: installation.clone(),
        library: library.to_owned(),
        engines: None,
    };
    let mut failed = Vec::new();
    for (name, case) in CASES {
        server.run(name, &mut failed, case)?;
    }
    let lake = Lake::start(cache, STORE)?.behind_proxy(cache, STORE)?;
    let cluster = &server.primary.cluster;
    let settings = lake.settings(cluster.account(), cluster.dir())?;
    server.primary.restart_with(settings)?;
    lake.create_tablespace(&server.primary.connection)?;
    server.engines = with_engines
        .then(|| Engines::start(cache, Some(&lake)))
        .transpose()?;
    for (name, case) in OBJECT_CASES {
        server.run(name, &mut failed, |server| case(server, &lake))?;
        lake.order("clear")?;
    }
    if !failed.is_empty() {
        bail!("cases failed: {}", failed.join("; "));
    }
    server.primary.cluster.stop()?;
    lake.stop()
}

impl Server {
    /// Runs a case; one that fails is told, and its name noted.
    fn run(
        &mut self,
        name: &'static str,
        failed: &mut Vec<&'static str>,
        case: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        note(format!("case: {name}"));
        if let Err(error) = case(self).and_then(|()| self.primary.log.check()) {
            note(format!("failed: {error:#}"));
            failed.push(name);
            self.primary.cluster.stop()?;
            self.primary.start()?;
        }
        Ok(())
    }

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

    fn directories(&self) -> Result<u64> {
        Ok(self.query(DIRECTORIES)?.parse()?)
    }

    fn expect_no_orphans(&self) -> Result<()> {
        self.expect(ORPHANS, "0")
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

    /// Makes a standby, which follows from now on.
    fn make_standby(&self) -> Result<Standby> {
        let [_, dir, ..] = super::primary::directories(&self.cache);
        // What a case that failed has left behind.
        super::primary::clear(&dir)?;
        self.drop_slot()?;
        let upstream = Upstream {
            cluster: &self.primary.cluster,
            connection: &self.primary.connection,
            tablespace: None,
        };
        Standby::create(
            &dir,
            upstream,
            standby::SLOT,
            &self.installation,
            &self.library,
        )
    }

    /// Promotes the standby once it has everything, lets `check` look at it, and does away with it.
    fn promote(
        &self,
        standby: &Standby,
        check: impl FnOnce(&Connection) -> Result<()>,
    ) -> Result<()> {
        let checked = self
            .promoted(standby)
            .and_then(|()| check(&standby.connection));
        standby.cluster.stop()?;
        self.drop_slot()?;
        checked
    }

    /// Drops the standby's slot, if there is one, once nobody uses it.
    fn drop_slot(&self) -> Result<()> {
        let of_it = format!(
            "FROM pg_replication_slots WHERE slot_name = '{}'",
            standby::SLOT
        );
        self.wait_for_answer(&format!("SELECT count(*) {of_it} AND active"), "0")?;
        self.execute(&format!(
            "SELECT pg_drop_replication_slot(slot_name) {of_it}"
        ))
    }

    fn wait_for_answer(&self, sql: &str, wanted: &str) -> Result<()> {
        wait_for_answer(&self.primary.connection, sql, wanted)
    }

    fn promoted(&self, standby: &Standby) -> Result<()> {
        let target = standby::flushed(&self.primary.connection)?;
        standby::wait_replayed(&standby.cluster, &standby.connection, &target)?;
        crate::psql::execute(&standby.connection, "SELECT pg_promote(true, 60)")?;
        standby::wait_writable(&standby.connection)
    }
}

fn wait_for_answer(connection: &Connection, sql: &str, wanted: &str) -> Result<()> {
    let started = Instant::now();
    while crate::psql::query(connection, sql)? != wanted {
        if started.elapsed() > WAIT_LIMIT {
            bail!("the answer is not {wanted} in time: {sql}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn expect(sql: &str, found: &str, expected: &str) -> Result<()> {
    if found != expected {
        bail!("{sql} gave {found:?}, expected {expected:?}");
    }
    Ok(())
}
