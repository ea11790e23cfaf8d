//! Rows of any type, as plain values and as Arrow batches.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, TimeUnit};
use proptest::prelude::*;

use super::memory_io::{MemoryFile, MemoryOutput};
use crate::manifest::DataFile;
use crate::scan::{DataFileReader, FileBatch, ReadOptions};
use crate::spec::{Datum, ListType, MapType, NestedField, PrimitiveType, Schema, StructType, Type};
use crate::write::{DataFileWriter, WriteOptions, arrow_schema};

/// A value that is not NULL.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Primitive(Datum),
    Struct(Vec<Option<Value>>),
    List(Vec<Option<Value>>),
    Map(Vec<(Value, Option<Value>)>),
}

pub(super) type Row = Vec<Option<Value>>;

/// A schema of every type, nested ones among them; the first column is `c1`, with id 1.
pub(super) fn all_types() -> Schema {
    use PrimitiveType as P;
    let primitives = [
        P::Boolean,
        P::Int,
        P::Long,
        P::Float,
        P::Double,
        P::Decimal {
            precision: 7,
            scale: 2,
        },
        P::Decimal {
            precision: 15,
            scale: 2,
        },
        P::Decimal {
            precision: 38,
            scale: 10,
        },
        P::Date,
        P::Time,
        P::Timestamp,
        P::Timestamptz,
        P::TimestampNs,
        P::TimestamptzNs,
        P::String,
        P::Uuid,
        P::Fixed(5),
        P::Binary,
    ];
    let mut fields: Vec<_> = (1..)
        .zip(primitives)
        .map(|(id, primitive)| NestedField::optional(id, format!("c{id}"), primitive))
        .collect();
    fields.push(NestedField::required(19, "required", P::Long));
    let point = StructType::new(vec![
        NestedField::optional(31, "x", P::Double),
        NestedField::required(32, "y", P::Int),
        NestedField::optional(33, "tags", ListType::new(34, P::String, false)),
    ]);
    let deep = ListType::new(41, ListType::new(42, P::Float, false), false);
    let points = ListType::new(51, point.clone(), true);
    let map = MapType::new(61, P::String, 62, ListType::new(63, P::Uuid, false), false);
    fields.push(NestedField::optional(30, "point", renumber(&point, 0)));
    fields.push(NestedField::optional(40, "deep", deep));
    fields.push(NestedField::optional(50, "points", {
        ListType {
            element: Box::new(renumber(&points.element_struct(), 70).into()),
            ..points
        }
    }));
    fields.push(NestedField::optional(60, "map", map));
    fields.push(NestedField::required(
        80,
        "ints",
        ListType::new(81, P::Int, true),
    ));
    Schema::new(0, fields)
}

impl ListType {
    fn element_struct(&self) -> StructType {
        match &*self.element {
            Type::Struct(fields) => fields.clone(),
            _ => StructType::default(),
        }
    }
}

/// The struct with ids raised by `by`.
fn renumber(fields: &StructType, by: i32) -> StructType {
    let mut fields = fields.clone();
    for field in &mut fields.fields {
        field.id += by;
        if let Type::List(list) = &mut field.field_type {
            list.element_id += by;
        }
    }
    fields
}

pub(super) fn any_datum(primitive: &PrimitiveType) -> BoxedStrategy<Datum> {
    use PrimitiveType as P;
    match primitive {
        P::Boolean => any::<bool>().prop_map(Datum::Boolean).boxed(),
        P::Int => prop_oneof![-3..3_i32, any::<i32>()]
            .prop_map(Datum::Int)
            .boxed(),
        P::Long => prop_oneof![-3..3_i64, any::<i64>()]
            .prop_map(Datum::Long)
            .boxed(),
        P::Float => prop_oneof![
            Just(f32::NAN),
            Just(-0.0),
            Just(0.0),
            Just(f32::INFINITY),
            -2.0..2.0_f32
        ]
        .prop_map(Datum::Float)
        .boxed(),
        P::Double => prop_oneof![
            Just(f64::NAN),
            Just(-0.0),
            Just(0.0),
            Just(f64::NEG_INFINITY),
            -2.0..2.0_f64
        ]
        .prop_map(Datum::Double)
        .boxed(),
        &P::Decimal { precision, scale } => {
            let limit = 10_i128.pow(precision) - 1;
            prop_oneof![-200..200_i128, -limit..=limit]
                .prop_map(move |unscaled| Datum::Decimal {
                    unscaled,
                    precision,
                    scale,
                })
                .boxed()
        }
        P::Date => prop_oneof![-3..3_i32, any::<i32>()]
            .prop_map(Datum::Date)
            .boxed(),
        P::Time => (0..86_400_000_000_i64).prop_map(Datum::Time).boxed(),
        P::Timestamp => any::<i64>().prop_map(Datum::Timestamp).boxed(),
        P::Timestamptz => any::<i64>().prop_map(Datum::Timestamptz).boxed(),
        P::TimestampNs => any::<i64>().prop_map(Datum::TimestampNs).boxed(),
        P::TimestamptzNs => any::<i64>().prop_map(Datum::TimestamptzNs).boxed(),
        P::String => prop_oneof![
            "[ab]{0,2}",
            "é{14,40}",
            "\u{10ffff}{14,18}",
            any::<String>(),
            "[a-z]{60,90}"
        ]
        .prop_map(Datum::String)
        .boxed(),
        P::Uuid => any::<u128>()
            .prop_map(|v| Datum::Uuid(uuid::Uuid::from_u128(v)))
            .boxed(),
        P::Fixed(length) => {
            let length = usize::try_from(*length).unwrap();
            prop::collection::vec(any::<u8>(), length)
                .prop_map(Datum::Fixed)
                .boxed()
        }
        P::Binary => prop_oneof![
            prop::collection::vec(any::<u8>(), 0..5),
            prop::collection::vec(Just(0xff), 10..80),
            prop::collection::vec(any::<u8>(), 14..80)
        ]
        .prop_map(Datum::Binary)
        .boxed(),
        other => unreachable!("no values of {other}"),
    }
}

