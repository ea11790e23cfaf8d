//! The one place where errors become SQLSTATE, message, detail and hint.

mod library;
mod store;

pub use library::{arrow_error, to_pg_error};
pub use store::StoreError;
