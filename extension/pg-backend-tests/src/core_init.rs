//! What the test library registers when a backend loads it.

use pg_lakebase_core::error::PgError;
use pg_lakebase_core::{custom_scan, hooks, xact};
use pgrx::prelude::*;

use super::{core_custom_scan, core_hooks, core_rows_am, core_xact};

/// Called once in each process that loads the library.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    xact::register::<core_rows_am::RowsTransactions>();
    xact::register::<core_xact::Recorder>();
    custom_scan::register::<core_custom_scan::Numbers>();
    hooks::register_process_utility(core_hooks::process_utility)
        .and_then(|()| hooks::register_object_access(core_hooks::object_access))
        .and_then(|()| hooks::register_planner(core_hooks::planner))
        .and_then(|()| hooks::register_executor_run(core_hooks::executor_run))
        .and_then(|()| hooks::register_get_relation_info(core_hooks::get_relation_info))
        .and_then(|()| hooks::register_set_rel_pathlist(core_custom_scan::set_rel_pathlist))
        .unwrap_or_else(|error: PgError| error.raise());
}
