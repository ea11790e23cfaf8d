//! Object stores as a backend uses them, by way of the storage service.

mod client;
mod forget;
mod presence;
mod probe;
mod status;

pub use forget::forget;
pub use probe::probe;
pub use status::{Told, status};
