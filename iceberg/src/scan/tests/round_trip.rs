use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Int64Array, RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use parquet::basic::LogicalType;
use proptest::prelude::*;

use super::values::*;
use crate::scan::{DataFileReader, FileMetadata, ReadOptions, RowPositions, RowRanges};
use crate::spec::{
    Datum, NestedField, PartitionSpec, PrimitiveType, Schema, StructType, TableMetadata, Type,
};
use crate::write::{DataFileWriter, WriteOptions, arrow_schema};

fn rows_of_all_types(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec(any_row(all_types().columns()), count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_type_reads_back_as_written(
        rows in rows_of_all_types(1..150),
        batch_rows in 1_usize..60,
        batch_size in 1_usize..60,
    ) {
        let schema = all_types();
        let batch = to_batch(&schema, &rows);
        let parts: Vec<_> = (0..rows.len())
            .step_by(batch_rows)
            .map(|start| batch.slice(start, batch_rows.min(rows.len() - start)))
            .collect();
        let (file, data_file) = write(&schema, &parts, small_groups());
        prop_assert_eq!(data_file.record_count, i64::try_from(rows.len()).unwrap());

        let options = ReadOptions {
            projection: all_columns(&schema),
            batch_size,
            ..ReadOptions::default()
        };
        let batches = read(&file, &schema, options);
        let expected: Vec<_> = (0..rows.len() as u64).collect();
        prop_assert_eq!(positions(&batches), expected);
        prop_assert_eq!(joined(&batch.schema(), &batches), batch);
    }

    #[test]
    fn chosen_rows_of_chosen_columns_are_those_rows(
        rows in rows_of_all_types(1..120),
        chosen in prop::collection::vec(any::<bool>(), 120),
        deleted in prop::collection::vec(any::<bool>(), 120),
        columns in Just(all_columns(&all_types())).prop_shuffle(),
        count in 0_usize..6,
    ) {
        let schema = all_types();
        let batch = to_batch(&schema, &rows);
        let (file, _) = write(&schema, std::slice::from_ref(&batch), small_groups());
        let set = |flags: &[bool]| {
            RowRanges::from_positions((0..120).filter(|row| flags[*row as usize]))
        };
        let expected: Vec<u64> = (0..rows.len() as u64)
            .filter(|row| chosen[*row as usize] && !deleted[*row as usize])
            .collect();
        let projection = columns[..count].to_vec();
        let options = ReadOptions {
            projection: projection.clone(),
            batch_size: 16,
            rows: Some(set(&chosen)),
            deleted_rows: Some(Arc::new(set(&deleted))),
            ..ReadOptions::default()
        };
        let batches = read(&file, &schema, options);
        prop_assert_eq!(positions(&batches), expected.clone());
        if !projection.is_empty() {
            let places: Vec<_> = projection
                .iter()
                .map(|id| schema.columns().iter().position(|field| field.id == *id).unwrap())
                .collect();
            let projected = batch.project(&places).unwrap();
            let wanted = take_record_batch(&projected, &UInt64Array::from(expected)).unwrap();
            prop_assert_eq!(joined(&projected.schema(), &batches), wanted);
        }
    }
}

fn longs(count: i64) -> (Schema, RecordBatch) {
    let schema = Schema::new(
        0,
        vec![
            NestedField::required(1, "a", PrimitiveType::Long),
            NestedField::optional(2, "b", PrimitiveType::String),
        ],
    );
    let text = arrow::array::StringArray::from_iter_values(
        (0..count).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64))),
    );
    let columns: Vec<arrow::array::ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..count)),
        Arc::new(text),
    ];
    let batch = RecordBatch::try_new(arrow_schema(&schema).unwrap(), columns).unwrap();
    (schema, batch)
}

#[test]
fn without_columns_rows_are_counted_from_the_footer_alone() {
    let (schema, batch) = longs(1000);
    let (file, _) = write(&schema, &[batch], small_groups());
    let metadata = FileMetadata::read(&(Arc::clone(&file) as _)).unwrap();
    assert_eq!(metadata.num_rows(), 1000);
    file.reset();
    let options = ReadOptions {
        batch_size: 300,
        ..ReadOptions::default()
    };
    let reader =
        DataFileReader::with_metadata(Arc::clone(&file) as _, &metadata, &schema, options).unwrap();
    let rows: usize = reader.map(|batch| batch.unwrap().batch.num_rows()).sum();
    assert_eq!(rows, 1000);
    assert_eq!(file.reads.load(Ordering::Relaxed), 0);
}

