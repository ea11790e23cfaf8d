//! From SQL to Arrow and back: the values must be bit for bit what they were.

use super::query::{Rows, text_of, with_rows};
use arrow::array::RecordBatch;
use pg_arrow_conv::{BatchDecoder, ConvError, RowAppender};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Datum, Oid};

/// Converts all rows into one batch.
pub(super) fn to_batch(rows: &Rows) -> Result<RecordBatch, ConvError> {
    let mut appender = RowAppender::new(&rows.columns()?);
    for (values, isnull) in rows.values.iter().zip(&rows.isnull) {
        // SAFETY: the datums are of the columns' types.
        unsafe { appender.append(values, isnull)? };
    }
    assert_eq!(appender.len(), rows.values.len());
    appender.finish()
}

/// Asserts that the rows of a query survive the way to Arrow and back, and returns the batch.
pub(super) fn assert_round_trip(query: &str) -> RecordBatch {
    with_rows(query, |rows| {
        let batch = to_batch(rows).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert!(batch.num_rows() > 0, "{query}: no rows");
        assert_same_rows(rows, &batch, query);
        batch
    })
}

/// Asserts that decoding the batch gives the rows.
pub(super) fn assert_same_rows(rows: &Rows, batch: &RecordBatch, query: &str) {
    let columns: Vec<_> = rows.columns().unwrap().into_iter().map(Some).collect();
    let mapping: Vec<_> = (0..columns.len()).map(Some).collect();
    let mut decoder = BatchDecoder::new(&columns);
    decoder.take(batch, &mapping).unwrap();
    assert_eq!(decoder.len(), rows.values.len());

    let attributes = rows.attributes();
    let mut values = vec![Datum::null(); columns.len()];
    let mut isnull = vec![false; columns.len()];
    for row in 0..rows.values.len() {
        // All, then some, and in the end one.
        let loaded = match row % 4 {
            0 => 0..decoder.len(),
            1 => row - 1..row + 1,
            2 => row..decoder.len(),
            _ => row..row + 1,
        };
        // SAFETY: the current context outlives this function.
        unsafe { decoder.load(loaded, pg_sys::CurrentMemoryContext) }.unwrap();
        decoder.fill(row, &mut values, &mut isnull);
        assert_eq!(isnull, rows.isnull[row], "{query}: NULLs of row {row}");
        for (index, (type_oid, _, name)) in attributes.iter().enumerate() {
            if !isnull[index] {
                let expected = text_of(*type_oid, rows.values[row][index]);
                let found = text_of(*type_oid, values[index]);
                assert!(
                    expected == found,
                    "{query}: {name} of row {row}: {expected:.200} became {found:.200}"
                );
            }
        }
        // SAFETY: values and flags belong to the descriptor.
        unsafe { assert_same_image(rows, row, &values, &isnull, query) };
    }
}

/// Compares byte by byte, as `record_image_eq` does: display scale of numerics, signs of zeros
/// and payloads of NaNs count.
unsafe fn assert_same_image(
    rows: &Rows,
    row: usize,
    values: &[Datum],
    isnull: &[bool],
    query: &str,
) {
    // SAFETY: both tuples are formed for the same descriptor, which is blessed for record_image_eq.
    unsafe {
        let tupdesc = pg_sys::BlessTupleDesc(rows.tupdesc);
        let form = |values: &[Datum], isnull: &[bool]| {
            let tuple = pg_sys::heap_form_tuple(tupdesc, values.as_ptr(), isnull.as_ptr());
            Datum::from((*tuple).t_data)
        };
        let equal = pg_sys::OidFunctionCall2Coll(
            Oid::from_u32(pg_sys::F_RECORD_IMAGE_EQ),
            Oid::INVALID,
            form(&rows.values[row], &rows.isnull[row]),
            form(values, isnull),
        );
        assert!(equal.value() != 0, "{query}: image of row {row} differs");
    }
}

/// The error of converting the rows of a query.
pub(super) fn conversion_error(query: &str) -> ConvError {
    with_rows(query, |rows| match to_batch(rows) {
        Err(error) => error,
        Ok(batch) => panic!("{query}: converted to {batch:?}"),
    })
}

/// Asserts SQLSTATE and message of the error of converting the rows of a query.
pub(super) fn assert_refused(query: &str, sqlstate: PgSqlErrorCode, message: &str) {
    let error = conversion_error(query);
    assert_eq!(error.to_string(), message, "{query}");
    assert_eq!(error.sqlstate(), sqlstate, "{query}");
}
