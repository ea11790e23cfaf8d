//! Time limits for everything, and bounded retries for what may be repeated.

use std::{future::Future, ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::{sleep, timeout};

use super::{
    Backend, Listing, Result, Upload,
    error::{BackendError, ErrorKind},
};
use crate::protocol::{ObjectMeta, ObjectPath, ObjectVersion};

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest duration of one attempt.
    pub attempt: Duration,
    /// Attempts in all; at least one is made.
    pub attempts: u32,
    /// Wait before the second attempt; doubled before each further one.
    pub backoff: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(30),
            attempts: 3,
            backoff: Duration::from_millis(200),
        }
    }
}

/// A store with limits. Transient errors of idempotent operations are retried; permanent ones and
/// those of uploads are not.
#[derive(Debug)]
pub struct Bounded {
    inner: Arc<dyn Backend>,
    limits: Limits,
}

impl Bounded {
    pub fn new(inner: Arc<dyn Backend>, limits: Limits) -> Self {
        Self { inner, limits }
    }

    async fn attempt<T, F: Future<Output = Result<T>>>(
        &self,
        operation: &'static str,
        path: Option<&ObjectPath>,
        call: impl Fn() -> F,
    ) -> Result<T> {
        let mut backoff = self.limits.backoff;
        let mut attempt = 1;
        loop {
            let result = limited(self.limits.attempt, operation, path, call()).await;
            match result {
                Err(error) if error.is_transient() && attempt < self.limits.attempts => {
                    tracing::debug!(%error, attempt, "trying again");
                }
                result => return result,
            }
            sleep(backoff).await;
            backoff *= 2;
            attempt += 1;
        }
    }
}

async fn limited<T>(
    limit: Duration,
    operation: &'static str,
    path: Option<&ObjectPath>,
    call: impl Future<Output = Result<T>>,
) -> Result<T> {
    timeout(limit, call).await.unwrap_or_else(|_| {
        Err(BackendError {
            kind: ErrorKind::TimedOut,
            operation,
            path: path.map(ToString::to_string).unwrap_or_default(),
            source: format!("no answer from the store within {limit:?}").into(),
        })
    })
}

#[async_trait]
impl Backend for Bounded {
    async fn head(&self, path: &ObjectPath) -> Result<ObjectMeta> {
        self.attempt("look up", Some(path), || self.inner.head(path))
            .await
    }

    async fn get(
        &self,
        path: &ObjectPath,
        version: &ObjectVersion,
        range: Range<u64>,
    ) -> Result<Bytes> {
        let get = || self.inner.get(path, version, range.clone());
        self.attempt("read", Some(path), get).await
    }

    async fn begin_put(&self, path: &ObjectPath) -> Result<Box<dyn Upload>> {
        let begun = self.inner.begin_put(path);
        Ok(Box::new(BoundedUpload {
            inner: limited(self.limits.attempt, "write", Some(path), begun).await?,
            path: path.clone(),
            limit: self.limits.attempt,
        }))
    }

    async fn delete(&self, path: &ObjectPath) -> Result<()> {
        self.attempt("delete", Some(path), || self.inner.delete(path))
            .await
    }

    async fn list(
        &self,
        prefix: Option<&ObjectPath>,
        after: Option<&ObjectPath>,
        limit: usize,
    ) -> Result<Listing> {
        self.attempt("list", prefix, || self.inner.list(prefix, after, limit))
            .await
    }
}

struct BoundedUpload {
    inner: Box<dyn Upload>,
    path: ObjectPath,
    limit: Duration,
}

#[async_trait]
impl Upload for BoundedUpload {
    async fn write(&mut self, data: Bytes) -> Result<()> {
        let path = Some(&self.path);
        limited(self.limit, "write", path, self.inner.write(data)).await
    }

    async fn finish(self: Box<Self>) -> Result<ObjectMeta> {
        limited(self.limit, "write", Some(&self.path), self.inner.finish()).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        let aborted = self.inner.abort();
        limited(self.limit, "remove parts of", Some(&self.path), aborted).await
    }
}
