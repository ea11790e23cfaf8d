//! How long planning takes over many partitioned files.
//!
//! `cargo run --release --example plan_speed [FILES [MANIFESTS]]` makes the metadata of a table of FILES
//! data files (10,000) in MANIFESTS manifests (100), a day of a timestamp to each, in a temporary
//! directory, and plans all files and those of one day: cold, and with manifests in the cache.

use std::collections::BTreeMap;
use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use iceberg_lite::expr::{CompareOp, Literal, Predicate};
use iceberg_lite::io::{FileIo, InputFile, LocalFileIo, OutputFile};
use iceberg_lite::manifest::{
    DataFile, ManifestCache, ManifestContent, ManifestListHeader, ManifestWriter,
    write_manifest_list,
};
use iceberg_lite::scan::{FilePruner, FooterCache, plan_files, plan_matching_files};
use iceberg_lite::spec::{
    Datum, FormatVersion, NestedField, PartitionField, PartitionSpec, PrimitiveType, Schema,
    Snapshot, TableMetadata, Transform,
};
use uuid::Uuid;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const COLUMNS: i32 = 20;
const DAY: i64 = 86_400_000_000;
const RUNS: usize = 7;

/// Local files with a cache of manifests.
struct CachedIo(Rc<ManifestCache>);

impl CachedIo {
    fn new() -> Self {
        Self(Rc::new(ManifestCache::new(256 << 20)))
    }
}

impl FileIo for CachedIo {
    fn open(&self, path: &str, length: Option<u64>) -> iceberg_lite::Result<Arc<dyn InputFile>> {
        LocalFileIo.open(path, length)
    }

    fn create(&self, path: &str) -> iceberg_lite::Result<Box<dyn OutputFile>> {
        LocalFileIo.create(path)
    }

    fn delete(&self, path: &str) -> iceberg_lite::Result<()> {
        LocalFileIo.delete(path)
    }

    fn buffer(&self) -> Vec<u8> {
        Vec::new()
    }

    fn manifest_cache(&self) -> Option<Rc<ManifestCache>> {
        Some(Rc::clone(&self.0))
    }

    fn footer_cache(&self) -> Option<Rc<FooterCache>> {
        None
    }
}

fn main() -> Result<()> {
    let argument = |index: usize, default: usize| -> Result<usize> {
        std::env::args()
            .nth(index)
            .map_or(Ok(default), |text| Ok(text.parse()?))
    };
    let (files, manifests) = (argument(1, 10_000)?, argument(2, 100)?);
    let directory = std::env::temp_dir().join(format!("plan-speed-{}", std::process::id()));
    let outcome = measure(&directory.to_string_lossy(), files, manifests);
    std::fs::remove_dir_all(&directory)?;
    outcome
}

fn measure(directory: &str, files: usize, manifests: usize) -> Result<()> {
    let metadata = metadata(directory);
    let snapshot = write(directory, &metadata, files, manifests)?;
    let schema = metadata.current_schema().ok_or("no schema")?;
    let at = i64::try_from(manifests / 2)? * DAY;
    let bound = |op, micros: i64| Predicate::Compare {
        field_id: 2,
        op,
        value: Literal::Timestamptz(micros),
    };
    let one_day = Predicate::And(vec![
        bound(CompareOp::GtEq, at),
        bound(CompareOp::Lt, at + DAY),
    ]);
    let pruner = FilePruner::new(&one_day, schema, &metadata.partition_specs);
    let all = |io: &dyn FileIo| plan_files(&metadata, &snapshot, io).map(|files| files.len());
    let pruned = |io: &dyn FileIo| {
        plan_matching_files(&metadata, &snapshot, io, &pruner).map(|files| files.len())
    };
    // What planning came to before manifests were pruned: all files, then one by one.
    let afterwards = |io: &dyn FileIo| {
        let files = plan_files(&metadata, &snapshot, io)?;
        let left = files
            .iter()
            .filter(|file| pruner.file_may_match(&file.data_file));
        Ok(left.count())
    };
    println!("{files} files in {manifests} manifests, {COLUMNS} columns; median of {RUNS} runs");
    report("all files", &all)?;
    report("one day, all manifests opened", &afterwards)?;
    report("one day, manifests pruned", &pruned)
}

