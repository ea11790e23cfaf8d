//! Ranges of objects, through blocks in the cache.

use std::{ops::Range, os::unix::fs::FileExt};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    storage_service::{StorageService, deadline},
    stores::OpenStore,
};
use crate::{
    cache::{EntryKey, Part},
    protocol::{ByteRange, Failure, FailureCode, ObjectPath, ObjectRef, ObjectVersion},
};

/// Blocks of one request that are downloaded at once.
const CONCURRENT_BLOCKS: usize = 4;

impl StorageService {
    /// Bytes of an object, all of the range.
    ///
    /// # Errors
    /// [`FailureCode::OutOfRange`], [`FailureCode::Changed`], and whatever the store says. A cache
    /// that fails or is full is no error: the bytes come from the store.
    pub async fn get_range(
        &self,
        object: &ObjectRef,
        expected_size: Option<u64>,
        range: ByteRange,
    ) -> Result<Vec<u8>, Failure> {
        let store = self.store(&object.store)?;
        let version = self.version(&store, &object.path, expected_size).await?;
        let end = range.end().filter(|end| *end <= version.size);
        let Some(end) = end else {
            return Err(Failure::permanent(
                FailureCode::OutOfRange,
                object,
                format!(
                    "{} bytes at offset {} are not within its {} bytes",
                    range.length, range.offset, version.size
                ),
            ));
        };
        if range.length == 0 {
            return Ok(Vec::new());
        }
        let whole = EntryKey {
            binding: store.binding.clone(),
            path: object.path.clone(),
            version: version.clone(),
            part: Part::Whole,
        };
        if let Some(data) = self.cached(whole, range.offset..end).await {
            return Ok(data);
        }
        let block_bytes = self.cache.block_bytes();
        let blocks = range.offset / block_bytes..=(end - 1) / block_bytes;
        let reads = blocks.map(|block| {
            let start = block * block_bytes;
            let wanted = range.offset.max(start)..end.min(start + block_bytes);
            self.read_block(&store, &object.path, &version, block, wanted)
        });
        // Ordered, so that the pieces follow one another.
        let pieces: Vec<Bytes> = stream::iter(reads)
            .buffered(CONCURRENT_BLOCKS)
            .try_collect()
            .await?;
        Ok(pieces.concat())
    }

    /// Bytes `wanted` of the object, which lie within one block.
    async fn read_block(
        &self,
        store: &OpenStore,
        path: &ObjectPath,
        version: &ObjectVersion,
        block: u64,
        wanted: Range<u64>,
    ) -> Result<Bytes, Failure> {
        let start = block * self.cache.block_bytes();
        let end = version.size.min(start + self.cache.block_bytes());
        let get = async |range: Range<u64>| {
            let data = store
                .backend
                .get(path, Some(version), range, deadline())
                .await;
            data.map(|piece| piece.data)
                .map_err(|error| self.read_failed(store, path, error))
        };
        // Blocks beyond the 32-bit ones are not cached.
        let Ok(number) = u32::try_from(block) else {
            return get(wanted).await;
        };
        let key = EntryKey {
            binding: store.binding.clone(),
            path: path.clone(),
            version: version.clone(),
            part: Part::Block(number),
        };
        let within = wanted.start - start..wanted.end - start;
        if let Some(data) = self.cached(key.clone(), within.clone()).await {
            return Ok(data.into());
        }
        let _flight = self.flights.join(&key).await;
        if let Some(data) = self.cached(key.clone(), within.clone()).await {
            return Ok(data.into());
        }
        let data = get(start..end).await?;
        self.keep(key, data.clone()).await;
        // The store gave exactly the block, which contains what is wanted.
        Ok(data.slice(within.start as usize..within.end as usize))
    }

    /// Bytes of a cached file. A file that cannot be read, or is too short, counts as not cached.
    pub(super) async fn cached(&self, key: EntryKey, range: Range<u64>) -> Option<Vec<u8>> {
        let read = move |cache: &crate::cache::DiskCache| {
            let Some(file) = cache.lookup(&key) else {
                return Ok(None);
            };
            let mut data = vec![0; (range.end - range.start) as usize];
            Ok(match file.read_exact_at(&mut data, range.start) {
                Ok(()) => Some(data),
                Err(error) => {
                    tracing::warn!(path = %key.path, %error, "cached file cannot be read");
                    None
                }
            })
        };
        self.blocking("cache", read).await.ok().flatten()
    }

    /// Puts a block into the cache, if that can be done.
    async fn keep(&self, key: EntryKey, data: Bytes) {
        let path = key.path.clone();
        let keep = move |cache: &crate::cache::DiskCache| {
            let staged = cache.stage(data.len() as u64)?;
            staged.write_at(0, &data)?;
            cache.commit(staged, key)
        };
        if let Err(failure) = self.blocking(path, keep).await {
            tracing::debug!(%failure, "block is not cached");
        }
    }

    /// The store's error. One that says the object is another makes the old version forgotten, so
    /// that the next reader asks.
    pub(super) fn read_failed(
        &self,
        store: &OpenStore,
        path: &ObjectPath,
        error: crate::backend::BackendError,
    ) -> Failure {
        let failure = error.into_failure(&store.spec.id);
        if matches!(failure.code, FailureCode::Changed | FailureCode::NotFound) {
            self.cache.forget_version(&store.binding, path);
        }
        failure
    }
}
