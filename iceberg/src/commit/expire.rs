//! Expiring snapshots.
//!
//! What expires is [`plan_expiry`]'s to say, and what becomes of files [`unreachable_files`]'s. Their results can
//! also go with another change, by [`complete_and_update`](super::complete_and_update): then history is thinned
//! without a metadata file of its own.

use std::collections::BTreeSet;

use super::complete::{NewMetadata, complete_with_updates};
use super::requirement::TableRequirement;
use super::retention::{Expiry, HeldSnapshots, Retention, plan_expiry};
use super::unreachable::{History, unreachable_files};
use crate::error::Result;
use crate::io::FileIo;
use crate::spec::{MAIN_BRANCH, TableMetadata};

/// Snapshots that expired, in metadata that the caller may now point the table to.
#[derive(Debug, Clone)]
pub struct Expired {
    /// The new metadata.
    pub completed: NewMetadata,
    /// The snapshots, branches and tags that they no longer have.
    pub expiry: Expiry,
    /// Data files, delete files, manifests, manifest lists and statistics files that nothing refers
    /// to any more: to delete once the commit has happened and nobody reads earlier metadata.
    pub unreachable_files: BTreeSet<String>,
}

/// Expires what the rules, the references and the table's properties say. `None` if that is nothing.
pub fn expire(
    base: &TableMetadata,
    base_location: Option<&str>,
    retention: &Retention,
    held: &HeldSnapshots,
    history: History,
    io: &dyn FileIo,
    now_ms: i64,
) -> Result<Option<Expired>> {
    let expiry = plan_expiry(base, retention, held, now_ms);
    if expiry.is_empty() {
        return Ok(None);
    }
    let gone = expiry.snapshot_ids.iter().copied().collect();
    let unreachable_files = unreachable_files(base, &gone, history, io)?;
    let requirements = [
        TableRequirement::TableUuid(base.table_uuid),
        TableRequirement::RefSnapshotId {
            name: MAIN_BRANCH.to_owned(),
            snapshot_id: base.current_snapshot_id,
        },
    ];
    let updates = expiry.updates();
    let completed = complete_with_updates(base, base_location, &requirements, updates, io, now_ms)?;
    Ok(Some(Expired {
        completed,
        expiry,
        unreachable_files,
    }))
}

/// The snapshots that readers of earlier metadata files need: what was current in each. Each file is read,
/// as quickly as one can be whose snapshots are mostly those of `base`.
pub fn snapshots_of_metadata_files<'a>(
    base: &TableMetadata,
    locations: impl IntoIterator<Item = &'a str>,
    io: &dyn FileIo,
) -> Result<BTreeSet<i64>> {
    let current = |location| {
        let metadata = TableMetadata::read_from_after(io, location, Some(base))?;
        Ok(metadata.current_snapshot_id)
    };
    locations
        .into_iter()
        .filter_map(|location| current(location).transpose())
        .collect()
}
