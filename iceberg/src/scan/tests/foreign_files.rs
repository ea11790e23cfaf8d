//! Files as other writers lay them out.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{
    Decimal128Type, Int32Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
};
use parquet::arrow::ArrowWriter;
use parquet::data_type::{
    ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int32Type as I32,
    Int64Type as I64, Int96, Int96Type,
};
use parquet::file::metadata::{ParquetMetaDataReader, ParquetMetaDataWriter};
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedFileWriter, TrackedWrite};
use parquet::schema::parser::parse_message_type;

use super::memory_io::MemoryFile;
use super::values::*;
use crate::expr::{CompareOp, Literal, Predicate};
use crate::scan::{DataFileReader, NameMapping, ReadOptions};
use crate::spec::{ListType, MapType, NestedField, PrimitiveType as P, Schema, StructType, Type};

/// A column's values with its definition and repetition levels.
type Leaf<'a, T> = (&'a [T], Option<&'a [i16]>, Option<&'a [i16]>);

/// A file of one column.
fn file_of<T: DataType>(message: &str, leaf: Leaf<'_, T::T>) -> Arc<MemoryFile> {
    let schema = Arc::new(parse_message_type(message).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
    let mut row_group = writer.next_row_group().unwrap();
    let mut column = row_group.next_column().unwrap().unwrap();
    column
        .typed::<T>()
        .write_batch(leaf.0, leaf.1, leaf.2)
        .unwrap();
    column.close().unwrap();
    row_group.close().unwrap();
    writer.close().unwrap();
    MemoryFile::new(bytes)
}

fn column(file: &Arc<MemoryFile>, field_type: impl Into<Type>) -> ArrayRef {
    let schema = Schema::new(0, vec![NestedField::optional(1, "c", field_type)]);
    let options = ReadOptions {
        projection: vec![1],
        ..ReadOptions::default()
    };
    let batches = read(file, &schema, options);
    assert_eq!(batches.len(), 1);
    Arc::clone(batches[0].batch.column(0))
}

#[test]
fn int96_timestamps_are_read_in_microseconds_over_their_whole_range() {
    let mut far = Int96::new();
    // 0001-01-01 is Julian day 1721426; the value is one second after its midnight.
    far.set_data(1_000_000_000, 0, 1_721_426);
    let mut epoch = Int96::new();
    epoch.set_data(5_000, 0, 2_440_588);
    let file = file_of::<Int96Type>(
        "message m { required int96 c = 1; }",
        (&[far, epoch], None, None),
    );
    for field_type in [P::Timestamptz, P::Timestamp] {
        let values = column(&file, field_type);
        let values = values.as_primitive::<TimestampMicrosecondType>();
        assert_eq!(values.values().to_vec(), [-62_135_596_799_000_000, 5]);
    }
}

#[test]
fn two_level_lists_are_lists() {
    let message = "message m { optional group c (LIST) = 1 { repeated int32 array = 2; } }";
    // [1, 2], NULL, [], [3]
    let levels: (&[i16], &[i16]) = (&[2, 2, 0, 1, 2], &[0, 1, 0, 0, 0]);
    let file = file_of::<I32>(message, (&[1, 2, 3], Some(levels.0), Some(levels.1)));
    let lists = column(&file, ListType::new(2, P::Int, false));
    let lists = lists.as_list::<i32>();
    assert_eq!(lists.len(), 4);
    assert!(lists.is_null(1));
    let value = |row| {
        lists
            .value(row)
            .as_primitive::<Int32Type>()
            .values()
            .to_vec()
    };
    assert_eq!(
        (value(0), value(2), value(3)),
        (vec![1, 2], vec![], vec![3])
    );
    let promoted = column(&file, ListType::new(2, P::Long, false));
    let last = promoted.as_list::<i32>().value(3);
    assert_eq!(last.as_primitive::<Int64Type>().values().to_vec(), [3]);
}

#[test]
fn lists_whose_group_is_named_otherwise_are_lists() {
    let message = "message m { optional group c (LIST) = 1 { repeated group bag = 7 {
        optional binary array_element (STRING) = 2; } } }";
    let levels: (&[i16], &[i16]) = (&[3, 2], &[0, 1]);
    let values = [ByteArray::from("a")];
    let file = file_of::<ByteArrayType>(message, (&values, Some(levels.0), Some(levels.1)));
    let lists = column(&file, ListType::new(2, P::String, false));
    let elements = lists.as_list::<i32>().value(0);
    assert_eq!(
        elements.as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some("a"), None]
    );
}

