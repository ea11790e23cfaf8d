//! Counting NaNs, which Parquet statistics do not tell.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, BooleanBufferBuilder};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, Float32Type, Float64Type};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

/// NaNs by field id.
pub(super) type NanCounts = BTreeMap<i32, i64>;

/// Whether values of the type can hold a floating-point number.
pub(super) fn has_floats(data_type: &DataType) -> bool {
    match data_type {
        DataType::Float32 | DataType::Float64 => true,
        DataType::Struct(fields) => fields.iter().any(|field| has_floats(field.data_type())),
        DataType::List(element) => has_floats(element.data_type()),
        DataType::Map(entries, _) => has_floats(entries.data_type()),
        _ => false,
    }
}

/// Adds the NaNs of `array` to `counts`; every float field gets an entry, if only of zero.
///
/// Fields carry their ids as [`super::arrow_schema()`] puts them.
pub(super) fn count_nans(field: &Field, array: &ArrayRef, counts: &mut NanCounts) {
    if has_floats(field.data_type()) {
        count(field, array, None, counts);
    }
}

/// `valid` says which slots belong to rows whose ancestors are all present.
fn count(field: &Field, array: &ArrayRef, valid: Option<&NullBuffer>, counts: &mut NanCounts) {
    match array.data_type() {
        DataType::Float32 => add::<Float32Type>(field, array, valid, |v| v.is_nan(), counts),
        DataType::Float64 => add::<Float64Type>(field, array, valid, |v| v.is_nan(), counts),
        DataType::Struct(fields) => {
            let array = array.as_struct();
            let valid = NullBuffer::union(valid, array.nulls());
            for (field, column) in fields.iter().zip(array.columns()) {
                count(field, column, valid.as_ref(), counts);
            }
        }
        DataType::List(element) => {
            let array = array.as_list::<i32>();
            let present = NullBuffer::union(valid, array.nulls());
            let used = used_slots(array.offsets(), present.as_ref(), array.values().len());
            count(element, array.values(), Some(&used), counts);
        }
        DataType::Map(entries, _) => {
            let array = array.as_map();
            let present = NullBuffer::union(valid, array.nulls());
            let used = used_slots(array.offsets(), present.as_ref(), array.entries().len());
            let values: ArrayRef = std::sync::Arc::new(array.entries().clone());
            count(entries, &values, Some(&used), counts);
        }
        _ => {}
    }
}

fn add<T: ArrowPrimitiveType>(
    field: &Field,
    array: &ArrayRef,
    valid: Option<&NullBuffer>,
    is_nan: impl Fn(T::Native) -> bool,
    counts: &mut NanCounts,
) {
    let Some(id) = field
        .metadata()
        .get(PARQUET_FIELD_ID_META_KEY)
        .and_then(|id| id.parse::<i32>().ok())
    else {
        return;
    };
    let values = array.as_primitive::<T>().values();
    let count = match NullBuffer::union(valid, array.nulls()) {
        Some(valid) => valid
            .valid_indices()
            .filter(|&row| is_nan(values[row]))
            .count(),
        None => values.iter().filter(|&&value| is_nan(value)).count(),
    };
    *counts.entry(id).or_default() += i64::try_from(count).unwrap_or(i64::MAX);
}

/// The slots of a list's values that some present row refers to.
fn used_slots(offsets: &OffsetBuffer<i32>, present: Option<&NullBuffer>, len: usize) -> NullBuffer {
    let mut used = BooleanBufferBuilder::new(len);
    for (row, range) in offsets.windows(2).enumerate() {
        let [start, end] = [range[0], range[1]].map(|o| usize::try_from(o).unwrap_or(0));
        used.append_n(start.saturating_sub(used.len()), false);
        used.append_n(
            end - start,
            present.is_none_or(|present| present.is_valid(row)),
        );
    }
    used.append_n(len - used.len(), false);
    NullBuffer::new(used.finish())
}
