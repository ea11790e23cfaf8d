//! Tables in an object store, beside heap tables: a backend, the server or the storage service dies at each step of a
//! commit, of a publisher's and of the deletion of objects; and the store loses answers.

use super::super::engines;
use super::{Server, expect, wait_for_answer};
use crate::cluster::processes;
use crate::stores::Lake;
use crate::wire::Session;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// In the order in which a commit passes them: nothing is handed over; data files are; the pointer row is locked; metadata
/// are written and not handed over; the pointer row is replaced; everything is handed over; the commit record is written.
const STEPS: [&str; 7] = [
    "iceberg-handing-over",
    "iceberg-manifests-written",
    "iceberg-pointer-locked",
    "iceberg-metadata-written",
    "iceberg-pointer-replaced",
    "iceberg-synced",
    "iceberg-committed",
];
const COMMITTED: &str = "iceberg-committed";
const SWEPT: &str = "iceberg-garbage-removed";
const LIMIT: Duration = Duration::from_secs(60);
/// How soon a statement that is cancelled ends.
const CANCELLED: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);

/// As many rows as make a data file.
const MANY: &str = "SELECT g, md5(g::text) FROM generate_series(1, 70000) g";
const FEW: &str = "SELECT g, md5(g::text) FROM generate_series(1, 10) g";
const NO_GARBAGE: &str = "SELECT NOT EXISTS (SELECT FROM lakebase.garbage)";
const SERVICE: &str = "SELECT pid FROM lakebase.storage_service WHERE pid IS NOT NULL";

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Backend,
    Server,
    Service,
}

const VICTIMS: [Victim; 3] = [Victim::Backend, Victim::Server, Victim::Service];

