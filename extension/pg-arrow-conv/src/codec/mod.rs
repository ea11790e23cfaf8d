//! PostgreSQL's binary formats as pure functions: no datum, no Arrow array, no server.

pub(crate) mod array;
pub(crate) mod datetime;
pub(crate) mod numeric;
#[cfg(test)]
mod numeric_tests;
pub(crate) mod tsquery;
