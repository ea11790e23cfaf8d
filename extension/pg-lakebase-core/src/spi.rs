//! Queries of the extension's own (SPI).

use pgrx::pg_sys;
use pgrx::spi::{Spi, SpiClient, SpiError};

use crate::error::{PgError, PgResult};

/// Runs queries that find operators, functions and types in `pg_catalog` alone (`RestrictSearchPath`). Otherwise whoever
/// sets the search path, as the owner of a database may for everybody in it, could have operators of his own run with
/// the caller's rights.
///
/// # Errors
/// What SPI says; an error that a query raises goes past the caller.
pub fn connect<T>(work: impl FnOnce(&SpiClient<'_>) -> Result<T, SpiError>) -> PgResult<T> {
    // SAFETY: the settings made on this level are undone below, or by the end of the (sub)transaction after an error.
    let level = unsafe {
        let level = pg_sys::NewGUCNestLevel();
        pg_sys::RestrictSearchPath();
        level
    };
    let result = Spi::connect(work);
    // SAFETY: as above.
    unsafe { pg_sys::AtEOXact_GUC(false, level) };
    result.map_err(|error| PgError::internal(error.to_string()))
}