fn any_value(value_type: &Type) -> BoxedStrategy<Value> {
    match value_type {
        Type::Primitive(primitive) => any_datum(primitive).prop_map(Value::Primitive).boxed(),
        Type::Struct(fields) => any_row(&fields.fields).prop_map(Value::Struct).boxed(),
        Type::List(list) => {
            let element = nullable(&list.element, list.element_required);
            prop::collection::vec(element, 0..4)
                .prop_map(Value::List)
                .boxed()
        }
        Type::Map(map) => {
            let entry = (
                any_value(&map.key),
                nullable(&map.value, map.value_required),
            );
            prop::collection::vec(entry, 0..4)
                .prop_map(Value::Map)
                .boxed()
        }
    }
}

fn nullable(value_type: &Type, required: bool) -> BoxedStrategy<Option<Value>> {
    if required {
        any_value(value_type).prop_map(Some).boxed()
    } else {
        prop::option::weighted(0.7, any_value(value_type)).boxed()
    }
}

/// A row of these fields.
pub(super) fn any_row(fields: &[NestedField]) -> BoxedStrategy<Row> {
    let columns: Vec<_> = fields
        .iter()
        .map(|f| nullable(&f.field_type, f.required))
        .collect();
    columns.boxed()
}

/// Rows as a batch of the schema's Arrow types.
pub(super) fn to_batch(schema: &Schema, rows: &[Row]) -> RecordBatch {
    let arrow = arrow_schema(schema).unwrap();
    let columns = arrow
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let values: Vec<_> = rows.iter().map(|row| row[index].as_ref()).collect();
            to_array(field.data_type(), &values)
        })
        .collect();
    RecordBatch::try_new(arrow, columns).unwrap()
}

macro_rules! primitive_array {
    ($array:ty, $variant:ident, $values:expr) => {
        <$array>::from_iter($values.iter().map(|value| match value {
            Some(Value::Primitive(Datum::$variant(value))) => Some(value.clone()),
            None => None,
            other => unreachable!("{other:?}"),
        }))
    };
}

