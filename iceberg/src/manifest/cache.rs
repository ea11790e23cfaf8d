//! Manifest lists and manifests that were parsed before.
//!
//! Both never change once written, and their names are never used again, so what is known by a path
//! is right for ever; the bound is on memory alone. With it, looking at a table again after a commit
//! costs the reading of what the commit added.

use std::cell::RefCell;
use std::sync::Arc;

use super::entry::ManifestEntry;
use super::list_reader::read_snapshot_manifests;
use super::manifest_file::{ManifestFile, UNASSIGNED_SEQUENCE_NUMBER};
use super::manifest_reader::read_manifest;
use crate::bounded_cache::BoundedCache;
use crate::error::Result;
use crate::io::FileIo;
use crate::spec::Snapshot;

/// The content of manifest lists and manifests, by path; see [`FileIo::manifest_cache`].
pub struct ManifestCache {
    lists: RefCell<BoundedCache<String, Arc<[ManifestFile]>>>,
    manifests: RefCell<BoundedCache<String, Arc<[ManifestEntry]>>>,
}

impl ManifestCache {
    /// A cache of at most `entries` entries of manifest lists, and as many of manifests.
    pub fn new(entries: usize) -> Self {
        Self {
            lists: RefCell::new(BoundedCache::new(entries)),
            manifests: RefCell::new(BoundedCache::new(entries)),
        }
    }

    /// Keeps the manifests that the list at `path` names.
    pub(crate) fn put_list(&self, path: &str, manifests: &Arc<[ManifestFile]>) {
        let weight = manifests.len().max(1);
        self.lists
            .borrow_mut()
            .put(path.to_owned(), Arc::clone(manifests), weight);
    }

    fn put_manifest(&self, path: &str, entries: &Arc<[ManifestEntry]>) {
        let weight = entries.len().max(1);
        self.manifests
            .borrow_mut()
            .put(path.to_owned(), Arc::clone(entries), weight);
    }
}

/// The manifests of a snapshot: from the cache of `io`, or read.
pub fn snapshot_manifests(io: &dyn FileIo, snapshot: &Snapshot) -> Result<Arc<[ManifestFile]>> {
    let (Some(cache), Some(path)) = (io.manifest_cache(), &snapshot.manifest_list) else {
        return Ok(read_snapshot_manifests(io, snapshot)?.into());
    };
    if let Some(known) = cache.lists.borrow_mut().get(path) {
        return Ok(known);
    }
    let manifests = read_snapshot_manifests(io, snapshot)?.into();
    cache.put_list(path, &manifests);
    Ok(manifests)
}

/// All entries of a manifest, deleted ones included: from the cache of `io`, or read.
pub fn manifest_entries(io: &dyn FileIo, manifest: &ManifestFile) -> Result<Arc<[ManifestEntry]>> {
    // What entries inherit is known only once a manifest list names the manifest.
    let is_listed = manifest.sequence_number != UNASSIGNED_SEQUENCE_NUMBER;
    let Some(cache) = io.manifest_cache().filter(|_| is_listed) else {
        return Ok(read_manifest(io, manifest)?.into());
    };
    let path = &manifest.manifest_path;
    if let Some(known) = cache.manifests.borrow_mut().get(path) {
        return Ok(known);
    }
    let entries = read_manifest(io, manifest)?.into();
    cache.put_manifest(path, &entries);
    Ok(entries)
}
