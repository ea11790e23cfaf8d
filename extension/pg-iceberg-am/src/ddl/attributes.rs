//! Attributes of tables and composite types that come, change and go.
//!
//! What counts is what happens to the attribute, whichever statement or cascade asks for it. Names may change,
//! columns may come, get other types and go, and attributes may go: fields are found by their ids, and the commit brings the
//! table's metadata after. Rows from before have NULL, or a default, in a column that was added. PostgreSQL decides whether
//! rows are written anew; where it does not, and the fields cannot hold what it has decided, they are all the same. An
//! attribute more, or one of another type, of a type that columns have somewhere inside is refused.

use std::cell::RefCell;
use std::collections::BTreeSet;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::{Attribute, LockMode, OpenRelation, Relation, RelationKind};
use pgrx::pg_sys;

use super::type_users::{TypeUser, type_users};
use super::{attribute_names, enum_labels};
use crate::bindings;
use crate::catalog::is_iceberg_relid;
use crate::directory::{StorageKey, upgrade};
use crate::scan::{TableView, fetch};
use crate::schema::retyped::{self, Retyped};
use crate::schema::{Column, TableColumns};
use crate::transaction;

/// What to do instead of altering a type that columns have: the type is what it is for a new table as well.
const NEW_TYPE_HINT: &str = "Create another type with the wanted attributes and an Iceberg table with columns of that type, fill it with INSERT ... SELECT, drop the old table, and rename.";

/// A column has been added to `relid` (`ATExecAddColumn`); it is not visible yet.
pub fn added(relid: pg_sys::Oid, number: i16) -> PgResult<()> {
    check_users(relid)?;
    if !is_iceberg_relid(relid) || upgrade::is_running() {
        return Ok(());
    }
    let Some(attribute) = latest(relid, number) else {
        return Ok(());
    };
    attribute_names::check_renamed(&attribute)?;
    let column = hold_types(&attribute)?;
    // Whoever adds a column holds AccessExclusiveLock on the relation.
    let rel = OpenRelation::open(relid, LockMode::None);
    fetch::forget();
    for column in &column {
        transaction::note_added_column(rel.relation(), number, column)?;
    }
    ALTERED.with_borrow_mut(|tables| tables.insert(relid.to_u32()));
    Ok(())
}

/// A column of `relid` has got another type (`ATExecAlterColumnType`). Where PostgreSQL does not write the rows anew, the field
/// gets the type, or they are at the end of the statement.
fn retyped(
    relid: pg_sys::Oid,
    old: &pg_sys::FormData_pg_attribute,
    new: &pg_sys::FormData_pg_attribute,
) -> PgResult<()> {
    check_users(relid)?;
    if !is_iceberg_relid(relid) {
        return Ok(());
    }
    let column = hold_types(new)?;
    // Whoever changes a column's type holds AccessExclusiveLock on the relation.
    let rel = OpenRelation::open(relid, LockMode::None);
    fetch::forget();
    let before = Column::of_attribute(Attribute::from_raw(old))?;
    for now in &column {
        let key = StorageKey::of(rel.relation());
        let is_settled = !retyped::of(&key).contains_key(&new.attnum);
        if !is_settled || !transaction::widen_column(rel.relation(), new.attnum, &before, now)? {
            retyped::note(key, new.attnum, (old.atttypid, old.atttypmod));
        }
    }
    ALTERED.with_borrow_mut(|tables| tables.insert(relid.to_u32()));
    Ok(())
}

/// The column, in a list of its own, whose types nobody changes to the end of the transaction. One that Iceberg cannot hold is
/// an error.
fn hold_types(attribute: &pg_sys::FormData_pg_attribute) -> PgResult<Vec<Column>> {
    let resolve = || Column::of_attribute(Attribute::from_raw(attribute));
    let column = hold_composites(|| Ok(vec![resolve()?]))?;
    enum_labels::hold(&column);
    Ok(column)
}

thread_local! {
    /// Tables in which the statement that is being executed has added columns or changed their types.
    static ALTERED: RefCell<BTreeSet<u32>> = const { RefCell::new(BTreeSet::new()) };
}

/// A utility statement that may alter columns, from its beginning to its end.
pub struct Altering {
    /// What the statement has done that this one is part of, as an event trigger's.
    outer: BTreeSet<u32>,
    /// What was noted before: it counts again afterwards, for what this statement does may be rolled back.
    retyped: Retyped,
}

impl Altering {
    /// Begins.
    pub fn begin() -> Self {
        Self {
            outer: ALTERED.take(),
            retyped: retyped::all(),
        }
    }

