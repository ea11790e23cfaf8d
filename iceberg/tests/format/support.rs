//! File IO and data for tests.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{Error as IoError, ErrorKind};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use iceberg_lite::commit::{
    NewMetadata, SnapshotDelta, StagedSnapshot, TableUpdate, complete, complete_with_updates, stage,
};
use iceberg_lite::expr::Predicate;
use iceberg_lite::io::{FileIo, InputFile, LocalFileIo, OutputFile};
use iceberg_lite::manifest::{
    DataContentType, DataFile, ManifestCache, ManifestEntry, ManifestFile, manifest_entries,
    read_manifest, read_snapshot_manifests, snapshot_manifests,
};
use iceberg_lite::scan::{DeleteCache, FilePruner, ScanFile, plan_files, plan_matching_files};
use iceberg_lite::spec::{
    FormatVersion, NestedField, PartitionSpec, PrimitiveType, Schema, SchemaRef, Snapshot,
    TableMetadata,
};
use iceberg_lite::{Error, Result};
use uuid::Uuid;

/// The directory of the fixtures; tests that were compiled elsewhere are told where by Cargo.
pub fn testdata() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR");
    let package = package.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(package).join("testdata")
}

/// The names of the fixtures in a directory that end so.
pub fn fixtures(directory: &str, suffix: &str) -> Vec<String> {
    let entries = std::fs::read_dir(testdata().join(directory)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(suffix)).collect();
    names.sort();
    assert!(!names.is_empty(), "no fixtures *{suffix} in {directory}");
    names
}

/// Reads fixtures by the paths that their writers gave them.
pub struct FixtureIo;

impl FixtureIo {
    fn resolve(path: &str) -> String {
        let local = path.strip_prefix("file:").unwrap_or(path);
        let Some(rest) = local.strip_prefix("/tmp/iceberg-fixtures/") else {
            return path.to_owned();
        };
        let rest = rest.replacen("/metadata/", "/", 1);
        testdata().join(rest).to_str().unwrap().to_owned()
    }
}

impl FileIo for FixtureIo {
    fn open(&self, path: &str, length: Option<u64>) -> Result<Arc<dyn InputFile>> {
        LocalFileIo.open(&Self::resolve(path), length)
    }

    fn create(&self, path: &str) -> Result<Box<dyn OutputFile>> {
        Err(Error::io(
            "create",
            path,
            ErrorKind::ReadOnlyFilesystem.into(),
        ))
    }

    fn delete(&self, path: &str) -> Result<()> {
        Err(Error::io(
            "delete",
            path,
            ErrorKind::ReadOnlyFilesystem.into(),
        ))
    }
}

pub fn fixture_metadata(name: &str) -> TableMetadata {
    let path = testdata().join(name);
    TableMetadata::read_from(&LocalFileIo, path.to_str().unwrap()).unwrap()
}

/// Files in memory, with a cache of manifests and, if wanted, one of deletes; what was created but not finished is there, cut off.
#[derive(Clone)]
pub struct MemoryFileIo {
    pub files: Rc<RefCell<BTreeMap<String, Vec<u8>>>>,
    cache: Rc<ManifestCache>,
    pub delete_cache: Option<Rc<DeleteCache>>,
}

impl Default for MemoryFileIo {
    fn default() -> Self {
        Self {
            files: Rc::default(),
            cache: Rc::new(ManifestCache::new(1 << 20)),
            delete_cache: None,
        }
    }
}

impl MemoryFileIo {
    pub fn paths(&self) -> Vec<String> {
        self.files.borrow().keys().cloned().collect()
    }
}

struct MemoryInput {
    path: String,
    bytes: Vec<u8>,
}

impl InputFile for MemoryInput {
    fn path(&self) -> &str {
        &self.path
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let offset = offset as usize;
        let Some(bytes) = self.bytes.get(offset..offset + buf.len()) else {
            return Err(Error::io(
                "read",
                &*self.path,
                ErrorKind::UnexpectedEof.into(),
            ));
        };
        buf.copy_from_slice(bytes);
        Ok(())
    }
}

struct MemoryOutput {
    path: String,
    length: u64,
    files: Rc<RefCell<BTreeMap<String, Vec<u8>>>>,
}

