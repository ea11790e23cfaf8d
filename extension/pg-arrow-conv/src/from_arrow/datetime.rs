//! `date`, `time`, `timestamp` and `timestamptz`: shifted to PostgreSQL's epoch.

use super::column::{DatumColumn, Part};
use super::primitive::decode_with;
use crate::codec::datetime;
use crate::error::ValueError;
use arrow::datatypes::{Date32Type, Time64MicrosecondType, TimestampMicrosecondType};
use pgrx::pg_sys::Datum;

pub(super) fn decode_date(array: &Part<'_>, out: &mut DatumColumn) -> Result<(), ValueError> {
    decode_with::<Date32Type>(array, out, |days| {
        datetime::unix_days_to_date(days).map(Datum::from)
    })
}

pub(super) fn decode_time(array: &Part<'_>, out: &mut DatumColumn) -> Result<(), ValueError> {
    decode_with::<Time64MicrosecondType>(array, out, |micros| {
        datetime::micros_to_time(micros).map(Datum::from)
    })
}

/// `type_name` is for the error.
pub(super) fn decode_timestamp(
    array: &Part<'_>,
    type_name: &'static str,
    out: &mut DatumColumn,
) -> Result<(), ValueError> {
    decode_with::<TimestampMicrosecondType>(array, out, |micros| {
        datetime::unix_micros_to_timestamp(micros, type_name).map(Datum::from)
    })
}