    /// Settles how fields hold the columns, and has tables written anew in which they cannot.
    pub fn finish(self) -> PgResult<()> {
        for relid in ALTERED.take() {
            let relid = pg_sys::Oid::from(relid);
            if is_iceberg_relid(relid) {
                settle(relid)?;
            }
        }
        Ok(())
    }
}

impl Drop for Altering {
    fn drop(&mut self) {
        ALTERED.set(std::mem::take(&mut self.outer));
        retyped::restore(std::mem::take(&mut self.retyped));
    }
}

/// Settles how fields hold the columns of a table that was altered.
fn settle(relid: pg_sys::Oid) -> PgResult<()> {
    // Whoever alters columns holds AccessExclusiveLock on the relation, to the end of the transaction.
    let open = OpenRelation::open(relid, LockMode::None);
    let rel = open.relation();
    if !has_retyped_columns(rel) {
        let view = TableView::resolve(rel, None)?;
        if view.tells_missing_values() {
            return Ok(());
        }
        if view.never_had_rows() {
            // SAFETY: the relation is open.
            unsafe {
                pg_sys::RelationClearMissing(rel.as_ptr());
                pg_sys::CommandCounterIncrement();
            }
            return Ok(());
        }
    }
    drop(open);
    bindings::rewrite_table(relid);
    // SAFETY: in a transaction.
    unsafe { pg_sys::CommandCounterIncrement() };
    Ok(())
}

/// Whether there are columns that are read as of other types than they have now.
fn has_retyped_columns(rel: Relation<'_>) -> bool {
    let retyped = retyped::of(&StorageKey::of(rel));
    let columns = rel.tuple_desc().raw_attributes().iter();
    let mut live = columns.filter(|column| !column.attisdropped);
    live.any(|column| {
        let now = (column.atttypid, column.atttypmod);
        retyped
            .get(&column.attnum)
            .is_some_and(|before| *before != now)
    })
}

/// Refuses to change `relid` if columns of Iceberg tables have values of its row type.
fn check_users(relid: pg_sys::Oid) -> PgResult<()> {
    match row_type_users(relid).first() {
        Some(user) => Err(used(relid, user).with_hint(NEW_TYPE_HINT)),
        None => Ok(()),
    }
}

/// The attribute has been altered in some way; the change is not visible yet.
pub fn altered(relid: pg_sys::Oid, number: i16) -> PgResult<()> {
    let (Some(old), Some(new)) = (visible(relid, number), latest(relid, number)) else {
        return Ok(());
    };
    if (old.atttypid, old.atttypmod) != (new.atttypid, new.atttypmod) {
        retyped(relid, &old, &new)
    } else if attribute_names::name(&old) != attribute_names::name(&new) {
        if is_iceberg_relid(relid) || !row_type_users(relid).is_empty() {
            attribute_names::check_renamed(&new)?;
        }
        note(relid);
        Ok(())
    } else {
        Ok(())
    }
}

/// An attribute of `relid` is about to be dropped.
pub fn dropped(relid: pg_sys::Oid) -> PgResult<()> {
    if let Some(user) = row_type_users(relid).first()
        && is_last(relid)
    {
        return Err(used(relid, user)
            .with_detail("Parquet has no structs without fields.")
            .with_hint(NEW_TYPE_HINT));
    }
    note(relid);
    Ok(())
}

/// Whether `relid`, of which an attribute is about to be dropped, has no other.
fn is_last(relid: pg_sys::Oid) -> bool {
    // Whoever drops an attribute holds AccessExclusiveLock on the relation.
    let rel = OpenRelation::open(relid, LockMode::None);
    let attributes = rel.relation().tuple_desc().attributes();
    attributes.filter(|attribute| !attribute.is_dropped).count() == 1
}

/// Keeps the composite types in the columns of `rel` what they are while it is being made, to the end of the
/// transaction, from when on it can be found.
///
/// Iceberg tables that are there already are found, and so need not be held: their lock comes before that of a type.
pub fn hold(rel: Relation<'_>) -> PgResult<()> {
    hold_composites(|| Ok(TableColumns::resolve(rel.tuple_desc())?.columns)).map(drop)
}

