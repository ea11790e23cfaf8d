//! Booleans, integers, floats and `uuid`.

use super::column::UUID_LEN;
use pgrx::pg_sys::Datum;

/// `DatumGetBool`.
#[inline]
pub(super) fn bool_value(datum: Datum) -> bool {
    datum.value() != 0
}

/// `DatumGetInt16`.
#[inline]
pub(super) fn int2_value(datum: Datum) -> i16 {
    datum.value() as i16
}

/// `DatumGetInt32`.
#[inline]
pub(super) fn int4_value(datum: Datum) -> i32 {
    datum.value() as i32
}

/// `DatumGetInt64`.
#[inline]
pub(super) fn int8_value(datum: Datum) -> i64 {
    datum.value() as i64
}

/// `DatumGetObjectId`, and `DatumGetTransactionId`.
#[inline]
pub(super) fn oid_value(datum: Datum) -> u32 {
    datum.value() as u32
}

/// `DatumGetFullTransactionId`.
#[inline]
pub(super) fn xid8_value(datum: Datum) -> u64 {
    datum.value() as u64
}

/// `DatumGetFloat4`; NaN and infinities pass.
#[inline]
pub(super) fn float4_value(datum: Datum) -> f32 {
    f32::from_bits(datum.value() as u32)
}

/// `DatumGetFloat8`; NaN and infinities pass.
#[inline]
pub(super) fn float8_value(datum: Datum) -> f64 {
    f64::from_bits(datum.value() as u64)
}

/// `DatumGetUUIDP`.
///
/// # Safety
///
/// `datum` is a valid `uuid` datum.
#[inline]
pub(super) unsafe fn uuid_value(datum: Datum) -> [u8; UUID_LEN] {
    // SAFETY: a uuid is passed by reference and has 16 bytes without alignment.
    unsafe { *datum.cast_mut_ptr::<[u8; UUID_LEN]>() }
}
