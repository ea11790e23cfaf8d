//! Arrays as decoded from a file become arrays of the table's types.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow::error::ArrowError;

use super::column_plan::repeat;

/// A conversion of arrays; the target type is given when it is applied.
#[derive(Debug)]
pub(super) enum Convert {
    /// The values have the type already.
    Keep,
    /// Every value is cast; one that does not fit is an error.
    Cast,
    /// Timestamps change their unit, and are taken for UTC whatever zone they name.
    Timestamp,
    /// A struct of these children.
    Struct(Vec<Child>),
    /// A list, by its elements.
    List(Box<Convert>),
    /// A map, by its keys and values.
    Map(Box<Convert>, Box<Convert>),
}

/// A child of a struct.
#[derive(Debug)]
pub(super) enum Child {
    /// The child at this place of the decoded struct.
    File { place: usize, convert: Convert },
    /// One value for every row.
    Constant(ArrayRef),
}

impl Convert {
    /// `array` as an array of type `target`.
    pub(super) fn apply(
        &self,
        array: &ArrayRef,
        target: &DataType,
    ) -> Result<ArrayRef, ArrowError> {
        Ok(match (self, target) {
            (Self::Keep, _) => Arc::clone(array),
            (Self::Cast, _) => cast(array, target)?,
            (Self::Timestamp, DataType::Timestamp(unit, zone)) => {
                let from = match array.data_type() {
                    DataType::Timestamp(from, Some(_)) => with_timezone(array, *from, None),
                    _ => Arc::clone(array),
                };
                let values = cast(&from, &DataType::Timestamp(*unit, None))?;
                with_timezone(&values, *unit, zone.clone())
            }
            (Self::Struct(children), DataType::Struct(fields)) => {
                let from = array.as_struct();
                let columns = children
                    .iter()
                    .zip(fields)
                    .map(|(child, field)| match child {
                        Child::File { place, convert } => {
                            convert.apply(from.column(*place), field.data_type())
                        }
                        Child::Constant(value) => repeat(value, from.len()),
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                let nulls = from.nulls().cloned();
                let fields = fields.clone();
                Arc::new(StructArray::try_new_with_length(
                    fields,
                    columns,
                    nulls,
                    from.len(),
                )?)
            }
            (Self::List(convert), DataType::List(element)) => {
                let from = array.as_list::<i32>();
                let values = convert.apply(from.values(), element.data_type())?;
                let (offsets, nulls) = (from.offsets().clone(), from.nulls().cloned());
                Arc::new(ListArray::try_new(
                    Arc::clone(element),
                    offsets,
                    values,
                    nulls,
                )?)
            }
            (Self::Map(key, value), DataType::Map(entries, sorted)) => {
                let DataType::Struct(fields) = entries.data_type() else {
                    return Err(unexpected(target));
                };
                let from = array.as_map();
                let columns = vec![
                    key.apply(from.keys(), fields[0].data_type())?,
                    value.apply(from.values(), fields[1].data_type())?,
                ];
                let values = StructArray::try_new(fields.clone(), columns, None)?;
                let (offsets, nulls) = (from.offsets().clone(), from.nulls().cloned());
                Arc::new(MapArray::try_new(
                    Arc::clone(entries),
                    offsets,
                    values,
                    nulls,
                    *sorted,
                )?)
            }
            _ => return Err(unexpected(target)),
        })
    }
}

/// The values of `array` in type `target`; one that does not fit is an error.
pub(super) fn cast(array: &ArrayRef, target: &DataType) -> Result<ArrayRef, ArrowError> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(array, target, &options)
}

/// The same timestamps, said to be in another zone.
pub(super) fn with_timezone(array: &ArrayRef, unit: TimeUnit, zone: Option<Arc<str>>) -> ArrayRef {
    macro_rules! retagged {
        ($type:ty) => {
            Arc::new(
                array
                    .as_primitive::<$type>()
                    .clone()
                    .with_timezone_opt(zone),
            )
        };
    }
    match unit {
        TimeUnit::Second => retagged!(TimestampSecondType),
        TimeUnit::Millisecond => retagged!(TimestampMillisecondType),
        TimeUnit::Microsecond => retagged!(TimestampMicrosecondType),
        TimeUnit::Nanosecond => retagged!(TimestampNanosecondType),
    }
}

fn unexpected(target: &DataType) -> ArrowError {
    ArrowError::SchemaError(format!("no conversion to {target}"))
}
