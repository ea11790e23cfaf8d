//! Publications, which cannot publish changes to Iceberg tables.
//!
//! Logical decoding knows what heap tables log and nothing else, so a subscriber gets the rows that an Iceberg
//! table has in the initial copy, and no changes afterwards. As PostgreSQL does with unlogged tables, a
//! publication that names an Iceberg table is refused. One that covers it with others (a partitioned table,
//! a schema, all tables) may be wanted for the others: a warning says what it does not do.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, c_char};

use pg_lakebase_core::error::{PgError, PgResult};
use pgrx::{PgSqlErrorCode, pg_sys};

use super::utility::{commands, relation};
use crate::bindings;
use crate::catalog::{access_method, is_iceberg_relid};

/// Tables that a warning names.
const NAMED: usize = 3;

/// What is to be looked at when a statement has been executed.
pub enum Watch {
    /// A publication that gets tables.
    Publication(*const c_char),
    /// A table that is made.
    Made(*const pg_sys::RangeVar),
    /// A table that a publication may cover afterwards.
    Altered(pg_sys::Oid),
}

/// Before `statement` is executed: what to hand to [`check`] afterwards.
///
/// # Safety
///
/// `statement` is PostgreSQL's own, and outlives what is returned.
pub unsafe fn watch(statement: *mut pg_sys::Node) -> Option<Watch> {
    // SAFETY: the node is cast to the type that its tag names.
    unsafe {
        match (*statement).type_ {
            pg_sys::NodeTag::T_CreatePublicationStmt => {
                let statement = statement.cast::<pg_sys::CreatePublicationStmt>();
                Some(Watch::Publication((*statement).pubname))
            }
            pg_sys::NodeTag::T_AlterPublicationStmt => {
                let statement = statement.cast::<pg_sys::AlterPublicationStmt>();
                let adds = !(*statement).pubobjects.is_null()
                    && (*statement).action != pg_sys::AlterPublicationAction::AP_DropObjects;
                adds.then_some(Watch::Publication((*statement).pubname))
            }
            pg_sys::NodeTag::T_CreateStmt => Some(Watch::Made(
                (*statement.cast::<pg_sys::CreateStmt>()).relation,
            )),
            pg_sys::NodeTag::T_CreateTableAsStmt => {
                let into = (*statement.cast::<pg_sys::CreateTableAsStmt>()).into;
                Some(Watch::Made((*into).rel))
            }
            pg_sys::NodeTag::T_AlterObjectSchemaStmt => {
                let statement = statement.cast::<pg_sys::AlterObjectSchemaStmt>();
                existing((*statement).relation)
            }
            pg_sys::NodeTag::T_AlterTableStmt => {
                let statement = statement.cast::<pg_sys::AlterTableStmt>();
                commands(statement).find_map(|command| match (*command).subtype {
                    pg_sys::AlterTableType::AT_AttachPartition => {
                        existing((*(*command).def.cast::<pg_sys::PartitionCmd>()).name)
                    }
                    pg_sys::AlterTableType::AT_SetAccessMethod
                    | pg_sys::AlterTableType::AT_SetLogged => existing((*statement).relation),
                    _ => None,
                })
            }
            _ => None,
        }
    }
}

unsafe fn existing(name: *const pg_sys::RangeVar) -> Option<Watch> {
    // SAFETY: the caller passes a name of the statement's, or null.
    unsafe { relation(name).map(Watch::Altered) }
}

/// After a statement was executed: refuses Iceberg tables that a publication names, and warns of those
/// that it covers.
///
/// # Safety
///
/// `watch` was made from the statement.
pub unsafe fn check(watch: &Watch) -> PgResult<()> {
    // SAFETY: the caller's promise.
    unsafe {
        match watch {
            Watch::Publication(name) => check_publication(*name)?,
            Watch::Made(name) => {
                if let Some(relid) = relation(*name) {
                    warn_of(relid);
                }
            }
            Watch::Altered(relid) => warn_of(*relid),
        }
    }
    Ok(())
}

unsafe fn check_publication(name: *const c_char) -> PgResult<()> {
    // SAFETY: catalog look-ups, of what this command has made as well; lists of Oids.
    unsafe {
        pg_sys::CommandCounterIncrement();
        let publication = pg_sys::GetPublicationByName(name, true);
        if publication.is_null() {
            return Ok(());
        }
        let oid = (*publication).oid;
        let root = pg_sys::PublicationPartOpt::PUBLICATION_PART_ROOT;
        let all = pg_sys::PublicationPartOpt::PUBLICATION_PART_ALL;
        if let Some(&table) = iceberg_tables(pg_sys::GetPublicationRelations(oid, root)).first() {
            return Err(refusal(table.into()));
        }
        let mut covered = iceberg_tables(pg_sys::GetPublicationRelations(oid, all));
        covered.extend(iceberg_tables(pg_sys::GetAllSchemaPublicationRelations(
            oid, all,
        )));
        if (*publication).alltables {
            covered.extend(iceberg_tables(pg_sys::GetAllTablesPublicationRelations(
                false,
            )));
        }
        if !covered.is_empty() {
            warning(oid.to_u32(), &covered).warn();
        }
    }
    Ok(())
}