fn report(name: &str, plan: &dyn Fn(&dyn FileIo) -> iceberg_lite::Result<usize>) -> Result<()> {
    let mut count = 0;
    let mut time = |io: &CachedIo| -> Result<Duration> {
        let started = Instant::now();
        count = plan(io)?;
        Ok(started.elapsed())
    };
    let mut cold = Vec::new();
    let mut warm = Vec::new();
    for _ in 0..RUNS {
        let io = CachedIo::new();
        cold.push(time(&io)?);
        warm.push(time(&io)?);
    }
    cold.sort();
    warm.sort();
    let millis = |times: &[Duration]| times[RUNS / 2].as_secs_f64() * 1000.0;
    println!(
        "{name:32} {count:6} files  cold {:8.2} ms  warm {:8.2} ms",
        millis(&cold),
        millis(&warm)
    );
    Ok(())
}

fn metadata(directory: &str) -> TableMetadata {
    let column = |id: i32| match id {
        2 => NestedField::required(2, "at", PrimitiveType::Timestamptz),
        _ => NestedField::optional(id, format!("column {id}"), PrimitiveType::Long),
    };
    let schema = Schema::new(0, (1..=COLUMNS).map(column).collect());
    let field = PartitionField::new(2, 1000, "at_day", Transform::Day);
    let spec = PartitionSpec::new(0, vec![field]);
    TableMetadata::new_table(schema, spec, directory, BTreeMap::new(), Uuid::nil(), 0)
}

/// Writes a manifest a day, and the list of all.
fn write(
    directory: &str,
    metadata: &TableMetadata,
    files: usize,
    manifests: usize,
) -> Result<Snapshot> {
    let schema = metadata.current_schema().ok_or("no schema")?;
    let spec = metadata.default_partition_spec().ok_or("no spec")?;
    let mut written = Vec::with_capacity(manifests);
    for day in 0..manifests {
        let path = format!("{directory}/metadata/m{day}.avro");
        let mut writer = ManifestWriter::new(
            path,
            FormatVersion::V2,
            ManifestContent::Data,
            schema,
            spec,
            1,
        )?;
        for number in 0..files / manifests {
            writer.add(&Arc::new(data_file(
                directory,
                i64::try_from(day)?,
                number,
            )?))?;
        }
        written.push(writer.finish(&LocalFileIo)?);
    }
    let list = format!("{directory}/metadata/snap.avro");
    let header = ManifestListHeader {
        snapshot_id: 1,
        parent_snapshot_id: None,
        sequence_number: 1,
        first_row_id: None,
    };
    write_manifest_list(&LocalFileIo, &list, header, written)?;
    Ok(Snapshot {
        snapshot_id: 1,
        sequence_number: 1,
        manifest_list: Some(list),
        ..Snapshot::default()
    })
}

fn data_file(directory: &str, day: i64, number: usize) -> Result<DataFile> {
    let bound = |value: i64| (1..=COLUMNS).map(move |id| (id, value.to_le_bytes().to_vec()));
    let count = |value: i64| (1..=COLUMNS).map(move |id| (id, value)).collect();
    Ok(DataFile {
        file_path: format!("{directory}/data/at_day={day}/{number:05}-some-unique-name.parquet"),
        partition: vec![Some(Datum::Date(i32::try_from(day)?))],
        record_count: 100_000,
        file_size_in_bytes: 10_000_000,
        column_sizes: count(500_000),
        value_counts: count(100_000),
        null_value_counts: count(0),
        lower_bounds: bound(day * DAY).collect(),
        upper_bounds: bound((day + 1) * DAY - 1).collect(),
        split_offsets: Some(vec![4]),
        ..DataFile::default()
    })
}
