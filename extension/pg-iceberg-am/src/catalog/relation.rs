//! Which relations are Iceberg tables.

use std::ffi::CStr;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::{
    LockMode, OpenRelation, Persistence, Relation, RelationKind, name_text,
};
use pgrx::{PgSqlErrorCode, pg_sys};

use crate::bindings;
use crate::directory::StorageKey;

/// The relation that has the storage `key`; `None` if there is none, as far as committed transactions tell and this
/// one. Temporary relations are not found.
pub fn relation_of(key: &StorageKey) -> Option<pg_sys::Oid> {
    let relid =
        bindings::relid_by_relfilenumber(key.tablespace_in_catalog(), key.rel_number.into());
    (relid != pg_sys::InvalidOid).then_some(relid)
}

/// Whether a relation has the storage `key`, as [`relation_of`] knows.
pub fn has_relation(key: &StorageKey) -> bool {
    relation_of(key).is_some()
}

/// The persistence of the relation that has the storage `key`, if there is one.
pub fn persistence_of(key: &StorageKey) -> Option<Persistence> {
    read_class(relation_of(key)?, |class| {
        Persistence::from_char(class.relpersistence)
    })
}

/// The storage that the table `relid` has now, as `pg_relation_filepath` finds it: without a lock, for who only looks.
/// `None` if there is no such table.
pub fn storage_of(relid: pg_sys::Oid) -> Option<StorageKey> {
    let (rel_number, tablespace, namespace, persistence) = read_class(relid, |class| {
        (
            class.relfilenode,
            class.reltablespace,
            class.relnamespace,
            class.relpersistence,
        )
    })?;
    // SAFETY: settings of the session, and a look-up in the system cache; temporary relations lie in temporary schemas.
    let (tablespace, backend) = unsafe {
        let tablespace = match tablespace {
            pg_sys::InvalidOid => pg_sys::MyDatabaseTableSpace,
            tablespace => tablespace,
        };
        let backend = match Persistence::from_char(persistence) {
            Persistence::Temporary => pg_sys::GetTempNamespaceProcNumber(namespace),
            Persistence::Permanent | Persistence::Unlogged => pg_sys::INVALID_PROC_NUMBER,
        };
        (tablespace, backend)
    };
    Some(StorageKey {
        backend,
        ..StorageKey::in_this_database(rel_number.to_u32(), tablespace.to_u32())
    })
}

/// Whether a table or materialised view is kept by the access method `iceberg`.
pub fn is_iceberg(rel: Relation<'_>) -> bool {
    let am = rel.am_oid();
    am != pg_sys::InvalidOid && am == access_method()
}

/// Whether `relid` is an Iceberg table or materialised view; false when there is no such relation.
pub fn is_iceberg_relid(relid: pg_sys::Oid) -> bool {
    let class = read_class(relid, |class| (class.relam, class.relkind as u8));
    class.is_some_and(|(am, kind)| {
        matches!(kind, pg_sys::RELKIND_RELATION | pg_sys::RELKIND_MATVIEW)
            && am != pg_sys::InvalidOid
            && am == access_method()
    })
}

/// What `read` takes from the row of `pg_class` of `relid`; `None` when there is no such relation.
fn read_class<T>(
    relid: pg_sys::Oid,
    read: impl FnOnce(&pg_sys::FormData_pg_class) -> T,
) -> Option<T> {
    // SAFETY: a look-up in the system cache; the tuple is read before it is released.
    unsafe {
        let tuple =
            pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, relid.into());
        if tuple.is_null() {
            return None;
        }
        let class = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>();
        let read = read(&*class);
        pg_sys::ReleaseSysCache(tuple);
        Some(read)
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
                (!name.is_null()).then(|| name_text(CStr::from_ptr(name)))
            })
    }
}

/// Oid of the access method; `InvalidOid` where the extension is not created.
pub fn access_method() -> pg_sys::Oid {
    // SAFETY: a look-up in the system cache.
    unsafe { pg_sys::get_am_oid(c"iceberg".as_ptr(), true) }
}

/// Opens an Iceberg table for reading, as the user who asks: SELECT is needed to look inside. Nothing is
/// locked before that is known.
pub fn open_to_read(relid: pg_sys::Oid) -> PgResult<OpenRelation> {
    check_select(relid)?;
    let rel = OpenRelation::open(relid, LockMode::AccessShare);
    check_iceberg(rel.relation())?;
    Ok(rel)
}

/// Refuses what has no Iceberg storage. A partitioned table has none, though it may name the access method for its
/// partitions.
pub fn check_iceberg(rel: Relation<'_>) -> PgResult<()> {
    let is_partitioned = rel.kind() == RelationKind::PartitionedTable;
    if is_iceberg(rel) && !is_partitioned {
        return Ok(());
    }
    let error = PgError::new(
        PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
        format!("\"{}\" is not an Iceberg table", rel.name()),
    );
    Err(if is_partitioned {
        error
            .with_detail("This operation is not supported for partitioned tables.")
            .with_hint("Name one of its partitions.")
    } else {
        error
    })
}

/// Refuses to go on unless the user may read the relation; one that is gone is for its opening to report.
pub fn check_select(relid: pg_sys::Oid) -> PgResult<()> {
    check_privilege(relid, pg_sys::ACL_SELECT)
}

/// Refuses to go on unless the user may keep the relation in order, as VACUUM does; as [`check_select`] besides.
pub fn check_maintain(relid: pg_sys::Oid) -> PgResult<()> {
    check_privilege(relid, pg_sys::ACL_MAINTAIN)
}

fn check_privilege(relid: pg_sys::Oid, privilege: u32) -> PgResult<()> {
    // SAFETY: look-ups in the system caches; the name is palloc'd, or null.
    unsafe {
        let mut is_missing = false;
        let result = pg_sys::pg_class_aclcheck_ext(
            relid,
            pg_sys::GetUserId(),
            privilege.into(),
            &mut is_missing,
        );
        let name = pg_sys::get_rel_name(relid);
        if result == pg_sys::AclResult::ACLCHECK_OK || is_missing || name.is_null() {
            return Ok(());
        }
        Err(PgError::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!(
                "permission denied for table {}",
                CStr::from_ptr(name).to_string_lossy()
            ),
        ))
    }
}
