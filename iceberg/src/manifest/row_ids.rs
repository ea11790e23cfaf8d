//! Which row ids the rows of data files have (specification, section "Row Lineage").
//!
//! A data file whose entry has no first row id inherits one from its manifest, and that from the manifest list.

use std::sync::Arc;

use super::entry::ManifestEntry;
use super::manifest_file::{ManifestContent, ManifestFile};
use crate::error::{Error, Result};

/// Gives the live files of a manifest that have no first row id the ones that they inherit, if the manifest has any.
pub(super) fn inherit_row_ids(manifest: &ManifestFile, entries: &mut [ManifestEntry]) {
    if manifest.content != ManifestContent::Data {
        return;
    }
    let Some(mut next) = manifest.first_row_id else {
        return;
    };
    for entry in entries.iter_mut().filter(|entry| entry.is_live()) {
        if entry.data_file.first_row_id.is_none() {
            Arc::make_mut(&mut entry.data_file).first_row_id = Some(next);
            next = next.saturating_add(entry.data_file.record_count);
        }
    }
}

/// Gives the manifests of data files that have no row ids some, from `first` on. Returns what comes after them.
///
/// All rows of such a manifest are counted, those that have an id already too: there are enough.
pub(crate) fn assign_row_ids(manifests: &mut [ManifestFile], first: i64) -> Result<i64> {
    let used_up = || Error::invalid_argument("assign_row_ids", "row ids are used up");
    let mut next = first;
    let data = manifests
        .iter_mut()
        .filter(|manifest| manifest.content == ManifestContent::Data);
    for manifest in data.filter(|manifest| manifest.first_row_id.is_none()) {
        manifest.first_row_id = Some(next);
        for rows in [manifest.added_rows_count, manifest.existing_rows_count] {
            next = next.checked_add(rows.unwrap_or(0)).ok_or_else(used_up)?;
        }
    }
    Ok(next)
}
