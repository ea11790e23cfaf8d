//! What the service needs of a store, and all it needs.

use std::{fmt::Debug, fs::File, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use super::Result;
use crate::protocol::{Listed, ObjectMeta, ObjectPath, ObjectVersion, PutCondition};

/// An object store. Nothing is done or waited for after `deadline`. Dropping an operation ends it.
#[async_trait]
pub trait Backend: Debug + Send + Sync {
    /// Size and entity tag of an object.
    async fn head(&self, path: &ObjectPath, deadline: Instant) -> Result<ObjectMeta>;

    /// Bytes of an object: with `version`, those of the range, which that version contains; without, as many of them as
    /// the object has.
    ///
    /// # Errors
    /// [`super::ErrorKind::Changed`] when the object is not `version`.
    async fn get(
        &self,
        path: &ObjectPath,
        version: Option<&ObjectVersion>,
        range: Range<u64>,
        deadline: Instant,
    ) -> Result<Piece>;

    /// The last `length` bytes of an object, or all that it has.
    async fn get_suffix(&self, path: &ObjectPath, length: u64, deadline: Instant) -> Result<Piece>;

    /// Writes an object. It appears whole or not at all.
    ///
    /// An object that is there with the same length and checksum counts as written: so a put may be repeated whose
    /// answer did not come. Who claims a name by [`PutCondition::Absent`] writes something of its own into the object.
    ///
    /// # Errors
    /// [`super::ErrorKind::Exists`] and [`super::ErrorKind::Changed`] when the condition does not hold,
    /// [`super::ErrorKind::Damaged`] when the source has not the length and checksum that it is said to have.
    async fn put(
        &self,
        path: &ObjectPath,
        source: &PutSource,
        condition: &PutCondition,
        deadline: Instant,
    ) -> Result<ObjectMeta>;

    /// Deletes objects; that there is none is no error. After an error some of them may be gone.
    async fn delete(&self, paths: &[ObjectPath], deadline: Instant) -> Result<()>;

    /// At most `limit` objects below the directory `prefix`, in byte order of their paths: the first ones, or those
    /// that follow the page that gave `token`. One request to the store.
    async fn list(
        &self,
        prefix: Option<&ObjectPath>,
        token: Option<&str>,
        limit: usize,
        deadline: Instant,
    ) -> Result<Listing>;
}

/// Bytes of an object, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub meta: ObjectMeta,
    /// Where in the object the bytes begin.
    pub offset: u64,
    pub data: Bytes,
}

/// What is to be written.
#[derive(Debug, Clone)]
pub struct PutSource {
    pub body: PutBody,
    /// Bytes in all.
    pub length: u64,
    /// XXH3 (64 bits, seed 0) of all bytes.
    pub checksum: u64,
}

/// Where the bytes are.
#[derive(Debug, Clone)]
pub enum PutBody {
    Bytes(Bytes),
    /// Read from its start on, by position.
    File(Arc<File>),
}

impl PutSource {
    pub fn bytes(data: impl Into<Bytes>) -> Self {
        let data = data.into();
        Self {
            length: data.len() as u64,
            checksum: xxhash_rust::xxh3::xxh3_64(&data),
            body: PutBody::Bytes(data),
        }
    }
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    pub objects: Vec<Listed>,
    /// Names the page after this one, if there is one.
    pub next: Option<String>,
}
