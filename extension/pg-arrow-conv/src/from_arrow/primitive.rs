//! Booleans, integers, floats and `uuid`.

use super::arena::Arena;
use super::column::{DatumColumn, Part};
use crate::error::ValueError;
use arrow::array::AsArray;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Float32Type, Float64Type, Int32Type, Int64Type,
};
use pgrx::pg_sys::Datum;

/// Bytes of a `uuid`.
const UUID_LEN: usize = 16;

pub(super) fn decode_bool(array: &Part<'_>, out: &mut DatumColumn) -> Result<(), ValueError> {
    let values = array.as_boolean();
    out.fill_with(array, |row| Ok(Datum::from(values.value(row))))
}

pub(super) fn decode_int2(array: &Part<'_>, out: &mut DatumColumn) -> Result<(), ValueError> {
    match array.data_type() {
        DataType::Int64 => decode_with::<Int64Type>(array, out, |value| {
            i16::try_from(value)
                .map(Datum::from)
                .map_err(|_| overflow("smallint", value))
        }),
        _ => decode_with::<Int32Type>(array, out, |value| {
            i16::try_from(value)
                .map(Datum::from)
                .map_err(|_| overflow("smallint", value.into()))
        }),
    }
}

pub(super) fn decode_int4(array: &Part<'_>, out: &mut DatumColumn) -> Result<(), ValueError> {
    match array.data_type() {
        DataType::Int64 => decode_with::<Int64Type>(array, out, |value| {
            i32::try_from(value)
                .map(Datum::from)
                .map_err(|_| overflow("integer", value))
        }),
        _ => decode_with::<Int32Type>(array, out, |value| Ok(Datum::from(value))),
    }
}

pub(super) fn decode_int8(array: &Part<'_>, out: &mut DatumColumn) -> Result<(), ValueError> {
    decode_with::<Int64Type>(array, out, |value| Ok(Datum::from(value)))
}

/// `ObjectIdGetDatum`.
pub(super) fn decode_oid(array: &Part<'_>, out: &mut DatumColumn) -> Result<(), ValueError> {
    decode_with::<Int64Type>(array, out, |value| {
        u32::try_from(value)
            .map(Datum::from)
            .map_err(|_| overflow("oid", value))
    })
}

/// `Float4GetDatum`.
pub(super) fn decode_float4(array: &Part<'_>, out: &mut DatumColumn) -> Result<(), ValueError> {
    decode_with::<Float32Type>(array, out, |value| Ok(Datum::from(value.to_bits() as i32)))
}

/// `Float8GetDatum`.
pub(super) fn decode_float8(array: &Part<'_>, out: &mut DatumColumn) -> Result<(), ValueError> {
    decode_with::<Float64Type>(array, out, |value| Ok(Datum::from(value.to_bits() as i64)))
}

pub(super) fn decode_uuid(
    array: &Part<'_>,
    out: &mut DatumColumn,
    arena: &mut Arena,
) -> Result<(), ValueError> {
    let values = array.as_fixed_size_binary();
    arena.reserve(array.rows.len() * UUID_LEN);
    out.fill_with(array, |row| {
        let value = values.value(row);
        let start = arena.alloc(UUID_LEN);
        // SAFETY: UUID_LEN bytes were allocated, and the array's type has as many per value.
        unsafe { start.copy_from_nonoverlapping(value.as_ptr(), UUID_LEN) };
        Ok(Datum::from(start))
    })
}

/// Decodes an array that is known to be of type `T`.
#[inline]
pub(super) fn decode_with<T: ArrowPrimitiveType>(
    array: &Part<'_>,
    out: &mut DatumColumn,
    make: impl Fn(T::Native) -> Result<Datum, ValueError>,
) -> Result<(), ValueError> {
    let values = array.as_primitive::<T>().values();
    out.fill_with(array, |row| make(values[row]))
}

#[cold]
fn overflow(type_name: &'static str, value: i64) -> ValueError {
    ValueError::IntegerOverflow { type_name, value }
}
