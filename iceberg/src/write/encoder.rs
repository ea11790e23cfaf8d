//! Columns are encoded and compressed here, on the calling thread or on others.
//!
//! Each top-level column has a queue of tasks, which run in order and one at a time; any thread
//! may run the next task of any column that is not busy, so work spreads evenly however uneven the
//! columns are. Without other threads the calling thread runs everything; with them it runs tasks
//! only while the queues hold more than their limit of bytes, so it never just waits for long.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use arrow::array::ArrayRef;
use arrow::datatypes::FieldRef;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::errors::ParquetError;

use super::encoder_threads::{EncoderThreads, Work};
use super::nan_counts::{NanCounts, count_nans};
use crate::error::{Error, Result};
use crate::scan::unwind::panic_message;

/// The columns of a file that is being written.
pub(super) struct ColumnEncoders {
    shared: Arc<Shared>,
    threads: Option<Arc<EncoderThreads>>,
    queue_bytes: usize,
}

struct Shared {
    path: String,
    state: Mutex<State>,
    /// A task is done.
    done: Condvar,
}

struct State {
    columns: Vec<Column>,
    /// Tasks queued and not done, and the bytes of arrays among them.
    open_tasks: usize,
    queued_bytes: usize,
    /// Encoded columns by row group and column.
    chunks: BTreeMap<usize, Vec<Option<Vec<ArrowColumnChunk>>>>,
    nan_counts: NanCounts,
    failure: Option<Error>,
    stopped: bool,
}

struct Column {
    tasks: VecDeque<Task>,
    /// `None` while a thread works on the column.
    encoder: Option<ColumnEncoder>,
    /// Bytes of the current row group once written.
    estimate: usize,
    /// Bytes of memory that it takes until then.
    memory: usize,
}

enum Task {
    Begin(Vec<ArrowColumnWriter>),
    Write { array: ArrayRef, bytes: usize },
    End { row_group: usize },
}

/// A column's writers, one a leaf, for the current row group.
struct ColumnEncoder {
    field: FieldRef,
    writers: Vec<ArrowColumnWriter>,
    nan_counts: NanCounts,
}

impl ColumnEncoders {
    /// Encoders of `fields` for the file at `path`.
    pub(super) fn new(path: &str, fields: &[FieldRef], queue_bytes: usize) -> Self {
        let columns = fields
            .iter()
            .map(|field| Column {
                tasks: VecDeque::new(),
                encoder: Some(ColumnEncoder {
                    field: Arc::clone(field),
                    writers: Vec::new(),
                    nan_counts: NanCounts::new(),
                }),
                estimate: 0,
                memory: 0,
            })
            .collect();
        let state = State {
            columns,
            open_tasks: 0,
            queued_bytes: 0,
            chunks: BTreeMap::new(),
            nan_counts: NanCounts::new(),
            failure: None,
            stopped: false,
        };
        let shared = Shared {
            path: path.to_owned(),
            state: Mutex::new(state),
            done: Condvar::new(),
        };
        Self {
            shared: Arc::new(shared),
            threads: None,
            queue_bytes,
        }
    }

    /// Has `threads` encode from now on.
    pub(super) fn use_threads(&mut self, threads: &Arc<EncoderThreads>) -> Result<()> {
        threads.start(&self.shared.path)?;
        self.threads = Some(Arc::clone(threads));
        Ok(())
    }

    /// Whether threads encode.
    pub(super) fn has_threads(&self) -> bool {
        self.threads.is_some()
    }

    /// Begins a row group with the writers of each column's leaves.
    pub(super) fn begin_row_group(&self, writers: Vec<Vec<ArrowColumnWriter>>) -> Result<()> {
        self.queue(writers.into_iter().map(Task::Begin).collect())
    }

    /// Queues an array for each column, with the bytes it takes.
    pub(super) fn write(&self, arrays: Vec<(ArrayRef, usize)>) -> Result<()> {
        self.queue(
            arrays
                .into_iter()
                .map(|(array, bytes)| Task::Write { array, bytes })
                .collect(),
        )
    }

