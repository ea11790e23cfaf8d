//! The next metadata file, and the pointer row that leads to it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use iceberg_lite::commit;
use iceberg_lite::spec::{FormatVersion, PartitionSpec, TableMetadata};
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::injection;
use pg_lakebase_core::relation::{LockMode, OpenRelation};
use pg_lakebase_core::xact::clock_timestamp;
use pgrx::pg_sys;

use super::Catalogs;
use super::change::Change;
use crate::catalog::options::TableOptions;
use crate::catalog::{
    ColumnFieldCatalog, Incarnation, LockedPointer, Pointer, relation_of, unless_emptied,
};
use crate::error::to_pg_error;
use crate::files::cache;
use crate::schema::{TableColumns, with_current_columns};

/// Names of a new metadata file and of the one before it.
pub(super) struct MetadataFiles {
    pub(super) current: String,
    pub(super) previous: Option<String>,
}

impl Change {
    /// Writes the manifest list and the metadata file, and points the table to it. `None` if only history was to be
    /// dropped, and there is none.
    pub(super) fn replace_metadata(
        &self,
        catalogs: &Catalogs,
        locked: Option<LockedPointer>,
    ) -> PgResult<Option<MetadataFiles>> {
        injection::point(c"iceberg-pointer-locked");
        let Self { key, io, .. } = self;
        let place = io.place();
        let location = place.location()?;
        let locked = locked.map(|LockedPointer { pointer, tid }| LockedPointer {
            pointer: unless_emptied(self.persistence, key, pointer),
            tid,
        });
        let previous = locked
            .as_ref()
            .and_then(|locked| locked.pointer.metadata_location.clone());
        let base = with_properties(
            self.base(&location, previous.as_deref())?,
            &self.options().properties(),
        )?;
        let base_path = previous.as_deref().map(|name| place.path_of(name));
        let staged = self.staged.as_ref().map(|staged| match &self.new_columns {
            Some(_) => Cow::Owned(staged.clone().with_schema_id(base.current_schema_id)),
            None => Cow::Borrowed(staged),
        });
        let expired = self.plan_expiry(&base)?;
        if self.only_expires && expired.is_empty() {
            if self.expiring.is_now() {
                self.leave_as_garbage(&base, previous.as_deref(), &expired, &[])?;
            }
            return Ok(None);
        }
        let next = match staged.as_deref() {
            Some(staged) => commit::complete_and_update(
                &base,
                base_path.as_deref(),
                staged,
                expired.updates(),
                io,
                now_ms(),
            ),
            None => commit::complete_with_updates(
                &base,
                base_path.as_deref(),
                &[],
                expired.updates(),
                io,
                now_ms(),
            ),
        }
        .map_err(to_pg_error)?;
        let current = place
            .name_of(&next.metadata_location)
            .map(str::to_owned)
            .ok_or_else(|| {
                PgError::internal(format!(
                    "new metadata file \"{}\" lies elsewhere than the table",
                    next.metadata_location
                ))
            })?;
        injection::point(c"iceberg-metadata-written");
        let pointer = Pointer {
            next_row_id: self.next_row_id,
            origin: self.origin,
            published_at: clock_timestamp(),
            ..pointer_to(&next.metadata, current.clone())
        };
        match locked {
            Some(locked) => {
                if previous.is_none() && !key.is_temporary() {
                    // A table that recovery has emptied: the inline commits from before are gone as well.
                    let latest = catalogs.inline_commits.latest();
                    let gone = catalogs.inline_commits.find(key, latest.snapshot())?;
                    catalogs.inline_commits.delete(&gone);
                }
                let pointer = successor(pointer, &locked.pointer, Incarnation::new);
                catalogs.pointers.replace(key, &locked, &pointer);
            }
            None => {
                let incarnation = Incarnation::new();
                let pointer = Pointer {
                    incarnation,
                    ..pointer
                };
                catalogs.pointers.insert(key, &pointer);
            }
        }
        injection::point(c"iceberg-pointer-replaced");
        self.ask_for_upkeep(next.metadata.last_sequence_number);
        let forgotten = match place.is_object() {
            true => forgotten_metadata_files(&base, &next.metadata),
            // They are found in the directory, when history is dropped.
            false => Vec::new(),
        };
        if self.expiring.is_now() || !expired.is_empty() || !forgotten.is_empty() {
            self.leave_as_garbage(&next.metadata, previous.as_deref(), &expired, &forgotten)?;
        }
        cache::remember(io, &current, next.metadata.into());
        Ok(Some(MetadataFiles { current, previous }))
    }

