//! A few rows as bytes: Arrow's IPC stream format, schema included.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use pg_lakebase_core::error::{PgError, PgResult};
use pgrx::PgSqlErrorCode;

use crate::error::arrow_error;
use crate::row_id::{RowId, RowIds};

/// Encodes rows. Ids that are no run are a column after the others.
pub fn encode(rows: &RecordBatch, ids: &RowIds) -> PgResult<Vec<u8>> {
    let with_ids = (!ids.is_run()).then(|| add_ids(rows, ids)).transpose()?;
    let rows = with_ids.as_ref().unwrap_or(rows);
    let mut bytes = Vec::new();
    StreamWriter::try_new(&mut bytes, rows.schema_ref())
        .and_then(|mut writer| {
            writer.write(rows)?;
            writer.finish()
        })
        .map_err(arrow_error("encode rows"))?;
    Ok(bytes)
}

/// Decodes what [`encode`] made; `run` is the id of the first row if the ids are a run.
pub fn decode(bytes: &[u8], run: Option<RowId>) -> PgResult<(RecordBatch, RowIds)> {
    let batch = StreamReader::try_new(bytes, None)
        .and_then(|mut reader| reader.next().transpose())
        .map_err(arrow_error("decode rows"))?;
    let batch = batch.ok_or_else(|| corrupted("inline rows are cut off"))?;
    match run {
        Some(first) => {
            let ids = RowIds::Run(first, batch.num_rows());
            Ok((batch, ids))
        }
        None => take_ids(&batch),
    }
}

fn add_ids(rows: &RecordBatch, ids: &RowIds) -> PgResult<RecordBatch> {
    let mut fields = rows.schema_ref().fields().to_vec();
    fields.push(Arc::new(Field::new("ctid", DataType::Int64, false)));
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(ids.to_array()) as ArrayRef);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(arrow_error("add row ids to rows"))
}

fn take_ids(batch: &RecordBatch) -> PgResult<(RecordBatch, RowIds)> {
    let others = batch.num_columns().saturating_sub(1);
    let ids = batch.columns().get(others);
    let ids = ids.and_then(|column| column.as_primitive_opt::<Int64Type>());
    let ids = ids.ok_or_else(|| corrupted("inline rows have no row ids"))?;
    let rows = batch
        .project(&(0..others).collect::<Vec<_>>())
        .map_err(arrow_error("take row ids from rows"))?;
    Ok((rows, RowIds::List(ids.clone())))
}

fn corrupted(message: &str) -> PgError {
    PgError::new(PgSqlErrorCode::ERRCODE_DATA_CORRUPTED, message)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use arrow::array::Int32Array;

    use super::*;

    #[test]
    fn rows_come_back_with_their_ids() {
        let schema = Schema::new(vec![Field::new("a", DataType::Int32, true)]);
        let column = Arc::new(Int32Array::from(vec![Some(7), None, Some(9)]));
        let rows = RecordBatch::try_new(Arc::new(schema), vec![column]).unwrap();
        for ids in [RowIds::of(vec![4, 5, 6]), RowIds::of(vec![4, 6, 9])] {
            let first = ids.get(0).filter(|_| ids.is_run());
            let bytes = encode(&rows, &ids).unwrap();
            let (rows_again, ids_again) = decode(&bytes, first).unwrap();
            assert_eq!(rows_again, rows);
            assert_eq!(ids_again.to_array(), ids.to_array());
        }
    }
}
