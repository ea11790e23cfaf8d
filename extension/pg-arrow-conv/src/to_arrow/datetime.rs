//! `date`, `time`, `timestamp` and `timestamptz`: shifted to Unix's epoch.

use super::primitive::{int4_value, int8_value};
use crate::codec::datetime;
use crate::error::ValueError;
use pgrx::pg_sys::Datum;

#[inline]
pub(super) fn date_value(datum: Datum) -> Result<i32, ValueError> {
    datetime::date_to_unix_days(int4_value(datum))
}

#[inline]
pub(super) fn time_value(datum: Datum) -> Result<i64, ValueError> {
    datetime::time_to_micros(int8_value(datum))
}

/// `type_name` is for the error.
#[inline]
pub(super) fn timestamp_value(datum: Datum, type_name: &'static str) -> Result<i64, ValueError> {
    datetime::timestamp_to_unix_micros(int8_value(datum), type_name)
}
