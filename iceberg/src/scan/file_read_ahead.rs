//! A data file that another thread reads.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::data_file_reader::{DataFileReader, FileBatch, RowGroupCounts};
use super::row_group_scan::FileScan;
use crate::error::Result;
use crate::read_ahead::ReadAhead;
use crate::write::Spawn;

/// Takes the batches that a thread reads of a [`DataFileReader`], two of them ahead.
pub struct FileReadAhead {
    /// The batches, each with what had become of the row groups when it was there; none at the end of the file.
    batches: ReadAhead<(Option<FileBatch>, RowGroupCounts)>,
    counts: RowGroupCounts,
    file: Arc<FileScan>,
}

impl FileReadAhead {
    /// Has a thread go on with `reader`, which is given back if none can be started.
    pub fn start(
        reader: Box<DataFileReader>,
        spawn: Spawn,
    ) -> std::result::Result<Self, Box<DataFileReader>> {
        let counts = reader.row_group_counts();
        let file = reader.file();
        let is_over = false;
        match ReadAhead::start(Counted { reader, is_over }, spawn) {
            Ok(batches) => Ok(Self {
                batches,
                counts,
                file,
            }),
            Err((_, counted)) => Err(counted.reader),
        }
    }

    /// What had become of the file's row groups when the last batch was there.
    pub fn row_group_counts(&self) -> RowGroupCounts {
        self.counts
    }
}

impl Iterator for FileReadAhead {
    type Item = Result<FileBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.batches.next()? {
            Ok((batch, counts)) => {
                self.counts = counts;
                batch.map(Ok)
            }
            Err(error) => Some(Err(error)),
        }
    }
}

impl Drop for FileReadAhead {
    /// A predicate may let nothing through for long: the thread, which is waited for, need not go on till it does.
    fn drop(&mut self) {
        self.file.is_stopped.store(true, Ordering::Relaxed);
    }
}

/// Batches with counts; the last are without a batch.
struct Counted {
    reader: Box<DataFileReader>,
    is_over: bool,
}

impl Iterator for Counted {
    type Item = Result<(Option<FileBatch>, RowGroupCounts)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let batch = self.reader.next().transpose();
        self.is_over = !matches!(batch, Ok(Some(_)));
        let counts = self.reader.row_group_counts();
        Some(batch.map(|batch| (batch, counts)))
    }
}
