//! Updates applied to metadata: a pure function.

use std::sync::Arc;

use super::requirement::TableRequirement;
use super::update::TableUpdate;
use crate::error::{Error, Result};
use crate::spec::{
    FormatVersion, MAIN_BRANCH, MetadataLogEntry, Snapshot, SnapshotLogEntry, SnapshotRef,
    SnapshotReference, TableMetadata,
};

/// The property that limits the metadata log.
const PREVIOUS_VERSIONS_MAX: &str = "write.metadata.previous-versions-max";

/// Applies updates in their order to metadata for which all requirements hold.
///
/// `base_location` is the file that `base` was read from; it goes into the metadata log. The time of
/// the result is `now_ms`, unless that lies before the base's.
pub fn apply(
    base: &TableMetadata,
    base_location: Option<&str>,
    requirements: &[TableRequirement],
    updates: Vec<TableUpdate>,
    now_ms: i64,
) -> Result<TableMetadata> {
    for requirement in requirements {
        requirement.check(base)?;
    }
    let mut metadata = base.clone();
    metadata.last_updated_ms = now_ms.max(base.last_updated_ms);
    for update in updates {
        apply_update(&mut metadata, update)?;
    }
    if let Some(location) = base_location {
        metadata.metadata_log.push(MetadataLogEntry {
            timestamp_ms: base.last_updated_ms,
            metadata_file: location.to_owned(),
            extra: Default::default(),
        });
    }
    shorten_metadata_log(&mut metadata);
    Ok(metadata)
}

fn refuse<T>(reason: String) -> Result<T> {
    Err(Error::invalid_argument("table update", reason))
}

fn apply_update(metadata: &mut TableMetadata, update: TableUpdate) -> Result<()> {
    match update {
        TableUpdate::AssignUuid(uuid) => {
            if !metadata.table_uuid.is_nil() && metadata.table_uuid != uuid {
                return refuse("a table's UUID cannot be changed".to_owned());
            }
            metadata.table_uuid = uuid;
        }
        TableUpdate::UpgradeFormatVersion(version) => upgrade(metadata, version)?,
        TableUpdate::AddSchema(schema) => {
            if metadata.schema(schema.schema_id).is_some() {
                return refuse(format!("schema id {} is in use", schema.schema_id));
            }
            metadata.last_column_id = metadata.last_column_id.max(schema.highest_field_id());
            metadata.schemas.push(Arc::new(schema));
        }
        TableUpdate::SetCurrentSchema(id) => {
            if metadata.schema(id).is_none() {
                return refuse(format!("there is no schema {id}"));
            }
            metadata.current_schema_id = id;
        }
        TableUpdate::AddPartitionSpec(spec) => {
            if metadata.partition_spec(spec.spec_id).is_some() {
                return refuse(format!("partition spec id {} is in use", spec.spec_id));
            }
            metadata.last_partition_id = metadata.last_partition_id.max(spec.highest_field_id());
            metadata.partition_specs.push(Arc::new(spec));
        }
        TableUpdate::SetDefaultSpec(id) => {
            if metadata.partition_spec(id).is_none() {
                return refuse(format!("there is no partition spec {id}"));
            }
            metadata.default_spec_id = id;
        }
        TableUpdate::AddSortOrder(order) => {
            if metadata.sort_order(order.order_id).is_some() {
                return refuse(format!("sort order id {} is in use", order.order_id));
            }
            metadata.sort_orders.push(order);
        }
        TableUpdate::SetDefaultSortOrder(id) => {
            if metadata.sort_order(id).is_none() {
                return refuse(format!("there is no sort order {id}"));
            }
            metadata.default_sort_order_id = id;
        }
        TableUpdate::AddSnapshot(snapshot) => add_snapshot(metadata, snapshot)?,
        TableUpdate::SetSnapshotRef { name, reference } => set_ref(metadata, name, reference)?,
        TableUpdate::RemoveSnapshotRef(name) => {
            if name == MAIN_BRANCH {
                return refuse("branch \"main\" cannot be dropped".to_owned());
            }
            metadata.refs.remove(&name);
        }
        TableUpdate::RemoveSnapshots(ids) => remove_snapshots(metadata, &ids),
        TableUpdate::SetLocation(mut location) => {
            location.truncate(location.trim_end_matches('/').len());
            metadata.location = location;
        }
        TableUpdate::SetProperties(properties) => metadata.properties.extend(properties),
        TableUpdate::RemoveProperties(names) => {
            for name in names {
                metadata.properties.remove(&name);
            }
        }
        TableUpdate::SetStatistics(file) => {
            metadata
                .statistics
                .retain(|old| old.snapshot_id != file.snapshot_id);
            metadata.statistics.push(file);
        }
        TableUpdate::RemoveStatistics(id) => {
            metadata.statistics.retain(|file| file.snapshot_id != id);
        }
    }
    Ok(())
}

