//! What may lie in an object tablespace: Iceberg tables, and nothing else.
//!
//! Anything else would silently be local. Every relation that is put into a tablespace, by whatever statement, comes to
//! [`check`]; statements that copy a relation before that, or do not tell of it, are looked at before they begin.

use std::ffi::{CStr, c_char};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::name_text;
use pg_lakebase_core::system_catalog::each_row;
use pgrx::pg_sys;

use super::utility::{commands, option, relation};
use crate::catalog::{access_method, is_iceberg_relid};
use crate::tablespaces::catalog::{find, is_object_tablespace, lock_as_user, name};

/// What to do instead.
const HINT: &str =
    "Use another tablespace: name one with TABLESPACE, or set default_tablespace to one.";
/// As above, of a table that is there.
const MOVE_HINT: &str = "Move it to another tablespace by the same statement, with SET TABLESPACE.";
/// What to do with an unlogged table.
const UNLOGGED_HINT: &str =
    "Leave UNLOGGED out, or use another tablespace: name one with TABLESPACE.";
/// Why.
const DETAIL: &str =
    "It is in an object store, for Iceberg tables; what else lies there would be on local disk.";

/// A relation has been made, or altered in some way; the change is not visible yet.
pub fn check(relid: pg_sys::Oid) -> PgResult<()> {
    let Some(class) = latest(relid) else {
        return Ok(());
    };
    // A tablespace that is none in an object store yet must not become one while a relation comes to it.
    if class.reltablespace == pg_sys::InvalidOid
        || class.reltablespace == pg_sys::DEFAULTTABLESPACE_OID
        || class.reltablespace == pg_sys::GLOBALTABLESPACE_OID
    {
        return Ok(());
    }
    lock_as_user(class.reltablespace);
    if !is_object_tablespace(class.reltablespace) {
        return Ok(());
    }
    // SAFETY: a NameData is always terminated within its 64 bytes.
    let relation = name_text(unsafe { CStr::from_ptr(class.relname.data.as_ptr()) });
    let what = Placed {
        relation: &relation,
        kind: class.relkind as u8,
        is_iceberg: class.relam != pg_sys::InvalidOid && class.relam == access_method(),
        persistence: class.relpersistence as u8,
    };
    what.check(&name(class.reltablespace))
}

/// A relation that is to lie in an object tablespace.
struct Placed<'a> {
    relation: &'a str,
    kind: u8,
    is_iceberg: bool,
    persistence: u8,
}

impl Placed<'_> {
    fn check(&self, tablespace: &str) -> PgResult<()> {
        let what = match self.kind {
            // It has no files; its partitions are judged each by itself.
            pg_sys::RELKIND_PARTITIONED_TABLE => return Ok(()),
            pg_sys::RELKIND_INDEX | pg_sys::RELKIND_PARTITIONED_INDEX => "index",
            // Local, as all that is temporary.
            _ if self.is_iceberg && self.persistence == pg_sys::RELPERSISTENCE_TEMP => {
                return Ok(());
            }
            _ if self.is_iceberg && self.persistence == pg_sys::RELPERSISTENCE_UNLOGGED => {
                return Err(self
                    .refused("unlogged Iceberg table", tablespace)
                    .with_detail("What an unlogged table has is gone after a crash, and what is in an object store is not.")
                    .with_hint(UNLOGGED_HINT));
            }
            _ if self.is_iceberg => return Ok(()),
            pg_sys::RELKIND_MATVIEW => "materialized view",
            _ => "heap table",
        };
        Err(self
            .refused(what, tablespace)
            .with_detail(DETAIL)
            .with_hint(HINT))
    }

    fn refused(&self, what: &str, tablespace: &str) -> PgError {
        PgError::feature_not_supported(format!(
            "{what} \"{}\" cannot lie in object tablespace \"{tablespace}\"",
            self.relation
        ))
    }
}

