//! Writes tables whose small files were merged and whose history was thinned, for other engines to read.
//!
//! `cargo run --example kept_up -- DIRECTORY` prints a JSON object for each: its name, its metadata file, the ids of its
//! rows, and how many rows each snapshot that is left has. What nothing needs any more is deleted.

use std::error::Error;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use iceberg_lite::commit::{
    HeldSnapshots, History, Retention, SnapshotDelta, Spacing, complete, expire, stage,
};
use iceberg_lite::compaction::{
    Compaction, CompactionRules, Rewrite, RewriteInput, RewriteOptions, plan_compaction,
};
use iceberg_lite::io::{FileIo, LocalFileIo};
use iceberg_lite::manifest::{DataContentType, DataFile};
use iceberg_lite::scan::{ReadOptions, plan_files};
use iceberg_lite::spec::{
    FormatVersion, NestedField, PartitionSpec, PrimitiveType, Schema, Snapshot, TableMetadata,
};
use iceberg_lite::write::{DataFileWriter, WriteOptions, arrow_schema};
use serde_json::json;
use uuid::Uuid;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A column of files that is none of the table's.
const ROW_ID: i32 = 2_100_000_000;
const DELETE_FILE_PATH: i32 = 2_147_483_546;
const DELETE_POS: i32 = 2_147_483_545;
const COMMITS: i64 = 60;

fn main() -> Result<()> {
    let directory = std::env::args().nth(1).ok_or("usage: kept_up DIRECTORY")?;
    let directory = std::path::absolute(directory)?;
    for (name, deletes) in [
        ("plain", None),
        ("position_deletes", Some(DataContentType::PositionDeletes)),
        ("equality_deletes", Some(DataContentType::EqualityDeletes)),
    ] {
        let location = directory.join(name).to_string_lossy().into_owned();
        let table = write_table(location, deletes)?;
        let mut counts = serde_json::Map::new();
        for snapshot in &table.metadata.snapshots {
            let rows = table.rows(snapshot)?.len();
            counts.insert(snapshot.snapshot_id.to_string(), rows.into());
        }
        let current = table.metadata.current_snapshot().ok_or("no snapshot")?;
        let ids = table.rows(current)?;
        let metadata = table.location;
        println!(
            "{}",
            json!({"name": name, "metadata": metadata, "ids": ids, "snapshots": counts})
        );
    }
    Ok(())
}

/// Commits of two rows each, `id` and `kind`, some of which are deleted again.
fn write_table(location: String, deletes: Option<DataContentType>) -> Result<Table> {
    let mut table = Table::new(location);
    let rules = CompactionRules {
        min_files: 4,
        ..CompactionRules::new(1 << 20)
    };
    for commit in 0..COMMITS {
        let (path, file) = table.data_file(&[commit * 2, commit * 2 + 1])?;
        table.commit(&SnapshotDelta {
            added_data_files: vec![file.into()],
            ..SnapshotDelta::default()
        })?;
        if let Some(content) = deletes.filter(|_| commit % 5 == 4) {
            table.delete(content, &path, commit * 2 + 1)?;
        }
        if commit % 10 == 9 {
            // A row that is deleted while files are rewritten.
            let meanwhile = deletes.filter(|kind| *kind == DataContentType::EqualityDeletes);
            table.compact(&rules, meanwhile.map(|kind| (kind, commit * 2 - 4)))?;
        }
    }
    table.thin()?;
    Ok(table)
}

struct Table {
    io: LocalFileIo,
    metadata: TableMetadata,
    location: Option<String>,
    now_ms: i64,
}

impl Table {
    fn new(location: String) -> Self {
        let schema = Schema::new(
            0,
            vec![
                NestedField::required(1, "id", PrimitiveType::Long),
                NestedField::optional(2, "kind", PrimitiveType::String),
            ],
        );
        let (spec, uuid) = (PartitionSpec::unpartitioned(), Uuid::new_v4());
        // Few manifests make one, so that entries go through merges too.
        let merge = (
            "commit.manifest.min-count-to-merge".to_owned(),
            "4".to_owned(),
        );
        let now_ms = 1_700_000_000_000;
        Self {
            io: LocalFileIo,
            metadata: TableMetadata::new_table(
                schema,
                spec,
                location,
                [merge].into(),
                uuid,
                now_ms,
            ),
            location: None,
            now_ms,
        }
    }

    fn schema(&self) -> Result<Schema> {
        Ok(Schema::clone(
            self.metadata.current_schema().ok_or("no schema")?,
        ))
    }

    fn write(&self, schema: &Schema, columns: Vec<ArrayRef>) -> Result<(String, DataFile)> {
        let path = format!(
            "{}/data/{}.parquet",
            self.metadata.location,
            self.io.unique_name()
        );
        let output = self.io.create(&path)?;
        let mut writer =
            DataFileWriter::new(schema, path.clone(), output, WriteOptions::default())?;
        writer.write(&RecordBatch::try_new(arrow_schema(schema)?, columns)?)?;
        Ok((path, writer.finish()?))
    }

