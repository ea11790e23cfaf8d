//! `numeric`, from its digits to a scaled `i128`.

use crate::codec::numeric;
use crate::error::ValueError;
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
