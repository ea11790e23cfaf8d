//! Arrays of the right values under other names are given the exact Arrow type they are written as.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, ListArray, MapArray, StructArray};
use arrow::datatypes::{
    DataType, Field, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow::error::ArrowError;

/// `array` as a value of `field`: names, metadata and nullability at every level become the
/// field's. Fails where values would change, or where a field that forbids nulls has some.
pub(super) fn conform(array: &ArrayRef, field: &Field) -> Result<ArrayRef, ArrowError> {
    if !field.is_nullable() && array.null_count() > 0 {
        return Err(ArrowError::InvalidArgumentError(format!(
            "column \"{}\" is required and has nulls",
            field.name()
        )));
    }
    conform_type(array, field.data_type(), field.name())
}

fn conform_type(array: &ArrayRef, target: &DataType, name: &str) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == target {
        return Ok(Arc::clone(array));
    }
    let mismatch = || {
        Err(ArrowError::InvalidArgumentError(format!(
            "column \"{name}\" is of type {target}, the array is of type {}",
            array.data_type()
        )))
    };
    Ok(match (array.data_type(), target) {
        (DataType::Struct(from), DataType::Struct(to)) if from.len() == to.len() => {
            let array = array.as_struct();
            let columns = to
                .iter()
                .zip(array.columns())
                .map(|(field, column)| conform_type(column, field.data_type(), field.name()))
                .collect::<Result<Vec<_>, _>>()?;
            let nulls = array.nulls().cloned();
            Arc::new(StructArray::try_new_with_length(
                to.clone(),
                columns,
                nulls,
                array.len(),
            )?)
        }
        (DataType::List(_), DataType::List(element)) => {
            let array = array.as_list::<i32>();
            let values = conform_type(array.values(), element.data_type(), name)?;
            let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
            Arc::new(ListArray::try_new(
                Arc::clone(element),
                offsets,
                values,
                nulls,
            )?)
        }
        (DataType::Map(_, _), DataType::Map(entries, sorted)) => {
            let array = array.as_map();
            let from: ArrayRef = Arc::new(array.entries().clone());
            let to = conform_type(&from, entries.data_type(), name)?;
            let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
            let values = to.as_struct().clone();
            Arc::new(MapArray::try_new(
                Arc::clone(entries),
                offsets,
                values,
                nulls,
                *sorted,
            )?)
        }
        (DataType::Timestamp(from, Some(_)), DataType::Timestamp(to, Some(zone))) if from == to => {
            let zone = Some(Arc::clone(zone));
            match to {
                TimeUnit::Microsecond => Arc::new(
                    array
                        .as_primitive::<TimestampMicrosecondType>()
                        .clone()
                        .with_timezone_opt(zone),
                ),
                TimeUnit::Nanosecond => Arc::new(
                    array
                        .as_primitive::<TimestampNanosecondType>()
                        .clone()
                        .with_timezone_opt(zone),
                ),
                _ => return mismatch(),
            }
        }
        (&DataType::Decimal128(from, from_scale), &DataType::Decimal128(to, scale))
            if from <= to && from_scale == scale =>
        {
            let array: Decimal128Array = array.as_primitive().clone();
            Arc::new(array.with_precision_and_scale(to, scale)?)
        }
        _ => return mismatch(),
    })
}
