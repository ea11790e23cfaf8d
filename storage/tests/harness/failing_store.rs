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
use object_store::memory::InMemory;
use pg_lakebase_storage::{
    backend::{
        Backend, BackendError, BackendOpener, Bounded, ErrorKind, Limits, ListOrder, Listing,
        ObjectStoreBackend, Piece, PutSource, Result,
    },
    protocol::{ObjectMeta, ObjectPath, ObjectVersion, PutCondition, StoreSpec},
};
use tokio::{runtime::Builder, sync::Notify, time::Instant};

/// What the next operation does instead of its work.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    Error(ErrorKind),
    Hang,
    /// It waits for [`FailingStore::release`], and then does its work, or fails.
    Wait,
    WaitThenFail(ErrorKind),
    Panic,
}

#[derive(Debug)]
pub struct FailingStore {
    inner: Arc<ObjectStoreBackend>,
    faults: Mutex<VecDeque<Fault>>,
    /// Operations begun, the failing ones included.
    pub calls: AtomicUsize,
    /// Operations that hang or wait at present.
    pub hanging: AtomicUsize,
    /// Bytes of objects that were read.
    bytes: AtomicUsize,
    released: Notify,
}

impl FailingStore {
    pub fn new() -> Arc<Self> {
        let memory = Arc::new(InMemory::new());
        Arc::new(Self {
            inner: Arc::new(ObjectStoreBackend::new(memory, ListOrder::ByPath)),
            faults: Mutex::default(),
            calls: AtomicUsize::new(0),
            hanging: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            released: Notify::new(),
        })
    }

    /// The next operations meet these, one each.
    pub fn inject(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap().extend(faults);
    }

    /// No operation meets what is left of what was injected.
    pub fn forget_faults(&self) {
        self.faults.lock().unwrap().clear();
    }

    pub fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }

    pub fn bytes(&self) -> usize {
        self.bytes.load(SeqCst)
    }

    /// Lets one that waits go on.
    pub fn release(&self) {
        self.released.notify_one();
    }

    /// Writes an object behind the daemon's back; no operation is counted.
    pub fn write(&self, name: &str, data: &[u8]) {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let path = ObjectPath::new(name).unwrap();
            let source = PutSource::bytes(data.to_vec());
            let deadline = Instant::now() + Duration::from_secs(10);
            let put = self.inner.put(&path, &source, &PutCondition::Any, deadline);
            put.await.unwrap();
        });
    }

    #[expect(clippy::panic, reason = "a fault of the service's own")]
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
            Some(Fault::Wait) => {
                self.wait().await;
                Ok(())
            }
            Some(Fault::Panic) => panic!("injected panic"),
            Some(Fault::WaitThenFail(kind)) => {
                self.wait().await;
                Err(BackendError::new(kind, operation, path, "injected fault"))
            }
        }
    }
}

impl FailingStore {
    async fn wait(&self) {
        let _hanging = Hanging::begin(&self.hanging);
        self.released.notified().await;
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
            backoff: Duration::from_millis(1),
            longest_backoff: Duration::from_millis(10),
            ..Limits::default()
        };
        let store = Faulty(Arc::clone(&self.0));
        Ok(Arc::new(Bounded::new(Arc::new(store), limits)))
    }
}

#[derive(Debug)]
struct Faulty(Arc<FailingStore>);

#[async_trait]
impl Backend for Faulty {
    async fn head(&self, path: &ObjectPath, deadline: Instant) -> Result<ObjectMeta> {
        self.0.meet("look up", path).await?;
        self.0.inner.head(path, deadline).await
    }

    async fn get(
        &self,
        path: &ObjectPath,
        version: Option<&ObjectVersion>,
        range: Range<u64>,
        deadline: Instant,
    ) -> Result<Piece> {
        self.0.meet("read", path).await?;
        let piece = self.0.inner.get(path, version, range, deadline).await?;
        self.0.bytes.fetch_add(piece.data.len(), SeqCst);
        Ok(piece)
    }

    async fn get_suffix(&self, path: &ObjectPath, length: u64, deadline: Instant) -> Result<Piece> {
        self.0.meet("read", path).await?;
        self.0.inner.get_suffix(path, length, deadline).await
    }

    async fn put(
        &self,
        path: &ObjectPath,
        source: &PutSource,
        condition: &PutCondition,
        deadline: Instant,
    ) -> Result<ObjectMeta> {
        self.0.meet("write", path).await?;
        self.0.inner.put(path, source, condition, deadline).await
    }

    async fn delete(&self, paths: &[ObjectPath], deadline: Instant) -> Result<()> {
        self.0.meet("delete", &paths[0]).await?;
        self.0.inner.delete(paths, deadline).await
    }

    async fn list(
        &self,
        prefix: Option<&ObjectPath>,
        token: Option<&str>,
        limit: usize,
        deadline: Instant,
    ) -> Result<Listing> {
        self.0.inner.list(prefix, token, limit, deadline).await
    }
}
