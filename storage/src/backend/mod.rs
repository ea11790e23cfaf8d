//! Object stores behind one small trait.
//!
//! [`Backend`] is what the service needs of a store; [`ObjectStoreBackend`] gives it over the `object_store` crate,
//! [`Bounded`] adds time limits and retries, [`StoreOpener`] makes both from a store's specification. Nothing here caches.

mod answers;
mod bounded;
#[cfg(feature = "cloud")]
mod cloud;
mod contract;
mod counted;
mod error;
mod failure_kind;
mod object_store_backend;
#[cfg(feature = "cloud")]
mod observed_http;
mod open;
mod put;
mod renewed;
mod uploads;

pub use bounded::{Bounded, Limits};
pub use contract::{Backend, Listing, Piece, PutBody, PutSource};
pub use counted::{Counted, OperationCounters};
pub(crate) use error::one_line;
pub use error::{BackendError, ErrorKind, Result};
pub use object_store_backend::{ListOrder, ObjectStoreBackend};
pub use open::{BackendOpener, StoreOpener, TestStores};
pub use put::ONE_REQUEST_BYTES;
pub use uploads::Uploads;
