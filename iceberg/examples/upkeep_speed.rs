//! What commits cost while history is thinned and small files are merged, from the first to the last.
//!
//! `cargo run --release --example upkeep_speed [COMMITS [MILLISECONDS]]` makes COMMITS commits (100,000) of a small file
//! each, so many MILLISECONDS (100) apart, with files in memory. Every commit thins history and deletes what
//! nothing needs any more; every twentieth is followed by a compaction, if one is due. Data files are entries of
//! manifests alone. Last, it drops a hundred snapshots of a table of ten thousand files.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use iceberg_lite::commit::{
    HeldSnapshots, History, NewMetadata, Retention, SnapshotDelta, complete_and_update,
    plan_expiry, stage, unreachable_files,
};
use iceberg_lite::compaction::{Compaction, CompactionRules, plan_compaction};
use iceberg_lite::io::{FileIo, InputFile, OutputFile};
use iceberg_lite::manifest::{DataFile, ManifestCache, snapshot_manifests};
use iceberg_lite::scan::plan_files;
use iceberg_lite::spec::{
    FormatVersion, NestedField, PartitionSpec, PrimitiveType, Schema, TableMetadata,
};
use uuid::Uuid;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const COLUMNS: i32 = 20;
const ROW_BYTES: i64 = 100;
const FOOTER_BYTES: i64 = 2_000;

/// Files in memory, with a cache of manifests; counts what is read and written.
struct MemoryIo {
    files: Rc<RefCell<HashMap<String, Arc<[u8]>>>>,
    cache: RefCell<Rc<ManifestCache>>,
    opened: Cell<u64>,
    bytes: Rc<Cell<u64>>,
}

struct Input(String, Arc<[u8]>);

impl InputFile for Input {
    fn path(&self) -> &str {
        &self.0
    }

    fn len(&self) -> u64 {
        self.1.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> iceberg_lite::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(buf.len());
        let bytes = self.1.get(start..end).ok_or_else(|| {
            iceberg_lite::Error::io("read", &*self.0, ErrorKind::UnexpectedEof.into())
        })?;
        buf.copy_from_slice(bytes);
        Ok(())
    }
}

struct Output {
    path: String,
    content: Vec<u8>,
    files: Rc<RefCell<HashMap<String, Arc<[u8]>>>>,
    bytes: Rc<Cell<u64>>,
}

impl OutputFile for Output {
    fn path(&self) -> &str {
        &self.path
    }

    fn write_all(&mut self, bytes: &[u8]) -> iceberg_lite::Result<()> {
        self.content.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> iceberg_lite::Result<u64> {
        let length = self.content.len() as u64;
        self.bytes.set(self.bytes.get() + length);
        self.files
            .borrow_mut()
            .insert(self.path, self.content.into());
        Ok(length)
    }
}

impl MemoryIo {
    fn new() -> Self {
        Self {
            files: Rc::default(),
            cache: RefCell::new(Rc::new(ManifestCache::new(64 << 20))),
            opened: Cell::new(0),
            bytes: Rc::default(),
        }
    }

    /// Forgets what is known of manifests.
    fn forget(&self) {
        self.cache.replace(Rc::new(ManifestCache::new(64 << 20)));
        self.opened.set(0);
    }
}

impl FileIo for MemoryIo {
    fn open(&self, path: &str, _length: Option<u64>) -> iceberg_lite::Result<Arc<dyn InputFile>> {
        self.opened.set(self.opened.get() + 1);
        match self.files.borrow().get(path) {
            Some(content) => Ok(Arc::new(Input(path.to_owned(), Arc::clone(content)))),
            None => Err(iceberg_lite::Error::io(
                "open",
                path,
                ErrorKind::NotFound.into(),
            )),
        }
    }

    fn create(&self, path: &str) -> iceberg_lite::Result<Box<dyn OutputFile>> {
        Ok(Box::new(Output {
            path: path.to_owned(),
            content: Vec::new(),
            files: Rc::clone(&self.files),
            bytes: Rc::clone(&self.bytes),
        }))
    }

    fn delete(&self, path: &str) -> iceberg_lite::Result<()> {
        self.files.borrow_mut().remove(path);
        Ok(())
    }

