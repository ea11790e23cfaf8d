//! Files that nothing needs: left by transactions that were cut off by a crash.
//!
//! Those on local disk are removed. Objects become garbage, which is kept for a while and deleted by publishers: what seems an
//! orphan may be what a server needs that is set back to an earlier time.
//!
//! What a table needs is what the metadata files lead to that those versions of its pointer row name that a
//! snapshot may see, the data files of inline commits, and, until they are removed, files that are garbage.
//!
//! The names of files tell which transaction made them. Where it is over, a file that nothing needs is an orphan
//! at once, and will never be needed: so nobody is kept from writing. Of other files, age has to tell; those of merges in
//! progress are left alone.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use iceberg_lite::commit::reachable_files;
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::{LockMode, OpenRelation, Persistence, Regclass, Relation};
use pg_lakebase_core::{interrupt, spi, wal, xact};
use pgrx::datum::Interval;
use pgrx::pg_sys;
use pgrx::prelude::*;

use super::orphan_objects;
use crate::catalog::{
    GarbageCatalog, InlineCommitCatalog, InlineContent, PointerCatalog, check_iceberg,
    has_relation, is_iceberg, latest_pointer, unless_emptied,
};
use crate::directory::{self, StorageKey, TableDirectory, is_merged_file, transaction_of};
use crate::error::to_pg_error;
use crate::files::{self, Place, Removal, TableFiles, cache};
use crate::publisher::merges;
use crate::tablespaces::catalog::is_object_tablespace;
use crate::transaction;

/// How long to wait for a table of many.
const PATIENCE: Duration = Duration::from_secs(1);

/// A file or directory that nothing needs.
struct Orphan {
    /// Relative to the data directory, or a URI.
    path: String,
    bytes: u64,
}

#[pg_schema]
mod lakebase {
    use super::*;

    /// Removes, or with `dry_run` only lists, files of a table that nothing needs and that are older
    /// than `older_than`; if the table is NULL, of all tables of the database, and
    /// what is left of tables that are no more, those of dropped databases among them. Objects are deleted when `pg_lakebase.object_retention` has passed.
    #[pg_extern(volatile, parallel_restricted)]
    fn remove_orphan_files(
        relation: Option<Regclass>,
        older_than: default!(Interval, "'1 day'"),
        dry_run: default!(bool, "false"),
    ) -> TableIterator<'static, (name!(path, String), name!(bytes, i64))> {
        let removed = remove(relation.map(|relation| relation.0), &older_than, dry_run)
            .unwrap_or_else(|error| error.raise());
        TableIterator::new(
            removed
                .into_iter()
                .map(|orphan| (orphan.path, orphan.bytes.cast_signed())),
        )
    }
}

fn remove(
    relation: Option<pg_sys::Oid>,
    older_than: &Interval,
    dry_run: bool,
) -> PgResult<Vec<Orphan>> {
    let age = u64::try_from(older_than.as_micros()).map_err(|_| {
        PgError::new(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "older_than must not be negative",
        )
    })?;
    let before = ago(Duration::from_micros(age));
    if wal::in_recovery() {
        return Err(PgError::new(
            PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION,
            "cannot remove files of Iceberg tables during recovery",
        ));
    }
    if transaction::has_changes() {
        // They would be taken for orphans: a lock keeps others out, not ourselves.
        return Err(PgError::new(
            PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
            "cannot remove orphan files in a transaction that has changed Iceberg tables",
        ));
    }
    let mut orphans = Vec::new();
    match relation {
        Some(relid) => {
            check_owner(relid)?;
            let rel = OpenRelation::open(relid, LockMode::AccessShare);
            check_iceberg(rel.relation())?;
            of_table(rel.relation(), before, dry_run, &mut orphans)?;
        }
        None => {
            check_superuser("remove orphan files of all tables")
                .map_err(|error| error.with_hint("Name a table that you own."))?;
            for (relid, name) in iceberg_tables()? {
                interrupt::check();
                // An autovacuum worker in the way gives way, or is done soon.
                let opened = interrupt::poll_until(Some(PATIENCE), |tick| {
                    OpenRelation::open_unless_locked(relid, LockMode::AccessShare).or_else(|| {
                        std::thread::sleep(tick);
                        None
                    })
                });
                match opened {
                    Some(rel) if is_iceberg(rel.relation()) => {
                        of_table(rel.relation(), before, dry_run, &mut orphans)?;
                    }
                    Some(_) => {}
                    None => notice!("skipping Iceberg table {name}, which is in use"),
                }
            }
            of_dropped_tables(before, dry_run, &mut orphans)?;
            let mut found = |path, bytes| orphans.push(Orphan { path, bytes });
            orphan_objects::remove(before, dry_run, &mut found)?;
            orphan_objects::remove_of_dropped_databases(before, dry_run, &mut found)?;
        }
    }
    Ok(orphans)
}

