//! Worker threads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use arrow::array::{ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::Float64Type;

use super::memory_io::{MemoryFile, MemoryOutput};
use super::values::*;
use crate::scan::ReadOptions;
use crate::spec::{ListType, NestedField, PrimitiveType, Schema};
use crate::write::{
    Compression, DataFileWriter, Encoder, EncoderThreads, WriteOptions, arrow_schema,
};

/// Threads that were started and have not ended.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
static STARTED: AtomicUsize = AtomicUsize::new(0);
/// Tests that count threads run one at a time.
static COUNTING: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn spawn(run: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    RUNNING.fetch_add(1, Ordering::SeqCst);
    STARTED.fetch_add(1, Ordering::SeqCst);
    std::thread::Builder::new().spawn(move || {
        run();
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    })
}

fn threads(count: usize) -> WriteOptions {
    WriteOptions {
        encoder: Encoder::Threads(Arc::new(EncoderThreads::new(count, spawn))),
        inline_rows: 1000,
        row_group_rows: 3000,
        queue_bytes: 64 * 1024,
        ..WriteOptions::default()
    }
}

fn schema() -> Schema {
    Schema::new(
        0,
        vec![
            NestedField::required(1, "a", PrimitiveType::Long),
            NestedField::optional(2, "b", PrimitiveType::String),
            NestedField::optional(3, "c", PrimitiveType::Double),
            NestedField::optional(4, "d", ListType::new(5, PrimitiveType::Double, false)),
        ],
    )
}

fn batch(rows: std::ops::Range<i64>) -> RecordBatch {
    let number = |n: i64| if n % 7 == 0 { f64::NAN } else { n as f64 };
    let lists = rows
        .clone()
        .map(|n| Some((0..n % 4).map(|k| Some(number(n + k))).collect::<Vec<_>>()));
    let lists = ListArray::from_iter_primitive::<Float64Type, _, _>(lists);
    let arrow = arrow_schema(&schema()).unwrap();
    let arrow::datatypes::DataType::List(element) = arrow.field(3).data_type() else {
        unreachable!()
    };
    let (_, offsets, values, nulls) = lists.into_parts();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.clone())),
        Arc::new(StringArray::from_iter_values(
            rows.clone().map(|n| format!("row {n}")),
        )),
        Arc::new(Float64Array::from_iter(
            rows.map(|n| (n % 5 != 0).then(|| number(n))),
        )),
        Arc::new(ListArray::new(Arc::clone(element), offsets, values, nulls)),
    ];
    RecordBatch::try_new(arrow, columns).unwrap()
}

#[test]
fn files_are_the_same_with_and_without_threads() {
    let _counting = COUNTING.lock().unwrap();
    let batches: Vec<_> = (0..20).map(|n| batch(n * 700..(n + 1) * 700)).collect();
    let inline = WriteOptions {
        encoder: Encoder::Inline,
        ..threads(0)
    };
    let (expected_file, expected) = write(&schema(), &batches, inline);
    for count in 0..4 {
        let started = STARTED.load(Ordering::SeqCst);
        let (file, data_file) = write(&schema(), &batches, threads(count));
        assert_eq!(STARTED.load(Ordering::SeqCst) - started, count);
        assert_eq!(RUNNING.load(Ordering::SeqCst), 0);
        assert_eq!(data_file, expected);
        assert!(file.bytes == expected_file.bytes);
    }
    let options = ReadOptions {
        projection: vec![1, 2, 3, 4],
        ..ReadOptions::default()
    };
    let read = read(&expected_file, &schema(), options);
    let arrow = arrow_schema(&schema()).unwrap();
    assert_eq!(joined(&arrow, &read), batch(0..14_000));
}

#[test]
fn a_flushed_writer_holds_no_rows_and_goes_on() {
    let _counting = COUNTING.lock().unwrap();
    for count in [0, 2] {
        let output = MemoryOutput::default();
        let sink = Box::new(output.clone());
        let mut writer =
            DataFileWriter::new(&schema(), "memory".into(), sink, threads(count)).unwrap();
        writer.write(&batch(0..2000)).unwrap();
        assert!(writer.memory_bytes() > 0);
        for _ in 0..2 {
            writer.flush().unwrap();
            assert_eq!(writer.memory_bytes(), 0);
        }
        writer.write(&batch(2000..2500)).unwrap();
        let data_file = writer.finish().unwrap();
        assert_eq!(data_file.record_count, 2500);
        assert_eq!(
            data_file.split_offsets.map(|offsets| offsets.len()),
            Some(2)
        );
        let options = ReadOptions {
            projection: vec![1, 2, 3, 4],
            ..ReadOptions::default()
        };
        let read = read(&MemoryFile::new(output.take()), &schema(), options);
        let arrow = arrow_schema(&schema()).unwrap();
        assert_eq!(joined(&arrow, &read), batch(0..2500));
    }
}

