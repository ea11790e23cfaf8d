//! Manifest lists and manifests that were parsed before.
//!
//! Both never change once written, and their names are never used again, so what is known by a path
//! is right for ever; the bound is on memory alone. With it, looking at a table again after a commit
//! costs the reading of what the commit added.

use std::cell::RefCell;
use std::sync::Arc;

use super::entry::{ManifestEntry, ManifestStatus};
use super::list_reader::read_snapshot_manifests;
use super::manifest_file::{ManifestFile, UNASSIGNED_SEQUENCE_NUMBER};
use super::manifest_reader::read_manifest;
use super::row_ids::inherit_row_ids;
use crate::bounded_cache::BoundedCache;
use crate::error::Result;
use crate::io::FileIo;
use crate::spec::Snapshot;

/// Values by path.
type ByPath<T> = RefCell<BoundedCache<String, T>>;

/// The sequence number and the first row id of a manifest.
type Inherited = (i64, Option<i64>);

fn inherited_from(manifest: &ManifestFile) -> Inherited {
    (manifest.sequence_number, manifest.first_row_id)
}

/// The content of manifest lists and manifests, by path; see [`FileIo::manifest_cache`].
pub struct ManifestCache {
    lists: ByPath<Arc<[ManifestFile]>>,
    /// With what entries inherited: a manifest is committed again, with another sequence number, when the first attempt
    /// comes to nothing, and gets row ids when its table is given version 3.
    manifests: ByPath<(Inherited, Arc<[ManifestEntry]>)>,
    /// Manifests written here that no list names yet: what their entries inherit is not known.
    unlisted: ByPath<Arc<[ManifestEntry]>>,
}

impl ManifestCache {
    /// A cache of at most `bytes` in memory: most of them of manifests, the rest of manifest lists and
    /// of manifests that no list names yet.
    pub fn new(bytes: usize) -> Self {
        let few = bytes / 8;
        Self {
            lists: RefCell::new(BoundedCache::new(few)),
            manifests: RefCell::new(BoundedCache::new(bytes - 2 * few)),
            unlisted: RefCell::new(BoundedCache::new(few)),
        }
    }

    /// Keeps the manifests that the list at `path` names, and what it makes known of those just
    /// written.
    pub(crate) fn put_list(&self, path: &str, manifests: &Arc<[ManifestFile]>) {
        for manifest in manifests.iter() {
            if let Some(entries) = self.unlisted.borrow_mut().remove(&manifest.manifest_path) {
                let inherit = |entry: &ManifestEntry| ManifestEntry {
                    sequence_number: entry.sequence_number.or(Some(manifest.sequence_number)),
                    file_sequence_number: match entry.status {
                        ManifestStatus::Added => Some(manifest.sequence_number),
                        _ => entry.file_sequence_number,
                    },
                    ..entry.clone()
                };
                let mut entries: Vec<_> = entries.iter().map(inherit).collect();
                inherit_row_ids(manifest, &mut entries);
                self.put_manifest(manifest, &entries.into());
            }
        }
        self.put_manifests(path, manifests);
    }

    fn put_manifest(&self, manifest: &ManifestFile, entries: &Arc<[ManifestEntry]>) {
        self.manifests.borrow_mut().put(
            manifest.manifest_path.clone(),
            (inherited_from(manifest), Arc::clone(entries)),
            weight(&manifest.manifest_path, entries, ManifestEntry::memory_size),
        );
    }

    /// The entries of a manifest as they inherit from `manifest`.
    fn manifest(&self, manifest: &ManifestFile) -> Option<Arc<[ManifestEntry]>> {
        // What entries inherit is known only once a manifest list names the manifest.
        if manifest.sequence_number == UNASSIGNED_SEQUENCE_NUMBER {
            return self.unlisted.borrow_mut().get(&manifest.manifest_path);
        }
        let (inherited, entries) = self.manifests.borrow_mut().get(&manifest.manifest_path)?;
        (inherited == inherited_from(manifest)).then_some(entries)
    }

    /// Keeps the entries of a manifest just written.
    pub(super) fn put_unlisted(&self, path: &str, entries: Vec<ManifestEntry>) {
        let weight = weight(path, &entries, ManifestEntry::memory_size);
        self.unlisted
            .borrow_mut()
            .put(path.to_owned(), entries.into(), weight);
    }

    fn put_manifests(&self, path: &str, manifests: &Arc<[ManifestFile]>) {
        let weight = weight(path, manifests, ManifestFile::memory_size);
        self.lists
            .borrow_mut()
            .put(path.to_owned(), Arc::clone(manifests), weight);
    }
}

/// What values kept by a path take in memory.
fn weight<T>(path: &str, values: &[T], size: impl Fn(&T) -> usize) -> usize {
    path.len() + values.iter().map(size).sum::<usize>()
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
    cache.put_manifests(path, &manifests);
    Ok(manifests)
}

/// All entries of a manifest, deleted ones included: from the cache of `io`, or read.
pub fn manifest_entries(io: &dyn FileIo, manifest: &ManifestFile) -> Result<Arc<[ManifestEntry]>> {
    let Some(cache) = io.manifest_cache() else {
        return Ok(read_manifest(io, manifest)?.into());
    };
    if let Some(known) = cache.manifest(manifest) {
        return Ok(known);
    }
    let entries = read_manifest(io, manifest)?.into();
    if manifest.sequence_number != UNASSIGNED_SEQUENCE_NUMBER {
        cache.put_manifest(manifest, &entries);
    }
    Ok(entries)
}
