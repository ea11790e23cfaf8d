//! Names of attributes in databases whose encoding is not UTF-8.
//!
//! Names in Iceberg's metadata are UTF-8. Where names in PostgreSQL are not, only those in ASCII are the same in
//! both, so others are refused. Tables that have some already are left alone: their fields are found by ids.

use std::ffi::CStr;

use pg_arrow_conv::types::{ColumnType, database_encoding_name, database_is_utf8};
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::Relation;
use pgrx::pg_sys;

use crate::directory::upgrade;
use crate::schema::TableColumns;

/// Checks the names of the columns of `rel`, and those of the attributes in them.
pub fn check_table(rel: Relation<'_>) -> PgResult<()> {
    if database_is_utf8() || upgrade::is_running() {
        return Ok(());
    }
    for column in rel.tuple_desc().raw_attributes() {
        if !column.attisdropped && !name(column).to_bytes().is_ascii() {
            let detail = format!("The name of column {} is not.", column.attnum);
            return Err(refused().with_detail(detail));
        }
    }
    for column in TableColumns::resolve(rel.tuple_desc())?.columns {
        if !attributes_are_ascii(&column.column_type) {
            let detail = format!(
                "The name of an attribute in column \"{}\" is not.",
                column.name
            );
            return Err(refused().with_detail(detail));
        }
    }
    Ok(())
}

/// Checks the new name of an attribute.
pub fn check_renamed(attribute: &pg_sys::FormData_pg_attribute) -> PgResult<()> {
    if database_is_utf8() || name(attribute).to_bytes().is_ascii() {
        Ok(())
    } else {
        Err(refused())
    }
}

/// An attribute's name in the database's encoding.
pub fn name(attribute: &pg_sys::FormData_pg_attribute) -> &CStr {
    // SAFETY: a NameData is always terminated within its 64 bytes.
    unsafe { CStr::from_ptr(attribute.attname.data.as_ptr()) }
}

/// Bytes that are not UTF-8 have become U+FFFD in resolved types, which is no ASCII either.
fn attributes_are_ascii(column_type: &ColumnType) -> bool {
    let mut children = column_type.children().into_iter();
    children.all(|child| child.name().is_ascii() && attributes_are_ascii(child))
}

fn refused() -> PgError {
    PgError::feature_not_supported(format!(
        "names of columns of Iceberg tables must be ASCII in a database with encoding {}",
        database_encoding_name()
    ))
    .with_hint("Choose another name, or use a database created with ENCODING 'UTF8'.")
}
