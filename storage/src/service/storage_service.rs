//! The service: stores, cache, and the operations that need little of them.

use std::{fs::File, os::unix::fs::FileExt, sync::Arc};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};

use super::{
    counters::StoreCounters,
    flights::Flights,
    stores::{OpenStore, Stores},
};
use crate::{
    backend::{BackendOpener, Counted, PutBody, PutSource},
    cache::{CacheError, DiskCache, StoreBinding},
    cache_file::GRANULE_BYTES,
    protocol::{
        Failure, FailureCode, MAX_LIST_PAGE, ObjectMeta, ObjectPath, ObjectRef, ObjectVersion,
        PutCondition, Response, StoreId, StoreSpec,
    },
};

type Result<T> = std::result::Result<T, Failure>;

/// Bytes of downloads that are in memory at once.
const MEMORY: u64 = 256 << 20;
/// Bytes that one permit of the memory stands for.
const PERMIT_BYTES: u64 = 16 << 10;
/// Objects of which something is fetched before anybody wants it.
const PREFETCHES: usize = 64;
/// Bytes that are written into the cache at once, of an object that was uploaded.
const KEPT_AT_ONCE: usize = 4 << 20;

/// Answers requests. Shared by all connections.
#[derive(Debug)]
pub struct StorageService {
    opener: Arc<dyn BackendOpener>,
    pub(super) cache: DiskCache,
    pub(super) stores: Stores,
    pub(super) flights: Arc<Flights>,
    memory: Semaphore,
    pub(super) prefetches: Arc<Semaphore>,
    pub(super) started: Instant,
    /// Stores are opened and closed one at a time.
    registration: tokio::sync::Mutex<()>,
}

impl StorageService {
    pub fn new(opener: Arc<dyn BackendOpener>, cache: DiskCache) -> Self {
        Self {
            opener,
            cache,
            stores: Stores::default(),
            flights: Arc::default(),
            memory: Semaphore::new((MEMORY / PERMIT_BYTES) as usize),
            prefetches: Arc::new(Semaphore::new(PREFETCHES)),
            started: Instant::now(),
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
            let (known, wanted) = (open.spec.identity(), spec.identity());
            let message = match known == wanted {
                true => {
                    "the id stands for the same store with other options; close it first".into()
                }
                false => {
                    format!("the id stands for {known} already, not for {wanted}; close it first")
                }
            };
            let code = FailureCode::StoreConflict;
            return Err(Failure::permanent(code, &spec.id, message));
        }
        let backend = self
            .opener
            .open(&spec)
            .map_err(|error| error.into_failure(&spec.id))?;
        let identity = spec.identity();
        let binding = self
            .blocking(&spec.id, move |cache| cache.bind_store(&identity))
            .await?;
        let counters = Arc::<StoreCounters>::default();
        let backend = Counted::new(backend, Arc::clone(&counters.operations));
        self.stores.insert(OpenStore {
            spec,
            binding,
            backend: Arc::new(backend),
            counters,
        });
        Ok(())
    }

    /// Forgets a store, and what is cached of it unless the same place is open by another id.
    ///
    /// # Errors
    /// [`FailureCode::Internal`] when the cache cannot be written.
    pub async fn close_store(&self, id: &StoreId) -> Result<()> {
        let _registration = self.registration.lock().await;
        let Some(closed) = self.stores.remove(id) else {
            return Ok(());
        };
        let is_shared = |store: &Arc<OpenStore>| store.binding == closed.binding;
        if self.stores.all().iter().any(is_shared) {
            return Ok(());
        }
        self.blocking(id, move |cache| {
            cache.unbind_store(&closed.spec.identity());
            Ok(())
        })
        .await
    }

    /// Asks the store for an object.
    ///
    /// # Errors
    /// [`FailureCode::NotFound`] and whatever the store says.
    pub async fn head(&self, object: &ObjectRef, deadline: Instant) -> Result<ObjectMeta> {
        let store = self.store(&object.store)?;
        let meta = store.backend.head(&object.path, deadline).await;
        meta.map_err(|error| store.failed(error))
    }