/// What `resolve` gives once the composite types in these columns are locked.
fn hold_composites(resolve: impl Fn() -> PgResult<Vec<Column>>) -> PgResult<Vec<Column>> {
    let mut held = BTreeSet::new();
    loop {
        let before = held.len();
        // A type that is locked only now may have got attributes of further types meanwhile.
        let columns = resolve()?;
        for column in &columns {
            for composite in column.column_type.composites() {
                if held.insert(composite.to_u32()) {
                    // SAFETY: a look-up, and a lock that CREATE TABLE takes as well, though not for as long
                    // (`CheckAttributeType`).
                    unsafe {
                        pg_sys::LockRelationOid(
                            pg_sys::get_typ_typrelid(composite),
                            LockMode::AccessShare.to_raw(),
                        );
                    }
                }
            }
        }
        if held.len() == before {
            return Ok(columns);
        }
    }
}

/// The columns of Iceberg tables that have values of the row type of `relid` somewhere inside.
fn row_type_users(relid: pg_sys::Oid) -> Vec<TypeUser> {
    // SAFETY: a look-up in the system cache; 0 for a relation without a row type.
    type_users(unsafe { pg_sys::get_rel_type_id(relid) })
}

/// Has the commit look at the tables whose columns may be others now.
fn note(relid: pg_sys::Oid) {
    if is_iceberg_relid(relid) {
        // Whoever changes a table's columns holds AccessExclusiveLock on it.
        let rel = OpenRelation::open(relid, LockMode::None);
        note_changed_columns(rel.relation());
    }
    for user in row_type_users(relid) {
        // As in PostgreSQL, a type is no part of its tables, so they go on being read and written.
        if let Some(rel) = OpenRelation::try_open(user.table, LockMode::AccessShare) {
            note_changed_columns(rel.relation());
        }
    }
}

fn note_changed_columns(rel: Relation<'_>) {
    fetch::forget();
    transaction::note_changed_columns(rel);
}

/// As PostgreSQL says it (`find_composite_type_dependencies`).
fn used(relid: pg_sys::Oid, user: &TypeUser) -> PgError {
    let rel = OpenRelation::open(relid, LockMode::None);
    let name = rel.relation().name();
    let (what, uses) = match rel.relation().kind() {
        RelationKind::CompositeType => ("type", "uses it"),
        RelationKind::ForeignTable => ("foreign table", "uses its row type"),
        RelationKind::View => ("view", "uses its row type"),
        _ => ("table", "uses its row type"),
    };
    let column = user.column_name();
    PgError::feature_not_supported(format!(
        "cannot alter {what} \"{name}\" because column \"{column}\" of an Iceberg table {uses}"
    ))
}

/// The attribute as the system cache has it.
fn visible(relid: pg_sys::Oid, number: i16) -> Option<pg_sys::FormData_pg_attribute> {
    // SAFETY: a look-up in the system cache; the tuple is read before it is released.
    unsafe {
        let tuple = pg_sys::SearchSysCache2(
            pg_sys::SysCacheIdentifier::ATTNUM as i32,
            relid.into(),
            number.into(),
        );
        if tuple.is_null() {
            return None;
        }
        let attribute = *pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_attribute>();
        pg_sys::ReleaseSysCache(tuple);
        Some(attribute)
    }
}

/// The attribute as this command has left it.
fn latest(relid: pg_sys::Oid, number: i16) -> Option<pg_sys::FormData_pg_attribute> {
    // SAFETY: a scan of a catalog by its index, with keys of the columns' types; all is closed again here,
    // or by the resource owner after an error. The static snapshot sees what the command has done so far.
    unsafe {
        let mut keys = [pg_sys::ScanKeyData::default(); 2];
        pg_sys::ScanKeyInit(
            &mut keys[0],
            pg_sys::Anum_pg_attribute_attrelid as i16,
            pg_sys::BTEqualStrategyNumber as u16,
            pg_sys::Oid::from_u32(pg_sys::F_OIDEQ),
            relid.into(),
        );
        pg_sys::ScanKeyInit(
            &mut keys[1],
            pg_sys::Anum_pg_attribute_attnum as i16,
            pg_sys::BTEqualStrategyNumber as u16,
            pg_sys::Oid::from_u32(pg_sys::F_INT2EQ),
            number.into(),
        );
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let catalog = pg_sys::table_open(pg_sys::AttributeRelationId, lock);
        let scan = pg_sys::systable_beginscan(
            catalog,
            pg_sys::Oid::from_u32(pg_sys::AttributeRelidNumIndexId),
            true,
            &raw mut pg_sys::SnapshotSelfData,
            keys.len() as i32,
            keys.as_mut_ptr(),
        );
        let tuple = pg_sys::systable_getnext(scan);
        let attribute = (!tuple.is_null())
            .then(|| *pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_attribute>());
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(catalog, lock);
        attribute
    }
}
