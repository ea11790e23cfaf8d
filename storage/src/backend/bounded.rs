//! Time limits, and attempts until the deadline.

use std::{
    future::Future,
    hash::{BuildHasher, RandomState},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Backend, BackendError, ErrorKind, Listing, ONE_REQUEST_BYTES, Piece, PutSource, Result,
    answers::Answers,
};
use crate::protocol::{ObjectMeta, ObjectPath, ObjectVersion, PutCondition};

/// How long an attempt may take, and how soon the next one begins.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For an attempt that moves no bytes to speak of.
    pub attempt: Duration,
    /// Bytes a second that a store has to move at least; an attempt has time for its bytes at this speed besides.
    pub slowest: u64,
    /// Wait before the second attempt, half of it by chance; doubled before each further one.
    pub backoff: Duration,
    pub longest_backoff: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(10),
            slowest: 512 * 1024,
            backoff: Duration::from_millis(100),
            longest_backoff: Duration::from_secs(3),
        }
    }
}

/// A store with limits. What may pass is tried again until the deadline; an error then tells the last cause.
#[derive(Debug)]
pub struct Bounded {
    inner: Arc<dyn Backend>,
    limits: Limits,
    chance: RandomState,
}

/// An operation as errors name it.
struct Operation<'a> {
    name: &'static str,
    path: &'a (dyn std::fmt::Display + Sync),
    /// Bytes that an attempt moves; none when an attempt may take until the deadline.
    bytes: Option<u64>,
    deadline: Instant,
}

impl Bounded {
    pub fn new(inner: Arc<dyn Backend>, limits: Limits) -> Self {
        Self {
            inner,
            limits,
            chance: RandomState::new(),
        }
    }

    async fn attempt<T, F: Future<Output = Result<T>>>(
        &self,
        operation: Operation<'_>,
        call: impl Fn(Instant) -> F,
    ) -> Result<T> {
        let mut backoff = self.limits.backoff;
        let mut attempts = 0;
        let mut cause: Option<BackendError> = None;
        loop {
            attempts += 1;
            let begun = Instant::now();
            let limit = match operation.bytes {
                Some(bytes) => self.limits.attempt + transfer_time(bytes, self.limits.slowest),
                None => Duration::MAX,
            };
            let until = begun
                .checked_add(limit)
                .map_or(operation.deadline, |until| until.min(operation.deadline));
            let answers = Answers::default();
            let mut error = match timeout_at(until, answers.of(call(until))).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => error,
                Err(_) => {
                    // A cause that was told says more than that time is up.
                    if let Some(mut cause) = cause.take_if(|_| until == operation.deadline) {
                        cause.attempts = attempts;
                        return Err(cause);
                    }
                    no_answer(&operation, begun, &answers)
                }
            };
            error.attempts = attempts;
            if !error.is_transient() {
                return Err(error);
            }
            let wait = self.jittered(backoff, attempts);
            if Instant::now() + wait >= operation.deadline {
                return Err(error);
            }
            tracing::debug!(%error, attempts, "trying again");
            cause = Some(error);
            sleep(wait).await;
            backoff = (backoff * 2).min(self.limits.longest_backoff);
        }
    }

    /// Between half of the wait and all of it, so that many who failed at once do not come back at once.
    fn jittered(&self, backoff: Duration, attempt: u32) -> Duration {
        let instant = Instant::now().into_std();
        let chance = self.chance.hash_one((instant, attempt)) % 1024;
        backoff / 2 + backoff * chance as u32 / 2048
    }
}

fn transfer_time(bytes: u64, bytes_a_second: u64) -> Duration {
    Duration::from_secs(bytes.div_ceil(bytes_a_second.max(1)))
}

fn no_answer(operation: &Operation<'_>, begun: Instant, answers: &Answers) -> BackendError {
    let mut source = format!("no answer from the store within {:.1?}", begun.elapsed());
    // Requests of large uploads are repeated below this.
    if let Some(last) = answers.last()
        && let Some(status) = last.status
    {
        source.push_str(&format!("; its last one had status {status}"));
        if let Some(code) = last.code {
            source.push_str(&format!(" ({code})"));
        }
    }
    BackendError::new(ErrorKind::TimedOut, operation.name, operation.path, source)
}

#[async_trait]
impl Backend for Bounded {
    async fn head(&self, path: &ObjectPath, deadline: Instant) -> Result<ObjectMeta> {
        let operation = Operation {
            name: "look up",
            path,
            bytes: Some(0),
            deadline,
        };
        self.attempt(operation, |until| self.inner.head(path, until))
            .await
    }

    async fn get(
        &self,
        path: &ObjectPath,
        version: Option<&ObjectVersion>,
        range: Range<u64>,
        deadline: Instant,
    ) -> Result<Piece> {
        let operation = Operation {
            name: "read",
            path,
            bytes: Some(range.end.saturating_sub(range.start)),
            deadline,
        };
        let get = |until| self.inner.get(path, version, range.clone(), until);
        self.attempt(operation, get).await
    }

    async fn get_suffix(&self, path: &ObjectPath, length: u64, deadline: Instant) -> Result<Piece> {
        let operation = Operation {
            name: "read",
            path,
            bytes: Some(length),
            deadline,
        };
        let get = |until| self.inner.get_suffix(path, length, until);
        self.attempt(operation, get).await
    }

    async fn put(
        &self,
        path: &ObjectPath,
        source: &PutSource,
        condition: &PutCondition,
        deadline: Instant,
    ) -> Result<ObjectMeta> {
        let operation = Operation {
            name: "write",
            path,
            bytes: (source.length <= ONE_REQUEST_BYTES).then_some(source.length),
            deadline,
        };
        let put = |until| self.inner.put(path, source, condition, until);
        self.attempt(operation, put).await
    }

    async fn delete(&self, paths: &[ObjectPath], deadline: Instant) -> Result<()> {
        let Some(first) = paths.first() else {
            return Ok(());
        };
        let operation = Operation {
            name: "delete",
            path: first,
            // Some stores delete one by one.
            bytes: Some(paths.len() as u64 * 64 * 1024),
            deadline,
        };
        self.attempt(operation, |until| self.inner.delete(paths, until))
            .await
    }

    async fn list(
        &self,
        prefix: Option<&ObjectPath>,
        token: Option<&str>,
        limit: usize,
        deadline: Instant,
    ) -> Result<Listing> {
        let operation = Operation {
            name: "list",
            path: &prefix.map_or("", ObjectPath::as_str),
            bytes: Some(0),
            deadline,
        };
        let list = |until| self.inner.list(prefix, token, limit, until);
        self.attempt(operation, list).await
    }
}
