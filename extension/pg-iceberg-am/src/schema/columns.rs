//! A table's columns, as PostgreSQL has them.

use pg_arrow_conv::types::ColumnType;
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::{Attribute, Relation, TupleDesc};
use pgrx::pg_sys;

use super::retyped;
use crate::directory::StorageKey;
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
    /// What rows from before the column was added have in it, if that is not NULL: a datum, as a word.
    pub missing: Option<usize>,
}

impl Column {
    /// That of an attribute which rows from before have NULL in.
    pub fn of_attribute(attribute: Attribute) -> PgResult<Self> {
        let unconstrained = guc::unconstrained_numeric();
        let Attribute {
            num,
            name,
            type_oid,
            typmod,
            ..
        } = attribute;
        let column_type = ColumnType::resolve(type_oid, typmod, &name, unconstrained);
        Ok(Self {
            attribute: usize::try_from(num).unwrap_or(1) - 1,
            column_type: column_type.map_err(to_pg_error)?,
            name,
            missing: None,
        })
    }

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
    /// The columns of `rel`, each of the type by which its values are to be read and written now.
    pub fn of(rel: Relation<'_>) -> PgResult<Self> {
        Self::of_shape(rel, rel.tuple_desc())
    }

    /// The columns that `rel` had when it was of this shape.
    pub fn of_shape(rel: Relation<'_>, shape: TupleDesc<'_>) -> PgResult<Self> {
        let mut columns = Self::resolve(shape)?;
        if !retyped::is_empty() {
            let retyped = retyped::of(&StorageKey::of(rel));
            for column in &mut columns.columns {
                let number = i16::try_from(column.number()).unwrap_or(0);
                if let Some((type_oid, typmod)) = retyped.get(&number) {
                    let unconstrained = guc::unconstrained_numeric();
                    let old = ColumnType::resolve(*type_oid, *typmod, &column.name, unconstrained);
                    column.column_type = old.map_err(to_pg_error)?;
                }
            }
        }
        Ok(columns)
    }

    /// The columns of `tuple_desc`; a column whose type Iceberg cannot hold is an error.
    pub fn resolve(tuple_desc: TupleDesc<'_>) -> PgResult<Self> {
        let natts = tuple_desc.natts();
        let mut columns = Vec::with_capacity(natts);
        for (attribute, att) in tuple_desc.attributes().enumerate() {
            if att.is_dropped {
                continue;
            }
            columns.push(Column {
                missing: (tuple_desc.missing_value(attribute)).map(pg_sys::Datum::value),
                ..Column::of_attribute(att)?
            });
        }
        Ok(Self { natts, columns })
    }
}
