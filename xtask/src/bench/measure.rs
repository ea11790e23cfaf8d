//! What is measured: each step on a heap table and on an Iceberg table, in turns.

use super::machine;
use crate::cluster::Connection;
use crate::progress::note;
use crate::tpch::Table;
use crate::wire::Session;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The table access methods compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Heap,
    Iceberg,
}

impl Method {
    pub fn name(self) -> &'static str {
        match self {
            Self::Heap => "heap",
            Self::Iceberg => "iceberg",
        }
    }

    fn table(self) -> String {
        format!("lineitem_{}", self.name())
    }

    /// Both, of which another one goes first in the next repeat.
    pub fn in_turn(repeat: u32) -> [Self; 2] {
        if repeat.is_multiple_of(2) {
            [Self::Heap, Self::Iceberg]
        } else {
            [Self::Iceberg, Self::Heap]
        }
    }
}

/// The steps, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Load,
    Size,
    Memory,
    Sum,
    SelectAll,
    Inserts,
    Sessions,
    /// INSERTs into a table of so many files.
    Grown(Files),
    /// The same, of which each comes after a pause.
    Paused(Files),
}

/// How many data files the grown table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Files(pub u32);

pub const FEW: Files = Files(10);
pub const SOME: Files = Files(1_000);
pub const MANY: Files = Files(10_000);

pub const STEPS: [Step; 12] = [
    Step::Load,
    Step::Size,
    Step::Memory,
    Step::Sum,
    Step::SelectAll,
    Step::Inserts,
    Step::Sessions,
    Step::Grown(FEW),
    Step::Grown(SOME),
    Step::Grown(MANY),
    Step::Paused(FEW),
    Step::Paused(MANY),
];

pub const INSERTS: u32 = 1_000;
pub const SESSIONS: u32 = 16;
pub const INSERTS_A_SESSION: u32 = 50;
pub const GROWN_INSERTS: u32 = 500;
pub const PAUSED_INSERTS: u32 = 10;
/// Files that come with each snapshot of the grown table.
const FILES_A_SNAPSHOT: u32 = 10;
/// Longer than `pg_iceberg_am.publish_interval`.
const PAUSE: Duration = Duration::from_millis(150);

const SUM: &str = "SELECT sum(l_quantity), sum(l_extendedprice), sum(l_discount), sum(l_tax) \
     FROM %TABLE% WHERE l_shipdate >= date '1995-03-01' AND l_shipdate < date '1995-04-01'";

/// Values of one step, one a repeat: seconds, or bytes.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    pub heap: Vec<f64>,
    pub iceberg: Vec<f64>,
}

impl Samples {
    fn push(&mut self, method: Method, value: f64) {
        match method {
            Method::Heap => self.heap.push(value),
            Method::Iceberg => self.iceberg.push(value),
        }
    }
}

static NO_SAMPLES: Samples = Samples {
    heap: Vec::new(),
    iceberg: Vec::new(),
};

/// All samples, by [`STEPS`].
#[derive(Clone, Debug, Default)]
pub struct Measurements {
    samples: [Samples; STEPS.len()],
}

impl Measurements {
    pub fn of(&self, step: Step) -> &Samples {
        let index = STEPS.iter().position(|known| *known == step);
        index.map_or(&NO_SAMPLES, |index| &self.samples[index])
    }

    fn push(&mut self, step: Step, method: Method, value: f64) {
        if let Some(index) = STEPS.iter().position(|known| *known == step) {
            self.samples[index].push(method, value);
        }
    }
}

/// Runs all steps `repeats` times.
pub fn all(connection: &Connection, csv: &Path, repeats: u32) -> Result<Measurements> {
    let mut measured = Measurements::default();
    for repeat in 0..repeats {
        let order = Method::in_turn(repeat);
        for method in order {
            load(connection, csv, method, &mut measured)?;
        }
        agree(connection)?;
        for method in order {
            let seconds = timed_query(connection, &SUM.replace("%TABLE%", &method.table()))?;
            measured.push(Step::Sum, method, seconds);
        }
        for method in order {
            let seconds = timed_query(connection, &format!("SELECT * FROM {}", method.table()))?;
            measured.push(Step::SelectAll, method, seconds);
        }
        for method in order {
            measured.push(Step::Inserts, method, inserts(connection, method, repeat)?);
        }
        for method in order {
            measured.push(
                Step::Sessions,
                method,
                sessions(connection, method, repeat)?,
            );
        }
        note(format!("repeat {} of {repeats} is done", repeat + 1));
    }
    grown(connection, repeats, &mut measured)?;
    Ok(measured)
}

