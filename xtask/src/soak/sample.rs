//! What is measured while the work is held.

use super::gate::Gate;
use super::other_engines::ReadByOthers;
use super::processes::{Processes, Used};
use super::readers::Read;
use super::run::Servers;
use super::tables::{EVENTS, HEAP, OnDisk, TABLES, size};
use super::writers::{Written, insert, open};
use crate::bench::median;
use crate::crash::ServerLog;
use crate::stores::Lake;
use crate::wire::{Row, Session};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// INSERTs of which the median counts, into the Iceberg table and into the heap table in turn.
const INSERTS: u64 = 100;
/// What the writers' last work still has the workers do is over by then.
const SETTLE: Duration = Duration::from_millis(500);
/// Ids of the rows that are inserted here.
const FIRST_ID: u64 = 1 << 50;
/// What a server says of a lock that somebody has waited for as long as `deadlock_timeout`.
const STILL_WAITING: &str = " still waiting for ";

#[derive(Clone, Copy, Debug, Default)]
pub struct TableSample {
    pub rows: f64,
    pub bytes: f64,
    /// Of the current snapshot.
    pub data_files: f64,
    pub manifests: f64,
    pub snapshots: f64,
    /// Seconds since the current snapshot was made.
    pub age: f64,
    /// Size of the metadata file.
    pub metadata_file_bytes: f64,
    pub data_files_on_disk: f64,
    /// Metadata files, manifest lists and manifests.
    pub metadata_files_on_disk: f64,
    pub metadata_bytes_on_disk: f64,
}

/// Of the storage service and of what it does.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreSample {
    /// All in the bucket.
    pub objects: f64,
    /// Requests to the store, a minute of work, since the sample before.
    pub requests: f64,
    pub cached_files: f64,
    pub cached_bytes: f64,
    pub cache_capacity: f64,
    /// The service's memory, in bytes.
    pub memory: f64,
    pub descriptors: f64,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    pub minutes: f64,
    pub tables: [TableSample; TABLES.len()],
    /// Of the catalog's tables, with their indexes.
    pub inline_commits: f64,
    pub inline_commit_bytes: f64,
    pub pointer_bytes: f64,
    pub garbage: f64,
    /// Seconds since the transaction of the oldest snapshot began.
    pub oldest_snapshot: f64,
    /// Small transactions a second since the sample before.
    pub rate: f64,
    /// Medians in milliseconds.
    pub insert_ms: f64,
    pub heap_insert_ms: f64,
    /// The first INSERT after a pause, which gives the table its next metadata file.
    pub first_insert_ms: f64,
    /// Since the sample before, in milliseconds.
    pub longest_ms: f64,
    pub longest_heap_ms: f64,
    /// Waits for locks of a second and more, since the beginning.
    pub lock_waits: f64,
    pub used: Used,
    pub snapshots_held: f64,
    pub standby_reads: f64,
    pub standby_cancelled: f64,
    pub standby_lag_bytes: f64,
    pub read_by_others: f64,
    pub overtaken: f64,
    /// `None` if the tables are on local disk.
    pub store: Option<StoreSample>,
}

/// What everybody has counted.
#[derive(Debug, Default)]
pub struct Counters {
    pub written: Written,
    pub read: Read,
    pub others: ReadByOthers,
    pub processes: Processes,
}

pub struct Sampler<'a> {
    session: Session,
    lake: Option<&'a Lake>,
    log: ServerLog,
    gate: &'a Gate,
    counters: &'a Counters,
    started: Instant,
    /// When the present stretch of work began.
    resumed: Instant,
    transactions: u64,
    requests: f64,
    lock_waits: u64,
    id: u64,
}