    /// Ends the row group; its chunks are [`Self::take_row_group`]'s to give.
    pub(super) fn end_row_group(&self, row_group: usize) -> Result<()> {
        let mut state = self.shared.lock();
        let columns = state.columns.len();
        state
            .chunks
            .insert(row_group, (0..columns).map(|_| None).collect());
        drop(state);
        self.queue((0..columns).map(|_| Task::End { row_group }).collect())
    }

    /// The encoded columns of an ended row group, once all are; `wait` encodes and waits until
    /// they are.
    pub(super) fn take_row_group(
        &self,
        row_group: usize,
        wait: bool,
    ) -> Result<Option<Vec<ArrowColumnChunk>>> {
        let mut state = self.shared.lock();
        loop {
            state.check()?;
            let ready = match state.chunks.get(&row_group) {
                Some(columns) => columns.iter().all(Option::is_some),
                None => return Ok(None),
            };
            if ready {
                let columns = state.chunks.remove(&row_group).unwrap_or_default();
                return Ok(Some(columns.into_iter().flatten().flatten().collect()));
            }
            if !wait {
                return Ok(None);
            }
            state = self.shared.help(state);
        }
    }

    /// Bytes that the rows queued or encoded, and not taken, will take in the file.
    pub(super) fn estimated_bytes(&self) -> u64 {
        let state = self.shared.lock();
        let encoding: usize = state.columns.iter().map(|column| column.estimate).sum();
        encoding as u64 + state.encoded_bytes()
    }

    /// Bytes of memory that the rows queued or encoded, and not taken, take.
    pub(super) fn memory_bytes(&self) -> usize {
        let state = self.shared.lock();
        let encoding: usize = state.columns.iter().map(|column| column.memory).sum();
        state.queued_bytes + encoding + usize::try_from(state.encoded_bytes()).unwrap_or(usize::MAX)
    }

    /// NaNs of all row groups taken so far.
    pub(super) fn nan_counts(&self) -> NanCounts {
        self.shared.lock().nan_counts.clone()
    }

    fn queue(&self, tasks: Vec<Task>) -> Result<()> {
        let limit = match &self.threads {
            None => 0,
            Some(_) => self.queue_bytes,
        };
        let offers = tasks.len();
        let mut state = self.shared.lock();
        state.check()?;
        for (column, task) in tasks.into_iter().enumerate() {
            state.open_tasks += 1;
            if let Task::Write { bytes, .. } = task {
                state.queued_bytes += bytes;
            }
            if let Some(column) = state.columns.get_mut(column) {
                column.tasks.push_back(task);
            }
        }
        if let Some(threads) = &self.threads {
            // A thread that has taken a column goes on with it while there is more.
            for _ in 0..offers.min(threads.count()) {
                threads.offer(Arc::<Shared>::clone(&self.shared));
            }
        }
        while state.open_tasks > 0 && (limit == 0 || state.queued_bytes > limit) {
            state = self.shared.help(state);
            state.check()?;
        }
        // A thread may have looked while the columns with tasks were all being worked at here.
        if let Some(threads) = self.threads.as_ref().filter(|_| state.open_tasks > 0) {
            threads.offer(Arc::<Shared>::clone(&self.shared));
        }
        Ok(())
    }
}

