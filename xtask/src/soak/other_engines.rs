//! DuckDB and PyIceberg read what is published, one metadata file after the other as fast as they can.

use super::gate::Gate;
use super::tables::TABLES;
use super::writers::open;
use crate::cluster::Connection;
use crate::engines::Engines;
use anyhow::{Context, Result, bail};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(500);
/// Files that no snapshot needs any more are kept for a minute: whoever takes longer to read what was current when
/// he began may miss some.
const KEEP_TIME: Duration = Duration::from_secs(60);

/// What the engines have done.
#[derive(Debug, Default)]
pub struct ReadByOthers {
    /// Metadata files.
    pub files: AtomicU64,
    /// Those that the engines took too long to read.
    pub overtaken: AtomicU64,
    /// Manifests of each table's current snapshot.
    pub manifests: [AtomicU64; TABLES.len()],
}

/// Reads until work ends.
pub fn read(
    engines: &mut Engines,
    connection: &Connection,
    gate: &Gate,
    read: &ReadByOthers,
) -> Result<()> {
    let mut session = open(connection, "soak-other-engines")?;
    let mut last = TABLES.map(|_| String::new());
    loop {
        for ((table, last), manifests) in TABLES.iter().zip(&mut last).zip(&read.manifests) {
            let Some(_pass) = gate.pass() else {
                return Ok(());
            };
            let started = Instant::now();
            let (_, rows) = session.query_rows(&format!(
                "SELECT metadata_location, row_count - unpublished_rows FROM lakebase.iceberg_tables \
                 WHERE relation = '{table}'::regclass"
            ))?;
            let mut values = rows.into_iter().flatten();
            let (Some(Some(metadata)), Some(Some(published))) = (values.next(), values.next())
            else {
                continue;
            };
            if metadata == *last {
                continue;
            }
            match compare(engines, &metadata, published.parse()?) {
                Ok(found) => manifests.store(found, Ordering::Relaxed),
                Err(_) if started.elapsed() > KEEP_TIME => {
                    read.overtaken.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    return Err(error.context(format!("reading {table} at {metadata}")));
                }
            }
            read.files.fetch_add(1, Ordering::Relaxed);
            *last = metadata;
        }
        gate.sleep(PAUSE);
    }
}

/// Compares with the `published` rows, and returns the number of manifests.
fn compare(engines: &mut Engines, metadata: &str, published: u64) -> Result<u64> {
    let mut manifests = None;
    for answer in engines.read(metadata)? {
        let engine = &answer.engine;
        if let Some(error) = answer.error {
            bail!("{engine} fails: {error}");
        }
        let found = (answer.rows, answer.sum.as_deref());
        if found != (Some(published), Some("0")) {
            bail!("{engine} finds {found:?}, not {published} rows whose ids add up to 0");
        }
        manifests = manifests.or(answer.manifests);
    }
    manifests.context("no engine tells the number of manifests")
}
