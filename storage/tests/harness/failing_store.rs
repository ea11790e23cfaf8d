//! A store in memory that fails, hangs or changes on command.

use std::{
    collections::VecDeque,
    future::pending,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::memory::InMemory;
use pg_lakebase_storage::{
    backend::{
        Backend, BackendError, BackendOpener, Bounded, ErrorKind, Limits, ListOrder, Listing,
        ObjectStoreBackend, Result, Upload,
    },
    protocol::{ObjectMeta, ObjectPath, ObjectVersion, StoreSpec},
};

/// What the next operation does instead of its work.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    Error(ErrorKind),
    Hang,
}

#[derive(Debug)]
pub struct FailingStore {
    inner: Arc<ObjectStoreBackend>,
    faults: Mutex<VecDeque<Fault>>,
    /// Operations begun, the failing ones included.
    pub calls: AtomicUsize,
    /// Operations that hang at present.
    pub hanging: AtomicUsize,
    /// Uploads aborted.
    pub aborted: AtomicUsize,
}

impl FailingStore {
    pub fn new() -> Arc<Self> {
        let memory = Arc::new(InMemory::new());
        Arc::new(Self {
            inner: Arc::new(ObjectStoreBackend::new(memory, ListOrder::ByPath)),
            faults: Mutex::default(),
            calls: AtomicUsize::new(0),
            hanging: AtomicUsize::new(0),
            aborted: AtomicUsize::new(0),
        })
    }

    /// The next operations meet these, one each.
    pub fn inject(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap().extend(faults);
    }

    pub fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }

    async fn meet(&self, operation: &'static str, path: &ObjectPath) -> Result<()> {
        self.calls.fetch_add(1, SeqCst);
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            None => Ok(()),
            Some(Fault::Error(kind)) => {
                Err(BackendError::new(kind, operation, path, "injected fault"))
            }
            Some(Fault::Hang) => {
                let _hanging = Hanging::begin(&self.hanging);
                pending().await
            }
        }
    }
}

struct Hanging<'a>(&'a AtomicUsize);

impl<'a> Hanging<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, SeqCst);
        Self(count)
    }
}

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Opens one store for every specification, with limits short enough for tests.
#[derive(Debug)]
pub struct Opener(pub Arc<FailingStore>);

impl BackendOpener for Opener {
    fn open(&self, _: &StoreSpec) -> Result<Arc<dyn Backend>> {
        let limits = Limits {
            attempt: Duration::from_secs(5),
            attempts: 3,
            backoff: Duration::from_millis(1),
        };
        let store = Faulty(Arc::clone(&self.0));
        Ok(Arc::new(Bounded::new(Arc::new(store), limits)))
    }
}

#[derive(Debug)]
struct Faulty(Arc<FailingStore>);

#[async_trait]
impl Backend for Faulty {
    async fn head(&self, path: &ObjectPath) -> Result<ObjectMeta> {
        self.0.meet("look up", path).await?;
        self.0.inner.head(path).await
    }

    async fn get(
        &self,
        path: &ObjectPath,
        version: &ObjectVersion,
        range: Range<u64>,
    ) -> Result<Bytes> {
        self.0.meet("read", path).await?;
        self.0.inner.get(path, version, range).await
    }

    async fn begin_put(&self, path: &ObjectPath) -> Result<Box<dyn Upload>> {
        Ok(Box::new(FaultyUpload {
            store: Arc::clone(&self.0),
            path: path.clone(),
            inner: self.0.inner.begin_put(path).await?,
        }))
    }

    async fn delete(&self, path: &ObjectPath) -> Result<()> {
        self.0.meet("delete", path).await?;
        self.0.inner.delete(path).await
    }

    async fn list(
        &self,
        prefix: Option<&ObjectPath>,
        after: Option<&ObjectPath>,
        limit: usize,
    ) -> Result<Listing> {
        self.0.inner.list(prefix, after, limit).await
    }
}

struct FaultyUpload {
    store: Arc<FailingStore>,
    path: ObjectPath,
    inner: Box<dyn Upload>,
}

#[async_trait]
impl Upload for FaultyUpload {
    async fn write(&mut self, data: Bytes) -> Result<()> {
        self.store.meet("write", &self.path).await?;
        self.inner.write(data).await
    }

    async fn finish(self: Box<Self>) -> Result<ObjectMeta> {
        self.store.meet("write", &self.path).await?;
        self.inner.finish().await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.store.aborted.fetch_add(1, SeqCst);
        self.inner.abort().await
    }
}
