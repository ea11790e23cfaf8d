//! A few rows as bytes: Arrow's IPC stream format, schema included.

use arrow::array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use pg_lakebase_core::error::{PgError, PgResult};
use pgrx::PgSqlErrorCode;

use crate::error::arrow_error;

/// Encodes rows.
pub fn encode(rows: &RecordBatch) -> PgResult<Vec<u8>> {
    let mut bytes = Vec::new();
    StreamWriter::try_new(&mut bytes, rows.schema_ref())
        .and_then(|mut writer| {
            writer.write(rows)?;
            writer.finish()
        })
        .map_err(arrow_error("encode rows"))?;
    Ok(bytes)
}

/// Decodes what [`encode`] made.
pub fn decode(bytes: &[u8]) -> PgResult<RecordBatch> {
    let batch = StreamReader::try_new(bytes, None)
        .and_then(|mut reader| reader.next().transpose())
        .map_err(arrow_error("decode rows"))?;
    batch.ok_or_else(|| {
        PgError::new(
            PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            "a row of lakebase.iceberg_append holds no rows of its table",
        )
    })
}