/// COPY by a fresh backend: time and peak memory; then the size.
fn load(
    connection: &Connection,
    csv: &Path,
    method: Method,
    measured: &mut Measurements,
) -> Result<()> {
    let table = method.table();
    warm(csv)?;
    let mut prepare = Session::open(connection)?;
    prepare.query(&format!("DROP TABLE IF EXISTS {table}"))?;
    prepare.query(&format!(
        "CREATE TABLE {table} ({}) USING {}",
        Table::LineItem.columns(),
        method.name()
    ))?;
    prepare.query("CHECKPOINT")?;

    let mut loader = Session::open(connection)?;
    let started = Instant::now();
    loader.query(&format!(
        "COPY {table} FROM '{}' (FORMAT csv)",
        csv.display().to_string().replace('\'', "''")
    ))?;
    measured.push(Step::Load, method, started.elapsed().as_secs_f64());
    let peak = machine::peak_memory(loader.backend())
        .context("cannot read the peak memory of the loading backend")?;
    measured.push(Step::Memory, method, peak as f64);
    drop(loader);

    prepare.query(&format!("VACUUM (ANALYZE) {table}"))?;
    measured.push(Step::Size, method, size(&mut prepare, method)? as f64);
    prepare.query("CHECKPOINT")?;
    Ok(())
}

/// Both tables must hold the same, or the times mean nothing.
fn agree(connection: &Connection) -> Result<()> {
    let mut session = Session::open(connection)?;
    let mut fingerprint = |method: Method| -> Result<Option<String>> {
        let answer = session.query(&format!(
            "SELECT concat_ws(' ', count(*), sum(l_orderkey), sum(l_extendedprice), \
             sum(length(l_comment)), min(l_shipdate)) FROM {}",
            method.table()
        ))?;
        Ok(answer.first)
    };
    let (heap, iceberg) = (fingerprint(Method::Heap)?, fingerprint(Method::Iceberg)?);
    if heap != iceberg {
        bail!("the tables differ: heap {heap:?}, Iceberg {iceberg:?}");
    }
    Ok(())
}

/// Bytes on disk: what PostgreSQL says, or the files in the table's directory where they are more.
fn size(session: &mut Session, method: Method) -> Result<u64> {
    let table = method.table();
    let said = session
        .query(&format!("SELECT pg_total_relation_size('{table}')"))?
        .first
        .and_then(|text| text.parse().ok())
        .context("pg_total_relation_size gives no number")?;
    if method == Method::Heap {
        return Ok(said);
    }
    let location = session
        .query(&format!(
            "SELECT location FROM lakebase.iceberg_tables WHERE relation = '{table}'::regclass"
        ))?
        .first
        .with_context(|| format!("{table} has no location"))?;
    let data_directory = session
        .query("SELECT current_setting('data_directory')")?
        .first
        .context("the server has no data directory")?;
    let path = location.strip_prefix("file://").unwrap_or(&location);
    let directory = PathBuf::from(data_directory).join(path);
    Ok(directory_bytes(&directory)?.max(said))
}

fn directory_bytes(directory: &Path) -> Result<u64> {
    let mut sum = 0;
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", directory.display()))?;
        let meta = entry.metadata()?;
        sum += if meta.is_dir() {
            directory_bytes(&entry.path())?
        } else {
            meta.len()
        };
    }
    Ok(sum)
}

/// Seconds until the last row has come, in a fresh session, by one process.
fn timed_query(connection: &Connection, sql: &str) -> Result<f64> {
    let mut session = Session::open(connection)?;
    session.query("SELECT 1")?;
    let started = Instant::now();
    session.query(sql)?;
    Ok(started.elapsed().as_secs_f64())
}

/// Seconds for [`INSERTS`] transactions of one row each into an empty table.
///
/// The table stays until the cluster goes: some file systems make new files slowly for minutes after
/// many were removed, which would be measured with the next repeat.
fn inserts(connection: &Connection, method: Method, repeat: u32) -> Result<f64> {
    let table = format!("inserts_{}_{repeat}", method.name());
    let mut session = Session::open(connection)?;
    session.query(&format!(
        "CREATE TABLE {table} ({}) USING {}",
        Table::LineItem.columns(),
        method.name()
    ))?;
    session.query("CHECKPOINT")?;
    touch_memory();
    let started = Instant::now();
    for row in 0..INSERTS {
        session.query(&format!(
            "INSERT INTO {table} VALUES ({row}, 155190, 7706, 1, 17, 21168.23, 0.04, 0.02, 'N', 'O', \
             '1996-03-13', '1996-02-12', '1996-03-22', 'DELIVER IN PERSON', 'TRUCK', 'egular courts')"
        ))?;
    }
    let seconds = started.elapsed().as_secs_f64();
    expect_rows(&mut session, &table, INSERTS)?;
    Ok(seconds)
}

