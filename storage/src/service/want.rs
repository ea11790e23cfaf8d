//! Ranges of objects, in files of the cache.

use std::{
    fs::File,
    io,
    ops::Range,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::FileExt,
    },
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use rustix::fs::{MemfdFlags, memfd_create};
use tokio::{
    task::block_in_place,
    time::{Instant, timeout_at},
};

use super::{
    flights::{Flight, Waiting},
    storage_service::StorageService,
    stores::OpenStore,
};
use crate::{
    cache::{CacheError, CachedObject},
    cache_file::{GRANULE_BYTES, runs},
    protocol::{
        ByteRange, Failure, FailureCode, ObjectMeta, ObjectPath, ObjectRef, answer_limit,
        service_limit,
    },
};

/// Granules between two that are wanted which are fetched with them: a request costs more.
const GAP: u64 = 4;
/// Most granules of one request to a store: 16 MiB.
const PIECE: u64 = 1024;
/// With less time left, an error is told that another request met.
const TIME_TO_ASK_AGAIN: Duration = Duration::from_secs(5);
/// How much sooner than whoever wants it a download gives up, at most: there is time left then to tell why.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How often what is gone again is fetched.
const ATTEMPTS: usize = 4;

/// When somebody is to read what is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Now,
    AheadOfTime,
}

impl StorageService {
    /// A file that holds these ranges of an object, as far as they lie within it.
    ///
    /// # Errors
    /// [`FailureCode::Changed`] when the object has another size, and whatever the store says. A cache that fails or is full
    /// is no error: the bytes come in a file of their own.
    ///
    /// # Panics
    /// On a runtime of one thread.
    pub async fn want(
        self: &Arc<Self>,
        object: &ObjectRef,
        size: Option<u64>,
        ranges: &[ByteRange],
        deadline: Instant,
    ) -> Result<(File, ObjectMeta), Failure> {
        self.provide(object, size, ranges, deadline, Asked::Now)
            .await
    }

    async fn provide(
        self: &Arc<Self>,
        object: &ObjectRef,
        size: Option<u64>,
        ranges: &[ByteRange],
        deadline: Instant,
        asked: Asked,
    ) -> Result<(File, ObjectMeta), Failure> {
        let store = self.store(&object.store)?;
        if let Some(hit) = self.hit(&store, object, size, ranges, asked) {
            return Ok(hit);
        }
        let cached = match size {
            Some(size) => self.entry(&store, &object.path, size).await,
            None => match self.cache.find(store.binding, &object.path) {
                Some(cached) => cached,
                None => {
                    let first = ranges.iter().filter_map(|range| range.end()).max();
                    self.discover(&store, &object.path, first.unwrap_or(1), deadline)
                        .await?
                }
            },
        };
        let layout = cached.layout();
        let granules = merged(ranges.iter().map(|range| layout.granules_of(*range)));
        let mut uncached = Vec::new();
        store.counters.looked_up(false);
        let mut missing = self.missing(&cached, &granules, &uncached).await?;
        let mut attempts = 0;
        while !missing.is_empty() {
            if attempts == ATTEMPTS {
                let message = "what was fetched is gone again before it could be handed out";
                return Err(Failure::transient(FailureCode::CacheFull, object, message));
            }
            let (own, waiting) =
                (self.flights).join(cached.key(), layout.size(), coalesced(&missing));
            // What others fetch counts for them.
            attempts += usize::from(!own.is_empty());
            for flight in own {
                self.begin(&store, &cached, flight, with_time_to_tell(deadline));
            }
            for waiting in waiting {
                match outcome(object, waiting, deadline).await {
                    Ok(piece) => uncached.extend(piece),
                    // Whoever fetched it had less time than there is here.
                    Err(failure) if failure.is_transient() && is_early(deadline) => {}
                    Err(failure) => return Err(failure),
                }
            }
            missing = self.missing(&cached, &granules, &uncached).await?;
        }
        let file = if uncached.is_empty() {
            self.blocking(object, {
                let cached = Arc::clone(&cached);
                move |cache| {
                    cache.touch(&cached);
                    cache.open_file(&cached, false)
                }
            })
            .await?
        } else {
            self.apart(object, &cached, granules, uncached).await?
        };
        let meta = ObjectMeta {
            path: object.path.clone(),
            version: cached.version(),
        };
        Ok((file, meta))
    }

    /// Fetches ranges of an object that will be wanted soon, unless too much is fetched like this already. Whoever wants
    /// them meanwhile waits for the same download.
    pub fn prefetch(self: &Arc<Self>, object: ObjectRef, size: u64, ranges: Vec<ByteRange>) {
        let Ok(permit) = Arc::clone(&self.prefetches).try_acquire_owned() else {
            return;
        };
        let service = Arc::clone(self);
        let bytes = (ranges.iter()).fold(0u64, |sum, range| sum.saturating_add(range.length));
        let deadline = Instant::now() + service_limit(answer_limit(bytes));
        tokio::spawn(async move {
            // Whoever wants them is told what is wrong.
            let provided =
                service.provide(&object, Some(size), &ranges, deadline, Asked::AheadOfTime);
            drop(provided.await);
            drop(permit);
        });
    }