    /// The columns as they are now: others may have changed types of them since `known`, and have committed, but are
    /// kept from the metadata meanwhile.
    fn current_columns(&self, known: &Arc<TableColumns>) -> PgResult<Arc<TableColumns>> {
        // SAFETY: in a transaction; what caches knew is forgotten where it is outdated.
        unsafe { pg_sys::AcceptInvalidationMessages() };
        match OpenRelation::try_open(self.relid, LockMode::None) {
            Some(rel) => TableColumns::resolve(rel.relation().tuple_desc()).map(Arc::new),
            None => Ok(Arc::clone(known)),
        }
    }

    /// The table that has the storage. A rewrite makes it for another relation, which is no more by now.
    fn current_relid(&self) -> pg_sys::Oid {
        match self.created {
            true => relation_of(&self.key).unwrap_or(self.relid),
            false => self.relid,
        }
    }

    /// The options of the table, as they were when they were asked for first: all that the change writes goes by them.
    pub(super) fn options(&self) -> &TableOptions {
        self.options
            .get_or_init(|| TableOptions::of(self.current_relid()))
    }

    /// The metadata that the change is put on top of: those of the file `previous`, or of a new table. They are of the
    /// version of the format that the table is to have.
    pub(super) fn base(
        &self,
        location: &str,
        previous: Option<&str>,
    ) -> PgResult<Arc<TableMetadata>> {
        let base = match previous {
            Some(relative) => {
                let base = located_at(location, cache::metadata(&self.io, relative)?);
                match &self.new_columns {
                    Some(columns) => with_current_columns(
                        &base,
                        &self.current_columns(columns)?,
                        &ColumnFieldCatalog::find(&self.key)?,
                    )?,
                    None => base,
                }
            }
            None => {
                let mut metadata = TableMetadata::new_table(
                    (*self.schema.schema).clone(),
                    PartitionSpec::unpartitioned(),
                    location.to_owned(),
                    self.schema.properties()?,
                    uuid::Uuid::new_v4(),
                    now_ms(),
                );
                // Also of columns that have come and gone.
                let later = ColumnFieldCatalog::find(&self.key)?;
                metadata.last_column_id = metadata.last_column_id.max(later.ids.highest());
                metadata.into()
            }
        };
        upgraded(base, self.options().format_version())
    }
}

/// Metadata of the version, unless they are of a later one.
fn upgraded(metadata: Arc<TableMetadata>, version: FormatVersion) -> PgResult<Arc<TableMetadata>> {
    if metadata.format_version >= version {
        return Ok(metadata);
    }
    let mut metadata = Arc::unwrap_or_clone(metadata);
    commit::upgrade(&mut metadata, version).map_err(to_pg_error)?;
    Ok(metadata.into())
}

/// Property that lists, in JSON, the properties that are the table's options.
const OPTIONS_PROPERTY: &str = "pg-lakebase.options";

/// Metadata whose properties are as the table's options have them. Properties that others have set stay.
fn with_properties(
    metadata: Arc<TableMetadata>,
    options: &BTreeMap<String, String>,
) -> PgResult<Arc<TableMetadata>> {
    let old: Vec<String> = match metadata.properties.get(OPTIONS_PROPERTY) {
        Some(names) => {
            serde_json::from_str(names).map_err(|error| PgError::internal(error.to_string()))?
        }
        None if options.is_empty() => return Ok(metadata),
        None => Vec::new(),
    };
    let unchanged = old.len() == options.len()
        && old.iter().all(|name| {
            options.contains_key(name) && options.get(name) == metadata.properties.get(name)
        });
    if unchanged {
        return Ok(metadata);
    }
    let mut changed = TableMetadata::clone(&metadata);
    for name in old.iter().map(String::as_str).chain([OPTIONS_PROPERTY]) {
        changed.properties.remove(name);
    }
    changed.properties.extend(options.clone());
    if !options.is_empty() {
        let names: Vec<_> = options.keys().collect();
        let names =
            serde_json::to_string(&names).map_err(|error| PgError::internal(error.to_string()))?;
        changed
            .properties
            .insert(OPTIONS_PROPERTY.to_owned(), names);
    }
    Ok(changed.into())
}