#[test]
fn decimals_are_read_from_every_physical_type() {
    let decimal = P::Decimal {
        precision: 20,
        scale: 2,
    };
    let check = |file: Arc<MemoryFile>| {
        let values = column(&file, decimal.clone());
        assert_eq!(
            values.as_primitive::<Decimal128Type>().values().to_vec(),
            [-150, 99]
        );
        let schema = Schema::new(0, vec![NestedField::optional(1, "c", decimal.clone())]);
        let value = Literal::Decimal {
            unscaled: 98,
            precision: 20,
            scale: 2,
        };
        let options = ReadOptions {
            projection: vec![1],
            predicate: Some(Predicate::Compare {
                field_id: 1,
                op: CompareOp::Gt,
                value,
            }),
            ..ReadOptions::default()
        };
        assert_eq!(positions(&read(&file, &schema, options)), [1]);
    };
    let message = |physical: &str, precision: i32| {
        format!("message m {{ required {physical} c (DECIMAL({precision}, 2)) = 1; }}")
    };
    check(file_of::<I32>(
        &message("int32", 9),
        (&[-150, 99], None, None),
    ));
    check(file_of::<I64>(
        &message("int64", 18),
        (&[-150, 99], None, None),
    ));
    let bytes = |value: i128, length: usize| value.to_be_bytes()[16 - length..].to_vec();
    let values = [-150, 99].map(|v| FixedLenByteArray::from(bytes(v, 9)));
    check(file_of::<FixedLenByteArrayType>(
        &message("fixed_len_byte_array (9)", 20),
        (&values, None, None),
    ));
    let values = [-150, 99].map(|v| ByteArray::from(bytes(v, 2)));
    check(file_of::<ByteArrayType>(
        &message("binary", 20),
        (&values, None, None),
    ));
}

#[test]
fn uuids_are_read_with_and_without_the_logical_type() {
    let values = [FixedLenByteArray::from(vec![7; 16])];
    for annotation in ["", "(UUID)"] {
        let message =
            format!("message m {{ required fixed_len_byte_array(16) c {annotation} = 1; }}");
        let file = file_of::<FixedLenByteArrayType>(&message, (&values, None, None));
        assert_eq!(
            column(&file, P::Uuid).as_fixed_size_binary().value(0),
            [7; 16]
        );
    }
}

#[test]
fn milliseconds_nanoseconds_and_small_integers_are_converted() {
    let millis = "message m { required int64 c (TIMESTAMP(MILLIS, true)) = 1; }";
    let file = file_of::<I64>(millis, (&[-1], None, None));
    let values = column(&file, P::Timestamptz);
    assert_eq!(
        values.as_primitive::<TimestampMicrosecondType>().value(0),
        -1000
    );
    let time = "message m { required int32 c (TIME(MILLIS, false)) = 1; }";
    let values = column(&file_of::<I32>(time, (&[5], None, None)), P::Time);
    assert_eq!(
        values.as_primitive::<Time64MicrosecondType>().value(0),
        5000
    );
    let unsigned = "message m { required int32 c (INTEGER(32, false)) = 1; }";
    let file = file_of::<I32>(unsigned, (&[-1, 3], None, None));
    let values = column(&file, P::Long);
    assert_eq!(
        values.as_primitive::<Int64Type>().values().to_vec(),
        [4_294_967_295, 3]
    );
    let schema = Schema::new(0, vec![NestedField::optional(1, "c", P::Long)]);
    let options = ReadOptions {
        projection: vec![1],
        predicate: Some(Predicate::Compare {
            field_id: 1,
            op: CompareOp::Gt,
            value: Literal::Long(4_000_000_000),
        }),
        ..ReadOptions::default()
    };
    assert_eq!(positions(&read(&file, &schema, options)), [0]);
}

#[test]
fn strings_without_annotation_are_strings_if_they_are_utf8() {
    let message = "message m { required binary c = 1; }";
    let file = file_of::<ByteArrayType>(message, (&[ByteArray::from("é")], None, None));
    assert_eq!(column(&file, P::String).as_string::<i32>().value(0), "é");
    let file = file_of::<ByteArrayType>(message, (&[ByteArray::from(vec![0xff])], None, None));
    let schema = Schema::new(0, vec![NestedField::optional(1, "c", P::String)]);
    let options = ReadOptions {
        projection: vec![1],
        ..ReadOptions::default()
    };
    let mut reader = DataFileReader::open(file as _, &schema, options).unwrap();
    assert!(reader.next().unwrap().is_err());
    assert!(reader.next().is_none());
}

