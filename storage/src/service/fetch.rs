//! Whole objects in the cache.

use std::{fs::File, ops::Range, sync::Arc};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    storage_service::{StorageService, cache_failure, deadline},
    stores::OpenStore,
};
use crate::{
    cache::{EntryKey, Part, StagedFile},
    protocol::{Failure, ObjectMeta, ObjectRef, ObjectVersion},
};

/// Bytes of one request to the store, and how many run at once.
const PIECE_BYTES: u64 = 8 * 1024 * 1024;
const CONCURRENT_PIECES: usize = 4;

impl StorageService {
    /// The whole object as a file of the cache, open for reading.
    ///
    /// # Errors
    /// [`crate::protocol::FailureCode::CacheFull`] when it does not fit, and what
    /// [`StorageService::get_range`] has.
    pub async fn fetch(
        &self,
        object: &ObjectRef,
        expected_size: Option<u64>,
    ) -> Result<(File, ObjectMeta), Failure> {
        let store = self.store(&object.store)?;
        let version = self.version(&store, &object.path, expected_size).await?;
        let meta = ObjectMeta {
            path: object.path.clone(),
            version: version.clone(),
        };
        let key = EntryKey {
            binding: store.binding.clone(),
            path: object.path.clone(),
            version: version.clone(),
            part: Part::Whole,
        };
        if let Some(file) = self.open_cached(&key).await? {
            return Ok((file, meta));
        }
        let _flight = self.flights.join(&key).await;
        if let Some(file) = self.open_cached(&key).await? {
            return Ok((file, meta));
        }
        let size = version.size;
        let staged = self
            .blocking(object, move |cache| cache.stage(size))
            .await?;
        let staged = Arc::new(staged);
        let pieces = (0..size.div_ceil(PIECE_BYTES)).map(|piece| {
            let start = piece * PIECE_BYTES;
            let range = start..size.min(start + PIECE_BYTES);
            self.fetch_piece(&store, object, &version, range, Arc::clone(&staged))
        });
        stream::iter(pieces)
            .buffer_unordered(CONCURRENT_PIECES)
            .try_collect::<()>()
            .await?;
        let Some(staged) = Arc::into_inner(staged) else {
            // Every piece has ended and dropped its share.
            let message = "the file is still being written";
            let code = crate::protocol::FailureCode::Internal;
            return Err(Failure::permanent(code, object, message));
        };
        let file = self
            .blocking(object, move |cache| cache.commit(staged, key))
            .await?;
        Ok((file, meta))
    }

    async fn open_cached(&self, key: &EntryKey) -> Result<Option<File>, Failure> {
        let key = key.clone();
        self.blocking("cache", move |cache| Ok(cache.lookup(&key)))
            .await
    }

    async fn fetch_piece(
        &self,
        store: &OpenStore,
        object: &ObjectRef,
        version: &ObjectVersion,
        range: Range<u64>,
        staged: Arc<StagedFile>,
    ) -> Result<(), Failure> {
        let offset = range.start;
        let get = store
            .backend
            .get(&object.path, Some(version), range, deadline());
        let piece = get.await;
        let data = piece
            .map_err(|error| self.read_failed(store, &object.path, error))?
            .data;
        let write = tokio::task::spawn_blocking(move || staged.write_at(offset, &data));
        match write.await {
            Ok(written) => written.map_err(|error| cache_failure(object, &error)),
            Err(error) => Err(Failure::transient(
                crate::protocol::FailureCode::Internal,
                object,
                format!("the cache failed: {error}"),
            )),
        }
    }
}
