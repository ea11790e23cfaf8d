//! A file in an object store, open for reading.
//!
//! The storage service gives a descriptor of its cache's file once; what is there is read from it by whichever thread. What
//! is not there yet, or is there no more, is asked for.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use iceberg_lite::BoundedCache;
use iceberg_lite::error::{Error, Result};
use iceberg_lite::io::InputFile;
use pg_lakebase_core::error::PgError;
use pg_lakebase_core::file::ExternalFdPermit;
use pg_lakebase_storage::client::CachedFile;
use pg_lakebase_storage::protocol::{ByteRange, ObjectRef};

use crate::error::StoreError;
use crate::stores::{self, Store};

/// What is asked for of a file whose length is not known: most metadata files and manifest lists are shorter.
const FIRST_BYTES: u64 = 256 << 10;
/// How often bytes are asked for that are gone again when they are read.
const ATTEMPTS: usize = 5;
/// How often the storage service is told that a file is used, at most.
const TOUCH_EVERY: Duration = Duration::from_secs(60);
/// Files that a backend keeps open for its next queries.
const OPEN_FILES: usize = 64;

thread_local! {
    static OPEN: RefCell<BoundedCache<String, Arc<ObjectFile>>> =
        RefCell::new(BoundedCache::new(OPEN_FILES));
}

/// Makes room for a descriptor. Files that are open for the next queries give way.
pub fn permit() -> std::io::Result<ExternalFdPermit> {
    ExternalFdPermit::acquire().or_else(|_| {
        close_kept();
        ExternalFdPermit::acquire()
    })
}

/// Closes the files that are open for the next queries: a query that failed may have met a file that was damaged after its checksums were
/// looked at, and whoever opens it looks again.
pub fn close_kept() {
    OPEN.set(BoundedCache::new(OPEN_FILES));
}

/// An open file.
pub struct ObjectFile {
    path: String,
    store: Arc<Store>,
    object: ObjectRef,
    length: u64,
    cached: Mutex<Option<Arc<CachedFile>>>,
    /// When the storage service was last told that the file is used.
    used: Mutex<Instant>,
    _permit: ExternalFdPermit,
}

impl ObjectFile {
    /// Opens the object `name`, which metadata know by `path`. With its length, nobody is asked before it is read.
    pub fn open(
        store: &Arc<Store>,
        path: &str,
        name: &str,
        length: Option<u64>,
    ) -> Result<Arc<Self>> {
        // One that was opened with other options would go on with those, and with credentials that may be revoked.
        if let Some(known) = OPEN.with_borrow_mut(|open| open.get(path))
            && known.store.spec() == store.spec()
        {
            known.touch()?;
            return Ok(known);
        }
        let failed = |source: std::io::Error| Error::io("open", path, source);
        let object = store.object(name);
        let object = object.map_err(|error| failed(StoreError::Raised(error).into()))?;
        let mut file = Self {
            path: path.to_owned(),
            store: Arc::clone(store),
            object,
            length: length.unwrap_or(0),
            cached: Mutex::default(),
            used: Mutex::new(Instant::now()),
            _permit: permit().map_err(failed)?,
        };
        if length.is_none() {
            let first = ByteRange {
                offset: 0,
                length: FIRST_BYTES,
            };
            let cached = file.want(None, &[first]).map_err(failed)?;
            file.length = cached.size();
            file.cached = Mutex::new(Some(cached));
        }
        let file = Arc::new(file);
        OPEN.with_borrow_mut(|open| open.put(path.to_owned(), Arc::clone(&file), 1));
        Ok(file)
    }

    fn want(&self, length: Option<u64>, ranges: &[ByteRange]) -> std::io::Result<Arc<CachedFile>> {
        let cached = stores::ask(&self.store, |client| {
            client.want(&self.object, length, ranges)
        })?;
        Ok(Arc::new(cached))
    }

    /// Tells the storage service now and then that the file is used: who has it open asks for nothing.
    fn touch(&self) -> Result<()> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.elapsed() < TOUCH_EVERY {
            return Ok(());
        }
        *used = Instant::now();
        stores::tell(&self.store, |client| client.touch(&self.object))
            .map_err(|error| Error::io("open", &*self.path, error.into()))
    }

    /// The parts of `ranges` that are not there yet.
    fn missing(&self, ranges: &[Range<u64>]) -> Vec<ByteRange> {
        let wanted: Vec<ByteRange> = (ranges.iter())
            .map(|range| (range.start, range.end.min(self.length)))
            .filter(|(start, end)| start < end)
            .map(|(start, end)| ByteRange {
                offset: start,
                length: end - start,
            })
            .collect();
        match self.lock().clone() {
            Some(cached) => cached.missing(&wanted),
            None => wanted,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<CachedFile>>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has what is missing of these ranges fetched.
    fn fetch(&self, ranges: &[ByteRange]) -> std::io::Result<()> {
        let cached = self.want(Some(self.length), ranges)?;
        *self.lock() = Some(cached);
        Ok(())
    }
}

impl InputFile for ObjectFile {
    fn path(&self) -> &str {
        &self.path
    }

    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let failed = |source: std::io::Error| Error::io("read", &*self.path, source);
        let wanted = ByteRange {
            offset,
            length: buf.len() as u64,
        };
        if wanted.end().is_none_or(|end| end > self.length) {
            return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
        }
        for _ in 0..ATTEMPTS {
            let cached = self.lock().clone();
            let missing = match cached {
                None => vec![wanted],
                Some(cached) => match cached.read_exact_at(buf, offset) {
                    Ok(()) => return Ok(()),
                    Err(missing) => missing.into_ranges(),
                },
            };
            self.fetch(&missing).map_err(failed)?;
        }
        let error = PgError::internal(format!(
            "what the storage service has fetched of \"{}\" cannot be read",
            self.path
        ));
        Err(failed(StoreError::Raised(error).into()))
    }

    fn prepare(&self, ranges: &[Range<u64>]) -> Result<()> {
        let wanted = self.missing(ranges);
        if wanted.is_empty() {
            return Ok(());
        }
        self.fetch(&wanted)
            .map_err(|source| Error::io("read", &*self.path, source))
    }

    fn prefetch(&self, ranges: &[Range<u64>]) -> Result<()> {
        let wanted = self.missing(ranges);
        if wanted.is_empty() {
            return Ok(());
        }
        stores::tell(&self.store, |client| {
            client.prefetch(&self.object, self.length, &wanted)
        })
        .map_err(|error| Error::io("read", &*self.path, error.into()))
    }
}
