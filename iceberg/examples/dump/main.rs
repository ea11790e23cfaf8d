//! Prints the rows of a table's current snapshot, one JSON object each.
//!
//! `cargo run --example dump -- METADATA_FILE`. The form of the values is described in
//! `xtask/interop/README.md`.

use std::error::Error;
use std::io::Write;

use iceberg_lite::io::LocalFileIo;
use iceberg_lite::scan::{ReadOptions, plan_files};
use iceberg_lite::spec::TableMetadata;
use serde_json::{Map, Value};

mod form;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: dump METADATA_FILE")?;
    let io = LocalFileIo;
    let metadata = TableMetadata::read_from(&io, &path)?;
    let schema = metadata.current_schema().ok_or("no current schema")?;
    let projection: Vec<i32> = schema.columns().iter().map(|field| field.id).collect();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let Some(snapshot) = metadata.current_snapshot() else {
        return Ok(());
    };
    for file in plan_files(&metadata, snapshot, &io)? {
        let options = ReadOptions {
            projection: projection.clone(),
            ..ReadOptions::default()
        };
        for read in file.open(&io, &metadata, schema, options)? {
            let batch = read?.batch;
            for row in 0..batch.num_rows() {
                let mut object = Map::new();
                for (field, column) in schema.columns().iter().zip(batch.columns()) {
                    object.insert(field.name.clone(), form::value(column, row)?);
                }
                writeln!(out, "{}", Value::Object(object))?;
            }
        }
    }
    Ok(out.flush()?)
}
