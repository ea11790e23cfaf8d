//! pg_iceberg_am: Apache Iceberg tables as PostgreSQL tables.
//!
//! The crate is thin: PostgreSQL's side is pg-lakebase-core, values are pg-arrow-conv, the format is
//! iceberg-lite. What lives here is what joins them: which storage a table has, what a transaction
//! has done to it, and how that becomes an Iceberg commit. `ARCHITECTURE.md` draws the whole.

#![allow(
    unsafe_code,
    reason = "this crate calls PostgreSQL; each block says why it may"
)]

mod bindings;
mod catalog;
mod claims;
mod ddl;
mod directory;
mod error;
mod files;
mod guc;
mod handler;
mod inspect;
mod maintenance;
mod modify;
mod planner;
mod publisher;
mod row_id;
mod scan;
mod schema;
mod storage_service;
mod stores;
mod tablespaces;
mod transaction;
mod unsupported;
mod wal;
mod workers;

use pg_lakebase_core::error::PgError;
use pgrx::prelude::*;

::pgrx::pg_module_magic!(name, version);

extension_sql_file!("../sql/bootstrap.sql", name = "bootstrap", bootstrap);
extension_sql_file!(
    "../sql/guard.sql",
    name = "guard",
    requires = [keep_changes_out]
);
extension_sql_file!("../sql/views.sql", name = "views", finalize);

/// Called once in each process that loads the library.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    if !pg_lakebase_core::guc::is_preloading() {
        PgError::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "pg_iceberg_am must be loaded when the server starts",
        )
        .with_hint("Add pg_iceberg_am to shared_preload_libraries and restart the server.")
        .raise();
    }
    guc::register();
    pg_lakebase_core::slot::refuse_system_columns_with(unsupported::system_column);
    pg_lakebase_core::slot::tell_own_rows_with(transaction::may_have_inserted);
    wal::register();
    directory::startup::register();
    files::sync_queue::register();
    publisher::register();
    storage_service::register();
    row_id::counter::register();
    claims::register();
    transaction::register();
    scan::register();
    if let Err(error) = ddl::register().and_then(|()| planner::register()) {
        error.raise();
    }
}
