//! Writing records.

use pg_lakebase_core::wal::{self, DelayCheckpoint, MAX_CONTENT, RecordKind};
use pgrx::pg_sys;

use super::edits;
use super::record::{
    CREATE_DIRECTORY, FileWrite, NOTE_IDENTITY, Payload, REMOVE_DIRECTORY, REMOVE_FILES,
    SYNC_FILES, VERSION, WRITE_FILES, WRITE_FILES_UNSYNCED, head, identity, put_name, put_write,
};
use super::resource_manager::IcebergResourceManager;
use crate::directory::StorageKey;

/// What a file got, for the log.
pub struct FileContent<'a> {
    /// The file, relative to the table's directory.
    pub name: &'a str,
    /// Where in the file the bytes begin.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
    /// Another file, already logged, that a file beginning here is much like: name and bytes.
    pub like: Option<(&'a str, &'a [u8])>,
}

fn insert(kind: RecordKind, parts: &[&[u8]]) {
    wal::insert::<IcebergResourceManager>(kind, parts);
}

/// Logs that the directory of `key` was made.
pub fn create_directory(key: &StorageKey) {
    insert(CREATE_DIRECTORY, &[&head(key)]);
}

/// Logs that the directory of `key` was removed with all that was in it.
pub fn remove_directory(key: &StorageKey) {
    insert(REMOVE_DIRECTORY, &[&head(key)]);
}

/// Logs that files, named relative to the table's directory, were removed.
///
/// Nobody needs them who sees what the transaction `horizon` did: queries on standbys that do not are cancelled first,
/// as for rows that VACUUM removes. `None` for files that nobody has ever needed.
pub fn remove_files<'a>(
    key: &StorageKey,
    horizon: Option<pg_sys::TransactionId>,
    names: impl ExactSizeIterator<Item = &'a str>,
) {
    let mut bytes = head(key);
    let horizon = horizon.unwrap_or(pg_sys::InvalidTransactionId);
    bytes.extend_from_slice(&horizon.into_inner().to_le_bytes());
    bytes.extend_from_slice(&(names.len() as u32).to_le_bytes());
    names.for_each(|name| put_name(&mut bytes, name));
    insert(REMOVE_FILES, &[&bytes]);
}

/// Logs writes, in as many records as it takes.
pub fn write_files(key: &StorageKey, files: &[FileContent<'_>]) {
    write_records(WRITE_FILES, key, files);
}

/// As [`write_files`], by a caller that delays checkpoints until the files are durable and it, or whom it
/// has left them to, has called [`sync_files`].
pub fn write_files_unsynced(key: &StorageKey, files: &[FileContent<'_>], _delay: &DelayCheckpoint) {
    write_records(WRITE_FILES_UNSYNCED, key, files);
}

/// Logs that files of [`write_files_unsynced`] have been made durable.
pub fn sync_files() {
    insert(SYNC_FILES, &[&[VERSION]]);
}

/// Logs that the server writes to object stores under this identity.
pub fn note_identity(name: &str) {
    if wal::is_needed() {
        insert(NOTE_IDENTITY, &[&identity(wal::insertion_timeline(), name)]);
    }
}

fn write_records(kind: RecordKind, key: &StorageKey, files: &[FileContent<'_>]) {
    let mut begin = 0;
    while begin < files.len() {
        let mut bytes = 0;
        let count = files[begin..]
            .iter()
            .take_while(|file| {
                bytes += file.bytes.len();
                bytes <= MAX_CONTENT
            })
            .count()
            .max(1);
        write_record(kind, key, &files[begin..begin + count]);
        begin += count;
    }
}

fn write_record(kind: RecordKind, key: &StorageKey, files: &[FileContent<'_>]) {
    let edits: Vec<Option<Vec<u8>>> = files
        .iter()
        .map(|file| {
            file.like
                .and_then(|(_, base)| edits::diff(base, file.bytes))
        })
        .collect();
    let mut bytes = head(key);
    bytes.extend_from_slice(&(files.len() as u32).to_le_bytes());
    let mut payloads = Vec::with_capacity(files.len());
    for (file, edits) in files.iter().zip(&edits) {
        let payload = match (edits, file.like) {
            (Some(edits), Some((base, _))) => Payload::Edits { base, edits },
            _ => Payload::Raw(file.bytes),
        };
        payloads.push(match payload {
            Payload::Raw(bytes) => bytes,
            Payload::Edits { edits, .. } => edits,
        });
        let (name, offset) = (file.name, file.offset);
        put_write(
            &mut bytes,
            &FileWrite {
                name,
                offset,
                payload,
            },
        );
    }
    let mut parts = vec![&*bytes];
    parts.extend(payloads);
    insert(kind, &parts);
}
