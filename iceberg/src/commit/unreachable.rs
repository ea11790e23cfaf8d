//! The files that nothing refers to once snapshots have expired.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::error::Result;
use crate::io::FileIo;
use crate::manifest::{
    ManifestContent, ManifestEntry, ManifestFile, manifest_entries, snapshot_manifests,
};
use crate::spec::{FormatVersion, SnapshotRetention, StoredSnapshot, TableMetadata};

/// What the caller knows of a table's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// Every snapshot was made from the one before it: the table was never set back to an earlier one. Metadata
    /// tell no longer once snapshots have been dropped from between others.
    Linear,
    /// Nothing is known.
    Any,
}

/// Data files, delete files, manifests, manifest lists and statistics files that only the snapshots
/// `gone` of `base` refer to.
///
/// With a [linear](History::Linear) history this reads what changed between a snapshot that goes and its
/// neighbours that stay; otherwise it has to look for each file in all snapshots that stay.
pub fn unreachable_files(
    base: &TableMetadata,
    gone: &HashSet<i64>,
    history: History,
    io: &dyn FileIo,
) -> Result<BTreeSet<String>> {
    let is_gone = |id: i64| gone.contains(&id);
    let mut unreachable = BTreeSet::new();
    if gone.is_empty() {
        return Ok(unreachable);
    }
    let statistics = base.statistics.iter().chain(&base.partition_statistics);
    let statistics = statistics.filter(|file| is_gone(file.snapshot_id));
    unreachable.extend(statistics.map(|file| file.statistics_path.clone()));
    let dropped = (base.snapshots.iter()).filter(|snapshot| is_gone(snapshot.snapshot_id));
    unreachable.extend(dropped.filter_map(|snapshot| snapshot.manifest_list.clone()));

    let line = match history {
        History::Linear => line_of(base),
        History::Any => None,
    };
    let found = match line {
        Some(line) => between_neighbours(&line, gone, io)?,
        None => None,
    };
    match found {
        Some(files) => unreachable.extend(files),
        None => unreachable.extend(in_no_other(base, gone, io)?),
    }
    Ok(unreachable)
}

/// The snapshots in their order, if nothing in the metadata says that one was made from another than the one
/// before it.
fn line_of(base: &TableMetadata) -> Option<Vec<&StoredSnapshot>> {
    let mut line: Vec<&StoredSnapshot> =
        base.snapshots.iter().map(|snapshot| &**snapshot).collect();
    line.sort_by_key(|snapshot| snapshot.sequence_number);
    let branches = (base.refs.values())
        .filter(|reference| matches!(reference.retention, SnapshotRetention::Branch { .. }));
    let ids: HashSet<i64> = line.iter().map(|snapshot| snapshot.snapshot_id).collect();
    let follows = |pair: &[&StoredSnapshot]| {
        let [before, after] = pair else { return false };
        let is_next = after
            .parent_snapshot_id
            .is_some_and(|parent| parent == before.snapshot_id || !ids.contains(&parent));
        is_next && before.sequence_number < after.sequence_number
    };
    let is_line = base.format_version > FormatVersion::V1
        && branches.count() == 1
        && line.first().is_some_and(|first| first.sequence_number > 0)
        && line.last().map(|last| last.snapshot_id) == base.main_snapshot_id()
        && line.windows(2).all(follows);
    is_line.then_some(line)
}

/// What nothing refers to, going by each run of snapshots that go and the one before and after it. `None` if that
/// cannot be told so.
///
/// A manifest or file that a snapshot has is in all snapshots from the one that added it to the last that has
/// it. So it is in a kept one exactly if it is in the one before the run or the one after.
fn between_neighbours(
    line: &[&StoredSnapshot],
    gone: &HashSet<i64>,
    io: &dyn FileIo,
) -> Result<Option<BTreeSet<String>>> {
    let mut unreachable = BTreeSet::new();
    let is_gone = |snapshot: &StoredSnapshot| gone.contains(&snapshot.snapshot_id);
    let mut before = None;
    let mut rest = line;
    for run in line.chunk_by(|a, b| is_gone(a) == is_gone(b)) {
        rest = &rest[run.len()..];
        match run {
            [.., last] if !is_gone(last) => before = Some(last.sequence_number),
            _ => {
                // The newest snapshot stays, being the current one.
                let Some(after) = rest.first() else {
                    return Ok(None);
                };
                let Some(files) = in_run(run, before, after, io)? else {
                    return Ok(None);
                };
                unreachable.extend(files);
            }
        }
    }
    Ok(Some(unreachable))
}