    fn manifest_cache(&self) -> Option<Rc<ManifestCache>> {
        Some(Rc::clone(&self.cache.borrow()))
    }
}

struct Table {
    io: MemoryIo,
    metadata: TableMetadata,
    location: Option<String>,
    now_ms: i64,
    files: u64,
    retention: Retention,
}

impl Table {
    fn new(retention: Retention) -> Self {
        let column = |id| NestedField::optional(id, format!("c{id}"), PrimitiveType::Long);
        let schema = Schema::new(0, (1..=COLUMNS).map(column).collect());
        let spec = PartitionSpec::unpartitioned();
        let (uuid, properties) = (Uuid::from_u128(1), Default::default());
        Self {
            io: MemoryIo::new(),
            metadata: TableMetadata::new_table(schema, spec, "/lake/t", properties, uuid, 0),
            location: None,
            now_ms: 0,
            files: 0,
            retention,
        }
    }

    fn file(&mut self, rows: i64) -> Arc<DataFile> {
        self.files += 1;
        let bound = |value: i64| {
            (1..=COLUMNS)
                .map(|id| (id, value.to_le_bytes().to_vec()))
                .collect()
        };
        let count = |value: i64| (1..=COLUMNS).map(|id| (id, value)).collect();
        Arc::new(DataFile {
            file_path: format!("/lake/t/data/x{:08}.parquet", self.files),
            record_count: rows,
            file_size_in_bytes: FOOTER_BYTES + rows * ROW_BYTES,
            column_sizes: count(rows * 5),
            value_counts: count(rows),
            null_value_counts: count(0),
            lower_bounds: bound(0),
            upper_bounds: bound(rows),
            ..DataFile::default()
        })
    }

    /// Commits a change, thins history, and deletes what nothing needs any more.
    fn commit(&mut self, delta: &SnapshotDelta) -> Result<NewMetadata> {
        let (base, io) = (&self.metadata, &self.io);
        let expiry = plan_expiry(
            base,
            &self.retention,
            &HeldSnapshots::default(),
            self.now_ms,
        );
        let gone = expiry.snapshot_ids.iter().copied().collect();
        let unreachable = unreachable_files(base, &gone, History::Linear, io)?;
        let schema = base.current_schema().ok_or("no schema")?;
        let spec = base.default_partition_spec().ok_or("no spec")?;
        let staged = stage(delta, schema, spec, "/lake/t", FormatVersion::V2, io)?;
        let updates = expiry.updates();
        let location = self.location.as_deref();
        let done = complete_and_update(base, location, &staged, updates, io, self.now_ms)?;
        let superseded = done.superseded_manifests.iter();
        for path in superseded
            .chain(&done.expired_metadata_files)
            .chain(&unreachable)
        {
            io.delete(path)?;
        }
        self.metadata = done.metadata.clone();
        self.location = Some(done.metadata_location.clone());
        Ok(done)
    }

    fn compact(&mut self, rules: &CompactionRules) -> Result<()> {
        let snapshot = self.metadata.current_snapshot().ok_or("no snapshot")?;
        let files = plan_files(&self.metadata, snapshot, &self.io)?;
        let groups = plan_compaction(&files, rules);
        if groups.is_empty() {
            return Ok(());
        }
        let mut compaction = Compaction::new(&self.metadata);
        for group in &groups {
            let (rows, outputs) = (i64::try_from(group.rows)?, i64::try_from(group.outputs)?);
            let share = |output| rows / outputs + i64::from(output < rows % outputs);
            let new = (0..outputs)
                .map(|output| self.file(share(output)))
                .collect();
            compaction.push(&files, group, new)?;
        }
        self.commit(&compaction.delta())?;
        Ok(())
    }

    fn manifests(&self) -> Result<usize> {
        let snapshot = self.metadata.current_snapshot().ok_or("no snapshot")?;
        Ok(snapshot_manifests(&self.io, snapshot)?.len())
    }

