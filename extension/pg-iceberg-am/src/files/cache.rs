//! Parsed metadata, kept for the life of the backend.
//!
//! Metadata files, manifest lists and manifests never change once written, and their names are never
//! used again, so what is cached by path is right for ever; the bound is on memory alone.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use iceberg_lite::BoundedCache;
use iceberg_lite::manifest::ManifestCache;
use iceberg_lite::scan::{DeleteCache, FooterCache};
use iceberg_lite::spec::TableMetadata;
use pg_lakebase_core::error::PgResult;

use super::TableFiles;
use crate::error::to_pg_error;

/// Bytes of table metadata kept.
const METADATA_BYTES: usize = 32 << 20;
/// Bytes of manifest lists and manifests kept.
const MANIFEST_BYTES: usize = 64 << 20;
/// Bytes of Parquet footers kept.
const FOOTER_BYTES: usize = 32 << 20;
/// Bytes of deleted positions kept.
const DELETE_BYTES: usize = 32 << 20;

thread_local! {
    static METADATA: RefCell<BoundedCache<String, Arc<TableMetadata>>> =
        RefCell::new(BoundedCache::new(METADATA_BYTES));
    /// Of each table, by location, the metadata seen last: the next ones have much in common with them.
    static LATEST: RefCell<BoundedCache<String, Arc<TableMetadata>>> =
        RefCell::new(BoundedCache::new(METADATA_BYTES));
    static MANIFESTS: Rc<ManifestCache> = Rc::new(ManifestCache::new(MANIFEST_BYTES));
    static FOOTERS: Rc<FooterCache> = Rc::new(FooterCache::new(FOOTER_BYTES));
    static DELETES: Rc<DeleteCache> = Rc::new(DeleteCache::new(DELETE_BYTES));
}

/// The table metadata in the file of this name.
pub fn metadata(io: &TableFiles, name: &str) -> PgResult<Arc<TableMetadata>> {
    let path = io.place().path_of(name);
    if let Some(known) = METADATA.with_borrow_mut(|cache| cache.get(&path)) {
        return Ok(known);
    }
    let known = LATEST.with_borrow_mut(|cache| cache.get(location_of(&path)));
    let metadata = TableMetadata::read_from_after(io, &path, known.as_deref());
    let metadata = Arc::new(metadata.map_err(to_pg_error)?);
    put_metadata(path, &metadata);
    Ok(metadata)
}

/// Where the table lies whose metadata file is at `path`.
fn location_of(path: &str) -> &str {
    path.rsplit_once("/metadata/")
        .map_or(path, |(location, _)| location)
}

/// Manifest lists and manifests; every table's file IO leads here.
pub fn manifests() -> Rc<ManifestCache> {
    MANIFESTS.with(Rc::clone)
}

/// Deleted positions; every table's file IO leads here.
pub fn deletes() -> Rc<DeleteCache> {
    DELETES.with(Rc::clone)
}

/// Footers of Parquet files; every table's file IO leads here.
pub fn footers() -> Rc<FooterCache> {
    FOOTERS.with(Rc::clone)
}

/// Keeps metadata that this backend has just written into the file of this name.
pub fn remember(io: &TableFiles, name: &str, metadata: Arc<TableMetadata>) {
    put_metadata(io.place().path_of(name), &metadata);
}

fn put_metadata(path: String, metadata: &Arc<TableMetadata>) {
    let weight = metadata.memory_size();
    let location = location_of(&path).to_owned();
    LATEST.with_borrow_mut(|cache| cache.put(location, Arc::clone(metadata), weight));
    METADATA.with_borrow_mut(|cache| cache.put(path, Arc::clone(metadata), weight));
}