#[test]
fn one_row_is_fetched_by_reading_little() {
    let (schema, batch) = longs(300_000);
    let (file, _) = write(&schema, &[batch], WriteOptions::default());
    let metadata = FileMetadata::read(&(Arc::clone(&file) as _)).unwrap();
    file.reset();
    let options = ReadOptions {
        projection: vec![2, 1],
        rows: Some(RowRanges::from_positions([200_001])),
        ..ReadOptions::default()
    };
    let reader =
        DataFileReader::with_metadata(Arc::clone(&file) as _, &metadata, &schema, options).unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].positions, RowPositions::Range(200_001..200_002));
    let read = file.bytes_read.load(Ordering::Relaxed);
    assert!(
        read * 3 < file.bytes.len() as u64,
        "{read} of {}",
        file.bytes.len()
    );
}

#[test]
fn what_comes_next_is_fetched_ahead() {
    let (schema, batch) = longs(200);
    let (file, _) = write(&schema, &[batch], small_groups());
    let metadata = FileMetadata::read(&(Arc::clone(&file) as _)).unwrap();
    file.reset();
    let options = ReadOptions {
        projection: vec![1, 2],
        batch_size: 10,
        ..ReadOptions::default()
    };
    let mut reader =
        DataFileReader::with_metadata(Arc::clone(&file) as _, &metadata, &schema, options).unwrap();
    let ranges =
        |ranges: &std::sync::Mutex<Vec<std::ops::Range<u64>>>| ranges.lock().unwrap().clone();
    reader.next().unwrap().unwrap();
    // Of five row groups, the first is read.
    assert_eq!(ranges(&file.prepared).len(), 2);
    assert_eq!(ranges(&file.prefetched).len(), 4);
    reader.next().unwrap().unwrap();
    assert_eq!(ranges(&file.prefetched).len(), 4);
    for batch in reader {
        batch.unwrap();
    }
    assert_eq!(ranges(&file.prepared)[2..], ranges(&file.prefetched));
}

#[test]
fn sequential_reading_fetches_every_byte_once_in_few_reads() {
    let (schema, batch) = longs(300_000);
    let options = WriteOptions {
        page_rows: 500,
        ..WriteOptions::default()
    };
    let (file, _) = write(&schema, &[batch], options);
    let metadata = FileMetadata::read(&(Arc::clone(&file) as _)).unwrap();
    file.reset();
    let options = ReadOptions {
        projection: vec![1, 2],
        ..ReadOptions::default()
    };
    let reader =
        DataFileReader::with_metadata(Arc::clone(&file) as _, &metadata, &schema, options).unwrap();
    assert_eq!(
        reader
            .map(|batch| batch.unwrap().batch.num_rows())
            .sum::<usize>(),
        300_000
    );
    let (reads, bytes) = (
        file.reads.load(Ordering::Relaxed),
        file.bytes_read.load(Ordering::Relaxed),
    );
    assert!(reads < 60, "{reads} reads");
    assert!(
        bytes < file.bytes.len() as u64 * 5 / 4,
        "{bytes} of {}",
        file.bytes.len()
    );
}

#[test]
fn an_empty_file_has_no_rows_and_no_bounds() {
    let schema = all_types();
    let (file, data_file) = write(&schema, &[to_batch(&schema, &[])], WriteOptions::default());
    assert_eq!(data_file.record_count, 0);
    assert!(data_file.lower_bounds.is_empty() && data_file.upper_bounds.is_empty());
    let options = ReadOptions {
        projection: all_columns(&schema),
        ..ReadOptions::default()
    };
    assert!(read(&file, &schema, options).is_empty());
}