    fn metadata_bytes(&self) -> usize {
        let location = self.location.as_deref().unwrap_or_default();
        self.io
            .files
            .borrow()
            .get(location)
            .map_or(0, |file| file.len())
    }
}

fn main() -> Result<()> {
    let argument = |index: usize, default: i64| -> Result<i64> {
        std::env::args()
            .nth(index)
            .map_or(Ok(default), |text| Ok(text.parse()?))
    };
    commits(argument(1, 100_000)?, argument(2, 100)?)?;
    dropped_snapshots()
}

/// What a stretch of commits came to.
#[derive(Default)]
struct Stretch {
    commits: u32,
    time: Duration,
    compacting: Duration,
    bytes: u64,
    most_manifests: usize,
}

fn commits(commits: i64, interval_ms: i64) -> Result<()> {
    let mut table = Table::new(Retention::default());
    let rules = CompactionRules::new(8 << 20);
    let stretch = (commits / 20).max(1);
    println!("{commits} commits of a file of 10 rows, {interval_ms} ms apart");
    println!(
        "{:>9} {:>10} {:>12} {:>10} {:>9} {:>10} {:>9} {:>8} {:>12} {:>11}",
        "commits",
        "us/commit",
        "compact us",
        "bytes",
        "manifests",
        "snapshots",
        "log",
        "files",
        "metadata B",
        "files there"
    );
    let mut current = Stretch::default();
    let mut costs = Vec::new();
    for commit in 1..=commits {
        table.now_ms += interval_ms;
        let file = table.file(10);
        let delta = SnapshotDelta {
            added_data_files: vec![file],
            ..SnapshotDelta::default()
        };
        let (started, bytes) = (Instant::now(), table.io.bytes.get());
        table.commit(&delta)?;
        current.time += started.elapsed();
        current.bytes += table.io.bytes.get() - bytes;
        current.commits += 1;
        current.most_manifests = current.most_manifests.max(table.manifests()?);
        if commit % 20 == 0 {
            let started = Instant::now();
            table.compact(&rules)?;
            current.compacting += started.elapsed();
        }
        if commit == 100 || commit % stretch == 0 {
            let done = std::mem::take(&mut current);
            let snapshot = table.metadata.current_snapshot().ok_or("no snapshot")?;
            println!(
                "{commit:>9} {:>10} {:>12} {:>10} {:>9} {:>10} {:>9} {:>8} {:>12} {:>11}",
                done.time.as_micros() / u128::from(done.commits),
                done.compacting.as_micros() / u128::from(done.commits),
                done.bytes / u64::from(done.commits),
                done.most_manifests,
                table.metadata.snapshots.len(),
                table.metadata.snapshot_log.len(),
                snapshot.summary.get("total-data-files").unwrap_or("?"),
                table.metadata_bytes(),
                table.io.files.borrow().len(),
            );
            costs.push(done.time / done.commits);
        }
    }
    if let [_, first, .., last] = &costs[..] {
        let ratio = last.as_secs_f64() / first.as_secs_f64();
        println!("the last twentieth costs {ratio:.2} times the first");
        let half = costs[costs.len() / 2];
        let ratio = last.as_secs_f64() / half.as_secs_f64();
        println!("and {ratio:.2} times the one in the middle");
    }
    Ok(())
}

fn dropped_snapshots() -> Result<()> {
    let mut table = Table::new(Retention::by_age());
    for _ in 0..100 {
        table.now_ms += 1_000;
        let files = (0..100).map(|_| table.file(10_000)).collect();
        table.commit(&SnapshotDelta {
            added_data_files: files,
            ..SnapshotDelta::default()
        })?;
    }
    for _ in 0..101 {
        table.now_ms += 1_000;
        let added_data_files = vec![table.file(10)];
        table.commit(&SnapshotDelta {
            added_data_files,
            ..SnapshotDelta::default()
        })?;
    }
    let snapshots = table.metadata.snapshots.iter().rev().skip(1).take(100);
    let gone = snapshots.map(|snapshot| snapshot.snapshot_id).collect();
    println!("\na hundred snapshots dropped from a table of 10,101 files");
    for (name, history) in [("linear", History::Linear), ("any", History::Any)] {
        table.io.forget();
        let mut runs = Vec::new();
        let mut opened = 0;
        let mut found = 0;
        for _ in 0..2 {
            table.io.opened.set(0);
            let started = Instant::now();
            found = unreachable_files(&table.metadata, &gone, history, &table.io)?.len();
            runs.push(started.elapsed());
            opened = opened.max(table.io.opened.get());
        }
        println!(
            "{name:>8} history: {found} files found; {:.1?} and {opened} files read, {:.1?} with them in the cache",
            runs[0], runs[1]
        );
    }
    Ok(())
}