/// Has somebody die at a step.
type Death = fn(&mut Server, &'static str, Victim) -> Result<()>;

/// A commit left rows without files, or files without rows.
pub fn commits(server: &mut Server, lake: &Lake) -> Result<()> {
    server.die_at_all_steps(lake, Server::die_in_commit)
}

/// A publisher's death left inline rows twice, or not at all.
pub fn publishers(server: &mut Server, lake: &Lake) -> Result<()> {
    server.die_at_all_steps(lake, Server::die_in_publisher)
}

/// Objects were left for ever when somebody died between their deletion and its record.
pub fn sweeps(server: &mut Server, lake: &Lake) -> Result<()> {
    if !server.primary.has_points() {
        return Ok(());
    }
    server.create_stored()?;
    for victim in VICTIMS {
        server.insert_both(FEW)?;
        server.execute(&format!(
            "CREATE TABLE gone USING iceberg TABLESPACE lake AS {MANY}"
        ))?;
        server.execute(&format!(
            "SELECT injection_points_attach('{SWEPT}', 'wait')"
        ))?;
        server.execute("DROP TABLE gone")?;
        server.strike(SWEPT, victim)?;
        server.wait_until(NO_GARBAGE)?;
        server.expect_same()?;
        server.remove_orphans()?;
    }
    server.drop_stored(lake)
}

/// Work that the store had done was taken for lost, or an outage for an end.
pub fn answers(server: &mut Server, lake: &Lake) -> Result<()> {
    server.create_stored()?;
    // 17 MB that do not compress: an upload in parts.
    let large = "SELECT g, string_agg(md5((g * 1000 + i)::text), '') \
                 FROM generate_series(1, 1100) g, generate_series(1, 1000) i GROUP BY g";
    for (orders, rows) in [
        ("fault PUT lose-answer 3", MANY),
        ("fault PUT 503:SlowDown 2s", MANY),
        ("fault PUT reset 4", MANY),
        ("fault PUT alter-request 1", MANY),
        ("fault JOIN lose-answer 1", large),
        ("fault PART reset 2", large),
    ] {
        lake.order("forget")?;
        lake.order(orders)?;
        server.insert_both(rows).context(orders)?;
        let counts = lake.order("counts")?;
        lake.order("clear")?;
        ensure!(
            counts
                .lines()
                .filter_map(|line| line.rsplit_once(" faults "))
                .any(|(_, count)| count != "0"),
            "{orders}: no request met the fault: {counts}"
        );
        server.expect_same().context(orders)?;
    }
    // A transaction that gives up is rolled back, and what it has uploaded is found. PostgreSQL has ended `statement_timeout`
    // by then.
    let before = server.rows("stored")?;
    lake.order("fault PUT hang always")?;
    let mut session = Session::open(&server.primary.connection)?;
    session.query("SET pg_iceberg_am.publish_interval = 0")?;
    let backend = session.backend();
    let client = thread::spawn(move || {
        let outcome = session.query(&format!("INSERT INTO stored {MANY}"));
        (outcome, Instant::now())
    });
    server.wait_for_event("LakebaseStorageService")?;
    let cancelled = Instant::now();
    server.execute(&format!("SELECT pg_cancel_backend({backend})"))?;
    let Ok((outcome, ended)) = client.join() else {
        bail!("the client panicked");
    };
    ensure!(
        ended.duration_since(cancelled) < CANCELLED,
        "a commit went on for {:?} after it was cancelled",
        ended.duration_since(cancelled)
    );
    lake.order("clear")?;
    ensure!(
        outcome.is_err(),
        "an insert was committed without its objects"
    );
    expect(
        "rows after an insert that gave up",
        &server.rows("stored")?,
        &before,
    )?;
    server.expect_same()?;
    server.remove_orphans()?;
    server.drop_stored(lake)
}

impl Server {
    fn create_stored(&self) -> Result<()> {
        self.script(&[
            "DROP TABLE IF EXISTS stored, stored_mirror",
            "CREATE TABLE stored (id bigint, s text) USING iceberg TABLESPACE lake",
            "CREATE TABLE stored_mirror (id bigint, s text) USING heap",
        ])?;
        self.insert_both(MANY)
    }

    /// Everybody dies at every step.
    fn die_at_all_steps(&mut self, lake: &Lake, die: Death) -> Result<()> {
        if !self.primary.has_points() {
            return Ok(());
        }
        self.create_stored()?;
        for step in STEPS {
            for victim in VICTIMS {
                die(self, step, victim).with_context(|| format!("{victim:?} at {step}"))?;
            }
        }
        self.drop_stored(lake)
    }

    /// Other engines find in the store what is in the mirror.
    fn read_by_others(&mut self) -> Result<()> {
        let metadata = self.query("SELECT lakebase.publish('stored')")?;
        let mirror = self.query("SELECT count(*), sum(id) FROM stored_mirror")?;
        let (rows, sum) = mirror.split_once('|').context("two numbers")?;
        match &mut self.engines {
            Some(engines) => engines::compare(engines, &metadata, rows.parse()?, sum)
                .with_context(|| format!("reading {metadata}")),
            None => Ok(()),
        }
    }

    /// Drops the tables; no object may be left then.
    fn drop_stored(&mut self, lake: &Lake) -> Result<()> {
        self.expect_same()?;
        self.remove_orphans()?;
        self.expect_same()?;
        self.read_by_others()?;
        self.execute("DROP TABLE stored, stored_mirror")?;
        self.wait_until(NO_GARBAGE)?;
        self.remove_orphans()?;
        let left = lake.objects()?;
        ensure!(left.is_empty(), "objects are left: {left:?}");
        Ok(())
    }

    fn insert_both(&self, rows: &str) -> Result<()> {
        self.script(&[
            "SET pg_iceberg_am.publish_interval = 0",
            "BEGIN",
            &format!("INSERT INTO stored {rows}"),
            &format!("INSERT INTO stored_mirror {rows}"),
            "COMMIT",
        ])
    }

    fn rows(&self, table: &str) -> Result<String> {
        self.query(&format!(
            "SELECT count(*), sum(id), sum(hashtext(s)::bigint), sum(length(s)) FROM {table}"
        ))
    }

    fn expect_same(&self) -> Result<()> {
        expect(
            "stored",
            &self.rows("stored")?,
            &self.rows("stored_mirror")?,
        )
    }

    fn wait_until(&self, sql: &str) -> Result<()> {
        wait_for_answer(&self.primary.connection, sql, "t")
    }

    /// Has orphans removed until there are none. The search leaves alone what may be of a transaction that runs.
    fn remove_orphans(&self) -> Result<()> {
        let search = |dry_run: bool| {
            self.query(&format!(
                "SELECT count(*) FROM lakebase.remove_orphan_files(NULL, interval '0', {dry_run})"
            ))
        };
        let started = Instant::now();
        loop {
            search(false)?;
            self.wait_until(NO_GARBAGE)?;
            if search(true)? == "0" {
                return Ok(());
            }
            ensure!(started.elapsed() < LIMIT, "orphans are still there");
        }
    }

    /// A transaction commits to both tables, and somebody dies when it comes to `step`.
    fn die_in_commit(&mut self, step: &'static str, victim: Victim) -> Result<()> {
        let before = self.rows("stored_mirror")?;
        let connection = self.primary.connection.clone();
        let client: JoinHandle<Result<()>> = thread::spawn(move || {
            let mut session = Session::open(&connection)?;
            for statement in [
                "SELECT injection_points_set_local()".to_owned(),
                "SET pg_iceberg_am.publish_interval = 0".to_owned(),
                "BEGIN".to_owned(),
                format!("INSERT INTO stored {MANY}"),
                format!("INSERT INTO stored_mirror {MANY}"),
                format!("SELECT injection_points_attach('{step}', 'wait')"),
                "COMMIT".to_owned(),
            ] {
                session.query(&statement)?;
            }
            Ok(())
        });
        self.strike(step, victim)?;
        let Ok(outcome) = client.join() else {
            bail!("the client panicked");
        };
        if victim == Victim::Service {
            outcome.context("the commit needed a service that had died")?;
        } else {
            ensure!(outcome.is_err(), "the client outlived its backend");
        }
        let is_committed = victim == Victim::Service || step == COMMITTED;
        let after = self.rows("stored_mirror")?;
        ensure!(
            (after != before) == is_committed,
            "there are {after} rows after {before}"
        );
        self.expect_same()?;
        self.execute("SELECT lakebase.publish('stored')")?;
        self.expect_same()
    }

    /// Somebody dies when the publisher comes to `step` with rows that were committed inline.
    fn die_in_publisher(&mut self, step: &'static str, victim: Victim) -> Result<()> {
        self.hold_publishers_off()?;
        self.execute("SELECT lakebase.publish('stored')")?;
        self.script(&[
            "BEGIN",
            &format!("INSERT INTO stored {FEW}"),
            &format!("INSERT INTO stored_mirror {FEW}"),
            "COMMIT",
        ])?;
        self.expect_inline(true)?;
        self.execute(&format!("SELECT injection_points_attach('{step}', 'wait')"))?;
        self.let_publishers_work()?;
        self.strike(step, victim)?;
        self.expect_same()?;
        self.execute("SELECT lakebase.publish('stored')")?;
        self.expect_inline(false)?;
        self.expect_same()
    }

    fn expect_inline(&self, expected: bool) -> Result<()> {
        let sql = "SELECT EXISTS (SELECT FROM lakebase.inline_commit)";
        self.expect(sql, if expected { "t" } else { "f" })
    }

    /// Waits until somebody waits at `point`, and kills the victim. The service's death leaves whoever waits alive, who goes
    /// on then.
    fn strike(&mut self, point: &str, victim: Victim) -> Result<()> {
        self.wait_for_event(point)?;
        let waiting = format!("SELECT pid FROM pg_stat_activity WHERE wait_event = '{point}'");
        match victim {
            Victim::Backend => {
                let mut witness = Session::open(&self.primary.connection)?;
                processes::send(self.query(&waiting)?.parse()?, Signal::KILL)?;
                let started = Instant::now();
                while witness.query("SELECT 1").is_ok() {
                    ensure!(started.elapsed() < LIMIT, "the server has not noticed");
                    thread::sleep(POLL);
                }
                self.primary.wait_restarted()
            }
            Victim::Server => self.crash(),
            Victim::Service => {
                processes::send(self.query(SERVICE)?.parse()?, Signal::KILL)?;
                self.execute(&format!("SELECT injection_points_detach('{point}')"))?;
                self.execute(&format!("SELECT injection_points_wakeup('{point}')"))
            }
        }
    }
}