    fn data_file(&self, ids: &[i64]) -> Result<(String, DataFile)> {
        let mut columns = self.schema()?.columns().to_vec();
        columns.push(NestedField::required(ROW_ID, "_row", PrimitiveType::Long));
        let kinds: StringArray = (ids
            .iter()
            .map(|id| (id % 3 > 0).then(|| format!("kind {id}"))))
        .collect();
        let ids: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
        self.write(
            &Schema::new(0, columns),
            vec![Arc::clone(&ids), Arc::new(kinds), ids],
        )
    }

    fn commit(&mut self, delta: &SnapshotDelta) -> Result<()> {
        self.now_ms += 20_000;
        let spec = self.metadata.default_partition_spec().ok_or("no spec")?;
        let location = &self.metadata.location;
        let staged = stage(
            delta,
            &self.schema()?,
            spec,
            location,
            FormatVersion::V2,
            &self.io,
        )?;
        let base = self.location.as_deref();
        let done = complete(&self.metadata, base, Some(&staged), &self.io, self.now_ms)?;
        for path in &done.superseded_manifests {
            self.io.delete(path)?;
        }
        (self.metadata, self.location) = (done.metadata, Some(done.metadata_location));
        Ok(())
    }

    /// Deletes the row of this id; it is the second in the file at `path`.
    fn delete(&mut self, content: DataContentType, path: &str, id: i64) -> Result<()> {
        let file = if content == DataContentType::PositionDeletes {
            let schema = Schema::new(
                0,
                vec![
                    NestedField::required(DELETE_FILE_PATH, "file_path", PrimitiveType::String),
                    NestedField::required(DELETE_POS, "pos", PrimitiveType::Long),
                ],
            );
            let (paths, positions) = (StringArray::from(vec![path]), Int64Array::from(vec![1]));
            let (_, file) = self.write(&schema, vec![Arc::new(paths), Arc::new(positions)])?;
            DataFile {
                content,
                referenced_data_file: Some(path.to_owned()),
                ..file
            }
        } else {
            let id_column = self.schema()?.columns().iter().take(1).cloned().collect();
            let schema = Schema::new(0, id_column);
            let (_, file) = self.write(&schema, vec![Arc::new(Int64Array::from(vec![id]))])?;
            DataFile {
                content,
                equality_ids: Some(vec![1]),
                ..file
            }
        };
        self.commit(&SnapshotDelta {
            added_delete_files: vec![file.into()],
            ..SnapshotDelta::default()
        })
    }

    /// Merges files; before they take their place, the row of an id may be deleted.
    fn compact(
        &mut self,
        rules: &CompactionRules,
        meanwhile: Option<(DataContentType, i64)>,
    ) -> Result<()> {
        let snapshot = self.metadata.current_snapshot().ok_or("no snapshot")?;
        let files = plan_files(&self.metadata, snapshot, &self.io)?;
        let mut compaction = Compaction::new(&self.metadata);
        for group in plan_compaction(&files, rules) {
            let file = |&index: &usize| RewriteInput {
                file: &files[index],
                fills: &[],
                deleted_rows: None,
            };
            let inputs: Vec<_> = group.files.iter().map(file).collect();
            let options = RewriteOptions {
                outputs: group.outputs,
                ordered_by: Some(ROW_ID),
                ..RewriteOptions::default()
            };
            let (schema, io) = (self.schema()?, &self.io);
            let mut rewrite = Rewrite::new(&inputs, &self.metadata, &schema, io, options)?;
            let mut create = || {
                let path = format!(
                    "{}/data/{}.parquet",
                    self.metadata.location,
                    io.unique_name()
                );
                let output = io.create(&path)?;
                Ok((path, output))
            };
            while rewrite.step(&mut create)? {}
            let new = rewrite.finish()?.into_iter().map(Arc::new).collect();
            compaction.push(&files, &group, new)?;
        }
        if compaction.groups().is_empty() {
            return Err("there is nothing to merge".into());
        }
        if let Some((content, id)) = meanwhile {
            self.delete(content, "", id)?;
        }
        self.commit(&compaction.delta())
    }

    fn thin(&mut self) -> Result<()> {
        let retention = Retention {
            newest: 6,
            spacing: vec![Spacing {
                interval_ms: 300_000,
                max_age_ms: i64::MAX,
            }],
            ..Retention::default()
        };
        let held = HeldSnapshots::default();
        let (base, linear) = (self.location.as_deref(), History::Linear);
        let expired = expire(
            &self.metadata,
            base,
            &retention,
            &held,
            linear,
            &self.io,
            self.now_ms,
        )?;
        let expired = expired.ok_or("nothing expires")?;
        for path in &expired.unreachable_files {
            self.io.delete(path)?;
        }
        let done = expired.completed;
        (self.metadata, self.location) = (done.metadata, Some(done.metadata_location));
        Ok(())
    }

    /// The ids of a snapshot's rows.
    fn rows(&self, snapshot: &Snapshot) -> Result<Vec<i64>> {
        let schema = self.schema()?;
        let mut ids = Vec::new();
        for file in plan_files(&self.metadata, snapshot, &self.io)? {
            let options = ReadOptions {
                projection: vec![1],
                ..ReadOptions::default()
            };
            for batch in file.open(&self.io, &self.metadata, &schema, options)? {
                let batch = batch?.batch;
                ids.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }
}
