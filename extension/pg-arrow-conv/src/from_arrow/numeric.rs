//! `numeric`, from a scaled `i128` to its digits; and `xid8`.

use super::arena::Arena;
use super::column::{DatumColumn, Part};
use super::primitive::decode_with;
use crate::codec::numeric::{
    MAX_BODY, MAX_PRECISION, encode, fits_precision, without_trailing_zeros,
};
use crate::error::ValueError;
use crate::types::XID8_PRECISION;
use arrow::array::AsArray;
use arrow::datatypes::Decimal128Type;
use pgrx::pg_sys::Datum;

/// `array` is a Decimal128 of the same scale and any precision.
pub(super) fn decode_numeric(
    array: &Part<'_>,
    precision: u8,
    scale: u8,
    out: &mut DatumColumn,
    arena: &mut Arena,
) -> Result<(), ValueError> {
    let values = array.as_primitive::<Decimal128Type>().values();
    // Two decimal digits take a byte, and there are the headers and the first and last digit.
    let body = MAX_BODY.min(6 + usize::from(precision).div_ceil(2));
    arena.reserve(array.rows.len() * Arena::varlena_space(body));
    let mut body = [0; MAX_BODY];
    out.fill_with(array, |row| {
        let value = values[row];
        if !fits_precision(value, precision) {
            return Err(ValueError::NumericOverflow { precision, scale });
        }
        let length = encode(value, scale, &mut body);
        arena.varlena(&body[..length])
    })
}

/// `array` is a Decimal128 of this scale. Its values have no more digits after the point than they
/// need.
pub(super) fn decode_unconstrained(
    array: &Part<'_>,
    scale: u8,
    out: &mut DatumColumn,
    arena: &mut Arena,
) -> Result<(), ValueError> {
    let values = array.as_primitive::<Decimal128Type>().values();
    let mut body = [0; MAX_BODY];
    out.fill_with(array, |row| {
        if !fits_precision(values[row], MAX_PRECISION) {
            return Err(ValueError::NumericOverflow {
                precision: MAX_PRECISION,
                scale,
            });
        }
        let (value, scale) = without_trailing_zeros(values[row], scale);
        let length = encode(value, scale, &mut body);
        arena.varlena(&body[..length])
    })
}

/// `array` is a Decimal128 without a scale.
pub(super) fn decode_xid8(array: &Part<'_>, out: &mut DatumColumn) -> Result<(), ValueError> {
    decode_with::<Decimal128Type>(array, out, |value| {
        u64::try_from(value)
            .map(Datum::from)
            .map_err(|_| ValueError::NumericOverflow {
                precision: XID8_PRECISION,
                scale: 0,
            })
    })
}
