//! Rows and column types from SQL, for the other tests.

use pg_arrow_conv::{ColumnType, ConvError, UnconstrainedNumeric};
use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::spi::Spi;
use std::ffi::{CStr, CString};

/// A query's rows as datums, valid while its [`with_rows`] runs.
pub(super) struct Rows {
    pub(super) tupdesc: pg_sys::TupleDesc,
    pub(super) values: Vec<Vec<Datum>>,
    pub(super) isnull: Vec<Vec<bool>>,
}

/// Runs a query and hands its rows to `read`; toasted values stay toasted.
pub(super) fn with_rows<R>(query: &str, read: impl FnOnce(&Rows) -> R) -> R {
    let query = CString::new(query).unwrap();
    Spi::connect(|_| {
        // SAFETY: SPI is connected, so that SPI_execute sets SPI_tuptable; the tuples live until
        // the connection ends.
        let rows = unsafe {
            pg_sys::SPI_execute(query.as_ptr(), false, 0);
            let table = &*pg_sys::SPI_tuptable;
            let natts = (*table.tupdesc).natts as usize;
            let mut rows = Rows {
                tupdesc: table.tupdesc,
                values: vec![],
                isnull: vec![],
            };
            for index in 0..table.numvals as usize {
                let mut values = vec![Datum::null(); natts];
                let mut isnull = vec![true; natts];
                pg_sys::heap_deform_tuple(
                    *table.vals.add(index),
                    table.tupdesc,
                    values.as_mut_ptr(),
                    isnull.as_mut_ptr(),
                );
                rows.values.push(values);
                rows.isnull.push(isnull);
            }
            rows
        };
        read(&rows)
    })
}

impl Rows {
    /// Type OID, typmod and name of each column.
    pub(super) fn attributes(&self) -> Vec<(Oid, i32, String)> {
        // SAFETY: the descriptor lives as long as the rows.
        let attributes = unsafe {
            (*self.tupdesc)
                .attrs
                .as_slice((*self.tupdesc).natts as usize)
        };
        attributes
            .iter()
            .map(|a| (a.atttypid, a.atttypmod, a.name().to_owned()))
            .collect()
    }

    /// The columns' types, resolved.
    pub(super) fn columns(&self) -> Result<Vec<ColumnType>, ConvError> {
        self.columns_with(UnconstrainedNumeric::Decimal)
    }

    /// The columns' types, with unconstrained numerics in this form.
    pub(super) fn columns_with(
        &self,
        unconstrained: UnconstrainedNumeric,
    ) -> Result<Vec<ColumnType>, ConvError> {
        self.attributes()
            .iter()
            .map(|(type_oid, typmod, name)| {
                ColumnType::resolve(*type_oid, *typmod, name, unconstrained)
            })
            .collect()
    }
}

/// Resolves a type as SQL spells it, for a column named `c`.
pub(super) fn resolve(sql_type: &str) -> Result<ColumnType, ConvError> {
    with_rows(&format!("SELECT NULL::{sql_type} AS c"), |rows| {
        rows.columns()
    })
    .map(|mut columns| columns.remove(0))
}

/// What the type's output function prints.
pub(super) fn text_of(type_oid: Oid, datum: Datum) -> String {
    let (mut function, mut is_varlena) = (Oid::INVALID, false);
    // SAFETY: the datum is of the type; the output is a C string.
    unsafe {
        pg_sys::getTypeOutputInfo(type_oid, &mut function, &mut is_varlena);
        let text = pg_sys::OidOutputFunctionCall(function, datum);
        CStr::from_ptr(text).to_str().unwrap().to_owned()
    }
}

/// Runs statements whose results do not matter.
pub(super) fn run(statements: &str) {
    Spi::run(statements).unwrap();
}