fn to_array(data_type: &DataType, values: &[Option<&Value>]) -> ArrayRef {
    let nulls = NullBuffer::from_iter(values.iter().map(Option::is_some));
    let fixed = |length| {
        let bytes = values.iter().map(|value| match value {
            Some(Value::Primitive(Datum::Uuid(value))) => Some(value.as_bytes().to_vec()),
            Some(Value::Primitive(Datum::Fixed(value))) => Some(value.clone()),
            _ => None,
        });
        FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes, length).unwrap()
    };
    match data_type {
        DataType::Boolean => Arc::new(primitive_array!(BooleanArray, Boolean, values)),
        DataType::Int32 => Arc::new(primitive_array!(Int32Array, Int, values)),
        DataType::Int64 => Arc::new(primitive_array!(Int64Array, Long, values)),
        DataType::Float32 => Arc::new(primitive_array!(Float32Array, Float, values)),
        DataType::Float64 => Arc::new(primitive_array!(Float64Array, Double, values)),
        DataType::Decimal128(precision, scale) => {
            let values = values.iter().map(|value| match value {
                Some(Value::Primitive(Datum::Decimal { unscaled, .. })) => Some(*unscaled),
                _ => None,
            });
            let array = Decimal128Array::from_iter(values);
            Arc::new(array.with_precision_and_scale(*precision, *scale).unwrap())
        }
        DataType::Date32 => Arc::new(primitive_array!(Date32Array, Date, values)),
        DataType::Time64(_) => Arc::new(primitive_array!(Time64MicrosecondArray, Time, values)),
        DataType::Timestamp(TimeUnit::Microsecond, None) => Arc::new(primitive_array!(
            TimestampMicrosecondArray,
            Timestamp,
            values
        )),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Arc::new(
            primitive_array!(TimestampMicrosecondArray, Timestamptz, values).with_timezone("UTC"),
        ),
        DataType::Timestamp(_, None) => Arc::new(primitive_array!(
            TimestampNanosecondArray,
            TimestampNs,
            values
        )),
        DataType::Timestamp(_, Some(_)) => Arc::new(
            primitive_array!(TimestampNanosecondArray, TimestamptzNs, values).with_timezone("UTC"),
        ),
        DataType::Utf8 => Arc::new(primitive_array!(StringArray, String, values)),
        DataType::Binary => Arc::new(primitive_array!(BinaryArray, Binary, values)),
        DataType::FixedSizeBinary(length) => Arc::new(fixed(*length)),
        DataType::Struct(fields) => {
            let columns = fields
                .iter()
                .enumerate()
                .map(|(index, field)| {
                    let children: Vec<_> = values
                        .iter()
                        .map(|value| match value {
                            Some(Value::Struct(fields)) => fields[index].as_ref(),
                            _ => None,
                        })
                        .collect();
                    to_array(field.data_type(), &children)
                })
                .collect();
            Arc::new(StructArray::new(fields.clone(), columns, Some(nulls)))
        }
        DataType::List(element) => {
            let elements: Vec<&[Option<Value>]> = values
                .iter()
                .map(|value| match value {
                    Some(Value::List(elements)) => &elements[..],
                    _ => &[],
                })
                .collect();
            let offsets = OffsetBuffer::from_lengths(elements.iter().map(|list| list.len()));
            let flat: Vec<_> = elements
                .iter()
                .copied()
                .flatten()
                .map(Option::as_ref)
                .collect();
            let flat = to_array(element.data_type(), &flat);
            Arc::new(ListArray::new(
                Arc::clone(element),
                offsets,
                flat,
                Some(nulls),
            ))
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else {
                unreachable!()
            };
            let pairs: Vec<&[(Value, Option<Value>)]> = values
                .iter()
                .map(|value| match value {
                    Some(Value::Map(pairs)) => &pairs[..],
                    _ => &[],
                })
                .collect();
            let offsets = OffsetBuffer::from_lengths(pairs.iter().map(|map| map.len()));
            let keys: Vec<_> = pairs
                .iter()
                .copied()
                .flatten()
                .map(|(k, _)| Some(k))
                .collect();
            let items: Vec<_> = pairs
                .iter()
                .copied()
                .flatten()
                .map(|(_, v)| v.as_ref())
                .collect();
            let columns = vec![
                to_array(fields[0].data_type(), &keys),
                to_array(fields[1].data_type(), &items),
            ];
            let flat = StructArray::new(fields.clone(), columns, None);
            Arc::new(MapArray::new(
                Arc::clone(entries),
                offsets,
                flat,
                Some(nulls),
                false,
            ))
        }
        other => unreachable!("no arrays of {other}"),
    }
}

/// Small row groups and pages, so that few rows make many.
pub(super) fn small_groups() -> WriteOptions {
    WriteOptions {
        row_group_rows: 40,
        page_rows: 7,
        ..WriteOptions::default()
    }
}

/// Writes batches to a file.
pub(super) fn write(
    schema: &Schema,
    batches: &[RecordBatch],
    options: WriteOptions,
) -> (Arc<MemoryFile>, DataFile) {
    let output = MemoryOutput::default();
    let mut writer =
        DataFileWriter::new(schema, "path".into(), Box::new(output.clone()), options).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    let data_file = writer.finish().unwrap();
    let file = MemoryFile::new(output.take());
    assert_eq!(
        data_file.file_size_in_bytes,
        i64::try_from(file.bytes.len()).unwrap()
    );
    assert_eq!(data_file.file_path, "path");
    (file, data_file)
}

/// Reads all batches, checking what holds of each.
pub(super) fn read(
    file: &Arc<MemoryFile>,
    schema: &Schema,
    options: ReadOptions,
) -> Vec<FileBatch> {
    let batch_size = options.batch_size;
    let reader = DataFileReader::open(Arc::clone(file) as _, schema, options).unwrap();
    let arrow = Arc::clone(reader.schema());
    file.reset();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    let unprepared = std::mem::take(&mut *file.unprepared.lock().unwrap());
    assert!(unprepared.is_empty(), "{unprepared:?} was not told of");
    for batch in &batches {
        assert_eq!(batch.batch.schema(), arrow);
        assert!((1..=batch_size).contains(&batch.batch.num_rows()));
        assert_eq!(batch.positions.len(), batch.batch.num_rows());
    }
    batches
}

pub(super) fn all_columns(schema: &Schema) -> Vec<i32> {
    schema.columns().iter().map(|field| field.id).collect()
}

/// The positions of all rows of the batches.
pub(super) fn positions(batches: &[FileBatch]) -> Vec<u64> {
    batches
        .iter()
        .flat_map(|batch| batch.positions.iter().collect::<Vec<_>>())
        .collect()
}

/// All rows of the batches.
pub(super) fn joined(schema: &arrow::datatypes::SchemaRef, batches: &[FileBatch]) -> RecordBatch {
    let batches: Vec<_> = batches.iter().map(|batch| batch.batch.clone()).collect();
    arrow::compute::concat_batches(schema, &batches).unwrap()
}
