//! Other engines' reading of what is committed.

use super::primary::Primary;
use super::tables::Fingerprints;
use crate::engines::Engines;
use anyhow::{Context, Result, bail};

/// Compares what the engines find in each table's metadata file with what PostgreSQL did.
pub fn check(engines: &mut Engines, primary: &Primary, expected: &Fingerprints) -> Result<()> {
    let text = primary.query(
        "SELECT table_name, row_count, lakebase.publish(relation) FROM lakebase.iceberg_tables \
         WHERE table_name ~ '^[tu][0-9]+$'",
    )?;
    for line in text.lines() {
        let fields: Vec<&str> = line.splitn(3, '|').collect();
        let [table, row_count, metadata] = *fields.as_slice() else {
            bail!("psql printed {line}");
        };
        let expected = expected
            .get(table)
            .with_context(|| format!("{table} came from nowhere"))?;
        if row_count.parse() != Ok(expected.rows) {
            bail!("lakebase.iceberg_tables has {row_count} rows for {table}, not {expected:?}");
        }
        if metadata.is_empty() {
            if expected.rows != 0 {
                bail!("{table} has rows and no metadata");
            }
            continue;
        }
        compare(engines, metadata, expected.rows, &expected.sum)
            .with_context(|| format!("reading {table} at {metadata}"))?;
    }
    Ok(())
}

/// Compares what the engines find in a metadata file with a number of rows and the sum of their ids.
pub fn compare(engines: &mut Engines, metadata: &str, rows: u64, sum: &str) -> Result<()> {
    for answer in engines.read(metadata)? {
        let engine = &answer.engine;
        if let Some(error) = answer.error {
            bail!("{engine} fails: {error}");
        }
        let (found, expected) = (
            (answer.rows, answer.sum.as_deref()),
            (Some(rows), Some(sum)),
        );
        if found != expected {
            bail!("{engine} finds {found:?}, not {expected:?}");
        }
    }
    Ok(())
}