/// Before ALTER TABLE SET ACCESS METHOD is executed: refuses to make an Iceberg table of one that a
/// publication names. The method's name is null for the default one.
///
/// # Safety
///
/// `name` is a terminated string, or null.
pub unsafe fn check_set_access_method(relid: pg_sys::Oid, name: *const c_char) -> PgResult<()> {
    // SAFETY: the caller's promise; look-ups in the catalogs.
    unsafe {
        let name = match name.is_null() {
            true => pg_sys::default_table_access_method,
            false => name,
        };
        let method = pg_sys::get_table_am_oid(name, true);
        let becomes_iceberg = method != pg_sys::InvalidOid && method == access_method();
        if becomes_iceberg
            && !is_iceberg_relid(relid)
            && pg_sys::get_rel_relkind(relid) as u8 == pg_sys::RELKIND_RELATION
            && !pg_sys::GetRelationPublications(relid).is_null()
        {
            return Err(PgError::feature_not_supported(format!(
                "cannot change table \"{}\" to an Iceberg table because it is part of a publication",
                name_of(relid)
            ))
            .with_detail("Changes to Iceberg tables cannot be published.")
            .with_hint("Take it out with ALTER PUBLICATION ... DROP TABLE first."));
        }
    }
    Ok(())
}

/// Warns if `relid`, or a partition of it, is a table whose changes a publication does not publish.
fn warn_of(relid: pg_sys::Oid) {
    if access_method() == pg_sys::InvalidOid {
        return;
    }
    let mut covered: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    // SAFETY: catalog look-ups, of what this command has made as well; lists of Oids.
    unsafe {
        pg_sys::CommandCounterIncrement();
        let family = bindings::find_all_inheritors(relid, pg_sys::NoLock as pg_sys::LOCKMODE);
        for table in iceberg_tables(family) {
            let relid = table.into();
            if pg_sys::get_rel_persistence(relid) as u8 == pg_sys::RELPERSISTENCE_PERMANENT
                && pg_sys::get_rel_relkind(relid) as u8 == pg_sys::RELKIND_RELATION
            {
                for publication in publications_of(relid) {
                    covered.entry(publication).or_default().insert(table);
                }
            }
        }
    }
    for (publication, tables) in &covered {
        warning(*publication, tables).warn();
    }
}

/// The publications that cover a table: by itself, by a table that it is a partition of, by a schema of
/// those, or with all tables.
unsafe fn publications_of(relid: pg_sys::Oid) -> BTreeSet<u32> {
    // SAFETY: catalog look-ups; lists of Oids.
    unsafe {
        let mut publications: BTreeSet<_> = oids(pg_sys::GetAllTablesPublications()).collect();
        let ancestors = match pg_sys::get_rel_relispartition(relid) {
            true => bindings::get_partition_ancestors(relid),
            false => std::ptr::null_mut(),
        };
        for table in oids(ancestors).map(pg_sys::Oid::from).chain([relid]) {
            let schema = pg_sys::get_rel_namespace(table);
            publications.extend(oids(pg_sys::GetRelationPublications(table)));
            publications.extend(oids(pg_sys::GetSchemaPublications(schema)));
        }
        publications
    }
}

fn refusal(table: pg_sys::Oid) -> PgError {
    PgError::feature_not_supported(format!(
        "cannot add relation \"{}\" to publication",
        name_of(table)
    ))
    .with_detail("This operation is not supported for Iceberg tables: their changes cannot be published.")
    .with_hint("Keep what is to be replicated in a heap table, or publish the table that the rows come from.")
}

fn warning(publication: u32, tables: &BTreeSet<u32>) -> PgError {
    // SAFETY: a look-up in the system cache; the name is palloc'd, or null.
    let publication = unsafe {
        let name = pg_sys::get_publication_name(publication.into(), true);
        match name.is_null() {
            true => String::new(),
            false => CStr::from_ptr(name).to_string_lossy().into_owned(),
        }
    };
    let names: BTreeSet<String> = tables
        .iter()
        .map(|&table| format!("\"{}\"", name_of(table.into())))
        .collect();
    let mut list = names
        .iter()
        .take(NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if tables.len() > NAMED {
        list += &format!(" and {} more", tables.len() - NAMED);
    }
    PgError::new(
        PgSqlErrorCode::ERRCODE_WARNING,
        format!("publication \"{publication}\" does not publish changes to Iceberg tables"),
    )
    .with_detail(format!(
        "Subscribers copy the rows that the tables have when a subscription begins, and get no changes made later. It covers {list}."
    ))
}

/// The Iceberg tables in a list of relations.
unsafe fn iceberg_tables(list: *mut pg_sys::List) -> BTreeSet<u32> {
    // SAFETY: the caller passes a list of Oids, or NIL.
    unsafe {
        oids(list)
            .filter(|&oid| is_iceberg_relid(oid.into()))
            .collect()
    }
}

unsafe fn oids(list: *mut pg_sys::List) -> impl Iterator<Item = u32> {
    // SAFETY: as above.
    unsafe {
        let count = if list.is_null() { 0 } else { (*list).length };
        (0..count).map(move |index| pg_sys::list_nth_oid(list, index).to_u32())
    }
}

fn name_of(relid: pg_sys::Oid) -> String {
    // SAFETY: a look-up in the system cache; the name is palloc'd, or null.
    unsafe {
        let name = pg_sys::get_rel_name(relid);
        match name.is_null() {
            true => relid.to_u32().to_string(),
            false => CStr::from_ptr(name).to_string_lossy().into_owned(),
        }
    }
}