#[test]
fn names_of_the_batch_do_not_matter_but_types_and_nulls_do() {
    let schema = Schema::new(0, vec![NestedField::required(1, "a", PrimitiveType::Long)]);
    let batch = |array: Int64Array| {
        let field = Field::new("other", DataType::Int64, true);
        RecordBatch::try_new(
            Arc::new(ArrowSchema::new(vec![field])),
            vec![Arc::new(array)],
        )
        .unwrap()
    };
    let (file, _) = write(
        &schema,
        &[batch(vec![1, 2].into())],
        WriteOptions::default(),
    );
    let options = ReadOptions {
        projection: vec![1],
        ..ReadOptions::default()
    };
    assert_eq!(
        read(&file, &schema, options)[0].batch.schema(),
        arrow_schema(&schema).unwrap()
    );

    let output = super::memory_io::MemoryOutput::default();
    let mut writer = DataFileWriter::new(
        &schema,
        "p".into(),
        Box::new(output),
        WriteOptions::default(),
    )
    .unwrap();
    let error = writer
        .write(&batch(vec![Some(1), None].into()))
        .unwrap_err();
    assert!(format!("{error:?}").contains("required"), "{error:?}");
    let wrong = arrow::array::Int32Array::from(vec![1]);
    let wrong = RecordBatch::try_from_iter([("a", Arc::new(wrong) as _)]).unwrap();
    assert!(writer.write(&wrong).is_err());
}

#[test]
fn the_parquet_schema_has_ids_and_logical_types() {
    let schema = all_types();
    let (file, _) = write(&schema, &[to_batch(&schema, &[])], WriteOptions::default());
    let metadata = FileMetadata::read(&(file as _)).unwrap();
    let leaves = metadata.parquet().file_metadata().schema_descr();
    let leaf = |path: &str| {
        leaves
            .columns()
            .iter()
            .find(|leaf| leaf.path().string() == path)
            .unwrap()
            .clone()
    };
    assert_eq!(leaf("c16").logical_type_ref(), Some(&LogicalType::Uuid));
    assert_eq!(leaf("c16").self_type().get_basic_info().id(), 16);
    assert_eq!(
        leaf("map.key_value.value.list.element")
            .self_type()
            .get_basic_info()
            .id(),
        63
    );
    assert_eq!(
        leaf("points.list.element.x")
            .self_type()
            .get_basic_info()
            .id(),
        101
    );
    assert!(
        matches!(leaf("c12").logical_type_ref(), Some(LogicalType::Timestamp(t)) if t.is_adjusted_to_u_t_c)
    );
}

#[test]
fn readers_and_writers_go_where_they_must() {
    fn is_send<T: Send>() {}
    fn is_shareable<T: Send + Sync + Clone>() {}
    is_send::<DataFileReader>();
    is_shareable::<FileMetadata>();
}

/// `depth` structs within one another around an `int`, with ids from 1 on.
fn deep_schema(depth: i32) -> Schema {
    let wrap = |inner: Type, level: i32| {
        let field = NestedField::optional(level + 1, format!("f{level}"), inner);
        Type::Struct(StructType::new(vec![field]))
    };
    let innermost = Type::Primitive(PrimitiveType::Int);
    let column = (1..=depth).rev().fold(innermost, wrap);
    Schema::new(0, vec![NestedField::optional(1, "c", column)])
}

#[test]
fn structs_eighty_deep_are_written_and_read() {
    for depth in [60, 80] {
        let schema = deep_schema(depth);
        let metadata = TableMetadata::new_table(
            schema.clone(),
            PartitionSpec::unpartitioned(),
            "/t",
            Default::default(),
            uuid::Uuid::from_u128(1),
            0,
        );
        let text = metadata.to_json().unwrap();
        assert_eq!(TableMetadata::from_json("f", &text).unwrap(), metadata);

        let value = |n| {
            let innermost = Some(Value::Primitive(Datum::Int(n)));
            (0..depth).fold(innermost, |inner, _| Some(Value::Struct(vec![inner])))
        };
        let rows = [vec![value(7)], vec![None], vec![value(8)]];
        let batch = to_batch(&schema, &rows);
        let (file, _) = write(&schema, std::slice::from_ref(&batch), small_groups());
        let options = ReadOptions {
            projection: vec![1],
            ..ReadOptions::default()
        };
        let batches = read(&file, &schema, options);
        assert_eq!(joined(&batch.schema(), &batches), batch);
    }
}

#[test]
fn structs_nested_beyond_the_bound_are_refused() {
    let schema = deep_schema(100).to_json();
    let metadata = serde_json::json!({"format-version": 1, "schema": schema});
    let error = TableMetadata::from_json("f", metadata.to_string().as_bytes()).unwrap_err();
    assert!(
        error.to_string().contains("nested more than 256 levels"),
        "{error}"
    );
}
