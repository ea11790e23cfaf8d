//! `numeric`, from a scaled `i128` to its digits.

use super::arena::Arena;
use super::column::DatumColumn;
use crate::codec::numeric::{MAX_BODY, encode, fits_precision};
use crate::error::ValueError;
use arrow::array::{Array, AsArray};
use arrow::datatypes::Decimal128Type;

/// `array` is a Decimal128 of the same scale and any precision.
pub(super) fn decode_numeric(
    array: &dyn Array,
    precision: u8,
    scale: u8,
    out: &mut DatumColumn,
    arena: &mut Arena,
) -> Result<(), ValueError> {
    let values = array.as_primitive::<Decimal128Type>().values();
    // Two decimal digits take a byte, and there are the headers and the first and last digit.
    let body = MAX_BODY.min(6 + usize::from(precision).div_ceil(2));
    arena.reserve(array.len() * Arena::varlena_space(body));
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
