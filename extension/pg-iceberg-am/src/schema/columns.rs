//! A table's columns, as PostgreSQL has them.

use pg_arrow_conv::types::ColumnType;
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::TupleDesc;

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
            let unconstrained = guc::unconstrained_numeric();
            let column_type =
                ColumnType::resolve(att.type_oid, att.typmod, &att.name, unconstrained)
                    .map_err(to_pg_error)?;
            columns.push(Column {
                attribute,
                name: att.name,
                column_type,
            });
        }
        Ok(Self { natts, columns })
    }
}
