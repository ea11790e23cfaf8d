//! Tables in an object store against the same tables on local disk: MinIO behind a link of some latency and bandwidth.

use super::command::{self, SETTINGS};
use super::figures::Goal::{self, AtLeast, AtMost};
use super::figures::{self, Figures, middle, timed};
use super::machine::{self, Machine};
use crate::cache::{Cache, remove_tree};
use crate::checkout;
use crate::cluster::{Cluster, Connection, Settings};
use crate::extension;
use crate::guardian::Guardian;
use crate::installation::Flavour;
use crate::interop;
use crate::process;
use crate::progress::note;
use crate::psql;
use crate::setup;
use crate::stores::{Lake, TABLESPACE};
use crate::tpch::Table;
use crate::wire::Session;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The store.
const NAME: &str = "bench";
/// The link to it.
const LATENCY: Duration = Duration::from_millis(30);
const BYTES_A_SECOND: f64 = 125_000_000.0;

const INSERTS: u32 = 200;
const SESSIONS: usize = 100;
const IDLE: Duration = Duration::from_secs(30);
/// Of a scan of two columns that are not neighbours.
const COLUMNS: [&str; 2] = ["l_extendedprice", "l_discount"];
const SCAN: &str = "SELECT sum(l_extendedprice * l_discount) FROM %TABLE%";

/// Where a table lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Local,
    Store,
}

impl Side {
    fn table(self) -> &'static str {
        match self {
            Self::Local => "lineitem_local",
            Self::Store => "lineitem_store",
        }
    }

    fn tablespace(self) -> &'static str {
        match self {
            Self::Local => "pg_default",
            Self::Store => TABLESPACE,
        }
    }

    fn in_turn(repeat: u32) -> [Self; 2] {
        if repeat.is_multiple_of(2) {
            [Self::Local, Self::Store]
        } else {
            [Self::Store, Self::Local]
        }
    }
}

#[derive(Debug, serde::Serialize)]
struct Report {
    scale_factor: f64,
    repeats: u32,
    machine: Machine,
    postgresql: String,
    latency_seconds: f64,
    bytes_a_second: f64,
    figures: Figures,
}

pub fn run(cache: &Cache, scale_factor: f64, repeats: u32) -> Result<()> {
    let installation = setup::ensure(cache, Flavour::Release)?;
    let library = extension::ensure(cache, &installation)?;
    interop::install_engine(cache, "pyiceberg")?;
    let csv = command::csv(cache, Table::LineItem, scale_factor)?;

    let dir = cache.cluster("bench-objects");
    let _guardian = Guardian::over([
        Lake::directory(cache, NAME),
        Lake::proxy_directory(cache, NAME),
        dir.clone(),
    ])?;
    let lake = Lake::start(cache, NAME)?.behind_proxy(cache, NAME)?;
    let mut cluster = Cluster::at(&dir)?;
    cluster.renew()?;
    cluster.account().make_private_dir(cluster.dir())?;
    let mut extra = lake.access(cluster.account(), cluster.dir())?;
    let others = SETTINGS.into_iter().chain([("max_connections", "150")]);
    extra.extend(others.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let settings = Settings {
        extra,
        ..Settings::default()
    };
    let connection = cluster.start(&installation, &library, &settings)?;
    lake.create_tablespace(&connection)?;
    let milliseconds = LATENCY.as_millis();
    lake.order(&format!(
        "latency {milliseconds}ms\nbandwidth {BYTES_A_SECOND}"
    ))?;
    note(format!("measuring {repeats} repeats; this takes minutes"));
    let bench = Bench {
        cache,
        connection: &connection,
        lake: &lake,
        csv: &csv,
        repeats,
    };
    let figures = bench.all()?;
    cluster.stop()?;
    lake.stop()?;
    let report = Report {
        scale_factor,
        repeats,
        machine: Machine::here(),
        postgresql: installation.version.clone(),
        latency_seconds: LATENCY.as_secs_f64(),
        bytes_a_second: BYTES_A_SECOND,
        figures,
    };
    report.figures.print();
    figures::write(&report, &format!("object-store-sf{scale_factor}.json"))?;
    cluster.renew()?;
    remove_tree(&Lake::directory(cache, NAME))
}

struct Bench<'a> {
    cache: &'a Cache,
    connection: &'a Connection,
    lake: &'a Lake,
    csv: &'a Path,
    repeats: u32,
}

