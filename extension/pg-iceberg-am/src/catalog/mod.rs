//! The extension's own catalog: one pointer row for each table's storage, and appends on their way into
//! the metadata; and what is cached of the metadata they point to.

mod append;
pub mod cache;
mod garbage;
mod guard;
pub mod inline_rows;
mod keyed_table;
mod pointer;

pub use append::{Append, AppendCatalog, Appended, Record};
pub use garbage::GarbageCatalog;
pub use pointer::{Incarnation, LockedPointer, Origin, Pointer, PointerCatalog};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::{Persistence, Relation};
use pg_lakebase_core::serializable;
use pg_lakebase_core::snapshot::{RegisteredSnapshot, Snapshot};
use pgrx::{PgSqlErrorCode, pg_sys};

use crate::bindings;
use crate::storage::{StorageKey, TableDirectory};

/// What is committed of a storage, as a snapshot sees it.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// The pointer row.
    pub pointer: Pointer,
    /// What is on top of the metadata that it points to.
    pub appends: Vec<Append>,
}

impl Committed {
    /// What counts of the pointer row and the appends that were found of `key`, a storage of a table of this
    /// persistence.
    pub fn of(
        persistence: Persistence,
        key: &StorageKey,
        pointer: Pointer,
        mut appends: Vec<Append>,
    ) -> Self {
        let pointer = unless_emptied(persistence, key, pointer);
        appends.retain(|append| pointer.counts(append.incarnation));
        Self { pointer, appends }
    }
}

/// What `snapshot` sees of `key`, a storage of `rel`; without a snapshot, the latest that is committed or
/// this transaction's own. `None` also while the extension is being created or dropped.
pub fn find_committed(
    rel: Relation<'_>,
    key: &StorageKey,
    snapshot: Option<Snapshot<'_>>,
) -> PgResult<Option<Committed>> {
    let Some(pointers) = PointerCatalog::open() else {
        return Ok(None);
    };
    let latest = snapshot.is_none().then(|| pointers.latest());
    let Some(seen) = snapshot.or(latest.as_ref().map(RegisteredSnapshot::snapshot)) else {
        return Ok(None);
    };
    let appends = AppendCatalog::open_for(key);
    let (pointer, appends) = if snapshot.is_some() && serializable::is_serializable() {
        serializable::note_read(rel, seen);
        let unseen = |writer| serializable::note_unseen_write(rel, writer, seen);
        let pointer = pointers.find_among_versions(key, seen, unseen)?;
        let appends = appends.map(|appends| appends.find_among_versions(key, seen, unseen));
        (pointer, appends)
    } else {
        let pointer = pointers.find(key, seen)?;
        (pointer, appends.map(|appends| appends.find(key, seen)))
    };
    let appends = appends.transpose()?.unwrap_or_default();
    let pointer = match (pointer, snapshot) {
        (None, Some(_)) => newer_than_snapshot(rel, &pointers, key)?,
        (pointer, _) => pointer,
    };
    Ok(pointer.map(|pointer| Committed::of(rel.persistence(), key, pointer, appends)))
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
/// Appends first: their row ids go over to the pointer row.
pub fn next_row_id(key: &StorageKey) -> PgResult<u64> {
    let appended = match AppendCatalog::open_for(key) {
        Some(appends) => appends.next_row_id(key)?,
        None => 0,
    };
    let published = match PointerCatalog::open() {
        Some(pointers) => pointers.next_row_id(key)?,
        None => 0,
    };
    Ok(appended.max(published))
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
    let appended = match AppendCatalog::open_for(key) {
        Some(appends) => appends.extent(key, &pointer, latest.snapshot())?,
        None => Extent::default(),
    };
    Ok(Extent {
        rows: pointer.row_count.unsigned_abs() + appended.rows,
        bytes: pointer.total_bytes.unsigned_abs() + appended.bytes,
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
/// (`storage::startup`), pointer rows and appends stay as they are. The next commit to the table gives it
/// another incarnation, so that appends from before do not count on top of it.
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

/// Whether a relation has the storage `key`, as far as committed transactions tell and this one.
pub fn has_relation(key: &StorageKey) -> bool {
    let relid =
        bindings::relid_by_relfilenumber(key.tablespace_in_catalog(), key.rel_number.into());
    relid != pg_sys::InvalidOid
}

/// Whether a table or materialised view is kept by the access method `iceberg`.
pub fn is_iceberg(rel: Relation<'_>) -> bool {
    let am = rel.am_oid();
    am != pg_sys::InvalidOid && am == access_method()
}

/// Whether `relid` is an Iceberg table or materialised view; false when there is no such relation.
pub fn is_iceberg_relid(relid: pg_sys::Oid) -> bool {
    // SAFETY: look-ups in the system cache; the tuple is read before it is released.
    unsafe {
        let tuple =
            pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, relid.into());
        if tuple.is_null() {
            return false;
        }
        let class = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>();
        let (am, kind) = ((*class).relam, (*class).relkind as u8);
        pg_sys::ReleaseSysCache(tuple);
        matches!(kind, pg_sys::RELKIND_RELATION | pg_sys::RELKIND_MATVIEW)
            && am != pg_sys::InvalidOid
            && am == access_method()
    }
}

/// The name of the first Iceberg table among `relid` and what inherits from it, partitions included.
///
/// No lock is taken, so the answer may be outdated at once; the access method's callbacks refuse then.
pub fn iceberg_descendant(relid: pg_sys::Oid) -> Option<String> {
    let family = bindings::find_all_inheritors(relid, pg_sys::NoLock as pg_sys::LOCKMODE);
    // SAFETY: a list of oids, or NIL; names come palloc'd from the system cache.
    unsafe {
        let count = if family.is_null() {
            0
        } else {
            (*family).length
        };
        (0..count)
            .map(|index| pg_sys::list_nth_oid(family, index))
            .find(|&member| is_iceberg_relid(member))
            .and_then(|member| {
                let name = pg_sys::get_rel_name(member);
                (!name.is_null())
                    .then(|| pg_lakebase_core::relation::name_text(std::ffi::CStr::from_ptr(name)))
            })
    }
}

/// Oid of the access method; `InvalidOid` where the extension is not created.
pub fn access_method() -> pg_sys::Oid {
    // SAFETY: a look-up in the system cache.
    unsafe { pg_sys::get_am_oid(c"iceberg".as_ptr(), true) }
}