    /// The object's file and version, if the cache has all of these ranges, undamaged. It is what is asked for most, and no
    /// other thread has to wake up for it; those who could run on this one meanwhile go elsewhere.
    fn hit(
        &self,
        store: &OpenStore,
        object: &ObjectRef,
        size: Option<u64>,
        ranges: &[ByteRange],
        asked: Asked,
    ) -> Option<(File, ObjectMeta)> {
        let path = &object.path;
        let open = || (self.cache).open_whole(store.binding, path, size, ranges);
        let (file, version) = block_in_place(open)?;
        // What is there ahead of time is a hit of whoever comes to read it.
        if asked == Asked::Now {
            store.counters.looked_up(true);
        }
        let path = path.clone();
        Some((file, ObjectMeta { path, version }))
    }

    /// The object's entry in the cache; one that is in nobody's way where the cache cannot make any.
    async fn entry(&self, store: &OpenStore, path: &ObjectPath, size: u64) -> Arc<CachedObject> {
        let (binding, name) = (store.binding, path.clone());
        let made = self
            .blocking(path, move |cache| cache.entry(binding, &name, size))
            .await;
        made.unwrap_or_else(|failure| {
            tracing::warn!(%failure, "an object is not cached");
            self.cache.without_file(store.binding, path, size)
        })
    }

    /// Begins the entry of an object whose size is not known, with its first bytes.
    async fn discover(
        &self,
        store: &OpenStore,
        path: &ObjectPath,
        first: u64,
        deadline: Instant,
    ) -> Result<Arc<CachedObject>, Failure> {
        let granules = first.div_ceil(GRANULE_BYTES).clamp(1, PIECE);
        let range = 0..granules * GRANULE_BYTES;
        let _permit = self.room_for(path, range.end, deadline).await?;
        let got = store.backend.get(path, None, range, deadline).await;
        let piece = got.map_err(|error| store.failed(error))?;
        let size = piece.meta.version.size;
        let cached = self.entry(store, path, size).await;
        if !cached.note_etag(piece.meta.version.etag.as_deref()) {
            self.cache.forget(&cached);
            return Box::pin(self.discover(store, path, first, deadline)).await;
        }
        let is_whole = piece.data.len() as u64 == size.min(granules * GRANULE_BYTES);
        if is_whole && size > 0 {
            self.keep(&cached, 0, piece.data).await;
        }
        Ok(cached)
    }

    /// Writes granules into the cache. Returns them if that cannot be done.
    async fn keep(&self, cached: &Arc<CachedObject>, first: u64, data: Bytes) -> Option<Bytes> {
        let (object, bytes) = (Arc::clone(cached), data.clone());
        let kept = self
            .blocking(&cached.key().path, move |cache| {
                cache.write(&object, first, &bytes)
            })
            .await;
        match kept {
            Ok(()) => None,
            Err(failure) => {
                tracing::warn!(%failure, "bytes are not cached");
                Some(data)
            }
        }
    }

    /// The runs of `granules` that neither the cache has, undamaged, nor `uncached`.
    async fn missing(
        &self,
        cached: &Arc<CachedObject>,
        granules: &[Range<u64>],
        uncached: &[(u64, Bytes)],
    ) -> Result<Vec<Range<u64>>, Failure> {
        let covered: Vec<Range<u64>> = uncached.iter().map(covers).collect();
        let (object, granules) = (Arc::clone(cached), granules.to_vec());
        let missing = self.blocking(&cached.key().path, move |cache| {
            let file = cache.open_file(&object, false);
            let is_covered = |granule| covered.iter().any(|range| range.contains(&granule));
            let layout = object.layout();
            Ok((granules.iter())
                .flat_map(|run| match &file {
                    Ok(file) => layout.missing(file, run, is_covered),
                    Err(_) => runs(run, |granule| !is_covered(granule)),
                })
                .collect())
        });
        missing.await
    }

    /// Fetches granules in a task of its own, which goes on when whoever wanted them is gone: others may want them.
    fn begin(
        self: &Arc<Self>,
        store: &Arc<OpenStore>,
        cached: &Arc<CachedObject>,
        flight: Flight,
        deadline: Instant,
    ) {
        let (service, store, cached) = (Arc::clone(self), Arc::clone(store), Arc::clone(cached));
        tokio::spawn(async move {
            let granules = flight.granules.clone();
            let fetched = service
                .fetch(&store, &cached, granules.clone(), deadline)
                .await;
            let outcome = match fetched {
                Ok(data) => {
                    let left = service.keep(&cached, granules.start, data).await;
                    Ok(left.map(|data| (granules.start, data)))
                }
                Err(failure) => Err(failure),
            };
            flight.end(outcome);
        });
    }

