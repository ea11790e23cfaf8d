//! The extension's own catalog: one pointer row for each table's storage, and inline commits and changes of rows on
//! their way into the metadata; and what is cached of the metadata they point to.

mod column_field;
mod garbage;
mod guard;
mod inline_commit;
pub mod inline_rows;
mod keyed_table;
pub mod options;
mod pointer;
mod relation;
mod row_change;
mod row_set;

pub use column_field::ColumnFieldCatalog;
pub use garbage::{GarbageCatalog, LockedGarbage, What};
pub use inline_commit::{InlineCommit, InlineCommitCatalog, InlineContent, NewInlineCommit};
pub use keyed_table::Writing;
pub use pointer::{Incarnation, LockedPointer, Origin, Pointer, PointerCatalog};
pub use relation::{
    access_method, check_iceberg, check_maintain, check_select, has_relation, iceberg_descendant,
    is_iceberg, is_iceberg_relid, open_to_read, persistence_of, relation_of, storage_of,
};
pub use row_change::{Mark, RowChange, RowChangeCatalog, Successor};
pub use row_set::{MAX_UPDATED, RowSet, SetKind};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::{Persistence, Relation};
use pg_lakebase_core::serializable;
use pg_lakebase_core::snapshot::{RegisteredSnapshot, Snapshot};
use pgrx::PgSqlErrorCode;

use crate::directory::{StorageKey, TableDirectory, upgrade};
use crate::row_id::RowId;

/// What is committed of a storage, as a snapshot sees it.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// The pointer row.
    pub pointer: Pointer,
    /// What is on top of the metadata that it points to.
    pub inline_commits: Vec<InlineCommit>,
}

impl Committed {
    /// What counts of the pointer row and the inline commits that were found of `key`, a storage of a table of this
    /// persistence.
    pub fn of(
        persistence: Persistence,
        key: &StorageKey,
        pointer: Pointer,
        mut inline_commits: Vec<InlineCommit>,
    ) -> Self {
        let pointer = unless_emptied(persistence, key, pointer);
        inline_commits.retain(|inline| pointer.counts(inline.incarnation));
        Self {
            pointer,
            inline_commits,
        }
    }
}

/// What `snapshot` sees of `key`, a storage of `rel`; without a snapshot, the latest that is committed or
/// this transaction's own.
pub fn find_committed(
    rel: Relation<'_>,
    key: &StorageKey,
    snapshot: Option<Snapshot<'_>>,
) -> PgResult<Option<Committed>> {
    // While pg_upgrade restores the schemas, what looks at rows (ATTACH PARTITION) finds tables empty: the indexes of
    // the extension's tables come later, and what they hold after that.
    if upgrade::is_running() {
        return Ok(None);
    }
    let pointers = PointerCatalog::open().ok_or_else(missing)?;
    let latest = snapshot.is_none().then(|| pointers.latest());
    let Some(seen) = snapshot.or(latest.as_ref().map(RegisteredSnapshot::snapshot)) else {
        return Ok(None);
    };
    let inline_commits = InlineCommitCatalog::open_for(key);
    if inline_commits.is_none() && !key.is_temporary() {
        return Err(missing());
    }
    let (pointer, inline_commits) = if snapshot.is_some() && serializable::is_serializable() {
        serializable::note_read(rel, seen);
        let unseen = |writer| serializable::note_unseen_write(rel, writer, seen);
        let pointer = pointers.find_among_versions(key, seen, unseen)?;
        let inline_commits = inline_commits
            .map(|inline_commits| inline_commits.find_among_versions(key, seen, unseen));
        (pointer, inline_commits)
    } else {
        let pointer = pointers.find(key, seen)?;
        (
            pointer,
            inline_commits.map(|inline_commits| inline_commits.find(key, seen)),
        )
    };
    let inline_commits = inline_commits.transpose()?.unwrap_or_default();
    let pointer = match (pointer, snapshot) {
        (None, Some(_)) => newer_than_snapshot(rel, &pointers, key)?,
        (pointer, _) => pointer,
    };
    Ok(pointer.map(|pointer| Committed::of(rel.persistence(), key, pointer, inline_commits)))
}

/// The ids of the rows of `key`, a storage of `rel`, that were deleted or superseded as `snapshot` sees it, in their
/// order; without a snapshot, as it is committed now, and in this transaction. Those that the metadata tell of are not
/// among them. Ids are not given again: rows that are gone otherwise, as those of an unlogged table after a crash, may be
/// among them.
pub fn find_changed_rows(
    rel: Relation<'_>,
    key: &StorageKey,
    snapshot: Option<Snapshot<'_>>,
) -> PgResult<Vec<RowId>> {
    if upgrade::is_running() {
        return Ok(Vec::new());
    }
    let Some(changes) = open_row_changes()? else {
        return Ok(Vec::new());
    };
    let latest = snapshot.is_none().then(|| changes.latest());
    let Some(seen) = snapshot.or(latest.as_ref().map(RegisteredSnapshot::snapshot)) else {
        return Ok(Vec::new());
    };
    let found = if snapshot.is_some() && serializable::is_serializable() {
        let unseen = |writer| serializable::note_unseen_write(rel, writer, seen);
        changes.find_among_versions(key, seen, unseen)?
    } else {
        changes.find(key, seen)?
    };
    Ok(RowChange::rows(&found))
}

