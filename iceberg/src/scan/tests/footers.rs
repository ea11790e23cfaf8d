//! Footers are parsed once while the cache has room for them.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::memory_io::{MemoryFile, MemoryIo};
use super::values::*;
use crate::io::FileIo;
use crate::scan::{FileMetadata, FooterCache};
use crate::spec::{Datum, NestedField, PrimitiveType, Schema};

/// Files `a` and `b` behind a cache of so many bytes.
fn files(cache_bytes: usize) -> (MemoryIo, [Arc<MemoryFile>; 2]) {
    let schema = Schema::new(0, vec![NestedField::optional(1, "n", PrimitiveType::Int)]);
    let files = [3, 5].map(|count| {
        let rows: Vec<Row> = (0..count)
            .map(|n| vec![Some(Value::Primitive(Datum::Int(n)))])
            .collect();
        write(&schema, &[to_batch(&schema, &rows)], small_groups()).0
    });
    let io = MemoryIo(
        Default::default(),
        Some(Rc::new(FooterCache::new(cache_bytes))),
        None,
    );
    for (name, file) in ["a", "b"].into_iter().zip(&files) {
        io.0.borrow_mut().insert(name.to_owned(), Arc::clone(file));
    }
    (io, files)
}

fn rows_of(io: &MemoryIo, name: &str) -> u64 {
    FileMetadata::of(io, &io.open(name, None).unwrap())
        .unwrap()
        .num_rows()
}

#[test]
fn a_footer_is_read_once_while_there_is_room_for_it() {
    let (io, files) = files(1 << 20);
    let reads = |index: usize| files[index].reads.load(Ordering::Relaxed);
    assert_eq!((rows_of(&io, "a"), rows_of(&io, "b")), (3, 5));
    let before = (reads(0), reads(1));
    assert_eq!((rows_of(&io, "a"), rows_of(&io, "b")), (3, 5));
    assert_eq!((reads(0), reads(1)), before);
}

#[test]
fn footers_beyond_the_bound_are_forgotten_and_read_again() {
    let (io, files) = files(1);
    let reads = || files[0].reads.load(Ordering::Relaxed);
    assert_eq!(rows_of(&io, "a"), 3);
    let first = reads();
    assert_eq!(rows_of(&io, "b"), 5);
    assert_eq!(rows_of(&io, "a"), 3);
    assert_eq!(reads(), 2 * first);
}