/// A file without field ids, with an embedded Arrow schema.
fn file_without_ids() -> Arc<MemoryFile> {
    let words = StringArray::from(vec!["x", "y", "x"]);
    let words = arrow::compute::cast(
        &words,
        &arrow::datatypes::DataType::Dictionary(
            Box::new(arrow::datatypes::DataType::Int8),
            Box::new(arrow::datatypes::DataType::Utf8),
        ),
    )
    .unwrap();
    let point: ArrayRef = Arc::new(arrow::array::StructArray::from(vec![(
        Arc::new(arrow::datatypes::Field::new(
            "x",
            arrow::datatypes::DataType::Int32,
            false,
        )),
        Arc::new(Int32Array::from(vec![4, 5, 6])) as ArrayRef,
    )]));
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    let batch =
        RecordBatch::try_from_iter([("n", numbers), ("word", words), ("point", point)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    MemoryFile::new(bytes)
}

#[test]
fn files_without_ids_are_read_by_the_name_mapping() {
    let file = file_without_ids();
    let point = StructType::new(vec![NestedField::optional(4, "renamed", P::Int)]);
    let schema = Schema::new(
        0,
        vec![
            NestedField::optional(1, "number", P::Int),
            NestedField::optional(2, "word", P::String),
            NestedField::optional(3, "point", point),
            NestedField::optional(5, "map", MapType::new(6, P::Int, 7, P::Int, true)),
        ],
    );
    let mapping = NameMapping::parse(
        r#"[{"field-id": 1, "names": ["number", "n"]}, {"field-id": 2, "names": ["word"]},
            {"field-id": 3, "names": ["point"], "fields": [{"field-id": 4, "names": ["x"]}]}]"#,
    )
    .unwrap();
    let options = ReadOptions {
        projection: vec![1, 2, 3, 5],
        name_mapping: Some(Arc::new(mapping)),
        ..ReadOptions::default()
    };
    let batches = read(&file, &schema, options.clone());
    let batch = &batches[0].batch;
    assert_eq!(
        batch
            .column(0)
            .as_primitive::<Int32Type>()
            .values()
            .to_vec(),
        [1, 2, 3]
    );
    assert_eq!(batch.column(1).as_string::<i32>().value(2), "x");
    let x = batch.column(2).as_struct().column(0);
    assert_eq!(x.as_primitive::<Int32Type>().values().to_vec(), [4, 5, 6]);
    assert_eq!(batch.column(3).null_count(), 3);
}

#[test]
fn files_without_ids_nor_name_mapping_are_read_by_position() {
    let file = file_without_ids();
    let point = StructType::new(vec![
        NestedField::optional(14, "renamed", P::Long),
        NestedField::optional(15, "later", P::Int),
    ]);
    let schema = Schema::new(
        0,
        vec![
            NestedField::optional(3, "point", point),
            NestedField::optional(1, "number", P::Int),
            NestedField::optional(2, "text", P::String),
            NestedField::optional(4, "later", P::Int),
        ],
    );
    let options = ReadOptions {
        projection: vec![1, 2, 3, 4],
        ..ReadOptions::default()
    };
    let batches = read(&file, &schema, options);
    let batch = &batches[0].batch;
    let numbers = batch.column(0).as_primitive::<Int32Type>();
    assert_eq!(numbers.values().to_vec(), [1, 2, 3]);
    assert_eq!(batch.column(1).as_string::<i32>().value(1), "y");
    let point = batch.column(2).as_struct();
    let x = point.column(0).as_primitive::<Int64Type>();
    assert_eq!(x.values().to_vec(), [4, 5, 6]);
    assert_eq!(point.column(1).null_count(), 3);
    assert_eq!(batch.column(3).null_count(), 3);

    let wrong = Schema::new(0, vec![NestedField::optional(1, "number", P::String)]);
    let options = ReadOptions {
        projection: vec![1],
        ..ReadOptions::default()
    };
    let error = DataFileReader::open(file as _, &wrong, options).err();
    assert!(
        matches!(error, Some(crate::Error::InvalidData { .. })),
        "{error:?}"
    );
}

/// What the footer says of the first column chunk, replaced: the codec stands there as a number.
fn with_codec(file: &MemoryFile, codec: u8) -> Arc<MemoryFile> {
    // ColumnMetaData: type, encodings, path, then codec, a field one after the path, of type i32.
    let mut bytes = file.bytes.clone();
    let path = b"\x18\x01c\x15";
    let at = bytes
        .windows(path.len())
        .rposition(|window| window == path)
        .unwrap();
    bytes[at + path.len()] = codec << 1;
    MemoryFile::new(bytes)
}

#[test]
fn codecs_that_are_not_built_in_are_named() {
    let file = file_of::<I32>("message m { required int32 c = 1; }", (&[5], None, None));
    assert_eq!(column(&with_codec(&file, 0), P::Int).len(), 1);
    let schema = Schema::new(0, vec![NestedField::optional(1, "c", P::Int)]);
    for (code, codec) in [(4, "brotli"), (3, "lzo")] {
        let file = with_codec(&file, code);
        let options = ReadOptions {
            projection: vec![1],
            ..ReadOptions::default()
        };
        let error = DataFileReader::open(Arc::clone(&file) as _, &schema, options).err();
        let expected =
            format!("not supported: column \"c\" of data file \"memory\" compressed with {codec}");
        assert_eq!(error.unwrap().to_string(), expected);
        // Rows are counted without it.
        let batches = read(&file, &schema, ReadOptions::default());
        assert_eq!(batches[0].batch.num_rows(), 1);
    }
}

#[test]
fn encrypted_files_are_named_as_such() {
    let schema = Schema::default();
    for bytes in [&b"AGS1 and so on"[..], b"PAR1 and so on \0\0\0\0PARE"] {
        let file = MemoryFile::new(bytes.to_vec());
        let error = DataFileReader::open(file as _, &schema, ReadOptions::default()).err();
        let expected = "not supported: encrypted file \"memory\"";
        assert_eq!(error.unwrap().to_string(), expected);
    }
}

/// The file with statistics that do not count nulls.
fn without_null_counts(file: &MemoryFile) -> Arc<MemoryFile> {
    let bytes = bytes::Bytes::from(file.bytes.clone());
    let metadata = ParquetMetaDataReader::new()
        .parse_and_finish(&bytes)
        .unwrap();
    let mut builder = metadata.clone().into_builder();
    for row_group in builder.take_row_groups() {
        let mut row_group = row_group.into_builder();
        for column in row_group.take_columns() {
            let (min, max) = match column.statistics() {
                Some(Statistics::Int32(known)) => {
                    (known.min_opt().copied(), known.max_opt().copied())
                }
                other => unreachable!("{other:?}"),
            };
            let statistics = Statistics::int32(min, max, None, None, false);
            let column = column.into_builder().set_statistics(statistics);
            // The page index counts nulls too.
            let column = column
                .set_column_index_offset(None)
                .set_column_index_length(None);
            let column = column
                .set_offset_index_offset(None)
                .set_offset_index_length(None);
            row_group = row_group.add_column_metadata(column.build().unwrap());
        }
        builder = builder.add_row_group(row_group.build().unwrap());
    }
    let metadata = builder.build();
    let mut changed = file.bytes.clone();
    let footer = u32::from_le_bytes(changed[changed.len() - 8..][..4].try_into().unwrap());
    changed.truncate(changed.len() - 8 - footer as usize);
    let writer = TrackedWrite::new(&mut changed);
    ParquetMetaDataWriter::new_with_tracked(writer, &metadata)
        .finish()
        .unwrap();
    MemoryFile::new(changed)
}

#[test]
fn statistics_that_do_not_count_nulls_do_not_say_that_there_are_none() {
    let message = "message m { optional int32 c = 1; }";
    let file = file_of::<I32>(message, (&[5, 7], Some(&[1, 0, 1]), None));
    let file = without_null_counts(&file);
    let schema = Schema::new(0, vec![NestedField::optional(1, "c", P::Int)]);
    let found = |predicate: Predicate| {
        let options = ReadOptions {
            projection: vec![1],
            predicate: Some(predicate),
            ..ReadOptions::default()
        };
        positions(&read(&file, &schema, options))
    };
    assert_eq!(found(Predicate::IsNull { field_id: 1 }), [1]);
    let beyond = Predicate::Compare {
        field_id: 1,
        op: CompareOp::Gt,
        value: Literal::Int(7),
    };
    assert_eq!(found(beyond), [0; 0]);
}
