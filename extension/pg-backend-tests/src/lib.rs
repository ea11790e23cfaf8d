//! The tests of pg-lakebase-core and pg-arrow-conv that need a running backend.
//!
//! An extension for tests alone: nobody depends on it and nothing here is installed for users.

#![allow(
    unsafe_code,
    reason = "tests hand datums and contexts to unsafe interfaces"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

::pgrx::pg_module_magic!(name, version);

#[cfg(any(test, feature = "pg_test"))]
mod conv;
#[cfg(any(test, feature = "pg_test"))]
mod core_custom_scan;
#[cfg(any(test, feature = "pg_test"))]
mod core_error;
#[cfg(any(test, feature = "pg_test"))]
mod core_file;
#[cfg(any(test, feature = "pg_test"))]
mod core_hooks;
#[cfg(any(test, feature = "pg_test"))]
mod core_init;
#[cfg(any(test, feature = "pg_test"))]
mod core_memory;
#[cfg(any(test, feature = "pg_test"))]
mod core_rows_am;
#[cfg(any(test, feature = "pg_test"))]
mod core_table_am;
#[cfg(any(test, feature = "pg_test"))]
mod core_xact;

/// Called by the test framework before the server starts.
#[cfg(test)]
pub mod pg_test {
    /// Nothing is needed.
    pub fn setup(_options: Vec<&str>) {}

    /// Settings of the test server.
    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec![]
    }
}
