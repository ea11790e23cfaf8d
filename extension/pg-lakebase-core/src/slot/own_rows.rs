//! Rows that the transaction itself has inserted.

use std::sync::OnceLock;

use pgrx::pg_sys;

use super::Tid;
use crate::error::{PgError, PgResult};

/// Whether this transaction has inserted the row of this TID into a table. In doubt it has.
type Tell = fn(pg_sys::Oid, Tid) -> PgResult<bool>;

static TELL: OnceLock<Tell> = OnceLock::new();

/// Has slots that keep no heap tuples ask so; called once, from `_PG_init`.
pub fn tell_own_rows_with(tell: Tell) {
    // Who comes second answers as the first does.
    let _ = TELL.set(tell);
}

/// Whether this transaction has inserted a row.
pub(super) fn is_own(table: pg_sys::Oid, tid: Tid) -> PgResult<bool> {
    match TELL.get() {
        Some(tell) => tell(table, tid),
        None => Err(PgError::internal(
            "the access method does not tell who has inserted a row",
        )),
    }
}