fn ago(age: Duration) -> SystemTime {
    SystemTime::now()
        .checked_sub(age)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Before the table is locked: who does not own it shall not keep others from writing.
fn check_owner(relid: pg_sys::Oid) -> PgResult<()> {
    // SAFETY: look-ups in the system caches, by the Oid of a relation that an argument of type regclass
    // named; the name comes palloc'd.
    unsafe {
        if pg_sys::object_ownercheck(pg_sys::RelationRelationId, relid, pg_sys::GetUserId()) {
            return Ok(());
        }
        let name = pg_sys::get_rel_name(relid);
        let name = if name.is_null() {
            relid.to_u32().to_string()
        } else {
            std::ffi::CStr::from_ptr(name)
                .to_string_lossy()
                .into_owned()
        };
        Err(PgError::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("must be owner of table {name}"),
        ))
    }
}

/// Refuses to do something for who is no superuser.
pub(super) fn check_superuser(to_do: &str) -> PgResult<()> {
    // SAFETY: a look-up in the system caches.
    if unsafe { pg_sys::superuser() } {
        return Ok(());
    }
    Err(PgError::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("must be superuser to {to_do}"),
    ))
}

/// The Iceberg tables of the database with their names, other sessions' temporary ones left out.
fn iceberg_tables() -> PgResult<Vec<(pg_sys::Oid, String)>> {
    const QUERY: &str = "SELECT c.oid, c.oid::pg_catalog.regclass::text \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am a ON a.oid = c.relam \
         WHERE a.amname = 'iceberg' AND c.relkind IN ('r', 'm') AND c.relpersistence <> 't' ORDER BY 1";
    let rows = spi::connect(|client| {
        client
            .select(QUERY, None, &[])?
            .map(|row| Ok((row.get(1)?, row.get(2)?)))
            .collect::<Result<Vec<_>, pgrx::spi::SpiError>>()
    })?;
    Ok(rows
        .into_iter()
        .filter_map(|(oid, name)| oid.zip(name))
        .collect())
}

/// Finds and removes the orphans of one table; how many.
///
/// Whoever waits for its metadata waits no longer than it takes to remove the files.
pub fn remove_from(rel: Relation<'_>, older_than: Duration) -> PgResult<usize> {
    let mut orphans = Vec::new();
    of_table(rel, ago(older_than), false, &mut orphans)?;
    Ok(orphans.len())
}

/// Makes what is left in stores of tables of this database that are no more garbage; how many objects.
pub fn remove_left_objects(older_than: Duration) -> PgResult<usize> {
    let mut count = 0;
    orphan_objects::remove(ago(older_than), false, |_, _| count += 1)?;
    Ok(count)
}

/// Makes what is left in stores of databases that are no more garbage of this one; how many objects.
pub fn remove_objects_of_dropped_databases() -> PgResult<usize> {
    let mut count = 0;
    orphan_objects::remove_of_dropped_databases(SystemTime::now(), false, |_, _| count += 1)?;
    Ok(count)
}

fn of_table(
    rel: Relation<'_>,
    before: SystemTime,
    dry_run: bool,
    orphans: &mut Vec<Orphan>,
) -> PgResult<()> {
    let key = StorageKey::of(rel);
    let pointer = latest_pointer(rel, &key)?.unwrap_or_default();
    let place = match &pointer.metadata_location {
        Some(name) => Place::of_existing(&key, name)?,
        None => Place::of(&key)?,
    };
    let Some((catalog, found)) =
        PointerCatalog::open_for_update().zip(find(rel, &key, &place, before)?)
    else {
        return Ok(());
    };
    if !dry_run && !found.is_empty() && place.is_object() {
        let names: Vec<String> = found.iter().map(|(name, _)| name.clone()).collect();
        transaction::garbage::add_files(&key, place.keep_time(), &names);
    } else if !dry_run && !found.is_empty() {
        let names: Vec<&str> = found.iter().map(|(name, _)| &**name).collect();
        let locked = catalog.lock(&key)?;
        let current = unless_emptied(rel.persistence(), &key, locked.pointer);
        // Old metadata may be what a query on a standby sees.
        let horizon = (names.iter()).any(|name| name.starts_with("metadata/"));
        Removal {
            key: &key,
            persistence: rel.persistence(),
            current_metadata: current.metadata_location.as_deref(),
            horizon: horizon.then(|| catalog.newest_of_all_seen()),
        }
        .remove(&names)?;
    }
    orphans.extend(found.into_iter().map(|(name, bytes)| Orphan {
        path: match &place {
            Place::Local(directory) => format!("{directory}/{name}"),
            Place::Object(_) => place.path_of(&name),
        },
        bytes,
    }));
    Ok(())
}

