//! A store whose credentials come from the credentials file: it is made anew when that was read again.

use std::{
    fmt::Debug,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Backend, Listing, Piece, PutSource, Result};
use crate::{
    credentials::CredentialsFile,
    protocol::{ObjectMeta, ObjectPath, ObjectVersion, PutCondition},
};

/// Makes the store with the credentials that the file has now.
type Make = Box<dyn Fn() -> Result<Arc<dyn Backend>> + Send + Sync>;

/// Operations under way keep the store that they began with.
pub(super) struct Renewed {
    file: Arc<CredentialsFile>,
    make: Make,
    current: Mutex<(u64, Arc<dyn Backend>)>,
}

impl Debug for Renewed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renewed")
            .field("current", &self.current)
            .finish_non_exhaustive()
    }
}

impl Renewed {
    pub(super) fn new(
        file: Arc<CredentialsFile>,
        make: impl Fn() -> Result<Arc<dyn Backend>> + Send + Sync + 'static,
    ) -> Result<Self> {
        // Asked first: read again meanwhile, the store is made once too often.
        let generation = file.generation();
        let store = make()?;
        Ok(Self {
            file,
            make: Box::new(make),
            current: Mutex::new((generation, store)),
        })
    }

    fn current(&self) -> Result<Arc<dyn Backend>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.file.generation();
        if current.0 != generation {
            *current = (generation, (self.make)()?);
        }
        Ok(Arc::clone(&current.1))
    }
}

#[async_trait]
impl Backend for Renewed {
    async fn head(&self, path: &ObjectPath, deadline: Instant) -> Result<ObjectMeta> {
        self.current()?.head(path, deadline).await
    }

    async fn get(
        &self,
        path: &ObjectPath,
        version: Option<&ObjectVersion>,
        range: Range<u64>,
        deadline: Instant,
    ) -> Result<Piece> {
        self.current()?.get(path, version, range, deadline).await
    }

    async fn get_suffix(&self, path: &ObjectPath, length: u64, deadline: Instant) -> Result<Piece> {
        self.current()?.get_suffix(path, length, deadline).await
    }

    async fn put(
        &self,
        path: &ObjectPath,
        source: &PutSource,
        condition: &PutCondition,
        deadline: Instant,
    ) -> Result<ObjectMeta> {
        self.current()?.put(path, source, condition, deadline).await
    }

    async fn delete(&self, paths: &[ObjectPath], deadline: Instant) -> Result<()> {
        self.current()?.delete(paths, deadline).await
    }

    async fn list(
        &self,
        prefix: Option<&ObjectPath>,
        token: Option<&str>,
        limit: usize,
        deadline: Instant,
    ) -> Result<Listing> {
        self.current()?.list(prefix, token, limit, deadline).await
    }
}
