//! The service: stores, cache, and the operations that need little of them.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    flights::Flights,
    stores::{OpenStore, Stores},
};
use crate::{
    backend::{BackendOpener, PutCondition, PutSource},
    cache::{CacheError, DiskCache},
    protocol::{
        Failure, FailureCode, MAX_LIST_PAGE, ObjectMeta, ObjectPath, ObjectRef, ObjectVersion,
        Response, StoreId, StoreSpec,
    },
};

type Result<T> = std::result::Result<T, Failure>;

/// Longest time for a request: clients wait for a minute.
const REQUEST_LIMIT: Duration = Duration::from_secs(50);

/// When a request that begins now has to end.
pub(super) fn deadline() -> Instant {
    Instant::now() + REQUEST_LIMIT
}

/// Answers requests. Shared by all connections.
#[derive(Debug)]
pub struct StorageService {
    opener: Arc<dyn BackendOpener>,
    pub(super) cache: DiskCache,
    stores: Stores,
    pub(super) flights: Flights,
    /// Stores are opened and closed one at a time.
    registration: tokio::sync::Mutex<()>,
}

impl StorageService {
    pub fn new(opener: Arc<dyn BackendOpener>, cache: DiskCache) -> Self {
        Self {
            opener,
            cache,
            stores: Stores::default(),
            flights: Flights::default(),
            registration: tokio::sync::Mutex::default(),
        }
    }

    /// Makes a store known.
    ///
    /// # Errors
    /// [`FailureCode::StoreConflict`], [`FailureCode::InvalidStore`].
    pub async fn open_store(&self, spec: StoreSpec) -> Result<()> {
        let _registration = self.registration.lock().await;
        if let Some(open) = self.stores.find(&spec.id) {
            if open.spec == spec {
                return Ok(());
            }
            if open.spec.identity() != spec.identity() {
                let message = format!(
                    "the name stands for {} already, not for {}; close it first",
                    open.spec.identity(),
                    spec.identity()
                );
                return Err(Failure::permanent(
                    FailureCode::StoreConflict,
                    &spec.id,
                    message,
                ));
            }
        }
        let backend = self
            .opener
            .open(&spec)
            .map_err(|error| error.into_failure(&spec.id))?;
        let (id, identity) = (spec.id.clone(), spec.identity());
        let binding = self
            .blocking(&spec.id, move |cache| cache.bind_store(&id, &identity))
            .await?;
        self.stores.insert(OpenStore {
            spec,
            binding,
            backend,
        });
        Ok(())
    }

    /// Forgets a store and what is cached of it.
    ///
    /// # Errors
    /// [`FailureCode::Internal`] when the cache cannot be written.
    pub async fn close_store(&self, id: &StoreId) -> Result<()> {
        let _registration = self.registration.lock().await;
        self.stores.remove(id);
        let store = id.clone();
        self.blocking(id, move |cache| cache.unbind_store(&store))
            .await
    }

    /// Asks the store for an object, and remembers the answer.
    ///
    /// # Errors
    /// [`FailureCode::NotFound`] and whatever the store says.
    pub async fn head(&self, object: &ObjectRef) -> Result<ObjectMeta> {
        let store = self.store(&object.store)?;
        self.head_in(&store, &object.path).await
    }

    pub(super) async fn head_in(&self, store: &OpenStore, path: &ObjectPath) -> Result<ObjectMeta> {
        let meta = store
            .backend
            .head(path, deadline())
            .await
            .map_err(|error| error.into_failure(&store.spec.id))?;
        self.cache.remember(&store.binding, path, &meta.version);
        Ok(meta)
    }

    /// The version of an object to read. A reader that knows the size takes an object of that size
    /// to be the same as before; any other asks the store.
    pub(super) async fn version(
        &self,
        store: &OpenStore,
        path: &ObjectPath,
        expected_size: Option<u64>,
    ) -> Result<ObjectVersion> {
        if let Some(known) = self.cache.version(&store.binding, path)
            && expected_size == Some(known.size)
        {
            return Ok(known);
        }
        let found = self.head_in(store, path).await?.version;
        match expected_size {
            Some(expected) if expected != found.size => Err(Failure::permanent(
                FailureCode::Changed,
                format!("{}:{path}", store.spec.id),
                format!(
                    "the object has {} bytes where {expected} are expected",
                    found.size
                ),
            )),
            _ => Ok(found),
        }
    }

    /// Writes an object.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn put(&self, object: &ObjectRef, source: &PutSource) -> Result<ObjectMeta> {
        let store = self.store(&object.store)?;
        let put = store
            .backend
            .put(&object.path, source, &PutCondition::Any, deadline());
        let written = put.await;
        // Also when it failed: the object may have been replaced.
        self.wrote(object).await?;
        written.map_err(|error| error.into_failure(&store.spec.id))
    }

    /// Forgets what is cached of an object that was written or deleted.
    ///
    /// # Errors
    /// [`FailureCode::Internal`] when the cache cannot be written.
    async fn wrote(&self, object: &ObjectRef) -> Result<()> {
        let Some(store) = self.stores.find(&object.store) else {
            return Ok(());
        };
        let path = object.path.clone();
        self.blocking(object, move |cache| cache.forget(&store.binding, &path))
            .await
    }

    /// Deletes an object; that there is none is no error.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn delete(&self, object: &ObjectRef) -> Result<()> {
        let store = self.store(&object.store)?;
        let deleted = store
            .backend
            .delete(std::slice::from_ref(&object.path), deadline())
            .await;
        // Also when it failed: it may have been carried out.
        self.wrote(object).await?;
        deleted.map_err(|error| error.into_failure(&store.spec.id))
    }

    /// A page of objects.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn list(
        &self,
        id: &StoreId,
        prefix: Option<&ObjectPath>,
        token: Option<&str>,
        limit: u32,
    ) -> Result<Response> {
        let store = self.store(id)?;
        let limit = limit.clamp(1, MAX_LIST_PAGE) as usize;
        let page = store.backend.list(prefix, token, limit, deadline()).await;
        let page = page.map_err(|error| error.into_failure(id))?;
        Ok(Response::Page {
            objects: page.objects,
            next: page.next,
        })
    }

    /// Writes down what makes the next start better.
    pub async fn stop(&self) {
        if let Err(failure) = self.blocking("cache", |cache| cache.flush()).await {
            tracing::warn!(%failure, "last uses were not written");
        }
    }

    pub(super) fn store(&self, id: &StoreId) -> Result<Arc<OpenStore>> {
        self.stores.get(id)
    }

    /// Runs work of the cache where blocking is allowed. It runs to its end even when the request
    /// is cancelled.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        object: impl ToString,
        work: impl FnOnce(&DiskCache) -> std::result::Result<T, CacheError> + Send + 'static,
    ) -> Result<T> {
        let cache = self.cache.clone();
        match tokio::task::spawn_blocking(move || work(&cache)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(cache_failure(object, &error)),
            Err(error) => Err(Failure::permanent(
                FailureCode::Internal,
                object,
                format!("the cache failed: {error}"),
            )),
        }
    }
}

pub(super) fn cache_failure(object: impl ToString, error: &CacheError) -> Failure {
    let message = crate::backend::one_line(error);
    if matches!(error, CacheError::Full { reserved: 0, .. }) {
        Failure::permanent(FailureCode::CacheFull, object, message)
    } else if error.is_full() {
        Failure::transient(FailureCode::CacheFull, object, message)
    } else {
        Failure::transient(FailureCode::Internal, object, message)
    }
}