impl OutputFile for MemoryOutput {
    fn path(&self) -> &str {
        &self.path
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.files
            .borrow_mut()
            .get_mut(&self.path)
            .unwrap()
            .extend_from_slice(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<u64> {
        Ok(self.length)
    }
}

impl FileIo for MemoryFileIo {
    fn open(&self, path: &str, _: Option<u64>) -> Result<Arc<dyn InputFile>> {
        match self.files.borrow().get(path) {
            Some(bytes) => Ok(Arc::new(MemoryInput {
                path: path.into(),
                bytes: bytes.clone(),
            })),
            None => Err(Error::io("open", path, ErrorKind::NotFound.into())),
        }
    }

    fn create(&self, path: &str) -> Result<Box<dyn OutputFile>> {
        let mut files = self.files.borrow_mut();
        if files.contains_key(path) {
            return Err(Error::io("create", path, ErrorKind::AlreadyExists.into()));
        }
        files.insert(path.to_owned(), Vec::new());
        let files = Rc::clone(&self.files);
        Ok(Box::new(MemoryOutput {
            path: path.into(),
            length: 0,
            files,
        }))
    }

    fn delete(&self, path: &str) -> Result<()> {
        match self.files.borrow_mut().remove(path) {
            Some(_) => Ok(()),
            None => Err(Error::io("delete", path, ErrorKind::NotFound.into())),
        }
    }

    fn manifest_cache(&self) -> Option<Rc<ManifestCache>> {
        Some(Rc::clone(&self.cache))
    }

    fn delete_cache(&self) -> Option<Rc<DeleteCache>> {
        self.delete_cache.clone()
    }
}

/// Lets the operations numbered from `fail_at` fail: opens, creations, writes and finishes count.
pub struct FaultyFileIo {
    pub io: MemoryFileIo,
    pub fail_at: u64,
    pub operations: Rc<Cell<u64>>,
}

impl FaultyFileIo {
    pub fn new(io: MemoryFileIo, fail_at: u64) -> Self {
        Self {
            io,
            fail_at,
            operations: Rc::default(),
        }
    }

    fn step(operations: &Cell<u64>, fail_at: u64, path: &str) -> Result<()> {
        operations.set(operations.get() + 1);
        if operations.get() == fail_at {
            let source = IoError::new(ErrorKind::TimedOut, "injected");
            return Err(Error::io("reach", path, source));
        }
        Ok(())
    }
}

struct FaultyOutput {
    file: Box<dyn OutputFile>,
    fail_at: u64,
    operations: Rc<Cell<u64>>,
}

impl OutputFile for FaultyOutput {
    fn path(&self) -> &str {
        self.file.path()
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        FaultyFileIo::step(&self.operations, self.fail_at, self.file.path())?;
        self.file.write_all(bytes)
    }

    fn finish(self: Box<Self>) -> Result<u64> {
        FaultyFileIo::step(&self.operations, self.fail_at, self.file.path())?;
        self.file.finish()
    }
}

impl FileIo for FaultyFileIo {
    fn open(&self, path: &str, length: Option<u64>) -> Result<Arc<dyn InputFile>> {
        Self::step(&self.operations, self.fail_at, path)?;
        self.io.open(path, length)
    }

    fn create(&self, path: &str) -> Result<Box<dyn OutputFile>> {
        Self::step(&self.operations, self.fail_at, path)?;
        let file = self.io.create(path)?;
        let operations = Rc::clone(&self.operations);
        Ok(Box::new(FaultyOutput {
            file,
            fail_at: self.fail_at,
            operations,
        }))
    }

    fn delete(&self, path: &str) -> Result<()> {
        self.io.delete(path)
    }
}

pub fn schema() -> Schema {
    Schema::new(
        0,
        vec![
            NestedField::required(1, "id", PrimitiveType::Long),
            NestedField::optional(2, "kind", PrimitiveType::String),
        ],
    )
}

/// The data files that a scan with this predicate reads.
pub fn files_to_read(
    metadata: &TableMetadata,
    snapshot: &Snapshot,
    schema: &SchemaRef,
    predicate: Option<&Predicate>,
    io: &dyn FileIo,
) -> Result<Vec<ScanFile>> {
    match predicate {
        None => plan_files(metadata, snapshot, io),
        Some(predicate) => {
            let pruner = FilePruner::new(predicate, schema, &metadata.partition_specs);
            plan_matching_files(metadata, snapshot, io, &pruner)
        }
    }
}

/// A data file of a table that is not partitioned.
pub fn data_file(name: &str, rows: i64) -> DataFile {
    DataFile {
        file_path: format!("/lake/t/data/{name}.parquet"),
        record_count: rows,
        file_size_in_bytes: rows * 10,
        value_counts: BTreeMap::from([(1, rows), (2, rows)]),
        lower_bounds: BTreeMap::from([(1, 0_i64.to_le_bytes().to_vec())]),
        upper_bounds: BTreeMap::from([(1, rows.to_le_bytes().to_vec())]),
        split_offsets: Some(vec![4]),
        sort_order_id: Some(0),
        ..DataFile::default()
    }
}

/// A position delete file about one data file.
pub fn position_deletes(name: &str, about: &str, rows: i64) -> DataFile {
    DataFile {
        content: DataContentType::PositionDeletes,
        referenced_data_file: Some(format!("/lake/t/data/{about}.parquet")),
        ..data_file(name, rows)
    }
}

/// Deletes of three rows of the data file `about`, which must still be there.
pub fn delete_rows(name: &str, about: &str) -> SnapshotDelta {
    SnapshotDelta {
        added_delete_files: vec![position_deletes(name, about, 3).into()],
        required_data_files: [path_of(about)].into(),
        ..SnapshotDelta::default()
    }
}

pub fn append(names: &[&str]) -> SnapshotDelta {
    let added_data_files = names
        .iter()
        .map(|name| data_file(name, 10).into())
        .collect();
    SnapshotDelta {
        added_data_files,
        ..SnapshotDelta::default()
    }
}

pub fn path_of(name: &str) -> String {
    format!("/lake/t/data/{name}.parquet")
}

/// A table at `/lake/t`, with the metadata that its pointer points to.
pub struct Table {
    pub io: MemoryFileIo,
    pub metadata: TableMetadata,
    pub location: Option<String>,
    pub now_ms: i64,
}

impl Table {
    pub fn new() -> Self {
        Self::with_properties(&[])
    }

    pub fn with_properties(properties: &[(&str, &str)]) -> Self {
        let properties = properties
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        let metadata = TableMetadata::new_table(
            schema(),
            PartitionSpec::unpartitioned(),
            "/lake/t",
            properties,
            Uuid::from_u128(7),
            1_000,
        );
        Self {
            io: MemoryFileIo::default(),
            metadata,
            location: None,
            now_ms: 1_000,
        }
    }

    pub fn stage(&self, delta: &SnapshotDelta) -> StagedSnapshot {
        let spec = self.metadata.default_partition_spec().unwrap();
        stage(
            delta,
            self.metadata.current_schema().unwrap(),
            spec,
            "/lake/t",
            self.metadata.format_version,
            &self.io,
        )
        .unwrap()
    }

    pub fn try_complete(&mut self, staged: &StagedSnapshot) -> Result<NewMetadata> {
        self.now_ms += 1_000;
        let completed = complete(
            &self.metadata,
            self.location.as_deref(),
            Some(staged),
            &self.io,
            self.now_ms,
        )?;
        let location = &completed.metadata_location;
        let after = TableMetadata::read_from_after(&self.io, location, Some(&self.metadata))?;
        assert_eq!(
            after, completed.metadata,
            "read with the earlier metadata at hand"
        );
        self.metadata = completed.metadata.clone();
        self.location = Some(completed.metadata_location.clone());
        Ok(completed)
    }

    /// Gives the table version 3 of the format.
    pub fn upgrade(&mut self) {
        let upgrade = TableUpdate::UpgradeFormatVersion(FormatVersion::V3);
        let location = self.location.as_deref();
        let updates = vec![upgrade];
        let completed = complete_with_updates(
            &self.metadata,
            location,
            &[],
            updates,
            &self.io,
            self.now_ms,
        );
        let completed = completed.unwrap();
        self.metadata = completed.metadata;
        self.location = Some(completed.metadata_location);
    }

    pub fn commit(&mut self, delta: &SnapshotDelta) -> NewMetadata {
        let staged = self.stage(delta);
        self.try_complete(&staged).unwrap()
    }

    /// All entries of the current snapshot's manifests, as another reader of the files finds them.
    pub fn entries(&self) -> Vec<ManifestEntry> {
        let location = self.location.as_deref().unwrap();
        let metadata = TableMetadata::read_from(&self.io, location).unwrap();
        assert_eq!(
            metadata, self.metadata,
            "the file holds what complete returned"
        );
        let Some(snapshot) = metadata.current_snapshot() else {
            return Vec::new();
        };
        let manifests = read_snapshot_manifests(&self.io, snapshot).unwrap();
        let cached = snapshot_manifests(&self.io, snapshot).unwrap();
        assert_eq!(*cached, *manifests, "the cache holds what was written");
        let read = |file: &ManifestFile| {
            let entries = read_manifest(&self.io, file).unwrap();
            let cached = manifest_entries(&self.io, file).unwrap();
            assert_eq!(*cached, *entries, "the cache holds what was written");
            entries
        };
        manifests.iter().flat_map(read).collect()
    }

    /// The names of the live files, sorted.
    pub fn live(&self) -> Vec<String> {
        let entries = self.entries().into_iter().filter(ManifestEntry::is_live);
        let name = |entry: ManifestEntry| {
            let path = entry.data_file.file_path.clone();
            let name = path.strip_prefix("/lake/t/data/").unwrap();
            name.strip_suffix(".parquet").unwrap().to_owned()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }

    /// A total of the current snapshot's summary; those of deletes may be left out for zero.
    pub fn total(&self, name: &str) -> i64 {
        let total = self
            .metadata
            .current_snapshot()
            .unwrap()
            .summary
            .count(name);
        total.unwrap_or_else(|| {
            assert!(name.contains("delete"), "{name} is missing");
            0
        })
    }
}