/// The orphans of a table, and their bytes. Nothing is locked: what is an orphan stays one. `None` while the extension is
/// being dropped.
fn find(
    rel: Relation<'_>,
    key: &StorageKey,
    place: &Place,
    before: SystemTime,
) -> PgResult<Option<Vec<(String, u64)>>> {
    let (Some(catalog), Some(inline_commits), Some(garbage)) = (
        PointerCatalog::open(),
        InlineCommitCatalog::open(),
        GarbageCatalog::open(),
    ) else {
        return Ok(None);
    };
    // Files come first: those of a transaction that is over by then are needed if the catalogs say so afterwards.
    let mut found: Vec<(String, u64)> = (place.files()?.into_iter())
        .filter(|file| {
            let is_old = file.modified.is_some_and(|time| time <= before);
            match transaction_of(&file.name) {
                Some(xid) => xact::is_over(xid) && (is_old || !place.is_object()),
                None => is_old,
            }
        })
        .map(|file| (file.name, file.length))
        .collect();
    let merges = merges::in_this_database();
    if (merges.iter()).any(|merging| merging.storage == (key.rel_number, key.tablespace)) {
        found.retain(|(name, _)| !is_merged_file(name));
    }
    let io = TableFiles::new(*key)?;
    let mut needed = BTreeSet::new();
    let is_unlogged = rel.persistence() == Persistence::Unlogged;
    for name in catalog.metadata_of_seen_versions(key)? {
        if is_unlogged && !TableDirectory::of(key).has_file(&name) {
            // It led to nothing that recovery has not removed as well.
            continue;
        }
        let paths = cache::metadata(&io, &name)
            .and_then(|metadata| reachable_files(&metadata, &io).map_err(to_pg_error));
        match paths {
            Ok(paths) => {
                let names = paths.iter().filter_map(|path| place.name_of(path));
                needed.extend(names.map(str::to_owned));
                needed.insert(name);
            }
            // The last who could see it is gone, and so are its files.
            Err(_) if !catalog.metadata_of_seen_versions(key)?.contains(&name) => {}
            Err(error) => return Err(error),
        }
    }
    // Behind the pointer rows: what is folded meanwhile is there in either.
    for inline in inline_commits.of_seen_versions(key)? {
        if let InlineContent::DataFile(file) = inline.content()? {
            needed.extend(place.name_of(&file.file_path).map(str::to_owned));
        }
    }
    // What has become superfluous is removed when nobody needs it any more.
    needed.extend(garbage.files_of(key)?);
    found.retain(|(name, _)| !needed.contains(name));
    Ok(Some(found))
}

/// Finds and removes the directories of tables that are no more.
///
/// A relation file number that `pg_class` does not know may belong to a transaction in progress. Files tell, which
/// a prepared one has always made; an empty directory counts if it is older than all transactions in progress.
fn of_dropped_tables(before: SystemTime, dry_run: bool, orphans: &mut Vec<Orphan>) -> PgResult<()> {
    let before = before.min(oldest_transaction()?);
    // SAFETY: the database that the session is connected to.
    let database = unsafe { pg_sys::MyDatabaseId }.to_u32();
    for parent in directory::database_directories(Some(database)) {
        let tablespace = tablespace_of(&parent);
        let may_be_prepared =
            is_object_tablespace(tablespace.into()) && has_prepared_transactions()?;
        for entry in directory::entries(&parent) {
            let Some(rel_number) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.strip_prefix("iceberg_")?.parse::<u32>().ok())
            else {
                continue;
            };
            let is_old = entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|time| time < before);
            let key = StorageKey {
                tablespace,
                database,
                rel_number,
                backend: pg_sys::INVALID_PROC_NUMBER,
            };
            let makers: Vec<u64> = TableDirectory::of(&key)
                .files()
                .filter_map(|(name, _)| transaction_of(&name))
                .collect();
            let is_nobodys = match *makers {
                // That of a table in a store is always empty.
                [] => is_old && !may_be_prepared,
                _ => makers.into_iter().all(xact::is_over),
            };
            if is_nobodys && !has_relation(&key) {
                orphans.push(Orphan {
                    path: TableDirectory::of(&key).to_string(),
                    bytes: TableDirectory::of(&key).size(),
                });
                if !dry_run {
                    files::remove_directory(&key);
                }
            }
        }
    }
    Ok(())
}

fn has_prepared_transactions() -> PgResult<bool> {
    const QUERY: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts)";
    let any = spi::connect(|client| client.select(QUERY, None, &[])?.first().get_one())?;
    Ok(any.unwrap_or(true))
}

fn tablespace_of(parent: &Path) -> u32 {
    let mut parts = parent.iter().filter_map(|part| part.to_str());
    match (parts.next(), parts.next().map(str::parse)) {
        (Some("pg_tblspc"), Some(Ok(tablespace))) => tablespace,
        _ => pg_sys::DEFAULTTABLESPACE_OID.to_u32(),
    }
}

/// When the oldest transaction in progress began, this one and prepared ones left out; now, if there is none.
fn oldest_transaction() -> PgResult<SystemTime> {
    let age = spi::connect(|client| {
        client
            .select(
                "SELECT coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - min(xact_start)), 0)::float8 \
                 FROM pg_catalog.pg_stat_activity \
                 WHERE pid <> pg_catalog.pg_backend_pid() AND backend_type <> 'pg_iceberg syncer'",
                None,
                &[],
            )?
            .first()
            .get::<f64>(1)
    })?;
    let age = Duration::try_from_secs_f64(age.unwrap_or(0.0).max(0.0)).unwrap_or_default();
    Ok(SystemTime::now()
        .checked_sub(age)
        .unwrap_or(SystemTime::UNIX_EPOCH))
}