impl Drop for ColumnEncoders {
    /// Waits for the tasks that threads are at; no more are begun.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stop();
        while state.columns.iter().any(|column| column.encoder.is_none()) {
            state = self
                .shared
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Work for Shared {
    fn work(&self) {
        let mut state = self.lock();
        while let Some(taken) = state.take_task() {
            state = self.run(state, taken);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a task on the calling thread, or waits until a worker has done one.
    fn help<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        match state.take_task() {
            Some(taken) => self.run(state, taken),
            None => self
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn run<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        (index, task, mut encoder): (usize, Task, ColumnEncoder),
    ) -> MutexGuard<'a, State> {
        drop(state);
        let bytes = if let Task::Write { bytes, .. } = task {
            bytes
        } else {
            0
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| encoder.run(task)))
            .unwrap_or_else(|panic| Err(panic_error(&*panic)));
        let (estimate, memory) = (encoder.estimate(), encoder.memory());

        let mut state = self.lock();
        state.open_tasks -= 1;
        state.queued_bytes -= bytes;
        match outcome {
            Ok(None) => {}
            Ok(Some(finished)) => state.finish_column(index, finished),
            Err(error) => {
                state
                    .failure
                    .get_or_insert_with(|| Error::parquet(&*self.path, error));
            }
        }
        if let Some(column) = state.columns.get_mut(index) {
            column.estimate = estimate;
            column.memory = memory;
            column.encoder = Some(encoder);
        }
        self.done.notify_all();
        state
    }
}

/// What ending a row group gives for a column.
struct FinishedColumn {
    row_group: usize,
    chunks: Vec<ArrowColumnChunk>,
    nan_counts: NanCounts,
}

impl State {
    /// Bytes of the columns that are encoded and not taken.
    fn encoded_bytes(&self) -> u64 {
        self.chunks
            .values()
            .flatten()
            .flatten()
            .flatten()
            .map(|chunk| chunk.close().bytes_written)
            .sum()
    }

    /// The first task of the idle column with the most tasks.
    fn take_task(&mut self) -> Option<(usize, Task, ColumnEncoder)> {
        let (index, column) = self
            .columns
            .iter_mut()
            .enumerate()
            .filter(|(_, column)| column.encoder.is_some() && !column.tasks.is_empty())
            .max_by_key(|(_, column)| column.tasks.len())?;
        let encoder = column.encoder.take()?;
        let task = column.tasks.pop_front()?;
        Some((index, task, encoder))
    }

    fn finish_column(&mut self, index: usize, finished: FinishedColumn) {
        for (id, count) in finished.nan_counts {
            *self.nan_counts.entry(id).or_default() += count;
        }
        let columns = self.chunks.get_mut(&finished.row_group);
        if let Some(slot) = columns.and_then(|columns| columns.get_mut(index)) {
            *slot = Some(finished.chunks);
        }
    }

    /// Gives the first failure, and clears the queues: nothing of the file can be used any more.
    fn check(&mut self) -> Result<()> {
        let Some(failure) = self.failure.take() else {
            return if self.stopped {
                Err(Error::invalid_argument(
                    "DataFileWriter",
                    "an earlier call failed",
                ))
            } else {
                Ok(())
            };
        };
        self.stop();
        Err(failure)
    }

    fn stop(&mut self) {
        self.stopped = true;
        for column in &mut self.columns {
            column.tasks.clear();
        }
    }
}

impl ColumnEncoder {
    fn run(&mut self, task: Task) -> Result<Option<FinishedColumn>, ParquetError> {
        match task {
            Task::Begin(writers) => self.writers = writers,
            Task::Write { array, .. } => {
                let leaves = compute_leaves(&self.field, &array)?;
                for (writer, leaf) in self.writers.iter_mut().zip(&leaves) {
                    writer.write(leaf)?;
                }
                count_nans(&self.field, &array, &mut self.nan_counts);
            }
            Task::End { row_group } => {
                let writers = std::mem::take(&mut self.writers);
                let chunks = writers
                    .into_iter()
                    .map(ArrowColumnWriter::close)
                    .collect::<Result<Vec<_>, _>>()?;
                let nan_counts = std::mem::take(&mut self.nan_counts);
                return Ok(Some(FinishedColumn {
                    row_group,
                    chunks,
                    nan_counts,
                }));
            }
        }
        Ok(None)
    }

    fn memory(&self) -> usize {
        self.writers
            .iter()
            .map(ArrowColumnWriter::memory_size)
            .sum()
    }

    fn estimate(&self) -> usize {
        self.writers
            .iter()
            .map(ArrowColumnWriter::get_estimated_total_bytes)
            .sum()
    }
}

fn panic_error(panic: &(dyn Any + Send)) -> ParquetError {
    ParquetError::General(format!("encoding panicked: {}", panic_message(panic)))
}