/// Before ALTER TABLE is executed, or ALTER INDEX or ALTER MATERIALIZED VIEW: SET TABLESPACE would copy a relation and be
/// refused then, as would what makes a table that stays where it is another kind of table.
///
/// # Safety
///
/// The statement is PostgreSQL's own.
pub unsafe fn check_alter_table(statement: *mut pg_sys::AlterTableStmt) -> PgResult<()> {
    // SAFETY: the caller's promise.
    unsafe {
        let mut moves_to = None;
        let mut change = Change::default();
        for command in commands(statement) {
            match (*command).subtype {
                pg_sys::AlterTableType::AT_SetTableSpace => moves_to = Some((*command).name),
                pg_sys::AlterTableType::AT_SetAccessMethod => {
                    let name = match (*command).name.is_null() {
                        true => pg_sys::default_table_access_method,
                        false => (*command).name,
                    };
                    change.method = Some(pg_sys::get_table_am_oid(name, true));
                }
                pg_sys::AlterTableType::AT_SetUnLogged => {
                    change.persistence = Some(pg_sys::RELPERSISTENCE_UNLOGGED);
                }
                _ => {}
            }
        }
        let Some(relid) = relation((*statement).relation) else {
            return Ok(());
        };
        let checked = match moves_to {
            Some(name) => {
                object_tablespace(name).map(|tablespace| check_change(relid, &change, tablespace))
            }
            None if change.is_none() => None,
            None => Some(pg_sys::get_rel_tablespace(relid))
                .filter(|&tablespace| is_object_tablespace(tablespace))
                .map(|tablespace| {
                    check_change(relid, &change, tablespace)
                        .map_err(|error| error.with_hint(MOVE_HINT))
                }),
        };
        checked.unwrap_or(Ok(()))
    }
}

/// Before ALTER TABLE ALL IN TABLESPACE is executed, or the like for other kinds.
///
/// # Safety
///
/// As [`check_alter_table`].
pub unsafe fn check_move_all(statement: *mut pg_sys::AlterTableMoveAllStmt) -> PgResult<()> {
    // SAFETY: the caller's promise; a terminated string.
    unsafe {
        let Some(to) = object_tablespace((*statement).new_tablespacename) else {
            return Ok(());
        };
        let Some(from) = find(CStr::from_ptr((*statement).orig_tablespacename)) else {
            return Ok(());
        };
        let wanted: &[u8] = match (*statement).objtype {
            pg_sys::ObjectType::OBJECT_TABLE => &[pg_sys::RELKIND_RELATION],
            pg_sys::ObjectType::OBJECT_MATVIEW => &[pg_sys::RELKIND_MATVIEW],
            pg_sys::ObjectType::OBJECT_INDEX => {
                &[pg_sys::RELKIND_INDEX, pg_sys::RELKIND_PARTITIONED_INDEX]
            }
            _ => return Ok(()),
        };
        let from = match from == pg_sys::MyDatabaseTableSpace {
            true => pg_sys::InvalidOid,
            false => from,
        };
        let owners: Vec<_> = oids(pg_sys::roleSpecsToIds((*statement).roles));
        // Those that are not the user's, PostgreSQL refuses itself.
        relations(|class| {
            class.reltablespace == from
                && wanted.contains(&(class.relkind as u8))
                && (owners.is_empty() || owners.contains(&class.relowner))
                && class.relpersistence as u8 != pg_sys::RELPERSISTENCE_TEMP
                && !pg_sys::IsCatalogNamespace(class.relnamespace)
                && !pg_sys::IsToastNamespace(class.relnamespace)
                && pg_sys::object_ownercheck(
                    pg_sys::RelationRelationId,
                    class.oid,
                    pg_sys::GetUserId(),
                )
        })
        .into_iter()
        .try_for_each(|relid| check_change(relid, &Change::default(), to))
    }
}

/// Before REINDEX is executed, which may move indexes and does not tell of it.
///
/// # Safety
///
/// As [`check_alter_table`].
pub unsafe fn check_reindex(statement: *mut pg_sys::ReindexStmt) -> PgResult<()> {
    // SAFETY: the caller's promise.
    unsafe {
        let Some(tablespace) =
            option((*statement).params, c"tablespace").and_then(|name| object_tablespace(name))
        else {
            return Ok(());
        };
        Err(PgError::feature_not_supported(format!(
            "indexes cannot lie in object tablespace \"{}\"",
            name(tablespace)
        ))
        .with_detail(DETAIL)
        .with_hint("Name another tablespace."))
    }
}

