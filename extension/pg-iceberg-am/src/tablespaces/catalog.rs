//! The options of tablespaces in `pg_tablespace`.

use std::ffi::{CStr, CString};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::system_catalog::each_row;
use pg_lakebase_core::wal as core_wal;
use pgrx::pg_sys;

use super::options::{self, StoreOptions, from_literal, is_postgres_option};

/// The options of a tablespace.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// PostgreSQL's own, as they are stored.
    pub postgres: Vec<(String, String)>,
    /// The others, without their quotes.
    pub ours: Vec<(String, String)>,
}

impl Stored {
    /// Those of a tablespace, as far as committed transactions tell and this one; none if it is gone.
    pub fn of(tablespace: pg_sys::Oid) -> Self {
        let mut stored = Self::default();
        for (name, value) in read(tablespace) {
            if is_postgres_option(&name) {
                stored.postgres.push((name, value));
            } else {
                stored.ours.push((name, from_literal(&value)));
            }
        }
        stored
    }

    /// Whether the tablespace is one in an object store.
    pub fn is_object(&self) -> bool {
        self.ours.iter().any(|(name, _)| name == options::PROTOCOL)
    }

    /// The store, if it is in one.
    pub fn store(&self) -> PgResult<Option<StoreOptions>> {
        StoreOptions::new(self.ours.iter().cloned())
    }
}

/// Whether a tablespace is one in an object store. 0 stands for the database's own, which never is.
pub fn is_object_tablespace(tablespace: pg_sys::Oid) -> bool {
    !is_default(tablespace) && Stored::of(tablespace).is_object()
}

/// Whether a tablespace is one that every cluster has, or stands for the database's own.
pub fn is_default(tablespace: pg_sys::Oid) -> bool {
    matches!(
        tablespace,
        pg_sys::InvalidOid | pg_sys::DEFAULTTABLESPACE_OID | pg_sys::GLOBALTABLESPACE_OID
    )
}

/// Whether any tablespace is one in an object store, as far as committed transactions tell and this one.
pub fn has_object_tablespaces() -> bool {
    all().into_iter().any(is_object_tablespace)
}

/// The tablespaces in object stores, likewise.
pub fn object_tablespaces() -> Vec<pg_sys::Oid> {
    all()
        .into_iter()
        .filter(|&tablespace| is_object_tablespace(tablespace))
        .collect()
}

fn all() -> Vec<pg_sys::Oid> {
    let mut all = Vec::new();
    // SAFETY: the rows of `pg_tablespace`.
    unsafe {
        each_row(
            pg_sys::TableSpaceRelationId,
            |row: &pg_sys::FormData_pg_tablespace| all.push(row.oid),
        );
    }
    all
}

/// Keeps a tablespace from becoming one in an object store, or in another one, to the end of the transaction. Who makes
/// such a change takes [`lock_against_users`], and then looks for files.
pub fn lock_as_user(tablespace: pg_sys::Oid) {
    lock(tablespace, pg_sys::AccessShareLock);
}

/// Tells, to the end of the transaction, that an object tablespace is being made: see [`lock_against_changes`].
pub fn lock_for_making() {
    // SAFETY: a lock on a catalog, which PostgreSQL takes for the statement in any case. May raise, guarded.
    unsafe {
        pg_sys::LockRelationOid(
            pg_sys::TableSpaceRelationId,
            pg_sys::RowExclusiveLock as pg_sys::LOCKMODE,
        );
    }
}

/// Waits for transactions that make, alter or drop tablespaces, and keeps others from it. In recovery there are none.
pub fn lock_against_changes() {
    if core_wal::in_recovery() {
        return;
    }
    // SAFETY: a lock on a catalog. May raise, guarded.
    unsafe {
        pg_sys::LockRelationOid(
            pg_sys::TableSpaceRelationId,
            pg_sys::ShareLock as pg_sys::LOCKMODE,
        );
    }
}

/// Keeps others from changing the options meanwhile.
pub fn lock_for_change(tablespace: pg_sys::Oid) {
    lock(tablespace, pg_sys::ShareUpdateExclusiveLock);
}

/// Waits until nobody is putting relations into the tablespace, and keeps others from that.
pub fn lock_against_users(tablespace: pg_sys::Oid) {
    lock(tablespace, pg_sys::AccessExclusiveLock);
}

fn lock(tablespace: pg_sys::Oid, mode: u32) {
    // SAFETY: a lock on a shared object; it is released with the transaction. May raise, guarded.
    unsafe {
        pg_sys::LockSharedObject(
            pg_sys::TableSpaceRelationId,
            tablespace,
            0,
            mode as pg_sys::LOCKMODE,
        );
    }
}

/// The tablespace of this name, if there is one.
pub fn find(name: &CStr) -> Option<pg_sys::Oid> {
    // SAFETY: a look-up by a terminated string.
    let tablespace = unsafe { pg_sys::get_tablespace_oid(name.as_ptr(), true) };
    (tablespace != pg_sys::InvalidOid).then_some(tablespace)
}