#[test]
fn a_writer_is_full_before_flushes_make_more_row_groups_than_a_file_may_have() {
    let _counting = COUNTING.lock().unwrap();
    let options = WriteOptions {
        file_row_groups: 3,
        ..threads(0)
    };
    let sink = Box::new(MemoryOutput::default());
    let mut writer = DataFileWriter::new(&schema(), "memory".into(), sink, options).unwrap();
    for flushes in 0..3 {
        assert!(!writer.is_full(u64::MAX), "after {flushes} flushes");
        writer.write(&batch(0..10)).unwrap();
        writer.flush().unwrap();
        writer.flush().unwrap();
    }
    assert!(writer.is_full(u64::MAX));
    assert!(writer.is_full(0));
    let data_file = writer.finish().unwrap();
    let row_groups = data_file.split_offsets.map(|offsets| offsets.len());
    assert_eq!(row_groups, Some(3));
}

#[test]
fn ascending_numbers_take_next_to_no_space_as_differences() {
    let _counting = COUNTING.lock().unwrap();
    let size = |delta_encoded: Vec<i32>| {
        let options = WriteOptions {
            compression: Compression::Uncompressed,
            delta_encoded,
            ..WriteOptions::default()
        };
        let (file, data_file) = write(&schema(), &[batch(0..20_000)], options);
        let options = ReadOptions {
            projection: vec![1, 2, 3, 4],
            ..ReadOptions::default()
        };
        let read = read(&file, &schema(), options);
        let arrow = arrow_schema(&schema()).unwrap();
        assert_eq!(joined(&arrow, &read), batch(0..20_000));
        data_file.column_sizes[&1]
    };
    assert!(size(Vec::new()) > 100_000);
    assert!(size(vec![1]) < 5_000);
}

#[test]
fn small_files_start_no_thread() {
    let _counting = COUNTING.lock().unwrap();
    let started = STARTED.load(Ordering::SeqCst);
    write(&schema(), &[batch(0..1000)], threads(2));
    assert_eq!(STARTED.load(Ordering::SeqCst), started);
}

#[test]
fn dropping_a_writer_ends_its_threads() {
    let _counting = COUNTING.lock().unwrap();
    for rows in [1500, 9000] {
        let output = MemoryOutput::default();
        let mut writer =
            DataFileWriter::new(&schema(), "p".into(), Box::new(output), threads(2)).unwrap();
        for start in 0..rows / 500 {
            writer
                .write(&batch(start * 500..(start + 1) * 500))
                .unwrap();
        }
        assert_eq!(RUNNING.load(Ordering::SeqCst), 2);
        assert!(writer.bytes() > 0);
        drop(writer);
        assert_eq!(RUNNING.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn files_share_threads() {
    let _counting = COUNTING.lock().unwrap();
    let inline = WriteOptions {
        encoder: Encoder::Inline,
        ..threads(0)
    };
    let batches: Vec<_> = (0..10).map(|n| batch(n * 700..(n + 1) * 700)).collect();
    let (expected, _) = write(&schema(), &batches, inline);
    let options = threads(2);
    let outputs: Vec<_> = (0..20).map(|_| MemoryOutput::default()).collect();
    let mut writers: Vec<_> = outputs
        .iter()
        .map(|output| {
            let (sink, options) = (Box::new(output.clone()), options.clone());
            DataFileWriter::new(&schema(), "memory".into(), sink, options).unwrap()
        })
        .collect();
    for batch in &batches {
        for writer in &mut writers {
            writer.write(batch).unwrap();
        }
        assert!(RUNNING.load(Ordering::SeqCst) <= 2);
    }
    // Some are left incomplete while others go on.
    drop(writers.split_off(10));
    for (writer, output) in writers.into_iter().zip(&outputs) {
        writer.finish().unwrap();
        assert!(output.take() == expected.bytes);
    }
    assert_eq!(RUNNING.load(Ordering::SeqCst), 2);
    drop(options);
    assert_eq!(RUNNING.load(Ordering::SeqCst), 0);
}

#[test]
fn a_thread_that_cannot_start_is_an_error() {
    fn refuse(_: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
        Err(io::ErrorKind::WouldBlock.into())
    }
    let options = WriteOptions {
        encoder: Encoder::Threads(Arc::new(EncoderThreads::new(2, refuse))),
        inline_rows: 10,
        ..WriteOptions::default()
    };
    let output = MemoryOutput::default();
    let mut writer = DataFileWriter::new(&schema(), "p".into(), Box::new(output), options).unwrap();
    assert!(writer.write(&batch(0..100)).is_err());
}

#[test]
fn bytes_grow_with_what_is_written_and_end_near_the_file_size() {
    let output = MemoryOutput::default();
    let options = WriteOptions {
        row_group_rows: 3000,
        ..WriteOptions::default()
    };
    let mut writer = DataFileWriter::new(&schema(), "p".into(), Box::new(output), options).unwrap();
    let mut last = 0;
    for n in 0..20 {
        writer.write(&batch(n * 700..(n + 1) * 700)).unwrap();
        assert!(writer.bytes() > 0);
        last = writer.bytes();
    }
    assert_eq!(writer.rows(), 14_000);
    let size = u64::try_from(writer.finish().unwrap().file_size_in_bytes).unwrap();
    assert!(
        last > size / 3 && last < size * 3,
        "{last} estimated, {size} written"
    );
}
