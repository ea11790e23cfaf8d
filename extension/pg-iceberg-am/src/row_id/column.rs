//! Where a data file's row ids are.
//!
//! They are in a column of the file that is no column of the table, so that engines pass it by as they do
//! the columns that a table had once. Its bounds in the manifest tell the first and the last id. The rows of a
//! file are in the order of their ids. Where there are as many ids from the first to the last as the file has
//! rows, a row's id follows from its position, and the column may be missing.

use std::ops::Range;

use iceberg_lite::compaction::Fill;
use iceberg_lite::manifest::DataFile;
use iceberg_lite::spec::{Datum, NestedField, PrimitiveType, Schema, Type};
use pg_lakebase_core::error::{PgError, PgResult};
use pgrx::PgSqlErrorCode;

use super::RowId;

/// The column's field id. A table's own fields count up from 1; the Iceberg specification reserves what lies above
/// 2147483447.
pub const FIELD_ID: i32 = 2_100_000_000;
const NAME: &str = "_pg_row_id";
const TYPE: PrimitiveType = PrimitiveType::Long;

/// `schema` with the column of row ids as its last column.
pub fn with_row_ids(schema: &Schema) -> Schema {
    let mut columns = schema.columns().to_vec();
    let mut name = NAME.to_owned();
    while schema.fields.field_by_name(&name).is_some() {
        name.push('_');
    }
    columns.push(NestedField::required(
        FIELD_ID,
        &name,
        Type::Primitive(TYPE),
    ));
    Schema::new(schema.schema_id, columns)
}

/// From the first row id in a file to one past the last.
pub fn bounds(file: &DataFile) -> PgResult<Range<RowId>> {
    let bound = |bytes: Option<&Vec<u8>>| match Datum::from_bytes(&TYPE, bytes?) {
        Ok(Some(Datum::Long(value))) => RowId::from_i64(value),
        _ => None,
    };
    bound(file.lower_bounds.get(&FIELD_ID))
        .zip(bound(file.upper_bounds.get(&FIELD_ID)))
        .map(|(first, last)| first..last.advance(1))
        .ok_or_else(|| {
            PgError::new(
                PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
                format!("data file \"{}\" has no row ids", file.file_path),
            )
        })
}

/// Says which row ids a file holds. Of the column itself nothing else is told: engines know no such column.
pub fn set_bounds(file: &mut DataFile, ids: &Range<RowId>) {
    for counts in [
        &mut file.column_sizes,
        &mut file.value_counts,
        &mut file.null_value_counts,
        &mut file.nan_value_counts,
    ] {
        counts.remove(&FIELD_ID);
    }
    let bytes = |id: RowId| Datum::Long(id.to_i64()).to_bytes();
    let last = RowId::new(ids.end.number().saturating_sub(1));
    file.lower_bounds.insert(FIELD_ID, bytes(ids.start));
    file.upper_bounds.insert(FIELD_ID, bytes(last));
}

/// Says of a file that has the column which row ids it holds, as [`set_bounds`] does.
pub fn keep_bounds_alone(file: &mut DataFile) -> PgResult<()> {
    let ids = bounds(file)?;
    set_bounds(file, &ids);
    Ok(())
}

/// Whether a file of `rows` rows with these ids lacks none in between, so that positions tell ids.
pub fn is_run(ids: &Range<RowId>, rows: u64) -> bool {
    ids.end.rows_from(ids.start) == Some(rows)
}

/// The ids of a file's rows, for whoever writes them into another file, if the file may have no column of them.
pub fn fill(file: &DataFile) -> PgResult<Option<(i32, Fill)>> {
    let ids = bounds(file)?;
    let rows = u64::try_from(file.record_count).unwrap_or(0);
    Ok(is_run(&ids, rows).then(|| (FIELD_ID, Fill::Counted(ids.start.to_i64()))))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_file_tells_its_first_and_last_id() {
        let mut file = DataFile::default();
        assert!(bounds(&file).is_err());
        let ids = RowId::new(7)..RowId::new(10);
        set_bounds(&mut file, &ids);
        assert_eq!(bounds(&file).unwrap(), ids);
        assert!(is_run(&ids, 3));
        assert!(!is_run(&ids, 2));
    }

    #[test]
    fn the_column_takes_no_name_that_the_table_has() {
        let field = NestedField::optional(1, NAME, Type::Primitive(TYPE));
        let schema = with_row_ids(&Schema::new(0, vec![field]));
        assert_eq!(schema.fields.field_by_name(NAME).unwrap().id, 1);
        assert_eq!(schema.columns()[1].name, "_pg_row_id_");
    }
}