    async fn fetch(
        &self,
        store: &OpenStore,
        cached: &CachedObject,
        granules: Range<u64>,
        deadline: Instant,
    ) -> Result<Bytes, Failure> {
        let path = &cached.key().path;
        let range = cached.layout().bytes_of(&granules);
        let _permit = self
            .room_for(path, range.end - range.start, deadline)
            .await?;
        let version = cached.version();
        let got = store
            .backend
            .get(path, Some(&version), range, deadline)
            .await;
        let changed = || {
            Failure::permanent(
                FailureCode::Changed,
                format!("{}:{path}", store.spec.id),
                "the object was replaced while it was read",
            )
        };
        let piece = got.map_err(|error| store.failed(error));
        let piece =
            piece.and_then(
                |piece| match cached.note_etag(piece.meta.version.etag.as_deref()) {
                    true => Ok(piece),
                    false => Err(changed()),
                },
            );
        match piece {
            Ok(piece) => Ok(piece.data),
            Err(failure) => {
                if matches!(failure.code, FailureCode::Changed | FailureCode::NotFound) {
                    self.cache.forget(cached);
                }
                Err(failure)
            }
        }
    }

    /// A file without a name that holds granules, some of which the cache could not take.
    async fn apart(
        &self,
        object: &ObjectRef,
        cached: &Arc<CachedObject>,
        granules: Vec<Range<u64>>,
        uncached: Vec<(u64, Bytes)>,
    ) -> Result<File, Failure> {
        let cached = Arc::clone(cached);
        let made = self.blocking(object, move |cache| {
            let layout = cached.layout();
            let from = cache.open_file(&cached, false).ok();
            let make = || -> io::Result<File> {
                let file = File::from(memfd_create("object", MemfdFlags::CLOEXEC)?);
                file.set_len(layout.file_length())?;
                for (first, data) in &uncached {
                    layout.write(&file, *first, data)?;
                }
                let is_there = |granule| {
                    uncached
                        .iter()
                        .any(|piece| covers(piece).contains(&granule))
                };
                if let Some(from) = from {
                    for run in granules.iter().flat_map(|run| runs(run, |g| !is_there(g))) {
                        let bytes = layout.bytes_of(&run);
                        let mut data = vec![0; (bytes.end - bytes.start) as usize];
                        from.read_exact_at(&mut data, bytes.start)?;
                        layout.write(&file, run.start, &data)?;
                    }
                }
                read_only(&file.into())
            };
            make().map_err(|source| CacheError::File {
                operation: "make a file in memory beside",
                path: cached.key().path.as_str().into(),
                source,
            })
        });
        made.await
    }
}

/// The same file, open for reading alone.
fn read_only(file: &OwnedFd) -> io::Result<File> {
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// The granules of bytes that the cache could not take.
fn covers((first, data): &(u64, Bytes)) -> Range<u64> {
    *first..first + (data.len() as u64).div_ceil(GRANULE_BYTES)
}

/// Is there time left to ask the store again?
fn is_early(deadline: Instant) -> bool {
    Instant::now() + TIME_TO_ASK_AGAIN < deadline
}

/// When a download has to end so that a request with this deadline tells what came of it.
fn with_time_to_tell(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    deadline - LAST_WORDS.min(left / 16)
}

/// What came of a download that this request waits for.
async fn outcome(
    object: &ObjectRef,
    mut waiting: Waiting,
    deadline: Instant,
) -> Result<Option<(u64, Bytes)>, Failure> {
    match timeout_at(deadline, waiting.wait_for(Option::is_some)).await {
        Ok(Ok(outcome)) => outcome.clone().transpose().map(Option::flatten),
        // It would do so again.
        Ok(Err(_)) => Err(Failure::permanent(
            FailureCode::Internal,
            object,
            "the service is at fault: a download panicked",
        )),
        Err(_) => {
            let message = "another request is still fetching what was wanted";
            Err(Failure::transient(FailureCode::TimedOut, object, message))
        }
    }
}

/// Ranges of granules in order, those that touch one another joined.
fn merged(granules: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut all: Vec<Range<u64>> = granules.filter(|range| !range.is_empty()).collect();
    all.sort_unstable_by_key(|range| range.start);
    joined(all, 0)
}

/// Ranges in order, joined where no more than `gap` lies between them.
fn joined(ranges: Vec<Range<u64>>, gap: u64) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end + gap => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// The requests that fetch runs of granules.
fn coalesced(missing: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut pieces = Vec::new();
    for run in joined(missing.to_vec(), GAP) {
        let mut start = run.start;
        while start < run.end {
            let end = run.end.min(start + PIECE);
            pieces.push(start..end);
            start = end;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_fetched_together_and_what_is_long_in_pieces() {
        assert_eq!(coalesced(&[0..2, 6..8, 13..14]), [0..8, 13..14]);
        let pieces = [0..PIECE, PIECE..PIECE + 1, 9 * PIECE..9 * PIECE + 1];
        assert_eq!(coalesced(&[0..PIECE + 1, 9 * PIECE..9 * PIECE + 1]), pieces);
        assert!(coalesced(&[]).is_empty());
    }

    #[test]
    fn ranges_that_overlap_are_one() {
        let ranges = [4..6, 0..2, 1..3, 9..9];
        assert_eq!(merged(ranges.into_iter()), [0..3, 4..6]);
    }
}
