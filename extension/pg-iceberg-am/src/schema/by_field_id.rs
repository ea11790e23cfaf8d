//! Rows in memory, whose fields are found by their ids as those of data files are.
//!
//! They may be older than the names they are read under, and have fields that are dropped since.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, RecordBatch, StructArray, UInt32Array, new_null_array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatchOptions;
use iceberg_lite::scan::MissingValues;
use iceberg_lite::write::FIELD_ID_KEY;
use pg_lakebase_core::error::PgResult;

use crate::error::arrow_error;

/// The rows with the fields of `schema`. A column that they lack has the value that is `missing`, or NULL.
pub fn conform(
    rows: &RecordBatch,
    schema: &SchemaRef,
    missing: &MissingValues,
) -> PgResult<RecordBatch> {
    if rows.schema_ref() == schema {
        return Ok(rows.clone());
    }
    let conformed = || {
        let columns = members(
            rows.schema_ref().fields(),
            rows.columns(),
            schema.fields(),
            rows.num_rows(),
            missing,
        )?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
    };
    conformed().map_err(arrow_error("find fields of rows by their ids"))
}

/// The arrays of `wanted` among those of `fields`; a field that is not there has the value that is `missing`, or is NULL.
fn members(
    fields: &[FieldRef],
    arrays: &[ArrayRef],
    wanted: &[FieldRef],
    length: usize,
    missing: &MissingValues,
) -> Result<Vec<ArrayRef>, ArrowError> {
    wanted
        .iter()
        .map(|wanted| {
            let id = field_id(wanted);
            let found = fields
                .iter()
                .zip(arrays)
                .find(|(field, _)| id.is_some() && field_id(field) == id);
            match found {
                Some((_, array)) => as_type(array, wanted.data_type()),
                None => match id.and_then(|id| missing.get(&id.parse().ok()?)) {
                    Some(value) => take(value, &UInt32Array::from(vec![0; length]), None),
                    None => Ok(new_null_array(wanted.data_type(), length)),
                },
            }
        })
        .collect()
}

fn field_id(field: &Field) -> Option<&String> {
    field.metadata().get(FIELD_ID_KEY)
}

/// `array` as one of `wanted`, which differs in names and members, or is wider.
fn as_type(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    match (array.data_type(), wanted) {
        (DataType::Struct(fields), DataType::Struct(wanted)) => {
            let array = array.as_struct();
            let none = MissingValues::default();
            let columns = members(fields, array.columns(), wanted, array.len(), &none)?;
            let nulls = array.nulls().cloned();
            StructArray::try_new_with_length(wanted.clone(), columns, nulls, array.len())
                .map(|array| Arc::new(array) as ArrayRef)
        }
        (DataType::List(_), DataType::List(element)) => {
            let array = array.as_list::<i32>();
            let values = as_type(array.values(), element.data_type())?;
            let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
            ListArray::try_new(Arc::clone(element), offsets, values, nulls)
                .map(|array| Arc::new(array) as ArrayRef)
        }
        (DataType::Int32, DataType::Int64)
        | (DataType::Float32, DataType::Float64)
        | (DataType::Decimal128(..), DataType::Decimal128(..)) => cast(array, wanted),
        (found, wanted) => Err(ArrowError::SchemaError(format!(
            "a field of type {found} cannot be read as {wanted}"
        ))),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::HashMap;

    use arrow::array::Int32Array;
    use arrow::datatypes::{Fields, Int32Type, Schema};

    use super::*;

    fn field(name: &str, id: i32, data_type: DataType) -> FieldRef {
        let metadata = HashMap::from([(FIELD_ID_KEY.to_owned(), id.to_string())]);
        Arc::new(Field::new(name, data_type, true).with_metadata(metadata))
    }

    fn int(name: &str, id: i32) -> FieldRef {
        field(name, id, DataType::Int32)
    }

    #[test]
    fn exchanged_names_do_not_exchange_values() {
        let old = Schema::new(vec![int("a", 1), int("b", 2)]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![1, 1])),
            Arc::new(Int32Array::from(vec![2, 2])),
        ];
        let rows = RecordBatch::try_new(Arc::new(old), columns).unwrap();
        let new = Arc::new(Schema::new(vec![int("a", 2), int("c", 3), int("b", 1)]));
        let found = conform(&rows, &new, &MissingValues::default()).unwrap();
        assert_eq!(found.column(0).as_primitive::<Int32Type>().value(1), 2);
        assert_eq!(found.column(1).null_count(), 2);
        assert_eq!(found.column(2).as_primitive::<Int32Type>().value(0), 1);
        let five: ArrayRef = Arc::new(Int32Array::from(vec![5]));
        let missing = MissingValues::new([(2, Arc::clone(&five)), (3, five)].into());
        let found = conform(&rows, &new, &missing).unwrap();
        assert_eq!(found.column(0).as_primitive::<Int32Type>().value(1), 2);
        assert_eq!(
            found.column(1).as_primitive::<Int32Type>().values(),
            &[5, 5]
        );
    }

    #[test]
    fn attributes_are_found_within_arrays_of_composites() {
        let members = Fields::from(vec![int("x", 3), int("y", 4)]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![30, 31])),
            Arc::new(Int32Array::from(vec![40, 41])),
        ];
        let values = StructArray::new(members.clone(), columns, None);
        let element = field("element", 2, DataType::Struct(members));
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([2]);
        let list = ListArray::new(Arc::clone(&element), offsets, Arc::new(values), None);
        let old = Schema::new(vec![field("l", 1, DataType::List(element))]);
        let rows = RecordBatch::try_new(Arc::new(old), vec![Arc::new(list)]).unwrap();
        let renamed = DataType::Struct(Fields::from(vec![int("x", 4)]));
        let element = DataType::List(field("element", 2, renamed));
        let new = Arc::new(Schema::new(vec![field("l", 1, element)]));
        let found = conform(&rows, &new, &MissingValues::default()).unwrap();
        let elements = found.column(0).as_list::<i32>().value(0);
        let x = elements.as_struct().column(0).as_primitive::<Int32Type>();
        assert_eq!(x.values(), &[40, 41]);
    }

    #[test]
    fn rows_without_columns_keep_their_number() {
        let rows = RecordBatch::try_new(
            Arc::new(Schema::new(vec![int("a", 1)])),
            vec![Arc::new(Int32Array::from(vec![1, 2, 3]))],
        );
        let none = Arc::new(Schema::empty());
        let found = conform(&rows.unwrap(), &none, &MissingValues::default());
        assert_eq!(found.unwrap().num_rows(), 3);
    }
}
