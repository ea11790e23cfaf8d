//! The one place where errors become SQLSTATE, message, detail and hint.

mod causes;
mod library;
mod store;

pub use causes::with_causes;
pub use library::{arrow_error, to_pg_error};
pub use store::StoreError;
