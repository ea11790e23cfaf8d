//! [`Backend`] over the `object_store` crate.

use std::{future::ready, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::{GetOptions, ObjectStore, ObjectStoreExt, path::Path};

use super::{
    Backend, Listing, Result, Upload,
    error::{BackendError, ErrorKind},
    upload::BufferedUpload,
};
use crate::protocol::{ObjectMeta, ObjectPath, ObjectVersion};

/// Entity tags longer than this are not used: the protocol bounds them.
const MAX_ETAG_BYTES: usize = 256;

/// In which order a store lists its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListOrder {
    /// By the bytes of their paths, as S3, GCS and Azure do.
    ByPath,
    /// Any: a page needs the whole listing.
    Unspecified,
}

/// A store of the `object_store` crate.
#[derive(Debug)]
pub struct ObjectStoreBackend {
    store: Arc<dyn ObjectStore>,
    order: ListOrder,
}

impl ObjectStoreBackend {
    pub fn new(store: Arc<dyn ObjectStore>, order: ListOrder) -> Self {
        Self { store, order }
    }
}

/// `ObjectPath` forbids what `Path` forbids; the store has the last word all the same.
pub(super) fn store_path(operation: &'static str, path: &ObjectPath) -> Result<Path> {
    Path::parse(path.as_str())
        .map_err(|error| BackendError::new(ErrorKind::Refused, operation, path, error))
}

pub(super) fn version(size: u64, etag: Option<String>) -> ObjectVersion {
    ObjectVersion {
        size,
        etag: etag.filter(|etag| etag.len() <= MAX_ETAG_BYTES),
    }
}

#[async_trait]
impl Backend for ObjectStoreBackend {
    async fn head(&self, path: &ObjectPath) -> Result<ObjectMeta> {
        let meta = self
            .store
            .head(&store_path("look up", path)?)
            .await
            .map_err(|error| BackendError::from_store("look up", path, error))?;
        Ok(ObjectMeta {
            path: path.clone(),
            version: version(meta.size, meta.e_tag),
        })
    }

    async fn get(
        &self,
        path: &ObjectPath,
        version: &ObjectVersion,
        range: Range<u64>,
    ) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let failed = |error| BackendError::from_store("read", path, error);
        let wanted = range.end - range.start;
        let options = GetOptions {
            range: Some(range.into()),
            if_match: version.etag.clone(),
            ..GetOptions::default()
        };
        let result = self
            .store
            .get_opts(&store_path("read", path)?, options)
            .await
            .map_err(failed)?;
        let size = result.meta.size;
        let data = result.bytes().await.map_err(failed)?;
        if size != version.size || data.len() as u64 != wanted {
            let cause = format!(
                "{} bytes of an object of {size} bytes came instead of {wanted} bytes of one of {}",
                data.len(),
                version.size
            );
            return Err(BackendError::new(ErrorKind::Changed, "read", path, cause));
        }
        Ok(data)
    }

    async fn begin_put(&self, path: &ObjectPath) -> Result<Box<dyn Upload>> {
        let location = store_path("write", path)?;
        Ok(Box::new(BufferedUpload::new(
            Arc::clone(&self.store),
            path.clone(),
            location,
        )))
    }

    async fn delete(&self, path: &ObjectPath) -> Result<()> {
        match self.store.delete(&store_path("delete", path)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(BackendError::from_store("delete", path, error)),
        }
    }

    async fn list(
        &self,
        prefix: Option<&ObjectPath>,
        after: Option<&ObjectPath>,
        limit: usize,
    ) -> Result<Listing> {
        let name = prefix.map_or("", ObjectPath::as_str);
        let failed = |error| BackendError::from_store("list", name, error);
        let prefix = prefix.map(|path| store_path("list", path)).transpose()?;
        let stream = match after {
            Some(after) => self
                .store
                .list_with_offset(prefix.as_ref(), &store_path("list", after)?),
            None => self.store.list(prefix.as_ref()),
        };
        // Names that this protocol cannot say were not written through it.
        let mut stream = stream.try_filter_map(|meta| {
            ready(Ok(ObjectPath::new(meta.location.as_ref())
                .inspect_err(|error| tracing::warn!(%error, "object left out of a listing"))
                .ok()
                .map(|path| ObjectMeta {
                    path,
                    version: version(meta.size, meta.e_tag),
                })))
        });
        let mut objects: Vec<ObjectMeta> = match self.order {
            ListOrder::ByPath => {
                let mut objects = Vec::new();
                while objects.len() <= limit
                    && let Some(meta) = stream.next().await
                {
                    objects.push(meta.map_err(failed)?);
                }
                objects
            }
            ListOrder::Unspecified => {
                let mut objects: Vec<_> = stream.try_collect().await.map_err(failed)?;
                objects.sort_by(|a: &ObjectMeta, b| a.path.cmp(&b.path));
                objects
            }
        };
        let more = objects.len() > limit;
        objects.truncate(limit);
        Ok(Listing { objects, more })
    }
}