/// The name of a tablespace; its number if it is gone.
pub fn name(tablespace: pg_sys::Oid) -> String {
    // SAFETY: a look-up; the name is palloc'd, or null.
    unsafe {
        let name = pg_sys::get_tablespace_name(tablespace);
        match name.is_null() {
            true => tablespace.to_u32().to_string(),
            false => CStr::from_ptr(name).to_string_lossy().into_owned(),
        }
    }
}

/// The row of a tablespace as it is in memory: where it is the same, so are name and options. `None` if it is gone.
pub fn row(tablespace: pg_sys::Oid) -> Option<Vec<u8>> {
    // SAFETY: a look-up in the system cache; the row is copied before it is released.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::TABLESPACEOID as i32;
        let tuple = pg_sys::SearchSysCache1(cache, tablespace.into());
        if tuple.is_null() {
            return None;
        }
        let data = (*tuple).t_data.cast::<u8>();
        let row = std::slice::from_raw_parts(data, (*tuple).t_len as usize).to_vec();
        pg_sys::ReleaseSysCache(tuple);
        Some(row)
    }
}

fn read(tablespace: pg_sys::Oid) -> Vec<(String, String)> {
    // SAFETY: look-ups in the system cache; the value is copied before the tuple is released, and the list is made
    // of DefElem with String values, or null ones (`untransformRelOptions`).
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::TABLESPACEOID as i32;
        let tuple = pg_sys::SearchSysCache1(cache, tablespace.into());
        if tuple.is_null() {
            return Vec::new();
        }
        let mut is_null = false;
        let number = pg_sys::Anum_pg_tablespace_spcoptions as pg_sys::AttrNumber;
        let datum = pg_sys::SysCacheGetAttr(cache, tuple, number, &mut is_null);
        let mut all = Vec::new();
        if !is_null {
            let list = pg_sys::untransformRelOptions(datum);
            let count = if list.is_null() { 0 } else { (*list).length };
            for index in 0..count {
                let element = pg_sys::list_nth(list, index).cast::<pg_sys::DefElem>();
                if !(*element).arg.is_null() {
                    let text = |text: *const std::ffi::c_char| {
                        CStr::from_ptr(text).to_string_lossy().into_owned()
                    };
                    all.push((
                        text((*element).defname),
                        text(pg_sys::defGetString(element)),
                    ));
                }
            }
        }
        pg_sys::ReleaseSysCache(tuple);
        all
    }
}

/// Puts these options, with values as they are stored, in place of all that a tablespace has, as
/// `AlterTableSpaceOptions` does it.
pub fn store(
    tablespace: pg_sys::Oid,
    options: impl IntoIterator<Item = (String, String)>,
) -> PgResult<()> {
    let options = options
        .into_iter()
        .map(|(name, value)| Ok((CString::new(name)?, CString::new(value)?)))
        .collect::<Result<Vec<_>, std::ffi::NulError>>()
        .map_err(|error| PgError::internal(error.to_string()))?;
    // SAFETY: an update of the tablespace's row of pg_tablespace. Names and values are copied by PostgreSQL. All is
    // released here, or after an error by the resource owner.
    unsafe {
        let lock = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;
        let catalog = pg_sys::table_open(pg_sys::TableSpaceRelationId, lock);
        let cache = pg_sys::SysCacheIdentifier::TABLESPACEOID as i32;
        let tuple = pg_sys::SearchSysCacheCopy(
            cache,
            tablespace.into(),
            pg_sys::Datum::from(0),
            pg_sys::Datum::from(0),
            pg_sys::Datum::from(0),
        );
        if tuple.is_null() {
            return Err(PgError::internal(format!(
                "cache lookup failed for tablespace {}",
                tablespace.to_u32()
            )));
        }
        let mut list = std::ptr::null_mut();
        for (name, value) in &options {
            let value = pg_sys::makeString(pg_sys::pstrdup(value.as_ptr()));
            let name = pg_sys::pstrdup(name.as_ptr());
            list = pg_sys::lappend(list, pg_sys::makeDefElem(name, value.cast(), -1).cast());
        }
        let datum = pg_sys::transformRelOptions(
            pg_sys::Datum::from(0),
            list,
            std::ptr::null(),
            std::ptr::null_mut(),
            false,
            false,
        );
        const COLUMN: usize = pg_sys::Anum_pg_tablespace_spcoptions as usize - 1;
        let mut values = [pg_sys::Datum::from(0); pg_sys::Natts_pg_tablespace as usize];
        let mut nulls = [false; pg_sys::Natts_pg_tablespace as usize];
        let mut replaced = [false; pg_sys::Natts_pg_tablespace as usize];
        values[COLUMN] = datum;
        nulls[COLUMN] = list.is_null();
        replaced[COLUMN] = true;
        let new = pg_sys::heap_modify_tuple(
            tuple,
            (*catalog).rd_att,
            values.as_ptr(),
            nulls.as_ptr(),
            replaced.as_ptr(),
        );
        pg_sys::CatalogTupleUpdate(catalog, &mut (*new).t_self, new);
        pg_sys::table_close(catalog, lock);
        pg_sys::CommandCounterIncrement();
    }
    Ok(())
}
