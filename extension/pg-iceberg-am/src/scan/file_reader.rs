//! Batches of one data file. Long ones are read ahead by a thread.

use std::sync::atomic::{AtomicUsize, Ordering};

use iceberg_lite::Result;
use iceberg_lite::scan::{DataFileReader, FileBatch, FileReadAhead, RowGroupCounts};
use pg_lakebase_core::thread;

use crate::guc;

/// Batches that are read before a thread is started: it costs more than to read a few.
const BATCHES_HERE: usize = 4;

/// Threads of the session that read.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Reads a data file's batches in order.
pub struct FileReader {
    source: Source,
    /// Batches that were read, none once they are not counted any more.
    read: Option<usize>,
}

enum Source {
    /// `None` only while it is given to a thread.
    Here(Option<Box<DataFileReader>>),
    Ahead(FileReadAhead, Thread),
}

impl FileReader {
    /// `may_read_ahead` says that the file can be read by any thread.
    pub fn new(reader: DataFileReader, may_read_ahead: bool) -> Self {
        Self {
            source: Source::Here(Some(Box::new(reader))),
            read: may_read_ahead.then_some(0),
        }
    }

    /// What has become of the file's row groups so far.
    pub fn row_group_counts(&self) -> RowGroupCounts {
        match &self.source {
            Source::Here(reader) => (reader.as_ref())
                .map_or_else(RowGroupCounts::default, |reader| reader.row_group_counts()),
            Source::Ahead(ahead, _) => ahead.row_group_counts(),
        }
    }

    /// Has a thread go on, if the session may have one more.
    fn read_ahead(&mut self) {
        let Source::Here(here) = &mut self.source else {
            return;
        };
        let Some(thread) = Thread::take() else {
            return;
        };
        let Some(reader) = here.take() else {
            return;
        };
        let started = FileReadAhead::start(reader, |work| {
            thread::spawn_with_signals_blocked("iceberg decoder", work)
        });
        self.source = match started {
            Ok(ahead) => Source::Ahead(ahead, thread),
            Err(reader) => Source::Here(Some(reader)),
        };
    }
}

impl Iterator for FileReader {
    type Item = Result<FileBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read = match self.read {
            Some(BATCHES_HERE) => {
                self.read_ahead();
                None
            }
            read => read.map(|read| read + 1),
        };
        match &mut self.source {
            Source::Here(reader) => reader.as_mut()?.next(),
            Source::Ahead(ahead, _) => ahead.next(),
        }
    }
}

/// One of the threads that the session may have.
struct Thread;

impl Thread {
    fn take() -> Option<Self> {
        let most = guc::decoder_threads();
        let taken = THREADS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |threads| {
            (threads < most).then_some(threads + 1)
        });
        taken.ok().map(|_| Self)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        THREADS.fetch_sub(1, Ordering::Relaxed);
    }
}