/// What only a run of snapshots refers to. `before` is the sequence number of the kept snapshot before it.
fn in_run(
    run: &[&StoredSnapshot],
    before: Option<i64>,
    after: &StoredSnapshot,
    io: &dyn FileIo,
) -> Result<Option<BTreeSet<String>>> {
    let is_newer = |number: i64| before.is_none_or(|before| number > before);
    let kept = snapshot_manifests(io, after)?;
    let mut seen: HashSet<&str> = kept
        .iter()
        .map(|manifest| &*manifest.manifest_path)
        .collect();
    let lists = (run.iter().map(|snapshot| snapshot_manifests(io, snapshot)))
        .collect::<Result<Vec<_>>>()?;
    let dropped: Vec<&ManifestFile> = (lists.iter().flat_map(|list| list.iter()))
        .filter(|manifest| is_newer(manifest.sequence_number))
        .filter(|manifest| seen.insert(&manifest.manifest_path))
        .collect();

    // Files by path, with the data sequence number.
    let mut files: BTreeMap<String, (ManifestContent, i64)> = BTreeMap::new();
    for manifest in &dropped {
        for entry in manifest_entries(io, manifest)?
            .iter()
            .filter(|entry| entry.is_live())
        {
            let (Some(data), Some(added)) = (entry.sequence_number, entry.file_sequence_number)
            else {
                return Ok(None);
            };
            if is_newer(added) {
                files.insert(entry.data_file.file_path.clone(), (manifest.content, data));
            }
        }
    }
    for manifest in kept.iter() {
        let could_have = |(content, number): &(ManifestContent, i64)| {
            *content == manifest.content && manifest.min_sequence_number <= *number
        };
        // A manifest that has one of the files has taken it over from a manifest that goes; or it has a deletion vector
        // of a file whose other vectors were in that.
        let has_older = manifest.existing_files_count != Some(0)
            || manifest.content == ManifestContent::Deletes;
        if has_older && is_newer(manifest.sequence_number) && files.values().any(could_have) {
            remove_live(&mut files, &manifest_entries(io, manifest)?);
        }
    }
    let manifests = dropped
        .iter()
        .map(|manifest| manifest.manifest_path.clone());
    Ok(Some(manifests.chain(files.into_keys()).collect()))
}

fn remove_live<T>(files: &mut BTreeMap<String, T>, entries: &[ManifestEntry]) {
    for entry in entries.iter().filter(|entry| entry.is_live()) {
        files.remove(&entry.data_file.file_path);
    }
}

/// What is in none of the snapshots that stay, having looked at them all.
fn in_no_other(
    base: &TableMetadata,
    gone: &HashSet<i64>,
    io: &dyn FileIo,
) -> Result<BTreeSet<String>> {
    let (mut dead, mut live) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    // Live snapshots first, so that a manifest of both kinds counts as live.
    for (is_gone, manifests) in [(false, &mut live), (true, &mut dead)] {
        let snapshots = base.snapshots.iter();
        for snapshot in snapshots.filter(|snapshot| gone.contains(&snapshot.snapshot_id) == is_gone)
        {
            let listed = snapshot_manifests(io, snapshot)?;
            let new = listed
                .iter()
                .filter(|manifest| seen.insert(manifest.manifest_path.clone()));
            manifests.extend(new.cloned());
        }
    }
    let mut unreachable = BTreeSet::new();
    let mut files = BTreeMap::new();
    for manifest in &dead {
        for entry in manifest_entries(io, manifest)?
            .iter()
            .filter(|entry| entry.is_live())
        {
            files.insert(entry.data_file.file_path.clone(), ());
        }
        unreachable.insert(manifest.manifest_path.clone());
    }
    for manifest in &live {
        if files.is_empty() {
            break;
        }
        remove_live(&mut files, &manifest_entries(io, manifest)?);
    }
    unreachable.extend(files.into_keys());
    Ok(unreachable)
}
