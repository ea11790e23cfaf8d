//! UPDATE, DELETE and MERGE of Iceberg tables against heap tables.

use super::command::{self, SETTINGS};
use super::figures::Goal::{self, AtLeast, AtMost};
use super::figures::{self, Figures, middle, timed};
use super::machine::Machine;
use super::measure::Method;
use crate::cache::Cache;
use crate::cluster::{Cluster, Connection, Settings};
use crate::extension;
use crate::guardian::Guardian;
use crate::installation::Flavour;
use crate::progress::note;
use crate::psql;
use crate::random::Random;
use crate::setup;
use crate::tpch::Table;
use crate::wire::Session;
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Rows of the table of small updates.
const ROWS: u32 = 1_000_000;
const SESSIONS: u32 = 16;
/// Small updates of which files are left.
const SMALL_UPDATES: u32 = 10_000;

#[derive(Debug, serde::Serialize)]
struct Report {
    scale_factor: f64,
    repeats: u32,
    seconds: u64,
    machine: Machine,
    postgresql: String,
    figures: Figures,
}

pub fn run(cache: &Cache, scale_factor: f64, repeats: u32, seconds: Duration) -> Result<()> {
    let installation = setup::ensure(cache, Flavour::Release)?;
    let library = extension::ensure(cache, &installation)?;
    let dir = cache.cluster("bench-dml");
    let _guardian = Guardian::over([dir.clone()])?;
    let mut cluster = Cluster::at(&dir)?;
    cluster.renew()?;
    let settings = Settings {
        extra: SETTINGS
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..Settings::default()
    };
    let connection = cluster.start(&installation, &library, &settings)?;
    for table in [Table::LineItem, Table::Orders] {
        let csv = command::csv(cache, table, scale_factor)?;
        load(&connection, table, &csv)?;
    }
    note(format!("measuring {repeats} repeats; this takes minutes"));
    let bench = Bench {
        connection: &connection,
        repeats,
        seconds,
    };
    let figures = bench.all();
    cluster.stop()?;
    let report = Report {
        scale_factor,
        repeats,
        seconds: seconds.as_secs(),
        machine: Machine::here(),
        postgresql: installation.version.clone(),
        figures: figures?,
    };
    report.figures.print();
    figures::write(&report, &format!("dml-sf{scale_factor}.json"))?;
    cluster.renew()
}

/// A heap table that the others are copies of.
fn load(connection: &Connection, table: Table, csv: &Path) -> Result<()> {
    let name = table.name();
    psql::execute(
        connection,
        &format!("CREATE TABLE {name} ({})", table.columns()),
    )?;
    let csv = csv.display().to_string().replace('\'', "''");
    psql::execute(
        connection,
        &format!("COPY {name} FROM '{csv}' (FORMAT csv)"),
    )
}

/// Seconds, one a repeat.
#[derive(Default)]
struct Times {
    heap: Vec<f64>,
    iceberg: Vec<f64>,
}

impl Times {
    fn push(&mut self, method: Method, seconds: f64) {
        match method {
            Method::Heap => self.heap.push(seconds),
            Method::Iceberg => self.iceberg.push(seconds),
        }
    }

    /// What Iceberg takes, in units of what heap takes.
    fn ratio(&self, name: &str) -> Result<f64> {
        let (heap, iceberg) = (middle(&self.heap)?, middle(&self.iceberg)?);
        note(format!("{name}: heap {heap:.2} s, Iceberg {iceberg:.2} s"));
        Ok(iceberg / heap)
    }
}

struct Bench<'a> {
    connection: &'a Connection,
    repeats: u32,
    seconds: Duration,
}

