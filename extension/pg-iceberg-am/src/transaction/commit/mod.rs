//! Pre-commit: what the transaction did becomes part of its tables.
//!
//! There are two ways ([`way`]). A table whose metadata file was replaced only a moment ago, or is being replaced,
//! is not waited for: the transaction leaves its rows, or the entries of its data files, as inline commits
//! ([`inline`]), which count at once, and the publisher folds them into the metadata ([`fold()`]), many
//! transactions' together.
//!
//! All other changes go into the metadata here. First, without holding anything that others wait for, the
//! rows are closed into data files and their manifests are written ([`change`]). Then, table by table in the order
//! of their keys, the pointer row is locked, its latest version read, the change put on top of whatever it
//! says, the manifest list and the metadata file are written, and the row replaced ([`metadata`]). The row lock is
//! held to the end of the PostgreSQL commit, which follows at once. If inline commits or changes of rows wait for the
//! publisher when it has been locked, they come into the metadata with the change: what had been committed when a COMMIT
//! began is not published later than that.

mod change;
mod expire;
mod fold;
mod inline;
mod locate;
mod metadata;
mod replace;
mod way;

use std::sync::Arc;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::injection;
use pg_lakebase_core::relation::{LockMode, OpenRelation};
use pgrx::{PgSqlErrorCode, pg_sys};

use self::change::Change;
pub use self::expire::{Expiring, WORTHWHILE, expire};
pub use self::fold::fold;
use self::metadata::MetadataFiles;
pub use self::replace::{Replaced, replace};
use super::columns::follow_columns;
use super::state::{existing_storage, with_transaction};
use crate::catalog::{
    ColumnFieldCatalog, InlineCommitCatalog, PointerCatalog, RowChangeCatalog, latest_pointer,
};
use crate::claims;
use crate::directory::StorageKey;
use crate::files::{TableFiles, Which, cache};
use crate::guc;
use crate::schema::{TableColumns, with_current_columns};

/// Commits every storage that this transaction has changed and not dropped. `for_prepare` says that the
/// outcome may take long to be known, so that others' commits must not wait for it.
pub fn commit(for_prepare: bool) -> PgResult<()> {
    resolve_changed_columns()?;
    let mut changes: Vec<Change> = with_transaction(|state| {
        state.pre_committed = true;
        let dropped = &state.dropped;
        state
            .storages
            .iter()
            .filter(|(key, storage)| !dropped.contains(key) && storage.is_changed())
            .map(|(key, storage)| Change::of(*key, storage, for_prepare))
            .collect()
    });
    if changes.is_empty() {
        return Ok(());
    }
    for change in &changes {
        change.io.place().check_unchanged()?;
    }
    if changes.iter().any(|change| change.kind.changes_rows) {
        claims::write_down()?;
        // So that what the last command has done is seen here.
        // SAFETY: in a transaction that commits.
        unsafe { pg_sys::CommandCounterIncrement() };
    }
    let catalogs = Catalogs::open()?;
    let mut staged = 0;
    for index in 0..changes.len() {
        changes[index].begin(&catalogs)?;
        staged += changes[index].io.staged_bytes();
        if staged > guc::write_work_mem() {
            hand_over(&changes[..=index], Which::Data)?;
            staged = 0;
        }
    }
    hand_over(&changes, Which::Data)?;
    injection::point(c"iceberg-manifests-written");
    let mut metadata = Vec::with_capacity(changes.len());
    for change in &mut changes {
        metadata.push(change.commit(&catalogs)?);
    }
    for (change, metadata) in changes.iter().zip(&metadata) {
        change.io.sync(|name| {
            let MetadataFiles { current, previous } = metadata.as_ref()?;
            previous.as_deref().filter(|_| name == current)
        })?;
    }
    hand_over(&changes, Which::All)?;
    injection::point(c"iceberg-synced");
    Ok(())
}

fn hand_over(changes: &[Change], which: Which) -> PgResult<()> {
    TableFiles::hand_over(changes.iter().map(|change| &change.io), which)
}

/// Finds the storages that have other columns now than their metadata say. What was noted may have been done
/// back, or been done to a storage that is replaced since.
fn resolve_changed_columns() -> PgResult<()> {
    let (noted, altered) = with_transaction(|state| {
        let altered = state.storages.iter().filter_map(|(key, storage)| {
            let relid = storage.altered.filter(|_| !state.dropped.contains(key))?;
            Some((*key, relid))
        });
        let altered: Vec<_> = altered.collect();
        (std::mem::take(&mut state.changed_columns), altered)
    });
    for (key, relid) in altered {
        if let Some(rel) = OpenRelation::try_open(relid, LockMode::None)
            && StorageKey::of(rel.relation()) == key
        {
            follow_columns(rel.relation(), &key)?;
        }
    }
    for (key, relid) in noted {
        // Locked since its columns were changed.
        let Some(rel) = OpenRelation::try_open(relid, LockMode::None) else {
            continue;
        };
        let rel = rel.relation();
        if StorageKey::of(rel) != key || with_transaction(|state| state.dropped.contains(&key)) {
            continue;
        }
        let columns = Arc::new(TableColumns::resolve(rel.tuple_desc())?);
        let Some(location) = latest_pointer(rel, &key)?.and_then(|p| p.metadata_location) else {
            continue;
        };
        let metadata = cache::metadata(&TableFiles::new(key)?, &location)?;
        let later = ColumnFieldCatalog::find(&key)?;
        if Arc::ptr_eq(
            &metadata,
            &with_current_columns(&metadata, &columns, &later)?,
        ) {
            continue;
        }
        if !with_transaction(|state| state.storages.contains_key(&key)) {
            let storage = existing_storage(rel, &key)?;
            with_transaction(|state| state.storages.insert(key, storage));
        }
        with_transaction(|state| {
            if let Some(storage) = state.storages.get_mut(&key) {
                storage.new_columns = Some(columns);
            }
        });
    }
    Ok(())
}

/// The tables that commits are written to.
struct Catalogs {
    pointers: PointerCatalog,
    inline_commits: InlineCommitCatalog,
    /// None if the extension is of a version that has none.
    row_changes: Option<RowChangeCatalog>,
}

impl Catalogs {
    fn open() -> PgResult<Self> {
        PointerCatalog::open_for_update()
            .zip(InlineCommitCatalog::open_for_update())
            .map(|(pointers, inline_commits)| Self {
                pointers,
                inline_commits,
                row_changes: RowChangeCatalog::open_for_update(),
            })
            .ok_or_else(|| {
                PgError::new(
                    PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    "cannot commit changes of Iceberg tables: the extension pg_iceberg_am is gone",
                )
            })
    }
}
