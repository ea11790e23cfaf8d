//! What pgrx does not bind of PostgreSQL: functions, guarded as pgrx guards its own so that an ERROR comes
//! back as an unwinding panic, and a catalog.

use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

mod raw {
    use pgrx::pg_sys;

    /// As `commands/cluster.h` has it.
    #[repr(C)]
    pub struct ClusterParams {
        pub options: pg_sys::bits32,
    }

    unsafe extern "C-unwind" {
        pub fn find_all_inheritors(
            parent: pg_sys::Oid,
            lockmode: pg_sys::LOCKMODE,
            numparents: *mut *mut pg_sys::List,
        ) -> *mut pg_sys::List;
        pub fn get_partition_ancestors(relid: pg_sys::Oid) -> *mut pg_sys::List;
        pub fn cluster_rel(relid: pg_sys::Oid, index: pg_sys::Oid, params: *mut ClusterParams);
        pub static Log_autovacuum_min_duration: std::ffi::c_int;
        pub fn lc_collate_is_c(collation: pg_sys::Oid) -> bool;
        pub fn RequestCheckpoint(flags: std::ffi::c_int);
        pub fn RangeVarCallbackOwnsRelation(
            relation: *const pg_sys::RangeVar,
            relid: pg_sys::Oid,
            old_relid: pg_sys::Oid,
            arg: *mut std::ffi::c_void,
        );
        pub fn RelidByRelfilenumber(
            tablespace: pg_sys::Oid,
            rel_number: pg_sys::RelFileNumber,
        ) -> pg_sys::Oid;
    }
}

/// The relation and all that inherit from it, as a list of oids (`catalog/pg_inherits.h`).
pub fn find_all_inheritors(parent: pg_sys::Oid, lockmode: pg_sys::LOCKMODE) -> *mut pg_sys::List {
    // SAFETY: declared as in the header; a null pointer says that the counts are not wanted.
    unsafe {
        pg_guard_ffi_boundary(|| raw::find_all_inheritors(parent, lockmode, std::ptr::null_mut()))
    }
}

/// The setting `log_autovacuum_min_duration`; `None` if nothing is to be logged (`postmaster/autovacuum.h`).
pub fn log_autovacuum_min_duration() -> Option<std::time::Duration> {
    // SAFETY: a setting, which only this thread changes.
    let milliseconds = unsafe { (&raw const raw::Log_autovacuum_min_duration).read() };
    u64::try_from(milliseconds)
        .ok()
        .map(std::time::Duration::from_millis)
}

/// Makes a checkpoint and waits for it (`postmaster/bgwriter.h`): files of dropped relations are removed by then.
pub fn checkpoint_now() {
    let flags = pg_sys::CHECKPOINT_IMMEDIATE | pg_sys::CHECKPOINT_FORCE | pg_sys::CHECKPOINT_WAIT;
    // SAFETY: declared as in the header.
    unsafe { pg_guard_ffi_boundary(|| raw::RequestCheckpoint(flags as std::ffi::c_int)) }
}

/// Writes a table, of which nobody else has anything open, anew (`commands/cluster.h`).
pub fn rewrite_table(relid: pg_sys::Oid) {
    let mut params = raw::ClusterParams { options: 0 };
    // SAFETY: declared as in the header; without an index, rows keep their order.
    unsafe {
        pg_guard_ffi_boundary(|| raw::cluster_rel(relid, pg_sys::InvalidOid, &raw mut params));
    }
}

/// The tables that a partition is part of, as a list of oids, the nearest first (`catalog/partition.h`).
pub fn get_partition_ancestors(relid: pg_sys::Oid) -> *mut pg_sys::List {
    // SAFETY: declared as in the header.
    unsafe { pg_guard_ffi_boundary(|| raw::get_partition_ancestors(relid)) }
}

/// For `RangeVarGetRelidExtended`: refuses relations that the user does not own (`commands/tablecmds.h`). PostgreSQL
/// calls it, so its errors pass C frames only.
pub const OWNS_RELATION: pg_sys::RangeVarGetRelidCallback = Some(raw::RangeVarCallbackOwnsRelation);

/// Whether a collation sorts by bytes (`utils/pg_locale.h`).
pub fn lc_collate_is_c(collation: pg_sys::Oid) -> bool {
    // SAFETY: declared as in the header.
    unsafe { pg_guard_ffi_boundary(|| raw::lc_collate_is_c(collation)) }
}

/// The relation with this relation file number in a tablespace, 0 meaning the database's own; 0 if there
/// is none (`utils/relfilenumbermap.h`).
pub fn relid_by_relfilenumber(tablespace: pg_sys::Oid, rel_number: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: declared as in the header.
    unsafe { pg_guard_ffi_boundary(|| raw::RelidByRelfilenumber(tablespace, rel_number)) }
}

/// `catalog/pg_depend.h`.
pub mod pg_depend {
    use pgrx::pg_sys;

    /// `DependRelationId`.
    pub const RELATION: pg_sys::Oid = pg_sys::Oid::from_u32(2608);
    /// `DependReferenceIndexId`, on refclassid, refobjid, refobjsubid.
    pub const REFERENCE_INDEX: pg_sys::Oid = pg_sys::Oid::from_u32(2674);
    /// `Anum_pg_depend_refclassid`.
    pub const REFCLASSID: pg_sys::AttrNumber = 4;
    /// `Anum_pg_depend_refobjid`.
    pub const REFOBJID: pg_sys::AttrNumber = 5;

    /// The first fields of `FormData_pg_depend`: who depends.
    #[repr(C)]
    pub struct Form {
        /// The catalog that the dependent object is in.
        pub classid: pg_sys::Oid,
        /// The dependent object.
        pub objid: pg_sys::Oid,
        /// Of a relation, its column, or 0.
        pub objsubid: i32,
    }
}
