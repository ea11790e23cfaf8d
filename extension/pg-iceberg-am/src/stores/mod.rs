//! Object stores as a backend uses them, by way of the storage service: what a tablespace's store is, how the service is
//! asked for its objects, and whose they are.
//!
//! Which files a table has there is the business of room `files`.

mod claim;
mod client;
mod contents;
mod forget;
mod identity;
mod object_name;
mod ownership;
mod presence;
mod probe;
mod status;
mod store;
mod untold;

pub use claim::{Quiet, claimed_tablespaces, quiet};
pub use client::{ask, delete, list, list_pages, tell};
pub use contents::in_memory;
pub use forget::forget;
pub use identity::adopt_identities;
pub use object_name::{StorageDirectory, directory_of, identity_of, under};
pub use ownership::{
    claimed_identity, deletable_identities, identities_claimed, known_identities, look_for_doubles,
    look_interval, take_over,
};
pub use probe::probe;
pub use status::{Told, status};
pub use store::Store;