/// The metadata of a table that is at `location`, wherever it was when they were written: a cluster may have
/// been moved, restored elsewhere, or upgraded. What is written next lies where the table is now.
fn located_at(location: &str, metadata: Arc<TableMetadata>) -> Arc<TableMetadata> {
    if metadata.location == location {
        return metadata;
    }
    Arc::new(TableMetadata {
        location: location.to_owned(),
        ..TableMetadata::clone(&metadata)
    })
}

/// The metadata files in the log of `before` that are not in that of `after`.
fn forgotten_metadata_files(before: &TableMetadata, after: &TableMetadata) -> Vec<String> {
    let kept: HashSet<&str> = (after.metadata_log.iter())
        .map(|entry| &*entry.metadata_file)
        .collect();
    (before.metadata_log.iter())
        .map(|entry| &entry.metadata_file)
        .filter(|file| !kept.contains(&***file))
        .cloned()
        .collect()
}

/// What the pointer row says of `metadata`.
fn pointer_to(metadata: &TableMetadata, metadata_location: String) -> Pointer {
    let snapshot = metadata.current_snapshot();
    let total = |name: &str| {
        snapshot
            .and_then(|snapshot| snapshot.summary.count(name))
            .unwrap_or(0)
    };
    let deleted = total("total-position-deletes");
    Pointer {
        snapshot_id: snapshot.map(|snapshot| snapshot.snapshot_id),
        row_count: (total("total-records") - deleted).max(0),
        deleted_row_count: deleted,
        file_count: total("total-data-files"),
        total_bytes: total("total-files-size"),
        snapshot_count: i32::try_from(metadata.snapshots.len()).unwrap_or(i32::MAX),
        metadata_location: Some(metadata_location),
        ..Pointer::default()
    }
}

/// `pointer` as it replaces `before`. A table that had no metadata file gets another incarnation: what was left
/// inline before does not count on top of the new one. Row ids are never given again.
fn successor(
    pointer: Pointer,
    before: &Pointer,
    new_incarnation: impl FnOnce() -> Incarnation,
) -> Pointer {
    Pointer {
        incarnation: match before.metadata_location {
            Some(_) => before.incarnation,
            None => new_incarnation(),
        },
        origin: before.origin,
        next_row_id: pointer.next_row_id.max(before.next_row_id),
        ..pointer
    }
}

/// Milliseconds since the Unix epoch.
pub(super) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Origin;

    fn incarnation(number: u64) -> Incarnation {
        Incarnation::read(pgrx::pg_sys::Datum::from(number))
    }

    fn before() -> Pointer {
        Pointer {
            metadata_location: Some("metadata/00001-x7-1.metadata.json".to_owned()),
            incarnation: incarnation(7),
            origin: Origin::Rewritten,
            next_row_id: 100,
            ..Pointer::default()
        }
    }

    fn next(before: &Pointer, next_row_id: u64) -> Pointer {
        let pointer = Pointer {
            metadata_location: Some("metadata/00002-x9-1.metadata.json".to_owned()),
            next_row_id,
            ..Pointer::default()
        };
        successor(pointer, before, || incarnation(9))
    }

    #[test]
    fn what_a_storage_is_to_older_snapshots_stays() {
        assert_eq!(next(&before(), 0).origin, Origin::Rewritten);
    }

    #[test]
    fn row_ids_are_not_given_again_whoever_commits_first() {
        assert_eq!(next(&before(), 90).next_row_id, 100);
        assert_eq!(next(&before(), 110).next_row_id, 110);
    }

    #[test]
    fn only_a_table_that_was_emptied_gets_another_incarnation() {
        assert_eq!(next(&before(), 0).incarnation, incarnation(7));
        let emptied = Pointer {
            metadata_location: None,
            ..before()
        };
        let next = next(&emptied, 0);
        assert_eq!(next.incarnation, incarnation(9));
        assert_eq!(next.next_row_id, 100);
        assert!(!next.counts(incarnation(7)));
    }
}
