//! Counts of what a store was asked, and how long it took.

use std::{
    future::Future,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Backend, Listing, Piece, PutSource, Result};
use crate::protocol::{
    ObjectMeta, ObjectPath, ObjectVersion, OperationCounts, PutCondition, StoreOperation,
};

/// Counts of one store, by operation. An operation that was given up is not counted.
#[derive(Debug, Default)]
pub struct OperationCounters([Counters; StoreOperation::ALL.len()]);

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    errors: AtomicU64,
    bytes: AtomicU64,
    microseconds: AtomicU64,
}

impl OperationCounters {
    /// In the order of [`StoreOperation::ALL`].
    pub fn counts(&self) -> [OperationCounts; StoreOperation::ALL.len()] {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        self.0.each_ref().map(|counters| OperationCounts {
            requests: load(&counters.requests),
            errors: load(&counters.errors),
            bytes: load(&counters.bytes),
            microseconds: load(&counters.microseconds),
        })
    }

    fn count(&self, operation: StoreOperation, begun: Instant, bytes: Option<u64>) {
        let Some(counters) = self.0.get(operation as usize) else {
            return;
        };
        let add = |count: &AtomicU64, number| count.fetch_add(number, Ordering::Relaxed);
        add(&counters.requests, 1);
        add(&counters.errors, u64::from(bytes.is_none()));
        add(&counters.bytes, bytes.unwrap_or(0));
        let microseconds = begun.elapsed().as_micros();
        add(
            &counters.microseconds,
            u64::try_from(microseconds).unwrap_or(u64::MAX),
        );
    }
}

/// A store whose operations are counted.
#[derive(Debug)]
pub struct Counted {
    inner: Arc<dyn Backend>,
    counters: Arc<OperationCounters>,
}

impl Counted {
    pub fn new(inner: Arc<dyn Backend>, counters: Arc<OperationCounters>) -> Self {
        Self { inner, counters }
    }

    async fn count<T>(
        &self,
        operation: StoreOperation,
        bytes: impl FnOnce(&T) -> u64,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let begun = Instant::now();
        let outcome = call.await;
        let bytes = outcome.as_ref().ok().map(bytes);
        self.counters.count(operation, begun, bytes);
        outcome
    }
}

#[async_trait]
impl Backend for Counted {
    async fn head(&self, path: &ObjectPath, deadline: Instant) -> Result<ObjectMeta> {
        let call = self.inner.head(path, deadline);
        self.count(StoreOperation::Head, |_| 0, call).await
    }

    async fn get(
        &self,
        path: &ObjectPath,
        version: Option<&ObjectVersion>,
        range: Range<u64>,
        deadline: Instant,
    ) -> Result<Piece> {
        let call = self.inner.get(path, version, range, deadline);
        self.count(StoreOperation::Get, bytes_of, call).await
    }

    async fn get_suffix(&self, path: &ObjectPath, length: u64, deadline: Instant) -> Result<Piece> {
        let call = self.inner.get_suffix(path, length, deadline);
        self.count(StoreOperation::Get, bytes_of, call).await
    }

    async fn put(
        &self,
        path: &ObjectPath,
        source: &PutSource,
        condition: &PutCondition,
        deadline: Instant,
    ) -> Result<ObjectMeta> {
        let call = self.inner.put(path, source, condition, deadline);
        self.count(StoreOperation::Put, |_| source.length, call)
            .await
    }

    async fn delete(&self, paths: &[ObjectPath], deadline: Instant) -> Result<()> {
        let call = self.inner.delete(paths, deadline);
        self.count(StoreOperation::Delete, |()| 0, call).await
    }

    async fn list(
        &self,
        prefix: Option<&ObjectPath>,
        token: Option<&str>,
        limit: usize,
        deadline: Instant,
    ) -> Result<Listing> {
        let call = self.inner.list(prefix, token, limit, deadline);
        self.count(StoreOperation::List, |_| 0, call).await
    }
}

fn bytes_of(piece: &Piece) -> u64 {
    piece.data.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_counted_where_their_order_says() {
        for (index, operation) in StoreOperation::ALL.into_iter().enumerate() {
            let counters = OperationCounters::default();
            counters.count(operation, Instant::now(), Some(7));
            counters.count(operation, Instant::now(), None);
            for (place, counts) in counters.counts().into_iter().enumerate() {
                let expected = if place == index { (2, 1, 7) } else { (0, 0, 0) };
                assert_eq!((counts.requests, counts.errors, counts.bytes), expected);
            }
        }
    }
}
