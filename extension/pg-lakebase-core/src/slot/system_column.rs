//! System columns that are about transactions, which only heap tuples have.

use std::ffi::CStr;
use std::sync::OnceLock;

use pgrx::pg_sys;

use crate::error::PgError;
use crate::relation::name_text;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemColumn {
    Xmin,
    Cmin,
    Xmax,
    Cmax,
}

/// The access method's error for such a column of a table of this name.
type Refusal = fn(SystemColumn, &str) -> PgError;

static REFUSAL: OnceLock<Refusal> = OnceLock::new();

/// Has slots that keep no heap tuples refuse these columns so; called once, from `_PG_init`.
pub fn refuse_system_columns_with(refusal: Refusal) {
    // Who comes second shares the words of the first.
    let _ = REFUSAL.set(refusal);
}

impl SystemColumn {
    /// From the attribute number (`access/sysattr.h`), if it is one of these.
    pub const fn of_transaction(number: pg_sys::AttrNumber) -> Option<Self> {
        match number as i32 {
            pg_sys::MinTransactionIdAttributeNumber => Some(Self::Xmin),
            pg_sys::MinCommandIdAttributeNumber => Some(Self::Cmin),
            pg_sys::MaxTransactionIdAttributeNumber => Some(Self::Xmax),
            pg_sys::MaxCommandIdAttributeNumber => Some(Self::Cmax),
            _ => None,
        }
    }

    /// The column's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xmin => "xmin",
            Self::Cmin => "cmin",
            Self::Xmax => "xmax",
            Self::Cmax => "cmax",
        }
    }
}

/// The error for attribute `number` of a row of `table`; `None` where PostgreSQL's own has to do.
pub(super) fn refusal(number: pg_sys::AttrNumber, table: pg_sys::Oid) -> Option<PgError> {
    let column = SystemColumn::of_transaction(number)?;
    let refusal = REFUSAL.get()?;
    // SAFETY: a look-up in the system cache; the name is palloc'd, or null where there is no such table.
    unsafe {
        let name = pg_sys::get_rel_name(table);
        (!name.is_null()).then(|| refusal(column, &name_text(CStr::from_ptr(name))))
    }
}