impl<'a> Sampler<'a> {
    pub fn new(
        servers: &'a Servers,
        log: ServerLog,
        gate: &'a Gate,
        counters: &'a Counters,
    ) -> Result<Self> {
        Ok(Self {
            session: open(&servers.connection, "soak-sampler")?,
            lake: servers.lake.as_ref(),
            log,
            gate,
            counters,
            started: Instant::now(),
            resumed: Instant::now(),
            transactions: 0,
            requests: 0.0,
            lock_waits: 0,
            id: FIRST_ID,
        })
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Holds the work and measures.
    pub fn take(&mut self) -> Result<Sample> {
        let quiet = self.gate.quiet();
        let Counters {
            written,
            read,
            others,
            processes,
        } = self.counters;
        let transactions = written.transactions.load(Ordering::Relaxed);
        let worked = self.resumed.elapsed().as_secs_f64();
        let mut sample = Sample {
            minutes: self.started.elapsed().as_secs_f64() / 60.0,
            rate: (transactions - self.transactions) as f64 / worked.max(0.001),
            longest_ms: milliseconds(&written.longest),
            longest_heap_ms: milliseconds(&written.longest_heap),
            used: processes.used(),
            snapshots_held: number(&read.snapshots_held),
            standby_reads: number(&read.on_standby),
            standby_cancelled: number(&read.cancelled),
            read_by_others: number(&others.files),
            overtaken: number(&others.overtaken),
            ..Sample::default()
        };
        self.look_at_catalog(&mut sample)?;
        for (index, table) in TABLES.iter().enumerate() {
            let manifests = others.manifests.get(index).map_or(0.0, number);
            if let Some(place) = sample.tables.get_mut(index) {
                *place = TableSample {
                    manifests,
                    ..look_at_table(&mut self.session, table, self.lake)?
                };
            }
        }
        if let Some(lake) = self.lake {
            sample.store = Some(self.look_at_store(lake, worked)?);
        }
        std::thread::sleep(SETTLE);
        self.measure_inserts(&mut sample)?;
        let lock_waits = &mut self.lock_waits;
        self.log.read_on(|line| {
            *lock_waits += u64::from(line.contains(STILL_WAITING));
        })?;
        sample.lock_waits = self.lock_waits as f64;
        self.transactions = transactions;
        self.resumed = Instant::now();
        drop(quiet);
        Ok(sample)
    }

    fn look_at_catalog(&mut self, sample: &mut Sample) -> Result<()> {
        let (_, rows) = self.session.query_rows(
            "SELECT (SELECT count(*) FROM lakebase.inline_commit), \
             pg_total_relation_size('lakebase.inline_commit'), \
             pg_total_relation_size('lakebase.iceberg_pointer'), \
             (SELECT count(*) FROM lakebase.garbage), \
             (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0) \
              FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()), \
             (SELECT coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), 0) \
              FROM pg_stat_replication)",
        )?;
        let mut values = numbers(&rows);
        for place in [
            &mut sample.inline_commits,
            &mut sample.inline_commit_bytes,
            &mut sample.pointer_bytes,
            &mut sample.garbage,
            &mut sample.oldest_snapshot,
            &mut sample.standby_lag_bytes,
        ] {
            *place = values.next().context("the catalog's numbers are missing")?;
        }
        Ok(())
    }

    fn look_at_store(&mut self, lake: &Lake, worked: f64) -> Result<StoreSample> {
        let (_, rows) = self.session.query_rows(
            "SELECT (SELECT sum(requests) FROM lakebase.stores), files, bytes, capacity, pid \
             FROM lakebase.cache, lakebase.storage_service",
        )?;
        let mut values = numbers(&rows);
        let mut next = || values.next().context("the storage service tells nothing");
        let requests = next()?;
        let (cached_files, cached_bytes, cache_capacity) = (next()?, next()?, next()?);
        let process = Path::new("/proc").join(next()?.to_string());
        // A service that was started again counts from the beginning.
        let new = requests - self.requests;
        self.requests = requests;
        Ok(StoreSample {
            objects: lake.objects()?.len() as f64,
            requests: if new < 0.0 { requests } else { new } * 60.0 / worked.max(0.001),
            cached_files,
            cached_bytes,
            cache_capacity,
            memory: resident_bytes(&process)?,
            descriptors: fs::read_dir(process.join("fd"))?.count() as f64,
        })
    }

    fn measure_inserts(&mut self, sample: &mut Sample) -> Result<()> {
        let events = TABLES[EVENTS];
        sample.first_insert_ms = self.timed_insert(events)?;
        let (mut iceberg, mut heap) = (Vec::new(), Vec::new());
        for _ in 0..INSERTS {
            iceberg.push(self.timed_insert(events)?);
            heap.push(self.timed_insert(HEAP)?);
        }
        self.counters.written.add_rows(EVENTS, 2 * (INSERTS + 1));
        sample.insert_ms = median(&iceberg).context("no INSERT was measured")?;
        sample.heap_insert_ms = median(&heap).context("no INSERT was measured")?;
        Ok(())
    }

    fn timed_insert(&mut self, table: &str) -> Result<f64> {
        self.id += 1;
        let statement = insert(table, self.id);
        let started = Instant::now();
        self.session.query(&statement)?;
        Ok(started.elapsed().as_secs_f64() * 1000.0)
    }
}

/// See `proc(5)`.
fn resident_bytes(process: &Path) -> Result<f64> {
    let status = fs::read_to_string(process.join("status"))?;
    let kilobytes = (status.lines())
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .context("no memory is told")?;
    Ok(kilobytes.parse::<f64>()? * 1024.0)
}

fn look_at_table(session: &mut Session, table: &str, lake: Option<&Lake>) -> Result<TableSample> {
    let on_disk = |place: &str| match lake {
        Some(lake) => lake.path_of(place),
        None => Ok(PathBuf::from(place)),
    };
    let (_, rows) = session.query_rows(&format!(
        "SELECT location, metadata_location, row_count, total_bytes, file_count, \
         snapshots, age \
         FROM lakebase.iceberg_tables, \
         (SELECT count(*) AS snapshots, extract(epoch FROM clock_timestamp() - max(committed_at)) AS age \
          FROM lakebase.iceberg_snapshots('{table}')) of_it \
         WHERE relation = '{table}'::regclass"
    ))?;
    let row = rows
        .first()
        .with_context(|| format!("{table} is not in lakebase.iceberg_tables"))?;
    let location = row.first().cloned().flatten().context("no location")?;
    let metadata_file_bytes = match row.get(1).cloned().flatten() {
        Some(path) => size(&on_disk(&path)?)?,
        None => 0,
    };
    let on_disk = OnDisk::look(&on_disk(&location)?)?;
    let mut values = row.iter().skip(2).map(|value| as_number(value.as_deref()));
    let mut next = || values.next().context("a table's numbers are missing");
    Ok(TableSample {
        rows: next()?,
        bytes: next()?,
        data_files: next()?,
        snapshots: next()?,
        age: next()?,
        manifests: 0.0,
        metadata_file_bytes: metadata_file_bytes as f64,
        data_files_on_disk: on_disk.data_files as f64,
        metadata_files_on_disk: on_disk.metadata_files as f64,
        metadata_bytes_on_disk: on_disk.metadata_bytes as f64,
    })
}

fn numbers(rows: &[Row]) -> impl Iterator<Item = f64> {
    rows.iter()
        .flatten()
        .map(|value| as_number(value.as_deref()))
}

fn as_number(value: Option<&str>) -> f64 {
    value.and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

fn number(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}

/// What a counter of microseconds has, which begins anew.
fn milliseconds(counter: &AtomicU64) -> f64 {
    counter.swap(0, Ordering::Relaxed) as f64 / 1000.0
}
