//! Running PostgreSQL's own test drivers, `pg_regress` and `pg_isolation_regress`, over the
//! extension's test files, against a fresh cluster on the build with assertions.

mod heap_twin;
mod object_tables;
mod run;

pub use run::{Selection, Suite, Where, run};
