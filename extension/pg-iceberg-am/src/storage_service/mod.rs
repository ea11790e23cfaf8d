//! The storage service as this cluster has it: the program that reads and writes objects for everybody, and keeps a
//! cache of them on disk (crate pg-lakebase-storage).
//!
//! A background worker runs it as its child ([`daemon`]), as long as there is an object tablespace; or the
//! configuration names the socket of one that somebody else runs ([`settings`]). [`supervision`], in shared memory, knows
//! whether there is such a worker, starts it, and tells how the service is; `workers/storage_service.rs` is what the worker
//! does. Whoever wants objects speaks to the service by way of room `stores`.

mod backoff;
pub mod changes;
pub mod daemon;
pub mod place;
pub mod settings;
pub mod supervision;

pub use backoff::{Backoff, Life};

/// Registers the settings, asks for shared memory, and has the server look at its start whether the service is needed;
/// called once, from `_PG_init`.
pub fn register() {
    settings::register();
    supervision::register();
    changes::register();
}