/// Before CREATE DATABASE or ALTER DATABASE is executed: the catalogs of a database are in its tablespace.
///
/// # Safety
///
/// As [`check_alter_table`].
pub unsafe fn check_database(database: *const c_char, options: *mut pg_sys::List) -> PgResult<()> {
    // SAFETY: the caller's promise; a terminated string.
    unsafe {
        let Some(tablespace) =
            option(options, c"tablespace").and_then(|name| object_tablespace(name))
        else {
            return Ok(());
        };
        Err(PgError::feature_not_supported(format!(
            "database \"{}\" cannot lie in object tablespace \"{}\"",
            name_text(CStr::from_ptr(database)),
            name(tablespace)
        ))
        .with_detail(DETAIL)
        .with_hint("Name another tablespace; Iceberg tables of any database can name this one."))
    }
}

/// What a statement makes of a relation.
#[derive(Default)]
struct Change {
    /// Its access method, if that is another one.
    method: Option<pg_sys::Oid>,
    persistence: Option<u8>,
}

impl Change {
    fn is_none(&self) -> bool {
        self.method.is_none() && self.persistence.is_none()
    }
}

/// Whether a relation may lie in an object tablespace once it is changed.
fn check_change(relid: pg_sys::Oid, change: &Change, tablespace: pg_sys::Oid) -> PgResult<()> {
    // SAFETY: look-ups in the system cache; the name is palloc'd, or null if the relation is gone.
    let (relation, kind, persistence) = unsafe {
        let name = pg_sys::get_rel_name(relid);
        if name.is_null() {
            return Ok(());
        }
        (
            name_text(CStr::from_ptr(name)),
            pg_sys::get_rel_relkind(relid) as u8,
            pg_sys::get_rel_persistence(relid) as u8,
        )
    };
    let is_iceberg = match change.method {
        Some(method) => method != pg_sys::InvalidOid && method == access_method(),
        None => is_iceberg_relid(relid),
    };
    let what = Placed {
        relation: &relation,
        kind,
        is_iceberg,
        persistence: match persistence {
            pg_sys::RELPERSISTENCE_TEMP => persistence,
            _ => change.persistence.unwrap_or(persistence),
        },
    };
    what.check(&name(tablespace))
}

/// The tablespace of this name, if it is one in an object store.
unsafe fn object_tablespace(name: *const c_char) -> Option<pg_sys::Oid> {
    if name.is_null() {
        return None;
    }
    // SAFETY: the caller's: a terminated string.
    find(unsafe { CStr::from_ptr(name) }).filter(|&tablespace| is_object_tablespace(tablespace))
}

unsafe fn oids(list: *mut pg_sys::List) -> Vec<pg_sys::Oid> {
    // SAFETY: the caller's: a list of oids, or NIL.
    unsafe {
        let count = if list.is_null() { 0 } else { (*list).length };
        (0..count)
            .map(|index| pg_sys::list_nth_oid(list, index))
            .collect()
    }
}

/// The relation's row of `pg_class`, as this command has left it.
fn latest(relid: pg_sys::Oid) -> Option<pg_sys::FormData_pg_class> {
    // SAFETY: a scan of a catalog by its index, with a key of the column's type; all is closed again here, or by the
    // resource owner after an error. The static snapshot sees what the command has done so far. The fixed part of the
    // row is plain data.
    unsafe {
        let mut key = pg_sys::ScanKeyData::default();
        pg_sys::ScanKeyInit(
            &mut key,
            pg_sys::Anum_pg_class_oid as i16,
            pg_sys::BTEqualStrategyNumber as u16,
            pg_sys::Oid::from_u32(pg_sys::F_OIDEQ),
            relid.into(),
        );
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let catalog = pg_sys::table_open(pg_sys::RelationRelationId, lock);
        let scan = pg_sys::systable_beginscan(
            catalog,
            pg_sys::Oid::from_u32(pg_sys::ClassOidIndexId),
            true,
            &raw mut pg_sys::SnapshotSelfData,
            1,
            &mut key,
        );
        let tuple = pg_sys::systable_getnext(scan);
        let class = (!tuple.is_null())
            .then(|| *pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>());
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(catalog, lock);
        class
    }
}

/// The relations of this database that `is_wanted`.
fn relations(is_wanted: impl Fn(&pg_sys::FormData_pg_class) -> bool) -> Vec<pg_sys::Oid> {
    let mut found = Vec::new();
    // SAFETY: the rows of `pg_class`.
    unsafe {
        each_row(
            pg_sys::RelationRelationId,
            |class: &pg_sys::FormData_pg_class| {
                if is_wanted(class) {
                    found.push(class.oid);
                }
            },
        );
    }
    found
}