/// What the store was asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    gets: f64,
    requests: f64,
    received: f64,
    /// That had to follow one another.
    trips: f64,
}

impl Bench<'_> {
    fn all(&self) -> Result<Figures> {
        let mut figures = Figures::default();
        self.copy(&mut figures)?;
        self.inserts(&mut figures)?;
        let warm = self.warm(&mut figures)?;
        self.cold(warm, &mut figures)?;
        self.point(&mut figures)?;
        self.sessions(&mut figures)?;
        self.idle(&mut figures)?;
        Ok(figures)
    }

    fn execute(&self, sql: &str) -> Result<()> {
        psql::execute(self.connection, sql)
    }

    fn timed(&self, sql: &str) -> Result<f64> {
        timed(self.connection, sql)
    }

    fn traffic(&self) -> Result<Traffic> {
        let told = self.lake.order("counts\nforget")?;
        let mut traffic = Traffic::default();
        for line in told.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            if let ["trips", trips] = words.as_slice() {
                traffic.trips = trips.parse().context("a count of the proxy's")?;
            }
            let [kind, _, requests, _, _, _, received, ..] = words.as_slice() else {
                continue;
            };
            let requests: f64 = requests.parse().context("a count of the proxy's")?;
            let received: f64 = received.parse().context("a count of the proxy's")?;
            traffic.requests += requests;
            traffic.received += received;
            if *kind == "GET" {
                traffic.gets = requests;
            }
        }
        Ok(traffic)
    }

    /// The service begins with an empty cache.
    fn empty_cache(&self, name: &str) -> Result<()> {
        const RUNNING: &str = "SELECT pid FROM lakebase.storage_service WHERE status = 'running'";
        let before = psql::query(self.connection, RUNNING)?;
        self.execute(&format!(
            "ALTER SYSTEM SET pg_lakebase.cache_directory = 'cache_{name}'"
        ))?;
        self.execute("SELECT pg_reload_conf()")?;
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let now = psql::query(self.connection, RUNNING)?;
            if !now.is_empty() && now != before {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the service has not begun anew");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn copy(&self, figures: &mut Figures) -> Result<()> {
        let mut times = Times::default();
        let mut bytes = 0.0;
        for repeat in 0..self.repeats {
            for side in Side::in_turn(repeat) {
                let (table, tablespace) = (side.table(), side.tablespace());
                self.execute(&format!("DROP TABLE IF EXISTS {table}"))?;
                self.execute(&format!(
                    "CREATE TABLE {table} ({}) USING iceberg TABLESPACE {tablespace}",
                    Table::LineItem.columns()
                ))?;
                self.execute("CHECKPOINT")?;
                let csv = self.csv.display().to_string().replace('\'', "''");
                let seconds = self.timed(&format!("COPY {table} FROM '{csv}' (FORMAT csv)"))?;
                times.push(side, seconds);
            }
            bytes = psql::query(
                self.connection,
                "SELECT sum(file_size_in_bytes) FROM lakebase.iceberg_files('lineitem_store')",
            )?
            .parse()
            .context("a size")?;
        }
        let (local, store) = times.medians()?;
        let link = bytes / BYTES_A_SECOND;
        note(format!(
            "COPY: local {local:.2} s, store {store:.2} s, {:.0} MB need {link:.2} s of the link",
            bytes / 1e6
        ));
        figures.push(
            "COPY, speed to the slower of local and link",
            local.max(link) / store,
            "",
            AtLeast(0.9),
        );
        Ok(())
    }

    fn inserts(&self, figures: &mut Figures) -> Result<()> {
        let mut times = Times::default();
        for side in [Side::Local, Side::Store] {
            self.execute(&format!(
                "CREATE TABLE small_{0} (id int, note text) USING iceberg TABLESPACE {0}; INSERT INTO small_{0} VALUES (0, '')",
                side.tablespace()
            ))?;
        }
        // Short turns, and many: whatever else the machine does meets both sides.
        for repeat in 0..10 * self.repeats {
            for side in Side::in_turn(repeat) {
                let mut session = Session::open(self.connection)?;
                let started = Instant::now();
                for row in 0..INSERTS {
                    session.query(&format!(
                        "INSERT INTO small_{} VALUES ({row}, 'a few words')",
                        side.tablespace()
                    ))?;
                }
                let seconds = started.elapsed().as_secs_f64();
                times.push(side, seconds);
            }
        }
        let (local, store) = times.medians()?;
        figures.push(
            "INSERT of a row, time to local",
            store / local,
            "",
            AtMost(1.2),
        );
        Ok(())
    }

    /// Returns the seconds of the scan in the store.
    fn warm(&self, figures: &mut Figures) -> Result<f64> {
        let mut times = Times::default();
        for side in [Side::Local, Side::Store] {
            self.timed(&SCAN.replace("%TABLE%", side.table()))?;
        }
        self.settle()?;
        self.traffic()?;
        for repeat in 0..3 * self.repeats {
            for side in Side::in_turn(repeat) {
                let seconds = self.timed(&SCAN.replace("%TABLE%", side.table()))?;
                times.push(side, seconds);
            }
        }
        let requests = self.traffic()?.requests;
        let (local, store) = times.medians()?;
        note(format!("warm scan: local {local:.2} s, store {store:.2} s"));
        figures.push(
            "warm scan, speed to local",
            local / store,
            "",
            AtLeast(0.95),
        );
        figures.push("warm scan, requests", requests, "", AtMost(0.0));
        Ok(store)
    }

    fn cold(&self, warm: f64, figures: &mut Figures) -> Result<()> {
        let (chunks, footers) = self.projected()?;
        let files: f64 = psql::query(
            self.connection,
            "SELECT count(*) FROM lakebase.iceberg_files('lineitem_store')",
        )?
        .parse()
        .context("a count")?;
        let mut seconds = Vec::new();
        let mut traffic = Traffic::default();
        for repeat in 0..self.repeats {
            self.empty_cache(&format!("scan_{repeat}"))?;
            self.traffic()?;
            seconds.push(self.timed(&SCAN.replace("%TABLE%", Side::Store.table()))?);
            traffic = self.traffic()?;
        }
        let seconds = middle(&seconds)?;
        note(format!(
            "cold scan: {seconds:.2} s; {:.1} MB of columns and {:.0} kB of footers in {files} files, {:.1} MB by {} GETs",
            chunks / 1e6,
            footers / 1e3,
            traffic.received / 1e6,
            traffic.gets
        ));
        figures.push(
            "cold scan, bytes to those of the columns",
            traffic.received / (chunks + footers),
            "",
            AtMost(1.1),
        );
        figures.push(
            "cold scan, part of the link",
            traffic.received / seconds / BYTES_A_SECOND,
            "",
            AtLeast(0.8),
        );
        figures.push("cold scan, time to warm", seconds / warm, "", Goal::None);
        figures.push("cold scan, requests", traffic.requests, "", Goal::None);
        Ok(())
    }

    /// Bytes of the columns that the scan reads, and of footers, in the local table, which has the same files.
    fn projected(&self) -> Result<(f64, f64)> {
        let files = psql::query(
            self.connection,
            "SELECT string_agg(file_path, ' ') FROM lakebase.iceberg_files('lineitem_local')",
        )?;
        let mut command = Command::new(self.cache.venv().join("bin/python"));
        command
            .arg(checkout::root().join("xtask/interop/projected_bytes.py"))
            .arg(COLUMNS.join(","))
            .args(
                files
                    .split(' ')
                    .map(|path| path.trim_start_matches("file://")),
            );
        let told = process::output(&mut command)?;
        let mut numbers = told.split_whitespace().map(str::parse::<f64>);
        let mut next = || numbers.next().and_then(Result::ok).context("two numbers");
        Ok((next()?, next()?))
    }

    /// A row by a column that the table is sorted by.
    fn point(&self, figures: &mut Figures) -> Result<()> {
        let mut seconds = Vec::new();
        let mut traffic = Traffic::default();
        for repeat in 0..self.repeats {
            self.empty_cache(&format!("point_{repeat}"))?;
            self.traffic()?;
            let sql = format!(
                "SELECT * FROM {} WHERE l_orderkey = 1000000",
                Side::Store.table()
            );
            seconds.push(self.timed(&sql)?);
            traffic = self.traffic()?;
        }
        let milliseconds = middle(&seconds)? * 1000.0;
        figures.push("cold point query, time", milliseconds, "ms", Goal::None);
        figures.push(
            "cold point query, round trips",
            traffic.trips,
            "",
            AtMost(5.0),
        );
        figures.push(
            "cold point query, requests",
            traffic.requests,
            "",
            Goal::None,
        );
        Ok(())
    }

    /// Many sessions that read and write at once.
    fn sessions(&self, figures: &mut Figures) -> Result<()> {
        self.empty_cache("sessions")?;
        let peak = std::thread::scope(|scope| -> Result<u64> {
            let sessions: Vec<_> = (0..SESSIONS)
                .map(|number| scope.spawn(move || self.session(number)))
                .collect();
            for session in sessions {
                (session.join()).map_err(|_| anyhow::anyhow!("a session's thread panicked"))??;
            }
            let pid: i32 =
                psql::query(self.connection, "SELECT pid FROM lakebase.storage_service")?
                    .parse()
                    .context("a process id")?;
            machine::peak_memory(pid).context("cannot read the memory of the service")
        })?;
        figures.push(
            "service, peak memory with 100 sessions",
            peak as f64 / f64::from(1 << 20),
            "MB",
            AtMost(512.0),
        );
        Ok(())
    }

    fn session(&self, number: usize) -> Result<()> {
        let mut session = Session::open(self.connection)?;
        for query in 0..5 {
            let key = (number * 5 + query) * 10_000 + 1;
            session.query(&format!(
                "SELECT sum(l_quantity), max(l_comment) FROM {} WHERE l_orderkey BETWEEN {key} AND {key} + 20000",
                Side::Store.table()
            ))?;
            session.query(&format!(
                "INSERT INTO small_lake SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g, (SELECT {query}) q"
            ))?;
        }
        Ok(())
    }

    fn idle(&self, figures: &mut Figures) -> Result<()> {
        self.settle()?;
        self.traffic()?;
        std::thread::sleep(IDLE);
        figures.push(
            "requests in 30 s in which nothing happens",
            self.traffic()?.requests,
            "",
            AtMost(0.0),
        );
        Ok(())
    }

    /// Waits until the publisher has nothing to do.
    fn settle(&self) -> Result<()> {
        for table in ["lineitem_store", "small_lake"] {
            self.execute(&format!("SELECT lakebase.publish('{table}')"))?;
        }
        let mut quiet = 0;
        let deadline = Instant::now() + Duration::from_secs(120);
        while quiet < 12 {
            ensure!(Instant::now() < deadline, "the store is never left alone");
            self.traffic()?;
            std::thread::sleep(Duration::from_secs(1));
            quiet = if self.traffic()?.requests == 0.0 {
                quiet + 1
            } else {
                0
            };
        }
        Ok(())
    }
}

/// Seconds of both sides.
#[derive(Debug, Default)]
struct Times {
    local: Vec<f64>,
    store: Vec<f64>,
}

impl Times {
    fn push(&mut self, side: Side, seconds: f64) {
        match side {
            Side::Local => self.local.push(seconds),
            Side::Store => self.store.push(seconds),
        }
    }

    fn medians(&self) -> Result<(f64, f64)> {
        Ok((middle(&self.local)?, middle(&self.store)?))
    }
}
