//! Rows of small files are written into larger ones, and stay what they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, Int64Array, ListArray, RecordBatch, StringArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use iceberg_lite::commit::SnapshotDelta;
use iceberg_lite::compaction::{
    Compaction, CompactionRules, Extent, Fill, Rewrite, RewriteInput, RewriteOptions,
    plan_compaction,
};
use iceberg_lite::io::{FileIo, OutputFile};
use iceberg_lite::manifest::{DataContentType, DataFile};
use iceberg_lite::scan::{DataFileReader, FileMetadata, ReadOptions, ScanFile, plan_files};
use iceberg_lite::spec::{Datum, ListType, NestedField, PrimitiveType as P, Schema};
use iceberg_lite::write::{DataFileWriter, Encoder, EncoderThreads, WriteOptions, arrow_schema};
use iceberg_lite::{Error, Result};
use proptest::prelude::*;

use crate::support::{MemoryFileIo, Table, path_of, schema};

pub const ROW_ID: i32 = 2_100_000_000;

/// The table's columns, with one of row ids.
pub fn with_row_ids() -> Schema {
    let mut columns = schema().columns().to_vec();
    columns.push(NestedField::required(ROW_ID, "_row", P::Long));
    Schema::new(0, columns)
}

pub fn longs(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

/// Columns `id`, `kind` and, if wanted, the row id, which all go by the number.
pub fn rows(numbers: &[i64], has_row_ids: bool) -> (Schema, RecordBatch) {
    let kinds: StringArray = (numbers
        .iter()
        .map(|n| (n % 3 > 0).then(|| format!("kind {n}"))))
    .collect();
    let mut columns = vec![
        longs(numbers.iter().map(|n| n * 10)),
        Arc::new(kinds) as ArrayRef,
    ];
    let schema = if has_row_ids {
        with_row_ids()
    } else {
        schema()
    };
    if has_row_ids {
        columns.push(longs(numbers.iter().copied()));
    }
    let batch = RecordBatch::try_new(arrow_schema(&schema).unwrap(), columns).unwrap();
    (schema, batch)
}

pub fn write(io: &MemoryFileIo, path: &str, (schema, batch): (Schema, RecordBatch)) -> DataFile {
    let output = io.create(path).unwrap();
    let options = WriteOptions {
        row_group_rows: 7,
        ..WriteOptions::default()
    };
    let mut writer = DataFileWriter::new(&schema, path.to_owned(), output, options).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap()
}

fn scan_file(data_file: DataFile) -> ScanFile {
    ScanFile {
        data_file: data_file.into(),
        data_sequence_number: 1,
        deletes: Vec::new(),
    }
}

/// A file of position deletes.
pub fn deletes(io: &MemoryFileIo, path: &str, of: &str, positions: &[i64]) -> DataFile {
    let schema = Schema::new(
        0,
        vec![
            NestedField::required(2_147_483_546, "file_path", P::String),
            NestedField::required(2_147_483_545, "pos", P::Long),
        ],
    );
    let paths = StringArray::from_iter_values(positions.iter().map(|_| of));
    let columns = vec![
        Arc::new(paths) as ArrayRef,
        longs(positions.iter().copied()),
    ];
    let batch = RecordBatch::try_new(arrow_schema(&schema).unwrap(), columns).unwrap();
    DataFile {
        content: DataContentType::PositionDeletes,
        referenced_data_file: Some(of.to_owned()),
        ..write(io, path, (schema, batch))
    }
}

fn read(io: &MemoryFileIo, path: &str, schema: &Schema) -> RecordBatch {
    let options = ReadOptions {
        projection: schema.columns().iter().map(|field| field.id).collect(),
        ..ReadOptions::default()
    };
    let reader = DataFileReader::open(io.open(path, None).unwrap(), schema, options).unwrap();
    let arrow = Arc::clone(reader.schema());
    let batches: Vec<_> = reader.map(|batch| batch.unwrap().batch).collect();
    concat_batches(&arrow, &batches).unwrap()
}

struct Fixture {
    table: Table,
    created: Vec<String>,
}

impl Fixture {
    fn new() -> Self {
        Self {
            table: Table::new(),
            created: Vec::new(),
        }
    }

    /// Rewrites until the end; the options may be changed.
    fn rewrite(
        &mut self,
        inputs: &[RewriteInput<'_>],
        schema: &Schema,
        options: RewriteOptions,
    ) -> Result<(Schema, Vec<DataFile>)> {
        let io = &self.table.io;
        let metadata = &self.table.metadata;
        let mut rewrite = Rewrite::new(inputs, metadata, schema, io, options)?;
        let created = &mut self.created;
        let mut create = || -> Result<(String, Box<dyn OutputFile>)> {
            let path = path_of(&format!("new{}", io.unique_name()));
            created.push(path.clone());
            let output = io.create(&path)?;
            Ok((path, output))
        };
        while rewrite.step(&mut create)? {}
        let (written, all) = rewrite.progress();
        assert_eq!(written, all);
        let schema = rewrite.schema().clone();
        Ok((schema, rewrite.finish()?))
    }
}

fn inputs<'a>(files: &'a [ScanFile], fills: &'a [Vec<(i32, Fill)>]) -> Vec<RewriteInput<'a>> {
    let fills = fills
        .iter()
        .map(Vec::as_slice)
        .chain(std::iter::repeat(&[][..]));
    let pairs = files.iter().zip(fills);
    pairs
        .map(|(file, fills)| RewriteInput {
            file,
            fills,
            deleted_rows: None,
        })
        .collect()
}

fn row_ids(io: &MemoryFileIo, files: &[DataFile]) -> Vec<i64> {
    let of = |file: &DataFile| {
        let batch = read(io, &file.file_path, &with_row_ids());
        let ids = batch.column(2).as_primitive::<Int64Type>().clone();
        for (row, id) in ids.values().iter().enumerate() {
            assert_eq!(
                batch.column(0).as_primitive::<Int64Type>().value(row),
                id * 10
            );
        }
        ids.values().to_vec()
    };
    files.iter().flat_map(of).collect()
}

/// Compaction would lose what readers of another kind need: columns that the table does not know.
#[test]
fn columns_that_the_table_does_not_have_are_carried_over() {
    let mut fixture = Fixture::new();
    let list = ListType::new(9, P::Uuid, false);
    let mut columns = with_row_ids().columns().to_vec();
    columns.push(NestedField::optional(2_147_483_540, "_row_id", P::Long));
    columns.push(NestedField::optional(8, "dropped", list));
    columns.push(NestedField::optional(7, "id", P::Uuid));
    let full = Schema::new(0, columns);
    let arrow = arrow_schema(&full).unwrap();
    let uuids = |numbers: &[u8]| {
        let bytes = numbers.iter().map(|n| [*n; 16]);
        Arc::new(FixedSizeBinaryArray::try_from_iter(bytes).unwrap()) as ArrayRef
    };
    let arrow::datatypes::DataType::List(element) = arrow.field(4).data_type() else {
        unreachable!()
    };
    let offsets = arrow::buffer::OffsetBuffer::from_lengths([2, 0, 1]);
    let lists = ListArray::new(Arc::clone(element), offsets, uuids(&[1, 2, 3]), None);
    let kinds = StringArray::from(vec![Some("a"), None, Some("c")]);
    let lineage = Int64Array::from(vec![Some(50), None, Some(52)]);
    let columns: Vec<ArrayRef> = vec![
        longs([10, 20, 30]),
        Arc::new(kinds),
        longs([1, 2, 3]),
        Arc::new(lineage),
        Arc::new(lists),
        uuids(&[7, 8, 9]),
    ];
    let batch = RecordBatch::try_new(Arc::clone(&arrow), columns).unwrap();
    let io = fixture.table.io.clone();
    let files = [
        scan_file(write(&io, "one", (full.clone(), batch.clone()))),
        scan_file(write(&io, "two", rows(&[4, 5], true))),
    ];
    let options = RewriteOptions::default();
    let (written, new) = fixture
        .rewrite(&inputs(&files, &[]), &schema(), options)
        .unwrap();
    let [file] = &new[..] else { panic!("{new:?}") };
    let names: Vec<_> = written
        .columns()
        .iter()
        .map(|field| (field.id, &*field.name))
        .collect();
    // The table's columns first; a name that one of them has is told apart.
    let expected = [
        (1, "id"),
        (2, "kind"),
        (ROW_ID, "_row"),
        (2_147_483_540, "_row_id"),
        (8, "dropped"),
        (7, "id_"),
    ];
    assert_eq!(names, expected);
    assert!(written.columns()[2].required, "both files have it");
    let back = read(&io, &file.file_path, &written);
    assert_eq!(back.slice(0, 3).columns(), batch.columns());
    let rest = back.slice(3, 2);
    assert_eq!(rest.columns()[..3], *rows(&[4, 5], true).1.columns());
    assert!(
        rest.columns()[3..]
            .iter()
            .all(|column| column.null_count() == 2)
    );
    assert_eq!(written.type_of(7), Some(&P::Uuid.into()));

    let options = RewriteOptions {
        carries: |id| id == ROW_ID,
        ..RewriteOptions::default()
    };
    let (written, _) = fixture
        .rewrite(&inputs(&files, &[]), &schema(), options)
        .unwrap();
    assert_eq!(written.columns(), with_row_ids().columns());
}

#[test]
fn rows_keep_the_numbers_that_their_positions_told() {
    let mut fixture = Fixture::new();
    let io = fixture.table.io.clone();
    let mut first = scan_file(write(
        &io,
        "one",
        rows(&[100, 101, 102, 103, 104, 105, 106, 107, 108], false),
    ));
    first
        .deletes
        .push(deletes(&io, "deletes", "one", &[1, 8]).into());
    let second = scan_file(write(&io, "two", rows(&[3, 5, 9], true)));
    let files = [first, second];
    let fills = [vec![(ROW_ID, Fill::Counted(100))]];
    let options = RewriteOptions {
        ordered_by: Some(ROW_ID),
        ..RewriteOptions::default()
    };
    let (_, new) = fixture
        .rewrite(&inputs(&files, &fills), &with_row_ids(), options)
        .unwrap();
    assert_eq!(
        row_ids(&io, &new),
        [3, 5, 9, 100, 102, 103, 104, 105, 106, 107]
    );
    let bound =
        |bounds: &BTreeMap<i32, Vec<u8>>| Datum::from_bytes(&P::Long, &bounds[&ROW_ID]).unwrap();
    assert_eq!(bound(&new[0].lower_bounds), Some(Datum::Long(3)));
    assert_eq!(bound(&new[0].upper_bounds), Some(Datum::Long(107)));
}

/// Row ids of version 3 are null for rows of the file's own snapshot, and kept by rows that came from others.
#[test]
fn row_lineage_is_written_down() {
    let mut fixture = Fixture::new();
    let io = fixture.table.io.clone();
    let lineage = |id, name: &str| NestedField::optional(id, name, P::Long);
    let (row_id, updated) = (2_147_483_540, 2_147_483_539);
    let mut columns = schema().columns().to_vec();
    columns.push(lineage(row_id, "_row_id"));
    columns.push(lineage(updated, "_last_updated_sequence_number"));
    let full = Schema::new(0, columns);
    let mut arrays = rows(&[1, 2, 3], false).1.columns().to_vec();
    arrays.push(Arc::new(Int64Array::from(vec![None, Some(7), None])));
    arrays.push(Arc::new(Int64Array::from(vec![None, Some(2), None])));
    let batch = RecordBatch::try_new(arrow_schema(&full).unwrap(), arrays).unwrap();
    let file = |data_file: DataFile, first_row_id, data_sequence_number| ScanFile {
        data_sequence_number,
        ..scan_file(DataFile {
            first_row_id: Some(first_row_id),
            ..data_file
        })
    };
    let files = [
        file(write(&io, "one", (full.clone(), batch)), 1_000, 5),
        file(write(&io, "two", rows(&[4, 5], false)), 2_000, 6),
    ];
    fixture.table.upgrade();
    let options = RewriteOptions::default();
    let (written, new) = fixture
        .rewrite(&inputs(&files, &[]), &schema(), options)
        .unwrap();
    let back = read(&io, &new[0].file_path, &written);
    let values = |column: usize| {
        back.column(column)
            .as_primitive::<Int64Type>()
            .values()
            .to_vec()
    };
    assert_eq!(values(2), [1_000, 7, 1_002, 2_000, 2_001]);
    assert_eq!(values(3), [5, 2, 5, 6, 6]);
}

fn threads() -> (Encoder, iceberg_lite::write::Spawn) {
    let spawn: iceberg_lite::write::Spawn = |work| std::thread::Builder::new().spawn(work);
    (
        Encoder::Threads(Arc::new(EncoderThreads::new(2, spawn))),
        spawn,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Files of any ids, each ascending, and read in any steps, by this or other threads.
    #[test]
    fn rows_of_files_that_overlap_come_in_order(
        places in prop::collection::vec((0..5_usize, 1..4_i64), 1..200),
        outputs in 1..4_usize,
        batch_size in 1..20_usize,
        has_threads in any::<bool>(),
    ) {
        let mut fixture = Fixture::new();
        let io = fixture.table.io.clone();
        let mut ids: [Vec<i64>; 5] = Default::default();
        let (mut next, mut all) = (0, Vec::new());
        for (place, gap) in places {
            next += gap;
            ids[place].push(next);
            all.push(next);
        }
        let named = ids.iter().enumerate().filter(|(_, ids)| !ids.is_empty());
        let files: Vec<_> = named
            .map(|(place, ids)| scan_file(write(&io, &format!("f{place}"), rows(ids, true))))
            .collect();
        let mut options = RewriteOptions {
            outputs,
            batch_size,
            ordered_by: Some(ROW_ID),
            ..RewriteOptions::default()
        };
        if has_threads {
            let (encoder, spawn) = threads();
            options.write = WriteOptions { encoder, inline_rows: 0, row_group_rows: 16, ..options.write };
            options.read_ahead = Some(spawn);
        }
        let (_, new) = fixture.rewrite(&inputs(&files, &[]), &schema(), options).unwrap();
        prop_assert_eq!(row_ids(&io, &new), all.clone());
        prop_assert!(new.len() <= outputs);
        let most = all.len().div_ceil(outputs) as i64;
        prop_assert!(new.iter().all(|file| file.record_count <= most));
    }
}

#[test]
fn nothing_is_written_where_all_rows_are_deleted() {
    let mut fixture = Fixture::new();
    let io = fixture.table.io.clone();
    let mut file = scan_file(write(&io, "one", rows(&[1, 2], true)));
    file.deletes
        .push(deletes(&io, "deletes", "one", &[0, 1]).into());
    let options = RewriteOptions::default();
    let (_, new) = fixture
        .rewrite(&inputs(&[file], &[]), &schema(), options)
        .unwrap();
    assert_eq!((new.len(), fixture.created.len()), (0, 0));
}

#[test]
fn rows_that_are_not_in_their_order_are_an_error() {
    let mut fixture = Fixture::new();
    let io = fixture.table.io.clone();
    let files = [scan_file(write(&io, "one", rows(&[3, 1, 2], true)))];
    let (_, spawn) = threads();
    for read_ahead in [None, Some(spawn)] {
        let options = RewriteOptions {
            ordered_by: Some(ROW_ID),
            read_ahead,
            ..RewriteOptions::default()
        };
        let error = fixture
            .rewrite(&inputs(&files, &[]), &with_row_ids(), options)
            .unwrap_err();
        assert!(
            matches!(&error, Error::InvalidData { path, .. } if path == "one"),
            "{error:?}"
        );
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let mut fixture = Fixture::new();
    let io = fixture.table.io.clone();
    let mut files = [
        scan_file(write(&io, "one", rows(&[1], true))),
        scan_file(write(&io, "two", rows(&[2], true))),
    ];
    let no_such_column = RewriteOptions {
        ordered_by: Some(77),
        ..RewriteOptions::default()
    };
    assert!(
        fixture
            .rewrite(&inputs(&files, &[]), &schema(), no_such_column)
            .is_err()
    );
    assert!(
        fixture
            .rewrite(&[], &schema(), RewriteOptions::default())
            .is_err()
    );
    Arc::make_mut(&mut files[1].data_file).partition_spec_id = 1;
    assert!(
        fixture
            .rewrite(&inputs(&files, &[]), &schema(), RewriteOptions::default())
            .is_err()
    );
}

#[test]
fn dropping_what_is_not_finished_stops_its_threads() {
    let fixture = Fixture::new();
    let io = fixture.table.io.clone();
    let numbers: Vec<i64> = (0..500).collect();
    let files = [scan_file(write(&io, "one", rows(&numbers, true)))];
    let (_, spawn) = threads();
    let options = RewriteOptions {
        batch_size: 3,
        read_ahead: Some(spawn),
        ..RewriteOptions::default()
    };
    let metadata = &fixture.table.metadata;
    let mut rewrite =
        Rewrite::new(&inputs(&files, &[]), metadata, &schema(), &io, options).unwrap();
    let mut create = || Ok(("new".to_owned(), io.create("new")?));
    assert!(rewrite.step(&mut create).unwrap());
    assert_eq!(rewrite.progress(), (3, 500));
    drop(rewrite);
}

pub fn table_rows(table: &Table) -> Vec<(i64, Option<String>)> {
    let snapshot = table.metadata.current_snapshot().unwrap();
    let schema = schema();
    let mut rows = Vec::new();
    for file in plan_files(&table.metadata, snapshot, &table.io).unwrap() {
        let options = ReadOptions {
            projection: vec![1, 2],
            ..ReadOptions::default()
        };
        for batch in file
            .open(&table.io, &table.metadata, &schema, options)
            .unwrap()
        {
            let batch = batch.unwrap().batch;
            let ids = batch.column(0).as_primitive::<Int64Type>();
            let kinds = batch.column(1).as_string::<i32>();
            rows.extend(
                ids.iter()
                    .zip(kinds)
                    .map(|(id, kind)| (id.unwrap(), kind.map(str::to_owned))),
            );
        }
    }
    rows.sort();
    rows
}

/// From the plan to the commit: the table has the same rows, in one file, and no deletes.
#[test]
fn a_table_is_compacted() {
    let mut fixture = Fixture::new();
    for number in 0..20_i64 {
        let path = path_of(&format!("f{number}"));
        let file = write(
            &fixture.table.io,
            &path,
            rows(&[number * 2, number * 2 + 1], true),
        );
        let mut delta = SnapshotDelta {
            added_data_files: vec![file.into()],
            ..SnapshotDelta::default()
        };
        if number % 4 == 3 {
            let about = path_of(&format!("f{}", number - 1));
            let deleted = deletes(
                &fixture.table.io,
                &path_of(&format!("d{number}")),
                &about,
                &[1],
            );
            delta.added_delete_files.push(deleted.into());
        }
        fixture.table.commit(&delta);
    }
    let before = table_rows(&fixture.table);
    assert_eq!(before.len(), 35);
    let metadata = fixture.table.metadata.clone();
    let files = plan_files(
        &metadata,
        metadata.current_snapshot().unwrap(),
        &fixture.table.io,
    )
    .unwrap();
    let rules = CompactionRules {
        extent: Extent::Everything,
        ..CompactionRules::new(1 << 20)
    };
    let groups = plan_compaction(&files, &rules);
    assert_eq!(groups.len(), 1);
    let mut compaction = Compaction::new(&metadata);
    for group in &groups {
        let inputs: Vec<_> = (group.files.iter())
            .map(|&index| RewriteInput {
                file: &files[index],
                fills: &[],
                deleted_rows: None,
            })
            .collect();
        let options = RewriteOptions {
            outputs: group.outputs,
            ordered_by: Some(ROW_ID),
            ..RewriteOptions::default()
        };
        let (_, new) = fixture.rewrite(&inputs, &schema(), options).unwrap();
        let new = new.into_iter().map(Arc::new).collect();
        compaction.push(&files, group, new).unwrap();
    }
    let mut table = fixture.table;
    table.commit(&compaction.delta());
    assert_eq!(table.live().len(), 1, "{:?}", table.live());
    assert_eq!(table_rows(&table), before);
    let names = FileMetadata::read(&table.io.open(&fixture.created[0], None).unwrap()).unwrap();
    assert_eq!(names.num_rows(), 35);
    let snapshot = table.metadata.current_snapshot().unwrap();
    let files = plan_files(&table.metadata, snapshot, &table.io).unwrap();
    assert!(plan_compaction(&files, &rules).is_empty());
}
