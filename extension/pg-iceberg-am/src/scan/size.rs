//! How large a table is.

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::{ForkNumber, Relation};
use pg_lakebase_core::table_am::SizeEstimate;
use pgrx::pg_sys;

use crate::catalog::{Extent, latest_extent};
use crate::directory::StorageKey;
use crate::transaction;

/// Most rows in one virtual block.
///
/// Compressed rows can be tiny, and sampling chooses rows within a block by a 16-bit offset; this is
/// about what a heap page holds of narrow rows.
const ROWS_PER_BLOCK: u64 = 128;

/// `MaxBlockNumber`.
const MAX_BLOCK_NUMBER: u32 = u32::MAX - 1;

/// What is known of a table's size without opening its files.
fn extent(rel: Relation<'_>) -> PgResult<Extent> {
    let key = StorageKey::of(rel);
    let Extent { rows, bytes } = latest_extent(rel, &key)?;
    Ok(Extent {
        rows: rows + transaction::pending_row_count(&key),
        bytes,
    })
}

/// Number of virtual blocks: as many as the data files' bytes make, and no fewer than the rows need.
pub fn blocks(rel: Relation<'_>) -> PgResult<u32> {
    let Extent { rows, bytes } = extent(rel)?;
    let blocks = bytes
        .div_ceil(u64::from(pg_sys::BLCKSZ))
        .max(rows.div_ceil(ROWS_PER_BLOCK));
    Ok(u32::try_from(blocks).unwrap_or(MAX_BLOCK_NUMBER))
}

/// Size in bytes of a fork in virtual blocks. Iceberg tables have no fork but the main one.
pub fn relation_size(rel: Relation<'_>, fork: ForkNumber) -> PgResult<u64> {
    match fork {
        ForkNumber::Main => Ok(u64::from(blocks(rel)?) * u64::from(pg_sys::BLCKSZ)),
        _ => Ok(0),
    }
}

/// What the planner starts from: pages are what the files take, rows are exact.
pub fn estimate(rel: Relation<'_>) -> PgResult<SizeEstimate> {
    let Extent { rows, bytes } = extent(rel)?;
    let pages = bytes
        .div_ceil(u64::from(pg_sys::BLCKSZ))
        .max(u64::from(rows > 0));
    Ok(SizeEstimate {
        pages: u32::try_from(pages).unwrap_or(MAX_BLOCK_NUMBER),
        tuples: rows as f64,
        all_visible_fraction: 0.0,
    })
}