/// Seconds until so many sessions have committed so many single-row INSERTs each into one table.
fn sessions(connection: &Connection, method: Method, repeat: u32) -> Result<f64> {
    let table = format!("sessions_{}_{repeat}", method.name());
    let mut session = Session::open(connection)?;
    session.query(&format!(
        "CREATE TABLE {table} ({SMALL_COLUMNS}) USING {}",
        method.name()
    ))?;
    session.query("CHECKPOINT")?;
    let mut opened = (0..SESSIONS)
        .map(|_| {
            let mut session = Session::open(connection)?;
            session.query(&small_insert(&table, 0).replace("INSERT", "EXPLAIN INSERT"))?;
            anyhow::Ok(session)
        })
        .collect::<Result<Vec<_>>>()?;
    touch_memory();
    let started = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = opened
            .iter_mut()
            .map(|session| {
                let table = &table;
                scope.spawn(move || {
                    (0..INSERTS_A_SESSION)
                        .try_for_each(|row| session.query(&small_insert(table, row)).map(drop))
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| bail!("a session's thread panicked"))
        })
    })?;
    let seconds = started.elapsed().as_secs_f64();
    expect_rows(&mut session, &table, SESSIONS * INSERTS_A_SESSION)?;
    Ok(seconds)
}

const SMALL_COLUMNS: &str = "id int, note text, amount float8, at timestamptz";

fn small_insert(table: &str, row: u32) -> String {
    format!("INSERT INTO {table} VALUES ({row}, 'a few words', 1.5, now())")
}

fn expect_rows(session: &mut Session, table: &str, rows: u32) -> Result<()> {
    let counted = session
        .query(&format!("SELECT count(*) FROM {table}"))?
        .first;
    if counted.as_deref() != Some(&rows.to_string()) {
        bail!("{table} holds {counted:?} rows, not {rows}");
    }
    Ok(())
}

/// INSERTs into a table that grows to more and more files and snapshots, and into a heap table.
fn grown(connection: &Connection, repeats: u32, measured: &mut Measurements) -> Result<()> {
    let mut session = Session::open(connection)?;
    for method in [Method::Heap, Method::Iceberg] {
        session.query(&format!(
            "CREATE TABLE grown_{0} ({SMALL_COLUMNS}) USING {0}",
            method.name()
        ))?;
    }
    let mut files = 0;
    for goal in [FEW, SOME, MANY] {
        grow(&mut session, &mut files, goal)?;
        session.query("CHECKPOINT")?;
        for repeat in 0..repeats {
            let order = Method::in_turn(repeat);
            for method in order {
                let table = format!("grown_{}", method.name());
                touch_memory();
                let started = Instant::now();
                for row in 0..GROWN_INSERTS {
                    session.query(&small_insert(&table, row))?;
                }
                let seconds = started.elapsed().as_secs_f64();
                measured.push(Step::Grown(goal), method, seconds);
            }
            if goal != SOME {
                for method in order {
                    let seconds = paused_inserts(&mut session, method)?;
                    measured.push(Step::Paused(goal), method, seconds);
                }
            }
        }
        note(format!("INSERTs at {} files are done", goal.0));
    }
    Ok(())
}

/// Seconds of INSERTs with pauses between them, which do not count.
fn paused_inserts(session: &mut Session, method: Method) -> Result<f64> {
    let table = format!("grown_{}", method.name());
    let mut seconds = 0.0;
    for row in 0..PAUSED_INSERTS {
        std::thread::sleep(PAUSE);
        let started = Instant::now();
        session.query(&small_insert(&table, row))?;
        seconds += started.elapsed().as_secs_f64();
    }
    Ok(seconds)
}

/// Gives the grown Iceberg table files, of rows too many to be committed as rows, and a snapshot for
/// every few of them.
fn grow(session: &mut Session, files: &mut u32, goal: Files) -> Result<()> {
    while *files < goal.0 {
        for _ in 0..FILES_A_SNAPSHOT {
            session.query(
                "INSERT INTO grown_iceberg SELECT g, md5(g::text), 1.5, now() \
                 FROM generate_series(1, 100) g",
            )?;
        }
        session.query("SELECT lakebase.publish('grown_iceberg')")?;
        *files += FILES_A_SNAPSHOT;
    }
    let counted = session
        .query("SELECT file_count FROM lakebase.iceberg_tables WHERE table_name = 'grown_iceberg'")?
        .first
        .and_then(|text| text.parse::<u32>().ok());
    if counted.is_none_or(|counted| counted < goal.0) {
        bail!("the grown table has {counted:?} files, not {}", goal.0);
    }
    Ok(())
}

/// Has the kernel hand out memory and take it back: a virtual machine's host may take microseconds for
/// each page that was not used for a while, which is not what is to be measured.
fn touch_memory() {
    const BYTES: usize = 1 << 30;
    const PAGE: usize = 4096;
    let mut memory = vec![0_u8; BYTES];
    for page in memory.chunks_mut(PAGE) {
        page[0] = 1;
    }
    std::hint::black_box(&memory);
}

/// Brings the file into the page cache, for both methods alike.
fn warm(csv: &Path) -> Result<()> {
    let mut file = fs::File::open(csv).with_context(|| format!("cannot open {}", csv.display()))?;
    std::io::copy(&mut file, &mut std::io::sink())
        .with_context(|| format!("cannot read {}", csv.display()))?;
    Ok(())
}
