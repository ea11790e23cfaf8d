//! Object stores behind one small trait.
//!
//! [`Backend`] is what the service needs of a store and all it needs; [`ObjectStoreBackend`] gives
//! it over the `object_store` crate, [`Bounded`] adds limits and retries, [`StoreOpener`] makes both
//! from a store specification. Nothing here caches.

mod bounded;
#[cfg(feature = "cloud")]
mod cloud;
mod error;
mod object_store_backend;
mod open;
mod upload;

use std::{fmt::Debug, ops::Range};

use async_trait::async_trait;
use bytes::Bytes;

pub use bounded::{Bounded, Limits};
pub(crate) use error::one_line;
pub use error::{BackendError, ErrorKind};
pub use object_store_backend::{ListOrder, ObjectStoreBackend};
pub use open::{BackendOpener, StoreOpener, TestStores};

use crate::protocol::{ObjectMeta, ObjectPath, ObjectVersion};

pub type Result<T> = std::result::Result<T, BackendError>;

/// An object store.
#[async_trait]
pub trait Backend: Debug + Send + Sync {
    /// Size and entity tag of an object.
    async fn head(&self, path: &ObjectPath) -> Result<ObjectMeta>;

    /// Bytes of an object that is still the given version, which contains the range.
    async fn get(
        &self,
        path: &ObjectPath,
        version: &ObjectVersion,
        range: Range<u64>,
    ) -> Result<Bytes>;

    /// Begins to write an object.
    async fn begin_put(&self, path: &ObjectPath) -> Result<Box<dyn Upload>>;

    /// Deletes an object; that there is none is no error.
    async fn delete(&self, path: &ObjectPath) -> Result<()>;

    /// At most `limit` objects below the directory `prefix` with paths after `after`, in byte order.
    async fn list(
        &self,
        prefix: Option<&ObjectPath>,
        after: Option<&ObjectPath>,
        limit: usize,
    ) -> Result<Listing>;
}

/// An object being written. Dropped without [`Upload::finish`], nothing appears in the store, but
/// parts may be left; [`Upload::abort`] removes them.
#[async_trait]
pub trait Upload: Send {
    async fn write(&mut self, data: Bytes) -> Result<()>;

    /// Makes the object appear, whole.
    async fn finish(self: Box<Self>) -> Result<ObjectMeta>;

    async fn abort(self: Box<Self>) -> Result<()>;
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    pub objects: Vec<ObjectMeta>,
    /// Do objects follow after the last of these?
    pub more: bool,
}
