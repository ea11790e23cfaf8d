//! Errors as PostgreSQL knows them, and the ways in and out of `ereport`.
//!
//! A [`PgError`] carries SQLSTATE, message, detail and hint as values through ordinary `Result`s.
//! It becomes an `ereport(ERROR)` in one place only, the guard of the callback that PostgreSQL
//! called. [`catch`] is the way back, for code that must not raise.
//!
//! An error that PostgreSQL raised in the midst of a hook's call, say, and that passes our frames,
//! keeps all that it had: constraint name, cursor position, context and so on.

mod catch;
mod origin;
mod pg_error;
mod throw;

pub use catch::{catch, catch_and_warn};
pub use pg_error::{PgError, PgResult};

pub(crate) use catch::from_payload;
pub(crate) use origin::Origin;
pub(crate) use throw::throw;