    /// Writes an object, and keeps it in the cache.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn put(
        &self,
        object: &ObjectRef,
        file: File,
        length: u64,
        checksum: u64,
        condition: &PutCondition,
        deadline: Instant,
    ) -> Result<ObjectMeta> {
        let store = self.store(&object.store)?;
        let file = Arc::new(file);
        let source = PutSource {
            body: PutBody::File(Arc::clone(&file)),
            length,
            checksum,
        };
        // It is another object from here on, whatever comes of it.
        self.cache.forget_path(store.binding, &object.path);
        let put = (store.backend).put(&object.path, &source, condition, deadline);
        let meta = match put.await {
            Ok(meta) => meta,
            Err(error) => return Err(store.failed(error)),
        };
        let (binding, path, version) = (store.binding, object.path.clone(), meta.version.clone());
        let kept = self.blocking(object, move |cache| {
            keep_written(cache, binding, &path, &version, &file)
        });
        match timeout_at(deadline, kept).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => {
                tracing::warn!(%failure, "an object that was written is not cached");
            }
            // It goes on; the client has to know that the object is there.
            Err(_) => tracing::debug!(%object, "an object that was written is not cached yet"),
        }
        Ok(meta)
    }

    /// Takes note that a cached object is still used.
    pub fn touch(&self, object: &ObjectRef) {
        if let Some(store) = self.stores.find(&object.store)
            && let Some(cached) = self.cache.find(store.binding, &object.path)
        {
            self.cache.touch(&cached);
        }
    }

    /// Deletes objects; that there is none is no error.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn delete(
        &self,
        store: &StoreId,
        paths: Vec<ObjectPath>,
        deadline: Instant,
    ) -> Result<()> {
        let store = self.store(store)?;
        let deleted = store.backend.delete(&paths, deadline).await;
        // Also when it failed: it may have been carried out.
        for path in &paths {
            self.cache.forget_path(store.binding, path);
        }
        deleted.map_err(|error| store.failed(error))
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
        deadline: Instant,
    ) -> Result<Response> {
        let store = self.store(id)?;
        let limit = limit.clamp(1, MAX_LIST_PAGE) as usize;
        let page = store.backend.list(prefix, token, limit, deadline).await;
        let page = page.map_err(|error| store.failed(error))?;
        Ok(Response::Page {
            objects: page.objects,
            next: page.next,
        })
    }

    /// Waits until so many bytes of a download may be in memory.
    pub(super) async fn room_for(
        &self,
        object: impl ToString,
        bytes: u64,
        deadline: Instant,
    ) -> Result<SemaphorePermit<'_>> {
        let permits = bytes.div_ceil(PERMIT_BYTES).min(MEMORY / PERMIT_BYTES);
        let acquire = self.memory.acquire_many(permits as u32);
        match timeout_at(deadline, acquire).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(internal(object, "the service is ending")),
            Err(_) => {
                let message = "other downloads have all the memory that there is for them";
                Err(Failure::transient(FailureCode::TimedOut, object, message))
            }
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
            Err(error) => Err(internal(object, format!("the cache failed: {error}"))),
        }
    }
}

/// What an object that was written has, in the cache.
fn keep_written(
    cache: &DiskCache,
    binding: StoreBinding,
    path: &ObjectPath,
    version: &ObjectVersion,
    file: &File,
) -> std::result::Result<(), CacheError> {
    let cached = cache.entry(binding, path, version.size)?;
    if !cached.note_etag(version.etag.as_deref()) {
        cache.forget(&cached);
        return Ok(());
    }
    let mut buffer = vec![0; KEPT_AT_ONCE.min(version.size as usize)];
    let mut offset = 0;
    while offset < version.size {
        let length = (buffer.len() as u64).min(version.size - offset);
        let data = &mut buffer[..length as usize];
        file.read_exact_at(data, offset)
            .map_err(|source| CacheError::File {
                operation: "read again what was written to",
                path: path.as_str().into(),
                source,
            })?;
        cache.write(&cached, offset / GRANULE_BYTES, data)?;
        offset += length;
    }
    Ok(())
}

/// Something that should not be.
pub(super) fn internal(object: impl ToString, message: impl Into<String>) -> Failure {
    Failure::transient(FailureCode::Internal, object, message)
}

fn cache_failure(object: impl ToString, error: &CacheError) -> Failure {
    let message = crate::backend::one_line(error);
    let code = match error.is_full() {
        true => FailureCode::CacheFull,
        false => FailureCode::Internal,
    };
    Failure::transient(code, object, message)
}