/// Gives metadata a later version of the format. Nothing else changes: rows get ids, in version 3, with the next
/// snapshot.
pub fn upgrade(metadata: &mut TableMetadata, version: FormatVersion) -> Result<()> {
    if version < metadata.format_version {
        let (from, to) = (metadata.format_version.number(), version.number());
        return refuse(format!("format version {from} cannot be lowered to {to}"));
    }
    metadata.format_version = version;
    Ok(())
}

fn add_snapshot(metadata: &mut TableMetadata, snapshot: SnapshotRef) -> Result<()> {
    if metadata.snapshot(snapshot.snapshot_id).is_some() {
        return refuse(format!(
            "snapshot {} is in the table already",
            snapshot.snapshot_id
        ));
    }
    if snapshot.sequence_number <= metadata.last_sequence_number {
        return refuse(format!(
            "sequence number {} of snapshot {} is not above the table's last, {}",
            snapshot.sequence_number, snapshot.snapshot_id, metadata.last_sequence_number
        ));
    }
    if metadata.format_version >= FormatVersion::V3 {
        metadata.next_row_id = next_row_id(metadata, &snapshot)?;
    }
    metadata.last_sequence_number = snapshot.sequence_number;
    metadata.last_updated_ms = metadata.last_updated_ms.max(snapshot.timestamp_ms);
    metadata.snapshots.push(snapshot);
    Ok(())
}

/// The next row id after a snapshot has given some to its rows (specification, section "Row Lineage").
fn next_row_id(metadata: &TableMetadata, snapshot: &Snapshot) -> Result<i64> {
    let id = snapshot.snapshot_id;
    let (Some(first), Some(added @ 0..)) = (snapshot.first_row_id, snapshot.added_rows) else {
        return refuse(format!("snapshot {id} does not say which row ids it gives"));
    };
    if first < metadata.next_row_id {
        let next = metadata.next_row_id;
        return refuse(format!(
            "snapshot {id} gives row ids from {first} on, but {next} is next"
        ));
    }
    match first.checked_add(added) {
        Some(next) => Ok(next),
        None => refuse("row ids are used up".to_owned()),
    }
}

fn set_ref(metadata: &mut TableMetadata, name: String, reference: SnapshotReference) -> Result<()> {
    let id = reference.snapshot_id;
    if metadata.snapshot(id).is_none() {
        return refuse(format!("there is no snapshot {id} for \"{name}\""));
    }
    if name == MAIN_BRANCH && metadata.current_snapshot_id != Some(id) {
        metadata.current_snapshot_id = Some(id);
        metadata.snapshot_log.push(SnapshotLogEntry {
            timestamp_ms: metadata.last_updated_ms,
            snapshot_id: id,
            extra: Default::default(),
        });
    }
    metadata.refs.insert(name, reference);
    Ok(())
}

fn remove_snapshots(metadata: &mut TableMetadata, ids: &[i64]) {
    let ids: std::collections::HashSet<i64> = ids.iter().copied().collect();
    let named: std::collections::HashSet<i64> = metadata
        .refs
        .values()
        .map(|reference| reference.snapshot_id)
        .collect();
    let is_removed = |id: i64| ids.contains(&id) && !named.contains(&id);
    metadata
        .snapshots
        .retain(|snapshot| !is_removed(snapshot.snapshot_id));
    metadata
        .statistics
        .retain(|file| !is_removed(file.snapshot_id));
    metadata
        .partition_statistics
        .retain(|file| !is_removed(file.snapshot_id));
    // What stands before an entry that is gone would tell a false history.
    let last_gone = metadata
        .snapshot_log
        .iter()
        .rposition(|entry| is_removed(entry.snapshot_id));
    if let Some(last_gone) = last_gone {
        metadata.snapshot_log.drain(..=last_gone);
    }
}

/// Another writer, or a property that was set since, may have left more than one entry too many.
fn shorten_metadata_log(metadata: &mut TableMetadata) {
    let limit = metadata.property_number(PREVIOUS_VERSIONS_MAX, 100).max(1);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let surplus = metadata.metadata_log.len().saturating_sub(limit);
    metadata.metadata_log.drain(..surplus);
}