/// The table of changes of rows; `None` if the extension is of a version that has none.
fn open_row_changes() -> PgResult<Option<RowChangeCatalog>> {
    if let Some(changes) = RowChangeCatalog::open() {
        return Ok(Some(changes));
    }
    match PointerCatalog::open() {
        Some(pointers) if pointers.is_without_row_changes() => Ok(None),
        _ => Err(missing()),
    }
}

/// What a table without the extension's tables holds cannot be told.
fn missing() -> PgError {
    PgError::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        "the tables of extension \"pg_iceberg_am\" are missing",
    )
    .with_hint("They are looked for by their names in schema \"lakebase\".")
}

/// The latest pointer row of `key`, a storage of `rel`, committed or this transaction's own.
pub fn latest_pointer(rel: Relation<'_>, key: &StorageKey) -> PgResult<Option<Pointer>> {
    let Some(pointers) = PointerCatalog::open() else {
        return Ok(None);
    };
    let pointer = pointers.find_latest(key)?;
    Ok(pointer.map(|pointer| unless_emptied(rel.persistence(), key, pointer)))
}

/// One past the number of the largest row id of `key` that is written down, by whomever: others may commit what
/// no snapshot sees yet.
///
/// Changes and inline commits first: their row ids go over to the pointer row.
pub fn next_row_id(key: &StorageKey) -> PgResult<u64> {
    let changed = match RowChangeCatalog::open() {
        Some(changes) => changes.next_row_id(key)?,
        None => 0,
    };
    let inline = match InlineCommitCatalog::open_for(key) {
        Some(inline_commits) => inline_commits.next_row_id(key)?,
        None => 0,
    };
    let in_metadata = match PointerCatalog::open() {
        Some(pointers) => pointers.next_row_id(key)?,
        None => 0,
    };
    Ok(changed.max(inline).max(in_metadata))
}

/// Rows and bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extent {
    /// Number of rows.
    pub rows: u64,
    /// Bytes of data files.
    pub bytes: u64,
}

/// How large `key` is, a storage of `rel`, as it is committed now.
pub fn latest_extent(rel: Relation<'_>, key: &StorageKey) -> PgResult<Extent> {
    let Some(pointers) = PointerCatalog::open() else {
        return Ok(Extent::default());
    };
    let latest = pointers.latest();
    let pointer = pointers.find(key, latest.snapshot())?;
    let Some(pointer) = pointer.map(|pointer| unless_emptied(rel.persistence(), key, pointer))
    else {
        return Ok(Extent::default());
    };
    let inline = match InlineCommitCatalog::open_for(key) {
        Some(inline_commits) => inline_commits.extent(key, &pointer, latest.snapshot())?,
        None => Extent::default(),
    };
    let changed = find_changed_rows(rel, key, Some(latest.snapshot()))?;
    let rows = pointer.row_count.unsigned_abs() + inline.rows;
    Ok(Extent {
        rows: rows.saturating_sub(changed.len() as u64),
        bytes: pointer.total_bytes.unsigned_abs() + inline.bytes,
    })
}

/// What a snapshot sees of a storage whose row it does not see: the storage was made later.
fn newer_than_snapshot(
    rel: Relation<'_>,
    catalog: &PointerCatalog,
    key: &StorageKey,
) -> PgResult<Option<Pointer>> {
    match catalog.find_latest(key)? {
        Some(pointer) if pointer.origin == Origin::Frozen => catalog.find_first(key),
        Some(pointer) if pointer.origin == Origin::Rewritten => Err(PgError::new(
            PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
            format!(
                "could not read Iceberg table \"{}\" as it was: it has been rewritten since",
                rel.name()
            ),
        )
        .with_hint("The transaction might succeed if retried.")),
        _ => Ok(None),
    }
}

/// What a pointer row says, unless recovery has emptied the table: the files of unlogged tables go then
/// (`directory::startup`), pointer rows and inline commits stay as they are. The next commit to the table gives it
/// another incarnation, so that inline commits from before do not count on top of it.
pub fn unless_emptied(persistence: Persistence, key: &StorageKey, pointer: Pointer) -> Pointer {
    match &pointer.metadata_location {
        Some(name)
            if persistence == Persistence::Unlogged && !TableDirectory::of(key).has_file(name) =>
        {
            Pointer {
                origin: pointer.origin,
                next_row_id: pointer.next_row_id,
                ..Pointer::default()
            }
        }
        _ => pointer,
    }
}
