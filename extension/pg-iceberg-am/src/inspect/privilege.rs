//! Who may look at what.

use pgrx::pg_sys;

use crate::catalog::check_select;

/// Whether the user sees what the server is doing, as members of `pg_monitor` do.
pub fn may_monitor() -> bool {
    // SAFETY: a look-up in the catalogs of roles.
    unsafe { pg_sys::has_privs_of_role(pg_sys::GetUserId(), pg_sys::ROLE_PG_READ_ALL_STATS.into()) }
}

/// Whether the user sees how a table is doing: who may read it, and who monitors the server.
pub fn may_look(relid: pg_sys::Oid) -> bool {
    may_monitor() || check_select(relid).is_ok()
}