impl Bench<'_> {
    fn all(&self) -> Result<Figures> {
        let mut figures = Figures::default();
        self.bulk(&mut figures)?;
        self.merge(&mut figures)?;
        self.scan(&mut figures)?;
        self.small_updates(&mut figures)?;
        self.files(&mut figures)?;
        Ok(figures)
    }

    fn execute(&self, sql: &str) -> Result<()> {
        psql::execute(self.connection, sql)
    }

    fn timed(&self, sql: &str) -> Result<f64> {
        timed(self.connection, sql)
    }

    /// A copy of a table, all of it on disk; returns its name.
    fn copy(&self, table: &str, method: Method) -> Result<String> {
        let copy = format!("{table}_{}", method.name());
        self.execute(&format!("DROP TABLE IF EXISTS {copy}"))?;
        self.execute(&format!(
            "CREATE TABLE {copy} USING {} AS TABLE {table}",
            method.name()
        ))?;
        self.execute(&format!("VACUUM (ANALYZE) {copy}"))?;
        self.execute("CHECKPOINT")?;
        Ok(copy)
    }

    /// Both tables must hold the same, or the times mean nothing.
    fn agree(&self, table: &str, fingerprint: &str) -> Result<()> {
        let of = |method: Method| {
            let sql = format!("SELECT {fingerprint} FROM {table}_{}", method.name());
            psql::query(self.connection, &sql)
        };
        let (heap, iceberg) = (of(Method::Heap)?, of(Method::Iceberg)?);
        ensure!(
            heap == iceberg,
            "the tables differ: heap {heap}, Iceberg {iceberg}"
        );
        Ok(())
    }

    /// 10 % of lineitem, by a predicate whose rows are everywhere.
    fn bulk(&self, figures: &mut Figures) -> Result<()> {
        const FINGERPRINT: &str = "concat_ws(' ', count(*), sum(l_orderkey), sum(l_tax))";
        let mut deletes = Times::default();
        let mut updates = Times::default();
        for repeat in 0..self.repeats {
            for method in Method::in_turn(repeat) {
                let table = self.copy("lineitem", method)?;
                let sql = format!("DELETE FROM {table} WHERE l_partkey % 10 = 1");
                deletes.push(method, self.timed(&sql)?);
                self.settle(&table, method)?;
                let sql =
                    format!("UPDATE {table} SET l_tax = l_tax + 0.01 WHERE l_partkey % 10 = 2");
                updates.push(method, self.timed(&sql)?);
            }
            self.agree("lineitem", FINGERPRINT)?;
        }
        let ratio = deletes.ratio("DELETE of 10 %")?;
        figures.push(
            "DELETE of 10 % of lineitem, time to heap",
            ratio,
            "",
            AtMost(1.0),
        );
        let ratio = updates.ratio("UPDATE of 10 %")?;
        figures.push(
            "UPDATE of 10 % of lineitem, time to heap",
            ratio,
            "",
            AtMost(1.2),
        );
        Ok(())
    }

    fn settle(&self, table: &str, method: Method) -> Result<()> {
        if method == Method::Iceberg {
            self.execute(&format!("SELECT lakebase.publish('{table}')"))?;
        }
        self.execute("CHECKPOINT")
    }

    /// 1 % new and 1 % changed orders.
    fn merge(&self, figures: &mut Figures) -> Result<()> {
        const FINGERPRINT: &str = "concat_ws(' ', count(*), sum(o_orderkey), sum(o_totalprice))";
        self.execute(
            "CREATE TABLE news AS \
             SELECT o_orderkey, o_custkey, o_orderstatus, o_totalprice + 1 AS o_totalprice, o_orderdate, \
                 o_orderpriority, o_clerk, o_shippriority, o_comment FROM orders WHERE o_custkey % 100 = 1 \
             UNION ALL \
             SELECT -o_orderkey, o_custkey, o_orderstatus, o_totalprice, o_orderdate, o_orderpriority, o_clerk, \
                 o_shippriority, o_comment FROM orders WHERE o_custkey % 100 = 2; \
             ANALYZE news",
        )?;
        let mut times = Times::default();
        for repeat in 0..self.repeats {
            for method in Method::in_turn(repeat) {
                let table = self.copy("orders", method)?;
                let sql = format!(
                    "MERGE INTO {table} t USING news n ON t.o_orderkey = n.o_orderkey \
                     WHEN MATCHED THEN UPDATE SET o_totalprice = n.o_totalprice \
                     WHEN NOT MATCHED THEN INSERT VALUES (n.o_orderkey, n.o_custkey, n.o_orderstatus, n.o_totalprice, \
                         n.o_orderdate, n.o_orderpriority, n.o_clerk, n.o_shippriority, n.o_comment)"
                );
                times.push(method, self.timed(&sql)?);
            }
            self.agree("orders", FINGERPRINT)?;
        }
        let ratio = times.ratio("MERGE of 1 % and 1 %")?;
        figures.push(
            "MERGE of 1 % and 1 % of orders, time to heap",
            ratio,
            "",
            AtMost(1.5),
        );
        Ok(())
    }

    /// What deletes cost those who read.
    fn scan(&self, figures: &mut Figures) -> Result<()> {
        let scan = "SELECT sum(l_extendedprice * l_discount) FROM lineitem_iceberg";
        self.copy("lineitem", Method::Iceberg)?;
        let repeated = || -> Result<f64> {
            self.timed(scan)?;
            let times = (0..2 * self.repeats + 1).map(|_| self.timed(scan));
            middle(&times.collect::<Result<Vec<_>>>()?)
        };
        let before = repeated()?;
        self.execute("DELETE FROM lineitem_iceberg WHERE l_partkey % 100 = 3")?;
        self.settle("lineitem_iceberg", Method::Iceberg)?;
        let after = repeated()?;
        note(format!(
            "scan: {before:.3} s, with 1 % deleted {after:.3} s"
        ));
        figures.push(
            "scan of lineitem with 1 % deleted, time to none",
            after / before,
            "",
            AtMost(1.1),
        );
        Ok(())
    }

    /// Updates of single rows by a column that the table is sorted by.
    fn small_updates(&self, figures: &mut Figures) -> Result<()> {
        for (table, method) in [
            ("small_iceberg", "iceberg"),
            ("small_heap", "heap"),
            ("small_keyed", "heap"),
        ] {
            self.execute(&format!(
                "CREATE TABLE {table} USING {method} AS \
                 SELECT g AS id, md5(g::text) AS note, 0 AS value FROM generate_series(1, {ROWS}) g"
            ))?;
        }
        self.execute("ALTER TABLE small_keyed ADD PRIMARY KEY (id)")?;
        for table in ["small_iceberg", "small_heap", "small_keyed"] {
            self.execute(&format!("VACUUM (ANALYZE) {table}"))?;
        }
        self.execute("CHECKPOINT")?;
        let heap = self.updates_a_second("small_heap", SESSIONS)?;
        let keyed = self.updates_a_second("small_keyed", SESSIONS)?;
        let alone = self.updates_a_second("small_iceberg", 1)?;
        let together = self.updates_a_second("small_iceberg", SESSIONS)?;
        note(format!(
            "updates a second: heap {heap:.0}, with a key {keyed:.0}; Iceberg {together:.0}, of one session {alone:.0}"
        ));
        for (name, value, goal) in [
            (
                "updates a second of 16, to heap without a key",
                together / heap,
                AtLeast(5.0),
            ),
            (
                "updates a second of 16, to heap with a key",
                together / keyed,
                AtLeast(0.2),
            ),
            (
                "updates a second of 16, to one session's",
                together / alone,
                AtLeast(1.0),
            ),
            ("updates a second of 16", together, Goal::None),
        ] {
            figures.push(name, value, "", goal);
        }
        Ok(())
    }

    fn updates_a_second(&self, table: &str, sessions: u32) -> Result<f64> {
        let is_over = AtomicBool::new(false);
        let began = Instant::now();
        let done = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..sessions)
                .map(|number| {
                    let is_over = &is_over;
                    scope.spawn(move || {
                        let mut session = Session::open(self.connection)?;
                        let mut random = Random::for_part(1, &[number.into()]);
                        let mut done = 0_u32;
                        while !is_over.load(Ordering::Relaxed) {
                            // No two sessions update the same row.
                            let row = random.between(0, u64::from(ROWS / sessions) - 1) as u32;
                            let id = row * sessions + number + 1;
                            session.query(&format!(
                                "UPDATE {table} SET value = value + 1 WHERE id = {id}"
                            ))?;
                            done += 1;
                        }
                        anyhow::Ok(done)
                    })
                })
                .collect();
            std::thread::sleep(self.seconds);
            is_over.store(true, Ordering::Relaxed);
            threads.into_iter().try_fold(0, |sum, thread| {
                let done = thread
                    .join()
                    .unwrap_or_else(|_| bail!("a session's thread panicked"));
                anyhow::Ok(sum + done?)
            })
        })?;
        let seconds = began.elapsed().as_secs_f64();
        let sum = psql::query(self.connection, &format!("SELECT sum(value) FROM {table}"))?;
        note(format!(
            "{table}: {done} updates by {sessions} in {seconds:.1} s, {sum} in all"
        ));
        Ok(f64::from(done) / seconds)
    }

    /// What many small updates leave.
    fn files(&self, figures: &mut Figures) -> Result<()> {
        const SCAN: &str = "SELECT sum(value), max(note) FROM";
        self.execute(&format!(
            "CREATE TABLE many USING iceberg AS \
             SELECT g AS id, md5(g::text) AS note, 0 AS value FROM generate_series(1, {ROWS}) g"
        ))?;
        let mut session = Session::open(self.connection)?;
        let mut random = Random::for_part(1, &[]);
        for _ in 0..SMALL_UPDATES {
            let id = random.between(1, ROWS.into());
            session.query(&format!(
                "UPDATE many SET value = value + 1 WHERE id = {id}"
            ))?;
        }
        self.execute("SELECT lakebase.publish('many')")?;
        self.execute("VACUUM many")?;
        self.execute("SELECT lakebase.publish('many')")?;
        self.execute("CREATE TABLE fresh USING iceberg AS TABLE many")?;
        let files = psql::query(
            self.connection,
            "SELECT file_count FROM lakebase.iceberg_tables WHERE relation = 'many'::regclass",
        )?;
        let files: f64 = files.parse().context("a count of files")?;
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..2 * self.repeats + 1 {
            for (table, times) in ["many", "fresh"].into_iter().zip(&mut times) {
                times.push(self.timed(&format!("{SCAN} {table}"))?);
            }
        }
        let ratio = middle(&times[0])? / middle(&times[1])?;
        figures.push("files after 10,000 small updates", files, "", AtMost(20.0));
        figures.push(
            "scan after 10,000 small updates, time to fresh",
            ratio,
            "",
            AtMost(1.1),
        );
        Ok(())
    }
}
