//! A table's columns, as PostgreSQL has them.

use std::ffi::CStr;

use pg_arrow_conv::types::ColumnType;
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::TupleDesc;

use pgrx::pg_sys;

use crate::error::to_pg_error;
use crate::guc;

/// One live column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Position among the table's attributes, dropped ones counted; from 0.
    pub attribute: usize,
    /// The column's name.
    pub name: String,
    /// How its values are converted.
    pub column_type: ColumnType,
}

impl Column {
    /// The attribute number.
    pub fn number(&self) -> usize {
        self.attribute + 1
    }
}

/// The columns of a table.
#[derive(Clone, Debug)]
pub struct TableColumns {
    /// All attributes, dropped ones counted.
    pub natts: usize,
    /// The live ones, in order.
    pub columns: Vec<Column>,
}

impl TableColumns {
    /// The columns of `tuple_desc`; a column whose type Iceberg cannot hold is an error.
    pub fn resolve(tuple_desc: TupleDesc<'_>) -> PgResult<Self> {
        let natts = tuple_desc.natts();
        let mut columns = Vec::with_capacity(natts);
        for (attribute, att) in tuple_desc.attributes().enumerate() {
            if att.is_dropped {
                continue;
            }
            columns.push(Column {
                attribute,
                column_type: resolve(att.type_oid, att.typmod, &att.name)?,
                name: att.name,
            });
        }
        Ok(Self { natts, columns })
    }

    /// How values of an attribute, which may not be visible yet, are converted.
    pub fn column_type(attribute: &pg_sys::FormData_pg_attribute) -> PgResult<ColumnType> {
        // SAFETY: a NameData is always terminated within its 64 bytes.
        let name = unsafe { CStr::from_ptr(attribute.attname.data.as_ptr()) };
        resolve(
            attribute.atttypid,
            attribute.atttypmod,
            &name.to_string_lossy(),
        )
    }
}

fn resolve(type_oid: pg_sys::Oid, typmod: i32, name: &str) -> PgResult<ColumnType> {
    ColumnType::resolve(type_oid, typmod, name, guc::unconstrained_numeric()).map_err(to_pg_error)
}
