//! `numeric`, from its digits to a scaled `i128`.

use crate::codec::numeric;
use crate::error::ValueError;
use crate::types::{UNCONSTRAINED_PRECISION, UNCONSTRAINED_SCALE};
use crate::varlena;
use pgrx::pg_sys::Datum;

/// # Safety
///
/// `datum` is a valid `numeric` datum.
#[inline]
pub(super) unsafe fn value(datum: Datum, precision: u8, scale: u8) -> Result<i128, ValueError> {
    // SAFETY: numeric is a varlena type.
    unsafe { varlena::with_bytes(datum, |body| numeric::decode(body, precision, scale)) }
}

/// The value of a column without precision and scale.
///
/// # Safety
///
/// `datum` is a valid `numeric` datum.
#[inline]
pub(super) unsafe fn unconstrained_value(datum: Datum) -> Result<i128, ValueError> {
    // SAFETY: the caller vouches for the datum.
    let decoded = unsafe { value(datum, UNCONSTRAINED_PRECISION, UNCONSTRAINED_SCALE) };
    decoded.map_err(|error| match error {
        ValueError::NumericOverflow { precision, scale } => {
            ValueError::UnconstrainedNumericOverflow { precision, scale }
        }
        ValueError::NumericSpecial(value) => ValueError::UnconstrainedNumericSpecial(value),
        error => error,
    })
}
